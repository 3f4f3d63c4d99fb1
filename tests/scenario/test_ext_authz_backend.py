# SPDX-License-Identifier: Apache-2.0
"""extAuthz of a backend: a service decides about requests that are for it, whatever route leads there."""
from hg import *
from judge import Judge
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends: [{%s}]
backends:
- {name: b, host: @origin@%s}
%s
"""
ATTACHED = """
policies:
- name: {name: p, namespace: default}
  target: {backend: {backend: {name: b}}}
  policy: {%s}
"""
LISTED = "protocol: {http: {includeResponseHeaders: [x-user]}}"


def policy_of(judge, more=LISTED, deadline="60s"):
    return "extAuthz: {host: '%s', policies: {http: {requestTimeout: %s}}, %s}" % (
        judge.address, deadline, more)


def places(policy):
    yield "at the reference", CONFIG % ("host: @origin@, policies: {" + policy + "}", "", "")
    yield "in the backend", CONFIG % ("backend: b", ", policies: {" + policy + "}", "")
    yield "attached", CONFIG % ("backend: b", "", ATTACHED % policy)


def decides(request):
    if request.path == "/no":
        return 401, [("X-Why", "no")], b"who?"
    return 200, [("X-User", "alice")] if request.path == "/known" else [], b""


@test("the service of a backend refuses with its own answer, wherever it is written, before a connection is "
      "made; whom it admits has its headers, never those of a client")
def every_place():
    for place, text in places(policy_of(judge := Judge(decides))):
        gateway, backend = acted(text)
        response = gateway.client().request("GET", "/no").response()
        eq((response.status, response.text, response.header("x-why")), (401, "who?", "no"), place)
        backend.expect_no_connection(0.1)
        eq(gateway.wait_log()["close_reason"], "ext_authz", place)
        for path, user in (("/known", "alice"), ("/other", None)):
            spoof = [("X-User", "root"), ("x_user", "root"), ("Connection", "close, x-user")]
            client = gateway.client().request("GET", path, headers=spoof)
            upstream = backend.accept()
            head = upstream.read_request()
            eq((head.header("x-user"), head.header("x_user")), (user, None), f"{place}: {path}")
            upstream.respond(200, {"Connection": "close"}, b"x" * 300000)
            eq(client.response().status, 200, place)
        check("pipe" in gateway.wait_log(lambda r: r["http.path"] == "/other")["lane"], "the lane")
        gateway.stop()
    eq(len(judge.asked), 9, "calls")


@test("a service of a backend that is dead, or late, refuses; a body that it gets reaches the backend")
def closed():
    judge = Judge(lambda request: None)
    late = policy_of(judge, "protocol: {http: {}}", "300ms")
    gateway, backend = acted(CONFIG % ("host: @origin@, policies: {" + late + "}", "", ""))
    response = gateway.fetch("/")
    eq((response.status, response.text), (403, "external authorization failed"), "a late service")
    eq(gateway.wait_log()["close_reason"], "ext_authz_failed", "log")
    judge = Judge(lambda request: (200, [], b""))
    body = policy_of(judge, "protocol: {http: {}}, includeRequestBody: {maxRequestBytes: 300000}")
    gateway.reload(CONFIG % ("host: @origin@, policies: {" + body + "}", "", ""))
    big = bytes(i % 251 for i in range(300000))
    client = gateway.client().request("POST", "/", body=big)
    upstream = backend.accept()
    check(upstream.read_request().body == big == judge.asked[-1].body, "other bytes")
    upstream.respond(200, {"Connection": "close"})
    eq(client.response().status, 200, "admitted")
    judge.cleanup()
    eq(gateway.fetch("/").status, 403, "a dead service")
    backend.expect_no_connection(0.1)


BOTH = """
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {%s}
      backends: [{host: @origin@, policies: {%s, authorization: {rules: ['extauthz.from == "second"']}}}]
