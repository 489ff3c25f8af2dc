/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run consists of: memories, ports, workers and applications, by name. */
#pragma once

/*
 *     file (shunt.runtime/1) ─▶ shunt_run_config_read() ─┐
 *     options of run forward, … ─────────────────────────┴▶ struct shunt_run_config
 *                                                              ─▶ shunt_run() (run.h)
 *
 * Names are unique; places in lists stand for references that resolve. Every application
 * is run by exactly one worker, and every port is received from by at most one
 * application, and sent to by at most one, of the same worker.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/policy.h"
#include "user/base/err.h"
#include "user/net/answer.h"
#include "user/net/nexthop.h"
#include "user/rt/idle.h"

#define SHUNT_RUN_MEMORIES 16
#define SHUNT_RUN_PORTS 64
#define SHUNT_RUN_WORKERS 64
#define SHUNT_RUN_APPS 64
#define SHUNT_RUN_APP_PORTS 16
#define SHUNT_RUN_SPEC 512 /* bytes of a port's text */

struct shunt_run_memory {
	char name[SHUNT_NAME_MAX];
	uint32_t frames, frame_bytes; /* 0: the usual */
	bool huge;
};

#define SHUNT_RUN_OWN_MEMORY (-1)

struct shunt_run_port {
	char name[SHUNT_RUN_SPEC]; /* that of the file, or the text itself */
	char spec[SHUNT_RUN_SPEC]; /* user/io/spec.h */
	int memory;		   /* place; SHUNT_RUN_OWN_MEMORY */
	bool insists; /* the file names the memory: it has to be that one */
};

/* --- applications -------------------------------------------------------------------- */

enum shunt_run_kind {
	SHUNT_RUN_FORWARD,
	SHUNT_RUN_DROP,
	SHUNT_RUN_GENERATE,
	SHUNT_RUN_ECHO
};
enum shunt_run_mode { SHUNT_RUN_CROSS, SHUNT_RUN_SWAP, SHUNT_RUN_TABLE };

extern const struct shunt_name shunt_run_kinds[], shunt_run_modes[], shunt_run_waits[];

/* A frame that generate sends, and where its number goes. */
struct shunt_run_frame {
	uint32_t at, len;	 /* in bytes[] */
	uint32_t payload, check; /* struct shunt_number_place; payload 0: no number */
	bool udp;
};

struct shunt_run_frames {
	uint8_t *bytes;
	struct shunt_run_frame *frame;
	uint32_t count;
	uint32_t longest;
};

#define SHUNT_RUN_GENERATE_BURST 64u

struct shunt_run_generate {
	struct shunt_run_frames frames; /* sent one after the other, again and again */
	uint64_t rate;			/* packets a second; 0: as fast as possible */
	uint64_t packets;		/* 0: no limit */
	uint32_t burst;	    /* most that are sent at one moment; 0: the usual */
	char interface[64]; /* make live frames there instead; "": send to the port */
};

struct shunt_run_app {
	char name[SHUNT_NAME_MAX];
	enum shunt_run_kind kind;
	unsigned int port[SHUNT_RUN_APP_PORTS]; /* places */
	unsigned int ports;
	enum shunt_run_mode mode;    /* forward */
	struct shunt_nexthops table; /* forward; by places in port[] */
	bool copy;		     /* forward: other memory on the way is fine */
	bool number;		     /* drop: look at numbers */
	struct shunt_run_generate generate;
	/* echo; malloced; with no MAC address: that of the port's interface */
	struct shunt_answerer *answerer;
};

struct shunt_run_worker {
	char name[SHUNT_NAME_MAX];
	int core; /* SHUNT_WORKER_ANY */
	enum shunt_wait wait;
	unsigned int app[SHUNT_RUN_APPS]; /* places */
	unsigned int apps;
};

/* --- all of it ----------------------------------------------------------------------- */

struct shunt_run_config {
	struct shunt_run_memory memory[SHUNT_RUN_MEMORIES];
	unsigned int memories;
	struct shunt_run_port port[SHUNT_RUN_PORTS];
	unsigned int ports;
	struct shunt_run_worker worker[SHUNT_RUN_WORKERS];
	unsigned int workers;
	struct shunt_run_app app[SHUNT_RUN_APPS];
	unsigned int apps;
	uint64_t packets;     /* that are read at most; 0: no limit */
	uint64_t duration_ns; /* 0: no limit */
	uint64_t interval_ns; /* between reports; 0: only the last one */
};

/*
 * Reads a file ("-": standard input). -EINVAL: all that is wrong is in diags, with its
 * JSON pointer; other errors have one entry at "". The caller frees *config either way.
 */
SHUNT_MUST_CHECK int shunt_run_config_read(struct shunt_run_config **config,
					   const char *path, struct shunt_diags *diags);

struct shunt_run_config *shunt_run_config_new(void);

/* NULL is fine. */
void shunt_run_config_free(struct shunt_run_config *config);

/*
 * Gives the ports of forwarders that name no memory one that they share, so that frames
 * need no copy; it is large enough for their rings. Once the applications are known.
 */
void shunt_run_config_share(struct shunt_run_config *config);

/* Does any app receive from this port? A forwarder does not where it could not send that. */
bool shunt_run_receives(const struct shunt_run_config *config, unsigned int port);

/* What is wrong with the whole, in one sentence; 0 or -EINVAL. */
SHUNT_MUST_CHECK int shunt_run_config_check(const struct shunt_run_config *config,
					    struct shunt_err *err);
