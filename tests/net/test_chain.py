# SPDX-License-Identifier: BSD-2-Clause
"""Beside other owners' XDP programs by libxdp's dispatcher: attach --chain.

Kernels that refuse freplace programs, and some are locked down so, have a refusal to show for it:
that is tested there. What follows it here is tested where the kernel can: tests/vm/suite/chain runs there.
"""
import contextlib
import os
import re

import pytest

import owners
import shunt as sh
from numbered import Numbered, Server
from shunt import B4
from test_apply import killed, other_needs, points

PINS = "/sys/fs/bpf/xdp"
PASS = {"rules": [{"name": "pings", "match": {"icmp": "echo-request"}, "action": "count"}]}
DROP = {"rules": [{"name": "no-pings", "match": {"icmp": "echo-request"}, "action": "drop"}]}
RATE = 500
FRAME = "02000000000b02000000000a08004500001c0000000040010000c0000201c0000202" + "0800" + "00" * 24


def chains():
    (row,) = [row for row in sh.shunt("probe")["features"] if row["name"] == "xdp-chain"]
    return row["answer"] == "yes"


CHAINS = os.geteuid() == 0 and os.access(sh.BINARY, os.X_OK) and chains()


def where_it_can(test):
    """Elsewhere there is no such test: it is no skip that could be made good here."""
    return test if CHAINS else None


def where_it_cannot(test):
    return None if CHAINS else test


# --- anywhere -----------------------------------------------------------------------------

@where_it_cannot
def test_where_the_kernel_cannot_it_is_said_and_nothing_is_left(wire, traces):
    done = sh.run("attach", "b0", "-p", wire.policy({}), "--chain", "10", ns=wire.b)
    assert done.code == 1
    assert done.error == (
        "this kernel refuses freplace programs (Operation not permitted), which libxdp's "
        "dispatcher is made of, so that XDP programs cannot be chained: leave out --chain and "
        "have the interface alone, or attach tc-ingress, where there is room for several")
    assert done.err.count("\n") == 1, "libxdp has a screenful to say, and none of it is heard"
    assert "xdp" not in wire.b.link("b0")
    traces.nothing_new()


@pytest.mark.parametrize("options, words", [
    (["--chain", "0"], '--chain "0" is no number: say 1 or more'),
    (["--chain", "first"], '--chain "first" is no number'),
    (["--chain", "65536"], "priority 65536 is too large: a chain's are 1 to 65535"),
    (["--chain", "9", "--hook", "tc-ingress"], "only programs of the hook xdp are chained"),
])
def test_a_chain_that_makes_no_sense_is_refused(wire, options, words):
    assert words in sh.refused("attach", "b0", "-p", wire.policy({}), *options, ns=wire.b)
    assert "xdp" not in wire.b.link("b0")


def test_a_program_that_is_no_dispatcher_is_not_chained_with(wire, foreign):
    wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "object", foreign, "section", "xdp")
    before = wire.b.link("b0")["xdp"]
    words = sh.refused("attach", "b0", "-p", wire.policy({}), "--chain", "10", ns=wire.b)
    assert ("and this one is none; have its owner take it off first" if CHAINS else
            "this kernel refuses freplace programs") in words
    assert wire.b.link("b0")["xdp"] == before
    wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "off")


@pytest.mark.parametrize("place, valid", [
    ({"mode": "chained", "priority": 10}, True), ({"mode": "chained"}, False),
    ({"mode": "chained", "priority": 0}, False), ({"mode": "native", "priority": 10}, False),
    ({"mode": "native"}, True), ({"hook": "tc-ingress", "mode": "chained", "priority": 10}, False),
    ({"hook": "tc-ingress", "mode": "tcx"}, True)])
def test_replies_tell_the_priority_of_what_is_chained(place, valid):
    place = {"hook": "xdp", "program": 7, **place}
    for name in ("attach", "apply", "list", "show"):
        rule = sh.validator(name).evolve(schema={**sh.validator(name).schema["$defs"]["place"],
                                                 "$defs": sh.validator(name).schema["$defs"]})
        assert rule.is_valid(place) == valid, (name, place)


# --- where the kernel can -----------------------------------------------------------------

@pytest.fixture(scope="session")
def theirs(tmp_path_factory, foreign):
    return owners.build(tmp_path_factory.mktemp("theirs"))


def status(wire):
    """What xdp-loader says: [(priority, name, id)] in the order in which they run."""
    done = wire.b.run("xdp-loader", "status", "b0")
    return [(int(priority), name, int(number)) for priority, name, number in re.findall(
        r"^ => +(\d+) +(\S+) +(\d+) +[0-9a-f]{16}", done.stdout, re.M)]


