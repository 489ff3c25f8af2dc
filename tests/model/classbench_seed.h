/* SPDX-License-Identifier: BSD-2-Clause */
/* What tells the families of ClassBench's rule sets apart: shares, in per mille. */
#pragma once

/*
 * After the parameter files that Taylor and Turner published with ClassBench (12 seeds
 * of three families: acl1 to acl5, fw1 to fw5, ipc1 and ipc2), rounded, and each family
 * taken together. The sections that db_generator reads, and where they are here:
 *
 *     -prots                  proto, with a list of port pair classes for each
 *     -spar -spem -dpar -dpem exact[] and range[], common to both sides
 *     -flags                  flags, flag_specs[]
 *     -wc_wc … -em_em         lengths: source and destination prefix, jointly
 *     -snest -dnest           nest
 *     -sskew -dskew           branch[]: by level, how often a node has two children,
 *                             and how much more often one of them is taken
 */
#include "bpf/lib/wire.h"

enum { CLASSBENCH_GRE = 47, CLASSBENCH_ESP = 50 };

/* Port ranges: any, 0-1023, 1024-65535, another range, a single port. */
enum classbench_port { WC, LO, HI, AR, EM };

struct classbench_ports {
	uint16_t share;
	uint8_t src, dst; /* enum classbench_port */
};

struct classbench_proto {
	uint16_t share;
	uint8_t proto;			  /* in IPv4; 0: any */
	struct classbench_ports pair[12]; /* up to the first share of 0; none: WC, WC */
};

struct classbench_lengths {
	uint16_t share;
	uint8_t src[2], dst[2]; /* IPv4 bits, from and to */
};

struct classbench_branch {
	uint8_t below; /* levels up to here, this one not */
	uint16_t two;  /* share of nodes with two children */
	uint16_t skew; /* 0: both alike; 1000: always the heavy one */
};

struct classbench_side {
	uint8_t nest; /* prefixes around one another, at most; any address is one */
	struct classbench_branch branch[5];
};

struct classbench_seed {
	struct classbench_proto proto[6];
	struct classbench_lengths lengths[16]; /* up to the first share of 0 */
	struct classbench_side src, dst;
	uint16_t flags; /* share of TCP rules that look at flags */
	uint16_t drop;
};

