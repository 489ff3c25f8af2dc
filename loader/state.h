/* SPDX-License-Identifier: BSD-2-Clause */
/* The state record: what an instance must remember when no process is alive. */
#pragma once

/*
 * The record is JSON in a map of one entry, pinned as `state` beside the other maps and
 * replaced as a whole by an atomic rename of its pin. A policy swap is committed by the
 * generation word, not by the record, hence four steps:
 *
 *     pin state once more, as history/<g>  ─▶  pin state_next (generation g + 1)
 *         ─▶  store the word g + 1  ─▶  rename state_next over state
 *
 * A reader takes the record whose generation rules; a writer first ends what a killed
 * one has begun: shunt_state_recover(). Earlier records stay for as long as
 * loader/history.h says.
 */
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/hook.h"
#include "loader/policy/hash.h"
#include "loader/policy/policy.h"
#include "user/base/err.h"

struct shunt_state_rule {
	char name[SHUNT_NAME_MAX];
	uint32_t counter; /* counter id (maps/counter.h) */
	uint32_t arg;	  /* as in struct shunt_image_rule */
	uint8_t action;
	char target[SHUNT_NAME_MAX];	 /* interface or consumer name, else empty */
	uint32_t limiter;		 /* limiter id (maps/limit.h) */
	struct shunt_policy_limit limit; /* rate 0: none */
	struct shunt_policy_mirror mirror;
	bool copies;	/* into the ring: sampled, or mirrored there */
	bool readdress; /* rewrites addresses or ports */
	bool rewrites;	/* any header */
};

struct shunt_state_set {
	char name[SHUNT_NAME_MAX];
	uint32_t id;
	enum shunt_set_type type;
	uint32_t size;
	bool dynamic;
};

struct shunt_state_consumer {
	char name[SHUNT_NAME_MAX];
	uint32_t slot;
	uint64_t queues; /* as in struct shunt_policy_consumer */
	uint8_t if_down;
	uint8_t kind;	     /* enum shunt_consumer_kind */
	uint32_t ring_bytes; /* of RING */
	uint64_t heartbeat_ns;
};

/* How a policy came into force: X(ENUM, value, name). Explicit, append-only. */
#define SHUNT_ORIGINS(X)                                                               \
	X(ATTACH, 0, "attach")                                                         \
	X(APPLY, 1, "apply")                                                           \
	X(ROLLBACK, 2, "rollback")                                                     \
	X(REVERT, 3, "revert") /* nobody has confirmed the one after it in time */

enum shunt_origin {
#define X(id, value, name) SHUNT_ORIGIN_##id = value,
	SHUNT_ORIGINS(X)
#undef X
};

struct shunt_state {
	char interface[IF_NAMESIZE];
	uint32_t ifindex;
	char netns[SHUNT_NAME_MAX]; /* as the user named it; empty: the caller's own */
	uint64_t generation;
	uint64_t attached_at, applied_at; /* seconds since 1970 */
	char *text;			  /* the policy as read */
	char *source;			  /* where from */
	char hash[SHUNT_POLICY_HASH];
	uint8_t origin; /* enum shunt_origin */
	uint64_t
		again; /* of ROLLBACK, REVERT: the generation that it repeats; else 0 */
	uint8_t default_action;
	uint8_t malformed;
	struct shunt_place place[SHUNT_HOOK_MAX];
	struct shunt_state_rule *rule; /* in the policy's order */
	size_t rules;
	uint32_t *by_name; /* hash of the rules' names: place + 1, 0 empty */
	size_t buckets;	   /* a power of two; 0: no index yet */
	struct shunt_state_set set[SHUNT_SET_MAX];
	size_t sets;
	struct shunt_state_consumer consumer[SHUNT_CONSUMER_MAX];
	size_t consumers;
	uint32_t ring_bytes; /* of the ring buffer for samples and mirrored frames */
};

/* NULL is fine. */
void shunt_state_free(struct shunt_state *state);
void shunt_state_cleanup(struct shunt_state **state);
#define _state_ __attribute__((cleanup(shunt_state_cleanup)))

/*
 * Reads the record of a generation, which rules or has ruled. An ABI that this program
 * does not know is refused (-EPROTO). -EAGAIN: there is none; where the generation was
 * just read, another command is changing it.
 */
SHUNT_MUST_CHECK int shunt_state_read(struct shunt_state **state, const char *instance,
				      uint64_t generation, struct shunt_err *err);

/* Reads the record that a map holds; `path` is what it is called in messages. */
SHUNT_MUST_CHECK int shunt_state_read_map(struct shunt_state **state, int fd,
					  const char *path, struct shunt_err *err);

/* Has the instance a record, whatever is in it? */
bool shunt_state_exists(const char *instance);

/* Writes the record as state_next; nothing changes for readers. */
SHUNT_MUST_CHECK int shunt_state_stage(const struct shunt_state *state,
				       const char *instance, struct shunt_err *err);

/* state_next becomes state. */
SHUNT_MUST_CHECK int shunt_state_commit(const char *instance, struct shunt_err *err);

/*
 * Ends what a killed writer has begun; `newest` is the generation of the word, be its
 * probation over or not. Under the lock.
 */
SHUNT_MUST_CHECK int shunt_state_recover(const char *instance, uint64_t newest,
					 struct shunt_err *err);

/* Makes rules be found by name quickly, once all are there. */
SHUNT_MUST_CHECK int shunt_state_index(struct shunt_state *state,
				       struct shunt_err *err);

/* By name; NULL: there is none. */
const struct shunt_state_rule *shunt_state_rule(const struct shunt_state *state,
						const char *name);
const struct shunt_state_set *shunt_state_set(const struct shunt_state *state,
					      const char *name);
const struct shunt_state_consumer *shunt_state_consumer(const struct shunt_state *state,
							const char *name);

/* "drop", "redirect-interface", …, "count"; NULL for a number that is none. */
const char *shunt_action_name(unsigned int action);

/* "attach", "apply", …; NULL for a number that is none. */
const char *shunt_origin_name(unsigned int origin);

/* "rule", "limited", "ip4-short", …; "unknown" for a number that is none. */
const char *shunt_reason_name(uint32_t reason);
