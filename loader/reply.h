/* SPDX-License-Identifier: BSD-2-Clause */
/* What the answers of several commands have in common. */
#pragma once

#include <cjson/cJSON.h>

#include "loader/policy/policy.h"
#include "loader/state.h"

/* {"schema", "interface", "netns", "generation"} of an instance. */
cJSON *shunt_reply_new(const char *schema, const struct shunt_state *state);

/* Adds "hooks": [{"hook", "mode", "program"}] of those that are attached. */
cJSON *shunt_reply_hooks(cJSON *reply, const struct shunt_state *state);

/* Appends a sentence to the array "warnings", which is made where it is missing. */
void shunt_reply_warn(cJSON *reply, const char *fmt, ...) SHUNT_PRINTF(2, 3);

/* Copies "warnings" from one object to the end of another's, which has them then. */
void shunt_reply_warnings(cJSON *reply, const cJSON *from);

/* What a rule does, as far as a hook may be unable to. */
struct shunt_reply_deed {
	const char *rule;
	unsigned int action;
	const char *target; /* the consumer's or the interface's name */
	bool sockets;	    /* the consumer is served by AF_XDP sockets */
	const char *mirror; /* the interface that copies go to; NULL: none */
	bool rewrites;	    /* it changes headers */
};

/*
 * Is this something that the hook cannot do? Then `why` is the sentence about the rule,
 * and what becomes of its packets.
 */
bool shunt_reply_cannot(struct shunt_err *why, enum shunt_hook hook,
			const struct shunt_reply_deed *deed);

/* The key of the rule that this is about: "action", "mirror" or "rewrite". */
const char *shunt_reply_cannot_key(enum shunt_hook hook,
				   const struct shunt_reply_deed *deed);

/* Warns of rules whose action one of the attached hooks cannot do. */
void shunt_reply_warn_hooks(cJSON *reply, const struct shunt_state *state);
