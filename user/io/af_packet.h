/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet sockets: the two rings behind a port af_packet:INTERFACE. */
#pragma once

/*
 *   interface ─▶ block │ block │ block …      TPACKET_V3, written by the kernel
 *                  │ frames, lent in place
 *                  ▼
 *                owner ─▶ put ─▶ its last frame came back: the block is the kernel's
 *
 *   tx: copied ─▶ slot │ slot │ slot …        TPACKET_V2, read by the kernel at kick
 *
 *   or: waits ─▶ one call at kick             without a ring: tx-ring=off
 *
 * Two sockets, since both rings of one have the same version, and since one that only
 * transmits is bound to no protocol and so never sees a frame.
 *
 * The kernel gives a block away when it is full or its time (`timeout`) is over. Frames
 * are lent to any thread; an atomic count for each block says when they are all back. For
 * as long as they are not, the ring is that much smaller.
 *
 * Until then nobody sees what is in it: a millisecond at least. Who wants each frame at once
 * takes slots (`ring=slots`): TPACKET_V2, where a block is one frame, and of one length.
 *
 * A VLAN tag that the kernel took off a frame is put back into the frame, and a checksum
 * that the sender left to its NIC (as on veth) is filled in: what is received are the
 * bytes that a wire would carry. What a sender left to its NIC to cut into segments comes
 * as one long frame.
 *
 * Without a transmit ring the kernel copies frames from where they are, and its way is
 * shorter: a third of a microsecond for a frame that is sent alone.
 *
 * A filter, in the words of pcap-filter(7), is a program in the kernel: what it refuses
 * costs no room in the ring.
 *
 * Format: Documentation/networking/packet_mmap.rst.
 */
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/io/port.h"

/* --- receiving ----------------------------------------------------------------------- */

struct shunt_packet_rx;

struct shunt_packet_rx_opts {
	const char *name; /* the port's, for messages */
	int ifindex;
	int slots; /* TPACKET_V2: a block is one frame */
	uint32_t blocks, block_bytes;
	uint32_t timeout_ms;
	int promisc;
	uint32_t fanout;      /* 0: none */
	uint32_t fanout_mode; /* PACKET_FANOUT_… */
	const char *filter;   /* "": all that comes */
};

SHUNT_MUST_CHECK int shunt_packet_rx_open(struct shunt_packet_rx **rx,
					  const struct shunt_packet_rx_opts *opts,
					  struct shunt_err *err);

/* Frames that are still lent are void. NULL is fine. */
void shunt_packet_rx_close(struct shunt_packet_rx *rx);

/* What lends the frames: it has none to give. */
struct shunt_pool *shunt_packet_rx_pool(struct shunt_packet_rx *rx);

unsigned int shunt_packet_rx_take(struct shunt_packet_rx *rx,
				  struct shunt_frame *frames, unsigned int max,
				  struct shunt_port_stats *count);

int shunt_packet_rx_fd(const struct shunt_packet_rx *rx);

/* Adds what the kernel has counted since the last call. */
SHUNT_MUST_CHECK int shunt_packet_rx_stats(struct shunt_packet_rx *rx,
					   struct shunt_port_stats *count,
					   struct shunt_err *err);

/* --- transmitting -------------------------------------------------------------------- */

struct shunt_packet_tx;

struct shunt_packet_tx_opts {
	const char *name;
	int ifindex;
	uint32_t frames;    /* slots */
	uint32_t frame_max; /* bytes */
	int bypass;	    /* of queueing disciplines */
};

SHUNT_MUST_CHECK int shunt_packet_tx_open(struct shunt_packet_tx **tx,
					  const struct shunt_packet_tx_opts *opts,
					  struct shunt_err *err);

/* What is still in the ring may be lost. NULL is fine. */
void shunt_packet_tx_close(struct shunt_packet_tx *tx);

/* Copies one packet of n frames into the next slot; 0: it is in use. */
int shunt_packet_tx_put(struct shunt_packet_tx *tx, const struct shunt_frame *frames,
			unsigned int n, uint32_t bytes);

/* Tells the kernel, if there is anything new; 1: it was told, 0, or -errno. */
SHUNT_MUST_CHECK int shunt_packet_tx_kick(struct shunt_packet_tx *tx);

/* --- transmitting without a ring -------------------------------------------------------- */

struct shunt_packet_send;

SHUNT_MUST_CHECK int shunt_packet_send_open(struct shunt_packet_send **out,
					    const struct shunt_packet_tx_opts *opts,
					    struct shunt_err *err);

/* What still waits is lost. NULL is fine. */
void shunt_packet_send_close(struct shunt_packet_send *self);

/* Takes one packet of n frames, which are its own from then on; 0: there is no room. */
int shunt_packet_send_put(struct shunt_packet_send *self,
			  const struct shunt_frame *frames, unsigned int n);

/* Sends what waits. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_packet_send_kick(struct shunt_packet_send *self,
					    struct shunt_port_stats *count);
