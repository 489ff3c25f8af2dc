# SPDX-License-Identifier: BSD-2-Clause
"""Ports over DPDK: real frames, other drivers, who is in the way, and what is left behind."""
import os
import shutil
import struct
import subprocess

import owners
import pytest
import shunt as sh
from port import PROGRAM, Failed, Ports

PLUGIN = os.path.join(os.path.dirname(sh.BINARY), "plugins/dpdk.so")
needs_plugin = pytest.mark.skipif(not os.path.exists(PLUGIN), reason="libdpdk-dev is missing")


def frame(number, length=60):
    """Of an experimental protocol, which no kernel answers."""
    head = bytes.fromhex("02000000000b02000000000a88b5") + struct.pack("!I", number)
    return head + bytes((number + i) & 255 for i in range(length - len(head)))


def xdp_of(ns, interface="b0"):
    return ns.link(interface).get("xdp", {}).get("prog", {}).get("name")


def eal_folders():
    return os.listdir("/run/dpdk") if os.path.isdir("/run/dpdk") else []


@needs_plugin
def test_real_frames_come_in_and_go_out(wire):
    raw = wire.a.raw("a0")
    frames = [frame(n, length) for n, length in enumerate((60, 61, 590, 1514))]
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0")
        assert xdp_of(wire.b) == "shunt_feed"
        sh.send(raw, *frames)
        assert ports("receive", port, len(frames))["frames"] == [one.hex() for one in frames]
        # from another pool they are copied, from the port's own they are not
        ports("send", port, frames[2].hex())
        assert sh.receive(raw, lambda got: got[12:14] == b"\x88\xb5") == frames[2]
        ports("own", port, frames[3].hex(), 3)
        for _ in range(3):
            assert sh.receive(raw, lambda got: got[12:14] == b"\x88\xb5") == frames[3]
        stats = ports("stats", port)
        assert (stats["rx_packets"], stats["rx_bytes"]) == (4, sum(map(len, frames)))
        assert (stats["tx_packets"], stats["tx_bytes"]) == (4, 590 + 3 * 1514)
        assert stats["tx_copied"] == 1
        assert not (stats["rx_dropped"] or stats["rx_ring_full"] or stats["tx_failed"])


