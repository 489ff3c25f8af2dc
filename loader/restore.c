/* SPDX-License-Identifier: BSD-2-Clause */
/* restore: what was saved rules again; one instance after the other, each by itself. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/bpffs.h"
#include "loader/instance.h"
#include "loader/limits.h"
#include "loader/netns.h"
#include "loader/plan.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/saved.h"
#include "loader/shunt.h"
#include "loader/visit.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"
#include "user/base/folder.h"
#include "user/base/json.h"

struct restore {
	const struct shunt_restore_opts *opts;
	cJSON *reply, *instances;
	const char *file; /* the document that is being restored */
	size_t done, failed;
	struct shunt_err first; /* the first failure */
};

/* One instance on its way back. */
struct job {
	const struct shunt_saved *saved;
	struct shunt_policy *policy;
	const struct shunt_restore_opts *opts;
	cJSON *item; /* its part of the reply */
	bool lives;  /* it is attached now: */
	bool alike;  /* under the saved policy, with the saved members */
	bool on[SHUNT_HOOK_MAX];
};

/* --- what is saved --------------------------------------------------------------- */

static int read_policy(struct job *job, struct shunt_err *err)
{
	const struct shunt_saved *saved = job->saved;
	struct shunt_givens givens = { saved->set, saved->sets };
	struct shunt_diags diags = { 0 };
	int ret = shunt_policy_read_given(&job->policy, saved->policy,
					  strlen(saved->policy), saved->source, &givens,
					  &diags);
	size_t i = 0;

	if (ret == -EINVAL) {
		while (diags.at[i].warning)
			i++;
		shunt_fail(err, ret,
			   "its policy is not sound%s%s: %s; the file was changed or "
			   "damaged: save it again where the policy rules",
			   *diags.at[i].pointer ? ", at " : "", diags.at[i].pointer,
			   diags.at[i].message);
	} else if (ret) {
		shunt_fail_errno(err, ret, "read its policy");
	}
	shunt_diags_free(&diags);
	return ret ? ret : shunt_limits_check(job->policy, err);
}

/* --- what is there --------------------------------------------------------------- */

/* A mode that it has and was not saved with: changing it would take the hook off. */
static void compare_modes(const struct job *job, const struct shunt_state *state)
{
	bool saved[SHUNT_HOOK_MAX] = { false };
	size_t h;
	int hook;

	for (h = 0; h < job->saved->hooks; h++) {
		const struct shunt_saved_hook *want = &job->saved->hook[h];
		const struct shunt_place *place = &state->place[want->hook];

		saved[want->hook] = true;
		if (!place->on || !strcmp(place->mode, want->mode))
			continue;
		shunt_reply_warn(job->item,
				 "hook %s is in %s mode, and was in %s mode%s when it "
				 "was saved%s",
				 shunt_hook_name(want->hook), place->mode, want->mode,
				 want->insisted ? ", insisted on," : "",
				 want->insisted
					 ? "; `shunt detach`, then restore again, if "
					   "it must be"
					 : "");
	}
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (state->place[hook].on && !saved[hook])
			shunt_reply_warn(job->item,
					 "hook %s is attached, and was not when it was "
					 "saved: it stays; `shunt detach %s --hook %s` "
					 "takes it off",
					 shunt_hook_name(hook), job->saved->interface,
					 shunt_hook_name(hook));
}

static void put_state(cJSON *item, const struct shunt_state *state)
{
	shunt_json_add_u64(item, "generation", state->generation);
	shunt_reply_hooks(item, state);
}

/* What is there, and how it differs from what is saved. */
static int look(struct job *job, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	const struct shunt_saved *saved = job->saved;
	char name[SHUNT_INSTANCE_MAX];
	struct shunt_saved now = { 0 };
	bool mounted;
	int hook, ret = shunt_instance_name(name, saved->interface, err);

	if (ret || shunt_bpffs_ready(false, &mounted, NULL) ||
	    !shunt_instance_exists(name))
		return ret;
	/* a writer sees what a killed one has left, when it is ended */
	ret = shunt_instance_open(&instance, saved->interface, !job->opts->check, err);
	/* as attach sees it: a record that does not open is that of a killed attach */
	if (ret)
		return ret == -EPROTO || ret == -EAGAIN || ret == -ENOMEM ? ret : 0;
	job->lives = shunt_instance_alive(&instance);
	if (!job->lives)
		return 0;
	compare_modes(job, instance.state);
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		job->on[hook] = instance.state->place[hook].on;
	/* members that cannot be read are not the saved ones */
	if (!shunt_saved_take(&now, &instance, saved->netns, NULL))
		job->alike = shunt_saved_rules_alike(&now, saved);
	shunt_saved_clear(&now);
	put_state(job->item, instance.state);
	return 0;
}

