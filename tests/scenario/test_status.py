# SPDX-License-Identifier: Apache-2.0
"""Manifests of which some are wrong: the rest is served, and the status says what is not, and why."""
import json

from hg import *
from hg.framework import binary

GOOD = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, generation: 2}
spec:
  gatewayClassName: headgate
  listeners:
  - {name: http, port: @port@, protocol: HTTP}
  - {name: odd, port: @other@, protocol: HTTP, allowedRoutes: {namespaces: {from: Everywhere}}}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %(name)s, generation: %(generation)d}
spec:
  parentRefs: [{name: g, sectionName: http}]
  rules:
  - matches: [{path: {value: /%(name)s}}]
    filters:
    - {type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: %(to)s}}}
  - matches: [{path: {value: /%(name)s-late}}]
    %(more)s
    filters:
    - {type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /late}}}
"""
POLICY = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: guard}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: guarded}]
  traffic: {jwtAuthentification: {}}
"""
WRONG = "timeouts: {request: soon}"


def route(name, to="/to", more="", generation=1):
    return ROUTE % {"name": name, "to": to, "more": more, "generation": generation}


def start():
    return Gateway(directory={"gateway.yaml": GOOD, "good.yaml": route("good"),
                              "bad.yaml": route("bad", more=WRONG), "guarded.yaml": route("guarded"),
                              "policy.yaml": POLICY})


def conditions(entry):
    return {one["type"]: (one["status"], one["reason"]) for one in entry["conditions"]}


def item(status, kind, name):
    found = [one for one in status["items"] if one["kind"] == kind and one["metadata"]["name"] == name]
    eq(len(found), 1, f"{kind} {name} in {status}")
    return found[0]["status"]


def parent(status, name):
    return item(status, "HTTPRoute", name)["parents"][0]


@test("wrong objects beside good ones: those are served; a wrong rule and an unguarded route answer 500")
def served():
    gateway = start()
    eq([gateway.fetch(path).status for path in ("/good", "/good-late", "/bad", "/bad-late", "/guarded")],
       [302, 302, 302, 500, 500], "statuses")
    try:
        gateway.client(gateway.ports["other"]).close()
        raise AssertionError("the listener with an error has a port")
    except OSError:
        pass
    status = gateway.admin_json("/status")
    listeners = {one["name"]: one for one in item(status, "Gateway", "g")["listeners"]}
    eq(conditions(listeners["http"])["Programmed"], ("True", "Programmed"), "the good listener")
    eq((listeners["http"]["attachedRoutes"], [kind["kind"] for kind in listeners["http"]["supportedKinds"]]),
       (3, ["HTTPRoute", "GRPCRoute"]), "what is attached to it")
    eq(conditions(listeners["odd"])["Accepted"], ("False", "UnsupportedValue"), "the wrong listener")
    eq(conditions(item(status, "Gateway", "g"))["Accepted"], ("True", "ListenersNotValid"), "the Gateway")
    check(item(status, "Gateway", "g")["addresses"], "the Gateway has an address")
    eq(conditions(parent(status, "bad"))["PartiallyInvalid"], ("True", "UnsupportedValue"), "the wrong route")
    eq(conditions(parent(status, "good")).get("PartiallyInvalid"), None, "the good route")
    policy = item(status, "AgentgatewayPolicy", "guard")["ancestors"][0]
    eq(conditions(policy)["Accepted"], ("False", "Invalid"), "the policy")


@test("headgate status prints a table, or what GET /status shows; --validate-only and --strict refuse")
def command():
    gateway = start()
    status, table, said = run([binary("headgate"), "status", "-f", gateway.folder])
    eq(status, 0, f"exit status: {said}")
    check("\n  listener odd " in table, table)
    check("\n    Accepted=False UnsupportedValue: spec.listeners[1]." in table, table)
    check(f"{gateway.files['bad.yaml']}:12:" in said, said)
    status, out, _ = run([binary("headgate"), "status", "--json", "-f", gateway.folder])
    eq((status, json.loads(out)), (0, gateway.admin_json("/status")), "the same as the page")
    for args in (["--validate-only"], ["--strict", "--no-keeper"]):
        status, _, said = run([binary("headgate"), "-f", gateway.folder, *args])
        eq(status, 1, f"exit status of {args}: {said}")
        for name in ("gateway", "bad", "policy"):
            check(f"{gateway.files[name + '.yaml']}:" in said, f"{name} in {said}")
    eq(run([binary("headgate"), "status"])[0], 2, "without a file")
    eq(run([binary("headgate"), "status", "-f", "-"], text_input="a: [b\n")[0], 1, "of no configuration")


@test("a reload with a wrong version of an object leaves it as it was, takes the rest, and says so")
def reload():
    gateway = start()
    gateway.write("good.yaml", route("good", "/new", WRONG, 2))
    gateway.write("bad.yaml", route("bad", "/new", "", 2))
    wait_until(lambda: gateway.fetch("/bad").header("location").endswith("/new"), 5, "the neighbour's reload")
    wait_until(lambda: "Fall Back" in json.dumps(gateway.admin_json("/status")), 5, "the fall back")
    eq((gateway.fetch("/good").header("location")[-3:], gateway.fetch("/good-late").status,
        gateway.fetch("/bad-late").status), ("/to", 302, 302), "as before, and the neighbour")
    shown = parent(gateway.admin_json("/status"), "good")
    eq(conditions(shown)["PartiallyInvalid"], ("True", "UnsupportedValue"), "the condition")
    eq(shown["conditions"][0]["observedGeneration"], 1, "the generation in force")
    state = gateway.admin_json("/config_status")
    check(state["lastReloadOk"], state)
    check(state["warnings"][0].endswith("stays in force as it was before its change"), state)
    gateway.write("good.yaml", route("good", "/newest", "", 3))
    wait_until(lambda: gateway.fetch("/good").header("location").endswith("/newest"), 5, "the correction")
