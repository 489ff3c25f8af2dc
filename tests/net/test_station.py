# SPDX-License-Identifier: BSD-2-Clause
"""raw://, afxdp:// and dpdk://: ordinary UDP sockets are their peers, and the wire is clean."""
import json
import os
import socket
import subprocess
import threading

import pytest

import frame as fr
import pcapng
import shunt as sh

PROGRAM = os.path.join(os.path.dirname(sh.BINARY), "tests", "net", "station")
PLUGIN = os.path.join(os.path.dirname(sh.BINARY), "plugins", "dpdk.so")
PORT = 40123
SIZES = (0, 1, 2, 33, 255, 1400)
PEERS = {4: (socket.AF_INET, sh.A4, sh.B4, 1472), 6: (socket.AF_INET6, sh.A6, sh.B6, 1452)}
NEW_MAC = "02:00:00:00:00:99"


def uri(scheme, family=4, **options):
    """Where a station of b is: bare datagrams, by b0."""
    address = PEERS[family][2]
    text = "&".join("%s=%s" % item for item in options.items())
    return "%s://%s:%d?header=off%s" % (scheme, "[%s]" % address if family == 6 else address, PORT,
                                        text and "&" + text)


class Station:
    """tests/net/station.c in b, or another namespace."""

    def __init__(self, wire, how, where, ns=None):
        self.popen = subprocess.Popen((ns or wire.b).argv(PROGRAM, how, where), text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.first = self.read()

    def read(self):
        return json.loads(self.popen.stdout.readline())

    def ask(self, line="?"):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self.read()

    def say(self, address, payload, port=5000):
        """What the answer to this was."""
        where = "[%s]" % address if ":" in address else address
        answer = self.ask("%s:%d %s" % (where, port, payload.hex()))
        return bytes.fromhex(answer["bytes"]) if "bytes" in answer else answer["error"]

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.popen.stdin.close()
        code = self.popen.wait(60)
        self.popen.stdout.close()
        assert why[0] or code == 0, code


def refused(wire, where):
    """The sentence of an open that fails."""
    done = subprocess.run(wire.b.argv(PROGRAM, "echo", where), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1, done
    return json.loads(done.stdout)["error"]


def exchange(ns, family, address, payload, client=None):
    if client is None:
        client = ns.socket(family, socket.SOCK_DGRAM)
    client.settimeout(30)
    client.sendto(payload, (address, PORT))
    answer, sender = client.recvfrom(65536)
    assert sender[:2] == (address, PORT)
    return answer


def answer_on(ns, family, address):
    """An ordinary socket that answers with what it got, the other way round."""
    server = ns.socket(family, socket.SOCK_DGRAM)
    server.bind((address, 5000))

    def serve():
        try:
            while True:
                payload, sender = server.recvfrom(65536)
                server.sendto(payload[::-1], sender)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    return server


def clean(capture, count):
    """Whatever came from b is sound, and b never called our port unreachable."""
    sh.captured(capture, count, lambda frame: fr.is_udp_from(frame, PORT))
    rows = pcapng.tshark(capture.path, "udp.srcport", "udp.checksum.status", "ip.checksum.status",
                         "icmpv6.checksum.status", "icmp.type", "icmpv6.type", "_ws.malformed",
                         "_ws.expert.severity", only="eth.src == 02:00:00:00:00:0b", checks=True,
                         data=PORT)
    rows = [row + [""] * (8 - len(row)) for row in rows]
    assert [row[1] for row in rows if row[0] == str(PORT)] == ["1"] * count, rows
    for port, udp, ip4, icmp6, icmp, icmp6_type, malformed, severity in rows:
        assert udp in ("", "1") and ip4 in ("", "1") and icmp6 in ("", "1"), rows
        assert not malformed and icmp != "3" and icmp6_type != "1", rows
        assert port != str(PORT) or str(0x800000) not in severity.split(","), "an error: %r" % rows


@pytest.fixture(params=["raw", "afxdp", "dpdk"])
def scheme(request):
    if request.param == "dpdk" and not os.path.exists(PLUGIN):
        pytest.skip("libdpdk-dev is missing")
    return request.param


@pytest.mark.parametrize("family", [4, 6])
def test_an_ordinary_socket_asks(bare_wire, scheme, family):
    kind, _, ours, most = PEERS[family]
    capture = bare_wire.capture(bare_wire.a, "a0", "inbound")
    with Station(bare_wire, "echo", uri(scheme, family)) as station:
        assert station.first["datagram_max"] == most
        for size in (*SIZES, most):
            payload = bytes(byte % 251 for byte in range(size))
            assert exchange(bare_wire.a, kind, ours, payload) == payload
        told = station.ask()
        assert told["counts"]["rx_messages"] == told["counts"]["tx_messages"] == len(SIZES) + 1
    clean(capture, len(SIZES) + 1)


@pytest.mark.parametrize("family", [4, 6])
def test_it_asks_an_ordinary_socket(bare_wire, scheme, family):
    """Nobody knows the other's MAC address: the kernel finds it, or the station itself."""
    kind, theirs, _, most = PEERS[family]
    answer_on(bare_wire.a, kind, theirs)
    capture = bare_wire.capture(bare_wire.a, "a0", "inbound")
    with Station(bare_wire, "talk", uri(scheme, family)) as station:
        whose = station.first["answers_for_address"]
        assert whose == ("own" if scheme == "dpdk" else "kernel")
        for size in (*SIZES, most):
            payload = os.urandom(size)
            assert station.say(theirs, payload) == payload[::-1]
    clean(capture, len(SIZES) + 1)


def test_checksums_of_ip4_can_be_left_out(wire):
    answer_on(wire.a, socket.AF_INET, sh.A4)
    raw = wire.a.raw("a0")
    with Station(wire, "talk", uri("raw", checksum="off")) as station:
        assert station.say(sh.A4, b"bare") == b"erab"
    frame = sh.receive(raw, lambda one: b"bare" in one)
    assert frame[40:42] == b"\0\0"


def test_the_port_is_taken(wire, scheme):
    with Station(wire, "echo", uri(scheme)) as station:
        assert station.first["address"] == "%s:%d" % (sh.B4, PORT)
        taken = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with pytest.raises(OSError, match="in use"):
            taken.bind((sh.B4, PORT))
    taken.bind((sh.B4, PORT))
    assert "a socket of this host has it already" in refused(wire, uri(scheme))


def test_nobody_there(bare_wire, scheme):
    with Station(bare_wire, "talk", uri(scheme, connect=300)) as station:
        said = station.say("192.0.2.77", b"x")
        assert "192.0.2.77" in said and "there was no answer" in said


def test_a_peer_with_a_new_mac_address_is_answered(bare_wire, scheme):
    client = bare_wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Station(bare_wire, "echo", uri(scheme)):
        assert exchange(bare_wire.a, None, sh.B4, b"1", client) == b"1"
        bare_wire.a.ip("link set a0 address " + NEW_MAC)
        assert exchange(bare_wire.a, None, sh.B4, b"2", client) == b"2"


def test_what_the_kernel_learns_is_followed(bare_wire):
    answer_on(bare_wire.a, socket.AF_INET, sh.A4)
    with Station(bare_wire, "talk", uri("raw")) as station:
        assert station.say(sh.A4, b"ab") == b"ba"
        bare_wire.a.ip("link set a0 address " + NEW_MAC)
        bare_wire.b.ip("neigh replace %s lladdr %s dev b0 nud permanent" % (sh.A4, NEW_MAC))
        station.ask()  # it hears of it when it has nothing better to do
        assert station.say(sh.A4, b"cd") == b"dc"


def test_an_address_that_no_kernel_has(bare_wire):
    """raw:// answers ARP for it, and asks from it."""
    answer_on(bare_wire.a, socket.AF_INET, sh.A4)
    us = "192.0.2.9"
    with Station(bare_wire, "echo", "raw://%s:%d?header=off&dev=b0" % (us, PORT)) as station:
        assert station.first["answers_for_address"] == "own"
        assert exchange(bare_wire.a, socket.AF_INET, us, b"who") == b"who"
        assert bare_wire.a.ping(us) == 1
    with Station(bare_wire, "talk", "raw://%s:%d?header=off&dev=b0" % (us, PORT)) as station:
        assert station.say(sh.A4, b"ab") == b"ba"


def test_an_interface_is_enough(wire6):
    """The address is the interface's own, and the port a free one."""
    for scheme, where, address in (("raw", "*:0", sh.B4), ("afxdp", "[::]:0", "[%s]" % sh.B6)):
        with Station(wire6, "echo", "%s://%s?header=off&dev=b0" % (scheme, where)) as station:
            host, _, port = station.first["address"].rpartition(":")
            assert host == address and int(port) > 0
    assert "dev=INTERFACE" in refused(wire6, "raw://*:%d" % PORT)
    assert "192.0.2.77" in refused(wire6, "afxdp://192.0.2.77:%d?dev=b0" % PORT)


def test_a_changed_mtu_is_followed(wire):
    with Station(wire, "echo", uri("raw")) as station:
        assert station.first["datagram_max"] == 1472
        wire.b.ip("link set b0 mtu 1300")
        sh.wait(lambda: station.ask()["datagram_max"] == 1272, "the smaller MTU to be seen")
        wire.b.ip("link set b0 mtu 1500")
        sh.wait(lambda: station.ask()["datagram_max"] == 1472, "the old MTU to be seen")


def test_what_is_wrong_is_refused_by_its_reason(wire):
    good = fr.udp(b"payload", 4000, PORT)
    bad_udp = good[:6] + b"\xde\xad" + good[8:]
    ip = fr.ip4(good)
    asks = [("checksum-udp", fr.ip4(bad_udp)), ("checksum-ip4", ip[:10] + b"\xde\xad" + ip[12:]),
            ("options", fr.ip4(good, options=b"\x01" * 4)), ("fragment", fr.ip4(good + b"y", more=True)),
            ("malformed", fr.ip4(fr.udp(b"short", 4000, PORT, length=99)))]
    with Station(wire, "echo", uri("raw")) as station:
        sh.send(wire.a.raw("a0"), *[fr.eth(ask) for _, ask in asks], fr.eth(ip))
        told = sh.wait(lambda: (t := station.ask()) and t["counts"]["rx_messages"] and t, "the last")
        assert {name: told["refused"][name] for name, _ in asks} == {name: 1 for name, _ in asks}


def test_afxdp_leaves_a_policy_alone(wire):
    policy = {"consumers": {"mine": {"kind": "xsk", "if_down": "pass"}},
              "rules": [{"name": "ours", "match": {"proto": "udp", "dport": PORT},
                         "action": {"redirect": {"consumer": "mine"}}}]}
    wire.attach(policy)
    said = refused(wire, uri("afxdp"))
    assert "consumer=NAME" in said and "mine" in said
    with Station(wire, "echo", uri("afxdp", consumer="mine")):
        assert exchange(wire.a, socket.AF_INET, sh.B4, b"served") == b"served"
    assert wire.stats().rule("ours") == 1


def test_afxdp_passes_what_is_not_its_own(bare_wire):
    with Station(bare_wire, "echo", uri("afxdp")):
        answer_on(bare_wire.b, socket.AF_INET, sh.B4)
        client = bare_wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(30)
        client.sendto(b"ab", (sh.B4, 5000))
        assert client.recv(10) == b"ba"
        assert bare_wire.a.ping(sh.B4) == 1 and bare_wire.a.ping(sh.B6) == 1


def test_afxdp_takes_on_what_a_kill_has_left(bare_wire):
    first = Station(bare_wire, "echo", uri("afxdp"))
    first.popen.kill()
    first.popen.wait(60)
    with Station(bare_wire, "echo", "afxdp://%s:7001?header=off" % sh.B4):
        pass
    assert not bare_wire.b.instances()
