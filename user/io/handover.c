/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing sockets over: the side of the process that runs. */
#include "user/io/handover.h"

#include <errno.h>
#include <linux/memfd.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/handover_impl.h"
#include "user/io/pass.h"

#define NS_PER_MS UINT64_C(1000000)
#define LOOK_NS (50 * NS_PER_MS)   /* how often it looks for askers */
#define HOME_NS (1000 * NS_PER_MS) /* for lent frames to come home */
#define TAKE_NS (1000 * NS_PER_MS) /* for the successor to take the sockets */
#define SLICE_NS (100 * NS_PER_MS) /* of that, between two heartbeats at most */
#define ASKER_MS 100u		   /* for a message that should be there */

/* --- frames --------------------------------------------------------------------------- */

static uint32_t count_held(const struct shunt_xsk_queue *queue)
{
	size_t i, words = shunt_handover_words(queue->memory->frames);
	uint32_t n = 0;

	for (i = 0; i < words; i++)
		n += (uint32_t)__builtin_popcountll(queue->held[i]);
	return n;
}

/* Is every frame in the pool, or with the kernel? */
static bool all_home(const struct shunt_af_xdp *af)
{
	uint32_t n = shunt_memory_free_frames(af->own);
	unsigned int i;

	for (i = 0; i < af->lanes; i++)
		n += count_held(af->lane[i].xsk->queue);
	return n == af->own->frames;
}

/* Has the port its memory and its queues to itself? */
static bool can_hand_over(const struct shunt_af_xdp *af)
{
	unsigned int i;

	if (!af->own || !af->fed || !af->lanes || !af->lane[0].teller.seats)
		return false;
	for (i = 0; i < af->lanes; i++)
		if (__atomic_load_n(&af->lane[i].xsk->queue->sockets,
				    __ATOMIC_RELAXED) != 1)
			return false;
	return true;
}

/* --- the offer ------------------------------------------------------------------------ */

static void describe_lane(const struct shunt_xsk *xsk, struct shunt_handover_lane *lane)
{
	const struct shunt_xsk_queue *queue = xsk->queue;

	*lane = (struct shunt_handover_lane){
		.place = queue->place,
		.facts = xsk->facts,
		.key = xsk->key,
		.fill = queue->fill.size,
		.completion = queue->completion.size,
		.posted = queue->posted,
		.target = queue->target,
		.sent = queue->sent,
		.posts = xsk->posts,
		.frame_max = xsk->frame_max,
		.segment_max = xsk->segment_max,
		.has_rx = xsk->has_rx,
		.has_tx = xsk->has_tx,
		.multi = xsk->multi,
		.need_wakeup = xsk->need_wakeup,
		.busy_poll = xsk->busy_poll,
		.wakes = queue->wakes,
	};
}

/* What the socket has counted, for whichever process; *lost is our own part of it. */
static int count_before(const struct shunt_xsk *xsk, struct shunt_xsk_stats *before,
			struct shunt_xsk_stats *lost)
{
	int ret = shunt_xsk_stats(xsk, lost, NULL);

	*before = xsk->before;
	before->rx_dropped += lost->rx_dropped;
	before->rx_ring_full += lost->rx_ring_full;
	before->rx_fill_ring_empty += lost->rx_fill_ring_empty;
	before->rx_invalid_descs += lost->rx_invalid_descs;
	before->tx_invalid_descs += lost->tx_invalid_descs;
	return ret;
}

static int describe(struct shunt_af_xdp *af, struct shunt_handover *state)
{
	size_t bytes = shunt_handover_words(af->own->frames) * sizeof(uint64_t);
	unsigned int i;
	int ret = 0;

	*state = (struct shunt_handover){
		.word = SHUNT_HANDOVER_OFFERED,
		.lanes = af->lanes,
		.caps = af->port.caps,
		.frame_max = af->port.frame_max,
		.frames = af->own->frames,
		.frame_bytes = af->own->frame_bytes,
		.huge = (uint32_t)af->own->huge,
	};
	for (i = 0; !ret && i < af->lanes; i++) {
		struct shunt_af_xdp_lane *lane = &af->lane[i];

		describe_lane(lane->xsk, &state->lane[i]);
		memcpy(shunt_handover_held(state, i), lane->xsk->queue->held, bytes);
		ret = count_before(lane->xsk, &state->lane[i].before, &lane->lost);
	}
	return ret;
}

