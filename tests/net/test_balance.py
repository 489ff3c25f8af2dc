# SPDX-License-Identifier: BSD-2-Clause
"""`shunt stats --ledger`: every packet is somewhere, from hook to consumer, and it adds up."""
import contextlib
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
from shunt import B4
from test_apply import killed

TAP = {"name": "tap", "match": {"proto": "udp", "dport": "5000-5999"},
       "action": {"redirect": {"consumer": "tap"}}}
# who is stopped here is to fill its ring, however long the test takes
TAPPED = {"consumers": {"tap": {"kind": "xsk", "if_down": "drop", "heartbeat": "off"}},
          "rules": [TAP]}
FRAME = fr.eth(fr.ip4(fr.udp(b"x" * 18, 4000, 5000)))
LINKS = ["watch_bulk_tx", "watch_cpumap_enqueue", "watch_cpumap_kthread", "watch_devmap_xmit",
         "watch_exception", "watch_redirect_err"]


class Ledger(dict):
    """A reply of `shunt stats --ledger`."""

    @property
    def still(self):
        return self["balanced"] and not self["moving"]

    def hook(self, name="xdp"):
        return next(item for item in self["hooks"] if item["hook"] == name)

    def seat(self, queue=0, consumer="tap"):
        for item in self["consumers"]:
            for seat in item["seats"]:
                if (item["consumer"], seat["queue"]) == (consumer, queue):
                    return seat
        raise AssertionError("no seat %s of %s in %s" % (queue, consumer, self))


def errors(part):
    """{name: packets}, over all targets."""
    sums = {}
    for item in part["errors"]:
        sums[item["name"]] = sums.get(item["name"], 0) + item["packets"]
    return sums


def adds_up(told):
    """The identities that a reply shows, for one that is at rest."""
    assert told["balanced"] and told["tolerance"] == 0 and not told["differences"], told
    for part in [*told["hooks"], told["total"]]:
        assert part["offered"] == part["passed"] + part["dropped"] + part["transmitted"] + \
            sum(part["redirected"].values()), told
    for part in told["hooks"]:
        for key in ("passed", "dropped"):
            assert part[key] == sum(item["packets"] for item in part[key + "_by"]), told
    for key in ("offered", "passed", "dropped", "transmitted"):
        assert told["total"][key] == sum(part[key] for part in told["hooks"]), told
    part = told["interfaces"]
    assert part["packets"] == sum(errors(part).values()) + part["accepted"], told
    part = told["cpus"]
    assert part["packets"] == sum(errors(part).values()) + part["waiting"] + part["taken"], told
    handed = 0
    for item in told["consumers"]:
        for seat in item["seats"]:
            handed += seat["handed"]
            assert seat["handed"] == sum(errors(seat).values()) + seat["received"] + \
                seat["discarded"] + seat["waiting"] + seat["lost"], told
    assert handed == told["total"]["redirected"]["consumer"], told
    return told


def ledger(wire, interface="b0"):
    return Ledger(sh.shunt("stats", interface, "--ledger", ns=wire.b))


def rests(wire, condition=lambda told: True, what="the ledger to come to rest"):
    """Waits for a ledger at rest of which condition(ledger) is true; it adds up."""
    last = []

    def look():
        last[:] = [ledger(wire)]
        return last[0] if last[0].still and condition(last[0]) else None

    try:
        return adds_up(sh.wait(look, what))
    except AssertionError as fault:
        raise AssertionError("%s: %s" % (fault, last)) from None


def consume(wire, *options, app="count", consumer="tap"):
    """Starts a consumer; returns when its seats are taken and it is fed."""
    def served(_):
        reply = sh.shunt("explain", "b0", "--frame", FRAME.hex(), ns=wire.b)
        return reply["verdict"] == "redirect-consumer" and \
            any(seat["pid"] for item in ledger(wire)["consumers"] for seat in item["seats"]
                if item["consumer"] == consumer)

    return sh.consume(wire, app, served, *options, consumer=consumer)


def crossed(wire, flow):
    """Ends a flow.py: how many of its packets have reached b0. What finds the queue between the
    two full, a0 drops and counts: a CPU that is emulated may empty it too slowly."""
    assert flow.end(signal.SIGINT) == 0
    return int(flow.lines[-1]) - wire.a.link("a0")["stats64"]["tx"]["dropped"]


