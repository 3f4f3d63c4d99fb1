# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 with prior knowledge, frame by frame (h2_connection.py)."""
from hg import h2_frames as f
from hg.framework import check
from hg.h2_connection import Connection
from hg.raw import Raw


class H2Client(Connection):
    """A client: H2Client(gateway.port). start=False sends nothing, not even the preface."""

    def __init__(self, target, values=None, start=True, acks=True, answers=True, windows=True, **raw_options):
        super().__init__(target if isinstance(target, Raw) else Raw(target, **raw_options), True, values,
                         acks, answers, windows)
        self.authority = self.raw.host
        if start:
            self.start()

    def start(self):
        """Sends preface and SETTINGS, waits for the peer's SETTINGS and its acknowledgement of ours."""
        self.send(f.PREFACE, f.settings(self.ours))
        self.wait(lambda: self.settings_seen and self.settings_acked, what="SETTINGS")
        return self

    def fields(self, method="GET", path="/", extra=(), authority=None, scheme="http"):
        pairs = extra.items() if hasattr(extra, "items") else extra
        return [(":method", method), (":scheme", scheme), (":path", path),
                (":authority", authority or self.authority)] + [(k.lower(), v) for k, v in pairs]

    def request(self, path="/", method="GET", extra=(), body=None, end=True, trailers=None, authority=None):
        """Sends a request; returns its stream. body: must fit in the windows. end=False leaves the stream
        open."""
        number = self.open_stream(method)
        last = end and body is None and not trailers
        self.send_headers(number, self.fields(method, path, extra, authority), last)
        if body is not None:
            self.send_data(number, body, end and not trailers)
        if trailers:
            self.send_headers(number, trailers, True)
        return number

    def raw_request(self, fields, end=True, number=None):
        """Sends fields unchanged, as literals: also those that a correct encoder would not write."""
        method = dict((k, v) for k, v in fields if isinstance(k, str)).get(":method")
        number = self.open_stream(method, number)
        self.send(f.headers(number, f.block(fields), end))
        return number

    def response_head(self, number, timeout=None):
        stream = self.streams[number]
        self.wait(lambda: stream.message is not None or stream.rst is not None, timeout,
                  f"the response on stream {number}")
        check(stream.message is not None, lambda: f"stream {number} was reset: {f.code_name(stream.rst)}")
        return stream.message

    def response(self, number, timeout=None):
        """The whole response."""
        stream = self.streams[number]
        self.wait(lambda: stream.ended or stream.rst is not None, timeout,
                  f"the end of stream {number} ({stream.received} bytes so far)")
        check(stream.ended, lambda: f"stream {number} was reset: {f.code_name(stream.rst)}")
        return stream.message

    def get(self, path="/", extra=(), **options):
        return self.response(self.request(path, "GET", extra, **options))

    def change_settings(self, values):
        """Sends SETTINGS and waits until the peer has applied them."""
        before = self.ours.get(f.INITIAL_WINDOW_SIZE, f.DEFAULT_WINDOW)
        change = values.get(f.INITIAL_WINDOW_SIZE, before) - before
        acked = self.settings_acked
        if change > 0:
            self._widen(change)
        self.ours.update(values)
        self.send(f.settings(values))
        self.wait(lambda: self.settings_acked > acked, what="the acknowledgement of SETTINGS")
        if change < 0:
            self._widen(change)

    def _widen(self, change):
        for stream in self.streams.values():
            stream.receive_window += change


def fetch2(target, path, method="GET", extra=(), body=None, **options):
    """Sends one request on a new connection."""
    client = H2Client(target)
    try:
        return client.response(client.request(path, method, extra, body, **options))
    finally:
        client.close()
