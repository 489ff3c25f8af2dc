/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/io/xsk_impl.h"

#define PAGE_BYTES ((uint32_t)sysconf(_SC_PAGESIZE))

/* --- rings of the kernel ------------------------------------------------------------ */

void shunt_xsk_unmap(struct shunt_xsk_map *map)
{
	if (map->at)
		munmap(map->at, map->bytes);
	map->at = NULL;
}

static int map_ring(struct shunt_xsk_map *map, int fd, const struct xdp_ring_offset *at,
		    uint32_t size, size_t entry, uint64_t page)
{
	void *to;

	map->bytes = at->desc + size * entry;
	to = mmap(NULL, map->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  fd, (off_t)page);
	if (to == MAP_FAILED)
		return -errno;
	map->at = to;
	return 0;
}

/* The indices go on where they stand: a socket that is taken over has used its rings. */
#define SET_RING(ring, map, offsets, places, free)                                     \
	do {                                                                           \
		uint8_t *base = (map)->at;                                             \
                                                                                       \
		(ring)->producer = (void *)(base + (offsets)->producer);               \
		(ring)->consumer = (void *)(base + (offsets)->consumer);               \
		(ring)->flags = (void *)(base + (offsets)->flags);                     \
		(ring)->ring = base + (offsets)->desc;                                 \
		(ring)->size = (places);                                               \
		(ring)->mask = (places)-1;                                             \
		(ring)->cached_prod = *(ring)->producer;                               \
		(ring)->cached_cons = *(ring)->consumer + (free);                      \
	} while (0)

int shunt_xsk_map_prod(struct shunt_xsk_map *map, struct xsk_ring_prod *ring, int fd,
		       const struct xdp_ring_offset *at, uint32_t size, size_t entry,
		       uint64_t page)
{
	int ret = map_ring(map, fd, at, size, entry, page);

	if (!ret) /* a producer's cached_cons is a whole ring ahead (xdp/xsk.h) */
		SET_RING(ring, map, at, size, size);
	return ret;
}

int shunt_xsk_map_cons(struct shunt_xsk_map *map, struct xsk_ring_cons *ring, int fd,
		       const struct xdp_ring_offset *at, uint32_t size, size_t entry,
		       uint64_t page)
{
	int ret = map_ring(map, fd, at, size, entry, page);

	if (!ret) {
		SET_RING(ring, map, at, size, 0);
		ring->cached_prod = ring->cached_cons; /* peek looks for itself */
	}
	return ret;
}

/* --- a queue ---------------------------------------------------------------------- */

static pthread_mutex_t queues_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shunt_xsk_queue *queues;

static void free_queue(struct shunt_xsk_queue *queue)
{
	shunt_xsk_unmap(&queue->fill_map);
	shunt_xsk_unmap(&queue->completion_map);
	if (queue->fd >= 0)
		close(queue->fd); /* the kernel lets go of the frames */
	pthread_spin_destroy(&queue->lock);
	free(queue->held);
	free(queue);
}

static int register_memory(const struct shunt_xsk_queue *queue)
{
	const struct shunt_memory *memory = queue->memory;
	const struct xdp_umem_reg reg = {
		.addr = (uintptr_t)memory->area,
		.len = memory->bytes,
		/* of a larger frame, the kernel uses a page */
		.chunk_size = memory->frame_bytes < PAGE_BYTES ? memory->frame_bytes
							       : PAGE_BYTES,
		.flags = queue->unaligned ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0,
	};

	return setsockopt(queue->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ? -errno
									       : 0;
}

static int make_rings(const struct shunt_xsk_queue *queue, uint32_t fill,
		      uint32_t completion)
{
	return setsockopt(queue->fd, SOL_XDP, XDP_UMEM_FILL_RING, &fill,
			  sizeof(fill)) ||
			       setsockopt(queue->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING,
					  &completion, sizeof(completion))
		       ? -errno
		       : 0;
}

static int map_rings(struct shunt_xsk_queue *queue, uint32_t fill, uint32_t completion)
{
	struct xdp_mmap_offsets at;
	socklen_t len = sizeof(at);
	int fd = queue->fd, ret;

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len))
		return -errno;
	ret = shunt_xsk_map_prod(&queue->fill_map, &queue->fill, fd, &at.fr, fill,
				 sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
	return ret ? ret
		   : shunt_xsk_map_cons(&queue->completion_map, &queue->completion, fd,
					&at.cr, completion, sizeof(uint64_t),
					XDP_UMEM_PGOFF_COMPLETION_RING);
}

