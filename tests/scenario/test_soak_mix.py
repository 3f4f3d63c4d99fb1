# SPDX-License-Identifier: Apache-2.0
"""Random requests of every kind, many at once: each answer is what the backend gives without a gateway."""
import os
import random
import threading
import time

from hg import *
from hg.http1 import build_request
from plays import HALF_CLOSE_KEPT, SIMPLE, play

SIZES = (0, 1, 100, 4096, 16384, 65536, 70001, 262144, 600000)
NOT_COMPARED = {"connection", "date", "keep-alive", "transfer-encoding", "content-length", "trailer"}
CONFIG = SIMPLE + """
    - name: direct
      matches: [{path: {pathPrefix: /direct}}]
      policies: {directResponse: {status: 418, body: teapot}}
""" + HALF_CLOSE_KEPT


class Ask:
    """One request. key: what its answer depends on."""

    def __init__(self, method, target, headers=(), body=None, chunks=None, trailers=""):
        self.method, self.target = method, target
        text = build_request(method, target, "mix.test", headers, chunks if chunks is not None else body,
                             chunks is not None)
        self.text = text[:-2] + trailers.encode() + b"\r\n" if trailers else text
        self.key = self.text


def some_request(dice):
    size = dice.choice(SIZES)
    kind = dice.randrange(13)
    if kind == 0:
        return Ask("GET", f"/bytes/{size}?offset={dice.randrange(100000)}")
    if kind == 1:
        chunk = dice.choice((300, 999, 16384, 200000))
        return Ask("GET", f"/stream-bytes/{size}?chunk={chunk}&trailer={dice.randrange(2)}")
    if kind == 2:
        return Ask("GET", f"/close-delimited/{size}")
    if kind == 3:
        return Ask("HEAD", f"/bytes/{size}")
    if kind == 4:
        return Ask(dice.choice(("GET", "POST", "DELETE", "OPTIONS")),
                   f"/status/{dice.choice((200, 204, 304, 404, 500, 599))}?body=b")
    if kind == 5:
        return Ask(dice.choice(("POST", "PUT")), "/echo", body=pattern(size))
    if kind == 6:
        cuts = sorted(dice.randrange(size + 1) for _ in range(dice.randrange(6)))
        whole = pattern(size)
        chunks = [whole[a:b] for a, b in zip([0] + cuts, cuts + [size])]
        return Ask("POST", "/echo", chunks=chunks, trailers=dice.choice(("", "X-End: 1\r\n")))
    if kind == 7:
        return Ask("POST", "/upload", body=pattern(size))
    if kind == 8:
        return Ask("GET", f"/informational?code={dice.choice((102, 103))}&n={dice.randint(1, 5)}")
    if kind == 9:
        return Ask("GET", f"/response-headers?X-A=1&X-B={dice.randrange(9)}&X-A=2&Set-Cookie=a%3Db")
    if kind == 10:
        return Ask("GET", f"/delay/0.0{dice.randrange(3)}?body={size}")
    if kind == 11:
        return Ask("GET", "/direct/x")
    return Ask("POST", "/early/201", body=pattern(size))


def summary(answer):
    """What must be the same with and without a gateway."""
    body = answer.body
    if answer.headers["Content-Type"] == "application/json" and b'"connection"' in body:
        kept = ("length", "crc32", "is_pattern", "body_is_pattern")
        shown = {k: v for k, v in answer.json().items() if k in kept}
        body = repr(shown).encode()
    fields = [pair for pair in answer.headers.pairs if pair[0].lower() not in NOT_COMPARED]
    return (answer.status, fields, len(body), body, answer.trailers.pairs, [i.status for i in answer.interim])


class Direct:
    """Answers of the backend itself, asked once each."""

    def __init__(self, origin):
        self.origin, self.known, self.lock = origin, {}, threading.Lock()

    def answer(self, ask):
        if ask.target.startswith("/direct"):
            return None
        with self.lock:
            if ask.key not in self.known:
                client = Raw(self.origin.port)
                self.known[ask.key] = summary(client.send(ask.text).response(ask.method))
                client.close()
            return self.known[ask.key]


def same(ask, got, direct):
    want = direct.answer(ask)
    if want is None:
        eq((got.status, got.body), (418, b"teapot"), ask.target)
        return
    have = summary(got)
    if have != want:
        raise Failure(f"{ask.method} {ask.target}: through the gateway {str(have)[:300]}, without "
                      f"{str(want)[:300]}")


def converse(gateway, direct, dice):
    """Pipelined requests in random pieces; sometimes the client breaks off, or breaks the rules."""
    asks = [some_request(dice) for _ in range(dice.choice((1, 1, 2, 3, 8)))]
    manner = dice.randrange(20)
    client = gateway.client(rcvbuf=dice.choice((None, None, 8192)))
    script = b"".join(ask.text for ask in asks)
    if manner == 0:
        script += dice.choice((b"BAD\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                               b"GET / HTTP/3.0\r\n\r\n"))
    cuts = sorted(dice.randrange(len(script) + 1) for _ in range(dice.randrange(5)))
    pieces = [script[a:b] for a, b in zip([0] + cuts, cuts + [len(script)])]

    def send():
        try:
            for piece in pieces:
                client.socket.sendall(piece)
            if manner == 1:
                client.fin()
        except OSError:
            pass

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    if manner == 2:
        time.sleep(dice.random() * 0.02)
        client.rst() if dice.randrange(2) else client.close()
        sender.join(10)
        return 0
    for ask in asks:
        same(ask, client.response(ask.method), direct)
    sender.join(30)
    if manner == 0:
        check(client.response().status in (400, 505), "the malformed request")
        client.expect_end(5)
    if manner == 1:
        client.expect_fin()
    client.close()
    return len(asks)


@test("a random mix gives the answers of the backend itself", timeout=120, heavy=True, soak=True)
def mix():
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    note(f"SEED={seed}")
    gateway, origin = play(CONFIG, workers=2)
    direct = Direct(origin)
    end = time.monotonic() + soak_seconds(20)
    failures, counts = [], [0] * 8

    def work(number):
        dice = random.Random(seed * 1000 + number)
        while time.monotonic() < end and not failures:
            try:
                counts[number] += converse(gateway, direct, dice)
            except BaseException as error:  # pylint: disable=broad-except
                failures.append(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()) + 60)
        check(not thread.is_alive(), f"a conversation hangs (SEED={seed}): {gateway.streams()}")
    note(f"{sum(counts)} answers compared")
    if failures:
        raise Failure(f"SEED={seed}: {failures[0]!r}")
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")
    eq(gateway.metrics()("headgate_relay_buffered_bytes"), 0, "buffered bytes afterwards")
