/* SPDX-License-Identifier: BSD-2-Clause */
/* Several peers of one server, each with one request on its way: closed loops in turn. */

/*
 * Each peer is a transport of its own, of the client's kind. Where an interface takes
 * only one of that kind (a queue has one AF_XDP socket), ordinary UDP sockets are the
 * clients from then on, and the result says so: it is the server that is measured. The
 * client's own transport goes then, for it may keep the interface from the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/apps/bench/client.h"
#include "user/base/clock.h"
#include "user/rt/frame.h"

#define SOCKETS "epoll"
#define TIMER_ROUNDS 64 /* between kicks of those that have nothing to send */

struct member {
	struct shunt_transport *transport;
	shunt_peer peer;
	uint64_t number, sent_ns; /* sent_ns 0: nothing is on its way */
};

struct crowd {
	struct member members[SHUNT_BENCH_PEERS]; /* the first is the client's own */
	uint32_t count;
	uint32_t rounds;
};

static void scatter(struct crowd *crowd)
{
	uint32_t i;

	for (i = 1; i < SHUNT_BENCH_PEERS; i++)
		shunt_transport_close(crowd->members[i].transport);
}

static int join(struct shunt_bench_client *client, struct member *member,
		const char *uri, struct shunt_err *err)
{
	int ret = shunt_transport_open(&member->transport, uri, err);

	return ret ? ret
		   : shunt_peer_open(member->transport, &member->peer,
				     client->link->address, err);
}

/* Sockets at the client's address, at ports of their own. */
static int gather_sockets(struct shunt_bench_client *client, uint32_t peers,
			  struct crowd *crowd, struct shunt_bench_result *result,
			  struct shunt_err *err)
{
	const char *at = strstr(client->job->client, "://"), *end;
	char uri[sizeof(client->job->client)];
	int ret = 0;

	scatter(crowd);
	memset(crowd->members, 0, sizeof(crowd->members));
	end = at ? strchr(at, '?') : NULL;
	if (!at)
		return shunt_fail(err, -EINVAL, "%s is no URI", client->job->client);
	snprintf(uri, sizeof(uri), SOCKETS "%.*s?wait=spin",
		 (int)(end ? end - at : (long)strlen(at)), at);
	if (!client->sockets) {
		shunt_transport_close(client->transport);
		client->transport = NULL;
		ret = shunt_transport_open(&client->transport, uri, err);
		if (!ret)
			ret = shunt_peer_open(client->transport, &client->peer,
					      client->link->address, err);
		client->sockets = !ret;
	}
	snprintf(result->clients, sizeof(result->clients), SOCKETS);
	crowd->members[0] = (struct member){ client->transport, client->peer };
	for (crowd->count = 1; !ret && crowd->count < peers; crowd->count++)
		ret = join(client, &crowd->members[crowd->count], uri, err);
	return ret;
}

static int gather(struct shunt_bench_client *client, uint32_t peers,
		  struct crowd *crowd, struct shunt_bench_result *result,
		  struct shunt_err *err)
{
	bool sockets_do =
		shunt_transport_caps(client->transport) & SHUNT_TRANSPORT_DATAGRAMS;
	int ret = 0;

	crowd->members[0] = (struct member){ client->transport, client->peer };
	if (client->sockets)
		return gather_sockets(client, peers, crowd, result, err);
	for (crowd->count = 1; !ret && crowd->count < peers; crowd->count++)
		ret = join(client, &crowd->members[crowd->count], client->job->client,
			   err);
	if (ret && sockets_do)
		ret = gather_sockets(client, peers, crowd, result, err);
	return ret;
}

static int ask(struct shunt_bench_client *client, struct member *member, uint32_t size,
	       struct shunt_bench_result *result, struct shunt_err *err)
{
	int ret;

	member->number = client->number++;
	member->sent_ns = shunt_now_ns();
	ret = shunt_bench_send(member->transport, member->peer, SHUNT_BENCH_ECHO,
			       member->number, size);
	if (ret <= 0)
		member->sent_ns = 0; /* at its next turn */
	if (ret < 0)
		return shunt_fail_errno(err, ret, "send %u bytes to %s", size,
					client->link->address);
	result->requests += (unsigned int)ret;
	ret = shunt_transport_kick(member->transport, err);
	return ret < 0 ? ret : 0;
}

static int hear(struct member *member, struct shunt_bench_result *result,
		struct shunt_err *err)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(member->transport, messages, SHUNT_BURST), i;
	uint64_t now = n ? shunt_now_ns() : 0;
	int ret = (int)n;

	for (i = 0; i < n && ret >= 0; i++) {
		uint64_t number;

		if (messages[i].channel != SHUNT_BENCH_ECHO)
			continue;
		if (!shunt_bench_check(messages[i].frame.data, messages[i].frame.len,
				       &number)) {
			ret = shunt_bench_wrong(&messages[i], err);
		} else if (member->sent_ns && number == member->number) {
			result->replies++;
			shunt_histogram_record(&result->latency, now - member->sent_ns);
			member->sent_ns = 0;
		} else {
			result->stray++;
		}
	}
	if (n)
		shunt_release(member->transport, messages, n);
	return ret;
}

/* Each member once: hears what has come, gives up what is lost, asks again. */
static int go_round(struct shunt_bench_client *client, struct crowd *crowd,
		    uint32_t size, bool asks, uint64_t now,
		    struct shunt_bench_result *result, struct shunt_err *err)
{
	bool asks_timers = !(crowd->rounds++ % TIMER_ROUNDS);
	int open = 0, ret;
	uint32_t i;

	for (i = 0; i < crowd->count; i++) {
		struct member *member = &crowd->members[i];

		ret = hear(member, result, err);
		if (!ret && asks_timers)
			ret = shunt_transport_kick(member->transport, err);
		if (member->sent_ns && now > member->sent_ns + SHUNT_BENCH_LOST_NS)
			member->sent_ns = 0;
		if (ret >= 0 && asks && !member->sent_ns)
			ret = ask(client, member, size, result, err);
		if (ret < 0)
			return ret;
		open += member->sent_ns != 0;
	}
	return open;
}

int shunt_bench_crowd(struct shunt_bench_client *client,
		      const struct shunt_bench_case *todo,
		      struct shunt_bench_result *result, struct shunt_err *err)
{
	static struct crowd crowd;
	uint64_t start, now, heard, replies = 0;
	int ret;

	memset(&crowd, 0, sizeof(crowd));
	ret = gather(client, todo->peers, &crowd, result, err);
	start = now = heard = shunt_now_ns();
	while (ret >= 0) {
		bool asks = now - start < todo->duration_ns;

		ret = go_round(client, &crowd, todo->size, asks, now, result, err);
		if (!ret && !asks)
			break;
		now = shunt_now_ns();
		if (result->replies != replies)
			heard = now;
		replies = result->replies;
		if (ret >= 0 && shunt_bench_stopped(client->link))
			ret = shunt_fail(err, -EINTR, "stopped");
		else if (ret >= 0)
			ret = shunt_bench_stalls(heard, result, err);
	}
	result->elapsed_ns = now - start;
	result->lost = result->requests - result->replies;
	scatter(&crowd);
	return ret < 0 ? ret : 0;
}
