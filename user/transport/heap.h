/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames from the heap: for what is longer than the frames of a memory. */
#pragma once

#include <stdbool.h>

#include "user/rt/pool.h"

#define SHUNT_HEAP_HEADROOM 128u /* in front of data: room for all headers */

/* A frame with room for so many bytes; shunt_frames_put() frees it. False: no memory. */
bool shunt_heap_frame(struct shunt_frame *frame, uint32_t bytes);
