/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/sets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "user/base/cleanup.h"
#include "user/base/progress.h"

/* The four kinds of inner map, by [type][family is 6]. */
static const struct kind {
	enum shunt_map outer;
	enum bpf_map_type type;
	uint32_t key_bytes;
	uint32_t flags;
	const char *name;
} kinds[2][2] = {
	[SHUNT_SET_ADDRESS] =
		{
			{SHUNT_MAP_ADDR4, BPF_MAP_TYPE_HASH, 4, 0, "shunt_addr4_in"},
			{SHUNT_MAP_ADDR6, BPF_MAP_TYPE_HASH, 16, 0, "shunt_addr6_in"},
		},
	[SHUNT_SET_PREFIX] =
		{
			{SHUNT_MAP_LPM4, BPF_MAP_TYPE_LPM_TRIE, 8, BPF_F_NO_PREALLOC,
			 "shunt_lpm4_in"},
			{SHUNT_MAP_LPM6, BPF_MAP_TYPE_LPM_TRIE, 20, BPF_F_NO_PREALLOC,
			 "shunt_lpm6_in"},
		},
};

#define KEY_MAX sizeof(struct shunt_lpm6)

static const struct kind *kind_of(enum shunt_set_type type, int family)
{
	return &kinds[type][family == 6];
}

static void key_put(void *key, enum shunt_set_type type, const struct shunt_prefix *p)
{
	uint32_t bits = p->bits;
	size_t bytes = p->family == 4 ? 4 : 16;

	if (type == SHUNT_SET_PREFIX) {
		memcpy(key, &bits, sizeof(bits));
		key = (uint8_t *)key + sizeof(bits);
	}
	memcpy(key, p->addr, bytes);
}

static void key_get(const void *key, enum shunt_set_type type, int family,
		    struct shunt_prefix *p)
{
	uint32_t bits = family == 4 ? 32 : 128;

	memset(p, 0, sizeof(*p));
	if (type == SHUNT_SET_PREFIX) {
		memcpy(&bits, key, sizeof(bits));
		key = (const uint8_t *)key + sizeof(bits);
	}
	p->family = family;
	p->bits = bits;
	memcpy(p->addr, key, family == 4 ? 4 : 16);
}

static int full(const struct shunt_set_ref *set, int family, struct shunt_err *err)
{
	return shunt_fail(err, -E2BIG,
			  "set %s is full: it holds %u IPv%d members; give it a larger "
			  "\"size\" in the policy and `shunt apply` that",
			  set->name, set->size, family);
}

#define FILL_BATCH 65536 /* members between two words of progress */

/*
 * Writes n keys by batch. A batch may stop half-way, on 6.18 with ENOMEM though memory
 * is free: go on behind what it did, and put the element that stopped it in alone. A
 * batch that failed before its first element leaves the count as it was.
 */
static int fill(int fd, const struct kind *kind, const uint8_t *keys,
		const uint32_t *bits, size_t n, const struct shunt_set_ref *set,
		int family, struct shunt_err *err)
{
	char what[SHUNT_NAME_MAX + 16];
	size_t done = 0;

	snprintf(what, sizeof(what), "set %s, IPv%d", set->name, family);
	while (done < n) {
		uint32_t batch = n - done < FILL_BATCH ? n - done : FILL_BATCH;
		uint32_t count = batch;
		int ret = bpf_map_update_batch(fd, keys + done * kind->key_bytes,
					       bits + done, &count, NULL);

		if (!ret || count < batch)
			done += count;
		shunt_progress(what, done, n);
		if (!ret)
			continue;
		ret = bpf_map_update_elem(fd, keys + done * kind->key_bytes,
					  bits + done, BPF_ANY);
		if (ret == -E2BIG || ret == -ENOSPC)
			return full(set, family, err);
		if (ret)
			return shunt_fail_errno(err, ret,
						"fill set %s, member %zu of %zu",
						set->name, done + 1, n);
		done++;
	}
	return 0;
}

/* --- whole sets -------------------------------------------------------------- */

static int make_map(const struct kind *kind, uint32_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = kind->flags);

	return bpf_map_create(kind->type, kind->name, kind->key_bytes, sizeof(uint32_t),
			      size, &opts);
}

static int make_one(const struct shunt_set_ref *set, int family,
		    const struct shunt_prefix *element, size_t elements,
		    struct shunt_err *err)
{
	const struct kind *kind = kind_of(set->type, family);
	_free_ uint8_t *keys = malloc(elements * kind->key_bytes + 1);
	_free_ uint32_t *bits = malloc((elements + 1) * sizeof(*bits));
	size_t i, n = 0;
	int ret;

