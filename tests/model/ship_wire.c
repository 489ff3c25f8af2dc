/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/ship_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE 512u
#define NEWS 8u

struct request {
	enum shunt_ship_request what;
	struct shunt_ship_piece piece[SHUNT_SHIP_PIECES];
	unsigned int pieces;
	uint64_t remote, id;
};

struct shunt_ship_wire {
	struct shunt_ship_wire_opts opts;
	bool up, was_cut;
	struct request queue[QUEUE];
	unsigned int first, last;
	uint64_t done[QUEUE];
	unsigned int done_first, done_last;
	enum shunt_ship_news news[NEWS];
	struct shunt_ship_words words[NEWS];
	unsigned int news_first, news_last;
};

static struct {
	struct shunt_ship_wire *sender, *receiver; /* that are connected */
	struct shunt_ship_wire *asker;		   /* wants to be */
	struct shunt_ship_wire *listener;
	struct shunt_port *port;
	struct shunt_ship_words forged;
	unsigned int bells;
	int ready;
} world = { .ready = -1 };

static void require(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "the wire: %s\n", what);
	abort();
}

static void tell(struct shunt_ship_wire *wire, enum shunt_ship_news news,
		 const void *bytes, size_t len)
{
	struct shunt_ship_words *words;

	if (!wire)
		return;
	require(wire->news_last - wire->news_first < NEWS, "too much news");
	words = &wire->words[wire->news_last % NEWS];
	wire->news[wire->news_last++ % NEWS] = news;
	*words = (struct shunt_ship_words){ .len = len };
	if (len)
		memcpy(words->bytes, bytes, len);
	if (len && world.forged.len) {
		*words = world.forged;
		world.forged.len = 0;
	}
}

/* --- requests -------------------------------------------------------------------------- */

static uint8_t *reach(uint64_t remote, uint32_t bytes)
{
	const struct shunt_ship_area *area = &world.receiver->opts.area[0];
	uint8_t *at = (uint8_t *)(uintptr_t)remote;

	require(at >= area->at && at + bytes <= area->at + area->bytes,
		"a request leads out of the receiver's area");
	return at;
}

static void do_one(struct shunt_ship_wire *wire, const struct request *request)
{
	uint64_t remote = request->remote;
	unsigned int i;

	for (i = 0; i < request->pieces; i++) {
		const struct shunt_ship_piece *piece = &request->piece[i];

		if (request->what == SHUNT_SHIP_WRITE)
			memcpy(reach(remote, piece->bytes), piece->at, piece->bytes);
		else
			memcpy(piece->at, reach(remote, piece->bytes), piece->bytes);
		remote += piece->bytes;
	}
	world.bells += request->what == SHUNT_SHIP_BELL;
	if (request->id)
		wire->done[wire->done_last++ % QUEUE] = request->id;
}

unsigned int shunt_model_wire_waiting(void)
{
	return world.sender ? world.sender->last - world.sender->first : 0;
}

unsigned int shunt_model_wire_do(unsigned int n)
{
	struct shunt_ship_wire *wire = world.sender;
	unsigned int done = 0;

	while (wire && wire->up && done < n && wire->first != wire->last) {
		do_one(wire, &wire->queue[wire->first++ % QUEUE]);
		done++;
	}
	return done;
}

static int wire_post(struct shunt_ship_wire *wire, const struct shunt_ship_post *posts,
		     unsigned int n)
{
	unsigned int i, k;

	if (!wire->up)
		return -ENOTCONN;
	for (i = 0; i < n; i++) {
		struct request *request = &wire->queue[wire->last++ % QUEUE];

		require(wire->last - wire->first <= SHUNT_SHIP_POSTS,
			"too many requests are under way");
		*request = (struct request){ .what = posts[i].request,
					     .pieces = posts[i].pieces,
					     .remote = posts[i].remote,
					     .id = posts[i].id };
		for (k = 0; k < posts[i].pieces; k++) {
			const struct shunt_ship_piece *piece = &posts[i].piece[k];
			const struct shunt_ship_area *area =
				&wire->opts.area[piece->area];

			require(piece->at >= area->at && piece->at + piece->bytes <=
								 area->at + area->bytes,
				"a piece is not registered");
			request->piece[k] = *piece;
		}
	}
	return 0;
}

static int wire_poll(struct shunt_ship_wire *wire, uint64_t *ids, unsigned int max)
{
	unsigned int n = 0;

	if (wire->was_cut)
		return -EIO;
	while (n < max && wire->done_first != wire->done_last)
		ids[n++] = wire->done[wire->done_first++ % QUEUE];
	return (int)n;
}

/* --- connections ------------------------------------------------------------------------- */

