# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards backends: messages of either version, shared connections, GOAWAY, REFUSED_STREAM."""
import time

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from h2backends import POLICIES, RETRY, acted2, one_exchange, served
from h2cases import HTTP2_BACKEND


# ---- messages --------------------------------------------------------------------------------------------


@test("the gateway begins with the preface and SETTINGS that forbid pushing")
def preface():
    _, _, _, _, upstream, _ = one_exchange()
    eq(upstream.theirs.get(f.ENABLE_PUSH), 0, "ENABLE_PUSH")
    check(upstream.theirs.get(f.INITIAL_WINDOW_SIZE, 65535) >= 65535, f"{upstream.theirs}")


@test("HTTP/1.1 to HTTP/2: methods, bodies of both framings, HEAD, and no field of HTTP/1.1")
def from_http1():
    gateway, service = served()
    client = gateway.client()
    pieces = [pattern(150000), pattern(150000, 150000)]
    for method, body, chunked in (("GET", None, False), ("POST", pattern(300000), False),
                                  ("DELETE", None, False), ("POST", pieces, True), ("POST", b"", False)):
        client.request(method, "/path?q=1", {"X-Upper": "Yes", "Keep-Alive": "5", "Connection": "x-hop",
                                             "X-Hop": "1", "Accept": "*/*"}, body, chunked)
        got = client.response().json()
        headers = dict(got["headers"])
        eq((got["method"], got["path"], got["authority"]), (method, "/path?q=1", client.host), "request line")
        eq((headers.get("x-upper"), headers.get("accept"), headers.get("x-hop"), headers.get("host")),
           ("Yes", "*/*", None, None), "fields")
        size = sum(map(len, body)) if chunked else len(body or b"")
        eq((got["length"], got["is_pattern"]), (size, True), "body")
        eq(headers.get("content-length"), str(size) if body is not None and not chunked else None,
           f"content-length of {method} {chunked}")
    eq(client.request("HEAD", "/bytes/5000").response("HEAD").headers["Content-Length"], "5000", "HEAD")
    verify(client.get("/bytes/700000").body, 700000)
    eq(client.get("/bytes/0").body, b"", "an empty body")
    eq(service.connections, 1, "connections to the backend")


@test("HTTP/2 to HTTP/2: methods, bodies, HEAD, cookies as they come")
def from_http2():
    gateway, service = served()
    client = H2Client(gateway.port)
    for method, body in (("GET", None), ("POST", pattern(1000000)), ("POST", b""), ("PUT", pattern(1))):
        number = client.request("/path?q=1", method, {"x-a": "b", "te": "trailers"}, body)
        got = client.response(number).json()
        eq((got["method"], got["path"], got["authority"], got["length"], got["is_pattern"]),
           (method, "/path?q=1", client.authority, len(body or b""), True), "request")
        eq((dict(got["headers"]).get("x-a"), dict(got["headers"]).get("te")), ("b", "trailers"), "fields")
    eq(client.response(client.request("/bytes/5000", "HEAD")).headers["content-length"], "5000", "HEAD")
    verify(client.get("/bytes/700000").body, 700000)
    got = client.get("/", [("cookie", "a=1"), ("cookie", "b=2")]).json()
    eq("; ".join(v for k, v in got["headers"] if k == "cookie"), "a=1; b=2", "cookies")
    eq(service.connections, 1, "connections to the backend")


@test("trailers pass in both directions, from and to either version")
def trailers():
    gateway, backend = acted2()
    client = H2Client(gateway.port)
    number = client.request("/x", "POST", {"te": "trailers"}, b"body", trailers=[("x-req", "1")])
    upstream = backend.accept()
    there, message = upstream.expect_request()
    eq((message.body, message.trailers["x-req"]), (b"body", "1"), "request")
    upstream.respond(there, 200, {"trailer": "x-res"}, b"answer", [("x-res", "2")])
    answer = client.response(number)
    eq((answer.body, answer.trailers["x-res"]), (b"answer", "2"), "response")
    one = gateway.client()
    one.send("POST /y HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n"
             "\r\n4\r\nbody\r\n0\r\nX-Req: 3\r\n\r\n")
    there, message = upstream.expect_request()
    eq((message.body, message.trailers["x-req"], message.headers["te"]), (b"body", "3", "trailers"),
       "request")
    upstream.respond(there, 200, {"trailer": "x-res"}, b"answer", [("x-res", "4")])
    answer = one.response()
    eq((answer.body, answer.trailers["x-res"]), (b"answer", "4"), "response to HTTP/1.1")


