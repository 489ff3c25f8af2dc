/* SPDX-License-Identifier: BSD-2-Clause */
/* Two network namespaces of the test's own, and the wire between them. */
#pragma once

/*
 *     NEAR  ta 192.0.2.1, 2001:db8::1  ═════  tb 192.0.2.2, 2001:db8::2  FAR
 *
 * One process plays both ends: it moves to the namespace of the end that it works for
 * (net_at()), and sockets stay where they were made.
 */
#include <stdbool.h>
#include <stdint.h>

enum net_side { NEAR, FAR, NET_SIDES };

#define NET_MTU 1500u

extern const char *const net_interface[NET_SIDES];
extern const char *const net_address[NET_SIDES];  /* IPv4 */
extern const char *const net_address6[NET_SIDES]; /* in brackets, as a URI has it */

/* Makes the namespaces; once in a process. */
void net_enter(void);

/*
 * Or both ends are in the namespace that there is, each with an RDMA device (tests/vm/rxe):
 * kernels before Linux 7 have soft-RoCE in the first one only. For guests.
 */
void net_share(void);

/* From now on the pair is two NICs of a guest's that a wire joins (tests/vm/nics); for
 * namespaces of net_enter()'s. */
void net_borrow(void);

/* Makes the pair with its addresses, both ends up; fails the test where it can't. */
void net_open(void);

/* Takes it away, or gives it back; fine on one that is gone. */
void net_close(void);

/* The process works in this namespace from now on. */
void net_at(enum net_side side);

/* The namespace's descriptor, which a program may inherit. */
int net_fd(enum net_side side);

/* Lines for `ip -batch` in that namespace, separated by line breaks; must succeed. */
void net_ip(enum net_side side, const char *lines);

/* A setting below /proc/sys/net of that namespace, "ipv4/conf/ta/arp_notify". */
void net_set(enum net_side side, const char *name, const char *value);

/* --- ordinary sockets, at an end, which last until net_close() ---------------------------- */

/* A UDP socket (TCP: a connection from there to `to`), bound to the end's address; a raw one
 * sees and sends the IPv4 packets of UDP. */
int net_udp(enum net_side side, uint16_t port);
int net_tcp(enum net_side side, enum net_side to, uint16_t port);
int net_raw(enum net_side side);

/* Does the kernel of that end have the other one's MAC address? */
bool net_knows(enum net_side side);

void net_send(int fd, const void *bytes, uint32_t len, enum net_side to, uint16_t port);

/* A datagram; -1: none within the time. */
int32_t net_receive(int fd, void *bytes, uint32_t room, int wait_ms);
