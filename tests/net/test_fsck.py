# SPDX-License-Identifier: BSD-2-Clause
"""What fsck finds, says and repairs; and that the next command repairs it as well.

`fsck` without an interface looks at the whole machine: here it repairs only in a mount
namespace of its own, with a tree of its own.
"""
import glob
import json
import os
import re
import signal
import subprocess

import pytest

import census
import shunt as sh
from shunt import B4
from test_apply import NEW, OLD, killed, points

DROP = {"default": "drop"}
ALL = ("--hook", "xdp", "--hook", "tc-ingress", "--hook", "tc-egress")


def folder(wire, interface="b0", ns=None):
    return os.path.join(sh.TREE, "ns%d:%s" % ((ns or wire.b).cookie, interface))


def fsck(wire, *options, interface="b0", ns=None):
    """{what: finding} of one interface; the exit status says whether anything is left."""
    done = sh.run("fsck", interface, *options, ns=ns or wire.b)
    assert done.replies and not done.err, done
    reply = done.reply
    assert reply["left"] == sum(not one["repaired"] for one in reply["findings"])
    assert done.code == (1 if reply["left"] else 0), done
    return {one["what"]: one for one in reply["findings"]}


def pins(wire, interface="b0", ns=None):
    """All but those of earlier policies, of which there are as many as there were applies."""
    top = folder(wire, interface, ns)
    return sorted(os.path.relpath(os.path.join(at, name), top)
                  for at, _, names in os.walk(top) for name in names
                  if os.path.basename(at) != "history")


def snapshot(wire):
    return (sorted(census.belongings(wire.b)), pins(wire), wire.b.link("b0").get("xdp"),
            wire.b.run("tc", "qdisc", "show", "dev", "b0").stdout)


def heals(wire, *expected, interface="b0", ns=None):
    """The findings are these and no others; a look changes nothing; a repair leaves nothing."""
    before = snapshot(wire) if interface == "b0" and not ns else None
    found = fsck(wire, interface=interface, ns=ns)
    assert sorted(found) == sorted(expected), found
    if before:
        now = snapshot(wire)
        assert now == before
    repaired = fsck(wire, "--repair", interface=interface, ns=ns)
    assert sorted(repaired) == sorted(expected)
    assert all(one["repaired"] for one in repaired.values()), repaired
    return found


# --- nothing amiss ------------------------------------------------------------------------

def test_on_a_healthy_machine_nothing_is_found(wire):
    wire.attach({**OLD, "consumers": {"tap": {"kind": "ring"}}}, *ALL)
    sh.shunt("attach", "a0", "-p", wire.policy({}, "a0.json"), "--hook", "tc-egress", "--mode",
             "clsact", ns=wire.a)
    reader = wire.b.start(sh.BINARY, "run", "count", "b0", "-c", "tap", "--netns", wire.b.name,
                          "--json", "--interval", "10ms")
    sh.wait(lambda: reader.lines, "the consumer to run")
    wire.apply({**NEW, "consumers": {"tap": {"kind": "ring"}}})
    before = snapshot(wire)
    assert not fsck(wire) and not fsck(wire, interface="a0", ns=wire.a)
    assert not fsck(wire, "--repair") and snapshot(wire) == before
    reply = sh.run("fsck").reply
    names = {os.path.basename(folder(wire)), os.path.basename(folder(wire, "a0", wire.a))}
    assert names <= set(reply["instances"])
    assert not [one for one in reply["findings"] if one["instance"] in names]
    assert sh.run("fsck", "b0", ns=wire.b, text=True).out == "1 instance checked: all is well\n"


def test_where_nothing_is_attached_fsck_says_so(wire):
    words = sh.refused("fsck", "b0", ns=wire.b)
    assert "nothing of Shunt's is attached to b0: `shunt fsck` without an interface" in words


