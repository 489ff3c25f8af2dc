# SPDX-License-Identifier: BSD-2-Clause
"""Policies on trial, the policies before, and going back: also killed, also with nobody alive."""
import json
import re
import subprocess
import time

import pytest

import shunt as sh
from shunt import B4
from test_apply import command, killed, points

OPEN = {"rules": [{"name": "ping", "match": {"proto": "icmp"}, "action": "count"}]}
SHUT = {"rules": [{"name": "no-ping", "match": {"proto": "icmp"}, "action": "drop"}]}
SHORT_S = 2 * sh.PATIENCE  # a few commands long, also where a command waits for a CPU
LONG, SHORT = "60s", "%dms" % (1000 * SHORT_S)


@pytest.fixture
def under_open(wire):
    wire.attach(OPEN, "--hook", "xdp", "--hook", "tc-ingress")
    return wire


def trial(wire, policy, how_long):
    return sh.shunt("apply", "b0", "-p", wire.policy(policy, "trial.json"), "--confirm", how_long,
                    ns=wire.b)


def show(wire):
    return sh.shunt("show", "b0", ns=wire.b)


def history(wire):
    return sh.shunt("show", "b0", "--history", ns=wire.b)


def programs(wire):
    return sorted(hook["program"] for hook in show(wire)["hooks"])


# --- the deadline -------------------------------------------------------------------------

def test_a_policy_that_nobody_confirms_goes_by_itself(under_open):
    wire = under_open
    start = time.monotonic()
    reply = trial(wire, SHUT, SHORT)
    assert reply["confirm_ms"] == 1000 * SHORT_S and reply["generation"] == 2
    assert not wire.answered()
    assert show(wire)["trial"]["before"] == 1 and show(wire)["generation"] == 2
    # nothing of Shunt's runs meanwhile, and reading statistics changes nothing either
    sh.wait(wire.answered, "the old policy to rule again")
    assert time.monotonic() - start >= SHORT_S
    assert show(wire)["trial"] is None and show(wire)["generation"] == 1
    stats = wire.stats()
    assert stats["generation"] == 1 and stats.rule("ping") > 0
    # only the next command that changes something makes that a generation of its own
    assert wire.apply(SHUT)["previous_generation"] == 3
    kept = history(wire)
    assert [(one["generation"], one["origin"], one.get("again")) for one in kept["earlier"]] == [
        (3, "revert", 1), (2, "apply", None), (1, "attach", None)]
    assert kept["earlier"][0]["hash"] == kept["earlier"][2]["hash"] != kept["ruling"]["hash"]


def test_counters_survive_a_policy_that_was_taken_back(under_open):
    wire = under_open
    assert wire.a.ping(B4, 5) == 5
    before = wire.seen(5).rule("ping")
    trial(wire, SHUT, SHORT)
    assert wire.a.ping(B4, 3, seconds=0.05) == 0
    assert wire.stats()["retired"]["packets"] == 0  # its own rule only counts
    sh.wait(wire.answered, "the old policy to rule again")
    assert wire.stats().rule("ping") > before
    assert sh.refused("confirm", "b0", ns=wire.b).startswith("confirm b0: it is too late")
    stats = wire.stats().balances()
    assert stats.rule("ping") > before and stats["retired"]["packets"] >= 3


def test_a_policy_that_is_confirmed_stays(under_open):
    wire = under_open
    trial(wire, SHUT, SHORT)
    reply = sh.shunt("confirm", "b0", ns=wire.b)
    assert reply["generation"] == 2 and not reply["warnings"]
    deadline = time.monotonic() + SHORT_S
    sh.wait(lambda: time.monotonic() > deadline, "the deadline to pass")
    assert not wire.answered()
    assert show(wire)["trial"] is None and show(wire)["generation"] == 2
    assert "no policy is on trial there: generation 2 rules for good" in sh.refused(
        "confirm", "b0", ns=wire.b)


