# SPDX-License-Identifier: Apache-2.0
"""A port with PROXY protocol: the client is who a trusted proxy announces, and nobody else is believed."""
import os
import signal
import socket

from crashes import NewProcess, kill
from hg import *
from hg.framework import once
from hg.h2 import H2Client
from hg.pki import Authority
from hg.tls import Tls
from hg.tls_wire import Play
from proxyprotocol import CLIENT, PROXY, SERVER, TRUST, block, local, v1, v2
from splice import settle

REQUEST = b"GET /anything HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
ENDS = "headgate_stream_end_total"
CONFIG = f"""
config: {{{TRUST}, limits: {{connectionsPerClient: 20}}, forwarded: {{trusted: [203.0.113.0/24]}}}}
binds:
- port: @port@
  tunnelProtocol: proxy
  listeners:
  - routes:
    - name: ruled
      matches: [{{path: {{pathPrefix: /ruled}}}}]
      policies:
        authorization:
          rules:
          - require: 'source.address == "{CLIENT}" && source.port == 4711'
          - require: 'source.rawAddress == "{PROXY}" && source.rawPort != 4711'
          - require: 'destination.address == "{SERVER}" && destination.port == 443'
        directResponse: {{status: 200, body: passed}}
    - name: all
      backends: [{{host: "@origin@"}}]
- port: @tls@
  tunnelProtocol: proxy
  listeners:
  - {{hostname: a.example, protocol: HTTPS, tls: {{cert: @cert@, key: @key@}},
     routes: [{{backends: [{{host: "@origin@"}}]}}]}}
  - {{hostname: p.example, protocol: TLS, tcpRoutes: [{{name: passed, backends: [{{host: "@bytes@"}}]}}]}}
- port: @tcp@
  tunnelProtocol: proxy
  listeners:
  - {{protocol: TCP, tcpRoutes: [{{name: tunnel, backends: [{{host: "@bytes@"}}]}}]}}
"""
OPTIONAL = f"""
config: {{{TRUST}}}
frontendPolicies: {{proxyProtocol: {{version: @version@, mode: optional}}}}
binds:
- port: @port@
  listeners: [{{routes: [{{backends: [{{host: "@origin@"}}]}}]}}]
- port: @tcp@
  listeners: [{{protocol: TCP, tcpRoutes: [{{backends: [{{host: "@bytes@"}}]}}]}}]
- port: @tls@
  listeners: [{{protocol: TLS, hostname: p.example, tcpRoutes: [{{backends: [{{host: "@bytes@"}}]}}]}}]
"""


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def make():
    certificate = Authority().issue("a.example")
    return Gateway(CONFIG, origin=Origin(), bytes=Backend(), cert=certificate.cert, key=certificate.key,
                   workers=2)


def play():
    return once("gateway", make)


def connect(port=None, source=PROXY):
    return play().client(port, source=source)


def seen(client):
    """X-Forwarded-For at the backend."""
    headers = client.response().json()["headers"]
    return {name.lower(): value for name, value in headers.items()}["x-forwarded-for"]


claims = table("A port with PROXY protocol")
ACCEPTED = {
    "version 1": (v1(), CLIENT),
    "version 1 and IPv6": (v1("2001:db8::1", destination="2001:db8::2"), "2001:db8::1"),
    "version 1 and IPv4 mapped into IPv6": (v1(f"::ffff:{CLIENT}", destination="::1"), CLIENT),
    "version 1 with an unknown address": (b"PROXY UNKNOWN\r\n", PROXY),
    "version 2": (v2(), CLIENT),
    "version 2 and IPv6": (v2("2001:db8::1", destination="2001:db8::2"), "2001:db8::1"),
    "version 2 with TLVs": (v2(tlvs=b"\x02\0\x09a.example" + b"\x04\x02\0" + bytes(512)), CLIENT),
    "version 2 from the proxy itself": (local(), PROXY),
    "version 2 with an unspecified family": (block(1, 0, b"abc"), PROXY),
    "version 2 with Unix sockets": (block(1, 0x31, b"/run/a".ljust(216, b"\0")), PROXY),
}


@claims("the client is the one that a header announces, if it announces one, also when a request follows in "
        "the same segment")
