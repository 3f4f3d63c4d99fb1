# SPDX-License-Identifier: Apache-2.0
"""Credentials for backends reach the backend alone, on every attempt, and nobody sees them elsewhere."""
import json

from credentials import Issuer, bearer, token, written
from hg import *
from hg.h2_backend import H2Backend
from plays import acted

ROUTE = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        %s
      backends:
      - host: @origin@
        policies:
          backendAuth: %s
%s
"""


def values(request, name):
    return request.headers.all(name)


def hidden(gateway, secret):
    """Nothing that an operator reads has it."""
    for path in ("/config_dump", "/streams?history=1", "/trace", "/config_status"):
        check(secret not in gateway.admin(path).text, f"{path} shows the key")
    check(secret not in gateway.stdout, "the log shows the key")


@test("each attempt and each copy of a request has the key once, whatever the client sent", timeout=20)
def attempts():
    copies = Backend()
    key = written("key", "s3cr3t-1\n")
    retry = "retry: {attempts: 1, codes: [503]}\n        " \
            "requestMirror: {backend: {backend: copies}}"
    gateway, backend = acted(ROUTE % (retry, "{key: {file: %s}}" % key, """
backends:
- name: copies
  host: @copies@
  policies: {backendAuth: {key: {value: c0py, location: {cookie: {name: k}}}}}
"""), copies=copies)
    client = gateway.client().request("GET", "/x?a=1", headers=[
        ("Authorization", "Bearer forged"), ("AUTHORIZATION", "Basic Zm9yZ2Vk"), ("Cookie", "a=b; k=forged")])
    copy = copies.accept()
    request = copy.read_request()
    eq(values(request, "cookie"), ["a=b; k=c0py"], "cookies of the copy")
    copy.respond(200)
    for attempt in range(2):
        upstream = backend.accept()
        request = upstream.read_request()
        eq(values(request, "authorization"), ["Bearer s3cr3t-1"], f"credentials of attempt {attempt}")
        eq(values(request, "cookie"), ["a=b; k=forged"], "cookies")
        upstream.respond(503 if attempt == 0 else 200)
        upstream.close()
    eq(client.response().status, 200, "status")
    hidden(gateway, "s3cr3t")
    hidden(gateway, "c0py")
    written("key", "s3cr3t-2\n")
    wait_until(lambda: gateway.admin_json("/config_status")["generation"] > 1, 10, "the new key")
    client = gateway.client().request("GET", "/y")
    copy.read_request()
    upstream = backend.accept()
    eq(values(upstream.read_request(), "authorization"), ["Bearer s3cr3t-2"], "the new key")
    upstream.respond(200)
    eq(client.response().status, 200, "status")


@test("a request for the whole server, which has no query, does not go without a key that is one")
def asterisk():
    key = "{key: {value: s3cr3t, location: {queryParameter: {name: k}}}}"
    gateway, _ = acted(ROUTE % ("timeout: {requestTimeout: 60s}", key, ""))
    eq(gateway.client().request("OPTIONS", "*").response().status, 501, "status")
    record = gateway.wait_log()
    eq((record["close_reason"], record["error"]),
       ("request_bad", "OPTIONS * has no query for the parameter of backendAuth"), "log")


@test("a token that jwtAuth took out goes to the backend where that expects it, over HTTP/2, too", timeout=20)
def passthrough():
    issuer = Issuer()
    good = token(issuer.add("one"), "one")
    keys = written("keys.json", json.dumps({"keys": issuer.keys}))
    guard = "jwtAuth: {mode: optional, issuer: 'https://issuer', audiences: [gw], jwks: {file: %s}}" % keys
    gateway, backend = acted(ROUTE % (guard, "{passthrough: {location: {header: {name: x-user-token}}}}", ""))
    for headers, want in ((bearer(good), [good]), ([("X-User-Token", "forged")], [])):
        client = gateway.client().request("GET", "/", headers=headers)
        upstream = backend.accept()
        request = upstream.read_request()
        eq(values(request, "x-user-token"), want, "the token")
        eq(values(request, "authorization"), [], "what the gateway took out")
        upstream.respond(200, headers=[("Connection", "close")])
        upstream.close()
        eq(client.response().status, 200, "status")
    hidden(gateway, good)
    service = H2Backend()
    gateway = Gateway(ROUTE % (guard, "{passthrough: {}}\n          http: {version: HTTP/2.0}", ""),
                      origin=service, workers=1)
    client = gateway.client().request("GET", "/", headers=bearer(good))
    upstream = service.accept()
    number, message = upstream.expect_request()
    eq(message.headers.all("authorization"), ["Bearer " + good], "the token over HTTP/2")
    upstream.respond(number)
    eq(client.response().status, 200, "status")
