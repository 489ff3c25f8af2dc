# SPDX-License-Identifier: BSD-2-Clause
"""Whatever is wrong is said: what, where, why, and what to do; and nothing is left half-done."""
import json
import os
import re

import pytest

import census
import frame as fr
import shunt as sh
from shunt import B4


@pytest.fixture(autouse=True)
def _nothing_is_left(request):
    """Each failure here leaves the kernel as it was."""
    before = census.Traces()
    yield
    if "wire" not in request.fixturenames:
        before.nothing_new()


def faults(wire, text, code=1):
    """The (pointer, message) pairs that attaching under this policy reports."""
    path = wire.policy(text)
    traces = census.Traces()
    done = sh.run("attach", "b0", "-p", path, ns=wire.b)
    assert done.code == code, done
    traces.nothing_new()
    assert "xdp" not in wire.b.link("b0")
    reply = done.reply
    assert reply["schema"] == "shunt.check/1" and not reply["valid"]
    count = len(reply["errors"])
    assert done.error == "%s: %d error%s" % (path, count, "" if count == 1 else "s")
    return [(fault["pointer"], fault["message"]) for fault in reply["errors"]]


def policy(**keys):
    return {"schema": "shunt.policy/1", "default": "drop", **keys}


def limits(count, **keys):
    """As many rules, each with a limit."""
    return [{"name": "r%d" % n, "action": "pass", "limit": {"packets": 1, **keys}} for n in range(count)]


# --- policies -----------------------------------------------------------------------------

@pytest.mark.parametrize("text, where, words", [
    ('{ "schema": "shunt.policy/1",\n  "default": "drop",\n}', "", ":3:1: "),
    ('{ "schema": "shunt.policy/1",\n  "default": drop }', "", ":2:14: "),
    ("", "", ":1:1: "),
    ("[]", "", "must be an object"),
    (policy(rules=7), "/rules", "must be a list"),
    (policy(rules=[{"name": "a", "action": 1}]), "/rules/0/action", "must be"),
    (policy(rulez=[]), "/rulez", 'unknown key "rulez"'),
    (policy(rules=[{"name": "a", "action": "drop", "mach": {}}]), "/rules/0/mach",
     'did you mean "match"'),
    (policy(rules=[{"name": "a", "action": "drop"}, {"name": "a", "action": "pass"}]),
     "/rules/1/name", '"a" is the name of rule 0 already'),
    (policy(sets={"s": {"type": "address", "elements": []}}), "/sets/s/elements", "is empty, so that no packet could match"),
    (policy(sets={"s": {"type": "address", "elements": ["10.0.0.1", "10.0.0.1"]}}),
     "/sets/s/elements/1", '"10.0.0.1" is element 0 already: remove one'),
    (policy(rules=[{"name": "a", "match": {"src": "10.1.2.3/8"}, "action": "drop"}]),
     "/rules/0/match/src", "10.0.0.0/8"),
    (policy(rules=[{"name": "a", "match": {"src": "@s"}, "action": "drop"}]),
     "/rules/0/match/src", '"s"'),
    (policy(rules=[{"name": "a", "action": {"redirect": {"consumer": "c"}}}]),
     "/rules/0/action/redirect/consumer", '"c"'),
    (policy(rules=[{"name": "r%d" % n, "action": "drop"} for n in range(16385)]), "/rules",
     "16385 rules, and a policy holds at most 16384"),
    (policy(rules=limits(4097)), "", "4097 rules with a limit for the whole rule, and there is room for 4096"),
    (policy(rules=limits(33, per="source")), "",
     "33 rules with a limit per source or destination, and there is room for 32"),
    (policy(sets={"s": {"type": "address", "size": 2,
                        "elements": ["10.0.0.%d" % n for n in range(3)]}}),
     "/sets/s/size", "3"),
])
def test_a_wrong_policy_is_refused_with_the_place_of_its_fault(wire, text, where, words):
    (fault,) = faults(wire, json.dumps(text) if isinstance(text, dict) else text)
    assert fault[0] == where and words in fault[1], fault


def test_every_fault_of_a_policy_is_reported_at_once(wire):
    found = faults(wire, json.dumps({
        "schema": "shunt.policy/1", "default": "reject", "sets": {"s": {"type": "net"}},
        "rules": [{"name": "a", "match": {"dport": 70000}, "action": "drop"}, {"name": "b"}]}))
    assert [pointer for pointer, _ in found] == ["/default", "/sets/s/type",
                                                 "/rules/0/match/dport", "/rules/1"]


def test_a_set_file_is_wrong_on_a_line(wire):
    with open(wire.file("blocked.txt"), "w", encoding="ascii") as file:
        file.write("# bad people\n192.0.2.1\n192.0.2.300\n")
    (fault,) = faults(wire, json.dumps(policy(sets={"s": {"type": "address",
                                                          "file": "blocked.txt"}})))
    assert fault[0] == "/sets/s/file"
    assert '/blocked.txt:3: "192.0.2.300" is not an IPv4 or IPv6 address' in fault[1]


