/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets in the kernel's maps: what programs find in them, and failures by index. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/policy/prefix.h"
#include "loader/sets.h"
#include "sets_ask.skel.h"
#include "tests/model/random.h"
#include "user/base/cleanup.h"

#define ID 5
#define MOST 600

static struct sets_ask_bpf *ask;
static struct shunt_gen gen;
static struct shunt_maps maps = SHUNT_MAPS_NONE;

/* --- failures: the linker puts these in front of the real ones (Makefile) ------------ */

static struct {
	bool on;
	long left;   /* calls until one fails */
	bool fired;  /* it has */
	bool halves; /* batches stop half-way, with ENOMEM */
} fault;

static bool fails(void)
{
	if (!fault.on || fault.left-- != 0)
		return false;
	fault.fired = true;
	return true;
}

#define WRAP(ret, name, args, failed, call)                                            \
	ret __real_##name args;                                                        \
	ret __wrap_##name args;                                                        \
	ret __wrap_##name args                                                         \
	{                                                                              \
		return fails() ? (failed) : __real_##name call;                        \
	}

WRAP(void *, malloc, (size_t n), NULL, (n))
WRAP(void *, calloc, (size_t n, size_t each), NULL, (n, each))
WRAP(void *, realloc, (void *p, size_t n), NULL, (p, n))
WRAP(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t off),
     (errno = ENOMEM, (void *)-1), (at, n, prot, flags, fd, off))
WRAP(int, bpf_map_create,
     (enum bpf_map_type type, const char *name, __u32 key, __u32 value, __u32 most,
      const struct bpf_map_create_opts *opts),
     -ENOMEM, (type, name, key, value, most, opts))
WRAP(int, bpf_map_update_elem,
     (int fd, const void *key, const void *value, __u64 flags), -ENOMEM,
     (fd, key, value, flags))
WRAP(int, bpf_map_delete_elem, (int fd, const void *key), -ENOMEM, (fd, key))

int __real_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count, const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count, const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count, const struct bpf_map_batch_opts *opts)
{
	int ret;

	if (fails())
		return -ENOMEM;
	if (!fault.halves || *count < 2)
		return __real_bpf_map_update_batch(fd, keys, values, count, opts);
	*count /= 2;
	ret = __real_bpf_map_update_batch(fd, keys, values, count, opts);
	return ret ? ret : -ENOMEM;
}

/* --- a set and its model -------------------------------------------------------------- */

struct list {
	struct shunt_prefix at[MOST];
	size_t n;
};

static struct shunt_set_ref ref_of(enum shunt_set_type type)
{
	return (struct shunt_set_ref){ "tried", ID, type, MOST };
}

static struct shunt_prefix draw(struct shunt_random *r, enum shunt_set_type type)
{
	struct shunt_prefix p = { .family = shunt_random_one_in(r, 2) ? 4 : 6 };
	unsigned int max = p.family == 4 ? 32 : 128, i;

	p.bits = max;
	for (i = 0; i < max / 8; i++) /* few values: many neighbours, many nested */
		p.addr[i] = shunt_random_below(r, 3) * 0x7f;
	if (type == SHUNT_SET_PREFIX)
		p.bits = shunt_random_below(r, max + 1);
	for (i = p.bits; i < max; i++)
		p.addr[i / 8] &= ~(0x80 >> i % 8);
	if (type == SHUNT_SET_SERVICE) {
		p.proto = shunt_random_one_in(r, 2) ? 6 : 17;
		p.port = shunt_random_one_in(r, 2) ? 443 : shunt_random_below(r, 65536);
	}
	return p;
}

static void draw_list(struct shunt_random *r, enum shunt_set_type type, size_t n,
		      struct list *list)
{
	for (list->n = 0; list->n < n; list->n++)
		list->at[list->n] = draw(r, type);
	list->n = shunt_prefix_unique(list->at, list->n);
}

