/* SPDX-License-Identifier: BSD-2-Clause */
/* libshunt's control half: attach a policy to an interface, change it, ask it. */
#pragma once

/*
 * Every function works on the interfaces of the calling thread's network namespace
 * (shunt_netns_enter changes that) and needs root. Nothing is kept between calls: the
 * state is pinned under /sys/fs/bpf/shunt.
 *
 * Answers are JSON objects that name their schema (see schemas/) and belong to the
 * caller. A function returns 0, or -errno and a sentence in *err, which may be NULL. On
 * failure *reply is NULL, and nothing is left attached, pinned or half-written. Shunt
 * prints nothing; libbpf does, unless libbpf_set_print(NULL) tells it not to.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

struct shunt_policy;

/*
 * Moves the calling thread into a network namespace made by `ip netns add NAME`, or
 * named by a path with a '/' in it. Only the network namespace changes: /sys/fs/bpf
 * stays.
 */
SHUNT_API int shunt_netns_enter(const char *name, struct shunt_err *err);

/* --- policies ---------------------------------------------------------------- */

/*
 * Reads and checks a policy file ("-": standard input). *policy is NULL unless it is
 * sound; *reply ("shunt.check/1") lists every error and warning with its JSON pointer,
 * and the room that the compiled policy takes. Returns -EINVAL for a policy with
 * errors; then *reply is there nevertheless.
 */
SHUNT_API int shunt_check(const char *path, struct shunt_policy **policy, cJSON **reply,
			  struct shunt_err *err);
SHUNT_API void shunt_policy_free(struct shunt_policy *policy);

/* --- changing ---------------------------------------------------------------- */

struct shunt_attach_opts {
	size_t sz;		 /* sizeof(struct shunt_attach_opts) */
	const char *const *hook; /* "xdp", "tc-ingress", "tc-egress"; NULL: "xdp" */
	size_t hooks;
	const char *mode;  /* NULL or "auto"; "native", "generic"; "tcx", "clsact" */
	const char *netns; /* what the namespace is called, for `list` only */
	/*
	 * XDP: beside other owners' programs in libxdp's dispatcher, with this priority
	 * among them (1 to 65535, lower comes first); 0: alone. Where the kernel cannot,
	 * that is an error.
	 */
	uint32_t chain;
};

/*
 * Attaches an interface. `policy` may be NULL where another hook of an interface that
 * is attached already joins in. -EEXIST: attached already. -EBUSY: a foreign XDP
 * program, which stays.
 */
SHUNT_API int shunt_attach(const char *interface, const struct shunt_policy *policy,
			   const struct shunt_attach_opts *opts, cJSON **reply,
			   struct shunt_err *err);

/* Puts a new policy in force, at once for every hook; counters go on by rule name. */
SHUNT_API int shunt_apply(const char *interface, const struct shunt_policy *policy,
			  cJSON **reply, struct shunt_err *err);

/* Takes one hook off, or all of them (hook NULL) and with the last every trace. */
SHUNT_API int shunt_detach(const char *interface, const char *hook, cJSON **reply,
			   struct shunt_err *err);

/* Removes what interfaces that are gone have left behind. */
SHUNT_API int shunt_detach_stale(cJSON **reply, struct shunt_err *err);

/*
 * Changes the members of a set: "add", "del", or "replace" all of them. Members come
 * as words, as a file with one a line ("-": standard input; NULL: none), or both. All
 * of them or, where it fails, none.
 */
SHUNT_API int shunt_set_edit(const char *interface, const char *set, const char *verb,
			     const char *const *element, size_t elements,
			     const char *file, cJSON **reply, struct shunt_err *err);

/* --- looking ----------------------------------------------------------------- */

/* What the kernel can do, and an interface (NULL: none); it is not changed. */
SHUNT_API int shunt_probe(const char *interface, cJSON **reply, struct shunt_err *err);
SHUNT_API int shunt_list(cJSON **reply, struct shunt_err *err);
SHUNT_API int shunt_show(const char *interface, cJSON **reply, struct shunt_err *err);
SHUNT_API int shunt_stats(const char *interface, cJSON **reply, struct shunt_err *err);
SHUNT_API int shunt_set_members(const char *interface, const char *set, cJSON **reply,
				struct shunt_err *err);
SHUNT_API int shunt_set_ask(const char *interface, const char *set, const char *address,
			    cJSON **reply, struct shunt_err *err);

/* --- explaining -------------------------------------------------------------- */

/* What becomes of packets, asked of the loaded program itself by test runs. */
struct shunt_explain;

/* Of the program that is attached (`hook` NULL: xdp, else the first that is). */
SHUNT_API int shunt_explain_open(struct shunt_explain **explain, const char *interface,
				 const char *hook, struct shunt_err *err);

/* Of a program of its own, that is attached nowhere, under this policy. */
SHUNT_API int shunt_explain_open_policy(struct shunt_explain **explain,
					const struct shunt_policy *policy,
					const char *hook, struct shunt_err *err);

/* One frame, from its Ethernet header on. `number` is the reply's "packet". */
SHUNT_API int shunt_explain_frame(struct shunt_explain *explain, uint64_t number,
				  const void *frame, size_t bytes, cJSON **reply,
				  struct shunt_err *err);
SHUNT_API void shunt_explain_close(struct shunt_explain *explain);

/* --- consuming --------------------------------------------------------------- */

/* How a consumer is served: by sockets in XDP, by a ring buffer, or by both. */
struct shunt_consumer {
	int map_fd; /* XSKMAP for its sockets; key: maps/consumer.h; -1: it has none */
	uint32_t slot;
	uint64_t queues; /* of its sockets; bit q: receive queue q */
	bool ring;	 /* open a tap, too */
};

/* The caller closes map_fd. */
SHUNT_API int shunt_consumer_open(const char *interface, const char *name,
				  struct shunt_consumer *consumer,
				  struct shunt_err *err);

/*
 * A ring buffer that the programs of an interface write to for us (maps/ring.h), one
 * thread's at a time.
 */
struct shunt_tap;

/*
 * Makes the ring of a consumer, or with NULL the one for samples and mirrored frames; it
 * is not fed yet. -EBUSY: another process reads it.
 */
SHUNT_API int shunt_tap_open(struct shunt_tap **tap, const char *interface,
			     const char *consumer, struct shunt_err *err);

/* NULL is fine. */
SHUNT_API void shunt_tap_close(struct shunt_tap *tap);

/* Its ring buffer, for user/io/ring.h; the tap's. */
SHUNT_API int shunt_tap_fd(const struct shunt_tap *tap);

/* From here on programs write into it; and no longer, once shunt_tap_starve() returns. */
SHUNT_API int shunt_tap_feed(struct shunt_tap *tap, struct shunt_err *err);
SHUNT_API void shunt_tap_starve(struct shunt_tap *tap);

/* 0 while it can be fed; -ENODEV: the interface is detached, -ENOENT: no consumer. */
SHUNT_API int shunt_tap_check(const struct shunt_tap *tap, struct shunt_err *err);

/* The rule of a counter id, as the ruling policy names it; NULL: it names none so. */
SHUNT_API const char *shunt_tap_rule(struct shunt_tap *tap, uint32_t counter,
				     uint64_t generation);

/* Samples and copies that were lost since the tap was fed. */
SHUNT_API int shunt_tap_lost(const struct shunt_tap *tap, uint64_t *lost,
			     struct shunt_err *err);
