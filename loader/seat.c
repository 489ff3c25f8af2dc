/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/seat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "loader/claim.h"
#include "loader/gen.h"
#include "loader/percpu.h"
#include "loader/rings.h"
#include "loader/shunt.h"
#include "maps/ring.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"

/* --- reading ----------------------------------------------------------------- */

static struct shunt_seat *map_seats(const struct shunt_maps *maps, int prot)
{
	size_t bytes = SHUNT_SEAT_MAX * sizeof(struct shunt_seat);
	void *at = mmap(NULL, bytes, prot, MAP_SHARED, maps->fd[SHUNT_MAP_SEAT], 0);

	return at == MAP_FAILED ? NULL : at;
}

static void unmap_seats(struct shunt_seat *seat)
{
	if (seat)
		munmap(seat, SHUNT_SEAT_MAX * sizeof(*seat));
}

int shunt_seats_read(struct shunt_seat *all, const struct shunt_maps *maps,
		     struct shunt_err *err)
{
	struct shunt_seat *seat = map_seats(maps, PROT_READ);

	if (!seat)
		return shunt_fail_errno(err, -errno, "map the consumers' seats");
	memcpy(all, seat, SHUNT_SEAT_MAX * sizeof(*all));
	unmap_seats(seat);
	return 0;
}

int shunt_flow_read(struct shunt_flow *flow, const struct shunt_instance *instance,
		    struct shunt_err *err)
{
	const struct shunt_maps *maps = &instance->maps;
	uint64_t missed;
	int ret = shunt_seats_read(flow->seat, maps, err);

	flow->watched = shunt_watch_is_whole(instance, &missed, NULL);
	if (!ret)
		ret = shunt_watch_read(maps, flow->watch, &flow->losses, err);
	return ret ? ret
		   : shunt_percpu_sum(maps->fd[SHUNT_MAP_HANDED], flow->handed,
				      SHUNT_HANDED_MAX, err);
}

uint64_t shunt_flow_handed(const struct shunt_flow *flow, uint32_t slot, uint32_t place)
{
	uint64_t sum = 0;
	uint32_t hook;

	if (place != SHUNT_SEAT_RING)
		return flow->handed[shunt_handed_key(slot, place)];
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		sum += flow->handed[shunt_handed_key(slot, SHUNT_LANE_RING + hook)];
	return sum;
}

uint64_t shunt_flow_lost(const struct shunt_flow *flow, uint32_t slot, uint32_t place)
{
	const struct shunt_seat *seat = &flow->seat[shunt_seat_key(slot, place)];
	uint64_t sum = 0;
	size_t i;

	if (place == SHUNT_SEAT_RING)
		return 0;
	if (!flow->watched)
		return seat->ring_full + seat->dropped;
	for (i = 0; i < flow->losses.count; i++)
		if (flow->losses.key[i].where == SHUNT_LOSS_CONSUMER &&
		    flow->losses.key[i].index == shunt_consumer_key(slot, place))
			sum += flow->losses.packets[i];
	return sum;
}

int64_t shunt_flow_open(const struct shunt_flow *flow, uint32_t slot, uint32_t place)
{
	const struct shunt_seat *seat = &flow->seat[shunt_seat_key(slot, place)];

	return (int64_t)(shunt_flow_handed(flow, slot, place) -
			 shunt_flow_lost(flow, slot, place) - seat->received -
			 seat->discarded - seat->lost);
}

/* --- claims ------------------------------------------------------------------ */

static void claim_name(char name[SHUNT_CLAIM_MAX], const struct shunt_maps *maps,
		       uint32_t slot, uint32_t place)
{
	snprintf(name, SHUNT_CLAIM_MAX, "shunt/seat/%016llx/%u/%u",
		 (unsigned long long)maps->gen->trace_cookie, slot, place);
}

bool shunt_seat_is_served(const struct shunt_maps *maps, uint32_t slot, uint32_t place)
{
	char name[SHUNT_CLAIM_MAX];

	claim_name(name, maps, slot, place);
	return shunt_is_claimed(name);
}

/* --- serving ----------------------------------------------------------------- */

#define BEATS 8 /* heartbeats in an interval, of a loop that turns all the time */
#define NAPS 4	/* the same of one that sleeps */

struct shunt_seats {
	struct shunt_instance instance;
	struct shunt_seat *all; /* mapped */
	uint32_t slot;
	int claim_fd[SHUNT_SEATS]; /* -1: not served by us */
	bool taken[SHUNT_SEATS];   /* and not left yet */
	uint64_t heartbeat_ns;	   /* what the policy asks for; 0: nothing */
	uint64_t beat_ns;	   /* of the last heartbeat */
};

