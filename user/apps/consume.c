/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/consume.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "maps/consumer.h"
#include "maps/seat.h"

#include "user/base/clock.h"
#include "user/io/ring.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* How often the interface is looked at: the kernel does not wake us when it goes. */
#define CHECK_NS (500 * NS_PER_MS)

/* Adaptive waiting spins about as long as waking a sleeper takes. */
#define SPIN_NS (20 * UINT64_C(1000))

#define PORTS_MAX (SHUNT_QUEUE_MAX + 1)

/* A socket, or else the ring buffer. */
struct port {
	struct shunt_xsk *xsk;
	struct shunt_ring *ring;
	struct shunt_consume_queue count;
	struct shunt_seat *seat; /* NULL: nobody is told */
	struct shunt_seat past;	 /* what earlier consumers have left in it */
};

struct loop {
	const struct shunt_consume_opts *opts;
	const struct shunt_consume_sink *sink;
	void *self;
	struct port ports[PORTS_MAX];
	struct pollfd fds[PORTS_MAX + 1]; /* the last one: the stop event */
	size_t count;
	uint64_t packets;
	uint64_t start_ns;
	uint64_t end_ns; /* of running; draining is not counted in */
};

/* --- stopping ---------------------------------------------------------------- */

static volatile sig_atomic_t stop_wanted;
static volatile sig_atomic_t stop_event = -1;

static void on_stop(int sig)
{
	const uint64_t one = 1;
	int saved = errno;

	(void)sig;
	stop_wanted = 1;
	if (write(stop_event, &one, sizeof(one)) < 0)
		errno = saved; /* cannot happen; the loop's next look sees the flag */
	errno = saved;
}

static const int stop_signals[] = { SIGINT, SIGTERM };

struct stop {
	int event;
	struct sigaction saved[2];
};

static int stop_open(struct stop *stop, struct shunt_err *err)
{
	const struct sigaction action = { .sa_handler = on_stop,
					  .sa_flags = SA_RESETHAND };
	size_t i;

	stop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop->event < 0)
		return shunt_fail_errno(err, -errno, "make an event to stop by");
	stop_event = stop->event;
	stop_wanted = 0;
	for (i = 0; i < 2; i++)
		sigaction(stop_signals[i], &action, &stop->saved[i]);
	return 0;
}

static void stop_close(struct stop *stop)
{
	size_t i;

	for (i = 0; i < 2; i++)
		sigaction(stop_signals[i], &stop->saved[i], NULL);
	stop_event = -1;
	close(stop->event);
}

/* --- seats -------------------------------------------------------------------- */

/* Once a socket or ring is open, and before it is fed. */
static int take_seat(const struct loop *loop, struct port *port, uint32_t place,
		     uint32_t room, struct shunt_err *err)
{
	int code = loop->opts->seats ? shunt_seat_take(loop->opts->seats, place,
						       room + SHUNT_CONSUME_BURST,
						       &port->seat, err)
				     : 0;

	if (port->seat)
		port->past = *port->seat;
	return code;
}

