/* SPDX-License-Identifier: BSD-2-Clause */
/* The members of one set: in place where they are few, else by a new inner map. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "loader/policy/prefix.h"
#include "loader/services.h"
#include "loader/setblob.h"
#include "loader/sets.h"
#include "user/base/cleanup.h"

#define IN_PLACE_MAX 64 /* services; for more, a new inner map is quicker */

/* --- a set's lines, mapped ----------------------------------------------------- */

static void unmap(struct shunt_blob *blob)
{
	if (blob->line)
		munmap(blob->line, (size_t)blob->lines * SHUNT_BLOB_LINE);
}

#define _blob_ __attribute__((cleanup(unmap)))

static int map_blob(int fd, const struct shunt_set_ref *set, bool write,
		    struct shunt_blob *blob, struct shunt_err *err)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	void *at;
	int ret = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (ret)
		return shunt_fail_errno(err, ret, "look at set %s", set->name);
	at = mmap(NULL, (size_t)info.max_entries * SHUNT_BLOB_LINE,
		  PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "read set %s", set->name);
	blob->line = at;
	blob->lines = info.max_entries;
	if (shunt_blob_sound(blob))
		return 0;
	return shunt_fail(err, -EUCLEAN,
			  "set %s: what the kernel holds of it is damaged; "
			  "`shunt set replace` writes it anew",
			  set->name);
}

/* --- all members ----------------------------------------------------------------- */

static int list(int fd, const struct shunt_set_ref *set, struct shunt_prefix **element,
		size_t *elements, struct shunt_err *err)
{
	_blob_ struct shunt_blob blob = { NULL, 0 };
	int ret;

	if (set->type == SHUNT_SET_SERVICE) {
		ret = shunt_services_list(fd, set, element, elements, err);
		if (!ret)
			*elements = shunt_prefix_unique(*element, *elements);
		return ret;
	}
	ret = map_blob(fd, set, false, &blob, err);
	if (ret)
		return ret;
	ret = shunt_blob_list(&blob, element, elements);
	return ret ? shunt_fail(err, ret, "list set %s: out of memory", set->name) : 0;
}

int shunt_set_list(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		   struct shunt_prefix **element, size_t *elements,
		   struct shunt_err *err)
{
	_fd_ int fd = shunt_set_open(maps, set, err);

	return fd < 0 ? fd : list(fd, set, element, elements, err);
}

int shunt_set_count(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		    size_t *members, struct shunt_err *err)
{
	_blob_ struct shunt_blob blob = { NULL, 0 };
	_free_ struct shunt_prefix *all = NULL;
	_fd_ int fd = shunt_set_open(maps, set, err);
	size_t count[2];
	int ret;

	if (fd < 0)
		return fd;
	if (set->type == SHUNT_SET_SERVICE)
		return shunt_services_list(fd, set, &all, members, err);
	ret = map_blob(fd, set, false, &blob, err);
	if (ret)
		return ret;
	ret = shunt_blob_count(&blob, count);
	if (ret)
		return shunt_fail(err, ret, "count set %s: out of memory", set->name);
	*members = count[0] + count[1];
	return 0;
}

int shunt_set_test(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		   const struct shunt_prefix *address, bool *in,
		   struct shunt_prefix *match, struct shunt_err *err)
{
	_blob_ struct shunt_blob blob = { NULL, 0 };
	_fd_ int fd = shunt_set_open(maps, set, err);
	int ret;

	if (fd < 0)
		return fd;
	*match = *address;
	if (set->type == SHUNT_SET_SERVICE) {
		*in = shunt_services_hold(fd, address);
		return 0;
	}
	ret = map_blob(fd, set, false, &blob, err);
	if (!ret)
		*in = shunt_blob_match(&blob, address, match);
	return ret;
}

/* --- changing ---------------------------------------------------------------------- */

static int put(const struct shunt_maps *maps, const struct shunt_set_ref *set,
	       const struct shunt_prefix *element, size_t elements,
	       struct shunt_err *err)
{
	struct shunt_set_new made = { *set, -1 };
	int ret;

	made.fd = shunt_set_make(set, element, elements, err);
	if (made.fd < 0)
		return made.fd;
	ret = shunt_sets_place(maps, &made, 1, err);
	close(made.fd);
	return ret;
}

/* The union of two sorted lists, or the first without the second; how many changed. */
static size_t merge(const struct shunt_prefix *a, size_t n, bool add,
		    const struct shunt_prefix *b, size_t m, struct shunt_prefix *out,
		    size_t *outs)
{
	size_t i = 0, j = 0, same = 0;

	*outs = 0;
	while (i < n || j < m) {
		int which = i == n   ? 1
			    : j == m ? -1
				     : shunt_prefix_compare(&a[i], &b[j]);
		const struct shunt_prefix *p = which <= 0 ? &a[i] : &b[j];

		same += which == 0;
		i += which <= 0;
		j += which >= 0;
		if (add || which < 0)
			out[(*outs)++] = *p;
	}
	return add ? m - same : same;
}

