// SPDX-License-Identifier: GPL-2.0-only
/* What becomes of redirected and sent-back packets: the kernel's XDP tracepoints. */

/*
 * None of them fires for a packet that is passed or dropped, nor for one that goes into
 * a socket: the price is one run a bulk of frames to an interface or a CPU (16 and 8), and
 * one run a packet that is lost. Arguments are as in include/trace/events/xdp.h.
 *
 * In generic mode the kernel tells a full CPU queue twice; so the error without a bulk is
 * left out.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "maps/watch.h"

#define EIO 5
#define ENOMEM 12
#define ENOSPC 28
#define ENOBUFS 105

char _license[] SEC("license") = "GPL";

const volatile struct shunt_watch_config shunt_watch_of = {};

static __always_inline void add(__u32 id, __u64 packets)
{
	__u64 *sum = bpf_map_lookup_elem(&shunt_watch, &id);

	if (sum)
		*sum += packets;
}

static __always_inline void lose(__u32 where, __u32 index, int error, __u64 packets)
{
	struct shunt_loss key = { where, index, error < 0 ? -error : ENOBUFS };
	__u64 *sum = bpf_map_lookup_elem(&shunt_loss, &key), none = 0;

	if (!packets)
		return;
	if (!sum) {
		/* another CPU may be faster: either way it is there then, or no room is */
		bpf_map_update_elem(&shunt_loss, &key, &none, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&shunt_loss, &key);
	}
	if (sum)
		*sum += packets;
	else
		add(SHUNT_WATCH_UNNOTED, packets);
}

static __always_inline int is_ours(const struct net_device *dev)
{
	return (__u32)dev->ifindex == shunt_watch_of.ifindex &&
	       dev->nd_net.net->net_cookie == shunt_watch_of.netns;
}

/* dev, prog, target, err, map type, map id, index */
SEC("tp_btf/xdp_redirect_err")
int shunt_w_err(__u64 *ctx)
{
	__u32 map = ctx[5], index = ctx[6];
	int error = ctx[3];

	if (!map)
		return 0;
	if (map == shunt_watch_of.xsk)
		lose(SHUNT_LOSS_CONSUMER, index, error, 1);
	else if (map == shunt_watch_of.dev)
		lose(SHUNT_LOSS_INTERFACE, index, error, 1);
	else if (map == shunt_watch_of.cpu && error != -ENOSPC)
		lose(SHUNT_LOSS_CPU, index, error, 1);
	return 0;
}

/* dev it came from, dev it goes to, sent, drops, err */
SEC("tp_btf/xdp_devmap_xmit")
int shunt_w_dev(__u64 *ctx)
{
	const struct net_device *from = (void *)ctx[0], *to = (void *)ctx[1];
	int sent = ctx[2], drops = ctx[3];

	if (!is_ours(from))
		return 0;
	if (sent > 0)
		add(SHUNT_WATCH_SENT, sent);
	if (drops > 0)
		lose(SHUNT_LOSS_INTERFACE, to->ifindex, ctx[4], drops);
	return 0;
}

/* map id, processed, drops, CPU: those dropped are among those processed, but in generic
 * mode, where one of the two is 1 */
SEC("tp_btf/xdp_cpumap_enqueue")
int shunt_w_cpu_in(__u64 *ctx)
{
	__u32 processed = ctx[1], drops = ctx[2];

	if ((__u32)ctx[0] != shunt_watch_of.cpu)
		return 0;
	if (processed > drops)
		add(SHUNT_WATCH_CPU_QUEUED, processed - drops);
	if (drops)
		lose(SHUNT_LOSS_CPU, ctx[3], -ENOSPC, drops);
	return 0;
}

/* map id, processed, drops for want of memory, … */
SEC("tp_btf/xdp_cpumap_kthread")
int shunt_w_cpu_out(__u64 *ctx)
{
	__u32 taken = ctx[1], drops = ctx[2];

	if ((__u32)ctx[0] != shunt_watch_of.cpu)
		return 0;
	add(SHUNT_WATCH_CPU_TAKEN, taken);
	if (drops)
		lose(SHUNT_LOSS_STACK, bpf_get_smp_processor_id(), -ENOMEM, drops);
	return 0;
}

/* dev, sent, drops, err: veth's way to send back */
SEC("tp_btf/xdp_bulk_tx")
int shunt_w_tx(__u64 *ctx)
{
	int drops = ctx[2];

	if (drops > 0 && is_ours((void *)ctx[0]))
		lose(SHUNT_LOSS_TX, 0, ctx[3], drops);
	return 0;
}

/* dev, prog, action: other drivers tell so that they could not send back */
SEC("tp_btf/xdp_exception")
int shunt_w_except(__u64 *ctx)
{
	/* a redirect that failed is told by xdp_redirect_err as well */
	if ((__u32)ctx[2] == XDP_TX && is_ours((void *)ctx[0]))
		lose(SHUNT_LOSS_TX, 0, -EIO, 1);
	return 0;
}
