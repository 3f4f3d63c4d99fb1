# SPDX-License-Identifier: Apache-2.0
"""extAuthz over HTTP: a service decides, nobody can send its headers, and without an answer nobody enters."""
import json

from crashes import kill
from credentials import Issuer, bearer, token, written
from hg import *
from hg.framework import Failure
from hg.h2 import fetch2
from judge import Judge
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted, play

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: guarded
      policies:
        extAuthz: %s
      backends: [{host: @origin@}]
"""
LISTED = "includeResponseHeaders: [x-user, x-role]"
RULES = """
  - matches: [{path: {value: /filter}}]
    filters:
    - type: ExternalAuth
      externalAuth:
        protocol: HTTP
        backendRef: {name: judge, port: 80}
        http: {path: /auth, allowedHeaders: [cookie]}
    backendRefs: [{name: svc, port: 80}]
  - matches: [{path: {value: /lost}}]
    filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: none, port: 80}}}]
    backendRefs: [{name: svc, port: 80}]
  - matches: [{path: {value: /policy}}]
    name: policy
    backendRefs: [{name: svc, port: 80}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: judged, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route, sectionName: policy}]
  traffic:
    extAuth:
      url: http://@judge@
      failureMode: FailClosed
      http: {path: '"/ask"', allowedRequestHeaders: [x-a], addRequestHeaders: {x-b: request.path},
             allowedResponseHeaders: [x-user]}
