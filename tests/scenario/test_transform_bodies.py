# SPDX-License-Identifier: Apache-2.0
"""Bodies that transformations read and make: what backends and clients get, whole or not at all."""
import gzip

from h2backends import acted2, served
from hg import *
from hg.h2 import fetch2
from plays import acted

CONFIG = """
frontendPolicies: {http: {maxBufferSize: 100000}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: model
      matches: [{path: {pathPrefix: /model}}]
      policies:
        transformations:
          request: {set: {x-model: json(request.body).model, x-size: 'string(request.body.size())'}}
      backends: [{host: @origin@}]
    - name: body
      matches: [{path: {pathPrefix: /body}}]
      policies:
        buffer: {request: {maxBytes: 2000}}
        transformations:
          request:
            body: '"<" + request.body.replace("a", "bb") + ">"'
            set: {x-was: request.body, content-type: '"text/x"'}
      backends: [{host: @origin@}]
    - name: answer
      matches: [{path: {pathPrefix: /answer}}]
      policies:
        buffer: {response: {maxBytes: 100000}}
        transformations:
          response:
            body: '"{\\"error\\":\\"" + response.body + "\\"}"'
            set: {x-first: 'response.body.substring(0, 1)'}
      backends:
      - host: @origin@
        policies:
          transformations: {response: {body: 'response.body + "-backend"'}}
    - name: plain
      matches: [{path: {pathPrefix: /plain}}]
      policies:
        transformations: {response: {body: '"{\\"error\\":" + toJson(response.body) + "}"'}}
      backends: [{host: @origin@}]
    - name: other
      backends: [{host: @origin@}]
"""
H2_CONFIG = CONFIG.replace("[{host: @origin@}]", "[{host: @origin@, policies: {http: {version: HTTP/2.0}}}]")


def exchange(gateway, backend, method, path, body=None, chunked=False, headers=(), answer=(200, (), b"ok")):
    """(what the backend got, what the client got)"""
    client = gateway.client().request(method, path, headers=headers, body=body, chunked=chunked)
    upstream = backend.accept()
    request = upstream.read_request()
    status, fields, payload = answer
    upstream.respond(status, headers=fields, body=payload)
    response = client.response(method)
    upstream.close()
    client.close()
    return request, response


@test("headers are made of the body of a request, which reaches the backend unchanged, and of a new one")
def requests():
    gateway, backend = acted(CONFIG)
    text = b'{"model": "m-1", "messages": ["' + b"x" * 70000 + b'"]}'
    for chunked in (False, True):
        request, _ = exchange(gateway, backend, "POST", "/model", text, chunked, [("X-Model", "forged")])
        eq((request.body, request.headers.all("x-model")), (text, ["m-1"]), "what is read")
        eq(request.headers.all("x-size"), [str(len(text))], "size")
        request, _ = exchange(gateway, backend, "POST", "/body", b"abc", chunked,
                              [("Content-MD5", "x"), ("Content-Digest", "x")])
        eq(request.body, b"<bbbc>", "the new body")
        eq((request.headers.all("content-length"), request.headers.all("transfer-encoding")), (["6"], []),
           "how it is framed")
        eq((request.headers["x-was"], request.headers["content-type"]), ("abc", "text/x"), "headers")
        check("Content-MD5" not in request.headers and "Content-Digest" not in request.headers, "digest")
    request, _ = exchange(gateway, backend, "POST", "/model", b"no JSON", headers=[("X-Model", "forged")])
    eq((request.body, request.headers.all("x-model")), (b"no JSON", []), "what is no JSON")
    request, _ = exchange(gateway, backend, "GET", "/body")
    eq((request.body, request.headers.all("content-length")), (b"", []), "a GET keeps no body")
    request, _ = exchange(gateway, backend, "POST", "/body")
    eq(request.body, b"<>", "a POST without a body gets one")


@test("a request whose body cannot be transformed reaches no backend")
def refusals():
    gateway, backend = acted(CONFIG)
    grpc = [("Content-Type", "application/grpc"), ("TE", "trailers")]
    for path, body, headers, chunked, status, reason in (
            ("/body", b"x" * 2001, (), False, 413, "body_too_large"),
            ("/body", b"x" * 2001, (), True, 413, "body_too_large"),
            ("/model", b"x" * 100001, (), False, 413, "body_too_large"),
            ("/body", gzip.compress(b"a"), [("Content-Encoding", "gzip")], False, 415,
             "body_not_transformed"),
            ("/body", b"x", grpc, False, 200, "body_not_transformed")):
        client = gateway.client().request("POST", path, headers=headers, body=body, chunked=chunked)
        eq(client.response().status, status, f"{path} {len(body)} {headers}")
        gateway.wait_log(lambda r, wanted=reason: r["close_reason"] == wanted)
    request, _ = exchange(gateway, backend, "POST", "/body", b"x" * 2000)
    eq(request.body, b"<" + b"x" * 2000 + b">", "as large as allowed")
    # A header from a body that is not read: the forged one does not stay.
    request, _ = exchange(gateway, backend, "POST", "/model", gzip.compress(b"{}"),
                          headers=[("Content-Encoding", "gzip"), ("X-Model", "forged")])
    eq((gzip.decompress(request.body), request.headers.all("x-model")), (b"{}", []), "a compressed body")


