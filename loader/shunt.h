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

/*
 * Commands that change an interface wait for one another. How the calling thread does:
 * by default for as long as it takes.
 */
struct shunt_wait_opts {
	size_t sz;	     /* sizeof(struct shunt_wait_opts) */
	uint64_t timeout_ns; /* then -EBUSY; 0: does not wait; UINT64_MAX: for ever */
	/* Called again and again meanwhile, with who it is that holds things up, and how
	 * long by now; false: gives up, -EINTR. NULL: nobody is told. */
	bool (*waiting)(const char *sentence, uint64_t waited_ns, void *ctx);
	void *ctx;
};

SHUNT_API void shunt_wait(const struct shunt_wait_opts *opts);

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
	const char *const *hook; /* "xdp", "tc-ingress", "tc-egress", "netfilter";
				  * NULL: "xdp" */
	size_t hooks;
	const char *mode;    /* NULL or "auto"; "native", "generic"; "tcx", "clsact" */
	const char *netns;   /* what the namespace is called, for `list` only */
	const char *session; /* as in struct shunt_apply_opts, as are the next */
	const char *const *protect;
	size_t protects;
	const char *const
		*modes; /* one a hook instead of `mode`; NULL: `mode` for all */
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

struct shunt_apply_opts {
	size_t sz; /* sizeof(struct shunt_apply_opts) */
	uint64_t
		confirm_ns; /* 0: the policy rules for good; else it is on trial: unless
				shunt_confirm() comes within this time, the policy before
				it rules again, with no process alive */
	/* Whom the policy must not lock out (loader/guard.h): -EACCES. NULL: nobody. */
	const char *session;	    /* as SSH_CONNECTION has it */
	const char *const *protect; /* packets, as "src=…,dst=…,proto=tcp,dport=22" */
	size_t protects;
};

/*
 * Puts a new policy in force, at once for every hook; counters go on by rule name. `opts`
 * may be NULL. -EBUSY: another one is on trial.
 */
SHUNT_API int shunt_apply(const char *interface, const struct shunt_policy *policy,
			  const struct shunt_apply_opts *opts, cJSON **reply,
			  struct shunt_err *err);

/* The policy on trial rules for good. -ENOENT: none is; -ETIME: it was too late. */
SHUNT_API int shunt_confirm(const char *interface, cJSON **reply,
			    struct shunt_err *err);

struct shunt_rollback_opts {
	size_t sz;	    /* sizeof(struct shunt_rollback_opts) */
	unsigned int back;  /* how many policies, 1..8; 0: 1 */
	bool changed_files; /* files that its sets are filled from may have changed */
	/* As in struct shunt_apply_opts; from a policy on trial nobody is asked. */
	const char *session;
	const char *const *protect;
	size_t protects;
};

/*
 * Puts an earlier policy in force again, as a new generation; from a policy on trial,
 * the one before it. `opts` may be NULL. -ENOENT: no such policy is kept; -ESTALE: files;
 * -EACCES: somebody would be locked out.
 */
SHUNT_API int shunt_rollback(const char *interface,
			     const struct shunt_rollback_opts *opts, cJSON **reply,
			     struct shunt_err *err);

/* Takes one hook off, or all of them (hook NULL) and with the last every trace. */
SHUNT_API int shunt_detach(const char *interface, const char *hook, cJSON **reply,
			   struct shunt_err *err);

/* Removes what interfaces that are gone have left behind. */
SHUNT_API int shunt_detach_stale(cJSON **reply, struct shunt_err *err);

struct shunt_fsck_opts {
	size_t sz;	       /* sizeof(struct shunt_fsck_opts) */
	const char *interface; /* this one's instance alone; NULL: all there is */
	bool repair;	       /* mend what is found */
	bool adopt;	       /* and pin instances that no tree has */
	bool take_off;	       /* and take such off that nobody can adopt */
};

/*
 * Finds what killed commands and changes of the system have left behind, says how it
 * came about, and repairs it. *left is how many findings remain.
 */
SHUNT_API int shunt_fsck(const struct shunt_fsck_opts *opts, cJSON **reply, int *left,
			 struct shunt_err *err);

/*
 * Changes the members of a set: "add", "del", or "replace" all of them. Members come
 * as words, as a file with one a line ("-": standard input; NULL: none), or both. All
 * of them or, where it fails, none.
 */
SHUNT_API int shunt_set_edit(const char *interface, const char *set, const char *verb,
			     const char *const *element, size_t elements,
			     const char *file, cJSON **reply, struct shunt_err *err);

/* --- keeping ----------------------------------------------------------------- */

#define SHUNT_SAVE_DIR "/var/lib/shunt" /* what shunt@.service restores at boot */

struct shunt_save_opts {
	size_t sz;
	bool all_netns; /* also of all namespaces that have a name in /run/netns */
	const char
		*netns; /* what the calling thread's namespace is called; NULL: look */
	const char *file; /* write all into one file; NULL: don't */
	const char *dir; /* write one file an instance, and remove those of gone ones */
};

