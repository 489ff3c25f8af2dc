# SPDX-License-Identifier: BSD-2-Clause
"""save and restore: to the byte and back, over what is there, damaged, killed, and at boot."""
import glob
import json
import os
import random
import re
import shlex
import shutil
import stat
import subprocess

import pytest

import shunt as sh
from shunt import A4, B4
from test_apply import killed, points

POLICY = """{ "schema": "shunt.policy/1", "default": "pass", // comments stay
  "sets": { "nets": { "type": "prefix", "elements": ["203.0.113.0/24", "2001:db8:bad::/48"] },
            "live": { "type": "address" },
            "web": { "type": "address-port", "size": 50 } },
  "consumers": { "tap": { "kind": "ring", "if_down": "pass" } },
  "rules": [ { "name": "no-echo", "match": { "icmp": "echo-request", "length": "100-65535" },
               "action": "drop" },
             { "name": "sets", "match": { "src": ["@nets", "@live", "@web"] }, "action": "drop" },
             { "name": "tap", "match": { "dst": "192.0.2.77" },
               "action": { "redirect": { "consumer": "tap" } } } ] }
"""
UNIT = os.path.join(sh.ROOT, "user/cli/shunt@.service.in")
EXAMPLES = os.path.join(sh.SCHEMAS, "examples")


@pytest.fixture
def file(tmp_path):
    """Writes a file: its path."""
    def write(text, name="saved.json"):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return str(path)
    return write


def edit(wire, *words, interface="b0"):
    return sh.shunt("set", words[0], interface, *words[1:], ns=wire.b, seconds=120)


def bytes_of(ns, *options, seconds=60):
    """What `shunt save` writes, byte by byte; it is valid."""
    done = sh.run("save", *options, ns=ns, text=True, seconds=seconds)
    assert done.code == 0 and not done.err, done
    sh.validate(json.loads(done.out))
    return done.out


def restored(path, *options, ns=None, seconds=60):
    """A restore that has to succeed: {interface: what became of it}."""
    reply = sh.shunt("restore", path, *options, ns=ns, seconds=seconds)
    assert reply["failed"] == 0
    return {item["interface"]: item for item in reply["instances"]}


def outcomes(path, *options, ns=None):
    """A restore of which some fails: {interface: (outcome, error)}."""
    done = sh.run("restore", path, *options, ns=ns)
    assert done.code == 1 and done.error and done.reply["failed"] > 0, done
    return {item["interface"]: (item["outcome"], item.get("error", ""))
            for item in done.reply["instances"]}


def attached(wire):
    wire.attach(POLICY)
    edit(wire, "add", "live", "192.0.2.9", "2001:db8::9")
    edit(wire, "add", "web", "192.0.2.9,tcp:443", "2001:db8::9,udp:53")


def members(wire, name):
    return edit(wire, "list", name)["elements"]


def pinned():
    """Ids of what our instances have pinned: programs, maps and links."""
    return {key for key, item in sh.objects().items()
            if any(sh._ours(path) for path in item.get("pinned", []))}


def listed(ns):
    return [item for item in sh.shunt("list")["instances"]
            if item["instance"].startswith("ns%d:" % ns.cookie)]


# --- there and back -------------------------------------------------------------------------

def test_nothing_attached_is_saved_as_nothing(wire, file):
    text = bytes_of(wire.b)
    assert json.loads(text) == {"schema": "shunt.save/1", "instances": []}
    assert restored(file(text), ns=wire.b) == {}
    assert bytes_of(wire.b) == text


def test_an_instance_comes_back_to_the_byte_with_its_live_members(wire, file, traces):
    attached(wire)
    edit(wire, "del", "nets", "203.0.113.0/24")
    edit(wire, "add", "nets", "10.0.0.0/8", "10.1.0.0/16")
    text = bytes_of(wire.b)
    (one,) = json.loads(text)["instances"]
    assert one["interface"] == "b0" and one["netns"] == wire.b.name and one["policy"] == POLICY
    assert one["hooks"] == [{"hook": "xdp", "mode": "native", "insisted": False}]
    assert [(item["name"], item["type"], item["size"], item["elements"]) for item in one["sets"]] \
        == [("nets", "prefix", 1024, ["10.0.0.0/8", "10.1.0.0/16", "2001:db8:bad::/48"]),
            ("live", "address", 1024, ["192.0.2.9", "2001:db8::9"]),
            ("web", "address-port", 50, ["192.0.2.9,tcp:443", "2001:db8::9,udp:53"])]
    before = sh.shunt("show", "b0", ns=wire.b)
    path = file(text)
    for _ in range(2):
        wire.detach()
        traces.nothing_new()
        item = restored(path)["b0"]  # the document names the namespace
        assert item["outcome"] == "attached" and item["generation"] == 1
        assert not item["warnings"] and item["file"] == path and item["netns"] == wire.b.name
        assert bytes_of(wire.b) == text
    after = sh.shunt("show", "b0", ns=wire.b)
    for key in ("policy", "source", "sets", "rules", "consumers", "default", "malformed", "netns"):
        assert after[key] == before[key]
    # a set that `shunt set` fills is one still
    assert edit(wire, "add", "live", "192.0.2.10")["changed"] == 1
    wire.apply(POLICY)
    assert members(wire, "live") == ["192.0.2.9", "192.0.2.10", "2001:db8::9"]
    assert members(wire, "nets") == ["203.0.113.0/24", "2001:db8:bad::/48"]


