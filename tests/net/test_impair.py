# SPDX-License-Identifier: BSD-2-Clause
"""The impaired wire does what it counts, and the same for the same seed."""
import socket

import pytest
import shunt as sh

from impair import Rough

PORT = 5000
FAMILIES = {socket.AF_INET: sh.B4, socket.AF_INET6: sh.B6}
MIX = ("--loss", "5%", "--duplicate", "3%", "--reorder", "5%", "--seed", "11")


def numbered(wire, count, family=socket.AF_INET, port=PORT, size=lambda number: 20):
    """Sends numbered datagrams from a to b, some at a time: numbers in the order of arrival."""
    server = wire.b.socket(family, socket.SOCK_DGRAM)
    server.bind((FAMILIES[family], port))
    server.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: it loses none
    server.settimeout(10)
    client = wire.a.socket(family, socket.SOCK_DGRAM)
    came, sent = [], 0

    def expected():
        """[packets that must have come], once none is held back any more."""
        way = wire.counts()["m0"]
        if way["held"] != way["reordered"] + way["waited"]:
            return None
        return [way["judged"] - way["lost"] + way["doubled"] if way["judged"] else sent]

    for first in range(0, count, 200):
        sent = min(first + 200, count)
        for number in range(first, sent):
            client.sendto(b"%0*d" % (size(number), number), (FAMILIES[family], port))
        (want,) = sh.wait(expected, "nothing to be held back")
        while len(came) < want:
            came.append(int(server.recv(4096)))
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(4096)
    return came


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_what_happened(family):
    with Rough(*MIX, "--port", PORT) as wire:
        came = numbered(wire, 2000, family, size=lambda number: 20 + number * 7 % 1400)
        way = wire.counts()["m0"]
        newest, late = -1, 0
        for number in came:
            late += number < newest
            newest = max(newest, number)
        assert way["judged"] == 2000 and way["failed"] == way["unheld"] == 0, way
        assert len(set(came)) == 2000 - way["lost"], way
        assert len(came) - len(set(came)) == way["doubled"], way
        assert way["reordered"], way
        # one that waited alone may have had nobody to overtake it
        assert way["reordered"] <= late <= way["held"], (late, way)
        for what, share in (("lost", 100), ("doubled", 60), ("held", 100)):
            assert share / 2 < way[what] < share * 2, way
        assert wire.counts()["m1"]["judged"] == 0


def test_the_same_seed_does_the_same():
    came = []
    for seed in ("1", "1", "2"):
        with Rough("--loss", "20%", "--duplicate", "20%", "--seed", seed) as wire:
            came.append(numbered(wire, 400))
    assert came[0] == came[1]
    assert came[0] != came[2]


def test_other_ports_and_protocols_pass():
    with Rough("--loss", "100%", "--port", PORT) as wire:
        assert numbered(wire, 200, port=PORT + 1) == list(range(200))
        assert wire.a.ping(sh.B4, 5) == 5


def test_a_single_packet_is_not_held_back_for_ever():
    with Rough("--reorder", "100%", "--hold", "1") as wire:
        assert numbered(wire, 1) == [0]
        assert wire.counts()["m0"]["waited"] == 1


def test_a_cut_wire_is_whole_again():
    with Rough() as wire:
        wire.set(loss="100%")
        assert numbered(wire, 100) == []
        wire.set()
        server = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((sh.B4, PORT + 1))
        server.settimeout(10)
        wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (sh.B4, PORT + 1))
        assert server.recv(10) == b"x"


def test_tcp_survives_it():
    with Rough(*MIX) as wire:
        listener = wire.b.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((sh.B4, PORT))
        listener.listen()
        listener.settimeout(10)
        sender = wire.a.socket(socket.AF_INET, socket.SOCK_STREAM)
        sender.settimeout(10)
        sender.connect((sh.B4, PORT))
        server, _ = listener.accept()
        with server:
            server.settimeout(10)
            sent, got = bytes(range(256)) * 512, b""
            sender.sendall(sent)
            while len(got) < len(sent):
                got += server.recv(65536)
            assert got == sent
        assert wire.counts()["m0"]["lost"]
