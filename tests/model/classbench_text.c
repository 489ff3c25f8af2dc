/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule set as a policy. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/policy/policy.h"
#include "tests/model/classbench.h"

static const char *const flag_names[8] = { "fin", "syn", "rst", "psh",
					   "ack", "urg", "ece", "cwr" };

/* What stands before a key of "match": nothing before the first one. */
static const char *next(bool *first)
{
	const char *text = *first ? "" : ", ";

	*first = false;
	return text;
}

static void write_net(FILE *out, bool *first, const char *key, int ip,
		      const struct shunt_classbench_net *net)
{
	char text[INET6_ADDRSTRLEN];

	if (!net->bits)
		return;
	inet_ntop(ip == 6 ? AF_INET6 : AF_INET, net->addr, text, sizeof(text));
	fprintf(out, "%s\"%s\": \"%s/%u\"", next(first), key, text, net->bits);
}

static void write_ports(FILE *out, bool *first, const char *key, const uint16_t port[2])
{
	if (shunt_classbench_any_port(port))
		return;
	if (port[0] == port[1])
		fprintf(out, "%s\"%s\": %u", next(first), key, port[0]);
	else
		fprintf(out, "%s\"%s\": \"%u-%u\"", next(first), key, port[0], port[1]);
}

static void write_flag_names(FILE *out, uint8_t flags)
{
	const char *comma = "";

	for (int i = 0; i < 8; i++) {
		if (!(flags >> i & 1))
			continue;
		fprintf(out, "%s%s", comma, flag_names[i]);
		comma = ",";
	}
	if (!flags)
		fputs("none", out);
}

void shunt_classbench_write_rule(FILE *out, size_t place,
				 const struct shunt_classbench_rule *rule)
{
	bool first = true;

	fprintf(out, "\t\t{ \"name\": \"r%zu\", \"match\": { ", place);
	write_net(out, &first, "src", rule->ip, &rule->src);
	write_net(out, &first, "dst", rule->ip, &rule->dst);
	if (rule->proto)
		fprintf(out, "%s\"proto\": %u", next(&first), rule->proto);
	write_ports(out, &first, "sport", rule->sport);
	write_ports(out, &first, "dport", rule->dport);
	if (rule->flag_mask) {
		fprintf(out, "%s\"tcp_flags\": \"", next(&first));
		write_flag_names(out, rule->flags);
		fputc('/', out);
		write_flag_names(out, rule->flag_mask);
		fputc('"', out);
	}
	fprintf(out, " }, \"action\": \"%s\" }", rule->drop ? "drop" : "pass");
}

char *shunt_classbench_policy(const struct shunt_classbench_rule *rules, size_t n)
{
	char *text = NULL;
	size_t bytes, i;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	fprintf(out,
		"{\n\t\"schema\": \"%s\",\n\t\"default\": \"drop\",\n\t\"rules\": [",
		SHUNT_POLICY_SCHEMA);
	for (i = 0; i < n; i++) {
		fputs(i ? ",\n" : "\n", out);
		shunt_classbench_write_rule(out, i, &rules[i]);
	}
	fputs("\n\t]\n}\n", out);
	if (ferror(out) | fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
