# SPDX-License-Identifier: Apache-2.0
"""Passive health: outcomes of requests eject an endpoint, and a check of the gateway lets it return."""
import collections

from hg import *
from hg.mcp import Mcp, McpGateway
from healthservers import ADDRESSES, await_out, entries, gateway_of, history, out, servers, statuses


@test("of an endpoint that dies at most `consecutive` requests fail, and none before it answers a connection")
def dead():
    port, (dying, *_) = servers()
    gateway = gateway_of(port, "passive: {consecutiveGatewayErrors: 2, consecutive5XxErrors: 0, interval: "
                               "100ms, baseEjectionTime: 300ms, maxEjectionPercent: 50}", workers=1)
    eq(statuses(gateway, 20), {200: 20}, "before")
    dying.stop()
    seen = collections.Counter()

    def is_ejected():
        seen.update(statuses(gateway, 10))
        return out(gateway)
    wait_until(is_ejected, 20, "the ejection")
    check(seen[503] <= 2 and set(seen) <= {200, 503}, f"statuses while it dies: {seen}")
    eq(gateway.metrics()("headgate_endpoint_unhealthy_total"), 2, "attempts that it has failed")
    # The time of the ejection passes, and checks fail.
    wait_until(lambda: gateway.metrics()("headgate_health_checks_total", result="failed") >= 3, 20,
               "failed checks")
    entry = entries(gateway)[dying.address]
    eq((entry["ejected"], entry["evicted"], entry["evicted_left_ms"]), (True, True, 0), "the entry")
    eq(statuses(gateway, 60), {200: 60}, "statuses after its time")
    dying.start()
    await_out(gateway)
    eq(statuses(gateway, 60), {200: 60}, "statuses after the return")
    eq(history(gateway), [("ejected", dying.address), ("returned", dying.address)], "history")
    check(f"endpoint {dying.address}:{port} of backend ns/svc.ns.svc.cluster.local is used again, a check "
          "after its ejection passed" in gateway.stderr, gateway.stderr)


@test("one endpoint always stays, however much fails")
def one_stays():
    port, made = servers()
    for server in made:
        server.status = 500
    gateway = gateway_of(port, "passive: {consecutive5XxErrors: 2, maxEjectionPercent: 100, "
                               "baseEjectionTime: 300s}", workers=2)
    eq(statuses(gateway, 60), {500: 60}, "statuses")
    eq(len(out(gateway)), 2, "ejected")
    check(entries(gateway)[next(iter(out(gateway)))]["ejected"], "ejected")


@test("an endpoint with active checks returns through them, not before its time")
def returns_through_checks():
    port, (bad, *_) = servers(health=200)
    bad.status = 503
    gateway = gateway_of(port, "active: {type: HTTP, interval: 50ms, timeout: 5s}, passive: "
                               "{consecutiveGatewayErrors: 1, baseEjectionTime: 1s}", workers=1)
    wait_until(lambda: statuses(gateway, 5) and out(gateway) == {bad.address}, 20, "the ejection")
    left = entries(gateway)[bad.address]["evicted_left_ms"]
    check(left > 0, f"checks pass, and it stays out for its time: {left} ms are left")
    bad.status = 200
    await_out(gateway)
    eq(statuses(gateway, 30), {200: 30}, "statuses")


SLOW = """
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - endpoints: [%s]
        policies: {%sloadBalancer: {slowStart: {window: 1ms}}}
"""


@test("a reload without the policy that has ejected an endpoint ends the ejection, also beside slow start")
def without_policy():
    port, (bad, *_) = servers()
    hosts = ", ".join(f"{{host: '{address}:{port}'}}" for address in ADDRESSES)
    bad.status = 500
    passive = "health: {passive: {consecutive5XxErrors: 1, baseEjectionTime: 300s}}, "
    gateway = Gateway(SLOW % (hosts, passive), workers=1)
    wait_until(lambda: statuses(gateway, 5) and out(gateway) == {bad.address}, 20, "the ejection")
    gateway.reload(SLOW % (hosts, ""), timeout=20)
    eq((out(gateway), entries(gateway)[bad.address]["ejected"]), (set(), False), "out without the policy")


UNCHECKED = """
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - mcp: {targets: [{name: gone, mcp: {host: http://127.0.0.1:%u/mcp}}]}
        policies:
          health:
            unhealthyExpression: response.code == 200
            active: {type: TCP, interval: 50ms}
            eviction: {consecutiveFailures: 1, duration: 1ms}
"""


@test("an endpoint that cannot be checked, that of an MCP backend, returns when its time is over")
def unchecked():
    gateway = McpGateway(UNCHECKED % free_port(), workers=1)
    client = Mcp(gateway, start=False)
    answer = client.post(client.message("initialize", {"protocolVersion": client.wanted, "capabilities": {},
                                                       "clientInfo": client.info}))
    eq(answer.status, 200, "status")
    entry = gateway.admin_json("/endpoints")[0]
    eq((entry["evictions_total"], entry["evictions_in_a_row"]), (1, 1), "evictions")
    wait_until(lambda: not gateway.admin_json("/endpoints")[0]["evicted"], 20, "the return")
