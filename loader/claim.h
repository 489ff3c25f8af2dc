/* SPDX-License-Identifier: BSD-2-Clause */
/* Claims: what one process at a time may hold, and lets go however it ends. */
#pragma once

/*
 * A claim is the name of an abstract UNIX socket, in the network namespace of the calling
 * thread. The kernel lets it go with its process; nothing of it can be left behind.
 */
#include <stdbool.h>

#define SHUNT_CLAIM_MAX 64 /* bytes of a name */

/* A descriptor that holds it, the caller's to close; -EADDRINUSE: another one does. */
int shunt_claim(const char *name);

/* Asking does not hold it, not even for a moment. */
bool shunt_is_claimed(const char *name);
