/* SPDX-License-Identifier: BSD-2-Clause */
/* A mesh: members that share nothing and send each other elements by rings. */
#pragma once

/*
 *     member 0 ══ ring ══▶ member 1      a ring for each pair and direction: N * (N - 1)
 *        ▲  ╲               ╱  ▲         a bell for each member: all its rings wake it
 *        ║   ═══ member 2 ═══  ║
 *
 * A member is mostly a worker (user/rt/worker.h); one thread at a time acts for it. Between
 * two members elements stay in order. A full ring takes less than all, from the front, and
 * counts the rest (user/rt/spsc.h): what to do with it is the sender's policy, and two
 * members that wait for each other's room without receiving wait for ever.
 *
 * As a task: the handler is called with what came, a burst from one sender at a time, and
 * the senders take turns.
 */
#include <poll.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/bell.h"
#include "user/rt/spsc.h"
#include "user/rt/worker.h"

#define SHUNT_MESH_MEMBERS 64u /* at most: N * (N - 1) rings take memory */

struct shunt_mesh_opts {
	size_t sz;
	uint32_t members;	       /* 2 … SHUNT_MESH_MEMBERS */
	struct shunt_slots_opts slots; /* of each ring; zeroed: SHUNT_SLOTS frames */
};

/* What a member reads, on lines that no other member writes but for the bell. */
struct shunt_mesh_member {
	struct shunt_bell bell;
	_Alignas(SHUNT_CORE_APART) uint32_t next; /* whose ring is looked at first */
};

struct shunt_mesh {
	uint32_t members;
	uint32_t bytes;		   /* of an element */
	struct shunt_spsc **rings; /* [from * members + to]; NULL: to oneself */
	struct shunt_mesh_member *member;
};

SHUNT_MUST_CHECK int shunt_mesh_open(struct shunt_mesh **mesh,
				     const struct shunt_mesh_opts *opts,
				     struct shunt_err *err);

/* What is still in its rings is nobody's: receive it first. NULL is fine. */
void shunt_mesh_close(struct shunt_mesh *mesh);

/* --- sending, by the thread that acts for `from` ------------------------------------- */

static inline struct shunt_spsc *shunt_mesh_ring(const struct shunt_mesh *mesh,
						 uint32_t from, uint32_t to)
{
	shunt_check(from < mesh->members && to < mesh->members && from != to);
	return mesh->rings[from * mesh->members + to];
}

static inline __attribute__((always_inline)) uint32_t shunt_mesh_send_sized(
	struct shunt_mesh *mesh, uint32_t from, uint32_t to, const void *elements,
	uint32_t n, size_t bytes)
{
	uint32_t took = shunt_spsc_push_sized(shunt_mesh_ring(mesh, from, to), elements,
					      n, bytes);

	if (took)
		shunt_bell_ring(&mesh->member[to].bell);
	return took;
}

/* Takes from the front; how many it took. They have a new owner. */
#define shunt_mesh_send(mesh, from, to, elements, n)                                   \
	shunt_mesh_send_sized(mesh, from, to, elements, n, sizeof(*(elements)))

/* --- receiving, by the thread that acts for `to` --------------------------------------- */

/* Elements of one sender, up to max; 0: there are none of anybody. */
uint32_t shunt_mesh_recv(struct shunt_mesh *mesh, uint32_t to, void *elements,
			 uint32_t max, uint32_t *from);

/* Fits into a task's wait(); receive once more before the sleep. */
unsigned int shunt_mesh_wait(struct shunt_mesh *mesh, uint32_t to, struct pollfd *fds,
			     unsigned int max);

/* --- as a task ---------------------------------------------------------------------------- */

struct shunt_mesh_task {
	struct shunt_mesh *mesh;
	uint32_t member; /* whose task it is */
	void *context;
	/* n elements of one sender, which are the handler's now: 0, or -errno, which ends
	 * the workers. */
	int (*handle)(void *context, uint32_t from, void *elements, uint32_t n,
		      struct shunt_err *err);
};

/* `task` must outlive the worker. */
struct shunt_task shunt_mesh_task(struct shunt_mesh_task *task);

/* --- anybody ------------------------------------------------------------------------------ */

/* Elements that found no room, of all rings. */
uint64_t shunt_mesh_refused(const struct shunt_mesh *mesh);
