/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/conn_due.h"

#include <errno.h>
#include <stdlib.h>

int shunt_conn_due_open(struct shunt_conn_due *due, uint32_t places,
			struct shunt_err *err)
{
	uint32_t i;

	*due = (struct shunt_conn_due){
		.due_ns = calloc(places, sizeof(*due->due_ns)),
		.heap = calloc(places, sizeof(*due->heap)),
		.where = calloc(places, sizeof(*due->where)),
	};
	if (!due->due_ns || !due->heap || !due->where) {
		shunt_conn_due_close(due);
		return shunt_fail(err, -ENOMEM, "no memory for %u deadlines", places);
	}
	for (i = 0; i < places; i++)
		due->due_ns[i] = UINT64_MAX;
	return 0;
}

void shunt_conn_due_close(struct shunt_conn_due *due)
{
	free(due->due_ns);
	free(due->heap);
	free(due->where);
	*due = (struct shunt_conn_due){ 0 };
}

static void put(struct shunt_conn_due *due, uint32_t at, uint32_t place)
{
	due->heap[at] = place;
	due->where[place] = at;
}

static void rise(struct shunt_conn_due *due, uint32_t at)
{
	const uint32_t place = due->heap[at];

	while (at && due->due_ns[due->heap[(at - 1) / 2]] > due->due_ns[place]) {
		put(due, at, due->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(due, at, place);
}

static void sink(struct shunt_conn_due *due, uint32_t at)
{
	const uint32_t place = due->heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < due->count &&
		    due->due_ns[due->heap[child + 1]] < due->due_ns[due->heap[child]])
			child++;
		if (child >= due->count ||
		    due->due_ns[due->heap[child]] >= due->due_ns[place])
			break;
		put(due, at, due->heap[child]);
		at = child;
	}
	put(due, at, place);
}

void shunt_conn_due_set(struct shunt_conn_due *due, uint32_t place, uint64_t due_ns)
{
	if (due_ns >= due->due_ns[place])
		return;
	if (due->due_ns[place] == UINT64_MAX)
		put(due, due->count++, place);
	due->due_ns[place] = due_ns;
	rise(due, due->where[place]);
}

void shunt_conn_due_remove(struct shunt_conn_due *due, uint32_t place)
{
	const uint32_t at = due->where[place];
	uint32_t last;

	if (due->due_ns[place] == UINT64_MAX)
		return;
	due->due_ns[place] = UINT64_MAX;
	last = due->heap[--due->count];
	if (last == place)
		return;
	put(due, at, last);
	rise(due, at);
	sink(due, due->where[last]);
}

uint64_t shunt_conn_due_first(const struct shunt_conn_due *due)
{
	return due->count ? due->due_ns[due->heap[0]] : UINT64_MAX;
}

int shunt_conn_due_take(struct shunt_conn_due *due, uint64_t now_ns, uint32_t *place)
{
	if (shunt_conn_due_first(due) > now_ns)
		return 0;
	*place = due->heap[0];
	shunt_conn_due_remove(due, *place);
	return 1;
}
