# SPDX-License-Identifier: Apache-2.0
"""What the plays about TLS to backends have in common: backends whose bytes inside are played."""
import json
import select
import socket
import ssl
import threading

from hg import Backend, Failure, Gateway, Raw
from hg.framework import context, factor
from hg.h2_backend import H2Upstream
from hg.pki import Authority
from hg.tls import VERSIONS


def server_context(identity, alpn=(), clients=None, version=None, tickets=None):
    """clients: the authority whose certificates they must show."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(identity.cert, identity.key)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if clients:
        made.load_verify_locations(clients.cert)
        made.verify_mode = ssl.CERT_REQUIRED
    if version:
        made.minimum_version = made.maximum_version = VERSIONS[version]
    if tickets is not None:
        made.num_tickets = tickets
    return made


class Played(Backend):
    """accept() gives a Raw of the bytes inside, with .tls: what the handshake said.

    A thread carries them: FIN of the test is close_notify and FIN; raw.tls.cut() is FIN alone.
    """

    def __init__(self, made, **options):
        self.made = made
        made.sni_callback = self._on_name
        self._name = None
        super().__init__(**options)

    def _on_name(self, _socket, name, _made):
        self._name = name

    def accept_plain(self, timeout=5.0):
        return super().accept(timeout)

    def accept(self, timeout=5.0):
        below = super().accept(timeout)
        context().disown(below)
        self._name = None
        below.socket.settimeout(10 * factor())
        return Inside(self.made.wrap_socket(below.socket, server_side=True), self._name).raw


class Inside:
    """The bytes inside a connection, on one end of a pair."""

    def __init__(self, outer, name):
        self.outer, self.name = outer, name
        self.alpn, self.version = outer.selected_alpn_protocol(), outer.version()
        self.resumed = outer.session_reused
        self.client = dict(pair[0] for pair in (outer.getpeercert() or {}).get("subject", ()))
        mine, theirs = socket.socketpair()
        self.raw = Raw(theirs)
        self.raw.tls = self
        threading.Thread(target=self._carry, args=(mine,), daemon=True).start()

    def cut(self):
        """FIN without close_notify."""
        self.outer.shutdown(socket.SHUT_WR)

    def _carry(self, mine):
        try:
            self._carry_all(mine)
        except (OSError, ValueError):
            pass
        mine.close()
        try:
            self.outer.close()
        except OSError:
            pass

    def _carry_all(self, mine):
        reads = [self.outer, mine]
        while reads:
            ready = [self.outer] if self.outer in reads and self.outer.pending() else \
                select.select(reads, [], [])[0]
            if self.outer in ready and not self._take(mine):
                reads.remove(self.outer)
                mine.shutdown(socket.SHUT_WR)
            if mine in ready:
                data = mine.recv(1 << 16)
                self.outer.settimeout(10 * factor())
                if data:
                    self.outer.sendall(data)
                else:
                    reads.remove(mine)
                    self.outer = self.outer.unwrap()
                    self.outer.shutdown(socket.SHUT_WR)
                    return

    def _take(self, mine):
        self.outer.settimeout(0)
        try:
            data = self.outer.recv(1 << 16)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except ssl.SSLEOFError:
            data = b""
        mine.sendall(data)
        return bool(data)


class Service(Played):
    """A server in threads that tells about every request how it came. .seen: of each connection;
    .failures: of each handshake that failed."""

    def __init__(self, made, handler=None, **options):
        super().__init__(made, **options)
        self.handler = handler or self.tell
        self.seen, self.failures, self._raws, self._is_closing = [], [], [], False
        threading.Thread(target=self._accept_all, daemon=True).start()

    def _accept_all(self):
        while not self._is_closing:
            try:
                raw = self.accept(3600)
            except ssl.SSLError as error:
                self.failures.append(str(error))
                continue
            except (Failure, OSError, ValueError):
                if self._is_closing or self.socket.fileno() < 0:
                    return
                self.failures.append("broken")
                continue
            context().disown(raw)
            raw.timeout = 3600
            self._raws.append(raw)
            self.seen.append(raw.tls)
            threading.Thread(target=self._serve, args=(raw, len(self.seen)), daemon=True).start()

    def _serve(self, raw, number):
        try:
            if raw.tls.alpn == "h2":
                upstream = H2Upstream(raw)
                while True:
                    there, message = upstream.expect_request(3600)
                    self.handler(lambda status, body, u=upstream, t=there: u.respond(t, status, {}, body),
                                 message, raw.tls, number)
            while True:
                message = raw.read_request()
                self.handler(lambda status, body: raw.respond(status, {}, body), message, raw.tls, number)
        except (Failure, OSError, ValueError):
            raw.socket.close()

    @staticmethod
    def tell(respond, message, tls, number):
        respond(200, json.dumps({
            "path": message.target, "headers": dict(message.headers.pairs), "alpn": tls.alpn,
            "version": tls.version, "resumed": tls.resumed, "name": tls.name, "client": tls.client,
            "connection": number, "length": len(message.body)}).encode())

    def cleanup(self):
        self._is_closing = True
        super().cleanup()
        for raw in self._raws:
            try:
                raw.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


CONFIG = """
config: {backend: {connectTimeout: %s}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: %s
      backends:
      - host: %s
        policies:
          backendTLS: %s
          %s
"""


def config(tls, host="@origin@", route="{}", more="", connect="5s"):
    """tls: the flow map of backendTLS, or a dict of it."""
    if isinstance(tls, dict):
        tls = json.dumps({key: value for key, value in tls.items() if value is not None})
    return CONFIG % (connect, route, host, tls, more)


def served(authority=None, identity=None, tls=None, gateway=None, handler=None, host="@origin@", route="{}",
           more="", **options):
    """(gateway, service, authority): a backend with a good certificate, unless told otherwise."""
    authority = authority or Authority()
    service = Service(server_context(identity or good(authority), **options), handler)
    text = config({"root": authority.cert, "hostname": "backend.test", **(tls or {})}, host, route, more)
    return Gateway(text, origin=service, workers=1, **(gateway or {})), service, authority


def good(authority):
    return authority.issue("backend.test", "127.0.0.1")
