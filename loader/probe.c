/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>

#include "loader/netfilter.h"
#include "loader/reply.h"
#include "loader/sandbox.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

#define ATTACH_TCX_INGRESS 46 /* Linux 6.6; not in Debian 12's headers */

/* --- what is tried in the sandbox -------------------------------------------- */

/* The least program: "go on", for XDP (2) or TC (-1). */
static int least_program(enum bpf_prog_type type, enum bpf_attach_type attach,
			 uint32_t flags)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
		  .imm = type == BPF_PROG_TYPE_XDP ? 2 : -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .prog_flags = flags);

	return bpf_prog_load(type, "shunt_probe", "GPL", insns, 2, &opts);
}

static int try_xdp(unsigned int ifindex, uint32_t prog_flags, uint32_t mode)
{
	_fd_ int prog = least_program(BPF_PROG_TYPE_XDP, BPF_XDP, prog_flags);
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	if (prog < 0)
		return prog;
	_fd_ int link = bpf_link_create(prog, ifindex, BPF_XDP, &opts);
	return link < 0 ? link : 0;
}

static int try_tcx(unsigned int ifindex)
{
	_fd_ int prog = least_program(BPF_PROG_TYPE_SCHED_CLS, ATTACH_TCX_INGRESS, 0);

	if (prog < 0)
		return prog;
	_fd_ int link = bpf_link_create(prog, ifindex, ATTACH_TCX_INGRESS, NULL);
	return link < 0 ? link : 0;
}

static int try_clsact(unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);
	_fd_ int prog = least_program(BPF_PROG_TYPE_SCHED_CLS, 0, 0);
	int ret;

	if (prog < 0)
		return prog;
	ret = bpf_tc_hook_create(&hook);
	opts.prog_fd = prog;
	return ret ? ret : bpf_tc_attach(&hook, &opts);
}

static int try_netfilter(void)
{
	_fd_ int prog = shunt_nf_least();

	if (prog < 0)
		return prog;
	_fd_ int link = shunt_nf_link(prog, NFPROTO_IPV4, -1);
	return link < 0 ? link : 0;
}

static void try(const struct shunt_sandbox *sandbox, void *ctx)
{
	struct shunt_probe_tried *tried = ctx;

	tried->native = try_xdp(sandbox->veth, 0, XDP_FLAGS_DRV_MODE);
	tried->generic = try_xdp(sandbox->veth, 0, XDP_FLAGS_SKB_MODE);
	tried->frags = try_xdp(sandbox->veth, BPF_F_XDP_HAS_FRAGS, XDP_FLAGS_DRV_MODE);
	tried->tcx = try_tcx(sandbox->veth);
	tried->clsact = try_clsact(sandbox->veth);
	tried->netfilter = try_netfilter();
	shunt_probe_xsk(sandbox->veth, sandbox->peer, tried);
}

/* --- the answer -------------------------------------------------------------- */

static void add_rows(cJSON *list, const struct shunt_probe *probe,
		     const struct shunt_probe_row *row)
{
	static const char *const answers[] = {
		[SHUNT_PROBE_NO] = "no",
		[SHUNT_PROBE_YES] = "yes",
		[SHUNT_PROBE_UNKNOWN] = "unknown",
	};

	for (; row->name; row++) {
		char detail[SHUNT_PROBE_DETAIL] = "";
		enum shunt_probe_answer answer = row->test(probe, detail);
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", row->name);
		cJSON_AddStringToObject(item, "answer", answers[answer]);
		if (*detail)
			cJSON_AddStringToObject(item, "detail", detail);
		cJSON_AddStringToObject(item, "matters", row->matters);
		cJSON_AddItemToArray(list, item);
	}
}

/* What goes wrong in silence deserves to be said loudly. */
static void add_warnings(cJSON *reply, const struct shunt_nic *nic)
{
	char advice[SHUNT_NIC_ADVICE];

	cJSON_AddArrayToObject(reply, "warnings");
	shunt_nic_vlan_advice(nic, advice);
	if (*advice)
		shunt_reply_warn(reply, "%s", advice);
	if (nic->veth && nic->peer_here && !nic->peer_napi)
		shunt_reply_warn(reply,
				 "the peer of %s runs no NAPI: what XDP sends back or "
				 "redirects to %s is lost without a trace. Turn GRO "
				 "on at interface %u, or attach an XDP program there",
				 nic->name, nic->name, nic->peer);
	if (nic->knows_xdp && nic->mtu > 3498 && !(nic->xdp & SHUNT_NIC_XDP_FRAGS) &&
	    nic->xdp & SHUNT_NIC_XDP_BASIC)
		shunt_reply_warn(reply,
				 "native XDP on %s may refuse its MTU of %u: attach "
				 "falls back to generic XDP then",
				 nic->name, nic->mtu);
}

static void put_ntuple(cJSON *item, const struct shunt_nic *nic)
{
	cJSON *ntuple = cJSON_AddObjectToObject(item, "ntuple");

	if (nic->ntuple_known) {
		cJSON_AddBoolToObject(ntuple, "on", nic->ntuple.on);
		cJSON_AddBoolToObject(ntuple, "fixed", nic->ntuple.fixed);
	}
	if (nic->places)
		cJSON_AddNumberToObject(ntuple, "places", nic->places);
	cJSON_AddNumberToObject(ntuple, "taken", nic->places_taken);
}

static cJSON *answer(const struct shunt_probe *probe)
{
	const struct shunt_nic *nic = &probe->nic;
	cJSON *reply = cJSON_CreateObject(), *item;
	struct utsname kernel;

	uname(&kernel);
	cJSON_AddStringToObject(reply, "schema", "shunt.probe/1");
	cJSON_AddStringToObject(reply, "kernel", kernel.release);
	cJSON_AddStringToObject(reply, "machine", kernel.machine);
	add_rows(cJSON_AddArrayToObject(reply, "features"), probe, shunt_probe_kernel);
	if (*nic->name) {
		item = cJSON_AddObjectToObject(reply, "interface");
		cJSON_AddStringToObject(item, "name", nic->name);
		cJSON_AddStringToObject(item, "driver", nic->driver);
		cJSON_AddNumberToObject(item, "mtu", nic->mtu);
		cJSON_AddNumberToObject(item, "queues",
					__builtin_popcountll(nic->queues));
		if (nic->queues_max)
			cJSON_AddNumberToObject(item, "queues_max", nic->queues_max);
		if (nic->has_ntuple)
			put_ntuple(item, nic);
		add_rows(cJSON_AddArrayToObject(item, "features"), probe,
			 shunt_probe_nic);
	}
	add_warnings(reply, nic);
	return reply;
}

int shunt_probe(const char *interface, cJSON **reply, struct shunt_err *err)
{
	libbpf_print_fn_t before;
	struct shunt_probe probe = { .tried = { .made = 0 } };
	int ret;

	*reply = NULL;
	if (geteuid())
		return shunt_fail(err, -EPERM,
				  "probe: not permitted; run this as root");
	ret = interface ? shunt_nic_look(&probe.nic, interface, err) : 0;
	if (ret)
		return ret;
	before = libbpf_set_print(NULL); /* a refusal is an answer */
	probe.tried.made = shunt_sandbox_run(try, &probe.tried, NULL);
	*reply = answer(&probe);
	libbpf_set_print(before);
	return 0;
}
