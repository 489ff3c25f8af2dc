/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/steer_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/record.h"
#include "maps/abi.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

#define SCHEMA "shunt.steer/1"

static const char *const what_names[] = {
#define X(id, value, name) [value] = name,
	SHUNT_STEER_SETTINGS(X)
#undef X
};

#define WHATS (sizeof(what_names) / sizeof(*what_names))

const char *shunt_steer_what_name(enum shunt_steer_what what)
{
	return what_names[what];
}

void shunt_steer_free(struct shunt_steer *steer)
{
	free(steer->filter);
	free(steer->setting);
	memset(steer, 0, sizeof(*steer));
}

void shunt_steer_cleanup(struct shunt_steer *steer)
{
	shunt_steer_free(steer);
}

/* One more of so many, zeroed; NULL: no memory, and the array stays. */
static void *grow(void **array, size_t *n, size_t size)
{
	char *grown = realloc(*array, (*n + 1) * size);

	if (!grown)
		return NULL;
	*array = grown;
	memset(grown + *n * size, 0, size);
	return grown + size * (*n)++;
}

struct shunt_steer_filter *shunt_steer_add_filter(struct shunt_steer *steer)
{
	return grow((void **)&steer->filter, &steer->filters, sizeof(*steer->filter));
}

struct shunt_steer_setting *shunt_steer_add_setting(struct shunt_steer *steer)
{
	return grow((void **)&steer->setting, &steer->settings,
		    sizeof(*steer->setting));
}

bool shunt_steer_has_flow(const struct shunt_steer *steer,
			  const struct shunt_ntuple *is)
{
	size_t f;

	for (f = 0; f < steer->filters; f++)
		if (shunt_ntuple_same_flow(&steer->filter[f].is, is))
			return true;
	return false;
}

/* --- to JSON ----------------------------------------------------------------- */

static const char *const side_keys[] = { "src", "dst" };
static const char *const port_keys[] = { "sport", "dport" };

static cJSON *filter_json(const struct shunt_steer_filter *filter)
{
	const struct shunt_ntuple *is = &filter->is;
	cJSON *item = cJSON_CreateObject();
	char text[SHUNT_PREFIX_TEXT];
	int side;

	cJSON_AddStringToObject(item, "rule", filter->rule);
	cJSON_AddStringToObject(item, "consumer", filter->consumer);
	cJSON_AddNumberToObject(item, "family", is->family);
	cJSON_AddNumberToObject(item, "proto", is->proto);
	for (side = 0; side < SHUNT_SIDES; side++) {
		if (is->addr[side].bits)
			cJSON_AddStringToObject(item, side_keys[side],
						shunt_prefix_format(&is->addr[side],
								    text));
		if (is->port[side])
			cJSON_AddNumberToObject(item, port_keys[side], is->port[side]);
	}
	cJSON_AddNumberToObject(item, "queue", is->queue);
	cJSON_AddNumberToObject(item, "location", is->location);
	return item;
}

static cJSON *setting_json(const struct shunt_steer_setting *setting)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "what", what_names[setting->what]);
	cJSON_AddNumberToObject(item, "queue", setting->queue);
	cJSON_AddStringToObject(item, "was", setting->was);
	cJSON_AddStringToObject(item, "is", setting->is);
	return item;
}

static char *to_text(const struct shunt_steer *steer)
{
	_json_ cJSON *root = cJSON_CreateObject();
	cJSON *list;
	size_t i;

	cJSON_AddStringToObject(root, "schema", SCHEMA);
	cJSON_AddNumberToObject(root, "abi", SHUNT_ABI);
	shunt_json_add_u64(root, "generation", steer->generation);
	cJSON_AddNumberToObject(root, "ifindex", steer->ifindex);
	list = cJSON_AddArrayToObject(root, "filters");
	for (i = 0; i < steer->filters; i++)
		cJSON_AddItemToArray(list, filter_json(&steer->filter[i]));
	list = cJSON_AddArrayToObject(root, "settings");
	for (i = 0; i < steer->settings; i++)
		cJSON_AddItemToArray(list, setting_json(&steer->setting[i]));
	return cJSON_PrintUnformatted(root);
}

/* --- from JSON --------------------------------------------------------------- */

