# SPDX-License-Identifier: Apache-2.0
"""Gateway API listeners that end TLS, as its conformance cases have them."""
import json

import tlsmanifests as k
from hg import *
from hg.framework import binary
from hg.gateway import SANITIZER_ENV
from hg.pki import Authority
from hg.tls import Tls, TlsFront, refused


def status_of(gateway, authority, name, path="/get", host=None, **options):
    return Tls(gateway.port, authority, name, **options).get(path, host=host or name).status


def refuses(gateway, authority, name, **options):
    return refused(options.pop("port", gateway.port), authority, name, **options)


@test("HTTPSListener: Secrets of a Gateway are its certificates, by server name; routes attach by section")
def listeners():
    pki, origin = Authority(), Origin()
    gateway = Gateway(k.text(
        k.gateway(k.https("one", "one", "more", hostname="one.test"),
                  k.https("wild", "wild", hostname="*.wild.test"), k.https("rest", "rest")),
        k.route("all", "svc", section="one"), k.route("wild", "svc", section="wild"),
        *k.service("svc", origin), k.secret("one", pki.issue("one.test")),
        k.secret("more", pki.issue("one.test", key="rsa")), k.secret("wild", pki.issue("*.wild.test")),
        k.secret("rest", pki.issue("rest.test"))))
    for name in ("one.test", "a.wild.test"):
        answer = Tls(gateway.port, pki, name).get("/headers", host=name)
        eq((answer.status, answer.json()["headers"]["X-Forwarded-Proto"]), (200, "https"), name)
    eq(status_of(gateway, pki, "one.test", version="1.2", ciphers="ECDHE-RSA-AES128-GCM-SHA256"), 200, "RSA")
    eq(status_of(gateway, pki, "rest.test"), 404, "a listener without a route")
    record = gateway.wait_log(lambda r: r["listener"] == "wild")
    eq((record["gateway"], record["route"]), ("ns/gw", "ns/wild"), "names in the log")
    eq(k.warnings(gateway), "[]", "warnings")


@test("HTTPSListenerDetectMisdirectedRequests: 421 where another listener has the host, 404 where none has")
def misdirected():
    pki, origin = Authority(), Origin()
    names = ("example.test", "second.test", "*.wild.test")
    gateway = Gateway(k.text(
        k.gateway(*(k.https(f"l{i}", "all", hostname=name) for i, name in enumerate(names))),
        k.route("r", "svc", hostnames=["example.test", "second.test", "a.wild.test", "b.wild.test"]),
        *k.service("svc", origin), k.secret("all", pki.issue(*names))))
    for name, host, want in (("example.test", "example.test", 200), ("example.test", "second.test", 421),
                             ("second.test", "example.test", 421), ("example.test", "a.wild.test", 421),
                             ("a.wild.test", "b.wild.test", 200), ("a.wild.test", "example.test", 421),
                             ("a.wild.test", "c.wild.test", 404), ("example.test", "unknown.test", 404)):
        eq(status_of(gateway, pki, name, host=host), want, f"{host} on a connection for {name}")


@test("a certificate that is missing, or not granted, leaves a listener that refuses handshakes and says "
      "why; the Secret, or the grant, mends it")
def missing():
    pki, origin = Authority(), Origin()
    objects = [k.gateway(k.https("bad", "none", hostname="bad.test"),
                         k.https("good", "good", hostname="good.test")),
               k.route("r", "svc"), *k.service("svc", origin), k.secret("good", pki.issue("good.test"))]
    gateway = Gateway(k.text(*objects))
    eq(status_of(gateway, pki, "good.test"), 200, "its neighbour")
    refuses(gateway, pki, "bad.test")
    words = "InvalidCertificateRef: there is no Secret ns/none"
    wait_until(lambda: f"TLS handshake failed: {words}" in gateway.stderr, 5, "the log line")
    eq(gateway.metrics()("headgate_stream_end_total", reason="tls_no_certificate"), 1, "counted")
    check(words in k.warnings(gateway), k.warnings(gateway))
    gateway.reload(k.text(*objects, k.secret("none", pki.issue("bad.test"))))
    eq(status_of(gateway, pki, "bad.test"), 200, "with its Secret")
    far = k.secret("far", pki.issue("bad.test"))
    far["metadata"]["namespace"] = "other"
    objects[0]["spec"]["listeners"][0]["tls"]["certificateRefs"] = [{"name": "far", "namespace": "other"}]
    gateway.reload(k.text(*objects, far))
    refuses(gateway, pki, "bad.test")
    check("RefNotPermitted: Secret other/far" in k.warnings(gateway), k.warnings(gateway))
    grant = k.manifest(k.API + "beta1", "ReferenceGrant", "grant", {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "ns"}],
        "to": [{"group": "", "kind": "Secret"}]})
    grant["metadata"]["namespace"] = "other"
    gateway.reload(k.text(*objects, far, grant))
    eq(status_of(gateway, pki, "bad.test"), 200, "with a grant")


@test("a Secret that changes is the certificate of new connections, and running ones go on; its key is shown "
      "nowhere")
