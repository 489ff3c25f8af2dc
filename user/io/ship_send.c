/* SPDX-License-Identifier: BSD-2-Clause */
/* The sender's side of ship: frames into the ring of another machine. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/io/ship.h"
#include "user/io/ship_ring.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define FLIGHT 1024u /* frames under way */
#define BATCHES 64u  /* runs of records under way, each with its produced */
#define POLLED 32u

#define OPEN_NS (3 * NS_PER_S)	 /* to find the receiver at first */
#define AGAIN_NS (200 * NS_PER_MS) /* between two tries to find it again */
#define CALL_NS (5 * NS_PER_S)	 /* one try; librdmacm has shorter ones within */
#define LOOK_NS (10 * NS_PER_MS) /* how often the connection is asked after */
#define PROBE_NS NS_PER_S	 /* a READ at least so often: is the receiver there? */
#define CLOSE_NS NS_PER_S

/* What a request is for, in the upper half of its id. */
enum purpose { FOR_BATCH = 1, FOR_FACTS, FOR_BELL };

#define ID(purpose, number) ((uint64_t)(purpose) << 32 | (number))

enum area { AREA_FRAMES, AREA_SCRATCH };

/* Registered: what requests read and write besides frames. */
struct scratch {
	uint64_t facts[sizeof(struct shunt_ship_facts) / sizeof(uint64_t)];
	uint64_t produced[BATCHES];
};

enum { FACT_SESSION, FACT_CONSUMED, FACT_NAP };

struct batch {
	uint32_t frames, packets;
};

enum state { STATE_DOWN, STATE_CALLING, STATE_UP };

struct sender {
	struct shunt_port port;
	struct shunt_ship_options options;
	const struct shunt_ship_wire_ops *ops;
	struct shunt_ship_wire *wire;
	struct shunt_memory *own; /* NULL: the memory is the opener's */
	struct shunt_memory *memory;
	struct scratch *scratch;
	int ready; /* an eventfd that is always readable */

	enum state state;
	uint64_t due_ns;   /* DOWN: to call again; CALLING: to give up */
	uint64_t look_ns;  /* when the connection is asked after */
	uint64_t probe_ns; /* UP: when a READ is due, whatever else */
	int failed;	   /* -errno, and why: the port is of no more use */
	struct shunt_err why;

	struct shunt_ship_offer offer;
	unsigned int pieces;
	uint64_t produced, consumed;
	bool reading;	   /* a READ of the facts is under way */
	bool certain;	   /* consumed is as new as produced */
	uint64_t asked_at; /* produced, when the last READ was posted */
	uint64_t known_at; /* and the last one that was answered */
	uint64_t rung;	   /* the nap that was ended by a bell */

	struct shunt_frame frame[FLIGHT]; /* rings, by number */
	uint32_t frames_posted, frames_done;
	struct batch batch[BATCHES];
	uint32_t batches_posted, batches_done;

	uint64_t thrown; /* packets, told in each record */
	uint64_t arrived, batches, reads, bells;
};

static struct sender *of(struct shunt_port *port)
{
	return (struct sender *)port;
}

/* --- a connection's end --------------------------------------------------------------- */

static void retire(struct sender *s, bool arrived)
{
	struct batch *batch = &s->batch[s->batches_done++ % BATCHES];
	uint32_t left = batch->frames;

	while (left) {
		uint32_t at = s->frames_done % FLIGHT, run = FLIGHT - at;

		if (run > left)
			run = left;
		shunt_frames_put(&s->frame[at], run);
		s->frames_done += run;
		left -= run;
	}
	if (arrived)
		s->arrived += batch->packets;
	else
		s->port.count.tx_failed += batch->packets;
}

/* What was under way may have arrived or not; its frames come back either way. */
static void hang_up(struct sender *s)
{
	s->ops->hang_up(s->wire);
	while (s->batches_done != s->batches_posted)
		retire(s, false);
	s->reading = false;
	s->state = STATE_DOWN;
	s->due_ns = shunt_now_ns() + AGAIN_NS;
}

static void lose(struct sender *s)
{
	if (s->state == STATE_DOWN)
		return;
	s->port.count.cuts += s->state == STATE_UP;
	hang_up(s);
	if (s->options.lost == SHUNT_SHIP_END)
		s->failed = shunt_fail(&s->why, -ECONNRESET,
				       "port %s: the receiver is gone; lost=again "
				       "waits until it is back",
				       s->port.name);
}

