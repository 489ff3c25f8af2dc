/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const shunt_door_modes[] = { "auto", "native", "generic", NULL };

const char *shunt_door_mode(const struct shunt_door_values *values)
{
	return values->mode ? shunt_door_modes[values->mode] : NULL;
}

int shunt_door_check(const struct shunt_door_values *values, struct shunt_err *err)
{
	if (values->ring & (values->ring - 1))
		return shunt_fail(err, -EINVAL, "ring=%llu is no power of two",
				  (unsigned long long)values->ring);
	return 0;
}

void shunt_transport_door(struct shunt_door *door, const struct shunt_endpoint *local)
{
	*door = (struct shunt_door){ .port = local->port, .addresses = 1 };
	door->l3[0] = (uint8_t)local->l3;
	memcpy(door->address[0], local->addr, sizeof(local->addr));
}

int shunt_transport_raw_tx(struct shunt_port **port, const char *interface,
			   struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts) };
	char text[128];

	snprintf(text, sizeof(text), "af_packet:%s,rx=off,qdisc-bypass=on", interface);
	return shunt_port_open(port, text, &opts, err);
}

int shunt_transport_needs_address(const struct shunt_station *station,
				  struct shunt_err *err)
{
	if (!station->own)
		return 0;
	return shunt_fail(err, -EADDRNOTAVAIL,
			  "%s has no such address, and whoever asks for it by ARP or "
			  "NDP is heard by the kernel alone: add it to the interface "
			  "(`ip addr add`), or take raw:// or dpdk://",
			  station->link.name);
}
