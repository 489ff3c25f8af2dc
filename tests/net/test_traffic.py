# SPDX-License-Identifier: BSD-2-Clause
"""Real traffic under real policies: every match key and every action, in XDP and in TC."""
import errno
import json
import re
import socket

import pytest

import frame as fr
import kernel
import shunt as sh
from shunt import A4, A6, B4, B6

IN = ("xdp", "tc-ingress")
HOOKS = IN + ("tc-egress",)
VLAN, QINQ = 0x8100, 0x88A8


def rule(name, action, **match):
    return {"name": name, "match": match, "action": action}


def udp_server(ns, port, address="0.0.0.0"):
    made = ns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    made.settimeout(30)
    return made


def nothing_arrives(made):
    made.setblocking(False)
    with pytest.raises(BlockingIOError):
        made.recv(1)
    made.settimeout(30)


# --- every match key, in every hook -------------------------------------------------------

PLAIN = fr.eth(fr.ip4(fr.udp(b"x")))
PLAIN6 = fr.eth(fr.ip6(fr.udp(b"x")))
SYN = fr.eth(fr.ip4(fr.tcp(flags=fr.SYN), fr.TCP))
SYNACK = fr.eth(fr.ip4(fr.tcp(flags=fr.SYN | fr.ACK), fr.TCP))
PING = fr.eth(fr.ip4(fr.icmp(), fr.ICMP))
PING6 = fr.eth(fr.ip6(fr.icmp(128), fr.ICMP6))
ARP = fr.eth(fr.arp(), 0x0806)
ONE = fr.eth(fr.ip4(fr.udp(b"x")), tags=[(VLAN, 100)])
TWO = fr.eth(fr.ip4(fr.udp(b"x")), tags=[(QINQ, 100), (VLAN, 7)])
FIRST = fr.eth(fr.ip4(fr.udp(b"x" * 16, length=100), more=True))
LATER = fr.eth(fr.ip4(b"x" * 16, offset=24))
FIRST6 = fr.eth(fr.ip6(fr.fragment6(fr.udp(b"x" * 16, length=100), more=True), 44))
LATER6 = fr.eth(fr.ip6(fr.fragment6(b"x" * 16, offset=24), 44))
OPTIONS = fr.eth(fr.ip4(fr.udp(b"x"), options=b"\x01" * 8))
SCTP = fr.eth(fr.ip4(fr.sctp(dport=5000), fr.SCTP))


def ports(sport, dport):
    return fr.eth(fr.ip4(fr.udp(b"x", sport, dport)))


