# SPDX-License-Identifier: BSD-2-Clause
"""Hand-over: a process takes over the sockets of a running one, under traffic."""
import os
import re
import shutil
import signal

import pytest

import frame as fr
import kernel
import shunt as sh
from numbered import Numbered, Server
from test_watchdog import captured, halt, ledger, policy, seat, told

HANDED = kernel.needs("af-xdp-handover", "6.5")


def start(wire, path, *options, prefix=()):
    """A consumer that writes what it gets into a file; its process runs when this returns."""
    return wire.b.start(*prefix, sh.BINARY, "run", "dump", "b0", "--consumer", "tap", "-W", path,
                        "--ring", "4096", "--netns", wire.b.name, *options)


def served_by(wire, process):
    """Waits until that process serves the only seat."""
    def look():
        assert process.popen.poll() is None, (process.out, process.err)
        there = seat(wire)
        return there and there["pid"] == process.popen.pid

    sh.wait(look, "%s to serve" % process.argv)
    return process


def first(wire, path):
    process = served_by(wire, start(wire, path))
    sh.wait(lambda: told(wire)[0] == "redirect-consumer", "the socket to be fed")
    return process


@HANDED
def test_twenty_hand_overs_under_traffic_lose_nothing_and_keep_the_order(wire):
    wire.attach(policy(heartbeat="1m"))
    server = Server(wire)
    paths = [wire.file("%d.pcap" % number) for number in range(21)]
    now = first(wire, paths[0])
    with Numbered(wire, rate=4000) as flow:
        for path in paths[1:]:
            flow.reaches(20)
            successor = served_by(wire, start(wire, path, "--take-over"))
            assert now.end() == 0, now.err
            sh.wait(lambda path=path: captured(path), "the successor to receive")
            now = successor
    sh.wait(lambda: sum(len(captured(path)) for path in paths) == flow.sent, "all to arrive")
    # each process goes on where the one before has stopped: none lost, none twice, in order
    assert [number for path in paths for number in captured(path)] == list(range(flow.sent))
    assert all(captured(path) for path in paths) and not server.numbers
    assert wire.seen(flow.sent).reasons() == {"rule": flow.sent}
    assert now.end(signal.SIGINT) == 0
    _, there = ledger(wire)
    assert (there["handed"], there["received"], there["lost"]) == (flow.sent, flow.sent, 0)
    assert not there["errors"] and seat(wire) is None


@HANDED
def test_what_waits_in_the_ring_is_handed_over_with_it(wire):
    wire.attach(policy(heartbeat="off"))
    paths = wire.file("old.pcap"), wire.file("new.pcap")
    old = first(wire, paths[0])
    halt(old)
    with Numbered(wire) as flow:
        flow.reaches(1000)
    successor = start(wire, paths[1], "--take-over")
    old.popen.send_signal(signal.SIGCONT)
    served_by(wire, successor)
    assert old.end() == 0
    sh.wait(lambda: sum(len(captured(path)) for path in paths) == flow.sent, "all to arrive")
    assert captured(paths[0]) + captured(paths[1]) == list(range(flow.sent))
    assert successor.end(signal.SIGINT) == 0


@HANDED
def test_every_queue_is_handed_over(wide_wire):
    wire = wide_wire
    wire.attach(policy(heartbeat="1m"))

    def pids():
        (item,) = wire.stats()["consumers"]
        return [one["pid"] for one in item["seats"]]

    def send(count):
        # flows are spread over the queues by a hash of their ports
        sh.send(wire.a.raw("a0"), *[fr.eth(fr.ip4(fr.udp(b"%010d" % flow, 4000 + flow % 64, 5000)))
                                    for flow in range(count)])

    paths = wire.file("old.pcap"), wire.file("new.pcap")
    old = start(wire, paths[0])
    sh.wait(lambda: pids() == [old.popen.pid] * 2, "two queues to be served")
    sh.wait(lambda: told(wire)[0] == "redirect-consumer", "the sockets to be fed")
    send(128)
    sh.wait(lambda: len(captured(paths[0])) == 128, "all to arrive")
    new = start(wire, paths[1], "--take-over")
    sh.wait(lambda: pids() == [new.popen.pid] * 2, "two queues to be taken over")
    assert old.end() == 0
    send(128)
    sh.wait(lambda: len(captured(paths[1])) == 128, "all to arrive at the successor")
    assert new.end(signal.SIGINT) == 0


def test_there_need_be_nobody_to_take_over_from(wire):
    wire.attach(policy())
    process = served_by(wire, start(wire, wire.file("got.pcap"), "--take-over"))
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    # nor does a dead one keep its successor waiting, whoever asks
    process = served_by(wire, start(wire, wire.file("got.pcap"), "--take-over"))
    assert process.end(signal.SIGINT) == 0


@HANDED
def test_a_running_one_that_does_not_answer_goes_on_serving(wire):
    wire.attach(policy(heartbeat="off"))
    path = wire.file("old.pcap")
    old = first(wire, path)
    halt(old)
    refused = start(wire, wire.file("new.pcap"), "--take-over")
    assert refused.end() == 1
    assert "take over from process %d: it does not answer; it goes on serving" % old.popen.pid \
        in refused.err.decode()
    old.popen.send_signal(signal.SIGCONT)
    with Numbered(wire) as flow:
        flow.reaches(100)
    sh.wait(lambda: captured(path) == list(range(flow.sent)), "all to arrive")
    assert old.end(signal.SIGINT) == 0


