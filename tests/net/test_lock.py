# SPDX-License-Identifier: BSD-2-Clause
"""Many commands at once: writers one after the other, readers whenever they like."""
import concurrent.futures
import fcntl
import json
import os
import signal

import pytest

import shunt as sh
from shunt import B4

ROUNDS = 25
POLICIES = [{"default": "pass", "sets": {"s": {"type": "address"}},
             "rules": [{"name": "%s%d" % (name, n), "match": {"proto": "udp", "dport": n + 1},
                        "action": "drop"} for n in range(rules)]
             + [{"name": "in-set", "match": {"src": "@s"}, "action": "drop"}]}
            for name, rules in (("a", 3), ("b", 40))]


def lock_path(wire):
    return "%s/ns%d:b0.lock" % (sh.LOCKS, wire.b.cookie)


# --- eight at once ------------------------------------------------------------------------

def ends(*words, ns):
    """A command that succeeds, and may say that it has waited: its reply."""
    done = sh.run(*words, ns=ns)
    assert done.code == 0, done
    assert all(line.startswith("shunt: waiting for ") for line in done.err.splitlines()), done
    return done.reply


def add(wire, writer):
    """Adds members that nobody else adds, one command each."""
    for number in range(ROUNDS):
        ends("set", "add", "b0", "s", "10.%d.0.%d" % (writer, number), ns=wire.b)


def swap(wire, paths):
    generations = []
    for number in range(ROUNDS):
        reply = ends("apply", "b0", "-p", paths[number % 2], ns=wire.b)
        assert reply["generation"] == reply["previous_generation"] + 1
        generations.append(reply["generation"])
    return generations


def look(wire):
    """Each reply is of one generation, whole."""
    seen = set()
    for _ in range(ROUNDS):
        show = sh.shunt("show", "b0", ns=wire.b)
        names = [rule["name"] for rule in show["rules"]]
        policy = json.loads(show["policy"])
        assert names == [rule["name"] for rule in policy["rules"]], show
        seen.add(names[0])
        stats = sh.Stats(sh.shunt("stats", "b0", ns=wire.b)).balances()
        counted = [rule["name"] for rule in stats["rules"]]
        assert counted in [[rule["name"] for rule in one["rules"]] for one in POLICIES]
    return seen


def ask(wire):
    """A verdict and the name of its rule are of one policy."""
    frame = "02000000000b02000000000a0800" \
        "4500001c000000004011f6ca" "c0000201" "c0000202" "1388" "0001" "0008" "0000"
    for _ in range(ROUNDS):
        reply = sh.shunt("explain", "b0", "--frame", frame, ns=wire.b)
        assert (reply["verdict"], reply["reason"]) == ("drop", "rule")
        assert reply["rule"] in ("a0", "b0"), reply
        listed = sh.shunt("set", "list", "b0", "s", ns=wire.b)["elements"]
        assert len(set(listed)) == len(listed)


def test_eight_writers_and_readers_at_once(wire):
    paths = [wire.policy(one, "%d.json" % number) for number, one in enumerate(POLICIES)]
    sh.shunt("attach", "b0", "-p", paths[1], ns=wire.b)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(add, wire, writer) for writer in range(3)]
        swaps = [pool.submit(swap, wire, paths) for _ in range(2)]
        looks = [pool.submit(look, wire) for _ in range(2)]
        jobs.append(pool.submit(ask, wire))
        for job in [*jobs, *looks]:
            job.result()
        generations = sorted(sum((job.result() for job in swaps), []))
    assert generations == list(range(2, 2 * ROUNDS + 2)), "no apply was lost"
    members = sh.shunt("set", "list", "b0", "s", ns=wire.b)["elements"]
    assert sorted(members) == sorted("10.%d.0.%d" % (writer, number) for writer in range(3)
                                     for number in range(ROUNDS)), "no member was lost"
    assert set().union(*(job.result() for job in looks)) == {"a0", "b0"}
    assert wire.a.ping(B4) == 1
    wire.stats().balances()


def test_attaches_at_once_make_one_instance(wire):
    path = wire.policy(POLICIES[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(sh.run, "attach", "b0", "-p", path, ns=wire.b) for _ in range(8)]
        done = [job.result() for job in jobs]
    assert sorted(one.code for one in done) == [0] + [1] * 7
    assert all("is already attached there" in one.error for one in done if one.code)


def test_attaches_and_detaches_at_once_leave_nothing(wire, traces):
    path = wire.policy(POLICIES[0])

    def turn(_):
        for words in (["attach", "b0", "-p", path], ["detach", "b0"]):
            done = sh.run(*words, ns=wire.b)
            assert done.code == 0 or "is already attached there" in done.error \
                or "nothing of Shunt's is attached to b0" in done.error, done

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(turn, range(24)))
    sh.run("detach", "b0", ns=wire.b)
    traces.nothing_new()


# --- waiting ------------------------------------------------------------------------------

@pytest.fixture
def held(wire):
    """Somebody else has the lock: (the wire, a function that gives it up)."""
    wire.attach(POLICIES[0])
    with open(lock_path(wire), "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write("process 4711 (shunt apply b0 -p large.json)")
        file.flush()
        yield wire, lambda: fcntl.flock(file, fcntl.LOCK_UN)


WRITERS = [["apply", "b0", "-p", "POLICY"], ["attach", "b0", "--hook", "tc-ingress"],
           ["confirm", "b0"], ["rollback", "b0"], ["detach", "b0"],
           ["set", "add", "b0", "s", "192.0.2.9"]]


@pytest.mark.parametrize("words", WRITERS, ids=lambda words: words[0])
def test_who_does_not_wait_is_told_for_whom(held, words):
    wire, _ = held
    words = [wire.policy(POLICIES[1], "next.json") if word == "POLICY" else word for word in words]
    said = sh.refused(*words, "--no-wait", ns=wire.b)
    assert "is being changed by process 4711 (shunt apply b0 -p large.json)" in said
    said = sh.refused(*words, "--wait", "50ms", ns=wire.b)
    assert "is being changed by process 4711 (shunt apply b0 -p large.json), still" in said
    assert sh.shunt("show", "b0", ns=wire.b)["generation"] == 1  # readers don't wait


def waiting(wire):
    path = wire.policy(POLICIES[1], "next.json")
    return wire.b.start(sh.BINARY, "apply", "b0", "-p", path).says(
        "waiting for process 4711 (shunt apply b0 -p large.json)")


def test_who_waits_says_for_whom_and_goes_on(held):
    wire, give_up = held
    process = waiting(wire)
    give_up()
    assert process.end() == 0
    assert sh.shunt("show", "b0", ns=wire.b)["generation"] == 2


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_waiting_can_be_interrupted(held, sig):
    wire, _ = held
    process = waiting(wire)
    process.end(sig)
    assert b"given up waiting for process 4711" in process.err or process.popen.returncode == -sig
    assert sh.shunt("show", "b0", ns=wire.b)["generation"] == 1


def test_a_holder_that_was_killed_holds_no_longer(held):
    wire, give_up = held
    give_up()
    assert wire.apply(POLICIES[1])["generation"] == 2
    with open(lock_path(wire), encoding="ascii") as file:
        text = file.read()
    assert text.startswith("process ") and "shunt apply b0" in text
    assert not os.path.exists("/proc/" + text.split()[1]), "what is written there is history"


def test_wait_and_no_wait_exclude_each_other(wire):
    said = sh.refused("detach", "b0", "--wait", "1s", "--no-wait", ns=wire.b)
    assert said == "--wait and --no-wait exclude each other"
