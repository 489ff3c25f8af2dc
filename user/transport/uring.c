/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport over io_uring: options, opening, and what UDP and TCP have in common. */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "user/transport/backends.h"
#include "user/transport/uring_impl.h"

#define CLOSE_TRIES 100u /* waits of a millisecond for what was cancelled */
#define BUSY_TRIES 200u	 /* of an address that is in use */
#define BUSY_PAUSE_NS 5000000

/* --- options -------------------------------------------------------------------------------- */

static const char *const receives[] = { [URING_RECEIVE_AUTO] = "auto",
					[URING_RECEIVE_DRAIN] = "drain",
					[URING_RECEIVE_MULTISHOT] = "multishot",
					[URING_RECEIVE_SINGLE] = "single",
					NULL };
static const char *const zcs[] = {
	[URING_ZC_AUTO] = "auto", [URING_ZC_OFF] = "off", [URING_ZC_ON] = "on", NULL
};

#define AT(member) .offset = offsetof(struct uring_options, member)

static const struct shunt_spec_row rows[] = {
	SHUNT_SOCK_ROWS(struct uring_options),
	{ "receive", SHUNT_SPEC_CHOICE, .choices = receives, AT(receive),
	  .value = "auto|drain|multishot|single",
	  .help = "drain: all that is there when asked, for udp; multishot: one "
		  "request "
		  "for all that comes; single: one each time; auto is drain for udp "
		  "(multishot with sqpoll) and multishot for tcp" },
	{ "zc", SHUNT_SPEC_CHOICE, .choices = zcs, AT(zc), .value = "auto|off|on",
	  .help = "send without a copy; auto, which is the default, does so for what "
		  "is "
		  "long, unless the kernel has to copy it all the same" },
	{ "sqpoll", SHUNT_SPEC_SWITCH, AT(sqpoll), .value = "on|off",
	  .help = "a thread of the kernel takes what is submitted; it wants a core of "
		  "its own" },
	{ "any-thread", SHUNT_SPEC_SWITCH, AT(any_thread), .value = "on|off",
	  .help = "threads may take turns; off, which is faster, the first one that "
		  "sends or receives has it" },
	{ "direct", SHUNT_SPEC_SWITCH, AT(direct), .value = "on|off",
	  .help = "for udp: a second socket, connected to the peer with whom most is "
		  "exchanged; on unless told" },
	{ "napi", SHUNT_SPEC_NUMBER, 0, 1000000, AT(napi_us), .value = "US",
	  .help = "microseconds for which io_uring polls the NIC's queue before it "
		  "sleeps; none unless told" },
	{ NULL },
};

static const struct uring_options defaults = { .direct = 1 };

static const char *absent(char *room, size_t bytes)
{
	return shunt_uring_absent(room, bytes);
}

/* --- the ring -------------------------------------------------------------------------------- */

bool uring_enter(struct uring *uring)
{
	if (!uring->error)
		uring->error = shunt_uring_enter(&uring->ring);
	return !uring->error;
}

void uring_reap(struct uring *uring)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&uring->ring.io, head, cqe)
	{
		uint64_t name = cqe->user_data;

		uring->carrier->complete(uring,
					 (enum uring_kind)(name & URING_KIND_MASK),
					 name >> URING_KIND_BITS, cqe);
		n++;
	}
	io_uring_cq_advance(&uring->ring.io, n);
}

static int fail(const struct uring *uring, struct shunt_err *err)
{
	if (uring->error == -EEXIST)
		return shunt_fail(err, uring->error,
				  "another thread sent or received first, and its ring "
				  "is for that one alone; any-thread=on lets threads "
				  "take turns");
	return shunt_fail_errno(err, uring->error, "io_uring_enter");
}

/* --- sending without a copy ------------------------------------------------------------------ */

#define ZC_LEAST 16384u	   /* bytes from which on auto sends without a copy */
#define ZC_COPIED_MOST 16u /* copies after which it gives up */

/* Linux 6.2, which liburing 2.3 does not know. */
#define ZC_REPORT_USAGE (1u << 3)
#define ZC_USAGE_COPIED (1u << 31)

bool uring_zc_pays(const struct uring *uring, uint32_t bytes)
{
	return uring->zc == URING_ZC_ON ||
	       (uring->zc == URING_ZC_AUTO && bytes >= ZC_LEAST);
}

void uring_zc_prepare(const struct uring *uring, struct io_uring_sqe *sqe,
		      const struct shunt_frame *frame)
{
	const struct shunt_transport *transport = &uring->transport;

	sqe->opcode = IORING_OP_SEND_ZC;
	if (uring->zc == URING_ZC_AUTO)
		sqe->ioprio |= ZC_REPORT_USAGE;
	if (uring->registered && frame->pool == &transport->memory->pool) {
		sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
		sqe->buf_index = 0;
	}
}

