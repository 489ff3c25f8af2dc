/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's rows. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "loader/bpffs.h"
#include "loader/chain.h"
#include "loader/policy/policy.h"
#include "loader/probe.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"

#define say(...) snprintf(detail, SHUNT_PROBE_DETAIL, __VA_ARGS__)

/* What came of a try: 0, or -errno that goes into the detail. */
static enum shunt_probe_answer tried(int ret, char *detail)
{
	if (!ret)
		return SHUNT_PROBE_YES;
	say("%s", strerror(-ret));
	return ret == -EPERM ? SHUNT_PROBE_UNKNOWN : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer in_sandbox(const struct shunt_probe *probe, int ret,
					  char *detail)
{
	if (!probe->tried.made)
		return tried(ret, detail);
	say("no veths to try on: %s", strerror(-probe->tried.made));
	return SHUNT_PROBE_UNKNOWN;
}

static enum shunt_probe_answer btf(const struct shunt_probe *probe, char *detail)
{
	(void)probe;
	say("/sys/kernel/btf/vmlinux");
	return access("/sys/kernel/btf/vmlinux", R_OK) ? SHUNT_PROBE_NO
						       : SHUNT_PROBE_YES;
}

static enum shunt_probe_answer jit(const struct shunt_probe *probe, char *detail)
{
	_file_ FILE *file = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int on = 0;

	(void)probe;
	if (!file || fscanf(file, "%d", &on) != 1)
		return SHUNT_PROBE_UNKNOWN;
	say("net.core.bpf_jit_enable=%d", on);
	return on ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer bpffs(const struct shunt_probe *probe, char *detail)
{
	struct statfs fs;

	(void)probe;
	say(SHUNT_BPFFS);
	return !statfs(SHUNT_BPFFS, &fs) && fs.f_type == BPF_FS_MAGIC ? SHUNT_PROBE_YES
								      : SHUNT_PROBE_NO;
}

/* Loads Shunt's own program of a hook, under a policy of no rules. */
static enum shunt_probe_answer program(const char *hook, char *detail)
{
	static const char text[] =
		"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"rules\":[]}";
	struct shunt_diags diags = { 0 };
	struct shunt_policy *policy = NULL;
	struct shunt_explain *explain = NULL;
	struct shunt_err err = { "" };
	int ret = shunt_policy_read(&policy, text, strlen(text), NULL, &diags);

	if (!ret)
		ret = shunt_explain_open_policy(&explain, policy, hook, &err);
	shunt_explain_close(explain);
	shunt_policy_free(policy);
	shunt_diags_free(&diags);
	if (ret)
		say("%.500s", err.message);
	return ret ? SHUNT_PROBE_NO : SHUNT_PROBE_YES;
}

static enum shunt_probe_answer xdp_program(const struct shunt_probe *probe,
					   char *detail)
{
	(void)probe;
	return program("xdp", detail);
}

static enum shunt_probe_answer tc_program(const struct shunt_probe *probe, char *detail)
{
	(void)probe;
	return program("tc-ingress", detail);
}

static enum shunt_probe_answer nf_program(const struct shunt_probe *probe, char *detail)
{
	(void)probe;
	return program("netfilter", detail);
}

static enum shunt_probe_answer xdp_native(const struct shunt_probe *probe, char *detail)
{
	return in_sandbox(probe, probe->tried.native, detail);
}

static enum shunt_probe_answer xdp_generic(const struct shunt_probe *probe,
					   char *detail)
{
	return in_sandbox(probe, probe->tried.generic, detail);
}

static enum shunt_probe_answer xdp_frags(const struct shunt_probe *probe, char *detail)
{
	return in_sandbox(probe, probe->tried.frags, detail);
}

static enum shunt_probe_answer tcx(const struct shunt_probe *probe, char *detail)
{
	return in_sandbox(probe, probe->tried.tcx, detail);
}

static enum shunt_probe_answer clsact(const struct shunt_probe *probe, char *detail)
{
	return in_sandbox(probe, probe->tried.clsact, detail);
}

static enum shunt_probe_answer netfilter(const struct shunt_probe *probe, char *detail)
{
	return in_sandbox(probe, probe->tried.netfilter, detail);
}

static enum shunt_probe_answer af_xdp(const struct shunt_probe *probe, char *detail)
{
	_fd_ int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)probe;
	return tried(fd < 0 ? -errno : 0, detail);
}

static enum shunt_probe_answer af_xdp_frags(const struct shunt_probe *probe,
					    char *detail)
{
	return in_sandbox(probe, probe->tried.xsk_frags, detail);
}

static enum shunt_probe_answer af_xdp_handover(const struct shunt_probe *probe,
					       char *detail)
{
	return in_sandbox(probe, probe->tried.xsk_late, detail);
}

static enum shunt_probe_answer ring_buffer(const struct shunt_probe *probe,
					   char *detail)
{
	_fd_ int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "shunt_probe", 0, 0,
				     sysconf(_SC_PAGESIZE), NULL);

