# SPDX-License-Identifier: Apache-2.0
"""A policy that protects and is not supported: what it is for answers 500, what is beside it is served."""
from hg import *
from manifests import GATEWAY, SERVICE

ROUTES = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: guarded, namespace: ns, labels: {guard: "yes"}}
spec:
  parentRefs: [{name: gw}]
  rules:
  - {name: first, matches: [{path: {value: /first}}], backendRefs: [{name: svc, port: 80}]}
  - {name: second, matches: [{path: {value: /status}}], backendRefs: [{name: svc, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: beside, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules: [{matches: [{path: {value: /headers}}], backendRefs: [{name: svc, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: named, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /named}}]
    backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: b, namespace: ns}
spec: {static: {host: 127.0.0.1, port: @origin_port@}}
---"""
POLICY = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: guard, namespace: ns}
spec:
  %s
  %s
"""
GUARD = "traffic: {extProc: {}, timeouts: {request: 5s}}"
PATHS = {"/first": 404, "/status/204": 204, "/headers": 200, "/named": 404}
GATEWAY_REF = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]"
ROUTE_REF = "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: guarded%s}]"

cases = table("a policy that protects and is not supported")


for _name, _targets, _section, _refused in (
        ("on a route: its rules", ROUTE_REF % "", GUARD, {"/first", "/status/204"}),
        ("on a rule: this rule", ROUTE_REF % ", sectionName: first", GUARD, {"/first"}),
        ("on selected routes: these", "targetSelectors: [{group: gateway.networking.k8s.io, kind: HTTPRoute, "
         "matchLabels: {guard: 'yes'}}]", GUARD, {"/first", "/status/204"}),
        ("on a Gateway: everything", GATEWAY_REF, GUARD, set(PATHS)),
        ("on a Service: what goes to it", "targetRefs: [{group: '', kind: Service, name: svc}]",
         "backend: {ai: {}}", {"/first", "/status/204", "/headers"}),
        ("on an AgentgatewayBackend: what goes to it",
         "targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]",
         "backend: {ai: {}}", {"/named"}),
        ("that is only useful: nothing", GATEWAY_REF, "traffic: {compression: {}}", set())):
    @cases(f"{_name} answers 500")
    def case(targets=_targets, section=_section, refused=_refused):
        origin = Origin()
        gateway = Gateway(GATEWAY + SERVICE + ROUTES + POLICY % (targets, section), origin_port=origin.port)
        for path, status in PATHS.items():
            answer = gateway.fetch(path)
            eq(answer.status, 500 if path in refused else status, f"status of {path}")
            if path in refused:
                check("security" in answer.text or "protects" in answer.text, f"why: {answer.text!r}")
        check("is not supported yet" in gateway.stderr, f"a warning in {gateway.stderr!r}")