/* --- what is done ----------------------------------------------------------------------- */

static void post(struct sender *s, const struct shunt_ship_post *posts, unsigned int n)
{
	if (s->ops->post(s->wire, posts, n))
		lose(s);
}

static void read_facts(struct sender *s)
{
	const struct shunt_ship_piece piece = {
		.at = (uint8_t *)s->scratch->facts,
		.bytes = sizeof(s->scratch->facts),
		.area = AREA_SCRATCH,
	};
	const struct shunt_ship_post one = {
		.request = SHUNT_SHIP_READ,
		.piece = &piece,
		.pieces = 1,
		.remote = s->offer.base + offsetof(struct shunt_ship_page, facts),
		.id = ID(FOR_FACTS, 0),
	};

	if (s->reading || s->state != STATE_UP)
		return;
	s->reading = true;
	s->certain = false;
	s->asked_at = s->produced;
	s->probe_ns = shunt_tick_ns() + PROBE_NS;
	s->reads++;
	post(s, &one, 1);
}

/*
 * A receiver that may sleep is asked behind every run of records, though by no more than one
 * question at a time; of one that never does only its room is of interest.
 */
static bool wants_facts(const struct sender *s)
{
	if (s->offer.flags & SHUNT_SHIP_SLEEPS)
		return s->known_at != s->produced;
	return s->produced - s->consumed > s->offer.bytes / 2 &&
	       s->known_at != s->produced;
}

static void ring_bell(struct sender *s, uint64_t nap)
{
	const struct shunt_ship_post one = { .request = SHUNT_SHIP_BELL,
					     .id = ID(FOR_BELL, 0) };

	s->rung = nap;
	s->bells++;
	post(s, &one, 1);
}

static void take_facts(struct sender *s)
{
	uint64_t consumed = s->scratch->facts[FACT_CONSUMED];
	uint64_t nap = s->scratch->facts[FACT_NAP];

	s->reading = false;
	s->known_at = s->asked_at;
	if (s->scratch->facts[FACT_SESSION] != s->offer.session ||
	    consumed < s->consumed || consumed > s->produced) {
		lose(s); /* that is not our ring any more */
		return;
	}
	s->consumed = consumed;
	s->certain = s->asked_at == s->produced;
	if ((nap & 1) && nap != s->rung && consumed != s->asked_at)
		ring_bell(s, nap);
	if (s->state == STATE_UP && wants_facts(s))
		read_facts(s);
}

static void take_id(struct sender *s, uint64_t id)
{
	uint32_t number = (uint32_t)id;

	switch (id >> 32) {
	case FOR_BATCH:
		while ((int32_t)(number - s->batches_done) >= 0 &&
		       s->batches_done != s->batches_posted)
			retire(s, true);
		break;
	case FOR_FACTS:
		take_facts(s);
		break;
	default:
		break;
	}
}

/* How many requests were done. */
static unsigned int settle(struct sender *s)
{
	unsigned int done = 0;
	uint64_t ids[POLLED];
	int i, n;

	while (s->state == STATE_UP) {
		n = s->ops->poll(s->wire, ids, POLLED);
		if (n < 0)
			lose(s);
		if (n <= 0)
			break;
		for (i = 0; i < n && s->state == STATE_UP; i++)
			take_id(s, ids[i]);
		done += (unsigned int)n;
	}
	return done;
}

/* --- the connection --------------------------------------------------------------------- */

static int call(struct sender *s, struct shunt_err *err)
{
	uint8_t ask[SHUNT_SHIP_HELLO_MAX];
	size_t len = shunt_ship_put_ask(ask);
	int ret = s->ops->call(s->wire, ask, len, err);

	if (ret)
		return ret;
	s->state = STATE_CALLING;
	s->due_ns = shunt_now_ns() + CALL_NS;
	return 0;
}

static int begin(struct sender *s, const struct shunt_ship_words *words,
		 struct shunt_err *err)
{
	int ret = shunt_ship_read_offer(&s->offer, words->bytes, words->len, err);

