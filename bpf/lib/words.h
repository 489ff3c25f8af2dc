/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The classifier for many rules: bit vectors with summaries (maps/image.h). */
#pragma once

#include "bpf/lib/lookup.h"
#include "bpf/lib/vectors.h"

/* A word of a class's vector. */
SHUNT_INLINE const __u64 *shunt_word_at(const struct shunt_image *image, __u32 class,
					__u32 word)
{
	return shunt_image_at(image,
			      image->words.vector +
				      (__u64) class * image->words.stride +
				      (image->words.summaries + (__u64)word) * 8,
			      8);
}

/*
 * What the sets say about the rules of one word, as shunt_and_sets() does, to s->left.
 * 0, or -1: damaged image.
 */
SHUNT_INLINE int shunt_word_sets(const struct shunt_image *image, __u32 word,
				 struct shunt_search *s)
{
	__u32 where, i;

	for (where = 0; where < (SHUNT_HAS(TUNNEL) ? SHUNT_SIDE_MAX : SHUNT_SIDES);
	     where++) {
		const __u64 *v;
		__u64 sum;

		if (!image->words.asks[where])
			continue;
		v = shunt_word_at(image, image->words.free[where], word);
		if (!v)
			return -1;
		sum = *v;
		SHUNT_NO_UNROLL
		for (i = 0; i < SHUNT_SET_MAX; i++) {
			__u32 at = image->words.ask[where] + i;
			const struct shunt_image_set *set;

			if (i >= image->words.asks[where] || at >= SHUNT_ASK_MAX)
				break;
			set = &image->set[at];
			if (!(s->in[where] >> (set->bit & 63) & 1))
				continue;
			v = shunt_word_at(image, set->in[SHUNT_ENGINE_WORDS], word);
			if (!v)
				return -1;
			sum |= *v;
			v = shunt_word_at(image, set->out[SHUNT_ENGINE_WORDS], word);
			if (!v)
				return -1;
			s->left &= ~*v;
		}
		s->left &= sum;
	}
	return 0;
}

/* The classes' vectors, and the words that all their summaries name. */
SHUNT_INLINE void shunt_summaries(const struct shunt_image *image,
				  struct shunt_search *s)
{
	const struct shunt_image_words *w = &image->words;
	__u32 i, n;

	for (n = 0; n < SHUNT_SUMMARY_MAX; n++) {
		if (n >= w->summaries)
			break;
		s->may[n] = ~0ull;
	}
	for (i = 0; i < SHUNT_WORD_FEW; i++)
		s->at[i] = w->ones;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_LOOKUP_MAX; i++) {
		__u32 at = w->vector + s->x[i] * w->stride;

		if (i >= w->tables.slots)
			break;
		SHUNT_NO_UNROLL
		for (n = 0; n < SHUNT_SUMMARY_MAX; n++) {
			if (n >= w->summaries)
				break;
			s->may[n] &= shunt_image_u64(image, at + n * 8ull);
		}
		s->at[i] = at + w->summaries * 8;
	}
}

/* A word of the first few lookups' vectors; absent lookups have all bits set. */
SHUNT_INLINE __u64 shunt_word_few(const struct shunt_image *image,
				  const struct shunt_search *s, __u32 word)
{
	__u64 left = ~0ull;
	__u32 i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_WORD_FEW; i++)
		left &= shunt_image_u64(image, s->at[i] + word * 8ull);
	return left;
}

/* What the other lookups leave of s->left. 0, or -1: damaged image. */
SHUNT_INLINE int shunt_word_rest(const struct shunt_image *image,
				 struct shunt_search *s, __u32 word)
{
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = SHUNT_WORD_FEW; i < SHUNT_LOOKUP_MAX; i++) {
		if (i >= image->words.tables.slots)
			break;
		s->left &= shunt_image_u64(image, s->at[i] + word * 8ull);
	}
	if ((SHUNT_HAS(SETS) || SHUNT_HAS(SERVICES)) && image->sets && s->left)
		return shunt_word_sets(image, word, s);
	return 0;
}

/* Looks into one word. 0, or -1: damaged image. */
SHUNT_INLINE int shunt_word(const struct shunt_image *image, struct shunt_search *s,
			    __u32 word)
{
	const struct shunt_image_words *w = &image->words;
	const __u32 *first = shunt_image_at(image, w->first + word * 4ull, 4);
	const __u16 *place;
	__u64 left;

	if (!first)
		return -1;
	if (*first >= s->best)
		return 0;
	left = shunt_word_few(image, s, word);
	if (left && w->more) {
		s->left = left;
		if (shunt_word_rest_call(image, s, word))
			return -1;
		left = s->left;
	}
	if (!left)
		return 0;
	place = shunt_image_at(
		image, w->place + (word * 64ull + shunt_first_bit(left)) * 2, 2);
	if (!place)
		return -1;
	if (*place < s->best)
		s->best = *place;
	return 0;
}

/* Looks into the words that one summary names, from 64 * at on. */
SHUNT_INLINE int shunt_words_of(const struct shunt_image *image, struct shunt_search *s,
				__u32 at)
{
	__u64 bits = s->may[at & (SHUNT_SUMMARY_MAX - 1)];
	__u32 n;

	SHUNT_NO_UNROLL
	for (n = 0; n < 64; n++) {
		if (!bits)
			break;
		if (shunt_word(image, s, at * 64 + shunt_first_bit(bits)))
			return -1;
		bits &= bits - 1;
	}
	return 0;
}

/* The classes, and which words to look into, into s->may[]. 0, or -1: damaged image. */
SHUNT_INLINE int shunt_words_begin(const struct shunt_image *image,
				   const struct shunt_pkt *pkt, struct shunt_search *s)
{
	if (shunt_lookup_call(image, SHUNT_ENGINE_WORDS, pkt, s))
		return -1;
	shunt_summaries(image, s);
	return 0;
}

/*
 * The first rule of the words into s->best, if it is better than what stands there.
 * 0, or -1: damaged image.
 */
SHUNT_INLINE int shunt_words(const struct shunt_image *image,
			     const struct shunt_pkt *pkt, struct shunt_search *s)
{
	__u32 i;

	if (shunt_words_begin_call(image, pkt, s))
		return -1;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_SUMMARY_MAX; i++) {
		if (i >= image->words.summaries)
			break;
		if (s->may[i] && shunt_words_of_call(image, s, i))
			return -1;
	}
	return 0;
}
