/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/record_judge.h"

#include <stdio.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "loader/program.h"
#include "loader/state.h"
#include "maps/hook.h"
#include "maps/verdict.h"

static const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
#define X(id, value, name, help) [value] = name,
		SHUNT_RING_KINDS(X)
#undef X
	};

	return kind < sizeof(names) / sizeof(*names) ? names[kind] : "unknown";
}

/* Whatever is redirected, and to whom, is a REDIRECT. */
static uint64_t xdp_verdict(uint32_t verdict)
{
	switch (verdict) {
	case SHUNT_VERDICT_PASS:
		return XDP_PASS;
	case SHUNT_VERDICT_DROP:
		return XDP_DROP;
	case SHUNT_VERDICT_TX:
		return XDP_TX;
	default:
		return XDP_REDIRECT;
	}
}

static uint64_t tc_verdict(uint32_t verdict)
{
	switch (verdict) {
	case SHUNT_VERDICT_PASS:
		return TC_ACT_OK;
	case SHUNT_VERDICT_DROP:
		return TC_ACT_SHOT;
	default:
		return TC_ACT_REDIRECT;
	}
}

static void judge(struct shunt_pcapng_packet *to, const struct shunt_ring_event *event)
{
	to->way = event->hook == SHUNT_HOOK_TC_EGRESS ? SHUNT_PCAPNG_OUT
						      : SHUNT_PCAPNG_IN;
	if (event->hook == SHUNT_HOOK_XDP) {
		to->queue_known = 1;
		to->queue = event->queue;
		to->judge = SHUNT_PCAPNG_XDP;
		to->verdict = xdp_verdict(event->verdict);
	} else if (event->hook == SHUNT_HOOK_TC_INGRESS ||
		   event->hook == SHUNT_HOOK_TC_EGRESS) {
		to->judge = SHUNT_PCAPNG_TC;
		to->verdict = tc_verdict(event->verdict);
	}
}

/* What came by a consumer's socket was redirected there by XDP, whatever the rule. */
static void judge_socket(struct shunt_pcapng_packet *to,
			 const struct shunt_record_packet *packet)
{
	to->way = SHUNT_PCAPNG_IN;
	to->queue_known = 1;
	to->queue = packet->queue;
	to->judge = SHUNT_PCAPNG_XDP;
	to->verdict = XDP_REDIRECT;
}

static void describe(const struct shunt_record_packet *packet, char *text)
{
	const struct shunt_ring_event *event = packet->event;

	if (!event) {
		snprintf(text, SHUNT_PCAPNG_COMMENT, "verdict=%s consumer=%s",
			 shunt_action_name(SHUNT_VERDICT_CONSUMER), packet->consumer);
		return;
	}
	snprintf(text, SHUNT_PCAPNG_COMMENT,
		 "%s%s%sverdict=%s reason=%s hook=%s kind=%s%s%s",
		 packet->rule ? "rule=" : "", packet->rule ? packet->rule : "",
		 packet->rule ? " " : "", shunt_action_name(event->verdict),
		 shunt_reason_name(event->reason), shunt_hook_name(event->hook),
		 kind_name(event->kind), packet->consumer ? " consumer=" : "",
		 packet->consumer ? packet->consumer : "");
}

void shunt_record_judge(const struct shunt_record_packet *packet,
			struct shunt_pcapng_packet *to, char text[SHUNT_PCAPNG_COMMENT])
{
	if (packet->event)
		judge(to, packet->event);
	else if (packet->consumer)
		judge_socket(to, packet);
	else
		return;
	describe(packet, text);
	to->comment = text;
}
