# SPDX-License-Identifier: Apache-2.0
"""Rules that refuse: no spelling of what they read, no missing or repeated part, leads past them."""
import json
import select

from credentials import Issuer, bearer, token, written
from hg import *
from hg.framework import Failure
from hg.h2 import H2Client
from manifests import SERVICE

RULES = {
    "path": '[{deny: \'request.path == "/admin" || request.path.startsWith("/admin/")\'}]',
    "header": "[{require: 'request.headers[\"x-role\"] == \"admin\"'}]",
    "guest": "[{require: 'has(request.headers[\"x-role\"]) && request.headers[\"x-role\"] != \"guest\"'}]",
    "method": "[{allow: 'request.method == \"GET\"'}]",
    "host": "[{require: 'request.host == \"a.test\"'}]",
    "network": "[{require: 'cidr(\"10.0.0.0/8\").containsIP(source.address)'}]",
    "loopback": "[{deny: 'cidr(\"127.0.0.0/8\").containsIP(source.address)'}]",
    "equal": "[{deny: 'source.address == \"::ffff:127.0.0.1\"'}]",
    "cookie": "[{require: 'request.headers.cookie(\"role\") == \"admin\"'}]",
    "query": "[{deny: '\"1\" in request.pathAndQuery.query(\"debug\")'}]",
    "limit": "[{deny: 'request.headers[\"x-long\"].split(\",\").exists(x, x == \"bad\")'}]",
    "never": "[{allow: 'false'}]",
    "claim": "[{require: 'jwt.team == \"a\"'}, {require: '\"ops\" in jwt.groups'}]",
}


def config(more=""):
    issuer = Issuer()
    key = issuer.add("one")
    policies = {name: f"authorization: {{rules: {rules}}}" for name, rules in RULES.items()}
    path = written("keys.json", json.dumps({"keys": issuer.keys}))
    policies["claim"] += f", jwtAuth: {{mode: permissive, issuer: 'https://issuer', jwks: {{file: {path}}}}}"
    text = "binds:" + "".join(f"""
- port: @{name}@
  listeners:
  - routes:
    - name: {name}
      policies: {{{policy}}}
      backends: [{{host: @origin@}}]""" for name, policy in policies.items())
    return text + "\n" + more, key


class Rig:
    def __init__(self, more=""):
        text, self.key = config(more)
        self.backend = Backend()
        self.gateway = Gateway(text, origin=self.backend, workers=1)

    def send(self, port, data):
        """The status, or "backend" if the request went on."""
        client = self.gateway.client(port)
        client.send(data)
        select.select([client.socket, self.backend.socket], [], [], 20)
        if select.select([self.backend.socket], [], [], 0)[0]:
            upstream = self.backend.accept()
            upstream.read_request()
            upstream.respond(200, [("Connection", "close")])
            client.response()
            status = "backend"
        else:
            status = client.response("HEAD" if data.startswith(b"HEAD") else "GET").status
        client.close()
        return status

    def send_2(self, port, fields):
        client = H2Client(self.gateway.ports[port])
        try:
            return client.response(client.raw_request(fields)).status
        except Failure as error:
            check("was reset" in str(error) or client.goaways, str(error))
            return 400
        finally:
            client.close()


def head(path="/x", headers=(), method="GET", host="a.test", version="1.1"):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/{version}\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1")


def pseudo(path="/x", method="GET", host="a.test", extra=()):
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", host), *extra]


REFUSED = (400, 403, 405, 501)


