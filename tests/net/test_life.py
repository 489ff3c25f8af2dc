# SPDX-License-Identifier: BSD-2-Clause
"""From attach to detach: modes and hooks, what survives, what is refused, what is left."""
import glob
import json
import os
import re

import pytest

import census
import kernel
import shunt as sh
from shunt import A4, B4

HOOKS = ("xdp", "tc-ingress", "tc-egress")
TC = kernel.tc_mode()
POLICY = {
    "sets": {"bad": {"type": "prefix", "elements": ["203.0.113.0/24"]},
             "live": {"type": "address"}},
    "consumers": {"tap": {"kind": "xsk", "queues": [0, 3], "if_down": "pass"}},
    "rules": [{"name": "bad", "match": {"src": "@bad"}, "action": "drop"},
              {"name": "pings", "match": {"icmp": "echo-request"}, "action": "count"},
              {"name": "tap", "match": {"proto": "udp", "dport": 9},
               "action": {"redirect": {"consumer": "tap"}}},
              {"name": "live", "match": {"dst": "@live"}, "action": "pass"}],
}


def places(reply):
    return {hook["hook"]: hook["mode"] for hook in reply["hooks"]}


def listed(ns):
    """The entries of `shunt list` that belong to a namespace of ours."""
    return [item for item in sh.shunt("list")["instances"]
            if item["instance"].startswith("ns%d:" % ns.cookie)]


# --- the usual course ---------------------------------------------------------------------

def test_an_interface_is_attached_looked_at_and_detached(wire):
    reply = wire.attach(POLICY)
    assert reply["interface"] == "b0" and reply["netns"] == wire.b.name
    assert reply["generation"] == 1 and reply["rules"] == 4 and not reply["warnings"]
    assert places(reply) == {"xdp": "native"}
    program = wire.b.link("b0")["xdp"]["prog"]
    assert (program["id"], program["name"]) == (reply["hooks"][0]["program"], "shunt_xdp")

    (item,) = listed(wire.b)
    assert item["state"] == "attached" and item["interface"] == "b0"
    assert item["netns"] == wire.b.name and item["rules"] == 4
    assert item["ifindex"] == wire.b.link("b0")["ifindex"]

    show = sh.shunt("show", "b0", ns=wire.b)
    assert [rule["name"] for rule in show["rules"]] == ["bad", "pings", "tap", "live"]
    assert [rule["action"] for rule in show["rules"]] == ["drop", "count", "redirect-consumer",
                                                          "pass"]
    assert show["rules"][2]["target"] == "tap"
    assert show["default"] == "pass" and show["malformed"] == "drop"
    assert [(one["name"], one["type"], one["members"], one["dynamic"]) for one in show["sets"]] \
        == [("bad", "prefix", 1, False), ("live", "address", 0, True)]
    assert show["consumers"] == [{"name": "tap", "kind": "xsk", "if_down": "pass",
                                  "heartbeat_ms": 1000, "queues": [0, 3]}]
    with open(wire.file("policy.json"), encoding="utf-8") as file:
        assert show["policy"] == file.read()

    assert wire.a.ping(B4, 3) == 3
    stats = wire.stats().balances()
    assert stats.rule("pings") == stats.rule("default") == stats.hook() == 3

    reply = wire.detach()
    assert reply["detached"] == ["xdp"] and reply["gone"]
    assert not listed(wire.b)
    assert "xdp" not in wire.b.link("b0")
    assert wire.a.ping(B4) == 1
    assert "nothing of Shunt's is attached to b0" in sh.refused("stats", "b0", ns=wire.b)


def test_showing_a_consumer_of_a_ring_buffer_tells_its_size(wire):
    wire.attach({"consumers": {"log": {"kind": "ring", "bytes": 8192}},
                 "rules": [{"name": "log", "action": {"redirect": {"consumer": "log"}}}]})
    assert sh.shunt("show", "b0", ns=wire.b)["consumers"] == [
        {"name": "log", "kind": "ring", "if_down": "drop", "heartbeat_ms": 1000,
         "bytes": 8192}]


