/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "chain.skel.h"
#include "loader/bpffs.h"
#include "loader/dispatch.h"
#include "loader/exchange.h"
#include "loader/mode.h"
#include "loader/netns.h"
#include "loader/state.h"
#include "maps/image.h"
#include "maps/mods.h"
#include "user/base/cleanup.h"

#define LEFT_MAX 64 /* folders looked at in one go */
#define ENTRY "shunt_entry"
#define TRIES 10 /* others may change the dispatcher at the same time */

/* --- libxdp and libbpf, kept quiet -------------------------------------------- */

struct quiet {
	libbpf_print_fn_t libbpf;
	libxdp_print_fn_t libxdp;
};

static struct quiet hush(void)
{
	return (struct quiet){ libbpf_set_print(NULL), libxdp_set_print(NULL) };
}

static void unhush(struct quiet *before)
{
	libbpf_set_print(before->libbpf);
	libxdp_set_print(before->libxdp);
}

#define _quiet_ __attribute__((cleanup(unhush)))

static void cleanup_skel(struct chain_bpf **skel)
{
	chain_bpf__destroy(*skel);
}

#define _skel_ __attribute__((cleanup(cleanup_skel)))

static void cleanup_multi(struct xdp_multiprog **multi)
{
	if (!libxdp_get_error(*multi))
		xdp_multiprog__close(*multi);
}

#define _multi_ __attribute__((cleanup(cleanup_multi)))

/* --- what can be -------------------------------------------------------------- */

int shunt_chain_target(struct shunt_err *err)
{
	_quiet_ struct quiet before = hush();
	_skel_ struct chain_bpf *skel = chain_bpf__open_and_load();
	int fd;

	(void)before;
	if (!skel)
		return shunt_fail_errno(err, -errno, "load " ENTRY);
	fd = fcntl(bpf_program__fd(skel->progs.shunt_entry), F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? shunt_fail_errno(err, -errno, "keep " ENTRY) : fd;
}

int shunt_chain_set_target(struct bpf_program *program, int target_fd)
{
	int ret = bpf_program__set_attach_target(program, target_fd, ENTRY);

	if (ret)
		return ret;
	bpf_program__set_type(program, BPF_PROG_TYPE_EXT);
	bpf_program__set_expected_attach_type(program, 0);
	/* the instance's maps of redirect targets take no other kind */
	bpf_program__set_flags(program, BPF_F_XDP_HAS_FRAGS);
	return 0;
}

/* Puts one entry in the place of another, which nobody runs: as libxdp does it. */
static int try_freplace(void)
{
	_skel_ struct chain_bpf *skel = chain_bpf__open();
	_fd_ int target = skel ? shunt_chain_target(NULL) : -errno;
	int ret = target < 0 ? target
			     : shunt_chain_set_target(skel->progs.shunt_entry, target);

	if (!ret)
		ret = chain_bpf__load(skel);
	if (ret)
		return ret;
	_fd_ int link =
		bpf_raw_tracepoint_open(NULL, bpf_program__fd(skel->progs.shunt_entry));
	return link < 0 ? -errno : 0;
}

int shunt_chain_possible(struct shunt_err *err)
{
	_quiet_ struct quiet before = hush();
	int ret = try_freplace();

	(void)before;
	if (!ret)
		return 0;
	return shunt_fail(err, ret,
			  "this kernel refuses freplace programs (%s), which libxdp's "
			  "dispatcher is made of, so that XDP programs cannot be "
			  "chained: leave out --chain and have the interface alone, or "
			  "attach tc-ingress, where there is room for several",
			  strerror(-ret));
}

/* What the rule in this place rewrites: enum shunt_rewrite_bit. */
static uint32_t rewrites(const struct shunt_image *image, size_t place)
{
	const uint8_t *at = (const void *)image;
	const struct shunt_image_rule *rule =
		(const void *)(at + image->rule + place * sizeof(*rule));
	const struct shunt_image_mods *mods = (const void *)(at + rule->mods);

	return rule->mods && mods->bits & SHUNT_MOD_REWRITE ? mods->rewrite.bits : 0;
}

int shunt_chain_fits(const struct shunt_image *image, const struct shunt_state *state,
		     struct shunt_err *err)
{
	size_t r;

	for (r = 0; r < state->rules; r++)
		if (rewrites(image, r) & SHUNT_REWRITE_VLAN)
			return shunt_fail(
				err, -EOPNOTSUPP,
				"rule %s changes VLAN tags, which an XDP program that "
				"is chained cannot: attach without --chain, or "
				"tc-ingress",
				state->rule[r].name);
	return 0;
}

bool shunt_chain_is_dispatcher(uint32_t prog_id)
{
	_fd_ int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	       !strcmp(info.name, "xdp_dispatcher");
}

/* --- our entry ---------------------------------------------------------------- */

static int open_gen(const char *instance)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, "maps", "gen");
	return bpf_obj_get(path);
}

