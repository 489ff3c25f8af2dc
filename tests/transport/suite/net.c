/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/transport/suite/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "user/base/clock.h"

const char *const net_interface[NET_SIDES] = { "ta", "tb" };
const char *const net_address[NET_SIDES] = { "192.0.2.1", "192.0.2.2" };
const char *const net_address6[NET_SIDES] = { "[2001:db8::1]", "[2001:db8::2]" };

#define ROOM_BYTES (64 << 20) /* of a plain socket: it loses nothing */
#define SEND_NS UINT64_C(5000000000)

#define SOCKETS_MAX 256

static int namespaces[NET_SIDES];
static bool is_shared, is_borrowed;
static enum net_side here;
static int sockets[SOCKETS_MAX];
static size_t socket_count;

static void give_up(const char *what)
{
	perror(what);
	_exit(1);
}

void net_enter(void)
{
	int side;

	for (side = 0; side < NET_SIDES; side++) {
		if (unshare(CLONE_NEWNET))
			give_up("make a network namespace");
		namespaces[side] = open("/proc/thread-self/ns/net", O_RDONLY);
		if (namespaces[side] < 0)
			give_up("/proc/thread-self/ns/net");
		here = (enum net_side)side;
		net_ip(here, "link set lo up");
	}
}

void net_share(void)
{
	int side;

	is_shared = true;
	for (side = 0; side < NET_SIDES; side++) {
		namespaces[side] = open("/proc/thread-self/ns/net", O_RDONLY);
		if (namespaces[side] < 0)
			give_up("/proc/thread-self/ns/net");
	}
	here = NEAR;
}

void net_borrow(void)
{
	is_borrowed = true;
}

int net_fd(enum net_side side)
{
	return namespaces[side];
}

void net_at(enum net_side side)
{
	if (side == here)
		return;
	if (!is_shared && setns(namespaces[side], CLONE_NEWNET))
		give_up("setns");
	here = side;
}

void net_ip(enum net_side side, const char *lines)
{
	enum net_side before = here;
	FILE *ip;

	net_at(side);
	ip = popen("ip -batch -", "w");
	if (!ip || fprintf(ip, "%s\n", lines) < 0 || pclose(ip))
		fail_msg("ip: %s", lines);
	if (is_shared && system("tests/vm/rxe routes"))
		fail_msg("tests/vm/rxe routes: see above");
	net_at(before);
}

void net_set(enum net_side side, const char *name, const char *value)
{
	enum net_side before = here;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	net_at(side);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
	net_at(before);
}

/* A veth takes frames that a program sends only if its end runs NAPI, as with GRO. */
static void set_gro(enum net_side side)
{
	struct ethtool_value value = { .cmd = ETHTOOL_SGRO, .data = 1 };
	struct ifreq request = { .ifr_data = (char *)&value };
	int fd;

	net_at(side);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(request.ifr_name, net_interface[side]);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request))
		fail_msg("turn GRO on: %s", strerror(errno));
	close(fd);
}

/* verb: of tests/vm/nics */
static void move_nics(const char *verb)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "tests/vm/nics %s /proc/%d/fd/%d ta /proc/%d/fd/%d tb", verb, getpid(),
		 namespaces[NEAR], getpid(), namespaces[FAR]);
	if (system(line))
		fail_msg("%s: see above", line);
}

static void make_pair(void)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "link add ta mtu %u type veth peer tb mtu %u netns /proc/%d/fd/%d",
		 NET_MTU, NET_MTU, getpid(), namespaces[FAR]);
	net_ip(NEAR, line);
}

void net_open(void)
{
	enum net_side before = here;

	if (is_shared) {
		if (system("tests/vm/rxe rest"))
			fail_msg("tests/vm/rxe rest: see above");
		return;
	}
	if (is_borrowed)
		move_nics("take");
	else
		make_pair();
	net_ip(NEAR, "link set ta up\n"
		     "addr add 192.0.2.1/24 dev ta\n"
		     "addr add 2001:db8::1/64 dev ta nodad");
	net_ip(FAR, "link set tb up\n"
		    "addr add 192.0.2.2/24 dev tb\n"
		    "addr add 2001:db8::2/64 dev tb nodad");
	set_gro(NEAR);
	set_gro(FAR);
	net_at(before);
}

void net_close(void)
{
	while (socket_count)
		close(sockets[--socket_count]);
	net_at(NEAR);
	if (is_borrowed)
		move_nics("give");
	else if (!is_shared && if_nametoindex("ta"))
		net_ip(NEAR, "link del ta");
}

/* --- ordinary sockets --------------------------------------------------------------------- */

static struct sockaddr_in address_of(enum net_side side, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, net_address[side], &address.sin_addr), 1);
	return address;
}

static int make(enum net_side side, int type, int protocol)
{
	int fd;

	net_at(side);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
	assert_true(fd >= 0);
	assert_in_range(socket_count, 0, SOCKETS_MAX - 1);
	return sockets[socket_count++] = fd;
}

static int make_bound(enum net_side side, int type, int protocol, uint16_t port)
{
	struct sockaddr_in address = address_of(side, port);
	const int room = ROOM_BYTES;
	int fd = make(side, type, protocol);

	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

int net_udp(enum net_side side, uint16_t port)
{
	return make_bound(side, SOCK_DGRAM, 0, port);
}

int net_raw(enum net_side side)
{
	return make_bound(side, SOCK_RAW, IPPROTO_UDP, 0);
}

int net_tcp(enum net_side side, enum net_side to, uint16_t port)
{
	struct sockaddr_in address = address_of(to, port);
	int fd = make(side, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail_msg("connect to %s:%u: %s", net_address[to], port,
			 strerror(errno));
	return fd;
}

bool net_knows(enum net_side side)
{
	static const char row[] = "%63s %*s %x"; /* address, type of NIC, flags */
	enum net_side before = here;
	char line[256], address[64];
	bool knows = false;
	unsigned int flags;
	FILE *table;

	net_at(side);
	table = fopen("/proc/thread-self/net/arp", "re");
	if (!table)
		give_up("/proc/thread-self/net/arp");
	while (fgets(line, sizeof(line), table))
		if (sscanf(line, row, address, &flags) == 2 && flags & ATF_COM &&
		    !strcmp(address, net_address[side ^ 1]))
			knows = true;
	fclose(table);
	net_at(before);
	return knows;
}

void net_send(int fd, const void *bytes, uint32_t len, enum net_side to, uint16_t port)
{
	struct sockaddr_in address = address_of(to, port);
	uint64_t deadline = shunt_now_ns() + SEND_NS;

	while (sendto(fd, bytes, len, 0, (struct sockaddr *)&address,
		      sizeof(address)) != (ssize_t)len)
		if ((errno != ENOBUFS && errno != ECONNREFUSED) ||
		    shunt_now_ns() > deadline)
			fail_msg("send %u bytes: %s", len, strerror(errno));
}

int32_t net_receive(int fd, void *bytes, uint32_t room, int wait_ms)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	for (;;) {
		ssize_t n = recv(fd, bytes, room, MSG_DONTWAIT);

		if (n >= 0)
			return (int32_t)n;
		if (poll(&one, 1, wait_ms) <= 0)
			return -1;
	}
}
