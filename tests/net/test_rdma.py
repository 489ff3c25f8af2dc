# SPDX-License-Identifier: BSD-2-Clause
"""rdma:// where there is no RDMA: what it says. That it works, guests show (tests/vm/suite/rdma)."""
import os
import subprocess

import pytest
import shunt as sh

PLUGIN = os.path.join(os.path.dirname(sh.BINARY), "plugins/rdma.so")


def why(**env):
    told = subprocess.run([sh.BINARY, "help", "rdma://"], check=True, text=True,
                          stdout=subprocess.PIPE, env=dict(os.environ, **env)).stdout
    return told[told.index("It cannot be had here: "):].splitlines()[0]


def test_without_the_plugin(tmp_path):
    sentence = why(SHUNT_PLUGINS=str(tmp_path))
    assert "a transport of the kind rdma needs the plug-in rdma.so" in sentence
    assert str(tmp_path) in sentence and "install librdmacm-dev and libibverbs-dev" in sentence


def test_a_plugin_of_another_kind_is_refused(tmp_path):
    """That of DPDK, had it that name: a port's vtable would be taken for a transport's."""
    other = os.path.join(os.path.dirname(PLUGIN), "dpdk.so")
    if not os.path.exists(other):
        pytest.skip("libdpdk-dev is missing")
    os.symlink(other, tmp_path / "rdma.so")
    assert "of another build" in why(SHUNT_PLUGINS=str(tmp_path))


@pytest.mark.skipif(not os.path.exists(PLUGIN), reason="librdmacm-dev is missing")
@pytest.mark.skipif(os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband")
                    != [], reason="this machine has RDMA")
def test_without_a_device():
    sentence = why()
    assert "there is no RDMA device" in sentence and "rdma link add rxe0 type rxe" in sentence
