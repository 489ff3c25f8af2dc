/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking sockets over: the side of the successor. */
#include <assert.h>
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

void shunt_parcel_close(struct shunt_parcel *parcel)
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

static int fail_taking(const struct shunt_parcel *parcel, int code, const char *why,
		       struct shunt_err *err)
{
	return shunt_fail(
		err, code,
		"take over from process %u: %s; it goes on serving, end it to "
		"serve the consumer here",
		parcel->pid, why);
}

static int receive(struct shunt_parcel *parcel, struct shunt_err *err)
{
	const struct shunt_handover_hello question = shunt_handover_greet(0);
	struct shunt_handover_hello hello;
	int ret =
		shunt_pass_send(parcel->asked_fd, &question, sizeof(question), NULL, 0);

	parcel->fds = ret ? 0 : SHUNT_PASS_FDS;
	if (!ret)
		ret = shunt_pass_recv(parcel->asked_fd, &hello, sizeof(hello),
				      parcel->fd, &parcel->fds);
	if (ret == -EAGAIN)
		return fail_taking(parcel, -ETIMEDOUT, "it does not answer", err);
	if (ret)
		return fail_taking(parcel, -EBUSY,
				   "it is of another version or user, or frames of "
				   "its are still on their way",
				   err);
	return shunt_parcel_open(parcel, &hello, err);
}

static int map_state(struct shunt_parcel *parcel)
{
	int fd = parcel->fd[SHUNT_HANDOVER_FD_STATE];
	struct stat facts;
	void *at;

	if (fstat(fd, &facts))
		return -errno;
	parcel->bytes = (size_t)facts.st_size;
	if (parcel->bytes < sizeof(struct shunt_handover))
		return -EPROTO;
	at = mmap(NULL, parcel->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	parcel->state = at;
	return parcel->state->lanes == parcel->lanes &&
			       parcel->bytes >=
				       shunt_handover_bytes(parcel->lanes,
							    parcel->state->frames)
		       ? 0
		       : -EPROTO;
}

int shunt_parcel_open(struct shunt_parcel *parcel,
		      const struct shunt_handover_hello *hello, struct shunt_err *err)
{
	int ret = -EPROTO;

	parcel->lanes = hello->lanes;
	if (shunt_handover_is_hello(hello) &&
	    hello->bytes == sizeof(struct shunt_handover) && hello->lanes &&
	    hello->lanes <= SHUNT_QUEUE_MAX &&
	    parcel->fds == shunt_handover_fds(hello->lanes))
		ret = map_state(parcel);
	if (ret == -EPROTO)
		return fail_taking(parcel, ret, "it is of another version", err);
	return ret ? shunt_fail_errno(err, ret, "map what process %u hands over",
				      parcel->pid)
		   : 0;
}

static int check_queues(const struct shunt_parcel *parcel, uint64_t wanted,
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

static int take_memory(struct shunt_af_xdp *af, struct shunt_parcel *parcel,
		       struct shunt_err *err)
{
	struct shunt_handover *state = parcel->state;

	assert(state); /* it was read and checked before any of it is taken */

	const struct shunt_memory_opts opts = {
		.sz = sizeof(opts),
		.frames = state->frames,
		.frame_bytes = state->frame_bytes,
		.huge = state->huge,
	};
	int ret = shunt_memory_join(&af->own, parcel->fd[SHUNT_HANDOVER_FD_AREA], &opts,
				    err);

	if (ret)
		return ret;
	af->memory = af->own;
	af->port.pool = &af->own->pool;
	return leave_held(af->own, state, err);
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
static int adopt_socket(struct shunt_af_xdp *af, struct shunt_parcel *parcel,
			uint32_t i, int xskmap_fd)
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
	xsk->xskmap_fd = xskmap_fd < 0 ? -1 : fcntl(xskmap_fd, F_DUPFD_CLOEXEC, 3);
	if (xsk->xskmap_fd < 0 && xskmap_fd >= 0)
		return -errno;
	return adopt_queue(xsk, af->own, parcel->state, i);
}

static int adopt_sockets(struct shunt_af_xdp *af, struct shunt_parcel *parcel,
			 int xskmap_fd, struct shunt_err *err)
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

/* --- all of it ------------------------------------------------------------------------ */

static void begin(struct shunt_af_xdp *af, const struct shunt_parcel *parcel)
{
	uint32_t i;

	for (i = 0; i < af->lanes; i++) {
		const struct shunt_handover_lane *from = &parcel->state->lane[i];
		struct shunt_xsk *xsk = af->lane[i].xsk;

		xsk->posts = from->posts;
		xsk->has_rx = from->has_rx;
		xsk->has_tx = from->has_tx;
		af->receives |= from->has_rx;
	}
	af->port.caps = parcel->state->caps;
	af->port.frame_max = parcel->state->frame_max;
	af->gone = false;
	af->fed = true;
}

int shunt_parcel_take(struct shunt_parcel *parcel, struct shunt_af_xdp *af,
		      int xskmap_fd, struct shunt_err *err)
{
	int ret;

	af->gone = true; /* should it fail, nothing but our own part of it is closed */
	ret = take_memory(af, parcel, err);
	if (!ret)
		ret = adopt_sockets(af, parcel, xskmap_fd, err);
	if (!ret && !shunt_handover_turn(parcel->state, SHUNT_HANDOVER_OFFERED,
					 SHUNT_HANDOVER_TAKEN))
		ret = fail_taking(parcel, -EBUSY, "we were too slow for it", err);
	if (!ret)
		begin(af, parcel);
	return ret;
}

/* --- from a process that runs --------------------------------------------------------- */

static void take_seats(struct shunt_af_xdp *af, struct shunt_parcel *parcel,
		       struct shunt_seats *seats)
{
	uint32_t i;

	for (i = 0; i < af->lanes; i++) {
		int *claim = &parcel->fd[SHUNT_HANDOVER_FD_LANES + 2 * i + 1];
		struct shunt_seat *seat =
			shunt_seat_adopt(seats, parcel->state->lane[i].facts.queue,
					 shunt_steal_fd(claim));

		af->lane[i].teller = (struct shunt_teller){ .seat = seat,
							    .seats = seats,
							    .past = *seat };
	}
}

static int ask(struct shunt_parcel *parcel, uint64_t queues, struct shunt_seats *seats,
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

/* The running one looks at the word when the connection ends. */
int shunt_handover_take(struct shunt_af_xdp *af, uint64_t queues, int xskmap_fd,
			struct shunt_seats *seats, struct shunt_err *err)
{
	struct shunt_parcel parcel __attribute__((cleanup(shunt_parcel_close))) =
		SHUNT_PARCEL;
	int ret = ask(&parcel, queues, seats, err);

	if (!ret)
		ret = receive(&parcel, err);
	if (!ret)
		ret = check_queues(&parcel, queues, err);
	if (!ret)
		ret = shunt_parcel_take(&parcel, af, xskmap_fd, err);
	if (!ret)
		take_seats(af, &parcel, seats);
	return ret;
}
