# SPDX-License-Identifier: Apache-2.0
"""circuitBreaker: requests that wait for a place at their backend, in the order in which they came, over all
workers."""
import os
import signal

from crashes import NewProcess
from h2backends import acted2
from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.h2_backend import H2Backend
from plays import acted

LIMITED = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends: [{backend: b}]
- port: @tcp@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: tunnel
      backends: [{backend: b}]
backends:
- name: b
  host: "@origin@"
  policies: {circuitBreaker: {@limits@}, @more@}
"""


SESSIONS = """
config: {session: {key: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}}
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {sessionPersistence: {sessionName: session}}
      backends:
      - endpoints: [{host: "127.0.0.1:%d"}, {host: "127.0.0.1:%d", priority: 1}]
        policies:
          http: {version: HTTP/2.0}
          circuitBreaker: {perEndpoint: {maxConnections: 1}, maxPendingRequests: 4}
"""


def waiting(gateway, count):
    def is_so():
        return gateway.metrics()("headgate_pending_requests") == count
    wait_until(is_so, 5, f"{count} waiting requests")
    eq(sum(s["state"] == "pending" for s in gateway.streams()), count, "streams that wait")


RETRYING = LIMITED.replace("name: all\n", "name: all\n      policies: {retry: {attempts: 2, codes: []}}\n")


def limited(limits, more="", workers=2, config=LIMITED, **options):
    gateway, backend = acted(config, workers=workers, limits=limits, more=more, **options)
    held = gateway.client().request("GET", "/held", host="a")
    upstream = backend.accept()
    upstream.read_request()
    return gateway, backend, held, upstream


def line_up(gateway, count):
    """Requests that come one after another, each from its own client."""
    clients = []
    for number in range(count):
        clients.append(gateway.client().request("GET", f"/{number}", host="a"))
        waiting(gateway, number + 1)
    return clients


def answer(upstream, client):
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "status")
    upstream.close()


def refused(gateway, path, reason):
    answer = gateway.fetch(path)
    line = gateway.wait_log(lambda line: line.get("http.path") == path)
    eq((answer.status, answer.headers["x-headgate-overloaded"], line["close_reason"]), (503, "true", reason),
       "status, header and reason")


@test("requests beyond maxConnections wait, and are served in the order in which they came to any worker; "
      "beyond maxPendingRequests they get 503, after a pause before each retry")
def order():
    gateway, backend, held, upstream = limited("maxConnections: 1, maxPendingRequests: 6", config=RETRYING)
    clients = line_up(gateway, 6)
    refused(gateway, "/more", "pending_overflow")
    eq(gateway.metrics()("headgate_limit_refused_total", limit="maxPendingRequests"), 3, "refusals")
    eq(gateway.admin("/trace").text.count("state=backoff"), 2, "pauses")
    for number, client in enumerate(clients):
        answer(upstream, held)
        upstream = backend.accept()
        eq(upstream.read_request().target, f"/{number}", "who is next")
        waiting(gateway, 5 - number)
        held = client
    answer(upstream, held)
    wait_until(lambda: not gateway.streams(), 5, "the end of the requests")
    check("pending limit=maxConnections" in gateway.admin("/trace").text, "the trace names the limit")


@test("a request that has waited for pendingTimeout gets 503 without a retry, and the trace names the timer")
def timeout():
    gateway, backend, held, upstream = limited(
        "maxParallelRequests: 1, maxPendingRequests: 2, pendingTimeout: 50ms", config=RETRYING)
    refused(gateway, "/late", "pending_timeout")
    metrics = gateway.metrics()
    eq((metrics("headgate_limit_refused_total", limit="pendingTimeout"),
        metrics("headgate_timer_fired_total", timer="pending_timeout"),
        metrics("headgate_pending_requests"), metrics("agentgateway_retries_total")), (1, 1, 0, 0),
       "refusals, timers, waiting requests, retries")
    trace = gateway.admin("/trace").text
    check("deadline=pending_timeout" in trace and "limit=maxParallelRequests" in trace, "the trace")
    answer(upstream, held)


@test("a client that leaves while it waits gives its position to the next, and costs no place")
def leaves():
    gateway, backend, held, upstream = limited("maxParallelRequests: 1, maxPendingRequests: 9")
    clients = line_up(gateway, 4)
    clients[0].rst()
    clients[2].close()
    waiting(gateway, 2)
    for number in (1, 3):
        answer(upstream, held)
        upstream = backend.accept()
        eq(upstream.read_request().target, f"/{number}", "who is next")
        held = clients[number]
    answer(upstream, held)
    waiting(gateway, 0)


@test("a request that would find a place waits behind those who came before it")
def behind():
    gateway, backend = acted("""
