/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/steer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/namespaces.h"
#include "loader/steer_nic.h"
#include "loader/steer_record.h"
#include "loader/steer_want.h"

/* --- staging ----------------------------------------------------------------- */

/* What is there already keeps its place. */
static void keep_places(struct shunt_steer *wanted, const struct shunt_steer *old)
{
	size_t f, g;

	for (f = 0; f < wanted->filters; f++)
		for (g = 0; g < old->filters; g++)
			if (shunt_ntuple_same(&wanted->filter[f].is,
					      &old->filter[g].is))
				wanted->filter[f].is.location =
					old->filter[g].is.location;
}

static int stage(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
		 const struct shunt_steer *old, const char *instance,
		 struct shunt_err *err)
{
	int ret;

	keep_places(wanted, old);
	shunt_steer_nic_remember(nic, wanted, old);
	ret = shunt_steer_nic_place(nic, wanted, old, err);
	if (!ret)
		ret = shunt_steer_write(wanted, instance, true, err);
	if (ret)
		return ret;
	/* fewer queues may have to wait for filters to leave */
	shunt_steer_nic_put(nic, wanted, !old->filters);
	ret = shunt_steer_nic_insert(nic, wanted, old, err);
	return ret ? ret : shunt_steer_write(wanted, instance, true, err);
}

static bool asks_for_steering(const struct shunt_policy *policy)
{
	size_t c;

	for (c = 0; c < policy->consumers; c++)
		if (policy->consumer[c].steer)
			return true;
	return policy->queues;
}

int shunt_steer_stage(const struct shunt_instance *instance,
		      const struct shunt_steering *steering, cJSON *notes,
		      struct shunt_err *err)
{
	_steer_ struct shunt_steer wanted = { .ifindex = instance->ifindex,
					      .generation = steering->generation };
	_steer_ struct shunt_steer old = { .filters = 0 };
	_steer_nic_ struct shunt_steer_nic nic = SHUNT_STEER_NIC_NONE;
	struct shunt_steer_wish wish = { .policy = steering->policy,
					 .sockets = steering->sockets,
					 .old = &old,
					 .notes = notes };
	bool there = false;
	int ret = shunt_steer_read(&old, instance->name, false, &there, err);

	if (ret || (!there && !asks_for_steering(steering->policy)))
		return ret;
	ret = shunt_steer_nic_open(&nic, instance->ifindex, notes);
	if (ret == -ENODEV)
		return shunt_fail(
			err, ret,
			"see what is to be steered: its interface is gone from "
			"here; `shunt detach --stale` removes what it has left");
	if (ret)
		return shunt_fail_errno(err, ret, "see what is to be steered");
	wish.interface = nic.interface;
	ret = shunt_steer_want(&wanted, &wish, err);
	if (ret || (!there && !wanted.filters && !wanted.settings))
		return ret;
	return stage(&nic, &wanted, &old, instance->name, err);
}

/* --- settling ---------------------------------------------------------------- */

static bool pinned(const char *instance, bool next)
{
	char path[SHUNT_PIN_MAX];

	shunt_steer_path(path, instance, next);
	return !access(path, F_OK);
}

static int unpin(const char *instance, bool next, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_steer_path(path, instance, next);
	if (unlink(path) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "unpin %s", path);
	return 0;
}

/* One record, or the lack of one, remains; the winner's is written before. */
static int put_record(const struct shunt_steer *won, const char *instance,
		      struct shunt_err *err)
{
	int ret = won->filters || won->settings
			  ? shunt_steer_write(won, instance, false, err)
			  : unpin(instance, false, err);

	return ret ? ret : unpin(instance, true, err);
}

/* Makes the NIC the winner's, whose record is `steer` or the next one. */
static int converge(struct shunt_steer_nic *nic, struct shunt_steer *won,
		    const struct shunt_steer *lost, const char *instance, bool next,
		    struct shunt_err *err)
{
	int ret = shunt_steer_nic_delete(nic, lost, won, err);

	if (!ret)
		ret = shunt_steer_nic_give_back(nic, lost, won, err);
	if (ret)
		return ret;
	shunt_steer_nic_put(nic, won, true);
	if (!won->filters)
		return 0;
	/* where a filter goes stands in the record before it is there */
	ret = shunt_steer_nic_place(nic, won, won, err);
	if (!ret)
		ret = shunt_steer_write(won, instance, next, err);
	return ret ? ret : shunt_steer_nic_insert(nic, won, NULL, err);
}

