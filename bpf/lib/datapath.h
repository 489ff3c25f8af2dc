/* SPDX-License-Identifier: GPL-2.0-only */
/* What the hooks share in the kernel: judge a parsed packet, and the one counted exit. */
#pragma once

/*
 *     hook ─▶ parse ─▶ shunt_judge() ─▶ the hook's own way to act ─▶ shunt_exit()
 *
 * shunt_judge() reads the generation word once, finds the image, and leaves the
 * deciding rule in the trace.
 *
 * A packet that XDP passes comes by in TC ingress a moment later; lest a swap between the
 * two shows it a mix of policies, the generation goes along with it (bpf/lib/carry.h).
 */
#include <bpf/bpf_helpers.h>

#include "maps/abi.h"
#include "maps/counter.h"
#include "maps/gen.h"
#include "maps/image.h"
#include "maps/config.h"
#include "maps/scratch.h"
#include "maps/set.h"
#include "maps/trace.h"

#include "bpf/lib/set.h"

/* The image that the packet is judged by. */
static __always_inline struct shunt_image *shunt_image_of(const struct shunt_search *s)
{
	__u32 slot = s->slot;

	return bpf_map_lookup_elem(&shunt_image, &slot);
}

/* --- the classifier's steps ------------------------------------------------------ */

#include "bpf/lib/decide.h"

/*
 * A call costs more than its code where returns are guarded against speculation, so that
 * what every packet needs is inlined.
 */
static __always_inline int shunt_lookup_call(const struct shunt_image *image,
					     __u32 engine, const struct shunt_pkt *pkt,
					     struct shunt_search *s)
{
	return shunt_lookup(image, engine, pkt, s);
}

static __always_inline int shunt_lookup_side_call(const struct shunt_image *image,
						  __u32 engine,
						  const struct shunt_pkt *pkt,
						  __u32 where, struct shunt_search *s)
{
	return shunt_lookup_side(image, shunt_tables_of(image, engine), pkt, where, s);
}

/* Global functions: verified once each, wherever they are called from. */

/* Always returns 0. */
__noinline int shunt_rest_of_word(struct shunt_search *s, __u32 word)
{
	struct shunt_image *image = s ? shunt_image_of(s) : 0;

	if (image)
		shunt_word_rest(image, s, word);
	return 0;
}

static __always_inline void shunt_word_rest_call(const struct shunt_image *image,
						 struct shunt_search *s, __u32 word)
{
	(void)image;
	shunt_rest_of_word(s, word);
}

__noinline int shunt_begin_words(struct shunt_scratch *s)
{
	struct shunt_image *image = s ? shunt_image_of(&s->search) : 0;

	return image ? shunt_words_begin(image, &s->trace.pkt, &s->search) : -1;
}

/* The search is always the one in the scratch memory of its packet. */
static __always_inline int shunt_words_begin_call(const struct shunt_image *image,
						  const struct shunt_pkt *pkt,
						  struct shunt_search *s)
{
	(void)image;
	(void)pkt;
	return shunt_begin_words(
		(void *)((char *)s - offsetof(struct shunt_scratch, search)));
}

__noinline int shunt_words_under(struct shunt_search *s, __u32 at)
{
	struct shunt_image *image = s ? shunt_image_of(s) : 0;

	return image ? shunt_words_of(image, s, at) : -1;
}

static __always_inline int shunt_words_of_call(const struct shunt_image *image,
					       struct shunt_search *s, __u32 at)
{
	(void)image;
	return shunt_words_under(s, at);
}

__noinline int shunt_sets_of(struct shunt_search *s, __u32 where)
{
	struct shunt_image *image = s ? shunt_image_of(s) : 0;

	return image ? shunt_and_sets(image, where, s) : -1;
}

static __always_inline int shunt_and_sets_call(const struct shunt_image *image,
					       __u32 where, struct shunt_search *s)
{
	(void)image;
	return shunt_sets_of(s, where);
}

__noinline int shunt_judge_sets(struct shunt_scratch *s)
{
	struct shunt_image *image = s ? shunt_image_of(&s->search) : 0;

	if (!image)
		return -1;
	shunt_ask_sets(image, &s->trace.pkt, &s->search);
	return 0;
}

/* --- from the steps to a rule ---------------------------------------------------- */

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
__noinline __u32 shunt_next_hit(struct shunt_scratch *s)
{
	struct shunt_image *image = s ? shunt_image_of(&s->search) : 0;

	return image ? shunt_hits_take(image, &s->search) : 0;
}

