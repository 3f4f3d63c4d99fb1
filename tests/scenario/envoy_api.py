# SPDX-License-Identifier: Apache-2.0
"""Envoy's services that policies ask, over gRPC: messages by python3-protobuf, servers by python3-grpcio."""
import threading
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from hg.framework import Context, context

PACKAGE = "test"
KINDS = {"string": 9, "bytes": 12, "uint32": 13, "uint64": 4, "int32": 5, "int64": 3, "bool": 8,
         "enum32": 5, "double": 1, "fixed64": 6, "fixed32": 7}

# Message -> fields: (name, number, kind or message, repeated). Numbers and types are those of Envoy's API v3.
MESSAGES = {
    "Entry": [("key", 1, "string"), ("value", 2, "string")],
    "SocketAddress": [("protocol", 1, "int32"), ("address", 2, "string"),
                      ("port_value", 3, "uint32")],
    "Address": [("socket_address", 1, "SocketAddress")],
    "Peer": [("address", 1, "Address"), ("service", 2, "string"), ("principal", 4, "string")],
    "Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
    "HttpRequest": [("id", 1, "string"), ("method", 2, "string"), ("headers", 3, "Entry", True),
                    ("path", 4, "string"), ("host", 5, "string"), ("scheme", 6, "string"),
                    ("query", 7, "string"),
                    ("fragment", 8, "string"), ("size", 9, "int64"), ("protocol", 10, "string"),
                    ("body", 11, "string"), ("raw_body", 12, "bytes")],
    "Request": [("time", 1, "Timestamp"), ("http", 2, "HttpRequest")],
    "TLSSession": [("sni", 1, "string")],
    "AttributeContext": [("source", 1, "Peer"), ("destination", 2, "Peer"), ("request", 4, "Request"),
                         ("context_extensions", 10, "Entry", True), ("metadata_context", 11, "Metadata"),
                         ("tls_session", 12, "TLSSession")],
    "Metadata": [("filter_metadata", 1, "Named", True)],
    "Named": [("key", 1, "string"), ("value", 2, "Struct")],
    "CheckRequest": [("attributes", 1, "AttributeContext")],
    "Status": [("code", 1, "int32"), ("message", 2, "string")],
    "HeaderValue": [("key", 1, "string"), ("value", 2, "string"), ("raw_value", 3, "bytes")],
    "BoolValue": [("value", 1, "bool")],
    "HeaderValueOption": [("header", 1, "HeaderValue"), ("append", 2, "BoolValue"),
                          ("append_action", 3, "int32")],
    "HttpStatus": [("code", 1, "int32")],
    "DeniedHttpResponse": [("status", 1, "HttpStatus"), ("headers", 2, "HeaderValueOption", True),
                           ("body", 3, "string")],
    "QueryParameter": [("key", 1, "string"), ("value", 2, "string")],
    "OkHttpResponse": [("headers", 2, "HeaderValueOption", True), ("headers_to_remove", 5, "string", True),
                       ("response_headers_to_add", 6, "HeaderValueOption", True),
                       ("query_parameters_to_set", 7, "QueryParameter", True)],
    "CheckResponse": [("status", 1, "Status"), ("denied_response", 2, "DeniedHttpResponse"),
                      ("ok_response", 3, "OkHttpResponse"), ("dynamic_metadata", 4, "Struct")],
    "Struct": [("fields", 1, "Member", True)],
    "Member": [("key", 1, "string"), ("value", 2, "Value")],
    "ListValue": [("values", 1, "Value", True)],
    "Value": [("null_value", 1, "int32", False, "kind"), ("number_value", 2, "double", False, "kind"),
              ("string_value", 3, "string", False, "kind"), ("bool_value", 4, "bool", False, "kind"),
              ("struct_value", 5, "Struct", False, "kind"), ("list_value", 6, "ListValue", False, "kind")],
    "UInt64Value": [("value", 1, "uint64")],
    "RateLimitOverride": [("requests_per_unit", 1, "uint32"), ("unit", 2, "int32")],
    "RateLimitDescriptor": [("entries", 1, "Entry", True), ("limit", 2, "RateLimitOverride"),
                            ("hits_addend", 3, "UInt64Value")],
    "RateLimitRequest": [("domain", 1, "string"), ("descriptors", 2, "RateLimitDescriptor", True),
                         ("hits_addend", 3, "uint32")],
    "RateLimit": [("requests_per_unit", 1, "uint32"), ("unit", 2, "int32"), ("name", 3, "string")],
    "Duration": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
    "DescriptorStatus": [("code", 1, "int32"), ("current_limit", 2, "RateLimit"),
                         ("limit_remaining", 3, "uint32"), ("duration_until_reset", 4, "Duration")],
    "RateLimitResponse": [("overall_code", 1, "int32"), ("statuses", 2, "DescriptorStatus", True),
                          ("response_headers_to_add", 3, "HeaderValue", True),
                          ("request_headers_to_add", 4, "HeaderValue", True), ("raw_body", 5, "bytes")],
}
OK, OVER_LIMIT = 1, 2  # RateLimitResponse.Code


