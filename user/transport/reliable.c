// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/reliable.h"

#include <errno.h>

#include "user/transport/reliable_impl.h"

/* What a packet has room for at least, when acknowledgements and wants have theirs. */
#define DATA_LEAST 64u
_Static_assert(SHUNT_SEGMENT_FIXED + SHUNT_SEGMENT_ACK_BYTES +
			       SHUNT_SEGMENT_WANT_BYTES + SHUNT_SEGMENT_DATA_BYTES +
			       DATA_LEAST <
		       SHUNT_RELIABLE_ROOM_MIN,
	       "all parts fit into the smallest packet");
/* --- messages ---------------------------------------------------------------------------- */

int shunt_reliable_send(struct shunt_reliable *end, uint16_t channel, const void *bytes,
			uint32_t length)
{
	int taken;

	if (end->broken)
		return end->broken;
	if (length > end->grant.theirs.message_max ||
	    shunt_segment_cost(length) > end->backlog.mask + 1)
		return -EMSGSIZE;
	if (shunt_backlog_room(&end->backlog) < shunt_segment_cost(length)) {
		end->count.no_room++;
		return 0;
	}
	taken = shunt_grant_take(&end->grant, length);
	if (taken != 1) {
		end->count.no_credit++;
		return taken;
	}
	shunt_backlog_put(&end->backlog, channel, bytes, length);
	end->count.tx_messages++;
	return 1;
}

