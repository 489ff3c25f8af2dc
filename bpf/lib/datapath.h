/* SPDX-License-Identifier: GPL-2.0-only */
/* What the hooks share in the kernel: judge a parsed packet, and the one counted exit. */
#pragma once

/*
 *     hook ─▶ parse ─▶ shunt_judge() ─▶ the hook's own way to act ─▶ shunt_exit()
 *
 * shunt_judge() reads the generation word once, finds the image, and leaves the
 * deciding rule in the trace. It is a global function: the verifier checks it once by
 * itself, so that its paths do not multiply with the parser's.
 */
#include <bpf/bpf_helpers.h>

#include "maps/abi.h"
#include "maps/counter.h"
#include "maps/gen.h"
#include "maps/image.h"
#include "maps/set.h"
#include "maps/trace.h"

/*
 * Is the address in the set? A global function, so that the loop over a policy's sets is
 * cheap to verify. Keys are copied: Linux 6.1 takes them from the own stack only.
 */
__noinline int shunt_set_find(__u32 id, __u32 type, __u32 l3,
			      const struct shunt_addr6 *addr)
{
	struct shunt_lpm6 key; /* the IPv4 keys are its beginning */
	void *inner;

	if (!addr)
		return 0;
	key.bits = l3 == SHUNT_L3_IP4 ? 32 : 128;
	key.addr[0] = addr->addr[0];
	key.addr[1] = addr->addr[1];
	key.addr[2] = addr->addr[2];
	key.addr[3] = addr->addr[3];
	if (type == SHUNT_SET_ADDRESS && l3 == SHUNT_L3_IP4) {
		inner = bpf_map_lookup_elem(&shunt_addr4, &id);
		return inner && bpf_map_lookup_elem(inner, key.addr);
	}
	if (type == SHUNT_SET_ADDRESS) {
		inner = bpf_map_lookup_elem(&shunt_addr6, &id);
		return inner && bpf_map_lookup_elem(inner, key.addr);
	}
	if (l3 == SHUNT_L3_IP4) {
		inner = bpf_map_lookup_elem(&shunt_lpm4, &id);
		return inner && bpf_map_lookup_elem(inner, &key);
	}
	inner = bpf_map_lookup_elem(&shunt_lpm6, &id);
	return inner && bpf_map_lookup_elem(inner, &key);
}

static __always_inline int shunt_set_has(__u32 id, __u32 type, __u32 l3,
					 const __u32 addr[4])
{
	return shunt_set_find(id, type, l3, (const struct shunt_addr6 *)addr);
}

#include "bpf/lib/decide.h"

static __always_inline void shunt_count(__u32 hook, __u32 id, __u32 len)
{
	__u32 key = shunt_counter_key(hook, id);
	struct shunt_counter *counter = bpf_map_lookup_elem(&shunt_counter, &key);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += len;
}

/* shunt_hits_take() as a global function, for the loop below. */
__noinline int shunt_next_hit(struct shunt_hits *hits, __u32 rules)
{
	return hits ? shunt_hits_take(hits, rules) : rules;
}

/*
 * The `count` rules in front of the deciding one, t->rule being the first of them:
 * counts each, and leaves the deciding rule's place in t->rule. 0, or -1: damaged image.
 */
__noinline int shunt_pass_counts(struct shunt_trace *t, struct shunt_hits *hits,
				 __u32 counts)
{
	struct shunt_image *image;
	__u32 slot, i;

	if (!t || !hits)
		return -1;
	slot = shunt_gen_slot(t->generation);
	image = bpf_map_lookup_elem(&shunt_image, &slot);
	if (!image)
		return -1;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_VECTOR_MAX; i++) {
		const struct shunt_image_rule *rule =
			shunt_image_rule_at(image, t->rule);

		if (!rule)
			return -1;
		if (rule->action != SHUNT_ACTION_COUNT)
			break;
		if (counts)
			shunt_count(t->hook, rule->counter, t->pkt.len);
		if (t->counted < SHUNT_TRACE_COUNTED)
			t->counted_rule[t->counted] = t->rule;
		t->counted++;
		t->rule = shunt_next_hit(hits, image->rules);
	}
	return 0;
}

/*
 * The reason that no rule is asked about, from the parser, is in t->reason; else
 * SHUNT_REASON_RULE. On return t says which rule decided and t->rule_data what it
 * wants. `counts` is 0 in a test run. Always returns 0.
 */
__noinline int shunt_judge(struct shunt_trace *t, __u32 counts)
{
	struct shunt_hits hits;
	struct shunt_image *image;
	struct shunt_gen *gen;
	const struct shunt_image_rule *rule;
	__u32 key = 0;

	if (!t)
		return 0;
	t->rule_data.action = SHUNT_VERDICT_PASS;
	gen = bpf_map_lookup_elem(&shunt_gen, &key);
	if (!gen)
		goto damaged;
	t->generation = *(volatile __u64 *)&gen->word;
	key = shunt_gen_slot(t->generation);
	image = bpf_map_lookup_elem(&shunt_image, &key);
	if (!image || image->abi != SHUNT_ABI ||
	    image->features & ~shunt_config.features)
		goto damaged;
	t->rule = image->rules;
	if (t->reason != SHUNT_REASON_RULE) {
		t->rule_data.action = image->malformed;
		return 0;
	}
	if (shunt_decide(image, &t->pkt, &hits))
		goto damaged;
	t->rule = shunt_hits_take(&hits, image->rules);
	rule = shunt_image_rule_at(image, t->rule);
	if (!rule)
		goto damaged;
	if (SHUNT_HAS(COUNT) && rule->action == SHUNT_ACTION_COUNT) {
		if (shunt_pass_counts(t, &hits, counts))
			goto damaged;
		rule = shunt_image_rule_at(image, t->rule);
		if (!rule)
			goto damaged;
	}
	t->rule_data = *rule;
	if (t->rule == image->rules)
		t->reason = SHUNT_REASON_DEFAULT;
	if (counts)
		shunt_count(t->hook, rule->counter, t->pkt.len);
	return 0;
damaged:
	t->reason = SHUNT_REASON_INTERNAL;
	return 0;
}

/* Is this request ours? Then the run is a test run: not counted, but recorded. */
static __always_inline int shunt_is_traced(const struct shunt_trace_req *req)
{
	__u32 key = 0;
	struct shunt_gen *gen = bpf_map_lookup_elem(&shunt_gen, &key);

	return gen && gen->trace_cookie == req->cookie;
}

/* The one exit: every packet is counted here under its reason and verdict, once. */
static __always_inline void shunt_exit(struct shunt_trace *t, __u64 token)
{
	if (token)
		bpf_map_update_elem(&shunt_trace, &token, t, BPF_ANY);
	else
		shunt_count(t->hook, shunt_counter_reason_id(t->reason, t->verdict),
			    t->pkt.len);
}
