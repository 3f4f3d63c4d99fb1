# SPDX-License-Identifier: Apache-2.0
"""BackendTLSPolicy and its relatives, as the conformance cases of Gateway API have them."""
import tlsmanifests as k
from hg import *
from hg.h2 import fetch2
from hg.pki import Authority
from hg.tls import Tls, TlsFront, client_context
from tlsbackends import Service, server_context

HOST = "abc.test"


def started(*objects, spec=None):
    return Gateway(k.text(k.gateway(k.http(), **(spec or {})), *objects))


def told(gateway, path="/x"):
    answer = gateway.fetch(path)
    eq(answer.status, 200, lambda: answer.text)
    return answer.json()


def fails(gateway, path, *words, status=503):
    answer = gateway.fetch(path)
    eq(answer.status, status, f"{path}: {answer.text}")
    said = gateway.wait_log(lambda line: line["http.path"] == path)["error"]
    for word in words:
        check(word in said, lambda: f"no {word!r} in {said!r}")
        check(word not in answer.text, lambda: f"{word!r} in {answer.text!r}")


@test("BackendTLSPolicy: the hostname is the server name and is verified with the ConfigMap's authority")
def plain():
    pki, stranger = Authority(), Authority("stranger")
    backend = Service(server_context(pki.issue(HOST), ["http/1.1"]))
    other = Service(server_context(stranger.issue(HOST)))
    gateway = started(
        k.route("r", ("/x", "svc"), ("/name", "named"), ("/other", "other")), *k.service("svc", backend),
        *k.service("named", backend), *k.service("other", other, appProtocol="https"),
        k.backend_tls("p", "svc", HOST), k.backend_tls("n", "named", "wrong.test"),
        k.backend_tls("o", "other", HOST), k.config_map("ca", pki))
    message = told(gateway)
    eq(message["name"], HOST, "SNI")
    fails(gateway, "/name", "wrong.test", HOST)
    fails(gateway, "/other")
    eq(len(other.seen), 0, "connections of one that is not believed")
    eq(k.warnings(gateway), "[]", "warnings")


@test("BackendTLSPolicy SAN: one of subjectAltNames has to be there, the hostname is not verified then")
def names():
    pki = Authority()
    backend = Service(server_context(pki.issue("dns.test", "spiffe://a.test/ns/app")))

    def san(*wanted):
        return [{"type": "URI", "uri": name} if ":" in name else {"type": "Hostname", "hostname": name}
                for name in wanted]
    cases = {"dns": (("dns.test",), 200), "uri": (("spiffe://a.test/ns/app",), 200),
             "both": (("no.test", "spiffe://a.test/ns/app"), 200), "none": (("no.test",), 503),
             "path": (("spiffe://a.test/ns/ap",), 503), "host": ((HOST,), 503)}
    gateway = started(
        k.route("r", *((f"/{name}", name) for name in cases)), k.config_map("ca", pki),
        *(each for name in cases for each in k.service(name, backend)),
        *(k.backend_tls(name, name, HOST, names=san(*wanted)) for name, (wanted, _) in cases.items()))
    for name, (_, status) in cases.items():
        eq(gateway.fetch(f"/{name}").status, status, name)
    eq(told(gateway, "/uri")["name"], HOST, "SNI")


@test("BackendTLSPolicy conflicts: the older, then the first by name has the target; a port has its own")
def conflicts():
    pki = Authority()
    backend = Service(server_context(pki.issue("first.test", "second.test")))
    gateway = started(
        k.route("r", ("/name", "name"), ("/age", "age"), ("/web", "part"), ("/alt", "part", 81)),
        *k.service("name", backend), *k.service("age", backend), *k.service("part", backend),
        k.config_map("ca", pki),
        k.backend_tls("name-2", "name", "second.test"), k.backend_tls("name-1", "name", "first.test"),
        k.backend_tls("age-1", "age", "second.test", created="2026-02-01T00:00:00Z"),
        k.backend_tls("age-2", "age", "first.test", created="2026-01-01T00:00:00Z"),
        k.backend_tls("part-1", "part", "first.test"),
        k.backend_tls("part-2", "part", "second.test", section="alt"))
    for path, want in (("/name", "first.test"), ("/age", "first.test"), ("/web", "first.test"),
                       ("/alt", "second.test")):
        eq(told(gateway, path)["name"], want, path)
    said = k.warnings(gateway)
    for loser in ("ns/name-2", "ns/age-1"):
        check(f"BackendTLSPolicy {loser}" in said, said)
    eq(said.count("Conflicted"), 2, said)


