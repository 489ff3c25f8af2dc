/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/stop.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/clock.h"

static volatile sig_atomic_t stop_wanted;
static volatile sig_atomic_t stop_event = -1;
static uint64_t stop_ns; /* of the first signal; the handler's alone */

static const int stop_signals[] = { SIGINT, SIGTERM };

static void on_stop(int sig)
{
	const uint64_t one = 1, now = shunt_now_ns();
	int saved = errno;

	if (stop_wanted && now - stop_ns > SHUNT_STOP_TWIN_NS) {
		signal(sig, SIG_DFL);
		raise(sig); /* comes once this one has been handled */
		return;
	}
	if (!stop_wanted)
		stop_ns = now;
	stop_wanted = 1;
	if (write(stop_event, &one, sizeof(one)) < 0)
		errno = saved; /* cannot happen; the next look sees the flag */
	errno = saved;
}

int shunt_stop_open(struct shunt_stop *stop, struct shunt_err *err)
{
	struct sigaction action = { .sa_handler = on_stop };
	size_t i;

	for (i = 0; i < 2; i++) /* one after the other: neither handler breaks in */
		sigaddset(&action.sa_mask, stop_signals[i]);

	stop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop->event < 0)
		return shunt_fail_errno(err, -errno, "make an event to stop by");
	stop_event = stop->event;
	stop_wanted = 0;
	for (i = 0; i < 2; i++)
		sigaction(stop_signals[i], &action, &stop->saved[i]);
	return 0;
}

void shunt_stop_close(struct shunt_stop *stop)
{
	size_t i;

	for (i = 0; i < 2; i++)
		sigaction(stop_signals[i], &stop->saved[i], NULL);
	stop_event = -1;
	close(stop->event);
}

bool shunt_stop_wanted(void)
{
	return stop_wanted;
}
