# SPDX-License-Identifier: Apache-2.0
"""What is tried again, how often, after what pause, and with what body."""
import time

from hg import *
from hg.framework import check_time
from hg.h2 import H2Client
from plays import HALF_CLOSE_KEPT, acted, play, retrying
from timers import deadlines_passed, expect_reason

def expect_retries(gateway, count):
    """The last log line and the counter say so many retries of one request."""
    eq(gateway.wait_log().get("retry.attempt"), str(count) if count else None, "retry.attempt")
    eq(gateway.metrics()("agentgateway_retries_total"), count, "retries_total")


# ---- what is repeated ------------------------------------------------------------------------------------


@test("a status of codes is tried again, attempts times after the first attempt")
def codes():
    gateway, origin = play(retrying())
    answer = gateway.fetch("/unstable?key=a&fail=2&code=503")
    eq((answer.status, answer.json()["attempt"]), (200, 3), "status and attempt")
    expect_retries(gateway, 2)
    eq(gateway.fetch("/status/503?count=b&body=last").status, 503, "status when every attempt fails")
    eq(origin.counter("b"), 4, "tries: the first and three more")
    eq(gateway.wait_log(lambda r: r.status == 503)["retry.attempt"], "3", "retry.attempt")


@test("the last result is passed on as it came")
def last_result():
    gateway, _ = play(retrying("{attempts: 1, codes: [517]}"))
    answer = gateway.fetch("/status/517?body=enough")
    eq((answer.status, answer.text), (517, "enough"), "status and body")
    expect_retries(gateway, 1)


@test("a status that is not named is not tried again")
def other_codes():
    gateway, origin = play(retrying())
    eq(gateway.fetch("/status/500?count=k").status, 500, "status")
    eq(origin.counter("k"), 1, "tries")
    expect_retries(gateway, 0)


@test("without a policy nothing is tried again")
def no_policy():
    gateway, origin = play(retrying().replace("        retry: {attempts: 3, codes: [503]}\n", "        {}\n"))
    eq(gateway.fetch("/close/rst?count=r").status, 503, "status after a reset")
    eq(gateway.fetch("/status/503?count=k").status, 503, "status")
    eq((origin.counter("k"), origin.counter("r")), (1, 1), "tries")


@test("a connection that is refused is tried again, also with codes: []")
def refused():
    origin = Origin()
    gateway = Gateway(retrying("{attempts: 2, codes: []}"), origin=origin)
    origin.stop()
    answer = gateway.fetch("/get")
    eq(answer.status, 503, "status")
    check(answer.text.startswith("upstream call failed: Connect: "), answer.text)
    expect_retries(gateway, 2)
    expect_reason(gateway, "connect_failed", 503)
    eq(gateway.metrics()("headgate_upstream_connect_failures_total"), 3, "connect failures")


@test("a backend that comes up during the pauses is found")
def comes_up():
    origin = Origin()
    gateway = Gateway(retrying("{attempts: 255, backoff: 100ms, codes: []}"), origin=origin)
    origin.stop()
    client = gateway.client().request("GET", "/get")
    client.expect_silence(0.25)
    origin.restart()
    eq(client.response().status, 200, "status")


@test("a reset and a FIN before any byte of the response are tried again")
def lost_connection():
    for mode in ("rst", "close"):
        gateway, _ = play(retrying("{attempts: 3, codes: []}"))
        answer = gateway.fetch(f"/unstable?key={mode}&fail=3&mode={mode}")
        eq((answer.status, answer.json()["attempt"]), (200, 4), f"status and attempt after {mode}")
        expect_retries(gateway, 3)


@test("once a part of a response came, nothing is tried again")
def partial_head():
    gateway, origin = play(retrying("{attempts: 3, codes: []}"))
    eq(gateway.fetch("/close/mid-head?count=k").status, 503, "status")
    eq(origin.counter("k"), 1, "tries")
    expect_retries(gateway, 0)


@test("a malformed response is not tried again")
def malformed():
    gateway, origin = play(retrying("{attempts: 3, codes: [502]}"))
    eq(gateway.fetch("/bad/dup-cl?count=k").status, 502, "status")
    eq(origin.counter("k"), 1, "tries")


@test("a name without an address is tried again and ends with 503")
def dns():
    gateway = Gateway(retrying("{attempts: 2, backoff: 50ms, codes: []}").replace("@origin@",
                                                                                  "nowhere.invalid:80"))
    answer = gateway.fetch("/get")
    eq((answer.status, answer.text), (503, "backends required DNS resolution which failed"),
       "status and body")
    expect_retries(gateway, 2)
    expect_reason(gateway, "dns_failed", 503)


