// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/segment.h"

int shunt_backlog_open(struct shunt_backlog *backlog, uint64_t bytes, uint32_t ranges,
		       uint64_t start)
{
	*backlog = (struct shunt_backlog){
		.ring = malloc(bytes),
		.mask = bytes - 1,
		.lost = malloc(ranges * sizeof(*backlog->lost)),
		.lost_mask = ranges - 1,
		.received = start,
		.sent = start,
		.sent_most = start,
		.end = start,
	};
	return backlog->ring && backlog->lost ? 0 : -ENOMEM;
}

void shunt_backlog_close(struct shunt_backlog *backlog)
{
	free(backlog->ring);
	free(backlog->lost);
}

static void ring_put(struct shunt_backlog *backlog, uint64_t offset, const void *bytes,
		     uint32_t length)
{
	uint64_t at = offset & backlog->mask, fit = backlog->mask + 1 - at;

	if (fit > length)
		fit = length;
	memcpy(backlog->ring + at, bytes, fit);
	memcpy(backlog->ring, (const uint8_t *)bytes + fit, length - fit);
}

void shunt_backlog_put(struct shunt_backlog *backlog, uint16_t channel,
		       const void *bytes, uint32_t length)
{
	static const uint8_t zeros[SHUNT_SEGMENT_MESSAGE];
	const struct shunt_segment_message message = { length, channel };
	uint32_t cost = shunt_segment_cost(length);

	/* Messages begin at multiples of 8, so that nothing of this lies in two parts. */
	shunt_segment_message_write(&message,
				    backlog->ring + (backlog->end & backlog->mask));
	if (length) {
		ring_put(backlog, backlog->end + SHUNT_SEGMENT_MESSAGE, bytes, length);
		ring_put(backlog, backlog->end + SHUNT_SEGMENT_MESSAGE + length, zeros,
			 cost - SHUNT_SEGMENT_MESSAGE - length);
	}
	backlog->end += cost;
}

/* Forgets what has arrived of the ranges that were lost. */
static void drop_received(struct shunt_backlog *backlog)
{
	while (backlog->lost_n) {
		struct shunt_backlog_range *range = &backlog->lost[backlog->lost_first];
		uint64_t end = range->offset + range->length;

		if (end > backlog->received) {
			if (range->offset < backlog->received) {
				range->offset = backlog->received;
				range->length = end - backlog->received;
			}
			return;
		}
		backlog->lost_first = (backlog->lost_first + 1) & backlog->lost_mask;
		backlog->lost_n--;
	}
}

bool shunt_backlog_take(struct shunt_backlog *backlog, uint32_t max,
			struct shunt_backlog_range *range)
{
	drop_received(backlog);
	if (backlog->lost_n) {
		struct shunt_backlog_range *lost = &backlog->lost[backlog->lost_first];

		*range = *lost;
		if (range->length > max)
			range->length = max;
		lost->offset += range->length;
		lost->length -= range->length;
		if (!lost->length) {
			backlog->lost_first =
				(backlog->lost_first + 1) & backlog->lost_mask;
			backlog->lost_n--;
		}
		backlog->resent_bytes += range->length;
		return true;
	}
	range->offset = backlog->sent;
	range->length =
		backlog->end - backlog->sent < max ? backlog->end - backlog->sent : max;
	backlog->sent += range->length;
	if (backlog->sent > backlog->sent_most)
		backlog->sent_most = backlog->sent;
	else
		backlog->resent_bytes += range->length;
	return range->length;
}

void shunt_backlog_copy(const struct shunt_backlog *backlog,
			const struct shunt_backlog_range *range, uint8_t *to)
{
	uint64_t at = range->offset & backlog->mask, fit = backlog->mask + 1 - at;

	if (fit > range->length)
		fit = range->length;
	memcpy(to, backlog->ring + at, fit);
	memcpy(to + fit, backlog->ring, range->length - fit);
}

void shunt_backlog_lose(struct shunt_backlog *backlog,
			const struct shunt_backlog_range *range)
{
	struct shunt_backlog_range *last;

	/* What is beyond `sent` is to be sent again in any case. */
	if (range->offset >= backlog->sent ||
	    range->offset + range->length <= backlog->received)
		return;
	if (backlog->lost_n) {
		last = &backlog->lost[(backlog->lost_first + backlog->lost_n - 1) &
				      backlog->lost_mask];
		if (last->offset + last->length == range->offset) {
			last->length += range->length;
			return;
		}
	}
	if (backlog->lost_n > backlog->lost_mask) {
		backlog->sent = backlog->received;
		backlog->lost_n = 0;
		backlog->collapsed++;
		return;
	}
	backlog->lost[(backlog->lost_first + backlog->lost_n) & backlog->lost_mask] =
		*range;
	backlog->lost_n++;
}

bool shunt_backlog_received(struct shunt_backlog *backlog, uint32_t low)
{
	uint64_t received = shunt_segment_whole(backlog->received, low);

	if (received > backlog->sent_most)
		return false;
	if (received > backlog->received)
		backlog->received = received;
	/* All was about to be sent again, and some has arrived after all. */
	if (backlog->sent < backlog->received)
		backlog->sent = backlog->received;
	drop_received(backlog);
	return true;
}
