/* SPDX-License-Identifier: BSD-2-Clause */
/* What tunnels carry: every kind by hand, and any packet at all inside each of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/lib/parse.h"
#include "tests/model/frame.h"
#include "tests/model/sound.h"
#include "tests/model/traffic.h"

#define NONE (-1)

static int parse(const uint8_t *bytes, size_t view, size_t len, struct shunt_pkt *pkt)
{
	const char *unsound;
	int code = shunt_parse_exact(bytes, view, len, pkt, &unsound);

	if (unsound)
		fail_msg("%s", unsound);
	return code;
}

static void fail_on(const char *name, const uint8_t *bytes, size_t len)
{
	char *text = malloc(2 * len + 1);

	shunt_frame_hex(bytes, len, text);
	fail_msg("%s: %s", name, text);
}

/* --- headers, by hand -------------------------------------------------------- */

#define ETH4 "020000000002 020000000001 0800 "
/* `proto`: TTL and protocol; lengths are put in later */
#define IP4(proto) ETH4 "4500 0000 1234 0000" proto "0000 c0000201 c0000202 "
#define IP4_OPTIONS(proto)                                                             \
	ETH4 "4600 0000 1234 0000" proto "0000 c0000201 c0000202 01010101 "
#define ETH6 "020000000002 020000000001 86dd 60000000 0000 "
#define HOSTS6 "20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define IP6(next) ETH6 next "40" HOSTS6
#define IP6_EXT(next) ETH6 "0040" HOSTS6 next "01 000000000000 0000000000000000 "
#define UDP(port) "ffff " port "0000 0000 "
#define VXLAN "08000000 12345600 "

static void patch16(uint8_t *at, size_t v)
{
	at[0] = v >> 8;
	at[1] = v & 255;
}

/* Sets the IP length of a frame by its own, and the length of a UDP header at `udp`. */
static void fix_lengths(uint8_t *frame, size_t len, size_t udp)
{
	if (frame[12] == 0x08)
		patch16(frame + 16, len - 14);
	else
		patch16(frame + 18, len - 54);
	if (udp)
		patch16(frame + udp + 4, len - udp);
}

/* The sentence, the headers, and what they say; udp: place of the UDP header, or 0. */
struct row {
	const char *name, *hex;
	size_t udp;
	int64_t tunnel, key;
	int inner_proto; /* NONE: the inner layer is all zero */
};

#define INNER4 "45 00 001c 1234 0000 4011 0000 0a000001 0a000002 0035 0036 0008 0000"
#define INNER6 "6bb00000 0008 1140" HOSTS6 "0035 0036 0008 0000"
#define INNER_ETH4 "020000000004 020000000003 0800" INNER4
#define INNER_ETH6 "020000000004 020000000003 86dd" INNER6
#define TAGGED "020000000004 020000000003 88a8 0064 8100 00c8 86dd" INNER6

static void check_row(const struct row *row)
{
	static const struct shunt_layer none;
	const struct shunt_layer *outer, *inner;
	uint8_t bytes[1024];
	int len = shunt_frame_unhex(row->hex, bytes, sizeof(bytes));
	struct shunt_pkt pkt;

	if (len < 0)
		fail_msg("%s: not hexadecimal", row->name);
	fix_lengths(bytes, len, row->udp);
	if (parse(bytes, len, len, &pkt) != SHUNT_PARSE_OK)
		fail_msg("%s: malformed", row->name);
	outer = &pkt.layer[SHUNT_OUTER];
	inner = &pkt.layer[SHUNT_INNER];
	if (outer->field[SHUNT_FIELD_TUNNEL] != row->tunnel + 1)
		fail_msg("%s: tunnel %d", row->name,
			 (int)outer->field[SHUNT_FIELD_TUNNEL] - 1);
	if (outer->wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW] != (uint64_t)row->key + 1)
		fail_msg("%s: key index %llx", row->name,
			 outer->wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW]);
	if (row->inner_proto == NONE) {
		if (memcmp(inner, &none, sizeof(none)))
			fail_msg("%s: there is an inner packet", row->name);
		return;
	}
	if (inner->field[SHUNT_FIELD_PROTO] != row->inner_proto + 1u)
		fail_msg("%s: inner protocol index %u", row->name,
			 inner->field[SHUNT_FIELD_PROTO]);
	if (row->inner_proto == 17)
		assert_int_equal(inner->field[SHUNT_FIELD_DPORT], 0x36 + 1);
}

#define V SHUNT_TUNNEL_VXLAN
#define G SHUNT_TUNNEL_GENEVE
#define R SHUNT_TUNNEL_GRE
#define I SHUNT_TUNNEL_IPIP

