# SPDX-License-Identifier: Apache-2.0
"""The performance aims of headgate on one host, compared with the stored results.

AIMS is the whole list. One of the templates below gives the cause of a missed aim; all its numbers are
computed from the results.
"""
import collections
import re
import statistics

PEERS = ("haproxy", "haproxy+", "nginx", "nginx+", "nghttpx")
BACKENDS = (("requests.jsonl", "httpbin"), ("files.jsonl", "files"))
ALONE = (("alone.jsonl", "alone"),)
UNIX = (("unix.jsonl", "unix"),)
EVERYWHERE = BACKENDS + ALONE + UNIX

# where: a backend or section; value: compared with the bound; way: the cause if the aim is missed.
Figure = collections.namedtuple("Figure", "where row value way")
# find(results) yields figures; the worst of each `where` counts. at_most: less is better.
Aim = collections.namedtuple("Aim", "row text bound at_most find")

BY_PROCESSOR = ("a request takes {whole:.1f} us of processor time in total, {own:.1f} of it in the gateway "
                "({share:.0%}{parts}). The aim needs {wanted:.1f} in total: {verdict}")
ENOUGH = "the gateway may use at most {left:.1f} of it, if nothing else changes"
NEVER = "load and backend alone take {others:.1f}, so no gateway can reach it, if nothing else changes"
ALONE_BUSY = ("a request takes {own:.1f} us of the gateway's processor, which is busy for {busy:.0%} of the "
              "time")
BY_USER = "user time {user:.1f} us, nginx {other_user:.1f}; with system time {own:.1f}, nginx {other:.1f}"
BY_IDLE = ("{cpu:.1f} s of processor time for a GiB ({base_cpu:.1f} without a proxy); the processors are "
           "busy for {busy:.0%} of the time ({base_busy:.0%})")


def rows_of(entries):
    """{row: {program: result}}, in the order of the file."""
    rows = {}
    for entry in entries:
        if "program" in entry:
            rows.setdefault(entry["row"], {})[entry["program"]] = entry
    return rows


def best_peer(programs, by):
    """The least time, or the highest rate; 0 without peers."""
    values = [programs[name][by] for name in PEERS if name in programs]
    return (min if by.startswith("p") else max)(values, default=0)


def no_proxy(programs):
    """The client directly at the backend. `direct` is a lane where `no proxy` exists."""
    return programs.get("no proxy") or programs.get("direct")


def shown(name, programs):
    return "no proxy" if name == "direct" and "no proxy" not in programs else name


def processors(results):
    found = re.search(r"(\d+) CPUs", results["machine"])
    return int(found.group(1)) if found else 1


def own_us(r):
    return r["user_us"] + r["system_us"]


def by_processor(r, target, count):
    """Explains why the rate is below `target`; load, backend and gateway share `count` processors."""
    own = own_us(r)
    whole = r.get("all_us") or count * (1 - r.get("idle", 0) / 100) * 1e6 / r["rps"]
    wanted = whole * r["rps"] / target
    left = wanted - (whole - own)
    parts = f", user {r['user_us']:.1f} and system {r['system_us']:.1f}"
    verdict = (ENOUGH if left > 0 else NEVER).format(left=left, others=whole - own)
    return BY_PROCESSOR.format(whole=whole, own=own, share=own / whole, parts=parts, wanted=wanted,
                               verdict=verdict)


def rates(program, rows, base, bound, files=BACKENDS):
    """Ratio of the request rates of a program and of `base`: a name, or best."""
    def find(results):
        for file, where in files:
            for row in rows:
                programs = results.get(file, {}).get(row, {})
                other = best_peer(programs, "rps") if base == "best" else programs.get(base, {}).get("rps")
                if program in programs and other:
                    r = programs[program]
                    way = (ALONE_BUSY.format(own=own_us(r), busy=r["rps"] * own_us(r) / 1e6)
                           if where == "alone" else by_processor(r, bound * other, processors(results)))
                    yield Figure(where, row, r["rps"] / other, way)
    return find


def mean_rates(rows):
    """The geometric mean of the ratios of headgate to the best peer over all rows of an arrangement."""
    def find(results):
        for where, found in grouped(rates("headgate", rows, "best", 1.0, files=EVERYWHERE)(results)).items():
            yield Figure(where, f"{len(found)} rows", statistics.geometric_mean(f.value for f in found), "")
    return find


def grouped(figures):
    """{where: figures}"""
    found = {}
    for figure in figures:
        found.setdefault(figure.where, []).append(figure)
    return found


