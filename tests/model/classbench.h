/* SPDX-License-Identifier: BSD-2-Clause */
/* Rule sets like ClassBench's, of any size, and packets for them. */
#pragma once

/*
 * ClassBench (Taylor, Turner: ClassBench, a packet classification benchmark, INFOCOM
 * 2005) measured the filters of real routers and firewalls and found three families of
 * them: access lists (acl), firewalls (fw) and chains of Linux hosts (ipc). They differ
 * in how long the prefixes of the two sides are, taken together; in how addresses
 * branch and nest; in protocols; and in which pairs of port ranges each protocol has.
 * tests/model/classbench_seed.h has a family's shares, rounded from what the authors
 * published; classbench.c draws from them. IPv6 lengths are made from the IPv4 ones.
 *
 * A set is the same for the same arguments, on every machine. No two rules ask for the
 * same packets, and no rule stands behind one that takes all of its packets. Apart from
 * that the order is random, as ClassBench's is.
 *
 *     struct shunt_classbench_rule *rules;
 *     size_t n = 16384;
 *
 *     if (!shunt_classbench_make(SHUNT_CLASSBENCH_FW, 6, n, 1, &rules))
 *             text = shunt_classbench_policy(rules, n);
 *     …
 *     shunt_classbench_draw(&random, rules, n, &spec);
 *     shunt_frame_build(&spec, &frame);
 *     want = shunt_classbench_match(rules, n, &spec);
 *
 * Making a set takes time that grows with the square of n: 16,384 rules one to three
 * seconds, 1,000 a few milliseconds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/model/frame.h"
#include "tests/model/random.h"
#include "user/base/err.h"

/* X(ENUM, name) */
#define SHUNT_CLASSBENCH_FAMILIES(X)                                                   \
	X(ACL, "acl")                                                                  \
	X(FW, "fw")                                                                    \
	X(IPC, "ipc")

enum shunt_classbench_family {
#define X(id, name) SHUNT_CLASSBENCH_##id,
	SHUNT_CLASSBENCH_FAMILIES(X)
#undef X
		SHUNT_CLASSBENCH_FAMILY_COUNT,
};

struct shunt_classbench_net {
	uint8_t addr[16]; /* network order; IPv4 in the first 4 bytes, the rest 0 */
	uint8_t bits;	  /* 0: any */
};

/* Numbers in host order. A rule never asks for nothing at all. */
struct shunt_classbench_rule {
	struct shunt_classbench_net src, dst;
	uint8_t ip;	   /* 4 or 6; where no side has bits, the rule is for both */
	uint8_t proto;	   /* 0: any; 1 in IPv4 and 58 in IPv6: ICMP */
	uint8_t flags;	   /* TCP flags that are on … */
	uint8_t flag_mask; /* … among these; 0: the rule does not look at them */
	uint8_t drop;	   /* else pass */
	uint16_t sport[2], dport[2]; /* lowest and highest; 0 and 65535: any */
};

/* The family's name, and back: -EINVAL where there is none of that name. */
const char *shunt_classbench_name(enum shunt_classbench_family family);
int shunt_classbench_family(const char *name);

/*
 * Makes n rules (1 to 65,536) of IP version 4 or 6. Returns 0 and the rules, to be freed
 * by free(), or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_classbench_make(enum shunt_classbench_family family, int ip,
					   size_t n, uint64_t seed,
					   struct shunt_classbench_rule **rules);

/* The rule does not look at ports, at the source port, at the destination port. */
static inline bool shunt_classbench_any_port(const uint16_t port[2])
{
	return port[0] == 0 && port[1] == 65535;
}

/* Is there a packet that both rules match? Does `outer` match all that `inner` does? */
bool shunt_classbench_overlap(const struct shunt_classbench_rule *a,
			      const struct shunt_classbench_rule *b);
bool shunt_classbench_cover(const struct shunt_classbench_rule *outer,
			    const struct shunt_classbench_rule *inner);

/* --- packets ----------------------------------------------------------------- */

/*
 * A sound packet of the set's IP version, not a fragment. Seven in eight are aimed at a
 * rule, any rule alike, which an earlier one may take: each field is any value that the
 * rule takes, or its lowest or highest; seldom the one just outside. The rest go from
 * anywhere to anywhere. `payload` is 0.
 */
void shunt_classbench_draw(struct shunt_random *random,
			   const struct shunt_classbench_rule *rules, size_t n,
			   struct shunt_frame_spec *spec);

/* The place of the first rule that matches, found by trying all; n where none does. */
size_t shunt_classbench_match(const struct shunt_classbench_rule *rules, size_t n,
			      const struct shunt_frame_spec *spec);

/* --- as text ----------------------------------------------------------------- */

/*
 * The set as a policy (docs/policy.md), malloced: rules r0, r1, … and the default drop.
 * NULL: out of memory.
 */
char *shunt_classbench_policy(const struct shunt_classbench_rule *rules, size_t n);

/* One rule, named r and its place, as an element of a policy's "rules". */
void shunt_classbench_write_rule(FILE *out, size_t place,
				 const struct shunt_classbench_rule *rule);
