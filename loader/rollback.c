/* SPDX-License-Identifier: BSD-2-Clause */
/* Going back to a policy that has ruled before. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "loader/apply.h"
#include "loader/history.h"
#include "loader/reply.h"
#include "loader/shunt.h"
#include "loader/probation.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* The generation of the nth policy before the one that rules. */
static int find(const struct shunt_instance *instance, unsigned int n, uint64_t *found,
		struct shunt_err *err)
{
	uint64_t generation[SHUNT_HISTORY_MAX + 1];
	uint64_t ruling = instance->state->generation;
	int kept = shunt_history_list(instance->name, ruling, generation, err);
	const char *interface = instance->state->interface;

	if (kept < 0)
		return kept;
	if (kept > SHUNT_HISTORY_MAX)
		kept = SHUNT_HISTORY_MAX;
	if (n < 1 || n > (unsigned int)kept)
		return shunt_fail(err, -ENOENT,
				  "rollback %s: there is no policy %u before the one "
				  "that rules: %d of at most %d are kept; `shunt show "
				  "%s --history` lists them",
				  interface, n, kept, SHUNT_HISTORY_MAX, interface);
	*found = generation[n - 1];
	return 0;
}

/* The policy of a record, as it was. */
static int read_again(const struct shunt_state *old, bool changed_files,
		      struct shunt_policy **policy, struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	char hash[SHUNT_POLICY_HASH];
	int ret = shunt_policy_read(policy, old->text, strlen(old->text),
				    *old->source ? old->source : NULL, &diags);

	if (ret)
		shunt_fail(err, ret, "generation %llu cannot be read again: %s: %s",
			   (unsigned long long)old->generation,
			   diags.n ? diags.at[0].pointer : "",
			   diags.n ? diags.at[0].message : strerror(-ret));
	shunt_diags_free(&diags);
	if (ret)
		return ret;
	shunt_policy_hash(*policy, hash);
	if (changed_files || !strcmp(hash, old->hash))
		return 0;
	return shunt_fail(
		err, -ESTALE,
		"generation %llu was another policy: a file that its sets are "
		"filled from has changed since (hash %.12s then, %.12s now); "
		"put the file back, or take it as it is with --changed-files",
		(unsigned long long)old->generation, old->hash, hash);
}

static int roll_back(struct shunt_instance *instance,
		     const struct shunt_rollback_opts *opts, struct shunt_state **next,
		     cJSON *notes, struct shunt_err *err)
{
	_policy_ struct shunt_policy *policy = NULL;
	struct shunt_guard guard = { 0 };
	struct shunt_enforce how = { .origin = SHUNT_ORIGIN_ROLLBACK, .guard = &guard };
	_state_ struct shunt_state *old = NULL;
	uint64_t generation = 0;
	int ret = find(instance, opts->back ? opts->back : 1, &generation, err);

	if (!ret)
		ret = shunt_state_read(&old, instance->name, generation, err);
	if (ret)
		return ret;
	assert(old);
	how.again = old->generation;
	ret = read_again(old, opts->changed_files, &policy, err);
	if (!ret)
		ret = shunt_guard_make(&guard, instance->state->interface,
				       opts->session, opts->protect, opts->protects,
				       err);
	if (!ret)
		ret = shunt_enforce(instance, policy, &how, next, notes, err);
	shunt_guard_free(&guard);
	return ret;
}

/* From a policy on trial there is one way back, which is never barred: time takes it too. */
static int give_up(struct shunt_instance *instance, unsigned int n,
		   struct shunt_state **trial, struct shunt_err *err)
{
	if (n > 1)
		return shunt_probation_none(instance,
					    "rollback further than one policy of", err);
	*trial = instance->state;
	instance->state = NULL;
	return shunt_probation_revert(instance, err);
}

int shunt_rollback(const char *interface, const struct shunt_rollback_opts *opts,
		   cJSON **reply, struct shunt_err *err)
{
	static const struct shunt_rollback_opts none = { .sz = sizeof(none) };
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_state_ struct shunt_state *next = NULL, *trial = NULL;
	_json_ cJSON *notes = cJSON_CreateObject();
	const struct shunt_state *old, *new;
	int ret;

	*reply = NULL;
	opts = opts ? opts : &none;
	ret = shunt_instance_open(&instance, interface, true, err);
	if (ret)
		return ret;
	ret = instance.gen.armed ? give_up(&instance, opts->back, &trial, err)
				 : roll_back(&instance, opts, &next, notes, err);
	if (ret)
		return ret;
	old = trial ? trial : instance.state;
	new = trial ? instance.state : next;
	if (trial)
		shunt_enforce_trim(&instance, notes);
	*reply = shunt_enforce_reply("shunt.rollback/1", old, new, notes);
	shunt_json_add_u64(*reply, "again", new->again);
	return 0;
}
