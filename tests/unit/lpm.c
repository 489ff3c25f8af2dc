/* SPDX-License-Identifier: BSD-2-Clause */
/* Longest prefix match against a naive model: all prefixes, one after the other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/prefix.h"
#include "user/net/lpm.h"

#define TABLES 60
#define ROWS_MAX 400
#define ASKS 4000

/* xorshift64star: the same numbers in every run. */
static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static unsigned int bits_of(int family)
{
	return family == 4 ? 32 : 128;
}

static void mask(struct shunt_prefix *prefix)
{
	for (unsigned int b = prefix->bits; b < bits_of(prefix->family); b++)
		prefix->addr[b / 8] &= ~(0x80 >> b % 8);
}

/* Bytes of few values, so that prefixes lie within one another. */
static void draw_addr(uint8_t *addr, int family)
{
	static const uint8_t few[] = { 0, 1, 0x7f, 0x80, 0xff, 10, 11, 0x20 };

	for (unsigned int i = 0; i < bits_of(family) / 8; i++)
		addr[i] = draw() % 8 ? few[draw() % 8] : draw();
}

static bool holds(const struct shunt_prefix *prefix, int family, const uint8_t *addr)
{
	struct shunt_prefix asked = { .family = family, .bits = prefix->bits };

	if (prefix->family != family)
		return false;
	memcpy(asked.addr, addr, bits_of(family) / 8);
	mask(&asked);
	return !memcmp(asked.addr, prefix->addr, sizeof(asked.addr));
}

static uint32_t naive(const struct shunt_lpm_row *rows, size_t n, int family,
		      const uint8_t *addr)
{
	uint32_t best = SHUNT_LPM_NONE;
	int bits = -1;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].prefix.bits <= bits ||
		    !holds(&rows[i].prefix, family, addr))
			continue;
		best = rows[i].value;
		bits = rows[i].prefix.bits;
	}
	return best;
}

static bool stands_there(const struct shunt_lpm_row *rows, size_t n,
			 const struct shunt_prefix *prefix)
{
	for (size_t i = 0; i < n; i++)
		if (!shunt_prefix_compare(&rows[i].prefix, prefix))
			return true;
	return false;
}

static size_t draw_rows(struct shunt_lpm_row *rows)
{
	size_t n = 0, want = draw() % ROWS_MAX;

	for (size_t i = 0; i < want; i++) {
		struct shunt_prefix p = { .family = draw() & 1 ? 4 : 6 };

		p.bits = draw() % (bits_of(p.family) + 1);
		draw_addr(p.addr, p.family);
		mask(&p);
		if (stands_there(rows, n, &p))
			continue;
		rows[n] = (struct shunt_lpm_row){ .prefix = p, .value = n };
		n++;
	}
	return n;
}

static void any_address_finds_what_the_model_finds(void **ctx)
{
	static struct shunt_lpm_row rows[ROWS_MAX];
	size_t found = 0, missed = 0;

	(void)ctx;
	for (int table = 0; table < TABLES; table++) {
		size_t n = draw_rows(rows);
		struct shunt_lpm lpm;

		assert_int_equal(shunt_lpm_make(&lpm, rows, n, NULL), 0);
		for (int ask = 0; ask < ASKS; ask++) {
			int family = draw() & 1 ? 4 : 6;
			uint8_t addr[16] = { 0 };
			uint32_t want;

			draw_addr(addr, family);
			/* half of them near a prefix */
			if (n && draw() & 1) {
				const struct shunt_prefix *p = &rows[draw() % n].prefix;

				family = p->family;
				memcpy(addr, p->addr, sizeof(addr));
				addr[draw() % (bits_of(family) / 8)] ^= 1 << draw() % 8;
			}
			want = naive(rows, n, family, addr);
			assert_int_equal(shunt_lpm_find(&lpm, family == 6, addr), want);
			*(want == SHUNT_LPM_NONE ? &missed : &found) += 1;
		}
		shunt_lpm_free(&lpm);
	}
	assert_true(found > ASKS && missed > ASKS);
}

static void the_order_of_the_rows_does_not_matter(void **ctx)
{
	struct shunt_lpm_row rows[3] = { { .value = 24 },
					 { .value = 8 },
					 { .value = 32 } };
	static const char *const text[] = { "10.1.2.0/24", "10.0.0.0/8", "10.1.2.3" };
	const uint8_t in32[] = { 10, 1, 2, 3 }, in24[] = { 10, 1, 2, 4 },
		      in8[] = { 10, 1, 3, 3 }, out[] = { 11, 1, 2, 3 };
	struct shunt_lpm lpm;

	(void)ctx;
	for (int i = 0; i < 3; i++)
		assert_int_equal(shunt_prefix_parse(&rows[i].prefix, text[i], NULL), 0);
	assert_int_equal(shunt_lpm_make(&lpm, rows, 3, NULL), 0);
	assert_int_equal(shunt_lpm_find(&lpm, 0, in32), 32);
	assert_int_equal(shunt_lpm_find(&lpm, 0, in24), 24);
	assert_int_equal(shunt_lpm_find(&lpm, 0, in8), 8);
	assert_int_equal(shunt_lpm_find(&lpm, 0, out), SHUNT_LPM_NONE);
	assert_int_equal(shunt_lpm_find(&lpm, 1, (const uint8_t[16]){ 10 }),
			 SHUNT_LPM_NONE);
	shunt_lpm_free(&lpm);
}

static void a_prefix_that_stands_twice_is_named(void **ctx)
{
	struct shunt_lpm_row rows[2] = { { .value = 1 }, { .value = 2 } };
	struct shunt_lpm lpm;
	struct shunt_err err;

	(void)ctx;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			shunt_prefix_parse(&rows[i].prefix, "2001:db8::/32", NULL), 0);
	assert_int_equal(shunt_lpm_make(&lpm, rows, 2, &err), -EEXIST);
	assert_non_null(strstr(err.message, "2001:db8::/32"));
	shunt_lpm_free(&lpm);
}

static void an_empty_table_holds_nothing(void **ctx)
{
	struct shunt_lpm lpm;

	(void)ctx;
	assert_int_equal(shunt_lpm_make(&lpm, NULL, 0, NULL), 0);
	assert_int_equal(shunt_lpm_find(&lpm, 0, (const uint8_t[4]){ 0 }),
			 SHUNT_LPM_NONE);
	shunt_lpm_free(&lpm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_address_finds_what_the_model_finds),
		cmocka_unit_test(the_order_of_the_rows_does_not_matter),
		cmocka_unit_test(a_prefix_that_stands_twice_is_named),
		cmocka_unit_test(an_empty_table_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
