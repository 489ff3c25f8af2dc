# SPDX-License-Identifier: BSD-2-Clause
"""VLAN tags that lie beside the frame, where the hook xdp has to ask the driver for them."""
import os
import signal

import pytest

import census
import frame as fr
import shunt as sh
from shunt import B4

RATE = 20000  # packets a second, at most
TAG = (0x8100, 9)
FRAME = fr.eth(fr.ip4(fr.udp(b"x" * 18)), tags=[TAG])
OWN = {"proto": "udp", "dport": 5000}
TAGGED = {"default": "drop", "rules": [
    {"name": "tagged", "match": {"vlan": 9, **OWN}, "action": "drop"},
    {"name": "bare", "match": {"vlan": "none", **OWN}, "action": "drop"}]}
PLAIN = {"default": "drop", "rules": [{"name": "plain", "match": OWN, "action": "drop"}]}


def pushes(wire):
    """From here on a0 tags what it sends to port 5000, and veth leaves the tag beside it."""
    sh.shunt("attach", "a0", "--hook", "tc-egress", "-p", wire.policy({"rules": [
        {"name": "push", "match": OWN, "action": "pass", "rewrite": {"vlan": {"push": 9}}}]},
        "push.json"), ns=wire.a)


def program(ns, interface="b0"):
    """The name of the XDP program that sits there, and other facts, by `shunt probe`."""
    rows = sh.shunt("probe", interface, ns=ns)["interface"]["features"]
    return next(row["detail"] for row in rows if row["name"] == "xdp-free")


def sends(wire, count):
    client = wire.a.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
    for _ in range(count):
        client.sendto(b"x" * 18, (B4, 5000))


def explained(wire, frame=FRAME):
    reply = sh.shunt("explain", "b0", "--hook", "xdp", "-f", frame.hex(), ns=wire.b)
    return reply["rule"], reply["verdict"], reply["pkt"].get("vlan")


def is_seen(ns, interface, reply):
    """Where the kernel takes the program that asks, it sits there; else that is said."""
    if reply["warnings"]:
        (words,) = reply["warnings"]
        assert "a rule that matches vlan misses" in words, words
        assert "shunt_xdp_tag" not in program(ns, interface)
        return False
    assert "shunt_xdp_tag" in program(ns, interface)
    return True


