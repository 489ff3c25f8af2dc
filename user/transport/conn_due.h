/* SPDX-License-Identifier: BSD-2-Clause */
/* Deadlines of many: which place is due first. */
#pragma once

/*
 * A binary heap of places (0 up to what open was told), each at most once. A deadline
 * that moves back is left where it is until it comes up: who takes a place asks what it
 * is really due for, and sets it anew. So what hears something with every packet costs
 * nothing here.
 */
#include <stdint.h>

#include "user/base/err.h"

struct shunt_conn_due {
	uint64_t *due_ns; /* by place; UINT64_MAX: not in the heap */
	uint32_t *heap;	  /* places */
	uint32_t *where;  /* by place: its index in the heap */
	uint32_t count;
};

SHUNT_MUST_CHECK int shunt_conn_due_open(struct shunt_conn_due *due, uint32_t places,
					 struct shunt_err *err);
/* Fine on one that is zeroed. */
void shunt_conn_due_close(struct shunt_conn_due *due);

/* The place is due at this time, or earlier if that was said before. */
void shunt_conn_due_set(struct shunt_conn_due *due, uint32_t place, uint64_t due_ns);

/* It is due for nothing. */
void shunt_conn_due_remove(struct shunt_conn_due *due, uint32_t place);

/* The earliest deadline; UINT64_MAX: there is none. */
uint64_t shunt_conn_due_first(const struct shunt_conn_due *due);

/* Takes out a place whose deadline has come: 1; 0: none is due. */
SHUNT_MUST_CHECK int shunt_conn_due_take(struct shunt_conn_due *due, uint64_t now_ns,
					 uint32_t *place);
