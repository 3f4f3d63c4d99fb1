# SPDX-License-Identifier: Apache-2.0
"""Spans of requests and attempts reach a collector; a trace continues at the backend; collectors may fail."""
import re
import threading

from hg import *
from plays import acted, play

try:
    import otlp_api
except ImportError:  # need() says so in the tests
    otlp_api = None

CONFIG = """
frontendPolicies:
  tracing:
    host: '%s'
    %s
binds:
- port: @port@
  listeners:
  - routes:
    - name: api
      matches: [{path: {pathPrefix: /status}}, {path: {pathPrefix: /get}}, {path: {pathPrefix: /headers}}]
      policies: {retry: {attempts: 1, codes: [503]}}
      backends: [{host: @origin@}]
    - name: rest
      backends: [{host: @origin@}]
"""
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def traced(address, more):
    return CONFIG % (address, "\n    ".join(more))


def needs():
    need("module:grpc")
    need("module:google.protobuf")


def counted(gateway, result):
    return gateway.metrics()("headgate_export_records_total", signal="traces", result=result)


def headers_seen(response):
    return {name.lower(): value for name, value in response.json()["headers"].items()}


@test("a sampled request has a span, its attempts have theirs, and the backend continues the trace")
def spans():
    needs()
    service, got = otlp_api.grpc_collector()
    more = ["randomSampling: true", "remove: [user_agent.original]",
            "attributes: {team: 'request.headers[\"x-team\"]', one: '1'}",
            "resources: {service.name: '\"shop\"', replicas: '3'}"]
    gateway, _ = play(traced(service.address, more))
    seen = headers_seen(gateway.fetch("/headers?a=b", headers=[("X-Team", "blue")]))
    gateway.fetch("/status/503")
    wait_until(lambda: len(got.all()) >= 5, 20, "five spans")
    first, failed = got.all(otlp_api.SERVER)
    attempt, one, two = got.all(otlp_api.CLIENT)
    eq(got.unknown(), [], "unknown fields")
    version, trace, parent, flags = seen["traceparent"].split("-")
    eq((version, trace, parent, flags), ("00", first.trace_id.hex(), attempt.span_id.hex(), "01"),
       "traceparent")
    eq((attempt.trace_id, attempt.parent_span_id), (first.trace_id, first.span_id), "the attempt's parent")
    eq(first.parent_span_id, b"", "a trace of its own")
    eq(first.name, "GET /headers", "name")
    check(first.start_time_unix_nano <= attempt.start_time_unix_nano <= attempt.end_time_unix_nano, "times")
    facts = otlp_api.attributes(first)
    for name, value in (("http.request.method", "GET"), ("url.path", "/headers"), ("url.query", "a=b"),
                        ("url.scheme", "http"), ("http.response.status_code", 200),
                        ("http.route", "/headers"), ("network.protocol.version", "1.1"),
                        ("route", "default/api"), ("lane", "copy"), ("close_reason", "ok"),
                        ("team", "blue"), ("one", 1), ("client.address", "127.0.0.1")):
        eq(facts.get(name), value, name)
    check("user_agent.original" not in facts and "error.type" not in facts, "left out")
    eq(first.status.code, 0, "no error")
    eq((failed.status.code, otlp_api.attributes(failed)["error.type"]), (otlp_api.ERROR, "503"), "an error")
    eq([otlp_api.attributes(a)["http.response.status_code"] for a in (one, two)], [503, 503], "both attempts")
    eq(otlp_api.attributes(two)["http.request.resend_count"], 1, "the repetition")
    eq({one.parent_span_id, two.parent_span_id}, {failed.span_id}, "of the same request")
    check(one.span_id != two.span_id, "each attempt has a span of its own")
    resource = got.resources()[0]
    eq((resource["service.name"], resource["replicas"]), ("shop", 3), "resource")
    record = gateway.wait_log(count=2)[0]
    eq((record["trace.id"], record["span.id"]), (first.trace_id.hex(), first.span_id.hex()), "the log")
    wait_until(lambda: counted(gateway, "sent") == 5, 20, "five are counted as sent")


