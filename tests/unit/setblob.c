/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets as lines: what the search says against a naive list, built and edited. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/prefix.h"
#include "loader/setblob.h"
#include "loader/setview.h"
#include "tests/model/random.h"
#include "user/base/cleanup.h"

static const __u64 *shunt_set_line(void *blob, __u32 line)
{
	const struct shunt_blob *b = blob;

	return line < b->lines ? (const __u64 *)b->line[line] : NULL;
}

#include "bpf/lib/set.h"

typedef shunt_u128 u128;

#define MEMBERS 3000

/* The naive model: a list. */
struct list {
	struct shunt_prefix at[MEMBERS];
	size_t n;
};

static struct list list;

static u128 addr_of(const struct shunt_prefix *p)
{
	struct shunt_blob_record r = shunt_record_of(p);

	return shunt_record_addr(&r);
}

static struct shunt_prefix prefix_of(uint8_t family, u128 addr, unsigned int bits)
{
	struct shunt_blob_record r = { .family = family, .bits = bits };
	struct shunt_prefix p;

	addr &= ~shunt_behind(bits);
	r.hi = addr >> 64;
	r.lo = addr;
	shunt_record_prefix(&r, &p);
	return p;
}

static const struct shunt_prefix *longest(uint8_t family, u128 addr)
{
	const struct shunt_prefix *best = NULL;
	size_t i;

	for (i = 0; i < list.n; i++) {
		const struct shunt_prefix *p = &list.at[i];

		if (p->family == family &&
		    !((addr ^ addr_of(p)) & ~shunt_behind(p->bits)) &&
		    (!best || p->bits > best->bits))
			best = p;
	}
	return best;
}

static size_t place_of(const struct shunt_prefix *p)
{
	size_t i;

	for (i = 0; i < list.n; i++)
		if (!shunt_prefix_compare(&list.at[i], p))
			return i;
	return list.n;
}

static struct shunt_blob make(void)
{
	struct shunt_blob blob;

	list.n = shunt_prefix_unique(list.at, list.n);
	assert_int_equal(shunt_blob_make(&blob, list.at, list.n, NULL), 0);
	assert_true(shunt_blob_sound(&blob));
	return blob;
}

/* --- where elements lie ---------------------------------------------------------- */

static u128 draw(struct shunt_random *r)
{
	return (u128)shunt_random_next(r) << 64 | shunt_random_next(r);
}

/* Clusters of many sizes: a place, some low bits of it free, some of them shared. */
struct ground {
	uint8_t family;
	u128 place[4];
	unsigned int from[4]; /* bits that a cluster's elements share */
	bool full;	      /* addresses only */
};

static struct ground draw_ground(struct shunt_random *r, uint8_t family)
{
	struct ground g = { .family = family, .full = shunt_random_one_in(r, 3) };
	int i;

	for (i = 0; i < 4; i++) {
		g.place[i] = draw(r);
		g.from[i] = shunt_random_below(r, family == 4 ? 32 : 128);
	}
	/* one deep cluster: its tables skip what all elements share */
	for (i = 0; family == 6 && shunt_random_one_in(r, 2) && i < 4; i++) {
		g.place[i] = g.place[0];
		g.from[i] = 40 + shunt_random_below(r, 8);
	}
	return g;
}

static u128 draw_addr(struct shunt_random *r, const struct ground *g)
{
	int i = shunt_random_below(r, 4);
	u128 free = shunt_behind(g->from[i]);
	u128 sparse = shunt_random_one_in(r, 2) ? shunt_behind(g->from[i] + 10) : 0;
	u128 addr = (g->place[i] & ~free) | (draw(r) & free & ~sparse);

	return g->family == 4 ? addr >> 96 << 96 : addr;
}

static struct shunt_prefix draw_member(struct shunt_random *r, const struct ground *g)
{
	unsigned int max = g->family == 4 ? 32 : 128, bits = max;
	u128 addr = draw_addr(r, g);

	if (!g->full)
		bits = shunt_random_one_in(r, 300)
			       ? shunt_random_below(r, 20)
			       : max - shunt_random_below(r, shunt_random_one_in(r, 2)
								     ? 8
								     : max - 8);
	return prefix_of(g->family, addr, bits);
}

