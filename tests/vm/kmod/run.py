#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel module takes, refuses and survives, in a guest (tests/vm/suite/kmod).

    tests/vm/kmod/run.py MODULE.ko [WORDS]      only the tests whose names have the words
"""
import os
import sys
import time

import bed
import hostile
import life
import packets
import stack


def main():
    bed.module = sys.argv[1]
    words = sys.argv[2] if len(sys.argv) > 2 else ""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    bed.make_namespaces()
    try:
        for test in packets.TESTS + stack.TESTS + hostile.TESTS + life.TESTS:
            if words not in test.__name__:
                continue
            begin = time.monotonic()
            test()
            bed.libc.setns(home, 0)
            print(f"ok {test.__name__}: {test.__doc__} ({time.monotonic() - begin:.1f} s)",
                  flush=True)
    finally:
        bed.libc.setns(home, 0)
        bed.drop_namespaces()


main()
