/* SPDX-License-Identifier: BSD-2-Clause */
/* The kinds of random policies that the classifier and the programs are tried with. */
#pragma once

/*
 *     X(ENUM, name, share of all packets in percent, packets a policy)
 *
 * A policy costs tens of milliseconds to put in force, one of 16,384 rules a second,
 * and its packets are walked through all rules by the model: hence the numbers.
 */
#include "tests/model/author.h"

#define SHUNT_KINDS(X)                                                                 \
	X(FEW, "few", 65, 3000)	  /* 0 to 256 rules, all keys */                       \
	X(MANY, "many", 17, 4000) /* 257 to 2,000 rules, all keys */                   \
	X(ACL, "acl", 6, 12000)	  /* access lists, 1,000 to 16,384 rules */            \
	X(FW, "fw", 6, 12000)	  /* firewalls */                                      \
	X(IPC, "ipc", 6, 12000)	  /* IP chains */

enum shunt_kind {
#define X(id, name, share, packets) SHUNT_KIND_##id,
	SHUNT_KINDS(X)
#undef X
		SHUNT_KIND_COUNT,
};

struct shunt_kind_row {
	const char *name;
	uint32_t share, packets;
};

/* enum shunt_author_part: what the programs cannot do yet. */
#define SHUNT_KIND_WITHOUT 0

extern const struct shunt_kind_row shunt_kind_rows[SHUNT_KIND_COUNT];

/*
 * A policy of this kind, malloced; `author` says what it may contain, its `from` and
 * `rules` do not matter.
 */
char *shunt_kind_write(enum shunt_kind kind, const struct shunt_author *author);