def test_several_instances_come_back_in_the_order_in_which_they_were_attached(wire, file):
    names = ["zz", "b0", "aa.5"]
    wire.b.ip("link add zz type veth peer yy", "link add aa.5 type veth peer xx")
    wire.attach({"rules": []}, "--hook", "tc-egress", "--mode", "clsact", interface="zz")
    attached(wire)
    wire.attach(None, "--hook", "tc-ingress")
    wire.attach({"default": "drop"}, "--mode", "generic", "--hook", "xdp", "--hook", "tc-egress",
                interface="aa.5")
    text = bytes_of(wire.b)
    saved = json.loads(text)["instances"]
    assert [one["interface"] for one in saved] == names
    assert saved[0]["hooks"] == [{"hook": "tc-egress", "mode": "clsact", "insisted": True}]
    assert saved[2]["hooks"] == [{"hook": "xdp", "mode": "generic", "insisted": True},
                                 {"hook": "tc-egress", "mode": "tcx", "insisted": False}]
    for name in names:
        wire.detach(interface=name)
    assert list(restored(file(text))) == names
    assert bytes_of(wire.b) == text
    assert wire.b.link("aa.5")["xdp"]["mode"] == 2


def test_a_set_of_100000_prefixes_comes_back_without_its_file(wire, tmp_path, file):
    path = tmp_path / "nets"
    with open(path, "w", encoding="ascii") as out:
        for i in range(50000):
            out.write("10.%d.%d.0/24\n2001:db8:%x::/48\n" % (i >> 8, i & 255, i))
    policy = {"schema": "shunt.policy/1", "default": "pass",
              "sets": {"nets": {"type": "prefix", "file": str(path)},
                       "few": {"type": "prefix", "elements": ["192.0.2.0/25"]}},
              "rules": [{"name": "nets", "match": {"dst": ["@nets", "@few"]}, "action": "count"}]}
    wire.attach(policy)
    edit(wire, "add", "nets", "10.0.0.0/8")
    text = bytes_of(wire.b)
    os.unlink(path)
    assert len(json.loads(text)["instances"][0]["sets"][0]["elements"]) == 100001
    saved = file(text)
    wire.detach()
    assert restored(saved)["b0"]["outcome"] == "attached"
    assert bytes_of(wire.b) == text
    show = sh.shunt("show", "b0", ns=wire.b)
    assert json.loads(show["policy"]) == policy
    assert [(one["members"], one["size"]) for one in show["sets"]] == [(100001, 262144), (1, 1024)]
    assert edit(wire, "test", "nets", "10.200.3.4")["element"] == "10.0.0.0/8"
    assert restored(saved)["b0"]["outcome"] == "unchanged"
    # the room that a set had is the room that it has, also with few members
    edit(wire, "replace", "nets", "10.0.0.0/8")
    saved = file(bytes_of(wire.b))
    wire.detach()
    restored(saved)
    show = sh.shunt("show", "b0", ns=wire.b)
    assert [(one["members"], one["size"]) for one in show["sets"]] == [(1, 262144), (1, 1024)]


def test_a_policy_of_the_file_kind_may_have_lost_all_its_members(wire, tmp_path, file):
    (tmp_path / "one").write_text("10.0.0.1\n")
    wire.attach({"sets": {"s": {"type": "address", "file": str(tmp_path / "one")}},
                 "rules": [{"name": "s", "match": {"src": "@s"}, "action": "drop"}]})
    edit(wire, "del", "s", "10.0.0.1")
    text = bytes_of(wire.b)
    wire.detach()
    restored(file(text))
    assert bytes_of(wire.b) == text and members(wire, "s") == []


