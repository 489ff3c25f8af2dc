/* SPDX-License-Identifier: BSD-2-Clause */
/* A decision that was wrong once: a policy, a frame, and what is right. */
#pragma once

/*
 *     {
 *         "why": "what was wrong",
 *         "hook": "xdp",
 *         "policy": { "schema": "shunt.policy/1", … },
 *         "frame": "0200…",
 *         "rule": "name",          null: none decided
 *         "reason": "rule",
 *         "verdict": "drop"
 *     }
 */
#include <dirent.h>

#include <cjson/cJSON.h>

#include "maps/trace.h"
#include "tests/model/outcome.h"

struct shunt_fixture {
	char path[300];
	struct shunt_policy *policy; /* NULL: the file is not a fixture */
	enum shunt_hook hook;
	uint8_t bytes[16384];
	size_t len;
	uint32_t reason, verdict;
	char rule[SHUNT_NAME_MAX]; /* empty: none */
};

struct shunt_fixtures {
	DIR *dir;
	char path[256];
};

/* 0 or -errno. */
SHUNT_MUST_CHECK int shunt_fixtures_open(struct shunt_fixtures *all, const char *path);
bool shunt_fixtures_next(struct shunt_fixtures *all, struct shunt_fixture *fixture);
void shunt_fixtures_close(struct shunt_fixtures *all);

bool shunt_fixture_holds(const struct shunt_fixture *fixture,
			 const struct shunt_trace *got);
void shunt_fixture_free(struct shunt_fixture *fixture);

/* A fixture of what should be; the policy is copied. */
cJSON *shunt_fixture_json(const cJSON *policy, enum shunt_hook hook,
			  const struct shunt_model_frame *frame,
			  const struct shunt_outcome *want);

/* Reads a policy; what is wrong with it goes to stderr, and NULL comes back. */
struct shunt_policy *shunt_fixture_policy(const char *text);

/* "rule", "ip4-ihl" …; NULL for a number that is no reason. */
const char *shunt_fixture_reason(uint32_t reason);