void uring_zc_noted(struct uring *uring, const struct io_uring_cqe *cqe)
{
	if (uring->zc != URING_ZC_AUTO || !((uint32_t)cqe->res & ZC_USAGE_COPIED))
		return;
	if (++uring->zc_copied >= ZC_COPIED_MOST)
		uring->zc = URING_ZC_OFF;
}

/* Buffers that are registered need not be looked up for each send. */
static void open_zc(struct uring *uring)
{
	const struct shunt_memory *memory = uring->transport.memory;
	const struct iovec area = { memory->area, memory->bytes };
	struct io_uring_probe *probe;
	bool known;

	uring->zc = (enum uring_zc)uring->options.zc;
	if (uring->zc == URING_ZC_OFF)
		return;
	probe = io_uring_get_probe_ring(&uring->ring.io);
	known = probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
	io_uring_free_probe(probe);
	if (!known)
		uring->zc = URING_ZC_OFF;
	/* Auto needs it for what is long only, where looking up is the least. */
	if (uring->zc == URING_ZC_ON)
		uring->registered =
			!io_uring_register_buffers(&uring->ring.io, &area, 1);
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* The sockets of a process that was killed are io_uring's for some 50 ms more. */
static int open_when_free(struct uring *uring, struct shunt_err *err)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	unsigned int i;
	int ret;

	for (i = 0;; i++) {
		ret = uring->carrier->open(uring, err);
		if (ret != -EADDRINUSE || i == BUSY_TRIES)
			return ret;
		uring->carrier->close(uring);
		nanosleep(&pause, NULL);
	}
}

static int uring_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		      const void *options, struct shunt_err *err)
{
	struct uring *uring = uring_of(transport);
	int ret;

	(void)uri;
	uring->options = *(const struct uring_options *)options;
	uring->receive = (enum uring_receive)uring->options.receive;
	uring->carrier =
		uring->options.sock.proto == SHUNT_SOCK_TCP ? &uring_tcp : &uring_udp;
	ret = open_when_free(uring, err);
	if (!ret)
		open_zc(uring);
	return ret;
}

/* The kernel writes into no buffer, and reads none, once nothing is pending. */
static void cancel_all(struct uring *uring)
{
	struct io_uring_sqe *sqe = shunt_uring_sqe(&uring->ring);
	unsigned int i;

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
	uring_name(sqe, URING_CANCEL, 0);
	for (i = 0; i < CLOSE_TRIES && uring->carrier->pending(uring); i++) {
		if (shunt_uring_wait(&uring->ring, 1, 1000000) < 0)
			return;
		uring_reap(uring);
	}
}

static void uring_close(struct shunt_transport *transport)
{
	struct uring *uring = uring_of(transport);

	if (!uring->carrier)
		return;
	uring->closing = true;
	if (uring->ring.open && !uring->error)
		cancel_all(uring);
	for (; uring_waiting(uring); uring->line_tail++)
		shunt_frames_put(&uring_first(uring)->frame, 1);
	shunt_uring_close(&uring->ring);
	uring->carrier->close(uring);
}

static int uring_peer_open(struct shunt_transport *transport,
			   struct shunt_peer_state *peer, uint64_t deadline_ns,
			   struct shunt_err *err)
{
	struct uring *uring = uring_of(transport);

	return uring->carrier->peer_open(uring, peer, deadline_ns, err);
}

static void uring_peer_close(struct shunt_transport *transport,
			     struct shunt_peer_state *peer)
{
	struct uring *uring = uring_of(transport);

	uring->carrier->peer_close(uring, peer);
}

/* --- messages -------------------------------------------------------------------------------- */

static int uring_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		    unsigned int n)
{
	struct uring *uring = uring_of(transport);
	int taken;

	if (uring->error)
		return uring->error;
	taken = uring->carrier->tx(uring, datagrams, n);
	if (taken)
		return taken;
	/* All that it may send is on its way; some of it has arrived, perhaps. */
	uring->carrier->flush(uring);
	if (!uring_enter(uring))
		return uring->error;
	uring_reap(uring);
	return uring->carrier->tx(uring, datagrams, n);
}

static unsigned int uring_rx(struct shunt_transport *transport,
			     struct shunt_datagram *datagrams, unsigned int max)
{
	struct uring *uring = uring_of(transport);
	unsigned int n;