/* --- bringing it back -------------------------------------------------------------- */

static size_t missing_hooks(const struct job *job, const char *hook[SHUNT_HOOK_MAX],
			    const char *mode[SHUNT_HOOK_MAX])
{
	size_t h, n = 0;

	for (h = 0; h < job->saved->hooks; h++) {
		const struct shunt_saved_hook *saved = &job->saved->hook[h];

		if (job->on[saved->hook])
			continue;
		hook[n] = shunt_hook_name(saved->hook);
		mode[n++] = saved->insisted && !saved->priority ? saved->mode : NULL;
	}
	return n;
}

/* What a reply of attach or apply adds to ours. */
static void take_reply(struct job *job, const cJSON *reply)
{
	static const char *const keys[] = { "generation", "hooks" };
	const cJSON *warning;
	size_t k;

	for (k = 0; k < 2; k++) {
		cJSON_DeleteItemFromObjectCaseSensitive(job->item, keys[k]);
		cJSON_AddItemToObject(job->item, keys[k],
				      cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(
							      reply, keys[k]),
						      true));
	}
	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(reply, "warnings"))
		shunt_reply_warn(job->item, "%s", warning->valuestring);
}

/* What was had without insisting on it may be another mode here. */
static void compare_got(const struct job *job, const cJSON *reply)
{
	const cJSON *got;
	size_t h;

	cJSON_ArrayForEach(got, cJSON_GetObjectItemCaseSensitive(
					reply, "hooks")) for (h = 0;
							      h < job->saved->hooks;
							      h++)
	{
		const struct shunt_saved_hook *saved = &job->saved->hook[h];
		const char *name = shunt_hook_name(saved->hook);

		if (!job->on[saved->hook] &&
		    !strcmp(shunt_json_str(got, "hook"), name) &&
		    strcmp(shunt_json_str(got, "mode"), saved->mode) != 0)
			shunt_reply_warn(job->item,
					 "hook %s is in %s mode, and was in %s mode "
					 "when it was saved",
					 name, shunt_json_str(got, "mode"),
					 saved->mode);
	}
}

/* The priority that XDP is to have in a dispatcher; 0: it is to be alone, or not there. */
static uint32_t chain_of(const struct job *job)
{
	size_t h;

	for (h = 0; h < job->saved->hooks; h++)
		if (job->saved->hook[h].hook == SHUNT_HOOK_XDP &&
		    !job->on[SHUNT_HOOK_XDP])
			return job->saved->hook[h].priority;
	return 0;
}

static int attach(struct job *job, struct shunt_err *err)
{
	const char *hook[SHUNT_HOOK_MAX], *mode[SHUNT_HOOK_MAX];
	struct shunt_attach_opts opts = {
		.sz = sizeof(opts),
		.hook = hook,
		.modes = mode,
		.hooks = missing_hooks(job, hook, mode),
		.netns = job->saved->netns ? job->saved->netns : job->opts->netns,
		.chain = chain_of(job),
		.session = job->opts->session,
		.protect = job->opts->protect,
		.protects = job->opts->protects,
	};
	_json_ cJSON *reply = NULL;
	int ret;

	if (!opts.hooks)
		return 0;
	/* hooks that join take the policy that rules, until it is applied to all */
	ret = shunt_attach(job->saved->interface, job->lives ? NULL : job->policy,
			   &opts, &reply, err);
	if (ret)
		return ret;
	take_reply(job, reply);
	compare_got(job, reply);
	return 0;
}

/* Takes the hooks off again that have joined. */
static void unattach(struct job *job)
{
	const char *hook[SHUNT_HOOK_MAX], *mode[SHUNT_HOOK_MAX];
	size_t h, n = missing_hooks(job, hook, mode);

	for (h = 0; h < n; h++) {
		_json_ cJSON *reply = NULL;
		int ret = shunt_detach(job->saved->interface, hook[h], &reply, NULL);

		(void)ret; /* the failure before this one is the answer */
	}
}

static int apply(struct job *job, struct shunt_err *err)
{
	const struct shunt_apply_opts opts = {
		.sz = sizeof(opts),
		.session = job->opts->session,
		.protect = job->opts->protect,
		.protects = job->opts->protects,
	};
	_json_ cJSON *reply = NULL;
	int ret = shunt_apply(job->saved->interface, job->policy, &opts, &reply, err);

	if (!ret)
		take_reply(job, reply);
	return ret;
}

