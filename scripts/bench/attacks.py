#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The section about hostile clients: headgate, HAProxy and nginx, two workers each, the same backend.

spellings: a route denies /admin, everything else passes. Which other spellings of it reach the backend?
The other rows: how long a request of a bystander on its own connection takes, in milliseconds, while one
client attacks for some seconds and reconnects when it is cut off: `quiet` no attack; `regex` 8 KiB of slashes
for a pattern with two stars; `data1` a body in DATA frames of one byte; `fields` heads of 256 KiB;
`reset` streams that are cancelled at once. `cuts` is how often the program closed the attacker's connection.
"""
import argparse
import os
import re
import socket
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import memory  # noqa: E402
import peers  # noqa: E402

SPELLINGS = ("//admin", "/./admin", "/x/../admin", "/%61dmin", "/%61%64%6D%69%6e", "/x/%2e%2e/admin",
             "/x/.%2E/admin", "/../admin", "/admin%2fx", "/admin%5cx", "/admin\\x", "/x/..//admin",
             "/admin/./x")
HEADGATE = """
config: {{logging: {{level: error, accessLog: false}}}}
binds:
- port: {http}
  listeners:
  - routes:
    - matches: [{{path: {{pathPrefix: /admin}}}}, {{path: {{regex: "/.*/.*[.]html"}}}}]
      policies: {{directResponse: {{status: 403, body: denied}}}}
    - backends: [{{host: "127.0.0.1:{origin}"}}]
