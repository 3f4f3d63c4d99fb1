# SPDX-License-Identifier: Apache-2.0
"""Passwords, API keys and tokens: who gets in, what the backend sees, what nobody sees."""
import base64
import hashlib
import json
import os
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hg import *
from hg.framework import binary
from hg.h2 import fetch2
from credentials import PASSWORD, Issuer, basic, bearer, block, htpasswd, mkpasswd, token, written
from plays import acted, play

ROUTE = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        %s
      backends: [{host: @origin@}]
"""


def users(lines, more="mode: strict"):
    return ROUTE % f"basicAuth:\n          {more}\n          htpasswd: {block(lines, 12)}"


@test("users of every form that htpasswd and mkpasswd write get in, inline, and nobody else", timeout=60)
def every_form():
    methods = ("yescrypt", "sha512crypt", "sha256crypt", "bcrypt", "md5crypt", "descrypt", "scrypt")
    lines = [htpasswd("apr1", "-m"), htpasswd("sha", "-s"), htpasswd("des", "-d"), htpasswd("bcrypt", "-B")]
    lines += [mkpasswd("mk-" + method, method) for method in methods]
    gateway, backend = acted(users(lines))
    for line in lines:
        user = line.split(":")[0]
        client = gateway.client().request("GET", "/x", headers=[basic(user)])
        upstream = backend.accept()
        eq(upstream.read_request().headers["authorization"], None, f"what the backend sees of {user}")
        upstream.respond(200, [("Connection", "close")])
        eq(client.response().status, 200, user)
        eq(gateway.fetch("/x", headers=[basic(user, "x" + PASSWORD)]).status, 401, f"wrong: {user}")
    backend.expect_no_connection(0.2)
    log = gateway.log()
    eq([line["basicAuth.username"] for line in log if line["http.status"] == "200"],
       [line.split(":")[0] for line in lines], "users in the log")


@test("whatever is not one right password is refused, and the backend is not asked")
def wrong_passwords():
    gateway, backend = acted(users([htpasswd("alice", "-m")]))
    good = basic("alice")[1]
    missing = "no basic authentication credentials found"
    for headers, why in (
            ([], missing), ([("Authorization", "")], missing), ([("Authorization", "Basic")], missing),
            ([("Authorization", "Bearer " + good[6:])], missing), ([("X-Authorization", good)], missing),
            ([("Proxy-Authorization", good)], missing),
            ([basic("alice", "")], ""), ([basic("", PASSWORD)], ""), ([basic("Alice")], ""),
            ([basic("alice ")], ""),
            ([basic("alice", PASSWORD + "\0")], ""), ([basic("alice", PASSWORD + "\n")], ""),
            ([basic("alice", PASSWORD[:-1])], ""), ([basic("alice", PASSWORD * 200)], ""),
            ([basic("nobody")], ""), ([("Authorization", good), ("Authorization", good)], ""),
            ([("Authorization", good + "=")], ""), ([("Authorization", good + ", " + good)], ""),
            ([("Authorization", "Basic " + base64.b64encode(b"alice").decode())], ""),
            ([("Authorization", "Basic !!!!")], ""), ([("Authorization", good[:10] + " " + good[10:])], "")):
        response = gateway.fetch("/x", headers=headers)
        eq(response.status, 401, str(headers))
        eq(response.text, "basic authentication failure: " + (why or "invalid credentials"), str(headers))
        eq(response.header("www-authenticate"), 'Basic realm="Restricted"', str(headers))
    for method, path in (("HEAD", "/x"), ("OPTIONS", "/x"), ("POST", "//x"), ("GET", "/%2e/x"),
                         ("OPTIONS", "*")):
        eq(gateway.client().request(method, path).response(method).status, 401, f"{method} {path}")
    eq(gateway.client().request("GET", f"http://127.0.0.1:{gateway.port}/x").response().status, 401,
       "absolute form")
    eq(fetch2(gateway.port, "/x").status, 401, "HTTP/2")
    twice = [("authorization", good), ("authorization", good)]
    eq(fetch2(gateway.port, "/x", extra=twice).status, 401, "twice")
    backend.expect_no_connection(0.2)
    check(gateway.metrics()("headgate_policy_refusals_total", policy="basicAuth") > 20, "the metric")
    eq(gateway.log()[0]["close_reason"], "basic_auth", "close_reason")
    eq(gateway.log()[0]["reason"], "BasicAuth", "reason")


@test("the scheme is compared without case, HTTP/2 gets in, and later requests of the pair, too")
def right_passwords():
    gateway, _ = play(users([htpasswd("alice", "-B", "-C", "10")]))
    good = basic("alice")[1]
    for _ in range(3):
        eq(gateway.fetch("/get", headers=[("authorization", "bAsIc  " + good[6:])]).status, 200, "case")
    eq(fetch2(gateway.port, "/get", extra=[("authorization", good)]).status, 200, "HTTP/2")


@test("a client that guesses gets 503 beyond its share of the queue, also when others of it are gone")
def guesses():
    gateway, backend = acted(users([htpasswd("alice", "-B", "-C", "11")]))
    clients = [gateway.client().request("GET", "/x", headers=[basic("alice", f"guess{i}")])
               for i in range(40)]
    for client in clients[::2]:
        client.close()
    responses = [client.response() for client in clients[1::2]]
    eq({response.status for response in responses} - {401, 503}, set(), "statuses")
    busy = [response for response in responses if response.status == 503]
    check(busy, "40 passwords were verified at once")
    eq((busy[0].header("retry-after"), busy[0].text),
       ("1", "basic authentication failure: too many passwords wait to be verified"), "503")
    backend.expect_no_connection(0.1)


@test("behind two trusted proxies a client that guesses fills its own share of the queue only")
def guesses_behind_proxies():
    gateway, _ = play('config: {forwarded: {trusted: ["127.0.0.0/8", "10.0.0.0/8"]}}'
                      + users([htpasswd("alice", "-B", "-C", "11")]))
    clients = [gateway.client().request("GET", "/get", headers=[
        ("X-Forwarded-For", "192.0.2.1, 10.0.0.1"), basic("alice", f"guess{i}")]) for i in range(20)]
    headers = [("X-Forwarded-For", "192.0.2.2, 10.0.0.1"), basic("alice")]
    eq(gateway.fetch("/get", headers=headers).status, 200, "the other client")
    statuses = [client.response().status for client in clients]
    eq(set(statuses), {401, 503}, "the client that guesses")


@test("a changed file ends a password that was remembered, and a broken one leaves the old in force")
def changed_file():
    path = written("users", htpasswd("alice", "-m") + "\n")
    gateway, _ = play(ROUTE % f"basicAuth: {{mode: strict, htpasswd: {{file: {path}}}}}")
    eq(gateway.fetch("/get", headers=[basic("alice")]).status, 200, "before")
    written("users", htpasswd("bob", "-m") + "\n")
    wait_until(lambda: gateway.fetch("/get", headers=[basic("bob")]).status == 200, 10, "the new file")
    eq(gateway.fetch("/get", headers=[basic("alice")]).status, 401, "after")
    written("users", "bob:plain\n")
    wait_until(lambda: not gateway.admin_json("/config_status")["lastReloadOk"], 10, "the refused file")
    eq(gateway.fetch("/get", headers=[basic("bob")]).status, 200, "the old one")
    eq(gateway.fetch("/get").status, 401, "without")


@test("secrets are neither in the dump, the log, the messages, the history nor the trace")
def no_secrets():
    line = htpasswd("alice", "-m")
    text = users([line]) + ROUTE.split("binds:")[1].replace("@port@", "@other@").replace(
        "%s", 'apiKey: {mode: strict, keys: [{key: s3cr3t-key}], location: {queryParameter: {name: key}}}')
    gateway, _ = play(text)
    gateway.fetch("/get", headers=[basic("alice")])
    for path in ("/get?key=s3cr3t-key&a=b", "/get?key=s3cr3t-wrong&a=b"):
        fetch(gateway.ports["other"], path)
    gateway.fetch("/get", headers=[basic("alice", "s3cr3t-wrong")])
    line_of = {row["http.path"] for row in gateway.wait_log(lambda row: True, count=4)}
    eq(line_of, {"/get", "/get?a=b"}, "paths in the log")
    header, _ = play(ROUTE % ("apiKey: {mode: strict, keys: [{key: s3cr3t-key}], "
                              "location: {header: {name: User-Agent}}}"))
    for key in ("s3cr3t-key", "s3cr3t-wrong"):
        header.fetch("/get", headers=[("User-Agent", key), ("X-Request-Id", "id-1")])
    for row in header.wait_log(lambda row: True, count=2):
        eq((row.get("http.user_agent"), row["http.request_id"]), (None, "id-1"), "a key as the user agent")
    shown = json.dumps(gateway.config_dump()) + json.dumps(gateway.admin_json("/streams?history=1"))
    shown += open(gateway.stdout_path).read() + open(gateway.stderr_path).read()
    hidden = ["s3cr3t", line.split(":")[1], base64.b64encode(f"alice:{PASSWORD}".encode()).decode(), "$apr1$",
              hashlib.sha256(b"s3cr3t-key").hexdigest()]
    for secret in hidden:
        check(secret not in shown, f"{secret} is shown")
    check("<redacted>" in shown, "the dump has no place for the users")


KEYS = """apiKey:
          mode: %s
          keys: [{key: k-123, metadata: {team: a}}, {keyHash: "sha256:%s"}]
          location: %s"""


@test("API keys come from a header, a parameter or a cookie, and the backend never gets a valid one")
def key_locations():
    other = hashlib.sha256(b"k-456").hexdigest()
    for location, made in (("{header: {name: X-Key}}", lambda key: ("/x?a=b", [("x-key", key)])),
                           ("{header: {name: X-Key, prefix: 'Key '}}",
                            lambda key: ("/x?a=b", [("X-KEY", "kEY " + key)])),
                           ("{queryParameter: {name: key}}", lambda key: (f"/x?a=b&%6bey={key}", [])),
                           ("{cookie: {name: key}}",
                            lambda key: ("/x?a=b", [("Cookie", f"c=d; key={key}")]))):
        gateway, backend = acted(ROUTE % (KEYS % ("strict", other, location)))
        for key in ("k-123", "k-456"):
            path, headers = made(key)
            client = gateway.client().request("GET", path, headers=headers)
            upstream = backend.accept()
            request = upstream.read_request()
            eq(request.target, "/x?a=b", f"target with {location}")
            eq(request.headers["x-key"], None, "header")
            eq(request.headers["cookie"], "c=d" if "cookie" in location else None, "cookie")
            upstream.respond(200, [("Connection", "close")])
            eq(client.response().status, 200, location)
        for key in ("k-12", "K-123", "k-123 x", "", "k-123%00", "x" * 2000):
            path, headers = made(key)
            eq(gateway.fetch(path.replace(" ", "+"), headers=headers).status, 401, f"{key[:20]}, {location}")
        path, headers = made("k-123")
        twice = (path + path.split("?")[1].replace("a=b", ""), headers + headers)
        eq(gateway.fetch(twice[0], headers=twice[1]).status, 401, f"twice with {location}")
        eq(gateway.fetch("/x").text, "api key authentication failure: no API Key found", location)
        backend.expect_no_connection(0.1)


@test("an expression finds a key anywhere, and none where it has no value")
def key_expression():
    other = hashlib.sha256(b"k-456").hexdigest()
    location = "{expression: 'request.headers[\"x-a\"] + \"-\" + request.headers[\"x-b\"]'}"
    gateway, _ = play(ROUTE % (KEYS % ("strict", other, location)))
    eq(gateway.fetch("/get", headers=[("X-A", "k"), ("X-B", "123")]).status, 200, "both")
    response = gateway.fetch("/get", headers=[("X-A", "k-123")])
    eq((response.status, response.text), (401, "api key authentication failure: no API Key found"), "one")
    eq(gateway.fetch("/get", headers=[("X-A", "k"), ("X-B", "12")]).status, 401, "wrong")


@test("optional lets those without a key in, permissive also those with a wrong one; the default warns")
def modes():
    other = hashlib.sha256(b"k-456").hexdigest()
    wrong, right = [("X-Key", "wrong")], [("X-Key", "k-123")]
    for mode, expected in (("strict", (401, 401, 200)), ("optional", (200, 401, 200)),
                           ("permissive", (200, 200, 200))):
        gateway, _ = play(ROUTE % (KEYS % (mode, other, "{header: {name: X-Key}}")))
        got = tuple(gateway.fetch("/get", headers=headers).status for headers in ([], wrong, right))
        eq(got, expected, mode)
    text = ROUTE % "apiKey: {keys: [{key: k-123}]}"
    status, out, errors = validate(text, origin="a:1")
    check(status == 0 and "without \"mode\" requests without credentials pass" in errors, errors)
    path = written("config.yaml", text.replace("@port@", "80").replace("@origin@", "a:1"))
    status, _, errors = run([binary("headgate"), "-f", path, "--validate-only", "--strict"])
    check(status != 0 and "--strict" in errors, errors)


@test("credentials for proxies get 407")
def proxy_authentication():
    text = users([htpasswd("alice", "-m")], "mode: strict\n          "
                 "authorizationLocation: {header: {name: Proxy-Authorization, prefix: 'Basic '}}")
    gateway, _ = play(text)
    response = gateway.fetch("/get")
    eq((response.status, response.header("proxy-authenticate")), (407, 'Basic realm="Restricted"'), "without")
    eq(gateway.fetch("/get", headers=[("Proxy-Authorization", basic("alice")[1])]).status, 200, "with")


@test("in the gateway phase nobody learns which routes exist, and gRPC calls get UNAUTHENTICATED")
def gateway_phase():
    gateway, _ = play("""
