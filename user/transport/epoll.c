/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll://: the kernel's UDP and TCP, waited for by epoll. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "user/transport/backends.h"
#include "user/transport/tcp.h"
#include "user/transport/udp.h"

#define EVENTS 64
#define GUESSES 4u     /* looks at one socket alone for each look at all of them */
#define BUSY_BUDGET 8u /* packets that busy polling takes at a time */

struct epoll_options {
	struct shunt_sock_opts sock;
};

struct epoll_transport {
	struct shunt_transport transport;
	struct epoll_options options;
	int fd;		    /* epoll's */
	bool out_watched;   /* UDP: for room, too */
	unsigned int empty; /* rounds without a message, one after the other */
	struct shunt_udp_socket udp;
	struct shunt_tcp_set tcp;
};

union epoll_peer {
	struct shunt_peer_state state;
	struct shunt_udp_peer udp;
	struct shunt_tcp_peer tcp;
};

static const struct timespec at_once = { 0 };

static struct epoll_transport *of(struct shunt_transport *transport)
{
	return (struct epoll_transport *)transport;
}

static bool is_tcp(const struct epoll_transport *e)
{
	return e->options.sock.proto == SHUNT_SOCK_TCP;
}

/* --- waiting ----------------------------------------------------------------------------- */

static int control(struct epoll_transport *e, int how, int fd, void *who,
		   uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = who };

	return epoll_ctl(e->fd, how, fd, &event) ? -errno : 0;
}

static int watch_tcp(struct shunt_transport *transport, int fd,
		     struct shunt_tcp_peer *who, unsigned int what, unsigned int was)
{
	return control(of(transport),
		       was == SHUNT_TCP_NEW ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, who,
		       (what & SHUNT_TCP_IN ? EPOLLIN : 0u) |
			       (what & SHUNT_TCP_OUT ? EPOLLOUT : 0u));
}

static void report(struct epoll_transport *e, const struct epoll_event *events, int n)
{
	int i;

	for (i = 0; i < n && is_tcp(e); i++)
		shunt_tcp_ready(&e->tcp, events[i].data.ptr, events[i].events & EPOLLIN,
				events[i].events & EPOLLOUT,
				events[i].events & (EPOLLERR | EPOLLHUP));
}

/* Asks the kernel what is ready; waits as long if nothing is. How many, or -errno. */
static int ask(struct epoll_transport *e, const struct timespec *timeout)
{
	struct epoll_event events[EVENTS];
	int n;

	e->transport.count.system_calls++;
	n = epoll_pwait2(e->fd, events, EVENTS, timeout, NULL);
	if (n < 0)
		return -errno;
	report(e, events, n);
	return n;
}

/* Room for what was refused is waited for only while something is. */
static int watch_udp(struct epoll_transport *e)
{
	int ret;

	if (is_tcp(e) || e->out_watched == e->udp.full)
		return 0;
	ret = control(e, EPOLL_CTL_MOD, e->udp.fd, &e->udp,
		      EPOLLIN | (e->udp.full ? EPOLLOUT : 0u));
	e->out_watched = e->udp.full;
	return ret;
}

static int epoll_sleep(struct shunt_transport *transport, uint64_t timeout_ns,
		       struct shunt_err *err)
{
	const struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
					  .tv_nsec = (long)(timeout_ns % 1000000000u) };
	struct epoll_transport *e = of(transport);
	int ret = watch_udp(e);

	if (ret >= 0)
		ret = ask(e, &timeout);
	e->udp.full = false;
	if (ret < 0)
		return shunt_fail_errno(err, ret, "transport %s: wait",
					transport->name);
	return ret > 0;
}

static unsigned int epoll_wait_for(struct shunt_transport *transport,
				   struct pollfd *fds, unsigned int max)
{
	struct epoll_transport *e = of(transport);

	if (!max || watch_udp(e))
		return 0;
	e->udp.full = false;
	fds[0] = (struct pollfd){ .fd = e->fd, .events = POLLIN };
	return 1;
}

/* --- messages ------------------------------------------------------------------------------ */

static int epoll_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		    unsigned int n)
{
	struct epoll_transport *e = of(transport);
	unsigned int i;

	if (is_tcp(e))
		return shunt_tcp_tx(&e->tcp, datagrams, n);
	for (i = 0; i < n; i++) {
		if (!shunt_udp_send(&e->udp, e->udp.fd, false, &datagrams[i]))
			break;
		shunt_frames_put(&datagrams[i].frame, 1);
	}
	return (int)i;
}

/* What the loop has reported, or the kernel tells now; the connection that spoke last is
 * looked at without asking, as that is the cheaper call. */
static unsigned int rx_tcp(struct epoll_transport *e, struct shunt_datagram *datagrams,
			   unsigned int max)
{
	unsigned int got;

	if (!e->tcp.ready.first && ++e->empty % GUESSES)
		shunt_tcp_guess(&e->tcp);
	else if (!e->tcp.ready.first)
		(void)ask(e, &at_once);
	got = shunt_tcp_rx(&e->tcp, datagrams, max);
	return got;
}

