/* SPDX-License-Identifier: BSD-2-Clause */
/* What each of the applications can be told. */
#include "user/cli/cli.h"
#include "user/cli/options.h"
#include "user/cli/tuple.h"

const struct shunt_option shunt_cli_count_options[] = {
	JSON, NETNS, CONSUMER, DURATION, PACKETS, INTERVAL, WAIT, RING, TAKE_OVER, END,
};

const struct shunt_option shunt_cli_dump_options[] = {
	JSON, NETNS, CONSUMER, DURATION, PACKETS, WRITE, WAIT, RING, TAKE_OVER, END,
};

const struct shunt_option shunt_cli_sample_options[] = {
	JSON, NETNS, DURATION, PACKETS, WRITE, END,
};

const struct shunt_option shunt_cli_capture_options[] = {
	JSON,
	NETNS,
	CONSUMER,
	{ "copies", 'C', NULL, "capture what rules sample and mirror" },
	{ "write", 'w', "FILE",
	  "into this file: pcapng, or bytes and times alone where it ends in .pcap; - "
	  "is "
	  "standard output" },
	{ "filter", 'f', "EXPRESSION",
	  "only packets that tcpdump's expression takes: \"udp port 53\"" },
	{ "rule", 'r', "NAME", "only packets that this rule has decided" },
	{ "verdict", 'V', "VERDICT", "only packets with this verdict, such as drop" },
	{ "reason", 0, "REASON", "only packets with this reason, such as limited" },
	{ "snap", 's', "BYTES", "keep no more of a packet" },
	{ "rotate-size", 0, "BYTES", "a new file after so many: 1000000, 64K, 10M" },
	{ "rotate-time", 'G', "TIME", "a new file after so long: 30s, 10m" },
	{ "files", 0, "COUNT", "keep the last files, remove older ones" },
	DURATION,
	{ "packets", 'N', "COUNT", "stop once so many packets are written" },
	INTERVAL,
	{ "wait", 0, "HOW",
	  "adaptive (the default: spin for a moment, then sleep), poll or spin" },
	RING,
	GUARD,
	END,
};

const struct shunt_option shunt_cli_forward_options[] = {
	JSON,
	NETNS,
	{ "mode", 'm', "MODE",
	  "cross (the default: the first port to the second and back, the third to the "
	  "fourth), swap (back out of the same port, MAC addresses exchanged) or "
	  "table" },
	{ "table", 't', "FILE",
	  "next hops by longest prefix match, as in docs/run.md; implies --mode "
	  "table" },
	WORKERS,
	DURATION,
	PACKETS,
	INTERVAL,
	WAIT,
	GUARD,
	END,
};

const struct shunt_option shunt_cli_drop_options[] = {
	JSON,
	NETNS,
	{ "number", 0, NULL,
	  "look at the numbers of `run generate --number`: which are "
	  "missing, which came late" },
	WORKERS,
	DURATION,
	PACKETS,
	INTERVAL,
	WAIT,
	GUARD,
	END,
};

const struct shunt_option shunt_cli_echo_options[] = {
	JSON,
	NETNS,
	{ "address", 'a', "ADDRESS",
	  "answer for it: 192.0.2.9/24 (its network tells the broadcast address), "
	  "2001:db8::9; may be repeated" },
	{ "mac", 'm', "MAC", "answer from this address, not that of the interface" },
	{ "udp-port", 'u', "PORTS",
	  "send UDP back at these ports only, such as 7,9000-9010" },
	CORE,
	DURATION,
	PACKETS,
	INTERVAL,
	WAIT,
	GUARD,
	END,
};

const struct shunt_option shunt_cli_kv_options[] = {
	JSON,
	NETNS,
	{ "port", 'p', "PORT", "answer at this UDP port" },
	{ "address", 'a', "ADDRESS",
	  "answer for this address, IPv4 or IPv6; may be repeated, up to 8. All that "
	  "come to the interface's MAC address is the default" },
	{ "file", 'F', "FILE",
	  "keys and values: a JSON object of strings; - is stdin" },
	{ "set", 's', "KEY=VALUE", "one more; may be repeated" },
	{ "stdin", 0, NULL,
	  "take changes from standard input, a line each: set KEY VALUE, or del KEY" },
	{ "pass-misses", 0, NULL, "leave questions for unknown keys to the kernel" },
	{ "keys", 0, "COUNT", "so many at most; 65536 is the default" },
	{ "mode", 'm', "MODE", "auto (the default), native or generic" },
	DURATION,
	INTERVAL,
	END,
};

const struct shunt_option shunt_cli_generate_options[] = {
	JSON,
	NETNS,
	SHUNT_TUPLE_OPTIONS,
	{ "pcap", 'r', "FILE",
	  "send the packets of a capture, once, or again and again until --packets" },
	{ "rate", 0, "RATE",
	  "packets a second, such as 1000, 250k or 1.5M, or max (the default)" },
	{ "burst", 0, "N", "never more than so many at one moment; 64 is the default" },
	DURATION,
	{ "packets", 'N', "COUNT", "send so many" },
	{ "size", 0, "BYTES", "of a frame, without the FCS: the payload fills it up" },
	{ "flows", 0, "N", "as if from so many senders: the source ports count up" },
	{ "number", 0, NULL, "number the packets in their payload" },
	{ "live", 0, NULL,
	  "PORT is an interface: the kernel makes the frames itself, by a test run" },
	CORE,
	INTERVAL,
	WAIT,
	END,
};

const struct shunt_option shunt_cli_ship_options[] = {
	JSON,
	NETNS,
	{ "to", 0, "ADDRESS:PORT", "where the far end receives" },
	CONSUMER,
	{ "full", 0, "HOW",
	  "where the far ring is full, or nobody has it: wait (the default: then the "
	  "kernel throws away and counts) or drop (here, and counted)" },
	{ "lost", 0, "HOW", "when the far end is gone: again (the default), or end" },
	{ "from", 0, "ADDRESS", "of ours, to connect from; by routes unless told" },
	RING,
	TAKE_OVER,
	{ "receive", 0, "ADDRESS:PORT", "be the far end: the ring is here" },
	{ "write", 'o', "FILE",
	  "what is received goes into this file (pcapng); without it, it is counted" },
	{ "memory", 0, "BYTES", "of the ring, a power of two; 8M is the default" },
	{ "number", 0, NULL, "look at the numbers of `run generate --number`" },
	{ "once", 0, NULL, "end when the first sender has gone" },
	DURATION,
	PACKETS,
	INTERVAL,
	WAIT,
	CORE,
	GUARD,
	END,
};

const struct shunt_option shunt_cli_app_options[] = {
	JSON,	  NETNS,   { "check", 0, NULL, "only say whether the file is sound" },
	DURATION, PACKETS, INTERVAL,
	GUARD,	  END,
};