/* --- the heartbeat ----------------------------------------------------------- */

/* What the ruling policy asks of our consumer; one that it no longer names goes on. */
static void ask_heartbeat(struct shunt_seats *seats)
{
	const struct shunt_state *state = seats->instance.state;
	size_t c;

	for (c = 0; c < state->consumers; c++)
		if (state->consumer[c].slot == seats->slot)
			seats->heartbeat_ns = state->consumer[c].heartbeat_ns;
}

/*
 * A policy that came into force since may ask for another interval. While its record
 * cannot be read, the one that was promised is kept.
 */
static void follow_policy(struct shunt_seats *seats)
{
	struct shunt_instance *instance = &seats->instance;
	uint64_t ruling = shunt_gen_look(instance->maps.gen).ruling;
	struct shunt_state *state;

	if (instance->state->generation == ruling ||
	    shunt_state_read(&state, instance->name, ruling, NULL))
		return;
	shunt_state_free(instance->state);
	instance->state = state;
	ask_heartbeat(seats);
}

/* One word is all that the programs look at: it is never half of two promises. */
static void beat(struct shunt_seat *seat, uint64_t now_ns, uint64_t heartbeat_ns)
{
	__atomic_store_n(&seat->heartbeat_ns, heartbeat_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&seat->due_ns, heartbeat_ns ? now_ns + heartbeat_ns : 0,
			 __ATOMIC_RELEASE);
}

void shunt_seats_beat(struct shunt_seats *seats, uint64_t now_ns)
{
	uint64_t pause = seats->heartbeat_ns ? seats->heartbeat_ns : SHUNT_HEARTBEAT_NS;
	uint32_t place;

	if (now_ns - seats->beat_ns < pause / BEATS)
		return;
	seats->beat_ns = now_ns;
	follow_policy(seats);
	for (place = 0; place < SHUNT_SEATS; place++)
		if (seats->taken[place])
			beat(&seats->all[shunt_seat_key(seats->slot, place)], now_ns,
			     seats->heartbeat_ns);
}

uint64_t shunt_seats_nap_ns(const struct shunt_seats *seats)
{
	return (seats->heartbeat_ns ? seats->heartbeat_ns : SHUNT_HEARTBEAT_NS) / NAPS;
}

/* --- opening ----------------------------------------------------------------- */

int shunt_seats_open(struct shunt_seats **seats, const char *interface, uint32_t slot,
		     struct shunt_err *err)
{
	struct shunt_seats *made = calloc(1, sizeof(*made));
	size_t i;
	int ret;

	*seats = NULL;
	if (!made)
		return shunt_fail(err, -ENOMEM, "serve a consumer: out of memory");
	for (i = 0; i < SHUNT_SEATS; i++)
		made->claim_fd[i] = -1;
	made->slot = slot;
	ret = shunt_instance_open(&made->instance, interface, false, err);
	if (!ret && slot >= SHUNT_CONSUMER_SLOTS)
		ret = shunt_fail(err, -ERANGE, "consumer slot %u: slots end at %u",
				 slot, SHUNT_CONSUMER_SLOTS - 1);
	if (!ret) {
		made->all = map_seats(&made->instance.maps, PROT_READ | PROT_WRITE);
		if (!made->all)
			ret = shunt_fail_errno(err, -errno, "map the consumers' seats");
	}
	if (!ret)
		ask_heartbeat(made);
	if (ret)
		shunt_seats_close(made);
	else
		*seats = made;
	return ret;
}

void shunt_seats_close(struct shunt_seats *seats)
{
	size_t i;

	if (!seats)
		return;
	unmap_seats(seats->all);
	for (i = 0; i < SHUNT_SEATS; i++)
		if (seats->claim_fd[i] >= 0)
			close(seats->claim_fd[i]);
	shunt_instance_close(&seats->instance);
	free(seats);
}

/*
 * What a consumer that died had not accounted for is lost. Nobody feeds the seat now: the
 * dead one's socket is closed; its ring, which programs still fill, is taken out first.
 * The sum is stored, not added: a kill right behind it does no harm.
 */
static int bury(struct shunt_seats *seats, uint32_t place, struct shunt_err *err)
{
	const struct shunt_instance *instance = &seats->instance;
	struct shunt_seat *seat = &seats->all[shunt_seat_key(seats->slot, place)];
	_free_ struct shunt_flow *flow = malloc(sizeof(*flow));
	int64_t open;
	int ret;

	if (!flow)
		return shunt_fail(err, -ENOMEM, "serve a consumer: out of memory");
	if (place == SHUNT_SEAT_RING)
		shunt_ring_starve(&instance->maps, shunt_ring_place(seats->slot));
	ret = shunt_flow_read(flow, instance, err);
	if (ret)
		return ret;
	open = shunt_flow_open(flow, seats->slot, place);
	if (open > 0)
		__atomic_store_n(&seat->lost, seat->lost + open, __ATOMIC_RELAXED);
	return 0;
}

