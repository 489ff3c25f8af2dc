/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/chain.h"
#include "loader/netfilter.h"
#include "maps/config.h"    /* the skeletons want its struct */
#include "maps/netfilter.h" /* and this one */

#include "nf.skel.h"
#include "tc.skel.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "xdp.skel.h"

/* The headers of Debian 12 are older than this flag (Linux 6.3). */
#define XDP_DEV_BOUND_ONLY (1u << 6)

#define SHUNT_PROGRAM_TAG "shunt_xdp_tag"
#define SHUNT_PROGRAM_CHAIN "shunt_xdp_chain"

static const struct {
	const char *name;
	const char *program;
} hooks[SHUNT_HOOK_MAX] = {
#define X(id, value, text, prog) [value] = { text, #prog },
	SHUNT_HOOKS(X)
#undef X
};

const char *shunt_hook_name(unsigned int hook)
{
	return hook < SHUNT_HOOK_MAX ? hooks[hook].name : NULL;
}

int shunt_hook_find(const char *name, struct shunt_err *err)
{
	int i;

	for (i = 0; i < SHUNT_HOOK_MAX; i++)
		if (hooks[i].name && !strcmp(hooks[i].name, name))
			return i;
	return shunt_fail(err, -EINVAL,
			  "hook \"%s\" is unknown: there are xdp, tc-ingress, "
			  "tc-egress and netfilter",
			  name);
}

/* libbpf's messages of the load under way: the library itself never prints. */
static __thread struct {
	char text[1 << 16];
	size_t len;
} said;

static int listen_to(enum libbpf_print_level level, const char *fmt, va_list args)
{
	int n;

	if (level == LIBBPF_DEBUG)
		return 0;
	n = vsnprintf(said.text + said.len, sizeof(said.text) - said.len, fmt, args);
	if (n > 0)
		said.len += (size_t)n < sizeof(said.text) - said.len
				    ? (size_t)n
				    : sizeof(said.text) - said.len - 1;
	return 0;
}

/* The end of what was said is where the verifier gives its reason. */
static const char *last_words(void)
{
	const size_t room = 1200;

	return said.len > room ? said.text + said.len - room : said.text;
}

/* Which of the programs of a hook; only one of the last two is set. */
struct kind {
	const char *name;
	unsigned int ifindex; /* bound to that device; 0: it is not */
	int target_fd;	      /* freplace: as shunt_chain_set_target(); 0: it is not */
};

static int set_kind(struct bpf_program *program, const struct kind *kind)
{
	if (kind->ifindex) {
		bpf_program__set_ifindex(program, kind->ifindex);
		bpf_program__set_flags(program, bpf_program__flags(program) |
							XDP_DEV_BOUND_ONLY);
	}
	return kind->target_fd ? shunt_chain_set_target(program, kind->target_fd) : 0;
}

static int load(struct bpf_object *object, const struct kind *kind,
		struct shunt_maps *maps, struct shunt_err *err)
{
	const char *name = kind->name;
	struct bpf_program *program, *wanted = NULL;
	int ret = shunt_maps_lend(maps, object, err), fd;

	if (ret)
		return ret;
	bpf_object__for_each_program(program, object)
	{
		bool is = !strcmp(bpf_program__name(program), name);

		bpf_program__set_autoload(program, is);
		if (is)
			wanted = program;
	}
	ret = set_kind(wanted, kind);
	if (!ret)
		ret = bpf_object__load(object);
	if (ret == -EPERM)
		return shunt_fail(err, ret, "load %s: not permitted; run this as root",
				  name);
	if (ret)
		return shunt_fail(err, ret, "load %s: %s. The kernel said:\n%s", name,
				  strerror(-ret), last_words());
	ret = shunt_maps_take(maps, object, err);
	if (ret)
		return ret;
	fd = fcntl(bpf_program__fd(wanted), F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? shunt_fail_errno(err, -errno, "keep %s", name) : fd;
}

static int btf_present(struct shunt_err *err)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return 0;
	return shunt_fail(err, -ENOTSUP,
			  "this kernel shows no BTF at /sys/kernel/btf/vmlinux, which "
			  "Shunt's programs need: run a kernel that was built with "
			  "CONFIG_DEBUG_INFO_BTF=y, as Debian's are, and mount sysfs");
}

static int load_xdp(uint32_t features, const struct kind *kind, struct shunt_maps *maps,
		    struct shunt_err *err)
{
	struct xdp_bpf *skel = xdp_bpf__open();
	int ret;

	if (!skel)
		return shunt_fail_errno(err, -errno, "open the XDP object");
	skel->rodata->shunt_config.features = features;
	skel->rodata->shunt_config.image_bytes = maps->image_bytes;
	ret = load(skel->obj, kind, maps, err);
	xdp_bpf__destroy(skel);
	return ret;
}

static int load_tc(uint32_t features, const struct kind *kind, struct shunt_maps *maps,
		   struct shunt_err *err)
{
	struct tc_bpf *skel = tc_bpf__open();
	int ret;

	if (!skel)
		return shunt_fail_errno(err, -errno, "open the TC object");
	skel->rodata->shunt_config.features = features;
	skel->rodata->shunt_config.image_bytes = maps->image_bytes;
	ret = load(skel->obj, kind, maps, err);
	tc_bpf__destroy(skel);
	return ret;
}