/* As far as it can be told without a change. */
static int try_out(struct job *job, struct shunt_err *err)
{
	const char *hook[SHUNT_HOOK_MAX], *mode[SHUNT_HOOK_MAX];
	size_t n = missing_hooks(job, hook, mode);
	const char *interface = job->saved->interface;
	struct shunt_plan plan = { 0 };
	int ret = 0;

	if (n && !strcmp(hook[0], shunt_hook_name(SHUNT_HOOK_XDP)))
		ret = shunt_place_free(interface, if_nametoindex(interface),
				       chain_of(job), err);
	if (!ret)
		ret = shunt_plan_make(&plan, job->policy, interface, NULL, false, err);
	shunt_plan_free(&plan);
	return ret;
}

/* *outcome: "attached", "applied", "joined" (a hook alone) or "unchanged". */
static int bring_back(struct job *job, const char **outcome, struct shunt_err *err)
{
	const char *hook[SHUNT_HOOK_MAX], *mode[SHUNT_HOOK_MAX];
	bool joins = missing_hooks(job, hook, mode);
	int ret;

	*outcome = !job->lives	 ? "attached"
		   : !job->alike ? "applied"
		   : joins	 ? "joined"
				 : "unchanged";
	if (job->opts->check)
		return try_out(job, err);
	ret = attach(job, err);
	if (ret || !job->lives || job->alike)
		return ret;
	ret = apply(job, err);
	if (ret)
		unattach(job);
	return ret;
}

/* --- one instance ------------------------------------------------------------------ */

static int find_interface(const struct shunt_saved *saved, struct shunt_err *err)
{
	if (if_nametoindex(saved->interface))
		return 0;
	return shunt_fail(
		err, -ENODEV,
		"there is no such interface in %s%s; `ip link` lists those that there "
		"are. Once it is there, `shunt restore --only %s` restores it alone",
		saved->netns ? "network namespace " : "this network namespace",
		saved->netns ? saved->netns : "", saved->interface);
}

static int restore_saved(struct job *job, const char **outcome, struct shunt_err *err)
{
	_visit_ struct shunt_visit visit = SHUNT_VISIT_NONE;
	const struct shunt_saved *saved = job->saved;
	int ret;

	if (saved->fault)
		return shunt_fail(err, -EINVAL,
				  "what was saved of it is damaged: %s; save it again, "
				  "or attach it anew",
				  saved->fault);
	ret = shunt_visit_begin(&visit, saved->netns, err);
	if (!ret)
		ret = find_interface(saved, err);
	if (!ret)
		ret = read_policy(job, err);
	if (!ret)
		ret = look(job, err);
	return ret ? ret : bring_back(job, outcome, err);
}

static void add_name(cJSON *item, const char *key, const char *name)
{
	if (name && *name)
		cJSON_AddStringToObject(item, key, name);
	else
		cJSON_AddNullToObject(item, key);
}

static void note_failed(struct restore *restore, cJSON *item, const char *name,
			const char *why)
{
	cJSON_AddStringToObject(item, "outcome", "failed");
	cJSON_AddStringToObject(item, "error", why);
	if (!restore->failed++)
		shunt_fail(&restore->first, 0, "%s: %s", name, why);
}

static cJSON *new_item(struct restore *restore, const struct shunt_saved *saved)
{
	cJSON *item = cJSON_CreateObject();

	add_name(item, "interface", saved ? saved->interface : NULL);
	add_name(item, "netns", saved ? saved->netns : NULL);
	cJSON_AddStringToObject(item, "file", restore->file);
	cJSON_AddArrayToObject(item, "warnings");
	cJSON_AddItemToArray(restore->instances, item);
	return item;
}

static void restore_one(struct restore *restore, const struct shunt_saved *saved)
{
	struct job job = {
		.saved = saved,
		.opts = restore->opts,
		.item = new_item(restore, saved),
	};
	struct shunt_err err = { "" };
	const char *outcome = NULL;
	char name[64];
	int ret = restore_saved(&job, &outcome, &err);

	snprintf(name, sizeof(name), *saved->interface ? "%s" : "%s/instances/%zu",
		 saved->interface, saved->number);
	if (ret)
		note_failed(restore, job.item, name, err.message);
	else
		cJSON_AddStringToObject(job.item, "outcome", outcome);
	shunt_policy_free(job.policy);
	restore->done++;
}

