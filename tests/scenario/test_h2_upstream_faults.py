# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards backends: resets both ways, broken and silent backends, flow control, PINGs."""
import select
import time

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.h2_backend import H2Backend, H2Service
from h2attack import Memory
from h2backends import POLICIES, acted2, one_exchange, served
from h2cases import HTTP2_BACKEND, expect_refused
from timers import expect_fired


# ---- resets ----------------------------------------------------------------------------------------------


@test("a reset of the client is a reset at the backend, with its code, and the connection stays")
def client_reset():
    for code in (f.CANCEL, f.INTERNAL_ERROR):
        _, backend, client, number, upstream, there = one_exchange()
        client.reset(number, code)
        eq(upstream.expect_rst(there, code, f.CANCEL), code, "code at the backend")
        number = client.request("/next")
        upstream.respond(upstream.expect_head(), 200, {}, b"next")
        eq(client.response(number).body, b"next", "body")
        backend.expect_no_connection(0)


@test("an HTTP/1.1 client that goes away is a reset at the backend, and costs no connection")
def client_gone():
    gateway, backend = acted2()
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    there = upstream.expect_head()
    client.rst()
    upstream.expect_rst(there, f.CANCEL)
    client = gateway.client().request("GET", "/y")
    upstream.respond(upstream.expect_head(), 200, {}, b"next")
    eq(client.response().body, b"next", "body")
    backend.expect_no_connection(0)


@test("a reset of the backend in the middle of a body is a reset at HTTP/2, and a broken body at HTTP/1.1")
def backend_reset():
    gateway, _, client, number, upstream, there = one_exchange()
    upstream.head(there, 200).send_data(there, b"some")
    client.wait(lambda: client.streams[number].received == 4, what="four bytes")
    upstream.send(f.rst_stream(there, f.INTERNAL_ERROR))
    client.expect_rst(number, f.INTERNAL_ERROR, f.CANCEL)
    eq(gateway.wait_log()["close_reason"], "upstream_rst", "close_reason")
    one = gateway.client().request("GET", "/y")
    there = upstream.expect_head()
    upstream.head(there, 200).send_data(there, b"some")
    head = one.response_head()
    eq(head.framing, "chunked", "framing")
    upstream.send(f.rst_stream(there, f.INTERNAL_ERROR))
    _, rest = one.expect_end()
    check(not rest.endswith(b"0\r\n\r\n"), "the body looks complete")
    one = gateway.client().request("GET", "/z")
    there = upstream.expect_head()
    upstream.head(there, 200, {"content-length": "10"}).send_data(there, b"some")
    eq(one.response_head().framing, "length", "framing")
    upstream.send(f.rst_stream(there, f.INTERNAL_ERROR))
    eq(one.expect_end(), ("fin", b"some"), "the end")  # the missing bytes say enough


@test("an upload that turns out malformed behind the beginning of the answer ends both, and costs no "
      "connection")
def bad_upload_behind_the_head():
    for version in (1, 2):
        gateway, backend = acted2()
        others = H2Client(gateway.port)
        numbers = [others.request("/other") for _ in range(40)]
        upstream = backend.accept()
        waiting = [upstream.expect_head() for _ in numbers]
        if version == 1:
            client = gateway.client()
            client.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
        else:
            client = H2Client(gateway.port)
            number = client.request("/x", "POST", end=False)
        there = upstream.expect_head()
        for other in waiting:  # the memory of streams that are over is kept for a few, and given back of more
            upstream.respond(other)
        for other in numbers:
            eq(others.response(other).status, 200, "status of another stream")
        upstream.head(there, 200)
        if version == 1:
            eq(client.response_head().status, 200, "status")
            client.send(b"ZZ\r\n")
            client.expect_end()
        else:
            client.response_head(number)
            client.send_headers(number, [("x", "y")] * 200)  # more fields than a section may have
            client.expect_rst(number, f.PROTOCOL_ERROR)
        upstream.expect_rst(there, f.CANCEL)
        eq(gateway.wait_log(lambda r: r["http.path"] == "/x")["close_reason"], "request_bad", "close_reason")
        number = others.request("/next")
        upstream.respond(upstream.expect_head())
        eq(others.response(number).status, 200, "status of the next stream")
        backend.expect_no_connection(0)


