/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/af_packet.h"

#include <errno.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

#include "user/base/clock.h"
#include "user/io/backends.h"
#include "user/io/link.h"

/* A block holds what a sender leaves uncut to its NIC: 64 KiB; thirty-two are 4 MiB. */
#define BLOCK_BYTES (128u << 10)
#define BLOCKS 32u
#define SLOTS 2048u
#define SLOT_BYTES 2048u
#define TX_FRAMES 512u
#define TX_BYTES (8u << 20) /* the transmit ring, unless a number of slots is given */

#define FILTER_ROOM 256u

#define FRAMES 1024u /* of the pool, unless one is given */

#define TAG_BYTES 4u
#define BLOCK_OVERHEAD 512u /* headers of the block and of the frame, and headroom */

/* How often the interface is looked at: nobody tells us when it goes. */
#define CHECK_NS UINT64_C(10000000)

struct options {
	unsigned int rx, tx, tx_ring, slots, promisc, bypass, fanout_mode;
	uint64_t blocks, block_bytes, timeout_ms, tx_frames, fanout;
	char filter[FILTER_ROOM];
};

/* In the order of PACKET_FANOUT_…. */
static const char *const fanout_modes[] = { "hash", "lb", "cpu", "rollover",
					    "rnd",  "qm", NULL };

static const char *const rings[] = { "blocks", "slots", NULL };

#define AT(member) .offset = offsetof(struct options, member)

static const struct shunt_spec_row option_rows[] = {
	{ "rx", SHUNT_SPEC_SWITCH, AT(rx), .help = "receive; on is the default" },
	{ "tx", SHUNT_SPEC_SWITCH, AT(tx), .help = "transmit; on is the default" },
	{ "promisc", SHUNT_SPEC_SWITCH, AT(promisc),
	  .help = "receive frames for other addresses, too; on is the default" },
	{ "ring", SHUNT_SPEC_CHOICE, .choices = rings, AT(slots), .value = "HOW",
	  .help = "blocks (the default) of many frames, for throughput, or slots of "
		  "one "
		  "frame that is seen at once, for latency" },
	{ "blocks", SHUNT_SPEC_NUMBER, 2, 65536, AT(blocks), .value = "N",
	  .help = "blocks of the receive ring (32 is the default), or slots (2048)" },
	{ "block", SHUNT_SPEC_NUMBER, 2048, 64u << 20, AT(block_bytes),
	  .value = "BYTES",
	  .help = "size of a block, a power of two (128K is the default), or of a slot "
		  "(by "
		  "the MTU)" },
	{ "timeout", SHUNT_SPEC_NUMBER, 1, 1000, AT(timeout_ms), .value = "MS",
	  .help = "milliseconds until a block that is not full is given to the reader; "
		  "1 "
		  "is the default" },
	{ "tx-frames", SHUNT_SPEC_NUMBER, 1, 65536, AT(tx_frames), .value = "N",
	  .help = "slots of the transmit ring; 512 is the default, or what 8M hold" },
	{ "tx-ring", SHUNT_SPEC_SWITCH, AT(tx_ring),
	  .help = "transmit by a ring, for throughput (the default); off is faster for "
		  "a frame that is sent alone" },
	{ "qdisc-bypass", SHUNT_SPEC_SWITCH, AT(bypass),
	  .help = "transmit past the queueing disciplines; on is the default" },
	{ "fanout", SHUNT_SPEC_NUMBER, 1, 65535, AT(fanout), .value = "GROUP",
	  .help = "share what comes with the other ports of this group" },
	{ "fanout-mode", SHUNT_SPEC_CHOICE, .choices = fanout_modes, AT(fanout_mode),
	  .value = "MODE",
	  .help = "how it is shared: hash of the flow (the default), lb (in turn), "
		  "cpu, "
		  "rollover, rnd, qm (the queue)" },
	{ "filter", SHUNT_SPEC_TEXT, AT(filter), .room = FILTER_ROOM,
	  .value = "EXPRESSION",
	  .help = "receive only what this says, as for tcpdump (see pcap-filter(7)), "
		  "without commas" },
	{ NULL },
};