def test_a_file_whose_name_is_no_text_is_a_label_that_can_be_saved(wire, tmp_path, file):
    path = str(tmp_path / "p\udcff.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write(POLICY)
    sh.shunt("attach", "b0", "-p", path, ns=wire.b)
    text = bytes_of(wire.b)
    assert json.loads(text)["instances"][0]["source"] == path.replace("\udcff", "?")
    wire.detach()
    restored(file(text))
    assert bytes_of(wire.b) == text


def test_a_document_may_come_by_standard_input(wire):
    attached(wire)
    text = bytes_of(wire.b)
    wire.detach()
    done = sh.run("restore", "-", stdin=text)
    assert done.code == 0 and done.reply["instances"][0]["file"] == "-"
    assert bytes_of(wire.b) == text


def test_packets_are_judged_as_before(wire, file):
    attached(wire)
    edit(wire, "add", "live", A4)
    saved = file(bytes_of(wire.b))
    edit(wire, "del", "live", A4)
    rule = file(bytes_of(wire.b), "rule.json")
    wire.detach()
    assert wire.a.ping(B4, 1, "-s", "200") == 1
    restored(rule)
    assert wire.a.ping(B4) == 1 and wire.a.ping(B4, 1, "-s", "200", "-W", "0.05") == 0
    # a member is another state, and is brought back as one
    item = restored(saved)["b0"]
    assert item["outcome"] == "applied" and item["generation"] == 2
    assert wire.a.ping(B4, 1, "-W", "0.05") == 0
    stats = wire.stats().balances()
    assert stats.rule("no-echo") == 1 and stats.rule("sets") == 1
    assert restored(rule)["b0"]["outcome"] == "applied"
    assert wire.a.ping(B4) == 1


# --- over what is there ---------------------------------------------------------------------

def test_a_restore_over_the_same_state_touches_nothing(wire, file):
    attached(wire)
    path = file(bytes_of(wire.b))
    before, show = pinned(), sh.shunt("show", "b0", ns=wire.b)
    assert len(before) > 8
    item = restored(path)["b0"]
    assert item["outcome"] == "unchanged" and item["generation"] == 1
    assert item["hooks"] == show["hooks"]
    assert pinned() == before and sh.shunt("show", "b0", ns=wire.b) == show


def test_a_check_says_what_would_be_done_and_does_nothing(wire, file, traces):
    attached(wire)
    path = file(bytes_of(wire.b))
    edit(wire, "add", "live", A4)
    before, show = pinned(), sh.shunt("show", "b0", ns=wire.b)
    assert len(before) > 8
    assert restored(path, "--check")["b0"]["outcome"] == "applied"
    assert pinned() == before and sh.shunt("show", "b0", ns=wire.b) == show
    wire.detach()
    assert restored(path, "--check")["b0"]["outcome"] == "attached"
    assert "generation" not in restored(path, "--check")["b0"]
    wire.b.ip("link set b0 down", "link set b0 name b9")
    assert outcomes(path, "--check")["b0"][0] == "failed"
    assert not listed(wire.b)
    traces.nothing_new()


def test_another_policy_gives_way_for_all_hooks_at_one_moment(wire, file):
    attached(wire)
    wire.attach(None, "--hook", "tc-ingress")
    text = bytes_of(wire.b)
    wire.detach("--hook", "tc-ingress")
    wire.apply({"default": "drop", "rules": [{"name": "other", "action": "count"}]})
    item = restored(file(text))["b0"]
    assert item["outcome"] == "applied" and item["generation"] == 3
    assert [hook["hook"] for hook in item["hooks"]] == ["xdp", "tc-ingress"]
    assert bytes_of(wire.b) == text


def test_a_hook_alone_joins_and_one_that_was_not_saved_stays(wire, file):
    attached(wire)
    wire.attach(None, "--hook", "tc-ingress", "--mode", "clsact")
    text = bytes_of(wire.b)
    path = file(text)
    wire.detach("--hook", "tc-ingress")
    wire.attach(None, "--hook", "tc-egress")
    item = restored(path)["b0"]
    assert item["outcome"] == "joined" and item["generation"] == 1
    assert {hook["hook"]: hook["mode"] for hook in item["hooks"]} == {
        "xdp": "native", "tc-ingress": "clsact", "tc-egress": "tcx"}
    (warning,) = item["warnings"]
    assert warning == ("hook tc-egress is attached, and was not when it was saved: it stays; "
                       "`shunt detach b0 --hook tc-egress` takes it off")
    wire.detach("--hook", "tc-egress")
    assert bytes_of(wire.b) == text


def test_a_hook_that_has_joined_in_vain_leaves_again(wire, file):
    """The policy cannot be applied, for what it redirects to is not there."""
    wire.b.ip("link add b5 type veth peer b6")
    wire.attach({"rules": [{"name": "out", "match": {"dst": "192.0.2.50"},
                            "action": {"redirect": {"interface": "b5"}}}]}, "--hook", "xdp",
                "--hook", "tc-ingress")
    path = file(bytes_of(wire.b))
    wire.detach("--hook", "tc-ingress")
    wire.apply({"rules": []})
    wire.b.ip("link del b5")
    before = sh.shunt("show", "b0", ns=wire.b)
    outcome, error = outcomes(path)["b0"]
    assert outcome == "failed" and "rule out redirects to interface b5, which does not" in error
    assert sh.shunt("show", "b0", ns=wire.b) == before


def test_a_mode_is_insisted_on_again_only_if_it_was(wire, file):
    wire.attach({})
    text = bytes_of(wire.b)
    wire.detach()
    generic = file(text.replace('"native"', '"generic"'))
    (warning,) = restored(generic)["b0"]["warnings"]
    assert warning == "hook xdp is in native mode, and was in generic mode when it was saved"
    (warning,) = restored(generic)["b0"]["warnings"]
    assert warning == "hook xdp is in native mode, and was in generic mode when it was saved"
    assert bytes_of(wire.b) == text
    wire.detach()
    insisted = file(text.replace('"native"', '"generic"').replace("false", "true"))
    assert restored(insisted)["b0"]["hooks"][0]["mode"] == "generic"
    wire.detach()
    # an interface that has no native mode
    wire.b.ip("link set b0 down", "link set b0 name b9", "link add b0 type bridge", "link set b0 up")
    outcome, error = outcomes(file(text.replace("false", "true")))["b0"]
    assert outcome == "failed" and "b0 does not take an XDP program in native mode" in error
    assert not listed(wire.b)
    warnings = restored(file(text))["b0"]["warnings"]
    assert any("hook xdp is in generic mode, and was in native" in one for one in warnings)
    wire.detach()


def test_a_new_interface_of_the_same_name_gets_the_policy(wire, file):
    attached(wire)
    text = bytes_of(wire.b)
    wire.b.ip("link del b0", "link add b0 type veth peer b1", "link set b0 up")
    done = sh.run("save", ns=wire.b, text=True)
    assert done.code == 0 and json.loads(done.out)["instances"] == []
    assert "b0 is left out: its interface is gone" in done.err
    item = restored(file(text))["b0"]
    assert item["outcome"] == "attached" and "removed what an earlier b0" in item["warnings"][0]
    assert bytes_of(wire.b) == text


# --- what cannot be restored ------------------------------------------------------------------

@pytest.fixture
def three(wire, file):
    """Instances b0, b1 and b3, saved and detached: the wire, the document, its path's maker."""
    wire.b.ip("link add b1 type veth peer b2", "link add b3 type veth peer b4")
    for name in ("b0", "b1", "b3"):
        wire.attach({"rules": [{"name": name, "action": "count"}]}, interface=name)
    document = json.loads(bytes_of(wire.b))
    for name in ("b0", "b1", "b3"):
        wire.detach(interface=name)
    return wire, document, file


def change(key, value):
    return lambda one: one.__setitem__(key, value)


@pytest.mark.parametrize("fault, words", [
    (change("interface", "nothere"), "there is no such interface in network namespace"),
    (change("netns", "sht-nowhere"), "enter network namespace sht-nowhere"),
    (change("policy", "{"), "its policy is not sound"),
    (change("policy", '{"schema":"shunt.policy/2","default":"pass"}'), "at /schema: "),
    (change("hooks", []), "at /instances/1/hooks: names no hook"),
    (change("hooks", [{"hook": "xdp", "mode": "tcx", "insisted": True}]), "is not a mode of xdp"),
    (change("sets", [{"name": "s", "type": "prefix", "size": 9, "elements": []}]),
     "members of set s were saved, and there is no such set"),
    (change("sets", [{"name": "s", "type": "prefix", "size": 9, "elements": ["10.0.0.1/8"]}]),
     "at /instances/1/sets/0/elements/0: "),
    (change("source", 3), "at /instances/1/source: must be"),
    (lambda one: one.pop("source"), 'the key "source" is missing'),
    (change("more", 1), 'unknown key "more"'),
])
def test_one_that_cannot_be_restored_is_named_and_the_others_are_back(three, fault, words):
    wire, document, file = three
    fault(document["instances"][1])
    name = document["instances"][1]["interface"]
    got = outcomes(file(document))
    assert got["b0"] == got["b3"] == ("attached", "")
    assert got[name][0] == "failed" and words in got[name][1], got
    assert sorted(item["interface"] for item in listed(wire.b)) == ["b0", "b3"]


def test_text_names_what_failed_and_what_did_not(three):
    wire, document, file = three
    document["instances"][0]["policy"] = "["
    done = sh.run("restore", file(document), ns=wire.b, text=True)
    assert done.code == 1
    assert done.out == "".join("%s in %s: attached (xdp native), generation 1\n"
                               % (name, wire.b.name) for name in ("b1", "b3"))
    assert re.match(r"shunt: b0: its policy is not sound: b?.*text ends.*save it again", done.err)
    assert len(done.err.splitlines()) == 1
    done = sh.run("restore", file(document), "--only", "b1", ns=wire.b, text=True)
    assert (done.code, done.out) == (0, "b1 in %s: unchanged (xdp native), generation 1\n"
                                     % wire.b.name)


def test_an_interface_that_stands_twice_is_restored_once(three):
    wire, document, file = three
    document["instances"][2] = dict(document["instances"][0], policy="x")
    done = sh.run("restore", file(document), ns=wire.b)
    assert done.code == 1
    assert [item["outcome"] for item in done.reply["instances"]] == ["attached", "attached",
                                                                     "failed"]
    assert "b0 stands here twice" in done.error


def test_a_foreign_program_stays(wire, file, foreign):
    wire.attach({})
    path = file(bytes_of(wire.b))
    wire.detach()
    wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "object", foreign, "section", "xdp")
    before = wire.b.link("b0")["xdp"]
    for options in ((), ("--check",)):
        outcome, error = outcomes(path, *options)["b0"]
        assert outcome == "failed" and "already has an XDP program" in error
    assert wire.b.link("b0")["xdp"] == before and not listed(wire.b)