# name, match, frames that it is for, frames that it is not for
KEYS = [
    ("src", {"src": "192.0.2.0/24"}, [PLAIN, SYN, ONE, LATER],
     [fr.eth(fr.ip4(fr.udp(), src="192.0.3.1")), PLAIN6, ARP]),
    ("src6", {"src": ["2001:db8::/64", "203.0.113.1"]},
     [PLAIN6, fr.eth(fr.ip4(fr.udp(), src="203.0.113.1"))], [PLAIN, ARP]),
    ("dst-set", {"dst": "@hosts"},
     [fr.eth(fr.ip4(fr.udp(), dst="198.51.100.7")), fr.eth(fr.ip6(fr.udp(), dst="2001:db8::7"))],
     [fr.eth(fr.ip4(fr.udp(), dst="198.51.100.8")), PLAIN6]),
    ("proto-number", {"proto": [132, "tcp"]}, [SCTP, SYN], [PLAIN, PING, ARP]),
    ("sport", {"sport": "4000-4010"}, [ports(4000, 1), ports(4010, 1), SCTP, SYN, OPTIONS],
     [ports(3999, 4000), ports(4011, 1), LATER, PING]),
    ("dport-list", {"proto": "udp", "dport": [53, "6000-6001"]},
     [ports(9, 53), ports(9, 6001)], [ports(53, 54), ports(9, 6002), SYN]),
    ("syn", {"tcp_flags": "syn/syn,ack"}, [SYN], [SYNACK, PLAIN]),
    ("null", {"tcp_flags": "none/fin,syn,rst,psh,ack,urg"},
     [fr.eth(fr.ip4(fr.tcp(flags=0), fr.TCP))], [SYN, SYNACK]),
    ("icmp-name", {"icmp": "echo-request"}, [PING, PING6],
     [fr.eth(fr.ip4(fr.icmp(0), fr.ICMP)), PLAIN, fr.eth(fr.ip6(fr.icmp(129), fr.ICMP6))]),
    ("icmp-code", {"icmp": {"type": "dest-unreachable", "code": [1, 3]}},
     [fr.eth(fr.ip4(fr.icmp(3, 3), fr.ICMP)), fr.eth(fr.ip6(fr.icmp(1, 1), fr.ICMP6))],
     [fr.eth(fr.ip4(fr.icmp(3, 2), fr.ICMP)), fr.eth(fr.ip4(fr.icmp(8, 3), fr.ICMP))]),
    ("vlan-id", {"vlan": 100}, [ONE, TWO],
     [PLAIN, fr.eth(fr.ip4(fr.udp()), tags=[(VLAN, 101)])]),
    ("vlan-none", {"vlan": "none", "proto": "udp"}, [PLAIN, PLAIN6], [ONE, TWO]),
    ("vlan-priority", {"vlan": 0}, [fr.eth(fr.ip4(fr.udp()), tags=[(VLAN, 0)])], [PLAIN, ONE]),
    ("vlan-both", {"vlan": {"outer": 100, "inner": "1-9"}}, [TWO],
     [ONE, fr.eth(fr.ip4(fr.udp()), tags=[(QINQ, 100), (VLAN, 10)])]),
    ("vlan-untouched", {"vlan": {"inner": "any"}},
     [TWO, fr.eth(fr.ip4(fr.udp()), tags=[(VLAN, 1), (VLAN, 2)])], [ONE, PLAIN]),
    ("first", {"fragment": "first"}, [FIRST, FIRST6], [PLAIN, LATER, LATER6, ARP]),
    ("later", {"fragment": "later"}, [LATER, LATER6], [PLAIN, FIRST, FIRST6]),
    ("whole", {"fragment": "none", "proto": "udp"}, [PLAIN, PLAIN6], [FIRST, LATER, LATER6]),
    ("first-ports", {"fragment": "any", "dport": 5000}, [FIRST, FIRST6], [LATER, LATER6, PLAIN]),
    ("eth-arp", {"eth_type": "arp"}, [ARP], [PLAIN, PLAIN6]),
    ("eth-lldp", {"eth_type": "0x88cc"}, [fr.eth(b"\0" * 50, 0x88CC)], [ARP, PLAIN]),
]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_match_key_takes_what_it_is_for_and_nothing_else(wire, hook):
    wire.attach({
        "sets": {"hosts": {"type": "address", "elements": ["198.51.100.7", "2001:db8::7"]}},
        "rules": [rule(name, "count", **match) for name, match, _, _ in KEYS]}, "--hook", hook)
    raw = wire.b.raw("b0") if hook == "tc-egress" else wire.a.raw("a0")
    sent = 0
    for name, _, yes, no in KEYS:
        for frames, counted in ((yes, len(yes)), (no, 0)):
            before = wire.stats().rule(name)
            for one in frames:
                sh.send(raw, one)
            sent += len(frames)
            stats = wire.seen(sent, hook)
            assert stats.rule(name) - before == counted, (name, frames)
    assert stats.hook(hook) == sent == stats.rule("default")


@pytest.mark.parametrize("hook", IN)
def test_the_tag_that_the_kernel_has_stripped_is_seen(wire, hook):
    """Between a driver and TC, the kernel takes the outer tag off the frame."""
    wire.attach({"rules": [rule("tagged", "drop", vlan=100)]}, "--hook", hook)
    raw = wire.a.raw("a0")
    sh.send(raw, ONE)
    sh.send(raw, TWO)
    stats = wire.seen(2, hook)
    assert stats.rule("tagged") == 2
    assert stats.rule("tagged", "bytes") == len(ONE) + len(TWO)


