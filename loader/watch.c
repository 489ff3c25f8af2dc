/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/bpffs.h"
#include "loader/netns.h"
#include "loader/percpu.h"
#include "user/base/cleanup.h"
#include "watch.skel.h"

/* By the names of the programs in bpf/watch.bpf.c. */
static const struct {
	const char *program;
	const char *pin;
} parts[] = {
	{ "shunt_w_err", "watch_redirect_err" },
	{ "shunt_w_dev", "watch_devmap_xmit" },
	{ "shunt_w_cpu_in", "watch_cpumap_enqueue" },
	{ "shunt_w_cpu_out", "watch_cpumap_kthread" },
	{ "shunt_w_tx", "watch_bulk_tx" },
	{ "shunt_w_except", "watch_exception" },
};

#define PARTS (sizeof(parts) / sizeof(*parts))

static void link_path(char path[SHUNT_PIN_MAX], const char *instance, size_t part)
{
	shunt_pin_path(path, instance, "links", parts[part].pin);
}

bool shunt_watch_is_due(const struct shunt_state *state)
{
	size_t r;

	for (r = 0; r < state->rules; r++)
		switch (state->rule[r].action) {
		case SHUNT_VERDICT_TX:
		case SHUNT_VERDICT_INTERFACE:
		case SHUNT_VERDICT_CPU:
		case SHUNT_VERDICT_CONSUMER:
			return true;
		default:
			break;
		}
	return false;
}

/* --- starting ---------------------------------------------------------------- */

/* One that was pinned by a start that was killed stays. */
static int hang(struct watch_bpf *skel, const char *instance, size_t part,
		struct shunt_err *err)
{
	struct bpf_program *program =
		bpf_object__find_program_by_name(skel->obj, parts[part].program);
	char path[SHUNT_PIN_MAX];
	struct bpf_link *link;
	int ret;

	link_path(path, instance, part);
	if (!access(path, F_OK))
		return 0;
	link = bpf_program__attach(program);
	if (!link)
		return shunt_fail_errno(err, -errno, "attach %s", parts[part].program);
	ret = shunt_pin_put(bpf_link__fd(link), path, err);
	bpf_link__destroy(link);
	return ret;
}

static int load(struct watch_bpf *skel, struct shunt_instance *instance,
		struct shunt_err *err)
{
	struct shunt_maps *maps = &instance->maps;
	uint64_t netns;
	int ret = shunt_netns_cookie(&netns, err);

	if (ret)
		return ret;
	skel->rodata->shunt_watch_of = (struct shunt_watch_config){
		.netns = netns,
		.ifindex = instance->ifindex,
		.xsk = shunt_maps_id(maps->fd[SHUNT_MAP_XSK]),
		.dev = shunt_maps_id(maps->fd[SHUNT_MAP_DEV]),
		.cpu = shunt_maps_id(maps->fd[SHUNT_MAP_CPU]),
	};
	ret = shunt_maps_lend(maps, skel->obj, err);
	if (ret)
		return ret;
	ret = watch_bpf__load(skel);
	if (ret)
		return shunt_fail_errno(err, ret, "load the watch of redirects");
	ret = shunt_maps_take(maps, skel->obj, err);
	return ret ? ret : shunt_maps_pin(maps, instance->name, err);
}

static int start(struct shunt_instance *instance, struct shunt_err *err)
{
	struct watch_bpf *skel = watch_bpf__open();
	size_t i;
	int ret;

	if (!skel)
		return shunt_fail_errno(err, -errno, "open the watch's object");
	ret = load(skel, instance, err);
	for (i = 0; !ret && i < PARTS; i++)
		ret = hang(skel, instance->name, i, err);
	watch_bpf__destroy(skel);
	return ret;
}

static bool is_pinned(const char *instance)
{
	char path[SHUNT_PIN_MAX];
	size_t i;

	for (i = 0; i < PARTS; i++) {
		link_path(path, instance, i);
		if (access(path, F_OK))
			return false;
	}
	return true;
}

static void stop(const char *instance)
{
	char path[SHUNT_PIN_MAX];
	size_t i;

	for (i = 0; i < PARTS; i++) {
		link_path(path, instance, i);
		unlink(path);
	}
}

/* Makes the map where the kernel has refused even that together with the programs. */
static void note_refusal(struct shunt_instance *instance, int error)
{
	struct shunt_maps *maps = &instance->maps;
	int *fd = &maps->fd[SHUNT_MAP_WATCH];

	if (*fd < 0)
		*fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "shunt_watch",
				     sizeof(uint32_t), sizeof(uint64_t),
				     SHUNT_WATCH_COUNT, NULL);
	if (*fd < 0 ||
	    shunt_percpu_set(*fd, SHUNT_WATCH_REFUSED, (uint64_t)-error, NULL) ||
	    shunt_maps_pin(maps, instance->name, NULL))
		return; /* the ledger knows less then, but not wrong: links are missing */
}

