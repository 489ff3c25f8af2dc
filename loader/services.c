/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "user/base/cleanup.h"
#include "user/base/progress.h"

#define FILL_BATCH 65536 /* members between two words of progress */

static struct shunt_service key_of(const struct shunt_prefix *p)
{
	struct shunt_service key = {
		.port = p->port,
		.proto = p->proto,
		.family = p->family,
	};

	memcpy(key.addr, p->addr, sizeof(key.addr));
	return key;
}

static struct shunt_prefix prefix_of(const struct shunt_service *key)
{
	struct shunt_prefix p = {
		.family = key->family,
		.bits = key->family == 4 ? 32 : 128,
		.port = key->port,
		.proto = key->proto,
	};

	memcpy(p.addr, key->addr, sizeof(p.addr));
	return p;
}

static int write_failed(const struct shunt_set_ref *set, int ret, size_t at, size_t of,
			struct shunt_err *err)
{
	const size_t over[2] = { (size_t)set->size + 1, 0 };

	if (ret == -E2BIG || ret == -ENOSPC)
		return shunt_set_fits(set, over, err);
	return shunt_fail_errno(err, ret, "fill set %s, member %zu of %zu", set->name,
				at, of);
}

/*
 * Writes n keys by batch. A batch may stop half-way, on 6.18 with ENOMEM though memory
 * is free: go on behind what it did, and put the element that stopped it in alone. A
 * batch that failed before its first element leaves the count as it was.
 */
static int fill(int fd, const struct shunt_service *key, size_t n,
		const struct shunt_set_ref *set, struct shunt_err *err)
{
	_free_ uint32_t *ones = malloc(FILL_BATCH * sizeof(*ones));
	char what[SHUNT_NAME_MAX + 16];
	size_t done = 0;

	if (!ones)
		return shunt_fail(err, -ENOMEM, "fill set %s: out of memory",
				  set->name);
	for (done = 0; done < FILL_BATCH; done++)
		ones[done] = 1;
	snprintf(what, sizeof(what), "set %s", set->name);
	for (done = 0; done < n; shunt_progress(what, done, n)) {
		uint32_t batch = n - done < FILL_BATCH ? n - done : FILL_BATCH;
		uint32_t count = batch;
		int ret = bpf_map_update_batch(fd, key + done, ones, &count, NULL);

		if (!ret || count < batch)
			done += count;
		if (!ret)
			continue;
		ret = bpf_map_update_elem(fd, key + done, ones, BPF_ANY);
		if (ret)
			return write_failed(set, ret, done + 1, n, err);
		done++;
	}
	return 0;
}

int shunt_services_make(const struct shunt_set_ref *set,
			const struct shunt_prefix *element, size_t elements,
			struct shunt_err *err)
{
	_free_ struct shunt_service *key = malloc((elements + 1) * sizeof(*key));
	size_t i;
	int ret;

	_fd_ int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "shunt_svc_in", sizeof(*key),
				     sizeof(uint32_t), set->size, NULL);
	if (fd < 0 || !key)
		return shunt_fail_errno(err, fd < 0 ? fd : -ENOMEM,
					"make set %s of %u services", set->name,
					set->size);
	for (i = 0; i < elements; i++)
		key[i] = key_of(&element[i]);
	ret = fill(fd, key, elements, set, err);
	return ret ? ret : shunt_steal_fd(&fd);
}

bool shunt_services_hold(int fd, const struct shunt_prefix *element)
{
	struct shunt_service key = key_of(element);
	uint32_t one;

	return !bpf_map_lookup_elem(fd, &key, &one);
}

static int edit_one(int fd, bool add, const struct shunt_prefix *element)
{
	struct shunt_service key = key_of(element);
	uint32_t one = 1;

	return add ? bpf_map_update_elem(fd, &key, &one, BPF_ANY)
		   : bpf_map_delete_elem(fd, &key);
}

int shunt_services_edit(int fd, const struct shunt_set_ref *set, bool add,
			const struct shunt_prefix *element, size_t elements,
			struct shunt_err *err)
{
	size_t i, back;

	for (i = 0; i < elements; i++) {
		int ret = edit_one(fd, add, &element[i]), ignored = 0;

		if (!ret)
			continue;
		for (back = i; back--;) /* the first failure is the answer */
			ignored |= edit_one(fd, !add, &element[back]);
		(void)ignored;
		return write_failed(set, ret, i + 1, elements, err);
	}
	return 0;
}

int shunt_services_list(int fd, const struct shunt_set_ref *set,
			struct shunt_prefix **element, size_t *elements,
			struct shunt_err *err)
{
	_free_ struct shunt_prefix *list = NULL;
	struct shunt_service key, *at = NULL;
	size_t n = 0, room = 0;

	while (!bpf_map_get_next_key(fd, at, &key)) {
		if (n == room) {
			struct shunt_prefix *more;

			room = room ? 2 * room : 64;
			more = realloc(list, room * sizeof(*list));
			if (!more)
				return shunt_fail(err, -ENOMEM,
						  "list set %s: out of memory",
						  set->name);
			list = more;
		}
		list[n++] = prefix_of(&key);
		at = &key;
	}
	*element = list ? shunt_steal(&list) : calloc(1, sizeof(**element));
	*elements = n;
	return *element ? 0
			: shunt_fail(err, -ENOMEM, "list set %s: out of memory",
				     set->name);
}
