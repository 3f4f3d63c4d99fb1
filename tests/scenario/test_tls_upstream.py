# SPDX-License-Identifier: Apache-2.0
"""TLS to backends: who is believed, what is said when nobody is, and that plain text is never the way out."""
from hg import *
from hg.pki import DAY, Authority
from tlsbackends import Played, Service, config, good, served, server_context


KINDS = {"backend_tls_failed": "upstream call failed: Connect: the TLS handshake failed",
         "backend_tls_verify_failed": "upstream call failed: Connect: the backend's certificate is not valid"}


def refused(gateway, *words, reason="backend_tls_verify_failed", answer=None, count=1):
    """A request that fails: the log has these words, the answer says the kind alone."""
    answer = answer or gateway.fetch("/x")
    eq((answer.status, answer.text), (503, KINDS[reason]), "the answer")
    line = gateway.wait_log(count=count)
    line = line[-1] if count > 1 else line
    eq(line["close_reason"], reason, "close_reason")
    for word in words:
        check(word in line["error"], lambda: f"no {word!r} in {line['error']!r}")
    return line


# ---- what is carried -------------------------------------------------------------------------------------


@test("requests to a backend behind TLS carry bodies both ways, and Host and X-Forwarded stay as they were")
def carried():
    gateway, service, _ = served(alpn=["http/1.1"])
    client = gateway.client()
    for size in (0, 1, 16384, 300000):
        got = client.request("POST", f"/p{size}", {"X-A": "b"}, pattern(size)).response().json()
        headers = {name.lower(): value for name, value in got["headers"].items()}
        eq((got["path"], got["length"], got["alpn"], got["name"]), (f"/p{size}", size, "http/1.1",
                                                                    "backend.test"), "request")
        eq((headers["host"], headers["x-forwarded-proto"], headers["x-a"]), (client.host, "http", "b"),
           "fields")
    eq(len(service.seen), 1, "connections")
    eq(gateway.metrics()("headgate_upstream_tls_handshakes_total"), 1, "handshakes counted")


@test("large responses of every framing come whole over TLS")
def large():
    pki = Authority()
    backend = Played(server_context(good(pki)))
    gateway = Gateway(config({"root": pki.cert, "hostname": "backend.test", "alpn": ["http/1.1"]}),
                      origin=backend, workers=1)
    size = 3000000
    client = gateway.client().request("GET", "/length")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(200, {}, pattern(size))
    verify(client.response().body, size)
    client.request("GET", "/chunked")
    upstream.read_request()
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                  f"{size:x}\r\n".encode() + pattern(size) + b"\r\n0\r\n\r\n")
    verify(client.response().body, size)
    client.request("GET", "/close")
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(size))
    upstream.fin()
    verify(client.response().body, size)


@test("a response that only the end of the connection ends is cut short without close_notify")
def cut():
    pki = Authority()
    backend = Played(server_context(good(pki)))
    gateway = Gateway(config({"root": pki.cert, "hostname": "backend.test"}), origin=backend, workers=1)
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    client.response_head()
    eq(client.read_until(b"half")[-4:], b"half", "what came")
    upstream.tls.cut()
    end, rest = client.expect_end()
    check(end == "rst" or b"0\r\n\r\n" not in rest, f"the response looks complete: {rest}")
    eq(gateway.wait_log()["close_reason"], "upstream_fin", "close_reason")


# ---- who is believed -------------------------------------------------------------------------------------


@test("a certificate that is expired, or not valid yet, is refused with its dates")
def dates():
    pki = Authority()
    for begin, end, words in ((DAY * -20, DAY * -10, "expired on 20"),
                              (DAY * 10, DAY * 20, "not valid before 20")):
        gateway, service, _ = served(pki, pki.issue("backend.test", begin=begin, end=end))
        refused(gateway, "upstream call failed: Connect: ", words)
        eq(len(service.seen), 0, "requests that reached it")


@test("a certificate of another name is refused, and the sentence has the name wanted and those shown")
def wrong_name():
    pki = Authority()
    stem = pki.issue("other.test", "*.wild.test")
    for hostname in ("backend.test", "a.b.wild.test", "wild.test"):
        gateway, _, _ = served(pki, stem, {"hostname": hostname})
        refused(gateway, hostname, "other.test")
    gateway, _, _ = served(pki, stem, {"hostname": "a.wild.test"})
    eq(gateway.fetch("/x").status, 200, "a wildcard that fits")


