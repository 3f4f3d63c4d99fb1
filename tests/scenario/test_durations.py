# SPDX-License-Identifier: Apache-2.0
"""How durations are written in both styles, what is refused and what is said then; loading many routes."""
import re

from hg import *
from manifests import GATEWAY, ROUTE
from plays import SIMPLE

STANDALONE = SIMPLE.replace("@port@", "8080").replace("@origin@", "127.0.0.1:8000")
IDLE = STANDALONE + "frontendPolicies: {http: {http1IdleTimeout: %s}}\n"

MANIFEST = GATEWAY.replace("@port@", "8080") + ROUTE + """  - backendRefs: [{name: svc, port: 80}]
    timeouts: {request: %s}
---
apiVersion: v1
kind: Service
metadata: {name: svc, namespace: ns}
spec: {clusterIP: None, ports: [{port: 80}]}
"""

POLICY = MANIFEST % "10s" + """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]
  %s
"""


def refused(text, *words):
    """Refused with one error that has a place and these words."""
    status, out, error = validate(text)
    eq(status != 0, True, f"refused: {out!r}")
    lines = [line for line in error.split("\n") if "\terror\t" in line]
    eq(len(lines), 1, f"errors: {error!r}")
    check(re.search(r"config\.yaml:\d+:\d+: ", lines[0]), f"file, line and column: {lines[0]!r}")
    for word in words:
        check(word in lines[0], f"{word!r} in {lines[0]!r}")


def accepted(text):
    status, out, error = validate(text)
    eq((status, "Configuration is valid!" in out), (0, True), f"accepted: {out!r} {error!r}")


@test("standalone files take Go's durations")
def go_accepted():
    for text in ("1s", "1.5s", "500ms", "1h2m3s", "2m30.5s", "'0.5h'", "1000000us", "2000000000ns",
                 "1500000µs"):
        accepted(IDLE % text)
    accepted(STANDALONE + "config: {timeouts: {streamIdle: 0s, tunnelIdle: '0', halfClosed: 1m}}\n")


@test("standalone files refuse what is no duration, and say what to write")
def go_refused():
    for text, word in (("1d", "24h"), ("5", "unit"), ("-1s", "negative"), ("1 s", ""), ("abc", ""), ("''",
                                                                                                     ""),
                       ("1s2", "unit"), ("[1s]", ""), ("1e3s", ""), ("9999999h", "")):
        refused(IDLE % text, "http1IdleTimeout", word)


@test("manifests take h, m, s and ms without decimals")
def gep_accepted():
    for text in ("1s", "500ms", "1h2m3s4ms", "90m", "0s", "99999h"):
        accepted(MANIFEST % text)


@test("manifests refuse decimals, other units and bare numbers, and say what to write")
def gep_refused():
    for text, word in (("1.5s", ""), ("1d", "24h"), ("5", "unit"), ("-1s", "negative"), ("10us", ""),
                       ("1h1h1h1h1h", ""), ("100000s", ""), ("''", "")):
        refused(MANIFEST % text, "request", word)


@test("bounds of the policy fields hold: what is too short is refused with the least value")
def bounds():
    refused(POLICY % "frontend: {http: {http1IdleTimeout: 500ms}}", "http1IdleTimeout", "1s")
    refused(POLICY % "frontend: {tcp: {keepalive: {time: 500ms}}}", "time", "1s")
    refused(POLICY % "frontend: {tcp: {keepalive: {retries: 65}}}", "retries", "64")
    refused(POLICY % "frontend: {http: {http1MaxHeaders: 5000}}", "http1MaxHeaders", "4096")
    refused(POLICY % "backend: {tcp: {connectTimeout: 50ms}}", "connectTimeout", "100ms")
    refused(POLICY % "traffic: {timeouts: {request: 5s, backendRequest: 6s}}", "backendRequest")
    accepted(POLICY % "frontend: {http: {http1IdleTimeout: 1s}, tcp: {keepalive: {retries: 64, time: 1s}}}")


BACKEND = """
binds:
- port: 8080
  listeners:
  - routes:
    - policies: {%s}
      backends:
      - host: localhost:8080
        policies: {%s}
"""


@test("connectTimeout takes {secs, nanos} and a duration; it or keepalives stands in tcp")
def connect_timeout():
    for text in ("{secs: 10, nanos: 0}", "10s", "1.5s", "{secs: 0, nanos: 500000000}"):
        accepted(BACKEND % ("", f"tcp: {{connectTimeout: {text}, keepalives: {{}}}}"))
    accepted(BACKEND % ("", "tcp: {connectTimeout: 10s}"))
    accepted(BACKEND % ("", "tcp: {keepalives: {}}"))
    refused(BACKEND % ("", "tcp: {}"), "connectTimeout")
    refused(BACKEND % ("", "tcp: {connectTimeout: {secs: 10}, keepalives: {}}"), "nanos")
    refused(BACKEND % ("", "tcp: {connectTimeout: {secs: 1, nanos: 1000000000}, keepalives: {}}"), "nanos")
    refused(BACKEND % ("", "tcp: {connectTimeout: 10, keepalives: {}}"), "connectTimeout")


@test("what a retry policy must not be is refused with one sentence")
def retry():
    for text, word in (("retry: {attempts: 1}", "codes"), ("retry: {attempts: 0, codes: []}", "attempts"),
                       ("retry: {attempts: 256, codes: []}", "attempts"), ("retry: {codes: [99]}", "99"),
                       ("retry: {codes: [1000]}", "1000"), ("retry: {codes: [503], backoff: 5}", "backoff"),
                       ("retry: {codes: [503], backof: 5s}", "backof"),
                       ("timeout: {requestTimeout: 5}", "requestTimeout"),
                       ("timeout: {requestTimeout: -1s}", "requestTimeout"),
                       ("timeout: {request: 1s}", "requestTimeout")):
        refused(BACKEND % (text, ""), word)
    accepted(BACKEND % ("retry: {attempts: 255, codes: [517]}", ""))
    accepted(BACKEND % ("retry: {codes: []}", ""))


@test("a rule's backendRequest longer than its request is refused, as in the Gateway API")
def longer_than_request():
    refused((MANIFEST % "5s").replace("request: 5s", "request: 5s, backendRequest: 10s"), "backendRequest")
    accepted((MANIFEST % "5s").replace("request: 5s", "request: 5s, backendRequest: 5s"))
    accepted((MANIFEST % "5s").replace("request: 5s", "request: 0s, backendRequest: 10s"))


@test("1 000 routes load, and are found from the first to the last")
def many_routes():
    routes = "".join(f"""
    - name: r{i}
      hostnames: [host{i}.example, "*.sub{i}.example"]
      matches: [{{path: {{pathPrefix: /a{i}}}}}, {{path: {{exact: /b}}, method: GET}}]
      policies:
        timeout: {{requestTimeout: 5s}}
        retry: {{attempts: 2, codes: [503]}}
        directResponse: {{status: 200, body: r{i}}}""" for i in range(1000))
    gateway = Gateway(SIMPLE[:SIMPLE.index("    - name: all")] + routes.lstrip("\n") + "\n")
    client = gateway.client()
    for i in range(0, 1000, 9):
        answer = client.get(f"/a{i}/x", host=f"host{i}.example" if i % 2 else f"any.sub{i}.example")
        eq((answer.status, answer.text), (200, f"r{i}"), "status and route")
    eq(client.get("/a7", host="host8.example").status, 404, "status for the path of another route")