static void store(__u64 *to, __u64 value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/* Frames are told once they are done with: what is not told is lost if we die. */
static void tell_frames(const struct port *port)
{
	if (!port->seat)
		return;
	store(&port->seat->received, port->past.received + port->count.packets);
	store(&port->seat->discarded, port->past.discarded + port->count.unread);
}

/* Asks the kernel, and tells. */
static int ask_drops(struct port *port, struct shunt_err *err)
{
	const struct shunt_xsk_stats *drops = &port->count.drops;
	int code = port->xsk ? shunt_xsk_stats(port->xsk, &port->count.drops, err) : 0;

	if (code || !port->seat)
		return code;
	store(&port->seat->ring_full, port->past.ring_full + drops->rx_ring_full);
	store(&port->seat->dropped, port->past.dropped + drops->rx_dropped);
	store(&port->seat->fill_empty,
	      port->past.fill_empty + drops->rx_fill_ring_empty);
	store(&port->seat->stamp_ns, shunt_now_ns());
	return 0;
}

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

/* The rings are empty and will not be fed again. */
static void leave_seats(struct loop *loop)
{
	size_t i;

	for (i = 0; i < loop->count; i++) {
		struct port *port = &loop->ports[i];

		/* the watch has counted the drops as well */
		if (port->seat && !ask_drops(port, NULL))
			shunt_seat_leave(loop->opts->seats, port->seat);
	}
}

/* --- the sockets, and the ring ------------------------------------------------ */

static void close_ports(struct loop *loop)
{
	while (loop->count) {
		shunt_xsk_close(loop->ports[--loop->count].xsk);
		shunt_ring_close(loop->ports[loop->count].ring);
	}
}

static int open_port(struct loop *loop, unsigned int queue, struct shunt_err *err)
{
	const struct shunt_consume_opts *opts = loop->opts;
	const struct shunt_xsk_opts xsk = { .sz = sizeof(xsk), .ring = opts->ring };
	struct port *port = &loop->ports[loop->count];
	int code;

	code = shunt_xsk_open(&port->xsk, opts->interface, queue, &xsk, err);
	if (code)
		return code;
	port->count.queue = queue;
	loop->fds[loop->count] =
		(struct pollfd){ .fd = shunt_xsk_fd(port->xsk), .events = POLLIN };
	loop->count++;
	return take_seat(loop, port, queue, opts->ring ? opts->ring : SHUNT_XSK_RING,
			 err);
}

static int open_ring(struct loop *loop, struct shunt_err *err)
{
	struct port *port = &loop->ports[loop->count];
	int code = shunt_ring_open(&port->ring, shunt_tap_fd(loop->opts->tap), err);

	if (code)
		return code;
	port->count.queue = SHUNT_CONSUME_RING;
	loop->fds[loop->count] =
		(struct pollfd){ .fd = shunt_ring_fd(port->ring), .events = POLLIN };
	loop->count++;
	return take_seat(loop, port, SHUNT_SEAT_RING, shunt_ring_places(port->ring),
			 err);
}

static int feed_port(struct loop *loop, struct port *port, struct shunt_err *err)
{
	if (port->ring)
		return shunt_tap_feed(loop->opts->tap, err);
	return shunt_xsk_register(port->xsk, loop->opts->xskmap_fd, loop->opts->slot,
				  err);
}

/* All of them are open before the first one is fed. */
static int open_ports(struct loop *loop, struct shunt_err *err)
{
	unsigned int queue;
	size_t i;
	int code;

	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++) {
		if (!(loop->opts->queues >> queue & 1))
			continue;
		code = open_port(loop, queue, err);
		if (code)
			return code;
	}
	if (loop->opts->tap) {
		code = open_ring(loop, err);
		if (code)
			return code;
	}
	if (!loop->count)
		return shunt_fail(err, -EINVAL,
				  "consumer %s: no queue of %s is left to serve",
				  loop->opts->consumer, loop->opts->interface);
	beat(loop, shunt_now_ns()); /* to open them may have taken a while */
	for (i = 0; i < loop->count; i++) {
		code = feed_port(loop, &loop->ports[i], err);
		if (code)
			return shunt_fail_in(err, code,
					     "consumer %s: ", loop->opts->consumer);
	}
	return 0;
}

/* --- the loop ---------------------------------------------------------------- */

static bool limit_reached(const struct loop *loop)
{
	return loop->opts->packets && loop->packets >= loop->opts->packets;
}

static unsigned int burst_room(const struct loop *loop)
{
	uint64_t left;

	if (!loop->opts->packets)
		return SHUNT_CONSUME_BURST;
	left = loop->opts->packets - loop->packets;
	return left < SHUNT_CONSUME_BURST ? left : SHUNT_CONSUME_BURST;
}

/* Borrows up to max frames of one port. */
static unsigned int borrow(struct port *port, struct shunt_frame *frames,
			   unsigned int max)
{
	struct shunt_ring_record records[SHUNT_CONSUME_BURST];
	unsigned int i, n;

	if (port->xsk)
		return shunt_xsk_rx(port->xsk, frames, max);
	n = shunt_ring_rx(port->ring, records, max);
	for (i = 0; i < n; i++)
		frames[i] = (struct shunt_frame){ .data = (uint8_t *)records[i].frame,
						  .len = records[i].event->captured };
	return n;
}

static void give_back(struct port *port, const struct shunt_frame *frames,
		      unsigned int n)
{
	if (port->xsk)
		shunt_xsk_release(port->xsk, frames, n);
	else
		shunt_ring_release(port->ring);
}

/* One burst of one port; returns its frames or -errno. */
static int serve(struct loop *loop, struct port *port, struct shunt_err *err)
{
	struct shunt_frame frames[SHUNT_CONSUME_BURST];
	unsigned int i, n;
	int code;

	n = borrow(port, frames, burst_room(loop));
	if (!n)
		return 0;
	code = loop->sink->burst(loop->self, port->count.queue, frames, n, err);
	for (i = 0; i < n; i++)
		port->count.bytes += frames[i].len;
	port->count.packets += n;
	loop->packets += n;
	give_back(port, frames, n);
	tell_frames(port);
	return code < 0 ? code : (int)n;
}

