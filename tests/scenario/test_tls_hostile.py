# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm by TLS: none of them ends the gateway, holds its memory, or keeps others waiting."""
import os
import select
import socket
import ssl
import time

from hg import *
from hg.raw import SO_LINGER_RESET
from hg.tls_wire import ALERT, DATA, HANDSHAKE, Forge, Play, edited, record, with_length
from splice import in_background
from tlsplays import NAME, ONE, TUNNEL, Stage

SHORT = "frontendPolicies:\n  tls: {handshakeTimeout: 3s}\n"


def alive(stage, what):
    eq(stage.client().get("/get", host=NAME).status, 200, f"another client after {what}")


def ended(client, timeout=5):
    """It ended; what came before."""
    try:
        return client.expect_end(timeout)[1]
    except (ConnectionResetError, BrokenPipeError):
        return b""


def end(client):
    """FIN, unless it has ended."""
    try:
        client.fin()
    except OSError:
        pass


def pushed(client, data):
    """Sends what the gateway takes of it."""
    try:
        client.socket.sendall(data)
    except OSError:
        pass
    return client


@test("records with wrong types, versions and lengths, before, in and after the hello, end the connection "
      "and nothing else", timeout=60)
def records():
    stage = Stage()
    hello = Play(NAME).hello
    body = hello[5:]
    cases = {
        "no TLS": os.urandom(300), "SSLv2": b"\x80\x2e\x01\x03\x01" + bytes(44),
        "a record of nothing, again and again": record(HANDSHAKE, b"") * 100,
        "an unknown type": record(99, body), "application data first": record(DATA, body),
        "an alert first": record(ALERT, b"\x02\x28"), "a version of 9": record(HANDSHAKE, body, b"\x09\x09"),
        "a length of 65535": record(HANDSHAKE, body, length=65535) + bytes(66000),
        "a record of 16385 bytes": record(HANDSHAKE, body + bytes(16385 - len(body))),
        "a hello that says it has 16 MiB": record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(16000)) * 8,
        "another message": record(HANDSHAKE, b"\x10" + body[1:]),
        "two hellos": hello * 2, "garbage behind the hello": hello + os.urandom(1000),
        "change_cipher_spec, a thousand times": hello + record(20, b"\x01") * 1000,
        "alerts behind the hello": hello + record(ALERT, b"\x01\x5a") * 1000,
        "an extension that is longer than all": record(HANDSHAKE, body[:-4] + b"\xff\xff\xff\xff"),
    }
    for what, data in cases.items():
        client = pushed(stage.gateway.client(), data)
        end(client)  # those that may go on are cut here
        ended(client)
    alive(stage, "bad records")


@test("a hello as large as 16 KiB is read, one of 64 KiB is refused, and neither holds memory", timeout=60)
def large_hello():
    stage = Stage()

    def padded(size):
        """A hello with an extension that nobody knows, of so many bytes."""
        return edited(Play(NAME).hello, lambda extensions: extensions.update({0xfafa: bytes(size)}))
    # The server's hello is answered with nothing: it is enough that it comes.
    answer = stage.gateway.client().send(padded(10000)).read_some()
    eq(answer[0], HANDSHAKE, "a hello of 10 KiB is answered")
    before = stage.gateway.rss_bytes()
    for _ in range(100):
        ended(pushed(stage.gateway.client(), padded(60000)))
    check(stage.gateway.rss_bytes() - before < 16 << 20, "memory")
    alive(stage, "large hellos")


@test("a hello of the size that X25519MLKEM768 needs, in two segments, is answered, and is passed through "
      "whole")
def two_segments():
    stage = Stage(ONE + """
  - name: passed
    hostname: passed.example
    protocol: TLS
    tcpRoutes:
    - backends: [{host: @other@}]
""", other=Backend())
    def add_group(extensions):
        """X25519MLKEM768 and its share of 1,216 bytes, in front of the groups that there are."""
        extensions[10] = with_length(b"\x11\xec" + extensions[10][2:])
        extensions[51] = with_length(b"\x11\xec" + with_length(os.urandom(1216)) + extensions[51][2:])
    for name in (NAME, "passed.example"):
        data = edited(Play(name).hello, add_group)
        client = stage.gateway.client().send(data[:1400], data[1400:], pause=0.1)
        if name == NAME:
            eq(client.read_some()[:1], bytes([HANDSHAKE]), "the answer")
            client.rst()
        else:
            eq(stage.gateway.names["other"].accept().read(len(data)), data, "the hello at the backend")


@test("1,000 handshakes that stand still: others are served, the deadline ends each with its reason",
      timeout=60, heavy=True)
