/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking sockets over: the side of the successor. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/io/handover.h"
#include "user/io/handover_impl.h"
#include "user/io/pass.h"

/* What has come from the running one. */
struct parcel {
	int asked_fd;
	int fd[SHUNT_PASS_FDS];
	unsigned int fds;
	struct shunt_handover *state; /* NULL: not mapped */
	size_t bytes;
	uint32_t lanes;
	uint32_t pid;
};

static void parcel_close(struct parcel *parcel)
{
	unsigned int i;

	for (i = 0; i < parcel->fds; i++)
		if (parcel->fd[i] >= 0)
			close(parcel->fd[i]);
	if (parcel->state)
		munmap(parcel->state, parcel->bytes);
	if (parcel->asked_fd >= 0)
		close(parcel->asked_fd);
}

/* --- asking --------------------------------------------------------------------------- */

static int fail_taking(const struct parcel *parcel, int code, const char *why,
		       struct shunt_err *err)
{
	return shunt_fail(
		err, code,
		"take over from process %u: %s; it goes on serving, end it to "
		"serve the consumer here",
		parcel->pid, why);
}

static int receive(struct parcel *parcel, struct shunt_err *err)
{
	const struct shunt_handover_hello question = { .magic = SHUNT_HANDOVER_MAGIC,
						       .version =
							       SHUNT_HANDOVER_VERSION };
	struct shunt_handover_hello hello;
	int ret =
		shunt_pass_send(parcel->asked_fd, &question, sizeof(question), NULL, 0);

	parcel->fds = SHUNT_PASS_FDS;
	if (!ret)
		ret = shunt_pass_recv(parcel->asked_fd, &hello, sizeof(hello),
				      parcel->fd, &parcel->fds);
	else
		parcel->fds = 0;
	if (ret == -EAGAIN)
		return fail_taking(parcel, -ETIMEDOUT, "it does not answer", err);
	if (ret)
		return fail_taking(parcel, -EBUSY,
				   "it is of another version or user, or frames of "
				   "its are still on their way",
				   err);
	if (hello.magic != SHUNT_HANDOVER_MAGIC ||
	    hello.version != SHUNT_HANDOVER_VERSION ||
	    hello.bytes != sizeof(struct shunt_handover) || !hello.lanes ||
	    hello.lanes > SHUNT_QUEUE_MAX ||
	    parcel->fds != shunt_handover_fds(hello.lanes))
		return fail_taking(parcel, -EPROTO, "it is of another version", err);
	parcel->lanes = hello.lanes;
	return 0;
}

static int map_state(struct parcel *parcel, struct shunt_err *err)
{
	int fd = parcel->fd[SHUNT_HANDOVER_FD_STATE];
	struct stat facts;
	void *at;

	if (fstat(fd, &facts) || (size_t)facts.st_size < sizeof(struct shunt_handover))
		return fail_taking(parcel, -EPROTO, "it is of another version", err);
	parcel->bytes = (size_t)facts.st_size;
	at = mmap(NULL, parcel->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map what process %u hands over",
					parcel->pid);
	parcel->state = at;
	if (parcel->state->lanes != parcel->lanes ||
	    parcel->bytes < shunt_handover_bytes(parcel->lanes, parcel->state->frames))
		return fail_taking(parcel, -EPROTO, "it is of another version", err);
	return 0;
}

static int check_queues(const struct parcel *parcel, uint64_t wanted,
			struct shunt_err *err)
{
	uint64_t queues = 0;
	uint32_t i;

	for (i = 0; i < parcel->lanes; i++)
		queues |= 1ull << (parcel->state->lane[i].facts.queue &
				   (SHUNT_QUEUE_MAX - 1));
	return queues == wanted
		       ? 0
		       : fail_taking(parcel, -EINVAL, "it serves other queues", err);
}

/* --- frames and sockets ----------------------------------------------------------------- */

