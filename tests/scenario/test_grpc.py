# SPDX-License-Identifier: Apache-2.0
"""gRPC with client and server of grpcio: calls of every kind, deadlines, errors of ours, GRPCRoute."""
import concurrent.futures
import os
import threading
import time

from hg import *
from hg import h2_frames as f
from hg.framework import Context, binary, context
from hg.h2 import H2Client
from hg.h2_backend import H2Backend
from h2cases import HTTP2_BACKEND

try:
    import grpc
except ImportError:  # need() says so in the tests
    grpc = None

NEEDS = ("module:grpc",)
CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: grpc
      matches: [{path: {pathPrefix: /test.Echo}}]
      policies: %s
      backends:
      - host: @origin@
"""


class Server:
    """A gRPC server: /test.Echo/Unary, /Collect, /Split, /Chat on bytes, and /Fail, /Slow."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.started, self.ended = threading.Event(), threading.Event()  # of a Slow call
        self.metadata = {}
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(16), handlers=[Handlers(self)],
            options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20)))
        self._server.add_insecure_port(self.address)
        self._server.start()
        context().own(Context.ORIGIN, self)

    def cleanup(self):
        self._server.stop(0).wait()


class Handlers(grpc.GenericRpcHandler if grpc else object):
    """Methods by name; messages are bytes as they are, so no compiler of protocols is needed."""

    def __init__(self, server):
        self.server = server

    def service(self, details):
        self.server.metadata = dict(details.invocation_metadata)
        name = details.method.rsplit("/", 1)[1]
        one = grpc.unary_unary_rpc_method_handler
        makers = {"Unary": one, "Collect": grpc.stream_unary_rpc_method_handler,
                  "Split": grpc.unary_stream_rpc_method_handler,
                  "Chat": grpc.stream_stream_rpc_method_handler, "Fail": one, "Slow": one}
        return makers[name](getattr(self, name.lower())) if name in makers else None

    @staticmethod
    def unary(message, call):
        call.send_initial_metadata((("x-first", "1"),))
        call.set_trailing_metadata((("x-last", "2"), ("x-bytes-bin", b"\x00\xff")))
        return message

    @staticmethod
    def collect(messages, _):
        return b"".join(messages)

    @staticmethod
    def split(message, _):
        for at in range(0, len(message), 1000):
            yield message[at:at + 1000]

    @staticmethod
    def chat(messages, _):
        for message in messages:
            yield message[::-1]

    @staticmethod
    def fail(message, call):
        call.set_trailing_metadata((("x-why", "because"),))
        call.abort(code_of(int(message)), "said no: 100% ü")

    def slow(self, message, call):
        call.add_callback(self.server.ended.set)
        self.server.started.set()
        time.sleep(float(message))
        return message


def code_of(number):
    return next(code for code in grpc.StatusCode if code.value[0] == number)


class Client:
    """Methods of a channel by name: Client(port).unary("Unary", b"…")."""

    def __init__(self, target, service="test.Echo"):
        target = f"127.0.0.1:{target}" if isinstance(target, int) else target
        self.channel = grpc.insecure_channel(target, options=(
            ("grpc.enable_retries", 0), ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)))
        self.service = service
        context().own(Context.CLIENT, self)

    def _path(self, name):
        return f"/{self.service}/{name}"

    def unary(self, name, message, **options):
        """(message, call)."""
        return self.channel.unary_unary(self._path(name)).with_call(message, **bounded(options))

    def collect(self, name, messages, **options):
        return self.channel.stream_unary(self._path(name))(iter(messages), **bounded(options))

    def split(self, name, message, **options):
        return self.channel.unary_stream(self._path(name))(message, **bounded(options))

    def chat(self, name, messages, **options):
        return self.channel.stream_stream(self._path(name))(messages, **bounded(options))

    def cleanup(self):
        self.channel.close()


def bounded(options):
    return {"timeout": 20 * factor(), **options}


def refused(call, *arguments, **options):
    """The RpcError that a call ends with."""
    try:
        result = call(*arguments, **options)
        if not isinstance(result, (bytes, tuple)):
            list(result)
    except grpc.RpcError as error:
        note(error.code(), error.details())
        return error
    raise Failure(f"{arguments} was answered")


def start(policies="{}", **options):
    """(gateway, server, client)."""
    server = Server()
    gateway = Gateway(CONFIG % policies, origin=server, workers=1, **options)
    return gateway, server, Client(gateway.port)


def expect_status(gateway, number, reason=None):
    record = gateway.wait_log(lambda r: r.get("grpc.status") == str(number))
    if reason:
        eq(record["close_reason"], reason, "close_reason")
    return record