def links(wire, interface="b0"):
    folder = os.path.join(sh.TREE, "ns%d:%s" % (wire.b.cookie, interface), "links")
    return sorted(name for name in os.listdir(folder) if name.startswith("watch"))


# --- plain traffic ------------------------------------------------------------------------

@pytest.mark.parametrize("hook", ["xdp", "tc-ingress", "tc-egress"])
def test_plain_traffic_balances_in_every_hook(wire, hook):
    wire.attach({"default": "pass", "malformed": "drop", "rules": [
        {"name": "all", "action": "count"},
        {"name": "no", "match": {"proto": "udp", "dport": 5000}, "action": "drop"},
        {"name": "few", "match": {"proto": "udp", "dport": 53}, "action": "pass",
         "limit": {"packets": 1, "burst": 10}}]}, "--hook", hook)
    raw = wire.b.raw("b0") if hook == "tc-egress" else wire.a.raw("a0")
    sh.send(raw, *[FRAME] * 400, *[fr.eth(fr.ip4(fr.udp(b"q", 4000, 53)))] * 100,
            *[fr.eth(fr.ip4(fr.udp(), ihl=4))] * 30, *[fr.eth(b"x" * 60, 0x1234)] * 70)
    told = rests(wire, lambda told: told["total"]["offered"] >= 600)
    part = told.hook(hook)
    limited = next(item["packets"] for item in part["dropped_by"] if item["name"] == "limited")
    assert part["offered"] == 600 and 60 <= limited <= 90
    assert part["dropped"] == 430 + limited and part["passed"] == 170 - limited
    assert part["redirected"] == {"interface": 0, "cpu": 0, "consumer": 0}
    # nothing to know is known
    assert told["watch"] == {"known": True, "why": None, "missed": 0}
    assert links(wire) == []


def test_several_hooks_balance_one_by_one_and_in_all(wire):
    wire.attach({"rules": []}, "--hook", "xdp", "--hook", "tc-ingress", "--hook", "tc-egress")
    assert wire.a.ping(B4, 5) == 5
    told = rests(wire, lambda told: told["total"]["offered"] >= 15)
    assert [(part["hook"], part["offered"]) for part in told["hooks"]] == \
        [("xdp", 5), ("tc-ingress", 5), ("tc-egress", 5)]
    wire.detach("--hook", "xdp")
    told = rests(wire)
    assert [(part["hook"], part["on"]) for part in told["hooks"]] == \
        [("xdp", False), ("tc-ingress", True), ("tc-egress", True)]


def test_a_new_policy_keeps_the_ledger_balanced(wire):
    wire.attach(TAPPED)
    sh.send(wire.a.raw("a0"), *[FRAME] * 20)
    wire.seen(20)
    wire.apply({"rules": [{"name": "other", "match": {"proto": "udp"}, "action": "drop"}]})
    sh.send(wire.a.raw("a0"), *[FRAME] * 20)
    told = rests(wire, lambda told: told["total"]["offered"] >= 40)
    assert {item["name"]: item["packets"] for item in told.hook()["dropped_by"]} == \
        {"rule": 20, "consumer-down": 20}


# --- consumers ----------------------------------------------------------------------------

def test_a_consumer_receives_what_was_handed_to_it(wire):
    wire.attach(TAPPED)
    process = consume(wire)
    sh.send(wire.a.raw("a0"), *[FRAME] * 500)
    told = rests(wire, lambda told: told.seat()["received"] == 500)
    assert told.seat()["pid"] == process.popen.pid
    assert told.seat()["handed"] == 500 and not told.seat()["errors"]
    assert process.end(signal.SIGINT) == 0
    told = rests(wire)
    assert told.seat()["pid"] is None and told.seat()["received"] == 500
    assert b"queue 0   500 packets" in process.out


def test_a_consumer_that_does_not_keep_up_fills_its_ring_and_all_is_accounted_for(wire):
    wire.attach(TAPPED)
    process = consume(wire, "--ring", "64", "--json")
    process.popen.send_signal(signal.SIGSTOP)
    raw = wire.a.raw("a0")
    sh.send(raw, *[FRAME] * 1000)
    told = rests(wire, lambda told: told.hook()["offered"] == 1000)
    seat = told.seat()
    assert errors(seat) == {"ring-full": 936}
    assert (seat["waiting"], seat["received"]) == (64, 0)
    process.popen.send_signal(signal.SIGCONT)
    told = rests(wire, lambda told: told.seat()["received"] == 64)
    assert told.seat()["waiting"] == 0
    sh.send(raw, *[FRAME] * 10)
    rests(wire, lambda told: told.seat()["received"] == 74)
    assert process.end(signal.SIGINT) == 0
    told = rests(wire)
    # the socket's own statistics say the same, and so does the consumer
    assert told.seat()["socket"]["ring_full"] == 936
    last = process.replies()[-1]
    assert (last["packets"], last["drops"]["rx_ring_full"]) == (74, 936)


