/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/uring_ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/cleanup.h"

#define SQPOLL_IDLE_MS 100u /* the kernel's thread sleeps after so long without work */
#define REFILL_SHARE 8u	    /* places that are filled together: an eighth of all */

const char *const shunt_uring_works[SHUNT_URING_WORKS] = {
	[SHUNT_URING_DEFERRED] = "deferred",
	[SHUNT_URING_COOPERATIVE] = "cooperative",
	[SHUNT_URING_INTERRUPTING] = "interrupting",
	[SHUNT_URING_POLLED] = "polled",
};

/* Since 5.19, 6.0 and 6.1: what an older kernel refuses, the next row does without. */
static const struct {
	uint32_t flags;
	enum shunt_uring_work work;
} setups[] = {
	{ IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
		  IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	  SHUNT_URING_DEFERRED },
	{ IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	  SHUNT_URING_COOPERATIVE },
	{ 0, SHUNT_URING_INTERRUPTING },
	{ IORING_SETUP_SQPOLL, SHUNT_URING_POLLED },
};

/* Of the calling thread: a number that no other one has, or ever had. */
static uint64_t this_thread(void)
{
	static _Thread_local uint64_t mine;
	static _Atomic uint64_t last;

	/* Relaxed: it orders nothing else. */
	if (!mine)
		mine = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return mine;
}

/* --- opening ---------------------------------------------------------------------------- */

static int set_up(struct shunt_uring *ring, const struct shunt_uring_opts *opts,
		  uint32_t entries)
{
	size_t i = opts->sqpoll	      ? SHUNT_URING_POLLED
		   : opts->any_thread ? SHUNT_URING_INTERRUPTING
				      : SHUNT_URING_DEFERRED;
	int ret;

	do {
		struct io_uring_params params = {
			.flags = setups[i].flags | IORING_SETUP_CQSIZE,
			.cq_entries =
				entries / SHUNT_URING_ENTRIES * SHUNT_URING_COMPLETIONS
					?: 2 * entries,
			.sq_thread_idle = SQPOLL_IDLE_MS,
		};

		ret = io_uring_queue_init_params(entries, &ring->io, &params);
		ring->work = setups[i].work;
	} while (ret == -EINVAL && ++i <= SHUNT_URING_INTERRUPTING);
	ring->open = !ret;
	/* Only a ring that is made to wait for its thread is not enabled yet. */
	ring->begun = ring->work != SHUNT_URING_DEFERRED;
	return ret;
}

/* The largest power of two that leaves half of the memory to others. */
static uint32_t ring_size(const struct shunt_memory *memory)
{
	uint32_t size = SHUNT_URING_BUFFERS;

	while (size > 1 && size > memory->frames / 2)
		size /= 2;
	return size;
}

static int provide_buffers(struct shunt_uring *ring, struct shunt_memory *memory)
{
	struct io_uring_buf_reg reg = { .bgid = SHUNT_URING_GROUP };
	uint32_t i, size = memory ? ring_size(memory) : 1;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size * sizeof(struct io_uring_buf) + page - 1) / page * page;

	ring->memory = memory;
	ring->ring = aligned_alloc(page, bytes);
	if (!ring->ring)
		return -ENOMEM;
	memset(ring->ring, 0, bytes);
	ring->size = ring->missing = size;
	for (i = 0; i < size; i++)
		ring->place[i] = (uint16_t)i;
	reg.ring_addr = (uintptr_t)ring->ring;
	reg.ring_entries = size;
	return io_uring_register_buf_ring(&ring->io, &reg, 0);
}

/* As IORING_REGISTER_NAPI takes it (Linux 6.9), which liburing 2.3 does not know. */
struct napi {
	uint32_t busy_poll_us;
	uint8_t prefer_busy_poll;
	uint8_t zero[3];
	uint64_t reserved;
};

#define REGISTER_NAPI 27

static int poll_napi(struct shunt_uring *ring, uint64_t us, struct shunt_err *err)
{
	struct napi napi = { .busy_poll_us = (uint32_t)us, .prefer_busy_poll = 1 };
	int ret = us ? io_uring_register((unsigned int)ring->io.ring_fd, REGISTER_NAPI,
					 &napi, 1)
		     : 0;

	if (ret == -EINVAL)
		return shunt_fail(err, ret,
				  "napi=%llu: this kernel's io_uring does not poll "
				  "NICs, which takes Linux 6.9 and "
				  "CONFIG_NET_RX_BUSY_POLL; leave it out",
				  (unsigned long long)us);
	return ret ? shunt_fail_errno(err, ret, "napi=%llu", (unsigned long long)us)
		   : 0;
}

