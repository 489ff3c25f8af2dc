# SPDX-License-Identifier: BSD-2-Clause
"""Connections over a wire that loses, doubles and reorders: every message once, in order."""
import json
import os
import subprocess

import pytest
import shunt as sh

from impair import Rough

PROGRAM = os.path.join(os.path.dirname(sh.BINARY), "tests/net/conn")
PORT = 7000
MIX = ("--loss", "10%", "--duplicate", "5%", "--reorder", "10%")
# What carries them, and how the caller's own address is told.
CARRIERS = {
    "epoll": "epoll://%s:%d",
    "epoll-tcp": "epoll://%s:%d?proto=tcp",
    "raw": "raw://%s:%d",
    "afxdp": "afxdp://%s:%d",
}


class End:
    """The program, and what it says; it ends with the block."""

    def __init__(self, ns, *words):
        self._popen = subprocess.Popen(ns.argv(PROGRAM, *map(str, words)), text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.says()
        except BaseException:
            self.__exit__()
            raise

    def says(self):
        line = self._popen.stdout.readline()
        assert line, self._popen.stderr.read()
        return json.loads(line)

    def ends(self):
        assert self._popen.wait(30) == 0, self._popen.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self._popen.kill()
        self._popen.wait()
        self._popen.stdout.close()
        self._popen.stderr.close()


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    return path


def ends(wire, key, carrier, messages, longest):
    """The server that has the wire's other end, and its caller."""
    uri = CARRIERS[carrier]
    server = End(wire.b, "serve", uri % (sh.B4, PORT), key, messages)
    try:
        return server, End(wire.a, "call", uri % (sh.A4, PORT + 1), "%s:%d" % (sh.B4, PORT), key,
                           messages, longest)
    except BaseException:
        server.__exit__()
        raise


@pytest.mark.parametrize("carrier", CARRIERS)
def test_all_arrives_once_and_in_order(carrier, key):
    with Rough(*MIX, "--seed", "5") as wire:
        server, caller = ends(wire, key, carrier, 1500, 3000)
        with server, caller:
            assert caller.says() == {"half": True}
            there = caller.says()
            assert there["messages"] == 1500, there
            assert server.says() == there
            caller.ends()
            server.ends()
        for way in wire.counts().values():
            assert way["lost"] > 20 and way["doubled"] > 10 and way["reordered"] > 10, way


def test_it_goes_on_when_the_wire_is_whole_again(key):
    with Rough(*MIX, "--seed", "6") as wire:
        server, caller = ends(wire, key, "epoll", 800, 3000)
        with server, caller:
            assert caller.says() == {"half": True}
            before = wire.counts()["m0"]["lost"]
            wire.set(loss="100%")
            sh.wait(lambda: wire.counts()["m0"]["lost"] > before + 10, "packets to be lost")
            wire.set(loss="10%")
            there = caller.says()
            assert there["messages"] == 800, there
            assert server.says() == there
            caller.ends()
            server.ends()