	if (ret)
		return ret;
	s->ops->aim(s->wire, s->offer.key);
	s->pieces = s->ops->pieces(s->wire);
	if (s->pieces > SHUNT_SHIP_PIECES)
		s->pieces = SHUNT_SHIP_PIECES;
	s->produced = s->consumed = s->asked_at = s->known_at = s->rung = 0;
	s->certain = false;
	s->state = STATE_UP;
	s->probe_ns = shunt_tick_ns() + PROBE_NS;
	s->port.count.connects++;
	s->port.frame_max = s->offer.frame_max;
	return 0;
}

/* 0, or -errno: why it did not come about, or that the device is gone (-ENODEV). */
static int look(struct sender *s, struct shunt_err *err)
{
	struct shunt_ship_words words = { 0 };
	int news = s->ops->look(s->wire, &words, err), ret = 0;

	switch (news) {
	case SHUNT_SHIP_UP:
		if (s->state == STATE_CALLING)
			ret = begin(s, &words, err);
		break;
	case SHUNT_SHIP_REFUSED:
		ret = shunt_ship_read_refusal(words.bytes, words.len, err);
		break;
	case SHUNT_SHIP_GONE:
		ret = s->state == STATE_CALLING
			      ? shunt_fail(err, -EHOSTUNREACH,
					   "nobody has answered: is the receiver "
					   "running, and is there a way to it?")
			      : 0;
		lose(s);
		break;
	default:
		if (news < 0)
			return news;
	}
	if (ret && s->state != STATE_DOWN)
		hang_up(s);
	return ret;
}

/* Finds the receiver again, or a call that leads nowhere. */
static int tend(struct sender *s, struct shunt_err *err)
{
	uint64_t now = shunt_now_ns();
	int ret = look(s, err);

	if (ret == -ENODEV)
		return ret;
	if (s->state == STATE_DOWN && now >= s->due_ns && call(s, NULL))
		s->due_ns = now + AGAIN_NS;
	if (s->state == STATE_CALLING && now >= s->due_ns)
		hang_up(s);
	return 0;
}

static int send_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct sender *s = of(port);
	uint64_t now = shunt_tick_ns();

	settle(s);
	if (s->state == STATE_UP && !s->reading &&
	    (now >= s->probe_ns || wants_facts(s)))
		read_facts(s);
	if (!s->failed && (now >= s->look_ns || s->state != STATE_UP)) {
		s->look_ns = now + LOOK_NS;
		s->failed = tend(s, &s->why);
	}
	return s->failed ? shunt_fail(err, s->failed, "%s", s->why.message) : 0;
}

/* --- records ------------------------------------------------------------------------------ */

struct run {
	struct shunt_ship_piece piece[SHUNT_SHIP_PIECES];
	struct batch batch;
	unsigned int pieces;
	uint64_t end; /* position behind it */
	uint64_t now_ns;
};

/* Does the device reach it, with `front` bytes before and `back` behind, all its own? */
static bool is_within(const struct shunt_memory *memory, const struct shunt_frame *frame,
		      uint32_t front, uint32_t back)
{
	const uint8_t *from = frame->data - front;
	const uint8_t *to = frame->data + frame->len + back;
	uint64_t buffer;

	if (frame->data < memory->area || to > memory->area + memory->bytes)
		return false;
	buffer = shunt_memory_token(memory, (uint64_t)(frame->data - memory->area));
	return from >= memory->area + buffer * memory->frame_bytes &&
	       to <= memory->area + (buffer + 1) * memory->frame_bytes;
}

static bool can_lie(const struct sender *s, const struct shunt_frame *frames,
		    unsigned int n, uint32_t filling)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!is_within(s->memory, &frames[i], i ? 0 : SHUNT_SHIP_HEAD,
			       i == n - 1 ? filling : 0))
			return false;
	return n <= s->pieces;
}

enum fit { FITS, WAITS, NEVER };

