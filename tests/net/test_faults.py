# SPDX-License-Identifier: BSD-2-Clause
"""Every command that changes something, killed at any of its system calls, or refused one.

After a kill, one next command makes the kernel's state that of a run which nobody has disturbed:
the same pins, programs, maps and links, the same policy and members. After an error, too, and the
policy of before rules, or the command has done what it was for.

Where it is tried: a kill at each system call that changes what outlives the process, and at the
one behind it, before which memory that is shared with the kernel may have been written; between
any other two the state is the same. An error at each place of the code that makes a system call
which may fail (a place is a chain of callers, as strace shows it), the first time it comes there.

SHUNT_FAULTS=all tries every place (`make test-faults`), SHUNT_FAULTS=3 every third one, beginning
with one drawn at random; without it, a few places of a few commands are drawn. SHUNT_FAULTS_SEED repeats
a draw.
"""
import collections
import os
import random
import re
import signal
import subprocess

import pytest

import census
import shunt as sh
from test_apply import other_needs
from test_steer import cpus

STEP = int({"": 0, "all": 1}.get(sh.FAULTS, sh.FAULTS))
SEED = sh.FAULTS_SEED
FEW_SCENARIOS, FEW = 4, 3
FAIL = "bpf rename renameat renameat2 mkdir openat unlink unlinkat rmdir sendto flock".split()
CHANGE = re.compile(r"(rename|mkdir|unlink|rmdir|sendto|openat\(.*O_CREAT|write\((?![12],)|bpf\(BPF_("
                    "OBJ_PIN|LINK_(CREATE|UPDATE|DETACH)|RAW_TRACEPOINT_OPEN|"
                    "MAP_(UPDATE|DELETE)))")
CALL = re.compile(r"^(\w+)(\(.*)\n((?: > .*\n)*)", re.M)
# With these libbpf asks what the kernel can do: an error is an answer.
PROBE = re.compile(r'BPF_PROG_LOAD, .*PROG_TYPE_(SOCKET_FILTER|TRACEPOINT|KPROBE)|'
                   r'BTF_LOAD, .*btf_size=\d{1,3},|map_name="(libbpf_\w*)?"')
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
CONSUMED = {"sets": SETS, "consumers": {"tap": {"kind": "xsk", "if_down": "pass"}},
            "rules": [NAMED, PING, {"name": "tap", "match": {"proto": "udp"},
                                    "action": {"redirect": {"consumer": "tap"}}}]}
QUEUED = {"sets": SETS, "queues": {"rps": {"0": [0]}}, "rules": [NAMED, PING]}
HOOKS = ("--hook", "xdp", "--hook", "tc-ingress")


class Scenario:
    """A command, what comes before it, and whether a ping is answered before and after it.

    `clean` is the next command, and what it may say where there was nothing left to do.
    """

    def __init__(self, name, words, prepare=(), ping=(True, True), clean=None, interface="b0"):
        self.name, self.words, self.prepare, self.ping = name, words, prepare, ping
        self.interface = interface
        self.clean = clean or (["apply", interface, "-p", "FINAL"], None)


def save(bench):
    """What rules now goes into a file, and off the interface."""
    done = sh.run("save", ns=bench.wire.b, text=True)
    assert done.code == 0, done
    bench.wire.policy(done.out, "SAVED.json")
    sh.shunt("detach", "b0", ns=bench.wire.b)


def damage(bench):
    """Somebody removes pins."""
    for leaf in ("links/tc-ingress", "progs/xdp", "maps/set"):
        os.unlink(os.path.join(bench.tree(), leaf))


def rename(bench):
    bench.wire.b.ip("link set b0 down", "link set b0 name c0", "link set c0 up")


