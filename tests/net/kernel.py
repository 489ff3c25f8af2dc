# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel that the tests run on has, as `shunt probe` finds it.

test_probe.py holds those answers against the kernel's own symbols, and against what `attach`
then does, so that a probe that is wrong cannot make a test disappear.
"""
import functools
import os

import pytest

import shunt as sh


RELEASE = tuple(int(part) for part in os.uname().release.split(".")[:2])


@functools.lru_cache
def _answers():
    return {row["name"]: row["answer"] for row in sh.shunt("probe")["features"]}


def has(feature):
    """One of the rows of `shunt probe`."""
    return _answers()[feature] == "yes"


def needs(feature, since):
    """A mark of tests that have no fallback to try where the kernel has it not."""
    return pytest.mark.skipif(not has(feature), reason="no %s before Linux %s" % (feature, since))


def tc_mode():
    """What attach takes for a TC hook that nobody has asked a mode for."""
    return "tcx" if has("tcx") else "clsact"


def fallbacks(*hooks):
    """The warnings of an attach to these TC hooks in mode auto."""
    return [] if has("tcx") else ["no TCX here (Invalid argument; needs Linux 6.6): a clsact "
                                  "filter is used"] * len(hooks)


def told(answer):
    """What probe says of a driver's XDP, which drivers tell from Linux 6.3 on."""
    return answer if RELEASE >= (6, 3) else "unknown"


def tells_charges():
    """Is what a map is charged for what fdinfo has (Linux 6.4)? Before it is a guess."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        return any(line.split()[2] == "array_map_mem_usage" for line in file)
