/* SPDX-License-Identifier: BSD-2-Clause */
/* The server in the kernel, by test runs: whole frames in, whole frames out. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "bpf/lib/wire.h"
#include "loader/kv.h"
#include "maps/message.h"

#define PORT 7000
#define FRAME_MAX 3000

static const uint8_t server4[4] = { 192, 0, 2, 2 }, client4[4] = { 192, 0, 2, 1 };
static const uint8_t server6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 2 };
static const uint8_t client6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 1 };

/* --- frames, written down naively ---------------------------------------------------------- */

/* What is wrong with it, or unusual. */
enum oddity {
	PLAIN,
	NO_SUM,	    /* no UDP checksum */
	PSEUDO_SUM, /* that of the pseudo header alone, as sockets over veth leave it */
	WRONG_SUM,  /* UDP's */
	WRONG_SUM4, /* IPv4's */
	OTHER_PORT,
	OTHER_ADDRESS,
	OTHER_MAC,
	GROUP_SOURCE,
	OPTIONS, /* IPv4: a word of them; IPv6: a header of destination options */
	MORE,	 /* the first fragment */
	CUT,	 /* the UDP length goes beyond the packet */
	OWN_PORT /* from the port that it goes to */
};

struct spec {
	bool ip6;
	int tags;
	const char
		*text; /* of the datagram; a header in front where that is asked for */
	bool header;
	uint8_t flags;	  /* of the header */
	uint32_t long_of; /* bytes instead of the text's */
	enum oddity oddity;
};

struct bytes {
	uint8_t at[FRAME_MAX];
	uint32_t len;
};

static void put(struct bytes *to, const void *from, uint32_t len)
{
	memcpy(to->at + to->len, from, len);
	to->len += len;
}

