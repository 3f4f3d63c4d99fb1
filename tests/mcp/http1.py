# SPDX-License-Identifier: Apache-2.0
"""A minimal HTTP/1.1 server for MCP, on the loop: complete requests, complete responses or event streams."""
import socket

REASONS = {200: "OK", 202: "Accepted", 204: "No Content", 400: "Bad Request", 404: "Not Found",
           405: "Method Not Allowed", 406: "Not Acceptable", 415: "Unsupported Media Type", 302: "Found"}


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path, _, self.query = target.partition("?")

    def header(self, name, default=""):
        return self.headers.get(name.lower(), default)


class Connection:
    """A client connection. Calls handle(connection, request) for one request after the other."""

    def __init__(self, server, accepted, handle):
        self.server, self.loop, self.socket, self.handle = server, server.loop, accepted, handle
        self.fd = accepted.fileno()
        self.socket.setblocking(False)
        self.input, self.output = bytearray(), bytearray()
        self.busy = self.closing = self.closed = False
        self.on_close = None
        self._watch()

    def _watch(self):
        self.loop.watch(self.fd, self._readable, self._writable if self.output else None)

    def _readable(self):
        try:
            data = self.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.input += data
        self._next()

    def _next(self):
        while not self.busy and not self.closed:
            request = self._take()
            if request is None:
                return
            self.busy = True
            self.handle(self, request)

    def _take(self):
        """Takes a complete request from the buffer, or returns None."""
        end = self.input.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self.input[:end].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers[name] = headers[name] + ", " + value.strip() if name in headers else value.strip()
        start = end + 4
        if headers.get("expect"):
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", ""):
            body, start = self._chunks(start)
            if body is None:
                return None
        else:
            length = int(headers.get("content-length", 0))
            if len(self.input) < start + length:
                return None
            body = bytes(self.input[start:start + length])
            start += length
        del self.input[:start]
        return Request(method, target, headers, body)

    def _chunks(self, start):
        body = b""
        while True:
            end = self.input.find(b"\r\n", start)
            if end < 0:
                return None, start
            size = int(self.input[start:end].split(b";")[0], 16)
            if len(self.input) < end + 2 + size + 2:
                return None, start
            body += self.input[end + 2:end + 2 + size]
            start = end + 2 + size + 2
            if size == 0:
                return body, start

    def write(self, data):
        if self.closed:
            return
        self.output += data
        self._writable()

    def _writable(self):
        try:
            sent = self.socket.send(self.output) if self.output else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self.output[:sent]
        if self.closing and not self.output:
            self.close()
        else:
            self._watch()

    def respond(self, status, headers=(), body=b""):
        head = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{k}: {v}" for k, v in headers),
                *([] if status == 204 else [f"Content-Length: {len(body)}"])]
        self.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        self.over()

    def over(self):
        """Ends the response."""
        self.busy, self.on_close = False, None
        self.loop.after(0, self._next)

    def close_when_sent(self):
        self.closing = True
        self._writable()

    def close(self):
        if self.closed:
            return
        self.closed = True
        self.loop.watch(self.fd)
        self.socket.close()
        if self.on_close:
            self.on_close()


class Events:
    """An event stream as the response to a request. Calls on_end() when the client closes."""

    def __init__(self, connection, headers=(), on_end=None):
        self.connection, self.open = connection, True
        connection.on_close = self._gone
        self._on_end = on_end
        head = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Cache-Control: no-cache",
                "Transfer-Encoding: chunked", *(f"{k}: {v}" for k, v in headers)]
        connection.write("\r\n".join(head).encode() + b"\r\n\r\n")

    def _gone(self):
        self.open = False
        if self._on_end:
            self._on_end()

    def event(self, data, event=None, number=None, retry=None):
        text = b""
        if event:
            text += b"event: " + event.encode() + b"\n"
        if number:
            text += b"id: " + number.encode() + b"\n"
        if retry:
            text += b"retry: %d\n" % retry
        text += b"".join(b"data: " + line + b"\n" for line in data.split(b"\n"))
        self.raw(text + b"\n")

    def raw(self, data):
        if self.open and data:
            self.connection.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        if self.open:
            self.open = False
            self.connection.write(b"0\r\n\r\n")
            self.connection.over()

    def cut(self):
        """Closes the connection in the middle of the stream."""
        self.open = False
        self.connection.on_close = None
        self.connection.close_when_sent()


def listen(server, port, handle):
    """Serves forever on 127.0.0.1."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)

    def accept():
        accepted = listener.accept()[0]
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Connection(server, accepted, handle)
    server.loop.watch(listener.fileno(), accept)
    return listener
