/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded ring from one thread to another: frames, or other elements of one size. */
#pragma once

/*
 *     producer ── push ─▶ [ tail … head ) ── pop, or peek and drop ─▶ consumer
 *
 * One thread at a time pushes and one pops; which ones may change if something else
 * orders them. What is pushed has a new owner. A full ring takes less than all, from the
 * front, and counts the rest: what to do with it is the caller's policy.
 *
 * Each side keeps what it last saw of the other's index, and looks again only when that
 * doesn't suffice, so that a line between cores moves once a burst at most.
 *
 * Nothing here sleeps or wakes: see user/rt/bell.h.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/check.h"
#include "user/rt/metric.h"
#include "user/rt/slots.h"

struct shunt_spsc {
	struct shunt_slots slots;

	/* the producer's */
	_Alignas(SHUNT_SLOTS_APART) _Atomic uint32_t head; /* where it writes next */
	uint32_t tail_seen;
	shunt_metric refused; /* elements that found no room */

	/* the consumer's */
	_Alignas(SHUNT_SLOTS_APART) _Atomic uint32_t tail; /* where it reads next */
	uint32_t head_seen;
};

SHUNT_MUST_CHECK int shunt_spsc_open(struct shunt_spsc **ring,
				     const struct shunt_slots_opts *opts,
				     struct shunt_err *err);

/* What is still in it is nobody's: pop it first. NULL is fine. */
void shunt_spsc_close(struct shunt_spsc *ring);

/* --- the producer ------------------------------------------------------------------ */

/* How many of `n` elements there is room for, at least. */
static inline uint32_t shunt_spsc_room(struct shunt_spsc *ring, uint32_t n)
{
	/* Relaxed: our own. */
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t size = ring->slots.mask + 1, room = size - (head - ring->tail_seen);

	if (room < n) {
		/* Acquire: pairs with the release in shunt_spsc_drop(); the slots have
		 * been read before they are written anew. */
		ring->tail_seen =
			atomic_load_explicit(&ring->tail, memory_order_acquire);
		room = size - (head - ring->tail_seen);
	}
	return room < n ? room : n;
}

static inline __attribute__((always_inline)) uint32_t shunt_spsc_push_sized(
	struct shunt_spsc *ring, const void *elements, uint32_t n, size_t bytes)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t fit = shunt_spsc_room(ring, n);

	shunt_check(bytes == ring->slots.bytes);
	if (fit < n)
		shunt_metric_add(&ring->refused, n - fit);
	shunt_slots_write(&ring->slots, head, elements, fit, bytes);
	/* Release: pairs with the acquire in shunt_spsc_ready(), for the elements. */
	atomic_store_explicit(&ring->head, head + fit, memory_order_release);
	return fit;
}

/* Takes from the front; how many it took. */
#define shunt_spsc_push(ring, elements, n)                                             \
	shunt_spsc_push_sized(ring, elements, n, sizeof(*(elements)))

/* --- the consumer ------------------------------------------------------------------ */

/* How many of up to `n` elements are there. */
static inline uint32_t shunt_spsc_ready(struct shunt_spsc *ring, uint32_t n)
{
	/* Relaxed: our own. */
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t ready = ring->head_seen - tail;

	if (ready < n) {
		/* Acquire: pairs with the release in shunt_spsc_push(). */
		ring->head_seen =
			atomic_load_explicit(&ring->head, memory_order_acquire);
		ready = ring->head_seen - tail;
	}
	return ready < n ? ready : n;
}

/* Gives n slots back, from the oldest on, whose elements are dealt with. */
static inline void shunt_spsc_drop(struct shunt_spsc *ring, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	shunt_check(ring->head_seen - tail >= n);
	/* Release: pairs with the acquire in shunt_spsc_room(): we have read them. */
	atomic_store_explicit(&ring->tail, tail + n, memory_order_release);
}

/*
 * The oldest elements where they lie, up to *n in a row; *n becomes how many. They are
 * ours to change, and stay until they are dropped:
 *
 *     frames = shunt_spsc_peek(ring, &n);
 *     shunt_spsc_drop(ring, shunt_port_tx(port, frames, n));
 */
static inline void *shunt_spsc_peek(struct shunt_spsc *ring, uint32_t *n)
{
	*n = shunt_spsc_ready(ring, *n);
	return shunt_slots_run(&ring->slots,
			       atomic_load_explicit(&ring->tail, memory_order_relaxed),
			       n);
}

static inline __attribute__((always_inline)) uint32_t shunt_spsc_pop_sized(
	struct shunt_spsc *ring, void *elements, uint32_t max, size_t bytes)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t n = shunt_spsc_ready(ring, max);

	shunt_check(bytes == ring->slots.bytes);
	shunt_slots_read(&ring->slots, tail, elements, n, bytes);
	shunt_spsc_drop(ring, n);
	return n;
}

/* Copies out up to max elements, the oldest first; how many. */
#define shunt_spsc_pop(ring, elements, max)                                            \
	shunt_spsc_pop_sized(ring, elements, max, sizeof(*(elements)))

/* --- anybody ------------------------------------------------------------------------ */

static inline uint64_t shunt_spsc_refused(const struct shunt_spsc *ring)
{
	return shunt_metric_read(&ring->refused);
}

/* How many lie in it, about: exact while neither side moves. */
static inline uint32_t shunt_spsc_fill(const struct shunt_spsc *ring)
{
	/* Relaxed: a figure. The tail first, or it could pass the head. */
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	return atomic_load_explicit(&ring->head, memory_order_relaxed) - tail;
}
