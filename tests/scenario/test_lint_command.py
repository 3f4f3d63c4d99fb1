# SPDX-License-Identifier: Apache-2.0
"""headgate lint: what is valid, but surely not meant, each with its place and what to write."""
import glob
import os
import re

from hg import *
from hg.framework import binary, repository_root
from hg.gateway import SANITIZER_ENV

ROUTE = "timeout: {requestTimeout: 5s}"
CLEAN = f"""
gateways: {{default: {{port: 80}}}}
routes:
- name: a
  matches: [{{path: {{pathPrefix: /a}}}}]
  policies: {{{ROUTE}}}
  backends: [{{host: 'a:1'}}]
- name: a-get
  matches: [{{path: {{pathPrefix: /a}}, method: GET}}]
  backends: [{{host: 'a:1'}}]
- name: b
  matches: [{{path: {{regex: '/b.*'}}}}, {{path: {{exact: /a}}, query: [{{name: q, value: {{exact: x}}}}]}}]
  backends: [{{host: 'a:1'}}]
- {{name: rest, hostnames: ["*.example"], backends: [{{host: 'a:1'}}]}}
"""


KEYS = ('{"keys":[{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","use":"sig",'
        '"x":"WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis",'
        '"y":"y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE"}]}')


def lint(text):
    path = os.path.join(tmpdir(), "config.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return run([binary("headgate"), "lint", "-f", path], env={**SANITIZER_ENV, "SECRET": "s"})


def finds(text, place, *words):
    """Exactly one finding, at LINE:COLUMN, with these words."""
    status, out, error = lint(text)
    eq((status, error), (1, ""), out)
    lines = out.strip().split("\n")
    eq(len(lines), 1, out)
    check(re.match(rf"\S+/config.yaml:{place}: ", lines[0]), f"want {place}: {out}")
    for word in words:
        check(word in lines[0], f"want {word}: {out}")


def routes(*lines):
    return "gateways: {default: {port: 80}}\nroutes:\n" + "".join(f"- {{{line}}}\n" for line in lines)


@test("a file without mistakes has no finding and status 0")
def clean():
    eq(lint(CLEAN), (0, "", ""))


@test("one finding for each mistake, with its place")
def findings():
    to = "backends: [{host: 'a:1'}]"
    finds(routes(to, f"matches: [{{path: {{exact: /x}}}}], {to}"), "3:3", "deadline", "requestTimeout: 30s")
    for auth in ("jwtAuth: {issuer: i, audiences: [a], jwks: '%s'" % KEYS,
                 "basicAuth: {htpasswd: 'a:$$2y$$05$$abcdefghijklmnopqrstuu5s8AzXMo.4kRgG0.7Wq2p1aPj0NqJ6e'",
                 "apiKey: {keys: [{keyHash: 'sha256:%s'}]" % (64 * "0")):
        finds(routes(f"policies: {{{ROUTE}, {auth}, mode: optional}}}}, {to}"), "3:3", auth.split(":")[0],
              "mode: strict")
        eq(lint(routes(f"policies: {{{ROUTE}, {auth}, mode: strict}}}}, {to}")), (0, "", ""), auth)
    text = routes(f"policies: {{{ROUTE}, apiKey: {{keys: [{{key: 'clear'}}], mode: strict}}}}, {to}")
    finds(text, r"3:\d+", "keyHash")
    eq(lint(text.replace("'clear'", "$SECRET"))[0], 0, "a variable is no secret")
    modifier = "requestHeaderModifier: {set: {Authorization: 'Bearer x'}}"
    text = routes(f"policies: {{{ROUTE}, {modifier}}}, {to}")
    finds(text, r"3:\d+", "credential", "$TOKEN")
    eq(lint(text.replace("Bearer x", "Bearer $SECRET"))[0], 0, "a variable is no secret")
    for value, status in (("'Bearer x'", 1), ("'Bearer ' + jwt.sub", 0), ("'Bearer $SECRET'", 0)):
        computed = f"transformations: {{request: {{set: {{authorization: \"{value}\"}}}}}}"
        eq(lint(routes(f"policies: {{{ROUTE}, {computed}}}, {to}"))[0], status, value)
    cors = "cors: {allowOrigins: ['*'], allowCredentials: true}"
    finds(routes(f"policies: {{{ROUTE}, {cors}}}, {to}"), "3:3", "cors", "allowOrigins")
    tokens = ("mcpAuthentication: {issuer: 'https://i', audiences: [a], resourceMetadata: {}, "
              "jwks: {url: 'https://i/jwks'}}")
    tools = "backends: [{mcp: {targets: [{name: t, mcp: {host: 'http://a:1/mcp'}}]}}]"
    place = "{path: {pathPrefix: /mcp}}"
    text = "matches: [%s], policies: {%s, %s}, %s"
    finds(routes(text % (place, ROUTE, tokens, tools)), "3:3", "oauth-protected-resource", "pathPrefix")
    place += ", {path: {pathPrefix: /.well-known/oauth-protected-resource}}"
    eq(lint(routes(text % (place, ROUTE, tokens, tools)))[0], 0, "with the metadata")
    admin = "config: {adminAddr: '0.0.0.0:15000'}\n"
    finds(admin + routes(f"policies: {{{ROUTE}}}, {to}"), r"1:\d+", "admin")
    finds("binds: [{port: 80, listeners: [{routes: []}]}]\n", r"1:\d+", "no routes")


@test("a route behind another one gets no requests; a longer match, a method, a header or a name saves it")
def unreachable():
    to = f"policies: {{{ROUTE}}}, backends: [{{host: 'a:1'}}]"
    first = f"name: first, matches: [{{path: {{pathPrefix: /a}}}}], {to}"
    for second in ("{path: {pathPrefix: /a}}", "{path: {pathPrefix: /a/}}"):
        finds(routes(first, f"name: second, matches: [{second}], {to}"), "4:3", "first", "gets no requests")
    for second in ("{path: {pathPrefix: /a/b}}", "{path: {exact: /a}}",
                   "{path: {pathPrefix: /a}, method: PUT}",
                   "{path: {pathPrefix: /a}, headers: [{name: x, value: {exact: y}}]}",
                   "{path: {pathPrefix: /a}, query: [{name: x, value: {exact: y}}]}",
                   "{path: {regex: '/a/[a-z].*'}}", "{path: {pathPrefix: /a}}, {path: {pathPrefix: /c}}"):
        eq(lint(routes(first, f"name: second, matches: [{second}], {to}"))[:2], (0, ""), second)
    # The longer pattern goes first.
    finds(routes(first, f"name: second, matches: [{{path: {{regex: '/a.*'}}}}], {to}"), "3:3", "second")
    second = "name: second, hostnames: [a.b], matches: [{path: {pathPrefix: /a}}]"
    eq(lint(routes(first, f"{second}, {to}"))[0], 0, "a host name")


@test("the examples: every finding has a place")
def examples():
    root = repository_root()
    run([os.path.join(root, "scripts", "make-certificates.sh")])
    for path in sorted(glob.glob(root + "/config/examples/*.yaml")):
        status, out, error = run([binary("headgate"), "lint", "-f", path], env=SANITIZER_ENV)
        if status == 2 or error:
            continue
        for line in out.strip().split("\n") if out else []:
            check(re.match(r"\S+\.yaml:\d+:\d+: ", line), f"{path}: {line}")
        check("gets no requests" not in out, out)


@test("a wrong file: its errors, status 1; no file: what to write, status 2")
def wrong():
    status, out, error = lint("gateways: {default: {prt: 1}}\n")
    eq((status, out), (1, ""), error)
    check("error: " in error and ":1:" in error, error)
    status, out, error = run([binary("headgate"), "lint"], env=SANITIZER_ENV)
    eq((status, out), (2, ""), error)
    check("headgate lint -f FILE" in error, error)
