# SPDX-License-Identifier: Apache-2.0
"""Expressions change requests and responses, and choose what is retried."""
from hg import *
from hg.h2 import fetch2
from plays import acted, play

ROUTES = """
binds:
- port: @port@
  listeners:
  - policies:
      transformations: %s
    routes:
    - name: moved
      matches: [{path: {pathPrefix: /moved}}]
      policies:
        transformations: %s
        requestHeaderModifier: {add: {x-last: modifier}}
      backends:
      - host: @origin@
        policies:
          transformations: %s
    - name: other
      backends: []
"""
LISTENER = """
        request: {set: {':path': '"/moved" + request.pathAndQuery', x-listener: 'request.host'}}
        response: {set: {x-order: 'response.headers["x-order"] + "-listener"'}}
"""
ROUTE = """
          conditional:
          - condition: request.headers["x-kind"] == "a"
            request: {set: {x-route: '"a"', x-user: 'jwt.sub'}, remove: [x-kind]}
            response: {set: {x-order: '"route"', ':status': '299'}}
          - request: {set: {x-route: '"default"'}}
            response: {set: {x-order: '"default"'}}
"""
BACKEND = """
            request: {set: {x-backend: 'backend.type + " " + request.headers["x-route"]'}}
            response: {set: {x-order: 'response.headers["x-order"] + "-backend"'}, remove: [server]}
"""


def values(request, name):
    return request.headers.all(name)


@test("a request passes the listener, the route and the backend, its response the other way, in their order")
def order():
    gateway, backend = acted(ROUTES % (LISTENER, ROUTE, BACKEND))
    for kind, name, status in (("a", "a", 299), ("b", "default", 200)):
        client = gateway.client().request("GET", "/x?y=1", host="shop.example", headers=[
            ("X-Kind", kind), ("X-User", "forged"), ("X_User", "forged"),
            # The client cannot take out what the policy sets.
            ("Connection", "x-listener, x-route, x-backend")])
        upstream = backend.accept()
        request = upstream.read_request()
        eq(request.target, "/moved/x?y=1", "path")
        eq(values(request, "x-listener"), ["shop.example"], "set by the listener")
        eq(values(request, "x-route"), [name], "set by the route")
        eq(values(request, "x-backend"), ["static " + name], "set by the backend")
        eq(values(request, "x-last"), ["modifier"], "the header modifier")
        if kind == "a":
            eq(values(request, "x-user") + values(request, "x_user"), [], "what has no value")
            eq(values(request, "x-kind"), [], "what is removed")
        upstream.respond(200, headers=[("Server", "s"), ("X-Order", "backend")], body=b"body")
        answer = client.response()
        upstream.close()
        eq((answer.status, answer.text), (status, "body"), "answer")
        eq(answer.headers["x-order"], {"a": "route", "b": "default"}[kind] + "-backend-listener", "order")
        check("Server" not in answer.headers, "a removed header is there")
        record = gateway.wait_log(lambda r, k=name: r["http.status"] == str(status))
        eq((record["http.path"], record["route"]), ("/x?y=1", "default/moved"), "what the log has")


@test("over HTTP/2 a request is transformed as well, and a value that no field can have is left out")
def h2():
    gateway, origin = play(ROUTES % ("{request: {set: {':path': '\"/moved\"'}}}",
                                     "{request: {set: {':path': '\"/headers\"', x-a: '\"a\\r\\nb: c\"', x-b: "
                                     "request.method}}}", "{response: {remove: [none]}}"))
    answer = fetch2(("127.0.0.1", gateway.port), "/any", extra=[("x-a", "forged")])
    fields = {name.lower(): value for name, value in answer.json()["headers"].items()}
    eq(answer.status, 200, "status")
    eq((fields.get("x-b"), fields.get("x-a")), ("GET", None), "fields")


RETRY = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        retry:
          attempts: 1
          codes: [503]
          precondition: request.method == "GET"
          condition: response.headers["x-try-again"] == "1"
      backends:
      - host: @origin@
