# SPDX-License-Identifier: BSD-2-Clause
"""Sends datagrams at an even pace until it is interrupted, then says how many it has sent.

    flow.py ADDRESS PORT RATE

The sources' ports are 4000 to 4007 in turn. RATE, packets a second, is an upper bound: a burst is
due every millisecond, and what could not be sent in time is not made up for.
"""
import itertools
import signal
import socket
import sys
import time


def main():
    target, rate = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    sockets = []
    for port in range(4000, 4008):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", port))
        made.connect(target)
        sockets.append(made)
    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(1))
    print("flowing", flush=True)
    sent, turn, due = 0, itertools.cycle(sockets), time.monotonic()
    while not stop:
        for _ in range(rate // 1000):
            next(turn).send(b"x" * 18)
        sent += rate // 1000
        due = max(due + 0.001, time.monotonic() - 0.001)
        time.sleep(max(0, due - time.monotonic()))  # the pace itself
    print(sent, flush=True)


main()
