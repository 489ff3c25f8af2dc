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

/*
 * Half of a frame. Halves are written at once, as they will be read when the frame is
 * copied: a core reads what it has just written in parts only when it has left for the
 * cache.
 */
typedef uint64_t half __attribute__((vector_size(16), aligned(8), may_alias));

_Static_assert(offsetof(struct shunt_frame, data) == 0 &&
		       offsetof(struct shunt_frame, pool) == 8 &&
		       offsetof(struct shunt_frame, token) == 16,
	       "as name_frames() writes them");

static inline void name_frames(struct shunt_memory *memory, struct shunt_frame *frames,
			       const uint32_t *numbers, uint32_t n)
{
	uint64_t first = (uintptr_t)memory->area + SHUNT_MEMORY_HEADROOM;
	uint64_t bytes = memory->frame_bytes;
	uint32_t i;

	for (i = 0; i < n; i++) {
		half *to = (half *)&frames[i];

		to[0] = (half){ first + numbers[i] * bytes, (uintptr_t)memory };
		to[1] = (half){ numbers[i], 0 };
	}
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

/* When the cache has too few, or there is none. */
static __attribute__((noinline)) unsigned int get_more(struct shunt_memory *memory,
						       struct shunt_depot_cache *cache,
						       struct shunt_frame *frames,
						       unsigned int n)
{
	uint32_t numbers[SHUNT_BURST];
	unsigned int done = 0, want, got;

	do {
		want = n - done < SHUNT_BURST ? n - done : SHUNT_BURST;
		got = shunt_depot_get_more(memory->depot, cache, numbers, want);
		name_frames(memory, frames + done, numbers, got);
		done += got;
		cache = done < n ? shunt_depot_enter(memory->depot) : NULL;
	} while (done < n && got == want);
	if (cache)
		shunt_depot_leave(cache);
	return done;
}

static unsigned int memory_get(struct shunt_pool *pool, struct shunt_frame *frames,
			       unsigned int n)
{
	struct shunt_memory *memory = (struct shunt_memory *)pool;
	struct shunt_depot_cache *cache = shunt_depot_enter(memory->depot);
	uint32_t have = cache ? shunt_depot_cached(cache) : 0;

	if (__builtin_expect(!cache || have < n, 0))
		return get_more(memory, cache, frames, n);
	name_frames(memory, frames, cache->free + have - n, n);
	shunt_depot_set_cached(cache, have - n);
	shunt_depot_leave(cache);
	return n;
}

/* When the cache has no room for them, or there is none. */
static __attribute__((noinline)) void put_more(struct shunt_memory *memory,
					       struct shunt_depot_cache *cache,
					       const struct shunt_frame *frames,
					       unsigned int n)
{
	uint32_t numbers[SHUNT_BURST] = { 0 };
	unsigned int some;

	for (;; cache = shunt_depot_enter(memory->depot)) {
		some = n < SHUNT_BURST ? n : SHUNT_BURST;
		number_frames(memory, numbers, frames, some);
		shunt_depot_put_more(memory->depot, cache, numbers, some);
		frames += some;
		n -= some;
		if (!n)
			break;
	}
}

static void memory_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		       unsigned int n)
{
	struct shunt_memory *memory = (struct shunt_memory *)pool;
	struct shunt_depot_cache *cache = shunt_depot_enter(memory->depot);
	uint32_t have = cache ? shunt_depot_cached(cache) : 0;

	if (__builtin_expect(!cache || memory->depot->cache_max - have < n, 0)) {
		put_more(memory, cache, frames, n);
		return;
	}
	number_frames(memory, cache->free + have, frames, n);
	shunt_depot_set_cached(cache, have + n);
	shunt_depot_leave(cache);
}

uint32_t shunt_memory_get_tokens(struct shunt_memory *memory, uint32_t *tokens,
				 uint32_t n)
{
	return shunt_depot_get(memory->depot, tokens, n);
}

void shunt_memory_put_tokens(struct shunt_memory *memory, const uint32_t *tokens,
			     uint32_t n)
{
	shunt_depot_put(memory->depot, tokens, n);
}

static const struct shunt_pool_ops memory_ops = { .get = memory_get,
						  .put = memory_put };

void shunt_frames_put(const struct shunt_frame *frames, unsigned int n)
{
	while (n) {
		struct shunt_pool *pool = frames->pool;
		unsigned int run = 1;

		while (run < n && frames[run].pool == pool)
			run++;
		if (pool)
			pool->ops->put(pool, frames, run);
		frames += run;
		n -= run;
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