static void put16(struct bytes *to, unsigned int value)
{
	const uint8_t two[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(to, two, 2);
}

static uint32_t add(uint32_t sum, const uint8_t *at, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void set16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The datagram of a question, or of an answer with other words. */
static void put_datagram(struct bytes *to, const struct spec *s, bool answer,
			 const char *text)
{
	const struct shunt_wire_header header = {
		.magic = SHUNT_WIRE_MAGIC,
		.flags = answer ? SHUNT_WIRE_ANSWER : s->flags,
		.channel = shunt_be16(9),
		.sequence = shunt_be32(123456789),
		.length = shunt_be32(s->long_of ?: (uint32_t)strlen(text)),
		.epoch = shunt_be16(0x1234),
	};
	uint32_t i;

	if (s->header)
		put(to, &header, sizeof(header));
	put(to, text, (uint32_t)strlen(text));
	for (i = (uint32_t)strlen(text); i < s->long_of; i++)
		to->at[to->len++] = (uint8_t)(i * 7);
}

static void put_ip(struct bytes *to, const struct spec *s, bool answer, uint32_t bytes)
{
	const uint8_t ttl = answer ? 64 : 37;
	uint32_t start = to->len;

	if (s->ip6) {
		bool options = s->oddity == OPTIONS;
		const uint8_t head[4] = { 0x60, 0, 0, 0 };
		const uint8_t next[2] = { options ? 60 : 17, ttl };
		const uint8_t ext[8] = { 17, 0, 1, 4 };

		put(to, head, 4);
		put16(to, bytes + (options ? 8 : 0));
		put(to, next, 2);
		put(to, answer ? server6 : client6, 16);
		put(to, answer ? client6 : server6, 16);
		if (s->oddity == OTHER_ADDRESS)
			to->at[to->len - 1] = 3;
		if (options)
			put(to, ext, 8);
		return;
	}
	put16(to, s->oddity == OPTIONS ? 0x4600 : 0x4500);
	put16(to, bytes + (s->oddity == OPTIONS ? 24 : 20));
	put16(to, 0xabcd);
	put16(to, s->oddity == MORE ? 0x2000 : 0x4000);
	put16(to, (uint32_t)ttl << 8 | 17);
	put16(to, 0);
	put(to, answer ? server4 : client4, 4);
	put(to, answer ? client4 : server4, 4);
	if (s->oddity == OTHER_ADDRESS)
		to->at[to->len - 1] = 3;
	if (s->oddity == OPTIONS)
		put(to, (const uint8_t[4]){ 1, 1, 1, 0 }, 4);
	set16(to->at + start + 10,
	      ~add(0, to->at + start, to->len - start) + (s->oddity == WRONG_SUM4));
}

/* Over the pseudo header, and what lies at `udp`. */
static uint32_t udp_sum(const struct bytes *frame, const struct spec *s, bool answer,
			uint32_t udp, uint32_t len, bool pseudo_only)
{
	const uint8_t *from = s->ip6 ? client6 : client4,
		      *to = s->ip6 ? server6 : server4;
	uint8_t tail[4] = { 0, 17 };
	uint32_t sum;

	(void)answer; /* the sum is the same */
	set16(tail + 2, len);
	sum = add(0, from, s->ip6 ? 16 : 4);
	sum = add(sum, to, s->ip6 ? 16 : 4);
	sum = add(sum, tail, 4);
	if (pseudo_only)
		return sum;
	sum = ~add(sum, frame->at + udp, len) & 0xffff;
	return sum ? sum : 0xffff;
}

static void build(struct bytes *frame, const struct spec *s, bool answer,
		  const char *text)
{
	const uint8_t here[6] = { 0 }, there[6] = { 2, 0, 0, 0, 0, 1 };
	struct bytes datagram = { .len = 0 };
	uint32_t udp;
	int i;

	put_datagram(&datagram, s, answer, text);
	frame->len = 0;
	put(frame, answer ? there : here, 6);
	put(frame, answer ? here : there, 6);
	frame->at[5] = s->oddity == OTHER_MAC ? 9 : frame->at[5];
	frame->at[6] |= s->oddity == GROUP_SOURCE;
	for (i = 0; i < s->tags; i++) {
		put16(frame, i + 1 < s->tags ? 0x88a8 : 0x8100);
		put16(frame, 0x2000u + (uint32_t)i);
	}
	put16(frame, s->ip6 ? 0x86dd : 0x0800);
	put_ip(frame, s, answer, 8 + datagram.len);
	udp = frame->len;
	put16(frame, answer ? PORT : s->oddity == OWN_PORT ? PORT : 40000);
	put16(frame, answer ? 40000 : s->oddity == OTHER_PORT ? 7001 : PORT);
	put16(frame, 8 + datagram.len + (s->oddity == CUT));
	put16(frame, 0);
	put(frame, datagram.at, datagram.len);
	if (s->oddity != NO_SUM || answer)
		set16(frame->at + udp + 6,
		      udp_sum(frame, s, answer, udp, 8 + datagram.len,
			      s->oddity == PSEUDO_SUM && !answer) +
			      (s->oddity == WRONG_SUM));
}

/* --- the server ---------------------------------------------------------------------------- */

static const char long_value[] =
	"a value that makes the answer longer than the question was: "
	"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
	"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
#define KEY64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct shunt_kv *serve(uint32_t modes)
{
	struct shunt_kv_opts opts = {
		.sz = sizeof(opts),
		.interface = "lo",
		.modes = modes,
		.keys = 8,
		.inbox_bytes = 1 << 16,
		.door = { .port = PORT, .addresses = 2, .l3 = { 4, 6 } },
	};
	struct shunt_err err, note;
	struct shunt_kv *kv;

	memcpy(opts.door.address[0], server4, 4);
	memcpy(opts.door.address[1], server6, 16);
	if (shunt_kv_open(&kv, &opts, &note, &err) ||
	    shunt_kv_set(kv, "colour", "green", 5, &err) ||
	    shunt_kv_set(kv, "long", long_value, strlen(long_value), &err) ||
	    shunt_kv_set(kv, KEY64, "x", 1, &err) ||
	    shunt_kv_set(kv, "empty", "", 0, &err) ||
	    shunt_kv_set(kv, "odd", "abc", 3, &err))
		fail_msg("%s", err.message);
	return kv;
}

/* The verdict; the frame becomes what comes out. */
static uint32_t run(const struct shunt_kv *kv, struct bytes *frame)
{
	static struct bytes in;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.at,
		    .data_size_in = frame->len, .data_out = frame->at,
		    .data_size_out = sizeof(frame->at), .repeat = 1);

	in = *frame;
	assert_int_equal(bpf_prog_test_run_opts(shunt_kv_program(kv), &opts), 0);
	frame->len = opts.data_size_out;
	return opts.retval;
}

static uint64_t count_of(const struct shunt_kv *kv, int result)
{
	uint64_t count[SHUNT_KV_RESULT_MAX];
	struct shunt_err err;

	assert_int_equal(shunt_kv_counts(kv, count, &err), 0);
	return count[result];
}

static void must_be(const char *name, const struct bytes *is, const struct bytes *want)
{
	uint32_t i;

	for (i = 0; i < is->len && i < want->len; i++)
		if (is->at[i] != want->at[i])
			fail_msg("%s: byte %u is %02x, not %02x", name, i, is->at[i],
				 want->at[i]);
	if (is->len != want->len)
		fail_msg("%s: %u bytes, not %u", name, is->len, want->len);
}

#define BOTH (SHUNT_KV_WITH_HEADER | SHUNT_KV_WITH_BARE)

/* A question, and its answer; NULL: there is none, and the frame passes as it came. */
static const struct row {
	const char *name;
	struct spec ask;
	const char *answer;
	int result;
	uint32_t modes; /* 0: BOTH and WITH_MISS */
} rows[] = {
	{ "echo", { .text = "echo hello" }, "said hello", SHUNT_KV_ECHO },
	{ "nothing but a verb", { .text = "echo" }, "said", SHUNT_KV_ECHO },
	{ "an odd number of bytes",
	  { .text = "echo hello!" },
	  "said hello!",
	  SHUNT_KV_ECHO },
	{ "a value", { .text = "get colour" }, "val colour 1 green", SHUNT_KV_HIT },
	{ "a terminal's line",
	  { .text = "get colour\r\n" },
	  "val colour 1 green",
	  SHUNT_KV_HIT },
	{ "a shorter answer",
	  { .text = "get empty                              " },
	  "val empty 4 ",
	  SHUNT_KV_HIT },
	{ "the longest key",
	  { .text = "get " KEY64 },
	  "val " KEY64 " 3 x",
	  SHUNT_KV_HIT },
	{ "the longest key, and more",
	  { .text = "get " KEY64 "0" },
	  NULL,
	  SHUNT_KV_UNKNOWN },
	{ "a value of odd length",
	  { .text = "get odd" },
	  "val odd 5 abc",
	  SHUNT_KV_HIT },
	{ "a miss", { .text = "get color" }, "non color", SHUNT_KV_MISS },
	{ "a miss for others", { .text = "get color" }, NULL, SHUNT_KV_ABSENT, BOTH },
	{ "no key", { .text = "get " }, NULL, SHUNT_KV_UNKNOWN },
	{ "a key behind blanks", { .text = "get  colour" }, NULL, SHUNT_KV_UNKNOWN },
	{ "two keys", { .text = "get colour odd" }, NULL, SHUNT_KV_UNKNOWN },
	{ "a control character", { .text = "get col\001our" }, NULL, SHUNT_KV_UNKNOWN },
	{ "a write", { .text = "set colour red" }, NULL, SHUNT_KV_UNKNOWN },
	{ "an answer", { .text = "val colour 1 green" }, NULL, SHUNT_KV_UNKNOWN },
	{ "an echo's answer", { .text = "said hello" }, NULL, SHUNT_KV_UNKNOWN },
	{ "short", { .text = "ech" }, NULL, SHUNT_KV_UNKNOWN },
	{ "nothing", { .text = "" }, NULL, SHUNT_KV_UNKNOWN },
	{ "header: echo",
	  { .text = "echo hello", .header = 1 },
	  "said hello",
	  SHUNT_KV_ECHO },
	{ "header: a value",
	  { .text = "get colour", .header = 1 },
	  "val colour 1 green",
	  SHUNT_KV_HIT },
	{ "header: a miss",
	  { .text = "get color", .header = 1 },
	  "non color",
	  SHUNT_KV_MISS },
	{ "header: a fragment of a message",
	  { .text = "echo hello", .header = 1, .flags = SHUNT_WIRE_MORE },
	  NULL,
	  SHUNT_KV_UNKNOWN },
	{ "header: an answer",
	  { .text = "echo hello", .header = 1, .flags = SHUNT_WIRE_ANSWER },
	  NULL,
	  SHUNT_KV_UNKNOWN },
	{ "header: not asked for",
	  { .text = "echo hello", .header = 1 },
	  NULL,
	  SHUNT_KV_UNKNOWN,
	  SHUNT_KV_WITH_BARE },
	{ "bare: not asked for",
	  { .text = "echo hello" },
	  NULL,
	  SHUNT_KV_UNKNOWN,
	  SHUNT_KV_WITH_HEADER },
	{ "all: bare",
	  { .text = "\001any" },
	  "\001any",
	  SHUNT_KV_ECHO,
	  BOTH | SHUNT_KV_WITH_ALL },
	{ "all: bare, from its own port",
	  { .text = "\001any", .oddity = OWN_PORT },
	  NULL,
	  SHUNT_KV_SELF,
	  BOTH | SHUNT_KV_WITH_ALL },
	{ "all: header",
	  { .text = "\001any", .header = 1 },
	  "\001any",
	  SHUNT_KV_ECHO,
	  BOTH | SHUNT_KV_WITH_ALL },
	{ "all: an answer",
	  { .text = "any", .header = 1, .flags = SHUNT_WIRE_ANSWER },
	  NULL,
	  SHUNT_KV_UNKNOWN,
	  BOTH | SHUNT_KV_WITH_ALL },
	{ "1400 bytes", { .text = "echo", .long_of = 1400 }, "said", SHUNT_KV_ECHO },
	{ "as long as can be",
	  { .text = "echo", .long_of = 2048 },
	  "said",
	  SHUNT_KV_ECHO },
	{ "longer", { .text = "echo", .long_of = 2049 }, NULL, SHUNT_KV_LONG },
	{ "longer than it was asked", { .text = "get long" }, NULL, SHUNT_KV_HIT },
	{ "one tag",
	  { .text = "get colour", .tags = 1 },
	  "val colour 1 green",
	  SHUNT_KV_HIT },
	{ "two tags",
	  { .text = "get colour", .tags = 2, .header = 1 },
	  "val colour 1 green",
	  SHUNT_KV_HIT },
	{ "the pseudo header's sum",
	  { .text = "echo hello", .oddity = PSEUDO_SUM },
	  "said hello",
	  SHUNT_KV_ECHO },
	{ "the pseudo header's sum, a value",
	  { .text = "get colour", .oddity = PSEUDO_SUM },
	  "val colour 1 green",
	  SHUNT_KV_HIT },
	{ "a wrong sum",
	  { .text = "echo hello", .oddity = WRONG_SUM },
	  NULL,
	  SHUNT_KV_CHECKSUM },
	{ "another port",
	  { .text = "echo hello", .oddity = OTHER_PORT },
	  NULL,
	  SHUNT_KV_OTHER },
	{ "another address",
	  { .text = "echo hello", .oddity = OTHER_ADDRESS },
	  NULL,
	  SHUNT_KV_OTHER },
	{ "another MAC address",
	  { .text = "echo hello", .oddity = OTHER_MAC },
	  NULL,
	  SHUNT_KV_OTHER },
	{ "from a group",
	  { .text = "echo hello", .oddity = GROUP_SOURCE },
	  NULL,
	  SHUNT_KV_SELF },
	{ "options",
	  { .text = "echo hello", .oddity = OPTIONS },
	  NULL,
	  SHUNT_KV_OPTIONS },
	{ "longer than its packet",
	  { .text = "echo hello", .oddity = CUT },
	  NULL,
	  SHUNT_KV_MALFORMED },
};

static void check_row(const struct shunt_kv *kv, const struct row *row, bool ip6)
{
	uint64_t before = count_of(kv, row->result);
	static struct bytes frame, want;
	struct spec spec = row->ask;
	char name[128], text[1024];
	const char *answer = row->answer;
	uint32_t verdict;

	spec.ip6 = ip6;
	snprintf(name, sizeof(name), "%s, IPv%d", row->name, ip6 ? 6 : 4);
	if (!strcmp(row->ask.text, "get long")) {
		snprintf(text, sizeof(text), "val long 2 %s", long_value);
		answer = text;
	}
	build(&frame, &spec, false, spec.text);
	want = frame;
	if (answer)
		build(&want, &spec, true, answer);
	verdict = run(kv, &frame);
	must_be(name, &frame, &want);
	if (verdict != (answer ? XDP_TX : XDP_PASS))
		fail_msg("%s: verdict %u", name, verdict);
	if (count_of(kv, row->result) != before + 1)
		fail_msg("%s: not counted as %d", name, row->result);
}

/* All rows that are of these modes, by one server: to load it takes long. */
static size_t check_modes(uint32_t modes)
{
	struct shunt_kv *kv = serve(modes ?: BOTH | SHUNT_KV_WITH_MISS);
	size_t i, n = 0;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].modes != modes)
			continue;
		check_row(kv, &rows[i], false);
		check_row(kv, &rows[i], true);
		n++;
	}
	shunt_kv_close(kv);
	return n;
}

