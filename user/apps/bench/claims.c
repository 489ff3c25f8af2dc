/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said of each technology everywhere, beside what was measured here. */
#include <stdio.h>
#include <string.h>

#include "user/apps/bench/reply.h"
#include "user/apps/bench/row.h"
#include "user/base/json.h"

/*
 * Those who say so seldom say whether it is a round trip or one way, or whether anybody
 * spins: here it is the median of a round trip, by each way to wait.
 */
struct claim {
	const char *technology;
	const char *says;
	double low, high; /* us; of the ratio: percent faster than the second backend */
	const char *backends[3];
	bool ratio;
};

static const struct claim claims[] = {
	{ "kernel module", "below 0.1 us", 0, 0.1, { "kmod" } },
	{ "DPDK", "0.2 to 0.5 us", 0.2, 0.5, { "dpdk" } },
	{ "RDMA", "0.5 to 1 us", 0.5, 1, { "rdma" } },
	{ "AF_XDP", "1 to 2 us", 1, 2, { "afxdp" } },
	{ "io_uring", "2 to 5 us", 2, 5, { "uring" } },
	{ "io_uring beside epoll",
	  "30 to 50 % faster",
	  30,
	  50,
	  { "uring", "epoll" },
	  .ratio = true },
	{ "eBPF/XDP", "3 to 8 us", 3, 8, { "xdp", "ringbuf" } },
	{ "raw sockets", "5 to 10 us", 5, 10, { "raw" } },
	{ "epoll, kqueue", "10 to 50 us", 10, 50, { "epoll", "kqueue" } },
};

static bool is_small_turn(const cJSON *row, const char *contender)
{
	return !strcmp(shunt_json_str(row, "contender"), contender) &&
	       !strcmp(shunt_json_str(row, "case"), "round-trip") &&
	       shunt_json_u64(row, "size") == 64 && shunt_json_u64(row, "peers") == 1;
}

static const char *judge(const struct claim *claim, double value)
{
	/* a greater ratio is the better one */
	if (value < claim->low)
		return claim->ratio ? "slower" : "faster";
	if (value > claim->high)
		return claim->ratio ? "faster" : "slower";
	return "holds";
}

static cJSON *add_measured(cJSON *list, const cJSON *row)
{
	cJSON *item = cJSON_CreateObject();
	const char *proto = shunt_json_str(row, "proto");

	cJSON_AddStringToObject(item, "contender", shunt_json_str(row, "contender"));
	if (*proto)
		cJSON_AddStringToObject(item, "proto", proto);
	cJSON_AddStringToObject(item, "wait", shunt_json_str(row, "wait"));
	cJSON_AddItemToArray(list, item);
	return item;
}

static void measure_times(const struct claim *claim, const cJSON *reply, cJSON *list)
{
	const cJSON *row;
	size_t i;

	for (i = 0; i < 3 && claim->backends[i]; i++) {
		cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
		{
			double ns = shunt_bench_row_median(row, "p50");
			cJSON *item;

			if (!is_small_turn(row, claim->backends[i]) || ns <= 0)
				continue;
			item = add_measured(list, row);
			cJSON_AddNumberToObject(item, "p50_ns", ns);
			cJSON_AddStringToObject(item, "verdict",
						judge(claim, ns / 1000));
		}
	}
}

static void measure_ratio(const struct claim *claim, const cJSON *reply, cJSON *list)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		const char *proto = shunt_json_str(row, "proto");
		const cJSON *other;
		double ns, other_ns, percent;
		cJSON *item;

		if (!is_small_turn(row, claim->backends[0]))
			continue;
		other = shunt_bench_row(reply, claim->backends[1], proto,
					shunt_json_str(row, "wait"), "round-trip", 64,
					1, 1);
		ns = shunt_bench_row_median(row, "p50");
		other_ns = shunt_bench_row_median(other, "p50");
		if (ns <= 0 || other_ns <= 0)
			continue;
		percent = (other_ns - ns) / other_ns * 100;
		item = add_measured(list, row);
		cJSON_AddNumberToObject(item, "percent",
					(double)(int)(percent * 10) / 10);
		cJSON_AddStringToObject(item, "verdict", judge(claim, percent));
	}
}

/* Why nothing stands there: the machine's reason, where the run has one. */
static const char *why_not(const struct claim *claim, const cJSON *reply)
{
	static const char *const lists[] = { "absent", "failed" };
	const cJSON *item;
	size_t i, b;

	for (i = 0; i < 2; i++) {
		cJSON_ArrayForEach(item, shunt_json_get(reply, lists[i]))
		{
			const char *name = shunt_json_str(item, "contender");

			for (b = 0; b < 3 && claim->backends[b]; b++)
				if (!strcmp(name, claim->backends[b]))
					return shunt_json_str(item, "why");
		}
	}
	return "not measured in this run";
}

void shunt_bench_claims(cJSON *reply)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "claims");
	size_t i;

	for (i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
		const struct claim *claim = &claims[i];
		cJSON *item = cJSON_CreateObject(), *measured;

		cJSON_AddStringToObject(item, "technology", claim->technology);
		cJSON_AddStringToObject(item, "says", claim->says);
		measured = cJSON_AddArrayToObject(item, "measured");
		if (claim->ratio)
			measure_ratio(claim, reply, measured);
		else
			measure_times(claim, reply, measured);
		if (!cJSON_GetArraySize(measured))
			cJSON_AddStringToObject(item, "why_not", why_not(claim, reply));
		cJSON_AddItemToArray(list, item);
	}
}
