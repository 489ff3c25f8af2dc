# SPDX-License-Identifier: BSD-2-Clause
"""Reads pcapng by itself, for comparing with what Shunt writes: draft-ietf-opsawg-pcapng."""
import struct
import subprocess

SECTION, INTERFACE, PACKET, STATISTICS = 0x0A0D0D0A, 1, 6, 5
COMMENT, NAME, RESOLUTION = 1, 2, 9
FLAGS, DROPS, QUEUE, VERDICT = 2, 4, 6, 7
XDP = 2
RECEIVED, ACCEPTED, DROPPED, DELIVERED = 4, 6, 7, 8


def _options(data):
    found = {}
    while data:
        code, size = struct.unpack_from("<HH", data)
        if not code:
            break
        found[code] = data[4:4 + size]
        data = data[4 + size + -size % 4:]
    return found


def _blocks(data):
    while data:
        kind, size = struct.unpack_from("<II", data)
        assert size % 4 == 0 and struct.unpack_from("<I", data, size - 4)[0] == size
        yield kind, data[8:size - 4]
        data = data[size:]


class Packet:
    def __init__(self, body):
        _, high, low, captured, self.length = struct.unpack_from("<IIIII", body)
        self.time_ns = high << 32 | low
        self.bytes = body[20:20 + captured]
        self.options = _options(body[20 + captured + -captured % 4:])
        self.comment = self.options.get(COMMENT, b"").decode()

    @property
    def known(self):
        """rule, verdict, … of the comment."""
        return dict(word.split("=", 1) for word in self.comment.split())

    @property
    def verdict(self):
        """(who, what) of epb_verdict; None: there is none."""
        value = self.options.get(VERDICT)
        return value and (value[0], int.from_bytes(value[1:], "little"))

    def number(self, option):
        return int.from_bytes(self.options.get(option, b""), "little")


class File:
    def __init__(self, data):
        self.packets, self.interfaces, self.statistics = [], [], []
        for number, (kind, body) in enumerate(_blocks(data)):
            assert (kind == SECTION) == (number == 0)
            if kind == INTERFACE:
                options = _options(body[8:])
                assert options[RESOLUTION] == b"\x09"
                self.interfaces.append(options.get(NAME, b"").decode())
            elif kind == PACKET:
                self.packets.append(Packet(body))
            elif kind == STATISTICS:
                self.statistics.append({code: int.from_bytes(value, "little")
                                        for code, value in _options(body[12:]).items()})


def read(path):
    with open(path, "rb") as file:
        return File(file.read())


CHECKS = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]


def tshark(path, *fields, only=None, checks=False, data=None):
    """What Wireshark makes of it: a row of fields for each packet; no word of complaint.
    checks: it looks at checksums, too. data: a UDP port whose payload is bytes and no protocol,
    where it would guess by how random ones look."""
    argv = ["tshark", "-r", path, "-T", "fields"]
    argv += CHECKS if checks else []
    argv += ["-d", "udp.port==%d,data" % data] if data else []
    argv += ["-Y", only] if only else []
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    complaints = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    assert not complaints, complaints
    return [line.split("\t") for line in done.stdout.splitlines()]
