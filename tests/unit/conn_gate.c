/* SPDX-License-Identifier: BSD-2-Clause */
/* The key's file, the gate of an answerer, and deadlines. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <sodium.h>

#include "tests/model/random.h"
#include "user/transport/conn_due.h"
#include "user/transport/conn_gate.h"

/* --- the key's file ----------------------------------------------------------------------- */

static const struct {
	const char *what;
	unsigned int mode, bytes;
	int zeros;
	int want;
} files[] = {
	{ "the owner's alone", 0600, 32, 0, 0 },
	{ "and not to be written", 0400, 32, 0, 0 },
	{ "the group may read it", 0640, 32, 0, -EACCES },
	{ "others may read it", 0604, 32, 0, -EACCES },
	{ "others may write it", 0602, 32, 0, -EACCES },
	{ "too short", 0600, 31, 0, -EINVAL },
	{ "too long", 0600, 33, 0, -EINVAL },
	{ "empty", 0600, 0, 0, -EINVAL },
	{ "zeros", 0600, 32, 1, -EINVAL },
};

static void test_files_of_keys(void **state)
{
	char path[] = "/tmp/shunt-psk-XXXXXX";
	const int fd = mkstemp(path);
	size_t row;

	(void)state;
	assert_true(fd >= 0);
	for (row = 0; row < sizeof(files) / sizeof(*files); row++) {
		struct shunt_psk *psk = NULL;
		struct shunt_err err = { 0 };
		uint8_t bytes[64];
		int ret;

		memset(bytes, files[row].zeros ? 0 : 7, sizeof(bytes));
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, bytes, files[row].bytes, 0),
				 files[row].bytes);
		assert_int_equal(fchmod(fd, files[row].mode), 0);
		ret = shunt_psk_read(&psk, path, &err);
		if (ret != files[row].want)
			fail_msg("%s: %d (%s)", files[row].what, ret, err.message);
		if (ret)
			assert_non_null(strstr(err.message, path));
		else
			assert_memory_equal(psk->key, bytes, SHUNT_PSK_BYTES);
		shunt_psk_close(psk);
	}
	close(fd);
	unlink(path);
}

static void test_what_is_no_file(void **state)
{
	char folder[] = "/tmp/shunt-psk-XXXXXX", path[64];
	struct shunt_psk *psk = NULL;
	struct shunt_err err = { 0 };

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(shunt_psk_read(&psk, path, &err), -EINVAL);
	assert_int_equal(shunt_psk_read(&psk, folder, &err), -EINVAL);
	assert_int_equal(shunt_psk_read(&psk, "/dev/zero", &err), -EINVAL);
	unlink(path);
	assert_int_equal(shunt_psk_read(&psk, path, &err), -ENOENT);
	rmdir(folder);
}

/* --- the gate ------------------------------------------------------------------------------ */

struct gate {
	struct shunt_psk *psk;
	struct shunt_conn_gate gate;
	uint64_t now_ns;
};

static void open_gate(struct gate *g, uint32_t hellos)
{
	const uint8_t key[SHUNT_PSK_BYTES] = { 9 }, secret[SHUNT_PSK_BYTES] = { 8 };

	g->now_ns = 77 * SHUNT_CONN_COOKIE_NS;
	assert_int_equal(shunt_psk_open(&g->psk, key, NULL), 0);
	assert_int_equal(shunt_conn_gate_open(&g->gate, g->psk, secret, hellos, NULL),
			 0);
}

static void close_gate(struct gate *g)
{
	shunt_conn_gate_close(&g->gate);
	shunt_psk_close(g->psk);
}

static void mark(const struct gate *g, struct shunt_conn_hello_packet *hello)
{
	shunt_psk_mark(g->psk, hello, offsetof(struct shunt_conn_hello_packet, mark),
		       NULL, 0, hello->mark);
}

static struct shunt_conn_hello_packet make_hello(const struct gate *g, uint32_t number)
{
	struct shunt_conn_hello_packet hello = {
		.head = { .packet = SHUNT_CONN_PACKET_HELLO,
			  .version = SHUNT_CONN_VERSION,
			  .to = shunt_be32(5) },
	};

	randombytes_buf(hello.noise, sizeof(hello.noise));
	memcpy(hello.noise, &number, sizeof(number));
	mark(g, &hello);
	return hello;
}

static enum shunt_conn_admission judge(struct gate *g, const char *from,
				       const struct shunt_conn_hello_packet *hello,
				       struct shunt_conn_cookie_packet *cookie,
				       uint32_t *id)
{
	return shunt_conn_gate_judge(
		&g->gate, g->now_ns,
		(struct shunt_noise_bytes){ (const uint8_t *)from, strlen(from) },
		(struct shunt_noise_bytes){ (const uint8_t *)hello, sizeof(*hello) },
		cookie, id);
}

/* With the cookie that it is told. */
static void fetch_cookie(struct gate *g, const char *from,
			 struct shunt_conn_hello_packet *hello)
{
	struct shunt_conn_cookie_packet cookie;
	uint32_t id;

	assert_int_equal(judge(g, from, hello, &cookie, &id), SHUNT_CONN_COOKIED);
	memcpy(hello->cookie, cookie.cookie, sizeof(hello->cookie));
	mark(g, hello);
}

