/* SPDX-License-Identifier: BSD-2-Clause */
/* save: all instances into a document, and that into files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/instance.h"
#include "loader/lock.h"
#include "loader/reply.h"
#include "loader/saved.h"
#include "loader/shunt.h"
#include "loader/spaces.h"
#include "loader/probation.h"
#include "loader/visit.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"
#include "user/base/folder.h"
#include "user/base/json.h"

/* An instance that was read, in the order in which they were attached. */
struct found {
	struct shunt_saved saved;
	uint32_t order;
};

struct save {
	const struct shunt_save_opts *opts;
	struct shunt_spaces spaces;
	struct found *found;
	size_t n;
	cJSON *keep; /* names of files whose instance is there, but was not saved */
	cJSON *reply;
	size_t failed; /* instances that cannot be read */
};

/* --- reading the instances ---------------------------------------------------- */

/* The interface of an instance's name: the reverse of shunt_instance_name(). */
static void decode(char interface[IF_NAMESIZE], const char *instance)
{
	const char *colon = strchr(instance, ':'), *at = colon ? colon + 1 : instance;
	size_t n = 0;

	while (*at && n < IF_NAMESIZE - 1) {
		unsigned int byte = (unsigned char)*at;

		at += *at == '%' && sscanf(at + 1, "%2x", &byte) == 1 ? 3 : 1;
		interface[n++] = byte;
	}
	interface[n] = 0;
}

/* It is there, and is not saved: a file that has it from before stays. */
static void keep_file(struct save *save, const char *instance,
		      const struct shunt_space *space)
{
	char name[SHUNT_SAVED_NAME], interface[IF_NAMESIZE];

	decode(interface, instance);
	if (!shunt_saved_name(name, space->name, interface, NULL))
		cJSON_AddItemToArray(save->keep, cJSON_CreateString(name));
}

static void note_failed(struct save *save, const char *instance, const char *why)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "instance", instance);
	cJSON_AddStringToObject(item, "error", why);
	cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(save->reply, "failed"),
			     item);
	save->failed++;
}

/*
 * attached_at counts seconds by a clock that may be set; ids of maps only ever grow, and
 * this map is an instance's for as long as that lives.
 */
static uint32_t order_of(const struct shunt_instance *instance)
{
	return shunt_maps_id(instance->maps.fd[SHUNT_MAP_GEN]);
}

/* Under the lock, so that policy and members belong together. 1: it is not saved. */
static int take(struct save *save, struct found *found, const char *name,
		const struct shunt_space *space, struct shunt_err *err)
{
	_visit_ struct shunt_visit visit = SHUNT_VISIT_NONE;
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	int lock, ret = shunt_visit_begin(&visit, space->name, err);

	if (!ret)
		ret = shunt_lock(&lock, name, err);
	if (ret)
		return ret;
	if (!shunt_instance_exists(name)) { /* it was detached meanwhile */
		shunt_unlock_gone(lock, name);
		return 1;
	}
	ret = shunt_instance_open_named(&instance, name, err);
	if (ret) {
		close(lock);
		return ret;
	}
	instance.lock = lock;
	ret = shunt_probation_skip(&instance, err);
	if (ret)
		return ret;
	if (shunt_instance_alive(&instance)) {
		found->order = order_of(&instance);
		return shunt_saved_take(&found->saved, &instance, space->name, err);
	}
	keep_file(save, name, space);
	shunt_reply_warn(
		save->reply,
		"%s is left out: its interface is gone; `shunt detach --stale` "
		"removes what it has left",
		instance.state->interface);
	return 1;
}

static int take_named(struct save *save, const char *name, struct shunt_err *err)
{
	const struct shunt_space *space = shunt_spaces_of(&save->spaces, name);
	struct shunt_err why = { "" };
	int ret;

	if (!space) {
		if (save->opts->all_netns)
			shunt_reply_warn(save->reply,
					 "%s is left out: its network namespace has no "
					 "name in /run/netns, so that a restore could "
					 "not find it; `ip netns attach` gives it one",
					 name);
		return 0;
	}
	ret = take(save, &save->found[save->n], name, space, &why);
	if (!ret)
		save->n++;
	if (ret >= 0)
		return 0;
	if (ret == -ENOMEM || !save->opts->dir)
		return shunt_fail(err, ret,
				  "save %s: %s; nothing was written. `shunt detach` "
				  "removes an instance that is broken",
				  name, why.message);
	keep_file(save, name, space);
	note_failed(save, name, why.message);
	return 0;
}

