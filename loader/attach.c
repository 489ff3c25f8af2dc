/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/chain.h"
#include "loader/hook.h"
#include "loader/instance.h"
#include "loader/lock.h"
#include "loader/mode.h"
#include "loader/plan.h"
#include "loader/probation.h"
#include "loader/program.h"
#include "loader/rehearse.h"
#include "loader/reply.h"
#include "loader/residue.h"
#include "loader/ruling.h"
#include "loader/shunt.h"
#include "loader/steer.h"
#include "loader/tag.h"
#include "loader/takeover.h"
#include "loader/watch.h"
#include "user/base/cleanup.h"

/* One attach: the instance that it builds, and which hooks are wanted. */
struct attach {
	struct shunt_instance *instance;
	const char *interface;
	const struct shunt_attach_opts *opts;
	bool wanted[SHUNT_HOOK_MAX];
	const char *mode[SHUNT_HOOK_MAX]; /* NULL: not insisted on */
	int prog_fd[SHUNT_HOOK_MAX];
	uint32_t features;
	struct shunt_tag tag;
	cJSON *warnings; /* an object with "warnings" */
};

/* --- what is asked for ------------------------------------------------------- */

static int read_opts(struct attach *attach, struct shunt_err *err)
{
	static const char *const xdp[] = { "xdp" };
	const struct shunt_attach_opts *opts = attach->opts;
	const char *const *name = opts->hooks ? opts->hook : xdp;
	size_t i, n = opts->hooks ? opts->hooks : 1;
	const char *unfit = NULL;
	bool fits = false;

	for (i = 0; i < n; i++) {
		int hook = shunt_hook_find(name[i], err);
		const char *mode = opts->modes ? opts->modes[i] : opts->mode;

		if (hook < 0)
			return hook;
		attach->wanted[hook] = true;
		fits |= shunt_mode_fits(mode, hook);
		unfit = shunt_mode_fits(mode, hook) ? unfit : mode;
		if (!shunt_mode_is_auto(mode) && shunt_mode_fits(mode, hook))
			attach->mode[hook] = mode;
	}
	if (!fits)
		return shunt_fail(err, -EINVAL,
				  "mode \"%s\" does not fit the hook: xdp knows auto, "
				  "%s; tc knows auto, %s; netfilter knows auto and %s",
				  unfit, SHUNT_MODES_XDP(SHUNT_MODE_TEXT, " and "),
				  SHUNT_MODES_TC(SHUNT_MODE_TEXT, " and "),
				  SHUNT_MODES_NETFILTER(SHUNT_MODE_TEXT, " and "));
	if (opts->chain > SHUNT_CHAIN_PRIORITY_MAX)
		return shunt_fail(err, -EINVAL,
				  "priority %u is too large: a chain's are 1 to %d",
				  opts->chain, SHUNT_CHAIN_PRIORITY_MAX);
	if (opts->chain && !attach->wanted[SHUNT_HOOK_XDP])
		return shunt_fail(
			err, -EINVAL,
			"only programs of the hook xdp are chained: leave out "
			"--chain, for tc leaves room for others anyway");
	attach->instance->ifindex = if_nametoindex(attach->interface);
	if (!attach->instance->ifindex)
		return shunt_fail(
			err, -ENODEV,
			"attach %s: there is no such interface in this network "
			"namespace; `ip link` lists those that there are, "
			"--netns NAME names another namespace",
			attach->interface);
	return 0;
}

/* --- the steps --------------------------------------------------------------- */

static int load_programs(struct attach *attach, uint32_t features,
			 struct shunt_err *err)
{
	int hook;

