#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The latency section: how long requests take at half load, through each program, in one run.

Half load is half of headgate's maximum rate at that size, the same rate for all programs. h2load sends at
that rate on every connection, independent of the responses, and logs each request. So these numbers show the
latency that a program adds without a queue; in the table of run.py a faster program gets more requests.
Programs take turns within a round; a number is the median of the rounds.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import recorded  # noqa: E402
import run  # noqa: E402

SIZES = {"1KiB": 1024, "16KiB": 16384, "100KiB": 102400}
CONNECTIONS = 64
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def ask(peer, length, rate, seconds, directory):
    """Measures {quantile: milliseconds}, requests per second and failed requests."""
    log = os.path.join(directory, "requests")
    each = max(1, round(rate / CONNECTIONS))
    done = subprocess.run(["h2load", "--h1", "-c", str(CONNECTIONS), "-t1", f"--rps={each}",
                           "-D", str(seconds), f"--log-file={log}",
                           f"http://127.0.0.1:{peer.port}/bytes/{length}"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"h2load through {peer.name}: {done.stdout}{done.stderr}")
    waited, failed = peers.h2load_log(log)
    if not waited:
        sys.exit(f"no answers through {peer.name}: {done.stdout}")
    result = {name: waited[int(len(waited) * part)] for name, part in QUANTILES.items()}
    return {**result, "rps": len(waited) / seconds, "failed": failed}


def print_row(size, results, store):
    median = {name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
              for name, rounds in results.items()}
    best = min((r["p99"] for name, r in median.items() if name.startswith(("haproxy", "nginx"))), default=0)
    for name, r in median.items():
        ratio = f"{r['p99'] / best:5.2f}" if best else "    -"
        store.add(row=size, program=name, **r)
        print(f"{size:>7}  {name:<9} {r['rps']:>9.0f} " + " ".join(f"{r[key]:>7.2f}" for key in QUANTILES) +
              f"  {ratio} {r['failed']:>7.0f}", flush=True)


def measure(running, sizes, args, scratch):
    print(f"requests at half load, {CONNECTIONS} connections; milliseconds; ratio: p99 to the best of the "
          "peers\n")
    print(f"{'body':>7}  {'program':<9} {'req/s':>9} " + " ".join(f"{key:>7}" for key in QUANTILES) +
          "  ratio  failed")
    store = recorded.Store(args.json, args, "rounds", "seconds")
    own = next(peer for peer in running if peer.name == "headgate")
    for size in sizes:
        full = run.wrk(own.port, f"/bytes/{SIZES[size]}", CONNECTIONS, args.seconds)["rps"]
        results = {peer.name: [] for peer in running}
        for _ in range(args.rounds):
            for peer in running:
                results[peer.name].append(ask(peer, SIZES[size], full / 2, args.seconds, scratch))
        print_row(size, results, store)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="rows to run, e.g. 1KiB,16KiB")
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    sizes = peers.rows_of(parser, args.only, list(SIZES))
    for tool in ("h2load", "wrk"):
        if not shutil.which(tool):
            peers.say_missing(f"{tool}, which makes the load of this section,")
            return
    args.files = args.unix = False
    args.load_cpus = args.gateway_cpus = None
    peers.resolve(args, "headgate", "httpbin", "against")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        running = []
        try:
            running, _ = run.start_all(args, scratch)
            measure(running, sizes, args, scratch)
        finally:
            for peer in reversed(running):
                peer.stop()


if __name__ == "__main__":
    main()