/* A burst of every port; returns the frames or -errno. */
static int serve_all(struct loop *loop, struct shunt_err *err)
{
	int total = 0;
	size_t i;

	for (i = 0; i < loop->count && !limit_reached(loop); i++) {
		int n = serve(loop, &loop->ports[i], err);

		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

static int tell(struct loop *loop, bool final, struct shunt_err *err)
{
	struct shunt_consume_queue queues[PORTS_MAX];
	struct shunt_consume_totals totals = { .final = final, .queues = queues };
	struct shunt_consume_queue *sum = &totals.sum;
	size_t i;

	for (i = 0; i < loop->count; i++) {
		struct port *port = &loop->ports[i];
		const struct shunt_xsk_stats *drops = &port->count.drops;
		int code = ask_drops(port, err);

		if (code)
			return code;
		queues[i] = port->count;
		sum->packets += port->count.packets;
		sum->bytes += port->count.bytes;
		sum->unread += port->count.unread;
		sum->drops.rx_dropped += drops->rx_dropped;
		sum->drops.rx_ring_full += drops->rx_ring_full;
		sum->drops.rx_fill_ring_empty += drops->rx_fill_ring_empty;
		sum->drops.rx_invalid_descs += drops->rx_invalid_descs;
	}
	totals.count = loop->count;
	totals.seconds =
		((final ? loop->end_ns : shunt_now_ns()) - loop->start_ns) / 1e9;
	return loop->sink->tick(loop->self, &totals, err);
}

/* Sleeps until a frame, a signal, or the deadline. */
static int sleep_until(struct loop *loop, uint64_t now, uint64_t deadline,
		       struct shunt_err *err)
{
	uint64_t left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { .tv_sec = left / NS_PER_S,
				    .tv_nsec = left % NS_PER_S };
	int code = loop->sink->idle(loop->self, err);

	if (code < 0)
		return code;
	if (ppoll(loop->fds, loop->count + 1, &timeout, NULL) < 0 && errno != EINTR)
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

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int check_ports(struct loop *loop, struct shunt_err *err)
{
	size_t i;

	for (i = 0; i < loop->count; i++) {
		int code = loop->ports[i].xsk ? shunt_xsk_check(loop->ports[i].xsk, err)
					      : shunt_tap_check(loop->opts->tap, err);

		if (!code && loop->ports[i].seat)
			code = ask_drops(&loop->ports[i], err);
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
	while (!stop_wanted && now < end && !limit_reached(loop)) {
		int n = serve_all(loop, err);

		if (n < 0)
			return n;
		now = shunt_now_ns();
		beat(loop, now);
		if (now >= check) {
			code = check_ports(loop, err);
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

/* Frames that are left: delivered up to the limit, then thrown away and counted. */
static int drain(struct loop *loop, struct shunt_err *err)
{
	struct shunt_frame frames[SHUNT_CONSUME_BURST];
	unsigned int n;
	size_t i;
	int code;

	for (i = 0; i < loop->count; i++) {
		if (loop->ports[i].ring)
			shunt_tap_starve(loop->opts->tap);
		else
			shunt_xsk_unregister(loop->ports[i].xsk);
	}
	if (loop->ports[0].xsk)
		shunt_xsk_settle();
	do {
		code = serve_all(loop, err);
	} while (code > 0);
	for (i = 0; i < loop->count; i++) {
		struct port *port = &loop->ports[i];

		while ((n = borrow(port, frames, SHUNT_CONSUME_BURST))) {
			port->count.unread += n;
			give_back(port, frames, n);
		}
		tell_frames(port);
	}
	return code;
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
	leave_seats(loop);
	later = tell(loop, true, code ? NULL : err);
	return code ? code : later;
}

int shunt_consume(const struct shunt_consume_opts *opts,
		  const struct shunt_consume_sink *sink, void *self,
		  struct shunt_err *err)
{
	struct loop loop = { .opts = opts, .sink = sink, .self = self };
	struct stop stop;
	int code = stop_open(&stop, err);

	if (code)
		return code;
	code = open_ports(&loop, err);
	if (!code) {
		loop.fds[loop.count] =
			(struct pollfd){ .fd = stop.event, .events = POLLIN };
		code = run_and_drain(&loop, err);
	}
	close_ports(&loop);
	stop_close(&stop);
	return code;
}
