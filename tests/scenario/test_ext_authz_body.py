# SPDX-License-Identifier: Apache-2.0
"""extAuthz with request bodies: held until the service has answered, and the backend gets the same bytes."""
from hg import *
from hg.h2 import H2Client, fetch2
from judge import Judge
from manifests import GATEWAY, ROUTE, SERVICE
from plays import acted

try:
    import envoy_api
except ImportError:  # need() says so in the test
    envoy_api = None

CONFIG = """
config: {timeouts: {clientBodyStall: %s}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: guarded
      policies:
        extAuthz: {host: '%s', protocol: {%s}, %s}
%s      backends: [{host: @origin@}]
"""
PARTIAL = "x-envoy-auth-partial-body"
MOST = "includeRequestBody: {maxRequestBytes: 10}"
SOME = "includeRequestBody: {maxRequestBytes: 10, allowPartialMessage: true}"


def guarded(address, more=MOST, http="http: {}", stall="30s", policies=""):
    return CONFIG % (stall, address, http, more, policies)


def admits(request):
    return 200, [], b""


def served(backend):
    """The request that a backend gets on its next connection."""
    upstream = backend.accept()
    message = upstream.read_request()
    upstream.respond(200, {"Connection": "close"})
    return message


def post(gateway, body, headers=(), chunked=False):
    return gateway.client().request("POST", "/", headers=list(headers), body=body, chunked=chunked)


@test("service and backend get the same body: with a length, in chunks, in pieces, over HTTP/2")
def bodies():
    judge = Judge(admits)
    gateway, backend = acted(guarded(judge.address, MOST + ", includeRequestHeaders: [content-length, "
                                     "content-type, x-envoy-auth-partial-body]"))
    spoof = [("X-Envoy-Auth-Partial-Body", "true"), ("Content-Type", "text/x")]
    for body, chunks in ((b"0123456789", None), (b"0123456789", [b"0123", b"456789"]), (b"", None)):
        client = post(gateway, chunks or body, spoof, bool(chunks))
        eq(served(backend).body, body, "the body at the backend")
        eq(client.response().status, 200, "admitted")
    h2 = H2Client(gateway.port)
    stream = h2.request("/", "POST", spoof, b"0123456789")
    eq(served(backend).body, b"0123456789", "over HTTP/2")
    eq(h2.response(stream).status, 200, "over HTTP/2")
    pieces = gateway.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
    wait_until(lambda: any(s["state"] == "guard" for s in gateway.streams()), what="a stream that waits")
    eq(len(judge.asked), 4, "the service is not asked without the whole body")
    pieces.send("56789")
    eq((served(backend).body, pieces.response().status), (b"0123456789", 200), "in pieces")
    seen = sorted((asked.body, asked.headers.get_all(PARTIAL)) for asked in judge.asked)
    eq(seen, [(b"", ["false"])] + [(b"0123456789", ["false"])] * 4, "what the service gets")


@test("a longer body is refused with 413, or the service gets its beginning, and the backend all of it")
def sizes():
    judge = Judge(admits)
    gateway, backend = acted(guarded(judge.address, MOST + ", failureMode: allow"))
    for response in (post(gateway, b"x" * 11).response(), post(gateway, [b"x" * 11], chunked=True).response(),
                     gateway.client().send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                           "Content-Length: 11\r\n\r\n").response(),
                     fetch2(gateway.port, "/", "POST", [], b"x" * 11)):
        eq((response.status, response.text), (413, "external authorization failed"), "a longer body")
    eq(gateway.wait_log()["close_reason"], "body_too_large", "log")
    backend.expect_no_connection(0.1)
    eq(len(judge.asked), 0, "calls")
    gateway.reload(guarded(judge.address, SOME))
    big = bytes(i % 251 for i in range(300000))
    for chunked in (False, True):
        client = post(gateway, [big[:7], big[7:]] if chunked else big, chunked=chunked)
        check(served(backend).body == big, "the backend gets other bytes")
        eq(client.response().status, 200, "admitted")
        eq((judge.asked[-1].body, judge.asked[-1].headers[PARTIAL]), (big[:10], "true"), "the beginning")


@test("a large body is held as well, for services of both protocols, and none of it stays in memory")
def large():
    need("module:grpc")
    need("module:google.protobuf")
    judge = Judge(admits)
    service = envoy_api.authorization(lambda request, context: envoy_api.admitted())
    # As text, and larger than what is held of one that is repeated: the last bytes are no UTF-8.
    body = "\u00e4b\n".encode() * 250000 + b"\xff\xfe"
    most = "policies: {http: {requestTimeout: 60s}}, includeRequestBody: {maxRequestBytes: 16777216%s}"
    key = ", cache: {key: [request.path], ttl: 1h}"
    gateway, backend = acted(guarded(judge.address, most % "" + key))
    for policy in (None, guarded(service.address, most % "", "grpc: {}"),
                   guarded(service.address, most % ", packAsBytes: true", "grpc: {}")):
        if policy:
            gateway.reload(policy)
        client = post(gateway, body)
        check(served(backend).body == body, "the backend gets other bytes")
        eq(client.response().status, 200, "admitted")
    text, packed = (asked.attributes.request.http for asked in service.asked)
    check(judge.asked[0].body == body == packed.raw_body, "the service gets other bytes")
    check(text.body.encode() == body[:-2] + b"!!", "the service gets another text")
    eq(gateway.metrics()("headgate_held_body_bytes"), 0, "memory")


