# SPDX-License-Identifier: Apache-2.0
"""Shared by the checks of httpbin: the pattern, a server process, a blocking client, WebSocket frames."""

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
import time

P = 65521
TABLE = bytes(((r + 1000) % P) ** 3 % P >> 8 for r in range(P))
CHECKS = []


class Program:
    """What is tested: the program file, and the instance for checks without special options."""

    path = ""
    main = None
    is_sanitized = False


PROGRAM = Program()


def pattern(offset, size):
    at = offset % P
    return (TABLE * ((at + size) // P + 1))[at:at + size]


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return "%016x" % value


def check(function):
    CHECKS.append(function)
    return function


def same(got, want):
    if got != want:
        raise AssertionError("got %.200r, wanted %.200r" % (got, want))


class Server:
    """One httpbin process. The check fails unless the process exits with status 0 after SIGTERM."""

    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM.path, "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on "), line
        self.where = line.split()[-1]
        self.port = 0 if self.where.startswith("unix:") else int(self.where.rsplit(":", 1)[1])
        self.stderr = b""
        self.reader = threading.Thread(target=self._drain, daemon=True)
        self.reader.start()

    def _drain(self):
        for line in self.process.stderr:
            self.stderr += line

    def stop(self):
        self.process.terminate()
        status = self.process.wait(20)
        self.reader.join(20)
        self.process.stdout.close()
        self.process.stderr.close()
        if status != 0 or b"ERROR" in self.stderr or b"runtime error" in self.stderr:
            raise AssertionError("exit status %s, stderr %.2000s" % (status,
                    self.stderr.decode(errors="replace")))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            self.process.wait()
        else:
            self.stop()


class Reply:
    def __init__(self, line, fields):
        self.line, self.fields = line, fields
        self.status = int(line.split()[1])
        self.body, self.trailer, self.chunks = b"", [], []

    def get(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)


class Client:
    def __init__(self, server=None, timeout=30, rcvbuf=0):
        if server is None:
            server = PROGRAM.main
        if server.where.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        self.sock.connect(server.where[5:] if server.port == 0 else ("127.0.0.1", server.port))
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def request(self, target, method="GET", fields=(), body=b"", version="1.1"):
        lines = ["%s %s HTTP/%s" % (method, target, version), "Host: h"] + list(fields)
        if body and not any(field.lower().startswith("transfer-encoding") for field in fields):
            lines.append("Content-Length: %d" % len(body))
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def more(self):
        data = self.sock.recv(1 << 18)
        self.data += data
        return len(data)

    def line(self):
        while b"\n" not in self.data:
            if not self.more():
                raise EOFError("FIN in a line: %r" % self.data)
        line, self.data = self.data.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1].decode("latin-1")

    def take(self, size):
        parts, missing = [], size
        while missing:
            if not self.data and not self.more():
                raise EOFError("FIN, %d bytes missing" % missing)
            part, self.data = self.data[:missing], self.data[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def rest(self):
        while self.more():
            pass
        data, self.data = self.data, b""
        return data

    def fields(self):
        fields = []
        while True:
            line = self.line()
            if not line:
                return fields
            name, value = line.split(":", 1)
            fields.append((name, value.strip()))

    def head(self):
        return Reply(self.line(), self.fields())

    def reply(self, has_body=True):
        reply = self.head()
        if not has_body or reply.status in (204, 304) or reply.status < 200:
            return reply
        if reply.get("Transfer-Encoding"):
            while True:
                size = int(self.line(), 16)
                if size == 0:
                    break
                reply.chunks.append(self.take(size))
                same(self.take(2), b"\r\n")
            reply.trailer = self.fields()
            reply.body = b"".join(reply.chunks)
        elif reply.get("Content-Length"):
            reply.body = self.take(int(reply.get("Content-Length")[0]))
        else:
            reply.body = self.rest()
        return reply

    def ended(self):
        """How the connection ended: fin, rst, or open."""
        try:
            return "open" if self.more() else "fin"
        except ConnectionResetError:
            return "rst"
        except socket.timeout:
            return "open"


def fetch(target, *args, **kwargs):
    with Client() as client:
        return client.request(target, *args, **kwargs).reply(kwargs.get("method") != "HEAD")


def chunked(*parts, trailer=b""):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


CHUNKED = ["Transfer-Encoding: chunked"]
EXPECT = ["Expect: 100-continue"]


def ws_frame(opcode, payload, final=True, mask=b"\x11\x22\x33\x44", bits=0):
    size = len(payload)
    head = bytes([(0x80 if final else 0) | bits | opcode])
    flag = 0x80 if mask else 0
    head += bytes([flag | size]) if size < 126 else (
        bytes([flag | 126]) + struct.pack(">H",
        size) if size < 65536 else bytes([flag | 127]) + struct.pack(">Q", size))
    if mask:
        repeated = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        payload = (int.from_bytes(payload, "big") ^ repeated).to_bytes(size, "big") if size else b""
    return head + (mask or b"") + payload


def ws_read(client):
    first, second = client.take(2)
    assert not second & 0x80
    size = second & 127
    if size > 125:
        size = int.from_bytes(client.take(2 if size == 126 else 8), "big")
    return first & 15, bool(first & 0x80), client.take(size)


def ws_open(client, query="", *fields):
    key = base64.b64encode(os.urandom(16)).decode()
    client.request("/ws" + query, fields=["Connection: keep-alive, Upgrade", "Upgrade: websocket",
                                          "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key,
                                          *fields])
    reply = client.head()
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    want = base64.b64encode(digest).decode()
    same((reply.status, reply.get("Sec-WebSocket-Accept")), (101, [want]))
    return reply
