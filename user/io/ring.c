/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "user/base/cleanup.h"

/*
 * A page with the reader's position, which we write; a page with the writers', and the
 * data twice, which we read.
 */
struct shunt_ring {
	int fd;
	unsigned long *consumer;
	const unsigned long *producer;
	const uint8_t *data;
	size_t bytes, page;
	unsigned long at; /* behind what was handed out */
};

int shunt_ring_open(struct shunt_ring **ring, int ring_fd, struct shunt_err *err)
{
	struct bpf_map_info info = { 0 };
	_free_ struct shunt_ring *r = calloc(1, sizeof(*r));
	__u32 len = sizeof(info);
	void *at;

	*ring = NULL;
	if (!r)
		return shunt_fail(err, -ENOMEM, "open a ring buffer: out of memory");
	if (bpf_obj_get_info_by_fd(ring_fd, &info, &len))
		return shunt_fail_errno(err, -errno, "look at the ring buffer");
	r->fd = ring_fd;
	r->page = sysconf(_SC_PAGESIZE);
	r->bytes = info.max_entries;
	at = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map the ring buffer");
	r->consumer = at;
	at = mmap(NULL, r->page + 2 * r->bytes, PROT_READ, MAP_SHARED, ring_fd,
		  r->page);
	if (at == MAP_FAILED) {
		int ret = -errno;

		munmap(r->consumer, r->page);
		return shunt_fail_errno(err, ret, "map %zu bytes of the ring buffer",
					r->bytes);
	}
	r->producer = at;
	r->data = (const uint8_t *)at + r->page;
	r->at = __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
	*ring = shunt_steal(&r);
	return 0;
}

void shunt_ring_close(struct shunt_ring *ring)
{
	if (!ring)
		return;
	munmap(ring->consumer, ring->page);
	munmap((void *)ring->producer, ring->page + 2 * ring->bytes);
	free(ring);
}

unsigned int shunt_ring_rx(struct shunt_ring *ring, struct shunt_ring_record *records,
			   unsigned int max)
{
	/* pairs with the writers' release: records in front of it are reserved */
	unsigned long end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	unsigned int n = 0;

	while (n < max && ring->at < end) {
		const uint8_t *at = ring->data + (ring->at & (ring->bytes - 1));
		/* pairs with the writer's commit: the record is whole */
		uint32_t head = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
		uint32_t len = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
		ring->at += (len + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
		at += BPF_RINGBUF_HDR_SZ;
		if (head & BPF_RINGBUF_DISCARD_BIT ||
		    len < sizeof(struct shunt_ring_event))
			continue;
		records[n].end = ring->at;
		records[n].event = (const void *)at;
		records[n++].frame = at + sizeof(struct shunt_ring_event);
	}
	return n;
}

void shunt_ring_release(struct shunt_ring *ring)
{
	/* pairs with the writers' acquire: we are done with what lies in front of it */
	__atomic_store_n(ring->consumer, ring->at, __ATOMIC_RELEASE);
}

void shunt_ring_release_to(struct shunt_ring *ring,
			   const struct shunt_ring_record *record)
{
	/* as above */
	__atomic_store_n(ring->consumer, record->end, __ATOMIC_RELEASE);
}

void shunt_ring_tidy(struct shunt_ring *ring)
{
	/* read before it is written to: writers read it too, and share its cache line */
	if (__atomic_load_n(ring->consumer, __ATOMIC_RELAXED) != ring->at)
		shunt_ring_release(ring);
}

int shunt_ring_fd(const struct shunt_ring *ring)
{
	return ring->fd;
}

uint32_t shunt_ring_places(const struct shunt_ring *ring)
{
	return ring->bytes / sizeof(struct shunt_ring_event);
}