@test("exposeCloseReason: the answer has the names of the certificate too, and the history has them without")
def exposed():
    pki = Authority()
    stem = pki.issue("other.test")
    gateway, _, _ = served(pki, stem)
    refused(gateway, "backend.test", "other.test")
    said = gateway.admin_json("/streams?history=1")[0]["error"]
    check("backend.test" in said and "other.test" in said, said)
    service = Service(server_context(stem))
    text = config({"root": pki.cert, "hostname": "backend.test"})
    gateway = Gateway(text.replace("config: {", "config: {exposeCloseReason: true, ", 1), origin=service,
                      workers=1)
    eq(gateway.fetch("/x").text, said, "the answer")


@test("a certificate of an unknown authority, or of its own, is refused")
def unknown():
    pki, other = Authority(), Authority("other")
    gateway, _, _ = served(pki, good(other))
    refused(gateway, "CN=other")
    gateway, _, _ = served(pki, pki.issue("backend.test", self_signed=True))
    refused(gateway, "self")


@test("an address is verified as one, and is not sent as a server name")
def addresses():
    pki = Authority()
    gateway, service, _ = served(pki, pki.issue("127.0.0.1"), {"hostname": None})
    eq(gateway.fetch("/x").json()["name"], None, "server name")
    gateway, _, _ = served(pki, pki.issue("127.0.0.2", "localhost"), {"hostname": None})
    refused(gateway, "127.0.0.1")


@test("the host of the backend is the name that is sent and verified where the settings have none")
def own_host():
    pki = Authority()
    stem = pki.issue("localhost")
    service = Service(server_context(stem))
    text = config({"root": pki.cert}, host=f"localhost:{service.port}")
    gateway = Gateway(text, workers=1)
    eq(gateway.fetch("/x").json()["name"], "localhost", "server name")


@test("subjectAltNames: one of them is to be there, whatever the name that was sent")
def alt_names():
    pki = Authority()
    stem = pki.issue("one.test", "spiffe://a/b")
    for names, is_valid in ((["one.test"], True), (["two.test", "one.test"], True), (["two.test"], False),
                           (["spiffe://a/b"], True), (["spiffe://a/c"], False)):
        gateway, _, _ = served(pki, stem, {"hostname": "any.test", "subjectAltNames": names})
        if is_valid:
            eq(gateway.fetch("/x").json()["name"], "any.test", f"server name with {names}")
        else:
            refused(gateway, names[0])


@test("insecure believes everybody, insecureHost every name of an authority that is believed")
def insecure():
    pki, other = Authority(), Authority("other")
    old = other.issue("other.test", begin=DAY * -20, end=DAY * -10)
    gateway, _, _ = served(pki, old, {"insecure": True, "root": None})
    eq(gateway.fetch("/x").status, 200, "insecure")
    gateway, _, _ = served(pki, pki.issue("other.test"), {"insecureHost": True})
    eq(gateway.fetch("/x").status, 200, "insecureHost and another name")
    gateway, _, _ = served(pki, good(other), {"insecureHost": True})
    refused(gateway, "CN=other")


@test("a client certificate is shown when it is asked for; without one the backend's refusal is said")
def client_certificates():
    for version in ("1.2", "1.3"):
        pki = Authority()
        mine = pki.issue("gateway-client", client=True)
        gateway, _, _ = served(pki, tls={"cert": mine.cert, "key": mine.key}, clients=pki, version=version)
        eq(gateway.fetch("/x").json()["client"], {"commonName": "gateway-client"}, "who the backend saw")
        gateway, service, _ = served(pki, clients=pki, version=version)
        refused(gateway, "upstream call failed: Connect: the peer refused", reason="backend_tls_failed")
        eq(len(service.failures), 1, f"handshakes that the backend refused, {service.failures}")


@test("a route whose backendTLS cannot be carried out does not load, or answers 500, but never in plain text")
def never_plain():
    status, _, said = validate(config({"root": "/nowhere/root.crt"}, host="127.0.0.1:1"), port=1)
    check(status != 0 and "/nowhere/root.crt" in said, f"{status}: {said}")


# ---- what backends do ------------------------------------------------------------------------------------


@test("a backend that speaks plain HTTP is told apart from one that breaks TLS")
def plain_backend():
    pki = Authority()
    backend = Backend()
    gateway = Gateway(config({"root": pki.cert, "hostname": "backend.test"}), origin=backend, workers=1)
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    check(upstream.read(3) == b"\x16\x03\x01", "the first bytes are no ClientHello")
    upstream.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    refused(gateway, "plain HTTP", reason="backend_tls_failed", answer=client.response())
    client.request("GET", "/y")
    upstream = backend.accept()
    upstream.read(3)
    upstream.send(b"\x00" * 100)
    line = refused(gateway, reason="backend_tls_failed", answer=client.response(), count=2)
    check("plain HTTP" not in line["error"], line["error"])