static void a_tunnel_is_known_where_its_header_is_sound(void **ctx)
{
	/* clang-format off */
	static const struct row rows[] = {
		{"vxlan: IPv4 in IPv4", IP4("4011") UDP("12b5") VXLAN INNER_ETH4, 34, V, 0x123456, 17},
		{"vxlan: IPv6 in IPv4", IP4("4011") UDP("12b5") VXLAN INNER_ETH6, 34, V, 0x123456, 17},
		{"vxlan: IPv4 in IPv6", IP6("11") UDP("12b5") VXLAN INNER_ETH4, 54, V, 0x123456, 17},
		{"vxlan: two tags in IPv6 behind a header", IP6_EXT("11") UDP("12b5") VXLAN TAGGED, 70,
		 V, 0x123456, 17},
		{"vxlan: reserved bits mean nothing",
		 IP4("4011") UDP("12b5") "ffffffff 000000ff" INNER_ETH4, 34, V, 0, 17},
		{"vxlan: highest id", IP4("4011") UDP("12b5") "08000000 ffffff00" INNER_ETH4, 34, V,
		 0xffffff, 17},
		{"vxlan: no id, no VXLAN", IP4("4011") UDP("12b5") "f7000000 12345600" INNER_ETH4, 34,
		 NONE, NONE, NONE},
		{"vxlan: 7 bytes", IP4("4011") UDP("12b5") "08000000 123456", 34, NONE, NONE, NONE},
		{"vxlan: a header and nothing inside", IP4("4011") UDP("12b5") VXLAN, 34, V, 0x123456,
		 NONE},
		{"vxlan: Ethernet cut", IP4("4011") UDP("12b5") VXLAN "02000000000202000000000108", 34,
		 V, 0x123456, NONE},
		{"vxlan: the source port is not asked", IP4("4011") "12b5 ffff 0000 0000" VXLAN
		 INNER_ETH4, 34, NONE, NONE, NONE},
		{"vxlan: TCP is not asked", IP4("4006") "ffff 12b5 00000000 00000000 5002 0000 00000000"
		 VXLAN INNER_ETH4, 0, NONE, NONE, NONE},
		{"vxlan: another port", IP4("4011") UDP("2118") VXLAN INNER_ETH4, 34, NONE, NONE, NONE},
		{"vxlan: inner IPv4 of version 6", IP4("4011") UDP("12b5") VXLAN
		 "020000000004 020000000003 0800" INNER6, 34, V, 0x123456, NONE},
		{"geneve: Ethernet", IP4("4011") UDP("17c1") "00006558 00000700" INNER_ETH4, 34, G, 7,
		 17},
		{"geneve: IPv4", IP6("11") UDP("17c1") "00000800 00000700" INNER4, 54, G, 7, 17},
		{"geneve: IPv6", IP4("4011") UDP("17c1") "000086dd 00000700" INNER6, 34, G, 7, 17},
		{"geneve: options are stepped over",
		 IP4_OPTIONS("4011") UDP("17c1") "02806558 00000700 ffffffff ffffffff" INNER_ETH6, 38,
		 G, 7, 17},
		{"geneve: options beyond the packet",
		 IP4("4011") UDP("17c1") "03006558 00000700 ffffffff ffffffff", 34, NONE, NONE, NONE},
		{"geneve: version 1", IP4("4011") UDP("17c1") "40006558 00000700" INNER_ETH4, 34, NONE,
		 NONE, NONE},
		{"geneve: another type", IP4("4011") UDP("17c1") "000088cc 00000700" INNER_ETH4, 34, G,
		 7, NONE},
		{"gre: IPv4 without a key", IP4("402f") "00000800" INNER4, 0, R, NONE, 17},
		{"gre: IPv6 with a key", IP6("2f") "200086dd 89abcdef" INNER6, 0, R, 0x89abcdef, 17},
		{"gre: Ethernet with a key", IP4("402f") "20006558 00000000" INNER_ETH4, 0, R, 0, 17},
		{"gre: checksum, key and sequence number",
		 IP6_EXT("2f") "b0000800 ffffffff 00000009 ffffffff" INNER4, 0, R, 9, 17},
		{"gre: checksum only", IP4("402f") "800086dd ffffffff" INNER6, 0, R, NONE, 17},
		{"gre: sequence number only", IP4("402f") "10006558 ffffffff" TAGGED, 0, R, NONE, 17},
		{"gre: version 1 is PPTP's", IP4("402f") "2001880b 00000009" INNER4, 0, NONE, NONE,
		 NONE},
		{"gre: routing", IP4("402f") "40000800 00000000" INNER4, 0, NONE, NONE, NONE},
		{"gre: 3 bytes", IP4("402f") "000008", 0, NONE, NONE, NONE},
		{"gre: key cut", IP4("402f") "20000800 000000", 0, NONE, NONE, NONE},
		{"gre: sequence number cut", IP4("402f") "30000800 00000009 000000", 0, NONE, NONE,
		 NONE},
		{"gre: another type", IP4("402f") "200088be 00000009" INNER_ETH4, 0, R, 9, NONE},
		{"ipip: IPv4 in IPv4", IP4("4004") INNER4, 0, I, NONE, 17},
		{"ipip: IPv6 in IPv4", IP4("4029") INNER6, 0, I, NONE, 17},
		{"ipip: IPv4 in IPv6", IP6("04") INNER4, 0, I, NONE, 17},
		{"ipip: IPv6 in IPv6", IP6_EXT("29") INNER6, 0, I, NONE, 17},
		{"ipip: nothing inside", IP4("4004"), 0, I, NONE, NONE},
		{"ipip: IPv6 under IPv4's number", IP4("4004") INNER6, 0, I, NONE, NONE},
		{"ipip: inner IHL below 5", IP4("4004") "44" INNER4, 0, I, NONE, NONE},
		{"ipip: inner later fragment", IP4("4004") "45 00 0018 1234 0001 4006 0000 0a000001"
		 "0a000002 ffffffff", 0, I, NONE, 6},
		{"a tunnel in a tunnel is the inner packet's protocol only",
		 IP4("4004") "45 00 0030 1234 0000 4004 0000 0a000001 0a000002" INNER4, 0, I, NONE, 4},
	};
	/* clang-format on */

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check_row(&rows[i]);
}

