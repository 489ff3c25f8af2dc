# SPDX-License-Identifier: BSD-2-Clause
"""Another owner's program is named and left as it is, whatever we do; and ours by others."""
import contextlib
import os
import signal

import pytest

import census
import kernel
import owners
import shunt as sh
from shunt import B4
from test_apply import killed, points

POLICY = {"sets": {"live": {"type": "address"}},
          "consumers": {"log": {"kind": "ring"}},
          "rules": [{"name": "pings", "match": {"icmp": "echo-request"}, "action": "count"},
                    {"name": "live", "match": {"src": "@live"}, "action": "drop"},
                    {"name": "log", "match": {"proto": "udp"},
                     "action": {"redirect": {"consumer": "log"}}}]}


@pytest.fixture(scope="session")
def theirs(tmp_path_factory, foreign):
    """An object with programs that count; `foreign` clears up after iproute2."""
    return owners.build(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(params=owners.WAYS)
def occupied(request, wire, theirs):
    """A wire whose b0 has a foreign XDP program: (wire, words that name it, a look at it)."""
    with owners.xdp(wire.b, "b0", theirs, request.param) as words:
        yield wire, words, owners.Unharmed(wire)


# --- a foreign XDP program ----------------------------------------------------------------

@pytest.mark.parametrize("options", [(), ("--mode", "native"), ("--mode", "generic"),
                                     ("--hook", "xdp", "--hook", "tc-ingress")])
def test_attach_says_whose_it_is_and_leaves_it(occupied, options):
    wire, words, unharmed = occupied
    traces = census.Traces()
    refusal = sh.refused("attach", "b0", "-p", wire.policy(POLICY), *options, ns=wire.b)
    assert refusal.startswith("b0 already has an XDP program")
    for word in words:
        assert word in refusal
    what_to_do = "have its owner take it off first"
    if "xdp_dispatcher" in refusal:  # where the kernel has what libxdp takes to load one
        what_to_do = "it is a dispatcher of libxdp's, which `--chain PRIORITY` joins"
    assert refusal.endswith("It stays: " + what_to_do)
    traces.nothing_new()
    unharmed(options)


def test_probe_says_whose_it_is_and_leaves_it(occupied):
    wire, words, unharmed = occupied
    rows = sh.shunt("probe", "b0", ns=wire.b)["interface"]["features"]
    (row,) = [row for row in rows if row["name"] == "xdp-free"]
    assert row["answer"] == "no"
    assert all(word in row["detail"] for word in words if "mode" not in word)
    unharmed("probe")


def test_no_command_touches_it(occupied):
    """Ours works beside it, at another hook: there, every command is tried."""
    wire, _, unharmed = occupied
    path = wire.policy(POLICY)
    look = lambda *words: sh.shunt(*words, ns=wire.b)  # noqa: E731
    wire.attach(POLICY, "--hook", "tc-ingress")
    unharmed("attach")
    for words in (["show", "b0"], ["stats", "b0"], ["list"], ["set", "add", "b0", "live", "198.51.100.1"],
                  ["set", "list", "b0", "live"], ["set", "del", "b0", "live", "198.51.100.1"],
                  ["explain", "b0", "--frame", "00" * 60], ["apply", "b0", "-p", path],
                  ["apply", "b0", "-p", wire.policy({}, "none.json")],
                  ["apply", "b0", "-p", path]):
        if words == ["list"]:
            sh.shunt(*words)
        else:
            look(*words)
        unharmed(words)
    look("attach", "b0", "--hook", "tc-egress", "--mode", "clsact")
    unharmed("a second hook")
    look("detach", "b0", "--hook", "tc-ingress")
    unharmed("one hook less")
    sh.detach_stale()
    unharmed("stale")
    assert wire.detach()["gone"]
    unharmed("detach")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGKILL])
def test_a_consumer_that_ends_leaves_it(occupied, sig):
    wire, _, unharmed = occupied
    wire.attach(POLICY, "--hook", "tc-ingress")
    count = wire.b.start(sh.BINARY, "run", "count", "b0", "--consumer", "log", "--json",
                         "--interval", "50ms")
    sh.wait(lambda: count.lines, "the first report")
    unharmed("run")
    count.end(sig)
    unharmed(sig)
    assert wire.detach()["gone"]


@pytest.mark.parametrize("occupied", ["ip", "bpf_link"], indirect=True)
def test_a_kill_at_any_change_leaves_it(occupied):
    wire, _, unharmed = occupied
    traces = census.Traces()
    words = ("attach", "b0", "-p", wire.policy(POLICY), "--hook", "tc-ingress")
    where = points(wire, *words)
    assert len(where) >= 8
    wire.detach()
    for call, number in where:
        killed(wire, call, number, *words)
        unharmed((call, number))
        done = sh.run("detach", "b0", ns=wire.b)
        assert done.code == 0 or "nothing of Shunt's is attached" in done.error, done
        unharmed("the detach after %s %d" % (call, number))
        traces.nothing_new()


