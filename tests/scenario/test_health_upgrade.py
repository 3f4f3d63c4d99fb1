# SPDX-License-Identifier: Apache-2.0
"""Health of endpoints at an upgrade: the new program begins with the verdicts of the old one."""
import os
import signal

from crashes import NewProcess
from hg import *
from healthservers import ADDRESSES, await_out, entries, gateway_of, out, servers, statuses


def upgrade(gateway):
    """Returns the program that has taken over, when the old one has ended."""
    old = gateway.pid
    os.kill(old, signal.SIGUSR2)
    new = NewProcess(gateway)
    eq(gateway.wait(20), 0, "exit status of the old program")
    return new


def rewrite(gateway, old, new):
    """Changes the file for the program to come; should the old one load it, its verdicts stay."""
    path = gateway.files["config.yaml"]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    check(old in text, f"no {old!r} in the configuration")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


@test("an endpoint that is dead, or ejected, gets no request after an upgrade until it is checked")
def verdicts():
    for health, kill, late in (
            ("active: {type: HTTP, timeout: 5s, unhealthyThreshold: 1, initialJitter: 0s, interval: 50ms}",
             lambda server: setattr(server, "health", 503), ("initialJitter: 0s, interval: 50ms",
                                                             "initialJitter: 900s, interval: 900s")),
            ("passive: {consecutive5XxErrors: 1, baseEjectionTime: 900s}",
             lambda server: setattr(server, "status", 500), None),
            ("eviction: {consecutiveFailures: 1, duration: 900s}",
             lambda server: setattr(server, "status", 500), None)):
        port, (bad, *_) = servers()
        gateway = gateway_of(port, health, keeper=True, checked=False)
        kill(bad)
        wait_until(lambda: statuses(gateway, 5) and out(gateway) == {bad.address}, 20, "the verdict")
        left = entries(gateway)[bad.address]["evicted_left_ms"]
        if late:
            rewrite(gateway, *late)
        new = upgrade(gateway)
        bad.health = bad.status = 200
        before = bad.requests
        eq(statuses(gateway, 60), {200: 60}, f"statuses, {health}")
        eq((bad.requests, out(gateway)), (before, {bad.address}), f"requests of the dead one, {health}")
        entry = entries(gateway)[bad.address]
        eq((entry["evictions_in_a_row"], 0 < entry["evicted_left_ms"] <= left),
           (0, False) if late else (1, True), f"the entry, {health}")
        if late:
            eq(entry["checks"]["last_failure"], "out in the program before the upgrade", "the reason")
        new.stop()


@test("the first check of the new program decides about an endpoint that was dead in the old one")
def checked():
    port, (bad, *_) = servers()
    gateway = gateway_of(port, "active: {type: HTTP, timeout: 5s, interval: 50ms, unhealthyThreshold: 1, "
                               "healthyThreshold: 1000000}", keeper=True, checked=False)
    bad.health = 503
    await_out(gateway, bad.address)
    bad.health = 200
    wait_until(lambda: entries(gateway)[bad.address]["checks"]["passed"] > 3, 20, "checks that pass")
    eq(out(gateway), {bad.address}, "out in the old one: healthyThreshold is far away")
    new = upgrade(gateway)
    await_out(gateway)
    eq(set(entries(gateway)), set(ADDRESSES), "endpoints")
    new.stop()
