/* SPDX-License-Identifier: BSD-2-Clause */
/* The decision tree, as a table: goals, and what serves them in the order of preference. */
#include "user/apps/advise.h"

#define LATENCY                                                                        \
	.says = "median round trip", .kind = "round-trip", .figure = "p50",            \
	.unit = "us", .scale = 1e-3, .batch = 1
#define THROUGHPUT                                                                     \
	.says = "one-way, batched,", .kind = "one-way", .figure = "messages_per_s",    \
	.unit = "M messages/s", .scale = 1e-6, .batch = 64, .more = true

#define SOCKETS_DO "an ordinary socket, which every kernel and every NIC has"
#define RING_DOES                                                                      \
	"fewer system calls than epoll for the same sockets, and the same stack below"
#define RAW_DOES                                                                       \
	"AF_PACKET rings pass by the socket layer, with any driver, and need no "      \
	"program"

const struct shunt_advise_goal shunt_advise_goals[] = {
	{ .name = "throughput",
	  .help = "as many messages a second as possible",
	  THROUGHPUT,
	  .waits = { "spin", "adaptive", "poll" },
	  .spins = true,
	  .candidates = {
		{ "dpdk", { "physical-nic", "spare-cores" },
		  "a driver in user space on cores of its own moves the most packets" },
		{ "afxdp", { "nic-xdp-native", "zero-copy" },
		  "the NIC writes into our memory, and the kernel keeps the interface" },
		{ "afxdp", { "nic-xdp-native" },
		  "native XDP hands frames over before the stack, with one copy" },
		{ "uring", { NULL }, RING_DOES },
		{ "epoll", { NULL },
		  "sendmmsg, recvmmsg and GSO share the cost of a call among messages" },
	  },
	  .changes = {
		{ "nic-xdp-native", "native XDP on the interface would make it afxdp" },
		{ "zero-copy", "zero copy would spare afxdp the copy of each frame" },
		{ "physical-nic", "a NIC of its own would let dpdk drive it" },
		{ "spare-cores", "cores to spare would let the ends spin" },
		{ "dpdk", "the plug-in for DPDK would put it first" },
	  } },
	{ .name = "latency",
	  .help = "round trips as short as possible",
	  LATENCY,
	  .waits = { "spin", "adaptive", "poll" },
	  .spins = true,
	  .candidates = {
		{ "afxdp", { "nic-xdp-native" },
		  "frames go from the driver to user space past the whole stack" },
		{ "raw", { NULL }, RAW_DOES },
		{ "ringbuf", { NULL },
		  "a BPF program hands messages over without a socket, and raw frames "
		  "go back" },
		{ "dpdk", { "spare-cores" },
		  "polls the NIC from user space, for which it needs cores" },
		{ "uring", { NULL }, RING_DOES },
		{ "epoll", { NULL }, SOCKETS_DO },
	  },
	  .changes = {
		{ "nic-xdp-native", "native XDP on the interface would make it afxdp" },
		{ "spare-cores", "with a core to spare an end can spin, which saves the "
				 "waking of a halted one" },
		{ "answers-from-a-map", "a server whose answers stand in a map does it "
					"fastest in XDP itself: `shunt run kv`, xdp://" },
	  } },
	{ .name = "custom-packets",
	  .help = "frames and headers of one's own",
	  THROUGHPUT,
	  .waits = { "spin", "adaptive", "poll" },
	  .candidates = {
		{ "afxdp", { "nic-xdp-native" },
		  "whole frames of any kind in both directions, past the stack" },
		{ "raw", { NULL }, RAW_DOES },
		{ "dpdk", { "physical-nic", "spare-cores" },
		  "whole frames by a driver in user space" },
	  },
	  .changes = {
		{ "nic-xdp-native", "native XDP on the interface would make it afxdp" },
		{ "physical-nic", "a NIC of its own would let dpdk drive it" },
	  } },
	{ .name = "portable",
	  .help = "the same code on Linux, BSD and macOS",
	  LATENCY,
	  .in_order = true,
	  .waits = { "adaptive", "poll", "spin" },
	  .candidates = {
		{ "kqueue", { NULL }, "the event loop of BSD and macOS, here as well" },
		{ "epoll", { NULL },
		  "Linux alone, but its UDP and TCP are what kqueue:// speaks elsewhere" },
	  },
	  .changes = {
		{ "kqueue", "a kqueue on this machine would run the very code of the "
			    "others" },
	  } },
	{ .name = "cloud",
	  .help = "rented machines: shared cores, virtual NICs, containers",
	  .says = "99 % of an open loop within", .kind = "open-loop", .figure = "p99", .unit = "us", .scale = 1e-3, .batch = 1,
	  .waits = { "adaptive", "poll", "spin" },
	  .candidates = {
		{ "afxdp", { "nic-xdp-native" },
		  "several clouds' virtual NICs have native XDP, and no core has to "
		  "spin" },
		{ "uring", { NULL }, RING_DOES },
		{ "epoll", { NULL }, SOCKETS_DO },
	  },
	  .changes = {
		{ "nic-xdp-native", "native XDP on the interface would make it afxdp" },
		{ "uring", "containers often forbid io_uring: where it is allowed, it "
			   "comes before epoll" },
	  } },
	{ .name = NULL },
};
