# SPDX-License-Identifier: Apache-2.0
"""Idle backend connections: which are kept, for how long, and what ends them."""
import time

from hg import *
from plays import SIMPLE, acted, play
from timers import expect_fired, expect_over, with_clock


def pool(idle="90s", size=None):
    limit = f", poolMaxSize: {size}" if size is not None else ""
    return SIMPLE + f"config:\n  backend: {{poolIdleTimeout: {idle}{limit}}}\n"


def exchange(client, upstream, target="/", headers=()):
    client.request("GET", target)
    eq(upstream.read_request().target, target, "target at the backend")
    upstream.respond(headers=headers, body=b"ok")
    eq(client.response().body, b"ok", "answer")


@test("an idle connection is closed after poolIdleTimeout, with FIN")
def idle_timeout():
    gateway, backend = acted(pool("1s"))
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    with within(1.0, "the close of the idle connection"):
        upstream.respond()
        client.response()
        upstream.expect_fin()
    expect_fired(gateway, "pool_idle")


@test("each use begins the idle time anew", waits=True)
def idle_restarts():
    gateway, backend = acted(pool("1500ms"))
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond()
    client.response()
    for _ in range(3):
        upstream.expect_silence(0.6)  # three times this is more than the idle time
        exchange(client, upstream)
    with within(1.5, "the close of the idle connection"):
        upstream.expect_fin()
    expect_fired(gateway, "pool_idle")


@test("the backend's Keep-Alive: timeout=N is honoured, less one second; of 1 nothing is kept", waits=True)
def keep_alive_header():
    # /clock answers in the middle of that second.
    gateway, backend = acted(with_clock(SIMPLE, "request.path == '/clock/3' ? 2500 : 1500"))
    for header, n in (("timeout=2", 2), ("max=100, timeout=3", 3), (" Timeout = 2 ,x", 2)):
        client = gateway.client().request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        with within(n - 1, f"the close after {header}"):
            upstream.respond(headers=[("Keep-Alive", header)])
            client.response()
            eq(gateway.fetch(f"/clock/{n}").status, 200, "status of /clock")
            eq(expect_over(upstream, f"after {header}")[0], "fin", "how it was closed")
    expect_fired(gateway, "pool_idle", 3)
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(headers=[("Keep-Alive", "timeout=1")])
    client.response()
    upstream.expect_fin()
    expect_fired(gateway, "pool_idle", 3)


@test("a Keep-Alive longer than our own limit does not extend it, and a wrong one is ignored")
def keep_alive_bounds():
    gateway, backend = acted(pool("500ms"))
    for header in ("timeout=1000", "timeout=abc", "timeout", "max=5"):
        client = gateway.client().request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        with within(0.5, f"the close after {header}"):
            upstream.respond(headers=[("Keep-Alive", header)])
            client.response()
            upstream.expect_fin()


@test("httpbin with --keep-alive-timeout 2 never sees a reused connection die", waits=True)
def real_backend():
    gateway, _ = play(origin_options={"keep_alive_timeout": 2})
    client = gateway.client()
    least, most, begin, slept = 1, 1, None, 0
    for pause in (0.2, 0.6, 1.5, 0.4, 2.5, 0):
        asked = time.monotonic()
        eq(client.get("/anything").status, 200, "status")
        if begin is not None:  # the pause was no shorter than slept, and no longer than the time since begin
            least += slept > 1 + tolerance(1, slept + 1)
            most += time.monotonic() - begin >= 1
        begin, slept = asked, pause
        client.expect_silence(pause)
    metrics = gateway.metrics()
    eq((metrics("headgate_upstream_pool_stale_total"), metrics("headgate_retries_reused_connection_total")),
       (0, 0),
       "stale connections and repeats")
    connects = metrics("headgate_upstream_connects_total")
    check(least <= connects <= most,
          f"{connects} connections, want {least} to {most}: one more for each pause of over a second")