struct packet_port {
	struct shunt_port port;
	struct options options;
	struct shunt_link link;
	uint64_t look_ns;  /* when it is looked at again */
	uint32_t slot_max; /* bytes of the longest frame that fits into a slot */
	struct shunt_packet_rx *rx;
	struct shunt_packet_tx *tx;
	struct shunt_packet_send *send; /* instead */
	struct shunt_memory
		*memory; /* for who makes frames; NULL: the opener has some */
};

static struct packet_port *of(struct shunt_port *port)
{
	return (struct packet_port *)port;
}

/* --- the interface ---------------------------------------------------------------------- */

/* 0 while frames can come and go. */
static int look(struct packet_port *p, struct shunt_err *err)
{
	int ret = shunt_link_look(&p->link, err), error;
	socklen_t bytes = sizeof(error);

	p->port.frame_max = p->link.mtu + ETH_HLEN;
	if (p->slot_max && p->port.frame_max > p->slot_max)
		p->port.frame_max = p->slot_max;
	/* what poll() would wake for again and again, also when it is up again */
	if (p->rx)
		(void)getsockopt(shunt_packet_rx_fd(p->rx), SOL_SOCKET, SO_ERROR,
				 &error, &bytes);
	return ret ? shunt_fail_in(err, ret, "port %s: ", p->port.name) : 0;
}

/* --- frames ----------------------------------------------------------------------------- */

static unsigned int packet_rx(struct shunt_port *port, struct shunt_frame *frames,
			      unsigned int max)
{
	struct packet_port *p = of(port);

	return p->rx ? shunt_packet_rx_take(p->rx, frames, max, &port->count) : 0;
}

/* The kernel takes a tag in addition to the MTU. */
static bool fits(const struct packet_port *p, const struct shunt_frame *frame,
		 uint32_t bytes)
{
	uint16_t type;

	if (bytes < ETH_HLEN)
		return false;
	if (bytes <= p->port.frame_max)
		return true;
	if (bytes != p->port.frame_max + TAG_BYTES || bytes > p->slot_max ||
	    frame->len < ETH_HLEN)
		return false;
	memcpy(&type, frame->data + 2 * ETH_ALEN, sizeof(type));
	return type == htons(ETHERTYPE_VLAN);
}

/* By the ring, which has a copy then, or as it is. */
static bool put(struct packet_port *p, const struct shunt_frame *frames, unsigned int n,
		uint32_t bytes)
{
	if (p->send)
		return shunt_packet_send_put(p->send, frames, n);
	if (!shunt_packet_tx_put(p->tx, frames, n, bytes))
		return false;
	shunt_frames_put(frames, n);
	return true;
}

static unsigned int packet_tx(struct shunt_port *port, struct shunt_frame *frames,
			      unsigned int n)
{
	struct packet_port *p = of(port);
	unsigned int done = 0, count;
	uint32_t bytes;

	if (!p->tx && !p->send)
		return shunt_port_tx_none(port, frames, n);
	for (; done < n; done += count) {
		count = shunt_packet_frames(frames + done, n - done, &bytes);
		if (!count)
			break;
		if (!fits(p, frames + done, bytes)) {
			port->count.tx_refused++;
			shunt_frames_put(frames + done, count);
			continue;
		}
		if (!put(p, frames + done, count, bytes))
			break;
		port->count.tx_packets++;
		port->count.tx_copied++;
		port->count.tx_bytes += bytes;
	}
	return done;
}

/* 0 or -errno. */
static int send_what_waits(struct packet_port *p)
{
	int ret;

	if (p->send)
		return shunt_packet_send_kick(p->send, &p->port.count);
	ret = p->tx ? shunt_packet_tx_kick(p->tx) : 0;
	if (ret <= 0)
		return ret;
	p->port.count.wakeups++;
	return 0;
}

static int packet_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct packet_port *p = of(port);
	int ret = send_what_waits(p);
	uint64_t now = shunt_tick_ns();

	if (ret || now >= p->look_ns) {
		int gone = look(p, err);

		p->look_ns = now + CHECK_NS;
		if (gone)
			return gone;
	}
	return ret ? shunt_fail_errno(err, ret, "port %s: transmit", port->name) : 0;
}

