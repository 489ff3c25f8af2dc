// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/congestion.h"

#define INITIAL_BYTES 14720u /* RFC 9002 section 7.2 */
#define INITIAL_PACKETS 10u
#define LEAST_PACKETS 2u

void shunt_congestion_init(struct shunt_congestion *congestion, uint32_t packet_bytes,
			   uint64_t fixed_bytes)
{
	uint64_t initial = (uint64_t)INITIAL_PACKETS * packet_bytes;
	uint64_t least = (uint64_t)LEAST_PACKETS * packet_bytes;

	if (initial > INITIAL_BYTES)
		initial = INITIAL_BYTES > least ? INITIAL_BYTES : least;
	*congestion = (struct shunt_congestion){
		.window = fixed_bytes ? fixed_bytes : initial,
		.threshold = UINT64_MAX,
		.packet = packet_bytes,
		.fixed = fixed_bytes,
	};
}

static uint64_t least(const struct shunt_congestion *congestion)
{
	return (uint64_t)LEAST_PACKETS * congestion->packet;
}

void shunt_congestion_acked(struct shunt_congestion *congestion, uint64_t number,
			    uint32_t bytes, uint64_t flight_bytes)
{
	/* A window that is not made use of says nothing of the network (section 7.8). */
	if (congestion->fixed || number < congestion->recovery ||
	    2 * flight_bytes < congestion->window)
		return;
	if (congestion->window < congestion->threshold)
		congestion->window += bytes;
	else
		congestion->window +=
			(uint64_t)congestion->packet * bytes / congestion->window;
}

void shunt_congestion_lost(struct shunt_congestion *congestion, uint64_t number,
			   uint64_t next)
{
	if (congestion->fixed || number < congestion->recovery)
		return;
	congestion->recovery = next;
	congestion->window /= 2;
	if (congestion->window < least(congestion))
		congestion->window = least(congestion);
	congestion->threshold = congestion->window;
}

void shunt_congestion_collapse(struct shunt_congestion *congestion)
{
	if (!congestion->fixed)
		congestion->window = least(congestion);
}