static int send_offer(const struct shunt_af_xdp *af, int state_fd)
{
	const struct shunt_handover_hello hello = {
		.magic = SHUNT_HANDOVER_MAGIC,
		.version = SHUNT_HANDOVER_VERSION,
		.bytes = sizeof(struct shunt_handover),
		.lanes = af->lanes,
	};
	int fd[SHUNT_PASS_FDS];
	unsigned int i;

	fd[SHUNT_HANDOVER_FD_STATE] = state_fd;
	fd[SHUNT_HANDOVER_FD_AREA] = af->own->fd;
	for (i = 0; i < af->lanes; i++) {
		const struct shunt_af_xdp_lane *lane = &af->lane[i];

		fd[SHUNT_HANDOVER_FD_LANES + 2 * i] = shunt_xsk_fd(lane->xsk);
		fd[SHUNT_HANDOVER_FD_LANES + 2 * i + 1] =
			shunt_seat_claim_fd(lane->teller.seats, lane->xsk->facts.queue);
	}
	return shunt_pass_send(af->host.asker_fd, &hello, sizeof(hello), fd,
			       shunt_handover_fds(af->lanes));
}

/* Waits for the successor to take them, to die, or to be too slow. */
static void await(struct shunt_af_xdp *af)
{
	struct shunt_seats *seats = af->lane[0].teller.seats;
	uint64_t now = shunt_now_ns(), end = now + TAKE_NS, slice;
	struct pollfd asker = { .fd = af->host.asker_fd, .events = POLLIN };

	for (; now < end; now = shunt_now_ns()) {
		shunt_seats_beat(seats, now);
		slice = shunt_seats_nap_ns(seats);
		slice = (slice < SLICE_NS ? slice : SLICE_NS) / NS_PER_MS;
		if (poll(&asker, 1, slice ? (int)slice : 1))
			return;
	}
}

/* They are another process's: what is ours of them goes, and nothing else. */
static void let_go(struct shunt_af_xdp *af)
{
	unsigned int i;

	for (i = 0; i < af->lanes; i++) {
		struct shunt_af_xdp_lane *lane = &af->lane[i];

		shunt_seat_forget(lane->teller.seats, lane->teller.seat);
		lane->teller.seat = NULL;
		close(lane->xsk->xskmap_fd);
		lane->xsk->xskmap_fd = -1;
		lane->xsk->has_rx = lane->xsk->has_tx = false;
	}
	af->fed = false;
	af->gone = true;
	af->port.ended = 1;
	shunt_handover_close(&af->host);
}

static void offer(struct shunt_af_xdp *af)
{
	size_t bytes = shunt_handover_bytes(af->lanes, af->own->frames);
	_fd_ int fd = memfd_create("shunt-handover", MFD_CLOEXEC);
	struct shunt_handover *state;

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return;
	state = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (state == MAP_FAILED)
		return;
	shunt_af_xdp_tell(af);
	if (!describe(af, state) && !send_offer(af, fd)) {
		await(af);
		if (!shunt_handover_turn(state, SHUNT_HANDOVER_OFFERED,
					 SHUNT_HANDOVER_REVOKED))
			let_go(af);
	}
	munmap(state, bytes);
}

/* --- who asks ------------------------------------------------------------------------- */

static void dismiss(struct shunt_handover_host *host)
{
	if (host->asker_fd >= 0)
		close(host->asker_fd);
	host->asker_fd = -1;
}

void shunt_handover_close(struct shunt_handover_host *host)
{
	dismiss(host);
	if (host->listen_fd >= 0)
		close(host->listen_fd);
	host->listen_fd = -1;
}

int shunt_handover_fd(const struct shunt_handover_host *host)
{
	return host->listen_fd;
}

static bool may_ask(int fd)
{
	struct shunt_handover_hello hello;
	struct shunt_pass_peer peer;

	if (shunt_pass_peer(fd, &peer) || (peer.uid && peer.uid != geteuid()))
		return false;
	return !shunt_pass_recv(fd, &hello, sizeof(hello), NULL, NULL) &&
	       hello.magic == SHUNT_HANDOVER_MAGIC &&
	       hello.version == SHUNT_HANDOVER_VERSION;
}

static void listen_to_askers(struct shunt_af_xdp *af)
{
	char name[SHUNT_SEAT_NAME];

	if (af->host.listen_fd >= 0)
		return;
	shunt_seat_name(af->lane[0].teller.seats, af->lane[0].xsk->facts.queue, name);
	af->host.listen_fd = shunt_pass_listen(name);
}

static void meet_asker(struct shunt_handover_host *host, uint64_t now_ns)
{
	host->asker_fd = shunt_pass_accept(host->listen_fd, ASKER_MS);
	host->asked_ns = now_ns;
	if (host->asker_fd >= 0 && !may_ask(host->asker_fd))
		dismiss(host);
}

void shunt_handover_tend(struct shunt_af_xdp *af, uint64_t now_ns, bool anyway)
{
	struct shunt_handover_host *host = &af->host;

	if (host->asker_fd < 0) {
		if (!anyway && now_ns - host->looked_ns < LOOK_NS)
			return;
		host->looked_ns = now_ns;
		if (!can_hand_over(af))
			return;
		listen_to_askers(af);
		if (host->listen_fd >= 0)
			meet_asker(host, now_ns);
		if (host->asker_fd < 0)
			return;
	}
	if (all_home(af))
		offer(af);
	else if (now_ns - host->asked_ns < HOME_NS)
		return;
	dismiss(host);
}
