# SPDX-License-Identifier: BSD-2-Clause
"""The hook netfilter: two links of one program, before routing."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

import census
import frame as fr
import kernel
import shunt as sh
import test_apply
from shunt import A4, B4, B6
from test_apply import OLD, RATE, flows

pytestmark = kernel.needs("netfilter", "6.4")
NF = ("--hook", "netfilter")
UDP = {"proto": "udp", "dport": 5000}


def rule(name, match, action="pass", **mods):
    return {"name": name, "match": match, "action": action, **mods}


def datagrams(wire, count, port=5000, size=20, to=B4):
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with wire.a.entered(), socket.socket(family, socket.SOCK_DGRAM) as client:
        for _ in range(count):
            client.sendto(b"x" * size, (to, port))


def links():
    """The netfilter links on this machine whose program is Shunt's, as the kernel has them."""
    return [link for link in census.listing("link")
            if link["type"] == "netfilter" or link["type"] == 10]


def pins(wire, folder):
    (name,) = wire.b.instances()
    return sorted(os.listdir(os.path.join(sh.TREE, name, folder)))


# --- what is judged -----------------------------------------------------------------------

def test_netfilter_judges_alone_and_beside_other_hooks(wire6, traces):
    wire = wire6
    wire.attach({"rules": [rule("large", {"proto": "icmp", "length": "400-65535"}, "drop"),
                           rule("large6", {"proto": "icmpv6", "length": "400-65535"}, "drop"),
                           rule("web", {"proto": "tcp", "dport": 80}, "count")]}, *NF)
    assert wire.a.ping(B4, 3) == 3 and wire.a.ping(B6, 3) == 3
    assert wire.a.ping(B4, 2, size=500, seconds=0.05) == 0
    assert wire.a.ping(B6, 4, size=500, seconds=0.05) == 0
    server = wire.b.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.bind((B4, 80))
    server.listen()
    client = wire.a.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.connect((B4, 80))
    client.sendall(b"hello")
    assert server.accept()[0].recv(10) == b"hello"
    stats = wire.still()
    assert stats.rule("large") == 2 and stats.rule("large6") == 4
    assert stats.rule("large", "bytes") == 2 * (14 + 528)
    assert stats.rule("large6", "bytes") == 4 * (14 + 548)
    assert stats.rule("web") >= 3
    assert stats.hook("netfilter") == stats.reason("rule") + stats.reason("default")
    reply = wire.attach(None, "--hook", "xdp", "--hook", "tc-ingress")
    assert [(one["hook"], one["mode"]) for one in reply["hooks"]] == [
        ("xdp", "native"), ("tc-ingress", kernel.tc_mode()), ("netfilter", "link")]
    assert pins(wire, "links") == ["netfilter", "netfilter6", "tc-ingress", "xdp"]
    assert wire.a.ping(B6, 3) == 3
    assert all(wire.stats().hook(hook) >= 3 for hook in ("xdp", "tc-ingress"))
    assert wire.detach("--hook", "netfilter")["gone"] is False
    assert pins(wire, "links") == ["tc-ingress", "xdp"]
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_one_flip_changes_all_hooks(wire):
    wire.attach(OLD, "--hook", "xdp", "--hook", "tc-ingress", *NF)
    wire.apply({"rules": [rule("all", {}, "count")]})
    assert wire.a.ping(B4, 3) == 3
    stats = wire.seen(3, "netfilter")
    assert [stats.hook(hook) for hook in ("xdp", "tc-ingress", "netfilter")] == [3, 3, 3]
    assert stats.rule("all") == 9
    # whatever of it comes first drops now
    wire.apply({"default": "drop"})
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    stats = wire.stats()
    assert [stats.hook(hook) for hook in ("xdp", "tc-ingress", "netfilter")] == [5, 3, 3]


