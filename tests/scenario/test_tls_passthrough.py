# SPDX-License-Identifier: Apache-2.0
"""TLS passed through: the name in the ClientHello decides, no byte is changed."""
import os
import socket
import ssl
import threading

from hg import *
from hg.pki import Authority
from splice import expect_lane
from timers import expect_fired

CONFIG = """
config: {splice: {mode: @mode@, adaptive: false}}
binds:
- port: @port@
  listeners:
  - name: shop
    protocol: TLS
    hostname: "*.shop.test"
    tcpRoutes:
    - name: exact
      hostnames: [one.shop.test]
      backends: [{host: @one@}]
    - name: wild
      hostnames: ["*.shop.test"]
      backends: [{host: @wild@}]
  - name: rest
    protocol: TLS
    tcpRoutes:
    - name: rest
      backends: [{host: @rest@}]
"""


def hello(name=None, size_of_padding=0, session=32):
    """A ClientHello of TLS 1.2/1.3 as bytes of one record."""
    extensions = b""
    if name is not None:
        host = name.encode()
        entry = b"\0" + len(host).to_bytes(2, "big") + host
        listed = len(entry).to_bytes(2, "big") + entry
        extensions += b"\0\0" + len(listed).to_bytes(2, "big") + listed
    if size_of_padding:
        extensions += b"\0\x15" + size_of_padding.to_bytes(2, "big") + bytes(size_of_padding)
    body = b"\x03\x03" + bytes(range(32)) + bytes([session]) + bytes(session) + b"\0\x02\x13\x01" + b"\x01\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return message


def record(message, version=b"\x03\x01"):
    return b"\x16" + version + len(message).to_bytes(2, "big") + message


def start(mode="off"):
    backends = {name: Backend() for name in ("one", "wild", "rest")}
    return Gateway(CONFIG, mode=mode, **backends), backends


def expect_reset(gateway, data):
    client = gateway.client()
    try:
        client.send(data)
        client.expect_rst(10)
    except (ConnectionResetError, BrokenPipeError):
        pass


@test("exact names, then wildcards, then the listener for everything; the hello arrives byte for byte")
def routing(mode="off"):
    gateway, backends = start(mode)
    for name, backend, route in (("one.shop.test", "one", "exact"), ("ONE.Shop.Test", "one", "exact"),
                                 ("two.shop.test", "wild", "wild"), ("a.b.shop.test", "wild", "wild"),
                                 ("shop.test", "rest", "rest"), ("other.example", "rest", "rest"),
                                 (None, "rest", "rest")):
        data = record(hello(name))
        client = gateway.client().send(data)
        upstream = backends[backend].accept()
        eq(upstream.read(len(data)), data, f"hello for {name}")
        upstream.send("answer").fin()
        eq(client.read_eof(), b"answer", "answer")
        client.fin()
        line = gateway.wait_log(lambda r, route=route: r["route"] == f"default/{route}")
        eq(line["protocol"], "tls", "protocol")
        if name == "two.shop.test":
            eq(line["tls.sni"], name, "tls.sni")


@test("a hello in single bytes, in many records, and a large one, are read")
def fragmented(mode="off"):
    gateway, backends = start(mode)
    whole = record(hello("one.shop.test"))
    client = gateway.client()
    for position in range(len(whole)):
        client.send(whole[position:position + 1])
    eq(backends["one"].accept().read(len(whole)), whole, "the hello in single bytes")
    message = hello("one.shop.test")
    split = b"".join(record(message[at:at + 7]) for at in range(0, len(message), 7))
    gateway.client().send(split)
    eq(backends["one"].accept().read(len(split)), split, "the hello in many records")
    large = record(hello("two.shop.test", size_of_padding=9000))
    gateway.client().send(large[:3000], large[3000:], pause=0.02)
    eq(backends["wild"].accept().read(len(large)), large, "a large hello")


@test("what follows the hello in the same segment is not lost")
def early_data(mode="off"):
    gateway, backends = start(mode)
    data = record(hello("one.shop.test")) + pattern(30000)
    client = gateway.client().send(data)
    upstream = backends["one"].accept()
    eq(upstream.read(len(data)), data, "hello and what follows")
    for offset in range(0, 200000, 20000):
        client.send(pattern(20000, offset))
        eq(upstream.read(20000), pattern(20000, offset), "up")
        upstream.send(pattern(20000, offset))
        eq(client.read(20000), pattern(20000, offset), "down")
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()
    expect_lane(gateway, gateway.wait_log())


