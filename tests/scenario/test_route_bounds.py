# SPDX-License-Identifier: Apache-2.0
"""What cannot be decided about a route opens nothing, whatever a client sends."""
from hg import *
from plays import play
from timers import expect_reason

GAVE_UP = "headgate_route_match_gave_up_total"

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: deny
      matches: [{path: {regex: "/.*/admin/.*/delete.*"}}]
      policies: {directResponse: {status: 403, body: deny}}
    - name: header
      matches: [{path: {pathPrefix: /}, headers: [{name: x-mode, value: {regex: ".*on.*"}}]}]
      policies: {directResponse: {status: 403, body: header}}
    - name: counted
      matches: [{path: {regex: "/c/[a-z]{1,200}!.*"}}]
      policies: {directResponse: {status: 403, body: counted}}
    - name: stars
      matches: [{path: {regex: "/.*/.*[.]html"}}]
      policies: {directResponse: {status: 403, body: stars}}
    - name: rest
      policies: {directResponse: {status: 200, body: rest}}
"""


@test("a path that repeats itself does not get past the regular expression of a deny route")
def repeated_path():
    gateway, _ = play(CONFIG)
    eq(gateway.fetch("/x/admin/y/delete").text, "deny", "route of the short path")
    path = "/x/admin/y/delete" + "/admin/" * 1100
    eq((gateway.fetch(path).status, gateway.fetch(path).text), (403, "deny"), "answer for the long path")
    eq(gateway.fetch("/x" + "/admin/" * 1100).text, "rest", "route of a long path that does not fit")
    eq(gateway.metrics()(GAVE_UP), 0, "requests refused")


@test("headers too long to be joined are answered 400, counted and logged, not passed to the next route")
def long_headers():
    gateway, _ = play(CONFIG)
    eq(gateway.fetch("/", headers=[("X-Mode", "on")]).text, "header", "route of the short header")
    more = "x" * 8192
    answer = gateway.fetch("/", headers=[("X-Mode", "on"), ("X-Mode", more)])
    eq((answer.status, answer.text), (400, "too long to be matched"), "answer with 8 KiB more")
    expect_reason(gateway, "match_gave_up", 400)
    eq(gateway.metrics()(GAVE_UP), 1, "requests refused")
    eq(gateway.fetch("/", headers=[("X-Mode", more + "on")]).text, "header", "route of one long header")


@test("a path too long for an expression that counts is answered 400, one that fits first is served")
def long_path():
    gateway, _ = play(CONFIG)
    eq(gateway.fetch("/c/abc!").text, "counted", "route of the short path")
    eq(gateway.fetch("/c/" + "a" * 8000).status, 400, "status of the long path")
    expect_reason(gateway, "match_gave_up", 400)
    eq(gateway.fetch("/cc/" + "a" * 8000).text, "rest", "route of a long path that begins otherwise")
    eq(gateway.fetch("/c/admin/" + "a" * 4000 + "/delete").text, "deny", "route of a higher rank")
    eq(gateway.metrics()(GAVE_UP), 1, "requests refused")


@test("stars against eight kibibytes of slashes are decided, as often as a client asks")
def slashes():
    gateway, _ = play(CONFIG + "frontendPolicies: {http: {normalizePath: 'off'}}\n")
    client = gateway.client()
    eq(client.get("/a/b.html").text, "stars", "route of the short path")
    path = "/" * 8100 + "index.htmlx"
    eq(client.get(path[:-1]).text, "stars", "route of a long path that fits")
    for _ in range(100):
        eq(client.get(path).text, "rest", "route of a long path that does not fit")
    eq(gateway.metrics()(GAVE_UP), 0, "requests refused")


MANY = """
config: {limits: {@limits@}}
binds:
- port: @port@
  listeners:
  - routes:
@denies@
    - name: prefixed
      matches: [{path: {regex: "/service/[a-z]+/.*"}}]
      policies: {directResponse: {status: 200, body: prefixed}}
    - name: rest
      policies: {directResponse: {status: 200, body: rest}}
"""
DENY = """    - name: deny%d
      matches: [{path: {regex: ".*a%d?b?.{%d}x%d"}}]
      policies: {directResponse: {status: 403, body: deny}}"""


@test("all regular expressions together are bounded for a request: beyond it is 400, nothing passes a deny")
def many_expressions():
    denies = "\n".join(DENY % (n, n % 10, 5 + n % 11, n) for n in range(300))
    gateway, _ = play(MANY, denies=denies, limits="")
    eq(gateway.fetch("/a7" + "b" * 11 + "x17").text, "deny", "route of a short path that is denied")
    eq(gateway.fetch("/" + "ab" * 100).text, "rest", "route of a path of 200 bytes")
    long = "/" + "ab" * 3500
    eq(gateway.fetch(long).status, 400, "status of a long path")
    eq(gateway.fetch(long + "a7" + "b" * 11 + "x17").status, 400, "status of a long path that is denied")
    expect_reason(gateway, "match_gave_up", 400)
    eq(gateway.metrics()(GAVE_UP), 2, "requests refused")
    gateway, _ = play(MANY, denies=denies, limits="regexSteps: 1073741824")
    eq(gateway.fetch(long).text, "rest", "route of the long path where limits.regexSteps allows it")


@test("an expression that a path's first bytes rule out costs nothing of that bound")
def ruled_out():
    denies = "\n".join(DENY % (n, n % 10, 5 + n % 11, n) for n in range(3)) + "".join(
        f"\n    - name: other{n}\n      matches: [{{path: {{regex: '/other{n}/[a-z]{{1,9}}/.*'}}}}]\n"
        "      policies: {directResponse: {status: 403, body: other}}" for n in range(1000))
    gateway, _ = play(MANY, denies=denies, limits="regexSteps: 1048576")
    eq(gateway.fetch("/service/a/" + "b" * 2000).text, "prefixed", "route of a path of 2000 bytes")