def rotated():
    pki, origin = Authority(), Origin()
    identities = [pki.issue("a.test"), pki.issue("a.test")]

    def text(identity):
        return k.text(k.gateway(k.https("h", "it")), k.route("r", "svc"), *k.service("svc", origin),
                      k.secret("it", identity))
    gateway = Gateway(text(identities[0]))
    old = Tls(gateway.port, pki, "a.test")
    eq(old.get("/get", host="a.test").status, 200, "before")
    gateway.reload(text(identities[1]))
    eq(old.get("/get", host="a.test").status, 200, "the running connection")
    new = Tls(gateway.port, pki, "a.test")
    eq(new.socket.getpeercert()["serialNumber"], f"{identities[1].x509.serial_number:X}".zfill(
        len(new.socket.getpeercert()["serialNumber"])), "the new certificate")
    shown = gateway.admin("/config_dump").text + gateway.admin("/certificates").text + gateway.stderr
    check(identities[1].fingerprint in shown, "the fingerprint")
    secret = k.secret("it", identities[1])["data"]["tls.key"]
    for text_of_key in (secret, identities[1].key_pem.decode().split("\n")[1], "PRIVATE KEY"):
        check(text_of_key not in shown, "a key is shown")


@test("a Secret whose pair is bad after a change leaves the certificate from before in use, and says so, "
      "until it is mended; one that is gone does not")
def half_renewed():
    pki, origin = Authority(), Origin()
    old, new = pki.issue("a.test"), pki.issue("a.test")
    secrets = {what: k.secret("it", old) for what in ("before", "halves", "no key", "no base64", "again")}
    secrets["halves"]["data"]["tls.crt"] = k.secret("it", new)["data"]["tls.crt"]
    del secrets["no key"]["data"]["tls.key"]
    secrets["no base64"]["data"]["tls.crt"] = "*"

    def text(*secret):
        return k.text(k.gateway(k.https("h", "it")), k.route("r", "svc"), *k.service("svc", origin), *secret)

    def serial():
        return int(Tls(gateway.port, pki, "a.test").socket.getpeercert()["serialNumber"], 16)
    gateway = Gateway(text(secrets.pop("before")))
    running = Tls(gateway.port, pki, "a.test")
    for what, secret in secrets.items():
        status = gateway.reload(text(secret))
        eq(serial(), old.x509.serial_number, what)
        eq(running.get("/get", host="a.test").status, 200, f"{what}: the running connection")
        is_told = "the certificate from before the change stays in use" in json.dumps(status)
        eq(is_told, what != "again", f"{what}: is it said, in {status}")
    gateway.reload(text(k.secret("it", new)))
    eq(serial(), new.x509.serial_number, "the new one")
    gateway.reload(text())
    refuses(gateway, pki, "a.test")


CLIENTS = {"frontend": {
    "default": {"validation": {"caCertificateRefs": k.refs("clients")}},
    "perPort": [{"port": "@other@", "tls": {"validation": {"caCertificateRefs": k.refs("others")}}},
                {"port": "@third@", "tls": {"validation": {"mode": "AllowInsecureFallback",
                                                           "caCertificateRefs": k.refs("clients")}}}]}}


@test("GatewayFrontendClientCertificateValidation: by default, by port, and with AllowInsecureFallback")
def client_certificates():
    pki, clients, others, origin = Authority(), Authority("clients"), Authority("others"), Origin()
    gateway = Gateway(k.text(
        k.gateway(k.https("default", "it"), k.https("port", "it", port="@other@"),
                  k.https("loose", "it", port="@third@"), tls=CLIENTS),
        k.route("r", "svc"), *k.service("svc", origin), k.secret("it", pki.issue("a.test")),
        k.config_map("clients", clients), k.config_map("others", others)))
    good, other = clients.issue("client", client=True), others.issue("client", client=True)
    for port, believed in (("port", {good}), ("other", {other}), ("third", {good, other, None})):
        for identity in (good, other, None):
            if identity in believed:
                client = Tls(gateway.ports[port], pki, "a.test", identity=identity)
                eq(client.get("/get", host="a.test").status, 200, f"{port}: status")
            else:
                refuses(gateway, pki, "a.test", identity=identity, port=gateway.ports[port])
    check("InsecureFrontendValidationMode" in k.warnings(gateway), k.warnings(gateway))


@test("authorities of clients that cannot be used concern what ends TLS alone: it refuses handshakes")
def invalid_authorities():
    pki, origin = Authority(), Origin()
    tls = {"frontend": {"default": {"validation": {"caCertificateRefs": k.refs("none")}}}}
    gateway = Gateway(k.text(
        k.gateway(k.https("h", "it"), k.http("@other@"), tls=tls), k.route("r", "svc"),
        *k.service("svc", origin), k.secret("it", pki.issue("a.test"))))
    eq(gateway.fetch("/get", "other").status, 200, "plain HTTP")
    refuses(gateway, pki, "a.test")
    check("InvalidCACertificateRef: there is no ConfigMap ns/none" in k.warnings(gateway),
          k.warnings(gateway))
    check("NoValidCACertificate" in gateway.admin("/config_dump").text, "the reason in the dump")


