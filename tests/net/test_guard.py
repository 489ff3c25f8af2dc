# SPDX-License-Identifier: BSD-2-Clause
"""Nobody is locked out by a policy, unless that is said: the session that a command comes from,
and the packets of --protect, asked for in test runs before a policy rules."""
import contextlib
import json
import os
import subprocess

import pytest

import census
import shunt as sh
from shunt import A4, A6, B4, B6

CLIENT = "50022"
SESSION = "%s %s %s 22" % (A4, CLIENT, B4)
SESSION6 = "%s %s %s 22" % (A6, CLIENT, B6)
# the second rule has the program do all that the policies here need: none takes over
OPEN = {"rules": [{"name": "pings", "match": {"proto": "icmp"}, "action": "count"},
                  {"name": "none", "match": {"proto": "tcp", "src": "192.0.2.99", "sport": 1,
                                             "dport": 1}, "action": "drop"}]}
NO_SSH = {"rules": [{"name": "no-ssh", "match": {"proto": "tcp", "dport": 22}, "action": "drop"}]}
NO_ANSWER = {"rules": [{"name": "no-answer", "match": {"proto": "tcp", "sport": 22},
                        "action": "drop"}]}
ME = "locks out the SSH session that this command comes from (%s port %s to %s port 22)"


def under(session):
    """What starts a command in a session of SSH."""
    return {"prefix": ["env", "SSH_CONNECTION=" + session]}


def below(session):
    """As under sudo: a parent has the variable, the command itself has not."""
    return {"prefix": [*under(session)["prefix"], "sh", "-c", 'env -i "$@"; exit $?', "sh"]}


def apply(wire, policy, *options, session=SESSION, how=under, ok=True):
    call = sh.shunt if ok else sh.refused
    return call("apply", "b0", "-p", wire.policy(policy, "next.json"), *options, ns=wire.b,
                **how(session))


def attach(wire, policy, *options, session=SESSION, ok=True):
    call = sh.shunt if ok else sh.refused
    return call("attach", "b0", *(["-p", wire.policy(policy, "first.json")] if policy else []),
                *options, ns=wire.b, **under(session))


def rule(action, **match):
    return {"rules": [{"name": "mine", "match": {"proto": "tcp", **match}, "action": action}]}


def to_consumer(kind="xsk", if_down="pass"):
    return {"consumers": {"tap": {"kind": kind, "if_down": if_down}},
            **rule({"redirect": {"consumer": "tap"}}, dport=22)}


@contextlib.contextmanager
def unchanged(wire):
    """What is in the kernel, what rules and what was counted are the same afterwards."""
    def look():
        return [sh.shunt(*words, "b0", ns=wire.b)
                for words in (["show"], ["stats"], ["show", "--history"])]

    traces, before = census.Traces(), look()
    yield
    assert look() == before
    # waiting for programs puts an empty set where another one was
    sh.wait(lambda: not [one for one in traces.new() if one[2:3] != ("shunt_set_in",)],
            "nothing of Shunt's to be new")


# --- whose session ------------------------------------------------------------------------

@pytest.mark.parametrize("how", [under, below], ids=["own", "parent"])
def test_a_policy_that_drops_the_session_is_refused(wire, how):
    wire.attach(OPEN)
    with unchanged(wire):
        said = apply(wire, NO_SSH, how=how, ok=False)
    assert said == ("this policy " + ME % (A4, CLIENT, B4) + ": at hook xdp rule no-ssh does "
                    '"drop" to what comes in (reason rule); let it pass, or insist with --force')
    assert wire.a.ping(B4) == 1
    assert apply(wire, OPEN, how=how)["generation"] == 2, "a refusal burns no generation"
    assert apply(wire, NO_SSH, "--force", how=how)["generation"] == 3


