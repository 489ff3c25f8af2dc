/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is done with a packet, whatever the hook calls it. */
#pragma once

/*
 * Values are explicit and append-only: they index counters and stand in images.
 * A rule's action is a verdict, or COUNT, which counts and goes on to the next rule.
 */
#define SHUNT_VERDICTS(X)                                                              \
	X(PASS, 0, "pass", "on to the kernel's stack")                                 \
	X(DROP, 1, "drop", "discarded")                                                \
	X(TX, 2, "tx",                                                                 \
	  "back out of the interface it came from, MAC addresses swapped")             \
	X(INTERFACE, 3, "redirect-interface", "out of another interface")              \
	X(CPU, 4, "redirect-cpu", "on to the stack, on another CPU")                   \
	X(CONSUMER, 5, "redirect-consumer", "into a consumer's AF_XDP socket or ring")

enum shunt_verdict {
#define X(id, value, name, help) SHUNT_VERDICT_##id = value,
	SHUNT_VERDICTS(X)
#undef X
		SHUNT_ACTION_COUNT = 7,
};

#define SHUNT_VERDICT_MAX 8 /* exclusive bound of the values above */
