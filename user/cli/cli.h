/* SPDX-License-Identifier: BSD-2-Clause */
/* The `shunt` command: rows of a table, and what each row's function gets. */
#pragma once

/*
 * Commands and options are rows (commands.c). Parsing, help, shell completion and the
 * manual page walk the rows; a command's function sees parsed options only.
 *
 * Results go to stdout, diagnostics to stderr. Exit status: 0 done, 1 failed, 2 usage.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

#define SHUNT_EXIT_FAILED 1
#define SHUNT_EXIT_USAGE 2
#define SHUNT_CLI_VALUES 24 /* uses of options in one call */

struct shunt_cli;

struct shunt_option {
	const char *name;  /* without the dashes; NULL ends a list */
	char letter;	   /* 0: none */
	const char *value; /* what its argument is called; NULL: it takes none; with
			      brackets: it may be left out, and is "" then */
	const char *help;
};

struct shunt_command {
	const char *name; /* one or two words: "attach", "set add" */
	const char *args; /* positional arguments, for the help */
	size_t min_args, max_args;
	const char *summary; /* one line */
	const char *details; /* paragraphs; NULL: none */
	const struct shunt_option *options;
	int (*run)(struct shunt_cli *cli, struct shunt_err *err);
	bool root;     /* it cannot work without */
	bool unbroken; /* it changes the kernel's state: ^C waits until it is done */
};

struct shunt_cli {
	const struct shunt_command *command;
	const char *const *arg;
	size_t args;
	struct {
		const struct shunt_option *option;
		const char *value;
	} given[SHUNT_CLI_VALUES];
	size_t givens;
	bool json;
};

extern const struct shunt_command shunt_commands[];
extern const size_t shunt_command_count;

/* --- args.c ------------------------------------------------------------------ */

/* Finds the command and parses what follows it. -EINVAL: usage, with the sentence. */
int shunt_cli_parse(struct shunt_cli *cli, int argc, char **argv,
		    struct shunt_err *err);

/* The value of an option, "" for one without; NULL: not given. */
const char *shunt_cli_option(const struct shunt_cli *cli, const char *name);

/* The i-th use of an option that may be repeated; NULL: there are no more. */
const char *shunt_cli_option_at(const struct shunt_cli *cli, const char *name,
				size_t i);

/* A duration such as "500ms", "2s", "2" (seconds), "1m"; *ns stays when not given. */
int shunt_cli_duration(const struct shunt_cli *cli, const char *name, uint64_t *ns,
		       struct shunt_err *err);

/* A whole number, 1 or more; *number stays when not given. */
int shunt_cli_number(const struct shunt_cli *cli, const char *name, uint64_t *number,
		     struct shunt_err *err);

/* --- out.c ------------------------------------------------------------------- */

/* One JSON object on a line of its own. */
void shunt_out_json(const cJSON *reply);

/* Writes the reply as JSON if that is asked for; false: it is not. */
bool shunt_out_wants_json(const struct shunt_cli *cli, const cJSON *reply);

/* "shunt: …" on stderr; with --json an object of schema shunt.error/1. */
void shunt_out_error(const struct shunt_cli *cli, const char *message);

/* The reply's "warnings", on stderr, unless --json shows them anyway. */
void shunt_out_warnings(const struct shunt_cli *cli, const cJSON *reply);

/* The "errors" and "warnings" of a shunt.check/1 reply, on stderr: file, pointer,
 * words. */
void shunt_out_diags(const cJSON *check);

/* How far long work has come: on a terminal, from its second second on. */
void shunt_out_progress(const char *what, size_t done, size_t total);

/* Starts and ends bold text where stdout is a terminal; "" elsewhere. */
const char *shunt_out_bold(void);
const char *shunt_out_plain(void);

/* "xdp native, tc-ingress tcx" of a reply's "hooks". */
void shunt_out_hooks(const cJSON *reply);

/* A line for each program of a chain, "chain" of a reply's hook; none where there is none. */
void shunt_out_chain(const cJSON *from);

/* --- ledger.c ---------------------------------------------------------------- */

/* The reply of `stats --ledger`, for people. */
void shunt_out_ledger(const cJSON *reply);

/* --- help.c ------------------------------------------------------------------ */

void shunt_help_all(void);
void shunt_help_command(const struct shunt_command *command);

/* --- help_ports.c ------------------------------------------------------------ */

/* The kinds of ports ("ports"), or the options of one ("af_xdp"); false: no such. */
bool shunt_help_port(const char *name);

/* The manual's part about them; `roff` prints escaped. */
void shunt_man_ports(void (*roff)(const char *text));

struct shunt_spec_row;

/* Options of ports and transports, a line each; and for the manual. */
void shunt_help_options(const struct shunt_spec_row *row);
void shunt_man_options(const struct shunt_spec_row *row,
		       void (*roff)(const char *text));

/* --- help_transports.c --------------------------------------------------------- */

/* The transports ("transports"), or one's options ("epoll://"); false: no such. */
bool shunt_help_transport(const char *name);

/* The manual's part about them. */
void shunt_man_transports(void (*roff)(const char *text));

/* --- policy.c: what several commands do with -p ------------------------------ */

struct shunt_policy;

/*
 * Reads the file of --policy; errors and warnings are shown. *policy stays NULL where
 * the option was not given. -EINVAL: the policy is unsound; err has the one-line
 * summary.
 */
int shunt_cli_policy(const struct shunt_cli *cli, struct shunt_policy **policy,
		     struct shunt_err *err);

/* --- session.c --------------------------------------------------------------- */

#define SHUNT_CLI_SESSION 256

/*
 * SSH_CONNECTION of this process, or of the nearest of its parents that has it; NULL: the
 * command does not come from a session of SSH, or --force. `value` is room for it.
 */
const char *shunt_cli_session(const struct shunt_cli *cli,
			      char value[SHUNT_CLI_SESSION]);

/* How many packets --protect describes, and these; none with --force. */
size_t shunt_cli_protected(const struct shunt_cli *cli,
			   const char *protect[SHUNT_CLI_VALUES]);

/* --- advise.c ---------------------------------------------------------------- */

/* `probe --advise`. */
int shunt_cli_advise(struct shunt_cli *cli, struct shunt_err *err);

/* --- one function a command -------------------------------------------------- */

int shunt_cli_apply(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_attach(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_bench_transports(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_check(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_confirm(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_completion(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_detach(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_diff(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_explain(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_fsck(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_help(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_list(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_man(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_probe(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_restore(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_rollback(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_capture(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_app(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_count(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_drop(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_dump(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_forward(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_generate(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_echo(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_kv(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_ship(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_run_sample(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_save(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_serve(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_set_edit(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_set_list(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_set_test(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_show(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_stats(struct shunt_cli *cli, struct shunt_err *err);
int shunt_cli_version(struct shunt_cli *cli, struct shunt_err *err);
