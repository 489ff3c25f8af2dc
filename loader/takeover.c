/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/takeover.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "loader/gen.h"
#include "loader/program.h"
#include "maps/config.h"

/* One takeover, and what there was before it. */
struct takeover {
	struct shunt_instance *instance;
	const struct shunt_needs *needs;
	struct shunt_tag *tag;
	bool on[SHUNT_HOOK_MAX]; /* a program of ours sits there */
	struct shunt_program_facts facts[SHUNT_HOOK_MAX];
	int prog_fd[SHUNT_HOOK_MAX];
	struct shunt_maps before; /* while a map is to be replaced */
	bool grow_image, grow_counter;
};

uint32_t shunt_takeover_ruling(const struct shunt_instance *instance)
{
	const struct shunt_maps *maps = &instance->maps;
	struct shunt_gen_view view = shunt_gen_look(maps->gen);
	uint32_t features = shunt_maps_image(maps, view.newest)->features;

	/* on trial, either may rule */
	if (view.armed)
		features |= shunt_maps_image(maps, view.newest - 1)->features;
	return features;
}

static bool is_on(const struct shunt_state *state, const bool *wanted, int hook)
{
	return (state && state->place[hook].on) || (wanted && wanted[hook]);
}

uint32_t shunt_takeover_carry(const struct shunt_state *state, const bool *wanted)
{
	return is_on(state, wanted, SHUNT_HOOK_XDP) &&
			       (is_on(state, wanted, SHUNT_HOOK_TC_INGRESS) ||
				is_on(state, wanted, SHUNT_HOOK_NETFILTER))
		       ? SHUNT_HAS_CARRY
		       : 0;
}

/* --- what is there ----------------------------------------------------------- */

/* Which programs sit where, and what they were made for. */
static int look(struct takeover *t, struct shunt_err *err)
{
	struct shunt_instance *instance = t->instance;
	int hook, ret = 0;

	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++) {
		struct shunt_place *place = &instance->state->place[hook];
		uint32_t id;

		ret = shunt_place_ask(hook, place, instance->name, instance->ifindex,
				      &id, err);
		t->on[hook] = id != 0;
		if (ret || !id)
			continue;
		place->prog_id = id;
		ret = shunt_program_ask(hook, id, &t->facts[hook], err);
	}
	return ret;
}

static bool any_on(const struct takeover *t)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (t->on[hook])
			return true;
	return false;
}

/* Do all programs use the newest maps? */
static bool on_newest(const struct takeover *t)
{
	const struct shunt_maps *maps = &t->instance->maps;
	uint32_t image = shunt_maps_id(maps->fd[SHUNT_MAP_IMAGE]),
		 counter = shunt_maps_id(maps->fd[SHUNT_MAP_COUNTER]);
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (t->on[hook] && (t->facts[hook].image != image ||
				    t->facts[hook].counter != counter))
			return false;
	return true;
}

static bool have_features(const struct takeover *t, bool exact)
{
	uint32_t want = t->needs->features;
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		uint32_t has = t->facts[hook].features;

		if (t->on[hook] && (exact ? has != want : want & ~has))
			return false;
		if (t->on[hook] &&
		    t->facts[hook].bound != shunt_tag_wants(t->tag, hook, want))
			return false;
	}
	return true;
}

/* --- larger maps ------------------------------------------------------------- */

/* Has the next load make the maps that are too small. */
static void begin_growth(struct takeover *t)
{
	struct shunt_maps *maps = &t->instance->maps;

	t->before = *maps;
	if (t->grow_image) {
		maps->fd[SHUNT_MAP_IMAGE] = -1;
		maps->images = NULL;
	}
	if (t->grow_counter) {
		maps->past_counter[maps->past_counters++] = maps->fd[SHUNT_MAP_COUNTER];
		maps->fd[SHUNT_MAP_COUNTER] = -1;
	}
	shunt_maps_choose(maps, t->needs);
}

/* As if nothing had been: the maps that were made are let go. */
static void undo_growth(struct takeover *t)
{
	struct shunt_maps *maps = &t->instance->maps;

	if (t->grow_image) {
		shunt_maps_munmap_images(maps);
		if (maps->fd[SHUNT_MAP_IMAGE] >= 0)
			close(maps->fd[SHUNT_MAP_IMAGE]);
	}
	if (t->grow_counter && maps->fd[SHUNT_MAP_COUNTER] >= 0)
		close(maps->fd[SHUNT_MAP_COUNTER]);
	*maps = t->before;
}

/*
 * Both slots go over: the one that rules, and the one that has ruled before, which tells
 * what the counters of its rules were (shunt_plan_lapsed).
 */
static int fill_images(struct takeover *t, struct shunt_err *err)
{
	struct shunt_maps *maps = &t->instance->maps;
	int ret = shunt_maps_mmap_images(maps, err);
	uint64_t slot;

	for (slot = 0; !ret && slot < SHUNT_SLOTS; slot++) {
		const struct shunt_image *image = shunt_maps_image(&t->before, slot);
		uint32_t bytes = image->bytes;

		if (bytes > t->before.image_bytes)
			bytes = t->before.image_bytes;
		memcpy(shunt_maps_image(maps, slot), image, bytes);
	}
	return ret;
}

