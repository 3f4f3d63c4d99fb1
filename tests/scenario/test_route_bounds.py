# SPDX-License-Identifier: Apache-2.0
"""Matching a route costs little, whatever a client sends."""
from hg import *
from plays import play

REGEX = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: evil
      matches: [{path: {regex: "/(a+)+b"}}]
      policies: {directResponse: {status: 418}}
      backends: []
    - name: rest
      backends: [{host: @origin@}]
"""


@test("a regular expression that runs away is stopped, does not match, and is counted")
def regex_bound():
    gateway, _ = play(REGEX)
    eq(gateway.fetch("/aaab").status, 418, "status where it matches")
    eq(gateway.metrics()("headgate_route_regex_gave_up_total"), 0, "given up so far")
    seconds, answer = timed(gateway.fetch, "/" + "a" * 60 + "cb")
    eq(answer.status, 404, "status of httpbin for the path")
    check(seconds < 0.2 + tolerance(0), f"the request took {seconds:.3f} s")
    eq(gateway.metrics()("headgate_route_regex_gave_up_total"), 1, "given up")