def test_text_says_the_same_as_json(wire):
    path = wire.policy(POLICY)
    text = lambda *args: sh.run(*args, ns=wire.b, text=True)  # noqa: E731
    done = text("attach", "b0", "-p", path)
    assert done.out == "attached b0 (xdp native), 4 rules, generation 1\n" and not done.err
    assert wire.a.ping(B4, 2) == 2
    assert re.search(r"^b0 in %s: attached \(xdp native\), 4 rules, generation 1 of "
                     % re.escape(wire.b.name), sh.run("list", text=True).out, re.M)
    shown = text("show", "b0").out
    for line in (r"rule +bad +drop$", r"rule +tap +redirect-consumer tap$", r"default +pass$",
                 r"set +bad +prefix, 1 members, room for 1024$", r"consumer +tap +xsk, if down: pass$"):
        assert re.search(line, shown, re.M), shown
    assert re.search(r"^ +pings +count +2 +196$", text("stats", "b0").out, re.M)
    assert re.search(r"pings +count +2 +196 +0/s$",
                     text("stats", "b0", "--interval", "10ms", "--times", "2").out, re.M)
    done = text("apply", "b0", "-p", wire.policy({"rules": POLICY["rules"][1:2]}))
    assert done.out == ("applied to b0: generation 1 to 2, 1 rules (1 kept, 0 added, 3 "
                        "removed)\n")
    assert text("detach", "b0").out == "detached b0\n"


def holders(kinds):
    """Processes that hold programs, maps or links: [(pid, kind, id)] of those in kinds."""
    found = []
    for path in glob.glob("/proc/[0-9]*/fdinfo/*"):
        try:
            with open(path, encoding="ascii") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue  # it has ended meanwhile
        held = re.findall(r"^(prog|map|link)_id:\s*(\d+)", text, re.M)
        found += [(path.split("/")[2], kind, int(number)) for kind, number in held
                  if (kind, int(number)) in kinds]
    return found


def test_the_policy_rules_without_any_process_of_shunt(wire):
    hooks = wire.attach({"rules": [
        {"name": "no-ping", "match": {"proto": "icmp"}, "action": "drop"}]},
        "--hook", "xdp", "--hook", "tc-ingress")["hooks"]
    ours = set(census.belongings(wire.b))
    assert {("prog", hook["program"]) for hook in hooks} < ours
    assert {kind for kind, _ in ours} == {"prog", "map", "link"}
    # nobody holds any of it, be it a child of ours or not, nor does it wait to be undone
    assert not holders(ours)
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    assert wire.stats().rule("no-ping") == 2
    assert set(census.belongings(wire.b)) == ours
    # what changes it leaves nobody behind either
    wire.apply({"rules": [{"name": "no-ping", "match": {"proto": "icmp", "length": "0-9000"},
                           "action": "drop"}]})
    ours = set(census.belongings(wire.b))
    assert not holders(ours)
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    assert wire.stats().rule("no-ping") == 4


def charged(wire):
    """Bytes that the kernel charges for the maps of the instance, by name."""
    found = {}
    for (kind, _), item in census.belongings(wire.b).items():
        if kind == "map":
            found[item["name"]] = found.get(item["name"], 0) + item["bytes_memlock"]
    return found


