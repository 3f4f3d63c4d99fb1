# SPDX-License-Identifier: Apache-2.0
"""A WebSocket that is a stream of HTTP/2 (RFC 8441)."""
from hg.framework import check, eq
from hg.http1 import pairs_of
from hg.websocket import WebSocket


class StreamPipe:
    """A stream with the methods of Raw that WebSocket needs."""

    def __init__(self, client, number):
        self.client, self.number = client, number
        self.stream = client.streams[number]

    def send(self, *pieces):
        for piece in pieces:
            self.client.send_data(self.number, piece)
        return self

    def read(self, count):
        self.client.wait(lambda: len(self.stream.body) >= count or self.stream.ended or
                         self.stream.rst is not None, what=f"{count} bytes of a WebSocket")
        check(len(self.stream.body) >= count,
              lambda: f"stream {self.number} ended after {len(self.stream.body)} bytes")
        taken = bytes(self.stream.body[:count])
        del self.stream.body[:count]
        return taken

    def close(self):
        """Ends our side of the stream, then waits for the other."""
        self.client.send_data(self.number, b"", True)
        self.client.wait(lambda: self.stream.ended, what=f"the end of stream {self.number}")


def ask(client, path="/ws", headers=()):
    """Sends an extended CONNECT; returns its stream."""
    number = client.open_stream("CONNECT")
    client.send_headers(number, [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
        (":authority", client.authority), ("sec-websocket-version", "13"), *pairs_of(headers)], False)
    return number


class H2WebSocket(WebSocket):
    """A WebSocket on an existing connection: H2WebSocket(client, "/ws")."""

    def __init__(self, client, path="/ws", headers=()):  # pylint: disable=super-init-not-called
        number = ask(client, path, headers)
        self.response = client.response_head(number)
        eq(self.response.status, 200, "status of the extended CONNECT")
        for name in ("sec-websocket-accept", "content-length"):
            eq(self.response.headers[name], None, name)
        self.raw = StreamPipe(client, number)