def named():
    for name, (header, want) in ACCEPTED.items():
        client = connect()
        client.send(header + REQUEST)
        eq(seen(client), want, f"X-Forwarded-For after {name}")
        eq(client.get("/anything", host="a.example").status, 200, f"{name}: status of the next request")
        client.close()
    line = play().wait_log(lambda line: line["src.addr"].startswith(CLIENT))
    eq(line["src.addr"], f"{CLIENT}:4711", "src.addr")


@claims("a header may come byte by byte, and so may what follows")
def byte_by_byte():
    for header in (v1(), v2("2001:db8::1", destination="2001:db8::2", tlvs=b"\x04\0\x02xx")):
        client = connect()
        client.send(*(bytes([byte]) for byte in header + REQUEST))
        check(seen(client) in (CLIENT, "2001:db8::1"), "X-Forwarded-For")
        client.close()


@claims("expressions read the announced addresses, and the raw one is the proxy's")
def expressions():
    client = connect()
    client.send(v2() + b"GET /ruled HTTP/1.1\r\nHost: a.example\r\n\r\n")
    eq(client.response().status, 200, "status")
    client = connect()
    client.send(v2(port=4712) + b"GET /ruled HTTP/1.1\r\nHost: a.example\r\n\r\n")
    eq(client.response().status, 403, "status with another port")


@claims("an announced proxy that is trusted may name its client in X-Forwarded-For, the proxy in front not")
def two_proxies():
    client = connect()
    client.send(v1("203.0.113.7") + REQUEST)
    eq(seen(client), "6.6.6.6, 203.0.113.7", "X-Forwarded-For")


GUARDED = f"""
config: {{{TRUST}}}
frontendPolicies: {{networkAuthorization: {{rules: [{{deny: 'source.address == "192.0.2.66"'}}]}}}}
binds:
- port: @port@
  tunnelProtocol: proxy
  listeners:
  - routes:
    - policies:
        localRateLimit: [{{maxTokens: 1, tokensPerFill: 1, fillInterval: 1h, key: source.address}}]
        directResponse: {{status: 200, body: passed}}
"""


@test("networkAuthorization and localRateLimit decide about the announced client")
def guarded():
    gateway = Gateway(GUARDED, workers=1)
    for source, want in ((CLIENT, 200), ("192.0.2.2", 200), (CLIENT, 429)):
        client = gateway.client(source=PROXY)
        client.send(v1(source) + REQUEST)
        eq(client.response().status, want, f"status for {source}")
        client.close()
    client = gateway.client(source=PROXY)
    client.send(v1("192.0.2.66") + REQUEST)
    client.expect_rst()


REFUSED = {
    "no header": REQUEST,
    "a line that ends with LF": v1().replace(b"\r\n", b"\n"),
    "a line without end": b"PROXY UNKNOWN ".ljust(107, b"x"),
    "a leading zero": v1(port="01"),
    "version 3": v2()[:12] + b"\x31" + v2()[13:],
    "a family that does not exist": block(1, 0x51, bytes(12)),
    "too many bytes": v2(tlvs=bytes(4096)),
}


@claims("a header that is not valid, and its absence, reset the connection")
def refused():
    before = play().metrics()(ENDS, reason="proxy_header_bad")
    for name, data in REFUSED.items():
        client = connect()
        client.send(data)
        try:
            client.expect_rst()
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
    eq(play().metrics()(ENDS, reason="proxy_header_bad") - before, len(REFUSED), "counted")


@claims("a peer that is not trusted is reset, whatever it announces")
def untrusted():
    for port in (None, "tls", "tcp"):
        try:
            client = connect(port, source="127.0.0.3")
        except ConnectionResetError:
            continue
        client.expect_rst()
    check(play().metrics()(ENDS, reason="proxy_untrusted") >= 3, "not counted")
    check("PROXY protocol: " in play().stderr, "nothing was logged")


@claims("connectionsPerClient counts the announced client, not the proxy")
def per_client():
    backend = play().names["bytes"]

    def begin(host):
        client = connect("tcp")
        client.send(v1(host) + b"x")
        eq(backend.accept().read(1), b"x", "a byte of a tunnel")
    for _ in range(20):
        begin("192.0.2.50")
    begin("192.0.2.51")
    one_more = connect("tcp")
    one_more.send(v1("192.0.2.50"))
    one_more.expect_rst()


