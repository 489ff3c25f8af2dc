/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that must go on passing: those of the session that a command comes from. */
#pragma once

/*
 * A policy under which the caller's own session were dropped, or handed to somebody else,
 * locks the caller out. So both directions of the session are packets that every policy
 * is asked about before it rules, by test runs of the programs that will judge them:
 * what comes in at all hooks but tc-egress, what goes out there.
 *
 * A session of SSH counts for an interface that has the server's address, or by which
 * the route to the client leads; of a link-local address its scope says by which. Where
 * no interface of the network namespace has that address, it does not count.
 */
#include <stddef.h>

#include "loader/explain.h"
#include "maps/hook.h"

#define SHUNT_GUARD_WORDS 192

struct shunt_guard_packet {
	char what[SHUNT_GUARD_WORDS];
	uint8_t *frame[2];
	int bytes[2]; /* in, out */
};

struct shunt_guard {
	struct shunt_guard_packet *at;
	size_t n;
};

/*
 * `session` is what sshd puts into SSH_CONNECTION ("CLIENT PORT SERVER PORT"; NULL: none),
 * `protect` are descriptions such as "src=192.0.2.1,dst=192.0.2.2,proto=tcp,dport=22", in
 * the words of a match, of what comes in. The caller frees, also after a failure.
 */
SHUNT_MUST_CHECK int shunt_guard_make(struct shunt_guard *guard, const char *interface,
				      const char *session, const char *const *protect,
				      size_t protects, struct shunt_err *err);
/* Fine on a zeroed one. */
void shunt_guard_free(struct shunt_guard *guard);

/* -EACCES: the policy that is explained stops one of them at its hook; by which rule. */
SHUNT_MUST_CHECK int shunt_guard_check(const struct shunt_guard *guard,
				       struct shunt_explain *explain,
				       struct shunt_err *err);