ATTACH = ["attach", "b0", "-p", "OPEN", *HOOKS]
CLSACT = ["attach", "b0", "-p", "OPEN", "--hook", "tc-ingress", "--mode", "clsact"]
NETFILTER = ["attach", "b0", "-p", "OPEN", "--hook", "xdp", "--hook", "netfilter"]
CONSUMER = ["attach", "b0", "-p", "CONSUMED"]
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
    Scenario("detach-clsact", ["detach", "b0"], [CLSACT],
             clean=(["detach", "b0"], "nothing of Shunt's is attached to b0")),
    Scenario("attach-netfilter", NETFILTER, clean=(NETFILTER, "is already attached there")),
    Scenario("apply-netfilter", ["apply", "b0", "-p", "SHUT"], [NETFILTER], (True, False)),
    Scenario("detach-netfilter", ["detach", "b0", "--hook", "netfilter"], [NETFILTER],
             clean=(["detach", "b0", "--hook", "netfilter"],
                    "Shunt is not attached to its hook netfilter")),
    Scenario("attach-consumer", CONSUMER, clean=(CONSUMER, "is already attached there")),
    Scenario("apply-consumer", ["apply", "b0", "-p", "CONSUMED"], [ATTACH],
             clean=(["apply", "b0", "-p", "CONSUMED"], None)),
    Scenario("attach-queues", ["attach", "b0", "-p", "QUEUED"],
             clean=(["attach", "b0", "-p", "QUEUED"], "is already attached there")),
    Scenario("apply-queues", ["apply", "b0", "-p", "QUEUED"], [ATTACH],
             clean=(["apply", "b0", "-p", "QUEUED"], None)),
    Scenario("leave-queues", ["apply", "b0", "-p", "OPEN"], [["attach", "b0", "-p", "QUEUED"]]),
    Scenario("detach-queues", ["detach", "b0"], [["attach", "b0", "-p", "QUEUED"]],
             clean=(["detach", "b0"], "nothing of Shunt's is attached to b0")),
    Scenario("restore", ["restore", "SAVED"], [["attach", "b0", "-p", "SHUT", *HOOKS], save],
             (True, False), (["restore", "SAVED"], None)),
    Scenario("fsck", ["fsck", "b0", "--repair"], [ATTACH, damage],
             clean=(["fsck", "b0", "--repair"], None)),
    Scenario("renamed", ["apply", "c0", "-p", "SHUT"], [ATTACH, rename], (True, False),
             interface="c0"),
]
DRAWN = SCENARIOS if STEP else random.Random(SEED).sample(SCENARIOS, FEW_SCENARIOS)