# --- programs that talk -------------------------------------------------------------------

@pytest.mark.parametrize("hook", IN)
def test_pings_are_dropped_and_let_pass(wire6, hook):
    four = rule("four", "drop", src=A4, icmp="echo-request")
    six = rule("six", "drop", src=A6, icmp="echo-request")
    wire6.attach({"rules": [four]}, "--hook", hook)
    assert wire6.a.ping(B4, 2, seconds=0.05) == 0
    assert wire6.a.ping(B6, 2) == 2
    wire6.apply({"rules": [six]})
    assert wire6.a.ping(B4, 2) == 2
    assert wire6.a.ping(B6, 2, seconds=0.05) == 0
    stats = wire6.stats().balances()
    assert stats.rule("six") == 2 and stats["retired"]["packets"] == 2


def test_what_goes_out_is_judged_by_tc_egress(wire):
    wire.attach({"rules": [rule("replies", "drop", icmp="echo-reply")]}, "--hook", "tc-egress")
    assert wire.a.ping(B4, 2, seconds=0.05) == 0
    assert wire.stats().balances().rule("replies") == 2


@pytest.mark.parametrize("hook", HOOKS)
def test_a_web_server_answers_on_the_port_that_is_open(wire, hook):
    for port in (8080, 8081):
        wire.b.start("/usr/bin/python3", "-u", "-m", "http.server", "-d", sh.SCHEMAS, port) \
            .says("Serving HTTP")
    side = "sport" if hook == "tc-egress" else "dport"
    wire.attach({"rules": [rule("shut", "drop", proto="tcp", **{side: 8081}),
                           rule("web", "pass", proto="tcp", **{side: 8080})]}, "--hook", hook)
    url = "http://%s:%d/policy.schema.json"
    done = wire.a.run("curl", "-sS", "--max-time", "30", url % (B4, 8080))
    assert json.loads(done.stdout)["$id"] == "urn:shunt:schema:policy:1"
    done = wire.a.run("curl", "-sS", "--max-time", "1", url % (B4, 8081), ok=False)
    assert done.returncode == 28 and not done.stdout
    stats = wire.still()
    assert stats.rule("shut") >= 1 and stats.rule("web") >= 5


@pytest.mark.parametrize("hook", IN)
def test_datagrams_arrive_by_port(wire, hook):
    wire.attach({"rules": [rule("high", "drop", proto="udp", dport="6000-6999")]}, "--hook", hook)
    low, high = udp_server(wire.b, 5999), udp_server(wire.b, 6000)
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in (6000, 5999, 6000):
        client.sendto(b"%d" % port, (B4, port))
    assert low.recv(16) == b"5999"
    assert wire.seen(3, hook).rule("high") == 2
    nothing_arrives(high)


@pytest.mark.parametrize("hook", IN)
def test_a_rule_for_syn_stops_connections_in_one_direction(wire, hook):
    wire.attach({"rules": [rule("no-syn", "drop", proto="tcp", tcp_flags="syn/syn,ack")]},
                "--hook", hook)
    servers = {}
    for ns, address in ((wire.a, A4), (wire.b, B4)):
        servers[address] = ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        servers[address].bind((address, 7000))
        servers[address].listen()
    out = wire.b.socket(socket.AF_INET, socket.SOCK_STREAM)
    out.settimeout(30)
    out.connect((A4, 7000))
    into = wire.a.socket(socket.AF_INET, socket.SOCK_STREAM)
    into.settimeout(0.1)
    with pytest.raises(TimeoutError):
        into.connect((B4, 7000))
    assert wire.stats().balances().rule("no-syn") >= 1