/* `bare`: the socket has neither a UMEM nor rings yet. */
static int make_queue(struct shunt_xsk_queue **out, int fd, struct shunt_memory *memory,
		      uint32_t fill, uint32_t completion, bool bare)
{
	struct shunt_xsk_queue *queue = calloc(1, sizeof(*queue));
	uint32_t bytes = memory->frame_bytes;
	bool even = !(bytes & (bytes - 1));
	int ret = 0;

	*out = NULL;
	if (!queue)
		return -ENOMEM;
	pthread_spin_init(&queue->lock, PTHREAD_PROCESS_PRIVATE);
	queue->memory = memory;
	queue->shift = even ? (uint32_t)__builtin_ctz(bytes) : 0;
	queue->unaligned = !even || bytes > PAGE_BYTES;
	queue->sockets = 1;
	queue->fd = dup(fd);
	queue->held = calloc((memory->frames + 63) / 64, sizeof(*queue->held));
	if (queue->fd < 0 || !queue->held)
		ret = queue->fd < 0 ? -errno : -ENOMEM;
	if (!ret && bare)
		ret = register_memory(queue);
	if (!ret && bare)
		ret = make_rings(queue, fill, completion);
	if (!ret)
		ret = map_rings(queue, fill, completion);
	if (ret)
		free_queue(queue);
	else
		*out = queue;
	return ret;
}

int shunt_xsk_queue_make(struct shunt_xsk_queue **queue, int fd,
			 struct shunt_memory *memory, uint32_t fill,
			 uint32_t completion)
{
	return make_queue(queue, fd, memory, fill, completion, true);
}

int shunt_xsk_queue_adopt(struct shunt_xsk_queue **queue, int fd,
			  struct shunt_memory *memory, uint32_t fill,
			  uint32_t completion)
{
	return make_queue(queue, fd, memory, fill, completion, false);
}

void shunt_xsk_queue_publish(struct shunt_xsk_queue *queue,
			     const struct shunt_xsk_place *place)
{
	pthread_mutex_lock(&queues_lock);
	queue->place = *place;
	queue->next = queues;
	queues = queue;
	pthread_mutex_unlock(&queues_lock);
}

static bool is_at(const struct shunt_xsk_queue *queue,
		  const struct shunt_memory *memory,
		  const struct shunt_xsk_place *place)
{
	return queue->memory == memory && queue->place.netns == place->netns &&
	       queue->place.ifindex == place->ifindex &&
	       queue->place.queue == place->queue;
}

struct shunt_xsk_queue *shunt_xsk_queue_find(const struct shunt_memory *memory,
					     const struct shunt_xsk_place *place)
{
	struct shunt_xsk_queue *queue;

	pthread_mutex_lock(&queues_lock);
	for (queue = queues; queue && !is_at(queue, memory, place);)
		queue = queue->next;
	if (queue)
		queue->sockets++;
	pthread_mutex_unlock(&queues_lock);
	return queue;
}

bool shunt_xsk_queue_is_shared(const struct shunt_xsk_queue *queue)
{
	bool shared;

	pthread_mutex_lock(&queues_lock);
	shared = queue->sockets > 1;
	pthread_mutex_unlock(&queues_lock);
	return shared;
}

/* The frames that the kernel held and, now that the queue's socket is gone, nobody does. */
static void give_back(struct shunt_memory *memory, const uint64_t *held)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < (memory->frames + 63) / 64; i++) {
		for (word = held[i]; word; word &= word - 1) {
			const struct shunt_frame frame = {
				.pool = &memory->pool,
				.token = i * 64 + (uint64_t)__builtin_ctzll(word),
			};

			shunt_frames_put(&frame, 1);
		}
	}
}

