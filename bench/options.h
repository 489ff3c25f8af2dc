/* SPDX-License-Identifier: BSD-2-Clause */
/* A benchmark's options: rows of a table, from which the usage comes as well. */
#pragma once

/*
 *     const struct bench_option rows[] = {
 *             BENCH_OPTION("json", NULL, &opt.json),
 *             BENCH_OPTION("rounds", "N", &opt.rounds),
 *             { NULL },
 *     };
 *     int first = bench_options(argc, argv, rows);
 *
 * The kind of a value is that of the variable that it goes to. What is no number is 0, as
 * strtoul() has it; which numbers make sense, the benchmark says.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define BENCH_OPTIONS_MAX 16

enum bench_option_kind {
	BENCH_FLAG,
	BENCH_INT,
	BENCH_UNSIGNED,
	BENCH_SIZE,
	BENCH_REAL,
	BENCH_TEXT,
};

struct bench_option {
	const char *name;
	const char *value; /* what the usage calls it; NULL: a flag */
	enum bench_option_kind kind;
	void *to;
};

#define BENCH_OPTION(option, text, variable)                                             \
	{                                                                                \
		.name = (option), .value = (text), .to = (void *)(variable),           \
		.kind = _Generic((variable),                                           \
			bool *: BENCH_FLAG,                                            \
			int *: BENCH_INT,                                              \
			unsigned int *: BENCH_UNSIGNED,                                \
			size_t *: BENCH_SIZE,                                          \
			double *: BENCH_REAL,                                          \
			const char **: BENCH_TEXT), \
	}

static inline void bench_option_store(const struct bench_option *option,
				      const char *text)
{
	switch (option->kind) {
	case BENCH_FLAG:
		*(bool *)option->to = true;
		break;
	case BENCH_INT:
		*(int *)option->to = strtol(text, NULL, 10);
		break;
	case BENCH_UNSIGNED:
		*(unsigned int *)option->to = strtoul(text, NULL, 10);
		break;
	case BENCH_SIZE:
		*(size_t *)option->to = strtoul(text, NULL, 10);
		break;
	case BENCH_REAL:
		*(double *)option->to = strtod(text, NULL);
		break;
	case BENCH_TEXT:
		*(const char **)option->to = text;
		break;
	}
}

/* "usage: NAME [--json] [--rounds N] WORDS"; the exit status for it. */
static inline int bench_usage(const char *program, const struct bench_option *option,
			      const char *words)
{
	fprintf(stderr, "usage: %s", program);
	for (; option->name; option++)
		fprintf(stderr, " [--%s%s%s]", option->name, option->value ? " " : "",
			option->value ? option->value : "");
	fprintf(stderr, "%s%s\n", words ? " " : "", words ? words : "");
	return 2;
}

/*
 * The place in argv of the first word that is no option, which may be argc; -EINVAL: an
 * option that there is not, or one without its value.
 */
static inline int bench_options(int argc, char **argv,
				const struct bench_option *option)
{
	struct option longs[BENCH_OPTIONS_MAX + 1] = { { NULL } };
	int n, at;

	for (n = 0; option[n].name && n < BENCH_OPTIONS_MAX; n++)
		longs[n] = (struct option){ .name = option[n].name,
					    .has_arg = option[n].value != NULL,
					    .val = n };
	while ((at = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (at == '?')
			return -EINVAL;
		bench_option_store(&option[at], optarg);
	}
	return optind;
}
