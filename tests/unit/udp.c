/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP datagrams in frames: known bytes, and random ones against what others make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/asked.h"
#include "tests/model/random.h"
#include "tests/model/sums.h"
#include "user/net/line.h"
#include "user/net/udp.h"

#define SCOPE 7
#define PAYLOAD_MAX 1500
#define FRONT 128

static const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 9 },
		     peer_mac[6] = { 2, 0, 0, 0, 0, 1 };

static struct shunt_endpoint endpoint(const char *text)
{
	struct shunt_endpoint made;

	assert_int_equal(shunt_endpoint_parse(&made, text, NULL), 0);
	return made;
}

static struct shunt_udp_host host_of(const char *text)
{
	struct shunt_udp_host host = { .local = endpoint(text) };

	memcpy(host.mac, us_mac, 6);
	return host;
}

/* --- known bytes ----------------------------------------------------------------------- */

static void check_bytes(const char *local, const char *remote, bool checksum,
			const char *want)
{
	struct shunt_udp_host host = host_of(local);
	struct shunt_endpoint to = endpoint(remote);
	uint8_t room[FRONT + 3] = { 0 }, *payload = room + FRONT;
	struct shunt_udp_path path;
	char hex[2 * sizeof(room) + 1] = "";
	uint32_t i;

	memcpy(payload, "abc", 3);
	shunt_udp_path_make(&path, &host, &to, peer_mac, checksum);
	shunt_udp_write(&path, payload, 3);
	for (i = 0; i < path.bytes + 3u; i++)
		sprintf(hex + 2 * (size_t)i, "%02x", (payload - path.bytes)[i]);
	assert_string_equal(hex, want);
}

/* As an ordinary socket sends them, but for the identification and the flow label. */
static void headers_are_those_of_a_socket(void **state)
{
	(void)state;
	check_bytes("192.0.2.9:7000", "192.0.2.1:40000", true,
		    "020000000001"
		    "020000000009"
		    "0800"
		    "4500001f"
		    "00004000"
		    "4011b6c3"
		    "c0000209"
		    "c0000201"
		    "1b589c40"
		    "000bffd1"
		    "616263");
	check_bytes("192.0.2.9:7000", "192.0.2.1:40000", false,
		    "020000000001"
		    "020000000009"
		    "0800"
		    "4500001f"
		    "00004000"
		    "4011b6c3"
		    "c0000209"
		    "c0000201"
		    "1b589c40"
		    "000b0000"
		    "616263");
	check_bytes("[2001:db8::9]:7000", "[2001:db8::1]:40000", false,
		    "020000000001"
		    "020000000009"
		    "86dd"
		    "60000000"
		    "000b1140"
		    "20010db8000000000000000000000009"
		    "20010db8000000000000000000000001"
		    "1b589c40"
		    "000b2861"
		    "616263");
}

/* RFC 768: a sum of 0 goes as 0xffff, since 0 says that there is none. */
static void a_checksum_of_zero_is_sent_as_its_other_form(void **state)
{
	struct shunt_udp_host host = host_of("192.0.2.9:7000");
	struct shunt_endpoint to = endpoint("192.0.2.1:40000");
	uint8_t room[FRONT + 2], *payload = room + FRONT;
	struct shunt_udp_datagram read;
	struct shunt_udp_path path;
	uint32_t word;
	int found = 0;

	(void)state;
	shunt_udp_path_make(&path, &host, &to, peer_mac, true);
	for (word = 0; word < 65536; word++) {
		payload[0] = word >> 8;
		payload[1] = word & 255;
		shunt_udp_write(&path, payload, 2);
		assert_true(payload[-2] || payload[-1]);
		if (payload[-2] != 0xff || payload[-1] != 0xff)
			continue;
		found++;
		assert_int_equal(shunt_udp_read(&read, payload - path.bytes,
						path.bytes + 2u, 0, true),
				 SHUNT_UDP_WHOLE);
	}
	assert_int_equal(found, 1);
}

/* --- random ---------------------------------------------------------------------------- */

static struct shunt_endpoint random_endpoint(struct shunt_random *r, uint32_t l3)
{
	struct shunt_endpoint made = { .l3 = (uint16_t)l3 };
	uint32_t i;

	for (i = 0; i < (l3 == SHUNT_L3_IP6 ? 4u : 1u); i++)
		made.addr[i] = (uint32_t)shunt_random_next(r);
	/* that of one host: 10.x.x.x, 20xx::, or fe80:: */
	if (l3 == SHUNT_L3_IP4)
		((uint8_t *)made.addr)[0] = 10;
	else if (shunt_random_one_in(r, 4)) {
		made.addr[0] = shunt_be32(0xfe800000);
		made.scope = SCOPE;
	} else
		((uint8_t *)made.addr)[0] = 0x20;
	made.port = (uint16_t)shunt_random_in(r, 1, 65535);
	return made;
}

