/* SPDX-License-Identifier: BSD-2-Clause */
/* What every backend needs of user/io/port.h, plug-ins too: apart from the list of them. */
#include <stdio.h>
#include <string.h>

#include "user/io/port.h"

void shunt_port_init(struct shunt_port *port, const struct shunt_port_ops *ops,
		     const struct shunt_spec *spec)
{
	port->ops = ops;
	snprintf(port->name, sizeof(port->name), "%s:%.*s", spec->scheme,
		 (int)(sizeof(port->name) - sizeof(spec->scheme) - 1), spec->device);
}

uint32_t shunt_packet_copy(uint8_t *to, const struct shunt_frame *frames,
			   unsigned int n)
{
	uint32_t bytes = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		memcpy(to + bytes, frames[i].data, frames[i].len);
		bytes += frames[i].len;
	}
	return bytes;
}

unsigned int shunt_packet_frames(const struct shunt_frame *frames, unsigned int n,
				 uint32_t *bytes)
{
	unsigned int i;

	*bytes = 0;
	for (i = 0; i < n; i++) {
		*bytes += frames[i].len;
		if (!(frames[i].flags & SHUNT_FRAME_MORE))
			return i + 1;
	}
	return 0;
}

unsigned int shunt_packet_fill(struct shunt_pool *pool, const uint8_t *bytes,
			       uint32_t len, struct shunt_frame *frames,
			       unsigned int max)
{
	unsigned int n = len > pool->room ? (len + pool->room - 1) / pool->room : 1;
	unsigned int i, got = n <= max ? shunt_pool_get(pool, frames, n) : 0;

	if (got < n) {
		shunt_frames_put(frames, got);
		return 0;
	}
	for (i = 0; i < n; i++) {
		frames[i].len = len < pool->room ? len : pool->room;
		frames[i].flags = i + 1 < n ? SHUNT_FRAME_MORE : 0;
		memcpy(frames[i].data, bytes, frames[i].len);
		bytes += frames[i].len;
		len -= frames[i].len;
	}
	return n;
}

/* --- what a port cannot do -------------------------------------------------------------- */

unsigned int shunt_port_tx_none(struct shunt_port *port, struct shunt_frame *frames,
				unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		port->count.tx_refused += !(frames[i].flags & SHUNT_FRAME_MORE);
	shunt_frames_put(frames, n);
	return n;
}
