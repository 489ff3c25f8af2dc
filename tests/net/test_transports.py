# SPDX-License-Identifier: BSD-2-Clause
"""Transports beside strangers: a user's own program, netcat, and peers in a few lines of Python."""
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile

import pytest

import kernel
import shunt as sh

DOCS = os.path.join(sh.ROOT, "docs/transports.md")
SCHEMES = ("epoll://%s?", "epoll://%s?proto=tcp&", "uring://%s?", "uring://%s?proto=tcp&",
           "raw://%s?", "afxdp://%s?", "dpdk://%s?", "ringbuf://%s?", "xdp://%s?",
           *(["ringbuf://%s?hook=tc&"] if kernel.has("tcx") else []))
UDP = [scheme for scheme in SCHEMES if "tcp" not in scheme]
PORT = 7000
HEAD = struct.Struct("!BBHIIHH")  # magic, flags, channel, sequence, length, fragment, epoch
MAGIC = 0xd7


# --- a user's own program -------------------------------------------------------------------

@pytest.fixture(scope="module", name="talk")
def build_talk():
    """The program of docs/transports.md, built as a user would, against what is installed."""
    with tempfile.TemporaryDirectory(prefix="sht-") as folder:
        make = subprocess.run(["make", "install", "DESTDIR=" + folder], cwd=sh.ROOT,
                              capture_output=True, text=True, check=False)
        assert make.returncode == 0, make
        with open(DOCS, encoding="utf-8") as file:
            (source,) = re.findall(r"^```c\n(.*?)^```$", file.read(), re.M | re.S)
        path = os.path.join(folder, "talk.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        said = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "shunt"], check=True, capture_output=True,
            text=True, env={**os.environ, "PKG_CONFIG_SYSROOT_DIR": folder, "PKG_CONFIG_LIBDIR":
                            folder + "/usr/local/lib/pkgconfig:" + default_pkgs()})
        program = os.path.join(folder, "talk")
        built = subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", path, "-o", program,
                                "-I/usr/include/cjson", *said.stdout.split(),
                                "-Wl,-rpath," + folder + "/usr/local/lib"],
                               capture_output=True, text=True, check=False)
        assert built.returncode == 0, built
        yield program


def default_pkgs():
    return subprocess.run(["pkg-config", "--variable", "pc_path", "pkg-config"], check=True,
                          capture_output=True, text=True).stdout.strip()


def answers(talk, wire, server, client):
    """The program of b answers that of a, a thousand times."""
    process = wire.b.start(talk, server)
    process.says(":%d\n" % PORT)
    done = wire.a.run(talk, client, "%s:%d" % (sh.B4, PORT), ok=False, seconds=60)
    assert done.returncode == 0 and "1000 answers" in done.stdout, (done, process.out, process.err)
    assert process.popen.poll() is None, process.err
    assert process.end(signal.SIGINT) == -signal.SIGINT


def at(scheme, address, port, rest=""):
    return (scheme % ("%s:%d" % (address, port)) + rest).rstrip("?&")


def lets_programs_send(wire):
    """A veth takes frames that a program sends only if its end runs NAPI, as with GRO."""
    for ns, name in ((wire.a, "a0"), (wire.b, "b0")):
        ns.run("ethtool", "-K", name, "gro", "on")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_program_of_the_docs_runs_over_every_backend(wire, talk, scheme):
    lets_programs_send(wire)
    answers(talk, wire, at(scheme, sh.B4, PORT), at(scheme, sh.A4, 0))


@pytest.mark.parametrize("scheme", [one for one in UDP if not one.startswith("epoll")])
def test_datagrams_of_one_backend_reach_another(wire, talk, scheme):
    lets_programs_send(wire)
    answers(talk, wire, at("epoll://%s?", sh.B4, PORT), at(scheme, sh.A4, 0))
    answers(talk, wire, at(scheme, sh.B4, PORT), at("epoll://%s?", sh.A4, 0))


