/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/counters.h"
#include "loader/gen.h"
#include "loader/instance.h"
#include "loader/rings.h"
#include "loader/shunt.h"
#include "maps/counter.h"
#include "maps/ring.h"
#include "user/base/cleanup.h"

#define RING_BYTES (1u << 20) /* of a consumer of sockets, which TC serves by a ring */

struct shunt_tap {
	struct shunt_instance instance;
	uint32_t place;
	int claim_fd, ring_fd;
	bool fed;
	uint64_t lost; /* until it was fed */
	bool ended;
	uint64_t lost_in_all; /* until it was fed no longer, once that has ended */
};

static const struct shunt_state_consumer *find(const struct shunt_tap *tap,
					       const char *consumer)
{
	return shunt_state_consumer(tap->instance.state, consumer);
}

/* Which place is meant, and how large its ring is. */
static int find_place(struct shunt_tap *tap, const char *name, uint32_t *bytes,
		      struct shunt_err *err)
{
	const struct shunt_state *state = tap->instance.state;
	const struct shunt_state_consumer *consumer;

	tap->place = SHUNT_RING_COPIES;
	*bytes = state->ring_bytes ? state->ring_bytes : RING_BYTES;
	if (!name)
		return 0;
	consumer = find(tap, name);
	if (!consumer)
		return shunt_fail(err, -ENOENT,
				  "the policy of %s has no consumer \"%s\"",
				  state->interface, name);
	tap->place = shunt_ring_place(consumer->slot);
	*bytes = consumer->ring_bytes ? consumer->ring_bytes : RING_BYTES;
	return 0;
}

/* Copies lost over all hooks, since the instance was attached. */
static int sum_lost(const struct shunt_tap *tap, uint64_t *lost, struct shunt_err *err)
{
	struct shunt_ledger ledger = { 0 };
	int ret = shunt_ledger_read(&ledger, &tap->instance.maps, err), hook;

	*lost = 0;
	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++)
		*lost += shunt_ledger_of(&ledger, hook, SHUNT_COUNTER_SAMPLE_LOST)
				 .packets +
			 shunt_ledger_of(&ledger, hook, SHUNT_COUNTER_MIRROR_LOST)
				 .packets;
	shunt_ledger_free(&ledger);
	return ret;
}

static int open_tap(struct shunt_tap *tap, const char *interface, const char *consumer,
		    struct shunt_err *err)
{
	uint32_t bytes;
	int ret = shunt_instance_open(&tap->instance, interface, false, err);

	if (!ret)
		ret = find_place(tap, consumer, &bytes, err);
	if (ret)
		return ret;
	tap->claim_fd = shunt_ring_claim(&tap->instance.maps, tap->place, err);
	if (tap->claim_fd < 0)
		return shunt_fail_in(err, tap->claim_fd, "%s%s%s: ", interface,
				     consumer ? ", consumer " : "",
				     consumer ? consumer : "");
	tap->ring_fd = shunt_ring_make(bytes, err);
	return tap->ring_fd < 0 ? tap->ring_fd : 0;
}

int shunt_tap_open(struct shunt_tap **tap, const char *interface, const char *consumer,
		   struct shunt_err *err)
{
	static const struct shunt_instance none = SHUNT_INSTANCE_NONE;
	struct shunt_tap *made = calloc(1, sizeof(*made));
	int ret;

	*tap = NULL;
	if (!made)
		return shunt_fail(err, -ENOMEM, "read a ring buffer: out of memory");
	made->instance = none;
	made->claim_fd = made->ring_fd = -1;
	ret = open_tap(made, interface, consumer, err);
	if (ret)
		shunt_tap_close(made);
	else
		*tap = made;
	return ret;
}

void shunt_tap_close(struct shunt_tap *tap)
{
	if (!tap)
		return;
	shunt_tap_starve(tap);
	if (tap->ring_fd >= 0)
		close(tap->ring_fd);
	if (tap->claim_fd >= 0)
		close(tap->claim_fd);
	shunt_instance_close(&tap->instance);
	free(tap);
}

int shunt_tap_fd(const struct shunt_tap *tap)
{
	return tap->ring_fd;
}

/*
 * What comes when nobody reads is no loss of this reader's, and the counter says not why a
 * copy was lost. So it is read on both sides of a change: of what was lost in between, all
 * is nobody's where the ring had room throughout, which it had if there is some at the
 * end, for nobody takes anything out meanwhile. Where it has none, all is the reader's:
 * rather too much is told than too little.
 */
int shunt_tap_feed(struct shunt_tap *tap, struct shunt_err *err)
{
	uint64_t fed_by;
	int ret = sum_lost(tap, &tap->lost, err);

	if (!ret)
		ret = shunt_ring_feed(&tap->instance.maps, tap->place, tap->ring_fd,
				      err);
	tap->fed = !ret;
	tap->ended = false;
	if (!ret)
		ret = sum_lost(tap, &fed_by, err);
	if (!ret && shunt_ring_has_room(tap->ring_fd))
		tap->lost = fed_by;
	return ret;
}

void shunt_tap_starve(struct shunt_tap *tap)
{
	uint64_t starved_by;

	/* the place may be another's by now, where the consumer has left the policy */
	if (tap->fed &&
	    shunt_ring_is_fed(&tap->instance.maps, tap->place, tap->ring_fd)) {
		tap->ended = !sum_lost(tap, &tap->lost_in_all, NULL);
		shunt_ring_starve(&tap->instance.maps, tap->place);
		if (!shunt_ring_has_room(tap->ring_fd) &&
		    !sum_lost(tap, &starved_by, NULL))
			tap->lost_in_all = starved_by;
	}
	tap->fed = false;
}

int shunt_tap_check(const struct shunt_tap *tap, struct shunt_err *err)
{
	const struct shunt_instance *instance = &tap->instance;

	if (!shunt_instance_exists(instance->name) || !shunt_instance_alive(instance))
		return shunt_fail(err, -ENODEV,
				  "%s: Shunt was detached, or the interface is gone",
				  instance->state->interface);
	if (!shunt_ring_is_fed(&instance->maps, tap->place, tap->ring_fd))
		return shunt_fail(err, -ENOENT,
				  "%s: the policy has this consumer no longer",
				  instance->state->interface);
	return 0;
}

const char *shunt_tap_rule(struct shunt_tap *tap, uint32_t counter, uint64_t generation)
{
	struct shunt_instance *instance = &tap->instance;
	struct shunt_state *state = NULL;
	size_t r;

	if (counter == SHUNT_COUNTER_DEFAULT)
		return NULL;
	if (instance->state->generation < generation &&
	    !shunt_state_read(&state, instance->name,
			      shunt_gen_look(instance->maps.gen).ruling, NULL)) {
		shunt_state_free(instance->state);
		instance->state = state;
	}
	state = instance->state;
	for (r = 0; r < state->rules; r++)
		if (state->rule[r].counter == counter)
			return state->rule[r].name;
	return NULL;
}

int shunt_tap_lost(const struct shunt_tap *tap, uint64_t *lost, struct shunt_err *err)
{
	int ret = 0;

	*lost = tap->lost_in_all;
	if (!tap->ended)
		ret = sum_lost(tap, lost, err);
	*lost -= tap->lost;
	return ret;
}
