/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiver's side of ship: a ring in our memory, and who may write to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/ship.h"
#include "user/io/ship_ring.h"

#define NS_PER_MS UINT64_C(1000000)

#define LENT 4096u		    /* frames that may be out */
#define LOOK_NS (10 * NS_PER_MS)    /* how often the connection is asked after */
#define PROBE_NS (1000 * NS_PER_MS) /* and whether there still is a sender */
#define POLLED 16u

/* A frame that was lent: any thread gives it back, and in any order. */
struct lent {
	uint64_t end;	       /* position behind its record */
	_Atomic uint32_t back; /* released by who gives it back, acquired by us */
};

struct receiver {
	struct shunt_port port;
	struct shunt_pool pool; /* only lends */
	struct shunt_ship_options options;
	const struct shunt_ship_wire_ops *ops;
	struct shunt_ship_wire *wire;
	int ready; /* an eventfd that is always readable */

	uint8_t *area; /* page, ring, ring again */
	size_t bytes;  /* of the ring */
	struct shunt_ship_page *page;
	uint8_t *ring;

	bool taken_by; /* a sender has been accepted, and is not known to be gone */
	bool asked;    /* one waits for an answer */
	bool was;      /* there was one */
	bool stopped;
	uint64_t look_ns, probe_ns;

	uint64_t session;
	uint64_t taken;			/* position up to which records were lent */
	uint64_t thrown, thrown_before; /* what senders say: this one, and all before */
	bool napping;
	struct lent *lent; /* a ring by number */
	uint32_t head, tail;
	uint64_t naps;
};

static struct receiver *of(struct shunt_port *port)
{
	return (struct receiver *)port;
}

/* --- frames that are lent --------------------------------------------------------------- */

static unsigned int pool_get(struct shunt_pool *pool, struct shunt_frame *frames,
			     unsigned int n)
{
	(void)pool;
	(void)frames;
	(void)n;
	return 0;
}

static void pool_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		     unsigned int n)
{
	struct receiver *r =
		(struct receiver *)((char *)pool - offsetof(struct receiver, pool));
	unsigned int i;

	for (i = 0; i < n; i++)
		atomic_store_explicit(&r->lent[frames[i].token % LENT].back, 1,
				      memory_order_release);
}

static const struct shunt_pool_ops pool_ops = { .get = pool_get, .put = pool_put };

/* What has come back in a row is room for the sender. */
static void retire(struct receiver *r)
{
	uint32_t before = r->tail;

	while (r->tail != r->head && atomic_load_explicit(&r->lent[r->tail % LENT].back,
							  memory_order_acquire))
		r->tail++;
	if (r->tail != before)
		atomic_store_explicit(&r->page->facts.consumed,
				      r->lent[(r->tail - 1) % LENT].end,
				      memory_order_release);
}

/* --- records ------------------------------------------------------------------------------ */

static uint64_t produced_of(const struct receiver *r)
{
	return atomic_load_explicit(&r->page->produced, memory_order_acquire);
}

static void hang_up(struct receiver *r)
{
	r->ops->hang_up(r->wire);
	r->taken_by = false;
}

/* What a sender wrote is not to be understood: it is cut off, and the rest thrown away. */
static void cut(struct receiver *r)
{
	r->port.count.rx_damaged++;
	r->port.count.cuts += r->taken_by;
	hang_up(r);
	r->taken = produced_of(r);
}

