# SPDX-License-Identifier: BSD-2-Clause
"""explain: whose answer it is, which keys matched, which rules nearly did, and of what packet."""
import ctypes
import json
import mmap
import os
import re
import struct
import subprocess

import pytest

import frame as fr
import shunt as sh
from shunt import B4

POLICY = {
    "schema": "shunt.policy/1", "default": "pass",
    "sets": {"bad": {"type": "prefix", "elements": ["203.0.113.0/24", "2001:db8:bad::/48"]},
             "live": {"type": "address"}},
    "rules": [
        {"name": "bad", "match": {"src": "@bad", "proto": ["tcp", "udp"]}, "action": "drop"},
        {"name": "seen", "match": {"proto": "udp"}, "action": "count"},
        {"name": "dns", "match": {"dst": "192.0.2.53", "proto": "udp", "dport": 53},
         "action": "drop"},
        {"name": "live", "match": {"src": "@live", "proto": "udp"}, "action": "drop"},
        {"name": "web", "match": {"dst": ["192.0.2.0/24", "2001:db8::/32"], "proto": "tcp",
                                  "dport": [80, 443], "not": {"sport": 1}}, "action": "drop"}]}


def path_of(tmp_path, policy, name="policy.json"):
    path = tmp_path / name
    path.write_text(json.dumps({"schema": "shunt.policy/1", "default": "pass", **policy}))
    return str(path)


@pytest.fixture
def explain(tmp_path):
    """Explains under POLICY, or another one."""
    def ask(*options, policy=None):
        return sh.shunt("explain", "-p", path_of(tmp_path, policy or POLICY), *options)
    return ask


# --- packets that options describe ---------------------------------------------------------

@pytest.mark.parametrize("options, has", [
    (["--src", "192.0.2.7"], {"src": "192.0.2.7", "eth_type": "0x0800"}),
    (["--dst", "2001:db8::7", "--proto", "tcp"], {"dst": "2001:db8::7", "proto": 6,
                                                  "tcp_flags": "syn"}),
    (["--src", "10.0.0.1", "--dst", "10.0.0.2", "--proto", "udp", "--sport", "7", "--dport", "8"],
     {"src": "10.0.0.1", "dst": "10.0.0.2", "proto": 17, "sport": 7, "dport": 8}),
    (["--proto", "132", "--dport", "36412"], {"proto": 132, "dport": 36412}),
    (["--proto", "tcp", "--tcp-flags", "syn,ack"], {"tcp_flags": "syn,ack"}),
    (["--proto", "icmp", "--icmp-type", "3", "--icmp-code", "4"],
     {"proto": 1, "icmp": {"type": 3, "code": 4}}),
    (["--proto", "icmpv6", "--icmp-type", "neighbor-solicitation"],
     {"proto": 58, "icmp": {"type": 135, "code": 0}}),
    (["--fragment", "later", "--proto", "udp"], {"fragment": "later", "proto": 17}),
    (["--fragment", "first", "--proto", "udp", "--dport", "9", "--dst", "::1"],
     {"fragment": "first", "dport": 9}),
    (["--dscp", "ef", "--src", "10.0.0.1"], {"dscp": 46}),
    (["--vlan", "100", "--proto", "gre"], {"vlan": [100], "proto": 47}),
    (["--vlan", "100.200", "--eth-type", "arp"], {"vlan": [100, 200], "eth_type": "0x0806"}),
    (["--length", "1400", "--proto", "tcp"], {"length": 1400, "proto": 6}),
    (["--src-mac", "02:00:5e:00:00:07", "--dst-mac", "ff:ff:ff:ff:ff:ff", "--eth-type", "0x88cc"],
     {"src_mac": "02:00:5e:00:00:07", "dst_mac": "ff:ff:ff:ff:ff:ff", "eth_type": "0x88cc"}),
])
def test_options_describe_a_packet(explain, options, has):
    reply = explain(*options)
    assert reply["packet"] == 1 and reply["reason"] in ("rule", "default")
    assert {key: reply["pkt"].get(key) for key in has} == has