@test("BackendTLSPolicy without authorities that can be used: 500 with the reason, and never plain text")
def invalid():
    pki, backend = Authority(), Backend()
    cases = {"missing": ("none", "InvalidCACertificateRef: there is no ConfigMap ns/none"),
             "malformed": ("empty", "InvalidCACertificateRef: ConfigMap ns/empty: it has no ca.crt"),
             "version": (None, "does not know that version")}
    policies = [k.backend_tls(name, name, HOST, [authority or "ca"]) for name, (authority, _)
                in cases.items()]
    policies[2]["apiVersion"] = "gateway.networking.k8s.io/v9"
    gateway = started(
        k.route("r", *((f"/{name}", name) for name in cases), ("/kind", "kind"), ("/app", "app")),
        *(each for name in (*cases, "kind") for each in k.service(name, backend)),
        *k.service("app", backend, appProtocol="kubernetes.io/wss"), *policies,
        k.manifest(k.API, "BackendTLSPolicy", "kind", {
            "targetRefs": [{"group": "", "kind": "Service", "name": "kind"}],
            "validation": {"hostname": HOST, "caCertificateRefs": k.refs("x", kind="Deployment")}}),
        k.config_map("empty", None), k.config_map("ca", pki))
    fails(gateway, "/missing", "NoValidCACertificate: InvalidCACertificateRef", status=500)
    eq(gateway.wait_log()["close_reason"], "backend_tls_invalid", "close_reason")
    fails(gateway, "/malformed", "it has no ca.crt", status=500)
    fails(gateway, "/kind", "InvalidKind", status=500)
    fails(gateway, "/app", "appProtocol", status=500)
    fails(gateway, "/version", status=500)
    said = k.warnings(gateway)
    for _, words in cases.values():
        check(words in said, said)
    check("InvalidKind" in said and "appProtocol" in said, said)
    backend.expect_no_connection(0.3)


@test("a ConfigMap that comes later mends what its policy is for")
def mended():
    pki = Authority()
    backend = Service(server_context(pki.issue(HOST)))
    objects = [k.gateway(k.http()), k.route("r", "svc"), *k.service("svc", backend),
               k.backend_tls("p", "svc", HOST)]
    gateway = Gateway(k.text(*objects))
    eq(gateway.fetch("/x").status, 500, "without the authority")
    gateway.reload(k.text(*objects, k.config_map("ca", pki)))
    eq(told(gateway)["name"], HOST, "with it")


@test("clientCertificateRef of a Gateway is shown to backends that ask; one that cannot be used is a 500")
def client():
    pki, clients = Authority(), Authority("clients")
    backend = Service(server_context(pki.issue(HOST), clients=clients))
    objects = [k.route("r", "svc"), *k.service("svc", backend), k.backend_tls("p", "svc", HOST),
               k.config_map("ca", pki), k.secret("me", clients.issue("me.test", client=True))]
    spec = {"tls": {"backend": {"clientCertificateRef": {"group": "", "kind": "Secret", "name": "me"}}}}
    gateway = started(*objects, spec=spec)
    eq(told(gateway)["client"]["commonName"], "me.test", "who the gateway is")
    gateway = started(*objects)
    eq(gateway.fetch("/x").status, 503, "without a certificate")
    seen = len(backend.seen)
    spec["tls"]["backend"]["clientCertificateRef"]["name"] = "none"
    gateway = started(*objects, spec=spec)
    fails(gateway, "/x", "InvalidClientCertificateRef", status=500)
    eq(len(backend.seen), seen, "handshakes")


