# SPDX-License-Identifier: BSD-2-Clause
"""The interface changes while commands change its policy and a consumer takes its packets: it
goes, gets another name or namespace, another MTU, other queues, and is set down and up."""
import contextlib
import os
import signal
import subprocess
import threading

import frame as fr
import shunt as sh
from test_apply import command, points

CONSUMERS = {"tap": {"kind": "xsk", "if_down": "pass"}}
TAP = {"name": "tap", "match": {"proto": "udp", "dport": "5000-5999"},
       "action": {"redirect": {"consumer": "tap"}}}
SMALL = {"consumers": CONSUMERS, "rules": [TAP]}
# it needs larger maps, and programs that do more: a takeover each time
LARGE = {"consumers": CONSUMERS,
         "rules": [{"name": "r%d" % n, "action": "drop",
                    "match": {"src": "10.%d.%d.0/24" % (n >> 8, n & 255), "vlan": "none"}}
                   for n in range(1200)] + [TAP]}
ALL = ("--hook", "xdp", "--hook", "tc-ingress", "--hook", "tc-egress")
SECONDS = 30  # no command takes that long, whatever becomes of its interface
GONE = ("which does not exist in this network namespace", "there is no such interface",
        "an interface that does not exist", "its interface is gone from here",
        "no program of Shunt's sits on", "is called c0 now", "nothing of Shunt's is attached to")


class Applies:
    """Policies in turn, on and on, until stop(): what each command has answered."""

    def __init__(self, wire, ns=None, interface="b0"):
        self.wire, self.ns, self.interface = wire, ns or wire.b, interface
        self.done, self.fault = [], None
        self._paths = [wire.policy(SMALL, "small.json"), wire.policy(LARGE, "large.json")]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._ended.is_set():
                path = self._paths[len(self.done) % 2]
                self.done.append(sh.run("apply", self.interface, "-p", path, ns=self.ns,
                                        seconds=SECONDS))
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault

    def more(self, count=1):
        """Waits until so many more have ended."""
        want = len(self.done) + count
        sh.wait(lambda: self.fault or len(self.done) >= want, "%d more applies" % count, SECONDS)
        return self

    def stop(self):
        """All ended by themselves, and a failure had a sentence: the failures."""
        self._ended.set()
        self._thread.join((SECONDS + 5) * sh.PATIENCE)
        assert not self._thread.is_alive() and not self.fault, self.fault
        for one in self.done:
            assert one.code in (0, 1) and bool(one.error) == bool(one.code), one
        return [one.error for one in self.done if one.code]

    def all_worked(self):
        assert not self.stop()
        assert len(self.done) > 2


def count(wire, ready=True):
    process = wire.b.start(sh.BINARY, "run", "count", "b0", "-c", "tap", "--netns", wire.b.name,
                           "--json", "--interval", "20ms")
    sh.wait(lambda: process.lines or process.popen.poll() is not None, "the consumer to run")
    assert not ready or process.popen.poll() is None, process.err
    return process


def taken(process):
    return max([reply["packets"] for reply in process.replies()], default=0)


def flow(wire, packets=20, interface="a0"):
    sh.send(wire.a.raw(interface), *[fr.eth(fr.ip4(fr.udp(b"x" * 20, 4000 + n, 5000 + n)))
                                     for n in range(packets)])


def served(wire, process, packets=20):
    """What is sent from now on reaches the consumer."""
    before = taken(process)
    flow(wire, packets)
    sh.wait(lambda: taken(process) >= before + packets, "%d packets at the consumer" % packets)


def findings(interface, ns, *options):
    done = sh.run("fsck", interface, *options, ns=ns)
    assert done.replies, done
    return {one["what"]: one for one in done.reply["findings"] if not one["repaired"]}


def settled(wire, interface="b0", ns=None):
    """The next command converges, all is well afterwards, and a detach takes everything."""
    ns = ns or wire.b
    reply = sh.shunt("apply", interface, "-p", wire.policy(SMALL, "last.json"), ns=ns)
    assert sh.shunt("show", interface, ns=ns)["generation"] == reply["generation"]
    assert not findings(interface, ns)
    sh.Stats(sh.shunt("stats", interface, ns=ns)).balances()
    ledger = sh.shunt("stats", interface, "--ledger", ns=ns)
    assert ledger["balanced"], ledger
    assert sh.shunt("detach", interface, ns=ns)["gone"]


def stale_goes(wire, traces):
    """An interface that is gone leaves what `detach --stale` takes away, and no more."""
    assert sh.run("detach", "--stale").code == 0
    assert not wire.b.instances()
    traces.nothing_new()


def known(sentences):
    for one in sentences:
        assert any(words in one for words in GONE), one


# --- it goes ------------------------------------------------------------------------------

def test_it_is_deleted_while_policies_are_applied(wire, traces):
    wire.attach(SMALL, *ALL)
    process = count(wire)
    served(wire, process)
    applies = Applies(wire).more(3)
    wire.b.ip("link del b0")
    failures = applies.more(4).stop()
    assert failures and "b0" in failures[-1]
    known(failures[1:])  # the first one may have been anywhere
    assert process.end() == 1 and "b0" in process.err.decode()
    stale_goes(wire, traces)