ASKER = r"""
import os, socket, sys
os.setuid(int(sys.argv[2]))
asker = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asker.settimeout(10)
asker.connect("\0" + sys.argv[1])
try:
    asker.send(bytes.fromhex("766f68730100000000000000") + bytes(4))
    message, fds, _, _ = socket.recv_fds(asker, 64, 16)
    print(len(message), len(fds))
except (BrokenPipeError, ConnectionResetError):
    print(0, 0)
"""


@HANDED
def test_a_process_of_another_user_is_handed_nothing(wire):
    wire.attach(policy(heartbeat="off"))
    path = wire.file("old.pcap")
    old = first(wire, path)
    with wire.b.entered(), open("/proc/thread-self/net/unix", encoding="ascii") as file:
        (name,) = set(re.findall(r"@(shunt/pass/\S+)", file.read()))

    def asks(uid):
        return wire.b.run("/usr/bin/python3", "-c", ASKER, name, uid).stdout.split()

    assert asks(65534) == ["0", "0"]
    # one that may ask gets memory, frames, a socket and its claim; it takes nothing and goes
    assert asks(0) == ["16", "4"]
    with Numbered(wire) as flow:
        flow.reaches(50)
    sh.wait(lambda: captured(path) == list(range(flow.sent)), "all to arrive")
    assert old.end(signal.SIGINT) == 0


# --- killed in the middle -------------------------------------------------------------------

# Where one of both is killed: before the nth of these calls. Those of "mmap" are counted from the
# answer of the running one on; "getpid" comes right after the sockets were taken.
DYING = [("new", "sendmsg", 1), ("new", "recvmsg", 1), ("new", "mmap", 1), ("new", "mmap", 3),
         ("new", "mmap", 5), ("new", "getpid", 1), ("old", "accept4", 1),
         ("old", "memfd_create", 2), ("old", "sendmsg", 1)]


def killer(call, nth):
    return ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=" + call, "-e",
            "inject=%s:signal=SIGKILL:when=%d" % (call, nth)]


def calls_before(wire, call, path):
    """How many such calls a successor makes before it is answered. It serves from then on."""
    log = wire.file("strace")
    argv = ["strace", "-f", "-qq", "-o", log, "-e", "trace=recvmsg," + call]
    process = start(wire, path, "--take-over", prefix=argv)
    sh.wait(lambda: captured(path), "the trial's successor to serve")
    with open(log, encoding="utf-8") as file:
        lines = file.read().splitlines()
    at = [number for number, line in enumerate(lines) if "SCM_RIGHTS" in line]
    assert len(at) == 1, lines
    return process, sum(" %s(" % call in line for line in lines[:at[0]])


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("who, call, nth", DYING)
@HANDED
def test_one_of_both_is_killed_and_the_consumer_is_served_again(wire, traces, who, call, nth):
    wire.attach(policy())
    server = Server(wire)
    paths = [wire.file(name + ".pcap") for name in ("first", "old", "new", "last")]
    old = start(wire, paths[0] if call == "mmap" else paths[1],
                prefix=killer(call, nth) if who == "old" and call != "accept4" else ())
    sh.wait(lambda: told(wire)[0] == "redirect-consumer", "the socket to be fed")
    with Numbered(wire) as flow:
        flow.reaches(50)
        if call == "mmap":
            trial, before = calls_before(wire, call, paths[1])
            assert old.end() == 0
            old, nth = trial, nth + before
        if call == "accept4":  # it looks for askers all the time: killed while one waits
            halt(old)
        new = start(wire, paths[2], "--take-over", prefix=killer(call, nth) if who == "new" else ())
        if call == "accept4":
            old.popen.send_signal(signal.SIGKILL)
        dying, left = (old, new) if who == "old" else (new, old)
        assert dying.end() == -signal.SIGKILL, (dying.out, dying.err)
        # whoever is left serves, or has ended; then anybody can
        sh.wait(lambda: left.popen.poll() is not None or told(wire)[0] == "redirect-consumer",
                "the other one to serve, or to end")
        last = start(wire, paths[3], "--take-over")
        sh.wait(lambda: captured(paths[3]), "the last one to serve")
        flow.reaches(50)
    sh.wait(lambda: captured(paths[3])[-1] == flow.sent - 1, "the last datagram to arrive")
    arrived = [number for path in paths for number in captured(path)] + server.numbers
    # nothing twice; what is missing waited in a ring that died with all who had it
    assert len(set(arrived)) == len(arrived)
    assert last.end(signal.SIGINT) == 0
    _, there = ledger(wire)
    assert there["handed"] == there["received"] + there["lost"]
    if who == "new" and call != "getpid":
        assert sorted(arrived) == list(range(flow.sent)) and there["lost"] == 0
    wire.b.quiet()
    wire.detach()
    traces.nothing_new()


if not kernel.has("af-xdp-handover"):
    def test_before_linux_6_5_the_running_one_is_left_alone(wire):
        wire.attach(policy(heartbeat="1m"))
        now = first(wire, wire.file("0.pcap"))
        successor = start(wire, wire.file("1.pcap"), "--take-over")
        assert successor.end() == 1
        assert b"maps no rings of a socket that is bound, which takes Linux 6.5" in successor.err
        assert seat(wire)["pid"] == now.popen.pid and told(wire)[0] == "redirect-consumer"
        assert now.end(signal.SIGINT) == 0