@test("a rule sees the path that the backend would get, however it is written", timeout=60)
def paths():
    rig = Rig()
    for path in ("/admin", "/admin/", "/admin/x", "//admin", "///admin//x", "/./admin", "/x/../admin",
                 "/%61dmin",
                 "/%61%64%6D%69%6e", "/x/%2e%2e/admin", "/x/.%2E/admin", "/../admin", "/admin%2fx",
                 "/admin%5cx",
                 "/admin\\x", "/x/..//admin", "/admin/./x", "/admin?x", "/admin/../admin", "/%2e/admin",
                 "/admin/%2e", "/admin//", "/admin?/../x", "/admin#x"):
        check(rig.send("path", head(path)) in REFUSED, path)
        check(rig.send("path", head("http://a.test" + path)) in REFUSED, f"absolute {path}")
        check(rig.send("path", head(path, [("X-Original-URL", "/x"), ("X-Rewrite-URL", "/x")])) in REFUSED,
              path)
        check(rig.send_2("path", pseudo(path)) in REFUSED, f"HTTP/2 {path}")
    eq(rig.send("path", head("/x/admin")), "backend", "another path")


@test("a rule that requires a header refuses it missing, repeated, in another spelling, or too long",
      timeout=60)
def headers():
    rig = Rig()
    values = ["", "Admin", "ADMIN", "admin,", "admin, admin", "admin;", '"admin"', "adm%69n", "admin\xa0",
              "adm in",
              "\xadadmin", "admin\tx", "xadmin", "admin\x7f", "a" * 9000, "guest, admin", "admin, guest"]
    cases = [[]] + [[("X-Role", value)] for value in values]
    cases += [[("X-Role", "admin"), ("X-Role", "admin")], [("X-Role", "admin"), ("x-role", "guest")],
              [("X-Role", "guest"), ("X-Role", "admin")], [("X-Role", ""), ("X-Role", "admin")],
              [("X_Role", "admin")], [("X-Roles", "admin")], [("Cookie", "x-role=admin")]]
    for fields in cases:
        check(rig.send("header", head(headers=fields)) in (400, 403, 431), fields)
        extra = [(name.lower(), value.encode("latin-1")) for name, value in fields]
        check(rig.send_2("header", pseudo(extra=extra)) in (400, 403, 431), f"HTTP/2 {fields}")
    check(rig.send("guest", head()) == 403, "require with has(), without the header")
    for name in ("X-Role", "x-role", "X-ROLE"):
        eq(rig.send("guest", head(headers=[(name, "guest")])), 403, name)
        eq(rig.send("header", head(headers=[(name, "admin")])), "backend", name)
    for cookies in ([], ["role=guest"], ["role=Admin"], ["role=admin; role=guest"],
                    ["role=guest; role=admin"],
                    ["role=guest", "role=admin"], ["xrole=admin"], ["role=\"admin"], ["a=b, role=admin"]):
        fields = [("Cookie", cookie) for cookie in cookies]
        status = rig.send("cookie", head(headers=fields))
        # Of two cookies the first one counts, as for most backends: a client writes both.
        check(status == 403 or cookies == ["role=admin; role=guest"], f"{cookies}: {status}")


@test("a rule about the method or the host sees what counts, and neither a header nor the other host")
def methods_and_hosts():
    rig = Rig()
    for method in ("HEAD", "OPTIONS", "POST", "DELETE", "get", "TRACE", "PROPFIND", "CONNECT"):
        status = rig.send("method", head("a.test:80" if method == "CONNECT" else "/x", method=method))
        check(status in REFUSED, f"{method}: {status}")
        check(rig.send_2("method", pseudo(method=method)) in REFUSED, f"HTTP/2 {method}")
        override = [("X-HTTP-Method-Override", "GET"), ("X-HTTP-Method", "GET"), ("X-Method-Override", "GET")]
        check(rig.send("method", head(method="POST", headers=override)) == 403, "an override")
    for host in ("b.test", "a.test.b.test", "a.test:81x", "xa.test", "", "a.test, b.test", "b.test#a.test",
                 "b.test/a.test", "b.test@a.test", "a.test@b.test"):
        check(rig.send("host", head(host=host)) in REFUSED, f"host {host}")
        check(rig.send_2("host", pseudo(host=host)) in REFUSED, f"HTTP/2, host {host}")
    eq(rig.send("host", head("http://b.test/x")) in REFUSED, True, "the absolute form wins")
    forwarded = [("X-Forwarded-Host", "a.test"), ("Forwarded", "host=a.test")]
    eq(rig.send("host", head(host="b.test", headers=forwarded)), 403, "a forwarded host")
    check(rig.send("host", b"GET /x HTTP/1.0\r\n\r\n") in REFUSED, "none")
    check(rig.send("host", b"GET /x HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n") == 400, "two")
    check(rig.send_2("host", pseudo(host="b.test", extra=[("host", "a.test")])) in REFUSED, "both in HTTP/2")
    eq(rig.send("host", head()), "backend", "the right one")
    eq(rig.send("never", head()), 403, "rules that allow, and none holds")


