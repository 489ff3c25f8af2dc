# SPDX-License-Identifier: BSD-2-Clause
"""`run app`: one file binds memory, ports, cores, workers and applications by name."""
import glob
import json
import os
import re

import pytest

import ports
import shunt as sh
from ports import end, end_accounted, numbered, read_pcap, run, seen, start, write_pcap

EXAMPLES = os.path.join(sh.SCHEMAS, "examples/runtime")
VALID = sorted(glob.glob(EXAMPLES + "/valid/*.json"))
INVALID = sorted(glob.glob(EXAMPLES + "/invalid/*.json"))

# Faults of meaning: a JSON Schema cannot express them.
SEMANTIC = {"cross-odd", "memories-two", "port-of-two", "worker-twice"}


def name_of(path):
    return os.path.basename(path).partition(".")[0]


def document(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return text, json.loads(re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/',
                                   lambda hit: hit.group(1) or " ", text, flags=re.S))


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_a_valid_example_is_sound_for_the_schema_and_for_the_reader(path):
    sh.validator("runtime").validate(document(path)[1])
    reply = sh.shunt("run", "app", path, "--check")
    assert reply["valid"] and not reply["errors"] and reply["source"] == path


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_example_is_refused_with_all_its_faults(path):
    text, parsed = document(path)
    wanted = re.findall(r"^// expect: (.*?)  (.*)$", text, flags=re.M)
    done = sh.run("run", "app", path)
    assert done.code == 1 and not done.reply["valid"]
    assert len(done.reply["errors"]) == len(wanted), done
    for pointer, part in wanted:
        assert any(diag["pointer"] == pointer.strip() and part in diag["message"]
                   for diag in done.reply["errors"]), (pointer, part, done)
    assert sh.validator("runtime").is_valid(parsed) == (name_of(path) in SEMANTIC)


def test_there_are_examples_of_every_semantic_fault():
    assert SEMANTIC <= set(map(name_of, INVALID)) and len(VALID) >= 3 and len(INVALID) >= 10


def test_the_examples_in_the_documentation_are_sound(tmp_path):
    with open(os.path.join(sh.ROOT, "docs/run.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```json\n(.*?)```", file.read(), flags=re.S)
    kinds = set()
    for number, block in enumerate(blocks):
        path = tmp_path / ("%d.json" % number)
        path.write_text(block)
        schema = document(path)[1]["schema"]
        kinds.add(schema)
        sh.validator(schema.removeprefix("shunt.").removesuffix("/1")).validate(document(path)[1])
        if schema == "shunt.runtime/1":
            assert sh.shunt("run", "app", path, "--check")["valid"]
    assert kinds == {"shunt.runtime/1", "shunt.nexthops/1"}


def write(path, config):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"schema": "shunt.runtime/1", **config}, file)
    return path


def test_applications_on_several_workers_run_side_by_side(tmp_path):
    frames = numbered(2000)
    write_pcap(tmp_path / "in.pcap", frames)
    config = {
        "memory": {"small": {"frames": 512, "frame_bytes": 2048}},
        "ports": {"in": {"port": "pcap:%s" % (tmp_path / "in.pcap"), "memory": "small"},
                  "out": "pcap:%s,write" % (tmp_path / "out.pcap"),
                  "load": "pcap:%s,write" % (tmp_path / "load.pcap"),
                  "again": "pcap:%s" % (tmp_path / "in.pcap")},
        "applications": {
            "cable": {"app": "forward", "ports": ["in", "out"]},
            "source": {"app": "generate", "ports": ["load"], "template": {"proto": "udp"},
                       "packets": 500, "number": True, "size_bytes": 90},
            "sink": {"app": "drop", "ports": ["again"]}},
        "workers": {"one": {"applications": ["cable"], "wait": "poll"},
                    "two": {"applications": ["source", "sink"]}},
        "interval_ms": 0,
    }
    last = run("app", write(tmp_path / "config.json", config))
    apps = {app["name"]: app for app in last["applications"]}
    assert apps["cable"]["sent"] == apps["sink"]["consumed"] == 2000
    assert apps["source"]["sent"] == 500
    assert read_pcap(tmp_path / "out.pcap") == frames
    assert {len(frame) for frame in read_pcap(tmp_path / "load.pcap")} == {90}
    assert [worker["name"] for worker in last["workers"]] == ["one", "two"]


