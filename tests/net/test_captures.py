# SPDX-License-Identifier: BSD-2-Clause
"""Captures from other projects' tests, many of them damaged, beside an independent dissector.

Every packet goes through `shunt explain` and through tshark, which is told not to reassemble.
Whatever tshark decodes of the outermost headers, and of the packet inside a tunnel, Shunt must have
decoded alike, and the other way round; where the two differ for a good reason, EXCEPTIONS has it,
and each one must be needed.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree

import pytest

import frame as fr
import shunt as sh

FOLDER = os.environ.get("SHUNT_CAPTURES",
                        os.path.join(os.path.dirname(sh.ROOT), "shared/captures"))
POLICY = "schemas/examples/valid/minimal.json"
VLAN_TYPES = ("0x8100", "0x88a8", "0x9100")
EXTENSIONS = {0: "ipv6.hopopts.nxt", 43: "ipv6.routing.nxt", 44: "ipv6.fraghdr.nxt",
              60: "ipv6.dstopts.nxt", 51: "ah.next_header"}
PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
FIELDS = """
    frame.protocols eth.type vlan.id vlan.etype ieee8021ad.id ieee8021ah.etype ip.src ip.dst ip.proto ip.flags.mf
    ip.frag_offset ipv6.src ipv6.dst ipv6.nxt ipv6.fraghdr.offset ipv6.fraghdr.more tcp.srcport
    tcp.dstport udp.srcport udp.dstport sctp.srcport sctp.dstport icmp.type icmp.code icmpv6.type
    icmpv6.code tcp.flags eth.src eth.dst ip.dsfield.dscp ipv6.tclass.dscp
""".split() + list(EXTENSIONS.values())

needs_captures = pytest.mark.skipif(not os.path.isdir(FOLDER),
                                    reason="no captures: %s is not there" % FOLDER)


class Packet:
    """One packet: where it is from, what Shunt says of it, and what tshark says."""

    def __init__(self, name, number, frame, wire):
        self.name, self.number, self.frame = name, number, frame
        self.cut = wire > len(frame)
        self.reply = self.fields = None
        self.layers = []  # [(protocol, {field: first value})], where there may be a tunnel

    @property
    def reason(self):
        return self.reply.get("reason")

    def __repr__(self):
        return "%s, packet %d (%s)" % (self.name, self.number, self.reason)


# --- what tshark says, in Shunt's words ---------------------------------------------------

def first(fields, name, convert=str):
    """A field's first value, which is that of the outermost header."""
    return convert(fields[name][0]) if fields[name] else None


def number(text):
    return int(text, 0)


def link(fields, told):
    """EtherType and tags, of which Shunt takes two off."""
    kinds = fields["eth.type"] + fields["ieee8021ah.etype"] + fields["vlan.etype"]
    tags = [number(tag) for tag in fields["ieee8021ad.id"] + fields["vlan.id"]]
    while kinds and kinds[0] in VLAN_TYPES and tags and len(told.get("vlan", [])) < 2:
        kinds.pop(0)
        told.setdefault("vlan", []).append(tags.pop(0))
    if kinds:
        told["eth_type"] = kinds[0]
    told["src_mac"], told["dst_mac"] = first(fields, "eth.src"), first(fields, "eth.dst")


def ip6_transport(fields, told):
    """Walks the chain of extension headers."""
    chain = {kind: list(fields[name]) for kind, name in EXTENSIONS.items()}
    kind = first(fields, "ipv6.nxt", number)
    told["fragment"] = "none"
    while kind in chain:
        if kind == 44 and fields["ipv6.fraghdr.offset"]:
            offset = number(fields["ipv6.fraghdr.offset"].pop(0))
            more = fields["ipv6.fraghdr.more"].pop(0) in ("1", "True")
            told["fragment"] = "later" if offset else "first" if more else told["fragment"]
        if not chain[kind]:
            break
        kind = number(chain[kind].pop(0))
        if told["fragment"] == "later":
            break
    return kind