def test_another_of_its_name_comes_while_policies_are_applied(wire, traces):
    wire.attach(SMALL)
    applies = Applies(wire).more(2)
    wire.b.ip("link del b0", "link add b0 type veth peer b1", "link set b0 up")
    failures = applies.more(4).stop()
    assert failures, "the policy was another one's"
    assert "xdp" not in wire.b.link("b0"), "nobody has attached to this one"
    wire.attach(SMALL, *ALL)
    settled(wire)
    traces.nothing_new()


@contextlib.contextmanager
def halted(wire, call, number, *words):
    """A command that stands still after a system call, and goes on in the end: its Reply."""
    log = wire.file("halted")
    argv = ["strace", "-o", log, "-e", "trace=" + call, "-e",
            "inject=%s:signal=STOP:when=%d" % (call, number), *command(wire, *words), "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as tracer:
        try:
            sh.wait(lambda: tracer.poll() is not None or stands_still(log),
                    "the command to stand still", SECONDS)
            assert tracer.poll() is None, (argv, tracer.communicate())
            with open("/proc/%d/task/%d/children" % (tracer.pid, tracer.pid),
                      encoding="ascii") as file:
                (pid,) = map(int, file.read().split())
            reply = sh.Reply(argv, None, "", "")
            yield reply
            os.kill(pid, signal.SIGCONT)
            out, err = tracer.communicate(timeout=SECONDS)
        except BaseException:
            tracer.kill()
            raise
    reply.__init__(argv, tracer.returncode, out, err)


def stands_still(log):
    if not os.path.exists(log):
        return False
    with open(log, encoding="utf-8") as file:
        return "--- stopped by SIGSTOP ---" in file.read()


def moments(wire, *hooks):
    """Some of the system calls of an apply in which programs take over, first to last."""
    wire.attach(SMALL, *hooks)
    where = points(wire, "apply", "b0", "-p", wire.policy(LARGE, "large.json"),
                   every=("LINK_UPDATE",))
    wire.detach()
    return sh.some(where[::max(1, len(where) // 8)], 4)


def test_it_is_deleted_at_any_moment_of_an_apply(wire, traces):
    for call, number in moments(wire, *ALL):
        with sh.Wire() as other:
            other.attach(SMALL, *ALL)
            with halted(other, call, number, "apply", "b0", "-p",
                        other.policy(LARGE, "large.json")) as reply:
                other.b.ip("link del b0")
            assert reply.code in (0, 1) and bool(reply.error) == bool(reply.code), reply
            if reply.code:
                assert "b0" in reply.error, reply
            stale_goes(other, traces)


def test_it_gets_another_name_at_any_moment_of_an_apply(wire, traces):
    for call, number in moments(wire, *ALL):
        with sh.Wire() as other:
            other.attach(SMALL, *ALL)
            with halted(other, call, number, "apply", "b0", "-p",
                        other.policy(LARGE, "large.json")) as reply:
                rename(other.b, "b0", "c0")
            assert reply.code in (0, 1) and bool(reply.error) == bool(reply.code), reply
            flow(other)
            settled(other, "c0")
            traces.nothing_new()


def test_it_moves_away_at_any_moment_of_an_apply(wire, traces):
    for call, number in moments(wire, *ALL[:4]):
        with sh.Wire() as other:
            other.attach(SMALL, *ALL[:4])
            with halted(other, call, number, "apply", "b0", "-p",
                        other.policy(LARGE, "large.json")) as reply:
                other.b.ip("link set b0 netns %s" % other.a.name)
            assert reply.code in (0, 1) and bool(reply.error) == bool(reply.code), reply
            assert not findings("b0", other.b, "--repair")
            other.a.ip("link set b0 up")
            settled(other, "b0", other.a)
            traces.nothing_new()


# --- another name, another namespace ------------------------------------------------------

def rename(ns, old, new):
    """Without setting it down, which would end its consumers."""
    ns.ip("link set %s name %s" % (old, new))


def test_it_is_renamed_while_policies_are_applied(wire, traces):
    wire.attach(SMALL, *ALL)
    process = count(wire)
    served(wire, process)
    applies = Applies(wire)
    for _ in range(3):
        applies.more(2)
        rename(wire.b, "b0", "c0")
        applies.more(2)
        rename(wire.b, "c0", "b0")
    failures = applies.more(2).stop()
    known(failures)
    assert applies.done[-1].code == 0, applies.done[-1]
    if process.popen.poll() is not None:  # it looked while the instance was between two names
        assert b"Shunt was detached, or the interface is gone" in process.err
        process = count(wire)
    served(wire, process)
    rename(wire.b, "b0", "c0")
    served(wire, process)
    assert process.end(signal.SIGINT) == 0
    settled(wire, "c0")
    traces.nothing_new()


def test_it_moves_while_policies_are_applied(wire, traces):
    wire.attach(SMALL, "--hook", "xdp", "--hook", "tc-ingress")
    process = count(wire)
    served(wire, process)
    applies = Applies(wire).more(3)
    wire.b.ip("link set b0 netns %s" % wire.a.name)
    # whoever looks from where it was can still change its policy, as links go along
    known(applies.more(3).stop())
    assert process.end() == 1
    assert "b0 is gone: the interface was deleted or moved to another network namespace" in \
        process.err.decode()
    assert not findings("b0", wire.b, "--repair")
    wire.a.ip("link set b0 up")
    settled(wire, "b0", wire.a)
    traces.nothing_new()


# --- what it is like ----------------------------------------------------------------------

def test_it_goes_down_and_up_while_policies_are_applied(wire):
    wire.attach(SMALL, *ALL)
    process = count(wire)
    applies = Applies(wire).more()
    for _ in range(5):
        wire.b.ip("link set b0 down")
        applies.more()
        wire.b.ip("link set b0 up")
        applies.more()
    applies.all_worked()
    assert process.end() == 1
    assert ("b0 went down: no frame can arrive or leave; `ip link set b0 up` and start again"
            in process.err.decode())
    process = count(wire)
    served(wire, process)
    assert process.end(signal.SIGINT) == 0
    settled(wire)


def test_its_mtu_changes_while_policies_are_applied(wire):
    wire.attach(SMALL, *ALL)
    process = count(wire)
    applies = Applies(wire)
    for size in (1280, 9000, 1500, 65535, 68, 1500):
        wire.b.ip("link set b0 mtu %d" % size)
        applies.more()
    applies.all_worked()
    served(wire, process)
    assert process.end(signal.SIGINT) == 0
    settled(wire)


def test_jumbo_frames_pass_and_a_consumer_that_has_no_room_for_them_loses_them(wire):
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.ip("link set %s mtu 9000" % name)
    reply = wire.attach(SMALL)
    process = count(wire)
    applies = Applies(wire)
    for size in (1500, 9000, 3000, 9000):
        wire.a.ip("link set a0 mtu %d" % size)
        wire.b.ip("link set b0 mtu %d" % size)
        applies.more()
    applies.all_worked()
    assert sh.shunt("show", "b0", ns=wire.b)["hooks"][0]["mode"] == reply["hooks"][0]["mode"]
    assert wire.a.ping(sh.B4, 3, size=8000, whole=True) == 3
    sh.send(wire.a.raw("a0"), *[fr.eth(fr.ip4(fr.udp(b"x" * 8000, 4000, 5000))) for _ in range(5)])
    served(wire, process)
    assert process.end(signal.SIGINT) == 0
    settled(wire)


def queues(ns, interface, number, ok=True):
    return ns.run("ethtool", "-L", interface, "rx", number, "tx", number, ok=ok).returncode == 0


def test_its_queues_change_while_policies_are_applied():
    with sh.Wire(queues=4) as wire:
        wire.attach(SMALL, *ALL)
        applies = Applies(wire)
        for before, number in ((4, 1), (1, 4), (4, 2), (2, 3), (3, 1)):
            # an end that has XDP needs a queue for each that the other sends on
            ends = [(wire.b, "b0"), (wire.a, "a0")]
            for ns, name in ends if number > before else reversed(ends):
                queues(ns, name, number)
            applies.more()
        applies.all_worked()
        process = count(wire)
        served(wire, process)
        queues(wire.b, "b0", 4)
        served(wire, process)
        assert process.end(signal.SIGINT) == 0
        queues(wire.a, "a0", 4)
        wire.b.ip("link set b0 down", "link set b0 up")  # see the next test
        process = count(wire)
        # the kernel keeps queues that a socket sits on
        assert not queues(wire.b, "b0", 2, ok=False)
        applies = Applies(wire).more(2)
        served(wire, process)
        applies.stop()
        assert process.end(signal.SIGINT) == 0
        flow(wire)
        assert wire.stats().balances().reason("consumer-down") > 0
        settled(wire)


def test_queues_that_came_later_are_ruled_once_it_was_set_up_again():
    """Until then veth shows their packets to no native XDP program; nor does a consumer that
    serves "all" queues know them."""
    with sh.Wire(queues=4) as wire:
        queues(wire.a, "a0", 1)
        queues(wire.b, "b0", 1)
        wire.attach(SMALL)
        process = count(wire)
        served(wire, process)
        queues(wire.b, "b0", 4)
        queues(wire.a, "a0", 4)
        before = wire.stats().hook()
        wire.b.ip("link set b0 down", "link set b0 up")
        flow(wire, 200)
        stats = wire.seen(before + 200)
        assert stats.rule("tap") == before + 200
        assert stats.reason("consumer-down") > 0
        process.end(signal.SIGINT)  # it may have noticed that its sockets went, or not
        process = count(wire)
        served(wire, process, 200)
        assert process.end(signal.SIGINT) == 0
        settled(wire)
