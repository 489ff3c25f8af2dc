/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bpf/lib/parse.h"
#include "loader/pkt_json.h"

int shunt_frame_parse(const void *data, uint32_t len, struct shunt_pkt *pkt)
{
	memset(pkt, 0, sizeof(*pkt));
	pkt->len = len;
	return shunt_parse(data, (const uint8_t *)data + len, 0, pkt);
}

const char *shunt_frame_fault(int reason)
{
	static const char *const names[SHUNT_REASON_MAX] = {
#define X(id, value, name, malformed, help) [value] = name,
		SHUNT_REASONS(X)
#undef X
	};

	return reason >= 0 && reason < SHUNT_REASON_MAX ? names[reason] : NULL;
}

struct line {
	char *text;
	size_t used;
};

static void say(struct line *line, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct line *line, const char *fmt, ...)
{
	size_t room = SHUNT_LINE_ROOM - line->used;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line->text + line->used, room, fmt, args);
	va_end(args);
	if (n > 0)
		line->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void say_mac(struct line *line, const __u8 mac[6])
{
	say(line, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
	    mac[4], mac[5]);
}

static void say_end(struct line *line, const struct shunt_pkt *pkt, const __u32 addr[4],
		    __u32 port)
{
	char text[SHUNT_PKT_ADDR_ROOM];

	shunt_pkt_addr_text(pkt, addr, text);
	if (!port)
		say(line, "%s", text);
	else if (pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP6)
		say(line, "[%s]:%u", text, port - 1);
	else
		say(line, "%s:%u", text, port - 1);
}

/* The protocols that the parser takes apart; the others stand as numbers. */
static void say_proto(struct line *line, __u32 proto)
{
	switch (proto) {
	case SHUNT_IP_TCP:
		say(line, " tcp");
		break;
	case SHUNT_IP_UDP:
		say(line, " udp");
		break;
	case SHUNT_IP_SCTP:
		say(line, " sctp");
		break;
	case SHUNT_IP_ICMP:
		say(line, " icmp");
		break;
	case SHUNT_IP_ICMP6:
		say(line, " icmp6");
		break;
	default:
		say(line, " proto %u", proto);
	}
}

static void say_ip(struct line *line, const struct shunt_pkt *pkt)
{
	const __u32 *field = pkt->layer[SHUNT_OUTER].field;
	char flags[SHUNT_PKT_TCP_FLAGS_ROOM];

	say_end(line, pkt, pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC],
		field[SHUNT_FIELD_SPORT]);
	say(line, " > ");
	say_end(line, pkt, pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST],
		field[SHUNT_FIELD_DPORT]);
	if (field[SHUNT_FIELD_PROTO])
		say_proto(line, field[SHUNT_FIELD_PROTO] - 1);
	if (field[SHUNT_FIELD_TCP_FLAGS] > 1)
		say(line, " %s",
		    shunt_tcp_flags_text(field[SHUNT_FIELD_TCP_FLAGS] - 1, flags));
	if (field[SHUNT_FIELD_ICMP])
		say(line, " type %u code %u", (field[SHUNT_FIELD_ICMP] - 1) >> 8 & 0xff,
		    (field[SHUNT_FIELD_ICMP] - 1) & 0xff);
	if (field[SHUNT_FIELD_FRAGMENT] > SHUNT_FRAGMENT_NONE + 1)
		say(line, " %s fragment",
		    shunt_fragment_name(field[SHUNT_FIELD_FRAGMENT] - 1));
}

static void say_ether(struct line *line, const struct shunt_eth *eth, __u32 type)
{
	say_mac(line, eth->src);
	say(line, " > ");
	say_mac(line, eth->dst);
	if (!type)
		say(line, " llc");
	else if (type - 1 == SHUNT_ETH_ARP)
		say(line, " arp");
	else
		say(line, " 0x%04x", type - 1);
}

const char *shunt_line(const void *data, const struct shunt_pkt *pkt, int reason,
		       char text[SHUNT_LINE_ROOM])
{
	const __u32 *field = pkt->layer[SHUNT_OUTER].field;
	struct line line = { .text = text };

	text[0] = '\0';
	if (field[SHUNT_FIELD_VLAN_INNER])
		say(&line, "vlan %u.%u ", field[SHUNT_FIELD_VLAN] - 1,
		    field[SHUNT_FIELD_VLAN_INNER] - 1);
	else if (field[SHUNT_FIELD_VLAN])
		say(&line, "vlan %u ", field[SHUNT_FIELD_VLAN] - 1);
	if (pkt->layer[SHUNT_OUTER].l3 != SHUNT_L3_NONE)
		say_ip(&line, pkt);
	else if (pkt->len >= sizeof(struct shunt_eth))
		say_ether(&line, data, field[SHUNT_FIELD_ETH_TYPE]);
	if (reason >= 0)
		say(&line, "%smalformed: %s", line.used ? " " : "",
		    shunt_frame_fault(reason));
	return text;
}
