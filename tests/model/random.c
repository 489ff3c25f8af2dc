/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/random.h"

#include <stdlib.h>
#include <time.h>

static uint64_t from_environment(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : fallback;
}

uint64_t shunt_random_seed(uint64_t fallback)
{
	return from_environment("SHUNT_SEED", fallback);
}

uint64_t shunt_random_cases(uint64_t fallback)
{
	return from_environment("SHUNT_CASES", fallback);
}

bool shunt_random_is_late(void)
{
	uint64_t seconds = from_environment("SHUNT_SECONDS", 0);
	static struct timespec first;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!first.tv_sec)
		first = now;
	return seconds && (uint64_t)(now.tv_sec - first.tv_sec) >= seconds;
}
