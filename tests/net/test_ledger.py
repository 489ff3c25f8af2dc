# SPDX-License-Identifier: BSD-2-Clause
"""`shunt stats` against counts that others have made: it agrees to the packet and to the byte."""
import os
import signal
import socket

import pytest

import frame as fr
import shunt as sh
from shunt import B4

# A burst of every kind: rule that is to decide, frame, how many.
KINDS = [
    ("dns", fr.eth(fr.ip4(fr.udp(b"query", 4000, 53))), 400),
    ("dns", fr.eth(fr.ip6(fr.udp(b"query" * 30, 4000, 53))), 300),
    ("web", fr.eth(fr.ip4(fr.tcp(b"", 4000, 80), fr.TCP)), 200),
    ("tagged", fr.eth(fr.ip4(fr.udp(b"x" * 900)), tags=[(0x8100, 5)]), 150),
    ("tagged", fr.eth(fr.ip4(fr.udp(b"x")), tags=[(0x88A8, 5), (0x8100, 6)]), 50),
    ("arp", fr.eth(fr.arp(), 0x0806), 30),
    ("default", fr.eth(fr.ip4(fr.icmp(), fr.ICMP)), 250),
    ("default", fr.eth(b"x" * 60, 0x1234), 120),
    ("default", fr.eth(b"x" * 60, 60), 20),
]
MALFORMED = fr.eth(fr.ip4(fr.udp(), ihl=4))
POLICY = {"default": "drop", "rules": [
    {"name": "all", "action": "count"},
    {"name": "arp", "match": {"eth_type": "arp"}, "action": "drop"},
    {"name": "tagged", "match": {"vlan": 5}, "action": "drop"},
    {"name": "dns", "match": {"dport": 53}, "action": "pass"},
    {"name": "web", "match": {"proto": "tcp", "dport": 80}, "action": "drop"},
]}


def expected(name):
    """(packets, bytes) that this rule is to decide of the burst."""
    mine = [(len(one), times) for rule, one, times in KINDS if name in (rule, "all")]
    return sum(times for _, times in mine), sum(size * times for size, times in mine)


def burst(raw):
    for number in range(max(times for _, _, times in KINDS)):
        for _, one, times in KINDS:
            if number < times:
                sh.send(raw, one)


def both(stats, name, look="rule"):
    of = getattr(stats, look)
    return of(name), of(name, "bytes")


@pytest.mark.parametrize("options", [("--mode", "native"), ("--mode", "generic"),
                                     ("--hook", "tc-ingress")])
def test_a_burst_is_counted_as_the_interface_and_tcpdump_count_it(wire, options):
    hook = wire.attach(POLICY, *options)["hooks"][0]["hook"]
    dump = wire.capture(wire.a, "a0", "-Q", "out")
    before = wire.a.sent("a0")
    raw = wire.a.raw("a0")
    burst(raw)
    for _ in range(40):
        sh.send(raw, MALFORMED)
    packets, size = expected("all")
    packets, size = packets + 40, size + 40 * len(MALFORMED)
    stats = wire.seen(packets, hook)
    after = wire.a.sent("a0")
    # where the peer runs native XDP, veth's byte counter leaves out the Ethernet header
    header = 14 if "native" in options else 0
    assert (after[0] - before[0], after[1] - before[1]) == (packets, size - header * packets)
    assert both(stats, hook, "hook") == (packets, size)
    sh.wait(lambda: os.path.getsize(dump.path) >= 24 + 16 * packets + size, "tcpdump's file")
    assert dump.end(signal.SIGINT) == 0
    frames = fr.read_pcap(dump.path)
    assert (len(frames), sum(wire_size for _, wire_size in frames)) == (packets, size)

    for name in ("all", "dns", "web", "tagged", "arp", "default"):
        assert both(stats, name) == expected(name), name
    assert both(stats, "ip4-ihl", "reason") == (40, 40 * len(MALFORMED))
    assert both(stats, "pass", "verdict") == expected("dns")
    assert stats.reasons() == {"rule": packets - 40 - expected("default")[0],
                               "default": expected("default")[0], "ip4-ihl": 40}


def test_what_leaves_is_counted_as_the_interface_counts_it(wire):
    wire.attach(POLICY, "--hook", "tc-egress")
    before = wire.b.sent("b0")
    burst(wire.b.raw("b0"))
    stats = wire.stats().balances()
    assert both(stats, "tc-egress", "hook") == expected("all")
    for name in ("dns", "web", "tagged", "arp", "default"):
        assert both(stats, name) == expected(name), name
    after = wire.b.sent("b0")
    assert (after[0] - before[0], after[1] - before[1]) == expected("dns")


