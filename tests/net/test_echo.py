# SPDX-License-Identifier: BSD-2-Clause
"""`run echo`: plain programs are answered from addresses that no kernel owns."""
import json
import os
import signal
import socket
import subprocess

import pytest

import frame as fr
import kernel
import pcapng
import shunt as sh

US4, US6 = "192.0.2.9", "2001:db8::9"
PLUGIN = os.path.join(os.path.dirname(sh.BINARY), "plugins", "dpdk.so")
PORTS = ["af_packet:b0", "af_xdp:b0"]
ADDRESSES = ["--address", US4 + "/24", "--address", US6 + "/64"]


def echo(wire, port, *options):
    """Starts it; returns once its workers have begun."""
    process = wire.b.start(sh.BINARY, "run", "echo", port, "--netns", wire.b.name, "--json",
                           "--interval", "20ms", *ADDRESSES, *options)
    sh.wait(lambda: process.lines or process.popen.poll() is not None, "the echo to begin")
    assert process.popen.poll() is None, process.err
    return process


def sums(reply):
    """(answered, unanswered), without zeroes."""
    (app,) = reply["applications"]
    return [{name: count for name, count in app[key].items() if count}
            for key in ("answered", "unanswered")]


def counted(process, key, name, count=1):
    """Waits until so many packets had this answer, or this reason for none."""
    index = ("answered", "unanswered").index(key)
    return sh.wait(lambda: sums(process.replies()[-1])[index].get(name, 0) >= count,
                   "%d %s packets to be counted" % (count, name))


def stop(process):
    """Ends it by ^C; every packet is accounted for."""
    assert process.end(signal.SIGINT) == 0, process.err
    last = process.replies()[-1]
    assert last["final"]
    answered, unanswered = sums(last)
    assert sum(answered.values()) == last["sent"] + sum(last["lost"].values())
    assert sum(unanswered.values()) == last["consumed"]
    assert last["received"] == last["sent"] + last["consumed"] + sum(last["lost"].values())
    return answered, unanswered


@pytest.fixture(params=PORTS)
def port(request):
    return request.param


def exchange(ns, family, address, payload, dport=7):
    client = ns.socket(family, socket.SOCK_DGRAM)
    client.settimeout(30)
    client.sendto(payload, (address, dport))
    return client.recvfrom(65536)


# --- plain programs ---------------------------------------------------------------------------

def test_plain_programs_are_answered(bare_wire, port):
    """Nobody knows a MAC address: ARP and NDP come first. Wireshark finds the answers sound."""
    wire = bare_wire
    process = echo(wire, port)
    capture = wire.capture(wire.a, "a0", "inbound and (arp or icmp or icmp6 or udp)")
    assert wire.a.ping(US4, 5) == 5
    assert wire.a.ping(US6, 5) == 5
    for size in (0, 1, 17, 1399):
        assert wire.a.ping(US4, 2, size=size) == 2
        assert wire.a.ping(US6, 2, size=size) == 2
    for size in (0, 1, 2, 33, 255, 1400, 1451, 1452):
        payload = bytes(byte % 251 for byte in range(size))
        for family, address in ((socket.AF_INET, US4), (socket.AF_INET6, US6)):
            answer, sender = exchange(wire.a, family, address, payload)
            assert answer == payload and sender[:2] == (address, 7)
    sh.captured(capture, 16, lambda frame: fr.is_udp_from(frame, 7))
    answered, _ = stop(process)
    assert answered.pop("arp") >= 1 and answered.pop("ndp") >= 1
    udp = answered.pop("udp", 0) + answered.pop("udp-partial", 0)
    assert udp == 16 and answered == {"icmp": 13, "icmp6": 13}
    assert pcapng.tshark(capture.path, "frame.number", only="udp.srcport == 7"), "there are some"
    sums_bad = " or ".join("%s.checksum.status == 0" % name
                           for name in ("ip", "udp", "icmp", "icmpv6"))
    from_us = "eth.src == 02:00:00:00:00:0b and (%s or _ws.malformed)" % sums_bad
    assert not pcapng.tshark(capture.path, "frame.number", only=from_us, checks=True)
    good = pcapng.tshark(capture.path, "ip.checksum.status", "udp.checksum.status", checks=True,
                         only="udp.srcport == 7 and ip")
    assert len(good) == 8 and {tuple(row) for row in good} == {("1", "1")}


