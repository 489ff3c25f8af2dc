/* SPDX-License-Identifier: BSD-2-Clause */
/* One-way: messages as fast as they are taken; the server counts those that arrive. */
#include <errno.h>

#include "user/apps/bench/client.h"
#include "user/base/clock.h"
#include "user/rt/frame.h"

/* Hands over up to `batch` of them, and has them sent: how many, or -errno. */
static int burst(struct shunt_bench_client *client, const struct shunt_bench_case *todo,
		 struct shunt_err *err)
{
	struct shunt_message messages[SHUNT_BENCH_BATCH];
	struct shunt_transport *transport = client->transport;
	unsigned int n = shunt_reserve(transport, messages, todo->batch), i;
	int taken = 0, ret;

	for (i = 0; i < n; i++) {
		shunt_bench_fill(messages[i].frame.data, todo->size,
				 client->number + i);
		messages[i].frame.len = todo->size;
		messages[i].peer = client->peer;
		messages[i].channel = SHUNT_BENCH_SINK;
	}
	if (n)
		taken = shunt_submit(transport, messages, n);
	if (taken == -EAGAIN)
		taken = 0;
	if (taken < (int)n)
		shunt_release(transport, messages + (taken > 0 ? taken : 0),
			      n - (unsigned int)(taken > 0 ? taken : 0));
	if (taken < 0)
		return shunt_fail_errno(err, taken, "send %u bytes to %s", todo->size,
					client->link->address);
	client->number += (unsigned int)taken;
	ret = shunt_transport_kick(transport, err);
	return ret < 0 ? ret : taken;
}

/* Messages that need no answer leave no trace here but what a reliable carrier says; it
 * is read, as it has to be for such carriers to go on. */
static void discard(struct shunt_bench_client *client)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(client->transport, messages, SHUNT_BURST);

	if (n)
		shunt_release(client->transport, messages, n);
}

static int pour(struct shunt_bench_client *client, const struct shunt_bench_case *todo,
		struct shunt_bench_result *result, uint64_t start,
		struct shunt_err *err)
{
	uint64_t now = start, taken_ns = start;

	while (now - start < todo->duration_ns) {
		int taken;

		if (todo->batch > 1 &&
		    todo->size <= shunt_transport_datagram_max(client->transport)) {
			taken = burst(client, todo, err);
		} else {
			taken = shunt_bench_send(client->transport, client->peer,
						 SHUNT_BENCH_SINK, client->number,
						 todo->size);
			client->number += taken > 0;
			if (taken >= 0 &&
			    shunt_transport_kick(client->transport, err) < 0)
				taken = -EIO;
		}
		now = shunt_now_ns();
		if (taken < 0)
			return *err->message
				       ? taken
				       : shunt_fail_errno(err, taken, "send %u bytes",
							  todo->size);
		if (taken)
			taken_ns = now;
		else
			discard(client);
		result->requests += (unsigned int)taken;
		if (now - taken_ns > SHUNT_BENCH_STALL_NS)
			return shunt_fail(err, -ETIMEDOUT,
					  "stalled: no message is taken for %u s",
					  SHUNT_BENCH_STALL_NS / 1000000000u);
		if (shunt_bench_stopped(client->link))
			return shunt_fail(err, -EINTR, "stopped");
	}
	return 0;
}

/* Waits until all have arrived, or no more do. */
static int drain(struct shunt_bench_client *client, uint64_t before,
		 struct shunt_bench_result *result, uint64_t start,
		 struct shunt_err *err)
{
	struct shunt_bench_answer answer = { .messages = before };
	uint64_t arrived;
	int ret;

	result->elapsed_ns = shunt_now_ns() - start;
	do {
		arrived = answer.messages;
		ret = shunt_bench_question(client, &answer, err);
		if (ret)
			return ret;
		if (answer.messages != arrived)
			result->elapsed_ns = shunt_now_ns() - start;
	} while (answer.messages - before < result->requests &&
		 answer.messages != arrived);
	result->replies = answer.messages - before;
	return 0;
}

int shunt_bench_flow(struct shunt_bench_client *client,
		     const struct shunt_bench_case *todo,
		     struct shunt_bench_result *result, struct shunt_err *err)
{
	struct shunt_bench_answer before = { 0 };
	int ret = shunt_bench_question(client, &before, err);
	uint64_t start = shunt_now_ns();

	result->requests = 0;
	if (!ret)
		ret = pour(client, todo, result, start, err);
	if (!ret)
		ret = drain(client, before.messages, result, start, err);
	result->lost = result->requests - result->replies;
	return ret;
}
