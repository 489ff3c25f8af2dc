/* SPDX-License-Identifier: BSD-2-Clause */
/* generate: frames of a template or a capture, at a rate or as fast as the port takes. */
#include <errno.h>
#include <stdlib.h>

#include "user/apps/lane.h"
#include "user/base/clock.h"
#include "user/net/number.h"

#define NS_PER_S UINT64_C(1000000000)

/*
 * Frame k is due at begin + k / rate, so that the rate is exact in the long run. Who is
 * behind catches up, at most twice as fast, and never by more than a burst at one moment:
 * a bucket of `burst` tokens fills at twice the rate. What is more than a second late is
 * given up: nobody wants an hour's frames after a laptop's sleep.
 */
struct pace {
	uint64_t rate;	/* packets a second; 0: none is kept */
	uint32_t burst; /* tokens that the bucket holds */
	uint64_t begin_ns, last_ns;
	uint64_t tokens; /* times NS_PER_S */
};

struct generate {
	struct shunt_app app;
	struct shunt_lane lane;
	struct shunt_memory *memory; /* where the port lends no empty frames */
	struct shunt_pool *pool;
	struct pace pace;
	uint64_t made; /* frames that went into the lane */
	uint32_t next; /* in the stock */
};

/* --- pacing ------------------------------------------------------------------------- */

static uint64_t times(uint64_t a, uint64_t b, uint64_t divisor)
{
	return (uint64_t)((unsigned __int128)a * b / divisor);
}

/* How many frames may be made now, when `made` were. */
static unsigned int pace_allows(struct pace *pace, uint64_t made)
{
	uint64_t now, due, tokens, most;

	if (!pace->rate)
		return SHUNT_BURST;
	now = shunt_now_ns();
	if (!pace->begin_ns) {
		pace->begin_ns = pace->last_ns = now;
		pace->tokens = NS_PER_S; /* one frame: a burst has to be earned */
	}
	due = times(now - pace->begin_ns, pace->rate, NS_PER_S) + 1;
	if (due > made + pace->rate + 1)
		pace->begin_ns = now - times(made, NS_PER_S, pace->rate) - NS_PER_S;
	tokens = pace->tokens + (now - pace->last_ns) * 2 * pace->rate;
	most = pace->burst * NS_PER_S;
	if (now - pace->last_ns > NS_PER_S || tokens > most)
		tokens = most;
	pace->tokens = tokens;
	pace->last_ns = now;
	due = due > made ? due - made : 0;
	if (due > tokens / NS_PER_S)
		due = tokens / NS_PER_S;
	return due < SHUNT_BURST ? (unsigned int)due : SHUNT_BURST;
}

static uint64_t pace_due(const struct pace *pace, uint64_t made)
{
	return pace->rate ? pace->begin_ns + times(made, NS_PER_S, pace->rate) : 0;
}

/* --- opening ------------------------------------------------------------------------ */

/* A pool that has empty frames: the port's, or one of our own. */
static int find_pool(struct generate *generate, struct shunt_err *err)
{
	struct shunt_pool *pool = generate->lane.port->pool;
	struct shunt_frame frame;
	int ret;

	if (pool && shunt_pool_get(pool, &frame, 1)) {
		shunt_frames_put(&frame, 1);
		generate->pool = pool;
		return 0;
	}
	ret = shunt_memory_open(&generate->memory, NULL, err);
	if (!ret)
		generate->pool = &generate->memory->pool;
	return ret;
}

static int check(const struct generate *generate, struct shunt_err *err)
{
	const struct shunt_port *port = generate->lane.port;
	uint32_t longest = generate->app.config->generate.frames.longest;
	uint32_t room = generate->pool->room < port->frame_max ? generate->pool->room
							       : port->frame_max;

	if (!(port->caps & SHUNT_PORT_TX))
		return shunt_fail(err, -EOPNOTSUPP,
				  "generate: %s cannot send: choose another port",
				  port->name);
	if (longest > room)
		return shunt_fail(err, -EMSGSIZE,
				  "generate: a frame has %u bytes, and %s sends %u at "
				  "most: choose a shorter --size",
				  longest, port->name, room);
	return 0;
}

