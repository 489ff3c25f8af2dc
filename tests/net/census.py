# SPDX-License-Identifier: BSD-2-Clause
"""What Shunt has in the kernel, and what it has left behind there."""
import contextlib
import ctypes
import glob
import json
import os
import re
import subprocess

import shunt as sh

_libc = ctypes.CDLL(None, use_errno=True)


def listing(kind):
    def look():
        """An object that is being made or freed makes it fail."""
        done = subprocess.run(["bpftool", "-j", "-f", kind, "show"], capture_output=True,
                              text=True, check=False)
        return None if done.returncode else done

    return json.loads(sh.wait(look, "bpftool to list every " + kind).stdout)


def objects():
    """{(kind, id): what bpftool says} of every program, map and link that is Shunt's."""
    found = {}
    progs = [prog for prog in listing("prog") if prog.get("name", "").startswith("shunt")]
    found.update({("prog", prog["id"]): prog for prog in progs})
    found.update({("map", item["id"]): item for item in listing("map")
                  if item.get("name", "").startswith("shunt")})
    ids = {prog["id"] for prog in progs}
    found.update({("link", link["id"]): link for link in listing("link")
                  if link.get("prog_id") in ids})
    return found


def _held_by_others():
    """Ids that processes hold which are no children of ours, by kind."""
    held = set()
    for path in glob.glob("/proc/[0-9]*/fdinfo/*"):
        pid = path.split("/")[2]
        try:
            with open(path, encoding="ascii") as file:
                text = file.read()
            if "_id:" not in text or _descends(pid):
                continue
        except (OSError, UnicodeDecodeError):
            continue
        held.update((kind, int(number))
                    for kind, number in re.findall(r"^(prog|map|link)_id:\s*(\d+)", text, re.M))
    return held


def _descends(pid):
    while pid not in ("0", "1"):
        if pid == str(os.getpid()):
            return True
        with open("/proc/%s/stat" % pid, encoding="utf-8") as file:
            pid = file.read().rpartition(")")[2].split()[1]
    return False


def _without_others(every):
    """Leaves out what others on this machine work with at the same time.

    It takes all objects, those that have long been there, too: another's program may be older than
    what he puts into its maps.
    """
    held = _held_by_others()
    theirs = {key for key, item in every.items()
              if key in held or any(not sh.ours(path) for path in item.get("pinned", []))}
    for key in list(theirs):
        theirs.update(("map", number) for number in every[key].get("map_ids", []))
        theirs.add(("prog", every[key].get("prog_id")))
    # members of sets stand in maps that nothing but another map refers to
    inner = bool(theirs)
    return {key: item for key, item in every.items()
            if key not in theirs and not (inner and "_in" in item.get("name", ""))}


def dump(number):
    """What bpftool says is in the map with this id."""
    done = subprocess.run(["bpftool", "-j", "map", "dump", "id", str(number)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


def belongings(ns, interface="b0"):
    """{(kind, id): what bpftool says} of what an instance has: what is pinned for it, what its
    programs use, and what stands in its maps of maps.

    Not what others on this machine work with, nor what the kernel is about to free.
    """
    found, name = objects(), "ns%d:%s" % (ns.cookie, interface)
    mine = {key for key, item in found.items() if any(
        path.rpartition("/shunt/v1/")[2].partition("/")[0] == name
        for path in item.get("pinned", []))}
    for kind, number in list(mine):
        mine.update(("map", used) for used in found[kind, number].get("map_ids", []))
    for kind, number in list(mine):
        if str(found.get((kind, number), {}).get("type")).endswith("_of_maps"):
            mine.update(("map", int.from_bytes(bytes(int(byte, 16) for byte in one["value"]),
                                               "little")) for one in dump(number))
    return {key: found[key] for key in mine if key in found}


_BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_GET_NEXT_ID = {"prog": 11, "map": 12, "link": 31}  # commands of bpf(2)


def bpf(command, attributes):
    """bpf(2): its attributes are a buffer of ctypes, which the kernel may write to."""
    done = _libc.syscall(_BPF_SYSCALL, command, attributes, ctypes.sizeof(attributes))
    if done < 0:
        raise OSError(ctypes.get_errno(), "bpf(%d)" % command)
    return done


def _all_ids():
    """{(kind, id)} of all that the kernel has of BPF, whoever made it; ids are not used again.
    Unlike bpftool's lists it starts no process."""
    found = set()
    for kind, command in _GET_NEXT_ID.items():
        attr = (ctypes.c_uint32 * 3)()  # the id to begin at, the next one, flags
        with contextlib.suppress(FileNotFoundError):  # there is no next one
            while True:
                bpf(command, attr)
                attr[0] = attr[1]
                found.add((kind, attr[1]))
    return found


class Traces:
    """What Shunt has in the kernel now; later, what came on top of that."""

    def __init__(self):
        self._known = _all_ids()
        self._pins = set(self._paths())

    @staticmethod
    def _paths():
        """Pins of our namespaces, and locks."""
        pins = [os.path.join(sh.TREE, name) for name in sh.instances()]
        locks = glob.glob(sh.LOCKS + "/*")
        return [path for path in pins if sh.ours(path)] + \
            [path for path in locks if sh.ours(sh.TREE + "/" + os.path.basename(path))]

    def new(self):
        pins = sorted(set(self._paths()) - self._pins)
        found = _all_ids() - self._known
        every = _without_others(objects()) if found else {}
        return [(*key, item.get("name"), item.get("pinned"))
                for key, item in every.items() if key in found] + pins

    def nothing_new(self, seconds=10):
        """The kernel frees maps in its own time: waits for it."""
        left = []

        def gone():
            left[:] = self.new()
            return not left

        try:
            sh.wait(gone, "everything to go", seconds)
        except AssertionError:
            raise AssertionError("left behind: %s" % left) from None


def remains():
    """Namespaces and pins of this session; for its end."""
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    return [name for name in names if name.startswith(sh.PREFIX + "-")] + Traces._paths()
