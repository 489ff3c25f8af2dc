/* SPDX-License-Identifier: BSD-2-Clause */
/* The options that describe a packet: --src, --proto, --dport and so on. */
#pragma once

#include "loader/policy/tuple.h"
#include "user/cli/cli.h"

/* Rows for a command's table of options, one a key of "match". */
/* clang-format off */
#define SHUNT_TUPLE_OPTIONS \
	{ "src", 's', "ADDRESS", "a packet from this address; what is not said of it is usual" }, \
	{ "dst", 'D', "ADDRESS", "to this address" }, \
	{ "proto", 0, "PROTO", "tcp, udp, icmp, or a number" }, \
	{ "sport", 0, "PORT", "source port" }, \
	{ "dport", 0, "PORT", "destination port" }, \
	{ "tcp-flags", 0, "FLAGS", "those that are on: syn,ack" }, \
	{ "icmp-type", 0, "TYPE", "echo-request, or a number" }, \
	{ "icmp-code", 0, "CODE", "a number" }, \
	{ "fragment", 0, "KIND", "none, first or later" }, \
	{ "dscp", 0, "DSCP", "ef, or a number" }, \
	{ "vlan", 0, "ID[.ID]", "the tag, or both, the outer one first" }, \
	{ "length", 0, "BYTES", "of the frame, without the FCS" }, \
	{ "src-mac", 0, "MAC", "source MAC address" }, \
	{ "dst-mac", 0, "MAC", "destination MAC address" }, \
	{ "eth-type", 0, "TYPE", "EtherType: arp, 0x88cc" }
/* clang-format on */

/*
 * The frame that the options describe: its bytes; 0: none of them was given; or -EINVAL
 * and the option that is wrong.
 */
SHUNT_MUST_CHECK int shunt_cli_tuple(const struct shunt_cli *cli,
				     uint8_t frame[SHUNT_TUPLE_BYTES],
				     struct shunt_err *err);
