# SPDX-License-Identifier: BSD-2-Clause
"""Two namespaces with a veth between them: plain sockets in one (kf), the module's port in the
other (kn), either by kmod:// or by these tests themselves, which speak maps/kmod.h.
"""
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import subprocess
import time

ECHO = "build/tests/transport/conformance"
PORT = 7000
WAIT_S = 20
ABI = 2
BIND, SEND, STATS = 0xC050D701, 0xD702, 0x8038D703
BIND_FORMAT = "=IIII 16sIHH QQQQQ"
HEAD = 64
COUNTERS = ("rx", "rx_full", "rx_long", "rx_bad", "tx", "tx_failed", "rx_denied")
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_ssize_t
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_ssize_t)
libc.mremap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
NEAR4, FAR4 = "192.0.2.1", "192.0.2.2"  # the module's, the sockets'
NEAR6, FAR6 = "2001:db8::1", "2001:db8::2"
module = None  # its file, for insmod


def run(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=120)


def enter(name):
    with open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns {name}")


def nft(text):
    """Has the firewall of kn say so."""
    enter("kn")
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, timeout=60)


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

    def __init__(self, slots=64, slot_bytes=2048, tx_slots=64, address=NEAR4, port=PORT,
                 scope=0):
        enter("kn")
        self.fd = os.open("/dev/shunt", os.O_RDWR)
        try:
            self.bind(slots, slot_bytes, tx_slots, address, port, scope)
        except OSError:
            os.close(self.fd)
            raise
        self.area = mmap.mmap(self.fd, self.bytes)
        self.filled = self.free = 0

    def bind(self, slots, slot_bytes, tx_slots, address, port, scope=0):
        six = ":" in address
        raw = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
        room = bytearray(struct.pack(BIND_FORMAT, ABI, slots, slot_bytes, tx_slots, raw, scope,
                                     port, 6 if six else 4, 0, 0, 0, 0, 0))
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
        room = bytearray(8 * len(COUNTERS))
        fcntl.ioctl(self.fd, STATS, room)
        return dict(zip(COUNTERS, struct.unpack(f"={len(COUNTERS)}Q", room)))

    def heard(self, n):
        """The n-th datagram: its bytes, and its sender's scope and port."""
        at = self.slots_at + self.word(self.filled_at + 4 * n) * self.slot_bytes
        length = self.word(at + 4)
        scope, port = struct.unpack_from("=IH", self.area, at + 24)
        return self.area[at + HEAD:at + HEAD + length], scope, port

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
