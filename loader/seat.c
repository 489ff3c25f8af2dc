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
#include "loader/percpu.h"
#include "loader/rings.h"
#include "loader/shunt.h"
#include "maps/ring.h"
#include "user/base/cleanup.h"

int shunt_seats_make(struct shunt_instance *instance, const struct shunt_state *state,
		     struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct shunt_maps *maps = &instance->maps;

	if (!state->consumers || maps->fd[SHUNT_MAP_SEAT] >= 0)
		return 0;
	maps->fd[SHUNT_MAP_SEAT] =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "shunt_seat", sizeof(uint32_t),
			       sizeof(struct shunt_seat), SHUNT_SEAT_MAX, &opts);
	if (maps->fd[SHUNT_MAP_SEAT] < 0)
		return shunt_fail_errno(err, maps->fd[SHUNT_MAP_SEAT],
					"make the consumers' seats");
	return shunt_maps_pin(maps, instance->name, err);
}

/* --- reading ----------------------------------------------------------------- */

static struct shunt_seat *map_seats(const struct shunt_maps *maps, int prot)
{
	size_t bytes = SHUNT_SEAT_MAX * sizeof(struct shunt_seat);
	void *at = maps->fd[SHUNT_MAP_SEAT] < 0 ? MAP_FAILED
						: mmap(NULL, bytes, prot, MAP_SHARED,
						       maps->fd[SHUNT_MAP_SEAT], 0);

	return at == MAP_FAILED ? NULL : at;
}

static void unmap_seats(struct shunt_seat *seat)
{
	if (seat)
		munmap(seat, SHUNT_SEAT_MAX * sizeof(*seat));
}

static int copy_seats(struct shunt_flow *flow, const struct shunt_maps *maps,
		      struct shunt_err *err)
{
	struct shunt_seat *seat;

	memset(flow->seat, 0, sizeof(flow->seat));
	if (maps->fd[SHUNT_MAP_SEAT] < 0)
		return 0;
	seat = map_seats(maps, PROT_READ);
	if (!seat)
		return shunt_fail_errno(err, -errno, "map the consumers' numbers");
	memcpy(flow->seat, seat, sizeof(flow->seat));
	unmap_seats(seat);
	return 0;
}

int shunt_flow_read(struct shunt_flow *flow, const struct shunt_instance *instance,
		    struct shunt_err *err)
{
	const struct shunt_maps *maps = &instance->maps;
	uint64_t missed;
	int ret = copy_seats(flow, maps, err);

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

struct shunt_seats {
	struct shunt_instance instance;
	struct shunt_seat *all; /* mapped */
	uint32_t slot;
	int claim_fd[SHUNT_SEATS]; /* -1: not served by us */
};

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
			ret = shunt_fail_errno(err, -errno,
					       "map the consumers' numbers");
	}
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
	__atomic_store_n(&seat->pid, getpid(), __ATOMIC_RELEASE);
	*taken = seat;
	return 0;
}

void shunt_seat_leave(struct shunt_seat *seat)
{
	__atomic_store_n(&seat->pid, 0, __ATOMIC_RELEASE);
}
