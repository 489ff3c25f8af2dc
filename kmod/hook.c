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

static unsigned int take(struct shunt_binding *binding, struct sk_buff *skb, u32 at,
			 const struct udphdr *udp, struct shunt_kmod_address *from)
{
	u32 bytes = udp_bytes(skb, at, udp), step;

	if (!bytes || !is_sound(skb, at, udp, from->l3)) {
		shunt_rings_bad(&binding->rings);
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
	const union nf_inet_addr to = { .ip = ip->daddr };
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
	binding = shunt_binding_find(state->net, udp->dest, 4, &to, skb->dev->ifindex);
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
	const union nf_inet_addr to = { .in6 = ip->daddr };
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
	binding = shunt_binding_find(state->net, udp->dest, 6, &to, skb->dev->ifindex);
	if (!binding)
		return NF_ACCEPT;
	memcpy(from.addr, &ip->saddr, sizeof(from.addr));
	if (ipv6_addr_type(&ip->saddr) & IPV6_ADDR_LINKLOCAL)
		from.scope = skb->dev->ifindex;
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
