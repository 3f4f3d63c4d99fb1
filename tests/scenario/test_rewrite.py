# SPDX-License-Identifier: Apache-2.0
"""Rewrites, redirects, header rules and direct answers, as the client and the backend see them."""
from hg import *
from plays import acted, play

BASE = """
binds:
- port: @port@
  listeners:
  - routes:
"""


def route(name, policies, matches="[{path: {pathPrefix: /}}]", backends="[{host: '@origin@'}]"):
    text = f"    - name: {name}\n      matches: {matches}\n      policies:\n"
    text += "".join(f"        {line}\n" for line in policies)
    return text + (f"      backends: {backends}\n" if backends else "")


def seen(client, target, host="asked.test", method="GET", headers=()):
    """(target, Host) at the backend."""
    answer = client.request(method, target, headers, host=host).response().json()
    return answer["target"], answer["headers"]["Host"]


@test("a prefix is replaced by whole segments, the query stays")
def prefix():
    gateway, _ = play(BASE + route("a", ["urlRewrite: {path: {prefix: /anything/new}}"],
                                   "[{path: {pathPrefix: /old}}]")
                      + route("b", ["urlRewrite: {path: {prefix: /}}"], "[{path: {pathPrefix: /strip}}]")
                      + route("c", ["urlRewrite: {path: {prefix: /anything/root}}"],
                              "[{path: {pathPrefix: /}}]"))
    client = gateway.client()
    for target, want in (("/old", "/anything/new"), ("/old/", "/anything/new/"),
                         ("/old/a/b?c=d&e", "/anything/new/a/b?c=d&e"),
                         ("/strip/anything/x", "/anything/x"), ("/strip/anything?q", "/anything?q"),
                         ("/zzz", "/anything/root/zzz"),
                         ("/old/?", "/anything/new/?")):
        eq(seen(client, target)[0], want, f"target of {target}")


@test("a full path replaces all of it, of a regex route as well")
def full():
    gateway, _ = play(BASE + route("a", ["urlRewrite: {path: {full: /anything/full}}"],
                                   "[{path: {regex: '/r[0-9]+'}}]"))
    client = gateway.client()
    eq([seen(client, t)[0] for t in ("/r1", "/r22?x=%20y")], ["/anything/full", "/anything/full?x=%20y"],
       "targets")


@test("the authority is replaced whole, by host, or by port")
def authority():
    for rule, want in (("{full: 'in.test:99'}", "in.test:99"), ("{host: in.test}", "in.test:7"),
                       ("{port: 99}", "asked.test:99"),
                       ("none", "asked.test:7")):
        gateway, _ = play(BASE + route("a", [f"urlRewrite: {{authority: {rule}}}"]))
        eq(seen(gateway.client(), "/anything", host="asked.test:7")[1], want, f"Host with {rule}")


@test("a header that a rule removes or sets reaches the backend in no other spelling")
def other_spellings():
    rule = "requestHeaderModifier: {remove: [x-internal], set: {x-role: guest}}"
    gateway, _ = play(BASE + route("a", [rule]))
    told = gateway.client().request("GET", "/anything", {
        "X_Internal": "1", "x-internal": "2", "X_Role": "admin", "x-role": "admin", "X_Fine": "3"}
    ).response().json()["headers"]
    eq({name.lower(): value for name, value in told.items() if name.lower().startswith(("x_", "x-i", "x-r"))},
       {"x-role": "guest", "x_fine": "3"}, "fields")


@test("a backend given by name gets its own name as Host, unless told otherwise")
def auto_host():
    origin = Origin()
    named = f"[{{host: 'localhost:{origin.port}'}}]"
    for policies, want in ((["urlRewrite: {path: {full: /anything}}"], "localhost"),
                           (["urlRewrite: {path: {full: /anything}, authority: none}"], "asked.test"),
                           (["urlRewrite: {authority: {host: set.test}}"], "set.test")):
        gateway = Gateway(BASE + route("a", policies, backends=named), workers=1)
        eq(seen(gateway.client(), "/anything")[1].split(":")[0], want, f"Host with {policies}")


