/* SPDX-License-Identifier: BSD-2-Clause */
/* Open loop: requests are due at a fixed rate, whatever becomes of those before. */

/*
 *     due      start + k / rate, for the k-th request
 *     latency  from when it was due until its reply is here
 *
 * So a server, or a sender, that stops for a moment shows in every request that was due
 * meanwhile, and nothing is left out ("coordinated omission", Gil Tene). What is not
 * answered within SHUNT_BENCH_LOST_NS is lost. Up to WINDOW requests are on their way at
 * a time; with more than that the sender is late, which it counts.
 */
#include <errno.h>
#include <string.h>

#include "user/apps/bench/client.h"
#include "user/base/clock.h"
#include "user/rt/frame.h"

#define WINDOW 4096u

struct flight {
	uint64_t first;	    /* number of the first request of this run */
	uint64_t next;	    /* requests sent so far */
	uint64_t oldest;    /* the first one that is neither answered nor lost */
	uint64_t scheduled; /* of this run */
	uint64_t start_ns, heard_ns;
	double period_ns;
	uint64_t sent_ns[WINDOW]; /* 0: not sent, answered, or lost */
};

static uint64_t due(const struct flight *flight, uint64_t k)
{
	return flight->start_ns + (uint64_t)((double)k * flight->period_ns);
}

/* Passes over what is answered, and over what is lost by now. */
static void pass(struct flight *flight, uint64_t now)
{
	while (flight->oldest < flight->next) {
		uint64_t *sent_ns = &flight->sent_ns[flight->oldest % WINDOW];

		if (*sent_ns && now < *sent_ns + SHUNT_BENCH_LOST_NS)
			return;
		*sent_ns = 0;
		flight->oldest++;
	}
}

static int receive(struct shunt_bench_client *client, struct flight *flight,
		   struct shunt_bench_result *result, struct shunt_err *err)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(client->transport, messages, SHUNT_BURST), i;
	uint64_t now = n ? shunt_now_ns() : 0;
	int ret = (int)n;

	for (i = 0; i < n; i++) {
		uint64_t k;

		if (messages[i].channel != SHUNT_BENCH_ECHO)
			continue;
		if (!shunt_bench_check(messages[i].frame.data, messages[i].frame.len,
				       &k)) {
			ret = shunt_bench_wrong(&messages[i], err);
			break;
		}
		k -= flight->first; /* of an earlier run: beyond all that were sent */
		if (k >= flight->next || k < flight->oldest ||
		    !flight->sent_ns[k % WINDOW]) {
			result->stray++;
			continue;
		}
		flight->sent_ns[k % WINDOW] = 0;
		flight->heard_ns = now;
		result->replies++;
		shunt_histogram_record_due(&result->latency, due(flight, k), now);
	}
	if (n)
		shunt_release(client->transport, messages, n);
	return ret;
}

/* Sends what is due; how many. */
static int send_due(struct shunt_bench_client *client,
		    const struct shunt_bench_case *todo, struct flight *flight,
		    struct shunt_bench_result *result, uint64_t now)
{
	int sent = 0;

	while (flight->next < flight->scheduled && due(flight, flight->next) <= now &&
	       flight->next - flight->oldest < WINDOW) {
		int ret =
			shunt_bench_send(client->transport, client->peer,
					 SHUNT_BENCH_ECHO, client->number, todo->size);

		if (ret <= 0)
			return ret < 0 ? ret : sent;
		result->late += now > due(flight, flight->next + 1);
		flight->sent_ns[flight->next % WINDOW] = now;
		flight->next++;
		client->number++;
		result->requests++;
		sent++;
	}
	return sent;
}

/* Until the next one is due, or there is something to look at. */
static int rest(struct shunt_bench_client *client, const struct flight *flight,
		uint64_t now, struct shunt_err *err)
{
	uint64_t ns = SHUNT_BENCH_LOOK_NS;
	int ret;

	if (flight->next < flight->scheduled) {
		uint64_t at = due(flight, flight->next);

		ns = at <= now ? 0 : at - now < ns ? at - now : ns;
	}
	ret = shunt_transport_poll(client->transport, ns, err);
	return ret == -EINTR ? 0 : ret;
}

static int fly(struct shunt_bench_client *client, const struct shunt_bench_case *todo,
	       struct flight *flight, struct shunt_bench_result *result,
	       struct shunt_err *err)
{
	uint64_t now = flight->start_ns, end = now + 2 * todo->duration_ns;
	int ret;

	while (flight->next < flight->scheduled || flight->oldest < flight->next) {
		now = shunt_now_ns();
		if (now > end) /* never caught up: the rest is unsent */
			flight->scheduled = flight->next;
		ret = send_due(client, todo, flight, result, now);
		if (ret > 0)
			ret = shunt_transport_kick(client->transport, err);
		else if (ret < 0)
			return shunt_fail_errno(err, ret, "send %u bytes to %s",
						todo->size, client->link->address);
		if (ret >= 0)
			ret = receive(client, flight, result, err);
		if (!ret)
			ret = rest(client, flight, now, err);
		if (ret < 0)
			return ret;
		pass(flight, now);
		if (shunt_bench_stopped(client->link))
			return shunt_fail(err, -EINTR, "stopped");
		if (flight->oldest < flight->next)
			ret = shunt_bench_stalls(flight->heard_ns, result, err);
		else
			flight->heard_ns = now;
		if (ret < 0)
			return ret;
	}
	return 0;
}

int shunt_bench_rate(struct shunt_bench_client *client,
		     const struct shunt_bench_case *todo,
		     struct shunt_bench_result *result, struct shunt_err *err)
{
	static struct flight flight;
	uint64_t scheduled =
		(uint64_t)((double)todo->rate * (double)todo->duration_ns / 1e9) + 1;
	int ret;

	memset(&flight, 0, sizeof(flight));
	flight.first = client->number;
	flight.scheduled = scheduled;
	flight.period_ns = 1e9 / (double)todo->rate;
	flight.start_ns = flight.heard_ns = shunt_now_ns();
	ret = fly(client, todo, &flight, result, err);
	result->elapsed_ns = shunt_now_ns() - flight.start_ns;
	result->lost = result->requests - result->replies;
	result->unsent = scheduled - flight.next;
	return ret;
}
