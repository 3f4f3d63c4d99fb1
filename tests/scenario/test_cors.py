# SPDX-License-Identifier: Apache-2.0
"""CORS: what browsers get from backends, from the gateway itself, and before a route is chosen."""
from hg import *
from hg.h2 import fetch2
from hg.mcp import McpGateway, McpServer, config
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted, play

ORIGIN = "https://app.test"
CORS = """{allowOrigins: ["https://app.test", "https://*.wild.test"], allowMethods: [GET, PUT],
          allowHeaders: [x-one], exposeHeaders: [x-two], maxAge: 10m, allowCredentials: true}"""
CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: gone
      matches: [{path: {pathPrefix: /gone}}]
      policies: {cors: %(cors)s}
      backends: [{host: "127.0.0.1:@closed@"}]
    - name: text
      matches: [{path: {pathPrefix: /text}}]
      policies: {cors: %(cors)s, directResponse: {status: 403, body: no}}
    - name: moved
      matches: [{path: {pathPrefix: /moved}}]
      policies: {cors: %(cors)s, requestRedirect: {path: {full: /get}}}
      backends: [{host: @origin@}]
    - name: slow
      matches: [{path: {pathPrefix: /delay}}]
      policies: {cors: %(cors)s, timeout: {requestTimeout: 200ms}}
      backends: [{host: @origin@}]
    - name: all
      policies: {cors: %(cors)s}
      backends: [{host: @origin@}]
""" % {"cors": CORS}
PREFLIGHT = [("Origin", ORIGIN), ("Access-Control-Request-Method", "PUT")]


def allows(response, origin=ORIGIN, what="the response"):
    eq(response.header("access-control-allow-origin"), origin, f"allow-origin of {what}")
    check("Origin" in (response.header("vary") or ""), f"{what} has no Vary: Origin")


@test("an allowed preflight is answered without the backend, and the connection stays usable")
def preflight():
    gateway, backend = acted(CONFIG)
    client = gateway.client()
    for _ in range(2):
        response = client.request("OPTIONS", "/x", headers=PREFLIGHT).response("OPTIONS")
        eq(response.status, 200, "status")
        eq(response.body, b"", "body")
        allows(response)
        for name, value in (("methods", "GET, PUT"), ("headers", "x-one"), ("credentials", "true")):
            eq(response.header(f"access-control-allow-{name}"), value, name)
        eq(response.header("access-control-max-age"), "600", "max-age")
        eq(response.header("access-control-expose-headers"), "x-two", "expose-headers")
    backend.expect_no_connection(0.2)
    eq(gateway.wait_log()["close_reason"], "local_reply", "the log")


@test("other origins are served as without the policy, and preflights of them get 200 without CORS fields")
def other_origins():
    gateway, origin = play(CONFIG)
    for wrong in ("https://evil.test", "http://app.test", "https://app.test.evil.test", "null",
                  "https://wild.test"):
        response = gateway.fetch("/get", headers=[("Origin", wrong)])
        eq(response.status, 200, f"status for {wrong}")
        eq(response.header("access-control-allow-origin"), None, f"allow-origin for {wrong}")
        check("Origin" in response.header("vary"), "a cache would mix origins")
        response = gateway.fetch("/get", method="OPTIONS", headers=[("Origin", wrong), PREFLIGHT[1]])
        eq((response.status, response.header("access-control-allow-origin")), (200, None), wrong)
    two = [("Origin", ORIGIN), ("Origin", ORIGIN)]
    eq(gateway.fetch("/get", headers=two).header("access-control-allow-origin"), None, "two Origin fields")
    check("Origin" in gateway.fetch("/get").header("vary"), "a response without Origin may be cached, too")


@test("an OPTIONS request that is no preflight reaches the backend")
def plain_options():
    gateway, backend = acted(CONFIG)
    client = gateway.client().request("OPTIONS", "/x", headers=[("Origin", ORIGIN)])
    upstream = backend.accept()
    eq(upstream.read_request().method, "OPTIONS", "method")
    upstream.respond(200, [("Allow", "GET")])
    allows(client.response("OPTIONS"))


@test("responses of backends and of the gateway itself all have the fields")
def every_response():
    gateway, _ = play(CONFIG)
    for path, status in (("/get", 200), ("/status/500", 500), ("/gone", 503), ("/text", 403), ("/moved", 302),
                         ("/delay/60", 504), ("/bad/dup-cl", 502)):
        response = gateway.fetch(path, headers=[("Origin", "https://a.wild.test")])
        eq(response.status, status, f"status of {path}")
        allows(response, "https://a.wild.test", path)
        eq(response.header("access-control-allow-credentials"), "true", f"credentials of {path}")
    for path, status in (("/get", 200), ("/text", 403), ("/gone", 503)):
        response = fetch2(gateway.port, path, extra=[("origin", ORIGIN)])
        eq(response.status, status, f"HTTP/2 status of {path}")
        allows(response, what=f"HTTP/2 {path}")


@test("fields of the backend never widen the policy, and its Vary stays")
def backend_fields():
    gateway, backend = acted(CONFIG)
    for origin, expected in ((ORIGIN, ORIGIN), ("https://evil.test", None)):
        client = gateway.client().request("GET", "/x", headers=[("Origin", origin)])
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(200, [("Access-Control-Allow-Origin", "*"), ("Vary", "Accept"),
                               ("Access-Control-Allow-Credentials", "true"), ("Connection", "close")])
        response = client.response()
        eq(response.headers.all("access-control-allow-origin"), [expected] if expected else [], origin)
        eq(response.header("access-control-allow-credentials"), "true" if expected else None, "credentials")
        check("Accept" in response.header("vary"), "the backend's Vary is lost")


def attached(name, target, more, policy="cors: {allowOrigins: ['%s'], allowMethods: [GET]}" % ORIGIN):
    return f"- {{name: {{name: {name}, namespace: default}}, target: {target}, {more}policy: {{{policy}}}}}"


BARE = """
policies:
%s
binds:
- port: @port@
  listeners:
  - name: web
    routes:
    - name: only
      matches: [{path: {pathPrefix: /get}}]
      backends: [{host: @origin@}]
