# SPDX-License-Identifier: Apache-2.0
"""TLS that ends at the gateway: names, certificates, versions, what is inside, and what is refused."""
import ssl
import time

from hg import *
from hg.pki import DAY, Authority
from hg.tls import Tls, client_context, refused
from splice import in_background

CONFIG = """
binds:
- port: @port@
  listeners:
  - name: one
    hostname: one.example
    protocol: HTTPS
    tls: {cert: @one@, key: @one_key@}
    routes:
    - backends: [{host: @origin@}]
  - name: wild
    hostname: "*.wild.example"
    protocol: HTTPS
    tls: {cert: @wild@, key: @wild_key@}
    routes:
    - backends: [{host: @origin@}]
  - name: rest
    protocol: HTTPS
    tls: {cert: @rest@, key: @rest_key@}
    routes:
    - backends: [{host: @origin@}]
"""


def paths(**certificates):
    """name -> certificate as names for a configuration: @name@, @name_key@."""
    named = {}
    for name, certificate in certificates.items():
        named[name], named[name + "_key"] = certificate.cert, certificate.key
    return named


def start(config=CONFIG, **more):
    authority = Authority()
    names = paths(one=authority.issue("one.example"), wild=authority.issue("*.wild.example"),
                  rest=authority.issue("rest.example", "127.0.0.1"))
    gateway = Gateway(config, origin=Origin(), **names, **more)
    gateway.authority = authority
    return gateway


def says_certificate(headers):
    return "x-forwarded-client-cert" in {name.lower().replace("_", "-") for name in headers}


def wait_ended(gateway, reason, count):
    wait_until(lambda: gateway.metrics()("headgate_stream_end_total", reason=reason) >= count, 5, reason)


def subject(client):
    return dict(pair for part in client.socket.getpeercert()["subject"] for pair in part)["commonName"]


@test("a byte order mark in front of a certificate, a key or authorities is skipped")
def byte_order_marks():
    authority, people = Authority(), Authority("people")
    stem = authority.issue("must.example")
    for path in (stem.cert, stem.key, people.cert):
        with open(path, "rb") as file:
            text = file.read()
        with open(path, "wb") as file:
            file.write(b"\xef\xbb\xbf" + text)
    gateway = Gateway(CLIENTS, origin=Origin(), root=people.cert, **paths(cert=stem))
    good = people.issue("alice.example", client=True)
    client = Tls(gateway.port, authority, "must.example", identity=good)
    eq(client.get("/get", host="must.example").status, 200, "status")


@test("the server name chooses listener and certificate: exact, wildcard, the rest; TLS 1.2 and 1.3")
def names():
    gateway = start()
    for version in ("1.2", "1.3"):
        for name, want in (("one.example", "one.example"), ("ONE.example", "one.example"),
                           ("a.wild.example", "*.wild.example"), ("rest.example", "rest.example")):
            client = Tls(gateway.port, gateway.authority, name, version=version)
            eq(subject(client), want, f"certificate for {name}")
            answer = client.get("/headers", host=name.lower())
            eq(answer.status, 200, name)
            eq(answer.json()["headers"]["X-Forwarded-Proto"], "https", "X-Forwarded-Proto")
            eq(client.get("/get", host=name.lower()).status, 200, "another request on the connection")
    client = Tls(gateway.port)
    eq(client.get("/get", host="whatever").status, 200, "without a name: the listener of the rest")
    record = gateway.wait_log(lambda r: r["listener"] == "wild")
    eq(record["tls.sni"], "a.wild.example", "tls.sni")


@test("several certificates of one listener: by name, by wildcard, the first for names that none has; RSA "
      "and EC side by side")
def certificates():
    authority = Authority()
    names = paths(a=authority.issue("a.example"), b=authority.issue("*.b.example"),
                  ec=authority.issue("c.example"), rsa=authority.issue("c.example", key="rsa"))
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - protocol: HTTPS
    tls:
      certificates:
      - {cert: @a@, key: @a_key@}
      - {cert: @b@, key: @b_key@}
      - {cert: @ec@, key: @ec_key@}
      - {cert: @rsa@, key: @rsa_key@}
    routes:
    - backends: [{host: @origin@}]
