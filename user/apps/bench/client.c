/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/client.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "user/base/clock.h"
#include "user/rt/frame.h"

#define READY_NS 20000000000u

int shunt_bench_send(struct shunt_transport *transport, shunt_peer peer,
		     uint16_t channel, uint64_t number, uint32_t size)
{
	static uint8_t long_one[SHUNT_BENCH_SIZE_MAX];
	struct shunt_message message;
	int ret;

	if (size > shunt_transport_datagram_max(transport)) {
		shunt_bench_fill(long_one, size, number);
		return shunt_send(transport, peer, channel, long_one, size);
	}
	if (!shunt_reserve(transport, &message, 1))
		return 0;
	shunt_bench_fill(message.frame.data, size, number);
	message.frame.len = size;
	message.peer = peer;
	message.channel = channel;
	ret = shunt_submit(transport, &message, 1);
	if (ret != 1)
		shunt_release(transport, &message, 1);
	return ret == -EAGAIN ? 0 : ret;
}

int shunt_bench_send_surely(struct shunt_bench_client *client, uint16_t channel,
			    uint64_t number, uint32_t size, struct shunt_err *err)
{
	uint64_t start = 0;

	for (;;) {
		int ret = shunt_bench_send(client->transport, client->peer, channel,
					   number, size);

		if (ret > 0)
			return 0;
		if (ret < 0)
			return shunt_fail_errno(err, ret, "send %u bytes to %s", size,
						client->link->address);
		ret = shunt_transport_kick(client->transport, err);
		if (ret < 0)
			return ret;
		if (!start)
			start = shunt_now_ns();
		if (shunt_now_ns() - start > SHUNT_BENCH_STALL_NS)
			return shunt_fail(err, -ETIMEDOUT,
					  "stalled: no message is taken for %u s",
					  SHUNT_BENCH_STALL_NS / 1000000000u);
		if (shunt_bench_stopped(client->link))
			return shunt_fail(err, -EINTR, "stopped");
	}
}

int shunt_bench_wrong(const struct shunt_message *message, struct shunt_err *err)
{
	return shunt_fail(err, -EBADMSG,
			  "a reply of %u bytes has others than its request",
			  message->frame.len);
}

int shunt_bench_stalls(uint64_t since_ns, const struct shunt_bench_result *result,
		       struct shunt_err *err)
{
	if (shunt_now_ns() - since_ns < SHUNT_BENCH_STALL_NS)
		return 0;
	return shunt_fail(err, -ETIMEDOUT,
			  "stalled: no reply for %u s, after %llu requests and %llu "
			  "replies",
			  SHUNT_BENCH_STALL_NS / 1000000000u,
			  (unsigned long long)result->requests,
			  (unsigned long long)result->replies);
}

/* Looks for the answer among what came; everything else is late. */
static bool find_answer(struct shunt_bench_client *client, uint64_t number,
			struct shunt_bench_answer *answer)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(client->transport, messages, SHUNT_BURST), i;
	bool found = false;

	for (i = 0; i < n; i++) {
		const struct shunt_message *message = &messages[i];

		if (message->channel != SHUNT_BENCH_ASK ||
		    message->frame.len < sizeof(*answer))
			continue;
		memcpy(answer, message->frame.data, sizeof(*answer));
		found |= answer->number == number;
	}
	if (n)
		shunt_release(client->transport, messages, n);
	return found;
}

/* A question may be lost behind what was sent before it, so it is asked again. */
int shunt_bench_question(struct shunt_bench_client *client,
			 struct shunt_bench_answer *answer, struct shunt_err *err)
{
	uint64_t start = shunt_now_ns(), asked = 0, number = 0;

	while (shunt_now_ns() - start < SHUNT_BENCH_STALL_NS) {
		int ret;

		if (!asked || shunt_now_ns() - asked > SHUNT_BENCH_LOST_NS / 4) {
			number = client->number++;
			ret = shunt_bench_send_surely(client, SHUNT_BENCH_ASK, number,
						      sizeof(*answer), err);
			if (ret)
				return ret;
			asked = shunt_now_ns();
		}
		ret = shunt_transport_poll(client->transport, SHUNT_BENCH_LOOK_NS, err);
		if (ret < 0 && ret != -EINTR)
			return ret;
		if (shunt_bench_stopped(client->link))
			return shunt_fail(err, -EINTR, "stopped");
		if (!find_answer(client, number, answer))
			continue;
		answer->messages = be64toh(answer->messages);
		answer->wrong = be64toh(answer->wrong);
		answer->cpu_ns = be64toh(answer->cpu_ns);
		return 0;
	}
	return shunt_fail(err, -ETIMEDOUT,
			  "the server has not answered a question for %u s",
			  SHUNT_BENCH_STALL_NS / 1000000000u);
}

