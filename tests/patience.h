/* SPDX-License-Identifier: BSD-2-Clause */
/* How much longer than usual a deadline of the tests is. */
#pragma once

#include <stdlib.h>

/* Times; SHUNT_PATIENCE says it, which is for emulated machines. */
static inline unsigned int patience(void)
{
	const char *said = getenv("SHUNT_PATIENCE");
	unsigned long times = said ? strtoul(said, NULL, 10) : 0;

	return times ? (unsigned int)times : 1;
}
