/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int shunt_bell_open(struct shunt_bell *bell, struct shunt_err *err)
{
	*bell = (struct shunt_bell){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (bell->fd < 0)
		return shunt_fail_errno(err, -errno, "make an eventfd");
	return 0;
}

void shunt_bell_close(struct shunt_bell *bell)
{
	close(bell->fd);
	bell->fd = -1;
}

void shunt_bell_wake(struct shunt_bell *bell)
{
	uint64_t one = 1;

	/* Relaxed: a figure, which several may raise. */
	atomic_fetch_add_explicit(&bell->rung, 1, memory_order_relaxed);
	if (write(bell->fd, &one, sizeof(one)) != sizeof(one))
		return; /* its count is at the end: it is readable */
}

unsigned int shunt_bell_listen(struct shunt_bell *bell, struct pollfd *fds,
			       unsigned int max)
{
	uint64_t count;

	if (!max)
		return 0;
	/* What was rung so far is emptied first: what is rung from here on stays. */
	if (read(bell->fd, &count, sizeof(count)) != sizeof(count))
		count = 0;
	/* Acquire, release: pairs with the exchange in shunt_bell_ring(). */
	atomic_exchange_explicit(&bell->listens, true, memory_order_acq_rel);
	fds[0] = (struct pollfd){ .fd = bell->fd, .events = POLLIN };
	return 1;
}
