/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP in bursts: many datagrams a call, and runs that the kernel keeps together. */
#pragma once

/*
 * Linux alone. sendmmsg() and recvmmsg() take a burst a call. With GSO (generic
 * segmentation) a run of datagrams of equal length to one peer is one packet as far as the
 * NIC, or as far as the peer's socket on this host; with GRO a run that arrives so is read
 * at once, and each of its datagrams is copied into a frame of its own: the copy of what
 * the cache just got is nothing beside a way through the stack of its own. A datagram that
 * comes alone stays in the frame that it was read into.
 */
#include "user/transport/udp.h"

struct shunt_udp_burst;

SHUNT_MUST_CHECK int shunt_udp_burst_open(struct shunt_udp_burst **burst,
					  struct shunt_udp_socket *udp,
					  struct shunt_err *err);
/* NULL is fine. */
void shunt_udp_burst_close(struct shunt_udp_burst *burst);

/* A socket receives runs from now on (true), which only shunt_udp_burst_receive() then
 * understands. False: the kernel can't. */
bool shunt_udp_burst_join(int fd);

/* Up to max datagrams from fd; `runs`: it may bring runs. */
unsigned int shunt_udp_burst_receive(struct shunt_udp_burst *burst, int fd, bool runs,
				     struct shunt_datagram *datagrams,
				     unsigned int max);

/* Datagrams of a run were read that no frame was free for, or that max left. */
bool shunt_udp_burst_left(const struct shunt_udp_burst *burst);

/* How many it took, from the front; they are sent, or counted as failed, and their frames
 * stay with the caller. `connected` as with shunt_udp_send(); `runs`: GSO. */
unsigned int shunt_udp_burst_send(struct shunt_udp_burst *burst, int fd, bool connected,
				  bool runs, const struct shunt_datagram *datagrams,
				  unsigned int n);
