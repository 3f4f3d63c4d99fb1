# SPDX-License-Identifier: Apache-2.0
"""Entries of the access log reach a collector; collectors may be slow, dead, or behind TLS."""
import threading

from hg import *
from hg.pki import Authority
from plays import play

try:
    import otlp_api
except ImportError:  # need() says so in the tests
    otlp_api = None

CONFIG = """
frontendPolicies:
  accessLog:
    %s
  tracing:
    %s
binds:
- port: @port@
  listeners: [{routes: [{name: api, backends: [{host: @origin@}]}]}]
"""
FIELD_BYTES, BATCH_BYTES, SPAN_NAME = 1024, 256 * 1024, "a request with long attributes"


def needs():
    need("module:grpc")
    need("module:google.protobuf")


def exported(gateway, signal, result):
    return gateway.metrics()("headgate_export_records_total", signal=signal, result=result)


@test("a collector gets the fields of the line as attributes, with filter and fields of its own")
def fields():
    needs()
    service, got = otlp_api.grpc_collector(logs=True)
    log = ("{remove: [http.version], otlp: {host: '%s', filter: response.code != 404,"
           " resources: {team: '\"a\"'}, fields: {add: {host: 'request.headers[\"x-host\"]',"
           " http.path: '\"hidden\"', half: '0.5'}, remove: [http.user_agent]}}}") % service.address
    trace = "{host: '127.0.0.1:%d', randomSampling: 'request.path == \"/get\"'}" % free_port()
    gateway, _ = play(CONFIG % (log, trace))
    for path in ("/status/404", "/status/503", "/get"):
        gateway.fetch(path, headers=[("X-Host", "blue"), ("User-Agent", "secret")])
    wait_until(lambda: len(got.all()) >= 2, 20, "two records")
    records, lines = got.all(), gateway.wait_log(count=3)
    eq(got.unknown(), [], "unknown fields")
    eq(len(lines), 3, "the lines have no filter")
    check("http.version" not in lines[2] and lines[2]["http.path"] == "/get", "fields of the lines")
    eq([otlp_api.attributes(record)["http.status"] for record in records], [503, 200], "the filter")
    failed, plain = records
    facts = otlp_api.attributes(plain)
    for name, value in (("http.method", "GET"), ("http.version", "HTTP/1.1"), ("route", "default/api"),
                        ("host", "blue"), ("http.path", "hidden"), ("half", 0.5), ("lane", "copy"),
                        ("close_reason", "ok"), ("bytes_in", 0), ("trace.id", lines[2]["trace.id"])):
        eq(facts.get(name), value, name)
    check("http.user_agent" not in facts, "removed")
    eq(len([pair for pair in plain.attributes if pair.key == "http.path"]), 1, "no name twice")
    eq((plain.severity_number, plain.severity_text, plain.body.string_value), (9, "INFO", "request"), "head")
    eq((plain.trace_id.hex(), plain.span_id.hex()), (lines[2]["trace.id"], lines[2]["span.id"]), "ids")
    eq((failed.trace_id, failed.span_id), (b"", b""), "a request without a trace")
    check(0 < failed.time_unix_nano <= plain.time_unix_nano, "times")
    eq((got.resources()[0]["team"], got.resources()[0]["service.name"]), ("a", "headgate"), "resource")
    wait_until(lambda: exported(gateway, "logs", "sent") == 2, 20, "counted")


