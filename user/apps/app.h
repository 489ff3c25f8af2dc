/* SPDX-License-Identifier: BSD-2-Clause */
/* An application: a short program over ports, run by one worker. */
#pragma once

/*
 *     struct shunt_run_app ─▶ open ─▶ run, run, run … ─▶ flush ─▶ close
 *                                      (its worker)
 *
 * An app owns its ports while it runs; nothing else touches them, or its counters. The run
 * (user/apps/run.h) asks for a copy of both by a message, and gets it from the worker.
 *
 * Nothing is dropped because a port is full: what it doesn't take waits in a lane
 * (user/apps/lane.h), and the app reads no more until it is gone. So every packet that was
 * read was sent, or consumed, or is counted by the name of its loss:
 *
 *     received = sent + consumed + the losses          (forward, drop)
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/apps/run_config.h"
#include "user/base/err.h"
#include "user/io/port.h"

/* What an app counts, by name. */
#define SHUNT_APP_COUNTERS(X)                                                          \
	X(received, "packets read from its ports")                                     \
	X(received_bytes, "their bytes, without the FCS")                              \
	X(sent, "packets that its ports took for transmission")                        \
	X(sent_bytes, "their bytes")                                                   \
	X(consumed, "packets given back, as drop is there for")                        \
	X(numbered, "packets received with a number")                                  \
	X(missing, "numbers that were left out and have not come")                     \
	X(late, "packets whose number came after a higher one")

/* Why a packet that was read was not sent. */
#define SHUNT_APP_LOSSES(X)                                                            \
	X(refused, "longer than what the other port sends")                            \
	X(not_ip, "neither IPv4 nor IPv6: the table has no row for it")                \
	X(malformed, "of IP, with a header that is not sound")                         \
	X(group, "to a link-layer group address, which has no next hop")               \
	X(no_route, "no prefix of the table holds its destination")                    \
	X(ttl_expired, "came with a TTL or hop limit of 1 or 0")                       \
	X(undelivered, "read, and still waiting for a full port at the end")           \
	X(no_room, "thrown away by a port that was told to: no room at its far side")  \
	X(no_peer, "thrown away by a port that was told to: nobody was there")

#define SHUNT_APP_FIGURE(name, help) uint64_t name;
struct shunt_app_counts {
	SHUNT_APP_COUNTERS(SHUNT_APP_FIGURE)
	SHUNT_APP_LOSSES(SHUNT_APP_FIGURE)
	uint64_t answers[SHUNT_ANSWER_KINDS]; /* echo: what became of each packet */
};

/* Packets that all apps of a run may read together; max 0: as many as come. */
struct shunt_app_limit {
	uint64_t max;
	_Atomic uint64_t claimed; /* relaxed: a count, and nothing is published by it */
	_Atomic uint64_t read;
};

/* The part that all apps have; an app's own has it as its first member. */
struct shunt_app {
	const struct shunt_app_ops *ops;
	const struct shunt_run_app *config;
	struct shunt_port *port[SHUNT_RUN_APP_PORTS];
	unsigned int ports;
	uint32_t reads; /* bit i: it receives from port[i] */
	struct shunt_app_limit *limit;
	struct shunt_app_counts count;
	uint64_t check_ns; /* when the ports are asked next whether they are of use */
};

/* No slot is NULL. Only open and close are called by another thread than the worker. */
struct shunt_app_ops {
	/* Fills in what the app has of its own; *app is allocated by it. */
	int (*open)(struct shunt_app **app, const struct shunt_run_app *config,
		    struct shunt_port *const *ports, struct shunt_err *err);
	/* Gives back what it holds. */
	void (*close)(struct shunt_app *app);
	/* A burst: how much work there was, or -errno. */
	int (*run)(struct shunt_app *app, struct shunt_err *err);
	/* Sends what waits, and reads nothing: 1 once nothing waits, 0, or -errno. */
	int (*flush)(struct shunt_app *app, struct shunt_err *err);
	/* Gives up what waits, and counts it; no more calls but close follow. */
	void (*abandon)(struct shunt_app *app);
	/* There is nothing more to do but to flush: inputs and limits are at their end. */
	bool (*is_done)(const struct shunt_app *app);
	/* When it is to run though none of its ports has a packet; UINT64_MAX: never. */
	uint64_t (*due)(struct shunt_app *app);
};

extern const struct shunt_app_ops shunt_app_forward, shunt_app_drop, shunt_app_generate,
	shunt_app_live, shunt_app_echo;

/* By kind. */
const struct shunt_app_ops *shunt_app_of(const struct shunt_run_app *config);

/* --- for apps ------------------------------------------------------------------------ */

/* When what can't be waited for is looked at again. */
#define SHUNT_APP_LOOK_NS 50000u

/* How often ports are asked: poll() does not wake for an interface that is gone. */
#define SHUNT_APP_CHECK_NS 500000000u

/* The next moment to look at a port that is full, or cannot be waited for. */
uint64_t shunt_app_look(void);

/* Sets up the common part of a zeroed app, which reads from all ports that receive. */
void shunt_app_init(struct shunt_app *app, const struct shunt_app_ops *ops,
		    const struct shunt_run_app *config,
		    struct shunt_port *const *ports);

/*
 * Receives up to `max` frames, no more than the run's limit leaves, and counts them.
 * Packets of several frames may go a little over the limit.
 */
unsigned int shunt_app_rx(struct shunt_app *app, struct shunt_port *port,
			  struct shunt_frame *frames, unsigned int max);

/* Is there anything to come from that port yet? */
bool shunt_app_reads(const struct shunt_app *app, unsigned int port);

/* The limit is reached. */
bool shunt_app_is_full(const struct shunt_app *app);

/* All ports that it receives from have ended; false where there is one that never does. */
bool shunt_app_inputs_ended(const struct shunt_app *app);

/* Nothing was to be done: asks the ports, now and then, whether they are of use yet. */
SHUNT_MUST_CHECK int shunt_app_check(struct shunt_app *app, struct shunt_err *err);

/* Is there a port that has frames and that poll() doesn't know of? */
bool shunt_app_must_look(const struct shunt_app *app);
