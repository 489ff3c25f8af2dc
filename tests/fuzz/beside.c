/* SPDX-License-Identifier: BSD-2-Clause */
/* What others' benchmarks print: any bytes, cut in two where the client's end. */
#include <stdlib.h>
#include <string.h>

#include "user/apps/bench/beside_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static shunt_bench_read_fn *const reads[] = {
		shunt_bench_read_sockperf_turns, shunt_bench_read_sockperf_flow,
		shunt_bench_read_fi_pingpong,	 shunt_bench_read_ucx_turns,
		shunt_bench_read_ucx_flow,	 shunt_bench_read_perftest_turns,
		shunt_bench_read_perftest_flow,
	};
	char *client = malloc(size + 1), *server = client + size;
	size_t i, figure;

	memcpy(client, data, size);
	client[size] = '\0';
	if (size > 1) { /* the server's text begins in the middle, behind a NUL */
		client[size / 2] = '\0';
		server = client + size / 2 + 1;
	}
	for (i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
		struct shunt_bench_round round = { .known = 0 };
		struct shunt_err err = { "" };
		int ret = reads[i](client, server, 64, &round, &err);

		if (!ret != !*err.message || (!ret && !round.known))
			abort();
		for (figure = 0; !ret && figure < SHUNT_BENCH_FIGURE_COUNT; figure++)
			if (round.known & 1u << figure && !(round.value[figure] >= 0))
				abort();
	}
	free(client);
	return 0;
}
