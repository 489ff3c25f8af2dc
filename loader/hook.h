/* SPDX-License-Identifier: BSD-2-Clause */
/* A program's place: link of XDP, TCX or netfilter, entry of a dispatcher, or clsact filter. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "maps/hook.h"
#include "user/base/err.h"

/* How a program sits; zeroed: it does not. */
struct shunt_place {
	bool on;
	char mode[12]; /* "native", "generic", "chained"; "tcx", "clsact"; "link" */
	uint32_t prog_id;
	uint32_t priority; /* chained: among the others; lower comes first */
	bool made_qdisc;   /* clsact: the qdisc is ours as well */
	bool insisted;	   /* the user would have no other mode */
	uint64_t netns;	   /* netfilter: the inode number of its network namespace */
};

struct shunt_place_request {
	enum shunt_hook hook;
	int prog_fd;
	const char *instance; /* where it is pinned */
	const char *interface;
	unsigned int ifindex;
	const char *mode; /* NULL or "auto", or one of the modes above, insisted on */
	uint32_t chain;	  /* XDP: join a dispatcher with this priority; 0: do not */
};

/*
 * Attaches the program. On success *link_fd is the link to be pinned (the caller owns
 * it; closed unpinned, the program leaves), or -1 for clsact. Where a lesser mode had
 * to do, `note` says why, else it is empty. Another owner's XDP program is not touched:
 * -EBUSY, with its name, id and owner.
 */
SHUNT_MUST_CHECK int shunt_place_attach(const struct shunt_place_request *request,
					struct shunt_place *place, int *link_fd,
					struct shunt_err *note, struct shunt_err *err);

/* The note of a qdisc that we are about to make or to remove (loader/hookpin.h). */
void shunt_place_qdisc_noted(enum shunt_hook hook, const char *instance);
bool shunt_place_qdisc_meant(enum shunt_hook hook, const char *instance);

/*
 * Takes a clsact filter off again, if the program in it is the one that the instance
 * has pinned for the hook; a qdisc that we made and nobody else uses goes with it. For
 * XDP: takes our entry out of a dispatcher. Links leave with their pin; netfilter's are
 * taken off here, all of them.
 */
SHUNT_MUST_CHECK int shunt_place_detach(enum shunt_hook hook, bool made_qdisc,
					const char *instance, unsigned int ifindex,
					struct shunt_err *err);

/*
 * Which program sits where `place` says? For a link that is asked of the pinned link;
 * for clsact and what is chained of the interface, in the calling thread's namespace.
 * *prog_id 0: for certain, none of the instance's does. An error proves nothing.
 */
SHUNT_MUST_CHECK int shunt_place_ask(enum shunt_hook hook,
				     const struct shunt_place *place,
				     const char *instance, unsigned int ifindex,
				     uint32_t *prog_id, struct shunt_err *err);

/* Does one sit there, as far as can be told? What cannot be asked is taken to live. */
bool shunt_place_alive(enum shunt_hook hook, const struct shunt_place *place,
		       const char *instance, unsigned int ifindex);

/*
 * The id of the program that sits there now; 0: none of the instance's does. Where that
 * cannot be told, it is the one of the record.
 */
uint32_t shunt_place_program(enum shunt_hook hook, const struct shunt_place *place,
			     const char *instance, unsigned int ifindex);

/* Does an interface of the calling thread's namespace have this program on a hook? */
bool shunt_place_carries(enum shunt_hook hook, unsigned int ifindex, uint32_t prog_id);

/* The id of the program in a filter where those of Shunt are put; 0: there is none. */
uint32_t shunt_place_filter(enum shunt_hook hook, unsigned int ifindex);

/* Takes the filter off, if this is its program. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_place_take_filter(enum shunt_hook hook, unsigned int ifindex,
					     uint32_t prog_id);

/*
 * Puts another program of ours into the place of the one that sits there: every packet
 * meets one of the two. The new one is pinned as progs/<hook>_next before and as
 * progs/<hook> afterwards; a kill in between is made good by shunt_place_settle().
 */
SHUNT_MUST_CHECK int shunt_place_replace(enum shunt_hook hook,
					 const struct shunt_place *place,
					 const char *instance, unsigned int ifindex,
					 int prog_fd, struct shunt_err *err);
SHUNT_MUST_CHECK int shunt_place_settle(enum shunt_hook hook,
					const struct shunt_place *place,
					const char *instance, unsigned int ifindex,
					struct shunt_err *err);

/*
 * 0, or -EBUSY and who sits there: an XDP program that Shunt has not attached. With
 * `chain`, a dispatcher of libxdp's is no hindrance, and -EPERM or another error says
 * that this kernel cannot chain.
 */
SHUNT_MUST_CHECK int shunt_place_free(const char *interface, unsigned int ifindex,
				      uint32_t chain, struct shunt_err *err);
