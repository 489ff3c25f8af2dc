# SPDX-License-Identifier: BSD-2-Clause
"""`run count` and `run dump`: what a policy redirects arrives, and is all accounted for."""
import re
import signal
import socket

import pytest

import frame as fr
import kernel
import shunt as sh
from shunt import B4

FRAGS = kernel.needs("af-xdp-frags", "6.6")
HEARTBEAT = "%dms" % round(3000 * sh.PATIENCE)  # longer than a process waits for a CPU
POLICY = {"default": "drop",
          "consumers": {"tap": {"kind": "xsk", "if_down": "pass", "heartbeat": HEARTBEAT},
                        "second": {"kind": "xsk", "queues": [1], "if_down": "drop"}},
          "rules": [{"name": "tap", "match": {"proto": "udp", "dport": "5000-5999"},
                     "action": {"redirect": {"consumer": "tap"}}},
                    {"name": "second", "match": {"proto": "udp", "dport": 6000},
                     "action": {"redirect": {"consumer": "second"}}},
                    {"name": "icmp", "match": {"proto": "icmp"}, "action": "pass"}]}


def start(wire, app, *options, consumer="tap", json=True):
    words = ["--json"] if json else []
    argv = [sh.BINARY, "run", app, "b0", "--consumer", consumer, "--netns", wire.b.name, *options,
            *words]
    return wire.b.start(*argv)


def consume(wire, app, *options, consumer="tap", json=True):
    """Starts a consumer; returns when its sockets stand in the map."""
    return sh.consume(wire, app,
                      lambda process: process.lines if consumer != "tap" else taken(wire),
                      *options, *(["--json"] if json else []), consumer=consumer)


def taken(wire):
    """Would a packet of queue 0 find a consumer? The program knows; the map shows nobody."""
    frame = fr.eth(fr.ip4(fr.udp(b"x", 4000, 5000))).hex()
    reply = sh.shunt("explain", "b0", "--frame", frame, ns=wire.b)
    assert (reply["verdict"], reply["reason"]) in (("redirect-consumer", "rule"),
                                                   ("pass", "consumer-down"))
    return reply["verdict"] == "redirect-consumer"


def received(process, packets, field="packets"):
    """Waits until a reply of the consumer tells so many packets; the last reply."""
    return sh.wait(lambda: [reply for reply in process.replies() if reply[field] >= packets],
                   "%d packets in %s" % (packets, process.argv))[-1]


def test_count_counts_what_was_sent(wire):
    wire.attach(POLICY)
    process = consume(wire, "count", "--interval", "20ms")
    sh.datagrams(wire, 2000)
    assert wire.a.ping(B4, 3) == 3
    reply = received(process, 2000)
    assert not reply["final"] and reply["bytes"] == 2000 * 62
    stats = wire.seen(2003)
    assert stats.rule("tap") == stats.verdict("redirect-consumer") == 2000
    assert process.end(signal.SIGINT) == 0
    last = process.replies()[-1]
    assert last["final"] and last["packets"] == 2000 and last["bytes"] == 2000 * 62
    assert last["unread"] == 0 and not any(last["drops"].values())
    assert [(queue["queue"], queue["mode"]) for queue in last["queues"]] == [(0, "native")]
    assert sum(reply["final"] for reply in process.replies()) == 1


@FRAGS
def test_count_says_what_the_kernel_gave_and_takes_jumbo_packets(wire):
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.ip("link set %s mtu 9000" % name)
    wire.attach(POLICY, "--mode", "generic")
    process = consume(wire, "count", "--packets", "7")
    sh.datagrams(wire, 7, size=8000)
    assert process.end() == 0
    last = process.replies()[-1]
    assert [queue["mode"] for queue in last["queues"]] == ["generic"]
    assert (last["packets"], last["bytes"]) == (7, 7 * 8042)


