/* SPDX-License-Identifier: BSD-2-Clause */
/* The netfilter hook's two links, which belong to a namespace, not to an interface. */
#pragma once

/*
 * One program hangs at PRE_ROUTING twice, by a link for IPv4 and one for IPv6, pinned as
 * links/netfilter and links/netfilter6. The kernel puts no other program into such a link,
 * so that a takeover is made of new links; maps/netfilter.h says why every packet is
 * judged once meanwhile.
 *
 *     new links  ─▶  pinned as netfilter_next, netfilter6_next
 *     each: the pin takes the place of the old link's, by a rename; the old link leaves
 *
 * A link keeps its namespace, and with it the interfaces in there, after everybody else
 * has left it. Hence the record says which namespace it is, and an instance in one that
 * nobody can reach is not alive: `shunt detach --stale` removes it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

struct bpf_program;

/* Loads the least program, which accepts all: its descriptor, or -errno. */
SHUNT_MUST_CHECK int shunt_nf_least(void);

/* 0, or -EOPNOTSUPP: does the kernel know netfilter programs? */
SHUNT_MUST_CHECK int shunt_nf_known(struct shunt_err *err);

/* Says of a program that is not loaded yet that it is one; libbpf 1.1 does not know. */
void shunt_nf_type(struct bpf_program *program);

/* A link for a family (NFPROTO_IPV4, NFPROTO_IPV6) in the calling thread's namespace, at
 * `priority` or the next free one in front of it. Its descriptor, or -errno. */
SHUNT_MUST_CHECK int shunt_nf_link(int prog_fd, uint32_t family, int32_t priority);

/* Both links; that of IPv6 is pinned, that of IPv4 handed out. *netns is where they are. */
SHUNT_MUST_CHECK int shunt_nf_attach(const char *instance, int prog_fd, uint64_t *netns,
				     int *link_fd, struct shunt_err *err);

/* Takes all of an instance's links off. What is not there is fine. */
SHUNT_MUST_CHECK int shunt_nf_detach(const char *instance, struct shunt_err *err);

/* New links in place of the old ones; 0 or -errno. A kill is made good by settling. */
SHUNT_MUST_CHECK int shunt_nf_replace(const char *instance, int prog_fd);

/* Ends a takeover: with the new links, where the first of them has its place, or without. */
SHUNT_MUST_CHECK int shunt_nf_settle(const char *instance, bool forward,
				     struct shunt_err *err);

/* The calling thread's network namespace, as struct shunt_place has it; 0: unknown. */
uint64_t shunt_nf_namespace(void);

/* Can packets still come by that interface of that namespace? */
bool shunt_nf_lives(uint64_t netns, unsigned int ifindex);
