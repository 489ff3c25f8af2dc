/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser, by hand: one frame for everything that it may say. */
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

#define OK SHUNT_PARSE_OK
#define MACS "020000000002 020000000001 "
#define HOSTS4 "c0000201 c0000202 "
#define HOSTS6 "20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define FILL8 "ffffffffffffffff "
#define FILL20 FILL8 FILL8 "ffffffff "

/* version and ihl, total length, flags and offset, protocol; 20 bytes */
#define IP4(vihl, length, fragment, proto)                                             \
	MACS "0800 " vihl "00" length "1234" fragment "40" proto "0000" HOSTS4
/* payload length, next header; 40 bytes */
#define IP6(length, next) MACS "86dd 60000000" length next "40" HOSTS6
/* next header, length byte; 8 bytes */
#define EXT(next, length) next length "000000000000 "
#define FRAG(next, word) next "00" word "00000001 "
#define TCP(doff, flags) "0050 01bb 00000001 00000002 " doff flags "0000 0000 0000 "
#define UDP(length) "0035 ffff " length "0000 "
#define SCTP "0000 0001 00000000 00000000 "

#define F(id, value) [SHUNT_FIELD_##id] = (value) + 1
#define IS_IP4 F(ETH_TYPE, 0x0800), F(FRAGMENT, 0), F(DSCP, 0)
#define IS_IP6 F(ETH_TYPE, 0x86dd), F(FRAGMENT, 0), F(DSCP, 0)
#define FIRST4 F(ETH_TYPE, 0x0800), F(FRAGMENT, 1), F(DSCP, 0)
#define LATER4 F(ETH_TYPE, 0x0800), F(FRAGMENT, 2), F(DSCP, 0)
#define FIRST6 F(ETH_TYPE, 0x86dd), F(FRAGMENT, 1), F(DSCP, 0)
#define LATER6 F(ETH_TYPE, 0x86dd), F(FRAGMENT, 2), F(DSCP, 0)
#define PORTS(s, d) F(SPORT, s), F(DPORT, d)

/* A frame is `hex`, with `more` bytes of 0xff behind it; LENGTH and MACs go without
 * saying. */
struct row {
	const char *name, *hex;
	size_t more;
	int want;
	uint32_t field[SHUNT_FIELD_NARROW];
	uint16_t l3_off, l4_off;
};

static int parse(const uint8_t *bytes, size_t view, size_t len, struct shunt_pkt *pkt)
{
	const char *unsound;
	int code = shunt_parse_exact(bytes, view, len, pkt, &unsound);

	if (unsound)
		fail_msg("%s", unsound);
	return code;
}

static void check_row(const struct row *row)
{
	static uint8_t bytes[1 << 18];
	int n = shunt_frame_unhex(row->hex, bytes, sizeof(bytes)), got, f;
	uint32_t length = n + row->more < 65535 ? n + row->more : 65535;
	const struct shunt_layer *l;
	struct shunt_pkt pkt;

	if (n < 0)
		fail_msg("%s: not hexadecimal", row->name);
	memset(bytes + n, 0xff, row->more);
	got = parse(bytes, n + row->more, n + row->more, &pkt);
	if (got != row->want)
		fail_msg("%s: reason %d instead of %d", row->name, got, row->want);
	if (got != OK)
		return;
	l = &pkt.layer[SHUNT_OUTER];
	for (f = 0; f < SHUNT_FIELD_NARROW; f++)
		if (l->field[f] !=
		    (f == SHUNT_FIELD_LENGTH ? length + 1 : row->field[f]))
			fail_msg("%s: field %d has index %u instead of %u", row->name,
				 f, l->field[f], row->field[f]);
	if (l->wide[SHUNT_FIELD_DST_MAC - SHUNT_FIELD_NARROW] != 0x020000000002 + 1 ||
	    l->wide[SHUNT_FIELD_SRC_MAC - SHUNT_FIELD_NARROW] != 0x020000000001 + 1)
		fail_msg("%s: wrong MAC addresses", row->name);
	if (row->l3_off && pkt.layer[SHUNT_OUTER].l3_off != row->l3_off)
		fail_msg("%s: IP at %u", row->name, pkt.layer[SHUNT_OUTER].l3_off);
	if (row->l4_off && pkt.layer[SHUNT_OUTER].l4_off != row->l4_off)
		fail_msg("%s: transport at %u", row->name,
			 pkt.layer[SHUNT_OUTER].l4_off);
}