/* The map by which our entries are known; *map 0: there is none, and no entry. */
static int ask_known(const char *instance, uint32_t *map, struct shunt_err *err)
{
	_fd_ int fd = open_gen(instance);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	*map = 0;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return shunt_fail_errno(err, -errno, "ask for the maps of %s",
					instance);
	*map = info.id;
	return 0;
}

/* The same; 0 as well where it cannot be asked. */
static uint32_t known_by(const char *instance)
{
	uint32_t map;

	return ask_known(instance, &map, NULL) ? 0 : map;
}

int shunt_chain_ask(const char *instance, unsigned int ifindex, uint32_t *prog_id,
		    struct shunt_err *err)
{
	struct shunt_dispatch dispatch = { .ifindex = ifindex };
	uint32_t map;
	int ret = ask_known(instance, &map, err);

	*prog_id = 0;
	if (ret || !map || !ifindex)
		return ret;
	ret = bpf_xdp_query_id(ifindex, 0, &dispatch.dispatcher);
	if (ret && ret != -ENODEV)
		return shunt_fail_errno(err, ret, "ask for the XDP program of %s",
					instance);
	if (dispatch.dispatcher && shunt_dispatch_look(map, &dispatch))
		*prog_id = dispatch.entry;
	return 0;
}

uint32_t shunt_chain_program(const char *instance, unsigned int ifindex)
{
	uint32_t id;

	return shunt_chain_ask(instance, ifindex, &id, NULL) ? 0 : id;
}

cJSON *shunt_chain_list(const char *instance, unsigned int ifindex)
{
	_quiet_ struct quiet before = hush();
	_multi_ struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex);
	uint32_t own = shunt_chain_program(instance, ifindex);
	struct xdp_program *entry = NULL;
	cJSON *list = cJSON_CreateArray();

	(void)before;
	if (libxdp_get_error(multi))
		return list;
	while ((entry = xdp_multiprog__next_prog(entry, multi))) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddNumberToObject(item, "priority", xdp_program__run_prio(entry));
		cJSON_AddStringToObject(item, "name", xdp_program__name(entry));
		cJSON_AddNumberToObject(item, "program", xdp_program__id(entry));
		cJSON_AddBoolToObject(item, "ours", xdp_program__id(entry) == own);
		cJSON_AddItemToArray(list, item);
	}
	return list;
}

bool shunt_chain_elsewhere(const char *instance)
{
	struct shunt_dispatch found;
	uint32_t map = shunt_netns_is_of(instance) ? 0 : known_by(instance);

	return map && shunt_dispatch_find(map, &found, 1);
}

int shunt_chain_replace(const char *instance, unsigned int ifindex, int prog_fd)
{
	_quiet_ struct quiet before = hush();
	int tries, ret = -EAGAIN;

	(void)before;
	for (tries = 0; ret == -EAGAIN && tries < TRIES; tries++)
		ret = shunt_exchange(ifindex, shunt_chain_program(instance, ifindex),
				     prog_fd);
	return ret;
}

/* --- joining ------------------------------------------------------------------ */

/* libxdp takes a program alone where it cannot chain; that is not what was asked for. */
static int verify(const struct shunt_chain_request *request, struct xdp_program *entry,
		  enum xdp_attach_mode mode)
{
	if (shunt_chain_program(request->instance, request->ifindex))
		return 0;
	xdp_program__detach(entry, request->ifindex, mode, 0);
	return -EOPNOTSUPP;
}

/* Has libxdp put the program that passes everything into a place of ours. */
static int join(const struct shunt_chain_request *request, enum xdp_attach_mode mode)
{
	_skel_ struct chain_bpf *skel = chain_bpf__open();
	_fd_ int gen = open_gen(request->instance);
	struct xdp_program *entry;
	int ret = skel && gen >= 0 ? bpf_map__reuse_fd(skel->maps.shunt_gen, gen)
				   : -errno;

	if (ret)
		return ret;
	entry = xdp_program__from_bpf_obj(skel->obj, NULL);
	ret = libxdp_get_error(entry);
	if (ret)
		return ret;
	ret = xdp_program__set_run_prio(entry, request->priority);
	if (!ret)
		ret = xdp_program__set_chain_call_enabled(entry, XDP_PASS, true);
	if (!ret)
		ret = xdp_program__set_xdp_frags_support(entry, true);
	if (!ret)
		ret = xdp_program__attach(entry, request->ifindex, mode, 0);
	if (!ret)
		ret = verify(request, entry, mode);
	xdp_program__close(entry);
	return ret;
}

/* A dispatcher that is there has its mode already; UNSPEC: there is none. */
static enum xdp_attach_mode mode_there(unsigned int ifindex)
{
	_multi_ struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex);

	return libxdp_get_error(multi) ? XDP_MODE_UNSPEC
				       : xdp_multiprog__attach_mode(multi);
}

static int join_by_mode(const struct shunt_chain_request *request,
			struct shunt_err *note)
{
	enum xdp_attach_mode mode = mode_there(request->ifindex);
	int first;

