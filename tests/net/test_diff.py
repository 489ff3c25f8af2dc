# SPDX-License-Identifier: BSD-2-Clause
"""diff: what is written otherwise in two policies, and which packets are treated otherwise."""
import copy
import json

import pytest

import frame as fr
import shunt as sh

BASE = {
    "schema": "shunt.policy/1", "default": "pass",
    "sets": {"bad": {"type": "prefix", "elements": ["203.0.113.0/24"]}},
    "ports": {"web": [80, 443]},
    "consumers": {"tap": {"kind": "ring"}},
    "rules": [
        {"name": "bad", "match": {"src": "@bad"}, "action": "drop"},
        {"name": "web", "match": {"proto": "tcp", "dport": "@web"}, "action": "drop"},
        {"name": "dns", "match": {"proto": "udp", "dport": 53}, "action": "pass"},
        {"name": "tap", "match": {"proto": "sctp"},
         "action": {"redirect": {"consumer": "tap"}}}]}
NOTHING = {"added": [], "removed": [], "changed": []}


@pytest.fixture
def write(tmp_path):
    def put(policy, name):
        path = tmp_path / name
        path.write_text(json.dumps(policy))
        return str(path)
    return put


@pytest.fixture
def diff(write):
    def compare(new, *options, old=None):
        return sh.shunt("diff", write(old or BASE, "old.json"), write(new, "new.json"), *options)
    return compare


def changed(edit):
    """BASE after an edit."""
    policy = copy.deepcopy(BASE)
    edit(policy)
    return policy


def rule(policy, name):
    return next(one for one in policy["rules"] if one["name"] == name)


# --- what is written --------------------------------------------------------------------------

def test_a_policy_does_not_differ_from_itself(diff):
    reply = diff(BASE)
    assert not reply["different"]
    assert reply["policy"] == {"keys": [], "rules": {**NOTHING, "moved": []}, "sets": NOTHING,
                               "ports": NOTHING, "consumers": NOTHING}
    packets = reply["packets"]
    assert packets["from"] == "probes" and packets["compared"] > 60
    assert (packets["otherwise"], packets["other_rule"], packets["groups"]) == (0, 0, [])


def test_words_that_mean_nothing_do_not_differ(write):
    text = json.dumps(BASE)
    old, new = write(BASE, "old.json"), write(BASE, "new.json")
    with open(new, "w", encoding="ascii") as file:
        file.write("// a comment\n" + json.dumps(json.loads(text), indent=2))
    assert not sh.shunt("diff", old, new)["different"]


def test_everything_that_changes_is_named(diff):
    def edit(policy):
        policy["default"] = "drop"
        policy["malformed"] = "pass"
        policy["sets"]["bad"]["elements"] = ["203.0.113.0/24", "198.51.100.0/24", "10.0.0.0/8"]
        policy["sets"]["new"] = {"type": "address", "elements": ["192.0.2.9"]}
        policy["ports"]["web"] = [80]
        policy["consumers"]["tap"]["if_down"] = "drop"
        rule(policy, "web").update(limit={"packets": 10}, match={"dport": "@web", "proto": "tcp",
                                                                 "dst": "192.0.2.0/24"})
        rule(policy, "dns")["action"] = "drop"
        policy["rules"].remove(rule(policy, "bad"))
        policy["rules"].insert(0, {"name": "also", "match": {"src": ["@new", "@bad"]},
                                   "action": "drop"})
        policy["rules"].append(policy["rules"].pop(1))

    reply = diff(changed(edit))
    assert reply["different"]
    policy = reply["policy"]
    assert policy["keys"] == ["default", "malformed"]
    rules = policy["rules"]
    assert (rules["added"], rules["removed"], rules["moved"]) == (["also"], ["bad"], ["web"])
    assert rules["changed"] == [{"name": "dns", "keys": ["action"]},
                                {"name": "web", "keys": ["match.dst", "limit"]}]
    assert policy["sets"] == {"added": ["new"], "removed": [], "changed": [
        {"name": "bad", "keys": ["elements"], "members_added": 2, "members_removed": 0}]}
    assert policy["ports"]["changed"] == [{"name": "web", "keys": ["ports"]}]
    assert policy["consumers"]["changed"] == [{"name": "tap", "keys": ["if_down"]}]