static int wire_open(struct shunt_ship_wire **out,
		     const struct shunt_ship_wire_opts *opts, struct shunt_err *err)
{
	struct shunt_ship_wire *wire = calloc(1, sizeof(*wire));

	if (!wire)
		return shunt_fail_errno(err, -ENOMEM, "make a wire");
	wire->opts = *opts;
	if (opts->remote.l3 == SHUNT_L3_NONE)
		world.listener = wire;
	if (world.ready < 0)
		world.ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	*out = wire;
	return 0;
}

static void wire_hang_up(struct shunt_ship_wire *wire)
{
	struct shunt_ship_wire *other =
		wire == world.sender ? world.receiver : world.sender;
	bool was = wire->up;

	wire->up = wire->was_cut = false;
	wire->first = wire->last = wire->done_first = wire->done_last = 0;
	if (was && other && other->up) {
		other->up = false;
		/* only requests can fail */
		other->was_cut = other->first != other->last;
		tell(other, SHUNT_SHIP_GONE, NULL, 0);
	}
	if (wire == world.sender)
		world.sender = NULL;
	if (wire == world.receiver)
		world.receiver = NULL;
	if (wire == world.asker)
		world.asker = NULL;
}

static void wire_close(struct shunt_ship_wire *wire)
{
	wire_hang_up(wire);
	if (world.listener == wire) {
		world.listener = NULL;
		close(world.ready);
		world.ready = -1;
	}
	free(wire);
}

static int wire_call(struct shunt_ship_wire *wire, const void *bytes, size_t len,
		     struct shunt_err *err)
{
	(void)err;
	if (!world.listener) {
		tell(wire, SHUNT_SHIP_REFUSED, NULL, 0);
		return 0;
	}
	world.asker = wire;
	tell(world.listener, SHUNT_SHIP_ASKED, bytes, len);
	return 0;
}

static int wire_answer(struct shunt_ship_wire *wire, bool yes, const void *bytes,
		       size_t len, struct shunt_err *err)
{
	struct shunt_ship_wire *asker = world.asker;

	world.asker = NULL;
	if (!asker)
		return shunt_fail(err, -ENOTCONN, "nobody asks");
	if (!yes) {
		tell(asker, SHUNT_SHIP_REFUSED, bytes, len);
		return 0;
	}
	require(!world.sender, "a second sender is accepted");
	world.sender = asker;
	world.receiver = wire;
	wire->up = asker->up = true;
	tell(world.sender, SHUNT_SHIP_UP, bytes, len);
	tell(wire, SHUNT_SHIP_UP, NULL, 0);
	return 0;
}

static int wire_look(struct shunt_ship_wire *wire, struct shunt_ship_words *words,
		     struct shunt_err *err)
{
	unsigned int at;

	(void)err;
	if (wire == world.asker && world.port)
		(void)!shunt_port_kick(world.port, NULL);
	if (wire->news_first == wire->news_last)
		return SHUNT_SHIP_QUIET;
	at = wire->news_first++ % NEWS;
	*words = wire->words[at];
	return wire->news[at];
}

/* --- the rest ------------------------------------------------------------------------------ */

static uint32_t wire_key(const struct shunt_ship_wire *wire, unsigned int area)
{
	(void)wire;
	return area + 7;
}

static void wire_aim(struct shunt_ship_wire *wire, uint32_t key)
{
	(void)wire;
	require(key == 7, "that is not the receiver's key");
}

static unsigned int wire_pieces(const struct shunt_ship_wire *wire)
{
	(void)wire;
	return 5;
}

static unsigned int wire_wait(struct shunt_ship_wire *wire, struct pollfd *fds,
			      unsigned int max)
{
	(void)wire;
	if (max)
		*fds = (struct pollfd){ .fd = world.ready, .events = POLLIN };
	return max ? 1 : 0;
}

static const char *wire_absent(char *room, size_t bytes)
{
	(void)room;
	(void)bytes;
	return NULL;
}

static void wire_tell(const struct shunt_ship_wire *wire, char *name, size_t room,
		      uint32_t *mtu)
{
	(void)wire;
	snprintf(name, room, "memcpy");
	*mtu = 1024;
}

unsigned int shunt_model_wire_bells(void)
{
	return world.bells;
}

void shunt_model_wire_listener(struct shunt_port *receiver)
{
	world.port = receiver;
}

void shunt_model_wire_forge(const void *bytes, size_t len)
{
	world.forged.len = len;
	memcpy(world.forged.bytes, bytes, len);
}

uint8_t *shunt_model_wire_area(size_t *bytes)
{
	*bytes = world.listener->opts.area[0].bytes;
	return world.listener->opts.area[0].at;
}

const struct shunt_ship_wire_ops shunt_model_wire_ops = {
	.open = wire_open,
	.close = wire_close,
	.call = wire_call,
	.answer = wire_answer,
	.look = wire_look,
	.hang_up = wire_hang_up,
	.key = wire_key,
	.aim = wire_aim,
	.pieces = wire_pieces,
	.post = wire_post,
	.poll = wire_poll,
	.wait = wire_wait,
	.absent = wire_absent,
	.tell = wire_tell,
};
