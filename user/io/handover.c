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
#define JOIN_NS (5000 * NS_PER_MS) /* for a client, while nobody else is served */
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

/* The claims go along, or, where the seats stay here, the page in their stead. */
static void list_fds(const struct shunt_af_xdp *af, int state_fd, int page_fd, int *fd)
{
	unsigned int i;

	fd[SHUNT_HANDOVER_FD_STATE] = state_fd;
	fd[SHUNT_HANDOVER_FD_AREA] = af->own->fd;
	for (i = 0; i < af->lanes; i++) {
		const struct shunt_af_xdp_lane *lane = &af->lane[i];
		int *pair = fd + SHUNT_HANDOVER_FD_LANES + 2 * i;

		pair[0] = shunt_xsk_fd(lane->xsk);
		pair[1] = page_fd >= 0 ? page_fd
				       : shunt_seat_claim_fd(lane->teller.seats,
							     lane->xsk->facts.queue);
	}
}

/* Waits for the successor to take them, to die, or to be too slow. */
static void await(const struct shunt_af_xdp *af, int asker_fd, uint64_t patience)
{
	struct shunt_seats *seats = af->lane[0].teller.seats;
	uint64_t now = shunt_now_ns(), end = now + patience, slice;
	struct pollfd asker = { .fd = asker_fd, .events = POLLIN };

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
		struct shunt_xsk *xsk = af->lane[i].xsk;

		af->lane[i].teller.seat = NULL;
		close(xsk->xskmap_fd);
		xsk->xskmap_fd = -1;
		xsk->has_rx = xsk->has_tx = false;
	}
	af->fed = false;
	af->gone = true;
	af->port.ended = 1;
}

/* The same of the seats, which went along. */
static void forget_seats(const struct shunt_af_xdp *af)
{
	unsigned int i;

	for (i = 0; i < af->lanes; i++)
		shunt_seat_forget(af->lane[i].teller.seats, af->lane[i].teller.seat);
}

bool shunt_handover_offer(struct shunt_af_xdp *af, int asker_fd, int page_fd,
			  const void *answer, size_t answer_bytes)
{
	size_t bytes = shunt_handover_bytes(af->lanes, af->own->frames);
	_fd_ int state_fd = memfd_create("shunt-handover", MFD_CLOEXEC);
	struct shunt_handover *state;
	int fd[SHUNT_PASS_FDS];
	bool taken = false;

	if (state_fd < 0 || ftruncate(state_fd, (off_t)bytes))
		return false;
	state = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, state_fd, 0);
	if (state == MAP_FAILED)
		return false;
	shunt_af_xdp_tell(af);
	list_fds(af, state_fd, page_fd, fd);
	if (!describe(af, state) && !shunt_pass_send(asker_fd, answer, answer_bytes, fd,
						     shunt_handover_fds(af->lanes))) {
		await(af, asker_fd, page_fd < 0 ? TAKE_NS : JOIN_NS);
		taken = !shunt_handover_turn(state, SHUNT_HANDOVER_OFFERED,
					     SHUNT_HANDOVER_REVOKED);
	}
	if (taken && page_fd < 0)
		forget_seats(af);
	if (taken)
		let_go(af);
	munmap(state, bytes);
	return taken;
}

static void offer(struct shunt_af_xdp *af)
{
	const struct shunt_handover_hello hello = shunt_handover_greet(af->lanes);

	if (shunt_handover_offer(af, af->host.asker_fd, -1, &hello, sizeof(hello)))
		shunt_handover_close(&af->host);
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
	       shunt_handover_is_hello(&hello);
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