@pytest.mark.parametrize("document, words", [
    ("", "the text ends where a value is expected"),
    ("[]", "this is nothing that `shunt save` has written"),
    ('{"instances": []}', 'the key "schema" is missing'),
    ('{"schema": "shunt.save/2", "instances": []}',
     'at /schema: "shunt.save/2" is not understood: this version of Shunt restores "shunt.save/1"'),
    ('{"schema": "shunt.save/1"}', 'the key "instances" is missing'),
    ('{"schema": "shunt.save/1", "instances": {}}', "at /instances: must be a list"),
    ('{"schema": "shunt.save/1", "instances": [], "instances": []}', "a key stands here twice"),
    ('{"schema": "shunt.save/1", "instances": [', "the text ends"),
])
def test_a_document_that_is_none_is_refused_as_a_whole(file, document, words):
    path = file(document)
    done = sh.run("restore", path)
    assert done.code == 1 and words in done.error and path in done.error
    (item,) = done.reply["instances"]
    assert item["interface"] is None and item["outcome"] == "failed" and item["file"] == path


def test_a_file_that_is_missing_or_no_text_is_said_to_be(tmp_path):
    for path, words in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        assert words in sh.refused("restore", path)
    assert "restore from %s" % (tmp_path / "none") in sh.refused("restore", "--dir",
                                                                tmp_path / "none")


