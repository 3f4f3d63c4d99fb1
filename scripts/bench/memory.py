#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The memory section of the benchmark: how much memory HTTP/2 clients can make each program hold.

For each case: resident memory before, while everything is held, and some seconds after everything has closed.
The backend reads every request to its end and answers only GET, so uploads stay open. Programs are
configured as for speed (peers.py). Bytes per unit are the growth while held, per connection or stream.
"""
import argparse
import os
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import h2  # noqa: E402
import peers  # noqa: E402

DATA, HEADERS, RST, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
BODY = bytes(65536)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20)


class Case:
    """connections x streams; method None opens connections only; window: the window that we grant for
    responses."""

    def __init__(self, name, connections, streams, method, body=b"", window=65535, prime=False):
        self.name, self.connections, self.streams, self.method = name, connections, streams, method
        self.body, self.window, self.prime = body, window, prime

    def units(self):
        return self.connections * max(self.streams, 1)


CASES = [
    Case("idle", 1000, 0, None),
    Case("used", 1000, 1, "HEAD", prime=True),
    Case("post64k", 20, 100, "POST", BODY),
    Case("put64k", 20, 100, "PUT", BODY),
    Case("closed", 20, 100, "GET", window=0),
]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


class Connection:
    """A minimal client: it looks only at windows, not at responses."""

    def __init__(self, port, case):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.out = bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.out += frame(SETTINGS, 0, 0, struct.pack(">HI", 4, case.window))
        self.into = bytearray()
        self.window, self.initial = 65535, 65535
        self.streams = {}  # [window, unsent]
        self.answered = set()
        self.case = case

    def begin(self):
        body = self.case.body
        for stream in range(1, 2 * self.case.streams, 2):
            fields = [(b":method", self.case.method.encode()), (b":scheme", b"http"),
                      (b":authority", b"bench"), (b":path", b"/")]
            if body:
                fields.append((b"content-length", str(len(body)).encode()))
            self.out += frame(HEADERS, 4 | (not body), stream, b"".join(literal(*f) for f in fields))
            self.streams[stream] = [self.initial, len(body)]

    def fill(self):
        for stream, state in self.streams.items():
            while state[1] and len(self.out) < 65536:
                size = min(16384, state[0], state[1], self.window)
                if size <= 0:
                    break
                state[0] -= size
                state[1] -= size
                self.window -= size
                self.out += frame(DATA, state[1] == 0, stream, BODY[:size])

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & 1:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack_from(">HI", payload, at)
                if key == 4:
                    for state in self.streams.values():
                        state[0] += value - self.initial
                    self.initial = value
            self.out += frame(SETTINGS, 1, 0)
        elif kind == PING and not flags & 1:
            self.out += frame(PING, 1, 0, payload)
        elif kind == WINDOW_UPDATE:
            size = struct.unpack(">I", payload)[0]
            if stream == 0:
                self.window += size
            elif stream in self.streams:
                self.streams[stream][0] += size
        elif kind == HEADERS:
            self.answered.add(stream)
        elif kind == RST:
            raise RuntimeError(f"stream {stream} was reset: {payload.hex()}")

    def pump(self):
        """Sends what the windows allow; True if bytes moved."""
        moved = False
        self.fill()
        try:
            while self.out:
                sent = self.socket.send(self.out)
                del self.out[:sent]
                moved = True
                self.fill()
        except BlockingIOError:
            pass
        try:
            received = self.socket.recv(65536)
            if not received:
                raise RuntimeError("the connection was closed")
            self.into += received
            moved = True
        except BlockingIOError:
            pass
        while len(self.into) >= 9:
            size = int.from_bytes(self.into[:3], "big")
            if len(self.into) < 9 + size:
                break
            self.take(self.into[3], self.into[4], int.from_bytes(self.into[5:9], "big"),
                      bytes(self.into[9:9 + size]))
            del self.into[:9 + size]
        return moved

    def is_sent(self):
        return not self.out and all(state[1] == 0 for state in self.streams.values())


def settle(connections, is_done, seconds=60):
    """Waits until all is sent and nothing has moved for half a second."""
    end = time.monotonic() + seconds
    quiet = time.monotonic()
    while time.monotonic() < end:
        if any([connection.pump() for connection in connections]):
            quiet = time.monotonic()
        elif time.monotonic() > quiet + 0.5 and all(is_done(connection) for connection in connections):
            return
        else:
            time.sleep(0.005)
    raise RuntimeError("not everything could be sent")


def serve(port):
    """Starts the backend, which is this program itself."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    selector.register(listener, selectors.EVENT_READ)
    heads = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                peer = listener.accept()[0]
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ)
                heads[peer] = b""
                continue
            peer = key.fileobj
            try:
                received = peer.recv(65536)
            except OSError:
                received = b""
            if not received:
                selector.unregister(peer)
                peer.close()
                del heads[peer]
                continue
            if b"\r\n\r\n" in heads[peer]:
                continue
            heads[peer] += received[:4096]
            try:
                if b"\r\n\r\n" in heads[peer] and heads[peer].startswith(b"GET"):
                    peer.send(ANSWER)
                elif b"\r\n\r\n" in heads[peer] and heads[peer].startswith(b"HEAD"):
                    peer.send(ANSWER[:ANSWER.index(b"\r\n\r\n") + 4])
                    heads[peer] = b""
            except OSError:
                pass


