#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: one table from one run, then the sections of h2.py, splice.py and claims.py.

Every row of the table is the median of several rounds; the programs take turns within a round, forwards and
backwards, so that a change of the machine's speed affects all equally. Load generator, backend and gateway
share the processors, and no program is pinned: read the processor time of a request, and the share of the
machine that was idle, besides the requests per second. With --alone each gateway has one worker on a
processor of its own, and load and backend share the others.
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
import recorded  # noqa: E402

SIZES = {"1KiB": 1024, "16KiB": 16384, "100KiB": 102400, "512KiB": 524288, "1MiB": 1048576}
CONNECTIONS = {"1KiB": (1, 4, 16, 64), "16KiB": (1, 4, 16, 64), "100KiB": (16, 64), "512KiB": (16, 64),
               "1MiB": (16, 64)}
ROWS = [f"{size}/{count}" for size in SIZES for count in CONNECTIONS[size]]
KEYS = ("rps", "p50", "p99", "cpu_us", "user_us", "system_us", "idle", "rss")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def machine_time():
    """Ticks of all processors since the start of the machine: (idle, all)."""
    with open("/proc/stat") as file:
        ticks = list(map(int, file.readline().split()[1:9]))
    return ticks[3] + ticks[4], sum(ticks)


def wrk(port, path, connections, seconds, headers=(), cpus=None, refused=False):
    """refused: whether each response is to be an error, instead of none."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency",
                          *(word for header in headers for word in ("-H", header)),
                          f"http://127.0.0.1:{port}{path}"],
                         capture_output=True, text=True, check=True,
                         preexec_fn=peers.pinned(cpus)).stdout
    errors = re.search(r"Socket errors: (.*)", out)
    others = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    if others and not refused:
        sys.exit(f"{path} on port {port}: {others.group(0)}: the backend, or who stands before it, refuses")
    if refused and (not others or int(others.group(1)) != requests):
        sys.exit(f"{path} on port {port}: not each of {requests} requests was refused")
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
        "requests": requests,
        "p50": milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", out).group(1)),
        "p99": milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", out).group(1)),
        "errors": errors.group(0) if errors else "",
    }


def measure(peer, path, connections, seconds, headers=(), cpus=None, refused=False):
    """cpus: the processors of the load generator; None: all."""
    used, machine = peer.cpu(), machine_time()
    result = wrk(peer.port, path, connections, seconds, headers, cpus, refused)
    idle, whole = (now - then for now, then in zip(machine_time(), machine))
    spent = [seconds * 1e6 / max(result["requests"], 1) for seconds in peer.cpu_since(used)]
    return {**result, "user_us": spent[0], "system_us": spent[1], "cpu_us": sum(spent),
            "idle": 100 * idle / max(whole, 1), "rss": peer.rss_kib() / 1024}


def start_origin(args, directory):
    os.makedirs(directory)
    if args.files:
        peer = peers.start_nginx(directory, None, template=peers.NGINX_FILES, name="direct",
                                 cpus=args.load_cpus)
        if not peer:
            sys.exit("--files needs nginx")
        os.makedirs(os.path.join(directory, "bytes"))
        for length in SIZES.values():
            with open(os.path.join(directory, "bytes", str(length)), "wb") as file:
                file.write(os.urandom(length))
        return peer
    peer = peers.Peer("direct", directory, peers.free_port(), args.load_cpus)
    peer.start([args.httpbin, "--port", str(peer.port), "--workers", "2", "--quiet"])
    return peer


def start_socket(args, directory):
    """Starts the same backend at a Unix socket; returns its path."""
    os.makedirs(directory)
    # The workers of nginx run as nobody.
    for place in (os.path.dirname(directory), directory):
        os.chmod(place, 0o755)
    peer = peers.Peer("socket", directory, 0, args.load_cpus)
    path = os.path.join(directory, "socket")
    peer.start([args.httpbin, "--unix", path, "--workers", "2", "--quiet"], socket_path=path)
    os.chmod(path, 0o777)
    return peer, path


def start_all(args, scratch):
    """Starts each peer with both settings: the better one depends on the row."""
    origin = start_origin(args, os.path.join(scratch, "origin"))
    running, hidden = [origin], []
    if args.unix:
        peer, path = start_socket(args, os.path.join(scratch, "unix"))
        hidden.append(peer)

    def to(template, scheme="unix:"):
        return template.replace("127.0.0.1:{origin}", scheme + path) if args.unix else template

    how = {"workers": 1, "cpus": args.gateway_cpus} if args.gateway_cpus else {}
    for name, start in (("headgate", lambda d: peers.start_headgate(
                            args.headgate, d, origin.port, template=to(peers.HEADGATE), **how)),
                        ("bypass", lambda d: peers.start_headgate(
                            args.headgate, d, origin.port, template=to(peers.HEADGATE_BYPASS),
                            name="bypass", **how)),
                        ("other", lambda d: args.against and peers.start_headgate(
                            args.against, d, origin.port, template=to(peers.HEADGATE), name="other", **how)),
                        ("haproxy", lambda d: peers.start_haproxy(
                            d, origin.port, template=to(peers.HAPROXY, "unix@"), **how)),
                        ("haproxy+", lambda d: peers.start_haproxy(
                            d, origin.port, template=to(peers.HAPROXY, "unix@"),
                            splice="option splice-response", name="haproxy+", **how)),
                        ("nginx", lambda d: peers.start_nginx(
                            d, origin.port, template=to(peers.NGINX), **how)),
                        ("nginx+", lambda d: peers.start_nginx(
                            d, origin.port, template=to(peers.NGINX_BUFFERED), name="nginx+", **how))):
        directory = os.path.join(scratch, name)
        os.makedirs(directory)
        peer = start(directory)
        if peer:
            running.append(peer)
        elif name != "other" and not name.endswith("+"):
            peers.say_missing(name)
    return running, hidden


def print_row(size, connections, name, rounds, best, results):
    median = {key: statistics.median(r[key] for r in rounds) for key in KEYS}
    errors = next((r["errors"] for r in rounds if r["errors"]), "")
    ratio = f"{median['rps'] / best:5.2f}" if best else "    -"
    print(f"{size:>7} {connections:>5}  {name:<9} {median['rps']:>9.0f} {ratio}  {median['p50']:>8.2f} "
          f"{median['p99']:>8.2f} {median['cpu_us']:>7.1f} {median['user_us']:>7.1f} "
          f"{median['system_us']:>7.1f} {median['idle']:>6.0f} {median['rss']:>8.1f}  {errors}", flush=True)
    results.add(row=f"{size}/{connections}", program=name, **median)


def run_row(running, size, length, connections, args):
    results = {peer.name: [] for peer in running}
    for turn in range(args.rounds):
        for peer in reversed(running) if turn % 2 else running:
            results[peer.name].append(measure(peer, f"/bytes/{length}", connections, args.seconds,
                                              cpus=args.load_cpus))
    rates = {name: statistics.median(r["rps"] for r in rounds) for name, rounds in results.items()}
    best = max((rate for name, rate in rates.items() if name.startswith(("haproxy", "nginx"))), default=0)
    for peer in running:
        print_row(size, connections, peer.name, results[peer.name], best, args.results)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows to run, as SIZE/CONNECTIONS, e.g. 1KiB/64")
    parser.add_argument("--files", action="store_true", help="nginx with files as the backend, not httpbin")
    parser.add_argument("--unix", action="store_true",
                        help="the backend listens on a Unix socket; the row direct is that over TCP")
    parser.add_argument("--alone", action="store_true",
                        help="each gateway with one worker, alone on the last processor")
    parser.add_argument("--table-only", action="store_true", help="without the sections of other files")
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    rows = peers.rows_of(parser, args.only, ROWS)
    if not shutil.which("wrk"):
        peers.say_missing("wrk, which makes the load of this section,")
        return
    peers.resolve(args, "headgate", "httpbin", "against")
    args.load_cpus, args.gateway_cpus = (args.alone and peers.alone()) or (None, None)
    if args.alone and not args.gateway_cpus:
        sys.exit("--alone needs two processors")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        running, hidden = [], []
        args.results = recorded.Store(args.json, args, "rounds", "seconds")
        try:
            running, hidden = start_all(args, scratch)
            print("requests through each program; bypass: client and backend agree to that lane; haproxy+: "
                  "with "
                  "splice-response; nginx+: with proxy_buffering; ratio: against the best of these four\n")
            print(f"{'body':>7} {'conns':>5}  {'program':<9} {'req/s':>9} ratio  {'p50 ms':>8} {'p99 ms':>8} "
                  f"{'CPU us':>7} {'user us':>7} {'sys us':>7} {'idle %':>6} {'RSS MiB':>8}")
            for size, length in SIZES.items():
                for connections in CONNECTIONS[size]:
                    if f"{size}/{connections}" in rows:
                        run_row(running, size, length, connections, args)
        finally:
            for peer in reversed(hidden + running):
                peer.stop()
    status = 0
    for section in () if args.only or args.table_only else ("h2.py", "splice.py", "claims.py"):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), section)
        options = ["--headgate", args.headgate, "--httpbin", args.httpbin, "--against", args.against]
        status |= subprocess.run([sys.executable, path, *options], check=False).returncode
    sys.exit(status)


if __name__ == "__main__":
    main()
