# SPDX-License-Identifier: Apache-2.0
"""Policies of one listener, and several policies on one Gateway: each member that is written is in force."""
from hg import *
from hg.h2 import H2Client

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: quick, port: @port@, protocol: HTTP, hostname: quick.example}
  - {name: slow, port: @port@, protocol: HTTP, hostname: slow.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: g}]
  rules:
  - filters:
    - {type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /x}}}
"""
POLICY = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %s, creationTimestamp: "%s"}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g%s}]
  %s
"""
OLD, NEW = "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z"


def policy(name, what, section="", created=NEW):
    return POLICY % (name, created, f", sectionName: {section}" if section else "", what)


def ask(client, host):
    eq(client.request("GET", "/", host=host).response().status, 302, f"status for {host}")
    return client


@test("an idle timeout of a listener ends its connections, not those of the other on the port", waits=True)
def idle_of_listener():
    gateway = Gateway(GATEWAY + policy("p", "frontend: {http: {http1IdleTimeout: 1s}}", "quick"))
    check("has no effect" not in gateway.stderr, gateway.stderr)
    quick, slow, moved = gateway.client(), gateway.client(), gateway.client()
    ask(slow, "slow.example")
    ask(ask(moved, "quick.example"), "slow.example")
    ask(quick, "quick.example")
    quick.expect_fin()
    eq(ask(slow, "slow.example").pending(), b"", "the slow one goes on")
    ask(moved, "slow.example")
    ask(slow, "quick.example").expect_fin()


@test("the pages about idle connections and about PINGs followed together: both are in force", waits=True)
def two_pages():
    gateway = Gateway(GATEWAY + policy("idle", "frontend: {http: {http1IdleTimeout: 3s}}", created=OLD)
                      + policy("pings", "frontend: {http: {http2KeepaliveInterval: 1s}}"))
    check("\twarn\t" not in gateway.stderr, gateway.stderr)
    client = H2Client(gateway.port)
    client.wait(lambda: client.pings, 10, "a PING")
    ask(gateway.client(), "slow.example").expect_fin()


@test("what a policy loses to an older one stands in the dump and in one warning")
def lost():
    gateway = Gateway(GATEWAY
                      + policy("young", "frontend: {http: {http1IdleTimeout: 9s, http1MaxHeaders: 50}}")
                      + policy("old", "frontend: {http: {http1IdleTimeout: 1s}}", created=OLD))
    entries = {entry["name"]["name"]: entry for entry in gateway.config_dump()["policies"]}
    eq(entries["young"]["lost"], {"to": "frontend/default/old:frontend-http:default/g",
                                  "members": ["http1IdleTimeout"]}, "what the younger one lost")
    check("lost" not in entries["old"], f"the older one: {entries['old']}")
    eq(gateway.stderr.count("\twarn\t"), 1, f"warnings: {gateway.stderr}")
    ask(gateway.client(), "slow.example").expect_fin()


@test("traffic.timeouts.backendRequest limits each attempt", waits=True)
def backend_request():
    text = GATEWAY[:GATEWAY.index("  - filters:")] + """
  - backendRefs: [{name: s, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{port: %d}]
endpoints: [{addresses: [127.0.0.1]}]
"""
    origin = Origin()
    gateway = Gateway(text % origin.port + policy("p", "traffic: {timeouts: {backendRequest: 1s}}"))
    eq(gateway.fetch("/delay/0", host="slow.example").status, 200, "status of a quick answer")
    eq(gateway.fetch("/delay/60", host="slow.example").status, 504, "status of a late one")
    eq(gateway.wait_log(lambda entry: entry.status == 504)["close_reason"], "per_try_timeout", "close reason")


TWO_RULES = GATEWAY[:GATEWAY.index("  - filters:")] + """
  - matches: [{path: {type: Exact, value: @admin@}}]
    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, path: {
      type: ReplaceFullPath, replaceFullPath: /denied}}}]
  - filters: [{type: RequestRedirect, requestRedirect: {path: {
      type: ReplaceFullPath, replaceFullPath: /allowed}}}]
"""
RAW = policy("raw", "frontend: {http: {normalizePath: Off, trace: Forward}}", "quick")


@test("of two listeners of a port each has its own rules for the paths and methods of its requests")
def rules_of_listener():
    gateway = Gateway(TWO_RULES.replace("@admin@", "/admin") + RAW)
    check("has no effect" not in gateway.stderr, gateway.stderr)
    for client in gateway.client(), H2Client(gateway.port):
        for host, status in ("quick.example", 302), ("slow.example", 301), ("quick.example", 302):
            for path in "/x/../admin", "//admin", "/%61dmin":
                eq(status_of(client, "GET", path, host), status, f"status of {path} at {host}")
            eq(status_of(client, "GET", "/admin", host), 301, f"status of /admin at {host}")
    eq([status_of(gateway.client(), "TRACE", "/", host) for host in ("quick.example", "slow.example")],
       [302, 405], "TRACE")


def status_of(client, method, path, host):
    if isinstance(client, H2Client):
        return client.response(client.request(path, method=method, authority=host)).status
    return client.request(method, path, host=host).response(method).status


@test("a route whose path no request has once it is normalised is a warning that says what to write")
def path_of_route():
    status, _, said = validate(TWO_RULES.replace("@admin@", "/x/../admin").replace("@port@", "8080") + RAW)
    eq((status, said.count("fits no request")), (0, 1), f"status and warnings: {said}")
    check('write "/admin"' in said and "slow" in said, said)
