/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer of ship: may say and write: the handshake, and records in the ring. */
#include <stdlib.h>
#include <string.h>

#include "tests/model/ship_wire.h"
#include "user/io/ship.h"
#include "user/io/ship_ring.h"

#define RING (UINT64_C(64) << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool sound)
{
	if (!sound)
		abort();
}

static void hear(const uint8_t *data, size_t size)
{
	struct shunt_ship_offer offer;
	uint8_t back[SHUNT_SHIP_HELLO_MAX];

	(void)shunt_ship_read_ask(data, size);
	check(shunt_ship_read_refusal(data, size, NULL) < 0);
	if (shunt_ship_read_offer(&offer, data, size, NULL))
		return;
	check(offer.frame_max <= offer.bytes / 2 && offer.bytes <= SHUNT_SHIP_RING_MAX);
	check(offer.ring + 2 * offer.bytes >= offer.ring);
	check(shunt_ship_put_offer(back, &offer) <= size &&
	      !memcmp(back, data, SHUNT_SHIP_OFFER_BYTES));
}

static struct shunt_port *open_receiver(void)
{
	static const char text[] = "ship:192.0.2.2:7400,listen,ring=64K";
	const struct shunt_port_opts opts = { .sz = sizeof(opts) };
	struct shunt_port *port;
	struct shunt_spec spec;

	check(!shunt_spec_split(&spec, text, NULL) &&
	      !shunt_ship_open_by(&port, &spec, &opts, &shunt_model_wire_ops, NULL));
	return port;
}

/* Either bytes as they are, or a record that is sound but for what the input says of it. */
static uint64_t write_some(uint8_t *ring, uint64_t at, const uint8_t *data, size_t size)
{
	struct shunt_ship_record record = { 0 };

	if (size < 4 || data[0] & 1) {
		memcpy(ring + (at & (RING - 1)), data, size);
		return at + (size & ~UINT64_C(7));
	}
	record.len = (uint32_t)data[1] << 8 | data[2];
	record.check = shunt_ship_check(0, at, record.len) ^ (data[3] == 255);
	memcpy(ring + (at & (RING - 1)), &record, sizeof(record));
	return at + shunt_ship_span(record.len) - (data[3] == 254 ? 8 : 0);
}

/* Every byte that is lent can be read, and lies within the ring. */
static void read_all(struct shunt_port *port, const uint8_t *ring)
{
	struct shunt_frame frames[SHUNT_BURST];
	volatile uint8_t sum = 0;
	unsigned int i, k, n;

	while ((n = shunt_port_rx(port, frames, SHUNT_BURST))) {
		for (i = 0; i < n; i++) {
			check(frames[i].data >= ring && frames[i].len &&
			      frames[i].data + frames[i].len <= ring + 2 * RING);
			for (k = 0; k < frames[i].len; k++)
				sum = (uint8_t)(sum + frames[i].data[k]);
		}
		shunt_frames_put(frames, n);
	}
}

/* Pieces of eight bytes and less; behind the last one the ring is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct shunt_port *port;
	struct shunt_ship_page *page;
	uint64_t at;
	size_t bytes;

	hear(data, size);
	if (!port)
		port = open_receiver();
	page = (struct shunt_ship_page *)shunt_model_wire_area(&bytes);
	at = page->produced;
	while (size) {
		size_t n = size < 8 ? size : 8;

		at = write_some((uint8_t *)page + SHUNT_SHIP_PAGE, at, data, n);
		data += n;
		size -= n;
	}
	page->produced = at;
	read_all(port, (uint8_t *)page + SHUNT_SHIP_PAGE);
	return 0;
}
