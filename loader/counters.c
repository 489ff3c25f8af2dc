/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "user/base/cleanup.h"

/* One map, read whole. */
struct block {
	int fd;
	uint32_t keys;
	int cpus;
	uint32_t *key;
	struct shunt_counter *value; /* [keys][cpus] */
};

static void block_free(struct block *block)
{
	free(block->key);
	free(block->value);
}

static int block_read(struct block *block, int fd, struct shunt_err *err)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), next, count;
	int ret;

	memset(block, 0, sizeof(*block));
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return shunt_fail_errno(err, -errno,
					"ask for the size of the counters");
	block->fd = fd;
	block->keys = count = info.max_entries;
	block->cpus = libbpf_num_possible_cpus();
	block->key = calloc(block->keys, sizeof(*block->key));
	if (block->cpus > 0)
		block->value = calloc((size_t)block->keys * block->cpus,
				      sizeof(*block->value));
	if (!block->key || !block->value)
		return shunt_fail(err, -ENOMEM, "read the counters: out of memory");
	ret = bpf_map_lookup_batch(fd, NULL, &next, block->key, block->value, &count,
				   NULL);
	if ((ret && ret != -ENOENT) || count != block->keys)
		return shunt_fail_errno(err, ret ? ret : -EIO, "read the counters");
	return 0;
}

/* --- sums -------------------------------------------------------------------- */

static void add_block(struct shunt_ledger *ledger, const struct block *block)
{
	uint32_t key;
	int cpu;

	for (key = 0; key < block->keys; key++) {
		const struct shunt_counter *value =
			&block->value[(size_t)key * block->cpus];

		for (cpu = 0; cpu < block->cpus; cpu++) {
			ledger->at[key].packets += value[cpu].packets;
			ledger->at[key].bytes += value[cpu].bytes;
		}
	}
}

static int add_map(struct shunt_ledger *ledger, int fd, struct shunt_err *err)
{
	struct block block;
	int ret = block_read(&block, fd, err);

	if (!ret && block.keys > ledger->ids * SHUNT_HOOK_MAX)
		ret = shunt_fail(err, -EIO,
				 "a map of counters is larger than its "
				 "successor");
	if (!ret)
		add_block(ledger, &block);
	block_free(&block);
	return ret;
}

int shunt_ledger_read(struct shunt_ledger *ledger, const struct shunt_maps *maps,
		      struct shunt_err *err)
{
	size_t i;
	int ret = 0;

	ledger->ids = maps->counters;
	ledger->at = calloc((size_t)ledger->ids * SHUNT_HOOK_MAX, sizeof(*ledger->at));
	if (!ledger->at)
		return shunt_fail(err, -ENOMEM, "read the counters: out of memory");
	for (i = 0; !ret && i < maps->past_counters; i++)
		ret = add_map(ledger, maps->past_counter[i], err);
	return ret ? ret : add_map(ledger, maps->fd[SHUNT_MAP_COUNTER], err);
}

void shunt_ledger_free(struct shunt_ledger *ledger)
{
	free(ledger->at);
	ledger->at = NULL;
}

struct shunt_counter shunt_ledger_of(const struct shunt_ledger *ledger, uint32_t hook,
				     uint32_t id)
{
	static const struct shunt_counter none;

	return id < ledger->ids ? ledger->at[shunt_counter_key(hook, id)] : none;
}

/* --- retiring ---------------------------------------------------------------- */

static bool counted(const struct block *block, uint32_t key)
{
	const struct shunt_counter *value = &block->value[(size_t)key * block->cpus];
	int cpu;

	for (cpu = 0; cpu < block->cpus; cpu++)
		if (value[cpu].packets)
			return true;
	return false;
}

/*
 * Collects what is to be written for one hook: zeroes, and at the end what is retired.
 * `both` has room for all of the block's keys.
 */
static uint32_t collect(const struct block *block, uint32_t hook, const bool *drop,
			const bool *keep, uint32_t ids, uint32_t *key,
			struct shunt_counter *both)
{
	uint32_t gone = shunt_counter_key(hook, SHUNT_COUNTER_RETIRED), id, n = 0;
	size_t one = sizeof(*both) * block->cpus;
	struct shunt_counter *sum;
	int cpu;

	for (id = SHUNT_COUNTER_RULES; id < ids; id++)
		n += drop[id] && counted(block, shunt_counter_key(hook, id));
	if (!n)
		return 0;
	sum = &both[(size_t)n * block->cpus];
	memcpy(sum, &block->value[(size_t)gone * block->cpus], one);
	memset(both, 0, n * one);
	key[n++] = gone;
	for (id = SHUNT_COUNTER_RULES, n = 0; id < ids; id++) {
		uint32_t at = shunt_counter_key(hook, id);

		if (!drop[id] || !counted(block, at))
			continue;
		key[n++] = at;
		for (cpu = 0; keep[id] && cpu < block->cpus; cpu++) {
			const struct shunt_counter *value =
				&block->value[(size_t)at * block->cpus + cpu];

			sum[cpu].packets += value->packets;
			sum[cpu].bytes += value->bytes;
		}
	}
	return n + 1;
}

/*
 * Counters and what they go to are written by one call a hook: a kill between two would
 * count the packets twice.
 */
static int retire_in(int fd, const bool *drop, const bool *keep, uint32_t ids,
		     struct shunt_err *err)
{
	_free_ struct shunt_counter *both = NULL;
	_free_ uint32_t *key = NULL;
	struct block block;
	uint32_t hook, n;
	int ret = block_read(&block, fd, err);

	if (!ret && ids > block.keys / SHUNT_HOOK_MAX)
		ids = block.keys / SHUNT_HOOK_MAX;
	both = ret ? NULL : calloc((size_t)ids * block.cpus + 1, sizeof(*both));
	key = ret ? NULL : calloc(ids + 1, sizeof(*key));
	if (!ret && (!both || !key))
		ret = shunt_fail(err, -ENOMEM, "retire counters: out of memory");
	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++) {
		n = collect(&block, hook, drop, keep, ids, key, both);
		ret = n ? bpf_map_update_batch(fd, key, both, &n, NULL) : 0;
		if (ret)
			shunt_fail_errno(err, ret, "retire counters");
	}
	block_free(&block);
	return ret;
}

int shunt_counters_retire(const struct shunt_maps *maps, const bool *drop,
			  const bool *keep, uint32_t ids, struct shunt_err *err)
{
	int ret = retire_in(maps->fd[SHUNT_MAP_COUNTER], drop, keep, ids, err);
	size_t i;

	for (i = 0; !ret && i < maps->past_counters; i++)
		ret = retire_in(maps->past_counter[i], drop, keep, ids, err);
	return ret;
}
