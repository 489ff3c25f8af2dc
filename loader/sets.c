/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "loader/services.h"
#include "loader/setblob.h"
#include "user/base/cleanup.h"

static int outer(const struct shunt_maps *maps, int kind)
{
	return maps->fd[kind == SHUNT_SETS_BLOB ? SHUNT_MAP_SET : SHUNT_MAP_SERVICE];
}

/* --- making ------------------------------------------------------------------ */

static int make_lines(uint32_t lines)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		    .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "shunt_set_in", sizeof(uint32_t),
			      SHUNT_BLOB_LINE, lines, &opts);
}

/* Copied through a mapping: a call for each line would take a hundred times as long. */
static int upload(const struct shunt_set_ref *set, const struct shunt_blob *blob,
		  struct shunt_err *err)
{
	size_t bytes = (size_t)blob->lines * SHUNT_BLOB_LINE;
	void *at;

	_fd_ int fd = make_lines(blob->lines);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "make set %s of %zu bytes", set->name,
					bytes);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "fill set %s", set->name);
	memcpy(at, blob->line, bytes);
	munmap(at, bytes);
	return shunt_steal_fd(&fd);
}

int shunt_set_fits(const struct shunt_set_ref *set, const size_t count[2],
		   struct shunt_err *err)
{
	bool services = set->type == SHUNT_SET_SERVICE;
	int six;

	if (services && count[0] + count[1] > set->size)
		return shunt_fail(
			err, -E2BIG,
			"set %s is full: it holds %u members; give it a larger "
			"\"size\" in the policy and `shunt apply` that",
			set->name, set->size);
	for (six = 0; !services && six < 2; six++)
		if (count[six] > set->size)
			return shunt_fail(err, -E2BIG,
					  "set %s is full: it holds %u IPv%d members; "
					  "give it a larger \"size\" in the policy and "
					  "`shunt apply` that",
					  set->name, set->size, six ? 6 : 4);
	return 0;
}

int shunt_set_make(const struct shunt_set_ref *set, const struct shunt_prefix *element,
		   size_t elements, struct shunt_err *err)
{
	struct shunt_blob blob;
	size_t count[2] = { 0, 0 }, i;
	int ret;

	for (i = 0; i < elements; i++)
		count[element[i].family == 6]++;
	ret = shunt_set_fits(set, count, err);
	if (ret)
		return ret;
	if (set->type == SHUNT_SET_SERVICE)
		return shunt_services_make(set, element, elements, err);
	ret = shunt_blob_make(&blob, element, elements, err);
	if (ret)
		return shunt_fail_in(err, ret, "set %s: ", set->name);
	ret = upload(set, &blob, err);
	free(blob.line);
	return ret;
}

/* --- placing ----------------------------------------------------------------- */

/* Inner maps into an outer map, at once: the kernel waits for programs once a batch. */
static int place(const struct shunt_maps *maps, int kind, const uint32_t *id,
		 const int *fd, uint32_t n, struct shunt_err *err)
{
	uint32_t count = n;
	int ret = bpf_map_update_batch(outer(maps, kind), id, fd, &count, NULL);

	return ret ? shunt_fail_errno(err, ret, "put sets into place") : 0;
}

/* Nothing is in a map of one line of zeros, nor in an empty table. */
static int make_empty(int kind, struct shunt_err *err)
{
	int fd = kind == SHUNT_SETS_BLOB
			 ? make_lines(1)
			 : bpf_map_create(BPF_MAP_TYPE_HASH, "shunt_svc_in",
					  sizeof(struct shunt_service),
					  sizeof(uint32_t), 1, NULL);

	return fd < 0 ? shunt_fail_errno(err, fd, "make an empty map") : fd;
}

/* Waits for programs by putting a map where no set is. */
static int place_spare(const struct shunt_maps *maps, struct shunt_err *err)
{
	uint32_t id = SHUNT_SET_SPARE;

	_fd_ int fd = make_empty(SHUNT_SETS_BLOB, err);
	return fd < 0 ? fd : place(maps, SHUNT_SETS_BLOB, &id, &fd, 1, err);
}

int shunt_sets_place(const struct shunt_maps *maps, const struct shunt_set_new *set,
		     size_t n, struct shunt_err *err)
{
	int kind, ret = n ? 0 : place_spare(maps, err);
	size_t s;

	/* noted before it is so: a kill in between leaves too much noted, not too little */
	for (s = 0; s < n; s++) {
		kind = shunt_set_kind(set[s].ref.type);
		maps->gen->set_members[kind] |= 1ull << set[s].ref.id;
		maps->gen->set_maps[kind] |= 1ull << set[s].ref.id;
	}
	for (kind = 0; !ret && kind < SHUNT_SETS_KINDS; kind++) {
		uint32_t id[SHUNT_SET_MAX], count = 0;
		int fd[SHUNT_SET_MAX];

		for (s = 0; s < n; s++) {
			if ((int)shunt_set_kind(set[s].ref.type) != kind)
				continue;
			id[count] = set[s].ref.id;
			fd[count++] = set[s].fd;
		}
		if (count)
			ret = place(maps, kind, id, fd, count, err);
	}
	return ret;
}

/* An empty map under all of these ids, of one kind. */
static int place_empty(const struct shunt_maps *maps, int kind, uint64_t ids,
		       struct shunt_err *err)
{
	uint32_t id[SHUNT_SET_IDS], i, n = 0;
	int fds[SHUNT_SET_IDS];

	_fd_ int fd = make_empty(kind, err);
	if (fd < 0)
		return fd;
	for (i = 0; i < SHUNT_SET_IDS; i++) {
		if (!(ids >> i & 1))
			continue;
		fds[n] = fd;
		id[n++] = i;
	}
	return place(maps, kind, id, fds, n, err);
}

int shunt_sets_drop(const struct shunt_maps *maps, const bool used[SHUNT_SET_IDS],
		    struct shunt_err *err)
{
	uint64_t keep = 0;
	int kind, i, ret = 0;

	for (i = 0; i < SHUNT_SET_IDS; i++)
		keep |= (uint64_t)used[i] << i;
	for (kind = 0; !ret && kind < SHUNT_SETS_KINDS; kind++) {
		uint64_t ids = maps->gen->set_members[kind] & ~keep;

		if (!ids)
			continue;
		ret = place_empty(maps, kind, ids, err);
		if (!ret)
			maps->gen->set_members[kind] &= ~ids;
	}
	return ret;
}

void shunt_sets_each_map(const struct shunt_maps *maps,
			 void (*each)(void *self, uint32_t map_id), void *self)
{
	uint32_t id, map_id;
	int kind;

	for (kind = 0; kind < SHUNT_SETS_KINDS; kind++)
		for (id = 0; id <= SHUNT_SET_SPARE; id++)
			if ((id == SHUNT_SET_SPARE ||
			     maps->gen->set_maps[kind] >> id & 1) &&
			    !bpf_map_lookup_elem(outer(maps, kind), &id, &map_id))
				each(self, map_id);
}

int shunt_set_open(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		   struct shunt_err *err)
{
	uint32_t id = set->id, map_id;
	int ret = bpf_map_lookup_elem(outer(maps, shunt_set_kind(set->type)), &id,
				      &map_id);

	if (!ret)
		ret = bpf_map_get_fd_by_id(map_id);
	return ret < 0 ? shunt_fail_errno(err, ret, "open the members of set %s",
					  set->name)
		       : ret;
}
