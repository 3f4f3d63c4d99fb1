# SPDX-License-Identifier: Apache-2.0
"""ListenerSets: listeners that other objects add to a Gateway."""
from hg import *
from manifests import SERVICE

GROUP = "gateway.networking.k8s.io"
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: any
  listeners: [{name: http, port: @port@, protocol: HTTP, hostname: own.example}]
  %s
---"""
ALLOW = "allowedListeners: {namespaces: {from: %s}}"
NAMES = {"own.example", "set.example"}


def listener_set(name, listeners, namespace="ns", created="", kind="ListenerSet", group=GROUP + "/v1"):
    stamp = f', creationTimestamp: "{created}"' if created else ""
    return f"""
apiVersion: {group}
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}{stamp}}}
spec:
  parentRef: {{name: gw, namespace: ns}}
  listeners: [{listeners}]
---"""


def on(host, name="http", port="@port@", protocol="HTTP"):
    return f"{{name: {name}, port: {port}, protocol: {protocol}, hostname: {host}}}"


def route(name, parent, namespace="ns"):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{parent}]
  rules:
  - filters: [{{type: RequestRedirect, requestRedirect: {{hostname: {name}.answers.example}}}}]
---"""


def parent_set(name="set", more="", kind="ListenerSet", group=GROUP):
    return f"{{name: {name}, kind: {kind}, group: {group}{more}}}"


def who(gateway, host):
    answer = gateway.fetch("/", host=host)
    return answer.headers["Location"].split("/")[2].split(".")[0] if answer.status == 302 else answer.status


def attached(gateway):
    """How many ListenerSets the status of the Gateway counts."""
    return next(item["status"]["attachedListenerSets"] for item in gateway.admin_json("/status")["items"]
                if item["kind"] == "Gateway")


def play(*texts):
    return Gateway("".join(texts) + SERVICE, origin_port=9)


cases = table("ListenerSet")


@cases("its listeners are served, by its routes only; XListenerSet, the older form, too")
def served():
    for kind, group in (("ListenerSet", GROUP), ("XListenerSet", "gateway.networking.x-k8s.io")):
        version = "v1" if kind == "ListenerSet" else "v1alpha1"
        gateway = play(GATEWAY % ALLOW % "Same",
                       listener_set("set", on("set.example"), kind=kind, group=f"{group}/{version}"),
                       route("to-gateway", "{name: gw}"),
                       route("to-set", parent_set(kind=kind, group=group)))
        eq((who(gateway, "own.example"), who(gateway, "set.example"), who(gateway, "no.example")),
           ("to-gateway", "to-set", 404), f"who answers with {kind}")
        listeners = [l for bind in gateway.config_dump()["binds"] for l in bind["listeners"]]
        eq(sorted(listeners), ["ns/gw.http", "ns/gw.ns/set.http"], "keys in the dump")
        gateway.stop()


@cases("sectionName and port of a parentRef choose among its listeners")
def section():
    gateway = play(GATEWAY % ALLOW % "All",
                   listener_set("set", on("a.example", "a") + ", " + on("b.example", "b")),
                   route("only-b", parent_set(more=", sectionName: b")))
    eq((who(gateway, "a.example"), who(gateway, "b.example")), (404, "only-b"), "who answers")


@cases("allowedListeners decides: None by default, Same, All, and namespaces by a selector")
def allowed():
    label = """
apiVersion: v1
kind: Namespace
metadata: {name: far, labels: {kind: friend}}
---"""
    for words, near, far in (("", 404, 404), (ALLOW % "None", 404, 404), (ALLOW % "Same", "near", 404),
                             (ALLOW % "All", "near", "far"),
                             (ALLOW % "Selector, selector: {matchLabels: {kind: friend}}", 404, "far")):
        gateway = play(GATEWAY % words, label, listener_set("set", on("near.example")),
                       listener_set("set", on("far.example"), "far"), route("near", parent_set()),
                       route("far", parent_set(), "far"))
        eq((who(gateway, "near.example"), who(gateway, "far.example")), (near, far), f"who answers: {words}")
        eq(attached(gateway), (near, far).count("near") + (near, far).count("far"), f"sets of it: {words}")
        gateway.stop()


@cases("of two with the same host name the Gateway's counts, then the older set's, then by name")
def conflicts():
    gateway = play(GATEWAY % ALLOW % "All",
                   listener_set("young", on("x.example") + ", " + on("z.example", "z"),
                                created="2026-02-01T00:00:00Z"),
                   listener_set("old", on("x.example"), created="2026-01-01T00:00:00Z"),
                   listener_set("b", on("y.example") + ", " + on("own.example", "own")),
                   listener_set("a", on("y.example")),
                   listener_set("tcp", "{name: t, port: @port@, protocol: TCP}"),
                   *(route(name, parent_set(name)) for name in ("young", "old", "a", "b")),
                   route("gateway", "{name: gw}"))
    eq([who(gateway, f"{name}.example") for name in ("x", "y", "z", "own")],
       ["old", "a", "young", "gateway"], "who answers")
    eq(attached(gateway), 3, "accepted sets: old, young and a")
    eq((gateway.stderr.count("HostnameConflict"), gateway.stderr.count("ProtocolConflict")), (3, 1),
       "warnings")


@cases("policies of a ListenerSet apply to its listeners, those of the Gateway to all; so do missing guards")
def policies():
    policy = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %s, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s}]
  traffic: {%s}
---"""
    texts = (GATEWAY % ALLOW % "Same",
             listener_set("set", on("a.example") + ", " + on("b.example", "b")),
             route("r", "{name: gw}, " + parent_set()))
    response = "directResponse: {status: %d}"
    redirect = "RequestRedirect, requestRedirect: {hostname: r.answers.example}"
    harmless = "RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}"
    gateway = play(*(text.replace(redirect, harmless) for text in texts),
                   policy % ("all", "Gateway, name: gw", response % 418),
                   policy % ("set", "ListenerSet, name: set", response % 419),
                   policy % ("part", "ListenerSet, name: set, sectionName: b", response % 420))
    eq([gateway.fetch("/", host=f"{name}.example").status for name in ("own", "a", "b")], [418, 419, 420],
       "statuses")
    gateway.stop()
    gateway = play(*texts, policy % ("guard", "ListenerSet, name: set, sectionName: b", "extProc: {}"))
    eq([who(gateway, f"{name}.example") for name in ("own", "a", "b")], ["r", "r", 500], "who answers")
