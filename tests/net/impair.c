/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Impairs what passes between two interfaces, for tests (tests/transport/impair.h).
 *
 *     impair IF OTHER [--loss 5%] [--duplicate 2%] [--reorder 5%] [--behind N]
 *                     [--hold MS] [--seed N] [--port P] [--one-way]
 *
 * One way: only what IF receives. On stdin a command a line, on stdout a JSON object a line,
 * the first of them once the wire is there; it ends with its stdin.
 *
 *     counts                      of both ways: {"IF": {"judged": …}, "OTHER": {…}}
 *     set LOSS DUPLICATE REORDER  for both, or the one way, from now on
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/transport/impair.h"
#include "user/base/cleanup.h"

static struct impair_opts opts;
static bool one_way;

static void fail(const char *what, const char *word)
{
	fprintf(stderr, "impair: %s%s\n", what, word);
	exit(2);
}

static __u32 share(const char *word)
{
	char *end;
	double percent = word ? strtod(word, &end) : -1;

	if (percent < 0 || percent > 100 || strcmp(end, "%"))
		fail("no share such as 5%: ", word ? word : "(nothing)");
	return (__u32)(percent * (IMPAIR_ALL / 100) + 0.5);
}

static unsigned long long number(const char *word)
{
	char *end;
	unsigned long long n = strtoull(word, &end, 10);

	if (*end || end == word)
		fail("no number: ", word);
	return n;
}

static void read_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "loss", 1, NULL, 'l' },
		{ "duplicate", 1, NULL, 'd' },
		{ "reorder", 1, NULL, 'r' },
		{ "behind", 1, NULL, 'b' },
		{ "hold", 1, NULL, 'h' },
		{ "seed", 1, NULL, 's' },
		{ "port", 1, NULL, 'p' },
		{ "one-way", 0, NULL, 'o' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'l':
			opts.rates[0].loss = share(optarg);
			break;
		case 'd':
			opts.rates[0].duplicate = share(optarg);
			break;
		case 'r':
			opts.rates[0].reorder = share(optarg);
			break;
		case 'b':
			opts.behind = (__u32)number(optarg);
			break;
		case 'h':
			opts.hold_ns = number(optarg) * 1000000;
			break;
		case 's':
			opts.seed = number(optarg);
			break;
		case 'p':
			opts.port = (__u16)number(optarg);
			break;
		case 'o':
			one_way = true;
			break;
		default:
			exit(2);
		}
	if (argc - optind != 2)
		fail("two interfaces, please", "");
	opts.interface[0] = argv[optind];
	opts.interface[1] = argv[optind + 1];
	if (!one_way)
		opts.rates[1] = opts.rates[0];
}

static void say(cJSON *json)
{
	_free_ char *text = cJSON_PrintUnformatted(json);

	puts(text);
	fflush(stdout);
	cJSON_Delete(json);
}

static void say_counts(const struct impair *impair)
{
	cJSON *json = cJSON_CreateObject();
	struct impair_counts counts;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		cJSON *one = cJSON_AddObjectToObject(json, opts.interface[i]);

		impair_read(impair, i, &counts);
#define ADD(name, help) cJSON_AddNumberToObject(one, #name, (double)counts.name);
		IMPAIR_COUNTERS(ADD)
#undef ADD
	}
	say(json);
}

static void obey(struct impair *impair, char *line)
{
	const char *word = strtok(line, " \n");

	if (word && !strcmp(word, "counts")) {
		say_counts(impair);
	} else if (word && !strcmp(word, "set")) {
		struct impair_rates rates;

		rates.loss = share(strtok(NULL, " \n"));
		rates.duplicate = share(strtok(NULL, " \n"));
		rates.reorder = share(strtok(NULL, " \n"));
		impair_set(impair, 0, &rates);
		if (!one_way)
			impair_set(impair, 1, &rates);
		say(cJSON_CreateObject());
	} else {
		fail("no such command: ", word ? word : "");
	}
}

int main(int argc, char **argv)
{
	struct impair *impair;
	struct shunt_err err;
	char line[256];

	read_options(argc, argv);
	if (impair_open(&impair, &opts, &err)) {
		fprintf(stderr, "impair: %s\n", err.message);
		return 1;
	}
	say(cJSON_CreateObject());
	while (fgets(line, sizeof(line), stdin))
		obey(impair, line);
	impair_close(impair);
	return 0;
}
