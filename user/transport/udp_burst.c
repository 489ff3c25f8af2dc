/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/udp_burst.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "user/rt/pool.h"

#define RUN_BYTES 65536u      /* the longest that the kernel makes of a run */
#define RUN_SEND_BYTES 65000u /* less the headers, of IPv6 as well */
#define RUN_DATAGRAMS 64u     /* UDP_MAX_SEGMENTS of older kernels */
#define RUNS_AT_ONCE 4u	      /* that are read by one call: they fill a cache */

/* Room for the one control message that we ask for or send. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

/* What was read into one entry, and how far it is handed out. */
struct run {
	uint32_t bytes, at, each;
	struct shunt_udp_peer *peer; /* NULL: it is void */
};

struct shunt_udp_burst {
	struct shunt_udp_socket *udp;
	struct mmsghdr message[SHUNT_BURST];
	struct iovec part[2 * SHUNT_BURST];
	struct shunt_sock_address from[SHUNT_BURST];
	union control control[SHUNT_BURST];
	struct shunt_frame frame[SHUNT_BURST]; /* what entries begin with */
	uint8_t *tails; /* of entries: what is longer than a frame; RUN_BYTES each */
	struct run run[SHUNT_BURST];
	unsigned int at, n; /* runs: the next one, and the end */
	bool runs_came;	    /* by the last call */
};

/* --- opening ---------------------------------------------------------------------------- */

int shunt_udp_burst_open(struct shunt_udp_burst **out, struct shunt_udp_socket *udp,
			 struct shunt_err *err)
{
	struct shunt_udp_burst *burst = calloc(1, sizeof(*burst));
	/* touched only where runs come: otherwise this is address space, and no memory */
	void *tails =
		mmap(NULL, (size_t)RUN_BYTES * SHUNT_BURST, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*out = burst;
	if (burst)
		burst->tails = tails == MAP_FAILED ? NULL : tails;
	if (!burst || !burst->tails)
		return shunt_fail_errno(err, -ENOMEM, "make room for bursts");
	burst->udp = udp;
	return 0;
}

/* Frames from one entry on go back to the pool. */
static void put_frames(struct shunt_udp_burst *burst, unsigned int from, unsigned int n)
{
	shunt_frames_put(burst->frame + from, n - from);
}

void shunt_udp_burst_close(struct shunt_udp_burst *burst)
{
	if (!burst)
		return;
	put_frames(burst, burst->at, burst->n);
	if (burst->tails)
		munmap(burst->tails, (size_t)RUN_BYTES * SHUNT_BURST);
	free(burst);
}

bool shunt_udp_burst_join(int fd)
{
	int on = 1;

	return !setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
}

/* --- receiving ------------------------------------------------------------------------------ */

static void set_entry(struct shunt_udp_burst *burst, unsigned int i, bool runs)
{
	struct iovec *part = &burst->part[2 * i];

	part[0] = (struct iovec){ .iov_base = burst->frame[i].data,
				  .iov_len = burst->udp->transport->pool->room };
	part[1] = (struct iovec){ .iov_base = burst->tails + (size_t)i * RUN_BYTES,
				  .iov_len = RUN_BYTES };
	burst->message[i].msg_hdr = (struct msghdr){
		.msg_name = &burst->from[i].any,
		.msg_namelen = sizeof(burst->from[i].ip6),
		.msg_iov = part,
		.msg_iovlen = runs ? 2 : 1,
		.msg_control = runs ? &burst->control[i] : NULL,
		.msg_controllen = runs ? sizeof(burst->control[i]) : 0,
	};
}

/* Bytes of each datagram but the last; 0: it is one. */
static uint32_t each_of(const struct msghdr *message)
{
	struct cmsghdr *at;
	int bytes = 0;

	for (at = CMSG_FIRSTHDR(message); at;
	     at = CMSG_NXTHDR((struct msghdr *)message, at))
		if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO)
			memcpy(&bytes, CMSG_DATA(at), sizeof(bytes));
	return bytes > 0 ? (uint32_t)bytes : 0;
}

/* Reads a burst. False: nothing is there, or no frame for it. */
static bool read_burst(struct shunt_udp_burst *burst, int fd, bool runs,
		       unsigned int max)
{
	struct shunt_udp_socket *udp = burst->udp;
	unsigned int i, frames, tries = 0;
	int got;

	if (burst->runs_came && max > RUNS_AT_ONCE)
		max = RUNS_AT_ONCE;
	frames = shunt_pool_get(udp->transport->pool, burst->frame, max);
	if (!frames)
		return false;
	for (i = 0; i < frames; i++)
		set_entry(burst, i, runs);
	do {
		udp->transport->count.system_calls++;
		got = recvmmsg(fd, burst->message, frames, MSG_DONTWAIT, NULL);
	} while (got < 0 && shunt_udp_again(udp, fd, errno, &tries));
	burst->at = 0;
	burst->n = got > 0 ? (unsigned int)got : 0;
	put_frames(burst, burst->n, frames);
	burst->runs_came = false;
	for (i = 0; i < burst->n; i++) {
		const struct msghdr *message = &burst->message[i].msg_hdr;
		uint32_t each = runs ? each_of(message) : 0;

		burst->from[i].bytes = message->msg_namelen;
		burst->run[i] = (struct run){
			.bytes = message->msg_flags & MSG_TRUNC
					 ? UINT32_MAX
					 : burst->message[i].msg_len,
			.each = each,
		};
		burst->runs_came |= each && each < burst->run[i].bytes;
	}
	return burst->n;
}

