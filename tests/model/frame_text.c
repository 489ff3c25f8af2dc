/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames compared, and as text. */
#include <stdio.h>
#include <string.h>

#include "tests/model/frame.h"

bool shunt_frame_same(const struct shunt_pkt *a, const struct shunt_pkt *b)
{
	struct shunt_pkt x = *a, y = *b;

	x.join = y.join = 0; /* the parser's own */
	return !memcmp(&x, &y, sizeof(x));
}

bool shunt_frame_holds(const struct shunt_model_frame *f, const struct shunt_pkt *pkt)
{
	return shunt_frame_same(&f->pkt, pkt);
}

bool shunt_frame_part(const struct shunt_pkt *part, const struct shunt_pkt *whole)
{
	struct shunt_pkt want = *whole;
	struct shunt_layer *outer = &want.layer[SHUNT_OUTER],
			   *inner = &want.layer[SHUNT_INNER];

	if (!part->layer[SHUNT_OUTER].field[SHUNT_FIELD_TUNNEL]) {
		outer->field[SHUNT_FIELD_TUNNEL] = 0;
		outer->wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW] = 0;
	}
	if (!part->layer[SHUNT_INNER].field[SHUNT_FIELD_LENGTH])
		memset(inner, 0, sizeof(*inner));
	return shunt_frame_same(part, &want);
}

void shunt_frame_hex(const uint8_t *bytes, size_t len, char *text)
{
	*text = 0;
	while (len--)
		text += sprintf(text, "%02x", *bytes++);
}

int shunt_frame_unhex(const char *text, uint8_t *bytes, size_t room)
{
	size_t n = 0;
	unsigned int byte;
	int used;

	for (; *text; text += 2) {
		if (*text == ' ') {
			text--;
			continue;
		}
		if (n == room || sscanf(text, "%2x%n", &byte, &used) != 1 || used != 2)
			return -1;
		bytes[n++] = byte;
	}
	return n;
}
