/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>

#include "loader/netfilter.h"
#include "loader/plan.h"
#include "loader/program.h"
#include "user/base/cleanup.h"

#define FRAME_MAX (1u << 18)
#define NF_FRAME_MAX 3500     /* a page, less what the kernel wants around a frame */
#define RIG_IMAGE (24u << 20) /* bytes; with room to spare, 32 MiB */

bool shunt_rig_has(enum shunt_hook hook)
{
	static int known = -1;

	if (hook != SHUNT_HOOK_NETFILTER)
		return hook < SHUNT_HOOK_MAX; /* loops end by it */
	if (known < 0)
		known = !shunt_nf_known(NULL);
	return known;
}

/* IPv4 and IPv6 alone, and whole headers of them, are what the kernel test-runs there. */
bool shunt_rig_takes(enum shunt_hook hook, const void *frame, size_t bytes)
{
	const uint8_t *type = (const uint8_t *)frame + 12;

	if (hook != SHUNT_HOOK_NETFILTER)
		return shunt_rig_has(hook);
	return shunt_rig_has(hook) && bytes >= 14 + 20 && bytes <= NF_FRAME_MAX &&
	       ((type[0] == 0x08 && type[1] == 0x00) ||
		(type[0] == 0x86 && type[1] == 0xdd && bytes >= 14 + 40));
}

int shunt_rig_open(struct shunt_rig *rig, struct shunt_err *err)
{
	static const struct shunt_maps none = SHUNT_MAPS_NONE;
	const struct shunt_needs needs = { .image_bytes = RIG_IMAGE,
					   .counters = SHUNT_COUNTER_MAX };
	int hook, ret = 0;

	*rig = (struct shunt_rig){ .maps = none, .prog = { -1, -1, -1, -1 } };
	rig->in = malloc(sizeof(struct shunt_trace_req) + FRAME_MAX);
	if (!rig->in)
		return shunt_fail(err, -ENOMEM, "open the rig: out of memory");
	shunt_maps_choose(&rig->maps, &needs);
	rig->maps.ifindex = 0; /* test runs of netfilter come in by no interface */
	for (hook = SHUNT_HOOK_XDP; ret >= 0 && shunt_rig_has(hook); hook++)
		ret = rig->prog[hook] =
			shunt_program_load(hook, SHUNT_FEATURES_ALL & ~SHUNT_HAS_CARRY,
					   &rig->maps,
					   err); /* that adds to the frame */
	if (ret >= 0)
		ret = shunt_maps_mmap(&rig->maps, err);
	if (!ret && getrandom(&rig->maps.gen->trace_cookie, sizeof(uint64_t), 0) < 0)
		ret = shunt_fail_errno(err, -errno, "draw a random number");
	if (ret < 0)
		shunt_rig_close(rig);
	return ret;
}

void shunt_rig_close(struct shunt_rig *rig)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (rig->prog[hook] >= 0)
			close(rig->prog[hook]);
	shunt_maps_close(&rig->maps);
	shunt_state_free(rig->state);
	free(rig->in);
	rig->state = NULL;
	rig->in = NULL;
}

int shunt_rig_apply(struct shunt_rig *rig, const struct shunt_policy *policy,
		    struct shunt_err *err)
{
	struct shunt_plan plan = { 0 };
	int ret =
		shunt_plan_make(&plan, policy, SHUNT_RIG_IFACE, rig->state, true, err);

	if (!ret)
		ret = shunt_plan_write(&plan, &rig->maps, err);
	if (!ret) {
		shunt_plan_flip(&plan, &rig->maps);
		shunt_state_free(rig->state);
		rig->state = shunt_steal(&plan.next);
		ret = shunt_plan_tidy(&rig->maps, rig->state, true, err);
	}
	shunt_plan_free(&plan);
	return ret;
}

/* The request travels before the frame, as metadata. */
static int run_xdp(struct shunt_rig *rig, struct shunt_rig_run *run)
{
	size_t meta = run->req ? sizeof(*run->req) : 0;
	struct xdp_md ctx = {
		.data = meta,
		.data_end = meta + run->bytes,
		.ingress_ifindex = run->ifindex,
		.rx_queue_index = run->queue,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = rig->in,
		    .data_size_in = meta + run->bytes, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .data_out = run->out,
		    .data_size_out = run->out_room, .repeat = 1);
	int ret;

	if (meta)
		memcpy(rig->in, run->req, meta);
	memcpy(rig->in + meta, run->frame, run->bytes);
	ret = bpf_prog_test_run_opts(rig->prog[SHUNT_HOOK_XDP], &opts);
	run->code = opts.retval;
	run->out_bytes = opts.data_size_out;
	return ret;
}

static int run_tc(struct shunt_rig *rig, enum shunt_hook hook,
		  struct shunt_rig_run *run)
{
	struct __sk_buff ctx = { .ifindex = run->ifindex ? run->ifindex : 1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = run->frame,
		    .data_size_in = run->bytes, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .data_out = run->out,
		    .data_size_out = run->out_room, .repeat = 1);
	int ret;

	if (run->req)
		memcpy(ctx.cb, run->req, sizeof(ctx.cb));
	ret = bpf_prog_test_run_opts(rig->prog[hook], &opts);
	run->code = opts.retval;
	run->out_bytes = opts.data_size_out;
	return ret;
}

/* The request stands behind the frame. */
static int run_nf(struct shunt_rig *rig, struct shunt_rig_run *run)
{
	size_t behind = run->req ? sizeof(*run->req) : 0;
	/* struct nf_hook_state: hook (PRE_ROUTING is 0), family */
	uint8_t ctx[8] = { 0, ((const uint8_t *)run->frame)[12] == 8 ? NFPROTO_IPV4
								     : NFPROTO_IPV6 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = rig->in,
		    .data_size_in = run->bytes + behind, .ctx_in = ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int ret;

	memcpy(rig->in, run->frame, run->bytes);
	if (behind)
		memcpy(rig->in + run->bytes, run->req, behind);
	ret = bpf_prog_test_run_opts(rig->prog[SHUNT_HOOK_NETFILTER], &opts);
	run->code = opts.retval;
	/* the frame cannot be had back, and cannot have been changed */
	run->out_bytes = run->bytes;
	if (run->out)
		memcpy(run->out, run->frame,
		       run->bytes < run->out_room ? run->bytes : run->out_room);
	return ret;
}

int shunt_rig_run(struct shunt_rig *rig, enum shunt_hook hook,
		  struct shunt_rig_run *run)
{
	if (run->bytes > FRAME_MAX)
		return -E2BIG;
	if (hook == SHUNT_HOOK_NETFILTER)
		return run_nf(rig, run);
	return hook == SHUNT_HOOK_XDP ? run_xdp(rig, run) : run_tc(rig, hook, run);
}

int shunt_rig_trace(struct shunt_rig *rig, enum shunt_hook hook, const void *frame,
		    size_t bytes, struct shunt_trace *trace)
{
	struct shunt_trace_req req = {
		.cookie = rig->maps.gen->trace_cookie,
		.token = ++rig->token,
	};
	struct shunt_rig_run run = { .req = &req, .frame = frame, .bytes = bytes };
	int ret = shunt_rig_run(rig, hook, &run);

	if (ret)
		return ret;
	return bpf_map_lookup_and_delete_elem(rig->maps.fd[SHUNT_MAP_TRACE], &req.token,
					      trace);
}
