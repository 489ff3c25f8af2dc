/* SPDX-License-Identifier: BSD-2-Clause */
/* Serving one client: the side of root. */
#include "user/io/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/serve_impl.h"

#define NS_PER_MS UINT64_C(1000000)

/* What is kept of a port whose sockets a client has. */
struct session {
	int client_fd, stop_fd;
	struct shunt_port *port;
	struct shunt_af_xdp *af; /* the same */
	struct shunt_seats *seats;
	struct shunt_seat *seat[SHUNT_QUEUE_MAX];
	struct shunt_seat *page; /* NULL: not mapped */
	int map_fd;
	uint32_t key[SHUNT_QUEUE_MAX]; /* in the XSKMAP */
	unsigned int lanes;
	struct shunt_serve_client client;
};

/* --- opening what is asked for ------------------------------------------------------- */

static void add(char *text, size_t room, const char *key, uint64_t value)
{
	size_t used = strlen(text);

	if (value)
		snprintf(text + used, room - used, ",%s=%llu", key,
			 (unsigned long long)value);
}

static void add_queues(char *text, size_t room, uint64_t queues)
{
	unsigned int queue;
	char before = '=';

	if (!queues)
		return;
	snprintf(text + strlen(text), room - strlen(text), ",queues");
	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++) {
		if (!(queues >> queue & 1))
			continue;
		snprintf(text + strlen(text), room - strlen(text), "%c%u", before,
			 queue);
		before = '+';
	}
}

static int open_port(struct session *session, const struct shunt_serve_opts *opts,
		     const struct shunt_serve_question *asked, struct shunt_err *err)
{
	static const char *const multi[] = { "auto", "on", "off" };
	char text[512];
	int ret;

	if (asked->frames > opts->frames_max)
		return shunt_fail(err, -EDQUOT,
				  "%u frames: a client may have %llu; say fewer with "
				  "frames=",
				  asked->frames, (unsigned long long)opts->frames_max);
	snprintf(text, sizeof(text), "af_xdp:%s,consumer=%s,tx=%s,multi-buffer=%s",
		 opts->interface, opts->consumer, asked->tx ? "on" : "off",
		 multi[asked->multi % 3]);
	add(text, sizeof(text), "ring", asked->ring);
	add(text, sizeof(text), "tx-ring", asked->tx_ring);
	add(text, sizeof(text), "frames", asked->frames);
	add(text, sizeof(text), "frame-bytes", asked->frame_bytes);
	if (asked->queues != UINT64_MAX)
		add_queues(text, sizeof(text), asked->queues);
	ret = shunt_port_open(&session->port, text, NULL, err);
	if (ret)
		return ret;
	session->af = (struct shunt_af_xdp *)session->port;
	if (session->af->own->frames > opts->frames_max)
		return shunt_fail(
			err, -EDQUOT,
			"its rings take %u frames, and a client may have %llu: "
			"say smaller ones with ring= and tx-ring=",
			session->af->own->frames, (unsigned long long)opts->frames_max);
	return 0;
}

/* --- the page ------------------------------------------------------------------------- */

