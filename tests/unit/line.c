/* SPDX-License-Identifier: BSD-2-Clause */
/* A parsed packet in words, and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/pkt_json.h"
#include "tests/model/frame.h"
#include "user/net/line.h"

#define HOSTS .src = { 192, 0, 2, 1 }, .dst = { 192, 0, 2, 2 }
#define DEEP                                                                           \
	.src = { 0x20, 1, 0x0d, 0xb8, [15] = 1 },                                      \
	.dst = { 0x20, 1, 0x0d, 0xb8, [15] = 2 }

static const struct shunt_frame_spec tcp = {
	.l3 = SHUNT_L3_IP4,
	HOSTS,
	.proto = 6,
	.sport = 1024,
	.dport = 80,
	.flags = 0x12,
	.dscp = 46,
};
static const struct shunt_frame_spec ping6 = {
	.l3 = SHUNT_L3_IP6,
	DEEP,
	.proto = 58,
	.icmp_type = 128,
	.bare = 1,
};
static const struct shunt_frame_spec tagged = {
	.tags = 2,
	.tag = { { 0x88a8, 10 }, { 0x8100, 20 } },
	.l3 = SHUNT_L3_IP6,
	DEEP,
	.proto = 17,
	.sport = 1,
	.dport = 2,
};
static const struct shunt_frame_spec lldp = {
	.eth_type = 0x88cc,
	.mac = { { 2, 0, 0, 0, 0, 0x0a }, { 2, 0, 0, 0, 0, 0x0b } },
};

/* The packet of a frame, carried by a tunnel where there is one. */
static void look(const struct shunt_frame_spec *spec, struct shunt_pkt *pkt)
{
	struct shunt_model_frame frame;

	shunt_frame_build(spec, &frame);
	assert_int_equal(shunt_frame_parse(frame.bytes, frame.len, pkt), -1);
}

static void carried(enum shunt_tunnel kind, uint32_t key,
		    const struct shunt_frame_spec *inner, struct shunt_pkt *pkt)
{
	struct shunt_frame_spec outer = { .l3 = SHUNT_L3_IP4, HOSTS, .sport = 4000 };

	shunt_frame_carry(&outer, kind, key, inner);
	look(&outer, pkt);
}

static void check_line(const struct shunt_pkt *pkt, const char *want)
{
	char text[SHUNT_LINE_ROOM];

	assert_string_equal(shunt_line(pkt, -1, text), want);
}

static void a_packet_in_one_line(void **ctx)
{
	struct shunt_pkt pkt;

	(void)ctx;
	look(&tcp, &pkt);
	check_line(&pkt, "192.0.2.1:1024 > 192.0.2.2:80 tcp syn,ack dscp 46");
	look(&lldp, &pkt);
	check_line(&pkt, "02:00:00:00:00:0a > 02:00:00:00:00:0b 0x88cc");
	carried(SHUNT_TUNNEL_VXLAN, 100, &tagged, &pkt);
	check_line(&pkt, "192.0.2.1:4000 > 192.0.2.2:4789 udp vxlan 100 (vlan 10.20 "
			 "[2001:db8::1]:1 > [2001:db8::2]:2 udp)");
	carried(SHUNT_TUNNEL_GENEVE, 0, &lldp, &pkt);
	check_line(&pkt, "192.0.2.1:4000 > 192.0.2.2:6081 udp geneve 0 "
			 "(02:00:00:00:00:0a > 02:00:00:00:00:0b 0x88cc)");
	carried(SHUNT_TUNNEL_IPIP, 0, &ping6, &pkt);
	check_line(&pkt, "192.0.2.1 > 192.0.2.2 proto 41 ipip (2001:db8::1 > "
			 "2001:db8::2 icmp6 type 128 code 0)");
	carried(SHUNT_TUNNEL_GRE, 0xffffffff, NULL, &pkt);
	check_line(&pkt, "192.0.2.1 > 192.0.2.2 proto 47 gre 4294967295");
}

static void a_packet_as_json(void **ctx)
{
	struct shunt_pkt pkt;
	char *text;
	cJSON *json;

	(void)ctx;
	carried(SHUNT_TUNNEL_GRE, 7, &tcp, &pkt);
	json = shunt_pkt_json(&pkt);
	text = cJSON_PrintUnformatted(json);
	assert_string_equal(
		text,
		"{\"src_mac\":\"02:00:00:00:00:01\",\"dst_mac\":\"02:00:00:00:00:02\","
		"\"eth_type\":\"0x0800\",\"src\":\"192.0.2.1\",\"dst\":\"192.0.2.2\","
		"\"proto\":47,\"dscp\":0,\"fragment\":\"none\",\"length\":96,"
		"\"l3_offset\":14,\"l4_offset\":34,\"tunnel\":{\"type\":\"gre\","
		"\"key\":7,\"inner\":{\"src_mac\":\"02:00:00:00:00:01\","
		"\"dst_mac\":\"02:00:00:00:00:02\",\"eth_type\":\"0x0800\","
		"\"src\":\"192.0.2.1\",\"dst\":\"192.0.2.2\",\"proto\":6,\"dscp\":46,"
		"\"fragment\":\"none\",\"sport\":1024,\"dport\":80,"
		"\"tcp_flags\":\"syn,ack\",\"length\":54,\"l3_offset\":56,"
		"\"l4_offset\":76}}}");
	cJSON_free(text);
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_in_one_line),
		cmocka_unit_test(a_packet_as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