/* Bytes of an entry, which lie in its frame and go on in its tail. */
static void copy_out(const struct shunt_udp_burst *burst, unsigned int i, uint32_t at,
		     uint8_t *to, uint32_t bytes)
{
	uint32_t room = burst->udp->transport->pool->room;
	uint32_t front = at < room ? room - at : 0;

	if (front > bytes)
		front = bytes;
	if (front)
		memcpy(to, burst->frame[i].data + at, front);
	if (bytes > front)
		memcpy(to + front,
		       burst->tails + (size_t)i * RUN_BYTES + (at + front - room),
		       bytes - front);
}

/* The entry is done with. */
static void end_entry(struct shunt_udp_burst *burst, bool lent)
{
	if (!lent)
		shunt_frames_put(&burst->frame[burst->at], 1);
	burst->at++;
}

/* The next datagrams of a run. */
static unsigned int split(struct shunt_udp_burst *burst,
			  struct shunt_datagram *datagrams, unsigned int max)
{
	struct shunt_transport *transport = burst->udp->transport;
	struct run *run = &burst->run[burst->at];
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int left = (run->bytes - run->at + run->each - 1) / run->each, n, i;

	n = left < max ? left : max;
	if (n > SHUNT_BURST)
		n = SHUNT_BURST;
	n = shunt_pool_get(transport->pool, frames, n);
	for (i = 0; i < n; i++) {
		uint32_t bytes = run->bytes - run->at;

		frames[i].len = bytes < run->each ? bytes : run->each;
		copy_out(burst, burst->at, run->at, frames[i].data, frames[i].len);
		run->at += frames[i].len;
		datagrams[i] = (struct shunt_datagram){ .frame = frames[i],
							.peer = &run->peer->state };
	}
	if (n == left)
		end_entry(burst, false);
	return n;
}

/* From the next entry: how many datagrams; *stuck: no frame was free. */
static unsigned int take_entry(struct shunt_udp_burst *burst,
			       struct shunt_datagram *datagrams, unsigned int max,
			       bool *stuck)
{
	struct shunt_udp_socket *udp = burst->udp;
	struct run *run = &burst->run[burst->at];
	uint32_t room = udp->transport->pool->room;
	uint32_t most = run->each ? run->each : run->bytes;
	unsigned int n;

	if (most > room) { /* none of them has room */
		udp->transport->count.rx_dropped +=
			run->each ? (run->bytes + run->each - 1) / run->each : 1;
		end_entry(burst, false);
		return 0;
	}
	/* asked for anew: a peer may have gone since the last datagram of its run */
	run->peer = shunt_udp_sender(udp, &burst->from[burst->at]);
	if (!run->peer) {
		end_entry(burst, false);
		return 0;
	}
	if (run->each && run->each < run->bytes) {
		n = split(burst, datagrams, max);
		*stuck = !n;
		return n;
	}
	datagrams->frame = burst->frame[burst->at];
	datagrams->frame.len = run->bytes;
	datagrams->peer = &run->peer->state;
	end_entry(burst, true);
	return 1;
}

bool shunt_udp_burst_left(const struct shunt_udp_burst *burst)
{
	return burst->at < burst->n;
}

unsigned int shunt_udp_burst_receive(struct shunt_udp_burst *burst, int fd, bool runs,
				     struct shunt_datagram *datagrams, unsigned int max)
{
	unsigned int got = 0;
	bool stuck = false;

	if (!shunt_udp_burst_left(burst) && !read_burst(burst, fd, runs, max))
		return 0;
	while (got < max && !stuck && shunt_udp_burst_left(burst))
		got += take_entry(burst, datagrams + got, max - got, &stuck);
	burst->udp->transport->count.rx_datagrams += got;
	return got;
}

/* --- sending -------------------------------------------------------------------------------- */

/* Datagrams that may travel as one run: to one peer, of one length, but the last, which may
 * be shorter. */
static unsigned int run_length(const struct shunt_datagram *datagrams, unsigned int n)
{
	const struct shunt_udp_peer *peer =
		(const struct shunt_udp_peer *)datagrams->peer;
	uint32_t each = datagrams->frame.len, bytes = each;
	unsigned int i;

	if (!each || (peer->whole && each >= peer->whole))
		return 1;
	for (i = 1; i < n && i < RUN_DATAGRAMS; i++) {
		uint32_t len = datagrams[i].frame.len;

		if (datagrams[i].peer != &peer->state || len > each || !len ||
		    bytes + len > RUN_SEND_BYTES)
			break;
		bytes += len;
		if (len < each)
			return i + 1;
	}
	return i;
}

