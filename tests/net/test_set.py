# SPDX-License-Identifier: BSD-2-Clause
"""The commands that change sets: files, replacing, services, all or nothing."""
import os
import random
import subprocess

import pytest
import shunt as sh

A4, B4 = "192.0.2.1", "192.0.2.2"
POLICY = {"schema": "shunt.policy/1", "default": "pass",
          "sets": {"nets": {"type": "prefix", "size": 100000},
                   "hosts": {"type": "address"},
                   "services": {"type": "address-port", "size": 100}},
          "rules": [{"name": "sets", "match": {"src": ["@nets", "@hosts", "@services"]},
                     "action": "drop"}]}


@pytest.fixture
def edit(wire):
    wire.attach(POLICY)
    return lambda *words, **how: sh.shunt("set", *words[:1], "b0", *words[1:], ns=wire.b, **how)


@pytest.fixture
def refused(wire, edit):
    return lambda *words: sh.refused("set", *words[:1], "b0", *words[1:], ns=wire.b)


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "members"
        path.write_text("\n".join(lines) + "\n")
        return str(path)
    return write


def members(edit, name):
    return edit("list", name)["elements"]


def networks(n, seed):
    draw = random.Random(seed)
    nets = {"%d.%d.%d.0/24" % (draw.randrange(1, 224), draw.randrange(256), draw.randrange(256))
            for _ in range(n)}
    return nets | {"2001:db8:%x::/48" % draw.randrange(1, 65536) for _ in range(n)}


def test_a_file_is_added_deleted_and_put_in_the_place_of_all(edit, file):
    first, second = networks(3000, 1), networks(2000, 2)
    reply = edit("add", "nets", "--file", file("# a comment", "", *first), "10.9.0.0/16")
    assert (reply["changed"], reply["unchanged"]) == (len(first) + 1, 0)
    assert set(members(edit, "nets")) == first | {"10.9.0.0/16"}
    reply = edit("add", "nets", "--file", file(*first))
    assert (reply["changed"], reply["unchanged"]) == (0, len(first))
    reply = edit("replace", "nets", "--file", file(*second))
    assert reply["operation"] == "replace" and reply["unchanged"] == len(first & second)
    assert reply["changed"] == len(first ^ second) + 1
    assert set(members(edit, "nets")) == second
    some = sorted(second)[:700]
    assert edit("del", "nets", "--file", file(*some))["changed"] == 700
    assert set(members(edit, "nets")) == second - set(some)
    assert edit("replace", "nets", "--file", file("# nothing"))["changed"] == len(second) - 700
    assert members(edit, "nets") == []


def test_packets_see_a_replaced_set(wire, edit):
    assert wire.a.ping(B4) == 1
    edit("replace", "nets", "192.0.2.0/24")
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    edit("add", "nets", "192.0.0.0/8")
    edit("del", "nets", "192.0.2.0/24")
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    edit("replace", "nets", "192.0.3.0/24")
    assert wire.a.ping(B4) == 1