/* False: it cannot be. The record is read once: its writer might change it meanwhile. */
static bool take(struct receiver *r, uint64_t produced, struct shunt_frame *frame)
{
	uint8_t *at = r->ring + (r->taken & (r->bytes - 1));
	uint64_t left = produced - r->taken;
	struct shunt_ship_record record;
	struct lent *lent = &r->lent[r->head % LENT];

	if (left < SHUNT_SHIP_HEAD || left > r->bytes)
		return false;
	memcpy(&record, at, sizeof(record));
	if (!record.len || record.len > r->port.frame_max ||
	    shunt_ship_span(record.len) > left ||
	    record.check != shunt_ship_check(r->session, r->taken, record.len))
		return false;
	r->taken += shunt_ship_span(record.len);
	r->thrown = record.dropped;
	lent->end = r->taken;
	atomic_store_explicit(&lent->back, 0, memory_order_relaxed);
	*frame = (struct shunt_frame){ .data = at + SHUNT_SHIP_HEAD,
				       .pool = &r->pool,
				       .token = r->head++,
				       .len = record.len,
				       .flags = record.time_ns ? SHUNT_FRAME_TIME : 0 };
	r->port.count.rx_packets++;
	r->port.count.rx_bytes += record.len;
	return true;
}

static void wake(struct receiver *r)
{
	if (!r->napping)
		return;
	r->napping = false;
	atomic_fetch_add_explicit(&r->page->facts.nap, 1, memory_order_relaxed);
}

static unsigned int receive_rx(struct shunt_port *port, struct shunt_frame *frames,
			       unsigned int max)
{
	struct receiver *r = of(port);
	uint64_t produced;
	unsigned int n = 0;

	wake(r);
	retire(r);
	produced = produced_of(r);
	while (n < max && r->taken != produced && r->head - r->tail < LENT) {
		if (!take(r, produced, &frames[n])) {
			cut(r);
			break;
		}
		n++;
	}
	port->count.rx_dropped = r->thrown_before + r->thrown;
	return n;
}

/* --- who writes ----------------------------------------------------------------------------- */

/* Nothing of the last sender is left: neither in the ring, nor lent. */
static bool is_drained(const struct receiver *r)
{
	return !r->taken_by && r->head == r->tail && r->taken == produced_of(r);
}

/* The ring begins anew: the device writes for nobody now. */
static int begin(struct receiver *r, struct shunt_ship_offer *offer)
{
	if (getrandom(&r->session, sizeof(r->session), 0) != sizeof(r->session))
		return -errno;
	r->thrown_before += r->thrown;
	r->thrown = r->taken = 0;
	r->napping = false;
	r->page->facts.session = r->session;
	atomic_store_explicit(&r->page->facts.nap, 0, memory_order_relaxed);
	atomic_store_explicit(&r->page->facts.consumed, 0, memory_order_relaxed);
	atomic_store_explicit(&r->page->produced, 0, memory_order_release);
	*offer = (struct shunt_ship_offer){
		.session = r->session,
		.base = (uint64_t)(uintptr_t)r->page,
		.ring = (uint64_t)(uintptr_t)r->ring,
		.bytes = r->bytes,
		.key = r->ops->key(r->wire, 0),
		.frame_max = r->port.frame_max,
		.flags = r->options.spin ? 0 : SHUNT_SHIP_SLEEPS,
	};
	return 0;
}

static int refuse(struct receiver *r, enum shunt_ship_refusal why)
{
	uint8_t words[SHUNT_SHIP_HELLO_MAX];
	size_t len = shunt_ship_put_refusal(words, why);

	return r->ops->answer(r->wire, false, words, len, NULL);
}

static void accept_one(struct receiver *r)
{
	uint8_t words[SHUNT_SHIP_HELLO_MAX];
	struct shunt_ship_offer offer;

	r->asked = false;
	if (begin(r, &offer)) {
		(void)!refuse(r, SHUNT_SHIP_BUSY);
		return;
	}
	r->taken_by = !r->ops->answer(r->wire, true, words,
				      shunt_ship_put_offer(words, &offer), NULL);
}

static void answer(struct receiver *r, const struct shunt_ship_words *words)
{
	enum shunt_ship_refusal why = shunt_ship_read_ask(words->bytes, words->len);

	if (why == SHUNT_SHIP_FINE && (r->taken_by || r->asked || r->stopped))
		why = SHUNT_SHIP_BUSY;
	if (why != SHUNT_SHIP_FINE)
		(void)!refuse(r, why);
	else
		r->asked = true; /* until what is left of the last one was read */
}

