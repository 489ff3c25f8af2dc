/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands that run applications over ports have in common. */
#pragma once

#include "user/apps/run.h"
#include "user/cli/cli.h"

static inline void shunt_cli_run_free(struct shunt_run_config **config)
{
	shunt_run_config_free(*config);
}

#define _config_ __attribute__((cleanup(shunt_cli_run_free)))

/* With the usual interval; NULL: out of memory, as err says. */
struct shunt_run_config *shunt_cli_run_new(struct shunt_err *err);

/* When to end, and how often to tell: --duration, --packets, --interval. */
SHUNT_MUST_CHECK int shunt_cli_run_limits(const struct shunt_cli *cli,
					  struct shunt_run_config *config,
					  struct shunt_err *err);

/* So many workers, as --wait and --cores want them. */
SHUNT_MUST_CHECK int shunt_cli_run_workers(const struct shunt_cli *cli,
					   struct shunt_run_config *config,
					   uint32_t workers, struct shunt_err *err);

/* Runs it, with reports of that schema. */
SHUNT_MUST_CHECK int shunt_cli_run(const struct shunt_cli *cli,
				   const struct shunt_run_config *config,
				   const char *schema, struct shunt_err *err);
