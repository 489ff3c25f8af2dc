/* SPDX-License-Identifier: BSD-2-Clause */
/* The round-trip time, as RFC 9002 section 5 estimates it (and RFC 6298 before it). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct shunt_rtt {
	uint64_t smoothed_ns;
	uint64_t var_ns; /* mean deviation */
	uint64_t least_ns;
	uint64_t latest_ns;
	bool measured;
};

/* `guess_ns`: until one is measured. */
static inline void shunt_rtt_init(struct shunt_rtt *rtt, uint64_t guess_ns)
{
	*rtt = (struct shunt_rtt){ .smoothed_ns = guess_ns, .var_ns = guess_ns / 2 };
}

/* `delay_ns` of it the peer says that it waited, before it acknowledged. */
static inline void shunt_rtt_sample(struct shunt_rtt *rtt, uint64_t latest_ns,
				    uint64_t delay_ns)
{
	uint64_t off;

	rtt->latest_ns = latest_ns;
	if (!rtt->measured) {
		*rtt = (struct shunt_rtt){ latest_ns, latest_ns / 2, latest_ns,
					   latest_ns, true };
		return;
	}
	if (latest_ns < rtt->least_ns)
		rtt->least_ns = latest_ns;
	/* A peer that exaggerates must not make the way shorter than it ever was. */
	if (latest_ns >= rtt->least_ns + delay_ns)
		latest_ns -= delay_ns;
	off = rtt->smoothed_ns > latest_ns ? rtt->smoothed_ns - latest_ns
					   : latest_ns - rtt->smoothed_ns;
	rtt->var_ns = (3 * rtt->var_ns + off) / 4;
	rtt->smoothed_ns = (7 * rtt->smoothed_ns + latest_ns) / 8;
}

/* After this long an acknowledgement should have come (RFC 9002 section 6.2.1). */
static inline uint64_t shunt_rtt_timeout(const struct shunt_rtt *rtt,
					 uint64_t granularity_ns, uint64_t delay_ns)
{
	uint64_t slack = 4 * rtt->var_ns;

	if (slack < granularity_ns)
		slack = granularity_ns;
	return rtt->smoothed_ns + slack + delay_ns;
}

/* A packet is lost if one that was sent so much later has come (section 6.1.2). */
static inline uint64_t shunt_rtt_reorder(const struct shunt_rtt *rtt,
					 uint64_t granularity_ns)
{
	uint64_t most =
		rtt->latest_ns > rtt->smoothed_ns ? rtt->latest_ns : rtt->smoothed_ns;

	most += most / 8;
	return most > granularity_ns ? most : granularity_ns;
}
