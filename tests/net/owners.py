# SPDX-License-Identifier: BSD-2-Clause
"""Other owners' programs, put there in the ways of other tools, and what becomes of them."""
import contextlib
import ctypes
import glob
import json
import os
import struct
import subprocess

import census
import shunt as sh

SOURCE = r"""
#define SEC(x) __attribute__((section(x), used))
struct xdp_md { unsigned data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
struct { int (*type)[2]; int (*max_entries)[2]; unsigned *key; unsigned long long *value; } theirs SEC(".maps");
static void *(*lookup)(void *map, const void *key) = (void *)1;
static int count(unsigned key)
{
	unsigned long long *packets = lookup(&theirs, &key);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	return 0;
}
#ifndef ONLY_TC
SEC("xdp") int other_xdp(struct xdp_md *ctx) { return 2 + count(0); }
#endif
SEC("tc") int other_tc(void *ctx) { return -1 + count(1); }
char _license[] SEC("license") = "GPL";
"""
XDP, TC = 0, 1  # keys of the map that they count in
BPF_XDP, TCX_INGRESS, TCX_EGRESS = 37, 46, 47


def build(folder):
    """The object, in a folder: sections xdp and tc; both count, and let pass."""
    source = folder / "theirs.c"
    source.write_text(SOURCE)
    for name, more in (("theirs.o", []), ("theirs-tc.o", ["-DONLY_TC"])):
        subprocess.run(["clang", "-target", "bpf", "-O2", "-g", *more, "-c", source, "-o",
                        folder / name], check=True)
    return folder / "theirs.o"


def show(kind, number):
    done = subprocess.run(["bpftool", "-j", kind, "show", "id", str(number)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


def _maps(program):
    """The maps of a program and, if it is libxdp's dispatcher, of those that it calls.

    libxdp loads one where the kernel has what it takes (BTF, above all); else the program itself
    is on the interface.
    """
    called = [json.loads(subprocess.run(["bpftool", "-j", "prog", "show", "pinned", pin], check=True,
                                        capture_output=True, text=True).stdout)
              for pin in glob.glob("/sys/fs/bpf/xdp/dispatch-*-%d/prog*-prog" % program)]
    return {number for one in [show("prog", program), *called] for number in one.get("map_ids", [])}


def packets(program, key=XDP):
    """How many packets the program with this id has counted."""
    (number,) = [number for number in _maps(program) if show("map", number).get("name") == "theirs"]
    return [item["formatted"]["value"] for item in census.dump(number)
            if item["formatted"]["key"] == key][0]


def _bpf(command, attributes):
    attributes = bytes(attributes).ljust(128, b"\0")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return census.bpf(command, buffer)


def _by_path(command, path, fd=0):
    name = ctypes.create_string_buffer(path.encode())
    return _bpf(command, struct.pack("=QI", ctypes.addressof(name), fd))


@contextlib.contextmanager
def loaded(obj, kind, pin):
    """The program of a type, loaded and pinned. bpftool takes the first one of a file."""
    if kind == "classifier":
        obj = obj.with_name("theirs-tc.o")
    subprocess.run(["bpftool", "prog", "load", obj, pin, "type", kind], check=True)
    try:
        yield pin
    finally:
        os.unlink(pin)


@contextlib.contextmanager
def link(ns, interface, attach_type, program_pin, link_pin):
    """A link of a pinned program, pinned as well; whoever made it is gone. Yields its id."""
    ifindex = ns.link(interface)["ifindex"]
    program = _by_path(7, program_pin)
    try:
        with ns.entered():
            made = _bpf(28, struct.pack("=IIII", program, ifindex, attach_type, 0))
        _by_path(6, link_pin, made)
        os.close(made)
    finally:
        os.close(program)
    try:
        done = subprocess.run(["bpftool", "-j", "link", "show", "pinned", link_pin], check=True,
                              capture_output=True, text=True)
        yield json.loads(done.stdout)["id"]
    finally:
        os.unlink(link_pin)


@contextlib.contextmanager
def xdp(ns, interface, obj, way):
    """A foreign XDP program, in one of WAYS; yields words that name it."""
    pin = "/sys/fs/bpf/%s-prog" % ns.name
    try:
        with contextlib.ExitStack() as stack:
            words = []
            if way == "bpf_link":
                stack.enter_context(loaded(obj, "xdp", pin))
                number = stack.enter_context(link(ns, interface, BPF_XDP, pin, pin + "-link"))
                assert show("link", number)["type"] == "xdp"
                words = ["pinned at /sys/fs/bpf/%s-prog" % ns.name]
            elif way == "xdp-loader":
                ns.run("xdp-loader", "load", "-m", "native", interface, obj, "-s", "xdp")
            else:
                ns.run("ip", "link", "set", "dev", interface, WAYS[way], "object", obj, "section",
                       "xdp")
            program = ns.link(interface)["xdp"]["prog"]
            mode = "generic" if way == "generic" else "native"
            yield ["(%s mode)" % mode, '"%s" (id %d)' % (program["name"], program["id"]),
                   "loaded by uid 0 (root)", *words]
    finally:
        ns.run("xdp-loader", "unload", "-a", interface, ok=False)
        ns.run("ip", "link", "set", "dev", interface, "xdpgeneric", "off", ok=False)
        ns.run("ip", "link", "set", "dev", interface, "xdp", "off", ok=False)


WAYS = {"ip": "xdpdrv", "generic": "xdpgeneric", "xdp-loader": None, "bpf_link": None}


def links(program):
    """The ids of all links of a program."""
    return sorted(item["id"] for item in census.listing("link") if item.get("prog_id") == program)


def ids(ns, interface):
    """What identifies the XDP program of an interface: it, its mode, and its link."""
    program = ns.link(interface)["xdp"]
    return program["mode"], program["prog"]["id"], links(program["prog"]["id"])


class Unharmed:
    """A foreign XDP program: looks that it is the same one, and still sees every packet."""

    def __init__(self, wire, interface="b0"):
        self.wire, self.interface = wire, interface
        self.ids = ids(wire.b, interface)

    def __call__(self, after):
        assert ids(self.wire.b, self.interface) == self.ids, after
        before = packets(self.ids[1])
        assert self.wire.a.ping(sh.B4, 2) == 2, after
        assert packets(self.ids[1]) == before + 2, after