/* The first fragment has the tunnel's header; the inner packet is whole in it or cut. */
static void only_the_first_fragment_names_the_tunnel(void **ctx)
{
	/* clang-format off */
	static const struct row first[] = {
		{"first: all of the inner packet is there",
		 IP4("4011") UDP("12b5") VXLAN INNER_ETH4 "ffffffffffff", 34, V, 0x123456, 17},
		{"first: the inner packet is cut",
		 IP4("4011") "ffff 12b5 0100 0000" VXLAN "020000000004 020000000003 0800 45 00 001c"
		 "123400004011", 0, V, 0x123456, NONE},
	}, later[] = {
		{"later: no tunnel", IP4("4004") INNER4, 0, NONE, NONE, NONE},
	};
	/* clang-format on */
	char hex[1024];

	(void)ctx;
	for (size_t i = 0; i < 2; i++) {
		struct row row = first[i];

		strcpy(hex, row.hex);
		memcpy(strstr(hex, "4011") - 4, "2000", 4);
		row.hex = hex;
		check_row(&row);
	}
	strcpy(hex, later->hex);
	memcpy(strstr(hex, "4004") - 4, "0001", 4);
	check_row(&(struct row){ later->name, hex, 0, NONE, NONE, NONE });
}

/* --- any packet inside any tunnel -------------------------------------------- */

static const struct wrapper {
	const char *name, *hex;
	size_t udp;
	int type; /* 0: Ethernet; 4, 6: that IP without it */
} wrappers[] = {
	{ "vxlan", IP4("4011") UDP("12b5") VXLAN, 34, 0 },
	{ "vxlan in IPv6", IP6_EXT("11") UDP("12b5") VXLAN, 70, 0 },
	{ "geneve with options",
	  IP4_OPTIONS("4011") UDP("17c1") "01006558 00000700 ffffffff", 38, 0 },
	{ "gre with all fields", IP4("402f") "b0006558 ffffffff 00000009 ffffffff", 0,
	  0 },
	{ "geneve", IP6("11") UDP("17c1") "00000800 00000700", 54, 4 },
	{ "geneve", IP4("4011") UDP("17c1") "000086dd 00000700", 34, 6 },
	{ "gre", IP6("2f") "00000800", 0, 4 },
	{ "gre", IP4("402f") "000086dd", 0, 6 },
	{ "ipip", IP4("4004"), 0, 4 },
	{ "ipip", IP6_EXT("29"), 0, 6 },
};

static struct {
	uint8_t bytes[SHUNT_FRAME_ROOM + 200];
	size_t inside, len;
} wrapped;

static void wrap(const struct wrapper *w, const uint8_t *frame, size_t len)
{
	size_t skip = w->type ? 14 : 0;

	wrapped.inside = shunt_frame_unhex(w->hex, wrapped.bytes, 200);
	wrapped.len = wrapped.inside + len - skip;
	memcpy(wrapped.bytes + wrapped.inside, frame + skip, len - skip);
	fix_lengths(wrapped.bytes, wrapped.len, w->udp);
}

