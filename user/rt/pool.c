/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/rt/check.h"
#include "user/rt/depot.h"

#define HUGE_PAGE (2ul << 20)

/* --- getting and putting ----------------------------------------------------------- */

static inline void name_frames(struct shunt_memory *memory, struct shunt_frame *frames,
			       const uint32_t *numbers, uint32_t n)
{
	uint8_t *first = memory->area + SHUNT_MEMORY_HEADROOM;
	size_t bytes = memory->frame_bytes;
	uint32_t i;

	for (i = 0; i < n; i++)
		frames[i] = (struct shunt_frame){
			.data = first + numbers[i] * bytes,
			.pool = &memory->pool,
			.token = numbers[i],
		};
	if (SHUNT_CHECK)
		shunt_depot_note(memory->depot, numbers, n, true);
}

static inline void number_frames(struct shunt_memory *memory, uint32_t *numbers,
				 const struct shunt_frame *frames, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		numbers[i] = (uint32_t)frames[i].token;
	if (SHUNT_CHECK)
		shunt_depot_note(memory->depot, numbers, n, false);
}

static unsigned int get_without_cache(struct shunt_memory *memory,
				      struct shunt_frame *frames, unsigned int n)
{
	uint32_t numbers[SHUNT_BURST];
	unsigned int done = 0;

	while (done < n) {
		uint32_t want = n - done < SHUNT_BURST ? n - done : SHUNT_BURST;
		uint32_t got = shunt_depot_find(memory->depot, numbers, want);

		name_frames(memory, frames + done, numbers, got);
		done += got;
		if (got < want)
			break;
	}
	return done;
}

static unsigned int get_from_cache(struct shunt_memory *memory,
				   struct shunt_depot_cache *cache,
				   struct shunt_frame *frames, unsigned int n)
{
	struct shunt_depot *depot = memory->depot;
	/* Relaxed: our own, until we leave. */
	uint32_t have = atomic_load_explicit(&cache->n, memory_order_relaxed);
	unsigned int done = 0;

	for (;;) {
		uint32_t some = n - done < have ? n - done : have;

		have -= some;
		name_frames(memory, frames + done, cache->free + have, some);
		done += some;
		if (done == n)
			break;
		have = shunt_depot_take(depot, cache->free, depot->cache_max / 2);
		if (!have)
			break;
	}
	atomic_store_explicit(&cache->n, have, memory_order_relaxed);
	return done;
}

static unsigned int memory_get(struct shunt_pool *pool, struct shunt_frame *frames,
			       unsigned int n)
{
	struct shunt_memory *memory = (struct shunt_memory *)pool;
	struct shunt_depot_cache *cache = shunt_depot_enter(memory->depot);
	unsigned int done = 0;

	if (cache) {
		done = get_from_cache(memory, cache, frames, n);
		shunt_depot_leave(cache);
	}
	return done == n ? n
			 : done + get_without_cache(memory, frames + done, n - done);
}

static void put_without_cache(struct shunt_memory *memory,
			      const struct shunt_frame *frames, unsigned int n)
{
	uint32_t numbers[SHUNT_BURST];

	while (n) {
		uint32_t some = n < SHUNT_BURST ? n : SHUNT_BURST;

		number_frames(memory, numbers, frames, some);
		shunt_depot_give(memory->depot, numbers, some);
		frames += some;
		n -= some;
	}
}

static void put_into_cache(struct shunt_memory *memory, struct shunt_depot_cache *cache,
			   const struct shunt_frame *frames, unsigned int n)
{
	struct shunt_depot *depot = memory->depot;
	uint32_t half = depot->cache_max / 2;
	/* Relaxed: our own, until we leave. */
	uint32_t have = atomic_load_explicit(&cache->n, memory_order_relaxed);

	while (n) {
		uint32_t some = depot->cache_max - have;

		if (!some) {
			have -= half;
			shunt_depot_give(depot, cache->free + have, half);
			continue;
		}
		some = n < some ? n : some;
		number_frames(memory, cache->free + have, frames, some);
		have += some;
		frames += some;
		n -= some;
	}
	atomic_store_explicit(&cache->n, have, memory_order_relaxed);
}

static void memory_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		       unsigned int n)
{
	struct shunt_memory *memory = (struct shunt_memory *)pool;
	struct shunt_depot_cache *cache = shunt_depot_enter(memory->depot);

	if (!cache) {
		put_without_cache(memory, frames, n);
		return;
	}
	put_into_cache(memory, cache, frames, n);
	shunt_depot_leave(cache);
}

static const struct shunt_pool_ops memory_ops = { .get = memory_get,
						  .put = memory_put };