@pytest.mark.skipif(not kernel.tells_charges(), reason="no charges of maps before Linux 6.4")
@pytest.mark.parametrize("members, rules", [(0, 1), (60000, 2), (3000, 250)])
def test_check_reckons_the_memory_that_is_charged(wire, members, rules):
    some = ["10.%d.%d.%d" % (number >> 12, number >> 4 & 255, number & 15)
            for number in range(members)]
    policy = {"sets": {"s": {"type": "address", "elements": some}} if members else {}, "rules": [
        {"name": "r%d" % number, "match": {"src": "@s" if members else A4, "sport": number + 1},
         "action": "drop"} for number in range(rules)]}
    memory = sh.shunt("check", wire.policy(policy))["memory"]
    wire.attach(policy)
    maps = charged(wire)
    assert abs(maps["shunt_image"] - memory["image"]) <= 8192
    assert abs(maps["shunt_counter"] - memory["counters"]) <= 1024
    own = sum(maps.values()) - maps["shunt_image"] - maps["shunt_counter"]
    assert maps["shunt_state"] <= memory["record"] + 4096
    assert 0 <= own - memory["sets"] - maps["shunt_state"] <= 1 << 20, (maps, memory)
    assert (memory["sets"] > 8 * members) if members else memory["sets"] == 0
    # one that fits into what there is takes no more than that
    wire.apply({"rules": []})
    assert charged(wire)["shunt_image"] == maps["shunt_image"]


def test_a_small_policy_takes_little_memory(wire):
    wire.attach({})
    # the seats of 16 consumers, which the programs look at, are 130 KiB of it
    assert sum(charged(wire).values()) < 5 << 18


def test_check_says_what_a_hook_cannot_do(wire):
    path = wire.policy({**POLICY, "rules": POLICY["rules"] + [{"name": "back", "action": "tx"}]})
    tap = ("rule tap: %s cannot redirect into the sockets of consumer tap, only XDP can: it gets "
           "its packets from there by a ring buffer")
    back = "rule back: tc-egress cannot do tx: its packets pass there"
    reply = sh.shunt("check", path)
    cannot = {item["hook"]: [(one["pointer"], one["message"]) for one in item["cannot"]]
              for item in reply["hooks"]}
    assert cannot == {"xdp": [], "tc-ingress": [("/rules/2/action", tap % "tc-ingress")],
                      "tc-egress": [("/rules/2/action", tap % "tc-egress"),
                                    ("/rules/4/action", back)],
                      "netfilter": [("/rules/2/action", tap % "netfilter"),
                                    ("/rules/4/action", back.replace("tc-egress", "netfilter"))]}
    assert reply["features"] == ["vectors", "sets", "count", "ring", "heartbeat"]
    done = sh.run("check", path, "--hook", "tc-egress", text=True)
    assert done.code == 0
    assert done.err.splitlines() == ["%s: warning at /rules/2/action: %s" % (path,
                                                                             tap % "tc-egress"),
                                     "%s: warning at /rules/4/action: %s" % (path, back)]
    assert "features: vectors sets count ring heartbeat\n" in done.out and "memory: " in done.out
    assert 'hook "xpd" is unknown' in sh.refused("check", path, "--hook", "xpd")


def test_statistics_come_again_and_again(wire):
    wire.attach({})
    argv = [sh.BINARY, "stats", "b0", "--netns", wire.b.name, "--json", "--interval", "20ms"]
    with sh.contextlib.closing(sh.Process(argv)) as process:
        sh.wait(lambda: len(process.lines) >= 2, "two replies")
        assert wire.a.ping(B4, 2) == 2
        sh.wait(lambda: process.replies()[-1]["default"]["packets"] == 2, "the pings in a reply")
        assert process.end(sh.signal.SIGINT) == 0


# --- again, and on other hooks ------------------------------------------------------------

def test_a_second_attach_says_what_to_use_instead(wire):
    wire.attach(POLICY)
    before = sh.shunt("show", "b0", ns=wire.b)
    words = sh.refused("attach", "b0", "-p", wire.policy(POLICY), ns=wire.b)
    assert words == ("attach b0: Shunt is already attached there (hook xdp, generation 1): "
                     "`shunt apply b0 -p FILE` changes its policy, `shunt detach b0` takes it "
                     "off")
    assert sh.shunt("show", "b0", ns=wire.b) == before


def test_a_first_attach_needs_a_policy(wire):
    words = sh.refused("attach", "b0", ns=wire.b)
    assert "nothing is attached there yet, so a policy is needed: -p FILE" in words


