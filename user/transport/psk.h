/* SPDX-License-Identifier: BSD-2-Clause */
/* The key that all ends of connections know: 32 bytes of a file. */
#pragma once

#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_PSK_BYTES 32u
#define SHUNT_PSK_MARK 16u /* bytes of a mark: BLAKE2b, cut */

/* Kept out of swap and core files where the machine lets us; wiped by shunt_psk_close(). */
struct shunt_psk {
	uint8_t key[SHUNT_PSK_BYTES];
	uint8_t marks[SHUNT_PSK_BYTES]; /* follows from key: what marks are made with */
};

/*
 * The file has exactly 32 bytes, made by `head -c 32 /dev/urandom`. -EACCES: somebody
 * else owns it, or others may read or write it (it has to be 0600 or 0400); -EINVAL: it is
 * no regular file, or of another size, or nothing but zeros.
 */
SHUNT_MUST_CHECK int shunt_psk_read(struct shunt_psk **psk, const char *path,
				    struct shunt_err *err);

/* The same of bytes that the caller has; they stay his. */
SHUNT_MUST_CHECK int shunt_psk_open(struct shunt_psk **psk,
				    const uint8_t key[SHUNT_PSK_BYTES],
				    struct shunt_err *err);

/* NULL is fine. */
void shunt_psk_close(struct shunt_psk *psk);

/* A mark that nobody makes who doesn't know the key, over two runs of bytes. */
void shunt_psk_mark(const struct shunt_psk *psk, const void *a, size_t a_bytes,
		    const void *b, size_t b_bytes, uint8_t mark[SHUNT_PSK_MARK]);