def test_a_program_that_a_process_holds_is_in_use(wire):
    """As while a packet is explained under a policy that is attached nowhere."""
    reader, writer = os.pipe()
    explain = subprocess.Popen([sh.BINARY, "explain", "-p", wire.policy(DROP), "--pcap", "-"],
                               stdin=reader, stdout=subprocess.DEVNULL)
    os.close(reader)
    words = ": process %d (shunt)" % explain.pid

    def held():
        reply = sh.run("fsck").reply
        mine = [one for one in reply["held"] if one.endswith(words)]
        found = [one for one in reply["findings"] if any(
            re.search(r"\(id \d+\)", held).group() in one["where"] for held in mine)]
        assert not found
        return mine

    try:
        sh.wait(held, "the program to be in use")
    finally:
        os.close(writer)
        explain.wait(20)
    assert not held()


def read(*path):
    with open(os.path.join(sh.ROOT, *path), encoding="utf-8") as file:
        return file.read()


def test_the_kinds_of_findings_are_the_same_everywhere():
    names = re.findall(r'\bX\(\w+,\s*\d+,\s*"([^"]+)"', read("loader/finding.h"))
    assert len(names) == len(set(names)) > 20
    assert json.loads(read("schemas/fsck.schema.json"))["$defs"]["finding"]["enum"] == names
    assert re.findall(r"^\| `([a-z-]+)` \|", read("docs/repair.md"), re.M) == names


@pytest.mark.parametrize("path", sorted(glob.glob(os.path.join(
    sh.SCHEMAS, "examples/fsck/*/*.json"))), ids=os.path.basename)
def test_examples_of_replies(path):
    valid = os.path.basename(os.path.dirname(path)) == "valid"
    assert sh.validator("fsck").is_valid(json.loads(read(path))) == valid


# --- killed -------------------------------------------------------------------------------

@pytest.mark.parametrize("options, count", [
    (("--hook", "xdp"), 9), (("--hook", "tc-ingress", "--hook", "tc-egress", "--mode", "clsact"), 14)])
def test_a_killed_attach_is_found_and_cleared_away(wire, traces, options, count):
    path = wire.policy(DROP)
    where = points(wire, "attach", "b0", "-p", path, *options, every=("sendto", "OBJ_PIN"))
    clean = pins(wire), sh.qdiscs(wire.b)
    assert wire.detach()["gone"]
    seen = set()
    for call, number in where[-count:]:
        killed(wire, call, number, "attach", "b0", "-p", path, *options)
        if os.path.isdir(folder(wire)):
            found = fsck(wire, "--repair")
            seen |= set(found)
            assert all(one["repaired"] for one in found.values()), (call, number, found)
        if os.path.isdir(folder(wire)):
            assert (pins(wire), sh.qdiscs(wire.b)) == clean, (call, number)
            assert not fsck(wire)
            assert wire.detach()["gone"]
        assert not sh.qdiscs(wire.b), (call, number)
        traces.nothing_new()
    assert "unfinished" in seen


def test_two_further_hooks_share_the_qdisc_that_goes_with_them(wire, traces):
    options = ("--hook", "tc-ingress", "--hook", "tc-egress", "--mode", "clsact")
    wire.attach(DROP)
    # from the second time on, the program of xdp already tells the other hook its generation
    sh.shunt("attach", "b0", *options, ns=wire.b)
    for hook in options[1:4:2]:
        sh.shunt("detach", "b0", "--hook", hook, ns=wire.b)
    where = points(wire, "attach", "b0", *options, every=("sendto",))
    for call, number in where[-7:]:
        for hook in options[1:4:2]:
            sh.run("detach", "b0", "--hook", hook, ns=wire.b)
        killed(wire, call, number, "attach", "b0", *options)
        fsck(wire, "--repair")
        assert not fsck(wire), (call, number)
        hooks = len(sh.shunt("show", "b0", ns=wire.b)["hooks"])
        assert (hooks, sh.qdiscs(wire.b)) in ((1, []), (3, ["clsact"])), (call, number)
    assert wire.detach()["gone"]
    assert not sh.qdiscs(wire.b)
    traces.nothing_new()


