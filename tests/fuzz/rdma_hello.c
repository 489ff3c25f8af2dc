/* SPDX-License-Identifier: BSD-2-Clause */
/* Arbitrary private data read as the hello of an RDMA peer. */
#include <stdlib.h>

#include "user/transport/rdma/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool sound)
{
	if (!sound)
		abort();
}

/* Wherever a datagram is written to that has room there, it is in the peer's memory. */
static void aim(const struct shunt_rdma_hello *hello, uint32_t longest)
{
	uint64_t bytes = (uint64_t)hello->frames * hello->frame_bytes;
	const uint32_t number[] = { 0, hello->frames / 2, hello->frames - 1 };
	size_t i;

	for (i = 0; i < sizeof(number) / sizeof(*number); i++) {
		uint64_t at =
			(uint64_t)number[i] * hello->frame_bytes + hello->headroom;

		check(number[i] < hello->frames);
		check(at + longest <= bytes);
		check(hello->area + at + longest >= hello->area + at);
	}
	check(hello->grants + 2ul * hello->places * sizeof(uint32_t) >= hello->grants);
}

/* The first bytes say what we are, the others are what came. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_rdma_hello hello, again;
	unsigned int mode;
	uint32_t longest;
	uint8_t *came;

	if (size < 3)
		return 0;
	mode = data[0] % 3;
	longest = (uint32_t)data[1] << 8 | data[2];
	size -= 3;
	came = malloc(size ? size : 1); /* nothing behind it may be touched */
	memcpy(came, data + 3, size);
	if (size > 6 && data[1] & 1) {
		const uint32_t magic = htobe32(SHUNT_RDMA_MAGIC);

		memcpy(came, &magic, sizeof(magic));
		came[4] = 0;
		came[5] = (uint8_t)mode;
	}
	if (shunt_rdma_hello_read(&hello, came, size, mode, longest)) {
		check(hello.mode == mode && hello.room >= longest);
		again = shunt_rdma_hello_turn(&hello);
		check(!memcmp(&again, came, sizeof(again)));
		if (mode == SHUNT_RDMA_WRITE)
			aim(&hello, longest);
	}
	free(came);
	return 0;
}
