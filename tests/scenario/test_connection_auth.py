# SPDX-License-Identifier: Apache-2.0
"""NTLM and Negotiate prove who a client is for a connection: such a connection serves no other client."""
import base64
import re
import socket
import socketserver
import threading

from hg import *
from hg.framework import Context, context
from hg.h2 import H2Client
from hg.mcp import Mcp
from h2backends import served as served_by_http2
from mcpplays import Told, play
from plays import SIMPLE
from tlsbackends import served as served_by_tls

TWO_BACKENDS = """
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
      - host: @second@
"""
MIRRORED = """
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {requestMirror: {backend: {host: @copy@}}}
      backends: [{host: @origin@}]
"""


class Conversation(socketserver.BaseRequestHandler):
    """One connection: who has proved who he is on it stays that for all later requests."""

    def handle(self):
        user, asked, scheme = None, False, self.server.scheme
        with self.server.lock:
            self.server.connections += 1
            self.server.open.append(self.request)
        stream = self.request.makefile("rb")
        while head := self._head(stream):
            found = re.search(rb"(?im)^authorization: *(\S+) (\S+)\r$", head)
            token = found.group(2) if found and found.group(1).lower() == scheme.lower().encode() else None
            if token == b"first":
                self._answer("401 Unauthorized", f"WWW-Authenticate: {scheme} challenge\r\n")
                asked = True
                continue
            if token and (asked or self.server.at_once):
                user = base64.b64decode(token).decode()
            if user:
                self._answer("200 OK", "", user)
            else:
                self._answer("401 Unauthorized", f'WWW-Authenticate: Basic realm="a, b", {scheme}\r\n')

    def _head(self, stream):
        lines = []
        while (line := stream.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines)

    def _answer(self, status, fields, body=""):
        text = f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}"
        self.request.sendall(text.encode())


class Server(socketserver.ThreadingTCPServer):
    """at_once: the first credentials suffice, as a ticket of Kerberos does."""
    daemon_threads = allow_reuse_address = True

    def __init__(self, scheme="NTLM", at_once=False):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.scheme, self.at_once, self.connections, self.lock = scheme, at_once, 0, threading.Lock()
        self.open = []
        self.address = "127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        context().own(Context.ORIGIN, self)

    def cleanup(self):
        self.shutdown()
        self.server_close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def ask(client, credentials=None, path="/"):
    headers = [("Authorization", credentials)] if credentials else []
    response = client.request("GET", path, headers=headers).response()
    return response.status, response.text


def token(user):
    return base64.b64encode(user.encode()).decode()


def log_in(client, user, scheme="NTLM"):
    eq(ask(client)[0], 401, "without credentials")
    eq(ask(client, f"{scheme} first")[0], 401, "the first message")
    eq(ask(client, f"{scheme} {token(user)}"), (200, user), "the second message")


def start(config=SIMPLE, **names):
    return Gateway(config, workers=1, **names)


@test("a connection on which NTLM has proved a client serves that client alone, until it leaves")
def is_not_shared():
    server = Server()
    gateway = start(origin=server)
    alice, bob = gateway.client(), gateway.client()
    log_in(alice, "alice")
    eq(ask(bob)[0], 401, "another client")
    log_in(bob, "bob")
    for _ in range(3):
        eq(ask(alice), (200, "alice"), "goes on without credentials")
        eq(ask(bob), (200, "bob"), "the other one as well")
    eq(server.connections, 2, "connections to the backend")
    alice.close()
    wait_until(lambda: gateway.metrics()("headgate_upstream_connections_open") == 1, 5,
               "its connection closes with it")
    eq(ask(gateway.client())[0], 401, "a client that came later")
    eq(ask(bob), (200, "bob"), "the one that stayed")


@test("credentials of Negotiate in the first request bind the connection, whatever was pooled before")
def negotiate_at_once():
    server = Server("Negotiate", at_once=True)
    gateway = start(origin=server)
    alice = gateway.client()
    eq(ask(alice, f"negotiate {token('alice')}"), (200, "alice"), "with credentials")
    eq(ask(gateway.client())[0], 401, "another client")
    eq(ask(alice), (200, "alice"), "the same client")


@test("the messages of one handshake go to one endpoint, where a route has several backends")
def stays_with_backend():
    servers = Server(), Server()
    gateway = start(TWO_BACKENDS, origin=servers[0], second=servers[1])
    for i in range(8):
        client = gateway.client()
        log_in(client, f"user{i}")
        eq(ask(client), (200, f"user{i}"), "goes on")


