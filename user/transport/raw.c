/* SPDX-License-Identifier: BSD-2-Clause */
/* raw://: UDP by packet sockets, past the kernel's own. */

/*
 * A sender beyond a veth that leaves it to its NIC to cut bursts into datagrams (UDP_SEGMENT)
 * has them arrive uncut: they fit into no slot, and are counted in rx_dropped. A wire, and
 * whatever receives by XDP, brings datagrams.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/cleanup.h"
#include "user/transport/backends.h"
#include "user/transport/station.h"

struct values {
	struct shunt_station_values station;
	unsigned int blocks; /* 0: slots */
	unsigned int bypass;
};

static const char *const rings[] = { "slots", "blocks", NULL };

#define AT(member) .offset = offsetof(struct values, member)

static const struct shunt_spec_row option_rows[] = {
	SHUNT_STATION_ROWS,
	{ "ring", SHUNT_SPEC_CHOICE, .choices = rings, AT(blocks), .value = "HOW",
	  .help = "slots (the default), where each datagram is seen at once, or blocks "
		  "of many, for rate" },
	{ "qdisc-bypass", SHUNT_SPEC_SWITCH, AT(bypass), .value = "on|off",
	  .help = "send past the queueing disciplines (default: on)" },
	{ NULL },
};

static const struct values defaults = { .station = SHUNT_STATION_VALUES, .bypass = 1 };

/* The port, as a user would write it; the kernel delivers no more than what is for us. */
static int open_port(struct shunt_station *station, const struct values *values,
		     struct shunt_port **port, struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts),
					      .pool = station->transport.pool };
	const struct shunt_endpoint *local = &station->host.local;
	const bool six = local->l3 == SHUNT_L3_IP6;
	char address[INET6_ADDRSTRLEN], text[512];

	inet_ntop(six ? AF_INET6 : AF_INET, local->addr, address, sizeof(address));
	snprintf(text, sizeof(text),
		 "af_packet:%s,ring=%s,promisc=off,tx-ring=off,qdisc-bypass=%s,"
		 "filter=(udp dst port %u and dst host %s)%s",
		 station->link.name, rings[values->blocks],
		 values->bypass ? "on" : "off", local->port, address,
		 !station->own ? ""
		 : six	       ? " or icmp6"
			       : " or arp or icmp");
	return shunt_port_open(port, text, &opts, err);
}

/* For what is sent; what is received lies in the socket's ring. */
static int open_memory(struct shunt_station *station, struct shunt_err *err)
{
	struct shunt_transport *transport = &station->transport;
	struct shunt_memory_opts opts = { .sz = sizeof(opts),
					  .frames = transport->options.buffers,
					  .frame_bytes = SHUNT_MEMORY_FRAME_BYTES };
	int ret;

	while (opts.frame_bytes < SHUNT_MEMORY_HEADROOM + station->link.mtu)
		opts.frame_bytes *= 2;
	ret = shunt_memory_open(&transport->memory, &opts, err);
	if (!ret)
		transport->pool = &transport->memory->pool;
	return ret;
}

static int raw_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		    const void *options, struct shunt_err *err)
{
	struct shunt_station *station = (struct shunt_station *)transport;
	const struct values *values = options;
	struct shunt_port *port;
	int ret = shunt_station_begin(station, &values->station, false, err);

	(void)uri;
	if (!ret)
		ret = open_memory(station, err);
	if (!ret)
		ret = open_port(station, values, &port, err);
	return ret ? ret : shunt_station_use(station, port, port, err);
}

static void raw_close(struct shunt_transport *transport)
{
	shunt_station_end((struct shunt_station *)transport);
}

static const char *raw_absent(char *room, size_t bytes)
{
	_fd_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		return NULL;
	snprintf(room, bytes,
		 "no packet socket can be opened (%s), which takes "
		 "CAP_NET_RAW",
		 strerror(errno));
	return room;
}

const struct shunt_transport_ops shunt_raw_ops = {
	.scheme = "raw",
	.help = "UDP by packet sockets, with headers made in user space",
	.options = option_rows,
	.options_bytes = sizeof(struct values),
	.defaults = &defaults,
	.bytes = sizeof(struct shunt_station),
	SHUNT_STATION_OPS,
	.absent = raw_absent,
	.open = raw_open,
	.close = raw_close,
};
