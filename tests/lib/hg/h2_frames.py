# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames as bytes: any frame, including those that RFC 9113 forbids."""
import struct
from typing import NamedTuple

from hg.framework import shorten

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = \
    range(10)
TYPES = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
         "WINDOW_UPDATE", "CONTINUATION")

END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, \
    INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(14)
CODES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
         "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
         "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")

# Identifiers of SETTINGS.
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE, _, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES = range(1, 10)

DEFAULT_WINDOW = 65535
DEFAULT_FRAME = 16384
LARGEST_WINDOW = (1 << 31) - 1


def code_name(code):
    return CODES[code] if code < len(CODES) else f"code {code:#x}"


class Frame(NamedTuple):
    """A received frame. stream is without its reserved bit."""

    type: int
    flags: int
    stream: int
    payload: bytes

    def has(self, flag):
        return bool(self.flags & flag)

    @property
    def code(self):
        """The error code of RST_STREAM or GOAWAY."""
        return struct.unpack_from("!I", self.payload, 4 if self.type == GOAWAY else 0)[0]

    @property
    def number(self):
        """The increment of WINDOW_UPDATE, the last stream of GOAWAY."""
        return struct.unpack_from("!I", self.payload)[0] & LARGEST_WINDOW

    @property
    def settings(self):
        return [struct.unpack_from("!HI", self.payload, at) for at in range(0, len(self.payload), 6)]

    def __repr__(self):
        name = TYPES[self.type] if self.type < len(TYPES) else f"type {self.type}"
        text = f"{name} stream {self.stream} flags {self.flags:#x}"
        if self.type in (RST_STREAM, GOAWAY):
            text += f" {code_name(self.code)}"
        if self.type == GOAWAY:
            text += f" last {self.number} {self.payload[8:]!r}"
        elif self.type == SETTINGS:
            text += f" {self.settings}"
        elif self.type == WINDOW_UPDATE:
            text += f" +{self.number}"
        else:
            text += f" {len(self.payload)} bytes {shorten(bytes(self.payload[:16]))}"
        return f"<{text}>"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """Any frame. length: a false length for the frame header."""
    size = len(payload) if length is None else length
    return struct.pack("!BHBBI", size >> 16, size & 0xffff, kind, flags, stream) + payload


def settings(values=(), ack=False):
    """values: pairs or a dict of identifier and value."""
    pairs = values.items() if hasattr(values, "items") else values
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack("!HI", *pair) for pair in pairs))


def ping(payload=b"headgate", ack=False, stream=0):
    return frame(PING, ACK if ack else 0, stream, payload)


def goaway(last=0, code=NO_ERROR, debug=b"", stream=0):
    return frame(GOAWAY, 0, stream, struct.pack("!II", last, code) + debug)


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", increment))


def priority(stream, depends_on=0, weight=15, exclusive=False):
    return frame(PRIORITY, 0, stream, priority_fields(depends_on, weight, exclusive))


def priority_fields(depends_on=0, weight=15, exclusive=False):
    return struct.pack("!IB", depends_on | (1 << 31 if exclusive else 0), weight)


def padded(payload, size, announced=None):
    """(flag, payload) with `size` bytes of padding; announced: a false Pad Length."""
    return PADDED, bytes([size if announced is None else announced]) + payload + bytes(size)


def data(stream, payload=b"", end=False, padding=None):
    flags = END_STREAM if end else 0
    if padding is not None:
        flag, payload = padded(payload, padding)
        flags |= flag
    return frame(DATA, flags, stream, payload)


def headers(stream, block, end=True, end_headers=True):
    return frame(HEADERS, (END_STREAM if end else 0) | (END_HEADERS if end_headers else 0), stream, block)


def continuation(stream, block, end_headers=True):
    return frame(CONTINUATION, END_HEADERS if end_headers else 0, stream, block)


# ---- HPACK by hand, RFC 7541 6 ---------------------------------------------------------------------------


def integer(value, prefix, first=0):
    """RFC 7541 5.1: a number with a prefix of this many bits; the bits above it come from `first`."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def text(value):
    value = value.encode("latin-1") if isinstance(value, str) else value
    return integer(len(value), 7) + value


def literal(name, value):
    """A literal without indexing and Huffman coding."""
    return b"\0" + text(name) + text(value)


def literal_indexed(name, value):
    """A literal that is added to the dynamic table."""
    return b"\x40" + text(name) + text(value)


def indexed(index):
    return integer(index, 7, 0x80)


def table_size(size):
    return integer(size, 5, 0x20)


def block(fields):
    """A header block of literals: independent of every dynamic table."""
    return b"".join(literal(name, value) for name, value in fields)
