/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "loader/instance.h"
#include "loader/plan.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/shunt.h"
#include "maps/reason.h"
#include "maps/trace.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "loader/pkt_json.h"

#define ETH_HEADER 14 /* the kernel runs no program over less */

struct shunt_explain {
	struct shunt_instance instance; /* not pinned where a policy is explained */
	int hook;
	int prog_fd;
	uint32_t
		prog_id; /* of what sits on the hook; 0: of none, a policy is explained */
	uint8_t *buf;	 /* request and frame, as the test run wants them */
	size_t room;
};

/* --- opening ----------------------------------------------------------------- */

static int start(struct shunt_explain **explain, const char *hook_name,
		 struct shunt_err *err)
{
	static const struct shunt_instance none = SHUNT_INSTANCE_NONE;
	int hook = hook_name ? shunt_hook_find(hook_name, err) : -1;

	*explain = NULL;
	if (hook_name && hook < 0)
		return hook;
	*explain = calloc(1, sizeof(**explain));
	if (!*explain)
		return shunt_fail(err, -ENOMEM, "explain: out of memory");
	(*explain)->instance = none;
	(*explain)->hook = hook;
	(*explain)->prog_fd = -1;
	return 0;
}

/*
 * The kernel makes no test run of a program that is bound to a device, or chained. The
 * plain one of the same features over the same maps differs from the former in one thing:
 * it finds the VLAN tag in the frame alone, which is where a frame that is explained has
 * it; and from the latter in what no policy asks of that one.
 */
static int load_twin(struct shunt_explain *explain,
		     const struct shunt_program_facts *facts, struct shunt_err *err)
{
	struct shunt_maps maps = explain->instance.maps; /* lent: it has them all */
	_fd_ int image = bpf_map_get_fd_by_id(facts->image);
	_fd_ int counter = bpf_map_get_fd_by_id(facts->counter);
	int ret;

	maps.fd[SHUNT_MAP_IMAGE] = image;
	maps.fd[SHUNT_MAP_COUNTER] = counter;
	ret = shunt_maps_measure(&maps, err);
	return ret ? ret
		   : shunt_program_load(explain->hook, facts->features, &maps, err);
}

/* What can be test-run of the program with this id: its descriptor, or -errno. */
static int open_runnable(struct shunt_explain *explain, uint32_t id,
			 struct shunt_err *err)
{
	struct shunt_program_facts facts;
	_fd_ int fd = bpf_prog_get_fd_by_id(id);
	int ret;

	if (fd < 0)
		return shunt_fail_errno(err, fd, "open the program of hook %s",
					shunt_hook_name(explain->hook));
	ret = shunt_program_ask(explain->hook, id, &facts, err);
	if (ret)
		return ret;
	return facts.bound || facts.chained ? load_twin(explain, &facts, err)
					    : shunt_steal_fd(&fd);
}

/* The program that sits on the hook now; another may have taken over since the last. */
static int open_program(struct shunt_explain *explain, struct shunt_err *err)
{
	const struct shunt_instance *instance = &explain->instance;
	const struct shunt_place *place = &instance->state->place[explain->hook];
	uint32_t id = shunt_place_program(explain->hook, place, instance->name,
					  instance->ifindex);

	if (!id)
		id = place->prog_id;
	if (id == explain->prog_id)
		return 0;
	if (explain->prog_fd >= 0)
		close(explain->prog_fd);
	explain->prog_fd = open_runnable(explain, id, err);
	if (explain->prog_fd < 0)
		return explain->prog_fd;
	explain->prog_id = id;
	return 0;
}

static int open_attached(struct shunt_explain *explain, const char *interface,
			 struct shunt_err *err)
{
	const struct shunt_state *state;
	int ret = shunt_instance_open(&explain->instance, interface, false, err), hook;

	if (ret)
		return ret;
	state = explain->instance.state;
	for (hook = 0; explain->hook < 0 && hook < SHUNT_HOOK_MAX; hook++)
		if (state->place[hook].on)
			explain->hook = hook;
	if (explain->hook < 0 || !state->place[explain->hook].on)
		return shunt_fail(
			err, -ENOENT,
			"explain: Shunt is not attached to that hook of %s; `shunt "
			"show %s` lists the hooks that it is",
			interface, interface);
	return open_program(explain, err);
}

int shunt_explain_open(struct shunt_explain **explain, const char *interface,
		       const char *hook, struct shunt_err *err)
{
	int ret = start(explain, hook, err);

	if (!ret)
		ret = open_attached(*explain, interface, err);
	if (ret) {
		shunt_explain_close(*explain);
		*explain = NULL;
	}
	return ret;
}