@test("a collector over TLS gets the log, one that is not trusted gets nothing; the log itself may be off")
def tls():
    needs()
    authority = Authority()
    collector = otlp_api.HttpCollector(certificate=authority.issue("127.0.0.1"))
    other, lost = otlp_api.grpc_collector(certificate=Authority("other").issue("127.0.0.1"))
    log = ("{otlp: {host: '%s', protocol: http/json, path: /in/logs, policies: {backendTLS: {root: '%s'},"
           " requestHeaderModifier: {set: {x-token: quiet-secret}}}}}" % (collector.address, authority.cert))
    trace = "{host: '%s', randomSampling: true, policies: {backendTLS: {root: '%s'}}}" % (other.address,
                                                                                         authority.cert)
    gateway, _ = play(CONFIG % (log, trace) + "config: {logging: {accessLog: false}}\n")
    gateway.fetch("/get")
    wait_until(lambda: collector.logs.all(), 20, "a record")
    eq((collector.paths[0], collector.headers[0]["x-token"]), ("/in/logs", "quiet-secret"), "the call")
    eq(collector.headers[0]["content-type"], "application/json", "type")
    record, = collector.logs.all()
    eq((record.body.string_value, otlp_api.attributes(record)["http.status"]), ("request", 200), "in JSON")
    check(record.trace_id and record.span_id, "ids")
    wait_until(lambda: "spans do not reach collector" in gateway.stderr, 20, "a line says so")
    eq(lost.all(), [], "nothing goes to a collector that is not trusted")
    eq(gateway.log(), [], "no lines")


@test("a slow collector costs requests nothing; what waits comes in batches of a bounded size")
def slow():
    needs()
    answers = threading.Event()

    def late(collector):
        answers.wait(60)
        return 200, [], otlp_api.taken().SerializeToString()

    collector = otlp_api.HttpCollector(late)
    # A call that is over time would be repeated.
    to = "host: '%s', protocol: http, policies: {http: {requestTimeout: 60s}}" % collector.address
    add = ", ".join(f"f{i}: 'request.headers[\"x-long\"]'" for i in range(8))
    # More than a span may have: long values, and short ones for the rest of it.
    more = ", ".join([add] + [f"g{i}: 'request.headers[\"x-long\"]'" for i in range(8)] +
                     [f"i{i}: '{i}'" for i in range(20)])
    gateway, _ = play(CONFIG % ("{otlp: {%s, fields: {add: {%s}}}}" % (to, add),
                                "{%s, randomSampling: true, attributes: {span.name: '\"%s\"', %s}}" %
                                (to, SPAN_NAME, more)))
    for _ in range(60):
        eq(gateway.fetch("/get", headers=[("X-Long", "a" * (FIELD_BYTES + 1))]).status, 200, "served")
    wait_until(lambda: collector.calls == 2, 20, "a call for each signal")
    eq(collector.logs.all() + collector.spans.all(), [], "nothing was taken yet")
    answers.set()
    logs, spans = collector.logs, collector.spans
    wait_until(lambda: (len(logs.all()), len(spans.all(otlp_api.SERVER))) == (60, 60), 30, "all records")
    eq(len(otlp_api.attributes(logs.all()[0])["f0"]), FIELD_BYTES, "a long value is cut")
    for sizes in (logs.sizes, spans.sizes):
        check(len(sizes) > 1 and max(sizes) <= BATCH_BYTES, sizes)
    eq([record.dropped_attributes_count for record in logs.all()], [0] * 60, "none was dropped")
    eq({(span.name, span.dropped_attributes_count > 0) for span in spans.all(otlp_api.SERVER)},
       {(SPAN_NAME, True)}, "a full span has its name, and says that it lacks attributes")


@test("a collector that is never there fills the queues; what does not fit is dropped and counted",
      long=True, timeout=180)
def full():
    needs()
    to = f"host: '127.0.0.1:{free_port()}'"
    add = ", ".join(f"f{i}: 'request.headers[\"x-long\"]'" for i in range(8))
    gateway, _ = play(CONFIG % ("{otlp: {%s, fields: {add: {%s}}}}" % (to, add),
                                "{%s, randomSampling: true, attributes: {%s}}" % (to, add)))

    def fill():
        for _ in range(100):
            eq(gateway.fetch("/get", headers=[("X-Long", "a" * FIELD_BYTES)]).status, 200, "served")
        return all(exported(gateway, signal, "queue_full") for signal in ("logs", "traces"))

    wait_until(fill, 150, "full queues")
    check("log records do not reach collector" in gateway.stderr, "a line says so")
    gateway.stop()
