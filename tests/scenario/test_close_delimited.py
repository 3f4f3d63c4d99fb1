# SPDX-License-Identifier: Apache-2.0
"""Responses that end with their connection, and clients and backends of HTTP/1.0."""
from hg import *
from plays import acted, play


def answers(backend, client, text, end="fin"):
    """Plays one exchange of a backend that says text and then ends."""
    upstream = backend.accept()
    request = upstream.read_request()
    upstream.send(text)
    if end == "fin":
        upstream.close()
    elif end == "rst":
        upstream.rst()
    return request


@test("a close-delimited response is chunked for an HTTP/1.1 client, whose connection goes on")
def reframed():
    gateway, _ = play()
    client = gateway.client()
    for size in (0, 1, 100, 70000, 3000000):
        answer = client.get(f"/close-delimited/{size}")
        eq((answer.status, answer.framing, answer.header("Connection")), (200, "chunked", None),
           f"{size} bytes")
        verify(answer.body, size)
    eq(client.get("/anything").json()["connection"], 6, "a backend connection each")


@test("a close-delimited response ends the connection of an HTTP/1.0 client")
def to_1_0():
    gateway, _ = play()
    for headers in ([], [("Connection", "keep-alive")]):
        client = gateway.client().request("GET", "/close-delimited/100000", headers, version="1.0")
        answer = client.response()
        eq((answer.framing, answer.header("Transfer-Encoding"), answer.header("Connection")),
           ("close", None, "close"),
           "framing")
        verify(answer.body, 100000)


@test("a chunked response is sent to an HTTP/1.0 client as it is, up to the end of the connection")
def chunked_to_1_0():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/", [("Connection", "keep-alive")], version="1.0")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n"
                  "X-T: 1\r\n\r\n")
    answer = client.response()
    eq((answer.framing, answer.body, answer.header("Transfer-Encoding")), ("close", b"hello!", None),
       "answer")
    eq(answer.version, "1.1", "version: RFC 9110 2.5 wants the gateway's own")


@test("an HTTP/1.0 client keeps its connection only when it asks for it and the length is known")
def keep_alive_1_0():
    gateway, _ = play()
    client = gateway.client()
    answer = client.request("GET", "/bytes/10", version="1.0").response()
    eq((answer.header("Connection"), answer.body), ("close", pattern(10)), "without Connection")
    client.expect_fin()
    client = gateway.client()
    for number in range(1, 4):
        answer = client.request("GET", "/anything", [("Connection", "Keep-Alive")], version="1.0").response()
        eq((answer.header("Connection"), answer.json()["version"]), ("keep-alive", "HTTP/1.1"),
           f"request {number}")


@test("an HTTP/1.0 request without Host is served by the listener for any host")
def no_host_1_0():
    gateway, _ = play()
    client = gateway.client().send("GET /anything HTTP/1.0\r\n\r\n")
    eq(client.response().json()["headers"]["Host"], "", "Host at the backend")


@test("an HTTP/1.0 upload with a length arrives; one with Transfer-Encoding is refused")
def upload_1_0():
    gateway, origin = play()
    client = gateway.client().request("POST", "/anything", body=b"hello", version="1.0")
    eq(client.response().json()["body"], "hello", "body")
    client = gateway.client()
    client.send("POST /anything HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                "0\r\n\r\n")
    eq(client.response().status, 400, "status")
    client.expect_fin()
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")


@test("an HTTP/1.0 backend is understood, and its connection kept only when it says so")
def backend_1_0():
    gateway, backend = acted()
    client = gateway.client()
    client.request("GET", "/1")
    answers(backend, client, "HTTP/1.0 200 OK\r\n\r\nto the end")
    answer = client.response()
    eq((answer.version, answer.framing, answer.body), ("1.1", "chunked", b"to the end"), "first answer")
    client.request("GET", "/2")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
    eq(client.response().body, b"ok", "second answer")
    client.request("GET", "/3")
    eq(upstream.read_request().target, "/3", "the kept connection")
    upstream.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client.response()
    upstream.expect_fin()


@test("a reset in a close-delimited response is not taken for its end")
def reset_is_no_end():
    gateway, backend = acted()
    for version, framing in (("1.1", "chunked"), ("1.0", "close")):
        client = gateway.client().request("GET", "/", version=version)
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 200 OK\r\n\r\nsome bytes")
        head = client.response_head()
        eq(head.framing, framing, "framing")
        eq(next(client.body(head)), b"some bytes", "the beginning of the body")
        upstream.rst()
        if version == "1.1":
            kind, rest = client.expect_end()
            check(b"0\r\n\r\n" not in rest, f"the body looks complete: {rest!r} {kind}")
        else:
            client.expect_rst()
    eq(gateway.wait_log(count=2)[1]["close_reason"], "upstream_rst", "close_reason")


@test("a response cut short of its Content-Length is visible to the client, by FIN and by RST")
def short_of_length():
    gateway, _ = play()
    for path, reason in (("/close/mid-body", "upstream_fin"), ("/close/rst-mid-body", "upstream_rst"),
                         ("/close/mid-body?cl=100000000&send=1000000", "upstream_fin")):
        client = gateway.client().request("GET", path)
        head = client.response_head()
        got = 0
        try:
            for piece in client.body(head):
                got += len(piece)
        except Failure:
            pass
        check(got < head.length, f"{path}: all {got} bytes of a body that was cut")
        gateway.wait_log(lambda r, p=path, q=reason: r["http.path"] == p and r["close_reason"] == q)


@test("what a backend sent before it died is delivered to a slow client")
def rest_is_delivered():
    gateway, backend = acted()
    client = gateway.client(rcvbuf=4096)
    client.request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 200 OK\r\n\r\n", pattern(2 << 20))
    upstream.close()
    verify(client.response().body, 2 << 20)


@test("the length of zero, of HEAD and of 304 does not make a close-delimited response")
def no_body_no_close():
    gateway, backend = acted()
    client = gateway.client()
    client.request("GET", "/")
    upstream = backend.accept()
    for method, text in (("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                         ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
                         ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
                         ("GET", "HTTP/1.1 204 No Content\r\n\r\n")):
        upstream.read_request()
        upstream.send(text)
        answer = client.response(method)
        check(answer.framing in ("none", "length") and not answer.body, f"{text!r}: {answer}")
        client.request("HEAD" if "Length" in text else "GET", "/")
    upstream.read_request()
    upstream.respond()
    client.response()


@test("a backend that says nothing and closes is 503 with the reference's words")
def says_nothing():
    gateway, _ = play()
    client = gateway.client()
    for path in ("/close/fin", "/close/mid-head"):
        answer = client.get(path)
        eq((answer.status, answer.text, answer.header("Content-Type")),
           (503, "upstream call failed: SendRequest: connection closed before message completed",
            "text/plain"), path)
    answer = client.get("/close/rst")
    eq((answer.status, answer.text), (503, "upstream call failed: SendRequest: Connection reset by peer"),
       "/close/rst")


@test("FIN and RST in the middle of a response head are told apart in the log")
def mid_head():
    gateway, _ = play()
    gateway.fetch("/close/mid-head")
    eq(gateway.wait_log()["close_reason"], "upstream_fin", "close_reason")
    gateway.fetch("/close/mid-head?rst=1")
    eq(gateway.wait_log(count=2)[1]["close_reason"], "upstream_rst", "close_reason")
