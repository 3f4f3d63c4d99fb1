# SPDX-License-Identifier: Apache-2.0
"""Injected delays: when a request is held back, what ends the wait, and what of it can be seen."""
import time

from hg import *
from hg.framework import check_time
from manifests import GATEWAY, SERVICE
from plays import HALF_CLOSE_KEPT, acted, play
from timers import deadlines_passed, expect_fired, expect_reason, expect_timeout

CONFIG = """
config: %(config)s
policies: %(attached)s
binds:
- port: @port@
  listeners:
  - routes:
    - name: held
      policies: {%(policies)s}
      backends: [{host: @origin@}]
"""


def delayed(duration, more="", config="{}", attached="[]"):
    return CONFIG % {"policies": f"delay: {{duration: {duration}}}" + more, "config": config,
                     "attached": attached}


def waiting(gateway, count=1):
    """The streams that are held back, once there are so many."""
    def found():
        streams = [s for s in gateway.streams() if s["state"] == "delay"]
        return streams if len(streams) == count else None
    return wait_until(found, 5, f"{count} delayed streams")


@test("a request waits for the delay, then goes to the backend; log, list and counter show it", waits=True)
def fixed_delay():
    gateway, origin = play(delayed("2s"))
    client = gateway.client()
    start = time.monotonic()
    client.request("GET", "/get?count=k")
    stream = waiting(gateway)[0]
    eq((stream["deadline"], stream["delay_ms"], stream["endpoint"]), ("delay", 2000, None), "the stream")
    check(0 <= stream["deadline_left_ms"] <= 2000, f"deadline_left_ms {stream['deadline_left_ms']}")
    eq(origin.counter("k"), 0, "requests at the backend during the delay")
    eq(client.response().status, 200, "status")
    check_time(time.monotonic() - start, 2.0, "the exchange")
    record = gateway.wait_log()
    eq((record.get("delay"), record["close_reason"]), ("2000ms", "ok"), "the access log")
    eq(gateway.metrics()("headgate_injected_delays_total"), 1, "injected_delays_total")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "a delay is no deadline that ends a stream")
    eq(gateway.metrics()("agentgateway_request_processing_seconds_count"), 1, "processing times")
    processing = gateway.metrics()("agentgateway_request_processing_seconds_sum")
    # The delay is no part of it.
    check(processing <= record.duration_ms / 1000 - 1.95,
          f"{processing:.3f} s of processing in {record.duration_ms} ms, 2000 of which are the delay")


@test("a direct response waits too, a redirect does not")
def local_answers():
    gateway, _ = play(delayed("400ms", ", directResponse: {status: 202}"))
    with within(0.4, "the direct response"):
        eq(gateway.fetch("/").status, 202, "status")
    gateway.reload(delayed("600s", ", requestRedirect: {path: {full: /x}}"))
    eq(gateway.fetch("/").status, 302, "status")
    eq(gateway.metrics()("headgate_injected_delays_total"), 1, "injected_delays_total")


@test("requestTimeout goes on during the delay, and ends it")
def request_timeout():
    gateway, origin = play(delayed("600s", ", timeout: {requestTimeout: 400ms}",
                                   config="{exposeCloseReason: true}"))
    with within(0.4, "requestTimeout"):
        expect_timeout(gateway.fetch("/get?count=k"), "request timeout", "request_timeout")
    record = expect_reason(gateway, "request_timeout", 504, 0.4, "request timeout")
    eq(record.get("delay"), "600000ms", "delay in the access log")
    eq(record.get("endpoint"), None, "endpoint in the access log")
    expect_fired(gateway, "request_timeout")
    eq(origin.counter("k"), 0, "requests at the backend")


@test("what is left of requestTimeout after the delay is for the backend; the attempt has its time in full")
def rest_of_timeout():
    # If requestTimeout began anew behind the delay, the end of the attempt would come first, at 1250 ms.
    gateway, _ = play(delayed("500ms", ", timeout: {requestTimeout: 1s, backendRequestTimeout: 750ms}"))
    with within(1.0, "requestTimeout"):
        expect_timeout(gateway.fetch("/delay/60"), "request timeout")
    gateway.reload(delayed("500ms", ", timeout: {backendRequestTimeout: 600ms}"))
    with within(1.1, "delay and backendRequestTimeout"):
        expect_timeout(gateway.fetch("/delay/60"), "upstream call timeout")


