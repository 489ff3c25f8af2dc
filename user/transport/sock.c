/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"

#define BACKLOG                                                                        \
	65535 /* connections not yet accepted; the kernel has a limit of its own */

const char *const shunt_sock_protos[] = {
	[SHUNT_SOCK_UDP] = "udp", [SHUNT_SOCK_TCP] = "tcp", NULL
};

/* --- addresses ------------------------------------------------------------------------- */

int shunt_sock_address(struct shunt_sock_address *address,
		       const struct shunt_endpoint *local,
		       const struct shunt_endpoint *remote)
{
	struct sockaddr_storage storage;

	memset(address, 0, sizeof(*address));
	if (local->l3 == SHUNT_L3_IP6 && remote->l3 == SHUNT_L3_IP4) {
		uint8_t *mapped = address->ip6.sin6_addr.s6_addr;

		address->ip6.sin6_family = AF_INET6;
		address->ip6.sin6_port = htons(remote->port);
		memset(mapped + 10, 0xff, 2);
		memcpy(mapped + 12, remote->addr, 4);
		address->bytes = sizeof(address->ip6);
		return 0;
	}
	if (local->l3 != remote->l3)
		return -EAFNOSUPPORT;
	address->bytes = shunt_endpoint_to_socket(remote, &storage);
	memcpy(&address->any, &storage, address->bytes);
	return 0;
}

void shunt_sock_endpoint(struct shunt_endpoint *endpoint,
			 const struct shunt_sock_address *address)
{
	struct sockaddr_storage storage = { 0 };

	memcpy(&storage, &address->any, address->bytes);
	shunt_endpoint_from_socket(endpoint, &storage);
}

/* Where a socket is: of its own end, or of the other. */
static int ask_name(int fd, int (*ask)(int, struct sockaddr *, socklen_t *),
		    struct shunt_endpoint *endpoint)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t bytes = sizeof(storage);

	if (ask(fd, (struct sockaddr *)&storage, &bytes))
		return -errno;
	shunt_endpoint_from_socket(endpoint, &storage);
	return 0;
}

/* --- options ---------------------------------------------------------------------------- */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/* Beyond the system's limit where this process may. */
static void set_buffer(int fd, int option, int forced, uint64_t bytes)
{
	if (!bytes || (forced && !set_int(fd, SOL_SOCKET, forced, (int)bytes)))
		return;
	/* as much as there is: describe tells how much that came to be */
	(void)set_int(fd, SOL_SOCKET, option, (int)bytes);
}

#ifdef SO_RCVBUFFORCE
#define RCVBUF_FORCED SO_RCVBUFFORCE
#define SNDBUF_FORCED SO_SNDBUFFORCE
#else
#define RCVBUF_FORCED 0
#define SNDBUF_FORCED 0
#endif

static int set_busy_poll(int fd, uint64_t us, struct shunt_err *err)
{
#ifdef SO_BUSY_POLL
	int ret = us ? set_int(fd, SOL_SOCKET, SO_BUSY_POLL, (int)us) : 0;

	if (ret)
		return shunt_fail_errno(err, ret, "busy-poll=%llu",
					(unsigned long long)us);
	return 0;
#else
	(void)fd;
	if (!us)
		return 0;
	return shunt_fail(err, -EOPNOTSUPP,
			  "busy-poll=%llu: this system has no such thing; leave it "
			  "out",
			  (unsigned long long)us);
#endif
}

/*
 * A host that vanished says nothing, and that takes TCP two hours to notice if we are
 * silent as well, and a quarter of an hour if not. As exact as the system has it.
 */
static void set_dead_after(int fd, uint64_t seconds)
{
	int after = seconds ? (int)seconds : (int)SHUNT_SOCK_DEAD_AFTER;

	(void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(TCP_KEEPIDLE)
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (after + 2) / 3);
#elif defined(TCP_KEEPALIVE) /* macOS */
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPALIVE, (after + 2) / 3);
#endif
#ifdef TCP_KEEPINTVL
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (after + 2) / 3);
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
#endif
#ifdef TCP_USER_TIMEOUT /* what is sent and not acknowledged, in ms */
	(void)set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, after * 1000);
#endif
}

/* Of any socket that carries messages. */
static int set_up(int fd, const struct shunt_sock_opts *opts, unsigned int proto,
		  struct shunt_err *err)
{
	uint64_t rcvbuf = opts ? opts->rcvbuf : 0;
	int ret = 0;

