/* SPDX-License-Identifier: BSD-2-Clause */
/* Members that exchange elements by rings: each arrives once, in order, and wakes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/base/clock.h"
#include "user/rt/mesh.h"

#define DEADLINE_S 60 /* a mesh that stands still ends the test */
#define MEMBERS 4u
#define EACH 20000u /* elements that a member sends to each other one */

struct element {
	uint32_t from, place;
};

static struct shunt_mesh *open_mesh(uint32_t members, uint32_t slots)
{
	struct shunt_mesh_opts opts = {
		.sz = sizeof(opts),
		.members = members,
		.slots = { .slots = slots, .bytes = sizeof(struct element) },
	};
	struct shunt_mesh *mesh;
	struct shunt_err err = { 0 };

	if (shunt_mesh_open(&mesh, &opts, &err))
		fail_msg("%s", err.message);
	return mesh;
}

/* One thread acts for all, beside a model that counts what lies in each ring. */
static void members_beside_a_model(void **state)
{
	struct shunt_mesh *mesh = open_mesh(MEMBERS, 16);
	uint32_t sent[MEMBERS][MEMBERS] = { 0 }, got[MEMBERS][MEMBERS] = { 0 };
	struct shunt_random r = { .state = 1 };
	uint64_t refused = 0;
	uint32_t step;

	(void)state;
	for (step = 0; step < 200000; step++) {
		uint32_t a = shunt_random_below(&r, MEMBERS), n, i, from;
		uint32_t b = (a + 1 + shunt_random_below(&r, MEMBERS - 1)) % MEMBERS;
		struct element elements[24];

		n = 1 + shunt_random_below(&r, 24);
		if (shunt_random_below(&r, 2)) {
			uint32_t fit = 16 - (sent[a][b] - got[a][b]);

			for (i = 0; i < n; i++)
				elements[i] = (struct element){ a, sent[a][b] + i };
			fit = fit < n ? fit : n;
			assert_int_equal(shunt_mesh_send(mesh, a, b, elements, n), fit);
			sent[a][b] += fit;
			refused += n - fit;
			continue;
		}
		n = shunt_mesh_recv(mesh, a, elements, n, &from);
		if (!n) {
			for (i = 0; i < MEMBERS; i++)
				assert_int_equal(sent[i][a], got[i][a]);
			continue;
		}
		for (i = 0; i < n; i++) {
			assert_int_equal(elements[i].from, from);
			assert_int_equal(elements[i].place, got[from][a]++);
		}
	}
	assert_int_equal(shunt_mesh_refused(mesh), refused);
	shunt_mesh_close(mesh);
}

static void senders_take_turns(void **state)
{
	struct shunt_mesh *mesh = open_mesh(MEMBERS, 16);
	struct element e = { 0 };
	uint32_t i, from, before = 0;

	(void)state;
	for (i = 0; i < 10; i++)
		for (e.from = 1; e.from < MEMBERS; e.from++)
			assert_int_equal(shunt_mesh_send(mesh, e.from, 0, &e, 1), 1);
	for (i = 0; i < 10 * (MEMBERS - 1); i++) {
		assert_int_equal(shunt_mesh_recv(mesh, 0, &e, 1, &from), 1);
		assert_int_equal(from, before % (MEMBERS - 1) + 1);
		before = from;
	}
	shunt_mesh_close(mesh);
}

static void sizes_are_looked_at(void **state)
{
	struct shunt_mesh_opts opts = { .sz = sizeof(opts) };
	struct shunt_mesh *mesh;
	struct shunt_err err;

	(void)state;
	for (opts.members = 0; opts.members < 2; opts.members++)
		assert_int_equal(shunt_mesh_open(&mesh, &opts, &err), -EINVAL);
	opts.members = SHUNT_MESH_MEMBERS + 1;
	assert_int_equal(shunt_mesh_open(&mesh, &opts, &err), -EINVAL);
	opts.members = 2;
	opts.slots.slots = 3;
	assert_int_equal(shunt_mesh_open(&mesh, &opts, &err), -EINVAL);
	assert_null(mesh);
	shunt_mesh_close(mesh);
}

