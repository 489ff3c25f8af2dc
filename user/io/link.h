/* SPDX-License-Identifier: BSD-2-Clause */
/* A link: the interface under a port, which may be renamed, go down, or vanish. */
#pragma once

#include <net/if.h>
#include <stdint.h>

#include "user/base/err.h"

struct shunt_link {
	int fd; /* for questions, in the namespace that it was opened in */
	int ifindex;
	uint32_t mtu;		/* as of the last look */
	unsigned short type;	/* ARPHRD_… */
	uint8_t mac[6];		/* when it was opened */
	char name[IF_NAMESIZE]; /* of the last look, too */
};

#define SHUNT_LINK_NONE                                                                \
	{                                                                              \
		.fd = -1                                                               \
	}

/* -ENODEV: there is none of that name in the calling thread's namespace. */
SHUNT_MUST_CHECK int shunt_link_open(struct shunt_link *link, const char *name,
				     struct shunt_err *err);

/* Fine on SHUNT_LINK_NONE. */
void shunt_link_close(struct shunt_link *link);

/* 0 while frames can come and go; -ENETDOWN, or -ENODEV once it is gone for good. */
SHUNT_MUST_CHECK int shunt_link_look(struct shunt_link *link, struct shunt_err *err);
