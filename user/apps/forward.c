/* SPDX-License-Identifier: BSD-2-Clause */
/* forward: out of another port, out of the same one, or where a table says. */
#include <errno.h>
#include <stdlib.h>

#include "user/apps/lane.h"
#include "user/net/mac.h"

/*
 * Reading is by whole bursts, and only while every lane that a burst may fill is empty: so
 * a lane of one burst is room enough, and a full port stops those that feed it.
 */
struct forward {
	struct shunt_app app;
	struct shunt_lane lane[SHUNT_RUN_APP_PORTS]; /* by the port that sends */
};

static unsigned int other_port(const struct forward *forward, unsigned int port)
{
	return forward->app.config->mode == SHUNT_RUN_SWAP ? port : port ^ 1;
}

/* --- opening ------------------------------------------------------------------------ */

static int fail_cannot_send(const struct shunt_port *from, const struct shunt_port *to,
			    struct shunt_err *err)
{
	return shunt_fail(
		err, -EOPNOTSUPP,
		"forward: %s would send what %s receives, and it cannot send: "
		"choose another port, or another --mode",
		to->name, from->name);
}

/* What comes in somewhere must have a way out. */
static int check(const struct forward *forward, struct shunt_err *err)
{
	const struct shunt_app *app = &forward->app;
	unsigned int i, receive = 0;

	for (i = 0; i < app->ports; i++) {
		const struct shunt_port *from = app->port[i], *to = from;

		if (app->config->mode != SHUNT_RUN_TABLE)
			to = app->port[other_port(forward, i)];
		if (!(from->caps & SHUNT_PORT_RX))
			continue;
		receive++;
		if (app->config->mode != SHUNT_RUN_TABLE && !(to->caps & SHUNT_PORT_TX))
			return fail_cannot_send(from, to, err);
	}
	for (i = 0; i < app->config->table.hops; i++) {
		const struct shunt_port *to = app->port[app->config->table.hop[i].port];

		if (!(to->caps & SHUNT_PORT_TX))
			return shunt_fail(
				err, -EOPNOTSUPP,
				"forward: routes/%u of the table sends to %s, "
				"which cannot send",
				i, to->name);
	}
	return receive ? 0
		       : shunt_fail(err, -EOPNOTSUPP,
				    "forward: none of the ports can receive");
}

static int open_forward(struct shunt_app **out, const struct shunt_run_app *config,
			struct shunt_port *const *ports, struct shunt_err *err)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	unsigned int i;
	int ret;

	*out = NULL;
	if (!forward)
		return shunt_fail_errno(err, -ENOMEM, "forward");
	shunt_app_init(&forward->app, &shunt_app_forward, config, ports);
	for (i = 0; i < config->ports; i++) {
		forward->lane[i].app = &forward->app;
		forward->lane[i].port = ports[i];
	}
	ret = check(forward, err);
	if (ret) {
		free(forward);
		return ret;
	}
	*out = &forward->app;
	return 0;
}

static void close_forward(struct shunt_app *app)
{
	free(app);
}

/* --- by a table --------------------------------------------------------------------- */

static void count_fault(struct shunt_app_counts *count, int fault)
{
	switch (fault) {
	case SHUNT_NEXTHOP_NOT_IP:
		count->not_ip++;
		break;
	case SHUNT_NEXTHOP_MALFORMED:
		count->malformed++;
		break;
	case SHUNT_NEXTHOP_GROUP:
		count->group++;
		break;
	case SHUNT_NEXTHOP_NO_ROUTE:
		count->no_route++;
		break;
	default:
		count->ttl_expired++;
	}
}

/* A packet of n frames into its lane, or back to where it came from. */
static void route(struct forward *forward, struct shunt_frame *frames, unsigned int n,
		  uint32_t bytes)
{
	int port = shunt_nexthop_apply(&forward->app.config->table, frames->data,
				       frames->len, bytes);
	struct shunt_lane *lane;

	if (port < 0) {
		count_fault(&forward->app.count, port);
		shunt_frames_put(frames, n);
		return;
	}
	lane = &forward->lane[port];
	while (n--)
		lane->frame[lane->n++] = *frames++;
}

static void route_burst(struct forward *forward, struct shunt_frame *frames,
			unsigned int n)
{
	unsigned int at = 0;

	while (at < n) {
		uint32_t bytes;
		unsigned int one = shunt_packet_frames(frames + at, n - at, &bytes);

		if (!one) /* a port gives whole packets: what is this? */
			one = n - at;
		route(forward, frames + at, one, bytes);
		at += one;
	}
}