""", origin=Origin(), **names)
    for name, want in (("a.example", "a.example"), ("x.b.example", "*.b.example"),
                       ("c.example", "c.example")):
        eq(subject(Tls(gateway.port, authority, name)), want, name)
    unknown = client_context(authority)
    unknown.check_hostname = False
    eq(subject(Tls(gateway.port, name="nobody.example", context=unknown)), "a.example", "any other name")
    for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        client = Tls(gateway.port, authority, "c.example", version="1.2", ciphers=cipher)
        eq(client.socket.cipher()[0], cipher, "the certificate that fits the client")


@test("ALPN: h2 is served as HTTP/2, http/1.1 as HTTP/1.1; nothing in common is an alert; HTTP/2 unasked is "
      "refused", needs=("curl",))
def alpn():
    gateway = start()
    for option, want in (("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")):
        status, out, err = run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", option,
                                "--cacert", gateway.authority.cert,
                                "--connect-to", f"::127.0.0.1:{gateway.port}",
                                f"https://one.example:{gateway.port}/bytes/100000"])
        eq((status, out), (0, f"200 {want}"), f"curl {option}: {err}")
    for alpns, want in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1")):
        client = Tls(gateway.port, gateway.authority, "one.example", alpn=alpns)
        eq(client.socket.selected_alpn_protocol(), want, f"of {alpns}")
    error = refused(gateway.port, gateway.authority, "one.example", alpn=["spdy/3"])
    check("no application protocol" in str(error).lower(), error)
    client = Tls(gateway.port, gateway.authority, "one.example", alpn=["http/1.1"])
    eq(client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").response("PRI").status, 505, "HTTP/2 unasked")


@test("plain HTTP on a port of TLS is a 400 that says so, other bytes are a reset, and each is counted")
def plain():
    gateway = start()
    answer = gateway.client().get("/get")
    eq(answer.status, 400, "status")
    check(b"https" in answer.body, answer.body)
    gateway.client().send(b"\x00\x01\x02\x03\x04\x05\x06\x07").expect_rst()
    gateway.client().send(b"\x16\x03\x01\x00\x05\x05\x00\x00\x01\x00").expect_rst()
    wait_ended(gateway, "tls_plain_text", 1)


@test("421 for a host of another listener, over HTTP/1 and HTTP/2; 404 for a host that none has")
def misdirected():
    gateway = start()
    client = Tls(gateway.port, gateway.authority, "one.example")
    eq(client.get("/get", host="a.wild.example").status, 421, "the host of another listener")
    eq(client.get("/get", host="one.example").status, 200, "its own, on the same connection")
    status, out, err = run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--http2", "--cacert",
                            gateway.authority.cert, "--connect-to", f"::127.0.0.1:{gateway.port}", "-H",
                            "Host: a.wild.example", f"https://one.example:{gateway.port}/get"])
    eq((status, out), (0, "421"), err)
    eq(gateway.wait_log(lambda r: r.status == 421)["close_reason"], "misdirected", "close_reason")


@test("a failed handshake sends an alert, is logged with its reason and counted; others are served meanwhile")
def failures():
    gateway = start()
    good = Tls(gateway.port, gateway.authority, "one.example")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    error = refused(gateway.port, context=old, name="one.example")
    check("ALERT" in str(error).upper() or "VERSION" in str(error).upper(), error)
    wait_until(lambda: "TLS handshake failed" in gateway.stderr, 5, "the log line")
    wait_ended(gateway, "tls_handshake_failed", 1)
    eq(good.get("/get", host="one.example").status, 200, "another client")


CLIENTS = """
frontendPolicies:
  tls: {handshakeTimeout: 60s}
