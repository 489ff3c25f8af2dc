# SPDX-License-Identifier: BSD-2-Clause
"""Numbered datagrams at an even pace, for tests that ask which of them went where.

    with Numbered(wire, rate=2000) as flow:   # a thread sends 0, 1, 2, … to B4, port 5000
        flow.reaches(100)                     # 100 more have been sent
    flow.sent                                 # how many there were in all
    flow.times[7]                             # the clock (CLOCK_MONOTONIC) before number 7 left

What has been received comes back as numbers: of(payload).
"""
import socket
import threading
import time

import shunt as sh

BYTES = 18


def of(payload):
    """The number of a datagram."""
    return int(payload[:10])


class Numbered:
    def __init__(self, wire, rate=2000, port=5000, sport=4000):
        self._socket = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((sh.A4, sport))
        self._socket.connect((sh.B4, port))
        self._gap = 1 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.times = []

    def _run(self):
        due = time.monotonic()
        while not self._stop.is_set():
            self.times.append(time.monotonic())
            self._socket.send(b"%010d" % (len(self.times) - 1) + b"x" * (BYTES - 10))
            due = max(due + self._gap, time.monotonic() - self._gap)
            time.sleep(max(0, due - time.monotonic()))  # the pace itself

    @property
    def sent(self):
        return len(self.times)

    def reaches(self, more):
        """Waits until so many more than now have been sent."""
        goal = self.sent + more
        sh.wait(lambda: self.sent > goal, "datagram %d to be sent" % goal, 30)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *why):
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


class Server:
    """A UDP socket of b's stack that collects the numbers it gets, in their order."""

    def __init__(self, wire, port=5000):
        self._socket = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # SO_RCVBUFFORCE: what comes while nobody reads, 4 KiB for each where XDP has looked at it
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)
        self._socket.bind((sh.B4, port))
        self._socket.setblocking(False)
        self._got = []

    @property
    def numbers(self):
        while True:
            try:
                self._got.append(of(self._socket.recv(64)))
            except BlockingIOError:
                return self._got