static bool contains(const struct shunt_prefix *p, const struct shunt_prefix *asked)
{
	unsigned int i;

	if (p->family != asked->family || p->proto != asked->proto ||
	    p->port != asked->port)
		return false;
	for (i = 0; i < p->bits; i++)
		if ((p->addr[i / 8] ^ asked->addr[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static int asked(enum shunt_set_type type, const struct shunt_prefix *p,
		 uint32_t service)
{
	uint8_t frame[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame));

	ask->bss->ask_id = ID;
	ask->bss->ask_type = type;
	ask->bss->ask_l3 = p->family;
	ask->bss->ask_service = service;
	memcpy(&ask->bss->ask_addr, p->addr, 16);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(ask->progs.ask), &opts),
			 0);
	return opts.retval;
}

static void check(enum shunt_set_type type, const struct list *want,
		  struct shunt_random *r)
{
	struct shunt_set_ref ref = ref_of(type);
	_free_ struct shunt_prefix *got = NULL;
	size_t n, i, e, members;

	assert_int_equal(shunt_set_list(&maps, &ref, &got, &n, NULL), 0);
	assert_int_equal(n, want->n);
	assert_int_equal(shunt_set_count(&maps, &ref, &members, NULL), 0);
	assert_int_equal(members, n);
	for (i = 0; i < n; i++)
		assert_int_equal(shunt_prefix_compare(&got[i], &want->at[i]), 0);
	for (i = 0; i < 60; i++) {
		struct shunt_prefix p =
			i % 2 && n ? got[shunt_random_below(r, n)] : draw(r, type);
		struct shunt_prefix match;
		bool in = false, want_in = false;
		uint32_t service = type == SHUNT_SET_SERVICE
					   ? SHUNT_SERVICE(p.proto, p.port)
					   : SHUNT_SERVICE_NONE;

		p.bits = p.family == 4 ? 32 : 128;
		for (e = 0; e < want->n; e++)
			want_in |= contains(&want->at[e], &p);
		assert_int_equal(asked(type, &p, service), want_in);
		assert_int_equal(shunt_set_test(&maps, &ref, &p, &in, &match, NULL), 0);
		assert_int_equal(in, want_in);
		if (type == SHUNT_SET_SERVICE)
			assert_int_equal(asked(type, &p, SHUNT_SERVICE_NONE), 0);
	}
}

static void put(enum shunt_set_type type, const struct list *list)
{
	struct shunt_set_new made = { ref_of(type), -1 };

	made.fd = shunt_set_make(&made.ref, list->at, list->n, NULL);
	assert_true(made.fd >= 0);
	assert_int_equal(shunt_sets_place(&maps, &made, 1, NULL), 0);
	close(made.fd);
}

static void change_model(struct list *list, bool add, const struct list *edit)
{
	size_t i, e;

	for (e = 0; e < edit->n; e++) {
		for (i = 0; i < list->n; i++)
			if (!shunt_prefix_compare(&list->at[i], &edit->at[e]))
				break;
		if (add && i == list->n)
			list->at[list->n++] = edit->at[e];
		else if (!add && i < list->n)
			list->at[i] = list->at[--list->n];
	}
	list->n = shunt_prefix_unique(list->at, list->n);
}

/* --- tests -------------------------------------------------------------------------------
 */

static void programs_find_what_is_in_a_set(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x6d617073) };
	struct list list, edit;
	int type, round, step;

	(void)ctx;
	for (round = 0; round < 12; round++) {
		type = round % 3;
		draw_list(&r, type, shunt_random_below(&r, 100), &list);
		put(type, &list);
		check(type, &list, &r);
		for (step = 0; step < 12; step++) {
			struct shunt_set_ref ref = ref_of(type);
			bool add = shunt_random_one_in(&r, 2);
			size_t before = list.n, changed, i;

			draw_list(&r, type,
				  shunt_random_one_in(&r, 2)
					  ? 1
					  : shunt_random_below(&r, 90),
				  &edit);
			for (i = 0; !add && list.n && i < edit.n; i += 2)
				edit.at[i] = list.at[shunt_random_below(&r, list.n)];
			assert_int_equal(shunt_set_change(&maps, &ref, add, edit.at,
							  edit.n, &changed, NULL),
					 0);
			change_model(&list, add, &edit);
			assert_int_equal(changed,
					 add ? list.n - before : before - list.n);
			check(type, &list, &r);
			if (list.n > 400)
				break;
		}
	}
}

static void a_set_that_is_full_stays_as_it_was(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x66756c6c) };
	struct list list, edit;
	int type;

	(void)ctx;
	for (type = 0; type < 3; type++) {
		struct shunt_set_ref ref = ref_of(type);
		struct shunt_err err;
		size_t changed;

		draw_list(&r, type, 40, &list);
		ref.size = list.n;
		put(type, &list);
		draw_list(&r, type, 200, &edit);
		assert_int_equal(shunt_set_change(&maps, &ref, true, edit.at, edit.n,
						  &changed, &err),
				 -E2BIG);
		assert_non_null(strstr(err.message, "set tried is full: it holds"));
		check(type, &list, &r);
	}
}

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

enum op { OP_ADD_ONE, OP_ADD, OP_DEL_ONE, OP_DEL, OP_REPLACE, OPS };

