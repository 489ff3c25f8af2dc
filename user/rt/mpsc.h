/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded ring from many threads to one: frames, or other elements of one size. */
#pragma once

/*
 *     producers ── reserve, write, mark ─▶ [ tail … seen | reserved … head ) ─▶ consumer
 *
 * Any thread pushes, one at a time pops. A producer reserves a run of slots by moving the
 * head, writes them, and marks the first with where the run ends. The consumer goes from
 * mark to mark. So producers never wait for each other: one that is interrupted holds up
 * what was reserved behind it, but nobody who pushes. Runs stay whole: what one call
 * pushes lies in a row.
 *
 * Indices have 64 bits and never come round: a mark that an earlier run has left is
 * always behind, and a head that was read long ago is never taken for a new one.
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
	_Atomic uint64_t
		*marks; /* of each slot: the end of the last run that began here */

	/* the producers' */
	_Alignas(SHUNT_CORE_APART) _Atomic uint64_t head; /* what is reserved next */
	_Atomic uint64_t tail_seen; /* by any of them, at any time: never too new */
	shunt_metric refused;	    /* elements that found no room */

	/* the consumer's */
	_Alignas(SHUNT_CORE_APART) _Atomic uint64_t tail; /* where it reads next */
	uint64_t seen; /* runs before this were marked */
};

SHUNT_MUST_CHECK int shunt_mpsc_open(struct shunt_mpsc **ring,
				     const struct shunt_slots_opts *opts,
				     struct shunt_err *err);

/* No producer works on it any more; what is still in it is nobody's. NULL is fine. */
void shunt_mpsc_close(struct shunt_mpsc *ring);

/* --- producers ----------------------------------------------------------------------- */

/*
 * What the slow half of shunt_mpsc_reserve() finds when there seemed to be too little
 * room: how many of n slots are free behind a head.
 */
static inline uint32_t shunt_mpsc_room(struct shunt_mpsc *ring, uint64_t head,
				       uint32_t n)
{
	/* Acquire: pairs with the release in shunt_mpsc_drop(). */
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint64_t end = tail + ring->slots.mask + 1;

	/* Release: pairs with the acquire in shunt_mpsc_reserve(). */
	atomic_store_explicit(&ring->tail_seen, tail, memory_order_release);
	/* An old head may be behind the tail: the exchange will say so. */
	return end - head < n ? (uint32_t)(end - head) : n;
}

/* Reserves up to n slots, or none if there are fewer than `least`. */
static inline uint32_t shunt_mpsc_reserve(struct shunt_mpsc *ring, uint64_t *head,
					  uint32_t least, uint32_t n)
{
	uint64_t end;
	uint32_t fit;

	/* Relaxed: whether it is right, the exchange says. */
	*head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	do {
		/*
		 * Acquire: pairs with the release in shunt_mpsc_room(). Who stored it had
		 * acquired the tail, so what the consumer did before is before us, too.
		 */
		end = atomic_load_explicit(&ring->tail_seen, memory_order_acquire) +
		      ring->slots.mask + 1;
		fit = n;
		if (__builtin_expect(*head + n > end, 0))
			fit = shunt_mpsc_room(ring, *head, n);
		if (fit < least)
			return 0;
		/* Relaxed: the slots are handed over by tail and marks. */
	} while (!atomic_compare_exchange_weak_explicit(&ring->head, head, *head + fit,
							memory_order_relaxed,
							memory_order_relaxed));
	return fit;
}

static inline __attribute__((always_inline)) uint32_t shunt_mpsc_push_sized(
	struct shunt_mpsc *ring, const void *elements, uint32_t least, uint32_t n,
	size_t bytes)
{
	uint64_t head;
	uint32_t fit = shunt_mpsc_reserve(ring, &head, least, n);

	shunt_check(bytes == ring->slots.bytes);
	if (__builtin_expect(fit < n, 0)) /* Relaxed: a figure. */
		atomic_fetch_add_explicit(&ring->refused, n - fit,
					  memory_order_relaxed);
	if (!fit)
		return 0;
	shunt_slots_write(&ring->slots, (uint32_t)head, elements, fit, bytes);
	/* Release: pairs with the acquire in shunt_mpsc_ready(), for the elements. */
	atomic_store_explicit(&ring->marks[head & ring->slots.mask], head + fit,
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
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t seen = ring->seen, end;

	while (seen - tail < n) {
		/* Acquire: pairs with the release in shunt_mpsc_push(). */
		end = atomic_load_explicit(&ring->marks[seen & ring->slots.mask],
					   memory_order_acquire);
		if (end <= seen)
			return (uint32_t)(seen - tail);
		ring->seen = seen = end;
	}
	return n;
}

/* Gives n slots back, from the oldest on, whose elements are dealt with. */
static inline void shunt_mpsc_drop(struct shunt_mpsc *ring, uint32_t n)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	shunt_check(ring->seen - tail >= n);
	/* Release: pairs with the acquire in shunt_mpsc_room(): we have read them. */
	atomic_store_explicit(&ring->tail, tail + n, memory_order_release);
}

/* As shunt_spsc_peek(). */
static inline void *shunt_mpsc_peek(struct shunt_mpsc *ring, uint32_t *n)
{
	*n = shunt_mpsc_ready(ring, *n);
	return shunt_slots_run(
		&ring->slots,
		(uint32_t)atomic_load_explicit(&ring->tail, memory_order_relaxed), n);
}

static inline __attribute__((always_inline)) uint32_t shunt_mpsc_pop_sized(
	struct shunt_mpsc *ring, void *elements, uint32_t max, size_t bytes)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t n = shunt_mpsc_ready(ring, max);

	shunt_check(bytes == ring->slots.bytes);
	if (!n)
		return 0;
	shunt_slots_read(&ring->slots, (uint32_t)tail, elements, n, bytes);
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
