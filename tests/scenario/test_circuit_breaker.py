# SPDX-License-Identifier: Apache-2.0
"""circuitBreaker: what may be under way to one backend, over all workers, and what the others get."""
import time

from crashes import kill
from h2backends import acted2
from hg import *
from plays import acted

LIMITED = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {@route@}
      backends:
      - host: "@origin@"
        policies: {circuitBreaker: {@limits@}, @more@}
- port: @tcp@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: tunnel
      backends: [{host: "@origin@", policies: {circuitBreaker: {@limits@}}}]
"""
OVERLOADED = ("503", "true", "backend_overloaded")


def limited(limits, route="", more="", workers=2):
    return acted(LIMITED, workers=workers, limits=limits, route=route, more=more)


def hold(gateway, backend, count):
    """[(client, connection of the backend)] of requests that wait for their answer."""
    held = []
    for _ in range(count):
        client = gateway.client().request("GET", "/held", host="a")
        upstream = backend.accept()
        upstream.read_request()
        held.append((client, upstream))
    return held


def tunnel(gateway, backend):
    client = gateway.client("tcp")
    client.send(b"x")
    upstream = backend.accept()
    eq(upstream.read(1), b"x", "a byte of a tunnel")
    return client, upstream


def expect_overload(gateway, limit, before=0):
    answer = gateway.fetch("/more")
    line = gateway.wait_log(lambda line: line.get("http.path") == "/more")
    got = str(answer.status), answer.headers["x-headgate-overloaded"], line["close_reason"]
    eq(got, OVERLOADED, "status, header and reason")
    eq(answer.text, "the backend is overloaded", "text")
    eq(gateway.metrics()("headgate_limit_refused_total", limit=limit), before + 1, "refusals")


def expect_service(gateway, backend, held):
    """The next request is served once one of these has its answer."""
    client, upstream = held.pop()
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "status of one that was held")
    upstream.close()
    wait_until(lambda: len(gateway.streams()) == len(held), 5, "the end of a request")
    held += hold(gateway, backend, 1)
    for client, upstream in held:
        client.close()
        upstream.close()


@test("maxConnections: one more request gets 503 with x-headgate-overloaded, in any worker, and one more "
      "tunnel a reset")
def connections():
    gateway, backend = limited("maxConnections: 3")
    held = hold(gateway, backend, 3)
    expect_overload(gateway, "maxConnections of circuitBreaker")
    expect_service(gateway, backend, held)
    # A route of its own has a backend of its own.
    tunnels = [pair for _ in range(3) for pair in tunnel(gateway, backend)]
    try:
        gateway.client("tcp").expect_rst()
    except ConnectionResetError:
        pass
    for end in tunnels:
        end.close()


@test("perEndpoint.maxConnections: requests go to the endpoint with room, in any worker, and get 503 once "
      "all are full")
def per_endpoint():
    other = Backend()
    gateway, backend = acted("""
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends: [{backend: b}]
backends:
- name: b
  endpoints: [{host: "@origin@"}, {host: "127.0.0.1:@other@"}]
  policies: {circuitBreaker: {perEndpoint: {maxConnections: 2}}}