def test_the_nearest_process_with_the_variable_counts(wire):
    """A session inside of a session: the inner one is the command's."""
    outer = below("192.0.2.77 1 192.0.2.78 22")["prefix"]
    wire.attach(OPEN)
    path = wire.policy(NO_SSH, "next.json")
    said = sh.refused("apply", "b0", "-p", path, ns=wire.b,
                      prefix=outer + below(SESSION)["prefix"])
    assert ME % (A4, CLIENT, B4) in said
    inner = below("192.0.2.77 1 192.0.2.78 22")["prefix"]
    assert sh.shunt("apply", "b0", "-p", path, ns=wire.b,
                    prefix=below(SESSION)["prefix"] + inner)["generation"] == 2


@pytest.mark.parametrize("session, words", [
    (SESSION6, (A6, CLIENT, B6)),
    ("::ffff:%s %s ::ffff:%s 22" % (A4, CLIENT, B4), (A4, CLIENT, B4)),
    ("%s %s %s 22 " % (A4, CLIENT, B4), (A4, CLIENT, B4)),
], ids=["ipv6", "ipv4-mapped", "space behind"])
def test_a_session_of_either_family_counts(wire6, session, words):
    wire6.attach(OPEN)
    assert ME % words in apply(wire6, NO_SSH, session=session, ok=False)
    family = {"src": "::/0"} if ":" in words[0] else {"src": "0.0.0.0/0"}
    assert "rule mine does" in apply(wire6, rule("drop", dport=22, **family), session=session,
                                     ok=False)
    other = {"src": "0.0.0.0/0"} if ":" in words[0] else {"src": "::/0"}
    apply(wire6, rule("drop", dport=22, **other), session=session)


def link_local(ns, interface):
    def look():
        done = ns.run("ip", "-j", "-6", "addr", "show", "dev", interface, "scope", "link")
        return [item["local"] for one in json.loads(done.stdout) for item in one["addr_info"]
                if "local" in item]

    return sh.wait(look, "a link-local address of " + interface)[0]


def test_a_link_local_session_counts_for_the_interface_of_its_scope(wire6):
    client, server = link_local(wire6.a, "a0"), link_local(wire6.b, "b0")
    wire6.further()
    wire6.b.ip("addr add %s/64 dev b1 nodad" % server)
    wire6.attach(OPEN)
    here = "%s%%b0 %s %s%%b0 22" % (client, CLIENT, server)
    with unchanged_but_packets(wire6):
        said = apply(wire6, NO_SSH, session=here, ok=False)
    assert ME % (client, CLIENT, server) in said
    apply(wire6, NO_SSH, session="%s%%b1 %s %s%%b1 22" % (client, CLIENT, server))
    wire6.apply(OPEN)
    # a scope that no interface has any more tells nothing: the address does
    said = apply(wire6, NO_SSH, session=here.replace("b0", "gone0"), ok=False)
    assert ME % (client, CLIENT, server) in said


@contextlib.contextmanager
def unchanged_but_packets(wire):
    """Where the kernel talks by itself, counters go on."""
    before = sh.shunt("show", "b0", ns=wire.b)
    yield
    assert sh.shunt("show", "b0", ns=wire.b) == before


def test_a_session_that_goes_elsewhere_does_not_count(wire):
    wire.further()
    wire.b.ip("addr add 203.0.113.2/24 dev b1")
    for session in ("203.0.113.1 %s 203.0.113.2 22" % CLIENT,   # over b1
                    "%s %s 198.51.100.1 22" % (A4, CLIENT),     # to nobody of this namespace
                    "%s %s 198.51.100.1 22" % (A6, CLIENT),
                    "%s %s %s 22" % (B4, CLIENT, B4),           # with itself: over lo
                    "127.0.0.1 %s 127.0.0.1 22" % CLIENT,
                    "UNKNOWN 65535 UNKNOWN 65535"):             # no address at all
        wire.attach(OPEN)
        apply(wire, NO_SSH, session=session)
        wire.detach()


def test_in_another_namespace_a_session_does_not_count(wire):
    """The very policy that is refused at b0 is fine at the other end of the wire."""
    attach(wire, NO_SSH, ok=False)
    sh.shunt("attach", "a0", "-p", wire.policy(NO_SSH), ns=wire.a, **under(SESSION))