@test("the client's trace continues if it is sampled, and is left alone otherwise")
def clients():
    needs()
    collector = otlp_api.HttpCollector()
    gateway, _ = play(traced(collector.address, ["protocol: http", "path: /otlp/traces"]))
    plain = headers_seen(gateway.fetch("/headers"))
    check("traceparent" not in plain, "no trace begins without randomSampling")
    unsampled = f"00-{TRACE}-{PARENT}-00"
    fields = [("traceparent", unsampled), ("tracestate", "a=1")]
    seen = headers_seen(gateway.fetch("/headers", headers=fields))
    eq((seen["traceparent"], seen["tracestate"]), (unsampled, "a=1"), "a trace that is not sampled")
    sampled = [("traceparent", f"cc-{TRACE}-{PARENT}-01-later"), ("tracestate", "a=1,b=2")]
    seen = headers_seen(gateway.fetch("/headers", headers=sampled))
    check(re.fullmatch(f"00-{TRACE}-(?!{PARENT})[0-9a-f]{{16}}-01", seen["traceparent"]),
          seen["traceparent"])
    eq(seen["tracestate"], "a=1,b=2", "tracestate")
    seen = headers_seen(gateway.fetch("/headers", headers=[("traceparent", f"00-{TRACE}-{PARENT}-01"),
                                                           ("tracestate", "A=1")]))
    check("tracestate" not in seen, "a tracestate that is none")
    wait_until(lambda: len(collector.spans.all()) >= 4, 20, "spans of two requests")
    span = collector.spans.all(otlp_api.SERVER)[0]
    eq((span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state), (TRACE, PARENT, "a=1,b=2"), "span")
    eq(set(collector.paths), {"/otlp/traces"}, "path")
    eq(collector.headers[0]["content-type"], "application/x-protobuf", "type")
    eq([otlp_api.attributes(s)["url.path"] for s in collector.spans.all(otlp_api.SERVER)], ["/headers"] * 2,
       "only sampled requests")


@test("sampling by share, by expression, and a filter")
def sampling():
    needs()
    collector = otlp_api.HttpCollector()
    gateway, _ = play(traced(collector.address, ["protocol: http", "clientSampling: 0.0",
                                                 "randomSampling: 'request.path == \"/get\" ? 1.0 : 0.0'",
                                                 "filter: response.code == 200 && "
                                                 "!request.path.contains(\"404\")"]))
    for path in ("/get", "/status/404", "/status/200"):
        gateway.fetch(path)
    gateway.fetch("/get", headers=[("traceparent", f"00-{TRACE}-{PARENT}-01")])
    gateway.fetch("/get")
    wait_until(lambda: len(collector.spans.all()) >= 4, 20, "spans of two requests")
    paths = [otlp_api.attributes(s)["url.path"] for s in collector.spans.all(otlp_api.SERVER)]
    eq(paths, ["/get"] * 2, "spans")


@test("a tunnel has its span when it ends, with what ended it")
def tunnels():
    needs()
    collector = otlp_api.HttpCollector()
    gateway, _ = play(traced(collector.address, ["protocol: http", "randomSampling: true"]))
    tunnel = WebSocket(gateway.port, headers={"User-Agent": "socket"})
    tunnel.send("hello")
    eq(tunnel.receive(), "hello", "echo")
    eq(collector.spans.all(), [], "no span yet")
    tunnel.raw.close()
    wait_until(lambda: len(collector.spans.all()) >= 2, 20, "spans of the tunnel")
    span, = collector.spans.all(otlp_api.SERVER)
    attempt, = collector.spans.all(otlp_api.CLIENT)
    eq(otlp_api.attributes(attempt)["http.response.status_code"], 101, "switched")
    eq(attempt.parent_span_id, span.span_id, "parent")
    facts = otlp_api.attributes(span)
    check(facts["bytes_in"] > 0 and facts["close_reason"], facts)


@test("spans and log entries that wait are sent when the gateway ends")
def shutdown():
    needs()
    collector = otlp_api.HttpCollector()
    log = "accessLog: {otlp: {host: '%s', protocol: http}}" % collector.address
    config = traced(collector.address, ["protocol: http", "randomSampling: true"])
    gateway, _ = play(config.replace("  tracing:", "  %s\n  tracing:" % log) +
                      "config: {connectionTerminationDeadline: 300ms}\n")
    tunnel = WebSocket(gateway.port)
    tunnel.echo("until the deadline of the drain")
    gateway.stop()
    tunnel.raw.close()
    # The gateway does not wait for long; what it has sent may still lie in the collector's sockets.
    wait_until(lambda: (len(collector.spans.all()), len(collector.logs.all())) == (2, 1), 20,
               "the spans of the tunnel and its entry")


@test("what a collector refuses for a while reaches the one of a later reload; what one rejects is dropped")
def refusing():
    needs()
    may_answer = threading.Event()
    answers = [(200, [], otlp_api.rejecting(1).SerializeToString()), (400, [], b"")]

    def refuse(_):
        may_answer.wait(60)
        return 429, [("Retry-After", "1")], b""

    def config(collector):
        return traced(collector.address, ["protocol: http", "randomSampling: true",
                                          "policies: {http: {requestTimeout: 120s}}"])

    first = otlp_api.HttpCollector(refuse)
    second = otlp_api.HttpCollector(lambda self: answers[min(self.calls, len(answers)) - 1])
    gateway, _ = play(config(first))
    gateway.fetch("/get")
    wait_until(lambda: first.calls == 1, 20, "a call")
    gateway.reload(config(second))
    gateway.fetch("/get")
    may_answer.set()
    wait_until(lambda: counted(gateway, "sent") == 1, 20, "one of two was taken")
    wait_until(lambda: counted(gateway, "rejected") == 3, 20, "the other one, and a batch as a whole")
    eq((first.calls, second.calls), (1, 2), "not repeated")


