#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel module takes, refuses and survives, in a guest (tests/vm/suite/kmod).

    tests/vm/kmod.py MODULE.ko [WORDS]      only the tests whose names have the words

Two namespaces with a veth between them: plain sockets in one, the module's port in the other,
either by kmod:// or by this script itself, which speaks maps/kmod.h.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

ECHO = "build/tests/transport/conformance"
PORT = 7000
WAIT_S = 20
BIND, SEND, STATS = 0xC050D701, 0xD702, 0x8030D703
UDP_SEGMENT = 103
BIND_FORMAT = "=IIII 16sIHH QQQQQ"
HEAD = 64
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_ssize_t
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_ssize_t)
NEAR4, FAR4 = "192.0.2.1", "192.0.2.2"  # the module's, the sockets'
NEAR6, FAR6 = "2001:db8::1", "2001:db8::2"


def run(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=120)


def enter(name):
    with open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns {name}")


def make_namespaces():
    for name in ("kn", "kf"):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", "kn", "link", "add", "ka", "type", "veth", "peer", "name", "kb",
        "netns", "kf")
    for name, device, four, six in (("kn", "ka", NEAR4, NEAR6), ("kf", "kb", FAR4, FAR6)):
        run("ip", "-n", name, "addr", "add", f"{four}/24", "dev", device)
        run("ip", "-n", name, "addr", "add", f"{six}/64", "dev", device, "nodad")
        run("ip", "-n", name, "link", "set", device, "up")


def drop_namespaces():
    for name in ("kn", "kf"):
        run("ip", "netns", "del", name, check=False)


def far_socket(family=socket.AF_INET):
    enter("kf")
    plain = socket.socket(family, socket.SOCK_DGRAM)
    plain.settimeout(WAIT_S)
    plain.connect((NEAR4 if family == socket.AF_INET else NEAR6, PORT))
    return plain


class Device:
    """A port, bound and mapped by hand, in the namespace kn."""

    def __init__(self, slots=64, slot_bytes=2048, tx_slots=64, address=NEAR4, port=PORT):
        enter("kn")
        self.fd = os.open("/dev/shunt", os.O_RDWR)
        try:
            self.bind(slots, slot_bytes, tx_slots, address, port)
        except OSError:
            os.close(self.fd)
            raise
        self.area = mmap.mmap(self.fd, self.bytes)
        self.filled = self.free = 0

    def bind(self, slots, slot_bytes, tx_slots, address, port):
        six = ":" in address
        raw = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
        room = bytearray(struct.pack(BIND_FORMAT, 1, slots, slot_bytes, tx_slots, raw, 0, port,
                                     6 if six else 4, 0, 0, 0, 0, 0))
        fcntl.ioctl(self.fd, BIND, room)
        told = struct.unpack(BIND_FORMAT, room)
        self.slots, self.slot_bytes, self.tx_slots = told[1:4]
        self.bytes, self.free_at, self.filled_at, self.slots_at, self.tx_at = told[8:]

    def close(self):
        self.area.close()
        os.close(self.fd)

    def word(self, at, value=None):
        if value is None:
            return struct.unpack_from("=I", self.area, at)[0]
        struct.pack_into("=I", self.area, at, value & 0xFFFFFFFF)
        return value

    def give(self, n):
        """Gives the first n slots to the module."""
        for i in range(n):
            self.word(self.free_at + 4 * i, i)
        self.word(128, n)

    def stats(self):
        room = bytearray(48)
        fcntl.ioctl(self.fd, STATS, room)
        names = ("rx", "rx_full", "rx_long", "rx_bad", "tx", "tx_failed")
        return dict(zip(names, struct.unpack("=6Q", room)))

    def until(self, **wanted):
        """Waits until the counters are so."""
        end = time.monotonic() + WAIT_S
        while any(self.stats()[name] < n for name, n in wanted.items()):
            if time.monotonic() > end:
                raise AssertionError(f"{wanted} never came: {self.stats()}")
        told = self.stats()
        assert all(told[name] == n for name, n in wanted.items()), (wanted, told)


class Echo:
    """kmod:// in a process of its own, which sends back what it gets."""

    def __init__(self, address=NEAR4, options="mtu=3000"):
        there = os.open("/run/netns/kn", os.O_RDONLY)
        where = f"[{address}]" if ":" in address else address
        self.process = subprocess.Popen(
            [ECHO, "--echo", str(there), f"kmod://{where}:{PORT}?header=off&wait=poll&{options}"],
            pass_fds=[there], stdout=subprocess.PIPE, text=True)
        os.close(there)
        said = self.process.stdout.readline()
        assert said == "ready\n", said

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def refused(code, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == code, error
        return
    raise AssertionError(f"not refused: {args}")


# --- with plain sockets ------------------------------------------------------------------

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
    """a run that its sender left to us to cut (UDP_SEGMENT) comes as its datagrams"""
    echo = Echo()
    with far_socket() as plain:
        plain.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 700)
        message = random.randbytes(20 * 700 + 123)
        plain.send(message)
        heard = [plain.recv(4096) for _ in range(21)]
    echo.kill()
    assert heard == [message[at:at + 700] for at in range(0, len(message), 700)]