# ---- calls -----------------------------------------------------------------------------------------------


@test("a unary call: message, metadata in front and behind, peer and log", needs=NEEDS)
def unary():
    gateway, server, client = start()
    for size in (0, 1, 100, 70000, 3000000):
        message, call = client.unary("Unary", pattern(size),
                                     metadata=(("x-meta", "m"), ("x-raw-bin", b"\0\xfe")))
        eq(message, pattern(size), "message")
        eq(call.code(), grpc.StatusCode.OK, "code")
        eq(dict(call.initial_metadata()).get("x-first"), "1", "metadata in front")
        eq((dict(call.trailing_metadata()).get("x-last"), dict(call.trailing_metadata()).get("x-bytes-bin")),
           ("2", b"\x00\xff"), "metadata behind")
    eq((server.metadata.get("x-meta"), server.metadata.get("x-raw-bin")), ("m", b"\0\xfe"), "metadata sent")
    record = expect_status(gateway, 0, "ok")
    eq((record["http.version"], record["http.path"], record.status),
       ("HTTP/2.0", "/test.Echo/Unary", 200), "log")
    eq(gateway.metrics()("headgate_upstream_h2_streams_total"), 5, "calls as streams of HTTP/2")


@test("streams of the client, of the server and of both", needs=NEEDS)
def streaming():
    gateway, _, client = start()
    eq(client.collect("Collect", [b"%d," % i for i in range(500)]), b"".join(b"%d," % i for i in range(500)),
       "what a stream of the client adds up to")
    eq(b"".join(client.split("Split", pattern(300000))), pattern(300000), "a stream of the server")
    sent, asked = [], threading.Event()

    def talk():
        for i in range(50):
            asked.wait(5)
            asked.clear()
            sent.append(b"%04d" % i)
            yield sent[-1]
    answers = client.chat("Chat", talk())
    for i in range(50):  # each answer before the next question
        asked.set()
        eq(next(answers), (b"%04d" % i)[::-1], "answer")
    eq(list(answers), [], "answers behind the last")
    eq({r["grpc.status"] for r in gateway.wait_log(count=3)}, {"0"}, "grpc.status")


@test("a hundred calls at once, on one connection each way", needs=NEEDS, timeout=40)
def many():
    gateway, _, client = start()
    method = client.channel.unary_unary("/test.Echo/Unary")
    calls = [method.future(b"%d" % i, timeout=20 * factor()) for i in range(100)]
    eq([call.result() for call in calls], [b"%d" % i for i in range(100)], "answers")
    eq(gateway.metrics()("headgate_downstream_h2_connections_total"), 1, "connections of the client")


@test("a large stream in both directions keeps its order, and BDP probing of grpcio is no flood", needs=NEEDS,
      timeout=60)
def large():
    gateway, _, client = start()
    count = int(400 / factor())
    answers = client.chat("Chat", iter([pattern(50000, i) for i in range(count)]))
    for i, answer in enumerate(answers):
        eq(answer[::-1] == pattern(50000, i), True, f"message {i} is as sent")
    eq(i, count - 1, "last message")
    eq(gateway.metrics()("headgate_h2_floods_total"), 0, "floods")


# ---- ends ------------------------------------------------------------------------------------------------


@test("errors of the server pass with code, text and trailers, and are in the log", needs=NEEDS)
def errors():
    gateway, _, client = start()
    for number in (1, 3, 5, 7, 8, 13, 14, 16):
        error = refused(client.unary, "Fail", b"%d" % number)
        eq((error.code(), error.details()), (code_of(number), "said no: 100% ü"), "code and details")
        eq(dict(error.trailing_metadata()).get("x-why"), "because", "metadata behind")
        record = expect_status(gateway, number, "ok")
        eq(record.status, 200, "http.status")
    eq(refused(client.unary, "Missing", b"").code(), grpc.StatusCode.UNIMPLEMENTED, "an unknown method")


@test("a deadline of the client ends the call at both ends", needs=NEEDS)
def deadline():
    gateway, server, client = start()
    with within(0.5, "the deadline"):
        error = refused(client.unary, "Slow", b"5", timeout=0.5)
    eq(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "code")
    check(server.ended.wait(10 * factor()), "the server was not told")
    record = gateway.wait_log()
    check(record["close_reason"] in ("client_rst", "ok"), f"close_reason {record['close_reason']}")
    eq(client.unary("Unary", b"next")[0], b"next", "the next call")