static unsigned int packet_wait(struct shunt_port *port, struct pollfd *fds,
				unsigned int max)
{
	struct packet_port *p = of(port);

	if (!p->rx || !max)
		return 0;
	fds[0] = (struct pollfd){ .fd = shunt_packet_rx_fd(p->rx), .events = POLLIN };
	return 1;
}

/* --- opening ---------------------------------------------------------------------------- */

static uint32_t power_above(uint32_t bytes, uint32_t least)
{

	while (bytes < least)
		bytes *= 2;
	return bytes;
}

static int check_options(struct packet_port *p, struct shunt_err *err)
{
	struct options *options = &p->options;
	uint32_t least = p->link.mtu + ETH_HLEN + TAG_BYTES + BLOCK_OVERHEAD;

	if (!options->rx && !options->tx)
		return shunt_fail(err, -EINVAL,
				  "port %s: with rx=off and tx=off nothing is left",
				  p->port.name);
	if (options->fanout_mode && !options->fanout)
		return shunt_fail(err, -EINVAL,
				  "port %s: fanout-mode: of which group? fanout=GROUP "
				  "says",
				  p->port.name);
	if (!options->blocks)
		options->blocks = options->slots ? SLOTS : BLOCKS;
	if (!options->block_bytes)
		options->block_bytes =
			power_above(options->slots ? SLOT_BYTES : BLOCK_BYTES, least);
	if (options->slots && options->blocks % 2)
		options->blocks++; /* two of the smallest fill a page */
	if (options->block_bytes & (options->block_bytes - 1) ||
	    options->block_bytes < least)
		return shunt_fail(
			err, -EINVAL,
			"port %s: block=%llu: it takes a power of two, from %u "
			"on for an MTU of %u",
			p->port.name, (unsigned long long)options->block_bytes,
			power_above(options->slots ? SLOT_BYTES : 4096, least),
			p->link.mtu);
	return 0;
}

static int open_rx(struct packet_port *p, struct shunt_err *err)
{
	const struct options *options = &p->options;
	const struct shunt_packet_rx_opts opts = {
		.name = p->port.name,
		.ifindex = p->link.ifindex,
		.slots = (int)options->slots,
		.blocks = (uint32_t)options->blocks,
		.block_bytes = (uint32_t)options->block_bytes,
		.timeout_ms = (uint32_t)options->timeout_ms,
		.promisc = (int)options->promisc,
		.fanout = (uint32_t)options->fanout,
		.fanout_mode = options->fanout_mode,
		.filter = options->filter,
	};
	int ret = shunt_packet_rx_open(&p->rx, &opts, err);

	if (ret)
		return ret;
	p->port.caps |= SHUNT_PORT_RX | SHUNT_PORT_WAIT;
	return 0;
}

static int open_tx(struct packet_port *p, struct shunt_err *err)
{
	struct shunt_packet_tx_opts opts = {
		.name = p->port.name,
		.ifindex = p->link.ifindex,
		.frames = (uint32_t)p->options.tx_frames,
		.frame_max = p->link.mtu + ETH_HLEN + TAG_BYTES,
		.bypass = (int)p->options.bypass,
	};
	uint32_t most = TX_BYTES / power_above(4096, opts.frame_max);

	if (!opts.frames)
		opts.frames = most < TX_FRAMES ? most : TX_FRAMES;
	p->options.tx_frames = opts.frames;
	p->slot_max = opts.frame_max;
	p->port.caps |= SHUNT_PORT_TX | SHUNT_PORT_MULTI;
	if (!p->options.tx_ring)
		return shunt_packet_send_open(&p->send, &opts, err);
	return shunt_packet_tx_open(&p->tx, &opts, err);
}

static int open_link(struct packet_port *p, const char *name, struct shunt_err *err)
{
	int ret = shunt_link_open(&p->link, name, err);

	if (ret)
		return shunt_fail_in(err, ret, "port %s: ", p->port.name);
	if (p->link.type != ARPHRD_ETHER && p->link.type != ARPHRD_LOOPBACK)
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "port %s: its frames are not Ethernet's (type %u)",
				  p->port.name, p->link.type);
	return look(p, err);
}

