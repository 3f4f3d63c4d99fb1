# SPDX-License-Identifier: Apache-2.0
"""Which listener, which route, which backend: the configuration's precedence, seen on the wire."""
from collections import Counter

from hg import *
from hg.h2 import H2Client
from plays import SIMPLE, acted, play


def direct(name, matches=None, hostnames=None, indent=4):
    """A route that answers with its own name."""
    pad = " " * indent
    text = f"{pad}- name: {name}\n"
    if hostnames:
        text += f"{pad}  hostnames: [{', '.join(map(repr, hostnames))}]\n"
    if matches:
        text += f"{pad}  matches: [{', '.join(matches)}]\n"
    return text + f"{pad}  policies: {{directResponse: {{status: 200, body: {name}}}}}\n"


def routes(*parts):
    return "binds:\n- port: @port@\n  listeners:\n  - routes:\n" + "".join(parts)


def path(kind, value):
    return f"{{path: {{{kind}: '{value}'}}}}"


def expect(client, table, **common):
    for target, want in table:
        answer = client.get(target, **common)
        eq(answer.text if answer.status == 200 else str(answer.status), want,
           f"route of {target} {common or ''}")


@test("exact before longer prefix or regex before shorter, whatever the order of the file")
def path_precedence():
    parts = [direct("short", [path("pathPrefix", "/")]), direct("app", [path("pathPrefix", "/app")]),
             direct("long", [path("pathPrefix", "/app/deep/")]),
             direct("exact", [path("exact", "/app/deep/er")]),
             direct("regex", [path("regex", "/app/d[a-z]+/x[0-9]*")])]
    table = [("/", "short"), ("/other", "short"), ("/app", "app"), ("/app/", "app"),
             ("/application", "short"), ("/app/x", "app"),
             ("/app/deep", "long"), ("/app/deep/", "long"), ("/app/deep/er", "exact"),
             ("/app/deep/er/", "long"),
             ("/app/deep/er?query=1", "exact"), ("/app/deep/x12", "regex"), ("/app/deep/x12y", "long"),
             ("/app/deeper", "app")]
    for order in (parts, parts[::-1], parts[2:] + parts[:2]):
        gateway, _ = play(routes(*order))
        expect(gateway.client(), table)


SPELLINGS = ["//admin", "/./admin", "/x/../admin", "/%61dmin", "/%61%64%6D%69%6e", "/x/%2e%2e/admin",
             "/x/.%2E/admin/", "/../admin", "/admin%2fx", "/admin%5cx", "/admin\\x", "/x/..//admin",
             "/admin/./x", "/admin/../admin/%00"]
DENY = routes(direct("deny", [path("pathPrefix", "/admin")]), direct("rest", [path("pathPrefix", "/")]))


def answers(config, spellings):
    gateway, _ = play(config)
    for target in spellings:
        for name in (target, f"http://x{target}"):
            client = gateway.client()
            answer = client.get(name, host="x")
            yield name, answer.text if answer.status == 200 else str(answer.status)


@test("no spelling of a path passes by the route that denies it")
def spellings_denied():
    for target, got in answers(DENY, SPELLINGS):
        check(got in ("deny", "400"), f"{target} went to {got}")
    decode = DENY + "frontendPolicies: {http: {escapedSlashes: decode}}\n"
    for target, got in answers(decode, SPELLINGS[:-1]):
        eq(got, "deny", target)
    kept = DENY + "frontendPolicies: {http: {escapedSlashes: keep, normalizePath: keepSlashes}}\n"
    eq([got for _, got in answers(kept, ["/%61dmin", "/admin%2fx", "//admin"])],
       ["deny", "deny", "rest", "rest", "rest", "rest"], "keep and keepSlashes")


@test("semicolons: what a servlet container takes for a denied path is denied with strip, refused with "
      "reject")
def semicolons_denied():
    parameters = ["/admin;x", "/admin;/x", "/;/admin", "/x/..;/admin", "/.;/admin", "/x;/../admin",
                  "/admin%3bx"]
    eq({got for _, got in answers(DENY, parameters[:-2])}, {"rest"}, "as any other byte, by default")
    for rule, want in (("strip", "deny"), ("reject", "400")):
        rules = DENY + f"frontendPolicies: {{http: {{semicolons: {rule}}}}}\n"
        eq({target: got for target, got in answers(rules, parameters)},
           {prefix + target: want for target in parameters for prefix in ("", "http://x")}, rule)
    gateway, backend = acted(SIMPLE + "frontendPolicies: {http: {semicolons: strip}}\n")
    gateway.client().request("GET", "/a;jsessionid=1/b;x?q=a;b")
    eq(backend.accept().read_request().target, "/a/b?q=a;b", "target at the backend")


@test("no spelling of a path passes by a route over HTTP/2")
def spellings_denied_h2():
    gateway, _ = play(DENY)
    for target in SPELLINGS:
        client = H2Client(gateway.port)
        answer = client.get(target)
        check(answer.status == 400 or answer.text == "deny", f"{target}: {answer.status}")