def passed_on(ns):
    """Packets that the kernel got, for it cannot hand them over."""
    (hook,) = sh.shunt("stats", "b0", "--ledger", ns=ns)["hooks"]
    return sum(item["packets"] for item in hook["passed_by"] if item["name"] == "hook-cannot")


def told_multi_buffer(process):
    (port,) = process.replies()[-1]["ports"]
    (queue,) = port["describe"]["queues"]
    return queue["multi_buffer"]


def too_long_for_this_kernel(wire, process):
    """Before Linux 6.6 no AF_XDP socket takes a packet of several buffers: the kernel gets it."""
    assert wire.a.ping(US4, 2, size=1400) == 2  # it is known where that is
    assert wire.a.ping(US4, 3, size=8901, whole=True, seconds=0.2) == 0
    assert passed_on(wire.b) == 3
    answered, unanswered = stop(process)
    assert answered["icmp"] == 2 and not unanswered.get("fragment")
    assert not told_multi_buffer(process)


def test_jumbo_frames_are_answered_and_fragments_counted(wire6, port):
    wire = wire6
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.ip("link set %s mtu 9000" % name)
    process = echo(wire, port)
    if port.startswith("af_xdp") and not kernel.has("af-xdp-frags"):
        too_long_for_this_kernel(wire, process)
        return
    assert wire.a.ping(US4, 3, size=8901, whole=True) == 3
    answer, _ = exchange(wire.a, socket.AF_INET6, US6, b"j" * 8901)
    assert answer == b"j" * 8901
    assert wire.a.ping(US4, 1, size=12000, seconds=0.2) == 0
    counted(process, "unanswered", "fragment", 2)
    answered, unanswered = stop(process)
    assert answered["icmp"] == 3 and unanswered["fragment"] == 2
    assert not port.startswith("af_xdp") or told_multi_buffer(process)


def test_a_taken_address_is_found_by_its_duplicate(wire6, port):
    """The kernel of a gives itself our address, and asks whether it is taken."""
    process = echo(wire6, port)
    wire6.a.ip("addr add %s/64 dev a0" % US6)

    def flags():
        (link,) = json.loads(wire6.a.run("ip", "-6", "-j", "addr", "show", "dev", "a0").stdout)
        return [item for item in link["addr_info"] if item.get("local") == US6]

    sh.wait(lambda: any(item.get("dadfailed") for item in flags()), "the duplicate to be found")
    answered, _ = stop(process)
    assert answered["ndp"] >= 1


def test_ports_that_are_not_served_are_silent(wire, port):
    process = echo(wire, port, "--udp-port", "7,9000-9001")
    wire.a.ip("neigh replace %s lladdr 02:00:00:00:00:0b dev a0 nud permanent" % US4)
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(30)
    for dport in (8, 9002, 9001):
        client.sendto(b"%d" % dport, (US4, dport))
    assert client.recvfrom(100) == (b"9001", (US4, 9001))
    counted(process, "unanswered", "port", 2)
    _, unanswered = stop(process)
    assert unanswered["port"] == 2


@pytest.mark.skipif(not os.path.exists(PLUGIN), reason="libdpdk-dev is missing")
def test_a_port_of_dpdk_answers_as_well(bare_wire):
    process = echo(bare_wire, "dpdk:b0")
    assert bare_wire.a.ping(US4, 3) == 3
    assert bare_wire.a.ping(US6, 3, size=1399) == 3
    answer, _ = exchange(bare_wire.a, socket.AF_INET, US4, b"d" * 1400)
    assert answer == b"d" * 1400
    answered, _ = stop(process)
    assert (answered["icmp"], answered["icmp6"]) == (3, 3)


# --- raw frames -------------------------------------------------------------------------------

