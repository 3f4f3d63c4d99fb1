# SPDX-License-Identifier: Apache-2.0
"""The order in which policies decide: each one refuses what all behind it would refuse or answer, too."""
from hg import *
from plays import acted

# In their order, each with the status that tells that it decided, and the policy of a route that comes last.
POLICIES = [
    ("cors", "cors: {allowOrigins: ['https://a.test']}", None),
    ("basicAuth", "basicAuth: {mode: strict, htpasswd: 'u:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g='}", 401),
    ("apiKey", "apiKey: {mode: strict, keys: [{key: k}], location: {header: {name: x-key}}}", 401),
    ("authorization", "authorization: {rules: [{deny: 'true'}]}", 403),
    ("localRateLimit", "localRateLimit: [{maxTokens: 0, fillInterval: 1s}]", 429),
    ("csrf", "csrf: {}", 403),
    ("requestRedirect", "requestRedirect: {path: {full: /y}}", 302),
]
CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        delay: {duration: 1h}
        directResponse: {status: 418}
%s
      backends: [{host: @origin@}]
"""


def config(policies):
    return CONFIG % "\n".join(f"        {text}" for _, text, _ in policies)


@test("credentials, rules, limits, origins of pages: in this order, and a redirect or a delay after them")
def order():
    gateway, backend = acted(config(POLICIES))
    for first in range(1, len(POLICIES)):
        policies = POLICIES[:1] + POLICIES[first:]
        gateway.reload(config(policies))
        response = gateway.fetch("/x", method="POST", headers=[
            ("Origin", "https://a.test"), ("Sec-Fetch-Site", "cross-site"), ("Content-Length", "0")])
        name, _, status = POLICIES[first]
        eq(response.status, status, f"{name} decides first")
        eq(response.header("access-control-allow-origin"), "https://a.test", f"CORS before {name}")
        if status != 302:
            eq(gateway.metrics()("headgate_policy_refusals_total", policy=name, rule="default/all"), 1, name)
    response = gateway.fetch("/x", method="OPTIONS", headers=[
        ("Origin", "https://a.test"), ("Access-Control-Request-Method", "PUT")])
    eq(response.status, 200, "a preflight needs nothing")
    gateway.reload(config(POLICIES))
    response = gateway.fetch("/x", method="OPTIONS", headers=[
        ("Origin", "https://a.test"), ("Access-Control-Request-Method", "PUT")])
    eq(response.status, 200, "also in front of all others")
    backend.expect_no_connection(0.2)
