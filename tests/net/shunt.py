# SPDX-License-Identifier: BSD-2-Clause
"""What the namespace tests share: namespaces, the command, and waiting.

    with Wire() as wire:                # namespace a, its a0 ── b0 of namespace b
        wire.attach({...})              # a policy onto b0
        wire.a.ping(B4)                 # real traffic
        wire.stats()                    # a reply; each one is held against its schema

Nothing here touches the namespace that the tests run in. A Wire takes with it all that it has
made, also after a failure.
"""
import contextlib
import ctypes
import errno
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import jsonschema

import frame as fr

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get("SHUNT", os.path.join(ROOT, "build/shunt")))
SCHEMAS = os.path.join(ROOT, "schemas")
TREE = "/sys/fs/bpf/shunt/v1"
LOCKS = "/run/shunt"
PREFIX = "sht-%d" % os.getpid()
PATIENCE = float(os.environ.get("SHUNT_PATIENCE") or 1)  # deadlines are so many times as long
FAULTS = os.environ.get("SHUNT_FAULTS", "")
FAULTS_SEED = int(os.environ.get("SHUNT_FAULTS_SEED") or random.randrange(1 << 16))
A4, B4, A6, B6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
ASKER4 = "192.0.2.254"  # whom nobody answers but with a MAC address

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()
_cookies = set()


def some(places, most):
    """The first, the last, and a draw of the others, in their order; all with SHUNT_FAULTS=all.

    SHUNT_FAULTS_SEED repeats a draw.
    """
    if FAULTS == "all" or len(places) <= most:
        return places
    middle = random.Random(FAULTS_SEED).sample(range(1, len(places) - 1), most - 2)
    return [places[n] for n in [0, *sorted(middle), len(places) - 1]]


# --- waiting ------------------------------------------------------------------------------

def wait(condition, what, seconds=10):
    """The first true answer of condition(); after the deadline, a failure that says what."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (seconds * PATIENCE, what))
        time.sleep(0.002)  # the only one: between two looks


# --- schemas ------------------------------------------------------------------------------

_validators = {}


def validator(name):
    """Of schemas/NAME.schema.json."""
    if name not in _validators:
        with open(os.path.join(SCHEMAS, name + ".schema.json"), encoding="utf-8") as file:
            _validators[name] = jsonschema.Draft202012Validator(json.load(file))
    return _validators[name]


def validate(reply):
    name, slash, version = reply.get("schema", "").partition("/")
    assert (slash, version) == ("/", "1"), "a reply without its schema: %r" % reply
    validator(name.removeprefix("shunt.")).validate(reply)
    return reply


# --- the command --------------------------------------------------------------------------

class Reply:
    """What one run of the command gave: exit status, replies, and the words of a failure."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err
        self.replies = []
        self.error = None
        if "--json" in argv:
            self.replies = [validate(json.loads(line)) for line in out.splitlines()]
            for line in err.splitlines():
                if line.startswith('{"schema":"shunt.error/'):
                    self.error = validate(json.loads(line))["error"]

    @property
    def reply(self):
        assert len(self.replies) == 1, self
        return self.replies[0]

    def __repr__(self):
        return "%s: exit %s\n%s%s" % (" ".join(self.argv), self.code, self.out, self.err)


def run(*args, ns=None, prefix=(), stdin=None, text=False, cwd=None, seconds=60):
    """Runs shunt with --json (or text=True without) and --netns of ns."""
    argv = [*prefix, BINARY, *map(str, args)]
    if ns:
        argv += ["--netns", ns.name]
    if not text:
        argv.append("--json")
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, cwd=cwd or ROOT,
                          timeout=seconds * PATIENCE, check=False)
    return Reply(argv, done.returncode, done.stdout, done.stderr)


def shunt(*args, **how):
    """A command that has to succeed: its one reply."""
    done = run(*args, **how)
    assert done.code == 0, done
    assert not done.err, done
    return done.reply


