/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files: the peer is a file, written and read here without the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/suite/rows.h"

struct files {
	char in[64], out[64];
	bool ng, begun;
	uint64_t stamp;
	long at; /* where the next packet of `out` begins */
};

static bool begin(struct rig *rig, bool ng)
{
	struct files *files = calloc(1, sizeof(*files));
	const char *ending = ng ? "pcapng" : "pcap";

	rig->self = files;
	files->ng = ng;
	snprintf(files->in, sizeof(files->in), "/tmp/shunt-io-%d-in.%s", (int)getpid(),
		 ending);
	snprintf(files->out, sizeof(files->out), "/tmp/shunt-io-%d-out.%s",
		 (int)getpid(), ending);
	return true;
}

static bool begin_old(struct rig *rig)
{
	return begin(rig, false);
}

static bool begin_ng(struct rig *rig)
{
	return begin(rig, true);
}

static void end(struct rig *rig)
{
	struct files *files = rig->self;

	unlink(files->in);
	unlink(files->out);
	free(files);
}

static void spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	const struct files *files = rig->self;

	snprintf(text, room, "pcap:%s%s", way & SHUNT_PORT_TX ? files->out : files->in,
		 way & SHUNT_PORT_TX ? ",write" : "");
}

static void put_words(FILE *file, const uint32_t *words, size_t n)
{
	assert_int_equal(fwrite(words, sizeof(*words), n, file), n);
}

/* Microseconds, the older of the two. */
static void put_head(FILE *file, bool ng)
{
	const uint32_t old[] = { 0xa1b2c3d4, 0x00040002, 0, 0, 262144, 1 };
	const uint32_t section[] = { 0x0a0d0d0a, 28, 0x1a2b3c4d, 1, ~0u, ~0u, 28 };
	const uint32_t interface[] = { 1, 20, 1, 262144, 20 };

	if (!ng) {
		put_words(file, old, 6);
		return;
	}
	put_words(file, section, 7);
	put_words(file, interface, 5);
}

static void offer(struct rig *rig, const uint8_t *bytes, uint32_t len)
{
	struct files *files = rig->self;
	FILE *file = fopen(files->in, files->begun ? "ab" : "wb");
	uint32_t all = 32 + (len + 3) / 4 * 4, pad = 0;
	const uint32_t old[] = { 1700000000, (uint32_t)files->stamp++ % 1000000, len,
				 len };
	const uint32_t packet[] = { 6, all, 0, 0, (uint32_t)files->stamp, len, len };

	assert_non_null(file);
	if (!files->begun)
		put_head(file, files->ng);
	files->begun = true;
	put_words(file, files->ng ? packet : old, files->ng ? 7 : 4);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	if (files->ng) {
		assert_int_equal(fwrite(&pad, 1, -len & 3, file), -len & 3);
		put_words(file, &all, 1);
	}
	assert_int_equal(fclose(file), 0);
}

/* The bytes of the packet at the stream's place; 0: there is none (yet). */
static uint32_t next_old(struct files *files, FILE *file, uint8_t *bytes)
{
	uint32_t head[4];

	if (fseek(file, files->at ? files->at : 24, SEEK_SET) ||
	    fread(head, sizeof(head), 1, file) != 1)
		return 0;
	assert_int_equal(head[2], head[3]);
	assert_in_range(head[2], 1, RIG_LONGEST);
	assert_int_equal(fread(bytes, 1, head[2], file), head[2]);
	files->at = ftell(file);
	return head[2];
}

static uint32_t next_ng(struct files *files, FILE *file, uint8_t *bytes)
{
	uint32_t head[2], packet[5];

	for (;;) {
		if (fseek(file, files->at, SEEK_SET) ||
		    fread(head, sizeof(head), 1, file) != 1)
			return 0;
		files->at += head[1];
		if (head[0] != 6)
			continue;
		assert_int_equal(fread(packet, sizeof(packet), 1, file), 1);
		assert_int_equal(packet[3], packet[4]);
		assert_in_range(packet[3], 1, RIG_LONGEST);
		assert_int_equal(fread(bytes, 1, packet[3], file), packet[3]);
		return packet[3];
	}
}

static uint32_t collect(struct rig *rig, uint8_t *bytes, uint32_t room, int wait_ms)
{
	struct files *files = rig->self;
	FILE *file = fopen(files->out, "rb");
	uint32_t n;

	(void)wait_ms;
	(void)room;
	assert_non_null(file);
	n = files->ng ? next_ng(files, file, bytes) : next_old(files, file, bytes);
	fclose(file);
	return n;
}

#define READ "what is read is there before, and a file has no ring"
#define WRITTEN "a file is never full before its disk is"
#define FILES "it has no interface"

static const struct rig_not nots[] = {
	{ "a small ring comes around", READ },
	{ "what the reader keeps is missing, and counted", READ },
	{ "a flood is received or counted", READ },
	{ "poll is silent until frames come", READ },
	{ "a small ring comes around, sending", WRITTEN },
	{ "a full port takes from the front", WRITTEN },
	{ "an interface that goes down is told", FILES },
	{ "an interface that vanishes is told", FILES },
	{ NULL },
};

#define ROW(text, start)                                                               \
	.name = (text),                                                                \
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI |    \
	       SHUNT_PORT_ENDS,                                                        \
	.shortest = 14, .longest = 3840, .jumbo = WIRE_JUMBO + 14,                     \
	.offer_first = true, .burst = 256, .small = "",                                \
	.bad = { ",loop=x", ",pace=1", ",format=pcap" }, .except = nots,               \
	.begin = (start), .end = end, .spec = spec, .offer = offer, .collect = collect

const struct rig_row rig_pcap = { ROW("pcap", begin_old) };
const struct rig_row rig_pcapng = { ROW("pcapng", begin_ng) };
