# SPDX-License-Identifier: Apache-2.0
"""All guards together: their order, clients of others, floods of refusals, and what nobody may see."""
import base64
import hashlib
import json
import re

from credentials import PASSWORD, Issuer, basic, htpasswd, token, written
from hg import *
from hg.framework import Failure
from hg.h2 import H2Client, fetch2
from hg.h2_websocket import ask
from plays import acted, play

try:
    import grpc
except ImportError:  # need() says so in the tests
    grpc = None

ORIGIN = "https://app.test"
KEY = "s3cr3t-key"


class Rig:
    """What each guard of one route accepts, in the order in which they decide."""

    def __init__(self):
        self.issuer = Issuer()
        self.key = self.issuer.add("one")
        keys = written("keys.json", json.dumps({"keys": self.issuer.keys}))
        self.token = token(self.key, "one", sub="t0ken-user")
        self.line = htpasswd("alice", "-m")
        self.policies = {
            "cors": "{allowOrigins: ['%s'], allowMethods: [GET, POST], allowHeaders: ['*']}" % ORIGIN,
            "limits": "{maxHeaderBytes: 8000}",
            "jwtAuth": "{mode: strict, issuer: 'https://issuer', audiences: [gw], jwks: {file: %s}, "
                       "location: {header: {name: X-Token}}}" % keys,
            "basicAuth": "{mode: strict, htpasswd: '%s'}" % self.line,
            "apiKey": "{mode: strict, keys: [{key: %s}], location: {header: {name: X-Key}}}" % KEY,
            "authorization": "{rules: [{deny: 'request.headers[\"x-bad\"] == \"1\"'}]}",
            "localRateLimit": "[{maxTokens: 1, tokensPerFill: 1, fillInterval: 1h, "
                              "key: 'request.headers[\"x-client\"]'}]",
            "buffer": "{request: {maxBytes: 100}}",
            "csrf": "{additionalOrigins: ['%s']}" % ORIGIN,
            "requestRedirect": "{scheme: https}",
            "delay": "{duration: 1h}",
            "directResponse": "{status: 418}",
        }
        self.fields = {"jwtAuth": ("X-Token", self.token), "basicAuth": basic("alice"),
                       "apiKey": ("X-Key", KEY)}

    def text(self, names, where="route"):
        lines = "".join(f"\n        {name}: {self.policies[name]}" for name in names)
        return f"""
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:{lines}
      backends: [{{host: @origin@}}]
"""


# The order of docs/tasks/guards.md: the policy, the answer it refuses with, and what makes it refuse.
REFUSALS = (
    ("networkAuthorization", 403, "authorization failed"),
    ("limits", 431, "request headers too large"),
    ("jwtAuth", 401, "authentication failure: no bearer token found"),
    ("basicAuth", 401, "basic authentication failure: no basic authentication credentials found"),
    ("apiKey", 401, "api key authentication failure: no API Key found"),
    ("authorization", 403, "authorization failed"),
    ("localRateLimit", 429, "rate limit exceeded"),
    ("buffer", 413, "request body too large"),
    ("csrf", 403, "CSRF validation failed"),
    ("requestRedirect", 302, ""),
)


def headers_for(rig, refusing, number):
    """A request that these policies refuse, and all others admit."""
    fields = [field for name, field in rig.fields.items() if name not in refusing]
    if "authorization" in refusing:
        fields.append(("X-Bad", "1"))
    if "networkAuthorization" in refusing:
        fields.append(("X-Forwarded-For", "203.0.113.9"))
    if "limits" in refusing:
        fields.append(("X-Large", "x" * 8000))
    fields.append(("X-Client", "limited" if "localRateLimit" in refusing else f"free-{number}"))
    fields.append(("Origin", "https://evil.test" if "csrf" in refusing else ORIGIN))
    return fields


NETWORK = """
frontendPolicies: {networkAuthorization: {rules: [{deny: 'source.address == "203.0.113.9"'}]}}
config: {forwarded: {trusted: [127.0.0.0/8]}}
"""


@test("of two guards that would both refuse a request, the first one answers; redirects come after them",
      timeout=60)
def order():
    rig = Rig()
    gateway, backend = acted(rig.text(rig.policies) + NETWORK)
    exhausted = headers_for(rig, (), 0)[:-2] + [("X-Client", "limited"), ("Origin", ORIGIN)]
    eq(gateway.fetch("/x", method="POST", headers=exhausted).status, 302, "the token of the limit")
    number = 0
    for at, (name, status, body) in enumerate(REFUSALS[:-1]):
        for later in [(), *[(other[0],) for other in REFUSALS[at + 1:-1]],
                      tuple(other[0] for other in REFUSALS[at + 1:-1])]:
            number += 1
            fields = headers_for(rig, (name, *later), number)
            sent = b"x" * (101 if "buffer" in (name, *later) else 100)
            response = gateway.fetch("/x", method="POST", headers=fields, body=sent)
            eq((response.status, response.text), (status, body), f"{name} before {later}")
            if "csrf" not in (name, *later) and name != "networkAuthorization":
                eq(response.header("access-control-allow-origin"), ORIGIN, f"CORS of {name}")
    for name, _, _ in REFUSALS[:-1]:
        rule = "frontend/networkAuthorization" if name == "networkAuthorization" else "default/all"
        check(gateway.metrics()("headgate_policy_refusals_total", policy=name, rule=rule) > 1, name)
    preflight = [("Origin", ORIGIN), ("Access-Control-Request-Method", "POST"), ("X-Bad", "1")]
    for _ in range(3):
        response = gateway.fetch("/x", method="OPTIONS", headers=preflight)
        eq((response.status, response.header("access-control-allow-origin")), (200, ORIGIN), "a preflight")
    backend.expect_no_connection(0.2)


