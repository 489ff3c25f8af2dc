/* SPDX-License-Identifier: BSD-2-Clause */
/* kqueue://: UDP and TCP over the event loop of BSD and macOS. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "user/transport/backends.h"
#include "user/transport/tcp.h"
#include "user/transport/udp.h"

/*
 * Nothing here is of one system alone: sockets by POSIX, waiting by kqueue. Where there is
 * neither a kqueue in the kernel nor a library that makes one (libkqueue), the backend
 * stays in the table and says so.
 */
#if defined(__has_include) && __has_include(<sys/event.h>)
#include <sys/event.h>
#define HAS_KQUEUE 1
#else
#define HAS_KQUEUE 0
#endif

struct kqueue_options {
	struct shunt_sock_opts sock;
};

static const struct shunt_spec_row rows[] = { SHUNT_SOCK_ROWS(struct kqueue_options),
					      { 0 } };

#define HELP "UDP and TCP over the event loop of BSD and macOS"

#if HAS_KQUEUE

#define EVENTS 64

struct kqueue_transport {
	struct shunt_transport transport;
	struct kqueue_options options;
	int fd;		  /* kqueue's */
	bool out_watched; /* UDP: its room is waited for, too */
	struct shunt_udp_socket udp;
	struct shunt_tcp_set tcp;
};

union kqueue_peer {
	struct shunt_peer_state state;
	struct shunt_udp_peer udp;
	struct shunt_tcp_peer tcp;
};

static struct kqueue_transport *of(struct shunt_transport *transport)
{
	return (struct kqueue_transport *)transport;
}

static bool is_tcp(const struct kqueue_transport *k)
{
	return k->options.sock.proto == SHUNT_SOCK_TCP;
}

/* --- waiting ---------------------------------------------------------------------------- */

/* One filter of a descriptor comes or goes. */
static void change(struct kevent *to, int fd, short filter, bool on, void *who)
{
	EV_SET(to, (uintptr_t)fd, filter, on ? EV_ADD : EV_DELETE, 0, 0, who);
}

static int watch(struct shunt_transport *transport, int fd, struct shunt_tcp_peer *who,
		 unsigned int what, unsigned int was)
{
	struct kevent changes[2];
	int n = 0;

	was &= SHUNT_TCP_IN | SHUNT_TCP_OUT;
	if ((what ^ was) & SHUNT_TCP_IN)
		change(&changes[n++], fd, EVFILT_READ, what & SHUNT_TCP_IN, who);
	if ((what ^ was) & SHUNT_TCP_OUT)
		change(&changes[n++], fd, EVFILT_WRITE, what & SHUNT_TCP_OUT, who);
	return kevent(of(transport)->fd, changes, n, NULL, 0, NULL) < 0 ? -errno : 0;
}

/* Both directions have ended where the filter for writing says so. */
static void report(struct kqueue_transport *k, const struct kevent *events, int n)
{
	int i;

	for (i = 0; i < n && is_tcp(k); i++) {
		bool in = events[i].filter == EVFILT_READ;
		bool ended = events[i].flags & EV_EOF;

		shunt_tcp_ready(&k->tcp, (struct shunt_tcp_peer *)events[i].udata, in,
				!in, ended && (!in || events[i].fflags));
	}
}

/* Asks the kernel what is ready; waits as long if nothing is. How many, or -errno. */
static int ask(struct kqueue_transport *k, const struct timespec *timeout)
{
	struct kevent events[EVENTS];
	int n;

	k->transport.count.system_calls++;
	n = kevent(k->fd, NULL, 0, events, EVENTS, timeout);
	if (n < 0)
		return -errno;
	report(k, events, n);
	return n;
}

/* Room for what was refused is waited for, and only while something is. */
static int watch_udp(struct kqueue_transport *k)
{
	bool wanted = k->udp.full_fd >= 0;
	unsigned int was = SHUNT_TCP_IN | (k->out_watched ? SHUNT_TCP_OUT : 0);
	unsigned int what = SHUNT_TCP_IN | (wanted ? SHUNT_TCP_OUT : 0);
	int ret;

	if (is_tcp(k) || was == what)
		return 0;
	ret = watch(&k->transport, k->udp.fd, NULL, what, was);
	k->out_watched = wanted;
	k->udp.full_fd = -1;
	return ret;
}

static int kqueue_sleep(struct shunt_transport *transport, uint64_t timeout_ns,
			struct shunt_err *err)
{
	const struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
					  .tv_nsec = (long)(timeout_ns % 1000000000u) };
	struct kqueue_transport *k = of(transport);
	int ret = watch_udp(k);

	if (!ret)
		ret = ask(k, &timeout);
	if (ret < 0)
		return shunt_fail_errno(err, ret, "transport %s: wait",
					transport->name);
	return ret > 0;
}

static unsigned int kqueue_wait_for(struct shunt_transport *transport,
				    struct pollfd *fds, unsigned int max)
{
	if (!max || watch_udp(of(transport)))
		return 0;
	fds[0] = (struct pollfd){ .fd = of(transport)->fd, .events = POLLIN };
	return 1;
}

/* --- messages ----------------------------------------------------------------------------- */

static int kqueue_tx(struct shunt_transport *transport,
		     struct shunt_datagram *datagrams, unsigned int n)
{
	struct kqueue_transport *k = of(transport);
	unsigned int i;