/* --- documents --------------------------------------------------------------------- */

/* Is it the interface that is asked for, of the namespace that we are in? */
static bool is_meant(const struct restore *restore, const struct shunt_saved *saved)
{
	_visit_ struct shunt_visit visit = SHUNT_VISIT_NONE;
	uint64_t here, there;

	if (!restore->opts->only)
		return true;
	if (!*saved->interface) /* damaged: in a folder the file's name tells whose it is */
		return restore->opts->dir;
	if (strcmp(restore->opts->only, saved->interface) != 0)
		return false;
	return !saved->netns || (!shunt_netns_cookie(&here, NULL) &&
				 !shunt_visit_begin(&visit, saved->netns, NULL) &&
				 !shunt_netns_cookie(&there, NULL) && here == there);
}

/* A document that cannot be read is one failure. */
static int restore_file(struct restore *restore, const char *path)
{
	struct shunt_saved *list = NULL;
	struct shunt_err err = { "" };
	_free_ char *text = NULL;
	size_t bytes, n = 0, i;
	int ret = shunt_file_read(path, SHUNT_SAVE_MAX, &text, &bytes, &err);

	restore->file = path;
	if (!ret)
		ret = shunt_saved_parse(&list, &n, text, bytes, path, &err);
	if (ret)
		note_failed(restore, new_item(restore, NULL), path, err.message);
	for (i = 0; i < n; i++)
		if (is_meant(restore, &list[i]))
			restore_one(restore, &list[i]);
	shunt_saved_free(list, n);
	return ret == -ENOMEM ? ret : 0;
}

/* May a file of this name have the interface that is asked for? */
static bool may_have(const char *name, const char *only)
{
	char own[SHUNT_SAVED_NAME];
	size_t n = strlen(name), m;

	if (!only || shunt_saved_name(own, NULL, only, NULL))
		return true;
	m = strlen(own);
	return n >= m && !strcmp(name + n - m, own) &&
	       (n == m || name[n - m - 1] == ':');
}

static int restore_dir(struct restore *restore, const char *dir, struct shunt_err *err)
{
	_folder_ struct shunt_folder folder = { 0 };
	int i, ret = shunt_folder_read(&folder, dir);

	if (ret)
		return shunt_fail_errno(err, ret, "restore from %s", dir);
	for (i = 0; !ret && i < folder.n; i++) {
		const char *name = folder.entry[i]->d_name;
		_free_ char *path = NULL;

		if (!shunt_saved_is_name(name) || !may_have(name, restore->opts->only))
			continue;
		ret = asprintf(&path, "%s/%s", dir, name) < 0
			      ? -ENOMEM
			      : restore_file(restore, path);
	}
	return ret ? shunt_fail(err, ret, "restore from %s: out of memory", dir) : 0;
}

static int judge(const struct restore *restore, struct shunt_err *err)
{
	const struct shunt_restore_opts *opts = restore->opts;

	if (restore->failed > 1)
		return shunt_fail(err, -EIO,
				  "restore: %zu failed, the first of them: %s",
				  restore->failed, restore->first.message);
	if (restore->failed)
		return shunt_fail(err, -EIO, "restore %s", restore->first.message);
	if (opts->only && !restore->done)
		return shunt_fail(
			err, -ENOENT,
			"restore: nothing was saved of %s in %s; `shunt save` "
			"there, while it is attached, does",
			opts->only, opts->dir ? opts->dir : opts->file);
	return 0;
}

int shunt_restore(const struct shunt_restore_opts *opts, cJSON **reply,
		  struct shunt_err *err)
{
	struct restore restore = { .opts = opts, .reply = cJSON_CreateObject() };
	int ret;

	*reply = NULL;
	cJSON_AddStringToObject(restore.reply, "schema", "shunt.restore/1");
	cJSON_AddBoolToObject(restore.reply, "check", opts->check);
	restore.instances = cJSON_AddArrayToObject(restore.reply, "instances");
	if (opts->dir)
		ret = restore_dir(&restore, opts->dir, err);
	else
		ret = restore_file(&restore, opts->file);
	if (ret) {
		cJSON_Delete(restore.reply);
		return opts->dir ? ret
				 : shunt_fail(err, ret, "%s", restore.first.message);
	}
	cJSON_AddNumberToObject(restore.reply, "failed", restore.failed);
	*reply = restore.reply;
	return judge(&restore, err);
}
