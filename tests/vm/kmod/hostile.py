# SPDX-License-Identifier: BSD-2-Clause
"""Against user space: nonsense, rubbish, memory, rights, and maps that outlive their file."""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import select
import signal
import socket
import struct
import time

import bed
from bed import (ABI, BIND, BIND_FORMAT, FAR4, NEAR4, PORT, SEND, STATS, WAIT_S, Device, enter,
                 far_socket, is_loaded, libc, refused, run)
from packets import plain_sockets_are_peers

def nonsense_is_refused():
    """wrong sizes, a second bind, calls before it, and maps beyond the area"""
    enter("kn")
    for slots, slot_bytes, tx_slots in ((15, 2048, 64), (63, 2048, 64), (0, 2048, 64),
                                        (1 << 17, 2048, 64), (64, 255, 64), (64, 300, 64),
                                        (64, 1 << 20, 64), (64, 2048, 0), (64, 2048, 48),
                                        (1 << 31, 2048, 64), (65536, 65536, 65536)):
        refused(errno.EINVAL, Device, slots, slot_bytes, tx_slots)
    refused(errno.EADDRNOTAVAIL, Device, 64, 2048, 64, "198.51.100.7")
    refused(errno.EAFNOSUPPORT, Device, 64, 2048, 64, "::ffff:" + NEAR4)
    fd = os.open("/dev/shunt", os.O_RDWR)
    refused(errno.ENOTCONN, fcntl.ioctl, fd, SEND)
    refused(errno.ENOTCONN, mmap.mmap, fd, 4096)
    refused(errno.ENOTTY, fcntl.ioctl, fd, 0xD709)
    refused(errno.EFAULT, fcntl.ioctl, fd, BIND, 8)
    os.close(fd)
    device = Device()
    refused(errno.EBUSY, device.bind, 64, 2048, 64, NEAR4, PORT + 1)
    refused(errno.EFAULT, fcntl.ioctl, device.fd, STATS, 8)
    refused(errno.EINVAL, mmap.mmap, device.fd, 4096, mmap.MAP_PRIVATE)
    for pages in (1, 1 << 20):
        at = libc.mmap(None, device.bytes + 4096 * pages, 3, mmap.MAP_SHARED, device.fd, 0)
        assert at == -1
    device.close()


def in_a_child(what, *args):
    """Runs it in a process of its own, which ends well if it returns."""
    child = os.fork()
    if not child:
        status = 1
        try:
            what(*args)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def ask_for_a_port(fd, error):
    room = bytearray(struct.pack(BIND_FORMAT, ABI, 64, 2048, 64, bytes(16), 0, PORT, 4, 0, 0, 0,
                                 0, 0))
    if error:
        refused(error, fcntl.ioctl, fd, BIND, room)
    else:
        fcntl.ioctl(fd, BIND, room)


def binding_takes_the_right():
    """to bind takes CAP_NET_ADMIN over this network namespace, whoever has opened the device"""
    def stranger(flags, error):
        enter("kn")
        fd = os.open("/dev/shunt", os.O_RDWR)
        if libc.unshare(flags):
            raise OSError(ctypes.get_errno(), "unshare")
        ask_for_a_port(fd, error)

    def nobody():
        enter("kn")
        fd = os.open("/dev/shunt", os.O_RDWR)
        os.setuid(65534)
        refused(errno.EACCES, os.open, "/dev/shunt", os.O_RDWR)
        ask_for_a_port(fd, errno.EPERM)

    in_a_child(nobody)
    in_a_child(stranger, CLONE_NEWUSER, errno.EPERM)
    in_a_child(stranger, CLONE_NEWUSER | CLONE_NEWNET, 0)


def memory_is_accounted():
    """an area is on its memory cgroup's account; one without room for it is refused, not killed"""
    group = "/sys/fs/cgroup/shunt"

    def charged():
        with open(group + "/memory.current") as file:
            return int(file.read())

    def greedy():
        with open(group + "/cgroup.procs", "w") as file:
            file.write("0")
        refused(errno.ENOMEM, Device, 65536, 2048, 16)
        before = charged()
        device = Device(8192, 2048, 16)
        assert charged() > before + (12 << 20), (charged(), before)
        device.close()
        end = time.monotonic() + WAIT_S
        while charged() > before + (4 << 20):
            assert time.monotonic() < end, (charged(), before)

    with open("/sys/fs/cgroup/cgroup.subtree_control", "w") as file:
        file.write("+memory")
    os.mkdir(group)
    with open(group + "/memory.max", "w") as file:
        file.write("64M")
    in_a_child(greedy)
    os.rmdir(group)