@pytest.mark.parametrize("options", [("--hook", "xdp"), ("--hook", "tc-ingress", "--mode", "clsact")])
def test_a_further_hook_whose_attach_was_killed_can_be_attached_again(wire, traces, options):
    wire.attach(DROP, "--hook", "tc-egress")
    before = pins(wire)
    where = points(wire, "attach", "b0", *options, every=("LINK_CREATE", "OBJ_PIN", "sendto"))
    clean = pins(wire), sh.qdiscs(wire.b)
    seen = set()
    for turn, (call, number) in enumerate(where[-9:]):
        wire.detach("--hook", options[1])
        assert "progs/" + options[1] not in pins(wire)
        killed(wire, call, number, "attach", "b0", *options)
        if turn % 2:
            seen |= set(fsck(wire, "--repair"))
            assert not fsck(wire), (call, number)
            hooks = [one["hook"] for one in sh.shunt("show", "b0", ns=wire.b)["hooks"]]
            assert options[1] in hooks or not sh.qdiscs(wire.b), (call, number)
        done = sh.run("attach", "b0", *options, ns=wire.b)
        assert done.code == 0 or "is already attached there" in done.error, (call, number, done)
        assert (pins(wire), sh.qdiscs(wire.b)) == clean, (call, number)
    assert "hook-unrecorded" in seen
    assert set(before) <= set(pins(wire))
    assert wire.detach()["gone"]
    assert not sh.qdiscs(wire.b)
    traces.nothing_new()


def test_a_detach_of_one_hook_that_was_killed_is_struck_off(wire, traces):
    wire.attach(DROP, *ALL)
    where = points(wire, "detach", "b0", "--hook", "tc-ingress")
    seen = set()
    for call, number in where:
        wire.attach(None, "--hook", "tc-ingress")
        killed(wire, call, number, "detach", "b0", "--hook", "tc-ingress")
        seen |= set(fsck(wire, "--repair"))
        assert not fsck(wire), (call, number)
        hooks = {one["hook"] for one in sh.shunt("show", "b0", ns=wire.b)["hooks"]}
        assert hooks >= {"xdp", "tc-egress"}
        if "tc-ingress" in hooks:
            wire.detach("--hook", "tc-ingress")
    assert "hook-lost" in seen
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_a_killed_apply_is_found_and_finished(wire, traces):
    policy = {**NEW, "rules": [{"name": "slow", "match": {"proto": "icmp"}, "action": "pass",
                                "limit": {"packets": 9, "per": "source"}}, *NEW["rules"]]}
    paths = [wire.policy(OLD, "old.json"), wire.policy(policy, "new.json")]
    wire.attach(OLD)
    where = points(wire, "apply", "b0", "-p", paths[1], every=("OBJ_PIN", "rename", "UPDATE"))
    clean = pins(wire)
    seen = set()
    for call, number in where:
        wire.apply(OLD)
        killed(wire, call, number, "apply", "b0", "-p", paths[1])
        before = snapshot(wire)
        found = fsck(wire)
        now = snapshot(wire)
        assert now == before, (call, number)
        assert sorted(fsck(wire, "--repair")) == sorted(found)
        assert not fsck(wire), (call, number)
        assert pins(wire) == clean, (call, number)
        seen |= set(found)
        wire.stats().balances()
    assert {"staged-record", "staged-program", "unused-set", "unused-limit", "idle-image"} <= seen
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_an_apply_killed_in_growing_is_found(wire, traces):
    rules = [{"name": "r%d" % n, "match": {"proto": "udp", "dport": n + 1}, "action": "drop"}
             for n in range(3000)]
    path = wire.policy({"rules": rules}, "large.json")
    wire.attach({})
    where = points(wire, "apply", "b0", "-p", path, every=("OBJ_PIN", "LINK_UPDATE", "rename"))
    seen = set()
    for call, number in where[-28::2]:
        wire.detach()
        wire.attach({})
        killed(wire, call, number, "apply", "b0", "-p", path)
        found = fsck(wire, "--repair")
        seen |= set(found)
        # a larger map that no program uses yet waits for the next apply
        assert {what for what in found if not found[what]["repaired"]} <= {"staged-image"}
        wire.apply({"rules": rules})
        assert not fsck(wire), (call, number)
    assert "staged-image" in seen
    wire.detach()
    traces.nothing_new()


def test_the_ring_of_a_killed_reader_is_taken_away(wire):
    wire.attach({"rules": [{"name": "all", "action": "pass", "sample": {"one_in": 1}}]})
    reader = wire.b.start(sh.BINARY, "run", "sample", "b0", "--netns", wire.b.name, "--json")
    sh.wait(lambda: wire.a.ping(B4) and reader.lines, "a sample")
    assert not fsck(wire)
    reader.end(signal.SIGKILL)
    heals(wire, "dead-ring")
    assert not fsck(wire)


