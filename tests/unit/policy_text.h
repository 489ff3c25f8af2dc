/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies that a test writes down: read, and compared as text. Behind cmocka.h. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/policy/policy.h"

#define HEAD "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\""

/* A policy of one rule; match: "\"dport\":53". */
#define RULE(match)                                                                    \
	HEAD ",\"rules\":[{\"name\":\"r\",\"action\":\"pass\",\"match\":{" match "}}]" \
	     "}"

static inline void show_diags(const struct shunt_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		print_error("%s %s: %s\n", diags->at[i].warning ? "warning" : "error",
			    diags->at[i].pointer, diags->at[i].message);
}

/* Reads a policy that must be sound and without warnings. */
static inline struct shunt_policy *good(const char *text)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };

	if (shunt_policy_read(&policy, text, strlen(text), NULL, &diags) || diags.n) {
		show_diags(&diags);
		fail_msg("refused: %s", text);
	}
	shunt_diags_free(&diags);
	return policy;
}

/* Reads text that must be refused with exactly this one error. */
static inline void bad(const char *text, const char *pointer, const char *part)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	int ret = shunt_policy_read(&policy, text, strlen(text), NULL, &diags);

	if (ret != -EINVAL || policy || diags.n != 1 ||
	    strcmp(diags.at[0].pointer, pointer) != 0 ||
	    !strstr(diags.at[0].message, part)) {
		show_diags(&diags);
		fail_msg("%s: wanted only \"%s\": ...%s...", text, pointer, part);
	}
	shunt_diags_free(&diags);
}

/* The rule's object from its braces, the name apart: "\"action\":\"pass\"". */
static inline char *rule_text(char *buf, size_t room, const char *inside)
{
	int n = snprintf(buf, room, HEAD ",\"rules\":[{\"name\":\"r\",%s}]}", inside);

	assert_true(n > 0 && (size_t)n < room);
	return buf;
}

static inline char *match_text(char *buf, size_t room, const char *match)
{
	int n = snprintf(buf, room, RULE("%s"), match);

	assert_true(n > 0 && (size_t)n < room);
	return buf;
}

static inline void print_spans(const struct shunt_spans *spans, char *buf, size_t room)
{
	size_t at = 0;

	*buf = 0;
	for (size_t i = 0; i < spans->n && at < room; i++)
		at += snprintf(buf + at, room - at, "%s%ju-%ju", i ? " " : "",
			       (uintmax_t)spans->at[i].lo, (uintmax_t)spans->at[i].hi);
}