@test("a client that waits for a 100 gets one, and the backend none to give")
def expects():
    gateway, backend = acted(CONFIG)
    client = gateway.client()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    eq(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n", "the gateway's own")
    client.send(b"abc")
    upstream = backend.accept()
    request = upstream.read_request()
    eq((request.body, "Expect" in request.headers), (b"<bbbc>", False), "the request")
    upstream.respond(200)
    eq(client.response().status, 200, "the answer")
    upstream.close()


@test("a response is held back, changed by the rules of route and backend, and has a length of its own")
def responses():
    gateway, backend = acted(CONFIG)
    large = b"y" * 60000
    for payload in (b"ok", b"", large):
        request, response = exchange(gateway, backend, "GET", "/answer",
                                     headers=[("Accept-Encoding", "gzip"), ("Range", "bytes=0-1")],
                                     answer=(500, [("Content-Digest", "x")], payload))
        eq((request.headers["accept-encoding"], request.headers.all("range")), ("identity", []), "asked")
        want = b'{"error":"' + payload + b'"}-backend'
        eq((response.status, response.body), (500, want), "the new body")
        eq(response.headers.all("content-length"), [str(len(want))], "its length")
        eq(response.headers.all("x-first"), [payload[:1].decode()] if payload else [], "a header of it")
        check("Content-Digest" not in response.headers, "a digest is left")
    client = gateway.client().request("GET", "/answer")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n2\r\nok\r\n")
    wait_until(lambda: [s["state"] for s in gateway.streams()] == ["hold"], 10, "the state hold")
    client.expect_silence(0.1)
    upstream.send(b"0\r\nX: y\r\n\r\n")
    eq(client.response().body, b'{"error":"ok"}-backend', "chunks")
    # The connection goes on.
    client.request("HEAD", "/answer")
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    response = client.response("HEAD")
    eq((response.status, response.headers.all("content-length")), (200, []), "HEAD has not the old length")
    for status in (204, 304):
        client.request("GET", "/answer")
        upstream.read_request()
        upstream.send(b"HTTP/1.1 %d X\r\n\r\n" % status)
        eq(client.response().status, status, "no body")
    upstream.close()


@test("a response that cannot be transformed is a 502, never the old body or a part of the new one")
def broken_responses():
    gateway, backend = acted(CONFIG)
    head = b"HTTP/1.1 200 OK\r\n"
    for bytes_, reason in ((head + b"Content-Length: 9\r\n\r\nshort", "upstream_fin"),
                           (head + b"Content-Length: 100001\r\n\r\n", "body_too_large"),
                           (head + b"\r\n" + b"x" * 100001, "body_too_large"),
                           (head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab", "response_bad"),
                           (head + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
                            "body_not_transformed"),
                           (head + b"Content-Type: text/event-stream\r\n\r\ndata: secret\r\n\r\n",
                            "body_not_transformed")):
        client = gateway.client().request("GET", "/answer")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(bytes_)
        if reason == "upstream_fin":  # the gateway resets the others, perhaps before a FIN
            upstream.fin()
        response = client.response()
        eq(response.status, 502, reason)
        check(b"secret" not in response.body and b"short" not in response.body, response.body)
        gateway.wait_log(lambda r, wanted=reason: r["close_reason"] == wanted)
        upstream.close()
        client.close()
    wait_until(lambda: gateway.metrics()("headgate_held_body_bytes") == 0, 10, "no body is held")


@test("HTTP/2 on both sides: the same bodies, and lengths that fit them")
def h2():
    got = []

    def handler(upstream, number, message):
        got.append(message)
        trailers = [("x-end", "1")] if message.headers["x-kind"] == "trailers" else None
        upstream.respond(number, 200, body=b"ok", trailers=trailers)

    gateway, _ = served(H2_CONFIG, handler)
    target = ("127.0.0.1", gateway.port)
    for kind in ("plain", "trailers"):
        extra = [("x-kind", kind)]
        for body in (b"abc", b"a" * 2000):
            answer = fetch2(target, "/body", "POST", extra, body)
            want = b"<" + body.replace(b"a", b"bb") + b">"
            eq((answer.status, answer.body, got[-1].body), (200, b"ok", want), "the new body")
            eq(got[-1].headers.all("content-length"), [str(len(want))], "its length")
        eq(fetch2(target, "/body", "POST", extra, b"a" * 2001).status, 413, "too large")
        answer = fetch2(target, "/other", "GET", extra)
        eq((answer.status, answer.body), (200, b"ok"), "another route")
        answer = fetch2(target, "/plain", "GET", extra)
        eq((answer.status, answer.body), (200, b'{"error":"ok"}'), "the new response")
        eq(answer.headers.all("content-length"), ["14"], "its length")
        check("x-end" not in (answer.trailers or ()), "trailers of the old body")


@test("a held body reaches the backend whole, although its response begins before the body has left")
def early_response():
    gateway, backend = acted2(H2_CONFIG.replace("maxBufferSize: 100000", "maxBufferSize: 500000"))
    text = pattern(500000)  # more than the gateway puts into the stream at once
    for chunked in (False, True):
        client = gateway.client().request("POST", "/model", body=text, chunked=chunked)
        upstream = backend.accept(windows=False)
        number = upstream.expect_head()
        upstream.head(number)
        response = client.response_head("POST")
        for window in (number, 0):
            upstream.grant(window, len(text))
        upstream.wait(lambda up=upstream, at=number: up.streams[at].ended, what="the end of the body")
        eq(upstream.streams[number].message.body, text, "the body")
        upstream.send_data(number, b"early", True)
        eq((response.status, b"".join(client.body(response))), (200, b"early"), "the response")
        upstream.close()
        client.close()
