/* SPDX-License-Identifier: BSD-2-Clause */
/* <sys/event.h> for tests on Linux: as much of kqueue(2) as user/transport/kqueue.c uses. */
#pragma once

/*
 * Names and meanings are those of FreeBSD's manual page; the numbers are FreeBSD's as well.
 * Only EVFILT_READ and EVFILT_WRITE are there, EV_ADD and EV_DELETE, and what events tell.
 */
#include <stdint.h>
#include <time.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_EOF 0x8000
#define EV_ERROR 0x4000

struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	int64_t data;
	void *udata;
};

#define EV_SET(event, a, b, c, d, e, f)                                                \
	(*(event) = (struct kevent){ .ident = (a),                                     \
				     .filter = (b),                                    \
				     .flags = (c),                                     \
				     .fflags = (d),                                    \
				     .data = (e),                                      \
				     .udata = (f) })

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int nchanges, struct kevent *events,
	   int nevents, const struct timespec *timeout);
