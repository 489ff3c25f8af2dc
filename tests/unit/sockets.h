/* SPDX-License-Identifier: BSD-2-Clause */
/* Transports over sockets in a namespace of their own, and plain sockets beside them. */
#pragma once

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/transport/backends.h"

/* kqueue's is the one over the tests' own kqueue (tests/kqueue/kqueue.c). */
const struct shunt_transport_ops *const shunt_transport_backends[] = {
	&shunt_epoll_ops, &shunt_kqueue_ops, NULL
};

#define DEADLINE_NS UINT64_C(20000000000)
#define MESSAGE_BYTES (1u << 20)

static const char *scheme; /* of this round */
static uint8_t pattern[MESSAGE_BYTES];

/* --- a namespace of our own ------------------------------------------------------------------ */

static inline void set_loopback(int mtu)
{
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = { .ifr_name = "lo" };

	assert_true(fd >= 0);
	request.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	request.ifr_mtu = mtu;
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
}

static inline int enter_namespace(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
	if (unshare(CLONE_NEWNET))
		return -1;
	set_loopback(65536);
	return 0;
}

static inline int begin_epoll(void **state)
{
	scheme = "epoll";
	return enter_namespace(state);
}

static inline int begin_kqueue(void **state)
{
	scheme = "kqueue";
	return enter_namespace(state);
}

/* --- transports ------------------------------------------------------------------------------- */

static inline struct shunt_transport *open_at(const char *address, const char *query)
{
	struct shunt_transport *transport;
	struct shunt_err err = { 0 };
	char uri[256];

	snprintf(uri, sizeof(uri), "%s://%s?%s", scheme, address, query);
	if (shunt_transport_open(&transport, uri, &err))
		fail_msg("%s", err.message);
	return transport;
}

static inline struct shunt_transport *open_any(const char *query)
{
	return open_at("127.0.0.1:0", query);
}

static inline shunt_peer open_peer(struct shunt_transport *transport,
				   const char *address)
{
	struct shunt_err err = { 0 };
	shunt_peer peer;

	if (shunt_peer_open(transport, &peer, address, &err))
		fail_msg("%s", err.message);
	return peer;
}

static inline shunt_peer open_way(struct shunt_transport *from,
				  struct shunt_transport *to)
{
	return open_peer(from, shunt_transport_address(to));
}

static inline struct shunt_transport_stats stats_of(struct shunt_transport *transport)
{
	struct shunt_transport_stats stats;

	assert_int_equal(shunt_transport_stats(transport, &stats, NULL), 0);
	return stats;
}

/* Lets time pass for it: what comes in, timers. */
static inline void turn(struct shunt_transport *transport)
{
	struct shunt_err err = { 0 };
	int ret = shunt_transport_poll(transport, 1000000, &err);

	if (ret < 0 && ret != -EINTR)
		fail_msg("%s", err.message);
}

static inline struct shunt_message await(struct shunt_transport *transport)
{
	uint64_t begin_ns = shunt_now_ns();
	struct shunt_message message;

	while (!shunt_recv(transport, &message, 1)) {
		turn(transport);
		if (shunt_now_ns() - begin_ns > DEADLINE_NS)
			fail_msg("no message came");
	}
	return message;
}

static inline void expect(struct shunt_transport *transport, const void *bytes,
			  size_t len)
{
	struct shunt_message message = await(transport);

	assert_int_equal(message.frame.len, len);
	assert_memory_equal(message.frame.data, bytes, len);
	shunt_release(transport, &message, 1);
}

/* While the other end may have to read before there is room. */
static inline void send_all(struct shunt_transport *from, shunt_peer peer,
			    const void *bytes, size_t len)
{
	uint64_t begin_ns = shunt_now_ns();
	int ret;

	while ((ret = shunt_send(from, peer, 3, bytes, len)) != 1) {
		assert_int_equal(ret, 0);
		turn(from);
		if (shunt_now_ns() - begin_ns > DEADLINE_NS)
			fail_msg("there was never room");
	}
}

#define AWAIT(transport, condition)                                                    \
	do {                                                                           \
		uint64_t begin_ns = shunt_now_ns();                                    \
                                                                                       \
		while (!(condition)) {                                                 \
			turn(transport);                                               \
			if (shunt_now_ns() - begin_ns > DEADLINE_NS)                   \
				fail_msg("never: %s", #condition);                     \
		}                                                                      \
	} while (0)

/* --- plain sockets ------------------------------------------------------------------------------- */

static inline struct sockaddr_in where(const struct shunt_transport *transport)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	const char *text = shunt_transport_address(transport);

	at.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return at;
}

static inline int connect_plain(const struct shunt_transport *transport, int type)
{
	struct sockaddr_in to = where(transport);
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* A framed message, as a peer of 30 lines would write it. */
static inline size_t frame_message(uint8_t *to, uint32_t length)
{
	const struct shunt_wire_piece piece = { .length = length, .channel = 9 };

	shunt_wire_write(to, &piece);
	memcpy(to + SHUNT_WIRE_BYTES, pattern, length);
	return SHUNT_WIRE_BYTES + length;
}

static inline void write_all(int fd, const uint8_t *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The transport ends the connection of a plain socket. */
static inline bool has_ended(int fd)
{
	uint8_t byte;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

	return !got || (got < 0 && errno == ECONNRESET);
}

/* The same tests with each backend. */
#define RUN_WITH_BOTH(tests)                                                           \
	(cmocka_run_group_tests_name("epoll", tests, begin_epoll, NULL) +              \
	 cmocka_run_group_tests_name("kqueue", tests, begin_kqueue, NULL))