@pytest.mark.parametrize("there", [False, True], ids=["nothing", "another"])
def test_no_prefix_of_a_document_is_half_a_restore(wire, file, there):
    """Cut off anywhere, a document restores nothing and changes nothing."""
    attached(wire)
    text = bytes_of(wire.b)
    if there:
        wire.apply({"default": "pass"})
    else:
        wire.detach()
    before = pinned()
    for size in [*range(0, len(text) - 2, 23), len(text) - 2]:
        done = sh.run("restore", file(text[:size]))
        assert done.code == 1 and "/saved.json:" in done.error, done
    assert pinned() == before and bool(before) == there
    # without its last line end it is whole
    assert restored(file(text[:-1]))["b0"]["outcome"] == ("applied" if there else "attached")


def test_a_damaged_byte_never_half_applies(wire, file):
    """Whatever becomes of it: what rules is the old state, or what the document says now."""
    attached(wire)
    text = bytes_of(wire.b)
    draw = random.Random(7)
    seen = set()
    for _ in range(60):
        at = draw.randrange(len(text))
        damaged = text[:at] + chr(draw.randrange(32, 127)) + text[at + 1:]
        done = sh.run("restore", file(damaged), ns=wire.b)
        now = bytes_of(wire.b)
        if done.code:
            assert now == text, (at, damaged[at])
        else:
            (one,) = json.loads(now)["instances"]
            (said,) = json.loads(damaged)["instances"]
            assert one["policy"] == said["policy"] and one["source"] == said["source"]
            assert [item["name"] for item in one["sets"]] == [item["name"] for item in said["sets"]]
        seen.add(done.code)
        restored(file(text))
        assert bytes_of(wire.b) == text
    assert seen == {0, 1}


# --- killed -------------------------------------------------------------------------------------

def test_a_restore_that_is_killed_converges_with_the_next(wire, file, traces):
    wire.b.ip("link add b1 type veth peer b2")
    attached(wire)
    wire.attach(None, "--hook", "tc-ingress")
    wire.attach({"rules": [{"name": "one", "action": "count"}]}, interface="b1")
    text = bytes_of(wire.b)
    path = file(text)

    def nothing():
        for name in ("b0", "b1"):
            wire.detach(interface=name)

    nothing()
    where = points(wire, "restore", path)
    assert len(where) >= 10 and bytes_of(wire.b) == text
    nothing()
    for call, number in where:
        killed(wire, call, number, "restore", path)
        done = sh.run("restore", path)
        assert done.code == 0, (call, number, done)
        assert bytes_of(wire.b) == text, (call, number)
        assert wire.a.ping(B4, 1, "-s", "200", "-W", "0.05") == 0
        nothing()
        traces.nothing_new()


def test_a_hook_whose_joining_is_killed_joins_with_the_next(wire, file, traces):
    attached(wire)
    wire.attach(None, "--hook", "tc-ingress")
    wire.attach(None, "--hook", "tc-egress", "--mode", "clsact")
    text = bytes_of(wire.b)
    path = file(text)

    def leave():
        for hook in ("tc-ingress", "tc-egress"):
            wire.detach("--hook", hook)

    leave()
    where = points(wire, "restore", path)
    leave()
    for call, number in where:
        killed(wire, call, number, "restore", path)
        done = sh.run("restore", path)
        assert done.code == 0, (call, number, done)
        assert bytes_of(wire.b) == text, (call, number)
        leave()
    wire.detach()
    traces.nothing_new()


def test_a_restore_over_other_members_that_is_killed_converges(wire, file):
    attached(wire)
    text = bytes_of(wire.b)
    path = file(text)
    edit(wire, "replace", "live", "192.0.2.200")
    other = bytes_of(wire.b)
    seen = set()
    where = points(wire, "restore", path)
    for call, number in where:
        restored(file(other, "other.json"))
        killed(wire, call, number, "restore", path)
        now = bytes_of(wire.b)
        assert now in (text, other), (call, number)
        seen.add(now == text)
        assert restored(path)["b0"]["outcome"] == ("unchanged" if now == text else "applied")
        assert bytes_of(wire.b) == text
    assert seen == {False, True}


def save_calls(wire, path):
    """System calls with which a save changes files, by name."""
    trace = wire.file("trace")
    subprocess.run(["strace", "-o", trace, "-e", "trace=openat,write,fsync,rename,ftruncate",
                    sh.BINARY, "save", "-o", path, "--netns", wire.b.name], check=True)
    with open(trace, encoding="utf-8") as lines:
        calls = re.findall(r"^(\w+)\((.*)", lines.read(), re.M)
    used, found = {}, []
    for call, rest in calls:
        used[call] = used.get(call, 0) + 1
        if call != "openat" or ".tmp" in rest:
            found.append((call, used[call]))
    return found