def test_under_a_flood_it_balances_within_what_it_says_and_exactly_afterwards(wire):
    wire.attach(TAPPED)
    process = consume(wire, "--ring", "2", app="dump")
    flow = wire.a.start("/usr/bin/python3", "tests/net/flow.py", B4, "5000", "80000")
    flow.says("flowing")
    looks = []

    def moves():
        """Where a CPU is waited for, the flow may stand still between the two looks of one."""
        told = ledger(wire)
        assert told["balanced"], told
        assert (told["tolerance"] > 0) == told["moving"]
        looks.append(told["moving"])
        return len(looks) >= 12 and sum(looks) > 6

    sh.wait(moves, "packets to be on their way while the ledger is read", 30)
    sent = crossed(wire, flow)
    told = rests(wire, lambda told: told.hook()["redirected"]["consumer"] == sent)
    assert errors(told.seat())["ring-full"] > 0 and told.seat()["received"] > 0
    assert process.end(signal.SIGINT) == 0
    assert rests(wire).seat()["handed"] == sent


def test_what_a_killed_consumer_had_is_lost_with_it_and_its_successor_goes_on(wire):
    wire.attach(TAPPED)
    raw = wire.a.raw("a0")
    first = consume(wire, "--ring", "64")
    sh.send(raw, *[FRAME] * 30)
    rests(wire, lambda told: told.seat()["received"] == 30)
    first.popen.send_signal(signal.SIGSTOP)
    sh.send(raw, *[FRAME] * 100)
    assert rests(wire, lambda told: told.seat()["handed"] == 130).seat()["waiting"] == 64
    first.end(signal.SIGKILL)
    told = rests(wire, lambda told: told.seat()["pid"] is None)
    assert (told.seat()["lost"], told.seat()["waiting"]) == (64, 0)
    assert errors(told.seat()) == {"ring-full": 36}
    second = consume(wire)
    sh.send(raw, *[FRAME] * 50)
    told = rests(wire, lambda told: told.seat()["received"] == 80)
    assert told.seat()["lost"] == 64 and told.seat()["pid"] == second.popen.pid
    second.end(signal.SIGKILL)
    third = consume(wire)
    assert third.end(signal.SIGINT) == 0
    told = rests(wire)
    assert (told.seat()["received"], told.seat()["lost"]) == (80, 64)


def test_a_frame_that_is_too_long_for_the_socket_is_told(wire):
    wire.attach(TAPPED)
    # of this MTU every packet fits a frame, so that it takes none of several
    process = consume(wire)
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.ip("link set %s mtu 9000" % name)
    sh.send(wire.a.raw("a0"), *[fr.eth(fr.ip4(fr.udp(b"x" * 6000, 4000, 5000)))] * 7, FRAME)
    told = rests(wire, lambda told: told.seat()["received"] == 1)
    assert process.end(signal.SIGINT) == 0
    if kernel.has("af-xdp-frags"):
        assert errors(told.seat()) == {"too-long": 7}
        assert rests(wire).seat()["socket"]["dropped"] == 7
    else:  # none in several buffers is handed to it
        assert told.seat()["handed"] == 1
        assert told.hook()["dropped_by"] == [{"name": "hook-cannot", "packets": 7}]