@test("a copy of a request with such credentials leaves no connection behind that others could use")
def mirror():
    origin, copy = Origin(), Server("NTLM", at_once=True)
    gateway = start(MIRRORED, origin=origin, copy=copy)
    client = gateway.client()
    eq(ask(client, f"NTLM {token('alice')}", "/get")[0], 200, "status")
    wait_until(lambda: copy.connections == 1, 5, "the copy")
    wait_until(lambda: gateway.metrics()("headgate_upstream_connections_open") == 1, 5,
               "the end of the connection of the copy; that of the request stays with its client")
    eq(gateway.metrics()("headgate_upstream_pool_idle"), 0, "connections that others could use")
    eq(gateway.fetch("/get").status, 200, "another request")
    wait_until(lambda: copy.connections == 2, 5, "the second copy has a connection of its own")


@test("behind a client of HTTP/2 such a connection is closed after its answer")
def http2():
    server = Server("NTLM", at_once=True)
    gateway = start(origin=server)
    client = H2Client(gateway.client())
    eq(client.get("/", [("authorization", f"NTLM {token('alice')}")]).status, 200, "with credentials")
    eq(client.get("/").status, 401, "without")
    eq(server.connections, 2, "connections to the backend")


@test("connections without such credentials are pooled as before, also behind a 401 of Basic")
def basic_is_pooled():
    server = Server("Basic", at_once=True)
    gateway = start(origin=server)
    for _ in range(4):
        eq(ask(gateway.client())[0], 401, "status")
    eq(server.connections, 1, "connections to the backend")


@test("a request with such credentials never shares a connection of HTTP/2: a backend that has the choice "
      "gets HTTP/1.1, and the connection stays with its client")
def alpn():
    gateway, _, _ = served_by_tls(alpn=["h2", "http/1.1"])
    alice, bob, carol = gateway.client(), gateway.client(), H2Client(gateway.client())

    def seen(client, *credentials):
        got = client.get("/", [("authorization", c) for c in credentials]).json()
        return got["alpn"], got["connection"]

    eq(seen(bob), ("h2", 1), "without credentials")
    for scheme in ("NTLM", "negotiate"):
        eq(seen(alice, f"{scheme} {token('alice')}"), ("http/1.1", 2), scheme)
    eq(seen(alice), ("http/1.1", 2), "the same client, without credentials")
    eq(seen(bob, "Basic YTpi"), ("h2", 1), "another client")
    eq(seen(carol, f"NTLM {token('carol')}"), ("http/1.1", 3), "a client of HTTP/2")
    eq(seen(carol), ("h2", 1), "the same one, without credentials")


@test("a backend of HTTP/2 alone never gets such credentials: 501 says why")
def http2_alone():
    gateway, service = served_by_http2()
    for client in (gateway.client(), H2Client(gateway.port)):
        for scheme in ("NTLM", "Negotiate"):
            answer = client.get("/", [("authorization", f"{scheme} {token('alice')}")])
            eq(answer.status, 501, f"status of {scheme}")
            check("NTLM and Negotiate" in answer.text and "HTTP/1.1" in answer.text, answer.text)
            eq(gateway.wait_log()["close_reason"], "upgrade_mismatch", "close_reason")
        eq(service.connections, 0, "connections to the backend")
    eq(client.get("/", [("authorization", "Basic YTpi")]).status, 200, "status of Basic")


class Ports(Told):
    """An MCP target over HTTP. .ports: (Authorization, port of the gateway's connection) of each message."""

    def __init__(self):
        self.ports = []
        super().__init__()

    def answer(self, handler, message):
        self.ports.append((handler.headers.get("Authorization"), handler.client_address[1]))
        return super().answer(handler, message)


@test("a connection to an MCP target that has carried such credentials carries no other client's messages")
def mcp():
    target = Ports()
    gateway, _ = play(target.target(), workers=1)
    for _ in range(3):
        alice = Mcp(gateway, headers={"Authorization": f"NTLM {token('alice')}"})
        eq(alice.request("tools/list"), {}, "with credentials")
        eq(Mcp(gateway).request("tools/list"), {}, "another client, without")
    check({bool(credentials) for credentials, _ in target.ports} == {True, False}, f"{target.ports}")
    for at, (credentials, port) in enumerate(target.ports):
        check(not credentials or port not in [later for _, later in target.ports[at + 1:]],
              f"message {at} was not the last one of its connection: {target.ports}")
