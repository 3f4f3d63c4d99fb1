#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: one table from one run, then the sections of h2.py and splice.py.

Every row of the table is the median of several rounds; the programs take turns within a round, so that a
machine whose speed drifts is equally unfair to all. Load generator, backend and gateway share the machine:
besides requests per second read CPU per request.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

SIZES = {"1KiB": 1024, "16KiB": 16384, "100KiB": 102400, "1MiB": 1048576}
CONNECTIONS = (16, 64)
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def wrk(port, path, connections, seconds):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency",
                          f"http://127.0.0.1:{port}{path}"],
                         capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Socket errors: (.*)|Non-2xx or 3xx responses: (\d+)", out)
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
        "requests": int(re.search(r"(\d+) requests in", out).group(1)),
        "p50": milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", out).group(1)),
        "p99": milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", out).group(1)),
        "errors": errors.group(0) if errors else "",
    }


def measure(peer, path, connections, seconds):
    before = peer.cpu_seconds()
    result = wrk(peer.port, path, connections, seconds)
    result["cpu_us"] = (peer.cpu_seconds() - before) * 1e6 / max(result["requests"], 1)
    result["rss"] = peer.rss_kib() / 1024
    return result


def start_all(args, scratch):
    os.makedirs(os.path.join(scratch, "origin"))
    origin = peers.Peer("direct", os.path.join(scratch, "origin"), peers.free_port())
    origin.start([args.httpbin, "--port", str(origin.port), "--workers", "2", "--quiet"])
    running = [origin]
    for name, start in (("headgate", lambda d: peers.start_headgate(args.headgate, d, origin.port)),
                        ("other", lambda d: args.against and peers.start_headgate(
                            args.against, d, origin.port, name="other")),
                        ("haproxy", lambda d: peers.start_haproxy(d, origin.port)),
                        ("nginx", lambda d: peers.start_nginx(d, origin.port))):
        directory = os.path.join(scratch, name)
        os.makedirs(directory)
        peer = start(directory)
        if peer:
            running.append(peer)
        elif name != "other":
            peers.say_missing(name)
    return running


def print_row(size, connections, name, rounds, best):
    keys = ("rps", "p50", "p99", "cpu_us", "rss")
    median = {key: statistics.median(r[key] for r in rounds) for key in keys}
    errors = next((r["errors"] for r in rounds if r["errors"]), "")
    ratio = f"{median['rps'] / best:5.2f}" if best else "    -"
    print(f"{size:>7} {connections:>5}  {name:<9} {median['rps']:>9.0f} {ratio}  {median['p50']:>8.2f} "
          f"{median['p99']:>8.2f} {median['cpu_us']:>9.1f} {median['rss']:>8.1f}  {errors}", flush=True)


def run_row(running, size, length, connections, args):
    results = {peer.name: [] for peer in running}
    for _ in range(args.rounds):
        for peer in running:
            results[peer.name].append(measure(peer, f"/bytes/{length}", connections, args.seconds))
    rates = {name: statistics.median(r["rps"] for r in rounds) for name, rounds in results.items()}
    best = max((rates[name] for name in ("haproxy", "nginx") if name in rates), default=0)
    for peer in running:
        print_row(size, connections, peer.name, results[peer.name], best)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows to run, as SIZE/CONNECTIONS, e.g. 1KiB/64")
    args = parser.parse_args()
    rows = peers.rows_of(parser, args.only, [f"{size}/{count}" for size in SIZES for count in CONNECTIONS])
    if not shutil.which("wrk"):
        peers.say_missing("wrk, which makes the load of this section,")
        return
    for name in ("headgate", "httpbin", "against"):
        setattr(args, name, getattr(args, name) and os.path.abspath(getattr(args, name)))
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        running = []
        try:
            running = start_all(args, scratch)
            print("requests through each program; ratio: against the better of haproxy and nginx\n")
            print(f"{'body':>7} {'conns':>5}  {'program':<9} {'req/s':>9} ratio  {'p50 ms':>8} {'p99 ms':>8} "
                  f"{'CPU us/rq':>9} {'RSS MiB':>8}")
            for size, length in SIZES.items():
                for connections in CONNECTIONS:
                    if f"{size}/{connections}" in rows:
                        run_row(running, size, length, connections, args)
        finally:
            for peer in reversed(running):
                peer.stop()
    for section in () if args.only else ("h2.py", "splice.py"):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), section)
        subprocess.run([sys.executable, path, "--headgate", args.headgate, "--httpbin", args.httpbin,
                        "--against", args.against],
                       check=True)


if __name__ == "__main__":
    main()