def test_as_few_rules_as_possible_have_moved(diff):
    names = ["r%d" % n for n in range(10)]
    make = lambda order: {"schema": "shunt.policy/1", "default": "pass", "rules": [
        {"name": name, "match": {"proto": "udp", "dport": int(name[1:]) + 1}, "action": "drop"}
        for name in order]}
    reply = diff(make(names[3:8] + names[:3] + names[8:]), old=make(names))
    assert reply["policy"]["rules"]["moved"] == names[:3]
    assert reply["packets"]["otherwise"] == 0 and reply["different"]


def test_a_set_from_a_file_differs_by_its_members(diff, tmp_path):
    path = tmp_path / "members.txt"
    path.write_text("203.0.113.0/24\n192.0.2.7\n")
    reply = diff(changed(lambda policy: policy["sets"].update(
        bad={"type": "prefix", "file": str(path)})))
    assert reply["policy"]["sets"]["changed"] == [
        {"name": "bad", "keys": ["elements", "file"], "members_added": 1, "members_removed": 0}]


# --- what is done ------------------------------------------------------------------------------

PACKETS = ([fr.eth(fr.ip4(fr.tcp(dport=80), fr.TCP))] * 5 +
           [fr.eth(fr.ip4(fr.tcp(dport=443), fr.TCP))] * 3 +
           [fr.eth(fr.ip4(fr.udp(dport=53)))] * 2 +
           [fr.eth(fr.ip4(fr.udp(dport=53), src="203.0.113.9"))] +
           [fr.eth(fr.ip6(fr.udp(dport=7)))] * 4 + [fr.eth(fr.ip4(b"", fr.TCP))])


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "x.pcap"
    fr.write_pcap(path, PACKETS)
    return str(path)


def groups(reply):
    half = lambda one: "malformed" if one["malformed"] else one["rule"]
    return {(half(one["old"]), one["old"]["verdict"], half(one["new"]), one["new"]["verdict"]):
            (one["packets"], one["example"]["packet"]) for one in reply["packets"]["groups"]}


def test_packets_of_a_capture_are_grouped_by_old_and_new_rule(diff, capture):
    def edit(policy):
        policy["ports"]["web"] = [80]
        policy["malformed"] = "pass"
        rule(policy, "dns")["action"] = "drop"
        policy["rules"].insert(0, policy["rules"].pop(2))

    reply = diff(changed(edit), "--pcap", capture)
    packets = reply["packets"]
    assert groups(reply) == {("web", "drop", None, "pass"): (3, 6),
                             ("dns", "pass", "dns", "drop"): (2, 9),
                             ("malformed", "drop", "malformed", "pass"): (1, 16)}
    assert (packets["from"], packets["compared"], packets["otherwise"]) == ("capture", 16, 6)
    assert packets["other_rule"] == 1  # the bad one that dns drops now
    assert [one["packets"] for one in packets["groups"]] == [3, 2, 1]
    example = packets["groups"][0]["example"]
    assert bytes.fromhex(example["frame"]) == PACKETS[5]
    assert example["pkt"]["dport"] == 443


@pytest.mark.parametrize("edit", [
    lambda one: one.update(limit={"packets": 10}),
    lambda one: one.update(sample={"one_in": 10}),
    lambda one: one.update(rewrite={"dscp": 5}),
    lambda one: one.update(mirror="ring"),
    lambda one: one.update(action="drop"),
    lambda one: one.update(action={"redirect": {"consumer": "tap"}}),
])
def test_another_verdict_target_or_modifier_is_treatment(diff, capture, edit):
    reply = diff(changed(lambda policy: edit(rule(policy, "dns"))), "--pcap", capture)
    assert reply["packets"]["otherwise"] == 2
    assert [(one["old"]["rule"], one["new"]["rule"]) for one in reply["packets"]["groups"]] == [
        ("dns", "dns")]