static int by_order(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return (x->order > y->order) - (x->order < y->order);
}

static int take_all(struct save *save, struct shunt_err *err)
{
	_folder_ struct shunt_folder tree = { 0 };
	int i, ret = shunt_folder_read(&tree, SHUNT_BPFFS_TREE);

	if (ret && ret != -ENOENT)
		return shunt_fail_errno(err, ret, "list " SHUNT_BPFFS_TREE);
	save->found = calloc(tree.n + 1, sizeof(*save->found));
	if (!save->found)
		return shunt_fail(err, -ENOMEM, "save: out of memory");
	for (i = 0, ret = 0; !ret && i < tree.n; i++)
		ret = take_named(save, tree.entry[i]->d_name, err);
	if (!ret && save->n)
		qsort(save->found, save->n, sizeof(*save->found), by_order);
	return ret;
}

/* --- the document --------------------------------------------------------------- */

/* What is written must be what can be read: a file that restores less is worse than none. */
static int prove(const char *text, struct shunt_err *err)
{
	struct shunt_saved *list;
	_free_ char *again = NULL;
	_json_ cJSON *json = NULL;
	size_t n, i;
	int ret =
		shunt_saved_parse(&list, &n, text, strlen(text), "what was saved", err);

	for (i = 0; !ret && i < n; i++)
		if (list[i].fault)
			ret = shunt_fail(err, -EINVAL, "%s: %s", list[i].interface,
					 list[i].fault);
	if (!ret) {
		json = shunt_saved_json(list, n);
		again = json ? shunt_saved_text(json) : NULL;
		if (!again)
			ret = shunt_fail(err, -ENOMEM, "out of memory");
		else if (strcmp(again, text))
			ret = shunt_fail(err, -EINVAL, "it reads otherwise");
	}
	shunt_saved_free(list, n);
	return ret ? shunt_fail_in(err, ret,
				   "what would be saved could not be restored, hence "
				   "nothing is written: ")
		   : 0;
}

/* The document of n instances, and its bytes. */
static int make_text(const struct found *found, size_t n, cJSON **document, char **text,
		     struct shunt_err *err)
{
	_free_ struct shunt_saved *list = calloc(n + 1, sizeof(*list));
	size_t i;
	int ret;

	for (i = 0; list && i < n; i++)
		list[i] = found[i].saved;
	*document = list ? shunt_saved_json(list, n) : NULL;
	*text = *document ? shunt_saved_text(*document) : NULL;
	ret = *text ? prove(*text, err)
		    : shunt_fail(err, -ENOMEM, "save: out of memory");
	if (!ret)
		return 0;
	free(*text);
	cJSON_Delete(*document);
	*text = NULL;
	*document = NULL;
	return ret;
}

/* --- files ---------------------------------------------------------------------- */

static void note_file(struct save *save, const char *key, const char *path)
{
	cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(save->reply, key),
			     cJSON_CreateString(path));
}

static int write_one(struct save *save, const struct found *found,
		     struct shunt_err *err)
{
	_json_ cJSON *document = NULL;
	_free_ char *text = NULL, *path = NULL;
	char name[SHUNT_SAVED_NAME];
	int ret =
		shunt_saved_name(name, found->saved.netns, found->saved.interface, err);

	if (!ret)
		ret = make_text(found, 1, &document, &text, err);
	if (!ret && asprintf(&path, "%s/%s", save->opts->dir, name) < 0)
		ret = shunt_fail(err, -ENOMEM, "save: out of memory");
	if (!ret)
		ret = shunt_file_replace(path, text, strlen(text), err);
	if (ret)
		return ret;
	cJSON_AddItemToArray(save->keep, cJSON_CreateString(name));
	note_file(save, "files", path);
	return 0;
}

static bool listed(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item,
			   list) if (!strcmp(item->valuestring, name)) return true;
	return false;
}

/* Did this save look where the instance lived? Another one answers for other places. */
static bool in_scope(const struct save *save, const struct shunt_saved *saved)
{
	const struct shunt_space *own = &save->spaces.at[0];

	if (!saved->netns)
		return !own->name;
	return save->opts->all_netns || (own->name && !strcmp(own->name, saved->netns));
}