@pytest.mark.parametrize("hook", IN)
def test_an_icmp_error_is_told_by_type_and_code(wire, hook):
    unreachable = rule("port", "drop", icmp={"type": "dest-unreachable", "code": 3}, proto="icmp")
    wire.attach({"rules": [unreachable]}, "--hook", hook)
    client = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(30)
    client.connect((A4, 4242))
    client.send(b"nobody is there")
    assert wire.seen(1, hook).rule("port") == 1
    nothing_arrives(client)
    wire.apply({"rules": []})
    client.send(b"nobody is there")
    with pytest.raises(OSError) as fault:
        client.recv(1)
    assert fault.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("hook", IN)
def test_fragments_are_told_apart(wire6, hook):
    rules = [rule("first", "count", fragment="first"), rule("later", "count", fragment="later"),
             rule("ports", "count", proto="udp", dport="0-65535")]
    wire6.attach({"rules": rules}, "--hook", hook)
    assert wire6.a.ping(B4, 3, size=4000) == 3
    assert wire6.a.ping(B6, 3, size=4000) == 3
    stats = wire6.stats().balances()
    assert stats.rule("first") == 6 and stats.rule("later") == 12
    wire6.apply({"rules": [rule("later", "drop", fragment="later")]})
    assert wire6.a.ping(B4, 2, size=4000, seconds=0.05) == 0
    assert wire6.a.ping(B6, 2, size=4000, seconds=0.05) == 0
    assert wire6.a.ping(B4, 2) == 2
    assert wire6.stats().balances().rule("later") == 8


@pytest.mark.parametrize("hook", IN)
def test_default_drop_with_arp_and_neighbour_discovery_allowed(bare_wire, hook):
    bare_wire.attach({"default": "drop", "rules": [
        rule("arp", "pass", eth_type="arp"),
        rule("nd", "pass", icmp=["neighbor-solicitation", "neighbor-advertisement"]),
        rule("ping", "pass", icmp="echo-request")]}, "--hook", hook)
    assert bare_wire.a.ping(B4, 2) == 2
    assert bare_wire.a.ping(B6, 2) == 2
    client = bare_wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server = udp_server(bare_wire.b, 5000)
    client.sendto(b"x", (B4, 5000))
    sh.wait(lambda: bare_wire.stats().rule("default"), "the datagram in the default")
    nothing_arrives(server)
    stats = bare_wire.stats().balances()
    assert stats.rule("arp") >= 1 and stats.rule("nd") >= 1 and stats.rule("ping") == 4


def test_default_drop_without_arp_is_silence(bare_wire):
    bare_wire.attach({"default": "drop", "rules": [rule("ping", "pass", icmp="echo-request")]})
    assert bare_wire.a.ping(B4, 1, seconds=0.2) == 0
    assert bare_wire.stats().rule("ping") == 0


@pytest.mark.parametrize("hooks", [("xdp",), ("tc-ingress", "tc-egress"), HOOKS])
def test_bulk_tcp_flows_through_a_policy(wire, hooks):
    options = [word for hook in hooks for word in ("--hook", hook)]
    wire.attach({"default": "drop", "rules": [
        rule("bulk", "pass", proto="tcp", dport=5201),
        rule("acks", "pass", proto="tcp", sport=5201)]}, *options)
    server = wire.b.start("iperf3", "-s", "-1", "--forceflush").says("Server listening")
    done = wire.a.run("iperf3", "-c", B4, "-n", "50M", "-J")
    got = json.loads(done.stdout)["end"]["sum_received"]["bytes"]
    assert got >= 40_000_000  # the last bytes were under way when it was asked
    assert server.end() == 0
    stats = wire.still()
    assert stats.rule("default") == 0
    # every byte was judged, in whatever sizes the stack had packed them
    assert stats.rule("bulk", "bytes") >= got * len([h for h in hooks if h != "tc-egress"])


# --- sets ---------------------------------------------------------------------------------

