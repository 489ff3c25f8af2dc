/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports over a BPF ring buffer: what a program says of a frame comes with it. */
#pragma once

#include <stddef.h>

#include "maps/ring.h"
#include "user/rt/frame.h"

/* NULL where it came from a port of another kind. */
static inline const struct shunt_ring_event *shunt_frame_event(
	const struct shunt_frame *frame)
{
	if (!(frame->flags & SHUNT_FRAME_EVENT))
		return NULL;
	return (const struct shunt_ring_event *)(const void *)frame->data - 1;
}
