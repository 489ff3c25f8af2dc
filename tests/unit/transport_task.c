/* SPDX-License-Identifier: BSD-2-Clause */
/* Two workers, each with a transport, that hand messages on to each other by a mesh. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "user/base/clock.h"
#include "user/rt/mesh.h"
#include "user/transport/task.h"

#define WORKERS 2u
#define MESSAGES 3000u
#define WINDOW                                                                         \
	32u /* on their way at most: fewer than a ring or a socket's buffer holds */
#define DEADLINE_NS 30000000000u

/*
 *     client ─▶ transport 0 ─▶ worker 0 ─ mesh ─▶ worker 1 ─▶ transport 1 ─▶ client
 *
 * and the other way round; what the client sent in a frame comes back in the same frame's
 * bytes, which have wandered from one thread to the other.
 */
struct side {
	struct shunt_transport_task carrier;
	struct shunt_mesh_task member;
	shunt_peer client;
	uint32_t full; /* messages that found no room: there are none */
};

static struct shunt_mesh *mesh;

/* By the worker whose transport it came to. */
static int from_client(void *context, struct shunt_transport *transport,
		       struct shunt_message *messages, unsigned int n,
		       struct shunt_err *err)
{
	struct side *side = context;
	uint32_t me = side->member.member;

	(void)transport;
	if (shunt_mesh_send(mesh, me, 1 - me, messages, n) != n)
		return shunt_fail(err, -ENOSPC, "a ring is full");
	return 0;
}

/* By the other one, whose transport it leaves by. */
static int from_member(void *context, uint32_t from, void *elements, uint32_t n,
		       struct shunt_err *err)
{
	struct side *side = context;
	struct shunt_message *messages = elements;
	uint32_t i;

	(void)from;
	for (i = 0; i < n; i++)
		messages[i].peer = side->client;
	if (shunt_submit(side->carrier.transport, messages, n) != (int)n)
		return shunt_fail(err, -ENOSPC, "a transport is full");
	return shunt_transport_kick(side->carrier.transport, err);
}

static struct shunt_transport *open_one(const char *uri)
{
	struct shunt_transport *transport;
	struct shunt_err err = { 0 };

	if (shunt_transport_open(&transport, uri, &err))
		fail_msg("%s", err.message);
	return transport;
}

static shunt_peer open_peer(struct shunt_transport *from, struct shunt_transport *to)
{
	struct shunt_err err = { 0 };
	shunt_peer peer;

	if (shunt_peer_open(from, &peer, shunt_transport_address(to), &err))
		fail_msg("%s", err.message);
	return peer;
}

static struct shunt_workers *start(struct side *sides, enum shunt_wait wait)
{
	struct shunt_task tasks[WORKERS][2];
	struct shunt_worker_opts opts[WORKERS];
	struct shunt_workers *workers;
	struct shunt_err err = { 0 };
	uint32_t i;

	for (i = 0; i < WORKERS; i++) {
		sides[i].carrier.context = &sides[i];
		sides[i].carrier.handle = from_client;
		sides[i].member = (struct shunt_mesh_task){ .mesh = mesh,
							    .member = i,
							    .context = &sides[i],
							    .handle = from_member };
		tasks[i][0] = shunt_transport_task(&sides[i].carrier);
		tasks[i][1] = shunt_mesh_task(&sides[i].member);
		opts[i] = (struct shunt_worker_opts){ .sz = sizeof(opts[i]),
						      .name = "side",
						      .core = SHUNT_WORKER_ANY,
						      .wait = wait,
						      .tasks = tasks[i],
						      .count = 2 };
	}
	if (shunt_workers_start(&workers, opts, WORKERS, &err))
		fail_msg("%s", err.message);
	return workers;
}

/* Sends to both in turn; each answer comes from the other one, in order. */
static void be_client(struct shunt_transport *client, const shunt_peer *to,
		      struct shunt_workers *workers)
{
	uint64_t until = shunt_now_ns() + DEADLINE_NS;
	uint32_t sent = 0, got = 0, back[WORKERS] = { 0, 0 }, i, n;
	struct shunt_message messages[WINDOW];
	struct pollfd ended = { .fd = shunt_workers_fd(workers), .events = POLLIN };

	while (got < MESSAGES && shunt_now_ns() < until && !poll(&ended, 1, 0)) {
		while (sent < MESSAGES && sent - got < WINDOW &&
		       shunt_send(client, to[sent % WORKERS], 5, &sent, sizeof(sent)) ==
			       1)
			sent++;
		assert_true(shunt_transport_poll(client, 100000000, NULL) >= 0);
		n = shunt_recv(client, messages, WINDOW);
		for (i = 0; i < n; i++, got++) {
			uint32_t by = messages[i].peer != to[0], number;

			assert_int_equal(messages[i].frame.len, sizeof(number));
			memcpy(&number, messages[i].frame.data, sizeof(number));
			assert_int_equal(number, WORKERS * back[by]++ + 1 - by);
			assert_int_equal(messages[i].channel, 5);
		}
		shunt_release(client, messages, n);
	}
	assert_int_equal(got, MESSAGES);
}

static void exchange(const char *uri, enum shunt_wait wait)
{
	struct shunt_mesh_opts opts = { .sz = sizeof(opts),
					.members = WORKERS,
					.slots.bytes = sizeof(struct shunt_message) };
	struct shunt_transport *client = open_one(uri);
	struct side sides[WORKERS] = { 0 };
	struct shunt_workers *workers;
	struct shunt_err err = { 0 };
	shunt_peer to[WORKERS];
	uint32_t i;

	assert_int_equal(shunt_mesh_open(&mesh, &opts, NULL), 0);
	for (i = 0; i < WORKERS; i++) {
		sides[i].carrier.transport = open_one(uri);
		to[i] = open_peer(client, sides[i].carrier.transport);
		sides[i].client = open_peer(sides[i].carrier.transport, client);
	}
	workers = start(sides, wait);
	be_client(client, to, workers);
	if (shunt_workers_stop(workers, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < WORKERS; i++)
		shunt_transport_close(sides[i].carrier.transport);
	shunt_transport_close(client);
	shunt_mesh_close(mesh);
}

static void workers_that_sleep_hand_messages_on(void **state)
{
	exchange(*state, SHUNT_WAIT_POLL);
}

static void adaptive_workers_hand_messages_on(void **state)
{
	exchange(*state, SHUNT_WAIT_ADAPTIVE);
}

/* The others want an interface of their own. */
static const char *const ways[] = {
	"epoll://127.0.0.1:0",
	"uring://127.0.0.1:0",
	"uring://127.0.0.1:0?receive=multishot",
	"uring://127.0.0.1:0?receive=single",
	"uring://127.0.0.1:0?receive=multishot&any-thread=on",
};

#define WAYS (sizeof(ways) / sizeof(*ways))

int main(void)
{
	static const struct CMUnitTest both[] = {
		cmocka_unit_test(workers_that_sleep_hand_messages_on),
		cmocka_unit_test(adaptive_workers_hand_messages_on),
	};
	static char names[2 * WAYS][128];
	struct CMUnitTest tests[2 * WAYS];
	size_t i;

	for (i = 0; i < 2 * WAYS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s: %s", ways[i / 2],
			 both[i % 2].name);
		tests[i] = both[i % 2];
		tests[i].name = names[i];
		tests[i].initial_state = (void *)ways[i / 2];
	}
	return _cmocka_run_group_tests("transport_task", tests, 2 * WAYS, NULL, NULL);
}
