# SPDX-License-Identifier: Apache-2.0
"""Endpoints of one backend: priorities, affinity, and sessions that clients keep in cookies and headers."""
import re

from hg import *
from test_endpoints import origins

KEY = "00112233445566778899aabbccddeeff" * 2
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")

FILE = """
config: {session: {key: "%(key)s"}}
gateways: {default: {port: @port@}}
routes:
- name: r
  policies: {%(policies)s}
  backends: [{endpoints: [%(endpoints)s], policies: {%(more)s}}]
"""


def file(port, addresses=ADDRESSES, policies="", more="", key=KEY, keys=("",) * 3):
    endpoints = ", ".join(f"{{host: '{a}:{port}'{k}}}" for a, k in zip(addresses, keys))
    return FILE % {"key": key, "policies": policies, "endpoints": endpoints, "more": more}


def ask(gateway, cookie=None, **options):
    """(who answered, the token of Set-Cookie or None, its attributes)"""
    answer = gateway.fetch("/get", headers=[("Cookie", cookie)] if cookie else [], **options)
    eq(answer.status, 200, "status")
    passed = answer.json()["headers"].get("Cookie", "")
    check("session" not in str(passed), f"the backend got {passed}")
    written = answer.header("Set-Cookie")
    pair, _, attributes = (written or "").partition("; ")
    return answer.header("x-origin"), pair or None, attributes


def trace(gateway, event):
    return re.findall(rf" {event} (.*)", gateway.admin("/trace").text)


@test("requests go to the next priority while the first is down, without an error, and come back")
def priorities():
    port, servers = origins(*ADDRESSES[:2])
    gateway = Gateway(file(port, ADDRESSES[:2], keys=("", ", priority: 1")), workers=1)
    answered = lambda: gateway.fetch("/get").header("x-origin")
    eq({answered() for _ in range(10)}, {ADDRESSES[0]}, "who answers")
    eq([(e["endpoint"], e["priority"]) for e in gateway.admin_json("/endpoints")],
       [(f"{ADDRESSES[0]}:{port}", 0), (f"{ADDRESSES[1]}:{port}", 1)], "GET /endpoints")
    servers[0].stop()
    eq({answered() for _ in range(10)}, {ADDRESSES[1]}, "who answers while the first one is down")
    check("choice=failover index=1" in trace(gateway, "endpoint"), "the trace names the failover")
    servers[0].restart()
    wait_until(lambda: answered() == ADDRESSES[0], 20, "the first one again")
    eq({answered() for _ in range(10)}, {ADDRESSES[0]}, "who answers in the end")


@test("a cookie leads to its endpoint on every gateway with the key, whatever the weights; no other does")
def cookies():
    port, servers = origins(*ADDRESSES)
    policies = "sessionPersistence: {sessionName: session}"
    first, second = (Gateway(file(port, policies=policies), workers=1) for _ in range(2))
    who, token, attributes = ask(first)
    eq(attributes, "Path=/; HttpOnly; SameSite=Lax", "attributes")
    for gateway in (first, second, first, second):
        eq(ask(gateway, f"a=1; {token}; b=2"), (who, None, ""), "with the cookie")
    check("choice=session index=%d" % ADDRESSES.index(who) in trace(first, "endpoint"), "the trace")
    # A weight of 0 keeps sessions, and gets no new ones.
    zero = [", weight: 0" if a == who else "" for a in ADDRESSES]
    first.reload(file(port, policies=policies, keys=zero))
    eq(ask(first, token), (who, None, ""), "after its weight has become 0")
    check(all(ask(first)[0] != who for _ in range(10)), "new sessions of the one without weight")
    # What nobody has signed, or another key has, counts as nothing.
    name, _, value = token.partition("=")
    forged = f"{name}={'A' if value[0] != 'A' else 'B'}{value[1:]}"
    other = Gateway(file(port, policies=policies, key="f" * 64), workers=1)
    for gateway, cookie in ((second, forged), (second, f"{token}; {token}"), (other, token)):
        check(ask(gateway, cookie)[1], f"no new cookie for {cookie}")
    eq(trace(second, "session")[-2:], ["session=invalid"] * 2, "the trace")
    # The endpoint is down, and then gone: another one, with a new cookie.
    servers[ADDRESSES.index(who)].stop()
    moved, new, _ = ask(second, token)
    check(moved != who and new and new != token, f"{moved} answered with {new}")
    eq(ask(second, new), (moved, None, ""), "with the new cookie")
    first.reload(file(port, [a for a in ADDRESSES if a != who], policies=policies))
    check(ask(first, token)[1], "no new cookie where the endpoint is gone")
    eq(trace(first, "session")[-1], "session=gone", "the trace")


