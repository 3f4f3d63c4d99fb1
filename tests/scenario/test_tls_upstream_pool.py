# SPDX-License-Identifier: Apache-2.0
"""TLS to backends: which connections are shared, what handshakes go on with, what is spoken inside."""
import subprocess
import threading
import time

from hg import *
from hg.h2 import H2Client
from hg.pki import Authority
from hg.ports import free_port
from hg.websocket import WebSocket
from tlsbackends import Played, Service, config, good, served, server_context

BOTH = ["h2", "http/1.1"]
CLOSE = {"Connection": "close"}


def played(authority=None, tls=None, identity=None, **options):
    """(gateway, backend): the test plays what is inside."""
    authority = authority or Authority()
    backend = Played(server_context(identity or good(authority), **options))
    text = config({"root": authority.cert, "hostname": "backend.test", **(tls or {})})
    return Gateway(text, origin=backend, workers=1), backend


def exchange(gateway, backend, close=False, upstream=None):
    """One request on a connection of its own, or on this one."""
    client = gateway.client().request("GET", "/x")
    upstream = upstream or backend.accept()
    upstream.read_request()
    upstream.respond(200, CLOSE if close else {}, b"answer")
    eq(client.response().body, b"answer", "answer")
    if close:
        upstream.close()
    return upstream


# ---- sessions --------------------------------------------------------------------------------------------


@test("a handshake goes on with the session of the one before, in TLS 1.2 and 1.3")
def resumed():
    for version in ("1.2", "1.3"):
        gateway, backend = played(version=version)
        seen = [exchange(gateway, backend, close=True).tls.resumed for _ in range(4)]
        eq(seen, [False, True, True, True], f"resumed with TLS {version}")
        eq(gateway.metrics()("headgate_upstream_tls_handshakes_total"), 4, "handshakes")
        eq(gateway.metrics()("headgate_upstream_tls_handshakes_resumed_total"), 3, "resumed")


@test("a ticket of TLS 1.3 is used once: of a burst as many are resumed as there were tickets")
def single_use():
    gateway, backend = played(version="1.3", tickets=2)
    exchange(gateway, backend, close=True)
    clients = [gateway.client().request("GET", "/x") for _ in range(4)]
    upstreams = [backend.accept() for _ in clients]
    eq(sorted(u.tls.resumed for u in upstreams), [False, False, True, True], "resumed")
    for upstream in upstreams:
        upstream.read_request()
        upstream.respond(200, {}, b"x")
    for client in clients:
        eq(client.response().status, 200, "status")


@test("a handshake that failed throws the sessions away: the next one is a full one")
def after_failure():
    authority = Authority()
    gateway, backend = played(authority, version="1.2")
    exchange(gateway, backend, close=True)
    eq(exchange(gateway, backend, close=True).tls.resumed, True, "resumed")
    client = gateway.client().request("GET", "/x")
    backend.accept_plain().close()
    eq(client.response().status, 503, "status")
    eq(exchange(gateway, backend, close=True).tls.resumed, False, "resumed after a failure")


@test("a session does not outlive what it was made with: another root, another name, a full handshake")
def other_settings():
    authority, other = Authority(), Authority("other")
    gateway, backend = played(authority, version="1.3")
    exchange(gateway, backend, close=True)
    both = write_both(gateway, authority, other)
    gateway.reload(config({"root": both, "hostname": "backend.test"}))
    eq(exchange(gateway, backend, close=True).tls.resumed, False, "resumed with another root")
    gateway.reload(config({"root": other.cert, "hostname": "backend.test"}))
    answer = gateway.client().request("GET", "/x")
    backend_fails(backend)
    eq(answer.response().status, 503, "an authority that is believed no more")


def write_both(gateway, one, two):
    gateway.write("both.pem", (one.pem + two.pem).decode())
    return gateway.files["both.pem"]


