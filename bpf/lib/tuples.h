/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The classifier for many rules: pruned tuple search (maps/image.h). */
#pragma once

#include "bpf/lib/lookup.h"
#include "bpf/lib/vectors.h"

/* Does the packet have what the profile asks for? */
SHUNT_INLINE int shunt_profile(const struct shunt_image *image,
			       const struct shunt_search *s, __u32 profile)
{
	const struct shunt_image_tuples *t = &image->tuples;
	const struct shunt_image_need *need;
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_LOOKUP_MAX; i++) {
		const struct shunt_image_aux *aux = &t->aux[i];
		__u32 slot = aux->slot;
		const __u64 *word;
		const __u16 *v;

		if (i >= t->auxes)
			break;
		if (slot >= SHUNT_LOOKUP_MAX)
			return 0;
		v = shunt_image_at(image, aux->table + (__u64)s->x[slot] * 2, 2);
		if (!v)
			return 0;
		word = shunt_image_at(image,
				      aux->vector + ((__u64)*v * t->profile_words +
						     (profile >> 6)) *
							    8,
				      8);
		if (!word || !(*word >> (profile & 63) & 1))
			return 0;
	}
	if (!(SHUNT_HAS(SETS) || SHUNT_HAS(SERVICES)) || !t->need)
		return 1;
	need = shunt_image_at(image, t->need + (__u64)profile * sizeof(*need),
			      sizeof(*need));
	if (!need)
		return 0;
	for (i = 0; i < (SHUNT_HAS(TUNNEL) ? SHUNT_SIDE_MAX : SHUNT_SIDES); i++)
		if ((need->any[i] && !(need->any[i] & s->in[i])) ||
		    (need->none[i] & s->in[i]))
			return 0;
	return 1;
}

/* Bit 31: the class of one of `n` comps is beyond the entry's range. */
SHUNT_INLINE __u32 shunt_entry_miss(const struct shunt_image_entry *e,
				    const struct shunt_search *s, __u32 from, __u32 n)
{
	__u32 miss = 0, c;

	SHUNT_UNROLL
	for (c = from; c < from + n; c++) {
		__u32 at = (s->x[c] - e->range[c].lo) & 0xffff;

		miss |= e->range[c].span - at;
	}
	return miss;
}

/*
 * Looks through a leaf for the first entry that matches and is better than s->best, which
 * then becomes it. A damaged leaf has no such entry.
 */
SHUNT_INLINE int shunt_leaf(const struct shunt_image *image, struct shunt_search *s,
			    __u64 off)
{
	const struct shunt_image_tuples *t = &image->tuples;
	__u32 comps = t->comps, i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_LEAF_MAX; i++) {
		const struct shunt_image_entry *e =
			shunt_image_at(image, off, sizeof(*e));
		__u32 miss;

		if (!e || e->place >= s->best)
			return 0;
		miss = shunt_entry_miss(e, s, 0, 4);
		if (comps > 4)
			miss |= shunt_entry_miss(e, s, 4, 2);
		if (comps > 6)
			miss |= shunt_entry_miss(e, s, 6, 2);
		if (!(miss >> 31) &&
		    (!e->profile || shunt_profile_call(image, s, e->profile))) {
			s->best = e->place;
			return 0;
		}
		if (!e->left)
			return 0;
		off += t->entry_bytes;
	}
	return 0;
}

/* The rows of all classes: which tuples to probe, and where the hashes stand. */
SHUNT_INLINE int shunt_rows(const struct shunt_image *image, struct shunt_search *s)
{
	const struct shunt_image_tuples *t = &image->tuples;
	__u32 words = t->words, c, w;

	for (w = 0; w < SHUNT_TUPLE_WORDS; w++)
		s->tuple[w] = w < words ? ~0ull : 0;
	SHUNT_NO_UNROLL
	for (c = 0; c < SHUNT_COMP_MAX; c++) {
		__u64 off;

		if (c >= t->comps)
			break;
		off = t->comp[c].row + (__u64)s->x[c] * t->comp[c].stride;
		for (w = 0; w < SHUNT_TUPLE_WORDS; w++) {
			const __u64 *row;

			if (w >= words)
				break;
			row = shunt_image_at(image, off + w * 8, 8);
			if (!row)
				return -1;
			s->tuple[w] &= *row;
		}
		s->row[c] = off + words * 8;
	}
	return 0;
}

/* What `n` comps add to the hash under which the packet's rules stand in a tuple. */
SHUNT_INLINE __u32 shunt_hash_part(const struct shunt_image *image,
				   const struct shunt_search *s,
				   const struct shunt_image_tuple *tuple, __u32 from,
				   __u32 n)
{
	__u32 hash = 0, c;

	SHUNT_UNROLL
	for (c = from; c < from + n; c++) {
		const __u32 *part =
			shunt_image_at(image, s->row[c] + (__u64)tuple->level[c] * 4,
				       4);

		if (part)
			hash ^= *part;
	}
	return hash;
}

/* Looks into one tuple. 1: no later tuple can be better; 0: go on; -1: damaged image. */
SHUNT_INLINE int shunt_probe(const struct shunt_image *image, struct shunt_search *s,
			     __u32 at)
{
	const struct shunt_image_tuples *t = &image->tuples;
	const struct shunt_image_tuple *tuple;
	const __u32 *head;
	__u32 hash;

	tuple = shunt_image_at(image, t->tuple + (__u64)at * sizeof(*tuple),
			       sizeof(*tuple));
	if (!tuple)
		return -1;
	if (tuple->place >= s->best)
		return 1;
	hash = tuple->seed ^ shunt_hash_part(image, s, tuple, 0, 4);
	if (t->comps > 4)
		hash ^= shunt_hash_part(image, s, tuple, 4, 2);
	if (t->comps > 6)
		hash ^= shunt_hash_part(image, s, tuple, 6, 2);
	head = shunt_image_at(image, tuple->table + (__u64)(hash & tuple->mask) * 4, 4);
	if (!head)
		return -1;
	if (*head >> SHUNT_HEAD_TAG_SHIFT >> SHUNT_TAG_OF(hash) & 1)
		shunt_leaf_call(image, s, (__u64)(*head & SHUNT_HEAD_OFFSET_MASK) * 8);
	return 0;
}

/*
 * The first rule of the tuples into s->best, if it is better than what stands there.
 * 0, or -1: damaged image.
 */
SHUNT_INLINE int shunt_tuples(const struct shunt_image *image,
			      const struct shunt_pkt *pkt, struct shunt_search *s)
{
	__u32 c, w, n;
	int ret;

	for (c = 0; c < SHUNT_COMP_MAX; c++) /* those that are padding stay 0 */
		s->x[c] = 0;
	if (shunt_lookup_call(image, SHUNT_ENGINE_TUPLES, pkt, s) ||
	    shunt_rows(image, s))
		return -1;
	SHUNT_NO_UNROLL
	for (w = 0; w < SHUNT_TUPLE_WORDS; w++) {
		__u64 bits = s->tuple[w];

		SHUNT_NO_UNROLL
		for (n = 0; n < 64; n++) {
			if (!bits)
				break;
			ret = shunt_probe_call(image, s,
					       w * 64 + shunt_first_bit(bits));
			if (ret)
				return ret < 0 ? -1 : 0;
			bits &= bits - 1;
		}
	}
	return 0;
}