# --- foreign programs at TC ---------------------------------------------------------------

def filters(ns, way):
    return ns.run("tc", "-d", "filter", "show", "dev", "b0", way).stdout


@contextlib.contextmanager
def filtered(wire, theirs):
    """Foreign filters at both sides: {side: (what tc says, program id)}."""
    wire.b.run("tc", "qdisc", "add", "dev", "b0", "clsact")
    for way in ("ingress", "egress"):
        wire.b.run("tc", "filter", "add", "dev", "b0", way, "prio", "7", "bpf", "direct-action",
                   "object-file", theirs, "section", "tc")
    said = {way: filters(wire.b, way) for way in ("ingress", "egress")}
    yield {way: (text, int(text.rpartition(" id ")[2].split()[0])) for way, text in said.items()}
    wire.b.run("tc", "qdisc", "del", "dev", "b0", "clsact")


@pytest.mark.parametrize("mode", dict.fromkeys([kernel.tc_mode(), "clsact"]))
def test_foreign_filters_stay_and_see_what_we_let_pass(wire, theirs, mode):
    with filtered(wire, theirs) as before:
        def unharmed(after):
            counts = {way: owners.packets(number, owners.TC) for way, (_, number) in before.items()}
            assert wire.a.ping(B4, 3) == 3, after
            for way, (text, number) in before.items():
                assert text.strip() in filters(wire.b, way), after
                assert owners.packets(number, owners.TC) == counts[way] + 3, after

        wire.attach(POLICY, "--hook", "tc-ingress", "--hook", "tc-egress", "--mode", mode)
        unharmed("attach")
        assert wire.stats().rule("pings") == 3
        wire.apply({"rules": [{"name": "all", "action": "count"}]})
        unharmed("apply")
        assert not wire.detach("--hook", "tc-ingress")["gone"]
        unharmed("one hook less")
        assert wire.detach()["gone"]
        unharmed("detach")


@kernel.needs("tcx", "6.6")
def test_foreign_tcx_links_stay_and_see_what_we_let_pass(wire, theirs):
    pin = "/sys/fs/bpf/%s-tc" % wire.b.name
    traces = census.Traces()
    with owners.loaded(theirs, "classifier", pin), \
            owners.link(wire.b, "b0", owners.TCX_INGRESS, pin, pin + "-in") as first, \
            owners.link(wire.b, "b0", owners.TCX_EGRESS, pin, pin + "-out") as second:
        program = owners.show("link", first)["prog_id"]

        def unharmed(after):
            assert owners.links(program) == sorted([first, second]), after
            before = owners.packets(program, owners.TC)
            assert wire.a.ping(B4, 3) == 3, after
            assert owners.packets(program, owners.TC) == before + 6, after

        unharmed("nothing")
        wire.attach(POLICY, "--hook", "tc-ingress", "--hook", "tc-egress")
        unharmed("attach")
        assert wire.stats().rule("pings") == 3
        wire.apply({"rules": [{"name": "all", "action": "count"}]})
        unharmed("apply")
        assert wire.detach()["gone"]
        unharmed("detach")
        traces.nothing_new()


# --- the other way round ------------------------------------------------------------------

def test_others_cannot_take_ours_off_by_mistake(wire, theirs):
    """Ours is a link: what goes by the interface is refused by the kernel."""
    pin = "/sys/fs/bpf/%s-prog" % wire.b.name
    wire.attach(POLICY)
    program = wire.b.link("b0")["xdp"]
    for words in (["ip", "link", "set", "dev", "b0", "xdp", "off"],
                  ["ip", "-force", "link", "set", "dev", "b0", "xdp", "object", theirs, "section",
                   "xdp"],
                  ["xdp-loader", "load", "-m", "native", "b0", theirs, "-s", "xdp"],
                  ["xdp-loader", "unload", "-a", "b0"],
                  ["bpftool", "net", "detach", "xdp", "dev", "b0"]):
        done = wire.b.run(*words, ok=False)
        assert done.returncode, words
        said = done.stdout + done.stderr
        assert "busy" in said or "Can't replace active BPF XDP link" in said, (words, said)
        assert wire.b.link("b0")["xdp"] == program, words
    with owners.loaded(theirs, "xdp", pin):
        with pytest.raises(OSError) as refusal:
            with owners.link(wire.b, "b0", owners.BPF_XDP, pin, pin + "-link"):
                pass
        assert refusal.value.errno == sh.errno.EBUSY
    assert wire.a.ping(B4, 2) == 2
    assert wire.stats().balances().rule("pings") == 2
    assert wire.detach()["gone"]
    assert not os.path.exists(pin)
