# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of save and of restore share: a policy with sets, and both commands."""
import json

import census
import shunt as sh

POLICY = """{ "schema": "shunt.policy/1", "default": "pass", // comments stay
  "sets": { "nets": { "type": "prefix", "elements": ["203.0.113.0/24", "2001:db8:bad::/48"] },
            "live": { "type": "address" },
            "web": { "type": "address-port", "size": 50 } },
  "consumers": { "tap": { "kind": "ring", "if_down": "pass" } },
  "rules": [ { "name": "no-echo", "match": { "icmp": "echo-request", "length": "100-65535" },
               "action": "drop" },
             { "name": "sets", "match": { "src": ["@nets", "@live", "@web"] }, "action": "drop" },
             { "name": "tap", "match": { "dst": "192.0.2.77" },
               "action": { "redirect": { "consumer": "tap" } } } ] }
"""


def edit(wire, *words, interface="b0"):
    return sh.shunt("set", words[0], interface, *words[1:], ns=wire.b, seconds=120)


def bytes_of(ns, *options, seconds=60):
    """What `shunt save` writes, byte by byte; it is valid."""
    done = sh.run("save", *options, ns=ns, text=True, seconds=seconds)
    assert done.code == 0 and not done.err, done
    sh.validate(json.loads(done.out))
    return done.out


def restored(path, *options, ns=None, seconds=60):
    """A restore that has to succeed: {interface: what became of it}."""
    reply = sh.shunt("restore", path, *options, ns=ns, seconds=seconds)
    assert reply["failed"] == 0
    return {item["interface"]: item for item in reply["instances"]}


def outcomes(path, *options, ns=None):
    """A restore of which some fails: {interface: (outcome, error)}."""
    done = sh.run("restore", path, *options, ns=ns)
    assert done.code == 1 and done.error and done.reply["failed"] > 0, done
    return {item["interface"]: (item["outcome"], item.get("error", ""))
            for item in done.reply["instances"]}


def attached(wire):
    wire.attach(POLICY)
    edit(wire, "add", "live", "192.0.2.9", "2001:db8::9")
    edit(wire, "add", "web", "192.0.2.9,tcp:443", "2001:db8::9,udp:53")


def members(wire, name):
    return edit(wire, "list", name)["elements"]


def pinned():
    """Ids of what our instances have pinned: programs, maps and links."""
    return {key for key, item in census.objects().items()
            if any(sh.ours(path) for path in item.get("pinned", []))}


def listed(ns):
    return [item for item in sh.shunt("list")["instances"]
            if item["instance"].startswith("ns%d:" % ns.cookie)]