static int look(struct receiver *r, struct shunt_err *err)
{
	struct shunt_ship_words words;
	int news;

	while ((news = r->ops->look(r->wire, &words, err)) > 0) {
		if (news == SHUNT_SHIP_ASKED)
			answer(r, &words);
		if (news == SHUNT_SHIP_UP) {
			r->port.count.connects++;
			r->was = true;
		}
		if (news == SHUNT_SHIP_GONE && r->taken_by) {
			r->port.count.cuts++;
			hang_up(r);
		}
	}
	return news;
}

/* A sender whose machine has died says nothing: it is asked, and does not answer. */
static void probe(struct receiver *r, uint64_t now)
{
	const struct shunt_ship_post one = { .request = SHUNT_SHIP_PROBE, .id = 1 };
	uint64_t ids[POLLED];
	int n;

	while ((n = r->ops->poll(r->wire, ids, POLLED)) == (int)POLLED)
		;
	if (!n && r->taken_by && now >= r->probe_ns) {
		r->probe_ns = now + PROBE_NS;
		n = r->ops->post(r->wire, &one, 1);
	}
	if (n < 0 && r->taken_by) {
		r->port.count.cuts++;
		hang_up(r);
	}
}

static int receive_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct receiver *r = of(port);
	uint64_t now = shunt_tick_ns();
	int ret;

	retire(r);
	if (now < r->look_ns && !r->asked)
		return 0;
	r->look_ns = now + LOOK_NS;
	ret = look(r, err);
	if (ret)
		return shunt_fail_in(err, ret, "port %s: ", port->name);
	probe(r, now);
	if (r->asked && is_drained(r))
		accept_one(r);
	if (r->options.once && r->was && is_drained(r))
		port->ended = 1;
	return 0;
}

static void receive_stop(struct shunt_port *port)
{
	struct receiver *r = of(port);

	r->stopped = true;
	hang_up(r);
}

/* --- waiting --------------------------------------------------------------------------------- */

static unsigned int receive_wait(struct shunt_port *port, struct pollfd *fds,
				 unsigned int max)
{
	struct receiver *r = of(port);
	unsigned int n = r->ops->wait(r->wire, fds, max);

	retire(r);
	if (!r->napping) {
		r->napping = true;
		r->naps++;
		atomic_fetch_add_explicit(&r->page->facts.nap, 1, memory_order_relaxed);
	}
	/* pairs with the sender's READ behind its WRITE: one of us sees the other's */
	atomic_thread_fence(memory_order_seq_cst);
	r->look_ns = 0; /* who wakes us may be somebody who asks */
	if (n < max && (r->taken != produced_of(r) || (r->asked && is_drained(r))))
		fds[n++] = (struct pollfd){ .fd = r->ready, .events = POLLIN };
	return n;
}

/* --- opening and closing ----------------------------------------------------------------------- */

static void receive_close(struct shunt_port *port)
{
	struct receiver *r = of(port);

	if (r->wire) {
		hang_up(r);
		r->ops->close(r->wire);
	}
	if (r->area)
		munmap(r->area, SHUNT_SHIP_PAGE + 2 * r->bytes);
	if (r->ready >= 0)
		close(r->ready);
	free(r->lent);
	free(r);
}

static bool map(uint8_t *at, size_t bytes, int fd, off_t from)
{
	return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		    from) == at;
}