#define check_rows(rows)                                                               \
	do {                                                                           \
		for (size_t i = 0; i < sizeof(rows) / sizeof(*(rows)); i++)            \
			check_row(&(rows)[i]);                                         \
	} while (0)

static void link_layer(void **ctx)
{
	/* clang-format off */
	static const struct row rows[] = {
		{"eth: nothing at all", "", 0, SHUNT_REASON_ETH_SHORT},
		{"eth: 13 bytes", MACS "08", 0, SHUNT_REASON_ETH_SHORT},
		{"eth: a type without content", MACS "88cc", 0, OK, {F(ETH_TYPE, 0x88cc)}},
		{"eth: 1535 is a length, LLC follows", MACS "05ff", 40, OK, {0}},
		{"eth: 1536 is a type", MACS "0600", 40, OK, {F(ETH_TYPE, 0x0600)}},
		{"eth: LLC with an IPv4 header inside", MACS "0014 450000140000", 30, OK, {0}},
		{"vlan: cut in the tag", MACS "8100 0064 08", 0, SHUNT_REASON_VLAN_SHORT},
		{"vlan: id 4095, priority and DEI are not the id", MACS "8100 ffff 88cc", 0, OK,
		 {F(VLAN, 4095), F(ETH_TYPE, 0x88cc)}},
		{"vlan: id 0", MACS "88a8 f000 88cc", 0, OK, {F(VLAN, 0), F(ETH_TYPE, 0x88cc)}},
		{"vlan: 0x9100 is a tag", MACS "9100 0007 88cc", 0, OK,
		 {F(VLAN, 7), F(ETH_TYPE, 0x88cc)}},
		{"vlan: two tags", MACS "88a8 0001 8100 0002 0806 0001080006040001", 20, OK,
		 {F(VLAN, 1), F(VLAN_INNER, 2), F(ETH_TYPE, 0x0806)}},
		{"vlan: cut in the inner tag", MACS "88a8 0001 8100 00", 0,
		 SHUNT_REASON_VLAN_SHORT},
		{"vlan: the third tag is an EtherType", MACS "8100 0001 8100 0002 8100 0003 0800",
		 40, OK, {F(VLAN, 1), F(VLAN_INNER, 2), F(ETH_TYPE, 0x8100)}},
		{"vlan: LLC inside a tag", MACS "8100 0001 0010", 16, OK, {F(VLAN, 1)}},
		{"arp: cut in the fixed part", MACS "0806 00010800060400", 0,
		 SHUNT_REASON_ARP_SHORT},
		{"arp: cut in the addresses", MACS "0806 0001080006040001", 19,
		 SHUNT_REASON_ARP_SHORT},
		{"arp: whole", MACS "0806 0001080006040001", 20, OK, {F(ETH_TYPE, 0x0806)}},
		{"arp: padded", MACS "0806 0001080006040001", 38, OK, {F(ETH_TYPE, 0x0806)}},
		{"arp: long addresses", MACS "0806 00010800ffff0001", 1020, OK,
		 {F(ETH_TYPE, 0x0806)}},
		{"arp: long addresses, cut", MACS "0806 00010800ffff0001", 1019,
		 SHUNT_REASON_ARP_SHORT},
	};
	/* clang-format on */

	(void)ctx;
	check_rows(rows);
}

