# SPDX-License-Identifier: Apache-2.0
"""Expressions choose the lines of the access log, and add fields to them and labels to metrics."""
from hg import *
from plays import play

LOG = """
frontendPolicies:
  accessLog:
    filter: response.code >= 400 || request.headers["x-log"] == "1"
    add:
      team: request.headers["x-team"]
      slow: request.endTime - request.startTime > duration("1h")
      kind: response.headers["content-type"]
      http.host: request.host.lowerAscii()
    remove: [lane]
  metrics:
    add: {team: 'request.headers["x-team"]'}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends:
      - host: @origin@
"""


@test("log lines that a filter wants have fields of a policy, metrics have its labels", timeout=30)
def log():
    gateway, _ = play(LOG)
    eq(gateway.fetch("/get", headers=[("X-Team", "quiet")]).status, 200, "status")
    eq(gateway.fetch("/status/404", host="Shop.Example", headers=[("X-Team", "a b")]).status, 404, "status")
    eq(gateway.fetch("/get", headers=[("X-Team", "x" * 300), ("X-Log", "1")]).status, 200, "status")
    records = gateway.wait_log(count=2)
    eq([r["team"] for r in records], ["a b", "x" * 256], "teams")
    eq([r["slow"] for r in records], ["false", "false"], "a truth")
    eq(records[0]["http.host"], "shop.example", "a usual field is replaced")
    check(records[1]["kind"].startswith("application/json"), "a field of the response")
    check("lane" not in records[0], "a removed field")
    eq(len(gateway.log()), 2, "lines")
    for team, status, count in (("quiet", "200", 1), ("a b", "404", 1), ("x" * 64, "200", 1)):
        eq(gateway.metrics()("agentgateway_requests_total", team=team, status=status), count, team)
    for number in range(110):
        gateway.fetch("/get", headers=[("X-Team", f"t{number}")])
    eq(gateway.metrics()("agentgateway_requests_total", team="other"), 13, "values beyond the bound")
