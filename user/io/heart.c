/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/heart.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

int shunt_heart_open(struct shunt_heart *heart, struct shunt_seats *seats,
		     struct shunt_err *err)
{
	*heart = (struct shunt_heart){ .seats = seats, .timer_fd = -1 };
	if (!seats)
		return 0;
	heart->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return heart->timer_fd < 0
		       ? shunt_fail_errno(err, -errno, "make a timer for a heartbeat")
		       : 0;
}

void shunt_heart_close(struct shunt_heart *heart)
{
	if (heart->seats)
		close(heart->timer_fd);
	*heart = (struct shunt_heart){ .timer_fd = -1 };
}

/* To set it forgets that it was over: nobody reads it. */
unsigned int shunt_heart_wait(struct shunt_heart *heart, struct pollfd *fd,
			      unsigned int max)
{
	struct itimerspec nap = { 0 };
	uint64_t ns;

	if (!heart->seats || !max)
		return 0;
	ns = shunt_seats_nap_ns(heart->seats);
	nap.it_value.tv_sec = (time_t)(ns / NS_PER_S);
	nap.it_value.tv_nsec = (long)(ns % NS_PER_S);
	timerfd_settime(heart->timer_fd, 0, &nap, NULL);
	*fd = (struct pollfd){ .fd = heart->timer_fd, .events = POLLIN };
	return 1;
}
