# SPDX-License-Identifier: BSD-2-Clause
"""Every command that changes something, killed at any of its system calls, or refused one.

After a kill, one next command makes the kernel's state that of a run which nobody has disturbed:
the same pins, programs, maps and links, the same policy and members. After an error, too, and the
policy of before rules, or the command has done what it was for.

SHUNT_FAULTS=all tries each use of each system call (`make test-faults`); otherwise a few, drawn at
random: SHUNT_SEED repeats a draw.
"""
import collections
import os
import random
import re
import signal
import subprocess

import pytest

import shunt as sh
from shunt import B4
from test_apply import other_needs

EVERY = os.environ.get("SHUNT_FAULTS") == "all"
SEED = int(os.environ.get("SHUNT_SEED") or random.randrange(1 << 16))
FEW = 4
CALLS = "bpf rename renameat renameat2 mkdir mkdirat openat unlink unlinkat rmdir sendto".split()
ERRORS = ["ENOMEM", "EPERM", "EBUSY", "E2BIG", "EINTR"]

PING = {"name": "ping", "match": {"proto": "icmp"}, "action": "pass"}
SETS = {"named": {"type": "address"}, "own": {"type": "prefix", "elements": ["198.51.100.0/24"]}}
BLOCK = {"name": "own", "match": {"src": "@own"}, "action": "drop"}
NAMED = {"name": "named", "match": {"src": "@named"}, "action": "drop"}
OPEN = {"sets": SETS, "rules": [NAMED, PING, BLOCK]}
SHUT = {"sets": {**SETS, "own": {"type": "prefix", "elements": ["192.0.2.0/28"]}},
        "rules": [BLOCK, NAMED, {"name": "late", "match": {"proto": "udp"}, "action": "count"}]}
LARGE = {**other_needs()[3], "default": "pass", "sets": SETS}
LARGE["rules"] = [PING, NAMED, *LARGE["rules"][:1]]
FINAL = {"sets": SETS, "rules": [{"name": "final", "match": {"proto": "icmp"}, "action": "pass"},
                                 NAMED]}
HOOKS = ("--hook", "xdp", "--hook", "tc-ingress")


class Scenario:
    """A command, what comes before it, and whether a ping is answered before and after it."""

    def __init__(self, name, words, prepare=(), ping=(True, True), clean=None):
        self.name, self.words, self.prepare, self.ping = name, words, prepare, ping
        # what the next command is, and what it may say where there was nothing left to do
        self.clean = clean or (["apply", "b0", "-p", "FINAL"], None)


ATTACH = ["attach", "b0", "-p", "OPEN", *HOOKS]
CLSACT = ["attach", "b0", "-p", "OPEN", "--hook", "tc-ingress", "--mode", "clsact"]
TRIAL = ["apply", "b0", "-p", "SHUT", "--confirm", "60s"]
SCENARIOS = [
    Scenario("attach", ATTACH, clean=(ATTACH, "is already attached there")),
    Scenario("attach-clsact", CLSACT, clean=(CLSACT, "is already attached there")),
    Scenario("join", ["attach", "b0", "--hook", "tc-ingress"],
             [["attach", "b0", "-p", "OPEN"]],
             clean=(["attach", "b0", "--hook", "tc-ingress"], "is already attached there")),
    Scenario("apply", ["apply", "b0", "-p", "SHUT"], [ATTACH], (True, False)),
    Scenario("apply-large", ["apply", "b0", "-p", "LARGE"], [ATTACH]),
    Scenario("trial", TRIAL, [ATTACH], (True, False),
             (["rollback", "b0"], "there is no policy 1 before the one that rules")),
    Scenario("confirm", ["confirm", "b0"], [ATTACH, TRIAL], (False, False),
             (["confirm", "b0"], "no policy is on trial there")),
    Scenario("give-up", ["rollback", "b0"], [ATTACH, TRIAL], (False, True)),
    Scenario("rollback", ["rollback", "b0"], [ATTACH, ["apply", "b0", "-p", "SHUT"]],
             (False, True)),
    Scenario("set-add", ["set", "add", "b0", "named", "192.0.2.0", sh.A4], [ATTACH],
             (True, False), (["set", "del", "b0", "named", "192.0.2.0", sh.A4], None)),
    Scenario("set-replace", ["set", "replace", "b0", "own", "192.0.2.0/24"],
             [["attach", "b0", "-p", "SHUT", *HOOKS]], (False, False)),
    Scenario("detach-one", ["detach", "b0", "--hook", "tc-ingress"], [ATTACH],
             clean=(["detach", "b0", "--hook", "tc-ingress"],
                    "Shunt is not attached to its hook tc-ingress")),
    Scenario("detach", ["detach", "b0"], [ATTACH],
             clean=(["detach", "b0"], "nothing of Shunt's is attached to b0")),
]