def test_other_interfaces_of_the_namespace_are_not_judged(wire):
    c = wire.further()
    wire.b.ip("addr add 198.51.100.1/24 dev b1")
    c.ip("addr add 198.51.100.2/24 dev c0")
    wire.attach({"default": "drop"}, *NF)
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    assert c.ping("198.51.100.1", 3) == 3
    assert wire.b.ping("127.0.0.1", 3) == 3
    assert wire.stats().balances().hook("netfilter") == 2
    # a second one in the same namespace: other links, other packets
    wire.attach({"rules": [rule("pings", {"proto": "icmp"}, "count")]}, *NF, interface="b1")
    assert c.ping("198.51.100.1", 4) == 4
    assert wire.stats("b1").balances().rule("pings") == 4
    assert wire.stats().hook("netfilter") == 2
    assert wire.detach()["gone"]
    assert wire.a.ping(B4, 2) == 2
    assert wire.stats("b1").hook("netfilter") == 4


def test_every_fragment_is_judged_as_it_came(wire):
    wire.attach({"rules": [rule("first", {"fragment": "first"}, "count"),
                           rule("later", {"fragment": "later"}, "count")]}, *NF)
    assert wire.a.ping(B4, 2, size=4000) == 2
    stats = wire.seen(6, "netfilter")
    assert stats.rule("first") == 2 and stats.rule("later") == 4


def test_mac_addresses_and_lengths_are_those_of_the_frame(wire):
    mac = {"src_mac": "02:00:00:00:00:0a", "dst_mac": "02:00:00:00:00:0b", "vlan": "none"}
    wire.attach({"rules": [rule("mine", {**mac, "length": 62}, "count")]}, *NF)
    datagrams(wire, 5)
    stats = wire.seen(5, "netfilter")
    assert stats.rule("mine") == 5 and stats.hook("netfilter", "bytes") == 5 * 62


# --- explain ------------------------------------------------------------------------------

FRAMES = {
    "udp": fr.eth(fr.ip4(fr.udp(b"x" * 20))),
    "other port": fr.eth(fr.ip4(fr.udp(b"x" * 20, dport=5001))),
    "long": fr.eth(fr.ip4(fr.udp(b"x" * 1400))),
    "tcp": fr.eth(fr.ip4(fr.tcp(), proto=fr.TCP)),
    "udp in IPv6": fr.eth(fr.ip6(fr.udp(b"x" * 20))),
    "tcp in IPv6": fr.eth(fr.ip6(fr.tcp(), proto=fr.TCP)),
    "a UDP header that is cut": fr.eth(fr.ip4(b"1234")),
    "options": fr.eth(fr.ip4(fr.udp(b"x" * 20), options=b"\1" * 8)),
}
EXPLAINED = {"rules": [rule("udp4", {**UDP, "src": "192.0.2.0/24"}, "drop"),
                       rule("tcp", {"proto": "tcp"}, "count"),
                       rule("tcp6", {"proto": "tcp", "src": "2001:db8::/32"}, "drop"),
                       rule("back", {"proto": "udp", "src": "2001:db8::1"}, "tx")]}


def explain(wire, frame, *options):
    return sh.shunt("explain", "b0", "--frame", frame.hex(), *options, ns=wire.b)


@pytest.mark.parametrize("name", FRAMES)
def test_explain_says_what_happens(wire6, name):
    wire = wire6
    reply = wire.attach(EXPLAINED, *NF)
    assert reply["warnings"] == ["rule back: netfilter cannot do tx: its packets pass there"]
    said = explain(wire, FRAMES[name])
    assert said["hook"] == "netfilter" and said["pkt"]["length"] == len(FRAMES[name])

    def count(stats):
        return (stats.reason(said["reason"]), stats.verdict(said["verdict"]),
                stats.rule(said["rule"]) if said["rule"] else stats.rule("default"))

    malformed = said["reason"] not in ("rule", "default", "hook-cannot")
    was = count(wire.stats())
    sh.send(wire.a.raw("a0"), *[FRAMES[name]] * 50)
    now = sh.wait(lambda: count(wire.stats())[0] >= was[0] + 50 and count(wire.stats()),
                  "50 packets as they were explained")
    # the kernel talks as well in IPv6, but not in such numbers
    assert [50 <= is_ - was_ < 60 for is_, was_ in zip(now, was)] == [True, True, not malformed]