static void questions_are_answered_over_both_families(void **state)
{
	static const uint32_t modes[] = { 0, BOTH, SHUNT_KV_WITH_BARE,
					  SHUNT_KV_WITH_HEADER,
					  BOTH | SHUNT_KV_WITH_ALL };
	size_t i, n = 0;

	(void)state;
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		n += check_modes(modes[i]);
	assert_int_equal(n, sizeof(rows) / sizeof(*rows));
}

static void ip4_has_its_own_ways_to_be_wrong(void **state)
{
	static const struct row own[] = {
		{ "no sum",
		  { .text = "echo hello", .oddity = NO_SUM },
		  "said hello",
		  SHUNT_KV_ECHO },
		{ "a wrong sum of the header",
		  { .text = "echo", .oddity = WRONG_SUM4 },
		  NULL,
		  SHUNT_KV_CHECKSUM },
		{ "the first fragment",
		  { .text = "echo hello!!!!!!", .oddity = MORE },
		  NULL,
		  SHUNT_KV_FRAGMENT },
	};
	const struct row no_sum6 = { "no sum",
				     { .text = "echo hello", .oddity = NO_SUM },
				     NULL,
				     SHUNT_KV_CHECKSUM };
	struct shunt_kv *kv = serve(BOTH | SHUNT_KV_WITH_MISS);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(own) / sizeof(*own); i++)
		check_row(kv, &own[i], false);
	check_row(kv, &no_sum6, true);
	shunt_kv_close(kv);
}