static int load_nf(uint32_t features, const struct kind *kind, struct shunt_maps *maps,
		   struct shunt_err *err)
{
	int ret = shunt_nf_known(err);
	struct nf_bpf *skel;

	if (ret)
		return ret;
	skel = nf_bpf__open();
	if (!skel)
		return shunt_fail_errno(err, -errno, "open the netfilter object");
	skel->rodata->shunt_config.features = features;
	skel->rodata->shunt_config.image_bytes = maps->image_bytes;
	/* higher with each program, whichever process loads it */
	skel->rodata->shunt_nf_config.number = shunt_now_ns();
	skel->rodata->shunt_nf_config.ifindex = maps->ifindex;
	shunt_nf_type(skel->progs.shunt_nf);
	ret = load(skel->obj, kind, maps, err);
	nf_bpf__destroy(skel);
	return ret;
}

static int load_any(enum shunt_hook hook, uint32_t features, const struct kind *kind,
		    struct shunt_maps *maps, struct shunt_err *err)
{
	libbpf_print_fn_t before;
	int ret = btf_present(err);

	if (ret)
		return ret;
	said.len = 0;
	said.text[0] = 0;
	before = libbpf_set_print(listen_to);
	if (hook == SHUNT_HOOK_NETFILTER)
		ret = load_nf(features, kind, maps, err);
	else
		ret = hook == SHUNT_HOOK_XDP ? load_xdp(features, kind, maps, err)
					     : load_tc(features, kind, maps, err);
	libbpf_set_print(before);
	return ret;
}

int shunt_program_load(enum shunt_hook hook, uint32_t features, struct shunt_maps *maps,
		       struct shunt_err *err)
{
	const struct kind plain = { .name = hooks[hook].program };

	return load_any(hook, features, &plain, maps, err);
}

int shunt_program_load_bound(uint32_t features, unsigned int ifindex,
			     struct shunt_maps *maps, struct shunt_err *err)
{
	const struct kind bound = { .name = SHUNT_PROGRAM_TAG, .ifindex = ifindex };

	return load_any(SHUNT_HOOK_XDP, features, &bound, maps, err);
}

int shunt_program_load_chained(uint32_t features, struct shunt_maps *maps,
			       struct shunt_err *err)
{
	struct kind chained = { .name = SHUNT_PROGRAM_CHAIN };
	_fd_ int target_fd = shunt_chain_target(err);

	if (target_fd < 0)
		return target_fd;
	chained.target_fd = target_fd;
	return load_any(SHUNT_HOOK_XDP, features, &chained, maps, err);
}

/* --- what is loaded ---------------------------------------------------------- */

/* Where its configuration stands among a program's constants. */
static size_t config_offset(enum shunt_hook hook)
{
	if (hook == SHUNT_HOOK_NETFILTER)
		return offsetof(struct nf_bpf__rodata, shunt_config);
	return hook == SHUNT_HOOK_XDP ? offsetof(struct xdp_bpf__rodata, shunt_config)
				      : offsetof(struct tc_bpf__rodata, shunt_config);
}

/* Takes what one map of a program says about it. */
static void note_map(enum shunt_hook hook, uint32_t id,
		     struct shunt_program_facts *facts)
{
	const size_t nf_at = offsetof(struct nf_bpf__rodata, shunt_nf_config);
	size_t at = config_offset(hook);
	struct shunt_nf_config nf;
	_fd_ int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key = 0;
	struct shunt_config config;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return;
	if (!strcmp(info.name, "shunt_image"))
		facts->image = id;
	if (!strcmp(info.name, "shunt_counter"))
		facts->counter = id;
	if (!strstr(info.name, ".rodata") || info.value_size < at + sizeof(config))
		return;
	_free_ uint8_t *value = calloc(1, info.value_size);
	if (!value || bpf_map_lookup_elem(fd, &key, value))
		return;
	memcpy(&config, value + at, sizeof(config));
	facts->features = config.features;
	if (hook == SHUNT_HOOK_NETFILTER && info.value_size >= nf_at + sizeof(nf)) {
		memcpy(&nf, value + nf_at, sizeof(nf));
		facts->ifindex = nf.ifindex;
	}
}

int shunt_program_ask(enum shunt_hook hook, uint32_t id,
		      struct shunt_program_facts *facts, struct shunt_err *err)
{
	uint32_t map[64];
	struct bpf_prog_info info = { .map_ids = (uintptr_t)map,
				      .nr_map_ids = sizeof(map) / sizeof(*map) };
	__u32 len = sizeof(info), i;

	memset(facts, 0, sizeof(*facts));
	_fd_ int fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return shunt_fail_errno(err, fd < 0 ? fd : -errno,
					"ask for the program %u", id);
	facts->bound = !strcmp(info.name, SHUNT_PROGRAM_TAG);
	facts->chained = !strcmp(info.name, SHUNT_PROGRAM_CHAIN);
	for (i = 0; i < info.nr_map_ids && i < sizeof(map) / sizeof(*map); i++)
		note_map(hook, map[i], facts);
	return 0;
}

uint32_t shunt_program_id(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return prog_fd >= 0 && !bpf_obj_get_info_by_fd(prog_fd, &info, &len) ? info.id
									     : 0;
}
