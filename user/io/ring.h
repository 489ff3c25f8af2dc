/* SPDX-License-Identifier: BSD-2-Clause */
/* The reading end of a ring buffer (maps/ring.h): bursts of borrowed records. */
#pragma once

/*
 *     program ── bpf_ringbuf_output() ─▶ ring ──▶ shunt_ring_rx()
 *                                                     │  records, borrowed
 *     room for new ones ◀── shunt_ring_release() ◀────┘
 *
 * Records lie in the ring itself, mapped twice in a row so that none is cut by its end
 * (Documentation/bpf/ringbuf.rst). What does not fit is lost to the writer, who counts
 * it. One thread at a time may read.
 */
#include <stdint.h>

#include "maps/ring.h"
#include "user/base/err.h"

struct shunt_ring;

/* Maps a ring buffer; ring_fd stays the caller's and must stay open. */
SHUNT_MUST_CHECK int shunt_ring_open(struct shunt_ring **ring, int ring_fd,
				     struct shunt_err *err);

/* NULL is fine. */
void shunt_ring_close(struct shunt_ring *ring);

/* A borrowed record: good until it is released. */
struct shunt_ring_record {
	const struct shunt_ring_event *event;
	const uint8_t *frame; /* event->captured bytes */
	unsigned long end;    /* where it ends in the ring */
};

/* The event of a frame that was borrowed from a ring. */
static inline const struct shunt_ring_event *shunt_ring_event_of(const uint8_t *frame)
{
	return (const struct shunt_ring_event *)frame - 1;
}

/* Takes up to max records; returns how many. Never blocks. */
unsigned int shunt_ring_rx(struct shunt_ring *ring, struct shunt_ring_record *records,
			   unsigned int max);

/* Gives all records back that shunt_ring_rx() has handed out. */
void shunt_ring_release(struct shunt_ring *ring);

/* Gives this one back, and all that came before it; the later ones stay borrowed. */
void shunt_ring_release_to(struct shunt_ring *ring,
			   const struct shunt_ring_record *record);

/* With nothing borrowed: gives back what writers have discarded, which nobody is handed, and
 * for which poll() would wake again and again. */
void shunt_ring_tidy(struct shunt_ring *ring);

/* More records than that cannot wait in it. */
uint32_t shunt_ring_places(const struct shunt_ring *ring);

/* For poll(): POLLIN when records wait. */
int shunt_ring_fd(const struct shunt_ring *ring);
