# SPDX-License-Identifier: Apache-2.0
"""Rules about who may do what: their effects, their levels, and what they can see."""
import base64

from hg import *
from hg.h2 import fetch2
from plays import acted, play

CONFIG = """
policies:
- name: {name: gateway, namespace: default}
  target: {gateway: {}}
  policy: {authorization: {rules: %(gateway)s}}
- name: {name: route, namespace: default}
  target: {route: {name: all}}
  policy: {authorization: {rules: %(route)s}}
binds:
- port: @port@
  listeners:
  - policies: {authorization: {rules: %(listener)s}}
    routes:
    - name: all
      policies: {authorization: {rules: %(inline)s}}
      backends: [{host: @origin@}]
"""
PASS = "['true']"


def config(gateway=PASS, route=PASS, listener=PASS, inline=PASS):
    return CONFIG % {"gateway": gateway, "route": route, "listener": listener, "inline": inline}


@test("the rules of all levels count: each can deny and require, and any of a route can allow")
def levels():
    for level in ("gateway", "route", "listener", "inline"):
        for rule, status in (("{deny: 'request.path == \"/get\"'}", 403),
                             ("{require: 'request.path == \"/x\"'}", 403),
                             ("{deny: 'request.path == \"/x\"'}", 200),
                             ("{require: 'request.path == \"/get\"'}", 200)):
            gateway, backend = play(config(**{level: f"[{rule}]"}))
            response = gateway.fetch("/get")
            eq(response.status, status, f"{rule} of {level}")
            if status == 403:
                eq(response.text, "authorization failed", "body")
                eq(gateway.wait_log()["close_reason"], "authorization", "close_reason")
                eq(gateway.wait_log()["reason"], "Authorization", "reason")
            gateway.stop()
            backend.stop()
    gateway, _ = play(config(inline="['request.path == \"/x\"']"))
    eq(gateway.fetch("/get").status, 200, "one level allows")
    gateway, _ = play(config("[{allow: 'false'}]", "['1 > 2']", PASS, "['request.path == \"/x\"']"))
    eq(gateway.fetch("/get").status, 403, "no level allows")


RULES = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: admin
      matches: [{path: {pathPrefix: /admin}}]
      policies:
        authorization: {rules: ['request.headers["x-role"] == "admin"']}
      backends: [{host: @origin@}]
    - name: staff
      matches: [{path: {pathPrefix: /staff}}]
      policies:
        basicAuth: {mode: optional, htpasswd: "alice:$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt/"}
        apiKey: {mode: optional, keys: [{key: k, metadata: {team: a}}], location: {header: {name: x-key}}}
        authorization: {rules: ['basicAuth.username == "alice"', 'apiKey.team == "a"']}
      backends: [{host: @origin@}]
    - name: near
      matches: [{path: {pathPrefix: /near}}]
      policies:
        authorization: {rules: ['cidr("10.0.0.0/8").containsIP(source.address)']}
      backends: [{host: @origin@}]
