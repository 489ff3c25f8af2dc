/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames on their way into a port: what a full port does not take waits here. */
#pragma once

#include "user/apps/app.h"

struct shunt_lane {
	struct shunt_app *app;
	struct shunt_port *port;
	unsigned int at; /* the first one that waits */
	unsigned int n;	 /* how many do */
	bool owed;	 /* the port has frames of ours: kick it once in a while */
	struct shunt_frame frame[SHUNT_BURST];
};

/* Is there room for a burst? It goes to lane->frame, and its size to lane->n. */
static inline bool shunt_lane_is_empty(const struct shunt_lane *lane)
{
	return !lane->n;
}

/* Hands over what waits: how many frames the port took, or -errno. */
SHUNT_MUST_CHECK int shunt_lane_send(struct shunt_lane *lane, struct shunt_err *err);

/* Nothing was to be done: brings transmitted frames home. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_lane_settle(struct shunt_lane *lane, struct shunt_err *err);

/* Gives back what waits; how many packets that were. */
unsigned int shunt_lane_abandon(struct shunt_lane *lane);

/* How many packets end in n frames. */
static inline unsigned int shunt_packets_in(const struct shunt_frame *frames,
					    unsigned int n)
{
	unsigned int i, packets = 0;

	for (i = 0; i < n; i++)
		packets += !(frames[i].flags & SHUNT_FRAME_MORE);
	return packets;
}