/* The frames that the kernel holds are out of our pool from the beginning. */
static int leave_held(struct shunt_memory *memory, struct shunt_handover *state,
		      struct shunt_err *err)
{
	_free_ struct shunt_frame *all = calloc(memory->frames, sizeof(*all));
	uint32_t i, lane, n;

	if (!all)
		return shunt_fail(err, -ENOMEM, "take sockets over: out of memory");
	n = shunt_pool_get(&memory->pool, all, memory->frames);
	for (i = 0; i < n; i++) {
		uint64_t token = all[i].token, held = 0;

		for (lane = 0; lane < state->lanes; lane++)
			held |= shunt_handover_held(state, lane)[token / 64] >>
				token % 64;
		if (!(held & 1))
			shunt_frames_put(&all[i], 1);
	}
	return 0;
}

static int take_memory(struct shunt_af_xdp *af, struct parcel *parcel,
		       struct shunt_err *err)
{
	const struct shunt_memory_opts opts = {
		.sz = sizeof(opts),
		.frames = parcel->state->frames,
		.frame_bytes = parcel->state->frame_bytes,
		.huge = parcel->state->huge,
	};
	int ret = shunt_memory_join(&af->own, parcel->fd[SHUNT_HANDOVER_FD_AREA], &opts,
				    err);

	if (ret)
		return ret;
	af->memory = af->own;
	af->port.pool = &af->own->pool;
	return leave_held(af->own, parcel->state, err);
}

static int map_rings(struct shunt_xsk *xsk, const struct shunt_handover_lane *lane)
{
	struct xdp_mmap_offsets at;
	socklen_t len = sizeof(at);
	int ret = 0;

	if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len))
		return -errno;
	if (lane->has_rx)
		ret = shunt_xsk_map_cons(&xsk->rx_map, &xsk->rx, xsk->fd, &at.rx,
					 lane->facts.ring, sizeof(struct xdp_desc),
					 XDP_PGOFF_RX_RING);
	if (!ret && lane->has_tx)
		ret = shunt_xsk_map_prod(&xsk->tx_map, &xsk->tx, xsk->fd, &at.tx,
					 lane->facts.tx_ring, sizeof(struct xdp_desc),
					 XDP_PGOFF_TX_RING);
	return ret;
}

static int adopt_queue(struct shunt_xsk *xsk, struct shunt_memory *memory,
		       struct shunt_handover *state, uint32_t i)
{
	const struct shunt_handover_lane *lane = &state->lane[i];
	struct shunt_xsk_queue *queue;
	int ret = shunt_xsk_queue_adopt(&queue, xsk->fd, memory, lane->fill,
					lane->completion);

	if (ret)
		return ret;
	memcpy(queue->held, shunt_handover_held(state, i),
	       shunt_handover_words(state->frames) * sizeof(uint64_t));
	queue->posted = lane->posted;
	queue->target = lane->target;
	queue->sent = lane->sent;
	queue->multi = lane->multi;
	queue->wakes = lane->wakes;
	shunt_xsk_queue_publish(queue, &lane->place);
	xsk->queue = queue;
	return map_rings(xsk, lane);
}

/* It neither receives nor transmits until it is ours. */
static int adopt_socket(struct shunt_af_xdp *af, struct parcel *parcel, uint32_t i,
			int xskmap_fd)
{
	const struct shunt_handover_lane *lane = &parcel->state->lane[i];
	int *fd = &parcel->fd[SHUNT_HANDOVER_FD_LANES + 2 * i];
	struct shunt_xsk *xsk = calloc(1, sizeof(*xsk));

	if (!xsk)
		return -ENOMEM;
	af->lane[af->lanes++].xsk = xsk;
	xsk->fd = shunt_steal_fd(fd);
	xsk->count = &af->port.count;
	xsk->frame_max = lane->frame_max;
	xsk->segment_max = lane->segment_max;
	xsk->multi = lane->multi;
	xsk->need_wakeup = lane->need_wakeup;
	xsk->busy_poll = lane->busy_poll;
	xsk->facts = lane->facts;
	xsk->before = lane->before;
	xsk->key = lane->key;
	strcpy(xsk->ifname, af->interface);
	xsk->xskmap_fd = fcntl(xskmap_fd, F_DUPFD_CLOEXEC, 3);
	if (xsk->xskmap_fd < 0)
		return -errno;
	return adopt_queue(xsk, af->own, parcel->state, i);
}

