# SPDX-License-Identifier: Apache-2.0
"""Local rate limits: exact over workers, by key, kept over reloads; refusals without a backend."""
import threading

from hg import *
from hg.h2 import fetch2
from hg.mcp import McpGateway, McpServer, config
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted, play

CONFIG = """
config: {forwarded: {trusted: ["127.0.0.2/32"]}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: limited
      policies:
        cors: {allowOrigins: ["https://a.test"]}
        localRateLimit: [%s]
        %s
      backends: [{host: @origin@}]
"""
HOUR = "{maxTokens: %d, tokensPerFill: %d, fillInterval: 1h%s}"


def limited(most=2, more="", policies=""):
    return CONFIG % (HOUR % (most, most, more), policies)


@test("a refusal is 429, log and metric say which rule, and no backend is asked")
def refusal():
    gateway, backend = acted(limited(0))
    client = gateway.client()  # stays usable
    for _ in range(3):
        response = client.request("GET", "/x", headers=[("Origin", "https://a.test")]).response()
        eq((response.status, response.text), (429, "rate limit exceeded"), "the response")
        eq(response.header("x-ratelimit-limit"), "0", "limit")
        eq(response.header("access-control-allow-origin"), "https://a.test", "CORS on the refusal")
    backend.expect_no_connection(0.2)
    record = gateway.wait_log(count=3)[0]
    eq((record["close_reason"], record["reason"], record["error"]),
       ("rate_limit", "RateLimit", "rate limit exceeded (rule 1 of localRateLimit of default/limited)"),
       "log")
    metrics = gateway.metrics()
    eq(metrics("headgate_policy_refusals_total", policy="localRateLimit", rule="default/limited"), 3,
       "the metric")


@test("responses count down, a refusal says when to come again, over HTTP/1 and HTTP/2")
def countdown():
    gateway, _ = play(limited(2))
    eq(gateway.fetch("/get").header("x-ratelimit-remaining"), "1", "first")
    response = fetch2(gateway.port, "/status/500")
    eq((response.status, response.header("x-ratelimit-remaining")), (500, "0"), "second")
    for response in (gateway.fetch("/get"), fetch2(gateway.port, "/get")):
        eq((response.status, response.header("x-ratelimit-limit")), (429, "2"), "third")
        after, reset = (int(response.header(name)) for name in ("retry-after", "x-ratelimit-reset"))
        check(3500 < reset <= after <= 3600, f"reset {reset}, retry-after {after}")


@test("several workers admit together exactly what one would")
def exact():
    gateway, _ = play(limited(50), workers=4)
    statuses = []

    def ask():
        for _ in range(10):
            statuses.append(gateway.fetch("/status/204").status)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eq((statuses.count(204), statuses.count(429)), (50, 70), "admitted and refused")


@test("tokens come back at the interval")
def refilled():
    gateway, _ = play(CONFIG % ("{maxTokens: 1, tokensPerFill: 1, fillInterval: 1s}", ""))
    eq(gateway.fetch("/get").status, 200, "first")
    eq(gateway.fetch("/get").status, 429, "second")
    wait_until(lambda: gateway.fetch("/get").status == 200, 5, "a token")


@test("a key has a bucket for each value: the client that a trusted proxy names, and no invented one")
def keys():
    gateway, _ = play(limited(1, ", key: 'source.address'"))

    def ask(source, forwarded=None):
        client = gateway.client(source=source)
        fields = [("X-Forwarded-For", forwarded)] if forwarded else []
        return client.request("GET", "/status/204", headers=fields).response().status

    eq([ask("127.0.0.1"), ask("127.0.0.1")], [204, 429], "one client")
    eq([ask("127.0.0.3"), ask("127.0.0.3")], [204, 429], "another client")
    eq(ask("127.0.0.1", "10.1.1.1"), 429, "a client cannot claim another address")
    eq([ask("127.0.0.2", "10.2.2.2"), ask("127.0.0.2", "10.2.2.2")], [204, 429], "behind the proxy")
    eq(ask("127.0.0.2", "10.9.9.9, 10.2.2.2"), 429, "a forged first element")
    eq(ask("127.0.0.2", "::ffff:10.2.2.2"), 429, "the same address, IPv4-mapped")
    eq(ask("127.0.0.2", "10.2.2.3"), 204, "another behind the proxy")
    eq(gateway.metrics()("headgate_rate_limit_buckets"), 4, "buckets")