@pytest.mark.parametrize("options, words", [
    (["--dport", "x"], "--dport: "),
    (["--src", "192.0.2.1", "--dst", "2001:db8::1"], "--dst: could match no packet"),
    (["--src", "192.0.2"], "--src: "),
    (["--src", "@bad"], '--src "@bad": a packet has an address, not a set'),
    (["--tcp-flags", "sin"], '--tcp-flags: "sin" is not a TCP flag'),
    (["--icmp-type", "8"], "--icmp-type: a number is another type in ICMP than in ICMPv6"),
    (["--icmp-code", "8"], "--icmp: the key \"type\" is missing"),
    (["--proto", "udp", "--length", "20"], "explain: no frame of up to 9216 bytes is like that"),
    (["--vlan", "5000"], "--vlan: "),
    (["--proto", "udp", "--frame", "00"], "explain: what?"),
    (["--proto", "udp", "--pcap", "x"], "explain: what?"),
])
def test_what_describes_no_packet_is_refused_by_its_option(tmp_path, options, words):
    assert words in sh.refused("explain", "-p", path_of(tmp_path, POLICY), *options)


def test_a_rule_for_an_interface_needs_its_name(explain, tmp_path):
    policy = {"rules": [{"name": "lan", "match": {"iface": "lan*", "proto": "udp"},
                         "action": "drop"}]}
    reply = explain("--proto", "udp", policy=policy)
    assert reply["rule"] is None
    assert reply["nearly"] == [{"rule": "lan", "met": 1, "key": "iface", "packet": None,
                                "wants": ["lan*"]}]
    reply = explain("--proto", "udp", "--iface", "lan0", policy=policy)
    assert reply["rule"] == "lan" and reply["matched"][0]["packet"] == "lan0"
    assert "--iface goes with -p" in sh.refused("explain", "b0", "--proto", "udp", "--iface", "x")


# --- keys that matched, rules that nearly did ------------------------------------------------

def test_the_deciding_rule_tells_its_keys(explain):
    reply = explain("--src", "198.51.100.1", "--dst", "192.0.2.9", "--proto", "tcp", "--dport",
                    "443")
    assert (reply["rule"], reply["verdict"]) == ("web", "drop")
    assert reply["matched"] == [
        {"key": "dst", "packet": "192.0.2.9", "wants": ["192.0.2.0/24", "2001:db8::/32"]},
        {"key": "proto", "packet": "tcp", "wants": ["tcp"]},
        {"key": "not.sport", "packet": "40000", "wants": ["1"]},
        {"key": "dport", "packet": "443", "wants": ["80", "443"]}]
    assert reply["nearly"] == [{"rule": "bad", "met": 1, "key": "src", "packet": "198.51.100.1",
                                "wants": ["@bad"]}]
    assert reply["nearly_total"] == 1 and "disagrees" not in reply


def test_a_rule_that_counts_has_matched_and_is_not_near(explain):
    reply = explain("--dst", "192.0.2.53", "--proto", "udp", "--dport", "53")
    assert (reply["rule"], reply["counted"]) == ("dns", ["seen"])
    assert [near["rule"] for near in reply["nearly"]] == ["bad"]


def test_the_default_has_no_keys_and_all_rules_are_earlier(explain):
    reply = explain("--dst", "192.0.2.53", "--proto", "udp", "--dport", "54")
    assert (reply["rule"], reply["reason"], reply["matched"]) == (None, "default", [])
    assert [(near["rule"], near["key"]) for near in reply["nearly"]] == [
        ("dns", "dport"), ("bad", "src"), ("live", "src")]


