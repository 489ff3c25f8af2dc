# SPDX-License-Identifier: BSD-2-Clause
"""Rewrites, limits, samples, mirrors and ring consumers, with real traffic."""
import json
import re
import signal
import socket
import subprocess

import pytest

import frame as fr
import kernel
import shunt as sh
from shunt import A4, B4, B6

FAR4, FAR6 = "198.51.100.9", "2001:db8:9::9"
UDP4 = {"eth_type": "ipv4", "proto": "udp"}


def rule(name, match, action="pass", **mods):
    return {"name": name, "match": match, "action": action, **mods}


# --- rewrites -----------------------------------------------------------------------------

def translation():
    """What is sent to a far address arrives here, and what answers comes from there."""
    rules = []
    for family, near, far in (("ipv4", B4, FAR4), ("ipv6", B6, FAR6)):
        tcp = {"eth_type": family, "proto": "tcp"}
        rules += [rule("in-" + family, {**tcp, "dst": far, "dport": 8080},
                       rewrite={"dst": near, "dport": 80}),
                  rule("out-" + family, {**tcp, "src": near, "sport": 80},
                       rewrite={"src": far, "sport": 8080, "ttl": "decrement"})]
    return {"rules": rules}


def far_away(wire):
    """Routes and neighbours for the far addresses, from a."""
    wire.a.ip("route add %s/32 dev a0" % FAR4, "route add %s/128 dev a0" % FAR6,
              "neigh replace %s lladdr 02:00:00:00:00:0b dev a0 nud permanent" % FAR4,
              "neigh replace %s lladdr 02:00:00:00:00:0b dev a0 nud permanent" % FAR6)


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_tcp_goes_through_a_translation(wire6, hook):
    wire = wire6
    far_away(wire)
    if hook == "xdp":
        wire.whole_checksums()
    wire.attach(translation(), "--hook", hook, "--hook", "tc-egress")
    for family, far in (("ipv4", FAR4), ("ipv6", FAR6)):
        for way in ((), ("-R",)):
            server = wire.b.start("iperf3", "-s", "-1", "-p", "80", "--forceflush")
            server.says("Server listening")
            done = wire.a.run("iperf3", "-c", far, "-p", "8080", "-n", "20M", *way, seconds=50)
            assert "receiver" in done.stdout, done
            server.end()
        stats = wire.still()
        assert stats.rule("in-" + family) > 20 and stats.rule("out-" + family) > 20
    assert wire.stats().reason("rewrite-failed") == 0


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_curl_fetches_a_file_through_a_translation(wire6, hook):
    wire = wire6
    far_away(wire)
    if hook == "xdp":
        wire.whole_checksums()
    wire.attach(translation(), "--hook", hook, "--hook", "tc-egress")
    path = wire.file("served")
    with open(path, "wb") as file:
        file.write(b"0123456789" * 50000)
    server = wire.b.start("python3", "-u", "-m", "http.server", "80", "--bind", "::",
                          "--directory", path.rpartition("/")[0])
    sh.wait(lambda: "Serving HTTP" in server.out.decode(), "the server")
    for host in (FAR4, "[%s]" % FAR6):
        done = wire.a.run("curl", "-sSf", "--max-time", "20", "http://%s:8080/served" % host)
        assert done.stdout == "0123456789" * 50000


