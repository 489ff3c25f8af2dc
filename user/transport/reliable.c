// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/reliable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/arrivals.h"
#include "user/transport/flight.h"
#include "user/transport/inbox.h"
#include "user/transport/outbox.h"

#define SEND_BYTES (UINT64_C(4) << 20)
#define PACKET_BYTES 1400u
#define FIXED_BYTES (UINT64_C(256) << 10)
#define RTT_NS UINT64_C(333000000)
#define GRANULARITY_NS UINT64_C(1000000)
#define PROBE_MAX_NS UINT64_C(1000000000)
#define PACKETS_MIN 16u
#define SEND_BYTES_MAX (UINT64_C(1) << 30)

/* What a packet has room for at least, when acknowledgements and wants have theirs. */
#define DATA_LEAST 64u
_Static_assert(SHUNT_SEGMENT_FIXED + SHUNT_SEGMENT_ACK_BYTES +
			       SHUNT_SEGMENT_WANT_BYTES + SHUNT_SEGMENT_DATA_BYTES +
			       DATA_LEAST <
		       SHUNT_RELIABLE_ROOM_MIN,
	       "all parts fit into the smallest packet");
_Static_assert(SHUNT_RELIABLE_PACKETS_MAX <= SHUNT_ARRIVALS,
	       "a receiver remembers what a sender may have under way");

struct shunt_reliable {
	struct shunt_grant grant;
	struct shunt_flight flight;
	struct shunt_outbox outbox;
	struct shunt_inbox inbox;
	struct shunt_arrivals arrivals;
	uint64_t delay_ns; /* of our acknowledgements */
	bool ping;
	int broken; /* -EPROTO */
	struct shunt_reliable_stats count;
};

/* --- open and close ---------------------------------------------------------------------- */

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
	int flight, outbox, inbox;

	flight = shunt_flight_open(&end->flight, opts->packets, &times, opts->start);
	outbox = shunt_outbox_open(&end->outbox, power_of_two(opts->send_bytes),
				   opts->packets, opts->start);
	inbox = shunt_inbox_open(&end->inbox, power_of_two(opts->ours.window_bytes),
				 opts->ours.message_max, SHUNT_RELIABLE_ISLANDS,
				 opts->start);
	shunt_grant_init(&end->grant, &opts->ours, &opts->theirs, opts->start);
	shunt_arrivals_init(&end->arrivals, opts->start);
	shunt_rtt_init(&end->flight.rtt, opts->rtt_ns);
	shunt_congestion_init(&end->flight.congestion, opts->packet_bytes,
			      fixed ? opts->congestion_bytes : 0);
	end->delay_ns = opts->ours.ack_delay_us * UINT64_C(1000);
	return flight || outbox || inbox ? -ENOMEM : 0;
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
	shunt_outbox_close(&end->outbox);
	shunt_inbox_close(&end->inbox);
	free(end);
}

/* --- messages ---------------------------------------------------------------------------- */

int shunt_reliable_send(struct shunt_reliable *end, uint16_t channel, const void *bytes,
			uint32_t length)
{
	int taken;

	if (end->broken)
		return end->broken;
	if (length > end->grant.theirs.message_max ||
	    shunt_segment_cost(length) > end->outbox.mask + 1)
		return -EMSGSIZE;
	if (shunt_outbox_room(&end->outbox) < shunt_segment_cost(length)) {
		end->count.no_room++;
		return 0;
	}
	taken = shunt_grant_take(&end->grant, length);
	if (taken != 1) {
		end->count.no_credit++;
		return taken;
	}
	shunt_outbox_put(&end->outbox, channel, bytes, length);
	end->count.tx_messages++;
	return 1;
}

void shunt_reliable_ping(struct shunt_reliable *end)
{
	end->ping = true;
}

unsigned int shunt_reliable_recv(struct shunt_reliable *end,
				 struct shunt_reliable_message *messages,
				 unsigned int max)
{
	struct shunt_segment_message message;
	unsigned int n;

	for (n = 0; n < max; n++) {
		if (!shunt_inbox_lend(&end->inbox, &messages[n].token, &message,
				      &messages[n].data))
			break;
		messages[n].length = message.length;
		messages[n].channel = message.channel;
	}
	return n;
}

void shunt_reliable_release(struct shunt_reliable *end,
			    const struct shunt_reliable_message *messages,
			    unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		shunt_inbox_release(&end->inbox, &end->grant, messages[i].token);
}

/* --- what is to be sent ------------------------------------------------------------------ */

