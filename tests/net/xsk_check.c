/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the consuming commands over a minimal program instead of a policy:
 *
 *     xsk_check IFNAME [count|dump] [key=value]...
 *
 *     seconds= packets= interval= (s)   limits      queues=  bit mask, 1
 *     wait=adaptive|poll|spin           ring=       slot=
 *     json=1   write=FILE               pin=PATH    of the XSKMAP: attaches nothing if
 *                                                   it is there already
 *
 * At the end stderr gets what the program saw: {"offered":…,"redirected":…}.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "user/apps/apps.h"
#include "user/base/cleanup.h"
#include "xsk_check.skel.h"

/* libpcap's struct bpf_insn would clash with the kernel's. */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H
#include <pcap/dlt.h>

/* The apps are no part of the library that this program is linked with. */
#include "user/apps/consume.c"
#include "user/apps/count.c"
#include "user/apps/dump.c"

static const char *option(char **argv, const char *key, const char *otherwise)
{
	size_t len = strlen(key);

	for (; *argv; argv++)
		if (!strncmp(*argv, key, len) && (*argv)[len] == '=')
			return *argv + len + 1;
	return otherwise;
}

static double number(char **argv, const char *key, double otherwise)
{
	const char *text = option(argv, key, NULL);

	return text ? strtod(text, NULL) : otherwise;
}

static enum shunt_wait wait_option(char **argv)
{
	const char *text = option(argv, "wait", "adaptive");

	if (!strcmp(text, "spin"))
		return SHUNT_WAIT_SPIN;
	return strcmp(text, "poll") ? SHUNT_WAIT_ADAPTIVE : SHUNT_WAIT_POLL;
}

static void print_offered(const struct xsk_check_bpf *skel)
{
	struct xsk_check_count {
		uint64_t offered;
		uint64_t redirected;
	} sum = {0};
	int cpus = libbpf_num_possible_cpus(), i;
	_free_ struct xsk_check_count *each =
		calloc(cpus > 0 ? cpus : 1, sizeof(*each));
	uint32_t key = 0;

	if (!each ||
	    bpf_map_lookup_elem(bpf_map__fd(skel->maps.xsk_check_count), &key, each))
		return;
	for (i = 0; i < cpus; i++) {
		sum.offered += each[i].offered;
		sum.redirected += each[i].redirected;
	}
	fprintf(stderr, "{\"offered\":%" PRIu64 ",\"redirected\":%" PRIu64 "}\n",
		sum.offered, sum.redirected);
}

static int attach(struct xsk_check_bpf *skel, const char *ifname, const char *pin)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	if (xsk_check_bpf__load(skel))
		return -errno;
	if (pin && bpf_map__pin(skel->maps.shunt_xsk, pin))
		return -errno;
	return bpf_link_create(bpf_program__fd(skel->progs.xsk_check),
			       if_nametoindex(ifname), BPF_XDP, &opts);
}

static int run_app(const char *verb, const struct shunt_consume_opts *opts)
{
	struct shunt_err err = {0};
	int code;

	code = strcmp(verb, "dump") ? shunt_app_count(opts, &err)
				    : shunt_app_dump(opts, &err);
	if (code)
		fprintf(stderr, "xsk_check: %s\n", err.message);
	return code;
}

int main(int argc, char **argv)
{
	struct shunt_consume_opts opts = {.consumer = "check", .out = stdout};
	struct xsk_check_bpf *skel;
	const char *pin;
	_fd_ int pinned = -1;
	_fd_ int link = -1;
	int code;

	if (argc < 3) {
		fprintf(stderr, "usage: xsk_check IFNAME count|dump [key=value]...\n");
		return 2;
	}
	opts.interface = argv[1];
	opts.slot = number(argv, "slot", 0);
	opts.queues = number(argv, "queues", 1);
	opts.duration_ns = number(argv, "seconds", 0) * 1e9;
	opts.interval_ns = number(argv, "interval", 0) * 1e9;
	opts.packets = number(argv, "packets", 0);
	opts.ring = number(argv, "ring", 0);
	opts.json = number(argv, "json", 0);
	opts.write = option(argv, "write", NULL);
	opts.wait = wait_option(argv);
	pin = option(argv, "pin", NULL);

	if (pin)
		pinned = bpf_obj_get(pin);
	if (pinned >= 0) {
		opts.xskmap_fd = pinned;
		return run_app(argv[2], &opts) ? 1 : 0;
	}
	skel = xsk_check_bpf__open();
	if (!skel)
		return 1;
	skel->rodata->slot = opts.slot;
	link = attach(skel, argv[1], pin);
	if (link < 0) {
		fprintf(stderr, "xsk_check: attach: %s\n", strerror(-link));
		xsk_check_bpf__destroy(skel);
		return 1;
	}
	opts.xskmap_fd = bpf_map__fd(skel->maps.shunt_xsk);
	fprintf(stderr, "ready\n");
	code = run_app(argv[2], &opts);
	print_offered(skel);
	xsk_check_bpf__destroy(skel);
	return code ? 1 : 0;
}
