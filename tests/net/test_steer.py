# SPDX-License-Identifier: BSD-2-Clause
"""Steering: filters and queues that a policy asks for come, go, and are given back.

No NIC here has filters: b0 is made one for the command by a library that answers for its driver
(tests/net/nic.c), with a table that outlives the command as a NIC's does. Queues, RPS and XPS are
the veth's own.
"""
import contextlib
import ctypes
import json
import mmap
import os
import re
import signal
import socket
import subprocess

import pytest

import shunt as sh
from shunt import B4

PLACES = 64


class _Model(ctypes.Structure):
    """struct nic_model of tests/model/nic.h, up to the rules themselves."""
    _fields_ = [(name, ctypes.c_uint32) for name in
                ("size", "full", "anywhere", "off", "coarse", "queues", "queues_max", "changes",
                 "kill_before", "kill_behind", "fail_at", "fail_errno")] + \
        [("used", ctypes.c_bool * PLACES)]


class Nic:
    """What stands in the NIC, and what is to happen to it."""

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(1 << 16)
            self._memory = mmap.mmap(file.fileno(), 1 << 16)
        self.model = _Model.from_buffer(self._memory)
        self.reset()
        self.model.size, self.model.queues, self.model.queues_max = 16, 4, 8

    def reset(self):
        """Nothing goes wrong any more."""
        for name in ("full", "off", "changes", "kill_before", "kill_behind", "fail_at"):
            setattr(self.model, name, 0)

    def places(self):
        return [place for place in range(PLACES) if self.model.used[place]]

    def close(self):
        del self.model
        self._memory.close()


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    path = tmp_path_factory.mktemp("nic") / "nic.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-iquote", ".",
                    "tests/net/nic.c", "tests/model/nic.c", "-o", path, "-ldl"], check=True)
    return path


@pytest.fixture
def nic(driver, tmp_path, monkeypatch):
    """b0 has filters, for every command that is run from here on."""
    made = Nic(tmp_path / "nic")
    monkeypatch.setenv("LD_PRELOAD", str(driver))
    monkeypatch.setenv("SHUNT_NIC", str(tmp_path / "nic"))
    monkeypatch.setenv("SHUNT_NIC_NAME", "b0")
    yield made
    made.close()


def rule(name, consumer="dns", **match):
    return {"name": name, "match": match, "action": {"redirect": {"consumer": consumer}}}


def policy(*rules, queues=None, **consumers):
    made = {"consumers": {"dns": {"kind": "xsk", "queues": [1, 2], "steer": True}, **consumers},
            "rules": list(rules)}
    return {**made, "queues": queues} if queues else made


DNS = rule("dns", proto="udp", dport=53, eth_type="ipv4")
WEB = rule("web", proto="tcp", dport=[80, 443], eth_type="ipv4")
NET = rule("net", src="10.0.0.0/8")


def steering(wire):
    """({(rule, queue, place)}, {setting: (is, was)}) as `show` has it."""
    shown = sh.shunt("show", "b0", ns=wire.b)["steering"]
    return {(one["rule"], one["queue"], one["location"]) for one in shown["filters"]}, \
        {(one["what"], one.get("queue")): (one["is"], one["was"]) for one in shown["settings"]}


def cpus(ns, interface, kind, queue):
    """What the kernel says of rps of a receive queue, or xps of a transmit queue."""
    side = "rx" if kind == "rps" else "tx"
    done = ns.run("ip", "netns", "exec", ns.name, "cat",
                  "/sys/class/net/%s/queues/%s-%d/%s_cpus" % (interface, side, queue, kind))
    return int(done.stdout.replace(",", ""), 16)


# --- filters ----------------------------------------------------------------------------------

def test_filters_come_with_the_policy_and_go_with_it(wire, nic):
    wire.attach(policy(DNS, WEB, NET))
    filters, _ = steering(wire)
    assert filters == {("dns", 1, 15), ("web", 2, 14), ("web", 1, 13), ("net", 2, 12)}
    assert nic.places() == [12, 13, 14, 15]
    wire.apply(policy(WEB, rule("new", proto="udp", dport=5353, eth_type="ipv4")))
    filters, _ = steering(wire)
    # a filter to the same queue keeps its place, one to another queue is another one
    assert {name for name, _, _ in filters} == {"web", "new"}
    assert len(filters) == 3 and nic.places() == sorted(place for *_, place in filters)
    sh.shunt("rollback", "b0", ns=wire.b)
    assert {name for name, _, _ in steering(wire)[0]} == {"dns", "web", "net"}
    wire.detach()
    assert nic.places() == []


