/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports over AF_XDP: the sockets of one or several queues of an interface. */
#include "user/io/af_xdp_impl.h"

#include <stdlib.h>

#include "user/base/clock.h"

/* At most that often the interface is looked at: the kernel tells nobody when it goes. */
#define LOOK_NS UINT64_C(250000000)

static struct shunt_af_xdp *of(struct shunt_port *port)
{
	return (struct shunt_af_xdp *)port;
}

/* --- telling the ledger ------------------------------------------------------------- */

/* Who asks for more is done with what it got before. */
static void tell_received(struct shunt_af_xdp_lane *lane)
{
	uint64_t received = shunt_xsk_received(lane->xsk);

	if (received == lane->told)
		return;
	lane->told = received;
	shunt_teller_frames(&lane->teller, received - lane->discarded, lane->discarded);
}

static int ask_drops(const struct shunt_af_xdp *af, struct shunt_af_xdp_lane *lane,
		     struct shunt_xsk_stats *drops, struct shunt_err *err)
{
	int ret = 0;

	if (af->gone)
		*drops = lane->lost;
	else
		ret = shunt_xsk_stats(lane->xsk, drops, err);

	if (!ret)
		shunt_teller_drops(&lane->teller, drops->rx_ring_full,
				   drops->rx_dropped, drops->rx_fill_ring_empty);
	return ret;
}

void shunt_af_xdp_tell(struct shunt_af_xdp *af)
{
	struct shunt_xsk_stats drops;
	unsigned int i;

	for (i = 0; i < af->lanes; i++) {
		tell_received(&af->lane[i]);
		if (ask_drops(af, &af->lane[i], &drops, NULL))
			return; /* kick tells what is wrong with it */
	}
}

/* Between two bursts: shows that it lives, and looks for a successor. */
static void tend(struct shunt_af_xdp *af, bool anyway)
{
	uint64_t now;

	if (!af->fed)
		return;
	/* who spins asks often, and for the price of a coarse clock */
	now = shunt_tick_ns();
	if (now == af->tended_ns && !anyway && !shunt_handover_waits(&af->host))
		return;
	af->tended_ns = now;
	now = shunt_now_ns();
	shunt_heart_beat(&af->heart, now);
	shunt_handover_tend(af, now, anyway);
}

/* --- frames -------------------------------------------------------------------------- */

static unsigned int af_xdp_rx(struct shunt_port *port, struct shunt_frame *frames,
			      unsigned int max)
{
	struct shunt_af_xdp *af = of(port);
	unsigned int i, n = 0, at = af->next;

	tend(af, false);
	if (shunt_handover_waits(&af->host))
		return 0;
	for (i = 0; i < af->lanes; i++) {
		struct shunt_af_xdp_lane *lane = &af->lane[at];

		/* what is left must hold a packet of many frames */
		if (n && (n == max || (port->caps & SHUNT_PORT_MULTI &&
				       max - n < SHUNT_XSK_FRAMES_MAX)))
			break;
		at = at + 1 == af->lanes ? 0 : at + 1;
		tell_received(lane);
		n += shunt_xsk_rx(lane->xsk, frames + n, max - n);
	}
	af->next = at;
	return n;
}

static unsigned int af_xdp_tx(struct shunt_port *port, struct shunt_frame *frames,
			      unsigned int n)
{
	if (!(port->caps & SHUNT_PORT_TX))
		return shunt_port_tx_none(port, frames, n);
	return shunt_xsk_tx(of(port)->lane[0].xsk, frames, n);
}

/* From time to time: is the interface there, and what has the kernel lost? */
static int look_after(struct shunt_af_xdp *af, struct shunt_err *err)
{
	struct shunt_xsk_stats drops;
	unsigned int i;
	int ret = shunt_serve_check(&af->served, err);

	for (i = 0; !ret && i < af->lanes; i++) {
		ret = shunt_xsk_check(af->lane[i].xsk, err);
		if (!ret && af->lane[i].teller.seat)
			ret = ask_drops(af, &af->lane[i], &drops, err);
	}
	return ret;
}

static int af_xdp_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct shunt_af_xdp *af = of(port);
	int ret = af->gone ? 0 : shunt_xsk_kick(af->lane[0].xsk, err);
	uint64_t now;

	if (ret || af->gone)
		return ret;
	now = shunt_tick_ns();
	if (now - af->looked_ns < LOOK_NS)
		return 0;
	af->looked_ns = now;
	return look_after(af, err);
}