/* A packet that the device can't reach goes into a frame of ours; the others go back. */
static enum fit bring_in(struct sender *s, struct shunt_frame *frames, unsigned int *n,
			 uint32_t bytes, uint32_t filling)
{
	struct shunt_pool *pool = &s->memory->pool;
	struct shunt_frame copy;

	if (can_lie(s, frames, *n, filling))
		return FITS;
	if (pool->headroom < SHUNT_SHIP_HEAD || bytes + filling > pool->room)
		return NEVER;
	if (!shunt_pool_get(pool, &copy, 1))
		return WAITS;
	copy.len = shunt_packet_copy(copy.data, frames, *n);
	if (frames->flags & SHUNT_FRAME_TIME)
		shunt_frame_stamp(&copy, shunt_frame_time(frames));
	shunt_frames_put(frames, *n);
	*frames = copy;
	*n = 1;
	s->port.count.tx_copied++;
	return FITS;
}

/* Its head goes in front of it, and zeros behind. */
static void wrap(struct sender *s, struct run *run, struct shunt_frame *frames,
		 unsigned int n, uint32_t bytes, uint32_t filling)
{
	const uint64_t time_ns = shunt_frame_time(frames);
	const struct shunt_ship_record record = {
		.len = bytes,
		.check = shunt_ship_check(s->offer.session, run->end, bytes),
		.dropped = s->thrown,
		.time_ns = time_ns ? time_ns : run->now_ns,
	};
	struct shunt_ship_piece *piece = &run->piece[run->pieces];
	unsigned int i;

	memcpy(frames->data - SHUNT_SHIP_HEAD, &record, sizeof(record));
	memset(frames[n - 1].data + frames[n - 1].len, 0, filling);
	for (i = 0; i < n; i++) {
		piece[i] = (struct shunt_ship_piece){ .at = frames[i].data,
						      .bytes = frames[i].len,
						      .area = AREA_FRAMES };
		s->frame[(s->frames_posted + run->batch.frames + i) % FLIGHT] =
			frames[i];
	}
	piece[0].at -= SHUNT_SHIP_HEAD;
	piece[0].bytes += SHUNT_SHIP_HEAD;
	piece[n - 1].bytes += filling;
	run->pieces += n;
	run->batch.frames += n;
	run->batch.packets++;
	run->end += shunt_ship_span(bytes);
	s->port.count.tx_packets++;
	s->port.count.tx_bytes += bytes;
}

static void refuse(struct sender *s, const struct shunt_frame *frames, unsigned int n)
{
	s->port.count.tx_refused++;
	s->thrown++;
	shunt_frames_put(frames, n);
}

/* Packets of n frames that are thrown away: all of them. */
static unsigned int throw_away(struct sender *s, const struct shunt_frame *frames,
			       unsigned int n, uint64_t *count)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		*count += !(frames[i].flags & SHUNT_FRAME_MORE);
		s->thrown += !(frames[i].flags & SHUNT_FRAME_MORE);
	}
	shunt_frames_put(frames, n);
	return n;
}

/* All records in one WRITE, and behind it how far the ring is filled. */
static void hand_on(struct sender *s, struct run *run)
{
	const uint32_t number = s->batches_posted;
	uint64_t *produced = &s->scratch->produced[number % BATCHES];
	const struct shunt_ship_piece piece = { .at = (uint8_t *)produced,
						.bytes = sizeof(*produced),
						.area = AREA_SCRATCH };
	const struct shunt_ship_post posts[] = {
		{ .request = SHUNT_SHIP_WRITE,
		  .piece = run->piece,
		  .pieces = run->pieces,
		  .remote = s->offer.ring + (s->produced & (s->offer.bytes - 1)) },
		{ .request = SHUNT_SHIP_WRITE,
		  .piece = &piece,
		  .pieces = 1,
		  .remote = s->offer.base + offsetof(struct shunt_ship_page, produced),
		  .id = ID(FOR_BATCH, number) },
	};

	*produced = run->end;
	s->batch[number % BATCHES] = run->batch;
	s->frames_posted += run->batch.frames;
	s->batches_posted++;
	s->batches++;
	s->produced = run->end;
	s->certain = false;
	post(s, posts, 2);
}

/*
 * There is no room as far as we know. Before anything is thrown away the receiver is asked,
 * and the answer has to be newer than what was written last.
 */
static unsigned int without_room(struct sender *s, const struct shunt_frame *frames,
				 unsigned int n)
{
	if (s->options.full == SHUNT_SHIP_DROP && s->certain) {
		s->certain = false;
		return throw_away(s, frames, n, &s->port.count.tx_no_room);
	}
	read_facts(s);
	return 0;
}