@test("an address that a client claims counts for nothing, and of a trusted proxy the rightmost counts",
      timeout=60)
def addresses():
    rig = Rig()
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP")
    for name in names:
        for value in ("10.1.1.1", "for=10.1.1.1", "127.0.0.1, 10.1.1.1", "::ffff:10.1.1.1"):
            eq(rig.send("network", head(headers=[(name, value)])), 403, f"{name}: {value}")
            eq(rig.send("loopback", head(headers=[(name, value)])), 403, f"{name}: {value}")
    for port in ("loopback", "equal"):
        eq(rig.send(port, head()), 403, f"IPv4 on a socket of IPv6: {port}")
        eq(rig.send_2(port, pseudo()), 403, f"HTTP/2: {port}")
    rig = Rig("config: {forwarded: {trusted: [127.0.0.0/8, 192.0.2.0/24]}}\n")
    for value in ("8.8.8.8", "10.1.1.1, 8.8.8.8", "10.1.1.1, 8.8.8.8, 192.0.2.7", "", ",", "unknown",
                  "_hidden", "10",
                  "10.1.1", "10.1.1.1.1", "010.1.1.1", "0x0a.1.1.1", "167837953", "10.1.1.1/8", "10.1.1.256",
                  "10.1.1.1 8.8.8.8", "10.1.1.1;8.8.8.8", "::10.1.1.1", "64:ff9b::10.1.1.1",
                  "10.1.1.1,8.8.8.8,",
                  "10.1.1.1, x", "10.1.1.1, unknown", "a" * 5000, "8.8.8.8, " * 300, "::ffff:8.8.8.8",
                  "fe80::1%lo"):
        check(rig.send("network", head(headers=[("X-Forwarded-For", value)])) in REFUSED, value[:40])
    two = [("X-Forwarded-For", "10.1.1.1"), ("X-Forwarded-For", "8.8.8.8")]
    eq(rig.send("network", head(headers=two)), 403, "the last field is the nearest")
    for value in ("10.1.1.1", "8.8.8.8, 10.1.1.1", "10.1.1.1, 192.0.2.7", "::ffff:10.1.1.1",
                  "::FFFF:0a01:0101"):
        eq(rig.send("network", head(headers=[("X-Forwarded-For", value)])), "backend", value)
    for value in ("127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "", "unknown"):
        eq(rig.send("loopback", head(headers=[("X-Forwarded-For", value)])), 403, value)


@test("rules about claims refuse tokens without them, of another type, and those that are not valid",
      timeout=60)
def claims():
    rig = Rig()
    good = {"team": "a", "groups": ["dev", "ops"]}
    for wrong in ({"team": None}, {"team": "A"}, {"team": ["a"]}, {"team": {"a": 1}}, {"team": 1},
                  {"team": True},
                  {"team": "a\0"}, {"groups": None}, {"groups": []}, {"groups": "ops"}, {"groups": [["ops"]]},
                  {"groups": {"x": "ops"}}, {"groups": ["Ops"]}, {"groups": 1}, {"groups": "dev ops"}):
        text = token(rig.key, "one", **{**good, **wrong})
        eq(rig.send("claim", head(headers=bearer(text))), 403, str(wrong))
    right = token(rig.key, "one", **good)
    eq(rig.send("claim", head()), 403, "no token")
    # The policy lets wrong tokens pass, without their claims.
    for text in (right[:-4] + "AAAA", token(rig.key, "one", exp=1, **good), token(rig.key, "two", **good)):
        eq(rig.send("claim", head(headers=bearer(text))), 403, "a token that is not valid")
    eq(rig.send("claim", head(headers=bearer(right))), "backend", "the right one")


@test("a rule that gives up at a limit refuses, also if it would deny nothing")
def limits():
    rig = Rig()
    eq(rig.send("limit", head(headers=[("X-Long", "a,bad")])), 403, "what it denies")
    eq(rig.send("limit", head(headers=[("X-Long", "a,b")])), "backend", "what it does not deny")
    for value in ("," * 20000, "a," * 10000 + "bad", "x" * 9000 + ",bad"):
        check(rig.send("limit", head(headers=[("X-Long", value)])) in (403, 431), f"{len(value)} bytes")
    for path in ("/x?debug=1", "/x?debug=0&debug=1", "/x?debug=%31", "/x?%64ebug=1", "/x?a&debug=1&",
                 "/x?debug=1#y"):
        check(rig.send("query", head(path)) in REFUSED, path)
        check(rig.send_2("query", pseudo(path)) in REFUSED, path)
    eq(rig.send("query", head("/x?debug=10")), "backend", "another value")


LEVELS = """
policies:
- {name: {name: g, namespace: default}, target: {gateway: {}}, policy: {authorization: {rules: [%s]}}}
- {name: {name: r, namespace: default}, target: {route: {name: one}}, policy: {authorization: {rules: [%s]}}}
binds:
- port: @port@
  listeners:
  - policies: {authorization: {rules: [%s]}}
    routes:
    - name: one
      policies: {authorization: {rules: [%s]}}
      backends: [{host: @origin@}]
"""


@test("rules of all levels count: a deny or a require at any of them refuses, whatever the others allow")
def levels():
    yes, no = "{allow: 'true'}", "{allow: 'false'}"
    backend = Backend()
    gateway = None
    deny, require = "{deny: 'true'}", "{require: 'false'}"
    for at in range(4):
        for refusing in (deny, require):
            rules = [yes] * 4
            rules[at] = refusing
            text = LEVELS % tuple(rules)
            if gateway:
                gateway.reload(text)
            else:
                gateway = Gateway(text, origin=backend, workers=1)
            response = gateway.fetch("/x")
            eq((response.status, response.text), (403, "authorization failed"), f"{refusing} at level {at}")
    gateway.reload(LEVELS % (no, no, no, no))
    eq(gateway.fetch("/x").status, 403, "nothing allows")
    # The listener decides before the route is chosen: both must allow. Gateway and route are alternatives.
    for rules in ((yes, yes, no, yes), (no, no, yes, no)):
        gateway.reload(LEVELS % rules)
        eq(gateway.fetch("/x").status, 403, f"{rules}")
    backend.expect_no_connection(0.1)
    for rules in ((no, no, yes, yes), (yes, no, yes, no)):
        gateway.reload(LEVELS % rules)
        client = gateway.client().request("GET", "/x")
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(200, [("Connection", "close")])
        eq(client.response().status, 200, f"{rules}")


@test("rules that could not do what they say are refused at load, and a reload leaves the old in force")
def broken_rules():
    text = """
binds:
- port: @port@
  listeners:
  - routes:
    - {name: one, policies: {authorization: %s}, backends: [{host: @origin@}]}
"""
    backend = Backend()
    gateway = Gateway(text % "{rules: [{deny: 'true'}]}", origin=backend, workers=1)
    for rules in ("{rules: [{deny: 'request.nothing == 1'}]}", "{rules: [{deny: 'response.code == 200'}]}",
                  "{rules: [{deny: 'request.path'}]}", "{rules: [{deny: '\"true\"'}]}",
                  "{rules: [{deny: ''}]}",
                  "{rules: ['']}", "{rules: [{}]}", "{rules: [{deny: 'true', allow: 'true'}]}",
                  "{rules: [{Deny: 'true'}]}",
                  "{rules: {deny: 'true'}}", "{rules: [[]]}", "{rules: [null]}", "{rule: [{deny: 'true'}]}",
                  "{}",
                  "{rules: [{deny: 'request.path ==='}]}",
                  "{rules: [{deny: 'cidr(\"10.0.0.0/33\").containsIP(source.address)'}]}",
                  "{rules: [{deny: 'request.path.matches(\"(\")'}]}",
                  "{rules: [{deny: 'mcp.tool.name == \"x\"'}]}",
                  "{rules: [{deny: '%s'}]}" % ("!" * 5000 + "true"), "[]"):
        status, _, errors = validate(text % rules, origin="127.0.0.1:1")
        check(status != 0 and "authorization" in errors, f"{rules[:80]}: {status} {errors[-300:]}")
        gateway.reload(text % rules)
        eq(gateway.fetch("/x").status, 403, f"after {rules[:80]}")
    backend.expect_no_connection(0.1)


@test("in manifests all expressions of one policy must hold, for each action, on a Gateway and on a route",
      timeout=60)
def manifests():
    objects = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec: {gatewayClassName: any, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: svc, port: 80}]}]}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s}]
  traffic: {%sauthorization: {action: %s, policy: {matchExpressions: %s}}}
