# SPDX-License-Identifier: Apache-2.0
"""Active checks: what makes an endpoint unhealthy, who sees it, and that one process checks."""
import concurrent.futures
import os
import signal
import threading

from hg import *
from hg.framework import Context, context
from crashes import await_notes
from healthservers import (ADDRESSES, Server, await_out, entries, gateway_of, history, out, servers,
                           statuses)

try:
    import grpc
except ImportError:  # need() says so in the test
    grpc = None

FAST = "active: {type: HTTP, interval: 50ms, timeout: 2s, unhealthyThreshold: 1%s}"


@test("an endpoint whose check fails gets no request until one passes; list, metrics, log and history say so")
def fails_and_returns():
    port, (bad, *_) = servers()
    gateway = gateway_of(port, FAST % ", http: {path: /healthz}")
    wait_until(lambda: all(entry["checks"]["passed"] for entry in entries(gateway).values()), 20, "checks")
    eq(out(gateway), set(), "out at first")
    bad.health = 503
    await_out(gateway, bad.address)
    before = bad.requests
    eq(statuses(gateway, 60), {200: 60}, "statuses")
    eq(bad.requests, before, "requests of the unhealthy one")
    entry = entries(gateway)[bad.address]
    eq((entry["checks"]["healthy"], entry["checks"]["passed"], entry["checks"]["last_failure"],
        entry["evicted_left_ms"], entry["panic"]), (False, 0, "status 503", 0, False), "the entry")
    metrics = gateway.metrics()
    eq((metrics("headgate_endpoints_unhealthy"), metrics("headgate_endpoints_evicted")), (1, 1), "gauges")
    check(metrics("headgate_health_checks_total", result="failed") >= 1, "failed checks")
    check(metrics("headgate_health_checks_total", result="passed") >= 3, "passed checks")
    bad.health = 200
    await_out(gateway)
    wait_until(lambda: statuses(gateway, 10) and bad.requests > before, 20, "requests of the healthy one")
    eq(history(gateway), [("unhealthy", bad.address), ("healthy", bad.address)], "history")
    where = f"endpoint {bad.address}:{port} of backend ns/svc.ns.svc.cluster.local"
    eq((gateway.stderr.count(f"{where} is unhealthy by its checks: status 503"),
        gateway.stderr.count(f"{where} is healthy again by its checks"),
        gateway.stderr.count(where)), (1, 1, 2), "lines in the log")


@test("after the first failed check of an endpoint that died no request fails")
def dead():
    port, (dying, *_) = servers()
    gateway = gateway_of(port, FAST % "", workers=2)
    eq(statuses(gateway, 20), {200: 20}, "before")
    dying.stop()
    await_out(gateway, dying.address)
    eq(statuses(gateway, 100), {200: 100}, "statuses")
    check("Connection refused" in entries(gateway)[dying.address]["checks"]["last_failure"], "the reason")
    dying.start()
    await_out(gateway)


@test("one checker checks for all workers, over a connection that it keeps, and counts for nothing else")
def one_checker():
    port, (server, *_) = servers(1)
    gateway = gateway_of(port, FAST % "", count=1, workers=4)
    wait_until(lambda: len(server.checks) >= 20, 20, "twenty checks")
    eq(len({seen.peer for seen in server.checks[:20]}), 1, "connections of twenty checks")
    metrics = gateway.metrics()
    eq((metrics("headgate_upstream_connects_total"), metrics("headgate_upstream_connections_open")), (0, 0),
       "connections of workers")


REQUESTS = (
    # (what the check is, what the server gets: method, path, Host, body; the result; the reason)
    ("http: {path: '/a/b?c=d', hostname: h.example}", ("GET", "/a/b?c=d", "h.example", b""), 200, True, ""),
    ("http: {}", ("GET", "/", None, b""), 200, True, ""),
    ("http: {method: HEAD}", ("HEAD", "/", None, b""), 200, True, ""),
    ("http: {method: POST, requestBody: {text: ping}}", ("POST", "/", None, b"ping"), 200, True, ""),
    ("http: {expectedResponse: {text: K}}", ("GET", "/", None, b""), 200, True, ""),
    ("http: {expectedResponse: {binary: S08=}}", ("GET", "/", None, b""), 200, False,
     "the body of the response lacks the expected text"),
    ("http: {expectedStatuses: [204, 418]}", ("GET", "/", None, b""), 418, True, ""),
    ("http: {expectedStatuses: [204, 418]}", ("GET", "/", None, b""), 200, False, "status 200"),
)