@test("requestTimeout and backendRequestTimeout reset the stream at the backend")
def timeouts():
    for policy, body in (("requestTimeout", "request timeout"), ("backendRequestTimeout",
                                                                 "upstream call timeout")):
        _, _, client, number, upstream, there = one_exchange(
            POLICIES % f"{{timeout: {{{policy}: 300ms}}}}")
        answer = client.response(number)
        eq((answer.status, answer.text), (504, body), "answer")
        upstream.expect_rst(there, f.CANCEL)


# ---- broken backends -------------------------------------------------------------------------------------


def leave(gateway, upstream):
    """The next request has a connection of its own."""
    upstream.raw.close()
    wait_until(lambda: gateway.metrics()("headgate_upstream_connections_open") == 0, 5, "its end")


def expect_bad_head(stage, path, fields):
    """502, a reset at the backend, and the connection may go on."""
    gateway, backend = stage
    client = H2Client(gateway.port)
    number = client.request(path)
    upstream = backend.accept()
    there = upstream.expect_head()
    upstream.send(f.headers(there, f.block(fields), False))
    eq(client.response(number).status, 502, "status")
    expect_refused(upstream, there, f.PROTOCOL_ERROR, f.CANCEL)
    record = gateway.wait_log(lambda r: r["http.path"] == path)
    eq(record["close_reason"], "response_bad", "close_reason")
    leave(gateway, upstream)