static void ip4(void **ctx)
{
	/* clang-format off */
	static const struct row rows[] = {
		{"ip4: 19 bytes", MACS "0800 45000014000000004011000001020304010203", 0,
		 SHUNT_REASON_IP4_SHORT},
		{"ip4: nothing behind the type", MACS "0800", 0, SHUNT_REASON_IP4_SHORT},
		{"ip4: version 6", IP4("65", "0014", "0000", "fe"), 0, SHUNT_REASON_IP4_VERSION},
		{"ip4: version 0", IP4("05", "0014", "0000", "fe"), 0, SHUNT_REASON_IP4_VERSION},
		{"ip4: ihl 0", IP4("40", "0014", "0000", "fe"), 0, SHUNT_REASON_IP4_IHL},
		{"ip4: ihl below 5", IP4("44", "0014", "0000", "fe"), 0, SHUNT_REASON_IP4_IHL},
		{"ip4: total length 0", IP4("45", "0000", "0000", "fe"), 20,
		 SHUNT_REASON_IP4_LENGTH},
		{"ip4: total length below the header's", IP4("46", "0017", "0000", "fe"), 20,
		 SHUNT_REASON_IP4_LENGTH},
		{"ip4: total length one beyond the frame", IP4("45", "0015", "0000", "fe"), 0,
		 SHUNT_REASON_IP4_LENGTH},
		{"ip4: a header and nothing else", IP4("45", "0014", "0000", "fe"), 0, OK,
		 {IS_IP4, F(PROTO, 254)}, 14, 34},
		{"ip4: 40 bytes of options", IP4("4f", "0044", "0000", "11"), 40,
		 SHUNT_REASON_IP4_LENGTH},
		{"ip4: options are stepped over",
		 IP4("46", "0020", "0000", "11") "ffffffff" UDP("0008"), 0, OK,
		 {IS_IP4, F(PROTO, 17), PORTS(53, 65535)}, 14, 38},
		{"ip4: padding is not a UDP header", IP4("45", "0014", "0000", "11"), 26,
		 SHUNT_REASON_UDP_SHORT},
		{"ip4: padding is not the end of a UDP header",
		 IP4("45", "001b", "0000", "11") UDP("0008"), 18, SHUNT_REASON_UDP_SHORT},
		{"ip4: padding behind a whole packet", IP4("45", "001c", "0000", "11") UDP("0008"),
		 18, OK, {IS_IP4, F(PROTO, 17), PORTS(53, 65535)}, 14, 34},
		{"ip4: the reserved bit and DF are no fragment",
		 IP4("45", "001c", "c000", "11") UDP("0008"), 0, OK,
		 {IS_IP4, F(PROTO, 17), PORTS(53, 65535)}},
		{"ip4: first fragment", IP4("45", "001c", "2000", "11") UDP("0100"), 0, OK,
		 {FIRST4, F(PROTO, 17), PORTS(53, 65535)}, 14, 34},
		{"ip4: first fragment, not of 8 bytes", IP4("45", "001d", "2000", "11") UDP("0100"),
		 1, SHUNT_REASON_FRAGMENT},
		{"ip4: first fragment with a short TCP header",
		 IP4("45", "001c", "2000", "06") FILL8, 0, SHUNT_REASON_TCP_SHORT},
		{"ip4: first fragment of an empty rest", IP4("45", "0014", "2000", "11"), 0,
		 SHUNT_REASON_UDP_SHORT},
		{"ip4: later fragment has no ports", IP4("45", "001c", "0001", "11") UDP("0008"), 0,
		 OK, {LATER4, F(PROTO, 17)}},
		{"ip4: later fragment of 1 byte", IP4("45", "0015", "0001", "06"), 1, OK,
		 {LATER4, F(PROTO, 6)}},
		{"ip4: later fragment in the middle, not of 8 bytes",
		 IP4("45", "001b", "2001", "06"), 7, SHUNT_REASON_FRAGMENT},
		{"ip4: last fragment up to 65535", IP4("45", "001b", "1fff", "06"), 7, OK,
		 {LATER4, F(PROTO, 6)}},
		{"ip4: last fragment beyond 65535", IP4("45", "001c", "1fff", "06"), 8,
		 SHUNT_REASON_FRAGMENT},
		{"ip4: DSCP without ECN",
		 MACS "0800 45 bb 0014 1234 0000 40fe 0000" HOSTS4, 0, OK,
		 {F(ETH_TYPE, 0x0800), F(FRAGMENT, 0), F(DSCP, 46), F(PROTO, 254)}},
		{"ip4: a protocol of IPv6 is only a number",
		 IP4("45", "0018", "0000", "3a") "80000000", 0, OK, {IS_IP4, F(PROTO, 58)}, 14, 34},
		{"ip4: AH is a protocol", IP4("45", "0018", "0000", "33") "11000000", 0, OK,
		 {IS_IP4, F(PROTO, 51)}, 14, 34},
		{"ip4: length 0 in a frame of 64 KiB is a merged burst's",
		 IP4("45", "0000", "0000", "06") TCP("50", "10"), 65536, OK,
		 {IS_IP4, F(PROTO, 6), PORTS(80, 443), F(TCP_FLAGS, 16)}, 14, 34},
		{"ip4: length 0 in a packet of 65535 bytes", IP4("45", "0000", "0000", "06"),
		 65515, SHUNT_REASON_IP4_LENGTH},
	};
	/* clang-format on */

	(void)ctx;
	check_rows(rows);
}

