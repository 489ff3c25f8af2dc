/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs that bench/classify.c compares: loaded, told what to match, asked what
 * they saw. */
#pragma once

#include <errno.h>
#include <glob.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "bench/list.h"
#include "bench/stat.h"
#include "loader/counters.h"
#include "loader/plan.h"
#include "loader/program.h"
#include "maps/reason.h"
#include "user/base/cleanup.h"

#define FILTER_SRC 1ull /* xdp-filter's flag of an address: as a source */

enum bench_kind { BENCH_EMPTY, BENCH_SHUNT, BENCH_FILTER };

struct bench_contender {
	const char *name;
	enum bench_kind kind;
	bool alone; /* without the source of packets */
	int prog;   /* descriptor */
	struct shunt_maps maps;
	struct bpf_object *object;
	uint64_t matched, seen;
	double sample[BENCH_SAMPLES]; /* ns a packet, by round */
};

#define BENCH_CONTENDERS 6
struct bench_field {
	struct bench_contender
		at[BENCH_CONTENDERS]; /* [0] empty, alone; [1] empty: the floor */
	size_t n;
};

static inline struct bench_contender *bench_enter(struct bench_field *field,
						  const char *name,
						  enum bench_kind kind)
{
	struct bench_contender *c = &field->at[field->n++];

	*c = (struct bench_contender){
		.name = name, .kind = kind, .prog = -1, .maps = SHUNT_MAPS_NONE
	};
	return c;
}

/* The first two of every field. */
static inline void bench_enter_empty(struct bench_field *field, int fd)
{
	bench_enter(field, "empty, alone", BENCH_EMPTY)->prog = dup(fd);
	field->at[0].alone = true;
	bench_enter(field, "empty", BENCH_EMPTY)->prog = dup(fd);
}

static inline int bench_put_in_force(struct bench_contender *c,
				     const struct shunt_policy *policy,
				     struct shunt_err *err)
{
	struct shunt_plan plan = { 0 };
	int ret = shunt_plan_make(&plan, policy, NULL, true, err);

	if (!ret) {
		struct shunt_needs needs = shunt_plan_needs(&plan);

		shunt_maps_choose(&c->maps, &needs);
		ret = c->prog = shunt_program_load(SHUNT_HOOK_XDP, needs.features,
						   &c->maps, err);
	}
	if (ret >= 0)
		ret = shunt_maps_mmap(&c->maps, err);
	if (!ret)
		ret = shunt_plan_write(&plan, &c->maps, err);
	if (!ret) {
		c->maps.gen->trace_cookie = 1; /* test runs here carry no request */
		shunt_plan_flip(&plan, &c->maps);
	}
	shunt_plan_free(&plan);
	return ret;
}

static inline int bench_enter_shunt(struct bench_field *field, const char *name,
				    const struct bench_list *list, bool with_set,
				    struct shunt_err *err)
{
	struct bench_contender *c = bench_enter(field, name, BENCH_SHUNT);
	struct shunt_policy *policy = NULL;
	int ret = bench_list_policy(&policy, list, with_set, err);

	if (!ret)
		ret = bench_put_in_force(c, policy, err);
	shunt_policy_free(policy);
	return ret;
}

/* As many sources as the policy has rules, or those that it blocks. */
static inline int bench_fill_filter(const struct bench_contender *c,
				    const struct bench_list *list)
{
	const struct bench_case *which = list->which;
	uint32_t n = which->block ? which->members : which->rules, i;
	int fd = bpf_object__find_map_fd_by_name(
		c->object, which->family == 6 ? "filter_ipv6" : "filter_ipv4");
	int ret = fd < 0 ? fd : 0, cpus = libbpf_num_possible_cpus(), cpu;
	_free_ uint64_t *flags = calloc(cpus > 0 ? cpus : 1, sizeof(*flags));

	for (cpu = 0; flags && cpu < cpus; cpu++)
		flags[cpu] = FILTER_SRC;
	for (i = 0; !ret && flags && i < n; i++)
		ret = bpf_map_update_elem(fd,
					  which->block ? list->member[i].src.addr
						       : list->rule[i].src.addr,
					  flags, BPF_ANY);
	return flags ? ret : -ENOMEM;
}

/*
 * xdp-filter's objects ask libbpf to pin their maps, and to use the ones that are pinned:
 * then all cases would share one map, and it would stay behind. Here each has its own.
 */
