# SPDX-License-Identifier: Apache-2.0
"""Everything goes wrong at once: no conversation hangs, nothing crashes, and afterwards all is at rest."""
import os
import random
import threading
import time

from hg import *
from plays import play

CONFIG = """
config:
  timeouts: {clientHeaderMin: 900ms, streamIdle: 700ms, tunnelIdle: 700ms, halfClosed: 300ms}
  backend: {poolIdleTimeout: 300ms, poolMaxSize: 3}
frontendPolicies:
  http: {http1IdleTimeout: 900ms}
binds:
- port: @port@
  listeners:
  - routes:
    - name: retried
      matches: [{path: {pathPrefix: /unstable}}, {path: {pathPrefix: /close}}]
      policies:
        retry: {attempts: 2, backoff: 5ms, codes: [503]}
        timeout: {requestTimeout: 600ms, backendRequestTimeout: 200ms}
      backends: [{host: @origin@}, {host: "127.0.0.1:@closed@"}]
    - name: dead
      matches: [{path: {pathPrefix: /dead}}]
      backends: [{host: "127.0.0.1:@closed@"}, {host: "no-such-name.invalid:1"}]
    - name: late
      matches: [{path: {pathPrefix: /delay}}]
      policies: {timeout: {requestTimeout: 100ms}}
      backends: [{host: @origin@}]
    - name: rest
      matches: [{path: {pathPrefix: /}}]
      backends: [{host: @origin@}]
"""
PATHS = """/close/rst /close/fin /close/mid-head /close/mid-head?rst=1 /close/mid-body /close/rst-mid-body
    /close/mid-chunk /close/mid-chunk?rst=1 /close/after /close/silent /close/silent?rst=1
    /bad/dup-cl /bad/extra-bytes /bad/late-bytes?ms=5 /bad/bad-second-chunk /bad/204-body
    /bad/101-unasked /bad/too-many-1xx /bad/huge-head /dead /unstable?key=a&fail=2
    /unstable?key=b&mode=rst&fail=1 /unstable?key=c&mode=delay&delay=1&fail=1 /delay/0.3 /early/200
    /early/413 /early/413?close=1 /early/200?close=hard /expect-reject /echo /upload /bytes/300000
    /close-delimited/100000 /stream-bytes/200000 /bytes/20000000 /sse?n=50&interval=5
    /drip?duration=0.2 /anything /ws-refuse /upgrade-raw /status/204""".split()


def some_bytes(dice):
    """A request, sometimes with a body that lies about itself, sometimes cut off."""
    path, size = dice.choice(PATHS), dice.choice((0, 5, 3000, 90000, 400000))
    kind = dice.randrange(10)
    if kind < 4:
        text = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    elif kind < 6:
        text = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + pattern(size)
    elif kind < 8:
        text = f"PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        text += b"%x\r\n%s\r\n" % (size, pattern(size)) if size else b""
        text += dice.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"zz\r\n"))
    elif kind == 8:
        # Asked for, /bad/101-unasked is a good answer, and the backend goes on to read HTTP.
        path = "/upgrade-raw" if path == "/bad/101-unasked" else path
        text = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw".encode()
    else:
        text = (f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
                ).encode() + pattern(dice.randrange(size + 1))
    return text[:dice.randrange(len(text))] if dice.randrange(6) == 0 else text


def converse(gateway, dice):
    """Sends something, reads what comes, and leaves in some way. Failure when the gateway never ends it."""
    client = gateway.client(rcvbuf=dice.choice((None, 4096)))
    client.socket.settimeout(20 * factor())
    try:
        for _ in range(dice.randint(1, 4)):
            client.socket.sendall(some_bytes(dice))
            if dice.randrange(4) == 0:
                time.sleep(dice.random() * 0.05)
        manner = dice.randrange(4)
        if manner == 0:
            client.rst()
            return
        if manner == 1:
            client.close()
            return
        if manner == 2:
            client.fin()
        while client.socket.recv(1 << dice.randrange(4, 20)):
            pass
    except TimeoutError:
        raise Failure(f"a conversation hangs: {gateway.streams()}") from None
    except OSError:
        pass
    client.close()


@test("faults of every kind at once end every conversation and leave the gateway at rest", timeout=120,
      heavy=True, soak=True)
def faults():
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    note(f"SEED={seed}")
    gateway, origin = play(CONFIG, workers=2, origin_options={"close_idle_ms": 40})
    end = time.monotonic() + soak_seconds(8)
    failures, counts = [], [0] * 12

    def work(number):
        dice = random.Random(seed * 1000 + number)
        while time.monotonic() < end and not failures:
            try:
                converse(gateway, dice)
                counts[number] += 1
            except BaseException as error:  # pylint: disable=broad-except
                failures.append(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(len(counts))]
    for thread in threads:
        thread.start()
    while time.monotonic() < end and not failures:
        time.sleep(0.7)
        origin.restart()
    for thread in threads:
        thread.join(60 * factor())
    note(f"{sum(counts)} conversations")
    if failures:
        raise Failure(f"SEED={seed}: {failures[0]!r}")
    check(not any(thread.is_alive() for thread in threads), f"a conversation hangs: {gateway.streams()}")
    eq(origin.malformed(), [], "malformed requests at the backend")
    eq(gateway.metrics()("headgate_relay_buffered_bytes"), 0, "buffered bytes afterwards")