def checksums(path):
    """What tshark says about every frame that came in: (protocols, bad sums)."""
    fields = ["frame.protocols", "ip.checksum.status", "tcp.checksum.status",
              "udp.checksum.status", "icmpv6.checksum.status"]
    argv = ["tshark", "-r", path, "-T", "fields", "-E", "separator=|"]
    for name in ("ip", "tcp", "udp"):
        argv += ["-o", name + ".check_checksum:TRUE"]
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_tshark_finds_all_checksums_right(wire6, hook):
    """Packets come back rewritten; tshark knows nothing of Shunt."""
    wire = wire6
    if hook == "xdp":
        wire.returns()
    wire.whole_checksums()
    change = {"dscp": 46, "ttl": 9, "src_mac": "02:00:00:00:00:77"}
    rules = []
    for family, address in (("ipv4", "203.0.113.7"), ("ipv6", "2001:db8:7::7")):
        match = {"eth_type": family}
        rules += [rule(proto + family, {**match, "proto": proto}, "tx",
                       rewrite={**change, "src": address, "sport": 7, "dport": 65535})
                  for proto in ("tcp", "udp")]
    rules.append(rule("ping6", {"eth_type": "ipv6", "proto": "icmpv6",
                                "icmp": {"type": "echo-request"}}, "tx",
                      rewrite={**change, "src": "2001:db8:8::8"}))
    wire.attach({"rules": rules}, "--hook", hook)
    capture = wire.capture(wire.a, "a0", "ether src 02:00:00:00:00:77")
    for family, host in ((socket.AF_INET, B4), (socket.AF_INET6, B6)):
        client = wire.a.socket(family, socket.SOCK_DGRAM)
        for size in (0, 1, 700, 1401):
            client.sendto(b"x" * size, (host, 5000))
        stream = wire.a.socket(family, socket.SOCK_STREAM)
        stream.setblocking(False)
        with pytest.raises(BlockingIOError):
            stream.connect((host, 80))
    assert wire.a.ping(B6, 3, seconds=0.05) == 0
    sh.captured(capture, 13)
    rows = checksums(capture.path)
    assert len(rows) >= 13
    for protocols, *status in rows:
        assert "0" not in status, (protocols, status)
        assert "1" in status, (protocols, status)
    text = wire.a.run("tcpdump", "-nvr", capture.path).stdout
    assert "203.0.113.7.7 > 192.0.2.2.65535" in text and "2001:db8:7::7.7 > " in text
    assert "2001:db8:8::8 > 2001:db8::2: [icmp6 sum ok] ICMP6, echo request" in text
    assert "ttl 9" in text and "hlim 9" in text and "tos 0xb8" in text


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_a_tag_is_popped_on_the_way_in(wire, hook):
    wire.attach({"rules": [rule("in", {"vlan": 7}, rewrite={"vlan": "pop"})]}, "--hook", hook)
    server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 5000))
    server.settimeout(30)
    sh.send(wire.a.raw("a0"), fr.eth(fr.ip4(fr.udp(b"tagged")), tags=[(0x8100, 7)]))
    assert server.recv(64) == b"tagged"
    assert wire.stats().rule("in") == 1


def test_a_tag_is_pushed_and_changed_on_the_way_out(wire):
    wire.attach({"rules": [rule("push", {"dport": 5001, **UDP4}, rewrite={"vlan": {"push": 9}})]},
                "--hook", "tc-egress")
    capture = wire.capture(wire.a, "a0", "udp or vlan")
    client = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.sendto(b"plain", (A4, 5000))
    client.sendto(b"pushed", (A4, 5001))
    sh.captured(capture, 2)
    (plain, _), (pushed, _) = fr.read_pcap(capture.path)
    assert plain[12:14] == b"\x08\x00" and pushed[12:18] == b"\x81\x00\x00\x09\x08\x00"


def test_a_packet_at_its_end_is_dropped(wire):
    wire.attach({"rules": [rule("hop", UDP4, rewrite={"ttl": "decrement"})]})
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for ttl in (64, 2, 1):
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        client.sendto(b"x", (B4, 5000))
    assert wire.seen(3).reasons() == {"rule": 2, "ttl-expired": 1}


def test_a_veth_s_missing_checksums_are_warned_of(wire):
    policy = {"rules": [rule("nat", {**UDP4, "dport": 53}, rewrite={"dport": 5353})]}
    (warning,) = wire.attach(policy)["warnings"]
    assert warning.startswith("rule nat: b0 is a veth") and "ethtool -K PEER tx off" in warning


# --- limits -------------------------------------------------------------------------------

def test_a_limit_lets_its_burst_pass(wire):
    limit = {"bytes": 1, "burst": 2000}
    wire.attach({"rules": [rule("few", {**UDP4, "dport": 5000}, limit=limit)]})
    sh.datagrams(wire, 50, size=458)  # frames of 500 bytes
    stats = wire.seen(50)
    assert stats.reasons() == {"rule": 4, "limited": 46}
    assert stats.rule("few") == 50 and stats.verdict("drop") == 46
    # explain says what would happen now, and takes nothing
    reply = sh.shunt("explain", "b0", "-f", fr.eth(fr.ip4(fr.udp(b"x" * 458))).hex(), ns=wire.b)
    assert (reply["verdict"], reply["reason"], reply["rule"]) == ("drop", "limited", "few")


def test_a_limit_outlives_an_apply(wire):
    limited = rule("few", {**UDP4, "dport": 5000}, limit={"bytes": 1, "burst": 2000,
                                                          "per": "source"})
    wire.attach({"rules": [limited]})
    sh.datagrams(wire, 10, size=458)
    wire.apply({"rules": [rule("tcp", {"proto": "tcp"}, "drop"), limited]})
    sh.datagrams(wire, 10, size=458)
    assert wire.seen(20).reasons() == {"rule": 4, "limited": 16}


# --- samples and mirrors ------------------------------------------------------------------

