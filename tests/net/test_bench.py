# SPDX-License-Identifier: BSD-2-Clause
"""`shunt bench transports` and `shunt probe --advise`: what they measure, say and leave behind.

No time is asserted here: only that figures fit together, whatever they are.
"""
import glob
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import xml.etree.ElementTree

import pytest

import shunt as sh

TIMES = ["min", "p50", "p90", "p99", "p99_9", "p99_99", "max"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One quick measurement of epoll's UDP, its file, and its chart."""
    folder = tmp_path_factory.mktemp("bench")
    reply = sh.shunt("bench", "transports", "--quick", "--backend", "epoll/udp", "--wait", "poll",
                     "--peers", "1,4", "--chart", folder / "chart.svg", "--note", "a test")
    path = folder / "measured.json"
    path.write_text(json.dumps(reply))
    return reply, path, folder / "chart.svg"


def rows(reply, **wanted):
    found = [row for row in reply["rows"] if all(row.get(key) == wanted[key] for key in wanted)]
    assert found, (wanted, reply)
    return found


# --- what is measured ---------------------------------------------------------------------

def test_every_case_of_a_backend_has_its_row(measured):
    reply, _, _ = measured
    assert not reply["failed"], reply["failed"]
    cases = {(row["case"], row["size"], row["batch"], row["peers"]) for row in reply["rows"]}
    assert cases == {*(("round-trip", size, 1, 1) for size in (64, 1400)),
                     *(("open-loop", size, 1, 1) for size in (64, 1400)),
                     *(("one-way", size, batch, 1) for size in (64, 1400) for batch in (1, 64)),
                     ("round-trip", 64, 1, 4)}
    assert len(reply["rows"]) == len(cases)
    assert all((row["contender"], row["proto"], row["wait"]) == ("epoll", "udp", "poll")
               for row in reply["rows"])


def test_counts_add_up_and_replies_came(measured):
    for row in measured[0]["rows"]:
        assert row["requests"] > 0 and row["replies"] > 0, row
        assert row["replies"] == row["requests"] - row["lost"], row
        assert row["rounds"] == measured[0]["rounds"] == 2


def test_times_and_rates_fit_together(measured):
    reply, _, _ = measured
    for row in reply["rows"]:
        for figure in ("messages_per_s", "bytes_per_s", "client_cpu_ns", "server_cpu_ns"):
            assert 0 < row[figure]["min"] <= row[figure]["median"] <= row[figure]["max"], row
        assert row["bytes_per_s"]["min"] == pytest.approx(
            row["messages_per_s"]["min"] * row["size"], rel=0.01)
        if row["case"] == "one-way":
            assert "latency_ns" not in row
            continue
        for which in ("min", "median", "max"):
            times = [row["latency_ns"][name][which] for name in TIMES]
            assert times == sorted(times) and times[0] > 0, row
        # two rounds of so many ms hold no more round trips than fit one after the other
        if row["case"] == "round-trip" and row["peers"] == 1:
            spent = row["replies"] * row["latency_ns"]["min"]["min"]
            assert spent <= (reply["duration_ms"] * 1e6 + 2e9) * row["rounds"], row


def test_an_open_loop_sends_what_is_due(measured):
    reply, _, _ = measured
    for row in rows(reply, case="open-loop"):
        due = int(row["rate"] * reply["duration_ms"] / 1000) + 1
        assert row["rate"] == reply["rate"]
        assert row["requests"] + row["unsent"] == due * row["rounds"], row
        assert row["late"] <= row["requests"]


def test_the_distribution_rises(measured):
    for row in measured[0]["rows"]:
        if row["case"] == "one-way":
            continue
        percents, times = zip(*row["distribution"])
        assert percents[0] == 0 and percents[-1] < 100
        assert list(percents) == sorted(set(percents)) and list(times) == sorted(times)


def test_it_says_where_it_was_measured(measured):
    reply, _, _ = measured
    assert reply["note"] == "a test" and reply["place"] == "veth"
    assert reply["kernel"] == os.uname().release and reply["machine"] == os.uname().machine
    assert reply["version"] == sh.shunt("version")["version"]


def test_claims_stand_beside_what_was_measured(measured):
    reply, _, _ = measured
    claims = {claim["technology"]: claim for claim in reply["claims"]}
    for technology in ("kernel module", "RDMA", "DPDK"):
        assert "not measured" in claims[technology]["why_not"]
    item, = claims["epoll, kqueue"]["measured"]
    row, = rows(reply, case="round-trip", size=64, peers=1)
    p50 = row["latency_ns"]["p50"]["median"]
    assert item["p50_ns"] == p50
    assert item["verdict"] == ("faster" if p50 < 10e3 else "slower" if p50 > 50e3 else "holds")


def test_the_chart_is_an_svg_with_a_line_a_contender(measured):
    _, _, chart = measured
    tree = xml.etree.ElementTree.parse(chart)
    assert tree.getroot().tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join("".join(node.itertext()) for node in tree.iter() if node.tag.endswith("text"))
    assert "epoll/udp" in words and "99.9" in words and "percentile" in words


def test_an_answer_that_was_kept_is_shown_again(measured, tmp_path):
    reply, path, _ = measured
    done = sh.run("bench", "transports", "--show", path, "--chart", tmp_path / "again.png", text=True)
    assert done.code == 0 and not done.err, done
    for words in ("round-trip, 64 bytes\n", "one-way, 1400 bytes, 64 messages handed over together",
                  "4 peers, each with one request", "epoll, kqueue"):
        assert words in done.out, words
    row, = rows(reply, case="round-trip", size=1400)
    line = next(part for part in done.out.partition("round-trip, 1400 bytes")[2].splitlines()
                if "epoll/udp" in part)
    p50 = row["latency_ns"]["p50"]["median"]
    assert ("%.2f" if p50 < 1e5 else "%.0f") % (p50 / 1000) in line.split()
    assert (tmp_path / "again.png").read_bytes().startswith(b"\x89PNG")
    assert "is not what" in sh.refused("bench", "transports", "--show", os.path.join(
        sh.SCHEMAS, "list.schema.json"))


# --- what is missing ----------------------------------------------------------------------

def test_without_the_others_programs_their_rows_name_the_packages(tmp_path):
    done = subprocess.run([sh.BINARY, "bench", "transports", "--quick", "-b", "epoll", "-s",
                           "64", "-w", "poll", "-r", "1", "-d", "10ms", "--beside", "--json",
                           "--chart", str(tmp_path / "chart.png")],
                          capture_output=True, text=True, env={"PATH": "/nowhere"}, timeout=60,
                          check=False)
    reply = sh.validate(json.loads(done.stdout))
    why = {item["contender"]: item["why"] for item in reply["absent"]}
    assert "package sockperf has it" in why["sockperf"]
    assert "package libfabric-bin has it" in why["fi_pingpong"]
    assert "package ucx-utils has it" in why["ucx_perftest"]
    plain, = rows(reply, contender="plain-socket")
    assert plain["kind"] == "plain" and plain["replies"] > 0
    ratio, = reply["ratios"]
    assert (ratio["contender"], ratio["proto"], ratio["case"]) == ("epoll", "udp", "round-trip")
    assert ratio["beside"] == {"contender": "plain-socket", "kind": "plain", "proto": "udp",
                               "wait": "poll"}
    assert done.returncode == 1 and "package gnuplot-nox has it" in done.stderr


def test_a_backend_that_is_not_here_says_why():
    done = subprocess.run([sh.BINARY, "bench", "transports", "-b", "dpdk", "--json"], timeout=60,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "SHUNT_PLUGINS": "/nowhere"})
    reply = sh.validate(json.loads(done.stdout))
    assert done.returncode == 0 and not reply["rows"]
    absent, = reply["absent"]
    assert absent["contender"] == "dpdk" and "libdpdk-dev" in absent["why"]
    claim, = [claim for claim in reply["claims"] if claim["technology"] == "DPDK"]
    assert claim["why_not"] == absent["why"]