def test_what_a_filter_cannot_say_is_said_rule_by_rule(wire, nic):
    late = rule("late", proto="udp", dport="1000-2000")
    path = wire.policy(policy(DNS, late, rule("tap", "tap", proto="udp", dport="1-9"),
                              tap={"kind": "xsk"}))
    checked = sh.run("check", path).reply["warnings"]
    assert [(one["pointer"], one["message"].split(":")[0]) for one in checked] == \
        [("/rules/1/match", "rule late")]
    done = sh.run("attach", "b0", "-p", path, ns=wire.b)
    assert [words for words in done.reply["warnings"] if "range" in words] == \
        ['rule late: a filter has one value of "dport", and the rule takes a range of them, or '
         "more than 16: its packets are not steered"]
    assert nic.places() == [15]


def test_rules_for_other_interfaces_are_not_steered(wire, nic):
    wire.attach(policy({**DNS, "match": {**DNS["match"], "iface": "eth*"}},
                       {**NET, "match": {**NET["match"], "iface": ["eth0", "b?"]}}))
    assert {name for name, *_ in steering(wire)[0]} == {"net"} and nic.places() == [15]


def test_without_xdp_nothing_is_steered(wire, nic):
    path = wire.policy(policy(DNS))
    sh.run("attach", "b0", "-p", path, "--hook", "tc-ingress", ns=wire.b)
    assert nic.places() == []
    wire.attach(None, "--hook", "xdp")
    assert nic.places() == [15]
    sh.shunt("detach", "b0", "--hook", "xdp", ns=wire.b)
    assert nic.places() == [] and steering(wire)[0] == set()


@pytest.mark.parametrize("what, words", [
    ({"size": 0}, "b0 cannot be told to send its flows to its queues (its driver has no table"),
    ({"off": 1}, "b0 takes no filter for ipv4 udp any to any port 53"),
    ({"full": 1}, "the table is full"),
    ({"size": 1}, "is full, all 1 places"),
])
def test_a_nic_that_refuses_is_a_warning_and_the_policy_rules(wire, nic, what, words):
    for name, value in what.items():
        setattr(nic.model, name, value)
    done = sh.run("attach", "b0", "-p", wire.policy(policy(DNS, NET)), ns=wire.b)
    assert done.code == 0 and words in "\n".join(done.reply["warnings"]), done
    filters, _ = steering(wire)
    assert [place for *_, place in filters] == nic.places()
    assert not sh.shunt("fsck", "b0", ns=wire.b)["findings"]
    wire.detach()
    assert nic.places() == []


def ethtool_rule(wire, *words):
    """Somebody else's rule, by the driver's own answers."""
    return wire.b.run("ethtool", "-N", "b0", "flow-type", *words, ok=False)


def test_filters_of_others_stay(wire, nic):
    assert ethtool_rule(wire, "udp4", "dst-port", "53", "action", "3", "loc", "15").returncode == 0
    assert ethtool_rule(wire, "ether", "proto", "0x88cc", "action", "1", "loc",
                        "14").returncode == 0
    listed = wire.b.run("ethtool", "-n", "b0").stdout
    done = sh.run("attach", "b0", "-p", wire.policy(policy(DNS, NET)), ns=wire.b)
    assert "that is not Shunt's, at place 15, sends" in "\n".join(done.reply["warnings"])
    assert steering(wire)[0] == {("net", 2, 13)} and nic.places() == [13, 14, 15]
    # and one that takes our place is theirs from then on
    assert ethtool_rule(wire, "tcp4", "dst-port", "99", "action", "0", "loc", "13").returncode == 0
    wire.detach()
    assert nic.places() == [13, 14, 15]
    wire.b.run("ethtool", "-N", "b0", "delete", "13")
    assert wire.b.run("ethtool", "-n", "b0").stdout == listed


def test_a_policy_on_trial_leaves_the_filters_of_both(wire, nic):
    trial = wire.policy(policy(NET), "trial.json")
    for end, left in (("confirm", {"net"}), ("rollback", {"dns"})):
        wire.attach(policy(DNS))
        done = sh.shunt("apply", "b0", "-p", trial, "--confirm", "60s", ns=wire.b)
        assert not done["warnings"] and nic.places() == [14, 15]
        assert {name for name, *_ in steering(wire)[0]} == {"net"}
        assert not sh.shunt("fsck", "b0", ns=wire.b)["findings"]
        sh.shunt(end, "b0", ns=wire.b)
        assert {name for name, *_ in steering(wire)[0]} == left and len(nic.places()) == 1
        wire.detach()
        assert nic.places() == []


