/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy as it was written: names, ranges and sets, before it is compiled. */
#pragma once

/*
 * policy.json ─▶ shunt_policy_read ─▶ struct shunt_policy ─▶ loader/policy/compile.h
 *
 * The reader reports every error at once, each with the JSON pointer (RFC 6901) of its
 * place. A struct shunt_policy that the reader handed out is sound: names are
 * unique, references resolve, ranges are sorted and merged, prefixes have no host bits.
 * Interface names are not looked up here: that is the instance's business.
 *
 * The policy owns all that it points to. It is not changed after reading, and may be
 * read from several threads.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/consumer.h"
#include "maps/field.h"
#include "maps/image.h"
#include "maps/mods.h"
#include "maps/pkt.h"
#include "maps/set.h"
#include "maps/verdict.h"
#include "user/base/err.h"

#define SHUNT_POLICY_SCHEMA "shunt.policy/1"
#define SHUNT_NAME_MAX 64	      /* bytes, the final NUL included */
#define SHUNT_SET_SIZE_MAX (1u << 20) /* members of one set */

/*
 * An IPv4 or IPv6 prefix; a single address has its family's full length. A member of a
 * set of services is a single address with a protocol and a port.
 */
struct shunt_prefix {
	uint8_t addr[16]; /* network order; IPv4 in the first 4 bytes, the rest 0 */
	uint8_t family;	  /* 4 or 6 */
	uint8_t bits;	  /* 0..32 or 0..128; the bits behind it are 0 */
	uint16_t port;	  /* host order; of a member of a set of services, else 0 */
	uint8_t proto;	  /* as port */
	uint8_t pad;	  /* 0 */
};

/* Inclusive range of a field's index (maps/field.h: value + 1, 0 absent). */
struct shunt_span {
	uint64_t lo, hi;
};

/* Sorted, disjoint, not adjacent. No span: the rule does not look at the field. */
struct shunt_spans {
	struct shunt_span *at;
	size_t n;
};

/* Prefixes and sets. */
struct shunt_addr_list {
	struct shunt_prefix *prefix;
	size_t prefixes;
	uint32_t *set; /* places in struct shunt_policy's set[], each once */
	size_t sets;
};

/*
 * What one address may be: in one of `in`, where that is not empty, and in none of
 * `out`. A packet without the address is in nothing.
 */
struct shunt_addrs {
	struct shunt_addr_list in, out;
};

/* What a rule asks of one layer of the packet. */
struct shunt_policy_layer {
	struct shunt_addrs side[SHUNT_SIDES];
	struct shunt_spans field[SHUNT_FIELD_COUNT];
};

/* --- modifiers: what else is done with a packet that a rule decides about -------- */

/* Token bucket: `burst` at most, filled again with `rate` a second. */
struct shunt_policy_limit {
	uint64_t rate;	      /* packets or bytes a second; 0: no limit */
	uint64_t burst;	      /* packets or bytes */
	bool bytes;	      /* else packets */
	uint8_t by;	      /* enum shunt_limit_by: one bucket, or one a prefix */
	uint8_t bits4, bits6; /* the prefix's length by family */
	uint32_t size;	      /* prefixes remembered at most; the least recent goes */
	uint8_t over;	      /* what is done beyond it: SHUNT_VERDICT_DROP or _PASS */
};

struct shunt_policy_sample {
	uint32_t one_in; /* 0: none; N: each packet with probability 1 / N */
	uint32_t bytes;	 /* of each frame, at most; 0: all of it */
};

enum shunt_mirror_to { SHUNT_MIRROR_NONE, SHUNT_MIRROR_INTERFACE, SHUNT_MIRROR_RING };

struct shunt_policy_mirror {
	uint8_t to;		     /* enum shunt_mirror_to */
	char target[SHUNT_NAME_MAX]; /* of INTERFACE: its name */
};

struct shunt_policy_rewrite {
	uint32_t bits; /* enum shunt_rewrite_bit; 0: nothing */
	uint8_t mac[SHUNT_SIDES][6];
	uint16_t vlan; /* id of a pushed or set tag */
	uint8_t dscp, ttl;
	struct shunt_prefix addr[SHUNT_SIDES]; /* full length */
	uint16_t port[SHUNT_SIDES];	       /* host order */
};

struct shunt_policy_rule {
	char name[SHUNT_NAME_MAX];
	struct shunt_policy_layer layer[SHUNT_LAYERS];
	/* Interfaces for which the rule is meant (fnmatch patterns); none: all. */
	char (*iface)[SHUNT_NAME_MAX];
	size_t ifaces;
	bool iface_not; /* meant for all the others instead */
	struct shunt_policy_limit limit;
	struct shunt_policy_sample sample;
	struct shunt_policy_mirror mirror;
	struct shunt_policy_rewrite rewrite;
	uint8_t action;		     /* enum shunt_verdict or SHUNT_ACTION_COUNT */
	char target[SHUNT_NAME_MAX]; /* of INTERFACE: its name */
	uint32_t arg; /* of CPU: its number; of CONSUMER: place in consumer[] */
};

