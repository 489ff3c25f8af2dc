/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

void shunt_out_json(const cJSON *reply)
{
	char *text = cJSON_PrintUnformatted(reply);

	puts(text ? text : "null");
	fflush(stdout);
	free(text);
}

bool shunt_out_wants_json(const struct shunt_cli *cli, const cJSON *reply)
{
	if (cli->json)
		shunt_out_json(reply);
	return cli->json;
}

void shunt_out_error(const struct shunt_cli *cli, const char *message)
{
	cJSON *error;
	char *text;

	if (!cli->json) {
		fprintf(stderr, "shunt: %s\n", message);
		return;
	}
	error = cJSON_CreateObject();
	cJSON_AddStringToObject(error, "schema", "shunt.error/1");
	cJSON_AddStringToObject(error, "command",
				cli->command ? cli->command->name : "");
	cJSON_AddStringToObject(error, "error", message);
	text = cJSON_PrintUnformatted(error);
	fprintf(stderr, "%s\n", text ? text : message);
	free(text);
	cJSON_Delete(error);
}

void shunt_out_warnings(const struct shunt_cli *cli, const cJSON *reply)
{
	const cJSON *warning;

	if (cli->json)
		return;
	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(reply, "warnings"))
		fprintf(stderr, "shunt: warning: %s\n", warning->valuestring);
}

static void out_diags(const cJSON *check, const char *key, const char *word)
{
	const char *source = shunt_json_str(check, "source");
	const cJSON *diag;

	cJSON_ArrayForEach(diag, cJSON_GetObjectItemCaseSensitive(check, key))
	{
		const char *pointer = shunt_json_str(diag, "pointer");

		fprintf(stderr, "%s: %s%s%s: %s\n", source, word,
			*pointer ? " at " : "", pointer,
			shunt_json_str(diag, "message"));
	}
}

void shunt_out_diags(const cJSON *check)
{
	out_diags(check, "errors", "error");
	out_diags(check, "warnings", "warning");
}

void shunt_out_progress(const char *what, size_t done, size_t total)
{
	static uint64_t since;
	static bool shown;
	uint64_t now = shunt_now_ns();

	if (!isatty(STDERR_FILENO))
		return;
	if (!since)
		since = now;
	if (now - since >= 1000000000 && done < total) {
		fprintf(stderr, "\r%s: %zu of %zu\033[K", what, done, total);
		shown = true;
	} else if (shown && done == total) {
		fprintf(stderr, "\r\033[K");
		shown = false;
	}
}

const char *shunt_out_bold(void)
{
	return isatty(STDOUT_FILENO) ? "\033[1m" : "";
}

const char *shunt_out_plain(void)
{
	return isatty(STDOUT_FILENO) ? "\033[0m" : "";
}

void shunt_out_hooks(const cJSON *reply)
{
	const cJSON *hook;
	const char *comma = "";

	cJSON_ArrayForEach(hook, cJSON_GetObjectItemCaseSensitive(reply, "hooks"))
	{
		printf("%s%s %s", comma, shunt_json_str(hook, "hook"),
		       shunt_json_str(hook, "mode"));
		comma = ", ";
	}
}

void shunt_out_chain(const cJSON *from)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(from, "chain"))
		printf("  chain     %-24s at priority %llu%s\n",
		       shunt_json_str(item, "name"),
		       (unsigned long long)shunt_json_u64(item, "priority"),
		       shunt_json_true(item, "ours") ? ", Shunt's" : "");
}
