/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys and values of a file: a JSON object whose members are strings. */
#pragma once

#include "loader/kv.h"

/*
 * Sets all of them: { "KEY": "VALUE", … }, comments allowed. "-": standard input. On an
 * error, those in front of it are set.
 */
SHUNT_MUST_CHECK int shunt_kv_file(struct shunt_kv *kv, const char *path,
				   struct shunt_err *err);
