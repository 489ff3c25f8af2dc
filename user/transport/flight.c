// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/flight.h"

#include <errno.h>
#include <stdlib.h>

#define REORDERED 3u  /* kPacketThreshold, RFC 9002 section 6.1.1 */
#define PERSISTENT 3u /* kPersistentCongestionThreshold, section 7.6.1 */
#define PROBES 2u     /* packets at a timeout, section 6.2.4 */
#define BACKOFF_BITS 20u

int shunt_flight_open(struct shunt_flight *flight, uint32_t packets,
		      const struct shunt_flight_times *times, uint64_t start)
{
	*flight = (struct shunt_flight){
		.record = malloc(packets * sizeof(*flight->record)),
		.mask = packets - 1,
		.oldest = start,
		.next = start,
		.acked = start,
		.loss_ns = UINT64_MAX,
		.times = *times,
	};
	return flight->record ? 0 : -ENOMEM;
}

void shunt_flight_close(struct shunt_flight *flight)
{
	free(flight->record);
}

static struct shunt_flight_record *record_of(struct shunt_flight *flight,
					     uint64_t number)
{
	return &flight->record[number & flight->mask];
}

void shunt_flight_sent(struct shunt_flight *flight, uint64_t now_ns,
		       const struct shunt_backlog_range *range, uint32_t bytes,
		       uint16_t notes)
{
	*record_of(flight, flight->next++) = (struct shunt_flight_record){
		.time_ns = now_ns,
		.range = *range,
		.bytes = bytes,
		.notes = notes,
		.state = SHUNT_FLIGHT_OPEN,
	};
	flight->bytes += bytes;
	flight->packets++;
	flight->last_ns = now_ns;
	if (flight->probes)
		flight->probes--;
}

/* An open one is not under way any more. */
static void land(struct shunt_flight *flight, struct shunt_flight_record *record,
		 enum shunt_flight_state state)
{
	record->state = state;
	flight->bytes -= record->bytes;
	flight->packets--;
}

static void pass_settled(struct shunt_flight *flight)
{
	while (flight->oldest != flight->next &&
	       record_of(flight, flight->oldest)->state == SHUNT_FLIGHT_SETTLED)
		flight->oldest++;
}

/* What an open one carried is to be sent again. */
static void lose(struct shunt_flight *flight, struct shunt_backlog *backlog,
		 struct shunt_flight_record *record, enum shunt_flight_state state)
{
	land(flight, record, state);
	flight->lost++;
	flight->lost_notes |= record->notes;
	if (record->range.length)
		shunt_backlog_lose(backlog, &record->range);
}

/* Those behind which others have arrived, by number or by time. */
static void find_lost(struct shunt_flight *flight, struct shunt_backlog *backlog,
		      uint64_t now_ns)
{
	uint64_t wait = shunt_rtt_reorder(&flight->rtt, flight->times.granularity_ns);
	uint64_t number;

	flight->loss_ns = UINT64_MAX;
	for (number = flight->oldest; number < flight->acked; number++) {
		struct shunt_flight_record *record = record_of(flight, number);

		if (record->state == SHUNT_FLIGHT_SETTLED)
			continue;
		if (flight->acked - number <= REORDERED &&
		    now_ns < record->time_ns + wait) {
			/* Those behind it are neither older nor further back. */
			flight->loss_ns = record->time_ns + wait;
			break;
		}
		if (record->state == SHUNT_FLIGHT_OPEN) {
			lose(flight, backlog, record, SHUNT_FLIGHT_SETTLED);
			shunt_congestion_lost(&flight->congestion, number,
					      flight->next);
		}
		record->state = SHUNT_FLIGHT_SETTLED;
	}
	pass_settled(flight);
}

/* --- acknowledgements -------------------------------------------------------------------- */

/* One acknowledgement, while it is looked at. */
struct answer {
	uint64_t now_ns;
	uint64_t delay_ns;
	uint64_t newest; /* number, plus 1 */
	uint64_t flight_bytes;
	bool news;
};

static void acked(struct shunt_flight *flight, struct answer *answer, uint64_t from,
		  uint64_t to)
{
	uint64_t number;

	for (number = from > flight->oldest ? from : flight->oldest; number < to;
	     number++) {
		struct shunt_flight_record *record = record_of(flight, number);

		if (record->state == SHUNT_FLIGHT_SETTLED)
			continue;
		if (record->state == SHUNT_FLIGHT_OPEN) {
			land(flight, record, SHUNT_FLIGHT_SETTLED);
			shunt_congestion_acked(&flight->congestion, number,
					       record->bytes, answer->flight_bytes);
		}
		record->state = SHUNT_FLIGHT_SETTLED;
		if (number + 1 == answer->newest)
			shunt_rtt_sample(&flight->rtt, answer->now_ns - record->time_ns,
					 answer->delay_ns);
		answer->news = true;
	}
}

