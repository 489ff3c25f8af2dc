/* SPDX-License-Identifier: BSD-2-Clause */
/* Options that several commands have, for the rows of commands.c; those of `run`. */
#pragma once

#include "user/cli/cli.h"

/* clang-format off */
#define JSON { "json", 'j', NULL, "answer with JSON: one object, or one a line" }
#define NETNS { "netns", 'n', "NAME", \
		"work in this network namespace (a name of `ip netns`, or a path)" }
#define POLICY { "policy", 'p', "FILE", "the policy; - is standard input" }
#define HOOK { "hook", 'H', "HOOK", "xdp (the default), tc-ingress, tc-egress or netfilter" }
#define CONSUMER { "consumer", 'c', "NAME", "the consumer of the policy to serve" }
#define DURATION { "duration", 'd', "TIME", "stop after this time: 500ms, 10s, 2m" }
#define PACKETS { "packets", 'N', "COUNT", "stop after this many packets" }
#define WAIT { "wait", 'w', "HOW", \
	       "adaptive (the default: spin for a moment, then sleep), poll or spin" }
#define TAKE_OVER { "take-over", 't', NULL, \
		    "take over from the process that serves it, if there is one: no " \
		    "packet is lost, and that one ends" }
#define RING { "ring", 'R', "FRAMES", \
	       "places in a receive ring, a power of two; 2048 is the default" }
#define GUARD { "protect", 0, "PACKET", \
		"refuse to stop this packet: src=ADDRESS,dst=ADDRESS,proto=tcp,dport=22; may " \
		"be repeated. The SSH session that the command comes from is protected " \
		"anyway" }, \
	      { "force", 0, NULL, "protect nobody, not even this SSH session" }
#define LOCK { "wait", 0, "TIME", \
	       "wait no longer for another command that changes it: 500ms, 10s, 2m" }, \
	     { "no-wait", 0, NULL, "fail where another command is changing it" }
#define INTERVAL { "interval", 'i', "TIME", "between reports; 1s is the default" }
#define WORKERS { "workers", 0, "N", "share the ports out among so many threads; 1 is the default" }, \
		{ "cores", 0, "CORE[,CORE]...", "pin each worker to a core" }
#define CORE { "cores", 0, "CORE", "pin the worker to a core" }
#define WRITE { "write", 'W', "FILE", \
		"write a capture instead: pcapng if it is called so, else pcap; - is standard output" }
#define END { 0 }
/* clang-format on */

/* Of `run count`, `run dump` and so on: options_run.c. */
extern const struct shunt_option shunt_cli_count_options[], shunt_cli_dump_options[],
	shunt_cli_sample_options[], shunt_cli_capture_options[],
	shunt_cli_forward_options[], shunt_cli_drop_options[], shunt_cli_echo_options[],
	shunt_cli_kv_options[], shunt_cli_generate_options[], shunt_cli_ship_options[],
	shunt_cli_app_options[];
