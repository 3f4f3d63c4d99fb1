#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Generates PERFORMANCE.md and its figures from the stored results.

    scripts/bench/report.py            writes them
    scripts/bench/report.py --check    exit status 1 if they differ from the results
"""
import argparse
import collections
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import aims  # noqa: E402
import figures  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RESULTS = os.path.join(HERE, "results")

# how: the command that record.sh runs, without its duration, which is stored with the results; by: the value
# that programs are compared by; of times less is better.
Section = collections.namedtuple("Section", "file title how by notes")
RUN = "run.py --table-only"
SECTIONS = (
    Section("requests.jsonl", "Requests, backend httpbin", RUN, "rps", ()),
    Section("files.jsonl", "Requests, backend nginx with files", f"{RUN} --files", "rps", (
        "Where `no proxy` is slower than the same files through a peer, the load generator and the backend "
        "are the limit, not the proxy: ratios to `no proxy` mean nothing in such a row.",)),
    Section("alone.jsonl", "Requests, the gateway alone on its processor", f"{RUN} --alone", "rps", (
        "Each gateway has one worker on a processor of its own; load generator and backend (httpbin) share "
        "the others. `no proxy` uses only those.",)),
    Section("unix.jsonl", "Requests, backend httpbin at a Unix socket",
            f"{RUN} --unix --only 1KiB/1,1KiB/4,1KiB/16,1KiB/64,16KiB/1,16KiB/4,16KiB/16,16KiB/64", "rps", (
                "`no proxy` is the same backend over TCP.",)),
    Section("latency.jsonl", "Waiting at half load", "latency.py", "p99", (
        "Every program gets the same rate, half of the highest rate of headgate, on 64 connections. Ratios "
        "compare the p99: less is better.",)),
    Section("h2.jsonl", "HTTP/2", "h2.py", "rps", (
        "The client speaks HTTP/2; the backend is httpbin over HTTP/1 (`h1`), or nginx with files over "
        "HTTP/2 (`h2`). 16 connections, rows are body/streams. `of all` is the processor time of load, "
        "gateway and backend together, for each request.",)),
    Section("splice.jsonl", "Tunnels",
            "splice.py --only ping64,ping16k,both,push,bodies", "rate", (
                "`ping64` and `ping16k`: messages a second on 64 streams, one in flight on each. MiB a "
                "second: `push`: 1 GiB in one direction; `both`: 512 MiB in both directions at once; "
                "`body/`: a response of 1 GiB over HTTP/1 with Content-Length, chunked, or ended by the "
                "close. Processor time is that of the whole machine, for each message or GiB.",)),
    Section("lanes.jsonl", "Without opt-in", "lanes.py", "rps", (
        "One build with four configurations. The measured client and backend have not opted in to a lane in "
        "any of them; in `no bypass` and `bypass` another port has. Each gateway is restarted for each "
        "round. `one-each`: one connection for each request; `beside`: directly to the backend while the "
        "gateway runs.",)),
)
GROWTH_HOW = "cost.py"
# Results of these commits, and those without one, are older than the present configuration of HAProxy.
BEFORE_DEFAULTS = ("070909b", "bb1ba91")
# Results stored as their programs print them.
TEXTS = {f"{name}.txt": f"{name}.py" for name in ("tls", "restart", "memory", "attacks")}
COLUMNS = (  # key, head of the column, digits
    ("rps", "requests/s", 0), ("rate", "a second", 0), ("mean", "mean ms", 2), ("p50", "p50 ms", 2),
    ("p90", "p90 ms", 2), ("p99", "p99 ms", 2), ("p99.9", "p99.9 ms", 2), ("user_us", "user us", 1),
    ("system_us", "system us", 1), ("cpu_us", "CPU us", 1), ("idle", "idle %", 0), ("all_us", "of all us", 1),
    ("user_s", "user s", 2), ("system_s", "system s", 2), ("cpu_s", "CPU s", 1),
    ("switches", "switches", 1), ("failed", "failed", 0))


def models():
    """Directories of processor models, the one with the newest results first."""
    found = []
    for name in os.listdir(RESULTS):
        dates = [first.get("machine", "") for file in SECTIONS for first in stored(name, file.file)[:1]]
        if dates:
            found.append((max(dates), name))
    return [name for _, name in sorted(found, reverse=True)]


def stored(model, name):
    path = os.path.join(RESULTS, model, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def cell(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def ratio(value, base):
    return f"{value / base:.2f}" if value and base else "–"


def table(rows, by):
    columns = [column for column in COLUMNS
               if any(column[0] in r for programs in rows.values() for r in programs.values())]
    heads = ["row", "program", "to the best peer", "to no proxy", *(head for _, head, _ in columns)]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row, programs in rows.items():
        best, base = aims.best_peer(programs, by), aims.no_proxy(programs)
        for name, r in programs.items():
            numbers = [cell(r.get(key), digits) for key, _, digits in columns]
            ratios = [ratio(r.get(by), best), ratio(r.get(by), base and base[by])]
            lines.append(f"| {' | '.join([row, aims.shown(name, programs), *ratios, *numbers])} |")
    return lines


def bars_of(title, rows, by):
    values = {}
    for row, programs in rows.items():
        best = aims.best_peer(programs, by) or programs.get("default", {}).get(by) or 1
        values[row] = {aims.shown(name, programs): r[by] / best for name, r in programs.items()}
    return figures.bars(title, values)


def origin(entries, how):
    """Where and when results were recorded, as far as it is stored, and how to reproduce them."""
    first = next((entry for entry in entries if "machine" in entry), {})
    said = f"{first['machine']}." if first else "No machine was stored with these results."
    if first.get("commit"):
        said += f" Commit {first['commit']}."
    how += "".join(f" --{name} {first[name]}" for name in ("rounds", "seconds", "requests", "pairs")
                   if name in first)
    return [f"{said} Reproduce: `scripts/bench/{how}`.", ""]


def pairs(entries):
    """What was compared in short turns, because the rows drift by more than a few percent."""
    found = [entry for entry in entries if "pair" in entry]
    if not found:
        return []
    return ["Compared in short turns: median and quartiles of the ratios.", "",
            "| row | pair | ratio | quartiles | of |", "|---|---|---|---|---|",
            *(f"| {e['row']} | {e['pair']} | {e['median']:.3f} | {e['low']:.3f} .. {e['high']:.3f} | "
              f"{e['of']} |" for e in found), ""]


def growth(model, made):
    entries, by_figure = stored(model, "growth.jsonl"), {}
    for entry in entries:
        if "figure" in entry:
            by_figure.setdefault(entry["figure"], []).append(entry)
    if not by_figure:
        return []
    lines = ["### How cost grows", "", *origin(entries, GROWTH_HOW)]
    for entry in entries:
        if "left_out" in entry:
            lines += [f"Left out: {entry['left_out']}, which needs {entry['files']} descriptors; the hard "
                      f"limit was {entry['limit']}.", ""]
    for figure, points in by_figure.items():
        path = f"scripts/bench/results/{model}/growth-{figure}.svg"
        made[path] = figures.lines_of(figure, points, points[0].get("x_name", figure), points[0]["unit"])
        lines += [f"![{figure}]({path})", ""]
    return lines


def section_of(model, section, results, made):
    entries = stored(model, section.file)
    rows = results[section.file] = aims.rows_of(entries)
    if not rows:
        return []
    figure = f"scripts/bench/results/{model}/{section.file.removesuffix('.jsonl')}.svg"
    what = "p99" if section.by == "p99" else "rate"
    base = "default" if section.file == "lanes.jsonl" else "best peer"
    made[figure] = bars_of(f"{section.title}: {what} to the {base}", rows, section.by)
    notes = [line for note in section.notes for line in (note, "")]
    return [f"### {section.title}", "", *origin(entries, section.how), *notes,
            f"![{section.title}]({figure})", "", *table(rows, section.by), "", *pairs(entries)]


def old_peers(model):
    """A sentence about sections whose HAProxy was not configured as peers.py does now, and aims on them."""
    found = []
    for section in SECTIONS:
        entries = stored(model, section.file)
        commit = next((entry["commit"] for entry in entries if "commit" in entry), None)
        if any(entry.get("program", "").startswith("haproxy") for entry in entries) and (
                commit is None or commit in BEFORE_DEFAULTS):
            found.append(f'"{section.title}"')
    if not found:
        return []
    return [f"Measured with an older configuration of HAProxy: {', '.join(found)}. It had `tune.pipesize "
            "1048576`, which costs HAProxy a quarter of its rate with bodies of 100 KiB. Ratios to the best "
            "peer, and the aims that depend on them, are preliminary until these sections are recorded "
            "again.", ""]


def texts(model):
    lines = []
    for name, section in TEXTS.items():
        path = os.path.join(RESULTS, model, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                lines += [f"### {section}", "", f"Reproduce: `scripts/bench/{section}`.", "", "```",
                          file.read().rstrip(), "```", ""]
    return lines


def chapter(model, made):
    """All results of one processor model."""
    results = {}
    sections = [line for section in SECTIONS for line in section_of(model, section, results, made)]
    results["pairs"] = [entry for entry in stored(model, "lanes.jsonl") if "pair" in entry]
    results["machine"] = next((first["machine"] for section in SECTIONS
                               for first in stored(model, section.file)[:1] if "machine" in first), "")
    return [f"## Processor {model}", "", *old_peers(model), *aims.document(results), *sections,
            *growth(model, made), *texts(model)]


def tried():
    with open(os.path.join(RESULTS, "tried.md"), encoding="utf-8") as file:
        return ["## Tried and not kept", "", file.read().rstrip(), ""]


def document():
    """{path: text}."""
    made = {}
    lines = [
        "# Performance", "",
        "Generated by `scripts/bench/report.py` from the results in `scripts/bench/results`, which "
        "`make bench RECORD=1` stores. Do not edit.", "",
        "Compare ratios, not rates: load, gateway and backend share the processors. Programs take turns "
        "within each round; a number is the median of the rounds. `headgate` has its defaults; for `bypass` "
        "client and backend have opted in to that lane; `haproxy+` uses `splice-response`, `nginx+` "
        "`proxy_buffering`. The best peer is the best of HAProxy and nginx with both settings and, for "
        "HTTP/2, of nghttpx. Microseconds are the processor time of the program for each request, unless "
        "stated otherwise; `idle` is the idle share of the whole machine. `scripts/bench/peers.py` has the "
        "configurations and the reason for each option. Ratios depend on the processor: results of "
        "different models are shown one after another and not compared.",
        ""]
    for model in models():
        lines += chapter(model, made)
    lines += tried()
    made["PERFORMANCE.md"] = "\n".join(lines).rstrip() + "\n"
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    args = parser.parse_args()
    wrong = []
    for name, content in document().items():
        path = os.path.join(ROOT, name)
        if not args.check:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        elif not os.path.exists(path) or open(path, encoding="utf-8").read() != content:
            wrong.append(name)
    if wrong:
        print(f"not generated from the stored results: {', '.join(wrong)}; run scripts/bench/report.py",
              file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
