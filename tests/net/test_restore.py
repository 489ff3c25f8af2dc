# SPDX-License-Identifier: BSD-2-Clause
"""restore: over what is there, from what is damaged, killed, and at boot."""
import json
import os
import random
import re
import shlex
import shutil
import subprocess

import pytest

import shunt as sh
from saved import attached, bytes_of, edit, listed, outcomes, pinned, restored
from shunt import A4, B4
from test_apply import killed, points


UNIT = os.path.join(sh.ROOT, "user/cli/shunt@.service.in")


@pytest.fixture
def file(tmp_path):
    """Writes a file: its path."""
    def write(text, name="saved.json"):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return str(path)
    return write


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


def told(wire):
    """What `show` says; the program of xdp may be one that can tell another hook its generation."""
    show = sh.shunt("show", "b0", ns=wire.b)
    return {**show, "hooks": [(hook["hook"], hook["mode"]) for hook in show["hooks"]]}


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
    before = told(wire)
    outcome, error = outcomes(path)["b0"]
    assert outcome == "failed" and "rule out redirects to interface b5, which does not" in error
    assert told(wire) == before


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
    (change("hooks", [{"hook": "xdp", "mode": "tcx", "insisted": True}]), "is not a mode of this hook"),
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
    for call, number in sh.some(where, 10):
        killed(wire, call, number, "restore", path)
        done = sh.run("restore", path)
        assert done.code == 0, (call, number, done)
        assert bytes_of(wire.b) == text, (call, number)
        assert wire.a.ping(B4, 1, size=200, seconds=0.05) == 0
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
    for call, number in sh.some(where, 8):
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