def half_handshakes():
    stage = Stage(ONE + SHORT, workers=2)
    hello = Play(NAME).hello
    silent = []
    began = time.monotonic()
    for _ in range(10):
        silent += [stage.gateway.client().send(hello) for _ in range(100)]
        alive(stage, f"{len(silent)} silent ones")
    stage.wait_ends("tls_handshake_timeout", 1000, 20)
    eq(stage.ends("tls_handshake_timeout"), 1000, "handshakes that ended by their deadline")
    check_time(time.monotonic() - began, 3.0, "the end of all", before=60)
    for client in silent:
        client.close()
    alive(stage, "1,000 timeouts")


class Flood:
    """Handshakes that are dropped half way, fifty at a time, until it is told to end. .count: so far."""

    def __init__(self, port):
        self.port, self.hello, self.count, self._is_over = port, Play(NAME).hello, 0, False
        self._task = in_background(self._run)

    def _run(self):
        while not self._is_over:
            batch = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(50)]
            for made in batch:
                made.sendall(self.hello)
            for made in batch:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_RESET)
                made.close()
            self.count += 50

    def is_running(self):
        return self._task.is_alive()

    def end(self):
        self._is_over = True
        self._task.result()


@test("a flood of handshakes that are dropped half way leaves clients served, those that are there and new "
      "ones, and nothing behind", timeout=90, heavy=True)
def flood():
    stage = Stage(key="rsa", workers=1)

    def handshakes():
        return stage.gateway.metrics()("headgate_tls_handshakes_total")
    client = stage.client()
    eq(client.get("/get", host=NAME).status, 200, "before the attack")
    before, attack = handshakes(), Flood(stage.port)
    for answer in range(10):
        seen = attack.count
        eq(client.get("/get", host=NAME).status, 200, f"request {answer} of a client that is there")
        stage.client().close()
        # Each answer is one beside new handshakes of the attack.
        wait_until(lambda s=seen: attack.count > s or not attack.is_running(), 10, "the attack")
    attack.end()
    note(f"{attack.count} handshakes")
    wait_until(lambda: handshakes() == before + 10, 5, "the handshakes of new clients, and of nobody else")


def too_many(workers):
    stage = Stage(ONE + "frontendPolicies:\n  tls: {handshakeTimeout: 120s}\n"
                  "config: {limits: {connectionsPerClient: 5000}}\n", workers=workers)
    first = [stage.gateway.client().send(b"\x16") for _ in range(workers)]
    silent = [socket.create_connection(("127.0.0.1", stage.port)) for _ in range(4200)]
    stage.wait_ends("tls_handshake_limit", 4200 + workers - 4096, 20)
    # Of several workers the one that takes one too many ends its own oldest: whose, their pace decides.
    if workers == 1:
        ended(first[0], 10)
    # Never one that came late.
    late = silent[-1000:]
    poll = select.poll()
    for made in late:
        poll.register(made, select.POLLIN)
    eq(poll.poll(0), [], "ends of those that waited least")
    alive(stage, "as many as there may be")
    note(stage.ends("tls_handshake_limit"), stage.ends("client_hello_timeout"))
    for made in silent:
        made.close()


@test("beyond 4,096 handshakes under way at a port the one that has waited longest goes, and new ones are "
      "served", timeout=60, heavy=True)
def too_many_of_one():
    too_many(1)


@test("the handshakes of all workers count for that", timeout=60, heavy=True)
def too_many_of_all():
    too_many(3)


