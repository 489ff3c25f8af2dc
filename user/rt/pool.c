/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/pool.h"

#include <errno.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A thread's cache gives half of itself away when it is full. */
#define CACHE_MAX 512u
#define CACHE_HALF (CACHE_MAX / 2)
#define CACHES 64u /* threads beyond that go to the depot for every burst */
#define HUGE_PAGE (2ul << 20)

struct cache {
	_Alignas(64) uint32_t n;
	uint32_t free[CACHE_MAX];
};

/* The frames that are in nobody's hands: in the caches, or on the common stack. */
struct shunt_depot {
	struct cache cache[CACHES];
	_Alignas(64) pthread_spinlock_t lock;
	uint32_t n;
	uint32_t free[];
};

/* --- threads --------------------------------------------------------------------- */

static pthread_mutex_t number_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t numbers_taken;
static pthread_key_t number_key;
static pthread_once_t number_once = PTHREAD_ONCE_INIT;
static _Thread_local unsigned int number = UINT32_MAX;

static void number_return(void *value)
{
	pthread_mutex_lock(&number_lock);
	numbers_taken &= ~(UINT64_C(1) << ((uintptr_t)value - 1));
	pthread_mutex_unlock(&number_lock);
}

static void number_init(void)
{
	pthread_key_create(&number_key, number_return);
}

/* A number that no other living thread has; CACHES: there are too many threads. */
static unsigned int number_take(void)
{
	pthread_once(&number_once, number_init);
	pthread_mutex_lock(&number_lock);
	number = numbers_taken == UINT64_MAX
			 ? CACHES
			 : (unsigned int)__builtin_ctzll(~numbers_taken);
	if (number < CACHES)
		numbers_taken |= UINT64_C(1) << number;
	pthread_mutex_unlock(&number_lock);
	if (number < CACHES)
		pthread_setspecific(number_key, (void *)(uintptr_t)(number + 1));
	return number;
}

static struct cache *my_cache(struct shunt_depot *depot)
{
	unsigned int mine = number == UINT32_MAX ? number_take() : number;

	return mine < CACHES ? &depot->cache[mine] : NULL;
}

/* --- the stack that all threads share ---------------------------------------------- */

static uint32_t depot_take(struct shunt_depot *depot, uint32_t *to, uint32_t n)
{
	pthread_spin_lock(&depot->lock);
	if (n > depot->n)
		n = depot->n;
	depot->n -= n;
	memcpy(to, depot->free + depot->n, n * sizeof(*to));
	pthread_spin_unlock(&depot->lock);
	return n;
}

static void depot_give(struct shunt_depot *depot, const uint32_t *from, uint32_t n)
{
	pthread_spin_lock(&depot->lock);
	memcpy(depot->free + depot->n, from, n * sizeof(*from));
	depot->n += n;
	pthread_spin_unlock(&depot->lock);
}

/* --- getting and putting ----------------------------------------------------------- */

static void name_frame(struct shunt_memory *memory, struct shunt_frame *frame,
		       uint32_t index)
{
	*frame = (struct shunt_frame){
		.data = memory->area + (size_t)index * memory->frame_bytes +
			SHUNT_MEMORY_HEADROOM,
		.pool = &memory->pool,
		.token = index,
	};
}

static unsigned int get_common(struct shunt_memory *memory, struct shunt_frame *frames,
			       unsigned int n)
{
	uint32_t index[SHUNT_BURST];
	unsigned int i, done = 0, got;

	do {
		unsigned int want = n - done < SHUNT_BURST ? n - done : SHUNT_BURST;

		got = depot_take(memory->depot, index, want);
		for (i = 0; i < got; i++)
			name_frame(memory, &frames[done + i], index[i]);
		done += got;
	} while (got && done < n);
	return done;
}

static unsigned int memory_get(struct shunt_pool *pool, struct shunt_frame *frames,
			       unsigned int n)
{
	struct shunt_memory *memory = (struct shunt_memory *)pool;
	struct cache *cache = my_cache(memory->depot);
	unsigned int i;

	if (!cache)
		return get_common(memory, frames, n);
	for (i = 0; i < n; i++) {
		if (!cache->n)
			cache->n = depot_take(memory->depot, cache->free, CACHE_HALF);
		if (!cache->n)
			return i;
		name_frame(memory, &frames[i], cache->free[--cache->n]);
	}
	return n;
}

