/* SPDX-License-Identifier: BSD-2-Clause */
/* The io_uring transport, as its files share it. */
#pragma once

/*
 *     uring.c       options, opening, and what a kind of socket does not matter to
 *     uring_udp.c   datagrams: one socket
 *     uring_tcp.c   streams: a listener, and a connection for each peer (uring_conn.h)
 *     uring_ring.c  the ring itself, and its buffers
 *
 * What has come is kept in a line until recv asks: completions are looked at by those who
 * send, too. No more than the kernel's buffers can be in it, for they are made good only
 * when recv has taken from it.
 */
#include "user/transport/backend.h"
#include "user/transport/sock.h"
#include "user/transport/uring_ring.h"

/* How it receives: where `auto` is told, the kind of socket decides. */
enum uring_receive {
	URING_RECEIVE_AUTO,
	URING_RECEIVE_DRAIN, /* all there is, when recv asks: nothing is waited for */
	URING_RECEIVE_MULTISHOT, /* one request, completed by all that comes */
	URING_RECEIVE_SINGLE,	 /* one request for each time that something comes */
};

enum uring_zc { URING_ZC_AUTO, URING_ZC_OFF, URING_ZC_ON };

struct uring_options {
	struct shunt_sock_opts sock;
	unsigned int receive; /* enum uring_receive */
	unsigned int zc;      /* enum uring_zc */
	unsigned int sqpoll;
	unsigned int any_thread;
	uint64_t napi_us;
};

/* What a completion is of: the low bits of user_data; the others say which one. */
enum uring_kind {
	URING_RECV,
	URING_SEND,
	URING_SEND_ZC,
	URING_POLL,
	URING_ACCEPT,
	URING_CANCEL,
	URING_KIND_BITS = 3,
};

#define URING_KIND_MASK ((1u << URING_KIND_BITS) - 1)

struct uring_conn;

struct uring_peer {
	struct shunt_peer_state state;
	struct shunt_sock_address address; /* UDP; bytes 0: not known yet */
	struct uring_conn *conn;	   /* TCP; NULL: there is none */
};

/* What came in one buffer. */
struct uring_chunk {
	struct shunt_frame frame;
	struct uring_conn *conn; /* of a stream */
	const uint8_t *name;	 /* of a datagram: the sender's address */
	uint32_t name_bytes;
};

struct uring;

/* UDP or TCP. */
struct uring_carrier {
	int (*open)(struct uring *uring, struct shunt_err *err);
	/* Nothing completes any more. Fine on one half open. */
	void (*close)(struct uring *uring);
	int (*peer_open)(struct uring *uring, struct shunt_peer_state *peer,
			 uint64_t deadline_ns, struct shunt_err *err);
	void (*peer_close)(struct uring *uring, struct shunt_peer_state *peer);
	int (*tx)(struct uring *uring, struct shunt_datagram *datagrams,
		  unsigned int n);
	/* Prepares to receive, once the line is empty. */
	void (*prepare)(struct uring *uring);
	/* Prepares to send what has been taken. */
	void (*flush)(struct uring *uring);
	/* Prepares for a wait in the ring, while the line is empty. */
	void (*watch)(struct uring *uring);
	void (*complete)(struct uring *uring, enum uring_kind kind, uint64_t which,
			 const struct io_uring_cqe *cqe);
	/* Makes datagrams of what is in the line. */
	unsigned int (*deliver)(struct uring *uring, struct shunt_datagram *datagrams,
				unsigned int max);
	uint64_t (*due)(const struct uring *uring);
	/* Requests that the kernel has not completed; they are cancelled at the end. */
	uint32_t (*pending)(const struct uring *uring);
};

extern const struct uring_carrier uring_udp, uring_tcp;

struct uring {
	struct shunt_transport transport;
	struct shunt_uring ring;
	struct uring_options options;
	const struct uring_carrier *carrier;
	int fd;	   /* the socket, or the listener */
	int error; /* of the ring, which is of no more use */
	enum uring_receive receive;
	bool closing;

	struct uring_chunk line[SHUNT_URING_BUFFERS];
	uint32_t line_head,
		line_tail; /* the next one in, the next one out; they wrap */

	uint32_t unsent; /* datagrams that the kernel has not sent yet */
	enum uring_zc zc;
	uint32_t zc_copied; /* sends that the kernel copied all the same */
	bool registered;    /* the memory is: buffer 0 */

	struct uring_udp *udp;
	struct uring_tcp *tcp;
};

_Static_assert((SHUNT_URING_BUFFERS & (SHUNT_URING_BUFFERS - 1)) == 0, "wraps");

static inline struct uring *uring_of(struct shunt_transport *transport)
{
	return (struct uring *)transport;
}

static inline uint32_t uring_waiting(const struct uring *uring)
{
	return uring->line_head - uring->line_tail;
}

static inline void uring_append(struct uring *uring, struct uring_chunk chunk)
{
	uring->line[uring->line_head++ % SHUNT_URING_BUFFERS] = chunk;
}

static inline struct uring_chunk *uring_first(struct uring *uring)
{
	return &uring->line[uring->line_tail % SHUNT_URING_BUFFERS];
}

static inline void uring_name(struct io_uring_sqe *sqe, enum uring_kind kind,
			      uint64_t which)
{
	sqe->user_data = which << URING_KIND_BITS | kind;
}

/* Hands on what was prepared. False: the ring is of no more use. */
bool uring_enter(struct uring *uring);

/* Looks at what has completed. */
void uring_reap(struct uring *uring);

/* --- sending without a copy -------------------------------------------------------------- */

/* Is it worth it, for so many bytes? */
bool uring_zc_pays(const struct uring *uring, uint32_t bytes);

/* Makes a prepared send one without a copy, of one frame (NULL: of several). */
void uring_zc_prepare(const struct uring *uring, struct io_uring_sqe *sqe,
		      const struct shunt_frame *frame);

/* What the kernel says when it is done with the bytes. */
void uring_zc_noted(struct uring *uring, const struct io_uring_cqe *cqe);