def test_a_prefix_inside_another_one_is_a_member_by_itself(edit):
    edit("add", "nets", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24")
    assert edit("test", "nets", "10.1.2.3")["element"] == "10.1.2.0/24"
    edit("del", "nets", "10.1.2.0/24")
    assert edit("test", "nets", "10.1.2.3")["element"] == "10.1.0.0/16"
    edit("del", "nets", "10.0.0.0/8")
    assert edit("test", "nets", "10.1.2.3")["element"] == "10.1.0.0/16"
    assert members(edit, "nets") == ["10.1.0.0/16"]


def test_every_bad_line_is_told_and_none_of_the_good_ones_is_taken(edit, refused, file):
    path = file("10.0.0.1", "10.0.0.256", "10.0.0.2", "fe80::1::2", "10.0.0.0/8", "x")
    for verb in ("add", "replace"):
        said = refused(verb, "hosts", "--file", path)
        for line in (2, 4, 5, 6):
            assert "%s:%d: " % (path, line) in said, said
        assert "%s:1: " % path not in said
    assert members(edit, "hosts") == []
    said = refused("add", "nets", "--file", file(*["no"] * 100))
    told = said.count(": \"no\" is not an")
    assert 10 <= told <= 20 and "and %d more lines are wrong" % (100 - told) in said


def test_what_is_too_much_changes_nothing(edit, refused, file):
    edit("add", "hosts", A4)
    path = file(*("10.0.%d.%d" % (i >> 8, i & 255) for i in range(2000)))
    for verb in ("add", "replace"):
        assert "set hosts is full: it holds 1024 IPv4 members" in refused(verb, "hosts", "--file",
                                                                          path)
        assert members(edit, "hosts") == [A4]
    assert "no element is named" in refused("add", "hosts")
    assert "open set file" in refused("add", "hosts", "--file", "/nowhere/at-all")


def test_services_have_an_address_a_protocol_and_a_port(wire, edit, refused, file):
    first = ["192.0.2.7,tcp:443", "192.0.2.7,udp:443", "2001:db8::7,sctp:9"]
    assert edit("add", "services", *first[:1], "192.0.2.7,17:443", first[2])["changed"] == 3
    assert edit("add", "services", *first)["unchanged"] == 3
    assert members(edit, "services") == first
    assert edit("list", "services")["type"] == "address-port"
    assert edit("test", "services", first[1])["element"] == first[1]
    done = sh.run("set", "test", "b0", "services", "192.0.2.7,tcp:444", ns=wire.b)
    assert done.code == 1 and not done.reply["in"]
    assert edit("del", "services", first[0], "192.0.2.8,tcp:1")["changed"] == 1
    more = ["10.0.0.%d,tcp:80" % i for i in range(90)]
    assert edit("replace", "services", "--file", file(*more))["changed"] == 92
    assert set(members(edit, "services")) == set(more)
    for extra in (20, 80):  # one by one, and all at once
        many = ["10.1.0.%d,udp:53" % i for i in range(extra)]
        assert "set services is full: it holds 100 members" in refused("add", "services", *many)
        assert set(members(edit, "services")) == set(more)


@pytest.mark.parametrize("element, words", [
    ("192.0.2.1", "is not an address with a protocol and a port"),
    ("192.0.2.1,tcp", "is not an address with a protocol and a port"),
    ("192.0.2.0/24,tcp:1", "a service has one address"),
    ("192.0.2.1,icmp:1", "the protocol is tcp, udp or sctp"),
    ("192.0.2.1,tcp:65536", "the port is a number from 0 to 65535"),
    ("192.0.2.1,tcp:-1", "the port is a number from 0 to 65535"),
])
def test_what_is_no_service_is_refused(edit, refused, element, words):
    for verb in ("add", "del", "test"):
        assert words in refused(verb, "services", element)
    assert members(edit, "services") == []


def test_a_million_of_each_family_go_in_and_out(wire, tmp_path):
    wire.attach({"schema": "shunt.policy/1", "default": "pass",
                 "sets": {"all": {"type": "prefix", "size": 1048576}},
                 "rules": [{"name": "all", "match": {"src": "@all"}, "action": "drop"}]})
    path = tmp_path / "million"
    with open(path, "w", encoding="ascii") as out:
        for i in range(1000000):
            out.write("%d.%d.%d.%d\n2001:db8:%x:%x::/64\n" % (
                10 + (i >> 19), i >> 11 & 255, i >> 3 & 255, (i & 7) * 9, i >> 8, (i & 255) * 3))
    reply = sh.shunt("set", "replace", "b0", "all", "--file", path, ns=wire.b, seconds=120)
    assert reply["changed"] == 2000000
    reply = sh.shunt("set", "add", "b0", "all", "172.16.0.1", "2001:db9::1", ns=wire.b)
    assert reply["changed"] == 2
    for address, element in (("10.0.0.9", "10.0.0.9"), ("2001:db8:1:3::5", "2001:db8:1:3::/64"),
                             ("2001:db9::1", "2001:db9::1")):
        assert sh.shunt("set", "test", "b0", "all", address, ns=wire.b)["element"] == element
    show = sh.shunt("show", "b0", ns=wire.b)
    assert show["sets"][0]["members"] == 2000002
    sh.shunt("set", "add", "b0", "all", A4, ns=wire.b)
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    assert sh.shunt("set", "del", "b0", "all", "--file", path, ns=wire.b,
                    seconds=120)["changed"] == 2000000


def test_a_command_that_is_killed_leaves_a_whole_set(wire, edit, file):
    """Killed at any moment, a set has all of the old members or all of the new ones."""
    old, new = networks(400, 3), networks(400, 4)
    edit("replace", "nets", "--file", file(*old))
    path = file(*new)
    left = set()
    for step in range(24):
        command = subprocess.Popen(
            [sh.BINARY, "set", "replace", "b0", "nets", "--file", path, "--netns", wire.b.name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            command.wait(step * 0.002 if step < 23 else 60)
        except subprocess.TimeoutExpired:
            os.kill(command.pid, 9)
            command.wait()
        now = set(members(edit, "nets"))
        assert now in (old, new), step
        left.add(now == new)
        edit("replace", "nets", "--file", file(*old))
        path = file(*new)
    assert left == {False, True}
