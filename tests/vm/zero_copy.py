#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What AF_XDP ports on a guest's NICs say of themselves, held against the kernel's own word.

    tests/vm/zero_copy.py zero-copy|native [WORDS]    only the tests whose names have the words

SHUNT_NICS names two NICs of one or several queues that a wire joins (tests/vm/nics), and the first
word is the best mode that this kernel gives them. One NIC sends by the kernel's own stack, which
leaves checksums to the NIC; the other one is Shunt's.
"""
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import frame as fr  # pylint: disable=wrong-import-position
import shunt as sh  # pylint: disable=wrong-import-position

FLOWS = 64
SECONDS = 30
ECHO = "192.0.2.9"
MODE = sys.argv[1]
TELLS = os.path.exists("/sys/module/xsk_diag")  # Debian's 6.1 comes without it


def to_tap(**match):
    """A policy. No heartbeat is asked for: an emulated CPU may stand still for longer."""
    return {"consumers": {"tap": {"kind": "xsk", "queues": "all", "heartbeat": "off"}},
            "rules": [{"name": "tap", "match": match, "action": {"redirect": {"consumer": "tap"}}}]}


TAP = to_tap(proto="udp", dport=9)


class Wire(sh.Wire):
    """One of NICs, which are given back at its end."""

    def _nics(self, verb):
        subprocess.run(["tests/vm/nics", verb, self.a.path, "a0", self.b.path, "b0"], check=True,
                       cwd=sh.ROOT)

    def _join(self, _queues):
        self._nics("take")
        self.a.ip("link set a0 address 02:00:00:00:00:0a")
        self.b.ip("link set b0 address 02:00:00:00:00:0b")
        told = self.b.run("ethtool", "-l", "b0").stdout
        self.queues = int(re.findall(r"^Combined:\s+(\d+)", told, re.M)[1])

    def _leave(self):
        super()._leave()
        if os.path.exists(self.b.path):
            self._nics("give")

    def flows(self, address, port, count=FLOWS):
        """A socket for each of so many flows to there, one after the other."""
        for number in range(count):
            with self.a.entered():
                plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with plain:
                plain.bind((sh.A4, 20000 + number))
                plain.connect((address, port))
                plain.settimeout(SECONDS)
                yield plain


def check_kernel(wire):
    """The AF_XDP sockets of b0, one a queue, are as xsk_diag tells of them."""
    if not TELLS:
        return
    told = wire.b.run("ss", "--xdp", "-e", "-n").stdout
    found = dict(re.findall(r"\bb0:q(\d+)\b.*?\bumem\([^)]*\bzc:([01])", told, re.S))
    assert {int(queue): word == "1" for queue, word in found.items()} == \
        {queue: MODE == "zero-copy" for queue in range(wire.queues)}, told


def ready(process):
    """Until it has written its first report, or has failed."""
    sh.wait(lambda: process.lines or process.popen.poll() is not None, "its first report", SECONDS)
    assert process.popen.poll() is None, process.err
    return process


def ended(process):
    assert process.end(2, SECONDS) == 0, process.err
    return process.replies()[-1]


def check(described, queues):
    """What a port says of itself, for each of its queues."""
    zero_copy = MODE == "zero-copy"
    assert described["mode"] == MODE, described
    assert ("zero-copy" in described["capabilities"]) == zero_copy, described
    assert [item["queue"] for item in described["queues"]] == list(range(queues)), described
    for item in described["queues"]:
        assert item["zero_copy"] == zero_copy, described
        # the reason stands there where it is none, and only there
        assert ("zero_copy_refused" in item) != zero_copy, described


# --- tests ----------------------------------------------------------------------------------

def the_probe_says_what_the_driver_can(wire):
    """`shunt probe` and what bind() gives are of one opinion"""
    (row,) = [row for row in sh.shunt("probe", "b0", ns=wire.b)["interface"]["features"]
              if row["name"] == "af-xdp-zerocopy"]
    # kernels before 6.3 do not tell, and it says so
    assert row["answer"] in (["yes"] if MODE == "zero-copy" else ["no", "unknown"]), row


def what_is_insisted_on_is_given_or_refused(wire):
    """mode=zero-copy is that, or an error with a reason; never a copy"""
    done = wire.b.run(sh.BINARY, "run", "drop", "af_xdp:b0,mode=zero-copy,queues=all",
                      "--duration", "100ms", "--json", "--netns", wire.b.name, ok=False)
    if MODE == "zero-copy":
        assert not done.returncode, done
        return
    assert done.returncode == 1, done
    # which attaches a program first
    assert "zero copy on b0, queue 0: its driver cannot" in done.stderr, done


def answers_cross_every_queue(wire):
    """echoes of 64 flows by all queues; sums are whole both ways"""
    wire.attach(to_tap())
    echo = ready(wire.b.start(
        sh.BINARY, "run", "echo", "af_xdp:b0,consumer=tap,queues=all", "--address", ECHO + "/24",
        "--netns", wire.b.name, "--json", "--interval", "100ms"))
    check_kernel(wire)
    for number, plain in enumerate(wire.flows(ECHO, 7)):
        message = b"%0*d" % (number * 20 + 1, number)
        plain.send(message)
        assert plain.recv(4096) == message
    report = ended(echo)
    (port,), (app,) = report["ports"], report["applications"]
    check(port["describe"], wire.queues)
    assert app["answered"]["udp"] == FLOWS and app["answered"]["udp-partial"] == 0, app
    assert not any(count for name, count in app["unanswered"].items()
                   if name.startswith("checksum")), app
    wire.detach()


def flows_spread_over_the_queues(wire):
    """a consumer of a policy gets packets of every queue, and tells how"""
    wire.attach(TAP)
    count = ready(wire.b.start(sh.BINARY, "run", "count", "b0", "--consumer", "tap", "--netns",
                               wire.b.name, "--json", "--interval", "100ms"))
    check_kernel(wire)
    for plain in wire.flows(sh.B4, 9):
        for _ in range(4):
            plain.send(b"x" * 100)
    sh.wait(lambda: count.replies()[-1]["packets"] == 4 * FLOWS, "all of them", SECONDS)
    report = ended(count)
    assert [item["mode"] for item in report["queues"]] == [MODE] * wire.queues, report
    assert all(item["packets"] for item in report["queues"]), report
    print("   packets by queue:", [item["packets"] for item in report["queues"]])
    assert wire.seen(4 * FLOWS).verdict("redirect-consumer") == 4 * FLOWS
    wire.detach()


def sums_are_whole(wire):
    """the bytes that arrive have checksums that add up, though their sender left them to its NIC"""
    assert "tx-checksum-ip-generic: on" in wire.a.run("ethtool", "-k", "a0").stdout
    wire.attach(TAP)
    path = wire.file("tap.pcap")
    capture = ready(wire.b.start(sh.BINARY, "run", "capture", "b0", "--consumer", "tap", "--write",
                                 path, "--netns", wire.b.name, "--json", "--interval", "100ms"))
    for number, plain in enumerate(wire.flows(sh.B4, 9, 16)):
        plain.send(os.urandom(1 + number * 90))
    sh.wait(lambda: capture.replies()[-1]["written"] == 16, "all of them", SECONDS)
    ended(capture)
    frames = [one for one, _ in fr.read_pcap(path)]
    assert len(frames) == 16
    for one in frames:
        ip = one[14:]
        assert ip[9] == fr.UDP and fr.checksum(ip[:20]) == 0, one.hex()
        length = int.from_bytes(ip[24:26], "big")
        pseudo = ip[12:20] + bytes([0, fr.UDP]) + ip[24:26]
        assert ip[26:28] != b"\0\0" and fr.checksum(pseudo + ip[20:20 + length]) == 0, one.hex()
    wire.detach()


def numbered_frames_cross_both_ways(wire):
    """from Shunt's port to Shunt's port: each is received, or counted as lost"""
    for sender, receiver in ((("a", "a0"), ("b", "b0")), (("b", "b0"), ("a", "a0"))):
        there, here = getattr(wire, receiver[0]), getattr(wire, sender[0])
        sh.shunt("attach", receiver[1], "-p", wire.policy(to_tap()), ns=there)
        drop = ready(there.start(sh.BINARY, "run", "drop",
                                 "af_xdp:%s,consumer=tap,queues=all" % receiver[1], "--number",
                                 "--netns", there.name, "--json", "--interval", "100ms"))
        made = here.run(sh.BINARY, "run", "generate", "af_xdp:%s,rx=off" % sender[1], "--src",
                        sh.A4, "--dst", sh.B4, "--proto", "udp", "--dport", "9", "--number",
                        "--packets", "4000", "--rate", "4000", "--netns", here.name, "--json",
                        "--dst-mac", there.link(receiver[1])["address"])
        sent = sh.validate(sh.json.loads(made.stdout.splitlines()[-1]))
        (tx,) = sent["ports"]
        assert tx["tx_packets"] == 4000 and not tx["tx_copied"] and not tx["tx_failed"], tx
        assert tx["describe"]["mode"] == ("zero-copy" if MODE == "zero-copy" else "copy"), tx

        def told(process=drop):
            (port,) = process.replies()[-1]["ports"]
            return port["rx_packets"] + port["rx_dropped"] + port["rx_ring_full"]

        try:
            sh.wait(lambda: told() >= 4000, "4000 frames, or what became of them", SECONDS)
        except AssertionError:
            print(drop.replies()[-1])
            raise
        report = ended(drop)
        (rx,) = report["ports"]
        check(rx["describe"], wire.queues)
        assert report["numbered"] + rx["rx_dropped"] + rx["rx_ring_full"] >= 4000, report
        assert report["missing"] == rx["rx_dropped"] + rx["rx_ring_full"], report
        print("   %s: %d of 4000 arrived, %d late" % (receiver[1], report["numbered"],
                                                      report["late"]))
        sh.shunt("detach", receiver[1], ns=there)


TESTS = (the_probe_says_what_the_driver_can, what_is_insisted_on_is_given_or_refused,
         answers_cross_every_queue, flows_spread_over_the_queues, sums_are_whole,
         numbered_frames_cross_both_ways)


def show_counters(wire):
    """What both NICs and their drivers have counted."""
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        for words in (("ip", "-s", "link", "show", name), ("ethtool", "-S", name)):
            lines = ns.run(*words).stdout.splitlines()
            print("\n".join(line for line in lines if not line.endswith(": 0")))


def main():
    if not TELLS:
        print("no xsk_diag in this kernel: what sockets are is the ports' word alone")
    with Wire() as wire:
        for test in TESTS:
            if len(sys.argv) > 2 and sys.argv[2] not in test.__name__:
                continue
            begin = time.monotonic()
            try:
                test(wire)
            except AssertionError:
                show_counters(wire)
                raise
            print("ok %s: %s (%.1f s)" % (test.__name__, test.__doc__, time.monotonic() - begin),
                  flush=True)


main()
