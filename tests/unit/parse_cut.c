/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser on frames cut at every byte, on random frames, and on damaged ones. */
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

static int parse(const uint8_t *bytes, size_t view, size_t len, struct shunt_pkt *pkt)
{
	const char *unsound;
	int code = shunt_parse_exact(bytes, view, len, pkt, &unsound);

	if (unsound)
		fail_msg("%s", unsound);
	return code;
}

static const struct shunt_policy no_rules;

static void draw_sound(struct shunt_random *r, struct shunt_frame_spec *spec,
		       struct shunt_model_frame *frame)
{
	shunt_traffic_draw(r, &no_rules, spec);
	spec->fault = SHUNT_FAULT_NONE;
	shunt_frame_build(spec, frame);
}

/* --- whole frames ---------------------------------------------------------- */

static void fail_on(const struct shunt_model_frame *frame, int code)
{
	char text[2 * SHUNT_FRAME_ROOM + 1];

	shunt_frame_hex(frame->bytes, frame->len, text);
	fail_msg("reason %d instead of %d, or wrong fields: %s", code, frame->reason,
		 text);
}

static void what_was_put_into_a_frame_is_found_in_it(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(4) };
	uint64_t n = shunt_random_cases(300000);
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	struct shunt_pkt pkt;

	(void)ctx;
	while (n--) {
		int code;

		shunt_traffic_draw(&r, &no_rules, &spec);
		shunt_frame_build(&spec, &frame);
		code = parse(frame.bytes, frame.len, frame.len, &pkt);
		if (code != frame.reason ||
		    (code == SHUNT_PARSE_OK && !shunt_frame_holds(&frame, &pkt)))
			fail_on(&frame, code);
	}
}

/* --- cut frames ------------------------------------------------------------ */

static size_t ip_off(const struct shunt_frame_spec *spec)
{
	return 14 + 4 * (spec->tags < 2 ? spec->tags : 2);
}

/* The layer in which a frame that ends after `len` bytes breaks off. */
static int reason_of_cut(const struct shunt_frame_spec *spec,
			 const struct shunt_model_frame *frame, size_t len)
{
	size_t ip = ip_off(spec);

	if (len < 14)
		return SHUNT_REASON_ETH_SHORT;
	if (len < ip)
		return SHUNT_REASON_VLAN_SHORT;
	if (spec->tags > 2 || len >= frame->len - spec->pad)
		return SHUNT_PARSE_OK;
	if (spec->l3 == SHUNT_L3_IP4)
		return len < ip + 20 ? SHUNT_REASON_IP4_SHORT : SHUNT_REASON_IP4_LENGTH;
	if (spec->l3 == SHUNT_L3_IP6)
		return len < ip + 40 ? SHUNT_REASON_IP6_SHORT : SHUNT_REASON_IP6_LENGTH;
	return spec->eth_type == 0x0806 ? SHUNT_REASON_ARP_SHORT : SHUNT_PARSE_OK;
}

static void a_cut_frame_is_the_fault_of_the_layer_that_was_cut(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(5) };
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	struct shunt_pkt pkt;
	int n;

	(void)ctx;
	for (n = 0; n < 3000; n++) {
		draw_sound(&r, &spec, &frame);
		for (size_t len = 0; len < frame.len; len++) {
			int want = reason_of_cut(&spec, &frame, len);
			int code = parse(frame.bytes, len, len, &pkt);

			if (code != want) {
				print_error("cut after %zu of %zu bytes: reason %d, "
					    "not %d\n",
					    len, frame.len, code, want);
				fail_on(&frame, code);
			}
		}
	}
}

/* Fixed bytes of the transport header that the parser reads. */
static size_t transport_bytes(const struct shunt_frame_spec *spec)
{
	if (spec->fragment == SHUNT_FRAGMENT_LATER)
		return 0;
	switch (spec->proto) {
	case 6:
		return 20;
	case 17:
		return 8;
	case 132:
		return 12;
	case 1: /* type, code, checksum of the eight */
		return spec->l3 == SHUNT_L3_IP4 ? 4 : 0;
	case 58:
		return spec->l3 == SHUNT_L3_IP6 ? 4 : 0;
	default:
		return 0;
	}
}

