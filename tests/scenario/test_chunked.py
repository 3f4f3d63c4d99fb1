# SPDX-License-Identifier: Apache-2.0
"""Chunked bodies: decoded, framed anew, trailers filtered, in both directions."""
import random

from hg import *
from plays import acted, play

HEAD = "POST /anything HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@test("a chunked upload arrives with its bytes and trailers, whatever the chunk sizes")
def uploads():
    gateway, _ = play()
    client = gateway.client()
    dice = random.Random(7)
    for count in (1, 2, 10, 300):
        sizes = [dice.choice((1, 2, 15, 16, 255, 4096, 70000)) for _ in range(count)]
        body, at = [], 0
        for size in sizes:
            body.append(pattern(size, at))
            at += size
        answer = client.request("POST", "/anything", [("Trailer", "X-Sum")], body,
                                chunked=True).response().json()
        eq((answer["framing"], answer["body_length"], answer["body_is_pattern"]), ("chunked", at, True),
           "upload")


@test("trailers of a request are forwarded, those that may not be there are dropped")
def request_trailers():
    gateway, _ = play()
    client = gateway.client()
    client.send(HEAD + "5\r\nhello\r\n0\r\nX-Good: yes\r\nAuthorization: no\r\nX-Forwarded-For: 6.6.6.6\r\n"
                "Connection: x\r\nX-Also: 1\r\nCookie: no\r\nExpect: no\r\n\r\n")
    eq(client.response().json()["trailers"], {"X-Good": "yes", "X-Also": "1"}, "trailers")
    eq(client.get("/anything").json()["request"], 2, "request number on the same connection")


@test("a trailer that would frame or route the message is refused with 400")
def fatal_trailers():
    gateway, origin = play()
    for name in ("Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil"):
        client = gateway.client()
        client.send(HEAD + f"5\r\nhello\r\n0\r\n{name}\r\n\r\n")
        eq(client.response().status, 400, name)
        client.expect_fin()
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")


@test("trailers of a response reach an HTTP/1.1 client, forbidden ones do not")
def response_trailers():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(OK + "2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nConnection: x\r\nX-Other: 2\r\n\r\n")
    answer = client.response()
    eq((answer.body, answer.trailers.pairs), (b"ok", [("X-Sum", "1"), ("X-Other", "2")]), "body and trailers")


@test("a chunked response is verified by its trailers, in any chunk size, on one connection")
def downloads():
    gateway, _ = play()
    client = gateway.client()
    for size, chunk in ((0, 1), (1, 1), (5000, 1), (100000, 7), (1000000, 16384), (3000000, 1048576),
                        (65536, 65536)):
        answer = client.get(f"/stream-bytes/{size}?chunk={chunk}&trailer=1")
        eq(f"{verify(answer.body, size):08x}", answer.trailers["X-Crc32"].lower(),
           f"{size} bytes in chunks of {chunk}")
    eq(client.get("/anything").json()["connection"], 1, "backend connection")


@test("legal chunk extensions are understood and never passed on")
def extensions():
    gateway, _ = play()
    client = gateway.client()
    client.send(HEAD + '5;a=b;c="d;e\\"f";g\r\nhello\r\n0;last\r\n\r\n')
    answer = client.response().json()
    eq((answer["body"], answer["chunk_extensions"]), ("hello", 0), "body and extensions at the backend")
    eq(client.get("/bad/chunk-ext").body, b"ok", "body of a response with an extension")
    client.get("/anything")


@test("a chunk reaches the other side before the next one was sent")
def streaming():
    gateway, backend = acted()
    client = gateway.client().send(HEAD)
    upstream = backend.accept()
    head = upstream.request_head()
    pieces = upstream.body(head)
    for word in (b"one", b"two", b"three"):
        client.send(b"%x\r\n%s\r\n" % (len(word), word))
        eq(next(pieces), word, "a piece at the backend")
    client.send("0\r\n\r\n")
    eq(list(pieces), [], "the rest")
    upstream.send(OK)
    answer = client.response_head()
    pieces = client.body(answer)
    for word in (b"uno", b"due"):
        upstream.send(b"%x\r\n%s\r\n" % (len(word), word))
        eq(next(pieces), word, "a piece at the client")
    upstream.send("0\r\n\r\n")
    eq(list(pieces), [], "the rest")


@test("a chunked message cut into every pair of pieces is the same message")
def every_split():
    gateway, _ = play()
    client = gateway.client()
    text = "5\r\nhello\r\nA\r\n0123456789\r\n1\r\n!\r\n0\r\nX-T: v\r\n\r\n"
    for cut in range(len(text) + 1):
        client.send(HEAD + text[:cut])
        client.send(text[cut:])
        answer = client.response().json()
        eq((answer["body"], answer["trailers"]), ("hello0123456789!", {"X-T": "v"}), f"cut at {cut}")


@test("one-byte chunks are carried, up to the bound on overhead")
def overhead():
    gateway, _ = play()
    client = gateway.client()
    client.send(HEAD + "1\r\nx\r\n" * 20000 + "0\r\n\r\n")
    eq(client.response().json()["body_length"], 20000, "body of 20000 one-byte chunks")
    client.socket.settimeout(5 * factor())
    try:
        client.send(HEAD + "1;aaaaaaaaaaaa\r\nx\r\n" * 40000 + "0\r\n\r\n")
    except OSError:
        pass
    eq(client.response().status, 400, "status of more framing than payload")


@test("a chunked body that ends early is visible to both sides")
def cut_short():
    gateway, backend = acted()
    client = gateway.client().send(HEAD + "5\r\nhel").fin()
    upstream = backend.accept()
    upstream.request_head()
    kind, rest = upstream.expect_end()
    check(b"0\r\n\r\n" not in rest, f"the backend must not see a complete body: {rest!r} then {kind}")
    client.expect_end()
    for path in ("/close/mid-chunk", "/close/mid-chunk?boundary=1", "/close/mid-chunk?rst=1"):
        broken, _ = play()
        other = broken.client().request("GET", path)
        head = other.response_head()
        got = b""
        try:
            for piece in other.body(head):
                got += piece
        except Failure:
            pass
        else:
            raise Failure(f"{path} looks complete")
        check(len(got) <= 600, "no more than was sent")
        broken.wait_log(lambda r: r["close_reason"] in ("upstream_fin", "upstream_rst"))
