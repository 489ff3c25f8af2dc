/* SPDX-License-Identifier: BSD-2-Clause */
/* Netlink: one request, one answer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>

#include "user/base/err.h"

/*
 *     struct shunt_nl nl;
 *     shunt_nl_start(&nl, RTM_GETLINK, 0, &ifinfo, sizeof(ifinfo));
 *     shunt_nl_put(&nl, IFLA_IFNAME, "eth0", 5);
 *     ret = shunt_nl_talk(&nl, NETLINK_ROUTE);
 *     attr = shunt_nl_find(&nl, sizeof(ifinfo), IFLA_LINKINFO, &len);
 *
 * The socket belongs to the calling thread's network namespace, for one call. A request
 * that outgrows its room is refused by shunt_nl_talk().
 */
struct shunt_nl {
	union {
		struct nlmsghdr head;
		char bytes[16384];
	};
	size_t len;
	int overflow;
};

/* A request with the fixed header of its family. */
void shunt_nl_start(struct shunt_nl *nl, uint16_t type, uint16_t flags,
		    const void *header, size_t bytes);

/* Appends an attribute, and returns it, so that it can be nested by shunt_nl_end(). */
struct nlattr *shunt_nl_put(struct shunt_nl *nl, uint16_t type, const void *data,
			    size_t bytes);

/* What was appended since then lies inside the attribute. */
void shunt_nl_end(struct shunt_nl *nl, struct nlattr *nest);

/* Sends it; nl becomes the answer. 0, or the kernel's -errno. */
SHUNT_MUST_CHECK int shunt_nl_talk(struct shunt_nl *nl, int protocol);

/* The same over a socket that nobody else talks over, in its own namespace. */
SHUNT_MUST_CHECK int shunt_nl_talk_over(struct shunt_nl *nl, int fd);

/* An attribute of the answer, behind a fixed header of so many bytes; NULL: none. */
const void *shunt_nl_find(const struct shunt_nl *nl, size_t header, uint16_t type,
			  size_t *bytes);

/* The same inside an attribute. */
const void *shunt_nl_find_in(const void *data, size_t len, uint16_t type,
			     size_t *bytes);
