# SPDX-License-Identifier: Apache-2.0
"""RFC 8441: WebSockets as streams of HTTP/2, in front of backends of HTTP/1.1."""
from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.h2_websocket import H2WebSocket, ask
from h2cases import SIMPLE, connect
from plays import acted


@test("RFC 8441: a WebSocket is a stream among others of a connection")
def websocket():
    client = connect()
    sockets = [H2WebSocket(client) for _ in range(3)]
    for socket in sockets:
        for data in ("hello", "", "x" * 70000, b"\x00\xff" * 500, "ü" * 100):
            socket.echo(data)
        socket.send("in pieces " * 100, pieces=7)
        eq(socket.receive(), "in pieces " * 100, "fragmented message")
        socket.ping()
        eq(client.get("/get").status, 200, "a request beside it")
    for socket in sockets:
        socket.close()
    records = client.gateway.wait_log(lambda r: r["http.path"] == "/ws", 3)
    eq({r["close_reason"] for r in records}, {"ok"}, "close reasons")


@test("RFC 8441: the backend of HTTP/1.1 sees an Upgrade with a key, and its answer loses the accept field")
def websocket_handshake():
    gateway, backend = acted()
    client = H2Client(gateway.port)
    number = ask(client, "/chat?x=1", {"sec-websocket-protocol": "chat", "origin": "http://example.com"})
    upstream = backend.accept()
    request = upstream.read_request()
    eq((request.method, request.target, request.headers["Host"]), ("GET", "/chat?x=1", client.authority),
       "request line and Host")
    got = [(request.headers[name] or "").lower() for name in (
        "Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Origin")]
    eq(got, ["upgrade", "websocket", "13", "chat", "http://example.com"], "fields of the handshake")
    eq(len(request.headers["Sec-WebSocket-Key"] or ""), 24, "characters of the key")
    client.send_data(number, b"early bytes")
    upstream.expect_silence(0.1)  # a tunnel only after the 101
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\nfirst")
    head = client.response_head(number)
    eq((head.status, head.headers["sec-websocket-protocol"], head.headers["sec-websocket-accept"]),
       (200, "chat", None), "head")
    stream = client.streams[number]
    client.wait(lambda: stream.received >= 5, what="bytes in the packet of the 101")
    eq(bytes(stream.body), b"first", "bytes")
    eq(upstream.read(11), b"early bytes", "bytes that waited")
    client.send_data(number, b"last", True)
    eq(upstream.read_eof(), b"last", "bytes, then FIN")
    upstream.send("still here")
    upstream.fin()
    client.wait(lambda: stream.ended, what="END_STREAM")
    eq(bytes(stream.body), b"firststill here", "bytes")


@test("RFC 8441: a WebSocket that its backend refuses is an answer with that status")
def websocket_refused():
    client = connect()
    eq(client.response(ask(client, "/ws-refuse")).status, 403, "status")
    eq(client.get("/get").status, 200, "another request on the connection")


@test("RFC 8441: a WebSocket that announces a body is a 400, and its backend does not hear of it")
def websocket_with_body():
    gateway, backend = acted()
    client = H2Client(gateway.port)
    eq(client.response(ask(client, headers={"content-length": "5"})).status, 400, "status")
    backend.expect_no_connection(0.1)
    client.ping()


@test("RFC 8441: resets of a WebSocket are mapped both ways")
def websocket_resets():
    gateway, backend = acted()
    client = H2Client(gateway.port)
    for ending in ("client", "backend"):
        number = ask(client)
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        eq(client.response_head(number).status, 200, "status")
        if ending == "client":
            client.reset(number)
            upstream.expect_end()
        else:
            upstream.rst()
            client.expect_rst(number, f.INTERNAL_ERROR, f.CANCEL, f.CONNECT_ERROR)
    client.ping()


@test("tunnelIdle ends a WebSocket over HTTP/2, and its connection goes on")
def websocket_idle():
    client = connect(SIMPLE + "config: {timeouts: {tunnelIdle: 500ms}}\n")
    socket = H2WebSocket(client)
    with within(0.5, "the end of the idle WebSocket"):
        socket.echo("x")
        client.wait(lambda: socket.raw.stream.rst is not None or socket.raw.stream.ended, what="the end")
    eq(client.gateway.wait_log()["close_reason"], "tunnel_idle", "close_reason")
    eq(client.get("/get").status, 200, "another request on the connection")
