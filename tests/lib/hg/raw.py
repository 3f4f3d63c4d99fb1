# SPDX-License-Identifier: Apache-2.0
"""A TCP connection under full control: segments sent, bytes received, how it ends."""
import contextlib
import select
import socket
import struct
import time

from hg import http1, machine
from hg.framework import Context, Failure, context, factor, shorten

SO_LINGER_RESET = struct.pack("ii", 1, 0)


class Raw:
    """A connection to a port (127.0.0.1), a (host, port), "host:port", "unix:/path", or an accepted socket.

    timeout   maximum seconds of a single wait (more under a sanitizer)
    rcvbuf    SO_RCVBUF set before connecting: a small one makes the peer notice a slow reader early
    source    local address to bind first
    netns     hg.netns.Namespace of the socket
    """

    def __init__(self, target, timeout=10.0, rcvbuf=None, source=None, netns=None):
        self.timeout = timeout * factor()
        self._buffer = bytearray()
        self._ended = False
        self.was_reset = False  # the kernel reports it only once
        if isinstance(target, socket.socket):
            self.socket, self.host = target, "accepted"
        else:
            with netns.enter() if netns else contextlib.nullcontext():
                self.socket = self._connect(target, rcvbuf, source)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context().own(Context.CLIENT, self)

    def _connect(self, target, rcvbuf, source):
        if isinstance(target, str) and target.startswith("unix:"):
            self.host = "localhost"
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(self.timeout)
            made.connect(target[len("unix:"):])
            return made
        if isinstance(target, int):
            target = ("127.0.0.1", target)
        if isinstance(target, str):
            host, _, port = target.rpartition(":")
            target = (host.strip("[]"), int(port))
        self.host = f"[{target[0]}]:{target[1]}" if ":" in target[0] else f"{target[0]}:{target[1]}"
        made = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(self.timeout)
        if rcvbuf:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            made.bind((source, 0))
        made.connect(target)
        return made

    # ---- sending -------------------------------------------------------------------------------------

    def send(self, *pieces, pause=0.0):
        """Sends each piece as a segment of its own, with pause seconds between them."""
        for number, piece in enumerate(pieces):
            if number and pause:
                time.sleep(pause)
            self.socket.settimeout(self.timeout)
            try:
                self.socket.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)
            except socket.timeout:
                raise Failure(f"the peer took none of {len(piece)} bytes for {self.timeout:.1f} s") from None
            except ConnectionResetError:
                self.was_reset = True
                raise
        return self

    def send_until_blocked(self, data, quiet_s=0.3, limit=1 << 32):
        """Sends data repeatedly until nothing is accepted for quiet_s seconds; returns the bytes accepted."""
        self.socket.setblocking(False)
        view, total, offset = memoryview(data), 0, 0
        while total < limit and select.select([], [self.socket], [], quiet_s)[1]:
            taken = self.socket.send(view[offset:])
            total += taken
            offset = (offset + taken) % len(view)
        return total

    def send_until_answered(self, data, total=float("inf")):
        """Sends data repeatedly until something is received or total bytes were sent."""
        self.socket.setblocking(False)
        start, sent, view = time.monotonic(), 0, memoryview(data)
        while sent < total and not select.select([self.socket], [], [], 0)[0]:
            took = time.monotonic() - start
            if took > self.timeout + machine.withheld(took):
                raise Failure(f"no answer to an upload for {took:.1f} s")
            if select.select([self.socket], [self.socket], [], 0.1)[1]:
                offset = sent % len(view)
                sent += self.socket.send(view[offset:min(len(view), offset + total - sent)])
        return self

    def request(self, method, target, headers=(), body=None, chunked=False, host=None, version="1.1"):
        """Sends a request; read the answer with response(). body: bytes, or with chunked a list of chunks."""
        return self.send(
            http1.build_request(method, target, host or self.host, headers, body, chunked, version))

    def fin(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def rst(self):
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_RESET)
        self.close()

    def close(self):
        context().disown(self)
        self.socket.close()

    def cleanup(self):
        self.socket.close()

    # ---- receiving -----------------------------------------------------------------------------------

    def _receive(self, timeout=None, most=1 << 18):
        """Reads into the buffer; False at FIN. Failure on RST and on timeout."""
        if self._ended:
            return False
        timeout = self.timeout if timeout is None else timeout
        if not machine.readable(self.socket, timeout):
            raise Failure(f"silence for {timeout:.2f} s, buffered: {self.shown()}")
        try:
            self.socket.settimeout(self.timeout)
            data = self.socket.recv(most)
        except ConnectionResetError:
            self._ended = self.was_reset = True
            raise Failure(f"RST, buffered: {self.shown()}") from None
        if not data:
            self._ended = True
            return False
        self._buffer += data
        return True

    @property
    def buffered(self):
        return bytes(self._buffer)

    def shown(self):
        return shorten(bytes(self._buffer), 300)

    def _take(self, count):
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def read(self, count):
        """Reads exactly count bytes."""
        while len(self._buffer) < count:
            if not self._receive():
                raise Failure(f"FIN after {len(self._buffer)} of {count} bytes: {self.shown()}")
        return self._take(count)

    def read_some(self, most=1 << 18):
        """Reads at least one byte, or b"" at FIN."""
        if not self._buffer and not self._receive(most=min(most, 1 << 20)):
            return b""
        return self._take(most)

    def read_line(self, limit=1 << 16):
        return self.read_until(b"\n", limit)

    def read_until(self, end, limit=1 << 20):
        """Reads up to and including end."""
        start = 0
        while True:
            found = self._buffer.find(end, start)
            if found >= 0:
                return self._take(found + len(end))
            start = max(0, len(self._buffer) - len(end) + 1)
            if len(self._buffer) > limit:
                raise Failure(f"no {end!r} in {len(self._buffer)} bytes: {self.shown()}")
            if not self._receive():
                raise Failure(f"FIN instead of {end!r}: {self.shown()}")

    def read_eof(self):
        """Reads everything up to FIN; Failure on RST."""
        while self._receive():
            pass
        return self._take(len(self._buffer))

    def pending(self):
        """The bytes that have arrived, without waiting."""
        while select.select([self.socket], [], [], 0)[0] and self._receive():
            pass
        return self._take(len(self._buffer))

    # ---- messages ------------------------------------------------------------------------------------

    def response(self, method="GET"):
        """Reads the next complete response strictly."""
        return http1.read_body(self, http1.read_response_head(self, method))

    def response_head(self, method="GET"):
        """Reads only the response head; body() reads the body."""
        return http1.read_response_head(self, method)

    def body(self, message):
        """Yields the body of a message whose head was read, as it arrives."""
        return http1.body_pieces(self, message)

    def read_request(self):
        """As a backend: reads the next complete request."""
        return http1.read_body(self, http1.read_request_head(self))

    def request_head(self):
        return http1.read_request_head(self)

    def respond(self, status=200, headers=(), body=b"", reason="OK"):
        """As a backend: sends a response with Content-Length."""
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in http1.pairs_of(headers)]
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def get(self, target, headers=(), host=None):
        return self.request("GET", target, headers, host=host).response()

    # ---- how it ends ---------------------------------------------------------------------------------

    def expect_fin(self, timeout=None):
        """Expects FIN, and no bytes before it."""
        if self._receive(self.timeout if timeout is None else timeout * factor()) or self._buffer:
            raise Failure(f"want FIN, got {self.shown()}")

    def _next(self, timeout):
        """Bytes, b"" at FIN, None on timeout."""
        if not machine.readable(self.socket, self.timeout if timeout is None else timeout * factor()):
            return None
        self.socket.settimeout(self.timeout)
        return self.socket.recv(1 << 16)

    def expect_rst(self, timeout=None):
        """Expects RST; returns the bytes before it."""
        while not self.was_reset:
            try:
                data = self._next(timeout)
            except ConnectionResetError:
                self._ended = self.was_reset = True
                break
            if data is None:
                raise Failure(f"want RST, got silence after {self.shown()}")
            if not data:
                raise Failure(f"want RST, got FIN after {self.shown()}")
            self._buffer += data
        return self._take(len(self._buffer))

    def expect_end(self, timeout=None):
        """Expects FIN or RST; returns "fin" or "rst" and the bytes before it."""
        while True:
            try:
                data = self._next(timeout)
            except (ConnectionResetError, BrokenPipeError):
                return "rst", self._take(len(self._buffer))
            if data is None:
                raise Failure(f"want the end of the connection, got silence after {self.shown()}")
            if not data:
                return "fin", self._take(len(self._buffer))
            self._buffer += data

    def expect_silence(self, seconds):
        """Expects neither bytes nor an end for this time."""
        if self._buffer or select.select([self.socket], [], [], seconds)[0]:
            more = self._receive(1.0)
            got = self.shown() if more or self._buffer else "FIN"
            raise Failure(f"want silence for {seconds} s, got {got}")

    # ---- the socket ----------------------------------------------------------------------------------

    @property
    def local(self):
        return "%s:%d" % self.socket.getsockname()[:2]

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    @property
    def peer(self):
        return "%s:%d" % self.socket.getpeername()[:2]


def fetch(target, path, method="GET", headers=(), body=None, host=None, version="1.1", timeout=10.0,
          netns=None):
    """Sends one request on a new connection; returns the response, read strictly."""
    client = Raw(target, timeout=timeout, netns=netns)
    try:
        pairs = http1.pairs_of(headers)
        if version == "1.1" and "connection" not in {name.lower() for name, _ in pairs}:
            pairs.append(("Connection", "close"))
        return client.request(method, path, pairs, body, host=host, version=version).response(method)
    finally:
        client.close()
