# SPDX-License-Identifier: BSD-2-Clause
"""Policies that replace each other: under traffic, in vain, and killed half-way."""
import json
import os
import random
import re
import signal
import subprocess

import pytest

import census
import kernel
import shunt as sh
from shunt import B4

RATE = 25000  # packets a second, at most
APPLIES = 30


def one_of_two(name, prefix):
    """A policy under which its own rule takes every packet of the flow, by a set of its own."""
    return {"default": "drop", "sets": {name: {"type": "prefix", "elements": [prefix]}}, "rules": [
        {"name": "all", "match": {"proto": "udp"}, "action": "count"},
        {"name": name, "match": {"src": "@" + name, "dport": [5000, len(name)]}, "action": "drop"},
        {"name": "missed", "match": {"proto": "udp", "dport": 5000}, "action": "drop"}]}


OLD, NEW = one_of_two("old", "192.0.2.0/25"), one_of_two("new", "192.0.2.0/24")


# --- under traffic ------------------------------------------------------------------------

def flows(wire, hook, more=0):
    """Waits until a hook has judged more than so many from now on; the statistics."""
    before = wire.stats().hook(hook)

    def look():
        stats = wire.stats()
        return stats if stats.hook(hook) > before + more else None

    return sh.wait(look, "traffic to flow through " + hook)


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_no_packet_is_lost_or_sees_a_mix_while_policies_alternate(wire, hook):
    wire.attach(OLD, "--hook", hook)
    before = wire.a.sent("a0")[0]
    flow = wire.a.start("/usr/bin/python3", os.path.join(sh.ROOT, "tests/net/flow.py"), B4, 5000,
                        RATE).says("flowing")
    judged = [flows(wire, hook, 1000).hook(hook)]
    for number in range(APPLIES):
        policy, name = ((NEW, "new"), (OLD, "old"))[number % 2]
        reply = wire.apply(policy)
        assert (reply["previous_generation"], reply["generation"]) == (number + 1, number + 2)
        assert reply["kept"] == ["all", "missed"] and reply["added"] == [name]
        assert reply["removed"] == [{"new": "old", "old": "new"}[name]]
        stats = flows(wire, hook)  # under every one of the policies
        judged.append(stats.hook(hook))
        # what the old rule had decided stands under those that are gone
        assert stats["retired"]["packets"] >= judged[-2]
    flow.end(signal.SIGINT)
    sent = int(flow.lines[-1])
    stats = wire.seen(sent, hook)
    assert sent == stats.hook(hook) == wire.a.sent("a0")[0] - before
    assert stats.reasons() == {"rule": sent}
    assert stats.rule("missed") == stats.rule("default") == 0
    assert stats.rule("old") + stats["retired"]["packets"] == sent == stats.rule("all")


def other_needs():
    """Policies that each need other features than the one before, and larger maps."""
    some = ["2001:db8:%x::/48" % number for number in range(0, 40000, 2)]
    ports = [{"name": "p%d" % port, "match": {"proto": "udp", "dport": port}, "action": "pass"}
             for port in range(6000, 6240)]
    own = {"match": {"proto": "udp", "dport": 5000}, "action": "drop"}
    plain = {"default": "drop", "rules": [{"name": "plain", **own}]}
    counting = {"default": "drop", "rules": [
        {"name": "seen", "match": {"dport": 5000}, "action": "count"}, *ports,
        {"name": "counting", **own}]}
    six = {"default": "drop", "rules": [{"name": "six", "match": {"src": some}, "action": "pass"},
                                        {"name": "large", **own}]}
    sets = {"default": "drop", "sets": {"s": {"type": "prefix", "elements": ["192.0.2.0/24"]}},
            "rules": [{"name": "in-set", "match": {"src": "@s", "dport": 5000}, "action": "drop"}]}
    return [plain, counting, sets, six, plain, sets, counting, six, counting]


@pytest.mark.parametrize("hook, mode", [("xdp", "native"), ("xdp", "generic"),
                                        *[("tc-ingress", mode) for mode
                                          in dict.fromkeys([kernel.tc_mode(), "clsact"])]])
