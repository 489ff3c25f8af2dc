/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of services: address, protocol and port, in a hash table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "loader/policy/policy.h"
#include "loader/sets.h"

/* A table of set->size members, filled: its descriptor. */
SHUNT_MUST_CHECK int shunt_services_make(const struct shunt_set_ref *set,
					 const struct shunt_prefix *element,
					 size_t elements, struct shunt_err *err);

bool shunt_services_hold(int fd, const struct shunt_prefix *element);

/*
 * Adds or deletes members in place, one after the other; takes them back where one
 * fails. Only those that change something may be among them.
 */
SHUNT_MUST_CHECK int shunt_services_edit(int fd, const struct shunt_set_ref *set,
					 bool add, const struct shunt_prefix *element,
					 size_t elements, struct shunt_err *err);

/* All members, in no order, in a malloced array. */
SHUNT_MUST_CHECK int shunt_services_list(int fd, const struct shunt_set_ref *set,
					 struct shunt_prefix **element,
					 size_t *elements, struct shunt_err *err);