def detach_stale(ns=None):
    """`detach --stale`, which may wait for others, whose instances it looks at too: its reply."""
    done = run("detach", "--stale", ns=ns)
    assert done.code == 0, done
    assert all(line.startswith("shunt: waiting for ") for line in done.err.splitlines()), done
    return done.reply


def refused(*args, code=1, **how):
    """A command that has to fail, with that exit status: its sentence."""
    done = run(*args, **how)
    assert done.code == code, done
    assert done.error, done
    return done.error


# --- pins ---------------------------------------------------------------------------------

def instances():
    with contextlib.suppress(FileNotFoundError):  # others may take it away at any time
        return sorted(os.listdir(TREE))
    return []


def decode(instance):
    """The interface of an instance."""
    return re.sub(r"%(..)", lambda hit: chr(int(hit.group(1), 16)), instance.partition(":")[2])


def ours(path):
    """A pin under an instance of one of our namespaces; bpffs may be mounted in two places."""
    name = path.rpartition("/shunt/v1/")[2].partition("/")[0]
    return any(name.startswith("ns%d:" % cookie) for cookie in _cookies)


# --- namespaces ---------------------------------------------------------------------------

def _setns(fd):
    if _libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


class Process:
    """A program that runs beside the test, its output collected; killed at the end."""

    def __init__(self, argv, **how):
        self.argv = argv
        self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, cwd=ROOT, **how)
        self.out, self.err = b"", b""
        self._replies = []
        self._threads = [threading.Thread(target=self._collect, args=(name, pipe), daemon=True)
                         for name, pipe in (("out", self.popen.stdout), ("err", self.popen.stderr))]
        for thread in self._threads:
            thread.start()

    def _collect(self, name, pipe):
        for data in iter(lambda: os.read(pipe.fileno(), 65536), b""):
            setattr(self, name, getattr(self, name) + data)

    @property
    def lines(self):
        """Whole lines of its standard output so far."""
        return self.out.decode().split("\n")[:-1]

    def says(self, words, seconds=10):
        """Waits until it has written these words, on either stream."""
        wait(lambda: words.encode() in self.out + self.err or self.popen.poll() is not None,
             "%s to say %r; it said %r" % (self.argv, words, self.out + self.err), seconds)
        assert words.encode() in self.out + self.err, (self.argv, self.out, self.err)
        return self

    def end(self, sig=None, seconds=20):
        """Sends a signal, if one is named, and waits for the end: its exit status."""
        if sig:
            self.popen.send_signal(sig)
        code = self.popen.wait(seconds * PATIENCE)
        for thread in self._threads:
            thread.join(seconds * PATIENCE)
        return code

    def replies(self):
        """All so far; each is validated once, for that takes longer than to make the next one."""
        for line in self.lines[len(self._replies):]:
            self._replies.append(validate(json.loads(line)))
        return list(self._replies)

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.end()
        self.popen.stdout.close()
        self.popen.stderr.close()