"""


@test("a condition selects responses to retry, and a precondition the requests")
def retries():
    gateway, backend = acted(RETRY)
    for method, status, again, attempts in (("GET", 200, "1", 2), ("GET", 200, "0", 1), ("GET", 503, "0", 2),
                                            ("POST", 200, "1", 1), ("POST", 503, "1", 1)):
        client = gateway.client().request(method, "/", body=b"x" if method == "POST" else None)
        for attempt in range(attempts):
            upstream = backend.accept()
            upstream.read_request()
            last = attempt == attempts - 1
            upstream.respond(status if not last or attempts == 1 else 200,
                             headers=[("X-Try-Again", again if not last or attempts == 1 else "0")])
            upstream.close()
        answer = client.response()
        eq(answer.status, status if attempts == 1 else 200, f"{method} {status} {again}")


NOTED = """
frontendPolicies:
  accessLog:
    add: {tier: metadata.tier, code: string(metadata.code), model: metadata.model}
binds:
- port: @port@
  listeners:
  - policies:
      transformations: {request: {metadata: {tier: 'request.headers["x-tier"]'}}}
    routes:
    - name: all
      policies:
        authorization: {rules: [{deny: 'metadata.tier == "blocked"'}]}
        transformations:
          request:
            metadata: {model: json(request.body).model}
            replace: 'request.headers.filterKeys(k, k in ["x-tier", "x-list"])'
            set: {x-model: metadata.model}
          response:
            metadata: {code: response.code}
            replace: '{"x-only": metadata.tier, "set-cookie": ["a=1", "b=2"]}'
      backends:
      - host: @origin@
"""


@test("metadata is for later policies, the response and the log, and a map becomes all headers")
def metadata():
    gateway, backend = acted(NOTED)
    client = gateway.client().request("POST", "/", body=b'{"model": "m-1"}', host="shop.example", headers=[
        ("X-Tier", "gold"), ("X-List", "1"), ("X-LIST", "2"), ("X-Model", "forged"), ("Authorization", "a")])
    upstream = backend.accept()
    request = upstream.read_request()
    eq(sorted(name.lower() for name, _ in request.headers.pairs if name.lower() != "connection"),
       ["content-length", "host", "x-list", "x-list", "x-model", "x-tier"], "headers")
    eq((values(request, "x-list"), values(request, "x-model")), (["1", "2"], ["m-1"]), "values")
    upstream.respond(201, headers=[("Server", "s"), ("X-Old", "1")], body=b"body")
    answer = client.response()
    upstream.close()
    eq((answer.status, answer.text, answer.headers.all("x-only"), answer.headers.all("set-cookie")),
       (201, "body", ["gold"], ["a=1", "b=2"]), "answer")
    check("Server" not in answer.headers and "X-Old" not in answer.headers, "a header of the backend stays")
    record = gateway.wait_log(lambda r: r.get("tier") == "gold")
    eq((record["code"], record["model"]), ("201", "m-1"), "the log")
    eq(gateway.client().request("GET", "/", headers=[("X-Tier", "blocked")]).response().status,
       403, "a rule")
    # There is no map for the response.
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    eq(values(upstream.read_request(), "x-model"), [], "what has no value")
    upstream.respond(200, headers=[("X-Old", "1")], body=b"secret")
    answer = client.response()
    eq((answer.status, answer.text), (502, "the response cannot be transformed"), "without a map")
    record = gateway.wait_log(lambda r: r["http.status"] == "502")
    eq(record["close_reason"], "body_not_transformed", "reason")


PLACES = """
frontendPolicies:
  accessLog: {add: {first: metadata.first, second: metadata.second}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {retry: {attempts: 1, codes: [503]}}
      backends:
      - host: @origin@
        weight: 1000000
        policies: {transformations: {request: {metadata: {first: '"1"'}, set: {x-first: metadata.first}}}}
      - host: @other@
        weight: 1
        policies: {transformations: {request: {metadata: {second: '"2"'}, set: {x-first: metadata.first}}}}
"""


@test("what was noted for one backend does not count for an attempt at another")
def noted_for_one():
    other = Backend()
    gateway, backend = acted(PLACES, other=other)
    client = gateway.client().request("GET", "/")
    for place, first, status in ((backend, ["1"], 503), (other, [], 200)):
        upstream = place.accept()
        eq(values(upstream.read_request(), "x-first"), first, "header")
        upstream.respond(status, [("Connection", "close")])
    eq(client.response().status, 200, "status")
    record = gateway.wait_log(lambda r: r["http.status"] == "200")
    eq((record.get("first"), record.get("second")), (None, "2"), "the log")
