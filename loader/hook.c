/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/hook.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "loader/bpffs.h"
#include "loader/chain.h"
#include "loader/hookpin.h"
#include "loader/mode.h"
#include "loader/netfilter.h"
#include "loader/owner.h"
#include "loader/program.h"
#include "user/base/cleanup.h"

/* The headers of Debian 12 are older than TCX (Linux 6.6). */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47

/* A clsact filter of ours is known by these; the priority leaves room before it. */
#define CLSACT_HANDLE 0x5348
#define CLSACT_PRIORITY 0x5348

static void placed(struct shunt_place *place, const char *mode, int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	place->on = true;
	snprintf(place->mode, sizeof(place->mode), "%s", mode);
	if (!bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		place->prog_id = info.id;
}

/* --- XDP --------------------------------------------------------------------- */

static int taken(const char *interface, const char *mode, uint32_t id, bool chain,
		 struct shunt_err *err)
{
	bool dispatcher = shunt_chain_is_dispatcher(id);
	char owner[SHUNT_OWNER_TEXT];

	if (dispatcher && chain)
		return 0;
	shunt_owner_describe(id, owner);
	return shunt_fail(
		err, -EBUSY,
		"%s already has an XDP program (%s mode) that is not Shunt's: "
		"%s. It stays: %s",
		interface, mode, owner,
		dispatcher ? "it is a dispatcher of libxdp's, which `--chain PRIORITY` "
			     "joins"
		: chain ? "programs are chained by libxdp's dispatcher, and this one "
			  "is "
			  "none; have its owner take it off first"
			: "have its owner take it off first");
}

int shunt_place_free(const char *interface, unsigned int ifindex, uint32_t chain,
		     struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	const char *mode = "native";
	__u32 id;
	int ret = chain ? shunt_chain_possible(err) : 0;

	if (ret)
		return ret;
	ret = bpf_xdp_query(ifindex, 0, &query);
	if (ret)
		return shunt_fail_errno(err, ret, "ask %s for its XDP program",
					interface);
	id = query.drv_prog_id;
	if (!id && query.skb_prog_id) {
		id = query.skb_prog_id;
		mode = "generic";
	} else if (!id && query.hw_prog_id) {
		id = query.hw_prog_id;
		mode = "offloaded";
	}
	if (!id)
		id = query.prog_id;
	return id ? taken(interface, mode, id, chain, err) : 0;
}

static int attach_xdp(const struct shunt_place_request *request,
		      struct shunt_place *place, int *link_fd, struct shunt_err *note,
		      struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
	int ret = shunt_place_free(request->interface, request->ifindex, 0, err),
	    first = 0;

	if (ret)
		return ret;
	if (shunt_mode_allows(request->mode, "native")) {
		*link_fd = bpf_link_create(request->prog_fd, request->ifindex, BPF_XDP,
					   &native);
		if (*link_fd >= 0) {
			placed(place, "native", request->prog_fd);
			return 0;
		}
		first = *link_fd;
		if (!shunt_mode_allows(request->mode, "generic"))
			return shunt_fail(
				err, first,
				"%s does not take an XDP program in native mode: "
				"%s; `--mode generic` works on every interface, "
				"more slowly",
				request->interface, strerror(-first));
	}
	*link_fd =
		bpf_link_create(request->prog_fd, request->ifindex, BPF_XDP, &generic);
	if (*link_fd < 0)
		return shunt_fail_errno(err, *link_fd,
					"attach the XDP program to %s in generic mode",
					request->interface);
	placed(place, "generic", request->prog_fd);
	if (first)
		shunt_fail(
			note, 0,
			"%s does not take an XDP program in native mode (%s): generic "
			"mode is used, which is several times slower",
			request->interface, strerror(-first));
	return 0;
}

static int attach_chained(const struct shunt_place_request *request,
			  struct shunt_place *place, struct shunt_err *note,
			  struct shunt_err *err)
{
	const struct shunt_chain_request chain = {
		.instance = request->instance,
		.interface = request->interface,
		.ifindex = request->ifindex,
		.prog_fd = request->prog_fd,
		.priority = request->chain,
		.mode = request->mode,
	};
	int ret = shunt_place_free(request->interface, request->ifindex, request->chain,
				   err);

	if (!ret)
		ret = shunt_chain_join(&chain, note, err);
	if (ret)
		return ret;
	placed(place, "chained", request->prog_fd);
	place->priority = request->chain;
	return 0;
}

/* --- TC ---------------------------------------------------------------------- */

static enum bpf_tc_attach_point tc_point(enum shunt_hook hook)
{
	return hook == SHUNT_HOOK_TC_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

/* --- a qdisc of our own ------------------------------------------------------ */

static int mean_qdisc(const struct shunt_place_request *request, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	bool there;
	int ret = shunt_clsact_exists(request->ifindex, &there, err);

	if (ret || there)
		return ret;
	shunt_hookpin_path(path, request->instance, request->hook, "_qdisc");
	unlink(path); /* a killed attach may have got this far */
	return shunt_pin_put(request->prog_fd, path, err);
}

void shunt_place_qdisc_noted(enum shunt_hook hook, const char *instance)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_path(path, instance, hook, "_qdisc");
	unlink(path);
}

bool shunt_place_qdisc_meant(enum shunt_hook hook, const char *instance)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_path(path, instance, hook, "_qdisc");
	return !access(path, F_OK);
}

