# SPDX-License-Identifier: Apache-2.0
"""A small WebSocket client (RFC 6455) that can break rules on purpose."""
import base64
import hashlib
import os
import struct

from hg.framework import Failure, eq, shorten
from hg.http1 import pairs_of
from hg.raw import Raw

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def masked(data, key):
    """data XOR the repeated key, in one operation on big numbers."""
    if not data:
        return b""
    stream = (key * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


class WebSocket:
    """Connects and completes the handshake. .raw is the connection below, .response the 101."""

    def __init__(self, target, path="/ws", headers=(), host=None, **raw_options):
        self.raw = target if isinstance(target, Raw) else Raw(target, **raw_options)
        key = base64.b64encode(os.urandom(16))
        pairs = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", key.decode()),
                 ("Sec-WebSocket-Version", "13")] + pairs_of(headers)
        self.raw.request("GET", path, pairs, host=host)
        self.response = self.raw.response_head()
        eq(self.response.status, 101, "status of the WebSocket handshake")
        eq((self.response.header("Upgrade") or "").lower(), "websocket", "Upgrade of the 101")
        eq((self.response.header("Connection") or "").lower(), "upgrade", "Connection of the 101")
        eq(self.response.header("Sec-WebSocket-Accept"),
           base64.b64encode(hashlib.sha1(key + GUID).digest()).decode(), "Sec-WebSocket-Accept")

    def frame(self, opcode, payload=b"", final=True):
        key = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        return head + key + masked(payload, key)

    def send(self, data, pieces=1):
        """Sends text or bytes as one message in this many frames."""
        payload = data.encode() if isinstance(data, str) else bytes(data)
        opcode = TEXT if isinstance(data, str) else BINARY
        step = max(1, -(-len(payload) // pieces))
        parts = [payload[i:i + step] for i in range(0, len(payload), step)] or [b""]
        for number, part in enumerate(parts):
            self.raw.send(self.frame(opcode if number == 0 else CONTINUATION, part, number == len(parts) - 1))

    def receive_frame(self):
        """(opcode, final, payload)."""
        first, second = self.raw.read(2)
        if first & 0x70:
            raise Failure(f"reserved bits set: {first:#x}")
        if second & 0x80:
            raise Failure("a server must not mask")
        size = second & 0x7f
        if size == 126:
            size = struct.unpack("!H", self.raw.read(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.raw.read(8))[0]
        return first & 0x0f, bool(first & 0x80), self.raw.read(size)

    def receive(self):
        """Receives the next message, text as str; answers pings meanwhile. None after a close frame."""
        opcode, payload = None, b""
        while True:
            code, final, data = self.receive_frame()
            if code == PING:
                self.raw.send(self.frame(PONG, data))
                continue
            if code == PONG:
                continue
            if code == CLOSE:
                return None
            opcode = code if opcode is None else opcode
            payload += data
            if final:
                return payload.decode() if opcode == TEXT else payload

    def ping(self, data=b"hello"):
        self.raw.send(self.frame(PING, data))
        code, _, payload = self.receive_frame()
        eq((code, payload), (PONG, data), "answer to ping")

    def echo(self, data):
        """Sends data and expects the same back."""
        self.send(data)
        got = self.receive()
        if got != data:
            raise Failure(f"echo: got {shorten(got, 100)}, want {shorten(data, 100)}")

    def close(self, code=1000):
        """Performs the close handshake and waits for the end of the connection."""
        self.raw.send(self.frame(CLOSE, struct.pack("!H", code)))
        opcode, _, payload = self.receive_frame()
        eq((opcode, payload[:2]), (CLOSE, struct.pack("!H", code)), "answer to close")
        self.raw.close()
