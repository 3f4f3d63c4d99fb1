# SPDX-License-Identifier: Apache-2.0
"""Rules of a backend: they decide about requests that are for it, whatever route leads there."""
from hg import *
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted

RULES = "authorization: {rules: [%s]}"
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


def places(rules):
    policy = RULES % rules
    yield "at the reference", CONFIG % ("host: @origin@, policies: {" + policy + "}", "", "")
    yield "in the backend", CONFIG % ("backend: b", ", policies: {" + policy + "}", "")
    yield "attached", CONFIG % ("backend: b", "", ATTACHED % policy)


@test("the rules of a backend refuse with 403, wherever they are written, before a connection is made or a "
      "copy is sent")
def every_place():
    for place, text in places("{deny: 'request.path == \"/no\"'}, {require: 'backend.type == \"static\"'}"):
        gateway, backend = acted(text)
        response = gateway.client().request("GET", "/no").response()
        eq((response.status, response.text), (403, "authorization failed"), place)
        backend.expect_no_connection(0.1)
        eq(gateway.wait_log()["close_reason"], "authorization", place)
        client = gateway.client().request("GET", "/yes")
        backend.accept().respond(200, [("Connection", "close")])
        eq(client.response().status, 200, place)
        gateway.stop()


MANY = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {retry: {attempts: 1, codes: [503]}}
      backends:
      - {host: @origin@, weight: 1000000}
      - {host: @other@, weight: 1, policies: {%s}}
"""


@test("a failed request is not repeated to another backend that has rules: they would see a changed request")
def other_backends():
    for policies, status in (("", 200), (RULES % "'true'", 503), (RULES % "'false'", 503)):
        other = Backend()
        gateway, backend = acted(MANY % policies, other=other)
        client = gateway.client().request("GET", "/x")
        backend.accept().respond(503, [("Connection", "close")])
        retry = backend if policies else other
        retry.accept().respond(status, [("Connection", "close")])
        eq(client.response().status, status, policies)
        gateway.stop()


@test("a file whose backend has rules that would refuse nothing is refused")
def loading():
    rules = RULES % "{deny: 'true'}"
    backends = "backends: [{name: b, host: 'a:1', policies: {%s}}]\n" % rules
    for text, words in (
            ("binds: [{port: 1, listeners: [{protocol: TCP, tcpRoutes: [{backends: [{backend: b}]}]}]}]\n"
             + backends, "would not apply to this route"),
            ("binds: [{port: 1, listeners: [{routes: [{policies: {requestMirror: {backend: {backend: b}}}, "
             "backends: [{host: 'a:1'}]}]}]}]\n" + backends, "not apply to what the gateway itself sends"),
            ("binds: [{port: 1, listeners: [{routes: [{backends: [{mcp: {targets: [{name: t, mcp: "
             "{backend: b, path: /}}]}}]}]}]}]\n" + backends, "target \"t\""),
            ("binds: [{port: 1, listeners: [{routes: [{backends: [{host: 'a:1', policies: {%s}}]}]}]}]\n"
             % (RULES % "'response.code == 200'"), "response")):
        status, _, errors = validate(text)
        check(status != 0 and words in errors, f"{words}: {errors}")


@test("manifests: rules for a Service and for an AgentgatewayBackend; wrong ones answer 500")
def manifests():
    policy = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: '', kind: Service, name: svc}]
  backend: {authorization: {action: %s, policy: {matchExpressions: ['%s']}}}
---"""
    rule = "  - backendRefs: [{name: svc, port: 80}]\n---"
    for action, expression, status in (("Deny", "request.path == \"/x\"", 403), ("Deny", "nonsense(", 500),
                                       ("Allow", "backend.type == \"static\"", 403)):
        backend = Backend()
        gateway = Gateway(GATEWAY + ROUTE + rule + policy % (action, expression) + SERVICE,
                          origin_port=backend.port, workers=1)
        eq(gateway.client().request("GET", "/x").response().status, status, expression)
        backend.expect_no_connection(0.1)
        gateway.stop()