def test_tags_stay_on(wire, port):
    process = echo(wire, port)
    raw = wire.a.raw("a0")
    for tags in ([(0x8100, 10)], [(0x88A8, 20), (0x8100, 10)]):
        ask = fr.eth(fr.ip4(fr.icmp(payload=b"tagged!"), fr.ICMP, dst=US4), tags=tags)
        head = 14 + 4 * len(tags)
        want = fr.eth(fr.ip4(fr.icmp(0, payload=b"tagged!"), fr.ICMP, src=US4, dst=sh.A4),
                      tags=tags, src=fr.MAC_B, dst=fr.MAC_A)
        sh.send(raw, ask)
        # a packet socket has the outer tag beside the frame
        got = sh.receive(raw, lambda one, end=want[head:]: end in one)
        assert got[:12] == want[:12] and got.endswith(want[18:])
    answered, _ = stop(process)
    assert answered == {"icmp": 2}


def test_what_is_wrong_is_dropped_by_its_reason(wire, port):
    process = echo(wire, port)
    to_us = port.startswith("af_packet")  # the policy of a feed passes what is malformed
    good = fr.icmp(payload=b"x" * 20)
    bad_sum = good[:2] + b"\xde\xad" + good[4:]
    ip = fr.ip4(good, fr.ICMP, dst=US4)
    bad_ip = ip[:10] + b"\xde\xad" + ip[12:]
    udp = fr.udp(b"payload", 4000, 7)
    bad_udp = udp[:6] + b"\xde\xad" + udp[8:]
    group = b"\x01\x00\x5e\x00\x00\x01"
    asks = [
        ("checksum-icmp", fr.eth(fr.ip4(bad_sum, fr.ICMP, dst=US4))),
        ("checksum-ip4", fr.eth(bad_ip)),
        ("checksum-udp", fr.eth(fr.ip4(bad_udp, dst=US4))),
        ("malformed" if to_us else None, fr.eth(fr.ip4(good, fr.ICMP, dst=US4, length=2000))),
        ("options", fr.eth(fr.ip4(good, fr.ICMP, dst=US4, options=b"\x01" * 4))),
        ("fragment", fr.eth(fr.ip4(good + b"yyyy", fr.ICMP, dst=US4, more=True))),
        ("group", fr.eth(ip, dst=fr.BROADCAST)),
        ("group", fr.eth(fr.ip4(good, fr.ICMP, dst="192.0.2.255"), dst=fr.BROADCAST)),
        ("group", fr.eth(fr.ip4(good, fr.ICMP, dst="224.0.0.1"), dst=group)),
        ("source", fr.eth(fr.ip4(good, fr.ICMP, src="192.0.2.255", dst=US4))),
        ("source", fr.eth(fr.ip4(good, fr.ICMP, src=US4, dst=US4))),
        ("source", fr.eth(fr.ip4(good, fr.ICMP, src="224.0.0.1", dst=US4))),
        ("foreign", fr.eth(fr.ip4(good, fr.ICMP, dst="192.0.2.77"))),
        ("other", fr.eth(fr.ip4(fr.tcp(), fr.TCP, dst=US4))),
    ]
    raw = wire.a.raw("a0")
    sh.send(raw, *[ask for _, ask in asks])
    sh.send(raw, fr.eth(ip))
    counted(process, "answered", "icmp")
    answered, unanswered = stop(process)
    want = {}
    for reason in filter(None, (reason for reason, _ in asks)):
        want[reason] = want.get(reason, 0) + 1
    assert answered == {"icmp": 1} and unanswered == want
    # nothing but the one answer came back
    raw.setblocking(False)
    answers = []
    try:
        while True:
            frame, address = raw.recvfrom(2000)
            if address[2] != socket.PACKET_OUTGOING and frame[6:12] == fr.MAC_B:
                answers.append(frame)
    except BlockingIOError:
        pass
    assert len(answers) == 1


# --- files, configurations ----------------------------------------------------------------------

def test_a_file_is_answered_into_another(wire):
    asks = [fr.eth(fr.ip4(fr.icmp(payload=b"%d" % n), fr.ICMP, dst=US4)) for n in range(100)]
    wants = [fr.eth(fr.ip4(fr.icmp(0, payload=b"%d" % n), fr.ICMP, src=US4, dst="192.0.2.1"),
                    src=fr.MAC_B, dst=fr.MAC_A) for n in range(100)]
    arp = fr.eth(fr.arp(target=US4), 0x0806, dst=fr.BROADCAST)
    path, out = wire.file("in.pcap"), wire.file("out.pcapng")
    fr.write_pcap(path, [arp] + asks + [arp[:30]])
    done = sh.run("run", "echo", "pcap:" + path, "pcap:%s,write" % out, *ADDRESSES, "--mac",
                  "02:00:00:00:00:0b")
    assert done.code == 0, done
    answered, unanswered = sums(done.replies[-1])
    assert answered == {"arp": 1, "icmp": 100} and unanswered == {"malformed": 1}
    found = [packet.bytes for packet in pcapng.read(out).packets]
    assert found[1:] == wants
    assert found[0][:22] == fr.MAC_A + fr.MAC_B + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02"


