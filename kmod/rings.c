// SPDX-License-Identifier: GPL-2.0-only
#include "rings.h"

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

static bool is_count(u32 n)
{
	return is_power_of_2(n) && n >= SHUNT_KMOD_SLOTS_MIN &&
	       n <= SHUNT_KMOD_SLOTS_MAX;
}

static bool is_slot_size(u32 bytes)
{
	return bytes >= SHUNT_KMOD_SLOT_BYTES_MIN &&
	       bytes <= SHUNT_KMOD_SLOT_BYTES_MAX && bytes % SHUNT_KMOD_SLOT_HEAD == 0;
}

/*
 * Page by page, for vmalloc_user() charges nobody. Whose memory cgroup has no room for it is
 * refused, where the kernel would else kill one of its processes.
 */
static int open_area(struct shunt_rings *rings, size_t bytes)
{
	u32 n = bytes >> PAGE_SHIFT;

	rings->pages = kvcalloc(n, sizeof(*rings->pages), GFP_KERNEL_ACCOUNT);
	if (!rings->pages)
		return -ENOMEM;
	for (; rings->n_pages < n; rings->n_pages++) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO |
					       __GFP_RETRY_MAYFAIL | __GFP_NOWARN);

		if (!page)
			return -ENOMEM;
		rings->pages[rings->n_pages] = page;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	rings->area = vmap(rings->pages, n, VM_MAP | VM_USERMAP, PAGE_KERNEL);
	return rings->area ? 0 : -ENOMEM;
}

int shunt_rings_open(struct shunt_rings *rings, struct shunt_kmod_bind *bind)
{
	int ret;
	u64 places = (u64)bind->slots * sizeof(u32);

	if (!is_count(bind->slots) || !is_count(bind->tx_slots) ||
	    !is_slot_size(bind->slot_bytes))
		return -EINVAL;
	bind->free_at = PAGE_SIZE;
	bind->filled_at = bind->free_at + places;
	bind->slots_at = ALIGN(bind->filled_at + places, PAGE_SIZE);
	bind->tx_at = bind->slots_at + (u64)bind->slots * bind->slot_bytes;
	bind->bytes = PAGE_ALIGN(bind->tx_at + (u64)bind->tx_slots * bind->slot_bytes);
	if (bind->bytes > SHUNT_KMOD_AREA_MAX)
		return -EINVAL;

	ret = open_area(rings, bind->bytes);
	if (ret)
		return ret;
	rings->slots = bind->slots;
	rings->slot_bytes = bind->slot_bytes;
	rings->tx_slots = bind->tx_slots;
	rings->free = rings->area + bind->free_at;
	rings->filled = rings->area + bind->filled_at;
	rings->slot = rings->area + bind->slots_at;
	rings->tx_slot = rings->area + bind->tx_at;
	spin_lock_init(&rings->rx_lock);
	mutex_init(&rings->tx_lock);
	return 0;
}

void shunt_rings_close(struct shunt_rings *rings)
{
	vunmap(rings->area);
	while (rings->n_pages)
		__free_page(rings->pages[--rings->n_pages]);
	kvfree(rings->pages);
}

/* --- receiving ---------------------------------------------------------------------- */

/* The next slot that is free, which is then still to be taken; NULL: there is none. */
static struct shunt_kmod_slot *next_slot(struct shunt_rings *rings, u32 *number)
{
	struct shunt_kmod_head *head = rings->area;
	/* pairs with user space's release: it has written the place before the index */
	u32 free = smp_load_acquire(&head->free_producer) - rings->free_at;
	u32 filled = rings->filled_at - READ_ONCE(head->filled_consumer);

	/* more than all slots is a lie, and as good as none */
	if (!free || free > rings->slots || filled >= rings->slots)
		return NULL;
	*number = READ_ONCE(rings->free[rings->free_at & (rings->slots - 1)]);
	if (*number >= rings->slots) {
		rings->free_at++;
		return NULL;
	}
	/* nor does a CPU that guesses write elsewhere */
	*number = array_index_nospec(*number, rings->slots);
	return rings->slot + (size_t)*number * rings->slot_bytes;
}