def test_explain_has_no_verdict_of_what_netfilter_never_sees(wire):
    wire.attach({"default": "drop"}, "--hook", "tc-ingress", *NF)
    ip = fr.ip4(fr.udp(b"x"))
    for frame, words in ((fr.eth(fr.arp(), 0x0806), "netfilter sees IPv4 and IPv6 only"),
                         (fr.eth(ip, tags=[(0x8100, 7)]), "by the VLAN's own interface")):
        said = explain(wire, frame, *NF)
        assert said["verdict"] is None and words in said["error"]
    said = sh.shunt("explain", "-p", wire.policy(EXPLAINED), *NF, "--frame", fr.eth(ip).hex())
    assert (said["verdict"], said["rule"]) == ("drop", "udp4")


def test_a_request_from_the_wire_is_no_request(wire):
    """Bytes behind the packet: what a test run's request looks like, with a guessed cookie."""
    wire.attach({"default": "drop"}, *NF)
    sh.send(wire.a.raw("a0"), *[fr.eth(fr.ip4(fr.udp(b"x" * 20))) + bytes([n]) * 16
                                for n in range(16)])
    assert wire.seen(16, "netfilter").reasons() == {"default": 16}


# --- what rules do ------------------------------------------------------------------------

def test_what_netfilter_cannot_do_is_said_and_passes(wire):
    policy = {"consumers": {"tap": {"kind": "xsk", "if_down": "drop"}}, "rules": [
        rule("back", {**UDP, "length": 60}, "tx"),
        rule("cpu", {**UDP, "length": 61}, {"redirect": {"cpu": 0}}),
        rule("out", {**UDP, "length": 62}, {"redirect": {"interface": "lo"}}),
        rule("change", {**UDP, "length": 63, "eth_type": "ipv4"}, rewrite={"dst": "192.0.2.9"}),
        rule("copy", {**UDP, "length": 64}, mirror={"interface": "lo"}),
        rule("tap", {**UDP, "length": 65}, {"redirect": {"consumer": "tap"}}),
        rule("fine", {**UDP, "length": 66}, "drop")]}
    checked = sh.shunt("check", wire.policy(policy))
    cannot = {item["hook"]: item["cannot"] for item in checked["hooks"]}["netfilter"]
    assert [one["pointer"] for one in cannot] == [
        "/rules/0/action", "/rules/1/action", "/rules/2/action", "/rules/3/rewrite",
        "/rules/4/mirror", "/rules/5/action"]
    warnings = wire.attach(policy, *NF)["warnings"]
    assert warnings == [one["message"] for one in cannot]
    assert "rule change: netfilter cannot rewrite: its packets pass unchanged there" in warnings[3]
    server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((B4, 5000))
    server.settimeout(30)
    for size in range(18, 25):
        datagrams(wire, 1, size=size)
    assert [len(server.recv(100)) for _ in range(5)] == [18, 19, 20, 21, 22]
    stats = wire.seen(7, "netfilter")
    assert stats.reasons() == {"hook-cannot": 4, "rule": 2, "consumer-down": 1}
    assert stats["copies"]["mirror_lost"]["packets"] == 1


def test_a_set_is_edited_and_a_limit_holds(wire):
    wire.attach({"sets": {"s": {"type": "address"}}, "rules": [
        rule("bad", {"src": "@s", "proto": "icmp"}, "drop"),
        rule("slow", {"proto": "udp"}, limit={"packets": 1, "burst": 5})]}, *NF)
    assert wire.a.ping(B4, 2) == 2
    sh.shunt("set", "add", "b0", "s", A4, ns=wire.b)
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    sh.shunt("set", "del", "b0", "s", A4, ns=wire.b)
    assert wire.a.ping(B4, 2) == 2
    assert wire.stats().rule("bad") == 2
    datagrams(wire, 20)
    stats = wire.seen(26, "netfilter")
    assert stats.reason("limited") in (14, 15)


