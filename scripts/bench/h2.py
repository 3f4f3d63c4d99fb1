#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTP/2 section of the benchmark: h2load through each program, in one run.

Two tables: HTTP/2 in front of the HTTP/1 backend of the other sections, and in front of an HTTP/2 backend
(nginx with files, because the demo backend speaks HTTP/1 only). Every row is the median of several rounds;
the programs take turns within a round. All programs use cleartext HTTP/2 with prior knowledge, two
workers or threads and no access log, and keep connections to the backend. nginx cannot send HTTP/2.

Ratios are of requests per second. Load generator, backend and gateway share the processors, so the table also
has the CPU time of a request: in the program by user and system, and in all three (the generator and
the backend work more for a gateway that sends every frame alone). These hardly change when other programs use
the machine. p50 and p99 are from a second, shorter run in each round, in which h2load logs each request.
`direct` is the backend without a proxy: over HTTP/1 on as many connections as there are streams.
"""
import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import recorded  # noqa: E402

SIZES = {"1KiB": 1024, "100KiB": 102400}
STREAMS = (1, 32)
CONNECTIONS = 16
KEYS = ("rps", "mean", "p50", "p99", "user_us", "system_us", "all_us", "rss")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

HTTP2 = "        policies: {{http: {{version: HTTP/2.0}}}}\n"
NGHTTPX = """
frontend=127.0.0.1,{port};no-tls
backend=127.0.0.1,{origin};;proto={proto}
workers=2
backend-address-family=IPv4
log-level=ERROR
errorlog-file={dir}/error
"""
NGINX_FILES = """
worker_processes 2;
pid {dir}/pid;
error_log stderr crit;
daemon off;
events {{ worker_connections 4096; accept_mutex off; }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  open_file_cache max=16 inactive=1h;
  server {{
    listen 127.0.0.1:{port} http2 reuseport backlog=4096;
    keepalive_requests 100000000;
    root {dir};
  }}
}}
"""


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def h2load(port, path, streams, requests, *options):
    load = [f"-c{CONNECTIONS}", f"-m{streams}"]
    if "--h1" in options:
        load = [f"-c{CONNECTIONS * streams}", "-m1"]
    url = f"http://127.0.0.1:{port}{path}"
    out = subprocess.run(["h2load", "-t1", *load, f"-n{requests}", *options, url],
                         capture_output=True, text=True, check=True, timeout=300).stdout
    return {
        "rps": float(re.search(r"finished in [^,]*, ([\d.]+) req/s", out).group(1)),
        "mean": milliseconds(re.search(r"(?m)^time for request:\s+\S+\s+\S+\s+(\S+)", out).group(1)),
        "bad": requests - int(re.search(r"status codes: (\d+) 2xx", out).group(1)),
    }


def quantiles(port, path, streams, requests, log, *options):
    """{p50, p99} in milliseconds. Logging each request takes time, so rates are measured without it."""
    h2load(port, path, streams, requests, f"--log-file={log}", *options)
    took, _ = peers.h2load_log(log)
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch, self.running = args, scratch, []
        self.store = recorded.Store(args.json, args, "rounds", "requests")
        self.backend, self.proto = None, ""
        self.folders = 0

    def folder(self, name):
        self.folders += 1
        path = os.path.join(self.scratch, f"{name}-{self.folders}")
        os.makedirs(path)
        return path

    def start(self, name, program, make):
        """A peer made by `make(directory)`, or None if its program is not installed."""
        if not os.path.exists(program) and not shutil.which(program):
            peers.say_missing(name)
            return None
        peer = make(self.folder(name))
        self.running.append(peer)
        return peer

    def foreign(self, name, directory, text, argv, **values):
        peer = peers.Peer(name, directory, values.get("origin", 0))
        peer.port = peers.free_port()
        path = peer.write("conf", text.format(port=peer.port, dir=directory, **values))
        peer.start(argv(path))
        return peer

    def backend_h1(self):
        def make(directory):
            peer = peers.Peer("direct", directory, peers.free_port())
            peer.start([self.args.httpbin, "--port", str(peer.port), "--workers", "2", "--quiet"])
            return peer
        return self.start("httpbin", self.args.httpbin, make)

    def backend_h2(self):
        def make(directory):
            os.chmod(self.scratch, 0o755)
            os.makedirs(os.path.join(directory, "bytes"))
            for length in SIZES.values():
                with open(os.path.join(directory, "bytes", str(length)), "wb") as file:
                    file.write(b"x" * length)
            return self.foreign("direct", directory, NGINX_FILES, lambda path: [
                "nginx", "-p", directory, "-c", path, "-e", os.path.join(directory, "error")])
        return self.start("direct", "nginx", make)

    def nghttpx(self, origin, proto):
        return self.start("nghttpx", "nghttpx", lambda directory: self.foreign(
            "nghttpx", directory, NGHTTPX, lambda path: ["nghttpx", f"--conf={path}"], origin=origin,
            proto=proto))

    def haproxy(self, origin, server):
        text = peers.HAPROXY.replace("bind 127.0.0.1:{http}", "bind 127.0.0.1:{http} proto h2")
        text = text.replace("server s 127.0.0.1:{origin}", "server s 127.0.0.1:{origin}" + server)
        return self.start("haproxy", "haproxy", lambda directory: peers.start_haproxy(
            directory, origin, template=text))

    def nginx(self, origin):
        text = peers.NGINX.replace("{http} reuseport", "{http} http2 reuseport")
        return self.start("nginx", "nginx", lambda directory: peers.start_nginx(
            directory, origin, template=text))

    def headgate(self, origin, more=""):
        """headgate with its defaults, and with bypass to its clients and the backend."""
        found = [("headgate", self.args.headgate, peers.HEADGATE),
                 ("bypass", self.args.headgate, peers.HEADGATE_BYPASS)]
        if self.args.against:
            found.append(("other", self.args.against, peers.HEADGATE))
        return [self.start(name, binary, lambda directory: peers.start_headgate(
            binary, directory, origin, template=template + more, name=name))
            for name, binary, template in found]

    def to_h1(self):
        self.backend = self.backend_h1()
        origin = self.backend.port
        return [self.backend, *self.headgate(origin), self.nghttpx(origin, "http/1.1"),
                self.haproxy(origin, ""), self.nginx(origin)]

    def to_h2(self):
        self.backend = self.backend_h2()
        if not self.backend:
            return []
        origin = self.backend.port
        return [self.backend, *self.headgate(origin, HTTP2), self.nghttpx(origin, "h2"),
                self.haproxy(origin, " proto h2")]

    def stop(self):
        while self.running:
            self.running.pop().stop()

    def measure(self, peer, path, streams, requests):
        options = ["--h1"] if peer is self.backend and self.proto == "h1" else []
        cpu, backend, generator = peer.cpu(), self.backend.cpu_seconds(), children_seconds()
        result = h2load(peer.port, path, streams, requests, *options)
        cpu = peer.cpu_since(cpu)
        backend = self.backend.cpu_seconds() - backend
        result["user_us"], result["system_us"] = (seconds * 1e6 / requests for seconds in cpu)
        result["all_us"] = (sum(cpu) * (peer is not self.backend) + backend + children_seconds() - generator
                            ) * 1e6 / requests
        result["rss"] = peer.rss_kib() / 1024
        log = os.path.join(self.scratch, "requests")
        # At least as many as h2load needs for one request per stream.
        fewer = max(requests // 4, CONNECTIONS * streams * 4)
        return {**result, **quantiles(peer.port, path, streams, fewer, log, *options)}

    def row(self, programs, size, streams):
        results = {peer.name: [] for peer in programs}
        requests = self.args.requests * SIZES["1KiB"] // min(SIZES[size], 10 * SIZES["1KiB"])
        for _ in range(self.args.rounds):
            for peer in programs:
                results[peer.name].append(self.measure(peer, f"/bytes/{SIZES[size]}", streams,
                                                       requests))
        rates = {name: statistics.median(r["rps"] for r in rounds) for name, rounds in results.items()}
        best = max((rates[name] for name in ("nghttpx", "haproxy", "nginx") if name in rates), default=0)
        for name, rounds in results.items():
            median = print_row(size, streams, name, rounds, best, rates.get("nghttpx", 0))
            self.store.add(row=f"{self.proto} {size}/{streams}", program=name, **median)

    def table(self, title, proto, programs):
        self.proto, programs = proto, [peer for peer in programs if peer]
        if not programs:
            return
        print(f"\n{title}; ratios: against the best of the others, and against nghttpx\n")
        print(f"{'body':>7} {'streams':>7}  {'program':<9} {'req/s':>9} {'best':>5} {'nghttpx':>7}  "
              f"{'mean ms':>8} {'p50':>6} {'p99':>6} {'user us':>7} {'system':>6} "
              f"{'of all':>6} {'RSS MiB':>8}")
        for size in SIZES:
            for streams in STREAMS:
                if f"{size}/{streams}" in self.args.only:
                    self.row(programs, size, streams)


def print_row(size, streams, name, rounds, best, nghttpx):
    median = {key: statistics.median(r[key] for r in rounds) for key in KEYS}
    bad = sum(r["bad"] for r in rounds)
    ratios = [f"{median['rps'] / other:.2f}" if other else "-" for other in (best, nghttpx)]
    print(f"{size:>7} {streams:>7}  {name:<9} {median['rps']:>9.0f} {ratios[0]:>5} {ratios[1]:>7}  "
          f"{median['mean']:>8.2f} {median['p50']:>6.2f} {median['p99']:>6.2f} {median['user_us']:>7.1f} "
          f"{median['system_us']:>6.1f} {median['all_us']:>6.1f} {median['rss']:>8.1f}"
          f"{f'  {bad} requests failed' if bad else ''}", flush=True)
    return median


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=30000, help="in each round; a tenth for 100 KiB")
    parser.add_argument("--only", default="", help="rows to run, as SIZE/STREAMS, e.g. 1KiB/32")
    parser.add_argument("--backends", default="h1,h2", help="tables to run: h1, h2")
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    args.only = peers.rows_of(parser, args.only, [f"{size}/{count}" for size in SIZES for count in STREAMS])
    peers.resolve(args, "headgate", "httpbin", "against")
    if not shutil.which("h2load"):
        peers.say_missing("h2load, which the whole HTTP/2 section needs,")
        return
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        bench = Bench(args, scratch)
        for name, title, start in (("h1", "HTTP/2 to HTTP/1", bench.to_h1),
                                   ("h2", "HTTP/2 to HTTP/2", bench.to_h2)):
            if name not in args.backends.split(","):
                continue
            try:
                bench.table(f"{title}, {CONNECTIONS} connections", name, start())
            finally:
                bench.stop()


if __name__ == "__main__":
    main()