def test_a_frame_in_several_buffers_leaves_by_another_interface_or_that_is_told(wire):
    c = wire.further()
    for ns, name in ((wire.a, "a0"), (wire.b, "b0"), (wire.b, "b1"), (c, "c0")):
        ns.ip("link set %s mtu 9000" % name)
    wire.attach(redirect({"interface": "b1"}))
    sh.send(wire.a.raw("a0"), *[fr.eth(fr.ip4(fr.udp(b"x" * 6000, 4000, 5000)))] * 7, FRAME)
    told = rests(wire, lambda told: told["total"]["offered"] == 8)
    if kernel.RELEASE >= (6, 3):
        assert told["interfaces"]["accepted"] == 8
    else:
        assert told["interfaces"]["accepted"] == 1
        assert told.hook()["passed_by"] == [{"name": "hook-cannot", "packets": 7}]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_consumer_that_ends_under_traffic_leaves_a_ledger_that_balances(wire, how):
    wire.attach(TAPPED)
    flow = wire.a.start("/usr/bin/python3", "tests/net/flow.py", B4, "5000", "50000")
    flow.says("flowing")
    for _ in range(3):
        process = consume(wire, "--ring", "64")
        before = ledger(wire).seat()["received"]
        sh.wait(lambda: ledger(wire).seat()["received"] > before, "packets to be received")
        process.end(how)
    sent = crossed(wire, flow)
    told = rests(wire, lambda told: told.hook()["offered"] == sent)
    assert told.seat()["pid"] is None and told.seat()["received"] > 0
    if how == signal.SIGINT:
        assert told.seat()["lost"] == 0


def test_every_queue_has_a_seat_of_its_own(wide_wire):
    wire = wide_wire
    wire.attach(TAPPED)
    process = consume(wire)
    for number in range(64):  # veth chooses the queue by the sender's, that by the flow
        client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind(("0.0.0.0", 20000 + number))
        for _ in range(10):
            client.sendto(b"x" * 18, (B4, 5000))
    told = rests(wire, lambda told: told.hook()["offered"] == 640 and
                 not any(told.seat(queue)["waiting"] for queue in (0, 1)))
    seats = [told.seat(queue) for queue in (0, 1)]
    assert sum(seat["received"] for seat in seats) == 640
    assert all(seat["received"] > 0 for seat in seats), seats
    assert process.end(signal.SIGINT) == 0
    rests(wire)


def test_packets_that_came_after_the_limit_are_told_as_discarded(wire):
    wire.attach(TAPPED)
    process = consume(wire, "--packets", "10")
    process.popen.send_signal(signal.SIGSTOP)
    sh.send(wire.a.raw("a0"), *[FRAME] * 25)
    rests(wire, lambda told: told.seat()["waiting"] == 25)
    process.popen.send_signal(signal.SIGCONT)
    assert process.end() == 0
    told = rests(wire)
    assert (told.seat()["received"], told.seat()["discarded"]) == (10, 15)


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress", "tc-egress"])
def test_a_ring_buffer_balances_in_every_hook(wire, hook):
    policy = {"consumers": {"tap": {"kind": "ring", "if_down": "drop", "bytes": 4096,
                                       "heartbeat": "off"}},
              "rules": [TAP]}
    wire.attach(policy, "--hook", hook)
    raw = wire.b.raw("b0") if hook == "tc-egress" else wire.a.raw("a0")
    sh.send(raw, *[FRAME] * 5)
    process = consume_ring(wire, hook)
    sh.send(raw, *[FRAME] * 20)
    told = rests(wire, lambda told: told.seat(None)["received"] == 20)
    assert told.hook(hook)["offered"] == 25
    process.popen.send_signal(signal.SIGSTOP)
    sh.send(raw, *[FRAME] * 200)
    told = rests(wire, lambda told: told.hook(hook)["offered"] == 225)
    seat = told.seat(None)
    assert seat["turned_away"] > 0 and seat["waiting"] > 0
    assert seat["waiting"] + seat["turned_away"] == 200
    down = {item["name"]: item["packets"] for item in told.hook(hook)["dropped_by"]}
    assert down == {"consumer-down": 5 + seat["turned_away"]}
    process.end(signal.SIGKILL)
    told = rests(wire, lambda told: told.seat(None)["pid"] is None)
    assert told.seat(None)["lost"] == seat["waiting"]
    successor = consume_ring(wire, hook)
    sh.send(raw, *[FRAME] * 10)
    told = rests(wire, lambda told: told.seat(None)["received"] == 30)
    assert told.seat(None)["lost"] == seat["waiting"]
    assert successor.end(signal.SIGINT) == 0
    rests(wire)


def consume_ring(wire, hook):
    def served(process):
        reply = sh.shunt("explain", "b0", "--hook", hook, "--frame", FRAME.hex(), ns=wire.b)
        seats = [seat for item in ledger(wire)["consumers"] for seat in item["seats"]]
        return reply["verdict"] == "redirect-consumer" and \
            [seat["pid"] for seat in seats] == [process.popen.pid]

    return sh.consume(wire, "count", served)


# --- losses behind the verdict --------------------------------------------------------------