/* Is it a file of ours, of one instance that is gone? */
static bool is_gone(const struct save *save, const char *path, const char *name)
{
	char own[SHUNT_SAVED_NAME];
	struct shunt_saved *list = NULL;
	_free_ char *text = NULL;
	size_t bytes, n = 0;
	bool gone;

	if (shunt_file_read(path, SHUNT_SAVE_MAX, &text, &bytes, NULL) ||
	    shunt_saved_parse(&list, &n, text, bytes, path, NULL))
		return false;
	gone = n == 1 && !list->fault && in_scope(save, list) &&
	       !shunt_saved_name(own, list->netns, list->interface, NULL) &&
	       !strcmp(own, name);
	shunt_saved_free(list, n);
	return gone;
}

static int remove_gone(struct save *save, struct shunt_err *err)
{
	_folder_ struct shunt_folder folder = { 0 };
	int i, ret = shunt_folder_read(&folder, save->opts->dir);

	if (ret)
		return shunt_fail_errno(err, ret, "list %s", save->opts->dir);
	for (i = 0; i < folder.n; i++) {
		const char *name = folder.entry[i]->d_name;
		_free_ char *path = NULL;

		if (!shunt_saved_is_name(name) || listed(save->keep, name))
			continue;
		if (asprintf(&path, "%s/%s", save->opts->dir, name) < 0)
			return shunt_fail(err, -ENOMEM, "save: out of memory");
		if (!is_gone(save, path, name))
			continue;
		if (unlink(path))
			return shunt_fail_errno(err, -errno, "remove %s", path);
		note_file(save, "removed", path);
	}
	return 0;
}

static int write_dir(struct save *save, struct shunt_err *err)
{
	size_t i;
	int ret = 0;

	if (mkdir(save->opts->dir, 0700) && errno != EEXIST)
		return shunt_fail_errno(err, -errno, "make the folder %s",
					save->opts->dir);
	for (i = 0; !ret && i < save->n; i++)
		ret = write_one(save, &save->found[i], err);
	return ret ? ret : remove_gone(save, err);
}

/* --- all of it -------------------------------------------------------------------- */

static int save_all(struct save *save, cJSON **document, struct shunt_err *err)
{
	const struct shunt_save_opts *opts = save->opts;
	_free_ char *text = NULL;
	bool mounted;
	int ret = shunt_bpffs_ready(false, &mounted, err);

	if (!ret)
		ret = shunt_spaces_find(&save->spaces, opts->netns, opts->all_netns,
					err);
	if (!ret)
		ret = take_all(save, err);
	if (!ret)
		ret = make_text(save->found, save->n, document, &text, err);
	if (!ret && opts->file) {
		ret = shunt_file_replace(opts->file, text, strlen(text), err);
		if (!ret)
			note_file(save, "files", opts->file);
	}
	if (!ret && opts->dir)
		ret = write_dir(save, err);
	return ret;
}

static void save_free(struct save *save)
{
	size_t i;

	for (i = 0; i < save->n; i++)
		shunt_saved_clear(&save->found[i].saved);
	free(save->found);
	shunt_spaces_free(&save->spaces);
	cJSON_Delete(save->keep);
	cJSON_Delete(save->reply);
}

int shunt_save(const struct shunt_save_opts *opts, cJSON **document, cJSON **reply,
	       struct shunt_err *err)
{
	static const struct shunt_save_opts none = { .sz = sizeof(none) };
	struct save save = {
		.opts = opts ? opts : &none,
		.keep = cJSON_CreateArray(),
		.reply = cJSON_CreateObject(),
	};
	int ret;

	*document = *reply = NULL;
	cJSON_AddStringToObject(save.reply, "schema", "shunt.save.files/1");
	cJSON_AddArrayToObject(save.reply, "files");
	cJSON_AddArrayToObject(save.reply, "removed");
	cJSON_AddArrayToObject(save.reply, "failed");
	cJSON_AddArrayToObject(save.reply, "warnings");
	ret = save_all(&save, document, err);
	if (ret) {
		cJSON_Delete(*document);
		*document = NULL;
	} else {
		cJSON_AddNumberToObject(save.reply, "instances", save.n);
		*reply = shunt_steal(&save.reply);
		if (save.failed)
			ret = shunt_fail(
				err, -EIO,
				"save: %zu instance%s could not be read: %s; "
				"`shunt detach` removes what is broken",
				save.failed, save.failed == 1 ? "" : "s",
				shunt_json_str(cJSON_GetObjectItemCaseSensitive(
						       *reply, "failed")
						       ->child,
					       "instance"));
	}
	save_free(&save);
	return ret;
}