@pytest.mark.parametrize("kind", ["ring", "xsk"])
def test_a_consumer_gets_whole_frames(wire, kind):
    policy = {"consumers": {"tap": {"kind": kind, "if_down": "pass"}},
              "rules": [rule("tap", UDP, {"redirect": {"consumer": "tap"}})]}
    wire.attach(policy, *NF)
    path = wire.file("tap.pcap")
    process = wire.b.start(sh.BINARY, "run", "dump", "b0", "--consumer", "tap", "-W", path,
                           "--netns", wire.b.name, "--packets", "2").says("")
    sent = [fr.eth(fr.ip4(fr.udp(b"y" * size))) for size in (18, 1400)]
    raw = wire.a.raw("a0")

    def taken():
        sh.send(raw, fr.eth(fr.ip4(fr.udp(b"?", dport=5001))))
        return wire.stats().verdict("redirect-consumer") or process.popen.poll() is not None

    def serve():
        sh.send(raw, *sent)
        return process.popen.poll() is not None

    assert taken() in (0, False)
    sh.wait(serve, "the consumer to have two frames")
    assert process.end() == 0
    frames = [frame for frame, _ in fr.read_pcap(path)]
    assert len(frames) == 2 and all(frame in sent for frame in frames)


def test_samples_come_from_netfilter(wire):
    wire.attach({"rules": [rule("some", UDP, "drop", sample={"one_in": 1, "bytes": 64})]}, *NF)
    process = wire.b.start(sh.BINARY, "run", "sample", "b0", "--netns", wire.b.name, "--json",
                           "--packets", "3")
    sent = fr.eth(fr.ip4(fr.udp(b"z" * 200)))
    raw = wire.a.raw("a0")

    def serve():
        sh.send(raw, sent)
        return process.popen.poll() is not None

    sh.wait(serve, "three samples")
    assert process.end() == 0
    for reply in process.replies():
        assert (reply["hook"], reply["rule"], reply["verdict"]) == ("netfilter", "some", "drop")


# --- one program for another --------------------------------------------------------------

def flow(wire):
    return wire.a.start("/usr/bin/python3", os.path.join(sh.ROOT, "tests/net/flow.py"), B4, 5000,
                        RATE).says("flowing")


def test_no_packet_is_lost_or_counted_twice_while_programs_take_over(wire, traces):
    """Each policy needs another program: the kernel updates no netfilter link."""
    first, *others = test_apply.other_needs() * 3
    wire.attach(first, *NF)
    before = wire.a.sent("a0")[0]
    flowing = flow(wire)
    flows(wire, "netfilter", 1000)
    programs = []
    for policy in others:
        reply = wire.apply(policy)
        assert not reply["warnings"]
        programs.append(reply["hooks"][0]["program"])
        flows(wire, "netfilter")  # under every one of the policies
        assert pins(wire, "links") == ["netfilter", "netfilter6"]
        assert pins(wire, "progs") == ["netfilter"]
    flowing.end(signal.SIGINT)
    sent = int(flowing.lines[-1])
    stats = wire.seen(sent, "netfilter")
    # one that no program judged would be lost here, one that two judged be here twice
    assert sent == stats.hook("netfilter") == wire.a.sent("a0")[0] - before
    assert stats.reasons() == {"rule": sent}
    assert len(set(programs)) >= len(programs) * 2 // 3
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_packets_that_pass_are_counted_once_while_programs_take_over(wire):
    """Those that are let pass meet the old program as well."""
    def passing(policy):
        return {**policy, "rules": [{**one, "action": "pass"} if one["action"] == "drop" else one
                                    for one in policy["rules"]]}

    first, *others = [passing(policy) for policy in test_apply.other_needs()] * 2
    wire.attach(first, *NF)
    server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((B4, 5000))
    flowing = flow(wire)
    sh.wait(lambda: wire.stats().hook("netfilter") >= 1000, "the first packets")
    for policy in others:
        wire.apply(policy)
    flowing.end(signal.SIGINT)
    sent = int(flowing.lines[-1])
    stats = wire.seen(sent, "netfilter")
    assert stats.hook("netfilter") == sent and stats.reasons() == {"rule": sent}


def test_no_packet_sees_a_mix_while_policies_alternate(wire):
    test_apply.test_no_packet_is_lost_or_sees_a_mix_while_policies_alternate(wire, "netfilter")


