# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of `run forward`, `run drop`, `run generate` and `run app` share.

    with Chain() as chain:               # a, a0 ── b0, b, b1 ── c0, c
        run = chain.forward("af_xdp")    # b joins its two interfaces, in user space
        chain.a.ping(B4)
        last = end(run)                  # its last reply, whose ledger balances
"""
import contextlib
import os
import signal
import struct
import tempfile

import frame as fr
import shunt as sh

MAC_B0, MAC_B1, MAC_C = (bytes.fromhex("0200000000" + last) for last in ("b0", "b1", "0c"))
HEAD = struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1)


class Chain:
    """Three namespaces in a row; the one in the middle has no address of its own."""

    def __init__(self, nets=(("192.0.2.1/24", "192.0.2.2/24"),), whole=True):
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sht-"))
        try:
            self.a, self.b, self.c = (self._stack.enter_context(sh.Namespace()) for _ in "abc")
            self._stack.callback(self._leave)
            for ns in (self.a, self.b, self.c):
                with ns.entered(), open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w",
                                        encoding="ascii") as file:
                    file.write("1" if len(nets) == 1 or ns is self.b else "0")
            self.b.ip("link add b0 address 02:00:00:00:00:b0 type veth peer a0 netns %s "
                      "address 02:00:00:00:00:0a" % self.a.name,
                      "link add b1 address 02:00:00:00:00:b1 type veth peer c0 netns %s "
                      "address 02:00:00:00:00:0c" % self.c.name,
                      "link set b0 up", "link set b1 up")
            for ns, name, place in ((self.a, "a0", 0), (self.c, "c0", 1)):
                ns.ip("link set %s up" % name,
                      *["addr add %s dev %s%s" % (net[place], name,
                                                  " nodad" if ":" in net[place] else "")
                        for net in nets])
                if whole:  # what leaves by AF_XDP is no sk_buff: nobody would complete a sum
                    ns.run("ethtool", "-K", name, "tx", "off")
        except BaseException:
            self._stack.close()
            raise

    def file(self, name):
        return os.path.join(self._folder, name)

    def forward(self, kind, *options):
        return start(self.b, "forward", kind + ":b0", kind + ":b1", *options)

    def _leave(self):
        for ns in (self.a, self.b, self.c):
            ns.quiet()
            for name in ns.instances():
                sh.shunt("detach", sh.decode(name), ns=ns)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self._stack.close()


def start(ns, app, *args):
    """Starts `shunt run APP` in a namespace; it works when this returns."""
    process = ns.start(sh.BINARY, "run", app, *args, "--json", "--interval", "20ms", "--netns",
                       ns.name)
    sh.wait(lambda: process.lines or process.popen.poll() is not None, "%s to run" % app)
    assert process.lines, process.err
    return process


def seen(process, key, count, seconds=10):
    """Waits until a reply tells so many; that reply."""
    return sh.wait(lambda: [reply for reply in process.replies() if reply[key] >= count],
                   "%d %s: %s" % (count, key, process.argv), seconds)[-1]


def balances(last):
    """The last reply, whose sums are right."""
    assert last["final"]
    for one in [last, *last["applications"]]:
        if one.get("app") == "generate" or not one["received"]:
            continue
        if any(app["app"] == "generate" for app in last["applications"]) and one is last:
            continue
        assert one["received"] == one["sent"] + one["consumed"] + sum(one["lost"].values()), last
    ports = last["ports"]
    assert sum(port["rx_packets"] for port in ports) == last["received"]
    assert not ports or last["sent"] == sum(port["tx_packets"] for port in ports)
    return last


def end(process, sig=signal.SIGINT):
    """Ends it by ^C: its last reply."""
    code = process.end(sig)
    assert code == 0, (process.argv, code, process.err)
    replies = process.replies()
    assert [reply["final"] for reply in replies] == [False] * (len(replies) - 1) + [True]
    return balances(replies[-1])


def end_accounted(process, wire, count):
    """Ends a run at b0 that numbers frames, once all of the `count` that were sent at wire's a0
    are accounted for: its last reply, by which they still are.

    On a machine that is short of CPUs not all of them arrive: a0 itself drops what its peer is
    too slow for, and of a run that missed its heartbeat the kernel gets them.
    """
    def told(reply):
        return reply["numbered"] + sum(port["rx_ring_full"] + port["rx_dropped"]
                                       for port in reply["ports"])

    def elsewhere():
        dropped = wire.a.link("a0")["stats64"]["tx"]["dropped"]
        return dropped + (wire.stats().reason("consumer-stalled") if wire.b.instances() else 0)

    sh.wait(lambda: told(process.replies()[-1]) + elsewhere() == count,
            "%d frames to be accounted for" % count)
    gone = elsewhere()  # the ledger ends with the run
    last = end(process)
    assert told(last) + gone == count
    return last


def run(app, *args, ns=None):
    """A run that ends by itself: its last reply."""
    done = sh.run("run", app, *args, ns=ns)
    assert done.code == 0 and not done.err, done
    return balances(done.replies[-1])


# --- captures ---------------------------------------------------------------------------------

def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(HEAD)
        for number, frame in enumerate(frames):
            file.write(struct.pack("<IIII", 1, number, len(frame), len(frame)) + frame)
    return path


def read_pcap(path, times=False):
    """The frames of a pcap file; with times, pairs of nanoseconds and frame."""
    with open(path, "rb") as file:
        data = file.read()
    magic, = struct.unpack_from("<I", data)
    assert magic in (0xa1b2c3d4, 0xa1b23c4d), hex(magic)
    unit = 1 if magic == 0xa1b23c4d else 1000
    frames, at = [], 24
    while at < len(data):
        seconds, part, size, whole = struct.unpack_from("<IIII", data, at)
        assert size == whole
        frames.append((seconds * 10**9 + part * unit, data[at + 16:at + 16 + size]))
        at += 16 + size
    return frames if times else [frame for _, frame in frames]


def numbered(count, size=None, dst=MAC_C, first=0):
    """Datagrams of many sizes, none of them like another."""
    return [fr.eth(fr.ip4(fr.udp(b"%08d" % (first + number) +
                                 bytes((number + i) % 251 for i in range(
                                     size if size is not None else number * 37 % 1464)))),
                   dst=dst) for number in range(count)]
