/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule set for nftables by sets: decision trees of interval verdict maps. */
#pragma once

/*
 * What form of wildcard rules is the best that nftables can be given? A verdict map over
 * the concatenation of both addresses, protocol and both ports, with intervals in each
 * field, looks like it: one lookup. But such a map knows no order. Elements that overlap
 * have no defined winner, and the kernel refuses most of them. Rules would have to be
 * spread over maps that are looked up in turn, so that no map holds two rules that
 * overlap and none comes before a map that has an earlier rule with another verdict.
 * For sets of 16,384 rules that takes 202 maps (acl), 794 (ipc) or 2,187 (fw).
 *
 * So the rules go into decision trees, which keep any order. A node is a chain with one
 * verdict map over one field: disjoint intervals (the kernel's red-black tree), each
 * with a chain for the rules that it touches. A leaf is a chain of few rules (NFT_LEAF),
 * in order, each with its whole match. Intervals with the same rules share a chain.
 *
 * A rule that is open in a field stands in every branch, which would multiply
 * firewalls' rules without end. Hence up to four trees, by which addresses a rule is
 * specific in (as in EffiCuts; Vamanan, Voskuilen, Vijaykumar, SIGCOMM 2010). The
 * earliest match of all trees wins: the mark holds the place of the best rule so far,
 * and a rule of a leaf compares it with its own.
 *
 *     chain rules     meta mark set 0xffffffff, jump t0 … t3, accept by the mark's bit 0
 *     chain t0        ip daddr vmap { A-B : goto n17, … }
 *     chain n17       ip saddr vmap { … }
 *     chain n42       meta mark > 34 ip saddr 10.0.0.0/8 … meta mark set 34 return
 *
 * A packet costs at most four times some lookups and a leaf, however many rules there
 * are: that is what the linear form cannot have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/netfilter.h"
#include "tests/model/classbench_order.h"
#include "user/base/cleanup.h"

#define NFT_LEAF 32
#define NFT_COPIES 8 /* of a rule, on average, that a cut may make */
#define NFT_FIELDS 5
#define NFT_DEEP 8 /* levels, at most */
#define NFT_TREES 4

typedef unsigned __int128 nft_point; /* an address, a port or a protocol */

struct nft_box {
	nft_point lo[NFT_FIELDS], hi[NFT_FIELDS];
};

struct nft_list {
	uint32_t *at; /* places of rules, ascending */
	size_t n;
};

struct nft_tree {
	const struct shunt_classbench_rule *rules;
	size_t n;
	struct nft_box *box;
	FILE *chains;
	struct {
		struct nft_list rules;
		uint32_t chain;
	} * known; /* chains that are written */
	size_t knowns, room;
};

static const char *const nft_field[2][NFT_FIELDS] = {
	{ "ip daddr", "ip saddr", "th dport", "th sport", "meta l4proto" },
	{ "ip6 daddr", "ip6 saddr", "th dport", "th sport", "meta l4proto" },
};

static inline struct nft_box nft_box_of(const struct shunt_classbench_rule *rule)
{
	struct shunt_classbench_box b;
	struct nft_box box;
	int side;

	shunt_classbench_box(rule, &b);
	for (side = 0; side < 2; side++) {
		box.lo[!side] = (nft_point)b.lo[side][0] << 64 | b.lo[side][1];
		box.hi[!side] = (nft_point)b.hi[side][0] << 64 | b.hi[side][1];
		box.lo[3 - side] = b.port[side][0];
		box.hi[3 - side] = b.port[side][1];
	}
	if (rule->ip == 4) /* an address is 32 bits, not the upper ones of 128 */
		for (side = 0; side < 2; side++) {
			box.lo[side] >>= 96;
			box.hi[side] >>= 96;
		}
	box.lo[4] = b.proto[0];
	box.hi[4] = b.proto[1];
	return box;
}

/* --- cutting ------------------------------------------------------------------------ */

static inline int nft_by_point(const void *a, const void *b)
{
	nft_point x = *(const nft_point *)a, y = *(const nft_point *)b;

	return (x > y) - (x < y);
}

/* Where intervals with the same rules may start; returns how many, the first is 0. */
static inline size_t nft_starts(const struct nft_tree *t, const struct nft_list *list,
				int field, nft_point *start)
{
	size_t i, n = 0, unique = 0;

	start[n++] = 0;
	for (i = 0; i < list->n; i++) {
		start[n++] = t->box[list->at[i]].lo[field];
		start[n++] = t->box[list->at[i]].hi[field] + 1;
	}
	qsort(start, n, sizeof(*start), nft_by_point);
	for (i = 1; i < n; i++)
		if (start[i] > start[unique])
			start[++unique] = start[i];
	return unique + 1;
}