def redirect(target):
    return {"rules": [{"name": "away", "match": {"proto": "udp"}, "action": {"redirect": target}}]}


def test_what_an_interface_does_not_take_is_told_with_its_reason(wire):
    c = wire.further()
    wire.attach(redirect({"interface": "b1"}))
    raw = wire.a.raw("a0")
    sh.send(raw, *[FRAME] * 100)
    told = rests(wire, lambda told: told["interfaces"]["accepted"] == 100)
    assert told["interfaces"]["observed"] and not told["interfaces"]["errors"]
    c.run("ethtool", "-K", "c0", "gro", "off")  # no NAPI: nobody takes frames there
    sh.send(raw, *[FRAME] * 40)
    told = rests(wire, lambda told: told["interfaces"]["packets"] == 140)
    assert errors(told["interfaces"]) in ({"driver-cannot": 40}, {"peer-not-ready": 40})
    c.run("ethtool", "-K", "c0", "gro", "on")
    wire.b.ip("link set b1 down")
    sh.send(raw, *[FRAME] * 30)
    told = rests(wire, lambda told: told["interfaces"]["packets"] == 170)
    assert errors(told["interfaces"])["down"] == 30
    assert told["interfaces"]["accepted"] == 100
    assert {item["target"] for item in told["interfaces"]["errors"]} == {"b1"}


def test_what_a_driver_takes_only_in_part_is_told(wire):
    """The interface is up, and has room: it is the driver that turns frames away."""
    c = wire.further()
    c.ip("link set c0 mtu 600")  # which b1 does not know of
    wire.attach(redirect({"interface": "b1"}))
    raw = wire.a.raw("a0")
    sh.send(raw, *[FRAME] * 20)
    rests(wire, lambda told: told["interfaces"]["accepted"] == 20)
    sh.send(raw, *[fr.eth(fr.ip4(fr.udp(b"x" * 1000, 4000, 5000)))] * 12)
    told = rests(wire, lambda told: told["interfaces"]["packets"] == 32)
    assert errors(told["interfaces"]) == {"queue-full": 12}
    assert told["interfaces"]["accepted"] == 20


def test_generic_mode_tells_errors_and_says_that_the_rest_is_not_observed(wire):
    wire.further()
    wire.attach(redirect({"interface": "b1"}), "--mode", "generic")
    raw = wire.a.raw("a0")
    sh.send(raw, *[FRAME] * 50)
    told = rests(wire, lambda told: told["interfaces"]["packets"] == 50)
    assert not told["interfaces"]["observed"] and told["interfaces"]["accepted"] == 50
    wire.b.ip("link set b1 down")
    sh.send(raw, *[FRAME] * 30)
    told = rests(wire, lambda told: told["interfaces"]["packets"] == 80)
    assert errors(told["interfaces"]) == {"down": 30}


@contextlib.contextmanager
def softirqs_beside_real_time(cpu):
    """Before Linux 6.5 they wait for ksoftirqd once it is to run, which a real-time task keeps from it."""
    pids = []
    if kernel.RELEASE < (6, 5):
        pids = [int(pid) for pid in subprocess.run(["pgrep", "-x", "ksoftirqd/%d" % cpu], check=True,
                                                   capture_output=True, text=True).stdout.split()]
    try:
        for pid in pids:
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(99))
        yield
    finally:
        for pid in pids:
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_what_a_cpu_has_no_room_for_is_told(wire, mode):
    wire.attach(redirect({"cpu": 0}), "--mode", mode)
    sh.send(wire.a.raw("a0"), *[FRAME] * 300)
    told = rests(wire, lambda told: told["cpus"]["taken"] == 300)
    assert not told["cpus"]["errors"]
    # a thread that keeps the target's CPU from emptying its queue of 2048: nothing on that
    # CPU runs in between, where both the sender and the thread are real-time tasks there; nor
    # does the sender sleep, whose frames are on its account for as long as they wait
    sender = """
import errno, os, socket, time
os.sched_setaffinity(0, {0})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
raw.bind(("a0", 0))
raw.setsockopt(socket.SOL_SOCKET, 32, 1 << 26)  # SO_SNDBUFFORCE
frame = bytes.fromhex("%s")
sent, end = 0, time.monotonic() + 20
while sent < 9000 and time.monotonic() < end:
    try:
        sent += raw.send(frame) > 0
    except OSError as fault:
        if fault.errno != errno.ENOBUFS:  # a0's own queue was full: b0 never sees that one
            raise
print(sent)
""" % FRAME.hex()
    with softirqs_beside_real_time(0):
        sent = int(wire.a.run("/usr/bin/python3", "-c", sender).stdout)
    told = rests(wire, lambda told: told["cpus"]["packets"] == 300 + sent and
                 not told["cpus"]["waiting"])
    assert errors(told["cpus"])["queue-full"] > 0
    assert set(errors(told["cpus"])) == {"queue-full"}


