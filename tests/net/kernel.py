# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel that the tests run on has, as `shunt probe` finds it.

test_probe.py holds those answers against the kernel's own symbols, and against what `attach`
then does, so that a probe that is wrong cannot make a test disappear.
"""
import functools

import pytest

import shunt as sh


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