def backend_fails(backend):
    try:
        backend.accept()
    except OSError:
        return
    raise Failure("the handshake succeeded")


# ---- the pool --------------------------------------------------------------------------------------------


@test("connections are kept and used again; tickets are no answer, other bytes end an idle one")
def kept():
    gateway, backend = played(version="1.3", tickets=5)
    upstream = exchange(gateway, backend)
    for _ in range(3):
        time.sleep(0.1)
        exchange(gateway, backend, upstream=upstream)
    eq(gateway.metrics()("headgate_upstream_pool_stale_total"), 0, "stale")
    eq(gateway.metrics()("headgate_upstream_pool_reused_total"), 3, "reused")
    upstream.send("HTTP/1.1 200 OK\r\n\r\n")
    wait_until(lambda: gateway.metrics()("headgate_upstream_pool_stale_total") == 1, 5, "the end of it")


@test("a KeyUpdate on an idle connection does not end it, and both sides go on with their new keys")
def key_update():
    authority = Authority()
    identity = good(authority)
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", identity.cert, "-key",
                               identity.key, "-tls1_3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    gateway = Gateway(config({"root": authority.cert, "hostname": "backend.test"}, host=f"127.0.0.1:{port}"),
                      workers=1)

    def say(line):
        server.stdin.write(line)
        server.stdin.flush()

    def await_line(word):
        while word not in (line := server.stdout.readline()):
            check(line, f"s_server ended before {word}")

    await_line(b"ACCEPT")
    for number in range(3):
        client = gateway.client().request("GET", f"/number{number}")
        await_line(b"/number%d" % number)
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        eq(client.response().body, b"ok", "answer")
        wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 1, 5, "the pool")
        say(b"Kk"[number % 2:number % 2 + 1] + b"\n")
        time.sleep(0.3)
    eq(gateway.metrics()("headgate_upstream_pool_stale_total"), 0, "stale")
    eq(gateway.metrics()("headgate_upstream_pool_reused_total"), 2, "reused")
    server.kill()
    server.wait()


@test("an idle connection that the backend ends with close_notify, or cuts, is not used again")
def ended():
    gateway, backend = played()
    for end in (lambda u: u.fin(), lambda u: u.tls.cut()):
        upstream = exchange(gateway, backend)
        end(upstream)
        wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 0, 5, "the end of it")


TWO = """
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /one}}]
      backends: [{host: @origin@, policies: {backendTLS: {root: %s, hostname: one.test}}}]
    - matches: [{path: {pathPrefix: /two}}]
      backends: [{host: @origin@, policies: {backendTLS: {root: %s, hostname: two.test}}}]
    - matches: [{path: {pathPrefix: /same}}]
      backends: [{host: @origin@, policies: {backendTLS: {root: %s, hostname: one.test}}}]
    - matches: [{path: {pathPrefix: /mine}}]
      backends:
      - host: @origin@
        policies: {backendTLS: {root: %s, hostname: one.test, cert: %s, key: %s}}
    - backends: [{host: @origin@}]
"""


@test("two names, client certificates, or plain text and TLS never share a connection; one setting does")
def identities():
    authority = Authority()
    mine = authority.issue("me", client=True)
    root = authority.cert
    service = Service(server_context(authority.issue("one.test", "two.test"), alpn=["http/1.1"]))
    gateway = Gateway(TWO % (root, root, root, root, mine.cert, mine.key), origin=service, workers=1)
    client = gateway.client()
    numbers = {path: client.get(path).json()["connection"] for path in ("/one", "/two", "/same", "/mine")}
    eq(numbers, {"/one": 1, "/two": 2, "/same": 1, "/mine": 3}, "connections")
    for path in numbers:
        eq(client.get(path).json()["connection"], numbers[path], f"connection of {path} again")
    eq(client.get("/plain").status, 503, "plain text to a port of TLS")


