# SPDX-License-Identifier: BSD-2-Clause
"""`run ship` on soft-RoCE, in a guest (tests/vm/suite/ship, which makes the two devices).

A namespace sends numbered datagrams over a veth; in this one a policy redirects them to a
consumer, whose frames are written to the far end's ring, over a wire of its own (tests/vm/rxe).
"""
import json
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../net"))
import pcapng  # noqa: E402
import ports  # noqa: E402
import shunt as sh  # noqa: E402

NEAR, FAR = "192.0.2.1", "192.0.2.2:7400"
POLICY = {
    "schema": "shunt.policy/1", "name": "ship", "default": {"action": "pass"},
    "consumers": {"tap": {"kind": "xsk", "if_down": "pass", "heartbeat": "10s"}},
    "rules": [{"name": "numbered", "match": {"proto": "udp", "dport": 5000},
               "action": {"redirect": {"consumer": "tap"}}}],
}
SLOW = 90  # seconds: the guest is emulated


class Traffic:
    """gx1, in a namespace of its own, ── gx0, here, under the policy."""

    def __init__(self, folder, kind):
        self.folder = folder
        self.far = sh.Namespace()
        sh.Namespace.quiet(self.far)
        for line in ("link add gx0 type veth peer name gx1 netns %s" % self.far.name,
                     "link set gx0 up"):
            os.system("ip " + line)
        self.far.ip("link set gx1 up")
        policy = json.loads(json.dumps(POLICY))
        policy["consumers"]["tap"]["kind"] = kind
        path = self.file("policy.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(policy, file)
        sh.shunt("attach", "gx0", "--policy", path)

    def file(self, name):
        return os.path.join(self.folder, name)

    def sends(self, frames, rate="2000"):
        path = ports.write_pcap(self.file("in.pcap"), frames)
        done = sh.run("run", "generate", "af_packet:gx1", "--pcap", path, "--rate", rate,
                      ns=self.far, seconds=SLOW)
        assert done.code == 0, done
        assert done.replies[-1]["sent"] == len(frames)

    def close(self):
        sh.run("detach", "gx0")
        self.far.close()


@pytest.fixture
def traffic(tmp_path, request):
    made = Traffic(str(tmp_path), getattr(request, "param", "xsk"))
    yield made
    made.close()


@pytest.fixture
def started():
    """Starts `shunt run ship …`; all of them are ended with the test."""
    processes = []

    def start(*words):
        argv = [sh.BINARY, "run", "ship", *words, "--json", "--interval", "100ms"]
        processes.append(sh.Process(argv))
        return processes[-1]

    yield start
    for process in processes:
        process.close()


def ready(process):
    """It has made its first report: it listens, or is connected."""
    sh.wait(lambda: process.lines or process.popen.poll() is not None, "it to run", SLOW)
    assert process.lines, process.err
    return process


def last(process):
    return sh.validate(json.loads(process.lines[-1]))


def port(reply, scheme="ship"):
    return next(one for one in reply["ports"] if one["name"].startswith(scheme + ":"))


def reaches(process, key, count):
    sh.wait(lambda: port(last(process))[key] >= count or process.popen.poll() is not None,
            "%d %s: %s" % (count, key, port(last(process))), SLOW)
    assert port(last(process))[key] >= count, process.err


def ends(process, sig=signal.SIGINT):
    assert process.end(sig, SLOW) == 0, process.err
    return process.replies()[-1]


def sender(started, *words):
    return ready(started("gx0", "--consumer", "tap", "--to", FAR, "--from", NEAR, *words))


def receiver(started, *words):
    return ready(started("--receive", FAR, *words))


def balances(reply):
    """Every packet that the sender has read is accounted for."""
    assert reply["final"]
    ports.balances(reply)
    ship = port(reply)
    assert ship["tx_packets"] == ship["describe"]["arrived"] + ship["tx_failed"], ship
    assert ship["describe"]["under_way"] == 0
    return ship


@pytest.mark.parametrize("traffic", ["xsk", "ring"], indirect=True)
def test_every_frame_comes_once_in_order_and_as_it_was(traffic, started):
    frames = ports.numbered(2000)
    path = traffic.file("far.pcapng")
    far = receiver(started, "--write", path)
    near = sender(started)
    traffic.sends(frames)
    sh.wait(lambda: last(far)["written"] >= len(frames), "all frames", SLOW)
    ship = balances(ends(near))
    assert ship["tx_packets"] == len(frames)
    assert ship["tx_copied"] == 0  # from where the kernel has put them
    assert ship["tx_failed"] == ship["tx_refused"] == 0
    # far fewer requests than frames, and hardly a question
    assert ship["describe"]["writes"] <= len(frames)
    done = ends(far)
    assert done["written"] == len(frames) and done["lost"] == 0
    assert [packet.bytes for packet in pcapng.read(path).packets] == frames
    assert b"the other side is gone" in far.err


def test_a_slow_receiver_loses_what_is_counted(traffic, started):
    frames = ports.numbered(1500, size=400)
    path = traffic.file("far.pcap")
    far = receiver(started, "--memory", "64K", "--write", path)
    near = sender(started, "--full", "drop")
    far.popen.send_signal(signal.SIGSTOP)
    traffic.sends(frames[:1000])
    reaches(near, "tx_no_room", 1)
    far.popen.send_signal(signal.SIGCONT)
    sh.wait(lambda: last(far)["seen"] >= port(last(near))["tx_packets"], "what was shipped", SLOW)
    traffic.sends(frames[1000:])
    sh.wait(lambda: last(near)["received"] >= len(frames), "all to be read", SLOW)
    reply = ends(near)
    ship = balances(reply)
    assert reply["lost"]["no_room"] == ship["tx_no_room"] > 0
    assert ship["tx_packets"] + ship["tx_no_room"] == len(frames)
    sh.wait(lambda: last(far)["seen"] >= ship["tx_packets"], "what was shipped", SLOW)
    done = ends(far)
    assert done["written"] == ship["tx_packets"]
    assert done["lost"] == ship["tx_no_room"]  # the far end knows, too
    got = ports.read_pcap(path)
    places = [frames.index(frame) for frame in got]
    assert places == sorted(set(places))


def test_waiting_for_room_loses_nothing_here(traffic, started):
    """64 KB of ring for 500 KB: the rest waits in the sender's own rings."""
    frames = ports.numbered(1000, size=400)
    far = receiver(started, "--memory", "64K")
    near = sender(started)
    far.popen.send_signal(signal.SIGSTOP)
    traffic.sends(frames)
    far.popen.send_signal(signal.SIGCONT)
    reaches(far, "rx_packets", len(frames))
    reply = ends(near)
    assert balances(reply)["tx_packets"] == len(frames)
    assert not any(reply["lost"].values())
    assert ends(far)["consumed"] == len(frames)


def test_a_receiver_that_is_killed_is_found_again(traffic, started):
    frames = ports.numbered(900, size=100)
    far = receiver(started)
    near = sender(started)
    traffic.sends(frames[:300])
    reaches(far, "rx_packets", 300)
    far.end(signal.SIGKILL)
    near.says("the other side is gone", SLOW)
    again = receiver(started)
    near.says("connected again", SLOW)
    traffic.sends(frames[300:])
    reaches(again, "rx_packets", 600)
    reply = ends(near)
    ship = balances(reply)
    assert ship["connects"] == 2 and ship["cuts"] == 1
    assert reply["received"] == len(frames) and not any(reply["lost"].values())
    assert ends(again)["consumed"] == 600


def test_a_sender_that_is_killed_makes_room_for_the_next(traffic, started):
    frames = ports.numbered(400, size=100)
    path = traffic.file("far.pcapng")
    far = receiver(started, "--write", path)
    near = sender(started)
    traffic.sends(frames[:200])
    sh.wait(lambda: last(far)["written"] >= 200, "the first frames", SLOW)
    assert "has a sender already" in sh.refused(
        "run", "ship", "pcap:" + traffic.file("in.pcap"), "--to", FAR, "--from", NEAR,
        seconds=SLOW)
    near.end(signal.SIGKILL)
    far.says("the other side is gone", SLOW)
    near = sender(started)
    traffic.sends(frames[200:])
    sh.wait(lambda: last(far)["written"] >= 400, "the other frames", SLOW)
    balances(ends(near, signal.SIGTERM))
    assert ends(far)["written"] == len(frames)
    assert [packet.bytes for packet in pcapng.read(path).packets] == frames


def test_who_is_to_end_with_the_far_end_does(traffic, started):
    assert "nobody listens there" in sh.refused(
        "run", "ship", "gx0", "--consumer", "tap", "--to", FAR, "--from", NEAR,
        seconds=SLOW)
    far = receiver(started)
    near = sender(started, "--lost", "end")
    far.end(signal.SIGKILL)
    assert near.end(None, SLOW) == 1
    assert b"the receiver is gone" in near.err


def test_a_capture_goes_through_by_itself(traffic, started):
    """No interface at all: a file in, and the far end ends with its sender."""
    frames = ports.numbered(3000, size=60)
    path = ports.write_pcap(traffic.file("in.pcap"), frames)
    far = receiver(started, "--once", "--wait", "spin", "--write", traffic.file("far.pcap"))
    done = sh.run("run", "ship", "pcap:" + path, "--to", FAR, "--from", NEAR, seconds=SLOW)
    assert done.code == 0, done
    ship = balances(done.replies[-1])
    assert far.end(None, SLOW) == 0
    assert ports.read_pcap(traffic.file("far.pcap")) == frames
    assert ship["describe"]["writes"] < len(frames) / 4  # one WRITE takes many
    assert ship["describe"]["bells"] == 0  # who spins needs none