/* Without XDP nobody is there to be steered to: all filters are too many. */
static void drop_filters(struct shunt_steer *won, struct shunt_steer *lost)
{
	size_t f;

	for (f = 0; f < won->filters; f++) {
		struct shunt_steer_filter *add = shunt_steer_add_filter(lost);

		if (add)
			*add = won->filter[f];
	}
	won->filters = 0;
}

struct records {
	struct shunt_steer old, next;
	bool has_old, has_next;
};

static int read_both(struct records *records, const char *instance,
		     struct shunt_err *err)
{
	int ret = shunt_steer_read(&records->old, instance, false, &records->has_old,
				   err);

	return ret ? ret
		   : shunt_steer_read(&records->next, instance, true,
				      &records->has_next, err);
}

static void free_both(struct records *records)
{
	shunt_steer_free(&records->old);
	shunt_steer_free(&records->next);
}

/* Is all as the record says, as far as is known without a look at the NIC? */
static bool is_settled(const struct records *records, const struct shunt_state *state)
{
	return !records->has_next &&
	       (state->place[SHUNT_HOOK_XDP].on || !records->old.filters) &&
	       records->old.ifindex == state->ifindex;
}

static int settle(const struct shunt_instance *instance, struct records *records,
		  const struct shunt_settling *settling, struct shunt_err *err)
{
	const struct shunt_state *state = settling->state;
	bool next = records->has_next && records->next.generation == state->generation;
	struct shunt_steer *won = next ? &records->next : &records->old;
	struct shunt_steer *lost = next ? &records->old : &records->next;
	_steer_nic_ struct shunt_steer_nic nic = SHUNT_STEER_NIC_NONE;
	int ret;

	if (!settling->again && is_settled(records, state))
		return 0;
	ret = shunt_steer_nic_open(&nic, instance->ifindex, settling->notes);
	if (ret)
		return 0; /* it is gone, and what was in it */
	nic.settles = true;
	if (!state->place[SHUNT_HOOK_XDP].on)
		drop_filters(won, lost);
	won->ifindex = instance->ifindex;
	ret = converge(&nic, won, lost, instance->name, next, err);
	return ret ? ret : put_record(won, instance->name, err);
}

static void unpin_new(const char *instance)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, SHUNT_STEER_NEW, NULL);
	unlink(path);
}

int shunt_steer_settle(const struct shunt_instance *instance,
		       const struct shunt_settling *settling, struct shunt_err *err)
{
	struct records records = { .has_old = false };
	int ret;

	unpin_new(instance->name);
	if (!pinned(instance->name, false) && !pinned(instance->name, true))
		return 0;
	ret = read_both(&records, instance->name, err);
	if (!ret)
		ret = settle(instance, &records, settling, err);
	free_both(&records);
	return ret;
}

/* --- removing ---------------------------------------------------------------- */

struct removal {
	const char *instance;
	struct shunt_err *err;
};

/* The interface may be another one of that name by now, or gone. */
static int remove_one(const struct shunt_steer *gone, struct shunt_err *err)
{
	const struct shunt_steer nothing = { .filters = 0 };
	_steer_nic_ struct shunt_steer_nic nic = SHUNT_STEER_NIC_NONE;
	int ret = shunt_steer_nic_open(&nic, gone->ifindex, NULL);

	if (ret)
		return 0;
	ret = shunt_steer_nic_delete(&nic, gone, &nothing, err);
	return ret ? ret : shunt_steer_nic_give_back(&nic, gone, &nothing, err);
}

static int remove_here(void *ctx)
{
	const struct removal *removal = ctx;
	struct records records = { .has_old = false };
	int ret = read_both(&records, removal->instance, removal->err);

	/* what steer_next has changed, it has changed after `steer` */
	if (!ret)
		ret = remove_one(&records.next, removal->err);
	if (!ret)
		ret = remove_one(&records.old, removal->err);
	free_both(&records);
	return ret;
}