class Namespace:
    """A network namespace of our own; processes and sockets in it."""

    def __init__(self):
        self.name = "%s-%d" % (PREFIX, next(_numbers))
        self.path = "/run/netns/" + self.name
        self._processes = []
        self._sockets = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ip("link set lo up")
        with self.entered():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
                cookie = unix.getsockopt(socket.SOL_SOCKET, 71, 8)  # SO_NETNS_COOKIE
        self.cookie = int.from_bytes(cookie, "little")
        _cookies.add(self.cookie)

    def instances(self):
        """Names of the instances that this namespace owns, not those of others beside it."""
        return [name for name in instances() if name.startswith("ns%d:" % self.cookie)]

    @contextlib.contextmanager
    def entered(self):
        """The calling thread works in this namespace meanwhile: for making sockets."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            yield self
        finally:
            _setns(own)
            os.close(there)
            os.close(own)

    def argv(self, *args):
        return ["nsenter", "--net=" + self.path, *map(str, args)]

    def run(self, *args, ok=True, seconds=60, **how):
        done = subprocess.run(self.argv(*args), capture_output=True, text=True,
                              timeout=seconds * PATIENCE, stdin=subprocess.DEVNULL,
                              check=False, **how)
        assert not ok or done.returncode == 0, (done.args, done.stdout, done.stderr)
        return done

    def start(self, *args, **how):
        process = Process(self.argv(*args), **how)
        self._processes.append(process)
        return process

    def ip(self, *lines):
        """Lines of `ip -batch`."""
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines), text=True,
                       check=True)

    def link(self, name):
        """`ip -s -j link show`: the interface's own counters among the rest."""
        done = self.run("ip", "-s", "-j", "link", "show", name)
        return json.loads(done.stdout)[0]

    def sent(self, name):
        """(packets, bytes) that the interface has sent, as its own counters have it."""
        tx = self.link(name)["stats64"]["tx"]
        return tx["packets"], tx["bytes"]

    def socket(self, *args, **how):
        with self.entered():
            made = socket.socket(*args, **how)
        self._sockets.append(made)
        return made

    def raw(self, interface, seconds=20):
        """An AF_PACKET socket that sends and receives whole frames."""
        made = self.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind((interface, 0))
        made.settimeout(seconds * PATIENCE)
        return made

    def ping(self, address, count=1, size=56, whole=False, seconds=10):
        """How many of so many echo requests were answered with what they said.

        It waits for all answers, however late the last of them is, which the program ping does not.
        whole: an IPv4 packet must not be fragmented.
        """
        v6 = ":" in address
        asks, answers = (128, 129) if v6 else (8, 0)
        number, payload = next(_numbers) & 0xFFFF, bytes(byte % 251 for byte in range(size))
        proto = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
        came = set()
        with self.entered():
            made = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, proto)
        with made:
            made.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
            if whole:
                made.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: IP_PMTUDISC_DO
            for turn in range(count):
                with dropped_by_egress():
                    made.sendto(fr.icmp(asks, 0, payload, number, turn), (address, 0))
            deadline = time.monotonic() + seconds * PATIENCE
            while len(came) < count:
                made.settimeout(max(deadline - time.monotonic(), 0.001))
                try:
                    packet = made.recv(65536)
                except TimeoutError:
                    break
                head, said = fr.icmp_of(packet, v6)
                if head[:2] == (answers, 0) and head[3] == number and said == payload:
                    came.add(head[4])
        return len(came)

    def quiet(self):
        """Ends what was started here."""
        for process in self._processes:
            process.close()
        for made in self._sockets:
            made.close()

    def close(self):
        self.quiet()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()


@contextlib.contextmanager
def dropped_by_egress():
    """What TC egress drops the kernel calls an error; here it is sent as well."""
    try:
        yield
    except OSError as fault:
        if fault.errno != errno.ENOBUFS:
            raise


def send(raw, *frames):
    """Puts frames on the wire."""
    for one in frames:
        with dropped_by_egress():
            raw.send(one)


