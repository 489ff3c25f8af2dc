# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the kernel's stack hold: whose a packet is, and who may refuse it."""
import errno
import json
import socket

from bed import (FAR4, FAR6, NEAR4, NEAR6, PORT, WAIT_S, Device, Echo, enter, far_socket, nft,
                 refused, run)

IP_TRANSPARENT = 19

def only_its_own_is_taken():
    """other ports and other namespaces have their packets; the port is nobody else's"""
    device = Device()
    device.give(64)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind((NEAR4, PORT + 1))
    other.settimeout(WAIT_S)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        refused(errno.EADDRINUSE, taken.bind, (NEAR4, PORT))
    refused(errno.EADDRINUSE, Device)
    with far_socket() as plain, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same:
        same.bind((FAR4, PORT))
        same.settimeout(WAIT_S)
        plain.sendto(b"theirs", (NEAR4, PORT + 1))
        assert other.recv(64) == b"theirs"
        plain.sendto(b"here", (FAR4, PORT))
        assert same.recv(64) == b"here"
        plain.send(b"ours")
    device.until(rx=1)
    other.close()
    device.close()


def addresses_share_a_port():
    """each address of a port is somebody's; all of them together are nobody's any more"""
    run("ip", "-n", "kn", "addr", "add", OTHER4 + "/24", "dev", "ka")
    devices = [Device(address=address) for address in (NEAR4, OTHER4, NEAR6)]
    for address in ("0.0.0.0", "::", NEAR6):
        refused(errno.EADDRINUSE, Device, 64, 2048, 64, address)
    enter("kf")
    for device, address in zip(devices, (NEAR4, OTHER4, NEAR6)):
        device.give(64)
        six = ":" in address
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.sendto(address.encode(), (address, PORT))
    for device, address in zip(devices, (NEAR4, OTHER4, NEAR6)):
        device.until(rx=1)
        assert device.heard(0)[0] == address.encode()
        device.close()
    run("ip", "-n", "kn", "addr", "del", OTHER4 + "/24", "dev", "ka")


def a_firewall_still_decides():
    """what a filter of LOCAL_IN drops does not come"""
    device = Device()
    device.give(64)
    nft("table inet t { chain in { type filter hook input priority 0; udp sport 4444 drop; }; }")
    enter("kf")
    for port in (4444, 4445):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.bind((FAR4, port))
            plain.sendto(b"x", (NEAR4, PORT))
    device.until(rx=1)
    assert device.heard(0)[2] == 4445
    nft("delete table inet t")
    device.close()


def a_firewall_remembers_flows():
    """an answer belongs to the flow that it answers, whoever came first, the rules or the port"""
    for port_first in (False, True):
        echo = Echo("::") if port_first else None
        nft(FIREWALL)
        echo = echo or Echo("::")
        for family in (socket.AF_INET, socket.AF_INET6):
            with far_socket(family) as plain:
                for i in range(3):
                    plain.send(b"%d" % i)
                    assert plain.recv(64) == b"%d" % i, (family, port_first)
        enter("kn")
        told = json.loads(run("nft", "-j", "list", "counter", "inet", "t", "fresh").stdout)
        echo.kill()
        nft("delete table inet t")
        assert told["nftables"][1]["counter"]["packets"] == 2, told


def ipsec_is_asked():
    """what a policy wants to have come by IPsec does not come in the clear"""
    device = Device(address="::")
    device.give(64)
    for far, near in ((FAR4, NEAR4), (FAR6, NEAR6)):
        policy = ("dir", "in", "src", far, "dst", near, "proto", "udp")
        run("ip", "-n", "kn", "xfrm", "policy", "add", *policy, "tmpl", "proto", "esp",
            "mode", "transport", "level", "required")
        before = device.stats()
        with far_socket(socket.AF_INET6 if ":" in far else socket.AF_INET) as plain:
            plain.send(b"in the clear")
            device.until(rx=before["rx"], rx_denied=before["rx_denied"] + 1)
            run("ip", "-n", "kn", "xfrm", "policy", "delete", *policy)
            plain.send(b"as it may")
            device.until(rx=before["rx"] + 1, rx_denied=before["rx_denied"] + 1)
        assert device.heard(before["rx"])[0] == b"as it may"
    device.close()


