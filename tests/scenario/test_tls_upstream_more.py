# SPDX-License-Identifier: Apache-2.0
"""TLS to backends: mirrors, targets of MCP, health policies, and connections cut at every byte."""
import socket
import ssl
import threading

from hg import *
from hg.mcp import Mcp, McpServer
from hg.pki import Authority
from mcpplays import fails, play
from tlsbackends import Played, Service, config, good, served, server_context

# ---- mirrors ---------------------------------------------------------------------------------------------

MIRROR = """
binds:
- port: @port@
  listeners:
  - routes:
    - policies:
        requestMirror: {backend: {backend: /mirror}, percentage: 1.0}
      backends: [{host: @origin@}]
backends:
- name: mirror
  host: @mirror@
  policies: {backendTLS: {root: %s, hostname: %s}}
"""


@test("the copy of a request goes over TLS where its backend asks for it, and nowhere when that fails")
def mirrored():
    authority = Authority()
    origin = Origin()
    copies = []

    def handler(respond, message, tls, number):
        copies.append(message.target)
        Service.tell(respond, message, tls, number)

    mirror = Service(server_context(good(authority), alpn=["h2", "http/1.1"]), handler)
    gateway = Gateway(MIRROR % (authority.cert, "backend.test"), origin=origin, mirror=mirror, workers=1)
    for _ in range(3):
        eq(gateway.fetch("/get").status, 200, "status")
    wait_until(lambda: len(copies) == 3, 5, "the copies")
    eq({tls.alpn for tls in mirror.seen}, {"http/1.1"}, "spoken")
    eq(gateway.metrics()("headgate_mirror_failures_total"), 0, "failures")
    gateway = Gateway(MIRROR % (authority.cert, "other.test"), origin=origin, mirror=mirror, workers=1)
    count = len(mirror.seen)
    eq(gateway.fetch("/get").status, 200, "status")
    wait_until(lambda: gateway.metrics()("headgate_mirror_failures_total") == 1, 5, "the failure")
    eq((len(mirror.seen), gateway.metrics()("headgate_upstream_tls_verify_failures_total")), (count, 1),
       "connections, and failures counted")


# ---- targets of MCP --------------------------------------------------------------------------------------