def test_no_packet_is_lost_or_counted_twice_while_programs_take_over(wire, traces, hook, mode):
    first, *others = other_needs()
    where = wire.attach(first, "--hook", hook, "--mode", mode)["hooks"]
    before = wire.a.sent("a0")[0]
    flow = wire.a.start("/usr/bin/python3", os.path.join(sh.ROOT, "tests/net/flow.py"), B4, 5000,
                        RATE).says("flowing")
    flows(wire, hook, 1000)
    programs = [where[0]["program"]]
    for policy in others:
        reply = wire.apply(policy)
        assert not reply["warnings"] and reply["hooks"][0]["mode"] == mode
        programs.append(reply["hooks"][0]["program"])
        flows(wire, hook)  # under every one of the policies
    flow.end(signal.SIGINT)
    sent = int(flow.lines[-1])
    stats = wire.seen(sent, hook)
    assert sent == stats.hook(hook) == wire.a.sent("a0")[0] - before
    assert stats.reasons() == {"rule": sent} and stats.rule("default") == 0
    assert stats.rule("counting") + stats["retired"]["packets"] == sent
    assert stats.rule("seen") <= stats.rule("counting")
    assert all(ours != theirs for ours, theirs in zip(programs, programs[1:]))
    assert wire.stats()["hooks"][0]["program"] == programs[-1]
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_all_hooks_change_over_together_and_keep_their_counters(wire):
    wire.attach(OLD, "--hook", "xdp", "--hook", "tc-ingress")
    reply = wire.apply({"rules": [{"name": "all", "match": {"proto": "icmp"}, "action": "count"}]})
    assert [hook["hook"] for hook in reply["hooks"]] == ["xdp", "tc-ingress"]
    assert wire.a.ping(B4, 3) == 3
    stats = wire.seen(3, "tc-ingress")
    assert stats.rule("all") == 6
    wire.apply(NEW)
    stats = wire.stats().balances()
    assert stats.rule("all") == 6 and stats["retired"]["packets"] == 0


def test_an_apply_needs_a_policy_and_an_interface_that_is_attached(wire):
    assert sh.refused("apply", "b0", ns=wire.b) == "apply: which policy? -p FILE names it"
    words = sh.refused("apply", "b0", "-p", wire.policy({}), ns=wire.b)
    assert "nothing of Shunt's is attached to b0" in words and "`shunt attach b0 -p FILE`" in words


# --- in vain ------------------------------------------------------------------------------

def too_large():
    """More classes than an image has room for: rule r takes addresses with bit r set."""
    def taken(bit):
        values = ((high << 1 | 1) << (31 - bit) for high in range(1 << bit))
        return ["%d.%d.%d.0/%d" % (value >> 24, value >> 16 & 255, value >> 8 & 255, bit + 1)
                for value in values]
    return {"rules": [{"name": "r%d" % bit, "match": {"src": taken(bit)}, "action": "drop"}
                      for bit in range(17)]}


VAIN = {
    "interface": ({"rules": [{"name": "over", "action": {"redirect": {"interface": "b7"}}}]},
                  "rule over redirects to interface b7, which does not exist in this network "
                  "namespace; `ip link` lists those that do"),
    "cpu": ({"rules": [{"name": "over", "action": {"redirect": {"cpu": 200}}}]},
            "rule over: redirect to CPU 200"),
    "image": (too_large(), "its 17 rules have too many classes: at most 65536 classes"),
    "set": ({"sets": {"s": {"type": "address", "size": 1, "elements": ["192.0.2.1", "192.0.2.2"]}}},
            "/sets/s/size"),
    "syntax": ('{ "schema": "shunt.policy/1" "default": "drop" }', ":1:30: "),
}