def network(fields, told):
    """The outermost IP header and what it carries."""
    layers = [layer for layer in first(fields, "frame.protocols").split(":")]
    inner = next((at for at, layer in enumerate(layers)
                  if layer not in ("eth", "ethertype", "vlan", "ieee8021ad")), len(layers))
    family = layers[inner] if inner < len(layers) else ""
    if family not in ("ip", "ipv6"):
        return
    told["src"], told["dst"] = first(fields, family + ".src"), first(fields, family + ".dst")
    told["dscp"] = first(fields, "ip.dsfield.dscp" if family == "ip" else "ipv6.tclass.dscp",
                         number)
    if family == "ip":
        told["proto"] = first(fields, "ip.proto", number)
        offset, more = first(fields, "ip.frag_offset", number), first(fields, "ip.flags.mf")
        told["fragment"] = "later" if offset else "first" if more in ("1", "True") else "none"
    else:
        told["proto"] = ip6_transport(fields, told)
    if told["fragment"] == "later":
        return
    name = PORTS.get(told["proto"])
    if name and name in layers:
        told["sport"] = first(fields, name + ".srcport", number)
        told["dport"] = first(fields, name + ".dstport", number)
    for kind, proto, of in (("icmp", 1, "ip"), ("icmpv6", 58, "ipv6")):
        if told["proto"] == proto and family == of and kind in layers:
            icmp = {what: first(fields, kind + "." + what, number) for what in ("type", "code")}
            told["icmp"] = icmp if None not in icmp.values() else None


def without_none(told):
    return {key: value for key, value in told.items() if value is not None}


EXTENSION_LAYERS = {"ipv6.hopopts": 0, "ipv6.routing": 43, "ipv6.fraghdr": 44, "ah": 51,
                    "ipv6.dstopts": 60}


def tunnel_at(layers, told):
    """The place of the layer behind the tunnel's header, or None; fills type and key."""
    names = [name for name, _ in layers]
    outer = next((at for at, name in enumerate(names) if name in ("ip", "ipv6")), None)
    if outer is None:
        return None
    at = outer + 1
    while at < len(names) and names[at] in EXTENSION_LAYERS:
        at += 1
    if names[at:at + 1] == ["udp"]:
        at += 1
    if at == len(names):
        return None
    name, fields = layers[at]
    if name in ("vxlan", "geneve", "gre"):
        told["type"] = name
        key = fields.get(name + (".key" if name == "gre" else ".vni"))
        told["key"] = None if key is None else number(key)
        return at + 1
    if name in ("ip", "ipv6"):
        told["type"] = "ipip"
        return at
    return None


def inner(layers):
    """What tshark says of the packet that a tunnel carries, as far as we compare it."""
    told = {}
    for name, fields in layers:
        if name == "eth" and not told:
            told["src_mac"], told["dst_mac"] = fields["eth.src"], fields["eth.dst"]
        elif name in ("vlan", "ieee8021ad") and "src" not in told:
            told.setdefault("vlan", []).append(number(fields[name + ".id"]))
        elif name in ("ip", "ipv6") and "src" not in told:
            told["src"], told["dst"] = fields[name + ".src"], fields[name + ".dst"]
            told["proto"] = number(fields["ip.proto" if name == "ip" else "ipv6.nxt"])
            dscp = fields["ip.dsfield" if name == "ip" else "ipv6.tclass"]
            told["dscp"] = number(dscp) >> 2
        elif name in EXTENSION_LAYERS and told.get("proto") == EXTENSION_LAYERS[name]:
            told["proto"] = number(fields[EXTENSIONS[EXTENSION_LAYERS[name]]])
        elif name in PORTS.values() and PORTS.get(told.get("proto")) == name:
            told["sport"] = number(fields[name + ".srcport"])
            told["dport"] = number(fields[name + ".dstport"])
            break
        elif name not in ("ethertype",):
            break
    return told