class Front(Played):
    """TLS in front of a server."""

    def __init__(self, identity, behind):
        super().__init__(server_context(identity))
        self.behind, self.handshakes, self.failures = behind, [], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                inside = self.accept(3600)
            except ssl.SSLError as error:
                self.failures.append(error)
                continue
            except (Failure, OSError, ValueError):
                return
            self.handshakes.append(inside.tls)
            far = socket.create_connection(("127.0.0.1", self.behind.port))
            for pair in ((inside.socket, far), (far, inside.socket)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        try:
            source.settimeout(None)
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def secured(authority, name="localhost", kind="mcp", **options):
    """(TLS in front of a server of tools, its target)"""
    server = McpServer(**options)
    front = Front(authority.issue(name), server)
    path = "/sse" if kind == "sse" else "/mcp"
    return front, {"name": "one", kind: {"host": f"https://localhost:{front.port}{path}"}}


@test("mcp targets: https:// is TLS, with the authorities of the system or those that backendTLS names")
def mcp_targets():
    authority = Authority()
    for kind, options, settings in (
            ("mcp", {}, {"policies": {"backendTLS": {"root": authority.cert}}}),
            ("sse", {"sse": True, "versions": "2024-11-05"}, {"env": {"SSL_CERT_FILE": authority.cert}})):
        front, target = secured(authority, kind=kind, **options)
        gateway, _ = play(target, **settings)
        eq(Mcp(gateway).text("echo", {"a": 1}), '{"a": 1}', f"echo over {kind} with {settings}")
        check(front.handshakes and not front.failures, f"{front.failures}")


@test("mcp targets: one whose certificate is not believed gets nothing")
def mcp_refused():
    authority, other = Authority(), Authority("other")
    front, target = secured(other)
    gateway, _ = play(target, policies={"backendTLS": {"root": authority.cert}})
    fails(None, lambda: Mcp(gateway).text("echo", {}))
    eq(front.handshakes, [], "handshakes")
    wait_until(lambda: "CN=other" in gateway.stderr, 5, "the line that says why")


ROUTE = """
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {backendTLS: {insecure: true}}
      backends:
      - mcp: {targets: [{name: a, stdio: {cmd: cat}}]}
"""


@test("mcp targets: backendTLS of a route does not reach them: it is said, and answered with 500")
def mcp_route():
    gateway = Gateway(ROUTE, workers=1)
    answer = gateway.fetch("/x")
    eq((answer.status, answer.text), (500, "TLS to the backend cannot be set up"), "answer")
    line = gateway.wait_log()
    check("does not reach the targets" in line["error"], line["error"])
    eq(line["close_reason"], "backend_tls_invalid", "close_reason")
    check("does not reach the targets" in gateway.stderr, gateway.stderr)


# ---- health ----------------------------------------------------------------------------------------------


@test("a handshake that fails counts in the health of its endpoint")
def health():
    gateway, _, _ = served(tls={"hostname": "wrong.test"},
                           more="health: {eviction: {duration: 60s, consecutiveFailures: 2}}")
    for _ in range(2):
        eq(gateway.fetch("/x").status, 503, "status")
    eq(gateway.metrics()("headgate_endpoint_evictions_total"), 1, "evictions")
    eq(gateway.metrics()("headgate_endpoint_unhealthy_total"), 2, "counted against it")


# ---- cut anywhere ----------------------------------------------------------------------------------------


class Cutter(Backend):
    """Passes connections on and ends each after so many bytes of the server, with FIN or RST."""

    def __init__(self, behind):
        super().__init__()
        self.behind, self.after, self.is_reset, self.passed = behind, 0, False, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client, self.after, self.is_reset),
                             daemon=True).start()

    def _carry(self, client, left, is_reset):
        server = socket.create_connection(("127.0.0.1", self.behind.port))
        threading.Thread(target=self._up, args=(client, server), daemon=True).start()
        try:
            while left and (data := server.recv(left)):
                client.sendall(data)
                left -= len(data)
                self.passed += len(data)
        except OSError:
            pass
        if is_reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        try:
            client.shutdown(socket.SHUT_RDWR if not is_reset else socket.SHUT_RD)
        except OSError:
            pass
        client.close()
        server.close()

    @staticmethod
    def _up(client, server):
        try:
            while data := client.recv(1 << 16):
                server.sendall(data)
        except OSError:
            pass


@test("a connection cut after any number of bytes gives an error, or an answer that is whole or looks cut",
      timeout=60)
def cut_anywhere():
    authority = Authority()
    for alpn in (["h2"], ["http/1.1"]):
        service = Service(server_context(good(authority), alpn=alpn))
        cutter = Cutter(service)
        text = config({"root": authority.cert, "hostname": "backend.test"})
        gateway = Gateway(text, origin=cutter, workers=1)
        cutter.after = 1 << 20
        eq(gateway.fetch("/x").status, 200, "status without a cut")
        whole = cutter.passed
        gateway.stop()
        gateway = Gateway(text, origin=cutter, workers=1)
        seen = set()
        for after in sorted({0, 1, 4, 5, 6, 100, *range(0, whole + 1, max(1, whole // 40))}):
            for is_reset in (False, True):
                cutter.after, cutter.is_reset = after, is_reset
                try:
                    answer = gateway.fetch("/x")
                except Failure:  # its framing shows that there is more to come
                    seen.add("cut")
                    continue
                check(answer.status in (200, 503), f"{answer.status} after {after} bytes: {answer.text}")
                if answer.status == 200:
                    eq(answer.json()["path"], "/x", "a whole answer")
                seen.add(answer.status)
        check(503 in seen, f"{seen}")
        reasons = {line["close_reason"] for line in gateway.log()}
        known = {"ok", "connect_failed", "backend_tls_failed", "upstream_fin", "upstream_rst"}
        check(reasons <= known, f"{reasons}")