def test_another_hook_joins_and_shares_the_policy(wire):
    wire.attach(POLICY)
    reply = wire.attach(None, "--hook", "tc-ingress")
    assert places(reply) == {"xdp": "native", "tc-ingress": TC}
    assert reply["generation"] == 1
    assert reply["warnings"] == [
        *kernel.fallbacks("tc-ingress"), "rule tap: tc-ingress cannot redirect into the sockets "
        "of consumer tap, only XDP can: it gets its packets from there by a ring buffer"]
    # the same policy once more is no other policy
    reply = wire.attach(POLICY, "--hook", "tc-egress")
    assert places(reply) == {"xdp": "native", "tc-ingress": TC, "tc-egress": TC}
    assert wire.a.ping(B4, 5) == 5
    stats = wire.stats().balances()
    assert [stats.hook(hook) for hook in HOOKS] == [5, 5, 5]
    # requests come in by two hooks; what goes out are replies
    assert stats.rule("pings") == 10
    # one apply is in force in all of them
    wire.apply({"rules": [{"name": "all", "action": "count"}]})
    assert wire.a.ping(B4, 1) == 1
    assert wire.stats().rule("all") == 3


def test_another_hook_does_not_bring_another_policy(wire):
    wire.attach(POLICY)
    path = wire.policy({"default": "drop"}, "other.json")
    words = sh.refused("attach", "b0", "--hook", "tc-ingress", "-p", path, ns=wire.b)
    assert "under another policy, which all its hooks share: leave out -p" in words
    assert places(sh.shunt("show", "b0", ns=wire.b)) == {"xdp": "native"}


def test_several_hooks_are_attached_at_once_and_leave_one_by_one(wire, traces):
    reply = wire.attach({}, "--hook", "xdp", "--hook", "tc-ingress", "--hook", "tc-egress")
    assert places(reply) == {"xdp": "native", "tc-ingress": TC, "tc-egress": TC}
    reply = wire.detach("--hook", "xdp")
    assert reply["detached"] == ["xdp"] and not reply["gone"]
    assert places(sh.shunt("show", "b0", ns=wire.b)) == {"tc-ingress": TC, "tc-egress": TC}
    assert "xdp" not in wire.b.link("b0")
    words = sh.refused("detach", "b0", "--hook", "xdp", ns=wire.b)
    assert "not attached to its hook xdp; `shunt show b0`" in words
    assert wire.a.ping(B4, 2) == 2
    assert wire.stats().hook("tc-egress") == 2
    # the hook that has left can come back
    assert set(places(wire.attach(None, "--hook", "xdp"))) == set(HOOKS)
    for hook in ("xdp", "tc-egress"):
        assert not wire.detach("--hook", hook)["gone"]
    assert wire.detach("--hook", "tc-ingress")["gone"]
    traces.nothing_new()


# --- modes --------------------------------------------------------------------------------

@pytest.mark.parametrize("hook, asked, mode", [
    ("xdp", "auto", "native"), ("xdp", "native", "native"), ("xdp", "generic", "generic"),
    *[(hook, asked, TC if asked == "auto" else asked) for hook in HOOKS[1:]
      for asked in dict.fromkeys(["auto", TC, "clsact"])],
])
def test_a_mode_does_what_it_says_and_leaves_nothing(wire, traces, hook, asked, mode):
    policy = {"rules": [{"name": "icmp", "match": {"proto": "icmp"}, "action": "drop"}]}
    reply = wire.attach(policy, "--hook", hook, "--mode", asked)
    assert places(reply) == {hook: mode}
    assert reply["warnings"] == (kernel.fallbacks(hook) if hook != "xdp" and asked == "auto"
                                 else [])
    if hook == "xdp":
        assert wire.b.link("b0")["xdp"]["mode"] == {"native": 1, "generic": 2}[mode]
    assert sh.qdiscs(wire.b) == (["clsact"] if mode == "clsact" else [])
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    stats = wire.stats().balances()
    assert stats.rule("icmp") == stats.hook(hook) == 2
    assert wire.detach()["gone"]
    assert wire.a.ping(B4, 2) == 2
    assert sh.qdiscs(wire.b) == []
    traces.nothing_new()