static int act(enum op op, enum shunt_set_type type, const struct list *edit,
	       struct shunt_err *err)
{
	struct shunt_set_ref ref = ref_of(type);
	bool add = op == OP_ADD || op == OP_ADD_ONE;
	size_t one = op == OP_ADD_ONE || op == OP_DEL_ONE ? 1 : edit->n, a, b;

	if (op == OP_REPLACE)
		return shunt_set_replace(&maps, &ref, edit->at, edit->n, &a, &b, err);
	return shunt_set_change(&maps, &ref, add, edit->at, one, &a, err);
}

/* Fails each allocation and system call of an operation, one after the other. */
static size_t fail_each(enum op op, enum shunt_set_type type, struct shunt_random *r)
{
	struct list before, edit, after;
	size_t reported = 0, files;
	long at;

	for (at = 0;; at++) {
		struct shunt_err err = { "" };
		int ret;

		draw_list(r, type, 60, &before);
		draw_list(r, type, 80, &edit);
		if (op == OP_DEL || op == OP_DEL_ONE)
			edit.at[0] = before.at[before.n / 2];
		edit.n = shunt_prefix_unique(edit.at, edit.n);
		put(type, &before);
		files = open_files();
		fault.on = true;
		fault.left = at;
		fault.fired = false;
		ret = act(op, type, &edit, &err);
		fault.on = false;
		assert_int_equal(open_files(), files);
		if (ret) {
			assert_true(fault.fired);
			assert_true(strlen(err.message) > 10);
			check(type, &before, r);
			reported++;
			continue;
		}
		after = before;
		if (op == OP_ADD_ONE || op == OP_DEL_ONE)
			edit.n = 1;
		change_model(&after, op != OP_DEL && op != OP_DEL_ONE, &edit);
		check(type, op == OP_REPLACE ? &edit : &after, r);
		if (!fault.fired)
			return reported;
	}
}

static void what_fails_is_reported_and_changes_nothing(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x6661696c) };
	size_t reported = 0;
	int op, type;

	(void)ctx;
	for (type = 0; type < 3; type++)
		for (op = 0; op < OPS; op++)
			reported += fail_each(op, type, &r);
	print_message("%zu failures, each reported, none half-applied\n", reported);
	assert_true(reported > 40);
}

static void a_batch_that_stops_half_way_is_taken_up_again(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x68616c66) };
	struct list list;

	(void)ctx;
	draw_list(&r, SHUNT_SET_SERVICE, 500, &list);
	fault.halves = true;
	_fd_ int fd = -1;
	struct shunt_set_new made = { ref_of(SHUNT_SET_SERVICE), -1 };

	made.fd = fd = shunt_set_make(&made.ref, list.at, list.n, NULL);
	fault.halves = false;
	assert_true(fd >= 0);
	assert_int_equal(shunt_sets_place(&maps, &made, 1, NULL), 0);
	check(SHUNT_SET_SERVICE, &list, &r);
}

static void a_dropped_set_has_nothing(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x64726f70) };
	bool used[SHUNT_SET_IDS] = { false };
	struct list list;
	int type;
	size_t i;

	(void)ctx;
	for (type = 0; type < 3; type++) {
		draw_list(&r, type, 50, &list);
		put(type, &list);
		assert_int_equal(shunt_sets_drop(&maps, used, NULL), 0);
		for (i = 0; i < list.n; i++) {
			struct shunt_prefix *p = &list.at[i];

			assert_int_equal(
				asked(type, p, SHUNT_SERVICE(p->proto, p->port)), 0);
		}
	}
}

static int open_maps(void **ctx)
{
	(void)ctx;
	libbpf_set_print(NULL);
	ask = sets_ask_bpf__open_and_load();
	if (!ask)
		return -1;
	maps.fd[SHUNT_MAP_SET] = bpf_map__fd(ask->maps.shunt_set);
	maps.fd[SHUNT_MAP_SERVICE] = bpf_map__fd(ask->maps.shunt_service);
	maps.gen = &gen;
	return 0;
}

static int close_maps(void **ctx)
{
	(void)ctx;
	sets_ask_bpf__destroy(ask);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_find_what_is_in_a_set),
		cmocka_unit_test(a_set_that_is_full_stays_as_it_was),
		cmocka_unit_test(a_batch_that_stops_half_way_is_taken_up_again),
		cmocka_unit_test(what_fails_is_reported_and_changes_nothing),
		cmocka_unit_test(a_dropped_set_has_nothing),
	};

	return cmocka_run_group_tests(tests, open_maps, close_maps);
}
