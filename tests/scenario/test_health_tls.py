# SPDX-License-Identifier: Apache-2.0
"""Active checks over the TLS of the backend: what they verify, and what /endpoints says when they fail."""
import ssl

from hg import *
from hg.pki import DAY, Authority
from healthservers import Server
from test_health_active import GrpcServer, Health, grpc


def config(rows):
    """A standalone configuration with a backend for each (address, check, backendTLS)."""
    backends = "\n".join(
        f"      - host: {address}\n        policies: {{health: {{active: {{timeout: 10s, {check}}}}}, "
        f"backendTLS: {{{tls}}}}}" for address, check, tls in rows)
    return ("binds:\n- port: @port@\n  listeners:\n  - routes:\n    - name: all\n      backends:\n"
            f"{backends}\n")


def results(gateway):
    def checks():
        return [entry["checks"] for entry in gateway.admin_json("/endpoints")]
    wait_until(lambda: all(entry["total"] for entry in checks()), 30, "a check of each")
    return [(entry["healthy"], entry["last_failure"]) for entry in checks()]


def context_of(stem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stem.cert, stem.key)
    return context


def expect(found, wanted):
    """wanted: for each result words of its reason; none: it is healthy."""
    for number, ((healthy, why), words) in enumerate(zip(found, wanted, strict=True)):
        eq((healthy, why == ""), (not words, not words), f"result {number}: {why}")
        for word in words:
            check(word in why, lambda: f"no {word!r} in the reason of {number}: {why!r}")


@test("a check by HTTP or TCP verifies the certificate as requests do: a wrong authority, name or date makes "
      "the endpoint unhealthy, with the reason")
def verifies():
    pki, other = Authority(), Authority("other authority")
    good = Server("127.0.0.1", free_port(), tls=context_of(pki.issue("backend.test")))
    old = Server("127.0.0.1", free_port(), tls=context_of(pki.issue("backend.test", end=DAY * -1,
                                                                    begin=DAY * -3)))
    plain = Server("127.0.0.1", free_port())
    rows = [(good, f"root: {pki.cert}, hostname: backend.test", ()),
            (good, f"root: {other.cert}, hostname: backend.test", ("TLS", "no trusted authority")),
            (good, f"root: {pki.cert}, hostname: elsewhere.test", ("TLS", "elsewhere.test", "backend.test")),
            (good, f"root: {pki.cert}, hostname: elsewhere.test, insecureHost: true", ()),
            (old, f"root: {pki.cert}, hostname: backend.test", ("TLS", "expired")),
            (old, "insecure: true", ()),
            (plain, f"root: {pki.cert}, hostname: backend.test", ("TLS",))]
    for kind in ("type: HTTP", "type: TCP"):
        for server in (good, old, plain):
            server.checks.clear()
        gateway = Gateway(config([(f"127.0.0.1:{server.port}", kind, tls) for server, tls, _ in rows]))
        expect(results(gateway), [words for _, _, words in rows])
        eq(len(plain.checks), 0, "checks in plain text")
        if kind == "type: HTTP":
            check(good.checks and old.checks, "no request came")
        gateway.stop()


@test("a check of gRPC over TLS verifies the certificate of grpcio", needs=["module:grpc"])
def grpc_verifies():
    pki, other = Authority(), Authority("other authority")
    stem = pki.issue("backend.test")
    health = Health()
    server = GrpcServer([health], grpc.ssl_server_credentials([(stem.key_pem, stem.pem)]))
    rows = [("type: GRPC", f"root: {pki.cert}, hostname: backend.test", ()),
            ("type: GRPC, grpc: {service: a.No}", f"root: {pki.cert}, hostname: backend.test",
             ("NOT_SERVING",)),
            ("type: GRPC", f"root: {other.cert}, hostname: backend.test", ("TLS", "no trusted authority"))]
    gateway = Gateway(config([(server.address, kind, tls) for kind, tls, _ in rows]))
    expect(results(gateway), [words for _, _, words in rows])
    eq(health.checks, 2, "checks that came")