def test_another_name_or_way_to_write_is_not(diff, capture):
    def edit(policy):
        one = rule(policy, "dns")
        one.update(name="resolver", description="for people",
                   match={"dport": "53-53", "proto": 17})

    reply = diff(changed(edit), "--pcap", capture)
    assert reply["different"] and reply["packets"]["otherwise"] == 0
    assert reply["packets"]["other_rule"] == 2


def test_what_another_consumer_does_is_treatment(diff):
    reply = diff(changed(lambda policy: policy["consumers"]["tap"].update(bytes=65536)))
    assert {(one["old"]["rule"], one["new"]["rule"]) for one in reply["packets"]["groups"]} == {
        ("tap", "tap")}


@pytest.mark.parametrize("key, was, now", [
    ("dport", "1000-2000", "1000-1999"), ("dport", "1000-2000", "1001-2000"),
    ("sport", 7, 8), ("src", "192.0.2.0/24", "192.0.2.0/25"), ("dst", "10.0.0.0/9", "10.0.0.0/8"),
    ("src", "2001:db8::/32", "2001:db8::/33"), ("dst", "2001:db8::1", "2001:db8::2"),
    ("dscp", "0-7", "0-6"), ("vlan", 9, 10), ("fragment", "none", "first"),
    ("tcp_flags", "syn", "syn/syn,ack"), ("length", "0-100", "0-99"),
    ("src_mac", "02:00::/16", "02:00:00::/24"), ("eth_type", "ipv4", "ipv6"),
    ("tunnel", {"vni": 5}, {"vni": [5, 6]}),
    ("tunnel", {"inner": {"dst": "10.0.0.0/8"}}, {"inner": {"dst": "10.0.0.0/9"}}),
])
def test_probes_find_a_corner_that_differs(diff, key, was, now):
    def policy(value):
        proto = {} if key in ("tunnel", "eth_type", "vlan") else {"proto": "tcp"}
        return {"schema": "shunt.policy/1", "default": "pass", "rules": [
            {"name": "r", "match": {**proto, key: value}, "action": "drop"}]}

    reply = diff(policy(now), old=policy(was))
    assert reply["packets"]["otherwise"] > 0
    assert set(groups(reply)) <= {("r", "drop", None, "pass"), (None, "pass", "r", "drop")}


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress", "tc-egress"])
def test_every_hook_can_be_asked(diff, hook):
    reply = diff(changed(lambda policy: policy.update(default="drop")), "--hook", hook)
    assert reply["hook"] == hook and reply["packets"]["otherwise"] > 0


# --- an interface as one side -------------------------------------------------------------------

LIVE = {"schema": "shunt.policy/1", "default": "pass",
        "sets": {"live": {"type": "address"}, "own": {"type": "prefix",
                                                      "elements": ["10.0.0.0/8"]}},
        "rules": [{"name": "live", "match": {"src": "@live"}, "action": "drop"},
                  {"name": "own", "match": {"src": "@own"}, "action": "drop"},
                  {"name": "here", "match": {"iface": "b*", "proto": "udp", "dport": 9999},
                   "action": "drop"}]}


def test_the_policy_in_force_is_a_side_with_the_members_that_it_has(wire, capture):
    wire.attach(LIVE)
    sh.shunt("set", "add", "b0", "live", "192.0.2.1", ns=wire.b)
    same = wire.policy(LIVE, "same.json")
    reply = sh.shunt("diff", "@b0", same, ns=wire.b)
    assert not reply["different"] and reply["packets"]["other_rule"] == 0
    # a set that `apply` would not keep loses what was added
    other = copy.deepcopy(LIVE)
    other["sets"]["live"] = {"type": "address", "elements": ["192.0.2.77"]}
    reply = sh.shunt("diff", "@b0", wire.policy(other, "other.json"), "--pcap", capture,
                     ns=wire.b)
    assert reply["policy"]["sets"]["changed"] == [
        {"name": "live", "keys": ["elements"], "members_added": 1, "members_removed": 1}]
    # all IPv4 packets but the one from elsewhere, and the one that is malformed
    assert groups(reply) == {("live", "drop", None, "pass"): (10, 1)}
    # rules with "iface" are tried for it
    less = {**LIVE, "rules": LIVE["rules"][:2]}
    reply = sh.shunt("diff", "@b0", wire.policy(less, "less.json"), ns=wire.b)
    assert set(groups(reply)) == {("here", "drop", None, "pass")}
    reply = sh.shunt("diff", same, wire.policy(less, "less.json"), ns=wire.b)
    assert groups(reply) == {}
    reply = sh.shunt("diff", same, wire.policy(less, "less.json"), "--iface", "b7", ns=wire.b)
    assert set(groups(reply)) == {("here", "drop", None, "pass")}