def processor_times(rows):
    """Ratio of the processor time of a request of headgate and of the peer that takes least."""
    def find(results):
        for file, where in EVERYWHERE:
            for row in rows:
                programs = results.get(file, {}).get(row, {})
                others = [programs[name] for name in PEERS if name in programs]
                if "headgate" in programs and others:
                    r, other = programs["headgate"], min(others, key=own_us)
                    way = BY_USER.format(user=r["user_us"], other_user=other["user_us"], own=own_us(r),
                                         other=own_us(other)).replace("nginx", "the peer")
                    yield Figure(where, row, own_us(r) / own_us(other), way)
    return find


def user_times(rows):
    """Ratio of the user times of headgate and of nginx, with the setting that takes less."""
    def find(results):
        for file, where in BACKENDS:
            for row in rows:
                programs = results.get(file, {}).get(row, {})
                others = [programs[name] for name in ("nginx", "nginx+") if name in programs]
                if "headgate" in programs and others:
                    r, other = programs["headgate"], min(others, key=lambda other: other["user_us"])
                    way = BY_USER.format(user=r["user_us"], other_user=other["user_us"], own=own_us(r),
                                         other=own_us(other))
                    yield Figure(where, row, r["user_us"] / other["user_us"], way)
    return find


def tunnels(row, base):
    """The best of the lanes that are opt-in."""
    def find(results):
        programs = results.get("splice.jsonl", {}).get(row, {})
        lanes = [name for name in ("direct", "bypass") if name in programs]
        other = best_peer(programs, "rate") if base == "best" else programs.get(base, {}).get("rate")
        if lanes and other:
            lane = max(lanes, key=lambda name: programs[name]["rate"])
            yield Figure(f"lane {lane}", row, programs[lane]["rate"] / other,
                         by_idle(programs[lane], programs, processors(results)) if row == "push" else "")
    return find


def by_idle(r, programs, count):
    base = programs["no proxy"]

    def cpu(result):
        return result["user_s"] + result["system_s"] if "user_s" in result else result["cpu_s"]

    def busy(result):
        return cpu(result) / (count * 1024 / result["rate"])
    return BY_IDLE.format(cpu=cpu(r), base_cpu=cpu(base), busy=busy(r), base_busy=busy(base))


def waiting(results):
    for row, programs in results.get("latency.jsonl", {}).items():
        best = best_peer(programs, "p99")
        for name in ("headgate", "bypass"):
            if name in programs and best:
                yield Figure(name, row, programs[name]["p99"] / best, "")


def without_agreement(results):
    for entry in results["pairs"]:
        yield Figure(entry["pair"], entry["row"], entry["median"],
                     f"quartiles {entry['low']:.3f} .. {entry['high']:.3f} of {entry['of']}")


def rate_aim(row, text, bound, *args, **more):
    return Aim(row, text, bound, False, rates(*args, bound, **more))


def h2_aim(row, text, program, base, bound):
    rows = [f"{backend} 1KiB/{streams}" for backend in ("h1", "h2") for streams in (1, 32)]
    places = [(f"h2 → {backend}", [name for name in rows if name.startswith(backend)])
              for backend in ("h1", "h2")]

    def find(results):
        for where, names in places:
            yield from rates(program, names, base, bound, files=(("h2.jsonl", where),))(results)
    return Aim(row, text, bound, False, find)


