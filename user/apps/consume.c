/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/consume.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "maps/consumer.h"
#include "maps/seat.h"

#include "user/apps/stop.h"
#include "user/base/clock.h"
#include "user/io/af_xdp.h"
#include "user/io/ring.h"
#include "user/io/teller.h"
#include "user/io/xsk.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* How often the interface is looked at: the kernel does not wake us when it goes. */
#define CHECK_NS (500 * NS_PER_MS)

/* Adaptive waiting spins about as long as waking a sleeper takes. */
#define SPIN_NS (20 * UINT64_C(1000))

#define SOURCES_MAX (SHUNT_QUEUE_MAX + 1)
#define FDS_MAX (3 * SOURCES_MAX + 1) /* frames, heartbeat, who takes over; the end */
#define PACKET_MAX (SHUNT_XSK_FRAMES_MAX * SHUNT_MEMORY_FRAME_BYTES)

/* A port, or else the ring buffer, which takes its seat itself. */
struct source {
	struct shunt_port *port;
	bool fed; /* the port was from the beginning */
	struct shunt_ring *ring;
	struct shunt_teller teller;
	struct shunt_consume_queue count;
};

struct loop {
	const struct shunt_consume_opts *opts;
	const struct shunt_consume_sink *sink;
	void *self;
	struct source sources[SOURCES_MAX];
	size_t count;
	uint64_t packets;
	uint64_t start_ns;
	uint64_t end_ns; /* of running; draining is not counted in */
	int stop_event;
	uint8_t packet[PACKET_MAX]; /* one that came in several frames */
};

/* --- the heartbeat ------------------------------------------------------------ */

/* Shows the programs that we are at work. */
static void beat(const struct loop *loop, uint64_t now)
{
	if (loop->opts->seats)
		shunt_seats_beat(loop->opts->seats, now);
}

/* When the next heartbeat is due of one that sleeps. */
static uint64_t next_beat(const struct loop *loop, uint64_t now)
{
	return loop->opts->seats ? now + shunt_seats_nap_ns(loop->opts->seats)
				 : UINT64_MAX;
}

/* --- the ports, and the ring -------------------------------------------------- */

static void close_sources(struct loop *loop)
{
	while (loop->count) {
		struct source *source = &loop->sources[--loop->count];

		shunt_port_close(source->port);
		shunt_ring_close(source->ring);
	}
}

/* Each has its own memory, so that it can be handed over. */
static int open_port(struct loop *loop, unsigned int queue, unsigned int ring,
		     struct shunt_err *err)
{
	/* what waits, and as many with the kernel; a burst; a thread's cache */
	const unsigned int frames = 2 * (ring + SHUNT_BURST) + 1024;
	const struct shunt_port_opts plain = { .sz = sizeof(plain) };
	const struct shunt_consume_opts *opts = loop->opts;
	struct source *source = &loop->sources[loop->count];
	struct shunt_spec spec = { .noun = "port", .scheme = "af_xdp" };
	char options[256];
	int code;

	/* not as one text: the name of an interface may have a comma in it */
	snprintf(spec.device, sizeof(spec.device), "%s", opts->interface);
	snprintf(options, sizeof(options), "queues=%u,tx=off,ring=%u,frames=%u,%s%s",
		 queue, ring, frames, opts->take_over ? "take-over=on,consumer=" : "",
		 opts->take_over ? opts->consumer : "rx=on");
	spec.rest = options;
	code = shunt_af_xdp_ops.open(&source->port, &spec, &plain, err);
	if (code)
		return code;
	source->fed = opts->take_over;
	source->count.queue = queue;
	loop->count++;
	return 0;
}

static int open_ports(struct loop *loop, struct shunt_err *err)
{
	unsigned int ring = loop->opts->ring ? loop->opts->ring : SHUNT_XSK_RING, queue;
	int code = 0;

	for (queue = 0; !code && queue < SHUNT_QUEUE_MAX; queue++)
		if (loop->opts->queues >> queue & 1)
			code = open_port(loop, queue, ring, err);
	return code;
}

