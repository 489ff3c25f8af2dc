/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does a parsed packet come to a door (maps/door.h)? */
#pragma once

#include "bpf/lib/parse.h"
#include "maps/door.h"

SHUNT_INLINE int shunt_door_has_address(const volatile struct shunt_door *door,
					const struct shunt_layer *l)
{
	const __u32 *to = l->addr[SHUNT_SIDE_DST];
	__u32 i;

	if (!door->addresses)
		return 1;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_DOOR_ADDRESSES && i < door->addresses; i++) {
		/* clang counts up from -128, before the door, which Linux 7.3 refuses */
		SHUNT_OPAQUE(i);
		if (i >= SHUNT_DOOR_ADDRESSES)
			return 0;
		if (door->l3[i] == l->l3 && door->address[i][0] == to[0] &&
		    door->address[i][1] == to[1] && door->address[i][2] == to[2] &&
		    door->address[i][3] == to[3])
			return 1;
	}
	return 0;
}

SHUNT_INLINE int shunt_door_has_mac(const volatile struct shunt_door *door,
				    const __u8 mac[6])
{
	int i;

	SHUNT_UNROLL
	for (i = 0; i < 6; i++)
		if (door->mac[i] != mac[i])
			return 0;
	return 1;
}

/* A UDP packet, whole or the first fragment of one, to its port and one of its addresses. */
SHUNT_INLINE int shunt_door_takes(const volatile struct shunt_door *door,
				  const struct shunt_layer *l, const __u8 mac[6])
{
	return l->field[SHUNT_FIELD_PROTO] == SHUNT_IP_UDP + 1 &&
	       l->field[SHUNT_FIELD_DPORT] == door->port + 1u &&
	       shunt_door_has_mac(door, mac) && shunt_door_has_address(door, l);
}