# --- the clsact qdisc ---------------------------------------------------------------------

def test_a_qdisc_that_was_there_before_stays_after_a_killed_attach(wire, traces):
    path, options = wire.policy(DROP), ("--hook", "tc-ingress", "--mode", "clsact")
    wire.b.run("tc", "qdisc", "add", "dev", "b0", "clsact")
    where = points(wire, "attach", "b0", "-p", path, *options, every=("sendto",))
    wire.detach()
    for call, number in where[-8:]:
        killed(wire, call, number, "attach", "b0", "-p", path, *options)
        sh.run("detach", "b0", ns=wire.b)
        assert sh.qdiscs(wire.b) == ["clsact"], (call, number)
    traces.nothing_new()


# --- interfaces that come, go and are renamed ---------------------------------------------

def rename(ns, old, new):
    ns.ip("link set %s down" % old, "link set %s name %s" % (old, new), "link set %s up" % new)


def test_a_renamed_interface_is_found_under_its_new_name(wire, traces):
    wire.attach(OLD, *ALL)
    rename(wire.b, "b0", "c0")
    assert sh.shunt("show", "c0", ns=wire.b)["state"] == "attached"
    words = sh.refused("show", "b0", ns=wire.b)
    assert words == "b0, which Shunt is attached to, is called c0 now: say that name"
    found = heals(wire, "renamed", interface="c0")
    assert "is called c0 now" in found["renamed"]["why"]
    assert not os.path.exists(folder(wire)) and os.path.isdir(folder(wire, "c0"))
    reply = sh.shunt("show", "c0", ns=wire.b)
    assert (reply["interface"], reply["netns"]) == ("c0", wire.b.name)
    assert not fsck(wire, interface="c0")
    assert wire.detach(interface="c0")["gone"]
    traces.nothing_new()


@pytest.mark.parametrize("hook", [("--hook", "xdp"), ("--hook", "tc-ingress", "--mode", "clsact")])
def test_a_writing_command_follows_a_renamed_interface(wire, traces, hook):
    wire.attach(OLD, *hook)
    rename(wire.b, "b0", "c0")
    assert wire.apply(NEW, "c0")["generation"] == 2
    assert not fsck(wire, interface="c0")
    assert wire.detach(interface="c0")["gone"]
    traces.nothing_new()


def test_a_command_on_the_old_name_moves_the_instance_and_says_so(wire, traces):
    wire.attach(OLD)
    rename(wire.b, "b0", "c0")
    assert "is called c0 now" in sh.refused("apply", "b0", "-p", wire.policy(NEW), ns=wire.b)
    assert os.path.isdir(folder(wire, "c0")) and not os.path.isdir(folder(wire))
    # a new device may have the name, which is nobody's now
    wire.b.ip("link add b0 type veth peer b1")
    assert wire.attach(DROP)["generation"] == 1
    assert sh.shunt("show", "c0", ns=wire.b)["generation"] == 1
    for interface in ("b0", "c0"):
        assert not fsck(wire, interface=interface)
        assert wire.detach(interface=interface)["gone"]
    traces.nothing_new()


def test_an_attach_to_a_new_device_does_not_take_a_renamed_one_for_it(wire, traces):
    wire.attach(OLD)
    rename(wire.b, "b0", "c0")
    wire.b.ip("link add b0 type veth peer b1")
    assert wire.attach(DROP)["warnings"] == []
    assert [len(sh.shunt("show", name, ns=wire.b)["rules"]) for name in ("b0", "c0")] \
        == [0, len(OLD["rules"])]
    for interface in ("b0", "c0"):
        assert wire.detach(interface=interface)["gone"]
    traces.nothing_new()