"""


@test("in the gateway phase the policy comes before routes: a 404 has the fields, too")
def gateway_phase():
    gateway, _ = play(BARE % attached("g", "{gateway: {listenerName: web}}", "phase: gateway, "))
    for path, status in (("/get", 200), ("/nowhere", 404)):
        response = gateway.fetch(path, headers=[("Origin", ORIGIN)])
        eq(response.status, status, path)
        allows(response, what=path)
    response = gateway.fetch("/nowhere", method="OPTIONS",
                             headers=[("Origin", ORIGIN), ("Access-Control-Request-Method", "GET")])
    eq(response.status, 200, "a preflight without a route")
    dump = gateway.config_dump()["policies"][0]
    eq(dump["policy"], {"traffic": {"phase": "gateway", "cors": {
        "allowCredentials": False, "allowMethods": ["GET"], "allowOrigins": [ORIGIN]}}}, "the dump")


@test("in the route phase a 404 has no fields; after a reload the new policy applies")
def route_phase():
    gateway, _ = play(BARE % attached("g", "{gateway: {}}", ""))
    allows(gateway.fetch("/get", headers=[("Origin", ORIGIN)]))
    response = gateway.fetch("/nowhere", headers=[("Origin", ORIGIN)])
    eq((response.status, response.header("access-control-allow-origin")), (404, None), "no route")
    gateway.reload(BARE % attached("g", "{gateway: {}}", "", "cors: {allowOrigins: ['https://new.test']}"))
    eq(gateway.fetch("/get", headers=[("Origin", ORIGIN)]).header("access-control-allow-origin"), None, "old")
    allows(gateway.fetch("/get", headers=[("Origin", "https://new.test")]), "https://new.test")


@test("a policy that would protect nothing is refused when it is loaded")
def no_effect():
    for target, more, words in (
            ("{backend: {backend: {name: b}}}", "", "guards nothing: attach it to a gateway or a route"),
            ("{route: {name: only}}", "phase: gateway, ", "needs a gateway as its target")):
        status, _, errors = validate(BARE % attached("g", target, more), origin="a:1")
        check(status != 0 and words in errors, errors)


FILTER = """  - filters:
    - type: CORS
      cors: %s
    backendRefs: [{name: svc, port: 80}]
