/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a failing policy small: takes away what can go while it still fails. */
#pragma once

#include <stdbool.h>

#include <cjson/cJSON.h>

/* Does this policy still fail? A policy that is refused does not. */
typedef bool shunt_shrink_fails(void *arg, const cJSON *policy);

/*
 * Removes rules (halves first, then one by one), then keys of "match", then members of
 * lists and sets, then what no rule names, as long as `fails` says yes.
 */
void shunt_shrink(cJSON *policy, shunt_shrink_fails *fails, void *arg);