void shunt_xsk_queue_leave(struct shunt_xsk_queue *queue)
{
	struct shunt_memory *memory;
	struct shunt_xsk_queue **at;
	uint64_t *held;

	if (!queue)
		return;
	pthread_mutex_lock(&queues_lock);
	if (--queue->sockets) {
		pthread_mutex_unlock(&queues_lock);
		return;
	}
	for (at = &queues; *at && *at != queue;)
		at = &(*at)->next;
	if (*at)
		*at = queue->next;
	pthread_mutex_unlock(&queues_lock);
	memory = queue->memory;
	held = queue->held;
	queue->held = NULL;
	free_queue(queue);
	give_back(memory, held);
	free(held);
}

/* --- frames to and from the kernel --------------------------------------------------- */

/* With the lock held; others look at the numbers without it. */
static void set(uint32_t *number, uint32_t value)
{
	__atomic_store_n(number, value, __ATOMIC_RELAXED);
}

/* With the lock held. No more is reserved than there are frames: it cannot be undone. */
static void fill_up(struct shunt_xsk_queue *queue)
{
	struct shunt_memory *memory = queue->memory;
	struct shunt_frame frames[SHUNT_BURST];
	uint32_t at = 0, i, got, want, room;

	while ((int32_t)(queue->target - queue->posted) > 0) {
		want = queue->target - queue->posted;
		if (want > SHUNT_BURST)
			want = SHUNT_BURST;
		room = xsk_prod_nb_free(&queue->fill, want);
		if (want > room)
			want = room;
		got = want ? shunt_pool_get(&memory->pool, frames, want) : 0;
		if (!got)
			return;
		xsk_ring_prod__reserve(&queue->fill, got, &at);
		for (i = 0; i < got; i++) {
			*xsk_ring_prod__fill_addr(&queue->fill, at + i) =
				frames[i].token * memory->frame_bytes;
			shunt_xsk_hold(queue, frames[i].token);
		}
		xsk_ring_prod__submit(&queue->fill, got);
		set(&queue->posted, queue->posted + got);
	}
}

void shunt_xsk_queue_sends(struct shunt_xsk_queue *queue, uint32_t frames)
{
	set(&queue->sent, queue->sent + frames);
}

void shunt_xsk_queue_aim(struct shunt_xsk_queue *queue, int32_t more)
{
	pthread_spin_lock(&queue->lock);
	set(&queue->target, queue->target + (uint32_t)more);
	fill_up(queue);
	pthread_spin_unlock(&queue->lock);
}

void shunt_xsk_queue_took(struct shunt_xsk_queue *queue,
			  const struct shunt_frame *frames, unsigned int n)
{
	unsigned int i;

	pthread_spin_lock(&queue->lock);
	for (i = 0; i < n; i++)
		shunt_xsk_let_go(queue, frames[i].token);
	set(&queue->posted, queue->posted - n);
	fill_up(queue);
	pthread_spin_unlock(&queue->lock);
}

/* With the lock held. */
static unsigned int reap_burst(struct shunt_xsk_queue *queue)
{
	struct shunt_frame frames[SHUNT_BURST];
	uint32_t at, i;
	unsigned int n = xsk_ring_cons__peek(&queue->completion, SHUNT_BURST, &at);

	if (!n)
		return 0;
	for (i = 0; i < n; i++) {
		uint64_t offset = *xsk_ring_cons__comp_addr(&queue->completion, at + i);

		frames[i] = (struct shunt_frame){
			.pool = &queue->memory->pool,
			.token = shunt_xsk_token(queue, offset),
		};
		shunt_xsk_let_go(queue, frames[i].token);
	}
	xsk_ring_cons__release(&queue->completion, n);
	set(&queue->sent, queue->sent - n);
	shunt_frames_put(frames, n);
	return n;
}

void shunt_xsk_queue_reap(struct shunt_xsk_queue *queue)
{
	if (!__atomic_load_n(&queue->sent, __ATOMIC_RELAXED))
		return;
	pthread_spin_lock(&queue->lock);
	while (reap_burst(queue))
		;
	pthread_spin_unlock(&queue->lock);
}