/* What is written is sound to those who know nothing of it, and is read as it was. */
static void what_is_written_is_read(void **state)
{
	struct shunt_random r = { shunt_random_seed(11) };
	uint64_t cases = shunt_random_cases(20000);

	(void)state;
	while (cases--) {
		uint32_t l3 = shunt_random_one_in(&r, 2) ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
		struct shunt_udp_host host = { .local = random_endpoint(&r, l3) };
		struct shunt_endpoint to = random_endpoint(&r, l3);
		bool checksum = !shunt_random_one_in(&r, 4);
		uint32_t front = FRONT + shunt_random_below(&r, 16), len, pad, i;
		uint8_t *room, *payload, *frame;
		struct shunt_udp_datagram read;
		struct shunt_udp_path path;
		struct shunt_pkt pkt = { 0 };

		len = shunt_random_below(&r,
					 shunt_random_one_in(&r, 2) ? 65 : PAYLOAD_MAX);
		pad = shunt_random_one_in(&r, 4) ? shunt_random_below(&r, 40) : 0;
		room = malloc(front + len + pad + 1);
		payload = room + front;
		for (i = 0; i < len; i++)
			payload[i] = (uint8_t)shunt_random_next(&r);
		memcpy(host.mac, us_mac, 6);
		shunt_udp_path_make(&path, &host, &to, peer_mac, checksum);
		shunt_udp_write(&path, payload, len);
		frame = payload - path.bytes;
		memset(payload + len, 0xa5, pad);
		assert_int_equal(shunt_frame_parse(frame, path.bytes + len, &pkt), -1);
		assert_null(shunt_sums_fault(frame, path.bytes + len));
		assert_int_equal(shunt_udp_read(&read, frame, path.bytes + len + pad,
						SCOPE, true),
				 SHUNT_UDP_WHOLE);
		assert_memory_equal(&read.src, &host.local, sizeof(read.src));
		assert_memory_equal(&read.dst, &to, sizeof(read.dst));
		assert_ptr_equal(read.payload, payload);
		assert_int_equal(read.bytes, len);
		free(room);
	}
}

/* No byte of what is summed changes unnoticed. */
static void no_change_goes_unnoticed(void **state)
{
	struct shunt_random r = { shunt_random_seed(12) };
	uint64_t cases = shunt_random_cases(20000);

	(void)state;
	while (cases--) {
		uint32_t l3 = shunt_random_one_in(&r, 2) ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
		struct shunt_udp_host host = { .local = random_endpoint(&r, l3) };
		struct shunt_endpoint to = random_endpoint(&r, l3);
		uint8_t room[FRONT + 64] = { 0 }, *payload = room + FRONT, *frame;
		uint32_t len = shunt_random_below(&r, 64), at, begin;
		struct shunt_udp_datagram read;
		struct shunt_udp_path path;
		enum shunt_udp_kind kind;

		shunt_udp_path_make(&path, &host, &to, peer_mac, true);
		shunt_udp_write(&path, payload, len);
		frame = payload - path.bytes;
		/* IPv6 does not sum its class, flow label and hop limit */
		begin = l3 == SHUNT_L3_IP6 ? 14 + 8 : 14;
		at = shunt_random_in(&r, begin, path.bytes + len - 1);
		frame[at] ^= (uint8_t)shunt_random_in(&r, 1, 255);
		kind = shunt_udp_read(&read, frame, path.bytes + len, SCOPE, true);
		assert_true(kind >= SHUNT_UDP_REFUSED);
	}
}

/* --- what is refused, and why ------------------------------------------------------------ */

struct row {
	const char *name;
	struct shunt_asked asked;
	enum shunt_udp_kind kind;
};

#pragma GCC diagnostic ignored "-Woverride-init"
/* clang-format off */
#define UDP .dst_mac = "2:0:0:0:0:9", .kind = SHUNT_ASKED_IP, .proto = 17, .sport = 40000, \
	.dport = 7, .payload = 20
#define IP4(...) { UDP, .src = "192.0.2.1", .dst = "192.0.2.9", __VA_ARGS__ }
#define IP6(...) { UDP, .src = "2001:db8::1", .dst = "2001:db8::9", __VA_ARGS__ }
/* clang-format on */