/* The greatest number that is acknowledged, plus 1. */
static uint64_t newest_of(uint64_t before, const struct shunt_segment *segment)
{
	unsigned int i;

	for (i = 0; i < segment->ranges; i++)
		before += segment->range[i].gap + segment->range[i].length;
	return before;
}

bool shunt_flight_ack(struct shunt_flight *flight, struct shunt_backlog *backlog,
		      uint64_t now_ns, const struct shunt_segment *segment)
{
	uint64_t before = shunt_segment_whole(flight->oldest, segment->before), at;
	struct answer answer = {
		.now_ns = now_ns,
		.delay_ns = segment->delay_us * UINT64_C(1000),
		.newest = newest_of(before, segment),
		.flight_bytes = flight->bytes,
	};
	unsigned int i;

	/* What lies before the first number is, unsigned, far behind the last. */
	if (before > flight->next || answer.newest > flight->next)
		return false;
	if (answer.delay_ns > flight->times.delay_ns)
		answer.delay_ns = flight->times.delay_ns;
	acked(flight, &answer, flight->oldest, before);
	for (i = 0, at = before; i < segment->ranges; i++) {
		at += segment->range[i].gap;
		acked(flight, &answer, at, at + segment->range[i].length);
		at += segment->range[i].length;
	}
	if (!answer.news)
		return true;
	flight->unanswered = 0;
	flight->probes = 0;
	if (answer.newest > flight->acked)
		flight->acked = answer.newest;
	pass_settled(flight);
	find_lost(flight, backlog, now_ns);
	return true;
}

/* --- time -------------------------------------------------------------------------------- */

/*
 * The wait doubles up to probe_max_ns. Should the way be longer than all the probes that
 * are remembered, it doubles on, or no acknowledgement would ever be known again.
 */
static uint64_t probe_ns(const struct shunt_flight *flight)
{
	const struct shunt_flight_times *times = &flight->times;
	uint64_t wait =
		shunt_rtt_timeout(&flight->rtt, times->granularity_ns, times->delay_ns);
	uint64_t most = wait > times->probe_max_ns ? wait : times->probe_max_ns;
	uint32_t bits = flight->unanswered, many = (flight->mask + 1) / (2 * PROBES);

	wait <<= bits < BACKOFF_BITS ? bits : BACKOFF_BITS;
	bits = bits > many ? bits - many : 0;
	most <<= bits < BACKOFF_BITS ? bits : BACKOFF_BITS;
	return flight->last_ns + (wait < most ? wait : most);
}

uint64_t shunt_flight_due(const struct shunt_flight *flight)
{
	if (flight->loss_ns != UINT64_MAX)
		return flight->loss_ns;
	/* While probes wait for the caller there is no need of more; the second one goes
	 * only if it has something to carry. */
	return flight->packets && flight->probes < PROBES ? probe_ns(flight)
							  : UINT64_MAX;
}

/* Forgets the oldest, whatever has become of it. */
static void forget(struct shunt_flight *flight, struct shunt_backlog *backlog)
{
	struct shunt_flight_record *record = record_of(flight, flight->oldest);

	if (record->state == SHUNT_FLIGHT_OPEN)
		lose(flight, backlog, record, SHUNT_FLIGHT_SETTLED);
	record->state = SHUNT_FLIGHT_SETTLED;
	pass_settled(flight);
}

/* Others are to go in place of the oldest ones. */
static void miss(struct shunt_flight *flight, struct shunt_backlog *backlog)
{
	uint32_t missed = 0;
	uint64_t number;

	for (number = flight->oldest; number != flight->next && missed < PROBES;
	     number++) {
		struct shunt_flight_record *record = record_of(flight, number);

		if (record->state != SHUNT_FLIGHT_OPEN)
			continue;
		lose(flight, backlog, record, SHUNT_FLIGHT_MISSED);
		missed++;
	}
	while (flight->next + PROBES - flight->oldest > flight->mask + 1)
		forget(flight, backlog);
}

void shunt_flight_late(struct shunt_flight *flight, struct shunt_backlog *backlog,
		       uint64_t now_ns)
{
	if (now_ns >= flight->loss_ns)
		find_lost(flight, backlog, now_ns);
	if (now_ns < shunt_flight_due(flight))
		return;
	flight->probed++;
	if (++flight->unanswered == PERSISTENT)
		shunt_congestion_collapse(&flight->congestion);
	miss(flight, backlog);
	flight->probes = PROBES;
}
