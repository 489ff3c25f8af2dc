/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands that consume have in common (run.c). */
#pragma once

#include "user/apps/consume.h"
#include "user/cli/cli.h"

/* Reads the options that all of them have. */
SHUNT_MUST_CHECK int shunt_cli_consume_options(struct shunt_cli *cli,
					       struct shunt_consume_opts *opts,
					       struct shunt_err *err);

/* Runs an app on the consumer that --consumer names. */
SHUNT_MUST_CHECK int shunt_cli_consume(struct shunt_cli *cli,
				       struct shunt_consume_opts *opts,
				       int (*app)(const struct shunt_consume_opts *opts,
						  struct shunt_err *err),
				       struct shunt_err *err);

/* Runs an app on samples and mirrored packets. */
SHUNT_MUST_CHECK int shunt_cli_copies(struct shunt_cli *cli,
				      struct shunt_consume_opts *opts,
				      int (*app)(const struct shunt_consume_opts *opts,
						 struct shunt_err *err),
				      struct shunt_err *err);