def test_a_trial_that_lapsed_takes_its_filters_along(wire, nic):
    wire.attach(policy(DNS))
    trial = wire.policy(policy(NET), "trial.json")
    sh.shunt("apply", "b0", "-p", trial, "--confirm", "50ms", ns=wire.b)
    sh.wait(lambda: sh.shunt("show", "b0", ns=wire.b)["trial"] is None, "the trial to lapse")
    assert nic.places() == [14, 15]
    sh.refused("confirm", "b0", ns=wire.b)
    assert nic.places() == [15] and {name for name, *_ in steering(wire)[0]} == {"dns"}


def test_a_driver_that_chooses_places_is_asked_where_it_put_them(wire, nic):
    nic.model.anywhere = 1
    wire.attach(policy(DNS, NET))
    assert steering(wire)[0] == {("dns", 1, 0), ("net", 2, 1)}
    wire.apply(policy(NET, WEB))  # a flow stays in its queue
    assert steering(wire)[0] == {("net", 2, 1), ("web", 1, 2), ("web", 1, 3)}
    assert nic.places() == [1, 2, 3]
    wire.detach()
    assert nic.places() == []


def test_fsck_puts_in_again_what_the_nic_has_forgotten(wire, nic):
    wire.attach(policy(DNS, NET, queues={"rps": {"0": [0]}}))
    nic.model.used[15] = False
    wire.b.run("ip", "netns", "exec", wire.b.name, "sh", "-c",
               "echo 0 >/sys/class/net/b0/queues/rx-0/rps_cpus")
    found = sh.run("fsck", "b0", ns=wire.b).reply["findings"]
    assert [(one["what"], one["where"]) for one in found] == \
        [("steering-lost", "filter 15 of b0: ipv4 udp any to any port 53"),
         ("steering-lost", "rps of queue 0 of b0")]
    done = sh.shunt("fsck", "b0", "--repair", ns=wire.b)
    assert done["left"] == 0 and nic.places() == [14, 15]
    assert cpus(wire.b, "b0", "rps", 0) == 1
    assert not sh.shunt("fsck", "b0", ns=wire.b)["findings"]


def test_an_interface_with_another_name_keeps_its_filters(wire, nic, monkeypatch):
    wire.attach(policy(DNS))
    wire.b.ip("link set b0 down", "link set b0 name c0", "link set c0 up")
    monkeypatch.setenv("SHUNT_NIC_NAME", "c0")
    sh.shunt("apply", "c0", "-p", wire.policy(policy(NET)), ns=wire.b)
    assert len(nic.places()) == 1
    sh.shunt("detach", "c0", ns=wire.b)
    assert nic.places() == []


def test_probe_tells_of_the_table(wire, nic):
    wire.attach(policy(DNS, NET))
    reply = sh.shunt("probe", "b0", ns=wire.b)["interface"]
    # whether they are on is the kernel's own answer, and it knows a veth
    assert reply["ntuple"] == {"on": False, "fixed": True, "places": 16, "taken": 2}
    assert reply["queues_max"] == 8 and reply["queues"] == 4
    row = {row["name"]: row for row in reply["features"]}["ntuple"]
    assert row["detail"] == "off (fixed), 2 of 16 places are taken" and row["answer"] == "no"


# --- kills ------------------------------------------------------------------------------------

FIRST, SECOND = policy(DNS, WEB), policy(NET, WEB)
KILLED = {
    "attach": ([], ["attach", "b0", "-p", "FIRST"]),
    "apply": ([["attach", "b0", "-p", "FIRST"]], ["apply", "b0", "-p", "SECOND"]),
    "detach": ([["attach", "b0", "-p", "FIRST"]], ["detach", "b0"]),
    "confirm": ([["attach", "b0", "-p", "FIRST"],
                 ["apply", "b0", "-p", "SECOND", "--confirm", "60s"]], ["confirm", "b0"]),
    "rollback": ([["attach", "b0", "-p", "FIRST"],
                  ["apply", "b0", "-p", "SECOND", "--confirm", "60s"]], ["rollback", "b0"]),
    "hook": ([["attach", "b0", "-p", "FIRST", "--hook", "xdp", "--hook", "tc-ingress"]],
             ["detach", "b0", "--hook", "xdp"]),
}


