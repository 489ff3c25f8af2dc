/* SPDX-License-Identifier: BSD-2-Clause */
/* Being served: the side of a process that is not root. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/io/serve_impl.h"

#define ANSWER_MS 5000u

/* --- asking ------------------------------------------------------------------------- */

static int connect_to(struct shunt_parcel *parcel, const char *path,
		      struct shunt_err *err)
{
	struct shunt_pass_peer peer = { 0 };

	parcel->asked_fd = shunt_pass_connect(path, ANSWER_MS);
	if (parcel->asked_fd == -ENOENT || parcel->asked_fd == -ECONNREFUSED)
		return shunt_fail(err, parcel->asked_fd,
				  "nobody serves at %s: as root, run `shunt serve "
				  "INTERFACE --consumer NAME --socket %s`",
				  path, path);
	if (parcel->asked_fd == -EACCES)
		return shunt_fail(err, parcel->asked_fd,
				  "%s: not permitted; `shunt serve` says with --group "
				  "and --mode who may",
				  path);
	if (parcel->asked_fd < 0)
		return shunt_fail_errno(err, parcel->asked_fd, "connect to %s", path);
	if (!shunt_pass_peer(parcel->asked_fd, &peer))
		parcel->pid = (uint32_t)peer.pid;
	return 0;
}

static int ask(struct shunt_parcel *parcel, const struct shunt_af_xdp_values *values,
	       struct shunt_err *err)
{
	const struct shunt_serve_question question = {
		.hello = shunt_handover_greet(0),
		.queues = values->queues,
		.ring = (uint32_t)values->ring,
		.tx_ring = (uint32_t)values->tx_ring,
		.frames = (uint32_t)values->frames,
		.frame_bytes = (uint32_t)values->frame_bytes,
		.tx = values->tx,
		.multi = values->multi,
	};
	struct shunt_serve_answer answer;
	int ret =
		shunt_pass_send(parcel->asked_fd, &question, sizeof(question), NULL, 0);

	parcel->fds = ret ? 0 : SHUNT_PASS_FDS;
	if (!ret)
		ret = shunt_pass_recv(parcel->asked_fd, &answer, sizeof(answer),
				      parcel->fd, &parcel->fds);
	if (ret)
		return shunt_fail_errno(err, ret, "have %s answer", values->serve);
	answer.words[sizeof(answer.words) - 1] = '\0';
	if (answer.code)
		return shunt_fail(err, answer.code < 0 ? answer.code : -EPROTO,
				  "%s: %s", values->serve, answer.words);
	return shunt_parcel_open(parcel, &answer.hello, err);
}

/* --- the page ------------------------------------------------------------------------- */

static int map_page(struct shunt_served *served, struct shunt_parcel *parcel,
		    struct shunt_err *err)
{
	size_t bytes = parcel->lanes * sizeof(*served->page);
	int fd = parcel->fd[SHUNT_HANDOVER_FD_LANES + 1];
	struct stat facts;
	void *at;

	if (fstat(fd, &facts) || (size_t)facts.st_size < bytes)
		return shunt_fail(err, -EPROTO,
				  "the page that came from process %u is no such page",
				  parcel->pid);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map our page");
	served->page = at;
	served->pages = parcel->lanes;
	return 0;
}

static void tell_page(struct shunt_af_xdp *af)
{
	unsigned int i;

	for (i = 0; i < af->lanes; i++)
		af->lane[i].teller =
			(struct shunt_teller){ .seat = &af->served.page[i],
					       .past = af->served.page[i] };
}

int shunt_serve_join(struct shunt_af_xdp *af, const struct shunt_af_xdp_values *values,
		     struct shunt_err *err)
{
	struct shunt_parcel parcel __attribute__((cleanup(shunt_parcel_close))) =
		SHUNT_PARCEL;
	int ret = connect_to(&parcel, values->serve, err);

	if (!ret)
		ret = ask(&parcel, values, err);
	if (!ret)
		ret = map_page(&af->served, &parcel, err);
	if (!ret)
		ret = shunt_heart_open(&af->heart, NULL, af->served.page,
				       af->served.pages, err);
	if (!ret)
		ret = shunt_parcel_take(&parcel, af, -1, err);
	if (ret)
		return ret;
	tell_page(af);
	af->served.fd = shunt_steal_fd(&parcel.asked_fd);
	/* it waits for a word of ours, and then looks whether the sockets were taken */
	ret = shunt_pass_send(af->served.fd, "t", 1, NULL, 0);
	return ret ? shunt_fail_errno(err, ret, "tell %s that we are there",
				      values->serve)
		   : 0;
}

/* --- being served ------------------------------------------------------------------------ */

void shunt_serve_starve(const struct shunt_served *served)
{
	char word = SHUNT_SERVE_STARVE;

	/* one that is gone has taken them out, or its seat is late by now */
	if (shunt_pass_send(served->fd, &word, 1, NULL, 0))
		return;
	if (shunt_pass_recv(served->fd, &word, 1, NULL, NULL))
		return;
}

int shunt_serve_check(const struct shunt_served *served, struct shunt_err *err)
{
	char word;

	/* it says nothing unless asked; at its end there is nothing to read any more */
	if (served->fd < 0 || recv(served->fd, &word, 1, MSG_PEEK | MSG_DONTWAIT))
		return 0;
	return shunt_fail(err, -ENOTCONN,
			  "`shunt serve` has ended: no packet can come any more");
}

void shunt_serve_leave(struct shunt_served *served)
{
	unsigned int i;

	for (i = 0; i < served->pages; i++)
		__atomic_store_n(&served->page[i].pid, 0, __ATOMIC_RELEASE);
	if (served->page)
		munmap(served->page, served->pages * sizeof(*served->page));
	if (served->fd >= 0)
		close(served->fd);
	*served = (struct shunt_served)SHUNT_SERVED_NONE;
}
