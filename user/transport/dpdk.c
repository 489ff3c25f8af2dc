/* SPDX-License-Identifier: BSD-2-Clause */
/* dpdk://: UDP by a DPDK port, which takes the interface wholly. */
#include <stdio.h>

#include "user/io/plugin.h"
#include "user/transport/backends.h"
#include "user/transport/station.h"

#define QUEUES 64u

struct values {
	struct shunt_station_values station;
	uint64_t ring, memory, busy;
	unsigned int huge;
	char queues[QUEUES];
};

#define AT(member)                                                                     \
	.offset = offsetof(struct values, member),                                     \
	.room = sizeof(((struct values *)0)->member)

static const struct shunt_spec_row option_rows[] = {
	SHUNT_STATION_ROWS,
	{ "queues", SHUNT_SPEC_TEXT, AT(queues), .value = "0-3",
	  .help = "queues of the interface, in a row (default: 0)" },
	{ "ring", SHUNT_SPEC_NUMBER, 64, 32768, AT(ring), .value = "PLACES",
	  .help = "places of a queue, each way (default: 2048)" },
	{ "busy", SHUNT_SPEC_NUMBER, 0, 65535, AT(busy), .value = "FRAMES",
	  .help = "busy polling with this budget (default: 0, none)" },
	{ "memory", SHUNT_SPEC_NUMBER, 16u << 20, 1ull << 40, AT(memory),
	  .value = "256M",
	  .help = "for all of DPDK in this process, said by the first one (default: "
		  "256M)" },
	{ "huge", SHUNT_SPEC_SWITCH, AT(huge), .value = "on|off",
	  .help = "huge pages, said by the first one as well (default: off)" },
	{ NULL },
};

static const struct values defaults = { .station = SHUNT_STATION_VALUES,
					.ring = 2048,
					.memory = 256u << 20,
					.queues = "0" };

static const char *dpdk_absent(char *room, size_t bytes)
{
	const struct shunt_port_ops *ops;
	struct shunt_err err;

	if (!shunt_plugin_open_port(&ops, "dpdk", "libdpdk-dev", &err))
		return NULL;
	snprintf(room, bytes, "%s", err.message);
	return room;
}

/* The port as a user would write it. */
static int open_port(const struct shunt_station *station, const struct values *values,
		     struct shunt_port **port, struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts) };
	char text[256];

	snprintf(text, sizeof(text),
		 "dpdk:%s,queues=%s,ring=%llu,memory=%llu,huge=%s,busy=%llu",
		 station->link.name, values->queues, (unsigned long long)values->ring,
		 (unsigned long long)values->memory, values->huge ? "on" : "off",
		 (unsigned long long)values->busy);
	return shunt_port_open(port, text, &opts, err);
}

static int dpdk_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		     const void *options, struct shunt_err *err)
{
	struct shunt_station *station = (struct shunt_station *)transport;
	const struct values *values = options;
	struct shunt_port *port;
	int ret = shunt_station_begin(station, &values->station, true, err);

	(void)uri;
	if (!ret)
		ret = open_port(station, values, &port, err);
	return ret ? ret : shunt_station_use(station, port, port, err);
}

static void dpdk_close(struct shunt_transport *transport)
{
	shunt_station_end((struct shunt_station *)transport);
}

const struct shunt_transport_ops shunt_dpdk_ops = {
	.scheme = "dpdk",
	.help = "UDP by DPDK, which takes the interface away from the kernel",
	.options = option_rows,
	.options_bytes = sizeof(struct values),
	.defaults = &defaults,
	.bytes = sizeof(struct shunt_station),
	SHUNT_STATION_OPS,
	.absent = dpdk_absent,
	.open = dpdk_open,
	.close = dpdk_close,
};