"""
JUDGE = SERVICE.replace("svc", "judge").replace("@origin_port@", "@judge_port@")


def guarded(address, http="", more=""):
    return CONFIG % ("{host: '%s', protocol: {http: {%s}}%s}" % (address, http, more))


@test("a service admits with 2xx: the backend gets its headers, and only those that are listed")
def admits():
    judge = Judge(lambda request: (200, [("X-User", "alice"), ("X-Other", "1")], b""))
    gateway, backend = acted(guarded(judge.address, LISTED))
    upstream = None
    for method, target in (("GET", "/a?b=1"), ("POST", "/c")):
        client = gateway.client().request(method, target, headers=[("Authorization", "t"), ("Cookie", "c")])
        upstream = upstream or backend.accept()
        head = upstream.read_request()
        eq((head.header("x-user"), head.header("x-other"), head.header("authorization")),
           ("alice", None, "t"), "what the backend gets")
        upstream.respond(200)
        eq(client.response().status, 200, "the response")
    asked = judge.asked[0]
    eq((asked.command, asked.path, asked.headers["authorization"], asked.headers["cookie"]),
       ("GET", "/a?b=1", "t", None), "what the service is asked")
    eq((asked.headers["x-forwarded-method"], asked.headers["x-forwarded-uri"],
        asked.headers["x-forwarded-proto"], asked.headers["x-forwarded-for"]),
       ("GET", "/a?b=1", "http", "127.0.0.1"), "as forward authentication asks")
    eq(asked.headers["host"], asked.headers["x-forwarded-host"], "the host of the request")
    eq((judge.asked[1].command, judge.asked[1].headers["content-length"]), ("POST", "0"), "without the body")


@test("a client cannot send the headers of the service, in any spelling, nor have them removed")
def spoofed():
    headers = iter([[("X-User", "alice")], [("X-User", "alice")], []])
    judge = Judge(lambda request: (200, next(headers), b""))
    gateway, backend = acted(guarded(judge.address, LISTED))
    spoofs = (
        [("X-User", "root"), ("x_user", "root"), ("X-Role", "admin"), ("X_Role", "admin")],
        [("Connection", "close, X-User"), ("X-User", "root")],
        [("X-User", "root"), ("X_User", "root")],
    )
    upstream = None
    for spoof, expected in zip(spoofs, ("alice", "alice", None)):
        client = gateway.client().request("GET", "/", headers=spoof)
        upstream = upstream or backend.accept()
        head = upstream.read_request()
        for name in ("x_user", "x-role", "x_role"):
            eq(head.header(name), None, name)
        eq(head.header("x-user"), expected, "the user")
        upstream.respond(200)
        client.response()


@test("a refusal is the response of the service, and no backend is asked")
def refuses():
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/html"),
               ("X-Why", "no"), ("Keep-Alive", "timeout=9"), ("Connection", "x-hop"), ("X-Hop", "1")]
    answers = {"/403": (403, cookies, b"<p>no</p>"),
               "/302": (302, [("Location", "https://login.test/")], b""), "/404": (404, [], b"")}
    judge = Judge(lambda request: answers[request.path])
    gateway, backend = acted(guarded(judge.address))
    response = gateway.fetch("/403")
    eq((response.status, response.text, response.header("content-type"), response.header("x-why"),
        response.header("keep-alive"), response.header("x-hop")),
       (403, "<p>no</p>", "text/html", "no", None, None), "the response")
    eq([value for name, value in response.headers if name.lower() == "set-cookie"], ["a=1", "b=2"], "cookies")
    eq(gateway.fetch("/302").header("location"), "https://login.test/", "the login page")
    eq(fetch2(gateway.port, "/404").status, 404, "over HTTP/2")
    backend.expect_no_connection(0.1)
    record = gateway.wait_log(count=3)[0]
    eq((record["close_reason"], record["reason"], record["error"]),
       ("ext_authz", "ExtAuth", "the service refuses the request (extAuthz of default/guarded)"), "log")
    metrics = gateway.metrics()
    eq(metrics("headgate_callouts_total", subtype="ext_authz", result="answered"), 3, "calls")
    eq(metrics("headgate_policy_refusals_total", policy="extAuthz", rule="default/guarded"), 3, "refusals")
    eq(metrics("agentgateway_upstream_call_duration_seconds_count", kind="policy", subtype="ext_authz"), 3,
       "times")


@test("a redirect, a path and headers of the question are expressions")
def expressions():
    judge = Judge(lambda request: (401, [], b"no"))
    http = ("path: '\"/auth?rd=\" + request.path', redirect: '\"https://login.test\" + request.path', "
            "addRequestHeaders: {x-original: request.path, x-absent: 'request.headers[\"x-absent\"]'}")
    gateway, _ = acted(guarded(judge.address, http, ", includeRequestHeaders: [cookie]"))
    headers = [("Cookie", "c"), ("Authorization", "t"), ("X-Original", "spoof")]
    response = gateway.client().request("GET", "/x", headers=headers).response()
    eq((response.status, response.header("location")), (302, "https://login.test/x"), "the response")
    asked = judge.asked[0]
    eq((asked.path, asked.headers["x-original"], asked.headers["x-absent"], asked.headers["cookie"],
        asked.headers["authorization"]), ("/auth?rd=/x", "/x", None, "c", None), "the question")


@test("without a valid answer nobody enters: dead, broken, malformed, cut off, too large")
def fails_closed():
    def cut(request):
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        request.wfile.flush()
        request.connection.close()
        return None

    def malformed(request):
        request.wfile.write(b"HTTP/1.1 2000 OK\r\n\r\n")
        return None

    for name, answer in (("broken", lambda request: (500, [], b"")), ("cut off", cut),
                         ("malformed", malformed), ("large", lambda request: (200, [], bytes(1 << 20)))):
        judge = Judge(answer)
        gateway, backend = acted(guarded(judge.address))
        response = gateway.fetch("/")
        eq((response.status, response.text), (403, "external authorization failed"), name)
        backend.expect_no_connection(0.1)
        eq(gateway.wait_log()["close_reason"], "ext_authz_failed", name)
        judge.release.set()
    gateway, backend = acted(guarded("127.0.0.1:1"))
    eq(gateway.fetch("/").status, 403, "dead")
    backend.expect_no_connection(0.1)


@test("failureMode may name a status, or let requests pass, never with a client's headers of the service")
def failure_modes():
    gateway, _ = acted(guarded("127.0.0.1:1", "", ", failureMode: {denyWithStatus: 503}"))
    response = gateway.fetch("/")
    eq((response.status, response.text), (503, "Authorization service unavailable"), "denyWithStatus")
    gateway, backend = acted(guarded("127.0.0.1:1", LISTED, ", failureMode: allow"))
    client = gateway.client().request("GET", "/", headers=[("X-User", "root"), ("x_role", "admin")])
    upstream = backend.accept()
    head = upstream.read_request()
    eq((head.header("x-user"), head.header("x_role")), (None, None), "spoofed headers")
    upstream.respond(200)
    eq(client.response().status, 200, "the response")


@test("failureMode: allow admits nobody whom the service refuses, also if the response is too large")
def refusal_is_no_failure():
    judge = Judge(lambda request: (403, [], bytes(1 << 20)))
    gateway, backend = acted(guarded(judge.address, "", ", failureMode: allow"))
    response = gateway.fetch("/")
    eq((response.status, response.text), (403, "external authorization failed"), "the response")
    backend.expect_no_connection(0.1)


@test("a service that does not answer costs one request its deadline, not each")
def circuit():
    judge = Judge(lambda request: None)
    policies = ", policies: {http: {requestTimeout: 300ms}}"
    gateway, backend = acted(guarded(judge.address, "", policies))
    for _ in range(6):
        eq(gateway.fetch("/").status, 403, "status")
    asked = len(judge.asked)
    metrics = gateway.metrics()
    late = metrics("headgate_callouts_total", subtype="ext_authz", result="late")
    skipped = metrics("headgate_callouts_total", subtype="ext_authz", result="skipped")
    eq((late, late + skipped), (asked, 6), "calls")
    check(skipped > 0, f"{asked} requests waited")
    judge.release.set()
    judge.answer = lambda request: (200, [], b"")

    def enters():
        client = gateway.client().request("GET", "/")
        try:
            upstream = backend.accept(0.3)
        except Failure:
            return False
        upstream.read_request()
        upstream.respond(200)
        return client.response().status == 200

    wait_until(enters, what="the service is asked again")


@test("the client leaves: the call ends with its request")
def client_leaves():
    judge = Judge(lambda request: None)
    gateway, backend = acted(guarded(judge.address))
    client = gateway.client().request("GET", "/")
    wait_until(lambda: judge.asked, what="the service is asked")
    client.rst()
    eq(gateway.wait_log()["close_reason"], "client_rst", "log")
    backend.expect_no_connection(0.1)
    judge.release.set()


@test("conditions choose a form, and none asks nobody")
def conditional():
    judge = Judge(lambda request: (403, [], request.headers["x-form"].encode()))
    form = ("{condition: '%s', host: '" + judge.address +
            "', protocol: {http: {addRequestHeaders: {x-form: '\"%s\"'}}}}")
    cases = ", ".join((form % ('request.path == "/a"', "first"),
                       form % ('request.path.startsWith("/b")', "second")))
    gateway, _ = play(CONFIG % ("{conditional: [%s]}" % cases))
    eq([gateway.fetch(path).text for path in ("/a", "/bc")], ["first", "second"], "forms")
    eq(gateway.fetch("/status/204").status, 204, "no form")
    eq(len(judge.asked), 2, "calls")


@test("a key for the service goes to it, and not to the backend")
def key():
    judge = Judge(lambda request: (200, [], b""))
    policies = ", policies: {backendAuth: {key: c2VjcmV0}}"
    gateway, backend = acted(guarded(judge.address, "", policies))
    client = gateway.client().request("GET", "/", headers=[("Authorization", "Bearer mine")])
    upstream = backend.accept()
    eq(upstream.read_request().header("authorization"), "Bearer mine", "at the backend")
    upstream.respond(200)
    eq(client.response().status, 200, "the response")
    eq([question.headers["authorization"] for question in judge.asked], ["Bearer c2VjcmV0"], "at the service")


@test("a service gets the token that jwtAuth took out, and what expressions make of its request")
def call_policies():
    issuer = Issuer()
    good = token(issuer.add("one"), "one")
    keys = written("keys.json", json.dumps({"keys": issuer.keys}))
    judge = Judge(lambda request: (200, [], b""))
    gateway, backend = acted("""
