/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "user/base/cleanup.h"

/* One counter of every CPU, in a malloced array of *cpus. */
static int get(const struct shunt_maps *maps, uint32_t hook, uint32_t id,
	       struct shunt_counter **value, int *cpus, struct shunt_err *err)
{
	uint32_t key = shunt_counter_key(hook, id);
	int ret;

	*cpus = libbpf_num_possible_cpus();
	*value = *cpus > 0 ? calloc(*cpus, sizeof(**value)) : NULL;
	if (!*value)
		return shunt_fail(err, -ENOMEM, "read counter %u: out of memory", id);
	ret = bpf_map_lookup_elem(maps->fd[SHUNT_MAP_COUNTER], &key, *value);
	return ret ? shunt_fail_errno(err, ret, "read counter %u", id) : 0;
}

int shunt_counters_sum(const struct shunt_maps *maps, uint32_t hook,
		       struct shunt_counter sum[SHUNT_COUNTER_BLOCK],
		       struct shunt_err *err)
{
	/* a batch begins behind the key that it is given, which the first has not */
	uint32_t before = shunt_counter_key(hook, 0) - 1, next;
	_free_ uint32_t *key = calloc(SHUNT_COUNTER_BLOCK, sizeof(*key));
	_free_ struct shunt_counter *value = NULL;
	uint32_t count = SHUNT_COUNTER_BLOCK, id;
	int cpus = libbpf_num_possible_cpus(), cpu, ret;

	if (cpus > 0)
		value = calloc((size_t)cpus * SHUNT_COUNTER_BLOCK, sizeof(*value));
	if (!key || !value)
		return shunt_fail(err, -ENOMEM, "read the counters: out of memory");
	ret = bpf_map_lookup_batch(maps->fd[SHUNT_MAP_COUNTER], hook ? &before : NULL,
				   &next, key, value, &count, NULL);
	if ((ret && ret != -ENOENT) || count != SHUNT_COUNTER_BLOCK)
		return shunt_fail_errno(err, ret ? ret : -EIO, "read the counters");
	memset(sum, 0, SHUNT_COUNTER_BLOCK * sizeof(*sum));
	for (id = 0; id < SHUNT_COUNTER_BLOCK; id++) {
		for (cpu = 0; cpu < cpus; cpu++) {
			sum[id].packets += value[id * cpus + cpu].packets;
			sum[id].bytes += value[id * cpus + cpu].bytes;
		}
	}
	return 0;
}

/* Both are written by one call: a kill between two would count the packets twice. */
int shunt_counter_retire(const struct shunt_maps *maps, uint32_t hook, uint32_t id,
			 bool keep, struct shunt_err *err)
{
	_free_ struct shunt_counter *value = NULL, *gone = NULL, *both = NULL;
	uint32_t key[] = { shunt_counter_key(hook, id),
			   shunt_counter_key(hook, SHUNT_COUNTER_RETIRED) };
	int cpus, cpu, ret = get(maps, hook, id, &value, &cpus, err);
	uint32_t count = 2;

	if (!ret)
		ret = get(maps, hook, SHUNT_COUNTER_RETIRED, &gone, &cpus, err);
	if (ret || !value || !gone)
		return ret;
	both = calloc(2 * cpus, sizeof(*both));
	if (!both || !value || !gone)
		return shunt_fail(err, -ENOMEM, "retire counter %u: out of memory", id);
	for (cpu = 0; cpu < cpus; cpu++) {
		both[cpus + cpu].packets =
			gone[cpu].packets + (keep ? value[cpu].packets : 0);
		both[cpus + cpu].bytes =
			gone[cpu].bytes + (keep ? value[cpu].bytes : 0);
	}
	ret = bpf_map_update_batch(maps->fd[SHUNT_MAP_COUNTER], key, both, &count,
				   NULL);
	return ret ? shunt_fail_errno(err, ret, "retire counter %u", id) : 0;
}