def test_a_save_that_is_killed_leaves_the_old_file_or_the_new_one(wire, tmp_path):
    attached(wire)
    path = str(tmp_path / "kept.json")
    where = save_calls(wire, path)
    assert {call for call, _ in where} == {"openat", "ftruncate", "write", "fsync", "rename"}
    old = open(path, encoding="utf-8").read()
    edit(wire, "add", "live", "192.0.2.99")
    new = bytes_of(wire.b)
    seen = set()
    for call, number in where:
        killed(wire, call, number, "save", "-o", path)
        with open(path, encoding="utf-8") as now:
            text = now.read()
        assert text in (old, new), (call, number)
        seen.add(text == new)
        shutil.copyfile(path, tmp_path / "copy")
        with open(path, "w", encoding="utf-8") as back:
            back.write(old)
    assert seen == {False, True}
    # what the killed ones have left is used and gone
    sh.shunt("save", "-o", path, ns=wire.b)
    assert sorted(os.listdir(tmp_path)) == ["copy", "kept.json"]
    assert open(path, encoding="utf-8").read() == new


# --- files ----------------------------------------------------------------------------------------

def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_file_is_roots_alone_and_the_same_as_standard_output(wire, tmp_path):
    attached(wire)
    path = tmp_path / "saved.json"
    path.write_text("old")
    path.chmod(0o666)
    os.symlink(path, tmp_path / "link")
    reply = sh.shunt("save", "-o", tmp_path / "link", ns=wire.b)
    assert reply["instances"] == 1 and reply["files"] == [str(tmp_path / "link")]
    assert mode(path) == 0o600 and (tmp_path / "link").is_symlink()
    assert path.read_text() == bytes_of(wire.b) == bytes_of(wire.b, "-o", "-")
    assert sorted(os.listdir(tmp_path)) == ["link", "saved.json"]
    # with --json it is the same document on one line
    assert sh.shunt("save", ns=wire.b) == json.loads(path.read_text())


def test_what_is_no_regular_file_is_not_replaced(wire, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/null", tmp_path):
        before = os.stat(path)
        assert "is no regular file" in sh.refused("save", "-o", path, ns=wire.b)
        assert os.stat(path).st_ino == before.st_ino
    assert "No such file" in sh.refused("save", "-o", tmp_path / "no/such", ns=wire.b)


def test_a_full_disk_leaves_the_old_file(wire, tmp_path):
    attached(wire)
    wire.b.run("true")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=True)
    try:
        (folder / "saved.json").write_text("old")
        words = sh.refused("save", "-o", folder / "saved.json", ns=wire.b)
        assert "No space left on device" in words
        assert (folder / "saved.json").read_text() == "old"
        assert os.listdir(folder) == ["saved.json"]
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_folder_has_a_file_for_each_instance_and_none_for_those_that_are_gone(wire, tmp_path):
    wire.b.ip("link add aa.5 type veth peer xx", "link add .h type veth peer yy")
    folder = tmp_path / "kept"
    attached(wire)
    for name in ("aa.5", ".h"):
        wire.attach({"rules": [{"name": "one", "action": "count"}]}, interface=name)
    reply = sh.shunt("save", "--dir", folder, ns=wire.b)
    names = {name: "%s:%s.json" % (wire.b.name, name.replace(".h", "%2eh"))
             for name in ("b0", "aa.5", ".h")}
    assert set(os.listdir(folder)) == set(names.values())
    assert set(reply["files"]) == {str(folder / name) for name in names.values()}
    assert mode(folder) == 0o700 and {mode(folder / one) for one in names.values()} == {0o600}
    texts = {name: (folder / names[name]).read_text() for name in names}
    for name, text in texts.items():
        assert [one["interface"] for one in json.loads(text)["instances"]] == [name]
    # what is not ours stays, and what another save answers for
    other = json.loads(texts["b0"])
    other["instances"][0]["netns"] = "elsewhere"
    (folder / "elsewhere:b0.json").write_text(json.dumps(other))
    (folder / "mine.json").write_text(texts["b0"])
    (folder / "notes.json").write_text('{"schema": "mine"}')
    (folder / "notes").write_text("x")
    for name in names:
        wire.detach(interface=name)
    wire.attach({}, interface="aa.5")
    reply = sh.shunt("save", "--dir", folder, ns=wire.b)
    assert set(reply["removed"]) == {str(folder / names["b0"]), str(folder / names[".h"])}
    assert sorted(os.listdir(folder)) == ["elsewhere:b0.json", "mine.json", "notes", "notes.json",
                                          names["aa.5"]]