def test_a_session_counts_where_the_way_to_its_client_leads(wire):
    """The server's address is on lo, as that of a router often is."""
    wire.b.ip("addr add 198.51.100.1/32 dev lo")
    session = "%s %s 198.51.100.1 22" % (A4, CLIENT)
    assert "rule no-ssh" in attach(wire, NO_SSH, session=session, ok=False)


@pytest.mark.parametrize("garbage", [
    "garbage", "1 2 3 4", "%s 22" % A4, "%s 99999 %s 22" % (A4, B4), "%s 1 %s 65536" % (A4, B4),
    "%s -1 %s 22" % (A4, B4), "%s 1 %s 22 more" % (A4, B4), "%s 1 b0 22" % A4, "x" * 300,
    "%s 1 %s 22" % ("f" * 100, B4), "::1%%%s 1 %s 22" % ("b" * 80, B4), "%n%n%s %s",
    "\x1b[2J \xff \xfe 1",
])
def test_a_session_that_cannot_be_understood_is_refused(wire, traces, garbage):
    said = attach(wire, OPEN, session=garbage, ok=False)
    assert said.startswith('SSH_CONNECTION is "') and said.endswith(
        "not client, port, server, port: correct it, unset it if this is no session of SSH, or "
        "protect nobody with --force"), said
    traces.nothing_new()
    attach(wire, NO_SSH, "--force", session=garbage)


def test_an_empty_session_is_none(wire):
    attach(wire, NO_SSH, session="")


# --- by what it is locked out -------------------------------------------------------------

LOCKS = {
    "drop": (NO_SSH, "rule no-ssh", "drop"),
    "default": ({"default": "drop"}, "the default", "drop"),
    "tx": (rule("tx", dport=22), "rule mine", "tx"),
    "consumer-down": (to_consumer(), "rule mine", "redirect-consumer"),
    "consumer-drop": (to_consumer(if_down="drop"), "rule mine", "redirect-consumer"),
    "consumer-ring": (to_consumer("ring"), "rule mine", "redirect-consumer"),
    "interface": (rule({"redirect": {"interface": "b1"}}, dport=22), "rule mine",
                  "redirect-interface"),
    "set": ({"sets": {"bad": {"type": "address", "elements": [A4]}}, **rule("drop", src="@bad")},
            "rule mine", "drop"),
    "prefix": ({"sets": {"bad": {"type": "prefix", "elements": ["192.0.0.0/16"]}},
                **rule("drop", src="@bad")}, "rule mine", "drop"),
    "flags": (rule("drop", tcp_flags="ack"), "rule mine", "drop"),
    "client": (rule("drop", sport=int(CLIENT)), "rule mine", "drop"),
}


@pytest.mark.parametrize("name", LOCKS)
def test_whatever_keeps_the_session_from_the_kernel_is_refused(wire, name):
    policy, by, action = LOCKS[name]
    wire.further()
    wire.attach(OPEN)
    said = apply(wire, policy, ok=False)
    assert ": at hook xdp %s does \"%s\" to what comes in (reason " % (by, action) in said, said
    assert sh.shunt("show", "b0", ns=wire.b)["generation"] == 1
    stats = wire.stats().balances()
    assert stats.hook() == 0, "a test run counts nothing"
    assert wire.a.ping(B4, 2) == 2 and wire.seen(2).rule("pings") == 2
    wire.detach()
    assert by in attach(wire, policy, ok=False)


PASSES = {
    "other port": rule("drop", dport=23),
    "other client": rule("drop", src="192.0.2.77"),
    "new connections": rule("drop", dport=22, tcp_flags="syn/syn,ack"),
    "rule before": {"default": "drop", **rule("pass", dport=22)},
    "cpu": rule({"redirect": {"cpu": 0}}, dport=22),
    "malformed": {"malformed": "drop"},
    "malformed passes": {"malformed": "pass"},
    "other set": {"sets": {"bad": {"type": "address", "elements": ["192.0.2.77"]}},
                  **rule("drop", src="@bad")},
    "count": rule("count", dport=22),
    "sample": {"rules": [{"name": "mine", "match": {"proto": "tcp"}, "action": "pass",
                          "sample": {"one_in": 1, "bytes": 64}}]},
    "limit": {"rules": [{"name": "mine", "match": {"proto": "tcp"}, "action": "pass",
                         "limit": {"packets": 1, "burst": 1}}]},
    "answer": NO_ANSWER,
}