binds:
- port: @port@
  listeners:
  - name: must
    hostname: must.example
    protocol: HTTPS
    tls: {cert: @cert@, key: @cert_key@, root: @root@, forwardClientCertificate: true}
    routes:
    - backends: [{host: @origin@}]
  - name: may
    hostname: may.example
    protocol: HTTPS
    tls: {cert: @cert@, key: @cert_key@, root: @root@, clientAuth: optional, forwardClientCertificate: true}
    routes:
    - backends: [{host: @origin@}]
  - name: open
    protocol: HTTPS
    tls: {cert: @cert@, key: @cert_key@}
    routes:
    - backends: [{host: @origin@}]
"""


@test("client certificates: required, optional, of the wrong authority, expired, for servers; the backend is "
      "told of a good one, and never what a client says itself")
def clients():
    authority, people, others = Authority("servers"), Authority("people"), Authority("others")
    server = authority.issue("must.example", "may.example", "open.example")
    gateway = Gateway(CLIENTS, origin=Origin(), root=people.cert, **paths(cert=server))
    good = people.issue("alice.example", "spiffe://example/alice", client=True)
    forged = {"X-Forwarded-Client-Cert": "Hash=00", "X_Forwarded_Client_Cert": "Hash=00"}
    for version in ("1.2", "1.3"):
        for name in ("must.example", "may.example"):
            client = Tls(gateway.port, authority, name, identity=good, version=version)
            told = client.get("/headers", forged, host=name).json()["headers"]
            check("X_Forwarded_Client_Cert" not in told, told)
            told = told.get("x-forwarded-client-cert", "")
            digest = good.fingerprint.replace(":", "").lower()
            check(digest in told and "URI=spiffe://example/alice" in told, told)
        client = Tls(gateway.port, authority, "may.example", version=version)
        told = client.get("/headers", forged, host="may.example").json()["headers"]
        check(not says_certificate(told), told)
        refused(gateway.port, authority, "must.example", version=version)
        for name in ("must.example", "may.example"):
            for bad in (others.issue("eve", client=True),
                        people.issue("old", client=True, begin=DAY * -9, end=-DAY),
                        people.issue("server.example"), people.issue("new", client=True, begin=DAY * 3)):
                refused(gateway.port, authority, name, identity=bad, version=version)
    client = Tls(gateway.port, authority, "open.example")
    told = client.get("/headers", forged, host="open.example").json()["headers"]
    check(not says_certificate(told), told)
    wait_ended(gateway, "tls_verify_failed", 18)
    check("expired" in gateway.stderr or "no certificate" in gateway.stderr, gateway.stderr)


@test("resumption: by any worker, also after a reload, never with another listener or without the "
      "certificate that it asks for", timeout=60)
def resumption():
    authority, people = Authority("servers"), Authority("people")
    server = authority.issue("must.example", "may.example", "open.example")
    gateway = Gateway(CLIENTS, origin=Origin(), root=people.cert, workers=3, **paths(cert=server))

    def again(context, name, session, want, what):
        for _ in range(8):
            client = Tls(gateway.port, name=name, context=context, session=session)
            eq(client.socket.session_reused, want, what)
            eq(client.get("/get", host=name).status, 200, what)
            client.close()

    for version in ("1.2", "1.3"):
        context = client_context(authority, version=version)
        first = Tls(gateway.port, name="open.example", context=context)
        eq(first.get("/get", host="open.example").status, 200, "the first")
        session = first.socket.session
        again(context, "open.example", session, True, f"TLS {version}")
        gateway.reload(CLIENTS + "config: {}\n")
        again(context, "open.example", session, True, f"TLS {version} after a reload")
        again(context, "may.example", session, False, f"TLS {version} with another listener")
        try:
            client = Tls(gateway.port, name="must.example", context=context, session=session)
            client.get("/get", host="must.example")
        except (ssl.SSLError, ConnectionError, Failure):
            pass
        else:
            raise Failure("a session without a certificate was resumed where one is required")


@test("a body of 100 MiB each way arrives unchanged over TLS, read slowly at first; ends are told from cuts",
      timeout=120, heavy=True)
def bodies():
    gateway = start()
    size = 100 << 20 if not is_asan() else 20 << 20
    client = Tls(gateway.port, gateway.authority, "one.example", rcvbuf=20000)
    client.request("GET", f"/bytes/{size}", host="one.example")
    time.sleep(0.5)
    head = client.response_head()
    verify(client.body(head), size)
    client.send(f"POST /upload HTTP/1.1\r\nHost: one.example\r\nContent-Length: {size}\r\n\r\n")
    for at in range(0, size, 1 << 20):
        client.send(pattern(1 << 20, at))
    answer = client.response("POST").json()
    eq((answer["length"], answer["is_pattern"]), (size, True), "the upload")
    client.request("GET", "/get", {"Connection": "close"}, host="one.example").response()
    client.read_eof()
    eq(client.is_cut, False, "close_notify at the end")


@test("a handshake that stands still ends after handshakeTimeout, with its reason", timeout=60)
def slow_handshake():
    authority, people = Authority("servers"), Authority("people")
    server = authority.issue("must.example", "may.example", "open.example")
    gateway = Gateway(CLIENTS.replace("60s", "1s"), origin=Origin(), root=people.cert, **paths(cert=server))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    play = client_context().wrap_bio(incoming, outgoing, server_hostname="open.example")
    try:
        play.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    with within(1.0, "the end of the handshake", before=15):
        gateway.client().send(hello).read_eof()
    wait_ended(gateway, "tls_handshake_timeout", 1)


@test("a hello in pieces of one byte, a hello of 16 KiB in two records, and a cut one")
def odd_hellos():
    gateway = start()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    play = client_context(gateway.authority).wrap_bio(incoming, outgoing, server_hostname="one.example")
    client = gateway.client()

    def step(pieces):
        try:
            play.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        data = outgoing.read()
        for at in range(0, len(data), pieces):
            client.send(data[at:at + pieces])
        return done

    while not step(1):
        incoming.write(client.read_some())
    play.write(b"GET /get HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
    client.send(outgoing.read())
    incoming.write(client.read_eof())
    check(play.read(100).startswith(b"HTTP/1.1 200"), "the answer")
    cut = gateway.client().send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(30)).fin()
    cut.expect_end()
    eq(gateway.fetch("/get").status, 400, "alive")


TERMINATED = """
binds:
- port: @port@
  listeners:
  - name: passed
    hostname: passed.example
    protocol: TLS
    tcpRoutes:
    - backends: [{host: @other@}]
  - name: ended
    hostname: ended.example
    protocol: TLS
    tls: {cert: @cert@, key: @cert_key@}
    tcpRoutes:
    - backends: [{host: @origin@}]
  - name: web
    hostname: web.example
    protocol: HTTPS
    tls: {cert: @cert@, key: @cert_key@}
    routes:
    - backends: [{host: @httpbin@}]