static unsigned int epoll_rx(struct shunt_transport *transport,
			     struct shunt_datagram *datagrams, unsigned int max)
{
	struct epoll_transport *e = of(transport);
	unsigned int i;

	if (is_tcp(e))
		return rx_tcp(e, datagrams, max);
	for (i = 0; i < max; i++)
		if (!shunt_udp_receive(&e->udp, e->udp.fd, &datagrams[i]))
			break;
	return i;
}

static int epoll_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	struct epoll_transport *e = of(transport);

	(void)err;
	if (!is_tcp(e))
		return 0;
	/* who sends and does not receive has nobody else ask for room */
	if (e->tcp.full)
		(void)ask(e, &at_once);
	shunt_tcp_kick(&e->tcp);
	return 0;
}

static uint64_t epoll_due(struct shunt_transport *transport)
{
	struct epoll_transport *e = of(transport);

	return is_tcp(e) ? shunt_tcp_due(&e->tcp) : UINT64_MAX;
}

/* --- peers ---------------------------------------------------------------------------------- */

static int epoll_peer_open(struct shunt_transport *transport,
			   struct shunt_peer_state *peer, uint64_t deadline_ns,
			   struct shunt_err *err)
{
	struct epoll_transport *e = of(transport);

	return is_tcp(e) ? shunt_tcp_peer_open(&e->tcp, peer, deadline_ns, err) : 0;
}

static void epoll_peer_close(struct shunt_transport *transport,
			     struct shunt_peer_state *peer)
{
	struct epoll_transport *e = of(transport);

	if (is_tcp(e))
		shunt_tcp_peer_close(&e->tcp, peer);
	else
		shunt_udp_forget(&e->udp, peer);
}

/* --- opening --------------------------------------------------------------------------------- */

static int epoll_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		      const void *options, struct shunt_err *err)
{
	struct epoll_transport *e = of(transport);
	int ret;

	(void)uri;
	e->options = *(const struct epoll_options *)options;
	e->udp.fd = e->tcp.listener = -1;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0)
		return shunt_fail_errno(err, -errno, "epoll_create1");
	if (is_tcp(e))
		return shunt_tcp_open(&e->tcp, transport, &e->options.sock, watch_tcp,
				      err);
	ret = shunt_udp_open(&e->udp, transport, &e->options.sock, err);
	if (ret)
		return ret;
	ret = control(e, EPOLL_CTL_ADD, e->udp.fd, &e->udp, EPOLLIN);
	return ret ? shunt_fail_errno(err, ret, "watch a socket") : 0;
}

static void epoll_close(struct shunt_transport *transport)
{
	struct epoll_transport *e = of(transport);

	shunt_udp_close(&e->udp);
	shunt_tcp_close(&e->tcp);
	if (e->fd >= 0)
		close(e->fd);
}

/* --- what it is -------------------------------------------------------------------------------- */

static int epoll_stats(struct shunt_transport *transport,
		       struct shunt_transport_stats *stats, struct shunt_err *err)
{
	(void)err;
	if (!is_tcp(of(transport)))
		stats->rx_dropped += shunt_sock_dropped(of(transport)->udp.fd);
	return 0;
}

static int epoll_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct epoll_transport *e = of(transport);
	int fd = is_tcp(e) ? e->tcp.listener : e->udp.fd;

	if (!cJSON_AddStringToObject(json, "proto",
				     shunt_sock_protos[e->options.sock.proto]) ||
	    !cJSON_AddNumberToObject(json, "rcvbuf",
				     (double)shunt_sock_buffer(fd, SO_RCVBUF)) ||
	    !cJSON_AddNumberToObject(json, "sndbuf",
				     (double)shunt_sock_buffer(fd, SO_SNDBUF)))
		return -ENOMEM;
	return 0;
}

static const struct shunt_spec_row rows[] = { SHUNT_SOCK_ROWS(struct epoll_options),
					      { 0 } };

const struct shunt_transport_ops shunt_epoll_ops = {
	.scheme = "epoll",
	.help = "the kernel's UDP and TCP, waited for by epoll: anywhere on Linux",
	.options = rows,
	.options_bytes = sizeof(struct epoll_options),
	.bytes = sizeof(struct epoll_transport),
	.peer_bytes = sizeof(union epoll_peer),
	.open = epoll_open,
	.close = epoll_close,
	.peer_open = epoll_peer_open,
	.peer_close = epoll_peer_close,
	.tx = epoll_tx,
	.rx = epoll_rx,
	.kick = epoll_kick,
	.wait = epoll_wait_for,
	.due = epoll_due,
	.sleep = epoll_sleep,
	.stats = epoll_stats,
	.describe = epoll_describe,
};
