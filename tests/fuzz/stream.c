/* SPDX-License-Identifier: BSD-2-Clause */
/* Arbitrary bytes as a stream, in arbitrary portions: the messages that a reader of the
 * whole finds, no more memory than the longest takes, and every frame comes back. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/random.h"
#include "user/transport/stream.h"

#define FRAMES 16u
#define FRAME_BYTES 600u
#define MESSAGE_MAX 2000u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shunt_transport transport;

static void check(bool sound)
{
	if (!sound)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts),
						.frames = FRAMES,
						.frame_bytes = FRAME_BYTES };

	(void)argc;
	(void)argv;
	check(!shunt_memory_open(&transport.memory, &opts, NULL));
	transport.pool = &transport.memory->pool;
	transport.options.message_max = MESSAGE_MAX;
	return 0;
}

/* The whole stream, and how far a naive reader is with it. */
struct whole {
	const uint8_t *bytes;
	size_t len, read, at;
};

/* Half of them read by themselves, the others are fed. */
static void hand_over(struct shunt_stream_in *in, struct whole *whole,
		      struct shunt_random *random, bool fed)
{
	struct shunt_frame frame;
	uint32_t room, bytes;
	void *to;

	if (fed) {
		check(shunt_pool_get(transport.pool, &frame, 1) == 1);
		to = frame.data;
		room = transport.pool->room;
	} else {
		check(shunt_stream_room(in, &transport, &to, &room));
	}
	check(room > 0 && room <= MESSAGE_MAX + SHUNT_WIRE_BYTES);
	bytes = shunt_random_in(random, 1, room);
	if (bytes > whole->len - whole->read)
		bytes = (uint32_t)(whole->len - whole->read);
	memcpy(to, whole->bytes + whole->read, bytes);
	whole->read += bytes;
	if (!fed) {
		shunt_stream_came(in, bytes);
		return;
	}
	frame.len = bytes;
	shunt_stream_feed(in, &frame);
}

/* What the naive reader says of the next message. */
static int64_t expect(const struct whole *whole)
{
	int64_t span =
		shunt_wire_span(whole->bytes + whole->at,
				(uint32_t)(whole->read - whole->at), MESSAGE_MAX);

	return span > (int64_t)(whole->read - whole->at) ? 0 : span;
}

/* False: it is no stream of messages from here on. */
static bool take_all(struct shunt_stream_in *in, struct whole *whole)
{
	for (;;) {
		struct shunt_frame frame;
		int64_t span = expect(whole);
		int ret = shunt_stream_next(in, &transport, &frame);

		check(ret == (span > 0 ? 1 : span));
		if (ret <= 0)
			return !ret;
		check(frame.len == (uint64_t)span &&
		      !memcmp(frame.data, whole->bytes + whole->at, frame.len));
		whole->at += frame.len;
		shunt_frames_put(&frame, 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_stream_in in = { 0 };
	struct shunt_random random;
	struct whole whole;

	if (size < sizeof(random))
		return 0;
	memcpy(&random, data, sizeof(random));
	whole = (struct whole){ .bytes = data + sizeof(random),
				.len = size - sizeof(random) };
	while (whole.read < whole.len) {
		hand_over(&in, &whole, &random, random.state & 1);
		if (!take_all(&in, &whole))
			break;
		if (shunt_random_one_in(&random, 8))
			shunt_stream_spill(&in, &transport);
	}
	check(shunt_stream_cut(&in) == (whole.at < whole.read));
	shunt_stream_in_close(&in);
	check(shunt_memory_free_frames(transport.memory) == FRAMES);
	return 0;
}