/* The rings lend and copy frames; those that the user of the port makes lie elsewhere. */
static int open_pool(struct packet_port *p, struct shunt_pool *given,
		     struct shunt_err *err)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts), .frames = FRAMES };
	int ret = 0;

	p->port.pool = given;
	if (given)
		return 0;
	if (p->tx || p->send)
		ret = shunt_memory_open(&p->memory, &opts, err);
	if (!ret)
		p->port.pool =
			p->memory ? &p->memory->pool : shunt_packet_rx_pool(p->rx);
	return ret;
}

static void packet_close(struct shunt_port *port)
{
	struct packet_port *p = of(port);

	shunt_packet_tx_close(p->tx);
	shunt_packet_send_close(p->send);
	shunt_packet_rx_close(p->rx);
	shunt_memory_close(p->memory);
	shunt_link_close(&p->link);
	free(p);
}

static int packet_open(struct shunt_port **port, const struct shunt_spec *spec,
		       const struct shunt_port_opts *opts, struct shunt_err *err)
{
	struct packet_port *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return shunt_fail_errno(err, -ENOMEM, "open port %s:%s", spec->scheme,
					spec->device);
	p->link = (struct shunt_link)SHUNT_LINK_NONE;
	p->options = (struct options){ .rx = 1,
				       .tx = 1,
				       .tx_ring = 1,
				       .promisc = 1,
				       .bypass = 1,
				       .timeout_ms = 1 };
	shunt_port_init(&p->port, &shunt_af_packet_ops, spec);
	ret = shunt_spec_read(spec, option_rows, &p->options, err);
	if (!ret)
		ret = open_link(p, spec->device, err);
	if (!ret)
		ret = check_options(p, err);
	if (!ret && p->options.rx)
		ret = open_rx(p, err);
	if (!ret && p->options.tx)
		ret = open_tx(p, err);
	if (!ret)
		ret = open_pool(p, opts->pool, err);
	if (ret) {
		packet_close(&p->port);
		return ret;
	}
	*port = &p->port;
	return 0;
}

/* --- what it is -------------------------------------------------------------------------- */

static int packet_stats(struct shunt_port *port, struct shunt_port_stats *stats,
			struct shunt_err *err)
{
	struct packet_port *p = of(port);
	int ret = p->rx ? shunt_packet_rx_stats(p->rx, &port->count, err) : 0;

	*stats = port->count;
	return ret;
}

static int packet_describe(struct shunt_port *port, cJSON *json)
{
	const struct packet_port *p = of(port);
	const struct options *options = &p->options;

	if (!cJSON_AddStringToObject(json, "interface", p->link.name) ||
	    !cJSON_AddNumberToObject(json, "mtu", p->link.mtu))
		return -ENOMEM;
	if (p->rx &&
	    (!cJSON_AddStringToObject(json, "ring", rings[options->slots]) ||
	     !cJSON_AddNumberToObject(json, "blocks", (double)options->blocks) ||
	     !cJSON_AddNumberToObject(json, "block_bytes",
				      (double)options->block_bytes) ||
	     !cJSON_AddNumberToObject(json, "timeout_ms",
				      (double)options->timeout_ms) ||
	     !cJSON_AddBoolToObject(json, "promisc", options->promisc != 0)))
		return -ENOMEM;
	if (options->fanout &&
	    (!cJSON_AddNumberToObject(json, "fanout", (double)options->fanout) ||
	     !cJSON_AddStringToObject(json, "fanout_mode",
				      fanout_modes[options->fanout_mode])))
		return -ENOMEM;
	if ((p->tx || p->send) &&
	    (!cJSON_AddBoolToObject(json, "tx_ring", p->tx != NULL) ||
	     !cJSON_AddNumberToObject(json, "tx_frames", (double)options->tx_frames) ||
	     !cJSON_AddBoolToObject(json, "qdisc_bypass", options->bypass != 0)))
		return -ENOMEM;
	return 0;
}

const struct shunt_port_ops shunt_af_packet_ops = {
	.scheme = "af_packet",
	.help = "packet sockets over shared rings: every driver has them",
	.device = "INTERFACE",
	.options = option_rows,
	.open = packet_open,
	.close = packet_close,
	.rx = packet_rx,
	.tx = packet_tx,
	.kick = packet_kick,
	.wait = packet_wait,
	.stats = packet_stats,
	.describe = packet_describe,
};