/* --- comparing --------------------------------------------------------------------- */

static void check_addr(struct shunt_blob *blob, uint8_t family, u128 addr)
{
	const struct shunt_prefix *want = longest(family, addr);
	struct shunt_prefix whole, got;
	bool in;

	if (family == 4)
		addr = addr >> 96 << 96;
	want = longest(family, addr);
	in = shunt_set_search(blob, family == 4, addr >> 64, addr);
	if (in != !!want)
		fail_msg("IPv%d %016llx%016llx: %d", family,
			 (unsigned long long)(addr >> 64), (unsigned long long)addr,
			 in);
	whole = prefix_of(family, addr, family == 4 ? 32 : 128);
	assert_int_equal(shunt_blob_match(blob, &whole, &got), in);
	if (in)
		assert_int_equal(shunt_prefix_compare(&got, want), 0);
}

/* An address like an element's, but for one of the first bits. */
static void check_near(struct shunt_blob *blob, const struct shunt_prefix *p,
		       unsigned int bit)
{
	check_addr(blob, p->family, addr_of(p) ^ (u128)1 << (127 - bit));
}

/* The first and last addresses of an element, and their neighbours. */
static void check_edges(struct shunt_blob *blob, const struct shunt_prefix *p)
{
	u128 lo = addr_of(p), hi = lo | shunt_behind(p->bits);
	u128 one = p->family == 4 ? (u128)1 << 96 : 1;

	check_addr(blob, p->family, lo);
	check_addr(blob, p->family, hi);
	check_addr(blob, p->family, lo - one); /* may wrap: also an address */
	check_addr(blob, p->family, hi + 1);
}

static void check_list(const struct shunt_blob *blob)
{
	_free_ struct shunt_prefix *got = NULL;
	size_t n, i, count[2];

	assert_int_equal(shunt_blob_list(blob, &got, &n), 0);
	assert_int_equal(n, list.n);
	assert_int_equal(shunt_blob_count(blob, count), 0);
	assert_int_equal(count[0] + count[1], n);
	for (i = 0; i < n; i++) {
		assert_true(place_of(&got[i]) < list.n);
		assert_true(!i || shunt_prefix_compare(&got[i - 1], &got[i]) < 0);
	}
}

static void a_set_has_what_its_elements_contain(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x736574) };
	const uint64_t rounds = shunt_random_cases(120);
	uint64_t round;
	size_t i;

	(void)ctx;
	for (round = 0; round < rounds; round++) {
		struct ground g = draw_ground(&r, round & 1 ? 6 : 4);
		size_t n = 1 + shunt_random_below(&r, round % 5 ? 300 : MEMBERS);
		struct shunt_blob blob;

		for (list.n = 0; list.n < n; list.n++)
			list.at[list.n] = draw_member(&r, &g);
		blob = make();
		if (n < 400)
			check_list(&blob);
		for (i = 0; i < list.n; i += 1 + list.n / 300) {
			check_edges(&blob, &list.at[i]);
			check_near(&blob, &list.at[i], 16 + i % 48);
		}
		for (i = 0; i < 500; i++)
			check_addr(&blob, g.family, draw_addr(&r, &g));
		for (i = 0; i < 100; i++)
			check_addr(&blob, i & 1 ? 4 : 6, draw(&r));
		free(blob.line);
	}
}