@test("a refusal of a guard that decides before routes comes before those of the route, and both must admit")
def phases():
    rig = Rig()
    text = rig.text(["basicAuth"]).replace("  - routes:", "  - policies: {apiKey: %s}\n    routes:"
                                           % rig.policies["apiKey"])
    gateway, backend = acted(text)
    key, alice = rig.fields["apiKey"], rig.fields["basicAuth"]
    for fields, said in (([], "api key"), ([alice], "api key"), ([key], "basic"),
                         ([("X-Key", "x"), alice], "api key"),
                         ([key, basic("alice", "x")], "basic")):
        response = gateway.fetch("/x", headers=fields)
        eq(response.status, 401, said)
        check(response.text.startswith(said + " authentication failure"), response.text)
    backend.expect_no_connection(0.2)
    client = gateway.client().request("GET", "/x", headers=[key, alice])
    upstream = backend.accept()
    seen = upstream.read_request().headers
    eq((seen["x-key"], seen["authorization"]), (None, None), "credentials at the backend")
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "with both")


@test("a flood of refusals opens no connection to the backend, and the client's stays usable", timeout=60)
def flood():
    rig = Rig()
    gateway, backend = acted(rig.text(["jwtAuth", "basicAuth", "apiKey"]))
    client = gateway.client()
    for number in range(300):
        fields = [("X-Token", f"a.b.{number}"), basic("alice", str(number)), ("X-Key", str(number))]
        eq(client.request("GET", "/x", headers=fields).response().status, 401, f"request {number}")
    second = H2Client(gateway.port)
    streams = [second.request("/x", extra=[("x-token", f"a.b.{number}")]) for number in range(50)]
    eq({second.response(stream).status for stream in streams}, {401}, "streams")
    body = b"x" * 100000
    response = client.request("POST", "/x", body=body).response()
    eq(response.status, 401, "with a body")
    eq(gateway.metrics()("headgate_policy_refusals_total", policy="jwtAuth"), 351.0, "the metric")
    eq(gateway.metrics()("headgate_upstream_connections_open"), 0.0, "connections to backends")
    backend.expect_no_connection(0.2)