static int get_filter(struct shunt_steer *steer, const cJSON *item)
{
	struct shunt_steer_filter *filter = shunt_steer_add_filter(steer);
	int side, ret = 0;

	if (!filter)
		return -ENOMEM;
	snprintf(filter->rule, sizeof(filter->rule), "%s",
		 shunt_json_str(item, "rule"));
	snprintf(filter->consumer, sizeof(filter->consumer), "%s",
		 shunt_json_str(item, "consumer"));
	filter->is.family = shunt_json_u64(item, "family");
	filter->is.proto = shunt_json_u64(item, "proto");
	filter->is.queue = shunt_json_u64(item, "queue");
	filter->is.location = shunt_json_u64(item, "location");
	for (side = 0; !ret && side < SHUNT_SIDES; side++) {
		filter->is.port[side] = shunt_json_u64(item, port_keys[side]);
		if (cJSON_HasObjectItem(item, side_keys[side]))
			ret = shunt_prefix_parse(&filter->is.addr[side],
						 shunt_json_str(item, side_keys[side]),
						 NULL);
	}
	if (filter->is.family != 4 && filter->is.family != 6)
		ret = -EPROTO;
	return ret ? -EPROTO : 0;
}

static int get_setting(struct shunt_steer *steer, const cJSON *item)
{
	struct shunt_steer_setting *setting = shunt_steer_add_setting(steer);
	size_t what;

	if (!setting)
		return -ENOMEM;
	for (what = 0; what < WHATS; what++)
		if (!strcmp(what_names[what], shunt_json_str(item, "what")))
			break;
	setting->what = what;
	setting->queue = shunt_json_u64(item, "queue");
	snprintf(setting->was, sizeof(setting->was), "%s", shunt_json_str(item, "was"));
	snprintf(setting->is, sizeof(setting->is), "%s", shunt_json_str(item, "is"));
	return what < WHATS ? 0 : -EPROTO;
}

static int from_text(struct shunt_steer *steer, const char *text)
{
	_json_ cJSON *root = cJSON_Parse(text);
	const cJSON *item;
	int ret = 0;

	if (!root || strcmp(shunt_json_str(root, "schema"), SCHEMA) ||
	    shunt_json_u64(root, "abi") != SHUNT_ABI)
		return -EPROTO;
	steer->generation = shunt_json_u64(root, "generation");
	steer->ifindex = shunt_json_u64(root, "ifindex");
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "filters"))
		ret = ret ? ret : get_filter(steer, item);
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "settings"))
		ret = ret ? ret : get_setting(steer, item);
	return ret;
}

/* --- the pin ----------------------------------------------------------------- */

bool shunt_steer_is_pin(const char *leaf)
{
	return !strcmp(leaf, "steer") || !strcmp(leaf, "steer_next") ||
	       !strcmp(leaf, SHUNT_STEER_NEW);
}

void shunt_steer_path(char path[SHUNT_PIN_MAX], const char *instance, bool next)
{
	shunt_pin_path(path, instance, next ? "steer_next" : "steer", NULL);
}

int shunt_steer_read(struct shunt_steer *steer, const char *instance, bool next,
		     bool *there, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	_free_ char *text = NULL;
	int ret;

	memset(steer, 0, sizeof(*steer));
	shunt_steer_path(path, instance, next);
	ret = shunt_record_read(&text, path, err);
	if (there)
		*there = !ret;
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	ret = from_text(steer, text);
	if (!ret)
		return 0;
	shunt_steer_free(steer);
	return shunt_fail(
		err, ret,
		"%s cannot be read: it is damaged, or was written by another "
		"version of Shunt. `ethtool -n` lists the NIC's filters; `rm` "
		"this file once those that are Shunt's are out",
		path);
}

int shunt_steer_write(const struct shunt_steer *steer, const char *instance, bool next,
		      struct shunt_err *err)
{
	_free_ char *text = to_text(steer);
	char path[SHUNT_PIN_MAX], new[SHUNT_PIN_MAX];
	int ret;

	if (!text)
		return shunt_fail(err, -ENOMEM,
				  "remember what is steered: out of memory");
	/* by a rename: a record that is lost is a NIC that nobody clears */
	shunt_pin_path(new, instance, SHUNT_STEER_NEW, NULL);
	shunt_steer_path(path, instance, next);
	ret = shunt_record_write(text, "shunt_steer", new, err);
	if (!ret && rename(new, path))
		ret = shunt_fail_errno(err, -errno, "rename %s to %s", new, path);
	return ret;
}
