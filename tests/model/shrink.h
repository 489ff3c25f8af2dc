/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a failing policy small: takes away what can go while it still fails. */
#pragma once

#include <stdbool.h>

#include <cjson/cJSON.h>

/* Does this policy still fail? A policy that is refused does not. */
typedef bool shunt_shrink_fails(void *arg, const cJSON *policy);

/* A policy of 16,384 rules takes a second to be tried. */
#define SHUNT_SHRINK_TRIES 3000

/*
 * Removes rules (halves first, then less and less), then keys and members of lists at
 * any depth, then what no rule names, as long as `fails` says yes and there are tries
 * left.
 */
void shunt_shrink(cJSON *policy, shunt_shrink_fails *fails, void *arg);
