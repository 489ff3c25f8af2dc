/* SPDX-License-Identifier: BSD-2-Clause */
/* A wire for ship: ports without RDMA: requests wait until the test has them done. */
#pragma once

/*
 * Requests are done by memcpy, in order, and not before shunt_model_wire_do() says so: like a
 * device, it reads frames late, and a frame that was given back too early is found out. What
 * they write to must lie within the receiver's area. There is one receiver, and one sender at
 * a time is connected to it.
 */
#include "user/io/port.h"
#include "user/io/ship_wire.h"

extern const struct shunt_ship_wire_ops shunt_model_wire_ops;

/* Does up to n requests of the sender, all with UINT32_MAX; returns how many. */
unsigned int shunt_model_wire_do(unsigned int n);

/* Requests that wait. */
unsigned int shunt_model_wire_waiting(void);

/* Bells that the receiver has been rung. */
unsigned int shunt_model_wire_bells(void);

/* Kicked whenever a sender looks whether it is connected; NULL: nobody listens. */
void shunt_model_wire_listener(struct shunt_port *receiver);

/* The next words of a sender, or of an offer, are these instead. */
void shunt_model_wire_forge(const void *bytes, size_t len);

/* Where the receiver's area lies, for those who write what no sender would. */
uint8_t *shunt_model_wire_area(size_t *bytes);