static void test_a_cookie_is_good_here_and_now(void **state)
{
	struct shunt_conn_hello_packet hello;
	struct shunt_conn_cookie_packet cookie;
	struct gate g;
	uint32_t id;

	(void)state;
	open_gate(&g, 8);
	hello = make_hello(&g, 1);
	fetch_cookie(&g, "192.0.2.1:7", &hello);
	assert_int_equal(judge(&g, "192.0.2.1:7", &hello, &cookie, &id),
			 SHUNT_CONN_ADMITTED);
	assert_int_equal(judge(&g, "192.0.2.1:8", &hello, &cookie, &id),
			 SHUNT_CONN_COOKIED);
	g.now_ns += SHUNT_CONN_COOKIE_NS;
	assert_int_equal(judge(&g, "192.0.2.1:7", &hello, &cookie, &id),
			 SHUNT_CONN_ADMITTED);
	g.now_ns += SHUNT_CONN_COOKIE_NS;
	assert_int_equal(judge(&g, "192.0.2.1:7", &hello, &cookie, &id),
			 SHUNT_CONN_COOKIED);
	close_gate(&g);
}

static void test_strangers_are_answered_nothing(void **state)
{
	struct shunt_conn_hello_packet hello;
	struct shunt_conn_cookie_packet cookie;
	struct gate g;
	uint32_t id;
	size_t bit;

	(void)state;
	open_gate(&g, 8);
	hello = make_hello(&g, 1);
	for (bit = 0; bit < sizeof(hello) * 8; bit++) {
		enum shunt_conn_admission got;

		((uint8_t *)&hello)[bit / 8] ^= 1u << bit % 8;
		got = judge(&g, "192.0.2.1:7", &hello, &cookie, &id);
		assert_true(got == SHUNT_CONN_STRANGER || got == SHUNT_CONN_MALFORMED);
		((uint8_t *)&hello)[bit / 8] ^= 1u << bit % 8;
	}
	assert_int_equal(judge(&g, "192.0.2.1:7", &hello, &cookie, &id),
			 SHUNT_CONN_COOKIED);
	close_gate(&g);
}

/* At any moment within its cookie's life, wherever in a period that begins. */
static void test_a_hello_is_let_in_once(void **state)
{
	struct shunt_conn_cookie_packet cookie;
	struct shunt_random r = { .state = 5 };
	uint32_t number, id;
	struct gate g;

	(void)state;
	open_gate(&g, 4096);
	for (number = 1; number < 200; number++) {
		struct shunt_conn_hello_packet hello = make_hello(&g, number);
		unsigned int i;

		fetch_cookie(&g, "a", &hello);
		g.now_ns += shunt_random_next(&r) % SHUNT_CONN_COOKIE_NS;
		assert_int_equal(judge(&g, "a", &hello, &cookie, &id),
				 SHUNT_CONN_ADMITTED);
		assert_true(shunt_conn_gate_enter(&g.gate, g.now_ns, &hello, number));
		for (i = 0; i < 40; i++) {
			switch (judge(&g, "a", &hello, &cookie, &id)) {
			case SHUNT_CONN_AGAIN:
				assert_int_equal(id, number);
				break;
			case SHUNT_CONN_COOKIED:
				break;
			default:
				fail_msg("hello %u was let in again", number);
			}
			g.now_ns += shunt_random_next(&r) % (SHUNT_CONN_COOKIE_NS / 8);
		}
	}
	close_gate(&g);
}

static void test_the_memory_is_bounded(void **state)
{
	struct shunt_conn_hello_packet hello;
	uint32_t in = 0, number;
	struct gate g;

	(void)state;
	open_gate(&g, 100);
	for (number = 1; number < 1000; number++) {
		hello = make_hello(&g, number);
		in += shunt_conn_gate_enter(&g.gate, g.now_ns, &hello, number);
	}
	assert_in_range(in, 100, 256);
	g.now_ns += 2 * SHUNT_CONN_COOKIE_NS;
	hello = make_hello(&g, number);
	assert_true(shunt_conn_gate_enter(&g.gate, g.now_ns, &hello, number));
	close_gate(&g);
}

/* --- deadlines ------------------------------------------------------------------------------- */

#define PLACES 50u

/* Beside an array that is searched. */
static void test_deadlines_beside_a_model(void **state)
{
	struct shunt_random r = { .state = shunt_random_seed(11) };
	struct shunt_conn_due due;
	uint64_t model[PLACES], least, now_ns;
	uint32_t i, place, at;

	(void)state;
	assert_int_equal(shunt_conn_due_open(&due, PLACES, NULL), 0);
	memset(model, 0xff, sizeof(model));
	for (i = 0; i < 100000; i++) {
		place = shunt_random_below(&r, PLACES);
		now_ns = shunt_random_below(&r, 1000);
		switch (shunt_random_below(&r, 4)) {
		case 0:
			shunt_conn_due_remove(&due, place);
			model[place] = UINT64_MAX;
			break;
		case 1:
			if (!shunt_conn_due_take(&due, now_ns, &at))
				break;
			assert_true(model[at] <= now_ns);
			for (place = 0; place < PLACES; place++)
				assert_true(model[at] <= model[place]);
			model[at] = UINT64_MAX;
			break;
		default:
			shunt_conn_due_set(&due, place, now_ns);
			model[place] = now_ns < model[place] ? now_ns : model[place];
		}
		least = UINT64_MAX;
		for (place = 0; place < PLACES; place++)
			least = model[place] < least ? model[place] : least;
		assert_true(shunt_conn_due_first(&due) == least);
	}
	shunt_conn_due_close(&due);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_keys),
		cmocka_unit_test(test_what_is_no_file),
		cmocka_unit_test(test_a_cookie_is_good_here_and_now),
		cmocka_unit_test(test_strangers_are_answered_nothing),
		cmocka_unit_test(test_a_hello_is_let_in_once),
		cmocka_unit_test(test_the_memory_is_bounded),
		cmocka_unit_test(test_deadlines_beside_a_model),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