def receive(raw, wanted, seconds=20):
    """The first frame from a raw socket for which wanted(frame) is true."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        raw.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            frame, address = raw.recvfrom(65536)
        except TimeoutError:
            raise AssertionError("no such frame within %g s" % seconds) from None
        if address[2] != socket.PACKET_OUTGOING and wanted(frame):
            return frame


# --- two namespaces and a wire ------------------------------------------------------------

class Wire:
    """Namespaces a and b, joined by veth: a0 sends, b0 is the interface under policy."""

    def __init__(self, ipv6=False, neighbours=True, queues=1):
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sht-"))
        try:
            self.a = self._stack.enter_context(Namespace())
            self.b = self._stack.enter_context(Namespace())
            self._stack.callback(self._leave)
            self._make(ipv6, neighbours, queues)
        except BaseException:
            self._stack.close()
            raise

    def _make(self, ipv6, neighbours, queues):
        if not ipv6:
            for ns in (self.a, self.b):
                with ns.entered(), open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w",
                                        encoding="ascii") as file:
                    file.write("1")
        self._join(queues)
        for ns, own, other, name in ((self.a, (A4, A6), (B4, B6), "a"),
                                     (self.b, (B4, B6), (A4, A6), "b")):
            lines = ["link set %s0 up" % name, "addr add %s/24 dev %s0" % (own[0], name)]
            mac = "02:00:00:00:00:0" + ("b" if name == "a" else "a")
            if ipv6:
                lines.append("addr add %s/64 dev %s0 nodad" % (own[1], name))
            if neighbours:
                lines += ["neigh replace %s lladdr %s dev %s0 nud permanent" % (to, mac, name)
                          for to in other[:1 + ipv6]]
            ns.ip(*lines)

    def _join(self, queues):
        """The wire itself: a guest's NICs are another (tests/vm/zero_copy.py)."""
        many = "numrxqueues %d numtxqueues %d" % (queues, queues)
        self.a.ip("link add a0 address 02:00:00:00:00:0a %s type veth peer b0 netns %s "
                  "address 02:00:00:00:00:0b %s" % (many, self.b.name, many))

    def returns(self):
        """Lets a0 take frames that b0's program sends back: veth flushes them only to a peer
        that has an XDP program, where for a redirect GRO is enough."""
        shunt("attach", "a0", "-p", self.policy({}, "a0.json"), ns=self.a)

    def whole_checksums(self):
        """What leaves XDP by a redirect is no sk_buff, so that nobody would complete a sum."""
        self.a.run("ethtool", "-K", "a0", "tx", "off")

    def further(self):
        """A second wire: b1 of namespace b ── c0 of a namespace c, which is returned."""
        c = self._stack.enter_context(Namespace())
        self.b.ip("link add b1 type veth peer c0 netns %s" % c.name, "link set b1 up")
        c.ip("link set c0 up", "addr add 192.0.2.2/24 dev c0")
        c.run("ethtool", "-K", "c0", "gro", "on")
        return c

    def policy(self, policy, name="policy.json"):
        """Writes a policy (a dict, or text) into a file of the wire's own folder: its path."""
        if isinstance(policy, dict):
            policy = json.dumps({"schema": "shunt.policy/1", "default": "pass", **policy})
        path = os.path.join(self._folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(policy)
        return path

    def file(self, name):
        return os.path.join(self._folder, name)

    def attach(self, policy=None, *options, interface="b0"):
        args = ["-p", self.policy(policy)] if policy is not None else []
        return shunt("attach", interface, *args, *options, ns=self.b)

    def apply(self, policy, interface="b0"):
        return shunt("apply", interface, "-p", self.policy(policy), ns=self.b)

    def detach(self, *options, interface="b0"):
        return shunt("detach", interface, *options, ns=self.b)

    def stats(self, interface="b0"):
        return Stats(shunt("stats", interface, ns=self.b))

    def answered(self):
        """Is an echo request answered? Nobody waits for an answer that does not come.

        What asks for a MAC address is sent behind it, and takes the same way: by the time that is
        answered, so is the request, if ever. A policy has to let ARP pass.
        """
        allowed, came = os.sched_getaffinity(0), []

        def ask(sender):
            send(raw, fr.eth(fr.arp(sender), 0x0806))

        def told(sender):
            """Takes what has come, up to the answer to this sender."""
            with contextlib.suppress(BlockingIOError):
                while not came or not fr.is_arp_reply(came[-1], sender):
                    came.append(raw.recv(65536))
            return came and fr.is_arp_reply(came[-1], sender)

        def works():
            ask(A4)
            return told(A4)

        with contextlib.closing(self.a.raw("a0")) as raw:
            raw.setblocking(False)
            try:
                os.sched_setaffinity(0, {min(allowed)})  # each CPU has a queue of its own
                wait(works, "the wire to work")
                send(raw, fr.eth(fr.ip4(fr.icmp(), fr.ICMP)))
                ask(ASKER4)
                wait(lambda: told(ASKER4), "what follows an echo request to be answered")
            finally:
                os.sched_setaffinity(0, allowed)
        return any(fr.is_echo_reply(frame) for frame in came)

    def seen(self, packets, hook="xdp"):
        """Waits until a hook has judged so many: statistics that balance."""
        def look():
            stats = self.stats()
            return stats if stats.hook(hook) >= packets else None

        return wait(look, "%d packets in %s" % (packets, hook)).balances()

    def still(self):
        """Statistics once nothing comes any more, not even a late ACK: they balance."""
        looks = [self.stats()]

        def look():
            looks.append(self.stats())
            return looks[-1] if looks[-1] == looks[-2] else None

        return wait(look, "the statistics to stand still").balances()

    def capture(self, ns, interface, *expression):
        """tcpdump into a file, listening when this returns; see captured()."""
        path = self.file("%s-%d.pcap" % (interface, next(_numbers)))
        dump = ns.start("tcpdump", "-i", interface, "-Z", "root", "-n", "-U", "-B", "32768",
                        "-s", "2048", "--immediate-mode", "-w", path, *expression)
        dump.path = path
        return dump.says("listening on")

    def _leave(self):
        for ns in (self.a, self.b):
            ns.quiet()
            for name in ns.instances():
                if os.path.exists(ns.path):
                    shunt("detach", decode(name), ns=ns)
                else:  # a test that has removed the namespace has failed behind that
                    detach_stale()

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()


def captured(dump, count, wanted=lambda frame: True):
    """Ends tcpdump once so many such frames are in its file: those that wait for it are lost."""
    wait(lambda: sum(wanted(frame) for frame, _ in fr.read_pcap(dump.path)) >= count,
         "%d frames in %s" % (count, dump.path))
    assert dump.end(signal.SIGINT) == 0


def datagrams(wire, count, port=5000, size=20):
    """From a to b, numbered, each of so many bytes."""
    client = wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(count):
        client.sendto(b"%0*d" % (size, number), (B4, port))


def consume(wire, app, served, *options, consumer="tap"):
    """Starts a consumer of b0; returns when served(process) says that it is there."""
    process = wire.b.start(BINARY, "run", app, "b0", "--consumer", consumer, "--netns",
                           wire.b.name, *options)
    wait(lambda: process.popen.poll() is not None or served(process), "the consumer to be there")
    assert process.popen.poll() is None, process.err
    return process


def qdiscs(ns, interface="b0"):
    """Kinds of its qdiscs, but for the one that is always there."""
    done = ns.run("tc", "-j", "qdisc", "show", "dev", interface)
    return [item["kind"] for item in json.loads(done.stdout) if item["kind"] != "noqueue"]


class Stats(dict):
    """A reply of `shunt stats`, by name."""

    def _one(self, key, name, field, what):
        found = [item for item in self[key] if item[field] == name]
        assert len(found) == 1, (name, self)
        return found[0][what]

    def rule(self, name, what="packets"):
        if name == "default":
            return self["default"][what]
        return self._one("rules", name, "name", what)

    def reason(self, name, what="packets"):
        return self._one("reasons", name, "name", what)

    def verdict(self, name, what="packets"):
        return self._one("verdicts", name, "name", what)

    def hook(self, name="xdp", what="packets"):
        return self._one("hooks", name, "hook", what)

    def reasons(self):
        """What happened at all: {reason: packets}."""
        return {item["name"]: item["packets"] for item in self["reasons"] if item["packets"]}

    def balances(self):
        """The identities of the ledger hold, for packets and for bytes."""
        for what in ("packets", "bytes"):
            reasons = sum(item[what] for item in self["reasons"])
            hooks = sum(item[what] for item in self["hooks"])
            assert reasons == sum(item[what] for item in self["verdicts"]) == hooks, self
            decided = sum(self.reason(name, what) for name in
                          ("rule", "default", "consumer-down", "consumer-stalled", "target-down",
                           "hook-cannot", "limited", "ttl-expired", "rewrite-failed"))
            rules = sum(item[what] for item in self["rules"] if item["action"] != "count")
            assert rules + self["default"][what] + self["retired"][what] == decided, self
            for item in self["rules"]:
                assert item[what] == sum(hook[what] for hook in item["hooks"].values()), self
        return self