def test_what_cannot_be_sent_back_is_told(wire):
    wire.attach({"rules": [{"name": "back", "match": {"proto": "udp"}, "action": "tx"}]})
    sh.send(wire.a.raw("a0"), *[FRAME] * 64)  # a0 runs no NAPI: nobody takes frames there
    told = rests(wire, lambda told: told["transmit"]["packets"] == 64)
    assert errors(told["transmit"]) == {"peer-not-ready": 64}
    wire.a.run("ethtool", "-K", "a0", "gro", "on")
    wire.returns()
    sh.send(wire.a.raw("a0"), *[FRAME] * 10)
    told = rests(wire, lambda told: told["transmit"]["packets"] == 74)
    assert errors(told["transmit"]) == {"peer-not-ready": 64}


# --- the watch ----------------------------------------------------------------------------

def test_two_interfaces_of_the_same_index_do_not_mix():
    before = census.Traces()
    with sh.Wire() as one, sh.Wire() as two:
        for wire in (one, two):
            wire.further()
            wire.attach(redirect({"interface": "b1"}))
        index = [wire.b.link("b0")["ifindex"] for wire in (one, two)]
        assert index[0] == index[1]
        one.b.ip("link set b1 down")
        for wire, count in ((one, 30), (two, 50)):
            sh.send(wire.a.raw("a0"), *[FRAME] * count)
        told = rests(one, lambda told: told["interfaces"]["packets"] == 30)
        assert errors(told["interfaces"]) == {"down": 30}
        told = rests(two, lambda told: told["interfaces"]["packets"] == 50)
        assert told["interfaces"]["accepted"] == 50 and not told["interfaces"]["errors"]
    before.nothing_new()


def test_the_watch_comes_with_a_policy_that_redirects_and_goes_with_the_instance(wire, traces):
    wire.further()
    wire.attach({})
    assert links(wire) == []
    assert wire.a.ping(B4, 3) == 3
    wire.apply(redirect({"interface": "b1"}))
    assert links(wire) == LINKS
    sh.send(wire.a.raw("a0"), *[FRAME] * 20)
    assert rests(wire, lambda told: told["interfaces"]["accepted"] == 20)["watch"]["known"]
    wire.apply({})
    assert links(wire) == LINKS and rests(wire)["interfaces"]["accepted"] == 20
    wire.detach()
    traces.nothing_new()


def command(wire, *words):
    return [sh.BINARY, *words, "--netns", wire.b.name]


# Stops at the calls in question alone, which takes -f: a stop is dear where CPUs are emulated.
STRACE = ["strace", "-f", "--seccomp-bpf"]


def watch_calls(wire, *words, kind=r'prog_name="shunt_w_|links/watch_|BPF_TRACE_RAW_TP'):
    """The bpf() calls with which a command makes the watch: their numbers."""
    path = wire.file("calls")
    subprocess.run([*STRACE, "-o", path, "-e", "trace=bpf", *command(wire, *words)], check=True,
                   capture_output=True)
    with open(path, encoding="utf-8") as file:
        calls = [line for line in file if re.match(r"(\d+ +)?bpf\(", line)]
    found = [number for number, line in enumerate(calls, 1) if re.search(kind, line)]
    assert len(found) >= 6, calls
    return found