@test("a reload that leaves the settings as they are keeps the connections; another hostname does not")
def reloads():
    gateway, service, authority = served(alpn=["http/1.1"])
    client = gateway.client()
    eq(client.get("/x").json()["connection"], 1, "connection")
    same = config({"root": authority.cert, "hostname": "backend.test"})
    gateway.reload(same.replace("name: all", "name: all2"))
    eq(client.get("/x").json()["connection"], 1, "connection after a reload of the same")
    gateway.reload(config({"root": authority.cert, "hostname": "backend.test", "alpn": ["http/1.1"]}))
    eq(client.get("/x").json()["connection"], 2, "connection with other settings")
    eq(len(service.seen), 2, "connections")


# ---- what is spoken inside -------------------------------------------------------------------------------


@test("ALPN: the backend chooses, and its choice is what is spoken")
def chosen():
    for offered, spoken in ((BOTH, "h2"), (["http/1.1", "h2"], "http/1.1"), (["h2"], "h2"),
                            (["http/1.1"], "http/1.1"), ([], None)):
        gateway, service, _ = served(alpn=offered)
        for client in (gateway.client(), H2Client(gateway.port)):
            for _ in range(2):
                eq(client.get("/x").json()["alpn"], spoken, f"spoken with a backend of {offered}")
        eq(len(service.seen), 1, f"connections with {offered}")


@test("a policy of the version offers nothing else, and says when the backend did not choose it")
def versions():
    for version, offered, spoken in (("HTTP/1.1", BOTH, "http/1.1"), ("HTTP/2.0", BOTH, "h2"),
                                     ("HTTP/1.1", [], None)):
        gateway, _, _ = served(alpn=offered, more="http: {version: %s}" % version)
        eq(gateway.fetch("/x").json()["alpn"], spoken, f"{version} with {offered}")
    for offered in ([], ["http/1.1"]):
        gateway, service, _ = served(alpn=offered, more="http: {version: HTTP/2.0}")
        eq(gateway.fetch("/x").status, 503, "status")
        line = gateway.wait_log()
        said = line["error"]
        check("HTTP/2" in said and "ALPN" in said or "alert" in said, said)
        eq(line["close_reason"], "backend_tls_failed", "close_reason")


@test("the list of the settings is what is offered")
def written():
    for written_list, spoken in ((["http/1.1"], "http/1.1"), (["h2"], "h2"), (["http/1.1", "h2"], "h2")):
        gateway, _, _ = served(alpn=BOTH, tls={"alpn": written_list})
        eq(gateway.fetch("/x").json()["alpn"], spoken, f"spoken with {written_list}")


@test("gRPC calls are offered h2 alone")
def grpc():
    fields = {"content-type": "application/grpc", "te": "trailers"}
    for offered in (BOTH, ["http/1.1"]):
        gateway, _, _ = served(alpn=offered)
        client = H2Client(gateway.port)
        answer = client.response(client.request("/a.B/C", "POST", fields, b"\0\0\0\0\0"))
        if "h2" in offered:
            eq(answer.json()["alpn"], "h2", "spoken")
    eq(dict(answer.headers.pairs).get("grpc-status"), "14", "grpc-status")


@test("a burst to a backend whose choice is not known waits for the first handshake: HTTP/2 is shared by all")
def burst():
    gateway, service, _ = served(alpn=BOTH)
    clients = [gateway.client().request("GET", "/x") for _ in range(12)]
    for client in clients:
        eq(client.response().status, 200, "status")
    eq(len(service.seen), 1, "connections")


@test("a burst to a backend whose choice is not known waits for the first handshake: HTTP/1.1 is one each")
def burst_of_http1():
    gateway, backend = played(alpn=["http/1.1"])
    clients = [gateway.client().request("GET", "/x") for _ in range(6)]
    wait_until(lambda: [s["state"] for s in gateway.streams()] == ["connect"] * 6, 5, "six that wait")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 1, "connects before the choice is known")
    upstreams = [backend.accept() for _ in clients]
    for upstream in upstreams:
        upstream.read_request()
        upstream.respond(200, {}, b"x")
    for client in clients:
        eq(client.response().status, 200, "status")


