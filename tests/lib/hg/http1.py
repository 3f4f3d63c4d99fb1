# SPDX-License-Identifier: Apache-2.0
"""Strict reader of HTTP/1 messages (RFC 9112): input that a lenient reader would accept is a Failure here.

The reader needs an object with read_line(limit), read(n), read_some() and read_eof(), for example hg.raw.Raw.
"""
import re
import zlib

from hg.framework import Failure, shorten

STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\r\n")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])\r\n")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,16})((?:[ \t]*;[^\r\n\x00]*)?)\r\n")
LINE_LIMIT = 1 << 20


class Fields:
    """Header or trailer fields, in order. fields["Name"]: the values joined by ", "; None if absent."""

    def __init__(self, pairs=()):
        self.pairs = list(pairs)

    def all(self, name):
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        return ", ".join(values) if values else None

    def __contains__(self, name):
        return bool(self.all(name))

    def __iter__(self):
        return iter(self.pairs)

    def __len__(self):
        return len(self.pairs)

    def __repr__(self):
        return repr(self.pairs)


class Message:
    """A message: headers, framing, and, once read, body and trailers.

    framing: "none", "length", "chunked" or "close".
    """

    def __init__(self, version, headers):
        self.version = version
        self.headers = headers
        self.framing = "none"
        self.length = 0
        self.body = b""
        self.trailers = Fields()
        self.chunks = []  # sizes as received

    def header(self, name):
        return self.headers[name]

    @property
    def text(self):
        return self.body.decode("utf-8", "backslashreplace")

    def json(self):
        import json
        body = self.body
        if (self.headers["Content-Encoding"] or "") == "gzip":
            body = zlib.decompress(body, 31)
        try:
            return json.loads(body)
        except ValueError as error:
            raise Failure(f"not JSON ({error}): {shorten(body)}") from None


class Response(Message):
    """status, reason, and in interim the 1xx heads received before."""

    def __init__(self, status, reason, version, headers):
        super().__init__(version, headers)
        self.status = status
        self.reason = reason
        self.interim = []

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} body {shorten(self.body, 120)}>"


class Request(Message):
    def __init__(self, method, target, version, headers):
        super().__init__(version, headers)
        self.method = method
        self.target = target

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers} body {shorten(self.body, 120)}>"


def read_fields(source, what):
    pairs = []
    while True:
        line = source.read_line(LINE_LIMIT)
        if line == b"\r\n":
            return Fields(pairs)
        match = FIELD_LINE.fullmatch(line)
        if not match:
            raise Failure(f"malformed {what} line {shorten(line)}")
        pairs.append((match.group(1).decode("ascii"), match.group(2).decode("latin-1")))


def decide_framing(message, is_response):
    """Decides the framing by RFC 9112 6.3, without its leniency."""
    codings = message.headers.all("Transfer-Encoding")
    lengths = message.headers.all("Content-Length")
    if codings:
        if lengths:
            raise Failure("both Transfer-Encoding and Content-Length")
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise Failure(f"Transfer-Encoding {codings}, want exactly chunked")
        if message.version == "1.0":
            raise Failure("Transfer-Encoding in an HTTP/1.0 message")
        message.framing = "chunked"
    elif lengths:
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]+", lengths[0]):
            raise Failure(f"Content-Length {lengths}, want one number")
        message.framing, message.length = "length", int(lengths[0])
    else:
        message.framing = "close" if is_response else "none"


def read_response_head(source, method="GET"):
    """Reads the final response head; 1xx heads before it are in .interim. 101 is final."""
    interim = []
    while True:
        line = source.read_line(LINE_LIMIT)
        match = STATUS_LINE.fullmatch(line)
        if not match:
            raise Failure(f"malformed status line {shorten(line)}")
        response = Response(int(match.group(2)), match.group(3).decode("latin-1"), match.group(1).decode(),
                            read_fields(source, "header"))
        if 100 <= response.status < 200 and response.status != 101:
            interim.append(response)
            continue
        response.interim = interim
        bodiless = method == "HEAD" or response.status in (101, 204, 304)
        if method == "CONNECT" and 200 <= response.status < 300:
            bodiless = True
        decide_framing(response, True)
        if response.status == 204 or response.status == 101:
            if response.framing != "close":
                raise Failure(f"{response.status} with a body framing field: {response.headers}")
        if bodiless:
            response.framing = "none"
        return response


def read_request_head(source):
    line = source.read_line(LINE_LIMIT)
    match = REQUEST_LINE.fullmatch(line)
    if not match:
        raise Failure(f"malformed request line {shorten(line)}")
    request = Request(match.group(1).decode(), match.group(2).decode("latin-1"), match.group(3).decode(),
                      read_fields(source, "header"))
    if request.version == "1.1" and len(request.headers.all("Host")) != 1:
        raise Failure(f"an HTTP/1.1 request needs one Host: {request.headers}")
    decide_framing(request, False)
    return request


def body_pieces(source, message):
    """Yields the body as it arrives; afterwards message.trailers is set."""
    if message.framing == "length":
        left = message.length
        while left:
            piece = source.read_some(left)
            if not piece:
                raise Failure(f"the body ended {left} bytes short of {message.length}")
            left -= len(piece)
            yield piece
    elif message.framing == "chunked":
        while True:
            line = source.read_line(LINE_LIMIT)
            match = CHUNK_LINE.fullmatch(line)
            if not match:
                raise Failure(f"malformed chunk line {shorten(line)}")
            if match.group(2):
                raise Failure(f"chunk extension passed on: {shorten(line)}")
            size = int(match.group(1), 16)
            if size == 0:
                break
            message.chunks.append(size)
            left = size
            while left:
                piece = source.read_some(left)
                if not piece:
                    raise Failure(f"the connection ended {left} bytes before the end of a chunk")
                left -= len(piece)
                yield piece
            end = source.read(2)
            if end != b"\r\n":
                raise Failure(f"a chunk ends with {end!r}, want CR LF")
        message.trailers = read_fields(source, "trailer")
    elif message.framing == "close":
        while True:
            piece = source.read_some(1 << 20)
            if not piece:
                return
            yield piece


def read_body(source, message):
    message.body = b"".join(body_pieces(source, message))
    return message


def pairs_of(headers):
    """A dict or pairs, as a list of pairs."""
    return list(headers.items() if hasattr(headers, "items") else headers)


def build_request(method, target, host, headers=(), body=None, chunked=False, version="1.1"):
    """Bytes of a request. headers: a dict or pairs; Host is added unless given (None drops it)."""
    pairs = pairs_of(headers)
    names = {name.lower() for name, _ in pairs}
    lines = [f"{method} {target} HTTP/{version}"]
    if "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in pairs if value is not None]
    payload = b""
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        pieces = [body] if isinstance(body, bytes) else list(body or [])
        payload = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"
    elif body is not None:
        payload = body.encode() if isinstance(body, str) else body
        if "content-length" not in names:
            lines.append(f"Content-Length: {len(payload)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + payload