/* Pinned, the maps are seen by readers, before a program counts in them. */
static int pin_growth(struct takeover *t, struct shunt_err *err)
{
	struct shunt_instance *instance = t->instance;
	int ret = t->grow_image ? fill_images(t, err) : 0;

	if (!ret)
		ret = shunt_maps_pin(&instance->maps, instance->name, err);
	if (!ret && t->grow_image)
		ret = shunt_maps_pin_image(&instance->maps, instance->name, err);
	if (!ret && t->grow_counter)
		ret = shunt_maps_pin_counter(&instance->maps, instance->name, err);
	return ret;
}

/* The smaller image is nobody's any more; smaller counters stay to be read. */
static void end_growth(struct takeover *t)
{
	if (!t->grow_image)
		return;
	shunt_maps_munmap_images(&t->before);
	close(t->before.fd[SHUNT_MAP_IMAGE]);
}

/* --- the steps --------------------------------------------------------------- */

static int load(struct takeover *t, struct shunt_err *err)
{
	int hook;

	t->instance->maps.ifindex = t->instance->ifindex;
	t->tag->chained =
		!strcmp(t->instance->state->place[SHUNT_HOOK_XDP].mode, "chained");
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		if (!t->on[hook])
			continue;
		t->prog_fd[hook] = shunt_tag_load(t->tag, hook, t->needs->features,
						  &t->instance->maps, err);
		if (t->prog_fd[hook] < 0)
			return t->prog_fd[hook];
	}
	return 0;
}

static int replace_one(struct takeover *t, int hook, struct shunt_err *err)
{
	struct shunt_instance *instance = t->instance;
	const struct shunt_place *place = &instance->state->place[hook];
	int ret = shunt_place_replace(hook, place, instance->name, instance->ifindex,
				      t->prog_fd[hook], err);

	if (!ret || !shunt_tag_wants(t->tag, hook, t->needs->features))
		return ret;
	shunt_tag_give_up(t->tag, ret);
	close(t->prog_fd[hook]);
	t->prog_fd[hook] =
		shunt_program_load(hook, t->needs->features, &instance->maps, err);
	return t->prog_fd[hook] < 0
		       ? t->prog_fd[hook]
		       : shunt_place_replace(hook, place, instance->name,
					     instance->ifindex, t->prog_fd[hook], err);
}

static int replace(struct takeover *t, struct shunt_err *err)
{
	struct shunt_instance *instance = t->instance;
	int hook, ret = 0;

	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++) {
		struct shunt_place *place = &instance->state->place[hook];

		if (!t->on[hook])
			continue;
		ret = replace_one(t, hook, err);
		if (!ret)
			place->prog_id =
				shunt_place_program(hook, place, instance->name,
						    instance->ifindex);
	}
	return ret ? shunt_fail_in(err, ret, "%s: ", instance->state->interface) : 0;
}

static int take_over(struct takeover *t, struct shunt_err *err)
{
	int ret;

	begin_growth(t);
	ret = load(t, err);
	if (!ret)
		ret = pin_growth(t, err);
	if (ret) {
		undo_growth(t);
		return ret;
	}
	ret = replace(t, err);
	end_growth(t);
	return ret ? ret : shunt_maps_settle(t->instance->name, err);
}

int shunt_takeover(struct shunt_instance *instance, const struct shunt_needs *needs,
		   bool exact, struct shunt_tag *tag, struct shunt_err *err)
{
	struct takeover t = {
		.instance = instance,
		.needs = needs,
		.tag = tag,
		.prog_fd = { [0 ... SHUNT_HOOK_MAX - 1] = -1 },
		.grow_image = needs->image_bytes > instance->maps.image_bytes,
		.grow_counter = needs->counters > instance->maps.counters,
	};
	int hook, ret = look(&t, err);

	if (ret)
		return ret;
	if (!any_on(&t))
		return shunt_fail(err, -ENODEV,
				  "no program of Shunt's sits on %s any more: `shunt "
				  "detach %s` removes what is left of it",
				  instance->state->interface,
				  instance->state->interface);
	if (!t.grow_image && !t.grow_counter && on_newest(&t) &&
	    have_features(&t, exact))
		return 0;
	if (t.grow_counter && instance->maps.past_counters == SHUNT_COUNTER_MAPS)
		return shunt_fail(err, -E2BIG,
				  "the counters of %s have grown %d times: detach it, "
				  "and attach it anew",
				  instance->state->interface, SHUNT_COUNTER_MAPS);
	ret = take_over(&t, err);
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (t.prog_fd[hook] >= 0)
			close(t.prog_fd[hook]);
	return ret;
}

int shunt_takeover_recover(struct shunt_instance *instance, struct shunt_err *err)
{
	struct takeover t = { .instance = instance };
	int hook, ret = look(&t, err);

	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++)
		if (t.on[hook])
			ret = shunt_place_settle(hook, &instance->state->place[hook],
						 instance->name, instance->ifindex,
						 err);
	return !ret && any_on(&t) && on_newest(&t)
		       ? shunt_maps_settle(instance->name, err)
		       : ret;
}