static void close_generate(struct shunt_app *app)
{
	struct generate *generate = (struct generate *)app;

	shunt_memory_close(generate->memory);
	free(generate);
}

static int open_generate(struct shunt_app **out, const struct shunt_run_app *config,
			 struct shunt_port *const *ports, struct shunt_err *err)
{
	struct generate *generate = calloc(1, sizeof(*generate));
	int ret;

	*out = NULL;
	if (!generate)
		return shunt_fail_errno(err, -ENOMEM, "generate");
	shunt_app_init(&generate->app, &shunt_app_generate, config, ports);
	generate->lane.app = &generate->app;
	generate->lane.port = ports[0];
	generate->pace.rate = config->generate.rate;
	generate->pace.burst = config->generate.burst ? config->generate.burst
						      : SHUNT_RUN_GENERATE_BURST;
	ret = find_pool(generate, err);
	if (!ret)
		ret = check(generate, err);
	if (ret) {
		close_generate(&generate->app);
		return ret;
	}
	*out = &generate->app;
	return 0;
}

/* --- making frames ------------------------------------------------------------------ */

static void make(struct generate *generate, struct shunt_frame *frame)
{
	const struct shunt_run_frames *stock = &generate->app.config->generate.frames;
	const struct shunt_run_frame *from = &stock->frame[generate->next];
	const struct shunt_number_place place = { .payload = from->payload,
						  .check = from->check,
						  .udp = from->udp };

	memcpy(frame->data, stock->bytes + from->at, from->len);
	frame->len = from->len;
	frame->flags = 0;
	if (place.payload)
		shunt_number_write(frame->data, &place, generate->made);
	generate->made++;
	if (++generate->next == stock->count)
		generate->next = 0;
}

static uint64_t left_to_make(const struct generate *generate)
{
	uint64_t packets = generate->app.config->generate.packets;

	return packets ? packets - generate->made : UINT64_MAX;
}

/* Fills the lane, which is empty, with what is due. */
static void fill(struct generate *generate)
{
	struct shunt_lane *lane = &generate->lane;
	unsigned int due = pace_allows(&generate->pace, generate->made), i;
	uint64_t left = left_to_make(generate);

	if (due > left)
		due = (unsigned int)left;
	lane->n = shunt_pool_get(generate->pool, lane->frame, due);
	for (i = 0; i < lane->n; i++)
		make(generate, &lane->frame[i]);
	if (generate->pace.rate)
		generate->pace.tokens -= lane->n * NS_PER_S;
}

static int run_generate(struct shunt_app *app, struct shunt_err *err)
{
	struct generate *generate = (struct generate *)app;

	if (shunt_lane_is_empty(&generate->lane))
		fill(generate);
	if (shunt_lane_is_empty(&generate->lane))
		return shunt_lane_settle(&generate->lane, err);
	return shunt_lane_send(&generate->lane, err);
}

static int flush_generate(struct shunt_app *app, struct shunt_err *err)
{
	struct generate *generate = (struct generate *)app;
	int ret = shunt_lane_send(&generate->lane, err);

	return ret < 0 ? ret : shunt_lane_is_empty(&generate->lane);
}

/* They were never received, and so are no loss. */
static void abandon_generate(struct shunt_app *app)
{
	shunt_lane_abandon(&((struct generate *)app)->lane);
}

static bool generate_is_done(const struct shunt_app *app)
{
	return !left_to_make((const struct generate *)app);
}

static uint64_t generate_due(struct shunt_app *app)
{
	const struct generate *generate = (const struct generate *)app;
	uint64_t due;

	if (!left_to_make(generate) && shunt_lane_is_empty(&generate->lane))
		return UINT64_MAX;
	due = pace_due(&generate->pace, generate->made);
	/* a full port, or a pool that waits for frames to come home */
	return due > shunt_now_ns() ? due : shunt_app_look();
}

const struct shunt_app_ops shunt_app_generate = {
	.open = open_generate,
	.close = close_generate,
	.run = run_generate,
	.flush = flush_generate,
	.abandon = abandon_generate,
	.is_done = generate_is_done,
	.due = generate_due,
};
