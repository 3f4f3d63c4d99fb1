# SPDX-License-Identifier: Apache-2.0
"""remoteRateLimit: Envoy's RateLimitService counts, by python3-grpcio and python3-protobuf."""
from hg import *
from plays import acted, play

try:
    import envoy_api
except ImportError:  # need() says so in the tests
    envoy_api = None

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: limited
      policies:
        %s
        remoteRateLimit:
          host: '%s'
          domain: shop
          descriptors:
          - entries: [{key: path, value: request.path}, {key: kind, value: '"all"'}]
          - entries: [{key: user, value: 'request.headers["x-user"]'}]
            cost: 'request.headers["x-cost"]'
          %s
      backends: [{host: @origin@}]
"""


def limited(service, more="", policies=""):
    return CONFIG % (policies, service.address, more)


def allowed(**members):
    return envoy_api.make("RateLimitResponse", overall_code=envoy_api.OK, **members)


def status(limit, left, seconds):
    return envoy_api.make("DescriptorStatus", code=envoy_api.OK,
                          current_limit=envoy_api.make("RateLimit", requests_per_unit=limit, unit=1),
                          limit_remaining=left,
                          duration_until_reset=envoy_api.make("Duration", seconds=seconds))


@test("an override of the limit comes from what is known about the client; another value is none")
def override():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.rate_limit(lambda request, context: allowed())
    said = {}
    judge = envoy_api.authorization(
        lambda request, context: envoy_api.make("CheckResponse", status=envoy_api.make("Status"),
                                                dynamic_metadata=envoy_api.struct(said)))
    more = "- {entries: [{key: a, value: '\"b\"'}], limitOverride: extauthz.limit}"
    gateway, _ = play(limited(service, more, "extAuthz: {host: '%s'}" % judge.address))
    seen = []
    for limit in ({"unit": "week", "requestsPerUnit": 70}, {"unit": "Second", "requestsPerUnit": 1},
                  {"unit": "eon", "requestsPerUnit": 1}, {"unit": "day", "requestsPerUnit": -1}, "no map"):
        said["limit"] = limit
        eq(gateway.fetch("/status/204").status, 204, "admitted")
        last = service.asked[-1].descriptors[-1]
        seen.append((last.limit.unit, last.limit.requests_per_unit) if last.HasField("limit") else None)
    eq(seen, [(7, 70), (1, 1), None, None, None], "limits")


@test("the service gets the descriptors whose expressions all have values, and the cost")
def question():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.rate_limit(lambda request, context: allowed())
    gateway, _ = play(limited(service))
    for headers in ([], [("X-User", "alice")], [("X-User", "alice"), ("X-Cost", "7")]):
        eq(gateway.fetch("/status/204", headers=headers).status, 204, "admitted")
    eq([request.domain for request in service.asked], ["shop"] * 3, "domains")
    seen = [[(envoy_api.entries(one.entries),
              one.hits_addend.value if one.HasField("hits_addend") else None)
             for one in request.descriptors] for request in service.asked]
    first = ({"path": "/status/204", "kind": "all"}, None)
    eq(seen, [[first], [first, ({"user": "alice"}, None)], [first, ({"user": "alice"}, 7)]], "descriptors")


@test("over the limit is 429 with the body and headers of the service, and of the tightest limit")
def refuses():
    need("module:grpc")
    need("module:google.protobuf")
    answer = envoy_api.make(
        "RateLimitResponse", overall_code=envoy_api.OVER_LIMIT, raw_body=b"slow down",
        statuses=[status(100, 50, 3), status(10, 0, 30),
                  envoy_api.make("DescriptorStatus", code=envoy_api.OK)],
        response_headers_to_add=[envoy_api.make("HeaderValue", key="X-Limited", value="yes")])
    service = envoy_api.rate_limit(lambda request, context: answer)
    gateway, backend = acted(limited(service))
    response = gateway.fetch("/")
    eq((response.status, response.text, response.header("x-limited"), response.header("x-ratelimit-limit"),
        response.header("x-ratelimit-remaining"), response.header("x-ratelimit-reset")),
       (429, "slow down", "yes", "10", "0", "30"), "the response")
    backend.expect_no_connection(0.1)
    answer.statuses[1].duration_until_reset.seconds = -5
    response = gateway.fetch("/")
    eq((response.header("x-ratelimit-reset"), response.header("retry-after")), ("0", None), "a past time")
    record = gateway.wait_log()
    eq((record["close_reason"], record["reason"], record["error"]),
       ("rate_limit", "RateLimit", "rate limit exceeded (remoteRateLimit of default/limited)"), "log")
    eq(gateway.metrics()("headgate_callouts_total", subtype="rate_limit", result="answered"), 2, "calls")


@test("an admitted request gets headers of the service, which its client cannot spoof")
def admits():
    need("module:grpc")
    need("module:google.protobuf")
    answer = allowed(statuses=[status(10, 4, 5)],
                     request_headers_to_add=[envoy_api.make("HeaderValue", key="X-Quota", value="4")])
    service = envoy_api.rate_limit(lambda request, context: answer)
    gateway, backend = acted(limited(service))
    client = gateway.client().request("GET", "/", headers=[("X-Quota", "999"), ("x_quota", "999")])
    upstream = backend.accept()
    head = upstream.read_request()
    eq((head.header("x-quota"), head.header("x_quota")), ("4", None), "what the backend gets")
    upstream.respond(200)
    eq(client.response().header("x-ratelimit-remaining"), "4", "the response")


@test("without a valid answer the request is refused, or passes if the policy says so")
def failure_modes():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.rate_limit(lambda request, context: b"\xff")
    gateway, backend = acted(limited(service))
    response = gateway.fetch("/")
    eq((response.status, response.text), (500, "rate limit failed"), "a wrong answer")
    backend.expect_no_connection(0.1)
    eq(gateway.wait_log()["close_reason"], "rate_limit_failed", "log")
    service.stop()
    eq(gateway.fetch("/").status, 500, "no service")
    gateway, _ = play(limited(service, "failureMode: failOpen"))
    eq(gateway.fetch("/status/204").status, 204, "failOpen")


@test("after localRateLimit, of one request, the limits of both decide")
def after_local():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.rate_limit(lambda request, context: allowed(statuses=[status(10, 4, 5)]))
    local = "localRateLimit: [{maxTokens: 1, tokensPerFill: 1, fillInterval: 1h}]"
    gateway, _ = play(limited(service, "", local))
    eq([gateway.fetch("/status/204").status for _ in range(2)], [204, 429], "statuses")
    eq(len(service.asked), 1, "what the local limit refuses is not asked")


@test("conditions choose a form, and none counts nothing")
def conditional():
    need("module:grpc")
    need("module:google.protobuf")
    over = envoy_api.make("RateLimitResponse", overall_code=envoy_api.OVER_LIMIT)
    service = envoy_api.rate_limit(lambda request, context: over)
    form = ("{condition: 'request.path == \"%s\"', host: '" + service.address + "', domain: %s, "
            "descriptors: [{entries: [{key: a, value: '\"b\"'}]}]}")
    gateway, _ = play("""
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {remoteRateLimit: {conditional: [%s, %s]}}
      backends: [{host: @origin@}]
""" % (form % ("/a", "one"), form % ("/b", "two")))
    eq([gateway.fetch(path).status for path in ("/b", "/a", "/status/204")], [429, 429, 204], "statuses")
    eq([request.domain for request in service.asked], ["two", "one"], "domains")
