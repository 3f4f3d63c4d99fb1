# SPDX-License-Identifier: Apache-2.0
"""Rules about connections: who may connect at all, on every kind of port, before a backend is dialled."""
from hg import *
from hg import tls
from hg.h2 import fetch2
from hg.pki import Authority
from hg.tls_wire import Play
from manifests import ROUTE, SERVICE

PORTS = """
frontendPolicies: {networkAuthorization: {rules: [%s]}}
binds:
- port: @port@
  listeners:
  - routes: [{name: web, backends: [{host: @origin@}]}]
- port: @tcp@
  listeners:
  - {protocol: TCP, tcpRoutes: [{backends: [{host: @origin@}]}]}
- port: @tls@
  listeners:
  - {name: secure, protocol: HTTPS, hostname: web.test, tls: {cert: @cert@, key: @key@},
     routes: [{backends: [{host: @origin@}]}]}
  - {name: ended, protocol: TLS, hostname: ended.test, tls: {cert: @cert@, key: @key@},
     tcpRoutes: [{backends: [{host: @origin@}]}]}
  - {name: passed, protocol: TLS, hostname: passed.test, tcpRoutes: [{backends: [{host: @origin@}]}]}
"""
# A list of addresses is a list of networks.
LISTED = ("{allow: '[cidr(\"127.0.0.1/32\"), cidr(\"::1/128\"), cidr(\"10.0.0.0/8\")]"
          ".exists(n, n.containsIP(source.address))'}")
GOOD, BAD = "127.0.0.1", "127.0.0.5"
REASON = "network_authorization"


def stage(rules, config=""):
    leaf = Authority().issue("web.test")
    backend = Backend()
    text = PORTS % rules + config
    return Gateway(text, origin=backend, workers=1, cert=leaf.cert, key=leaf.key), backend


def enters(gateway, backend, port="port", source=GOOD):
    client = gateway.client(port, source=source).request("GET", "/x")
    upstream = backend.accept()
    eq(upstream.read_request().target, "/x", "what reaches the backend")
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "status")
    upstream.close()
    client.close()


def is_turned_away(gateway, port, source, data=b""):
    """Without a byte, whether the client speaks first or not."""
    try:
        client = gateway.client(port, source=source).send(data)
    except ConnectionError:
        return
    eq(client.expect_end()[1], b"", f"bytes on {port}")
    client.close()


@test("a connection that the rules refuse ends without a byte on every kind of port; log, history and metric "
      "have it, and no backend is dialled")
def every_port():
    for rules in (LISTED, "{deny: 'source.address == \"127.0.0.5\"'}",
                  "{require: '!cidr(\"127.0.0.5/32\").containsIP(source.address)'}",
                  "{deny: 'cidr(\"::ffff:127.0.0.5/128\").containsIP(source.rawAddress)'}"):
        gateway, backend = stage(rules)
        is_turned_away(gateway, "port", BAD)
        is_turned_away(gateway, "tcp", BAD)
        is_turned_away(gateway, "tls", BAD, Play("passed.test").hello)
        for name in ("web.test", "ended.test"):
            tls.refused(("127.0.0.1", gateway.ports["tls"]), None, name, source=BAD)
        backend.expect_no_connection(0.1)
        lines = gateway.wait_log(lambda line: line["close_reason"] == REASON, 5)
        for line in lines:
            check("authorization failed (networkAuthorization of frontend/networkAuthorization)"
                  in line["error"] and line["src.addr"].startswith(BAD), str(line))
        history = gateway.admin_json("/streams?history=1")
        eq([entry["close_reason"] for entry in history], [REASON] * 5, "history")
        eq(gateway.metrics()("headgate_policy_refusals_total", policy="networkAuthorization",
                             rule="frontend/networkAuthorization"), 5, "refusals")
        enters(gateway, backend)
        enters(gateway, backend, "tcp")
        gateway.stop()


TRUSTING = "config: {forwarded: {trusted: ['127.0.0.0/8', '::1/128']}}\n"


def status_of(gateway, forwarded, source=GOOD):
    return gateway.client(source=source).request("GET", "/x", headers=forwarded).response().status


