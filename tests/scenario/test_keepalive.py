# SPDX-License-Identifier: Apache-2.0
"""Connections are kept on both sides, and nothing is lost between two requests."""
import re

from hg import *
from plays import HALF_CLOSE_KEPT, SIMPLE, play


@test("requests of one client connection share one backend connection")
def one_and_one():
    gateway, _ = play()
    client = gateway.client()
    for number in range(1, 51):
        answer = client.get("/anything").json()
        eq((answer["connection"], answer["request"]), (1, number), "backend connection and request on it")
    metrics = gateway.metrics()
    eq(metrics("headgate_upstream_connects_total"), 1, "connects")
    eq(metrics("headgate_upstream_pool_reused_total"), 49, "reuses")


@test("a backend connection outlives the client that made it")
def pool_serves_others():
    gateway, _ = play()
    for number in range(1, 6):
        eq(gateway.fetch("/anything").json()["request"], number, "request on the one backend connection")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 1, "connects")


@test("Connection: close is answered with the same and with FIN, in any spelling")
def close_asked():
    gateway, _ = play()
    for value in ("close", "Close", "keep-alive, close", " close ,x"):
        client = gateway.client()
        answer = client.get("/anything", [("Connection", value)])
        eq(answer.header("Connection"), "close", f"Connection after {value!r}")
        check("connection" not in (h.lower() for h in answer.json()["headers"]),
              "Connection reached the backend")
        client.expect_fin()


@test("the backend's Connection: close ends its connection and not the client's")
def backend_closes():
    gateway, _ = play()
    client = gateway.client()
    first = client.get("/close/after")
    eq((first.status, first.header("Connection")), (200, None), "status and Connection")
    eq(client.get("/anything").json()["connection"], 2, "backend connection of the next request")


@test("a client that leaves between two requests leaves nothing behind")
def leaves():
    gateway, _ = play()
    for end in ("fin", "rst", "close"):
        client = gateway.client()
        eq(client.get("/get").status, 200, "status")
        getattr(client, end)()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 0, 5,
               "no client connection")


@test("with halfClose: keep a client that half-closes behind its request gets the whole answer")
def half_closed_client():
    gateway, _ = play(SIMPLE + HALF_CLOSE_KEPT)
    client = gateway.client().request("GET", "/delay/0.2?body=5000").fin()
    eq(verify(client.response().body, 5000), crc32(5000), "checksum")
    client.expect_fin()


@test("a head in one-byte pieces and a head together with the next one are the same requests")
def pieces():
    gateway, _ = play()
    client = gateway.client()
    text = "GET /anything?a=1 HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n"
    client.send(*text)
    whole = client.response().json()
    client.send(text)
    again = client.response().json()
    for answer in (whole, again):
        answer.pop("request")
    eq(whole, again, "what the backend saw")


@test("an idle connection is closed silently, also one that never sent a byte")
def silent_close():
    gateway, _ = play(SIMPLE + "frontendPolicies:\n  http: {http1IdleTimeout: 1s}\n")
    with within(1.0, "the close of a connection that never sent a byte"):
        gateway.client().expect_fin()
    client = gateway.client()
    with within(1.0, "the close after a request"):
        eq(client.get("/get").status, 200, "status")
        client.expect_fin()
    gateway.wait_log()
    eq(len(gateway.log()), 1, "log lines: one a request, none for an idle close")


@test("512 kept connections are served without an error", heavy=True, needs=("wrk",))
def many_connections():
    gateway, _ = play(workers=2)
    done = 0
    while done < 2048:  # some a connection
        result = wrk(gateway.port, "/bytes/512", seconds=2, connections=512, threads=2)
        eq(result.errors, 0, f"errors ({result.output})")
        done += result.requests
    opened = gateway.metrics()("headgate_upstream_connects_total")
    check(opened <= 600, f"{opened} backend connections for 512 clients: they were not reused")


@test("20 000 requests, and 100 000 in `make thorough`, without one error", heavy=True, needs=("wrk",),
      timeout=120, measures=True)
def many_requests():
    gateway, origin = play(workers=2)
    done = rounds = 0
    while done < (100000 if is_thorough() else 20000):
        result = wrk(gateway.port, "/anything", seconds=2, connections=64)
        eq(result.errors, 0, f"errors ({result.output})")
        done += result.requests
        rounds += 1
    note(f"{done} requests")
    wait_until(lambda: gateway.metrics()("headgate_streams_open") == 0, 5, "the ends of all")
    metrics = gateway.metrics()
    counted = metrics("agentgateway_requests_total", status="200")
    check(counted >= done, f"requests_total says {counted} of {done}")
    eq(metrics("headgate_http_bad_requests_total"), 0, "bad requests")
    # wrk leaves with a request under way on each connection: those were processed, and answered to nobody.
    processed = metrics("agentgateway_request_processing_seconds_count")
    check(counted <= processed <= counted + 64 * rounds, f"{processed} times for {counted} answers")
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")
    check(not re.search(r"\b(warn|error)\b", gateway.stderr), f"quiet stderr: {gateway.stderr}")
