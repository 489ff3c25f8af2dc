/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets into records, and records into the receiver's ring. */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "user/io/ship_send_impl.h"

#define NS_PER_S UINT64_C(1000000000)

/* --- records ------------------------------------------------------------------------------ */

struct run {
	struct shunt_ship_piece piece[SHUNT_SHIP_PIECES];
	struct shunt_ship_batch batch;
	unsigned int pieces;
	uint64_t end; /* position behind it */
	uint64_t now_ns;
};

/* Does the device reach it, with `front` bytes before and `back` behind, all its own? */
static bool is_within(const struct shunt_memory *memory,
		      const struct shunt_frame *frame, uint32_t front, uint32_t back)
{
	const uint8_t *from = frame->data - front;
	const uint8_t *to = frame->data + frame->len + back;
	uint64_t buffer;

	if (frame->data < memory->area || to > memory->area + memory->bytes)
		return false;
	buffer = shunt_memory_token(memory, (uint64_t)(frame->data - memory->area));
	return from >= memory->area + buffer * memory->frame_bytes &&
	       to <= memory->area + (buffer + 1) * memory->frame_bytes;
}

static bool can_lie(const struct shunt_ship_sender *s, const struct shunt_frame *frames,
		    unsigned int n, uint32_t filling)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!is_within(s->memory, &frames[i], i ? 0 : SHUNT_SHIP_HEAD,
			       i == n - 1 ? filling : 0))
			return false;
	return n <= s->pieces;
}

enum fit { FITS, WAITS, NEVER };

/* A packet that the device can't reach goes into a frame of ours; the others go back. */
static enum fit bring_in(struct shunt_ship_sender *s, struct shunt_frame *frames,
			 unsigned int *n, uint32_t bytes, uint32_t filling)
{
	struct shunt_pool *pool = &s->memory->pool;
	struct shunt_frame copy;

	if (can_lie(s, frames, *n, filling))
		return FITS;
	if (pool->headroom < SHUNT_SHIP_HEAD || bytes + filling > pool->room)
		return NEVER;
	if (!shunt_pool_get(pool, &copy, 1))
		return WAITS;
	copy.len = shunt_packet_copy(copy.data, frames, *n);
	if (frames->flags & SHUNT_FRAME_TIME)
		shunt_frame_stamp(&copy, shunt_frame_time(frames));
	shunt_frames_put(frames, *n);
	*frames = copy;
	*n = 1;
	s->port.count.tx_copied++;
	return FITS;
}

/* Its head goes in front of it, and zeros behind. */
static void wrap(struct shunt_ship_sender *s, struct run *run,
		 struct shunt_frame *frames, unsigned int n, uint32_t bytes,
		 uint32_t filling)
{
	const uint64_t time_ns = shunt_frame_time(frames);
	const struct shunt_ship_record record = {
		.len = bytes,
		.check = shunt_ship_check(s->offer.session, run->end, bytes),
		.dropped = s->thrown,
		.time_ns = time_ns ? time_ns : run->now_ns,
	};
	struct shunt_ship_piece *piece = &run->piece[run->pieces];
	unsigned int i;

	memcpy(frames->data - SHUNT_SHIP_HEAD, &record, sizeof(record));
	memset(frames[n - 1].data + frames[n - 1].len, 0, filling);
	for (i = 0; i < n; i++) {
		piece[i] = (struct shunt_ship_piece){ .at = frames[i].data,
						      .bytes = frames[i].len,
						      .area = SHUNT_SHIP_AREA_FRAMES };
		s->frame[(s->frames_posted + run->batch.frames + i) %
			 SHUNT_SHIP_FLIGHT] = frames[i];
	}
	piece[0].at -= SHUNT_SHIP_HEAD;
	piece[0].bytes += SHUNT_SHIP_HEAD;
	piece[n - 1].bytes += filling;
	run->pieces += n;
	run->batch.frames += n;
	run->batch.packets++;
	run->end += shunt_ship_span(bytes);
	s->port.count.tx_packets++;
	s->port.count.tx_bytes += bytes;
}

static void refuse(struct shunt_ship_sender *s, const struct shunt_frame *frames,
		   unsigned int n)
{
	s->port.count.tx_refused++;
	s->thrown++;
	shunt_frames_put(frames, n);
}

/* Packets of n frames that are thrown away: all of them. */
static unsigned int throw_away(struct shunt_ship_sender *s,
			       const struct shunt_frame *frames, unsigned int n,
			       uint64_t *count)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		*count += !(frames[i].flags & SHUNT_FRAME_MORE);
		s->thrown += !(frames[i].flags & SHUNT_FRAME_MORE);
	}
	shunt_frames_put(frames, n);
	return n;
}