struct shunt_policy_set {
	char name[SHUNT_NAME_MAX];
	enum shunt_set_type type;
	struct shunt_prefix *element; /* each once; of ADDRESS: full length only */
	size_t elements;
	bool dynamic; /* neither "elements" nor "file": filled by `shunt set`, kept by apply */
	bool given;    /* the members were handed in: an apply puts them into force */
	uint32_t size; /* members it can hold, IPv4 and IPv6 each; services: together */
};

struct shunt_policy_consumer {
	char name[SHUNT_NAME_MAX];
	uint8_t kind;	       /* enum shunt_consumer_kind */
	uint32_t ring_bytes;   /* of RING: a power of two, at least 4096 */
	uint64_t queues;       /* bit q: receive queue q; all bits: "all" */
	uint8_t if_down;       /* SHUNT_VERDICT_PASS or _DROP */
	bool steer;	       /* of XSK: the NIC is to send its flows to its queues */
	uint64_t heartbeat_ns; /* it promises one within this time; 0: it need not */
};

#define SHUNT_CPU_MAX 256
#define SHUNT_CPU_WORDS (SHUNT_CPU_MAX / 64)

/* What the interface's queues are to be while the policy rules. */
struct shunt_policy_queues {
	uint32_t count; /* receive queues; 0: as they are */
	/* By queue, bit c: CPU c. All zero: as it is. */
	uint64_t rps[SHUNT_QUEUE_MAX][SHUNT_CPU_WORDS];
	uint64_t xps[SHUNT_QUEUE_MAX][SHUNT_CPU_WORDS];
};

struct shunt_policy {
	char *text;		/* as read, NUL-terminated */
	char *source;		/* file name, or "-" */
	uint8_t default_action; /* PASS or DROP */
	uint8_t malformed; /* PASS or DROP; DROP unless the policy says otherwise */
	struct shunt_policy_rule *rule;
	size_t rules; /* 0..SHUNT_RULE_MAX */
	struct shunt_policy_set *set;
	size_t sets;
	struct shunt_policy_consumer *consumer;
	size_t consumers;
	uint32_t ring_bytes; /* of the ring buffer for samples and mirrored frames */
	struct shunt_policy_queues *queues; /* NULL: all as they are */
};

/* --- what the reader found --------------------------------------------------- */

struct shunt_diag {
	bool warning;
	char *pointer; /* JSON pointer; "" is the whole document */
	char *message; /* a sentence: what, why, what to do */
};

struct shunt_diags {
	struct shunt_diag *at;
	size_t n;
	size_t errors; /* how many of them are not warnings */
};

/* Adds one; the strings are copied. Running out of memory aborts the program. */
void shunt_diag_add(struct shunt_diags *diags, bool warning, const char *pointer,
		    const char *fmt, ...) SHUNT_PRINTF(4, 5);
void shunt_diags_free(struct shunt_diags *diags);

/* --- reading ----------------------------------------------------------------- */

/*
 * Reads a policy from JSON text (comments of both C kinds allowed). `source` names it in
 * messages, and its folder is where relative set files are looked for; NULL: no name, the
 * current folder. All that is wrong is put into diags, with warnings.
 *
 * Returns 0 and the policy, or -EINVAL (see diags) or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_policy_read(struct shunt_policy **policy, const char *text,
				       size_t len, const char *source,
				       struct shunt_diags *diags);

/* As above from a file, "-" being standard input. Failures to read it are put into diags
 * at pointer "". */
SHUNT_MUST_CHECK int shunt_policy_read_file(struct shunt_policy **policy,
					    const char *path,
					    struct shunt_diags *diags);

/* NULL is fine. */
SHUNT_API void shunt_policy_free(struct shunt_policy *policy);
void shunt_policy_cleanup(struct shunt_policy **policy);
#define _policy_ __attribute__((cleanup(shunt_policy_cleanup)))

/* --- pieces that others need ------------------------------------------------- */

/*
 * "192.0.2.0/24", "2001:db8::1". Host bits that are set are an error (-EINVAL), as is
 * anything else that is not exactly one address or prefix.
 */
SHUNT_MUST_CHECK int shunt_prefix_parse(struct shunt_prefix *prefix, const char *text,
					struct shunt_err *err);

#define SHUNT_PREFIX_TEXT 64 /* bytes that are always enough */

/* Writes the canonical text; a full-length prefix has no "/". Returns buf. */
const char *shunt_prefix_format(const struct shunt_prefix *prefix,
				char buf[SHUNT_PREFIX_TEXT]);

/*
 * One address or prefix a line; '#' starts a comment; blank lines are skipped. An error
 * names path and line. Returns 0, the elements (sorted, each once) in a malloced array.
 */
SHUNT_MUST_CHECK int shunt_set_file_read(const char *path, enum shunt_set_type type,
					 struct shunt_prefix **element,
					 size_t *elements, struct shunt_err *err);

/* "address", "prefix", "address-port". */
const char *shunt_set_type_name(enum shunt_set_type type);

/* "tcp" for 6; NULL where the protocol has no name here. */
const char *shunt_proto_name(unsigned int proto);
