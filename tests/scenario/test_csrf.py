# SPDX-License-Identifier: Apache-2.0
"""CSRF: requests that pages of other sites make in a user's name are refused before a backend is chosen."""
from hg import *
from hg.h2 import fetch2
from plays import acted, play

CONFIG = """
config: {forwarded: {trusted: [%s]}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: form
      policies:
        csrf: {additionalOrigins: ["https://friend.test"]}
        cors: {allowOrigins: ["https://evil.test"]}
      backends: [{host: @origin@}]
    - name: replaced
      matches: [{path: {exact: /replaced}}]
      policies: {csrf: {}, transformations: {request: {replace: '{}'}}}
      backends: [{host: @origin@}]
"""
REFUSED = "CSRF validation failed"


@test("a request of a page of another site gets 403, without the backend; log and metric say why")
def refusal():
    gateway, backend = acted(CONFIG % "")
    client = gateway.client()  # stays usable, because no request has a body
    for field in (("Origin", "https://evil.test"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "null")):
        client.request("POST", "/x", headers=[field, ("Content-Length", "0")])
        response = client.response()
        eq((response.status, response.text), (403, REFUSED), f"{field}")
    backend.expect_no_connection(0.2)
    record = gateway.wait_log(count=3)[0]
    eq((record["close_reason"], record["reason"], record["error"]),
       ("csrf", "DirectResponse", REFUSED + " (csrf of default/form)"), "the log")
    eq(gateway.metrics()("headgate_policy_refusals_total", policy="csrf", rule="default/form"), 3,
       "the metric")
    eq(gateway.admin_json("/streams?history=1")[0]["close_reason"], "csrf", "the history")
    # The backend would not get the field.
    client.request("POST", "/replaced", headers=[("Origin", "https://evil.test"), ("Content-Length", "0")])
    eq(client.response().status, 403, "a field that a transformation drops")


@test("a refusal has the fields of CORS, also over HTTP/2 and for a body that is still coming")
def fields():
    gateway, backend = acted(CONFIG % "")
    response = gateway.client().request("POST", "/x", headers=[
        ("Origin", "https://evil.test"), ("Content-Length", "1000000")]).response()
    refused = (403, "https://evil.test")
    eq((response.status, response.header("access-control-allow-origin")), refused, "HTTP/1.1")
    eq(response.header("connection"), "close", "the body is not read")
    response = fetch2(gateway.port, "/x", "POST", extra=[("origin", "https://evil.test")], body=b"x")
    eq((response.status, response.header("access-control-allow-origin")), refused, "HTTP/2")
    backend.expect_no_connection(0.2)


@test("the site itself and listed sites pass; behind a trusted proxy the scheme is that of X-Forwarded-Proto")
def own():
    for trusted, scheme in (("", "http"), ('"127.0.0.0/8"', "https")):
        gateway, _ = play(CONFIG % trusted)

        def post(*fields):
            return gateway.fetch("/anything", method="POST", host="shop.test", body=b"x", headers=[
                ("X-Forwarded-Proto", "https"), *fields]).status

        eq(post(("Origin", scheme + "://shop.test")), 200, "the site itself")
        other = {"http": "https", "https": "http"}[scheme]
        eq(post(("Origin", other + "://shop.test")), 403, "another scheme")
        eq(post(("Origin", "https://friend.test")), 200, "a listed site")
        eq(post(), 200, "no browser")
        eq(post(("Origin", scheme + "://shop.test"), ("Sec-Fetch-Site", "cross-site")), 403, "Sec-Fetch-Site")
        eq(gateway.client().request("POST", f"{scheme}://shop.test/anything", headers=[
            ("Origin", scheme + "://shop.test"), ("X-Forwarded-Proto", "https"),
            ("Content-Length", "0")], host="shop.test").response().status,
           200, "absolute form")
