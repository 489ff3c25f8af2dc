/* SPDX-License-Identifier: BSD-2-Clause */
/* help, version, completion and man: all made from the table of commands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"

static const char intro[] =
	"Shunt owns an interface's fast path: it judges packets in XDP, "
	"TC and netfilter by a JSON "
	"policy, and redirects what is asked for into user space.";

void shunt_help_all(void)
{
	size_t i;

	printf("%s\n\nusage: shunt COMMAND [ARGUMENTS] [OPTIONS]\n\n", intro);
	for (i = 0; i < shunt_command_count; i++)
		printf("  %s%-11s%s  %s\n", shunt_out_bold(), shunt_commands[i].name,
		       shunt_out_plain(), shunt_commands[i].summary);
	printf("\n`shunt help COMMAND` tells all about one, `shunt help ports` of "
	       "what `run` works on, `shunt help transports` of what carries "
	       "messages. All but completion, man "
	       "and help take --json.\n");
}

void shunt_help_command(const struct shunt_command *command)
{
	const struct shunt_option *option;

	printf("usage: shunt %s%s%s%s\n\n%s.\n", command->name,
	       *command->args ? " " : "", command->args,
	       command->options->name ? " [OPTIONS]" : "", command->summary);
	if (command->details)
		printf("\n%s\n", command->details);
	if (command->options->name)
		printf("\n");
	for (option = command->options; option->name; option++) {
		int width = printf("  --%s%s%s", option->name, option->value ? " " : "",
				   option->value ? option->value : "");

		if (option->letter)
			width += printf(", -%c", option->letter);
		printf("%*s%s\n", width < 26 ? 26 - width : 1, "", option->help);
	}
}

int shunt_cli_help(struct shunt_cli *cli, struct shunt_err *err)
{
	char name[64];
	bool any = false;
	size_t i;

	if (!cli->args) {
		shunt_help_all();
		return 0;
	}
	snprintf(name, sizeof(name), "%s%s%s", cli->arg[0], cli->args > 1 ? " " : "",
		 cli->args > 1 ? cli->arg[1] : "");
	for (i = 0; i < shunt_command_count; i++) {
		const struct shunt_command *command = &shunt_commands[i];
		size_t len = strlen(name);

		/* "set" shows all of "set add", "set del", … */
		if (strncmp(command->name, name, len) ||
		    (command->name[len] && command->name[len] != ' '))
			continue;
		if (any)
			printf("\n");
		any = true;
		shunt_help_command(command);
	}
	if (any || shunt_help_port(name) || shunt_help_transport(name))
		return 0;
	return shunt_fail(err, -EINVAL,
			  "\"%s\" is no command, no kind of port and no transport: "
			  "`shunt help`, `shunt help ports` and `shunt help "
			  "transports` list them",
			  name);
}

int shunt_cli_version(struct shunt_cli *cli, struct shunt_err *err)
{
	(void)err;
	if (cli->json)
		printf("{\"schema\":\"shunt.version/1\",\"version\":\"%s\"}\n",
		       SHUNT_VERSION);
	else
		printf("shunt %s\n", SHUNT_VERSION);
	return 0;
}

/* The first words of all commands, or the second words behind one. */
static void completion_words(const char *first)
{
	size_t i;

	for (i = 0; i < shunt_command_count; i++) {
		const char *name = shunt_commands[i].name, *space = strchr(name, ' ');
		size_t len = space ? (size_t)(space - name) : strlen(name);

		if (first && space && !strncmp(name, first, len) && !first[len])
			printf(" %s", space + 1);
		if (!first &&
		    (i == 0 || strncmp(shunt_commands[i - 1].name, name, len)))
			printf(" %.*s", (int)len, name);
	}
}

int shunt_cli_completion(struct shunt_cli *cli, struct shunt_err *err)
{
	const struct shunt_option *option;
	size_t i;

	(void)cli;
	(void)err;
	printf("_shunt()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n"
	       "\tcase \"${COMP_CWORD}:${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n\t1:*) "
	       "words='");
	completion_words(NULL);
	printf("' ;;\n\t2:set*) words='");
	completion_words("set");
	printf("' ;;\n\t2:run*) words='");
	completion_words("run");
	printf("' ;;\n");
	for (i = 0; i < shunt_command_count; i++) {
		const char *name = shunt_commands[i].name;

		printf("\t*:'%s%s'*) words='", name, strchr(name, ' ') ? "" : " ");
		for (option = shunt_commands[i].options; option->name; option++)
			printf(" --%s", option->name);
		printf("' ;;\n");
	}
	printf("\tesac\n\tcase $cur in\n\t-*) ;;\n\t*) [ \"$COMP_CWORD\" -lt 2 ] || "
	       "words+=\" $(ls /sys/class/net)\" ;;\n\tesac\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
	       "complete -o default -F _shunt shunt\n");
	return 0;
}

/* roff wants its dashes and leading dots escaped. */
static void roff(const char *text)
{
	for (; *text; text++)
		printf(*text == '-' || *text == '\\' ? "\\%c" : "%c", *text);
}

int shunt_cli_man(struct shunt_cli *cli, struct shunt_err *err)
{
	const struct shunt_option *option;
	size_t i;

	(void)cli;
	(void)err;
	printf(".TH SHUNT 8 \"\" \"shunt %s\"\n.SH NAME\nshunt \\- programmable "
	       "dataplane "
	       "on eBPF and XDP\n.SH SYNOPSIS\n.B shunt\n.I COMMAND\n[ARGUMENTS] "
	       "[OPTIONS]\n.SH DESCRIPTION\n%s\n.SH COMMANDS\n",
	       SHUNT_VERSION, intro);
	for (i = 0; i < shunt_command_count; i++) {
		const struct shunt_command *command = &shunt_commands[i];

		printf(".SS \"shunt %s %s\"\n", command->name, command->args);
		roff(command->summary);
		printf(".\n");
		if (command->details) {
			roff(command->details);
			printf("\n");
		}
		for (option = command->options; option->name; option++) {
			printf(".TP\n\\-\\-");
			roff(option->name);
			if (option->value)
				printf(" \\fI%s\\fR", option->value);
			if (option->letter)
				printf(", \\-%c", option->letter);
			printf("\n");
			roff(option->help);
			printf("\n");
		}
	}
	shunt_man_ports(roff);
	shunt_man_transports(roff);
	printf(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.SH FILES\n"
	       "/sys/fs/bpf/shunt/v1/\\fIINSTANCE\\fR: what is pinned.\n"
	       ".br\n/var/lib/shunt: what `shunt save \\-\\-dir` keeps.\n");
	return 0;
}
