/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets of UDP and TCP: opened, bound and connected by endpoints, errors as sentences. */
#pragma once

/*
 * What the backends over sockets have in common, whichever way they wait. POSIX alone;
 * what only one system has is asked for where its constant is there. All sockets are
 * non-blocking and close on exec; none of them raises SIGPIPE where MSG_NOSIGNAL or
 * SO_NOSIGPIPE can prevent it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"
#include "user/net/endpoint.h"

#ifdef MSG_NOSIGNAL
#define SHUNT_SOCK_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#else
#define SHUNT_SOCK_FLAGS MSG_DONTWAIT
#endif

#define SHUNT_SOCK_UDP_MAX 65507u /* bytes of a datagram over IPv4; over IPv6 20 more */
#define SHUNT_SOCK_DEAD_AFTER 30u /* seconds */
#define SHUNT_SOCK_RCVBUF (4u << 20) /* bytes that UDP may leave unread, unless told */

enum shunt_sock_proto { SHUNT_SOCK_UDP, SHUNT_SOCK_TCP };

/* What a URI may say of sockets. Zero is the default. */
struct shunt_sock_opts {
	unsigned int proto;  /* enum shunt_sock_proto */
	uint64_t rcvbuf;     /* bytes; 0: 4 MiB for UDP, the kernel's own way for TCP */
	uint64_t sndbuf;     /* bytes; 0: the kernel's own way */
	uint64_t busy_poll;  /* us that a call which waits polls the NIC; 0: none */
	uint64_t dead_after; /* s without a word of the peer's host (TCP); 0: 30 */
};

extern const char *const shunt_sock_protos[]; /* "udp", "tcp", NULL */

/* Rows for user/io/spec.h, of a struct whose member `sock` is a struct shunt_sock_opts. */
/* clang-format off */
#define SHUNT_SOCK_ROWS(options)                                                             \
	{ "proto", SHUNT_SPEC_CHOICE, .choices = shunt_sock_protos,                          \
	  .offset = offsetof(options, sock.proto), .value = "udp|tcp",                       \
	  .help = "what carries the messages; udp is the default" },                         \
	{ "rcvbuf", SHUNT_SPEC_NUMBER, 4096, 1u << 30,                                       \
	  .offset = offsetof(options, sock.rcvbuf), .value = "BYTES",                        \
	  .help = "what the kernel keeps until it is read; 4M for udp, and as it likes for " \
		  "tcp, unless told" },                                                      \
	{ "sndbuf", SHUNT_SPEC_NUMBER, 4096, 1u << 30,                                       \
	  .offset = offsetof(options, sock.sndbuf), .value = "BYTES",                        \
	  .help = "what the kernel takes before it is sent; as it likes unless told" },      \
	{ "busy-poll", SHUNT_SPEC_NUMBER, 0, 1000000,                                        \
	  .offset = offsetof(options, sock.busy_poll), .value = "US",                        \
	  .help = "microseconds for which the kernel polls the NIC's queue before it "       \
		  "sleeps; none unless told: without a queue of its own, as on veth, all "   \
		  "gets much slower by it" },                                                \
	{ "dead-after", SHUNT_SPEC_NUMBER, 1, 86400,                                         \
	  .offset = offsetof(options, sock.dead_after), .value = "SECONDS",                  \
	  .help = "tcp: a peer whose host says nothing for so long is gone; 30 is the "      \
		  "default" }
/* clang-format on */

/* An address as the calls of sockets take it. */
struct shunt_sock_address {
	union {
		struct sockaddr any;
		struct sockaddr_in ip4;
		struct sockaddr_in6 ip6;
	};
	socklen_t bytes; /* 0: none */
};

/*
 * For a socket whose own address is `local`: over an IPv6 one IPv4 peers are reached as
 * ::ffff:a.b.c.d. -EAFNOSUPPORT: an IPv6 address from an IPv4 socket.
 */
SHUNT_MUST_CHECK int shunt_sock_address(struct shunt_sock_address *address,
					const struct shunt_endpoint *local,
					const struct shunt_endpoint *remote);

/* The other way; one that is no IP address becomes SHUNT_L3_NONE. */
void shunt_sock_endpoint(struct shunt_endpoint *endpoint,
			 const struct shunt_sock_address *address);

/*
 * Each returns a socket that the caller closes, or -errno with a sentence. What binds sets
 * `local` to what it really got (a port instead of 0). opts == NULL: all defaults.
 */
SHUNT_MUST_CHECK int shunt_sock_udp(struct shunt_endpoint *local,
				    const struct shunt_sock_opts *opts,
				    struct shunt_err *err);

/*
 * One more UDP socket at the address of `fd`, connected to one peer: the kernel gives it
 * what comes from there, and finds the way once instead of for each datagram.
 */
SHUNT_MUST_CHECK int shunt_sock_udp_beside(int fd, const struct shunt_endpoint *local,
					   const struct shunt_sock_address *remote,
					   const struct shunt_sock_opts *opts,
					   struct shunt_err *err);

SHUNT_MUST_CHECK int shunt_sock_listen(struct shunt_endpoint *local,
				       const struct shunt_sock_opts *opts,
				       struct shunt_err *err);

/* From the local address, if that is not any, and a free port; waits until the deadline
 * (as shunt_now_ns() counts): -ETIMEDOUT. */
SHUNT_MUST_CHECK int shunt_sock_connect(const struct shunt_endpoint *local,
					const struct shunt_endpoint *remote,
					const struct shunt_sock_opts *opts,
					uint64_t deadline_ns, struct shunt_err *err);

/* The next connection: its socket, set up as connect does; -EAGAIN: there is none;
 * -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: it waits until there is room. */
SHUNT_MUST_CHECK int shunt_sock_accept(int listener, struct shunt_endpoint *remote,
				       const struct shunt_sock_opts *opts);

/* Sets up a connection that was accepted by other means, as accept does, and says whose it
 * is; it stays the caller's. 0 or -errno: it is gone already. */
SHUNT_MUST_CHECK int shunt_sock_adopt(int fd, struct shunt_endpoint *remote,
				      const struct shunt_sock_opts *opts);

/*
 * Bytes of the longest UDP datagram that needs no fragments of IP: by the MTU of the
 * interface with this address; of any address, by the least MTU of those that are up,
 * the loopback left aside unless there is nothing else.
 */
uint32_t shunt_sock_payload(const struct shunt_endpoint *local);

/*
 * Makes room for so many descriptors beyond those that are open now, as far as the hard
 * limit lets it. Returns how many there may be.
 */
uint64_t shunt_sock_descriptors(uint64_t more);

/*
 * Takes what the network had to say of datagrams that were sent (ICMP: nobody listens
 * there, …), which else the next call reports as its own failure: how many there were.
 * Errors of the socket itself are none.
 */
unsigned int shunt_sock_refusals(int fd);

/* What a send or receive reports though it failed for an earlier datagram. */
bool shunt_sock_refused(int error);

/* Datagrams that the kernel dropped because nobody read them; 0 where it cannot tell. */
uint64_t shunt_sock_dropped(int fd);

/* Adds protocol and buffers, as they came to be, of a transport whose socket is fd. 0 or
 * -ENOMEM. */
SHUNT_MUST_CHECK int shunt_sock_describe(const struct shunt_sock_opts *opts, int fd,
					 cJSON *json);
