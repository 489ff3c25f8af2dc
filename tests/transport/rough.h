/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends in namespaces of their own, and an impaired wire between them, for C tests. */
#pragma once

/*
 *     end 0: a0 ═════ m0 ── impair ── m1 ═════ end 1: b0
 *
 * 192.0.2.1 and 2001:db8::1 on a0, .2 and ::2 on b0; neighbours are known. The process needs
 * no namespace of its own, and nothing is left behind: the three go with their descriptors
 * and with the sockets in them. A thread enters an end to open what belongs there, and
 * leaves again.
 */
#include "tests/transport/impair.h"

#define ROUGH_ENDS 2
#define ROUGH_IP4(end) ((end) ? "192.0.2.2" : "192.0.2.1")
#define ROUGH_IP6(end) ((end) ? "2001:db8::2" : "2001:db8::1")
#define ROUGH_INTERFACE(end) ((end) ? "b0" : "a0")

struct rough {
	int own; /* the namespace that the opener came from */
	int mid;
	int end[ROUGH_ENDS];
	struct impair *impair; /* rates[0]: for what end 0 sends */
};

/* opts->interface is not looked at. Fails the process where it can't: tests only. */
void rough_open(struct rough *rough, const struct impair_opts *opts);
void rough_close(struct rough *rough);

/* Moves the calling thread to an end's namespace, and back. */
void rough_enter(const struct rough *rough, unsigned int end);
void rough_leave(const struct rough *rough);