@test("behind a trusted proxy each request is decided by its client, in whatever form it is named")
def behind_a_proxy():
    rules = "{deny: 'cidr(\"203.0.113.0/24\").containsIP(source.address)'}, " \
            "{deny: 'cidr(\"2001:db8::/32\").containsIP(source.address)'}, " \
            "{deny: 'cidr(\"fe80::/10\").containsIP(source.address)'}"
    gateway, backend = stage(rules, TRUSTING)
    for named in (["203.0.113.9"], ["8.8.8.8, 203.0.113.9"], ["203.0.113.9, 127.0.0.9"],
                  ["8.8.8.8", "203.0.113.9"], ["::ffff:203.0.113.9"], ["::FFFF:cb00:7109"],
                  ["203.0.113.9:4711"], ["[::ffff:203.0.113.9]:4711"], ["8.8.8.8 ,203.0.113.9"],
                  ["2001:DB8::1"], ["[2001:db8::1]"], ["[2001:db8::1]:80"], ["2001:db8:0:0::1"],
                  ["fe80::1%eth0"], ["[fe80::1%25eth0]:80"], ["fe80::1%1"]):
        fields = [("X-Forwarded-For", value) for value in named]
        eq(status_of(gateway, fields), 403, str(named))
        eq(fetch2(gateway.port, "/x", extra=[("x-forwarded-for", value) for value in named]).status, 403,
           f"HTTP/2 {named}")
    backend.expect_no_connection(0.1)
    line = gateway.wait_log(lambda line: line["close_reason"] == REASON, 2)[-1]
    eq((line["http.status"], line["reason"]), ("403", "Authorization"), "of a request")
    # A stranger does not choose its address.
    gateway, backend = stage(LISTED, "config: {forwarded: {trusted: ['127.0.0.5/32']}}\n")
    is_turned_away(gateway, "port", "127.0.0.6",
                   b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n")
    eq(status_of(gateway, [("X-Forwarded-For", "8.8.8.8")], BAD), 403, "a client of the proxy")
    eq(status_of(gateway, [], BAD), 403, "the proxy itself")
    backend.expect_no_connection(0.1)
    client = gateway.client(source=BAD).request("GET", "/x", headers=[("X-Forwarded-For", "10.1.1.1")])
    backend.accept().respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "a listed client of the proxy")


@test("IPv6 and IPv4-mapped clients are recognized, and a changed rule counts for the next request")
def mapped_and_reload():
    gateway, _ = stage("{deny: 'source.address == \"127.0.0.1\"'}")
    for target in (("127.0.0.1", gateway.port), ("::ffff:127.0.0.1", gateway.port)):
        try:
            eq(Raw(target).expect_end()[1], b"", str(target))
        except ConnectionError:
            pass
    gateway.stop()
    rule = "{deny: 'source.address == \"%s\"'}"
    gateway, backend = stage(rule % "::1")
    client = gateway.client()
    enters(gateway, backend)
    gateway.reload(PORTS % rule % GOOD)
    eq(client.request("GET", "/x").response().status, 403, "a connection from before")
    is_turned_away(gateway, "port", GOOD)


@test("a rule sees nothing that does not exist when a connection is accepted, and must be a condition")
def loading():
    for rule, words in (("request.path == \"/\"", "for a connection"),
                        ("jwt.sub == \"a\"", "for a connection"),
                        ("source.adress == \"1.1.1.1\"", "source.address"), ("source.port", "condition"),
                        ("request.headers.host == \"a\"", "for a connection"), ("", "empty"),
                        ("cidr(\"10.0.0.0/33\").containsIP(source.address)", "10.0.0.0/33"),
                        ("source.port > 1023 && destination.hostname == \"a\"", None),
                        ("source.subjectCn == \"a\" || \"b\" in source.subjectAltNames", None)):
        text = PORTS % f"{{require: '{rule}'}}"
        leaf = Authority().issue("web.test")
        status, _, errors = validate(text, origin="a:1", cert=leaf.cert, key=leaf.key, tcp="1", tls="2")
        eq(status == 0, words is None, errors)
        check(not words or words in errors, f"{rule}: {errors}")
    status, _, errors = validate("frontendPolicies: {networkAuthorization: {rules: []}}\nbinds: []\n")
    check(status != 0 and "nothing would be refused" in errors, errors)
    status, _, errors = validate("""
frontendPolicies: {networkAuthorization: {rules: ['source.port > 1']}}
binds:
- port: 1
  listeners:
  - {name: a, hostname: a.test, routes: []}
  - {name: b, hostname: b.test, namespace: elsewhere, routes: []}
""")
    check(status != 0 and "does not guard this listener" in errors, errors)