int shunt_seat_take(struct shunt_seats *seats, uint32_t place, uint32_t room,
		    struct shunt_seat **taken, struct shunt_err *err)
{
	struct shunt_seat *seat = &seats->all[shunt_seat_key(seats->slot, place)];
	char name[SHUNT_CLAIM_MAX];
	int ret = 0;

	claim_name(name, &seats->instance.maps, seats->slot, place);
	seats->claim_fd[place] = shunt_claim(name);
	if (seats->claim_fd[place] == -EADDRINUSE)
		return shunt_fail(err, -EBUSY,
				  "another process serves this consumer: end that one "
				  "first");
	if (seats->claim_fd[place] < 0)
		return shunt_fail_errno(err, seats->claim_fd[place],
					"claim the consumer's seat");
	if (seat->pid)
		ret = bury(seats, place, err);
	if (ret)
		return ret;
	seat->room = room;
	beat(seat, shunt_now_ns(), seats->heartbeat_ns);
	__atomic_store_n(&seat->pid, getpid(), __ATOMIC_RELEASE);
	seats->taken[place] = true;
	*taken = seat;
	return 0;
}

void shunt_seat_leave(struct shunt_seats *seats, struct shunt_seat *seat)
{
	seats->taken[(size_t)(seat - seats->all) % SHUNT_SEATS] = false;
	beat(seat, 0, 0);
	__atomic_store_n(&seat->pid, 0, __ATOMIC_RELEASE);
}

/* --- passing it on ----------------------------------------------------------- */

void shunt_seat_name(const struct shunt_seats *seats, uint32_t place,
		     char name[SHUNT_SEAT_NAME])
{
	snprintf(name, SHUNT_SEAT_NAME, "@shunt/pass/%016llx/%u/%u",
		 (unsigned long long)seats->instance.maps.gen->trace_cookie,
		 seats->slot, place);
}

int shunt_seat_claim_fd(const struct shunt_seats *seats, uint32_t place)
{
	return seats->claim_fd[place];
}

struct shunt_seat *shunt_seat_adopt(struct shunt_seats *seats, uint32_t place,
				    int claim_fd)
{
	struct shunt_seat *seat = &seats->all[shunt_seat_key(seats->slot, place)];

	seats->claim_fd[place] = claim_fd;
	seats->taken[place] = true;
	__atomic_store_n(&seat->pid, getpid(), __ATOMIC_RELEASE);
	beat(seat, shunt_now_ns(), seats->heartbeat_ns);
	return seat;
}

void shunt_seat_forget(struct shunt_seats *seats, struct shunt_seat *seat)
{
	size_t place = (size_t)(seat - seats->all) % SHUNT_SEATS;

	seats->taken[place] = false;
	shunt_cleanup_fd(&seats->claim_fd[place]);
	seats->claim_fd[place] = -1;
}

uint32_t shunt_seat_pid(const struct shunt_seats *seats, uint32_t place)
{
	return seats->all[shunt_seat_key(seats->slot, place)].pid;
}

/* --- for one who may not write it ------------------------------------------------ */

static void copy(__u64 *to, const __u64 *from)
{
	__atomic_store_n(to, __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

void shunt_seat_relay(struct shunt_seats *seats, struct shunt_seat *seat,
		      struct shunt_seat *page, uint32_t pid)
{
	uint64_t due = __atomic_load_n(&page->due_ns, __ATOMIC_ACQUIRE), most;

	follow_policy(seats);
	most = shunt_now_ns() + seats->heartbeat_ns;
	__atomic_store_n(&page->heartbeat_ns, seats->heartbeat_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&seat->heartbeat_ns, seats->heartbeat_ns, __ATOMIC_RELAXED);
	if (!seats->heartbeat_ns)
		due = 0;
	else if (due > most)
		due = most;
	__atomic_store_n(&seat->due_ns, due, __ATOMIC_RELEASE);
	copy(&seat->received, &page->received);
	copy(&seat->discarded, &page->discarded);
	copy(&seat->ring_full, &page->ring_full);
	copy(&seat->dropped, &page->dropped);
	copy(&seat->fill_empty, &page->fill_empty);
	copy(&seat->stamp_ns, &page->stamp_ns);
	__atomic_store_n(&seat->pid, pid, __ATOMIC_RELAXED);
}