static int adopt_sockets(struct shunt_af_xdp *af, struct parcel *parcel, int xskmap_fd,
			 struct shunt_err *err)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < parcel->lanes; i++)
		ret = adopt_socket(af, parcel, i, xskmap_fd);
	if (ret == -EBUSY)
		return fail_taking(parcel, ret,
				   "this kernel maps no rings of a socket that is "
				   "bound, which takes Linux 6.5",
				   err);
	return ret ? shunt_fail_errno(err, ret, "take over the sockets of process %u",
				      parcel->pid)
		   : 0;
}

/* --- from here on it is ours -------------------------------------------------------------- */

static void begin(struct shunt_af_xdp *af, struct parcel *parcel,
		  struct shunt_seats *seats)
{
	uint32_t i;

	for (i = 0; i < af->lanes; i++) {
		const struct shunt_handover_lane *from = &parcel->state->lane[i];
		struct shunt_af_xdp_lane *lane = &af->lane[i];
		struct shunt_seat *seat = shunt_seat_adopt(
			seats, from->facts.queue,
			shunt_steal_fd(
				&parcel->fd[SHUNT_HANDOVER_FD_LANES + 2 * i + 1]));

		lane->teller = (struct shunt_teller){ .seat = seat,
						      .seats = seats,
						      .past = *seat };
		lane->xsk->posts = from->posts;
		lane->xsk->has_rx = from->has_rx;
		lane->xsk->has_tx = from->has_tx;
		af->receives |= from->has_rx;
	}
	af->port.caps = parcel->state->caps;
	af->port.frame_max = parcel->state->frame_max;
	af->gone = false;
	af->fed = true;
}

static int ask(struct parcel *parcel, uint64_t queues, struct shunt_seats *seats,
	       struct shunt_err *err)
{
	uint32_t place = (uint32_t)__builtin_ctzll(queues);
	char name[SHUNT_SEAT_NAME];

	shunt_seat_name(seats, place, name);
	parcel->pid = shunt_seat_pid(seats, place);
	parcel->asked_fd = shunt_pass_connect(name, SHUNT_HANDOVER_ANSWER_MS);
	if (parcel->asked_fd == -ECONNREFUSED)
		return -ENOENT;
	return parcel->asked_fd < 0
		       ? shunt_fail_errno(err, parcel->asked_fd,
					  "ask process %u to hand over", parcel->pid)
		       : 0;
}

int shunt_handover_take(struct shunt_af_xdp *af, uint64_t queues, int xskmap_fd,
			struct shunt_seats *seats, struct shunt_err *err)
{
	struct parcel parcel
		__attribute__((cleanup(parcel_close))) = { .asked_fd = -1 };
	int ret = ask(&parcel, queues, seats, err);

	if (!ret)
		ret = receive(&parcel, err);
	if (!ret)
		ret = map_state(&parcel, err);
	if (!ret)
		ret = check_queues(&parcel, queues, err);
	if (ret)
		return ret;
	af->gone = true; /* should it fail, nothing but our own part of it is closed */
	ret = take_memory(af, &parcel, err);
	if (!ret)
		ret = adopt_sockets(af, &parcel, xskmap_fd, err);
	if (!ret && !shunt_handover_turn(parcel.state, SHUNT_HANDOVER_OFFERED,
					 SHUNT_HANDOVER_TAKEN))
		ret = fail_taking(&parcel, -EBUSY, "we were too slow for it", err);
	if (ret)
		return ret;
	begin(af, &parcel, seats);
	return 0; /* the running one looks at the word when the connection ends */
}