static unsigned int af_xdp_wait(struct shunt_port *port, struct pollfd *fds,
				unsigned int max)
{
	struct shunt_af_xdp *af = of(port);
	unsigned int i, n = 0;

	tend(af, true);
	if (af->gone)
		return 0;
	n = shunt_heart_wait(&af->heart, fds, max);
	if (shunt_handover_fd(&af->host) >= 0 && n < max)
		fds[n++] = (struct pollfd){ .fd = shunt_handover_fd(&af->host),
					    .events = POLLIN };
	for (i = 0; af->receives && i < af->lanes && n < max; i++) {
		tell_received(&af->lane[i]);
		shunt_xsk_fill(af->lane[i].xsk);
		fds[n++] = (struct pollfd){ .fd = shunt_xsk_fd(af->lane[i].xsk),
					    .events = POLLIN };
	}
	return n;
}

static int af_xdp_stats(struct shunt_port *port, struct shunt_port_stats *stats,
			struct shunt_err *err)
{
	struct shunt_af_xdp *af = of(port);
	struct shunt_xsk_stats drops;
	unsigned int i;

	for (i = 0; i < af->lanes; i++) {
		int ret = ask_drops(af, &af->lane[i], &drops, err);

		if (ret)
			return ret;
		stats->rx_dropped += drops.rx_dropped;
		stats->rx_ring_full += drops.rx_ring_full;
		stats->rx_fill_empty += drops.rx_fill_ring_empty;
		stats->rx_invalid += drops.rx_invalid_descs;
		stats->tx_failed += drops.tx_invalid_descs;
	}
	return 0;
}

/* --- being fed, and the end ------------------------------------------------------------- */

int shunt_af_xdp_feed(struct shunt_port *port, int xskmap_fd, uint32_t slot,
		      struct shunt_seats *seats, struct shunt_err *err)
{
	struct shunt_af_xdp *af = of(port);
	struct shunt_xsk_facts facts;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < af->lanes; i++) {
		shunt_xsk_facts(af->lane[i].xsk, &facts);
		ret = shunt_teller_open(&af->lane[i].teller, seats, facts.queue,
					facts.ring, err);
	}
	af->fed = true;
	for (i = 0; !ret && i < af->lanes; i++)
		ret = shunt_xsk_register(af->lane[i].xsk, xskmap_fd, slot, err);
	return ret;
}

static void af_xdp_stop(struct shunt_port *port)
{
	struct shunt_af_xdp *af = of(port);
	unsigned int i;

	if (!af->fed)
		return;
	for (i = 0; i < af->lanes; i++)
		shunt_xsk_unregister(af->lane[i].xsk);
	if (af->served.fd >= 0)
		shunt_serve_starve(&af->served);
	shunt_xsk_settle();
	af->fed = false;
}

uint64_t shunt_af_xdp_discard(struct shunt_port *port)
{
	struct shunt_af_xdp *af = of(port);
	struct shunt_frame frames[SHUNT_BURST];
	uint64_t before, sum = 0;
	unsigned int i, n;

	shunt_handover_close(&af->host); /* it is too late to ask */

	for (i = 0; i < af->lanes; i++) {
		struct shunt_af_xdp_lane *lane = &af->lane[i];

		tell_received(lane);
		before = shunt_xsk_received(lane->xsk);
		while ((n = shunt_xsk_rx(lane->xsk, frames, SHUNT_BURST)))
			shunt_frames_put(frames, n);
		lane->discarded += shunt_xsk_received(lane->xsk) - before;
		sum += shunt_xsk_received(lane->xsk) - before;
		tell_received(lane);
	}
	return sum;
}

void shunt_af_xdp_close(struct shunt_port *port)
{
	struct shunt_af_xdp *af = of(port);
	struct shunt_xsk_stats drops;
	unsigned int i;

	af_xdp_stop(port);
	shunt_af_xdp_discard(port);
	for (i = 0; i < af->lanes; i++) {
		/* the watch has counted the drops as well */
		if (!ask_drops(af, &af->lane[i], &drops, NULL))
			shunt_teller_leave(&af->lane[i].teller);
		shunt_xsk_close(af->lane[i].xsk);
	}
	shunt_serve_leave(&af->served);
	shunt_handover_close(&af->host);
	shunt_heart_close(&af->heart);
	shunt_seats_close(af->seats);
	shunt_memory_close(af->own);
	free(af);
}

const struct shunt_port_ops shunt_af_xdp_ops = {
	.scheme = "af_xdp",
	.help = "AF_XDP sockets that a policy's consumer is served by, or that only "
		"transmit",
	.device = "INTERFACE",
	.options = shunt_af_xdp_options,
	.open = shunt_af_xdp_open,
	.close = shunt_af_xdp_close,
	.rx = af_xdp_rx,
	.tx = af_xdp_tx,
	.kick = af_xdp_kick,
	.wait = af_xdp_wait,
	.stop = af_xdp_stop,
	.stats = af_xdp_stats,
	.describe = shunt_af_xdp_describe,
};