def sampling(wire, *options, json=True):
    argv = [sh.BINARY, "run", "sample", "b0", "--netns", wire.b.name, *options]
    process = wire.b.start(*argv, *(["--json"] if json else []))
    sh.wait(lambda: reading(wire) or process.popen.poll() is not None, "the reader")
    assert process.popen.poll() is None, process.err
    return process


def reading(wire):
    """Does a ring stand in its place? A second reader would be refused."""
    path = "/sys/fs/bpf/shunt/v1/ns%d:b0/maps/ring" % wire.b.cookie
    done = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", path], capture_output=True,
                          text=True, check=True)
    return len(json.loads(done.stdout)) > 0


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_samples_name_their_rule_and_verdict(wire, hook):
    wire.attach({"rules": [rule("every", {**UDP4, "dport": 5000}, "drop",
                                sample={"one_in": 1, "bytes": 64}),
                           rule("some", {**UDP4, "dport": 5001}, sample={"one_in": 10})]},
                "--hook", hook)
    process = sampling(wire)
    sh.datagrams(wire, 30, size=100)
    sh.wait(lambda: len(process.lines) == 30, "30 samples")
    sh.datagrams(wire, 2000, port=5001)
    stats = wire.seen(2030, hook)
    copies = stats["copies"]
    sampled = copies["sampled"]["packets"]
    assert 200 - 81 < sampled - 30 < 200 + 81  # six sigma of a binomial
    assert copies["sample_lost"]["packets"] == copies["mirrored"]["packets"] == 0
    sh.wait(lambda: len(process.lines) == sampled, "all samples")
    assert process.end(signal.SIGINT) == 0
    replies = process.replies()
    for reply in replies[:30]:
        assert (reply["rule"], reply["verdict"], reply["reason"]) == ("every", "drop", "rule")
        assert (reply["kind"], reply["hook"]) == ("sample", hook)
        assert (reply["length"], reply["captured"]) == (142, 64)
        assert reply["packet"]["dport"] == 5000
    assert all((reply["rule"], reply["verdict"], reply["captured"]) == ("some", "pass", 62)
               for reply in replies[30:])
    assert process.err.decode() == "%d copies, 0 lost\n" % sampled
    # nobody reads any more
    sh.datagrams(wire, 5)
    assert wire.seen(2035, hook)["copies"]["sample_lost"]["packets"] == 5


def test_samples_for_people_and_as_a_capture(wire):
    wire.attach({"rules": [rule("every", UDP4, mirror="ring")]})
    process = sampling(wire, json=False)
    sh.datagrams(wire, 1)
    sh.wait(lambda: process.lines, "a line")
    assert process.end(signal.SIGINT) == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6} mirror xdp rule every: pass \(rule\) 62 "
                        r"192\.0\.2\.1:\d+ > 192\.0\.2\.2:5000 udp", process.lines[0])
    path = wire.file("copies.pcap")
    process = sampling(wire, "-W", path, json=False)
    sent = fr.eth(fr.ip4(fr.udp(b"x" * 99)))
    sh.send(wire.a.raw("a0"), sent)
    sh.wait(lambda: fr.read_pcap(path), "a packet in the file")
    assert process.end(signal.SIGTERM) == 0
    assert fr.read_pcap(path) == [(sent, len(sent))]


def test_a_ring_has_one_reader(wire):
    wire.attach({"rules": [rule("every", UDP4, mirror="ring")]})
    sampling(wire)
    words = sh.refused("run", "sample", "b0", ns=wire.b)
    assert "another process reads" in words, words


def test_a_reader_that_is_killed_makes_room_for_the_next(wire):
    wire.attach({"rules": [rule("every", UDP4, mirror="ring")]})
    process = sampling(wire)
    process.end(signal.SIGKILL)
    assert reading(wire)
    process = sampling(wire, "--packets", "3")
    sh.wait(lambda: (sh.datagrams(wire, 1), process.popen.poll() is not None)[1], "three copies")
    assert process.end() == 0 and len(process.lines) == 3
    assert not reading(wire)
    process = sampling(wire)
    process.end(signal.SIGKILL)
    wire.apply({"rules": []})
    assert not reading(wire)


def test_a_mirror_sends_whole_packets_out_of_another_interface(wire):
    c = wire.further()
    policy = {"rules": [rule("copy", UDP4, mirror={"interface": "b1"})]}
    wire.attach(policy, "--hook", "tc-ingress")
    server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 5000))
    server.settimeout(30)
    capture = wire.capture(c, "c0", "udp")
    frames = [fr.eth(fr.ip4(fr.udp(b"x" * size))) for size in (18, 1400)]
    sh.send(wire.a.raw("a0"), *frames)
    sh.captured(capture, 2)
    assert [one for one, _ in fr.read_pcap(capture.path)] == frames
    assert [len(server.recv(2000)) for _ in range(2)] == [18, 1400]
    assert wire.seen(2, "tc-ingress")["copies"]["mirrored"]["packets"] == 2