static int attach_clsact(const struct shunt_place_request *request,
			 struct shunt_place *place, struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = request->ifindex,
		    .attach_point = tc_point(request->hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE,
		    .priority = CLSACT_PRIORITY, .prog_fd = request->prog_fd);
	int ret = mean_qdisc(request, err);

	if (ret)
		return ret;
	ret = bpf_tc_hook_create(&hook);
	place->made_qdisc = ret == 0;
	if (ret)
		shunt_place_qdisc_noted(request->hook, request->instance);
	if (ret && ret != -EEXIST)
		return shunt_fail_errno(err, ret, "add a clsact qdisc to %s",
					request->interface);
	ret = bpf_tc_attach(&hook, &opts);
	if (ret)
		return shunt_fail(err, ret,
				  "attach a clsact filter to %s at priority %u: %s%s",
				  request->interface, CLSACT_PRIORITY, strerror(-ret),
				  ret == -EEXIST
					  ? "; `tc filter show` names the one that "
					    "sits there"
					  : "");
	placed(place, "clsact", request->prog_fd);
	return 0;
}

static int attach_tc(const struct shunt_place_request *request,
		     struct shunt_place *place, int *link_fd, struct shunt_err *note,
		     struct shunt_err *err)
{
	int type = request->hook == SHUNT_HOOK_TC_INGRESS ? ATTACH_TCX_INGRESS
							  : ATTACH_TCX_EGRESS;
	int first = 0;

	if (shunt_mode_allows(request->mode, "tcx")) {
		*link_fd =
			bpf_link_create(request->prog_fd, request->ifindex, type, NULL);
		if (*link_fd >= 0) {
			placed(place, "tcx", request->prog_fd);
			return 0;
		}
		first = *link_fd;
		if (!shunt_mode_allows(request->mode, "clsact"))
			return shunt_fail(
				err, first,
				"%s does not take a TCX link: %s (needs Linux "
				"6.6); `--mode clsact` works on older kernels",
				request->interface, strerror(-first));
	}
	*link_fd = -1;
	if (first)
		shunt_fail(note, 0,
			   "no TCX here (%s; needs Linux 6.6): a clsact filter is "
			   "used",
			   strerror(-first));
	return attach_clsact(request, place, err);
}

/* The program of the filter where ours are put; *id 0: there is none. */
static int ask_filter(enum shunt_hook hook, unsigned int ifindex, uint32_t *id,
		      struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = ifindex,
		    .attach_point = tc_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE,
		    .priority = CLSACT_PRIORITY);
	int ret = ifindex ? bpf_tc_query(&at, &opts) : -ENODEV;

	*id = ret ? 0 : opts.prog_id;
	/* no filter, no qdisc, no interface */
	if (!ret || ret == -ENOENT || ret == -EINVAL || ret == -ENODEV)
		return 0;
	return shunt_fail_errno(err, ret, "ask for the clsact filter of hook %s",
				shunt_hook_name(hook));
}

uint32_t shunt_place_filter(enum shunt_hook hook, unsigned int ifindex)
{
	uint32_t id;

	return ask_filter(hook, ifindex, &id, NULL) ? 0 : id;
}

/* Its program, where the instance has it pinned; *id 0: the filter is not ours. */
static int clsact_ours(enum shunt_hook hook, const char *instance, unsigned int ifindex,
		       uint32_t *id, struct shunt_err *err)
{
	uint32_t pin = 0, next = 0;
	int ret = ask_filter(hook, ifindex, id, err);

	if (ret || !*id)
		return ret;
	ret = shunt_hookpin_ask(instance, hook, "", &pin, err);
	if (!ret && pin != *id)
		ret = shunt_hookpin_ask(instance, hook, "_next", &next, err);
	if (pin != *id && next != *id)
		*id = 0;
	return ret;
}

int shunt_place_take_filter(enum shunt_hook hook, unsigned int ifindex,
			    uint32_t prog_id)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = ifindex,
		    .attach_point = tc_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE,
		    .priority = CLSACT_PRIORITY);

	return shunt_place_filter(hook, ifindex) == prog_id ? bpf_tc_detach(&at, &opts)
							    : -ENOENT;
}

