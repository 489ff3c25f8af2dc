/* SPDX-License-Identifier: BSD-2-Clause */
/* One way through a network that loses, doubles, delays and reorders packets. */
#pragma once

#include "tests/model/random.h"

struct shunt_lossy_packet;

/* Chances are in thousandths, times in simulated nanoseconds. */
struct shunt_lossy {
	struct shunt_random random;
	uint32_t lose, twice, late;
	uint64_t delay_ns;
	uint64_t late_ns;	    /* more than others, at most, where it is late */
	uint64_t dark_ns, light_ns; /* nothing passes between the two */
	uint32_t mtu;		    /* bytes; what is longer is lost */

	struct shunt_lossy_packet *packet; /* a heap by time */
	uint32_t n, room;
	uint64_t order;
	uint64_t offered;
};

/* Copies it, or loses it. */
void shunt_lossy_send(struct shunt_lossy *way, uint64_t now_ns, const void *bytes,
		      uint32_t length);

/* When the next one arrives; UINT64_MAX: none is under way. */
uint64_t shunt_lossy_due(const struct shunt_lossy *way);

/* What has arrived by now: its bytes, to be freed; NULL: nothing. */
uint8_t *shunt_lossy_recv(struct shunt_lossy *way, uint64_t now_ns, uint32_t *length);

void shunt_lossy_close(struct shunt_lossy *way);