def rmmod_is_refused():
    assert run("rmmod", "shunt_kmod", check=False).returncode and is_loaded()


def maps_live_as_long_as_they_may():
    """a copy of the descriptor, a part of the area, a child's: the last of them keeps the port"""
    device = Device()
    device.give(64)
    rest = os.dup(device.fd)
    device.close()
    rmmod_is_refused()
    at = libc.mmap(None, device.bytes, 3, mmap.MAP_SHARED, rest, 0)
    assert at != -1
    os.close(rest)
    # what it grows by would be somebody else's memory
    assert libc.mremap(at, device.bytes, device.bytes + 4096, MREMAP_MAYMOVE) == -1
    libc.munmap(at + 4096, device.bytes - 4096)
    with far_socket() as plain:
        plain.send(b"still here")
    end = time.monotonic() + WAIT_S
    while not ctypes.c_uint32.from_address(at).value:
        assert time.monotonic() < end
    child = os.fork()
    if not child:
        signal.pause()
    libc.munmap(at, 4096)
    rmmod_is_refused()
    refused(errno.EADDRINUSE, Device)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    Device().close()


def pages_outlive_the_module():
    """what a pipe has borrowed of an area (vmsplice) stays as it was when all else is gone"""
    device = Device()
    device.area[4096 * 8:4096 * 9] = bytes(range(256)) * 16
    at = libc.mmap(None, 4096, 1, mmap.MAP_SHARED, device.fd, 4096 * 8)
    out, into = os.pipe()
    assert libc.vmsplice(into, struct.pack("PN", at, 4096), 1, 0) == 4096
    libc.munmap(at, 4096)
    device.close()
    run("rmmod", "shunt_kmod")
    for _ in range(50):  # other hands want pages
        bytearray(os.urandom(1 << 16))
    run("insmod", bed.module)
    Device().close()
    assert os.read(out, 8192) == bytes(range(256)) * 16
    os.close(out)
    os.close(into)


def scribble(device, seed):
    """Writes anything anywhere, and asks for it to be sent, until it is killed."""
    dice = random.Random(seed)
    values = (0, 1, 15, 16, 64, 0xFFFFFFFF, 0x80000000, 2048, 65535)
    places = (device.free_at, device.filled_at, device.slots_at)
    while True:
        for _ in range(50):
            at = dice.choice(places) + 4 * dice.randrange(16)
            if dice.randrange(2):
                at = device.tx_at + device.slot_bytes * dice.randrange(device.tx_slots) + \
                    4 * dice.randrange(8)
            device.word(at, dice.choice(values) if dice.randrange(3) else dice.getrandbits(32))
        # an index that is nonsense for a moment
        at = dice.choice((0, 64, 128))
        before = device.word(at)
        device.word(at, dice.getrandbits(32))
        select.select([device.fd], [], [], 0)
        device.word(at, before)
        # much of it is nearly sound, so that more is reached than the first check
        for i in range(device.slots):
            device.word(device.free_at + 4 * i, dice.randrange(device.slots + 4))
        device.word(64, device.word(0))
        # what was given back under a number that is none has moved it on, nobody knows how far
        device.word(128, device.word(0) + dice.randrange(1 << dice.randrange(1, 16)))
        for i in range(0, device.tx_slots, dice.randrange(1, 9)):
            struct.pack_into("=II4sIIIIHH", device.area, device.tx_at + i * device.slot_bytes, 1,
                             dice.randrange(2100), socket.inet_aton(FAR4), 0, 0, 0, 0, 9, 4)
        try:
            fcntl.ioctl(device.fd, SEND)
        except OSError as error:
            assert error.errno == errno.EAGAIN, error
        device.stats()


def rubbish_harms_nobody():
    """rings overwritten at random by two processes, under traffic both ways"""
    device = Device()
    children = []
    for seed in (1, 2):
        children.append(os.fork())
        if not children[-1]:
            try:
                scribble(device, seed)
            finally:
                os._exit(1)
    with far_socket() as plain:
        for i in range(20000):
            plain.send(b"r" * (i % 1473))
        end = time.monotonic() + WAIT_S
        while (device.stats()["tx"] < 200 or device.stats()["rx"] < 200) and \
                time.monotonic() < end:
            plain.send(b"r")
    for child in children:
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    told = device.stats()
    print("  ", told)
    assert told["rx"] >= 200 and told["rx_full"] and told["tx"] >= 200 and told["tx_failed"]
    device.close()
    plain_sockets_are_peers()


CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
MREMAP_MAYMOVE = 1
TESTS = (nonsense_is_refused, binding_takes_the_right, memory_is_accounted,
         maps_live_as_long_as_they_may, pages_outlive_the_module, rubbish_harms_nobody)