@test("redirects: status, scheme, host, port and path, with the query kept")
def redirects():
    table = [("{path: {full: /new}, status: 301}", 301, "http://asked.test/new?q=1"),
             ("{scheme: https}", 302, "https://asked.test/old/a?q=1"),
             ("{scheme: https, authority: {host: other.test}, status: 308}", 308,
              "https://other.test/old/a?q=1"),
             ("{authority: {port: 8443}, status: 307}", 307, "http://asked.test:8443/old/a?q=1"),
             ("{authority: {full: 'o.test:1'}, path: {prefix: /x}, status: 303}", 303,
              "http://o.test:1/x/a?q=1")]
    for rule, status, location in table:
        gateway, origin = play(BASE + route("a", [f"requestRedirect: {rule}"], "[{path: {pathPrefix: /old}}]",
                                            backends=None))
        answer = gateway.client().get("/old/a?q=1", host="asked.test")
        eq((answer.status, answer.header("Location"), answer.body), (status, location, b""), rule)
        eq(origin.stats()["connections"], 1, "connections to the backend: this one")


@test("directResponse answers without a backend")
def direct():
    gateway, _ = play(BASE + route("a", ["directResponse: {status: 418, body: 'short and\\nstout'}"],
                                   backends=None))
    answer = gateway.client().get("/")
    eq((answer.status, answer.text, answer.header("Content-Type"), answer.reason),
       (418, "short and\\nstout", "text/plain", ""), "answer")


@test("header rules: remove, then set, then add, on requests and on responses")
def modifiers():
    gateway, _ = play(BASE + route("a", [
        "requestHeaderModifier:", "  add: {x-add: added, x-both: second}", "  set: {x-set: new}",
        "  remove: [X-Gone, x-both]",
        "responseHeaderModifier:", "  add: {x-more: '2'}", "  set: {content-type: text/changed}",
        "  remove: [X-Secret]"]))
    client = gateway.client()
    answer = client.get("/response-headers?X-Secret=1&X-More=1&X-Keep=3", [])
    eq((answer.headers.all("X-More"), answer.header("X-Secret"), answer.header("X-Keep"),
        answer.headers.all("Content-Type")),
       (["1", "2"], None, "3", ["text/changed"]), "response fields")
    sent = [("X-Add", "mine"), ("X-Set", "old"), ("x-set", "older"), ("x-gone", "1"), ("X-GONE", "2"),
            ("X-Both", "first")]
    got = {}
    for name, value in client.get("/anything", sent).json()["order"]:
        got.setdefault(name.lower(), []).append(value)
    eq({k: got.get(k) for k in ("x-add", "x-set", "x-gone", "x-both")},
       {"x-add": ["mine", "added"], "x-set": ["new"], "x-gone": None, "x-both": ["second"]}, "request fields")


@test("rules of a route apply to the 101 and to error answers of the backend as well")
def modifiers_everywhere():
    gateway, _ = play(BASE + route("a", ["responseHeaderModifier: {set: {x-mark: 'yes'}}"]))
    client = gateway.client()
    eq([client.get(f"/status/{s}").header("X-Mark") for s in (200, 204, 304, 404, 500)], ["yes"] * 5,
       "X-Mark")
    eq(WebSocket(gateway.port).response.header("X-Mark"), "yes", "X-Mark of the 101")


@test("rules apply once, also when the request is repeated")
def once():
    gateway, backend = acted(BASE + route("a", ["urlRewrite: {path: {prefix: /x/y}}",
                                                "requestHeaderModifier: {add: {x-n: '1'}}",
                                                "retry: {attempts: 2, codes: [503]}"],
                                                "[{path: {pathPrefix: /x}}]"))
    client = gateway.client().request("GET", "/x/z", [("Via", "1.0 a")])
    for number in range(3):
        upstream = backend.accept()
        request = upstream.read_request()
        eq((request.target, request.headers.all("x-n"), request.headers.all("X-Forwarded-For"),
            request.header("x-retry-attempt")),
           ("/x/y/z", ["1"], ["127.0.0.1"], str(number) if number else None), f"try {number}")
        upstream.respond(503 if number < 2 else 200, [("Connection", "close")])
    eq(client.response().status, 200, "status")


@test("absolute targets are routed and rewritten like others")
def absolute():
    gateway, _ = play(BASE + route("a", ["urlRewrite: {path: {prefix: /anything/y}}"],
                                   "[{path: {pathPrefix: /p}}]"))
    eq(seen(gateway.client(), "http://asked.test/p/q?r"), ("/anything/y/q?r", "asked.test"),
       "target and Host")


@test("a header rule cannot forge the framing or the connection: the configuration is refused")
def refused_rules():
    for name in ("content-length", "transfer-encoding", "connection", "host", "upgrade", "te"):
        status, _, error = validate(BASE + route("a", [f"requestHeaderModifier: {{set: {{{name}: x}}}}"]),
                                    origin="127.0.0.1:1", port=1)
        check(status == 1 and name in error, f"{name}: exit {status}, {error!r}")
