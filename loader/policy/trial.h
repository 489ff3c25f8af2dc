/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule tried on a parsed packet, key by key: does it match, and if not, why not? */
#pragma once

/*
 * This is what a policy means, said plainly: each rule is a list of asks, one a key, and
 * matches where all of them are met. It shares nothing with the compiler and the
 * classifier, so that `explain`, `diff` and the proof before a swap can hold what the
 * loaded program says against it.
 *
 *     struct shunt_policy ─▶ shunt_trials_make()     once: the asks of all rules
 *                            shunt_subject_begin()   a packet, and who is in which set
 *                            shunt_try_rule(), shunt_decide()
 *
 * Asks stand in the order of one layer after the other, the packet's own first: iface,
 * src, dst, "not" of both, then the fields in the order of maps/field.h. The first one
 * that is not met is therefore well defined.
 *
 * A policy's trials are not changed once they are made, and may be used by several
 * threads, each with its own subject. They borrow the policy.
 */
#include "loader/policy/policy.h"
#include "maps/trace.h"

/* What an ask is about, behind the fields of enum shunt_field. */
enum shunt_ask_key {
	SHUNT_ASK_SRC = SHUNT_FIELD_COUNT,
	SHUNT_ASK_DST,
	SHUNT_ASK_NOT_SRC,
	SHUNT_ASK_NOT_DST,
	SHUNT_ASK_IFACE, /* of the rule, not of a layer */
	SHUNT_ASK_KEYS,
};

/* One key of one rule. */
struct shunt_ask {
	uint8_t layer; /* enum shunt_layer_id */
	uint8_t key;   /* enum shunt_field or enum shunt_ask_key */
	uint8_t only;  /* family of the only prefix, which value and mask hold; 0 */
	uint8_t met;   /* of IFACE: what the answer is */
	uint32_t spans;
	union {
		const struct shunt_span *span;	    /* of fields: `spans` of them */
		const struct shunt_addr_list *list; /* of addresses */
	};
	uint64_t value[2], mask[2]; /* host order; IPv4 in the first */
};

struct shunt_trials {
	const struct shunt_policy *policy;
	char iface[SHUNT_NAME_MAX]; /* that the packets pass; "": none */
	struct shunt_ask *ask;
	uint32_t *first; /* a rule's asks: first[r] .. first[r + 1] - 1 */
};

SHUNT_MUST_CHECK int shunt_trials_make(struct shunt_trials *trials,
				       const struct shunt_policy *policy,
				       const char *iface, struct shunt_err *err);
/* Fine on zeroed ones. */
void shunt_trials_free(struct shunt_trials *trials);

/* --- members of sets --------------------------------------------------------- */

/*
 * Who is in a set, which is named by its place in struct shunt_policy's set[]. `asked`
 * is one address, in a set of services with protocol and port.
 */
struct shunt_roll {
	void *self;
	/* 1, 0, or -errno. */
	int (*has)(void *self, uint32_t set, const struct shunt_prefix *asked);
	/* The i-th member of a family, in no order; false: there are no more. */
	bool (*member)(void *self, uint32_t set, int family, size_t i,
		       struct shunt_prefix *member);
};

/* As the policy itself has it: its "elements", which are sorted. */
struct shunt_roll shunt_roll_of_policy(const struct shunt_policy *policy);

/* --- a packet ---------------------------------------------------------------- */

/* One packet under trial; what sets answered about it is remembered. */
struct shunt_subject {
	const struct shunt_trials *trials;
	const struct shunt_roll *roll;
	const struct shunt_pkt *pkt;
	uint32_t asked[SHUNT_LAYERS * SHUNT_SIDES]; /* bit s: set s has been asked */
	uint32_t has[SHUNT_LAYERS * SHUNT_SIDES];
};

void shunt_subject_begin(struct shunt_subject *subject,
			 const struct shunt_trials *trials,
			 const struct shunt_roll *roll, const struct shunt_pkt *pkt);

/* 1: the ask is met; 0: it is not; -errno: a set did not answer. */
SHUNT_MUST_CHECK int shunt_try_ask(struct shunt_subject *subject,
				   const struct shunt_ask *ask);

struct shunt_trial {
	uint32_t asks, met; /* met is exact where not more than `misses` were missed */
	const struct shunt_ask *missed; /* the first; NULL: the rule matches */
};

/* Tries one rule, and stops behind so many asks that are not met. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_try_rule(struct shunt_subject *subject, size_t rule,
				    uint32_t misses, struct shunt_trial *trial);

/* What the policy decides about a packet that is not malformed. */
struct shunt_decision {
	size_t rule;	  /* the deciding rule's place; policy->rules: the default */
	uint8_t action;	  /* enum shunt_verdict */
	uint32_t counted; /* `count` rules that matched before it, and the first ones */
	uint16_t counted_rule[SHUNT_TRACE_COUNTED];
};

#define SHUNT_NEARLY_MAX 8 /* rules that are named; how many there are is counted */

/*
 * Rules in front of the deciding one, or all where the default decides, of whose keys all
 * are met but one, and there are others: rules of one key miss wholly. Those that met
 * most come first, then those that stand first.
 */
struct shunt_nearly {
	struct {
		size_t rule;
		struct shunt_trial trial;
	} at[SHUNT_NEARLY_MAX];
	size_t n, total;
};

/* `nearly` may be NULL, which is faster. */
SHUNT_MUST_CHECK int shunt_decide(struct shunt_subject *subject,
				  struct shunt_decision *decision,
				  struct shunt_nearly *nearly);
