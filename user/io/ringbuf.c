/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports over a BPF ring buffer: what a policy redirects, samples or mirrors there. */
#include "user/io/ringbuf.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/shunt.h"
#include "user/base/clock.h"
#include "user/io/backends.h"
#include "user/io/link.h"
#include "user/io/heart.h"
#include "user/io/ring.h"
#include "user/io/teller.h"

#define CONSUMER_ROOM 64

/* How often the interface and the policy are looked at: nobody tells us when they go. */
#define CHECK_NS UINT64_C(10000000)

/* An event lies in front of its frame, and is read there. */
#define EVENT_BYTES sizeof(struct shunt_ring_event)
#define EVENT_ALIGN _Alignof(struct shunt_ring_event)

struct options {
	char consumer[CONSUMER_ROOM];
	unsigned int copies;
};

#define AT(field) .offset = offsetof(struct options, field)

static const struct shunt_spec_row option_rows[] = {
	{ "consumer", SHUNT_SPEC_TEXT, AT(consumer), .room = CONSUMER_ROOM,
	  .value = "NAME",
	  .help = "the consumer of the interface's policy that it serves" },
	{ "copies", SHUNT_SPEC_SWITCH, AT(copies), .value = "on|off",
	  .help = "receive what rules sample and mirror, instead" },
	{ NULL },
};

struct ringbuf_port {
	struct shunt_port port;
	struct options options;
	struct shunt_link link;
	uint64_t look_ns;	     /* when link and policy are looked at again */
	struct shunt_memory *memory; /* NULL: the pool is the opener's */
	struct shunt_seats *seats;
	struct shunt_heart heart; /* for those */
	struct shunt_teller teller;
	struct shunt_tap *tap;
	struct shunt_ring *ring;

	/* taken from the ring, and not yet copied */
	struct shunt_ring_record records[SHUNT_BURST];
	unsigned int n, at;
};

static struct ringbuf_port *of(struct shunt_port *port)
{
	return (struct ringbuf_port *)port;
}

/* --- frames ----------------------------------------------------------------------------- */

/* How many frames the record became; 0: there was no room. */
static unsigned int copy(struct ringbuf_port *p, const struct shunt_ring_record *record,
			 struct shunt_frame *frames, unsigned int max)
{
	uint32_t len = record->event->captured;
	unsigned int n =
		shunt_packet_fill(p->port.pool, record->frame, len, frames, max);

	if (!n)
		return 0;
	memcpy(frames->data - EVENT_BYTES, record->event, EVENT_BYTES);
	frames->flags |= SHUNT_FRAME_EVENT;
	p->port.count.rx_packets++;
	p->port.count.rx_bytes += len;
	return n;
}

static unsigned int ringbuf_rx(struct shunt_port *port, struct shunt_frame *frames,
			       unsigned int max)
{
	struct ringbuf_port *p = of(port);
	unsigned int n = 0, got, first;

	/* what was given last time is done with: else it is lost if we die */
	shunt_teller_frames(&p->teller, port->count.rx_packets, 0);
	if (p->seats)
		shunt_heart_beat(&p->heart, shunt_now_ns());
	while (n < max) {
		if (p->at == p->n) {
			p->at = 0;
			p->n = shunt_ring_rx(p->ring, p->records, SHUNT_BURST);
		}
		first = p->at;
		while (p->at < p->n &&
		       (got = copy(p, &p->records[p->at], frames + n, max - n))) {
			n += got;
			p->at++;
		}
		if (p->at == first)
			break;
		shunt_ring_release_to(p->ring, &p->records[p->at - 1]);
	}
	return n;
}

static unsigned int ringbuf_wait(struct shunt_port *port, struct pollfd *fds,
				 unsigned int max)
{
	struct ringbuf_port *p = of(port);

	if (!max)
		return 0;
	*fds = (struct pollfd){ .fd = shunt_ring_fd(p->ring), .events = POLLIN };
	return 1 + shunt_heart_wait(&p->heart, fds + 1, max - 1);
}

static int ringbuf_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct ringbuf_port *p = of(port);
	uint64_t now = shunt_now_ns();
	int ret;

	if (now < p->look_ns)
		return 0;
	p->look_ns = now + CHECK_NS;
	shunt_teller_drops(&p->teller, 0, 0, 0);
	ret = shunt_link_look(&p->link, err);
	if (!ret)
		ret = shunt_tap_check(p->tap, err);
	return ret ? shunt_fail_in(err, ret, "port %s: ", port->name) : 0;
}

/* --- opening ---------------------------------------------------------------------------- */

static int check_options(const struct ringbuf_port *p, struct shunt_err *err)
{
	if (!*p->options.consumer == !p->options.copies)
		return shunt_fail(
			err, -EINVAL,
			"port %s: consumer=NAME serves a consumer of the policy, "
			"copies what rules sample and mirror: say one of them",
			p->port.name);
	return 0;
}

/* Events are read where they lie: frames must leave room for them, in the right place. */
static int check_pool(struct ringbuf_port *p, struct shunt_err *err)
{
	struct shunt_frame frame;
	bool fits = p->port.pool->headroom >= EVENT_BYTES;

	if (fits && shunt_pool_get(p->port.pool, &frame, 1)) {
		fits = (uintptr_t)frame.data % EVENT_ALIGN == 0;
		shunt_frames_put(&frame, 1);
	}
	return fits ? 0
		    : shunt_fail(err, -EINVAL,
				 "port %s: its pool has %u bytes of headroom; it takes "
				 "%zu, with data that begins at a multiple of %zu",
				 p->port.name, p->port.pool->headroom, EVENT_BYTES,
				 EVENT_ALIGN);
}