static void memory_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		       unsigned int n)
{
	struct shunt_memory *memory = (struct shunt_memory *)pool;
	struct cache *cache = my_cache(memory->depot);
	unsigned int i;

	for (i = 0; i < n; i++) {
		uint32_t index = (uint32_t)frames[i].token;

		if (!cache) {
			depot_give(memory->depot, &index, 1);
			continue;
		}
		if (cache->n == CACHE_MAX) {
			cache->n -= CACHE_HALF;
			depot_give(memory->depot, cache->free + cache->n, CACHE_HALF);
		}
		cache->free[cache->n++] = index;
	}
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
	uint32_t sum = memory->depot->n;
	size_t i;

	for (i = 0; i < CACHES; i++)
		sum += memory->depot->cache[i].n;
	return sum;
}

/* --- opening ------------------------------------------------------------------------ */

static int map_area(struct shunt_memory *memory, int huge)
{
	unsigned int flags = MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0);

	memory->fd = memfd_create("shunt-frames", flags);
	if (memory->fd < 0)
		return -errno;
	if (!ftruncate(memory->fd, (off_t)memory->bytes)) {
		void *area = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_POPULATE, memory->fd, 0);

		if (area != MAP_FAILED) {
			memory->area = area;
			memory->huge = huge;
			return 0;
		}
	}
	close(memory->fd);
	memory->fd = -1;
	return -ENOMEM;
}

static int make_depot(struct shunt_memory *memory)
{
	struct shunt_depot *depot;
	size_t bytes = sizeof(*depot) + memory->frames * sizeof(*depot->free);
	uint32_t i;

	depot = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!depot)
		return -ENOMEM;
	memset(depot, 0, sizeof(*depot));
	pthread_spin_init(&depot->lock, PTHREAD_PROCESS_PRIVATE);
	for (i = 0; i < memory->frames; i++)
		depot->free[i] = memory->frames - 1 - i;
	depot->n = memory->frames;
	memory->depot = depot;
	return 0;
}

int shunt_memory_open(struct shunt_memory **out, const struct shunt_memory_opts *opts,
		      struct shunt_err *err)
{
	struct shunt_memory_opts given = { 0 };
	struct shunt_memory *memory = calloc(1, sizeof(*memory));
	int ret = -ENOMEM;

	*out = NULL;
	if (!memory)
		return shunt_fail_errno(err, ret, "make a pool of frames");
	memory->fd = -1;
	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	memory->frames = given.frames ? given.frames : SHUNT_MEMORY_FRAMES;
	memory->frame_bytes =
		given.frame_bytes ? given.frame_bytes : SHUNT_MEMORY_FRAME_BYTES;
	if (memory->frame_bytes <= 2 * SHUNT_MEMORY_HEADROOM) {
		free(memory);
		return shunt_fail(err, -EINVAL,
				  "frames of %u bytes: %u of them are headroom, and a "
				  "packet needs some room as well",
				  given.frame_bytes, SHUNT_MEMORY_HEADROOM);
	}
	memory->bytes = ((size_t)memory->frames * memory->frame_bytes + HUGE_PAGE - 1) /
			HUGE_PAGE * HUGE_PAGE;
	memory->pool = (struct shunt_pool){
		.ops = &memory_ops,
		.room = memory->frame_bytes - SHUNT_MEMORY_HEADROOM,
		.headroom = SHUNT_MEMORY_HEADROOM,
	};
	if (given.huge)
		ret = map_area(memory, 1);
	if (ret)
		ret = map_area(memory, 0);
	if (!ret)
		ret = make_depot(memory);
	if (ret) {
		int code = shunt_fail_errno(err, ret,
					    "make a pool of %u frames of %u bytes",
					    memory->frames, memory->frame_bytes);

		shunt_memory_close(memory);
		return code;
	}
	*out = memory;
	return 0;
}

void shunt_memory_close(struct shunt_memory *memory)
{
	if (!memory)
		return;
	if (memory->area)
		munmap(memory->area, memory->bytes);
	if (memory->fd >= 0)
		close(memory->fd);
	if (memory->depot)
		pthread_spin_destroy(&memory->depot->lock);
	free(memory->depot);
	free(memory);
}