def checksums_are_checked():
    """a wrong sum, and lengths that are lies, are dropped and counted; no sum is fine (IPv4)"""
    device = Device()
    device.give(64)
    enter("kf")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        for length, check in ((12, 0x1234), (7, 0), (13, 0), (12, 0), (9, 0)):
            raw.sendto(struct.pack("!HHHH", 9, PORT, length, check) + b"four", (NEAR4, 0))
    device.until(rx_bad=3, rx=2)
    assert struct.unpack_from("=I", device.area, device.slots_at + 4)[0] == 4
    assert struct.unpack_from("=I", device.area, device.slots_at + device.slot_bytes + 4)[0] == 1
    device.close()


def only_its_own_is_taken():
    """other ports and other namespaces have their packets; the port is nobody else's"""
    device = Device()
    device.give(64)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind((NEAR4, PORT + 1))
    other.settimeout(WAIT_S)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        refused(errno.EADDRINUSE, taken.bind, (NEAR4, PORT))
    refused(errno.EADDRINUSE, Device)
    with far_socket() as plain, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same:
        same.bind((FAR4, PORT))
        same.settimeout(WAIT_S)
        plain.sendto(b"theirs", (NEAR4, PORT + 1))
        assert other.recv(64) == b"theirs"
        plain.sendto(b"here", (FAR4, PORT))
        assert same.recv(64) == b"here"
        plain.send(b"ours")
    device.until(rx=1)
    other.close()
    device.close()


def a_firewall_still_decides():
    """what a filter of LOCAL_IN drops does not come"""
    device = Device()
    device.give(64)
    run("ip", "netns", "exec", "kn", "nft", "add table inet t; add chain inet t in "
        "{ type filter hook input priority 0; }; add rule inet t in udp sport 4444 drop")
    enter("kf")
    for port in (4444, 4445):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.bind((FAR4, port))
            plain.sendto(b"x", (NEAR4, PORT))
    device.until(rx=1)
    assert struct.unpack_from("=H", device.area, device.slots_at + 28)[0] == 4445
    run("ip", "netns", "exec", "kn", "nft", "delete table inet t")
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


# --- against user space --------------------------------------------------------------------

def nonsense_is_refused():
    """wrong sizes, a second bind, calls before it, and maps beyond the area"""
    enter("kn")
    for slots, slot_bytes, tx_slots in ((15, 2048, 64), (63, 2048, 64), (0, 2048, 64),
                                        (1 << 17, 2048, 64), (64, 255, 64), (64, 300, 64),
                                        (64, 1 << 20, 64), (64, 2048, 0), (64, 2048, 48),
                                        (1 << 31, 2048, 64), (65536, 65536, 65536)):
        refused(errno.EINVAL, Device, slots, slot_bytes, tx_slots)
    refused(errno.EADDRNOTAVAIL, Device, 64, 2048, 64, "198.51.100.7")
    fd = os.open("/dev/shunt", os.O_RDWR)
    refused(errno.ENOTCONN, fcntl.ioctl, fd, SEND)
    refused(errno.ENOTCONN, mmap.mmap, fd, 4096)
    refused(errno.ENOTTY, fcntl.ioctl, fd, 0xD709)
    refused(errno.EFAULT, fcntl.ioctl, fd, BIND, 8)
    os.close(fd)
    device = Device()
    refused(errno.EBUSY, device.bind, 64, 2048, 64, NEAR4, PORT + 1)
    refused(errno.EFAULT, fcntl.ioctl, device.fd, STATS, 8)
    refused(errno.EINVAL, mmap.mmap, device.fd, 4096, mmap.MAP_PRIVATE)
    for pages in (1, 1 << 20):
        at = libc.mmap(None, device.bytes + 4096 * pages, 3, mmap.MAP_SHARED, device.fd, 0)
        assert at == -1
    device.close()


def scribble(device, seed):
    """Writes anything anywhere, and asks for it to be sent, until it is killed."""
    dice = random.Random(seed)
    values = (0, 1, 15, 16, 64, 0xFFFFFFFF, 0x80000000, 2048, 65535)
    places = (device.free_at, device.filled_at, device.slots_at)
    while True:
        for _ in range(50):
            at = dice.choice(places) + 4 * dice.randrange(16)
            if dice.randrange(2):
                at = device.tx_at + device.slot_bytes * dice.randrange(device.tx_slots) + \
                    4 * dice.randrange(8)
            device.word(at, dice.choice(values) if dice.randrange(3) else dice.getrandbits(32))
        # an index that is nonsense for a moment
        at = dice.choice((0, 64, 128))
        before = device.word(at)
        device.word(at, dice.getrandbits(32))
        select.select([device.fd], [], [], 0)
        device.word(at, before)
        # much of it is nearly sound, so that more is reached than the first check
        for i in range(device.slots):
            device.word(device.free_at + 4 * i, dice.randrange(device.slots + 4))
        device.word(64, device.word(0))
        # what was given back under a number that is none has moved it on, nobody knows how far
        device.word(128, device.word(0) + dice.randrange(1 << dice.randrange(1, 16)))
        for i in range(0, device.tx_slots, dice.randrange(1, 9)):
            struct.pack_into("=II4sIIIIHH", device.area, device.tx_at + i * device.slot_bytes, 1,
                             dice.randrange(2100), socket.inet_aton(FAR4), 0, 0, 0, 0, 9, 4)
        try:
            fcntl.ioctl(device.fd, SEND)
        except OSError as error:
            assert error.errno == errno.EAGAIN, error
        device.stats()