static inline struct nft_list nft_touching(const struct nft_tree *t,
					   const struct nft_list *list, int field,
					   nft_point at, uint32_t *room)
{
	struct nft_list some = { room, 0 };

	for (size_t i = 0; i < list->n; i++) {
		const struct nft_box *box = &t->box[list->at[i]];

		if (box->lo[field] <= at && at <= box->hi[field])
			some.at[some.n++] = list->at[i];
	}
	return some;
}

/* What cutting by the field comes to: its largest branch; 0: too many copies of rules. */
static inline size_t nft_largest(const struct nft_tree *t, const struct nft_list *list,
				 int field, nft_point *lo, nft_point *hi)
{
	size_t i, j, open = 0, most = 0, copies = 0;

	for (i = 0; i < list->n; i++) {
		lo[i] = t->box[list->at[i]].lo[field];
		hi[i] = t->box[list->at[i]].hi[field];
	}
	qsort(lo, list->n, sizeof(*lo), nft_by_point);
	qsort(hi, list->n, sizeof(*hi), nft_by_point);
	for (i = 0, j = 0; i < list->n; i++) {
		open++;
		for (; hi[j] < lo[i]; j++)
			open--;
		most = open > most ? open : most;
		copies += i + 1 < list->n && lo[i + 1] == lo[i] ? 0 : open;
	}
	return copies > NFT_COPIES * list->n ? 0 : most;
}

/* The field whose branches are the smallest; -1: no cut would be worth it. */
static inline int nft_choose(const struct nft_tree *t, const struct nft_list *list)
{
	_free_ nft_point *lo = calloc(list->n, sizeof(*lo));
	_free_ nft_point *hi = calloc(list->n, sizeof(*hi));
	size_t best = list->n / 2 + 1, most;
	int field, chosen = -1;

	for (field = 0; lo && hi && field < NFT_FIELDS; field++) {
		most = nft_largest(t, list, field, lo, hi);
		if (most && most < best) {
			best = most;
			chosen = field;
		}
	}
	return chosen;
}

/* --- writing ------------------------------------------------------------------------ */

static inline void nft_write_point(const struct nft_tree *t, FILE *out, int field,
				   nft_point at)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];
	int bytes = t->rules[0].ip == 6 ? 16 : 4, i;

	if (field >= 2) {
		fprintf(out, "%u", (unsigned int)at);
		return;
	}
	for (i = bytes - 1; i >= 0; i--, at >>= 8)
		addr[i] = at;
	fputs(inet_ntop(bytes == 16 ? AF_INET6 : AF_INET, addr, text, sizeof(text)),
	      out);
}

static inline void nft_write_leaf(struct nft_tree *t, uint32_t chain,
				  const struct nft_list *list)
{
	fprintf(t->chains, "\tchain n%u {\n", chain);
	for (size_t i = 0; i < list->n; i++) {
		const struct shunt_classbench_rule *rule = &t->rules[list->at[i]];
		unsigned int mark = list->at[i] << 1 | rule->drop;

		fprintf(t->chains, "\t\tmeta mark > %u ", mark);
		nft_write_match(t->chains, rule);
		fprintf(t->chains, "meta mark set %u return\n", mark);
	}
	fputs("\t}\n", t->chains);
}

static inline int64_t nft_write_list(struct nft_tree *t, const struct nft_list *list,
				     int depth);

struct nft_cut {
	nft_point start;
	int64_t chain; /* -1: no rule is touched */
};

static inline int nft_write_node(struct nft_tree *t, uint32_t chain, int field,
				 const struct nft_cut *cut, size_t n, nft_point end)
{
	const char *comma = "\n";
	size_t i, next;

	fprintf(t->chains, "\tchain n%u {\n\t\t%s vmap {", chain,
		nft_field[t->rules[0].ip == 6][field]);
	for (i = 0; i < n; i = next) {
		for (next = i + 1; next < n && cut[next].chain == cut[i].chain; next++)
			;
		if (cut[i].chain < 0)
			continue;
		fputs(comma, t->chains);
		nft_write_point(t, t->chains, field, cut[i].start);
		fputc('-', t->chains);
		nft_write_point(t, t->chains, field,
				next < n ? cut[next].start - 1 : end);
		fprintf(t->chains, " : goto n%u", (unsigned int)cut[i].chain);
		comma = ",\n";
	}
	fputs("\n\t\t}\n\t}\n", t->chains);
	return 0;
}

/* The highest value of a field. */
static inline nft_point nft_end(const struct nft_tree *t, int field)
{
	if (field < 2)
		return t->rules[0].ip == 6 ? ~(nft_point)0 : 0xffffffff;
	return field == 4 ? 255 : 65535;
}