@test("a response of trailers only, or of a head only, ends at both versions")
def no_body():
    gateway, backend = acted2()
    one, two = gateway.client(), H2Client(gateway.port)
    upstream = None
    for status in (200, 204, 304, 404):
        one.request("GET", "/one")
        upstream = upstream or backend.accept()
        upstream.head(upstream.expect_head(), status, end=True)
        eq(one.response().status, status, "status")
        number = two.request("/two")
        upstream.head(upstream.expect_head(), status, end=True)
        answer = two.response(number)
        eq((answer.status, answer.body), (status, b""), "answer")


@test("interim responses pass: 103 to both versions, 100 to who expects it")
def interim():
    gateway, backend = acted2()
    one, two = gateway.client().request("GET", "/x"), H2Client(gateway.port)
    upstream = backend.accept()
    there = upstream.expect_head()
    upstream.head(there, 103, {"link": "</a>"}).respond(there, 200, {}, b"done")
    answer = one.response()
    eq(([i.status for i in answer.interim], answer.body), ([103], b"done"), "answer of HTTP/1.1")
    number = two.request("/y", "POST", {"expect": "100-continue"}, end=False)
    there = upstream.expect_head()
    upstream.head(there, 100)
    two.wait(lambda: two.streams[number].interim, what="100")
    two.send_data(number, b"data", True)
    upstream.wait(lambda: upstream.streams[there].ended, what="the body")
    upstream.respond(there, 200, {}, b"done")
    eq(two.response(number).body, b"done", "body")