static void the_ends_of_the_address_space_are_right(void **ctx)
{
	static const char *const sets[][6] = {
		{ "0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff::" },
		{ "0.0.0.0/0" },
		{ "::/0", "10.0.0.1" },
		{ "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1" },
		{ "255.255.255.254/31", "ffff::/16", "0.0.0.0/31" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/128", "::1" },
		{ "10.0.0.0/8", "10.1.0.0/16", "10.255.0.0/16", "11.0.0.0/8" },
		{ "2001:db8::/64", "2001:db8::1", "2001:db8:0:1::/64" },
	};
	size_t s, e, i;

	(void)ctx;
	for (s = 0; s < sizeof(sets) / sizeof(*sets); s++) {
		struct shunt_blob blob;

		for (list.n = 0, e = 0; e < 6 && sets[s][e]; e++)
			assert_int_equal(shunt_prefix_parse(&list.at[list.n++],
							    sets[s][e], NULL),
					 0);
		blob = make();
		check_list(&blob);
		for (i = 0; i < list.n; i++)
			check_edges(&blob, &list.at[i]);
		for (i = 0; i < 4; i++)
			check_addr(&blob, i & 1 ? 4 : 6, i & 2 ? ~(u128)0 : 0);
		free(blob.line);
	}
}

static void an_empty_set_has_nothing(void **ctx)
{
	struct shunt_blob blob;

	(void)ctx;
	list.n = 0;
	blob = make();
	check_list(&blob);
	check_addr(&blob, 4, 0);
	check_addr(&blob, 6, 1);
	free(blob.line);
}

/* Half of the addresses of a /16, of a /112 and of a /64's first 64k: bitmap, tables. */
static void dense_sets_are_right(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x64656e) };
	size_t i, n = 40000;
	struct shunt_prefix *p = malloc(n * sizeof(*p));
	int which;

	(void)ctx;
	for (which = 0; which < 3; which++) {
		uint8_t family = which ? 6 : 4;
		unsigned int shift = which == 0 ? 96 : which == 1 ? 0 : 40;
		u128 base = (u128)0xfd001234 << 96;
		uint8_t there[65536] = { 0 };
		struct shunt_blob blob;
		size_t kept;

		for (i = 0; i < n; i++) {
			u128 low = shunt_random_below(&r, 65536);

			there[low] = 1;
			base = family == 4 ? (u128)0x0a010000 << 96 : base;
			p[i] = prefix_of(family, base | low << shift, 128 - shift);
			p[i].bits = family == 4 ? 32 : p[i].bits;
		}
		kept = shunt_prefix_unique(p, n);
		assert_int_equal(shunt_blob_make(&blob, p, kept, NULL), 0);
		for (i = 0; i < 65536; i++) {
			u128 a = base | (u128)i << shift;

			assert_int_equal(shunt_set_search(&blob, family == 4, a >> 64,
							  a),
					 there[i]);
		}
		free(blob.line);
	}
	free(p);
}

/* --- editing --------------------------------------------------------------------------
 */

static void rebuild(struct shunt_blob *blob)
{
	struct shunt_blob next;
	_free_ struct shunt_prefix *all = NULL;
	size_t n;

	assert_int_equal(shunt_blob_list(blob, &all, &n), 0);
	assert_int_equal(shunt_blob_make(&next, all, n, NULL), 0);
	free(blob->line);
	*blob = next;
}

/* A writer that was killed behind the record: the nodes are those of before. */
static void tear(struct shunt_blob *blob, bool add, const struct shunt_prefix *p)
{
	struct shunt_blob_head *head = shunt_blob_head(blob);
	struct shunt_blob_record *log;

	if (head->logged == head->log_room)
		rebuild(blob);
	head = shunt_blob_head(blob);
	log = (void *)blob->line[head->log];
	log[head->logged] = shunt_record_of(p);
	log[head->logged++].add = add;
	if (shunt_blob_finish(blob))
		rebuild(blob);
}

static size_t rebuilds, edits;

static void edit(struct shunt_blob *blob, bool add, const struct shunt_prefix *p)
{
	uint32_t logged = shunt_blob_logged(blob);
	int ret = shunt_blob_edit(blob, add, p);

	edits++;
	if (!ret)
		return;
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(shunt_blob_logged(blob), logged);
	assert_int_equal(shunt_blob_holds(blob, p), !add);
	rebuilds++;
	free(blob->line);
	*blob = make(); /* what a caller does: all anew */
}