@test("bytes, FIN and RST on an idle connection end it at once")
def ends_when_readable():
    gateway, backend = acted()
    for number, what in enumerate(("bytes", "fin", "rst")):
        client = gateway.client().request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond()
        client.response()
        wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 1, 5, "a pooled connection")
        if what == "bytes":
            upstream.send("x")
            upstream.expect_end()
        elif what == "fin":
            upstream.fin()
            upstream.expect_fin()
        else:
            upstream.rst()
        wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 0, 5, "an empty pool")
        eq(gateway.metrics()("headgate_upstream_pool_stale_total"), number + 1, "stale connections counted")


@test("the most recently used connection is taken first, and poolMaxSize bounds the idle ones")
def last_in_first_out():
    gateway, backend = acted(pool(size=2))
    clients = [gateway.client().request("GET", f"/{n}") for n in range(4)]
    upstreams = [backend.accept() for _ in clients]
    numbers = [int(u.read_request().target[1:]) for u in upstreams]
    for number, upstream in zip(numbers, upstreams):
        upstream.respond(body=b"x")
        clients[number].response()
    for upstream in upstreams[:2]:
        upstream.expect_fin()
    wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 2, 5, "two idle connections")
    eq(gateway.metrics()("headgate_upstream_pool_evicted_total"), 2, "evicted")
    exchange(clients[0], upstreams[3], "/again")
    exchange(clients[1], upstreams[3], "/and-again")


@test("poolMaxSize: 0 keeps nothing")
def no_pool():
    gateway, _ = play(pool(size=0))
    client = gateway.client()
    eq([client.get("/anything").json()["connection"] for _ in range(3)], [1, 2, 3], "backend connections")
    eq(gateway.metrics()("headgate_upstream_pool_idle"), 0, "idle connections")


@test("connections whose message ended uncleanly are not pooled")
def unclean():
    gateway, _ = play()
    wanted = 0
    for path, method in (("/close/mid-body", "GET"), ("/bad/extra-bytes", "GET"), ("/early/400", "POST"),
                         ("/close/after", "GET"),
                         ("/close-delimited/5", "GET"), ("/bad/dup-cl", "GET")):
        client = gateway.client()
        if method == "POST":
            client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
        else:
            client.request("GET", path)
        client.response_head()
        client.close()
        wanted += 1
        gateway.wait_log(count=wanted)
        eq(gateway.metrics()("headgate_upstream_pool_idle"), 0, f"idle connections after {path}")


@test("an answer that the client abandons is not pooled, and the backend learns of it")
def abandoned():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + "x" * 1000)
    client.response_head()
    client.rst()
    upstream.expect_end()
    eq(gateway.wait_log()["close_reason"], "client_rst", "close_reason")


@test("workers keep pools of their own, and endpoints share none")
def separate():
    two = SIMPLE.replace("    - name: all\n",
                         "    - name: other\n      matches: [{path: {pathPrefix: /other}}]\n"
                         "      backends: [{host: @second@}]\n    - name: all\n")
    second = Origin(name="second")
    gateway, _ = play(two, second=second)
    client = gateway.client()
    for _ in range(3):
        eq(client.get("/anything").json()["connection"], 1, "connection to the first")
        client.get("/other")
    eq(second.stats()["connections"], 2, "connections to the second, this question included")
    eq(gateway.metrics()("headgate_upstream_pool_idle"), 2, "idle connections")


@test("a Unix socket backend is pooled like any other")
def unix_backend():
    gateway, _ = play(origin_options={"unix": True})
    client = gateway.client()
    eq([client.get("/anything").json()["request"] for _ in range(3)], [1, 2, 3], "request numbers")
    eq(verify(client.get("/bytes/1000000").body, 1000000), crc32(1000000), "checksum")
    eq(client.request("POST", "/upload", body=pattern(500000)).response().json()["is_pattern"], True,
       "upload")


@test("after the backend's restart the next requests are answered without an error")
def restart():
    gateway, origin = play(workers=2)
    clients = [gateway.client() for _ in range(8)]
    for client in clients:
        eq(client.get("/get").status, 200, "status before")
    origin.restart()
    for client in clients:
        eq(client.get("/get").status, 200, "status behind the restart")