@test("normalizePath: off compares paths as they were sent: no decoding, no dot segments; case counts always")
def raw_paths():
    parts = routes(direct("admin", [path("exact", "/admin")]), direct("rest", [path("pathPrefix", "/")]))
    gateway, _ = play(parts + "frontendPolicies: {http: {normalizePath: 'off'}}\n")
    expect(gateway.client(), [("/admin", "admin"), ("/Admin", "rest"), ("/%61dmin", "rest"),
                              ("/x/../admin", "rest"), ("//admin", "rest"), ("/admin%2f", "rest"),
                              ("/admin?x", "admin"), ("/admin/", "rest"), ("/admin;x", "rest")])
    gateway, _ = play(parts)
    expect(gateway.client(), [("/Admin", "rest"), ("/x/../%61dmin?/../%2f", "admin"), ("/admin;x", "rest")])


@test("the backend gets the path that was matched and the query as it came; the log has what the client sent")
def path_forwarded():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/x/../a//%62%c3%A4?q=%61/../%2f")
    upstream = backend.accept()
    eq(upstream.read_request().target, "/a/b%C3%A4?q=%61/../%2f", "target at the backend")
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    eq(client.response().status, 200, "status")
    eq(gateway.wait_log()["http.path"], "/x/../a//%62%c3%A4?q=%61/../%2f", "path in the log")


@test("a regex must fit the whole path, and an expensive one ends")
def regexes():
    gateway, _ = play(routes(direct("num", [path("regex", "/item/[0-9]+")]),
                             direct("evil", [path("regex", "/(a+)+b")]),
                             direct("rest", [path("pathPrefix", "/")])))
    client = gateway.client()
    expect(client, [("/item/42", "num"), ("/item/42x", "rest"), ("/x/item/42", "rest"), ("/item/", "rest"),
                    ("/aaab", "evil")])
    # A matcher that tries every way to share the letters among the groups does not end.
    eq(client.get("/" + "a" * 60 + "c").text, "rest", "route of an expensive path")


@test("method, headers and query narrow a route; more conditions win over fewer")
def conditions():
    gateway, _ = play(routes(
        direct("any", [path("pathPrefix", "/x")]),
        direct("post", ["{path: {pathPrefix: /x}, method: POST}"]),
        direct("one", ["{path: {pathPrefix: /x}, headers: [{name: X-A, value: {exact: '1'}}]}"]),
        direct("two", ["{path: {pathPrefix: /x}, headers: [{name: x-a, value: {exact: '1'}}, {name: X-B, "
                       "value: {regex: '[0-9]+'}}]}"]),
        direct("query", ["{path: {pathPrefix: /x}, query: [{name: q, value: {exact: 'a b'}}]}"]),
        direct("both", ["{path: {pathPrefix: /x}, method: POST, query: [{name: q, value: {regex: '.*'}}]}"]),
        direct("host", ["{path: {pathPrefix: /h}, headers: [{name: ':authority', value: {regex: "
                        "'.*[.]test'}}]}"])))
    client = gateway.client()

    def ask(method, target, headers=(), host="x"):
        answer = client.request(method, target, headers, host=host).response()
        return answer.text if answer.status == 200 else str(answer.status)

    eq(ask("GET", "/x"), "any", "plain")
    eq(ask("POST", "/x"), "post", "method")
    eq(ask("post", "/x"), "any", "method in lower case")
    eq(ask("GET", "/x", [("x-A", "1")]), "one", "one header")
    eq(ask("GET", "/x", [("X-A", "1"), ("X-B", "77")]), "two", "two headers")
    eq(ask("GET", "/x", [("X-A", "1"), ("X-B", "7x")]), "one", "a regex that fits only a part")
    eq(ask("GET", "/x", [("X-A", "1"), ("X-A", "1")]), "any", "a repeated field is one value, joined")
    eq(ask("POST", "/x", [("X-A", "1"), ("X-B", "7")]), "post", "a method goes before any number of headers")
    eq(ask("GET", "/x?q=a+b"), "query", "query")
    eq(ask("GET", "/x?q=%61%20b&q=z"), "query", "an encoded query, the first of two")
    eq(ask("GET", "/x?Q=a+b"), "any", "names of parameters have a case")
    eq(ask("POST", "/x?q"), "both", "method and query")
    eq(ask("GET", "/h", host="a.test"), "host", "the authority")
    eq(ask("GET", "/h", host="a.example"), "404", "another authority")


@test("one of several matches is enough")
def alternatives():
    gateway, _ = play(routes(direct("a", [path("exact", "/1"), "{path: {exact: /2}, method: PUT}",
                                          path("pathPrefix", "/3")])))
    client = gateway.client()
    expect(client, [("/1", "a"), ("/2", "404"), ("/3/x", "a")])
    eq(client.request("PUT", "/2").response().text, "a", "PUT /2")