def test_the_fallback_to_generic_mode_is_reported(wire):
    wire.b.ip("link add br0 type bridge", "link set br0 up")
    path = wire.policy({})
    words = sh.refused("attach", "br0", "-p", path, "--mode", "native", ns=wire.b)
    assert "br0 does not take an XDP program in native mode" in words
    assert "`--mode generic` works on every interface" in words
    reply = wire.attach({}, interface="br0")
    assert places(reply) == {"xdp": "generic"}
    (warning,) = reply["warnings"]
    assert "br0 does not take an XDP program in native mode" in warning
    assert "generic mode is used" in warning
    assert wire.detach(interface="br0")["gone"]
    done = sh.run("attach", "br0", "-p", path, ns=wire.b, text=True)
    assert done.err.startswith("shunt: warning: br0 does not take") and "xdp generic" in done.out


@pytest.mark.parametrize("options, words", [
    (["--hook", "xpd"], 'hook "xpd" is unknown: there are xdp, tc-ingress, tc-egress and netfilter'),
    (["--mode", "nativ"], 'mode "nativ" does not fit the hook: xdp knows auto, native and generic'),
    (["--mode", "tcx"], 'mode "tcx" does not fit the hook'),
    (["--mode", "native", "--hook", "tc-ingress"], "tc knows auto, tcx and clsact"),
    (["--mode", "tcx", "--hook", "netfilter"], "netfilter knows auto and link"),
])
def test_an_unknown_hook_or_mode_is_refused(wire, options, words):
    path = wire.policy({})
    assert words in sh.refused("attach", "b0", "-p", path, *options, ns=wire.b)
    assert not listed(wire.b)


# --- names --------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["b0.100", "b..0", "wan-1_x+", "fifteen-bytes-n"])
def test_an_interface_may_have_any_name(wire, name):
    wire.b.ip("link set b0 down", "link set b0 name %s" % name, "link set %s up" % name,
              "neigh replace %s lladdr 02:00:00:00:00:0a dev %s nud permanent" % (A4, name))
    assert wire.attach({}, interface=name)["interface"] == name
    (item,) = listed(wire.b)
    assert item["interface"] == name == sh.decode(item["instance"])
    assert "." not in item["instance"]  # bpffs takes no dots
    assert wire.a.ping(B4) == 1
    assert wire.stats(name).hook() == 1
    assert wire.detach(interface=name)["gone"]


@pytest.mark.parametrize("name", ["", "sixteen-bytes-na", "a/b", ".."])
def test_what_cannot_be_an_interface_is_refused(wire, name):
    words = sh.refused("attach", name, "-p", wire.policy({}), ns=wire.b)
    assert "attach %s: there is no such interface" % name in words or "a name has 1 to 15" in words
    words = sh.refused("show", name, ns=wire.b)
    assert "nothing of Shunt's is attached to" in words or "a name has 1 to 15 bytes" in words


def test_the_same_name_in_two_namespaces_is_two_interfaces(wire):
    """Root may not look at process 1 in a sandbox; the namespaces differ all the same."""
    wire.a.ip("link add b0 type veth peer b1")
    wire.attach({"rules": [{"name": "one", "action": "count"}]})
    sh.shunt("attach", "b0", "-p", wire.policy({"rules": []}), ns=wire.a)
    assert [item["rules"] for item in listed(wire.b)] == [1]
    assert [item["rules"] for item in listed(wire.a)] == [0]
    sh.shunt("detach", "b0", ns=wire.a)
    assert [item["state"] for item in listed(wire.b)] == ["attached"]


