/* SPDX-License-Identifier: BSD-2-Clause */
/* What ethtool asks of a driver, by ioctl: simple questions, channels, features. */
#pragma once

/*
 * All calls are about an interface of the calling thread's network namespace, and may be
 * made by any thread. Whoever changes something (channels) needs CAP_NET_ADMIN. A driver
 * that does not know a question answers -EOPNOTSUPP.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

/*
 * One of linux/ethtool.h's structures, whose first word is the command; it becomes the
 * answer. 0 or -errno.
 */
SHUNT_MUST_CHECK int shunt_ethtool(const char *interface, void *command);

/* The value of a question that is answered by a number; 0 where it is not answered. */
uint32_t shunt_ethtool_ask(const char *interface, uint32_t command);

/* --- channels ---------------------------------------------------------------- */

/* Receive queues, be they channels of their own or combined ones. */
struct shunt_ethtool_queues {
	uint32_t now,
		max; /* max 0: the driver does not tell, or knows one number only */
};

/* -EOPNOTSUPP: the driver has no channels; then it has one queue. */
SHUNT_MUST_CHECK int shunt_ethtool_queues(const char *interface,
					  struct shunt_ethtool_queues *queues);

/*
 * Makes them so many, and the transmit queues with them as far as the driver has some
 * apart. -EINVAL: more than the driver's most, or fewer than somebody uses.
 */
SHUNT_MUST_CHECK int shunt_ethtool_set_queues(const char *interface, uint32_t queues);

/* --- features ---------------------------------------------------------------- */

struct shunt_ethtool_feature {
	bool on, fixed; /* fixed: the driver lets nobody change it */
};

/* By the kernel's name, as "rx-ntuple-filter". -ENOENT: it knows none so called. */
SHUNT_MUST_CHECK int shunt_ethtool_feature(const char *interface, const char *name,
					   struct shunt_ethtool_feature *feature);

/* --- receive side scaling ---------------------------------------------------- */

/* Entries of the table by which a hash finds its queue; 0: the driver has none. */
uint32_t shunt_ethtool_indirection(const char *interface);