	(void)probe;
	return tried(fd < 0 ? fd : 0, detail);
}

static enum shunt_probe_answer bpf_loop(const struct shunt_probe *probe, char *detail)
{
	int ret = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_loop, NULL);

	(void)probe;
	if (ret < 0)
		return tried(ret, detail);
	return ret ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer vlan_tag(const struct shunt_probe *probe, char *detail)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	int id = kernel ? btf__find_by_name_kind(kernel, "bpf_xdp_metadata_rx_vlan_tag",
						 BTF_KIND_FUNC)
			: -ENOENT;

	(void)probe;
	btf__free(kernel);
	say("bpf_xdp_metadata_rx_vlan_tag");
	return id > 0 ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer chain(const struct shunt_probe *probe, char *detail)
{
	int ret = shunt_chain_possible(NULL);

	(void)probe;
	say("freplace%s%s", ret ? ": " : "", ret ? strerror(-ret) : "");
	return ret ? SHUNT_PROBE_NO : SHUNT_PROBE_YES;
}

const struct shunt_probe_row shunt_probe_kernel[] = {
	{ "btf",
	  "Shunt's programs need it: run a kernel built with "
	  "CONFIG_DEBUG_INFO_BTF=y, and mount sysfs",
	  btf },
	{ "jit",
	  "without it programs are interpreted, many times slower: "
	  "sysctl net.core.bpf_jit_enable=1",
	  jit },
	{ "bpffs",
	  "what is attached is pinned there; where it is not mounted, attach mounts it",
	  bpffs },
	{ "xdp-program", "without it there is no hook xdp: use tc-ingress",
	  xdp_program },
	{ "tc-program", "without it there are no hooks tc-ingress and tc-egress",
	  tc_program },
	{ "netfilter-program",
	  "without it there is no hook netfilter: use tc-ingress, which also sees what "
	  "is not IP",
	  nf_program },
	{ "xdp-native",
	  "packets are judged in the driver; attach falls back to generic XDP, "
	  "several times slower",
	  xdp_native },
	{ "xdp-chain",
	  "`attach --chain` runs beside other owners' XDP programs, by libxdp's "
	  "dispatcher; without it an interface has room for one program",
	  chain },
	{ "xdp-generic", "XDP for drivers that have none of their own", xdp_generic },
	{ "xdp-frags",
	  "frames that do not fit one buffer (large MTU, LRO) are judged; without it "
	  "native XDP wants a small MTU",
	  xdp_frags },
	{ "tcx",
	  "TC programs by a link, beside those of others; attach falls back to a "
	  "clsact filter",
	  tcx },
	{ "clsact", "the fallback for tcx", clsact },
	{ "netfilter",
	  "programs among the rules of nftables and iptables, by a link (Linux 6.4)",
	  netfilter },
	{ "af-xdp",
	  "consumers of kind xsk, such as `shunt run dump`, take packets by it; "
	  "without it their if_down decides",
	  af_xdp },
	{ "af-xdp-frags",
	  "consumers of kind xsk take frames that do not fit one buffer (Linux 6.6); "
	  "without it those go the way of if_down",
	  af_xdp_frags },
	{ "af-xdp-handover",
	  "the rings of a socket in use can be mapped (Linux 6.5), as `shunt serve` "
	  "and "
	  "--take-over do; without it one consumer ends before the next begins",
	  af_xdp_handover },
	{ "ring-buffer",
	  "samples, mirrored packets and consumers of TC hooks come by it",
	  ring_buffer },
	{ "bpf-loop", "loops that the verifier need not walk; a bounded loop otherwise",
	  bpf_loop },
	{ "xdp-vlan-tag",
	  "an XDP program can ask the driver for a VLAN tag that the NIC has taken "
	  "off (Linux 6.8)",
	  vlan_tag },
	{ NULL },
};