def test_a_folder_is_restored_file_by_file(wire, tmp_path):
    wire.b.ip("link add b1 type veth peer b2")
    attached(wire)
    wire.attach({}, interface="b1")
    sh.shunt("save", "--dir", tmp_path, ns=wire.b)
    text = bytes_of(wire.b)
    wire.detach()
    wire.detach(interface="b1")
    (tmp_path / "a-broken.json").write_text("{")
    # one interface alone does not look at what others have left
    assert list(restored("--dir", tmp_path, "--only", "b1", ns=wire.b)) == ["b1"]
    assert [item["interface"] for item in listed(wire.b)] == ["b1"]
    got = outcomes("--dir", tmp_path)
    assert got[None][0] == "failed" and "a-broken.json:1:2" in got[None][1]
    assert got["b0"] == ("attached", "") and got["b1"] == ("unchanged", "")
    assert sorted(json.loads(bytes_of(wire.b))["instances"], key=str) == \
        sorted(json.loads(text)["instances"], key=str)
    # damaged so that it does not say whose it is, its name still does
    (tmp_path / ("%s:b1.json" % wire.b.name)).write_text(
        '{"schema": "shunt.save/1", "instances": [{}]}')
    words = sh.refused("restore", "--dir", tmp_path, "--only", "b1", ns=wire.b)
    assert "what was saved of it is damaged" in words
    words = sh.refused("restore", "--dir", tmp_path, "--only", "b7", ns=wire.b)
    assert words.startswith("restore: nothing was saved of b7 in %s" % tmp_path)


def test_an_instance_that_is_broken_does_not_take_the_others_with_it(wire, tmp_path):
    """Its record is gone: one file for all would lack it, a file of its own stays."""
    wire.b.ip("link add b1 type veth peer b2")
    attached(wire)
    wire.attach({}, interface="b1")
    sh.shunt("save", "--dir", tmp_path, ns=wire.b)
    old = (tmp_path / ("%s:b0.json" % wire.b.name)).read_text()
    os.unlink(os.path.join(sh.TREE, "ns%d:b0" % wire.b.cookie, "state"))
    wire.apply({"default": "drop"}, interface="b1")
    single = tmp_path / "single"
    words = sh.refused("save", "-o", single, ns=wire.b)
    assert "nothing was written. `shunt detach` removes an instance that is broken" in words
    assert not single.exists()
    done = sh.run("save", "--dir", tmp_path, ns=wire.b)
    assert done.code == 1 and "could not be read" in done.error
    assert [item["instance"] for item in done.reply["failed"]] == ["ns%d:b0" % wire.b.cookie]
    assert (tmp_path / ("%s:b0.json" % wire.b.name)).read_text() == old
    assert '\\"drop\\"' in (tmp_path / ("%s:b1.json" % wire.b.name)).read_text()
    wire.detach()


# --- namespaces ---------------------------------------------------------------------------------

def test_all_namespaces_with_a_name_are_saved_from_anywhere(wire, file):
    attached(wire)
    wire.a.ip("link add b0 type veth peer b1")
    sh.shunt("attach", "b0", "-p", wire.policy({"default": "pass"}, "a.json"), ns=wire.a)

    def ours(ns=None):
        """Others may work on this machine at the same time."""
        return [one for one in sh.shunt("save", "--all-netns", ns=ns)["instances"]
                if one["netns"] in (wire.a.name, wire.b.name)]

    saved = ours()
    assert [one["netns"] for one in saved] == [wire.b.name, wire.a.name]
    assert saved[:1] == json.loads(bytes_of(wire.b))["instances"]
    assert ours(wire.a) == saved
    path = file({"schema": "shunt.save/1", "instances": saved})
    wire.detach()
    sh.shunt("detach", "b0", ns=wire.a)
    reply = sh.shunt("restore", path)
    assert [(item["netns"], item["outcome"]) for item in reply["instances"]] == [
        (wire.b.name, "attached"), (wire.a.name, "attached")]
    assert ours() == saved
    # one of that name is meant where it is asked for
    reply = sh.shunt("restore", path, "--only", "b0", ns=wire.a)
    assert [item["netns"] for item in reply["instances"]] == [wire.a.name]
    sh.shunt("detach", "b0", ns=wire.a)


def test_without_a_namespace_it_is_the_one_where_restore_is_run(wire, file):
    attached(wire)
    document = json.loads(bytes_of(wire.b))
    document["instances"][0]["netns"] = None
    wire.detach()
    path = file(document)
    assert restored(path, ns=wire.b)["b0"]["netns"] is None
    assert sh.shunt("show", "b0", ns=wire.b)["netns"] == wire.b.name
    # a process that is there without having been told so
    inside = subprocess.run([*wire.b.argv(sh.BINARY), "save"], capture_output=True, text=True,
                            check=True)
    assert inside.stdout == bytes_of(wire.b)


def test_a_namespace_named_by_its_path_is_entered_by_it(wire, file):
    attached(wire)
    done = subprocess.run([sh.BINARY, "save", "--netns", wire.b.path], capture_output=True,
                          text=True, check=True)
    assert json.loads(done.stdout)["instances"][0]["netns"] == wire.b.path
    wire.detach()
    assert restored(file(done.stdout))["b0"]["outcome"] == "attached"


# --- at boot ----------------------------------------------------------------------------------

def unit(binary=sh.BINARY):
    with open(UNIT, encoding="utf-8") as text:
        return re.sub(r"@BINDIR@/shunt\b", lambda _: binary, text.read())


def setting(name):
    return re.search(r"^%s=(.*)$" % name, unit(), re.M).group(1)