""", workers=2, other=other.port)
    held = []
    clients = [gateway.client().request("GET", "/held", host="a") for _ in range(4)]
    for end in (backend, other, backend, other):
        upstream = end.accept()
        upstream.read_request()
        held.append(upstream)
    expect_overload(gateway, "perEndpoint.maxConnections")
    held[0].respond(200, [("Connection", "close")])
    wait_until(lambda: len(gateway.streams()) == 3, 5, "the end of a request")
    more = gateway.client().request("GET", "/more", host="a")
    upstream = backend.accept()
    upstream.read_request()
    for end in (*clients, *held, more, upstream):
        end.close()


@test("maxParallelRequests counts requests and WebSockets in all workers, but no tunnels of TCP")
def requests():
    gateway, backend = limited("maxParallelRequests: 2")
    ends = tunnel(gateway, backend)
    held = hold(gateway, backend, 1)
    fields = [("Connection", "Upgrade"), ("Upgrade", "echo")]
    client = gateway.client().request("GET", "/chat", fields, host="a")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    eq(client.response_head().status, 101, "status")
    expect_overload(gateway, "maxParallelRequests")
    for end in (*ends, client, upstream):
        end.close()
    wait_until(lambda: len(gateway.streams()) == 1, 5, "the end of the tunnels")
    held += hold(gateway, backend, 1)
    expect_service(gateway, backend, held)


@test("maxParallelRetries: at the limit a failure is final")
def retries():
    gateway, backend = limited("maxParallelRetries: 1", "retry: {attempts: 3, codes: [503], backoff: 60s}")
    first = gateway.client().request("GET", "/first", host="a")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(503, [("Connection", "close")])
    wait_until(lambda: [s["state"] for s in gateway.streams()] == ["backoff"], 5, "the pause of the retry")
    second = gateway.client().request("GET", "/second", host="a")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(503)
    eq(second.response().status, 503, "status without a retry")
    eq(gateway.metrics()("headgate_limit_refused_total", limit="maxParallelRetries"), 1, "refusals")
    eq(gateway.metrics()("headgate_retry_budget_exhausted_total"), 0, "refusals by the budget of all retries")
    first.rst()


@test("retryBudget: retries are a share of the requests under way, and a few are always allowed")
def budget():
    gateway, backend = limited("retryBudget: {percent: {numerator: 50}, minRetryConcurrency: 1}",
                               "retry: {attempts: 3, codes: [503], backoff: 60s}")

    def fail(path):
        client = gateway.client().request("GET", path, host="a")
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(503, [("Connection", "close")])
        upstream.close()
        return client

    def pauses(count):
        wait_until(lambda: sum(s["state"] == "backoff" for s in gateway.streams()) == count, 5, "the pauses")

    ends = [fail("/first")]
    pauses(1)
    eq(fail("/second").response().status, 503, "status without a retry")
    eq(gateway.metrics()("headgate_limit_refused_total", limit="retryBudget"), 1, "refusals")
    for held in hold(gateway, backend, 3):
        ends += held
    ends.append(fail("/third"))
    pauses(2)
    eq(fail("/fourth").response().status, 503, "status without a retry")
    for end in ends:
        end.close()


@test("maxRequestsPerConnection: a connection of HTTP/1 closes after so many requests")
def requests_per_connection():
    gateway, backend = limited("maxRequestsPerConnection: 2", workers=1)
    client = gateway.client()
    upstream = None
    for number in range(5):
        client.request("GET", f"/{number}", host="a")
        if number % 2 == 0:
            upstream = backend.accept()
        eq(upstream.read_request().target, f"/{number}", "target")
        upstream.respond(200)
        eq(client.response().status, 200, "status")
        if number % 2:
            upstream.expect_fin()


@test("maxRequestsPerConnection: a connection of HTTP/2 takes no further streams, and its running ones end")
def streams_per_connection():
    gateway, backend = acted2(LIMITED.replace("@more@", "http: {version: HTTP/2.0}"), route="",
                              limits="maxRequestsPerConnection: 2")
    clients = [gateway.client() for _ in range(3)]
    clients[0].request("GET", "/0", host="a")
    first = backend.accept()
    streams = [first.expect_request()[0]]
    clients[1].request("GET", "/1", host="a")
    streams.append(first.expect_request()[0])
    clients[2].request("GET", "/2", host="a")
    second = backend.accept()
    last = second.expect_request()[0]
    for connection, stream, client in ((first, streams[0], clients[0]), (second, last, clients[2]),
                                       (first, streams[1], clients[1])):
        connection.respond(stream, 200)
        eq(client.response().status, 200, "status")
    first.expect_goaway(0)


@test("a request that is resumed after a crash still counts, and its connection takes no further one",
      waits=True, timeout=60)
def resumed():
    gateway, backend = acted("config: {splice: {mode: off}}" + LIMITED, route="", more="", keeper=True,
                             limits="maxParallelRequests: 1, maxRequestsPerConnection: 2")
    held = hold(gateway, backend, 1)
    time.sleep(0.5)  # so old is a request that can be resumed
    kill(gateway)
    wait_until(lambda: gateway.metrics()("headgate_resumed_total", kind="request") == 1, 10,
               "the resumed request")
    expect_overload(gateway, "maxParallelRequests")
    client, upstream = held.pop()
    upstream.respond(200)
    eq(client.response().status, 200, "status of the resumed request")
    upstream.expect_fin()
    wait_until(lambda: not gateway.streams(), 5, "the end of the request")
    held += hold(gateway, backend, 1)
    for end in (client, upstream, *held[0]):
        end.close()
