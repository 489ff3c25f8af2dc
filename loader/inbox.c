/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/hook.h"
#include "loader/nic.h"
#include "maps/config.h"

#include "inbox.skel.h"

struct shunt_inbox_program {
	struct inbox_bpf *skel;
	struct shunt_place place;
	int link;
};

static int load(struct shunt_inbox_program *program,
		const struct shunt_inbox_program_opts *opts,
		const struct shunt_nic *nic, struct shunt_err *err)
{
	struct inbox_bpf *skel = inbox_bpf__open();
	int ret;

	program->skel = skel;
	if (!skel)
		return shunt_fail_errno(err, -errno, "open the inbox's program");
	bpf_program__set_autoload(skel->progs.shunt_inbox_xdp, !opts->tc);
	bpf_program__set_autoload(skel->progs.shunt_inbox_tc, opts->tc);
	skel->rodata->shunt_config.features = 0;
	skel->rodata->shunt_door = opts->door;
	memcpy(skel->rodata->shunt_door.mac, nic->mac, sizeof(nic->mac));
	ret = bpf_map__set_max_entries(skel->maps.shunt_inbox, opts->bytes);
	if (!ret)
		ret = inbox_bpf__load(skel);
	return ret ? shunt_fail_errno(err, ret, "load the inbox's program") : 0;
}

static int attach(struct shunt_inbox_program *program,
		  const struct shunt_inbox_program_opts *opts,
		  const struct shunt_nic *nic, struct shunt_err *err)
{
	const struct inbox_bpf *skel = program->skel;
	const struct shunt_place_request request = {
		.hook = opts->tc ? SHUNT_HOOK_TC_INGRESS : SHUNT_HOOK_XDP,
		.prog_fd = bpf_program__fd(opts->tc ? skel->progs.shunt_inbox_tc
						    : skel->progs.shunt_inbox_xdp),
		.interface = nic->name,
		.ifindex = nic->ifindex,
		/* what goes with the process is a link: clsact has none */
		.mode = opts->tc ? "tcx" : opts->mode,
	};
	struct shunt_err note;
	int ret = shunt_place_attach(&request, &program->place, &program->link, &note,
				     err);

	/* what a kernel says that knows no such link */
	return opts->tc && ret == -EINVAL
		       ? shunt_fail(err, ret,
				    "%s does not take a TCX link (needs Linux 6.6), so "
				    "that nothing can come by hook=tc; hook=xdp works "
				    "without",
				    nic->name)
		       : ret;
}

int shunt_inbox_program_open(struct shunt_inbox_program **out,
			     const struct shunt_inbox_program_opts *opts,
			     struct shunt_err *err)
{
	struct shunt_inbox_program *program = calloc(1, sizeof(*program));
	struct shunt_nic nic;
	int ret;

	*out = NULL;
	if (!program)
		return shunt_fail_errno(err, -ENOMEM, "open the inbox of %s",
					opts->interface);
	program->link = -1;
	ret = shunt_nic_look(&nic, opts->interface, err);
	if (!ret)
		ret = load(program, opts, &nic, err);
	if (!ret)
		ret = attach(program, opts, &nic, err);
	if (ret) {
		shunt_inbox_program_close(program);
		return ret;
	}
	*out = program;
	return 0;
}

void shunt_inbox_program_close(struct shunt_inbox_program *program)
{
	if (!program)
		return;
	if (program->link >= 0)
		close(program->link);
	inbox_bpf__destroy(program->skel);
	free(program);
}

const char *shunt_inbox_program_mode(const struct shunt_inbox_program *program)
{
	return program->place.mode;
}

int shunt_inbox_program_ring(const struct shunt_inbox_program *program)
{
	return bpf_map__fd(program->skel->maps.shunt_inbox);
}

int shunt_inbox_program_losses(const struct shunt_inbox_program *program)
{
	return bpf_map__fd(program->skel->maps.shunt_inbox_loss);
}

struct shunt_inbox_state *shunt_inbox_program_state(
	const struct shunt_inbox_program *program)
{
	return &program->skel->bss->shunt_inbox_state;
}