---""" + SERVICE
    gateway, origin = None, Origin()
    path, method = 'request.path.startsWith("/get")', 'request.method == "GET"'
    for target, phase in (("Gateway, name: gw", ""), ("Gateway, name: gw", "phase: PreRouting, "),
                          ("HTTPRoute, name: route", "")):
        for action, both, one in (("Allow", 200, 403), ("Deny", 403, 200), ("Require", 200, 403)):
            text = objects % (target, phase, action, json.dumps([path, method]))
            if gateway:
                eq(gateway.reload(text)["errors"], [], "errors")
            else:
                gateway = Gateway(text, origin_port=origin.port)
            eq(gateway.fetch("/get").status, both, f"{target} {phase} {action}, both hold")
            eq(gateway.fetch("/anything").status, one, f"{target} {phase} {action}, one holds")
            eq(gateway.fetch("/%67et").status, both, f"{target} {phase} {action}, encoded")


GROUP = """
gateways: {default: {port: @port@}}
routes:
- policies:
    authorization: {rules: [%s]}
    csrf: {}
  backends: [{routeGroup: team}]
routeGroups:
- name: team
  routes:
  - policies: {authorization: {rules: [%s]}, directResponse: {status: 200, body: in}%s}
"""


@test("rules of a child route add to its parent's; another policy of a child replaces that of its parent")
def group():
    yes, no = "{allow: 'true'}", "{allow: 'false'}"
    gateway = Gateway(GROUP % ("{deny: 'true'}", yes, ""), workers=1)
    eq(gateway.fetch("/x").status, 403, "the parent denies")
    for parent, child, status in (("{require: 'false'}", yes, 403), (yes, "{deny: 'true'}", 403),
                                  (no, no, 403), (no, yes, 200), (yes, no, 200)):
        gateway.reload(GROUP % (parent, child, ""))
        eq(gateway.fetch("/x").status, status, f"{parent} above {child}")
    evil = [("Origin", "https://evil.test")]
    eq(gateway.fetch("/x", method="POST", headers=evil).status, 403, "the parent's csrf")
    gateway.reload(GROUP % (yes, yes, ", csrf: {additionalOrigins: ['https://evil.test']}"))
    eq(gateway.fetch("/x", method="POST", headers=evil).status, 200, "the child's csrf")