/* May, and should, a packet with bytes of the stream go? */
static bool data_goes(const struct shunt_reliable *end)
{
	return shunt_outbox_waits(&end->outbox) && shunt_flight_room(&end->flight) &&
	       (end->flight.probes ||
		shunt_congestion_allows(&end->flight.congestion, end->flight.bytes));
}

/* The same for one that has to arrive for another reason. The second probe goes only if it
 * has something to carry. */
static bool note_goes(const struct shunt_reliable *end)
{
	return shunt_flight_room(&end->flight) &&
	       (end->ping || end->flight.probes > 1 || shunt_grant_asks(&end->grant) ||
		shunt_grant_answers(&end->grant));
}

static bool ack_goes(const struct shunt_reliable *end, uint64_t now_ns)
{
	return shunt_arrivals_due(&end->arrivals, now_ns) ||
	       shunt_grant_moved(&end->grant);
}

uint64_t shunt_reliable_due(const struct shunt_reliable *end)
{
	uint64_t due = shunt_flight_due(&end->flight);

	if (end->broken)
		return UINT64_MAX;
	if (data_goes(end) || note_goes(end) || ack_goes(end, 0))
		return 0;
	if (end->arrivals.pending && end->arrivals.due_ns < due)
		due = end->arrivals.due_ns;
	return due;
}

static uint32_t ranges_max(uint32_t room)
{
	uint32_t fit =
		(room - SHUNT_SEGMENT_FIXED - SHUNT_SEGMENT_ACK_BYTES -
		 SHUNT_SEGMENT_WANT_BYTES - SHUNT_SEGMENT_DATA_BYTES - DATA_LEAST) /
		SHUNT_SEGMENT_RANGE_BYTES;

	return fit < SHUNT_SEGMENT_RANGES ? fit : SHUNT_SEGMENT_RANGES;
}

/* Acknowledgement and credit, which any packet may carry. */
static void tell(struct shunt_reliable *end, struct shunt_segment *segment,
		 uint64_t now_ns, uint32_t room)
{
	segment->number = end->flight.next;
	if (shunt_arrivals_wait(&end->arrivals)) {
		segment->flags |= SHUNT_SEGMENT_ACK;
		segment->received = end->inbox.received;
		shunt_arrivals_write(&end->arrivals, now_ns, segment, ranges_max(room));
	}
	shunt_grant_tell(&end->grant, segment);
}

static uint32_t write_numbered(struct shunt_reliable *end, uint64_t now_ns,
			       uint8_t *packet, uint32_t room, bool data)
{
	struct shunt_outbox_range range = { 0 };
	struct shunt_segment segment;
	uint16_t notes = 0;
	uint32_t bytes;

	segment.flags = SHUNT_SEGMENT_NUMBERED;
	segment.ranges = 0;
	segment.back = end->flight.next - end->flight.oldest;
	if (shunt_grant_asks(&end->grant)) {
		segment.flags |= SHUNT_SEGMENT_WANT;
		notes |= SHUNT_FLIGHT_WANT;
	}
	if (shunt_grant_answers(&end->grant)) {
		end->grant.answered = true;
		notes |= SHUNT_FLIGHT_ANSWER;
	}
	tell(end, &segment, now_ns, room);
	if (data) {
		bytes = shunt_segment_head(&segment) + SHUNT_SEGMENT_DATA_BYTES;
		if (shunt_outbox_take(&end->outbox, room - bytes, &range)) {
			segment.flags |= SHUNT_SEGMENT_DATA;
			segment.offset = range.offset;
		}
	}
	bytes = shunt_segment_write(&segment, packet);
	shunt_outbox_copy(&end->outbox, &range, packet + bytes);
	bytes += range.length;
	end->ping = false;
	shunt_flight_sent(&end->flight, now_ns, &range, bytes, notes);
	return bytes;
}

static uint32_t write_unnumbered(struct shunt_reliable *end, uint64_t now_ns,
				 uint8_t *packet, uint32_t room)
{
	struct shunt_segment segment;

	segment.flags = 0;
	segment.ranges = 0;
	segment.back = 0;
	tell(end, &segment, now_ns, room);
	end->count.tx_acks++;
	return shunt_segment_write(&segment, packet);
}

/* What lost packets carried has to be told again. */
static void heed_lost(struct shunt_reliable *end)
{
	if (end->flight.lost_notes & SHUNT_FLIGHT_WANT)
		end->grant.want_told = false;
	if (end->flight.lost_notes & SHUNT_FLIGHT_ANSWER)
		end->grant.answered = false;
	end->flight.lost_notes = 0;
}