needs_no_rdma = pytest.mark.skipif(bool(glob.glob("/sys/class/infiniband/*")),
                                   reason="this machine has RDMA: bench/guest measures it")


@needs_no_rdma
def test_without_an_rdma_device_its_rows_and_perftests_say_so():
    reply = sh.shunt("bench", "transports", "-b", "rdma", "--beside", "--rdma",
                     "192.0.2.1,192.0.2.2", "-s", "64")
    why = {item["contender"]: item["why"] for item in reply["absent"]}
    # where nothing else is measured, nobody stands beside it
    assert set(why) == {"rdma", "ib_send_lat", "ib_write_lat", "ib_send_bw", "ib_write_bw"}
    assert len(set(why.values())) == 1 and not reply["rows"] and "rdma" not in reply
    assert "RDMA device" in why["rdma"] or "librdmacm" in why["rdma"], why
    claim, = [claim for claim in reply["claims"] if claim["technology"] == "RDMA"]
    assert claim["why_not"] == why["rdma"]


@needs_no_rdma
def test_perftest_stands_beside_rdma_alone():
    reply = sh.shunt("bench", "transports", "-b", "epoll/udp", "-s", "64", "-w", "poll", "-r", "1",
                     "-d", "10ms", "--peers", "1")
    assert not reply["absent"] and not reply["ratios"]


