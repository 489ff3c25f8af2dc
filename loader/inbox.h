/* SPDX-License-Identifier: BSD-2-Clause */
/* The program that puts what comes to a door into an inbox (bpf/inbox.bpf.c). */
#pragma once

#include <stdint.h>

#include "maps/door.h"
#include "maps/inbox.h"
#include "user/base/err.h"

struct shunt_inbox_program;

struct shunt_inbox_program_opts {
	size_t sz;
	const char *interface;
	int tc;			/* in the hook tc-ingress, not xdp; takes Linux 6.6 */
	const char *mode;	/* of XDP: NULL or "auto"; "native", "generic" */
	struct shunt_door door; /* port and addresses; the MAC address is found */
	uint32_t bytes;		/* of the ring buffer: a power of two, in pages */
};

/*
 * It sits there until close, or the death of the process. Another owner's program stays:
 * -EBUSY, with whose it is.
 */
SHUNT_MUST_CHECK int shunt_inbox_program_open(
	struct shunt_inbox_program **program,
	const struct shunt_inbox_program_opts *opts, struct shunt_err *err);

/* NULL is fine. */
void shunt_inbox_program_close(struct shunt_inbox_program *program);

/* "native", "generic" or "tcx". */
const char *shunt_inbox_program_mode(const struct shunt_inbox_program *program);

/* For user/io/inbox.h; they stay the program's. */
int shunt_inbox_program_ring(const struct shunt_inbox_program *program);
int shunt_inbox_program_losses(const struct shunt_inbox_program *program);
struct shunt_inbox_state *shunt_inbox_program_state(
	const struct shunt_inbox_program *program);
