// SPDX-License-Identifier: GPL-2.0-only
#include "binding.h"

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <net/ipv6.h>
#include <net/netns/generic.h>
#include <net/sock.h>
#include <net/udp.h>

#define SNDBUF_BYTES (4 << 20) /* what devices may hold of ours at a time */

static unsigned int net_id;

static struct shunt_net *of(struct net *net)
{
	return net_generic(net, net_id);
}

static struct hlist_head *bucket(struct shunt_net *here, __be16 port)
{
	return &here->ports[ntohs(port) % SHUNT_BINDING_BUCKETS];
}

/* --- addresses ---------------------------------------------------------------------- */

/* For a socket of this family; returns the length, 0: not for it. */
static int to_socket(struct sockaddr_storage *to, const struct shunt_kmod_address *from,
		     u8 l3)
{
	struct sockaddr_in *ip4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *ip6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (l3 == 4 && from->l3 == 4) {
		ip4->sin_family = AF_INET;
		ip4->sin_port = htons(from->port);
		ip4->sin_addr.s_addr = from->addr[0];
		return sizeof(*ip4);
	}
	if (l3 != 6 || (from->l3 != 4 && from->l3 != 6))
		return 0;
	ip6->sin6_family = AF_INET6;
	ip6->sin6_port = htons(from->port);
	if (from->l3 == 4) {
		ipv6_addr_set_v4mapped(from->addr[0], &ip6->sin6_addr);
	} else {
		memcpy(&ip6->sin6_addr, from->addr, sizeof(ip6->sin6_addr));
		ip6->sin6_scope_id = from->scope;
	}
	return sizeof(*ip6);
}

int shunt_binding_send(void *context, void *bytes, u32 len,
		       const struct shunt_kmod_address *to)
{
	struct shunt_binding *binding = context;
	struct kvec vec = { .iov_base = bytes, .iov_len = len };
	struct sockaddr_storage name;
	struct msghdr msg = {
		.msg_name = &name,
		.msg_namelen = to_socket(&name, to, binding->l3),
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
	};
	int ret;

	if (!msg.msg_namelen)
		return -EAFNOSUPPORT;
	ret = kernel_sendmsg(binding->sock, &msg, &vec, 1, len);
	return ret < 0 ? ret : 0;
}

/* --- finding ------------------------------------------------------------------------ */

static bool is_for(const struct shunt_binding *binding, struct net *net,
		   const struct shunt_arrival *packet)
{
	/* what comes by a VRF is for others, unless udp_l3mdev_accept says for all */
	if (!udp_sk_bound_dev_eq(net, binding->device, packet->in, packet->slave))
		return false;
	if (binding->any)
		return binding->l3 == packet->l3 || binding->l3 == 6;
	if (binding->l3 != packet->l3)
		return false;
	if (packet->l3 == 4)
		return binding->local.ip == packet->to.ip;
	return ipv6_addr_equal(&binding->local.in6, &packet->to.in6);
}

struct shunt_binding *shunt_binding_find(struct net *net,
					 const struct shunt_arrival *packet)
{
	struct shunt_binding *binding;

	hlist_for_each_entry_rcu(binding, bucket(of(net), packet->port), node)
		if (binding->port == packet->port && is_for(binding, net, packet))
			return binding;
	return NULL;
}

/* --- opening ------------------------------------------------------------------------ */

static int open_socket(struct shunt_binding *binding, struct shunt_kmod_address *local)
{
	struct sockaddr_storage name;
	int len = to_socket(&name, local, local->l3), ret;
	struct sock *sk;

	/* an IPv4 address in the shape of an IPv6 one would be bound, and never be found */
	if (!len || (local->l3 == 6 && ipv6_addr_v4mapped((void *)local->addr)))
		return -EAFNOSUPPORT;
	ret = sock_create_kern(binding->net, name.ss_family, SOCK_DGRAM, IPPROTO_UDP,
			       &binding->sock);
	if (ret)
		return ret;
	sk = binding->sock->sk;
	lock_sock(sk);
	sk->sk_ipv6only = false;
	sk->sk_sndbuf = SNDBUF_BYTES;
	sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
	release_sock(sk);
	/* the type of an address differs from one kernel to the next */
	ret = kernel_bind(binding->sock, (void *)&name, len);
	if (ret)
		return ret;
	/* what came before the hook took it is not kept for us */
	sock_set_rcvbuf(sk, 1);
	ret = kernel_getsockname(binding->sock, (struct sockaddr *)&name);
	if (ret < 0)
		return ret;
	binding->port = name.ss_family == AF_INET
				? ((struct sockaddr_in *)&name)->sin_port
				: ((struct sockaddr_in6 *)&name)->sin6_port;
	binding->device = sk->sk_bound_dev_if;
	local->port = ntohs(binding->port);
	return 0;
}

/* From here on packets come. */
static int enter(struct shunt_binding *binding)
{
	struct shunt_net *here = of(binding->net);
	int ret = 0;

	mutex_lock(&here->lock);
	if (!here->bound)
		ret = shunt_hook_on(binding->net);
	if (!ret) {
		here->bound++;
		hlist_add_head_rcu(&binding->node, bucket(here, binding->port));
	}
	mutex_unlock(&here->lock);
	return ret;
}

static void leave(struct shunt_binding *binding)
{
	struct shunt_net *here = of(binding->net);

	if (hlist_unhashed(&binding->node))
		return;
	mutex_lock(&here->lock);
	hlist_del_init_rcu(&binding->node);
	if (!--here->bound)
		shunt_hook_off(binding->net);
	mutex_unlock(&here->lock);
	/* no CPU is in the hook with it any more, nor in a hook that is off */
	synchronize_rcu();
}

int shunt_binding_open(struct shunt_binding **binding, struct net *net,
		       struct shunt_kmod_bind *bind)
{
	const struct in6_addr *local = (void *)bind->local.addr;
	struct shunt_binding *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!fresh)
		return -ENOMEM;
	fresh->net = get_net(net);
	fresh->l3 = bind->local.l3;
	fresh->any = fresh->l3 == 4 ? !bind->local.addr[0] : ipv6_addr_any(local);
	memcpy(&fresh->local, bind->local.addr, sizeof(fresh->local));
	init_waitqueue_head(&fresh->wait);
	ret = shunt_rings_open(&fresh->rings, bind);
	if (!ret)
		ret = open_socket(fresh, &bind->local);
	if (!ret)
		ret = enter(fresh);
	if (ret) {
		shunt_binding_close(fresh);
		return ret;
	}
	*binding = fresh;
	return 0;
}

void shunt_binding_close(struct shunt_binding *binding)
{
	if (!binding)
		return;
	leave(binding);
	if (binding->sock)
		sock_release(binding->sock);
	shunt_rings_close(&binding->rings);
	put_net(binding->net);
	kfree(binding);
}

/* --- network namespaces ------------------------------------------------------------- */

static int __net_init init_net_part(struct net *net)
{
	mutex_init(&of(net)->lock);
	return 0;
}

static void __net_exit exit_net_part(struct net *net)
{
	/* each binding holds its namespace */
	WARN_ON_ONCE(of(net)->bound);
}

static struct pernet_operations net_ops = {
	.init = init_net_part,
	.exit = exit_net_part,
	.id = &net_id,
	.size = sizeof(struct shunt_net),
};

int __init shunt_bindings_init(void)
{
	return register_pernet_subsys(&net_ops);
}

void shunt_bindings_exit(void)
{
	unregister_pernet_subsys(&net_ops);
}
