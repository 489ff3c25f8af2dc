/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel module's device, and the memory that it shares with who opened it. */
#pragma once

/*
 *     open /dev/shunt ─▶ SHUNT_KMOD_BIND ─▶ mmap ─▶ poll, SHUNT_KMOD_SEND, SHUNT_KMOD_STATS
 *
 * A file binds one UDP port of the network namespace that its opener is in then. What comes
 * for that port is taken in a netfilter hook, behind the filters of LOCAL_IN, and copied
 * into a slot. Slots go around:
 *
 *     user space ─▶ free ring ─▶ module, which fills the slot ─▶ filled ring ─▶ user space
 *
 * Both rings hold numbers of slots, and there are as many places as slots, so neither can
 * overflow. Each index counts on without end and has one writer. The module keeps its own
 * indices to itself and only publishes them: of what user space writes, it reads each word
 * once and checks it, and what is unsound costs user space a datagram, nothing else.
 *
 * What is to be sent lies in a row of slots of its own. User space fills the next one that
 * is FREE and marks it READY; SHUNT_KMOD_SEND sends them in their order and marks each FREE
 * when the kernel has its own copy.
 *
 * Written by: as said at each member. Read by: kmod/, user/transport/kmod.c.
 */
#include <linux/ioctl.h>

#include "maps/type.h"

#define SHUNT_KMOD_DEVICE "shunt" /* under /dev */
#define SHUNT_KMOD_ABI 2

/* Powers of two; slot_bytes is a multiple of SHUNT_KMOD_SLOT_HEAD. */
#define SHUNT_KMOD_SLOTS_MIN 16
#define SHUNT_KMOD_SLOTS_MAX 65536
#define SHUNT_KMOD_SLOT_BYTES_MIN 256
#define SHUNT_KMOD_SLOT_BYTES_MAX (65536 + SHUNT_KMOD_SLOT_HEAD)
#define SHUNT_KMOD_SLOT_HEAD 64
#define SHUNT_KMOD_AREA_MAX (1u << 28) /* bytes of the whole */

/* As struct shunt_endpoint is. */
struct shunt_kmod_address {
	__be32 addr[4]; /* IPv4 in the first word */
	__u32 scope;	/* interface of a link-local IPv6 address, else 0 */
	__u16 port;	/* host order */
	__u16 l3;	/* 4 or 6: enum shunt_l3 */
};

enum shunt_kmod_state { SHUNT_KMOD_FREE = 0, SHUNT_KMOD_READY = 1 };

/* The datagram's bytes begin at SHUNT_KMOD_SLOT_HEAD. */
struct shunt_kmod_slot {
	__u32 state; /* enum shunt_kmod_state; of slots to send alone */
	__u32 len;   /* bytes of the datagram */
	struct shunt_kmod_address peer; /* from whom, or to whom */
	__u32 reserved[8];
};

/* What the area begins with: a cache line for each writer. */
struct shunt_kmod_head {
	__u32 filled_producer; /* the module's */
	__u32 pad0[15];
	__u32 filled_consumer; /* user space's: up to here it has taken */
	__u32 pad1[15];
	__u32 free_producer; /* user space's */
	__u32 pad2[15];
};

struct shunt_kmod_bind {
	__u32 abi;			 /* SHUNT_KMOD_ABI */
	__u32 slots;			 /* to receive into */
	__u32 slot_bytes;		 /* of each, its head included */
	__u32 tx_slots;			 /* to send from */
	struct shunt_kmod_address local; /* port 0 takes a free one, and becomes it */

	/* What came of it: bytes of the area, and where in it what begins. */
	__u64 bytes;
	__u64 free_at;	 /* __u32 [slots] */
	__u64 filled_at; /* __u32 [slots] */
	__u64 slots_at;
	__u64 tx_at;
};

/* What has been counted since the bind. X(name, help) */
#define SHUNT_KMOD_COUNTERS(X)                                                         \
	X(rx, "datagrams handed over")                                                 \
	X(rx_full, "dropped: user space had given back no slot")                       \
	X(rx_long, "dropped: longer than a slot")                                      \
	X(rx_bad, "dropped: a wrong checksum or length")                               \
	X(tx, "datagrams sent")                                                        \
	X(tx_failed, "refused by the kernel's stack: no way there, too long, …")       \
	X(rx_denied, "dropped: a policy of IPsec is against it, or conntrack")

#define SHUNT_KMOD_COUNTER(name, help) __u64 name;
struct shunt_kmod_stats {
	SHUNT_KMOD_COUNTERS(SHUNT_KMOD_COUNTER)
};

#define SHUNT_KMOD_BIND _IOWR(0xd7, 1, struct shunt_kmod_bind)
/* How many it sent or gave up, which is up to all that are READY; -EAGAIN: the first one
 * finds no room now. */
#define SHUNT_KMOD_SEND _IO(0xd7, 2)
#define SHUNT_KMOD_STATS _IOR(0xd7, 3, struct shunt_kmod_stats)

_Static_assert(sizeof(struct shunt_kmod_address) == 24, "copied as an endpoint");
_Static_assert(sizeof(struct shunt_kmod_slot) == SHUNT_KMOD_SLOT_HEAD, "a cache line");
_Static_assert(sizeof(struct shunt_kmod_head) == 192, "a cache line for each writer");
_Static_assert(sizeof(struct shunt_kmod_bind) == 80, "the same on all sides");