@pytest.mark.parametrize("name", PASSES)
def test_what_leaves_the_session_alone_comes_into_force(wire, name):
    wire.attach(OPEN)
    assert apply(wire, PASSES[name])["generation"] == 2
    assert apply(wire, PASSES[name])["generation"] == 3, "also where it rules already"


@pytest.mark.parametrize("hook, stops, passes, way", [
    ("tc-ingress", NO_SSH, NO_ANSWER, "comes in"),
    ("tc-egress", NO_ANSWER, NO_SSH, "it answers"),
    ("netfilter", NO_SSH, NO_ANSWER, "comes in"),
])
def test_each_hook_is_asked_about_what_it_sees(wire, hook, stops, passes, way):
    (name,) = [one["name"] for one in stops["rules"]]
    words = ': at hook %s rule %s does "drop" to what %s (reason rule)' % (hook, name, way)
    assert words in attach(wire, stops, "--hook", hook, ok=False)
    attach(wire, OPEN, "--hook", hook)
    with unchanged(wire):
        assert words in apply(wire, stops, ok=False)
    apply(wire, passes)


def test_all_hooks_are_asked(wire):
    wire.attach(OPEN, "--hook", "xdp", "--hook", "tc-ingress", "--hook", "tc-egress")
    with unchanged(wire):
        assert "at hook xdp rule no-ssh" in apply(wire, NO_SSH, ok=False)
        assert "at hook tc-egress rule no-answer" in apply(wire, NO_ANSWER, ok=False)


def test_a_further_hook_is_asked_before_it_joins(wire):
    attach(wire, NO_ANSWER)
    with unchanged(wire):
        said = attach(wire, None, "--hook", "tc-egress", ok=False)
        assert "at hook tc-egress rule no-answer" in said
    attach(wire, None, "--hook", "tc-ingress")
    attach(wire, None, "--hook", "tc-egress", "--force")


def test_a_refused_attach_leaves_nothing(wire, traces):
    attach(wire, NO_SSH, "--hook", "xdp", "--hook", "tc-ingress", ok=False)
    assert "xdp" not in wire.b.link("b0")
    traces.nothing_new()


def test_after_a_takeover_the_old_policy_rules_on(wire):
    """The next policy needs larger maps and other programs, which come before it is asked."""
    wire.attach(OPEN)
    assert wire.a.ping(B4, 3) == 3
    wire.seen(3)
    big = {"rules": [{"name": "r%d" % n, "match": {"src": "10.%d.%d.0/24" % (n >> 8, n & 255)},
                      "action": "drop"} for n in range(2000)] + NO_SSH["rules"]}
    assert "rule no-ssh" in apply(wire, big, ok=False)
    show = sh.shunt("show", "b0", ns=wire.b)
    assert show["generation"] == 1 and [one["name"] for one in show["rules"]] == ["pings", "none"]
    assert wire.a.ping(B4, 2) == 2
    assert wire.seen(5).rule("pings") == 5
    with unchanged(wire):
        assert "rule no-ssh" in apply(wire, big, ok=False)
    apply(wire, big, "--force")


# --- trials, rollback, restore ------------------------------------------------------------

def test_a_trial_is_guarded_and_a_way_back_from_it_is_not(wire):
    attach(wire, NO_SSH, "--force")
    assert "rule no-ssh" in apply(wire, NO_SSH, "--confirm", "60s", ok=False)
    apply(wire, OPEN, "--confirm", "60s")
    reply = sh.shunt("rollback", "b0", ns=wire.b, **under(SESSION))
    assert reply["again"] == 1 and reply["added"] == ["no-ssh"]


