/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands between an interface and DPDK's af_xdp driver: our program, its sockets. */
#pragma once

/*
 *     shunt_feed_open()  claims the interface, looks that nobody's program is there,
 *                        and offers the driver a program (bpf/feed.bpf.c)
 *     the driver         loads and attaches it, opens its AF_XDP sockets
 *     shunt_feed_adopt() puts a BPF link into the place of the driver's attachment
 *
 * Left alone, the driver brings libxdp's program, tells of every trouble on stderr, takes
 * off whatever program is on the interface when it closes, and leaves its own behind when
 * its process is killed. It forgets to close its sockets, so that their queue stays busy
 * as long as the process lives, and its program. A link goes with its process, and nobody but its owner removes
 * it. From the driver's attaching to the link some microseconds pass: a process killed
 * in between leaves "shunt_feed" behind, which the next open removes: it holds the claim,
 * so that no living process owns what it finds.
 */
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/io/port.h"

struct shunt_feed {
	char ifname[IF_NAMESIZE];
	unsigned int ifindex, mtu;
	bool zero_copy; /* the NIC's driver knows that, or does not tell */
	bool native;
	int claim;  /* descriptor; the interface is ours */
	int object; /* memfd: the program, for the driver */
	int link;
	uint32_t program, map, btf; /* ids; 0: not loaded */
	int socket[64];		    /* the driver's */
	uint64_t inode[64];	    /* theirs, by which they are known again */
	unsigned int sockets;
};

/* -EBUSY names the program that is there, and its owner. Closes itself on failure. */
SHUNT_MUST_CHECK int shunt_feed_open(struct shunt_feed *feed, const char *ifname,
				     struct shunt_err *err);

/* The driver's argument: where it finds the program. */
#define SHUNT_FEED_PATH 48
const char *shunt_feed_path(const struct shunt_feed *feed, char path[SHUNT_FEED_PATH]);

/* The AF_XDP sockets of the process, before the driver opens its own. */
struct shunt_feed_fds {
	int fd[256];
	unsigned int n;
};

void shunt_feed_before(struct shunt_feed_fds *fds);

/*
 * Notes which sockets are the driver's: of those that have come since, the one that is in
 * what the driver keeps for a queue. Others may be those of another thread.
 */
void shunt_feed_after(struct shunt_feed *feed, const struct shunt_feed_fds *before,
		      void *const *queues, unsigned int n);

/* The driver works: its program is held by a link from now on. */
SHUNT_MUST_CHECK int shunt_feed_adopt(struct shunt_feed *feed, struct shunt_err *err);

/* The device is about to close: its program leaves the interface. */
void shunt_feed_stop(struct shunt_feed *feed);

/* The device is closed: what the driver forgot to close goes. It may be set up again. */
void shunt_feed_clear(struct shunt_feed *feed);

/* Lets the interface go. */
void shunt_feed_close(struct shunt_feed *feed);

/* --- what the kernel says of the sockets ------------------------------------------ */

bool shunt_feed_zero_copy(const struct shunt_feed *feed);

/* Frames that one system call sends, where the kernel lets us say (6.17). */
bool shunt_feed_budget(const struct shunt_feed *feed, unsigned int frames);

/* Adds to the counters; 0 or -errno. */
int shunt_feed_count(const struct shunt_feed *feed, struct shunt_port_stats *stats);

/* 0, or -ENETDOWN, or -ENODEV once the interface is gone. */
SHUNT_MUST_CHECK int shunt_feed_check(const struct shunt_feed *feed,
				      struct shunt_err *err);