binds:
- port: @port@
  listeners:
  - policies: {apiKey: {mode: strict, keys: [{key: k}]}}
    routes: [{name: one, matches: [{path: {exact: /get}}], backends: [{host: @origin@}]}]
""")
    for path, status in (("/get", 200), ("/nowhere", 404)):
        eq(gateway.fetch(path).status, 401, path)
        eq(gateway.fetch(path, headers=[("Authorization", "Bearer k")]).status, status, path)
    call = [("content-type", "application/grpc"), ("te", "trailers")]
    response = fetch2(gateway.port, "/a.B/C", method="POST", extra=call)
    eq((response.status, response.header("grpc-status")), (200, "16"), "gRPC")


JWT = "jwtAuth: {mode: strict, issuer: 'https://issuer', audiences: [gw], jwks: {url: '%s'}}"


@test("keys from a URL: a rotation takes effect, a failure keeps the old keys, and their age is a metric",
      timeout=90, waits=True)
def rotation():
    issuer = Issuer()
    first = issuer.add("one", rsa.generate_private_key(65537, 2048))
    gateway, _ = play(ROUTE % (JWT % issuer.url))

    def status(key, kid):
        return gateway.fetch("/get", headers=bearer(token(key, kid))).status

    wait_until(lambda: status(first, "one") == 200, 10, "the first keys")
    eq(gateway.wait_log(lambda row: row["http.status"] == "200")["jwt.sub"], "alice", "jwt.sub")
    fetched = gateway.metrics()("headgate_jwks_fetched_timestamp_seconds", url=issuer.url)
    check(abs(fetched - time.time()) < 60, f"fetched at {fetched}")
    asked = issuer.asked
    # A new key, which a token names before the gateway has asked again.
    issuer.keys = []
    second = issuer.add("two")
    wait_until(lambda: status(second, "two") == 200, 40, "the rotation")
    check(issuer.asked - asked <= 3, f"{issuer.asked - asked} requests for keys: more than one in 10 s")
    response = gateway.fetch("/get", headers=bearer(token(first, "one")))
    eq((response.status, response.text), (401, "authentication failure: token uses an unknown key"), "old")
    # The server fails: the keys stay.
    issuer.status, asked = 500, issuer.asked
    third = ec.generate_private_key(ec.SECP256R1())
    wait_until(lambda: status(third, "three") == 401 and issuer.asked > asked, 30, "a request that fails")
    eq(status(second, "two"), 200, "with the keys from before")
    gateway.reload(ROUTE % (JWT % issuer.url) + "# again\n")
    eq(status(second, "two"), 200, "after a reload")


@test("without keys a token gets 503, none gets 401, and the backend gets neither")
def no_keys():
    issuer = Issuer()
    issuer.status = 404
    gateway, backend = acted(ROUTE % (JWT % issuer.url))
    key = ec.generate_private_key(ec.SECP256R1())
    response = gateway.fetch("/x", headers=bearer(token(key, "one")))
    eq((response.status, response.header("retry-after")), (503, "1"), "with a token")
    eq(response.text, "authentication failure: the keys of the issuer are not known yet", "body")
    response = gateway.fetch("/x")
    eq((response.status, response.header("www-authenticate")), (401, "Bearer"), "without")
    backend.expect_no_connection(0.2)


@test("a token is removed, refused when it is not valid, and gets in again from memory until it expires")
def tokens():
    issuer = Issuer()
    key = issuer.add("one")
    path = written("keys", json.dumps({"keys": issuer.keys}))
    gateway, backend = acted(ROUTE % (JWT % issuer.url).replace("url: '" + issuer.url, "file: '" + path))
    good = token(key, "one")
    for _ in range(3):
        client = gateway.client().request("GET", "/x", headers=bearer(good))
        upstream = backend.accept()
        eq(upstream.read_request().headers["authorization"], None, "what the backend sees")
        upstream.respond(200, [("Connection", "close")])
        eq(client.response().status, 200, "status")
    other = ec.generate_private_key(ec.SECP256R1())
    none = jwt.encode({"iss": "https://issuer", "aud": "gw"}, None, algorithm="none", headers={"kid": "one"})
    for text in (token(other, "one"), token(key, "two"), token(key, "one", iss="x"),
                 token(key, "one", aud="x"),
                 token(key, "one", exp=int(time.time()) - 61), token(key, "one", nbf=int(time.time()) + 120),
                 none, good[:-1], good + "A", "x", "." * 20000, good + ", Bearer " + good):
        response = gateway.fetch("/x", headers=bearer(text))
        eq((response.status, response.header("www-authenticate")), (401, 'Bearer error="invalid_token"'),
           text[:50])
    eq(gateway.fetch("/x", headers=bearer(good) * 2).status, 401, "twice")
    eq(gateway.fetch("/x", headers=[("Authorization", "Bearer")]).status, 401, "nothing")
    backend.expect_no_connection(0.2)