@needs_plugin
@pytest.mark.parametrize("room", ["", ",room=3712"])
def test_every_frame_of_the_pool_can_be_sent_and_received(wire, room):
    """The driver tells the kernel of less memory than there is, if mbufs lie apart."""
    raw = wire.a.raw("a0")
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0" + room)
        before = wire.b.sent("b0")[0]
        sent = ports("all", port, frame(1).hex())["sent"]
        assert sent > 1000
        sh.wait(lambda: wire.b.sent("b0")[0] == before + sent, "all to leave")
        total = ports("describe", port)["describe"]["frames"]
        for burst in range(2 * total // 64):
            sh.send(raw, *[frame(n) for n in range(64)])
            assert ports("receive", port, 64)["received"] == 64, burst
        stats = ports("stats", port)
        assert not (stats["tx_failed"] or stats["rx_dropped"] or stats["rx_invalid"])


@needs_plugin
def test_describe_tells_what_the_driver_really_does(wire):
    with Ports(wire.b) as ports:
        told = ports("describe", ports.open("dpdk:b0,ring=256,room=3000"))["describe"]
    assert told["driver"] == "net_af_xdp" and told["ring"] == 256 and told["room"] == 3000
    assert told["xdp"] == {"interface": "b0", "mode": "native", "zero_copy": False,
                           "first_queue": 0}
    assert told["eal"]["huge_pages"] is False
    assert set(told["capabilities"]) == {"rx", "tx", "wait", "share"}


@needs_plugin
def test_queues(wide_wire):
    """A veth has no combined channels, so that the driver takes one queue of it: any."""
    with Ports(wide_wire.b) as ports:
        port = ports.open("dpdk:b0,queues=1")
        assert ports("describe", port)["describe"]["xdp"]["first_queue"] == 1
        ports("close", port)
        assert "queue count 2 is larger" in ports.refused("dpdk:b0,queues=0-1")[0]
        sentence, code = ports.refused("dpdk:b0,queues=0+2")
        assert "in a row" in sentence and code == -22


@needs_plugin
@pytest.mark.parametrize("shared", [True, False])
def test_forwarding_copies_only_between_pools(wire, shared):
    far = wire.further()
    raw_in, raw_out = wire.a.raw("a0"), far.raw("c0")
    frames = [frame(n, 60 + n) for n in range(100)]
    with Ports(wire.b) as ports:
        first = ports.open("dpdk:b0,frames=16384")
        second = ports.open("dpdk:b1", first if shared else None)
        sh.send(raw_in, *frames)
        assert ports("forward", first, second, 100)["moved"] == 100
        for want in frames:
            assert sh.receive(raw_out, lambda got: got[12:14] == b"\x88\xb5") == want
        stats = ports("stats", second)
        assert stats["tx_packets"] == 100
        assert stats["tx_copied"] == (0 if shared else 100)


@pytest.fixture
def huge_pages():
    """64 MB of them, more than there were."""
    path = "/proc/sys/vm/nr_hugepages"
    with open(path, encoding="ascii") as file:
        before = int(file.read())
    with open(path, "w", encoding="ascii") as file:
        file.write(str(before + 32))
    yield path
    with open(path, "w", encoding="ascii") as file:
        file.write(str(before))


@needs_plugin
def test_huge_pages(wire, huge_pages):
    raw = wire.a.raw("a0")
    with Ports(wire.b) as ports:
        sentence, code = ports.refused("dpdk:b0,huge=on,memory=64G")
        assert code == -12 and huge_pages in sentence
        port = ports.open("dpdk:b0,huge=on,memory=64M")
        assert ports("describe", port)["describe"]["eal"]["huge_pages"] is True
        with open("/proc/%d/smaps" % ports.popen.pid, encoding="ascii") as file:
            assert any(line.startswith(("Private_Hugetlb", "Shared_Hugetlb")) and
                       int(line.split()[1]) for line in file)
        ports("all", port, frame(1).hex())
        sh.send(raw, frame(2))
        assert ports("receive", port, 1)["frames"] == [frame(2).hex()]
        assert not ports("stats", port)["tx_failed"]


@needs_plugin
def test_an_empty_pool_loses_frames_and_says_how_many(wire):
    """Without an mbuf to replace it, the driver leaves a frame in the ring, until that is full."""
    raw = wire.a.raw("a0")
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0,ring=64,frames=2176")
        free = ports("take", port, 4096)["taken"]
        assert 0 < free <= 128

        def lost():
            stats = ports("stats", port)
            return stats["rx_dropped"] + stats["rx_ring_full"]

        held = sent = 0
        while not lost():
            assert sent < 8192, "the pool never runs dry"
            sh.send(raw, *[frame(sent + n) for n in range(32)])
            sent += 32
            held += ports("hold", port, 32, 20)["received"]
        assert ports("take", port, 4096)["taken"] < 64
        ports("release")
        waiting = sent - held - lost()
        assert ports("receive", port, waiting)["received"] == waiting
        sh.send(raw, frame(1), frame(2))
        assert ports("receive", port, 2)["frames"] == [frame(1).hex(), frame(2).hex()]
        assert ports("stats", port)["rx_packets"] + lost() == sent + 2
        assert ports("take", port, 4096)["taken"] == free


@needs_plugin
def test_an_idle_port_sleeps_until_a_frame_comes(wire):
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0")
        assert ports("nap", port)["naps"] == 1
        raw = wire.a.raw("a0")
        ports.say("nap", port)
        while not ports.has_answered():
            sh.send(raw, frame(1))
        assert ports.answer()["naps"] > 1


@needs_plugin
def test_other_drivers(tmp_path):
    capture, written = tmp_path / "in.pcap", tmp_path / "out.pcap"
    frames = [frame(1), frame(2, 1514), frame(3, 4000)]
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack("<IIII", 1, 0, len(one), len(one)) + one for one in frames))
    with Ports() as ports:
        null = ports.open("dpdk:net_null0")
        assert ports("receive", null, 3)["received"] == 3
        assert ports("send", null, frames[0].hex(), 3)["sent"] == 3
        sentence, code = ports.refused("dpdk:net_null0")
        assert "another number" in sentence and code == -16
        assert ports("receive", null, 3)["received"] == 3, "the refusal has closed it"
        pcap = ports.open("dpdk:net_pcap0,room=5000,args=rx_pcap=%s;tx_pcap=%s"
                          % (capture, written))
        assert ports("receive", pcap, 3)["frames"] == [one.hex() for one in frames]
        assert ports("nap", pcap)["naps"] > 1, "it is looked at again and again"
        for one in frames:
            ports("own", pcap, one.hex())
        too_long = ports("send", pcap, frame(4, 5001).hex())
        assert too_long["sent"] == 1, "it is taken, and counted"
        stats = ports("stats", pcap)
        assert stats["tx_packets"] == 3 and stats["tx_refused"] == 1
        ports("close", pcap)
        assert "Cannot find device" in ports.refused("dpdk:0000:00:1f.7")[0]
        assert "there is no such interface" in ports.refused("dpdk:nosuch")[0]
    data = written.read_bytes()
    assert all(one in data for one in frames) and frame(4, 5001)[:60] not in data


