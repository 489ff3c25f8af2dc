# SPDX-License-Identifier: BSD-2-Clause
"""`run capture`: what was sent is in the file, byte for byte, with why; and what is not, is told."""
import os
import signal
import socket
import subprocess
import time

import pytest

import frame as fr
import pcapng
import shunt as sh
from numbered import Numbered, Server, of
from shunt import B4

UDP = {"proto": "udp"}
RING = {"default": "drop", "consumers": {"log": {"kind": "ring", "if_down": "drop"},
                                         "tap": {"kind": "xsk", "if_down": "drop"}}}


def rule(name, match, action="pass", **more):
    return {"name": name, "match": match, "action": action, **more}


def mirror(*rules):
    return {"rules": [dict(one, mirror="ring") for one in rules]}


def frames(count=60, port=5000, base=0):
    """Numbered, of all kinds of lengths, odd ones too."""
    made = []
    for number in range(count):
        payload = b"%08d" % (base + number) + bytes(range(number % 251)) * (number % 7)
        made.append(fr.eth(fr.ip4(fr.udp(payload[:1400], 4000, port))))
    return made


def capturing(wire, *options, source="b0", ready=None, ns=None):
    """Starts a capture into a file of the wire's; returns once packets would be in it."""
    path = wire.file("out.pcapng")
    ns = ns or wire.b
    process = ns.start(sh.BINARY, "run", "capture", source, "-w", path, "--netns", ns.name,
                       "--json", "--interval", "20ms", *options)
    process.path = path
    sh.wait(lambda: process.lines or process.popen.poll() is not None, "the capture to begin")
    assert process.popen.poll() is None, process.err
    return process


def stop(process):
    """Ends it by ^C: the last report, and the file."""
    assert process.end(signal.SIGINT) == 0, process.err
    last = process.replies()[-1]
    assert last["final"] and not any(reply["final"] for reply in process.replies()[:-1])
    return last, pcapng.read(process.path)


def written(process, packets):
    """Waits until so many are in the file."""
    return sh.wait(lambda: [one for one in process.replies() if one["written"] >= packets],
                   "%d packets of %s" % (packets, process.argv))[-1]


def seen(process, packets):
    return sh.wait(lambda: [one for one in process.replies() if one["seen"] >= packets],
                   "%d packets seen by %s" % (packets, process.argv))[-1]


# --- copies ---------------------------------------------------------------------------------

@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_copies_are_what_was_sent_and_say_why(wire, hook):
    wire.attach(mirror(rule("web", {**UDP, "dport": 5000}, "drop"),
                       rule("rest", UDP)), "--hook", hook)
    process = capturing(wire, "--copies")
    sent = frames() + frames(20, port=5001)
    before = time.time_ns()
    sh.send(wire.a.raw("a0"), *sent)
    written(process, 80)
    last, file = stop(process)
    assert (last["seen"], last["written"], last["lost"], last["files"]) == (80, 80, 0, 1)
    assert last["bytes"] == sum(map(len, sent))
    assert [packet.bytes for packet in file.packets] == sent
    assert file.interfaces == ["b0"]
    want = {"rule": "web", "verdict": "drop", "reason": "rule", "hook": hook, "kind": "mirror"}
    who = pcapng.XDP if hook == "xdp" else 1
    for number, packet in enumerate(file.packets):
        first = number < 60
        assert packet.known == (want if first else {**want, "rule": "rest", "verdict": "pass"})
        drop, let = (1, 2) if hook == "xdp" else (2, 0)
        assert packet.verdict == (who, drop if first else let)
        assert packet.number(pcapng.FLAGS) & 3 == 1, "inbound"
        assert packet.length == len(packet.bytes)
        assert before <= packet.time_ns <= time.time_ns()
    (stats,) = file.statistics
    assert (stats[pcapng.RECEIVED], stats[pcapng.DROPPED], stats[pcapng.DELIVERED]) == (80, 0, 80)
    rows = pcapng.tshark(process.path, "frame.comment", "udp.dstport", "frame.len")
    assert [row[0] for row in rows] == [packet.comment for packet in file.packets]
    assert [int(row[2]) for row in rows] == list(map(len, sent))
    assert not pcapng.tshark(process.path, "frame.number", only="_ws.malformed")