void shunt_frames_put(const struct shunt_frame *frames, unsigned int n)
{
	unsigned int i = 0, end;

	while (i < n) {
		struct shunt_pool *pool = frames[i].pool;

		for (end = i + 1; end < n && frames[end].pool == pool;)
			end++;
		if (pool)
			pool->ops->put(pool, frames + i, end - i);
		i = end;
	}
}

struct shunt_memory *shunt_memory_of(struct shunt_pool *pool)
{
	return pool->ops == &memory_ops ? (struct shunt_memory *)pool : NULL;
}

uint32_t shunt_memory_free_frames(const struct shunt_memory *memory)
{
	return shunt_depot_count(memory->depot);
}

/* --- opening ------------------------------------------------------------------------ */

static int map_area(struct shunt_memory *memory, int huge, int of)
{
	unsigned int flags = MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0);
	int ret;

	memory->fd = of < 0 ? memfd_create("shunt-frames", flags)
			    : fcntl(of, F_DUPFD_CLOEXEC, 3);
	if (memory->fd < 0)
		return -errno;
	if (of >= 0 || !ftruncate(memory->fd, (off_t)memory->bytes)) {
		void *area = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_POPULATE, memory->fd, 0);

		if (area != MAP_FAILED) {
			memory->area = area;
			memory->huge = huge;
			return 0;
		}
	}
	ret = -errno;
	close(memory->fd);
	memory->fd = -1;
	return ret;
}

static int check_opts(const struct shunt_memory_opts *opts, struct shunt_err *err)
{
	if (opts->frames > SHUNT_MEMORY_FRAMES_MAX)
		return shunt_fail(err, -EINVAL,
				  "a pool of %llu frames: there may be %u",
				  (unsigned long long)opts->frames,
				  SHUNT_MEMORY_FRAMES_MAX);
	if (opts->frame_bytes <= 2 * SHUNT_MEMORY_HEADROOM ||
	    opts->frame_bytes > SHUNT_MEMORY_FRAME_BYTES_MAX)
		return shunt_fail(
			err, -EINVAL,
			"frames of %llu bytes: with their headroom of %u they "
			"take %u to %u",
			(unsigned long long)opts->frame_bytes, SHUNT_MEMORY_HEADROOM,
			2 * SHUNT_MEMORY_HEADROOM + 1, SHUNT_MEMORY_FRAME_BYTES_MAX);
	return 0;
}

/* Area and depot of a memory whose sizes are known. */
static int fill_in(struct shunt_memory *memory, unsigned int huge, int of,
		   struct shunt_err *err)
{
	int ret = huge ? map_area(memory, 1, of) : -ENOMEM;

	if (ret)
		ret = map_area(memory, 0, of);
	if (ret)
		return shunt_fail_errno(err, ret,
					"make a pool of %u frames of %u bytes",
					memory->frames, memory->frame_bytes);
	return shunt_depot_open(&memory->depot, memory->frames, err);
}

/* `of`: the area there is; -1: there is none yet. */
static int open_memory(struct shunt_memory **out, const struct shunt_memory_opts *opts,
		       int of, struct shunt_err *err)
{
	struct shunt_memory_opts given = { 0 };
	struct shunt_memory *memory;
	int ret;

	*out = NULL;
	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	if (!given.frames)
		given.frames = SHUNT_MEMORY_FRAMES;
	if (!given.frame_bytes)
		given.frame_bytes = SHUNT_MEMORY_FRAME_BYTES;
	ret = check_opts(&given, err);
	if (ret)
		return ret;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return shunt_fail_errno(err, -ENOMEM, "make a pool of frames");
	memory->fd = -1;
	memory->frames = (uint32_t)given.frames;
	memory->frame_bytes = (uint32_t)given.frame_bytes;
	memory->bytes = (given.frames * given.frame_bytes + HUGE_PAGE - 1) / HUGE_PAGE *
			HUGE_PAGE;
	memory->pool = (struct shunt_pool){
		.ops = &memory_ops,
		.room = memory->frame_bytes - SHUNT_MEMORY_HEADROOM,
		.headroom = SHUNT_MEMORY_HEADROOM,
	};
	ret = fill_in(memory, given.huge, of, err);
	if (ret) {
		shunt_memory_close(memory);
		return ret;
	}
	*out = memory;
	return 0;
}

int shunt_memory_open(struct shunt_memory **memory,
		      const struct shunt_memory_opts *opts, struct shunt_err *err)
{
	return open_memory(memory, opts, -1, err);
}

int shunt_memory_join(struct shunt_memory **memory, int fd,
		      const struct shunt_memory_opts *opts, struct shunt_err *err)
{
	return open_memory(memory, opts, fd, err);
}

void shunt_memory_close(struct shunt_memory *memory)
{
	if (!memory)
		return;
	if (memory->area)
		munmap(memory->area, memory->bytes);
	if (memory->fd >= 0)
		close(memory->fd);
	shunt_depot_close(memory->depot);
	free(memory);
}
