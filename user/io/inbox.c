/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/inbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/percpu.h"
#include "user/base/clock.h"
#include "user/io/link.h"
#include "user/io/ring.h"

/* How often the interface is looked at: nobody tells us when it goes. */
#define CHECK_NS UINT64_C(10000000)

struct inbox_port {
	struct shunt_port port;
	struct shunt_inbox inbox;
	struct shunt_link link;
	struct shunt_ring *ring;
	uint64_t look_ns; /* when the link is looked at again */

	/* taken from the ring, and not yet copied */
	struct shunt_ring_record records[SHUNT_BURST];
	unsigned int n, at;
};

static struct inbox_port *of(struct shunt_port *port)
{
	return (struct inbox_port *)port;
}

/* A ring's record as our programs write it: the frame lies behind its length. */
static const struct shunt_inbox_record *read_record(
	const struct shunt_ring_record *record)
{
	return (const void *)record->event;
}

static unsigned int copy(struct inbox_port *p, struct shunt_frame *frames,
			 unsigned int max)
{
	const struct shunt_inbox_record *record = read_record(&p->records[p->at]);
	unsigned int n = shunt_packet_fill(p->port.pool, record->frame, record->len,
					   frames, max);

	p->port.count.rx_packets += n > 0;
	p->port.count.rx_bytes += n ? record->len : 0;
	return n;
}

static unsigned int inbox_rx(struct shunt_port *port, struct shunt_frame *frames,
			     unsigned int max)
{
	struct inbox_port *p = of(port);
	unsigned int n = 0, got = 1, first;

	if (p->at == p->n) {
		p->at = 0;
		p->n = shunt_ring_rx(p->ring, p->records,
				     max < SHUNT_BURST ? max : SHUNT_BURST);
		if (!p->n)
			shunt_ring_tidy(p->ring);
	}
	for (first = p->at; p->at < p->n && got; p->at += got > 0) {
		got = copy(p, frames + n, max - n);
		n += got;
	}
	if (p->at > first)
		shunt_ring_release_to(p->ring, &p->records[p->at - 1]);
	return n;
}

static unsigned int inbox_wait(struct shunt_port *port, struct pollfd *fds,
			       unsigned int max)
{
	struct inbox_port *p = of(port);

	if (!max)
		return 0;
	/* pairs with the program's submit, which comes before its look at `asleep`: it
	 * sees this, or we see its frame when we look once more */
	__atomic_store_n(&p->inbox.state->asleep, 1, __ATOMIC_SEQ_CST);
	*fds = (struct pollfd){ .fd = shunt_ring_fd(p->ring), .events = POLLIN };
	return 1;
}

static int inbox_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct inbox_port *p = of(port);
	uint64_t now = shunt_tick_ns();
	int ret;

	if (now < p->look_ns)
		return 0;
	p->look_ns = now + CHECK_NS;
	ret = shunt_link_look(&p->link, err);
	return ret ? shunt_fail_in(err, ret, "port %s: ", port->name) : 0;
}

static int inbox_stats(struct shunt_port *port, struct shunt_port_stats *stats,
		       struct shunt_err *err)
{
	uint64_t lost[SHUNT_INBOX_LOSSES];
	int ret = shunt_percpu_sum(of(port)->inbox.loss_fd, lost, SHUNT_INBOX_LOSSES,
				   err);

	if (ret)
		return ret;
	stats->rx_ring_full += lost[SHUNT_INBOX_FULL];
	stats->rx_dropped += lost[SHUNT_INBOX_LONG];
	return 0;
}

static int inbox_describe(struct shunt_port *port, cJSON *json)
{
	return cJSON_AddStringToObject(json, "interface", of(port)->link.name)
		       ? 0
		       : -ENOMEM;
}

static void inbox_close(struct shunt_port *port)
{
	struct inbox_port *p = of(port);

	shunt_ring_close(p->ring);
	shunt_link_close(&p->link);
	free(p);
}

/* In no table of backends, hence without `open`: it wants a program (shunt_inbox_open()). */
static const struct shunt_port_ops inbox_ops = {
	.scheme = "inbox",
	.help = "what a program of ours puts into a BPF ring buffer",
	.device = "INTERFACE",
	.close = inbox_close,
	.rx = inbox_rx,
	.tx = shunt_port_tx_none,
	.kick = inbox_kick,
	.wait = inbox_wait,
	.stats = inbox_stats,
	.describe = inbox_describe,
};

int shunt_inbox_open(struct shunt_port **port, const char *interface,
		     const struct shunt_inbox *inbox, struct shunt_pool *pool,
		     struct shunt_err *err)
{
	struct inbox_port *p = calloc(1, sizeof(*p));
	struct shunt_spec spec = { .scheme = "inbox", .rest = "" };
	int ret;

	*port = NULL;
	if (!p)
		return shunt_fail_errno(err, -ENOMEM, "open the inbox of %s",
					interface);
	snprintf(spec.device, sizeof(spec.device), "%s", interface);
	shunt_port_init(&p->port, &inbox_ops, &spec);
	p->port.caps = SHUNT_PORT_RX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI;
	p->port.pool = pool;
	p->inbox = *inbox;
	ret = shunt_link_open(&p->link, interface, err);
	if (!ret)
		ret = shunt_ring_open(&p->ring, inbox->ring_fd, err);
	if (ret) {
		inbox_close(&p->port);
		return ret;
	}
	*port = &p->port;
	return 0;
}
