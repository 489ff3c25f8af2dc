/* SPDX-License-Identifier: BSD-2-Clause */
/* Prefixes: text to struct and back, against the C library's own conversions. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/prefix.h"

#define ROUNDS 200000

/* xorshift64star: the same numbers in every run. */
static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static void mask(uint8_t *addr, unsigned int bits, unsigned int max)
{
	for (unsigned int b = bits; b < max; b++)
		addr[b / 8] &= ~(0x80 >> b % 8);
}

/* An address with many zero groups, so that "::" is met in all its places. */
static void draw_addr(uint8_t *addr, size_t n)
{
	for (size_t i = 0; i < n; i += 2) {
		uint64_t r = draw();

		addr[i] = r & 1 ? 0 : r >> 8;
		addr[i + 1] = r & 3 ? 0 : r >> 16;
	}
}

static void any_prefix_reads_back_as_it_was_written(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < ROUNDS; i++) {
		struct shunt_prefix want = { .family = draw() & 1 ? 4 : 6 }, got;
		unsigned int max = want.family == 4 ? 32 : 128;
		char text[SHUNT_PREFIX_TEXT], host[INET6_ADDRSTRLEN], libc[80];

		want.bits = draw() % (max + 1);
		draw_addr(want.addr, max / 8);
		mask(want.addr, want.bits, max);
		inet_ntop(want.family == 4 ? AF_INET : AF_INET6, want.addr, host,
			  sizeof(host));
		snprintf(libc, sizeof(libc), "%s/%u", host, want.bits);
		assert_int_equal(shunt_prefix_parse(&got, libc, NULL), 0);
		assert_memory_equal(&got, &want, sizeof(want));

		shunt_prefix_format(&want, text);
		assert_string_equal(text, want.bits == max ? host : libc);
		assert_int_equal(shunt_prefix_parse(&got, text, NULL), 0);
		assert_memory_equal(&got, &want, sizeof(want));
	}
}

static void any_host_bit_is_an_error_that_names_the_prefix(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < ROUNDS / 10; i++) {
		struct shunt_prefix want = { .family = draw() & 1 ? 4 : 6 },
				    got = { 0 };
		unsigned int max = want.family == 4 ? 32 : 128, bit;
		char text[SHUNT_PREFIX_TEXT], host[INET6_ADDRSTRLEN], libc[80],
			quoted[80];
		uint8_t addr[16];
		struct shunt_err err;

		want.bits = draw() % max;
		draw_addr(want.addr, max / 8);
		mask(want.addr, want.bits, max);
		memcpy(addr, want.addr, sizeof(addr));
		bit = want.bits + draw() % (max - want.bits);
		addr[bit / 8] |= 0x80 >> bit % 8;
		inet_ntop(want.family == 4 ? AF_INET : AF_INET6, addr, host,
			  sizeof(host));
		snprintf(libc, sizeof(libc), "%s/%u", host, want.bits);
		assert_int_equal(shunt_prefix_parse(&got, libc, &err), -EINVAL);
		snprintf(quoted, sizeof(quoted), "\"%s\"",
			 shunt_prefix_format(&want, text));
		assert_non_null(strstr(err.message, quoted));
	}
}

/* The C library decides what an address is. */
static void garbled_addresses_are_judged_as_by_inet_pton(void **ctx)
{
	static const char letters[] = "0123456789abcfF:.:.:";

	(void)ctx;
	for (int i = 0; i < ROUNDS; i++) {
		struct shunt_prefix got = { 0 };
		uint8_t addr[16] = { 0 };
		char text[20];
		size_t n = draw() % sizeof(text);
		int is4, is6;

		for (size_t c = 0; c < n; c++)
			text[c] = letters[draw() % (sizeof(letters) - 1)];
		text[n] = 0;
		is4 = inet_pton(AF_INET, text, addr) == 1;
		is6 = !is4 && inet_pton(AF_INET6, text, addr) == 1;
		assert_int_equal(shunt_prefix_parse(&got, text, NULL),
				 is4 || is6 ? 0 : -EINVAL);
		if (!is4 && !is6)
			continue;
		assert_int_equal(got.family, is4 ? 4 : 6);
		assert_int_equal(got.bits, is4 ? 32 : 128);
		assert_memory_equal(got.addr, addr, is4 ? 4 : 16);
	}
}

static void what_is_not_exactly_one_prefix_is_refused(void **ctx)
{
	static const char *const wrong[] = {
		"",
		"/",
		"/8",
		"10",
		"10.0.0",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/08",
		"10.0.0.0/8 ",
		" 10.0.0.0/8",
		"10.0.0.0/8/8",
		"10.0.0.0/255.0.0.0",
		"10.0.0.0/4294967304",
		"10.0.0.256",
		"010.0.0.1",
		"::/129",
		"::/999999999999999999999",
		":::",
		"fe80::1%eth0",
		"1:2:3:4:5:6:7:8:9",
		"2001:db8::/32,10.0.0.0/8",
		"host.example",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct shunt_err err = { "" };
		struct shunt_prefix got;

		if (shunt_prefix_parse(&got, wrong[i], &err) != -EINVAL)
			fail_msg("\"%s\" was taken for a prefix", wrong[i]);
		assert_true(strlen(err.message) > 20);
	}
}

static void a_message_cannot_write_to_the_terminal(void **ctx)
{
	struct shunt_err err;
	struct shunt_prefix got;

	(void)ctx;
	assert_int_equal(shunt_prefix_parse(&got, "\x1b[2J\xc2\x9b\"", &err), -EINVAL);
	assert_null(strchr(err.message, '\x1b'));
	assert_non_null(strstr(err.message, "\"\\u001b[2J\\u009b\\\"\""));
}

static void unique_sorts_and_keeps_one_of_each(void **ctx)
{
	static const char *const text[] = { "::1",	"10.0.0.0/8", "0.0.0.0/0",
					    "10.0.0.0", "10.0.0.0/8", "::/0",
					    "::1/128",	"9.0.0.0/8" };
	static const char *const want[] = { "0.0.0.0/0", "9.0.0.0/8", "10.0.0.0/8",
					    "10.0.0.0",	 "::/0",      "::1" };
	struct shunt_prefix p[8];
	char buf[SHUNT_PREFIX_TEXT];

	(void)ctx;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(shunt_prefix_parse(&p[i], text[i], NULL), 0);
	assert_int_equal(shunt_prefix_unique(p, 8), 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(shunt_prefix_format(&p[i], buf), want[i]);
	assert_int_equal(shunt_prefix_unique(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_prefix_reads_back_as_it_was_written),
		cmocka_unit_test(any_host_bit_is_an_error_that_names_the_prefix),
		cmocka_unit_test(garbled_addresses_are_judged_as_by_inet_pton),
		cmocka_unit_test(what_is_not_exactly_one_prefix_is_refused),
		cmocka_unit_test(a_message_cannot_write_to_the_terminal),
		cmocka_unit_test(unique_sorts_and_keeps_one_of_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
