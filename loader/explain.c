/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>

#include "bpf/lib/wire.h"
#include "loader/chain.h"
#include "loader/explain.h"
#include "loader/plan.h"
#include "loader/program.h"
#include "maps/reason.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

#define ETH_HEADER 14 /* the kernel runs no program over less */
#define TRIES 5	      /* of a packet whose policy or sets change meanwhile */

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
	if (getrandom(&(*explain)->token, sizeof(uint64_t), 0) < 0)
		return shunt_fail_errno(err, -errno, "draw a random number");
	(*explain)->token |= 1; /* 0 means: not traced */
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
	cJSON_Delete(explain->chain);
	explain->chain = NULL;
	if (!strcmp(place->mode, "chained"))
		explain->chain = shunt_chain_list(instance->name, instance->ifindex);
	return 0;
}

static uint64_t word(const struct shunt_explain *explain)
{
	return __atomic_load_n(&explain->instance.maps.gen->word, __ATOMIC_ACQUIRE);
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
	explain->word = word(explain);
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
		       const char *iface, struct shunt_err *err)
{
	struct shunt_maps *maps = &explain->instance.maps;
	struct shunt_plan plan = { 0 };
	int ret;

	if (explain->hook < 0)
		explain->hook = SHUNT_HOOK_XDP;
	ret = shunt_plan_make(&plan, policy, iface, NULL, true, err);
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
	if (ret)
		return ret;
	explain->policy = policy;
	explain->roll = shunt_roll_of_policy(policy);
	explain->word = word(explain);
	return shunt_trials_make(&explain->trials, policy, iface, err);
}

int shunt_explain_open_policy(struct shunt_explain **explain,
			      const struct shunt_policy *policy, const char *hook,
			      struct shunt_err *err)
{
	return shunt_explain_open_for(explain, policy, hook, "", err);
}

int shunt_explain_open_for(struct shunt_explain **explain,
			   const struct shunt_policy *policy, const char *hook,
			   const char *iface, struct shunt_err *err)
{
	int ret = start(explain, hook, err);

	if (!ret)
		ret = open_policy(*explain, policy, iface, err);
	if (ret) {
		shunt_explain_close(*explain);
		*explain = NULL;
	}
	return ret;
}

int shunt_explain_open_loaded(struct shunt_explain **explain,
			      const struct shunt_instance *instance,
			      const struct shunt_state *state, enum shunt_hook hook,
			      uint32_t prog_id, struct shunt_err *err)
{
	int ret = start(explain, shunt_hook_name(hook), err);

	if (!ret) {
		struct shunt_explain *new = *explain;

		new->lent = true;
		new->instance.maps = instance->maps;
		new->instance.ifindex = instance->ifindex;
		memcpy(new->instance.name, instance->name, sizeof(instance->name));
		new->instance.state = (struct shunt_state *)state; /* only read */
		new->word = word(new);
		ret = new->prog_fd = open_runnable(new, prog_id, err);
	}
	if (ret >= 0)
		return 0;
	shunt_explain_close(*explain);
	*explain = NULL;
	return ret;
}

void shunt_explain_close(struct shunt_explain *explain)
{
	if (!explain)
		return;
	shunt_trials_free(&explain->trials);
	shunt_ruling_close(&explain->sets);
	shunt_policy_free(explain->own);
	if (!explain->lent)
		shunt_instance_close(&explain->instance);
	if (explain->prog_fd >= 0)
		close(explain->prog_fd);
	cJSON_Delete(explain->chain);
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

	memcpy(ctx.cb, req, sizeof(ctx.cb));
	return bpf_prog_test_run_opts(explain->prog_fd, &opts);
}

/* Of struct nf_hook_state what a test run reads; hook 0 is PRE_ROUTING. */
struct nf_state {
	uint8_t hook, family, pad[6];
};

static uint16_t eth_type(const uint8_t *frame)
{
	return frame[12] << 8 | frame[13];
}

