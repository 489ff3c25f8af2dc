/* SPDX-License-Identifier: BSD-2-Clause */
/* What a measured message says, and whether it came back as it went. */
#pragma once

/*
 *     number (8 bytes) │ bytes of a pattern, from a place that the number tells
 *
 * So a reply that belongs to another request, or of which a part has been overwritten by
 * another message, is noticed at the cost of one memcmp().
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SHUNT_BENCH_SIZE_MIN 16u
#define SHUNT_BENCH_SIZE_MAX 65536u

/* Channels that tell the server what to do with a message. */
enum shunt_bench_channel {
	SHUNT_BENCH_ECHO, /* send it back */
	SHUNT_BENCH_SINK, /* look at it and count it */
	SHUNT_BENCH_ASK, /* answer with a struct shunt_bench_answer behind the number */
};

/* In network order, as the server may be another machine. */
struct shunt_bench_answer {
	uint64_t number;   /* of the question, as it came */
	uint64_t messages; /* on SHUNT_BENCH_SINK, since it was started */
	uint64_t wrong;	   /* others' bytes in them */
	uint64_t cpu_ns;   /* of the server's process */
};

extern uint8_t shunt_bench_pattern[64 + SHUNT_BENCH_SIZE_MAX];

/* Once a process, before the first message. */
void shunt_bench_pattern_make(void);

static inline void shunt_bench_fill(uint8_t *to, uint32_t size, uint64_t number)
{
	memcpy(to, &number, sizeof(number));
	memcpy(to + sizeof(number), shunt_bench_pattern + (number & 63),
	       size - sizeof(number));
}

/* Reads the number; false: these bytes were never sent so. */
static inline bool shunt_bench_check(const uint8_t *at, uint32_t len, uint64_t *number)
{
	if (len < SHUNT_BENCH_SIZE_MIN || len > SHUNT_BENCH_SIZE_MAX)
		return false;
	memcpy(number, at, sizeof(*number));
	return !memcmp(at + sizeof(*number), shunt_bench_pattern + (*number & 63),
		       len - sizeof(*number));
}