uint32_t shunt_reliable_packet(struct shunt_reliable *end, uint64_t now_ns,
			       void *packet, uint32_t room)
{
	bool data;

	if (end->broken)
		return 0;
	shunt_flight_late(&end->flight, &end->outbox, now_ns);
	heed_lost(end);
	data = data_goes(end);
	if (!data && !note_goes(end) && !ack_goes(end, now_ns))
		return 0;
	end->count.tx_packets++;
	if (data || note_goes(end))
		return write_numbered(end, now_ns, packet, room, data);
	return write_unnumbered(end, now_ns, packet, room);
}

bool shunt_reliable_idle(const struct shunt_reliable *end)
{
	return end->outbox.received == end->outbox.end && !end->flight.packets;
}

/* --- what arrives ------------------------------------------------------------------------ */

static int read_ack(struct shunt_reliable *end, uint64_t now_ns,
		    const struct shunt_segment *segment)
{
	if (!shunt_outbox_received(&end->outbox, segment->received) ||
	    !shunt_flight_ack(&end->flight, &end->outbox, now_ns, segment))
		return -EPROTO;
	heed_lost(end);
	/* All packets have arrived, and what was in them has not? */
	if (!end->flight.packets && !end->outbox.lost_n &&
	    end->outbox.received != end->outbox.sent)
		return -EPROTO;
	return 0;
}

/* False: there was no memory for it, and it is as if it had not come. */
static int read_data(struct shunt_reliable *end, const struct shunt_segment *segment,
		     bool *kept)
{
	uint64_t offset = shunt_segment_whole(end->inbox.received, segment->offset);
	int found;

	if (offset + segment->data_len > end->grant.told.bytes)
		return -EPROTO;
	*kept = shunt_inbox_put(&end->inbox, offset, segment->data, segment->data_len);
	found = shunt_inbox_parse(&end->inbox, &end->grant);
	if (found < 0)
		return found;
	end->count.rx_messages += found;
	return 0;
}

static int read_numbered(struct shunt_reliable *end, uint64_t now_ns, uint64_t number,
			 const struct shunt_segment *segment)
{
	bool kept = true;
	int err;

	if (segment->back >= SHUNT_ARRIVALS || segment->back > number)
		return -EPROTO;
	if (segment->flags & SHUNT_SEGMENT_DATA) {
		err = read_data(end, segment, &kept);
		if (err)
			return err;
	}
	if (!kept)
		end->count.refused++;
	else if (!shunt_arrivals_enter(&end->arrivals, number, segment->back, now_ns,
				       end->delay_ns))
		end->count.duplicates++;
	return 0;
}

static int read_segment(struct shunt_reliable *end, uint64_t now_ns,
			const struct shunt_segment *segment)
{
	uint64_t number = shunt_segment_whole(end->arrivals.top, segment->number);
	int err = shunt_grant_learn(&end->grant, segment, number);

	if (!err && segment->flags & SHUNT_SEGMENT_ACK)
		err = read_ack(end, now_ns, segment);
	if (!err && segment->flags & SHUNT_SEGMENT_NUMBERED)
		err = read_numbered(end, now_ns, number, segment);
	return err;
}

int shunt_reliable_input(struct shunt_reliable *end, uint64_t now_ns,
			 const void *packet, uint32_t bytes)
{
	const uint8_t unnumbered_only = SHUNT_SEGMENT_DATA | SHUNT_SEGMENT_WANT;
	struct shunt_segment segment;

	if (end->broken)
		return end->broken;
	if (!shunt_segment_read(&segment, packet, bytes) ||
	    (!(segment.flags & SHUNT_SEGMENT_NUMBERED) &&
	     segment.flags & unnumbered_only))
		return -EBADMSG;
	end->count.rx_packets++;
	end->broken = read_segment(end, now_ns, &segment);
	return end->broken;
}

void shunt_reliable_stats(const struct shunt_reliable *end,
			  struct shunt_reliable_stats *stats)
{
	const struct shunt_flight *flight = &end->flight;

	*stats = end->count;
	stats->lost = flight->lost;
	stats->probes = flight->probed;
	stats->resent_bytes = end->outbox.resent_bytes;
	stats->collapsed = end->outbox.collapsed;
	stats->rtt_ns = flight->rtt.measured ? flight->rtt.smoothed_ns : 0;
	stats->rtt_var_ns = flight->rtt.measured ? flight->rtt.var_ns : 0;
	stats->rtt_least_ns = flight->rtt.least_ns;
	stats->window_bytes = flight->congestion.window;
	stats->flight_bytes = flight->bytes;
	stats->flight_packets = flight->packets;
	stats->unanswered = flight->unanswered;
}
