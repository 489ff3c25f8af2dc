/* SPDX-License-Identifier: BSD-2-Clause */
/* Round trips in a closed loop: a request is sent once the one before is answered. */
#include <errno.h>

#include "user/apps/bench/client.h"
#include "user/base/clock.h"
#include "user/rt/frame.h"

/* Looks through what came: 1: the reply is among it; 0; -EBADMSG. */
static int look(struct shunt_bench_client *client, uint64_t number, uint64_t *at_ns,
		struct shunt_bench_result *result, struct shunt_err *err)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(client->transport, messages, SHUNT_BURST), i;
	int ret = 0;

	if (!n)
		return 0;
	*at_ns = shunt_now_ns();
	for (i = 0; i < n && ret >= 0; i++) {
		uint64_t seen;

		if (messages[i].channel != SHUNT_BENCH_ECHO)
			continue;
		if (!shunt_bench_check(messages[i].frame.data, messages[i].frame.len,
				       &seen))
			ret = shunt_bench_wrong(&messages[i], err);
		else if (seen == number)
			ret = 1;
		else
			result->stray++;
	}
	shunt_release(client->transport, messages, n);
	return ret;
}

/* 1: it has come, at *at_ns; 0: it is lost, or we are to stop. Polling comes first, as it
 * sends the request. */
static int await(struct shunt_bench_client *client, uint64_t number, uint64_t sent_ns,
		 uint64_t *at_ns, struct shunt_bench_result *result,
		 struct shunt_err *err)
{
	for (;;) {
		int ret = shunt_transport_poll(client->transport, SHUNT_BENCH_LOOK_NS,
					       err);

		if (ret < 0 && ret != -EINTR)
			return ret;
		if (ret > 0)
			ret = look(client, number, at_ns, result, err);
		if (ret > 0 || ret == -EBADMSG)
			return ret;
		if (shunt_now_ns() - sent_ns > SHUNT_BENCH_LOST_NS ||
		    shunt_bench_stopped(client->link))
			return 0;
	}
}

int shunt_bench_turns(struct shunt_bench_client *client,
		      const struct shunt_bench_case *todo,
		      struct shunt_bench_result *result, struct shunt_err *err)
{
	uint64_t start = shunt_now_ns(), now = start, heard = start;
	int ret = 0;

	while (ret >= 0 && now - start < todo->duration_ns) {
		uint64_t number = client->number++, sent = shunt_now_ns();

		ret = shunt_bench_send_surely(client, SHUNT_BENCH_ECHO, number,
					      todo->size, err);
		if (ret)
			break;
		result->requests++;
		ret = await(client, number, sent, &now, result, err);
		if (ret > 0) {
			heard = now;
			result->replies++;
			shunt_histogram_record(&result->latency, now - sent);
		} else if (!ret) {
			now = shunt_now_ns();
			ret = shunt_bench_stopped(client->link)
				      ? shunt_fail(err, -EINTR, "stopped")
				      : shunt_bench_stalls(heard, result, err);
		}
	}
	result->lost = result->requests - result->replies;
	result->elapsed_ns = now - start;
	return ret < 0 ? ret : 0;
}
