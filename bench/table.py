#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns what `bench/run NAME… -- --json` prints, on standard input, into the tables of bench/README.md."""

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


def span(line, key, form):
    """The median and the range of a figure."""
    of = [format(line[key + end], form) for end in ("", "_min", "_max")]
    return f"{of[0]} ({of[1]}–{of[2]})"


def apply(lines):
    print("| rules | command | ms (range) | Shunt's command takes × (range) | longest gap, µs (range) "
          "| at rest, µs (range) | longest held, µs (range) | at rest, µs (range) "
          "| packets meanwhile | lost |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for line in lines:
        ratio = "—"
        if line["program"] != "shunt apply":
            # the peer's time over Shunt's, turned round
            turned = [1 / line["x_shunt" + end] for end in ("", "_max", "_min")]
            ratio = f"{turned[0]:.2f} ({turned[1]:.2f}–{turned[2]:.2f})"
        print(f"| {line['rules']:,} | {line['program']} | {span(line, 'ms', '.1f')} | {ratio} "
              f"| {span(line, 'gap_us', '.0f')} | {span(line, 'calm_gap_us', '.0f')} "
              f"| {span(line, 'held_us', '.0f')} | {span(line, 'calm_held_us', '.0f')} "
              f"| {line['packets']:,} | {line['lost']} |")


def phases(lines):
    sizes = sorted({line["rules"] for line in lines})
    print("\n| step | " + " | ".join(f"{size:,} rule{'s' * (size > 1)}" for size in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    for name, text in {line["phase"]: line["help"] for line in lines}.items():
        cells = [f"{line['ms']:.2f} ms, {100 * line['share']:.0f} %"
                 for size in sizes for line in lines
                 if line["rules"] == size and line["phase"] == name]
        print(f"| {name}: {text} | " + " | ".join(cells) + " |")


def word(lines):
    print("| case | program | ns (range) | over as it is, ns | range | × as it is (range) |")
    print("|---|---|---|---|---|---|")
    for line in lines:
        print(f"| {line['case']} | {line['program']} | {span(line, 'ns', '.1f')} "
              f"| {line['over_ns']:+.1f} | {line['over_min_ns']:+.1f} to {line['over_max_ns']:+.1f} "
              f"| {span(line, 'x', '.3f')} |")


def explain(lines):
    print("| case | rules | figure | ns | range | packets a second | × floor | range |")
    print("|---|---|---|---|---|---|---|---|")
    for line in lines:
        print(f"| {line['case']} | {line['rules']:,} | {line['figure']} | {line['ns']:,.0f} "
              f"| {line['min']:,.0f}–{line['max']:,.0f} | {line['per_second']:,.0f} "
              f"| {line['ratio']:.2f} | {line['ratio_min']:.2f}–{line['ratio_max']:.2f} |")


def watch(lines):
    print("| case | without, ns | with, ns | over, ns | range | × | range |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        print(f"| {line['case']} | {line['without_ns']:.0f} | {line['with_ns']:.0f} "
              f"| {line['over_ns']:+.0f} | {line['over_min']:+.0f} to {line['over_max']:+.0f} "
              f"| {line['ratio']:.2f} | {line['ratio_min']:.2f}–{line['ratio_max']:.2f} |")


def figure(of, form):
    return f"{of['median']:{form}} ({of['min']:{form}}–{of['max']:{form}})"


def ports(lines):
    for case in dict.fromkeys(line["case"] for line in lines):
        mine = [line for line in lines if line["case"] == case]
        peers = list(mine[0]["ratio"])
        print(f"\n| {case} | Mpps | CPU, % | ns CPU | before, % | inside, % |" +
              "".join(f" × {peer} |" for peer in peers))
        print("|---|---|---|---|---|---|" + "---|" * len(peers))
        for line in mine:
            ns = line["cpu_ns_packet"]["median"] if case != "idle" else 0
            cells = [line["row"], figure(line["mpps"], ".2f"),
                     f"{line['cpu_percent']['median']:.1f}", f"{ns:.0f}",
                     f"{line['lost_before_percent']['median']:.1f}",
                     f"{line['lost_inside_percent']['median']:.1f}",
                     *(figure(line["ratio"][peer], ".2f") for peer in peers)]
            print("| " + " | ".join(cells) + " |")


def main():
    lines = [json.loads(line) for line in sys.stdin if line.startswith("{")]
    if any(line["bench"].startswith("classify") for line in lines):
        classify(lines)
    tables = {"rules": live, "apply": apply, "apply-phase": phases, "word": word,
              "explain": explain, "watch": watch, "ports": ports}
    for name, table in tables.items():
        mine = [line for line in lines if line["bench"] == name]
        if mine:
            table(mine)


if __name__ == "__main__":
    main()
