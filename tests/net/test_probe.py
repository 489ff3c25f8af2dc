# SPDX-License-Identifier: BSD-2-Clause
"""`shunt probe`: what it says is so, and nothing is changed by asking."""
import json
import os
import subprocess

import pytest

import census
import kernel
import shunt as sh


def features(reply):
    return {row["name"]: row for row in reply["features"]}


def answers(reply):
    return {name: row["answer"] for name, row in features(reply).items()}


@pytest.fixture
def pair():
    """A namespace with both ends of a veth pair, v0 and v1."""
    with sh.Namespace() as ns:
        ns.ip("link add v0 type veth peer v1", "link set v0 up", "link set v1 up")
        yield ns


def bpftool():
    done = subprocess.run(["bpftool", "-j", "feature", "probe", "kernel", "full"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# --- the kernel -------------------------------------------------------------------------------

def test_what_the_kernel_can_do_is_what_bpftool_finds():
    found, theirs = answers(sh.shunt("probe")), bpftool()
    yes = {True: "yes", False: "no"}
    assert found["ring-buffer"] == yes[theirs["map_types"]["have_ringbuf_map_type"]]
    assert found["bpf-loop"] == yes["bpf_loop" in theirs["helpers"]["xdp_available_helpers"]]
    assert found["jit"] == yes[theirs["system_config"]["bpf_jit_enable"] > 0]
    assert found["btf"] == yes[os.path.exists("/sys/kernel/btf/vmlinux")]
    with open("/proc/kallsyms", encoding="ascii") as file:
        symbols = {line.split()[2] for line in file}
    assert found["xdp-vlan-tag"] == yes["bpf_xdp_metadata_rx_vlan_tag" in symbols]
    assert found["tcx"] == yes["tcx_prog_attach" in symbols]
    assert found["netfilter"] == found["netfilter-program"] == yes["bpf_nf_link_attach" in symbols]
    # of these no symbol tells
    assert found["af-xdp"] == "yes"
    assert found["af-xdp-handover"] == yes[kernel.RELEASE >= (6, 5)]
    assert found["af-xdp-frags"] == yes[kernel.RELEASE >= (6, 6)]


def test_attach_can_do_what_probe_promises(wire):
    found = answers(sh.shunt("probe"))
    assert found["xdp-program"] == found["tc-program"] == "yes"
    for hook, mode, name, words in (
            ("xdp", "native", "xdp-native", ""), ("xdp", "generic", "xdp-generic", ""),
            ("tc-ingress", "clsact", "clsact", ""),
            ("tc-ingress", "tcx", "tcx", "needs Linux 6.6); `--mode clsact` works on older kernels"),
            ("netfilter", "link", "netfilter", "needs Linux 6.4, built with")):
        done = sh.run("attach", "b0", "-p", wire.policy({}), "--hook", hook, "--mode", mode,
                      ns=wire.b)
        assert (done.code == 0) == (found[name] == "yes"), done
        if done.code:
            # what there is says what is missing and what to do; it leaves nothing behind
            assert words and words in done.error, done
            assert not wire.b.instances()
        else:
            wire.detach()


def test_without_bpffs_probe_says_so():
    hidden = ["unshare", "-m", "sh", "-c",
              "mount -t tmpfs none /sys/fs/bpf && exec \"$@\"", "sh"]
    row = features(sh.shunt("probe", prefix=hidden))["bpffs"]
    assert row["answer"] == "no" and "attach mounts it" in row["matters"]


# --- an interface -----------------------------------------------------------------------------

def test_an_interface_is_asked_and_not_changed(pair):
    def look():
        return [pair.run(*argv).stdout for argv in (
            ("ip", "-d", "link"), ("tc", "qdisc"), ("ethtool", "-k", "v0"), ("ip", "netns"))]

    traces, before = census.Traces(), look()
    reply = sh.shunt("probe", "v0", ns=pair)["interface"]
    assert look() == before
    traces.nothing_new()
    assert (reply["name"], reply["driver"], reply["mtu"], reply["queues"]) == \
        ("v0", "veth", 1500, 1)
    found = answers(reply)
    assert found["xdp-native"] == found["xdp-redirect"] == kernel.told("yes")
    assert found["af-xdp-zerocopy"] == kernel.told("no")
    assert found["xdp-free"] == "yes" and found["queues"] == "no"
    assert found["vlan-tag-metadata"] == \
        kernel.told("yes" if kernel.has("xdp-vlan-tag") else "no")
    assert found["ntuple"] == found["rps"] == "no" and reply["queues_max"] >= 1


def test_what_a_driver_offers_for_steering(wide_wire):
    """As ethtool and sysfs show it."""
    wire = wide_wire
    rows = features(sh.shunt("probe", "b0", ns=wire.b)["interface"])
    assert rows["queues"]["detail"] == "2 of at most 2"
    assert rows["ntuple"]["answer"] == "no"
    assert rows["rps"] == {**rows["rps"], "answer": "no", "detail": "rx-0 0, rx-1 0"}
    wire.attach({"queues": {"rps": {"1": [0]}, "xps": {"0": [1]}}})
    rows = features(sh.shunt("probe", "b0", ns=wire.b)["interface"])
    assert rows["rps"] == {**rows["rps"], "answer": "yes", "detail": "rx-0 0, rx-1 1"}
    assert rows["xps"] == {**rows["xps"], "answer": "yes", "detail": "tx-0 2, tx-1 0"}


def test_an_interface_without_native_xdp():
    found = answers(sh.shunt("probe", "lo")["interface"])
    assert found["xdp-native"] == found["xdp-redirect"] == kernel.told("no")


def test_an_xdp_program_that_is_there_is_named(wire):
    wire.attach({})
    row = features(sh.shunt("probe", "b0", ns=wire.b)["interface"])["xdp-free"]
    assert row["answer"] == "no" and "shunt_xdp" in row["detail"]


def test_tags_that_xdp_would_not_see(pair):
    def ask():
        reply = sh.shunt("probe", "v0", ns=pair)
        words = [text for text in reply["warnings"] if "vlan" in text]
        return answers(reply["interface"])["vlan-in-frame"], words

    answer, (words,) = ask()
    assert answer == "no" and "misses" in words and "txvlan off" in words
    pair.run("ethtool", "-K", "v0", "rxvlan", "off")  # which does not help with a veth
    assert ask()[0] == "no"
    pair.run("ethtool", "-K", "v1", "txvlan", "off")
    assert ask() == ("yes", [])


def test_a_peer_without_napi_loses_what_xdp_sends(pair):
    def ask():
        reply = sh.shunt("probe", "v0", ns=pair)
        return answers(reply["interface"])["veth-peer-napi"], \
            [text for text in reply["warnings"] if "NAPI" in text]

    answer, (words,) = ask()
    assert answer == "no" and "GRO" in words
    pair.run("ethtool", "-K", "v1", "gro", "on")
    assert ask() == ("yes", [])


def test_a_peer_in_another_namespace_cannot_be_asked(wire):
    found = answers(sh.shunt("probe", "b0", ns=wire.b)["interface"])
    assert found["veth-peer-napi"] == found["vlan-in-frame"] == "unknown"


# --- how it is said ---------------------------------------------------------------------------

def test_the_text_says_why_a_missing_feature_matters(pair):
    done = sh.run("probe", "v0", ns=pair, text=True)
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "v0: driver veth" in lines
    at = next(i for i, line in enumerate(lines) if line.startswith("no veth-peer-napi"))
    assert "loses it otherwise" in lines[at + 1]
    assert done.err.count("shunt: warning: ") == 2


def test_an_interface_that_is_not_there():
    assert 'probe nosuch0: there is no such interface' in sh.refused("probe", "nosuch0")