"""


@test("one port: TLS that is passed through, TLS that ends here for a TCP route, and HTTPS, by server name",
      timeout=60)
def mixed():
    authority = Authority()
    server = authority.issue("ended.example", "web.example")
    backend, other = Backend(), Backend()
    gateway = Gateway(TERMINATED, origin=backend, other=other, httpbin=Origin(), **paths(cert=server))
    client = Tls(gateway.port, authority, "ended.example").send("hello")
    upstream = backend.accept()
    eq(upstream.read(5), b"hello", "plain bytes at the backend")
    size = 8 << 20
    sender = in_background(lambda: upstream.send(pattern(size)).fin())
    verify(client.read_eof(), size)
    sender.result()
    eq(client.is_cut, False, "close_notify for the backend's FIN")
    client.socket.sendall(b"more")
    eq(upstream.read_some(), b"more", "the other direction goes on behind it")
    eq(Tls(gateway.port, authority, "web.example").get("/get", host="web.example").status, 200, "HTTPS")
    passed = gateway.client()
    hello = ssl.MemoryBIO()
    play = client_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="passed.example")
    try:
        play.do_handshake()
    except ssl.SSLWantReadError:
        pass
    data = hello.read()
    passed.send(data)
    eq(other.accept().read(len(data)), data, "the hello, byte for byte")
