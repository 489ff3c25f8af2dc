/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames made from what a parser is to find in them, against the model's packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "loader/policy/forge.h"
#include "tests/model/fixture.h"
#include "tests/model/kind.h"
#include "tests/model/sound.h"
#include "tests/model/sums.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

#define POLICIES 60
#define PACKETS 1000
#define UNFIT 4096 /* of a frame of its own size; the longest that is tried */

static uint8_t bytes[SHUNT_FORGE_ROOM];

/* What a frame of another length, with other headers in it, may differ in. */
static void blur(struct shunt_layer *l, bool length)
{
	l->l3_off = l->l4_off = 0;
	if (length)
		l->field[SHUNT_FIELD_LENGTH] = 0;
}

static bool is_like(const struct shunt_pkt *got, const struct shunt_pkt *wish)
{
	struct shunt_pkt a = *got, b = *wish;
	int layer;

	for (layer = 0; layer < SHUNT_LAYERS; layer++) {
		bool length = !wish->layer[layer].field[SHUNT_FIELD_LENGTH];

		blur(&a.layer[layer], length);
		blur(&b.layer[layer], length);
	}
	a.len = b.len = 0;
	return shunt_frame_same(&a, &b);
}

/* A tunnel's port or protocol without a tunnel's header behind it. */
static bool is_half_a_tunnel(const struct shunt_pkt *pkt)
{
	const struct shunt_layer *l = &pkt->layer[SHUNT_OUTER];

	if (l->field[SHUNT_FIELD_TUNNEL])
		return !pkt->layer[SHUNT_INNER].field[SHUNT_FIELD_LENGTH];
	return l->field[SHUNT_FIELD_PROTO] == 47 + 1 ||
	       l->field[SHUNT_FIELD_DPORT] == 6081 + 1;
}

static void check(const struct shunt_pkt *wish, int len)
{
	struct shunt_pkt pkt, again;
	const char *unsound;

	assert_int_equal(shunt_unforge(bytes, len, &pkt), SHUNT_FRAME_SOUND);
	assert_int_equal(shunt_parse_exact(bytes, len, len, &again, &unsound),
			 SHUNT_FRAME_SOUND);
	assert_null(unsound);
	assert_true(is_like(&pkt, wish));
	assert_null(shunt_sums_fault(bytes, len));
}

static void what_is_forged_is_what_was_wished(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x464f524745) };
	struct shunt_author author = { .random = &r };
	size_t made = 0, tunnels = 0, refused = 0;
	int i, p;

	(void)ctx;
	for (i = 0; i < POLICIES; i++) {
		_free_ char *text = shunt_kind_write(SHUNT_KIND_FEW, &author);
		struct shunt_policy *policy = shunt_fixture_policy(text);

		for (p = 0; p < PACKETS; p++) {
			struct shunt_traffic traffic;
			struct shunt_model_frame frame;
			struct shunt_pkt wish;
			int len;

			shunt_traffic_draw_both(&r, policy, &traffic);
			shunt_frame_build(&traffic.spec, &frame);
			wish = frame.pkt;
			if (frame.reason != SHUNT_FRAME_SOUND ||
			    is_half_a_tunnel(&wish))
				continue;
			if (shunt_random_one_in(&r, 2))
				wish.layer[SHUNT_OUTER].field[SHUNT_FIELD_LENGTH] = 0;
			/* a first fragment is filled up to 8n bytes */
			if (shunt_random_one_in(&r, 2) || traffic.spec.fragment)
				wish.layer[SHUNT_INNER].field[SHUNT_FIELD_LENGTH] = 0;
			len = shunt_forge(&wish, bytes, sizeof(bytes));
			if (len < 0) {
				refused++;
				continue;
			}
			check(&wish, len);
			made++;
			tunnels +=
				wish.layer[SHUNT_OUTER].field[SHUNT_FIELD_TUNNEL] > 0;
		}
		shunt_policy_free(policy);
	}
	print_message("%zu made, %zu of them tunnels; %zu refused\n", made, tunnels,
		      refused);
	assert_true(made > 20000 && tunnels > 2000 && refused < made / 2);
}

static void a_frame_reaches_its_length_or_is_refused(void **ctx)
{
	struct shunt_pkt wish = { .len = 0 }, pkt;
	struct shunt_layer *l = &wish.layer[SHUNT_OUTER];
	int len, least;

	(void)ctx;
	l->l3 = SHUNT_L3_IP4;
	assert_int_equal(shunt_forge(&wish, bytes, sizeof(bytes)), -EINVAL);
	l->field[SHUNT_FIELD_PROTO] = 17 + 1;
	least = shunt_forge(&wish, bytes, sizeof(bytes));
	assert_int_equal(least, 50);
	for (len = least - 2; len < UNFIT; len++) {
		l->field[SHUNT_FIELD_LENGTH] = len + 1;
		assert_int_equal(shunt_forge(&wish, bytes, UNFIT / 2),
				 len < least || len > UNFIT / 2 ? -EMSGSIZE : len);
		if (len < least || len > UNFIT / 2)
			continue;
		assert_int_equal(shunt_unforge(bytes, len, &pkt), SHUNT_FRAME_SOUND);
		assert_int_equal(pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_LENGTH],
				 len + 1);
	}
}

static void sctp_has_its_own_sum(void **ctx)
{
	struct shunt_pkt wish = { .len = 0 };
	struct shunt_layer *l = &wish.layer[SHUNT_OUTER];
	uint8_t sum[4];
	uint32_t crc = ~0u;
	int len, i, bit;

	(void)ctx;
	l->l3 = SHUNT_L3_IP6;
	l->field[SHUNT_FIELD_PROTO] = 132 + 1;
	len = shunt_forge(&wish, bytes, sizeof(bytes));
	assert_true(len > 54 + 12);
	memcpy(sum, bytes + 54 + 8, 4);
	memset(bytes + 54 + 8, 0, 4);
	for (i = 54; i < len; i++)
		for (crc ^= bytes[i], bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1) * 0x82f63b78;
	crc = ~crc;
	assert_memory_equal(sum, &crc, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_forged_is_what_was_wished),
		cmocka_unit_test(a_frame_reaches_its_length_or_is_refused),
		cmocka_unit_test(sctp_has_its_own_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
