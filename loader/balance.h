/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger: every packet that a hook was offered is in one place, and the places add up. */
#pragma once

/*
 * Which number comes from whom. What is counted twice, by two that do not know of each
 * other, can be held against each other; the equations below are those pairs.
 *
 *     program, at its exit      cells: packets by reason and verdict (maps/counter.h)
 *     program, as it judges     rules: packets by the rule that decides
 *     program, as it redirects  handed: packets by consumer and queue (maps/handed.h)
 *     watch, on tracepoints     losses, by place and errno; frames that interfaces and
 *                               CPU queues accepted; frames that CPUs took (maps/watch.h)
 *     consumer                  received, discarded (maps/seat.h)
 *
 *     offered            = sum of the cells, by definition; and
 *     rules              = cells of the reasons that follow a rule       (each hook)
 *     to interfaces      = losses + accepted                             (XDP, native)
 *     to CPUs            = losses + queued;   queued = taken + waiting   (XDP)
 *     to consumers       = sum of handed                                 (each hook)
 *     handed             = losses + received + discarded + lost + waiting  (each seat)
 *
 * Where a packet can be as we read. In a bulk of the driver, on its way to an interface or
 * a CPU: for less than a poll of the queue, and in no number of ours. In a CPU's queue or a
 * consumer's ring: "waiting", the difference of two numbers, at most what the ring holds.
 * With a consumer that died: "lost", the same difference where nobody has a claim on the
 * seat; the next consumer writes it down before it is fed. A seat that was left in order
 * has nothing waiting: any difference there is a fault.
 *
 * A reading takes long enough for packets to go by. Everything is read twice: if nothing
 * has changed, both are the state at one moment, and must balance exactly. Otherwise the
 * ledger was read in motion ("moving"); numbers are read against the stream, what comes
 * last on the way first, so that packets that went by make a difference of at most their
 * number, and of what is in the driver's bulks: "tolerance". A few tries are made to find
 * it at rest.
 *
 * What cannot be known is said, not guessed. Without the watch ("watch": known false) the
 * consumers' own statistics stand in for losses, interfaces and CPUs have nothing to be
 * held against, and what a consumer lost before it died is "lost" with it. TC tells nothing
 * about a frame that it has given to an interface; nor does generic XDP.
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/counters.h"
#include "loader/instance.h"
#include "loader/seat.h"

/* One reading of everything. */
struct shunt_reading {
	struct shunt_ledger counted;
	struct shunt_flow flow;
	uint64_t rules[SHUNT_HOOK_MAX]; /* what the rules of all policies decided */
};

struct shunt_hook_sums {
	uint64_t offered, decided; /* decided: by rules, as the cells have it */
	uint64_t verdict[SHUNT_VERDICT_MAX];
	uint64_t handed;
};

SHUNT_MUST_CHECK int shunt_reading_take(struct shunt_reading *reading,
					const struct shunt_instance *instance,
					struct shunt_err *err);
void shunt_reading_free(struct shunt_reading *reading);

/* Has anything been counted between them? */
bool shunt_reading_same(const struct shunt_reading *a, const struct shunt_reading *b);

/* Packets of a cell. */
uint64_t shunt_reading_cell(const struct shunt_reading *reading, uint32_t hook,
			    uint32_t reason, uint32_t verdict);

struct shunt_hook_sums shunt_reading_hook(const struct shunt_reading *reading,
					  uint32_t hook);

/* Losses of one kind; where is SHUNT_LOSS_COUNT: of all. */
uint64_t shunt_reading_losses(const struct shunt_reading *reading, uint32_t where);
