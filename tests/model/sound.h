/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds of every parsed packet, whatever the bytes were. */
#pragma once

#include "maps/pkt.h"

/*
 * `code` is what shunt_parse() returned. Returns NULL, or the sentence that does not
 * hold.
 */
const char *shunt_pkt_unsound(const struct shunt_pkt *pkt, int code);