/* Why the kernel gives no ring, by what it said. */
static const char *explain(int error, char *room, size_t bytes)
{
	_file_ FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "r");
	int disabled = 0;

	if (file && fscanf(file, "%d", &disabled) != 1)
		disabled = 0;
	if (error == -EPERM && disabled)
		snprintf(room, bytes,
			 "the sysctl kernel.io_uring_disabled is %d; `sysctl "
			 "kernel.io_uring_disabled=0` lets it be used",
			 disabled);
	else if (error == -EPERM || error == -EACCES)
		snprintf(room, bytes,
			 "io_uring_setup is forbidden here, as the seccomp filters of "
			 "containers do; let it through");
	else if (error == -ENOSYS)
		snprintf(room, bytes,
			 "there is no io_uring_setup: the kernel was built without "
			 "CONFIG_IO_URING, or a seccomp filter hides it");
	else if (error == -EINVAL)
		snprintf(room, bytes,
			 "this kernel's io_uring has no rings of buffers, which takes "
			 "Linux 5.19");
	else if (error == -ENOMEM)
		snprintf(room, bytes,
			 "there is no memory for the ring that may be locked; raise "
			 "`ulimit -l`");
	else
		snprintf(room, bytes, "io_uring_setup: %s", strerror(-error));
	return room;
}

const char *shunt_uring_absent(char *room, size_t bytes)
{
	struct shunt_uring *ring = calloc(1, sizeof(*ring));
	const struct shunt_uring_opts opts = { 0 };
	int ret;

	if (!ring)
		return "there is no memory";
	ret = set_up(ring, &opts, 8) ?: provide_buffers(ring, NULL);
	shunt_uring_close(ring);
	free(ring);
	return ret ? explain(ret, room, bytes) : NULL;
}

static int register_files(struct shunt_uring *ring, uint32_t files)
{
	_free_ int *none = calloc(files, sizeof(*none));
	uint32_t i;
	int ret;

	if (!none)
		return -ENOMEM;
	for (i = 0; i < files; i++)
		none[i] = -1;
	ret = io_uring_register_files(&ring->io, none, files);
	/* More files than may be open: they go without being registered. */
	ring->files = !ret;
	return ret == -EMFILE ? 0 : ret;
}

static int register_event(struct shunt_uring *ring)
{
	int ret;

	ring->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->event < 0)
		return -errno;
	ret = io_uring_register_eventfd(&ring->io, ring->event);
	if (ret)
		return ret;
	ring->listens = true;
	shunt_uring_hush(ring);
	return 0;
}

int shunt_uring_open(struct shunt_uring *ring, const struct shunt_uring_opts *opts,
		     struct shunt_err *err)
{
	char room[256];
	int ret = set_up(ring, opts, SHUNT_URING_ENTRIES);

	if (!ret)
		ret = provide_buffers(ring, opts->memory);
	if (ret)
		return shunt_fail(err, ret, "%s", explain(ret, room, sizeof(room)));
	ret = register_event(ring);
	if (ret)
		return shunt_fail_errno(err, ret, "register an eventfd");
	ring->in_front = opts->in_front;
	if (opts->files)
		ret = register_files(ring, opts->files);
	if (ret)
		return shunt_fail_errno(err, ret, "register %u files", opts->files);
	shunt_uring_refill(ring);
	return poll_napi(ring, opts->napi_us, err);
}

/* The places that have a frame, sorted out from those that have none. */
static void give_back(struct shunt_uring *ring)
{
	bool missing[SHUNT_URING_BUFFERS] = { false };
	uint32_t i;

	for (i = 0; i < ring->missing; i++)
		missing[ring->place[i]] = true;
	for (i = 0; i < ring->size; i++)
		if (!missing[i])
			shunt_memory_put_tokens(ring->memory, &ring->token[i], 1);
}

void shunt_uring_close(struct shunt_uring *ring)
{
	/* By another thread, this number would be that of another ring. */
	if (ring->owner && ring->owner != this_thread())
		ring->io.int_flags = 0;
	if (ring->open)
		io_uring_queue_exit(&ring->io);
	if (ring->event > 0)
		close(ring->event);
	if (ring->memory)
		give_back(ring);
	free(ring->ring);
	*ring = (struct shunt_uring){ 0 };
}

int shunt_uring_file(struct shunt_uring *ring, uint32_t place, int fd)
{
	int ret = ring->files ? io_uring_register_files_update(&ring->io, place, &fd, 1)
			      : 0;

	return ret < 0 ? ret : 0;
}

