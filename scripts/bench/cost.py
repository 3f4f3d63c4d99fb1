#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How cost grows: with routes, endpoints, connections and idle tunnels.

Each figure is a series of gateways (or of loads) that differ in one number only. They take turns within a
round, and each value is the median of the rounds. --json FILE writes the values as lines of JSON for figures:

    {"figure": "routes", "x_name": "routes", "x": 1000, "series": "header", "value": 43210.0,
     "unit": "requests/s"}

Each number is in the figures NAME and NAME-cpu, the processor time of the program; tunnels are in
tunnels-memory, too. All requests are for 1 KiB; those for routes match the middle one. A number that
needs more open files than the machine allows is reported and skipped.
"""
import argparse
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import recorded  # noqa: E402
import run  # noqa: E402

ROUTES = (1, 10, 100, 1000, 10000)
PATTERNS = (1, 10, 100, 1000, 4000)  # LIMIT_REGEX_COUNT
X = {
    "endpoints": (1, 10, 100, 1000, 5000),
    "connections": (1, 4, 16, 64, 256, 1000, 4000),
    "tunnels": (0, 10, 100, 1000, 4000, 7000, 10000),  # 7000: below a limit of 20,000 descriptors
}
# One match of a route, and the part of a request that satisfies it; @i@ is the number of the route.
KINDS = {
    "prefix": ("path: {{pathPrefix: /bytes/1024/@i@}}", "/bytes/1024/@i@", ()),
    "path": ("path: {{exact: /bytes/1024/@i@}}", "/bytes/1024/@i@", ()),
    "hostname": (None, "/bytes/1024", ("Host: h@i@.example",)),
    "header": ("headers: [{{name: x-tenant, value: {{exact: tenant-@i@}}}}]", "/bytes/1024",
               ("x-tenant: tenant-@i@",)),
    "query": ("query: [{{name: tenant, value: {{exact: t@i@}}}}]", "/bytes/1024?tenant=t@i@", ()),
    "regex": ("path: {{regex: '/bytes/1024/@i@/[a-z]*'}}", "/bytes/1024/@i@/abc", ()),
    "header-regex": ("headers: [{{name: x-tenant, value: {{regex: 'tenant-@i@(-[a-z]+)?'}}}}]",
                     "/bytes/1024", ("x-tenant: tenant-@i@-abc",)),
}
UNITS = {"requests/s": "", "us/request": "-cpu", "KiB": "-memory"}  # suffix of the figure's name
ROWS = [f"routes/{kind}" for kind in KINDS] + list(X)

HEAD = """
config: {{logging: {{level: warn, accessLog: false}}, limits: {{connectionsPerClient: 10000}}}}
binds:
- port: {http}
  listeners:
  - routes:
"""
ROUTE = """    - name: r@i@
      @what@
      policies: {{urlRewrite: {{path: {{full: /bytes/1024}}}}}}
      backends: [{{host: "127.0.0.1:{origin}"}}]
"""
TUNNELS = peers.HEADGATE + """
- port: {tunnel}
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: 127.0.0.1:{echo}
"""
ENDPOINTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec: {{gatewayClassName: headgate, listeners: [{{name: http, port: {http}, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route, namespace: ns}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{name: svc, port: 80}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: svc, namespace: ns}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: svc-1, namespace: ns, labels: {{kubernetes.io/service-name: svc}}}}
addressType: IPv4
ports: [{{port: {origin}}}]
endpoints:
"""


def routes_template(kind, count):
    """Templates for peers.start_headgate(): {http} and {origin} are not filled in yet."""
    match, _, _ = KINDS[kind]
    lines = [HEAD]
    for i in range(count):
        what = f"hostnames: [h{i}.example]" if match is None else f"matches: [{{{{{match}}}}}]"
        lines.append(ROUTE.replace("@what@", what).replace("@i@", str(i)))
    return "".join(lines)


def endpoints_template(count):
    return ENDPOINTS + "".join(f"- {{{{addresses: [127.1.{i // 250}.{i % 250 + 1}]}}}}\n"
                               for i in range(count))


def files_allow(count):
    """True if one process may open this many files."""
    return count + 200 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for most in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, hard)))
            return
        except (OSError, ValueError):
            continue


