/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of fsck: one instance, and what no instance has. */
#pragma once

/*
 * fsck looks, repairs, and looks again: what the second look does not find was repaired.
 * An instance is repaired by what every command that changes it does first
 * (shunt_residue_clear, shunt_instance_load), so that there is one way of mending.
 */
#include <cjson/cJSON.h>

#include "loader/shunt.h"

/* Looks at an instance, in its own namespace if there is that still, under its lock. */
SHUNT_MUST_CHECK int shunt_fsck_instance(const char *name, bool repair, cJSON *list,
					 struct shunt_err *err);

/* A part of that: the files of its folder. */
void shunt_fsck_pins(const char *instance, cJSON *list);

/*
 * Looks for objects of Shunt's that no tree has. *held gets sentences about those that
 * processes hold, which is as it should be.
 */
void shunt_fsck_kernel(const struct shunt_fsck_opts *opts, cJSON *list, cJSON *held);