static bool has_places(const struct sender *s, const struct run *run, unsigned int n)
{
	return s->batches_posted - s->batches_done < BATCHES &&
	       s->frames_posted - s->frames_done + run->batch.frames + n <= FLIGHT;
}

/* As many packets as one WRITE takes; how many frames were taken. */
static unsigned int send_run(struct sender *s, struct run *run,
			     struct shunt_frame *frames, unsigned int n)
{
	unsigned int at = 0, count, left;
	bool full = false;
	uint32_t bytes;

	run->end = s->produced;
	for (; at < n; at += count) {
		enum fit fit;
		uint32_t filling;

		full = false;
		count = left = shunt_packet_frames(frames + at, n - at, &bytes);
		if (!count || !has_places(s, run, count))
			break;
		filling = shunt_ship_span(bytes) - SHUNT_SHIP_HEAD - bytes;
		full = run->end + shunt_ship_span(bytes) - s->consumed > s->offer.bytes;
		if (!bytes || bytes > s->offer.frame_max) {
			refuse(s, frames + at, count);
			continue;
		}
		if (full || (run->pieces && run->pieces + count > s->pieces))
			break;
		fit = bring_in(s, frames + at, &left, bytes, filling);
		if (fit == WAITS)
			break;
		if (fit == NEVER)
			refuse(s, frames + at, count);
		else
			wrap(s, run, frames + at, left, bytes, filling);
	}
	if (run->pieces)
		hand_on(s, run);
	else if (full && at < n)
		at += without_room(s, frames + at, n - at);
	return at;
}

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static unsigned int send_tx(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int n)
{
	struct sender *s = of(port);
	unsigned int taken = 0, now;
	const uint64_t now_ns = wall_ns();

	settle(s);
	while (taken < n && s->state == STATE_UP) {
		struct run run = { .now_ns = now_ns };

		now = send_run(s, &run, frames + taken, n - taken);
		if (!now)
			break;
		taken += now;
	}
	if (s->state != STATE_UP && s->options.full == SHUNT_SHIP_DROP)
		taken += throw_away(s, frames + taken, n - taken,
				    &port->count.tx_no_peer);
	if (wants_facts(s))
		read_facts(s);
	return taken;
}

/* --- waiting ------------------------------------------------------------------------------- */

static bool send_under_way(struct shunt_port *port)
{
	const struct sender *s = of(port);

	return s->state == STATE_UP &&
	       (s->batches_posted != s->batches_done || s->reading || wants_facts(s));
}

static unsigned int send_wait(struct shunt_port *port, struct pollfd *fds,
			      unsigned int max)
{
	struct sender *s = of(port);
	unsigned int n = s->ops->wait(s->wire, fds, max);

	/* what was done before it was armed tells nobody */
	if (settle(s) && n < max)
		fds[n++] = (struct pollfd){ .fd = s->ready, .events = POLLIN };
	return n;
}

/* --- opening and closing --------------------------------------------------------------------- */

static void send_close(struct shunt_port *port)
{
	struct sender *s = of(port);
	uint64_t end = shunt_now_ns() + CLOSE_NS;

	while (s->wire && send_under_way(port) && shunt_now_ns() < end)
		settle(s);
	if (s->wire) {
		hang_up(s);
		s->ops->close(s->wire);
	}
	if (s->scratch)
		munmap(s->scratch, sizeof(*s->scratch));
	shunt_memory_close(s->own);
	if (s->ready >= 0)
		close(s->ready);
	free(s);
}

static int take_memory(struct sender *s, struct shunt_pool *given, struct shunt_err *err)
{
	int ret = 0;

	s->memory = given ? shunt_memory_of(given) : NULL;
	if (!s->memory)
		ret = shunt_memory_open(&s->own, NULL, err);
	if (!s->memory)
		s->memory = s->own;
	if (ret)
		return ret;
	s->port.pool = &s->memory->pool;
	s->scratch = mmap(NULL, sizeof(*s->scratch), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->scratch == MAP_FAILED) {
		s->scratch = NULL;
		return shunt_fail_errno(err, -errno, "make room for requests");
	}
	s->ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->ready < 0 ? shunt_fail_errno(err, -errno, "make an event") : 0;
}