BUSY = ("1KiB/16", "1KiB/64", "16KiB/16", "16KiB/64")
SMALL = ("1KiB/1", "1KiB/4", "16KiB/1", "16KiB/4", *BUSY)
LARGE = ("100KiB/16", "100KiB/64", "1MiB/16", "1MiB/64")
FILES = (*LARGE, "512KiB/16", "512KiB/64")  # also between: where the choice by cost matters
H2 = "h2 → h1 and h2 → h2, 1 KiB, 1 and 32 streams"
AIMS = (
    rate_aim("GET 1 KiB, 64 connections, bypass", "≥ 1.3 × best peer", 1.3, "bypass", ["1KiB/64"], "best"),
    rate_aim("the same", "≥ 1.0 × no proxy", 1.0, "bypass", ["1KiB/64"], "direct"),
    rate_aim("GET 16 KiB, 64 connections, bypass", "≥ 1.5 × best peer", 1.5, "bypass", ["16KiB/64"], "best"),
    rate_aim("GET 100 KiB, 64 connections, bypass", "≥ 1.3 × best peer", 1.3, "bypass", ["100KiB/64"],
             "best"),
    rate_aim("GET, bypass off", "≥ 1.0 × best peer", 1.0, "headgate", SMALL + LARGE, "best",
             files=EVERYWHERE),
    Aim("the same", "≥ 1.05 × best peer in the mean", 1.05, False, mean_rates(SMALL + LARGE)),
    Aim("GET 1 KiB, 16 KiB, bypass off", "processor time ≤ 0.85 × the least of the peers", 0.85, True,
        processor_times(BUSY)),
    Aim("the same", "user CPU ≤ 1.0 × nginx's", 1.0, True, user_times(BUSY)),
    h2_aim(f"{H2}, bypass", "≥ 1.3 × nghttpx", "bypass", "nghttpx", 1.3),
    h2_aim("the same", "≥ 1.0 × best peer", "bypass", "best", 1.0),
    h2_aim(f"{H2}, bypass off", "≥ 1.1 × nghttpx", "headgate", "nghttpx", 1.1),
    rate_aim("h2 → h2, 1 KiB, 32 streams, bypass off", "≥ 1.0 × best peer", 1.0, "headgate", ["h2 1KiB/32"],
             "best", files=(("h2.jsonl", "h2 → h2"),)),
    Aim("tunnels, 64 B, bypass or better", "≥ 1.5 × best peer", 1.5, False, tunnels("ping64", "best")),
    Aim("tunnels, 16 KiB, bypass or better", "≥ 1.5 × best peer", 1.5, False, tunnels("ping16k", "best")),
    Aim("tunnels, 1 GiB one way", "≥ 1.0 × no proxy", 1.0, False, tunnels("push", "no proxy")),
    Aim("sockets without opt-in", "≥ 0.98 × default", 0.98, False, without_agreement),
    Aim("p99 at half load", "≤ 1.0 × best peer", 1.0, True, waiting),
)


def worst(aim, results):
    """{where: the worst figure}"""
    found = {}
    for figure in aim.find(results):
        before = found.get(figure.where)
        is_worse = before and (figure.value > before.value if aim.at_most else figure.value < before.value)
        if not before or is_worse:
            found[figure.where] = figure
    return found


def is_met(aim, figure):
    return figure.value <= aim.bound if aim.at_most else figure.value >= aim.bound


def document(results):
    """Lines: the table, then the causes of missed aims."""
    lines = ["### Aims", "",
             "The worst stored figure of each backend; rows are body/connections or body/streams; `files`: "
             "nginx with files as the backend. `bypass` is used on both sides, also with HTTP/2. An aim is "
             "met if every figure meets it.", "",
             "| row | aim | stored | |", "|---|---|---|---|"]
    ways, row = [], ""
    for aim in AIMS:
        row = row if aim.row == "the same" else aim.row
        found = worst(aim, results)
        stored = "; ".join(f"{f.where} {f.value:.2f} ({f.row})" for f in found.values())
        missed = [f for f in found.values() if not is_met(aim, f)]
        verdict = "missed" if missed else "met" if found else "not measured yet"
        lines.append(f"| {aim.row} | {aim.text} | {stored or '–'} | {verdict} |")
        if missed:
            ways.append(f"* **{row}, {aim.text}**")
            ways += [f"  * {f.where}, {f.row}: {f.way}." for f in missed if f.way]
    if ways:
        lines += ["", "#### Causes of missed aims", "",
                  "Computed from the results below. Load, backend and gateway share the processors; where "
                  "their total time is not stored, all processors count as busy.", "", *ways]
    return [*lines, "", *files_behind_a_bypass(results)]


def files_behind_a_bypass(results):
    """The cost of a bypass to a backend that sends with sendfile()."""
    lines = []
    for row, programs in results.get("files.jsonl", {}).items():
        if row in FILES and "bypass" in programs and "headgate" in programs:
            bypass, own = programs["bypass"], programs["headgate"]
            rest = [processors(results) * 1e6 / r["rps"] - own_us(r) for r in (own, bypass)]
            lines.append(f"| {row} | {bypass['rps'] / own['rps']:.2f} | {own_us(own):.1f} | "
                         f"{own_us(bypass):.1f} | "
                         f"{rest[0]:.1f} | {rest[1]:.1f} |")
    if not lines:
        return []
    return ["#### Files behind a bypass", "",
            "Large bodies of nginx with files, through headgate with defaults and with bypass. `sendfile()` "
            "passes the pages of the file to TCP; with a bypass the kernel copies them. Connections leave "
            "the bypass by themselves after four bodies in a row of 256 KiB to 1 MiB (docs/lanes.md).", "",
            "| row | bypass to headgate | gateway us, headgate | bypass | other us, headgate | bypass |",
            "|---|---|---|---|---|---|", *lines, ""]
