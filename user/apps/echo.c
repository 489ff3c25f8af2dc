/* SPDX-License-Identifier: BSD-2-Clause */
/* echo: a received frame becomes its own answer, and goes back out of its port. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "user/apps/lane.h"
#include "user/base/cleanup.h"

struct station {
	struct shunt_answerer who;
	struct shunt_port *from; /* NULL: the port receives nothing */
	struct shunt_lane lane;	 /* to where the answers go */
};

struct echo {
	struct shunt_app app;
	struct station station[SHUNT_RUN_APP_PORTS]; /* by port */
};

/* --- opening ------------------------------------------------------------------------- */

static bool has_mac(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return memcmp(mac, none, sizeof(none)) != 0;
}

/* That of the interface behind a port, such as af_xdp:eth1. */
static int find_mac(const struct shunt_port *port, uint8_t mac[6],
		    struct shunt_err *err)
{
	const char *device = strchr(port->name, ':');
	struct ifreq ask = { 0 };
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return shunt_fail_errno(err, -errno, "echo: make a socket");
	snprintf(ask.ifr_name, sizeof(ask.ifr_name), "%s", device ? device + 1 : "");
	if (ioctl(fd, SIOCGIFHWADDR, &ask))
		return shunt_fail(err, -EINVAL,
				  "echo: %s has no interface whose MAC address could "
				  "answer: name one by --mac (\"mac\" in a file)",
				  port->name);
	memcpy(mac, ask.ifr_hwaddr.sa_data, 6);
	return 0;
}

/* Back out of the same port, or out of the first one that can only send. */
static struct shunt_port *way_back(const struct shunt_app *app, struct shunt_port *from)
{
	unsigned int i;

	if (from->caps & SHUNT_PORT_TX)
		return from;
	for (i = 0; i < app->ports; i++)
		if (app->port[i]->caps & SHUNT_PORT_TX &&
		    !(app->port[i]->caps & SHUNT_PORT_RX))
			return app->port[i];
	return NULL;
}

static int open_station(struct echo *echo, unsigned int i, struct shunt_err *err)
{
	struct station *station = &echo->station[i];
	struct shunt_port *port = echo->app.port[i], *to;

	if (!(port->caps & SHUNT_PORT_RX))
		return 0;
	to = way_back(&echo->app, port);
	if (!to)
		return shunt_fail(err, -EOPNOTSUPP,
				  "echo: %s cannot send the answers: add a port that "
				  "can, such as pcap:answers.pcap,write",
				  port->name);
	station->from = port;
	station->lane.app = &echo->app;
	station->lane.port = to;
	station->who = *echo->app.config->answerer;
	return has_mac(station->who.mac) ? 0 : find_mac(port, station->who.mac, err);
}

static int open_echo(struct shunt_app **out, const struct shunt_run_app *config,
		     struct shunt_port *const *ports, struct shunt_err *err)
{
	struct echo *echo = calloc(1, sizeof(*echo));
	unsigned int i, receive = 0;
	int ret = 0;

	*out = NULL;
	if (!echo)
		return shunt_fail_errno(err, -ENOMEM, "echo");
	shunt_app_init(&echo->app, &shunt_app_echo, config, ports);
	for (i = 0; i < config->ports && !ret; i++) {
		ret = open_station(echo, i, err);
		receive += echo->station[i].from != NULL;
	}
	if (!ret && !receive)
		ret = shunt_fail(err, -EOPNOTSUPP,
				 "echo: none of the ports can receive");
	if (ret) {
		free(echo);
		return ret;
	}
	*out = &echo->app;
	return 0;
}

static void close_echo(struct shunt_app *app)
{
	free(app);
}

/* --- one packet ---------------------------------------------------------------------- */

static enum shunt_answer_kind ask(const struct station *station,
				  struct shunt_frame *frames, unsigned int n,
				  size_t room)
{
	struct iovec parts[SHUNT_BURST];
	enum shunt_answer_kind kind;
	unsigned int i;

	for (i = 0; i < n; i++)
		parts[i] = (struct iovec){ frames[i].data, frames[i].len };
	kind = shunt_answer(&station->who, parts, n, room);
	frames[0].len = (uint32_t)parts[0].iov_len;
	return kind;
}

/* An advertisement may be longer than what asks for it: in a frame of its own then. */
static enum shunt_answer_kind ask_in_another(const struct station *station,
					     struct shunt_frame *frame)
{
	struct shunt_pool *pool = station->lane.port->pool;
	struct shunt_frame other;
	enum shunt_answer_kind kind;

