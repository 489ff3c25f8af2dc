/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "loader/instance.h"
#include "loader/shunt.h"

int shunt_consumer_open(const char *interface, const char *name,
			struct shunt_consumer *consumer, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	const struct shunt_state_consumer *found;
	char known[1024] = "";
	size_t c, n = 0;
	int ret = shunt_instance_open(&instance, interface, false, err);

	if (ret)
		return ret;
	found = shunt_state_consumer(instance.state, name);
	for (c = 0; !found && c < instance.state->consumers && n < sizeof(known); c++)
		n += snprintf(known + n, sizeof(known) - n, "%s%s", c ? ", " : "",
			      instance.state->consumer[c].name);
	if (!found)
		return shunt_fail(err, -ENOENT,
				  "the policy of %s has no consumer \"%s\": it has %s",
				  interface, name, *known ? known : "none at all");
	*consumer = (struct shunt_consumer){ .slot = found->slot, .map_fd = -1 };
	consumer->ring = found->kind == SHUNT_CONSUMER_RING ||
			 instance.state->place[SHUNT_HOOK_TC_INGRESS].on ||
			 instance.state->place[SHUNT_HOOK_TC_EGRESS].on ||
			 instance.state->place[SHUNT_HOOK_NETFILTER].on;
	if (found->kind == SHUNT_CONSUMER_RING ||
	    !instance.state->place[SHUNT_HOOK_XDP].on)
		return 0;
	consumer->queues = found->queues;
	consumer->map_fd = fcntl(instance.maps.fd[SHUNT_MAP_XSK], F_DUPFD_CLOEXEC, 3);
	if (consumer->map_fd < 0)
		return shunt_fail_errno(err, -errno, "keep the consumers' map");
	return 0;
}