---"""


@test("HTTPRouteCORS: the filter of an HTTPRoute does what the conformance suite asks")
def conformance():
    names = "allowMethods: [GET, OPTIONS], allowHeaders: [x-header-1, x-header-2], " \
            "exposeHeaders: [x-header-3, x-header-4]"
    gateway = Gateway(GATEWAY + ROUTE + FILTER % (
        "{allowOrigins: ['https://www.foo.com', 'https://*.bar.com'], %s, maxAge: 3600}" % names) + SERVICE,
        origin_port=Origin().port)

    def ask(origin, method="OPTIONS", *more):
        fields = [("Origin", origin), ("access-control-request-method", "GET"), *more]
        return gateway.fetch("/get", method=method, headers=fields if method == "OPTIONS" else fields[:1])

    for origin in ("https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"):
        response = ask(origin, "OPTIONS", ("access-control-request-headers", "x-header-1, x-header-2"))
        check(response.status in (200, 204), f"status {response.status}")
        allows(response, origin)
        for name, value in (("allow-methods", "GET, OPTIONS"), ("allow-headers", "x-header-1, x-header-2"),
                            ("expose-headers", "x-header-3, x-header-4"), ("max-age", "3600"),
                            ("allow-credentials", None)):
            eq(response.header("access-control-" + name), value, name)
        response = ask(origin, "GET")
        eq(response.status, 200, "a simple request")
        allows(response, origin)
    for origin in ("http://www.foo.com", "https://foobar.com", "https://bar.com"):
        eq(ask(origin).header("access-control-allow-origin"), None, origin)
        response = ask(origin, "GET")
        eq((response.status, response.header("access-control-allow-origin")), (200, None), origin)
    every = "allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*']"
    gateway.reload(GATEWAY + ROUTE + FILTER % ("{%s}" % every) + SERVICE)
    response = ask("https://other.test:12345", "OPTIONS", ("access-control-request-headers", "x-any"))
    allows(response, "https://other.test:12345")
    eq(response.header("access-control-allow-credentials"), None, "credentials")
    eq(response.header("access-control-max-age"), "5", "the default of maxAge")
    gateway.reload(GATEWAY + ROUTE + FILTER % ("{%s, exposeHeaders: [x-e], allowCredentials: true}" % every)
                   + SERVICE)
    response = ask("https://other.test", "OPTIONS", ("access-control-request-headers", "x-any"))
    allows(response, "https://other.test")
    for name, value in (("allow-credentials", "true"), ("allow-methods", "GET"), ("allow-headers", "x-any")):
        eq(response.header("access-control-" + name), value, name)


POLICY = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s}]
  traffic: {%scors: {allowOrigins: ['https://app.test']}}
---"""


@test("an AgentgatewayPolicy works on a Gateway in both phases, and on a route")
def manifests():
    bare = ROUTE + "  - {matches: [{path: {value: /get}}], backendRefs: [{name: svc, port: 80}]}\n---"
    gateway, origin = None, Origin()
    for target, phase, without_route in (("Gateway, name: gw", "", None),
                                         ("HTTPRoute, name: route", "", None),
                                         ("Gateway, name: gw", "phase: PreRouting, ", ORIGIN)):
        text = GATEWAY + bare + POLICY % (target, phase) + SERVICE
        if gateway:
            eq(gateway.reload(text)["errors"], [], "errors")
        else:
            gateway = Gateway(text, origin_port=origin.port)
        allows(gateway.fetch("/get", headers=[("Origin", ORIGIN)]))
        eq(gateway.fetch("/nowhere", headers=[("Origin", ORIGIN)]).header("access-control-allow-origin"),
           without_route, f"404 with {target} {phase}")


@test("pages of allowed origins reach an MCP server")
def mcp():
    server = McpServer()
    gateway = McpGateway(config([server.target()], {"cors": {
        "allowOrigins": [ORIGIN], "allowMethods": ["*"], "allowHeaders": ["*"],
        "exposeHeaders": ["mcp-session-id"]}}, allowedOrigins=[ORIGIN]))
    fields = [("Origin", ORIGIN), ("Access-Control-Request-Method", "POST"),
              ("Access-Control-Request-Headers", "content-type, mcp-protocol-version")]
    response = gateway.fetch("/mcp", method="OPTIONS", headers=fields)
    eq((response.status, response.header("access-control-allow-headers")),
       (200, "content-type, mcp-protocol-version"), "the preflight")
    response = gateway.fetch("/mcp", method="POST", headers=[("Origin", ORIGIN)], body=b"{}")
    check(response.status >= 400, "a message that is none")
    allows(response)
    eq(response.header("access-control-expose-headers"), "mcp-session-id", "expose-headers")
