/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/heart.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "maps/seat.h"

#define NS_PER_S 1000000000u
#define BEATS 8 /* in an interval, as loader/seat.c has them */
#define NAPS 4

static bool is_there(const struct shunt_heart *heart)
{
	return heart->seats || heart->page;
}

int shunt_heart_open(struct shunt_heart *heart, struct shunt_seats *seats,
		     struct shunt_seat *page, unsigned int pages, struct shunt_err *err)
{
	struct shunt_heart made = { .seats = seats, .page = page, .pages = pages };

	*heart = (struct shunt_heart){ 0 };
	if (!is_there(&made))
		return 0;
	made.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (made.timer_fd < 0)
		return shunt_fail_errno(err, -errno, "make a timer for a heartbeat");
	*heart = made;
	return 0;
}

void shunt_heart_close(struct shunt_heart *heart)
{
	if (is_there(heart))
		close(heart->timer_fd);
	*heart = (struct shunt_heart){ 0 };
}

static uint64_t interval(const struct shunt_heart *heart)
{
	uint64_t ns = __atomic_load_n(&heart->page->heartbeat_ns, __ATOMIC_RELAXED);

	return ns ? ns : SHUNT_HEARTBEAT_NS;
}

void shunt_heart_beat(struct shunt_heart *heart, uint64_t now_ns)
{
	unsigned int i;

	if (heart->seats)
		shunt_seats_beat(heart->seats, now_ns);
	if (!heart->page || now_ns - heart->beat_ns < interval(heart) / BEATS)
		return;
	heart->beat_ns = now_ns;
	for (i = 0; i < heart->pages; i++)
		__atomic_store_n(&heart->page[i].due_ns, now_ns + interval(heart),
				 __ATOMIC_RELEASE);
}

/* To set it forgets that it was over: nobody reads it. */
unsigned int shunt_heart_wait(struct shunt_heart *heart, struct pollfd *fd,
			      unsigned int max)
{
	struct itimerspec nap = { 0 };
	uint64_t ns;

	if (!is_there(heart) || !max)
		return 0;
	ns = heart->seats ? shunt_seats_nap_ns(heart->seats) : interval(heart) / NAPS;
	nap.it_value.tv_sec = (time_t)(ns / NS_PER_S);
	nap.it_value.tv_nsec = (long)(ns % NS_PER_S);
	timerfd_settime(heart->timer_fd, 0, &nap, NULL);
	*fd = (struct pollfd){ .fd = heart->timer_fd, .events = POLLIN };
	return 1;
}
