/* SPDX-License-Identifier: BSD-2-Clause */
/* The server: what a message is for, its channel tells. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/apps/bench/ends.h"
#include "user/apps/bench/payload.h"
#include "user/rt/frame.h"

struct server {
	struct shunt_transport *transport;
	uint64_t messages, wrong;
};

static void sink(struct server *server, const struct shunt_message *message)
{
	uint64_t number;

	server->messages++;
	if (!shunt_bench_check(message->frame.data, message->frame.len, &number))
		server->wrong++;
}

/* The answer has room: a question is as long. */
static void answer(const struct server *server, struct shunt_message *message)
{
	struct shunt_bench_answer said;

	memcpy(&said, message->frame.data, sizeof(said));
	said.messages = htobe64(server->messages);
	said.wrong = htobe64(server->wrong);
	said.cpu_ns = htobe64(shunt_bench_cpu_ns());
	memcpy(message->frame.data, &said, sizeof(said));
}

/*
 * Sends all of them back. Where there is no room it tries again: the clients wait for
 * these, so that nothing queues up meanwhile that has no bound. A client that is gone
 * gets nothing.
 */
static int send_back(struct server *server, struct shunt_message *messages,
		     unsigned int n, const struct shunt_bench_link *link,
		     struct shunt_err *err)
{
	unsigned int done = 0;

	while (done < n && !shunt_bench_stopped(link)) {
		int ret = shunt_submit(server->transport, messages + done, n - done);

		if (ret > 0)
			done += (unsigned int)ret;
		if (ret < 0 && ret != -EAGAIN)
			shunt_release(server->transport, messages + done++, 1);
		ret = shunt_transport_kick(server->transport, err);
		if (ret < 0)
			return ret;
	}
	if (done < n)
		shunt_release(server->transport, messages + done, n - done);
	return 0;
}

static bool goes_back(struct server *server, struct shunt_message *message)
{
	switch (message->channel) {
	case SHUNT_BENCH_SINK:
		sink(server, message);
		return false;
	case SHUNT_BENCH_ASK:
		if (message->frame.len < sizeof(struct shunt_bench_answer))
			return false;
		answer(server, message);
		return true;
	default:
		return true;
	}
}

/* Those that go back move to the front, the others are given back. */
static int handle(struct server *server, struct shunt_message *messages, unsigned int n,
		  const struct shunt_bench_link *link, struct shunt_err *err)
{
	struct shunt_message gone[SHUNT_BURST];
	unsigned int i, back = 0, away = 0;

	for (i = 0; i < n; i++) {
		if (!goes_back(server, &messages[i]))
			gone[away++] = messages[i];
		else
			messages[back++] = messages[i];
	}
	if (away)
		shunt_release(server->transport, gone, away);
	return back ? send_back(server, messages, back, link, err) : 0;
}

int shunt_bench_serve_on(struct shunt_transport *transport,
			 const struct shunt_bench_link *link, struct shunt_err *err)
{
	struct server server = { .transport = transport };
	struct shunt_message messages[SHUNT_BURST];

	while (!shunt_bench_stopped(link)) {
		unsigned int n = shunt_recv(transport, messages, SHUNT_BURST);
		int ret = n ? handle(&server, messages, n, link, err)
			    : shunt_transport_poll(transport, SHUNT_BENCH_LOOK_NS, err);

		if (ret < 0 && ret != -EINTR)
			return ret;
	}
	return 0;
}

void shunt_bench_serve(struct shunt_bench_link *link, const struct shunt_bench_job *job)
{
	struct shunt_transport *transport = NULL;
	struct shunt_err err = { "" };
	int ret = shunt_transport_open(&transport, job->server, &err);

	if (!ret) {
		snprintf(link->address, sizeof(link->address), "%s",
			 shunt_transport_address(transport));
		/* the client reads the address once it has seen this */
		atomic_store_explicit(&link->ready, 1, memory_order_release);
		ret = shunt_bench_serve_on(transport, link, &err);
	}
	shunt_transport_close(transport);
	if (ret < 0)
		snprintf(link->server_error, sizeof(link->server_error), "%.500s",
			 *err.message ? err.message : strerror(-ret));
}
