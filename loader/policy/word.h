/* SPDX-License-Identifier: BSD-2-Clause */
/* Words that a person wrote: how they are shown in a sentence, and what was meant. */
#pragma once

#include <stddef.h>

#define SHUNT_QUOTE_MAX 160 /* bytes that are always enough */

/*
 * Writes text in double quotes: control characters escaped, so that a policy cannot
 * write to the terminal; cut after some 64 characters. Returns buf.
 */
const char *shunt_quote(char buf[SHUNT_QUOTE_MAX], const char *text);

/* The same for use inside an expression; lives as long as the enclosing block. */
#define SHUNT_QUOTE(text) shunt_quote((char[SHUNT_QUOTE_MAX]){ 0 }, text)

/*
 * How many edits lead from one word to the other, case not counted, two neighbours that
 * changed places being one edit. At most SHUNT_WORD_FAR.
 * (Optimal string alignment: Damerau, CACM 7(3), 1964.)
 */
#define SHUNT_WORD_FAR 1000
unsigned int shunt_word_distance(const char *a, const char *b);

/*
 * What could stand in a word's place. Start with the word, add every possibility, and
 * put text at the end of the sentence: "; did you mean …?" or "; there are …" or
 * nothing.
 */
struct shunt_offer {
	const char *word;
	const char *near; /* the nearest so far, if it may be what was meant */
	unsigned int distance;
	char all[512];
	char text[600];
};

#define SHUNT_OFFER(for_word)                                                          \
	{                                                                              \
		.word = (for_word), .distance = SHUNT_WORD_FAR                         \
	}

void shunt_offer_add(struct shunt_offer *offer, const char *possible);
const char *shunt_offer_text(struct shunt_offer *offer);