@pytest.mark.parametrize("fault", VAIN)
def test_an_apply_that_fails_changes_nothing(wire, fault):
    policy, words = VAIN[fault]
    wire.attach(OLD)
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    state = lambda: (sh.shunt("show", "b0", ns=wire.b), wire.stats(),  # noqa: E731
                     sh.shunt("set", "list", "b0", "old", ns=wire.b))
    before, traces = state(), census.Traces()
    done = sh.run("apply", "b0", "-p", wire.policy(policy, "other.json"), ns=wire.b)
    assert done.code == 1 and words in done.error + done.out, done
    assert state() == before
    traces.nothing_new()
    assert wire.apply(NEW)["generation"] == 2


# --- killed -------------------------------------------------------------------------------

CALLS = "bpf,rename,mkdir,unlink,sendto"
READS = ("LOOKUP", "GET", "INFO", "BTF_LOAD")


def command(wire, *words):
    return [sh.BINARY, *words, "--netns", wire.b.name]


def points(wire, *words, every=()):
    """Where to kill a command: the first and the last of each system call that changes things,
    and every use of some of them.

    Runs it once, undisturbed, and returns [(system call, number of its use)] in their order.
    """
    path = wire.file("calls")
    subprocess.run(["strace", "-o", path, "-e", "trace=" + CALLS, *command(wire, *words)],
                   check=True, capture_output=True)
    used, first, last, all_of = {}, {}, {}, []
    with open(path, encoding="utf-8") as file:
        for line, (call, rest) in enumerate(re.findall(r"^(\w+)\((\w*)", file.read(), re.M)):
            used[call] = used.get(call, 0) + 1
            kind = rest if call == "bpf" else call
            if not any(word in kind for word in READS):
                last[kind] = line, call, used[call]
                first.setdefault(kind, last[kind])
                all_of += [last[kind]] if any(word in kind for word in every) else []
    return [place[1:] for place in sorted({*first.values(), *last.values(), *all_of})]


def killed(wire, call, number, *words):
    """Runs a command and kills it as it enters a system call for the nth time."""
    done = subprocess.run(["strace", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                           "inject=%s:signal=KILL:when=%d" % (call, number),
                           *command(wire, *words)], check=False, capture_output=True)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (call, number, done)


def converges_to_attached(wire, path, *options):
    """After an attach that was killed: either it stands, or another one can be made."""
    done = sh.run("attach", "b0", "-p", path, *options, ns=wire.b)
    if done.code:
        assert "is already attached there" in done.error, done
    else:
        assert done.reply["generation"] == 1, done
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    wire.stats().balances()
    assert wire.detach()["gone"]


def converges_to_nothing(wire, *_):
    """After an attach that was killed: a detach takes what there is."""
    done = sh.run("detach", "b0", ns=wire.b)
    assert done.code == 0 or "nothing of Shunt's is attached to b0" in done.error, done
    assert wire.a.ping(B4) == 1


@pytest.mark.parametrize("options, count", [
    (("--hook", "xdp"), None),
    # what comes before the last few is the same for all
    (("--hook", "tc-ingress", "--hook", "tc-egress"), 6),
    (("--hook", "tc-ingress", "--mode", "clsact"), 8)])
def test_an_attach_killed_at_any_change_is_made_good_by_the_next_command(wire, traces, options,
                                                                         count):
    policy = {"default": "drop", "sets": OLD["sets"], "rules": OLD["rules"]}
    path = wire.policy(policy)
    where = points(wire, "attach", "b0", "-p", path, *options)
    assert len(where) >= 10
    wire.detach()
    for turn, (call, number) in enumerate(where[-count:] if count else sh.some(where, 12)):
        killed(wire, call, number, "attach", "b0", "-p", path, *options)
        (converges_to_attached, converges_to_nothing)[turn % 2](wire, path, *options)
        for way in ("ingress", "egress"):
            assert not wire.b.run("tc", "filter", "show", "dev", "b0", way).stdout, (call, number)
        traces.nothing_new()