binds:
- port: @port@
  listeners:
  - routes:
    - name: strict
      matches: [{path: {exact: /strict}}]
      backends: [{backend: b, policies: {circuitBreaker: {maxParallelRequests: 1, maxPendingRequests: 2}}}]
    - name: all
      backends: [{backend: b, policies: {circuitBreaker: {maxParallelRequests: 9, maxPendingRequests: 2}}}]
backends: [{name: b, host: "@origin@"}]
""", workers=2)
    held = gateway.client().request("GET", "/held", host="a")
    upstream = backend.accept()
    upstream.read_request()
    strict = gateway.client().request("GET", "/strict", host="a")
    waiting(gateway, 1)
    last = gateway.client().request("GET", "/last", host="a")
    waiting(gateway, 2)
    answer(upstream, held)
    upstreams = [backend.accept(), backend.accept()]
    eq({upstream.read_request().target for upstream in upstreams}, {"/strict", "/last"}, "who follows")
    for end in (strict, last, *upstreams):
        end.close()


@test("streams of HTTP/2 clients and tunnels of TCP wait in the same line")
def kinds():
    gateway, backend, held, upstream = limited("maxConnections: 1, maxPendingRequests: 3")
    client = H2Client(gateway.port)
    first = client.request("/first")
    waiting(gateway, 1)
    tunnel = gateway.client("tcp")
    tunnel.send(b"x")
    waiting(gateway, 2)
    last = client.request("/last")
    waiting(gateway, 3)
    answer(upstream, held)
    upstream = backend.accept()
    eq(upstream.read_request().target, "/first", "who is next")
    upstream.respond(200, [("Connection", "close")])
    eq(client.response(first).status, 200, "status")
    upstream.close()
    upstream = backend.accept()
    eq(upstream.read(1), b"x", "the byte of the tunnel")
    tunnel.close()
    upstream.close()
    upstream = backend.accept()
    eq(upstream.read_request().target, "/last", "who is next")
    upstream.respond(200)
    eq(client.response(last).status, 200, "status")


@test("a stream on an open HTTP/2 connection that ends makes room, although the connection stays in use; so "
      "do SETTINGS that allow more streams")
def shared():
    gateway, backend = acted2(LIMITED, values={f.MAX_CONCURRENT_STREAMS: 2},
                              limits="maxConnections: 1, maxPendingRequests: 2",
                              more="http: {version: HTTP/2.0}")
    clients = [gateway.client().request("GET", "/0", host="a")]
    upstream = backend.accept()
    streams = [upstream.expect_request()[0]]
    clients.append(gateway.client().request("GET", "/1", host="a"))
    streams.append(upstream.expect_request()[0])
    clients.append(gateway.client().request("GET", "/2", host="a"))
    waiting(gateway, 1)
    upstream.respond(streams[0], 200)
    eq(clients[0].response().status, 200, "status")
    streams.append(upstream.expect_request()[0])
    waiting(gateway, 0)
    clients.append(gateway.client().request("GET", "/3", host="a"))
    waiting(gateway, 1)
    upstream.send(f.settings({f.MAX_CONCURRENT_STREAMS: 3}))
    streams.append(upstream.expect_request()[0])
    for at in (1, 2, 3):
        upstream.respond(streams[at], 200)
        eq(clients[at].response().status, 200, "status")


@test("while a connection is opened that a request may share, the next one gets a place; who waits in the "
      "same worker gets a stream as soon as the connection has some")
def opening():
    for settles_first in (False, True):
        gateway, backend = acted2("""
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /1}}]
      backends: [{backend: b}]
    - backends: [{backend: b, policies: {http: {version: HTTP/2.0}}}]
backends:
- name: b
  host: "@origin@"
  policies: {circuitBreaker: {maxConnections: 2, maxPendingRequests: 4}}