static inline int nft_write_cuts(struct nft_tree *t, uint32_t chain,
				 const struct nft_list *list, int field, int depth)
{
	_free_ nft_point *start = calloc(2 * list->n + 1, sizeof(*start));
	_free_ uint32_t *room = calloc(list->n, sizeof(*room));
	_free_ struct nft_cut *cut = calloc(2 * list->n + 1, sizeof(*cut));
	size_t n = start && room && cut ? nft_starts(t, list, field, start) : 0, i;
	nft_point end = nft_end(t, field);

	/* Behind the highest value lies nothing; of addresses, it has wrapped to 0. */
	while (n && start[n - 1] > end)
		n--;
	for (i = 0; i < n; i++) {
		struct nft_list some = nft_touching(t, list, field, start[i], room);

		cut[i] = (struct nft_cut){ start[i], -1 };
		if (some.n)
			cut[i].chain = nft_write_list(t, &some, depth + 1);
		if (cut[i].chain < -1)
			return cut[i].chain;
	}
	return n ? nft_write_node(t, chain, field, cut, n, end) : -ENOMEM;
}

/* A chain that is written already for the same rules; -1: none. */
static inline int64_t nft_find(const struct nft_tree *t, const struct nft_list *list)
{
	for (size_t i = t->knowns; i--;)
		if (t->known[i].rules.n == list->n &&
		    !memcmp(t->known[i].rules.at, list->at,
			    list->n * sizeof(*list->at)))
			return t->known[i].chain;
	return -1;
}

static inline int64_t nft_remember(struct nft_tree *t, const struct nft_list *list)
{
	size_t bytes = list->n * sizeof(*list->at);
	uint32_t *copy = malloc(bytes);
	void *more = t->known;

	if (t->knowns == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		more = realloc(t->known, t->room * sizeof(*t->known));
	}
	if (more)
		t->known = more;
	if (!more || !copy) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, list->at, bytes);
	t->known[t->knowns].rules = (struct nft_list){ copy, list->n };
	t->known[t->knowns].chain = t->knowns;
	return t->knowns++;
}

/* The chain that finds the first of these rules, or -errno (not -1). */
static inline int64_t nft_write_list(struct nft_tree *t, const struct nft_list *list,
				     int depth)
{
	int64_t chain = nft_find(t, list);
	int field, ret = 0;

	if (chain >= 0)
		return chain;
	chain = nft_remember(t, list);
	if (chain < 0)
		return chain;
	field = list->n <= NFT_LEAF || depth == NFT_DEEP ? -1 : nft_choose(t, list);
	if (field < 0)
		nft_write_leaf(t, chain, list);
	else
		ret = nft_write_cuts(t, chain, list, field, depth);
	return ret ? ret : chain;
}

/* --- whole sets ---------------------------------------------------------------------- */

/* Which tree a rule goes into: which of its addresses are specific. */
static inline unsigned int nft_tree_of(const struct shunt_classbench_rule *rule)
{
	unsigned int specific = rule->ip == 6 ? 48 : 24;

	return (rule->src.bits >= specific) | (rule->dst.bits >= specific) << 1;
}

static inline int nft_write_trees(struct nft_tree *t, FILE *out)
{
	_free_ uint32_t *room = calloc(t->n, sizeof(*room));
	unsigned int which;
	size_t i;

	for (which = NFT_TREES; which--;) {
		struct nft_list list = { room, 0 };
		int64_t chain;

		if (!room)
			return -ENOMEM;
		for (i = 0; i < t->n; i++)
			if (nft_tree_of(&t->rules[i]) == which)
				list.at[list.n++] = i;
		if (!list.n)
			continue;
		chain = nft_write_list(t, &list, 0);
		if (chain < 0)
			return chain;
		fprintf(out, "\t\tjump n%u\n", (unsigned int)chain);
	}
	return 0;
}

/* Writes what `nft -f` reads; returns how many chains there are, or -errno. */
static inline int nft_write_sets(FILE *out, const struct shunt_classbench_rule *rules,
				 size_t n)
{
	_free_ struct nft_box *box = calloc(n, sizeof(*box));
	_free_ char *jumps = NULL;
	size_t bytes, i;
	FILE *entry = open_memstream(&jumps, &bytes);
	struct nft_tree t = { .rules = rules, .n = n, .box = box, .chains = out };
	int ret = box && entry ? 0 : -ENOMEM;

	for (i = 0; !ret && i < n; i++)
		box[i] = nft_box_of(&rules[i]);
	fprintf(out, "table %s shunt_bench {\n", netfilter_l3(rules[0].ip));
	if (!ret)
		ret = nft_write_trees(&t, entry);
	if (entry)
		fclose(entry);
	fprintf(out,
		"\tchain rules {\n"
		"\t\ttype filter hook prerouting priority raw; policy drop;\n"
		"\t\tmeta mark set 0xffffffff\n%s"
		"\t\tmeta mark & 0x1 == 0x0 accept\n\t}\n}\n",
		jumps ? jumps : "");
	for (i = 0; i < t.knowns; i++)
		free(t.known[i].rules.at);
	free(t.known);
	return ret ? ret : (int)t.knowns;
}
