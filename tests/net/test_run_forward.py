# SPDX-License-Identifier: BSD-2-Clause
"""`run forward`: real peers through it, captures through it, tables, and what it is fed by."""
import ipaddress
import json
import os
import random
import re
import signal
import struct

import pytest

import frame as fr
import shunt as sh
from ports import MAC_B0, MAC_B1, MAC_C, Chain, end, numbered, read_pcap, run, start, write_pcap
from shunt import B4

KINDS = ["af_packet", "af_xdp", "dpdk"]


@pytest.fixture
def chain():
    with Chain() as made:
        yield made


# --- real peers -------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_ping_and_iperf_go_through_it_and_nothing_is_lost_in_it(chain, kind):
    process = chain.forward(kind)
    assert chain.a.ping(B4, 50) == 50
    server = chain.c.start("iperf3", "-s", "-1", "--forceflush").says("listening")
    done = json.loads(chain.a.run("iperf3", "-J", "-c", B4, "-n", "20M").stdout)
    assert done["end"]["sum_received"]["bytes"] >= 10 << 20
    assert server.end() == 0
    last = end(process)
    assert not any(last["lost"].values())
    assert last["sent"] > (10 << 20) // 1500
    assert [port["name"] for port in last["ports"]] == [kind + ":b0", kind + ":b1"]
    assert not chain.b.instances()  # what fed it is gone


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_arrives_as_it_was_sent(chain, kind):
    frames = numbered(400)
    chain.forward(kind)
    dump = chain.c.start("tcpdump", "-i", "c0", "-Z", "root", "-n", "-U", "-B", "32768", "-s", "2048",
                         "--immediate-mode", "-Q", "in", "-w", chain.file("out.pcap"),
                         "udp and port 5000").says("listening on")
    path = write_pcap(chain.file("in.pcap"), frames)
    sent = run("generate", "af_packet:a0", "--pcap", path, "--rate", "4000", ns=chain.a)
    assert sent["sent"] == len(frames)
    sh.wait(lambda: len(read_pcap_so_far(chain.file("out.pcap"))) >= len(frames), "all frames")
    dump.end(signal.SIGINT)
    assert read_pcap(chain.file("out.pcap")) == frames


def read_pcap_so_far(path):
    try:
        return read_pcap(path)
    except (struct.error, AssertionError, FileNotFoundError):
        return []  # it ends within a packet just now


def test_swap_sends_frames_back_out_of_the_same_port(chain):
    process = start(chain.b, "forward", "af_xdp:b0", "--mode", "swap")
    raw = chain.a.raw("a0")
    frame = fr.eth(fr.ip4(fr.udp(b"there and back")), dst=MAC_B0)
    raw.send(frame)
    back = frame[6:12] + frame[:6] + frame[12:]
    assert sh.receive(raw, lambda got: got[:6] == frame[6:12]) == back
    assert end(process)["sent"] >= 1


# --- files ------------------------------------------------------------------------------------

def test_a_capture_goes_through_unchanged(tmp_path):
    frames = numbered(3000)
    path, out = write_pcap(tmp_path / "in.pcap", frames), tmp_path / "out.pcap"
    last = run("forward", "pcap:%s" % path, "pcap:%s,write" % out)
    assert last["received"] == last["sent"] == 3000
    assert last["received_bytes"] == sum(map(len, frames))
    assert read_pcap(out) == frames


def test_pairs_are_shared_out_among_workers(tmp_path):
    names, want = [], {}
    for pair in range(3):
        path, out = tmp_path / ("in%d" % pair), tmp_path / ("out%d" % pair)
        want[out] = numbered(200, first=1000 * pair)
        names += ["pcap:%s" % write_pcap(path, want[out]), "pcap:%s,write" % out]
    last = run("forward", *names, "--workers", "2")
    assert [app["received"] for app in last["applications"]] == [400, 200]
    for out, frames in want.items():
        assert read_pcap(out) == frames


def test_packets_is_a_limit_for_all_workers_together(tmp_path):
    names = []
    for pair in range(2):
        names += ["pcap:%s" % write_pcap(tmp_path / ("in%d" % pair), numbered(500)),
                  "pcap:%s,write" % (tmp_path / ("out%d" % pair))]
    last = run("forward", *names, "--workers", "2", "--packets", "601")
    assert last["received"] == last["sent"] == 601


def test_a_time_is_a_limit(chain):
    last = run("forward", "af_packet:b0", "af_packet:b1", "--duration", "50ms", ns=chain.b)
    assert last["seconds"] >= 0.05