@test("254 tries against a name that is known to have no address: with pauses, and not beyond the deadline")
def dns_cached():
    text = retrying("{attempts: 254, codes: []}").replace("@origin@", "nowhere.invalid:80")
    gateway = Gateway(text.replace("policies:", "policies:\n        timeout: {requestTimeout: 1s}", 1))
    gateway.fetch("/warm")  # from now on the failure is in the cache
    with within(1.0, "requestTimeout"):
        eq(gateway.fetch("/get").status, 504, "status")
    record = gateway.wait_log(count=2)[-1]
    retries = int(record.get("retry.attempt", 0))
    # Each retry comes after a pause of 25 ms.
    check(1 <= retries <= record.duration_ms / 25, f"{retries} retries within {record.duration_ms} ms")


@test("POST is tried again like GET")
def post():
    gateway, _ = play(retrying())
    answer = gateway.fetch("/unstable?key=p&fail=1&code=503", method="POST", body=b"data")
    eq((answer.status, answer.json()["attempt"]), (200, 2), "status and attempt")


@test("each retry carries its number in x-retry-attempt; a client cannot pretend one")
def attempt_header():
    gateway, backend = acted(retrying("{attempts: 2, codes: [503]}"))
    client = gateway.client().request("GET", "/x")
    seen = []
    upstream = backend.accept()
    for status in (503, 503, 200):
        seen.append(upstream.read_request().header("x-retry-attempt"))
        upstream.respond(status)
    eq((client.response().status, seen), (200, [None, "1", "2"]), "status and x-retry-attempt")


# ---- when ------------------------------------------------------------------------------------------------


def times_of(backend, statuses, headers=()):
    """Answers one request after the other; the seconds between them."""
    at = []
    upstream = backend.accept()
    for status in statuses:
        upstream.read_request()
        at.append(time.monotonic())
        upstream.respond(status, headers)
    return [later - earlier for earlier, later in zip(at, at[1:])]


@test("backoff is the same before every retry; without one the next attempt follows at once")
def backoff():
    gateway, backend = acted(retrying("{attempts: 3, backoff: 300ms, codes: [503]}"))
    client = gateway.client().request("GET", "/x")
    for pause in times_of(backend, (503, 503, 503, 200)):
        check_time(pause, 0.3, "the pause")
    eq(client.response().status, 200, "status")
    eq(deadlines_passed(gateway), {"backoff": 3}, "ends of pauses")
    gateway, backend = acted(retrying())
    client = gateway.client().request("GET", "/x")
    times_of(backend, (503, 503, 503, 200))
    eq(client.response().status, 200, "status")
    expect_retries(gateway, 3)
    eq(deadlines_passed(gateway), {}, "ends of pauses without a backoff")


@test("full jitter takes anything up to backoff")
def full_jitter():
    gateway, _ = play(retrying("{attempts: 1, backoff: 600s, codes: [503]}", "{fullJitter: true}"))
    clients = [gateway.client().request("GET", "/status/503") for _ in range(50)]

    def waiting():
        return [stream for stream in gateway.streams() if stream["state"] == "backoff"]
    wait_until(lambda: len(waiting()) > 30, 5, "the pauses")
    eq({stream["deadline"] for stream in waiting()}, {"backoff"}, "what they wait for")
    left = sorted(stream["deadline_left_ms"] / 1000 for stream in waiting())
    note(f"left of {len(left)} pauses: {left}")
    check(left[-1] <= 600, f"a pause of {left[-1]} s")
    # Thirty fair draws are all in one half once in 10^9.
    check(left[0] < 300 < left[-1], f"pauses from {left[0]} to {left[-1]} s: no jitter")
    for client in clients:
        client.rst()


@test("Retry-After counts where honorRetryAfter is on, up to retryAfterMax")
def retry_after():
    for config, asked, seconds in (("{honorRetryAfter: true, retryAfterMax: 2s}", 1, 1.0),
                                   ("{honorRetryAfter: true, retryAfterMax: 500ms}", 60, 0.5),
                                   ("{}", 60, 0.1)):
        gateway, backend = acted(retrying("{attempts: 1, backoff: 100ms, codes: [503]}", config))
        client = gateway.client().request("GET", "/x")
        pauses = times_of(backend, (503, 200), {"Retry-After": asked})
        check_time(pauses[0], seconds, f"the pause with {config}")
        eq(client.response().status, 200, "status")


