# SPDX-License-Identifier: Apache-2.0
"""Route delegation: a rule hands its requests on to rules of other HTTPRoutes."""
from hg import *
from manifests import GATEWAY, SERVICE

GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: %s}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: %s}]
  to: [{group: gateway.networking.k8s.io, kind: HTTPRoute}]
---"""
GROUP = "gateway.networking.k8s.io"
FAR_SERVICE = SERVICE.replace("namespace: ns", "namespace: far")


def route(name, rules, namespace="ns", parents="", labels="", hosts=""):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}{', labels: ' + labels if labels else ''}}}
spec:
  {'parentRefs: ' + parents if parents else ''}
  {'hostnames: ' + hosts if hosts else ''}
  rules: [{rules}]
---"""


def to(name, namespace="ns", path="/", more=""):
    return (f"{{matches: [{{path: {{value: {path}}}{more}}}], backendRefs: [{{group: {GROUP}, "
            f"kind: HTTPRoute, name: '{name}', namespace: {namespace}}}]}}")


def mark(text, path="/", more="", kind="PathPrefix"):
    """A rule with a response that says who it is."""
    return (f"{{matches: [{{path: {{type: {kind}, value: {path}}}{more}}}], filters: [{{type: "
            f"ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-rule, value: {text}}}]}}}}], "
            "backendRefs: [{name: svc, port: 80}]}")


ROOT = "[{name: gw}]"


def play(*texts):
    return Gateway(GATEWAY + SERVICE + FAR_SERVICE + "".join(texts), origin_port=Origin().port)


def rule_of(answer):
    return answer.headers["x-rule"] if "x-rule" in answer.headers else None


def asks(gateway, table_of):
    for path, want in table_of.items():
        answer = gateway.fetch(path)
        got = rule_of(answer) or answer.status
        eq(got, want, f"who answers {path}")


cases = table("delegation")


@cases("by name, by label and to a whole namespace; what no child matches is 404, its neighbours are served")
def targets():
    gateway = play(
        route("root", ", ".join([to("one", path="/one"), to("team=blue", path="/blue"),
                                 to("*", "far", "/far"), mark("own", "/own")]), parents=ROOT),
        route("one", mark("one", "/one/a")), route("blue", mark("blue", "/blue"), labels="{team: blue}"),
        route("red", mark("red", "/blue"), labels="{team: red}"),
        route("far1", mark("far1", "/far/1"), "far"), route("far2", mark("far2", "/far/2"), "far"),
        GRANT % ("far", "ns"))
    asks(gateway, {"/one/a/x": "one", "/one/b": 404, "/blue": "blue", "/far/1": "far1", "/far/2/x": "far2",
                   "/far/3": 404, "/own": "own"})
    eq(gateway.wait_log(lambda r: r["http.path"] == "/far/1")["route"], "far/far1", "route in the log")


@cases("both matches count, with headers and query: a child that asks for less does not widen its parent")
def both():
    more = ", headers: [{name: a, value: '1'}], queryParams: [{name: q, value: '1'}]"
    gateway = play(route("root", to("child", path="/x", more=more), parents=ROOT),
                   route("child", mark("any") + ", " + mark("b", "/x", ", headers: [{name: b, value: '2'}]")))
    eq(gateway.fetch("/x?q=1").status, 404, "without the header")
    eq(gateway.fetch("/x", headers={"a": "1"}).status, 404, "without the query")
    eq(gateway.fetch("/y?q=1", headers={"a": "1"}).status, 404, "another path")
    eq(gateway.fetch("/x?q=1", headers={"a": "1"}).headers["x-rule"], "any", "the child's own match")
    eq(gateway.fetch("/x?q=1", headers={"a": "1", "b": "2"}).headers["x-rule"], "b", "the better one")


