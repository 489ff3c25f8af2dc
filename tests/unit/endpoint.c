/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints: reading them, writing them, and what is said of what is none. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "user/net/endpoint.h"

struct row {
	const char *text;
	const char *again; /* as it is written; NULL: it is none */
	const char *words; /* of the sentence */
};

static const struct row rows[] = {
	{ "192.0.2.1:7000", "192.0.2.1:7000" },
	{ "192.0.2.1:0", "192.0.2.1:0" },
	{ "192.0.2.1:65535", "192.0.2.1:65535" },
	{ "*:7000", "0.0.0.0:7000" },
	{ ":7000", "0.0.0.0:7000" },
	{ "[2001:db8::1]:7000", "[2001:db8::1]:7000" },
	{ "[::]:1", "[::]:1" },
	{ "[fe80::1%lo]:7000", "[fe80::1%lo]:7000" },
	{ "localhost:7000", "127.0.0.1:7000" },
	{ "192.0.2.1", NULL, "names no port" },
	{ "192.0.2.1:", NULL, "no number from 0 to 65535" },
	{ "192.0.2.1:65536", NULL, "no number from 0 to 65535" },
	{ "192.0.2.1:-1", NULL, "no number from 0 to 65535" },
	{ "192.0.2.1: 7", NULL, "no number from 0 to 65535" },
	{ "192.0.2.1:7x", NULL, "no number from 0 to 65535" },
	{ "2001:db8::1:7000", NULL, "stands in brackets" },
	{ "[2001:db8::1]", NULL, "behind its bracket comes no port" },
	{ "[192.0.2.1]:7000", NULL, "no IPv6 address" },
	{ "[fe80::1%nowhere0]:7000", NULL, "behind the % no interface" },
	{ "[2001:db8::1:7000", NULL, "behind its bracket comes no port" },
	{ "nobody.invalid:7000", NULL, "find the address of nobody.invalid" },
};

static void endpoints_are_read_and_written(void **state)
{
	char text[SHUNT_ENDPOINT_TEXT];
	struct shunt_endpoint endpoint;
	struct shunt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int ret = shunt_endpoint_parse(&endpoint, rows[i].text, &err);

		if (!rows[i].again) {
			if (ret != -EINVAL && ret != -EHOSTUNREACH)
				fail_msg("%s: taken, with %d", rows[i].text, ret);
			if (!strstr(err.message, rows[i].words))
				fail_msg("%s: %s", rows[i].text, err.message);
			continue;
		}
		if (ret)
			fail_msg("%s: %s", rows[i].text, err.message);
		assert_string_equal(shunt_endpoint_text(&endpoint, text),
				    rows[i].again);
	}
}

/* Through the struct of sockets and back; an IPv4 address in IPv6 comes out as IPv4. */
static void sockets_have_the_same_endpoints(void **state)
{
	struct shunt_random random = { shunt_random_seed(1) };
	struct sockaddr_storage address;
	struct shunt_endpoint from, to;
	unsigned int i, j;

	(void)state;
	for (i = 0; i < 10000; i++) {
		from = (struct shunt_endpoint){
			.l3 = shunt_random_one_in(&random, 2) ? SHUNT_L3_IP4
							      : SHUNT_L3_IP6,
			.port = (uint16_t)shunt_random_next(&random),
		};
		for (j = 0; j < shunt_endpoint_bytes(&from) / 4; j++)
			from.addr[j] = (uint32_t)shunt_random_next(&random) | 1;
		shunt_endpoint_to_socket(&from, &address);
		shunt_endpoint_from_socket(&to, &address);
		assert_true(shunt_endpoint_same(&from, &to));
	}
	assert_int_equal(shunt_endpoint_parse(&from, "[::ffff:192.0.2.1]:7", NULL), 0);
	shunt_endpoint_to_socket(&from, &address);
	shunt_endpoint_from_socket(&to, &address);
	assert_int_equal(to.l3, SHUNT_L3_IP4);
	assert_int_equal(to.addr[0], htonl(0xc0000201));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_read_and_written),
		cmocka_unit_test(sockets_have_the_same_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