"""


@test("the service of the route is asked, then, after a delay, that of the backend, each once; rules read "
      "what it said")
def both():
    said = "protocol: {http: {metadata: {from: '\"%s\"'}}}"
    first, second = (Judge(lambda request: (200, [], b"")) for _ in range(2))
    of_route = policy_of(first, said % "first") + ", delay: {duration: 1ms}"
    gateway, backend = acted(BOTH % (of_route, policy_of(second, said % "second")))
    client = gateway.client().request("GET", "/")
    backend.accept().respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "admitted by both")
    second.answer = lambda request: (403, [], b"second")
    eq(gateway.fetch("/").text, "second", "refused by the second")
    eq((len(first.asked), len(second.asked)), (2, 2), "calls")
    first.answer = lambda request: (403, [], b"first")
    eq(gateway.fetch("/").text, "first", "refused by the first")
    eq(len(second.asked), 2, "calls")
    backend.expect_no_connection(0.1)


MANY = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {retry: {attempts: 1, codes: [503]}}
      backends:
      - {host: @origin@, weight: 1000000, policies: {%s}}
      - {host: @other@, weight: 1, policies: {%s}}
"""


@test("a failed request moves only to a backend with the same policy, and is not asked about again")
def other_backends():
    judge = Judge(lambda request: (200, [("X-User", "alice")], b""))
    policy = policy_of(judge)
    for first, second in ((policy, ""), ("", policy), (policy, policy)):
        other = Backend()
        gateway, backend = acted(MANY % (first, second), other=other)
        client = gateway.client().request("GET", "/x")
        for status in (503, 200):
            backend.accept().respond(status, [("Connection", "close")])
        eq(client.response().status, 200, "the same backend")
        gateway.stop()
    eq(len(judge.asked), 2, "calls")
    other = Backend()
    gateway = Gateway(GATEWAY + ROUTE + TWO + SERVICE + SERVICE.replace("svc", "other")
                      .replace("@origin_port@", "@other_port@"), origin_port=backend.port,
                      other_port=other.port, judge=judge.address, workers=1)
    client = gateway.client().request("GET", "/x", headers=[("X-User", "root")])
    backend.accept().respond(503, [("Connection", "close")])
    upstream = other.accept()
    eq(upstream.read_request().header("x-user"), "alice", "at the other backend")
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "the other backend")
    eq(len(judge.asked), 3, "calls")


TWO = """
  - retry: {attempts: 1, codes: [503]}
    backendRefs: [{name: svc, port: 80, weight: 1000000}, {name: other, port: 80, weight: 1}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: '', kind: Service, name: svc}, {group: '', kind: Service, name: other}]
  backend: {extAuth: {url: 'http://@judge@', http: {allowedResponseHeaders: [x-user]}}}
---"""


@test("a file whose backend has a service that would not be asked is refused; a manifest without it is not "
      "served")
def loading():
    policy = "extAuthz: {host: 'a:1'}"
    backends = "backends: [{name: b, host: 'a:1', policies: {%s}}]\n" % policy
    for text, words in (
            ("binds: [{port: 1, listeners: [{protocol: TCP, tcpRoutes: [{backends: [{backend: b}]}]}]}]\n"
             + backends, "extAuthz of backend \"b\" refuses requests, and would not apply to this route"),
            ("binds: [{port: 1, listeners: [{routes: [{policies: {extAuthz: {backend: b}}, "
             "backends: [{host: 'a:1'}]}]}]}]\n" + backends, "not apply to what the gateway itself sends"),
            ("binds: [{port: 1, listeners: [{routes: [{backends: [{mcp: {targets: [{name: t, mcp: "
             "{backend: b, path: /}}]}}]}]}]}]\n" + backends, "target \"t\"")):
        status, _, errors = validate(text)
        check(status != 0 and words in errors, f"{words}: {errors}")
    lost = TWO.replace("url: 'http://@judge@'", "backendRef: {name: none, port: 80}")
    backend = Backend()
    gateway = Gateway(GATEWAY + ROUTE + lost + SERVICE, origin_port=backend.port, workers=1)
    eq(gateway.fetch("/x").status, 500, "without its service")
    backend.expect_no_connection(0.1)
