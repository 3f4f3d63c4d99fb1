# SPDX-License-Identifier: Apache-2.0
"""Pipelined requests are answered in order, one in flight at the backend."""
import random

from hg import *
from plays import acted, play

MIXED = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: direct
      matches: [{path: {pathPrefix: /direct}}]
      policies: {directResponse: {status: 418, body: teapot}}
    - name: redirect
      matches: [{path: {pathPrefix: /moved}}]
      policies: {requestRedirect: {path: {full: /new}, status: 301}}
    - name: nobody
      matches: [{path: {pathPrefix: /nobody}}]
      backends: []
    - name: all
      matches: [{path: {pathPrefix: /echo}}, {path: {pathPrefix: /anything}}, {path: {pathPrefix: /bytes}},
                {path: {pathPrefix: /stream-bytes}}, {path: {pathPrefix: /status}},
                {path: {pathPrefix: /delay}}]
      backends:
      - host: @origin@
"""


@test("one empty line before a request is ignored, at the beginning and behind a body, however it is cut")
def empty_line():
    gateway, _ = play()
    text = ("\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
            "\r\nGET /anything/1 HTTP/1.1\r\nHost: x\r\n\r\n")
    for cut in range(1, len(text), 5):
        client = gateway.client().send(text[:cut])
        client.send(text[cut:])
        eq(client.response().body, b"abc", f"the echo, cut at {cut}")
        eq(client.response().json()["path"], "/anything/1", f"the path, cut at {cut}")
        client.close()
    client = gateway.client().send("GET /anything/1 HTTP/1.1\r\nHost: x\r\n\r\n\r\n")
    client.response()
    client.send("\r\nGET /anything/2 HTTP/1.1\r\nHost: x\r\n\r\n")
    eq(client.response().status, 400, "status after two empty lines")


@test("a hundred pipelined requests are answered in order on one backend connection")
def in_order():
    gateway, _ = play()
    client = gateway.client()
    client.send("".join(f"GET /anything/{n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(100)))
    for number in range(100):
        answer = client.response().json()
        eq((answer["path"], answer["request"]), (f"/anything/{number}", number + 1),
           "path and request number")
    check(gateway.metrics()("headgate_http_pipelined_requests_total") >= 90, "they are counted as pipelined")


@test("the next request is sent to the backend only when the answer before it is complete")
def one_in_flight():
    gateway, backend = acted()
    client = gateway.client()
    client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = backend.accept()
    eq(upstream.read_request().target, "/1", "first target")
    upstream.expect_silence(0.1)
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    upstream.expect_silence(0.1)
    backend.expect_no_connection(0)
    upstream.send("67890")
    eq(upstream.read_request().target, "/2", "second target")
    eq(client.response().body, b"1234567890", "first body")
    upstream.respond(body=b"two")
    eq(client.response().body, b"two", "second body")


@test("answers of our own keep their place among those of the backend")
def mixed():
    gateway, origin = play(MIXED)
    client = gateway.client()
    asked = [("GET", "/bytes/70000"), ("GET", "/direct"), ("HEAD", "/bytes/5"), ("GET", "/moved/x"),
             ("GET", "/nobody"), ("GET", "/missing"), ("POST", "/echo"), ("HEAD", "/direct"),
             ("GET", "/status/204"),
             ("GET", "/stream-bytes/3000?chunk=7&trailer=1"), ("GET", "/delay/0.05"), ("GET", "/status/304")]
    for method, target in asked:
        client.request(method, target, body=b"a body" if method == "POST" else None)
    got = [client.response(method) for method, _ in asked]
    eq([r.status for r in got], [200, 418, 200, 301, 500, 404, 200, 418, 204, 200, 200, 304], "statuses")
    verify(got[0].body, 70000)
    eq([got[n].body for n in (1, 2, 3, 4, 5, 6, 7)],
       [b"teapot", b"", b"", b"no valid backends", b"route not found", b"a body", b""], "bodies")
    verify(got[9].body, 3000)
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")


@test("pipelined requests cut at every byte, and all at once, have the same answers")
def every_cut():
    gateway, _ = play(MIXED)
    text = ("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            "GET /direct HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwxyz"
            "HEAD /bytes/9 HTTP/1.1\r\nHost: x\r\n\r\nGET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n")
    want = [(200, b"abc"), (418, b"teapot"), (200, b"wxyz"), (200, b""), (200, pattern(3))]
    client = gateway.client()
    for cut in range(0, len(text), 1 if not is_asan() else 3):
        client.send(text[:cut], text[cut:])
        got = [client.response(method) for method in ("POST", "GET", "POST", "HEAD", "GET")]
        eq([(r.status, r.body) for r in got], want, f"answers when cut at {cut}")
    client.send(*text)
    eq([(r.status, r.body) for r in [client.response(m) for m in ("POST", "GET", "POST", "HEAD", "GET")]],
       want,
       "answers byte by byte")


@test("a lone CRLF begins no request: the connection stays idle, and ends as an idle one")
def empty_line_idle():
    gateway, _ = play("config: {timeouts: {clientHeaderMin: 100ms}}\n" + MIXED +
                      "frontendPolicies: {http: {http1IdleTimeout: 1s}}\n")
    for lone in ("\r", "\r\n"):
        client = gateway.client()
        client.send(lone)
        client.expect_fin()  # without the 408 of a head that is late


@test("a pipelined request behind one that closes is not served")
def behind_close():
    gateway, backend = acted()
    client = gateway.client()
    client.send("GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(body=b"one")
    eq(client.response().body, b"one", "first body")
    client.expect_fin()
    upstream.expect_silence(0.1)
    backend.expect_no_connection(0)


@test("a malformed request behind good ones is refused when its turn comes")
def bad_behind_good():
    gateway, origin = play()
    client = gateway.client()
    client.send("GET /anything/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /anything/2 HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /anything/3 HTTP/1.1\nHost: x\r\n\r\nGET /anything/4 HTTP/1.1\r\nHost: x\r\n\r\n")
    eq([client.response().status for _ in range(3)], [200, 200, 400], "statuses")
    client.expect_fin()
    eq(origin.stats()["requests"], 3, "requests at the backend, this one included")


@test("a client that sends requests and reads nothing is stopped, and served when it reads")
def greedy():
    gateway, _ = play()
    client = gateway.client(rcvbuf=65536)
    # Pages of the program that a request touches first do not count.
    for _ in range(100):
        eq(gateway.fetch("/bytes/20000").status, 200, "status")
    before = gateway.rss_bytes()
    request = b"GET /bytes/20000 HTTP/1.1\r\nHost: x\r\n\r\n"
    taken = client.send_until_blocked(request * 1000, limit=64 << 20)
    check(taken < 64 << 20, "the gateway took 64 MiB of requests without sending answers")
    grown = gateway.rss_bytes() - before
    check(grown < (4 << 20) * factor(), f"the gateway grew by {grown} bytes")
    for _ in range(200):
        verify(client.response().body, 20000)


@test("random mixes of pipelined requests give the answers of the requests sent one by one", timeout=60)
def random_mix():
    gateway, _ = play(MIXED)
    dice = random.Random(20240501)
    for _ in range(30):
        client = gateway.client()
        wanted, sent = [], []
        for _ in range(dice.randint(2, 30)):
            kind, size = dice.randrange(6), dice.choice((0, 1, 700, 16384, 70000))
            if kind == 0:
                sent.append(f"GET /bytes/{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                wanted.append(("GET", 200, pattern(size)))
            elif kind == 1:
                sent.append(f"HEAD /bytes/{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                wanted.append(("HEAD", 200, b""))
            elif kind == 2:
                sent.append(b"GET /direct/a HTTP/1.1\r\nHost: x\r\n\r\n")
                wanted.append(("GET", 418, b"teapot"))
            elif kind == 3:
                sent.append(f"GET /stream-bytes/{size}?chunk=999 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                wanted.append(("GET", 200, pattern(size)))
            elif kind == 4:
                sent.append(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
                            + pattern(size))
                wanted.append(("POST", 200, pattern(size)))
            else:
                body = b"%x\r\n%s\r\n" % (size, pattern(size)) if size else b""
                sent.append(b"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body
                            + b"0\r\n\r\n")
                wanted.append(("PUT", 200, pattern(size)))
        script = b"".join(sent)
        cuts = sorted(dice.randrange(len(script)) for _ in range(dice.randrange(8)))
        pieces = [script[a:b] for a, b in zip([0] + cuts, cuts + [len(script)])]
        sender = Sender(client, pieces)
        for number, (method, status, body) in enumerate(wanted):
            answer = client.response(method)
            eq((answer.status, answer.body == body), (status, True),
               f"answer {number} to {sent[number][:60]!r}")
        sender.join()
        client.close()


class Sender:
    """Sends from a thread of its own, so that answers are read meanwhile."""

    def __init__(self, client, pieces):
        import threading
        self.thread = threading.Thread(target=lambda: [client.socket.sendall(p) for p in pieces], daemon=True)
        self.thread.start()

    def join(self):
        self.thread.join(10 * factor())
        check(not self.thread.is_alive(), "the sender is still blocked")
