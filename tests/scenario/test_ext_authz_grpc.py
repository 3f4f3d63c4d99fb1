# SPDX-License-Identifier: Apache-2.0
"""extAuthz over gRPC: Envoy's Authorization/Check, by python3-grpcio and python3-protobuf."""
import json
import threading

from hg import *
from hg import h2_frames as f
from hg.h2_backend import H2Backend
from hg.pki import Authority
from plays import acted

try:
    import envoy_api
except ImportError:  # need() says so in the tests
    envoy_api = None

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: guarded
      policies:
        extAuthz: {host: '%s', protocol: {grpc: {context: {team: blue, env: test}}}%s}
      backends: [{host: @origin@}]
"""


def guarded(service, more=""):
    return CONFIG % (service.address, more)


def exchange(gateway, backend, headers=(), method="GET", target="/"):
    """(head at the backend, response)"""
    client = gateway.client().request(method, target, headers=list(headers))
    upstream = backend.accept()
    head = upstream.read_request()
    upstream.respond(200, headers=[("Set-Cookie", "c=1")])
    return head, client.response()


@test("the service gets the request as Envoy describes it, whatever bytes and sizes it has")
def question():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.authorization(lambda request, context: envoy_api.admitted())
    gateway, backend = acted(guarded(service))
    # The lengths of lengths change at 128 and 16384 bytes.
    values = ["", "x", "y" * 127, "y" * 128, "z" * 16383, "z" * 16400]
    headers = [(f"X-{i}", value) for i, value in enumerate(values)]
    headers += [("Cookie", "a=1"), ("Cookie", "b=2"), ("X-Twice", "1"), ("x-twice", "2"),
                ("X-Bytes", b"\xff\xfe\xc3\xa4".decode("latin-1")), ("X-Request-Id", "id-1")]
    exchange(gateway, backend, headers, "POST", "/a/b?c=d")
    attributes = service.asked[0].attributes
    http = attributes.request.http
    seen = envoy_api.entries(http.headers)
    for i, value in enumerate(values):
        eq(seen[f"x-{i}"], value, f"a header of {len(value)} bytes")
    eq((seen["cookie"], seen["x-twice"], seen["x-bytes"]), ("a=1; b=2", "1,2", "!!\u00e4"), "joined headers")
    eq((http.id, http.method, http.path, http.scheme, http.protocol, http.size),
       ("id-1", "POST", "/a/b?c=d", "http", "HTTP/1.1", 0), "the request")
    eq(http.host, f"127.0.0.1:{gateway.port}", "the host")
    eq(envoy_api.entries(attributes.context_extensions), {"team": "blue", "env": "test"}, "context")
    source = attributes.source.address.socket_address
    destination = attributes.destination.address.socket_address
    eq((source.address, destination.address, destination.port_value),
       ("127.0.0.1", "127.0.0.1", gateway.port), "addresses")
    check(attributes.request.time.seconds > 1600000000, "the time")


@test("an answer sets, appends and removes headers of the request, and adds some to the response")
def admits():
    need("module:grpc")
    need("module:google.protobuf")
    yes = envoy_api.make("BoolValue", value=True)
    answer = envoy_api.admitted(
        headers=[envoy_api.option("X-User", "alice"), envoy_api.option("x-list", "c", append=yes),
                 envoy_api.option("X-Groups", "a"), envoy_api.option("x-groups", "b", append=yes),
                 envoy_api.option("x-groups", "c", append=yes),
                 # ADD_IF_ABSENT, OVERWRITE_IF_EXISTS
                 *(envoy_api.option(name, "2", append_action=1) for name in ("x-role", "x-plan")),
                 *(envoy_api.option(name, "2", append_action=3) for name in ("x-kind", "x-no"))],
        headers_to_remove=["x-secret"],
        response_headers_to_add=[envoy_api.option("x-seen", "1"), envoy_api.option("set-cookie", "a=1"),
                                 envoy_api.option("set-cookie", "b=1")])
    service = envoy_api.authorization(lambda request, context: answer)
    gateway, backend = acted(guarded(service))
    spoof = [("X-User", "root"), ("x_user", "root"), ("Connection", "close, x-user"), ("X-List", "a"),
             ("X-List", "b"), ("X-Secret", "s"), ("x_secret", "s"), ("X-Groups", "admin"), ("X-Role", "1"),
             ("X-Kind", "1")]
    head, response = exchange(gateway, backend, spoof)
    eq((head.header("x-user"), head.header("x_user"), head.header("x-list"), head.header("x-secret"),
        head.header("x_secret"), head.header("x-groups")), ("alice", None, "a,b,c", None, None, "a,b,c"),
       "what the backend gets")
    eq([head.header(name) for name in ("x-role", "x-plan", "x-kind", "x-no")], ["1", "2", "2", None],
       "if there is one, if there is none")
    eq(response.header("x-seen"), "1", "the response")
    eq([value for name, value in response.headers if name.lower() == "set-cookie"], ["c=1", "a=1", "b=1"],
       "cookies of the backend and of the service")


@test("a refusal has the status, the headers and the body of the service")
def refuses():
    need("module:grpc")
    need("module:google.protobuf")
    answers = iter([
        envoy_api.denied(status=envoy_api.make("HttpStatus", code=401), body="who?", headers=[
            envoy_api.option("www-authenticate", "Basic"), envoy_api.option("set-cookie", "a=1"),
            envoy_api.option("set-cookie", "b=2")]),
        envoy_api.make("CheckResponse", status=envoy_api.make("Status", code=7)),
        # A code of success with a refusal is a refusal.
        envoy_api.denied(0, body="no"),
        *[envoy_api.denied(status=envoy_api.make("HttpStatus", code=304), body="a 304 has none")] * 2,
    ])
    service = envoy_api.authorization(lambda request, context: next(answers))
    gateway, backend = acted(guarded(service))
    response = gateway.fetch("/")
    eq((response.status, response.text, response.header("www-authenticate")), (401, "who?", "Basic"),
       "refused")
    eq([value for name, value in response.headers if name.lower() == "set-cookie"], ["a=1", "b=2"], "cookies")
    response = gateway.fetch("/")
    eq((response.status, response.text), (403, "external authorization failed"), "without a response")
    response = gateway.fetch("/")
    eq((response.status, response.text), (403, "no"), "a contradiction")
    response = gateway.fetch("/")
    eq((response.status, response.text), (304, ""), "a status without a body")
    gateway.reload(guarded(service) + "config: {exposeCloseReason: true}\n")
    response = gateway.fetch("/")
    eq((response.status, response.text), (304, ""), "and without the reason in its place")
    backend.expect_no_connection(0.1)


@test("without a valid answer nobody enters: an error, no message, a wrong one, a change that cannot be made")
def fails_closed():
    need("module:grpc")
    need("module:google.protobuf")
    import grpc

    def error(request, context):
        context.abort(grpc.StatusCode.INTERNAL, "broken")

    def sets(name, value):
        return lambda request, context: envoy_api.admitted(headers=[envoy_api.option(name, value)])

    def always(answer):
        return lambda request, context: answer

    query = envoy_api.make("QueryParameter", key="a", value="b")
    answers = (
        ("an error", error),
        ("an empty message", always(b"")),
        ("no message", always(b"\xff\xff\xff")),
        ("a text that is cut off", always(b"\x0a\x02\x08")),
        ("too large", always(envoy_api.denied(body="x" * 100000))),
        ("the host", sets("host", "other")),
        ("a pseudo header", sets(":path", "/")),
        ("a line break", sets("a", "b\r\nc: d")),
        ("the query", always(envoy_api.admitted(query_parameters_to_set=[query]))),
        ("a refusal with 200", always(envoy_api.denied(status=envoy_api.make("HttpStatus", code=200)))),
    )
    service = envoy_api.authorization(None)
    gateway, backend = acted(guarded(service))
    for name, answer in answers:
        service.answer, asked = answer, len(service.asked)
        eq(gateway.fetch("/").status, 403, name)
        # Nobody can keep the others out with requests that the service cannot answer.
        eq(len(service.asked), asked + 1, f"calls after {name}")
    backend.expect_no_connection(0.1)


@test("an interim response is no answer, and a response that ends as refused is not repeated")
def frames():
    grpc, good = [("content-type", "application/grpc")], b"\0\0\0\0\4\x0a\0\x1a\0"
    service = H2Backend()
    gateway, backend = acted(guarded(
        service, ", policies: {http: {requestTimeout: 60s}, requestHeaderModifier: "
        "{add: {grpc-timeout: 1H}}, transformations: {request: {set: {grpc-timeout: '\"1S\"'}}}}"))
    client = gateway.client().request("GET", "/")
    upstream = service.accept()
    number, message = upstream.expect_request()
    eq([value for name, value in message.headers.pairs if name == "grpc-timeout"], ["60000m"], "deadlines")
    upstream.head(number, 103, [("link", "</a>")])
    upstream.respond(number, 200, grpc, good, [("grpc-status", "0")])
    at_backend = backend.accept()
    at_backend.read_request()
    at_backend.respond(200)
    eq(client.response().status, 200, "after an interim response")
    client.request("GET", "/")
    number, _ = upstream.expect_request()
    upstream.head(number, 200, grpc)
    upstream.send(f.rst_stream(number, f.REFUSED_STREAM))
    eq(client.response().status, 403, "a response that was cut off")
    service.expect_no_connection(0.1)


@test("a call that is over time is cancelled, and the service sees its deadline")
def deadline():
    need("module:grpc")
    need("module:google.protobuf")
    left, cancelled = [], threading.Event()

    def answer(request, context):
        left.append(context.time_remaining())
        context.add_callback(cancelled.set)
        cancelled.wait(60)
        return envoy_api.admitted()

    service = envoy_api.authorization(answer)
    gateway, backend = acted(guarded(service, ", policies: {http: {requestTimeout: 500ms}}"))
    eq(gateway.fetch("/").status, 403, "status")
    check(left[0] is not None and left[0] <= 0.5, f"the deadline is {left[0]}")
    check(cancelled.wait(30), "the call was not cancelled")
    backend.expect_no_connection(0.1)


@test("over TLS the service is verified, and one with another certificate decides nothing")
def verified():
    need("module:grpc")
    need("module:google.protobuf")
    authority, other = Authority(), Authority("other")
    service = envoy_api.authorization(lambda request, context: envoy_api.denied(body="asked"),
                                      authority.issue("127.0.0.1"))
    for trusted, expected in ((authority, "asked"), (other, "external authorization failed")):
        gateway, backend = acted(guarded(service, ", policies: {backendTLS: {root: '%s'}}" % trusted.cert))
        eq(gateway.fetch("/").text, expected, "the response")
        backend.expect_no_connection(0.1)


@test("a service with several endpoints is asked at one that is there")
def elsewhere():
    need("module:grpc")
    need("module:google.protobuf")
    service = envoy_api.authorization(lambda request, context: envoy_api.denied(body="asked"))
    gateway, _ = acted("""
