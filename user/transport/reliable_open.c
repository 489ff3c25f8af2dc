// SPDX-License-Identifier: BSD-2-Clause
/* Options of an end, and its memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/reliable_impl.h"

#define SEND_BYTES (UINT64_C(4) << 20)
#define PACKET_BYTES 1400u
#define FIXED_BYTES (UINT64_C(256) << 10)
#define RTT_NS UINT64_C(333000000)
#define GRANULARITY_NS UINT64_C(1000000)
#define PROBE_MAX_NS UINT64_C(1000000000)
#define PACKETS_MIN 16u
#define SEND_BYTES_MAX (UINT64_C(1) << 30)

_Static_assert(SHUNT_RELIABLE_PACKETS_MAX <= SHUNT_ARRIVALS,
	       "a receiver remembers what a sender may have under way");

int shunt_reliable_terms(struct shunt_terms *ours, struct shunt_err *err)
{
	if (!ours->message_max)
		ours->message_max = SHUNT_RELIABLE_MESSAGE_MAX;
	if (!ours->window_bytes)
		ours->window_bytes = SHUNT_RELIABLE_WINDOW;
	if (!ours->window_messages)
		ours->window_messages = SHUNT_RELIABLE_MESSAGES;
	if (!ours->ack_delay_us)
		ours->ack_delay_us = SHUNT_RELIABLE_ACK_DELAY_US;
	if (shunt_terms_sound(ours))
		return 0;
	return shunt_fail(err, -EINVAL,
			  "a window of %u bytes and %u messages, of %u bytes at most, "
			  "acknowledged within %u us: windows are 1 to %u, one message "
			  "fits into the bytes, and a second is the longest delay",
			  ours->window_bytes, ours->window_messages, ours->message_max,
			  ours->ack_delay_us, SHUNT_TERMS_WINDOW_MAX);
}

static void fill(struct shunt_reliable_opts *opts)
{
	if (!opts->send_bytes)
		opts->send_bytes = SEND_BYTES;
	if (!opts->packets)
		opts->packets = SHUNT_RELIABLE_PACKETS;
	if (!opts->packet_bytes)
		opts->packet_bytes = PACKET_BYTES;
	if (!opts->congestion_bytes)
		opts->congestion_bytes = FIXED_BYTES;
	if (!opts->rtt_ns)
		opts->rtt_ns = RTT_NS;
	if (!opts->granularity_ns)
		opts->granularity_ns = GRANULARITY_NS;
	if (!opts->probe_max_ns)
		opts->probe_max_ns = PROBE_MAX_NS;
}

static int check(struct shunt_reliable_opts *opts, struct shunt_err *err)
{
	int ret = shunt_reliable_terms(&opts->ours, err);

	if (ret)
		return ret;
	if (!shunt_terms_sound(&opts->theirs))
		return shunt_fail(err, -EINVAL,
				  "a peer that takes %u bytes of %u messages, of %u "
				  "bytes at most, within %u us: no sound terms",
				  opts->theirs.window_bytes,
				  opts->theirs.window_messages,
				  opts->theirs.message_max, opts->theirs.ack_delay_us);
	if (opts->packets & (opts->packets - 1) || opts->packets < PACKETS_MIN ||
	    opts->packets > SHUNT_RELIABLE_PACKETS_MAX)
		return shunt_fail(err, -EINVAL,
				  "%u packets under way: a power of two from %u to %u",
				  opts->packets, PACKETS_MIN,
				  SHUNT_RELIABLE_PACKETS_MAX);
	if (opts->send_bytes > SEND_BYTES_MAX || opts->start % SHUNT_SEGMENT_MESSAGE)
		return shunt_fail(err, -EINVAL,
				  "a ring of %llu bytes, counted from %llu: at most "
				  "%llu, counted from a multiple of %u",
				  (unsigned long long)opts->send_bytes,
				  (unsigned long long)opts->start,
				  (unsigned long long)SEND_BYTES_MAX,
				  SHUNT_SEGMENT_MESSAGE);
	return 0;
}

static uint64_t power_of_two(uint64_t least)
{
	uint64_t size = 64;

	while (size < least)
		size *= 2;
	return size;
}

static int open_parts(struct shunt_reliable *end,
		      const struct shunt_reliable_opts *opts)
{
	const struct shunt_flight_times times = {
		.granularity_ns = opts->granularity_ns,
		.delay_ns = opts->theirs.ack_delay_us * UINT64_C(1000),
		.probe_max_ns = opts->probe_max_ns,
	};
	bool fixed = opts->congestion == SHUNT_RELIABLE_FIXED;
	int flight, backlog, intake;

	flight = shunt_flight_open(&end->flight, opts->packets, &times, opts->start);
	backlog = shunt_backlog_open(&end->backlog, power_of_two(opts->send_bytes),
				     opts->packets, opts->start);
	intake = shunt_intake_open(&end->intake, power_of_two(opts->ours.window_bytes),
				   opts->ours.message_max, SHUNT_RELIABLE_ISLANDS,
				   opts->start);
	shunt_grant_init(&end->grant, &opts->ours, &opts->theirs, opts->start);
	shunt_arrivals_init(&end->arrivals, opts->start);
	shunt_rtt_init(&end->flight.rtt, opts->rtt_ns);
	shunt_congestion_init(&end->flight.congestion, opts->packet_bytes,
			      fixed ? opts->congestion_bytes : 0);
	end->start = opts->start;
	end->lossless = opts->lossless;
	end->delay_ns = opts->ours.ack_delay_us * UINT64_C(1000);
	return flight || backlog || intake ? -ENOMEM : 0;
}

int shunt_reliable_open(struct shunt_reliable **end,
			const struct shunt_reliable_opts *opts, struct shunt_err *err)
{
	struct shunt_reliable_opts filled = { 0 };
	int ret;

	*end = NULL;
	memcpy(&filled, opts, opts->sz < sizeof(filled) ? opts->sz : sizeof(filled));
	fill(&filled);
	ret = check(&filled, err);
	if (ret)
		return ret;
	*end = calloc(1, sizeof(**end));
	if (*end && !open_parts(*end, &filled))
		return 0;
	shunt_reliable_close(*end);
	*end = NULL;
	return shunt_fail(err, -ENOMEM, "no memory for a connection's rings");
}

void shunt_reliable_close(struct shunt_reliable *end)
{
	if (!end)
		return;
	shunt_flight_close(&end->flight);
	shunt_backlog_close(&end->backlog);
	shunt_intake_close(&end->intake);
	free(end);
}
