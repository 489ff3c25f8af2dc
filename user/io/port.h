/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports: bursts of frames between user space and whatever carries them. */
#pragma once

/*
 *                    ┌──────── rx: frames, borrowed ───────▶ owner
 *   af_xdp, dpdk, …  │                                         │
 *                    └◀─ tx: takes from the front ─────────────┤
 *                        put: back to the frame's pool ◀───────┘
 *
 * A backend is one const vtable in a row of shunt_port_backends[]; a port is what it
 * opens. One thread at a time uses a port; frames may wander between threads.
 *
 * Memory. rx lends frames of the port's pool (or of a ring of the kernel). tx takes what
 * lies in the port's own pool without a copy, and copies what comes from elsewhere; either
 * way the frame is the port's once it is taken, and finds its way back to its pool when the
 * kernel is done with it. Two ports that were opened on one pool forward without a copy.
 *
 * Full is short. tx says how many frames it took, and the rest stays with the caller, who
 * tries again later or gives them back and counts that. Nothing blocks but
 * shunt_port_sleep(). What tx has taken may wait in a ring until kick.
 */
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"
#include "user/io/spec.h"
#include "user/rt/frame.h"
#include "user/rt/pool.h"

/* What a port can do: capability bits, their names in describe, and what they mean. */
#define SHUNT_PORT_CAPS(X)                                                             \
	X(RX, 0, "rx", "receives")                                                     \
	X(TX, 1, "tx", "transmits")                                                    \
	X(ZERO_COPY, 2, "zero-copy", "the NIC itself reads and writes the frames")     \
	X(MULTI, 3, "multi-buffer", "packets longer than a frame")                     \
	X(WAIT, 4, "wait", "can be waited for")                                        \
	X(SHARE, 5, "share", "transmits frames of its pool without a copy")            \
	X(ENDS, 6, "ends", "what it receives comes to an end, as a file does")

#define SHUNT_PORT_CAP(name, bit, text, help) SHUNT_PORT_##name = 1u << (bit),
enum shunt_port_cap { SHUNT_PORT_CAPS(SHUNT_PORT_CAP) };

/* What a port has counted since it was opened. All but the first four are 0 where the
 * backend has no such thing. */
#define SHUNT_PORT_COUNTERS(X)                                                         \
	X(rx_packets, "packets received")                                              \
	X(rx_bytes, "bytes received")                                                  \
	X(tx_packets, "packets taken for transmission")                                \
	X(tx_bytes, "bytes taken for transmission")                                    \
	X(tx_copied, "of these, packets that were copied from other memory")           \
	X(tx_refused, "packets that tx will never take: too long, or no such thing")   \
	X(tx_failed, "packets taken, then refused by the kernel")                      \
	X(rx_dropped, "lost before rx: no frame was free, or too long for one")        \
	X(rx_ring_full, "lost before rx: the reader was too slow")                     \
	X(rx_fill_empty, "how often the kernel found no free frame")                   \
	X(rx_invalid, "buffers that the kernel refused to fill: a fault of the port")  \
	X(wakeups, "system calls that told the kernel to go on")                       \
	X(tx_no_room, "packets thrown away, as told: the far side had no room")        \
	X(tx_no_peer, "packets thrown away, as told: nobody was there to take them")   \
	X(rx_damaged, "faults in what came, by which a connection was ended")          \
	X(connects, "connections that have come about")                                \
	X(cuts, "connections that were lost")

#define SHUNT_PORT_COUNTER(name, help) uint64_t name;
struct shunt_port_stats {
	SHUNT_PORT_COUNTERS(SHUNT_PORT_COUNTER)
};

struct shunt_port;

struct shunt_port_opts {
	size_t sz;
	struct shunt_pool *pool; /* open on this memory; NULL: the port makes its own */
};

/* No slot but stop and under_way is NULL: what a port cannot do, it refuses. */
struct shunt_port_ops {
	const char *scheme; /* "af_xdp" */
	const char *help;   /* what it is, in one line */
	const char *device; /* what its device is called in the help: "INTERFACE" */
	const struct shunt_spec_row *options;

	int (*open)(struct shunt_port **port, const struct shunt_spec *spec,
		    const struct shunt_port_opts *opts, struct shunt_err *err);
	/* Frames that it lent must be back; what it still transmits may be lost. */
	void (*close)(struct shunt_port *port);

