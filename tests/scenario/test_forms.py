# SPDX-License-Identifier: Apache-2.0
"""The current form of a standalone file and the older one: each construct by what it serves."""
from forms import Ask, same, serves
from hg import *

SAYS = "policies: {directResponse: {status: 200, body: %s}}"

NAMED = """
gateways:
  default: {port: @port@}
  web:
    port: @web@
    listeners:
    - {name: a, hostname: a.example}
    - {name: rest}
  tcp: {port: @tcp@, protocol: TCP}
routes:
- {name: implied, policies: {directResponse: {status: 200, body: implied}}}
- gateways: web/a
  matches: [{path: {pathPrefix: /one}}]
  policies: {directResponse: {status: 200, body: one listener}}
- gateways: [web, default]
  matches: [{path: {exact: /all}}]
  policies: {directResponse: {status: 200, body: all}}
tcpRoutes:
- {gateways: [tcp], backends: [{host: @origin@}]}
"""
ASKED = [
    Ask("/", body="implied"),
    Ask("/one", body="implied"),
    Ask("/all", body="all"),
    Ask("/one/more", body="one listener", port="web", host="a.example"),
    Ask("/one/more", 404, port="web", host="b.example"),
    Ask("/all", body="all", port="web", host="a.example"),
    Ask("/all", body="all", port="web", host="b.example"),
    Ask("/", 404, port="web", host="a.example"),
    Ask("/status/418", 418, port="tcp"),
]
BINDS = """
binds:
- port: @port@
  listeners:
  - name: default
    routes:
    - {name: implied, policies: {directResponse: {status: 200, body: implied}}}
    - matches: [{path: {exact: /all}}]
      policies: {directResponse: {status: 200, body: all}}
- port: @web@
  listeners:
  - name: a
    hostname: a.example
    routes:
    - matches: [{path: {pathPrefix: /one}}]
      policies: {directResponse: {status: 200, body: one listener}}
    - matches: [{path: {exact: /all}}]
      policies: {directResponse: {status: 200, body: all}}
  - routes:
    - matches: [{path: {exact: /all}}]
      policies: {directResponse: {status: 200, body: all}}
- port: @tcp@
  listeners:
  - {protocol: TCP, tcpRoutes: [{backends: [{host: @origin@}]}]}
"""


@test("routes at the top level are served by the gateways and listeners that they name")
def named():
    serves(NAMED, ASKED, origin=Origin())


@test("both forms of one file serve the same, and have the same dump but for the names of listeners")
def both():
    origin = Origin()
    gateway = serves(NAMED, ASKED, origin=origin, lanes=True)
    new = gateway.config_dump()
    gateway.reload(BINDS)
    for ask in ASKED:
        ask.check(gateway)
    same(gateway.config_dump(), new)


@test("a reload moves a route to another gateway")
def reload_moves():
    gateway = Gateway("gateways: {a: {port: @port@}, b: {port: @b@}}\n"
                      "routes: [{gateways: a, " + SAYS % "x" + "}]\n")
    Ask("/", body="x").check(gateway)
    Ask("/", 404, port="b").check(gateway)
    gateway.reload("gateways: {a: {port: @port@}, other: {port: @b@, listeners: [{name: l}]}}\n"
                   "routes: [{gateways: other/l, " + SAYS % "y" + "}]\n")
    Ask("/", 404).check(gateway)
    Ask("/", body="y", port="b").check(gateway)


@test("an attached policy names a listener as routes do, or a port", waits=True)
def target():
    text = """
gateways:
  default: {port: @port@}
  web: {port: @web@, listeners: [{name: a, hostname: a.example}, {name: b}]}
routes:
- {gateways: [default, web], backends: [{host: @origin@}]}
policies:
- name: {name: short}
  target: {gateway: {%s}}
  policy: {timeout: {requestTimeout: 300ms}}
"""
    origin = Origin()
    one, other = Ask("/delay/1", 504, port="web", host="a.example"), Ask("/delay/1", port="web")
    serves(text % "listenerName: web/a", [one, other, Ask("/delay/1")], origin=origin)
    serves(text % "listenerName: default", [Ask("/delay/1", 504), other], origin=origin)
    serves(text % "port: @web@", [one, Ask("/delay/1", 504, port="web"), Ask("/delay/1")], origin=origin)

CONDITIONAL = """
gateways: {default: {port: @port@}}
routes:
- matches: [{path: {pathPrefix: /all}}]
  policies:
    directResponse:
      conditional:
      - {condition: 'request.headers["x-a"] == "1"', status: 403, body: "no"}
      - {condition: 'request.method == "POST" && source.address == "127.0.0.1"', status: 405}
      - {status: 418, body: the rest}
- policies:
    directResponse:
      conditional:
      - condition: request.path.startsWith("/say")
        status: 201
        bodyExpression: '"you said " + request.path'
        headers: {x-path: request.path, x-none: 'request.headers["x-none"]', x-a: 'request.headers["x-a"]'}
  backends: [{host: @origin@}]
"""