static void edits_change_what_a_set_has(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x656469) };
	const uint64_t rounds = shunt_random_cases(60);
	uint64_t round;
	size_t i, e;

	(void)ctx;
	for (round = 0; round < rounds; round++) {
		struct ground g = draw_ground(&r, round & 1 ? 6 : 4);
		size_t n = 1 + shunt_random_below(&r, round % 4 == 1 ? 2000 : 400);
		struct shunt_blob blob;

		for (list.n = 0; list.n < n; list.n++)
			list.at[list.n] = draw_member(&r, &g);
		blob = make();
		for (e = 0; e < 400; e++) {
			bool add = list.n < 2 || shunt_random_one_in(&r, 2);
			struct shunt_prefix p = draw_member(&r, &g);
			size_t at;

			if (p.bits > 40 && shunt_random_one_in(&r, 20))
				p = prefix_of(g.family, addr_of(&p) ^ (u128)1 << 96,
					      p.bits > 32 && g.family == 4 ? 32
									   : p.bits);
			at = place_of(&p);

			if (!add) {
				at = shunt_random_below(&r, list.n);
				p = list.at[at];
				list.at[at] = list.at[--list.n];
			} else if (at < list.n || list.n == MEMBERS) {
				assert_true(shunt_blob_holds(&blob, &p));
				continue;
			} else {
				list.at[list.n++] = p;
			}
			assert_int_equal(shunt_blob_holds(&blob, &p), !add);
			if (shunt_random_one_in(&r, 9))
				tear(&blob, add, &p);
			else
				edit(&blob, add, &p);
			assert_true(shunt_blob_sound(&blob));
			assert_int_equal(shunt_blob_holds(&blob, &p), add);
			check_edges(&blob, &p);
			check_near(&blob, &p, e % 64);
			for (i = 0; i < 4; i++)
				check_addr(&blob, g.family, draw_addr(&r, &g));
		}
		check_list(&blob);
		for (i = 0; i < list.n; i++)
			check_edges(&blob, &list.at[i]);
		free(blob.line);
	}
	print_message("%zu edits, %zu of them by a new blob\n", edits, rebuilds);
	assert_true(rebuilds * 10 < edits);
}

static void a_covered_element_is_remembered(void **ctx)
{
	struct shunt_prefix in;
	struct shunt_blob blob;

	(void)ctx;
	list.n = 2;
	assert_int_equal(shunt_prefix_parse(&list.at[0], "10.0.0.0/16", NULL), 0);
	assert_int_equal(shunt_prefix_parse(&list.at[1], "10.0.1.0/24", NULL), 0);
	assert_int_equal(shunt_prefix_parse(&in, "10.0.1.1", NULL), 0);
	blob = make();
	assert_int_equal(shunt_blob_edit(&blob, false, &list.at[0]), 0);
	assert_int_equal(shunt_set_search(&blob, 1, 0x0a000101ull << 32, 0), 1);
	assert_int_equal(shunt_set_search(&blob, 1, 0x0a000201ull << 32, 0), 0);
	assert_int_equal(shunt_blob_edit(&blob, true, &list.at[0]), 0);
	assert_int_equal(shunt_set_search(&blob, 1, 0x0a000201ull << 32, 0), 1);
	free(blob.line);
}

/* --- damage ----------------------------------------------------------------------------
 */

static void a_damaged_blob_is_never_left(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x64616d) };
	size_t round, i;

	(void)ctx;
	for (round = 0; round < 200; round++) {
		struct ground g = draw_ground(&r, round & 1 ? 6 : 4);
		struct shunt_blob blob;

		for (list.n = 0; list.n < 200; list.n++)
			list.at[list.n] = draw_member(&r, &g);
		blob = make();
		for (i = 0; i < 2000; i++)
			blob.line[shunt_random_below(&r, blob.lines)]
				 [shunt_random_below(&r, 8)] = shunt_random_next(&r);
		shunt_blob_head(&blob)->magic = SHUNT_BLOB_MAGIC;
		for (i = 0; i < 3000; i++) {
			u128 a = draw_addr(&r, &g);
			int in = shunt_set_search(&blob, g.family == 4, a >> 64, a);

			assert_true(in == 0 || in == 1);
		}
		blob.lines = shunt_random_below(&r, blob.lines) + 1;
		assert_false(shunt_blob_sound(&blob));
		free(blob.line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_has_nothing),
		cmocka_unit_test(the_ends_of_the_address_space_are_right),
		cmocka_unit_test(a_covered_element_is_remembered),
		cmocka_unit_test(a_set_has_what_its_elements_contain),
		cmocka_unit_test(dense_sets_are_right),
		cmocka_unit_test(edits_change_what_a_set_has),
		cmocka_unit_test(a_damaged_blob_is_never_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