unsigned int shunt_reliable_recv(struct shunt_reliable *end,
				 struct shunt_reliable_message *messages,
				 unsigned int max)
{
	struct shunt_segment_message message;
	unsigned int n;

	for (n = 0; n < max; n++) {
		if (!shunt_intake_lend(&end->intake, &messages[n].token, &message,
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
		shunt_intake_release(&end->intake, &end->grant, messages[i].token);
}

/* --- what is to be sent ------------------------------------------------------------------ */

/* May, and should, a packet with bytes of the stream go? */
static bool data_goes(const struct shunt_reliable *end)
{
	if (!shunt_backlog_waits(&end->backlog))
		return false;
	return end->lossless ||
	       (shunt_flight_room(&end->flight) &&
		(end->flight.probes ||
		 shunt_congestion_allows(&end->flight.congestion, end->flight.bytes)));
}

/* The same for one that has to arrive for another reason. The second probe goes only if it
 * has something to carry. */
static bool note_goes(const struct shunt_reliable *end)
{
	return shunt_flight_room(&end->flight) &&
	       (end->flight.probes > 1 || shunt_grant_asks(&end->grant) ||
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
		segment->received = end->intake.received;
		shunt_arrivals_write(&end->arrivals, now_ns, segment, ranges_max(room));
	}
	shunt_grant_tell(&end->grant, segment);
}

/* Bytes of the stream, as many as fit. */
static void fill(struct shunt_reliable *end, struct shunt_segment *segment,
		 struct shunt_backlog_range *range, uint32_t room)
{
	uint32_t bytes = shunt_segment_head(segment) + SHUNT_SEGMENT_DATA_BYTES;

	if (!shunt_backlog_take(&end->backlog, room - bytes, range))
		return;
	segment->flags |= SHUNT_SEGMENT_DATA;
	segment->offset = range->offset;
}

/* What must arrive: with a number, unless everything does. */
static uint32_t write_sure(struct shunt_reliable *end, uint64_t now_ns, uint8_t *packet,
			   uint32_t room, bool data)
{
	struct shunt_backlog_range range = { 0 };
	struct shunt_segment segment;
	uint16_t notes = 0;
	uint32_t bytes;

	segment.flags = end->lossless ? 0 : SHUNT_SEGMENT_NUMBERED;
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
	if (data)
		fill(end, &segment, &range, room);
	bytes = shunt_segment_write(&segment, packet);
	shunt_backlog_copy(&end->backlog, &range, packet + bytes);
	bytes += range.length;
	if (end->lossless)
		shunt_backlog_received(&end->backlog, end->backlog.sent);
	else
		shunt_flight_sent(&end->flight, now_ns, &range, bytes, notes);
	return bytes;
}

/* What need not: the next one says the same. */
static uint32_t write_aside(struct shunt_reliable *end, uint64_t now_ns,
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
	shunt_flight_late(&end->flight, &end->backlog, now_ns);
	heed_lost(end);
	data = data_goes(end);
	if (!data && !note_goes(end) && !ack_goes(end, now_ns))
		return 0;
	end->count.tx_packets++;
	if (data || note_goes(end))
		return write_sure(end, now_ns, packet, room, data);
	return write_aside(end, now_ns, packet, room);
}

bool shunt_reliable_idle(const struct shunt_reliable *end)
{
	return end->backlog.received == end->backlog.end && !end->flight.packets;
}

/* --- what arrives ------------------------------------------------------------------------ */

static int read_ack(struct shunt_reliable *end, uint64_t now_ns,
		    const struct shunt_segment *segment)
{
	if (!shunt_backlog_received(&end->backlog, segment->received) ||
	    !shunt_flight_ack(&end->flight, &end->backlog, now_ns, segment))
		return -EPROTO;
	heed_lost(end);
	/* All packets have arrived, and what was in them has not? */
	if (!end->flight.packets && !end->backlog.lost_n &&
	    end->backlog.received != end->backlog.sent)
		return -EPROTO;
	return 0;
}

/* False: there was no memory for it, and it is as if it had not come. */
static int read_data(struct shunt_reliable *end, const struct shunt_segment *segment,
		     bool *kept)
{
	uint64_t offset = shunt_segment_whole(end->intake.received, segment->offset);
	int found;

	if (offset + segment->data_len > end->grant.told.bytes)
		return -EPROTO;
	*kept = shunt_intake_put(&end->intake, offset, segment->data,
				 segment->data_len);
	found = shunt_intake_parse(&end->intake, &end->grant);
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

/* Where nothing is lost, nothing comes but what comes next. */
static int read_in_order(struct shunt_reliable *end,
			 const struct shunt_segment *segment)
{
	bool kept;

	if (segment->flags & (SHUNT_SEGMENT_NUMBERED | SHUNT_SEGMENT_ACK) ||
	    (segment->flags & SHUNT_SEGMENT_DATA &&
	     segment->offset != (uint32_t)end->intake.received) ||
	    shunt_grant_learn(&end->grant, segment, ++end->arrivals.top))
		return -EPROTO;
	return segment->flags & SHUNT_SEGMENT_DATA ? read_data(end, segment, &kept) : 0;
}

static int read_segment(struct shunt_reliable *end, uint64_t now_ns,
			const struct shunt_segment *segment)
{
	uint64_t number = shunt_segment_whole(end->arrivals.top, segment->number);
	int err;

	if (end->lossless)
		return read_in_order(end, segment);
	/* It lies before the first one. */
	if ((int64_t)(number - end->start) < 0)
		return -EPROTO;
	if (!(segment->flags & SHUNT_SEGMENT_NUMBERED) &&
	    segment->flags & (SHUNT_SEGMENT_DATA | SHUNT_SEGMENT_WANT))
		return -EPROTO;
	err = shunt_grant_learn(&end->grant, segment, number);
	if (!err && segment->flags & SHUNT_SEGMENT_ACK)
		err = read_ack(end, now_ns, segment);
	if (!err && segment->flags & SHUNT_SEGMENT_NUMBERED)
		err = read_numbered(end, now_ns, number, segment);
	return err;
}

int shunt_reliable_input(struct shunt_reliable *end, uint64_t now_ns,
			 const void *packet, uint32_t bytes)
{
	struct shunt_segment segment;

	if (end->broken)
		return end->broken;
	if (!shunt_segment_read(&segment, packet, bytes))
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
	stats->resent_bytes = end->backlog.resent_bytes;
	stats->collapsed = end->backlog.collapsed;
	stats->rtt_ns = flight->rtt.measured ? flight->rtt.smoothed_ns : 0;
	stats->rtt_var_ns = flight->rtt.measured ? flight->rtt.var_ns : 0;
	stats->rtt_least_ns = flight->rtt.least_ns;
	stats->window_bytes = flight->congestion.window;
	stats->flight_bytes = flight->bytes;
	stats->flight_packets = flight->packets;
	stats->unanswered = flight->unanswered;
}