@test("a request is delayed once, not once an attempt")
def retries():
    gateway, origin = play(delayed("400ms", ", retry: {attempts: 2, codes: [503]}"))
    with within(0.4, "the delay"):
        eq(gateway.fetch("/status/503?count=k").status, 503, "status")
    eq(origin.counter("k"), 3, "tries")
    eq(gateway.metrics()("headgate_injected_delays_total"), 1, "injected_delays_total")
    eq(deadlines_passed(gateway), {"delay": 1}, "ends of waits")


@test("a client that resets while it is held back ends the stream; the backend never hears of it")
def client_resets():
    gateway, origin = play(delayed("600s"))
    for number, body in enumerate((None, b"x" * 100000), 1):
        client = gateway.client().request("POST" if body else "GET", "/anything?count=k", body=body)
        waiting(gateway)
        client.rst()
        wait_until(lambda: not gateway.streams(), 5, "the end of the stream")
        gateway.wait_log(lambda r: r["close_reason"] == "client_rst", number)
    eq(origin.counter("k"), 0, "requests at the backend")


@test("with halfClose: keep a client that only ends its side gets its answer")
def client_half_closes():
    gateway, _ = play(delayed("300ms") + HALF_CLOSE_KEPT)
    client = gateway.client().request("GET", "/get")
    client.fin()
    eq(client.response().status, 200, "status")
    client.expect_fin()


@test("bodies and pipelined requests that come during the delay arrive as they were sent")
def bytes_that_wait():
    gateway, backend = acted(delayed("400ms"))
    client = gateway.client()
    client.request("PUT", "/one", body=b"x" * 200000)
    client.request("GET", "/two")
    served = backend.accept()
    request = served.read_request()
    eq((request.target, request.body), ("/one", b"x" * 200000), "the first request")
    start = time.monotonic()
    served.respond(200, body=b"1")
    eq(client.response().body, b"1", "the first answer")
    eq(served.read_request().target, "/two", "the second request")
    check_time(time.monotonic() - start, 0.4, "the second request's own delay")
    served.respond(200, body=b"2")
    eq(client.response().body, b"2", "the second answer")


@test("an upgrade is delayed before it reaches the backend")
def upgrade():
    gateway, backend = acted(delayed("300ms"))
    client = gateway.client()
    start = time.monotonic()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    served = backend.accept()
    served.read_request()
    check_time(time.monotonic() - start, 0.3, "the upgrade")
    served.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello")
    eq(client.response_head().status, 101, "status")
    eq(client.read(5), b"hello", "bytes of the tunnel")
    client.fin()
    served.expect_fin()
    served.close()
    client.expect_end()


@test("a drain waits for delayed requests and answers them, until its deadline", waits=True)
def drain():
    gateway, _ = play(delayed("2s"))
    client = gateway.client().request("GET", "/get")
    waiting(gateway)
    gateway.terminate()
    answer = client.response()
    eq((answer.status, answer.headers["Connection"]), (200, "close"), "the answer")
    gateway.expect_exit()
    gateway, _ = play(delayed("600s", config="{connectionTerminationDeadline: 500ms}"))
    client = gateway.client().request("GET", "/get")
    waiting(gateway)
    gateway.terminate()
    client.expect_rst()
    gateway.expect_exit()
    eq(gateway.log()[-1]["close_reason"], "drain_deadline", "close_reason")


@test("an operator can end a delayed stream")
def admin_close():
    gateway, _ = play(delayed("600s"))
    client = gateway.client().request("GET", "/get")
    stream = waiting(gateway)[0]
    eq(gateway.admin(f"/streams/{stream['id']}/close", "POST").status, 200, "close")
    client.expect_rst()
    expect_reason(gateway, "admin_kill")