@claims("HTTP/2 behind a header: its preface may be in the same segment")
def http2():
    raw = connect()
    raw.send(v2())
    client = H2Client(raw, start=False)
    client.start()
    check(CLIENT in client.get("/anything").text, "X-Forwarded-For")


@claims("TLS begins behind the header, in the same segment or later, and ends here or is passed through")
def tls():
    gateway = play()
    for header in (v1(), v2()):
        raw = connect("tls")
        raw.send(header)
        client = Tls(raw.socket, None, "a.example")
        client.request("GET", "/anything")
        eq(seen(client), CLIENT, "X-Forwarded-For")
    passing = connect("tls")
    hello = Play("p.example").hello
    passing.send(v2() + hello)
    upstream = gateway.names["bytes"].accept()
    eq(upstream.read(len(hello)), hello, "the ClientHello at the backend")
    passing.close()


@claims("the first bytes behind a header are the first of a tunnel")
def tcp():
    client = connect("tcp")
    client.send(v1(port=4713) + b"hello")
    upstream = play().names["bytes"].accept()
    eq(upstream.read(5), b"hello", "the first bytes")
    upstream.send(b"answer")
    eq(client.read(6), b"answer", "the other way")
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()
    line = play().wait_log(lambda line: line["src.addr"] == f"{CLIENT}:4713")
    eq((line["bytes_in"], line["bytes_out"]), ("5", "6"), "bytes, without the header")


def optional(version="all"):
    return Gateway(OPTIONAL, origin=Origin(), bytes=Backend(), version=version, workers=1)


@test("an optional header is read from a trusted proxy only, and others are served under their own address")
def optional_header():
    gateway = optional()
    for source, data, want in ((PROXY, v1() + REQUEST, CLIENT), (PROXY, v2() + REQUEST, CLIENT),
                               (PROXY, REQUEST, PROXY), (PROXY, b"\r\n" + REQUEST, PROXY),
                               ("127.0.0.3", REQUEST, "127.0.0.3")):
        client = gateway.client(source=source)
        client.send(data)
        eq(seen(client), want, f"X-Forwarded-For from {source}")
    for header in (v1(), v2()):
        client = gateway.client(source="127.0.0.3")
        client.send(header + REQUEST)
        eq(client.response().status, 400, "status of a header that nobody believes")
        client = gateway.client("tls", source="127.0.0.3")
        client.send(header)
        if header == v1():
            eq(client.response().status, 400, "status on a port with TLS")
        else:
            client.expect_rst()
        client = gateway.client("tcp", source="127.0.0.3")
        client.send(header)
        eq(gateway.names["bytes"].accept().read(len(header)), header, "bytes for the backend of a TCP port")
        client.close()
    client = gateway.client(source=PROXY)
    client.send(b"PROXY TCP4 nonsense\r\n")
    client.expect_rst()
    gateway = optional("v2")
    client = gateway.client(source=PROXY)
    client.send(v1())
    client.expect_rst()


@test("a header has five seconds; without a byte an optional one is missing then, and the backend may speak",
      waits=True)
def late():
    strict, gateway = make(), optional()
    silent, slow = (strict.client(port, source=PROXY) for port in (None, "tcp"))
    slow.send(v2()[:20])
    listener = gateway.client("tcp", source=PROXY)
    with within(5.0, "the deadline of the header"):
        upstream = gateway.names["bytes"].accept(timeout=10)
    upstream.send(b"220 ready")
    eq(listener.read(9), b"220 ready", "what the backend says first")
    silent.expect_rst()
    slow.expect_rst()
    eq(strict.metrics()("headgate_timer_fired_total", timer="proxy_header_timeout"), 2, "late headers")


HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen http1
    bind 127.0.0.1:@one@
    server s 127.0.0.1:@http@ source @proxy@ send-proxy
listen http2
    bind 127.0.0.1:@two@
    server s 127.0.0.1:@http@ source @proxy@ send-proxy-v2 proxy-v2-options @options@
listen tcp2
    mode tcp
    bind 127.0.0.1:@three@
    server s 127.0.0.1:@tcp@ source @proxy@ send-proxy-v2