@needs_plugin
def test_jumbo_of_a_driver_with_short_buffers_is_dropped_and_counted(tmp_path):
    capture = tmp_path / "in.pcap"
    frames = [frame(1, 4000), frame(2)]
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack("<IIII", 1, 0, len(one), len(one)) + one for one in frames))
    with Ports() as ports:
        pcap = ports.open("dpdk:net_pcap0,args=rx_pcap=%s" % capture)
        assert ports("receive", pcap, 1)["frames"] == [frames[1].hex()]
        assert ports("stats", pcap)["rx_dropped"] == 1


def test_without_the_plugin(tmp_path):
    with Ports(SHUNT_PLUGINS=str(tmp_path)) as ports:
        sentence, code = ports.refused("dpdk:b0")
        assert code == -93  # EPROTONOSUPPORT
        assert "needs the plug-in dpdk.so" in sentence and str(tmp_path) in sentence
        assert "install libdpdk-dev and run make" in sentence
    alone = shutil.copy(PROGRAM, tmp_path / "alone")
    with Ports(program=alone) as ports:
        assert "beside %s" % alone in ports.refused("dpdk:b0")[0]


def test_a_plugin_of_another_build_is_refused(tmp_path):
    source = tmp_path / "dpdk.c"
    source.write_text("unsigned int shunt_plugin[8] = { 0 };\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "dpdk.so", source], check=True)
    with Ports(SHUNT_PLUGINS=str(tmp_path)) as ports:
        sentence, code = ports.refused("dpdk:b0")
        assert "of another build" in sentence and code == -93


@needs_plugin
@pytest.mark.parametrize("way", owners.WAYS)
def test_a_foreign_program_stays(wire, tmp_path, way):
    with owners.xdp(wire.b, "b0", owners.build(tmp_path), way) as words:
        unharmed = owners.Unharmed(wire)
        with Ports(wire.b) as ports:
            sentence, code = ports.refused("dpdk:b0")
            assert code == -16 and "ip link set dev b0 xdp off" in sentence
            assert all(word in sentence for word in words if "mode)" not in word), sentence
            unharmed("after the refusal")
        unharmed("at the end")


@needs_plugin
def test_a_policy_stays(wire):
    wire.attach({})
    before = wire.b.link("b0")["xdp"]["prog"]["id"]
    with Ports(wire.b) as ports:
        sentence, code = ports.refused("dpdk:b0")
        assert code == -16 and "shunt detach b0" in sentence and "af_xdp:b0" in sentence
    assert wire.b.link("b0")["xdp"]["prog"]["id"] == before
    wire.detach()


@needs_plugin
def test_a_program_that_came_later_stays(wire, tmp_path):
    """Somebody has torn off the port's link. The driver would take off what is there now."""
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0")
        (link,) = owners.links(wire.b.link("b0")["xdp"]["prog"]["id"])
        subprocess.run(["bpftool", "link", "detach", "id", str(link)], check=True)
        assert not xdp_of(wire.b)
        with owners.xdp(wire.b, "b0", owners.build(tmp_path), "ip"):
            unharmed = owners.Unharmed(wire)
            ports("close", port)
            unharmed("after the close")


@needs_plugin
def test_sockets_of_others_stay_open(wire):
    """The driver's are told from those that are in the same process."""
    wire.further()
    with Ports(wire.b) as ports:
        first = ports.open("af_xdp:b1,rx=off")
        ports("close", ports.open("dpdk:b0"))
        second = ports.open("dpdk:b0")
        ports("close", second)
        assert ports("own", first, frame(1).hex())["sent"] == 1


@needs_plugin
def test_one_port_an_interface(wire):
    with Ports(wire.b) as ports, Ports(wire.b) as others:
        port = ports.open("dpdk:b0")
        for process in (ports, others):
            sentence, code = process.refused("dpdk:b0")
            assert "another port of this kind" in sentence and code == -16
        ports("close", port)
        others.open("dpdk:b0")


@needs_plugin
def test_a_killed_process_leaves_nothing_behind(wire):
    with Ports(wire.b) as ports:
        ports.open("dpdk:b0")
        assert xdp_of(wire.b) == "shunt_feed"
        ports.kill()
    sh.wait(lambda: not xdp_of(wire.b), "the program to go")
    assert "shunt-%d" % ports.popen.pid not in eal_folders()
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0")
        sh.send(wire.a.raw("a0"), frame(7))
        assert ports("receive", port, 1)["frames"] == [frame(7).hex()]


@needs_plugin
def test_what_a_kill_between_two_steps_leaves_is_removed(wire):
    """The driver attaches without a link, and a moment later a link takes its place."""
    wire.b.run("ip", "link", "set", "dev", "b0", "xdpdrv", "object",
               os.path.join(sh.ROOT, "build/bpf/feed.bpf.o"), "section", "xdp")
    left = wire.b.link("b0")["xdp"]["prog"]["id"]
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0")
        assert wire.b.link("b0")["xdp"]["prog"]["id"] != left
        ports("close", port)
        assert not xdp_of(wire.b)


@needs_plugin
def test_many_opens_and_closes(wire):
    with Ports(wire.b) as ports:
        ports("close", ports.open("dpdk:b0"))  # what DPDK needs once
        before = ports.descriptors()
        for _ in range(30):
            ports("close", ports.open("dpdk:b0"))
        assert ports.descriptors() == before
        assert not xdp_of(wire.b)
        assert "shunt-%d" % ports.popen.pid not in eal_folders()


@needs_plugin
def test_an_interface_that_goes_away_ends_the_port(wire):
    with Ports(wire.b) as ports:
        port = ports.open("dpdk:b0")
        wire.b.ip("link set b0 down")
        with pytest.raises(Failed) as failed:
            ports("receive", port, 1)
        assert failed.value.code == -100 and "b0 went down" in failed.value.sentence
        ports("close", port)
        assert not xdp_of(wire.b)
        wire.b.ip("link set b0 up")
        port = ports.open("dpdk:b0")
        wire.b.ip("link del b0")
        with pytest.raises(Failed) as failed:
            ports("receive", port, 1)
        assert failed.value.code == -19