/* The netfilter request stands behind the frame. */
static int run_nf(struct shunt_explain *explain, const struct shunt_trace_req *req,
		  const void *frame, size_t bytes)
{
	struct nf_state ctx = { .family = eth_type(frame) == SHUNT_ETH_IP4
						  ? NFPROTO_IPV4
						  : NFPROTO_IPV6 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = explain->buf,
		    .data_size_in = bytes + sizeof(*req), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	memcpy(explain->buf, frame, bytes);
	memcpy(explain->buf + bytes, req, sizeof(*req));
	return bpf_prog_test_run_opts(explain->prog_fd, &opts);
}

static int run(struct shunt_explain *explain, const struct shunt_trace_req *req,
	       const void *frame, size_t bytes)
{
	if (explain->hook == SHUNT_HOOK_XDP)
		return run_xdp(explain, req, frame, bytes);
	return explain->hook == SHUNT_HOOK_NETFILTER
		       ? run_nf(explain, req, frame, bytes)
		       : run_tc(explain, req, frame, bytes);
}

static int make_room(struct shunt_explain *explain, size_t bytes, struct shunt_err *err)
{
	if (explain->room >= bytes)
		return 0;
	free(explain->buf);
	explain->room = 2 * bytes;
	explain->buf = malloc(explain->room);
	if (explain->buf)
		return 0;
	explain->room = 0;
	return shunt_fail(err, -ENOMEM, "explain: out of memory");
}

/* Runs the program over the frame and fetches what it has recorded. */
static int ask_once(struct shunt_explain *explain, const void *frame, size_t bytes,
		    struct shunt_trace *trace, struct shunt_err *err)
{
	int map = explain->instance.maps.fd[SHUNT_MAP_TRACE], ret;
	struct shunt_trace_req req = {
		.cookie = explain->instance.maps.gen->trace_cookie,
		.token = explain->token,
		.idle = explain->idle,
	};

	explain->token += 2; /* stays odd */
	ret = make_room(explain, sizeof(req) + bytes, err);
	if (ret)
		return ret;
	ret = run(explain, &req, frame, bytes);
	if (ret)
		return shunt_fail(
			err, ret,
			"the kernel does not run the program over a frame of %zu "
			"bytes: %s",
			bytes, strerror(-ret));
	ret = bpf_map_lookup_and_delete_elem(map, &req.token, trace);
	return ret ? shunt_fail_errno(err, ret, "fetch the program's answer") : 0;
}

/*
 * A program that has been replaced may look at an image that rules no more, from the
 * moment on in which the word changes, not before.
 */
int shunt_explain_run(struct shunt_explain *explain, const void *frame, size_t bytes,
		      struct shunt_trace *trace, struct shunt_err *err)
{
	int ret;

	do {
		uint64_t now = word(explain);

		ret = 0;
		if (explain->prog_id && now != explain->word)
			ret = open_program(explain, err);
		explain->word = now;
		if (!ret)
			ret = ask_once(explain, frame, bytes, trace, err);
	} while (!ret && word(explain) != explain->word);
	return ret;
}

bool shunt_explain_refused(int error, size_t bytes)
{
	/* EPROTO: neither IPv4 nor IPv6, in netfilter */
	return error == -EINVAL || error == -E2BIG || error == -EFBIG ||
	       error == -ENOSPC || error == -EPROTO ||
	       (error == -ENOMEM && bytes > 65536);
}

/* --- what its policy says ------------------------------------------------------ */

/* The policy of an interface's record, and its sets as they are now. */
static int read_policy(struct shunt_explain *explain, struct shunt_err *err)
{
	const struct shunt_instance *instance = &explain->instance;
	int ret;

	if (!explain->prog_id || explain->read == instance->state->generation)
		return 0;
	explain->read = 0;
	shunt_trials_free(&explain->trials);
	shunt_ruling_close(&explain->sets);
	shunt_policy_free(explain->own);
	ret = shunt_ruling_read(&explain->own, instance->state, err);
	if (ret)
		return ret;
	explain->policy = explain->own;
	explain->roll = shunt_ruling_roll(&explain->sets, explain->own, instance);
	ret = shunt_trials_make(&explain->trials, explain->own,
				instance->state->interface, err);
	if (!ret)
		explain->read = instance->state->generation;
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

/* Fills the rest of an answer that has its trace. */
static int judge(struct shunt_explain *explain, struct shunt_answer *answer,
		 struct shunt_err *err)
{
	struct shunt_subject *subject = &answer->subject;
	int ret = read_policy(explain, err);

	if (ret)
		return ret;
	shunt_subject_begin(subject, &explain->trials, &explain->roll,
			    &answer->trace.pkt);
	ret = shunt_decide(subject, &answer->decision, &answer->nearly);
	return ret ? shunt_fail_errno(err, ret, "ask for the members of its sets") : 0;
}

bool shunt_explain_agrees(const struct shunt_trace *trace,
			  const struct shunt_decision *decision)
{
	uint32_t i;

	if (trace->rule != decision->rule ||
	    trace->rule_data.action != decision->action ||
	    trace->counted != decision->counted ||
	    trace->reason == SHUNT_REASON_INTERNAL)
		return false;
	for (i = 0; i < decision->counted && i < SHUNT_TRACE_COUNTED; i++)
		if (trace->counted_rule[i] != decision->counted_rule[i])
			return false;
	return true;
}

/* --- one frame --------------------------------------------------------------- */

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

/* Why netfilter never sees such a frame; NULL: it does. */
static const char *nf_is_blind_to(const uint8_t *frame)
{
	uint16_t type = eth_type(frame);

	if (type == SHUNT_ETH_IP4 || type == SHUNT_ETH_IP6)
		return NULL;
	if (type == SHUNT_ETH_VLAN || type == SHUNT_ETH_QINQ || type == SHUNT_ETH_QINQ1)
		return "no verdict: netfilter sees IPv4 and IPv6 only, and what has a "
		       "VLAN tag by the VLAN's own interface";
	return "no verdict: netfilter sees IPv4 and IPv6 only";
}

/*
 * The answer, and a policy that is the one it came from. Sets may change between the
 * program's look at them and ours: then both look again.
 */
static int ask(struct shunt_explain *explain, const void *frame, size_t bytes,
	       struct shunt_answer *answer, struct shunt_err *err)
{
	struct shunt_trace *trace = &answer->trace;
	int ret = 0, tries;

	/* -EAGAIN: the record of the generation that answered is already replaced */
	for (tries = 0; (!ret || ret == -EAGAIN) && tries < TRIES; tries++) {
		ret = shunt_explain_run(explain, frame, bytes, trace, err);
		if (!ret)
			ret = follow_generation(explain, trace->generation, err);
		if (ret == -EAGAIN)
			continue;
		if (ret || shunt_reason_is_malformed(trace->reason))
			return ret;
		ret = judge(explain, answer, err);
		if (!ret && shunt_explain_agrees(trace, &answer->decision))
			return 0;
	}
	return ret;
}

int shunt_explain_frame(struct shunt_explain *explain, uint64_t number,
			const void *frame, size_t bytes, cJSON **reply,
			struct shunt_err *err)
{
	struct shunt_err inner = { "" };
	struct shunt_answer answer = { .trace = { .generation = 0 } };
	int ret;

	*reply = NULL;
	if (bytes < ETH_HEADER) {
		*reply = no_answer(
			explain, number,
			"shorter than an Ethernet header: no driver hands such "
			"a frame to a program");
		return 0;
	}
	if (explain->hook == SHUNT_HOOK_NETFILTER && nf_is_blind_to(frame)) {
		*reply = no_answer(explain, number, nf_is_blind_to(frame));
		return 0;
	}
	ret = ask(explain, frame, bytes, &answer, &inner);
	if (shunt_explain_refused(ret, bytes)) {
		*reply = no_answer(explain, number, inner.message);
		return 0;
	}
	if (!ret)
		ret = shunt_explain_json(explain, number, &answer, reply, &inner);
	if (ret)
		return shunt_fail(err, ret, "explain packet %llu: %s",
				  (unsigned long long)number, inner.message);
	/* others may stop what we pass, or have it before us */
	if (explain->chain)
		cJSON_AddItemToObject(*reply, "chain",
				      cJSON_Duplicate(explain->chain, true));
	return 0;
}
