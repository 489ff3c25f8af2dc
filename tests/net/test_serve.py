# SPDX-License-Identifier: BSD-2-Clause
"""`serve`: a consumer's sockets for processes that are not root."""
import os
import signal
import stat

import pytest

import frame as fr
import kernel
import shunt as sh
from test_watchdog import halt, ledger, seat

HANDED = kernel.needs("af-xdp-handover", "6.5")
US = "192.0.2.9"
HEARTBEAT = round(3000 * sh.PATIENCE)  # ms: longer than a process waits for a CPU
POLICY = {"consumers": {"tap": {"kind": "xsk", "if_down": "pass",
                                "heartbeat": "%dms" % HEARTBEAT}},
          "rules": [{"name": "us", "match": {"dst": US + "/32"},
                     "action": {"redirect": {"consumer": "tap"}}},
                    {"name": "arp", "match": {"eth_type": "arp"},
                     "action": {"redirect": {"consumer": "tap"}}}]}
NOBODY = 65534
ECHO = fr.eth(fr.ip4(fr.udp(b"x", 4000, 7), dst=US)).hex()


class Server:
    """`shunt serve` in namespace b."""

    def __init__(self, wire, *options, mode="0666"):
        os.chmod(os.path.dirname(wire.file("serve")), 0o755)
        self.path, self._wire = wire.file("serve"), wire
        self.process = wire.b.start(sh.BINARY, "serve", "b0", "--consumer", "tap", "--socket",
                                    self.path, "--mode", mode, "--netns", wire.b.name, "--json",
                                    *options)
        self.process.says("listening")

    def events(self):
        return [reply["event"] for reply in self.process.replies()]

    def told(self, event, times=1):
        """Waits until it has told of that; the last such reply."""
        return sh.wait(lambda: [reply for reply in self.process.replies()
                                if reply["event"] == event][times - 1:],
                       "%s to be told: %s" % (event, self.process.out))[-1]

    def client(self, *words, options=""):
        """A process of nobody's, served; that it is may take a moment."""
        port = "af_xdp:b0,serve=%s%s" % (self.path, options)
        return self._wire.b.start("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups",
                                  sh.BINARY, "run", words[0], port, *words[1:])

    def echo(self, options=""):
        before = self.events().count("joined")
        process = self.client("echo", "--address", US + "/24", options=options)
        sh.wait(lambda: self.events().count("joined") > before or process.popen.poll() is not None,
                "a client to join: %s" % self.process.out)
        assert process.popen.poll() is None, (process.err, self.process.out)
        return process


def reason(wire):
    return sh.shunt("explain", "b0", "--frame", ECHO, ns=wire.b)["reason"]


@HANDED
def test_a_process_without_root_receives_and_echoes(wire):
    wire.attach(POLICY)
    server = Server(wire)
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o666
    client = server.echo()
    joined = server.told("joined")
    assert (joined["pid"], joined["uid"], joined["queues"]) == (client.popen.pid, NOBODY, [0])
    assert wire.a.ping(US, 50) == 50
    there = seat(wire)
    assert there["pid"] == client.popen.pid and not there["stalled"]
    assert there["heartbeat"]["interval_ms"] == HEARTBEAT
    # what it has: no map and no program, and not a single capability
    kinds = {os.readlink(path) for path in map("/proc/%d/fd/".__mod__(client.popen.pid).__add__,
                                               os.listdir("/proc/%d/fd" % client.popen.pid))}
    assert not [kind for kind in kinds if "bpf" in kind], kinds
    with open("/proc/%d/status" % client.popen.pid, encoding="ascii") as file:
        assert "CapEff:\t0000000000000000" in file.read()
    assert client.end(signal.SIGINT) == 0, client.err
    assert server.told("left")["pid"] == client.popen.pid
    sh.wait(lambda: reason(wire) == "consumer-down", "the socket to be gone")
    assert seat(wire) is None
    _, there = ledger(wire)
    assert there["handed"] == there["received"] >= 51 and there["lost"] == 0
    assert server.process.end(signal.SIGINT) == 0
    assert not os.path.exists(server.path)


@HANDED
def test_a_client_that_is_killed_or_stalls_is_found_out_and_followed(wire):
    wire.attach(POLICY)
    server = Server(wire)
    client = server.echo()
    assert wire.a.ping(US, 5) == 5
    halt(client)
    sh.wait(lambda: reason(wire) == "consumer-stalled", "the stall to be seen")
    assert seat(wire)["stalled"] and seat(wire)["pid"] == client.popen.pid
    client.popen.send_signal(signal.SIGCONT)
    sh.wait(lambda: reason(wire) == "rule", "the client to be back")
    halt(client)
    sh.send(wire.a.raw("a0"), *[bytes.fromhex(ECHO)] * 10)
    wire.seen(10)
    client.end(signal.SIGKILL)
    server.told("died")
    sh.wait(lambda: reason(wire) == "consumer-down", "the socket to be gone")
    successor = server.echo()
    assert wire.a.ping(US, 5) == 5
    assert successor.end(signal.SIGINT) == 0
    server.told("left")
    _, there = ledger(wire)
    # what the dead one had not taken is written off
    assert there["handed"] == there["received"] + there["lost"] and there["lost"] <= 10
    assert server.process.end(signal.SIGTERM) == 0


