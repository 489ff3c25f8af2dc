/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll://: the kernel's UDP and TCP, waited for by epoll. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "user/transport/backends.h"
#include "user/transport/tcp.h"
#include "user/transport/udp_burst.h"
#include "user/transport/udp_direct.h"

#ifndef EPIOCSPARAMS /* since Linux 6.9 */
struct epoll_params {
	uint32_t busy_poll_usecs;
	uint16_t busy_poll_budget;
	uint8_t prefer_busy_poll;
	uint8_t pad;
};
#define EPIOCSPARAMS _IOW(0x8a, 0x01, struct epoll_params)
#endif

#define BUSY_BUDGET 8u /* packets that busy polling takes at a time: the kernel's own */
#define EVENTS 64
#define GUESSES 4u		  /* looks at one socket alone for each look at both */
#define SETTLE 64u		  /* rounds that what was there before may take */
#define STREAK 4u		  /* datagrams in a row that make a burst likely */
#define RETRY_NS UINT64_C(100000) /* what waits for a frame is tried again */
#define JOIN_AT 16u		  /* a burst of so many: runs may help */

enum { AUTO, ON, OFF };

struct epoll_options {
	struct shunt_sock_opts sock;
	unsigned int gso, gro; /* AUTO, ON, OFF */
	unsigned int direct;
};

struct epoll_transport {
	struct shunt_transport transport;
	struct epoll_options options;
	int fd;		     /* epoll's */
	int out_fd;	     /* of UDP: whose room is waited for; -1: none */
	unsigned int rounds; /* calls of rx */
	struct shunt_tcp_set tcp;
	struct shunt_udp_socket udp;
	struct shunt_udp_direct direct;
	struct shunt_udp_burst *burst;
	int hot;	     /* the socket that had something last */
	unsigned int streak; /* datagrams that came without an empty call between */
	bool runs;	     /* sockets receive runs (GRO) */
	unsigned int
		unsettled; /* rounds for what came before the direct socket was aimed */
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

/* How epoll names a socket of UDP. */
static void *number(int fd)
{
	return (void *)(intptr_t)fd; /* NOLINT: never followed */
}

static void report(struct epoll_transport *e, const struct epoll_event *events, int n)
{
	int i;

	if (!is_tcp(e)) {
		e->hot = (int)(intptr_t)events[0].data.ptr;
		return;
	}
	for (i = 0; i < n; i++)
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
	if (n)
		report(e, events, n);
	return n;
}

/* Room for what was refused is waited for, and only while something is. */
static int watch_udp(struct epoll_transport *e)
{
	int wanted = e->udp.full_fd, ret = 0;

	if (is_tcp(e) || e->out_fd == wanted)
		return 0;
	/* a direct socket that was watched may be gone: what it says to that is nothing */
	if (e->out_fd >= 0)
		(void)control(e, EPOLL_CTL_MOD, e->out_fd, number(e->out_fd), EPOLLIN);
	if (wanted >= 0)
		ret = control(e, EPOLL_CTL_MOD, wanted, number(wanted),
			      EPOLLIN | EPOLLOUT);
	e->out_fd = wanted;
	e->udp.full_fd = -1;
	return ret;
}

static int epoll_sleep(struct shunt_transport *transport, uint64_t timeout_ns,
		       struct shunt_err *err)
{
	const struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
					  .tv_nsec = (long)(timeout_ns % 1000000000u) };
	struct epoll_transport *e = of(transport);
	int ret = watch_udp(e);

	if (!ret)
		ret = ask(e, &timeout);
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
	fds[0] = (struct pollfd){ .fd = e->fd, .events = POLLIN };
	return 1;
}

/* --- datagrams ----------------------------------------------------------------------------- */