@test("a backend that closes or resets in the handshake is a 503 that says so")
def broken_handshakes():
    pki = Authority()
    backend = Backend()
    gateway = Gateway(config({"root": pki.cert, "hostname": "backend.test"}), origin=backend, workers=1)
    client = gateway.client()
    for n, (end, words) in enumerate(((lambda u: u.close(), "closed the connection in the TLS handshake"),
                                      (lambda u: u.rst(), "reset"))):
        client.request("GET", "/x")
        upstream = backend.accept()
        upstream.read(100)
        upstream.pending()
        end(upstream)
        refused(gateway, words, reason="backend_tls_failed", answer=client.response(), count=n + 1)


@test("a backend that does not answer, or only a part, is a 504 after connectTimeout")
def slow():
    pki = Authority()
    backend = Backend()
    text = config({"root": pki.cert, "hostname": "backend.test"}, connect="700ms")
    gateway = Gateway(text, origin=backend, workers=1)
    for part in (b"", b"\x16\x03\x03\x40\x00\x02\x00"):
        with within(0.7, "the answer"):
            client = gateway.client().request("GET", "/x")
            upstream = backend.accept()
            upstream.send(part)
            answer = client.response()
        eq((answer.status, answer.text), (504, "upstream call timeout"), "answer")
    eq({line["close_reason"] for line in gateway.wait_log(count=2)}, {"backend_tls_timeout"}, "close_reason")
    eq(gateway.metrics()("headgate_timer_fired_total", timer="backend_tls_timeout"), 2, "timers")
    eq(gateway.metrics()("headgate_upstream_tls_failures_total"), 2, "failures")


@test("backendRequestTimeout and requestTimeout end a handshake, too")
def other_timeouts():
    pki = Authority()
    backend = Backend()
    for policy, reason in (("backendRequestTimeout", "per_try_timeout"),
                           ("requestTimeout", "request_timeout")):
        text = config({"root": pki.cert, "hostname": "backend.test"}, connect="60s",
                      route="{timeout: {%s: 500ms}}" % policy)
        gateway = Gateway(text, origin=backend, workers=1)
        eq(gateway.fetch("/x").status, 504, "status")
        eq(gateway.wait_log()["close_reason"], reason, "close_reason")
        backend.accept()


def in_handshake():
    """A request whose backend has the hello and says nothing: (gateway, client, the backend's connection)."""
    backend = Backend()
    gateway = Gateway(config({"root": Authority().cert, "hostname": "backend.test"}, connect="60s"),
                      origin=backend, workers=1)
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read(100)
    return gateway, client, upstream


@test("a backend that floods the handshake is left after a bounded number of bytes")
def flood():
    gateway, client, upstream = in_handshake()
    # A handshake message of 16 MiB, of which only the first part comes: ServerHello, as long as it may be.
    record = b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + bytes(16380)
    try:
        upstream.send(record + (b"\x16\x03\x03\x40\x00" + bytes(16384)) * 64)
    except OSError:
        pass
    eq(client.response().status, 503, "status")
    eq(gateway.wait_log()["close_reason"], "backend_tls_failed", "close_reason")


@test("a client that leaves during the handshake takes the connection with it")
def client_leaves():
    gateway, client, upstream = in_handshake()
    client.rst()
    upstream.expect_end()
    eq(gateway.wait_log()["close_reason"], "client_rst", "close_reason")


# ---- retries ---------------------------------------------------------------------------------------------

TWO = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: %s
      backends:
      - host: @bad@
        weight: 1000000
        policies: {backendTLS: %s}
      - host: @good@
        weight: 1
        policies: {backendTLS: %s}
"""


@test("a handshake that fails is repeated by a retry policy, elsewhere, and not without one")
def retried():
    pki, other = Authority(), Authority("other")
    right, wrong = Service(server_context(good(pki))), Service(server_context(good(other)))
    tls = "{root: %s, hostname: backend.test}" % pki.cert
    policy = "{retry: {attempts: 1, codes: [500]}}"
    gateway = Gateway(TWO % (policy, tls, tls), good=right, bad=wrong, workers=1)
    eq(gateway.client().request("POST", "/x", {}, pattern(1000)).response().json()["length"], 1000, "body")
    eq(gateway.wait_log()["retry.attempt"], "1", "repeats")
    gateway = Gateway(TWO % ("{}", tls, tls), good=right, bad=wrong, workers=1)
    refused(gateway, "CN=other")
