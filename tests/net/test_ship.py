# SPDX-License-Identifier: BSD-2-Clause
"""`run ship` where there is no RDMA: what it says. That it works, guests show (tests/vm/test_ship.py)."""
import os

import pytest
import shunt as sh

PLUGIN = os.path.join(os.path.dirname(sh.BINARY), "plugins/ship.so")
HAS_RDMA = os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband") != []


def refused(*words, code=1):
    return sh.refused("run", "ship", *words, code=code)


@pytest.mark.skipif(not os.path.exists(PLUGIN), reason="librdmacm-dev is missing")
@pytest.mark.skipif(HAS_RDMA, reason="this machine has RDMA")
@pytest.mark.parametrize("words", [
    ("lo", "--to", "192.0.2.2:7400"), ("--receive", "192.0.2.2:7400"),
    ("--receive", "192.0.2.2:7400", "--write", "/dev/null")])
def test_without_a_device(words):
    sentence = refused(*words)
    assert "there is no RDMA device" in sentence and "rdma link add rxe0 type rxe" in sentence


def test_without_the_plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("SHUNT_PLUGINS", str(tmp_path))
    sentence = refused("lo", "--to", "192.0.2.2:7400")
    assert "needs the plug-in ship.so" in sentence and "install librdmacm-dev" in sentence
    os.symlink(os.path.join(os.path.dirname(PLUGIN), "rdma.so"), tmp_path / "ship.so")
    if os.path.exists(PLUGIN):
        assert "of another build" in refused("lo", "--to", "192.0.2.2:7400")


@pytest.mark.parametrize("words, says", [
    (("lo",), "sends, and --receive"),
    (("lo", "--to", "a:1", "--receive", "b:1"), "sends, and --receive"),
    (("--to", "192.0.2.2:7400"), "sends, and --receive"),
    (("lo", "--receive", "192.0.2.2:7400"), "sends, and --receive"),
    (("lo", "--to", "192.0.2.2:7400", "--once"), "--once is for the end that receives"),
    (("--receive", "192.0.2.2:7400", "--full", "drop"), "--full is for the end that sends"),
    (("--receive", "192.0.2.2:7400", "--write", "-"), "cannot take the capture and --json"),
    (("af_xdp:lo", "--to", "192.0.2.2:7400", "--consumer", "tap"), "are for an interface"),
])
def test_what_makes_no_sense_is_refused(words, says):
    done = sh.run("run", "ship", *words)
    assert done.code in (1, 2) and says in done.error, done