def test_two_interfaces_that_swap_their_names_keep_their_policies(wire, traces):
    wire.b.ip("link add c0 type veth peer c1", "link set c0 up")
    wire.attach({"rules": [{"name": "of-b", "action": "count"}]})
    wire.attach({"rules": [{"name": "of-c", "action": "count"}]}, interface="c0")
    rename(wire.b, "b0", "tmp")
    rename(wire.b, "c0", "b0")
    rename(wire.b, "tmp", "c0")
    assert "renamed" in fsck(wire, "--repair")
    for name, rule in (("b0", "of-c"), ("c0", "of-b")):
        fsck(wire, "--repair", interface=name)
        assert not fsck(wire, interface=name)
        show = sh.shunt("show", name, ns=wire.b)
        assert [one["name"] for one in show["rules"]] == [rule] and show["interface"] == name
    for interface in ("b0", "c0"):
        assert wire.detach(interface=interface)["gone"]
    traces.nothing_new()


def test_a_repair_of_a_name_may_be_killed(wire, traces):
    wire.attach(OLD)
    where = None
    for turn in range(5):
        names = ("b0", "c0") if turn % 2 == 0 else ("c0", "b0")
        rename(wire.b, *names)
        if not where:
            where = points(wire, "fsck", names[1], "--repair")
            where = [one for one in where if one[0] in ("rename", "unlink") or one == where[-1]]
            # renameat2 is of no name that strace was told above
            continue
        killed(wire, *where[turn % len(where)], "fsck", names[1], "--repair")
        fsck(wire, "--repair", interface=names[1])
        assert not fsck(wire, interface=names[1])
        assert sh.shunt("show", names[1], ns=wire.b)["interface"] == names[1]
    assert wire.detach(interface=names[1])["gone"]
    traces.nothing_new()


def test_an_interface_in_another_namespace_is_followed(wire, traces):
    wire.attach(OLD, "--hook", "xdp", "--hook", "tc-ingress")
    wire.attach(None, "--hook", "tc-egress", "--mode", "clsact")
    wire.b.ip("link set b0 netns %s" % wire.a.name)
    found = fsck(wire)
    assert sorted(found) == ["hook-lost", "moved"] and "in another network namespace" in \
        found["moved"]["why"]
    assert all(one["repaired"] for one in fsck(wire, "--repair").values())
    assert not os.path.exists(folder(wire)) and os.path.isdir(folder(wire, ns=wire.a))
    assert not fsck(wire, ns=wire.a)
    show = sh.shunt("show", "b0", ns=wire.a)
    assert show["state"] == "attached" and show["netns"] == wire.a.name
    assert [one["hook"] for one in show["hooks"]] == ["xdp", "tc-ingress"]
    assert sh.shunt("detach", "b0", ns=wire.a)["gone"]
    traces.nothing_new()


def test_an_interface_that_is_gone_or_another_now_is_cleared_away(wire, traces):
    wire.attach(OLD, *ALL)
    wire.b.ip("link del b0")
    sh.wait(lambda: "interface-gone" in fsck(wire), "the interface to be gone")
    wire.b.ip("link add b0 type veth peer b1")
    assert "is another, which has no program" in fsck(wire)["interface-gone"]["why"]
    assert all(one["repaired"] for one in fsck(wire, "--repair").values())
    assert not os.path.exists(folder(wire))
    traces.nothing_new()


