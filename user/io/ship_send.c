/* SPDX-License-Identifier: BSD-2-Clause */
/* The sender's side of ship: the port. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/io/ship_send_impl.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define OPEN_NS (3 * NS_PER_S)	 /* to find the receiver at first */
#define TURN_MS 200		 /* of waiting for it */
#define LOOK_NS (10 * NS_PER_MS) /* how often the connection is asked after */
#define CLOSE_NS NS_PER_S

static int send_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct shunt_ship_sender *s = shunt_ship_sender_of(port);
	uint64_t now = shunt_tick_ns();
	int ret;

	shunt_ship_settle(s);
	if (s->state == SHUNT_SHIP_STATE_UP && !s->reading &&
	    (now >= s->probe_ns || shunt_ship_wants_facts(s)))
		shunt_ship_ask_facts(s);
	if (!s->failed && (now >= s->look_ns || s->state != SHUNT_SHIP_STATE_UP)) {
		s->look_ns = now + LOOK_NS;
		ret = shunt_ship_tend(s, &s->why);
		if (ret) /* else it may have been lost meanwhile, for good */
			s->failed = ret;
	}
	return s->failed ? shunt_fail(err, s->failed, "%s", s->why.message) : 0;
}

/* --- waiting ------------------------------------------------------------------------------- */

static bool send_under_way(struct shunt_port *port)
{
	const struct shunt_ship_sender *s = shunt_ship_sender_of(port);

	return s->state == SHUNT_SHIP_STATE_UP &&
	       (s->batches_posted != s->batches_done || s->reading ||
		shunt_ship_wants_facts(s));
}

static unsigned int send_wait(struct shunt_port *port, struct pollfd *fds,
			      unsigned int max)
{
	struct shunt_ship_sender *s = shunt_ship_sender_of(port);
	unsigned int n = s->ops->wait(s->wire, fds, max);

	/* what was done before it was armed tells nobody */
	if (shunt_ship_settle(s) && n < max)
		fds[n++] = (struct pollfd){ .fd = s->ready, .events = POLLIN };
	return n;
}

/* --- opening and closing --------------------------------------------------------------------- */

static void send_close(struct shunt_port *port)
{
	struct shunt_ship_sender *s = shunt_ship_sender_of(port);
	uint64_t end = shunt_now_ns() + CLOSE_NS;

	while (s->wire && send_under_way(port) && shunt_now_ns() < end)
		shunt_ship_settle(s);
	if (s->wire) {
		shunt_ship_end(s);
		s->ops->close(s->wire);
	}
	if (s->scratch)
		munmap(s->scratch, sizeof(*s->scratch));
	shunt_memory_close(s->own);
	if (s->ready >= 0)
		close(s->ready);
	free(s);
}

static int take_memory(struct shunt_ship_sender *s, struct shunt_pool *given,
		       struct shunt_err *err)
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
static int connect_first(struct shunt_ship_sender *s, struct shunt_err *err)
{
	uint64_t end = shunt_now_ns() + OPEN_NS;
	int ret, refused = 0;

	while (s->state != SHUNT_SHIP_STATE_UP) {
		struct pollfd fds[SHUNT_PORT_FDS];
		unsigned int n;

		if (shunt_now_ns() >= end)
			return refused ? refused
				       : shunt_fail(err, -ETIMEDOUT,
						    "nobody has answered: is the "
						    "receiver running, and is there a "
						    "way to it?");
		if (s->state == SHUNT_SHIP_STATE_DOWN && shunt_now_ns() >= s->due_ns) {
			ret = shunt_ship_begin_call(s, err);
			if (ret)
				return ret;
		}
		n = s->ops->wait(s->wire, fds, SHUNT_PORT_FDS);
		if (poll(fds, n, TURN_MS) < 0 && errno != EINTR)
			return shunt_fail_errno(err, -errno, "wait for the receiver");
		ret = shunt_ship_hear(s, err);
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
	struct shunt_ship_sender *s = calloc(1, sizeof(*s));
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
		wire.area[SHUNT_SHIP_AREA_FRAMES] =
			(struct shunt_ship_area){ .at = s->memory->area,
						  .bytes = s->memory->bytes };
		wire.area[SHUNT_SHIP_AREA_SCRATCH] =
			(struct shunt_ship_area){ .at = (uint8_t *)s->scratch,
						  .bytes = sizeof(*s->scratch) };
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
	struct shunt_ship_sender *s = shunt_ship_sender_of(port);
	char device[64] = "";
	uint32_t mtu = 0;

	s->ops->tell(s->wire, device, sizeof(device), &mtu);
	if (!cJSON_AddStringToObject(json, "device", device) ||
	    !cJSON_AddNumberToObject(json, "device_mtu", mtu) ||
	    !cJSON_AddBoolToObject(json, "connected",
				   s->state == SHUNT_SHIP_STATE_UP) ||
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
	.tx = shunt_ship_tx,
	.kick = send_kick,
	.wait = send_wait,
	.under_way = send_under_way,
	.stats = send_stats,
	.describe = send_describe,
};
