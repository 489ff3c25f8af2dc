/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/port.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "user/base/cleanup.h"
#include "user/io/af_xdp.h"
#include "user/io/backends.h"
#include "user/io/dpdk.h"
#include "user/io/ship.h"

#define SLEEP_FDS 256

/* clang-format off */
const struct shunt_port_ops *const shunt_port_backends[] = {
	&shunt_af_xdp_ops,
	&shunt_af_packet_ops,
	&shunt_dpdk_port_ops,
	&shunt_ringbuf_port_ops,
	&shunt_pcap_ops,
	&shunt_ship_port_ops,
	NULL,
};
/* clang-format on */

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

static const struct {
	uint32_t bit;
	const char *name, *help;
} cap_rows[] = {
#define CAP_ROW(name, bit, text, help) { 1u << (bit), text, help },
	SHUNT_PORT_CAPS(CAP_ROW)
};

#define CAP_ROWS (sizeof(cap_rows) / sizeof(*cap_rows))

int shunt_port_need(const struct shunt_port *port, uint32_t caps, struct shunt_err *err)
{
	size_t i;

	for (i = 0; i < CAP_ROWS; i++)
		if (caps & ~port->caps & cap_rows[i].bit)
			return shunt_fail(err, -EOPNOTSUPP,
					  "port %s lacks the capability \"%s\" (%s), "
					  "as it was opened",
					  port->name, cap_rows[i].name,
					  cap_rows[i].help);
	return 0;
}

static bool add_caps(cJSON *json, uint32_t caps)
{
	cJSON *list = cJSON_AddArrayToObject(json, "capabilities");
	size_t i;

	for (i = 0; list && i < CAP_ROWS; i++)
		if (caps & cap_rows[i].bit &&
		    !cJSON_AddItemToArray(list, cJSON_CreateString(cap_rows[i].name)))
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