def test_a_rule_behind_the_deciding_one_a_single_key_and_two_misses_are_not_near(explain):
    rules = [{"name": "single", "match": {"src": "10.0.0.0/8"}, "action": "drop"},
             {"name": "two", "match": {"src": "10.0.0.0/8", "dst": "10.0.0.0/8", "proto": "udp"},
              "action": "drop"},
             {"name": "near", "match": {"src": "10.0.0.0/8", "proto": "udp"}, "action": "drop"},
             {"name": "here", "match": {"proto": "udp"}, "action": "drop"},
             {"name": "behind", "match": {"src": "10.0.0.0/8", "proto": "udp"},
              "action": "pass"}]
    reply = explain("--src", "192.0.2.1", "--proto", "udp", policy={"rules": rules})
    assert reply["rule"] == "here"
    assert [near["rule"] for near in reply["nearly"]] == ["near"]


def test_of_many_near_rules_those_that_met_most_are_named(explain):
    rules = [{"name": "r%d" % n, "match": {"proto": "udp", "dport": 1000 + n}, "action": "drop"}
             for n in range(20)]
    rules.insert(15, {"name": "best", "match": {"proto": "udp", "dport": 9, "src": "10.0.0.1"},
                      "action": "drop"})
    reply = explain("--dst", "192.0.2.1", "--proto", "udp", "--dport", "9", "--src", "10.0.0.2",
                    policy={"rules": rules})
    assert reply["nearly_total"] == 21
    assert [near["rule"] for near in reply["nearly"]] == ["best"] + ["r%d" % n for n in range(7)]


def test_a_malformed_packet_has_no_keys(explain):
    reply = explain("--frame", fr.eth(fr.ip4(b"", 6)).hex())
    assert reply["reason"] == "tcp-short" and reply["rule"] is None
    assert "matched" not in reply and "nearly" not in reply


# --- the datapath ------------------------------------------------------------------------------

def test_sets_are_asked_as_they_are_now(wire):
    wire.attach(POLICY)
    ask = lambda: sh.shunt("explain", "b0", "--src", "192.0.2.99", "--proto", "udp", ns=wire.b)
    reply = ask()
    assert reply["rule"] is None and "disagrees" not in reply
    assert ("live", "src") in [(near["rule"], near["key"]) for near in reply["nearly"]]
    sh.shunt("set", "add", "b0", "live", "192.0.2.99", ns=wire.b)
    sh.shunt("set", "add", "b0", "bad", "198.51.100.0/24", ns=wire.b)
    reply = ask()
    assert reply["rule"] == "live" and "disagrees" not in reply
    assert reply["matched"][0] == {"key": "src", "packet": "192.0.2.99", "wants": ["@live"]}
    reply = sh.shunt("explain", "b0", "--src", "198.51.100.3", "--proto", "tcp", ns=wire.b)
    assert reply["rule"] == "bad" and "disagrees" not in reply


def test_a_policy_whose_set_file_is_gone_is_explained(wire):
    path = wire.file("members.txt")
    with open(path, "w", encoding="ascii") as file:
        file.write("192.0.2.0/24\n")
    wire.attach({"sets": {"f": {"type": "prefix", "file": path}},
                 "rules": [{"name": "f", "match": {"src": "@f"}, "action": "drop"}]})
    os.unlink(path)
    reply = sh.shunt("explain", "b0", "--src", "192.0.2.1", ns=wire.b)
    assert reply["rule"] == "f" and "disagrees" not in reply


def bpf_mapped(path, size):
    """A pinned map's memory."""
    class Attr(ctypes.Structure):
        _fields_ = [("path", ctypes.c_uint64), ("fd", ctypes.c_uint32), ("flags", ctypes.c_uint32)]

    text = ctypes.create_string_buffer(path.encode())
    attr = Attr(ctypes.addressof(text), 0, 0)
    fd = ctypes.CDLL(None, use_errno=True).syscall(321, 7, ctypes.byref(attr), 16)  # BPF_OBJ_GET
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)


def damage(interface_path, rule, action):
    """Gives a rule of the ruling image, whose generation is 1, another action."""
    shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", interface_path + "/image"],
                           capture_output=True, text=True, check=True)
    room = json.loads(shown.stdout)["bytes_value"]
    with bpf_mapped(interface_path + "/image", 2 * room) as image:
        at = room + struct.unpack_from("=I", image, room + 24)[0] + 16 * rule + 8
        was, image[at] = image[at], action
    return was