def test_xdp_cannot_mirror_to_an_interface_and_says_so(wire):
    wire.further()
    reply = wire.attach({"rules": [rule("copy", UDP4, mirror={"interface": "b1"})]})
    (warning,) = reply["warnings"]
    assert warning.startswith("rule copy: xdp cannot copy a packet to an interface")
    assert "tc-ingress" in warning and '"ring"' in warning
    checked = sh.shunt("check", wire.policy({"rules": [rule("copy", UDP4,
                                                            mirror={"interface": "b1"})]}))
    cannot = {hook["hook"]: [said["pointer"] for said in hook["cannot"]]
              for hook in checked["hooks"]}
    assert cannot == {"xdp": ["/rules/0/mirror"], "tc-ingress": [], "tc-egress": [],
                      "netfilter": ["/rules/0/mirror"]}
    sh.datagrams(wire, 4)
    stats = wire.seen(4)
    assert stats.verdict("pass") == 4 and stats["copies"]["mirror_lost"]["packets"] == 4
    words = sh.refused("apply", "b0", "-p",
                       wire.policy({"rules": [rule("copy", {}, mirror={"interface": "none0"})]}),
                       ns=wire.b)
    assert "rule copy mirrors to interface none0, which does not exist" in words


# --- ring consumers -----------------------------------------------------------------------

def consumers(kind):
    return {"consumers": {"tap": {"kind": kind, "if_down": "pass"}},
            "rules": [rule("tap", {"proto": "udp", "dport": 5000},
                           {"redirect": {"consumer": "tap"}})]}


def consume(wire, app, *options):
    return sh.consume(wire, app, lambda _: reading(wire), "--json", *options)


@pytest.mark.parametrize("hook,kind", [("xdp", "ring"), ("tc-ingress", "ring"),
                                       ("tc-ingress", "xsk")])
def test_a_ring_consumer_counts_what_was_sent(wire, hook, kind):
    reply = wire.attach(consumers(kind), "--hook", hook)
    own = [words for words in reply["warnings"] if words not in kernel.fallbacks(hook)]
    assert len(own) == (kind == "xsk") and all("by a ring buffer" in words for words in own)
    sh.datagrams(wire, 3)
    process = consume(wire, "count", "--interval", "20ms")
    sh.datagrams(wire, 1000)
    sh.wait(lambda: [reply for reply in process.replies() if reply["packets"] == 1000], "1000")
    assert process.end(signal.SIGINT) == 0
    last = process.replies()[-1]
    assert last["final"] and last["packets"] == 1000 and last["bytes"] == 62 * 1000
    assert [queue["queue"] for queue in last["queues"]] == [None]
    sh.datagrams(wire, 2)
    stats = wire.seen(1005, hook)
    assert stats.reasons() == {"rule": 1000, "consumer-down": 5}
    assert stats.verdict("redirect-consumer") == 1000 and stats.verdict("pass") == 5


def test_a_socket_and_a_ring_serve_one_consumer(wire):
    wire.attach(consumers("xsk"), "--hook", "xdp", "--hook", "tc-egress")
    process = consume(wire, "count", "--interval", "20ms")
    sh.datagrams(wire, 10)
    back = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(7):
        back.sendto(b"x", (A4, 5000))
    sh.wait(lambda: [reply for reply in process.replies() if reply["packets"] == 17], "17")
    assert process.end(signal.SIGINT) == 0
    queues = {queue["queue"]: queue["packets"] for queue in process.replies()[-1]["queues"]}
    assert queues == {0: 10, None: 7}


def test_a_dump_of_a_ring_shows_tags_in_their_place(wire):
    policy = consumers("ring")
    policy["rules"][0]["match"]["vlan"] = 7
    wire.attach(policy, "--hook", "tc-ingress")
    process = consume(wire, "dump", "--packets", "1")
    sh.send(wire.a.raw("a0"), fr.eth(fr.ip4(fr.udp(b"x")), tags=[(0x8100, 7)]))
    assert process.end() == 0
    (reply,) = process.replies()
    assert reply["queue"] is None and reply["packet"]["vlan"] == [7]
    assert reply["packet"]["dport"] == 5000


def test_a_consumer_notices_that_it_is_detached(wire):
    wire.attach(consumers("ring"))
    process = consume(wire, "count")
    wire.detach()
    sh.wait(lambda: process.popen.poll() is not None, "the consumer to end")
    assert process.popen.returncode == 1
    assert b"was detached" in process.err