/*
 * *document ("shunt.save/1") holds all instances; *reply ("shunt.save.files/1") says what
 * was written, and what is wrong. An instance that cannot be read fails the whole, but
 * with `dir`: there the others are written, *reply names it, and -EIO is returned.
 */
SHUNT_API int shunt_save(const struct shunt_save_opts *opts, cJSON **document,
			 cJSON **reply, struct shunt_err *err);

struct shunt_restore_opts {
	size_t sz;
	const char *file; /* "-": standard input */
	const char *dir; /* instead: all documents of a folder, in their names' order */
	const char
		*only; /* this interface of the calling thread's namespace; NULL: all */
	bool check;    /* change nothing, say what would be done */
	const char *netns; /* as in struct shunt_attach_opts, as are the next */
	const char *session;
	const char *const *protect;
	size_t protects;
};

/*
 * Attaches what is not attached, applies where another policy or other members rule, and
 * leaves alone what is the same; each instance as a whole or not at all. *reply
 * ("shunt.restore/1") tells it by instance, also where the return value is -EIO, for not
 * every one could be restored.
 */
SHUNT_API int shunt_restore(const struct shunt_restore_opts *opts, cJSON **reply,
			    struct shunt_err *err);

/* --- looking ----------------------------------------------------------------- */

/* What the kernel can do, and an interface (NULL: none); it is not changed. */
SHUNT_API int shunt_probe(const char *interface, cJSON **reply, struct shunt_err *err);
SHUNT_API int shunt_list(cJSON **reply, struct shunt_err *err);
SHUNT_API int shunt_show(const char *interface, cJSON **reply, struct shunt_err *err);

/* The policies that have ruled before; `rollback` goes back to them. */
SHUNT_API int shunt_history(const char *interface, cJSON **reply,
			    struct shunt_err *err);
SHUNT_API int shunt_stats(const char *interface, cJSON **reply, struct shunt_err *err);
/* Where every packet went, from hook to consumer, and whether that adds up. */
SHUNT_API int shunt_balance(const char *interface, cJSON **reply,
			    struct shunt_err *err);
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

/* Of a program of its own, that is attached nowhere, under this policy, which must
 * outlive it. */
SHUNT_API int shunt_explain_open_policy(struct shunt_explain **explain,
					const struct shunt_policy *policy,
					const char *hook, struct shunt_err *err);

/* One frame, from its Ethernet header on. `number` is the reply's "packet". */
SHUNT_API int shunt_explain_frame(struct shunt_explain *explain, uint64_t number,
				  const void *frame, size_t bytes, cJSON **reply,
				  struct shunt_err *err);
SHUNT_API void shunt_explain_close(struct shunt_explain *explain);

/* --- comparing --------------------------------------------------------------- */

/* The policy that rules an interface, with the members that its sets have now. */
SHUNT_API int shunt_policy_ruling(const char *interface, struct shunt_policy **policy,
				  struct shunt_err *err);

/* What two policies do otherwise, asked of a program under each by test runs. */
struct shunt_diff;

/*
 * `iface` is the interface that rules with "iface" are tried for; NULL: none. Dynamic
 * sets of `new` get the members that `apply` would keep. Both policies must outlive it.
 */
SHUNT_API int shunt_diff_open(struct shunt_diff **diff, const struct shunt_policy *old,
			      struct shunt_policy *new, const char *hook,
			      const char *iface, struct shunt_err *err);

/* One frame, or probe packets that are made for the rules of both policies. */
SHUNT_API int shunt_diff_frame(struct shunt_diff *diff, const void *frame, size_t bytes,
			       struct shunt_err *err);
SHUNT_API int shunt_diff_probes(struct shunt_diff *diff, struct shunt_err *err);

/* What has come of it ("shunt.diff/1"). */
SHUNT_API int shunt_diff_reply(const struct shunt_diff *diff, cJSON **reply,
			       struct shunt_err *err);
SHUNT_API void shunt_diff_close(struct shunt_diff *diff);

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

/* Samples and copies that were lost while the tap was fed. */
SHUNT_API int shunt_tap_lost(const struct shunt_tap *tap, uint64_t *lost,
			     struct shunt_err *err);

/*
 * Where a consumer tells what it has taken, for the ledger, and so that it can be read
 * after its death: seats (maps/seat.h), one a socket or ring that it serves. `room` is how
 * many packets can wait there. The seat is mapped memory and stays good until
 * shunt_seats_close(); its sums go on from what is found in it. -EBUSY: another process
 * serves it.
 */
struct shunt_seats;
struct shunt_seat;

SHUNT_API int shunt_seats_open(struct shunt_seats **seats, const char *interface,
			       uint32_t slot, struct shunt_err *err);
SHUNT_API int shunt_seat_take(struct shunt_seats *seats, uint32_t place, uint32_t room,
			      struct shunt_seat **seat, struct shunt_err *err);

/* All that it was handed is accounted for, and no more can come. */
SHUNT_API void shunt_seat_leave(struct shunt_seat *seat);

/* NULL is fine. A seat that was not left is that of a consumer that died. */
SHUNT_API void shunt_seats_close(struct shunt_seats *seats);