static const struct row rows[] = {
	{ "ip4", IP4(), SHUNT_UDP_WHOLE },
	{ "ip6", IP6(), SHUNT_UDP_WHOLE },
	{ "ip4: one tag", IP4(.tags = 1), SHUNT_UDP_WHOLE },
	{ "ip6: two tags, and padding", IP6(.tags = 2, .pad = 9), SHUNT_UDP_WHOLE },
	{ "ip4: no payload", IP4(.payload = 0), SHUNT_UDP_WHOLE },
	{ "ip4: no checksum", IP4(.fault = SHUNT_ASKED_NO_SUM), SHUNT_UDP_WHOLE },
	{ "ip6: no checksum", IP6(.fault = SHUNT_ASKED_NO_SUM), SHUNT_UDP_BAD_UDP },
	{ "ip4: left to the NIC", IP4(.fault = SHUNT_ASKED_PARTIAL),
	  SHUNT_UDP_PARTIAL },
	{ "ip6: left to the NIC", IP6(.fault = SHUNT_ASKED_PARTIAL),
	  SHUNT_UDP_PARTIAL },
	{ "ip4: wrong sum", IP4(.fault = SHUNT_ASKED_BAD_L4), SHUNT_UDP_BAD_UDP },
	{ "ip6: wrong sum", IP6(.fault = SHUNT_ASKED_BAD_L4), SHUNT_UDP_BAD_UDP },
	{ "ip4: wrong sum of the header", IP4(.fault = SHUNT_ASKED_BAD_IP),
	  SHUNT_UDP_BAD_IP4 },
	{ "ip4: first fragment", IP4(.fault = SHUNT_ASKED_FIRST, .payload = 24),
	  SHUNT_UDP_FRAGMENT },
	{ "ip4: later fragment", IP4(.fault = SHUNT_ASKED_LATER), SHUNT_UDP_FRAGMENT },
	{ "ip4: options", IP4(.fault = SHUNT_ASKED_OPTIONS), SHUNT_UDP_OPTIONS },
	{ "ip6: destination options", IP6(.fault = SHUNT_ASKED_EXTENSION),
	  SHUNT_UDP_OPTIONS },
	{ "ip6: atomic fragment", IP6(.fault = SHUNT_ASKED_ATOMIC),
	  SHUNT_UDP_FRAGMENT },
	{ "ip4: from port 0", IP4(.sport = 0), SHUNT_UDP_SOURCE },
	{ "ip4: from a group", IP4(.src = "224.0.0.1"), SHUNT_UDP_SOURCE },
	{ "ip4: from nobody", IP4(.src = "0.0.0.0"), SHUNT_UDP_SOURCE },
	{ "ip6: from a group", IP6(.src = "ff02::1"), SHUNT_UDP_SOURCE },
	{ "ip6: from nobody", IP6(.src = "::"), SHUNT_UDP_SOURCE },
	{ "ip4: a ping", IP4(.proto = 1, .type = 8), SHUNT_UDP_OTHER },
	{ "ip6: a ping", IP6(.proto = 58, .type = 128), SHUNT_UDP_OTHER },
	{ "arp", { .src = "192.0.2.1", .dst = "192.0.2.9" }, SHUNT_UDP_OTHER },
};

/* Each frame, and each of its beginnings, in memory that ends where it ends. */
static void what_is_refused_has_a_name(void **state)
{
	static uint8_t asked[SHUNT_ASKED_ROOM];
	struct shunt_udp_datagram read;
	size_t i, len, cut;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		len = shunt_asked_build(&rows[i].asked, asked);
		for (cut = 0; cut <= len; cut++) {
			uint8_t *frame = malloc(cut ? cut : 1);
			enum shunt_udp_kind kind;

			memcpy(frame, asked, cut);
			kind = shunt_udp_read(&read, frame, (uint32_t)cut, 0, true);
			if (cut == len && kind != rows[i].kind)
				fail_msg("%s: it is %s", rows[i].name,
					 shunt_udp_name(kind));
			if (cut + rows[i].asked.pad < len && kind < SHUNT_UDP_REFUSED)
				fail_msg("%s: a beginning of %zu bytes is sound",
					 rows[i].name, cut);
			free(frame);
		}
	}
}

static void a_tag_is_named(void **state)
{
	const struct shunt_asked asked = IP4(.tags = 2);
	uint8_t frame[SHUNT_ASKED_ROOM];
	struct shunt_udp_datagram read;
	size_t len = shunt_asked_build(&asked, frame);

	(void)state;
	assert_int_equal(shunt_udp_read(&read, frame, (uint32_t)len, 0, true),
			 SHUNT_UDP_WHOLE);
	assert_int_equal(read.tags, 2);
	assert_int_equal(read.vlan, 20);
}

static void a_wrong_sum_is_read_where_nobody_looks(void **state)
{
	const struct shunt_asked asked = IP6(.fault = SHUNT_ASKED_BAD_L4);
	uint8_t frame[SHUNT_ASKED_ROOM];
	struct shunt_udp_datagram read;
	size_t len = shunt_asked_build(&asked, frame);

	(void)state;
	assert_int_equal(shunt_udp_read(&read, frame, (uint32_t)len, 0, false),
			 SHUNT_UDP_WHOLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_those_of_a_socket),
		cmocka_unit_test(a_checksum_of_zero_is_sent_as_its_other_form),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(no_change_goes_unnoticed),
		cmocka_unit_test(what_is_refused_has_a_name),
		cmocka_unit_test(a_tag_is_named),
		cmocka_unit_test(a_wrong_sum_is_read_where_nobody_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
