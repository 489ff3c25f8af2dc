#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a datagram costs that is thrown away, by who throws it: the kernel module's hook, a BPF
program in XDP, TC or netfilter, and the stack itself with a socket that nobody reads.

    bench/hooks.py         as root, in a guest of tests/vm/run: pktgen wants modules

Where the kernel module is not loaded it is left out.

The kernel's own generator (pktgen) sends datagrams of 18 bytes over a veth; the receiver's softirq
runs inside the sender's loop on the same CPU, so its rate is that of sending and throwing away
together. All rows in turn, for several rounds; medians, and the time beside XDP's.
"""
import ctypes
import fcntl
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import tempfile

SHUNT = "build/shunt"
PORT, ROUNDS, PACKETS = 7000, 5, 100000
NEAR, FAR = "192.0.2.1", "192.0.2.2"
BIND = 0xC050D701
libc = ctypes.CDLL(None, use_errno=True)


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")


def enter(name):
    with open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns {name}")


def pktgen(path, *lines):
    for line in lines:
        with open(f"/proc/net/pktgen/{path}", "w") as file:
            file.write(line + "\n")


def ready(mac):
    enter("bf")
    pktgen("kpktgend_0", "rem_device_all", "add_device bb")
    pktgen("bb", f"count {PACKETS}", "pkt_size 60", "delay 0", f"dst {NEAR}",
           f"src_min {FAR}", f"src_max {FAR}", f"dst_mac {mac}", f"udp_dst_min {PORT}",
           f"udp_dst_max {PORT}", "udp_src_min 9", "udp_src_max 9", "flag NO_TIMESTAMP")


def measure():
    """ns a packet, sending included."""
    enter("bf")
    pktgen("pgctrl", "start")
    with open("/proc/net/pktgen/bb") as file:
        result = file.read().split("Result: ")[1]
    return 1e9 / int(result.split("\n")[1].split("pps")[0])


def abi():
    with open("maps/kmod.h") as file:
        return int(re.search(r"#define SHUNT_KMOD_ABI (\d+)", file.read())[1])


class Policy:
    def __init__(self, hook):
        self.hook = hook

    def __enter__(self):
        policy = {"schema": "shunt.policy/1", "default": "pass", "rules": [
            {"name": "away", "match": {"proto": "udp", "dport": PORT}, "action": "drop"}]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(policy, file)
            file.flush()
            run(SHUNT, "attach", "ba", "-n", "bn", "-H", self.hook, "-p", file.name)

    def __exit__(self, *what):
        run(SHUNT, "detach", "ba", "-n", "bn")


class Module:
    """A port whose user gives no slot back."""

    def __enter__(self):
        enter("bn")
        self.fd = os.open("/dev/shunt", os.O_RDWR)
        fcntl.ioctl(self.fd, BIND, bytearray(struct.pack(
            "=IIII 16sIHH QQQQQ", abi(), 64, 2048, 64, socket.inet_aton(NEAR), 0, PORT, 4,
            0, 0, 0, 0, 0)))

    def __exit__(self, *what):
        os.close(self.fd)


class Stack:
    def __enter__(self):
        enter("bn")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NEAR, PORT))

    def __exit__(self, *what):
        self.socket.close()


def rows():
    found = {"XDP program": Policy("xdp"), "TC program": Policy("tc-ingress")}
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 4):
        found["netfilter program"] = Policy("netfilter")
    if os.path.exists("/dev/shunt"):
        found["kernel module, no slot free"] = Module()
    found["socket that nobody reads"] = Stack()
    return found


def main():
    os.sched_setaffinity(0, {0})
    run("modprobe", "-a", "pktgen", "veth")
    for name in ("bn", "bf"):
        run("ip", "netns", "add", name)
    run("ip", "-n", "bn", "link", "add", "ba", "type", "veth", "peer", "name", "bb", "netns", "bf")
    for name, device, address in (("bn", "ba", NEAR), ("bf", "bb", FAR)):
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
        run("ip", "-n", name, "link", "set", device, "up")
    link = subprocess.run(["ip", "-n", "bn", "-j", "link", "show", "ba"], capture_output=True,
                          check=True).stdout
    ready(json.loads(link)[0]["address"])
    times = {}
    for _ in range(ROUNDS):
        for name, row in rows().items():
            with row:
                times.setdefault(name, []).append(measure())
    first = statistics.median(times["XDP program"])
    for name, spent in times.items():
        print(f"{name:30} {statistics.median(spent):8.0f} ns  {statistics.median(spent) / first:5.2f}"
              f"  ({min(spent):.0f} to {max(spent):.0f})")


main()
