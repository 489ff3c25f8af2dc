/* SPDX-License-Identifier: BSD-2-Clause */
/* One entry of libxdp's dispatcher for another one, at one moment. */
#pragma once

/*
 * libxdp can put entries in and take them out, each by a new dispatcher that takes the
 * place of the old one atomically; it has no exchange. This does it in the same manner:
 * a dispatcher from the same object file, with the old one's configuration byte for byte
 * (nothing in there but positions, priorities and verdicts, which stay), the same programs
 * in the same places but for one, pinned where libxdp looks for them, and then the swap,
 * which the kernel refuses if somebody else has been faster.
 */
#include <stdint.h>

#include "user/base/err.h"

/*
 * -EAGAIN: the interface has another dispatcher by now. -ENOENT: it has no such entry.
 * -EPROTO: its dispatcher is of another version of libxdp than the one that is installed.
 * Nothing has changed then.
 */
SHUNT_MUST_CHECK int shunt_exchange(unsigned int ifindex, uint32_t from_id, int to_fd);