def rubbish_harms_nobody():
    """rings overwritten at random by two processes, under traffic both ways"""
    device = Device()
    children = []
    for seed in (1, 2):
        children.append(os.fork())
        if not children[-1]:
            try:
                scribble(device, seed)
            finally:
                os._exit(1)
    with far_socket() as plain:
        for i in range(20000):
            plain.send(b"r" * (i % 1473))
        end = time.monotonic() + WAIT_S
        while (device.stats()["tx"] < 200 or device.stats()["rx"] < 200) and \
                time.monotonic() < end:
            plain.send(b"r")
    for child in children:
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    told = device.stats()
    print("  ", told)
    assert told["rx"] >= 200 and told["rx_full"] and told["tx"] >= 200 and told["tx_failed"]
    device.close()
    plain_sockets_are_peers()


# --- coming and going ----------------------------------------------------------------------

class Flood:
    """A process that sends for as long as it lives."""

    def __enter__(self):
        self.child = os.fork()
        if not self.child:
            plain = far_socket()
            while True:
                try:
                    plain.send(b"f" * 100)
                except OSError:
                    pass  # nobody is there just now
        return self

    def __exit__(self, *what):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


def is_loaded():
    with open("/proc/modules") as modules:
        return any(line.startswith("shunt_kmod ") for line in modules)


def unloading_waits_for_users():
    """rmmod is refused while a port is bound or mapped, and traffic goes on"""
    with Flood():
        device = Device()
        device.give(64)
        assert run("rmmod", "shunt_kmod", check=False).returncode
        os.close(device.fd)  # what is mapped stays
        assert run("rmmod", "shunt_kmod", check=False).returncode
        end = time.monotonic() + WAIT_S
        while not device.word(0):
            assert time.monotonic() < end
        device.area.close()
    assert is_loaded()


def killed_under_load():
    """kill -9 with traffic on the way, then rmmod and insmod, again and again"""
    with Flood():
        for _ in range(6):
            echo = Echo()
            with far_socket() as plain:
                plain.send(b"there?")
                assert plain.recv(64) == b"there?"
            echo.kill()
            run("rmmod", "shunt_kmod")
            assert not is_loaded() and not os.path.exists("/dev/shunt")
            run("insmod", MODULE)


def ports_come_and_go_under_load():
    """binds and closes race with packets on the way, and with unloading"""
    with Flood():
        child = os.fork()
        if not child:
            while True:  # until there is no device: the module goes in between
                try:
                    Device().close()
                except OSError:
                    pass
        unloaded = 0
        for _ in range(40):
            if not run("rmmod", "shunt_kmod", check=False).returncode:
                unloaded += 1
                run("insmod", MODULE)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        run("rmmod", "shunt_kmod")  # nobody has it any more; packets come all the same
        run("insmod", MODULE)
    print("  ", f"unloaded {unloaded} of 40 times between two binds")


def a_namespace_goes():
    """a namespace that is deleted with a port in it goes with the port"""
    for _ in range(3):
        drop_namespaces()
        make_namespaces()
        with Flood():
            echo = Echo()
            drop_namespaces()
            assert run("rmmod", "shunt_kmod", check=False).returncode
            echo.kill()
        run("rmmod", "shunt_kmod")
        run("insmod", MODULE)
    make_namespaces()


TESTS = (plain_sockets_are_peers, runs_are_cut, checksums_are_checked, only_its_own_is_taken,
         a_firewall_still_decides, full_is_counted, nonsense_is_refused, rubbish_harms_nobody,
         unloading_waits_for_users, killed_under_load, ports_come_and_go_under_load,
         a_namespace_goes)


def main():
    make_namespaces()
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        for test in TESTS:
            if len(sys.argv) > 2 and sys.argv[2] not in test.__name__:
                continue
            begin = time.monotonic()
            test()
            libc.setns(home, 0)
            print(f"ok {test.__name__}: {test.__doc__} ({time.monotonic() - begin:.1f} s)",
                  flush=True)
    finally:
        libc.setns(home, 0)
        drop_namespaces()


MODULE = sys.argv[1]
main()
