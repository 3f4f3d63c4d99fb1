# SPDX-License-Identifier: Apache-2.0
"""Upgrade: HTTP up to the backend's 101, a tunnel from there on, and nothing in between."""
import threading

from hg import *
from plays import acted, lanes, play

ASK = "GET {} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {}\r\n\r\n"


@test("a WebSocket echoes text, binary, fragments and pings, and closes cleanly")
def websocket():
    gateway, _ = play()
    socket = WebSocket(gateway.port)
    for data in ("hello", "", "x" * 70000, b"\x00\xff" * 500, "ü" * 100):
        socket.echo(data)
    socket.send("in pieces " * 100, pieces=7)
    eq(socket.receive(), "in pieces " * 100, "fragmented message")
    socket.ping()
    socket.close()
    record = gateway.wait_log()
    eq((record.status, record["close_reason"]), (101, "ok"), "log")


@test("the backend sees the handshake with its fields, and nothing hop-by-hop besides")
def handshake_fields():
    gateway, backend = acted()
    client = gateway.client()
    client.send("GET /chat?x=1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade, X-Drop\r\n"
                "Upgrade: websocket\r\n"
                "X-Drop: 1\r\nKeep-Alive: 5\r\nSec-WebSocket-Key: a2V5a2V5a2V5a2V5a2V5MQ==\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
    upstream = backend.accept()
    request = upstream.read_request()
    eq((request.header("Connection"), request.header("Upgrade"), request.header("X-Drop"),
        request.header("Keep-Alive"),
        request.header("Sec-WebSocket-Protocol")), ("upgrade", "websocket", None, None, "chat"), "fields")
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
                  "Sec-WebSocket-Accept: x\r\n\r\nfirst bytes")
    answer = client.response_head()
    eq((answer.status, answer.header("Connection"), answer.header("Sec-WebSocket-Accept")),
       (101, "upgrade", "x"), "101")
    eq(client.read(11), b"first bytes", "bytes in the packet of the 101")
    client.send("up")
    eq(upstream.read(2), b"up", "bytes to the backend")
    client.fin()
    upstream.expect_fin()
    upstream.send("still here")
    eq(client.read(10), b"still here", "half-closed tunnel")
    upstream.fin()
    client.expect_fin()


@test("bytes that a client sends before the 101 wait for it, and are never read as HTTP")
def early_bytes():
    gateway, backend = acted()
    early = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    client = gateway.client().send(ASK.format("/", "echo") + early)
    upstream = backend.accept()
    upstream.read_request()
    client.send("more")
    upstream.expect_silence(0.15)
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    eq(upstream.read(len(early) + 4), (early + "more").encode(), "bytes behind the 101")
    eq(client.response_head().status, 101, "status")
    backend.expect_no_connection(0)


@test("a refused upgrade leaves an HTTP connection that goes on")
def refused():
    gateway, _ = play()
    client = gateway.client()
    for _ in range(2):
        client.send(ASK.format("/ws-refuse", "websocket"))
        eq(client.response().status, 403, "status")
        eq(client.get("/get").status, 200, "the next request")
    client.send(ASK.format("/anything", "websocket"))
    answer = client.response()
    eq((answer.status, answer.json()["connection"]), (200, 1), "an upgrade that the backend ignores")
    eq(client.get("/anything").json()["connection"], 1, "the next request on the same connections")


@test("a refused upgrade with bytes behind it ends the connection: they may be anything")
def refused_with_bytes():
    gateway, origin = play()
    for path in ("/ws-refuse", "/anything"):
        client = gateway.client()
        client.send(ASK.format(path, "websocket") + "GET /anything?count=smuggled HTTP/1.1\r\n"
                                                    "Host: x\r\n\r\n")
        eq(client.response().header("Connection"), "close", "Connection")
        client.expect_fin()
    eq(origin.counter("smuggled"), 0, "requests that were made of those bytes")


@test("a 101 for another protocol is a 502 that names both, and the connection is dropped")
def mismatch():
    gateway, backend = acted()
    client = gateway.client()
    for protocol in ("websocket/2", "h2c", "echo2", "ech\to"):
        client.send(ASK.format("/", "echo"))
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                      f"Upgrade: {protocol}\r\n\r\nraw")
        answer = client.response()
        shown = protocol.replace("\t", "\\x09")
        eq(answer.status, 502, "status")
        check(answer.text.startswith("request upgrade failed, backend tried ")
              and answer.text.endswith(" but echo was requested"),
              f"body {answer.text!r} for {shown!r}")
        upstream.expect_end()
    eq(gateway.wait_log()["close_reason"], "upgrade_mismatch", "close_reason")


@test("a 101 without Upgrade, or without Connection: upgrade, is a 502")
def incomplete_101():
    gateway, backend = acted()
    client = gateway.client()
    for fields in ("", "Connection: Upgrade\r\n", "Upgrade: echo\r\n"):
        client.send(ASK.format("/", "echo"))
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")
        eq(client.response().status, 502, f"status for {fields!r}")
        upstream.expect_end()