BAD_HEADS = {
    "no :status": [("x", "y")], ":status twice": [(":status", "200"), (":status", "200")],
    ":status of two digits": [(":status", "20")], ":status abc": [(":status", "abc")],
    ":status 99": [(":status", "099")], "an upper-case name": [(":status", "200"), ("X-Upper", "1")],
    "CR and LF in a value": [(":status", "200"), ("x", "a\r\nb: c")],
    "NUL in a value": [(":status", "200"), ("x", "a\0b")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "a request's field": [(":status", "200"), (":path", "/")], "101": [(":status", "101")],
    "two lengths": [(":status", "200"), ("content-length", "5"), ("content-length", "6")],
    "a bad length": [(":status", "200"), ("content-length", "five")],
}


@test("a malformed response head is a 502 and PROTOCOL_ERROR at the backend")
def bad_heads():
    stage = acted2()
    for case, (name, fields) in enumerate(BAD_HEADS.items()):
        try:
            expect_bad_head(stage, f"/{case}", fields)
        except Failure as error:
            raise Failure(f"{name}: {error}") from None


@test("DATA in front of the head is a 502, or for the library a reset that we made: 503")
def data_first():
    _, _, client, number, upstream, there = one_exchange()
    upstream.send(f.data(there, b"x"))
    check(client.response(number).status in (502, 503), "status")
    expect_refused(upstream, there, f.PROTOCOL_ERROR)


@test("a body that differs from its Content-Length never looks complete")
def bad_lengths():
    for body in (b"1234", b"123456"):
        gateway, _, client, number, upstream, there = one_exchange()
        upstream.head(there, 200, {"content-length": "5"})
        client.response_head(number)
        upstream.send(f.data(there, body, True))
        client.expect_rst(number, f.INTERNAL_ERROR, f.PROTOCOL_ERROR, f.CANCEL)
        check(gateway.wait_log()["close_reason"] in ("response_bad", "upstream_fin", "upstream_rst"),
              "close_reason")


@test("a connection error of the backend is GOAWAY, 502 or 503 for what ran there, and a new connection")
def bad_connections():
    gateway, backend = acted2()
    client = H2Client(gateway.port)
    for name, text, code in (
            ("DATA on stream 0", f.data(0, b"x"), f.PROTOCOL_ERROR),
            ("PUSH_PROMISE", f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, b"\0\0\0\2" + f.block(
                [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")])),
             f.PROTOCOL_ERROR),
            ("PING of 7 bytes", f.ping(b"1234567"), f.FRAME_SIZE_ERROR),
            ("a frame too large", f.frame(0x77, 0, 0, bytes(20000)), f.FRAME_SIZE_ERROR),
            ("a broken header block", f.headers(1, f.indexed(0)), f.COMPRESSION_ERROR),
            ("a window that overflows", f.window_update(0, f.LARGEST_WINDOW), f.FLOW_CONTROL_ERROR),
            ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", f.FRAME_SIZE_ERROR)):
        number = client.request("/x")
        upstream = backend.accept()
        upstream.expect_head()
        upstream.send(text)
        check(client.response(number).status in (502, 503), f"{name}: status")
        upstream.expect_goaway(code, f.PROTOCOL_ERROR)
        upstream.expect_end()
        number = client.request("/next")
        other = backend.accept()
        other.respond(other.expect_head())
        eq(client.response(number).status, 200, f"{name}: status of the next one")
        leave(gateway, other)


@test("a backend that speaks HTTP/1.1 only is a 502 or 503 at once, not a wait")
def http1_backend():
    gateway = Gateway(POLICIES % "{timeout: {requestTimeout: 60s}}", origin=Origin(strict=False), workers=1)
    with within(0, "the answer", before=60):
        answer = gateway.fetch("/get", timeout=60)
    check(answer.status in (502, 503), f"{answer}")
    reason = gateway.wait_log()["close_reason"]
    check(reason in ("upstream_rst", "upstream_fin", "response_bad"), f"close_reason {reason}")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("a backend that says nothing at all falls under backendRequestTimeout")
def silent_backend():
    backend = H2Backend()
    gateway = Gateway(POLICIES % "{timeout: {backendRequestTimeout: 500ms}}", origin=backend, workers=1)
    client = H2Client(gateway.port)
    with within(0.5, "the answer"):
        eq(client.get("/x").status, 504, "status")
    eq(gateway.wait_log()["close_reason"], "per_try_timeout", "close_reason")


@test("a backend that refuses connections is a 503")
def refuses():
    backend = H2Backend()
    gateway = Gateway(HTTP2_BACKEND, origin=backend, workers=1)
    backend.close()
    eq(H2Client(gateway.port).get("/x").status, 503, "status")
    eq(gateway.wait_log()["close_reason"], "connect_failed", "close_reason")


# ---- flow control ----------------------------------------------------------------------------------------


@test("a backend that gives no windows stops the upload of its stream, and of no other", timeout=40)
def withheld_windows():
    gateway, backend = acted2()
    stuck = H2Client(gateway.port)
    number = stuck.request("/stuck", "POST", end=False)
    upstream = backend.accept(windows=False)
    there = upstream.expect_head()
    memory, stream = Memory(gateway), stuck.streams[number]
    total, pings = 0, 0
    while total < 4 << 20 and pings < 3:
        stuck.poll()
        window = stuck.window_of(number)
        if window:
            stuck.send_data(number, pattern(min(window, 16384), total))
            total += min(window, 16384)
        elif upstream.poll().streams[there].received < 65535:
            select.select([upstream.raw.socket], [], [], 0.05)
        else:  # the backend has what it takes, and what the gateway takes beside it is there after a PING
            stuck.ping()
            pings = 0 if stuck.window_of(number) else pings + 1
    note(f"{total} bytes were taken")
    check(total < 1 << 20, f"{total} bytes were taken for a backend that takes 65535")
    eq(upstream.poll().streams[there].received, 65535, "bytes at the backend")
    memory.expect_small(2 << 20)
    upstream.grant(0, 1 << 20)  # of the connection: other streams go on
    other = H2Client(gateway.port)
    number2 = other.request("/other", "POST", body=pattern(50000))
    there2 = upstream.expect_head()
    upstream.wait(lambda: upstream.streams[there2].ended, what="the other upload")
    verify(bytes(upstream.streams[there2].body), 50000)
    upstream.respond(there2, 200, {}, b"ok")
    eq(other.response(number2).body, b"ok", "body")
    stuck.send_some(f.data(number, b"", True))
    upstream.windows = True
    upstream.grant(there, 1 << 20)
    upstream.wait(lambda: upstream.streams[there].ended, what="the end of the stuck upload")
    verify(bytes(upstream.streams[there].body), total)
    upstream.respond(there, 200, {}, b"at last")
    eq(stuck.response(number).body, b"at last", "body")


@test("a client that does not read stops its stream at the backend, and no other")
def slow_reader():
    gateway, _ = served()
    client = H2Client(gateway.port, {f.INITIAL_WINDOW_SIZE: 1000}, windows=False)
    slow = client.request("/bytes/30000000")
    stream = client.streams[slow]
    client.wait(lambda: stream.received >= 1000, what="1000 bytes")
    memory, other = Memory(gateway), H2Client(gateway.port)
    other_number = other.request("/bytes/200000")
    verify(other.response(other_number).body, 200000)
    eq(stream.received, 1000, "bytes of the slow stream")
    memory.expect_small(2 << 20)
    client.reset(slow)


@test("64 MiB both ways through HTTP/2 on either side, byte by byte right", timeout=60)
def large():
    size = (64 if factor() == 1 else 8) << 20
    gateway, _ = served(values={f.INITIAL_WINDOW_SIZE: 1 << 20})
    client = H2Client(gateway.port, {f.INITIAL_WINDOW_SIZE: 1 << 20})
    client.grant(0, 16 << 20)
    number, checker = client.request(f"/bytes/{size}"), PatternCheck()
    client.streams[number].sink = checker.feed
    client.response(number, 40)
    eq((checker.received, checker.crc), (size, crc32(size)), "download")
    number = client.request("/upload", "POST", end=False)
    for at in range(0, size, 1 << 20):
        client.send_data(number, pattern(1 << 20, at), at + (1 << 20) == size)
    got = client.response(number, 40).json()
    eq((got["length"], got["crc32"]), (size, f"{crc32(size):08x}"), "upload")


# ---- PINGs to backends -----------------------------------------------------------------------------------


@test("PINGs to backends are off by default, and an option", waits=True)
def pings():
    _, _, client, number, upstream, there = one_exchange()
    upstream.expect_no_request(1.2)
    eq(upstream.pings, [], "PINGs nobody asked for")
    upstream.respond(there)
    eq(client.response(number).status, 200, "status")

    gateway, backend = acted2(
        HTTP2_BACKEND + "config: {backend: {http2KeepaliveInterval: 500ms, http2KeepaliveTimeout: 20s}}\n")
    client, begin = H2Client(gateway.port), time.monotonic()
    number = client.request("/x")
    upstream = backend.accept()
    there = upstream.expect_head()
    upstream.wait(lambda: len(upstream.pings) >= 2, what="two PINGs")
    for count, at in enumerate(upstream.pings, 1):
        check_time(at - begin, 0.5 * count, f"PING {count}")
    upstream.respond(there)
    eq(client.response(number).status, 200, "status")


@test("a backend that does not answer PINGs is dead: its requests end with 503 in time")
def dead_backend():
    gateway, backend = acted2(
        HTTP2_BACKEND + "config: {backend: {http2KeepaliveInterval: 500ms, http2KeepaliveTimeout: 500ms}}\n")
    client = H2Client(gateway.port)
    with within(1.0, "the answer"):
        number = client.request("/x")
        upstream = backend.accept(answers=False)
        upstream.expect_head()
        upstream.wait(lambda: upstream.pings, what="a PING")
        check(client.response(number).status in (502, 503, 504), "status")
    upstream.expect_end()
    expect_fired(gateway, "ping_timeout", 1)


@test("appProtocol kubernetes.io/h2c of a Service makes its connections HTTP/2")
def app_protocol():
    service = H2Service()
    manifest = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: any, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: svc, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: svc}
spec: {ports: [{name: h, port: 80, targetPort: %d, appProtocol: kubernetes.io/h2c}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-1, labels: {kubernetes.io/service-name: svc}}
addressType: IPv4
ports: [{name: h, port: %d}]
endpoints: [{addresses: [127.0.0.1]}]
""" % (service.port, service.port)
    gateway = Gateway(manifest, workers=1)
    eq(gateway.fetch("/x").json()["path"], "/x", "path at the backend")
    eq(H2Client(gateway.port).get("/y").json()["connection"], 1, "connection at the backend")
    eq(gateway.metrics()("headgate_upstream_h2_streams_total"), 2, "streams")


BEHIND_THE_HEAD = {
    "DATA over the frame size": lambda n: f.frame(f.DATA, 0, n, bytes(20000)),
    "DATA for a stream that nobody opened": lambda n: f.data(n + 100, b"x", True),
    "a window that overflows": lambda n: f.window_update(0, f.LARGEST_WINDOW) * 2,
    "more DATA than content-length": lambda n: f.data(n, b"abcdef", True),
    "less DATA than content-length": lambda n: f.data(n, b"ab", True),
}


@test("a backend that breaks HTTP/2 in the same segment as the head of its response is a 502 for both "
      "versions", timeout=60)
def broken_behind_the_head():
    fields = f.block([(":status", "200"), ("content-length", "5")])
    for name, behind in BEHIND_THE_HEAD.items():
        for version in (1, 2):
            gateway, backend = acted2()
            client = H2Client(gateway.port) if version == 2 else gateway.client()
            number = client.request("/x") if version == 2 else client.request("GET", "/x")
            upstream = backend.accept()
            there = upstream.expect_head()
            upstream.send(f.headers(there, fields, False) + behind(there))
            response = client.response(number) if version == 2 else client.response()
            eq(response.status, 502, f"status over HTTP/{version}, {name}")
            eq(gateway.wait_log()["close_reason"], "response_bad", f"reason over HTTP/{version}, {name}")