@test("the client may leave during a pause, and nothing is tried for it any more")
def client_leaves():
    gateway, origin = play(retrying("{attempts: 3, backoff: 60s, codes: [503]}"))
    for number in 1, 2:
        client = gateway.client() if number == 1 else H2Client(gateway.port)
        stream = client.request("GET", "/status/503?count=k") if number == 1 else client.request(
            "/status/503?count=k")
        wait_until(lambda: gateway.streams() and gateway.streams()[0]["state"] == "backoff", 5, "the pause")
        client.rst() if number == 1 else client.reset(stream)
        ended = gateway.wait_log(lambda r: r["http.version"][5] == str(number))
        eq(ended["close_reason"], "client_rst", f"reason with HTTP/{number}")
        eq(origin.counter("k"), number, "tries")


# ---- bodies ----------------------------------------------------------------------------------------------


@test("a body of up to 64 KiB is sent again in full, with a length and chunked")
def replay():
    gateway, _ = play(retrying("{attempts: 2, codes: []}"))
    for size in (1, 1000, 65536):
        for chunked in (False, True):
            body = pattern(size)
            client = gateway.client()
            client.request("POST", f"/unstable?key={size}{chunked}&fail=1&mode=rst",
                           body=[body] if chunked else body, chunked=chunked)
            eq(client.response().status, 200, f"status with {size} bytes, chunked {chunked}")
    gateway, backend = acted(retrying("{attempts: 2, codes: [503]}"))
    for chunked in (False, True):
        body = pattern(65536)
        client = gateway.client().request("POST", "/x", body=[body[:1000], body[1000:]] if chunked else body,
                                          chunked=chunked)
        for status in (503, 503, 200):
            upstream = backend.accept()
            request = upstream.read_request()
            eq(len(request.body), 65536, "bytes the backend got")
            verify(request.body, 65536)
            upstream.respond(status, {"Connection": "close"})
            upstream.expect_fin()
        eq(client.response().status, 200, "status")


@test("a body that is on its way goes on into the next attempt")
def replay_in_the_middle():
    gateway, backend = acted(retrying("{attempts: 2, codes: []}"))
    client = gateway.client().send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "01234")
    upstream = backend.accept()
    upstream.request_head()
    eq(upstream.read(5), b"01234", "the first half")
    upstream.rst()
    upstream = backend.accept()
    upstream.request_head()
    eq(upstream.read(5), b"01234", "the first half again")
    client.send("56789")
    eq(upstream.read(5), b"56789", "the second half")
    upstream.respond(200)
    eq(client.response().status, 200, "status")


@test("a body over 64 KiB is not tried again", timeout=15)
def no_replay():
    gateway, origin = play(retrying())
    for chunked in (False, True):
        body = pattern(70000)
        key = f"k{chunked}"
        client = gateway.client().request("POST", f"/status/503?count={key}",
                                          body=[body] if chunked else body, chunked=chunked)
        eq(client.response().status, 503, "status")
        eq(origin.counter(key), 1, f"tries, chunked {chunked}")
    eq(gateway.metrics()("agentgateway_retries_total"), 0, "retries_total")


@test("a response that has begun is never taken back")
def no_retry_after_head():
    gateway, origin = play(retrying("{attempts: 3, codes: [503]}"))
    client = gateway.client().request("GET", "/close/mid-body?count=k")
    eq(client.response_head().status, 200, "status")
    client.expect_end()
    eq(origin.counter("k"), 1, "tries")
    expect_reason(gateway, "upstream_fin", 200)


# ---- how many, and where ---------------------------------------------------------------------------------


@test("the retry budget bounds how many retries run at a time", waits=True)
def budget():
    gateway, _ = play(retrying("{attempts: 1, backoff: 2s, codes: [503]}",
                               "{budgetPercent: 20, budgetMin: 2}"),
                      workers=1)
    clients = [gateway.client().request("GET", "/status/503") for _ in range(10)]
    for client in clients:
        eq(client.response().status, 503, "status")
    metrics = gateway.metrics()
    eq((metrics("agentgateway_retries_total"), metrics("headgate_retry_budget_exhausted_total")), (2, 8),
       "retries made and not made")


@test("another backend of the route is preferred to the one that failed")
def other_backend():
    text = retrying("{attempts: 1, codes: [503]}").replace(
        "      - host: @origin@", "      - {host: @origin@, weight: 1}\n      - {host: @other@, weight: 1}")
    good, bad = Origin(name="good"), Backend()
    gateway = Gateway(text, origin=good, other=bad)
    bad.close()
    for _ in range(20):
        answer = gateway.fetch("/get")
        eq((answer.status, answer.header("x-origin")), (200, "good"), "status and origin")


