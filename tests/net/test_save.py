# SPDX-License-Identifier: BSD-2-Clause
"""save: to the byte and back, files that are whole, namespaces, examples."""
import glob
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

import shunt as sh
from saved import POLICY, attached, bytes_of, edit, listed, members, outcomes, restored
from shunt import A4, B4
from test_apply import killed


EXAMPLES = os.path.join(sh.SCHEMAS, "examples")


@pytest.fixture
def file(tmp_path):
    """Writes a file: its path."""
    def write(text, name="saved.json"):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return str(path)
    return write


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
    assert wire.a.ping(B4, 1, size=200) == 1
    restored(rule)
    assert wire.a.ping(B4) == 1 and wire.a.ping(B4, 1, size=200, seconds=0.05) == 0
    # a member is another state, and is brought back as one
    item = restored(saved)["b0"]
    assert item["outcome"] == "applied" and item["generation"] == 2
    assert wire.a.ping(B4, 1, seconds=0.05) == 0
    stats = wire.stats().balances()
    assert stats.rule("no-echo") == 1 and stats.rule("sets") == 1
    assert restored(rule)["b0"]["outcome"] == "applied"
    assert wire.a.ping(B4) == 1


# --- killed -------------------------------------------------------------------------------------

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