	_fd_ int fd = make_map(kind, set->size);
	if (fd < 0 || !keys || !bits)
		return shunt_fail_errno(err, fd < 0 ? fd : -ENOMEM,
					"make set %s of %u IPv%d members", set->name,
					set->size, family);
	for (i = 0; i < elements; i++) {
		if (element[i].family != family)
			continue;
		bits[n] = element[i].bits;
		key_put(keys + n++ * kind->key_bytes, set->type, &element[i]);
	}
	ret = fill(fd, kind, keys, bits, n, set, family, err);
	return ret ? ret : shunt_steal_fd(&fd);
}

int shunt_set_make(const struct shunt_set_ref *set, const struct shunt_prefix *element,
		   size_t elements, int fd[2], struct shunt_err *err)
{
	fd[1] = -1;
	fd[0] = make_one(set, 4, element, elements, err);
	if (fd[0] < 0)
		return fd[0];
	fd[1] = make_one(set, 6, element, elements, err);
	if (fd[1] >= 0)
		return 0;
	close(fd[0]);
	fd[0] = -1;
	return fd[1];
}

/* Inner maps into one outer map, at once: the kernel waits for programs once a batch. */
static int place(const struct shunt_maps *maps, const struct kind *kind,
		 const uint32_t *id, const int *fd, uint32_t n, struct shunt_err *err)
{
	uint32_t count = n;
	int ret = bpf_map_update_batch(maps->fd[kind->outer], id, fd, &count, NULL);

	return ret ? shunt_fail_errno(err, ret, "put sets into place") : 0;
}

/* Waits for programs by putting a map where no set is. */
static int place_spare(const struct shunt_maps *maps, struct shunt_err *err)
{
	const struct kind *kind = kind_of(SHUNT_SET_ADDRESS, 4);
	uint32_t id = SHUNT_SET_SPARE;

	_fd_ int fd = make_map(kind, 1);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "make a map to wait with");
	return place(maps, kind, &id, &fd, 1, err);
}

int shunt_sets_place(const struct shunt_maps *maps, const struct shunt_set_new *set,
		     size_t n, struct shunt_err *err)
{
	int type, six, ret = n ? 0 : place_spare(maps, err);
	size_t s;

	/* noted before it is so: a kill in between leaves too much noted, not too little */
	for (s = 0; s < n; s++) {
		maps->gen->set_members[set[s].ref.type] |= 1ull << set[s].ref.id;
		maps->gen->set_maps[set[s].ref.type] |= 1ull << set[s].ref.id;
	}
	for (type = 0; type < 2; type++) {
		for (six = 0; !ret && six < 2; six++) {
			uint32_t id[SHUNT_SET_MAX], count = 0;
			int fd[SHUNT_SET_MAX];

			for (s = 0; s < n; s++) {
				if ((int)set[s].ref.type != type)
					continue;
				id[count] = set[s].ref.id;
				fd[count++] = set[s].fd[six];
			}
			if (count)
				ret = place(maps, &kinds[type][six], id, fd, count,
					    err);
		}
	}
	return ret;
}

/* An empty map under all of these ids, of one kind. */
static int place_empty(const struct shunt_maps *maps, const struct kind *kind,
		       uint64_t ids, struct shunt_err *err)
{
	uint32_t id[SHUNT_SET_IDS], i, n = 0;
	int fds[SHUNT_SET_IDS];

	_fd_ int fd = make_map(kind, 1);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "make an empty map");
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
	int type, i, ret = 0;

	for (i = 0; i < SHUNT_SET_IDS; i++)
		keep |= (uint64_t)used[i] << i;
	for (type = 0; !ret && type < 2; type++) {
		uint64_t ids = maps->gen->set_members[type] & ~keep;

		if (!ids)
			continue;
		ret = place_empty(maps, &kinds[type][0], ids, err);
		if (!ret)
			ret = place_empty(maps, &kinds[type][1], ids, err);
		if (!ret)
			maps->gen->set_members[type] &= ~ids;
	}
	return ret;
}

void shunt_sets_each_map(const struct shunt_maps *maps,
			 void (*each)(void *self, uint32_t map_id), void *self)
{
	uint32_t id, map_id;
	int type, six;

	for (type = 0; type < 2; type++) {
		for (six = 0; six < 2; six++) {
			int outer = maps->fd[kinds[type][six].outer];

			for (id = 0; id <= SHUNT_SET_SPARE; id++)
				if ((id == SHUNT_SET_SPARE ||
				     maps->gen->set_maps[type] >> id & 1) &&
				    !bpf_map_lookup_elem(outer, &id, &map_id))
					each(self, map_id);
		}
	}
}