@test("a WebSocket goes over HTTP/1.1 to a backend that chooses HTTP/2 for everything else")
def websocket():
    authority = Authority()
    origin = Origin()
    backend = Played(server_context(good(authority), alpn=BOTH))
    gateway = Gateway(config({"root": authority.cert, "hostname": "backend.test"}), origin=backend, workers=1)
    seen = []

    def carry():
        inside = backend.accept()
        seen.append(inside.tls.alpn)
        far = Raw(origin.address)
        threading.Thread(target=copy, args=(inside, far), daemon=True).start()
        copy(far, inside)

    threading.Thread(target=carry, daemon=True).start()
    client = WebSocket(gateway.port, "/ws")
    client.echo("over TLS")
    eq(seen, ["http/1.1"], "spoken")
    client.close()


def copy(source, sink):
    try:
        while piece := source.read_some():
            sink.send(piece)
        sink.fin()
    except (Failure, OSError):
        pass


# ---- others who dial -------------------------------------------------------------------------------------

TUNNEL = """
binds:
- port: @port@
  listeners:
  - name: tcp
    protocol: TCP
    tcpRoutes:
    - name: inside
      policies: {backendTLS: {root: %s, hostname: backend.test}}
      backends: [{host: @origin@}]
"""


@test("a TCP route through TLS: bytes both ways, half-closed, and no ALPN unless it is written")
def tunnel():
    authority = Authority()
    backend = Played(server_context(good(authority), alpn=BOTH))
    gateway = Gateway(TUNNEL % authority.cert, origin=backend, workers=1)
    client = gateway.client()
    upstream = backend.accept()
    eq(upstream.tls.alpn, None, "ALPN")
    client.send(pattern(300000))
    verify(upstream.read(300000), 300000)
    upstream.send(pattern(300000))
    verify(client.read(300000), 300000)
    client.fin()
    upstream.expect_fin()
    upstream.send("rest")
    upstream.fin()
    eq(client.read_eof(), b"rest", "the rest")
    line = gateway.wait_log()
    eq((line["close_reason"], line["lane"]), ("ok", "copy"), "end")


@test("a TCP route whose backend is not believed ends with a reset, its reason and a line that says why")
def tunnel_refused():
    authority, other = Authority(), Authority("other")
    backend = Played(server_context(good(other)))
    gateway = Gateway(TUNNEL % authority.cert, origin=backend, workers=1)
    client = gateway.client()
    backend_fails(backend)
    client.expect_rst()
    eq(gateway.wait_log()["close_reason"], "backend_tls_verify_failed", "close_reason")




@test("a fast and a slow direction, many streams at once: every body comes whole over HTTP/2 inside TLS")
def many():
    def handler(respond, message, tls, number):
        respond(200, pattern(int(message.target[1:])))

    gateway, service, _ = served(alpn=["h2"], handler=handler)
    client = H2Client(gateway.port)
    sizes = [1, 16384, 100000, 500000, 65535, 7]
    for number, size in [(client.request(f"/{size}"), size) for size in sizes]:
        verify(client.response(number).body, size)
    eq(len(service.seen), 1, "connections")
    eq(gateway.metrics()("headgate_upstream_h2_streams_total"), len(sizes), "streams")


@test("a backend that is killed between two requests is repeated on a new connection, when that is safe")
def killed():
    gateway, backend = played()
    upstream = exchange(gateway, backend)
    client = gateway.client().request("GET", "/again")
    upstream.read_request()
    upstream.close()
    upstream = backend.accept()
    eq(upstream.read_request().target, "/again", "target")
    upstream.respond(200, {}, b"x")
    eq(client.response().status, 200, "status")
