/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a rule set of tests/model/classbench.h, for Shunt or for its peers:
 *
 *     classbench FAMILY RULES 4|6 [--json|--nft|--nft-linear|--iptables] [--seed N]
 *
 * The same arguments give the same set, in each form.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/nft_tree.h"
#include "tests/model/classbench.h"

static int write_json(FILE *out, const struct shunt_classbench_rule *rules, size_t n)
{
	_free_ char *text = shunt_classbench_policy(rules, n);

	if (!text)
		return -ENOMEM;
	fputs(text, out);
	return 0;
}

static int write_sets(FILE *out, const struct shunt_classbench_rule *rules, size_t n)
{
	int chains = nft_write_sets(out, rules, n);

	if (chains > 0)
		fprintf(stderr, "classbench: %zu rules in %d chains\n", n, chains);
	return chains < 0 ? chains : 0;
}

static int write_linear(FILE *out, const struct shunt_classbench_rule *rules, size_t n)
{
	nft_write_linear(out, rules, n);
	return 0;
}

static int write_iptables(FILE *out, const struct shunt_classbench_rule *rules,
			  size_t n)
{
	iptables_write(out, rules, n);
	return 0;
}

static int (*const forms[])(FILE *out, const struct shunt_classbench_rule *rules,
			    size_t n) = { write_json, write_sets, write_linear,
					  write_iptables };

static int usage(void)
{
	fputs("usage: classbench acl|fw|ipc RULES 4|6 "
	      "[--json|--nft|--nft-linear|--iptables] [--seed N]\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 0 },
		{ "nft", no_argument, NULL, 1 },
		{ "nft-linear", no_argument, NULL, 2 },
		{ "iptables", no_argument, NULL, 3 },
		{ "seed", required_argument, NULL, 's' },
		{ NULL },
	};
	_free_ struct shunt_classbench_rule *rules = NULL;
	int c, form = 0, family, ip, ret;
	uint64_t seed = 1;
	long n;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage();
		if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			form = c;
	}
	if (argc - optind != 3)
		return usage();
	family = shunt_classbench_family(argv[optind]);
	n = atol(argv[optind + 1]);
	ip = atoi(argv[optind + 2]);
	if (family < 0 || n < 1 || n > 65536 || (ip != 4 && ip != 6))
		return usage();
	ret = shunt_classbench_make(family, ip, n, seed, &rules);
	if (!ret)
		ret = forms[form](stdout, rules, n);
	if (ret || fflush(stdout)) {
		fprintf(stderr, "classbench: %s\n", strerror(ret ? -ret : errno));
		return 1;
	}
	return 0;
}