def test_a_second_signal_kills_it(tmp_path):
    """Its output takes nothing, so it cannot end in good order."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        path = write_pcap(tmp_path / "in.pcap", numbered(2000, 1400))
        process = sh.Process([sh.BINARY, "run", "forward", "pcap:%s" % path,
                              "pcap:%s,write" % fifo, "--interval", "20ms"])
        name = "/proc/%d/task" % process.popen.pid
        sh.wait(lambda: any("pipe" in open("%s/%s/wchan" % (name, task), encoding="ascii").read()
                            for task in os.listdir(name)), "its worker to hang")
        sh.wait(lambda: hit_again(process), "it to be killed")
    finally:
        os.close(reader)
    assert process.end() == -signal.SIGINT
    process.close()


def hit_again(process):
    if process.popen.poll() is None:
        process.popen.send_signal(signal.SIGINT)
    return process.popen.poll() is not None


@pytest.mark.parametrize("port", ["af_xdp:b1,tx-ring=64", "af_packet:b1"])
def test_a_full_port_holds_up_what_is_read_and_nothing_is_dropped(chain, port):
    """A file is read far faster than an interface sends."""
    path = write_pcap(chain.file("in.pcap"), numbered(2000, 20))
    last = run("forward", "pcap:%s,loop=50" % path, port, ns=chain.b)
    assert last["received"] == last["sent"] == 100000
    assert not any(last["lost"].values())
    # the interface has seen every one of them, whatever its peer could take
    tx = chain.b.link("b1")["stats64"]["tx"]
    assert tx["packets"] + tx["dropped"] >= 100000, tx


# --- tables -----------------------------------------------------------------------------------

def table_of(routes):
    return {"schema": "shunt.nexthops/1",
            "routes": [{"prefix": str(prefix), "port": port, "dst_mac": dst.hex(":"),
                        "src_mac": src.hex(":")} for prefix, port, dst, src in routes]}


class Model:
    """What a packet becomes, said plainly: all routes are tried, and the sums made anew."""

    def __init__(self, routes):
        self.routes = routes

    def hop(self, address):
        inside = [route for route in self.routes
                  if route[0].version == address.version and address in route[0]]
        return max(inside, key=lambda route: route[0].prefixlen, default=None)

    def forward(self, frame):
        """(port, frame) or the name of a loss."""
        if frame[0] & 1:
            return "group"
        kind = frame[12:14]
        if kind not in (b"\x08\x00", b"\x86\xdd"):
            return "not_ip"
        ip = frame[14:]
        if kind == b"\x08\x00":
            head = (ip[0] & 15) * 4
            if ip[0] >> 4 != 4 or head < 20 or len(ip) < head or fr.checksum(ip[:head]) or \
                    not head <= int.from_bytes(ip[2:4], "big") <= len(ip):
                return "malformed"
            ttl, to = 8, ipaddress.ip_address(ip[16:20])
        else:
            if ip[0] >> 4 != 6 or len(ip) < 40 or 40 + int.from_bytes(ip[4:6], "big") > len(ip):
                return "malformed"
            ttl, to = 7, ipaddress.ip_address(ip[24:40])
        hop = self.hop(to)
        if not hop:
            return "no_route"
        if ip[ttl] <= 1:
            return "ttl_expired"
        ip = ip[:ttl] + bytes([ip[ttl] - 1]) + ip[ttl + 1:]
        if kind == b"\x08\x00":
            blank = ip[:10] + b"\0\0" + ip[12:head]
            ip = ip[:10] + fr.checksum(blank).to_bytes(2, "big") + ip[12:]
        return hop[1], hop[2] + hop[3] + kind + ip


def random_mac(draw):
    return bytes([2, *(draw.randrange(256) for _ in range(5))])


def random_routes(draw, ports_count):
    routes = {}
    for _ in range(60):
        if draw.random() < 0.5:
            net = ipaddress.ip_network((draw.choice([0xc0000200, 0xc6336400, 0x0a000000]) |
                                        draw.randrange(256), draw.randint(9, 32)), strict=False)
        else:
            net = ipaddress.ip_network(((0x20010db8 << 96) | draw.randrange(1 << 16) << 64 |
                                        draw.randrange(16), draw.randint(33, 128)), strict=False)
        routes[net] = (net, draw.randrange(ports_count), random_mac(draw), random_mac(draw))
    return list(routes.values())


def random_frame(draw):
    ttl = draw.choice([0, 1, 2, 64, 255])
    payload = fr.udp(bytes(draw.randrange(256) for _ in range(draw.randrange(30))))
    if draw.random() < 0.5:
        to = draw.choice([0xc0000200, 0xc6336400, 0x0a000000, 0x0b000000]) | draw.randrange(256)
        options = bytes([1] * 4) if draw.random() < 0.2 else b""
        ip = bytearray(fr.ip4(payload, dst=str(ipaddress.ip_address(to)), options=options))
        ip[8] = ttl
        head = (ip[0] & 15) * 4
        ip[10:12] = b"\0\0"
        ip[10:12] = fr.checksum(bytes(ip[:head])).to_bytes(2, "big")
    else:
        to = (0x20010db8 << 96) | draw.randrange(1 << 16) << 64 | draw.randrange(16)
        ip = bytearray(fr.ip6(payload, dst=str(ipaddress.ip_address(to))))
        ip[7] = ttl
    if draw.random() < 0.1:  # some fault in the header, or none
        ip[draw.randrange(12)] ^= 1 << draw.randrange(8)
    frame = fr.eth(bytes(ip), dst=MAC_B0)
    if draw.random() < 0.05:
        frame = fr.BROADCAST + frame[6:]
    if draw.random() < 0.05:
        frame = frame[:12] + b"\x08\x06" + frame[14:]
    return frame


@pytest.mark.parametrize("seed", range(4))
def test_a_table_does_what_a_naive_model_does(tmp_path, seed):
    draw = random.Random(seed)
    routes = random_routes(draw, 3)
    frames = [random_frame(draw) for _ in range(2000)]
    outs = [tmp_path / ("out%d" % port) for port in range(3)]
    table = tmp_path / "table.json"
    table.write_text("// next hops\n" + json.dumps(table_of(routes)))
    names = ["pcap:%s,write" % out for out in outs]
    last = run("forward", *names, "pcap:%s" % write_pcap(tmp_path / "in", frames), "--table", table)
    model, want, lost = Model(routes), [[], [], []], {}
    for frame in frames:
        went = model.forward(frame)
        if isinstance(went, str):
            lost[went] = lost.get(went, 0) + 1
        else:
            want[went[0]].append(went[1])
    assert [read_pcap(out) for out in outs] == want
    assert {name: count for name, count in last["lost"].items() if count} == lost
    assert len(lost) == 5 and all(want)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_routes_between_two_subnets(kind):
    nets = [("192.0.2.1/24", "198.51.100.1/24"), ("2001:db8:1::1/64", "2001:db8:2::1/64")]
    with Chain(nets=nets) as chain:
        table = chain.file("table.json")
        routes = []
        for index, (left, right) in enumerate(nets):
            routes += [(ipaddress.ip_interface(left).network, 0, fr.MAC_A, MAC_B0),
                       (ipaddress.ip_interface(right).network, 1, MAC_C, MAC_B1)]
            for ns, dev, mac, own, to in ((chain.a, "a0", MAC_B0, left, right),
                                          (chain.c, "c0", MAC_B1, right, left)):
                own, to = ipaddress.ip_interface(own).network, ipaddress.ip_interface(to).network
                gate = own[99]
                ns.ip("neigh replace %s lladdr %s dev %s nud permanent" % (gate, mac.hex(":"), dev),
                      "route replace %s via %s" % (to, gate))
        with open(table, "w", encoding="ascii") as file:
            json.dump(table_of(routes), file)
        process = chain.forward(kind, "--table", table)
        assert chain.a.ping("198.51.100.1", 20) == 20
        assert chain.a.ping("2001:db8:2::1", 20) == 20
        done = chain.a.run("ping", "-c1", "-t1", "-W1", "198.51.100.1", ok=False)
        assert "0 received" in done.stdout
        done = chain.a.run("ping", "-c1", "198.51.100.1")
        assert re.search(r"ttl=63\b", done.stdout), done.stdout
        last = end(process)
        assert last["lost"]["ttl_expired"] == 1
        assert last["sent"] >= 82


# --- what it is fed by ------------------------------------------------------------------------

USERS = {"default": "pass",
         "consumers": {"mine": {"kind": "xsk", "if_down": "drop"},
                       "other": {"kind": "xsk"}, "log": {"kind": "ring"}},
         "rules": [{"name": "mine", "action": {"redirect": {"consumer": "mine"}}}]}


def attach(chain, interface, policy):
    path = chain.file(interface + ".json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"schema": "shunt.policy/1", **policy}, file)
    return sh.shunt("attach", interface, "-p", path, ns=chain.b)


def test_a_policy_of_the_users_is_left_alone_and_its_consumers_are_named(chain):
    attach(chain, "b0", USERS)
    before = sh.shunt("show", "b0", ns=chain.b)["hash"]
    words = sh.refused("run", "forward", "af_xdp:b0", "af_xdp:b1", ns=chain.b)
    assert "af_xdp:b0,consumer=NAME" in words and "mine, other" in words and "log" not in words
    assert sh.shunt("show", "b0", ns=chain.b)["hash"] == before
    assert len(chain.b.instances()) == 1  # b1 is not left attached


def test_a_consumer_of_the_users_policy_is_served(chain):
    attach(chain, "b0", USERS)
    process = start(chain.b, "forward", "af_xdp:b0,consumer=mine", "af_xdp:b1")
    assert chain.a.ping(B4, 10) == 10
    end(process)
    assert [sh.decode(name) for name in chain.b.instances()] == ["b0"]
    assert sh.shunt("show", "b0", ns=chain.b)["consumers"]


def test_what_a_killed_run_has_left_the_next_one_takes_on_and_removes(chain):
    process = chain.forward("af_xdp")
    assert chain.a.ping(B4, 3) == 3
    process.end(signal.SIGKILL)
    assert sorted(sh.decode(name) for name in chain.b.instances()) == ["b0", "b1"]
    process = chain.forward("af_xdp")
    assert chain.a.ping(B4, 3) == 3
    end(process)
    assert not chain.b.instances()


def test_a_policy_that_the_user_has_applied_meanwhile_stays(chain):
    process = chain.forward("af_xdp")
    path = chain.file("new.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"schema": "shunt.policy/1", "default": "pass"}, file)
    sh.shunt("apply", "b0", "-p", path, ns=chain.b)
    end(process)
    assert [sh.decode(name) for name in chain.b.instances()] == ["b0"]


def test_a_second_run_at_the_same_queue_is_refused_and_the_first_goes_on(chain):
    process = chain.forward("af_xdp")
    assert chain.a.ping(B4, 3) == 3
    words = sh.refused("run", "drop", "af_xdp:b0", "--duration", "1s", ns=chain.b)
    assert "b0" in words
    assert chain.a.ping(B4, 3) == 3
    end(process)
    assert not chain.b.instances()


def test_an_error_leaves_nothing_attached(chain):
    words = sh.refused("run", "forward", "af_xdp:b0", "af_xdp:b7", ns=chain.b)
    assert "b7" in words
    assert not chain.b.instances()


def test_an_interface_that_goes_ends_it_with_the_reason(chain):
    process = chain.forward("af_xdp")
    chain.b.ip("link set b1 down")
    assert process.end() == 1
    assert b"b1" in process.err
    assert process.replies()[-1]["final"]


# --- what is wrong ----------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, part", [
    (["pcap:x", "pcap:y,write", "pcap:z"], "joined two by two, and there are 3"),
    (["pcap:x", "pcap:x"], "named twice"),
    (["pcap:/dev/null,write", "afxdp:b0"], 'no kind of port called "afxdp"'),
    (["pcap:/dev/null,write", "b0"], "SCHEME:DEVICE"),
    (["pcap:x", "pcap:y,write", "--mode", "across"], "there are cross, swap, table"),
    (["pcap:x", "pcap:y,write", "--mode", "table"], "--table FILE"),
    (["pcap:x", "pcap:y,write", "--workers", "2"], "among 1 at most"),
    (["pcap:x", "pcap:y,write", "--cores", "a"], "--cores"),
])
def test_what_is_wrong_is_said(arguments, part):
    assert part in sh.refused("run", "forward", *arguments)


def test_two_files_that_are_read_are_refused(tmp_path):
    one, two = (write_pcap(tmp_path / name, numbered(1)) for name in "ab")
    words = sh.refused("run", "forward", "pcap:%s" % one, "pcap:%s" % two)
    assert "receives nothing that pcap:%s" % str(two)[:40] in words


def test_a_route_to_what_cannot_send_is_refused(tmp_path):
    table = tmp_path / "table.json"
    table.write_text(json.dumps(table_of([("10.0.0.0/8", 0, fr.MAC_A, fr.MAC_B)])))
    path = write_pcap(tmp_path / "in", numbered(1))
    words = sh.refused("run", "forward", "pcap:%s" % path, "pcap:/dev/null,write", "--table", table)
    assert "route 0" in words and "cannot send" in words


def test_an_interface_beside_a_file_is_only_sent_to(chain):
    """Nobody feeds it, for nobody could take what it receives."""
    path = write_pcap(chain.file("in.pcap"), numbered(5))
    last = run("forward", "af_xdp:b1", "pcap:%s" % path, ns=chain.b)
    assert last["sent"] == 5
    assert "rx" not in last["ports"][0]["describe"]["capabilities"]


def test_a_table_says_what_is_wrong_with_it(tmp_path):
    table = tmp_path / "table.json"
    table.write_text('{ "schema": "shunt.nexthops/1", "routes": [ { "prefix": "10.0.0.0/8", '
                     '"port": 2, "dst_mac": "02::", "via": 1 } ] }')
    done = sh.run("run", "forward", "pcap:x", "pcap:y,write", "--table", table, text=True)
    assert done.code == 1
    for pointer in ("/routes/0/via", "/routes/0/port", "/routes/0/dst_mac", "/routes/0"):
        assert "error at %s: " % pointer in done.err, done.err


def test_a_good_table_is_sound_for_its_schema():
    draw = random.Random(1)
    sh.validator("nexthops").validate(table_of(random_routes(draw, 2)))
