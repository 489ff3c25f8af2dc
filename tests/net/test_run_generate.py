# SPDX-License-Identifier: BSD-2-Clause
"""`run generate` and `run drop`: every frame is sound, numbers tell loss, and the pace is kept."""
import signal
import struct

import pytest

import frame as fr
import ports
import shunt as sh
from ports import end, end_accounted, read_pcap, run, seen, start, write_pcap


def generate(tmp_path, *options, name="out.pcap"):
    """What would be sent, as frames of a file."""
    path = tmp_path / name
    last = run("generate", "pcap:%s,write" % path, *options)
    frames = read_pcap(path)
    assert last["sent"] == len(frames) and last["sent_bytes"] == sum(map(len, frames))
    return frames


def transport(frame):
    """(protocol, sum over pseudo header and transport, which is 0 where it is right, payload)."""
    ip = frame[14:]
    if ip[0] >> 4 == 4:
        assert fr.checksum(ip[:20]) == 0
        size = int.from_bytes(ip[2:4], "big")
        proto, body, ends = ip[9], ip[20:size], ip[12:20]
    else:
        proto, body, ends = ip[6], ip[40:40 + int.from_bytes(ip[4:6], "big")], ip[8:40]
    pseudo = b"" if proto == fr.ICMP else ends + struct.pack("!II", len(body), proto)
    head = (body[12] >> 4) * 4 if proto == fr.TCP else 8
    return proto, fr.checksum(pseudo + body), body[head:], body


PACKETS = {
    "udp4": ["--src", "198.51.100.1", "--dst", "192.0.2.9", "--proto", "udp", "--dport", "53"],
    "tcp4": ["--src", "198.51.100.1", "--proto", "tcp", "--dport", "443", "--tcp-flags", "ack"],
    "icmp4": ["--src", "198.51.100.1", "--proto", "icmp"],
    "udp6": ["--src", "2001:db8::1", "--dst", "2001:db8::2", "--proto", "udp", "--sport", "65530"],
    "tcp6": ["--src", "2001:db8::1", "--proto", "tcp"],
    "icmp6": ["--src", "2001:db8::1", "--proto", "icmpv6", "--icmp-type", "echo-request"],
}


@pytest.mark.parametrize("size", [None, 101, 1514])
@pytest.mark.parametrize("kind", PACKETS)
def test_every_frame_is_sound_numbered_and_of_its_flow(tmp_path, kind, size):
    options = [*PACKETS[kind], "--packets", "40", "--flows", "16", "--number"]
    frames = generate(tmp_path, *options, *(["--size", str(size)] if size else []))
    flows = []
    for number, frame in enumerate(frames):
        assert size in (None, len(frame)) and len(frame) >= 60
        proto, fault, payload, body = transport(frame)
        assert fault == 0
        assert payload[:16] == b"shuntseq" + struct.pack("!Q", number)
        assert 14 + (20 if kind[-1] == "4" else 40) + len(body) == len(frame)
        flows.append(body[:2] if proto in (fr.TCP, fr.UDP) else
                     frame[26:30] if kind[-1] == "4" else frame[22:38])
    assert len(set(flows)) == 16 and flows[:24] == flows[16:]
    first = int.from_bytes(flows[0], "big")
    assert [(int.from_bytes(flow, "big") - first) % (1 << 8 * len(flow))
            for flow in flows[:16]] == list(range(16))


def test_frames_that_are_not_ip_differ_in_their_source_mac(tmp_path):
    frames = generate(tmp_path, "--eth-type", "0x88b5", "--flows", "3", "--packets", "6")
    assert len({frame[6:12] for frame in frames}) == 3 and frames[:3] == frames[3:]
    assert all(frame[12:14] == b"\x88\xb5" for frame in frames)


def test_a_capture_is_sent_once_or_as_often_as_it_takes(tmp_path):
    frames = ports.numbered(300)
    path = write_pcap(tmp_path / "in.pcap", frames)
    assert generate(tmp_path, "--pcap", path) == frames
    assert generate(tmp_path, "--pcap", path, "--packets", "700") == (frames * 3)[:700]


@pytest.mark.parametrize("arguments, part", [
    (["--rate", "fast"], "--rate"),
    (["--rate", "0"], "--rate"),
    (["--size", "59", "--proto", "tcp", "--number"], "at least"),
    (["--size", "70000"], "--size 70000"),
    (["--flows", "100000"], "--flows 100000"),
    (["--number", "--eth-type", "arp"], "numbers go behind a header"),
    (["--dport", "70000"], "--dport"),
    (["--pcap", "x", "--number"], "--number"),
    (["--pcap", "/nowhere/x"], "/nowhere/x"),
    (["--live"], "--live"),
    (["--burst", "65"], "--burst 65"),
])
def test_what_is_wrong_is_said(arguments, part):
    assert part in sh.refused("run", "generate", "pcap:/dev/null,write", *arguments)