	if (uring->error)
		return 0;
	uring_reap(uring);
	if (!uring_waiting(uring)) {
		uring->carrier->prepare(uring);
		uring->carrier->flush(uring);
		if (shunt_uring_calls(&uring->ring) && !uring_enter(uring))
			return 0;
		uring_reap(uring);
	}
	n = uring->carrier->deliver(uring, datagrams, max);
	if (n)
		shunt_uring_hush(&uring->ring);
	/* What was filled is replaced at once: datagrams may come before the next call. */
	if (n && !uring_waiting(uring))
		shunt_uring_refill(&uring->ring);
	return n;
}

static int uring_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	struct uring *uring = uring_of(transport);

	uring->carrier->flush(uring);
	if (!uring->error && shunt_uring_prepared(&uring->ring) && uring_enter(uring))
		uring_reap(uring);
	return uring->error ? fail(uring, err) : 0;
}

/* --- waiting --------------------------------------------------------------------------------- */

static unsigned int uring_wait(struct shunt_transport *transport, struct pollfd *fds,
			       unsigned int max)
{
	struct uring *uring = uring_of(transport);
	bool drain = uring->receive == URING_RECEIVE_DRAIN;

	if (!max)
		return 0;
	if (!drain) {
		fds[0] = shunt_uring_listen(&uring->ring);
		if (!uring_waiting(uring))
			uring->carrier->prepare(uring);
	}
	uring->carrier->flush(uring);
	if (!uring->error && uring_enter(uring))
		uring_reap(uring);
	return drain ? uring_udp_wait(uring, fds, max) : 1;
}

static int uring_sleep(struct shunt_transport *transport, uint64_t timeout_ns,
		       struct shunt_err *err)
{
	struct uring *uring = uring_of(transport);
	int ret;

	uring_reap(uring);
	if (uring_waiting(uring))
		return 1;
	uring->carrier->flush(uring);
	if (shunt_uring_prepared(&uring->ring)) {
		/* What completes at once would end the wait. */
		if (!uring_enter(uring))
			return fail(uring, err);
		uring_reap(uring);
	}
	if (uring_waiting(uring))
		return 1;
	uring->carrier->watch(uring);
	ret = shunt_uring_wait(&uring->ring, 1, timeout_ns);
	if (ret == -EINTR)
		return ret;
	if (ret < 0) {
		uring->error = ret;
		return fail(uring, err);
	}
	uring_reap(uring);
	return ret;
}

static uint64_t uring_due(struct shunt_transport *transport)
{
	const struct uring *uring = uring_of(transport);

	return uring_waiting(uring) ? 0 : uring->carrier->due(uring);
}

/* --- what it is, and what it did ---------------------------------------------------------------- */

static int uring_stats(struct shunt_transport *transport,
		       struct shunt_transport_stats *stats, struct shunt_err *err)
{
	const struct uring *uring = uring_of(transport);

	(void)err;
	stats->system_calls += uring->ring.entered;
	stats->rx_dropped += uring->carrier->dropped(uring);
	return 0;
}

static int uring_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct uring *uring = uring_of(transport);

	return shunt_sock_describe(&uring->options.sock, uring->carrier->fd(uring),
				   json) ||
			       !cJSON_AddStringToObject(json, "receive",
							receives[uring->receive]) ||
			       !cJSON_AddStringToObject(
				       json, "completions",
				       shunt_uring_works[uring->ring.work]) ||
			       !cJSON_AddNumberToObject(json, "provided_buffers",
							uring->ring.size) ||
			       !cJSON_AddBoolToObject(json, "registered_files",
						      uring->ring.files) ||
			       !cJSON_AddBoolToObject(json, "registered_buffers",
						      uring->registered) ||
			       !cJSON_AddStringToObject(json, "zc", zcs[uring->zc]) ||
			       !cJSON_AddNumberToObject(json, "napi_us",
							(double)uring->options.napi_us)
		       ? -ENOMEM
		       : 0;
}

const struct shunt_transport_ops shunt_uring_ops = {
	.scheme = "uring",
	.help = "UDP or TCP sockets by io_uring",
	.options = rows,
	.options_bytes = sizeof(struct uring_options),
	.defaults = &defaults,
	.bytes = sizeof(struct uring),
	.peer_bytes = sizeof(struct uring_peer),
	.absent = absent,
	.open = uring_open,
	.close = uring_close,
	.peer_open = uring_peer_open,
	.peer_close = uring_peer_close,
	.tx = uring_tx,
	.rx = uring_rx,
	.kick = uring_kick,
	.wait = uring_wait,
	.due = uring_due,
	.sleep = uring_sleep,
	.stats = uring_stats,
	.describe = uring_describe,
};
