/* SPDX-License-Identifier: GPL-2.0-only */
/* A binding: a UDP port of a network namespace whose packets go to a file of /dev/shunt. */
#pragma once

/*
 * It belongs to its file, which holds the network namespace as a socket does: neither the
 * namespace nor the module can go before it. A UDP socket of the kernel's stands at the
 * port, so that nobody else gets it, and sends. The hook finds bindings under RCU;
 * shunt_binding_close() waits until none does so any more before it frees anything.
 */
#include <linux/netfilter.h>
#include <linux/rculist.h>
#include <linux/wait.h>
#include <net/net_namespace.h>

#include "rings.h"

#define SHUNT_BINDING_BUCKETS 64

/* What a network namespace has. */
struct shunt_net {
	struct mutex lock; /* of whoever changes it */
	unsigned int bound;
	struct hlist_head ports[SHUNT_BINDING_BUCKETS];
};

struct shunt_binding {
	struct hlist_node node;
	struct net *net;
	struct socket *sock;
	union nf_inet_addr local; /* not where `any` */
	int device;		  /* interface of a link-local address, else 0 */
	__be16 port;
	u8 l3; /* 4 or 6; one of any IPv6 address takes IPv4 as well */
	bool any;
	wait_queue_head_t wait; /* poll() */
	struct shunt_rings rings;
};

int shunt_binding_open(struct shunt_binding **binding, struct net *net,
		       struct shunt_kmod_bind *bind);
void shunt_binding_close(struct shunt_binding *binding);

/* Where a packet is going, and how it has come. */
struct shunt_arrival {
	union nf_inet_addr to;
	__be16 port;
	u8 l3;	   /* 4 or 6 */
	int in;	   /* the interface, or the VRF that it belongs to */
	int slave; /* the interface in that VRF, else 0 */
};

/* Whose such a packet is, by the rules of sockets; NULL: not ours. Under rcu_read_lock(). */
struct shunt_binding *shunt_binding_find(struct net *net,
					 const struct shunt_arrival *packet);

/* As shunt_rings_sender, with a binding. */
int shunt_binding_send(void *binding, void *bytes, u32 len,
		       const struct shunt_kmod_address *to);

int __init shunt_bindings_init(void);
void shunt_bindings_exit(void);

/* --- the hook (hook.c) -------------------------------------------------------------- */

/* Of one network namespace: on while a binding is in it. */
int shunt_hook_on(struct net *net);
void shunt_hook_off(struct net *net);