/* All records in one WRITE, and behind it how far the ring is filled. */
static void hand_on(struct shunt_ship_sender *s, struct run *run)
{
	const uint32_t number = s->batches_posted;
	uint64_t *produced = &s->scratch->produced[number % SHUNT_SHIP_BATCHES];
	const struct shunt_ship_piece piece = { .at = (uint8_t *)produced,
						.bytes = sizeof(*produced),
						.area = SHUNT_SHIP_AREA_SCRATCH };
	const struct shunt_ship_post posts[] = {
		{ .request = SHUNT_SHIP_WRITE,
		  .piece = run->piece,
		  .pieces = run->pieces,
		  .remote = s->offer.ring + (s->produced & (s->offer.bytes - 1)) },
		{ .request = SHUNT_SHIP_WRITE,
		  .piece = &piece,
		  .pieces = 1,
		  .remote = s->offer.base + offsetof(struct shunt_ship_page, produced),
		  .id = SHUNT_SHIP_ID(SHUNT_SHIP_FOR_BATCH, number) },
	};

	*produced = run->end;
	s->batch[number % SHUNT_SHIP_BATCHES] = run->batch;
	s->frames_posted += run->batch.frames;
	s->batches_posted++;
	s->batches++;
	s->produced = run->end;
	s->certain = false;
	shunt_ship_hand(s, posts, 2);
}

/*
 * There is no room as far as we know. Before anything is thrown away the receiver is asked,
 * and the answer has to be newer than what was written last.
 */
static unsigned int without_room(struct shunt_ship_sender *s,
				 const struct shunt_frame *frames, unsigned int n)
{
	if (s->options.full == SHUNT_SHIP_DROP && s->certain) {
		s->certain = false;
		return throw_away(s, frames, n, &s->port.count.tx_no_room);
	}
	shunt_ship_ask_facts(s);
	return 0;
}

static bool has_places(const struct shunt_ship_sender *s, const struct run *run,
		       unsigned int n)
{
	return s->batches_posted - s->batches_done < SHUNT_SHIP_BATCHES &&
	       s->frames_posted - s->frames_done + run->batch.frames + n <=
		       SHUNT_SHIP_FLIGHT;
}

/* As many packets as one WRITE takes; how many frames were taken. */
static unsigned int send_run(struct shunt_ship_sender *s, struct run *run,
			     struct shunt_frame *frames, unsigned int n)
{
	unsigned int at = 0, count, left;
	bool full = false;
	uint32_t bytes;

	run->end = s->produced;
	for (; at < n; at += count) {
		enum fit fit;
		uint32_t filling;

		full = false;
		count = left = shunt_packet_frames(frames + at, n - at, &bytes);
		if (!count || !has_places(s, run, count))
			break;
		filling = shunt_ship_span(bytes) - SHUNT_SHIP_HEAD - bytes;
		full = run->end + shunt_ship_span(bytes) - s->consumed > s->offer.bytes;
		if (!bytes || bytes > s->offer.frame_max) {
			refuse(s, frames + at, count);
			continue;
		}
		if (full || (run->pieces && run->pieces + count > s->pieces))
			break;
		fit = bring_in(s, frames + at, &left, bytes, filling);
		if (fit == WAITS)
			break;
		if (fit == NEVER)
			refuse(s, frames + at, count);
		else
			wrap(s, run, frames + at, left, bytes, filling);
	}
	if (run->pieces)
		hand_on(s, run);
	else if (full && at < n)
		at += without_room(s, frames + at, n - at);
	return at;
}

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

unsigned int shunt_ship_tx(struct shunt_port *port, struct shunt_frame *frames,
			   unsigned int n)
{
	struct shunt_ship_sender *s = shunt_ship_sender_of(port);
	unsigned int taken = 0, now;
	const uint64_t now_ns = wall_ns();

	shunt_ship_settle(s);
	while (taken < n && s->state == SHUNT_SHIP_STATE_UP) {
		struct run run = { .now_ns = now_ns };

		now = send_run(s, &run, frames + taken, n - taken);
		if (!now)
			break;
		taken += now;
	}
	if (s->state != SHUNT_SHIP_STATE_UP && s->options.full == SHUNT_SHIP_DROP)
		taken += throw_away(s, frames + taken, n - taken,
				    &port->count.tx_no_peer);
	if (shunt_ship_wants_facts(s))
		shunt_ship_ask_facts(s);
	return taken;
}