def names(wire):
    return [name for _, name, _ in status(wire)]


def folders():
    """Where libxdp pins dispatchers: one for each that is on."""
    return [name for name in (os.listdir(PINS) if os.path.isdir(PINS) else [])
            if name.startswith("dispatch-")]


def told(wire):
    """The same as `shunt show` tells it, which `shunt explain` agrees with."""
    (hook,) = sh.shunt("show", "b0", ns=wire.b)["hooks"]
    chain = sh.shunt("explain", "b0", "--frame", FRAME, ns=wire.b)["chain"]
    assert chain == hook["chain"]
    assert [one["ours"] for one in chain] == [one["program"] == hook["program"] for one in chain]
    return [(one["priority"], one["name"], one["program"]) for one in chain]


class Filter:
    """Another owner: xdp-filter, at priority 10, that lets all pass and counts."""

    def __init__(self, wire, features="ipv4"):
        self.wire = wire
        wire.b.run("xdp-filter", "load", "b0", "-p", "allow", "-m", "native", "-f", features)
        (self.id,) = [number for _, name, number in status(wire) if name.startswith("xdpfilt")]

    def passed(self):
        done = self.wire.b.run("xdp-filter", "status")
        return int(re.search(r"XDP_PASS +(\d+) pkts", done.stdout.replace(",", "")).group(1))

    def unload(self):
        self.wire.b.run("xdp-filter", "unload", "b0")


@contextlib.contextmanager
def filtered(wire, *features):
    """bpffs is not of a namespace: one at a time uses xdp-filter."""
    made = Filter(wire, *features)
    try:
        yield made
    finally:
        wire.b.run("xdp-filter", "unload", "b0", ok=False)


@pytest.fixture(autouse=True)
def _no_pins():
    """Whatever came of a test, no dispatcher's folder is left."""
    yield
    if CHAINS:
        assert not folders()


@where_it_can
@pytest.mark.parametrize("mode", ["native", "generic"])
def test_alone_it_works_and_leaves_nothing(wire, traces, mode):
    reply = wire.attach(PASS, "--chain", "20", "--mode", mode)
    (place,) = reply["hooks"]
    assert (place["mode"], place["priority"]) == ("chained", 20) and not reply["warnings"]
    assert wire.b.link("b0")["xdp"]["mode"] == {"native": 1, "generic": 2}[mode]
    assert status(wire) == [(20, "shunt_xdp_chain", place["program"])]
    assert wire.a.ping(B4, 3) == 3
    stats = wire.seen(3)
    assert stats.rule("pings") == 3
    for words in (["show", "b0"], ["stats", "b0"]):
        (hook,) = sh.shunt(*words, ns=wire.b)["hooks"]
        assert {**hook, **place} == hook
    assert told(wire) == status(wire)
    assert sh.shunt("explain", "b0", "--frame", FRAME, ns=wire.b)["verdict"] == "pass"
    assert "is already attached there" in sh.refused("attach", "b0", "--chain", "5", ns=wire.b)
    assert wire.detach()["gone"]
    assert "xdp" not in wire.b.link("b0")
    traces.nothing_new()


@where_it_can
@pytest.mark.parametrize("priority, order", [(5, ["shunt_xdp_chain", "xdpfilt_alw_ip"]),
                                             (20, ["xdpfilt_alw_ip", "shunt_xdp_chain"])])
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("leaves", ["ours", "theirs"])
def test_two_owners_share_an_interface(wire, traces, priority, order, first, leaves):
    with contextlib.ExitStack() as stack:
        if first == "theirs":
            other = stack.enter_context(filtered(wire))
        wire.attach(PASS, "--chain", priority)
        if first == "ours":
            other = stack.enter_context(filtered(wire))
        assert names(wire) == order and told(wire) == status(wire)
        assert wire.a.ping(B4, 3) == 3
        assert wire.seen(3).rule("pings") == 3 and other.passed() == 3
        # what we pass goes on to the next one, all else ends with us
        wire.apply(DROP)
        assert wire.a.ping(B4, 2, seconds=0.1) == 0
        assert wire.seen(5).rule("no-pings") == 2
        assert other.passed() == (3 if priority == 5 else 5)
        wire.apply(PASS)
        assert names(wire) == order
        assert other.id in [number for _, _, number in status(wire)]
        if leaves == "ours":
            assert wire.detach()["gone"]
            traces.nothing_new()
            passed = other.passed()
            assert names(wire) == ["xdpfilt_alw_ip"]
            assert wire.a.ping(B4, 2) == 2 and other.passed() == passed + 2
        else:
            other.unload()
            assert names(wire) == ["shunt_xdp_chain"]
            assert wire.a.ping(B4, 2) == 2
            assert wire.seen(7).verdict("pass") == 5
            wire.apply(DROP)
            assert wire.a.ping(B4, 1, seconds=0.1) == 0
            assert wire.detach()["gone"]
            traces.nothing_new()
    assert "xdp" not in wire.b.link("b0")