static bool receive_one(struct shunt_rings *rings, const struct sk_buff *skb,
			u32 offset, u32 len, const struct shunt_kmod_address *from)
{
	struct shunt_kmod_head *head = rings->area;
	struct shunt_kmod_slot *slot;
	u32 number;

	if (len > rings->slot_bytes - SHUNT_KMOD_SLOT_HEAD) {
		rings->count.rx_long++;
		return false;
	}
	slot = next_slot(rings, &number);
	if (!slot) {
		rings->count.rx_full++;
		return false;
	}
	if (skb_copy_bits(skb, offset, (void *)slot + SHUNT_KMOD_SLOT_HEAD, len)) {
		rings->count.rx_bad++;
		return false;
	}
	slot->len = len;
	slot->peer = *from;
	WRITE_ONCE(rings->filled[rings->filled_at & (rings->slots - 1)], number);
	rings->free_at++;
	/* poll() looks at it without the lock */
	WRITE_ONCE(rings->filled_at, rings->filled_at + 1);
	/* pairs with user space's acquire: slot and place are written */
	smp_store_release(&head->filled_producer, rings->filled_at);
	rings->count.rx++;
	return true;
}

unsigned int shunt_rings_receive(struct shunt_rings *rings, const struct sk_buff *skb,
				 u32 offset, u32 len, u32 step,
				 const struct shunt_kmod_address *from)
{
	unsigned int filled = 0;
	u32 bytes;

	/* a packet may come to the hook from a process as well: nf_queue, loopback */
	spin_lock_bh(&rings->rx_lock);
	do {
		bytes = min(step, len);
		filled += receive_one(rings, skb, offset, bytes, from);
		offset += bytes;
		len -= bytes;
	} while (len);
	spin_unlock_bh(&rings->rx_lock);
	return filled;
}

void shunt_rings_bad(struct shunt_rings *rings)
{
	spin_lock_bh(&rings->rx_lock);
	rings->count.rx_bad++;
	spin_unlock_bh(&rings->rx_lock);
}

void shunt_rings_denied(struct shunt_rings *rings)
{
	spin_lock_bh(&rings->rx_lock);
	rings->count.rx_denied++;
	spin_unlock_bh(&rings->rx_lock);
}

bool shunt_rings_readable(const struct shunt_rings *rings)
{
	const struct shunt_kmod_head *head = rings->area;

	return READ_ONCE(rings->filled_at) != READ_ONCE(head->filled_consumer);
}

/* --- sending ------------------------------------------------------------------------ */

/* There is no room now: the datagram may be tried again. */
static bool is_full(int error)
{
	return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
}

long shunt_rings_send(struct shunt_rings *rings, shunt_rings_sender send, void *context)
{
	struct shunt_kmod_address to;
	struct shunt_kmod_slot *slot;
	int ret = 0;
	u32 done, len;

	mutex_lock(&rings->tx_lock);
	for (done = 0; done < rings->tx_slots; done++) {
		slot = rings->tx_slot + (size_t)(rings->tx_at & (rings->tx_slots - 1)) *
						rings->slot_bytes;
		/* pairs with user space's release: the slot is written */
		if (smp_load_acquire(&slot->state) != SHUNT_KMOD_READY)
			break;
		len = READ_ONCE(slot->len);
		memcpy(&to, &slot->peer, sizeof(to));
		/* what is checked from here on is our copy, which is not read again */
		barrier();
		ret = len > rings->slot_bytes - SHUNT_KMOD_SLOT_HEAD
			      ? -EMSGSIZE
			      : send(context, (void *)slot + SHUNT_KMOD_SLOT_HEAD, len,
				     &to);
		if (is_full(ret))
			break;
		if (ret)
			rings->count.tx_failed++;
		else
			rings->count.tx++;
		ret = 0;
		rings->tx_at++;
		/* pairs with user space's acquire: we are done with its bytes */
		smp_store_release(&slot->state, SHUNT_KMOD_FREE);
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	mutex_unlock(&rings->tx_lock);
	return done || !ret ? done : -EAGAIN;
}

void shunt_rings_stats(struct shunt_rings *rings, struct shunt_kmod_stats *stats)
{
	mutex_lock(&rings->tx_lock);
	spin_lock_bh(&rings->rx_lock);
	*stats = rings->count;
	spin_unlock_bh(&rings->rx_lock);
	mutex_unlock(&rings->tx_lock);
}