/* By a new inner map of all members. */
static int change_all(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		      int fd, bool add, const struct shunt_prefix *element,
		      size_t elements, size_t *changed, struct shunt_err *err)
{
	_free_ struct shunt_prefix *now = NULL, *next = NULL;
	size_t n, nexts;
	int ret = list(fd, set, &now, &n, err);

	if (ret)
		return ret;
	next = malloc((n + elements + 1) * sizeof(*next));
	if (!next)
		return shunt_fail(err, -ENOMEM, "change set %s: out of memory",
				  set->name);
	*changed = merge(now, n, add, element, elements, next, &nexts);
	return *changed ? put(maps, set, next, nexts, err) : 0;
}

/* One element in place. 1: it cannot be done so, and nothing is done yet. */
static int change_blob(const struct shunt_set_ref *set, int fd, bool add,
		       const struct shunt_prefix *element, size_t *changed,
		       struct shunt_err *err)
{
	_blob_ struct shunt_blob blob = { NULL, 0 };
	size_t count[2];
	int ret = map_blob(fd, set, true, &blob, err);

	if (ret)
		return ret;
	if (shunt_blob_finish(&blob) || shunt_blob_count(&blob, count))
		return 1;
	if (shunt_blob_holds(&blob, element) == add)
		return 0;
	count[element->family == 6] += add;
	ret = add ? shunt_set_fits(set, count, err) : 0;
	if (ret)
		return ret;
	*changed = 1;
	return shunt_blob_edit(&blob, add, element) ? 1 : 0;
}

/* Those that are there already, or are not there, need no change. */
static int change_services(const struct shunt_set_ref *set, int fd, bool add,
			   struct shunt_prefix *element, size_t elements,
			   size_t *changed, struct shunt_err *err)
{
	size_t i;

	for (i = 0; i < elements; i++)
		if (shunt_services_hold(fd, &element[i]) != add)
			element[(*changed)++] = element[i];
	return shunt_services_edit(fd, set, add, element, *changed, err);
}

int shunt_set_change(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		     bool add, const struct shunt_prefix *element, size_t elements,
		     size_t *changed, struct shunt_err *err)
{
	_free_ struct shunt_prefix *own = malloc((elements + 1) * sizeof(*own));
	_fd_ int fd = shunt_set_open(maps, set, err);
	size_t n;
	int ret = 1;

	*changed = 0;
	if (fd < 0)
		return fd;
	if (!own)
		return shunt_fail(err, -ENOMEM, "change set %s: out of memory",
				  set->name);
	memcpy(own, element, elements * sizeof(*own));
	n = shunt_prefix_unique(own, elements);
	if (set->type == SHUNT_SET_SERVICE && n <= IN_PLACE_MAX)
		return change_services(set, fd, add, own, n, changed, err);
	if (set->type != SHUNT_SET_SERVICE && n == 1)
		ret = change_blob(set, fd, add, own, changed, err);
	return ret <= 0 ? ret : change_all(maps, set, fd, add, own, n, changed, err);
}

int shunt_set_finish(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		     struct shunt_err *err)
{
	_blob_ struct shunt_blob blob = { NULL, 0 };
	_free_ struct shunt_prefix *all = NULL;
	_fd_ int fd =
		set->type == SHUNT_SET_SERVICE ? -1 : shunt_set_open(maps, set, NULL);
	size_t n;
	int ret;

	/* what is missing or damaged is told by the commands that look at it */
	if (fd < 0 || map_blob(fd, set, true, &blob, NULL) || !shunt_blob_finish(&blob))
		return 0;
	ret = list(fd, set, &all, &n, err);
	return ret ? ret : put(maps, set, all, n, err);
}

int shunt_set_replace(const struct shunt_maps *maps, const struct shunt_set_ref *set,
		      const struct shunt_prefix *element, size_t elements,
		      size_t *added, size_t *deleted, struct shunt_err *err)
{
	_free_ struct shunt_prefix *now = NULL, *sum = NULL;
	_fd_ int fd = shunt_set_open(maps, set, err);
	size_t n = 0, sums;

	if (fd < 0)
		return fd;
	/* a damaged set may be replaced: it counts as empty */
	if (list(fd, set, &now, &n, NULL) == -ENOMEM ||
	    !(sum = malloc((n + elements + 1) * sizeof(*sum))))
		return shunt_fail(err, -ENOMEM, "replace set %s: out of memory",
				  set->name);
	*added = merge(now, n, true, element, elements, sum, &sums);
	*deleted = n + *added - elements;
	return put(maps, set, element, elements, err);
}