/* So much was exchanged with one peer that the direct socket is aimed at it. */
static void aim(struct epoll_transport *e)
{
	int fresh = shunt_udp_direct_aim(&e->direct);

	if (fresh < 0) {
		e->hot = e->udp.fd;
		return;
	}
	e->unsettled = SETTLE;
	if (!fresh)
		return;
	if (e->runs)
		(void)shunt_udp_burst_join(e->direct.fd);
	if (control(e, EPOLL_CTL_ADD, e->direct.fd, number(e->direct.fd), EPOLLIN)) {
		shunt_udp_direct_close(&e->direct);
		e->direct.off = true;
	}
}

static void leave_direct(struct epoll_transport *e)
{
	shunt_udp_direct_close(&e->direct);
	e->hot = e->udp.fd;
}

/* Bursts come: from now on runs are read as such. */
static void join_runs(struct epoll_transport *e)
{
	e->runs = shunt_udp_burst_join(e->udp.fd) &&
		  (e->direct.fd < 0 || shunt_udp_burst_join(e->direct.fd));
	if (!e->runs)
		e->options.gro = OFF;
}

/* One call for one datagram, unless there is more by all experience. */
static unsigned int receive(struct epoll_transport *e, int fd,
			    struct shunt_datagram *datagrams, unsigned int max)
{
	unsigned int got;

	if (e->streak < STREAK)
		max = 1;
	if (max == 1 && !e->runs)
		got = shunt_udp_receive(&e->udp, fd, datagrams);
	else
		got = shunt_udp_burst_receive(e->burst, fd, e->runs, datagrams, max);
	e->streak = got ? e->streak + got : 0;
	if (got >= JOIN_AT && !e->runs && e->options.gro == AUTO)
		join_runs(e);
	return got;
}

/* What came to the transport's own socket before the other one was aimed comes first: until
 * there is no more, or for so long that it must be newer. */
static unsigned int rx_settle(struct epoll_transport *e,
			      struct shunt_datagram *datagrams, unsigned int max)
{
	unsigned int got = receive(e, e->udp.fd, datagrams, max);

	e->unsettled = got ? e->unsettled - 1 : 0;
	e->hot = got ? e->udp.fd : e->direct.fd;
	return got;
}

/* Of two sockets the one that had something last is looked at alone, most of the time. */
static unsigned int rx_two(struct epoll_transport *e, struct shunt_datagram *datagrams,
			   unsigned int max)
{
	int hot = e->hot, other = hot == e->udp.fd ? e->direct.fd : e->udp.fd;
	unsigned int got;

	if (++e->rounds % GUESSES)
		return receive(e, hot, datagrams, max);
	got = receive(e, other, datagrams, max);
	if (!got)
		return receive(e, hot, datagrams, max);
	e->hot = other;
	return got;
}

static unsigned int rx_udp(struct epoll_transport *e, struct shunt_datagram *datagrams,
			   unsigned int max)
{
	unsigned int got;

	/* one socket alone tells nothing of who exchanges most with us */
	if (e->direct.fd >= 0 && e->unsettled)
		return rx_settle(e, datagrams, max);
	if (e->direct.fd >= 0)
		got = rx_two(e, datagrams, max);
	else
		got = receive(e, e->udp.fd, datagrams, max);
	if (got && shunt_udp_direct_note(
			   &e->direct, datagrams[got - 1].peer,
			   datagrams[0].peer == datagrams[got - 1].peer ? got : 1))
		aim(e);
	return got;
}

static bool all_to(const struct shunt_datagram *datagrams, unsigned int n,
		   const struct shunt_udp_peer *peer)
{
	while (n && (void *)datagrams[n - 1].peer == peer)
		n--;
	return !n;
}

static int tx_udp(struct epoll_transport *e, struct shunt_datagram *datagrams,
		  unsigned int n)
{
	bool direct = e->direct.peer && all_to(datagrams, n, e->direct.peer);
	int fd = direct ? e->direct.fd : e->udp.fd;
	uint64_t failed = e->transport.count.tx_failed;
	unsigned int sent, i;

	if (n == 1)
		sent = shunt_udp_send(&e->udp, fd, direct, datagrams);
	else
		sent = shunt_udp_burst_send(e->burst, fd, direct, e->options.gso != OFF,
					    datagrams, n);
	for (i = 0; i < sent; i++)
		shunt_frames_put(&datagrams[i].frame, 1);
	/* its way is of when it was aimed: addresses may have changed since */
	if (direct && e->transport.count.tx_failed != failed)
		leave_direct(e);
	else if (sent && !e->unsettled &&
		 shunt_udp_direct_note(&e->direct, datagrams[0].peer, sent))
		aim(e);
	return (int)sent;
}

