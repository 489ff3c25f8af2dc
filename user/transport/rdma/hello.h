/* SPDX-License-Identifier: BSD-2-Clause */
/* What two ends of rdma:// tell each other as they meet. */
#pragma once

/*
 * It is the private data of a connection's request and of its answer, in network order:
 * where the sender's memory lies, for those who write into it, and by which key. What
 * comes was said by anybody who knows the port. Nothing here knows of verbs.
 */
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "user/transport/rdma/options.h"

#define SHUNT_RDMA_MAGIC 0x73687264u /* "shrd" */
#define SHUNT_RDMA_PLACES_MAX (1u << 16)

struct shunt_rdma_hello {
	uint32_t magic;
	uint16_t mode;	 /* enum shunt_rdma_mode */
	uint16_t port;	 /* ud: where the sender can be reached */
	uint64_t area;	 /* write: where its frames begin, and */
	uint64_t grants; /* where it wants to read which of them it may write to */
	uint32_t area_key, grants_key;
	uint32_t frames, frame_bytes; /* there are, each of so many bytes */
	uint32_t headroom;	      /* in front of what is written */
	uint32_t room;		      /* behind that */
	uint32_t places;	      /* of `grants` */
	uint32_t pair;		      /* ud: its queue pair */
};

_Static_assert(sizeof(struct shunt_rdma_hello) == 56, "as it goes over the wire");
_Static_assert(sizeof(struct shunt_rdma_hello) <= 56, "a request's private data");

/* Between host and network order, either way. */
static inline struct shunt_rdma_hello shunt_rdma_hello_turn(
	const struct shunt_rdma_hello *hello)
{
	return (struct shunt_rdma_hello){
		.magic = htobe32(hello->magic),
		.mode = htobe16(hello->mode),
		.port = htobe16(hello->port),
		.area = htobe64(hello->area),
		.grants = htobe64(hello->grants),
		.area_key = htobe32(hello->area_key),
		.grants_key = htobe32(hello->grants_key),
		.frames = htobe32(hello->frames),
		.frame_bytes = htobe32(hello->frame_bytes),
		.headroom = htobe32(hello->headroom),
		.room = htobe32(hello->room),
		.places = htobe32(hello->places),
		.pair = htobe32(hello->pair),
	};
}

/* Every frame is one, and the last one ends where an address still can. */
static inline bool shunt_rdma_hello_is_sound(const struct shunt_rdma_hello *hello)
{
	uint64_t bytes = (uint64_t)hello->frames * hello->frame_bytes;
	uint64_t table = 2ul * hello->places * sizeof(uint32_t);

	return hello->frames && hello->places &&
	       hello->places <= SHUNT_RDMA_PLACES_MAX &&
	       hello->headroom < hello->frame_bytes &&
	       hello->room <= hello->frame_bytes - hello->headroom &&
	       hello->area <= UINT64_MAX - bytes && hello->grants <= UINT64_MAX - table;
}

/* Is it one at all, sound or not? */
static inline bool shunt_rdma_hello_is(const void *bytes, size_t len)
{
	uint32_t magic = 0;

	if (bytes && len >= sizeof(magic))
		memcpy(&magic, bytes, sizeof(magic));
	return be32toh(magic) == SHUNT_RDMA_MAGIC;
}

/*
 * Reads what came, into host order. False: it is none, or of another mode, or of one that
 * has no room for datagrams of `longest` bytes.
 */
static inline bool shunt_rdma_hello_read(struct shunt_rdma_hello *hello,
					 const void *bytes, size_t len,
					 unsigned int mode, uint32_t longest)
{
	if (!bytes || len < sizeof(*hello))
		return false;
	memcpy(hello, bytes, sizeof(*hello));
	*hello = shunt_rdma_hello_turn(hello);
	return hello->magic == SHUNT_RDMA_MAGIC && hello->mode == mode &&
	       hello->room >= longest &&
	       (mode != SHUNT_RDMA_WRITE || shunt_rdma_hello_is_sound(hello));
}
