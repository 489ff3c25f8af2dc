#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns `bench/run classify rules -- --json` on standard input into the tables of bench/README.md."""

import json
import sys


def rows(lines):
    """One row for each case, number of flows and program of Shunt's."""
    figures = {}
    for line in lines:
        if line["bench"] == "classify":
            figures.setdefault((line["case"], line["flows"]), {})[line["program"]] = line
    for (case, flows), of in figures.items():
        for name, mine in of.items():
            if name.startswith("shunt"):
                yield case, flows, name, mine, of


def peer(of, name, mine, key):
    if name not in of:
        return "—", "—"
    return f"{of[name]['ns']:.1f}", f"{mine[key]:.2f}"


def classify(lines):
    print("| case | flows | program | ns | over empty | range | matched | × empty "
          "| xdp-filter ip, ns | × ip | xdp-filter all, ns | × all |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for case, flows, name, mine, of in rows(lines):
        cells = [case, f"{flows:,}", name, f"{mine['ns']:.1f}", f"{mine['over_ns']:.1f}",
                 f"{mine['over_min_ns']:.0f}–{mine['over_max_ns']:.0f}",
                 f"{100 * mine['matched']:.0f} %", f"{mine['x_empty']:.1f}",
                 *peer(of, "xdp-filter, ip", mine, "x_filter_ip"),
                 *peer(of, "xdp-filter, all", mine, "x_filter_all")]
        print("| " + " | ".join(cells) + " |")
    applied = [line for line in lines if line["bench"] == "classify-apply"]
    if applied:
        print("\n| case | compile, ms | write and switch, ms | image, KiB |\n|---|---|---|---|")
    for line in applied:
        print(f"| {line['case']} | {line['compile_ms']:.2f} | {line['write_ms']:.1f} "
              f"| {line['image_bytes'] >> 10} |")


def live(lines):
    print("| set | rules | program | Mpps (range) | Shunt is faster by (range) | in force after, ms "
          "| memory, KiB |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        ratio = "—"
        if line["program"] != "shunt":
            ratio = f"{line['shunt_x']:.1f} ({line['shunt_x_min']:.1f}–{line['shunt_x_max']:.1f})"
        load = f"{line['load_ms']:.1f}"
        if line["program"] == "shunt":
            load += f" ({line['compile_ms']:.1f} to read and compile)"
        print(f"| {line['family']}, IPv{line['ip']} | {line['rules']:,} | {line['program']} "
              f"| {line['mpps']:.3f} ({line['mpps_min']:.3f}–{line['mpps_max']:.3f}) | {ratio} "
              f"| {load} | {line['kib']:,.0f} |")


def main():
    lines = [json.loads(line) for line in sys.stdin if line.startswith("{")]
    if any(line["bench"].startswith("classify") for line in lines):
        classify(lines)
    rules = [line for line in lines if line["bench"] == "rules"]
    if rules:
        live(rules)


if __name__ == "__main__":
    main()
