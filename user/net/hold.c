/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/hold.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/in6.h>

#include "user/base/cleanup.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

/* Keeps no byte of any datagram: it is dropped, and nothing is sent back. */
static int take_nothing(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = { .len = 1, .filter = &none };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))
		       ? -errno
		       : 0;
}

static int bind_free(int fd, const struct shunt_endpoint *local)
{
	struct sockaddr_storage address;
	socklen_t bytes = shunt_endpoint_to_socket(local, &address);
	const bool six = local->l3 == SHUNT_L3_IP6;
	const int on = 1;

	if (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
		       six ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, bytes))
		return -errno;
	bytes = sizeof(address);
	return getsockname(fd, (struct sockaddr *)&address, &bytes)
		       ? -errno
		       : ntohs(six ? ((struct sockaddr_in6 *)&address)->sin6_port
				   : ((struct sockaddr_in *)&address)->sin_port);
}

int shunt_hold_port(struct shunt_endpoint *local, struct shunt_err *err)
{
	char text[SHUNT_ENDPOINT_TEXT];
	_fd_ int fd = socket(local->l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET,
			     SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int port = fd < 0 ? -errno : take_nothing(fd);

	if (!port)
		port = bind_free(fd, local);
	if (port == -EADDRINUSE)
		return shunt_fail(err, port,
				  "hold UDP port %s: a socket of this host has it "
				  "already (`ss -lunp` tells whose)",
				  shunt_endpoint_text(local, text));
	if (port < 0)
		return shunt_fail_errno(err, port, "hold UDP port %s",
					shunt_endpoint_text(local, text));
	local->port = (uint16_t)port;
	return shunt_steal_fd(&fd);
}