static void a_value_changes_while_it_is_asked_for(void **state)
{
	struct shunt_kv *kv = serve(BOTH | SHUNT_KV_WITH_MISS);
	const struct spec spec = { .text = "get colour" };
	static struct bytes ask, frame, want;
	struct shunt_err err;

	(void)state;
	build(&ask, &spec, false, spec.text);
	assert_int_equal(shunt_kv_set(kv, "colour", "red", 3, &err), 0);
	frame = ask;
	run(kv, &frame);
	build(&want, &spec, true, "val colour 6 red");
	must_be("set again", &frame, &want);
	assert_int_equal(shunt_kv_del(kv, "colour", &err), 0);
	assert_int_equal(shunt_kv_del(kv, "colour", &err), -ENOENT);
	frame = ask;
	run(kv, &frame);
	build(&want, &spec, true, "non colour");
	must_be("deleted", &frame, &want);
	assert_int_equal(shunt_kv_keys(kv), 4);
	shunt_kv_close(kv);
}

static void keys_and_values_have_limits(void **state)
{
	struct shunt_kv *kv = serve(BOTH);
	static const char much[SHUNT_KV_VALUE_MAX + 1];
	struct shunt_err err;
	char name[8];
	int i;

	(void)state;
	assert_int_equal(shunt_kv_set(kv, "", "x", 1, &err), -EINVAL);
	assert_int_equal(shunt_kv_set(kv, "a b", "x", 1, &err), -EINVAL);
	assert_int_equal(shunt_kv_set(kv, KEY64 "0", "x", 1, &err), -EINVAL);
	assert_int_equal(shunt_kv_set(kv, "k", much, sizeof(much), &err), -EINVAL);
	assert_int_equal(shunt_kv_set(kv, "k", much, sizeof(much) - 1, &err), 0);
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(shunt_kv_set(kv, name, "x", 1, &err), 0);
	}
	assert_int_equal(shunt_kv_set(kv, "one more", "x", 1, &err), -EINVAL);
	assert_int_equal(shunt_kv_set(kv, "more", "x", 1, &err), -E2BIG);
	assert_int_equal(shunt_kv_set(kv, "k", "y", 1, &err), 0);
	shunt_kv_close(kv);
}

