# SPDX-License-Identifier: Apache-2.0
"""What the plays about the lane direct share. Both ends are sockets of the test, on this host; the same play
runs without any kernel lane as well."""
import random
import re
import time

from hg import *
from splice import in_background

LANES = ("off", "direct")
SPLICE = {
    "off": "mode: off",
    "direct": "lanes: [direct], force: true",
    "all": "lanes: [pipe, sockmap, direct], force: true, adaptive: false",
}
CONFIG = """
config: {splice: {@splice@}, timeouts: {@timeouts@}, connectionTerminationDeadline: 2s}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    splice: @listener@
    tcpRoutes:
    - name: tunnel
      backends:
      - host: @origin@
        splice: @backend@
"""
MIB = 1 << 20


def acted(lane, config=CONFIG, timeouts="", listener="sameHost", backend="sameHost", **options):
    """(gateway, backend): the test plays the backend."""
    options = {"workers": 1, **options}
    origin = Backend()
    gateway = Gateway(config, origin=origin, splice=SPLICE[lane], timeouts=timeouts, listener=listener,
                      backend=backend, **options)
    if lane != "off":
        need_lane(gateway, "direct")
    return gateway, origin


def tunnel(gateway, backend, lane="off", warm=True, **options):
    """(client, upstream) of a tunnel, in the lane in both directions."""
    client = gateway.client(**options)
    upstream = backend.accept()
    if warm:
        settle(gateway, client, upstream, lane)
    return client, upstream


def settle(gateway, client, upstream, lane):
    """Round trips of bytes until the last ones both ways went by the lane."""
    def both():
        before = totals(gateway)
        client.send(b"c")
        eq(upstream.read(1), b"c", "a byte up")
        upstream.send(b"u")
        eq(client.read(1), b"u", "a byte down")
        after = totals(gateway)
        return all(after[way][lane] > before[way][lane] for way in ("in", "out"))
    if lane == "off":
        client.send(b"c")
        eq(upstream.read(1), b"c", "a byte up")
        upstream.send(b"u")
        eq(client.read(1), b"u", "a byte down")
        return
    wait_until(both, 5, f"both directions in lane {lane}: {totals(gateway)}")


def totals(gateway):
    """{"in"|"out": {lane: bytes}} of all streams there have been; the list brings the counters up to date."""
    gateway.streams()
    found = {"in": {}, "out": {}}
    for _, _, labels, value in gateway.metrics().families["headgate_spliced_bytes_total"].samples:
        found[labels["direction"]][labels["lane"]] = int(value)
    return found


def write_random(raw, size, seed, most=200000):
    """The pattern, in writes of random sizes with pauses now and then."""
    dice = random.Random(seed)
    at = 0
    while at < size:
        count = min(dice.choice((1, 100, 5000, most)) * dice.randint(1, 3), size - at)
        raw.send(pattern(count, at))
        at += count
        if dice.random() < 0.05:
            time.sleep(dice.random() * 0.01)


def read_random(raw, size, seed):
    """Reads and verifies the pattern, in reads of random sizes with pauses now and then."""
    dice = random.Random(seed)
    checker = PatternCheck()
    while checker.received < size:
        data = raw.read_some(min(dice.choice((10, 3000, 70000, 1 << 18)), size - checker.received))
        check(data, f"FIN after {checker.received} of {size} bytes")
        checker.feed(data)
        if dice.random() < 0.03:
            time.sleep(dice.random() * 0.01)


def both_ways(client, upstream, size, seed=0):
    """Random writers and readers on both sides at once."""
    tasks = [in_background(write_random, client, size, seed + 1),
             in_background(write_random, upstream, size, seed + 2),
             in_background(read_random, client, size, seed + 3),
             in_background(read_random, upstream, size, seed + 4)]
    for task in tasks:
        task.result(60)


def warning_lines(gateway, word):
    return [line for line in gateway.stderr.split("\n") if re.search(word, line)]
