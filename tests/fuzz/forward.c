/* SPDX-License-Identifier: BSD-2-Clause */
/* Forwarding and numbers on arbitrary frames: no byte is touched that must not be. */
#include <stdlib.h>
#include <string.h>

#include "user/net/nexthop.h"
#include "user/net/number.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shunt_nexthops table;

static void check(bool sound)
{
	if (!sound)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const prefix[] = { "0.0.0.0/1", "192.0.2.0/24", "::/2",
					      "2001:db8::/33" };
	struct shunt_lpm_row rows[4];
	uint32_t i;

	(void)argc;
	(void)argv;
	table.hop = calloc(4, sizeof(*table.hop));
	check(table.hop);
	for (i = 0; i < 4; i++) {
		rows[i].value = i;
		check(!shunt_prefix_parse(&rows[i].prefix, prefix[i], NULL));
		/* a unicast address, so that what was forwarded can be again */
		table.hop[i] = (struct shunt_nexthop){ .mac = { 2, 0, 0, 0, 0, i },
						       .port = i };
	}
	check(!shunt_lpm_make(&table.lpm, rows, 4, NULL));
	return 0;
}

/* As many hops as it takes: the TTL falls by one each time, so there are 255 at most. */
static void forward(uint8_t *frame, uint32_t len, uint32_t bytes)
{
	uint8_t *before = malloc(len + 1);
	int hops = 0, port;

	check(before);
	for (;;) {
		memcpy(before, frame, len);
		port = shunt_nexthop_apply(&table, frame, len, bytes);
		if (port < 0)
			break;
		check(port < 4 && ++hops < 256);
		check(!memcmp(frame, table.hop[port].mac, 12));
	}
	check(!memcmp(before, frame, len));
	/* what went on once is sound, and has a way: it ends by its TTL alone */
	check(!hops || port == SHUNT_NEXTHOP_EXPIRED);
	free(before);
}

static void number(uint8_t *frame, uint32_t len)
{
	struct shunt_number_place place;
	uint64_t found;

	if (!shunt_number_find(frame, len, &place))
		return;
	check(place.check + 2 <= len && place.payload <= len);
	if (place.payload + SHUNT_NUMBER_BYTES > len)
		return;
	memset(frame + place.payload, 0, SHUNT_NUMBER_BYTES);
	shunt_number_mark(frame, &place);
	shunt_number_write(frame, &place, 0x0123456789abcdef);
	check(shunt_number_read(frame, len, &found) && found == 0x0123456789abcdef);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame;

	if (size < 2 || size > 65535)
		return 0;
	/* the first byte: how much of the packet is in other frames; no byte is spare */
	frame = malloc(size - 1);
	check(frame);
	memcpy(frame, data + 1, size - 1);
	forward(frame, (uint32_t)size - 1, (uint32_t)size - 1 + data[0]);
	number(frame, (uint32_t)size - 1);
	free(frame);
	return 0;
}
