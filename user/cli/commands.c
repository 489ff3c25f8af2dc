/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of commands. */
#include "loader/mode.h"
#include "user/cli/bench.h"
#include "user/cli/cli.h"
#include "user/cli/options.h"
#include "user/cli/tuple.h"

static const struct shunt_option check_options[] = {
	JSON,
	POLICY,
	{ "hook", 'H', "HOOK",
	  "warn of what this hook cannot do: xdp, tc-ingress, tc-egress or netfilter; "
	  "may be repeated" },
	END,
};
#define XDP_MODES SHUNT_MODES_XDP(SHUNT_MODE_TEXT, ", ")
#define TC_MODES SHUNT_MODES_TC(SHUNT_MODE_TEXT, ", ")
#define NETFILTER_MODES SHUNT_MODES_NETFILTER(SHUNT_MODE_TEXT, ", ")

static const struct shunt_option attach_options[] = {
	JSON,
	NETNS,
	POLICY,
	{ "hook", 'H', "HOOK",
	  "xdp (the default), tc-ingress, tc-egress or netfilter; may be repeated" },
	{ "mode", 'm', "MODE",
	  "auto (the default), or insist: " XDP_MODES " (xdp); " TC_MODES
	  " (tc); " NETFILTER_MODES " (netfilter)" },
	{ "chain", 0, "PRIORITY",
	  "join libxdp's dispatcher, beside others' XDP programs; 1 comes first" },
	GUARD,
	LOCK,
	END,
};
static const struct shunt_option apply_options[] = {
	JSON,
	NETNS,
	POLICY,
	{ "confirm", 'c', "TIME",
	  "on trial: unless `confirm` comes within this time, the policy before it "
	  "rules again" },
	GUARD,
	LOCK,
	END,
};
static const struct shunt_option confirm_options[] = { JSON, NETNS, LOCK, END };
static const struct shunt_option rollback_options[] = {
	JSON,
	NETNS,
	{ "changed-files", 0, NULL,
	  "take files that sets are filled from as they are, changed or not" },
	GUARD,
	LOCK,
	END,
};
static const struct shunt_option show_options[] = {
	JSON,
	NETNS,
	{ "history", 0, NULL, "list the policies that have ruled before instead" },
	END,
};
static const struct shunt_option detach_options[] = {
	JSON,
	NETNS,
	{ "hook", 'H', "HOOK", "take only this hook off" },
	{ "stale", 0, NULL, "remove what interfaces that are gone have left behind" },
	LOCK,
	END,
};
static const struct shunt_option fsck_options[] = {
	JSON,
	NETNS,
	{ "repair", 'r', NULL, "mend what is found" },
	{ "adopt", 0, NULL,
	  "and pin here what judges packets and is pinned nowhere that can be seen" },
	{ "take-off", 0, NULL,
	  "and take such off that is not adopted: its forwarding ends" },
	END,
};
static const struct shunt_option plain_options[] = { JSON, NETNS, END };
static const struct shunt_option probe_options[] = { JSON, NETNS, SHUNT_ADVISE_OPTIONS,
						     END };
