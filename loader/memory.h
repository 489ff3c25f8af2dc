/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy takes of the kernel's memory, reckoned without asking the kernel. */
#pragma once

#include "loader/maps.h"
#include "loader/policy/policy.h"

/*
 * All in bytes. Images and counters are exact. The others are what the kernel's maps
 * take at most, from its own layout of their elements: tests compare that with what is
 * charged. Programs, and what every instance has, are not in it: less than 1 MiB.
 */
struct shunt_memory {
	uint64_t image;	   /* both slots */
	uint64_t counters; /* on as many CPUs as this machine can have */
	uint64_t sets;
	uint64_t limits;
	uint64_t rings;
	uint64_t record; /* what is remembered: the policy's text, and its rules */
	uint64_t total;
};

void shunt_memory_reckon(struct shunt_memory *memory, const struct shunt_policy *policy,
			 const struct shunt_needs *needs);

/* One set, IPv4 and IPv6. */
uint64_t shunt_memory_set(const struct shunt_policy_set *set);

/* What this machine has left, as /proc/meminfo has it; 0: it does not say. */
uint64_t shunt_memory_available(void);
