/* SPDX-License-Identifier: BSD-2-Clause */
/* Parser and classifier on arbitrary frames; what comes out must be sound. */
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/parse.h"
#include "loader/policy/compile.h"
#include "loader/policy/judge.h"
#include "maps/counter.h"
#include "tests/model/frame.h"
#include "tests/model/model.h"
#include "tests/model/sound.h"

#define SET_ID 5

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Both kinds of match on every field, an address set, and rules in two words. */
static const char text[] =
	"{\"schema\":\"shunt.policy/1\",\"default\":\"drop\","
	"\"sets\":{\"s\":{\"type\":\"prefix\",\"elements\":[\"192.0.2.0/24\",\"::/"
	"1\"]}},"
	"\"rules\":["
	"{\"name\":\"eth\",\"match\":{\"eth_type\":[\"arp\",\"0x88cc\"]},\"action\":"
	"\"count\"},"
	"{\"name\":\"tag\",\"match\":{\"vlan\":\"1-4094\"},\"action\":\"count\"},"
	"{\"name\":\"tags\",\"match\":{\"vlan\":{\"inner\":\"any\"}},\"action\":"
	"\"count\"},"
	"{\"name\":\"frag\",\"match\":{\"fragment\":\"any\"},\"action\":\"count\"},"
	"{\"name\":\"syn\",\"match\":{\"tcp_flags\":\"syn/"
	"syn,ack\"},\"action\":\"tx\"},"
	"{\"name\":\"echo\",\"match\":{\"icmp\":\"echo-request\"},\"action\":\"drop\"},"
	"{\"name\":\"set\",\"match\":{\"src\":\"@s\",\"sport\":\"0-1023\"},\"action\":"
	"\"drop\"},"
	"{\"name\":\"to\",\"match\":{\"dst\":[\"10.0.0.0/9\",\"2001:db8::/"
	"33\",\"@s\"]},"
	"\"action\":\"pass\"},"
	"{\"name\":\"high\",\"match\":{\"proto\":[\"udp\",\"sctp\"],\"dport\":\"1024-"
	"65535\"},"
	"\"action\":\"pass\"}]}";

static struct shunt_policy *policy;
static struct shunt_image *image[2];

static void check(bool sound)
{
	if (!sound)
		abort();
}

/* The one set, said once more. */
static bool set_has(void *self, uint32_t id, uint32_t type, uint32_t l3,
		    const uint32_t addr[4], uint32_t service)
{
	const uint8_t *a = (const uint8_t *)addr;

	(void)self;
	(void)service;
	check(id == SET_ID && type == SHUNT_SET_PREFIX);
	return l3 == 4 ? a[0] == 192 && a[1] == 0 && a[2] == 2 : a[0] < 128;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct shunt_binding binding = { .set_id = { SET_ID } };
	struct shunt_diags diags = { 0 };
	struct shunt_compiled compiled;

	(void)argc;
	(void)argv;
	check(!shunt_policy_read(&policy, text, strlen(text), NULL, &diags));
	check(!shunt_compile(policy, &binding, &compiled, NULL));
	image[0] = compiled.image;
	binding.vector_max = 1; /* the same rules by the other engine */
	check(!shunt_compile(policy, &binding, &compiled, NULL));
	image[1] = compiled.image;
	return 0;
}

static void check_decision(const struct shunt_pkt *pkt)
{
	struct shunt_model want;
	struct shunt_judged got;
	size_t i, engine;

	shunt_model_decide(policy, "eth0", pkt, &want);
	for (engine = 0; engine < 2; engine++) {
		struct shunt_judge judge = { .image = image[engine],
					     .set_has = set_has };

		check(!shunt_judge_packet(&judge, pkt, &got));
		check(got.counted == want.counted && got.rule == want.rule);
		for (i = 0; i < want.counted; i++)
			check(got.counted_rule[i] == want.counted_rule[i]);
	}
}

/* All of the frame, or only its first `view` bytes to be seen. */
static int parse(const uint8_t *data, size_t view, size_t size, struct shunt_pkt *pkt)
{
	const char *unsound;
	int code = shunt_parse_exact(data, view, size, pkt, &unsound);

	check(!unsound);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_pkt pkt, part;
	int code = parse(data, size, size, &pkt), seen;

	if (code == SHUNT_PARSE_OK)
		check_decision(&pkt);
	if (size < 2)
		return 0;
	/* what is seen of a part is the same, or too little */
	seen = parse(data, data[size - 1] % size, size, &part);
	check(seen == SHUNT_REASON_DEEP || seen == code);
	if (seen == SHUNT_PARSE_OK)
		check(shunt_frame_part(&part, &pkt));
	return 0;
}