# --- ratios -------------------------------------------------------------------------------

def test_each_is_compared_with_the_one_that_is_named_round_by_round():
    reply = sh.shunt("bench", "transports", "-b", "epoll", "-b", "raw", "-s", "64", "-w", "poll",
                     "-r", "1", "-d", "20ms", "--peers", "1", "--against", "epoll/udp")
    assert not reply["failed"], reply["failed"]
    figures = {"round-trip": "p50", "open-loop": "p50", "one-way": "messages_per_s"}
    found = set()
    for ratio in reply["ratios"]:
        case = {key: ratio[key] for key in ("case", "size", "batch", "peers", "wait")}
        assert ratio["beside"] == {"contender": "epoll", "kind": "backend", "proto": "udp",
                                   "wait": "poll"}
        assert ratio["figure"] == figures[ratio["case"]]
        names = {key: ratio[key] for key in ("contender", "proto") if key in ratio}
        ours, = [row for row in rows(reply, **names, **case) if ("proto" in row) == ("proto" in names)]
        theirs, = rows(reply, contender="epoll", proto="udp", **case)

        def figure(row):
            return row.get("latency_ns", row).get(ratio["figure"], row.get(ratio["figure"]))["median"]

        assert ratio["ratio"]["median"] == pytest.approx(figure(ours) / figure(theirs), rel=0.01,
                                                         abs=0.001)
        found.add((ratio["contender"], ratio.get("proto"), ratio["case"], ratio["batch"]))
    assert found == {(*who, *case) for who in (("epoll", "tcp"), ("raw", None))
                     for case in (("round-trip", 1), ("open-loop", 1), ("one-way", 1),
                                  ("one-way", 64))}


FAKE = """#!/usr/bin/python3
import socket, sys
args = sys.argv[1:]
port = next(int(args[args.index(key) + 1]) for key in ("-B", "-P", "-p")
            if key in args and args[args.index(key) + 1].isdigit())
if "198.18.0.2" in args and args[0] != "server":
    socket.create_connection(("198.18.0.2", port))
    print("percentile 50.000 = no time at all")
else:
    socket.create_server(("0.0.0.0", port)).accept()
"""