@test("a reload keeps the buckets of rules that stay, and a changed rule begins full")
def reload():
    gateway, _ = play(limited(2))
    eq([gateway.fetch("/get").status for _ in range(3)], [200, 200, 429], "before")
    gateway.reload(limited(2, policies="delay: {duration: 1ms}"))
    eq(gateway.fetch("/get").status, 429, "after a reload that changes something else")
    gateway.reload(limited(3))
    eq([gateway.fetch("/get").status for _ in range(4)], [200, 200, 200, 429], "after a change of the rule")


@test("a policy of a gateway is one bucket for all its routes; retries take no token")
def shared():
    gateway, backend = acted("""
policies:
- name: {name: limits, namespace: default}
  target: {gateway: {}}
  policy: {localRateLimit: [%s]}
binds:
- port: @port@
  listeners:
  - routes:
    - {name: a, matches: [{path: {pathPrefix: /a}}], backends: [{host: @origin@}],
       policies: {retry: {attempts: 1, codes: [503]}}}
    - {name: b, backends: [{host: @origin@}]}
""" % (HOUR % (2, 2, "")))
    client = gateway.client().request("GET", "/a")
    for status in (503, 200):
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(status, [("Connection", "close"), ("X-RateLimit-Limit", "77")])
    response = client.response()
    eq((response.status, response.header("x-ratelimit-limit"), response.header("x-ratelimit-remaining")),
       (200, "77", None), "limits of the backend's own stay")
    client = gateway.client().request("GET", "/b")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().header("x-ratelimit-remaining"), "0", "the second token")
    eq(gateway.fetch("/a").status, 429, "the third request")
    eq(gateway.config_dump()["policies"][0]["policy"]["traffic"]["localRateLimit"], [
        {"maxTokens": 2, "tokensPerFill": 2, "fillInterval": "1h0m0s", "type": "requests"}], "the dump")


@test("a refused upload is answered before its body has come, and the connection ends")
def upload():
    gateway, backend = acted(limited(0))
    client = gateway.client().request("POST", "/x", headers=[("Content-Length", "1000000")])
    response = client.response()
    eq((response.status, response.header("connection")), (429, "close"), "the response")
    response = gateway.client().request("POST", "/x", headers=[
        ("Content-Length", "10"), ("Expect", "100-continue")]).response()
    eq((response.status, response.interim), (429, []), "no 100 before a refusal")
    backend.expect_no_connection(0.2)


POLICY = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]
  traffic:
    rateLimit: {local: [{requests: 1, unit: Hours, burst: 1, key: 'request.headers["x-user"]'}]}
---"""


@test("traffic.rateLimit.local of an AgentgatewayPolicy: requests and burst, by key")
def manifests():
    rule = "  - {backendRefs: [{name: svc, port: 80}]}\n---"
    gateway = Gateway(GATEWAY + ROUTE + rule + POLICY + SERVICE, origin_port=Origin().port)
    for user in ("a", "b"):
        statuses = [gateway.fetch("/get", headers=[("X-User", user)]).status for _ in range(3)]
        eq(statuses, [200, 200, 429], user)
    dump = gateway.config_dump()["policies"][0]
    eq(dump["key"], "traffic/ns/p:rl-local:ns/gw", "the key in the dump")
    eq(dump["policy"]["traffic"]["localRateLimit"], [
        {"maxTokens": 2, "tokensPerFill": 1, "fillInterval": "1h0m0s", "type": "requests",
         "key": 'request.headers["x-user"]'}], "the dump")


@test("MCP requests are limited like others")
def mcp():
    server = McpServer()
    gateway = McpGateway(config([server.target()], {"localRateLimit": [
        {"maxTokens": 1, "tokensPerFill": 1, "fillInterval": "1h"}]}))
    first = gateway.fetch("/mcp", method="POST", body=b"{}")
    eq(first.header("x-ratelimit-remaining"), "0", "the first response")
    eq(gateway.fetch("/mcp", method="POST", body=b"{}").status, 429, "the second one")