def test_an_apply_killed_at_any_change_leaves_the_old_policy_or_the_new_one(wire, traces):
    paths = {name: wire.policy(policy, name + ".json")
             for name, policy in (("old", OLD), ("new", NEW))}
    wire.attach(OLD)
    where = points(wire, "apply", "b0", "-p", paths["new"])
    assert len(where) >= 8
    client = wire.a.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
    rules, packets = "new", 0
    seen = set()
    for call, number in where:
        other = {"old": "new", "new": "old"}[rules]
        generation = sh.shunt("show", "b0", ns=wire.b)["generation"]
        killed(wire, call, number, "apply", "b0", "-p", paths[other])
        show = sh.shunt("show", "b0", ns=wire.b)
        now = show["rules"][1]["name"]
        assert now in (rules, other)
        assert show["generation"] == generation + (now == other), (call, number)
        assert [one["name"] for one in show["sets"]] == [now]
        seen.add(now == other)
        # what is shown is what rules
        client.sendto(b"x", (B4, 5000))
        packets += 1
        before = wire.stats().rule(now)
        stats = wire.seen(packets)
        assert stats.rule("missed") == 0 and stats.rule("all") == packets, (call, number)
        assert before <= stats.rule(now) and stats.reasons() == {"rule": packets}
        rules = other
        wire.apply({"old": OLD, "new": NEW}[rules])
        wire.stats().balances()
    assert seen == {False, True}, "some kills came before the change, some after it"
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_a_command_that_applies_nothing_makes_good_what_a_killed_apply_has_begun(wire, traces):
    """The next apply would write over what is left; editing a set does not."""
    paths = {name: wire.policy({**policy, "sets": {**policy["sets"], "live": {"type": "address"}}},
                               name + ".json") for name, policy in (("old", OLD), ("new", NEW))}
    tree = "%s/ns%d:b0" % (sh.TREE, wire.b.cookie)

    def look():
        """Pins, earlier records aside, and how many maps of members there are."""
        pins = {os.path.join(folder, name) for folder, _, names in os.walk(tree) for name in names
                if not folder.endswith("/history")}
        dump = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", tree + "/maps/set"],
                              check=True, capture_output=True, text=True)
        inner = [bytes(int(byte, 16) for byte in one["value"]) for one in json.loads(dump.stdout)]
        maps = census.objects()
        return pins, sum(maps[("map", int.from_bytes(number, "little"))]["max_entries"] != 1
                         for number in inner)

    sh.shunt("attach", "b0", "-p", paths["old"], ns=wire.b)
    sh.shunt("set", "add", "b0", "live", "198.51.100.1", ns=wire.b)
    clean, rules, seen = look(), "new", set()
    assert clean[1] == 2  # of "old", and of "live"
    where = points(wire, "apply", "b0", "-p", paths["new"], every=("rename", "OBJ_PIN"))
    for turn, (call, number) in enumerate(where):
        other = {"old": "new", "new": "old"}[rules]
        killed(wire, call, number, "apply", "b0", "-p", paths[other])
        sh.shunt("set", "add", "b0", "live", "198.51.100.%d" % (turn + 2), ns=wire.b)
        sh.wait(lambda: look() == clean, "what %s %d has left to go: %s" % (call, number, look()))
        show = sh.shunt("show", "b0", "--history", ns=wire.b)
        kept = [one["generation"] for one in show["earlier"]]
        last = show["ruling"]["generation"]
        assert kept == list(range(last - 1, max(last - 9, 0), -1)), (call, number)
        now = sh.shunt("show", "b0", ns=wire.b)["rules"][1]["name"]
        seen.add(now == other)
        rules = now
    assert seen == {False, True}, "some kills came before the change, some after it"
    assert wire.detach()["gone"]
    traces.nothing_new()


TAKES_OVER = ("OBJ_PIN", "LINK_UPDATE", "rename", "unlink", "sendto")


@pytest.mark.parametrize("options", [("--hook", "xdp", "--hook", "tc-ingress"),
                                     ("--hook", "tc-ingress", "--mode", "clsact")])
