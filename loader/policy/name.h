/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of numbers that stand in packets: one table each, read in both directions. */
#pragma once

#include <stddef.h>

/* A table ends with name NULL. Where two rows share a value, the first one is its name. */
struct shunt_name {
	const char *name;
	int value;
};

extern const struct shunt_name shunt_proto_names[];    /* IP protocol */
extern const struct shunt_name shunt_eth_type_names[]; /* EtherType */
extern const struct shunt_name shunt_tcp_flag_names[]; /* bit of the flags byte */
extern const struct shunt_name shunt_fragment_names[]; /* enum shunt_fragment, or ANY */
extern const struct shunt_name shunt_dscp_names[];     /* DSCP */
extern const struct shunt_name shunt_action_names[];   /* actions that need no target */
extern const struct shunt_name
	shunt_fate_names[]; /* "default", "malformed", "if_down" */

/* In a policy only: FIRST or LATER. */
#define SHUNT_FRAGMENT_ANY 3

/* A type that one of the two families does not have is -1. */
struct shunt_icmp_name {
	const char *name;
	int type4, type6;
};

extern const struct shunt_icmp_name shunt_icmp_names[];

/* The value, or -1. */
int shunt_name_value(const struct shunt_name *table, const char *name);

/* The name, or NULL. */
const char *shunt_name_text(const struct shunt_name *table, int value);

const struct shunt_icmp_name *shunt_icmp_by_name(const char *name);

/* The name of a type of ICMP (family 4) or ICMPv6 (family 6), or NULL. */
const char *shunt_icmp_text(int family, int type);
