# SPDX-License-Identifier: Apache-2.0
"""A reused connection that dies before it answers: repeated once where safe, never where it is not."""
import os
import signal
import time

from hg import *
from plays import SIMPLE, acted, play


def pooled(gateway, backend):
    """A connection of the backend that waits in the pool, and the client that made it."""
    client = gateway.client().request("GET", "/warm")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond()
    client.response()
    wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 1, 5, "a pooled connection")
    return client, upstream


@test("a reused connection that dies under a GET is replaced, whether the backend read the request or not")
def get_is_repeated():
    gateway, backend = acted()
    for end in ("fin", "rst", "unread"):
        client, upstream = pooled(gateway, backend)
        client.request("GET", "/again")
        if end != "unread":
            eq(upstream.read_request().target, "/again", "the request on the reused connection")
        else:
            wait_until(lambda u=upstream: upstream_has_bytes(u), 5, "the bytes to arrive")
        upstream.rst() if end == "rst" else upstream.close()
        fresh = backend.accept()
        eq(fresh.read_request().target, "/again", "the repeated request")
        fresh.respond(headers=[("Connection", "close")], body=b"good")
        eq(client.response().body, b"good", "answer")
    eq(gateway.metrics()("headgate_retries_reused_connection_total"), 3, "repeats counted")
    eq(gateway.metrics()("agentgateway_retries_total"), 0, "retries of a policy")


@test("every idempotent method is repeated, with its body")
def idempotent():
    gateway, backend = acted()
    for method, body in (("HEAD", None), ("PUT", b"x" * 60000), ("DELETE", None), ("OPTIONS", None),
                         ("DELETE", b"why")):
        client, upstream = pooled(gateway, backend)
        client.request(method, "/m", body=body)
        upstream.read_request()
        upstream.close()
        fresh = backend.accept()
        request = fresh.read_request()
        eq((request.method, request.body), (method, body or b""), "the repeated request")
        fresh.respond(headers=[("Connection", "close")])
        eq(client.response(method).status, 200, "status")


@test("a chunked PUT is repeated whole, with trailers, also when half of it had been sent")
def chunked_put():
    gateway, backend = acted()
    client, upstream = pooled(gateway, backend)
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    upstream.request_head()
    upstream.read(len(b"5\r\nhello\r\n"))
    upstream.close()
    client.send("6\r\n world\r\n0\r\nX-T: 1\r\n\r\n")
    fresh = backend.accept()
    request = fresh.read_request()
    eq((request.body, request.trailers.pairs), (b"hello world", [("X-T", "1")]), "the repeated request")
    fresh.respond()
    eq(client.response().status, 200, "status")


@test("a POST that the backend read is never sent twice: 503")
def post_was_read():
    gateway, backend = acted()
    for end in ("close", "rst"):
        client, upstream = pooled(gateway, backend)
        client.request("POST", "/pay", body=b"amount=1")
        eq(upstream.read_request().body, b"amount=1", "the request")
        getattr(upstream, end)()
        answer = client.response()
        eq(answer.status, 503, "status")
        check(answer.text.startswith("upstream call failed: SendRequest: "), answer.text)
        backend.expect_no_connection(0.1)
    eq(gateway.metrics()("headgate_retries_reused_connection_total"), 0, "repeats")


@test("a POST that the backend's kernel took but its program did not read is not sent twice either")
def post_was_acknowledged():
    gateway, backend = acted()
    client, upstream = pooled(gateway, backend)
    client.request("POST", "/pay", body=b"amount=1")
    wait_until(lambda: upstream_has_bytes(upstream), 5, "the bytes to arrive")
    upstream.close()
    eq(client.response().status, 503, "status")
    backend.expect_no_connection(0.1)


def upstream_has_bytes(upstream):
    import select
    return bool(select.select([upstream.socket], [], [], 0)[0])


@test("a backend that closes idle connections unannounced costs no GET an error, and sees no POST twice",
      timeout=60)
def reuse_race():
    gateway, origin = play(workers=2, origin_options={"close_idle_ms": 20})
    clients = [gateway.client() for _ in range(8)]
    posts = errors = 0
    for number in range(100):
        method = ("GET", "POST")[number % 2]
        for client in clients:
            client.request(method, "/anything?count=" + method, body=b"x" if method == "POST" else None)
        for client in clients:
            answer = client.response()
            if method == "GET":
                eq(answer.status, 200, "status of a GET")
                continue
            posts += 1
            errors += answer.status != 200
            check(answer.status in (200, 503), f"a POST: {answer}")
        time.sleep(0.0185 + 0.0005 * (number % 7))
    count = origin.counter("POST")
    check(posts - errors <= count <= posts,
          f"{count} POSTs at the backend, {posts} sent, {errors} answered with 503")
    metrics = gateway.metrics()
    note(f"{errors} errors, {metrics('headgate_upstream_pool_stale_total')} stale, "
         f"{metrics('headgate_retries_reused_connection_total')} repeats")