/*
 * The vectors' rules in front of s->search.best: `count` rules are counted, the first
 * other one becomes the best. 0, or -1: damaged image.
 */
__noinline int shunt_take_hits(struct shunt_scratch *s, __u32 counts)
{
	__u32 last = ~0u, i;

	if (!s)
		return -1;
	SHUNT_NO_UNROLL
	for (i = 0; i <= SHUNT_VECTOR_MAX; i++) {
		struct shunt_image *image = shunt_image_of(&s->search);
		__u32 place = shunt_next_hit(s);
		const struct shunt_image_rule *rule;

		if (!image)
			return -1;
		if (place >= s->search.best)
			return 0;
		if (place == last) /* another of the same rule's bits */
			continue;
		last = place;
		rule = shunt_image_rule_at(image, place);
		if (!rule)
			return -1;
		if (rule->action != SHUNT_ACTION_COUNT) {
			s->search.best = place;
			return 0;
		}
		if (counts)
			shunt_count(s->trace.hook, rule->counter, s->trace.pkt.len);
		if (s->trace.counted < SHUNT_TRACE_COUNTED)
			s->trace.counted_rule[s->trace.counted] = place;
		s->trace.counted++;
	}
	return 0;
}

/* The generation that rules at this moment. */
static __always_inline __u64 shunt_ruling(const struct shunt_gen *gen)
{
	__u64 word = *(volatile const __u64 *)&gen->word;
	int late = word & SHUNT_GEN_ARMED && bpf_ktime_get_ns() >= gen->deadline;

	return shunt_gen_of(word, late);
}

/*
 * The image to judge by, whose generation is then in the trace: that which rules, or the
 * one that an earlier hook judged this packet by, while it is still there.
 */
static __always_inline struct shunt_image *shunt_choose_image(
	const struct shunt_gen *gen, struct shunt_scratch *s)
{
	__u64 generation = shunt_ruling(gen) + s->ahead;
	struct shunt_image *image;

	if (SHUNT_HAS(CARRY) && s->carried) {
		s->search.slot = shunt_gen_slot(s->carried);
		image = shunt_image_of(&s->search);
		if (image && image->generation == s->carried) {
			s->trace.generation = s->carried;
			return image;
		}
	}
	s->trace.generation = generation;
	s->search.slot = shunt_gen_slot(generation);
	return shunt_image_of(&s->search);
}

/*
 * The reason that no rule is asked about, from the parser, is in the trace's reason; else
 * SHUNT_REASON_RULE. On return the trace says which rule decided and rule_data what it
 * wants. `counts` is 0 in a test run. Always returns 0.
 */
static __always_inline int shunt_judge(struct shunt_scratch *s, __u32 counts)
{
	struct shunt_image *image;
	struct shunt_gen *gen;
	const struct shunt_image_rule *rule;
	struct shunt_trace *t;
	__u32 key = 0;

	if (!s)
		return 0;
	t = &s->trace;
	t->rule = 0;
	t->rule_data = (struct shunt_image_rule){ .action = SHUNT_VERDICT_PASS };
	gen = bpf_map_lookup_elem(&shunt_gen, &key);
	if (!gen)
		goto damaged;
	image = shunt_choose_image(gen, s);
	if (!image || image->abi != SHUNT_ABI ||
	    image->features & ~shunt_config.features)
		goto damaged;
	t->rule = image->rules;
	if (t->reason != SHUNT_REASON_RULE) {
		t->rule_data.action = image->malformed;
		return 0;
	}
	s->search.best = image->rules;
	if ((SHUNT_HAS(SETS) || SHUNT_HAS(SERVICES)) && image->sets &&
	    shunt_judge_sets(s))
		goto damaged;
	if (SHUNT_HAS(WORDS) && image->words.words &&
	    shunt_words(image, &t->pkt, &s->search))
		goto damaged;
	if (SHUNT_HAS(VECTORS) && image->vectors.rules) {
		if (shunt_vectors(image, &t->pkt, &s->search))
			goto damaged;
		if (SHUNT_HAS(COUNT)) {
			if (shunt_take_hits(s, counts))
				goto damaged;
		} else {
			key = shunt_hits_take(image, &s->search);
			if (key < s->search.best)
				s->search.best = key;
		}
	}
	t->rule = s->search.best;
	rule = shunt_image_rule_at(image, t->rule);
	if (!rule)
		goto damaged;
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