def argv(wire, words):
    return [wire.file(word + ".json") if word.isupper() else word for word in words]


@pytest.mark.parametrize("where", ["kill_before", "kill_behind"])
@pytest.mark.parametrize("anywhere", [0, 1])
@pytest.mark.parametrize("name", sorted(KILLED))
def test_a_kill_at_any_change_of_the_nic_is_made_good_by_the_next(wire, nic, name, anywhere,
                                                                  where):
    prepare, words = KILLED[name]
    wire.policy(FIRST, "FIRST.json")
    wire.policy(SECOND, "SECOND.json")
    nic.model.anywhere = anywhere
    for change in range(1, 99):
        nic.reset()
        for before in prepare:
            sh.run(*argv(wire, before), ns=wire.b)
        nic.model.changes = 0
        setattr(nic.model, where, change)
        done = sh.run(*argv(wire, words), ns=wire.b)
        nic.reset()
        killed = done.code == -signal.SIGKILL
        assert killed or done.code == 0, done
        # a repair, and what stands in the NIC is what the record says, and no more
        if wire.b.instances():
            fixed = sh.run("fsck", "b0", "--repair", ns=wire.b)
            assert fixed.code == 0, fixed
        if wire.b.instances():
            filters, _ = steering(wire)
            assert sorted(place for *_, place in filters) == nic.places(), (change, filters)
            wanted = {"dns", "web"}, {"net", "web"}, set()
            assert {one for one, *_ in filters} in wanted
            rules = {one["name"] for one in sh.shunt("show", "b0", ns=wire.b)["rules"]}
            xdp = any(hook["hook"] == "xdp" for hook in
                      sh.shunt("show", "b0", ns=wire.b)["hooks"])
            assert {one for one, *_ in filters} == (rules if xdp else set())
            assert not sh.shunt("fsck", "b0", ns=wire.b)["findings"]
            sh.shunt("detach", "b0", ns=wire.b)
        assert nic.places() == [], change
        if not killed:
            assert change > 1  # it was killed at all
            return
    pytest.fail("it is killed at whatever number")


@pytest.mark.parametrize("name", ["attach", "apply", "detach"])
def test_a_change_that_the_nic_refuses_leaves_nothing_behind(wire, nic, name):
    prepare, words = KILLED[name]
    wire.policy(FIRST, "FIRST.json")
    wire.policy(SECOND, "SECOND.json")
    for change in range(1, 99):
        nic.reset()
        for before in prepare:
            sh.run(*argv(wire, before), ns=wire.b)
        nic.model.changes, nic.model.fail_at, nic.model.fail_errno = 0, change, 5
        done = sh.run(*argv(wire, words), ns=wire.b)
        met = nic.model.changes >= change
        nic.reset()
        if wire.b.instances():
            shown = sh.run("show", "b0", ns=wire.b)
            assert shown.code == 0
            if done.code == 0:
                assert sorted(one["location"] for one in shown.reply["steering"]["filters"]) == \
                    nic.places()
            sh.shunt("detach", "b0", ns=wire.b)
        assert nic.places() == [], (change, done)
        if not met:
            assert change > 2
            return


# --- queues -----------------------------------------------------------------------------------

def test_queues_are_what_the_policy_says_and_then_what_they_were(wide_wire):
    wire = wide_wire
    before = {(kind, queue): cpus(wire.b, "b0", kind, queue)
              for kind in ("rps", "xps") for queue in (0, 1)}
    wire.attach({"queues": {"rps": {"0": [0], "1": [0, 1]}, "xps": {"1": [1]}}})
    assert [cpus(wire.b, "b0", "rps", queue) for queue in (0, 1)] == [1, 3]
    assert cpus(wire.b, "b0", "xps", 1) == 2
    assert steering(wire)[1][("rps", 1)][0] == "3"
    wire.apply({"queues": {"rps": {"0": [1]}}})
    assert [cpus(wire.b, "b0", "rps", queue) for queue in (0, 1)] == [2, before["rps", 1]]
    assert cpus(wire.b, "b0", "xps", 1) == before["xps", 1]
    wire.detach()
    assert {key: cpus(wire.b, "b0", *key) for key in before} == before


