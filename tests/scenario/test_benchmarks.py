# SPDX-License-Identifier: Apache-2.0
"""Each benchmark of scripts/bench runs for a moment with the peers that are there, and names the others."""
import json
import os
import shutil
import subprocess
import sys

from hg import *

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECTIONS = {
    "run.py": ("wrk", ["--unix", "--rounds", "1", "--seconds", "1", "--only", "1KiB/16"], "1KiB/2"),
    "latency.py": ("h2load", ["--rounds", "1", "--seconds", "1", "--only", "16KiB"], "2KiB"),
    "h2.py": ("h2load", ["--rounds", "1", "--requests", "200", "--only", "1KiB/1"], "2KiB/1"),
    "splice.py": ("gcc", ["--rounds", "1", "--seconds", "0.2", "--pairs", "0", "--only", "ping64"], "pong64"),
    "attacks.py": ("haproxy", ["--seconds", "0.3", "--only", "spellings,quiet,data1"], "quit"),
    "tls.py": ("h2load", ["--rounds", "1", "--seconds", "0.3", "--requests", "200", "--clients", "20",
                          "--only", "full-ec-1.3,resumed-rsa-1.2,h1-1KiB,idle"], "full-dsa-1.3"),
    "cost.py": ("wrk", ["--rounds", "1", "--seconds", "1", "--most", "1", "--json", "/dev/stdout", "--only",
                        "connections,endpoints,tunnels,routes/hostname,routes/header-regex"], "routes/blue"),
    "lanes.py": ("wrk", ["--rounds", "1", "--seconds", "1", "--only", "kept"], "keep"),
    "guards.py": ("wrk", ["--rounds", "1", "--seconds", "1", "--only", "all,flood"], "guard"),
    "restart.py": ("wrk", ["--only", "kill"], "explode"),
    "memory.py": (sys.executable, ["--only", "idle", "--pause", "0"], "busy"),
}


def bench(section, *arguments):
    return subprocess.run([os.path.join(ROOT, "scripts", "bench", section), *arguments], cwd=ROOT,
                          capture_output=True, text=True, timeout=200)


@test("each benchmark runs, with headgate and every peer that is there", timeout=900, heavy=True, long=True)
def runs():
    if is_asan():
        skip("benchmarks measure the release build")
    for section, (tool, arguments, _) in SECTIONS.items():
        done = bench(section, *arguments)
        check(done.returncode == 0, f"{section}: {done.returncode}\n{done.stderr[-2000:]}")
        if not shutil.which(tool) and section != "attacks.py":
            check(tool in done.stderr, f"{section} does not say that {tool} is missing: {done.stderr}")
            continue
        name = "auto" if section == "splice.py" else "headgate"
        check(name in done.stdout, f"{section} has no row of {name}:\n{done.stdout}")
        if section == "cost.py":
            rows = [json.loads(line) for line in done.stdout.splitlines()
                    if line.startswith('{"figure')]
            names = ("connections", "endpoints", "tunnels", "routes")
            eq({row["figure"] for row in rows},
               {"tunnels-memory", *names, *(f"{name}-cpu" for name in names)}, "figures")
            check(all(row["value"] > 0 for row in rows if row["unit"] != "KiB"), f"no rate in {rows}")
            check("responses: " not in done.stdout, f"answers of errors:\n{done.stdout}")
        # These two compare headgate with itself.
        for peer in ("haproxy", "nginx") if section not in ("lanes.py", "guards.py") else ():
            if shutil.which(peer):
                check(peer in done.stdout + done.stderr, f"{section} is silent about {peer}:\n{done.stdout}")
            else:
                check(f"{peer} is not installed" in done.stderr, f"{section}: {peer} is missed in silence")


@test("a row that a benchmark does not have is an error that lists the rows")
def unknown_row():
    for section, (_, _, row) in SECTIONS.items():
        done = bench(section, "--only", row)
        eq(done.returncode, 2, f"exit status of {section}")
        check(f"--only {row}: there is no such row; rows are " in done.stderr, f"{section}: {done.stderr}")


@test("PERFORMANCE.md and its figures are what the stored results say")
def document():
    done = bench("report.py", "--check")
    eq(done.returncode, 0, f"exit status\n{done.stderr}")


@test("an aim counts the worst figure of each backend, says what stands in the way, and what is not measured")
def aims_of_results():
    sys.path.insert(0, os.path.join(ROOT, "scripts", "bench"))
    import aims

    def row(bypass, peer):
        return {"1KiB/64": {name: {"rps": rate, "user_us": 2.0, "system_us": 3.0}
                            for name, rate in (("direct", 200000), ("bypass", bypass), ("haproxy", peer))}}
    results = {"machine": "2 CPUs", "pairs": [], "requests.jsonl": row(140000, 100000),
               "files.jsonl": row(125000, 100000)}
    lines = aims.document(results)
    text = "\n".join(lines)
    wanted = "| ≥ 1.3 × best peer | httpbin 1.40 (1KiB/64); files 1.25 (1KiB/64) | missed |"
    check(f"| GET 1 KiB, 64 connections, bypass {wanted}" in lines, text)
    # Of 16.0 us for a request 5.0 are the gateway's; 130,000 requests leave 15.4, so 4.4 of them.
    check("  * files, 1KiB/64: a request takes 16.0 us of processor time in total, 5.0 of it in the gateway "
          "(31%, user 2.0 and system 3.0). The aim needs 15.4 in total: the gateway may use at most 4.4 of "
          "it, if nothing else changes." in lines, text)
    check(not any("httpbin, 1KiB/64" in line and "15.4" in line for line in lines), text)
    check("| p99 at half load | ≤ 1.0 × best peer | – | not measured yet |" in lines, text)
