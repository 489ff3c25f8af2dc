// SPDX-License-Identifier: BSD-2-Clause
#include "tests/model/lossy.h"

#include <stdlib.h>
#include <string.h>

struct shunt_lossy_packet {
	uint64_t at_ns;
	uint64_t order;
	uint8_t *bytes;
	uint32_t length;
};

static bool is_before(const struct shunt_lossy_packet *a,
		      const struct shunt_lossy_packet *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void swap(struct shunt_lossy_packet *a, struct shunt_lossy_packet *b)
{
	struct shunt_lossy_packet kept = *a;

	*a = *b;
	*b = kept;
}

static void push(struct shunt_lossy *way, uint64_t at_ns, const void *bytes,
		 uint32_t length)
{
	uint32_t at = way->n++;

	if (at == way->room) {
		way->room = way->room ? 2 * way->room : 64;
		way->packet = realloc(way->packet, way->room * sizeof(*way->packet));
	}
	way->packet[at] = (struct shunt_lossy_packet){ at_ns, way->order++,
						       malloc(length), length };
	memcpy(way->packet[at].bytes, bytes, length);
	while (at && is_before(&way->packet[at], &way->packet[(at - 1) / 2])) {
		swap(&way->packet[at], &way->packet[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

static bool chance(struct shunt_lossy *way, uint32_t thousandths)
{
	return shunt_random_below(&way->random, 1000) < thousandths;
}

void shunt_lossy_send(struct shunt_lossy *way, uint64_t now_ns, const void *bytes,
		      uint32_t length)
{
	uint32_t copies = 1 + chance(way, way->twice);

	way->offered++;
	if (length > way->mtu || chance(way, way->lose) ||
	    (now_ns >= way->dark_ns && now_ns < way->light_ns))
		return;
	while (copies--) {
		uint64_t at_ns = now_ns + way->delay_ns;

		if (chance(way, way->late))
			at_ns += shunt_random_in64(&way->random, 0, way->late_ns);
		push(way, at_ns, bytes, length);
	}
}

uint64_t shunt_lossy_due(const struct shunt_lossy *way)
{
	return way->n ? way->packet[0].at_ns : UINT64_MAX;
}

uint8_t *shunt_lossy_recv(struct shunt_lossy *way, uint64_t now_ns, uint32_t *length)
{
	uint32_t at = 0, child;
	uint8_t *bytes;

	if (shunt_lossy_due(way) > now_ns)
		return NULL;
	bytes = way->packet[0].bytes;
	*length = way->packet[0].length;
	way->packet[0] = way->packet[--way->n];
	while ((child = 2 * at + 1) < way->n) {
		if (child + 1 < way->n &&
		    is_before(&way->packet[child + 1], &way->packet[child]))
			child++;
		if (is_before(&way->packet[at], &way->packet[child]))
			break;
		swap(&way->packet[at], &way->packet[child]);
		at = child;
	}
	return bytes;
}

void shunt_lossy_close(struct shunt_lossy *way)
{
	while (way->n)
		free(way->packet[--way->n].bytes);
	free(way->packet);
}