@test("an expression decides for each request: by header, by duration, by chance")
def expressions():
    gateway, _ = play(delayed("\"request.headers['x-chaos'] == '1' ? 1500 : 0\""))
    with within(1.5, "the request that asks for it"):
        eq(gateway.fetch("/get", headers={"X-Chaos": "1"}).status, 200, "status")
    for headers in ({"X-Chaos": "2"}, {}):
        eq(gateway.fetch("/get", headers=headers).status, 200, f"status with {headers}")
    eq([r.get("delay") for r in gateway.wait_log(count=3)], ["1500ms", None, None],
       "delays in the access log")
    eq(deadlines_passed(gateway), {"delay": 1}, "ends of waits")
    gateway.reload(delayed("\"request.path.startsWith('/slow') ? duration('300ms') : duration('0s')\"",
                           ", directResponse: {status: 200}"))
    with within(0.3, "the path"):
        gateway.fetch("/slow/1")
    gateway.reload(delayed('"random() < 0.25 ? 1 : -5"', ", directResponse: {status: 200}"))
    before = gateway.metrics()("headgate_injected_delays_total")
    client = gateway.client()
    for _ in range(400):
        client.get("/")
    share = (gateway.metrics()("headgate_injected_delays_total") - before) / 400
    # A fair choice is outside these bounds once in 10^8.
    check(0.12 < share < 0.38, f"{share} of the requests were delayed, want about 0.25")


@test("levels compete for the delay as for every traffic policy; 0s at a stronger level switches it off")
def precedence():
    gateway_level = ("{name: {name: g, namespace: default}, target: {gateway: {gatewayName: default, "
                     "gatewayNamespace: default}}, policy: {delay: {duration: 300ms}}}")
    route_level = ("{name: {name: r, namespace: default}, target: {route: {name: held, "
                   "namespace: default}}, policy: {delay: {duration: %s}}}")

    def config(attached, inline=""):
        return CONFIG % {"config": "{}", "attached": f"[{', '.join(attached)}]", "policies": inline}

    gateway, _ = play(config([gateway_level]))
    with within(0.3, "the delay of the gateway"):
        gateway.fetch("/get")
    gateway.reload(config([gateway_level, route_level % "600ms"]))
    with within(0.6, "the delay of the route"):
        gateway.fetch("/get")
    gateway.reload(config([gateway_level, route_level % "600ms"], "delay: {duration: 100ms}"))
    eq(gateway.fetch("/get").status, 200, "status with a delay written in the route")
    gateway.reload(config([gateway_level, route_level % "0s"]))
    eq(gateway.fetch("/get").status, 200, "status with 0s")
    eq([r.get("delay") for r in gateway.wait_log(count=4)], ["300ms", "600ms", "100ms", None],
       "delays in the access log")
    eq(deadlines_passed(gateway), {"delay": 3}, "ends of waits")


@test("a reload changes the delay of the next request, not of one that waits", waits=True)
def reload():
    gateway, _ = play(delayed("3s"))
    client = gateway.client()
    start = time.monotonic()
    client.request("GET", "/get")
    waiting(gateway)
    eq(gateway.reload(delayed("0s"))["errors"], [], "errors")
    eq(gateway.fetch("/get").status, 200, "status of the next request")
    eq(client.response().status, 200, "status of the waiting one")
    check_time(time.monotonic() - start, 3.0, "the waiting one")
    eq([r.get("delay") for r in gateway.wait_log(count=2)], [None, "3000ms"], "delays in the access log")
    # One whose route is gone is answered by the configuration it came in with.
    gateway.reload(delayed("2s"))
    client.request("GET", "/get")
    waiting(gateway)
    gateway.reload("config: {}\nbinds: [{port: @port@, listeners: [{routes: []}]}]\n")
    eq(client.response().status, 200, "status of the one whose route is gone")
    eq(gateway.fetch("/get").status, 404, "status afterwards")


@test("in a manifest: an AgentgatewayPolicy delays the requests of its HTTPRoute", waits=True)
def manifest():
    origin = Origin()
    gateway = Gateway(GATEWAY + SERVICE + """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: slow, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: svc, port: 80}], timeouts: {request: 2s}}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: delay, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: slow}]
  traffic: {delay: {duration: 400ms}}
""", origin_port=origin.port)
    with within(0.4, "the delay"):
        eq(gateway.fetch("/get").status, 200, "status")
    with within(2.0, "the timeout of the rule"):
        expect_timeout(gateway.fetch("/delay/60"), "request timeout")
