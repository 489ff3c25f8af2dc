/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/judge.h"

#undef SHUNT_IMAGE_ROOM
#define SHUNT_IMAGE_ROOM (image->bytes)

#include "bpf/lib/decide.h"
#include "maps/verdict.h"

static __thread const struct shunt_judge *asked;

static int shunt_set_has(__u32 id, __u32 type, __u32 l3, const __u32 addr[4],
			 __u32 service)
{
	return asked->set_has &&
	       asked->set_has(asked->self, id, type, l3, addr, service);
}

static int shunt_lookup_call(const struct shunt_image *image, __u32 engine,
			     const struct shunt_pkt *pkt, struct shunt_search *s)
{
	return shunt_lookup(image, engine, pkt, s);
}

static int shunt_lookup_side_call(const struct shunt_image *image, __u32 engine,
				  const struct shunt_pkt *pkt, __u32 where,
				  struct shunt_search *s)
{
	return shunt_lookup_side(image, shunt_tables_of(image, engine), pkt, where, s);
}

static int shunt_and_sets_call(const struct shunt_image *image, __u32 where,
			       struct shunt_search *s)
{
	return shunt_and_sets(image, where, s);
}

static int shunt_words_begin_call(const struct shunt_image *image,
				  const struct shunt_pkt *pkt, struct shunt_search *s)
{
	return shunt_words_begin(image, pkt, s);
}

static int shunt_words_of_call(const struct shunt_image *image, struct shunt_search *s,
			       __u32 at)
{
	return shunt_words_of(image, s, at);
}

static void shunt_word_rest_call(const struct shunt_image *image,
				 struct shunt_search *s, __u32 word)
{
	shunt_word_rest(image, s, word);
}

/* As shunt_take_hits() in bpf/lib/datapath.h. */
static int take_hits(const struct shunt_image *image, struct shunt_search *s,
		     struct shunt_judged *judged)
{
	uint32_t place, last = UINT32_MAX;

	while ((place = shunt_hits_take(image, s)) < s->best) {
		const struct shunt_image_rule *rule = shunt_image_rule_at(image, place);

		if (!rule)
			return -1;
		if (place == last)
			continue;
		last = place;
		if (rule->action != SHUNT_ACTION_COUNT) {
			s->best = place;
			break;
		}
		judged->counted_rule[judged->counted++] = place;
	}
	return 0;
}

int shunt_judge_packet(const struct shunt_judge *judge, const struct shunt_pkt *pkt,
		       struct shunt_judged *judged)
{
	const struct shunt_image *image = judge->image;
	struct shunt_search s = { .best = image->rules };

	asked = judge;
	judged->counted = 0;
	if (image->sets)
		shunt_ask_sets(image, pkt, &s);
	if (image->words.words && shunt_words(image, pkt, &s))
		return -1;
	if (image->vectors.rules &&
	    (shunt_vectors(image, pkt, &s) || take_hits(image, &s, judged)))
		return -1;
	judged->rule = s.best;
	return 0;
}

/* All rules of one word of the engine for many rules. */
static int each_in_word(const struct shunt_image *image, struct shunt_search *s,
			uint32_t word, void (*each)(void *self, uint32_t place),
			void *self)
{
	const uint16_t *place =
		shunt_image_at(image, image->words.place + word * 128ull, 128);

	s->left = shunt_word_few(image, s, word);
	if (image->words.more)
		shunt_word_rest(image, s, word);
	for (; place && s->left; s->left &= s->left - 1) {
		uint32_t at = place[shunt_first_bit(s->left)];

		if (at < image->rules)
			each(self, at);
	}
	return place ? 0 : -1;
}

int shunt_judge_each(const struct shunt_judge *judge, const struct shunt_pkt *pkt,
		     void (*each)(void *self, uint32_t place), void *self)
{
	const struct shunt_image *image = judge->image;
	struct shunt_search s = { .best = image->rules };
	uint32_t i, place;

	asked = judge;
	if (image->sets)
		shunt_ask_sets(image, pkt, &s);
	if (image->words.words && shunt_words_begin(image, pkt, &s))
		return -1;
	for (i = 0; i < image->words.words; i++)
		if (s.may[i / 64] >> i % 64 & 1 &&
		    each_in_word(image, &s, i, each, self))
			return -1;
	if (!image->vectors.rules)
		return 0;
	if (shunt_vectors(image, pkt, &s))
		return -1;
	while ((place = shunt_hits_take(image, &s)) < image->rules)
		each(self, place);
	return 0;
}