/* Loads the program over maps of its own, and puts the policy in force there. */
static int open_policy(struct shunt_explain *explain, const struct shunt_policy *policy,
		       struct shunt_err *err)
{
	struct shunt_maps *maps = &explain->instance.maps;
	struct shunt_plan plan = { 0 };
	int ret;

	if (explain->hook < 0)
		explain->hook = SHUNT_HOOK_XDP;
	ret = shunt_plan_make(&plan, policy, "", NULL, true, err);
	if (!ret) {
		struct shunt_needs needs = shunt_plan_needs(&plan);

		shunt_maps_choose(maps, &needs);
		ret = explain->prog_fd = shunt_program_load(
			explain->hook,
			needs.features | SHUNT_HAS_TUNNEL | SHUNT_HAS_WIDE, maps,
			err); /* so that the answer shows all */
	}
	if (ret >= 0)
		ret = shunt_maps_mmap(maps, err);
	if (!ret)
		ret = shunt_plan_write(&plan, maps, err);
	if (!ret && getrandom(&maps->gen->trace_cookie, sizeof(uint64_t), 0) < 0)
		ret = shunt_fail_errno(err, -errno, "draw a random number");
	if (!ret) {
		shunt_plan_flip(&plan, maps);
		explain->instance.state = shunt_steal(&plan.next);
	}
	shunt_plan_free(&plan);
	return ret;
}

int shunt_explain_open_policy(struct shunt_explain **explain,
			      const struct shunt_policy *policy, const char *hook,
			      struct shunt_err *err)
{
	int ret = start(explain, hook, err);

	if (!ret)
		ret = open_policy(*explain, policy, err);
	if (ret) {
		shunt_explain_close(*explain);
		*explain = NULL;
	}
	return ret;
}

void shunt_explain_close(struct shunt_explain *explain)
{
	if (!explain)
		return;
	shunt_instance_close(&explain->instance);
	if (explain->prog_fd >= 0)
		close(explain->prog_fd);
	free(explain->buf);
	free(explain);
}

/* --- one frame --------------------------------------------------------------- */

/* The XDP request travels as metadata, right before the frame. */
static int run_xdp(struct shunt_explain *explain, const struct shunt_trace_req *req,
		   const void *frame, size_t bytes)
{
	struct xdp_md ctx = { .data = sizeof(*req), .data_end = sizeof(*req) + bytes };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = explain->buf,
		    .data_size_in = sizeof(*req) + bytes, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	memcpy(explain->buf, req, sizeof(*req));
	memcpy(explain->buf + sizeof(*req), frame, bytes);
	return bpf_prog_test_run_opts(explain->prog_fd, &opts);
}

static int run_tc(struct shunt_explain *explain, const struct shunt_trace_req *req,
		  const void *frame, size_t bytes)
{
	struct __sk_buff ctx = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = bytes,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);

	memcpy(ctx.cb, req, sizeof(*req));
	return bpf_prog_test_run_opts(explain->prog_fd, &opts);
}

/* Runs the program over the frame and fetches what it has recorded. */
static int ask_once(struct shunt_explain *explain, const void *frame, size_t bytes,
		    struct shunt_trace *trace, struct shunt_err *err)
{
	int map = explain->instance.maps.fd[SHUNT_MAP_TRACE], ret;
	struct shunt_trace_req req = {
		.cookie = explain->instance.maps.gen->trace_cookie,
	};

	if (explain->room < sizeof(req) + bytes) {
		free(explain->buf);
		explain->room = 2 * (sizeof(req) + bytes);
		explain->buf = malloc(explain->room);
		if (!explain->buf)
			return shunt_fail(err, -ENOMEM, "explain: out of memory");
	}
	if (getrandom(&req.token, sizeof(req.token), 0) < 0)
		return shunt_fail_errno(err, -errno, "draw a random number");
	req.token |= 1; /* 0 means: not traced */
	ret = explain->hook == SHUNT_HOOK_XDP ? run_xdp(explain, &req, frame, bytes)
					      : run_tc(explain, &req, frame, bytes);
	if (ret)
		return shunt_fail(
			err, ret,
			"the kernel does not run the program over a frame of %zu "
			"bytes: %s",
			bytes, strerror(-ret));
	ret = bpf_map_lookup_elem(map, &req.token, trace);
	if (ret)
		return shunt_fail_errno(err, ret, "fetch the program's answer");
	bpf_map_delete_elem(map, &req.token);
	return 0;
}

/* A program that has been replaced may have looked at an image that rules no more. */
static int ask(struct shunt_explain *explain, const void *frame, size_t bytes,
	       struct shunt_trace *trace, struct shunt_err *err)
{
	uint32_t asked;
	int ret;