@test("a client that expects 100 gets it from the gateway, once, and its refusal keeps the connection")
def expects():
    judge = Judge(lambda request: (200 if judge.asked[-1].body == b"good" else 403, [], b""))
    gateway, backend = acted(guarded(judge.address))
    client = gateway.client()
    for body, status in (("evil", 403), ("good", 200)):
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        eq(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n", "the interim response")
        client.send(body)
        if status == 200:
            message = served(backend)
            eq((message.header("expect"), message.body), (None, b"good"), "what the backend gets")
        eq(client.response().status, status, body)
    backend.expect_no_connection(0.1)


@test("a client that stops sending gets 408, one that leaves ends; the service is asked about neither")
def slow():
    judge = Judge(admits)
    gateway, backend = acted(guarded(judge.address, stall="300ms"))
    head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    stalls = gateway.client().send(head + "0123")
    eq(stalls.response().status, 408, "a client that stops")
    gateway.client().send(head + "0123").fin()
    bad = gateway.client().send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    eq(bad.response().status, 400, "a malformed body")
    log = gateway.wait_log(count=3)
    eq(sorted(entry["close_reason"] for entry in log), ["body_stall", "client_fin", "request_bad"], "log")
    eq(len(judge.asked), 0, "calls")
    eq(gateway.metrics()("headgate_held_body_bytes"), 0, "memory")
    backend.expect_no_connection(0.1)


@test("limits of the route count for a body that is held, and expressions make another one for the service")
def limited():
    judge = Judge(admits)
    limits = "        limits: {maxRequestBytes: 5}\n"
    gateway, backend = acted(guarded(judge.address, policies=limits))
    eq(post(gateway, [b"012", b"345"], chunked=True).response().status, 413, "the limit of the route")
    eq(len(judge.asked), 0, "calls")
    backend.expect_no_connection(0.1)
    gateway.reload(guarded(judge.address, "failureMode: deny", "http: {body: '\"path=\" + request.path'}"))
    client = post(gateway, b"0123456789")
    eq(served(backend).body, b"0123456789", "the backend")
    eq((client.response().status, judge.asked[0].body), (200, b"path=/"), "the service")


@test("over gRPC the body is text, or bytes with packAsBytes")
def over_grpc():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.authorization(lambda request, context: envoy_api.admitted())
    gateway, backend = acted(guarded(service.address, SOME, "grpc: {}"))
    for pack in ("", ", packAsBytes: true"):
        gateway.reload(guarded(service.address, SOME.replace("}", pack + "}"), "grpc: {}"))
        client = post(gateway, b"a\xffb" * 10, [("X-Envoy-Auth-Partial-Body", "false")])
        eq(served(backend).body, b"a\xffb" * 10, "the backend")
        eq(client.response().status, 200, "the response")
    text, packed = (asked.attributes.request.http for asked in service.asked)
    eq((text.body, text.raw_body, text.size), ("a!ba!ba!ba", b"", 30), "as text")
    eq((packed.body, packed.raw_body), ("", (b"a\xffb" * 4)[:10]), "as bytes")
    eq([entry.value for entry in text.headers if entry.key == PARTIAL], ["true"], "the header")


RULES = """
  - matches: [{path: {value: /filter}}]
    filters:
    - type: ExternalAuth
      externalAuth:
        protocol: HTTP
        backendRef: {name: judge, port: 80}
        forwardBody: {maxSize: 10}
    backendRefs: [{name: svc, port: 80}]
  - matches: [{path: {value: /policy}}]
    name: policy
    backendRefs: [{name: svc, port: 80}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: judged, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route, sectionName: policy}]
  traffic:
    extAuth: {url: 'http://@judge@', failureMode: FailClosed, forwardBody: {maxSize: 10}, http: {}}
"""


@test("manifests: forwardBody of a policy and of a filter")
def manifests():
    judge = Judge(admits)
    backend, port = Backend(), judge.address.partition(":")[2]
    services = SERVICE + SERVICE.replace("svc", "judge").replace("@origin_port@", "@judge_port@")
    gateway = Gateway(GATEWAY + services + ROUTE + RULES, origin_port=backend.port, judge=judge.address,
                      judge_port=port, workers=1)
    for path in ("/policy", "/filter"):
        eq(gateway.client().request("POST", path, body=b"x" * 11).response().status, 413, path)
        client = gateway.client().request("POST", path, body=b"0123456789")
        eq(served(backend).body, b"0123456789", path)
        eq((client.response().status, judge.asked[-1].body), (200, b"0123456789"), path)
    eq(len(judge.asked), 2, "calls")
