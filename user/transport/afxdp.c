/* SPDX-License-Identifier: BSD-2-Clause */
/* afxdp://: UDP by AF_XDP sockets, past the kernel's stack. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/cleanup.h"
#include "user/io/feed.h"
#include "user/transport/backends.h"
#include "user/transport/station.h"

#define NAME 64u
#define QUEUES 64u

struct values {
	struct shunt_station_values station;
	uint64_t ring, tx_ring;
	unsigned int mode;
	char queues[QUEUES];
	char consumer[NAME];
};

struct afxdp {
	struct shunt_station station;
	struct shunt_feed *feed; /* NULL: a policy of the user's feeds it */
};

/* As the port has them. */
static const char *const modes[] = { "auto",   "zero-copy", "copy",
				     "native", "generic",   NULL };

#define AT(member)                                                                     \
	.offset = offsetof(struct values, member),                                     \
	.room = sizeof(((struct values *)0)->member)

static const struct shunt_spec_row option_rows[] = {
	SHUNT_STATION_ROWS,
	{ "queues", SHUNT_SPEC_TEXT, AT(queues), .value = "QUEUES",
	  .help = "0, 0-3, 0+2 or all: where our datagrams arrive (default: all)" },
	{ "consumer", SHUNT_SPEC_TEXT, AT(consumer), .value = "NAME",
	  .help = "serve this consumer of the interface's own policy, which must "
		  "redirect our datagrams there (default: a policy is made that "
		  "does)" },
	{ "ring", SHUNT_SPEC_NUMBER, 64, 32768, AT(ring), .value = "PLACES",
	  .help = "datagrams that may wait in each queue, a power of two (default: "
		  "2048)" },
	{ "tx-ring", SHUNT_SPEC_NUMBER, 64, 32768, AT(tx_ring), .value = "PLACES",
	  .help = "the same for sending (default: 2048)" },
	{ "mode", SHUNT_SPEC_CHOICE, .choices = modes, AT(mode), .value = "MODE",
	  .help = "insist on zero-copy, copy, native or generic; auto (the default) "
		  "takes the best that there is" },
	{ NULL },
};

static const struct values defaults = { .station = SHUNT_STATION_VALUES,
					.ring = SHUNT_FEED_RING,
					.tx_ring = SHUNT_FEED_RING };

/* --- opening ------------------------------------------------------------------------------- */

/* What the policy hands over: datagrams to our address and port, and nothing else. */
static void write_match(const struct shunt_endpoint *local, char *match, size_t bytes)
{
	const bool six = local->l3 == SHUNT_L3_IP6;
	char address[INET6_ADDRSTRLEN];

	inet_ntop(six ? AF_INET6 : AF_INET, local->addr, address, sizeof(address));
	snprintf(match, bytes,
		 "{ \"dst\": \"%s/%u\", \"proto\": \"udp\", \"dport\": %u }", address,
		 six ? 128 : 32, local->port);
}

/* The port as a user would write it; a feed adds whose packets it receives. */
static void write_spec(const struct shunt_station *station, const struct values *values,
		       char *text, size_t bytes)
{
	snprintf(text, bytes, "af_xdp:%s,mode=%s,ring=%llu,tx-ring=%llu%s%s%s%s",
		 station->link.name, modes[values->mode],
		 (unsigned long long)values->ring, (unsigned long long)values->tx_ring,
		 *values->queues ? ",queues=" : "", values->queues,
		 *values->consumer ? ",consumer=" : "", values->consumer);
}

static int open_port(struct afxdp *self, const struct values *values,
		     struct shunt_port **port, struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts) };
	struct shunt_station *station = &self->station;
	struct shunt_feed_opts feed = { 0 };
	char match[160], text[512], *spec;
	int ret;

	write_match(&station->host.local, match, sizeof(match));
	write_spec(station, values, text, sizeof(text));
	feed.match = match;
	ret = shunt_feed_open(&self->feed, &spec, text, true, &feed, err);
	if (!ret)
		ret = shunt_port_open(port, spec, &opts, err);
	free(spec);
	return ret;
}

static int afxdp_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		      const void *options, struct shunt_err *err)
{
	struct afxdp *self = (struct afxdp *)transport;
	struct shunt_station *station = &self->station;
	const struct values *values = options;
	struct shunt_port *port;
	int ret = shunt_station_begin(station, &values->station, false, err);

	(void)uri;
	if (!ret && station->own)
		return shunt_fail(
			err, -EADDRNOTAVAIL,
			"%s has no such address, and whoever asks for it by ARP "
			"or NDP is heard by the kernel alone: add it to the "
			"interface (`ip addr add`), or take raw:// or dpdk://",
			station->link.name);
	if (!ret)
		ret = open_port(self, values, &port, err);
	return ret ? ret : shunt_station_use(station, port, port, err);
}

static void afxdp_close(struct shunt_transport *transport)
{
	struct afxdp *self = (struct afxdp *)transport;

	shunt_station_end(&self->station);
	if (shunt_feed_close(self->feed, NULL)) {
		/* the policy stays, passes everything, and the next one takes it on */
	}
}

static const char *afxdp_absent(char *room, size_t bytes)
{
	_fd_ int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		return NULL;
	snprintf(room, bytes,
		 "no AF_XDP socket can be opened (%s): it takes "
		 "CONFIG_XDP_SOCKETS in the kernel, and CAP_NET_RAW",
		 strerror(errno));
	return room;
}

const struct shunt_transport_ops shunt_afxdp_ops = {
	.scheme = "afxdp",
	.help = "UDP by AF_XDP sockets, fed by a policy that hands them over",
	.options = option_rows,
	.options_bytes = sizeof(struct values),
	.defaults = &defaults,
	.bytes = sizeof(struct afxdp),
	SHUNT_STATION_OPS,
	.absent = afxdp_absent,
	.open = afxdp_open,
	.close = afxdp_close,
};
