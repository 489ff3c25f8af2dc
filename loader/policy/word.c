/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/word.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_ROOM                                                                     \
	(SHUNT_QUOTE_MAX - 16) /* an escape, the dots and the quote fit behind */
#define WORD_MAX 40	       /* longer words are not compared */

static size_t utf8_bytes(unsigned char c)
{
	return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

const char *shunt_quote(char buf[SHUNT_QUOTE_MAX], const char *text)
{
	size_t at = 0, shown = 0;

	buf[at++] = '"';
	while (*text && at < QUOTE_ROOM && shown++ < 64) {
		unsigned char c = *text;

		/* C1 controls (0x80..0x9f) are c2 80..9f in UTF-8. */
		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && (unsigned char)text[1] < 0xa0)) {
			size_t n = c == 0xc2 && text[1] ? 2 : 1;

			at += sprintf(buf + at, "\\u%04x", (unsigned char)text[n - 1]);
			text += n;
			continue;
		}
		if (c == '"' || c == '\\')
			buf[at++] = '\\';
		for (size_t n = utf8_bytes(c); n && *text; n--)
			buf[at++] = *text++;
	}
	sprintf(buf + at, "%s\"", *text ? "..." : "");
	return buf;
}

static unsigned int min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int shunt_word_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned int row[3]
			[WORD_MAX + 1]; /* of the last two letters of a, and this one */

	if (n > WORD_MAX || m > WORD_MAX)
		return SHUNT_WORD_FAR;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		unsigned int *now = row[i % 3], *last = row[(i + 2) % 3];
		const unsigned int *before = row[(i + 1) % 3];
		int x = tolower((unsigned char)a[i - 1]);

		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			int y = tolower((unsigned char)b[j - 1]);

			now[j] = min(min(last[j], now[j - 1]) + 1,
				     last[j - 1] + (x != y));
			if (i > 1 && j > 1 && tolower((unsigned char)a[i - 2]) == y &&
			    tolower((unsigned char)b[j - 2]) == x)
				now[j] = min(now[j], before[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

void shunt_offer_add(struct shunt_offer *offer, const char *possible)
{
	unsigned int distance = shunt_word_distance(offer->word, possible);
	size_t n = strlen(offer->all), room = sizeof(offer->all) - n;

	/* Half a name would mislead: what has no room is left out. */
	if (strlen(possible) + 8 < room)
		snprintf(offer->all + n, room, "%s\"%s\"", n ? ", " : "", possible);
	if (distance <= 1 + strlen(possible) / 4 && distance < offer->distance) {
		offer->distance = distance;
		offer->near = possible;
	}
}

const char *shunt_offer_text(struct shunt_offer *offer)
{
	if (offer->near)
		snprintf(offer->text, sizeof(offer->text), "; did you mean \"%s\"?",
			 offer->near);
	else if (*offer->all)
		snprintf(offer->text, sizeof(offer->text), "; there are %s",
			 offer->all);
	return offer->text;
}
