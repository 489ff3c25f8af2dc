/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of interfaces. */
#pragma once

#include <stdbool.h>

#include "loader/policy/node.h"
#include "loader/policy/policy.h"

#define SHUNT_IFACE_BYTES 15 /* IFNAMSIZ without the NUL */

/* What the kernel accepts (dev_valid_name). */
bool shunt_iface_valid(const char *name);

/* Copies the name that a node holds; false after a complaint. */
bool shunt_iface_read(const struct shunt_node *node, char name[SHUNT_NAME_MAX]);
