/* SPDX-License-Identifier: BSD-2-Clause */
/* Arbitrary frames read as UDP datagrams and as words of neighbours. */
#include <stdlib.h>
#include <string.h>

#include "tests/model/sums.h"
#include "user/net/line.h"
#include "user/net/neighbour.h"
#include "user/net/udp.h"

#define FRAME_MAX 2048
#define FRONT 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool sound)
{
	if (!sound)
		abort();
}

/* What is read is written again, the other way round, and read as the same. */
static void send_back(const struct shunt_udp_datagram *it)
{
	struct shunt_udp_host host = { .local = it->dst };
	uint8_t room[FRONT + FRAME_MAX], *payload = room + FRONT;
	struct shunt_udp_datagram again;
	struct shunt_udp_path path;

	memcpy(host.mac, it->eth->dst, 6);
	memcpy(payload, it->payload, it->bytes);
	shunt_udp_path_make(&path, &host, &it->src, it->eth->src, true);
	shunt_udp_write(&path, payload, it->bytes);
	check(!shunt_sums_fault(payload - path.bytes, path.bytes + it->bytes));
	if (shunt_udp_read(&again, payload - path.bytes, path.bytes + it->bytes, 1,
			   true) !=
	    SHUNT_UDP_WHOLE) /* we may be somebody who cannot send, such as a group */
		return;
	check(shunt_endpoint_same(&again.src, &it->dst));
	check(shunt_endpoint_same(&again.dst, &it->src));
	check(again.bytes == it->bytes &&
	      !memcmp(again.payload, it->payload, it->bytes));
}

static void read_datagram(uint8_t *frame, size_t len)
{
	struct shunt_udp_datagram it;
	struct shunt_pkt pkt = { 0 };
	enum shunt_udp_kind kind = shunt_udp_read(&it, frame, (uint32_t)len, 1, true);
	int reason = shunt_frame_parse(frame, (uint32_t)len, &pkt);

	check(kind < SHUNT_UDP_KINDS);
	/* the kernel's parser knows of one malformed header and another than we do */
	check(kind != SHUNT_UDP_MALFORMED || reason >= 0);
	if (kind >= SHUNT_UDP_REFUSED)
		return;
	check(reason == -1);
	check(it.payload >= frame && it.payload + it.bytes <= frame + len);
	check(pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT] == it.src.port + 1u);
	check(!memcmp(pkt.layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST], it.dst.addr, 16));
	check(kind != SHUNT_UDP_WHOLE || !shunt_sums_fault(frame, len));
	send_back(&it);
}

/* The last byte says whether the sums are put right first. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_neighbour_word word;
	struct shunt_pkt pkt;
	uint8_t *frame;
	size_t len;

	if (size < 1 || size - 1 > FRAME_MAX)
		return 0;
	len = size - 1;
	frame = malloc(len ? len : 1); /* nothing behind it may be touched */
	memcpy(frame, data, len);
	if (data[len] & 1 && shunt_frame_parse(frame, (uint32_t)len, &pkt) == -1)
		shunt_sums_seal(frame, len);
	read_datagram(frame, len);
	if (shunt_neighbour_hear(&word, frame, (uint32_t)len))
		check(!(word.mac[0] & 1) &&
		      (word.l3 == SHUNT_L3_IP4 || word.l3 == SHUNT_L3_IP6));
	free(frame);
	return 0;
}