	if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return shunt_fail_errno(err, -errno, "set up a socket");
	if (!rcvbuf && proto == SHUNT_SOCK_UDP)
		rcvbuf = SHUNT_SOCK_RCVBUF;
	set_buffer(fd, SO_RCVBUF, RCVBUF_FORCED, rcvbuf);
	set_buffer(fd, SO_SNDBUF, SNDBUF_FORCED, opts ? opts->sndbuf : 0);
#ifdef SO_NOSIGPIPE
	(void)set_int(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
	if (proto == SHUNT_SOCK_TCP) {
		set_dead_after(fd, opts ? opts->dead_after : 0);
		ret = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (ret)
		return shunt_fail_errno(err, ret, "TCP_NODELAY");
	return set_busy_poll(fd, opts ? opts->busy_poll : 0, err);
}

static int fail_socket(int error, struct shunt_err *err)
{
	struct rlimit limit = { 0 };

	if (error != EMFILE || getrlimit(RLIMIT_NOFILE, &limit))
		return shunt_fail_errno(err, -error, "open a socket");
	return shunt_fail(
		err, -EMFILE,
		"open a socket: all %llu descriptors that this process may have "
		"are in use (RLIMIT_NOFILE): raise its hard limit, which `ulimit -Hn` "
		"shows, or have fewer peers",
		(unsigned long long)limit.rlim_cur);
}

/* --- opening ----------------------------------------------------------------------------- */

static int open_socket(const struct shunt_endpoint *of, int type, struct shunt_err *err)
{
	int fd = socket(of->l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET, type, 0);

	if (fd < 0)
		return fail_socket(errno, err);
	return fd;
}

static int bind_to(int fd, struct shunt_endpoint *local, struct shunt_err *err)
{
	struct sockaddr_storage storage;
	socklen_t bytes = shunt_endpoint_to_socket(local, &storage);
	char text[SHUNT_ENDPOINT_TEXT];
	int ret;

	/* [::] is any address of either kind; others of IPv6 are not */
	if (local->l3 == SHUNT_L3_IP6)
		(void)set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY,
			      !shunt_endpoint_is_any(local));
	ret = bind(fd, (struct sockaddr *)&storage, bytes) ? -errno : 0;
	if (ret == -EADDRNOTAVAIL)
		return shunt_fail(err, ret,
				  "%s is no address of this host here; `ip address` "
				  "lists them",
				  shunt_endpoint_text(local, text));
	if (ret == -EADDRINUSE)
		return shunt_fail(err, ret,
				  "somebody listens at %s already; port 0 takes a "
				  "free one",
				  shunt_endpoint_text(local, text));
	if (!ret)
		ret = ask_name(fd, getsockname, local);
	if (ret)
		return shunt_fail_errno(err, ret, "bind to %s",
					shunt_endpoint_text(local, text));
	return 0;
}

/* What comes back by ICMP is to be told, of sockets without a peer as well. */
static void set_refusals(int fd, const struct shunt_endpoint *local)
{
#ifdef IP_RECVERR
	(void)set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	if (local->l3 == SHUNT_L3_IP6)
		(void)set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
#else
	(void)fd;
	(void)local;
#endif
}

int shunt_sock_udp(struct shunt_endpoint *local, const struct shunt_sock_opts *opts,
		   struct shunt_err *err)
{
	_fd_ int fd = open_socket(local, SOCK_DGRAM, err);
	int ret = fd < 0 ? fd : set_up(fd, opts, SHUNT_SOCK_UDP, err);

	if (!ret)
		ret = bind_to(fd, local, err);
	if (ret)
		return ret;
	set_refusals(fd, local);
	return shunt_steal_fd(&fd);
}

int shunt_sock_udp_beside(int fd, const struct shunt_endpoint *local,
			  const struct shunt_sock_address *remote,
			  const struct shunt_sock_opts *opts, struct shunt_err *err)
{
	_fd_ int beside = open_socket(local, SOCK_DGRAM, err);
	struct shunt_endpoint same = *local;
	int ret = beside < 0 ? beside : set_up(beside, opts, SHUNT_SOCK_UDP, err);

	if (ret)
		return ret;
	/* both have to say so while the second one binds, and nobody else may later */
	if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    set_int(beside, SOL_SOCKET, SO_REUSEADDR, 1))
		return shunt_fail_errno(err, -errno, "SO_REUSEADDR");
	ret = bind_to(beside, &same, err);
	(void)set_int(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	if (!ret && connect(beside, &remote->any, remote->bytes))
		ret = shunt_fail_errno(err, -errno, "connect a socket of UDP");
	if (ret)
		return ret;
	(void)set_int(beside, SOL_SOCKET, SO_REUSEADDR, 0);
	set_refusals(beside, local);
	return shunt_steal_fd(&beside);
}

int shunt_sock_listen(struct shunt_endpoint *local, const struct shunt_sock_opts *opts,
		      struct shunt_err *err)
{
	_fd_ int fd = open_socket(local, SOCK_STREAM, err);
	int ret = fd < 0 ? fd : set_up(fd, opts, SHUNT_SOCK_TCP, err);

