/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/port.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "user/base/cleanup.h"
#include "user/io/af_xdp.h"

#define SLEEP_FDS 256

const struct shunt_port_ops *const shunt_port_backends[] = {
	&shunt_af_xdp_ops,
	NULL,
};

static int fail_scheme(const char *scheme, struct shunt_err *err)
{
	char names[256] = "";
	size_t i;

	for (i = 0; shunt_port_backends[i]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? ", " : "", shunt_port_backends[i]->scheme);
	return shunt_fail(err, -EPROTONOSUPPORT,
			  "there is no kind of port called \"%s\"; there are %s",
			  scheme, names);
}

int shunt_port_open(struct shunt_port **port, const char *text,
		    const struct shunt_port_opts *opts, struct shunt_err *err)
{
	struct shunt_port_opts given = { 0 };
	struct shunt_spec spec;
	size_t i;
	int ret = shunt_spec_split(&spec, text, err);

	*port = NULL;
	if (ret)
		return ret;
	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	for (i = 0; shunt_port_backends[i]; i++)
		if (!strcmp(shunt_port_backends[i]->scheme, spec.scheme))
			return shunt_port_backends[i]->open(port, &spec, &given, err);
	return fail_scheme(spec.scheme, err);
}

void shunt_port_close(struct shunt_port *port)
{
	if (port)
		port->ops->close(port);
}

void shunt_port_init(struct shunt_port *port, const struct shunt_port_ops *ops,
		     const struct shunt_spec *spec)
{
	port->ops = ops;
	snprintf(port->name, sizeof(port->name), "%s:%.*s", spec->scheme,
		 (int)(sizeof(port->name) - sizeof(spec->scheme) - 1), spec->device);
}

int shunt_port_sleep(struct shunt_port *const *ports, unsigned int n,
		     uint64_t timeout_ns)
{
	struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
				    .tv_nsec = (long)(timeout_ns % 1000000000u) };
	struct pollfd fds[SLEEP_FDS];
	unsigned int i, used = 0;

	for (i = 0; i < n; i++)
		used += ports[i]->ops->wait(ports[i], fds + used, SLEEP_FDS - used);
	return ppoll(fds, used, &timeout, NULL) < 0 ? -errno : 0;
}

int shunt_port_stats(struct shunt_port *port, struct shunt_port_stats *stats,
		     struct shunt_err *err)
{
	*stats = port->count;
	return port->ops->stats(port, stats, err);
}

static bool add_caps(cJSON *json, uint32_t caps)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} rows[] = {
#define CAP_ROW(name, bit, text, help) { 1u << (bit), text },
		SHUNT_PORT_CAPS(CAP_ROW)
	};
	cJSON *list = cJSON_AddArrayToObject(json, "capabilities");
	size_t i;

	for (i = 0; list && i < sizeof(rows) / sizeof(*rows); i++)
		if (caps & rows[i].bit &&
		    !cJSON_AddItemToArray(list, cJSON_CreateString(rows[i].name)))
			return false;
	return list;
}

cJSON *shunt_port_describe(struct shunt_port *port)
{
	_json_ cJSON *json = cJSON_CreateObject();

	if (!json || !cJSON_AddStringToObject(json, "port", port->name) ||
	    !add_caps(json, port->caps) ||
	    !cJSON_AddNumberToObject(json, "frame_max", port->frame_max) ||
	    port->ops->describe(port, json))
		return NULL;
	return shunt_steal(&json);
}

/* --- packets of several frames -------------------------------------------------------- */

uint32_t shunt_packet_copy(uint8_t *to, const struct shunt_frame *frames,
			   unsigned int n)
{
	uint32_t bytes = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		memcpy(to + bytes, frames[i].data, frames[i].len);
		bytes += frames[i].len;
	}
	return bytes;
}

unsigned int shunt_packet_frames(const struct shunt_frame *frames, unsigned int n,
				 uint32_t *bytes)
{
	unsigned int i;

	*bytes = 0;
	for (i = 0; i < n; i++) {
		*bytes += frames[i].len;
		if (!(frames[i].flags & SHUNT_FRAME_MORE))
			return i + 1;
	}
	return 0;
}