def start_all(args, scratch, origin):
    def folder(name):
        path = os.path.join(scratch, f"{name}-{time.monotonic_ns()}")
        os.makedirs(path)
        return path

    programs = {"headgate": lambda: peers.start_headgate(args.headgate, folder("headgate"), origin)}
    if args.against:
        programs["other"] = lambda: peers.start_headgate(args.against, folder("other"), origin, name="other")
    programs["nginx"] = lambda: peers.start_nginx(
        folder("nginx"), origin, template=peers.NGINX.replace("{http} reuseport", "{http} http2 reuseport"))
    programs["haproxy"] = lambda: peers.start_haproxy(
        folder("haproxy"), origin, template=peers.HAPROXY.replace(
            "bind 127.0.0.1:{http}", "bind 127.0.0.1:{http} proto h2"))
    programs["nghttpx"] = lambda: shutil.which("nghttpx") and nghttpx(folder("nghttpx"), origin)
    return programs


def nghttpx(directory, origin):
    peer = peers.Peer("nghttpx", directory, origin)
    peer.port = peers.free_port()
    path = peer.write("conf", h2.NGHTTPX.format(port=peer.port, origin=origin, dir=directory,
                                                proto="http/1.1"))
    peer.start(["nghttpx", f"--conf={path}"])
    return peer


def measure(start, case, pause):
    peer = start()
    if not peer:
        return None
    try:
        before = peer.rss_kib()
        connections = [Connection(peer.port, case) for _ in range(case.connections)]
        settle(connections, Connection.is_sent)
        for connection in connections:
            connection.begin()
        settle(connections, lambda c: c.is_sent() and (not case.prime or len(c.answered) == case.streams))
        held = peer.rss_kib()
        for connection in connections:
            connection.socket.close()
        time.sleep(pause)
        return before, held, peer.rss_kib()
    finally:
        peer.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--only", default="", help="cases to run: " + ", ".join(c.name for c in CASES))
    parser.add_argument("--programs", default="", help="programs to run, else all that are installed")
    parser.add_argument("--pause", type=float, default=8, help="seconds after the end until the last look")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    only = peers.rows_of(parser, args.only, [case.name for case in CASES])
    if args.serve:
        serve(args.serve)
    peers.resolve(args, "headgate", "against")
    origin = peers.free_port()
    backend = subprocess.Popen([sys.executable, __file__, "--serve", str(origin)])
    try:
        peers.wait_port(origin)
        with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
            os.chmod(scratch, 0o755)
            print(f"{'case':<8} {'program':<9} {'start':>7} {'held':>7} {'after':>7}  MiB {'each':>9}  KiB")
            for case in CASES:
                if case.name not in only:
                    continue
                for name, start in start_all(args, scratch, origin).items():
                    if args.programs and name not in args.programs.split(","):
                        continue
                    try:
                        found = measure(start, case, args.pause)
                    except (OSError, RuntimeError) as error:
                        print(f"{case.name:<8} {name:<9} failed: {error}", flush=True)
                        continue
                    if not found:
                        peers.say_missing(name)
                        continue
                    each = (found[1] - found[0]) / case.units()
                    print(f"{case.name:<8} {name:<9} " + " ".join(f"{kib / 1024:>7.1f}" for kib in found) +
                          f"      {each:>9.1f}", flush=True)
    finally:
        backend.terminate()
        backend.wait()


if __name__ == "__main__":
    main()