@pytest.mark.parametrize("hook", IN)
@pytest.mark.parametrize("kind", ["address", "prefix"])
def test_members_of_a_set_change_the_verdict_at_once(wire6, hook, kind):
    wire6.attach({"sets": {"banned": {"type": kind}},
                  "rules": [rule("banned", "drop", src="@banned")]}, "--hook", hook)
    edit = lambda *words: sh.shunt("set", *words, ns=wire6.b)  # noqa: E731
    assert wire6.a.ping(B4) == 1 and wire6.a.ping(B6) == 1
    reply = edit("add", "b0", "banned", A4, A6, "203.0.113.7")
    assert (reply["operation"], reply["changed"], reply["unchanged"]) == ("add", 3, 0)
    assert wire6.a.ping(B4, 1, seconds=0.05) == wire6.a.ping(B6, 1, seconds=0.05) == 0
    reply = edit("add", "b0", "banned", A4, "203.0.113.8")
    assert (reply["changed"], reply["unchanged"]) == (1, 1)
    assert edit("list", "b0", "banned")["elements"] == [A4, "203.0.113.7", "203.0.113.8", A6]
    reply = edit("del", "b0", "banned", A4, "203.0.113.9")
    assert (reply["operation"], reply["changed"], reply["unchanged"]) == ("del", 1, 1)
    assert wire6.a.ping(B4) == 1
    assert wire6.a.ping(B6, 1, seconds=0.05) == 0
    assert wire6.stats().balances().rule("banned") == 3


def test_a_set_says_who_is_in_it_and_by_which_member(wire):
    wire.attach({"sets": {"nets": {"type": "prefix", "elements": ["10.0.0.0/8", "10.1.0.0/16",
                                                                  "2001:db8::/32"]}},
                 "rules": [rule("nets", "drop", src="@nets")]})
    ask = lambda address: sh.run("set", "test", "b0", "nets", address, ns=wire.b)  # noqa: E731
    for address, member in (("10.1.2.3", "10.1.0.0/16"), ("10.2.2.3", "10.0.0.0/8"),
                            ("2001:db8::1", "2001:db8::/32")):
        done = ask(address)
        assert done.code == 0 and done.reply["in"] and done.reply["element"] == member
    done = ask("11.0.0.1")
    assert done.code == 1 and not done.reply["in"] and not done.err
    text = sh.run("set", "test", "b0", "nets", "10.1.2.3", ns=wire.b, text=True)
    assert text.out == "10.1.2.3 is in nets, by 10.1.0.0/16\n"


def test_a_set_that_a_command_fills_outlives_an_apply_and_one_that_a_policy_fills_does_not(wire):
    def policy(elements):
        return {"sets": {"live": {"type": "address"},
                         "fixed": {"type": "address", "elements": elements}},
                "rules": [rule("live", "drop", src="@live"), rule("fixed", "drop", src="@fixed")]}

    wire.attach(policy(["203.0.113.1"]))
    sh.shunt("set", "add", "b0", "live", A4, ns=wire.b)
    sh.shunt("set", "add", "b0", "fixed", "203.0.113.99", ns=wire.b)
    wire.apply(policy(["203.0.113.2"]))
    assert sh.shunt("set", "list", "b0", "live", ns=wire.b)["elements"] == [A4]
    assert sh.shunt("set", "list", "b0", "fixed", ns=wire.b)["elements"] == ["203.0.113.2"]
    assert wire.a.ping(B4, 1, seconds=0.05) == 0


# --- actions ------------------------------------------------------------------------------

def swapped(one):
    return one[6:12] + one[:6] + one[12:]


@pytest.mark.parametrize("hook", IN)
def test_tx_sends_the_frame_back_with_its_addresses_swapped(wire, hook):
    wire.returns()
    wire.attach({"rules": [rule("echo", "tx", proto="udp", dport=7)]}, "--hook", hook)
    raw = wire.a.raw("a0")
    one = ports(4000, 7)
    sh.send(raw, one)
    assert sh.receive(raw, lambda got: got[:6] == fr.MAC_A) == swapped(one)
    stats = wire.seen(1, hook)
    assert stats.rule("echo") == stats.verdict("tx") == 1