class Figure:
    """The values of one figure; prints each and stores it for --json."""

    def __init__(self, args, scratch):
        self.args, self.scratch, self.running, self.folders = args, scratch, [], 0
        self.store = recorded.Store(args.json, args, "rounds", "seconds")
        self.origin = self.httpbin("::")

    def folder(self):
        self.folders += 1
        path = os.path.join(self.scratch, str(self.folders))
        os.makedirs(path)
        return path

    def keep(self, peer):
        if peer:
            self.running.append(peer)
        return peer

    def httpbin(self, address, *more):
        peer = peers.Peer("httpbin", self.folder(), peers.free_port())
        peer.start([self.args.httpbin, "--port", str(peer.port), "--addr", address, "--workers", "2",
                    "--quiet", *more])
        return self.keep(peer)

    def headgate(self, template, **more):
        for name, value in more.items():
            template = template.replace("{%s}" % name, str(value))
        return self.keep(peers.start_headgate(self.args.headgate, self.folder(), self.origin.port,
                                              template=template))

    def stop(self, keep=0):
        while len(self.running) > keep:
            self.running.pop().stop()

    def xs(self, row, files=lambda x: 0):
        kind = row.partition("/")[2]
        xs = X.get(row) or (PATTERNS if "regex" in kind else ROUTES)
        found = [x for x in xs if x <= self.args.most and files_allow(files(x))]
        for x in xs:
            if x <= self.args.most and x not in found:
                print(f"{row} {x}: needs {files(x)} open files, which this machine does not allow; left out",
                      file=sys.stderr, flush=True)
                self.store.add(left_out=f"{row} {x}", files=files(x),
                               limit=resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        return found

    def add(self, figure, series, x, value, unit):
        self.store.add(figure=figure + UNITS[unit], x_name=figure, x=x, series=series,
                       value=round(value, 2), unit=unit)

    def measure(self, figure, cases):
        """cases: (series, x, peer, path, connections, headers); they take turns, the first round warms up."""
        results = {case[:2]: [] for case in cases}
        for i in range(self.args.rounds + 1):
            for series, x, peer, path, connections, headers in cases:
                result = run.measure(peer, path, connections, self.args.seconds, headers)
                if i:
                    results[series, x].append(result)
        for (series, x), rounds in results.items():
            rate = statistics.median(r["rps"] for r in rounds)
            cpu = statistics.median(r["user_us"] + r["system_us"] for r in rounds)
            errors = next((r["errors"] for r in rounds if r["errors"]), "")
            self.add(figure, series, x, rate, "requests/s")
            self.add(figure, series, x, cpu, "us/request")
            print(f"{figure:<11} {series:<12} {x:>6} {rate:>9.0f} {cpu:>9.1f}  {errors}", flush=True)

    def routes(self, kind):
        keep, cases = len(self.running), []
        _, path, headers = KINDS[kind]
        for x in self.xs(f"routes/{kind}"):
            i = str(x // 2)
            cases.append((kind, x, self.headgate(routes_template(kind, x)), path.replace("@i@", i), 64,
                          [header.replace("@i@", i) for header in headers]))
        self.measure("routes", cases)
        self.stop(keep)

    def endpoints(self):
        keep = len(self.running)
        # Each worker keeps one connection to each endpoint, plus those in use at the same time.
        cases = [("headgate", x, self.headgate(endpoints_template(x)), "/bytes/1024", 64, ())
                 for x in self.xs("endpoints", lambda x: 2 * x + 200)]
        self.measure("endpoints", cases)
        self.stop(keep)

    def connections(self):
        keep = len(self.running)
        port = self.origin.port
        haproxy = peers.HAPROXY.replace("maxconn 4000", "maxconn 9000")
        nginx = peers.NGINX.replace("worker_connections 4096", "worker_connections 9000")
        started = {"headgate": self.headgate(peers.HEADGATE),
                   "haproxy": self.keep(peers.start_haproxy(self.folder(), port, template=haproxy)),
                   "nginx": self.keep(peers.start_nginx(self.folder(), port, template=nginx))}
        for name, peer in started.items():
            if not peer:
                peers.say_missing(name)
        self.measure("connections", [(name, x, peer, "/bytes/1024", x, ())
                                     for x in self.xs("connections", lambda x: 2 * x)
                                     for name, peer in started.items() if peer])
        self.stop(keep)

    def tunnels(self):
        keep, cases, held = len(self.running), [], []
        echo = self.httpbin("127.0.0.1", "--tcp-echo")

        def files(x):
            """Two of the gateway for each, in three quarters of its limit: the rest is for backends. Here
            and at the echo server one for each of all gateways."""
            return max(8 * x // 3 + 300, sum(y for y in X["tunnels"] if y <= x))
        for x in self.xs("tunnels", files):
            tunnel = peers.free_port()
            gateway = self.headgate(TUNNELS, tunnel=tunnel, echo=echo.port)
            before = gateway.rss_kib()
            held += [tunnel_open(tunnel) for _ in range(x)]
            self.add("tunnels", "headgate", x, gateway.rss_kib() - before, "KiB")
            cases.append(("headgate", x, gateway, "/bytes/1024", 64, ()))
        self.measure("tunnels", cases)
        for connection in held:
            connection.close()
        self.stop(keep)


def tunnel_open(port):
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(b"x")
    if connection.recv(1) != b"x":
        raise RuntimeError("a tunnel does not answer")
    return connection


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--most", type=int, default=10000, help="leave out greater numbers")
    parser.add_argument("--only", default="", help="rows to run: " + ", ".join(ROWS))
    parser.add_argument("--json", default="", help="write the values to this file")
    args = parser.parse_args()
    rows = peers.rows_of(parser, args.only, ROWS)
    if not shutil.which("wrk"):
        peers.say_missing("wrk, which makes the load of this section,")
        return
    raise_files()
    peers.resolve(args, "headgate", "httpbin")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        figure = Figure(args, scratch)
        try:
            print(f"{'figure':<11} {'series':<12} {'x':>6} {'req/s':>9} {'CPU us/rq':>9}", flush=True)
            for row in rows:
                name, _, kind = row.partition("/")
                getattr(figure, name)(*([kind] if kind else []))
        finally:
            figure.stop()


if __name__ == "__main__":
    main()
