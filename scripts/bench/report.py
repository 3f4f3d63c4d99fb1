#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PERFORMANCE.md and its figures, from the stored results beside this file.

    scripts/bench/report.py            writes them anew
    scripts/bench/report.py --check    exit status 1 when they are not what the results say
"""
import argparse
import html
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RESULTS = os.path.join(HERE, "results")
COLOURS = ("#1b6ac9", "#d1495b", "#3c8d2f", "#8a5cb8", "#c77d00", "#555555", "#00838f", "#9e9d24")
PEERS = ("haproxy", "haproxy+", "nginx", "nginx+")
SECTIONS = (("requests.jsonl", "Requests, backend httpbin"),
            ("files.jsonl", "Requests, backend nginx with files"),
            ("unix.jsonl", "Requests, backend httpbin at a Unix socket"))


def stored(name):
    path = os.path.join(RESULTS, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def measured(name):
    return [result for result in stored(name) if "row" in result]


def rows_of(results):
    """{row: {program: result}}, in the order of the file."""
    rows = {}
    for result in results:
        rows.setdefault(result["row"], {})[result["program"]] = result
    return rows


def best_peer(programs):
    return max((programs[name]["rps"] for name in PEERS if name in programs), default=0)


def table(results):
    lines = ["| body/connections | program | requests/s | to the best peer | to no proxy | p50 ms | p99 ms | "
             "user us | system us |", "|---|---|---|---|---|---|---|---|---|"]
    for row, programs in rows_of(results).items():
        best, direct = best_peer(programs), programs.get("direct", {}).get("rps", 0)
        for name, r in programs.items():
            shown = "no proxy" if name == "direct" else name
            lines.append(f"| {row} | {shown} | {r['rps']:.0f} | {ratio(r['rps'], best)} | "
                         f"{ratio(r['rps'], direct)} | {r['p50']:.2f} | {r['p99']:.2f} | "
                         f"{r['user_us']:.1f} | {r['system_us']:.1f} |")
    return lines


def ratio(value, base):
    return f"{value / base:.2f}" if base else "–"


# ---- figures ---------------------------------------------------------------------------------------------


def text(x, y, words, anchor="middle", size=12):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}">'
            f'{html.escape(words)}</text>')


def frame(title, body, height):
    return "\n".join((f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
                      f'font-family="sans-serif">', f'<rect width="760" height="{height}" fill="white"/>',
                      text(380, 20, title, size=14), *body, "</svg>", ""))


def bars(title, results):
    """Requests a second to those of the best peer, a group of bars each row."""
    names = [name for name in ("direct", "headgate", "hop", *PEERS)
             if any(r["program"] == name for r in results)]
    body, y = [], 40
    for row, programs in rows_of(results).items():
        best = best_peer(programs) or 1
        body.append(text(110, y + 8 * len(names), row, "end"))
        for name in names:
            if name in programs:
                value = programs[name]["rps"] / best
                colour, width = COLOURS[names.index(name)], min(value, 2.5) * 200
                body += [f'<rect x="120" y="{y}" width="{width:.0f}" height="12" fill="{colour}"/>',
                         text(126 + width, y + 11, f"{value:.2f}", "start", 11)]
            y += 14
        y += 12
    body.append(f'<line x1="320" y1="34" x2="320" y2="{y}" stroke="black" stroke-dasharray="4"/>')
    for number, name in enumerate(names):
        x = 120 + number * 90
        body += [f'<rect x="{x}" y="{y + 4}" width="10" height="10" fill="{COLOURS[number]}"/>',
                 text(x + 14, y + 14, "no proxy" if name == "direct" else name, "start", 11)]
    return frame(title, body, y + 24)


def lines_of(title, points, x_name, unit):
    """How something grows: x on a logarithmic scale, a line each series."""
    series = {}
    for point in points:
        series.setdefault(point["series"], []).append((point["x"], point["value"]))
    xs = sorted({x for values in series.values() for x, _ in values})
    top = max(value for values in series.values() for _, value in values) or 1
    place = {x: 80 + 620 * number / max(1, len(xs) - 1) for number, x in enumerate(xs)}
    body = [f'<line x1="80" y1="300" x2="700" y2="300" stroke="black"/>',
            f'<line x1="80" y1="40" x2="80" y2="300" stroke="black"/>', text(390, 335, x_name),
            text(76, 44, f"{top:.3g}", "end", 11), text(76, 304, "0", "end", 11),
            text(80, 34, unit, "start", 11)]
    body += [text(place[x], 316, f"{x:g}", size=11) for x in xs]
    for number, (name, values) in enumerate(series.items()):
        path = " ".join(f"{place[x]:.0f},{300 - 250 * value / top:.0f}" for x, value in sorted(values))
        colour = COLOURS[number % len(COLOURS)]
        body += [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
                 f'<rect x="{90 + number % 4 * 160}" y="{346 + number // 4 * 16}" width="10" height="10" '
                 f'fill="{colour}"/>',
                 text(104 + number % 4 * 160, 356 + number // 4 * 16, name, "start", 11)]
    return frame(title, body, 366 + (len(series) + 3) // 4 * 16)


# ---- the document ----------------------------------------------------------------------------------------


def document():
    """{path: text}."""
    made, lines = {}, [
        "# Performance", "",
        "Made by `scripts/bench/report.py` from the results stored in `scripts/bench/results`, which "
        "`make bench RECORD=1` writes. Do not edit.", ""]
    lines += [f"{entry['machine']}." for entry in stored("requests.jsonl") if "machine" in entry] + [""]
    lines += [
        "Read ratios, not rates: load, gateway and backend share the processors. Programs take turns within "
        "each round; a number is the median of the rounds. `headgate` is as it comes, `hop` with client and "
        "backend that agreed to that lane, `haproxy+` with `splice-response`, `nginx+` with "
        "`proxy_buffering`; the best peer is the best of these four. Microseconds of processor are those of "
        "the program for each request.", ""]
    for name, title in SECTIONS:
        results = measured(name)
        if results:
            figure = f"scripts/bench/results/{name.removesuffix('.jsonl')}.svg"
            made[figure] = bars(title + ": requests a second, to the best peer", results)
            lines += [f"## {title}", "", f"![{title}]({figure})", "", *table(results), ""]
    growth = {}
    for point in stored("growth.jsonl"):
        growth.setdefault(point["figure"], []).append(point)
    if growth:
        lines += ["## How cost grows", ""]
    for figure, points in growth.items():
        path = f"scripts/bench/results/growth-{figure}.svg"
        made[path] = lines_of(figure, points, points[0].get("x_name", figure), points[0]["unit"])
        lines += [f"![{figure}]({path})", ""]
    for name in sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else ():
        if name.endswith(".txt"):
            with open(os.path.join(RESULTS, name), encoding="utf-8") as file:
                section = name.removesuffix(".txt")
                lines += [f"## {section}.py", "", "```", file.read().rstrip(), "```", ""]
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
        print(f"not what the stored results say: {', '.join(wrong)}; run scripts/bench/report.py",
              file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
