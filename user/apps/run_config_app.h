/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading one application of a configuration (run_config_read.c). */
#pragma once

#include "loader/policy/node.h"
#include "user/apps/run_config.h"

/* The ports have been read. Files that it names are looked for beside `path`. */
void shunt_run_config_app(const struct shunt_run_config *config,
			  struct shunt_run_app *app, const struct shunt_node *node,
			  const char *path);

/* The place of the port that a string names; -1: there is none, which was told. */
int shunt_run_config_port(const struct shunt_run_config *config,
			  const struct shunt_node *node);

/* true or false; false where the key is missing. */
bool shunt_run_config_flag(const struct shunt_node *object, const char *key);