static int fits(const struct wrapper *w, const struct shunt_frame_spec *spec)
{
	return !w->type || ((int)spec->l3 == w->type && !spec->tags);
}

/* What the same bytes are as a frame of their own, moved to where they lie now. */
static void expect(const struct wrapper *w, int code, const struct shunt_pkt *alone,
		   struct shunt_layer *want)
{
	memset(want, 0, sizeof(*want));
	if (code != SHUNT_PARSE_OK)
		return;
	*want = alone->layer[SHUNT_OUTER];
	want->field[SHUNT_FIELD_TUNNEL] = 0;
	want->wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW] = 0;
	want->field[SHUNT_FIELD_LENGTH] = wrapped.len - wrapped.inside + 1;
	if (want->l3_off)
		want->l3_off += wrapped.inside - (w->type ? 14 : 0);
	if (want->l4_off)
		want->l4_off += wrapped.inside - (w->type ? 14 : 0);
	if (w->type)
		want->wide[SHUNT_FIELD_SRC_MAC - SHUNT_FIELD_NARROW] =
			want->wide[SHUNT_FIELD_DST_MAC - SHUNT_FIELD_NARROW] = 0;
}

/* Parses the first len bytes of a frame, and those inside a tunnel: 1 if understood. */
static int compare(const struct wrapper *w, const uint8_t *frame, size_t len)
{
	struct shunt_pkt alone, pkt;
	struct shunt_layer want;
	int code = parse(frame, len, len, &alone);

	wrap(w, frame, len);
	if (parse(wrapped.bytes, wrapped.len, wrapped.len, &pkt) != SHUNT_PARSE_OK)
		fail_on("the inner packet made the outer one malformed", wrapped.bytes,
			wrapped.len);
	expect(w, code, &alone, &want);
	if (memcmp(&want, &pkt.layer[SHUNT_INNER], sizeof(want)))
		fail_on(w->name, wrapped.bytes, wrapped.len);
	return code == SHUNT_PARSE_OK;
}

static size_t least(const struct wrapper *w)
{
	return w->type ? 14 : 0;
}

static void a_packet_is_the_same_inside_a_tunnel_and_cut_it_is_nothing(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(11) };
	static const struct shunt_policy no_rules;
	int understood[sizeof(wrappers) / sizeof(*wrappers)] = { 0 }, n;
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	size_t i, len;

	(void)ctx;
	for (n = 0; n < 1500; n++) {
		const struct wrapper *w;

		shunt_traffic_draw(&r, &no_rules, &spec);
		shunt_frame_build(&spec, &frame);
		i = shunt_random_below(&r, sizeof(wrappers) / sizeof(*wrappers));
		w = &wrappers[i];
		if (!fits(w, &spec))
			continue;
		for (len = least(w); len < frame.len; len++)
			compare(w, frame.bytes, len);
		understood[i] += compare(w, frame.bytes, len);
	}
	for (i = 0; i < sizeof(wrappers) / sizeof(*wrappers); i++)
		assert_true(understood[i] >= 10);
}

/* So many bytes of a frame show all headers of the inner packet, if it has any. */
static size_t seen_from(const struct shunt_pkt *whole)
{
	const struct shunt_layer *l = &whole->layer[SHUNT_INNER];

	if (!l->field[SHUNT_FIELD_LENGTH])
		return SIZE_MAX;
	if (l->l4_off)
		return l->l4_off + 20u;
	return l->l3_off ? l->l3_off + 300u : wrapped.inside + 14 + 8 + 8;
}

/* Nothing, or all of it: never a part. */
static void what_of_it_cannot_be_seen_is_nothing(void **ctx)
{
	static const struct shunt_layer none;
	struct shunt_random r = { shunt_random_seed(12) };
	static const struct shunt_policy no_rules;
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	struct shunt_pkt whole, part;
	int n, code, found = 0;
	size_t view;

	(void)ctx;
	for (n = 0; n < 1000; n++) {
		const struct wrapper *w = &wrappers[n % 10];

		shunt_traffic_draw(&r, &no_rules, &spec);
		shunt_frame_build(&spec, &frame);
		if (!fits(w, &spec))
			continue;
		wrap(w, frame.bytes, frame.len);
		code = parse(wrapped.bytes, wrapped.len, wrapped.len, &whole);
		assert_int_equal(code, SHUNT_PARSE_OK);
		for (view = 0; view < wrapped.len; view++) {
			code = parse(wrapped.bytes, view, wrapped.len, &part);
			if (code != SHUNT_PARSE_OK) {
				assert_int_equal(code, SHUNT_REASON_DEEP);
				assert_true(view < wrapped.inside);
				continue;
			}
			if (!shunt_frame_part(&part, &whole))
				fail_on("another packet when part is seen",
					wrapped.bytes, wrapped.len);
			if (!memcmp(&part.layer[SHUNT_INNER], &none, sizeof(none))) {
				assert_true(view < seen_from(&whole));
				continue;
			}
			found++;
		}
	}
	assert_true(found > 1000);
}

