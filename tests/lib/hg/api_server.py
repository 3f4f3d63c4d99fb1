# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes API server: lists, watches, updates and patches over HTTP/2 with TLS, and misbehaves
when told.

It knows what the tests need of the real one, no more.
"""
import copy
import itertools
import json
import os
import re
import socket
import ssl
import threading
import time
import urllib.parse

import h2.config
import h2.connection
import h2.events

from hg.framework import Context, context, tmpdir
from hg.ports import free_port
from hg.pki import Authority

GROUP = "gateway.networking.k8s.io"
KINDS = {
    "GatewayClass": f"/apis/{GROUP}/v1/gatewayclasses", "Gateway": f"/apis/{GROUP}/v1/gateways",
    "ListenerSet": f"/apis/{GROUP}/v1/listenersets", "HTTPRoute": f"/apis/{GROUP}/v1/httproutes",
    "GRPCRoute": f"/apis/{GROUP}/v1/grpcroutes", "TCPRoute": f"/apis/{GROUP}/v1/tcproutes",
    "TLSRoute": f"/apis/{GROUP}/v1/tlsroutes", "ReferenceGrant": f"/apis/{GROUP}/v1/referencegrants",
    "BackendTLSPolicy": f"/apis/{GROUP}/v1/backendtlspolicies",
    "AgentgatewayPolicy": "/apis/agentgateway.dev/v1alpha1/agentgatewaypolicies",
    "AgentgatewayBackend": "/apis/agentgateway.dev/v1alpha1/agentgatewaybackends",
    "AgentgatewayParameters": "/apis/agentgateway.dev/v1alpha1/agentgatewayparameters",
    "Service": "/api/v1/services", "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Namespace": "/api/v1/namespaces", "Secret": "/api/v1/secrets", "ConfigMap": "/api/v1/configmaps",
}
TOKEN = "token-of-the-test"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gateways.gateway.networking.k8s.io"
LEASES = re.compile(r"/apis/coordination\.k8s\.io/v1/namespaces/[a-z-]+/leases(/headgate)?$")


def failure(code, reason, message="", **details):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": reason, "message": message, "details": details}


class Roles:
    """The rules of ClusterRoles and Roles, and which of them were used."""

    def __init__(self, *manifests):
        self.rules, self.used = set(), set()  # (namespace, group, resource, name, verb); "" for any
        for manifest in manifests:
            for rule in manifest["rules"]:
                self.rules |= set(itertools.product(
                    [manifest["metadata"].get("namespace", "")], rule["apiGroups"], rule["resources"],
                    rule.get("resourceNames", [""]), rule["verbs"]))

    def allow(self, method, path, query):
        parts = path.split("/")[1:]  # api/v1/... or apis/GROUP/VERSION/...
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        namespace, rest = (rest[1], rest[2:]) if rest[0] == "namespaces" and len(rest) > 2 else ("", rest)
        resource, name = "/".join([rest[0], *rest[2:]]), rest[1] if len(rest) > 1 else ""
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete",
                "GET": "get" if name else "watch" if "watch" in query else "list"}[method]
        # Server-side apply of an object that is not there needs both.
        verbs = {"patch", "create"} if "fieldManager" in query else {verb}
        found = {rule for rule in self.rules if rule[0] in ("", namespace) and rule[3] in ("", name) and
                 rule[1:3] == (group, resource) and rule[4] in verbs}
        self.used |= found
        return {rule[4] for rule in found} == verbs


class ApiServer:
    """.kubeconfig: a path. The attributes below may be set at any time; they count for the next request."""

    def __init__(self, port=0, authority=None, objects=None, as_files=False):
        self.objects = objects if objects is not None else {kind: {} for kind in KINDS}
        self.version, self.forgotten = 100, 0
        self.absent = set()  # paths or kinds that it answers with 404
        # kind, "PATCH", "apply" or "definition" -> (status, body) or (status, body, headers) of its responses
        self.refused = {}
        self.lists_as_events = True
        self.page = 2  # objects of a page of a list, whatever the client asks for
        self.requests = []  # (method, path with query)
        self.times = []  # of these requests, seconds of a monotonic clock
        self.lease = None
        self.channel = "standard"
        self.bundle_version = "v1.6.3"  # annotation of the definition; None: the server has none
        self.applied = {}  # (kind, key) -> what was last applied
        self.patches = []  # (kind, name, status) that were taken
        self.refusals = []  # when a patch was refused for `refused`: seconds of a monotonic clock
        self.roles = None  # Roles: what the client may do; None: everything
        self.drip = 0  # bytes of a piece of what it sends, each after a pause; 0: all at once
        self.token = TOKEN
        self._history, self._open, self._lock = [], [], threading.RLock()
        self.port = port or free_port()
        self._files = {name: os.path.join(tmpdir(), f"{name}-{self.port}") for name in ("token", "ca")}
        self.authority_path = self._files["ca"]
        self._use(authority or Authority())
        self.kubeconfig = self._write_kubeconfig(as_files)
        self.start()
        context().own(Context.NETWORK, self)

    def start(self):
        self._socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._socket,), daemon=True).start()

    def _use(self, authority):
        certificate = authority.issue("127.0.0.1")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate.cert, certificate.key)
        self._tls.set_alpn_protocols(["h2"])
        with open(authority.cert, encoding="utf-8") as file:
            self._replace("ca", file.read())
        self._replace("token", self.token + "\n")

    def _replace(self, name, content):
        with open(self._files[name] + ".new", "w", encoding="utf-8") as file:
            file.write(content)
        os.rename(file.name, self._files[name])

    def _write_kubeconfig(self, as_files):
        path = os.path.join(tmpdir(), f"kubeconfig-{self.port}")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "test",
                       "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
                       "clusters": [{"name": "c", "cluster": {
                           "server": f"https://127.0.0.1:{self.port}",
                           "certificate-authority": self._files["ca"]}}],
                       "users": [{"name": "u", "user": {"tokenFile": self._files["token"]} if as_files else
                                  {"token": TOKEN}}]}, file)
        return path

    # ---- what a test does

    def put(self, *manifests):
        """Creates or changes objects; each as kubectl apply would."""
        for manifest in manifests:
            with self._lock:
                kind, key = manifest["kind"], self._key(manifest)
                old = self.objects[kind].get(key)
                new = copy.deepcopy(manifest)
                new["metadata"]["generation"] = 1 + (old["metadata"]["generation"] if old else 0)
                if old and "status" in old:
                    new["status"] = old["status"]
                self._store(kind, key, new, "MODIFIED" if old else "ADDED")

    def delete(self, kind, name, namespace="default"):
        with self._lock:
            key = (namespace if kind not in ("GatewayClass", "Namespace") else "", name)
            gone = self.objects[kind].pop(key)
            self.version += 1
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._tell(kind, "DELETED", gone)

    def set_status(self, kind, name, status, namespace="default"):
        """As another controller would write it."""
        with self._lock:
            key = (namespace if kind not in ("GatewayClass", "Namespace") else "", name)
            new = copy.deepcopy(self.objects[kind][key])
            new["status"] = status
            self._store(kind, key, new, "MODIFIED")

    def status(self, kind, name, namespace="default"):
        with self._lock:
            key = (namespace if kind not in ("GatewayClass", "Namespace") else "", name)
            return copy.deepcopy(self.objects[kind][key].get("status", {}))

    def forget(self):
        """As after a compaction: watches end with 410 if they ask for an older version."""
        with self._lock:
            self._history, self.forgotten = [], self.version

    def cut(self):
        """Closes all connections."""
        with self._lock:
            for connection in self._open:
                connection.cut()

    def freeze(self):
        """Reads and sends nothing more on the connections that are open; new ones work."""
        with self._lock:
            for connection in self._open:
                connection.frozen = True

    def rotate(self, name):
        """Another authority and another token, in the files of the kubeconfig as well."""
        self.token = f"{TOKEN}-{name}"
        self._use(Authority(name))
        self.cut()

    def send_line(self, kind, line):
        """Sends bytes on the watches of a kind as they are."""
        with self._lock:
            for connection in self._open:
                connection.send_line(kind, line)

    def stop(self):
        """Closes the port and all connections. start() opens it again, with the same objects."""
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        self.cut()

    def cleanup(self):
        if self._socket.fileno() >= 0:
            self.stop()

    def open_connections(self):
        with self._lock:
            return len(self._open)

    # ---- objects

    @staticmethod
    def _key(manifest):
        namespaced = manifest["kind"] not in ("GatewayClass", "Namespace")
        metadata = manifest["metadata"]
        return (metadata.setdefault("namespace", "default") if namespaced else "", metadata["name"])

    def _store(self, kind, key, new, event):
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        new["metadata"].setdefault("uid", f"uid-{kind}-{key[0]}-{key[1]}")
        new["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.objects[kind][key] = new
        self._tell(kind, event, new)

    def _tell(self, kind, event, thing):
        self._history.append((self.version, kind, event, copy.deepcopy(thing)))
        for connection in self._open:
            connection.tell(kind, event, thing)

    # ---- requests

    def _accept(self, listener):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        try:
            connection = Connection(self, self._tls.wrap_socket(raw, server_side=True))
        except (OSError, ssl.SSLError):
            raw.close()
            return
        with self._lock:
            self._open.append(connection)
        try:
            connection.run()
        finally:
            with self._lock:
                self._open.remove(connection)
            connection.raw.close()

    def answer(self, connection, stream, method, target, headers, body):
        """Called with the lock held."""
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        self.requests.append((method, target))
        self.times.append(time.monotonic())
        if headers.get("authorization") != f"Bearer {self.token}":
            return connection.send(stream, 401, failure(401, "Unauthorized", "Unauthorized"))
        if self.roles and not self.roles.allow(method, path, query):
            return connection.send(stream, 403, failure(403, "Forbidden", f"{method} {path} is forbidden"))
        if LEASES.match(path):
            return connection.send(stream, *self._lease(method, path, json.loads(body) if body else None))
        if path == DEFINITION and "definition" in self.refused:
            return connection.send(stream, *self.refused["definition"])
        if path == DEFINITION and self.bundle_version:
            if "as=PartialObjectMetadata;" not in headers["accept"]:  # the rest is large
                return connection.send(stream, 406, failure(406, "NotAcceptable"))
            return connection.send(stream, 200, {
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"name": path.rsplit("/", 1)[1], "annotations": {
                    "gateway.networking.k8s.io/channel": self.channel,
                    "gateway.networking.k8s.io/bundle-version": self.bundle_version}}})
        if headers.get("content-type") == "application/apply-patch+yaml":
            return connection.send(stream, *self._apply(path, query, json.loads(body)))
        if method == "DELETE":
            return connection.send(stream, *self._delete(path, json.loads(body)))
        if method == "PATCH" and method in self.refused:
            self.refusals.append(time.monotonic())
            return connection.send(stream, *self.refused[method])
        if method == "PATCH":
            return connection.send(stream, *self._patch(path, headers, json.loads(body)))
        kind = next((name for name, place in KINDS.items() if place == path), None)
        if kind in self.refused:
            return connection.send(stream, *self.refused[kind])
        if not kind or kind in self.absent or path in self.absent:
            return connection.send(stream, 404, "404 page not found\n")
        if "watch" in query:
            return self._watch(connection, stream, kind, query)
        return self._list(connection, stream, kind, query)

    def _lease(self, method, path, new):
        old = self.lease
        if method == "GET":
            return (200, old) if old else (404, failure(404, "NotFound", "no lease"))
        if path.endswith("/leases") != (method == "POST"):
            return 405, failure(405, "MethodNotAllowed")
        if old and new["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            return 409, failure(409, "Conflict", "the object has been modified")
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self.lease = new
        return 200 if old else 201, new

    def _patch(self, path, headers, change):
        """A merge patch (RFC 7386) of the status: lists are replaced as a whole."""
        for kind, place in KINDS.items():
            collection, plural = place.rsplit("/", 1)
            rest = path[len(collection) + 1:].split("/") if path.startswith(collection + "/") else []
            namespace, rest = (rest[1], rest[2:]) if rest[:1] == ["namespaces"] else ("", rest)
            if len(rest) != 3 or rest[0] != plural or rest[2] != "status":
                continue
            old = self.objects[kind].get((namespace, rest[1]))
            if not old:
                return 404, failure(404, "NotFound", "no such object")
            if headers.get("content-type") != "application/merge-patch+json":
                return 415, failure(415, "UnsupportedMediaType")
            if change["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                return 409, failure(409, "Conflict", "the object has been modified")
            new = copy.deepcopy(old)
            new.setdefault("status", {}).update(change["status"])
            self.patches.append((kind, rest[1], change["status"]))
            self._store(kind, (namespace, rest[1]), new, "MODIFIED")
            return 200, new
        return 404, "404 page not found\n"

    @staticmethod
    def _place(path):
        """Kind and key of a namespaced object; None: the path is not of one."""
        for kind, place in KINDS.items():
            collection, plural = place.rsplit("/", 1)
            rest = path[len(collection) + 1:].split("/") if path.startswith(collection + "/") else []
            if len(rest) == 4 and rest[0] == "namespaces" and rest[2] == plural:
                return kind, (rest[1], rest[3])
        return None

    def _apply(self, path, query, manifest):
        """Server-side apply: creates or changes; labels and annotations that it had set before go."""
        kind, key = self._place(path)
        if "apply" in self.refused:
            self.refusals.append(time.monotonic())
            return self.refused["apply"]
        if "fieldManager" not in query or manifest["kind"] != kind or key != self._key(manifest):
            return 400, failure(400, "BadRequest", "no field manager, or of another object")
        if any(not isinstance(value, str) for part in ("labels", "annotations")
               for value in manifest["metadata"].get(part, {}).values()):
            return 422, failure(422, "Invalid", "labels and annotations are strings")
        old = self.objects[kind].get(key)
        before = self.applied.get((kind, key))
        if old and not before:
            return 409, failure(409, "Conflict", "conflicts with another manager")
        new = copy.deepcopy(old) if old else {}
        for name, value in manifest.items():
            new[name] = {**new.get(name, {}), **value} if isinstance(value, dict) else value
        for part in ("labels", "annotations"):
            kept = {name: value for name, value in (old or {}).get("metadata", {}).get(part, {}).items()
                    if name not in before["metadata"].get(part, {})} if before else {}
            new["metadata"][part] = {**kept, **manifest["metadata"].get(part, {})}
        self.applied[kind, key] = manifest
        self._store(kind, key, copy.deepcopy(new), "MODIFIED" if old else "ADDED")
        return 200, new

    def _delete(self, path, options):
        kind, key = self._place(path)
        old = self.objects[kind].get(key)
        if not old:
            return 404, failure(404, "NotFound", "no such object")
        if options["preconditions"]["uid"] != old["metadata"]["uid"]:
            return 409, failure(409, "Conflict", "another uid")
        self.delete(kind, key[1], key[0])
        return 200, old

    def _list(self, connection, stream, kind, query):
        keys = sorted(self.objects[kind])
        start = int(query.get("continue", 0))
        items = [copy.deepcopy(self.objects[kind][key]) for key in keys[start:start + self.page]]
        for item in items:
            if "/api/v1/" in KINDS[kind]:
                item.pop("kind"), item.pop("apiVersion")  # of built-in kinds only the list has them
        more = {"continue": str(start + self.page)} if start + self.page < len(keys) else {}
        version = "/".join(KINDS[kind].split("/")[2:-1])  # "v1" or "GROUP/v1"
        return connection.send(stream, 200, {"kind": kind + "List", "apiVersion": version, "items": items,
                                             "metadata": {"resourceVersion": str(self.version), **more}})

    def _watch(self, connection, stream, kind, query):
        if "sendInitialEvents" in query:
            if not self.lists_as_events:
                return connection.send(stream, 422, failure(422, "Invalid", "sendInitialEvents: Forbidden"))
            connection.begin(stream, kind)
            for key in sorted(self.objects[kind]):
                connection.event(stream, "ADDED", self.objects[kind][key])
            return connection.event(stream, "BOOKMARK", {"kind": kind, "metadata": {
                "resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}})
        connection.begin(stream, kind)
        if int(query["resourceVersion"]) < self.forgotten:
            connection.event(stream, "ERROR", failure(410, "Expired", "too old resource version"))
            return connection.end(stream)
        for version, of, event, thing in self._history:
            if of == kind and version > int(query["resourceVersion"]):
                connection.event(stream, event, thing)
        return None


class Connection:
    """One client. The methods are called with the server's lock held."""

    def __init__(self, server, raw):
        self.server, self.raw = server, raw
        self.watches = {}  # stream -> kind
        self.frozen = False
        self._requests, self._waiting = {}, {}
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def run(self):
        with self.server._lock:
            self._h2.initiate_connection()
            self._flush()
        while True:
            try:
                data = self.raw.recv(65536)
            except (OSError, ValueError):
                return
            if not data:
                return
            with self.server._lock:
                if self.frozen:
                    continue
                try:
                    for event in self._h2.receive_data(data):
                        self._handle(event)
                    self._flush()
                except (OSError, h2.exceptions.ProtocolError):
                    return

    def _handle(self, event):
        number = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            headers = {name.decode() if isinstance(name, bytes) else name:
                       value.decode() if isinstance(value, bytes) else value for name, value in event.headers}
            self._requests[number] = (headers, bytearray())
        elif isinstance(event, h2.events.DataReceived):
            self._requests[number][1].extend(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.StreamEnded):
            headers, body = self._requests.pop(number)
            self.server.answer(self, number, headers[":method"], headers[":path"], headers, bytes(body))
        elif isinstance(event, h2.events.StreamReset):
            self.watches.pop(number, None)
            self._waiting.pop(number, None)
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in list(self._waiting):
                self._push(stream)

    def _flush(self):
        data = self._h2.data_to_send()
        while data and not self.frozen:
            piece = data[:self.server.drip or len(data)]
            self.raw.sendall(piece)
            data = data[len(piece):]
            if self.server.drip:
                time.sleep(0.001)

    def _push(self, stream):
        """Sends what flow control allows; the rest waits for a WINDOW_UPDATE."""
        data, is_end = self._waiting.pop(stream)
        while data:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._waiting[stream] = (data, is_end)
                return
            self._h2.send_data(stream, data[:room])
            data = data[room:]
        if is_end:
            self._h2.end_stream(stream)
        else:
            self._waiting[stream] = (b"", False)

    def _add(self, stream, data, is_end=False):
        before, _ = self._waiting.get(stream, (b"", False))
        self._waiting[stream] = (before + data, is_end)
        self._push(stream)

    def send(self, stream, status, body, headers=()):
        is_text = isinstance(body, str)
        self._h2.send_headers(stream, [(":status", str(status)), *headers,
                                       ("content-type", "text/plain" if is_text else "application/json")])
        self._add(stream, body.encode() if is_text else json.dumps(body).encode(), True)

    def begin(self, stream, kind):
        self._h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        self.watches[stream] = kind
        self._waiting[stream] = (b"", False)

    def event(self, stream, name, thing):
        self._add(stream, json.dumps({"type": name, "object": thing}).encode() + b"\n")

    def end(self, stream):
        self.watches.pop(stream)
        self._add(stream, b"", True)

    def tell(self, kind, name, thing):
        try:
            for stream in [number for number, of in self.watches.items() if of == kind]:
                self.event(stream, name, thing)
            self._flush()
        except (OSError, h2.exceptions.ProtocolError):
            pass

    def send_line(self, kind, line):
        for stream in [number for number, of in self.watches.items() if of == kind]:
            self._add(stream, line)
        self._flush()

    def cut(self):
        """Wakes the thread in run(), which then closes the socket. If another thread closed it, a new
        connection could get its descriptor, and the thread in run() would take the first bytes of that."""
        try:
            self.raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
