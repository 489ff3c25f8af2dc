/* SPDX-License-Identifier: BSD-2-Clause */
/* The watch of an instance: what becomes of packets behind the program's verdict. */
#pragma once

/*
 * bpf/watch.bpf.c hangs on tracepoints of the whole machine, a copy of it for each
 * instance whose XDP program redirects or sends back, its maps and links pinned in the
 * instance's folder:
 *
 *     maps/watch, maps/loss      what it counts
 *     links/watch_<tracepoint>   what holds the programs
 *
 * A copy each, not one for all: then a watch leaves with the folder like every other pin,
 * no two writers share one, and no count of users can go wrong when one is killed. The
 * price is that an event of one interface runs the others' copies as far as their first
 * comparison; events are lost packets and bulks, and instances are few.
 *
 * It begins before the first packet can be redirected (attach: before the hook; apply:
 * before the policy rules) and stays until the instance goes, so that its sums are whole.
 * A kill in between leaves some links; the next start makes the rest. A kernel that
 * refuses it is no failure of the attach: the errno is kept, the ledger says so, and the
 * watch is not tried again, for its sums would not be whole.
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/instance.h"
#include "maps/watch.h"
#include "user/base/err.h"

struct shunt_losses {
	struct shunt_loss key[SHUNT_LOSS_MAX];
	uint64_t packets[SHUNT_LOSS_MAX];
	size_t count;
};

/* Does a record's policy do with packets what only the watch sees the end of? */
bool shunt_watch_is_due(const struct shunt_state *state);

/*
 * Starts the watch where it is due under `state` and not there yet. Under the lock, once
 * the folders and the maps of the XDP program are there. A refusal leaves a sentence in
 * `note`, else empty, and is no failure.
 */
void shunt_watch_start(struct shunt_instance *instance, const struct shunt_state *state,
		       struct shunt_err *note);

/* XDP runs in generic mode, in which the kernel does not tell what was sent. */
void shunt_watch_note_generic(const struct shunt_maps *maps);

/*
 * Is it whole? Else `why` says why not. *missed: events that came while one of its
 * programs ran on the same CPU, which the kernel then leaves out.
 */
bool shunt_watch_is_whole(const struct shunt_instance *instance, uint64_t *missed,
			  struct shunt_err *why);

/* What it has counted; all zero where there is none. */
SHUNT_MUST_CHECK int shunt_watch_read(const struct shunt_maps *maps,
				      uint64_t sum[SHUNT_WATCH_COUNT],
				      struct shunt_losses *losses,
				      struct shunt_err *err);

/* "ring-full", "down", …: what an errno means there. */
const char *shunt_loss_name(const struct shunt_loss *loss);