	if (ret)
		return ret;
	/* connections that end linger for a minute at this address: no reason to wait */
	(void)set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	ret = bind_to(fd, local, err);
	if (ret)
		return ret;
	if (listen(fd, BACKLOG))
		return shunt_fail_errno(err, -errno, "listen");
	return shunt_steal_fd(&fd);
}

int shunt_sock_accept(int listener, struct shunt_endpoint *remote,
		      const struct shunt_sock_opts *opts)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t bytes = sizeof(storage);
	int ret;

	for (;;) {
		_fd_ int fd = accept(listener, (struct sockaddr *)&storage, &bytes);

		if (fd < 0) {
			/* Linux reports here what happened to the one that waited */
			if (errno == EINTR || errno == ECONNABORTED ||
			    errno == EPROTO || shunt_sock_refused(errno))
				continue;
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		}
		ret = set_up(fd, opts, SHUNT_SOCK_TCP, NULL);
		if (ret) /* it is gone already */
			continue;
		shunt_endpoint_from_socket(remote, &storage);
		return shunt_steal_fd(&fd);
	}
}

int shunt_sock_adopt(int fd, struct shunt_endpoint *remote,
		     const struct shunt_sock_opts *opts)
{
	return set_up(fd, opts, SHUNT_SOCK_TCP, NULL)
		       ?: ask_name(fd, getpeername, remote);
}

/* --- connecting -------------------------------------------------------------------------- */

/* 0 once a connection is there. */
static int await_connection(int fd, uint64_t deadline_ns)
{
	struct pollfd look = { .fd = fd, .events = POLLOUT };
	int error = 0, ret;
	socklen_t bytes = sizeof(error);

	do {
		uint64_t now = shunt_now_ns();
		uint64_t left = now < deadline_ns ? deadline_ns - now : 0;

		/* rounded up: a wait of less than a millisecond is none at all */
		left = (left + 999999) / 1000000;
		ret = poll(&look, 1, left > INT32_MAX ? INT32_MAX : (int)left);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes))
		return -errno;
	return -error;
}

/* Sends from the transport's address, so that the other end knows whom it talks to. */
static int bind_source(int fd, const struct shunt_endpoint *local)
{
	struct shunt_endpoint source = *local;
	struct sockaddr_storage storage;
	socklen_t bytes;

	if (shunt_endpoint_is_any(local))
		return 0;
	source.port = 0;
	bytes = shunt_endpoint_to_socket(&source, &storage);
#ifdef IP_BIND_ADDRESS_NO_PORT
	/* the port is chosen when the other end is known: there are more of them then */
	(void)set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
#endif
	return bind(fd, (struct sockaddr *)&storage, bytes) ? -errno : 0;
}

int shunt_sock_connect(const struct shunt_endpoint *local,
		       const struct shunt_endpoint *remote,
		       const struct shunt_sock_opts *opts, uint64_t deadline_ns,
		       struct shunt_err *err)
{
	_fd_ int fd = open_socket(remote, SOCK_STREAM, err);
	char text[SHUNT_ENDPOINT_TEXT];
	struct sockaddr_storage storage;
	socklen_t bytes = shunt_endpoint_to_socket(remote, &storage);
	int ret = fd < 0 ? fd : set_up(fd, opts, SHUNT_SOCK_TCP, err);

	if (ret)
		return ret;
	ret = bind_source(fd, local);
	if (!ret && connect(fd, (struct sockaddr *)&storage, bytes))
		ret = errno == EINPROGRESS || errno == EINTR
			      ? await_connection(fd, deadline_ns)
			      : -errno;
	if (ret == -ECONNREFUSED)
		return shunt_fail(
			err, ret,
			"connect to %s: nobody listens there; is the peer up, "
			"with proto=tcp?",
			shunt_endpoint_text(remote, text));
	if (ret)
		return shunt_fail_errno(err, ret, "connect to %s",
					shunt_endpoint_text(remote, text));
	return shunt_steal_fd(&fd);
}
