# SPDX-License-Identifier: Apache-2.0
"""A gateway that is its own backend."""
import itertools

from hg import *
from hg.h2 import fetch2

SELF = """
config: {backend: {poolMaxSize: 0}, @forwarded@}
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: 127.0.0.1:@port@
- port: @tcp@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: 127.0.0.1:@tcp@
"""
CHAIN = """
config: {backend: {poolMaxSize: 0}}
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @next@
"""


def marks(answer):
    return [name.strip() for line in answer.json()["headers"].get("CDN-Loop", []) for name in line.split(",")]


@test("a gateway that is its own backend answers 508, once, with a reason of its own, over HTTP/1 and HTTP/2")
def self_backend():
    for forwarded in "workerThreads: 2", "forwarded: {mode: 'off'}", "via: true":
        gateway = Gateway(SELF, forwarded=forwarded)
        answer = gateway.fetch("/get")
        eq((answer.status, answer.text), (508, "loop detected"), f"answer with {forwarded}")
        eq(fetch2(gateway.port, "/get").status, 508, f"answer over HTTP/2 with {forwarded}")
        metrics = gateway.metrics()
        # The mark is missing on the first lap where a trace is left by other fields: laps 0 to 4, or to 3.
        check(metrics("agentgateway_requests_total") <= 10, f"requests with {forwarded}")
        gateway.wait_log(lambda record: record.status == 508 and record["close_reason"] == "loop")


@test("a loop over another proxy is found, and the gateway in it that is no loop of its own does not say so")
def indirect():
    first = Gateway(CHAIN, next="127.0.0.1:1")
    second = Gateway(CHAIN, next=f"127.0.0.1:{first.port}")
    first.names["next"] = f"127.0.0.1:{second.port}"
    first.reload(CHAIN)
    eq(first.fetch("/get").status, 508, "status")
    eq(second.fetch("/get").status, 508, "status of the other way round")


@test("a chain of gateways is no loop, nor is a request that says it went through others")
def chain():
    origin = Origin()
    gateways = [Gateway(CHAIN, next=origin.address)]
    for _ in range(5):
        gateways.append(Gateway(CHAIN, next=f"127.0.0.1:{gateways[-1].port}"))
    answer = gateways[-1].fetch("/anything")
    eq(answer.status, 200, "status through six gateways")
    names = marks(answer)
    eq((len(names), len(set(names))), (5, 5), f"marks of those behind the first: {names}")
    eq(marks(gateways[0].fetch("/anything")), [], "marks where nobody has forwarded before")
    foreign = ", ".join(f"headgate-{number:016x}" for number in range(20))
    eq(gateways[0].fetch("/anything", headers=[("CDN-Loop", foreign)]).status, 200, "status behind others")


@test("a gateway that passes a request to itself for a reason is no loop")
def through_itself():
    ports = "".join(f"""
- port: @p{number}@
  listeners:
  - routes:
    - backends:
      - host: {target}
""" for number, target in [("a", "127.0.0.1:@pb@"), ("b", "127.0.0.1:@pc@"), ("c", "@origin@")])
    gateway = Gateway("config: {backend: {poolMaxSize: 0}}\nbinds:" + ports, origin=Origin())
    eq(gateway.client("pa").get("/get", [("Connection", "close")]).status, 200, "status through three ports")


@test("a TCP port that is its own backend resets the client instead of filling the gateway with connections")
def tcp_self():
    gateway = Gateway(SELF, forwarded="workerThreads: 1")
    try:
        gateway.client("tcp").expect_rst(5)
    except ConnectionResetError:
        pass
    wait_until(lambda: gateway.metrics()("headgate_stream_end_total", reason="loop") >= 1, 5, "the reason")
    eq(gateway.metrics()("headgate_downstream_accepted_total"), 1, "connections accepted")