/* A qdisc that we made, and that nobody uses any more. */
static int remove_qdisc(unsigned int ifindex, struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	bool there, in_use = false;
	int ret = shunt_clsact_exists(ifindex, &there, err);

	if (!ret && there)
		ret = shunt_clsact_in_use(ifindex, &in_use, err);
	if (ret || !there || in_use)
		return ret;
	ret = bpf_tc_hook_destroy(&at);
	return ret ? shunt_fail_errno(err, ret, "remove the clsact qdisc") : 0;
}

static int detach_clsact(enum shunt_hook hook, bool made_qdisc, const char *instance,
			 unsigned int ifindex, struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = ifindex,
		    .attach_point = tc_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE,
		    .priority = CLSACT_PRIORITY);
	bool meant = shunt_place_qdisc_meant(hook, instance);
	uint32_t ours;
	int ret = clsact_ours(hook, instance, ifindex, &ours, err);

	if (!ret && ours && made_qdisc && !meant)
		/* after a kill that comes when the filter has gone: whose the qdisc is */
		ret = shunt_hookpin_note_qdisc(instance, hook, err);
	if (ret || (!ours && !meant))
		return ret;
	ret = ours ? bpf_tc_detach(&at, &opts) : 0;
	if (ret && ret != -ENOENT)
		return shunt_fail_errno(err, ret, "take the clsact filter off");
	return made_qdisc || meant ? remove_qdisc(ifindex, err) : 0;
}

int shunt_place_detach(enum shunt_hook hook, bool made_qdisc, const char *instance,
		       unsigned int ifindex, struct shunt_err *err)
{
	if (hook == SHUNT_HOOK_NETFILTER)
		return shunt_nf_detach(instance, err);
	if (hook == SHUNT_HOOK_XDP)
		return shunt_chain_leave(instance, err);
	return detach_clsact(hook, made_qdisc, instance, ifindex, err);
}

/* --- any ------------------------------------------------------------------ */

int shunt_place_attach(const struct shunt_place_request *request,
		       struct shunt_place *place, int *link_fd, struct shunt_err *note,
		       struct shunt_err *err)
{
	memset(place, 0, sizeof(*place));
	note->message[0] = 0;
	*link_fd = -1;
	if (request->hook == SHUNT_HOOK_XDP && request->chain)
		return attach_chained(request, place, note, err);
	if (request->hook == SHUNT_HOOK_XDP)
		return attach_xdp(request, place, link_fd, note, err);
	if (request->hook == SHUNT_HOOK_NETFILTER) {
		int ret = shunt_nf_attach(request->instance, request->prog_fd,
					  &place->netns, link_fd, err);

		if (!ret)
			placed(place, "link", request->prog_fd);
		return ret;
	}
	return attach_tc(request, place, link_fd, note, err);
}

static int open_link(const char *instance, enum shunt_hook hook)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_link_path(path, instance, hook);
	return bpf_obj_get(path);
}

/* The program of a link that is on its interface; *id 0: it is not. */
static int link_program(const char *instance, enum shunt_hook hook, uint32_t *id,
			struct shunt_err *err)
{
	bool sits;
	int ret = shunt_hookpin_ask_link(instance, hook, id, &sits, err);

	if (!sits)
		*id = 0;
	return ret;
}

int shunt_place_ask(enum shunt_hook hook, const struct shunt_place *place,
		    const char *instance, unsigned int ifindex, uint32_t *prog_id,
		    struct shunt_err *err)
{
	*prog_id = 0;
	if (!place->on)
		return 0;
	if (!strcmp(place->mode, "chained"))
		return shunt_chain_ask(instance, ifindex, prog_id, err);
	return strcmp(place->mode, "clsact")
		       ? link_program(instance, hook, prog_id, err)
		       : clsact_ours(hook, instance, ifindex, prog_id, err);
}

bool shunt_place_alive(enum shunt_hook hook, const struct shunt_place *place,
		       const char *instance, unsigned int ifindex)
{
	uint32_t id;

	return shunt_place_ask(hook, place, instance, ifindex, &id, NULL) || id;
}

uint32_t shunt_place_program(enum shunt_hook hook, const struct shunt_place *place,
			     const char *instance, unsigned int ifindex)
{
	uint32_t id;

	return shunt_place_ask(hook, place, instance, ifindex, &id, NULL)
		       ? place->prog_id
		       : id;
}

static bool xdp_carries(unsigned int ifindex, uint32_t prog_id)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return !bpf_xdp_query(ifindex, 0, &query) &&
	       (query.prog_id == prog_id || query.drv_prog_id == prog_id ||
		query.skb_prog_id == prog_id || query.hw_prog_id == prog_id);
}