def test_a_rollback_to_a_policy_that_locks_out_is_refused(wire):
    attach(wire, NO_SSH, "--force")
    apply(wire, OPEN)
    with unchanged(wire):
        for words in (["rollback", "b0"], ["rollback", "b0", "1"]):
            said = sh.refused(*words, ns=wire.b, **under(SESSION))
            assert ME % (A4, CLIENT, B4) + ": at hook xdp rule no-ssh" in said
        said = sh.refused("rollback", "b0", "--protect", "proto=tcp,dport=22", ns=wire.b)
        assert "locks out the protected packet proto=tcp,dport=22" in said
    assert sh.shunt("rollback", "b0", "--force", ns=wire.b, **under(SESSION))["again"] == 1


def test_a_restore_that_locks_out_is_refused(wire, traces):
    attach(wire, NO_SSH, "--force")
    saved = wire.file("saved.json")
    sh.shunt("save", "-o", saved, ns=wire.b)
    apply(wire, OPEN)
    with unchanged(wire):
        done = sh.run("restore", saved, ns=wire.b, **under(SESSION))
    assert done.code == 1 and "rule no-ssh" in done.error
    (item,) = done.reply["instances"]
    assert item["outcome"] == "failed" and ME % (A4, CLIENT, B4) in item["error"]
    wire.detach()
    assert sh.run("restore", saved, ns=wire.b, **under(SESSION)).code == 1
    assert sh.run("restore", saved, "--protect", "proto=tcp,dport=22", ns=wire.b).code == 1
    traces.nothing_new()
    (item,) = sh.shunt("restore", saved, "--force", ns=wire.b, **under(SESSION))["instances"]
    assert item["outcome"] == "attached"


# --- packets that are named ---------------------------------------------------------------

def test_packets_that_are_named_are_protected(wire):
    wire.attach(OPEN)
    dns = "src=192.0.2.77,dst=192.0.2.2,proto=udp,dport=53"
    both = ["--protect", dns, "--protect", "src=2001:db8::77,proto=tcp,dport=443"]
    shut = {"dns": {"proto": "udp", "dport": 53}, "web": {"proto": "tcp", "dport": 443}}
    for name, match in shut.items():
        policy = {"rules": [{"name": name, "match": match, "action": "drop"}]}
        with unchanged(wire):
            said = sh.refused("apply", "b0", "-p", wire.policy(policy, "next.json"), *both,
                              ns=wire.b)
        protected = both[1] if name == "dns" else both[3]
        assert said == ("this policy locks out the protected packet %s: at hook xdp rule %s does "
                        '"drop" to what comes in (reason rule); let it pass, or insist with '
                        "--force" % (protected, name))
        sh.shunt("apply", "b0", "-p", wire.policy(policy), *both, "--force", ns=wire.b)
        wire.apply(OPEN)
    sh.shunt("apply", "b0", "-p", wire.policy(NO_SSH), *both, ns=wire.b)


@pytest.mark.parametrize("packet, answer", [
    ("proto=tcp,dport=22", {"tcp_flags": "syn,ack"}),
    ("proto=6,dport=22,tcp-flags=syn", {"tcp_flags": "syn,ack"}),
    ("proto=tcp,dport=22,tcp-flags=ack", {"tcp_flags": "ack"}),
    ("icmp=echo-request,src=192.0.2.1", {"icmp": "echo-reply", "dst": "192.0.2.1"}),
    ("proto=udp,sport=5000,dport=53", {"sport": 53, "dport": 5000}),
    ("src-mac=02:00:00:00:00:77", {"dst_mac": "02:00:00:00:00:77"}),
    ("vlan=7,src=2001:db8::1", {"vlan": 7, "dst": "2001:db8::1"}),
])
def test_at_egress_the_answer_is_protected(wire, packet, answer):
    shut = {"rules": [{"name": "answer", "match": answer, "action": "drop"}]}
    said = sh.refused("attach", "b0", "-p", wire.policy(shut), "--hook", "tc-egress", "--protect",
                      packet, ns=wire.b)
    assert "locks out the protected packet %s: at hook tc-egress rule answer" % packet in said
    # who opens no connections and asks nobody can still answer
    closed = {"rules": [{"name": "opens", "match": {"tcp_flags": "syn/syn,ack"}, "action": "drop"},
                        {"name": "asks", "match": {"icmp": "echo-request"}, "action": "drop"}]}
    sh.shunt("attach", "b0", "-p", wire.policy(closed), "--hook", "tc-egress", "--protect", packet,
             ns=wire.b)