static int open_ring(struct loop *loop, struct shunt_err *err)
{
	struct source *source = &loop->sources[loop->count];
	int code = shunt_ring_open(&source->ring, shunt_tap_fd(loop->opts->tap), err);

	if (code)
		return code;
	source->count.queue = SHUNT_CONSUME_RING;
	loop->count++;
	return shunt_teller_open(&source->teller, loop->opts->seats, SHUNT_SEAT_RING,
				 shunt_ring_places(source->ring), err);
}

static int feed(struct loop *loop, struct source *source, struct shunt_err *err)
{
	if (source->ring)
		return shunt_tap_feed(loop->opts->tap, err);
	if (source->fed)
		return 0;
	return shunt_af_xdp_feed(source->port, loop->opts->xskmap_fd, loop->opts->slot,
				 loop->opts->seats, err);
}

/* All of them are open before the first one is fed. */
static int open_sources(struct loop *loop, struct shunt_err *err)
{
	size_t i;
	int code = open_ports(loop, err);

	if (!code && loop->opts->tap)
		code = open_ring(loop, err);
	if (code)
		return code;
	if (!loop->count)
		return shunt_fail(err, -EINVAL,
				  "consumer %s: no queue of %s is left to serve",
				  loop->opts->consumer, loop->opts->interface);
	beat(loop, shunt_now_ns()); /* to open them may have taken a while */
	for (i = 0; i < loop->count; i++) {
		struct source *source = &loop->sources[i];

		code = feed(loop, source, err);
		if (source->port)
			source->count.mode = shunt_af_xdp_mode(source->port);
		if (code)
			return shunt_fail_in(err, code,
					     "consumer %s: ", loop->opts->consumer);
	}
	return 0;
}

/* Have other processes taken over all that we serve? */
static bool handed_over(const struct loop *loop)
{
	size_t i;

	for (i = 0; i < loop->count; i++)
		if (loop->sources[i].ring || !loop->sources[i].port->ended)
			return false;
	return true;
}

/* --- the loop ---------------------------------------------------------------- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* With so many more. */
static bool limit_reached(const struct loop *loop, uint64_t more)
{
	return loop->opts->packets && loop->packets + more >= loop->opts->packets;
}

/* Never more packets than are wanted; where one may be many frames, a few more. */
static unsigned int burst_room(const struct loop *loop, const struct source *source)
{
	uint64_t left = SHUNT_BURST;

	if (loop->opts->packets)
		left = min_u64(left, loop->opts->packets - loop->packets);
	if (source->port && source->port->caps & SHUNT_PORT_MULTI)
		left = SHUNT_BURST;
	return (unsigned int)left;
}

/* Borrows up to max frames. */
static unsigned int borrow(struct source *source, struct shunt_frame *frames,
			   unsigned int max)
{
	struct shunt_ring_record records[SHUNT_BURST];
	unsigned int i, n;

	if (source->port)
		return shunt_port_rx(source->port, frames, max);
	n = shunt_ring_rx(source->ring, records, max);
	for (i = 0; i < n; i++)
		frames[i] = (struct shunt_frame){ .data = (uint8_t *)records[i].frame,
						  .len = records[i].event->captured };
	return n;
}

/* A port's seat is told by the port itself, at the next rx. */
static void give_back(struct source *source, const struct shunt_frame *frames,
		      unsigned int n)
{
	if (source->port) {
		shunt_frames_put(frames, n);
		return;
	}
	shunt_ring_release(source->ring);
	shunt_teller_frames(&source->teller, source->count.packets,
			    source->count.unread);
}

static int deliver(struct loop *loop, struct source *source,
		   const struct shunt_frame *frames, unsigned int n,
		   struct shunt_err *err)
{
	unsigned int i;

	if (!n)
		return 0;
	for (i = 0; i < n; i++)
		source->count.bytes += frames[i].len;
	source->count.packets += n;
	loop->packets += n;
	return loop->sink->burst(loop->self, source->count.queue, frames, n, err);
}

/* Several packets came where one was wanted: the rest is not read. */
static void skip(struct source *source, const struct shunt_frame *frames,
		 unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		source->count.unread += !(frames[i].flags & SHUNT_FRAME_MORE);
}

/* Packets of one frame go together; one of several is put together, and goes alone. */
static int deliver_packets(struct loop *loop, struct source *source,
			   const struct shunt_frame *frames, unsigned int n,
			   struct shunt_err *err)
{
	unsigned int first = 0, at = 0, count;
	uint32_t bytes;
	int code = 0;

