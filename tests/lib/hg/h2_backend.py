# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 backends: connections that the test controls frame by frame, and a small server in threads."""
import json
import select
import socket
import threading
import time
import zlib

from hg import h2_frames as f
from hg.framework import Failure, check, context
from hg.h2_connection import Connection
from hg.origin import Backend
from hg.pattern import PatternCheck, pattern


class H2Upstream(Connection):
    """The server's end of a connection that the gateway opened. settings=False: sends no SETTINGS at first.
    """

    def __init__(self, raw, values=None, settings=True, **options):
        super().__init__(raw, False, values, **options)
        while len(self._buffer) < len(f.PREFACE) and not self.end:
            self.raw.socket.settimeout(self.raw.timeout)
            self._receive()
        got = bytes(self._buffer[:len(f.PREFACE)])
        check(got == f.PREFACE, f"the gateway begins with {got!r}, want the preface of HTTP/2")
        del self._buffer[:len(f.PREFACE)]
        if settings:
            self.send(f.settings(self.ours))

    def expect_head(self, timeout=None):
        """Waits for the next complete request head; returns its stream."""
        self.wait(lambda: self.arrived, timeout, "a request")
        return self.arrived.popleft()

    def expect_request(self, timeout=None):
        """Waits for the next complete request: (stream, message)."""
        number = self.expect_head(timeout)
        stream = self.streams[number]
        self.wait(lambda: stream.ended or stream.rst is not None, timeout, f"the end of request {number}")
        check(stream.ended, lambda: f"request {number} was reset: {f.code_name(stream.rst)}")
        return number, stream.message

    def expect_no_request(self, seconds):
        """Asserts that no request arrives; other frames may."""
        deadline = time.monotonic() + seconds
        while not self.arrived and not self.end and time.monotonic() < deadline:
            if select.select([self.raw.socket], [], [], max(0, deadline - time.monotonic()))[0]:
                self.poll()
        check(not self.arrived, lambda: f"a request came, want none; {self.shown()}")

    def head(self, number, status=200, extra=(), end=False):
        """Sends a response head, final or interim."""
        pairs = extra.items() if hasattr(extra, "items") else extra
        return self.send_headers(number, [(":status", str(status)), *((k.lower(), v) for k, v in pairs)], end)

    def respond(self, number, status=200, extra=(), body=b"", trailers=None):
        """Sends a complete response."""
        self.head(number, status, extra, not body and not trailers)
        if body:
            self.send_data(number, body, not trailers)
        if trailers:
            self.send_headers(number, trailers, True)
        return self


class H2Backend(Backend):
    """accept() returns the H2Upstream of the next connection; options and values as for H2Upstream."""

    def __init__(self, values=None, **options):
        super().__init__(options.pop("host", "127.0.0.1"), options.pop("port", None))
        self.values, self.options = values, options

    def accept(self, timeout=5.0, **options):
        return H2Upstream(super().accept(timeout), options.pop("values", self.values),
                          **{**self.options, **options})


class H2Service(H2Backend):
    """A server in threads, for tests of the client's side.

    handler(upstream, number, message) answers a complete request. The default handler serves /bytes/N (the
    pattern, all streams in turn), and answers other requests with a JSON description of the request,
    including length and CRC of its body and whether it is the pattern.

    connections: their number; requests: on each; most_streams: the most requests waiting on one connection.
    """

    def __init__(self, handler=None, values=None, **options):
        super().__init__(values, **options)
        self.handler = handler or answer
        self.requests, self.most_streams = [], 0
        self._upstreams = []
        self._failure = None
        self._is_closing = False
        threading.Thread(target=self._accept_all, daemon=True).start()

    @property
    def connections(self):
        return len(self.requests)

    def _accept_all(self):
        while not self._is_closing:
            try:
                upstream = self.accept(timeout=3600)
            except (Failure, OSError, ValueError) as error:
                self._complain(error)
                return
            context().disown(upstream.raw)  # its thread waits for it: only a shutdown ends the thread
            self._upstreams.append(upstream)
            upstream.index = len(self.requests)
            self.requests.append(0)
            threading.Thread(target=self._serve, args=(upstream,), daemon=True).start()

    def _complain(self, error):
        if not self._is_closing and self._failure is None:
            self._failure = error

    def _serve(self, upstream):
        waiting, upstream.checks, upstream.sending = {}, {}, {}
        try:
            while not upstream.end:
                self._take_new(upstream.poll(), waiting)
                done = [n for n, stream in waiting.items() if stream.ended or stream.rst is not None]
                for number in done:
                    self._answer(upstream, number, waiting.pop(number))
                if not done and not self._send_more(upstream):
                    upstream.next_frame()
        except (Failure, OSError, ValueError) as error:
            if not upstream.end:
                self._complain(error)
        finally:
            upstream.raw.socket.close()

    @staticmethod
    def _send_more(upstream):
        """Sends as much of each pending body as its windows allow; True if anything was sent."""
        sent = 0
        for number, (at, size) in list(upstream.sending.items()):
            if upstream.streams[number].rst is not None:
                del upstream.sending[number]
                continue
            piece = memoryview(pattern(min(1 << 16, size - at), at))
            count = upstream.send_some_data(number, piece, at + len(piece) == size)
            sent += count
            upstream.sending[number] = (at + count, size)
            if at + count == size:
                del upstream.sending[number]
        return sent

    def _take_new(self, upstream, waiting):
        while upstream.arrived:
            number = upstream.arrived.popleft()
            waiting[number] = stream = upstream.streams[number]
            upstream.checks[number] = body = BodyCheck()
            body.feed(stream.body)
            stream.sink = body.feed
            self.requests[upstream.index] += 1
        self.most_streams = max(self.most_streams, len(waiting))

    def _answer(self, upstream, number, stream):
        if stream.rst is not None:
            return
        try:
            self.handler(upstream, number, stream.message)
        except Failure:
            if stream.rst is None:
                raise

    def cleanup(self):
        self._is_closing = True
        super().cleanup()
        for upstream in self._upstreams:
            try:
                upstream.raw.socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by its thread
                pass
        if self._failure and not context().failed:
            raise Failure(f"the HTTP/2 backend: {self._failure}")


class BodyCheck:
    """Computes length and CRC of a body, and compares it with the pattern, without storing it."""

    def __init__(self):
        self.length = self.crc = 0
        self.is_pattern = True
        self._pattern = PatternCheck()

    def feed(self, piece):
        self.length += len(piece)
        self.crc = zlib.crc32(piece, self.crc)
        if self.is_pattern:
            try:
                self._pattern.feed(piece)
            except Failure:
                self.is_pattern = False


def answer(upstream, number, message):
    """The default handler of H2Service."""
    if message.target.startswith("/bytes/"):
        size = int(message.target[len("/bytes/"):])
        upstream.head(number, 200, {"content-length": str(size)}, size == 0 or message.method == "HEAD")
        if size and message.method != "HEAD":
            upstream.sending[number] = (0, size)
        return
    body = upstream.checks.pop(number)
    report = {"method": message.method, "path": message.target, "authority": message.authority,
              "headers": message.headers.pairs, "trailers": message.trailers.pairs, "length": body.length,
              "crc32": f"{body.crc:08x}", "is_pattern": body.is_pattern, "connection": upstream.index + 1}
    text = json.dumps(report).encode()
    if message.method == "HEAD":
        upstream.head(number, 200, {"content-length": str(len(text))}, True)
        return
    upstream.respond(number, 200, {"content-type": "application/json"}, text)