def test_stepping_the_wall_clock_neither_hastens_nor_hinders(under_open):
    wire = under_open
    real, steady = time.clock_gettime(time.CLOCK_REALTIME), time.monotonic()

    def step(seconds):
        time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic() - steady + seconds)

    try:
        step(0)
    except PermissionError:
        pytest.skip("the clock cannot be set here (CAP_SYS_TIME)")
    trial(wire, SHUT, LONG)
    try:
        step(90)
        ahead = wire.answered()
    finally:
        step(0)
    assert not ahead, "a minute and a half on the wall are no time at all"
    sh.shunt("rollback", "b0", ns=wire.b)
    start = time.monotonic()
    trial(wire, SHUT, SHORT)
    try:
        step(-90)
        sh.wait(wire.answered, "the deadline, with the wall clock set back")
        took = time.monotonic() - start
    finally:
        step(0)
    assert took >= SHORT_S


# --- what has to wait ---------------------------------------------------------------------

def test_one_policy_at_a_time_is_on_trial(under_open):
    wire = under_open
    trial(wire, SHUT, LONG)
    for words in (["apply", "b0", "-p", wire.policy(OPEN)], ["attach", "b0", "--hook", "tc-egress"],
                  ["detach", "b0", "--hook", "xdp"], ["rollback", "b0", "2"]):
        said = sh.refused(*words, ns=wire.b)
        assert "generation 2 is on trial there for " in said, said
        assert "`shunt confirm b0` keeps it, `shunt rollback b0` goes back at once" in said
    assert show(wire)["trial"] and not wire.answered()
    assert wire.detach()["gone"]


def test_a_set_can_be_edited_meanwhile(wire):
    block = {"sets": {"s": {"type": "address"}},
             "rules": [{"name": "s", "match": {"src": "@s"}, "action": "drop"}]}
    wire.attach(block)
    trial(wire, {**block, "default": "drop"}, LONG)
    sh.shunt("set", "add", "b0", "s", "192.0.2.77", ns=wire.b)
    assert sh.shunt("set", "list", "b0", "s", ns=wire.b)["elements"] == ["192.0.2.77"]
    sh.shunt("rollback", "b0", ns=wire.b)
    assert sh.shunt("set", "list", "b0", "s", ns=wire.b)["elements"] == ["192.0.2.77"]


def test_members_of_sets_come_back_with_their_policy(wire):
    def policy(address, default):
        return {"default": default, "sets": {"s": {"type": "address", "elements": [address]}},
                "rules": [{"name": "s", "match": {"src": "@s"}, "action": "drop"}]}

    wire.attach(policy(sh.A4, "pass"))
    assert not wire.answered()
    trial(wire, policy("192.0.2.77", "pass"), SHORT)
    assert wire.answered()
    sh.wait(lambda: not wire.answered(), "the set of the policy before")
    assert sh.shunt("set", "list", "b0", "s", ns=wire.b)["elements"] == [sh.A4]


# --- going back ---------------------------------------------------------------------------

def test_rollback_goes_back_and_forth(under_open):
    wire = under_open
    wire.apply(SHUT)
    reply = sh.shunt("rollback", "b0", ns=wire.b)
    assert (reply["previous_generation"], reply["generation"], reply["again"]) == (2, 3, 1)
    assert (reply["added"], reply["removed"]) == (["ping"], ["no-ping"])
    assert wire.answered()
    assert sh.shunt("rollback", "b0", ns=wire.b)["again"] == 2 and not wire.answered()
    assert sh.shunt("rollback", "b0", "3", ns=wire.b)["again"] == 1 and wire.answered()


def test_rollback_from_a_trial_is_at_once(under_open):
    wire = under_open
    before = show(wire)
    trial(wire, SHUT, LONG)
    reply = sh.shunt("rollback", "b0", ns=wire.b)
    assert (reply["previous_generation"], reply["generation"], reply["again"]) == (2, 3, 1)
    assert wire.answered()
    after = show(wire)
    assert after["trial"] is None
    assert [after[key] for key in ("rules", "hash", "policy", "sets")] == [
        before[key] for key in ("rules", "hash", "policy", "sets")]