struct pollfd shunt_uring_listen(struct shunt_uring *ring)
{
	uint64_t count;

	/* What was written so far is emptied first: what is written from here on stays. */
	if (read(ring->event, &count, sizeof(count)) != sizeof(count))
		count = 0;
	if (!ring->listens)
		(void)io_uring_cq_eventfd_toggle(&ring->io, true);
	ring->listens = true;
	return (struct pollfd){ .fd = ring->event, .events = POLLIN };
}

/* --- submitting -------------------------------------------------------------------------- */

/* The first thread that enters is the one. */
static int begin(struct shunt_uring *ring)
{
	/* liburing 2.3 has a function for it, and forgot to export it. */
	int ret = io_uring_register((unsigned int)ring->io.ring_fd,
				    IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	if (ret)
		return ret;
	ring->begun = true;
	ring->owner = this_thread();
	/* Saves looking up the descriptor each time; fine without. */
	ret = io_uring_register_ring_fd(&ring->io);
	return ret < 0 && ret != -EINVAL && ret != -EBUSY ? ret : 0;
}

/*
 * The kernel would say so, too, but for the ring's registered number, which may be that of
 * another ring in another thread.
 */
static int look_who(struct shunt_uring *ring)
{
	if (!ring->begun)
		return begin(ring);
	return !ring->owner || ring->owner == this_thread() ? 0 : -EEXIST;
}

/* What the kernel may say though all is well: it has been asked too much at once. */
static int mean(int ret)
{
	return ret >= 0 || ret == -EBUSY || ret == -EAGAIN || ret == -EINTR ? 0 : ret;
}

int shunt_uring_enter(struct shunt_uring *ring)
{
	int ret = look_who(ring);

	if (ret)
		return ret;
	if (ring->work ==
	    SHUNT_URING_POLLED) /* calls only if the kernel's thread sleeps */
		return mean(io_uring_submit(&ring->io));
	ring->entered++;
	return mean(io_uring_submit_and_get_events(&ring->io));
}

int shunt_uring_wait(struct shunt_uring *ring, uint32_t completions,
		     uint64_t timeout_ns)
{
	struct __kernel_timespec timeout = {
		.tv_sec = (long long)(timeout_ns / 1000000000u),
		.tv_nsec = (long long)(timeout_ns % 1000000000u),
	};
	struct io_uring_cqe *first;
	int ret = look_who(ring);

	if (ret)
		return ret;
	ring->entered++;
	ret = io_uring_submit_and_wait_timeout(&ring->io, &first, completions, &timeout,
					       NULL);
	if (ret == -ETIME)
		return 0;
	if (ret == -EINTR)
		return ret;
	return mean(ret) ?: 1;
}

struct io_uring_sqe *shunt_uring_sqe(struct shunt_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->io);

	if (sqe || shunt_uring_enter(ring))
		return sqe;
	return io_uring_get_sqe(&ring->io);
}

/* --- buffers ------------------------------------------------------------------------------ */

static uint8_t *data_of(const struct shunt_uring *ring, uint32_t token)
{
	return ring->memory->area + (size_t)token * ring->memory->frame_bytes +
	       SHUNT_MEMORY_HEADROOM;
}

uint32_t shunt_uring_refill(struct shunt_uring *ring)
{
	uint32_t tokens[SHUNT_BURST], n, i;

	if (ring->missing <= ring->size / REFILL_SHARE)
		return ring->size - ring->missing;
	while (ring->missing) {
		n = ring->missing < SHUNT_BURST ? ring->missing : SHUNT_BURST;
		n = shunt_memory_get_tokens(ring->memory, tokens, n);
		if (!n)
			break;
		for (i = 0; i < n; i++) {
			uint16_t place = ring->place[--ring->missing];

			ring->token[place] = tokens[i];
			io_uring_buf_ring_add(ring->ring,
					      data_of(ring, tokens[i]) - ring->in_front,
					      ring->memory->pool.room + ring->in_front,
					      place, io_uring_buf_ring_mask(ring->size),
					      (int)i);
		}
		io_uring_buf_ring_advance(ring->ring, (int)n);
	}
	return ring->size - ring->missing;
}

void shunt_uring_take(struct shunt_uring *ring, uint32_t cqe_flags, uint32_t bytes,
		      struct shunt_frame *frame)
{
	uint16_t place = (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
	uint32_t token = ring->token[place];

	*frame = (struct shunt_frame){
		.data = data_of(ring, token) - ring->in_front,
		.pool = &ring->memory->pool,
		.token = token,
		.len = bytes,
	};
	ring->place[ring->missing++] = place;
}