/* --- workers -------------------------------------------------------------------------- */

/* Sends its elements to all others as there is room, and counts what it gets. */
struct side {
	struct shunt_mesh_task task;
	uint32_t sent[MEMBERS], got[MEMBERS];
	_Atomic uint64_t received; /* written by its worker, read by the test */
};

static int handle(void *context, uint32_t from, void *elements, uint32_t n,
		  struct shunt_err *err)
{
	struct side *side = context;
	struct element *element = elements;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (element[i].from != from || element[i].place != side->got[from])
			return shunt_fail(err, -EPROTO, "from %u: %u instead of %u",
					  from, element[i].place, side->got[from]);
		side->got[from]++;
	}
	atomic_fetch_add_explicit(&side->received, n, memory_order_relaxed);
	return 0;
}

static int offer(void *self, struct shunt_err *err)
{
	struct side *side = self;
	uint32_t to, me = side->task.member, i, n, took;
	int done = 0;

	(void)err;
	for (to = 0; to < MEMBERS; to++) {
		struct element elements[32];

		if (to == me)
			continue;
		n = EACH - side->sent[to] < 32 ? EACH - side->sent[to] : 32;
		for (i = 0; i < n; i++)
			elements[i] = (struct element){ me, side->sent[to] + i };
		took = n ? shunt_mesh_send(side->task.mesh, me, to, elements, n) : 0;
		side->sent[to] += took;
		done += (int)took;
	}
	return done;
}

/* Who has found no room looks again after a while. */
static uint64_t offer_due(void *self)
{
	struct side *side = self;
	uint32_t to;

	for (to = 0; to < MEMBERS; to++)
		if (to != side->task.member && side->sent[to] < EACH)
			return shunt_now_ns() + 100000;
	return UINT64_MAX;
}

static void run_workers(enum shunt_wait wait)
{
	struct shunt_mesh *mesh = open_mesh(MEMBERS, 64);
	static struct side sides[MEMBERS];
	struct shunt_task tasks[MEMBERS][2];
	struct shunt_worker_opts opts[MEMBERS];
	struct shunt_workers *workers;
	struct shunt_err err = { 0 };
	uint32_t i, done = 0;

	memset(sides, 0, sizeof(sides));
	for (i = 0; i < MEMBERS; i++) {
		sides[i].task = (struct shunt_mesh_task){ .mesh = mesh,
							  .member = i,
							  .context = &sides[i],
							  .handle = handle };
		tasks[i][0] = shunt_mesh_task(&sides[i].task);
		tasks[i][1] = (struct shunt_task){ .name = "offer",
						   .self = &sides[i],
						   .run = offer,
						   .due = offer_due };
		opts[i] = (struct shunt_worker_opts){ .sz = sizeof(opts[i]),
						      .name = "member",
						      .core = SHUNT_WORKER_ANY,
						      .wait = wait,
						      .tasks = tasks[i],
						      .count = 2 };
	}
	if (shunt_workers_start(&workers, opts, MEMBERS, &err))
		fail_msg("%s", err.message);
	while (done < MEMBERS) {
		struct pollfd ended = { .fd = shunt_workers_fd(workers),
					.events = POLLIN };

		if (poll(&ended, 1, 1))
			break;
		for (done = 0, i = 0; i < MEMBERS; i++)
			done += atomic_load_explicit(&sides[i].received,
						     memory_order_relaxed) ==
				(uint64_t)EACH * (MEMBERS - 1);
	}
	if (shunt_workers_stop(workers, &err))
		fail_msg("%s", err.message);
	assert_int_equal(done, MEMBERS);
	shunt_mesh_close(mesh);
}

static void workers_exchange_and_sleep(void **state)
{
	(void)state;
	run_workers(SHUNT_WAIT_POLL);
}

static void workers_exchange_adaptively(void **state)
{
	(void)state;
	run_workers(SHUNT_WAIT_ADAPTIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_beside_a_model),
		cmocka_unit_test(senders_take_turns),
		cmocka_unit_test(sizes_are_looked_at),
		cmocka_unit_test(workers_exchange_and_sleep),
		cmocka_unit_test(workers_exchange_adaptively),
	};

	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