@FRAGS
def test_dump_puts_jumbo_packets_together(wire):
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.ip("link set %s mtu 9000" % name)
    wire.attach(POLICY)
    path = wire.file("dump.pcap")
    process = consume(wire, "dump", "-W", path, "--packets", "5", json=False)
    frames = [fr.eth(fr.ip4(fr.udp(bytes(range(256)) * (size // 256), 4000, 5000)))
              for size in (512, 8192, 256, 4096, 7680, 1024)]
    sh.send(wire.a.raw("a0"), *frames)
    assert process.end() == 0
    assert fr.read_pcap(path) == [(one, len(one)) for one in frames[:5]]
    assert process.err.decode().startswith("5 packets, 0 lost")


if not kernel.has("af-xdp-frags"):
    def test_before_linux_6_6_jumbo_packets_go_the_way_of_if_down(wire):
        for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
            ns.ip("link set %s mtu 9000" % name)
        wire.attach(POLICY)
        process = consume(wire, "count", "--packets", "3")
        jumbo, small = (fr.eth(fr.ip4(fr.udp(b"x" * size, 4000, 5000))) for size in (8000, 1000))
        sh.send(wire.a.raw("a0"), small, jumbo, small, jumbo, small)
        assert process.end() == 0
        assert process.replies()[-1]["bytes"] == 3 * len(small)
        stats = wire.seen(5)
        assert stats.reasons() == {"rule": 3, "hook-cannot": 2}
        assert (stats.verdict("pass"), stats.verdict("pass", "bytes")) == (2, 2 * len(jumbo))


def test_count_stops_after_a_number_and_after_a_time(wire):
    wire.attach(POLICY)
    process = consume(wire, "count", "--packets", "10")
    sh.datagrams(wire, 25)
    assert process.end() == 0
    last = process.replies()[-1]
    assert last["packets"] == 10
    stats = wire.seen(25)
    # the ledger of both: what was redirected was read, left over, or came too late
    assert stats.verdict("redirect-consumer") == 10 + last["unread"]
    assert stats.verdict("pass") == 15 - last["unread"]
    process = start(wire, "count", "--duration", "50ms")
    assert process.end() == 0
    assert process.replies()[-1]["packets"] == 0


def test_count_tells_people_too(wire):
    wire.attach(POLICY)
    process = consume(wire, "count", "--interval", "10ms", json=False)
    sh.datagrams(wire, 100)
    sh.wait(lambda: re.search(rb"^ +[\d.]+ +100 +6200 +0 ", process.out, re.M), "a line of 100")
    assert process.end(signal.SIGINT) == 0
    text = process.out.decode()
    assert "seconds        packets" in text
    assert re.search(r"^b0 into tap, [\d.]+ s$", text, re.M)
    assert re.search(r"^queue 0 +100 packets, 6200 bytes, 0 lost$", text, re.M)
    assert text.endswith("total     100 packets, 6200 bytes, 0 lost\n")
    assert not process.err


def test_dump_shows_each_packet(wire):
    wire.attach(POLICY)
    process = consume(wire, "dump", "--packets", "3")
    raw = wire.a.raw("a0")
    sh.send(raw, fr.eth(fr.ip4(fr.udp(b"x", 4000, 5000))),
            fr.eth(fr.ip4(fr.udp(b"x", 4001, 5001)), tags=[(0x8100, 7)]),
            fr.eth(fr.ip6(fr.udp(b"xyz", 4002, 5999))))
    assert process.end() == 0
    packets = [reply["packet"] for reply in process.replies()]
    assert [(packet["src"], packet["sport"], packet["dport"], packet.get("vlan"))
            for packet in packets] == [("192.0.2.1", 4000, 5000, None),
                                       ("192.0.2.1", 4001, 5001, [7]),
                                       ("2001:db8::1", 4002, 5999, None)]
    assert process.err.decode() == "3 packets, 0 lost\n"


def test_dump_prints_a_line_a_packet(wire):
    wire.attach(POLICY)
    process = consume(wire, "dump", json=False)
    sh.datagrams(wire, 2, port=5007)
    sh.wait(lambda: len(process.lines) == 2, "two lines")
    assert process.end(signal.SIGINT) == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6} q0   62 192\.0\.2\.1:\d+ > 192\.0\.2\.2:5007 udp",
                        process.lines[0])
    assert process.err.decode() == "2 packets, 0 lost\n"


def test_dump_writes_a_capture_that_tcpdump_reads(wire):
    wire.attach(POLICY)
    path = wire.file("dump.pcap")
    process = consume(wire, "dump", "-W", path, json=False)
    raw = wire.a.raw("a0")
    frames = [fr.eth(fr.ip4(fr.udp(b"x" * size, 4000, 5000))) for size in (0, 18, 1400)]
    sh.send(raw, *frames)
    sh.wait(lambda: len(fr.read_pcap(path)) == 3, "three packets in the file")
    assert process.end(signal.SIGINT) == 0
    assert fr.read_pcap(path) == [(one, len(one)) for one in frames]
    done = sh.subprocess.run(["tcpdump", "-nr", path], capture_output=True, text=True, check=True)
    assert len(re.findall(r"IP 192.0.2.1.4000 > 192.0.2.2.5000: UDP, length", done.stdout)) == 3


def test_dump_writes_a_capture_to_its_standard_output(wire):
    wire.attach(POLICY)
    process = consume(wire, "dump", "-W", "-", "--packets", "2", json=False)
    sh.datagrams(wire, 2)
    assert process.end() == 0
    with open(wire.file("out.pcap"), "wb") as file:
        file.write(process.out)
    assert [size for _, size in fr.read_pcap(wire.file("out.pcap"))] == [62, 62]


def test_a_queue_has_one_consumer(wire):
    wire.attach(POLICY)
    first = consume(wire, "count", "--interval", "20ms")
    words = sh.refused("run", "count", "b0", "--consumer", "tap", ns=wire.b)
    assert words.startswith("consumer tap: ") or "queue 0" in words
    assert re.search(r"queue 0 of b0|b0, queue 0", words), words
    sh.datagrams(wire, 10)
    assert received(first, 10)["packets"] == 10


def test_a_consumer_that_is_killed_leaves_its_packets_to_if_down(wire):
    wire.attach(POLICY)
    server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 5000))
    process = consume(wire, "count", "--interval", "20ms")
    sh.datagrams(wire, 5)
    received(process, 5)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(64)
    process.end(signal.SIGKILL)
    sh.wait(lambda: not taken(wire), "the socket to leave the map")
    sh.datagrams(wire, 4)
    stats = wire.seen(9)
    assert stats.reasons() == {"rule": 5, "consumer-down": 4}
    assert stats.verdict("pass") == 4
    server.settimeout(30)
    assert [int(server.recv(64)) for _ in range(4)] == [0, 1, 2, 3]
    # and the next one takes over
    process = consume(wire, "count", "--interval", "20ms")
    sh.datagrams(wire, 6)
    received(process, 6)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_a_clean_end(wire, sig):
    wire.attach(POLICY)
    process = consume(wire, "count")
    assert process.end(sig) == 0
    replies = process.replies()  # one a second, on a machine that slow, and one at the end
    assert [reply["final"] for reply in replies] == [False] * (len(replies) - 1) + [True]
    assert not any(reply["packets"] for reply in replies)
    assert not taken(wire)