@test("TLSRoute: terminated, passed through and HTTPS on one port, each by its host name")
def mixed():
    pki, origin, echo = Authority(), Origin(), Origin(tcp_echo=True)
    inner = Authority("inner")
    behind = TlsFront(inner.issue("pass.test"), origin)
    gateway = Gateway(k.text(
        k.gateway(k.https("h", "h", hostname="web.test"), k.tls("t", "ends.test", "t"),
                  k.tls("p", "pass.test"), k.tls("c", "bytes.test", "t")),
        k.route("web", "svc", hostnames=["web.test"]),
        k.route("names", "echo", kind="TLSRoute", hostnames=["ends.test"]),
        k.route("bytes", "echo", kind="TCPRoute", section="c"),
        k.route("through", "behind", kind="TLSRoute", hostnames=["pass.test"]),
        *k.service("svc", origin), *k.service("echo", echo), *k.service("behind", behind),
        k.secret("h", pki.issue("web.test")), k.secret("t", pki.issue("ends.test", "bytes.test"))))
    eq(status_of(gateway, pki, "web.test"), 200, "HTTPS")
    eq(status_of(gateway, inner, "pass.test"), 200, "passed through: the certificate is the backend's")
    for name in ("ends.test", "bytes.test"):
        client = Tls(gateway.port, pki, name).send(b"hello " * 1000)
        eq(client.read(6000), b"hello " * 1000, f"bytes inside, {name}")
    refuses(gateway, pki, "other.test")


@test("a redirect to https has no port, the one it names, and leads to the listener that ends TLS")
def redirect():
    pki, origin = Authority(), Origin()
    away = k.manifest(k.API, "HTTPRoute", "away", {
        "parentRefs": [{"name": "gw", "sectionName": "http"}],
        "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
                  {"matches": [{"path": {"value": "/ported"}}],
                   "filters": [{"type": "RequestRedirect", "requestRedirect": {
                       "scheme": "https", "port": "@port@", "statusCode": 301}}]}]})
    gateway = Gateway(k.text(k.gateway(k.https("h", "it"), k.http("@other@")), away,
                             k.route("r", "svc", section="h"), *k.service("svc", origin),
                             k.secret("it", pki.issue("a.test"))))
    answer = gateway.fetch("/x?y", "other", host="a.test:8080")
    eq((answer.status, answer.headers["Location"]), (302, "https://a.test/x?y"), "port of the scheme")
    answer = gateway.fetch("/ported", "other", host="a.test")
    eq((answer.status, answer.headers["Location"]), (301, f"https://a.test:{gateway.port}/ported"), "a port")
    eq(status_of(gateway, pki, "a.test", "/get"), 200, "where it leads")


@test("policies nobody knows are warnings: counted by --validate-only, shown by /config_status, 500 for what "
      "they name; --strict makes them errors")
def strangers():
    origin = Origin()
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}
    plain = [k.gateway(k.http()), k.route("r", "svc"), k.route("free", ("/free", "svc")),
             *k.service("svc", origin)]
    for stranger in (
            k.manifest("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "x", {"targetRefs": [target]}),
            k.manifest("gateway.kgateway.dev/v1alpha1", "TrafficPolicy", "x", {
                "targetRefs": [target], "extAuth": {}}),
            k.manifest("agentgateway.dev/v1alpha1", "AgentGatewayPolicy", "x", {"targetRefs": [target]}),
            k.manifest("agentgateway.dev/v2", "AgentgatewayPolicy", "x", {"targetRefs": [target]})):
        gateway = Gateway(k.text(*plain, stranger))
        eq((gateway.fetch("/get").status, gateway.fetch("/free").status), (500, 404), f"{stranger['kind']}")
        check("gets status 500" in k.warnings(gateway), k.warnings(gateway))
        path = gateway.files["config.yaml"]
        status, out, _ = run([binary("headgate"), "-f", path, "--validate-only"], env=SANITIZER_ENV)
        eq((status, out), (0, "Configuration is valid!\n1 warning\n"), "--validate-only")
        status, out, error = run([binary("headgate"), "-f", path, "--validate-only", "--strict"],
                                 env=SANITIZER_ENV)
        eq((status, out), (1, ""), error)
        check("refused for its 1 warning, which --strict makes errors" in error, error)
        gateway.stop()


@test("--strict keeps the old configuration where the new one has a warning: a bad pair replaces no good one")
def strict_reload():
    pki, origin = Authority(), Origin()
    identity, other = pki.issue("a.test"), pki.issue("a.test")

    def text(made):
        return k.text(k.gateway(k.https("h", "it")), k.route("r", "svc"), *k.service("svc", origin), made)
    gateway = Gateway(text(k.secret("it", identity)), args=["--strict"])
    state = gateway.reload(text(k.secret("it", identity, key=other)))
    eq((state["lastReloadOk"], state["generation"]), (False, 1), "config_status")
    check("InvalidCertificateRef: Secret ns/it" in gateway.stderr, gateway.stderr)
    eq(status_of(gateway, pki, "a.test"), 200, "the old certificate")