@test("h2c is never asked of a backend; the request goes on without it")
def h2c_stripped():
    gateway, _ = play()
    client = gateway.client()
    for upgrade in ("h2c", "H2C", "h2c, h2c", "TLS/1.0"):
        client.send(f"GET /anything HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                    f"Upgrade: {upgrade}\r\n"
                    "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        headers = {name.lower() for name in client.response().json()["headers"]}
        check(not headers & {"upgrade", "http2-settings", "connection"}, f"{upgrade}: {headers}")
    client.send("GET /anything HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n")
    eq(client.response().json()["headers"]["Upgrade"], "websocket",
       "of several the one that may be asked for")


@test("Upgrade without a nomination in Connection is dropped")
def not_nominated():
    gateway, _ = play()
    client = gateway.client().request("GET", "/anything", [("Upgrade", "websocket")])
    check("Upgrade" not in client.response().json()["headers"], "Upgrade reached the backend")


ANY = "{} /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{}\r\n"


SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
BODIES = (("POST", "", "", b""), ("POST", "Content-Length: 0\r\n", "", b""),
          ("PUT", "Content-Length: 4\r\n", "body", b"body"),
          ("GET", "Content-Length: 4\r\n", "body", b"body"),
          ("POST", "Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n", b"body"),
          ("POST", "Content-Length: 300000\r\n", "y" * 300000, b"y" * 300000))


@test("any method may ask for a protocol, with or without a body; the body goes to the backend first")
def any_method():
    for _, config in lanes():
        gateway, backend = acted(config)
        for method, fields, body, want in BODIES:
            client = gateway.client().send(ANY.format(method, fields) + body + "first of the protocol")
            upstream = backend.accept()
            request = upstream.read_request()
            eq((request.method, request.body), (method, want), "request")
            eq(request.header("Upgrade"), "SPDY/3.1", "Upgrade")
            upstream.send(SWITCH)
            eq(client.response_head().status, 101, "status")
            eq(upstream.read(21), b"first of the protocol", "bytes behind the body")
            upstream.send("answer")
            eq(client.read(6), b"answer", "bytes to the client")
            client.fin()
            upstream.expect_fin()
            upstream.fin()
            client.expect_fin()


@test("a backend that does not switch answers a request with a body like any other, and both connections "
      "go on")
def any_method_refused():
    gateway, backend = acted()
    client = gateway.client()
    upstream = None
    for _ in range(2):
        client.send(ANY.format("POST", "Content-Length: 4\r\n") + "body")
        upstream = upstream or backend.accept()
        eq(upstream.read_request().body, b"body", "body")
        upstream.respond(200, body=b"no")
        eq(client.response().body, b"no", "the answer")


@test("a 101 before the end of the request's body is a 502: nobody would know where the protocol begins")
def early_switch():
    gateway, backend = acted()
    client = gateway.client().send(ANY.format("POST", "Content-Length: 10\r\n") + "half")
    upstream = backend.accept()
    upstream.request_head()
    upstream.send(SWITCH)
    eq(client.response().status, 502, "status")
    upstream.expect_end()
    eq(gateway.wait_log()["close_reason"], "response_bad", "close_reason")


@test("HTTP/1.0 knows no Upgrade: the field goes no further")
def http_1_0():
    gateway, _ = play()
    client = gateway.client().send("GET /anything HTTP/1.0\r\nHost: x\r\nConnection: upgrade\r\n"
                                   "Upgrade: websocket\r\n\r\n")
    check("Upgrade" not in client.response().json()["headers"], "Upgrade reached the backend")


@test("an Upgrade that names no protocol is refused with 400")
def impossible():
    gateway, origin = play()
    for name in "web socket", "a/b/c", "/1":
        client = gateway.client().send(ASK.format("/", name))
        eq(client.response().status, 400, name)
        client.expect_end()
    eq(origin.stats()["requests"], 1, "requests at the backend, this one included")


@test("a tunnel carries megabytes both ways at once")
def bulk():
    gateway, _ = play()
    client = gateway.client().send(ASK.format("/upgrade-raw?push=hi", "echo"))
    eq(client.response_head().status, 101, "status")
    eq(client.read(2), b"hi", "the push")
    size = 8 << 20
    pieces = [pattern(1 << 20, offset) for offset in range(0, size, 1 << 20)]
    sender = threading.Thread(target=lambda: client.send(*pieces),
                              daemon=True)
    sender.start()
    checker = PatternCheck()
    while checker.received < size:
        checker.feed(client.read_some(min(1 << 18, size - checker.received)))
    sender.join()
    client.fin()
    client.expect_fin()
    record = gateway.wait_log()
    eq((record["bytes_in"], record["bytes_out"]), (str(size), str(size + 2)), "bytes in the log")


@test("a reset travels through a tunnel as a reset, from either side, also when the other side does not read")
def resets():
    gateway, backend = acted(dict(lanes())["copy"])
    for who in ("client", "backend", "blocked client"):
        client = gateway.client().send(ASK.format("/", "echo"))
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        eq(client.response_head().status, 101, "status")
        if who == "blocked client":
            client.send_until_blocked(pattern(1 << 20))
        if who == "backend":
            upstream.rst()
            client.expect_rst()
        else:
            client.rst()
            gateway.wait_log(lambda r: r["close_reason"] == "client_rst", 1 + (who == "blocked client"), 2)
            upstream.expect_rst()
    reasons = [record["close_reason"] for record in gateway.wait_log(count=3)]
    eq(reasons, ["client_rst", "upstream_rst", "client_rst"], "close reasons")


@test("fifty WebSockets at once keep their messages apart")
def many():
    gateway, _ = play(workers=2)
    sockets = [WebSocket(gateway.port) for _ in range(50)]
    for round_ in range(3):
        for number, socket in enumerate(sockets):
            socket.send(f"{round_} {number}")
        for number, socket in enumerate(sockets):
            eq(socket.receive(), f"{round_} {number}", "message")
    eq(len(gateway.streams()), 50, "streams listed")
    for socket in sockets:
        socket.raw.close()
    wait_until(lambda: not gateway.streams(), 3, "no stream")


@test("an upgraded connection serves no HTTP afterwards")
def no_way_back():
    gateway, _ = play()
    client = gateway.client().send(ASK.format("/upgrade-raw", "echo"))
    eq(client.response_head().status, 101, "status")
    request = b"GET /anything?count=never HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(request)
    eq(client.read(len(request)), request, "the echo")
    client.fin().expect_fin()