def test_queues_are_served_one_by_one(wide_wire):
    wire = wide_wire
    wire.attach(POLICY)
    process = consume(wire, "count", "--interval", "20ms")
    raw = wire.a.raw("a0")
    # flows are spread over the queues by a hash of their ports
    sh.send(raw, *[fr.eth(fr.ip4(fr.udp(b"x", 4000 + flow % 64, 5000))) for flow in range(128)])
    reply = received(process, 128)
    assert [queue["queue"] for queue in reply["queues"]] == [0, 1]
    assert sum(queue["packets"] for queue in reply["queues"]) == 128
    assert all(queue["packets"] for queue in reply["queues"])


def test_a_consumer_serves_only_the_queues_of_its_policy(wide_wire):
    wire = wide_wire
    wire.attach(POLICY)
    process = consume(wire, "count", "--interval", "20ms", consumer="second")
    assert process.end(signal.SIGINT) == 0
    assert [queue["queue"] for queue in process.replies()[-1]["queues"]] == [1]


def test_a_consumer_without_any_queue_on_this_interface_is_refused(wire):
    wire.attach(POLICY)
    words = sh.refused("run", "count", "b0", "--consumer", "second", ns=wire.b)
    assert words == "consumer second: none of its queues exists on b0"


@pytest.mark.parametrize("options, words", [
    ([], "run count: which consumer of the policy? --consumer NAME says"),
    (["--consumer", "tpa"], 'the policy of b0 has no consumer "tpa": it has tap, second'),
    (["--consumer", "tap", "--duration", "soon"],
     '--duration "soon" is no time: say 500ms, 10s or 2m, at least 1ms'),
    (["--consumer", "tap", "--packets", "0"], '--packets "0" is no number: say 1 or more'),
    (["--consumer", "tap", "--wait", "long"], '--wait "long": there are adaptive, poll and spin'),
])
def test_what_a_consumer_is_told_must_make_sense(wire, options, words):
    wire.attach(POLICY)
    assert sh.refused("run", "count", "b0", *options, ns=wire.b) == words


@pytest.mark.parametrize("wait", ["adaptive", "poll", "spin"])
def test_every_way_of_waiting_receives(wire, wait):
    wire.attach(POLICY)
    process = consume(wire, "count", "--interval", "20ms", "--wait", wait)
    sh.datagrams(wire, 100)
    assert received(process, 100)["packets"] == 100
    assert process.end(signal.SIGINT) == 0


def test_a_consumer_goes_on_over_an_apply_and_ends_with_its_interface(wire):
    wire.attach(POLICY)
    process = consume(wire, "count", "--interval", "20ms")
    sh.datagrams(wire, 5)
    received(process, 5)
    wire.apply({**POLICY, "description": "another one"})
    sh.datagrams(wire, 5)
    received(process, 10)
    wire.b.ip("link del b0")
    assert process.end() == 1
    assert "b0" in process.err.decode()
    assert sh.detach_stale()