	attach->features = features;
	attach->instance->maps.ifindex = attach->instance->ifindex;
	if (attach->wanted[SHUNT_HOOK_XDP])
		shunt_tag_choose(&attach->tag, features, attach->interface,
				 attach->opts->chain ? "chained"
						     : attach->mode[SHUNT_HOOK_XDP]);
	attach->tag.chained = attach->opts->chain;
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		if (!attach->wanted[hook])
			continue;
		attach->prog_fd[hook] = shunt_tag_load(&attach->tag, hook, features,
						       &attach->instance->maps, err);
		if (attach->prog_fd[hook] < 0)
			return attach->prog_fd[hook];
	}
	return 0;
}

static int pin_program(const char *instance, int hook, int fd, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, "progs", shunt_hook_name(hook));
	unlink(path); /* a killed attach may have got this far */
	return shunt_pin_put(fd, path, err);
}

static int hang(struct attach *attach, int hook, int *link_fd, struct shunt_err *note,
		struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	struct shunt_place_request request = {
		.hook = hook,
		.prog_fd = attach->prog_fd[hook],
		.instance = instance->name,
		.interface = attach->interface,
		.ifindex = instance->ifindex,
		.mode = attach->mode[hook],
		.chain = attach->opts->chain,
	};

	if (shunt_tag_wants(&attach->tag, hook, attach->features))
		request.mode = "native";
	return shunt_place_attach(&request, &instance->state->place[hook], link_fd,
				  note, err);
}

/* The plain program in place of the bound one that the hook has not taken. */
static int stand_in(struct attach *attach, int error, struct shunt_err *err)
{
	int *fd = &attach->prog_fd[SHUNT_HOOK_XDP];

	shunt_tag_give_up(&attach->tag, error);
	close(*fd);
	*fd = shunt_program_load(SHUNT_HOOK_XDP, attach->features,
				 &attach->instance->maps, err);
	return *fd < 0 ? *fd
		       : pin_program(attach->instance->name, SHUNT_HOOK_XDP, *fd, err);
}

/* Puts one program onto its hook; from here on it judges packets. */
static int place_one(struct attach *attach, int hook, struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	_fd_ int link_fd = -1;
	char path[SHUNT_PIN_MAX];
	struct shunt_err note;
	int ret = hang(attach, hook, &link_fd, &note, err);

	if (ret && shunt_tag_wants(&attach->tag, hook, attach->features)) {
		ret = stand_in(attach, ret, err);
		if (!ret)
			ret = hang(attach, hook, &link_fd, &note, err);
	}
	if (ret)
		return ret;
	instance->state->place[hook].insisted = attach->mode[hook];
	if (*note.message)
		shunt_reply_warn(attach->warnings, "%s", note.message);
	if (!strcmp(instance->state->place[hook].mode, "generic"))
		shunt_watch_note_generic(&instance->maps);
	if (link_fd < 0)
		return 0;
	shunt_pin_path(path, instance->name, "links", shunt_hook_name(hook));
	return shunt_pin_put(link_fd, path, err);
}

/* Takes off again what this attach has put on. */
static void unplace(struct attach *attach)
{
	struct shunt_instance *instance = attach->instance;
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (attach->wanted[hook])
			shunt_residue_unhook(instance, hook, NULL);
}

/* Programs onto their hooks, and the record that says so. */
static int place_all(struct attach *attach, struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	int hook, ret = 0;

	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++)
		if (attach->wanted[hook])
			ret = pin_program(instance->name, hook, attach->prog_fd[hook],
					  err);
	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++)
		if (attach->wanted[hook])
			ret = place_one(attach, hook, err);
	if (!ret)
		ret = shunt_state_stage(instance->state, instance->name, err);
	if (!ret)
		ret = shunt_state_commit(instance->name, err);
	if (ret) {
		unplace(attach);
		return ret;
	}
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (attach->wanted[hook])
			shunt_place_qdisc_noted(hook, instance->name);
	return 0;
}

/* Before a packet can be redirected: what the watch misses would never balance. */
static void prepare_ledger(struct attach *attach)
{
	struct shunt_instance *instance = attach->instance;
	struct shunt_err note;

	shunt_watch_start(instance, instance->state, &note);
	if (*note.message)
		shunt_reply_warn(attach->warnings, "%s", note.message);
}

