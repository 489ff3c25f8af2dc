/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The classifier for many rules: bit vectors with summaries (maps/image.h). */
#pragma once

#include "bpf/lib/lookup.h"
#include "bpf/lib/vectors.h"

/* A word of the vector whose pages are listed at `pages`. */
SHUNT_INLINE __u64 shunt_word_at(const struct shunt_image *image, __u64 pages,
				 __u32 word)
{
	__u64 page = shunt_image_u32(image, pages + word / SHUNT_PAGE_WORDS * 4);

	return shunt_image_u64(image, page + word % SHUNT_PAGE_WORDS * 8);
}

/* Where a class's pages are listed. */
SHUNT_INLINE __u64 shunt_pages_of(const struct shunt_image *image, __u32 class)
{
	return image->words.vector + (__u64) class * image->words.stride +
	       image->words.summaries * 8ull;
}

/* What the sets say about the rules of one word, as shunt_and_sets() does, to s->left. */
SHUNT_INLINE void shunt_word_sets(const struct shunt_image *image, __u32 word,
				  struct shunt_search *s)
{
	__u32 where, i;

	for (where = 0; where < (SHUNT_HAS(TUNNEL) ? SHUNT_SIDE_MAX : SHUNT_SIDES);
	     where++) {
		__u64 sum;

		if (!image->words.asks[where])
			continue;
		sum = shunt_word_at(
			image, shunt_pages_of(image, image->words.free[where]), word);
		SHUNT_NO_UNROLL
		for (i = 0; i < SHUNT_SET_MAX; i++) {
			__u32 at = image->words.ask[where] + i;
			const struct shunt_image_set *set;

			if (i >= image->words.asks[where] || at >= SHUNT_ASK_MAX)
				break;
			set = shunt_image_set_at(image, at);
			if (!(s->in[where] >> (set->bit & 63) & 1))
				continue;
			sum |= shunt_word_at(
				image,
				shunt_pages_of(image, set->in[SHUNT_ENGINE_WORDS]),
				word);
			s->left &= ~shunt_word_at(
				image,
				shunt_pages_of(image, set->out[SHUNT_ENGINE_WORDS]),
				word);
		}
		s->left &= sum;
	}
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
		left &= shunt_word_at(image, s->at[i], word);
	return left;
}

/* What the other lookups, and sets, leave of s->left. */
SHUNT_INLINE void shunt_word_rest(const struct shunt_image *image,
				  struct shunt_search *s, __u32 word)
{
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = SHUNT_WORD_FEW; i < SHUNT_LOOKUP_MAX; i++) {
		if (i >= image->words.tables.slots)
			break;
		s->left &= shunt_word_at(image, s->at[i], word);
	}
	if ((SHUNT_HAS(SETS) || SHUNT_HAS(SERVICES)) && image->sets && s->left)
		shunt_word_sets(image, word, s);
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
		shunt_word_rest_call(image, s, word);
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