binds:
- port: @port@
  listeners:
  - routes:
    - policies:
        jwtAuth: {mode: optional, issuer: 'https://issuer', audiences: [gw], jwks: {file: %s}}
        extAuthz:
          host: '%s'
          protocol: {http: {}}
          failureMode: allow
          includeRequestHeaders: [x-sub, x-count]
          policies:
            http: {requestTimeout: 60s}
            backendAuth: {passthrough: {}}
            transformations:
              request:
                metadata: {long: 'request.headers["x-count"] + request.headers["x-count"]'}
                set: {x-sub: jwt.sub, ':path': '"/check" + request.path', x-type: backend.type}
      backends: [{host: @origin@}]
""" % (keys, judge.address))
    for headers, want in ((bearer(good), ("Bearer " + good, "alice")), ([], (None, None))):
        client = gateway.client().request("GET", "/a", headers=headers + [("X-Sub", "forged")])
        upstream = backend.accept()
        request = upstream.read_request()
        eq((request.target, request.header("x-sub"), request.headers.all("authorization")),
           ("/a", "forged", []), "the backend's request is another")
        upstream.respond(200, headers=[("Connection", "close")])
        upstream.close()
        eq(client.response().status, 200, "status")
        asked = judge.asked.pop()
        eq((asked.path, asked.headers["x-type"]), ("/check/a", "static"), "path, backend")
        eq((asked.headers["authorization"], asked.headers["x-sub"]), want, "token, claim")
    # What nobody can evaluate is refused, and nobody is asked.
    answer = gateway.client().request("GET", "/", headers=[("X-Count", "a" * 5000)]).response()
    eq(answer.status, 400, "limit")
    eq(judge.asked, [], "questions")


@test("at a listener it decides before the route, and its headers choose one")
def gateway_phase():
    judge = Judge(lambda request: (200, [("X-User", "alice")], b""))
    gateway, backend = acted("""