static void hide(const struct shunt_frame_spec *spec,
		 const struct shunt_model_frame *frame, size_t view)
{
	size_t need = frame->pkt.layer[SHUNT_OUTER].l4_off + transport_bytes(spec);
	struct shunt_pkt pkt;
	int code = parse(frame->bytes, view, frame->len, &pkt);

	if (code == SHUNT_PARSE_OK) {
		assert_true(shunt_frame_part(&pkt, &frame->pkt));
		assert_true(!transport_bytes(spec) ||
			    frame->pkt.layer[SHUNT_OUTER].l3 == SHUNT_L3_NONE ||
			    view >= need);
		return;
	}
	if (code != SHUNT_REASON_DEEP || (frame->pkt.layer[SHUNT_OUTER].l4_off &&
					  transport_bytes(spec) && view >= need))
		fail_on(frame, code);
}

/* The rest of a frame may lie where the hook cannot look: then no layer is at fault. */
static void what_cannot_be_seen_is_deep_and_nothing_else(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(6) };
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	int n;

	(void)ctx;
	for (n = 0; n < 3000; n++) {
		draw_sound(&r, &spec, &frame);
		for (size_t view = 0; view < frame.len; view++)
			hide(&spec, &frame, view);
	}
}

/* The frame is whole, but the IP packet ends early: the rest is padding. */
static void an_ip_packet_that_ends_early_is_cut_though_its_bytes_are_there(void **ctx)
{
	static const struct {
		uint8_t proto;
		size_t bytes; /* that a packet must have */
		int reason;
	} rows[] = {
		{ 6, 20, SHUNT_REASON_TCP_SHORT },    { 17, 8, SHUNT_REASON_UDP_SHORT },
		{ 132, 12, SHUNT_REASON_SCTP_SHORT }, { 1, 8, SHUNT_REASON_ICMP_SHORT },
		{ 58, 4, SHUNT_REASON_ICMP6_SHORT },
	};
	struct shunt_frame_spec spec = { .payload = 40 };
	struct shunt_model_frame frame;
	struct shunt_pkt pkt;
	size_t i, bytes;
	int code;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		spec.proto = rows[i].proto;
		spec.l3 = spec.proto == 58 ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
		shunt_frame_build(&spec, &frame);
		for (bytes = 0; bytes < rows[i].bytes; bytes++) {
			size_t at = spec.l3 == SHUNT_L3_IP4 ? 16 : 18;

			frame.bytes[at] = 0;
			frame.bytes[at + 1] =
				bytes + (spec.l3 == SHUNT_L3_IP4 ? 20 : 0);
			code = parse(frame.bytes, frame.len, frame.len, &pkt);
			assert_int_equal(code, rows[i].reason);
			assert_int_equal(
				pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT], 0);
			assert_int_equal(pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_ICMP],
					 0);
		}
	}
}

/* --- damaged frames -------------------------------------------------------- */

static void damage_changes_the_answer_but_never_its_soundness(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(7) };
	uint64_t n = shunt_random_cases(300000);
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	struct shunt_pkt pkt;

	(void)ctx;
	while (n--) {
		uint32_t flips = shunt_random_in(&r, 1, 4), view;

		draw_sound(&r, &spec, &frame);
		while (flips--) {
			uint32_t head = frame.len < 80 ? frame.len : 80;

			frame.bytes[shunt_random_below(&r, head)] =
				shunt_random_one_in(&r, 2) ? shunt_random_next(&r) : 0;
		}
		view = shunt_random_one_in(&r, 2)
			       ? frame.len
			       : shunt_random_below(&r, frame.len + 1);
		(void)parse(frame.bytes, view, frame.len, &pkt);
		(void)parse(frame.bytes, view, view, &pkt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_into_a_frame_is_found_in_it),
		cmocka_unit_test(a_cut_frame_is_the_fault_of_the_layer_that_was_cut),
		cmocka_unit_test(what_cannot_be_seen_is_deep_and_nothing_else),
		cmocka_unit_test(
			an_ip_packet_that_ends_early_is_cut_though_its_bytes_are_there),
		cmocka_unit_test(damage_changes_the_answer_but_never_its_soundness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
