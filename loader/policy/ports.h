/* SPDX-License-Identifier: BSD-2-Clause */
/* Named lists of ports: they exist only while a policy is read. */
#pragma once

#include "loader/policy/index.h"
#include "loader/policy/node.h"
#include "loader/policy/policy.h"

struct shunt_port_list {
	const char *name;	  /* borrowed from the document */
	struct shunt_spans spans; /* empty: it had errors */
	bool used;
};

/* A zeroed one is empty. */
struct shunt_ports {
	struct shunt_port_list *list;
	size_t lists;
	struct shunt_index index;
};

/* The policy's "ports", where there is one. */
void shunt_ports_read(struct shunt_ports *ports, const struct shunt_node *node);

/* One item of "sport" or "dport": a port, a range, or "@" and the name of a list. */
void shunt_ports_item(struct shunt_ports *ports, const struct shunt_node *item,
		      struct shunt_spans *spans);

/* node: the policy's "ports". */
void shunt_ports_warn(const struct shunt_ports *ports, const struct shunt_node *node);

void shunt_ports_free(struct shunt_ports *ports);
