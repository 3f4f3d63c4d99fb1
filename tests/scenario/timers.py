# SPDX-License-Identifier: Apache-2.0
"""What the plays about deadlines have in common: which timer fired, when, and where that can be read."""
import collections
import re

from hg import check, eq, machine, wait_until
from hg.framework import check_time

TIMED_ROUTE = """
config: {exposeCloseReason: true, timeouts: %(timeouts)s}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: %(policies)s
      backends:
      - host: @origin@
        policies: %(backend)s
"""


CLOCK = """  - routes:
    - name: clock
      matches: [{path: {pathPrefix: /clock}}]
      policies: {delay: {duration: %s}, directResponse: {status: 200}}
"""


def with_clock(config, duration):
    """The configuration, and a route /clock that the gateway itself answers after a duration, or after the
    milliseconds that an expression gives. A worker fires its timers in the order in which they are due,
    however late it is: so the answer of /clock proves by its place, not by a time, what was due before it.
    """
    return config.replace("  - routes:\n", CLOCK % f'"{duration}"', 1)


def expect_over(connection, what):
    """The connection has ended by now: nothing but the kernel may still be busy with its end."""
    check(machine.readable(connection.socket, 0.2), f"{what}: the connection is open")
    return connection.expect_end()


def deadlines_passed(gateway):
    """{deadline: how often the timer of a stream fired for it}, by the last records of /trace."""
    return collections.Counter(re.findall(r" timer deadline=(\w+)", gateway.admin("/trace").text))


def expect_fired(gateway, timer, count=1):
    """timer_fired_total{timer=} says count, and every other timer 0."""
    def fired():
        metrics = gateway.metrics()
        return metrics("headgate_timer_fired_total", timer=timer) >= count and metrics
    metrics = wait_until(fired, 5, f"timer_fired_total{{timer={timer}}}")
    eq(metrics("headgate_timer_fired_total", timer=timer), count, f"timer_fired_total{{timer={timer}}}")
    eq(metrics("headgate_timer_fired_total"), count, "all timers that fired")


def expect_reason(gateway, reason, status=None, seconds=None, error=None):
    """The last line of the access log and the last entry of the history say the same reason."""
    record = gateway.wait_log(lambda r: r["close_reason"] == reason)
    past = wait_until(lambda: [s for s in gateway.admin_json("/streams?history=1")
                               if s["state"] == "closed" and s["close_reason"] == reason], 5,
                               "the history")[0]
    if status is not None:
        eq(record.status, status, "status in the access log")
        eq(past["status"], status, "status in the history")
    if error is not None:
        eq(record.get("error"), error, "error in the access log")
        eq(past["error"], error, "error in the history")
    if seconds is not None:
        check_time(record.duration_ms / 1000, seconds, "the exchange, by the access log,")
    check(past["close_explanation"], "the history explains the reason")
    return record


def expect_timeout(response, body, timer=None):
    """A 504 of ours with this text."""
    eq((response.status, response.text), (504, body), "status and body")
    eq(response.header("Content-Type"), "text/plain", "Content-Type")
    eq(response.header("x-headgate-close-reason"), timer, "x-headgate-close-reason")