	if (!pool || pool->room < frame->len || shunt_pool_get(pool, &other, 1) != 1)
		return SHUNT_ANSWER_ROOM;
	memcpy(other.data, frame->data, frame->len);
	other.len = frame->len;
	other.flags = 0;
	kind = ask(station, &other, 1, pool->room);
	if (kind >= SHUNT_ANSWER_NONE) {
		shunt_frames_put(&other, 1);
		return kind;
	}
	shunt_frames_put(frame, 1);
	*frame = other;
	return kind;
}

/* A packet of n frames into the lane, or back to where it came from. */
static void answer(struct echo *echo, struct station *station,
		   struct shunt_frame *frames, unsigned int n)
{
	struct shunt_app_counts *count = &echo->app.count;
	struct shunt_lane *lane = &station->lane;
	enum shunt_answer_kind kind = ask(station, frames, n, frames->len);

	if (kind == SHUNT_ANSWER_ROOM)
		kind = ask_in_another(station, frames);
	count->answers[kind]++;
	if (kind >= SHUNT_ANSWER_NONE) {
		count->consumed++;
		shunt_frames_put(frames, n);
		return;
	}
	/* what was known of the request is not true of the answer */
	frames->flags &= ~(SHUNT_FRAME_TIME | SHUNT_FRAME_EVENT);
	while (n--)
		lane->frame[lane->n++] = *frames++;
}

/* --- running ------------------------------------------------------------------------- */

/* A burst of one port: how much was done, or -errno. */
static int serve(struct echo *echo, struct station *station, struct shunt_err *err)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n, at = 0, one;
	uint32_t bytes;
	int sent = shunt_lane_send(&station->lane, err);

	if (sent < 0 || !shunt_lane_is_empty(&station->lane))
		return sent;
	n = shunt_app_rx(&echo->app, station->from, frames, SHUNT_BURST);
	for (; at < n; at += one) {
		one = shunt_packet_frames(frames + at, n - at, &bytes);
		if (!one) /* a port gives whole packets: what is this? */
			one = n - at;
		answer(echo, station, frames + at, one);
	}
	if (!n)
		return sent;
	sent = shunt_lane_send(&station->lane, err);
	return sent < 0 ? sent : sent + (int)n;
}

static int settle(struct echo *echo, struct shunt_err *err)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < echo->app.ports && !ret; i++)
		if (echo->station[i].from)
			ret = shunt_lane_settle(&echo->station[i].lane, err);
	return ret ? ret : shunt_app_check(&echo->app, err);
}

static int run_echo(struct shunt_app *app, struct shunt_err *err)
{
	struct echo *echo = (struct echo *)app;
	unsigned int i;
	int done = 0;

	for (i = 0; i < app->ports && done >= 0; i++) {
		int ret;

		if (!echo->station[i].from)
			continue;
		ret = serve(echo, &echo->station[i], err);
		done = ret < 0 ? ret : done + ret;
	}
	return done ? done : settle(echo, err);
}

static int flush_echo(struct shunt_app *app, struct shunt_err *err)
{
	struct echo *echo = (struct echo *)app;
	bool waits = false;
	unsigned int i;

	for (i = 0; i < app->ports; i++) {
		struct station *station = &echo->station[i];
		int ret = station->from ? shunt_lane_send(&station->lane, err) : 0;

		if (ret < 0)
			return ret;
		waits |= station->lane.n > 0;
	}
	return !waits;
}

static void abandon_echo(struct shunt_app *app)
{
	struct echo *echo = (struct echo *)app;
	unsigned int i;

	for (i = 0; i < app->ports; i++)
		if (echo->station[i].from)
			app->count.undelivered +=
				shunt_lane_abandon(&echo->station[i].lane);
}

static bool echo_is_done(const struct shunt_app *app)
{
	return shunt_app_is_full(app) || shunt_app_inputs_ended(app);
}

static uint64_t echo_due(struct shunt_app *app)
{
	const struct echo *echo = (const struct echo *)app;
	bool look = shunt_app_must_look(app);
	unsigned int i;

	for (i = 0; i < app->ports && !look; i++)
		look = echo->station[i].lane.n > 0;
	return look ? shunt_app_look() : UINT64_MAX;
}

const struct shunt_app_ops shunt_app_echo = {
	.open = open_echo,
	.close = close_echo,
	.run = run_echo,
	.flush = flush_echo,
	.abandon = abandon_echo,
	.is_done = echo_is_done,
	.due = echo_due,
};