static int open_pool(struct ringbuf_port *p, struct shunt_pool *given,
		     struct shunt_err *err)
{
	int ret;

	p->port.pool = given;
	if (given)
		return check_pool(p, err);
	ret = shunt_memory_open(&p->memory, NULL, err);
	if (!ret)
		p->port.pool = &p->memory->pool;
	return ret;
}

/* The consumer's seat; samples and mirrored frames have none. */
static int open_seats(struct ringbuf_port *p, struct shunt_err *err)
{
	struct shunt_consumer consumer;
	int ret;

	if (p->options.copies)
		return 0;
	ret = shunt_consumer_open(p->link.name, p->options.consumer, &consumer, err);
	if (ret)
		return ret;
	if (consumer.map_fd >= 0)
		close(consumer.map_fd);
	if (!consumer.ring)
		return shunt_fail(err, -EINVAL,
				  "consumer %s is served by sockets alone: "
				  "af_xdp:%s,consumer=%s",
				  p->options.consumer, p->link.name,
				  p->options.consumer);
	return shunt_seats_open(&p->seats, p->link.name, consumer.slot, err);
}

static int open_ring(struct ringbuf_port *p, const char *interface,
		     struct shunt_err *err)
{
	int ret = shunt_link_open(&p->link, interface, err);

	if (!ret)
		ret = open_seats(p, err);
	if (!ret)
		ret = shunt_tap_open(&p->tap, p->link.name,
				     p->options.copies ? NULL : p->options.consumer,
				     err);
	if (!ret)
		ret = shunt_ring_open(&p->ring, shunt_tap_fd(p->tap), err);
	if (!ret)
		ret = shunt_teller_open(&p->teller, p->seats, SHUNT_SEAT_RING,
					shunt_ring_places(p->ring) + SHUNT_BURST, err);
	if (!ret)
		ret = shunt_heart_open(&p->heart, p->seats, NULL, 0, err);
	if (!ret)
		ret = shunt_tap_feed(p->tap, err);
	return ret ? shunt_fail_in(err, ret, "port %s: ", p->port.name) : 0;
}

/* What is left in the ring was handed to us, and is thrown away. */
static void discard(struct ringbuf_port *p)
{
	uint64_t discarded;

	if (!p->ring || !p->tap)
		return;
	shunt_tap_starve(p->tap);
	discarded = p->n - p->at;
	while ((p->n = shunt_ring_rx(p->ring, p->records, SHUNT_BURST)))
		discarded += p->n;
	shunt_teller_frames(&p->teller, p->port.count.rx_packets, discarded);
	shunt_teller_leave(&p->teller);
}

static void ringbuf_close(struct shunt_port *port)
{
	struct ringbuf_port *p = of(port);

	discard(p);
	shunt_ring_close(p->ring);
	shunt_tap_close(p->tap);
	shunt_heart_close(&p->heart);
	shunt_seats_close(p->seats);
	shunt_link_close(&p->link);
	shunt_memory_close(p->memory);
	free(p);
}

static int ringbuf_open(struct shunt_port **port, const struct shunt_spec *spec,
			const struct shunt_port_opts *opts, struct shunt_err *err)
{
	struct ringbuf_port *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return shunt_fail_errno(err, -ENOMEM, "open port %s:%s", spec->scheme,
					spec->device);
	p->link = (struct shunt_link)SHUNT_LINK_NONE;
	shunt_port_init(&p->port, &shunt_ringbuf_port_ops, spec);
	p->port.caps = SHUNT_PORT_RX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI;
	ret = shunt_spec_read(spec, option_rows, &p->options, err);
	if (!ret)
		ret = check_options(p, err);
	if (!ret)
		ret = open_pool(p, opts->pool, err);
	if (!ret)
		ret = open_ring(p, spec->device, err);
	if (ret) {
		ringbuf_close(&p->port);
		return ret;
	}
	*port = &p->port;
	return 0;
}

/* --- what it is -------------------------------------------------------------------------- */

/* What finds a consumer's ring full is not lost: the policy's if_down says where it goes. */
static int ringbuf_stats(struct shunt_port *port, struct shunt_port_stats *stats,
			 struct shunt_err *err)
{
	struct ringbuf_port *p = of(port);

	return p->options.copies ? shunt_tap_lost(p->tap, &stats->rx_ring_full, err)
				 : 0;
}

static int ringbuf_describe(struct shunt_port *port, cJSON *json)
{
	const struct ringbuf_port *p = of(port);
	bool fine = cJSON_AddStringToObject(json, "interface", p->link.name) &&
		    cJSON_AddNumberToObject(json, "places", shunt_ring_places(p->ring));

	if (fine && !p->options.copies)
		fine = cJSON_AddStringToObject(json, "consumer", p->options.consumer);
	return fine ? 0 : -ENOMEM;
}

const struct shunt_port_ops shunt_ringbuf_port_ops = {
	.scheme = "ringbuf",
	.help = "a BPF ring buffer: what a policy redirects, samples or mirrors there, "
		"with "
		"what the program says of it",
	.device = "INTERFACE",
	.options = option_rows,
	.open = ringbuf_open,
	.close = ringbuf_close,
	.rx = ringbuf_rx,
	.tx = shunt_port_tx_none,
	.kick = ringbuf_kick,
	.wait = ringbuf_wait,
	.stats = ringbuf_stats,
	.describe = ringbuf_describe,
};