static int hush(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static uint64_t refusal(const struct shunt_maps *maps)
{
	uint64_t sum[SHUNT_WATCH_COUNT];

	return shunt_percpu_sum(maps->fd[SHUNT_MAP_WATCH], sum, SHUNT_WATCH_COUNT, NULL)
		       ? 0
		       : sum[SHUNT_WATCH_REFUSED];
}

void shunt_watch_start(struct shunt_instance *instance, const struct shunt_state *state,
		       struct shunt_err *note)
{
	libbpf_print_fn_t before;
	int ret;

	*note->message = '\0';
	if (instance->maps.fd[SHUNT_MAP_XSK] < 0 || !shunt_watch_is_due(state) ||
	    is_pinned(instance->name) || refusal(&instance->maps))
		return;
	before = libbpf_set_print(hush);
	ret = start(instance, note);
	libbpf_set_print(before);
	if (!ret && !strcmp(instance->state->place[SHUNT_HOOK_XDP].mode, "generic"))
		shunt_watch_note_generic(&instance->maps);
	if (!ret)
		return;
	stop(instance->name);
	note_refusal(instance, ret);
	shunt_fail_in(note, ret,
		      "what the kernel loses of redirected packets will be unknown to "
		      "`shunt stats --ledger`: ");
}

void shunt_watch_note_generic(const struct shunt_maps *maps)
{
	if (maps->fd[SHUNT_MAP_WATCH] < 0)
		return;
	/* of a map of ours this fails only where the kernel has no memory at all */
	if (shunt_percpu_set(maps->fd[SHUNT_MAP_WATCH], SHUNT_WATCH_GENERIC, 1, NULL))
		return;
}

/* --- reading ----------------------------------------------------------------- */

/* Events that the link's program missed; false: there is no such link. */
static bool ask_link(const char *path, uint64_t *missed)
{
	struct bpf_link_info link = { 0 };
	struct bpf_prog_info prog = { 0 };
	__u32 len = sizeof(link);

	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &link, &len))
		return false;
	len = sizeof(prog);
	_fd_ int prog_fd = bpf_prog_get_fd_by_id(link.prog_id);
	if (prog_fd < 0 || bpf_obj_get_info_by_fd(prog_fd, &prog, &len))
		return false;
	*missed += prog.recursion_misses;
	return true;
}

bool shunt_watch_is_whole(const struct shunt_instance *instance, uint64_t *missed,
			  struct shunt_err *why)
{
	uint64_t error = refusal(&instance->maps);
	char path[SHUNT_PIN_MAX];
	bool whole = true;
	size_t i;

	*missed = 0;
	for (i = 0; i < PARTS; i++) {
		link_path(path, instance->name, i);
		whole &= ask_link(path, missed);
	}
	if (whole)
		return true;
	if (error)
		shunt_fail(why, -(int)error,
			   "the kernel refused the programs that count them (%s)",
			   strerror((int)error));
	else if (instance->maps.fd[SHUNT_MAP_XSK] < 0)
		shunt_fail(why, -ENOENT, "the interface has no XDP program");
	else
		shunt_fail(why, -ENOENT,
			   "no policy has redirected yet, so that nothing counts them");
	return false;
}

static int read_losses(const struct shunt_maps *maps, struct shunt_losses *losses,
		       struct shunt_err *err)
{
	int fd = maps->fd[SHUNT_MAP_LOSS], cpus = libbpf_num_possible_cpus(), cpu;
	struct shunt_loss *at = NULL;

	losses->count = 0;
	_free_ uint64_t *value = cpus > 0 ? calloc(cpus, sizeof(*value)) : NULL;
	if (!value)
		return shunt_fail(err, -ENOMEM, "read the losses: out of memory");
	while (fd >= 0 && losses->count < SHUNT_LOSS_MAX &&
	       !bpf_map_get_next_key(fd, at, &losses->key[losses->count])) {
		at = &losses->key[losses->count];
		if (bpf_map_lookup_elem(fd, at, value))
			return shunt_fail_errno(err, -errno, "read the losses");
		losses->packets[losses->count] = 0;
		for (cpu = 0; cpu < cpus; cpu++)
			losses->packets[losses->count] += value[cpu];
		losses->count++;
	}
	return 0;
}

int shunt_watch_read(const struct shunt_maps *maps, uint64_t sum[SHUNT_WATCH_COUNT],
		     struct shunt_losses *losses, struct shunt_err *err)
{
	int ret = shunt_percpu_sum(maps->fd[SHUNT_MAP_WATCH], sum, SHUNT_WATCH_COUNT,
				   err);

	return ret ? ret : read_losses(maps, losses, err);
}

const char *shunt_loss_name(const struct shunt_loss *loss)
{
	static const struct {
		uint32_t where, error;
		const char *name;
	} names[] = {
		{ SHUNT_LOSS_CONSUMER, ENOBUFS, "ring-full" },
		{ SHUNT_LOSS_CONSUMER, ENOMEM, "no-frame" },
		{ SHUNT_LOSS_CONSUMER, ENOSPC, "too-long" },
		{ SHUNT_LOSS_CONSUMER, ENXIO, "closed" },
		{ SHUNT_LOSS_CONSUMER, EINVAL, "other-queue" },
		{ SHUNT_LOSS_INTERFACE, ENETDOWN, "down" },
		{ SHUNT_LOSS_INTERFACE, ENXIO, "peer-not-ready" },
		{ SHUNT_LOSS_INTERFACE, EMSGSIZE, "too-long" },
		{ SHUNT_LOSS_INTERFACE, EOPNOTSUPP, "driver-cannot" },
		{ SHUNT_LOSS_INTERFACE, ENOBUFS, "queue-full" },
		{ SHUNT_LOSS_CPU, ENOSPC, "queue-full" },
		{ SHUNT_LOSS_CPU, EOVERFLOW, "no-headroom" },
		{ SHUNT_LOSS_TX, ENXIO, "peer-not-ready" },
		{ SHUNT_LOSS_TX, ENETDOWN, "down" },
		{ SHUNT_LOSS_TX, ENOBUFS, "queue-full" },
		{ SHUNT_LOSS_TX, EIO, "driver-cannot" },
		{ SHUNT_LOSS_STACK, ENOMEM, "no-memory" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].where == loss->where && names[i].error == loss->error)
			return names[i].name;
	return "other";
}