def test_apply_does_what_diff_has_said(wire, tmp_path):
    new = copy.deepcopy(LIVE)
    new["rules"].insert(0, {"name": "first", "match": {"proto": "udp", "dport": 5000},
                            "action": "drop"})
    wire.attach(LIVE)
    path = tmp_path / "y.pcap"
    fr.write_pcap(path, [fr.eth(fr.ip4(fr.udp(dport=5000))), fr.eth(fr.ip4(fr.udp(dport=5001)))])
    file = wire.policy(new, "new.json")
    reply = sh.shunt("diff", "@b0", file, "--pcap", path, ns=wire.b)
    assert groups(reply) == {(None, "pass", "first", "drop"): (1, 1)}
    told = [one["verdict"] for one in sh.run("explain", "b0", "--pcap", path, ns=wire.b).replies]
    assert told == ["pass", "pass"]
    sh.shunt("apply", "b0", "-p", file, ns=wire.b)
    told = [one["verdict"] for one in sh.run("explain", "b0", "--pcap", path, ns=wire.b).replies]
    assert told == ["drop", "pass"]
    reply = sh.shunt("diff", "@b0", file, "--pcap", path, ns=wire.b)
    assert not reply["different"]


# --- text and faults -----------------------------------------------------------------------------

def test_text_says_it_in_lines(write, capture):
    def edit(policy):
        policy["default"] = "drop"
        rule(policy, "web")["match"]["dport"] = 80

    new = changed(edit)
    done = sh.run("diff", write(BASE, "old.json"), write(new, "new.json"), "--pcap", capture,
                  text=True)
    lines = done.out.splitlines()
    assert lines[:3] == ["policy changed: default", "rule changed: web (match.dport)",
                         "4 of 16 packets are treated otherwise; 3 alike, but by another rule"]
    assert lines[3] == "  4: pass by the default -> drop by the default"
    assert lines[4].startswith("    as packet 12: [2001:db8::1]:4000 > [2001:db8::2]:7 udp")
    assert lines[5] == "    --frame " + PACKETS[11].hex()
    done = sh.run("diff", write(BASE, "old.json"), write(BASE, "new.json"), text=True)
    assert done.code == 0 and done.out.startswith("nothing is different\n0 of ")


def test_faults_are_told(write, wire):
    good = write(BASE, "good.json")
    assert "takes OLD NEW: one is missing" in sh.refused("diff", good, code=2)
    assert "one of them" in sh.refused("diff", "-", "-")
    assert "nothing of Shunt's is attached to b0" in sh.refused("diff", good, "@b0", ns=wire.b)
    assert 'hook "xpd" is unknown' in sh.refused("diff", good, good, "--hook", "xpd")
    assert "--pcap /nowhere: " in sh.refused("diff", good, good, "--pcap", "/nowhere")
    done = sh.run("diff", good, write({"schema": "shunt.policy/1"}, "bad.json"))
    assert done.code == 1 and done.error and not done.replies[0]["valid"]


def test_what_the_kernel_runs_no_program_over_is_counted(diff, tmp_path):
    path = tmp_path / "short.pcap"
    fr.write_pcap(path, [b"\0" * 10, PACKETS[0]])
    packets = diff(BASE, "--pcap", path)["packets"]
    assert (packets["compared"], packets["refused"]) == (1, 1)