def test_the_program_says_what_is_wrong(wire, talk):
    done = wire.a.run(talk, "pigeon://%s:1" % sh.A4, ok=False)
    assert done.returncode == 1 and "pigeon" in done.stderr and "epoll" in done.stderr
    done = wire.a.run(talk, "epoll://198.51.100.1:1", ok=False)
    assert done.returncode == 1 and "198.51.100.1" in done.stderr


# --- strangers ------------------------------------------------------------------------------

@pytest.mark.parametrize("scheme", UDP)
def test_netcat_is_answered(wire, talk, scheme):
    lets_programs_send(wire)
    process = wire.b.start(talk, at(scheme, sh.B4, PORT, "header=off"))
    process.says(":%d\n" % PORT)
    asks = wire.a.start("bash", "-c", 'exec nc -u "$@" <<<"hello, there"', "nc", sh.B4, PORT)
    assert asks.says("there\n", 20).out == b"hello, there\n", (asks.err, process.err)


@pytest.mark.parametrize("scheme", UDP)
def test_a_plain_socket_is_asked_and_answers(wire, talk, scheme):
    lets_programs_send(wire)
    plain = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.bind((sh.B4, PORT))
    plain.settimeout(20)
    process = wire.a.start(talk, at(scheme, sh.A4, 0, "header=off"), "%s:%d" % (sh.B4, PORT))
    for _ in range(1000):
        data, sender = plain.recvfrom(2048)
        assert data == b"marco"
        plain.sendto(data, sender)
    assert process.end() == 0, (process.out, process.err)
    assert b"1000 answers" in process.out


class Stream:
    """A peer over TCP: thirty lines that speak to any proto=tcp transport."""

    def __init__(self, connected):
        self.socket, self.sequence, self.rest = connected, 0, b""
        self.socket.settimeout(20)

    def send(self, data, channel=0):
        head = HEAD.pack(MAGIC, 0, channel, self.sequence, len(data), 0, 1)
        self.sequence += 1
        self.socket.sendall(head + data)

    def _take(self, count):
        while len(self.rest) < count:
            data = self.socket.recv(65536)
            assert data, "the connection ended"
            self.rest += data
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def receive(self):
        """(bytes, channel) of the next message."""
        magic, flags, channel, sequence, length, fragment, _ = HEAD.unpack(self._take(HEAD.size))
        assert (magic, flags, fragment) == (MAGIC, 0, 0)
        return self._take(length), channel, sequence


STREAMS = [scheme for scheme in SCHEMES if "tcp" in scheme]


@pytest.mark.parametrize("scheme", STREAMS)
def test_a_python_peer_is_answered_over_tcp(wire, talk, scheme):
    process = wire.b.start(talk, at(scheme, sh.B4, PORT))
    process.says(":%d\n" % PORT)
    stream = Stream(wire.a.socket(socket.AF_INET, socket.SOCK_STREAM))
    stream.socket.connect((sh.B4, PORT))
    for number, length in enumerate((0, 1, 15, 16, 17, 1400, 4096, 65536, 1 << 20)):
        stream.send(os.urandom(1) * length, number)
        data, channel, sequence = stream.receive()
        assert (len(data), channel, sequence) == (length, number, number)
        assert len(set(data)) <= 1
    # in pieces, and several in one
    whole = b"".join(HEAD.pack(MAGIC, 0, 9, 100 + n, 3, 0, 1) + b"%03d" % n for n in range(50))
    for place in range(0, len(whole), 7):
        stream.socket.sendall(whole[place:place + 7])
    assert [stream.receive()[0] for _ in range(50)] == [b"%03d" % n for n in range(50)]


@pytest.mark.parametrize("scheme", STREAMS)
def test_a_python_peer_is_asked_over_tcp(wire, talk, scheme):
    listener = wire.b.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((sh.B4, PORT))
    listener.listen()
    listener.settimeout(20)
    process = wire.a.start(talk, at(scheme, sh.A4, 0), "%s:%d" % (sh.B4, PORT))
    stream = Stream(listener.accept()[0])
    for number in range(1000):
        data, channel, sequence = stream.receive()
        assert (data, channel, sequence) == (b"marco", 0, number)
        stream.send(data)
    assert process.end() == 0, (process.out, process.err)
    stream.socket.close()