	/*
	 * Up to max frames; returns how many. A packet's frames come together: where caps
	 * has MULTI, max is SHUNT_BURST or more, or packets are lost that need it.
	 */
	unsigned int (*rx)(struct shunt_port *port, struct shunt_frame *frames,
			   unsigned int max);
	/*
	 * Takes from the front, whole packets only; returns how many frames. A packet that
	 * it can never take (longer than frame_max) is taken, counted in tx_refused and
	 * given back, so that nobody tries for ever.
	 */
	unsigned int (*tx)(struct shunt_port *port, struct shunt_frame *frames,
			   unsigned int n);
	/* Tells the kernel of what waits, and brings transmitted frames back to their
	 * pool. Every now and then it looks after the device, hence of a port that only
	 * receives, too: a few times a second. 0, or -errno when the port is of no more
	 * use (-ENETDOWN, -ENODEV). */
	int (*kick)(struct shunt_port *port, struct shunt_err *err);
	/*
	 * What poll() is to look at until there is something to receive, or, for a port that
	 * can be waited for and does not receive, for kick to do: fills up to max entries,
	 * returns how many. Called anew before every sleep.
	 */
	unsigned int (*wait)(struct shunt_port *port, struct pollfd *fds,
			     unsigned int max);
	/*
	 * Takes the port out of the traffic: what has come in can still be received, and
	 * nothing after that. NULL: there is no such moment.
	 */
	void (*stop)(struct shunt_port *port);
	/* Is there anything that tx took, and whose end kick has yet to learn of? Who
	 * closes the port before counts it as sent. NULL: nobody can tell. */
	bool (*under_way)(struct shunt_port *port);
	int (*stats)(struct shunt_port *port, struct shunt_port_stats *stats,
		     struct shunt_err *err);
	/* Adds to a JSON object what the kernel really gave; 0 or -ENOMEM. */
	int (*describe)(struct shunt_port *port, cJSON *json);
};

#define SHUNT_PORT_NAME 64
#define SHUNT_PORT_FDS 64 /* poll entries that one port needs at most */

/* The part that all ports have; a backend's own has it as its first member. */
struct shunt_port {
	const struct shunt_port_ops *ops;
	struct shunt_pool *pool;       /* where its frames come from */
	uint32_t caps;		       /* enum shunt_port_cap */
	uint32_t frame_max;	       /* bytes of the longest packet that tx takes */
	struct shunt_port_stats count; /* kept by the backend; the kernel's part is
					  added by stats */
	char name[SHUNT_PORT_NAME];    /* "af_xdp:eth1" */
	int ended;		       /* rx has given all that there was (…_ENDS) */
};

/* The backends that this build has, by scheme; NULL ends it. */
extern const struct shunt_port_ops *const shunt_port_backends[];

/*
 * Opens what `text` describes (see user/io/spec.h). -EPROTONOSUPPORT: no such backend,
 * or it needs something that this machine lacks; the sentence says which.
 */
SHUNT_MUST_CHECK int shunt_port_open(struct shunt_port **port, const char *text,
				     const struct shunt_port_opts *opts,
				     struct shunt_err *err);

/* NULL is fine. */
void shunt_port_close(struct shunt_port *port);

/* -EOPNOTSUPP, with a sentence, unless the port can do all of that (SHUNT_PORT_…). */
SHUNT_MUST_CHECK int shunt_port_need(const struct shunt_port *port, uint32_t caps,
				     struct shunt_err *err);

static inline unsigned int shunt_port_rx(struct shunt_port *port,
					 struct shunt_frame *frames, unsigned int max)
{
	return port->ops->rx(port, frames, max);
}

static inline unsigned int shunt_port_tx(struct shunt_port *port,
					 struct shunt_frame *frames, unsigned int n)
{
	return port->ops->tx(port, frames, n);
}

SHUNT_MUST_CHECK static inline int shunt_port_kick(struct shunt_port *port,
						   struct shunt_err *err)
{
	return port->ops->kick(port, err);
}

/* Receives no more than what waits; before a close that is to lose nothing. */
static inline void shunt_port_stop(struct shunt_port *port)
{
	if (port->ops->stop)
		port->ops->stop(port);
}

/* Sleeps until one of the ports has something, or the time is over; -errno, -EINTR too. */
SHUNT_MUST_CHECK int shunt_port_sleep(struct shunt_port *const *ports, unsigned int n,
				      uint64_t timeout_ns);

SHUNT_MUST_CHECK int shunt_port_stats(struct shunt_port *port,
				      struct shunt_port_stats *stats,
				      struct shunt_err *err);

/*
 * {"port": "af_xdp:eth1", "capabilities": ["rx", …], "frame_max": 3840, …} with what the
 * backend adds. NULL: out of memory.
 */
cJSON *shunt_port_describe(struct shunt_port *port);

/* --- for backends ------------------------------------------------------------------- */

/* Fills in the common part of a zeroed port. */
void shunt_port_init(struct shunt_port *port, const struct shunt_port_ops *ops,
		     const struct shunt_spec *spec);

/* Copies a packet (n frames, n - 1 of them marked MORE) into `to`, which has room. */
uint32_t shunt_packet_copy(uint8_t *to, const struct shunt_frame *frames,
			   unsigned int n);

/* The packet that begins at frames[0]: how many frames, 0 if it isn't whole, and bytes. */
unsigned int shunt_packet_frames(const struct shunt_frame *frames, unsigned int n,
				 uint32_t *bytes);

/*
 * Copies a packet into as many frames of a pool as it takes, at most max; returns how
 * many, 0 if there were too few.
 */
unsigned int shunt_packet_fill(struct shunt_pool *pool, const uint8_t *bytes,
			       uint32_t len, struct shunt_frame *frames,
			       unsigned int max);

/* tx of a port that does not transmit: takes all, counts it as refused, gives it back. */
unsigned int shunt_port_tx_none(struct shunt_port *port, struct shunt_frame *frames,
				unsigned int n);
