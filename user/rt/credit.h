/* SPDX-License-Identifier: BSD-2-Clause */
/* Credits: how much a producer may have under way before it has to wait. */
#pragma once

/*
 *     producer: take ─▶ … what it sends … ─▶ consumer, or whoever deals with it: give
 *
 * There are `limit` credits. One thread takes them, any thread gives them back, each
 * credit once. What is under way (taken, not given back) is never below 0 and never
 * above the limit: a sender whose receivers are slow has no credits, and says so to its
 * own sender instead of queueing.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "user/rt/check.h"
#include "user/rt/core.h"

struct shunt_credit {
	uint32_t limit;

	/* the taker's */
	_Alignas(SHUNT_CORE_APART) _Atomic uint32_t taken; /* ever; wraps */
	uint32_t given_seen;

	/* the givers' */
	_Alignas(SHUNT_CORE_APART) _Atomic uint32_t given; /* ever; wraps */
};

/* `start`: where the counts begin, 0 but in tests. */
static inline void shunt_credit_init(struct shunt_credit *credit, uint32_t limit,
				     uint32_t start)
{
	credit->limit = limit;
	atomic_init(&credit->taken, start);
	atomic_init(&credit->given, start);
	credit->given_seen = start;
}

/* Takes up to n; returns how many there were. */
static inline uint32_t shunt_credit_take(struct shunt_credit *credit, uint32_t n)
{
	/* Relaxed: our own. */
	uint32_t taken = atomic_load_explicit(&credit->taken, memory_order_relaxed);
	uint32_t left = credit->limit - (taken - credit->given_seen);

	if (left < n) {
		/* Acquire: pairs with the release in shunt_credit_give(): what was under
		 * way is dealt with. */
		credit->given_seen =
			atomic_load_explicit(&credit->given, memory_order_acquire);
		/* More given than taken, or one credit twice: the owners lost count. */
		assert(taken - credit->given_seen <= credit->limit);
		left = credit->limit - (taken - credit->given_seen);
		if (left < n)
			n = left;
	}
	/* Relaxed: givers learn of it by what they were sent. */
	atomic_store_explicit(&credit->taken, taken + n, memory_order_relaxed);
	return n;
}

/* Gives n back that were taken. */
static inline void shunt_credit_give(struct shunt_credit *credit, uint32_t n)
{
	/* Release: pairs with the acquire in shunt_credit_take(). */
	uint32_t before =
		atomic_fetch_add_explicit(&credit->given, n, memory_order_release);

	shunt_check(atomic_load_explicit(&credit->taken, memory_order_relaxed) -
			    before >=
		    n);
	(void)before;
}

/* How many are under way, about: exact while nobody takes or gives. */
static inline uint32_t shunt_credit_out(const struct shunt_credit *credit)
{
	/* Relaxed: a figure. What was given first, or it could pass what was taken. */
	uint32_t given = atomic_load_explicit(&credit->given, memory_order_relaxed);

	return atomic_load_explicit(&credit->taken, memory_order_relaxed) - given;
}