/* --- messages ------------------------------------------------------------------------------ */

static int epoll_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		    unsigned int n)
{
	struct epoll_transport *e = of(transport);

	return is_tcp(e) ? shunt_tcp_tx(&e->tcp, datagrams, n)
			 : tx_udp(e, datagrams, n);
}

static unsigned int rx_tcp(struct epoll_transport *e, struct shunt_datagram *datagrams,
			   unsigned int max)
{
	if (shunt_tcp_must_ask(&e->tcp))
		(void)ask(e, &at_once);
	return shunt_tcp_rx(&e->tcp, datagrams, max);
}

static unsigned int epoll_rx(struct shunt_transport *transport,
			     struct shunt_datagram *datagrams, unsigned int max)
{
	struct epoll_transport *e = of(transport);

	return is_tcp(e) ? rx_tcp(e, datagrams, max) : rx_udp(e, datagrams, max);
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

	if (is_tcp(e))
		return shunt_tcp_due(&e->tcp);
	/* of a run that was read there is more, which epoll knows nothing of */
	return shunt_udp_burst_left(e->burst) ? shunt_now_ns() + RETRY_NS : UINT64_MAX;
}

/* --- peers ---------------------------------------------------------------------------------- */

static int epoll_peer_open(struct shunt_transport *transport,
			   struct shunt_peer_state *peer, uint64_t deadline_ns,
			   struct shunt_err *err)
{
	struct epoll_transport *e = of(transport);

	return is_tcp(e) ? shunt_tcp_peer_open(&e->tcp, peer, deadline_ns, err) : 0;
}

static void forget_udp(struct epoll_transport *e, const struct shunt_peer_state *peer)
{
	shunt_udp_forget(&e->udp, peer);
	shunt_udp_direct_forget(&e->direct, peer);
	if (e->direct.fd < 0)
		e->hot = e->udp.fd;
}

static void epoll_peer_close(struct shunt_transport *transport,
			     struct shunt_peer_state *peer)
{
	struct epoll_transport *e = of(transport);

	if (is_tcp(e))
		shunt_tcp_peer_close(&e->tcp, peer);
	else
		forget_udp(e, peer);
}

/* --- opening --------------------------------------------------------------------------------- */

static int open_udp(struct epoll_transport *e, struct shunt_err *err)
{
	const struct epoll_options *options = &e->options;
	int ret = shunt_udp_open(&e->udp, &e->transport, &options->sock, err);

	shunt_udp_direct_init(&e->direct, &e->udp, &options->sock, !options->direct);
	e->hot = e->udp.fd;
	e->out_fd = -1;
	if (!ret)
		ret = shunt_udp_burst_open(&e->burst, &e->udp, err);
	if (ret)
		return ret;
	ret = control(e, EPOLL_CTL_ADD, e->udp.fd, number(e->udp.fd), EPOLLIN);
	if (ret)
		return shunt_fail_errno(err, ret, "watch a socket");
	if (options->gro == ON)
		join_runs(e);
	if (options->gro == ON && !e->runs)
		return shunt_fail(err, -EOPNOTSUPP,
				  "gro=on: this kernel cannot (UDP_GRO); leave it out");
	return 0;
}

/* Sockets are told by SO_BUSY_POLL; kernels before 6.9 tell epoll by a sysctl alone. */
static int set_busy_poll(struct epoll_transport *e, struct shunt_err *err)
{
	const struct epoll_params params = {
		.busy_poll_usecs = (uint32_t)e->options.sock.busy_poll,
		.busy_poll_budget = BUSY_BUDGET,
	};

	if (!params.busy_poll_usecs || !ioctl(e->fd, EPIOCSPARAMS, &params) ||
	    errno == ENOTTY)
		return 0;
	return shunt_fail_errno(err, -errno, "busy-poll=%u", params.busy_poll_usecs);
}

