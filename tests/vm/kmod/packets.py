# SPDX-License-Identifier: BSD-2-Clause
"""What is in a packet: lengths, sums, runs, headers."""
import random
import socket
import struct

from bed import (NEAR4, NEAR6, PORT, Device, Echo, drop_namespaces, enter, far_socket,
                 make_namespaces, run)

UDP_SEGMENT, UDP_LITE, IPV6_CHECKSUM = 103, 136, 7

def plain_sockets_are_peers():
    """lengths from none to more than the MTU, which travel in fragments, by IPv4 and IPv6"""
    for family, address in ((socket.AF_INET, NEAR4), (socket.AF_INET6, NEAR6),
                            (socket.AF_INET, "::"), (socket.AF_INET6, "::")):
        echo = Echo(address)
        with far_socket(family) as plain:
            for length in (0, 1, 17, 18, 100, 1000, 1452, 1472, 1473, 2000, 2900):
                message = random.randbytes(length)
                plain.send(message)
                assert plain.recv(4096) == message, (address, length)
        echo.kill()


def runs_are_cut():
    """a run that its sender left to us to cut (UDP_SEGMENT), or GRO joined, comes as datagrams"""
    echo = Echo()
    cut = ["tx-udp-segmentation", "off"]
    for kb, ka in (([], []), (cut, ["gro", "on", "rx-udp-gro-forwarding", "on"]),
                   (cut, ["gro", "on", "rx-gro-list", "on"])):
        for namespace, device, words in (("kf", "kb", kb), ("kn", "ka", ka)):
            enter(namespace)
            if words:
                run("ethtool", "-K", device, *words)
        with far_socket() as plain:
            plain.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 700)
            message = random.randbytes(20 * 700 + 123)
            plain.send(message)
            heard = [plain.recv(4096) for _ in range(21)]
        assert heard == [message[at:at + 700] for at in range(0, len(message), 700)], (kb, ka)
    echo.kill()
    drop_namespaces()
    make_namespaces()


def options_and_headers_are_skipped():
    """IPv4 options, IPv6 hop-by-hop and destination options, whole and in fragments"""
    nothing = bytes((0, 0, 1, 4, 0, 0, 0, 0))  # PadN
    echo = Echo("::")
    for family, level, option, value in (
            (socket.AF_INET, socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1\1\1\0"),
            (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, nothing),
            (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, nothing)):
        with far_socket(family) as plain:
            plain.setsockopt(level, option, value)
            for length in (1, 1000, 2900):
                message = random.randbytes(length)
                plain.send(message)
                assert plain.recv(4096) == message, (option, length)
    echo.kill()


def udp_lite_is_not_udp():
    """a datagram of UDP-Lite for that number is not taken"""
    device = Device()
    device.give(64)
    enter("kf")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, UDP_LITE) as raw:
        raw.sendto(struct.pack("!HHHH", 9, PORT, 8, 0) + b"lite", (NEAR4, 0))
    with far_socket() as plain:
        plain.send(b"whole")
    device.until(rx=1)
    assert device.heard(0)[0] == b"whole"
    device.close()


def checksums_are_checked():
    """a wrong sum and lengths that are lies are dropped and counted; no sum is for IPv4 alone"""
    device = Device()
    device.give(64)
    enter("kf")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        for length, check in ((12, 0x1234), (7, 0), (13, 0), (12, 0), (9, 0)):
            raw.sendto(struct.pack("!HHHH", 9, PORT, length, check) + b"four", (NEAR4, 0))
    device.until(rx_bad=3, rx=2)
    assert [device.heard(n)[0] for n in range(2)] == [b"four", b"f"]
    device.close()
    device = Device(address=NEAR6)
    device.give(64)
    enter("kf")
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        for length, check in ((12, 0), (12, 0x1234), (7, 0x1234)):
            raw.sendto(struct.pack("!HHHH", 9, PORT, length, check) + b"four", (NEAR6, 0))
        raw.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, 6)
        raw.sendto(struct.pack("!HHHH", 9, PORT, 12, 0) + b"four", (NEAR6, 0))
    device.until(rx_bad=3, rx=1)
    assert device.heard(0)[0] == b"four"
    device.close()


def full_is_counted():
    """without a slot to fill, and into one that is too short, nothing is written"""
    device = Device(slots=16, slot_bytes=256)
    device.give(3)
    with far_socket() as plain:
        for _ in range(5):
            plain.send(b"y" * 192)
        plain.send(b"z" * 193)
    device.until(rx=3, rx_full=2, rx_long=1)
    assert device.word(0) == 3
    assert not any(device.area[device.slots_at + 3 * 256:device.slots_at + 16 * 256])
    device.close()


TESTS = (plain_sockets_are_peers, runs_are_cut, options_and_headers_are_skipped,
         udp_lite_is_not_udp, checksums_are_checked, full_is_counted)