@pytest.mark.parametrize("hook", IN)
def test_a_redirect_to_an_interface_leaves_there(wire, hook):
    c = wire.further()
    policy = {"rules": [rule("over", {"redirect": {"interface": "b1"}}, proto="udp", dport=7)]}
    wire.attach(policy, "--hook", hook)
    assert sh.shunt("show", "b0", ns=wire.b)["rules"] == \
        [{"name": "over", "action": "redirect-interface", "target": "b1"}]
    out, raw = c.raw("c0"), wire.a.raw("a0")
    for one in (ports(4000, 8), ports(4000, 7)):
        sh.send(raw, one)
    assert sh.receive(out, lambda got: True) == ports(4000, 7)
    stats = wire.seen(2, hook)
    assert stats.rule("over") == stats.verdict("redirect-interface") == 1
    assert stats.reasons() == {"rule": 1, "default": 1}


@pytest.mark.parametrize("hook", IN)
def test_a_redirect_to_an_interface_that_goes_is_a_drop(wire, hook):
    wire.further()
    wire.attach({"rules": [rule("over", {"redirect": {"interface": "b1"}})]}, "--hook", hook)
    wire.b.ip("link del b1")
    raw = wire.a.raw("a0")
    sh.send(raw, PLAIN)
    stats = wire.seen(1, hook)
    assert stats.reasons() == {"target-down": 1}
    assert stats.verdict("drop") == stats.rule("over") == 1


@pytest.mark.parametrize("cpu", range(2))
def test_a_redirect_to_a_cpu_arrives_all_the_same(wire, cpu):
    wire.whole_checksums()
    wire.attach({"rules": [rule("over", {"redirect": {"cpu": cpu}}, proto="udp")]})
    server = udp_server(wire.b, 5000)
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(20):
        client.sendto(b"%d" % number, (B4, 5000))
    assert [server.recv(16) for _ in range(20)] == [b"%d" % number for number in range(20)]
    stats = wire.stats().balances()
    assert stats.rule("over") == stats.verdict("redirect-cpu") == 20


def test_a_cpu_that_is_not_there_is_refused(wire, traces):
    path = wire.policy({"rules": [rule("over", {"redirect": {"cpu": 255}})]})
    words = sh.refused("attach", "b0", "-p", path, ns=wire.b)
    assert re.search(r"rule over: redirect to CPU 255: .*; `nproc --all` tells how many", words)
    traces.nothing_new()


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("fate", ["pass", "drop"])
def test_without_a_consumer_its_if_down_decides(wire, hook, fate):
    wire.attach({"consumers": {"tap": {"kind": "xsk", "if_down": fate}},
                 "rules": [rule("tap", {"redirect": {"consumer": "tap"}}, proto="icmp")]},
                "--hook", hook)
    assert wire.a.ping(B4, 2, seconds=10 if fate == "pass" else 0.05) == (2 if fate == "pass" else 0)
    stats = wire.stats().balances()
    assert stats.rule("tap") == stats.verdict(fate) == 2
    assert stats.reasons() == {"consumer-down": 2}


@pytest.mark.parametrize("hook, action", [
    ("tc-ingress", {"redirect": {"cpu": 0}}), ("tc-egress", {"redirect": {"cpu": 0}}),
    ("tc-egress", "tx"),
])
def test_an_action_that_a_hook_cannot_do_is_warned_of_and_passes(wire, hook, action):
    reply = wire.attach({"rules": [rule("odd", action, proto="icmp")]}, "--hook", hook)
    *others, warning = reply["warnings"]
    assert others == kernel.fallbacks(hook)
    assert warning.startswith("rule odd: %s cannot do " % hook)
    assert warning.endswith(": its packets pass there")
    assert wire.a.ping(B4, 2) == 2
    assert wire.stats().balances().reasons() == {"hook-cannot": 2}