binds:
- port: @port@
  listeners:
  - policies:
      extAuthz: {host: '%s', protocol: {http: {includeResponseHeaders: [x-user]}}}
    routes:
    - matches: [{path: {pathPrefix: /}, headers: [{name: x-user, value: {exact: alice}}]}]
      policies: {authorization: {rules: ['request.headers["x-user"] == "alice"']}}
      backends: [{host: @origin@}]
""" % judge.address)
    client = gateway.client().request("GET", "/", headers=[("X-User", "bob")])
    upstream = backend.accept()
    eq(upstream.read_request().header("x-user"), "alice", "the user")
    upstream.respond(200)
    eq(client.response().status, 200, "the response")


@test("after kill -9 no request enters that waited for the service, and later ones are asked about")
def crash():
    judge = Judge(lambda request: None)
    backend = Backend()
    gateway = Gateway(guarded(judge.address), origin=backend, workers=1, keeper=True)
    client = gateway.client().request("GET", "/waits")
    wait_until(lambda: judge.asked, what="the service is asked")
    judge.answer = lambda request: (403, [], b"no")
    kill(gateway)
    judge.release.set()
    client.expect_end()
    eq(gateway.fetch("/later").status, 403, "a later request")
    backend.expect_no_connection(0.1)


@test("metadata of an answer are expressions about it, for the log and later rules")
def metadata():
    judge = Judge(lambda request: (200 if request.path == "/in" else 403, [("X-User", "alice")],
                                   b'{"Node": {"Name": "ann"}}'))
    http = ("metadata: {user: 'response.headers[\"x-user\"]', code: response.code, "
            "none: 'response.headers.x', node: json(response.body).Node.Name}, "
            "addRequestHeaders: {':authority': '\"local.sock\"'}")
    added = "{who: extauthz.user, code: extauthz.code, none: extauthz.none, node: extauthz.node}"
    log = "frontendPolicies: {accessLog: {add: %s}}" % added
    gateway, backend = acted(log + guarded(judge.address, http))
    eq(gateway.fetch("/out").status, 403, "refused")
    client = gateway.client().request("GET", "/in", headers=[("X-User", "root")])
    backend.accept().read_request()
    client.close()
    records = gateway.wait_log(count=2)
    eq([(entry["who"], entry["code"], entry.get("none"), entry["node"]) for entry in records],
       [("alice", "403", None, "ann"), ("alice", "200", None, "ann")], "the log")
    eq({asked.headers["host"] for asked in judge.asked}, {"local.sock"}, "the host that the service sees")


@test("manifests: a policy with url, a filter with a Service, and a rule whose service is lost")
def manifests():
    judge = Judge(lambda request: (200, [("X-User", "alice"), ("X-Other", "1"), ("Server", "judge")], b""))
    backend, port = Backend(), judge.address.partition(":")[2]
    gateway = Gateway(GATEWAY + SERVICE + JUDGE + ROUTE + RULES, origin_port=backend.port,
                      judge=judge.address, judge_port=port, workers=1)
    headers = [("X-A", "1"), ("Cookie", "c"), ("X-User", "root"), ("X-Other", "root")]
    upstream = None
    for path, expected in (("/policy", ("alice", "root", None)), ("/filter", ("alice", "1", None))):
        client = gateway.client().request("GET", path, headers=headers)
        upstream = upstream or backend.accept()
        head = upstream.read_request()
        eq((head.header("x-user"), head.header("x-other"), head.header("server")), expected, path)
        upstream.respond(200)
        eq(client.response().status, 200, path)
    eq([(asked.path, asked.headers["x-a"], asked.headers["x-b"], asked.headers["cookie"])
        for asked in judge.asked],
       [("/ask", "1", "/policy", None), ("/auth/filter", None, None, "c")], "questions")
    eq(gateway.fetch("/lost").status, 500, "a rule without its service")
    eq(len(judge.asked), 2, "calls")


@test("the dump shows the policy as agentgateway does")
def dumped():
    form = ("{host: 'a.test:80', protocol: {http: {path: request.path, includeResponseHeaders: [x-user]}}, "
            "failureMode: {denyWithStatus: 503}, policies: {http: {requestTimeout: 1s}}, "
            "includeRequestBody: {maxRequestBytes: 10}, cache: {key: [request.path], ttl: 30s}}")
    gateway, _ = play(CONFIG % form)
    route = gateway.config_dump()["binds"][0]["listeners"]
    route = list(list(route.values())[0]["routes"].values())[0]
    policy = route["inlinePolicies"][0]["extAuthz"]
    check(policy.pop("backend").endswith("/guarded/callout0"), "the service")
    eq(policy, {"inlinePolicies": [{"http": {"version": None, "requestTimeout": "1s"}}],
                "protocol": {"http": {"path": "request.path", "includeResponseHeaders": ["x-user"]}},
                "failureMode": {"denyWithStatus": 503}, "includeRequestBody": {"maxRequestBytes": 10},
                "cache": {"key": ["request.path"], "ttl": "30s", "maxEntries": 10000}}, "the policy")


@test("a reload takes another service, and connections to it are kept")
def reloads():
    first = Judge(lambda request: (200, [], b""))
    second = Judge(lambda request: (403, [], b"second"))
    gateway, _ = play(guarded(first.address))
    for _ in range(3):
        eq(gateway.fetch("/status/204").status, 204, "admitted")
    eq(len(first.connections), 1, "connections to the service")
    gateway.reload(guarded(second.address))
    eq(gateway.fetch("/status/204").text, "second", "after the reload")


CACHE = "cache: {key: ['request.headers[\"x-user\"]', request.path], ttl: %s}"


@test("an answer that admits is kept for requests with the same values, and for no other configuration")
def cached():
    judge = Judge(lambda request: (403 if request.headers["x-user"] == "eve" else 200,
                                   [("X-User", request.headers["x-user"] or "nobody")], b""))
    policy = guarded(judge.address, LISTED, ", includeRequestHeaders: [x-user], " + CACHE % "1h")
    gateway, backend = acted(policy)
    upstream = []

    def admitted(path, user):
        client = gateway.client().request("GET", path, headers=[("X-User", user)] if user else [])
        upstream.append(backend.accept() if not upstream else upstream[0])
        head = upstream[0].read_request()
        upstream[0].respond(200)
        eq(client.response().status, 200, f"{user} at {path}")
        eq(head.header("x-user"), user or "nobody", "what the backend gets")

    for path, user, calls in (("/", "alice", 1), ("/", "alice", 1), ("/", "bob", 2), ("/a", "alice", 3),
                              ("/a", "alice", 3), ("/", None, 4), ("/", None, 5)):
        admitted(path, user)
        eq(len(judge.asked), calls, f"calls after {user} at {path}")
    for calls in (6, 7):
        eq(gateway.fetch("/", headers=[("X-User", "eve")]).status, 403, "a refusal is asked for again")
        eq(len(judge.asked), calls, "calls")
    eq(gateway.metrics()("headgate_callouts_total", subtype="ext_authz", result="cached"), 2, "the metric")
    gateway.reload(policy + "# changed\n")
    admitted("/", "alice")
    eq(len(judge.asked), 8, "calls after a reload")


@test("an answer may say how long it counts, or that it does not")
def cached_for():
    secret = [("Cache-Control", "no-store")]
    judge = Judge(lambda request: (200, secret if request.path == "/no-store" else [], b""))
    ttl = "'response.code == 200 ? duration(\"1h\") : duration(\"1ms\")'"
    gateway, _ = play(guarded(judge.address, "", ", " + CACHE % ttl))
    for path, calls in (("/status/204", 1), ("/status/204", 1)):
        eq(gateway.fetch(path, headers=[("X-User", "a")]).status, 204, path)
        eq(len(judge.asked), calls, "calls")
    for calls in (2, 3):
        gateway.fetch("/no-store", headers=[("X-User", "a")])
        eq(len(judge.asked), calls, "an answer that says no-store")


@test("mistakes are refused, with what to write instead")
def mistakes():
    host = "host: '127.0.0.1:9', "
    for policy, words in (
        ("{}", "host"),
        ("{%s failureMode: open}" % host, "failureMode"),
        ("{%s failureMode: {denyWithStatus: 200}}" % host, "denyWithStatus"),
        ("{%s protocol: {http: {includeResponseHeaders: [host]}}}" % host, "host"),
        ("{%s protocol: {http: {path: 'request.nothing'}}}" % host, "request.nothing"),
        ("{%s includeRequestBody: {}}" % host, "maxRequestBytes"),
        ("{%s includeRequestBody: {maxRequestBytes: 16777217}}" % host, "16777216"),
        ("{%s includeRequestBody: {maxRequestBytes: 1}, protocol: {http: {body: '\"a\"'}}}" % host, "one of"),
        ("{%s cache: {key: [], ttl: 1s}}" % host, "all clients would share"),
        ("{%s cache: {key: [request.path], ttl: '1'}}" % host, "1"),
        ("{%s cache: {key: [request.path], ttl: request.path}}" % host, "is no duration"),
        ("{%s cache: {key: [response.code], ttl: 1s}}" % host, "response.code"),
        ("{%s protocol: {http: {}, grpc: {}}}" % host, "grpc"),
        ("{%s protocol: {http: {}}, policies: {http: {version: HTTP/2.0}}}" % host, "HTTP/1.1"),
        ("{%s policies: {transformations: {response: {remove: [a]}}}}" % host, "change the response"),
        ("{%s policies: {transformations: {request: {set: {':path': '\"/\"'}}}}}" % host, "a call of gRPC"),
        ("{%s policies: {responseHeaderModifier: {remove: [a]}}}" % host, "has no effect"),
        ("{host: '127.0.0.1:9', backend: x}", "backend"),
    ):
        status, _, output = validate(CONFIG % policy, port=1, origin="127.0.0.1:1")
        check(status and words in output, f"{policy}: {output}")
