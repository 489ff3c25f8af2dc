/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded ring from many threads to one: frames, or other elements of one size. */
#pragma once

/*
 *     producers ── reserve, write, mark ─▶ [ tail … seen | reserved … head ) ─▶ consumer
 *
 * Any thread pushes, one at a time pops. A producer reserves a run of slots by moving the
 * head, writes them, and marks the first with the length of the run. The consumer goes
 * from mark to mark. So producers never wait for each other: one that is interrupted
 * holds up what was reserved behind it, but nobody who pushes. Runs stay whole: what one
 * call pushes lies in a row.
 *
 * Else it is as user/rt/spsc.h.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/check.h"
#include "user/rt/metric.h"
#include "user/rt/slots.h"

struct shunt_mpsc {
	struct shunt_slots slots;
	_Atomic uint32_t *marks; /* of each slot; 0: no run begins here, so far */

	/* the producers' */
	_Alignas(SHUNT_SLOTS_APART) _Atomic uint32_t head; /* what is reserved next */
	_Atomic uint32_t tail_seen; /* by any of them, at any time: never too new */
	shunt_metric refused;	    /* elements that found no room */

	/* the consumer's */
	_Alignas(SHUNT_SLOTS_APART) _Atomic uint32_t tail; /* where it reads next */
	uint32_t seen; /* runs before this were marked */
};

SHUNT_MUST_CHECK int shunt_mpsc_open(struct shunt_mpsc **ring,
				     const struct shunt_slots_opts *opts,
				     struct shunt_err *err);

/* No producer works on it any more; what is still in it is nobody's. NULL is fine. */
void shunt_mpsc_close(struct shunt_mpsc *ring);

/* --- producers ----------------------------------------------------------------------- */

/* How many of n slots are free behind a head; a negative number: the head is old. */
static inline int64_t shunt_mpsc_room(struct shunt_mpsc *ring, uint32_t head,
				      uint32_t n)
{
	/*
	 * Acquire: pairs with the release below. Who stored it had acquired the tail, so
	 * what the consumer did before is before us, too.
	 */
	uint32_t tail = atomic_load_explicit(&ring->tail_seen, memory_order_acquire);
	uint32_t size = ring->slots.mask + 1;

	/* More than size between them: one of the two is old. */
	if (head - tail <= size && size - (head - tail) >= n)
		return n;
	/* Acquire: pairs with the release in shunt_mpsc_drop(). */
	tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	atomic_store_explicit(&ring->tail_seen, tail, memory_order_release);
	if (head - tail > size)
		return -1;
	return size - (head - tail) < n ? size - (head - tail) : n;
}

/* Reserves up to n slots, or none if there are fewer than `least`. */
static inline uint32_t shunt_mpsc_reserve(struct shunt_mpsc *ring, uint32_t *head,
					  uint32_t least, uint32_t n)
{
	int64_t fit;

	/* Relaxed: whether it is right, the exchange says. */
	*head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	do {
		fit = shunt_mpsc_room(ring, *head, n);
		if (fit < 0) {
			*head = atomic_load_explicit(&ring->head, memory_order_relaxed);
			continue;
		}
		if (fit < least || !fit)
			return 0;
	} while (fit < 0 || /* Relaxed: the slots are handed over by tail and marks. */
		 !atomic_compare_exchange_weak_explicit(
			 &ring->head, head, *head + (uint32_t)fit, memory_order_relaxed,
			 memory_order_relaxed));
	return (uint32_t)fit;
}

static inline __attribute__((always_inline)) uint32_t shunt_mpsc_push_sized(
	struct shunt_mpsc *ring, const void *elements, uint32_t least, uint32_t n,
	size_t bytes)
{
	uint32_t head, fit = shunt_mpsc_reserve(ring, &head, least, n);

	shunt_check(bytes == ring->slots.bytes);
	if (fit < n) /* Relaxed: a figure. */
		atomic_fetch_add_explicit(&ring->refused, n - fit,
					  memory_order_relaxed);
	if (!fit)
		return 0;
	shunt_slots_write(&ring->slots, head, elements, fit, bytes);
	/* Release: pairs with the acquire in shunt_mpsc_ready(), for the elements. */
	atomic_store_explicit(&ring->marks[head & ring->slots.mask], fit,
			      memory_order_release);
	return fit;
}

/* Takes from the front; how many it took. */
#define shunt_mpsc_push(ring, elements, n)                                             \
	shunt_mpsc_push_sized(ring, elements, 1, n, sizeof(*(elements)))

/* Takes all of them, or none: for packets of several frames. */
#define shunt_mpsc_push_all(ring, elements, n)                                         \
	shunt_mpsc_push_sized(ring, elements, n, n, sizeof(*(elements)))

/* --- the consumer ------------------------------------------------------------------ */

/* How many of up to n elements are there. */
static inline uint32_t shunt_mpsc_ready(struct shunt_mpsc *ring, uint32_t n)
{
	/* Relaxed: our own. */
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	while (ring->seen - tail < n && ring->seen - tail <= ring->slots.mask) {
		_Atomic uint32_t *mark = &ring->marks[ring->seen & ring->slots.mask];
		/* Acquire: pairs with the release in shunt_mpsc_push(). */
		uint32_t run = atomic_load_explicit(mark, memory_order_acquire);

		if (!run)
			break;
		/* Relaxed: the release of the tail, later, is before the next mark. */
		atomic_store_explicit(mark, 0, memory_order_relaxed);
		ring->seen += run;
	}
	return ring->seen - tail < n ? ring->seen - tail : n;
}

/* Gives n slots back, from the oldest on, whose elements are dealt with. */
static inline void shunt_mpsc_drop(struct shunt_mpsc *ring, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	shunt_check(ring->seen - tail >= n);
	/* Release: pairs with the acquire in shunt_mpsc_room(): we have read them. */
	atomic_store_explicit(&ring->tail, tail + n, memory_order_release);
}

/* As shunt_spsc_peek(). */
static inline void *shunt_mpsc_peek(struct shunt_mpsc *ring, uint32_t *n)
{
	*n = shunt_mpsc_ready(ring, *n);
	return shunt_slots_run(&ring->slots,
			       atomic_load_explicit(&ring->tail, memory_order_relaxed),
			       n);
}

static inline __attribute__((always_inline)) uint32_t shunt_mpsc_pop_sized(
	struct shunt_mpsc *ring, void *elements, uint32_t max, size_t bytes)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t n = shunt_mpsc_ready(ring, max);

	shunt_check(bytes == ring->slots.bytes);
	if (!n)
		return 0;
	shunt_slots_read(&ring->slots, tail, elements, n, bytes);
	shunt_mpsc_drop(ring, n);
	return n;
}

/* Copies out up to max elements, the oldest first; how many. */
#define shunt_mpsc_pop(ring, elements, max)                                            \
	shunt_mpsc_pop_sized(ring, elements, max, sizeof(*(elements)))

/* --- anybody ------------------------------------------------------------------------ */

static inline uint64_t shunt_mpsc_refused(const struct shunt_mpsc *ring)
{
	return shunt_metric_read(&ring->refused);
}
