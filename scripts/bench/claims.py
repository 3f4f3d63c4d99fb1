#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Claims about speed and processor time, each with its bound beside the figure.

They are here and not among the tests, because a figure of speed depends on the machine and on other programs.
Each claim uses the library of the scenario tests. The figure is the best of several rounds; the exit status
is 1 if a bound is missed.
"""
import argparse
import os
import resource
import signal
import sys
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# This folder last: it has an h2.py, and hg.api_server needs the package of that name.
sys.path[:1] = [os.path.join(ROOT, "tests", "lib"), os.path.join(ROOT, "tests", "scenario")]
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
from hg import Gateway, Origin, check, eq, framework, free_port, process, validate, wait_until  # noqa: E402
from hg.api_server import ApiServer  # noqa: E402
from plays import SIMPLE  # noqa: E402
from test_cluster import CLASS, gateway_object, route, serve  # noqa: E402

CLAIMS = {}


def claim(name, text, unit, bound, at_least=False):
    """Registers a function without arguments that returns a figure."""
    def register(function):
        CLAIMS[name] = (function, text, unit, bound, at_least)
        return function
    return register


# ---- processor time ----------------------------------------------------------------------------------

ROUTE = """
    - name: r{i}
      hostnames: [host{i}.example, "*.sub{i}.example"]
      matches: [{{path: {{pathPrefix: /a{i}}}}}, {{path: {{exact: /b}}, method: GET}}]
      policies: {{timeout: {{requestTimeout: 5s}}, retry: {{attempts: 2, codes: [503]}}}}
      backends: [{{host: "127.0.0.1:{port}"}}]"""


def load_ms(count):
    routes = "".join(ROUTE.format(i=i, port=8000 + i) for i in range(count))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    eq(validate(f"binds:\n- port: 8080\n  listeners:\n  - routes:{routes}\n")[0], 0, "exit status")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


@claim("routes", "processor time to load 1,000 routes, beyond one route", "ms", 100)
def routes():
    return load_ms(1000) - load_ms(1)


SLASHES = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: deny
      matches: [{path: {regex: "/.*/admin/.*/delete.*"}}]
      policies: {directResponse: {status: 403, body: deny}}
    - name: stars
      matches: [{path: {regex: "/.*/.*[.]html"}}]
      policies: {directResponse: {status: 403, body: stars}}
    - name: rest
      policies: {directResponse: {status: 200, body: rest}}
frontendPolicies: {http: {normalizePath: 'off'}}
"""


@claim("slashes", "processor time to match 8 KiB of slashes with patterns of two stars", "ms a request", 5)
def slashes():
    gateway = Gateway(SLASHES)
    client = gateway.client()
    path, count = "/" * 8100 + "index.htmlx", 1000
    before = gateway.cpu_seconds()
    for _ in range(count):
        eq(client.get(path).text, "rest", "route")
    return (gateway.cpu_seconds() - before) * 1000 / count

@claim("busy-streams", "median of GET 10 bytes beside two endless downloads on the only worker", "ms", 100)
def busy_streams():
    gateway = Gateway(SIMPLE, origin=Origin(), workers=1, checked=False)
    readers = []
    for _ in range(2):
        client = gateway.client()
        client.request("GET", f"/bytes/{64 << 30}")
        readers.append(threading.Thread(target=drain, args=(client,), daemon=True))
        readers[-1].start()
    client = gateway.client()
    times = sorted(framework.timed(client.get, "/bytes/10")[0] for _ in range(100))
    gateway.kill()
    return times[50] * 1000


def drain(client):
    try:
        for _ in client.body(client.response_head()):
            pass
    except (OSError, framework.Failure):
        pass


@claim("selftest", "self-test of the kernel lane at the start of the gateway", "s", 3)
def selftest():
    return Gateway(BODIES, origin=Origin(), lanes=True).metrics()("headgate_sockmap_selftest_seconds")


# ---- an API server -----------------------------------------------------------------------------------

SERVICES, ENDPOINTS, ROUTES, CHANGES, SECONDS = 100, 100, 1000, 60, 10