/* One that is busy may be so with a sender whose end it is about to notice. */
static int connect_first(struct sender *s, struct shunt_err *err)
{
	uint64_t end = shunt_now_ns() + OPEN_NS;
	int ret, refused = 0;

	while (s->state != STATE_UP) {
		struct pollfd fds[SHUNT_PORT_FDS];
		unsigned int n;

		if (shunt_now_ns() >= end)
			return refused ? refused
				       : shunt_fail(err, -ETIMEDOUT,
						    "nobody has answered: is the "
						    "receiver running, and is there a "
						    "way to it?");
		if (s->state == STATE_DOWN && shunt_now_ns() >= s->due_ns) {
			ret = call(s, err);
			if (ret)
				return ret;
		}
		n = s->ops->wait(s->wire, fds, SHUNT_PORT_FDS);
		if (poll(fds, n, (int)(AGAIN_NS / NS_PER_MS)) < 0 && errno != EINTR)
			return shunt_fail_errno(err, -errno, "wait for the receiver");
		ret = look(s, err);
		if (ret && ret != -EBUSY)
			return ret;
		refused = ret ? ret : refused;
	}
	return 0;
}

static const struct shunt_port_ops send_ops;

int shunt_ship_send_open(struct shunt_port **port, const struct shunt_ship_open *open,
			 struct shunt_err *err)
{
	struct sender *s = calloc(1, sizeof(*s));
	struct shunt_ship_wire_opts wire = { .sz = sizeof(wire),
					     .local = open->from,
					     .remote = open->at,
					     .areas = SHUNT_SHIP_AREAS };
	int ret;

	if (!s)
		return shunt_fail_errno(err, -ENOMEM, "open it");
	s->ready = -1;
	s->options = open->options;
	s->ops = open->wire;
	shunt_port_init(&s->port, &send_ops, open->spec);
	s->port.caps = SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI |
		       SHUNT_PORT_SHARE | SHUNT_PORT_ZERO_COPY;
	ret = take_memory(s, open->pool, err);
	if (!ret) {
		wire.area[AREA_FRAMES] = (struct shunt_ship_area){
			.at = s->memory->area, .bytes = s->memory->bytes
		};
		wire.area[AREA_SCRATCH] = (struct shunt_ship_area){
			.at = (uint8_t *)s->scratch, .bytes = sizeof(*s->scratch)
		};
		ret = s->ops->open(&s->wire, &wire, err);
	}
	if (!ret)
		ret = connect_first(s, err);
	if (ret) {
		send_close(&s->port);
		return ret;
	}
	*port = &s->port;
	return 0;
}

/* --- what it is --------------------------------------------------------------------------- */

static unsigned int send_rx(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int max)
{
	(void)port;
	(void)frames;
	(void)max;
	return 0;
}

static int send_stats(struct shunt_port *port, struct shunt_port_stats *stats,
		      struct shunt_err *err)
{
	(void)port;
	(void)stats;
	(void)err;
	return 0;
}

static int send_describe(struct shunt_port *port, cJSON *json)
{
	struct sender *s = of(port);
	char device[64] = "";
	uint32_t mtu = 0;

	s->ops->tell(s->wire, device, sizeof(device), &mtu);
	if (!cJSON_AddStringToObject(json, "device", device) ||
	    !cJSON_AddNumberToObject(json, "device_mtu", mtu) ||
	    !cJSON_AddBoolToObject(json, "connected", s->state == STATE_UP) ||
	    !cJSON_AddNumberToObject(json, "ring", (double)s->offer.bytes) ||
	    !cJSON_AddNumberToObject(json, "arrived", (double)s->arrived) ||
	    !cJSON_AddNumberToObject(json, "under_way",
				     s->batches_posted - s->batches_done) ||
	    !cJSON_AddNumberToObject(json, "writes", (double)s->batches) ||
	    !cJSON_AddNumberToObject(json, "reads", (double)s->reads) ||
	    !cJSON_AddNumberToObject(json, "bells", (double)s->bells))
		return -ENOMEM;
	return 0;
}

static const struct shunt_port_ops send_ops = {
	SHUNT_SHIP_ROW,
	.close = send_close,
	.rx = send_rx,
	.tx = send_tx,
	.kick = send_kick,
	.wait = send_wait,
	.under_way = send_under_way,
	.stats = send_stats,
	.describe = send_describe,
};
