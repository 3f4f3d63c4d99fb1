# SPDX-License-Identifier: Apache-2.0
"""Objects that ask for security and are not understood: what they protect is not served without it."""
from hg import *

STAGE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: agentgateway, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: guarded}
spec:
  parentRefs: [{name: g}]
  hostnames: [guarded.example]
  rules: [{backendRefs: [{name: s, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: open}
spec:
  parentRefs: [{name: g}]
  hostnames: [open.example]
  rules: [{backendRefs: [{name: t, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: t}
spec: {ports: [{name: web, port: 80}]}
"""

SLICE = """
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %(name)s-1, labels: {kubernetes.io/service-name: %(name)s}}
addressType: IPv4
ports: [{name: web, port: %(port)d}]
endpoints: [{addresses: [127.0.0.1]}]
"""

TLS = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls}
spec:
  targetRefs: [{group: "", kind: Service, name: s}]
  validation: {wellKnownCACertificates: System, hostname: s.example}
"""

OTHER_TLS = TLS.replace("k8s.io/v1\n", "k8s.io/v1alpha9\n")

SECURITY = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: jwt}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: guarded}]
  jwt: {providers: [{name: x}]}
"""


def stage(backend, more=""):
    slices = "".join(SLICE % {"name": name, "port": backend.port} for name in "st")
    return STAGE + slices + more


def ask(gateway, host):
    return gateway.fetch("/secret", headers=[("Host", host), ("Authorization", "Bearer x")])


@test("a backend that asks for TLS gets no request in clear text, nor when it asks in words of another "
      "version; the other one is served")
def backend_tls():
    origin = Origin(strict=False)
    gateway = Gateway(stage(origin))
    eq(ask(gateway, "guarded.example").status, 404, "status without the policy: the origin's")
    before = origin.stats()["requests"]
    gateway.reload(stage(origin, TLS))
    answer = ask(gateway, "guarded.example")
    check(answer.status == 503 and "TLS" in answer.text, f"{answer.status} {answer.text}")
    eq(origin.stats()["requests"], before + 1, "requests at the backend, with that for its numbers")
    gateway.reload(stage(origin, OTHER_TLS))
    answer = ask(gateway, "guarded.example")
    eq((answer.status, answer.text), (500, "a policy asks for security here that this gateway does not "
                                           "provide"), "answer with the policy")
    eq(gateway.wait_log(lambda entry: entry.status == 500)["close_reason"], "no_backend", "close reason")
    eq(ask(gateway, "open.example").status, 404, "status of the other Service")
    gateway.reload(stage(origin))
    eq(ask(gateway, "guarded.example").status, 404, "status when the policy is gone")


@test("a route with a policy of another gateway that asks for a login answers 500")
def route_security():
    origin = Origin()
    gateway = Gateway(stage(origin, SECURITY))
    eq(ask(gateway, "guarded.example").status, 500, "status of the route that the policy names")
    eq(ask(gateway, "open.example").status, 404, "status of the other route")


@test("a rule or a backendRef with a filter that does not exist here answers 500, a listener of another "
      "protocol is not served, and their neighbours are")
def unknown_parts():
    rule = "  rules: [{%sbackendRefs: [{name: s, port: 80%s}]}]"
    parts = [(rule % ("filters: [{type: ExtensionRef, extensionRef: {}}], ", ""), 500),
             (rule % ("", ", filters: [{type: ExtensionRef, extensionRef: {}}]"), 500),
             (rule % ("sessionPersistence: {}, ", ""), 404)]
    plain = STAGE.replace("listeners: [", "allowedListeners: {namespaces: {from: All}}, newIdea: 1, "
                          "listeners: [{name: dns, port: @dns@, protocol: UDP}, ")
    origin = Origin()
    slices = "".join(SLICE % {"name": name, "port": origin.port} for name in "st")
    for part, status in parts:
        gateway = Gateway(plain.replace(rule % ("", ""), part, 1) + slices)
        before = origin.stats()["requests"]
        eq(ask(gateway, "guarded.example").status, status, part)
        eq(origin.stats()["requests"], before + 1 + (status == 404), "requests at the backend")
        eq(ask(gateway, "open.example").status, 404, "status of the neighbour: the origin's")
    status, _, said = validate(plain.replace(rule % ("", ""), parts[0][0], 1) + slices)
    eq((status, said.count("\twarn\t")), (0, 3), said)


@test("--validate-only counts the warnings")
def counted():
    backend = Backend()
    for more, count in (("", ""), (TLS, ""), (OTHER_TLS, "2 warnings\n"), (SECURITY, "1 warning\n")):
        status, out, error = validate(stage(backend, more).replace("@port@", "8080"))
        eq((status, out), (0, "Configuration is valid!\n" + count), f"the last lines: {error}")
