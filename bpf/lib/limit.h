/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is a packet within its rule's limit? One number a bucket. */
#pragma once

/*
 * The generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex
 * A; ATM Forum TM 4.1), which decides as a token bucket does but keeps one number: the
 * theoretical arrival time, at which the bucket would be full again.
 *
 *     ahead = max(tat - now, 0)         how much of the bucket is used up, as time
 *     within the limit:                 ahead + cost <= burst;   tat = now + ahead + cost
 *     beyond:                           nothing changes
 *
 * Time is counted in ticks of 2^-16 ns. A unit (packet, or byte) costs 10^9 * 2^16 / rate
 * ticks, rounded to the nearest: at 400 Gbit/s (5 * 10^10 bytes a second) that is 1310.72,
 * taken for 1311, which is off by 0.021 %, at 800 Gbit/s 655.36, off by 0.055 %; half a
 * tick is below 0.08 % of any cost down to there. The cost of a burst is as many times
 * that of a unit, so that exactly a burst fits into a full bucket.
 *
 * Ticks are modulo 2^64: they come round every 78 hours. A bucket is never ahead of the
 * clock by more than its burst, give or take what CPUs are late (SHUNT_LIMIT_SLACK), so
 * everything else means that it is long since full. One that rests for exactly 78 hours,
 * give or take its burst, is taken for one that is in part used up.
 *
 * One compare-and-exchange takes a token: CPUs neither lose one nor take one twice.
 */
#include "bpf/lib/compiler.h"
#include "maps/limit.h"
#include "maps/mods.h"

#define SHUNT_LIMIT_SLACK (1000000000ull << SHUNT_LIMIT_SHIFT)

/* The arrival time after a packet of this cost, in *next; 0: it is beyond the limit. */
SHUNT_INLINE int shunt_limit_step(const struct shunt_image_limit *limit, __u64 tat,
				  __u64 now, __u64 cost, __u64 *next)
{
	__u64 ahead = tat - now;

	if (ahead > limit->burst + SHUNT_LIMIT_SLACK)
		ahead = 0;
	if (ahead + cost > limit->burst)
		return 0;
	*next = now + ahead + cost;
	return 1;
}

#ifdef __bpf__
#include <bpf/bpf_helpers.h>

#include "bpf/lib/mods.h"

/* More CPUs than this at one bucket at once: the last one is beyond the limit. */
#define SHUNT_LIMIT_TRIES 64

static __always_inline int shunt_limit_take(__u64 *tat,
					    const struct shunt_image_limit *limit,
					    __u64 cost, __u32 takes)
{
	__u64 now = bpf_ktime_get_ns() << SHUNT_LIMIT_SHIFT, old, next;
	int i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_LIMIT_TRIES; i++) {
		old = *(volatile __u64 *)tat;
		if (!shunt_limit_step(limit, old, now, cost, &next))
			return 0;
		if (!takes || __sync_val_compare_and_swap(tat, old, next) == old)
			return 1;
	}
	return 0;
}

static __always_inline void shunt_limit_key(const struct shunt_trace *t,
					    const struct shunt_image_limit *limit,
					    struct shunt_limit_key *key)
{
	const struct shunt_layer *layer = &t->pkt.layer[SHUNT_OUTER];
	const __u32 *addr = layer->addr[limit->by == SHUNT_LIMIT_DST];

	*key = (struct shunt_limit_key){ .family = layer->l3, .hook = t->hook };
	if (layer->l3 == SHUNT_L3_IP4) {
		key->addr[0] = addr[0] & limit->mask4;
	} else if (layer->l3 == SHUNT_L3_IP6) {
		key->addr[0] = addr[0] & limit->mask6[0];
		key->addr[1] = addr[1] & limit->mask6[1];
		key->addr[2] = addr[2] & limit->mask6[2];
		key->addr[3] = addr[3] & limit->mask6[3];
	}
}

/* The bucket of the packet's address, which may be new; NULL: no table, no memory. */
static __always_inline __u64 *shunt_limit_bucket_by(
	const struct shunt_trace *t, const struct shunt_image_limit *limit, __u32 takes)
{
	struct shunt_limit_key key;
	__u32 id = limit->id;
	void *table = bpf_map_lookup_elem(&shunt_limit_by, &id);
	__u64 full, *tat;

	if (!table)
		return 0;
	shunt_limit_key(t, limit, &key);
	tat = bpf_map_lookup_elem(table, &key);
	if (tat || !takes)
		return tat;
	/* another CPU may be faster: its bucket counts */
	full = bpf_ktime_get_ns() << SHUNT_LIMIT_SHIFT;
	bpf_map_update_elem(table, &key, &full, BPF_NOEXIST);
	return bpf_map_lookup_elem(table, &key);
}

static __always_inline __u64 *shunt_limit_bucket(const struct shunt_trace *t,
						 const struct shunt_image_limit *limit,
						 __u32 takes)
{
	struct shunt_limiter *limiter;
	__u32 id = limit->id;

	if (SHUNT_HAS(LIMIT_BY) && limit->by)
		return shunt_limit_bucket_by(t, limit, takes);
	limiter = bpf_map_lookup_elem(&shunt_limit, &id);
	return limiter ? &limiter->tat[t->hook & (SHUNT_HOOK_MAX - 1)] : 0;
}

/*
 * 1: the deciding rule's limit is used up; what becomes of the packet is in the trace.
 * Without `takes`, in a test run, the bucket stays as it is. A bucket that cannot be had
 * is one that is used up: a limit protects what is behind it.
 */
__noinline int shunt_limit_stops(struct shunt_trace *t, __u32 takes)
{
	const struct shunt_image_mods *mods;
	const struct shunt_image_limit *limit;
	__u64 units, *tat;

	if (!t)
		return 0;
	mods = shunt_mods_at(t);
	if (!mods || !(mods->bits & SHUNT_MOD_LIMIT))
		return 0;
	limit = &mods->limit;
	units = limit->bytes ? t->pkt.len : 1;
	if (units <= limit->units) {
		tat = shunt_limit_bucket(t, limit, takes);
		if (!tat && !takes) /* a new address, in a test run */
			return 0;
		if (tat && shunt_limit_take(tat, limit, units * limit->cost, takes))
			return 0;
	}
	t->reason = SHUNT_REASON_LIMITED;
	t->verdict = limit->over;
	return 1;
}
#endif