static int epoll_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		      const void *options, struct shunt_err *err)
{
	struct epoll_transport *e = of(transport);
	int ret;

	(void)uri;
	e->options = *(const struct epoll_options *)options;
	e->udp.fd = e->tcp.listener = e->direct.fd = -1;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0)
		return shunt_fail_errno(err, -errno, "epoll_create1");
	ret = set_busy_poll(e, err);
	if (ret)
		return ret;
	if (is_tcp(e))
		return shunt_tcp_open(&e->tcp, transport, &e->options.sock, watch_tcp,
				      err);
	return open_udp(e, err);
}

static void epoll_close(struct shunt_transport *transport)
{
	struct epoll_transport *e = of(transport);

	shunt_udp_burst_close(e->burst);
	shunt_udp_direct_close(&e->direct);
	shunt_udp_close(&e->udp);
	shunt_tcp_close(&e->tcp);
	if (e->fd >= 0)
		close(e->fd);
}

/* --- what it is -------------------------------------------------------------------------------- */

static int epoll_stats(struct shunt_transport *transport,
		       struct shunt_transport_stats *stats, struct shunt_err *err)
{
	const struct epoll_transport *e = of(transport);

	(void)err;
	if (is_tcp(e))
		return 0;
	stats->rx_dropped += shunt_sock_dropped(e->udp.fd) + e->direct.dropped;
	if (e->direct.fd >= 0)
		stats->rx_dropped += shunt_sock_dropped(e->direct.fd);
	return 0;
}

static int epoll_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct epoll_transport *e = of(transport);
	int fd = is_tcp(e) ? e->tcp.listener : e->udp.fd;

	if (shunt_sock_describe(&e->options.sock, fd, json))
		return -ENOMEM;
	if (is_tcp(e))
		return cJSON_AddNumberToObject(json, "descriptors",
					       (double)e->tcp.descriptors)
			       ? 0
			       : -ENOMEM;
	if (!cJSON_AddBoolToObject(json, "gso", e->options.gso != OFF) ||
	    !cJSON_AddBoolToObject(json, "gro", e->runs) ||
	    !cJSON_AddBoolToObject(json, "direct", e->direct.fd >= 0))
		return -ENOMEM;
	return 0;
}

static const char *const whens[] = {
	[AUTO] = "auto", [ON] = "on", [OFF] = "off", NULL
};

#define AT(member) .offset = offsetof(struct epoll_options, member)

static const struct shunt_spec_row rows[] = {
	SHUNT_SOCK_ROWS(struct epoll_options),
	{ "gso", SHUNT_SPEC_CHOICE, .choices = whens, AT(gso), .value = "on|off|auto",
	  .help = "udp: send a run of datagrams of one length as one packet, which the "
		  "NIC cuts or the receiver; auto, the default, until it is refused. "
		  "Off "
		  "for a peer that reads packets past the sockets of this host: across "
		  "veth, raw:// sees runs uncut, and loses them" },
	{ "gro", SHUNT_SPEC_CHOICE, .choices = whens, AT(gro), .value = "on|off|auto",
	  .help = "udp: read such a run at once; auto, the default, from the first "
		  "burst "
		  "on" },
	{ "direct", SHUNT_SPEC_SWITCH, AT(direct),
	  .help = "udp: a connected socket for the peer that most is exchanged with, "
		  "which is faster; on is the default" },
	{ 0 },
};

static const struct epoll_options defaults = { .direct = 1 };

const struct shunt_transport_ops shunt_epoll_ops = {
	.scheme = "epoll",
	.help = "the kernel's UDP and TCP, waited for by epoll: anywhere on Linux",
	.options = rows,
	.options_bytes = sizeof(struct epoll_options),
	.defaults = &defaults,
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