def test_only_what_is_asked_for_is_written(wire):
    wire.attach(mirror(rule("web", {**UDP, "dport": 5000}, "drop"), rule("rest", UDP)))
    sent = frames(30) + frames(30, port=5001)
    raw = wire.a.raw("a0")
    for options, want in [
            (["--rule", "rest"], sent[30:]),
            (["--verdict", "drop"], sent[:30]),
            (["--filter", "udp dst port 5001 and greater 200"],
             [one for one in sent[30:] if len(one) >= 200]),
            (["--rule", "web", "--filter", "less 100"], [one for one in sent[:30] if len(one) <= 100]),
            (["--reason", "limited"], []),
            (["--verdict", "pass", "--reason", "rule", "--rule", "web"], [])]:
        process = capturing(wire, "--copies", *options)
        sh.send(raw, *sent)
        seen(process, 60)
        last, file = stop(process)
        assert [packet.bytes for packet in file.packets] == want, options
        assert (last["seen"], last["written"], last["lost"]) == (60, len(want), 0)
        assert file.statistics[0][pcapng.ACCEPTED] == len(want)


def test_what_a_missing_consumer_missed_is_found_by_its_reason(wire):
    to = rule("to", {**UDP, "dport": 5000}, {"redirect": {"consumer": "log"}})
    wire.attach({**RING, "rules": [dict(to, mirror="ring"), rule("rest", UDP, mirror="ring")]})
    process = capturing(wire, "--copies", "--reason", "consumer-down")
    sh.send(wire.a.raw("a0"), *frames(10), *frames(10, port=5001))
    seen(process, 20)
    _, file = stop(process)
    assert [packet.bytes for packet in file.packets] == frames(10)
    assert {(p.known["rule"], p.known["verdict"], p.known["reason"]) for p in file.packets} == \
        {("to", "drop", "consumer-down")}


def test_names_follow_the_policy_that_ruled(wire):
    """Counters are handed out anew by an apply; a name is that of the packet's own policy."""
    names = ["first", "second", "third"]
    wire.attach(mirror(rule(names[0], UDP)))
    process = capturing(wire, "--copies")
    raw = wire.a.raw("a0")
    for number, name in enumerate(names):
        if number:
            wire.apply(mirror(rule(name, UDP)))
        sh.send(raw, *frames(10))
        written(process, 10 * (number + 1))
    _, file = stop(process)
    assert [packet.known["rule"] for packet in file.packets] == \
        [name for name in names for _ in range(10)]


def test_packets_are_cut_and_counted_out(wire):
    wire.attach(mirror(rule("all", UDP)))
    process = capturing(wire, "--copies", "--snap", "64", "--packets", "25", "--filter",
                        "udp dst port 5001")
    sent = frames(30, port=5001)
    sh.send(wire.a.raw("a0"), *frames(5), *sent)
    assert process.end() == 0
    last = process.replies()[-1]
    assert last["final"] and last["written"] == 25 and last["bytes"] <= 25 * 64
    file = pcapng.read(process.path)
    assert [packet.bytes for packet in file.packets] == [one[:64] for one in sent[:25]]
    assert [packet.length for packet in file.packets] == [len(one) for one in sent[:25]]


def test_nothing_is_lost_in_silence(wire):
    """The reader stands still while more comes than the ring has room for."""
    wire.attach(mirror(rule("all", UDP)))
    process = capturing(wire, "--copies")
    raw = wire.a.raw("a0")
    sh.send(raw, *frames(10))
    written(process, 10)
    process.popen.send_signal(signal.SIGSTOP)
    big = fr.eth(fr.ip4(fr.udp(b"y" * 1400, 4000, 5001)))
    sent = 0
    while not wire.stats()["copies"]["mirror_lost"]["packets"]:
        sh.send(raw, *[big] * 500)
        sent += 500
    process.popen.send_signal(signal.SIGCONT)
    lost = wire.stats()["copies"]["mirror_lost"]["packets"]
    written(process, 10 + sent - lost)
    sh.send(raw, *frames(1))
    written(process, 11 + sent - lost)
    sh.wait(lambda: process.replies()[-1]["lost"] == lost, "the loss to be told")
    sh.send(raw, *frames(1))
    last, file = stop(process)
    assert last["lost"] == lost > 0 and last["written"] + lost == 12 + sent == \
        file.statistics[0][pcapng.RECEIVED]
    assert file.statistics[0][pcapng.DROPPED] == lost
    assert sum(packet.number(pcapng.DROPS) for packet in file.packets) == lost


# --- consumers ------------------------------------------------------------------------------

