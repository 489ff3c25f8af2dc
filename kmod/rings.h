/* SPDX-License-Identifier: GPL-2.0-only */
/* The area that a file shares with user space (maps/kmod.h), from the kernel's side. */
#pragma once

#include <linux/mutex.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>

#include "maps/kmod.h"

/*
 * Where anything lies is in here, never in the area itself: user space may write there
 * what it likes, when it likes.
 */
struct shunt_rings {
	void *area;
	struct page **pages; /* what it consists of */
	u32 n_pages;
	u32 slots, slot_bytes, tx_slots;
	u32 *free;   /* [slots], in the area */
	u32 *filled; /* the same */
	void *slot;  /* the first one */
	void *tx_slot;

	spinlock_t rx_lock; /* the hook runs on all CPUs */
	u32 free_at;	    /* what is taken next from the free ring */
	u32 filled_at;	    /* what is written next of the filled ring */

	struct mutex tx_lock; /* SHUNT_KMOD_SEND, which may sleep */
	u32 tx_at;	      /* the slot that is sent next */

	/* rx* under rx_lock, tx* under tx_lock */
	struct shunt_kmod_stats count;
};

/*
 * Takes the sizes of a bind, and says in it where what is; the memory is on the account of
 * the caller's memory cgroup. -EINVAL, -ENOMEM, -EINTR.
 */
int shunt_rings_open(struct shunt_rings *rings, struct shunt_kmod_bind *bind);
void shunt_rings_close(struct shunt_rings *rings);

/*
 * Copies len bytes of the packet from `offset` on into slots, `step` in each (the
 * segments of one that was not cut yet; else all of it). How many slots it filled.
 */
unsigned int shunt_rings_receive(struct shunt_rings *rings, const struct sk_buff *skb,
				 u32 offset, u32 len, u32 step,
				 const struct shunt_kmod_address *from);

/* A datagram that was no sound one, or that is not to come here. */
void shunt_rings_bad(struct shunt_rings *rings);
void shunt_rings_denied(struct shunt_rings *rings);

/* Is there something that user space has not taken yet? */
bool shunt_rings_readable(const struct shunt_rings *rings);

/* Sends one datagram whose bytes may change meanwhile: 0 or -errno. */
typedef int (*shunt_rings_sender)(void *context, void *bytes, u32 len,
				  const struct shunt_kmod_address *to);

/* SHUNT_KMOD_SEND. */
long shunt_rings_send(struct shunt_rings *rings, shunt_rings_sender send,
		      void *context);

void shunt_rings_stats(struct shunt_rings *rings, struct shunt_kmod_stats *stats);