def test_what_somebody_has_set_meanwhile_stays(wide_wire):
    wire = wide_wire
    wire.attach({"queues": {"rps": {"0": [0], "1": [0]}}})
    wire.b.run("ip", "netns", "exec", wire.b.name, "sh", "-c",
               "echo 3 >/sys/class/net/b0/queues/rx-1/rps_cpus")
    wire.detach()
    assert [cpus(wire.b, "b0", "rps", queue) for queue in (0, 1)] == [0, 3]


def test_the_number_of_queues(wide_wire):
    wire = wide_wire

    def count():
        text = wire.b.run("ethtool", "-l", "b0").stdout
        return int(re.findall(r"^RX:\s+(\d+)$", text, re.M)[-1])

    assert count() == 2
    wire.attach({"queues": {"count": 1}}, "--hook", "tc-ingress")
    assert count() == 1 and steering(wire)[1] == {("count", None): ("1", "2")}
    wire.apply({})
    assert count() == 2
    done = sh.run("apply", "b0", "-p", wire.policy({"queues": {"count": 3, "rps": {"5": [0]}}}),
                  ns=wire.b)
    assert "queues: b0 cannot have 3 receive queues (it has 2, and at most 2): Invalid argument" \
        in done.reply["warnings"]
    assert "queues: rps of queue 5 of b0 cannot be 1: there is no such queue" \
        in done.reply["warnings"]
    assert steering(wire)[1] == {}


def test_a_saved_policy_brings_its_queues_back(wide_wire):
    wire = wide_wire
    wire.attach({"queues": {"rps": {"1": [0]}}})
    saved = sh.run("save", ns=wire.b, text=True).out
    wire.detach()
    assert cpus(wire.b, "b0", "rps", 1) == 0
    with open(wire.file("saved.json"), "w", encoding="utf-8") as file:
        file.write(saved)
    sh.shunt("restore", wire.file("saved.json"), ns=wire.b)
    assert cpus(wire.b, "b0", "rps", 1) == 1


# --- a veth's queues --------------------------------------------------------------------------

CONSUMED = {"default": "drop",
            "consumers": {"second": {"kind": "xsk", "queues": [1], "steer": True,
                                     "heartbeat": "1m"}},
            "rules": [rule("second", "second", proto="udp", dport=5000)]}


@contextlib.contextmanager
def on_cpu(number):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def counter(wire):
    return sh.consume(wire, "count", lambda process: process.lines, "--interval", "20ms", "--json",
                      consumer="second")


def counted(process, packets):
    sh.wait(lambda: [one for one in process.replies() if one["packets"] >= packets],
            "%d packets" % packets)


def attach_warned(wire):
    done = sh.run("attach", "b0", "-p", wire.policy(CONSUMED), ns=wire.b)
    assert done.code == 0 and \
        "On a veth the sender's queue decides" in done.reply["warnings"][0], done


def test_xps_of_the_sender_decides_which_queue_a_veth_receives_in(wide_wire):
    wire = wide_wire
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU has one transmit queue")
    attach_warned(wire)
    sender = wire.policy({"queues": {"xps": {"1": [0], "0": [1]}}}, "sender.json")
    sh.shunt("attach", "a0", "-p", sender, "--hook", "tc-egress", ns=wire.a)
    process = counter(wire)
    with on_cpu(0):
        for _ in range(50):
            wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (B4, 5000))
    counted(process, 50)
    with on_cpu(1):
        for _ in range(30):
            wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (B4, 5000))
    stats = wire.seen(80)
    assert stats.reasons() == {"rule": 50, "consumer-down": 30}
    sh.shunt("detach", "a0", ns=wire.a)
    assert cpus(wire.a, "a0", "xps", 1) == 0


def test_the_record_names_its_schema_and_is_gone_at_the_end(wide_wire):
    """What is remembered of an interface is a pin as `fsck` knows it, and none without need."""
    wire = wide_wire
    wire.attach({})
    tree = os.path.join(sh.TREE, wire.b.instances()[0])
    assert "steer" not in os.listdir(tree)
    wire.apply({"queues": {"rps": {"1": [0]}}})
    assert "steer" in os.listdir(tree) and "steer_next" not in os.listdir(tree)
    done = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", tree + "/steer"],
                          capture_output=True, text=True, check=True)
    value = bytes(int(byte, 16) for byte in json.loads(done.stdout)[0]["value"])
    assert json.loads(value.rstrip(b"\0"))["schema"] == "shunt.steer/1"
    wire.apply({})
    assert "steer" not in os.listdir(tree)