def test_the_unit_is_sound_for_systemd(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for name in ("shunt@eth0.service", r"shunt@wan\x2d1.service"):
        (tmp_path / name).write_text(unit("/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / name],
                              capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_units_command_restores_as_the_unit_runs_it(wire, tmp_path, traces):
    """Its line, its capabilities, nothing in its environment; and no socket that it forbids."""
    attached(wire)
    wire.attach(None, "--hook", "tc-ingress", "--mode", "clsact")
    text = bytes_of(wire.b)
    sh.shunt("save", "--dir", tmp_path, ns=wire.b)
    wire.detach()
    line = setting("ExecStart").replace("/var/lib/shunt", str(tmp_path)).replace("%I", "b0")
    assert line != setting("ExecStart") and "%" not in line
    caps = ["+" + word.removeprefix("CAP_").lower()
            for word in setting("CapabilityBoundingSet").split()]
    trace = tmp_path / "trace"
    argv = ["strace", "-f", "-o", trace, "-e", "trace=socket,mount,setns",
            "setpriv", "--bounding-set", ",".join(["-all", *caps]), "--inh-caps=-all",
            "--no-new-privs", *shlex.split(line)]
    done = wire.b.run(*argv, env={"PATH": os.environ["PATH"]}, cwd="/")
    assert "b0 in %s: attached (xdp native, tc-ingress clsact)" % wire.b.name in done.stdout
    assert bytes_of(wire.b) == text
    families = set(re.findall(r"socket\((\w+)", trace.read_text()))
    assert families and families <= set(setting("RestrictAddressFamilies").split())
    assert "mount(" not in trace.read_text()
    # once more, as after `systemctl restart`
    assert "unchanged" in wire.b.run(*argv).stdout
    wire.detach()
    os.unlink(tmp_path / ("%s:b0.json" % wire.b.name))
    assert wire.b.run(*argv, ok=False).returncode == 1
    traces.nothing_new()


def test_the_unit_is_ordered_before_the_network():
    assert "network-pre.target" in setting("Before").split()
    assert setting("Wants") == "network-pre.target"
    assert setting("BindsTo") == "sys-subsystem-net-devices-%i.device"
    assert setting("BindsTo") in setting("After").split()
    assert (setting("Type"), setting("RemainAfterExit")) == ("oneshot", "yes")
    # what is mounted in a mount namespace of its own ends with the service
    assert not re.search(r"^(Private|Protect(System|Home|Kernel|Control|Proc)|ReadOnly|ReadWrite|"
                         r"Inaccessible|Temporary|Bind(ReadOnly)?Paths|Root|Mount|DynamicUser)\w*=", unit(), re.M)


# --- examples ---------------------------------------------------------------------------------

def strip(text):
    return re.sub(r"^//.*\n", "", text, flags=re.M)


@pytest.mark.parametrize("path", sorted(glob.glob(EXAMPLES + "/saved-valid/*.json")),
                         ids=os.path.basename)
def test_a_valid_document_lacks_nothing_but_its_interface(path):
    with open(path, encoding="utf-8") as text:
        sh.validator("save").validate(json.loads(strip(text.read())))
    done = sh.run("restore", "--check", path)
    for item in done.reply["instances"]:
        assert item["outcome"] == "failed"
        assert "no such interface" in item["error"] or "enter network namespace" in item["error"]


@pytest.mark.parametrize("path", sorted(glob.glob(EXAMPLES + "/saved-invalid/*.json")),
                         ids=os.path.basename)
def test_an_invalid_document_is_refused_with_its_place_and_by_its_schema(path):
    with open(path, encoding="utf-8") as file_:
        text = file_.read()
    where, words = re.findall(r"^// expect: (.*?)  (.*)$", text, flags=re.M)[0]
    done = sh.run("restore", "--check", path)
    assert done.code == 1
    errors = [item.get("error", "") for item in done.reply["instances"]]
    assert any(where in error and words in error for error in errors), errors
    meaning = re.search(r"^// meaning$", text, flags=re.M)
    assert sh.validator("save").is_valid(json.loads(strip(text))) == bool(meaning)


def test_there_are_examples_of_documents():
    assert len(glob.glob(EXAMPLES + "/saved-valid/*.json")) >= 3
    assert len(glob.glob(EXAMPLES + "/saved-invalid/*.json")) >= 10


# --- usage ------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, part", [
    (["save", "-o", "x", "--dir", "y"], "-o and --dir exclude each other"),
    (["restore", "x", "--dir", "y"], "a file and --dir exclude each other"),
    (["restore", "--only", "b0", "--dir", "/nowhere/at-all"], "restore from /nowhere/at-all"),
])
def test_wrong_usage_says_what_is_right(words, part):
    assert part in sh.refused(*words)


def test_a_folder_that_is_not_named_is_the_units():
    """Nothing is written there: another option follows, and it is the one that fails."""
    folder = re.search(r"--dir (\S+)", setting("ExecStart")).group(1)
    assert "exclude each other" in sh.refused("save", "--dir", "-o", "x")
    if not os.path.exists(folder):
        assert "restore from %s" % folder in sh.refused("restore", "--dir")
        assert "restore from %s" % folder in sh.refused("restore")
