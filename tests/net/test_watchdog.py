# SPDX-License-Identifier: BSD-2-Clause
"""P8: a consumer that stalls costs at most its heartbeat interval; then if_down decides."""
import os
import signal
import time

import pytest

import frame as fr
import shunt as sh
from numbered import Numbered, Server, of

FRAME = fr.eth(fr.ip4(fr.udp(b"x" * 18, 4000, 5000))).hex()
INTERVAL = 1.0  # that a consumer which only waits for a CPU is not taken for a stalled one
HEADERS = 14 + 20 + 8


def policy(kind="xsk", heartbeat="%dms" % (1000 * INTERVAL), if_down="pass"):
    tap = {"kind": kind, "if_down": if_down}
    if heartbeat:
        tap["heartbeat"] = heartbeat
    return {"consumers": {"tap": tap},
            "rules": [{"name": "tap", "match": {"proto": "udp", "dport": 5000},
                       "action": {"redirect": {"consumer": "tap"}}}]}


# A consumer of sockets in XDP, of a ring there, and of a ring in TC.
WAYS = [("xsk", "xdp"), ("ring", "xdp"), ("xsk", "tc-ingress")]


def told(wire, hook="xdp"):
    """What would become of a packet now: (verdict, reason)."""
    reply = sh.shunt("explain", "b0", "--hook", hook, "--frame", FRAME, ns=wire.b)
    return reply["verdict"], reply["reason"]


def consume(wire, path, hook="xdp"):
    """A consumer that writes what it gets into a file; serving when this returns."""
    process = wire.b.start(sh.BINARY, "run", "dump", "b0", "--consumer", "tap", "-W", path,
                           "--ring", "8192", "--netns", wire.b.name)
    sh.wait(lambda: told(wire, hook)[0] == "redirect-consumer" or process.popen.poll() is not None,
            "the consumer to be there")
    assert process.popen.poll() is None, process.err
    return process