/* Maps, programs, and the policy in them; no packet meets it yet. */
static int fill(struct attach *attach, struct shunt_plan *plan,
		const struct shunt_policy *policy, struct shunt_err *err)
{
	struct shunt_maps *maps = &attach->instance->maps;
	struct shunt_needs needs;
	int ret = shunt_plan_make(plan, policy, attach->interface, NULL, false, err);

	if (!ret && attach->opts->chain)
		ret = shunt_chain_fits(plan->compiled.image, plan->next, err);
	if (ret)
		return ret;
	needs = shunt_plan_needs(plan);
	shunt_maps_choose(maps, &needs);
	needs.features |= shunt_takeover_carry(NULL, attach->wanted);
	ret = load_programs(attach, needs.features, err);
	if (!ret)
		ret = shunt_maps_mmap(maps, err);
	if (!ret)
		ret = shunt_plan_write(plan, maps, err);
	if (!ret && getrandom(&maps->gen->trace_cookie, sizeof(uint64_t), 0) < 0)
		ret = shunt_fail_errno(err, -errno, "draw a random number");
	return ret;
}

/* The record of an instance that begins. */
static void begin_state(struct attach *attach, struct shunt_state *state)
{
	snprintf(state->interface, sizeof(state->interface), "%s", attach->interface);
	snprintf(state->netns, sizeof(state->netns), "%s",
		 attach->opts->netns ? attach->opts->netns : "");
	state->ifindex = attach->instance->ifindex;
	state->attached_at = state->applied_at;
	attach->instance->state = state;
}

/* The programs that are about to judge packets, over a policy that they see already. */
static int rehearse(struct attach *attach, const struct shunt_policy *policy,
		    struct shunt_err *err)
{
	const struct shunt_attach_opts *opts = attach->opts;
	struct shunt_guard guard = { 0 };
	const struct shunt_rehearsal rehearsal = {
		.policy = policy,
		.state = attach->instance->state,
		.guard = &guard,
		.prog_fd = attach->prog_fd,
	};
	int ret = shunt_guard_make(&guard, attach->interface, opts->session,
				   opts->protect, opts->protects, err);

	if (!ret)
		ret = shunt_rehearse(attach->instance, &rehearsal, err);
	shunt_guard_free(&guard);
	return ret;
}

/* What the NIC is to do, while no packet is judged yet. */
static int steer(const struct attach *attach, const struct shunt_policy *policy,
		 struct shunt_err *err)
{
	const struct shunt_steering steering = {
		.policy = policy,
		.generation = attach->instance->state->generation,
		.sockets = attach->wanted[SHUNT_HOOK_XDP],
	};

	return shunt_steer_stage(attach->instance, &steering, attach->warnings, err);
}

/* Behind the record that says which hooks there are, or the lack of it. */
static int settle(const struct attach *attach, struct shunt_err *err)
{
	const struct shunt_settling settling = { .state = attach->instance->state,
						 .notes = attach->warnings };

	return shunt_steer_settle(attach->instance, &settling, err);
}

/* Takes all back that go() has done. */
static void undo(const struct attach *attach, int error, struct shunt_err *err)
{
	const char *instance = attach->instance->name;
	int ret = shunt_steer_remove(instance, NULL);

	if (!ret)
		ret = shunt_pin_remove_all(instance, NULL);
	if (ret)
		shunt_fail_in(
			err, error,
			"what was pinned or steered could not be removed; after: ");
}

/* Pins, and then the hooks. */
static int go(struct attach *attach, const struct shunt_policy *policy,
	      struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	int ret = shunt_pin_mkdirs(instance->name, err);

	if (!ret)
		ret = shunt_maps_pin(&instance->maps, instance->name, err);
	if (!ret) {
		prepare_ledger(attach);
		ret = steer(attach, policy, err);
	}
	if (!ret)
		ret = place_all(attach, err);
	if (ret)
		undo(attach, ret, err);
	return ret ? ret : settle(attach, err);
}