/* --- one case after the other --------------------------------------------------------- */

static shunt_bench_kind_fn *kind_of(const struct shunt_bench_case *todo)
{
	switch (todo->kind) {
	case SHUNT_BENCH_RATE:
		return shunt_bench_rate;
	case SHUNT_BENCH_FLOW:
		return shunt_bench_flow;
	default:
		return todo->peers > 1 ? shunt_bench_crowd : shunt_bench_turns;
	}
}

static int measure(struct shunt_bench_client *client,
		   const struct shunt_bench_case *todo,
		   struct shunt_bench_result *result, struct shunt_err *err)
{
	static struct shunt_bench_result warm;
	struct shunt_bench_answer before = { 0 }, after = { 0 };
	struct shunt_bench_case brief = *todo;
	shunt_bench_kind_fn *run = kind_of(todo);
	bool asks = !client->job->answers;
	uint64_t cpu;
	int ret;

	brief.duration_ns = todo->duration_ns / 5;
	ret = run(client, &brief, &warm, err);
	if (!ret && asks)
		ret = shunt_bench_question(client, &before, err);
	if (ret)
		return ret;
	cpu = shunt_bench_cpu_ns();
	ret = run(client, todo, result, err);
	result->client_cpu_ns = shunt_bench_cpu_ns() - cpu;
	result->cpu_known = true;
	if (!ret && asks)
		ret = shunt_bench_question(client, &after, err);
	result->server_cpu_ns = after.cpu_ns - before.cpu_ns;
	result->server_cpu_known = asks;
	if (!ret && !result->replies)
		return shunt_fail(err, -ETIMEDOUT, "none of %llu messages has arrived",
				  (unsigned long long)result->requests);
	if (!ret && after.wrong)
		return shunt_fail(err, -EBADMSG,
				  "%llu messages arrived with others' bytes",
				  (unsigned long long)after.wrong);
	return ret;
}

static int await_server(const struct shunt_bench_link *link, struct shunt_err *err)
{
	uint64_t start = shunt_now_ns();

	/* pairs with the server's release: the address is there */
	while (!atomic_load_explicit(&link->ready, memory_order_acquire)) {
		if (shunt_bench_stopped(link))
			return shunt_fail(err, -EINTR, "stopped");
		if (shunt_now_ns() - start > READY_NS)
			return shunt_fail(err, -ETIMEDOUT, "the server does not begin");
		poll(NULL, 0, 1);
	}
	return 0;
}

static int prepare(struct shunt_bench_client *client, struct shunt_err *err)
{
	int ret = await_server(client->link, err);

	if (!ret)
		ret = shunt_transport_open(&client->transport, client->job->client,
					   err);
	if (!ret)
		ret = shunt_peer_open(client->transport, &client->peer,
				      client->link->address, err);
	return ret;
}

void shunt_bench_ask(struct shunt_bench_link *link, const struct shunt_bench_job *job)
{
	struct shunt_bench_client client = { .job = job, .link = link };
	struct shunt_err err = { "" };
	uint32_t i;
	int ret = prepare(&client, &err);

	if (ret)
		snprintf(link->client_error, sizeof(link->client_error), "%.500s",
			 *err.message ? err.message : strerror(-ret));
	for (i = 0; !ret && i < link->cases; i++) {
		struct shunt_bench_result *result = &link->result[i];

		ret = measure(&client, &link->todo[i], result, &err);
		result->state = ret ? SHUNT_BENCH_FAILED : SHUNT_BENCH_MEASURED;
		if (ret)
			snprintf(result->error, sizeof(result->error), "%.500s",
				 *err.message ? err.message : strerror(-ret));
	}
	shunt_transport_close(client.transport);
}
