/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of commands. */
#include "user/cli/cli.h"

/* clang-format off */
#define JSON { "json", 'j', NULL, "answer with JSON: one object, or one a line" }
#define NETNS { "netns", 'n', "NAME", \
		"work in this network namespace (a name of `ip netns`, or a path)" }
#define POLICY { "policy", 'p', "FILE", "the policy; - is standard input" }
#define HOOK { "hook", 'H', "HOOK", "xdp (the default), tc-ingress or tc-egress" }
#define CONSUMER { "consumer", 'c', "NAME", "the consumer of the policy to serve" }
#define DURATION { "duration", 'd', "TIME", "stop after this time: 500ms, 10s, 2m" }
#define PACKETS { "packets", 'N', "COUNT", "stop after this many packets" }
#define WAIT { "wait", 'w', "HOW", \
	       "adaptive (the default: spin for a moment, then sleep), poll or spin" }
#define RING { "ring", 'R', "FRAMES", \
	       "places in a receive ring, a power of two; 2048 is the default" }
#define END { 0 }
/* clang-format on */

static const struct shunt_option check_options[] = {
	JSON,
	POLICY,
	{ "hook", 'H', "HOOK",
	  "warn of what this hook cannot do: xdp, tc-ingress or tc-egress; may be "
	  "repeated" },
	END,
};
static const struct shunt_option attach_options[] = {
	JSON,
	NETNS,
	POLICY,
	{ "hook", 'H', "HOOK",
	  "xdp (the default), tc-ingress or tc-egress; may be repeated" },
	{ "mode", 'm', "MODE",
	  "auto (the default), or insist: native, generic (xdp); tcx, clsact (tc)" },
	{ "chain", 0, "PRIORITY",
	  "join libxdp's dispatcher, beside others' XDP programs; 1 comes first" },
	END,
};
static const struct shunt_option apply_options[] = { JSON, NETNS, POLICY, END };
static const struct shunt_option detach_options[] = {
	JSON,
	NETNS,
	{ "hook", 'H', "HOOK", "take only this hook off" },
	{ "stale", 0, NULL, "remove what interfaces that are gone have left behind" },
	END,
};
static const struct shunt_option plain_options[] = { JSON, NETNS, END };
static const struct shunt_option set_options[] = {
	JSON,
	NETNS,
	{ "file", 'F', "FILE",
	  "take elements from a file, one a line; - is standard input" },
	END,
};
static const struct shunt_option list_options[] = { JSON, END };
static const struct shunt_option stats_options[] = {
	JSON,
	NETNS,
	{ "interval", 'i', "TIME", "again and again, with rates: 500ms, 1s" },
	{ "times", 't', "COUNT", "with --interval: stop after so many" },
	END,
};
static const struct shunt_option explain_options[] = {
	JSON,
	NETNS,
	POLICY,
	HOOK,
	{ "pcap", 'r', "FILE",
	  "explain every packet of a capture; - is standard input" },
	{ "frame", 'f', "HEX", "explain one Ethernet frame, as hex digits" },
	END,
};
static const struct shunt_option count_options[] = {
	JSON,	  NETNS,
	CONSUMER, DURATION,
	PACKETS,  { "interval", 'i', "TIME", "between reports; 1s is the default" },
	WAIT,	  RING,
	END,
};
static const struct shunt_option dump_options[] = {
	JSON,
	NETNS,
	CONSUMER,
	DURATION,
	PACKETS,
	{ "write", 'W', "FILE", "write a pcap file instead; - is standard output" },
	WAIT,
	RING,
	END,
};
static const struct shunt_option sample_options[] = {
	JSON,
	NETNS,
	DURATION,
	PACKETS,
	{ "write", 'W', "FILE", "write a pcap file instead; - is standard output" },
	END,
};
static const struct shunt_option no_options[] = { END };