@cases("the parent's match decides first: a better match below another parent is not asked")
def order():
    gateway = play(route("root", to("one", path="/a") + ", " + to("two", path="/a/b"), parents=ROOT),
                   route("one", mark("one", "/a/b/c", kind="Exact")), route("two", mark("two", "/a/b/d")))
    asks(gateway, {"/a/b/d": "two", "/a/b/c": 404})


@cases("who may be named: by parentRefs of kind HTTPRoute, with a grant, but no route of a Gateway alone")
def admission():
    parent = f"[{{group: {GROUP}, kind: HTTPRoute, name: %s, namespace: ns}}]"
    gateway = play(
        route("root", ", ".join([to("named", "far", "/named"), to("other", "far", "/other"),
                                 to("closed", "far", "/closed"), to("attached", path="/attached")]),
              parents=ROOT),
        route("named", mark("named"), "far", parent % "root"),
        route("other", mark("other"), "far", parent % "alien"),
        route("closed", mark("closed"), "far"), route("attached", mark("attached", "/direct"), parents=ROOT))
    asks(gateway, {"/named": "named", "/other": 404, "/closed": 404, "/attached": 404, "/direct": "attached"})
    for part in ("far/closed in another namespace is not delegated to",
                 "no HTTPRoute is delegated to here"):
        check(part in gateway.stderr, f"{part} in {gateway.stderr}")


@cases("over several levels; a cycle answers 500 with its reason, and so does a chain that is too deep")
def levels():
    chain = [route(f"d{i}", to(f"d{i + 1}", path="/deep")) for i in range(10)]
    gateway = play(
        route("root", ", ".join([to("middle", path="/m"), to("d0", path="/deep"), to("ring", path="/ring")]),
              parents=ROOT),
        route("middle", to("leaf", path="/m/l")), route("leaf", mark("leaf", "/m/l")),
        route("ring", to("back", path="/ring")), route("back", to("ring", path="/ring/x") + ", " +
                                                       mark("back", "/ring/ok")), *chain)
    asks(gateway, {"/m/l/x": "leaf", "/m/x": 404, "/ring/ok": "back", "/ring/x": 500, "/deep": 500})
    check("route delegation cycle detected" in gateway.fetch("/ring/x").text, "the reason")
    check("too deep" in gateway.fetch("/deep").text, "the reason")


@cases("policies of the parent apply to its children, unless a child has its own")
def policies():
    policy = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %s, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: %s}]
  traffic: {directResponse: {status: %d}}
---"""
    gateway = play(route("root", to("a", path="/a") + ", " + to("b", path="/b") + ", " + mark("own", "/own"),
                         parents=ROOT),
                   route("a", mark("a")), route("b", mark("b")), policy % ("p", "root", 418),
                   policy % ("q", "b", 419))
    eq([gateway.fetch(path).status for path in ("/a", "/b", "/own")], [418, 419, 418], "statuses")
    filters = (", filters: [{type: RequestHeaderModifier, requestHeaderModifier: "
               "{set: [{name: x-p, value: p}]}}]}")
    gateway = play(route("root", to("a", path="/")[:-1] + filters, parents=ROOT), route("a", mark("a")))
    got = gateway.fetch("/headers").json()["headers"]
    eq(got.get("x-p", got.get("X-P")), "p", f"a filter of the parent in {got}")


@cases("weights choose between groups and backends; host names of a child count, too")
def weights():
    rule = (f"{{matches: [{{path: {{value: /w}}}}], backendRefs: [{{group: {GROUP}, kind: HTTPRoute, "
            "name: half, weight: 1}, {name: svc, port: 80, weight: 1}]}")
    gateway = play(route("root", rule + ", " + to("hosted", path="/h"), parents=ROOT),
                   route("half", mark("half")), route("hosted", mark("hosted"), hosts="[a.example]"))
    found = {rule_of(gateway.fetch("/w")) for _ in range(64)}
    eq(found, {None, "half"}, "both are chosen")
    eq(rule_of(gateway.fetch("/h", host="a.example")), "hosted", "its host")
    eq(gateway.fetch("/h", host="b.example").status, 404, "another host")
