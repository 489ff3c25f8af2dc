/* SPDX-License-Identifier: BSD-2-Clause */
/* What is pinned under progs/ and links/ for a hook. */
#pragma once

/*
 *     progs/<hook>         its program
 *     progs/<hook>_next    the one that is about to take its place
 *     progs/<hook>_qdisc   a second pin of the program, which says of the clsact qdisc of
 *                          the interface: there was none, and we are about to make it, or
 *                          our filter in it is about to go and it with that. It goes with
 *                          the hook, or once the record says whose the qdisc is
 *     links/<hook>         the link that holds it there, where there is one
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/bpffs.h"
#include "maps/hook.h"
#include "user/base/err.h"

/* The path; suffix "", "_next" or "_qdisc". */
void shunt_hookpin_path(char path[SHUNT_PIN_MAX], const char *instance,
			enum shunt_hook hook, const char *suffix);

/* The id of the program that is pinned there; *id 0: for certain, there is none. */
SHUNT_MUST_CHECK int shunt_hookpin_ask(const char *instance, enum shunt_hook hook,
				       const char *suffix, uint32_t *id,
				       struct shunt_err *err);

void shunt_hookpin_link_path(char path[SHUNT_PIN_MAX], const char *instance,
			     enum shunt_hook hook);

/*
 * The id of the program in the link that is pinned there; *id 0: for certain, no link is.
 * *sits: is the link on its interface still?
 */
SHUNT_MUST_CHECK int shunt_hookpin_ask_link(const char *instance, enum shunt_hook hook,
					    uint32_t *id, bool *sits,
					    struct shunt_err *err);

/* Pins the program of the hook as its note of the qdisc. */
SHUNT_MUST_CHECK int shunt_hookpin_note_qdisc(const char *instance,
					      enum shunt_hook hook,
					      struct shunt_err *err);