def test_a_set_file_that_is_missing_is_said_to_be(wire):
    (fault,) = faults(wire, json.dumps(policy(sets={"s": {"type": "address", "file": "no.txt"}})))
    assert fault[0] == "/sets/s/file"
    assert "no.txt" in fault[1] and "No such file or directory" in fault[1]


def test_a_policy_file_that_is_missing_is_said_to_be(wire):
    done = sh.run("attach", "b0", "-p", "/nowhere/p.json", ns=wire.b)
    assert done.code == 1
    assert done.reply["errors"][0]["message"] == \
        'read policy "/nowhere/p.json": No such file or directory'
    assert sh.run("check", "/proc/self", text=True).code == 1


def test_a_policy_comes_from_standard_input_as_well(wire):
    done = sh.run("attach", "b0", "-p", "-", ns=wire.b, stdin=json.dumps(policy()))
    assert done.code == 0 and done.reply["rules"] == 0
    done = sh.run("apply", "b0", "-p", "-", ns=wire.b, stdin="{")
    assert done.code == 1 and done.reply["errors"][0]["message"].startswith("-:1:2: ")


def test_faults_are_told_to_people_with_file_and_place(wire):
    path = wire.policy('{ "schema": "shunt.policy/1", "default": "drop", "rules": 7 }')
    done = sh.run("check", path, text=True)
    assert done.code == 1 and not done.out
    assert re.search(r"^%s: error at /rules: must be a list" % re.escape(path), done.err, re.M)


# --- sets ---------------------------------------------------------------------------------

def small(wire):
    wire.attach(policy(sets={"few": {"type": "address", "size": 2},
                             "nets": {"type": "prefix", "size": 2}},
                       rules=[{"name": "few", "match": {"src": ["@few", "@nets"]},
                               "action": "drop"}]))
    return lambda *words: sh.refused("set", *words, ns=wire.b)


