/* SPDX-License-Identifier: BSD-2-Clause */
/* The cases of bench/classify.c: policies, and packets for them; the same in every run. */
#pragma once

/*
 * Rules are those of tests/model/classbench.h, and so are most packets. A block list is
 * the other kind of policy: only source addresses, half of the packets from one of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bpf/lib/wire.h"
#include "loader/policy/policy.h"
#include "tests/model/classbench.h"
#include "tests/model/frame.h"
#include "user/base/cleanup.h"

#define BENCH_ETH_BYTES 14
#define BENCH_L3_BYTES 64 /* of each packet, behind the Ethernet header */

struct bench_case {
	const char *name;
	enum shunt_classbench_family set;
	int family; /* 4 or 6 */
	uint32_t rules;
	uint32_t members; /* of the set */
	bool block;	  /* nothing but source addresses: the members, as rules too */
	const char *help;
};

/* The content of a case: what the policy says, and whom the packets come from. */
struct bench_list {
	const struct bench_case *which;
	struct shunt_classbench_rule *rule;   /* which->rules of them */
	struct shunt_classbench_rule *member; /* which->members; only src is used */
};

static inline void bench_list_free(struct bench_list *list)
{
	free(list->rule);
	free(list->member);
}

static inline void bench_list_draw_member(struct shunt_random *random,
					  const struct bench_case *which,
					  struct shunt_classbench_rule *member)
{
	struct shunt_classbench_net *net = &member->src;
	uint64_t word = shunt_random_next(random);
	unsigned int bit;

	*member = (struct shunt_classbench_rule){
		.ip = which->family,
		.drop = true,
		.sport = { 0, 65535 },
		.dport = { 0, 65535 },
	};
	memcpy(net->addr, &word, 4);
	net->addr[0] = 1 + net->addr[0] % 223; /* unicast */
	net->bits = which->block ? 32 : shunt_random_in(random, 20, 32);
	for (bit = net->bits; bit < 32; bit++)
		net->addr[bit / 8] &= ~(0x80 >> bit % 8);
}

/* Members are IPv4's. The caller frees the list, also after a failure. */
static inline int bench_list_draw(struct bench_list *list,
				  const struct bench_case *which, struct shunt_err *err)
{
	struct shunt_random random = { 256 };
	uint32_t i;
	int ret = 0;

	*list = (struct bench_list){ .which = which };
	list->member = calloc(which->members + 1, sizeof(*list->member));
	if (which->rules)
		ret = shunt_classbench_make(which->set, which->family, which->rules, 1,
					    &list->rule);
	if (ret || !list->member)
		return shunt_fail(err, -ENOMEM, "%s: out of memory", which->name);
	for (i = 0; i < which->members; i++)
		bench_list_draw_member(&random, which, &list->member[i]);
	return 0;
}

/* --- as a policy --------------------------------------------------------------------- */

static inline void bench_list_write_set(FILE *out, const struct bench_list *list)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t i;

	fprintf(out, "\"sets\": { \"bad\": { \"type\": \"%s\", \"elements\": [",
		list->which->block ? "address" : "prefix");
	for (i = 0; i < list->which->members; i++) {
		const struct shunt_classbench_net *net = &list->member[i].src;

		inet_ntop(AF_INET, net->addr, text, sizeof(text));
		fprintf(out, "%s\"%s/%u\"", i ? ", " : " ", text, net->bits);
	}
	fputs(" ] } }, ", out);
}

/* With a set, its rule comes first and takes one rule's place. */
static inline void bench_list_write_rules(FILE *out, const struct bench_list *list,
					  bool with_set)
{
	uint32_t i;

	fputs("\"rules\": [ ", out);
	if (with_set)
		fputs("{ \"name\": \"bad\", \"match\": { \"src\": \"@bad\" }, "
		      "\"action\": \"drop\" }",
		      out);
	for (i = with_set; i < list->which->rules; i++) {
		if (with_set && list->which->block)
			break;
		fputs(i ? ",\n" : "", out);
		shunt_classbench_write_rule(
			out, i, list->which->block ? &list->member[i] : &list->rule[i]);
	}
	fputs(" ] }\n", out);
}

static inline int bench_list_policy(struct shunt_policy **policy,
				    const struct bench_list *list, bool with_set,
				    struct shunt_err *err)
{
	_free_ char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	struct shunt_diags diags = { 0 };
	int ret;

	if (!out)
		return shunt_fail_errno(err, -errno, "write a policy");
	fprintf(out, "{ \"schema\": \"%s\", \"default\": \"pass\", ",
		SHUNT_POLICY_SCHEMA);
	if (with_set)
		bench_list_write_set(out, list);
	bench_list_write_rules(out, list, with_set);
	fclose(out);
	ret = shunt_policy_read(policy, text, bytes, NULL, &diags);
	if (ret)
		ret = shunt_fail(err, ret, "%s: the policy is refused: %s: %s",
				 list->which->name, diags.n ? diags.at[0].pointer : "",
				 diags.n ? diags.at[0].message : "out of memory");
	shunt_diags_free(&diags);
	return ret;
}

/* --- as packets ------------------------------------------------------------------------ */

static inline void bench_list_draw_spec(struct shunt_random *random,
					const struct bench_list *list,
					struct shunt_frame_spec *spec)
{
	const struct bench_case *which = list->which;
	struct shunt_classbench_rule any = { .ip = which->family,
					     .sport = { 0, 65535 },
					     .dport = { 0, 65535 } };

	if (which->members && shunt_random_one_in(random, which->block ? 2 : 8))
		any = list->member[shunt_random_below(random, which->members)];
	else if (!which->block) {
		shunt_classbench_draw(random, list->rule, which->rules, spec);
		return;
	}
	shunt_classbench_draw(random, &any, 1, spec);
}

/* The bytes behind the Ethernet header. */
static inline void bench_spec_write(struct shunt_frame_spec *spec,
				    uint8_t l3[BENCH_L3_BYTES])
{
	struct shunt_model_frame frame;

	spec->payload = 0;
	shunt_frame_build(spec, &frame);
	spec->payload = BENCH_ETH_BYTES + BENCH_L3_BYTES - frame.len;
	shunt_frame_build(spec, &frame);
	memcpy(l3, frame.bytes + BENCH_ETH_BYTES, BENCH_L3_BYTES);
}
