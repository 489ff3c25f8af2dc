/* SPDX-License-Identifier: BSD-2-Clause */
/* Ring buffers in their places (maps/ring.h), and who reads them. */
#pragma once

/*
 * A reader claims a place, which no other process then can, makes a ring buffer, maps it,
 * and feeds it: from then on programs write there. It starves the ring when it ends. A
 * claim ends with its process, however that ends; what a killed reader leaves in the
 * place is removed by the next one, or by the next command that changes the instance.
 */
#include "loader/maps.h"
#include "loader/state.h"
#include "user/base/err.h"

/*
 * A descriptor that holds the claim, the caller's to close; -EBUSY: another process
 * reads there. In the network namespace of the interface.
 */
SHUNT_MUST_CHECK int shunt_ring_claim(const struct shunt_maps *maps, uint32_t place,
				      struct shunt_err *err);

/* A new ring buffer, `bytes` a power of two from a page's size up; the caller's. */
SHUNT_MUST_CHECK int shunt_ring_make(uint32_t bytes, struct shunt_err *err);

/* Does any frame fit, however long? false also where that cannot be known. */
bool shunt_ring_has_room(int ring_fd);

/*
 * Puts it into a place that the caller has claimed, in front of one that is there. On
 * return no program goes by the place as it was before.
 */
SHUNT_MUST_CHECK int shunt_ring_feed(const struct shunt_maps *maps, uint32_t place,
				     int ring_fd, struct shunt_err *err);

/*
 * Takes it out. On return no program writes into it any more: what it holds is all that
 * comes.
 */
void shunt_ring_starve(const struct shunt_maps *maps, uint32_t place);

/* Is this the ring that stands in the place? */
bool shunt_ring_is_fed(const struct shunt_maps *maps, uint32_t place, int ring_fd);

/* Does a ring stand there that nobody reads? In the namespace of the interface. */
bool shunt_ring_is_dead(const struct shunt_maps *maps, uint32_t place);

/* Removes rings of consumers that the record does not name, and of dead readers. */
void shunt_rings_tidy(const struct shunt_maps *maps, const struct shunt_state *state);