	do {
		asked = explain->prog_id;
		ret = ask_once(explain, frame, bytes, trace, err);
		if (!ret && asked)
			ret = open_program(explain, err);
	} while (!ret && explain->prog_id != asked);
	return ret;
}

/* A swap may have come between: names are those of the generation that answered. */
static int follow_generation(struct shunt_explain *explain, uint64_t generation,
			     struct shunt_err *err)
{
	struct shunt_state *state;
	int ret;

	if (explain->instance.state->generation == generation)
		return 0;
	ret = shunt_state_read(&state, explain->instance.name, generation, err);
	if (ret)
		return ret;
	shunt_state_free(explain->instance.state);
	explain->instance.state = state;
	return 0;
}

static void put_rule(cJSON *reply, const struct shunt_state *state,
		     const struct shunt_trace *trace)
{
	const struct shunt_state_rule *rule =
		trace->rule < state->rules ? &state->rule[trace->rule] : NULL;
	cJSON *counted;
	uint32_t i;

	/* a malformed packet is asked no rule */
	if (shunt_reason_is_malformed(trace->reason))
		rule = NULL;
	if (rule)
		cJSON_AddStringToObject(reply, "rule", rule->name);
	else
		cJSON_AddNullToObject(reply, "rule");
	cJSON_AddStringToObject(reply, "action",
				shunt_action_name(trace->rule_data.action));
	if (rule && *rule->target)
		cJSON_AddStringToObject(reply, "target", rule->target);
	counted = cJSON_AddArrayToObject(reply, "counted");
	for (i = 0; i < trace->counted && i < SHUNT_TRACE_COUNTED; i++)
		if (trace->counted_rule[i] < state->rules)
			cJSON_AddItemToArray(
				counted,
				cJSON_CreateString(
					state->rule[trace->counted_rule[i]].name));
}

static cJSON *answer(const struct shunt_explain *explain,
		     const struct shunt_trace *trace, uint64_t number)
{
	cJSON *reply = cJSON_CreateObject(), *pkt;
	const char *proto;

	cJSON_AddStringToObject(reply, "schema", "shunt.explain/1");
	shunt_json_add_u64(reply, "packet", number);
	cJSON_AddStringToObject(reply, "hook", shunt_hook_name(explain->hook));
	shunt_json_add_u64(reply, "generation", trace->generation);
	cJSON_AddStringToObject(reply, "verdict", shunt_action_name(trace->verdict));
	put_rule(reply, explain->instance.state, trace);
	cJSON_AddStringToObject(reply, "reason", shunt_reason_name(trace->reason));
	pkt = shunt_pkt_json(&trace->pkt);
	proto = trace->pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO]
			? shunt_proto_name(trace->pkt.layer[SHUNT_OUTER]
						   .field[SHUNT_FIELD_PROTO] -
					   1)
			: NULL;
	if (proto)
		cJSON_AddStringToObject(pkt, "proto_name", proto);
	cJSON_AddItemToObject(reply, "pkt", pkt);
	return reply;
}

/* A frame that the kernel runs no program over: no verdict, and why. */
static cJSON *no_answer(const struct shunt_explain *explain, uint64_t number,
			const char *error)
{
	cJSON *reply = cJSON_CreateObject();

	cJSON_AddStringToObject(reply, "schema", "shunt.explain/1");
	shunt_json_add_u64(reply, "packet", number);
	cJSON_AddStringToObject(reply, "hook", shunt_hook_name(explain->hook));
	cJSON_AddNullToObject(reply, "verdict");
	cJSON_AddNullToObject(reply, "rule");
	cJSON_AddStringToObject(reply, "error", error);
	return reply;
}

int shunt_explain_frame(struct shunt_explain *explain, uint64_t number,
			const void *frame, size_t bytes, cJSON **reply,
			struct shunt_err *err)
{
	struct shunt_err inner = { "" };
	struct shunt_trace trace = { .generation = 0 };
	int ret;

	*reply = NULL;
	if (bytes < ETH_HEADER) {
		*reply = no_answer(
			explain, number,
			"shorter than an Ethernet header: no driver hands such "
			"a frame to a program");
		return 0;
	}
	ret = ask(explain, frame, bytes, &trace, &inner);
	if (ret == -EINVAL || ret == -E2BIG || ret == -EFBIG || ret == -ENOSPC ||
	    (ret == -ENOMEM && bytes > 65536)) {
		*reply = no_answer(explain, number, inner.message);
		return 0;
	}
	if (!ret)
		ret = follow_generation(explain, trace.generation, &inner);
	if (ret)
		return shunt_fail(err, ret, "explain packet %llu: %s",
				  (unsigned long long)number, inner.message);
	*reply = answer(explain, &trace, number);
	return 0;
}