@test("hostnames of routes: exact, then the longest wildcard, then any; ports and case do not matter")
def route_hosts():
    gateway, _ = play(routes(direct("any"), direct("wide", None, ["*.test"]),
                             direct("narrow", None, ["*.shop.test"]),
                             direct("exact", None, ["a.shop.test", "b.test"])))
    client = gateway.client()
    for host, want in (("a.shop.test", "exact"), ("A.Shop.TEST", "exact"), ("a.shop.test:8080", "exact"),
                       ("c.shop.test", "narrow"),
                       ("x.y.shop.test", "narrow"), ("shop.test", "wide"), ("b.test", "exact"),
                       ("test", "any"), ("other", "any"),
                       ("aXshop.test", "wide"), ("127.0.0.1", "any"), ("[::1]:80", "any")):
        expect(client, [("/", want)], host=host)


@test("a host whose routes do not fit falls through to the less specific one")
def fall_through():
    gateway, _ = play(routes(direct("any", [path("pathPrefix", "/")]),
                             direct("wide", [path("pathPrefix", "/w")], ["*.test"]),
                             direct("exact", [path("pathPrefix", "/e")], ["a.test"])))
    expect(gateway.client(), [("/e", "exact"), ("/w", "wide"), ("/z", "any")], host="a.test")


@test("listeners of a port: exact hostname, longest wildcard, none; a listener does not lend its routes")
def listeners():
    text = "binds:\n- port: @port@\n  listeners:\n"
    for name, hostname in (("any", ""), ("wide", "*.test"), ("narrow", "*.a.test"), ("exact", "x.a.test")):
        text += f"  - name: {name}\n" + (f"    hostname: '{hostname}'\n" if hostname else "")
        text += "    routes:\n"
        text += direct(name, [path("pathPrefix", "/" + name), path("exact", "/")])
    gateway, _ = play(text)
    client = gateway.client()
    for host, want in (("x.a.test", "exact"), ("y.a.test", "narrow"), ("a.test", "wide"),
                       ("z.test:1", "wide"), ("other", "any")):
        expect(client, [("/", want), (f"/{want}/x", want), ("/none", "404")], host=host)
    expect(client, [("/any", "404")], host="x.a.test")


@test("without a listener for the host the answer is 404 listener not found")
def no_listener():
    gateway, _ = play("binds:\n- port: @port@\n  listeners:\n  - hostname: only.test\n    routes:\n"
                      + direct("x"))
    client = gateway.client()
    eq((client.get("/", host="only.test").text, client.get("/", host="no.test").text),
       ("x", "listener not found"), "answers")


@test("ports have listeners of their own")
def two_ports():
    gateway, _ = play("binds:\n- port: @port@\n  listeners:\n  - routes:\n" + direct("first")
                      + "- port: @other@\n  listeners:\n  - routes:\n" + direct("second"))
    eq((gateway.fetch("/").text, gateway.fetch("/", port="other").text), ("first", "second"), "answers")


@test("weights share requests among backends, 0 gets none")
def weights():
    origins = {name: Origin(name=name) for name in ("one", "two", "three")}
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - routes:
    - name: split
      backends:
      - {host: @one@, weight: 3}
      - {host: @two@}
      - {host: @three@, weight: 0}
""", workers=1, **origins)
    client = gateway.client()
    count = 800
    seen = Counter(client.get("/get").header("x-origin") for _ in range(count))
    eq(set(seen), {"one", "two"}, "backends that were asked")
    # A fair choice is outside these bounds once in 10^9.
    check(count * 0.65 < seen["one"] < count * 0.85, f"three quarters to the first: {seen}")


@test("backends by IPv4, IPv6, name and Unix socket")
def addresses():
    sixth, local = Origin(addr="::1", name="v6"), Origin(unix=True, name="unix")
    gateway = start_addresses(sixth, local)
    client = gateway.client()
    for target, want, host in (("/v4", "v4", "asked.test"), ("/v6", "v6", "asked.test"),
                               ("/un", "unix", "asked.test"),
                               ("/nm", "v4", "localhost")):
        answer = client.get(target, host="asked.test").json()
        eq((answer["origin"], answer["headers"]["Host"].split(":")[0]), (want, host), target)


def start_addresses(sixth, local):
    origin = Origin(name="v4")
    text = "binds:\n- port: @port@\n  listeners:\n  - routes:\n"
    for name, host in (("v4", "@origin@"), ("v6", "@sixth@"), ("un", "@local@"),
                       ("nm", f"localhost:{origin.port}")):
        text += (f"    - name: {name}\n      matches: [{{path: {{pathPrefix: /{name}}}}}]\n"
                 f"      policies: {{urlRewrite: {{path: {{full: /anything}}}}}}\n      backends: [{{host: "
                 f"'{host}'}}]\n")
    return Gateway(text, workers=1, origin=origin, sixth=sixth, local=local)