@pytest.mark.parametrize("name, elements", [
    ("few", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    ("few", ["2001:db8::1", "2001:db8::2", "2001:db8::3"]),
    ("nets", ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"]),
])
def test_a_set_that_is_full_takes_nothing_of_what_it_was_given(wire, name, elements):
    refused = small(wire)
    traces = census.Traces()
    words = refused("add", "b0", name, *elements)
    assert words.startswith("set %s is full: it holds 2 IPv%d members; give it a larger "
                            '"size" in the policy' % (name, 6 if ":" in elements[0] else 4))
    assert sh.shunt("set", "list", "b0", name, ns=wire.b)["elements"] == []
    traces.nothing_new()
    sh.shunt("set", "add", "b0", name, *elements[:2], ns=wire.b)
    traces = census.Traces()
    refused("add", "b0", name, elements[2])
    assert len(sh.shunt("set", "list", "b0", name, ns=wire.b)["elements"]) == 2
    traces.nothing_new()


@pytest.mark.parametrize("arguments, words", [
    (["add", "b0", "fwe", "10.0.0.1"], 'the policy of b0 has no set "fwe": it has few, nets'),
    (["list", "b0", "none"], 'has no set "none"'),
    (["add", "b0", "few", "10.0.0.1", "10.0.0"], 'set few: "10.0.0" is not an IPv4 or IPv6'),
    (["add", "b0", "few", "10.0.0.0/8"],
     'set few holds addresses, and "10.0.0.0/8" is a prefix: a set of "type": "prefix"'),
    (["add", "b0", "nets", "10.1.0.0/8"], "10.0.0.0/8"),
    (["test", "b0", "nets", "10.0.0.0/8"], 'set nets: "10.0.0.0/8" is a prefix, and one address'),
    (["add", "b1", "few", "10.0.0.1"], "nothing of Shunt's is attached to b1, an interface that "
                                       "does not exist in this network namespace"),
])
def test_a_set_command_that_makes_no_sense_changes_nothing(wire, arguments, words):
    assert words in small(wire)(*arguments)
    assert sh.shunt("set", "list", "b0", "few", ns=wire.b)["elements"] == []
    assert sh.shunt("set", "list", "b0", "nets", ns=wire.b)["elements"] == []


# --- the machine --------------------------------------------------------------------------

def test_an_interface_that_is_missing_is_said_to_be(wire):
    words = sh.refused("attach", "b7", "-p", wire.policy({}), ns=wire.b)
    assert words == ("attach b7: there is no such interface in this network namespace; `ip link` "
                     "lists those that there are, --netns NAME names another namespace")


@pytest.mark.parametrize("arguments", [
    ["attach", "b0", "-p", "schemas/examples/valid/minimal.json"], ["list"], ["stats", "b0"],
    ["detach", "b0"], ["set", "add", "b0", "s", "10.0.0.1"], ["run", "count", "b0"]])
def test_without_root_it_is_refused(arguments):
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    words = sh.refused(*arguments, prefix=nobody)
    command = " ".join(arguments[:2]) if arguments[0] in ("set", "run") else arguments[0]
    assert words == "%s needs root, for it works with BPF: run `sudo shunt %s …`" % (command,
                                                                                     command)


def test_checking_needs_no_root():
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    done = sh.run("check", "schemas/examples/valid/minimal.json", prefix=nobody)
    assert done.code == 0 and done.reply["valid"]


def elsewhere(*steps):
    """Runs the command in a mount namespace of its own, after these steps."""
    return ["unshare", "-m", "sh", "-ec", "; ".join([*steps, 'exec "$@"']), "sh"]


@pytest.mark.parametrize("arguments", [["list"], ["show", "b0"], ["detach", "b0"],
                                       ["attach", "b0", "-p"]])
def test_without_bpffs_it_says_how_to_get_one(wire, arguments):
    if arguments[-1] == "-p":
        arguments = [*arguments, wire.policy({})]
    how = {} if arguments == ["list"] else {"ns": wire.b}
    words = sh.refused(*arguments, prefix=elsewhere("umount -l /sys/fs/bpf"), **how)
    assert "/sys/fs/bpf is no bpffs" in words
    assert "`mount -t bpf bpf /sys/fs/bpf`" in words
    assert "xdp" not in wire.b.link("b0")


def test_ip_netns_exec_is_told_apart_and_names_the_option(wire):
    words = sh.refused("attach", "b0", "-p", wire.policy({}),
                       prefix=["ip", "netns", "exec", wire.b.name])
    assert "/sys/fs/bpf is no bpffs in this mount namespace" in words
    assert "Under `ip netns exec` leave that out and say `shunt … --netns NAME`" in words
    assert "xdp" not in wire.b.link("b0")


def test_a_kernel_without_btf_is_said_to_be_one(wire):
    words = sh.refused("attach", "b0", "-p", wire.policy({}), ns=wire.b,
                       prefix=elsewhere("mount -t tmpfs none /sys/kernel/btf"))
    assert words.startswith("this kernel shows no BTF at /sys/kernel/btf/vmlinux")
    assert "CONFIG_DEBUG_INFO_BTF=y" in words
    assert "xdp" not in wire.b.link("b0")


# --- other owners -------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["ip", "ip-generic", "xdp-loader", "link"])
def test_a_foreign_xdp_program_is_named_and_left_alone(wire, foreign, how):
    mode = "generic" if how == "ip-generic" else "native"
    pin = "/sys/fs/bpf/%s" % wire.b.name
    if how == "link":
        wire.b.run("bpftool", "prog", "load", foreign, pin, "type", "xdp")
        wire.b.run("bpftool", "net", "attach", "xdp", "pinned", pin, "dev", "b0")
    elif how == "xdp-loader":
        wire.b.run("xdp-loader", "load", "-m", "native", "b0", foreign, "-s", "xdp")
    else:
        wire.b.run("ip", "link", "set", "dev", "b0", "xdp" + "generic" * (mode == "generic"),
                   "object", foreign, "section", "xdp")
    try:
        before = wire.b.link("b0")["xdp"]
        traces = census.Traces()
        words = sh.refused("attach", "b0", "-p", wire.policy({}), ns=wire.b)
        assert words.startswith("b0 already has an XDP program (%s mode) that is not Shunt's: "
                                % mode)
        program = before["prog"]
        assert '"%s" (id %d), loaded by uid 0 (root)' % (program["name"], program["id"]) in words
        assert words.endswith("It stays: have its owner take it off first")
        if how == "link":
            assert ", pinned at " + pin in words
        for asked in ("generic", "native"):
            assert "already has an XDP program" in sh.refused(
                "attach", "b0", "-p", wire.policy({}), "--mode", asked, ns=wire.b)
        traces.nothing_new()
        assert wire.b.link("b0")["xdp"] == before
        # the other hooks are free, and our leaving does not take it along
        wire.attach({}, "--hook", "tc-ingress")
        assert "already has an XDP program" in sh.refused("attach", "b0", "--hook", "xdp",
                                                          ns=wire.b)
        assert wire.a.ping(B4) == 1
        assert wire.detach()["gone"]
        assert wire.b.link("b0")["xdp"] == before
    finally:
        wire.b.run("xdp-loader", "unload", "-a", "b0", ok=False)
        wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "off", ok=False)
        if os.path.exists(pin):
            os.unlink(pin)


def test_a_program_that_came_in_our_place_is_not_taken_off(wire, foreign):
    """Somebody has torn our link off and attached another program: that one stays."""
    wire.attach({})
    (link,) = [number for kind, number in census.belongings(wire.b) if kind == "link"]
    wire.b.run("bpftool", "link", "detach", "id", link)
    wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "object", foreign, "section", "xdp")
    before = wire.b.link("b0")["xdp"]
    sh.run("detach", "b0", ns=wire.b)
    assert wire.b.link("b0")["xdp"] == before
    wire.b.run("ip", "link", "set", "dev", "b0", "xdp", "off")


