/* SPDX-License-Identifier: BSD-2-Clause */
/* A server of keys and values in the kernel (bpf/kv.bpf.c), and what it is told. */
#pragma once

/*
 *     open (loaded, its door set) ─▶ set, set, … ─▶ attach ─▶ set, del, counts … ─▶ close
 *
 * It sits on the interface from attach to close, or to the death of the process, and is
 * pinned nowhere. Keys may be changed while it answers: an answer is the old one or the new
 * one. One thread at a time uses it.
 */
#include <stddef.h>
#include <stdint.h>

#include "maps/door.h"
#include "maps/inbox.h"
#include "maps/kv.h"
#include "user/base/err.h"

struct shunt_kv;

struct shunt_kv_opts {
	size_t sz;
	const char *interface;
	const char *mode;	/* NULL or "auto"; "native", "generic": insisted on */
	struct shunt_door door; /* port and addresses; the MAC address is found */
	uint32_t modes;		/* SHUNT_KV_…, but for SHUNT_KV_WITH_REDIRECT */
	uint32_t keys;		/* at most; 0: 65536 */
	uint32_t inbox_bytes;	/* with SHUNT_KV_WITH_INBOX; a power of two, in pages */
};

/* `note` says what the user should know: a veth whose peer takes no answers; or is empty. */
SHUNT_MUST_CHECK int shunt_kv_open(struct shunt_kv **kv,
				   const struct shunt_kv_opts *opts,
				   struct shunt_err *note, struct shunt_err *err);

/* Another owner's program stays: -EBUSY, with whose it is. */
SHUNT_MUST_CHECK int shunt_kv_attach(struct shunt_kv *kv, struct shunt_err *note,
				     struct shunt_err *err);

/* NULL is fine. */
void shunt_kv_close(struct shunt_kv *kv);

/*
 * A key of 1 to SHUNT_KV_KEY_MAX bytes without spaces and control characters, and 0 to
 * SHUNT_KV_VALUE_MAX bytes of any kind. Its version is greater than all before it, of any
 * key. -EINVAL; -E2BIG: there are as many keys as there may be.
 */
SHUNT_MUST_CHECK int shunt_kv_set(struct shunt_kv *kv, const char *key,
				  const void *value, size_t bytes,
				  struct shunt_err *err);

/* -ENOENT: there is no such key. */
SHUNT_MUST_CHECK int shunt_kv_del(struct shunt_kv *kv, const char *key,
				  struct shunt_err *err);

uint32_t shunt_kv_keys(const struct shunt_kv *kv);

/* Packets by enum shunt_kv_result. */
SHUNT_MUST_CHECK int shunt_kv_counts(const struct shunt_kv *kv,
				     uint64_t count[SHUNT_KV_RESULT_MAX],
				     struct shunt_err *err);

/* "native" or "generic"; "" before attach. */
const char *shunt_kv_mode(const struct shunt_kv *kv);

/* Its program, for test runs; its inbox: ring buffer, losses (maps/inbox.h). They stay its
 * own. */
int shunt_kv_program(const struct shunt_kv *kv);
int shunt_kv_inbox(const struct shunt_kv *kv);
int shunt_kv_losses(const struct shunt_kv *kv);
struct shunt_inbox_state *shunt_kv_inbox_state(const struct shunt_kv *kv);