static const struct classbench_seed classbench_seeds[SHUNT_CLASSBENCH_FAMILY_COUNT] = {
	/* Most rules name a host or a small network on both sides, and one service. */
	[SHUNT_CLASSBENCH_ACL] = {
		.proto = {
			{ 85, 0 },
			{ 30, SHUNT_IP_ICMP },
			{ 775, SHUNT_IP_TCP,
			  { { 655, WC, EM }, { 215, WC, WC }, { 130, WC, AR } } },
			{ 90, SHUNT_IP_UDP,
			  { { 730, WC, EM }, { 110, WC, AR }, { 60, EM, EM },
			    { 50, HI, EM }, { 50, WC, HI } } },
			{ 10, CLASSBENCH_GRE },
			{ 10, CLASSBENCH_ESP },
		},
		.lengths = {
			{ 400, { 32, 32 }, { 32, 32 } }, { 120, { 0, 0 }, { 32, 32 } },
			{ 160, { 24, 31 }, { 32, 32 } }, { 80, { 32, 32 }, { 24, 31 } },
			{ 60, { 16, 23 }, { 32, 32 } },	 { 80, { 24, 31 }, { 24, 31 } },
			{ 60, { 0, 0 }, { 16, 31 } },	 { 20, { 1, 15 }, { 24, 32 } },
			{ 20, { 16, 23 }, { 16, 23 } },
		},
		.src = { 5, { { 6, 60, 950 }, { 16, 200, 800 }, { 24, 450, 500 },
			      { 32, 650, 400 } } },
		.dst = { 4, { { 8, 20, 990 }, { 16, 120, 850 }, { 24, 400, 550 },
			      { 32, 700, 350 } } },
		.flags = 120,
		.drop = 300,
	},
	/* Most rules leave one side open: services offered, or hosts let out. */
	[SHUNT_CLASSBENCH_FW] = {
		.proto = {
			{ 130, 0 },
			{ 80, SHUNT_IP_ICMP },
			{ 480, SHUNT_IP_TCP,
			  { { 600, WC, EM }, { 150, WC, WC }, { 60, EM, WC },
			    { 60, HI, EM }, { 40, WC, HI }, { 40, WC, AR },
			    { 20, AR, WC }, { 10, WC, LO }, { 10, HI, HI },
			    { 10, EM, EM } } },
			{ 280, SHUNT_IP_UDP,
			  { { 450, WC, EM }, { 150, EM, WC }, { 120, WC, WC },
			    { 80, EM, EM }, { 80, HI, EM }, { 40, EM, HI },
			    { 40, WC, AR }, { 30, HI, HI }, { 10, WC, HI } } },
			{ 15, CLASSBENCH_GRE },
			{ 15, CLASSBENCH_ESP },
		},
		.lengths = {
			{ 280, { 0, 0 }, { 32, 32 } },	{ 160, { 32, 32 }, { 0, 0 } },
			{ 120, { 0, 0 }, { 24, 31 } },	{ 80, { 24, 31 }, { 0, 0 } },
			{ 120, { 32, 32 }, { 32, 32 } }, { 40, { 16, 23 }, { 0, 0 } },
			{ 40, { 0, 0 }, { 16, 23 } },	{ 50, { 24, 31 }, { 32, 32 } },
			{ 40, { 32, 32 }, { 24, 31 } }, { 30, { 0, 0 }, { 0, 0 } },
			{ 20, { 8, 15 }, { 24, 32 } },	{ 20, { 24, 31 }, { 24, 31 } },
		},
		.src = { 4, { { 8, 150, 800 }, { 16, 250, 700 }, { 24, 500, 450 },
			      { 32, 550, 400 } } },
		.dst = { 4, { { 8, 40, 980 }, { 16, 200, 750 }, { 24, 500, 450 },
			      { 32, 650, 350 } } },
		.flags = 80,
		.drop = 400,
	},
	/* A host's chains: everything appears. */
	[SHUNT_CLASSBENCH_IPC] = {
		.proto = {
			{ 140, 0 },
			{ 60, SHUNT_IP_ICMP },
			{ 480, SHUNT_IP_TCP,
			  { { 380, WC, EM }, { 300, WC, WC }, { 110, EM, WC },
			    { 60, WC, AR }, { 30, AR, WC }, { 40, HI, EM },
			    { 30, EM, HI }, { 20, EM, EM }, { 10, WC, HI },
			    { 10, HI, WC }, { 10, WC, LO } } },
			{ 290, SHUNT_IP_UDP,
			  { { 400, WC, EM }, { 170, WC, WC }, { 180, EM, WC },
			    { 100, EM, EM }, { 50, WC, AR }, { 40, HI, EM },
			    { 30, EM, HI }, { 20, AR, AR }, { 10, LO, WC } } },
			{ 15, CLASSBENCH_GRE },
			{ 15, CLASSBENCH_ESP },
		},
		.lengths = {
			{ 270, { 32, 32 }, { 32, 32 } }, { 160, { 24, 31 }, { 24, 31 } },
			{ 100, { 24, 31 }, { 32, 32 } }, { 100, { 32, 32 }, { 24, 31 } },
			{ 80, { 0, 0 }, { 32, 32 } },	 { 80, { 32, 32 }, { 0, 0 } },
			{ 60, { 16, 23 }, { 16, 23 } },	 { 60, { 16, 23 }, { 24, 32 } },
			{ 50, { 24, 32 }, { 16, 23 } },	 { 20, { 8, 15 }, { 8, 32 } },
			{ 15, { 0, 0 }, { 8, 31 } },	 { 5, { 0, 0 }, { 0, 0 } },
		},
		.src = { 6, { { 8, 80, 950 }, { 16, 220, 750 }, { 24, 450, 500 },
			      { 32, 600, 400 } } },
		.dst = { 6, { { 8, 60, 950 }, { 16, 200, 750 }, { 24, 450, 500 },
			      { 32, 600, 400 } } },
		.flags = 60,
		.drop = 350,
	},
};

/* Flags that are on, and that are looked at: established, new, not new, reset. */
static const uint8_t classbench_flag_specs[][2] = {
	{ 0x10, 0x10 }, { 0x02, 0x12 }, { 0x00, 0x02 }, { 0x04, 0x04 }, { 0x02, 0x17 },
};

/* The most wanted first; half as many rules name the second as the first, a third the
 * third, and so on. */
static const uint16_t classbench_exact[] = {
	80,   443,  25,	  53,	22,   21,   23,	  110,	123,  161,  139,  1521, 389,
	445,  1433, 8080, 143,	3389, 514,  162,  3306, 137,  138,  135,  69,	1812,
	179,  500,  113,  5631, 1494, 636,  993,  995,	2049, 111,  5060, 1723, 119,
	79,   49,   88,	  464,	543,  1645, 1646, 1813, 4500, 5190, 5432, 5900, 6000,
	6667, 8000, 8443, 8888, 9000, 9100, 20,	  7,	19,   37,   42,	  67,
};

static const uint16_t classbench_range[][2] = {
	{ 20, 21 },	{ 137, 139 },	  { 1645, 1646 },   { 1812, 1813 },
	{ 20, 23 },	{ 109, 110 },	  { 161, 162 },	    { 6000, 6063 },
	{ 1024, 5000 }, { 33434, 33523 }, { 49152, 65535 }, { 5000, 5001 },
	{ 8000, 8099 }, { 135, 139 },	  { 67, 68 },
};
