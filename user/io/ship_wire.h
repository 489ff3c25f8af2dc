/* SPDX-License-Identifier: BSD-2-Clause */
/* What a ring of frames needs of RDMA: the plug-in's side of ship: ports. */
#pragma once

/*
 *     ship:ADDRESS:PORT ─▶ ship_send.c, ship_receive.c ─▶ this vtable ─▶ rdma-core
 *
 * One connection at a time, and one thread. What is posted is done in order; what has an
 * id is told of by poll once it is done, in order as well. The tests put memcpy in the place
 * of rdma-core.
 */
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/io/ship_hello.h"
#include "user/net/endpoint.h"

#define SHUNT_SHIP_AREAS 2u
#define SHUNT_SHIP_POSTS 256u /* requests that may be under way */
#define SHUNT_SHIP_PIECES 16u /* that a request gathers, where the device can */
#define SHUNT_SHIP_INLINE 8u  /* bytes that are copied when they are posted */

struct shunt_ship_area {
	uint8_t *at;
	size_t bytes;
	bool remote; /* the other side writes to it, and reads it */
};

struct shunt_ship_piece {
	uint8_t *at;
	uint32_t bytes;
	uint32_t area; /* it lies in this one */
};

enum shunt_ship_request {
	SHUNT_SHIP_WRITE, /* pieces, to `remote` */
	SHUNT_SHIP_READ,  /* from `remote`, to one piece */
	SHUNT_SHIP_BELL,  /* ends the other side's sleep; no pieces */
	SHUNT_SHIP_PROBE, /* is there somebody? no pieces */
};

struct shunt_ship_post {
	enum shunt_ship_request request;
	unsigned int pieces;
	const struct shunt_ship_piece *piece;
	uint64_t remote; /* address, for WRITE and READ */
	uint64_t id;	 /* 0: nobody wants to know when it is done */
};

/* What has happened to the connection. */
enum shunt_ship_news {
	SHUNT_SHIP_QUIET,
	SHUNT_SHIP_ASKED,   /* somebody wants to connect: answer */
	SHUNT_SHIP_UP,	    /* it is there; words: what the other side has said */
	SHUNT_SHIP_REFUSED, /* words: why */
	SHUNT_SHIP_GONE,
};

struct shunt_ship_words {
	uint8_t bytes[256]; /* all that an answer's private data can be */
	size_t len;
	struct shunt_endpoint remote; /* UP, ASKED: who */
};

struct shunt_ship_wire_opts {
	size_t sz;
	struct shunt_endpoint local, remote; /* remote.l3 NONE: listens at local */
	struct shunt_ship_area area[SHUNT_SHIP_AREAS];
	unsigned int areas;
};

struct shunt_ship_wire;

struct shunt_ship_wire_ops {
	/* Listens, or has a device and can call. What it leaves on failure is closed. */
	int (*open)(struct shunt_ship_wire **wire,
		    const struct shunt_ship_wire_opts *opts, struct shunt_err *err);
	void (*close)(struct shunt_ship_wire *wire);

	/* Begins to connect; look tells how it goes on. */
	int (*call)(struct shunt_ship_wire *wire, const void *bytes, size_t len,
		    struct shunt_err *err);
	/* To who asked: yes or no. */
	int (*answer)(struct shunt_ship_wire *wire, bool yes, const void *bytes,
		      size_t len, struct shunt_err *err);
	/* enum shunt_ship_news, or -errno when the device is of no more use. */
	int (*look)(struct shunt_ship_wire *wire, struct shunt_ship_words *words,
		    struct shunt_err *err);
	/* The connection, if there is one, is no more: nothing is under way afterwards. */
	void (*hang_up)(struct shunt_ship_wire *wire);

	/* The key by which the other side reaches an area. */
	uint32_t (*key)(const struct shunt_ship_wire *wire, unsigned int area);
	/* The other side's, for what is posted from now on. */
	void (*aim)(struct shunt_ship_wire *wire, uint32_t key);
	/* Pieces that a request may have. */
	unsigned int (*pieces)(const struct shunt_ship_wire *wire);
	/* All of them, or -errno: then the connection is broken. */
	int (*post)(struct shunt_ship_wire *wire, const struct shunt_ship_post *posts,
		    unsigned int n);
	/* Ids of what is done; how many, or -errno: then the connection is broken. */
	int (*poll)(struct shunt_ship_wire *wire, uint64_t *ids, unsigned int max);
	/* What poll() is to look at; what was done before is for poll to tell. */
	unsigned int (*wait)(struct shunt_ship_wire *wire, struct pollfd *fds,
			     unsigned int max);

	/* Why this machine has none; NULL: it has. */
	const char *(*absent)(char *room, size_t bytes);
	/* What the device is called, and the longest packet on its wire. */
	void (*tell)(const struct shunt_ship_wire *wire, char *name, size_t room,
		     uint32_t *mtu);
};

#define SHUNT_PLUGIN_WIRES                                                             \
	{                                                                              \
		"port", SHUNT_PLUGIN_WIRE, sizeof(struct shunt_ship_wire_opts),        \
			sizeof(struct shunt_ship_wire_ops)                             \
	}