static void what_is_left_goes_into_the_inbox_until_it_is_full(void **state)
{
	struct shunt_kv *kv = serve(BOTH | SHUNT_KV_WITH_INBOX);
	const struct spec left = { .text = "set colour red" },
			  asked = { .text = "get odd" };
	const unsigned int fit = (1 << 16) / (SHUNT_INBOX_SMALL + 8);
	static struct bytes frame, ask;
	unsigned int i;

	(void)state;
	build(&ask, &left, false, left.text);
	for (i = 0; i < fit + 10; i++) {
		frame = ask;
		assert_int_equal(run(kv, &frame), XDP_DROP);
	}
	assert_int_equal(count_of(kv, SHUNT_KV_UNKNOWN) + count_of(kv, SHUNT_KV_LOST),
			 fit + 10);
	assert_in_range(count_of(kv, SHUNT_KV_UNKNOWN), fit - 1, fit);
	build(&frame, &asked, false, asked.text);
	assert_int_equal(run(kv, &frame), XDP_TX);
	shunt_kv_close(kv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_answered_over_both_families),
		cmocka_unit_test(ip4_has_its_own_ways_to_be_wrong),
		cmocka_unit_test(a_value_changes_while_it_is_asked_for),
		cmocka_unit_test(keys_and_values_have_limits),
		cmocka_unit_test(what_is_left_goes_into_the_inbox_until_it_is_full),
	};

	if (unshare(CLONE_NEWNET)) {
		perror("make a network namespace");
		return 1;
	}
	return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