def test_eight_earlier_policies_are_kept(under_open):
    wire = under_open
    names = ["first"]
    for number in range(12):
        names.append("r%d" % number)
        wire.apply({"rules": [{"name": names[-1], "action": "pass"}]})
    kept = history(wire)
    assert kept["ruling"]["generation"] == 13 and kept["ruling"]["origin"] == "apply"
    assert [one["generation"] for one in kept["earlier"]] == list(range(12, 4, -1))
    assert [one["back"] for one in kept["earlier"]] == list(range(1, 9))
    assert len({one["hash"] for one in kept["earlier"]}) == 8
    assert all(one["applied_at"] and one["source"].endswith(".json") for one in kept["earlier"])
    sh.shunt("rollback", "b0", "8", ns=wire.b)
    assert [rule["name"] for rule in show(wire)["rules"]] == ["r3"]
    assert "1 to 8" in sh.refused("rollback", "b0", "9", ns=wire.b)
    assert "is no number" in sh.refused("rollback", "b0", "x", ns=wire.b)


def test_rollback_needs_a_policy_to_go_back_to(under_open):
    said = sh.refused("rollback", "b0", ns=under_open.b)
    assert "there is no policy 1 before the one that rules: 0 of at most 8 are kept" in said


def test_rollback_notices_that_a_file_has_changed(wire):
    path = wire.policy("192.0.2.1\n", "members.txt")
    policy = {"sets": {"s": {"type": "address", "file": path}},
              "rules": [{"name": "s", "match": {"src": "@s"}, "action": "drop"}]}
    wire.attach(policy)
    wire.apply(OPEN)
    wire.policy("192.0.2.99\n", "members.txt")
    said = sh.refused("rollback", "b0", ns=wire.b)
    assert "a file that its sets are filled from has changed since" in said
    assert "take it as it is with --changed-files" in said
    assert show(wire)["generation"] == 2 and wire.answered()
    wire.policy("192.0.2.1\n", "members.txt")
    assert sh.shunt("rollback", "b0", ns=wire.b)["again"] == 1 and not wire.answered()
    wire.apply(OPEN)
    wire.policy("192.0.2.99\n", "members.txt")
    sh.shunt("rollback", "b0", "--changed-files", ns=wire.b)
    assert sh.shunt("set", "list", "b0", "s", ns=wire.b)["elements"] == ["192.0.2.99"]


def test_one_hash_is_one_policy(under_open):
    wire = under_open
    first = show(wire)["hash"]
    wire.apply(SHUT)
    assert show(wire)["hash"] != first
    wire.apply(OPEN)
    assert show(wire)["hash"] == first


def test_text_tells_the_same(under_open):
    wire = under_open
    path = wire.policy(SHUT, "next.json")
    done = sh.run("apply", "b0", "-p", path, "--confirm", "30s", ns=wire.b, text=True)
    assert "on trial: `shunt confirm b0` within 30s keeps it; else generation 1 rules again" in done.out
    shown = sh.run("show", "b0", ns=wire.b, text=True).out
    assert re.search(r"on trial for (30\.0|[12]\d\.\d) s more: then generation 1 rules", shown), shown
    done = sh.run("confirm", "b0", ns=wire.b, text=True)
    assert done.out == "confirmed: generation 2 of b0 rules for good\n"
    lines = sh.run("show", "b0", "--history", ns=wire.b, text=True).out.splitlines()
    assert lines[0].startswith("back  generation hash")
    assert lines[1].split()[:2] == ["now", "2"] and lines[2].split()[:2] == ["1", "1"]
    done = sh.run("rollback", "b0", ns=wire.b, text=True)
    assert "generation 3 is generation 1 again" in done.out


@pytest.mark.parametrize("value", ["0", "-1s", "soon", "1us"])
def test_a_trial_needs_a_time(under_open, value):
    words = ["apply", "b0", "-p", under_open.policy(SHUT), "--confirm", value]
    assert "is no time" in sh.refused(*words, ns=under_open.b)
    assert show(under_open)["generation"] == 1