"""


@test("HAProxy announces its clients in both versions, for HTTP and TCP", needs=("haproxy",))
def haproxy():
    gateway = make()
    ports = {name: str(free_port()) for name in ("one", "two", "three")}
    names = {**ports, "http": str(gateway.port), "tcp": str(gateway.ports["tcp"]), "proxy": PROXY,
             "options": "ssl,cert-cn,authority,crc32c,unique-id"}
    text = HAPROXY
    for name, value in names.items():
        text = text.replace(f"@{name}@", value)
    path = os.path.join(tmpdir(), "haproxy.cfg")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    Process(["/usr/sbin/haproxy", "-db", "-f", path])
    wait_until(lambda: can_connect(int(ports["one"])), 10, "HAProxy")
    for name in ("one", "two"):
        for source in ("127.0.0.8", "127.0.0.9"):
            client = Raw(int(ports[name]), source=source)
            for _ in range(2):
                client.request("GET", "/anything")
                eq(seen(client), source, "X-Forwarded-For")
    client = Raw(int(ports["three"]), source="127.0.0.9")
    client.send(b"hello")
    eq(gateway.names["bytes"].accept().read(5), b"hello", "bytes")
    eq([stream["client"].split(":")[0] for stream in gateway.streams()], ["127.0.0.9"], "the client")


LIVES = f"""
config: {{{TRUST}, splice: {{mode: @mode@}}}}
binds:
- port: @port@
  tunnelProtocol: proxy
  listeners: [{{routes: [{{backends: [{{host: "@origin@"}}]}}]}}]
- port: @tcp@
  tunnelProtocol: proxy
  listeners: [{{protocol: TCP, tcpRoutes: [{{backends: [{{host: "@bytes@"}}]}}]}}]
"""


def stay(gateway, replace):
    """Idle clients and tunnels are still who the header said they are."""
    idle, local_one = gateway.client(source=PROXY), gateway.client(source=PROXY)
    for client, header, want in ((idle, v2(), CLIENT), (local_one, local(), PROXY)):
        client.send(header + REQUEST)
        eq(seen(client), want, "X-Forwarded-For before")
    tunnel = gateway.client("tcp", source=PROXY)
    tunnel.send(v1("2001:db8::1", destination="2001:db8::2") + b"a")
    upstream = gateway.names["bytes"].accept()
    eq(upstream.read(1), b"a", "a byte before")
    replace()
    for client, want in ((idle, CLIENT), (local_one, PROXY)):
        client.send(REQUEST)
        eq(seen(client), want, "X-Forwarded-For after")
    tunnel.send(b"b")
    eq(upstream.read(1), b"b", "a byte after")
    eq([stream["client"] for stream in gateway.streams()], ["[2001:db8::1]:4711"], "the tunnel's client")
    new = gateway.client(source=PROXY)
    new.send(v1("192.0.2.77") + REQUEST)
    eq(seen(new), "192.0.2.77", "X-Forwarded-For of a new client")
    for end in (tunnel, upstream, idle, local_one, new):
        end.close()


def lives(**options):
    return Gateway(LIVES, origin=Origin(), bytes=Backend(), mode="off", workers=2, keeper=True,
                   args=["--restart-limit", "0"], **options)


@test("after a crash the clients are still those that the headers announced", timeout=60)
def crash():
    gateway = lives()
    stay(gateway, lambda: kill(gateway))


@test("after an upgrade the clients are still those that the headers announced", timeout=60)
def upgrade():
    gateway = lives(checked=False)

    def replace():
        os.kill(gateway.pid, signal.SIGUSR2)
        NewProcess(gateway)
        eq(gateway.wait(20), 0, "exit status of the old program")
    stay(gateway, replace)
    NewProcess(gateway).stop()


@test("a tunnel behind a header enters the kernel lane, and no byte is lost", needs=("bpf", "root"))
def lane():
    gateway = Gateway(LIVES, origin=Origin(), bytes=Backend(), mode="require", workers=1)
    client = gateway.client("tcp", source=PROXY)
    client.send(v2(port=client.local_port) + b"ab")
    upstream = gateway.names["bytes"].accept()
    eq(upstream.read(2), b"ab", "the first bytes")
    settle(gateway, client, upstream)
    client.send(b"cd")
    eq(upstream.read(2), b"cd", "bytes in the lane")
    client.close()
    upstream.close()