def test_an_echo_of_a_configuration(wire):
    path, out = wire.file("in.pcap"), wire.file("out.pcap")
    fr.write_pcap(path, [fr.eth(fr.ip4(fr.udp(b"x", 4000, port), dst=US4)) for port in (7, 8)])
    config = {"schema": "shunt.runtime/1",
              "ports": {"in": "pcap:" + path, "out": "pcap:%s,write" % out},
              "workers": {"one": {"applications": ["host"]}},
              "applications": {"host": {"app": "echo", "ports": ["in", "out"], "addresses": [US4],
                                        "mac": "02:00:00:00:00:0b", "udp_ports": "7"}}}
    sh.validator("runtime").validate(config)
    file = wire.file("run.json")
    with open(file, "w", encoding="utf-8") as to:
        json.dump(config, to)
    done = sh.run("run", "app", file)
    assert done.code == 0, done
    assert sums(done.replies[-1]) == [{"udp": 1}, {"port": 1}]
    assert len(fr.read_pcap(out)) == 1
    for key, value, words in (("addresses", ["192.0.2.300"], "/applications/host/addresses/0"),
                              ("addresses", [], "at least one address"),
                              ("mac", "02:00", "/applications/host/mac"),
                              ("udp_ports", "x", "/applications/host/udp_ports"),
                              ("udp_port", "7", "udp_port")):
        wrong = json.loads(json.dumps(config))
        wrong["applications"]["host"][key] = value
        with open(file, "w", encoding="utf-8") as to:
            json.dump(wrong, to)
        done = sh.run("run", "app", file, "--check")
        assert done.code == 1 and words in done.out + done.err, (key, done)


REFUSED = [
    ([], "for which addresses? --address says"),
    (["--address", "192.0.2.255/24"], '"192.0.2.255/24": it is no address of one host'),
    (["--address", US4, "--address", US4], "given twice"),
    (["--address", US4, "--mac", "01:00:00:00:00:01"], "no MAC address of one host"),
    (["--address", US4, "--udp-port", "7-"], 'answer UDP to "7-"'),
]


def test_what_cannot_be_answered_for_is_said(wire):
    for options, words in REFUSED:
        assert words in sh.refused("run", "echo", "af_packet:b0", *options, ns=wire.b), options


def test_a_port_without_an_interface_needs_a_mac(wire):
    path = wire.file("in.pcap")
    fr.write_pcap(path, [])
    words = sh.refused("run", "echo", "pcap:" + path, "--address", US4)
    assert "cannot send the answers" in words
    words = sh.refused("run", "echo", "pcap:" + path, "pcap:%s,write" % wire.file("out.pcap"),
                       "--address", US4)
    assert "--mac" in words


def test_sums_by_another_row_are_the_same(wire):
    path = wire.file("in.pcap")
    fr.write_pcap(path, [fr.eth(fr.ip4(fr.icmp(payload=b"y" * n), fr.ICMP, dst=US4))
                         for n in range(0, 1400, 7)])
    outs = []
    for row in ("scalar", "words", None):
        out = wire.file("out.pcap")
        env = {"SHUNT_CSUM": row} if row else {}
        done = subprocess.run(
            [sh.BINARY, "run", "echo", "pcap:" + path, "pcap:%s,write" % out, *ADDRESSES, "--mac",
             "02:00:00:00:00:0b"], env=env, capture_output=True, text=True, check=True)
        assert "answered     icmp" in done.stdout
        outs.append([frame for frame, _ in fr.read_pcap(out)])
    assert len(outs[0]) == 200 and outs[0] == outs[1] == outs[2]
    done = subprocess.run([sh.BINARY, "run", "echo", "pcap:" + path, *ADDRESSES],
                          env={"SHUNT_CSUM": "abacus"}, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and 'add checksums by "abacus"' in done.stderr
