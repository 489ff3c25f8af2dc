# SPDX-License-Identifier: BSD-2-Clause
"""A wire that loses, doubles and reorders packets (impair.c, tests/transport/impair.h).

    with Rough("--loss", "5%", "--seed", "7") as wire:     # a0 ── m0 impaired m1 ── b0
        wire.a.socket(…), wire.b.socket(…)
        wire.counts()["m0"]["lost"]                        # of what a0 sent
"""
import contextlib
import json
import os
import subprocess

import shunt as sh

PROGRAM = os.path.join(os.path.dirname(sh.BINARY), "tests/net/impair")


class Impair:
    """The program between two interfaces of a namespace."""

    def __init__(self, ns, interface, other, *options):
        self._popen = subprocess.Popen(ns.argv(PROGRAM, interface, other, *options),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self):
        line = self._popen.stdout.readline()
        assert line, ("impair ended", self._popen.wait(60))
        return json.loads(line)

    def _ask(self, *words):
        print(*words, file=self._popen.stdin, flush=True)
        return self._answer()

    def counts(self):
        """By interface, of what it received: {"judged": packets, …}."""
        return self._ask("counts")

    def set(self, loss="0%", duplicate="0%", reorder="0%"):
        """From the next packet on."""
        self._ask("set", loss, duplicate, reorder)

    def close(self):
        self._popen.stdin.close()
        try:
            self._popen.wait(60)
        finally:
            self._popen.kill()
            self._popen.wait()
            self._popen.stdout.close()


class Rough:
    """Namespaces a and b, joined over a third one that impairs what passes."""

    def __init__(self, *options):
        self._stack = contextlib.ExitStack()
        try:
            self.a, self.b, self.mid = (self._stack.enter_context(sh.Namespace())
                                        for _ in range(3))
            self._end(self.a, "a0", "m0", (sh.A4, sh.A6), (sh.B4, sh.B6), "0a", "0b")
            self._end(self.b, "b0", "m1", (sh.B4, sh.B6), (sh.A4, sh.A6), "0b", "0a")
            self.impair = Impair(self.mid, "m0", "m1", *options)
            self._stack.callback(self.impair.close)
            self.counts, self.set = self.impair.counts, self.impair.set
        except BaseException:
            self._stack.close()
            raise

    def _end(self, ns, name, inner, own, other, mac, its):
        ns.ip("link add %s address 02:00:00:00:00:%s type veth peer %s netns %s"
              % (name, mac, inner, self.mid.name),
              "link set %s up" % name,
              "addr add %s/24 dev %s" % (own[0], name),
              "addr add %s/64 dev %s nodad" % (own[1], name),
              *("neigh replace %s lladdr 02:00:00:00:00:%s dev %s nud permanent"
                % (to, its, name) for to in other))
        self.mid.ip("link set %s up" % inner)
        ns.run("ethtool", "-K", name, "tx", "off", "gro", "on")

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()