static void damage_inside_never_reaches_the_outer_packet(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(13) };
	static const struct shunt_policy no_rules;
	uint64_t n = shunt_random_cases(300000);
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;

	(void)ctx;
	while (n--) {
		uint32_t flips = shunt_random_in(&r, 1, 4);
		const struct wrapper *w = &wrappers[shunt_random_below(&r, 10)];

		shunt_traffic_draw(&r, &no_rules, &spec);
		shunt_frame_build(&spec, &frame);
		if (!fits(w, &spec) || frame.len < 15)
			continue;
		while (flips--) {
			uint32_t head = frame.len < 80 ? frame.len : 80, at;

			at = shunt_random_in(&r, least(w), head - 1);
			frame.bytes[at] =
				shunt_random_one_in(&r, 2) ? shunt_random_next(&r) : 0;
		}
		compare(w, frame.bytes, frame.len);
	}
}

/* --- what the frame builder derives ------------------------------------------ */

static void draw_tunnel(struct shunt_random *r, struct shunt_frame_spec *inner,
			struct shunt_frame_spec *outer)
{
	static const struct shunt_policy no_rules;
	enum shunt_tunnel kind = shunt_random_below(r, 4);

	do
		shunt_traffic_draw(r, &no_rules, outer);
	while (outer->l3 == SHUNT_L3_NONE || outer->tags > 2);
	do
		shunt_traffic_draw(r, &no_rules, inner);
	while (kind == SHUNT_TUNNEL_IPIP && inner->l3 == SHUNT_L3_NONE);
	inner->bare = kind == SHUNT_TUNNEL_IPIP ||
		      (kind != SHUNT_TUNNEL_VXLAN && inner->l3 != SHUNT_L3_NONE &&
		       shunt_random_one_in(r, 2));
	if (inner->bare)
		inner->tags = 0;
	inner->mac[0][5] = shunt_random_next(r);
	inner->dscp = shunt_random_below(r, 64);
	outer->dscp = shunt_random_below(r, 64);
	outer->tunnel_options = shunt_random_below(r, 64);
	outer->no_key = shunt_random_below(r, 2);
	outer->checksum = shunt_random_below(r, 2);
	outer->sequence = shunt_random_below(r, 2);
	shunt_frame_carry(outer, kind, shunt_random_next(r) & 0xffffff,
			  shunt_random_one_in(r, 8) ? NULL : inner);
	if (!shunt_frame_can_fail(outer, outer->fault))
		outer->fault = SHUNT_FAULT_NONE;
	if (!shunt_frame_can_fail(inner, inner->fault))
		inner->fault = SHUNT_FAULT_NONE;
}

static void what_was_put_into_a_tunnel_is_found_in_it(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(14) };
	uint64_t n = shunt_random_cases(300000), sound = 0, carried = 0;
	struct shunt_frame_spec inner, outer;
	struct shunt_model_frame frame;
	struct shunt_pkt pkt;

	(void)ctx;
	while (n--) {
		int code;

		draw_tunnel(&r, &inner, &outer);
		shunt_frame_build(&outer, &frame);
		code = parse(frame.bytes, frame.len, frame.len, &pkt);
		if (code != frame.reason ||
		    (code == SHUNT_PARSE_OK && !shunt_frame_holds(&frame, &pkt)))
			fail_on("not as described", frame.bytes, frame.len);
		sound += code == SHUNT_PARSE_OK;
		carried += !!pkt.layer[SHUNT_INNER].field[SHUNT_FIELD_LENGTH];
	}
	assert_true(carried > sound / 4 && sound > carried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tunnel_is_known_where_its_header_is_sound),
		cmocka_unit_test(only_the_first_fragment_names_the_tunnel),
		cmocka_unit_test(
			a_packet_is_the_same_inside_a_tunnel_and_cut_it_is_nothing),
		cmocka_unit_test(what_of_it_cannot_be_seen_is_nothing),
		cmocka_unit_test(damage_inside_never_reaches_the_outer_packet),
		cmocka_unit_test(what_was_put_into_a_tunnel_is_found_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
