/* SPDX-License-Identifier: BSD-2-Clause */
/* What an interface and its driver say about themselves; nothing is changed. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "loader/ethtool.h"
#include "user/base/err.h"

/* What the kernel tells of a driver's XDP (linux/netdev.h, Linux 6.3 and newer). */
#define SHUNT_NIC_XDP_BASIC (1u << 0)
#define SHUNT_NIC_XDP_REDIRECT (1u << 1)
#define SHUNT_NIC_XDP_TARGET (1u << 2) /* frames can be redirected to it, now */
#define SHUNT_NIC_XDP_ZEROCOPY (1u << 3)
#define SHUNT_NIC_XDP_FRAGS (1u << 5) /* frames of several buffers */

#define SHUNT_NIC_ADVICE 512

#define SHUNT_NIC_META_VLAN (1u << 2) /* XDP metadata: the VLAN tag; Linux 6.8 */

/* RPS or XPS of the queues, as text: "rx-0 3, rx-1 0". */
struct shunt_nic_cpus {
	bool known; /* this kernel has it, and this interface */
	bool any;   /* some queue names CPUs */
	char text[256];
};

struct shunt_nic {
	char name[IF_NAMESIZE];
	unsigned int ifindex, mtu;
	uint8_t mac[6];	 /* zeros: it has none, or one of another length */
	char driver[32]; /* "": it does not tell */
	uint64_t queues; /* bit q: receive queue q */
	bool knows_xdp;	 /* the kernel tells what follows */
	uint64_t xdp, meta;
	unsigned int xdp_prog; /* id of a program that is attached; 0: none */
	/*
	 * VLAN tags of received frames lie beside the frame, where XDP does not see them:
	 * the NIC takes them off, or a veth's peer never puts them in.
	 */
	bool vlan_beside;
	bool vlan_known; /* false: it depends on a peer that we cannot ask */
	/* Steering: what the driver offers. */
	uint32_t queues_max;		     /* 0: it does not tell */
	bool has_ntuple;		     /* a table of filters */
	bool ntuple_known;		     /* the kernel knows the feature by name */
	struct shunt_ethtool_feature ntuple; /* may they be used? */
	uint32_t places, places_taken;	     /* of the table; 0: it does not tell */
	uint32_t indirection; /* entries of the table from hashes to queues; 0: none */
	struct shunt_nic_cpus rps, xps;
	/* veth only */
	bool veth, peer_here, peer_napi; /* peer in this namespace; it runs NAPI */
	unsigned int peer;		 /* its ifindex */
};

/* What makes the tags lie in the frame; nothing where they do: text is then empty. */
void shunt_nic_vlan_advice(const struct shunt_nic *nic, char text[SHUNT_NIC_ADVICE]);

/* -ENODEV: there is no such interface in the calling thread's network namespace. */
SHUNT_MUST_CHECK int shunt_nic_look(struct shunt_nic *nic, const char *interface,
				    struct shunt_err *err);