@test("a POST is answered, and sent once, when the backend had closed the pooled connection before, whether "
      "the gateway has noticed or learns of both together")
def post_after_close():
    gateway, backend = acted()
    for together in False, True:
        client, upstream = pooled(gateway, backend)
        if together:
            gateway.signal(signal.SIGSTOP)
            os.waitid(os.P_PID, gateway.pid, os.WSTOPPED)
        upstream.close()
        if not together:
            wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 0, 5, "an empty pool")
        client.request("POST", "/pay", body=b"amount=1")
        gateway.signal(signal.SIGCONT)
        fresh = backend.accept()
        eq(fresh.read_request().body, b"amount=1", "the POST")
        fresh.respond(headers=[("Connection", "close")], body=b"paid")
        eq(client.response().body, b"paid", "answer")
        backend.expect_no_connection(0.1)


@test("a POST sent while the backend's FIN was on the way is repeated: the FIN does not acknowledge it",
      needs=("netns",))
def fin_on_the_way():
    net = Net()
    backend = Backend(host=net.client.address, netns=net.client)
    gateway = Gateway(SIMPLE, origin=backend, workers=1, netns=net.server)
    client, upstream = pooled(gateway, backend)
    net.drop("server", "tcp flags & fin == fin")
    net.drop("client", f"tcp sport {upstream.socket.getpeername()[1]}")
    upstream.close()
    client.request("POST", "/pay", body=b"amount=1")
    client.expect_silence(0.05)
    net.mend("server")
    fresh = backend.accept()
    eq(fresh.read_request().body, b"amount=1", "the repeated POST")
    fresh.respond(body=b"paid")
    eq(client.response().body, b"paid", "answer")
    eq(gateway.metrics()("headgate_retries_reused_connection_total"), 1, "repeats")


@test("a fresh connection that dies is not repeated: the backend is broken, not the pool")
def fresh_is_not_repeated():
    gateway, _ = play()
    answer = gateway.fetch("/close/fin?count=once")
    eq(answer.status, 503, "status")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 1, "connections")


@test("the repeat happens once, on a new connection, though more stale ones wait in the pool")
def once_only():
    gateway, backend = acted()
    clients = [gateway.client().request("GET", "/warm") for _ in range(3)]
    upstreams = [backend.accept() for _ in clients]
    for upstream in upstreams:
        upstream.read_request()
        upstream.respond()
    for client in clients:
        client.response()
    wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 3, 5, "three pooled connections")
    clients[0].request("GET", "/x")
    used = next(u for u in wait_any(upstreams))
    used.read_request()
    used.close()
    fresh = backend.accept()
    fresh.read_request()
    fresh.close()
    eq(clients[0].response().status, 503, "status after two connections died")
    backend.expect_no_connection(0.1)


def wait_any(upstreams):
    import select
    ready = select.select([u.socket for u in upstreams], [], [], 10 * factor())[0]
    check(ready, "the request on one of the pooled connections")
    return [u for u in upstreams if u.socket in ready]


@test("nothing is repeated once a byte of an answer came")
def after_a_byte():
    gateway, backend = acted()
    client, upstream = pooled(gateway, backend)
    client.request("GET", "/x")
    upstream.read_request()
    upstream.send("HTTP/1.1 2")
    upstream.close()
    eq(client.response().status, 503, "status")
    backend.expect_no_connection(0.1)


@test("a body larger than the replay buffer is not repeated, not even for PUT")
def large_put():
    gateway, backend = acted()
    client, upstream = pooled(gateway, backend)
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", pattern(200000))
    upstream.request_head()
    upstream.read(100000)
    upstream.close()
    eq(client.response().status, 503, "status")
    backend.expect_no_connection(0.1)


@test("no byte of a repeated body is lost when the dead connection refuses the first send", timeout=60)
def refused_at_once():
    gateway, origin = play(origin_options={"close_idle_ms": 5})
    client = gateway.client()
    for round_ in range(60):
        client.get("/get")
        time.sleep(0.004 + 0.0001 * (round_ % 20))
        size = (100, 60000, 90000, 200000)[round_ % 4]
        answer = client.request("PUT", "/upload", body=pattern(size)).response()
        if answer.status == 503 and size > 65536:
            client = gateway.client()
            continue
        got = answer.json()
        eq((got["length"], got["is_pattern"]), (size, True), f"round {round_}")
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")