""")
        clients = {"/1/held": gateway.client().request("GET", "/1/held", host="a")}
        held = Backend.accept(backend)
        held.read_request()
        clients["/2/held"] = gateway.client().request("GET", "/2/held", host="a")
        first = backend.accept(values={f.MAX_CONCURRENT_STREAMS: 1})
        number = first.expect_head()
        for count, path in enumerate(("/2/a", "/2/b", "/1/c", "/2/d")):
            clients[path] = gateway.client().request("GET", path, host="a")
            waiting(gateway, count + 1)
        first.send(f.goaway(number, f.NO_ERROR))
        first.respond(number, 200)
        # The next one opens a connection, and the second waits for it.
        second = backend.accept(settings=False, acks=False)
        eq(second.expect_request()[1].target, "/2/a", "who opens a connection")
        waiting(gateway, 3)  # pendingTimeout applies to the second, not connectTimeout

        def serve_c():
            answer(held, clients["/1/held"])
            upstream = Backend.accept(backend)
            eq(upstream.read_request().target, "/1/c", "who gets a place")
            answer(upstream, clients["/1/c"])

        def settle():
            second.send(f.settings(), f.settings(ack=True))
            eq({second.expect_request()[1].target for _ in range(2)}, {"/2/b", "/2/d"}, "who gets a stream")

        for step in (settle, serve_c) if settles_first else (serve_c, settle):
            step()
        for number in second.streams:
            second.respond(number, 200)
        for path in ("/2/a", "/2/b", "/2/d"):
            eq(clients[path].response().status, 200, path)
        waiting(gateway, 0)


@test("a free stream that the first one who waits may not use, because its session is elsewhere, goes to the "
      "next one")
def excluded():
    ends = [H2Backend({f.MAX_CONCURRENT_STREAMS: most}) for most in (1, 2)]
    gateway = Gateway(SESSIONS % tuple(end.port for end in ends), workers=1)
    first = gateway.client().request("GET", "/session", host="a")
    upstream = ends[0].accept()
    upstream.respond(upstream.expect_request()[0], 200)
    cookie = first.response().headers["Set-Cookie"].partition(";")[0]
    clients, streams = {}, {}

    def ask(path, *headers):
        clients[path] = gateway.client().request("GET", path, headers=headers, host="a")

    def arrives(upstream, path):
        streams[path], message = upstream.expect_request()
        eq(message.target, path, "who is served")

    ask("/1")
    arrives(upstream, "/1")
    ask("/2")
    other = ends[1].accept()
    arrives(other, "/2")
    ask("/3")
    arrives(other, "/3")
    ask("/sticks", ("Cookie", cookie))
    waiting(gateway, 1)
    ask("/free")
    waiting(gateway, 2)
    other.respond(streams["/2"], 200)
    arrives(other, "/free")
    waiting(gateway, 1)
    upstream.respond(streams["/1"], 200)
    arrives(upstream, "/sticks")
    for end, path in ((other, "/3"), (other, "/free"), (upstream, "/sticks")):
        end.respond(streams[path], 200)
    for path, client in clients.items():
        eq(client.response().status, 200, path)


@test("perEndpoint.maxConnections: who waits gets the endpoint that has room first")
def endpoints():
    other = Backend()
    gateway, backend = acted(LIMITED.replace('host: "@origin@"', 'endpoints: [{host: "@origin@"}, '
                                             '{host: "127.0.0.1:@other@"}]'), workers=2, more="",
                             other=other.port,
                             limits="perEndpoint: {maxConnections: 1}, maxPendingRequests: 2")
    held = [gateway.client().request("GET", "/held", host="a") for _ in range(2)]
    upstreams = [end.accept() for end in (backend, other)]
    for upstream in upstreams:
        upstream.read_request()
    clients = line_up(gateway, 2)
    for at, end in ((1, other), (0, backend)):
        upstreams[at].respond(200, [("Connection", "close")])
        upstreams[at].close()
        upstreams[at] = end.accept()
        eq(upstreams[at].read_request().target, f"/{1 - at}", "who is next")
    for end in (*held, *clients, *upstreams):
        end.close()


@test("a reload keeps those who wait and their order; a drain serves them")
def reload():
    gateway, backend, held, upstream = limited("maxConnections: 1, maxPendingRequests: 2")
    clients = line_up(gateway, 2)
    gateway.reload(LIMITED.replace("@limits@", "maxConnections: 1, maxPendingRequests: 4"))
    clients.append(gateway.client().request("GET", "/2", host="a"))
    waiting(gateway, 3)
    gateway.terminate()
    for number, client in enumerate(clients):
        answer(upstream, held)
        upstream = backend.accept()
        eq(upstream.read_request().target, f"/{number}", "who is next")
        held = client
    answer(upstream, held)
    gateway.expect_exit()


@test("an upgrade serves those who wait, in their order, in the program that they reached")
def upgraded():
    gateway, backend, held, upstream = limited(
        "maxConnections: 1, maxPendingRequests: 2, pendingTimeout: 60s",
        config=LIMITED + "config: {connectionTerminationDeadline: 60s}\n", keeper=True, checked=False,
        args=["--restart-limit", "0"])
    clients = line_up(gateway, 2)
    os.kill(gateway.pid, signal.SIGUSR2)
    new_process = NewProcess(gateway)
    wait_until(lambda: "draining: no longer ready" in gateway.stderr, 10, "the new program serves")
    for number, client in enumerate(clients):
        answer(upstream, held)
        upstream = backend.accept()
        eq(upstream.read_request().target, f"/{number}", "who is next")
        held = client
    answer(upstream, held)
    eq(gateway.wait(10), 0, "exit status of the old one")
    client = gateway.client().request("GET", "/new", host="a")
    upstream = backend.accept()
    eq(upstream.read_request().target, "/new", "what the new one sends")
    answer(upstream, client)
    new_process.stop()
