# SPDX-License-Identifier: BSD-2-Clause
"""Ethernet frames, built by hand: sound ones, and any fault that is asked for."""
import ipaddress
import struct

MAC_A = bytes.fromhex("02000000000a")
MAC_B = bytes.fromhex("02000000000b")
BROADCAST = b"\xff" * 6
ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(payload, kind=None, src=MAC_A, dst=MAC_B, tags=()):
    """tags: (TPID, id) pairs, the outer one first; kind: None reads it off the payload."""
    if kind is None:
        kind = 0x86DD if payload[:1] and payload[0] >> 4 == 6 else 0x0800
    head = dst + src
    for tpid, vid in tags:
        head += struct.pack("!HH", tpid, vid)
    return head + struct.pack("!H", kind) + payload


def ip4(payload=b"", proto=UDP, src="192.0.2.1", dst="192.0.2.2", ihl=5, version=4,
        length=None, offset=0, more=False, options=b""):
    """offset in bytes; length: None is the right one."""
    ihl += len(options) // 4
    if length is None:
        length = 4 * ihl + len(payload)
    head = struct.pack("!BBHHHBBH", version << 4 | ihl, 0, length, 0x1234,
                       more << 13 | offset // 8, 64, proto, 0)
    head += ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ip6(payload=b"", proto=UDP, src="2001:db8::1", dst="2001:db8::2", version=6, length=None):
    if length is None:
        length = len(payload)
    return (struct.pack("!IHBB", version << 28, length, proto, 64)
            + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + payload)


def udp(payload=b"", sport=4000, dport=5000, length=None):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload) if length is None else length,
                       0) + payload


def tcp(payload=b"", sport=4000, dport=5000, flags=SYN, doff=5):
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 0, doff << 4, flags, 8192, 0, 0) + payload


def sctp(sport=4000, dport=5000):
    return struct.pack("!HHII", sport, dport, 0, 0)


def icmp(kind=8, code=0, payload=b"ping", number=1, turn=1):
    head = struct.pack("!BBHHH", kind, code, 0, number, turn) + payload
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]


def icmp_of(packet, v6=False):
    """(type, code, checksum, number, turn) and payload of what a raw socket of ICMP has received."""
    start = 0 if v6 else 4 * (packet[0] & 15)
    return struct.unpack_from("!BBHHH", packet, start), packet[start + 8:]


def arp(sender="192.0.2.1", target="192.0.2.2", op=1):
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + MAC_A + \
        ipaddress.ip_address(sender).packed + b"\0" * 6 + ipaddress.ip_address(target).packed


def is_udp_from(frame, port):
    """Of IP without options or extensions."""
    at, proto = (34, 23) if frame[12:14] == b"\x08\0" else (54, 20)
    return len(frame) > at and frame[proto] == UDP and frame[at:at + 2] == port.to_bytes(2, "big")


def is_arp_reply(frame, to):
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and \
        frame[38:42] == ipaddress.ip_address(to).packed


def is_echo_reply(frame):
    """Of IPv4, without options or tags."""
    return frame[12:15] == b"\x08\0\x45" and frame[23] == ICMP and frame[34] == 0


def fragment6(payload, kind=UDP, offset=0, more=False):
    return struct.pack("!BBHI", kind, 0, offset | more, 7) + payload


def read_pcap(path):
    """The frames of a capture of Ethernet, as bytes on the wire: (frame, original length)."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at, frames = 24, []
    while at + 16 <= len(data):
        size, wire = struct.unpack_from(order + "II", data, at + 8)
        frames.append((data[at + 16:at + 16 + size], wire))
        at += 16 + size
    return frames


def write_pcap(path, frames, link=1):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link))
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