MUTUAL = """
frontendPolicies:
  networkAuthorization:
    rules:
    - require: 'source.subjectCn == "front" && "front.test" in source.subjectAltNames'
    - require: 'destination.hostname == "web.test" && destination.port == @port@'
binds:
- port: @port@
  listeners:
  - {protocol: HTTPS, tls: {cert: @cert@, key: @key@, root: @root@, clientAuth: optional},
     routes: [{backends: [{host: @origin@}]}]}
"""


@test("rules see the names of the verified client certificate and the server name, before the first request")
def certificates():
    servers, people, strangers = Authority("servers"), Authority("people"), Authority("strangers")
    leaf = servers.issue("web.test", "other.test")
    gateway = Gateway(MUTUAL, origin=Origin(), cert=leaf.cert, key=leaf.key, root=people.cert)
    good = people.issue("front.test", cn="front", client=True)
    client = tls.Tls(gateway.port, servers, "web.test", identity=good)
    eq(client.get("/get").status, 200, "the right certificate")
    for name, identity in (("web.test", None), ("other.test", good),
                           ("web.test", people.issue("front.test", cn="back", client=True)),
                           ("web.test", people.issue("back.test", cn="front", client=True)),
                           ("web.test", strangers.issue("front.test", cn="front", client=True))):
        tls.refused(gateway.port, servers, name, identity=identity)
    gateway.wait_log(lambda line: line["close_reason"] == REASON, 4)


LISTENERS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: any
  listeners:
  - {name: http, port: @port@, protocol: HTTP, hostname: a.test}
  - {name: other, port: @port@, protocol: HTTP, hostname: b.test}
  - {name: tcp, port: @tcp@, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: tcp, namespace: ns}
spec: {parentRefs: [{name: gw, sectionName: tcp}], rules: [{backendRefs: [{name: svc, port: 80}]}]}
---""" + ROUTE + "  - backendRefs: [{name: svc, port: 80}]\n---" + SERVICE
POLICY = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %s, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw%s}]
  frontend: {networkAuthorization: {action: %s, policy: {matchExpressions: [%s]}}}
---"""
FROM = "'source.address == \"%s\"'"


def manifests(*policies):
    backend = Backend()
    return Gateway(LISTENERS + "".join(POLICY % policy for policy in policies), origin_port=backend.port,
                   workers=1), backend


def host_status(gateway, host, source):
    return gateway.client(source=source).request("GET", "/x", host=host).response().status


@test("manifests: the rules of a Gateway and of its listeners add up, a listener's only for what it serves")
def levels():
    gateway, backend = manifests(("all", "", "Deny", FROM % BAD),
                                 ("one", ", sectionName: other", "Deny", FROM % "127.0.0.6"))
    is_turned_away(gateway, "tcp", BAD)
    eq(host_status(gateway, "a.test", BAD), 403, "its request, because the listeners of the port differ")
    eq(host_status(gateway, "b.test", "127.0.0.6"), 403, "the listener's own rule")
    backend.expect_no_connection(0.1)
    client = gateway.client(source="127.0.0.6").request("GET", "/x", host="a.test")
    backend.accept().respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "the other listener")
    dump = gateway.config_dump()
    policy = next(p for p in dump["policies"] if "frontend-network-authz" in p["key"] and "one" in p["key"])
    eq(policy["policy"]["frontend"], {"networkAuthorization": {"rules": [
        {"deny": "source.address == \"127.0.0.6\""}]}}, "config_dump")
    gateway.stop()
    gateway, backend = manifests(("allow", "", "Allow", FROM % GOOD + ", 'source.port > 0'"))
    is_turned_away(gateway, "port", BAD)
    enters(gateway, backend, "tcp")


@test("a networkAuthorization of manifests that is wrong leaves nothing open")
def wrong_manifests():
    for action, expressions in (("Denny", FROM % BAD), ("Deny", "'nonsense('"),
                                ("Deny", "'request.path == \"/\"'"),
                                ("Deny", ""), ("Deny", "'source.address'")):
        gateway, backend = manifests(("p", "", action, expressions))
        eq(host_status(gateway, "a.test", GOOD), 500, f"{action} {expressions}")
        is_turned_away(gateway, "tcp", GOOD)
        backend.expect_no_connection(0)
        gateway.stop()
