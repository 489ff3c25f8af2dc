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

/* What a rule wants that not every hook can do. */
struct shunt_reply_rule {
	const char *name;
	unsigned int action;
	const char *sockets; /* consumer whose sockets it redirects into; NULL: none */
	const char *mirror;  /* interface that it copies packets to; NULL: none */
};

/* Can the hook not do that? Then `why` says so, and what becomes of the packets. */
bool shunt_reply_cannot(struct shunt_err *why, enum shunt_hook hook,
			const struct shunt_reply_rule *rule);

/* Warns of rules whose action one of the attached hooks cannot do. */
void shunt_reply_warn_hooks(cJSON *reply, const struct shunt_state *state);
