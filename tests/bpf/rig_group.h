/* SPDX-License-Identifier: BSD-2-Clause */
/* One rig for all the tests of a program; to be included behind <cmocka.h>. */
#pragma once

#include "tests/model/rig.h"

static struct shunt_rig rig;

static int open_rig(void **ctx)
{
	struct shunt_err err;

	(void)ctx;
	if (!shunt_rig_open(&rig, &err))
		return 0;
	print_error("%s\n", err.message);
	return -1;
}

static int close_rig(void **ctx)
{
	(void)ctx;
	shunt_rig_close(&rig);
	return 0;
}

/* Which counter a rule of the ruling policy has. */
static inline uint32_t rig_counter(const char *name)
{
	const struct shunt_state_rule *found = shunt_state_rule(rig.state, name);

	assert_non_null(found);
	return found->counter;
}
