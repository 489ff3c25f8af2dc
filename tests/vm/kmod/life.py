# SPDX-License-Identifier: BSD-2-Clause
"""Ports, processes, namespaces and the module itself come and go, under load."""
import os
import select
import signal
import time

import bed
from bed import (WAIT_S, Device, Echo, Flood, drop_namespaces, far_socket, is_loaded, libc,
                 make_namespaces, run)

def unloading_waits_for_users():
    """rmmod is refused while a port is bound or mapped, and traffic goes on"""
    with Flood():
        device = Device()
        device.give(64)
        assert run("rmmod", "shunt_kmod", check=False).returncode
        os.close(device.fd)  # what is mapped stays
        assert run("rmmod", "shunt_kmod", check=False).returncode
        end = time.monotonic() + WAIT_S
        while not device.word(0):
            assert time.monotonic() < end
        device.area.close()
    assert is_loaded()


def killed_under_load():
    """kill -9 with traffic on the way, then rmmod and insmod, again and again"""
    with Flood():
        for _ in range(6):
            echo = Echo()
            with far_socket() as plain:
                plain.send(b"there?")
                assert plain.recv(64) == b"there?"
            echo.kill()
            run("rmmod", "shunt_kmod")
            assert not is_loaded() and not os.path.exists("/dev/shunt")
            run("insmod", bed.module)


def ports_come_and_go_under_load():
    """binds and closes race with packets on the way, and with unloading"""
    with Flood():
        child = os.fork()
        if not child:
            while True:
                try:
                    Device().close()
                except OSError:
                    pass  # there is no device: the module went in between
        unloaded = refusals = 0
        end = time.monotonic() + WAIT_S
        while unloaded < 5 and time.monotonic() < end:
            if libc.syscall(DELETE_MODULE, b"shunt_kmod", os.O_NONBLOCK):
                refusals += 1
                continue
            unloaded += 1
            run("insmod", bed.module)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        run("rmmod", "shunt_kmod")  # nobody has it any more; packets come all the same
        run("insmod", bed.module)
    print("  ", f"unloaded {unloaded} times between two binds, refused {refusals} times")
    assert unloaded and refusals


def a_sleeper_keeps_the_module():
    """rmmod is refused while a process sleeps in poll(), which a packet wakes"""
    device = Device()
    device.give(64)
    child = os.fork()
    if not child:
        os._exit(7 if select.select([device.fd], [], [], WAIT_S)[0] else 1)
    device.close()
    with open(f"/proc/{child}/stat") as stat:
        end = time.monotonic() + WAIT_S
        while stat.read().rsplit(")", 1)[1].split()[0] != "S":
            assert time.monotonic() < end
            stat.seek(0)
    assert run("rmmod", "shunt_kmod", check=False).returncode
    with far_socket() as plain:
        plain.send(b"wake up")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    run("rmmod", "shunt_kmod")
    run("insmod", bed.module)


def a_namespace_goes():
    """a namespace that is deleted with a port in it goes with the port"""
    for _ in range(3):
        drop_namespaces()
        make_namespaces()
        with Flood():
            echo = Echo()
            drop_namespaces()
            assert run("rmmod", "shunt_kmod", check=False).returncode
            echo.kill()
        run("rmmod", "shunt_kmod")
        run("insmod", bed.module)
    make_namespaces()


DELETE_MODULE = 176  # of x86-64
TESTS = (unloading_waits_for_users, a_sleeper_keeps_the_module, killed_under_load,
         ports_come_and_go_under_load, a_namespace_goes)