static const struct shunt_option set_options[] = {
	JSON,
	NETNS,
	{ "file", 'F', "FILE",
	  "take elements from a file, one a line; - is standard input" },
	LOCK,
	END,
};
static const struct shunt_option list_options[] = { JSON, END };
static const struct shunt_option stats_options[] = {
	JSON,
	NETNS,
	{ "interval", 'i', "TIME", "again and again, with rates: 500ms, 1s" },
	{ "times", 't', "COUNT", "with --interval: stop after so many" },
	{ "ledger", 'l', NULL,
	  "where every packet went, from hook to consumer, and whether it adds up" },
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
	SHUNT_TUPLE_OPTIONS,
	{ "iface", 0, "NAME",
	  "with -p: as on this interface, for rules with \"iface\"" },
	END,
};
static const struct shunt_option diff_options[] = {
	JSON,
	NETNS,
	HOOK,
	{ "pcap", 'r', "FILE",
	  "compare over a capture, not over probe packets; - is standard input" },
	{ "iface", 0, "NAME",
	  "as on this interface, for rules with \"iface\"; that of @INTERFACE is the "
	  "default" },
	END,
};
static const struct shunt_option serve_options[] = {
	JSON,
	NETNS,
	CONSUMER,
	{ "socket", 's', "PATH", "where its clients connect: a UNIX socket" },
	{ "group", 'g', "GROUP", "the group that may connect" },
	{ "mode", 0, "MODE",
	  "of the socket; 0660 is the default with --group, else 0600" },
	{ "clients", 0, "COUNT", "clients at a time; 16 is the default" },
	{ "frames", 0, "COUNT", "frames that a client may have; 16384 is the default" },
	END,
};
static const struct shunt_option save_options[] = {
	JSON,
	NETNS,
	{ "output", 'o', "FILE",
	  "write into this file, at one moment; - is standard output" },
	{ "dir", 'D', "[DIR]",
	  "write one file an instance, for boot; /var/lib/shunt is the default" },
	{ "all-netns", 'a', NULL, "also of all network namespaces with a name" },
	END,
};
static const struct shunt_option restore_options[] = {
	JSON,
	NETNS,
	{ "dir", 'D', "[DIR]", "restore all files of a folder; /var/lib/shunt" },
	{ "only", 0, "INTERFACE", "restore this interface alone" },
	{ "check", 0, NULL, "only say what would be done" },
	GUARD,
	END,
};
static const struct shunt_option bench_options[] = { JSON, NETNS, SHUNT_BENCH_OPTIONS,
						     END };
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
	  "so. The policy then rules without any process. A further hook of an "
	  "attached interface joins its policy: leave out -p. Another owner's XDP "
	  "program is named and left alone; --chain runs beside those that xdp-loader "
	  "or another user of libxdp has attached, in the order of their priorities: "
	  "what the policy passes goes on to the next one.",
	  attach_options, shunt_cli_attach, true, true },
	{ "apply", "INTERFACE", 1, 1, "replace the policy of an attached interface",
	  "All hooks change over at one moment; no packet is lost, none sees a mix. "
	  "Counters of rules that keep their name go on. The new policy is tried by "
	  "test "
	  "runs before it rules: where it stops the SSH session that the command comes "
	  "from, it is refused.",
	  apply_options, shunt_cli_apply, true, true },
	{ "confirm", "INTERFACE", 1, 1, "keep the policy that is on trial",
	  "After `apply --confirm TIME`. Where that time is over it is too late: the "
	  "program has gone back to the policy before by itself.",
	  confirm_options, shunt_cli_confirm, true, true },
	{ "rollback", "INTERFACE [N]", 1, 2, "go back to an earlier policy",
	  "N policies back, 1 where it is left out; `show --history` numbers the eight "
	  "that are kept. It rules as a new generation, so that `rollback` once more "
	  "undoes this. It is guarded as apply is; but from a policy on trial it goes "
	  "back at once.",
	  rollback_options, shunt_cli_rollback, true, true },
	{ "detach", "[INTERFACE]", 0, 1, "take the policy off an interface",
	  "Without --hook nothing of Shunt's is left there: no program, map, link or "
	  "pin.",
	  detach_options, shunt_cli_detach, true, true },
	{ "fsck", "[INTERFACE]", 0, 1, "find and repair what killed commands have left",
	  "Looks at every instance, at the programs, maps and links that none has, and "
	  "says of each finding how it came about. Nothing is changed without "
	  "--repair; every command that changes an interface repairs its instance "
	  "first. What is not certainly Shunt's is never touched. Status 1: something "
	  "is left.",
	  fsck_options, shunt_cli_fsck, true, true },
	{ "probe", "[INTERFACE]", 0, 1, "what this kernel and an interface can do",
	  "Found by trying, on veths in a network namespace of their own. The "
	  "interface is only asked: nothing of it changes. --advise says which "
	  "transport serves which goal here, with the facts and, from --measured, the "
	  "numbers that speak for it, and what would change the answer: `shunt bench "
	  "transports --json >measured.json`, `shunt probe eth0 --advise --measured "
	  "measured.json --goal latency`.",
	  probe_options, shunt_cli_probe, true, false },
	{ "list", "", 0, 0, "what is attached, in all network namespaces", NULL,
	  list_options, shunt_cli_list, true, false },
	{ "show", "INTERFACE", 1, 1, "hooks, rules, sets and policy of an interface",
	  NULL, show_options, shunt_cli_show, true, false },
	{ "stats", "INTERFACE", 1, 1, "packets and bytes by rule, reason and verdict",
	  "Every packet has exactly one reason and one verdict: their sums are what "
	  "the hooks were offered. With --ledger, what became of them behind the "
	  "verdict: lost on the way to an interface, a CPU or a consumer, and why; "
	  "waiting, received, or lost with a consumer that died. It balances, or says "
	  "where it does not.",
	  stats_options, shunt_cli_stats, true, false },
	{ "explain", "[INTERFACE]", 0, 1, "what becomes of a packet, and why",
	  "Asks the program itself, by a test run: the one that is attached to "
	  "INTERFACE, or one of its own under the policy of -p. Nothing moves: no "
	  "counter, no limit, no copy. Beside the verdict and the rule it shows the "
	  "keys that matched, and earlier rules that missed by one key: `shunt explain "
	  "eth0 --src 192.0.2.1 --proto tcp --dport 443`. Status 1 also where the "
	  "program does not do what its policy says, which is a fault of Shunt's.",
	  explain_options, shunt_cli_explain, true, false },
	{ "diff", "OLD NEW", 2, 2, "what another policy would do otherwise",
	  "OLD and NEW are policy files, or @INTERFACE for the policy that rules "
	  "there. Tells what is written otherwise: rules, sets, ports, consumers; and "
	  "which packets would be treated otherwise, that is, with another verdict, "
	  "target or modifier: by old and new rule, how many, and an example. Packets "
	  "are those of a capture, or probes that are made for the rules of both; the "
	  "answers are those of a program under each policy. Dynamic sets keep their "
	  "members, as `apply` keeps them. Nothing changes, and the status is 0 either "
	  "way.",
	  diff_options, shunt_cli_diff, true, false },
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
	  "in TC, and one of kind \"ring\" by that alone. Until it runs, and once it "
	  "is gone, packets go the way of the consumer's \"if_down\".",
	  shunt_cli_count_options, shunt_cli_run_count, true, false },
	{ "run dump", "INTERFACE", 1, 1,
	  "consume a redirect, printing or saving packets",
	  "Serves a consumer as `run count` does. Of a frame that came by a ring "
	  "buffer, at most 9216 bytes are there.",
	  shunt_cli_dump_options, shunt_cli_run_dump, true, false },
	{ "run sample", "INTERFACE", 1, 1, "what rules sample and mirror into the ring",
	  "Each copy with the rule that made it, its verdict and why. Copies are made "
	  "for as long as this runs; those that it could not take in time are counted "
	  "as lost.",
	  shunt_cli_sample_options, shunt_cli_run_sample, true, false },
	{ "run capture", "INTERFACE|PORT", 1, 1, "packets into a pcapng file, with why",
	  "Captures what a consumer of the interface gets, what rules sample and "
	  "mirror, or what any port receives (af_packet:eth0, pcap:FILE). A packet "
	  "that came by a ring buffer has its rule, verdict and reason as a comment, "
	  "and the verdict as an option of pcapng: `shunt run capture eth0 --copies "
	  "--rule web --filter 'tcp port 443' -w web.pcapng`. With --rotate-size or "
	  "--rotate-time, files are numbered: web-000001.pcapng. What was lost is "
	  "counted on stderr and in the file.",
	  shunt_cli_capture_options, shunt_cli_run_capture, true, false },
	{ "run forward", "PORT PORT...", 1, 64, "forward frames from port to port",
	  "A port is SCHEME:DEVICE[,KEY=VALUE]...: af_xdp:eth1, af_packet:eth1, "
	  "pcap:in.pcap, pcap:out.pcap,write. What a full port does not take waits, "
	  "and "
	  "nothing more is read meanwhile: nothing is lost in here but what the "
	  "summary "
	  "names. A port af_xdp:IF without consumer=NAME is fed by a policy that is "
	  "attached for as long as this runs; where IF is under a policy already, name "
	  "a "
	  "consumer of it. Ends on ^C, at a limit, or with all its files. `shunt run "
	  "forward af_xdp:eth1 af_xdp:eth2`.",
	  shunt_cli_forward_options, shunt_cli_run_forward, false, false },
	{ "run drop", "PORT...", 1, 64, "receive frames and throw them away, counting",
	  "Ports are those of `run forward`.", shunt_cli_drop_options,
	  shunt_cli_run_drop, false, false },
	{ "run echo", "PORT...", 1, 16, "answer ARP, NDP, ping and UDP in user space",
	  "For addresses that the kernel does not own, so that a plain ping and any "
	  "UDP client are answered: `shunt run echo af_xdp:eth1 --address "
	  "192.0.2.9/24`. Ports are those of `run forward`; the kernel gets nothing of "
	  "a port that is fed. Checksums are checked. Broadcasts, fragments and "
	  "packets with IP options get no answer; the summary says how many, and what "
	  "else had none. A port that can only send (pcap:FILE,write) takes the "
	  "answers of those that can only receive.",
	  shunt_cli_echo_options, shunt_cli_run_echo, false, false },
	{ "run kv", "INTERFACE", 1, 1, "answer for keys and values, in the kernel",
	  "An XDP program answers UDP datagrams where they come in: \"get KEY\" by "
	  "\"val KEY VERSION VALUE\" or \"non KEY\", \"echo ...\" by \"said ...\". All "
	  "else "
	  "goes on to the kernel. `shunt run kv eth1 --port 7000 --set colour=green`, "
	  "then `echo get colour | nc -u ADDRESS 7000` (docs/run-kv.md).",
	  shunt_cli_kv_options, shunt_cli_run_kv, true, false },
	{ "run ship", "[INTERFACE|PORT]", 0, 1,
	  "write frames into another machine's memory, by RDMA",
	  "`shunt run ship --receive 192.0.2.2:7400 --write far.pcapng` on one "
	  "machine, "
	  "then `shunt run ship eth1 --consumer tap --to 192.0.2.2:7400` on the other: "
	  "what the policy of eth1 redirects to its consumer tap is written into a "
	  "ring "
	  "in the memory of 192.0.2.2, by one-sided WRITE, from where the NIC has put "
	  "it. Without --consumer all of the interface is shipped. Every frame is "
	  "counted: received = sent + lost. ADDRESS is one of an interface with an "
	  "RDMA "
	  "device; soft-RoCE makes one of any interface (docs/run-ship.md).",
	  shunt_cli_ship_options, shunt_cli_run_ship, false, false },
	{ "run generate", "PORT", 1, 1, "send frames: of a template, or of a capture",
	  "Options as those of `explain` describe the frame: `shunt run generate "
	  "af_packet:eth1 --src 192.0.2.1 --proto udp --dport 53 --rate 100k "
	  "--number`. "
	  "The rate is kept on average, also by a process that has to wait for its "
	  "core: what is late is sent at up to twice the rate, --burst at a time.",
	  shunt_cli_generate_options, shunt_cli_run_generate, false, false },
	{ "run app", "FILE", 1, 1, "run what a configuration describes",
	  "Memories, ports, cores, workers and applications, bound by name in one JSON "
	  "file, comments allowed (docs/run.md). All that is wrong with it is told at "
	  "once, each with its JSON pointer; nothing is started then. The limits given "
	  "here count, not the file's.",
	  shunt_cli_app_options, shunt_cli_run_app, true, false },
	{ "serve", "INTERFACE", 1, 1,
	  "hand a consumer's sockets to processes that are not root",
	  "Whoever may write to the socket PATH is handed AF_XDP sockets that are "
	  "bound "
	  "to queues of the consumer, and their memory: the port "
	  "af_xdp:INTERFACE,serve=PATH. A queue has one client at a time. It can "
	  "receive "
	  "what the policy redirects there, and send any frame out of the interface. "
	  "Takes Linux 6.5. Ends at ^C; its clients get nothing from then on. For "
	  "example: shunt serve eth1 --consumer dns --socket /run/dns.sock --group dns",
	  serve_options, shunt_cli_serve, true, false },
	{ "bench transports", "", 0, 0,
	  "measure every transport on this machine, in the same way",
	  "A client and a server process, each on a core of its own, in two network "
	  "namespaces with a veth between them, which are gone afterwards. Every "
	  "backend that works here: round trips one at a time and at a fixed rate "
	  "(from when they were due), one-way messages single and batched, several "
	  "clients, CPU time a message; by each way to wait; in rounds, all in turn. "
	  "Every reply's bytes are checked. Those that are missing say why. RDMA is "
	  "measured in this namespace, between two devices that are there. `shunt "
	  "bench "
	  "transports --beside --chart latency.svg`, `shunt bench transports --backend "
	  "epoll/udp --backend uring/udp --wait poll --against epoll/udp`, `shunt "
	  "bench "
	  "transports --backend rdma --beside --rdma 192.0.2.1,192.0.2.2`. With "
	  "--json, "
	  "the answer is what `probe --advise --measured` takes.",
	  bench_options, shunt_cli_bench_transports, false, false },
	{ "save", "", 0, 0, "write all instances, policies and sets to a file",
	  "One JSON document with the instances of this network namespace: interface, "
	  "hooks, policy, and the members that every set has now. Nothing else is "
	  "needed to restore it, and the same state gives the same bytes. Without -o "
	  "and --dir it goes to standard output. A file is replaced as a whole, or not "
	  "at all. With --dir, files of instances that are gone are removed.",
	  save_options, shunt_cli_save, true, false },
	{ "restore", "[FILE]", 0, 1, "bring back what was saved",
	  "Attaches what is not attached, applies where another policy or other "
	  "members rule, and leaves alone what is the same. Each instance as a whole "
	  "or not at all; one that cannot be restored is named with its reason, the "
	  "others are restored, and the status is 1. A mode that was insisted on is "
	  "insisted on again. Without FILE and --dir: from /var/lib/shunt, as the "
	  "systemd unit shunt@INTERFACE does at boot.",
	  restore_options, shunt_cli_restore, true, true },
	{ "completion", "", 0, 0, "a completion script for bash",
	  "To use it: source <(shunt completion)", no_options, shunt_cli_completion,
	  false, false },
	{ "man", "", 0, 0, "the manual page, as roff",
	  "To read it: shunt man | man -l -", no_options, shunt_cli_man, false, false },
	{ "help", "[COMMAND [WORD] | PORT]", 0, 2,
	  "this list, or all about one command or kind of port", NULL, no_options,
	  shunt_cli_help, false, false },
	{ "version", "", 0, 0, "the version of this program", NULL, list_options,
	  shunt_cli_version, false, false },
};

const size_t shunt_command_count = sizeof(shunt_commands) / sizeof(*shunt_commands);
