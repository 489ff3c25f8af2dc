/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/spec.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512

int shunt_spec_split(struct shunt_spec *spec, const char *text, struct shunt_err *err)
{
	const char *colon = strchr(text, ':');
	const char *comma = strchr(text, ',');
	size_t scheme, device;

	if (!colon || (comma && comma < colon))
		return shunt_fail(err, -EINVAL,
				  "port \"%s\": it reads SCHEME:DEVICE[,KEY=VALUE]..., "
				  "such as af_xdp:eth1,queues=0",
				  text);
	scheme = (size_t)(colon - text);
	device = comma ? (size_t)(comma - colon) - 1 : strlen(colon + 1);
	if (!scheme || scheme >= sizeof(spec->scheme) || !device ||
	    device >= sizeof(spec->device))
		return shunt_fail(err, -EINVAL,
				  "port \"%s\": its %s is missing or too long", text,
				  !scheme || scheme >= sizeof(spec->scheme) ? "scheme"
									    : "device");
	spec->noun = "port";
	memcpy(spec->scheme, text, scheme);
	spec->scheme[scheme] = '\0';
	memcpy(spec->device, colon + 1, device);
	spec->device[device] = '\0';
	spec->rest = comma ? comma + 1 : "";
	return 0;
}

/* --- one value -------------------------------------------------------------------- */

static int fail_value(const struct shunt_spec *spec, const char *key, const char *value,
		      const char *wanted, struct shunt_err *err)
{
	return shunt_fail(err, -EINVAL, "%s %s:%s: %s=%s: it takes %s", spec->noun,
			  spec->scheme, spec->device, key, value, wanted);
}

static bool read_whole(const char *text, const char **end, uint64_t *number)
{
	char *after;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &after, 10);
	*end = after;
	return !errno;
}

static bool read_number(const char *text, uint64_t *number)
{
	static const char units[] = "KMG";
	const char *end, *unit;

	if (!read_whole(text, &end, number))
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (*number > UINT64_MAX >> shift)
			return false;
		*number <<= shift;
		end++;
	}
	return !*end;
}

/* "0", "0-3", "0+2-3", "all" */
static bool read_queues(const char *text, uint64_t *queues)
{
	*queues = 0;
	if (!strcmp(text, "all")) {
		*queues = UINT64_MAX;
		return true;
	}
	for (;;) {
		uint64_t first, last;
		const char *end;

		if (!read_whole(text, &end, &first))
			return false;
		last = first;
		if (*end == '-' && !read_whole(end + 1, &end, &last))
			return false;
		if (first > last || last > 63)
			return false;
		*queues |= (UINT64_MAX >> (63 - last)) & (UINT64_MAX << first);
		if (!*end)
			return true;
		if (*end != '+')
			return false;
		text = end + 1;
	}
}

static int read_choice(const struct shunt_spec *spec, const struct shunt_spec_row *row,
		       const char *value, unsigned int *to, struct shunt_err *err)
{
	char words[TEXT_MAX] = "one of";
	unsigned int i;

	for (i = 0; row->choices[i]; i++) {
		if (!strcmp(row->choices[i], value)) {
			*to = i;
			return 0;
		}
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s %s",
			 i ? "," : "", row->choices[i]);
	}
	return fail_value(spec, row->key, value, words, err);
}

static int read_switch(const struct shunt_spec *spec, const struct shunt_spec_row *row,
		       const char *value, unsigned int *to, struct shunt_err *err)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return fail_value(spec, row->key, value, "on or off", err);
	*to = !strcmp(value, "on");
	return 0;
}

static int read_value(const struct shunt_spec *spec, const struct shunt_spec_row *row,
		      const char *value, void *values, struct shunt_err *err)
{
	void *to = (char *)values + row->offset;
	char wanted[96];
	uint64_t number;

	switch (row->type) {
	case SHUNT_SPEC_CHOICE:
		return read_choice(spec, row, value, to, err);
	case SHUNT_SPEC_SWITCH:
		return read_switch(spec, row, value, to, err);
	case SHUNT_SPEC_QUEUES:
		if (!read_queues(value, &number))
			return fail_value(
				spec, row->key, value,
				"queues from 0 to 63, such as 0, 0-3, 0+2, or "
				"all",
				err);
		memcpy(to, &number, sizeof(number));
		return 0;
	case SHUNT_SPEC_TEXT:
		if (!*value || strlen(value) >= row->room)
			return fail_value(spec, row->key, value, "a shorter text", err);
		strcpy(to, value);
		return 0;
	default:
		snprintf(wanted, sizeof(wanted), "a number from %llu to %llu",
			 (unsigned long long)row->min, (unsigned long long)row->max);
		if (!read_number(value, &number) || number < row->min ||
		    number > row->max)
			return fail_value(spec, row->key, value, wanted, err);
		memcpy(to, &number, sizeof(number));
		return 0;
	}
}

/* --- all of them ------------------------------------------------------------------- */

static int fail_key(const struct shunt_spec *spec, const struct shunt_spec_row *rows,
		    const char *key, struct shunt_err *err)
{
	char keys[TEXT_MAX] = "";

	for (; rows->key; rows++)
		snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s%s",
			 *keys ? ", " : "", rows->key);
	return shunt_fail(err, -EINVAL,
			  "%s %s:%s: there is no option \"%s\"; it has %s", spec->noun,
			  spec->scheme, spec->device, key, *keys ? keys : "none");
}

static int read_option(const struct shunt_spec *spec, const struct shunt_spec_row *rows,
		       char *option, void *values, uint64_t *seen,
		       struct shunt_err *err)
{
	char *equals = strchr(option, '=');
	size_t i;

	if (equals)
		*equals = '\0';
	for (i = 0; rows[i].key && strcmp(rows[i].key, option) != 0;)
		i++;
	if (!rows[i].key)
		return fail_key(spec, rows, option, err);
	if (*seen >> i & 1)
		return shunt_fail(err, -EINVAL, "%s %s:%s: %s is given twice",
				  spec->noun, spec->scheme, spec->device, option);
	*seen |= UINT64_C(1) << i;
	if (!equals && rows[i].type != SHUNT_SPEC_SWITCH)
		return shunt_fail(err, -EINVAL, "%s %s:%s: %s takes a value: %s=%s",
				  spec->noun, spec->scheme, spec->device, option,
				  option, rows[i].value);
	return read_value(spec, &rows[i], equals ? equals + 1 : "on", values, err);
}

int shunt_spec_read(const struct shunt_spec *spec, const struct shunt_spec_row *rows,
		    void *values, struct shunt_err *err)
{
	const char *at = spec->rest;
	uint64_t seen = 0;
	char option[TEXT_MAX];

	while (*at) {
		size_t bytes = strcspn(at, ",");
		int ret;

		if (bytes >= sizeof(option))
			return shunt_fail(err, -EINVAL,
					  "%s %s:%s: an option of %zu bytes is too "
					  "long",
					  spec->noun, spec->scheme, spec->device,
					  bytes);
		memcpy(option, at, bytes);
		option[bytes] = '\0';
		ret = read_option(spec, rows, option, values, &seen, err);
		if (ret)
			return ret;
		at += bytes;
		if (*at == ',')
			at++;
	}
	return 0;
}
