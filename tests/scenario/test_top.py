# SPDX-License-Identifier: Apache-2.0
"""headgate top in a terminal: what it shows at 80 and at 200 columns, and what its keys do."""
import re

from hg import *
from hg.framework import binary
from hg.gateway import SANITIZER_ENV
from hg.terminal import Terminal

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: brief
      matches: [{path: {exact: /delay/60}, headers: [{name: x-brief, value: {exact: "1"}}]}]
      policies: {timeout: {requestTimeout: 100ms}}
      backends: [{host: @origin@}]
    - name: slow
      policies: {timeout: {requestTimeout: 900s}}
      backends: [{host: @origin@}]
"""
ESCAPE = "\x1b"


def top(gateway, columns, env=None):
    argv = [binary("headgate"), "top", "--interval", "0.1", "--admin", f"127.0.0.1:{gateway.admin_port}"]
    return Terminal(argv, columns, env={**SANITIZER_ENV, **(env or {})})


def start_stream(gateway):
    before = len(gateway.streams())
    client = gateway.client().request("GET", "/delay/60")
    wait_until(lambda: len(gateway.streams()) == before + 1 and
               all(stream["state"] == "wait_head" for stream in gateway.streams()), 10, "the stream")
    return client


def left_seconds(lines):
    """Of the first stream."""
    match = re.search(r" (?:(\d+)m)?(\d+)s$", lines[3])
    return int(match.group(1) or 0) * 60 + int(match.group(2)) if match else None


@test("headgate top at 80 columns: endpoint and port, what the stream waits for, a deadline that runs down")
def narrow():
    gateway = Gateway(CONFIG, origin=Origin())
    start_stream(gateway)
    screen = top(gateway, 80)
    lines = screen.see(lambda lines: left_seconds(lines) is not None)
    check(lines[0].startswith("1 streams, "), lines[0])
    eq(lines[2].split(), ["B/s", "AGE", "STATE", "LANE", "ENDPOINT", "TIMER", "LEFT"], "titles")
    endpoint = gateway.streams()[0]["endpoint"]
    check(f" wait_head copy         {endpoint} " in lines[3] and " request_timeout " in lines[3], lines[3])
    check(all(len(line) <= 80 for line in lines), lines)
    check("? help" in lines[-1], lines[-1])
    first = left_seconds(lines)
    screen.see(lambda lines: left_seconds(lines) is not None and left_seconds(lines) < first)
    screen.type("q")
    screen.expect_exit()


@test("headgate top at 200 columns: client, route and request; a change of the size; no gateway")
def wide():
    gateway = Gateway(CONFIG, origin=Origin())
    client = start_stream(gateway)
    screen = top(gateway, 200)
    lines = screen.see("/delay/60")
    for word in ("ROUTE", "CLIENT", "IN", "OUT", "PROTOCOL", "ID", "REQUEST"):
        check(word in lines[2].split(), f"no {word}: {lines[2]}")
    for text in (client.local, " default/slow ", f" {gateway.streams()[0]['id']} ",
                 f"GET 127.0.0.1:{gateway.port}/delay/60"):
        check(text in lines[3], f"no {text}: {lines[3]}")
    screen.resize(80, 10)
    lines = screen.see(lambda lines: lines[2].endswith("LEFT") and "? help" in lines[9])
    check("/delay/60" not in lines[3] and "wait_head" in lines[3], lines[3])
    screen.resize(120, 30)
    screen.see(lambda lines: "ROUTE" in lines[2] and "? help" in lines[29])
    client.close()
    screen.see("no streams")
    gateway.stop()
    screen.see("no process listens there")
    screen.type("q")
    screen.expect_exit()


@test("the keys of headgate top: order, filter, freeze, details, close after a question, help")
def keys():
    gateway = Gateway(CONFIG, origin=Origin())
    client = start_stream(gateway)
    number = gateway.streams()[0]["id"]
    screen = top(gateway, 80)
    screen.see("by rate")
    screen.type("sr")
    screen.see("by bytes, reversed")
    screen.type("/absent")
    screen.see("filter: absent_")
    screen.see("no stream passes the filter")
    screen.type("\n")
    screen.see("0 of 1 streams")
    screen.type(ESCAPE)
    screen.see(lambda lines: "wait_head" in lines[3] and "filter" not in lines[1])
    screen.type("/SLOW\x7f\x7fow\n")
    screen.see(lambda lines: lines[1].endswith("filter: SLow") and "wait_head" in lines[3])
    screen.type("p")
    screen.see("frozen")
    second = start_stream(gateway)
    screen.type("s")
    lines = screen.see("by age")
    check(lines[0].startswith("1 streams"), f"not frozen: {lines[0]}")
    screen.type(" ")
    screen.see("2 streams")
    second.close()
    screen.see("1 streams")
    screen.type("\n")
    screen.see("waiting for the response head")
    screen.see(f"stream {number}")
    screen.type(ESCAPE)
    screen.see("by age")
    screen.type("?")
    screen.see("next order")
    screen.type(ESCAPE)
    screen.see("by age")
    screen.type("c")
    screen.see(f"close stream {number}? y: yes")
    screen.type("n")
    screen.see("? help")
    eq(len(gateway.streams()), 1, "streams after no")
    screen.type("cy")
    screen.see("no streams")
    client.expect_rst()
    screen.type("q")
    screen.expect_exit()


@test("the history of headgate top: how streams ended, and which timer fired")
def history():
    gateway = Gateway(CONFIG, origin=Origin())
    eq(gateway.fetch("/delay/60", headers=[("x-brief", "1")]).status, 504, "the deadline")
    eq(gateway.fetch("/get").status, 200, "status")
    screen = top(gateway, 80)
    screen.see("no streams")
    screen.type("h")
    lines = screen.see("2 ended streams")
    eq(lines[2].split(), ["ENDED", "TOOK", "STA", "WHY", "TIMER", "OUT", "ENDPOINT"], "titles")
    eq(lines[3].split()[2:4], ["200", "ok"], "the last one")
    eq(lines[4].split()[2:5], ["504", "request_timeout", "fired"], "the one before")
    screen.type("\x1b[B\n")
    lines = screen.see("no response head within requestTimeout")
    check(any(re.match(r"timer +request_timeout$", line) for line in lines), lines)
    check(not any("lane_bytes_out.copy" in line for line in lines), "the last line is on the screen")
    screen.type("\x1b[B" * 20)
    screen.see("lane_bytes_out.copy")
    screen.type(ESCAPE)
    screen.see("2 ended streams")
    screen.type("h")
    screen.see("no streams")
    screen.type("q")
    screen.expect_exit()


@test("headgate top on a terminal that cannot be drawn on prints tables")
def dumb():
    gateway = Gateway(CONFIG, origin=Origin())
    screen = top(gateway, 80, env={"TERM": "dumb"})
    screen.see(lambda lines: sum(line.startswith("0 streams, ") for line in lines) > 2)
    gateway.stop()
    screen.expect_exit(1)