services:
- {name: judge, namespace: ns, hostname: judge.ns, ports: {80: %d}}
workloads:
- {uid: a, name: a, namespace: ns, workloadIps: [127.0.0.1], services: {ns/judge.ns: {80: %d}}}
- {uid: b, name: b, namespace: ns, workloadIps: [127.0.0.2], services: {ns/judge.ns: {80: %d}}}
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {extAuthz: {service: {name: ns/judge.ns, port: 80}}}
      backends: [{host: @origin@}]
""" % (service.port, service.port, service.port))
    for _ in range(8):
        eq(gateway.fetch("/").text, "asked", "the response")


@test("calls share one connection, and a service that restarts is found again")
def shares():
    need("module:grpc")
    need("module:google.protobuf")
    peers = set()

    def answer(request, context):
        peers.add(context.peer())
        return envoy_api.denied(body="x")

    service = envoy_api.authorization(answer)
    gateway, _ = acted(guarded(service))
    clients = [gateway.client().request("GET", "/") for _ in range(20)]
    eq([client.response().status for client in clients], [403] * 20, "responses")
    eq(len(peers), 1, "connections")
    service.stop()
    eq(gateway.fetch("/").text, "external authorization failed", "while it is away")


SAID = """
frontendPolicies: {accessLog: {add: {who: extauthz.user.name}}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: guarded
      policies:
        extAuthz: {host: '%s'}
        authorization: {rules: [{require: '!("banned" in extauthz.groups)'}]}
        transformations: {request: {set: {x-limit: 'string(extauthz.limit + 1)', x-user: extauthz.user.name}}}
      backends: [{host: @origin@}]
"""


@test("later rules, transformations and the log read what the service says about a request")
def metadata():
    need("module:grpc")
    need("module:google.protobuf")
    groups = ["staff"]
    said = {"user": {"name": "alice", "is_admin": True}, "limit": 5, "groups": groups, "share": 0.5}
    service = envoy_api.authorization(
        lambda request, context: envoy_api.make("CheckResponse", status=envoy_api.make("Status"),
                                                ok_response=envoy_api.make("OkHttpResponse"),
                                                dynamic_metadata=envoy_api.struct(said)))
    gateway, backend = acted(SAID % service.address)
    head, _ = exchange(gateway, backend, [("X-User", "root"), ("X-Limit", "9")])
    eq((head.header("x-user"), head.header("x-limit")), ("alice", "6"), "what the backend gets")
    eq(gateway.wait_log()["who"], "alice", "the log")
    groups.append("banned")
    eq(gateway.fetch("/").status, 403, "a rule")
    said["deep"] = {}
    for _ in range(20):
        said["deep"] = {"deeper": said["deep"]}
    eq(gateway.fetch("/").text, "external authorization failed", "metadata that is too deep")
    backend.expect_no_connection(0.1)


@test("the service gets what the gateway has verified, and nothing of it from the client")
def sent_metadata():
    need("module:grpc")
    need("module:google.protobuf")
    key = {"team": "blue", "admin": False, "level": 0, "tags": ["", "a"], "deep": {"none": None, "half": 0.5}}
    service = envoy_api.authorization(lambda request, context: envoy_api.admitted())
    gateway, backend = acted("""
binds:
- port: @port@
  listeners:
  - routes:
    - policies:
        apiKey: {mode: optional, keys: [{key: secret, metadata: %s}]}
        extAuthz: {host: '%s', protocol: {grpc: {metadata: {the.key: apiKey, jwt: jwt, text: apiKey.team}}}}
      backends: [{host: @origin@}]
""" % (json.dumps(key), service.address))
    spoof = [("metadata_context", "x"), ("the.key", "x"), ("team", "red")]
    for more in ([("Authorization", "Bearer secret")], []):
        client = gateway.client().request("GET", "/", headers=spoof + more)
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(200, {"Connection": "close"})
        eq(client.response().status, 200, "admitted")
    known, unknown = (asked.attributes.metadata_context.filter_metadata for asked in service.asked)
    seen = {entry.key: envoy_api.plain(entry.value) for entry in known}
    eq(seen, {"the.key": {**key, "key": "<redacted>"}}, "of a key")
    eq(list(unknown), [], "without one")