@test("each backend of a route gets the head as if it were the only one")
def other_backend_head():
    text = """
binds:
- port: @port@
  listeners:
  - routes:
    - policies:
        retry: {attempts: 1, codes: [503]}
        requestHeaderModifier: {add: {x-route: r}}
      backends:
      - host: localhost:@first@
        weight: 1000000
        policies: {requestHeaderModifier: {add: {x-backend: one}, remove: [x-mine]}}
      - host: 127.0.0.1:@second@
        policies: {requestHeaderModifier: {add: {x-backend: two}}}
"""
    gateway = Gateway(text)
    first, second = Backend(port=gateway.ports["first"]), Backend(port=gateway.ports["second"])
    client = gateway.client().request("POST", "/x", {"X-Mine": "1"}, b"body", host="asked.example")
    upstream = first.accept()
    request = upstream.read_request()
    eq([request.header(n) for n in ("Host", "x-route", "x-backend", "x-mine", "x-retry-attempt")],
       [f"localhost:{first.port}", "r", "one", None, None], "the head at the first")
    upstream.respond(503)
    upstream = second.accept()
    request = upstream.read_request()
    eq([request.header(n) for n in ("Host", "x-route", "x-backend", "x-mine", "x-retry-attempt")],
       ["asked.example", "r", "two", "1", "1"], "the head at the second")
    eq(request.body, b"body", "body at the second")
    upstream.respond(200, body=b"done")
    eq(client.response().body, b"done", "body")
    eq(gateway.wait_log()["endpoint"], second.address, "endpoint in the log")


@test("a client that has closed its side gets the result of the attempt under way, and no other is made")
def client_has_closed():
    gateway, backend = acted(retrying("{attempts: 3, codes: [503]}") + HALF_CLOSE_KEPT)
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    client.fin()
    wait_until(lambda: has_fin(client, gateway), 5, "the FIN is there")
    upstream.respond(503)
    eq(client.response().status, 503, "status")
    expect_retries(gateway, 0)


@test("a client that closes while a retry waits gets the last result, and no other attempt is made",
      waits=True)
def client_closes_in_backoff():
    for lost in False, True:
        gateway, backend = acted(retrying("{attempts: 3, backoff: 2s, codes: [503]}") + HALF_CLOSE_KEPT)
        client = gateway.client().request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        upstream.close() if lost else upstream.respond(503, body=b"first")
        wait_until(lambda: gateway.streams() and gateway.streams()[0]["state"] == "backoff", 5, "the pause")
        client.fin()
        answer = client.response()
        eq((answer.status, b"first" in answer.body), (503, False), "status, and a body that is gone")
        expect_retries(gateway, 0)
        eq(gateway.wait_log()["close_reason"], "upstream_fin" if lost else "client_fin", "close_reason")
        backend.expect_no_connection(0.2)


@test("a retry goes on after its pause when the client has sent a next request, and not closed", waits=True)
def pipelined_in_backoff():
    gateway, backend = acted(retrying("{attempts: 1, backoff: 2s, codes: [503]}"))
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(503)
    wait_until(lambda: gateway.streams() and gateway.streams()[0]["state"] == "backoff", 5, "the pause")
    client.request("GET", "/next")
    upstream.read_request()
    upstream.respond(200)
    eq(client.response().status, 200, "status")
    upstream.read_request()
    upstream.respond(204)
    eq(client.response().status, 204, "status of the next one")


def has_fin(client, gateway):
    """The gateway's socket of this client is in CLOSE_WAIT."""
    ours = client.socket.getsockname()[1]
    for table in "/proc/net/tcp", "/proc/net/tcp6":
        with open(table) as lines:
            for line in lines.read().splitlines()[1:]:
                local, remote, state = line.split()[1:4]
                if (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)) == (gateway.port, ours):
                    return state == "08"
    return False


@test("a slow upload that outlasts backendRequest is 504 after one attempt: the time was the client's")
def slow_upload():
    text = retrying("{attempts: 3, codes: [503]}").replace(
        "      policies:\n", "      policies:\n        timeout: {backendRequestTimeout: 500ms}\n")
    gateway, backend = acted(text)
    client = gateway.client().send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
    upstream = backend.accept()
    upstream.read_until(b"01234")
    eq(client.response().status, 504, "status")
    eq(gateway.wait_log()["close_reason"], "per_try_timeout", "close_reason")
    expect_retries(gateway, 0)