def test_a_namespace_is_named_by_path_or_entered_before(wire):
    path = wire.policy({})
    reply = sh.shunt("attach", "b0", "-p", path, "--netns", wire.b.path)
    assert reply["netns"] == wire.b.path
    inside = sh.shunt("show", "b0", prefix=wire.b.argv())
    assert inside["netns"] == wire.b.path
    assert sh.shunt("show", "b0", ns=wire.b) == inside
    wire.detach()
    reply = sh.shunt("attach", "b0", "-p", path, prefix=wire.b.argv())
    assert reply["netns"] is None
    assert wire.detach()["netns"] is None


def test_a_namespace_that_is_missing_is_said_to_be():
    words = sh.refused("show", "b0", "--netns", "sht-nowhere")
    assert words == ("enter network namespace sht-nowhere: /run/netns/sht-nowhere: No such file "
                     "or directory; `ip netns list` shows those that have a name")


# --- interfaces that go -------------------------------------------------------------------

def test_a_deleted_interface_is_stale_until_it_is_cleaned_up(wire, traces):
    wire.attach({"default": "pass"}, "--hook", "xdp", "--hook", "tc-egress")
    (name,) = [item["instance"] for item in listed(wire.b)]
    wire.b.ip("link del b0")
    sh.wait(lambda: [item["state"] for item in listed(wire.b)] == ["stale"], "list to say stale")
    assert sh.shunt("show", "b0", ns=wire.b)["state"] == "stale"
    assert name in sh.detach_stale()["removed"]
    assert not listed(wire.b)
    traces.nothing_new()


def test_a_new_interface_of_the_same_name_is_attached_over_stale_traces(wire, traces):
    wire.attach({"rules": [{"name": "old", "action": "count"}]})
    wire.b.ip("link del b0", "link add b0 type veth peer b1", "link set b0 up")
    reply = wire.attach({"rules": [{"name": "new", "action": "count"}]})
    (warning,) = reply["warnings"]
    assert warning.startswith("removed what an earlier b0")
    assert reply["generation"] == 1
    assert [rule["name"] for rule in wire.stats()["rules"]] == ["new"]
    assert [item["state"] for item in listed(wire.b)] == ["attached"]
    wire.detach()
    traces.nothing_new()


def test_clean_up_leaves_alone_what_is_attached(wire):
    wire.attach({})
    assert not [name for name in sh.detach_stale()["removed"]
                if name.startswith("ns%d:" % wire.b.cookie)]
    assert [item["state"] for item in listed(wire.b)] == ["attached"]


