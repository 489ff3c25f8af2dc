/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"

/* How many words of argv the command's name takes; 0: it is another command. */
static int name_words(const struct shunt_command *command, int argc, char **argv)
{
	const char *space = strchr(command->name, ' ');
	size_t first = space ? (size_t)(space - command->name) : strlen(command->name);

	if (argc < 1 || strlen(argv[0]) != first ||
	    strncmp(argv[0], command->name, first))
		return 0;
	if (!space)
		return 1;
	return argc > 1 && !strcmp(argv[1], space + 1) ? 2 : 0;
}

static int find_command(struct shunt_cli *cli, int argc, char **argv,
			struct shunt_err *err)
{
	bool group = false;
	size_t i;

	for (i = 0; i < shunt_command_count; i++) {
		const struct shunt_command *command = &shunt_commands[i];
		int words = name_words(command, argc, argv);

		if (words) {
			cli->command = command;
			return words;
		}
		group |= !strncmp(command->name, argv[0], strlen(argv[0])) &&
			 command->name[strlen(argv[0])] == ' ';
	}
	if (group && (argc < 2 || argv[1][0] == '-'))
		return shunt_fail(
			err, -EINVAL,
			"%s needs another word: `shunt help` lists the commands",
			argv[0]);
	return shunt_fail(err, -EINVAL,
			  "\"%s%s%s\" is no command: `shunt help` lists them", argv[0],
			  group ? " " : "", group ? argv[1] : "");
}

static const struct shunt_option *find_option(const struct shunt_command *command,
					      const char *name, size_t len, char letter)
{
	const struct shunt_option *option;

	for (option = command->options; option->name; option++) {
		if (letter && option->letter == letter)
			return option;
		if (!letter && strlen(option->name) == len &&
		    !strncmp(option->name, name, len))
			return option;
	}
	return NULL;
}

/* One option at argv[i]; returns how many words it took. */
static int take_option(struct shunt_cli *cli, int argc, char **argv, int i,
		       struct shunt_err *err)
{
	const char *word = argv[i], *value = NULL;
	const struct shunt_option *option;
	int words = 1;

	if (word[1] == '-') {
		size_t len = strcspn(word + 2, "=");

		option = find_option(cli->command, word + 2, len, 0);
		if (word[2 + len])
			value = word + 2 + len + 1;
	} else {
		option = find_option(cli->command, NULL, 0, word[1]);
		if (word[2])
			value = word + 2;
	}
	if (!option)
		return shunt_fail(err, -EINVAL,
				  "%s has no option %s: `shunt help %s` lists them",
				  cli->command->name, word, cli->command->name);
	if (value && !option->value)
		return shunt_fail(err, -EINVAL, "option --%s takes no value",
				  option->name);
	if (option->value && *option->value == '[' && !value &&
	    (i + 1 == argc || argv[i + 1][0] == '-'))
		value = "";
	if (option->value && !value) {
		if (i + 1 == argc)
			return shunt_fail(err, -EINVAL, "option --%s needs a value: %s",
					  option->name, option->value);
		value = argv[i + 1];
		words = 2;
	}
	if (cli->givens == SHUNT_CLI_VALUES)
		return shunt_fail(err, -EINVAL, "more than %d options",
				  SHUNT_CLI_VALUES);
	cli->given[cli->givens].option = option;
	cli->given[cli->givens++].value = value ? value : "";
	cli->json |= !strcmp(option->name, "json");
	return words;
}

int shunt_cli_parse(struct shunt_cli *cli, int argc, char **argv, struct shunt_err *err)
{
	int words = find_command(cli, argc, argv, err), i;
	bool options = true;

	if (words < 0)
		return words;
	argv += words;
	argc -= words;
	cli->arg = (const char *const *)argv;
	for (i = 0; i < argc;) {
		if (options && !strcmp(argv[i], "--")) {
			options = false;
			i++;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			words = take_option(cli, argc, argv, i, err);
			if (words < 0)
				return words;
			i += words;
		} else {
			/* moves to the front, over options that were taken */
			argv[cli->args++] = argv[i++];
		}
	}
	if (cli->args < cli->command->min_args || cli->args > cli->command->max_args)
		return shunt_fail(
			err, -EINVAL, "%s takes %s%s", cli->command->name,
			*cli->command->args ? cli->command->args : "no argument",
			cli->args < cli->command->min_args ? ": one is missing"
							   : ": there is one too many");
	return 0;
}

const char *shunt_cli_option_at(const struct shunt_cli *cli, const char *name, size_t i)
{
	size_t g;

	for (g = 0; g < cli->givens; g++)
		if (!strcmp(cli->given[g].option->name, name) && i-- == 0)
			return cli->given[g].value;
	return NULL;
}

const char *shunt_cli_option(const struct shunt_cli *cli, const char *name)
{
	return shunt_cli_option_at(cli, name, 0);
}

int shunt_cli_duration(const struct shunt_cli *cli, const char *name, uint64_t *ns,
		       struct shunt_err *err)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "ms", 1e6 }, { "s", 1e9 }, { "", 1e9 }, { "m", 60e9 } };
	const char *text = shunt_cli_option(cli, name);
	double value;
	char *end;
	size_t i;

	if (!text)
		return 0;
	value = strtod(text, &end);
	for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (end == text || strcmp(end, units[i].unit) ||
		    !(value * units[i].ns >= 1e6 && value * units[i].ns < 1e18))
			continue;
		*ns = value * units[i].ns;
		return 0;
	}
	return shunt_fail(err, -EINVAL,
			  "--%s \"%s\" is no time: say 500ms, 10s or 2m, at least 1ms",
			  name, text);
}

int shunt_cli_number(const struct shunt_cli *cli, const char *name, uint64_t *number,
		     struct shunt_err *err)
{
	const char *text = shunt_cli_option(cli, name);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*number = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || !*number)
		return shunt_fail(err, -EINVAL,
				  "--%s \"%s\" is no number: say 1 or more", name,
				  text);
	return 0;
}