@where_it_can
@pytest.mark.parametrize("priority", [5, 20])
def test_anothers_rule_drops_before_during_and_after(wire, traces, priority):
    client = wire.a.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
    there = {}
    for port in (5000, 5001, 5002):
        there[port] = wire.b.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
        there[port].bind((B4, port))
        there[port].settimeout(30 if port == 5000 else 0)

    def arrive(*ports):
        """Those in front of the last one have come by then, or never will."""
        for port in (5001, 5002, 5000):
            client.sendto(b"x", (B4, port))
        there[5000].recv(64)
        came = []
        for port in (5001, 5002):
            with contextlib.suppress(BlockingIOError):
                there[port].recv(64)
                came.append(port)
        assert came == list(ports)

    ours = {"rules": [{"name": "ours", "match": {"proto": "udp", "dport": 5002},
                       "action": "drop"}]}
    arrive(5001, 5002)
    with filtered(wire, "udp"):
        wire.b.run("xdp-filter", "port", "5001", "-p", "udp", "-m", "dst")
        arrive(5002)
        wire.attach(PASS, "--chain", priority)
        arrive(5002)
        wire.apply(ours)
        arrive()
        wire.apply(other_needs()[3] | {"default": "pass", "rules": ours["rules"]})
        arrive()
        assert wire.detach()["gone"]
        arrive(5002)
        traces.nothing_new()
    arrive(5001, 5002)
    assert "xdp" not in wire.b.link("b0")


@where_it_can
def test_a_dispatcher_is_named_and_the_option_that_joins_it(wire):
    with filtered(wire):
        before = wire.b.link("b0")["xdp"]
        words = sh.refused("attach", "b0", "-p", wire.policy({}), ns=wire.b)
        assert "it is a dispatcher of libxdp's, which `--chain PRIORITY` joins" in words
        words = sh.refused("attach", "b0", "-p", wire.policy({}), "--chain", "9", "--mode",
                           "generic", ns=wire.b)
        assert "it runs in the other mode: leave out --mode" in words
        assert wire.b.link("b0")["xdp"] == before


@where_it_can
def test_vlan_tags_are_not_changed_in_a_chain(wire, traces):
    tags = {"rules": [{"name": "tags", "action": "pass", "rewrite": {"vlan": "pop"}}]}
    words = "rule tags changes VLAN tags, which an XDP program that is chained cannot"
    assert words in sh.refused("attach", "b0", "-p", wire.policy(tags), "--chain", "9", ns=wire.b)
    traces.nothing_new()
    wire.attach(PASS, "--chain", "9")
    assert words in sh.refused("apply", "b0", "-p", wire.policy(tags), ns=wire.b)
    assert wire.a.ping(B4) == 1
    assert wire.seen(1).rule("pings") == 1
    wire.detach()
    wire.attach(tags, "--hook", "tc-ingress")
    assert words in sh.refused("attach", "b0", "--chain", "9", ns=wire.b)


@where_it_can
@pytest.mark.parametrize("priority", [5, 20])
def test_no_packet_is_lost_while_programs_take_over_beside_another(wire, traces, priority):
    first, *others = other_needs()
    for policy in (first, *others):  # the other one is to see them all, wherever it stands
        policy["default"] = "pass"
        for rule in policy["rules"]:
            rule["action"] = "pass" if rule["action"] == "drop" else rule["action"]
    with filtered(wire) as other:
        wire.attach(first, "--chain", priority)
        server = Server(wire)
        before = wire.a.sent("a0")[0]
        with Numbered(wire, rate=RATE) as flow:
            flow.reaches(50)
            programs = [wire.stats()["hooks"][0]["program"]]
            # the last two need no other program: one swap of a word
            for policy in (*others, *2 * [others[-1]]):
                reply = wire.apply(policy)
                assert not reply["warnings"] and reply["hooks"][0]["mode"] == "chained"
                programs.append(reply["hooks"][0]["program"])
                assert server.numbers[-1:] > [0]  # read, so that it has room
        sh.wait(lambda: len(server.numbers) >= flow.sent, "the last of them", 30)
        stats = wire.seen(flow.sent)
        assert server.numbers == list(range(flow.sent))
        assert flow.sent == stats.hook("xdp") == wire.a.sent("a0")[0] - before == other.passed()
        assert stats.reasons() == {"rule": flow.sent} and stats.rule("default") == 0
        swaps = [ours != theirs for ours, theirs in zip(programs, programs[1:])]
        assert swaps == [True] * len(others) + [False] * 2
        assert other.id in [number for _, _, number in status(wire)]
        print("chained at %d: %d packets, %d swaps, 0 lost" % (priority, flow.sent, len(swaps)))
        assert wire.detach()["gone"]
        traces.nothing_new()


