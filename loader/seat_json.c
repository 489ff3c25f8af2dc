/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/seat_json.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/base/json.h"

#define NS_PER_MS 1000000u

static void put_heartbeat(cJSON *item, uint64_t due_ns, uint64_t interval_ns,
			  uint64_t now_ns)
{
	uint64_t last_ns = due_ns - interval_ns;
	cJSON *heartbeat;

	if (!due_ns) {
		cJSON_AddNullToObject(item, "heartbeat");
		return;
	}
	heartbeat = cJSON_AddObjectToObject(item, "heartbeat");
	shunt_json_add_u64(heartbeat, "interval_ms", interval_ns / NS_PER_MS);
	shunt_json_add_u64(heartbeat, "age_ms",
			   now_ns > last_ns ? (now_ns - last_ns) / NS_PER_MS : 0);
}

bool shunt_seat_put(cJSON *item, const struct shunt_maps *maps,
		    const struct shunt_seat *seat, uint32_t slot, uint32_t place)
{
	uint64_t due_ns = __atomic_load_n(&seat->due_ns, __ATOMIC_ACQUIRE);
	bool served = seat->pid && shunt_seat_is_served(maps, slot, place);
	uint64_t now_ns = shunt_now_ns();

	if (served)
		cJSON_AddNumberToObject(item, "pid", seat->pid);
	else
		cJSON_AddNullToObject(item, "pid");
	put_heartbeat(item, served ? due_ns : 0, seat->heartbeat_ns, now_ns);
	cJSON_AddBoolToObject(item, "stalled",
			      served && shunt_seat_is_late(due_ns, now_ns));
	return served;
}

void shunt_seat_put_place(cJSON *item, uint32_t place)
{
	if (place == SHUNT_SEAT_RING)
		cJSON_AddNullToObject(item, "queue");
	else
		cJSON_AddNumberToObject(item, "queue", place);
}

int shunt_seats_put(cJSON *reply, const struct shunt_instance *instance,
		    struct shunt_err *err)
{
	const struct shunt_state *state = instance->state;
	cJSON *list = cJSON_AddArrayToObject(reply, "consumers");
	_free_ struct shunt_seat *all = malloc(SHUNT_SEAT_MAX * sizeof(*all));
	uint32_t place;
	size_t c;
	int ret;

	if (!all)
		return shunt_fail(err, -ENOMEM, "look for consumers: out of memory");
	ret = shunt_seats_read(all, &instance->maps, err);
	for (c = 0; !ret && c < state->consumers; c++) {
		uint32_t slot = state->consumer[c].slot;
		cJSON *item = cJSON_CreateObject(), *seats;

		cJSON_AddItemToArray(list, item);
		cJSON_AddStringToObject(item, "name", state->consumer[c].name);
		seats = cJSON_AddArrayToObject(item, "seats");
		for (place = 0; place < SHUNT_SEATS; place++) {
			const struct shunt_seat *seat =
				&all[shunt_seat_key(slot, place)];
			cJSON *one;

			if (!seat->pid)
				continue;
			one = cJSON_CreateObject();
			cJSON_AddItemToArray(seats, one);
			shunt_seat_put_place(one, place);
			shunt_seat_put(one, &instance->maps, seat, slot, place);
		}
	}
	return ret;
}
