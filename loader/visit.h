/* SPDX-License-Identifier: BSD-2-Clause */
/* A visit to another network namespace: the calling thread goes there and comes back. */
#pragma once

/*
 *     _visit_ struct shunt_visit visit = SHUNT_VISIT_NONE;
 *     …
 *     ret = shunt_visit_begin(&visit, netns, err);
 */
#include "user/base/err.h"

struct shunt_visit {
	int home; /* -1: nobody has left */
};

#define SHUNT_VISIT_NONE                                                               \
	{                                                                              \
		.home = -1                                                             \
	}

/* As shunt_netns_enter(); NULL: stays where the thread is. */
SHUNT_MUST_CHECK int shunt_visit_begin(struct shunt_visit *visit, const char *netns,
				       struct shunt_err *err);

/* Back again; fine on one that has not begun. */
void shunt_visit_end(struct shunt_visit *visit);

#define _visit_ __attribute__((cleanup(shunt_visit_end)))
