/* SPDX-License-Identifier: BSD-2-Clause */
/* What Shunt has put into a NIC: filters and settings, as they are remembered. */
#pragma once

/*
 * Pinned as `steer` beside the state record, and as `steer_next` while a command changes
 * it (loader/steer.h). An interface without any has no such pin.
 */
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/bpffs.h"
#include "loader/ntuple.h"
#include "loader/queue_cpus.h"
#include "user/base/err.h"

#define SHUNT_STEER_NEW "steer_new" /* one that is being written */

struct shunt_steer_filter {
	char rule[SHUNT_NAME_MAX];     /* of the policy that wants it */
	char consumer[SHUNT_NAME_MAX]; /* whose queue it is */
	struct shunt_ntuple is;
};

/* X(ENUM, value, name): explicit, append-only. */
#define SHUNT_STEER_SETTINGS(X)                                                        \
	X(COUNT, 0, "count") /* receive queues, in decimal */                          \
	X(RPS, 1, "rps")     /* of a receive queue, in the kernel's text */            \
	X(XPS, 2, "xps")     /* of a transmit queue */

enum shunt_steer_what {
#define X(id, value, name) SHUNT_STEER_##id = value,
	SHUNT_STEER_SETTINGS(X)
#undef X
};

struct shunt_steer_setting {
	uint8_t what;	/* enum shunt_steer_what */
	uint32_t queue; /* of RPS, XPS */
	char was[SHUNT_CPUS_TEXT], is[SHUNT_CPUS_TEXT];
};

struct shunt_steer {
	uint64_t generation; /* whose policy wants it */
	uint32_t ifindex;
	struct shunt_steer_filter *filter;
	size_t filters;
	struct shunt_steer_setting *setting;
	size_t settings;
};

void shunt_steer_free(struct shunt_steer *steer);
void shunt_steer_cleanup(struct shunt_steer *steer);
#define _steer_ __attribute__((cleanup(shunt_steer_cleanup)))

/* Room for one more, which is zeroed; NULL: no memory. */
struct shunt_steer_filter *shunt_steer_add_filter(struct shunt_steer *steer);
struct shunt_steer_setting *shunt_steer_add_setting(struct shunt_steer *steer);

/* Is there a filter of these packets, to whatever queue? */
bool shunt_steer_has_flow(const struct shunt_steer *steer,
			  const struct shunt_ntuple *is);

const char *shunt_steer_what_name(enum shunt_steer_what what);

/* Pins of the tree's root that are this noun's. */
bool shunt_steer_is_pin(const char *leaf);

/* The pin of the record, or of the next one. */
void shunt_steer_path(char path[SHUNT_PIN_MAX], const char *instance, bool next);

/*
 * Reads it into *steer, which is empty where there is none: that is not an error, and
 * *there (which may be NULL) tells it. A record of another version is refused: -EPROTO.
 */
SHUNT_MUST_CHECK int shunt_steer_read(struct shunt_steer *steer, const char *instance,
				      bool next, bool *there, struct shunt_err *err);

SHUNT_MUST_CHECK int shunt_steer_write(const struct shunt_steer *steer,
				       const char *instance, bool next,
				       struct shunt_err *err);