	while (at < n && code >= 0 && !limit_reached(loop, at - first)) {
		count = shunt_packet_frames(frames + at, n - at, &bytes);
		if (count == 1) {
			at++;
			continue;
		}
		code = deliver(loop, source, frames + first, at - first, err);
		if (code >= 0) {
			const struct shunt_frame whole = { .data = loop->packet,
							   .len = bytes };

			shunt_packet_copy(loop->packet, frames + at, count);
			code = deliver(loop, source, &whole, 1, err);
		}
		at += count;
		first = at;
	}
	skip(source, frames + at, n - at);
	return code < 0 ? code : deliver(loop, source, frames + first, at - first, err);
}

/* One burst of one source; returns its frames or -errno. */
static int serve(struct loop *loop, struct source *source, struct shunt_err *err)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n = borrow(source, frames, burst_room(loop, source));
	int code;

	if (!n)
		return 0;
	code = deliver_packets(loop, source, frames, n, err);
	give_back(source, frames, n);
	return code < 0 ? code : (int)n;
}

/* A burst of every source; returns the frames or -errno. */
static int serve_all(struct loop *loop, struct shunt_err *err)
{
	int total = 0;
	size_t i;

	for (i = 0; i < loop->count && !limit_reached(loop, 0); i++) {
		int n = serve(loop, &loop->sources[i], err);

		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

/* Asks what the kernel has lost; the seats are told. */
static int ask_drops(struct source *source, struct shunt_err *err)
{
	if (source->port)
		return shunt_port_stats(source->port, &source->count.drops, err);
	shunt_teller_drops(&source->teller, 0, 0, 0);
	return 0;
}

static int tell(struct loop *loop, bool final, struct shunt_err *err)
{
	struct shunt_consume_queue queues[SOURCES_MAX];
	struct shunt_consume_totals totals = { .final = final, .queues = queues };
	struct shunt_consume_queue *sum = &totals.sum;
	size_t i;

	for (i = 0; i < loop->count; i++) {
		struct source *source = &loop->sources[i];
		const struct shunt_port_stats *drops = &source->count.drops;
		int code = ask_drops(source, err);

		if (code)
			return code;
		queues[i] = source->count;
		sum->packets += source->count.packets;
		sum->bytes += source->count.bytes;
		sum->unread += source->count.unread;
		sum->drops.rx_dropped += drops->rx_dropped;
		sum->drops.rx_ring_full += drops->rx_ring_full;
		sum->drops.rx_fill_empty += drops->rx_fill_empty;
		sum->drops.rx_invalid += drops->rx_invalid;
	}
	totals.count = loop->count;
	totals.seconds =
		((final ? loop->end_ns : shunt_now_ns()) - loop->start_ns) / 1e9;
	return loop->sink->tick(loop->self, &totals, err);
}

/* What poll() is to look at: all of the sources, and the event to stop by. */
static unsigned int wait_for(struct loop *loop, struct pollfd *fds)
{
	unsigned int n = 0;
	size_t i;

	fds[n++] = (struct pollfd){ .fd = loop->stop_event, .events = POLLIN };
	for (i = 0; i < loop->count; i++) {
		struct source *source = &loop->sources[i];

		if (source->port)
			n += source->port->ops->wait(source->port, fds + n,
						     FDS_MAX - n);
		else
			fds[n++] = (struct pollfd){ .fd = shunt_ring_fd(source->ring),
						    .events = POLLIN };
	}
	return n;
}

/* Sleeps until a frame, a signal, or the deadline. */
static int sleep_until(struct loop *loop, uint64_t now, uint64_t deadline,
		       struct shunt_err *err)
{
	uint64_t left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { .tv_sec = left / NS_PER_S,
				    .tv_nsec = left % NS_PER_S };
	struct pollfd fds[FDS_MAX];
	int code = loop->sink->idle(loop->self, err);

	if (code < 0)
		return code;
	if (ppoll(fds, wait_for(loop, fds), &timeout, NULL) < 0 && errno != EINTR)
		return shunt_fail_errno(err, -errno, "wait for frames from %s",
					loop->opts->interface);
	return 0;
}

static bool may_sleep(enum shunt_wait wait, uint64_t idle_ns)
{
	switch (wait) {
	case SHUNT_WAIT_SPIN:
		return false;
	case SHUNT_WAIT_POLL:
		return true;
	default:
		return idle_ns >= SPIN_NS;
	}
}

static int check_sources(struct loop *loop, struct shunt_err *err)
{
	size_t i;

	for (i = 0; i < loop->count; i++) {
		struct source *source = &loop->sources[i];
		int code;

		if (source->port) /* it looks after its interface and its seat */
			code = shunt_port_kick(source->port, err);
		else
			code = shunt_tap_check(loop->opts->tap, err);
		if (!code && source->ring)
			code = ask_drops(source, err);
		if (code)
			return code;
	}
	return 0;
}

static int run(struct loop *loop, struct shunt_err *err)
{
	const struct shunt_consume_opts *opts = loop->opts;
	uint64_t now = shunt_now_ns(), busy = now, check = now + CHECK_NS;
	uint64_t end = opts->duration_ns ? now + opts->duration_ns : UINT64_MAX;
	uint64_t tick = opts->interval_ns ? now + opts->interval_ns : UINT64_MAX;
	int code;

	loop->start_ns = now;
	while (!shunt_stop_wanted() && now < end && !limit_reached(loop, 0) &&
	       !handed_over(loop)) {
		int n = serve_all(loop, err);

		if (n < 0)
			return n;
		now = shunt_now_ns();
		beat(loop, now);
		if (now >= check) {
			code = check_sources(loop, err);
			if (code)
				return code;
			check = now + CHECK_NS;
		}
		if (now >= tick) {
			code = tell(loop, false, err);
			if (code < 0)
				return code;
			while (tick <= now)
				tick += opts->interval_ns;
		}
		if (n) {
			busy = now;
		} else if (may_sleep(opts->wait, now - busy)) {
			uint64_t until = min_u64(min_u64(check, tick), end);

			code = sleep_until(loop, now,
					   min_u64(until, next_beat(loop, now)), err);
			if (code < 0)
				return code;
			now = busy = shunt_now_ns();
		}
	}
	return 0;
}

/* Throws away what the limit has left. */
static void discard(struct source *source)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n;

	if (source->port) {
		source->count.unread += shunt_af_xdp_discard(source->port);
		return;
	}
	while ((n = borrow(source, frames, SHUNT_BURST))) {
		source->count.unread += n;
		give_back(source, frames, n);
	}
}

/* Frames that are left: delivered up to the limit, then thrown away and counted. */
static int drain(struct loop *loop, struct shunt_err *err)
{
	size_t i;
	int code;

	for (i = 0; i < loop->count; i++) {
		if (loop->sources[i].ring)
			shunt_tap_starve(loop->opts->tap);
		else
			shunt_port_stop(loop->sources[i].port);
	}
	do {
		code = serve_all(loop, err);
	} while (code > 0);
	for (i = 0; i < loop->count; i++)
		discard(&loop->sources[i]);
	return code;
}

/* The ring is empty and will not be fed again; a port leaves its seat when it closes. */
static void leave_ring(struct loop *loop)
{
	size_t i;

	for (i = 0; i < loop->count; i++)
		shunt_teller_leave(&loop->sources[i].teller);
}

/* Ends in any case with the last totals; the first error is the one that is told. */
static int run_and_drain(struct loop *loop, struct shunt_err *err)
{
	int code = run(loop, err);
	int later;

	loop->end_ns = shunt_now_ns();
	later = drain(loop, code ? NULL : err);
	if (!code)
		code = later;
	leave_ring(loop);
	later = tell(loop, true, code ? NULL : err);
	return code ? code : later;
}

int shunt_consume(const struct shunt_consume_opts *opts,
		  const struct shunt_consume_sink *sink, void *self,
		  struct shunt_err *err)
{
	struct loop loop = { .opts = opts, .sink = sink, .self = self };
	struct shunt_stop stop;
	int code = shunt_stop_open(&stop, err);

	if (code)
		return code;
	loop.stop_event = stop.event;
	code = open_sources(&loop, err);
	if (!code)
		code = run_and_drain(&loop, err);
	close_sources(&loop);
	shunt_stop_close(&stop);
	return code;
}
