/* SPDX-License-Identifier: BSD-2-Clause */
/* ^C: the first one ends a run in good order, the second one kills. */
#pragma once

/*
 * `timeout` and others send their signal twice, to the process and to its group: what
 * follows within SHUNT_STOP_TWIN_NS is taken for the same one. SIGINT and SIGTERM are this one's between open and close; there is one at a time in a
 * process.
 */
#include <signal.h>
#include <stdbool.h>

#include "user/base/err.h"

#define SHUNT_STOP_TWIN_NS 50000000u

struct shunt_stop {
	int event; /* for poll(): readable once a signal has come */
	struct sigaction saved[2];
};

SHUNT_MUST_CHECK int shunt_stop_open(struct shunt_stop *stop, struct shunt_err *err);
void shunt_stop_close(struct shunt_stop *stop);

/* Has one of the signals come? */
bool shunt_stop_wanted(void);