config: {forwarded: {trusted: ["127.0.0.1/32"]}}
"""


@test("a request that no rule allows reaches no backend, in any spelling")
def fail_open():
    gateway, backend = acted(RULES)
    for path, headers in (
            ("/admin", []), ("/admin", [("x-role", "user")]), ("/admin", [("x-role", "ADMIN")]),
            ("/admin", [("x-role", "")]), ("/admin", [("x-role", "user"), ("x-role", "admin")]),
            ("/admin", [("x-role", "admin"), ("x-role", "user")]), ("/admin", [("x_role", "admin")]),
            ("//admin/", []), ("/x/../admin", []), ("/%61dmin", []), ("/admin?x-role=admin", []),
            ("/admin", [("x-role", "admin" + "x" * 20000)]), ("/staff", []),
            ("/near", []), ("/near", [("X-Forwarded-For", "10.0.0.1, 8.8.8.8")]),
            ("/near", [("X-Forwarded-For", "nonsense")]), ("/near", [("Forwarded", "for=10.0.0.1")])):
        eq(gateway.fetch(path, headers=headers).status, 403, f"{path} {str(headers)[:80]}")
        extra = [(name.lower(), value) for name, value in headers]
        eq(fetch2(gateway.port, path, extra=extra).status, 403, path)
    backend.expect_no_connection(0.2)
    labels = {"policy": "authorization", "rule": "default/admin"}
    refusals = gateway.metrics()("headgate_policy_refusals_total", **labels)
    check(refusals > 5, "the metric")


@test("rules see headers, users, metadata of keys and the client behind a trusted proxy")
def seen():
    gateway, _ = play(RULES)
    password = base64.b64encode("alice:pa:ss w\u00f6rd".encode()).decode()
    for path, headers in (("/admin", [("X-Role", "admin")]), ("/staff", [("x-key", "k")]),
                          ("/staff", [("Authorization", "Basic " + password)]),
                          ("/near", [("X-Forwarded-For", "8.8.8.8, 10.0.0.1")]),
                          ("/near", [("X-Forwarded-For", "8.8.8.8"),
                                     ("X-Forwarded-For", "10.0.0.1, 127.0.0.1")]),
                          ("/near", [("X-Forwarded-For", "::ffff:10.0.0.1")])):
        eq(gateway.fetch(path, headers=headers).status, 404, f"{path} {headers}")


@test("a rule that is no condition, or reads what does not exist, is refused when it is loaded")
def wrong_rules():
    for rule, words in (("jwt.sub", ""), ("request.path", "write a condition"), ("", "empty"),
                        ("response.code == 200", "response"), ("request.pth == \"/x\"", "request.path"),
                        ("mcp.tool.name == \"x\"", "mcp")):
        status, _, errors = validate(config(inline=f"['{rule}']"), origin="a:1")
        eq(status == 0, rule == "jwt.sub", errors)
        check(words in errors, errors)


POLICY = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %s, namespace: app}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  traffic: {authorization: {action: %s, policy: {matchExpressions: %s}}}
---"""


BASE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: app}
spec: {gatewayClassName: agentgateway, listeners: [{name: http, protocol: HTTP, port: @port@}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: app}
spec:
  parentRefs: [{name: g}]
  rules:
  - filters:
    - {type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /y}}}
---"""


@test("in manifests all expressions of a policy must hold")
def manifests():
    both = "['request.path == \"/a\"', 'request.method == \"GET\"']"
    for action, expected in (("Allow", (302, 403, 403)), ("Deny", (403, 302, 302)),
                             ("Require", (302, 403, 403))):
        gateway = Gateway(BASE + POLICY % ("p", action, both))
        got = tuple(gateway.fetch(path, method=method).status
                    for path, method in (("/a", "GET"), ("/a", "PUT"), ("/b", "GET")))
        eq(got, expected, action)
    deny = POLICY % ("q", "Deny", "['request.path == \"/a\"']")
    gateway = Gateway(BASE + POLICY % ("p", "Allow", both) + deny)
    eq(gateway.fetch("/a").status, 403, "two policies of one level")


TRAFFIC = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: app}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  traffic: {%s}
"""


@test("a policy of manifests that is wrong in any way makes its route answer 500, never open")
def wrong_manifests():
    for policy in ("basicAuthentication: {secretRef: {name: nope}}",
                   "basicAuthentication: {users: ['a:plain']}",
                   "basicAuthentication: {users: ['a:OzJ6/2K4ZAKEY'], mode: Stricked}",
                   "apiKeyAuthentication: {secretSelector: {matchLabels: {a: c}}}",
                   "apiKeyAuthentication: {secretRef: {name: s}, location: {hedder: {}}}",
                   "jwtAuthentication: {providers: []}",
                   "jwtAuthentication: {providers: [{issuer: i, jwks: {inline: '{}'}}]}",
                   "authorization: {action: Deny, policy: {matchExpressions: ['nonsense(']}}",
                   "authorization: {action: Denny, policy: {matchExpressions: ['true']}}",
                   "cors: {allowOrigins: ['*', 'https://a.example']}",
                   "csrf: {additionalOrigins: ['*']}",
                   "rateLimit: {local: [{requests: many, unit: Seconds}]}",
                   "rateLimit: {local: [{tokens: 5, unit: Seconds}]}"):
        gateway = Gateway(BASE + TRAFFIC % policy)
        eq(gateway.fetch("/a").status, 500, policy)
        gateway.stop()