def test_a_takeover_killed_at_any_change_leaves_a_policy_that_rules(wire, traces):
    test_apply.test_a_takeover_killed_at_any_change_leaves_a_policy_that_rules(wire, traces, NF)


def test_an_attach_killed_at_any_change_is_made_good_by_the_next_command(wire, traces):
    test_apply.test_an_attach_killed_at_any_change_is_made_good_by_the_next_command(
        wire, traces, NF, 8)


def test_a_hook_that_a_killed_attach_has_half_added_is_added_by_the_next(wire, traces):
    """The record does not say netfilter yet, but a link of it is pinned."""
    wire.attach(OLD)
    for number, (call, use) in enumerate(test_apply.points(wire, "attach", "b0", *NF)[-6:]):
        wire.detach()
        wire.attach(OLD)
        test_apply.killed(wire, call, use, "attach", "b0", *NF)
        done = sh.run("attach", "b0", *NF, ns=wire.b)
        assert done.code == 0 or "already attached there (hook netfilter" in done.error, done
        wire.apply({"rules": [rule("all", {}, "count")]})
        assert wire.a.ping(B4, 2) == 2
        assert wire.stats().hook("netfilter") == 2, (call, use)
        if number % 2:
            assert wire.detach("--hook", "netfilter")["gone"] is False
            assert wire.a.ping(B4, 2) == 2
            assert wire.stats().hook("xdp") == 4
    assert wire.detach()["gone"]
    traces.nothing_new()


# --- what is left -------------------------------------------------------------------------

def test_a_namespace_that_nobody_has_any_more_is_stale(traces):
    """The links keep it alive, with all that is in it."""
    with sh.Namespace() as ns, sh.tempfile.TemporaryDirectory(prefix="sht-") as folder:
        path = os.path.join(folder, "p.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"schema": "shunt.policy/1", "default": "drop"}, file)
        ns.ip("link add b0 type veth peer b1")
        sh.shunt("attach", "b0", "-p", path, "--hook", "xdp", *NF, ns=ns)
        name = "ns%d:b0" % ns.cookie
        assert state_of(name) == "attached"
        assert name not in sh.detach_stale()["removed"]
    sh.wait(lambda: state_of(name) == "stale", "the namespace to be nobody's")
    assert name in sh.detach_stale()["removed"]
    traces.nothing_new()


def test_a_namespace_that_a_process_is_in_is_not_stale(wire):
    wire.attach({}, *NF)
    (name,) = wire.b.instances()
    sleeper = wire.b.start("sleep", "600")
    there = os.stat(wire.b.path).st_ino
    sh.wait(lambda: os.stat("/proc/%d/ns/net" % sleeper.popen.pid).st_ino == there,
            "the process to be in the namespace")
    subprocess.run(["ip", "netns", "del", wire.b.name], check=True)
    assert state_of(name) == "attached"
    assert name not in sh.detach_stale()["removed"]
    sleeper.end(signal.SIGKILL)
    sh.wait(lambda: state_of(name) == "stale", "the namespace to be nobody's")
    assert name in sh.detach_stale()["removed"]


def state_of(name):
    states = {item["instance"]: item["state"] for item in sh.shunt("list")["instances"]}
    return states[name]


def test_an_interface_that_is_gone_is_stale(wire, traces):
    wire.attach({}, *NF)
    wire.b.ip("link del b0", "link add b0 type veth peer b1", "link set b0 up")
    assert sh.shunt("show", "b0", ns=wire.b)["state"] == "stale"
    (warning,) = wire.attach({}, *NF)["warnings"]
    assert warning.startswith("removed what an earlier b0")
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_probe_says_that_netfilter_is_there(wire):
    found = {row["name"]: row["answer"] for row in sh.shunt("probe")["features"]}
    assert found["netfilter"] == found["netfilter-program"] == "yes"
    wire.attach({}, *NF)
    text = sh.run("list", text=True).out
    assert re.search(r"netfilter +link|netfilter link", text)
    assert len(links()) >= 2
    assert wire.stats().hook("netfilter") == 0
