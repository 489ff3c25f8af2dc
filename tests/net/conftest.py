# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures, and two rules of a session: no skip that nobody expects, nothing left behind.

Environment: SHUNT names the binary (build/shunt); CI=true makes an unexpected skip a failure;
SHUNT_ALLOWED_SKIPS lists, with commas, parts of test ids or of reasons that are expected.
SHUNT_VARIANTS=N leaves N variants of each test that has parameters, other ones on other kernels;
SHUNT_SHARE=I/N leaves every N-th test, I of 0 to N - 1 says which: together all are run once.
"""
import os
import random
import signal
import subprocess
import sys
import zlib

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import census  # noqa: E402  (after the path is set)
import kernel  # noqa: E402
import shunt as sh  # noqa: E402

_skips = []
_before = None


def _clean_up_on_signals():
    """A session that is ended cleans up; also where its parent has it ignore ^C."""
    def stop(*_):
        raise KeyboardInterrupt

    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, stop)


def pytest_sessionstart(session):
    global _before
    if os.geteuid():
        pytest.exit("these tests make network namespaces: run them as root", 2)
    if not os.access(sh.BINARY, os.X_OK):
        pytest.exit("%s is not there: run make first" % sh.BINARY, 2)
    _clean_up_on_signals()
    os.chdir(sh.ROOT)
    _before = census.Traces()


@pytest.hookimpl(trylast=True)  # of what -k has left
def pytest_collection_modifyitems(config, items):
    most = int(os.environ.get("SHUNT_VARIANTS") or 0)
    share, shares = map(int, (os.environ.get("SHUNT_SHARE") or "0/1").split("/"))
    variants = {}
    for item in items:
        variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left = set()
    for name, several in variants.items():
        if zlib.crc32(name.encode()) % shares != share:
            left.update(item.nodeid for item in several)
        elif 0 < most < len(several):
            # the same ones whenever this kernel runs them
            draw = random.Random("%s %s" % (kernel.RELEASE, name))
            left.update(item.nodeid for item in draw.sample(several, len(several) - most))
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left])
        items[:] = [item for item in items if item.nodeid not in left]


def pytest_runtest_logreport(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        _skips.append((report.nodeid, reason))


def pytest_sessionfinish(session, exitstatus):
    faults = ["left behind: %s" % (item,) for item in census.remains()]
    if _before:
        try:
            _before.nothing_new()
        except AssertionError as fault:
            faults.append(str(fault))
    if os.environ.get("CI") == "true":
        allowed = [part for part in os.environ.get("SHUNT_ALLOWED_SKIPS", "").split(",") if part]
        faults += ["unexpected skip: %s: %s" % skip for skip in _skips
                   if not any(part in skip[0] or part in skip[1] for part in allowed)]
    if faults:
        session.config.stash[_faults] = faults
        session.exitstatus = exitstatus or 1


_faults = pytest.StashKey()


def pytest_terminal_summary(terminalreporter, config):
    for fault in config.stash.get(_faults, []):
        terminalreporter.write_line("FAILED session: " + fault, red=True)


def _wire(**how):
    """A wire, and after it a look at what is left of it."""
    traces = census.Traces()
    with sh.Wire(**how) as made:
        yield made
    traces.nothing_new()


@pytest.fixture
def wire():
    """IPv4 alone: nothing is on this wire but what the test sends."""
    yield from _wire()


@pytest.fixture
def wire6():
    """IPv4 and IPv6: the kernel talks here as well."""
    yield from _wire(ipv6=True)


@pytest.fixture
def bare_wire():
    """IPv4 and IPv6, and nobody knows the other's MAC address."""
    yield from _wire(ipv6=True, neighbours=False)


@pytest.fixture
def wide_wire():
    """Two queues each way."""
    yield from _wire(queues=2)


@pytest.fixture
def traces():
    """What Shunt had in the kernel before the test: `traces.nothing_new()` compares."""
    return census.Traces()


# Where iproute2 would pin maps of the programs that it loads. Its xdp is a link to tc, unless libxdp
# has a folder there.
IPROUTE2 = [os.path.join("/sys/fs/bpf", name)
            for name in ("ip", "xdp/globals", "xdp", "tc/globals", "tc")]


@pytest.fixture(scope="session")
def foreign(tmp_path_factory):
    """An object with programs that are not Shunt's: sections xdp and tc; both let pass."""
    there = [path for path in IPROUTE2 if os.path.lexists(path)]
    folder = tmp_path_factory.mktemp("foreign")
    source = folder / "foreign.c"
    source.write_text('#define SEC(x) __attribute__((section(x), used))\n'
                      'char _license[] SEC("license") = "GPL";\n'
                      'SEC("xdp") int other_xdp(void *ctx) { return 2; }\n'
                      'SEC("tc") int other_tc(void *ctx) { return -1; }\n')
    subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-c", source, "-o",
                    source.with_suffix(".o")], check=True)
    yield source.with_suffix(".o")
    for path in IPROUTE2:
        if path in there or not os.path.lexists(path):
            continue
        if os.path.islink(path):
            os.unlink(path)
        else:
            os.rmdir(path)