@pytest.mark.parametrize("consumer", ["log", "tap"])
def test_what_a_consumer_gets_is_captured(wire, consumer):
    wire.attach({**RING, "rules": [rule("to", UDP, {"redirect": {"consumer": consumer}})]})
    process = capturing(wire, "--consumer", consumer)
    sent = frames(200)
    sh.send(wire.a.raw("a0"), *sent)
    written(process, 200)
    last, file = stop(process)
    assert last["consumer"] == consumer and last["lost"] == last["unread"] == 0
    assert [packet.bytes for packet in file.packets] == sent
    want = {"verdict": "redirect-consumer", "consumer": consumer}
    if consumer == "log":
        want.update(rule="to", reason="rule", hook="xdp", kind="consumer")
    for packet in file.packets:
        assert packet.known == want and packet.verdict == (pcapng.XDP, 4)
    assert wire.seen(200).verdict("redirect-consumer") == 200


# --- ports ----------------------------------------------------------------------------------

def test_a_packet_socket_s_packets_are_captured(wire):
    process = capturing(wire, "--filter", "udp", source="af_packet:b0")
    sent = frames(100)
    sh.send(wire.a.raw("a0"), *sent)
    written(process, 100)
    last, file = stop(process)
    assert [packet.bytes for packet in file.packets] == sent and last["lost"] == 0
    assert file.interfaces == ["af_packet:b0"]
    assert not file.packets[0].comment and file.packets[0].verdict is None


def test_a_ring_s_packets_are_captured_by_a_port(wire):
    wire.attach(mirror(rule("web", {**UDP, "dport": 5000}, "drop"), rule("rest", UDP)))
    process = capturing(wire, "--verdict", "drop", source="ringbuf:b0,copies")
    sh.send(wire.a.raw("a0"), *frames(50), *frames(50, port=5001))
    seen(process, 100)
    last, file = stop(process)
    assert [packet.bytes for packet in file.packets] == frames(50) and last["lost"] == 0
    assert {packet.comment for packet in file.packets} == \
        {"verdict=drop reason=rule hook=xdp kind=mirror"}


def test_a_file_is_filtered_into_another(wire):
    path = wire.file("in.pcap")
    sent = frames(50) + frames(50, port=5001)
    fr.write_pcap(path, sent)
    out = wire.file("out.pcapng")
    reply = sh.shunt("run", "capture", "pcap:" + path, "-w", out, "-f", "udp dst port 5001")
    assert (reply["seen"], reply["written"], reply["final"]) == (100, 50, True)
    assert [packet.bytes for packet in pcapng.read(out).packets] == sent[50:]
    done = subprocess.run([sh.BINARY, "run", "capture", "pcap:" + path, "-w", "-"],
                          capture_output=True, check=True)
    assert [packet.bytes for packet in pcapng.File(done.stdout).packets] == sent
    assert done.stderr == b"100 packets, 100 written to -, 0 lost\n"
    old = wire.file("out.pcap")
    sh.shunt("run", "capture", "pcap:" + path, "-w", old)
    assert [one for one, _ in fr.read_pcap(old)] == sent


def test_files_follow_each_other_by_size(wire):
    path, out = wire.file("in.pcap"), wire.file("cap.pcapng")
    sent = frames(400)
    fr.write_pcap(path, sent)
    reply = sh.shunt("run", "capture", "pcap:" + path, "-w", out, "--rotate-size", "16K")
    names = sorted(name for name in os.listdir(os.path.dirname(out)) if name.startswith("cap"))
    assert names == ["cap-%06d.pcapng" % (n + 1) for n in range(reply["files"])]
    assert reply["files"] > 5 and reply["file"].endswith(names[-1])
    files = [pcapng.read(os.path.join(os.path.dirname(out), name)) for name in names]
    assert [packet.bytes for file in files for packet in file.packets] == sent
    assert sum(file.statistics[0][pcapng.DELIVERED] for file in files) == 400
    for name in names[:-1]:
        assert 16384 <= os.path.getsize(os.path.join(os.path.dirname(out), name)) < 16384 + 2000
    again = wire.file("few.pcapng")
    few = sh.shunt("run", "capture", "pcap:" + path, "-w", again, "--rotate-size", "16K",
                   "--files", "2")
    left = sorted(name for name in os.listdir(os.path.dirname(out)) if name.startswith("few"))
    assert few["files"] == reply["files"]
    assert left == ["few-%06d.pcapng" % n for n in (few["files"] - 1, few["files"])]