@test("a response before the end of the upload arrives at both versions, and the rest goes nowhere")
def early():
    gateway, backend = acted2()
    two = H2Client(gateway.port)
    number = two.request("/x", "POST", end=False)
    two.send_data(number, b"begin")
    upstream = backend.accept()
    there = upstream.expect_head()
    upstream.respond(there, 413, {}, b"too much")
    upstream.send(f.rst_stream(there, f.NO_ERROR))
    eq(two.response(number).body, b"too much", "body")
    check(two.poll().streams[number].rst in (None, f.NO_ERROR, f.CANCEL), "code of the reset")
    one = gateway.client().send("POST /y HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "begin")
    there = upstream.expect_head()
    upstream.respond(there, 413, {}, b"too much")
    upstream.send(f.rst_stream(there, f.NO_ERROR))
    eq(one.response().status, 413, "status")
    number = two.request("/next")
    upstream.respond(upstream.expect_head(), 200, {}, b"next")
    eq(two.response(number).body, b"next", "body of the next one")


# ---- shared connections ----------------------------------------------------------------------------------


def many(gateway, count, path="/x"):
    """So many requests at once, each of a client of its own."""
    return [gateway.client().request("GET", f"{path}{i}") for i in range(count)]


@test("requests of many clients share one connection")
def shared():
    gateway, backend = acted2()
    first = gateway.client().request("GET", "/first")
    upstream = backend.accept()
    upstream.respond(upstream.expect_head())
    eq(first.response().status, 200, "status")
    clients = many(gateway, 50)
    numbers = [upstream.expect_head() for _ in clients]
    backend.expect_no_connection(0.05)
    for number in reversed(numbers):
        upstream.respond(number, 200, {}, upstream.streams[number].message.target.encode())
    for i, client in enumerate(clients):
        eq(client.response().body, b"/x%d" % i, "each has its own answer")


@test("a burst of requests without a connection opens one, and all of them go there")
def burst():
    gateway, backend = acted2()
    clients = many(gateway, 30)
    upstream = backend.accept()
    numbers = [upstream.expect_head() for _ in clients]
    for number in numbers:
        upstream.respond(number)
    for client in clients:
        eq(client.response().status, 200, "status")
    backend.expect_no_connection(0)


@test("the peer's MAX_CONCURRENT_STREAMS is kept, and more connections are opened when all are full")
def limits():
    gateway, backend = acted2(values={f.MAX_CONCURRENT_STREAMS: 10})
    first = gateway.client().request("GET", "/first")
    upstreams = [backend.accept()]
    upstreams[0].respond(upstreams[0].expect_head())
    eq(first.response().status, 200, "status")
    clients, running = many(gateway, 35), []

    def take():
        """Up to 10 of each connection; what crossed the SETTINGS of a new one is refused, as servers do."""
        try:
            upstreams.append(backend.accept(0.02 / factor()))
        except Failure:
            pass
        for upstream in upstreams:
            upstream.poll()
            while upstream.arrived:
                number = upstream.arrived.popleft()
                if sum(1 for u, _ in running if u is upstream) < 10:
                    running.append((upstream, number))
                    continue
                check(upstream is not upstreams[0], "more than 10 streams where SETTINGS were known")
                upstream.send(f.rst_stream(number, f.REFUSED_STREAM))
        return len(running) == 35
    wait_until(take, 5, "35 requests")
    eq(len(upstreams), 4, "connections for 35 streams of 10 each")
    for upstream, number in running:
        upstream.respond(number)
    for client in clients:
        eq(client.response().status, 200, "status")


@test("a limit that is lowered to one, and to none, counts from then on")
def lowered():
    gateway, backend = acted2()
    first = gateway.client().request("GET", "/first")
    upstream = backend.accept()
    upstream.respond(upstream.expect_head())
    eq(first.response().status, 200, "status")
    upstream.send(f.settings({f.MAX_CONCURRENT_STREAMS: 1}))
    upstream.wait(lambda: upstream.settings_acked >= 2, what="the acknowledgement")
    clients = many(gateway, 2)
    other = backend.accept()
    for there in (upstream, other):
        there.respond(there.expect_head())
    for client in clients:
        eq(client.response().status, 200, "status")
    upstream.send(f.settings({f.MAX_CONCURRENT_STREAMS: 0}))
    upstream.wait(lambda: upstream.settings_acked >= 3, what="the acknowledgement")
    for _ in range(4):
        client = gateway.client().request("GET", "/again")
        other.respond(other.expect_head())
        eq(client.response().status, 200, "status")
        eq(len(upstream.poll().arrived), 0, "requests on the connection that allows none")


@test("an idle connection is closed with GOAWAY after poolIdleTimeout")
def pool_idle():
    gateway, backend = acted2(HTTP2_BACKEND + "config: {backend: {poolIdleTimeout: 1s}}\n")
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    with within(1.0, "the close of the idle connection"):
        upstream.respond(upstream.expect_head())
        eq(client.response().status, 200, "status")
        upstream.expect_end()
    check(all(last.code == f.NO_ERROR for last in upstream.goaways), f"{upstream.goaways}")


@test("HTTP/2 requests on many connections of clients use few towards the backend", timeout=40)
def funnel():
    gateway, service = served()
    clients = [H2Client(gateway.port) for _ in range(10)]
    for _ in range(5):
        numbers = [(client, [client.request("/bytes/2000") for _ in range(20)]) for client in clients]
        for client, streams in numbers:
            for number in streams:
                verify(client.response(number).body, 2000)
    eq(sum(service.requests), 1000, "requests")
    check(service.connections <= 3, f"{service.connections} connections")


# ---- GOAWAY and REFUSED_STREAM ---------------------------------------------------------------------------


@test("a request that a GOAWAY leaves out goes to another connection, with its body, for either version")
def goaway_unseen():
    for version in (1, 2):
        for method, body in (("GET", None), ("POST", b"x" * 1000)):
            gateway, backend = acted2()
            if version == 1:
                client = gateway.client().request(method, "/x", body=body)
            else:
                client = H2Client(gateway.port)
                number = client.request("/x", method, body=body)
            upstream = backend.accept()
            upstream.expect_request()
            upstream.send(f.goaway(0))
            other = backend.accept()
            there, message = other.expect_request()
            eq((message.method, message.body), (method, body or b""), "the request again")
            other.respond(there, 200, {}, b"second")
            answer = client.response() if version == 1 else client.response(number)
            eq((answer.status, answer.body), (200, b"second"), "answer")
            upstream.expect_end()


@test("a request that a GOAWAY includes is finished where it is, the next one goes elsewhere")
def goaway_seen():
    gateway, backend, client, number, upstream, there = one_exchange()
    upstream.send(f.goaway(there))
    upstream.expect_no_request(0)
    other_number = client.request("/other")
    other = backend.accept()
    other.respond(other.expect_head(), 200, {}, b"other")
    eq(client.response(other_number).body, b"other", "the next request")
    upstream.respond(there, 200, {}, b"first")
    eq(client.response(number).body, b"first", "the first request")
    upstream.expect_end()
    eq(gateway.metrics()("agentgateway_retries_total"), 0, "retries")


@test("the two GOAWAY of a graceful shutdown (2^31-1, then the last stream) lose nothing")
def goaway_polite():
    _, backend, client, number, upstream, there = one_exchange()
    upstream.send(f.goaway(f.LARGEST_WINDOW))
    upstream.send(f.ping(b"roundtri"))
    upstream.wait(lambda: upstream.ping_acks, what="the answer to PING")
    upstream.send(f.goaway(there))
    upstream.respond(there, 200, {}, b"done")
    eq(client.response(number).body, b"done", "body")
    number = client.request("/next")
    other = backend.accept()
    other.respond(other.expect_head(), 200, {}, b"next")
    eq(client.response(number).body, b"next", "body of the next one")


@test("REFUSED_STREAM is repeated elsewhere or later, a few times, and then is a 503")
def refused():
    gateway, backend, client, number, upstream, there = one_exchange()
    tries, connections = 1, [upstream]
    upstream.send(f.rst_stream(there, f.REFUSED_STREAM))
    stream = client.streams[number]
    deadline = time.monotonic() + 5 * factor()
    while not client.poll().streams[number].ended and stream.rst is None and time.monotonic() < deadline:
        try:
            connections.append(backend.accept(0.01 / factor()))
        except Failure:
            pass
        for upstream in connections:
            while upstream.poll().arrived:
                upstream.send(f.rst_stream(upstream.arrived.popleft(), f.REFUSED_STREAM))
                tries += 1
    eq(client.response(number).status, 503, "status")
    check(2 <= tries <= 8, f"{tries} tries")
    eq(gateway.wait_log().status, 503, "status in the log")


@test("a backend that refuses everything is asked on four connections at most, however often a policy "
      "repeats")
def refused_with_policy():
    def refuse(upstream, number, _):
        upstream.send(f.rst_stream(number, f.REFUSED_STREAM))
    policy = "{retry: {attempts: 12, codes: [503], backoff: 10ms}}"
    gateway, service = served(POLICIES % policy, refuse)
    eq(gateway.fetch("/").status, 503, "status")
    check(sum(service.requests) > 12, f"requests on each connection: {service.requests}")
    check(service.connections <= 4, f"requests on each connection: {service.requests}")


@test("streams that lost their connection unprocessed share the next one, for a policy's attempts, too")
def shared_again():
    gateway, backend = acted2(POLICIES % "{retry: {attempts: 2, codes: [503], backoff: 10ms}}")
    clients = many(gateway, 6)
    lost = backend.accept()
    lost.wait(lambda: len(lost.arrived) == 6, what="six requests")
    lost.send(f.goaway(0))
    lost.close()
    other = backend.accept()
    for status in (503, 200):
        other.wait(lambda: len(other.arrived) == 6, what="six requests on the next connection")
        while other.arrived:
            other.respond(other.arrived.popleft(), status)
    for client in clients:
        eq(client.response().status, 200, "status")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 2, "connections to the backend")