@where_it_can
def test_a_consumer_gets_what_is_redirected_in_a_chain(wire, traces):
    with filtered(wire):
        wire.attach({"consumers": {"tap": {"kind": "xsk", "queues": "all"}},
                     "rules": [{"name": "tap", "match": {"proto": "udp", "dport": 9},
                                "action": {"redirect": {"consumer": "tap"}}}]}, "--chain", "20")
        count = wire.b.start(sh.BINARY, "run", "count", "b0", "--consumer", "tap", "--json",
                             "--packets", "5", "--interval", "100ms")
        sh.wait(lambda: count.lines, "the first report", 30)
        client = wire.a.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
        for _ in range(5):
            client.sendto(b"x", (B4, 9))
        assert count.end(seconds=30) == 0
        assert wire.seen(5).verdict("redirect-consumer") == 5
        assert names(wire) == ["xdpfilt_alw_ip", "shunt_xdp_chain"]
        assert wire.detach()["gone"]
    traces.nothing_new()


@where_it_can
def test_an_interface_that_goes_leaves_nothing_for_long(wire, traces):
    wire.attach(PASS, "--chain", "20")
    (name,) = wire.b.instances()
    # from another namespace nobody can tell, and nothing is touched
    assert name not in sh.detach_stale()["removed"]
    assert wire.a.ping(B4) == 1
    wire.b.ip("link del b0")
    assert name in sh.detach_stale(wire.b)["removed"]
    traces.nothing_new()


@where_it_can
def test_whoever_takes_all_off_takes_ours_off_and_that_is_said(wire, traces):
    """That is what `unload --all` says; attach begins anew then."""
    wire.attach(DROP, "--chain", "20")
    wire.b.run("xdp-loader", "unload", "--all", "b0")
    assert "xdp" not in wire.b.link("b0")
    assert sh.shunt("show", "b0", ns=wire.b)["state"] == "stale"
    (warning,) = wire.attach(PASS, "--chain", "20")["warnings"]
    assert warning.startswith("removed what an earlier b0")
    assert wire.a.ping(B4) == 1
    assert wire.detach()["gone"]
    traces.nothing_new()


@where_it_can
@pytest.mark.parametrize("beside", [False, True])
def test_a_dispatcher_taken_off_by_force_is_told_and_healed(wire, traces, beside):
    """Not by libxdp, so that its folder stays, with everybody's pins."""
    with contextlib.ExitStack() as stack:
        if beside:
            stack.enter_context(filtered(wire))
        wire.attach(DROP, "--chain", "20")
        wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "off")
        assert wire.a.ping(B4) == 1
        assert sh.shunt("show", "b0", ns=wire.b)["state"] == "stale"
        words = sh.refused("apply", "b0", "-p", wire.policy(PASS), ns=wire.b)
        assert "no program of Shunt's sits on b0 any more: `shunt detach b0` removes what is left" \
            in words
        (warning,) = wire.attach(DROP, "--chain", "20")["warnings"]
        assert warning.startswith("removed what an earlier b0")
        assert names(wire) == ["shunt_xdp_chain"]
        assert wire.a.ping(B4, 1, seconds=0.1) == 0
        if beside:  # whose owner can begin anew as well
            wire.b.run("xdp-filter", "unload", "b0", ok=False)
            other = stack.enter_context(filtered(wire))
            assert names(wire) == ["xdpfilt_alw_ip", "shunt_xdp_chain"]
            assert wire.a.ping(B4, 1, seconds=0.1) == 0 and other.passed() == 1
        assert wire.detach()["gone"]
        assert wire.a.ping(B4) == 1
        traces.nothing_new()
    assert "xdp" not in wire.b.link("b0")


