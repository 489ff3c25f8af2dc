/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/slots.h"

#include <errno.h>
#include <stdlib.h>

int shunt_slots_open(struct shunt_slots *slots, const char *noun,
		     const struct shunt_slots_opts *opts, uint32_t *start,
		     struct shunt_err *err)
{
	struct shunt_slots_opts given = { 0 };
	size_t bytes;

	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	if (!given.slots)
		given.slots = SHUNT_SLOTS;
	if (!given.bytes)
		given.bytes = sizeof(struct shunt_frame);
	if (given.slots & (given.slots - 1) || given.slots > SHUNT_SLOTS_MAX)
		return shunt_fail(err, -EINVAL,
				  "%s of %u slots: it takes a power of two, up to %u",
				  noun, given.slots, SHUNT_SLOTS_MAX);
	if (given.bytes > SHUNT_SLOTS_BYTES_MAX)
		return shunt_fail(
			err, -EINVAL,
			"%s of elements of %u bytes: they may have %u; let it "
			"carry pointers or frames",
			noun, given.bytes, SHUNT_SLOTS_BYTES_MAX);
	bytes = ((size_t)given.slots * given.bytes + SHUNT_SLOTS_APART - 1) /
		SHUNT_SLOTS_APART * SHUNT_SLOTS_APART;
	slots->at = aligned_alloc(SHUNT_SLOTS_APART, bytes);
	if (!slots->at)
		return shunt_fail_errno(err, -ENOMEM, "%s of %u slots", noun,
					given.slots);
	/* Written now, so that no page is missing when it matters. */
	memset(slots->at, 0, bytes);
	slots->mask = given.slots - 1;
	slots->bytes = given.bytes;
	*start = given.start;
	return 0;
}

void shunt_slots_close(struct shunt_slots *slots)
{
	free(slots->at);
	slots->at = NULL;
}
