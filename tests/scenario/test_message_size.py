# SPDX-License-Identifier: Apache-2.0
"""How large a message may be: refused by what it declares, or when it has become too large."""
from hg import *
from hg.h2 import H2Client
from hg.h2_backend import H2Service
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted

MOST = 100000
CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {%s}
      backends: [{host: @origin@%s}]
"""
LIMITS = f"limits: {{maxRequestBytes: {MOST}}}"
BUFFER = f"buffer: {{request: {{maxBytes: {MOST}}}}}"
BOTH = f"limits: {{maxRequestBytes: {MOST * 2}}}, {BUFFER}"
HTTP2 = ", policies: {http: {version: HTTP/2.0}}"
REASON = "body_too_large"


def expect_refusal(gateway, policy, count=1):
    record = gateway.wait_log(lambda r: r["close_reason"] == REASON, count)
    for one in record if count > 1 else [record]:
        eq((one["reason"], one["error"]),
           ("DirectResponse", f"request body too large ({policy} of default/all)"), "in the log")
    refusals = gateway.metrics()("headgate_policy_refusals_total", policy=policy, rule="default/all")
    eq(refusals, count, "metric")


def post(gateway, length, more=""):
    """Only the head: its answer must not wait for the body."""
    client = gateway.client()
    client.send(f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n")
    response = client.response()
    client.close()
    return response


@test("a body that declares too much is refused with 413 before a backend is dialled, over HTTP/1 and "
      "HTTP/2, and a gRPC call gets its status")
def declared():
    for policies, policy in ((LIMITS, "limits"), (BUFFER, "buffer"), (BOTH, "buffer")):
        gateway, backend = acted(CONFIG % (policies, ""))
        for more in ("", "Expect: 100-continue\r\n"):
            response = post(gateway, MOST + 1, more)
            eq((response.status, response.text, response.interim), (413, "request body too large", []), more)
        client = H2Client(gateway.port)
        stream = client.raw_request([(":method", "POST"), (":scheme", "http"), (":path", "/x"),
                                     (":authority", "a"), ("content-length", str(MOST + 1))], end=False)
        eq(client.response(stream).status, 413, "HTTP/2")
        stream = client.raw_request([(":method", "POST"), (":scheme", "http"), (":path", "/x"),
                                     (":authority", "a"), ("content-length", str(MOST + 1)),
                                     ("content-type", "application/grpc"), ("te", "trailers")], end=False)
        head = client.response(stream)
        eq((head.status, head.headers["grpc-status"]), (200, "2"), "gRPC")
        client.close()
        backend.expect_no_connection(0.1)
        expect_refusal(gateway, policy, 4)
        gateway.stop()


def chunks(total, size=9999):
    return [b"x" * min(size, total - at) for at in range(0, total, size)]


def upload_1(gateway, total):
    client = gateway.client()
    response = client.request("POST", "/upload", body=chunks(total), chunked=True).response()
    client.close()
    return response


def upload_2(gateway, total):
    client = H2Client(gateway.port)
    stream = client.request("/upload", "POST", end=False)
    for piece in chunks(total):
        client.send_data(stream, piece)
    client.send_data(stream, b"", True)
    response = client.response(stream)
    client.close()
    return response


@test("a body without a length may have as many bytes as are allowed, in any chunks, and not one more, over "
      "HTTP/1 and HTTP/2 on either side; what reaches the backend is not complete")
def counted():
    for policies, policy in ((LIMITS, "limits"), (BUFFER, "buffer")):
        for version in ("", HTTP2):
            origin = H2Service() if version else Origin()
            gateway = Gateway(CONFIG % (policies, version), origin=origin, workers=1)
            for upload in (upload_1, upload_2):
                answer = upload(gateway, MOST)
                eq((answer.status, answer.json()["length"]), (200, MOST), f"{upload.__name__} {version}")
                eq(upload(gateway, MOST + 1).status, 413, f"{upload.__name__} {version}")
            expect_refusal(gateway, policy, 2)
            gateway.stop()
    gateway, backend = acted(CONFIG % (LIMITS, ""))
    client = gateway.client().request("POST", "/x", body=chunks(MOST + 1), chunked=True)
    got = backend.accept().expect_end()[1]
    eq(client.response().status, 413, "status")
    check(len(got) < MOST + 2000 and not got.endswith(b"0\r\n\r\n"), f"a complete request: {got[-40:]}")


def spellings():
    """(head without its end, body) of requests that are too large in another way."""
    big, host = MOST + 1, "Host: a\r\n"
    whole = b"x" * big
    chunk = b"%x\r\n" % big + whole + b"\r\n0\r\n\r\n"
    for method in ("GET", "DELETE", "OPTIONS", "PUT", "PROPFIND"):
        yield f"{method} /x HTTP/1.1\r\n{host}Content-Length: {big}\r\n", b""
    for target in ("http://a/x", "//x", "/%2e/x", "/x?Content-Length=1", "/%78"):
        yield f"POST {target} HTTP/1.1\r\n{host}Content-Length: {big}\r\n", b""
    for fields in (f"Content-Length: 000{big}", f"Content-Length: +{big}", f"Content-Length: {big}, {big}",
                   f"Content-Length: 1\r\nContent-Length: {big}",
                   f"Content-Length: {big}\r\nContent-Length: 1",
                   f"content-LENGTH: {big}", f"Content-Length:\t{big} ",
                   f"Content-Length: {big}\r\nContent_Length: 1", f"Content-Length: {1 << 64}",
                   f"Content-Length: {(1 << 64) + 1}", f"Content-Length: {big}\r\nConnection: Content-Length",
                   f"Content-Length: {big}\r\nConnection: upgrade\r\nUpgrade: websocket"):
        yield f"POST /x HTTP/1.1\r\n{host}{fields}\r\n", b""
    yield f"POST /x HTTP/1.0\r\nContent-Length: {big}\r\n", b""
    for fields in ("Transfer-Encoding: chunked", "transfer-encoding: CHUNKED",
                   "Transfer-Encoding: chunked\r\nContent-Length: 1",
                   "Transfer-Encoding: chunked\r\nExpect: 100-continue"):
        yield f"POST /x HTTP/1.1\r\n{host}{fields}\r\n", chunk
    yield f"POST /x HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n", b"1;a=b\r\nx\r\n" * (big // 1)


@test("no spelling of a length, a method or a target leads past the limit of a body", timeout=60)
def inputs():
    gateway, backend = acted(CONFIG % (LIMITS, ""))
    for head, body in spellings():
        client = gateway.client()
        client.send(head + "\r\n")
        try:
            client.send(body)
        except ConnectionError:
            pass
        if body and "Content-Length" not in head:
            got = backend.accept().expect_end()[1]
            check(not got.endswith(b"0\r\n\r\n"), f"{head}: a complete request")
        status = client.response("HEAD" if head.startswith("HEAD") else "GET").status
        check(status in (400, 413), f"{head!r}: {status}")
        client.close()
    backend.expect_no_connection(0.1)


STEADY = "config: {splice: {mode: require, adaptive: false}}\n"


@test("a body whose bytes are counted enters no kernel lane, where they would not be; all others do",
      needs=("bpf",))
def kernel_lanes():
    chunk, most = b"8\r\n12345678\r\n", MOST * 100
    for policies, framing, is_counted in (
            ("", "Transfer-Encoding: chunked", False),
            (f"limits: {{maxRequestBytes: {most}}}", "Transfer-Encoding: chunked", True),
            (f"limits: {{maxRequestBytes: {most}}}", f"Content-Length: {most}", False),
            ("limits: {maxHeaderBytes: 9999}", "Transfer-Encoding: chunked", False)):
        gateway, backend = acted(CONFIG % (policies, "") + STEADY)
        client = gateway.client().send(f"POST /x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
        upstream = backend.accept()
        upstream.read_until(b"\r\n\r\n")
        for _ in range(5):
            client.send(chunk)
            upstream.read(len(chunk))
        if not is_counted:
            wait_until(lambda: gateway.streams()[0]["gate_in"] == "open", 5, f"a lane: {policies} {framing}")
        eq(gateway.streams()[0]["gate_in"] is None, is_counted, f"{policies} {framing}")
        client.rst()
        upstream.expect_end()
        gateway.stop()


@test("responses over the limit of buffer are a 502 by their length, and are cut without one")
def responses():
    config = CONFIG % (f"buffer: {{response: {{maxBytes: {MOST}}}}}", "")
    gateway, backend = acted(config)
    client = gateway.client().request("GET", "/x")
    backend.accept().send(f"HTTP/1.1 200 OK\r\nContent-Length: {MOST + 1}\r\n\r\n")
    response = client.response()
    eq((response.status, response.text), (502, "response body too large"), "with a length")
    for framing, end in (("Transfer-Encoding: chunked", True), ("Connection: close", False)):
        for more in (0, 1):
            client = gateway.client().request("GET", "/x")
            upstream = backend.accept()
            head = f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"
            body = b"x" * (MOST + more)
            upstream.read_request()
            upstream.send(head, (b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)) if end else body)
            upstream.close()
            if more:
                head, body = client.response_head(), client.expect_end()[1]
                check(head.status == 200 and len(body) <= MOST + 20 and not body.endswith(b"0\r\n\r\n"),
                      f"{framing}: {len(body)} bytes")
            else:
                eq(len(client.response().body), MOST, framing)
    records = gateway.wait_log(lambda r: r["close_reason"] == REASON, 3)
    eq([r["http.status"] for r in records], ["502", "200", "200"], "log")


@test("headers over the limit of a route are a 431, and no backend is dialled")
def headers():
    gateway, backend = acted(CONFIG % ("limits: {maxHeaderBytes: 2000}", ""))
    for fields in ([("x", "y" * 2000)], [(f"x-{i}", "y" * 20) for i in range(90)]):
        eq(gateway.client().request("GET", "/x", headers=fields).response().status, 431, "HTTP/1")
        client = H2Client(gateway.port)
        eq(client.response(client.request("/x", extra=fields)).status, 431, "HTTP/2")
    backend.expect_no_connection(0.1)
    record = gateway.wait_log(lambda r: r["close_reason"] == "head_too_large")
    eq(record["error"], "request headers too large (limits of default/all)", "log")
    client = gateway.client().request("GET", "/x", headers=[("X", "y" * 1900)])
    backend.accept().respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "below the limit")


@test("manifests have both policies, on a route or its Gateway; what cannot be understood answers 500")
def manifests():
    rule = "  - backendRefs: [{name: svc, port: 80}]\n---"
    policy = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s, name: %s}]
  traffic: {%s}
---"""
    for target, traffic, status in ((("HTTPRoute", "route"), "buffer: {request: {maxBytes: 1Ki}}", 413),
                                    (("Gateway", "gw"), "buffer: {request: {maxBytes: 1024}}", 413),
                                    (("HTTPRoute", "route"), "limits: {maxRequestBytes: 1024}", 413),
                                    (("HTTPRoute", "route"), "limits: {maxHeaderBytes: 10}", 431),
                                    (("Gateway", "gw"), "buffer: {request: {}}", 500),
                                    (("HTTPRoute", "route"), "buffer: {request: {maxBytes: 1Xi}}", 500),
                                    (("HTTPRoute", "route"), "limits: {maxRequestByte: 1}", 500)):
        backend = Backend()
        gateway = Gateway(GATEWAY + ROUTE + rule + policy % (*target, traffic) + SERVICE,
                          origin_port=backend.port, workers=1)
        eq(post(gateway, 1025).status, status, traffic)
        backend.expect_no_connection(0)
        gateway.stop()


@test("a limit that limits nothing is an error, and failOpen a warning")
def loading():
    for policies, words in (("limits: {}", "limits nothing"), ("buffer: {}", "limits nothing"),
                            ("buffer: {request: {}}", "maxBytes"),
                            ("limits: {maxRequestBytes: -1}", "whole number"),
                            ("limits: {maxRequestBytes: 1Mi}", "whole number"),
                            ("buffer: {request: {maxBytes: 1, failureMode: open}}", "failOpen")):
        status, _, errors = validate(CONFIG % (policies, ""), origin="a:1")
        check(status != 0 and words in errors, f"{policies}: {errors}")
    status, _, errors = validate(CONFIG % ("buffer: {request: {maxBytes: 1, failureMode: failOpen}}", ""),
                                 origin="a:1")
    check(status == 0 and "has no effect" in errors, errors)