def classes(messages):
    """Message -> class. A fifth member of a field is the name of its oneof."""
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package=PACKAGE, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, *more in fields:
            field = message.field.add(name=field_name, number=number, label=3 if more and more[0] else 1)
            if len(more) > 1:
                if not message.oneof_decl:
                    message.oneof_decl.add(name=more[1])
                field.oneof_index = 0
            if kind in KINDS:
                field.type = KINDS[kind]
            else:
                field.type, field.type_name = 11, f".{PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in messages}


_CLASS = classes(MESSAGES)


def make(name, **members):
    return _CLASS[name](**members)


def entries(list_of_entries):
    return {entry.key: entry.value for entry in list_of_entries}


def value(of):
    """A google.protobuf.Value of what JSON can say; neither 0 nor an empty text."""
    if isinstance(of, dict):
        return make("Value", struct_value=struct(of))
    if isinstance(of, list):
        return make("Value", list_value=make("ListValue", values=[value(item) for item in of]))
    if isinstance(of, bool):
        return make("Value", bool_value=of)
    kind = "string_value" if isinstance(of, str) else "number_value"
    return make("Value", **{kind: of})


def plain(of):
    """What JSON says of a Value, or of a Struct."""
    kind = of.WhichOneof("kind") if of.DESCRIPTOR.name == "Value" else "fields"
    if kind == "fields":
        return {member.key: plain(member.value) for member in of.fields}
    if kind == "list_value":
        return [plain(item) for item in of.list_value.values]
    if kind == "null_value":
        return None
    return plain(of.struct_value) if kind == "struct_value" else getattr(of, kind)


def struct(members):
    return make("Struct", fields=[make("Member", key=name, value=value(of)) for name, of in members.items()])


def option(name, value, **members):
    return make("HeaderValueOption", header=make("HeaderValue", key=name, value=value), **members)


def admitted(**members):
    return make("CheckResponse", status=make("Status"), ok_response=make("OkHttpResponse", **members))


def denied(code=7, **members):
    return make("CheckResponse", status=make("Status", code=code),
                denied_response=make("DeniedHttpResponse", **members))


class Service:
    """One of the services. answer(request, context) gives a message, or bytes, which may be none."""

    def __init__(self, method, request, answer, certificate=None):
        self.asked, self.answer = [], answer
        self._request = _CLASS[request] if isinstance(request, str) else request
        self._lock = threading.Lock()
        path, name = method.strip("/").split("/")
        handler = grpc.unary_unary_rpc_method_handler(self._serve, request_deserializer=self._read,
                                                      response_serializer=self._write)
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(path, {name: handler}),))
        if certificate:
            credentials = grpc.ssl_server_credentials([(certificate.key_pem, certificate.pem)])
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        context().own(Context.ORIGIN, self)

    def _read(self, data):
        return self._request.FromString(data)

    @staticmethod
    def _write(message):
        return message if isinstance(message, bytes) else message.SerializeToString()

    def _serve(self, request, context):
        with self._lock:
            self.asked.append(request)
        return self.answer(request, context)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self._server.stop(0).wait()

    cleanup = stop


def authorization(answer, certificate=None):
    return Service("/envoy.service.auth.v3.Authorization/Check", "CheckRequest", answer, certificate)


def rate_limit(answer):
    return Service("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", "RateLimitRequest", answer)