class Bench:
    """One scenario on a wire, again and again from the start."""

    def __init__(self, wire, scenario, traces):
        self.wire, self.scenario, self.traces = wire, scenario, traces
        for name in ("OPEN", "SHUT", "LARGE", "FINAL", "CONSUMED", "QUEUED"):
            wire.policy(globals()[name], name + ".json")

    def argv(self, words):
        return [self.wire.file(word + ".json") if word.isupper() else word for word in words]

    def tree(self):
        return "%s/ns%d:%s" % (sh.TREE, self.wire.b.cookie, self.scenario.interface)

    def strace(self, *how):
        """The command under strace, which writes the file `calls`."""
        path = self.wire.file("calls")
        done = subprocess.run(
            ["strace", "-o", path, *how, sh.BINARY, *self.argv(self.scenario.words), "--json",
             "--netns", self.wire.b.name], check=False, capture_output=True, text=True,
            timeout=60)
        return done

    def prepare(self):
        for words in self.scenario.prepare:
            if callable(words):
                words(self)
            else:
                sh.shunt(*self.argv(words), ns=self.wire.b)

    def next(self):
        words, done_already = self.scenario.clean
        done = sh.run(*self.argv(words), ns=self.wire.b)
        if done.error and "goes back at once" in done.error:
            sh.shunt("rollback", self.scenario.interface, ns=self.wire.b)
            done = sh.run(*self.argv(words), ns=self.wire.b)
        assert done.code == 0 or (done_already and done_already in done.error), done

    def leave(self):
        done = sh.run("detach", self.scenario.interface, ns=self.wire.b)
        assert done.code == 0 or "nothing of Shunt's is attached to" in done.error, done
        if self.scenario.interface != "b0":
            self.wire.b.ip("link set c0 down", "link set c0 name b0", "link set b0 up")

    def objects(self):
        """What is pinned for the instance and what its programs use, by kind and name.

        Others may work on this machine meanwhile: what nobody pins, attaches or holds, the
        kernel frees; that nothing is left is seen at the scenario's end.
        """
        found, folder = census.objects(), self.tree().removeprefix(sh.TREE) + "/"
        mine = {key for key, item in found.items()
                if any(folder in pin for pin in item.get("pinned", []))}
        for kind, number in list(mine):
            if kind == "prog":
                mine.update(("map", used) for used in found[kind, number].get("map_ids", []))
        # records of earlier policies are not compared
        return collections.Counter(
            (key[0], found[key].get("name")) for key in mine
            if key in found and found[key].get("name") != "shunt_state")

    def signature(self):
        """What there is, but for numbers that every run draws anew."""
        tree, interface = self.tree(), self.scenario.interface
        pins = sorted(os.path.join(folder, name).removeprefix(tree)
                      for folder, _, names in os.walk(tree) for name in names
                      if not folder.endswith("/history"))
        shown = None
        if pins:
            show = sh.shunt("show", interface, ns=self.wire.b)
            shown = [show[key] for key in ("state", "rules", "sets", "consumers", "steering",
                                           "hash")]
            shown.append([(hook["hook"], hook["mode"]) for hook in show["hooks"]])
            shown.append(show["trial"] is None)
            shown += [sorted(sh.shunt("set", "list", interface, one["name"],
                                      ns=self.wire.b)["elements"])
                      for one in show["sets"]]
        qdiscs = self.wire.b.run("tc", "qdisc", "show", "dev",
                                 interface).stdout.count("clsact")
        return {"pins": pins, "objects": self.objects(), "show": shown, "qdiscs": qdiscs,
                "rps": cpus(self.wire.b, interface, "rps", 0),
                "ping": self.wire.answered()}

    def calls(self, *how):
        """[(system call, its words, who called)] of the command."""
        done = self.strace(*how)
        assert done.returncode == 0, done
        with open(self.wire.file("calls"), encoding="utf-8", errors="replace") as file:
            return CALL.findall(file.read())

    def clean_run(self):
        """The signature to reach, and where the command may be killed: see kills()."""
        if self.scenario.name not in _clean:
            self.prepare()
            assert self.wire.answered() == self.scenario.ping[0]
            where = kills(self.calls())
            assert self.wire.answered() == self.scenario.ping[1]
            self.next()
            _clean[self.scenario.name] = self.signature(), where
            self.leave()
            self.traces.nothing_new()
        return _clean[self.scenario.name]

    def refusable(self):
        """Where the command may be refused something: see fails()."""
        self.prepare()
        # stacks take 2 ms a call: of these calls alone
        where = fails(self.calls("-k", "-e", "trace=" + ",".join(FAIL)))
        self.next()
        self.leave()
        return where

    def check(self, clean, where):
        """One next command, and all is as after a clean run."""
        self.next()
        now = self.signature()
        for key in clean:
            assert now[key] == clean[key], (where, key)
        self.leave()


_clean = {}


def _begin(calls):
    """What the loader of the program itself opens and maps is not ours."""
    return max(n for n, (call, args, _) in enumerate(calls)
               if call == "openat" and re.search(r'\.so[.\d]*"|ld\.so\.cache', args))


def kills(calls):
    """[(call, number) where to kill], of all calls."""
    found, used, changed, begin = [], collections.Counter(), False, _begin(calls)
    for n, (call, args, _) in enumerate(calls):
        used[call] += 1
        if n <= begin or call in ("exit_group", "execve"):
            continue
        changes = CHANGE.match(call + args)
        if changed or changes:
            found.append((call, used[call]))
        changed = changes
    return found