const struct shunt_command shunt_commands[] = {
	{ "check", "[FILE]", 0, 1, "check a policy; needs no root",
	  "Reports every error and warning at once, each with its JSON pointer. Of a "
	  "sound policy it tells the kernel's memory that it takes, the features of "
	  "the programs that it needs, and, with --hook, what a hook cannot do of it. "
	  "Status 1: it is not sound.",
	  check_options, shunt_cli_check, false, false },
	{ "attach", "INTERFACE", 1, 1, "put an interface under a policy",
	  "Loads the program, fills its maps, pins both under /sys/fs/bpf/shunt and "
	  "attaches. Native XDP is tried first; generic XDP is the fallback, and said "
	  "so. "
	  "The policy then rules without any process. A further hook of an attached "
	  "interface joins its policy: leave out -p. Another owner's XDP program is "
	  "named and left alone; --chain runs beside those that xdp-loader or another "
	  "user of libxdp has attached, in the order of their priorities: what the "
	  "policy passes goes on to the next one.",
	  attach_options, shunt_cli_attach, true, true },
	{ "apply", "INTERFACE", 1, 1, "replace the policy of an attached interface",
	  "All hooks change over at one moment; no packet is lost, none sees a mix. "
	  "Counters of rules that keep their name go on.",
	  apply_options, shunt_cli_apply, true, true },
	{ "detach", "[INTERFACE]", 0, 1, "take the policy off an interface",
	  "Without --hook nothing of Shunt's is left there: no program, map, link or "
	  "pin.",
	  detach_options, shunt_cli_detach, true, true },
	{ "probe", "[INTERFACE]", 0, 1, "what this kernel and an interface can do",
	  "Found by trying, on veths in a network namespace of their own. The "
	  "interface is only asked: nothing of it changes.",
	  plain_options, shunt_cli_probe, true, false },
	{ "list", "", 0, 0, "what is attached, in all network namespaces", NULL,
	  list_options, shunt_cli_list, true, false },
	{ "show", "INTERFACE", 1, 1, "hooks, rules, sets and policy of an interface",
	  NULL, plain_options, shunt_cli_show, true, false },
	{ "stats", "INTERFACE", 1, 1, "packets and bytes by rule, reason and verdict",
	  "Every packet has exactly one reason and one verdict: their sums are what "
	  "the "
	  "hooks were offered.",
	  stats_options, shunt_cli_stats, true, false },
	{ "explain", "[INTERFACE]", 0, 1, "what becomes of a packet, and why",
	  "Asks the program itself, by a test run: the one that is attached to "
	  "INTERFACE, or one of its own under the policy of -p. Nothing moves: no "
	  "counter, no limit, no copy.",
	  explain_options, shunt_cli_explain, true, false },
	{ "set add", "INTERFACE SET [ELEMENT...]", 2, 1024, "add members to a set",
	  "All of them or, where something is wrong, none. Many are put into place at "
	  "one moment. An element is what the set's type says: 192.0.2.1, "
	  "192.0.2.0/24, or 192.0.2.1,tcp:443; IPv6 as well.",
	  set_options, shunt_cli_set_edit, true, true },
	{ "set del", "INTERFACE SET [ELEMENT...]", 2, 1024, "delete members of a set",
	  "All of them or, where something is wrong, none. A prefix that another one "
	  "contains is a member by itself.",
	  set_options, shunt_cli_set_edit, true, true },
	{ "set replace", "INTERFACE SET [ELEMENT...]", 2, 1024,
	  "give a set other members, at one moment",
	  "No packet sees a set that is half the old one and half the new one.",
	  set_options, shunt_cli_set_edit, true, true },
	{ "set list", "INTERFACE SET", 2, 2, "the members of a set",
	  "One a line, as `set replace --file` takes them.", plain_options,
	  shunt_cli_set_list, true, false },
	{ "set test", "INTERFACE SET ADDRESS", 3, 3,
	  "is an address in a set, and by which element",
	  "In a set of type address-port: ADDRESS,PROTOCOL:PORT. Exits with status 1 "
	  "where it is not.",
	  plain_options, shunt_cli_set_test, true, false },
	{ "run count", "INTERFACE", 1, 1, "consume a redirect, counting packets",
	  "Serves a consumer of the policy by its sockets in XDP, by its ring buffer "
	  "in "
	  "TC, and one of kind \"ring\" by that alone. Until it runs, and once it is "
	  "gone, packets go the way of the consumer's \"if_down\".",
	  count_options, shunt_cli_run_count, true, false },
	{ "run dump", "INTERFACE", 1, 1,
	  "consume a redirect, printing or saving packets",
	  "Serves a consumer as `run count` does. Of a frame that came by a ring "
	  "buffer, at most 9216 bytes are there.",
	  dump_options, shunt_cli_run_dump, true, false },
	{ "run sample", "INTERFACE", 1, 1, "what rules sample and mirror into the ring",
	  "Each copy with the rule that made it, its verdict and why. Copies are made "
	  "for as long as this runs; those that it could not take in time are counted "
	  "as lost.",
	  sample_options, shunt_cli_run_sample, true, false },
	{ "completion", "", 0, 0, "a completion script for bash",
	  "To use it: source <(shunt completion)", no_options, shunt_cli_completion,
	  false, false },
	{ "man", "", 0, 0, "the manual page, as roff",
	  "To read it: shunt man | man -l -", no_options, shunt_cli_man, false, false },
	{ "help", "[COMMAND [WORD]]", 0, 2, "this list, or all about one command", NULL,
	  no_options, shunt_cli_help, false, false },
	{ "version", "", 0, 0, "the version of this program", NULL, list_options,
	  shunt_cli_version, false, false },
};

const size_t shunt_command_count = sizeof(shunt_commands) / sizeof(*shunt_commands);