# --- numbers ----------------------------------------------------------------------------------

def test_drop_says_which_numbers_are_missing_or_late(tmp_path):
    frames = generate(tmp_path, "--packets", "1000", "--number")
    moved = frames[:100] + frames[150:300] + frames[120:121] + frames[300:]  # 49 missing, 1 late
    path = write_pcap(tmp_path / "moved.pcap", moved)
    last = run("drop", "pcap:%s" % path, "--number")
    assert (last["numbered"], last["missing"], last["late"]) == (951, 49, 1)
    assert last["received"] == last["consumed"] == 951
    assert run("drop", "pcap:%s" % path)["numbered"] == 0


@pytest.mark.parametrize("kind", ["af_packet", "af_xdp"])
def test_what_is_sent_is_received_or_counted(kind):
    with sh.Wire() as wire:
        sink = start(wire.b, "drop", kind + ":b0", "--number")
        sent = run("generate", kind + ":a0", "--packets", "5000", "--rate", "50k", "--number",
                   "--flows", "100", ns=wire.a)
        assert sent["sent"] == 5000 and sent["ports"][0]["tx_packets"] == 5000
        last = end_accounted(sink, wire, 5000)
        assert last["missing"] <= 5000 - last["numbered"] and last["late"] == 0
        assert not wire.b.instances()


@pytest.mark.parametrize("options", [[], ["--src", "2001:db8::1", "--proto", "tcp", "--size", "200"]],
                         ids=["udp4", "tcp6"])
def test_live_frames_are_sound_and_counted(options):
    with sh.Wire() as wire:
        wire.b.run("ethtool", "-K", "b0", "gro", "on")  # else veth takes no redirected frames
        raw = wire.b.raw("b0")
        live = ["a0", "--live", "--number", "--flows", "7", *options]
        # a page for each in the socket's buffer: few fit
        assert run("generate", *live, "--packets", "30", ns=wire.a)["sent"] == 30
        for number in range(30):
            frame = sh.receive(raw, lambda got: b"shuntseq" in got)
            _, fault, payload, body = transport(frame)
            assert fault == 0
            assert payload[:16] == b"shuntseq" + struct.pack("!Q", number)
            assert int.from_bytes(body[:2], "big") == 40000 + number % 7
        sink = start(wire.b, "drop", "af_xdp:b0", "--number")
        sent = run("generate", *live, "--packets", "100000", ns=wire.a)
        assert sent["sent"] == 100000 and not sent["ports"]
        end_accounted(sink, wire, 100000)


# --- pace -------------------------------------------------------------------------------------

def test_a_rate_is_never_exceeded_nor_is_a_burst(tmp_path):
    """Judged by the time stamps of the frames themselves."""
    path, rate, burst = tmp_path / "out.pcap", 20000, 8
    last = run("generate", "pcap:%s,write" % path, "--rate", "20k", "--burst", str(burst),
               "--packets", "4000")
    stamped = [stamp for stamp, _ in read_pcap(path, times=True)]
    assert len(stamped) == last["sent"] == 4000
    assert last["seconds"] >= (4000 - 1) / rate
    for first in range(0, 4000 - burst - 1):
        # who is late catches up at twice the rate; a stamp is that of a burst
        for span in (burst + 1, 200):
            if first + span < 4000:
                took = (stamped[first + span] - stamped[first]) / 1e9
                assert took * 2 * rate >= span - 2 * burst, (first, span, took)


def test_the_rate_is_kept_on_average(tmp_path):
    last = run("generate", "pcap:%s,write" % (tmp_path / "out.pcap"), "--rate", "5000",
               "--duration", "1s")
    assert last["sent"] <= last["seconds"] * 5000 + 1
    assert last["sent"] >= 0.5 * last["seconds"] * 5000  # a machine may be busy for a while


def test_between_two_frames_it_sleeps(tmp_path):
    last = run("generate", "pcap:%s,write" % (tmp_path / "out.pcap"), "--rate", "200", "--packets",
               "40")
    # one that has waited for a CPU is late, and sends several at once
    assert last["workers"][0]["sleeps"] >= 10 and last["workers"][0]["bursts"] <= 40


def test_it_ends_in_good_order(tmp_path):
    with sh.Namespace() as ns:
        process = start(ns, "generate", "pcap:%s,write" % (tmp_path / "out.pcap"), "--rate", "1000")
        seen(process, "sent", 10)
        assert end(process, signal.SIGTERM)["sent"] == len(read_pcap(tmp_path / "out.pcap"))
