/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds of every parsed packet, whatever the bytes were. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "maps/pkt.h"

/*
 * `code` is what shunt_parse() returned. Returns NULL, or the sentence that does not
 * hold.
 */
const char *shunt_pkt_unsound(const struct shunt_pkt *pkt, int code);

/*
 * Parses `view` bytes of a frame that has `len`, from a copy of exactly these bytes, so
 * that a sanitizer sees each read outside them. Returns what shunt_parse() did, and in
 * *unsound what shunt_pkt_unsound() says of it.
 */
int shunt_parse_exact(const uint8_t *bytes, size_t view, size_t len,
		      struct shunt_pkt *pkt, const char **unsound);