static bool tcx_carries(enum shunt_hook hook, unsigned int ifindex, uint32_t prog_id)
{
	int type =
		hook == SHUNT_HOOK_TC_INGRESS ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
	uint32_t id[64], n = sizeof(id) / sizeof(*id), i;

	if (bpf_prog_query(ifindex, type, 0, NULL, id, &n))
		return false;
	for (i = 0; i < n; i++)
		if (id[i] == prog_id)
			return true;
	return false;
}

/* Its links are a namespace's, which they do not name. */
static bool nf_carries(unsigned int ifindex, uint32_t prog_id)
{
	struct shunt_program_facts facts;

	return !shunt_program_ask(SHUNT_HOOK_NETFILTER, prog_id, &facts, NULL) &&
	       facts.ifindex == ifindex;
}

bool shunt_place_carries(enum shunt_hook hook, unsigned int ifindex, uint32_t prog_id)
{
	if (!prog_id)
		return false;
	if (hook == SHUNT_HOOK_XDP)
		return xdp_carries(ifindex, prog_id);
	if (hook == SHUNT_HOOK_NETFILTER)
		return nf_carries(ifindex, prog_id);
	return shunt_place_filter(hook, ifindex) == prog_id ||
	       tcx_carries(hook, ifindex, prog_id);
}

/* --- one program for another ------------------------------------------------- */

static int replace_clsact(enum shunt_hook hook, unsigned int ifindex, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = ifindex,
		    .attach_point = tc_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE,
		    .priority = CLSACT_PRIORITY, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&at, &opts);
}

static int replace_link(enum shunt_hook hook, const char *instance, int prog_fd)
{
	_fd_ int fd = open_link(instance, hook);

	return fd < 0 ? -errno : bpf_link_update(fd, prog_fd, NULL);
}

int shunt_place_settle(enum shunt_hook hook, const struct shunt_place *place,
		       const char *instance, unsigned int ifindex,
		       struct shunt_err *err)
{
	char from[SHUNT_PIN_MAX], to[SHUNT_PIN_MAX];
	uint32_t now, next;
	int ret = shunt_hookpin_ask(instance, hook, "_next", &next, err);

	if (ret || !next)
		return ret;
	ret = shunt_place_ask(hook, place, instance, ifindex, &now, err);
	if (!ret && hook == SHUNT_HOOK_NETFILTER)
		ret = shunt_nf_settle(instance, now == next, err);
	if (!ret && !strcmp(place->mode, "chained"))
		ret = shunt_chain_tidy(instance, ifindex, err);
	if (ret)
		return ret;
	shunt_hookpin_path(from, instance, hook, "_next");
	shunt_hookpin_path(to, instance, hook, "");
	if (now == next ? rename(from, to) : unlink(from))
		return shunt_fail_errno(err, -errno, "settle the pin %s", from);
	return 0;
}

/* Has the first of netfilter's links got this program? In doubt, yes. */
static bool sits(const struct shunt_place *place, const char *instance, int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	uint32_t now;

	return shunt_place_ask(SHUNT_HOOK_NETFILTER, place, instance, 0, &now, NULL) ||
	       bpf_obj_get_info_by_fd(prog_fd, &info, &len) || info.id == now;
}

int shunt_place_replace(enum shunt_hook hook, const struct shunt_place *place,
			const char *instance, unsigned int ifindex, int prog_fd,
			struct shunt_err *err)
{
	bool clsact = !strcmp(place->mode, "clsact"),
	     chained = !strcmp(place->mode, "chained");
	char path[SHUNT_PIN_MAX];
	int ret;

	shunt_hookpin_path(path, instance, hook, "_next");
	unlink(path);
	ret = shunt_pin_put(prog_fd, path, err);
	if (ret)
		return ret;
	if (hook == SHUNT_HOOK_NETFILTER)
		ret = shunt_nf_replace(instance, prog_fd);
	else
		ret = chained  ? shunt_chain_replace(instance, ifindex, prog_fd)
		      : clsact ? replace_clsact(hook, ifindex, prog_fd)
			       : replace_link(hook, instance, prog_fd);
	if (ret) {
		/* one that sits there for IPv4 alone is settled by the next command */
		if (hook != SHUNT_HOOK_NETFILTER || !sits(place, instance, prog_fd))
			unlink(path);
		if (ret == -ENOLINK || ret == -ENODEV)
			return shunt_fail(err, -ENODEV,
					  "replace the program of hook %s (%s): its "
					  "interface is gone from here; `shunt detach "
					  "--stale` removes what it has left",
					  shunt_hook_name(hook), place->mode);
		return shunt_fail_errno(err, ret, "replace the program of hook %s (%s)",
					shunt_hook_name(hook), place->mode);
	}
	return shunt_place_settle(hook, place, instance, ifindex, err);
}
