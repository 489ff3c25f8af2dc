/* SPDX-License-Identifier: BSD-2-Clause */
/* One writer an instance. */
#pragma once

/*
 * The lock is an flock() on /run/shunt/<instance>.lock: its descriptor holds it, and the
 * kernel gives it up with the process, however that ends. The file says who holds it.
 * How long a writer waits, shunt_wait() of loader/shunt.h has chosen for its thread.
 */
#include "user/base/err.h"

#define SHUNT_LOCKS "/run/shunt"

/* -EBUSY: it is held, and the sentence says by whom; -EINTR: waiting was given up. */
SHUNT_MUST_CHECK int shunt_lock(int *fd, const char *instance, struct shunt_err *err);

/* The same without waiting: for the second of two, which nobody may wait for. */
SHUNT_MUST_CHECK int shunt_lock_try(int *fd, const char *instance,
				    struct shunt_err *err);

/* Gives it up for an instance that is gone: the file goes, too. */
void shunt_unlock_gone(int fd, const char *instance);