@test("REFUSED_STREAM once: the second try, on another connection or this one, is answered")
def refused_once():
    _, backend, client, number, upstream, there = one_exchange(method="POST", body=b"body")
    upstream.wait(lambda: upstream.streams[there].ended, what="the body")
    upstream.send(f.rst_stream(there, f.REFUSED_STREAM))
    found = []

    def again():
        try:
            found.append(backend.accept(0.01 / factor()))
        except Failure:
            pass
        return next((u for u in [upstream, *found] if u.poll().arrived), None)
    other = wait_until(again, 10, "the second try")
    there, message = other.expect_request()
    eq(message.body, b"body", "the body again")
    other.respond(there, 200, {}, b"good")
    eq(client.response(number).body, b"good", "body")


@test("a request that was seen is not repeated by itself: RST_STREAM and a lost connection are 503")
def not_repeated():
    for ending in ("rst", "close"):
        gateway, backend, client, number, upstream, there = one_exchange()
        if ending == "rst":
            upstream.send(f.rst_stream(there, f.INTERNAL_ERROR))
        else:
            upstream.raw.rst()
        eq(client.response(number).status, 503, "status")
        check(gateway.wait_log()["close_reason"] in ("upstream_rst", "upstream_fin"), "close_reason")
        backend.expect_no_connection(0.05)


@test("with a retry policy a reset before the head is repeated, and retry.attempt counts it")
def retried():
    gateway, backend, client, number, upstream, there = one_exchange(RETRY)
    upstream.send(f.rst_stream(there, f.INTERNAL_ERROR))
    there = upstream.expect_head()
    upstream.head(there, 503, end=True)
    there = upstream.expect_head()
    eq(upstream.streams[there].message.headers["x-retry-attempt"], "2", "x-retry-attempt")
    upstream.respond(there, 200, {}, b"third")
    eq(client.response(number).body, b"third", "body")
    eq(gateway.wait_log()["retry.attempt"], "2", "retry.attempt")
    backend.expect_no_connection(0)
