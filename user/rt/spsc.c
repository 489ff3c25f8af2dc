/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/spsc.h"

#include <errno.h>
#include <stdlib.h>

int shunt_spsc_open(struct shunt_spsc **out, const struct shunt_slots_opts *opts,
		    struct shunt_err *err)
{
	struct shunt_spsc *ring = aligned_alloc(SHUNT_CORE_APART, sizeof(*ring));
	uint32_t start;
	int ret;

	*out = NULL;
	if (!ring)
		return shunt_fail_errno(err, -ENOMEM, "make a ring");
	memset(ring, 0, sizeof(*ring));
	ret = shunt_slots_open(&ring->slots, "a ring", opts, &start, err);
	if (ret) {
		free(ring);
		return ret;
	}
	atomic_init(&ring->head, start);
	atomic_init(&ring->tail, start);
	ring->head_seen = start;
	ring->tail_seen = start;
	*out = ring;
	return 0;
}

void shunt_spsc_close(struct shunt_spsc *ring)
{
	if (!ring)
		return;
	shunt_slots_close(&ring->slots);
	free(ring);
}