def test_files_follow_each_other_by_time(wire):
    wire.attach(mirror(rule("all", UDP)))
    process = capturing(wire, "--copies", "--rotate-time", "30ms")
    sh.wait(lambda: process.replies()[-1]["files"] >= 3, "a third file")
    sh.send(wire.a.raw("a0"), *frames(10))
    last = written(process, 10)
    assert process.end(signal.SIGINT) == 0
    stem = process.path[:-len(".pcapng")]
    found = []
    for number in range(process.replies()[-1]["files"]):
        found += pcapng.read("%s-%06d.pcapng" % (stem, number + 1)).packets
    assert [packet.bytes for packet in found] == frames(10) and last["files"] >= 3


# --- what cannot be --------------------------------------------------------------------------

REFUSED = [
    (["--copies"], "into which file?"),
    (["-w", "x"], "what a consumer gets (--consumer NAME), or samples and mirrored"),
    (["-w", "x", "--copies", "--consumer", "log"], "what a consumer gets"),
    (["-w", "x", "--copies", "-f", "udp prot 53"], '--filter "udp prot 53": can'),
    (["-w", "x", "--copies", "-f", "ether host nonsense"], "ether host nonsense"),
    (["-w", "x", "--copies", "-V", "eat"], '--verdict "eat" is none; there are pass, drop'),
    (["-w", "x", "--copies", "--reason", "why"], '--reason "why" is none'),
    (["-w", "x", "--copies", "--reason", "unknown"], '--reason "unknown" is none'),
    (["-w", "x", "--copies", "--snap", "-1"], '--snap "-1" is no size'),
    (["-w", "x", "--copies", "--snap", "10X"], '--snap "10X" is no size'),
    (["-w", "x", "--copies", "--rotate-size", "0"], '--rotate-size "0" is no size'),
    (["-w", "x", "--copies", "--files", "3"], "--rotate-size or --rotate-time"),
    (["-w", "-", "--copies"], "standard output cannot take the capture and --json"),
    (["-w", "/none/x.pcapng", "--copies"], "/none/x.pcapng"),
    (["-w", "x", "--consumer", "tap", "--rule", "to"], 'give the consumer the kind "ring"'),
    (["-w", "x", "--consumer", "none"], "none"),
]


def test_what_cannot_be_captured_is_said(wire):
    wire.attach({**RING, "rules": [rule("to", UDP, {"redirect": {"consumer": "tap"}})]})
    for options, words in REFUSED:
        said = sh.refused("run", "capture", "b0", *options, ns=wire.b, cwd=wire.file(""))
        assert words in said, options
    assert not os.path.exists(wire.file("x"))


def test_a_port_that_cannot_receive_is_said(wire):
    words = sh.refused("run", "capture", "pcap:%s,write" % wire.file("y"), "-w", wire.file("x"))
    assert "lacks the capability" in words
    words = sh.refused("run", "capture", "pcap:" + wire.file("none"), "-w", wire.file("x"))
    assert "none" in words
    for options, words in ((["--rule", "web"], "a port does not name rules"),
                           (["--verdict", "drop"], "what comes by ringbuf:INTERFACE has"),
                           (["--copies"], "are for an interface")):
        assert words in sh.refused("run", "capture", "pcap:x", "-w", wire.file("x"), *options)


def test_what_comes_while_it_begins_and_ends_is_not_lost(wire):
    """It comes before or after the capture; what is in the file has no gap."""
    wire.attach(mirror(rule("all", UDP)))
    server = Server(wire)
    with Numbered(wire) as flow:
        for _ in range(5):
            process = capturing(wire, "--copies")
            flow.reaches(20)
            last, file = stop(process)
            came = [of(packet.bytes[42:]) for packet in file.packets]
            assert last["lost"] == 0 and len(came) >= 20, last
            assert came == list(range(came[0], came[-1] + 1))
    sh.wait(lambda: len(server.numbers) == flow.sent, "the last of them")


def test_it_says_on_the_way_and_at_the_end(wire):
    wire.attach(mirror(rule("all", UDP)))
    path = wire.file("out.pcapng")
    process = wire.b.start(sh.BINARY, "run", "capture", "b0", "--copies", "-w", path, "--netns",
                           wire.b.name, "--packets", "3")
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def ended():
        client.sendto(b"x", (B4, 5000))
        return process.popen.poll() is not None

    sh.wait(ended, "three packets")
    assert process.end() == 0
    assert process.err.endswith(b" packets, 3 written to %s, 0 lost\n" % path.encode())
    assert not process.out