def fails(calls):
    """[(call, number) where to fail], of calls that may, with their stacks."""
    found, used, stacks, begin = [], collections.Counter(), set(), _begin(calls)
    for n, (call, args, stack) in enumerate(calls):
        used[call] += 1
        key = (call, args[:24] if call == "bpf" else "", stack)
        if n > begin and key not in stacks and not PROBE.search(args):
            stacks.add(key)
            found.append((call, used[call]))
    return found


def chosen(every, draw):
    """Of places, those that this run tries."""
    if STEP:
        return every[draw.randrange(STEP)::STEP]
    # those that change something are drawn as often as the others
    rare = [place for place in every if place[0] not in ("bpf", "openat", "close", "munmap")]
    return draw.sample(every, min(FEW // 2, len(every))) + draw.sample(rare, min(FEW // 2,
                                                                                 len(rare)))


@pytest.fixture(scope="module", params=DRAWN, ids=lambda scenario: scenario.name)
def scenario(request):
    return request.param


@pytest.fixture
def bench(scenario, wire, traces):
    return Bench(wire, scenario, traces)


def test_a_command_killed_at_any_system_call_is_made_good_by_the_next(bench):
    clean, where_to = bench.clean_run()
    missed = 0
    tried = chosen(where_to, random.Random(SEED))
    for call, number in tried:
        where = (bench.scenario.name, call, number, "SHUNT_FAULTS_SEED=%d" % SEED)
        bench.prepare()
        done = bench.strace("-e", "trace=" + call, "-e",
                            "inject=%s:signal=KILL:when=%d" % (call, number))
        assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), (where, done)
        # closes and the like may come less often in another run
        missed += done.returncode == 0
        # meanwhile a packet meets the policy of before, or that of after
        assert bench.wire.answered() in bench.scenario.ping, where
        bench.check(clean, where)
    assert missed <= len(tried) // 4
    bench.traces.nothing_new()


# What would not be true: the interface is there, and so is what Shunt has attached to it.
UNTRUE = re.compile("nothing of Shunt's is attached|no such interface|is no bpffs|"
                    "not attached to its hook|there is no policy|no policy is on trial")

# What an error may leave for good, and a warning has said: a lesser mode of a hook; a queue that
# stays as it is; no watch, for it is not tried again, lest its sums are not whole.
LESSER = re.compile("what the kernel loses of redirected packets will be unknown|"
                    "generic mode is used|a clsact filter is used|queues: rps of queue")


def refusal(scenario, done):
    """What a command said that an error has ended."""
    if scenario.name == "fsck" and '"left":' in done.stdout:
        return done.stdout
    said = re.findall(r'"error":"((?:[^"\\]|\\.)*)"', done.stderr)
    assert len(said) == 1 and len(said[0]) > 15 and not UNTRUE.search(said[0]), (scenario.name,
                                                                               done)
    return said[0]


def test_a_command_that_is_refused_any_system_call_changes_nothing_or_all(bench):
    clean, _ = bench.clean_run()
    draw = random.Random(SEED)
    for call, number in chosen(bench.refusable(), draw):
        error = draw.choice(ERRORS)
        where = (bench.scenario.name, call, number, error, "SHUNT_FAULTS_SEED=%d" % SEED)
        bench.prepare()
        done = bench.strace("-e", "trace=" + call, "-e",
                            "inject=%s:error=%s:when=%d" % (call, error, number))
        assert done.returncode in (0, 1), (where, done)
        before, after = bench.scenario.ping
        if done.returncode == 0:
            assert bench.wire.answered() == after, where
        else:
            said = refusal(bench.scenario, done)
            changed = "could not be cleared away" in said
            assert bench.wire.answered() == (after if changed else before), (where, said)
        if LESSER.search(done.stdout):
            bench.next()
            bench.leave()
        else:
            bench.check(clean, where)
    bench.traces.nothing_new()
