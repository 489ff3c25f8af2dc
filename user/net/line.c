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

static void say_end(struct line *line, const struct shunt_layer *l, int side,
		    __u32 port)
{
	char text[SHUNT_PKT_ADDR_ROOM];

	shunt_pkt_addr_text(l->l3, l->addr[side], text);
	if (!port)
		say(line, "%s", text);
	else if (l->l3 == SHUNT_L3_IP6)
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

static void say_ip(struct line *line, const struct shunt_layer *l)
{
	const __u32 *field = l->field;
	char flags[SHUNT_PKT_TCP_FLAGS_ROOM];

	say_end(line, l, SHUNT_SIDE_SRC, field[SHUNT_FIELD_SPORT]);
	say(line, " > ");
	say_end(line, l, SHUNT_SIDE_DST, field[SHUNT_FIELD_DPORT]);
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
	if (field[SHUNT_FIELD_DSCP] > 1)
		say(line, " dscp %u", field[SHUNT_FIELD_DSCP] - 1);
}

static void say_ether(struct line *line, const struct shunt_layer *l)
{
	char src[SHUNT_PKT_MAC_ROOM], dst[SHUNT_PKT_MAC_ROOM];
	__u32 type = l->field[SHUNT_FIELD_ETH_TYPE];

	say(line, "%s > %s",
	    shunt_mac_text(shunt_layer_wide(l, SHUNT_FIELD_SRC_MAC) - 1, src),
	    shunt_mac_text(shunt_layer_wide(l, SHUNT_FIELD_DST_MAC) - 1, dst));
	if (!type)
		say(line, " llc");
	else if (type - 1 == SHUNT_ETH_ARP)
		say(line, " arp");
	else
		say(line, " 0x%04x", type - 1);
}

static void say_layer(struct line *line, const struct shunt_layer *l)
{
	const __u32 *field = l->field;

	if (field[SHUNT_FIELD_VLAN_INNER])
		say(line, "vlan %u.%u ", field[SHUNT_FIELD_VLAN] - 1,
		    field[SHUNT_FIELD_VLAN_INNER] - 1);
	else if (field[SHUNT_FIELD_VLAN])
		say(line, "vlan %u ", field[SHUNT_FIELD_VLAN] - 1);
	if (l->l3 != SHUNT_L3_NONE)
		say_ip(line, l);
	else if (shunt_layer_wide(l, SHUNT_FIELD_SRC_MAC))
		say_ether(line, l);
}

static void say_tunnel(struct line *line, const struct shunt_pkt *pkt)
{
	const struct shunt_layer *l = &pkt->layer[SHUNT_OUTER];
	__u64 key = shunt_layer_wide(l, SHUNT_FIELD_KEY);

	if (!l->field[SHUNT_FIELD_TUNNEL])
		return;
	say(line, " %s", shunt_tunnel_name(l->field[SHUNT_FIELD_TUNNEL] - 1));
	if (key)
		say(line, " %llu", (unsigned long long)key - 1);
	if (!pkt->layer[SHUNT_INNER].field[SHUNT_FIELD_LENGTH])
		return;
	say(line, " (");
	say_layer(line, &pkt->layer[SHUNT_INNER]);
	say(line, ")");
}

const char *shunt_line(const struct shunt_pkt *pkt, int reason,
		       char text[SHUNT_LINE_ROOM])
{
	struct line line = { .text = text };

	text[0] = '\0';
	say_layer(&line, &pkt->layer[SHUNT_OUTER]);
	say_tunnel(&line, pkt);
	if (reason >= 0)
		say(&line, "%smalformed: %s", line.used ? " " : "",
		    shunt_frame_fault(reason));
	return text;
}