int shunt_steer_remove(const char *instance, struct shunt_err *err)
{
	struct removal removal = { instance, err };
	int ret;

	if (!pinned(instance, false) && !pinned(instance, true))
		return 0;
	ret = shunt_namespaces_inside(instance, remove_here, &removal);
	return ret == -ESRCH ? 0 : ret; /* gone with its interfaces */
}

/* --- telling ----------------------------------------------------------------- */

static void show_filter(cJSON *list, const struct shunt_steer_filter *filter)
{
	cJSON *item = cJSON_CreateObject();
	char text[SHUNT_NTUPLE_TEXT];

	cJSON_AddStringToObject(item, "rule", filter->rule);
	cJSON_AddStringToObject(item, "consumer", filter->consumer);
	cJSON_AddStringToObject(item, "flow", shunt_ntuple_format(&filter->is, text));
	cJSON_AddNumberToObject(item, "queue", filter->is.queue);
	cJSON_AddNumberToObject(item, "location", filter->is.location);
	cJSON_AddItemToArray(list, item);
}

static void show_setting(cJSON *list, const struct shunt_steer_setting *setting)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "what", shunt_steer_what_name(setting->what));
	if (setting->what != SHUNT_STEER_COUNT)
		cJSON_AddNumberToObject(item, "queue", setting->queue);
	cJSON_AddStringToObject(item, "is", setting->is);
	cJSON_AddStringToObject(item, "was", setting->was);
	cJSON_AddItemToArray(list, item);
}

int shunt_steer_show(cJSON *reply, const char *instance, struct shunt_err *err)
{
	_steer_ struct shunt_steer steer = { .filters = 0 };
	cJSON *object = cJSON_AddObjectToObject(reply, "steering");
	cJSON *filters = cJSON_AddArrayToObject(object, "filters");
	cJSON *settings = cJSON_AddArrayToObject(object, "settings");
	/* on trial, what there is to be is in the NIC already */
	bool next = pinned(instance, true);
	int ret = shunt_steer_read(&steer, instance, next, NULL, err);
	size_t i;

	for (i = 0; i < steer.filters; i++)
		show_filter(filters, &steer.filter[i]);
	for (i = 0; i < steer.settings; i++)
		show_setting(settings, &steer.setting[i]);
	return ret;
}

bool shunt_steer_is_staged(const struct shunt_instance *instance)
{
	_steer_ struct shunt_steer steer = { .filters = 0 };

	if (pinned(instance->name, true))
		return true;
	/* a detach of XDP was killed before it took them out */
	return !instance->state->place[SHUNT_HOOK_XDP].on &&
	       !shunt_steer_read(&steer, instance->name, false, NULL, NULL) &&
	       steer.filters;
}

void shunt_steer_lost(const struct shunt_instance *instance,
		      void (*tell)(void *ctx, const char *what), void *ctx)
{
	_steer_ struct shunt_steer steer = { .filters = 0 };
	_steer_nic_ struct shunt_steer_nic nic = SHUNT_STEER_NIC_NONE;
	char text[SHUNT_NTUPLE_TEXT], what[256], now[SHUNT_CPUS_TEXT];
	size_t i;

	if (shunt_steer_nic_open(&nic, instance->ifindex, NULL) ||
	    shunt_steer_read(&steer, instance->name, false, NULL, NULL))
		return;
	if (steer.filters && shunt_steer_nic_look(&nic))
		return;
	for (i = 0; i < steer.filters; i++) {
		const struct shunt_ntuple *is = &steer.filter[i].is;

		if (shunt_steer_nic_find(&nic, is) != SHUNT_NTUPLE_ANYWHERE)
			continue;
		snprintf(what, sizeof(what), "filter %u of %s: %s", is->location,
			 nic.interface, shunt_ntuple_format(is, text));
		tell(ctx, what);
	}
	for (i = 0; i < steer.settings; i++) {
		const struct shunt_steer_setting *setting = &steer.setting[i];

		if (!shunt_steer_nic_get(&nic, setting, now) &&
		    shunt_steer_nic_is(setting, now))
			continue;
		snprintf(what, sizeof(what), "%s of queue %u of %s",
			 shunt_steer_what_name(setting->what), setting->queue,
			 nic.interface);
		tell(ctx, what);
	}
}