def test_a_program_that_says_something_else_is_not_believed(tmp_path):
    """They listen where they are told to, and are taken for the real ones; then they babble."""
    for name in ("sockperf", "fi_pingpong", "ucx_perftest"):
        (tmp_path / name).write_text(FAKE)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([sh.BINARY, "bench", "transports", "-b", "epoll/udp", "-s", "64", "-w",
                           "spin", "-r", "1", "-d", "10ms", "--beside", "--json"],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": "%s:/usr/bin" % tmp_path})
    reply = sh.validate(json.loads(done.stdout))
    failed = [item for item in reply["failed"]]
    assert {item["contender"] for item in failed} == {"sockperf", "fi_pingpong", "ucx_perftest"}
    for item in failed:
        assert item["contender"] in item["why"] and "no time at all" in item["why"], item
    assert rows(reply, contender="epoll")  # which does not suffer from it


# --- what ends it -------------------------------------------------------------------------

def left_of(mark):
    """Processes that carry the mark in their environment."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    found.append(path)
        except OSError:
            pass  # it has just ended
    return found


@pytest.mark.parametrize("sig, code", [(signal.SIGINT, 1), (signal.SIGTERM, 1),
                                       (signal.SIGKILL, -signal.SIGKILL)])
def test_however_it_ends_nothing_is_left(sig, code):
    """Namespaces without a name go with the last process in them: there is none left."""
    mark = "SHUNT_TEST_MARK=%d.%d" % (os.getpid(), sig)
    name, _, value = mark.partition("=")
    process = sh.Process([sh.BINARY, "bench", "transports", "-b", "epoll/udp", "-w", "spin",
                          "-d", "20s", "--rate", "1000"], env={**os.environ, name: value})
    try:
        sh.wait(lambda: len(left_of(mark)) == 3, "a client and a server to be there")
        assert process.end(sig) == code
        sh.wait(lambda: not left_of(mark), "its processes to be gone")
        assert sig == signal.SIGKILL or b"stopped" in process.err
    finally:
        process.close()


# --- a server elsewhere -------------------------------------------------------------------

def test_a_server_elsewhere_is_asked_as_well(wire):
    server = wire.b.start(sh.BINARY, "bench", "transports", "--serve", sh.B4 + ":7100",
                          "--backend", "epoll/udp")
    server.says("serving epoll/udp://%s:7100" % sh.B4)
    reply = sh.shunt("bench", "transports", "--quick", "-b", "epoll/udp", "-w", "poll", "-s", "64",
                     "--peers", "1", "--peer", sh.B4 + ":7100", ns=wire.a)
    assert reply["place"] == "peer" and reply["peer"] == sh.B4 + ":7100"
    assert not reply["failed"], reply["failed"]
    for row in reply["rows"]:
        assert row["replies"] > 0 and row["server_cpu_ns"]["median"] > 0, row
    assert server.end(signal.SIGINT) == 0


def test_a_server_that_is_not_there_is_a_failed_row_and_not_a_failed_run(wire):
    reply = sh.shunt("bench", "transports", "-b", "epoll/udp", "-w", "poll", "-s", "64", "--rate",
                     "1000", "-r", "1", "--peer", sh.B4 + ":7100", ns=wire.a)
    assert len(reply["failed"]) == 1, reply
    assert not [row for row in reply["rows"] if row["rounds"]]


class Server:
    """A server of our own making, which speaks the header and does what `spoil` says of the
    n-th request: sends back what it returns, or nothing for None."""

    def __init__(self, wire, spoil):
        self.socket = wire.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((sh.B4, 7100))
        self.spoil, self.sent, self.echoes, self.sunk = spoil, 0, 0, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                datagram, sender = self.socket.recvfrom(65536)
            except OSError:
                return  # the test is over
            channel, payload = int.from_bytes(datagram[2:4], "big"), datagram[16:]
            if channel == 0:
                self.echoes += 1
                payload = self.spoil(self.echoes, payload)
            elif channel == 1:
                self.sunk += 1
                payload = None
            elif channel == 2:
                payload = payload[:8] + struct.pack(">QQQ", self.sunk, 0, 1000 + self.sunk)
            if payload is not None:
                head = struct.pack(">BBHIIHH", 0xd7, 0, channel, self.sent, len(payload), 0, 77)
                self.sent += 1
                self.socket.sendto(head + payload, sender)


def ask(wire, spoil, duration="100ms"):
    Server(wire, spoil)
    return sh.shunt("bench", "transports", "-b", "epoll/udp", "-w", "poll", "-s", "64", "-r", "1",
                    "-d", duration, "--rate", "1000", "--peers", "1", "--peer", sh.B4 + ":7100",
                    ns=wire.a)


def test_what_a_server_drops_is_lost_and_what_it_sends_twice_no_reply(wire):
    reply = ask(wire, lambda n, payload: payload if n % 40 else None)
    assert not reply["failed"], reply["failed"]
    for row in rows(reply, case="round-trip") + rows(reply, case="open-loop"):
        assert 0 < row["lost"] <= row["requests"] // 40 + 1, row
        assert row["replies"] == row["requests"] - row["lost"]
        assert row["latency_ns"]["max"]["max"] < 1e9  # what is lost has no time


def test_a_reply_with_other_bytes_ends_the_row(wire):
    reply = ask(wire, lambda n, payload: payload if n < 5 else payload[:-1] + b"?")
    assert [item["why"] for item in reply["failed"]] == [
        "a reply of 64 bytes has others than its request"]


def stop_for(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + seconds
    sh.wait(lambda: time.monotonic() > until, "a while to be over")
    os.kill(pid, signal.SIGCONT)


def test_what_a_sender_could_not_send_in_time_counts_as_well(wire):
    """The client is stopped for 150 ms after each 300 replies: of what was due at 1000 a second,
    a third waited then. In a closed loop that would be one request in 300."""
    bench = []

    def spoil(n, payload):
        if n % 300 == 0:
            with open("/proc/%d/task/%d/children" % (bench[0], bench[0]), encoding="ascii") as file:
                stop_for(int(file.read().split()[0]), 0.15)
        return payload

    Server(wire, spoil)
    process = wire.a.start(sh.BINARY, "bench", "transports", "-b", "epoll/udp", "-w", "poll", "-s",
                           "64", "-r", "1", "-d", "1s", "--rate", "1000", "--peers", "1", "--peer",
                           sh.B4 + ":7100", "--json")
    bench.append(process.popen.pid)
    assert process.end() == 0
    reply, = process.replies()
    opened, = rows(reply, case="open-loop")
    assert not reply["failed"] and opened["late"] > opened["requests"] / 10, reply
    assert opened["latency_ns"]["p90"]["median"] > 30e6, opened


@pytest.mark.parametrize("after, duration, why", [
    (2000, "5s", "stalled: no reply for 3 s, after"), (50, "100ms", "none of ")])
def test_a_server_that_falls_silent_ends_the_row_and_not_the_run(wire, after, duration, why):
    reply = ask(wire, lambda n, payload: payload if n < after else None, duration)
    failed, = reply["failed"]
    assert failed["why"].startswith(why), failed
    assert not [row for row in reply["rows"] if row["case"] == "one-way"]


@pytest.mark.parametrize("arguments, part", [
    (["--backend", "telegraph"], "--backend telegraph: there are"),
    (["--backend", "epoll/sctp"], "say epoll/udp or /tcp"),
    (["--size", "64,"], '--size "64,": say up to'),
    (["--size", "15"], "numbers from 16 to 65536"),
    (["--peers", "17"], "numbers from 1 to 16"),
    (["--wait", "hope"], "there are spin, poll and adaptive"),
    (["--rounds", "33"], "at most 32"),
    (["--cores", "1"], "the client's and the server's"),
    (["--peer", "192.0.2.2:7100"], "which backend serves there?"),
    (["--peer", "192.0.2.2:7100", "--backend", "epoll", "--beside"], "leave one of them out"),
    (["--serve"], "what is to be served?"),
    (["--backend", "rdma/tcp"], "say rdma/rc or /write or /ud"),
    (["--rdma", "192.0.2.1"], "the IPv4 addresses of two devices"),
    (["--rdma", "192.0.2.1,here"], "the IPv4 addresses of two devices"),
    (["--against", "telegraph"], "--against telegraph: there are"),
    (["--against", "epoll/udp", "--backend", "epoll/tcp"], "none of those that --backend names"),
])
def test_what_cannot_be_measured_is_said_at_once(arguments, part):
    assert part in sh.refused("bench", "transports", *arguments)


# --- advice -------------------------------------------------------------------------------

def test_the_advice_stands_on_the_measurement(measured):
    reply, path, _ = measured
    advice = sh.shunt("probe", "--advise", "--measured", path, "--goal", "portable")
    goal, = advice["goals"]
    assert goal["choose"]["backend"] in ("epoll", "kqueue")
    advice = sh.shunt("probe", "--advise", "--measured", path, "--goal", "throughput")
    goal, = advice["goals"]
    assert goal["choose"] == {"backend": "epoll", "proto": "udp", "wait": "poll",
                              "uri": "epoll://ADDRESS:PORT?wait=poll&proto=udp"}
    row, = rows(reply, case="one-way", size=64, batch=64)
    number = "%.2f M messages/s" % (row["messages_per_s"]["median"] / 1e6)
    assert any(number in reason.get("measured", "") for reason in goal["reasons"]), goal
    assert advice["measured"]["file"] == str(path)


MEASURED = {"schema": "shunt.bench.transports/1", "kernel": os.uname().release, "rows": []}


def test_the_best_of_what_was_measured_is_advised(tmp_path):
    """epoll's TCP is faster than its UDP in this file: it is the same backend all the same."""
    file = tmp_path / "measured.json"

    def row(proto, wait, p50):
        return {"contender": "epoll", "proto": proto, "wait": wait, "case": "round-trip",
                "size": 64, "batch": 1, "peers": 1, "latency_ns": {"p50": {"median": p50}}}

    file.write_text(json.dumps({**MEASURED, "rows": [
        row("udp", "spin", 9000), row("tcp", "spin", 7000), row("udp", "poll", 100)]}))
    advice = sh.shunt("probe", "--advise", "--measured", file, "--goal", "latency")
    choose = advice["goals"][0]["choose"]
    assert (choose["backend"], choose["proto"]) == ("epoll", "tcp")
    assert "7.00 us" in json.dumps(advice["goals"][0]["reasons"])


def test_advice_for_an_interface_cites_what_probe_found(wire):
    advice = sh.shunt("probe", "b0", "--advise", ns=wire.b)
    facts = {fact["name"]: fact for fact in advice["facts"]}
    probe = sh.shunt("probe", "b0", ns=wire.b)
    told = {row["name"]: row["answer"] for row in probe["interface"]["features"]}
    assert facts["nic-xdp-native"]["answer"] == told["xdp-native"]
    assert facts["zero-copy"]["answer"] == told["af-xdp-zerocopy"]
    assert (facts["physical-nic"]["answer"], facts["physical-nic"]["detail"]) == ("no", "driver veth")
    assert [goal["goal"] for goal in advice["goals"]] == [
        "throughput", "latency", "custom-packets", "portable", "cloud"]
    for goal in advice["goals"]:
        for reason in goal["reasons"]:
            assert reason.get("fact") in facts or "measured" in reason, reason


def test_advice_without_sense_is_refused(tmp_path):
    file = tmp_path / "x.json"
    assert "there are throughput latency" in sh.refused("probe", "--advise", "--goal", "speed")
    assert "for --advise" in sh.refused("probe", "--goal", "latency")
    file.write_text("{")
    assert "this is no JSON" in sh.refused("probe", "--advise", "--measured", file)
    file.write_text('{"schema": "shunt.list/1"}')
    assert "shunt.list/1" in sh.refused("probe", "--advise", "--measured", file)
