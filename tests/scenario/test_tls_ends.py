# SPDX-License-Identifier: Apache-2.0
"""TLS clients that give up, or end in the middle of something: nothing of them stays behind."""
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from hg import *
from hg.pki import Authority
from hg.tls import Tls, TlsBackend

CONFIG = """
frontendPolicies:
  http: {http1IdleTimeout: 1s}
binds:
- port: @port@
  listeners:
  - protocol: HTTPS
    tls: {cert: @cert@, key: @key@}
    routes:
    - backends: [{host: @origin@}]
"""


def start(config=CONFIG, **more):
    authority = Authority()
    leaf = authority.issue("a.example")
    gateway = Gateway(config, origin=Origin(), cert=leaf.cert, key=leaf.key, **more)
    gateway.authority = authority
    return gateway


@test("clients that end before their handshake do not use up the room of those that come later", timeout=60)
def given_up():
    gateway = start(workers=1)
    for _ in range(4200):  # LIMIT_TLS_PORT_HANDSHAKES and more
        plain = socket.create_connection(("127.0.0.1", gateway.port))
        plain.close()
    for _ in range(3):
        clients = [Tls(gateway.port, gateway.authority, "a.example") for _ in range(3)]
        for client in clients:
            eq(client.get("/get").status, 200, "status")


@test("pieces of a record that come as the idle time ends do not keep a connection", timeout=60)
def idle_pieces():
    gateway = start(workers=1)
    clients = []
    for _ in range(3):
        client = Tls(gateway.port, gateway.authority, "a.example")
        eq(client.get("/get").status, 200, "status")
        clients.append(client)
        fd, ends = client.socket.fileno(), time.monotonic() + 1
        time.sleep(0.95)
        os.write(fd, b"\x17\x03\x03\x40\x00")
        for _ in range(16000):
            try:
                os.write(fd, b"x")
            except OSError:
                break
            if time.monotonic() > ends + 0.1:
                break
    for client in clients:
        client.expect_end(10)


TUNNEL = """
binds:
- port: @port@
  listeners:
  - protocol: TLS
    tls: {cert: @cert@, key: @key@}
    tcpRoutes:
    - policies: {backendTLS: {root: @root@, hostname: a.example}}
      backends: [{host: @back@}]
"""


@test("a stream of a TCP route that is cut on one side is not ended with close_notify on the other")
def cut_tunnel():
    authority = Authority()
    leaf = authority.issue("a.example")
    backend = TlsBackend(leaf)
    gateway = Gateway(TUNNEL, back=backend, cert=leaf.cert, key=leaf.key, root=authority.cert)
    for is_cut in (True, False):
        for is_client in (True, False):
            with ThreadPoolExecutor() as pool:
                accepted = pool.submit(backend.accept)
                client = Tls(gateway.port, authority, "a.example").send("hello")
                upstream = accepted.result()
            eq(upstream.read(5), b"hello", "bytes")
            one, other = (client, upstream) if is_client else (upstream, client)
            one.send("the last")
            if is_cut:
                socket.socket.shutdown(one.socket, socket.SHUT_WR)
            else:
                one.socket.settimeout(0)
                try:
                    one.socket.unwrap()
                except OSError:  # the other's close_notify is not waited for
                    pass
                socket.socket.shutdown(one.socket, socket.SHUT_WR)
            eq(other.read_eof(), b"the last", "what was sent before")
            eq(other.is_cut, is_cut, f"cut, seen behind a {'client' if is_client else 'backend'}")
            one.close()
            other.close()