def slice_of(number, turn=0):
    """One of its endpoints has another address each turn."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"s{number}-x", "labels": {"kubernetes.io/service-name": f"s{number}"}},
            "ports": [{"name": "http", "port": 80}],
            "endpoints": [{"addresses": [f"127.{1 + number}.{n}.{1 + (turn if n == 2 else 0) % 200}"],
                           "conditions": {"ready": True, "serving": True, "terminating": False},
                           "nodeName": f"node-{n}", "zone": "a", "targetRef": {
                               "kind": "Pod", "namespace": "default", "name": f"s{number}-7d4b9c-{n:05}"}}
                          for n in range(ENDPOINTS)]}


def with_objects():
    """A gateway with 1,000 routes to 100 Services of 100 endpoints each."""
    server = ApiServer()
    server.page = 500
    server.put(CLASS, gateway_object(free_port()))
    for number in range(SERVICES):
        server.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{number}"},
                    "spec": {"ports": [{"name": "http", "port": 80}]}}, slice_of(number))
    for number in range(ROUTES):
        one = route(f"r{number}")
        one["spec"]["rules"][0] = {"matches": one["spec"]["rules"][0]["matches"],
                                   "backendRefs": [{"name": f"s{number % SERVICES}", "port": 80}]}
        server.put(one)
    gateway = serve(server, ready=False)
    gateway.await_ready(60)
    written = "headgate_api_server_status_writes_total"
    wait_until(lambda: gateway.metrics()(written, result="ok") > ROUTES, 120, "the statuses")
    time.sleep(5)
    return server, gateway


def change_endpoints(server, seconds):
    begin, turn = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        turn += 1
        server.put(slice_of(turn * 7 % SERVICES, turn))
        time.sleep(max(0, begin + turn / CHANGES - time.monotonic()))
    return turn


@claim("endpoints", "processor time while 60 of 10,000 endpoints change a second, 1,000 routes",
       "% of a core", 10)
def endpoints():
    server, gateway = with_objects()
    before = gateway.cpu_seconds()
    count = change_endpoints(server, SECONDS)
    check(count > CHANGES * SECONDS * 0.9, f"only {count} changes")
    return (gateway.cpu_seconds() - before) / SECONDS * 100


@claim("endpoints-memory", "memory after 600 such changes", "MiB", 64)
def endpoints_memory():
    server, gateway = with_objects()
    change_endpoints(server, SECONDS)
    return gateway.rss_bytes() / (1 << 20)


@claim("watch-idle", "wake-ups of the gateway while nothing changes", "a second", 1)
def watch_idle():
    _, gateway = with_objects()
    before = gateway.context_switches()
    time.sleep(2 * SECONDS)
    return (gateway.context_switches() - before) / (2 * SECONDS)


# ---- the first answer after a crash ------------------------------------------------------------------


@claim("first-answer", "kill -9 to the first answer on a new connection, the worst of 20", "ms", 500)
def first_answer():
    gateway = Gateway(SIMPLE, origin=Origin(), keeper=True, checked=False, args=("--restart-limit", "0"))
    worst = 0.0
    for _ in range(20):
        before = gateway.gateway_pid
        os.kill(before, signal.SIGKILL)
        start = time.monotonic()
        wait_until(lambda: answers(gateway), 20, "an answer")
        worst = max(worst, time.monotonic() - start)
        wait_until(lambda: gateway.gateway_pid not in (None, before), 20, "the next process")
        time.sleep(0.2)
    return worst * 1000


def answers(gateway):
    try:
        return gateway.fetch("/get").status == 200
    except (OSError, framework.Failure):
        return False


# ---- others beside something that stands still -------------------------------------------------------

BODIES = """
config: {splice: {mode: require, minBodyBytes: 65536}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends:
      - host: @origin@
"""


def download_rate(gateway):
    """Downloads 100 MiB; bytes per second."""
    client = gateway.client()
    client.request("GET", f"/bytes/{100 << 20}")
    head, begin = client.response_head(), time.monotonic()
    eq(sum(len(piece) for piece in client.body(head)), 100 << 20, "bytes")
    client.close()
    return (100 << 20) / (time.monotonic() - begin)


@claim("stalled-readers", "download beside 100 readers that have stopped, of the rate without them", "ratio",
       0.5, at_least=True)
def stalled_readers():
    gateway = Gateway(BODIES, origin=Origin(), lanes=True)
    alone = download_rate(gateway)
    readers = [gateway.client(rcvbuf=65536).request("GET", f"/bytes/{256 << 20}") for _ in range(100)]
    wait_until(lambda: sum(bool(stream["bytes_out"]) for stream in gateway.streams()) == 100, 20, "answers")
    time.sleep(1)
    beside = download_rate(gateway)
    for reader in readers:
        reader.rst()
    return beside / min(alone, download_rate(gateway))


# ---- running them ------------------------------------------------------------------------------------


def play(function):
    with tempfile.TemporaryDirectory(prefix="headgate-claim-") as directory:
        os.chmod(directory, 0o755)
        context = framework.Context(directory, ("bpf",))
        framework.set_context(context)
        try:
            return function()
        finally:
            error = context.finish()
            process.kill_leftovers()
            check(error is None, str(error))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--against", default="", help="not used here; the other sections have it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="claims to measure: " + ", ".join(CLAIMS))
    args = parser.parse_args()
    names = peers.rows_of(parser, args.only, list(CLAIMS))
    peers.resolve(args, "headgate", "httpbin")
    os.environ.update(HEADGATE_BIN=args.headgate, HTTPBIN_BIN=args.httpbin)
    missed = 0
    for name in names:
        function, text, unit, bound, at_least = CLAIMS[name]
        figures = [play(function) for _ in range(args.rounds)]
        best = max(figures) if at_least else min(figures)
        is_met = best >= bound if at_least else best <= bound
        missed += not is_met
        print(f"{name:<16} {best:9.3f} {unit:<13} {'at least' if at_least else 'at most':<8} {bound:<7} "
              f"{'met' if is_met else 'MISSED':<7} {text}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