@HANDED
def test_a_queue_has_one_client_and_a_client_has_limits(wire):
    wire.attach(POLICY)
    server = Server(wire, "--frames", "8000")
    client = server.echo()
    second = server.client("echo", "--address", US + "/24")
    assert second.end() == 1 and b"another process serves this consumer" in second.err or \
        b"already served" in second.err, second.err
    assert server.told("refused")["uid"] == NOBODY
    assert client.end(signal.SIGINT) == 0
    server.told("left")
    for options, words in ((",frames=8001", "8001 frames: a client may have 8000"),
                           (",ring=4096", "frames, and a client may have 8000"),
                           (",queues=7", "b0 has no receive queue 7"),
                           (",mode=native", "serve= goes with queues, ring"),
                           (",consumer=tap", "serve= goes with queues, ring")):
        refused = server.client("echo", "--address", US + "/24", options=options)
        assert refused.end() == 1 and words in refused.err.decode(), refused.err
    assert seat(wire) is None
    assert server.process.end(signal.SIGINT) == 0


@HANDED
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_without_the_server_its_clients_get_nothing_and_say_so(wire, traces, how):
    wire.attach(POLICY)
    server = Server(wire)
    client = server.echo()
    assert wire.a.ping(US, 5) == 5
    server.process.end(how)
    assert client.end() == 1
    assert b"`shunt serve` has ended" in client.err, client.err
    sh.wait(lambda: reason(wire) == "consumer-down", "its sockets to be gone")
    assert os.path.exists(server.path) == (how == signal.SIGKILL)
    # the next one takes its place, also where it was killed
    server = Server(wire)
    client = server.echo()
    assert wire.a.ping(US, 5) == 5
    assert client.end(signal.SIGINT) == 0
    assert server.process.end(signal.SIGINT) == 0
    wire.b.quiet()
    wire.detach()
    traces.nothing_new()


def test_who_may_not_is_refused(wire):
    wire.attach(POLICY)
    server = Server(wire, mode="0600")
    refused = server.client("echo", "--address", US + "/24")
    assert refused.end() == 1 and b"not permitted; `shunt serve` says" in refused.err, refused.err
    assert server.events() == ["listening"]
    assert server.process.end(signal.SIGINT) == 0
    refused = server.client("echo", "--address", US + "/24")
    assert refused.end() == 1 and b"nobody serves at" in refused.err


def test_what_is_no_client_is_shown_the_door(wire):
    wire.attach(POLICY)
    server = Server(wire)
    code = ("import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "s.connect(sys.argv[1])\n"
            "s.send(b'hello' * 20)\n"
            "print(len(s.recv(4096)))\n")
    done = wire.b.run("/usr/bin/python3", "-c", code, server.path)
    assert int(done.stdout) > 0
    assert "hear what the client asks for" in server.told("refused")["error"]
    if kernel.has("af-xdp-handover"):
        client = server.echo()
        assert client.end(signal.SIGINT) == 0
    assert server.process.end(signal.SIGINT) == 0


@pytest.mark.parametrize("options, words", [
    (["--socket", "/tmp/x"], "serve: which consumer, and where?"),
    (["--consumer", "tap", "--socket", "/nowhere/x"], "listen at /nowhere/x"),
    (["--consumer", "tpa", "--socket", "/tmp/x"], 'has no consumer "tpa"'),
    (["--consumer", "tap", "--socket", "/tmp/x", "--mode", "rw"], '"rw" is no mode'),
    (["--consumer", "tap", "--socket", "/tmp/x", "--group", "no-such"], "no such group"),
])
def test_what_a_server_is_told_must_make_sense(wire, options, words):
    wire.attach(POLICY)
    assert words in sh.refused("serve", "b0", *options, ns=wire.b)


if not kernel.has("af-xdp-handover"):
    def test_an_older_kernel_hands_nothing_over_and_that_is_said(wire):
        wire.attach(POLICY)
        server = Server(wire)
        client = server.client("echo", "--address", US + "/24")
        assert client.end() == 1
        assert b"maps no rings of a socket that is bound, which takes Linux 6.5" in client.err
        assert "joined" not in server.events()
        assert server.process.end(signal.SIGINT) == 0
