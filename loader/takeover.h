/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that take over the hooks of an instance from those that sit there. */
#pragma once

/*
 * A program has the features and the maps that it was loaded with. Where a policy needs
 * more, new programs take over before the policy is written, under the policy that
 * rules: they have what both policies need, and their maps hold what the old ones did.
 *
 *     load  ─▶  fill and pin larger maps  ─▶  each hook: pin, replace, rename the pin
 *
 * Every packet meets one program or the other, and both judge alike. A kill leaves hooks
 * with different programs at worst; the next takeover brings them together, for it looks
 * at what sits there, not at what was meant.
 */
#include "loader/instance.h"
#include "loader/tag.h"

/* What the policy needs that rules, or those that may, where one is on trial. */
uint32_t shunt_takeover_ruling(const struct shunt_instance *instance);

/*
 * What hooks need that a packet meets one after the other: SHUNT_HAS_CARRY, or 0. Those
 * are on that the record says, and those that are `wanted` (SHUNT_HOOK_MAX of them);
 * either may be NULL.
 */
uint32_t shunt_takeover_carry(const struct shunt_state *state, const bool *wanted);

/*
 * Sees to it that every hook's program has the features, and the newest of maps that
 * are large enough; with `exact`, that it has no other features either. The record's
 * program ids are brought up to date. `tag` says which XDP program it is to be, and
 * afterwards which one it has become.
 */
SHUNT_MUST_CHECK int shunt_takeover(struct shunt_instance *instance,
				    const struct shunt_needs *needs, bool exact,
				    struct shunt_tag *tag, struct shunt_err *err);

/* Ends what a killed takeover has begun, as far as that needs no new program. */
SHUNT_MUST_CHECK int shunt_takeover_recover(struct shunt_instance *instance,
					    struct shunt_err *err);
