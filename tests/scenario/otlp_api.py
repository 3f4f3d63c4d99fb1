# SPDX-License-Identifier: Apache-2.0
"""A collector of OpenTelemetry, over gRPC and HTTP; messages by python3-protobuf, from their definitions."""
import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format

import envoy_api
from hg.framework import Context, context

# opentelemetry-proto 1: common, resource, trace, logs, and the services of the collector.
MESSAGES = {
    "AnyValue": [("string_value", 1, "string", False, "value"), ("bool_value", 2, "bool", False, "value"),
                 ("int_value", 3, "int64", False, "value"), ("double_value", 4, "double", False, "value")],
    "KeyValue": [("key", 1, "string"), ("value", 2, "AnyValue")],
    "Resource": [("attributes", 1, "KeyValue", True)],
    "Scope": [("name", 1, "string"), ("version", 2, "string")],
    "Status": [("message", 2, "string"), ("code", 3, "int32")],
    "Span": [("trace_id", 1, "bytes"), ("span_id", 2, "bytes"), ("trace_state", 3, "string"),
             ("parent_span_id", 4, "bytes"), ("name", 5, "string"), ("kind", 6, "int32"),
             ("start_time_unix_nano", 7, "fixed64"), ("end_time_unix_nano", 8, "fixed64"),
             ("attributes", 9, "KeyValue", True), ("dropped_attributes_count", 10, "uint32"),
             ("status", 15, "Status"), ("flags", 16, "fixed32")],
    "LogRecord": [("time_unix_nano", 1, "fixed64"), ("severity_number", 2, "int32"),
                  ("severity_text", 3, "string"), ("body", 5, "AnyValue"),
                  ("attributes", 6, "KeyValue", True), ("dropped_attributes_count", 7, "uint32"),
                  ("trace_id", 9, "bytes"), ("span_id", 10, "bytes"),
                  ("observed_time_unix_nano", 11, "fixed64")],
    "ScopeSpans": [("scope", 1, "Scope"), ("spans", 2, "Span", True)],
    "ResourceSpans": [("resource", 1, "Resource"), ("scope_spans", 2, "ScopeSpans", True)],
    "TraceRequest": [("resource_spans", 1, "ResourceSpans", True)],
    "ScopeLogs": [("scope", 1, "Scope"), ("log_records", 2, "LogRecord", True)],
    "ResourceLogs": [("resource", 1, "Resource"), ("scope_logs", 2, "ScopeLogs", True)],
    "LogsRequest": [("resource_logs", 1, "ResourceLogs", True)],
    "PartialSuccess": [("rejected", 1, "int64"), ("error_message", 2, "string")],
    "Response": [("partial_success", 1, "PartialSuccess")],
}
SERVER, CLIENT, ERROR = 2, 3, 2
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_CLASS = envoy_api.classes(MESSAGES)


def rejecting(count):
    return _CLASS["Response"](partial_success=_CLASS["PartialSuccess"](rejected=count, error_message="full"))


def taken():
    return _CLASS["Response"]()


def attributes(message):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


class Received:
    """What a collector has got of one signal."""

    def __init__(self):
        self._lock, self._requests, self.sizes = threading.Lock(), [], []

    def take(self, request):
        with self._lock:
            self._requests.append(request)
            self.sizes.append(request.ByteSize())

    def unknown(self):
        """Fields that the definitions above do not have."""
        with self._lock:
            return [len(request.UnknownFields()) for request in self._requests if request.UnknownFields()]

    def _resources(self):
        with self._lock:
            return [one for request in self._requests for _, ones in request.ListFields() for one in ones]

    def resources(self):
        return [attributes(one.resource) for one in self._resources()]


class Spans(Received):
    def all(self, kind=None):
        return [span for one in self._resources() for scope in one.scope_spans for span in scope.spans
                if kind in (None, span.kind)]


class Logs(Received):
    def all(self):
        return [record for one in self._resources() for scope in one.scope_logs
                for record in scope.log_records]


def grpc_collector(answer=None, logs=False, certificate=None):
    """(service, spans or logs). answer(request, context) gives a message; None: everything is taken."""
    received = Logs() if logs else Spans()

    def serve(request, context):
        message = answer(request, context) if answer else taken()
        received.take(request)
        return message

    kind = _CLASS["LogsRequest" if logs else "TraceRequest"]
    return envoy_api.Service(LOGS if logs else TRACES, kind, serve, certificate), received


def with_base64(value):
    """JSON of OTLP has hexadecimal digits where that of protobuf has base64."""
    if isinstance(value, list):
        return [with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: base64.b64encode(bytes.fromhex(one)).decode()
            if name in ("traceId", "spanId", "parentSpanId") else with_base64(one)
            for name, one in value.items()}


class HttpCollector:
    """OTLP over HTTP with protobuf or JSON; a path with "logs" takes logs. answer(self) gives (status,
    headers, body); None: everything is taken."""

    def __init__(self, answer=None, certificate=None):
        self.spans, self.logs, self.paths, self.headers = Spans(), Logs(), [], []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.headers.append(dict(self.headers))
                collector.paths.append(self.path)
                status, headers, out = answer(collector) if answer else (200, [], taken().SerializeToString())
                if status == 200:
                    collector.take(self.path, body, self.headers["content-type"])
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate.cert, certificate.key)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"
        context().own(Context.ORIGIN, self)

    @property
    def calls(self):
        """Of all threads: a list does not lose one of two that come at the same time, as a counter may."""
        return len(self.paths)

    def take(self, path, body, kind):
        received, name = (self.logs, "LogsRequest") if "logs" in path else (self.spans, "TraceRequest")
        if kind == "application/json":
            received.take(json_format.ParseDict(with_base64(json.loads(body)), _CLASS[name]()))
        else:
            received.take(_CLASS[name].FromString(body))

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    cleanup = stop