@test("a call that is cancelled ends at the server, and its connections go on", needs=NEEDS)
def cancel():
    gateway, server, client = start()
    # A connection whose only call ends before the server's SETTINGS came is not kept.
    eq(client.unary("Unary", b"first")[0], b"first", "the first call")
    call = client.channel.unary_unary("/test.Echo/Slow").future(b"5")
    check(server.started.wait(10 * factor()), "the call did not begin")
    call.cancel()
    check(server.ended.wait(10 * factor()), "the server was not told")
    record = gateway.wait_log(lambda r: r["http.path"] == "/test.Echo/Slow")
    eq(record["close_reason"], "client_rst", "close_reason")
    eq(client.unary("Unary", b"next")[0], b"next", "the next call")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 1, "connections to the server")


# ---- errors of ours --------------------------------------------------------------------------------------


@test("time-outs are UNAVAILABLE with the text of the timer, not DEADLINE_EXCEEDED", needs=NEEDS)
def timeouts():
    for policy, reason, text in (("requestTimeout", "request_timeout", "request timeout"),
                                 ("backendRequestTimeout", "per_try_timeout", "upstream call timeout")):
        gateway, _, client = start(f"{{timeout: {{{policy}: 300ms}}}}")
        with within(0.3, "the answer"):
            error = refused(client.unary, "Slow", b"2")
        eq((error.code(), error.details()), (grpc.StatusCode.UNAVAILABLE, text), "code and details")
        expect_status(gateway, 14, reason)


@test("no backend to reach is UNAVAILABLE, no route UNIMPLEMENTED, a backend that breaks HTTP UNAVAILABLE",
      needs=NEEDS)
def unavailable():
    gateway, server, client = start()
    server.cleanup()
    eq(refused(client.unary, "Unary", b"").code(), grpc.StatusCode.UNAVAILABLE, "code without a backend")
    expect_status(gateway, 14, "connect_failed")
    other = Client(gateway.port, "other.Service")
    eq(refused(other.unary, "Unary", b"").code(), grpc.StatusCode.UNIMPLEMENTED, "code without a route")
    expect_status(gateway, 12, "no_route")
    gateway = Gateway(HTTP2_BACKEND, origin=Origin(strict=False), workers=1)
    eq(refused(Client(gateway.port).unary, "Unary", b"").code(), grpc.StatusCode.UNAVAILABLE,
       "code of a backend of HTTP/1.1")
    expect_status(gateway, 14)


@test("a local answer to a gRPC call is trailers-only: 200, content-type, grpc-status, END_STREAM")
def trailers_only():
    gateway = Gateway(CONFIG % "{timeout: {requestTimeout: 200ms}}", origin=H2Backend(), workers=1)
    client = H2Client(gateway.port)
    for content_type in ("application/grpc", "application/grpc+proto", "application/grpc;x=y"):
        for path, status, text in (("/test.Echo/Slow", "14", "request timeout"), ("/else", "12", None)):
            number = client.request(path, "POST", {"content-type": content_type, "te": "trailers"}, bytes(5))
            answer = client.response(number)
            eq((answer.status, answer.headers["content-type"], answer.headers["grpc-status"], answer.body,
                answer.trailers.pairs), (200, "application/grpc", status, b"", []), f"answer to {path}")
            check(answer.headers["grpc-message"], "grpc-message")
            if text:
                eq(answer.headers["grpc-message"], text, "grpc-message")
    for content_type in ("application/json", "text/grpc"):
        number = client.request("/else", "POST", {"content-type": content_type}, b"{}")
        eq(client.response(number).status, 404, f"status for {content_type}")


@test("gRPC-Web, and types that only begin like gRPC, are like any other request: HTTP/1.1, a status of HTTP")
def grpc_web():
    backend = Backend()
    gateway = Gateway(CONFIG % "{}", origin=backend, workers=1)
    client = gateway.client()
    for content_type in ("application/grpc-web+proto", "application/grpc-web-text", "application/grpcx"):
        client.request("POST", "/test.Echo/Unary", {"Content-Type": content_type}, bytes(5))
        upstream = backend.accept() if content_type == "application/grpc-web+proto" else upstream
        eq(upstream.read_request().headers["Content-Type"], content_type, "content type at the backend")
        upstream.respond(200, {"Content-Type": content_type}, b"\0\0\0\0\2hi")
        eq(client.response().body, b"\0\0\0\0\2hi", "answer")
        line = gateway.wait_log(lambda line: line.status == 200)
        eq((line["protocol"], line.get("grpc.status")), ("http", None), "protocol in the log")
        other = gateway.fetch("/else", method="POST", headers=[("Content-Type", content_type)])
        eq(other.status, 404, "status without a route")


