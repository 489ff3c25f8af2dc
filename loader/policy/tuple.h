/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame that is described by the keys of a match, as a rule would name it. */
#pragma once

#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

#define SHUNT_TUPLE_BYTES 9216

/*
 * `match` is what stands under "match" in a rule, without sets. Of a range or a prefix
 * the first value is taken; what is not named is usual (loader/policy/forge.h, and
 * addresses of documentation). Returns the frame's bytes, or -EINVAL: the sentence names
 * the key, or says that no frame is like that.
 */
SHUNT_MUST_CHECK int shunt_tuple_frame(const cJSON *match,
				       uint8_t frame[SHUNT_TUPLE_BYTES],
				       struct shunt_err *err);