static void ip6(void **ctx)
{
	/* clang-format off */
	static const struct row rows[] = {
		{"ip6: 39 bytes", MACS "86dd 600000000000 3b40 " HOSTS4 HOSTS4 HOSTS4 "c00002", 4,
		 SHUNT_REASON_IP6_SHORT},
		{"ip6: version 4", MACS "86dd 40000000 0000 3b40" HOSTS6, 0,
		 SHUNT_REASON_IP6_VERSION},
		{"ip6: payload one beyond the frame", IP6("0001", "3b"), 0,
		 SHUNT_REASON_IP6_LENGTH},
		{"ip6: no next header", IP6("0000", "3b"), 0, OK, {IS_IP6, F(PROTO, 59)}, 14, 54},
		{"ip6: padding is not a UDP header", IP6("0000", "11"), 8, SHUNT_REASON_UDP_SHORT},
		{"ip6: UDP", IP6("0008", "11") UDP("0008"), 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 54},
		{"ip6: a protocol of IPv4 is only a number", IP6("0008", "01") FILL8, 0, OK,
		 {IS_IP6, F(PROTO, 1)}, 14, 54},
		{"ip6: all extension headers before TCP",
		 IP6("0044", "00") EXT("3c", "00") EXT("2b", "00") EXT("33", "00")
		 "06010000 00000000 00000000 " TCP("50", "02"), 16, OK,
		 {IS_IP6, F(PROTO, 6), PORTS(80, 443), F(TCP_FLAGS, 2)}, 14, 90},
		{"ip6: AH counts in words of 4",
		 IP6("0014", "33") "11010000 00000000 00000000 " UDP("0008"), 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 66},
		{"ip6: AH of 0 words more", IP6("0010", "33") EXT("11", "00") UDP("0008"), 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 62},
		{"ip6: an extension header of 16 bytes",
		 IP6("0018", "3c") EXT("11", "01") FILL8 UDP("0008"), 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 70},
		{"ip6: an extension header one byte short", IP6("0007", "3c") EXT("11", "00"), 0,
		 SHUNT_REASON_IP6_EXT},
		{"ip6: an extension header longer than the packet",
		 IP6("000f", "3c") EXT("11", "01"), 8, SHUNT_REASON_IP6_EXT},
		{"ip6: an extension header of 2048 bytes, and no more",
		 IP6("0010", "3c") EXT("11", "ff"), 8, SHUNT_REASON_IP6_EXT},
		{"ip6: hop-by-hop in the second place", IP6("0010", "3c") EXT("00", "00")
		 EXT("3b", "00"), 0, OK, {IS_IP6, F(PROTO, 59)}, 14, 70},
		{"ip6: a fragment header one byte short", IP6("0007", "2c") FRAG("11", "0000"), 0,
		 SHUNT_REASON_IP6_EXT},
		{"ip6: an atomic fragment is whole",
		 IP6("0010", "2c") FRAG("11", "0000") UDP("0008"), 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 62},
		{"ip6: the reserved bits of a fragment header mean nothing",
		 IP6("0010", "2c") FRAG("11", "0006") UDP("0008"), 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 62},
		{"ip6: an atomic fragment with a UDP length beyond it",
		 IP6("0010", "2c") FRAG("11", "0000") UDP("0009"), 0, SHUNT_REASON_UDP_LENGTH},
		{"ip6: first fragment", IP6("0010", "2c") FRAG("11", "0001") UDP("0100"), 0, OK,
		 {FIRST6, F(PROTO, 17), PORTS(53, 65535)}, 14, 62},
		{"ip6: first fragment, not of 8 bytes",
		 IP6("0011", "2c") FRAG("11", "0001") UDP("0100"), 1, SHUNT_REASON_FRAGMENT},
		{"ip6: first fragment, extension headers behind it",
		 IP6("0018", "2c") FRAG("3c", "0001") EXT("11", "00") UDP("0100"), 0, OK,
		 {FIRST6, F(PROTO, 17), PORTS(53, 65535)}, 14, 70},
		{"ip6: a fragment header in a first fragment does not make it whole",
		 IP6("0018", "2c") FRAG("2c", "0001") FRAG("11", "0000") UDP("0100"), 0, OK,
		 {FIRST6, F(PROTO, 17), PORTS(53, 65535)}, 14, 70},
		{"ip6: a later fragment in a first one",
		 IP6("0018", "2c") FRAG("2c", "0001") FRAG("11", "0008") FILL8, 0, OK,
		 {LATER6, F(PROTO, 17)}},
		{"ip6: later fragment has no ports",
		 IP6("0010", "2c") FRAG("11", "0008") UDP("0008"), 0, OK, {LATER6, F(PROTO, 17)}},
		{"ip6: extension headers of a later fragment are not there",
		 IP6("0009", "2c") FRAG("3c", "0008") "ff", 0, OK, {LATER6, F(PROTO, 60)}},
		{"ip6: later fragment in the middle, not of 8 bytes",
		 IP6("0009", "2c") FRAG("11", "0009") "ff", 0, SHUNT_REASON_FRAGMENT},
		{"ip6: last fragment beyond 65535", IP6("0010", "2c") FRAG("11", "fff8") FILL8, 0,
		 SHUNT_REASON_FRAGMENT},
		{"ip6: DSCP lies across two bytes",
		 MACS "86dd 6bb12345 0000 3b40" HOSTS6, 0, OK,
		 {F(ETH_TYPE, 0x86dd), F(FRAGMENT, 0), F(DSCP, 46), F(PROTO, 59)}},
		{"ip6: ESP is opaque", IP6("0008", "32") FILL8, 0, OK, {IS_IP6, F(PROTO, 50)}, 14,
		 54},
		{"ip6: jumbogram: length 0 in a frame beyond 64 KiB",
		 IP6("0000", "11") UDP("0000"), 65536, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}, 14, 54},
		{"ip6: length 0 below that is no payload", IP6("0000", "11") UDP("0000"), 65527,
		 SHUNT_REASON_UDP_SHORT},
	};
	/* clang-format on */

	(void)ctx;
	check_rows(rows);
}