def test_a_namespace_that_is_gone_leaves_stale_traces(traces):
    with sh.Namespace() as ns:
        ns.ip("link add b0 type veth peer b1")
        with sh.tempfile.TemporaryDirectory(prefix="sht-") as folder:
            path = os.path.join(folder, "p.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"schema": "shunt.policy/1", "default": "drop"}, file)
            sh.shunt("attach", "b0", "-p", path, "--hook", "tc-ingress", "--hook", "xdp", ns=ns)
        cookie = ns.cookie
    name = "ns%d:b0" % cookie
    sh.wait(lambda: [item["state"] for item in sh.shunt("list")["instances"]
                     if item["instance"] == name] == ["stale"], "the namespace to be gone")
    assert name in sh.detach_stale()["removed"]
    traces.nothing_new()


def test_detach_needs_one_interface_or_stale(wire):
    words = "detach: name one interface, or --stale for those that are gone"
    assert sh.refused("detach") == words
    assert sh.refused("detach", "b0", "--stale", ns=wire.b) == words


# --- what is left -------------------------------------------------------------------------

def test_after_detach_nothing_is_left(wire, traces):
    assert not sh.qdiscs(wire.b)
    wire.attach(POLICY, "--hook", "xdp")
    wire.attach(None, "--hook", "tc-ingress", "--hook", "tc-egress", "--mode", "clsact")
    sh.shunt("set", "add", "b0", "live", "192.0.2.7", "2001:db8::7", ns=wire.b)
    wire.apply({"rules": POLICY["rules"][1:2]})
    wire.apply(POLICY)
    assert sh.qdiscs(wire.b) == ["clsact"]
    kinds = {kind for kind, _ in census.belongings(wire.b)}
    assert kinds == {"prog", "map", "link"}
    assert wire.detach()["gone"]
    traces.nothing_new()
    assert not sh.qdiscs(wire.b)
    assert "xdp" not in wire.b.link("b0")
    assert not [path for path in (sh.TREE, sh.LOCKS) if os.path.isdir(path) and
                any("ns%d:" % wire.b.cookie in name for name in os.listdir(path))]


def test_a_command_that_finds_nothing_leaves_no_lock(wire, traces):
    for command in (["detach", "b0"], ["set", "add", "b0", "s", A4],
                    ["apply", "b0", "-p", wire.policy({})]):
        assert "nothing of Shunt's is attached to b0" in sh.refused(*command, ns=wire.b)
    traces.nothing_new()


def add_filter(ns, foreign, way, *where):
    ns.run("tc", "filter", "add", "dev", "b0", way, *where, "bpf", "direct-action", "object-file",
           foreign, "section", "tc")


@pytest.mark.parametrize("filtered", [False, True])
def test_a_qdisc_that_somebody_else_has_made_stays(wire, foreign, filtered):
    tc = lambda *args: wire.b.run("tc", *args)  # noqa: E731
    tc("qdisc", "add", "dev", "b0", "clsact")
    if filtered:
        add_filter(wire.b, foreign, "ingress", "prio", "7")
    before = tc("filter", "show", "dev", "b0", "ingress").stdout
    wire.attach({}, "--hook", "tc-ingress", "--hook", "tc-egress", "--mode", "clsact")
    assert wire.a.ping(B4) == 1
    assert wire.stats().hook("tc-egress") == 1
    assert wire.detach()["gone"]
    assert sh.qdiscs(wire.b) == ["clsact"]
    assert tc("filter", "show", "dev", "b0", "ingress").stdout == before
    assert not tc("filter", "show", "dev", "b0", "egress").stdout


def test_a_qdisc_of_ours_stays_while_somebody_else_filters_in_it(wire, foreign):
    wire.attach({}, "--hook", "tc-ingress", "--mode", "clsact")
    add_filter(wire.b, foreign, "egress", "prio", "7")
    assert wire.detach()["gone"]
    assert sh.qdiscs(wire.b) == ["clsact"]
    assert "other_tc" in wire.b.run("tc", "filter", "show", "dev", "b0", "egress").stdout


@pytest.mark.parametrize("first, last", [("tc-ingress", "tc-egress"), ("tc-egress", "tc-ingress")])
def test_the_qdisc_goes_with_the_last_hook_in_it(wire, first, last):
    wire.attach({}, "--hook", "tc-ingress", "--hook", "tc-egress", "--mode", "clsact")
    assert not wire.detach("--hook", first)["gone"]
    assert sh.qdiscs(wire.b) == ["clsact"]
    assert wire.detach("--hook", last)["gone"]
    assert not sh.qdiscs(wire.b)


def test_a_filter_at_our_priority_is_left_alone(wire, foreign, traces):
    wire.b.run("tc", "qdisc", "add", "dev", "b0", "clsact")
    add_filter(wire.b, foreign, "ingress", "prio", str(0x5348), "handle", "0x5348")
    before = wire.b.run("tc", "filter", "show", "dev", "b0", "ingress").stdout
    words = sh.refused("attach", "b0", "-p", wire.policy({}), "--hook", "tc-ingress", "--mode",
                       "clsact", ns=wire.b)
    assert "attach a clsact filter to b0 at priority 21320" in words
    assert wire.b.run("tc", "filter", "show", "dev", "b0", "ingress").stdout == before
    traces.nothing_new()
