/* SPDX-License-Identifier: BSD-2-Clause */
/* save and restore. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/saved.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

/* The value of --dir, which may be left out. */
static const char *folder(const struct shunt_cli *cli)
{
	const char *dir = shunt_cli_option(cli, "dir");

	return dir && !*dir ? SHUNT_SAVE_DIR : dir;
}

/* --- save ---------------------------------------------------------------------- */

static void out_files(const cJSON *reply, const char *key, const char *verb)
{
	const cJSON *path;

	cJSON_ArrayForEach(path, cJSON_GetObjectItemCaseSensitive(reply, key))
		printf("%s %s\n", verb, path->valuestring);
}

static void out_saved(const struct shunt_cli *cli, const cJSON *reply)
{
	const cJSON *item;

	shunt_out_warnings(cli, reply);
	if (shunt_out_wants_json(cli, reply))
		return;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "failed"))
		fprintf(stderr, "shunt: %s: %s\n", shunt_json_str(item, "instance"),
			shunt_json_str(item, "error"));
	out_files(reply, "files", "wrote");
	out_files(reply, "removed", "removed");
}

/* On standard output, as it would stand in a file; with --json on one line. */
static int out_document(const struct shunt_cli *cli, const cJSON *document,
			const cJSON *reply, struct shunt_err *err)
{
	_free_ char *text = cli->json ? NULL : shunt_saved_text(document);

	shunt_out_warnings(cli, reply);
	if (cli->json)
		shunt_out_json(document);
	else if (text)
		fputs(text, stdout);
	return cli->json || text ? 0 : shunt_fail(err, -ENOMEM, "save: out of memory");
}

int shunt_cli_save(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_save_opts opts = {
		.sz = sizeof(opts),
		.all_netns = shunt_cli_option(cli, "all-netns"),
		.netns = shunt_cli_option(cli, "netns"),
		.file = shunt_cli_option(cli, "output"),
		.dir = folder(cli),
	};
	_json_ cJSON *document = NULL, *reply = NULL;
	int ret;

	if (opts.file && opts.dir)
		return shunt_fail(err, -EINVAL,
				  "save: -o and --dir exclude each other: one file, or "
				  "one an instance");
	if (opts.file && !strcmp(opts.file, "-"))
		opts.file = NULL;
	ret = shunt_save(&opts, &document, &reply, err);
	if (!reply)
		return ret;
	if (opts.file || opts.dir)
		out_saved(cli, reply);
	else
		ret = out_document(cli, document, reply, err);
	return ret;
}

/* --- restore ------------------------------------------------------------------- */

static void out_restored(const struct shunt_cli *cli, const cJSON *item, bool check)
{
	const char *netns = shunt_json_str(item, "netns"),
		   *interface = shunt_json_str(item, "interface"),
		   *outcome = shunt_json_str(item, "outcome");

	shunt_out_warnings(cli, item);
	if (!strcmp(outcome, "failed")) {
		fprintf(stderr, "shunt: %s: %s\n",
			*interface ? interface : shunt_json_str(item, "file"),
			shunt_json_str(item, "error"));
		return;
	}
	printf("%s%s%s: %s%s", interface, *netns ? " in " : "", netns,
	       check ? "would be " : "", outcome);
	if (cJSON_GetObjectItemCaseSensitive(item, "hooks")) {
		printf(" (");
		shunt_out_hooks(item);
		printf("), generation %llu",
		       (unsigned long long)shunt_json_u64(item, "generation"));
	}
	printf("\n");
}

int shunt_cli_restore(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *protect[SHUNT_CLI_VALUES];
	char session[SHUNT_CLI_SESSION];
	struct shunt_restore_opts opts = {
		.sz = sizeof(opts),
		.file = cli->args ? cli->arg[0] : NULL,
		.dir = folder(cli),
		.only = shunt_cli_option(cli, "only"),
		.check = shunt_cli_option(cli, "check"),
		.netns = shunt_cli_option(cli, "netns"),
		.session = shunt_cli_session(cli, session),
		.protect = protect,
		.protects = shunt_cli_protected(cli, protect),
	};
	_json_ cJSON *reply = NULL;
	const cJSON *item;
	int ret;

	if (opts.file && opts.dir)
		return shunt_fail(err, -EINVAL,
				  "restore: a file and --dir exclude each other");
	if (!opts.file && !opts.dir)
		opts.dir = SHUNT_SAVE_DIR;
	ret = shunt_restore(&opts, &reply, err);
	if (!reply || shunt_out_wants_json(cli, reply))
		return ret;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "instances"))
		out_restored(cli, item, opts.check);
	/* the failures of several stand above, each on its line */
	if (shunt_json_u64(reply, "failed"))
		err->message[0] = 0;
	return ret;
}
