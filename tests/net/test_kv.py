# SPDX-License-Identifier: BSD-2-Clause
"""run kv and xdp://: plain UDP sockets ask, and the kernel answers without user space."""
import json
import shutil
import signal
import socket
import struct
import subprocess

import pytest

import kernel
import shunt as sh
from test_station import Station, refused

PORT = 7000
FAMILIES = {socket.AF_INET: sh.B4, socket.AF_INET6: sh.B6}
VALUE = "v" * 512


class Server:
    """shunt run kv on b0, changed over its standard input."""

    def __init__(self, wire, *options):
        self.popen = subprocess.Popen(
            [sh.BINARY, "run", "kv", "b0", "--port", str(PORT), "--netns", wire.b.name, "--json",
             "--stdin", "--interval", "20ms", *options], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.notes = []
        while not self.notes or "answers\n" not in self.notes[-1]:
            self.notes.append(self.popen.stderr.readline())
            assert self.notes[-1], self.popen.wait(60)
        self.last = None

    def change(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def until(self, condition, what):
        """The first report that says so."""
        def look():
            self.last = sh.validate(json.loads(self.popen.stdout.readline()))
            return condition(self.last)

        sh.wait(look, what)
        return self.last

    def end(self):
        """The last report, once ^C has ended it."""
        self.popen.send_signal(signal.SIGINT)
        out, _ = self.popen.communicate(timeout=60)
        assert self.popen.returncode == 0
        self.last = sh.validate(json.loads(out.splitlines()[-1]))
        assert self.last["final"]
        return self.last

    def __enter__(self):
        return self

    def __exit__(self, *why):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


@pytest.fixture(name="wire")
def make_wire():
    with sh.Wire(ipv6=True) as wire:
        wire.a.run("ethtool", "-K", "a0", "gro", "on")
        yield wire


def asker(wire, family=socket.AF_INET):
    client = wire.a.socket(family, socket.SOCK_DGRAM)
    client.connect((FAMILIES[family], PORT))
    client.settimeout(30)

    def ask(question):
        client.send(question)
        return client.recv(4096)

    return ask


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("offload", ("on", "off"))
def test_plain_sockets_are_answered(wire, family, offload):
    wire.a.run("ethtool", "-K", "a0", "tx", offload)
    with Server(wire, "--set", "colour=green", "--set", "a=b=c") as server:
        ask = asker(wire, family)
        for text in (b"echo", b"echo hello", b"echo " + b"x" * 1400):
            assert ask(text) == b"said" + text[4:]
        assert ask(b"get colour\n") == b"val colour 1 green"
        assert ask(b"get a") == b"val a 2 b=c"
        assert ask(b"get nothing") == b"non nothing"
        last = server.end()
        assert last["results"]["echo"] == 3 and last["results"]["hit"] == 2
        assert last["results"]["miss"] == 1 and last["answered"] == 6
        assert last["mode"] == "native"
    assert wire.b.link("b0").get("xdp") is None


def test_values_change_while_it_answers(wire):
    with Server(wire) as server:
        ask = asker(wire)
        assert ask(b"get k") == b"non k"
        server.change("set k one value with blanks ")
        server.until(lambda last: last["changes"] == 1, "a change")
        assert ask(b"get k") == b"val k 1 one value with blanks "
        server.change("set k two")
        server.change("del nothing")
        server.change("set no-value")
        server.change("set long " + "x" * 1000)
        server.until(lambda last: last["changes"] == 2 and last["refused"] == 3, "refusals")
        assert ask(b"get k") == b"val k 2 two"
        server.change("del k")
        assert server.until(lambda last: last["changes"] == 3, "the end of a key")["keys"] == 0
        assert ask(b"get k") == b"non k"


@pytest.mark.parametrize("family", FAMILIES)
def test_longer_answers_find_room_or_take_that_of_the_question(wire, family):
    with Server(wire, "--set", "long=" + VALUE, "--set", "short=" + VALUE[:100]) as server:
        ask = asker(wire, family)
        assert ask(b"get short") == b"val short 2 " + VALUE[:100].encode()
        for end in (b" ", b"\n", b"\0"):
            assert ask(b"get long" + end * 520) == b"val long 1 " + VALUE.encode()
        assert server.end()["results"]["hit"] == 4


def test_a_file_is_read_and_what_is_wrong_in_it_told(wire):
    path = wire.policy('{ "k": "from a file", /* and */ "l": "ä" }', "kv.json")
    with Server(wire, "--file", path) as server:
        ask = asker(wire)
        assert ask(b"get k") == b"val k 1 from a file"
        assert ask(b"get l") == "val l 2 ä".encode()
        assert server.end()["keys"] == 2
    for text, part in (('{ "k": 5 }', 'the value of "k" is no string'),
                       ("[]", "no object"), ('{ "a b": "" }', "it has a space"),
                       ("{", "kv.json:1:")):
        path = wire.policy(text, "kv.json")
        assert part in sh.refused("run", "kv", "b0", "--port", PORT, "--file", path, ns=wire.b)


def test_what_it_leaves_goes_to_a_socket(wire):
    socket_b = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    socket_b.bind((sh.B4, PORT))
    socket_b.settimeout(30)
    with Server(wire, "--pass-misses", "--set", "k=v") as server:
        client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(30)
        for question in (b"get other", b"set k w", b"anything"):
            client.sendto(question, (sh.B4, PORT))
            got, sender = socket_b.recvfrom(4096)
            assert got == question
            socket_b.sendto(b"from user space", sender)
            assert client.recv(4096) == b"from user space"
        client.sendto(b"get k", (sh.B4, PORT))
        assert client.recv(4096) == b"val k 1 v"
        results = server.end()["results"]
        assert (results["absent"], results["unknown"], results["hit"]) == (1, 2, 1)


def test_only_its_addresses_are_answered_for(wire):
    wire.b.ip("addr add 192.0.2.77/24 dev b0")
    with Server(wire, "--address", "192.0.2.77", "--address", sh.B6) as server:
        client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(30)
        client.sendto(b"echo to another", (sh.B4, PORT))
        client.sendto(b"echo", ("192.0.2.77", PORT))
        assert client.recvfrom(100) == (b"said", ("192.0.2.77", PORT))
        assert asker(wire, socket.AF_INET6)(b"echo") == b"said"
        assert server.end()["results"]["echo"] == 2


def test_another_owners_program_stays(wire):
    wire.attach({})
    sentence = sh.refused("run", "kv", "b0", "--port", PORT, ns=wire.b)
    assert "shunt" in sentence and "b0" in sentence, sentence
    assert wire.b.link("b0").get("xdp")


def test_usage_that_is_wrong_is_told():
    for options, part in (((), "--port 7000 says"), (("--port", "70000"), "--port 7000 says"),
                          (("--port", "7", "--address", "x"), "neither an IPv4"),
                          (("--port", "7", "--set", "x"), "it is KEY=VALUE"),
                          (("--port", "7", "--set", "=x"), "0 bytes"),
                          (("--port", "7", "--set", "k" * 65 + "=x"), "65 bytes"),
                          (("--port", "7", "--mode", "x"), "auto, native and generic"),
                          (("--port", "7", "--keys", "9999999"), "there may be")):
        with sh.Namespace() as ns:
            assert part in sh.refused("run", "kv", "lo", *options, ns=ns)


def test_netcat_can_ask(wire):
    if not shutil.which("nc"):
        pytest.skip("nc is not installed")
    with Server(wire, "--set", "colour=green"):
        done = subprocess.run(wire.a.argv("nc", "-u", "-W", "1", "-w", "5", sh.B4, str(PORT)),
                              input="get colour\n", capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.stdout == "val colour 1 green", done


def test_a_message_with_a_header_gets_it_back(wire):
    def message(flags, body):
        return struct.pack(">BBHIIHH", 0xd7, flags, 3, 77, len(body), 0, 0x4321) + body

    with Server(wire, "--set", "k=v"):
        ask = asker(wire)
        assert ask(message(0, b"get k")) == message(2, b"val k 1 v")
        assert ask(message(0, b"echo!")) == message(2, b"said!")
        assert ask(message(0, b"get l")) == message(2, b"non l")


# --- xdp:// and ringbuf:// ---------------------------------------------------------------------

def test_a_transport_asks_and_counts_answers_of_both(wire):
    """A question that the program knows is answered by it, all others by the process."""
    wire.whole_checksums()
    with Station(wire, "echo", "xdp://%s:%d" % (sh.B4, PORT)) as server, \
            Station(wire, "talk", "raw://%s:%d" % (sh.A4, PORT), wire.a) as client:
        assert "answers" in server.first["capabilities"]
        for n in range(5):
            assert client.say(sh.B4, b"echo %d" % n, PORT) == b"said %d" % n
            assert client.say(sh.B4, b"other %d" % n, PORT) == b"other %d" % n
            assert client.say(sh.B4, b"get k", PORT) == b"get k"
        assert server.ask()["results"]["echo"] == 5
        counts = client.ask()["counts"]
        assert counts["rx_messages"] == 15
        for wrong in ("lost", "late", "duplicates", "restarts", "malformed"):
            assert counts[wrong] == 0, counts


@pytest.mark.parametrize("address", (sh.B4, sh.B6))
@pytest.mark.parametrize("where", ("ringbuf://%s:%d?header=off", "xdp://%s:%d?header=off",
                                   *(["ringbuf://%s:%d?header=off&hook=tc&wait=poll"]
                                     if kernel.has("tcx") else []),
                                   "ringbuf://%s:%d?header=off&mode=generic",
                                   "xdp://%s:%d?header=off&answer=all&mode=generic"))
def test_frames_come_by_the_ring_buffer(wire, where, address):
    wire.whole_checksums()
    place = "[%s]" % address if ":" in address else address
    with Station(wire, "echo", where % (place, PORT)) as station:
        ask = asker(wire, socket.AF_INET6 if ":" in address else socket.AF_INET)
        for size in (0, 1, 63, 64, 254, 255, 1000, 1452):
            assert ask(b"x" * size) == b"x" * size
        count = 1 if "all" in where else 8  # the program answers what has bytes
        assert station.ask()["counts"]["rx_messages"] == count


def test_who_cannot_be_there_says_why(wire):
    assert "is no power of two" in refused(wire, "ringbuf://%s:7000?ring=100000" % sh.B4)
    if not kernel.has("tcx"):
        assert "(needs Linux 6.6), so that nothing can come by hook=tc; hook=xdp works without" \
            in refused(wire, "ringbuf://%s:7000?hook=tc" % sh.B4)
    assert "has no such address" in refused(wire, "xdp://192.0.2.99:7000?dev=b0")
    wire.attach({})
    for scheme in ("ringbuf", "xdp"):
        assert "shunt" in refused(wire, "%s://%s:7000" % (scheme, sh.B4))