@test("what is no ClientHello is reset, plain HTTP gets a 400, and no backend hears of it")
def hostile(mode="off"):
    gateway, backends = start(mode)
    good = hello("one.shop.test")
    lying = bytearray(good)
    lying[3] = 5  # the message says that it is shorter than its parts
    bad_name = hello("one.shop.test\0evil")
    eq(gateway.fetch("/", host="one.shop.test").status, 400, "plain HTTP")
    cases = [b"\x80\x2e\x01\x03\x01" + bytes(40),
             b"\x17\x03\x03\0\x05hello", b"\x16\x02\0\0\x05hello", b"\x16\x03\x01\0\0" * 3,
             record(b"\x02" + good[1:]), record(bytes(lying)), record(bad_name),
             record(hello("x" * 300)), record(hello("a..b")), b"\x16\x03\x01\xff\xff" + bytes(70000)]
    for data in cases:
        expect_reset(gateway, data)
    for name, backend in backends.items():
        backend.expect_no_connection(0.05)
        del name
    metrics = gateway.metrics()
    eq(metrics("headgate_stream_end_total", reason="request_bad"), len(cases), "request_bad")


@test("a client that closes in the middle of its hello is gone without a trace")
def closed_in_hello(mode="off"):
    gateway, backends = start(mode)
    data = record(hello("one.shop.test"))
    for cut in (1, 5, 50):
        client = gateway.client().send(data[:cut])
        client.fin()
        client.expect_end(10)
    gateway.client().close()
    backends["one"].expect_no_connection(0.1)


@test("in the kernel lane TLS is passed through alike: every hello, hostile ones too, and what follows it",
      needs=("bpf",), timeout=60)
def kernel():
    for same in (routing, fragmented, early_data, hostile, closed_in_hello):
        same("require")


NO_LISTENER = """
binds:
- port: @port@
  listeners:
  - name: shop
    protocol: TLS
    hostname: one.shop.test
    tcpRoutes:
    - backends: [{host: @one@}]
"""
ENDS_TLS = """
  - name: site
    protocol: HTTPS
    hostname: site.test
    tls: {cert: @cert@, key: @cert_key@}
    routes:
    - backends: [{host: @one@}]
"""


@test("a name that no listener has is reset where the port only passes TLS through, else it gets the alert "
      "unrecognized_name; the log says no_route")
def no_listener():
    gateway = Gateway(NO_LISTENER, one=Backend())
    expect_reset(gateway, record(hello("two.shop.test")))
    eq(gateway.wait_log()["close_reason"], "no_route", "close_reason")
    certificate = Authority().issue("site.test")
    gateway = Gateway(NO_LISTENER + ENDS_TLS, one=Backend(), cert=certificate.cert, cert_key=certificate.key)
    client = gateway.client().send(record(hello("two.shop.test")))
    eq(client.read(7), b"\x15\x03\x03\x00\x02\x02\x70", "fatal alert 112")
    client.expect_fin()
    eq(gateway.wait_log()["close_reason"], "no_route", "close_reason")


def expect_hello_timeout(gateway, seconds):
    with within(seconds, "the end of who says nothing"):
        gateway.client().send(record(hello("one.shop.test"))[:20]).expect_end(seconds + 10)
    expect_fired(gateway, "client_hello_timeout")


@test("a client that says nothing is closed after handshakeTimeout: client_hello_timeout")
def silent():
    backends = {name: Backend() for name in ("one", "wild", "rest")}
    text = CONFIG + "frontendPolicies: {tls: {handshakeTimeout: 1s}}\n"
    expect_hello_timeout(Gateway(text, mode="off", **backends), 1.0)


@test("without handshakeTimeout a client that says nothing is closed after 15 s", waits=True, timeout=60,
      long=True)
def silent_by_default():
    expect_hello_timeout(start()[0], 15.0)


def certificate():
    key, cert = os.path.join(tmpdir(), "key.pem"), os.path.join(tmpdir(), "cert.pem")
    status, _, error = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:prime256v1",
                            "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                            "-subj", "/CN=one.shop.test",
                            "-addext", "subjectAltName=DNS:one.shop.test"])
    eq(status, 0, error)
    return key, cert


@test("a real TLS client and a real TLS server talk through it, and the client verifies the server's "
      "certificate",
      needs=("openssl",))
def real():
    key, cert = certificate()
    gateway, backends = start()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    size = 3 << 20
    seen = []

    def serve():
        raw = backends["one"].accept().socket
        raw.settimeout(10 * factor())
        with server.wrap_socket(raw, server_side=True) as secure:
            data = b""
            while len(data) < size:
                data += secure.recv(1 << 16)
            verify(data, size)
            secure.sendall(data)
            seen.append(secure.version())
            secure.unwrap()
    thread = threading.Thread(target=serve)
    thread.start()
    for _ in range(1):
        context = ssl.create_default_context(cafile=cert)
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as raw:
            with context.wrap_socket(raw, server_hostname="one.shop.test") as secure:
                secure.sendall(pattern(size))
                data = b""
                while len(data) < size:
                    data += secure.recv(1 << 16)
                verify(data, size)
    thread.join()
    check(seen and seen[0].startswith("TLSv1."), f"the server saw {seen}")
    line = gateway.wait_log()
    eq((line["tls.sni"], line["route"]), ("one.shop.test", "default/exact"), "log")