/* One message of the call: a datagram, or a run. */
static void put_entry(struct shunt_udp_burst *burst, unsigned int i,
		      const struct shunt_sock_address *to, bool connected,
		      struct iovec *part, const struct shunt_datagram *datagrams,
		      unsigned int run)
{
	struct msghdr *message = &burst->message[i].msg_hdr;
	uint16_t each = (uint16_t)datagrams->frame.len;
	unsigned int k;

	for (k = 0; k < run; k++)
		part[k] = (struct iovec){ .iov_base = datagrams[k].frame.data,
					  .iov_len = datagrams[k].frame.len };
	*message = (struct msghdr){ .msg_iov = part, .msg_iovlen = run };
	if (!connected) {
		message->msg_name = (void *)&to->any;
		message->msg_namelen = to->bytes;
	}
	if (run == 1)
		return;
	message->msg_control = &burst->control[i];
	message->msg_controllen = CMSG_SPACE(sizeof(each));
	burst->control[i].head = (struct cmsghdr){ .cmsg_level = IPPROTO_UDP,
						   .cmsg_type = UDP_SEGMENT,
						   .cmsg_len = CMSG_LEN(sizeof(each)) };
	memcpy(CMSG_DATA(&burst->control[i].head), &each, sizeof(each));
}

/* Fills the call's messages; taken[i]: datagrams in the first i. Returns how many; those
 * that have no address end it. */
static unsigned int fill(struct shunt_udp_burst *burst, bool connected, bool runs,
			 const struct shunt_datagram *datagrams, unsigned int n,
			 unsigned int taken[SHUNT_BURST + 1])
{
	unsigned int i = 0, at = 0;

	taken[0] = 0;
	while (at < n && i < SHUNT_BURST && at < SHUNT_BURST) {
		struct shunt_udp_peer *peer =
			(struct shunt_udp_peer *)datagrams[at].peer;
		const struct shunt_sock_address *to =
			shunt_udp_address(burst->udp, peer);
		unsigned int most = n < SHUNT_BURST ? n - at : SHUNT_BURST - at;
		unsigned int run = runs ? run_length(datagrams + at, most) : 1;

		if (!to)
			break;
		put_entry(burst, i, to, connected, burst->part + at, datagrams + at,
			  run);
		at += run;
		taken[++i] = at;
	}
	return i;
}

/* How a run is refused, and not its datagrams: its path or its interface cannot cut it. */
static bool is_of_runs(int error)
{
	return error == EINVAL || error == EIO || error == EMSGSIZE ||
	       error == EOPNOTSUPP;
}

/* The call's first message was refused: its datagrams go one by one, and tell by themselves
 * what is wrong. Runs like it go so from now on. */
static unsigned int send_singly(struct shunt_udp_burst *burst, int fd, bool connected,
				const struct shunt_datagram *datagrams, unsigned int n,
				int error)
{
	struct shunt_udp_peer *peer = (struct shunt_udp_peer *)datagrams->peer;
	unsigned int i;

	if (n > 1 && is_of_runs(error))
		peer->whole = datagrams->frame.len;
	for (i = 0; i < n; i++)
		if (!shunt_udp_send(burst->udp, fd, connected, &datagrams[i]))
			break;
	return i;
}

/* How many messages went; -1 and errno of the first one. */
static int send_entries(struct shunt_udp_burst *burst, int fd, unsigned int entries)
{
	struct shunt_udp_socket *udp = burst->udp;
	unsigned int tries = 0;
	int sent;

	do {
		udp->transport->count.system_calls++;
		sent = sendmmsg(fd, burst->message, entries, SHUNT_SOCK_FLAGS);
	} while (sent < 0 && shunt_udp_again(udp, fd, errno, &tries));
	return sent;
}

unsigned int shunt_udp_burst_send(struct shunt_udp_burst *burst, int fd, bool connected,
				  bool runs, const struct shunt_datagram *datagrams,
				  unsigned int n)
{
	unsigned int taken[SHUNT_BURST + 1], done = 0, first, now, entries;

	while (done < n) {
		int sent;

		entries =
			fill(burst, connected, runs, datagrams + done, n - done, taken);
		sent = entries ? send_entries(burst, fd, entries) : -1;
		if (sent > 0) {
			burst->udp->transport->count.tx_datagrams += taken[sent];
			done += taken[sent];
			continue;
		}
		if (entries && shunt_udp_no_room(errno)) {
			burst->udp->full_fd = fd;
			break;
		}
		first = entries ? taken[1] : 1;
		now = send_singly(burst, fd, connected, datagrams + done, first, errno);
		done += now;
		if (now < first)
			break;
	}
	return done;
}