"""
DENY_NGINX = "location /admin {{ return 403; }}\n    location ~ ^/.*/.*[.]html$ {{ return 403; }}\n    "
DENY_HAPROXY = ("  http-request deny if {{ path_beg /admin }}\n"
                "  http-request deny if {{ path_reg ^/.*/.*[.]html$ }}\n")
HEADERS, DATA, RST = memory.HEADERS, memory.DATA, memory.RST


def programs(args, scratch, origin, is_h2):
    """Yields name and program, one after the other: each has the machine to itself."""
    nginx = peers.NGINX.replace("location / {{", DENY_NGINX + "location / {{")
    haproxy = peers.HAPROXY.replace("  default_backend http\n", DENY_HAPROXY + "  default_backend http\n")
    if is_h2:
        nginx = nginx.replace("{http} reuseport", "{http} http2 reuseport")
        haproxy = haproxy.replace("bind 127.0.0.1:{http}", "bind 127.0.0.1:{http} proto h2")
    starts = {
        "headgate": lambda d: peers.start_headgate(args.headgate, d, origin, template=HEADGATE),
        "other": lambda d: peers.start_headgate(args.against, d, origin, template=HEADGATE, name="other"),
        "haproxy": lambda d: peers.start_haproxy(d, origin, template=haproxy),
        "nginx": lambda d: peers.start_nginx(d, origin, template=nginx),
    }
    for name, start in starts.items():
        if name == "other" and not args.against:
            continue
        directory = os.path.join(scratch, f"{name}-{time.monotonic_ns()}")
        os.makedirs(directory)
        peer = start(directory)
        if not peer:
            peers.say_missing(name)
            continue
        try:
            yield name, peer
        finally:
            peer.stop()


# ---- spellings


def status_of(port, target):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = s.recv(4096)
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    return int(found.group(1)) if found else 0


def spellings(args, scratch, origin):
    print(f"\nspellings of a denied path that reach the backend, of {len(SPELLINGS)}\n")
    for name, peer in programs(args, scratch, origin, False):
        if status_of(peer.port, "/admin") != 403:
            raise RuntimeError(f"{name} does not deny /admin")
        passed = [target for target in SPELLINGS if status_of(peer.port, target) not in (400, 403)]
        print(f"{name:<9} {len(passed):>3}  {' '.join(passed)}", flush=True)


# ---- a bystander


class Client(memory.Connection):
    """HTTP/2, one request at a time."""

    def __init__(self, port):
        super().__init__(port, memory.Case("one", 1, 0, None))
        self.last, self.ended = -1, set()

    def take(self, kind, flags, stream, payload):
        if kind == RST:
            self.ended.add(stream)
            return
        super().take(kind, flags, stream, payload)
        if kind in (HEADERS, DATA) and flags & 1:
            self.ended.add(stream)

    def head(self, method, path, is_end, more=()):
        self.last += 2
        fields = [(b":method", method), (b":scheme", b"http"), (b":authority", b"bench"), (b":path", path),
                  *more]
        block = b"".join(memory.literal(*f) for f in fields)
        self.out += memory.frame(HEADERS, 4 | is_end, self.last, block)
        return self.last

    def get(self, path):
        stream, end = self.head(b"GET", path, True), time.monotonic() + 30
        while stream not in self.ended:
            if not self.pump():
                time.sleep(0.0002)
            if time.monotonic() > end:
                raise RuntimeError("no answer to a bystander for 30 s")


def watch(port, seconds, is_h2):
    """Sends a request every few milliseconds; returns the milliseconds of each."""
    waits, end = [], time.monotonic() + seconds
    client = Client(port) if is_h2 else None
    while time.monotonic() < end:
        begin = time.monotonic()
        if client:
            client.get(b"/status/204")
        else:
            status_of(port, "/status/204")
        waits.append((time.monotonic() - begin) * 1000)
        time.sleep(0.005)
    return waits


# ---- attackers: each runs until it is cut, and is called again


def attack_regex(port, is_over):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        request = b"GET " + b"/" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        while not is_over():
            s.sendall(request)
            if not s.recv(65536):
                raise ConnectionError


def attack_data1(port, is_over):
    client = Client(port)
    stream = client.head(b"POST", b"/upload?sum=0", False)
    client.streams[stream] = [client.initial, 0]
    one = memory.frame(DATA, 0, stream, b"x")
    while not is_over():
        credit = min(client.window, client.streams[stream][0], 4000)
        if len(client.out) < 65536 and credit > 0:
            client.out += one * credit
            client.window -= credit
            client.streams[stream][0] -= credit
        if not client.pump():
            time.sleep(0.0002)


def attack_fields(port, is_over):
    client = Client(port)
    block = b"".join(memory.literal(b"x-%05d" % i, b"y" * 100) for i in range(2300))
    while not is_over():
        if len(client.out) < 1 << 20:
            client.last += 2
            head = b"".join(memory.literal(*f) for f in ((b":method", b"GET"), (b":scheme", b"http"),
                                                         (b":authority", b"bench"), (b":path", b"/")))
            client.out += memory.frame(HEADERS, 1, client.last, head)
            for at in range(0, len(block), 16000):
                is_last = at + 16000 >= len(block)
                client.out += memory.frame(9, 4 if is_last else 0, client.last, block[at:at + 16000])
        if not client.pump():
            time.sleep(0.0002)


def attack_reset(port, is_over):
    client = Client(port)
    while not is_over():
        while len(client.out) < 65536:
            stream = client.head(b"GET", b"/delay/1", True)
            client.out += memory.frame(RST, 0, stream, b"\0\0\0\x08")
        if not client.pump():
            time.sleep(0.0002)


FLOODS = {"quiet": (None, True), "regex": (attack_regex, False), "data1": (attack_data1, True),
          "fields": (attack_fields, True), "reset": (attack_reset, True)}


class Attacker(threading.Thread):
    def __init__(self, attack, port):
        super().__init__(daemon=True)
        self.attack, self.port, self.cuts, self.is_over = attack, port, 0, False

    def run(self):
        while self.attack and not self.is_over:
            try:
                self.attack(self.port, lambda: self.is_over)
            except (OSError, RuntimeError):
                self.cuts += 1
                time.sleep(0.01)


def flood(args, scratch, origin, kind):
    attack, is_h2 = FLOODS[kind]
    for name, peer in programs(args, scratch, origin, is_h2):
        attacker = Attacker(attack, peer.port)
        watch(peer.port, 0.2, is_h2)
        cpu = peer.cpu_seconds()
        attacker.start()
        try:
            waits = sorted(watch(peer.port, args.seconds, is_h2))
        finally:
            attacker.is_over = True
            attacker.join(20)
        p99 = waits[min(len(waits) - 1, len(waits) * 99 // 100)]
        print(f"{kind:<8} {name:<9} {statistics.median(waits):>8.1f} {p99:>8.1f} {waits[-1]:>8.1f} "
              f"{attacker.cuts:>6} {(peer.cpu_seconds() - cpu) / args.seconds * 100:>6.0f}", flush=True)


ROWS = ("spellings", *FLOODS)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", default="", help="rows to run: " + ", ".join(ROWS))
    args = parser.parse_args()
    only = peers.rows_of(parser, args.only, ROWS)
    peers.resolve(args, "headgate", "httpbin", "against")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        os.chmod(scratch, 0o755)
        backend = peers.Peer("direct", scratch, peers.free_port())
        backend.port = backend.origin
        try:
            backend.start([args.httpbin, "--port", str(backend.port), "--workers", "2", "--quiet"])
            if "spellings" in only:
                spellings(args, scratch, backend.port)
            floods = [kind for kind in FLOODS if kind in only]
            if floods:
                print("\na bystander's request, ms\n")
                print(f"{'attack':<8} {'program':<9} {'p50':>8} {'p99':>8} {'worst':>8} {'cuts':>6} "
                      f"{'CPU %':>6}")
            for kind in floods:
                flood(args, scratch, backend.port, kind)
        finally:
            backend.stop()


if __name__ == "__main__":
    main()