def hosts(rows):
    """A standalone configuration with a backend for each (address, check)."""
    backends = "\n".join(
        f"      - host: {address}\n        policies: {{health: {{active: {{{active}}}}}}}"
        for address, active in rows)
    return ("binds:\n- port: @port@\n  listeners:\n  - routes:\n    - name: all\n      backends:\n"
            f"{backends}\n")


def by_endpoint(gateway):
    return {entry["endpoint"]: entry["checks"] for entry in gateway.admin_json("/endpoints")}


@test("method, path, Host, body, statuses and expected text of a check are those of the configuration")
def requests():
    made = [(Server("127.0.0.1", free_port(), health=row[2]), row) for row in REQUESTS]
    gateway = Gateway(hosts((f"127.0.0.1:{server.port}", f"type: HTTP, timeout: 5s, {row[0]}")
                            for server, row in made))
    wait_until(lambda: all(entry["total"] for entry in by_endpoint(gateway).values()), 20, "a check of each")
    for server, (_, (method, path, host, body), _, healthy, why) in made:
        seen, entry = server.checks[0], by_endpoint(gateway)[f"127.0.0.1:{server.port}"]
        eq((seen.method, seen.path, seen.host, seen.body),
           (method, path, host or f"127.0.0.1:{server.port}", body), "the request")
        eq((entry["healthy"], entry["last_failure"]), (healthy, why), "the result")


@test("a retriable status counts for the threshold, another one makes the endpoint unhealthy at once")
def retriable():
    port, (server, _) = servers(2)
    gateway = gateway_of(port, "active: {type: HTTP, interval: 50ms, timeout: 5s, unhealthyThreshold: 1000, "
                               "http: {retriableStatuses: [503]}}", count=2)
    wait_until(lambda: entries(gateway)[server.address]["checks"]["passed"], 20, "a check")
    server.health = 503
    wait_until(lambda: entries(gateway)[server.address]["checks"]["failed"] >= 5, 20, "five failures")
    eq(out(gateway), set(), "out after retriable statuses")
    server.health = 500
    await_out(gateway, server.address)


class Echo:
    """A TCP server: greets, and answers PING with PONG."""

    def __init__(self):
        self.backend = Backend()
        self.address, self.got = self.backend.address, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.backend.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection:
            try:
                connection.settimeout(20)
                connection.sendall(b"hel")
                connection.sendall(b"lo\n")
                data = connection.recv(100)
                self.got.append(data)
                connection.sendall(b"PONG\n" if data == b"PING\n" else b"?\n")
                connection.recv(100)
            except OSError:
                pass


@test("a check over TCP connects, sends and waits for bytes")
def tcp():
    echo = Echo()
    closed = free_port()
    gateway = Gateway(hosts((
        (echo.address, "type: TCP, timeout: 5s"),
        (echo.address, 'type: TCP, timeout: 5s, tcp: {receive: {text: "hello"}}'),
        (echo.address, 'type: TCP, timeout: 5s, tcp: {send: {text: "PING\\n"}, receive: {text: "PONG"}}'),
        (echo.address, 'type: TCP, timeout: 300ms, tcp: {send: {text: "pong\\n"}, receive: {text: "PONG"}}'),
        (f"127.0.0.1:{closed}", "type: TCP, timeout: 5s"),
        (f"127.0.0.1:{closed}", f"type: TCP, timeout: 5s, overrides: {{port: {echo.backend.port}}}"),
    )))

    def results():
        return [entry["checks"] for entry in gateway.admin_json("/endpoints")]
    wait_until(lambda: all(entry["total"] for entry in results()), 20, "a check of each")
    eq([entry["healthy"] for entry in results()], [True, True, True, False, False, True], "results")
    eq(results()[3]["last_failure"], "the expected bytes did not come in time", "the fourth")
    check("no connection" in results()[4]["last_failure"], f"the fifth: {results()[4]}")


class Health(grpc.GenericRpcHandler if grpc else object):
    """grpc.health.v1.Health/Check, by the bytes of its messages: 1 is SERVING, 2 NOT_SERVING."""

    def __init__(self):
        self.serving = {b"": 1, b"\n\x05a.Yes": 1, b"\n\x04a.No": 2}
        self.checks = 0

    def service(self, details):
        if details.method != "/grpc.health.v1.Health/Check":
            return None
        return grpc.unary_unary_rpc_method_handler(self.check)

    def check(self, message, call):
        self.checks += 1
        if message not in self.serving:
            call.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes((8, self.serving[message]))


