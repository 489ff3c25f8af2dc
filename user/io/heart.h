/* SPDX-License-Identifier: BSD-2-Clause */
/* The heartbeat of a port that sleeps in a poll() of somebody else's. */
#pragma once

/*
 * The port shows that it lives whenever frames are asked of it. While it sleeps a timer,
 * which its waiter polls beside the sockets, wakes it in time. Where it may not write its
 * seats it writes pages that look like them (user/io/serve.h).
 */
#include <poll.h>
#include <stdint.h>

#include "loader/shunt.h"
#include "user/base/err.h"

struct shunt_heart {
	struct shunt_seats *seats;
	struct shunt_seat *page; /* instead of seats, several in a row */
	unsigned int pages;
	uint64_t beat_ns; /* of the last heartbeat on a page */
	int timer_fd;	  /* where there are seats or pages */
};

/* The seats or pages must outlive the heart; neither: nobody is shown anything. */
SHUNT_MUST_CHECK int shunt_heart_open(struct shunt_heart *heart,
				      struct shunt_seats *seats,
				      struct shunt_seat *page, unsigned int pages,
				      struct shunt_err *err);

/* Fine on a zeroed one. */
void shunt_heart_close(struct shunt_heart *heart);

void shunt_heart_beat(struct shunt_heart *heart, uint64_t now_ns);

/* Winds up the timer anew; fills in one entry, and returns how many it has filled. */
unsigned int shunt_heart_wait(struct shunt_heart *heart, struct pollfd *fd,
			      unsigned int max);
