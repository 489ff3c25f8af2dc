/* SPDX-License-Identifier: BSD-2-Clause */
/* Beside other owners' XDP programs, by libxdp's dispatcher. */
#pragma once

/*
 * The dispatcher is the one XDP program of the interface and calls up to ten others, its
 * entries, in the order of their priorities; one that returns XDP_PASS lets the next one
 * have the packet. An entry is an freplace program. Whoever puts one in or takes one out
 * makes a new dispatcher for all of them and swaps it for the old one, which is atomic.
 *
 * The trouble is that our programs are replaced now and then (loader/takeover.h), and
 * the link of an freplace program cannot be updated. What was tried:
 *
 *  - An entry that tail-calls the program, which is then replaced by an update of an
 *    array: since Linux 6.13, and in later 6.12, the kernel refuses an entry that may
 *    change packet data, as any tail call may, where the dispatcher's own function does
 *    not; libxdp's does only since the middle of 2025. Debian 12 has an older one, and
 *    whoever puts in another entry by an older one would be refused for ours.
 *  - Taking the old program out and putting the new one in, by libxdp: two swaps, with
 *    packets under both or under none in between.
 *  - Every feature and the largest maps from the start, and no replacement: each packet
 *    would pay, and megabytes of memory.
 *
 * Hence an exchange of our own (loader/exchange.h): one swap. It needs no word on how
 * the entries are configured, because a place that is there is taken over: in the
 * beginning libxdp puts a program that passes everything into it, with our priority.
 *
 *     dispatcher ─▶ program of another, priority 10
 *                └▶ shunt_xdp_chain, priority 20     (first shunt_entry, for a moment)
 *
 *  - A kill leaves the old dispatcher on or the new one, never both.
 *  - Others' changes take our entry along: nothing of ours changes.
 *  - What makes a test run impossible is gone around as in loader/tag.h: `explain` asks a
 *    twin over the same maps.
 *  - No VLAN tag can be pushed or popped, for that changes packet data: refused.
 *
 * Our entry is known by its use of the instance's map maps/gen. What libxdp pins lies
 * under /sys/fs/bpf/xdp (loader/dispatch.h): its own, but for folders that a killed
 * command of ours has left, which the next one clears away: those with an entry of ours
 * that no interface runs, and those that the interface's dispatcher has superseded.
 */
#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

struct bpf_program;
struct shunt_image;
struct shunt_state;

#define SHUNT_CHAIN_PRIORITY_MAX 65535

struct shunt_chain_request {
	const char *instance;
	const char *interface;
	unsigned int ifindex;
	int prog_fd;	   /* of the program that judges */
	uint32_t priority; /* 1 to SHUNT_CHAIN_PRIORITY_MAX; lower comes first */
	const char *mode;  /* NULL or "auto", "native", "generic" */
};

/* 0: programs can be chained here. Else what the kernel said to trying, and a sentence. */
SHUNT_MUST_CHECK int shunt_chain_possible(struct shunt_err *err);

/* 0: chained programs can do what the image of this record wants. */
SHUNT_MUST_CHECK int shunt_chain_fits(const struct shunt_image *image,
				      const struct shunt_state *state,
				      struct shunt_err *err);

/*
 * Makes a program, before it is loaded, an freplace program that fits a dispatcher: for
 * the function of the program `target_fd`, which shunt_chain_target() has loaded.
 */
SHUNT_MUST_CHECK int shunt_chain_target(struct shunt_err *err);
SHUNT_MUST_CHECK int shunt_chain_set_target(struct bpf_program *program, int target_fd);

/* Is this program a dispatcher of libxdp's? */
bool shunt_chain_is_dispatcher(uint32_t prog_id);

/*
 * Puts our entry into the interface's dispatcher, which is made where there is none. An
 * XDP program that is no dispatcher is the caller's to refuse. `note` as in
 * shunt_place_attach().
 */
SHUNT_MUST_CHECK int shunt_chain_join(const struct shunt_chain_request *request,
				      struct shunt_err *note, struct shunt_err *err);

/*
 * Takes our entry out, if there is one. The others go on; with the last entry the
 * dispatcher goes. -EXDEV: the interface is of another network namespace.
 */
SHUNT_MUST_CHECK int shunt_chain_leave(const char *instance, struct shunt_err *err);

/* Puts another program into the place of our entry. */
SHUNT_MUST_CHECK int shunt_chain_replace(const char *instance, unsigned int ifindex,
					 int prog_fd);

/* Clears away what killed replacements have left. */
SHUNT_MUST_CHECK int shunt_chain_tidy(const char *instance, unsigned int ifindex,
				      struct shunt_err *err);

/* The id of our entry in the interface's dispatcher; 0: there is none. */
uint32_t shunt_chain_program(const char *instance, unsigned int ifindex);

/* The same, where an error says that it could not be asked. */
SHUNT_MUST_CHECK int shunt_chain_ask(const char *instance, unsigned int ifindex,
				     uint32_t *prog_id, struct shunt_err *err);

/*
 * Who is on an interface that is chained: the entries of its dispatcher in the order in
 * which they run, as an array of objects with priority, name, program (the id) and ours.
 * The caller's; empty where there is no dispatcher that libxdp can read.
 */
cJSON *shunt_chain_list(const char *instance, unsigned int ifindex);

/* Is our entry in a dispatcher of an interface that only its own namespace can ask for? */
bool shunt_chain_elsewhere(const char *instance);
