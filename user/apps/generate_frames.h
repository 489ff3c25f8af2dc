/* SPDX-License-Identifier: BSD-2-Clause */
/* What generate sends: frames made of one by variation, or those of a capture. */
#pragma once

#include "user/apps/run_config.h"

#define SHUNT_GENERATE_FLOWS_MAX 65536u
#define SHUNT_GENERATE_SIZE_MIN                                                        \
	60u /* the shortest frame of Ethernet, without the FCS */

struct shunt_generate_opts {
	size_t sz;
	uint32_t size; /* bytes of a frame, without the FCS; 0: as short as it can be */
	uint32_t flows; /* 0: 1 */
	bool number;	/* room and a mark for numbers (user/net/number.h) */
};

/*
 * `flows` frames of `size` bytes like the one in frame[bytes]: with the payload as long as
 * it takes, and checksums put right. They differ in the source port, which counts up; of
 * what has no ports in the source address, and of what has none in the source MAC
 * address. -EINVAL or -EMSGSIZE: it cannot be done, and why.
 */
SHUNT_MUST_CHECK int shunt_generate_template(struct shunt_run_frames *frames,
					     const uint8_t *frame, uint32_t bytes,
					     const struct shunt_generate_opts *opts,
					     struct shunt_err *err);

/* All packets of a capture file, through the port `pcap:PATH`. */
SHUNT_MUST_CHECK int shunt_generate_capture(struct shunt_run_frames *frames,
					    const char *path, struct shunt_err *err);

/* Fine on zeroed ones. */
void shunt_run_frames_free(struct shunt_run_frames *frames);
