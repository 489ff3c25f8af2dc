/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/heap.h"

#include <stdlib.h>

/* It has none ready: how long a frame is to be, get cannot be told. */
static unsigned int get_none(struct shunt_pool *pool, struct shunt_frame *frames,
			     unsigned int n)
{
	(void)pool;
	(void)frames;
	(void)n;
	return 0;
}

static void put(struct shunt_pool *pool, const struct shunt_frame *frames,
		unsigned int n)
{
	(void)pool;
	while (n--)
		free((void *)(uintptr_t)frames[n].token); /* NOLINT: an address */
}

static const struct shunt_pool_ops heap_ops = { .get = get_none, .put = put };
static struct shunt_pool heap = { .ops = &heap_ops, .headroom = SHUNT_HEAP_HEADROOM };

bool shunt_heap_frame(struct shunt_frame *frame, uint32_t bytes)
{
	uint8_t *memory = malloc((size_t)SHUNT_HEAP_HEADROOM + bytes);

	if (!memory)
		return false;
	*frame = (struct shunt_frame){ .data = memory + SHUNT_HEAP_HEADROOM,
				       .pool = &heap,
				       .token = (uintptr_t)memory };
	return true;
}
