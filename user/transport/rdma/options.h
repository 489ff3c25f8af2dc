/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be said of an RDMA transport: the same words for the core's help and the
 * plug-in. */
#pragma once

#include <stddef.h>

#include "user/io/spec.h"

enum shunt_rdma_mode {
	SHUNT_RDMA_RC,	  /* SEND into the peer's shared receive queue */
	SHUNT_RDMA_WRITE, /* WRITE into frames that the peer has granted */
	SHUNT_RDMA_UD,	  /* datagrams */
};

struct shunt_rdma_options {
	unsigned int mode;
	uint64_t credits; /* 0: by the buffers and the peers that there are */
	uint64_t inline_max;
};

static const char *const shunt_rdma_modes[] = { "rc", "write", "ud", NULL };

#define RDMA_AT(field) .offset = offsetof(struct shunt_rdma_options, field)

static const struct shunt_spec_row shunt_rdma_rows[] = {
	{ "mode", SHUNT_SPEC_CHOICE, .choices = shunt_rdma_modes, RDMA_AT(mode),
	  .value = "MODE",
	  .help = "rc (the default): a reliable connection, sent and received; write: "
		  "one-sided writes into the peer's frames; ud: datagrams" },
	{ "credits", SHUNT_SPEC_NUMBER, 4, 4096, RDMA_AT(credits), .value = "N",
	  .help = "rc, write: messages that a peer may send before it hears of room "
		  "(default: a part of the buffers, less with many peers)" },
	{ "inline", SHUNT_SPEC_NUMBER, 0, 1024, RDMA_AT(inline_max), .value = "BYTES",
	  .help = "up to so many are copied to the device as they are sent (default: "
		  "what it takes of 192)" },
	{ 0 },
};

#define SHUNT_RDMA_INLINE 192u

static const struct shunt_rdma_options shunt_rdma_defaults = {
	.inline_max = SHUNT_RDMA_INLINE
};

#define SHUNT_RDMA_ROW                                                                 \
	.scheme = "rdma",                                                              \
	.help = "RDMA (InfiniBand, RoCE, iWARP): reliable, one-sided or datagrams",    \
	.options = shunt_rdma_rows,                                                    \
	.options_bytes = sizeof(struct shunt_rdma_options),                            \
	.defaults = &shunt_rdma_defaults