/* --- without one -------------------------------------------------------------------- */

static void swap_burst(struct shunt_frame *frames, unsigned int n)
{
	bool begins = true;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (begins && frames[i].len >= 2 * SHUNT_MAC_BYTES)
			shunt_mac_swap(frames[i].data);
		begins = !(frames[i].flags & SHUNT_FRAME_MORE);
	}
}

/* --- running ------------------------------------------------------------------------ */

/* Sends all that waits; *waits: something still does. How much was sent, or -errno. */
static int send_all(struct forward *forward, bool *waits, struct shunt_err *err)
{
	unsigned int i;
	int sent = 0;

	*waits = false;
	for (i = 0; i < forward->app.ports; i++) {
		int ret = shunt_lane_send(&forward->lane[i], err);

		if (ret < 0)
			return ret;
		sent += ret;
		*waits |= forward->lane[i].n > 0;
	}
	return sent;
}

/* A burst of one port: how many frames were read and sent, or -errno. */
static int serve(struct forward *forward, unsigned int port, struct shunt_err *err)
{
	struct shunt_lane *lane = &forward->lane[other_port(forward, port)];
	int sent;

	if (!shunt_lane_is_empty(lane))
		return 0;
	lane->n = shunt_app_rx(&forward->app, forward->app.port[port], lane->frame,
			       SHUNT_BURST);
	if (!lane->n)
		return 0;
	if (forward->app.config->mode == SHUNT_RUN_SWAP)
		swap_burst(lane->frame, lane->n);
	sent = shunt_lane_send(lane, err);
	return sent < 0 ? sent : sent + 1;
}

static int serve_by_table(struct forward *forward, unsigned int port,
			  struct shunt_err *err)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n;
	bool waits;
	int sent = send_all(forward, &waits, err);

	if (sent < 0 || waits)
		return sent;
	n = shunt_app_rx(&forward->app, forward->app.port[port], frames, SHUNT_BURST);
	if (!n)
		return 0;
	route_burst(forward, frames, n);
	sent = send_all(forward, &waits, err);
	return sent < 0 ? sent : sent + (int)n;
}

static int settle(struct forward *forward, struct shunt_err *err)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < forward->app.ports && !ret; i++)
		ret = shunt_lane_settle(&forward->lane[i], err);
	return ret ? ret : shunt_app_check(&forward->app, err);
}

static int run_forward(struct shunt_app *app, struct shunt_err *err)
{
	struct forward *forward = (struct forward *)app;
	unsigned int i;
	bool waits;
	int done = send_all(forward, &waits, err);

	for (i = 0; i < app->ports && done >= 0; i++) {
		int ret;

		if (!(app->port[i]->caps & SHUNT_PORT_RX) || app->port[i]->ended)
			continue;
		ret = app->config->mode == SHUNT_RUN_TABLE
			      ? serve_by_table(forward, i, err)
			      : serve(forward, i, err);
		done = ret < 0 ? ret : done + ret;
	}
	return done ? done : settle(forward, err);
}

static int flush_forward(struct shunt_app *app, struct shunt_err *err)
{
	bool waits;
	int ret = send_all((struct forward *)app, &waits, err);

	return ret < 0 ? ret : !waits;
}

static void abandon_forward(struct shunt_app *app)
{
	struct forward *forward = (struct forward *)app;
	unsigned int i;

	for (i = 0; i < app->ports; i++)
		app->count.undelivered += shunt_lane_abandon(&forward->lane[i]);
}

static bool forward_is_done(const struct shunt_app *app)
{
	return shunt_app_is_full(app) || shunt_app_inputs_ended(app);
}

static uint64_t forward_due(struct shunt_app *app)
{
	const struct forward *forward = (const struct forward *)app;
	bool look = shunt_app_must_look(app);
	unsigned int i;

	for (i = 0; i < app->ports && !look; i++)
		look = forward->lane[i].n > 0;
	return look ? shunt_app_look() : UINT64_MAX;
}

const struct shunt_app_ops shunt_app_forward = {
	.open = open_forward,
	.close = close_forward,
	.run = run_forward,
	.flush = flush_forward,
	.abandon = abandon_forward,
	.is_done = forward_is_done,
	.due = forward_due,
};
