// SPDX-License-Identifier: GPL-2.0-only
/* The netfilter hook: packets of bound ports leave the stack here. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/xfrm.h>

#include "binding.h"

/* Bytes of UDP, header included, that the packet has; 0: it is unsound. */
static u32 udp_bytes(struct sk_buff *skb, u32 at, const struct udphdr *udp)
{
	u32 have = skb->len - at, says = ntohs(udp->len);

	/* one that is still to be cut carries the length of the whole, or none */
	if (skb_is_gso(skb))
		return have;
	if (says < sizeof(*udp) || says > have)
		return 0;
	/* what is behind it is not summed up */
	return pskb_trim_rcsum(skb, at + says) ? 0 : says;
}

static bool is_sound(struct sk_buff *skb, u32 at, const struct udphdr *udp, u8 l3)
{
	if (l3 == 4)
		return !udp->check ||
		       !nf_ip_checksum(skb, NF_INET_LOCAL_IN, at, IPPROTO_UDP);
	return udp->check && !nf_ip6_checksum(skb, NF_INET_LOCAL_IN, at, IPPROTO_UDP);
}

/* As a socket asks: may it come as it has come, in the clear or by IPsec? */
static bool may_come(const struct shunt_binding *binding, struct sk_buff *skb, u8 l3)
{
	struct sock *sk = binding->sock->sk;

	return l3 == 4 ? xfrm4_policy_check(sk, XFRM_POLICY_IN, skb)
		       : xfrm6_policy_check(sk, XFRM_POLICY_IN, skb);
}

/*
 * Conntrack remembers a flow in a hook that is as late as ours and may run behind it. An
 * answer to a packet that it has forgotten would be a new flow to a firewall.
 */
static bool is_remembered(struct sk_buff *skb)
{
	const struct nf_ct_hook *conntrack = rcu_dereference(nf_ct_hook);
	enum ip_conntrack_info info;
	const struct nf_conn *flow = nf_ct_get(skb, &info);

	return !flow || !conntrack || nf_ct_is_confirmed(flow) ||
	       conntrack->confirm(skb) == NF_ACCEPT;
}

static unsigned int take(struct shunt_binding *binding, struct sk_buff *skb, u32 at,
			 const struct udphdr *udp, struct shunt_kmod_address *from)
{
	u32 bytes, step;

	/* TPROXY, or a BPF program, has chosen a socket for it */
	if (skb->sk && skb->sk != binding->sock->sk)
		return NF_ACCEPT;
	if (!may_come(binding, skb, from->l3)) {
		shunt_rings_denied(&binding->rings);
		return NF_DROP;
	}
	bytes = udp_bytes(skb, at, udp);
	if (!bytes || !is_sound(skb, at, udp, from->l3)) {
		shunt_rings_bad(&binding->rings);
		return NF_DROP;
	}
	if (!is_remembered(skb)) {
		shunt_rings_denied(&binding->rings);
		return NF_DROP;
	}
	at += sizeof(*udp);
	step = bytes -= sizeof(*udp);
	/* a sender on this machine left the cutting to us (UDP_SEGMENT), or GRO joined it */
	if (skb_is_gso(skb) && skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4)
		step = skb_shinfo(skb)->gso_size;
	from->port = ntohs(udp->source);
	if (!shunt_rings_receive(&binding->rings, skb, at, bytes, step, from))
		return NF_DROP;
	/* the barrier in it pairs with poll_wait()'s: one of both sees the other */
	if (wq_has_sleeper(&binding->wait))
		wake_up_interruptible_poll(&binding->wait, EPOLLIN | EPOLLRDNORM);
	consume_skb(skb);
	return NF_STOLEN;
}

static unsigned int hook_ip4(void *priv, struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	const struct iphdr *ip = ip_hdr(skb);
	struct shunt_kmod_address from = { .addr = { ip->saddr }, .l3 = 4 };
	struct shunt_arrival packet = { .to.ip = ip->daddr, .l3 = 4 };
	u32 at = ip_hdrlen(skb);
	struct shunt_binding *binding;
	const struct udphdr *udp;
	struct udphdr room;

	/* fragments have been put together before this hook */
	if (ip->protocol != IPPROTO_UDP || ip_is_fragment(ip))
		return NF_ACCEPT;
	udp = skb_header_pointer(skb, at, sizeof(room), &room);
	if (!udp)
		return NF_ACCEPT;
	packet.port = udp->dest;
	packet.in = inet_iif(skb);
	packet.slave = inet_sdif(skb);
	binding = shunt_binding_find(state->net, &packet);
	if (!binding)
		return NF_ACCEPT;
	room = *udp; /* the packet's own may move when it is trimmed */
	return take(binding, skb, at, &room, &from);
}

static unsigned int hook_ip6(void *priv, struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	const struct ipv6hdr *ip = ipv6_hdr(skb);
	struct shunt_kmod_address from = { .l3 = 6 };
	struct shunt_arrival packet = { .to.in6 = ip->daddr, .l3 = 6 };
	struct shunt_binding *binding;
	const struct udphdr *udp;
	u8 proto = ip->nexthdr;
	struct udphdr room;
	__be16 fragment;
	int at;

	at = ipv6_skip_exthdr(skb, sizeof(*ip), &proto, &fragment);
	/* nf_defrag_ipv6 has put fragments together */
	if (at < 0 || proto != IPPROTO_UDP || fragment)
		return NF_ACCEPT;
	udp = skb_header_pointer(skb, at, sizeof(room), &room);
	if (!udp)
		return NF_ACCEPT;
	packet.port = udp->dest;
	packet.in = inet6_iif(skb);
	packet.slave = inet6_sdif(skb);
	binding = shunt_binding_find(state->net, &packet);
	if (!binding)
		return NF_ACCEPT;
	memcpy(from.addr, &ip->saddr, sizeof(from.addr));
	if (ipv6_addr_type(&ip->saddr) & IPV6_ADDR_LINKLOCAL)
		from.scope = packet.in;
	room = *udp;
	return take(binding, skb, at, &room, &from);
}

/* Behind all filters, so that a firewall still decides. */
static const struct nf_hook_ops hooks[] = {
	{ .hook = hook_ip4,
	  .pf = NFPROTO_IPV4,
	  .hooknum = NF_INET_LOCAL_IN,
	  .priority = NF_IP_PRI_LAST },
	{ .hook = hook_ip6,
	  .pf = NFPROTO_IPV6,
	  .hooknum = NF_INET_LOCAL_IN,
	  .priority = NF_IP6_PRI_LAST },
};

int shunt_hook_on(struct net *net)
{
	int ret = nf_defrag_ipv6_enable(net);

	if (ret)
		return ret;
	ret = nf_register_net_hooks(net, hooks, ARRAY_SIZE(hooks));
	if (ret)
		nf_defrag_ipv6_disable(net);
	return ret;
}

void shunt_hook_off(struct net *net)
{
	nf_unregister_net_hooks(net, hooks, ARRAY_SIZE(hooks));
	nf_defrag_ipv6_disable(net);
}