def halt(process):
    """Stops it; the clock once it stands still for sure."""
    process.popen.send_signal(signal.SIGSTOP)

    def stands():
        with open("/proc/%d/stat" % process.popen.pid, encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"

    sh.wait(stands, "the consumer to stop")
    return time.monotonic()


def captured(path):
    """The numbers in a file that is being written, or was, or is not there yet."""
    if not os.path.exists(path):
        return []
    return [of(frame[HEADERS:]) for frame, _ in fr.read_pcap(path)]


def seat(wire):
    (item,) = wire.stats()["consumers"]
    assert item["name"] == "tap"
    return item["seats"][0] if item["seats"] else None


def ledger(wire, seats=1):
    """The ledger at rest, which balances, and the consumer's only seat in it."""
    def look():
        reply = sh.shunt("stats", "b0", "--ledger", ns=wire.b)
        return reply if reply["balanced"] and not reply["moving"] else None

    reply = sh.wait(look, "the ledger to come to rest")
    (item,) = reply["consumers"]
    assert len(item["seats"]) == seats
    return reply, item["seats"][0]


@pytest.mark.parametrize("kind, hook", WAYS)
def test_a_stopped_consumer_costs_one_interval_and_loses_nothing(wire, kind, hook):
    wire.attach(policy(kind), "--hook", hook)
    server, path = Server(wire), wire.file("got.pcap")
    process = consume(wire, path, hook)
    with Numbered(wire) as flow:
        sh.wait(lambda: captured(path), "the first datagrams to be captured")
        stopped = halt(process)
        sh.wait(lambda: told(wire, hook) == ("pass", "consumer-stalled"), "the stall to be seen")
        assert seat(wire)["stalled"] and seat(wire)["pid"] == process.popen.pid
        assert seat(wire)["heartbeat"]["age_ms"] >= 1000 * INTERVAL
        late = sh.wait(lambda: server.numbers[-1:], "datagrams to reach the stack")[0]
        sh.wait(lambda: server.numbers[-1] > late + 300, "the stack to get what follows")
        process.popen.send_signal(signal.SIGCONT)
        sh.wait(lambda: told(wire, hook)[0] == "redirect-consumer", "the consumer to be back")
        back = flow.sent
        sh.wait(lambda: captured(path)[-1] > back, "datagrams to come to it again")
        sh.wait(lambda: not seat(wire)["stalled"], "its seat to say so")
        assert seat(wire)["heartbeat"]["interval_ms"] == 1000 * INTERVAL
    sh.wait(lambda: len(captured(path)) + len(server.numbers) == flow.sent, "all to arrive")
    assert process.end(signal.SIGINT) == 0
    got, passed = captured(path), server.numbers
    # each in one place, in order, none lost
    assert got == sorted(got) and passed == sorted(passed)
    assert sorted(got + passed) == list(range(flow.sent))
    # what was redirected after the stop was sent within one interval of it
    waited = [number for number in got if flow.times[number] > stopped and number < passed[0]]
    assert all(flow.times[number] <= stopped + INTERVAL for number in waited)
    stats = wire.seen(flow.sent, hook)
    assert stats.reasons() == {"rule": len(got), "consumer-stalled": len(passed)}
    assert stats.rule("tap") == flow.sent and stats.verdict("pass") == len(passed)
    reply, told_seat = ledger(wire)
    assert (told_seat["handed"], told_seat["received"]) == (len(got), len(got))
    assert told_seat["lost"] == told_seat["waiting"] == 0
    assert {item["name"]: item["packets"] for item in reply["hooks"][0]["passed_by"]} == \
        {"consumer-stalled": len(passed)}


@pytest.mark.parametrize("kind, hook", WAYS)
def test_the_ledger_says_what_a_consumer_that_stalled_and_was_killed_took_with_it(wire, kind,
                                                                                 hook):
    wire.attach(policy(kind), "--hook", hook)
    server, path, next_path = Server(wire), wire.file("got.pcap"), wire.file("next.pcap")
    process = consume(wire, path, hook)
    with Numbered(wire) as flow:
        flow.reaches(100)
    first = flow.sent
    sh.wait(lambda: len(captured(path)) == first, "the first datagrams in the file")
    halt(process)
    with Numbered(wire, sport=4001) as flow:
        sh.wait(lambda: server.numbers, "the stack to get what the consumer does not take")
        process.end(signal.SIGKILL)
        flow.reaches(200)
    second = flow.sent
    successor = consume(wire, next_path, hook)
    with Numbered(wire, sport=4002) as flow:
        flow.reaches(100)
    third = flow.sent
    sh.wait(lambda: len(captured(next_path)) == third, "the successor to get all")
    assert successor.end(signal.SIGINT) == 0
    assert captured(path) == list(range(first)) and captured(next_path) == list(range(third))
    # what waited in the dead one's ring is lost, from the stop until its heartbeat was due
    lost = server.numbers[0]
    assert server.numbers == list(range(lost, second))
    stats = wire.seen(first + second + third, hook)
    reasons = stats.reasons()
    assert reasons.pop("rule") == first + lost + third
    assert reasons.pop("consumer-stalled") + reasons.pop("consumer-down", 0) == second - lost
    assert not reasons
    _, told_seat = ledger(wire)
    assert (told_seat["lost"], told_seat["received"]) == (lost, first + third)


def test_a_dead_consumer_is_down_not_stalled_and_the_next_one_starts_afresh(wire):
    wire.attach(policy(heartbeat="20ms"))
    process = consume(wire, wire.file("got.pcap"))
    halt(process)
    sh.wait(lambda: told(wire) == ("pass", "consumer-stalled"), "the stall to be seen")
    process.end(signal.SIGKILL)
    sh.wait(lambda: told(wire) == ("pass", "consumer-down"), "the socket to go")
    told_seat = seat(wire)
    assert (told_seat["pid"], told_seat["heartbeat"], told_seat["stalled"]) == (None, None, False)
    process = consume(wire, wire.file("next.pcap"))
    assert seat(wire)["pid"] == process.popen.pid
    assert process.end(signal.SIGINT) == 0
    assert told(wire) == ("pass", "consumer-down") and seat(wire) is None


def test_a_running_consumer_takes_up_the_interval_of_a_new_policy(wire):
    wire.attach(policy(heartbeat=None))
    process = consume(wire, wire.file("got.pcap"))

    def interval():
        beat = seat(wire)["heartbeat"]
        return beat and beat["interval_ms"]

    assert interval() == 1000
    for heartbeat, wanted in (("30ms", 30), ("off", None), ("3s", 3000)):
        wire.apply(policy(heartbeat=heartbeat))
        (shown,) = sh.shunt("show", "b0", ns=wire.b)["consumers"]
        assert shown["heartbeat_ms"] == wanted
        sh.wait(lambda wanted=wanted: interval() == wanted, "the consumer to promise %s" % wanted)
        assert told(wire) == ("redirect-consumer", "rule") or heartbeat == "30ms"
    # one that need not give any may be silent for ever
    wire.apply(policy(heartbeat="off"))
    sh.wait(lambda: interval() is None, "the consumer to stop promising")
    halt(process)
    assert told(wire) == ("redirect-consumer", "rule")
    process.popen.send_signal(signal.SIGCONT)
    assert process.end(signal.SIGINT) == 0


def beats(wire, process, times=6):
    """Waits until it has shown so often that it lives, which it does some times an interval."""
    ages = [seat(wire)["heartbeat"]["age_ms"]]

    def look():
        assert told(wire) == ("redirect-consumer", "rule"), process.err
        ages.append(seat(wire)["heartbeat"]["age_ms"])
        return sum(later < age for age, later in zip(ages, ages[1:])) >= times

    sh.wait(look, "%d heartbeats" % times)


def test_a_consumer_to_which_nothing_comes_is_not_taken_for_a_stalled_one(wire):
    wire.attach(policy())
    process = consume(wire, wire.file("got.pcap"))
    beats(wire, process)  # it sleeps, and wakes for that
    assert process.end(signal.SIGINT) == 0


@pytest.mark.parametrize("kind, port", [("xsk", "af_xdp:b0,consumer=tap"),
                                        ("ring", "ringbuf:b0,consumer=tap")])
def test_a_port_shows_that_it_lives_and_stalls_like_any_consumer(wire, kind, port):
    wire.attach(policy(kind))
    process = wire.b.start(sh.BINARY, "run", "drop", port, "--netns", wire.b.name)
    sh.wait(lambda: told(wire)[0] == "redirect-consumer" or process.popen.poll() is not None,
            "the port to be fed")
    beats(wire, process)  # it sleeps in a poll() of its worker
    halt(process)
    sh.wait(lambda: told(wire) == ("pass", "consumer-stalled"), "the stall to be seen")
    process.popen.send_signal(signal.SIGCONT)
    sh.wait(lambda: told(wire) == ("redirect-consumer", "rule"), "it to be back")
    assert process.end(signal.SIGINT) == 0


def test_a_stalled_consumer_s_packets_are_dropped_where_if_down_says_so(wire):
    wire.attach(policy(if_down="drop", heartbeat="50ms"))
    server, process = Server(wire), consume(wire, wire.file("got.pcap"))
    halt(process)
    sh.wait(lambda: told(wire) == ("drop", "consumer-stalled"), "the stall to be seen")
    before = wire.stats().hook()
    with Numbered(wire) as flow:
        flow.reaches(50)
    stats = wire.seen(before + flow.sent)
    assert stats.reasons() == {"consumer-stalled": flow.sent} and not server.numbers
    assert stats.verdict("drop") == flow.sent


def test_people_are_told_of_a_stall(wire):
    wire.attach(policy(heartbeat="50ms"))

    def text(*options):
        done = sh.run("stats", "b0", *options, ns=wire.b, text=True)
        assert done.code == 0, done
        return done.out

    assert "nobody serves it" in text()
    process = consume(wire, wire.file("got.pcap"))
    assert "process %d, last heartbeat " % process.popen.pid in text()
    halt(process)
    sh.wait(lambda: "process %d, STALLED: last heartbeat " % process.popen.pid in text(),
            "a line that says so")
    assert "promised within 50 ms" in text()
    assert "received (by process %d, stalled)" % process.popen.pid in text("--ledger")
    process.end(signal.SIGKILL)
    sh.wait(lambda: "nobody: who served it died" in text(), "its death to be told")