@test("a WebSocket without a credential is refused before the backend is dialled, over both versions of HTTP")
def websockets():
    rig = Rig()
    for name in ("jwtAuth", "basicAuth", "apiKey"):
        gateway, backend = acted(rig.text([name]))
        upgrade = [("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                   ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]
        client = gateway.client()
        eq(client.request("GET", "/ws", headers=upgrade).response().status, 401, name)
        eq(client.request("GET", "/ws").response().status, 401, f"{name}, the connection after it")
        second = H2Client(gateway.port)
        eq(second.response_head(ask(second)).status, 401, f"{name}, HTTP/2")
        backend.expect_no_connection(0.2)
        client = gateway.client().request("GET", "/ws", headers=[*upgrade, rig.fields[name]])
        upstream = backend.accept()
        eq(upstream.read_request().headers["upgrade"], "websocket", f"{name}, with a credential")
        upstream.respond(400, [("Connection", "close")])
        eq(client.response().status, 400, "the backend's answer")


@test("a client of gRPC gets UNAUTHENTICATED, with metadata that is wrong or none; a right one gets through",
      needs=("module:grpc",), timeout=60)
def grpc_client():
    rig = Rig()
    for name, wrong in (("jwtAuth", ("x-token", rig.token[:-3])), ("basicAuth", basic("alice", "x")),
                        ("apiKey", ("x-key", "x"))):
        gateway, backend = acted(rig.text([name]))
        with grpc.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
            call = channel.unary_unary("/test.Echo/Unary")
            for metadata in ([], [(wrong[0].lower(), wrong[1])]):
                try:
                    call(b"x", metadata=metadata, timeout=20)
                    raise Failure(f"{name}: the call succeeded")
                except grpc.RpcError as error:
                    eq(error.code(), grpc.StatusCode.UNAUTHENTICATED, name)
                    check("authentication failure" in error.details(), error.details())
        backend.expect_no_connection(0.1)


@test("curl gets in with -u, --oauth2-bearer and -H over both versions of HTTP, and not with a wrong one",
      needs=("curl",))
def curl():
    rig = Rig()
    rig.policies["jwtAuth"] = rig.policies["jwtAuth"].replace(", location: {header: {name: X-Token}}", "")
    for name, right, wrong in (
            ("basicAuth", ["-u", f"alice:{PASSWORD}"], ["-u", "alice:x"]),
            ("basicAuth", ["--anyauth", "-u", f"alice:{PASSWORD}"], ["--anyauth", "-u", "alice:x"]),
            ("jwtAuth", ["--oauth2-bearer", rig.token], ["--oauth2-bearer", rig.token[:-2]]),
            ("apiKey", ["-H", f"X-Key: {KEY}"], ["-H", "X-Key;"])):
        gateway, _ = play(rig.text([name]))
        for version in ("--http1.1", "--http2-prior-knowledge", "--http1.0"):
            url = f"http://127.0.0.1:{gateway.port}/get"
            for arguments, status in ((right, "200"), (wrong, "401"), ([], "401")):
                if "--anyauth" in arguments and version != "--http1.1":
                    continue
                done = run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", version, *arguments, url])
                eq(done[1], status, f"{name} {version} {arguments[:1]}")
        gateway.stop()


@test("dump, streams, trace, log, metrics and messages have no password, key, token or hash",
      timeout=60)
def nothing_is_shown():
    rig = Rig()
    rig.policies["localRateLimit"] = '[{maxTokens: 99, fillInterval: 1h, key: \'request.headers["x-key"]\'}]'
    text = rig.text([name for name in rig.policies if name not in ("requestRedirect", "delay",
                                                                   "directResponse")])
    text += rig.text(["apiKey"]).replace("X-Key}", "key}").replace("header", "queryParameter").partition(
        "binds:\n")[2].replace("@port@", "@query@")
    text += rig.text(["jwtAuth"]).replace("header: {name: X-Token}", "cookie: {name: s}").partition(
        "binds:\n")[2].replace("@port@", "@cookie@")
    gateway, _ = play(text + "config: {logging: {level: debug}}\n")
    rights = list(rig.fields.values())
    eq(gateway.fetch("/get", headers=rights).status, 200, "all of them")
    wrong_password, wrong_key, wrong_token = "wr0ng-pass", "wr0ng-key", rig.token[:-6] + "wr0ngT"
    for fields in ([], [("X-Token", wrong_token)], rights[:1] + [basic("alice", wrong_password)],
                   rights[:2] + [("X-Key", wrong_key)], [(name, value + "x") for name, value in rights],
                   [("X-Token", rig.token), ("X-Token", rig.token)]):
        check(gateway.fetch("/get", headers=fields).status == 401, f"{len(fields)} fields")
        lower = [(name.lower(), value) for name, value in fields]
        check(fetch2(gateway.port, "/get", extra=lower).status == 401, "HTTP/2")
    for path, status in ((f"/get?key={KEY}", 200), (f"/get?key={wrong_key}", 401),
                         (f"/get?a=1&%6bey={wrong_key}", 401),
                         (f"/get?key={KEY}&key={KEY}", 401)):
        eq(gateway.fetch(path, port="query").status, status, path)
    for cookie, status in ((rig.token, 200), (wrong_token, 401)):
        eq(gateway.fetch("/get", port="cookie", headers=[("Cookie", f"s={cookie}")]).status, status, "cookie")
    held = gateway.client().request("GET", "/delay/3", headers=rights)
    wait_until(lambda: len(gateway.streams()) > 0, 20, "a stream")
    shown = {"streams": gateway.admin("/streams").text}
    numbers = sorted(set(re.findall(r'"id": ?"?([0-9a-f-]+)', shown["streams"])))
    check(numbers, shown["streams"])
    for number in numbers:
        shown[f"trace {number}"] = gateway.admin(f"/trace?id={number}").text
    eq(held.response().status, 200, "the held request")
    for path in ("/config_dump", "/streams?history=1", "/config_status", "/memory", "/endpoints", "/"):
        shown[path] = gateway.admin(path).text
    shown["metrics"] = fetch(gateway.stats_port, "/metrics").text
    broken = validate(text.replace("mode: strict", "mode: strikt"), origin="127.0.0.1:1")
    check(broken[0] != 0, "a broken file loads")
    shown["messages"] = broken[1] + broken[2]
    gateway.stop()
    shown["log"], shown["errors"] = gateway.stdout, gateway.stderr
    hidden = [KEY, wrong_key, wrong_password, PASSWORD, rig.token, rig.token.split(".")[2], wrong_token,
              rig.token.split(".")[1], rig.line.split(":")[1], basic("alice")[1].split(" ")[1],
              basic("alice", wrong_password)[1].split(" ")[1], hashlib.sha256(KEY.encode()).hexdigest(),
              base64.b64encode(KEY.encode()).decode(),
              base64.b64encode(hashlib.sha256(KEY.encode()).digest()).decode()]
    for where, content in shown.items():
        for secret in hidden:
            check(secret not in content, f"{secret[:30]} is shown in {where}")
    check("t0ken-user" in shown["log"] and "alice" in shown["log"], "the log says who it was")