def test_a_takeover_killed_at_any_change_leaves_a_policy_that_rules(wire, traces, options):
    """Each turn starts small, and needs larger maps and other programs."""
    small, large = other_needs()[0], other_needs()[3]
    paths = [wire.policy(policy, name) for policy, name in ((small, "s.json"), (large, "l.json"))]
    wire.attach(small, *options)
    where = points(wire, "apply", "b0", "-p", paths[1], every=TAKES_OVER)
    assert len(where) >= 12
    client = wire.a.socket(sh.socket.AF_INET, sh.socket.SOCK_DGRAM)
    hook, seen = options[-1] if options[-1] != "clsact" else "tc-ingress", set()
    hook = "xdp" if "xdp" in options else hook
    for turn, (call, number) in enumerate(sh.some(where, 8)):
        assert wire.detach()["gone"]
        traces.nothing_new()
        wire.attach(small, *options)
        client.sendto(b"x", (B4, 5000))
        wire.seen(1, hook)
        killed(wire, call, number, "apply", "b0", "-p", paths[1])
        show = sh.shunt("show", "b0", ns=wire.b)
        assert show["state"] == "attached", (call, number)
        seen.add(show["rules"][-1]["name"])
        client.sendto(b"x", (B4, 5000))
        stats = wire.seen(2, hook)
        assert stats.reasons() == {"rule": 2}, (call, number)
        if turn % 2:  # one that needs no more than there was
            wire.apply(small)
        reply = wire.apply(large)
        assert not reply["warnings"]
        client.sendto(b"x", (B4, 5000))
        stats = wire.seen(3, hook)
        assert stats.reasons() == {"rule": 3}, (call, number)
        assert stats.rule("large") + stats["retired"]["packets"] == 3
        pins = os.listdir(os.path.join(sh.TREE, wire.b.instances()[0], "progs"))
        assert not [name for name in pins if name.endswith("_next")], (call, number)
    assert seen == {"plain", "large"}, "some kills came before the change, some after it"
    assert wire.detach()["gone"]
    traces.nothing_new()


@pytest.mark.parametrize("seed", range(2))
def test_commands_killed_at_random_moments_leave_nothing_in_the_end(wire, traces, seed):
    draw = random.Random(seed)
    path = wire.policy(OLD)
    for _ in range(8):
        subprocess.run(["timeout", "-s", "KILL", "%.6f" % draw.uniform(0.001, 0.35),
                        *command(wire, "attach", "b0", "-p", path)], check=False,
                       capture_output=True)
        for policy in (NEW, OLD):
            subprocess.run(["timeout", "-s", "KILL", "%.6f" % draw.uniform(0.001, 0.1),
                            *command(wire, "apply", "b0", "-p", wire.policy(policy, "n.json"))],
                           check=False, capture_output=True)
        if draw.random() < 0.5:
            subprocess.run(["timeout", "-s", "KILL", "%.6f" % draw.uniform(0.001, 0.05),
                            *command(wire, "detach", "b0")], check=False, capture_output=True)
    converges_to_attached(wire, path)
    traces.nothing_new()


def test_a_detach_killed_at_any_change_is_finished_by_the_next(wire, traces):
    path = wire.policy(OLD)
    wire.attach(OLD)
    where = points(wire, "detach", "b0")
    for call, number in where + [("rmdir", 1), ("rmdir", 3), ("rmdir", 5)]:
        sh.shunt("attach", "b0", "-p", path, ns=wire.b)
        killed(wire, call, number, "detach", "b0")
        converges_to_nothing(wire)
        traces.nothing_new()


def test_interrupts_wait_until_a_change_is_complete(wire, traces):
    """^C in the midst of an attach: it is done, or it is not, never half."""
    path = wire.policy(OLD)
    for delay in ("0.01", "0.05", "0.1", "0.15"):
        done = subprocess.run(["timeout", "-s", "INT", delay, *command(
            wire, "attach", "b0", "-p", path, "--json")], check=False, capture_output=True,
            text=True)
        if done.stdout:
            sh.validate(json.loads(done.stdout))
            assert wire.detach()["gone"]
        traces.nothing_new()
