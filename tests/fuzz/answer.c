/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers to arbitrary frames: sound, not longer, to one host, or nothing is touched. */
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/wire.h"
#include "tests/model/sums.h"
#include "user/net/answer.h"
#include "user/net/line.h"

#define FRAME_MAX 2048
#define GROWTH 8 /* of an advertisement: its option */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shunt_answerer self;

static void check(bool sound)
{
	if (!sound)
		abort();
}

/* The addresses that frames of our fixtures and captures go to. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	check(!shunt_answerer_mac(&self, "02:00:00:00:00:09", NULL));
	check(!shunt_answerer_address(&self, "192.0.2.2/24", NULL));
	check(!shunt_answerer_address(&self, "2001:db8::2/64", NULL));
	check(!shunt_answerer_ports(&self, NULL, NULL));
	return 0;
}

/* What the model leaves out: the checksum of ICMP in IPv4. */
static uint16_t icmp_sum(const uint8_t *at, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		sum += i % 2 ? at[i] : at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static bool is_icmp4(const struct shunt_sums_at *at)
{
	return at->version == 4 && at->proto == 1 && at->l4;
}

/* Right addresses and sums, so that more than one frame in 2^32 gets somewhere. */
static void prepare(uint8_t *bytes, size_t len, unsigned int how)
{
	struct shunt_sums_at at;
	struct shunt_pkt pkt;

	if (how & 1 && len >= 6)
		memcpy(bytes, self.mac, 6);
	if (!(how & 2) || shunt_frame_parse(bytes, len, &pkt) != -1)
		return;
	shunt_sums_find(bytes, len, &at);
	if (how & 4 && at.version == 4)
		memcpy(bytes + at.l3 + 16, self.address[0].addr, 4);
	if (how & 4 && at.version == 6)
		memcpy(bytes + at.l3 + 24, self.address[1].addr, 16);
	shunt_sums_seal(bytes, len);
	if (is_icmp4(&at)) {
		uint16_t sum;

		memset(bytes + at.l4 + 2, 0, 2);
		sum = ~icmp_sum(bytes + at.l4, at.end - at.l4);
		bytes[at.l4 + 2] = sum >> 8;
		bytes[at.l4 + 3] = sum & 255;
	}
}

/* Is it what may leave this host? */
static void check_answer(const uint8_t *asked, size_t asked_len, const uint8_t *bytes,
			 size_t len, enum shunt_answer_kind kind)
{
	static const uint8_t all_nodes[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	struct shunt_sums_at at;
	struct shunt_pkt pkt;

	check(shunt_frame_parse(bytes, len, &pkt) == -1);
	check(!memcmp(bytes + 6, self.mac, 6));
	check(!(bytes[0] & 1) ||
	      (kind == SHUNT_ANSWER_NDP && !memcmp(bytes, all_nodes, 6)));
	check(kind == SHUNT_ANSWER_NDP ? len <= asked_len + GROWTH : len == asked_len);
	if (kind == SHUNT_ANSWER_ARP)
		return;
	check(!shunt_sums_fault(bytes, len));
	shunt_sums_find(bytes, len, &at);
	check(!is_icmp4(&at) || icmp_sum(bytes + at.l4, at.end - at.l4) == 0xffff);
	/* what was the payload still is */
	if (kind != SHUNT_ANSWER_NDP)
		check(!memcmp(bytes + at.l4 + 8, asked + at.l4 + 8, len - at.l4 - 8));
}

static void ask(const uint8_t *asked, size_t len, size_t room, size_t cut)
{
	/* each part has a border of its own, behind which nothing may be touched */
	uint8_t *head = malloc(room), *tail = malloc(len - cut ? len - cut : 1);
	uint8_t whole[FRAME_MAX + GROWTH];
	struct iovec parts[2] = { { head, cut }, { tail, len - cut } };
	enum shunt_answer_kind kind;
	size_t now;

	memcpy(head, asked, cut);
	memcpy(tail, asked + cut, len - cut);
	kind = shunt_answer(&self, parts, cut < len ? 2 : 1, room);
	now = parts[0].iov_len + parts[1].iov_len;
	check(kind < SHUNT_ANSWER_KINDS && parts[0].iov_len <= room);
	check(!memcmp(tail, asked + cut, len - cut));
	memcpy(whole, head, parts[0].iov_len);
	memcpy(whole + parts[0].iov_len, tail, parts[1].iov_len);
	if (kind < SHUNT_ANSWER_NONE)
		check_answer(asked, len, whole, now, kind);
	else
		check(now == len && !memcmp(whole, asked, len));
	free(head);
	free(tail);
}

/* Its last bytes say what is made of the frame before them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t asked[FRAME_MAX];
	size_t len, cut;

	if (size < 3 || size - 2 > FRAME_MAX)
		return 0;
	len = size - 2;
	memcpy(asked, data, len);
	prepare(asked, len, data[len]);
	ask(asked, len, len + data[len + 1] % 16, len);
	cut = data[len + 1] + 14u;
	if (cut < len)
		ask(asked, len, cut, cut);
	return 0;
}
