/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring buffer of the rig's, read by a test; to be included behind <cmocka.h>. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "loader/rings.h"
#include "tests/bpf/rig_group.h"
#include "user/io/ring.h"

struct reader {
	int claim, fd;
	uint32_t place;
	struct shunt_ring *ring;
};

static void reader_open(struct reader *reader, uint32_t place, uint32_t bytes)
{
	struct shunt_err err;

	reader->place = place;
	reader->claim = shunt_ring_claim(&rig.maps, place, &err);
	if (reader->claim < 0)
		fail_msg("%s", err.message);
	reader->fd = shunt_ring_make(bytes, &err);
	if (reader->fd < 0 || shunt_ring_open(&reader->ring, reader->fd, &err) ||
	    shunt_ring_feed(&rig.maps, place, reader->fd, &err))
		fail_msg("%s", err.message);
}

static void reader_close(struct reader *reader)
{
	shunt_ring_starve(&rig.maps, reader->place);
	shunt_ring_close(reader->ring);
	close(reader->fd);
	close(reader->claim);
}

struct seen {
	struct shunt_ring_event event;
	uint8_t frame[SHUNT_RING_FRAME_MAX];
};

/* The next record, copied; false: there is none. */
static bool next(struct reader *reader, struct seen *seen)
{
	struct shunt_ring_record record;

	if (!shunt_ring_rx(reader->ring, &record, 1))
		return false;
	seen->event = *record.event;
	memcpy(seen->frame, record.frame, record.event->captured);
	shunt_ring_release(reader->ring);
	return true;
}
