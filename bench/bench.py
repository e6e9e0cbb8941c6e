#!/usr/bin/python3
"""./dev bench: one table, each row measured in the same run as what limits it; also written to docs/performance.md.

bench.py [ROW..] measures only some rows (a b c d e f g h micro) and leaves the document alone. DF_LAB_PG_URL, DF_LAB_DIR and
DOCKER_HOST come from bench/run.
"""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import rows_attack
import rows_gitops
import rows_http
import rows_stream
from lib import BUILD, ROOT, run

DOCUMENT = ROOT / "docs/performance.md"
HEAD = ("row", "what", "DockFlow", "beside it", "ratio", "aim", "")


def micro(_):
    got = json.loads(run(BUILD / "df-bench-micro"))
    return [("", "JSON parse / write", f"{got['json_parse_mb_s']:,.0f} / {got['json_write_mb_s']:,.0f} MB/s", "", "", "", None),
            ("", "route match, 120 routes", f"{got['router_match_ns']:,.0f} ns", "", "", "", None),
            ("", "engine log stream to lines", f"{got['demux_mb_s']:,.0f} MB/s, {got['demux_lines_s']:,.0f} lines/s", "", "", "", None),
            ("", "fiber switch / spawn and join", f"{got['fiber_yield_ns']:,.0f} / {got['fiber_spawn_join_ns']:,.0f} ns", "", "", "", None)]


ROWS = {"g": rows_http.at_rest, "a": lambda url: rows_http.health(url)[0], "b": rows_http.applications, "c": rows_stream.fan_out,
        "d": rows_gitops.reconcile, "e": rows_gitops.pushes, "f": rows_stream.idle_sockets,
        "h": rows_attack.under_attack, "micro": micro}


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 2**20
    versions = [run("psql", "--version").strip(), "Docker engine " + run("docker", "version", "--format", "{{.Server.Version}}").strip()]
    load = os.getloadavg()[0]
    return [f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()}",
            f"{', '.join(versions)}; load generators, database and engine on the same processors, everything over loopback",
            f"release build, rate limits off, log level WARNING; load average when the run began: {load:.1f}"]


def line(row, widths=None):
    return "| " + " | ".join(str(c).ljust(w) for c, w in zip(row, widths or [0] * len(row))) + " |"


def table(rows):
    cells = [HEAD] + [(*r[:6], "" if r[6] is None else "ok" if r[6] else "missed") for r in rows]
    widths = [max(len(r[i]) for r in cells) for i in range(len(HEAD))]
    return "\n".join([line(cells[0], widths), line(["-" * w for w in widths])] + [line(r, widths) for r in cells[1:]])


TEXT = """\
# Performance

Made by `./dev bench` on {date}; do not edit by hand, the notes are in bench/README.md.

{machine}

{table}

The ratio of (a) and (b) is the median of rounds that measure the bare stack (h2o and libpq on one libuv loop, nothing else:
bench/bare) and DockFlow in turn; "CPU" is the same ratio by processor time per request, which other work on the machine disturbs
less. A row that could not be measured says why.
"""


def measure(names):
    rows = []
    for name in names:
        began = time.monotonic()
        print(f"    bench: {name} ...", file=sys.stderr, flush=True)
        try:
            rows += ROWS[name](os.environ["DF_LAB_PG_URL"])
        except Exception as e:  # one broken row must not hide the others
            rows.append((name, "not measured", " ".join(str(e).split())[:160].replace("|", "/"), "", "", "", False))
        print(f"    bench: {name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return sorted(rows, key=lambda r: r[0] or "z")


def main():
    names = sys.argv[1:] or list(ROWS)
    unknown = [n for n in names if n not in ROWS]
    if unknown:
        sys.exit(f"bench: no row {unknown[0]}; there are: {' '.join(ROWS)}")
    about = machine()
    rows = measure(names)
    text = table(rows)
    print("\n".join(about) + "\n\n" + text)
    if not sys.argv[1:]:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(TEXT.format(date=time.strftime("%Y-%m-%d", time.gmtime()), machine="\n".join(f"- {x}" for x in about), table=text))
        print(f"\nwritten to {DOCUMENT.relative_to(ROOT)}")
    missed = [r for r in rows if r[6] is False]
    if any(r[1] == "not measured" for r in missed):
        sys.exit(1)


main()
