/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "loader/shunt.h"

int shunt_visit_begin(struct shunt_visit *visit, const char *netns,
		      struct shunt_err *err)
{
	int ret;

	visit->home = -1;
	if (!netns)
		return 0;
	visit->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (visit->home < 0)
		return shunt_fail_errno(err, -errno,
					"enter network namespace %s: remember the way "
					"back, /proc/thread-self/ns/net",
					netns);
	ret = shunt_netns_enter(netns, err);
	if (ret) {
		close(visit->home);
		visit->home = -1;
	}
	return ret;
}

void shunt_visit_end(struct shunt_visit *visit)
{
	if (visit->home < 0)
		return;
	/* what came next would be done to the wrong interfaces */
	if (setns(visit->home, CLONE_NEWNET))
		abort();
	close(visit->home);
	visit->home = -1;
}