static inline int bench_unpin_filter(struct bpf_object *object)
{
	struct bpf_map *map;
	int ret = 0;

	bpf_object__for_each_map(map, object) ret =
		ret ? ret : bpf_map__set_pin_path(map, NULL);
	return ret;
}

/*
 * xdp-filter's own objects, the ones that drop what is listed. They are loaded as
 * programs that can take frames in several buffers, for a program may only tail-call
 * its like; their code does not change by that.
 */
static inline int bench_enter_filter(struct bench_field *field, const char *name,
				     const char *file, const struct bench_list *list,
				     struct shunt_err *err)
{
	struct bench_contender *c;
	struct bpf_program *program;
	glob_t found = { 0 };
	char pattern[128];
	int ret = -ENOENT;

	snprintf(pattern, sizeof(pattern), "/usr/lib{,64,/*}/bpf/%s", file);
	if (glob(pattern, GLOB_BRACE, NULL, &found) || !found.gl_pathc) {
		globfree(&found);
		return 0; /* main says so once */
	}
	c = bench_enter(field, name, BENCH_FILTER);
	c->object = bpf_object__open_file(found.gl_pathv[0], NULL);
	globfree(&found);
	program = c->object ? bpf_object__next_program(c->object, NULL) : NULL;
	if (program) {
		bpf_program__set_flags(program, bpf_program__flags(program) |
							BPF_F_XDP_HAS_FRAGS);
		ret = bench_unpin_filter(c->object);
		if (!ret)
			ret = bpf_object__load(c->object);
		if (!ret)
			ret = bench_fill_filter(c, list);
		if (!ret)
			c->prog = dup(bpf_program__fd(program));
	}
	return ret ? shunt_fail_errno(err, ret, "load xdp-filter's %s", file) : 0;
}

static inline void bench_leave(struct bench_field *field)
{
	while (field->n) {
		struct bench_contender *c = &field->at[--field->n];

		shunt_maps_close(&c->maps);
		bpf_object__close(c->object);
		if (c->prog >= 0)
			close(c->prog);
	}
}

/* --- what they say of the packets ----------------------------------------------------
 */

static inline int bench_count_shunt(const struct bench_contender *c, uint64_t *matched,
				    uint64_t *seen, struct shunt_err *err)
{
	struct shunt_ledger ledger = { 0 };
	uint32_t reason, verdict;
	int ret = shunt_ledger_read(&ledger, &c->maps, err);

	for (reason = 0; !ret && reason < SHUNT_REASON_MAX; reason++) {
		for (verdict = 0; verdict < SHUNT_VERDICT_MAX; verdict++) {
			uint64_t packets =
				shunt_ledger_of(&ledger, SHUNT_HOOK_XDP,
						shunt_counter_reason_id(reason,
									verdict))
					.packets;

			*seen += packets;
			if (reason == SHUNT_REASON_RULE)
				*matched += packets;
		}
	}
	shunt_ledger_free(&ledger);
	return ret;
}

static inline int bench_count_filter(const struct bench_contender *c, uint64_t *matched,
				     uint64_t *seen, struct shunt_err *err)
{
	int fd = bpf_object__find_map_fd_by_name(c->object, "xdp_stats_map");
	int cpus = libbpf_num_possible_cpus(), cpu, ret;
	_free_ uint64_t(*sum)[2] = calloc(cpus > 0 ? cpus : 1, sizeof(*sum));
	uint32_t verdict;

	if (!sum)
		return shunt_fail(err, -ENOMEM, "count packets: out of memory");
	for (verdict = XDP_ABORTED; verdict <= XDP_REDIRECT; verdict++) {
		ret = bpf_map_lookup_elem(fd, &verdict, sum);
		if (ret)
			return shunt_fail_errno(err, ret, "read xdp-filter's counters");
		for (cpu = 0; cpu < cpus; cpu++) {
			*seen += sum[cpu][0];
			*matched += verdict == XDP_DROP ? sum[cpu][0] : 0;
		}
	}
	return 0;
}

static inline int bench_count(struct bench_contender *c, struct shunt_err *err)
{
	c->matched = c->seen = 0;
	if (c->kind == BENCH_SHUNT)
		return bench_count_shunt(c, &c->matched, &c->seen, err);
	if (c->kind == BENCH_FILTER)
		return bench_count_filter(c, &c->matched, &c->seen, err);
	return 0;
}