/* 0 to 9 headers of 8 bytes before a UDP header; 8 are walked. */
static void chains_of_extension_headers(void **ctx)
{
	static const uint8_t kinds[] = { 0, 43, 60 };
	struct shunt_pkt pkt;
	uint8_t frame[256];
	int n, i, code;

	(void)ctx;
	for (n = 0; n <= 10; n++) {
		int at = shunt_frame_unhex(IP6("0000", "11"), frame, sizeof(frame));

		frame[19] = n * 8 + 8;
		frame[20] = n ? kinds[0] : 17;
		for (i = 0; i < n; i++, at += 8) {
			memset(frame + at, 0, 8);
			frame[at] = i + 1 < n ? kinds[(i + 1) % 3] : 17;
		}
		memcpy(frame + at, "\0\1\0\2\0\10\0", 8);
		code = parse(frame, at + 8, at + 8, &pkt);
		assert_int_equal(code, n <= 8 ? OK : SHUNT_REASON_IP6_EXT);
		assert_int_equal(pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT],
				 n <= 8 ? 3 : 0);
	}
}

static void transport(void **ctx)
{
	/* clang-format off */
	static const struct row rows[] = {
		{"tcp: 19 bytes", IP4("45", "0027", "0000", "06") FILL8 FILL8, 3,
		 SHUNT_REASON_TCP_SHORT},
		{"tcp: data offset 4", IP4("45", "0028", "0000", "06") TCP("40", "02"), 0,
		 SHUNT_REASON_TCP_DOFF},
		{"tcp: data offset 0", IP4("45", "0028", "0000", "06") TCP("00", "02"), 0,
		 SHUNT_REASON_TCP_DOFF},
		{"tcp: options beyond the packet", IP4("45", "002b", "0000", "06") TCP("60", "02"),
		 3, SHUNT_REASON_TCP_DOFF},
		{"tcp: options in the padding", IP4("45", "0028", "0000", "06") TCP("60", "02"), 4,
		 SHUNT_REASON_TCP_DOFF},
		{"tcp: options", IP4("45", "002c", "0000", "06") TCP("60", "02"), 4, OK,
		 {IS_IP4, F(PROTO, 6), PORTS(80, 443), F(TCP_FLAGS, 2)}, 14, 34},
		{"tcp: all flags", IP4("45", "0028", "0000", "06") TCP("5f", "ff"), 0, OK,
		 {IS_IP4, F(PROTO, 6), PORTS(80, 443), F(TCP_FLAGS, 255)}},
		{"tcp: no flags", IP6("0014", "06") TCP("50", "00"), 0, OK,
		 {IS_IP6, F(PROTO, 6), PORTS(80, 443), F(TCP_FLAGS, 0)}},
		{"udp: 7 bytes", IP6("0007", "11") UDP("0008"), 0, SHUNT_REASON_UDP_SHORT},
		{"udp: length 7", IP6("0008", "11") UDP("0007"), 0, SHUNT_REASON_UDP_LENGTH},
		{"udp: length 0 is a jumbogram's only", IP6("0008", "11") UDP("0000"), 0,
		 SHUNT_REASON_UDP_LENGTH},
		{"udp: length 8 with data behind it", IP6("0010", "11") UDP("0008") FILL8, 0, OK,
		 {IS_IP6, F(PROTO, 17), PORTS(53, 65535)}},
		{"udp: length beyond the packet", IP6("0008", "11") UDP("0009"), 1,
		 SHUNT_REASON_UDP_LENGTH},
		{"udp: length 7 in a first fragment", IP4("45", "001c", "2000", "11") UDP("0007"),
		 0, SHUNT_REASON_UDP_LENGTH},
		{"sctp: 11 bytes", IP4("45", "001f", "0000", "84") SCTP, 0,
		 SHUNT_REASON_SCTP_SHORT},
		{"sctp: a header", IP4("45", "0020", "0000", "84") SCTP, 0, OK,
		 {IS_IP4, F(PROTO, 132), PORTS(0, 1)}, 14, 34},
		{"icmp: 7 bytes", IP4("45", "001b", "0000", "01") FILL8, 0,
		 SHUNT_REASON_ICMP_SHORT},
		{"icmp: 3 bytes", IP4("45", "0017", "0000", "01") "ffffff", 0,
		 SHUNT_REASON_ICMP_SHORT},
		{"icmp: type and code 255", IP4("45", "001c", "0000", "01") FILL8, 0, OK,
		 {IS_IP4, F(PROTO, 1), F(ICMP, 65535)}, 14, 34},
		{"icmp: echo reply", IP4("45", "001c", "0000", "01") "0000000000000000", 0, OK,
		 {IS_IP4, F(PROTO, 1), F(ICMP, 0)}, 14, 34},
		{"icmp6: 3 bytes", IP6("0003", "3a") "800000", 0, SHUNT_REASON_ICMP6_SHORT},
		{"icmp6: 4 bytes", IP6("0004", "3a") "80010000", 0, OK,
		 {IS_IP6, F(PROTO, 58), F(ICMP, 65536 + 0x8001)}, 14, 54},
		{"icmp6: first fragment, too short", IP6("0008", "2c") FRAG("3a", "0001"), 0,
		 SHUNT_REASON_ICMP6_SHORT},
	};
	/* clang-format on */

	(void)ctx;
	check_rows(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_layer),
		cmocka_unit_test(ip4),
		cmocka_unit_test(ip6),
		cmocka_unit_test(chains_of_extension_headers),
		cmocka_unit_test(transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