# --- packets to explain -------------------------------------------------------------------

POLICY = "schemas/examples/valid/minimal.json"


@pytest.mark.parametrize("options, words", [
    (["-p", POLICY, "--frame", "00:11:2x"], "--frame: 'x' at position 8 is no hex digit"),
    (["-p", POLICY, "--frame", "00112"], "--frame: 5 hex digits make no whole number of bytes"),
    (["-p", POLICY], "explain: what? Name a capture (--pcap FILE) or a frame (--frame HEX)"),
    (["-p", POLICY, "--frame", "00", "--pcap", "x"], "one of them"),
    (["--frame", "00"], "explain: by what? Name an attached interface or a policy (-p FILE)"),
    (["b0", "-p", POLICY, "--frame", "00"], "explain: by what?"),
    (["-p", POLICY, "--frame", "00", "--hook", "xpd"], 'hook "xpd" is unknown: there are xdp,'),
    (["-p", POLICY, "--pcap", "/nowhere"], "--pcap /nowhere: "),
])
def test_an_explanation_needs_a_packet_and_a_policy(options, words):
    assert words in sh.refused("explain", *options)


def test_a_frame_that_no_driver_delivers_has_no_verdict():
    reply = sh.shunt("explain", "-p", POLICY, "--frame", "ffffffffffff 02:00:00:00:00:0a")
    assert reply["verdict"] is None
    assert reply["error"].startswith("shorter than an Ethernet header")


def test_a_capture_of_another_link_type_is_refused(tmp_path):
    path = tmp_path / "raw.pcap"
    fr.write_pcap(path, [fr.ip4(fr.udp())], link=101)
    words = sh.refused("explain", "-p", POLICY, "--pcap", path)
    assert words == ("--pcap %s: its packets are of link type RAW, and Shunt knows Ethernet "
                     "frames only" % path)


def test_a_capture_that_is_cut_is_explained_as_far_as_it_goes(tmp_path):
    path = tmp_path / "cut.pcap"
    fr.write_pcap(path, [fr.eth(fr.ip4(fr.udp()))] * 3)
    os.truncate(path, os.path.getsize(path) - 5)
    done = sh.run("explain", "-p", POLICY, "--pcap", path)
    assert done.code == 1 and [reply["packet"] for reply in done.replies] == [1, 2]
    assert done.error.startswith("--pcap %s, behind packet 2: truncated" % path)
    os.truncate(path, 10)
    assert "--pcap %s: truncated" % path in sh.refused("explain", "-p", POLICY, "--pcap", path)
    path.write_bytes(b"this is no capture at all, only text")
    assert "unknown file format" in sh.refused("explain", "-p", POLICY, "--pcap", path)


def test_explaining_an_interface_that_is_not_attached_is_refused(wire):
    words = sh.refused("explain", "b0", "--frame", "00", ns=wire.b)
    assert "nothing of Shunt's is attached to b0" in words
    wire.attach({}, "--hook", "tc-egress")
    words = sh.refused("explain", "b0", "--frame", "00", "--hook", "xdp", ns=wire.b)
    assert "Shunt is not attached to that hook of b0; `shunt show b0`" in words


@pytest.mark.parametrize("options, words", [
    (["--interval", "0"], '--interval "0" is no time: say 500ms, 10s or 2m, at least 1ms'),
    (["--interval", "fast"], '"fast" is no time'),
    (["--times", "3"], "stats: --times goes with --interval"),
    (["--interval", "1ms", "--times", "-1"], '--times "-1" is no number: say 1 or more'),
])
def test_an_interval_must_make_sense(wire, options, words):
    wire.attach({})
    assert words in sh.refused("stats", "b0", *options, ns=wire.b)


def test_an_answer_that_cannot_be_written_is_a_failure(wire):
    wire.attach({})
    for words in (["show", "b0"], ["show", "b0", "--json"]):
        argv = [sh.BINARY, *words, "--netns", wire.b.name]
        with open("/dev/full", "w", encoding="ascii") as full:
            done = sh.subprocess.run(argv, stdout=full, stderr=sh.subprocess.PIPE, text=True,
                                     check=False)
        assert done.returncode == 1, words
        assert "write the answer: the output is closed or its disk is full" in done.stderr
