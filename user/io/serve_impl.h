/* SPDX-License-Identifier: BSD-2-Clause */
/* What `shunt serve` and its clients tell each other. */
#pragma once

#include "maps/seat.h"
#include "user/io/handover_impl.h"
#include "user/io/serve.h"

/* The client's question. What is 0 is as the server takes it. */
struct shunt_serve_question {
	struct shunt_handover_hello hello;
	uint64_t queues;
	uint32_t ring, tx_ring, frames, frame_bytes;
	uint32_t tx, multi; /* as in struct shunt_af_xdp_values */
};

/* The answer; the descriptors come with one whose code is 0. */
struct shunt_serve_answer {
	struct shunt_handover_hello hello;
	int32_t code; /* -errno */
	char words[500];
};

/* Afterwards, of one byte each: the client asks, and the server says that it is done. */
#define SHUNT_SERVE_STARVE 's'

/* The page: a struct shunt_seat a lane, whose pid the client clears when it has left. */
