/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/exchange.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "loader/dispatch.h"
#include "user/base/cleanup.h"

#define DISPATCHER "xdp_dispatcher"

struct exchange {
	struct shunt_dispatch old, new;
	struct xdp_multiprog *multi; /* the old one, with its entries */
	struct xdp_program *made;    /* the new one's object */
	struct btf *btf;	     /* the old one's */
	uint32_t from_id;
	int to_fd, new_fd;
};

/* The old one's only map: its configuration, which the new one gets. */
static int copy_config(struct bpf_map *map, uint32_t map_id)
{
	_fd_ int fd = bpf_map_get_fd_by_id(map_id);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key = 0;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return -EAGAIN;
	_free_ void *config = calloc(1, info.value_size);
	if (!config || bpf_map_lookup_elem(fd, &key, config))
		return config ? -errno : -ENOMEM;
	return bpf_map__set_initial_value(map, config, info.value_size) ? -EPROTO : 0;
}

static int load(struct exchange *e, uint32_t map_id)
{
	struct bpf_object *object = xdp_program__bpf_obj(e->made);
	struct bpf_map *map = bpf_object__next_map(object, NULL);
	struct bpf_program *program, *wanted = NULL;
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int ret = map ? copy_config(map, map_id) : -EPROTO;

	if (ret)
		return ret;
	bpf_object__for_each_program(program, object)
	{
		bool is = !strcmp(bpf_program__name(program), DISPATCHER);

		bpf_program__set_autoload(program, is);
		if (is)
			wanted = program;
	}
	if (!wanted)
		return -EPROTO;
	if (xdp_multiprog__xdp_frags_support(e->multi))
		bpf_program__set_flags(wanted, BPF_F_XDP_HAS_FRAGS);
	ret = bpf_object__load(object);
	if (ret)
		return ret;
	e->new_fd = bpf_program__fd(wanted);
	if (bpf_obj_get_info_by_fd(e->new_fd, &info, &len))
		return -errno;
	e->new.dispatcher = info.id;
	return 0;
}

/* The function of the new dispatcher that stands for the entry of this link: its id. */
static int function_of(const struct exchange *e, int link_fd)
{
	const struct btf *made = bpf_object__btf(xdp_program__bpf_obj(e->made));
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	const struct btf_type *type;

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len))
		return -errno;
	type = btf__type_by_id(e->btf, info.tracing.target_btf_id);
	return type ? btf__find_by_name_kind(
			      made, btf__name_by_offset(e->btf, type->name_off),
			      BTF_KIND_FUNC)
		    : -EPROTO;
}

static int link_one(const struct exchange *e, int place, int prog_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	_fd_ int old = shunt_dispatch_link(&e->old, place);
	int id = old < 0 ? -EAGAIN : function_of(e, old);

	if (id < 0)
		return id;
	opts.target_btf_id = id;
	_fd_ int link = bpf_link_create(prog_fd, e->new_fd, 0, &opts);
	return link < 0 ? link : shunt_dispatch_pin(&e->new, place, prog_fd, link);
}

static int link_all(const struct exchange *e)
{
	struct xdp_program *entry = NULL;
	_fd_ int lock = shunt_dispatch_lock();
	bool met = false;
	int place = 0, ret = lock < 0 ? lock : 0;

	while (!ret && (entry = xdp_multiprog__next_prog(entry, e->multi))) {
		bool is = xdp_program__id(entry) == e->from_id;

		met |= is;
		ret = link_one(e, place++, is ? e->to_fd : xdp_program__fd(entry));
	}
	return ret || met ? ret : -ENOENT;
}

static int swap(const struct exchange *e)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts,
		    .old_prog_fd = xdp_program__fd(xdp_multiprog__main_prog(e->multi)));
	__u32 mode = xdp_multiprog__attach_mode(e->multi) == XDP_MODE_SKB
			     ? XDP_FLAGS_SKB_MODE
			     : XDP_FLAGS_DRV_MODE;
	int ret = bpf_xdp_attach(e->old.ifindex, e->new_fd, mode | XDP_FLAGS_REPLACE,
				 &opts);

	return ret == -EEXIST ? -EAGAIN : ret;
}

static int look(struct exchange *e, uint32_t *map_id)
{
	struct xdp_program *main = xdp_multiprog__main_prog(e->multi);
	struct bpf_prog_info info = { .map_ids = (uintptr_t)map_id, .nr_map_ids = 1 };
	__u32 len = sizeof(info);

	if (!main || xdp_multiprog__is_legacy(e->multi))
		return -ENOENT;
	if (bpf_obj_get_info_by_fd(xdp_program__fd(main), &info, &len))
		return -errno;
	e->old.dispatcher = info.id;
	e->btf = btf__load_from_kernel_by_id(info.btf_id);
	return e->btf ? 0 : -EPROTO;
}

static int exchange(struct exchange *e)
{
	uint32_t map_id = 0;
	int gone, ret = look(e, &map_id);

	if (!ret)
		ret = load(e, map_id);
	if (ret)
		return ret;
	ret = link_all(e);
	if (!ret)
		ret = swap(e);
	/* the one that is not on; should its pins stay, the next command removes them */
	gone = shunt_dispatch_remove(ret ? &e->new : &e->old, NULL);
	(void)gone;
	return ret;
}

int shunt_exchange(unsigned int ifindex, uint32_t from_id, int to_fd)
{
	struct exchange e = {
		.old.ifindex = ifindex,
		.new.ifindex = ifindex,
		.from_id = from_id,
		.to_fd = to_fd,
		.multi = xdp_multiprog__get_from_ifindex(ifindex),
		.made = xdp_program__find_file("xdp-dispatcher.o", NULL, NULL),
	};
	int ret = libxdp_get_error(e.multi);

	if (!ret)
		ret = libxdp_get_error(e.made);
	if (!ret)
		ret = exchange(&e);
	btf__free(e.btf);
	if (!libxdp_get_error(e.made))
		xdp_program__close(e.made);
	if (!libxdp_get_error(e.multi))
		xdp_multiprog__close(e.multi);
	return ret;
}
