/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/rings.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "loader/claim.h"
#include "maps/ring.h"
#include "user/base/cleanup.h"

/* A look of shunt_rings_tidy() at whether a claim is held holds it for a moment. */
#define CLAIM_TRIES 50
#define CLAIM_NAP_US 2000

static int claim(const struct shunt_maps *maps, uint32_t place)
{
	char name[SHUNT_CLAIM_MAX];

	snprintf(name, sizeof(name), "shunt/ring/%016llx/%u",
		 (unsigned long long)maps->gen->trace_cookie, place);
	return shunt_claim(name);
}

int shunt_ring_claim(const struct shunt_maps *maps, uint32_t place,
		     struct shunt_err *err)
{
	int tries, fd = -EADDRINUSE;

	for (tries = 0; fd == -EADDRINUSE && tries < CLAIM_TRIES; tries++) {
		if (tries)
			usleep(CLAIM_NAP_US);
		fd = claim(maps, place);
	}
	if (fd == -EADDRINUSE)
		return shunt_fail(err, -EBUSY,
				  "another process reads this ring buffer: a ring has "
				  "one reader");
	return fd < 0 ? shunt_fail_errno(err, fd, "claim the ring buffer") : fd;
}

int shunt_ring_make(uint32_t bytes, struct shunt_err *err)
{
	uint32_t page = sysconf(_SC_PAGESIZE);
	int fd;

	bytes = bytes < page ? page : bytes;
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "shunt_ring_in", 0, 0, bytes, NULL);
	return fd < 0 ? shunt_fail_errno(err, fd, "make a ring buffer of %u bytes",
					 bytes)
		      : fd;
}

/* Two pages: how far the reader has read, and how far the programs have written. */
static bool has_room(const uint8_t *positions, size_t page, uint32_t bytes)
{
	const size_t longest = BPF_RINGBUF_HDR_SZ + sizeof(struct shunt_ring_event) +
			       SHUNT_RING_FRAME_MAX;
	unsigned long read =
		__atomic_load_n((const unsigned long *)positions, __ATOMIC_ACQUIRE);
	unsigned long written =
		__atomic_load_n((const unsigned long *)(positions + page),
				__ATOMIC_ACQUIRE);

	return written - read + longest < bytes;
}

bool shunt_ring_has_room(int ring_fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	void *positions;
	bool room;

	if (bpf_obj_get_info_by_fd(ring_fd, &info, &len))
		return false;
	positions = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, ring_fd, 0);
	if (positions == MAP_FAILED)
		return false;
	room = has_room(positions, page, info.max_entries);
	munmap(positions, 2 * page);
	return room;
}

int shunt_ring_feed(const struct shunt_maps *maps, uint32_t place, int ring_fd,
		    struct shunt_err *err)
{
	int ret;

	/* noted before it is so: a kill in between leaves too much noted */
	__atomic_fetch_or(&maps->gen->rings, 1ull << place, __ATOMIC_RELAXED);
	ret = bpf_map_update_elem(maps->fd[SHUNT_MAP_RING], &place, &ring_fd, BPF_ANY);
	return ret ? shunt_fail_errno(err, ret, "put the ring buffer into place") : 0;
}

void shunt_ring_starve(const struct shunt_maps *maps, uint32_t place)
{
	/* the kernel waits for programs before a change of a map in a map returns */
	bpf_map_delete_elem(maps->fd[SHUNT_MAP_RING], &place);
	__atomic_fetch_and(&maps->gen->rings, ~(1ull << place), __ATOMIC_RELAXED);
}

bool shunt_ring_is_fed(const struct shunt_maps *maps, uint32_t place, int ring_fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), id;

	return !bpf_obj_get_info_by_fd(ring_fd, &info, &len) &&
	       !bpf_map_lookup_elem(maps->fd[SHUNT_MAP_RING], &place, &id) &&
	       id == info.id;
}

bool shunt_ring_is_dead(const struct shunt_maps *maps, uint32_t place)
{
	if (!(__atomic_load_n(&maps->gen->rings, __ATOMIC_RELAXED) >> place & 1))
		return false;
	_fd_ int fd = claim(maps, place);
	return fd >= 0;
}

static bool is_named(const struct shunt_state *state, uint32_t place)
{
	bool named = place == SHUNT_RING_COPIES;
	size_t c;

	for (c = 0; c < state->consumers; c++)
		named |= shunt_ring_place(state->consumer[c].slot) == place;
	return named;
}

void shunt_rings_tidy(const struct shunt_maps *maps, const struct shunt_state *state)
{
	uint32_t place;

	for (place = 0; place < SHUNT_RING_PLACES; place++) {
		if (!(__atomic_load_n(&maps->gen->rings, __ATOMIC_RELAXED) >> place &
		      1))
			continue;
		_fd_ int fd = claim(maps, place);
		if (fd >= 0 || !is_named(state, place))
			shunt_ring_starve(maps, place);
	}
}