@test("a gRPC stream that breaks in the middle is reset, and the client sees UNAVAILABLE or INTERNAL",
      needs=NEEDS)
def broken_stream():
    backend = H2Backend()
    gateway = Gateway(CONFIG % "{}", origin=backend, workers=1)
    client = Client(gateway.port)
    answers = client.split("Split", b"x")
    upstream = backend.accept()
    number = upstream.expect_head()
    upstream.head(number, 200, {"content-type": "application/grpc"})
    upstream.send_data(number, b"\0\0\0\0\1x")
    eq(next(answers), b"x", "the first message")
    upstream.send(f.rst_stream(number, f.INTERNAL_ERROR))
    error = refused(lambda: list(answers))
    check(error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE), f"{error.code()}")
    eq(gateway.wait_log()["close_reason"], "upstream_rst", "close_reason")


@test("retries count for gRPC: a call that a backend refuses goes to it again", needs=NEEDS)
def retried():
    backend = H2Backend()
    gateway = Gateway(CONFIG % "{retry: {attempts: 2, codes: [503]}}", origin=backend, workers=1)
    client = Client(gateway.port)
    call = client.channel.unary_unary("/test.Echo/Unary").future(b"hello", timeout=10 * factor())
    upstream = backend.accept()
    for _ in range(2):
        number, message = upstream.expect_request()
        eq(message.body, b"\0\0\0\0\5hello", "body")
        eq((message.headers["te"], message.headers["content-type"]), ("trailers", "application/grpc"),
           "fields")
        upstream.head(number, 503, end=True)
    number, _ = upstream.expect_request()
    upstream.respond(number, 200, {"content-type": "application/grpc"}, b"\0\0\0\0\2ok",
                     [("grpc-status", "0")])
    eq(call.result(), b"ok", "answer")
    eq(gateway.wait_log()["retry.attempt"], "2", "retry.attempt")


# ---- GRPCRoute -------------------------------------------------------------------------------------------


MANIFEST = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: any, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches:
    - method: {service: test.Echo, method: Unary}
      headers: [{name: x-canary, value: "yes"}]
    backendRefs: [{name: canary, port: 80}]
  - matches:
    - method: {service: test.Echo, method: Unary}
    - method: {service: test.Echo, method: Collect}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-edge, value: edge}]}
    backendRefs: [{name: main, port: 80}]
  - matches:
    - method: {type: RegularExpression, service: 'test[.].*', method: 'Sp.*'}
    backendRefs: [{name: main, port: 80, weight: 1}]
"""
SERVICE = """---
apiVersion: v1
kind: Service
metadata: {name: %(name)s}
spec: {ports: [{name: h, port: 80, targetPort: %(port)d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %(name)s-1, labels: {kubernetes.io/service-name: %(name)s}}
addressType: IPv4
ports: [{name: h, port: %(port)d}]
endpoints: [{addresses: [127.0.0.1]}]
"""


@test("a GRPCRoute matches by service, method and header, modifies, and speaks HTTP/2 to its Service",
      needs=NEEDS)
def grpc_route():
    main, canary = Server(), Server()
    text = MANIFEST + "".join(SERVICE % {"name": name, "port": server.port}
                              for name, server in (("main", main), ("canary", canary)))
    gateway = Gateway(text, workers=1)
    client = Client(gateway.port)
    eq(client.unary("Unary", b"a")[0], b"a", "answer")
    eq((main.metadata.get("x-edge"), canary.metadata), ("edge", {}), "the rule without a header")
    eq(client.unary("Unary", b"b", metadata=(("x-canary", "yes"),))[0], b"b", "answer")
    check(canary.metadata.get("x-canary") == "yes" and "x-edge" not in canary.metadata, f"{canary.metadata}")
    eq(client.collect("Collect", [b"c", b"d"]), b"cd", "another method of the rule")
    eq(b"".join(client.split("Split", b"e")), b"e", "a method by regular expression")
    eq(refused(client.unary, "Fail", b"5").code(), grpc.StatusCode.UNIMPLEMENTED, "a method without a route")
    expect_status(gateway, 12, "no_route")
    eq(gateway.wait_log(lambda r: r["http.path"] == "/test.Echo/Split")["route"], "default/calls", "route")


@test("config/examples/grpc.yaml is accepted as it is")
def example():
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    status, out, error = run([binary("headgate"), "-f", os.path.join(root, "config", "examples", "grpc.yaml"),
                              "--validate-only"])
    eq(status, 0, f"exit status: {out}{error}")