/* A first attach: everything is filled before anything is attached. */
static int attach_new(struct attach *attach, const struct shunt_policy *policy,
		      struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	struct shunt_plan plan = { 0 };
	int ret;

	if (!policy)
		return shunt_fail(
			err, -EINVAL,
			"attach %s: nothing is attached there yet, so a policy is "
			"needed: -p FILE",
			attach->interface);
	ret = attach->wanted[SHUNT_HOOK_XDP]
		      ? shunt_place_free(attach->interface, instance->ifindex,
					 attach->opts->chain, err)
		      : 0;
	if (!ret)
		ret = fill(attach, &plan, policy, err);
	if (!ret) {
		shunt_plan_flip(&plan, &instance->maps);
		begin_state(attach, shunt_steal(&plan.next));
		ret = rehearse(attach, policy, err);
	}
	shunt_plan_free(&plan);
	return ret ? ret : go(attach, policy, err);
}

/* Hooks that join go by the policy that rules, whose sets are the maps'. */
static int join(struct attach *attach, const struct shunt_policy *ruling,
		struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	int settled, ret = rehearse(attach, ruling, err);

	if (!ret)
		ret = shunt_plan_targets(&instance->maps, instance->state, err);
	if (!ret)
		ret = shunt_maps_pin(&instance->maps, instance->name, err);
	if (ret)
		return ret;
	prepare_ledger(attach);
	if (attach->wanted[SHUNT_HOOK_XDP])
		ret = steer(attach, ruling, err);
	if (!ret)
		ret = place_all(attach, err);
	/* should it fail after a failure, the next command does it */
	settled = settle(attach, ret ? NULL : err);
	return ret ? ret : settled;
}

/*
 * Where one packet is to meet two of the hooks, the program that sits on the first one
 * says so to the second before that is there.
 */
static int carry_on(struct attach *attach, struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	uint32_t carry = shunt_takeover_carry(instance->state, attach->wanted);
	struct shunt_needs needs = { .image_bytes = instance->maps.image_bytes,
				     .counters = instance->maps.counters };
	struct shunt_tag tag = { 0 };

	attach->features = needs.features = shunt_takeover_ruling(instance) | carry;
	if (!carry)
		return 0;
	if (instance->state->place[SHUNT_HOOK_XDP].on)
		shunt_tag_choose(&tag, needs.features, attach->interface,
				 instance->state->place[SHUNT_HOOK_XDP].mode);
	return shunt_takeover(instance, &needs, false, &tag, err);
}

/* What an attach that was killed has put on hooks that the record does not have. */
static int clear_hooks(const struct attach *attach, struct shunt_err *err)
{
	int hook, ret = 0;

	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++)
		if (attach->wanted[hook])
			ret = shunt_residue_unhook(attach->instance, hook, err);
	return ret;
}

/* Another hook for an instance that rules already; its policy is theirs. */
static int attach_more(struct attach *attach, const struct shunt_policy *policy,
		       struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	_policy_ struct shunt_policy *ruling = NULL;
	int hook, ret;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (attach->wanted[hook] && instance->state->place[hook].on)
			return shunt_fail(
				err, -EEXIST,
				"attach %s: Shunt is already attached there "
				"(hook %s, generation %llu): `shunt apply %s -p "
				"FILE` changes its policy, `shunt detach %s` "
				"takes it off",
				attach->interface, shunt_hook_name(hook),
				(unsigned long long)instance->state->generation,
				attach->interface, attach->interface);
	if (policy && strcmp(policy->text, instance->state->text))
		return shunt_fail(
			err, -EEXIST,
			"attach %s: Shunt is already attached there under "
			"another policy, which all its hooks share: leave out "
			"-p to add a hook, `shunt apply %s -p FILE` changes "
			"the policy",
			attach->interface, attach->interface);
	ret = shunt_probation_none(instance, "attach", err);
	if (!ret && attach->opts->chain)
		ret = shunt_chain_fits(shunt_maps_image(&instance->maps,
							instance->gen.ruling),
				       instance->state, err);
	if (!ret)
		ret = clear_hooks(attach, err);
	if (!ret && attach->wanted[SHUNT_HOOK_XDP])
		ret = shunt_place_free(attach->interface, instance->ifindex,
				       attach->opts->chain, err);
	if (!ret)
		ret = carry_on(attach, err);
	if (!ret)
		ret = load_programs(attach, attach->features, err);
	if (!ret)
		ret = shunt_ruling_read(&ruling, instance->state, err);
	return ret ? ret : join(attach, ruling, err);
}

