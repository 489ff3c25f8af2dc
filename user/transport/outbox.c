// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/segment.h"

int shunt_outbox_open(struct shunt_outbox *outbox, uint64_t bytes, uint32_t ranges,
		      uint64_t start)
{
	*outbox = (struct shunt_outbox){
		.ring = malloc(bytes),
		.mask = bytes - 1,
		.lost = malloc(ranges * sizeof(*outbox->lost)),
		.lost_mask = ranges - 1,
		.received = start,
		.sent = start,
		.sent_most = start,
		.end = start,
	};
	return outbox->ring && outbox->lost ? 0 : -ENOMEM;
}

void shunt_outbox_close(struct shunt_outbox *outbox)
{
	free(outbox->ring);
	free(outbox->lost);
}

static void ring_put(struct shunt_outbox *outbox, uint64_t offset, const void *bytes,
		     uint32_t length)
{
	uint64_t at = offset & outbox->mask, fit = outbox->mask + 1 - at;

	if (fit > length)
		fit = length;
	memcpy(outbox->ring + at, bytes, fit);
	memcpy(outbox->ring, (const uint8_t *)bytes + fit, length - fit);
}

void shunt_outbox_put(struct shunt_outbox *outbox, uint16_t channel, const void *bytes,
		      uint32_t length)
{
	static const uint8_t zeros[SHUNT_SEGMENT_MESSAGE];
	const struct shunt_segment_message message = { length, channel };
	uint32_t cost = shunt_segment_cost(length);

	/* Messages begin at multiples of 8, so that nothing of this lies in two parts. */
	shunt_segment_message_write(&message,
				    outbox->ring + (outbox->end & outbox->mask));
	if (length) {
		ring_put(outbox, outbox->end + SHUNT_SEGMENT_MESSAGE, bytes, length);
		ring_put(outbox, outbox->end + SHUNT_SEGMENT_MESSAGE + length, zeros,
			 cost - SHUNT_SEGMENT_MESSAGE - length);
	}
	outbox->end += cost;
}

/* Forgets what has arrived of the ranges that were lost. */
static void drop_received(struct shunt_outbox *outbox)
{
	while (outbox->lost_n) {
		struct shunt_outbox_range *range = &outbox->lost[outbox->lost_first];
		uint64_t end = range->offset + range->length;

		if (end > outbox->received) {
			if (range->offset < outbox->received) {
				range->offset = outbox->received;
				range->length = end - outbox->received;
			}
			return;
		}
		outbox->lost_first = (outbox->lost_first + 1) & outbox->lost_mask;
		outbox->lost_n--;
	}
}

bool shunt_outbox_take(struct shunt_outbox *outbox, uint32_t max,
		       struct shunt_outbox_range *range)
{
	drop_received(outbox);
	if (outbox->lost_n) {
		struct shunt_outbox_range *lost = &outbox->lost[outbox->lost_first];

		*range = *lost;
		if (range->length > max)
			range->length = max;
		lost->offset += range->length;
		lost->length -= range->length;
		if (!lost->length) {
			outbox->lost_first =
				(outbox->lost_first + 1) & outbox->lost_mask;
			outbox->lost_n--;
		}
		outbox->resent_bytes += range->length;
		return true;
	}
	range->offset = outbox->sent;
	range->length =
		outbox->end - outbox->sent < max ? outbox->end - outbox->sent : max;
	outbox->sent += range->length;
	if (outbox->sent > outbox->sent_most)
		outbox->sent_most = outbox->sent;
	else
		outbox->resent_bytes += range->length;
	return range->length;
}

void shunt_outbox_copy(const struct shunt_outbox *outbox,
		       const struct shunt_outbox_range *range, uint8_t *to)
{
	uint64_t at = range->offset & outbox->mask, fit = outbox->mask + 1 - at;

	if (fit > range->length)
		fit = range->length;
	memcpy(to, outbox->ring + at, fit);
	memcpy(to + fit, outbox->ring, range->length - fit);
}

void shunt_outbox_lose(struct shunt_outbox *outbox,
		       const struct shunt_outbox_range *range)
{
	struct shunt_outbox_range *last;

	/* What is beyond `sent` is to be sent again in any case. */
	if (range->offset >= outbox->sent ||
	    range->offset + range->length <= outbox->received)
		return;
	if (outbox->lost_n) {
		last = &outbox->lost[(outbox->lost_first + outbox->lost_n - 1) &
				     outbox->lost_mask];
		if (last->offset + last->length == range->offset) {
			last->length += range->length;
			return;
		}
	}
	if (outbox->lost_n > outbox->lost_mask) {
		outbox->sent = outbox->received;
		outbox->lost_n = 0;
		outbox->collapsed++;
		return;
	}
	outbox->lost[(outbox->lost_first + outbox->lost_n) & outbox->lost_mask] =
		*range;
	outbox->lost_n++;
}

bool shunt_outbox_received(struct shunt_outbox *outbox, uint32_t low)
{
	uint64_t received = shunt_segment_whole(outbox->received, low);

	if (received > outbox->sent_most)
		return false;
	if (received > outbox->received)
		outbox->received = received;
	/* All was about to be sent again, and some has arrived after all. */
	if (outbox->sent < outbox->received)
		outbox->sent = outbox->received;
	drop_received(outbox);
	return true;
}