def test_the_answer_is_what_the_loaded_program_does_not_what_the_policy_says(wire):
    wire.attach({"rules": [{"name": "ping", "match": {"proto": "icmp", "icmp": "echo-request"},
                            "action": "drop"}]})
    ask = ("explain", "b0", "--proto", "icmp", "--icmp-type", "8")
    assert sh.shunt(*ask, ns=wire.b)["verdict"] == "drop"
    assert wire.a.ping(B4, seconds=0.2) == 0
    name, = wire.b.instances()
    assert damage(os.path.join(sh.TREE, name, "maps"), 0, 0) == 1  # drop becomes pass
    assert wire.a.ping(B4) == 1
    done = sh.run(*ask, ns=wire.b)
    assert done.code == 1 and "disagree about packets, of which there are 1: a fault of Shunt's" in done.error
    assert (done.reply["verdict"], done.reply["rule"]) == ("pass", "ping")
    assert done.reply["disagrees"] == {"rule": "ping", "action": "drop", "counted": []}
    text = sh.run(*ask, ns=wire.b, text=True)
    assert text.code == 1 and "DISAGREES: the policy says drop by rule ping" in text.out


@pytest.mark.parametrize("hook", ["xdp", "tc-ingress"])
def test_the_program_that_is_asked_is_the_one_that_is_attached(wire, hook):
    """By its id; and none is loaded for it."""
    wire.attach({"rules": [{"name": "udp", "match": {"proto": "udp"}, "action": "drop"}]},
                "--hook", hook)
    program = sh.shunt("show", "b0", ns=wire.b)["hooks"][0]["program"]
    path = wire.file("calls")
    told = sh.shunt("explain", "b0", "--hook", hook, "--proto", "udp", ns=wire.b,
                    prefix=["strace", "-o", path, "-e", "trace=bpf"])
    assert (told["verdict"], told["rule"]) == ("drop", "udp")
    with open(path, encoding="utf-8") as file:
        calls = file.read()
    opened = re.findall(r"BPF_PROG_GET_FD_BY_ID, \{prog_id=(\d+).* = (\d+)$", calls, re.M)
    asked = re.findall(r"BPF_PROG_TEST_RUN, \{test=\{prog_fd=(\d+)", calls)
    assert asked and set(asked) <= {fd for number, fd in opened if int(number) == program}, calls
    assert "BPF_PROG_LOAD" not in calls


@pytest.mark.parametrize("hook, verdict, reason", [("xdp", "drop", "consumer-down"),
                                                   ("tc-ingress", "pass", "hook-cannot")])
def test_what_becomes_of_a_packet_is_told_not_what_its_rule_asks_for(wire, hook, verdict, reason):
    action = {"consumer": "tap"} if hook == "xdp" else {"cpu": 0}
    policy = {"rules": [{"name": "away", "match": {"proto": "udp"}, "action": {"redirect": action}}]}
    if hook == "xdp":
        policy["consumers"] = {"tap": {"kind": "xsk", "if_down": "drop"}}
    wire.attach(policy, "--hook", hook)
    told = sh.shunt("explain", "b0", "--hook", hook, "--proto", "udp", ns=wire.b)
    assert (told["rule"], told["verdict"], told["reason"]) == ("away", verdict, reason)
    assert "disagrees" not in told


PCAP_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def packet_of(frame):
    return struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame


def test_a_swap_by_another_process_is_followed_packet_by_packet(wire):
    """Also one that brings another program: the second policy needs more features."""
    policies = [
        {"rules": [{"name": "one", "match": {"proto": "udp"}, "action": "drop"}]},
        {"sets": {"s": {"type": "prefix", "elements": ["192.0.2.0/24"]}},
         "rules": [{"name": "two", "match": {"src": "@s", "dst": "192.0.0.0/16"},
                    "action": "pass", "limit": {"packets": 5}}]},
        {"default": "drop", "rules": []}]
    frame = fr.eth(fr.ip4(fr.udp()))
    wire.attach(policies[0])
    argv = [sh.BINARY, "explain", "b0", "--pcap", "-", "--json", "--netns", wire.b.name]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdin.write(PCAP_HEAD)
        for number, policy in enumerate(policies):
            if number:
                wire.apply(policy)
            running.stdin.write(packet_of(frame))
            running.stdin.flush()
            reply = sh.validate(json.loads(running.stdout.readline()))
            name = policy["rules"][0]["name"] if policy["rules"] else None
            assert (reply["rule"], reply["generation"]) == (name, number + 1)
            assert "disagrees" not in reply
            assert bool(reply["matched"]) == bool(name)
        running.stdin.close()
        assert running.wait(10) == 0


# --- captures and text -------------------------------------------------------------------------

def pcapng(*frames, links=(1,)):
    """Section, an interface for each link type, packets of the first one."""
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for link in links:
        data += block(1, struct.pack("<HHI", link, 0, 65535))
    for frame in frames:
        data += block(6, struct.pack("<IIIII", 0, 0, 0, len(frame), len(frame)) + frame)
    return data


def test_a_pcapng_comes_from_standard_input(tmp_path):
    frames = [fr.eth(fr.ip4(fr.tcp(dport=80), fr.TCP)), fr.eth(fr.ip6(fr.udp(dport=53)))]
    done = subprocess.run([sh.BINARY, "explain", "-p", path_of(tmp_path, POLICY), "--pcap", "-",
                           "--json"], input=pcapng(*frames), capture_output=True, check=True)
    replies = [sh.validate(json.loads(line)) for line in done.stdout.splitlines()]
    assert [(reply["packet"], reply["rule"]) for reply in replies] == [(1, "web"), (2, None)]


@pytest.mark.parametrize("links, words", [
    ((101,), "its packets are of link type RAW"),
    ((113,), "its packets are of link type LINUX_SLL"),
    ((1, 101), "different from the type of the first interface"),
])
def test_other_link_types_are_refused(tmp_path, links, words):
    path = tmp_path / "x.pcapng"
    path.write_bytes(pcapng(fr.eth(fr.ip4(fr.udp())), links=links))
    assert words in sh.refused("explain", "-p", path_of(tmp_path, POLICY), "--pcap", path)


def test_standard_input_is_not_read_twice():
    assert "not both" in sh.refused("explain", "-p", "-", "--pcap", "-")


def test_one_packet_is_a_block_of_text_and_a_capture_a_line_each(tmp_path):
    policy = path_of(tmp_path, POLICY)
    done = sh.run("explain", "-p", policy, "--src", "192.0.2.1", "--dst", "192.0.2.9", "--proto",
                  "tcp", "--dport", "443", text=True)
    assert done.out.splitlines() == [
        "drop by rule web (rule), hook xdp, generation 1",
        "  packet   192.0.2.1:40000 > 192.0.2.9:443 tcp syn",
        "  matched  dst 192.0.2.9 (wants 192.0.2.0/24, 2001:db8::/32)",
        "           proto tcp",
        "           not.sport 40000 (wants 1)",
        "           dport 443 (wants 80, 443)",
        "  nearly   rule bad, but for src 192.0.2.1 (wants @bad)"]
    path = tmp_path / "two.pcap"
    fr.write_pcap(path, [fr.eth(fr.ip4(fr.tcp(dport=80), fr.TCP)), fr.eth(b"\0" * 46, 0x88CC)])
    done = sh.run("explain", "-p", policy, "--pcap", path, text=True)
    assert done.out.splitlines() == [
        "1: drop by rule web (rule) 192.0.2.1:4000 > 192.0.2.2:80 tcp syn",
        "2: pass by the policy (default) 02:00:00:00:00:0a > 02:00:00:00:00:0b 0x88cc"]