def tunnelled(packet):
    """{"type", "key", "inner"} of the tunnel in a packet, or None."""
    told = {}
    at = tunnel_at(packet.layers, told)
    if at is None:
        return None
    told["inner"] = inner(packet.layers[at:]) or None
    return without_none(told)


def dissected(packet):
    told = {}
    link(packet.fields, told)
    network(packet.fields, told)
    told["tunnel"] = tunnelled(packet)
    return without_none(told)


# --- both, once for all tests -------------------------------------------------------------

def explain(path):
    done = sh.run("explain", "-p", POLICY, "--pcap", path)
    return path, done


def run_tshark(packets, path, *options):
    """Nothing is reassembled, so that packets do not mix."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for packet in packets:
            size = len(packet.frame)
            file.write(struct.pack("<IIII", 0, 0, size, size + packet.cut) + packet.frame)
    argv = ["tshark", "-n", "-r", path, *options]
    for choice in ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams",
                   "sctp.reassembly", "ip.tso_support"):
        argv += ["-o", choice + ":FALSE"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def tshark(packets, folder):
    """One run over all packets, and one that tells the layers apart where there are many."""
    argv = ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"]
    for field in FIELDS:
        argv += ["-e", field]
    lines = run_tshark(packets, os.path.join(folder, "all.pcap"), *argv).split("\n")[:-1]
    assert len(lines) == len(packets)
    for packet, line in zip(packets, lines):
        values = line.split("\t")
        packet.fields = {name: value.split(",") if value else []
                         for name, value in zip(FIELDS, values)}
    deep = [packet for packet in packets if may_be_tunnel(packet)]
    found = xml.etree.ElementTree.fromstring(
        run_tshark(deep, os.path.join(folder, "deep.pcap"), "-T", "pdml"))
    assert len(found) == len(deep)
    for packet, told in zip(deep, found):
        packet.layers = [layer for proto in told for layer in layers_of(proto)]


def may_be_tunnel(packet):
    layers = first(packet.fields, "frame.protocols").split(":")
    return (set(layers) & {"vxlan", "geneve", "gre"} or
            sum(layers.count(name) for name in ("ip", "ipv6")) > 1 or
            "tunnel" in packet.reply.get("pkt", {}))


def layers_of(proto):
    """(protocol, its fields), and those of the IPv6 extension headers, which stand inside."""
    values = {}
    for field in proto.iter("field"):
        values.setdefault(field.get("name"), field.get("show"))
    yield proto.get("name"), values
    for field in list(proto) if proto.get("name") == "ipv6" else ():
        if field.get("name") in EXTENSION_LAYERS:
            yield field.get("name"), {one.get("name"): one.get("show")
                                      for one in field.iter("field")}


@pytest.fixture(scope="module")
def explained():
    """{path: the run of `shunt explain` over it}."""
    paths = sorted(glob.glob(FOLDER + "/*.pcap"))
    assert paths
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(pool.map(explain, paths))


@pytest.fixture(scope="module")
def packets(explained, tmp_path_factory):
    """Every packet of every capture of Ethernet, with both opinions of it."""
    return two_opinions(explained, str(tmp_path_factory.mktemp("captures")))


def two_opinions(explained, folder):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    found = []
    for path, done in explained.items():
        if done.code:
            continue
        frames = fr.read_pcap(path)
        assert len(frames) == len(done.replies), path
        for (frame, wire), reply in zip(frames, done.replies):
            packet = Packet(os.path.basename(path), reply["packet"], frame, wire)
            packet.reply = reply
            found.append(packet)
    tshark(found, folder)
    return found


# --- the comparison -----------------------------------------------------------------------

KEYS = ("eth_type", "vlan", "src", "dst", "proto", "fragment", "sport", "dport", "icmp", "dscp",
        "src_mac", "dst_mac", "tunnel")
INNER = ("vlan", "src", "dst", "proto", "sport", "dport", "dscp", "src_mac", "dst_mac")

# (file, "*" for any; which of its packets; why). In all of them Shunt says less, never other things.
EXCEPTIONS = [
    ("*", lambda packet: packet.cut and packet.reason in ("ip4-length", "ip6-length"),
     "the capture holds the start of the frame only, which makes the IP length one beyond it"),
    ("*", lambda packet: packet.reply["verdict"] is None and len(packet.frame) > 65535,
     "the kernel makes no test run over such a frame (BIG TCP)"),
] + [
    (name, lambda packet: packet.reason in ("ip4-length", "ip6-length") and not packet.cut,
     "the IP length is beyond the frame: malformed for Shunt, tshark goes on with what there is")
    for name in ("ip-snmp-leftshift-unsigned.pcap", "ipv4_invalid_total_length_2.pcap",
                 "kday4.pcap", "mptcp-dss-oobr.pcap", "ospf6_print_lshdr-oobr.pcap",
                 "smb_print_trans-oobr2.pcap")
] + [
    ("nsh-over-vxlan-gpe.pcap", lambda packet: packet.reply["pkt"]["dport"] == 4790,
     "VXLAN-GPE is another protocol than VXLAN, on another port"),
    ("pptp.pcap", lambda packet: packet.reply["pkt"]["proto"] == 47,
     "GRE of version 1, whose key is a length and a call"),
    ("ipv6_invalid_length.pcap", lambda packet: packet.reason == "ip6-short",
     "the frame ends inside the IPv6 header, of which tshark shows the part that is there"),
    ("lwres-pointer-arithmetic-ub.pcap", lambda packet: packet.reason == "udp-length",
     "the UDP length is beyond the packet: malformed for Shunt, whatever the ports are"),
]


def differences(packet):
    ours, theirs = dict(packet.reply.get("pkt", {})), dissected(packet)
    if first(packet.fields, "frame.protocols").startswith("eth:eth:"):
        # Cisco's ISL, an Ethernet frame behind 26 bytes that look like 802.3
        for key in ("src_mac", "dst_mac"):
            theirs.pop(key), ours.pop(key)
    if ours.get("tunnel", {}).get("inner"):
        carried = {key: value for key, value in ours["tunnel"]["inner"].items() if key in INNER}
        ours["tunnel"] = {**ours["tunnel"], "inner": carried}
    return {key: (ours.get(key), theirs.get(key)) for key in KEYS
            if ours.get(key) != theirs.get(key)}


@needs_captures
def test_every_capture_is_explained_or_refused_for_its_link_type(explained):
    for path, done in explained.items():
        if done.code == 0:
            assert not done.err, done
            continue
        assert re.search(r"its packets are of link type \S+, and Shunt judges Ethernet frames only$",
                         done.error), done


@needs_captures
def test_the_comparison_has_something_to_compare(packets):
    told = [dissected(packet) for packet in packets]
    assert len(packets) > 1000
    for key, least in (("src", 1000), ("sport", 500), ("icmp", 5), ("vlan", 5)):
        assert sum(key in one for one in told) >= least, key
    assert sum(one.get("fragment") == "later" for one in told) >= 1
    assert any(":" in one.get("src", "") for one in told)
    tunnels = [packet.reply["pkt"]["tunnel"] for packet in packets
               if "tunnel" in packet.reply.get("pkt", {})]
    for kind, least in (("vxlan", 3), ("geneve", 1), ("gre", 100), ("ipip", 1)):
        assert sum(one["type"] == kind for one in tunnels) >= least, kind
    assert sum("inner" in one for one in tunnels) >= 5


@needs_captures
def test_the_parser_and_tshark_agree(packets):
    used, left = set(), []
    for packet in packets:
        found = differences(packet)
        for at, (name, applies, _) in enumerate(EXCEPTIONS):
            less = all(ours is None for ours, _ in found.values())
            if found and less and name in ("*", packet.name) and applies(packet):
                used.add(at)
                found = {}
        if found:
            left.append("%r: %s" % (packet, found))
    assert not left, "%d of %d:\n%s" % (len(left), len(packets), "\n".join(left))
    idle = [(name, why) for at, (name, _, why) in enumerate(EXCEPTIONS) if at not in used]
    assert not idle, "exceptions that nothing needs any more: %s" % idle


# --- tunnels that no capture has ------------------------------------------------------------

def tunnels(inner, kind):
    """Every way to carry an IP packet (bytes) of an EtherType: (what, proto, bytes)."""
    ethernet = fr.eth(inner, kind, src=b"\2\0\0\0\0\3", dst=b"\2\0\0\0\0\4")
    tagged = fr.eth(inner, kind, tags=((0x88A8, 100), (0x8100, 200)))
    for frame in (ethernet, tagged):
        yield fr.UDP, fr.udp(struct.pack("!II", 1 << 27, 0xABCDEF << 8) + frame, 40000, 4789)
        yield fr.UDP, fr.udp(struct.pack("!BBHI", 2, 0, 0x6558, 7 << 8) + b"\0\1\2\1fill" + frame,
                             40000, 6081)
        yield 47, struct.pack("!HHI", 0x2000, 0x6558, 0x89ABCDEF) + frame
        yield 47, struct.pack("!HH", 0, 0x6558) + frame
    yield fr.UDP, fr.udp(struct.pack("!BBHI", 0, 0, kind, 0xFFFFFF << 8) + inner, 40000, 6081)
    yield 47, struct.pack("!HH", 0, kind) + inner
    yield 47, struct.pack("!HHII", 0x3000, kind, 5, 1) + inner
    total = struct.pack("!HHHHII", 0xB000, kind, 0, 0, 6, 1) + inner
    yield 47, total[:4] + struct.pack("!H", fr.checksum(total)) + total[6:]
    yield 41 if kind == 0x86DD else 4, inner


def dscp(packet, value):
    """The IP packet with this DSCP."""
    if packet[0] >> 4 == 6:
        return struct.pack("!I", 6 << 28 | value << 22) + packet[4:]
    head = packet[:1] + bytes([value << 2]) + packet[2:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", fr.checksum(head)) + head[12:] + packet[20:]


def made():
    inner = []
    for transport, proto in ((fr.udp(b"ping", 40000), fr.UDP), (fr.tcp(b"data", 40000), fr.TCP)):
        inner += [(0x0800, dscp(fr.ip4(transport, proto, "10.0.0.1", "10.0.0.2"), 10)),
                  (0x0800, fr.ip4(transport, proto, options=b"\1\1\1\0")),
                  (0x86DD, dscp(fr.ip6(transport, proto), 63)),
                  (0x86DD, fr.ip6(bytes([proto, 0, 1, 4, 0, 0, 0, 0]) + transport, 60))]
    for kind, packet in inner:
        for proto, carried in tunnels(packet, kind):
            yield fr.eth(dscp(fr.ip4(carried, proto), 46))
            yield fr.eth(fr.ip4(carried, proto, options=b"\1" * 3 + b"\0"), tags=((0x8100, 9),))
            yield fr.eth(dscp(fr.ip6(carried, proto), 8))
            yield fr.eth(fr.ip6(bytes([proto, 0, 1, 4, 0, 0, 0, 0]) + carried, 60))


def test_the_parser_and_tshark_agree_on_every_tunnel(tmp_path):
    path = str(tmp_path / "made.pcap")
    frames = list(made())
    fr.write_pcap(path, frames)
    packets = two_opinions(dict([explain(path)]), str(tmp_path))
    assert len(packets) == len(frames) == 8 * 13 * 4
    for packet in packets:
        inside = packet.reply["pkt"].get("tunnel", {}).get("inner", {})
        assert inside.get("dport") == 5000, packet
        found = differences(packet)
        for key in ("vlan", "eth_type"):  # tshark lists the tags of both layers as one
            found.pop(key, None)
        assert not found, (packet, found)
        assert packet.reply["pkt"].get("vlan", [9]) == [9], packet