/* --- members ----------------------------------------------------------------- */

/* The inner map of one family, as a descriptor that the caller owns. */
static int inner(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		 int family, struct shunt_err *err)
{
	uint32_t id = set->id, map_id;
	int ret = bpf_map_lookup_elem(maps->fd[kind_of(set->type, family)->outer], &id,
				      &map_id);

	if (!ret)
		ret = bpf_map_get_fd_by_id(map_id);
	if (ret < 0)
		return shunt_fail_errno(err, ret, "open the IPv%d members of set %s",
					family, set->name);
	return ret;
}

/*
 * What the map has for this key. A trie answers with the longest prefix that is not
 * longer than the key's; the values are prefix lengths, so that the answer tells which.
 */
static bool look(int fd, const void *key, uint32_t *bits)
{
	return !bpf_map_lookup_elem(fd, key, bits);
}

int shunt_set_add(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		  const struct shunt_prefix *element, bool *was, struct shunt_err *err)
{
	uint32_t bits = element->bits, found;
	uint8_t key[KEY_MAX];
	int ret;

	_fd_ int fd = inner(maps, set, element->family, err);
	if (fd < 0)
		return fd;
	key_put(key, set->type, element);
	*was = look(fd, key, &found) && found == bits;
	ret = *was ? 0 : bpf_map_update_elem(fd, key, &bits, BPF_ANY);
	if (ret == -E2BIG || ret == -ENOSPC)
		return full(set, element->family, err);
	return ret ? shunt_fail_errno(err, ret, "add to set %s", set->name) : 0;
}

int shunt_set_del(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		  const struct shunt_prefix *element, bool *was, struct shunt_err *err)
{
	uint8_t key[KEY_MAX];
	int ret;

	_fd_ int fd = inner(maps, set, element->family, err);
	if (fd < 0)
		return fd;
	key_put(key, set->type, element);
	ret = bpf_map_delete_elem(fd, key);
	*was = !ret;
	if (ret && ret != -ENOENT)
		return shunt_fail_errno(err, ret, "delete from set %s", set->name);
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct shunt_prefix *x = a, *y = b;
	int ret = (x->family > y->family) - (x->family < y->family);

	if (!ret)
		ret = memcmp(x->addr, y->addr, sizeof(x->addr));
	return ret ? ret : (x->bits > y->bits) - (x->bits < y->bits);
}

static int list_one(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		    int family, struct shunt_prefix **element, size_t *n, size_t *room,
		    struct shunt_err *err)
{
	uint8_t key[KEY_MAX], *at = NULL;

	_fd_ int fd = inner(maps, set, family, err);
	if (fd < 0)
		return fd;
	while (!bpf_map_get_next_key(fd, at, key)) {
		if (*n == *room) {
			struct shunt_prefix *more;

			*room = *room ? 2 * *room : 64;
			more = realloc(*element, *room * sizeof(**element));
			if (!more)
				return shunt_fail(err, -ENOMEM,
						  "list set %s: out of memory",
						  set->name);
			*element = more;
		}
		key_get(key, set->type, family, &(*element)[(*n)++]);
		at = key;
	}
	return 0;
}

int shunt_set_list(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		   struct shunt_prefix **element, size_t *elements,
		   struct shunt_err *err)
{
	_free_ struct shunt_prefix *list = NULL;
	size_t n = 0, room = 0;
	int ret = list_one(maps, set, 4, &list, &n, &room, err);

	if (!ret)
		ret = list_one(maps, set, 6, &list, &n, &room, err);
	if (ret)
		return ret;
	if (n)
		qsort(list, n, sizeof(*list), by_address);
	*element = shunt_steal(&list);
	*elements = n;
	return 0;
}

static void mask(struct shunt_prefix *p, unsigned int bits)
{
	size_t i;

	p->bits = bits;
	for (i = 0; i < sizeof(p->addr); i++) {
		unsigned int keep = bits > 8 * i ? bits - 8 * i : 0;

		if (keep < 8)
			p->addr[i] &= (uint8_t)(0xff00 >> keep);
	}
}

int shunt_set_test(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		   const struct shunt_prefix *address, bool *in,
		   struct shunt_prefix *match, struct shunt_err *err)
{
	uint8_t key[KEY_MAX];
	uint32_t bits;

	_fd_ int fd = inner(maps, set, address->family, err);
	if (fd < 0)
		return fd;
	key_put(key, set->type, address);
	*in = look(fd, key, &bits);
	*match = *address;
	if (*in)
		mask(match, bits);
	return 0;
}
