/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/history.h"
#include "loader/record.h"
#include "loader/state_json.h"
#include "maps/counter.h"
#include "user/base/cleanup.h"

const char *shunt_action_name(unsigned int action)
{
	static const char *const names[] = {
#define X(id, value, name, help) [value] = name,
		SHUNT_VERDICTS(X)
#undef X
			[SHUNT_ACTION_COUNT] = "count",
	};

	return action < sizeof(names) / sizeof(*names) ? names[action] : NULL;
}

const char *shunt_origin_name(unsigned int origin)
{
	static const char *const names[] = {
#define X(id, value, name) [value] = name,
		SHUNT_ORIGINS(X)
#undef X
	};

	return origin < sizeof(names) / sizeof(*names) ? names[origin] : NULL;
}

const char *shunt_reason_name(uint32_t reason)
{
	static const char *const names[SHUNT_REASON_MAX] = {
#define X(id, value, name, malformed, help) [value] = name,
		SHUNT_REASONS(X)
#undef X
	};

	return reason < SHUNT_REASON_MAX && names[reason] ? names[reason] : "unknown";
}

void shunt_state_free(struct shunt_state *state)
{
	if (!state)
		return;
	free(state->text);
	free(state->source);
	free(state->rule);
	free(state->by_name);
	free(state);
}

void shunt_state_cleanup(struct shunt_state **state)
{
	shunt_state_free(*state);
}

/* --- the pinned record ------------------------------------------------------- */

int shunt_state_read_map(struct shunt_state **state, int fd, const char *path,
			 struct shunt_err *err)
{
	_free_ char *text = NULL;
	int ret = shunt_record_read_map(&text, fd, path, err);

	return ret ? ret : shunt_state_from_text(state, text, path, err);
}

static int read_pin(struct shunt_state **state, const char *path, struct shunt_err *err)
{
	_free_ char *text = NULL;
	int ret = shunt_record_read(&text, path, err);

	return ret ? ret : shunt_state_from_text(state, text, path, err);
}

/* The record, if it is that of the generation; else, or if it is damaged, NULL. */
static int read_if(struct shunt_state **state, const char *path, uint64_t generation,
		   struct shunt_err *err)
{
	_state_ struct shunt_state *found = NULL;
	int ret = read_pin(&found, path, err);

	*state = found && found->generation == generation ? shunt_steal(&found) : NULL;
	return ret == -ENOENT || ret == -EPROTO ? 0 : ret;
}

int shunt_state_read(struct shunt_state **state, const char *instance,
		     uint64_t generation, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int ret;

	shunt_pin_path(path, instance, "state", NULL);
	ret = read_pin(state, path, err);
	if (ret || (*state)->generation == generation)
		return ret;
	shunt_state_free(*state);
	shunt_pin_path(path, instance, "state_next", NULL);
	ret = read_if(state, path, generation, err);
	if (ret || *state)
		return ret;
	shunt_history_path(path, instance, generation);
	ret = read_if(state, path, generation, err);
	if (ret || *state)
		return ret;
	return shunt_fail(err, -EAGAIN,
			  "%s has no record of generation %llu: another command is "
			  "changing it",
			  instance, (unsigned long long)generation);
}

bool shunt_state_exists(const char *instance)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, "state", NULL);
	return !access(path, F_OK);
}

int shunt_state_stage(const struct shunt_state *state, const char *instance,
		      struct shunt_err *err)
{
	_free_ char *text = shunt_state_to_text(state);
	char path[SHUNT_PIN_MAX];

	if (!text)
		return shunt_fail(err, -ENOMEM,
				  "write the state record: out of memory");
	shunt_pin_path(path, instance, "state_next", NULL);
	return shunt_record_write(text, "shunt_state", path, err);
}

int shunt_state_commit(const char *instance, struct shunt_err *err)
{
	char from[SHUNT_PIN_MAX], to[SHUNT_PIN_MAX];

	shunt_pin_path(from, instance, "state_next", NULL);
	shunt_pin_path(to, instance, "state", NULL);
	if (rename(from, to))
		return shunt_fail_errno(err, -errno, "rename %s to %s", from, to);
	return 0;
}

int shunt_state_recover(const char *instance, uint64_t newest, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	struct shunt_state *next;
	int ret;

	shunt_pin_path(path, instance, "state_next", NULL);
	if (access(path, F_OK))
		return 0;
	ret = read_if(&next, path, newest, err);
	if (ret)
		return ret;
	if (next) {
		shunt_state_free(next);
		return shunt_state_commit(instance, err);
	}
	if (unlink(path))
		return shunt_fail_errno(err, -errno, "remove the stale record %s",
					path);
	return 0;
}

/* --- by name ----------------------------------------------------------------- */

/* FNV-1a. */
static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ^ h >> 15;
}

int shunt_state_index(struct shunt_state *state, struct shunt_err *err)
{
	size_t r, at;

	free(state->by_name);
	for (state->buckets = 16; state->buckets < 2 * state->rules;)
		state->buckets *= 2;
	state->by_name = calloc(state->buckets, sizeof(*state->by_name));
	if (!state->by_name) {
		state->buckets = 0;
		return shunt_fail(err, -ENOMEM, "index the rules: out of memory");
	}
	for (r = 0; r < state->rules; r++) {
		at = hash(state->rule[r].name) & (state->buckets - 1);
		while (state->by_name[at])
			at = (at + 1) & (state->buckets - 1);
		state->by_name[at] = r + 1;
	}
	return 0;
}

const struct shunt_state_rule *shunt_state_rule(const struct shunt_state *state,
						const char *name)
{
	size_t at = hash(name) & (state->buckets - 1);

	if (!state->buckets)
		return NULL;
	for (; state->by_name[at]; at = (at + 1) & (state->buckets - 1)) {
		const struct shunt_state_rule *rule =
			&state->rule[state->by_name[at] - 1];

		if (!strcmp(rule->name, name))
			return rule;
	}
	return NULL;
}

#define FIND(list, count)                                                              \
	do {                                                                           \
		size_t i;                                                              \
		for (i = 0; i < (count); i++)                                          \
			if (!strcmp((list)[i].name, name))                             \
				return &(list)[i];                                     \
		return NULL;                                                           \
	} while (0)

const struct shunt_state_set *shunt_state_set(const struct shunt_state *state,
					      const char *name)
{
	FIND(state->set, state->sets);
}

const struct shunt_state_consumer *shunt_state_consumer(const struct shunt_state *state,
							const char *name)
{
	FIND(state->consumer, state->consumers);
}