class Bench:
    """One scenario on a wire, again and again from the start."""

    def __init__(self, wire, scenario, traces):
        self.wire, self.scenario, self.traces = wire, scenario, traces
        for name in ("OPEN", "SHUT", "LARGE", "FINAL"):
            wire.policy(globals()[name], name + ".json")

    def argv(self, words):
        return [self.wire.file(word + ".json") if word.isupper() else word for word in words]

    def strace(self, *how):
        """The command under strace: (exit status, what it said on stderr)."""
        path = self.wire.file("calls")
        done = subprocess.run(
            ["strace", "-o", path, *how, sh.BINARY, *self.argv(self.scenario.words), "--json",
             "--netns", self.wire.b.name], check=False, capture_output=True, text=True)
        return done

    def prepare(self):
        for words in self.scenario.prepare:
            sh.shunt(*self.argv(words), ns=self.wire.b)

    def next(self):
        words, done_already = self.scenario.clean
        done = sh.run(*self.argv(words), ns=self.wire.b)
        if done.code and "goes back at once" in done.error:
            sh.shunt("rollback", "b0", ns=self.wire.b)
            done = sh.run(*self.argv(words), ns=self.wire.b)
        assert done.code == 0 or (done_already and done_already in done.error), done

    def leave(self):
        done = sh.run("detach", "b0", ns=self.wire.b)
        assert done.code == 0 or "nothing of Shunt's is attached to b0" in done.error, done

    def answered(self):
        return self.wire.a.ping(B4, 1, "-W", "0.05") == 1

    def objects(self, pins):
        """What the kernel has, by kind and name. It frees in its own time: waits for it.

        Records of earlier policies are not compared, nor the empty maps of one entry that stand
        where sets have been.
        """
        looks, found = [], {}

        def compared(item):
            if len(item) != 4 or item[2] == "shunt_state":
                return False
            return item[2] not in ("shunt_set_in", "shunt_svc_in") \
                or found.get(item[:2], {}).get("max_entries") != 1

        def look():
            found.update(sh.objects())
            looks.append(collections.Counter((item[0], item[2]) for item in self.traces.new()
                                             if compared(item)))
            if self.wanted is not None:
                return looks[-1] == self.wanted
            # of a clean run: programs that were replaced have gone, and their maps
            programs = sum(count for (kind, _), count in looks[-1].items() if kind == "prog")
            return programs == sum("/progs/" in pin for pin in pins) and len(looks) > 6 \
                and all(one == looks[-1] for one in looks[-6:])

        try:
            sh.wait(look, "the kernel to be as after a clean run")
        except AssertionError:
            pass  # the comparison tells what differs
        return dict(looks[-1])

    def signature(self):
        """What there is, but for numbers that every run draws anew."""
        tree = "%s/ns%d:b0" % (sh.TREE, self.wire.b.cookie)
        pins = sorted(os.path.join(folder, name).removeprefix(tree)
                      for folder, _, names in os.walk(tree) for name in names
                      if not folder.endswith("/history"))
        kinds = self.objects(pins)
        shown = None
        if pins:
            show = sh.shunt("show", "b0", ns=self.wire.b)
            shown = [show[key] for key in ("state", "rules", "sets", "consumers", "hash")]
            shown.append([(hook["hook"], hook["mode"]) for hook in show["hooks"]])
            shown.append(show["trial"] is None)
            shown += [sorted(sh.shunt("set", "list", "b0", one["name"], ns=self.wire.b)["elements"])
                      for one in show["sets"]]
        qdiscs = self.wire.b.run("tc", "qdisc", "show", "dev", "b0").stdout.count("clsact")
        return {"pins": pins, "objects": kinds, "show": shown, "qdiscs": qdiscs,
                "ping": self.answered()}

    wanted = None

    def clean_run(self):
        """The signature to reach, and where the command may be disturbed: {call: uses}."""
        self.prepare()
        assert self.answered() == self.scenario.ping[0]
        done = self.strace("-e", "trace=" + ",".join("?" + call for call in CALLS))
        assert done.returncode == 0, done
        with open(self.wire.file("calls"), encoding="utf-8", errors="replace") as file:
            used = collections.Counter(re.findall(r"^(\w+)\(", file.read(), re.M))
        assert self.answered() == self.scenario.ping[1]
        self.next()
        clean = self.signature()
        self.wanted = clean["objects"]
        self.leave()
        self.traces.nothing_new()
        return clean, used

    def check(self, clean, where):
        """One next command, and all is as after a clean run."""
        self.next()
        now = self.signature()
        for key in clean:
            assert now[key] == clean[key], (where, key)
        self.leave()


def places(used, draw, few):
    """(call, number): all there are, or a few."""
    every = [(call, number + 1) for call, uses in sorted(used.items()) for number in range(uses)]
    if EVERY:
        return every
    # those that change something are drawn as often as the others
    rare = [place for place in every if place[0] not in ("bpf", "openat")]
    return draw.sample(every, min(few, len(every))) + draw.sample(rare, min(few, len(rare)))


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def bench(request, wire, traces):
    return Bench(wire, request.param, traces)


def test_a_command_killed_at_any_system_call_is_made_good_by_the_next(bench):
    clean, used = bench.clean_run()
    for call, number in places(used, random.Random(SEED), FEW):
        where = (bench.scenario.name, call, number, "seed %d" % SEED)
        bench.prepare()
        done = bench.strace("-e", "trace=" + call, "-e",
                            "inject=%s:signal=KILL:when=%d" % (call, number))
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (where, done)
        # meanwhile a packet meets the policy of before, or that of after
        assert bench.answered() in bench.scenario.ping, where
        bench.check(clean, where)
    bench.traces.nothing_new()


def test_a_command_that_is_refused_any_system_call_changes_nothing_or_all(bench):
    clean, used = bench.clean_run()
    draw = random.Random(SEED)
    for call, number in places(used, draw, FEW):
        error = draw.choice(ERRORS)
        where = (bench.scenario.name, call, number, error, "seed %d" % SEED)
        bench.prepare()
        done = bench.strace("-e", "trace=" + call, "-e",
                            "inject=%s:error=%s:when=%d" % (call, error, number))
        assert done.returncode in (0, 1), (where, done)
        before, after = bench.scenario.ping
        if done.returncode == 0:
            assert bench.answered() == after, where
        else:
            said = re.findall(r'"error":"((?:[^"\\]|\\.)*)"', done.stderr)
            assert len(said) == 1 and len(said[0]) > 15, (where, done)
            changed = "could not be cleared away" in said[0]
            assert bench.answered() == (after if changed else before), (where, said)
        bench.check(clean, where)
    bench.traces.nothing_new()