@pytest.mark.parametrize("packet, words", [
    ("", 'protect "": "" is no key=value; say src=ADDRESS,'),
    ("dport", 'protect "dport": "dport" is no key=value'),
    ("dport=22,", 'protect "dport=22,": "" is no key=value'),
    ("=22", '"=22" is no key=value'),
    ("src=", '"src=" is no key=value'),
    ("dport=22,80", '"80" is no key=value'),
    ("colour=red", 'protect "colour=red": colour: unknown key "colour"; there are "src",'),
    ("src=banana", 'src: "banana" is not an IPv4 or IPv6 address'),
    ("src=192.0.2.1,dst=2001:db8::1", 'dst: could match no packet: it is for IPv6 only'),
    ("src=192.0.2.1,src=192.0.2.3", 'src: the key "src" stands here twice'),
    ("src=@x", 'src: there is no set "x"'),
    ("dport=99999", "dport: 99999 cannot be a port"),
    ("proto=tcp,dport=99999999999999999999", "dport: 1e+20 cannot be a port"),
    ("dport=ssh", 'dport: "ssh" is not a port'),
    ("proto=sshd", "proto: "),
    ("length=20000", "no frame of up to 9216 bytes is like that"),
    ("iface=b0", "no frame of up to 9216 bytes is like that"),
    ("proto=udp,tcp-flags=syn", "tcp_flags: "),
])
def test_a_packet_must_make_sense(wire, traces, packet, words):
    for command in (["attach", "b0"], ["apply", "b0"]):
        if command[0] == "apply":
            wire.attach(OPEN)
        said = sh.refused(*command, "-p", wire.policy(OPEN), "--protect", packet, ns=wire.b)
        assert said.startswith('protect "%s": ' % packet) and words in said, said
        assert "--frame" not in said
    wire.detach()
    traces.nothing_new()


# --- the real thing -----------------------------------------------------------------------

def talks(client, server, seconds=10):
    """A word and its echo over an open connection, each within so long."""
    for end in (client, server):
        end.settimeout(seconds * sh.PATIENCE)
    try:
        client.sendall(b"word")
        server.recv(4)
        server.sendall(b"echo")
        return client.recv(4) == b"echo"
    except TimeoutError:
        return False


@pytest.mark.parametrize("hook", ["xdp", "tc-egress"])
def test_a_connection_goes_on_over_a_refused_apply(wire, hook):
    listener, client = wire.b.socket(), wire.a.socket()
    listener.bind((B4, 22))
    listener.listen()
    client.connect((B4, 22))
    server, peer = listener.accept()
    with server:
        session = "%s %d %s %d" % (*peer, *server.getsockname())
        wire.attach(OPEN, "--hook", hook)
        shut = NO_SSH if hook == "xdp" else NO_ANSWER
        for _ in range(3):
            assert talks(client, server)
            apply(wire, shut, session=session, ok=False)
        assert talks(client, server)
        # and the guard was right
        apply(wire, shut, "--force", session=session)
        assert not talks(client, server, 0.2)


def test_environments_of_other_processes_do_not_matter(wire):
    """Only parents: a session beside this one is somebody else's."""
    wire.attach(OPEN)
    other = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             env={**os.environ, "SSH_CONNECTION": SESSION})
    try:
        wire.apply(NO_SSH)
    finally:
        other.stdin.close()
        other.wait(10)
