/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- open and close ------------------------------------------------------------------ */

static struct shunt_mesh *make(uint32_t members)
{
	struct shunt_mesh *mesh = calloc(1, sizeof(*mesh));
	size_t bytes = members * sizeof(*mesh->member);
	uint32_t i;

	if (!mesh)
		return NULL;
	mesh->rings = calloc((size_t)members * members, sizeof(*mesh->rings));
	mesh->member = aligned_alloc(_Alignof(struct shunt_mesh_member), bytes);
	if (!mesh->rings || !mesh->member) {
		free(mesh->rings);
		free(mesh->member);
		free(mesh);
		return NULL;
	}
	memset(mesh->member, 0, bytes);
	for (i = 0; i < members; i++)
		mesh->member[i].bell.fd = -1;
	mesh->members = members;
	return mesh;
}

static int fill_in(struct shunt_mesh *mesh, const struct shunt_mesh_opts *opts,
		   struct shunt_err *err)
{
	struct shunt_slots_opts slots = opts->slots;
	uint32_t i, n = mesh->members;
	int ret = 0;

	slots.sz = sizeof(slots);
	for (i = 0; i < n && !ret; i++)
		ret = shunt_bell_open(&mesh->member[i].bell, err);
	for (i = 0; i < n * n && !ret; i++)
		if (i / n != i % n)
			ret = shunt_spsc_open(&mesh->rings[i], &slots, err);
	if (!ret)
		mesh->bytes = shunt_mesh_ring(mesh, 0, 1)->slots.bytes;
	return ret;
}

int shunt_mesh_open(struct shunt_mesh **out, const struct shunt_mesh_opts *given,
		    struct shunt_err *err)
{
	struct shunt_mesh_opts opts = { 0 };
	struct shunt_mesh *mesh;
	int ret;

	*out = NULL;
	memcpy(&opts, given, given->sz < sizeof(opts) ? given->sz : sizeof(opts));
	if (opts.members < 2 || opts.members > SHUNT_MESH_MEMBERS)
		return shunt_fail(err, -EINVAL,
				  "a mesh of %u members: there may be 2 to %u",
				  opts.members, SHUNT_MESH_MEMBERS);
	mesh = make(opts.members);
	if (!mesh)
		return shunt_fail_errno(err, -ENOMEM, "make a mesh of %u members",
					opts.members);
	ret = fill_in(mesh, &opts, err);
	if (ret) {
		shunt_mesh_close(mesh);
		return ret;
	}
	*out = mesh;
	return 0;
}

void shunt_mesh_close(struct shunt_mesh *mesh)
{
	uint32_t i;

	if (!mesh)
		return;
	for (i = 0; i < mesh->members * mesh->members; i++)
		shunt_spsc_close(mesh->rings[i]);
	for (i = 0; i < mesh->members; i++)
		if (mesh->member[i].bell.fd >= 0)
			shunt_bell_close(&mesh->member[i].bell);
	free(mesh->rings);
	free(mesh->member);
	free(mesh);
}

/* --- receiving ------------------------------------------------------------------------- */

uint32_t shunt_mesh_recv(struct shunt_mesh *mesh, uint32_t to, void *elements,
			 uint32_t max, uint32_t *from)
{
	struct shunt_mesh_member *me = &mesh->member[to];
	uint32_t i, sender, got;

	for (i = 0; i < mesh->members; i++) {
		sender = me->next;
		me->next = sender + 1 == mesh->members ? 0 : sender + 1;
		if (sender == to)
			continue;
		got = shunt_spsc_pop_sized(shunt_mesh_ring(mesh, sender, to), elements,
					   max, mesh->bytes);
		if (got) {
			*from = sender;
			return got;
		}
	}
	return 0;
}

unsigned int shunt_mesh_wait(struct shunt_mesh *mesh, uint32_t to, struct pollfd *fds,
			     unsigned int max)
{
	return shunt_bell_listen(&mesh->member[to].bell, fds, max);
}

uint64_t shunt_mesh_refused(const struct shunt_mesh *mesh)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < mesh->members * mesh->members; i++)
		if (mesh->rings[i])
			sum += shunt_spsc_refused(mesh->rings[i]);
	return sum;
}

/* --- as a task --------------------------------------------------------------------------- */

#define ROOM 4096u /* bytes of a burst: 64 elements of up to 64 bytes */

static int run(void *self, struct shunt_err *err)
{
	struct shunt_mesh_task *task = self;
	_Alignas(16) uint8_t room[ROOM];
	uint32_t max = ROOM / task->mesh->bytes, from, n;
	int ret;

	n = shunt_mesh_recv(task->mesh, task->member, room,
			    max < SHUNT_BURST ? max : SHUNT_BURST, &from);
	if (!n)
		return 0;
	ret = task->handle(task->context, from, room, n, err);
	return ret ? ret : (int)n;
}

static unsigned int wait(void *self, struct pollfd *fds, unsigned int max)
{
	struct shunt_mesh_task *task = self;

	return shunt_mesh_wait(task->mesh, task->member, fds, max);
}

struct shunt_task shunt_mesh_task(struct shunt_mesh_task *task)
{
	return (struct shunt_task){
		.name = "mesh", .self = task, .run = run, .wait = wait
	};
}