	if (mode != XDP_MODE_UNSPEC)
		return shunt_mode_allows(request->mode,
					 mode == XDP_MODE_SKB ? "generic" : "native")
			       ? join(request, mode)
			       : -EEXIST;
	if (!shunt_mode_allows(request->mode, "native"))
		return join(request, XDP_MODE_SKB);
	first = join(request, XDP_MODE_NATIVE);
	if (!first || !shunt_mode_allows(request->mode, "generic"))
		return first;
	if (join(request, XDP_MODE_SKB))
		return first;
	shunt_fail(note, 0,
		   "%s does not take an XDP program in native mode (%s): generic mode "
		   "is used, which is several times slower",
		   request->interface, strerror(-first));
	return 0;
}

static int explain(const struct shunt_chain_request *request, int ret,
		   struct shunt_err *err)
{
	char why[128];

	libxdp_strerror(ret, why, sizeof(why));
	return shunt_fail(
		err, ret,
		"chain %s: libxdp's dispatcher did not take the program: %s%s",
		request->interface, why,
		ret == -E2BIG	 ? "; it has room for ten: have an owner take one out"
		: ret == -EEXIST ? "; it runs in the other mode: leave out --mode"
				 : "");
}

int shunt_chain_join(const struct shunt_chain_request *request, struct shunt_err *note,
		     struct shunt_err *err)
{
	_quiet_ struct quiet before = hush();
	int ret = shunt_chain_leave(request->instance, err); /* of a killed one */

	(void)before;
	if (ret)
		return ret;
	ret = join_by_mode(request, note);
	if (!ret)
		ret = shunt_chain_replace(request->instance, request->ifindex,
					  request->prog_fd);
	if (!ret)
		return 0;
	ret = explain(request, ret, err);
	if (shunt_chain_leave(request->instance, NULL))
		shunt_fail_in(err, ret,
			      "an entry that passes everything stays; after: ");
	return ret;
}

/* --- leaving ------------------------------------------------------------------ */

/* Takes one entry out of what its interface runs. */
static int take_out(const struct shunt_dispatch *dispatch)
{
	_multi_ struct xdp_multiprog *multi =
		xdp_multiprog__get_from_ifindex(dispatch->ifindex);
	struct xdp_program *entry = NULL;

	if (libxdp_get_error(multi))
		return libxdp_get_error(multi);
	while ((entry = xdp_multiprog__next_prog(entry, multi)))
		if (xdp_program__id(entry) == dispatch->entry)
			return xdp_program__detach(entry, dispatch->ifindex,
						   xdp_multiprog__attach_mode(multi),
						   0);
	return -ENOENT;
}

/*
 * A folder of a dispatcher that is not on. Where other entries are in it, and the
 * interface is not here to be asked, it may be on elsewhere: then it stays.
 */
static int clear(const struct shunt_dispatch *dispatch, struct shunt_err *err)
{
	__u32 id;

	if (dispatch->others && bpf_xdp_query_id(dispatch->ifindex, 0, &id))
		return 0;
	return shunt_dispatch_remove(dispatch, err);
}

static int leave_all(uint32_t map, struct shunt_err *err)
{
	struct shunt_dispatch found[LEFT_MAX];
	unsigned int ifindex = 0;
	int n, i, tries, ret = 0;

	for (tries = 0; tries < TRIES; tries++) {
		bool on = false;

		n = shunt_dispatch_find(map, found, LEFT_MAX);
		for (i = 0; i < n; i++) {
			if (!shunt_dispatch_is_on(&found[i]))
				continue;
			on = true;
			ifindex = found[i].ifindex;
			ret = take_out(&found[i]);
		}
		if (!on)
			break;
	}
	if (tries == TRIES)
		return shunt_fail_errno(err, ret ? ret : -EAGAIN,
					"take our entry out of libxdp's dispatcher");
	/* from here on no dispatcher with our entry can come on: what is left is dead */
	for (i = 0, ret = 0; !ret && i < n; i++)
		ret = clear(&found[i], err);
	return ret || !ifindex ? ret : shunt_dispatch_clear_older(ifindex, err);
}

int shunt_chain_leave(const char *instance, struct shunt_err *err)
{
	_quiet_ struct quiet before = hush();
	uint32_t map;
	int ret = ask_known(instance, &map, err);

	(void)before;
	if (ret || !map)
		return ret;
	if (shunt_chain_elsewhere(instance))
		return shunt_fail(err, -EXDEV,
				  "%s is chained in another network namespace, which "
				  "alone can let it go: --netns NAME names it",
				  instance);
	return leave_all(map, err);
}

int shunt_chain_tidy(const char *instance, unsigned int ifindex, struct shunt_err *err)
{
	struct shunt_dispatch found[LEFT_MAX];
	uint32_t map = known_by(instance),
		 entry = shunt_chain_program(instance, ifindex);
	int n = map && entry ? shunt_dispatch_find(map, found, LEFT_MAX) : 0, i,
	    ret = 0;

	/* one with the entry that is on can be another's, on its way to come on */
	for (i = 0; !ret && i < n; i++)
		if (found[i].ifindex == ifindex && found[i].entry != entry)
			ret = clear(&found[i], err);
	return ret ? ret : shunt_dispatch_clear_older(ifindex, err);
}