# --- killed -------------------------------------------------------------------------------

def settled(wire):
    """What a clean end looks like: no half-written pin, and a record for what rules."""
    found = subprocess.run(["find", "%s/ns%d:b0" % (sh.TREE, wire.b.cookie)], check=True,
                           capture_output=True, text=True).stdout
    assert "_next" not in found, found
    wire.stats().balances()


def every_point(wire, prepare, words):
    """(call, number) at which to kill, each under the state that prepare() makes anew."""
    prepare()
    return sh.some(points(wire, *words, every=("OBJ_PIN", "rename", "unlink")), 12)


def test_a_confirm_killed_at_any_change_is_made_good(wire, traces):
    wire.attach(OPEN)
    words = ["confirm", "b0"]

    def prepare():
        if show(wire)["hash"] != opened:
            wire.apply(OPEN)
        trial(wire, SHUT, LONG)

    opened = show(wire)["hash"]
    for call, number in every_point(wire, prepare, words):
        prepare()
        killed(wire, call, number, *words)
        assert not wire.answered()
        # either it is still on trial, or it is confirmed; the next command says which
        if show(wire)["trial"]:
            assert sh.shunt(*words, ns=wire.b)["generation"]
        done = sh.run(*words, ns=wire.b)
        assert "rules for good" in done.error, (call, number, done)
        settled(wire)
    wire.detach()
    traces.nothing_new()


def test_a_trial_killed_at_any_change_is_made_good(wire, traces):
    wire.attach(OPEN)
    path = wire.policy(SHUT, "trial.json")
    words = ["apply", "b0", "-p", path, "--confirm", LONG]
    first = show(wire)["hash"]

    def prepare():
        if show(wire)["trial"]:
            sh.shunt("rollback", "b0", ns=wire.b)
        assert show(wire)["hash"] == first

    for call, number in every_point(wire, prepare, words):
        prepare()
        killed(wire, call, number, *words)
        on_trial = show(wire)["trial"] is not None
        assert wire.answered() != on_trial, (call, number)
        if not on_trial:
            assert show(wire)["hash"] == first
            sh.shunt(*words, ns=wire.b)
        sh.shunt("rollback", "b0", ns=wire.b)
        settled(wire)
    wire.detach()
    traces.nothing_new()


@pytest.mark.parametrize("from_trial", [True, False])
def test_a_rollback_killed_at_any_change_is_made_good(wire, traces, from_trial):
    wire.attach(OPEN)
    words = ["rollback", "b0"]
    opened = show(wire)["hash"]

    def prepare():
        if show(wire)["hash"] != opened:
            wire.apply(OPEN)
        if from_trial:
            trial(wire, SHUT, LONG)
        else:
            wire.apply(SHUT)

    for call, number in every_point(wire, prepare, words):
        prepare()
        killed(wire, call, number, *words)
        back = show(wire)["hash"] == opened
        assert wire.answered() == back, (call, number)
        if not back:
            sh.shunt(*words, ns=wire.b)
        else:
            wire.apply(OPEN)
        assert wire.answered() and show(wire)["trial"] is None
        settled(wire)
    wire.detach()
    traces.nothing_new()


def test_a_deadline_passes_while_the_command_that_set_it_is_dead(wire):
    """Killed right behind the flip: the record is not renamed yet."""
    wire.attach(OPEN)
    path = wire.policy(SHUT, "trial.json")
    words = ["apply", "b0", "-p", path, "--confirm", SHORT]
    calls = points(wire, *words, every=("rename",))
    sh.shunt("rollback", "b0", ns=wire.b)
    last = [place for place in calls if place[0] == "rename"][-1]
    killed(wire, *last, *words)
    assert not wire.answered()
    sh.wait(wire.answered, "the old policy to rule again")
    assert json.loads(subprocess.run(command(wire, "show", "b0", "--json"), check=True,
                                     capture_output=True).stdout)["trial"] is None
    wire.apply(SHUT)
    settled(wire)
