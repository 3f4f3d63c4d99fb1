# SPDX-License-Identifier: Apache-2.0
"""What the plays about TLS to backends have in common: certificates, and backends that speak TLS."""
import json
import os
import select
import socket
import ssl
import subprocess
import threading

from hg import Backend, Failure, Gateway, Raw
from hg.framework import context, factor, tmpdir
from hg.h2_backend import H2Upstream

DAY = "%y%m%d000000Z"
CA_CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = optional
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = CA:FALSE
{san}
"""


def openssl(*argv):
    done = subprocess.run(["openssl", *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"openssl {' '.join(argv)}: {done.stderr}")


class Pki:
    """An authority and what it signs. name(...) gives the stem of PATH.crt and PATH.key."""

    def __init__(self, name="authority"):
        self.folder = os.path.join(tmpdir(), f"pki-{name}")
        os.mkdir(self.folder)
        for file, text in (("index", ""), ("serial", "1000")):
            with open(os.path.join(self.folder, file), "w", encoding="ascii") as out:
                out.write(text)
        self.stem = self._stem(name)
        self._self_sign(self.stem, name, "", "authority")

    @property
    def root(self):
        return f"{self.stem}.crt"

    def _stem(self, name):
        return os.path.join(self.folder, name)

    def _config(self, san):
        path = self._stem("openssl.cnf")
        with open(path, "w", encoding="ascii") as out:
            out.write(CA_CONFIG.format(folder=self.folder, san=f"subjectAltName = {san}" if san else ""))
        return path

    def _self_sign(self, stem, name, san, extensions):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config",
                self._config(san), "-extensions", extensions, "-subj", f"/CN={name}", "-days", "30",
                "-keyout", f"{stem}.key", "-out", f"{stem}.crt")

    def self_signed(self, name, san):
        self._self_sign(self._stem(name), name, san, "leaf")
        return self._stem(name)

    def issue(self, name, san="DNS:backend.test,IP:127.0.0.1", begin="20200101000000Z",
              end="20491231000000Z"):
        stem = self._stem(name)
        config = self._config(san)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config",
                config, "-subj", f"/CN={name}", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        openssl("ca", "-batch", "-config", config, "-extensions", "leaf", "-startdate", begin, "-enddate",
                end, "-cert", self.root, "-keyfile", f"{self.stem}.key", "-in", f"{stem}.csr", "-out",
                f"{stem}.crt", "-notext")
        return stem


def server_context(stem, alpn=(), client_root=None, newest=None, tickets=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(f"{stem}.crt", f"{stem}.key")
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if client_root:
        made.load_verify_locations(client_root)
        made.verify_mode = ssl.CERT_REQUIRED
    if newest:
        made.maximum_version = newest
    if tickets is not None:
        made.num_tickets = tickets
    return made


class TlsBackend(Backend):
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


class TlsService(TlsBackend):
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
        tls = json.dumps(tls)
    return CONFIG % (connect, route, host, tls, more)


def served(pki=None, stem=None, tls=None, gateway=None, handler=None, host="@origin@", route="{}", more="",
           **options):
    """(gateway, service, pki): a backend with a good certificate, unless told otherwise."""
    pki = pki or Pki()
    service = TlsService(server_context(stem or pki.issue("backend"), **options), handler)
    text = config({"root": pki.root, "hostname": "backend.test", **(tls or {})}, host, route, more)
    return Gateway(text, origin=service, workers=1, **(gateway or {})), service, pki
