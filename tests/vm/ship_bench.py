#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Frames by `run ship` beside messages of the same length by perftest, on the same two devices.

    tests/vm/ship_bench.py [ROUNDS] [BYTES]...       in a guest, after `tests/vm/rxe up`

In alternation; of each, messages a second and the machine's busy time for one (all of it: the
sender, the receiver and the kernel between them). Only the ratios mean something in a guest.
perftest keeps one message a request; ship takes up to 16 frames into one, which is the point.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

SHUNT = "build/shunt"
FAR, NEAR = "192.0.2.2", "192.0.2.1"
FRAMES, LOOPS, MESSAGES = 1000, 10, 3000
DEADLINE_S = 120


def busy_ns():
    """What all cores have worked so far."""
    with open("/proc/stat", encoding="ascii") as file:
        words = list(map(int, file.readline().split()[1:9]))
    idle = words[3] + words[4]
    return (sum(words) - idle) * 10**9 // os.sysconf("SC_CLK_TCK")


def measured(run):
    """Messages a second, and nanoseconds of busy time for one."""
    before = busy_ns()
    messages, rate = run()
    return rate, (busy_ns() - before) / messages


def ship(path):
    def run():
        argv = [SHUNT, "run", "ship", "--json"]
        far = subprocess.Popen([*argv, "--receive", FAR + ":7400", "--once", "--interval", "100ms"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            far.stdout.readline()  # it listens
            near = subprocess.run([*argv, "pcap:%s,loop=%d" % (path, LOOPS), "--to", FAR + ":7400",
                                   "--from", NEAR], capture_output=True, text=True, check=True,
                                  timeout=DEADLINE_S)
            last = json.loads(far.communicate(timeout=DEADLINE_S)[0].splitlines()[-1])
        finally:
            far.kill()
            far.wait()
        sent = json.loads(near.stdout.splitlines()[-1])
        assert last["consumed"] == sent["sent"] == FRAMES * LOOPS, (last, sent)
        return sent["sent"], sent["sent"] / sent["seconds"]
    return run


def perftest(program, size):
    def run():
        argv = [program, "-i", "1", "-x", "1", "-p", "18515", "-s", str(size), "-n", str(MESSAGES),
                "-F"]
        far = subprocess.Popen([*argv, "-d", "rxe-tb"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        try:
            for _ in range(50):  # it has no way to say that it listens
                near = subprocess.run([*argv, "-d", "rxe-ta", FAR], capture_output=True, text=True,
                                      timeout=DEADLINE_S, check=False)
                if near.returncode == 0:
                    break
                time.sleep(0.1)
            far.wait(DEADLINE_S)
        finally:
            far.kill()
            far.wait()
        row = re.search(r"^\s*%d\s+%d\s+\S+\s+\S+\s+(\S+)" % (size, MESSAGES), near.stdout, re.M)
        assert row, near.stdout + near.stderr
        return MESSAGES, float(row.group(1)) * 1e6
    return run


def main(rounds=3, *sizes):
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, sizes or ("64", "1024")):
            path = os.path.join(folder, "%d.pcap" % size)
            subprocess.run([SHUNT, "run", "generate", "pcap:%s,write" % path, "--packets",
                            str(FRAMES), "--number", "--size", str(size)], check=True,
                           stdout=subprocess.DEVNULL)
            contenders = {"run ship": ship(path), "ib_write_bw": perftest("ib_write_bw", size),
                          "ib_send_bw": perftest("ib_send_bw", size)}
            seen = {name: [] for name in contenders}
            for _ in range(int(rounds)):
                for name, run in contenders.items():
                    seen[name].append(measured(run))
            base = [statistics.median(one) for one in zip(*seen["run ship"])]
            for name, rows in seen.items():
                rate, cost = (statistics.median(one) for one in zip(*rows))
                print("%5d bytes  %-12s %9.0f /s %9.1f us busy each   ship: %5.2f times the rate, "
                      "%5.2f of the time" % (size, name, rate, cost / 1000, base[0] / rate,
                                             base[1] / cost), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