/* Opens what is there; *fresh: nothing that lives, and no residue any more. */
static int open_instance(struct attach *attach, bool *fresh, struct shunt_err *err)
{
	struct shunt_instance *instance = attach->instance;
	unsigned int ifindex = instance->ifindex;
	bool cleared = false;
	int ret;

	ret = shunt_lock(&instance->lock, instance->name, err);
	if (!ret)
		ret = shunt_residue_clear(instance->name, ifindex, &cleared, err);
	if (ret)
		return ret;
	if (cleared)
		shunt_reply_warn(attach->warnings,
				 "removed what an earlier %s, or an attach that was "
				 "interrupted, had left",
				 attach->interface);
	ret = shunt_instance_load(instance, err);
	*fresh = ret == -ENOENT && !shunt_instance_exists(instance->name);
	return *fresh ? 0 : ret;
}

static int attach_locked(struct attach *attach, const struct shunt_policy *policy,
			 struct shunt_err *err)
{
	bool fresh;
	int ret = open_instance(attach, &fresh, err);

	if (ret)
		return ret;
	return fresh ? attach_new(attach, policy, err)
		     : attach_more(attach, policy, err);
}

static cJSON *answer(const struct attach *attach)
{
	const struct shunt_state *state = attach->instance->state;
	cJSON *reply = shunt_reply_new("shunt.attach/1", state);

	shunt_reply_hooks(reply, state);
	cJSON_AddNumberToObject(reply, "rules", state->rules);
	cJSON_AddItemToObject(reply, "warnings",
			      cJSON_DetachItemFromObjectCaseSensitive(attach->warnings,
								      "warnings"));
	shunt_reply_warn_hooks(reply, state);
	return reply;
}

int shunt_attach(const char *interface, const struct shunt_policy *policy,
		 const struct shunt_attach_opts *opts, cJSON **reply,
		 struct shunt_err *err)
{
	static const struct shunt_attach_opts none = { .sz = sizeof(none) };
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_json_ cJSON *warnings = cJSON_CreateObject();
	struct attach attach = {
		.instance = &instance,
		.interface = interface,
		.opts = opts ? opts : &none,
		.prog_fd = { [0 ... SHUNT_HOOK_MAX - 1] = -1 },
		.warnings = warnings,
	};
	bool mounted;
	int hook, ret;

	*reply = NULL;
	cJSON_AddArrayToObject(warnings, "warnings");
	ret = read_opts(&attach, err);
	if (!ret)
		ret = shunt_bpffs_ready(true, &mounted, err);
	if (!ret && mounted)
		shunt_reply_warn(warnings, "mounted bpffs at " SHUNT_BPFFS);
	if (!ret)
		ret = shunt_instance_name(instance.name, interface, err);
	if (!ret)
		ret = attach_locked(&attach, policy, err);
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (attach.prog_fd[hook] >= 0)
			close(attach.prog_fd[hook]);
	if (!ret && shunt_tag_missed(&attach.tag, attach.features))
		shunt_reply_warn(warnings, "%s",
				 shunt_tag_missed(&attach.tag, attach.features));
	if (!ret)
		*reply = answer(&attach);
	return ret;
}