@test("a collector that a reload removes gets nothing more, and what it does not take at once is dropped")
def removed():
    needs()
    is_willing = threading.Event()
    collector = otlp_api.HttpCollector(lambda _: (200, [], b"") if is_willing.is_set() else (503, [], b""))
    log = "accessLog: {otlp: {host: '%s', protocol: http}}" % collector.address
    config = traced(collector.address, ["protocol: http", "randomSampling: true"]) + "config: {logging: {}}\n"
    both, neither = config.replace("  tracing:", "  %s\n  tracing:" % log), config[config.index("binds:"):]
    gateway, _ = play(both)

    def ended(*results):
        metrics = gateway.metrics()
        return [sum(metrics("headgate_export_records_total", signal=signal, result=result)
                    for result in results) for signal in ("traces", "logs")]

    is_willing.set()
    gateway.fetch("/get")
    gateway.reload(neither)
    wait_until(lambda: ended("sent", "shutdown") == [2, 1], 20, "what waits is sent at once")
    is_willing.clear()
    sent, calls = ended("sent"), collector.calls
    gateway.reload(both)
    gateway.fetch("/get")
    wait_until(lambda: collector.calls >= calls + 2, 20, "a call for each signal")
    # Now the time of the collector before is over; what came for this one is not dropped.
    is_willing.set()
    wait_until(lambda: ended("sent") == [sent[0] + 2, sent[1] + 1], 20, "a repetition for each signal")
    is_willing.clear()
    late = gateway.client().send(b"POST /status/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
    dropped = ended("shutdown")
    gateway.fetch("/get")
    gateway.reload(neither)
    wait_until(lambda: all(now > then for now, then in zip(ended("shutdown"), dropped)), 60, "dropped")
    is_willing.set()
    late.send(b"x")
    eq(late.response().status, 200, "a request that is older than the reload")
    gateway.wait_log(count=4)
    gateway.stop()
    # A call that was cut off may come only now; it is about the other request.
    records = str(collector.spans.all() + collector.logs.all())
    check("/status/200" not in records, records)


@test("a dead collector costs requests nothing, and a line says why nothing reaches it", timeout=60)
def dead():
    needs()
    gateway, _ = play(traced(f"127.0.0.1:{free_port()}", ["randomSampling: true"]))
    for _ in range(20):
        eq(gateway.fetch("/get").status, 200, "served")
    failed = {"subtype": "otlp_traces", "result": "failed"}
    wait_until(lambda: gateway.metrics()("headgate_callouts_total", **failed) >= 1, 20, "a call")
    eq(gateway.fetch("/get").status, 200, "served")
    gateway.stop()
    check("spans do not reach collector" in gateway.stderr, "a line says so")


@test("config.tracing and the environment of OpenTelemetry name the collector; its headers are secret")
def environment():
    needs()
    collector = otlp_api.HttpCollector()
    config = """
config:
  tracing: {headers: {x-token: quiet-secret}, randomSampling: 1.0}
binds:
- port: @port@
  listeners: [{routes: [{backends: [{host: @origin@}]}]}]
"""
    gateway, _ = play(config, env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
                                   "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
                                   "OTEL_EXPORTER_OTLP_HEADERS": "x-other=loud-secret",
                                   "OTEL_SERVICE_NAME": "shop",
                                   "OTEL_RESOURCE_ATTRIBUTES": "team=blue%20one,service.name=lost"})
    gateway.fetch("/get")
    wait_until(lambda: collector.spans.all(otlp_api.SERVER), 20, "a span")
    eq(collector.paths[0], "/v1/traces", "path")
    eq((collector.headers[0]["x-token"], collector.headers[0]["x-other"]), ("quiet-secret", "loud-secret"),
       "headers")
    eq(collector.headers[0]["content-type"], "application/json", "type")
    span, = collector.spans.all(otlp_api.SERVER)
    eq((span.name, otlp_api.attributes(span)["http.response.status_code"]), ("GET /", 200), "in JSON")
    eq([attempt.parent_span_id for attempt in collector.spans.all(otlp_api.CLIENT)], [span.span_id], "ids")
    eq((collector.spans.resources()[0]["service.name"], collector.spans.resources()[0]["team"]),
       ("shop", "blue one"), "resource")
    dump = gateway.admin("/config_dump").text
    check("quiet-secret" not in dump and "loud-secret" not in dump, "the dump shows no secret")
    check(collector.address in dump, "it shows the collector")