	if (is_tcp(k))
		return shunt_tcp_tx(&k->tcp, datagrams, n);
	for (i = 0; i < n; i++) {
		if (!shunt_udp_send(&k->udp, k->udp.fd, false, &datagrams[i]))
			break;
		shunt_frames_put(&datagrams[i].frame, 1);
	}
	return (int)i;
}

static unsigned int rx_tcp(struct kqueue_transport *k, struct shunt_datagram *datagrams,
			   unsigned int max)
{
	static const struct timespec now = { 0 };

	if (shunt_tcp_must_ask(&k->tcp))
		(void)ask(k, &now);
	return shunt_tcp_rx(&k->tcp, datagrams, max);
}

static unsigned int kqueue_rx(struct shunt_transport *transport,
			      struct shunt_datagram *datagrams, unsigned int max)
{
	struct kqueue_transport *k = of(transport);
	unsigned int i;

	if (is_tcp(k))
		return rx_tcp(k, datagrams, max);
	for (i = 0; i < max; i++)
		if (!shunt_udp_receive(&k->udp, k->udp.fd, &datagrams[i]))
			break;
	return i;
}

static int kqueue_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	struct kqueue_transport *k = of(transport);

	static const struct timespec at_once = { 0 };

	(void)err;
	if (!is_tcp(k))
		return 0;
	/* who sends and does not receive has nobody else ask for room */
	if (k->tcp.full)
		(void)ask(k, &at_once);
	shunt_tcp_kick(&k->tcp);
	return 0;
}

static uint64_t kqueue_due(struct shunt_transport *transport)
{
	struct kqueue_transport *k = of(transport);

	return is_tcp(k) ? shunt_tcp_due(&k->tcp) : UINT64_MAX;
}

/* --- peers -------------------------------------------------------------------------------- */

static int kqueue_peer_open(struct shunt_transport *transport,
			    struct shunt_peer_state *peer, uint64_t deadline_ns,
			    struct shunt_err *err)
{
	struct kqueue_transport *k = of(transport);

	return is_tcp(k) ? shunt_tcp_peer_open(&k->tcp, peer, deadline_ns, err) : 0;
}

static void kqueue_peer_close(struct shunt_transport *transport,
			      struct shunt_peer_state *peer)
{
	struct kqueue_transport *k = of(transport);

	if (is_tcp(k))
		shunt_tcp_peer_close(&k->tcp, peer);
	else
		shunt_udp_forget(&k->udp, peer);
}

/* --- opening ------------------------------------------------------------------------------ */

static int kqueue_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		       const void *options, struct shunt_err *err)
{
	struct kqueue_transport *k = of(transport);
	int ret;

	(void)uri;
	k->options = *(const struct kqueue_options *)options;
	k->udp.fd = k->tcp.listener = -1;
	k->fd = kqueue();
	if (k->fd < 0)
		return shunt_fail_errno(err, -errno, "kqueue");
	if (is_tcp(k))
		return shunt_tcp_open(&k->tcp, transport, &k->options.sock, watch, err);
	ret = shunt_udp_open(&k->udp, transport, &k->options.sock, err);
	if (ret)
		return ret;
	ret = watch(transport, k->udp.fd, NULL, SHUNT_TCP_IN, SHUNT_TCP_NEW);
	return ret ? shunt_fail_errno(err, ret, "watch a socket") : 0;
}

static void kqueue_close(struct shunt_transport *transport)
{
	struct kqueue_transport *k = of(transport);

	shunt_udp_close(&k->udp);
	shunt_tcp_close(&k->tcp);
	if (k->fd >= 0)
		close(k->fd);
}

static int kqueue_stats(struct shunt_transport *transport,
			struct shunt_transport_stats *stats, struct shunt_err *err)
{
	(void)err;
	if (!is_tcp(of(transport)))
		stats->rx_dropped += shunt_sock_dropped(of(transport)->udp.fd);
	return 0;
}

static int kqueue_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct kqueue_transport *k = of(transport);

	return shunt_sock_describe(&k->options.sock,
				   is_tcp(k) ? k->tcp.listener : k->udp.fd, json);
}

const struct shunt_transport_ops shunt_kqueue_ops = {
	.scheme = "kqueue",
	.help = HELP,
	.options = rows,
	.options_bytes = sizeof(struct kqueue_options),
	.bytes = sizeof(struct kqueue_transport),
	.peer_bytes = sizeof(union kqueue_peer),
	.open = kqueue_open,
	.close = kqueue_close,
	.peer_open = kqueue_peer_open,
	.peer_close = kqueue_peer_close,
	.tx = kqueue_tx,
	.rx = kqueue_rx,
	.kick = kqueue_kick,
	.wait = kqueue_wait_for,
	.due = kqueue_due,
	.sleep = kqueue_sleep,
	.stats = kqueue_stats,
	.describe = kqueue_describe,
};

#else

static const char *absent(char *room, size_t bytes)
{
	(void)room;
	(void)bytes;
	return "this build has no kqueue: it is of BSD and macOS, or of libkqueue-dev, "
	       "which was not there when Shunt was built (epoll:// is the same on "
	       "Linux)";
}

const struct shunt_transport_ops shunt_kqueue_ops = {
	.scheme = "kqueue",
	.help = HELP,
	.options = rows,
	.options_bytes = sizeof(struct kqueue_options),
	.absent = absent, /* so that it is never opened */
};

#endif