def test_a_filter_of_a_namespace_that_is_gone_is_stale(traces):
    with sh.Namespace() as ns:
        ns.ip("link add b0 type veth peer b1")
        with sh.tempfile.TemporaryDirectory(prefix="sht-") as place:
            path = os.path.join(place, "p.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"schema": "shunt.policy/1", "default": "drop"}, file)
            sh.shunt("attach", "b0", "-p", path, "--hook", "tc-ingress", "--mode", "clsact", ns=ns)
        name = "ns%d:b0" % ns.cookie
        of = lambda: [one["state"] for one in sh.shunt("list")["instances"]  # noqa: E731
                      if one["instance"] == name]
        assert of() == ["attached"]
        # a namespace lives on without its name, as long as somebody is in it
        sleeper = ns.start("sleep", "100")
        own = os.readlink("/proc/self/ns/net")
        sh.wait(lambda: os.readlink("/proc/%d/ns/net" % sleeper.popen.pid) != own, "it to be in")
        subprocess.run(["ip", "netns", "del", ns.name], check=True)
        assert of() == ["attached"]
        sleeper.end(signal.SIGKILL)
    sh.wait(lambda: of() == ["stale"], "the namespace to be gone")
    found = [one for one in sh.run("fsck").reply["findings"] if one["instance"] == name]
    assert [one["what"] for one in found] == ["namespace-gone"]
    assert name in sh.detach_stale()["removed"]
    traces.nothing_new()


# --- pins, by hand ------------------------------------------------------------------------

@pytest.mark.parametrize("leaf, what", [
    ("maps/gen", "map-unpinned"), ("maps/image", "map-unpinned"), ("maps/counter", "map-unpinned"),
    ("maps/xsk", "map-unpinned"), ("progs/xdp", "hook-unpinned"), ("progs/tc-ingress", "hook-unpinned")])
def test_a_pin_that_was_removed_is_made_anew_and_forwarding_goes_on(wire, traces, leaf, what):
    wire.attach(DROP, "--hook", "xdp")
    wire.attach(None, "--hook", "tc-ingress", "--mode", "clsact")
    clean, ids = pins(wire), sorted(census.belongings(wire.b))
    os.unlink(os.path.join(folder(wire), leaf))
    heals(wire, what)
    assert pins(wire) == clean and sorted(census.belongings(wire.b)) == ids
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    assert not fsck(wire)
    assert wire.stats().balances().hook() == 1
    # the next command does the same
    os.unlink(os.path.join(folder(wire), leaf))
    wire.apply(DROP)
    if leaf != "maps/xsk":
        assert pins(wire) == clean
    assert wire.detach()["gone"]
    assert wire.a.ping(B4) == 1
    traces.nothing_new()


def test_a_link_whose_pin_was_removed_is_lost(wire, traces):
    wire.attach(DROP, "--hook", "xdp", "--hook", "tc-ingress")
    os.unlink(os.path.join(folder(wire), "links/xdp"))
    sh.wait(lambda: "xdp" not in wire.b.link("b0"), "the program to leave")
    heals(wire, "hook-lost")
    assert [one["hook"] for one in sh.shunt("show", "b0", ns=wire.b)["hooks"]] == ["tc-ingress"]
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_pins_that_nobody_knows_are_named_and_left_alone(wire, traces):
    wire.attach(DROP)
    top = folder(wire)
    strange = [os.path.join(top, "maps/of_later"), os.path.join(top, "links/xdp9"),
               os.path.join(top, "note")]
    for path in strange:
        subprocess.run(["bpftool", "map", "create", path, "type", "array", "key", "4", "value", "4",
                        "entries", "1", "name", "other"], check=True)
    for options in ((), ("--repair",)):
        done = sh.run("fsck", "b0", *options, ns=wire.b)
        assert done.code == 1
        assert sorted(one["where"] for one in done.reply["findings"]) == sorted(strange)
        assert {one["what"] for one in done.reply["findings"]} == {"unknown-pin"}
        assert all(os.path.exists(path) for path in strange)
    # with a hook that it does not know, nobody can say that an instance is dead
    wire.b.ip("link del b0")
    sh.wait(lambda: sh.shunt("show", "b0", ns=wire.b)["state"] == "stale", "the interface to go")
    assert fsck(wire, "--repair").keys() == {"unknown-pin"} and os.path.isdir(top)
    assert wire.detach()["gone"]
    traces.nothing_new()


def rewrite_record(wire, old, new):
    """The record, with other words in it."""
    path = os.path.join(folder(wire), "state")
    done = subprocess.run(["bpftool", "-j", "map", "lookup", "pinned", path, "key", "0", "0", "0", "0"],
                          check=True, capture_output=True, text=True)
    text = bytes(int(byte, 16) for byte in json.loads(done.stdout)["value"])
    assert text.count(old) == 1
    text = text.replace(old, new)
    os.unlink(path)
    subprocess.run(["bpftool", "map", "create", path, "type", "array", "key", "4", "value",
                    str(len(text)), "entries", "1", "name", "shunt_state"], check=True)
    subprocess.run(["bpftool", "map", "update", "pinned", path, "key", "0", "0", "0", "0", "value",
                    *map(str, text)], check=True)


@pytest.mark.parametrize("old, new, what, words", [
    (b'"abi":', b'"abi":9', "record-refused", "was written by another version of Shunt"),
    (b'"generation":1', b'"generation":7', "record-astray", "has no record of generation 1")])
def test_a_record_that_is_not_understood_is_left_alone(wire, traces, old, new, what, words):
    wire.attach(DROP)
    rewrite_record(wire, old, new)
    before = snapshot(wire)
    for options in ((), ("--repair",)):
        found = fsck(wire, *options)
        assert list(found) == [what] and words in found[what]["why"]
        assert snapshot(wire) == before
    assert sh.refused("attach", "b0", "-p", wire.policy(DROP), ns=wire.b)
    assert snapshot(wire) == before
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    assert wire.detach()["gone"]
    traces.nothing_new()


def test_maps_of_counters_close_up_when_one_is_lost(wire, traces):
    rules = [{"name": "r%d" % n, "match": {"proto": "udp", "dport": n + 1}, "action": "drop"}
             for n in range(700)]
    pings = {"name": "pings", "match": {"proto": "icmp"}, "action": "pass"}
    wire.attach({"rules": [pings]})
    for many in (200, 700):
        wire.apply({"rules": [pings, *rules[:many]]})
    assert wire.a.ping(B4, 2) == 2
    assert [pin for pin in pins(wire) if "counter" in pin][-1] == "maps/counter2"
    os.unlink(os.path.join(folder(wire), "maps/counter1"))
    heals(wire, "counter-gap")
    assert [pin for pin in pins(wire) if "counter" in pin] == ["maps/counter", "maps/counter1"]
    assert wire.stats().rule("pings") == 2
    os.unlink(os.path.join(folder(wire), "maps/counter"))
    assert wire.apply({"rules": [pings]})["generation"] == 4
    assert [pin for pin in pins(wire) if "counter" in pin] == ["maps/counter"]
    assert not fsck(wire)
    wire.detach()
    traces.nothing_new()


# --- the whole machine, in a mount namespace of our own -----------------------------------

class Mounts:
    """A mount namespace with a bpffs of its own; commands are run inside of it."""

    def __init__(self):
        self.sleeper = sh.Process(["unshare", "-m", "--propagation", "private", "sleep", "1000"])
        own = os.readlink("/proc/self/ns/mnt")
        sh.wait(lambda: os.readlink("/proc/%d/ns/mnt" % self.sleeper.popen.pid) != own,
                "the namespace")
        self.prefix = ["nsenter", "-m", "-t", str(self.sleeper.popen.pid)]
        self.mount()

    def mount(self):
        subprocess.run([*self.prefix, "mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], check=True)

    def umount(self):
        subprocess.run([*self.prefix, "umount", "/sys/fs/bpf"], check=True)

    def fsck(self, *options):
        done = sh.run("fsck", *options, prefix=self.prefix)
        assert done.replies, done
        return done.reply["findings"]

    def close(self):
        self.sleeper.close()


@pytest.fixture
def mounts():
    with sh.contextlib.closing(Mounts()) as made:
        yield made


def of_program(findings, program):
    return [one["what"] for one in findings if "(id %d)" % program in one["where"]]


def test_an_instance_under_another_mount_is_found_and_adopted(wire, mounts):
    inside = {"ns": wire.b, "prefix": mounts.prefix}
    reply = sh.shunt("attach", "b0", "-p", wire.policy(OLD), "--hook", "xdp", **inside)
    program = reply["hooks"][0]["program"]
    assert not of_program(mounts.fsck(), program)
    # another namespace's tree is a tree
    assert not of_program(sh.run("fsck").reply["findings"], program)
    mounts.mount()
    for options in ((), ("--repair",)):
        findings = mounts.fsck(*options)
        assert of_program(findings, program) == ["hidden-instance"]
        (one,) = [one for one in findings if "(id %d)" % program in one["where"]]
        assert "`umount /sys/fs/bpf`" in one["why"]
        assert wire.b.link("b0")["xdp"]["prog"]["id"] == program
    (one,) = [one for one in mounts.fsck("--repair", "--adopt")
              if "(id %d)" % program in one["where"]]
    assert one["repaired"]
    show = sh.shunt("show", "b0", **inside)
    assert show["state"] == "attached" and len(show["rules"]) == len(OLD["rules"])
    assert sh.shunt("apply", "b0", "-p", wire.policy(NEW), **inside)["generation"] == 2
    assert sh.shunt("detach", "b0", **inside)["gone"]
    assert "xdp" not in wire.b.link("b0")


def test_a_hidden_instance_is_taken_off_when_that_is_said(wire, mounts):
    inside = {"ns": wire.b, "prefix": mounts.prefix}
    sh.shunt("attach", "b0", "-p", wire.policy(DROP), "--hook", "xdp", "--hook", "tc-egress",
             **inside)
    reply = sh.shunt("attach", "b0", "--hook", "tc-ingress", "--mode", "clsact", **inside)
    programs = [one["program"] for one in reply["hooks"]]
    mounts.mount()
    findings = mounts.fsck()
    assert [of_program(findings, one) for one in programs] == [["hidden-instance"]] * 3
    mounts.fsck("--repair", "--take-off")
    assert "xdp" not in wire.b.link("b0") and wire.a.ping(B4) == 1
    assert not wire.b.run("tc", "filter", "show", "dev", "b0", "ingress").stdout
    findings = mounts.fsck()
    assert [of_program(findings, one) for one in programs] == [["orphan-program"]] * 3


def test_a_filter_outlives_its_bpffs_and_is_found(wire, mounts, traces):
    inside = {"ns": wire.b, "prefix": mounts.prefix}
    reply = sh.shunt("attach", "b0", "-p", wire.policy(DROP), "--hook", "tc-ingress", "--mode",
                     "clsact", **inside)
    program = reply["hooks"][0]["program"]
    mounts.umount()
    mounts.mount()
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    (one,) = [one for one in mounts.fsck("--repair", "--adopt") if "(id %d)" % program in one["where"]]
    assert one["what"] == "hidden-instance" and not one["repaired"]
    assert "its policy's text" in one["repair"]
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    mounts.fsck("--take-off")
    assert wire.a.ping(B4) == 1
    traces.nothing_new()


def test_locks_and_an_empty_tree_are_cleared_away(wire, mounts):
    lock = os.path.join(sh.LOCKS, "ns%d:gone.lock" % wire.b.cookie)
    os.makedirs(sh.LOCKS, exist_ok=True)
    with open(lock, "w", encoding="ascii"):
        pass
    subprocess.run([*mounts.prefix, "mkdir", "-p", sh.TREE], check=True)
    assert [one["where"] for one in mounts.fsck() if one["what"] == "empty-tree"] == [sh.TREE]
    done = mounts.fsck("--repair")
    assert {"empty-tree", "dead-lock"} <= {one["what"] for one in done if one["repaired"]}
    assert not os.path.exists(lock)
    subprocess.run([*mounts.prefix, "test", "!", "-e", os.path.dirname(sh.TREE)], check=True)


# --- what is not ours ---------------------------------------------------------------------

@pytest.fixture
def namesake(tmp_path):
    """A program called shunt_xdp with a map called shunt_gen, neither of them Shunt's."""
    source = tmp_path / "namesake.c"
    source.write_text('#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n'
                      'struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);'
                      ' __type(key, __u32); __type(value, __u64); } shunt_gen SEC(".maps");\n'
                      'char _license[] SEC("license") = "GPL";\n'
                      'SEC("xdp") int shunt_xdp(void *ctx) { __u32 key = 0; '
                      'return bpf_map_lookup_elem(&shunt_gen, &key) ? 2 : 1; }\n')
    subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-I/usr/include/x86_64-linux-gnu", "-c",
                    source, "-o", source.with_suffix(".o")], check=True)
    return source.with_suffix(".o")


def test_a_program_of_the_same_name_is_not_touched(wire, mounts, namesake):
    wire.b.ip("link set dev b0 xdp obj %s sec xdp" % namesake)
    program = wire.b.link("b0")["xdp"]["prog"]
    assert program["name"] == "shunt_xdp"
    findings = mounts.fsck("--repair", "--adopt", "--take-off")
    assert not of_program(findings, program["id"])
    assert wire.b.link("b0")["xdp"]["prog"] == program
    assert "that is not Shunt's" in sh.refused("attach", "b0", "-p", wire.policy({}), ns=wire.b)
    wire.b.ip("link set dev b0 xdp off")