@test("sessions are of one rule, and end after absoluteTimeout or idleTimeout; Permanent has Max-Age")
def timeouts():
    port, _ = origins(*ADDRESSES[:2])
    policies = ("sessionPersistence: {absoluteTimeout: 1h, idleTimeout: 1s, cookie: {name: session, "
                "path: /get, lifetimeType: Permanent, sameSite: Strict}}")
    gateway = Gateway(file(port, ADDRESSES[:2], policies=policies), workers=1)
    who, token, attributes = ask(gateway)
    check(re.fullmatch(r"Path=/get; HttpOnly; SameSite=Strict; Max-Age=3(600|599)", attributes), attributes)
    wait_until(lambda: ask(gateway, token) and trace(gateway, "session")[-1] == "session=expired", 20,
               "the idle timeout")
    renamed = file(port, ADDRESSES[:2], policies=policies).replace("name: r", "name: q")
    _, token, _ = ask(gateway)
    gateway.reload(renamed)
    ask(gateway, token)
    eq(trace(gateway, "session")[-1], "session=invalid", "with the cookie of another rule")


@test("a header carries the session where the client has no cookies")
def headers():
    port, _ = origins(*ADDRESSES)
    policies = "sessionPersistence: {type: Header, header: {name: x-session}}"
    gateway = Gateway(file(port, policies=policies), workers=1)
    first = gateway.fetch("/get")
    token = first.header("x-session")
    for _ in range(5):
        answer = gateway.fetch("/get", headers=[("X-Session", token)])
        eq((answer.header("x-origin"), answer.header("x-session")), (first.header("x-origin"), None),
           "with the header")
        check("X-Session" not in answer.json()["headers"], "the backend got the header")


@test("the key of a request leads to one endpoint, on every gateway, and to another one while that is down")
def affinity():
    port, servers = origins(*ADDRESSES)
    more = "sessionAffinity: {source: 'request.headers[\"x-user\"]'}"
    gateways = [Gateway(file(port, more=more), workers=1) for _ in range(2)]
    answered = lambda gateway, user: gateway.fetch("/get", headers=[("x-user", user)]).header("x-origin")
    users = [f"user{i}" for i in range(24)]
    homes = {user: answered(gateways[0], user) for user in users}
    eq(set(homes.values()), set(ADDRESSES), "who answers")
    eq({user: answered(gateways[1], user) for user in users}, homes, "on the other gateway")
    servers[0].stop()
    moved = {user: answered(gateways[0], user) for user in users}
    for user in users:
        stays = homes[user] != ADDRESSES[0]
        check(moved[user] == homes[user] if stays else moved[user] != ADDRESSES[0],
              f"{user} of {homes[user]} went to {moved[user]}")
    check(any("choice=hash_next" in choice for choice in trace(gateways[0], "endpoint")), "the trace")


COOKIE = "type: Cookie, cookie: {name: lb, %s}"
MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec: {gatewayClassName: headgate, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: svc, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: svc, namespace: ns}
spec: {ports: [{port: 80, targetPort: %(port)d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc, namespace: ns, labels: {kubernetes.io/service-name: svc}}
addressType: IPv4
ports: [{port: %(port)d}]
endpoints: [%(endpoints)s]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  backend: {loadBalancer: {consistentHash: {%(hash)s}}}
"""


def manifests(port, hash_):
    endpoints = ", ".join(f"{{addresses: [{a}], conditions: {{ready: true}}}}" for a in ADDRESSES)
    return MANIFESTS % {"port": port, "endpoints": endpoints, "hash": hash_}


@test("a client without the cookie of consistentHash gets one, which leads to the endpoint that answered")
def hash_cookies():
    port, servers = origins(*ADDRESSES)
    attributes = 'ttl: 90s, attributes: {SameSite: Strict, Secure: "", Path: /get}'
    plain, manifest = (
        Gateway(text, workers=1) for text in
        (file(port, more=f"loadBalancer: {{consistentHash: {{{COOKIE % 'ttl: 0s'}}}}}"),
         manifests(port, COOKIE % attributes)))
    for gateway, wanted in ((plain, "Path=/; HttpOnly"),
                            (manifest, "Max-Age=90; SameSite=Strict; Secure; Path=/get; HttpOnly")):
        homes = {}
        for _ in range(24):
            who, cookie, written = ask(gateway)
            check(re.fullmatch("lb=[0-9a-f]{32}", cookie or ""), f"the cookie: {cookie}")
            eq(written, wanted, "attributes")
            homes[cookie] = who
        eq((len(homes), set(homes.values())), (24, set(ADDRESSES)), "cookies, and who answered")
        for other in (plain, manifest):
            eq({cookie: ask(other, f"a=b; {cookie}") for cookie in homes},
               {cookie: (who, None, "") for cookie, who in homes.items()}, "with the cookies")
        check(ask(gateway, "lb=")[1], "no cookie for one without a value")
    # The endpoint of an attempt that fails is not the one that the cookie leads to while it is down.
    servers[0].stop()
    found = [ask(plain) for _ in range(12)]
    eq({who for who, _, _ in found}, set(ADDRESSES[1:]), "who answers while one is down")
    eq([ask(plain, cookie)[0] for _, cookie, _ in found], [who for who, _, _ in found], "with these cookies")