def refused_watch(wire, path, first, last):
    """Attaches while the kernel refuses bpf() calls from the first to the last number."""
    done = subprocess.run([*STRACE, "-o", "/dev/null", "-e", "trace=bpf", "-e",
                           "inject=bpf:error=EPERM:when=%d..%d" % (first, last),
                           *command(wire, "attach", "b0", "-p", path)],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done
    assert "what the kernel loses of redirected packets will be unknown" in done.stderr, done
    assert links(wire) == []


def test_a_kernel_that_refuses_the_watch_does_not_stop_an_attach(wire, traces):
    wire.further()
    path = wire.policy(redirect({"interface": "b1"}))
    words = ["attach", "b0", "-p", path]
    loads = watch_calls(wire, *words, kind='prog_name="shunt_w_')
    wire.detach()
    hangs = watch_calls(wire, *words, kind="link_create=.*BPF_TRACE_RAW_TP")
    wire.detach()
    pins = watch_calls(wire, *words, kind="links/watch_")
    wire.detach()
    # libbpf tries a load twice
    for first, last in ((loads[0], loads[0] + 1), (hangs[0], hangs[0]), (pins[-1], pins[-1])):
        refused_watch(wire, path, first, last)
        sh.send(wire.a.raw("a0"), *[FRAME] * 10)
        told = rests(wire, lambda told: told["total"]["offered"] >= 10)
        assert not told["watch"]["known"]
        assert "Operation not permitted" in told["watch"]["why"]
        # it is not tried again, for its sums would not be whole
        wire.apply(redirect({"interface": "b1"}))
        assert links(wire) == []
        text = sh.run("stats", "b0", "--ledger", ns=wire.b, text=True)
        assert "redirect errors: unknown: " in text.out and text.code == 0
        wire.detach()
        traces.nothing_new()


def test_without_the_watch_a_consumer_balances_by_its_own_statistics(wire):
    path = wire.policy(TAPPED)
    number = watch_calls(wire, "attach", "b0", "-p", path)[-1]
    wire.detach()
    refused_watch(wire, path, number, number)
    process = consume(wire, "--ring", "64")
    process.popen.send_signal(signal.SIGSTOP)
    sh.send(wire.a.raw("a0"), *[FRAME] * 1000)
    wire.seen(1000)
    process.popen.send_signal(signal.SIGCONT)
    assert process.end(signal.SIGINT) == 0
    told = ledger(wire)
    assert told.still and not told["watch"]["known"], told
    seat = told.seat()
    assert seat["handed"] == 1000 == seat["received"] + seat["socket"]["ring_full"]


def test_a_kill_while_the_watch_is_made_leaves_nothing_that_the_next_command_does_not_mend(
        wire, traces):
    wire.further()
    path = wire.policy(redirect({"interface": "b1"}))
    attach = ["attach", "b0", "-p", path]
    numbers = watch_calls(wire, *attach)
    wire.detach()
    for number in sh.some(numbers, 6):
        killed(wire, "bpf", number, *attach)
        # says that it has cleared away what the other one had left
        assert sh.run("attach", "b0", "-p", path, ns=wire.b).code == 0
        assert links(wire) == LINKS
        wire.detach()
        traces.nothing_new()
    # the same, of an apply
    plain = wire.policy({}, "plain.json")
    sh.shunt("attach", "b0", "-p", plain, ns=wire.b)
    numbers = watch_calls(wire, "apply", "b0", "-p", path)
    wire.detach()
    for number in sh.some(numbers, 6):
        sh.shunt("attach", "b0", "-p", plain, ns=wire.b)
        killed(wire, "bpf", number, "apply", "b0", "-p", path)
        wire.apply(redirect({"interface": "b1"}))
        assert links(wire) == LINKS
        sh.send(wire.a.raw("a0"), *[FRAME] * 5)
        rests(wire, lambda told: told["interfaces"]["accepted"] == 5)
        wire.detach()
        traces.nothing_new()


# --- as text, and its schema ----------------------------------------------------------------

def test_the_text_tells_where_packets_went(wire):
    wire.attach(TAPPED)
    process = consume(wire, "--ring", "64")
    process.popen.send_signal(signal.SIGSTOP)
    sh.send(wire.a.raw("a0"), *[FRAME] * 100)
    rests(wire, lambda told: told.seat()["waiting"] == 64)
    text = sh.run("stats", "b0", "--ledger", ns=wire.b, text=True).out
    for line in (r"xdp +offered +100", r"redirected to consumers +100", r"to tap +queue 0 +100",
                 r"lost +ring-full +36", r"waiting +64", "it balances"):
        assert re.search(r"^ +%s$" % line, text, re.M), (line, text)
    process.popen.send_signal(signal.SIGCONT)


def test_the_examples_in_the_schema_are_valid():
    validator = sh.validator("ledger")
    examples = validator.schema["examples"]
    assert len(examples) >= 2 and {item["balanced"] for item in examples} == {True, False}
    for item in examples:
        validator.validate(item)
        broken = {**item, "balanced": "yes"}
        assert not validator.is_valid(broken)