static int make_page(struct session *session, int *page_fd, struct shunt_err *err)
{
	size_t bytes = session->lanes * sizeof(*session->page);
	int fd = memfd_create("shunt-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *at;

	*page_fd = fd;
	/* a client that could shorten it would have us killed */
	if (fd < 0 || ftruncate(fd, (off_t)bytes) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return shunt_fail_errno(err, -errno, "make a page for the client");
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map the client's page");
	session->page = at;
	return 0;
}

static void relay(const struct session *session)
{
	unsigned int i;

	for (i = 0; i < session->lanes; i++)
		shunt_seat_relay(session->seats, session->seat[i], &session->page[i],
				 (uint32_t)session->client.peer.pid);
}

/* --- the session ------------------------------------------------------------------------ */

/* Keeps what let_go of the sockets would lose. */
static int prepare(struct session *session, struct shunt_err *err)
{
	const struct shunt_af_xdp *af = session->af;
	unsigned int i;

	session->lanes = af->lanes;
	session->seats = af->seats;
	session->client.frames = af->own->frames;
	session->map_fd = fcntl(af->lane[0].xsk->xskmap_fd, F_DUPFD_CLOEXEC, 3);
	for (i = 0; i < af->lanes; i++) {
		session->seat[i] = af->lane[i].teller.seat;
		session->key[i] = af->lane[i].xsk->key;
		session->client.queues |= 1ull << af->lane[i].xsk->facts.queue;
	}
	return session->map_fd < 0 ? shunt_fail_errno(err, -errno, "keep the XSKMAP")
				   : 0;
}

static int hand_out(struct session *session, struct shunt_err *err)
{
	const struct shunt_serve_answer answer = { .hello = shunt_handover_greet(
							   session->lanes) };
	_fd_ int page_fd = -1;
	unsigned int i;
	int ret = make_page(session, &page_fd, err);

	if (ret)
		return ret;
	for (i = 0; i < session->lanes; i++) {
		session->page[i] = *session->seat[i];
		session->page[i].pid = (uint32_t)session->client.peer.pid;
	}
	if (shunt_handover_offer(session->af, session->client_fd, page_fd, &answer,
				 sizeof(answer)))
		return 0;
	return shunt_fail(err, -ECONNRESET, "the client has not taken its sockets");
}

static void starve(const struct session *session)
{
	unsigned int i;

	for (i = 0; i < session->lanes; i++)
		bpf_map_delete_elem(session->map_fd, &session->key[i]);
}

/* What the client asks for; false: it has gone. */
static bool answer_client(const struct session *session)
{
	char word;

	if (shunt_pass_recv(session->client_fd, &word, 1, NULL, NULL))
		return false;
	if (word != SHUNT_SERVE_STARVE)
		return true;
	starve(session);
	return !shunt_pass_send(session->client_fd, &word, 1, NULL, 0);
}

/* Until the client goes, or we are to end: then it gets no more. */
static void look_after(const struct session *session)
{
	struct pollfd fds[] = {
		{ .fd = session->client_fd, .events = POLLIN },
		{ .fd = session->stop_fd, .events = POLLIN },
	};
	uint64_t nap;

	for (;;) {
		relay(session);
		nap = shunt_seats_nap_ns(session->seats) / 2 / NS_PER_MS;
		if (poll(fds, 2, nap ? (int)nap : 1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (fds[0].revents && !answer_client(session))
			break;
	}
	if (fds[1].revents) {
		starve(session);
		shunt_xsk_settle();
	}
	relay(session);
}

/* 0: it has told of all that it got; 1: it has not. */
static int settle(const struct session *session)
{
	unsigned int i;
	int died = 0;

	for (i = 0; i < session->lanes; i++) {
		if (__atomic_load_n(&session->page[i].pid, __ATOMIC_ACQUIRE))
			died = 1;
		else
			shunt_seat_leave(session->seats, session->seat[i]);
	}
	return died;
}

static void close_session(struct session *session)
{
	if (session->page)
		munmap(session->page, session->lanes * sizeof(*session->page));
	if (session->map_fd >= 0)
		close(session->map_fd);
	shunt_port_close(session->port);
}

static int begin(struct session *session, const struct shunt_serve_opts *opts,
		 struct shunt_err *err)
{
	struct shunt_serve_question asked;
	int ret = shunt_pass_peer(session->client_fd, &session->client.peer);

	if (!ret)
		ret = shunt_pass_recv(session->client_fd, &asked, sizeof(asked), NULL,
				      NULL);
	if (!ret && !shunt_handover_is_hello(&asked.hello))
		ret = -EPROTO;
	if (ret)
		return shunt_fail_errno(err, ret, "hear what the client asks for");
	ret = open_port(session, opts, &asked, err);
	if (!ret)
		ret = prepare(session, err);
	return ret ? ret : hand_out(session, err);
}

int shunt_serve_client(int client_fd, int stop_fd, const struct shunt_serve_opts *opts,
		       void (*told)(const struct shunt_serve_client *client,
				    void *self),
		       void *self, struct shunt_err *err)
{
	struct session session __attribute__((cleanup(close_session))) = {
		.client_fd = client_fd, .stop_fd = stop_fd, .map_fd = -1
	};
	int ret = begin(&session, opts, err);

	if (ret) {
		struct shunt_serve_answer answer = { .hello = shunt_handover_greet(0),
						     .code = ret };

		snprintf(answer.words, sizeof(answer.words), "%.*s",
			 (int)sizeof(answer.words) - 1, err->message);
		/* whether it still hears that is its own business */
		if (shunt_pass_send(client_fd, &answer, sizeof(answer), NULL, 0))
			return ret;
		return ret;
	}
	told(&session.client, self);
	look_after(&session);
	return settle(&session);
}