@test("a direct response with conditions: the first that is true answers, without one the backend does")
def conditional():
    one = [("x-a", "1")]
    gateway = serves(CONDITIONAL, [
        Ask("/all", 403, "no", headers=one), Ask("/all", 405, "", method="POST"),
        Ask("/all", 418, "the rest"),
        Ask("/say/it", 201, "you said /say/it"), Ask("/status/207", 207)], origin=Origin())
    answer = gateway.fetch("/say/x", headers=[("x-a", "tab\there")])
    eq((answer.header("x-path"), answer.header("x-none"), answer.header("x-a")),
       ("/say/x", None, "tab\there"), "fields of the response")
    dump = gateway.config_dump()["binds"][0]["listeners"]["gateway/default"]["routes"]
    policy = dump["gateway/default/default/route0"]["inlinePolicies"][0]["directResponse"]
    conditions = [at.get("condition") for at in policy["conditional"]]
    check("source.address" in conditions[1] and conditions[2] is None, f"in the dump: {conditions}")
    check("status" not in policy, f"a status beside the conditions: {policy}")


@test("a condition that gives up refuses: the request neither passes nor gets another answer")
def gives_up():
    gateway = Gateway("""
gateways: {default: {port: @port@}}
routes:
- policies:
    directResponse:
      conditional:
      - {condition: 'request.headers["x-a"].matches("(a|b)*c{1,400}")', status: 403}
      - {status: 200, body: open}
""")
    eq(gateway.fetch("/").text, "open", "without the field")
    eq(gateway.fetch("/", headers=[("x-a", "ab" * 7000)]).status, 400, "a value that is too long to match")

GROUPS = """
gateways: {default: {port: @port@}, other: {port: @other@}}
routes:
- gateways: [default, other]
  name: team
  matches: [{path: {pathPrefix: /team}}]
  policies:
    timeout: {requestTimeout: 300ms}
    responseHeaderModifier: {set: {x-by: parent}}
  backends: [{routeGroup: team}]
- matches: [{path: {pathPrefix: /split}}]
  backends: [{routeGroup: one, weight: 1}, {routeGroup: nothing, weight: 0}]
- matches: [{path: {pathPrefix: /}}]
  policies: {directResponse: {status: 200, body: outside}}
routeGroups:
- name: team
  routes:
  - matches: [{path: {pathPrefix: /team/slow}}]
    backends: [{host: @origin@}]
    policies: {urlRewrite: {path: {prefix: /delay}}, timeout: {requestTimeout: 5s}}
  - matches: [{path: {pathPrefix: /team/late}}]
    backends: [{host: @origin@}]
    policies: {urlRewrite: {path: {prefix: /delay}}}
  - hostnames: [a.example]
    matches: [{path: {exact: /team/host}}]
    policies: {directResponse: {status: 200, body: a}}
  - matches: [{path: {pathPrefix: /team/deep}}]
    backends: [{routeGroup: one}]
- name: one
  routes:
  - policies: {directResponse: {status: 200, body: one}}
- {name: nothing, routes: []}
"""


@test("a route hands requests on to a group: both matches must fit, and its policies hold below", waits=True)
def route_groups():
    serves(GROUPS, [
        Ask("/team/slow/1"), Ask("/team/late/1", 504), Ask("/team/slow/1", port="other"),
        Ask("/team/host", body="a", host="a.example"), Ask("/team/host", 404), Ask("/team", 404),
        Ask("/team/deep/er", body="one"), Ask("/split", body="one"), Ask("/", body="outside"),
        Ask("/team", 404, port="other")], origin=Origin())

CORS = "{allowOrigins: ['https://a.example'], allowMethods: [GET]}"
ONE_LISTENER = {
    "gateways": """
gateways:
  one: {port: @port@, cors: %s}
  two: {port: @other@, listeners: [{name: a, hostname: a.example, cors: %s}, {name: b}]}
routes: [{gateways: [one, two], policies: {directResponse: {status: 200, body: x}}}]
""",
    "binds": """
binds:
- port: @port@
  listeners: [{policies: {cors: %s}, routes: [{policies: {directResponse: {status: 200, body: x}}}]}]
- port: @other@
  listeners:
  - hostname: a.example
    policies: {cors: %s}
    routes: [{policies: {directResponse: {status: 200, body: x}}}]
  - {hostname: b.example, routes: [{policies: {directResponse: {status: 200, body: x}}}]}
"""}


@test("a policy that is written at a listener holds there alone, also if others have its name, in both forms")
def listener_policy():
    for form, text in ONE_LISTENER.items():
        gateway = Gateway(text % (CORS, CORS))
        for port, host, allowed in (("port", "a.example", True), ("other", "a.example", True),
                                    ("other", "b.example", False)):
            port = gateway.ports.get(port) or gateway.port
            answer = gateway.fetch("/", port=port, host=host, headers=[("Origin", "https://a.example")])
            eq(answer.header("access-control-allow-origin"), "https://a.example" if allowed else None,
               f"{form}: {host} on {port}")
