/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/mpsc.h"

#include <errno.h>
#include <stdlib.h>

int shunt_mpsc_open(struct shunt_mpsc **out, const struct shunt_slots_opts *opts,
		    struct shunt_err *err)
{
	struct shunt_mpsc *ring = aligned_alloc(SHUNT_CORE_APART, sizeof(*ring));
	uint32_t start;
	int ret;

	*out = NULL;
	if (!ring)
		return shunt_fail_errno(err, -ENOMEM, "make a ring");
	memset(ring, 0, sizeof(*ring));
	ret = shunt_slots_open(&ring->slots, "a ring", opts, &start, err);
	if (ret) {
		shunt_mpsc_close(ring);
		return ret;
	}
	ring->marks = calloc(ring->slots.mask + 1, sizeof(*ring->marks));
	if (!ring->marks) {
		shunt_mpsc_close(ring);
		return shunt_fail_errno(err, -ENOMEM, "make a ring");
	}
	atomic_init(&ring->head, start);
	atomic_init(&ring->tail, start);
	atomic_init(&ring->tail_seen, start);
	ring->seen = start;
	*out = ring;
	return 0;
}

void shunt_mpsc_close(struct shunt_mpsc *ring)
{
	if (!ring)
		return;
	shunt_slots_close(&ring->slots);
	free(ring->marks);
	free(ring);
}