/* The ring's pages are in a row twice. */
static int make_area(struct receiver *r, struct shunt_err *err)
{
	_fd_ int fd = memfd_create("shunt-ship", MFD_CLOEXEC);
	void *area;

	if (fd < 0 || ftruncate(fd, (off_t)(SHUNT_SHIP_PAGE + r->bytes)))
		return shunt_fail_errno(err, -errno, "make a ring of %zu bytes",
					r->bytes);
	area = mmap(NULL, SHUNT_SHIP_PAGE + 2 * r->bytes, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "make a ring of %zu bytes",
					r->bytes);
	r->area = area;
	r->page = area;
	r->ring = r->area + SHUNT_SHIP_PAGE;
	if (!map(r->area, SHUNT_SHIP_PAGE + r->bytes, fd, 0) ||
	    !map(r->ring + r->bytes, r->bytes, fd, SHUNT_SHIP_PAGE))
		return shunt_fail_errno(err, -errno, "map a ring of %zu bytes twice",
					r->bytes);
	return 0;
}

static int make(struct receiver *r, struct shunt_err *err)
{
	int ret;

	r->bytes = (size_t)r->options.ring;
	r->port.frame_max = SHUNT_SHIP_FRAME_MAX < r->bytes / 4
				    ? SHUNT_SHIP_FRAME_MAX
				    : (uint32_t)(r->bytes / 4);
	r->ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	r->lent = calloc(LENT, sizeof(*r->lent));
	if (r->ready < 0 || !r->lent)
		return shunt_fail_errno(err, -ENOMEM, "make a receiver");
	ret = make_area(r, err);
	if (ret)
		return ret;
	r->pool = (struct shunt_pool){ .ops = &pool_ops,
				       .room = r->port.frame_max,
				       .headroom = SHUNT_SHIP_HEAD };
	r->port.pool = &r->pool;
	return 0;
}

static const struct shunt_port_ops receive_ops;

int shunt_ship_receive_open(struct shunt_port **port,
			    const struct shunt_ship_open *open, struct shunt_err *err)
{
	struct receiver *r = calloc(1, sizeof(*r));
	struct shunt_ship_wire_opts wire = { .sz = sizeof(wire),
					     .local = open->at,
					     .areas = 1 };
	int ret;

	if (!r)
		return shunt_fail_errno(err, -ENOMEM, "open it");
	r->ready = -1;
	r->options = open->options;
	r->ops = open->wire;
	shunt_port_init(&r->port, &receive_ops, open->spec);
	r->port.caps = SHUNT_PORT_RX | SHUNT_PORT_WAIT | SHUNT_PORT_ZERO_COPY;
	if (r->options.once)
		r->port.caps |= SHUNT_PORT_ENDS;
	ret = make(r, err);
	if (!ret) {
		wire.area[0] = (struct shunt_ship_area){ .at = r->area,
							 .bytes = SHUNT_SHIP_PAGE +
								  2 * r->bytes,
							 .remote = true };
		ret = r->ops->open(&r->wire, &wire, err);
	}
	if (ret) {
		receive_close(&r->port);
		return ret;
	}
	*port = &r->port;
	return 0;
}

/* --- what it is -------------------------------------------------------------------------------- */

static int receive_stats(struct shunt_port *port, struct shunt_port_stats *stats,
			 struct shunt_err *err)
{
	(void)port;
	(void)stats;
	(void)err;
	return 0;
}

static int receive_describe(struct shunt_port *port, cJSON *json)
{
	struct receiver *r = of(port);
	char device[64] = "";
	uint32_t mtu = 0;

	r->ops->tell(r->wire, device, sizeof(device), &mtu);
	if (!cJSON_AddStringToObject(json, "device", device) ||
	    !cJSON_AddNumberToObject(json, "device_mtu", mtu) ||
	    !cJSON_AddBoolToObject(json, "connected", r->taken_by) ||
	    !cJSON_AddNumberToObject(json, "ring", (double)r->bytes) ||
	    !cJSON_AddNumberToObject(json, "naps", (double)r->naps))
		return -ENOMEM;
	return 0;
}

static const struct shunt_port_ops receive_ops = {
	SHUNT_SHIP_ROW,		  .close = receive_close, .rx = receive_rx,
	.tx = shunt_port_tx_none, .kick = receive_kick,	  .wait = receive_wait,
	.stop = receive_stop,	  .stats = receive_stats, .describe = receive_describe,
};