def test_datagrams_of_a_program_are_counted_one_by_one(wire):
    wire.attach({"rules": [{"name": "even", "match": {"dport": 5000}, "action": "drop"},
                           {"name": "odd", "match": {"dport": 5001}, "action": "pass"}]})
    server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    server.bind(("0.0.0.0", 5001))
    before = wire.a.sent("a0")
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(6000):
        client.sendto(b"x" * (number % 1000), (B4, 5000 + number % 2))
    after = wire.a.sent("a0")
    stats = wire.seen(6000)
    # veth's byte counter leaves out the Ethernet header here
    assert both(stats, "xdp", "hook") == (after[0] - before[0],
                                          after[1] - before[1] + 14 * 6000)
    assert stats.rule("even") == stats.rule("odd") == 3000
    server.settimeout(30)
    assert sum(1 for _ in range(3000) if server.recv(2048) is not None) == 3000
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(1)


# --- malformed ----------------------------------------------------------------------------

def extensions(count, kind=60, size=8):
    """IPv6 destination options headers, count of them, then UDP."""
    each = bytes([size // 8 - 1]) + b"\0" * (size - 2)
    return b"".join((bytes([kind if number + 1 < count else fr.UDP]) + each)
                    for number in range(count))


def cut(payload, proto):
    return fr.eth(fr.ip4(payload, proto))


BROKEN = [
    ("vlan-short", fr.eth(b"\0\1", 0x8100)),
    ("arp-short", fr.eth(fr.arp()[:20], 0x0806)),
    ("arp-short", fr.eth(fr.arp()[:6], 0x0806)),
    ("ip4-short", fr.eth(fr.ip4()[:19], 0x0800)),
    ("ip4-version", fr.eth(fr.ip4(fr.udp(), version=5), 0x0800)),
    ("ip4-ihl", fr.eth(fr.ip4(fr.udp(), ihl=1))),
    ("ip4-length", fr.eth(fr.ip4(fr.udp(), length=19))),
    ("ip4-length", fr.eth(fr.ip4(fr.udp(), length=29))),
    ("ip4-length", fr.eth(fr.ip4(fr.udp(), ihl=15))),
    ("ip6-short", fr.eth(fr.ip6()[:39])),
    ("ip6-version", fr.eth(fr.ip6(fr.udp(), version=4), 0x86DD)),
    ("ip6-length", fr.eth(fr.ip6(fr.udp(), length=9))),
    ("ip6-ext", fr.eth(fr.ip6(b"\x11\0\0\0", 60))),
    ("ip6-ext", fr.eth(fr.ip6(b"\x11\5" + b"\0" * 14, 60))),
    ("ip6-ext", fr.eth(fr.ip6(extensions(9) + fr.udp(), 60))),
    ("fragment-bad", fr.eth(fr.ip4(b"x" * 15, more=True))),
    ("fragment-bad", fr.eth(fr.ip4(b"x" * 16, offset=65528))),
    ("fragment-bad", fr.eth(fr.ip6(fr.fragment6(b"x" * 15, more=True), 44))),
    ("tcp-short", cut(fr.tcp()[:19], fr.TCP)),
    ("tcp-doff", cut(fr.tcp(doff=4), fr.TCP)),
    ("tcp-doff", cut(fr.tcp(b"x" * 3, doff=6), fr.TCP)),
    ("udp-short", cut(fr.udp()[:7], fr.UDP)),
    ("udp-length", cut(fr.udp(length=7), fr.UDP)),
    ("udp-length", cut(fr.udp(b"x", length=10), fr.UDP)),
    ("sctp-short", cut(fr.sctp()[:11], fr.SCTP)),
    ("icmp-short", cut(fr.icmp(payload=b"")[:7], fr.ICMP)),
    ("icmp6-short", fr.eth(fr.ip6(fr.icmp(128)[:3], fr.ICMP6))),
]


@pytest.mark.parametrize("fate", ["pass", "drop"])
@pytest.mark.parametrize("hook", ["xdp", "tc-ingress", "tc-egress"])
def test_a_malformed_frame_lands_in_its_reason(wire, hook, fate):
    wire.attach({"malformed": fate, "default": "pass",
                 "rules": [{"name": "any", "action": "count"}]}, "--hook", hook)
    raw = wire.b.raw("b0") if hook == "tc-egress" else wire.a.raw("a0")
    sent = {}
    for reason, one in BROKEN:
        # the kernel itself takes a tag off before TC, and discards half a one
        if reason == "vlan-short" and hook == "tc-ingress":
            continue
        sh.send(raw, one)
        sent[reason] = sent.get(reason, 0) + 1
        stats = wire.seen(sum(sent.values()), hook)
        assert stats.reasons() == sent
    assert stats.verdict(fate) == stats.hook(hook) == sum(sent.values())
    assert stats.rule("any") == stats.rule("default") == 0


def test_headers_beyond_what_the_hook_can_see_are_malformed_as_well(wire):
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.ip("link set %s mtu 9000" % name)
    wire.attach({"rules": [{"name": "udp", "match": {"proto": "udp"}, "action": "drop"}]})
    raw = wire.a.raw("a0")
    sh.send(raw, fr.eth(fr.ip6(extensions(8, size=1000) + fr.udp(), 60)))
    sh.send(raw, fr.eth(fr.ip6(extensions(8, size=100 & ~7) + fr.udp(b"x" * 7000), 60)))
    stats = wire.seen(2)
    assert stats.reasons() == {"headers-deep": 1, "rule": 1}
    assert stats.hook("xdp", "bytes") == sum((14 + 40 + 8000 + 8, 14 + 40 + 8 * 96 + 7008))


# --- what must not count ------------------------------------------------------------------

@pytest.mark.parametrize("hook", ["xdp", "tc-ingress", "tc-egress"])
def test_explaining_moves_no_counter(wire, hook):
    wire.attach(POLICY, "--hook", hook)
    burst(wire.b.raw("b0") if hook == "tc-egress" else wire.a.raw("a0"))
    before = wire.seen(expected("all")[0], hook)
    path = wire.file("burst.pcap")
    fr.write_pcap(path, [one for _, one, _ in KINDS] + [one for _, one in BROKEN])
    done = sh.run("explain", "b0", "--hook", hook, "--pcap", path, ns=wire.b)
    assert done.code == 0 and not done.err
    replies = done.replies
    assert [reply["packet"] for reply in replies] == list(range(1, len(replies) + 1))
    for (name, _, _), reply in zip(KINDS, replies):
        assert (reply["rule"] or reply["reason"]) == name
        assert reply["counted"] == ["all"] and reply["hook"] == hook
    for (reason, _), reply in zip(BROKEN, replies[len(KINDS):]):
        # the kernel runs no TC program over an IP header that is cut
        if reason in ("ip4-short", "ip6-short") and hook != "xdp":
            assert reply["verdict"] is None and "Invalid argument" in reply["error"]
            continue
        assert reply["reason"] == reason and reply["verdict"] == "drop", reply
    assert wire.stats() == before


def test_an_explanation_is_what_becomes_of_the_packet(wire):
    """Every frame on the wire, then explained: counter by counter the same."""
    wire.attach(POLICY)
    raw = wire.a.raw("a0")
    path = wire.file("one.pcap")
    frames = [one for _, one, _ in KINDS] + [one for _, one in BROKEN]
    fr.write_pcap(path, frames)
    told = sh.run("explain", "b0", "--pcap", path, ns=wire.b).replies
    assert len(told) == len(frames)
    before = wire.stats()
    for number, (one, tell) in enumerate(zip(frames, told), 1):
        sh.send(raw, one)
        after = wire.seen(number)
        assert after.reason(tell["reason"]) == before.reason(tell["reason"]) + 1, tell
        assert after.verdict(tell["verdict"]) == before.verdict(tell["verdict"]) + 1, tell
        name = tell["rule"] or ("default" if tell["reason"] == "default" else None)
        if name:
            assert both(after, name) == (before.rule(name) + 1,
                                         before.rule(name, "bytes") + len(one)), tell
        assert tell["pkt"]["length"] == len(one)
        before = after


def test_what_a_hook_has_counted_stays_when_it_leaves(wire):
    wire.attach({}, "--hook", "xdp", "--hook", "tc-ingress")
    assert wire.a.ping(B4, 3) == 3
    assert wire.stats().balances().reasons() == {"default": 6}
    wire.detach("--hook", "xdp")
    stats = wire.stats()
    assert stats.reasons() == {"default": 6} and stats.hook("tc-ingress") == 3
    wire.attach(None, "--hook", "xdp")
    assert wire.stats().balances().hook("xdp") == 3


def test_what_only_counted_never_becomes_a_decision(wire):
    rules = [{"name": "kept", "match": {"proto": "icmp"}, "action": "count"},
             {"name": "gone", "match": {"proto": "icmp"}, "action": "count"},
             {"name": "turned", "match": {"proto": "icmp"}, "action": "count"},
             {"name": "decides", "match": {"icmp": "echo-request"}, "action": "pass"}]
    wire.attach({"rules": rules})
    assert wire.a.ping(B4, 3) == 3
    assert [item["packets"] for item in wire.seen(3)["rules"]] == [3, 3, 3, 3]
    wire.apply({"rules": [rules[0], {**rules[2], "action": "pass"}]})
    stats = wire.stats().balances()
    assert [item["packets"] for item in stats["rules"]] == [3, 0]
    assert stats["retired"] == {"packets": 3, "bytes": 3 * 98}
    assert wire.a.ping(B4, 2) == 2
    assert [item["packets"] for item in wire.seen(5)["rules"]] == [5, 2]
