/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/percpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "user/base/cleanup.h"

uint32_t shunt_cpus(void)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus <= 0)
		cpus = sysconf(_SC_NPROCESSORS_CONF);
	return cpus > 0 ? cpus : 1;
}

int shunt_percpu_sum(int fd, uint64_t *sum, uint32_t entries, struct shunt_err *err)
{
	uint32_t next, count = entries, i;
	int cpus = libbpf_num_possible_cpus(), cpu, ret;

	memset(sum, 0, entries * sizeof(*sum));
	if (fd < 0)
		return 0;
	_free_ uint32_t *key = calloc(entries, sizeof(*key));
	_free_ uint64_t *value =
		cpus > 0 ? calloc((size_t)entries * cpus, sizeof(*value)) : NULL;
	if (!key || !value)
		return shunt_fail(err, -ENOMEM, "read counters: out of memory");
	ret = bpf_map_lookup_batch(fd, NULL, &next, key, value, &count, NULL);
	if ((ret && ret != -ENOENT) || count != entries)
		return shunt_fail_errno(err, ret ? ret : -EIO, "read counters");
	for (i = 0; i < entries; i++)
		for (cpu = 0; cpu < cpus; cpu++)
			sum[i] += value[(size_t)i * cpus + cpu];
	return 0;
}

int shunt_percpu_set(int fd, uint32_t key, uint64_t value, struct shunt_err *err)
{
	int cpus = libbpf_num_possible_cpus(), ret;
	_free_ uint64_t *all = cpus > 0 ? calloc(cpus, sizeof(*all)) : NULL;

	if (!all)
		return shunt_fail(err, -ENOMEM, "write a counter: out of memory");
	all[0] = value;
	ret = bpf_map_update_elem(fd, &key, all, BPF_ANY);
	return ret ? shunt_fail_errno(err, ret, "write a counter") : 0;
}