def kernel_is_new():
    """Linux 6.15: a program that is bound to a device may use the maps of targets."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (6, 15)


def test_a_tag_beside_the_frame_is_matched_counted_and_explained(wire):
    pushes(wire)
    seen = is_seen(wire.b, "b0", wire.attach(TAGGED, "--hook", "xdp", "--hook", "tc-ingress"))
    assert seen or not kernel_is_new()
    sends(wire, 5)
    stats = wire.seen(5)
    assert stats.rule("tagged") == (5 if seen else 0)
    assert stats.rule("bare") == (0 if seen else 5)
    if seen:
        assert stats.rule("tagged", "bytes") == 5 * len(FRAME)
    assert explained(wire) == ("tagged", "drop", [9])
    assert explained(wire, fr.eth(fr.ip4(fr.udp(b"x" * 18)))) == ("bare", "drop", None)
    # what is explained is not counted, and tags in the frame are seen by either program
    sh.send(wire.a.raw("a0"), FRAME)
    assert wire.seen(6).rule("tagged") == stats.rule("tagged") + 1


def test_a_second_tag_lies_behind_the_one_beside_the_frame(wire):
    pushes(wire)
    seen = is_seen(wire.b, "b0", wire.attach({"rules": [
        {"name": "both", "match": {"vlan": {"outer": 9, "inner": 7}}, "action": "drop"}]}))
    raw = wire.a.raw("a0")
    sh.send(raw, fr.eth(fr.ip4(fr.udp(b"x")), tags=[(0x8100, 7)]))
    assert wire.seen(1).rule("both") == (1 if seen else 0)


def test_policies_with_vlan_and_without_take_turns_under_traffic(wire, traces):
    """The program changes each time; every packet is judged once, by one that sees it whole."""
    pushes(wire)
    before = wire.attach(PLAIN)["hooks"][0]["program"]
    flow = wire.a.start("/usr/bin/python3", os.path.join(sh.ROOT, "tests/net/flow.py"), B4, 5000,
                        RATE).says("flowing")
    sh.wait(lambda: wire.stats().hook() >= 1000, "the first packets")
    judged = []
    for turn in range(8):
        policy = (TAGGED, PLAIN)[turn % 2]
        reply = wire.apply(policy)
        seen = is_seen(wire.b, "b0", reply) if policy is TAGGED else False
        assert seen or policy is PLAIN or not kernel_is_new()
        if policy is PLAIN:
            assert not reply["warnings"] and "shunt_xdp_tag" not in program(wire.b)
        now = reply["hooks"][0]["program"]
        assert now != before
        before = now
        stats = sh.wait(lambda: (lambda s: s if s.hook() > sum(judged[-1:]) + 500 else None)(
            wire.stats()), "traffic under this policy")
        if policy is TAGGED:
            assert stats.rule("bare" if seen else "tagged") == 0
        judged.append(stats.hook())
        assert explained(wire)[0] == policy["rules"][0]["name"]
    flow.end(signal.SIGINT)
    sent = int(flow.lines[-1])
    stats = wire.seen(sent)
    assert stats.hook() == sent and stats.reasons() == {"rule": sent}
    assert stats.rule("plain") + stats["retired"]["packets"] == sent
    assert wire.detach()["gone"]
    wire.a.quiet()
    sh.shunt("detach", "a0", ns=wire.a)
    traces.nothing_new()


def test_a_hook_that_comes_later_is_chosen_for_as_well(wire):
    wire.attach(TAGGED, "--hook", "tc-ingress")
    pushes(wire)
    seen = is_seen(wire.b, "b0", wire.attach(None, "--hook", "xdp"))
    sends(wire, 2)
    stats = wire.seen(2)
    assert stats.rule("tagged") == (2 if seen else 0)


def test_an_interface_that_vanishes_takes_its_program_with_it(wire):
    """What is left of one that was bound to the device is cleared away as ever."""
    is_seen(wire.b, "b0", wire.attach(TAGGED))
    wire.b.ip("link del b0")
    assert sh.run("detach", "b0", ns=wire.b).code == 0


@pytest.fixture
def pair():
    """A namespace with both ends of a veth pair, v0 and v1; v2 takes no native program."""
    traces = census.Traces()
    with sh.Namespace() as ns:
        ns.ip("link add v0 type veth peer v1", "link set v0 up", "link set v1 up",
              "link add v2 numrxqueues 1 type veth peer v3 numtxqueues 2",
              "link set v2 up", "link set v3 up")
        ns.run("ethtool", "-L", "v3", "tx", "2")
        yield ns
        for name in ("v0", "v2"):
            sh.run("detach", name, ns=ns)
    traces.nothing_new()


def test_where_no_program_sees_the_tag_that_is_said(pair, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(sh.json.dumps({"schema": "shunt.policy/1", "default": "pass", "rules": [
        {"name": "tagged", "match": {"vlan": 9}, "action": "drop"}]}))
    plain = tmp_path / "plain.json"
    plain.write_text('{"schema": "shunt.policy/1", "default": "pass", "rules": []}')

    def attach(interface, mode, policy=path):
        return sh.shunt("attach", interface, "-p", policy, "--mode", mode, ns=pair)

    # generic mode knows no driver
    (words,) = attach("v0", "generic")["warnings"]
    assert words.startswith("the peer of v0") and "`ethtool -K PEER txvlan off`" in words
    (words,) = sh.shunt("apply", "v0", "-p", path, ns=pair)["warnings"]
    assert words.startswith("the peer of v0")
    assert not sh.shunt("apply", "v0", "-p", plain, ns=pair)["warnings"]
    sh.shunt("detach", "v0", ns=pair)
    # native mode does, if the kernel is new enough
    assert is_seen(pair, "v0", attach("v0", "native")) or not kernel_is_new()
    sh.shunt("detach", "v0", ns=pair)
    # a driver that takes no native program at all: both are said
    reply = attach("v2", "auto")
    assert reply["hooks"][0]["mode"] == "generic"
    assert any("generic mode is used" in words for words in reply["warnings"])
    (words,) = [words for words in reply["warnings"] if "vlan misses" in words]
    assert "so the plain one is: the peer of v2" in words or not kernel_is_new()
    # tags in the frame need nobody to be asked
    pair.run("ethtool", "-K", "v1", "txvlan", "off")
    assert not attach("v0", "native")["warnings"]
    assert "shunt_xdp_tag" not in program(pair, "v0")


def test_a_tag_that_is_not_in_the_frame_cannot_be_rewritten_there(wire):
    """Passed on as if it had been, the packet would be in the wrong network."""
    pushes(wire)
    seen = is_seen(wire.b, "b0", wire.attach({"rules": [
        {"name": "pop", "match": {"vlan": 9}, "action": "pass", "rewrite": {"vlan": "pop"}}]}))
    sends(wire, 3)
    stats = wire.seen(3)
    assert stats.reasons() == ({"rewrite-failed": 3} if seen else {"default": 3})