@test("a TLSRoute that ends TLS speaks it again to a backend with a policy; one that is passed through "
      "is left alone")
def routes():
    pki, inner = Authority(), Authority("inner")
    echo = Origin(tcp_echo=True)
    behind = TlsFront(inner.issue(HOST), echo)
    gateway = Gateway(k.text(
        k.gateway(k.tls("t", "ends.test", "t"), k.tls("p", "pass.test")),
        k.route("names", "svc", kind="TLSRoute"), *k.service("svc", behind), k.backend_tls("p", "svc", HOST),
        k.config_map("ca", inner), k.secret("t", pki.issue("ends.test"))))
    made = client_context(inner)
    made.check_hostname = False
    for name, trust, context in (("ends.test", pki, None), ("pass.test", None, made)):
        client = Tls(gateway.port, trust, name, context=context).send(b"hello")
        eq(client.read(5), b"hello", name)


@test("AgentgatewayPolicy backend.tls: its own words for authorities, names and certificates; frontend.tls")
def agentgateway():
    pki, clients = Authority(), Authority("clients")
    backend = Service(server_context(pki.issue("san.test"), ["h2"], clients=clients))
    tls = {"mtlsCertificateRef": [{"name": "me"}], "caCertificateRefs": [{"name": "ca"}], "sni": HOST,
           "verifySubjectAltNames": ["san.test"], "alpnProtocols": ["h2"]}

    def policy(name, kind, target, part):
        return k.manifest("agentgateway.dev/v1alpha1", "AgentgatewayPolicy", name, {
            "targetRefs": [{"group": "" if kind == "Service" else "gateway.networking.k8s.io", "kind": kind,
                            "name": target}], **part})
    gateway = started(
        k.route("r", ("/x", "svc"), ("/loose", "loose")), *k.service("svc", backend),
        *k.service("loose", backend),
        policy("p", "Service", "svc", {"backend": {"tls": tls}}),
        policy("l", "Service", "loose", {"backend": {"tls": {
            "insecureSkipVerify": "All", "mtlsCertificateRef": [{"name": "me"}]}}}),
        k.config_map("ca", pki), k.secret("me", clients.issue("me.test", client=True)))
    message = told(gateway)
    eq((message["name"], message["alpn"], message["client"]["commonName"]), (HOST, "h2", "me.test"), "words")
    eq(told(gateway, "/loose")["client"]["commonName"], "me.test", "insecureSkipVerify: All")


@test("BackendTLSPolicy: calls of a GRPCRoute go out as HTTP/2 over TLS, and mirrored copies over TLS, too")
def calls_and_mirrors():
    pki = Authority()
    calls = Service(server_context(pki.issue(HOST), ["h2"]))
    copies = Service(server_context(pki.issue(HOST), ["http/1.1"]))
    origin = Origin()
    mirrored = k.route("copied", ("/get", "svc"), hostnames=["copied.test"])
    mirrored["spec"]["rules"][0]["filters"] = [{"type": "RequestMirror", "requestMirror": {
        "backendRef": {"name": "copies", "port": 80}}}]
    gateway = started(
        k.route("calls", "calls", kind="GRPCRoute", hostnames=["calls.test"]), mirrored,
        *k.service("calls", calls), *k.service("copies", copies), *k.service("svc", origin),
        k.backend_tls("calls", "calls", HOST), k.backend_tls("copies", "copies", HOST),
        k.config_map("ca", pki))
    extra = [("content-type", "application/grpc"), ("te", "trailers")]
    answer = fetch2(gateway.port, "/a.B/C", "POST", extra, b"\0\0\0\0\0", authority="calls.test")
    eq((answer.status, answer.json()["alpn"], answer.json()["name"]), (200, "h2", HOST), "the call")
    eq(gateway.fetch("/get", host="copied.test").status, 200, "status")
    wait_until(lambda: len(copies.seen) == 1, 5, "the copy")
    eq(copies.seen[0].name, HOST, "SNI of the copy")
