/* SPDX-License-Identifier: BSD-2-Clause */
/* What AF_XDP sockets can do here, tried with one of two buffers. */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_xdp.h>

#include "loader/probe.h"
#include "user/base/cleanup.h"

#ifndef XDP_USE_SG /* Linux 6.6; not in Debian 12's headers */
#define XDP_USE_SG (1u << 4)
#endif
#define SLOTS 2 /* of each ring, and buffers */
#define BUFFER 4096u

static int give_memory(int fd, void *area)
{
	const struct xdp_umem_reg memory = { .addr = (uintptr_t)area,
					     .len = (uint64_t)SLOTS * BUFFER,
					     .chunk_size = BUFFER };
	static const int rings[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING,
				     XDP_RX_RING };
	const int slots = SLOTS;
	size_t i;

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)))
		return -errno;
	for (i = 0; i < sizeof(rings) / sizeof(*rings); i++)
		if (setsockopt(fd, SOL_XDP, rings[i], &slots, sizeof(slots)))
			return -errno;
	return 0;
}

/* The ring of what comes, of a socket that is bound: EBUSY before Linux 6.5. */
static int map_ring(int fd)
{
	struct xdp_mmap_offsets at;
	socklen_t len = sizeof(at);
	size_t bytes;
	void *ring;

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len))
		return -errno;
	bytes = at.rx.desc + SLOTS * sizeof(struct xdp_desc);
	ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    XDP_PGOFF_RX_RING);
	if (ring == MAP_FAILED)
		return -errno;
	munmap(ring, bytes);
	return 0;
}

static int bind_to(int fd, unsigned int ifindex, uint16_t flags)
{
	const struct sockaddr_xdp where = { .sxdp_family = AF_XDP,
					    .sxdp_flags = XDP_COPY | flags,
					    .sxdp_ifindex = ifindex };

	return bind(fd, (const struct sockaddr *)&where, sizeof(where)) ? -errno : 0;
}

static int try(unsigned int ifindex, uint16_t flags, int (*then)(int fd))
{
	_fd_ int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	void *area;
	int ret;

	if (fd < 0)
		return -errno;
	area = mmap(NULL, (size_t)SLOTS * BUFFER, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	ret = give_memory(fd, area);
	ret = ret ?: bind_to(fd, ifindex, flags);
	if (!ret && then)
		ret = then(fd);
	munmap(area, (size_t)SLOTS * BUFFER); /* the socket has its own hold on it */
	return ret;
}

void shunt_probe_xsk(unsigned int ifindex, unsigned int peer,
		     struct shunt_probe_tried *tried)
{
	/* a queue stays bound for a moment after its socket's end: one each */
	tried->xsk_late = try(ifindex, 0, map_ring);
	tried->xsk_frags = try(peer, XDP_USE_SG, NULL);
}