def link_local_has_its_interface():
    """to such an address, from another machine and from this one, with the interface of both"""
    for namespace, device, address in (("kn", "ka", "fe80::1"), ("kf", "kb", "fe80::2")):
        run("ip", "-n", namespace, "addr", "add", address + "/64", "dev", device, "nodad")
    enter("kn")
    here = socket.if_nametoindex("ka")
    device = Device(address="fe80::1", scope=here)
    device.give(64)
    for n, (namespace, name) in enumerate((("kf", "kb"), ("kn", "ka"))):
        enter(namespace)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as plain:
            plain.sendto(namespace.encode(), ("fe80::1", PORT, 0, socket.if_nametoindex(name)))
        device.until(rx=n + 1)
        assert device.heard(n)[:2] == (namespace.encode(), here), (device.heard(n), here)
    device.close()


def a_vrf_is_apart():
    """what comes by a VRF is not for who is in none, unless udp_l3mdev_accept says so"""
    run("modprobe", "vrf")
    for words in ("add kv type vrf table 77", "set kv up",
                  "add kc type veth peer name kd netns kf", "set kc master kv", "set kc up"):
        run("ip", "-n", "kn", "link", *words.split())
    for namespace, name, address in (("kn", "kc", VRF_NEAR), ("kf", "kd", VRF_FAR)):
        run("ip", "-n", namespace, "addr", "add", address + "/24", "dev", name)
    run("ip", "-n", "kf", "link", "set", "kd", "up")
    device = Device(address="0.0.0.0")
    device.give(64)
    enter("kf")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.settimeout(WAIT_S)
        plain.connect((VRF_NEAR, PORT))
        plain.send(b"not for you")
        refused(errno.ECONNREFUSED, plain.recv, 64)
        run("ip", "netns", "exec", "kn", "sysctl", "-q", "net.ipv4.udp_l3mdev_accept=1")
        plain.send(b"for you")
        device.until(rx=1)
    assert device.heard(0)[0] == b"for you"
    device.close()
    run("ip", "netns", "exec", "kn", "sysctl", "-q", "net.ipv4.udp_l3mdev_accept=0")
    for name in ("kc", "kv"):
        run("ip", "-n", "kn", "link", "del", name)


def tproxy_goes_its_way():
    """a packet that TPROXY has given to a socket is that socket's"""
    run("ip", "-n", "kf", "route", "add", AWAY4, "via", NEAR4)
    for words in ("rule add fwmark 1 lookup 78", "route add local default dev lo table 78"):
        run("ip", "-n", "kn", *words.split())
    nft(f"table ip t {{ chain pre {{ type filter hook prerouting priority -150; ip daddr {AWAY4} "
        "udp dport 7000 tproxy to :9999 meta mark set 1 accept; }; }")
    device = Device(address="0.0.0.0")
    device.give(64)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as proxy:
        proxy.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        proxy.settimeout(WAIT_S)
        proxy.bind(("0.0.0.0", 9999))
        enter("kf")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.sendto(b"past us", (AWAY4, PORT))
        assert proxy.recv(64) == b"past us"
    assert device.stats()["rx"] == 0
    nft("delete table ip t")
    device.close()


OTHER4, AWAY4 = "192.0.2.3", "203.0.113.9"
VRF_NEAR, VRF_FAR = "198.51.100.1", "198.51.100.2"
# What starts a flow is counted, and nothing goes out that belongs to none.
FIREWALL = """
table inet t {
    counter fresh {}
    chain in {
        type filter hook input priority 0; policy drop;
        meta l4proto ipv6-icmp accept
        ct state established accept
        udp dport 7000 ct state new counter name fresh accept
    }
    chain out {
        type filter hook output priority 0; policy drop;
        meta l4proto ipv6-icmp accept
        ct state established,related accept
    }
}
"""
TESTS = (only_its_own_is_taken, addresses_share_a_port, a_firewall_still_decides,
         a_firewall_remembers_flows, ipsec_is_asked, link_local_has_its_interface, a_vrf_is_apart,
         tproxy_goes_its_way)
