# SPDX-License-Identifier: Apache-2.0
"""Which policy wins, on the wire. Every level against every other is in tests/unit/test_effective.c."""
import math

from hg import *
from manifests import GATEWAY, ROUTE, SERVICE
from plays import play

# A response header says which level won.
LEVELS = """
config: {}
policies:
%(policies)s
binds:
- port: @port@
  listeners:
  - name: web
    routes:
    - name: one
      ruleName: rule
%(inline)s
      backends: [{host: @origin@}]
"""

TARGETS = {
    "gateway": "{gateway: {gatewayName: default, gatewayNamespace: default}}",
    "listener": "{gateway: {gatewayName: default, gatewayNamespace: default, listenerName: web}}",
    "route": "{route: {name: one, namespace: default}}",
    "rule": "{route: {name: one, namespace: default, ruleName: rule}}",
}


def policy(name, level, what):
    return f"- {{name: {{name: {name}, namespace: default}}, target: {TARGETS[level]}, policy: {{{what}}}}}"


def config(policies, inline=""):
    return LEVELS % {"policies": "\n".join(policies) or "  []",
                     "inline": f"      policies: {{{inline}}}" if inline else ""}


@test("gateway < listener < route < rule < written in the rule")
def levels():
    gateway, _ = play(config([]))
    order = ["gateway", "listener", "route", "rule"]
    for count in range(1, len(order) + 1):
        policies = [policy(level, level, f"responseHeaderModifier: {{set: {{x-level: {level}}}}}")
                    for level in order[:count]]
        eq(gateway.reload(config(policies))["errors"], [], "errors")
        eq(gateway.fetch("/get").header("x-level"), order[count - 1], f"the winner of {order[:count]}")
    policies = [policy(level, level, f"responseHeaderModifier: {{set: {{x-level: {level}}}}}")
                for level in order]
    gateway.reload(config(policies, "responseHeaderModifier: {set: {x-level: inline}}"))
    eq(gateway.fetch("/get").header("x-level"), "inline", "the winner of all")


@test("the winner replaces the whole object: a route's requestTimeout hides backendRequestTimeout")
def whole_object():
    gateway, _ = play(config([policy("g", "gateway", "timeout: {backendRequestTimeout: 200ms}")]))
    eq(gateway.fetch("/delay/60").text, "upstream call timeout", "the gateway's alone")
    gateway.reload(config([policy("g", "gateway", "timeout: {backendRequestTimeout: 200ms}"),
                           policy("r", "route", "timeout: {requestTimeout: 60s}")]))
    eq(gateway.fetch("/delay/0.5").status, 200, "with the route's")


@test("kinds do not compete: retry of the gateway and timeout of the route apply together")
def kinds():
    gateway, origin = play(config([policy("g", "gateway", "retry: {attempts: 2, codes: [503]}"),
                                   policy("r", "route", "timeout: {requestTimeout: 1500ms}")]))
    eq(gateway.fetch("/status/503?count=a").status, 503, "status")
    eq(origin.counter("a"), 3, "tries")
    with within(1.5, "requestTimeout"):
        eq(gateway.fetch("/delay/60").status, 504, "status")


@test("of two policies of one kind and level the one with the smaller key wins, with one warning")
def ties():
    gateway, _ = play(config([policy("b", "route", "responseHeaderModifier: {set: {x-level: b}}"),
                              policy("a", "route", "responseHeaderModifier: {set: {x-level: a}}")]))
    eq(gateway.fetch("/get").header("x-level"), "a", "the winner")
    warnings = [line for line in gateway.stderr.split("\n") if "\twarn\t" in line]
    eq(len(warnings), 1, f"warnings {warnings}")


K8S = GATEWAY + SERVICE + ROUTE + """  - name: rule
    backendRefs: [{name: svc, port: 80}]
    %s
"""

ATTACHED = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %(name)s, namespace: ns%(meta)s}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %(kind)s, name: %(target)s%(section)s}]
  traffic: {timeouts: {request: %(time)s}}
"""


def attached(name, kind, target, time, section="", meta=""):
    return ATTACHED % {"name": name, "kind": kind, "target": target, "time": time,
                       "section": f", sectionName: {section}" if section else "", "meta": meta}


def minutes_of(text, inline=""):
    """The requestTimeout in force, of whole minutes: what is left of it for a request that has just begun."""
    origin = Origin()
    gateway = Gateway(K8S % inline + text, origin_port=origin.port)
    client = gateway.client().request("GET", "/delay/60")
    wait_until(lambda: [s for s in gateway.streams() if s["state"] == "wait_head"], 5, "the request")
    stream, = gateway.streams()
    eq(stream["deadline"], "request_timeout", "the deadline that runs")
    client.rst()
    gateway.stop()
    return math.ceil(stream["deadline_left_ms"] / 60000)


@test("in manifests: Gateway < listener < HTTPRoute < rule < timeouts of the rule", timeout=40)
def manifest_levels():
    policies = [attached("a", "Gateway", "gw", "1m"), attached("b", "Gateway", "gw", "2m", "http"),
                attached("c", "HTTPRoute", "route", "3m"), attached("d", "HTTPRoute", "route", "4m", "rule")]
    for count in range(1, 5):
        eq(minutes_of("".join(policies[:count])), count, f"the winner of {count} levels")
    eq(minutes_of("".join(policies), "timeouts: {request: 5m}"), 5, "the winner of all")


@test("in manifests the older of two policies of one level wins")
def manifest_ties():
    text = (attached("a", "HTTPRoute", "route", "1m", meta=', creationTimestamp: "2026-01-02T00:00:00Z"')
            + attached("b", "HTTPRoute", "route", "3m", meta=', creationTimestamp: "2026-01-01T00:00:00Z"'))
    eq(minutes_of(text), 3, "the winner")


RETRIES = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: retries, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]
  traffic: {retry: {attempts: 3, codes: [503]}}
"""


@test("in a rule retry with attempts: 0 switches off what the gateway says, and without attempts it is one")
def manifest_no_retries():
    for inline, tries in (("", 4), ("retry: {attempts: 0}", 1), ("retry: {attempts: 0, codes: [503]}", 1),
                          ("retry: {codes: [503]}", 2), ("retry: {}", 1)):
        origin = Origin()
        gateway = Gateway(K8S % inline + RETRIES, origin_port=origin.port)
        eq(gateway.fetch("/status/503?count=k").status, 503, "status")
        eq(origin.counter("k"), tries, f"tries with {inline or 'nothing in the rule'}")
        gateway.stop()