class GrpcServer:
    def __init__(self, handlers, credentials=None):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=handlers,
                                   options=(("grpc.so_reuseport", 0),))
        if credentials:
            self._server.add_secure_port(self.address, credentials)
        else:
            self._server.add_insecure_port(self.address)
        self._server.start()
        context().own(Context.ORIGIN, self)

    def cleanup(self):
        self._server.stop(0).wait()


@test("a check of gRPC asks grpc.health.v1 of grpcio for the server or a service", needs=["module:grpc"])
def grpc_check():
    health = Health()
    server, other = GrpcServer([health]), GrpcServer([])
    gateway = Gateway(hosts((
        (server.address, "type: GRPC, timeout: 5s, interval: 50ms"),
        (server.address, "type: GRPC, timeout: 5s, interval: 50ms, grpc: {service: a.Yes}"),
        (server.address, "type: GRPC, timeout: 5s, interval: 50ms, grpc: {service: a.No}"),
        (server.address, "type: GRPC, timeout: 5s, interval: 50ms, grpc: {service: a.Other}"),
        (other.address, "type: GRPC, timeout: 5s, interval: 50ms"),
    )))

    def results():
        return [entry["checks"] for entry in gateway.admin_json("/endpoints")]
    wait_until(lambda: all(entry["total"] >= 3 for entry in results()), 30, "three checks of each")
    eq([(entry["healthy"], entry["last_failure"]) for entry in results()],
       [(True, ""), (True, ""), (False, "NOT_SERVING"), (False, "grpc-status 5"), (False, "grpc-status 12")],
       "results")
    health.serving[b"\n\x04a.No"] = 1
    wait_until(lambda: results()[2]["healthy"], 20, "the service to be healthy")


@test("below panicThreshold requests go to all endpoints")
def panic():
    port, (good, first, second) = servers()
    gateway = gateway_of(port, (FAST % "") + ", panicThreshold: 50")
    first.health = 503
    await_out(gateway, first.address)
    before = first.requests
    statuses(gateway, 30)
    eq(first.requests, before, "requests of the unhealthy one of three")
    second.health = 503
    await_out(gateway, first.address, second.address)
    wait_until(lambda: statuses(gateway, 10) and first.requests > before, 20, "requests in a panic")
    eq({entry["panic"] for entry in entries(gateway).values()}, {True}, "panic")


@test("a reload keeps what is known; changed checks begin anew, and without checks all are used again")
def reload():
    port, (bad, *_) = servers()
    gateway = gateway_of(port, FAST % "")
    bad.health = 503
    await_out(gateway, bad.address)
    total = entries(gateway)[bad.address]["checks"]["total"]
    with open(gateway.files["config.yaml"], encoding="utf-8") as file:
        config = file.read()
    gateway.reload(config.replace("name: health,", "name: health2,"), timeout=20)
    check(entries(gateway)[bad.address]["checks"]["total"] >= total, "the count of checks")
    eq(out(gateway), {bad.address}, "out after a reload")
    gateway.reload(config.replace("type: HTTP,", "type: HTTP, http: {expectedStatuses: [503]},"), timeout=20)
    await_out(gateway, *ADDRESSES[1:])
    gateway.reload(config[:config.rindex("---")], timeout=20)
    eq([entry for entry in gateway.admin_json("/endpoints") if "checks" in entry or entry["evicted"]], [],
       "checks without a policy")
    eq(gateway.fetch("/x").status, 200, "status")


@test("after kill -9 the next gateway checks, and it alone")
def crash():
    port, (bad, *_) = servers()
    gateway = gateway_of(port, FAST % "", keeper=True)
    bad.health = 503
    await_out(gateway, bad.address)
    old = gateway.gateway_pid
    await_notes(old)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: gateway.gateway_pid not in (None, old), 20, "the next gateway")
    gateway.await_ready()
    await_out(gateway, bad.address)
    count = len(bad.checks)
    wait_until(lambda: len(bad.checks) >= count + 10, 20, "more checks")
    eq(len({seen.peer for seen in bad.checks[-5:]}), 1, "connections of the last checks")
