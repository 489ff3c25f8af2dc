/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of an AF_XDP port: for user/io/af_xdp*.c and what hands its sockets over. */
#pragma once

#include <net/if.h>

#include "maps/consumer.h"
#include "user/io/af_xdp.h"
#include "user/io/handover.h"
#include "user/io/heart.h"
#include "user/io/serve.h"
#include "user/io/teller.h"
#include "user/io/xsk.h"

#define SHUNT_AF_XDP_NAME 64
#define SHUNT_AF_XDP_PATH 256

/* What a user can insist on; the words are in the rows of the options. */
enum shunt_af_xdp_mode {
	SHUNT_AF_XDP_AUTO,
	SHUNT_AF_XDP_ZERO_COPY,
	SHUNT_AF_XDP_COPY,
	SHUNT_AF_XDP_NATIVE,
	SHUNT_AF_XDP_GENERIC,
};

enum shunt_af_xdp_switch { SHUNT_AF_XDP_UNSAID, SHUNT_AF_XDP_ON, SHUNT_AF_XDP_OFF };

struct shunt_af_xdp_values {
	uint64_t queues; /* 0: not said */
	uint64_t ring, tx_ring;
	uint64_t frames, frame_bytes; /* of its own pool; 0: as it takes */
	uint64_t busy_poll_us, busy_poll_budget;
	uint64_t tx_budget;
	unsigned int mode;  /* enum shunt_af_xdp_mode */
	unsigned int rx;    /* enum shunt_af_xdp_switch */
	unsigned int multi; /* enum shunt_xsk_multi */
	unsigned int tx, need_wakeup, huge, take_over;
	char consumer[SHUNT_AF_XDP_NAME];
	char xskmap[SHUNT_AF_XDP_PATH];
	char serve[SHUNT_AF_XDP_PATH];
};

extern const struct shunt_spec_row shunt_af_xdp_options[];

/* A queue. The first one's socket transmits; all of them receive. */
struct shunt_af_xdp_lane {
	struct shunt_xsk *xsk;
	struct shunt_teller teller;
	uint64_t discarded;
	uint64_t told; /* of what the socket has received, to the teller */
	struct shunt_xsk_stats lost; /* as it stood when it was handed over */
};

struct shunt_af_xdp {
	struct shunt_port port;
	char interface[IF_NAMESIZE];
	char consumer[SHUNT_AF_XDP_NAME]; /* "": none */
	bool receives;
	bool fed;
	bool gone; /* another process has its sockets */
	struct shunt_memory *memory;
	struct shunt_memory *own;  /* the same, if it is to be closed; else NULL */
	struct shunt_seats *seats; /* of its consumer=, else NULL */
	struct shunt_heart heart;  /* for those */
	struct shunt_handover_host host;
	struct shunt_served served; /* by `shunt serve` */
	uint64_t looked_ns;	    /* when it looked after its interface */
	uint64_t tended_ns;	    /* and showed that it lives; the kernel's tick */
	unsigned int lanes;
	unsigned int next; /* the lane that rx begins with */
	struct shunt_af_xdp_lane lane[SHUNT_QUEUE_MAX];
};

SHUNT_MUST_CHECK int shunt_af_xdp_open(struct shunt_port **port,
				       const struct shunt_spec *spec,
				       const struct shunt_port_opts *opts,
				       struct shunt_err *err);
void shunt_af_xdp_close(struct shunt_port *port);
int shunt_af_xdp_describe(struct shunt_port *port, cJSON *json);

/* Tells the seats what has been received and lost by now. */
void shunt_af_xdp_tell(struct shunt_af_xdp *af);