@where_it_can
def test_a_dispatcher_replaced_by_force_is_told_and_its_heir_left_alone(wire, traces, foreign):
    wire.attach(DROP, "--chain", "20")
    wire.b.run("ip", "-force", "link", "set", "dev", "b0", "xdp", "object", foreign, "section",
               "xdp")
    heir = wire.b.link("b0")["xdp"]
    assert sh.shunt("show", "b0", ns=wire.b)["state"] == "stale"
    words = sh.refused("attach", "b0", "-p", wire.policy(PASS), "--chain", "20", ns=wire.b)
    assert "and this one is none; have its owner take it off first" in words
    done = sh.run("detach", "b0", ns=wire.b)
    assert done.code == 0 or "nothing of Shunt's is attached" in done.error, done
    assert wire.b.link("b0")["xdp"] == heir
    traces.nothing_new()
    wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "off")


# --- killed -------------------------------------------------------------------------------

def settled(wire, other):
    """The other one is as it was, whatever became of us."""
    assert other.id in [number for _, _, number in status(wire)]
    passed = other.passed()
    assert wire.a.ping(B4, 1) == 1
    assert other.passed() == passed + 1


EACH = ("OBJ_PIN", "LINK_CREATE", "sendto", "unlink", "rename", "mkdir")


@where_it_can
def test_an_attach_killed_at_any_change_is_made_good(wire, traces):
    words = ("attach", "b0", "-p", wire.policy(PASS), "--chain", "20")
    with filtered(wire) as other:
        where = points(wire, *words, every=EACH)
        assert wire.detach()["gone"]
        traces.nothing_new()
        for turn, (call, number) in enumerate(sh.some(where, 6)):
            killed(wire, call, number, *words)
            settled(wire, other)
            if turn % 2:
                done = sh.run(*words, ns=wire.b)
                assert done.code == 0 or "is already attached there" in done.error, done
                assert names(wire) == ["xdpfilt_alw_ip", "shunt_xdp_chain"], (call, number)
                settled(wire, other)
                assert wire.stats().rule("pings") >= 1
            done = sh.run("detach", "b0", ns=wire.b)
            assert done.code == 0 or "nothing of Shunt's is attached" in done.error, done
            assert names(wire) == ["xdpfilt_alw_ip"], (call, number)
            settled(wire, other)
            traces.nothing_new()
            assert len(folders()) == 1, (call, number)
    traces.nothing_new()


@where_it_can
def test_a_takeover_killed_at_any_change_leaves_a_policy_that_rules(wire, traces):
    small, large = other_needs()[0], other_needs()[3]
    paths = [wire.policy(policy, name) for policy, name in ((small, "s.json"), (large, "l.json"))]
    client = wire.a.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
    with filtered(wire) as other:
        wire.attach(small, "--chain", "20")
        where = points(wire, "apply", "b0", "-p", paths[1], every=EACH)
        assert wire.detach()["gone"]
        seen = set()
        for call, number in sh.some(where, 4):
            wire.attach(small, "--chain", "20")
            killed(wire, call, number, "apply", "b0", "-p", paths[1])
            show = sh.shunt("show", "b0", ns=wire.b)
            assert show["state"] == "attached", (call, number)
            seen.add(show["rules"][-1]["name"])
            assert names(wire) == ["xdpfilt_alw_ip", "shunt_xdp_chain"], (call, number)
            passed = other.passed()
            client.sendto(b"x", (B4, 5000))
            stats = wire.seen(1)
            assert stats.reasons() == {"rule": 1}, (call, number)
            reply = wire.apply(large)
            assert not reply["warnings"]
            client.sendto(b"x", (B4, 5000))
            stats = wire.seen(2)
            assert stats.reasons() == {"rule": 2}, (call, number)
            assert other.passed() == passed + 2
            assert len(folders()) == 1, (call, number)
            assert wire.detach()["gone"]
            traces.nothing_new()
        assert "plain" in seen
    traces.nothing_new()


@where_it_can
def test_a_detach_killed_at_any_change_is_finished_by_the_next(wire, traces):
    with filtered(wire) as other:
        wire.attach(PASS, "--chain", "20")
        where = points(wire, "detach", "b0", every=("sendto", "unlink", "LINK_CREATE"))
        for call, number in sh.some(where, 4):
            wire.attach(PASS, "--chain", "20")
            killed(wire, call, number, "detach", "b0")
            assert other.id in [one for _, _, one in status(wire)]
            done = sh.run("detach", "b0", ns=wire.b)
            assert done.code == 0 or "nothing of Shunt's is attached" in done.error, done
            assert names(wire) == ["xdpfilt_alw_ip"], (call, number)
            settled(wire, other)
            traces.nothing_new()
            assert len(folders()) == 1, (call, number)
    traces.nothing_new()
