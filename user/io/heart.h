/* SPDX-License-Identifier: BSD-2-Clause */
/* The heartbeat of a port that sleeps in a poll() of somebody else's. */
#pragma once

/*
 * The port shows that it lives whenever frames are asked of it. While it sleeps a timer,
 * which its waiter polls beside the sockets, wakes it in time.
 */
#include <poll.h>
#include <stdint.h>

#include "loader/shunt.h"
#include "user/base/err.h"

struct shunt_heart {
	struct shunt_seats *seats; /* NULL: nobody is shown anything */
	int timer_fd;		   /* -1: as long as it has none */
};

/* The seats must outlive the heart; NULL: none. */
SHUNT_MUST_CHECK int shunt_heart_open(struct shunt_heart *heart,
				      struct shunt_seats *seats, struct shunt_err *err);
void shunt_heart_close(struct shunt_heart *heart);

static inline void shunt_heart_beat(struct shunt_heart *heart, uint64_t now_ns)
{
	if (heart->seats)
		shunt_seats_beat(heart->seats, now_ns);
}

/* Winds up the timer anew; fills in one entry, and returns how many it has filled. */
unsigned int shunt_heart_wait(struct shunt_heart *heart, struct pollfd *fd,
			      unsigned int max);
