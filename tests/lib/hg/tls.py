# SPDX-License-Identifier: Apache-2.0
"""Both ends of TLS for tests: a client like Raw, and a backend that records the requested server names."""
import select
import select
import socket
import ssl
import threading

from hg import machine
from hg.framework import Failure
from hg.origin import Backend
from hg.raw import Raw

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def tell_cuts(context):
    """Makes Python report an end without close_notify, which it otherwise treats like one with it."""
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def client_context(authority=None, identity=None, alpn=(), version=None, ciphers=None):
    """authority: the trusted CA; without one every certificate is accepted. identity: the certificate to
    present."""
    made = tell_cuts(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if authority:
        made.load_verify_locations(authority.cert)
    else:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if identity:
        made.load_cert_chain(identity.cert, identity.key)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if version:
        made.minimum_version = made.maximum_version = VERSIONS[version]
    if ciphers:
        made.set_ciphers(ciphers)
    return made


class Tls(Raw):
    """A Raw inside TLS: Tls(target, authority, name="a.example"); .socket is Python's SSLSocket.

    context   replaces the result of client_context() for the other keywords
    session   of an earlier connection with the same context, to resume
    """

    def __init__(self, target, authority=None, name=None, context=None, session=None, timeout=10.0,
                 rcvbuf=None, netns=None, source=None, **options):
        super().__init__(target, timeout, rcvbuf, source, netns)
        self.context = context or client_context(authority, **options)
        self.is_cut = False  # the connection ended without close_notify
        self.socket.settimeout(self.timeout)
        if authority and not name:
            self.context.check_hostname = False
        self.socket = self.context.wrap_socket(self.socket, server_hostname=name, session=session,
                                               suppress_ragged_eofs=False)
        if name:
            self.host = name

    def _receive(self, timeout=None, most=1 << 18):
        if self._ended:
            return False
        timeout = self.timeout if timeout is None else timeout
        if not self.socket.pending() and not machine.readable(self.socket, timeout):
            raise Failure(f"silence for {timeout:.2f} s, buffered: {self.shown()}")
        try:
            self.socket.settimeout(self.timeout)
            data = self.socket.recv(most)
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLEOFError) and error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            self.is_cut = True
            data = b""
        except ConnectionResetError:
            self._ended = True
            raise Failure(f"RST, buffered: {self.shown()}") from None
        if not data:
            self._ended = True
            return False
        self._buffer += data
        return True

    def fin(self):
        """Sends close_notify and FIN; later bytes are not read any more."""
        self.socket.settimeout(self.timeout)
        self.socket = self.socket.unwrap()
        self.socket.shutdown(socket.SHUT_WR)
        return self


def refused(target, *arguments, **keywords):
    """Returns the error of a connection that must fail, at its handshake or (TLS 1.3) at its first read."""
    try:
        client = Tls(target, *arguments, **keywords)
        client.socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        data = client.socket.recv(1000)
    except (ssl.SSLError, ConnectionError) as error:
        return error
    raise Failure(f"TLS was accepted: {data!r}")


class TlsBackend(Backend):
    """A backend that speaks TLS: accept() returns the Tls of the next connection, after its handshake.

    authority   CA of clients: they must present a certificate issued by it
    """

    def __init__(self, identity, authority=None, alpn=(), version=None, **options):
        super().__init__(**options)
        self.context = tell_cuts(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.context.load_cert_chain(identity.cert, identity.key)
        self.names = []  # requested server names
        self.context.sni_callback = lambda _, name, __: self.names.append(name)
        if authority:
            self.context.load_verify_locations(authority.cert)
            self.context.verify_mode = ssl.CERT_REQUIRED
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        if version:
            self.context.minimum_version = self.context.maximum_version = VERSIONS[version]

    def accept(self, timeout=5.0):
        plain = super().accept(timeout)
        plain.socket.settimeout(plain.timeout)
        plain.socket = self.context.wrap_socket(plain.socket, server_side=True, suppress_ragged_eofs=False)
        plain.__class__ = Tls
        plain.is_cut = False
        return plain


class Shared:
    """An SSLSocket for two threads: an OpenSSL object allows one thread at a time, so no call blocks inside
    it."""

    def __init__(self, tls):
        self.tls, self.lock = tls, threading.Lock()
        tls.setblocking(False)

    def _call(self, function, *arguments):
        while True:
            try:
                with self.lock:
                    return function(*arguments)
            except ssl.SSLWantReadError:
                select.select([self.tls], [], [], 1)
            except ssl.SSLWantWriteError:
                select.select([], [self.tls], [], 1)

    def recv(self, most):
        return self._call(self.tls.recv, most)

    def sendall(self, data):
        view = memoryview(data)
        while view:
            view = view[self._call(self.tls.send, view):]

    def shutdown(self, how):
        """Sends close_notify; the peer's may arrive later."""
        try:
            with self.lock:
                self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        with self.lock:
            socket.socket.shutdown(self.tls, how)


class TlsFront(TlsBackend):
    """TLS before a plain backend: TlsFront(identity, origin). .handshakes: the handshake of each connection.
    """

    def __init__(self, identity, behind, **options):
        super().__init__(identity, **options)
        self.behind, self.handshakes, self.failures = behind, [], []
        self._is_open = True
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while self._is_open:
            try:
                client = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        try:
            client = self.context.wrap_socket(client, server_side=True)
        except OSError as error:
            self.failures.append(error)
            client.close()
            return
        self.handshakes.append({"alpn": client.selected_alpn_protocol(), "resumed": client.session_reused,
                                "version": client.version(), "certificate": client.getpeercert()})
        upstream = socket.create_connection(("127.0.0.1", self.behind.port))
        shared = Shared(client)
        threading.Thread(target=self._copy, args=(upstream, shared), daemon=True).start()
        self._copy(shared, upstream)

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass

    def cleanup(self):
        self._is_open = False
        super().cleanup()


__all__ = ["Tls", "TlsBackend", "TlsFront", "client_context", "refused"]