def test_files_are_looked_for_beside_the_configuration(tmp_path):
    write_pcap(tmp_path / "in.pcap", numbered(10))
    (tmp_path / "table.json").write_text(json.dumps(
        {"schema": "shunt.nexthops/1",
         "routes": [{"prefix": "192.0.2.2", "port": "out", "dst_mac": "02:00:00:00:00:01",
                     "src_mac": "02:00:00:00:00:02"}]}))
    config = {"ports": {"in": "pcap:%s" % (tmp_path / "in.pcap"),
                        "out": "pcap:%s,write" % (tmp_path / "out.pcap")},
              "applications": {"router": {"app": "forward", "mode": "table",
                                          "ports": ["in", "out"], "table": "table.json"}},
              "workers": {"w": {"applications": ["router"]}}}
    assert run("app", write(tmp_path / "config.json", config))["sent"] == 10
    frames = read_pcap(tmp_path / "out.pcap")
    assert all(frame[:12] == bytes.fromhex("020000000001020000000002") for frame in frames)


def test_a_worker_a_queue(tmp_path):
    """Each queue of an interface is a port of its own, on a worker of its own."""
    with sh.Wire(queues=2) as wire:
        wire.b.run("ethtool", "-K", "b0", "gro", "on")
        config = {
            "ports": {"q0": "af_xdp:b0,queues=0", "q1": "af_xdp:b0,queues=1"},
            "applications": {"drop0": {"app": "drop", "ports": ["q0"], "number": True},
                             "drop1": {"app": "drop", "ports": ["q1"], "number": True}},
            "workers": {"w0": {"core": 0, "applications": ["drop0"]},
                        "w1": {"core": 1, "applications": ["drop1"]}}}
        process = start(wire.b, "app", write(tmp_path / "config.json", config))
        assert len(wire.b.instances()) == 1  # one feed for both
        run("generate", "af_packet:a0", "--packets", "2000", "--rate", "20k", "--flows", "64",
            "--number", ns=wire.a)
        reply = seen(process, "numbered", 1000)
        assert sum(port["rx_packets"] for port in reply["ports"]) == reply["received"]
        last = end_accounted(process, wire, 2000)
        assert last["received"] == last["consumed"]
        assert not wire.b.instances()


def test_memory_is_no_use_to_a_port_that_has_its_own(tmp_path):
    config = {"memory": {"m": {}},
              "ports": {"null": {"port": "dpdk:net_null0", "memory": "m"}},
              "applications": {"g": {"app": "generate", "ports": ["null"], "packets": 1,
                                     "template": {"proto": "udp"}}},
              "workers": {"w": {"applications": ["g"]}}}
    words = sh.refused("run", "app", write(tmp_path / "config.json", config))
    assert "null has memory of its own, and cannot use m" in words
    del config["ports"]["null"]["memory"]
    assert run("app", write(tmp_path / "config.json", config))["sent"] == 1


def test_memories_that_differ_copy_where_that_is_said(tmp_path):
    with ports.Chain() as chain:
        config = {"memory": {"m": {}, "n": {}},
                  "ports": {"l": {"port": "af_xdp:b0", "memory": "m"},
                            "r": {"port": "af_xdp:b1", "memory": "n"}},
                  "applications": {"cable": {"app": "forward", "ports": ["l", "r"], "copy": True}},
                  "workers": {"w": {"applications": ["cable"]}}}
        process = start(chain.b, "app", write(tmp_path / "config.json", config))
        assert chain.a.ping(sh.B4, 10) == 10
        last = end(process)
        assert last["sent"] == sum(port["tx_copied"] for port in last["ports"]) >= 20


def test_one_memory_forwards_without_a_copy():
    with ports.Chain() as chain:
        process = chain.forward("af_xdp")
        assert chain.a.ping(sh.B4, 10) == 10
        last = end(process)
        assert last["sent"] >= 20 and not any(port["tx_copied"] for port in last["ports"])


def test_a_core_that_is_not_there_is_named(tmp_path):
    config = {"ports": {"p": "pcap:/dev/null,write"},
              "applications": {"g": {"app": "generate", "ports": ["p"],
                                     "template": {"proto": "udp"}, "packets": 1}},
              "workers": {"w": {"core": 900, "applications": ["g"]}}}
    assert "core 900" in sh.refused("run", "app", write(tmp_path / "config.json", config))
