/* SPDX-License-Identifier: BSD-2-Clause */
/* What this kernel and an interface can do, found by trying. */
#pragma once

/*
 * Each feature is a row: its name, a test, and why it matters or what falls back. The
 * kernel's are tried on a pair of veths in a network namespace of their own
 * (loader/sandbox.h); an interface is only asked, and never changed.
 */
#include "loader/nic.h"

enum shunt_probe_answer {
	SHUNT_PROBE_NO,
	SHUNT_PROBE_YES,
	SHUNT_PROBE_UNKNOWN,
};

#define SHUNT_PROBE_DETAIL 512 /* room for a sentence and its NUL */

/* What the sandbox has shown; each is 0, or -errno of what was tried. */
struct shunt_probe_tried {
	int made; /* the sandbox itself */
	int native, generic, frags, tcx, clsact, netfilter;
	int xsk_late;  /* to map a ring of an AF_XDP socket that is bound */
	int xsk_frags; /* to bind one for packets in several frames */
};

/* Fills in what is about AF_XDP sockets, on two interfaces (loader/probe_xsk.c). */
void shunt_probe_xsk(unsigned int ifindex, unsigned int peer,
		     struct shunt_probe_tried *tried);

struct shunt_probe {
	struct shunt_probe_tried tried;
	struct shunt_nic nic; /* name "": none was asked for */
};

struct shunt_probe_row {
	const char *name;
	const char *matters;
	enum shunt_probe_answer (*test)(const struct shunt_probe *probe,
					char detail[SHUNT_PROBE_DETAIL]);
};

/* Of the kernel, and of an interface; each ends with a row without a name. */
extern const struct shunt_probe_row shunt_probe_kernel[];
extern const struct shunt_probe_row shunt_probe_nic[];