@test("handshakes that are reset or ended in each of their phases leave nothing behind", timeout=60)
def cut():
    stage = Stage()
    for version in ("1.2", "1.3"):
        for way in ("rst", "fin"):
            for phase in range(5):
                play = Play(NAME, version=version)
                client = stage.gateway.client()
                data = play.hello
                for step in range(phase):
                    client.send(data)
                    if play.is_open:
                        break
                    data = play.step(client.read_some())
                client.send(data[:len(data) // 2])
                if way == "rst":
                    client.rst()
                else:
                    end(client)
                    ended(client)
    alive(stage, "cuts")


@test("garbage, a wrong key, a fatal alert behind the handshake end the connection; a request before them "
      "is answered")
def garbage():
    stage = Stage()
    cases = {
        "no TLS": lambda client: os.urandom(200),
        "a record of a wrong key": lambda client: record(DATA, os.urandom(200)),
        "a fatal alert": lambda client: client.forged(ALERT, b"\x02\x50"),
        "an alert of three bytes": lambda client: client.forged(ALERT, b"\x01\x00\x00"),
        "another ClientHello": lambda client: client.forged(HANDSHAKE, Play(NAME).hello[5:]),
        "a HelloRequest": lambda client: client.forged(HANDSHAKE, b"\0\0\0\0"),
        "a ticket from a client": lambda client: client.forged(HANDSHAKE, b"\x04\0\0\x10" + bytes(16)),
        "a certificate unasked": lambda client: client.forged(HANDSHAKE, b"\x0b\0\0\x04\0\0\0\0"),
        "early data": lambda client: client.forged(HANDSHAKE, b"\x05\0\0\0"),
        "a record without type": lambda client: client.forged(0, bytes(100)),
        "a record of 16 KiB and more": lambda client: client.forged(DATA, bytes(16385)),
    }
    for what, make in cases.items():
        client = Forge(stage.port, stage.authority, NAME)
        client.forge(client.forged(DATA, f"GET /bytes/10 HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()))
        eq(client.response().status, 200, f"before {what}")
        try:
            client.forge(make(client))
            client.read_eof()
        except (ssl.SSLError, Failure, OSError):
            pass
        else:
            check(client._ended, f"{what} leaves the connection open")  # noqa: W0212
    alive(stage, "garbage")


def endless(stage, client, make, what, most=1 << 26):
    """Sends until the gateway ends the connection, or a number of bytes has passed without harm."""
    before, sent = stage.gateway.rss_bytes(), 0
    try:
        while sent < most:
            data = make()
            client.forge(data)
            sent += len(data)
    except OSError:
        note(f"{what}: ended after {sent} bytes")
        return False
    note(f"{what}: {sent} bytes")
    check(stage.gateway.rss_bytes() - before < 16 << 20, f"{what} holds memory")
    return True


@test("floods of KeyUpdates, with and without an answer, of empty and of padded records end, or cost no "
      "memory, and others are served meanwhile", timeout=120, heavy=True)
def small_floods():
    stage = Stage(workers=1)
    most = 1 << (20 if is_thorough() else 18)
    floods = {
        "KeyUpdates": lambda client: b"".join(client.key_update() for _ in range(200)),
        "KeyUpdates that ask": lambda client: b"".join(client.key_update(True) for _ in range(200)),
        "empty records": lambda client: b"".join(client.forged(DATA, b"") for _ in range(200)),
        "padding": lambda client: b"".join(client.forged(DATA, b"", 16000) for _ in range(20)),
        "warnings": lambda client: b"".join(client.forged(ALERT, b"\x01\x5a") for _ in range(200)),
    }
    for what, make in floods.items():
        other, answers, attacks = stage.client(), 0, 0
        while answers < 3 and attacks < 20:  # one that is cut at once leaves no time for an answer beside it
            client = Forge(stage.port, stage.authority, NAME)
            task = in_background(endless, stage, client, lambda make=make, client=client: make(client), what,
                                 most if what != "padding" else most << 4)
            attacks += 1
            while task.is_alive():
                eq(other.get("/get", host=NAME).status, 200, f"another client, {what}")
                answers += task.is_alive()  # it came before the flood was over
                time.sleep(0.05)
            task.result()
            client.close()
        note(f"{what}: {answers} answers beside {attacks} attacks")
    alive(stage, "floods")


@test("KeyUpdates in the middle of an upload change no byte of it, in HTTP and in a tunnel")
def key_updates():
    stage = Stage()
    client = Forge(stage.port, stage.authority, NAME)
    head = f"POST /upload HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 500000\r\n\r\n"
    client.forge(client.forged(DATA, head.encode()))
    for at in range(0, 500000, 10000):
        client.forge(client.forged(DATA, pattern(10000, at), at % 3000) + client.key_update(at % 20000 == 0))
    answer = client.response("POST").json()
    eq((answer["length"], answer["is_pattern"]), (500000, True), "the upload")
    stage = Stage(TUNNEL, Backend())
    client = Forge(stage.port, stage.authority, NAME)
    for at in range(0, 300000, 1000):
        client.forge(client.forged(DATA, pattern(1000, at)) + client.key_update(True))
    upstream = stage.backend.accept()
    verify(upstream.read(300000), 300000)
    upstream.send("done")
    eq(client.read(4), b"done", "behind as many changes of our own key")


@test("a client that never reads while it sends requests over TLS is held back, then ended", timeout=60)
def never_reads():
    stage = Stage(ONE + "config: {timeouts: {clientReadStall: 1s}}\n", workers=1)
    client = stage.client(rcvbuf=4096)
    client.socket.settimeout(1)
    flight = f"GET /bytes/1000000 HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode() * 100
    before = stage.gateway.rss_bytes()
    try:
        for _ in range(2000):
            client.socket.sendall(flight)
    except (OSError, ssl.SSLError):
        pass
    check(stage.gateway.rss_bytes() - before < 16 << 20, "memory")
    alive(stage, "a client that does not read")
    wait_until(lambda: not stage.gateway.streams(), 10, "the end of the client that does not read")
