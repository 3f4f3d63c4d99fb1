# SPDX-License-Identifier: Apache-2.0
"""Health policies: which endpoints are evicted, for how long, and what happens when all of them are."""
import collections
import time

from hg import *
from test_endpoints import origins, service

POLICY = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: health, namespace: ns}
spec:
  targetRefs: [{group: "", kind: Service, name: svc}]
  backend: {health: {%s}}
"""

TWO = ("127.0.0.2", "127.0.0.3")


def watched(addresses, port, health, more=""):
    return service(addresses, port, more) + POLICY % health


def endpoints(gateway):
    """{address: what GET /endpoints says of it}"""
    return {entry["endpoint"].rsplit(":", 1)[0]: entry for entry in gateway.admin_json("/endpoints")}


def evicted(gateway):
    return {address for address, entry in endpoints(gateway).items() if entry["evicted"]}


def answered_by(gateway, count, path="/get", **options):
    """Who answered how often, whatever the status."""
    seen = collections.Counter()
    for _ in range(count):
        seen[gateway.fetch(path, **options).header("x-origin")] += 1
    return seen


class Moody:
    """An endpoint the test plays: it answers every request with the status it is told, on a thread."""

    def __init__(self, address, port, status=200, headers=None):
        import threading
        self.backend, self.status, self.served = Backend(address, port), status, 0
        self.name, self.headers = address, headers or {}
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        import socket
        while True:
            try:
                connection = self.backend.socket.accept()[0]
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                data = b""
                try:
                    while b"\r\n\r\n" not in data:
                        piece = connection.recv(65536)
                        if not piece:
                            break
                        data += piece
                    if data:
                        self.served += 1
                        self._answer(connection)
                except (OSError, socket.timeout):
                    pass

    def _answer(self, connection):
        if self.status is None:
            return
        lines = [f"HTTP/1.1 {self.status} X", "Content-Length: 0", "Connection: close",
                 f"x-origin: {self.name}", *(f"{k}: {v}" for k, v in self.headers.items())]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")


def moody(*statuses, headers=None):
    """One endpoint at 127.0.0.2, 127.0.0.3, … for each status, all on one port."""
    port = free_port()
    return port, [Moody(f"127.0.0.{2 + i}", port, status, headers) for i, status in enumerate(statuses)]


def statuses(gateway, count, **options):
    return collections.Counter(gateway.fetch("/x", **options).status for _ in range(count))


def ask_until(found, what, tries=60):
    """Asks until found() is true. With a chance of one half it is not true in 60 tries once in 10^18."""
    for _ in range(tries):
        if found():
            return
    raise Failure(f"{what}: not within {tries} requests")


def first(gateway, status):
    """When the request was sent that is the first to get this status."""
    begin = 0.0

    def found():
        nonlocal begin
        begin = time.monotonic()
        return statuses(gateway, 1)[status]
    ask_until(found, f"a {status}")
    return begin


@test("three 5xx in a row evict an endpoint: the others serve alone, metrics, list and log say so")
def consecutive():
    port, (bad, good) = moody(503, 200)
    gateway = Gateway(watched(TWO, port, "unhealthyCondition: response.code >= 500, eviction: "
                                         "{consecutiveFailures: 3, duration: 300s, restoreHealth: 100}"),
                      workers=2)
    begin = time.monotonic()
    seen = statuses(gateway, 80)
    eq(seen, {503: 3, 200: 77}, "statuses: three failures in the whole process, whichever worker saw them")
    eq((bad.served, good.served), (3, 77), "requests served")
    entry = endpoints(gateway)[bad.name]
    eq((entry["evicted"], entry["evictions_total"], entry["evictions_in_a_row"], entry["failures"],
        entry["health"], entry["backend"]), (True, 1, 1, 0, 1.0, "ns/svc.ns.svc.cluster.local"), "the entry")
    passed_ms = (time.monotonic() - begin) * 1000
    check(300000 - passed_ms - 2 <= entry["evicted_left_ms"] <= 300000,
          f"evicted_left_ms {entry['evicted_left_ms']}, {passed_ms:.0f} ms after the begin at most")
    eq(endpoints(gateway)[good.name]["evicted"], False, "the good one")
    metrics = gateway.metrics()
    eq((metrics("headgate_endpoint_unhealthy_total"), metrics("headgate_endpoint_evictions_total"),
        metrics("headgate_endpoints_evicted")), (3, 1, 1), "metrics")
    check(f"endpoint {bad.name}:{port} of backend ns/svc.ns.svc.cluster.local is evicted for 300000 ms"
          in gateway.stderr, f"the log: {gateway.stderr!r}")


@test("a good answer between breaks the row; what the condition does not name never counts")
def condition():
    port, (bad, good) = moody(500, 200)
    gateway = Gateway(watched(TWO, port, "unhealthyCondition: response.code == 429, eviction: "
                                         "{consecutiveFailures: 2, duration: 300s}"), workers=1)
    statuses(gateway, 30)
    eq(evicted(gateway), set(), "evicted by 500")
    bad.status = 429
    statuses(gateway, 60)
    eq(evicted(gateway), {bad.name}, "evicted by 429")
    eq(gateway.metrics()("headgate_endpoint_unhealthy_total"), 2, "unhealthy outcomes")


@test("the condition may look at the headers of the answer, and of the request")
def condition_on_headers():
    port, (bad, _) = moody(200, 200, headers={"x-ill": "no"})
    gateway = Gateway(watched(TWO, port, "unhealthyCondition: \"response.headers['x-ill'] == 'yes' && "
                                         "request.path == '/x'\", eviction: {duration: 300s}"), workers=1)
    statuses(gateway, 10)
    eq(evicted(gateway), set(), "evicted by a header with another value")
    bad.headers = {"x-ill": "yes"}
    statuses(gateway, 40)
    eq(evicted(gateway), {bad.name}, "evicted")


@test("without a condition 5xx counts; without eviction health only weighs in the choice")
def no_eviction():
    port, (bad, good) = moody(500, 200)
    gateway = Gateway(watched(TWO, port, ""), workers=1)
    statuses(gateway, 200)
    entry = endpoints(gateway)[bad.name]
    eq((entry["evicted"], entry["evictions_total"]), (False, 0), "evictions")
    check(entry["health"] < 0.7, f"health {entry['health']}")
    # Half of the requests at first, a twentieth of that half in the end, and never none: 11 is the mean, and
    # fewer than 2 or more than 40 come once in 10^19.
    check(2 <= bad.served <= 40, f"the ill one served {bad.served} of 200")
    bad.status = 200
    def recovered():
        statuses(gateway, 20)
        return endpoints(gateway)[bad.name]["health"] == 1.0
    wait_until(recovered, 30, "full health")
    before = bad.served
    statuses(gateway, 100)
    # A fair choice is outside these bounds once in five million.
    check(25 <= bad.served - before <= 75, f"the recovered one served {bad.served - before} of 100")


@test("an evicted endpoint comes back when its time is over, and stays out longer when it fails again")
def comes_back():
    port, (bad, _) = moody(500, 200)
    gateway = Gateway(watched(TWO, port, "eviction: {duration: 1s, restoreHealth: 100}"), workers=1)
    # Each time is taken before the request that evicts the endpoint is sent.
    begin = first(gateway, 500)
    again = begin

    def fails_again():
        nonlocal again
        again = time.monotonic()
        return statuses(gateway, 1)[500]
    wait_until(fails_again, 10, "the second failure")
    check_time(time.monotonic() - begin, 1.0, "the first eviction")
    eq(endpoints(gateway)[bad.name]["evictions_in_a_row"], 2, "evictions in a row")
    bad.status = 200
    wait_until(lambda: answered_by(gateway, 1)[bad.name], 10, "an answer of the endpoint that recovered")
    check_time(time.monotonic() - again, 2.0, "the second eviction")
    eq(statuses(gateway, 20), {200: 20}, "statuses afterwards")
    eq(endpoints(gateway)[bad.name]["evictions_total"], 2, "evictions in all")
    eq(gateway.metrics()("headgate_endpoints_evicted"), 0, "evicted now")


@test("an endpoint that returns with little health gets little at first")
def restore_health():
    port, (bad, _) = moody(500, 200)
    gateway = Gateway(watched(TWO, port, "eviction: {duration: 1s, restoreHealth: 10}"), workers=1)
    first(gateway, 500)
    bad.status = 200
    eq(endpoints(gateway)[bad.name]["health"], 0.1, "health")
    wait_until(lambda: not evicted(gateway), 10, "the return")
    # It gets one request in twenty; it gets none of 600 once in 10^13.
    ask_until(lambda: answered_by(gateway, 1)[bad.name], "its first answer", 600)
    eq(endpoints(gateway)[bad.name]["health"], 0.37, "health after one good answer")


@test("healthThreshold evicts by the score, not by the row")
def threshold():
    port, (bad, _) = moody(500, 200)
    # 0.7, 0.79, 0.55, 0.69, 0.48: every other answer is bad.
    gateway = Gateway(watched(TWO[:1], port, "eviction: {duration: 300s, healthThreshold: 50}"), workers=1)
    for want in (0.7, 0.79, 0.55, 0.68, 0.48):
        bad.status = 500 if want in (0.7, 0.55, 0.48) else 200
        eq(evicted(gateway), set(), "evicted before the score is below 0.5")
        statuses(gateway, 1)
        check(abs(endpoints(gateway)[bad.name]["health"] - want) < 0.011,
              f"health {endpoints(gateway)[bad.name]['health']}, want {want}")
    eq(evicted(gateway), {bad.name}, "evicted")


@test("when every endpoint is evicted they are used all the same")
def all_evicted():
    port, ill = moody(500, 500)
    gateway = Gateway(watched(TWO, port, "eviction: {duration: 300s}"), workers=1)
    eq(statuses(gateway, 40), {500: 40}, "statuses: the backend's own, never a refusal of ours")
    eq(evicted(gateway), set(TWO), "evicted")
    check(all(one.served >= 4 for one in ill), f"served {[one.served for one in ill]}")
    eq(endpoints(gateway)[TWO[0]]["evictions_total"], 1, "failures of an evicted endpoint count for nothing")
    ill[0].status = ill[1].status = 200
    eq(statuses(gateway, 10), {200: 10}, "statuses once they are well")
    gateway = Gateway(watched(TWO[:1], port, "eviction: {duration: 300s}"), workers=1)
    ill[0].status = 503
    eq(statuses(gateway, 5), {503: 5}, "statuses of a service with one endpoint")
    eq(evicted(gateway), {TWO[0]}, "evicted")


@test("a refused connection counts as 503, though the request goes elsewhere and no client sees it")
def refused():
    port = free_port()
    Moody(TWO[0], port)
    gateway = Gateway(watched(TWO, port, "unhealthyCondition: response.code == 503, "
                                         "eviction: {duration: 300s}"), workers=1)
    seen = collections.Counter()
    ask_until(lambda: seen.update(statuses(gateway, 1)) or evicted(gateway), "an eviction")
    eq((evicted(gateway), set(seen)), ({TWO[1]}, {200}), "evicted, and what the clients saw")


@test("no answer counts as the status that the client gets: reset, late, malformed")
def without_response():
    port = free_port()
    Moody(TWO[0], port)
    for what, make, health, more, wrong in (
            ("closed", lambda: Moody(TWO[1], port, None), "response.code == 503", "", 503),
            ("malformed", lambda: Moody(TWO[1], port, "2x0"), "response.code == 502", "", 502),
            ("late", lambda: Backend(TWO[1], port), "response.code == 504",
             "timeouts: {backendRequest: 1s, request: 5s}", 504),
            ("late in all", lambda: Backend(TWO[1], port), "response.code == 504",
             "timeouts: {request: 1s}", 504)):
        bad = make()
        gateway = Gateway(watched(TWO, port, f"unhealthyCondition: {health}, eviction: {{duration: 300s}}",
                                  more), workers=1)
        first(gateway, wrong)
        eq(evicted(gateway), {TWO[1]}, f"evicted by one that is {what}")
        eq(statuses(gateway, 10), {200: 10}, f"statuses afterwards, {what}")
        gateway.stop()
        if bad:
            (bad.backend if isinstance(bad, Moody) else bad).close()
            wait_until(lambda: refuses(TWO[1], port), 5, "a closed port")


def refuses(address, port):
    import socket
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) != 0


@test("a slow upload that runs into the timeout is not held against the backend")
def slow_client():
    port, _ = origins(TWO[0])
    gateway = Gateway(watched(TWO[:1], port, "eviction: {duration: 300s}",
                              "timeouts: {request: 1s}"), workers=1)
    client = gateway.client()
    client.send(b"PUT /anything HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nbegin")
    eq(client.response().status, 504, "status")
    entry = endpoints(gateway)[TWO[0]]
    eq((entry["evicted"], entry["health"]), (False, 1.0), "the endpoint")
    client = gateway.client()
    client.request("GET", "/delay/60")
    wait_until(gateway.streams, 5, "the stream")
    client.rst()
    wait_until(lambda: not gateway.streams(), 5, "the end of the stream")
    eq(endpoints(gateway)[TWO[0]]["health"], 1.0, "health after a client that left")
    with within(1.0, "the timeout"):
        eq(gateway.fetch("/delay/60").status, 504, "status of a slow answer")
    eq(evicted(gateway), {TWO[0]}, "evicted by its own slowness")


@test("with a retry an unhealthy endpoint costs the client nothing: every attempt is counted, none is seen")
def retried():
    port, (bad, _) = moody(503, 200)
    gateway = Gateway(watched(TWO, port, "eviction: {consecutiveFailures: 3, duration: 300s}",
                              "retry: {attempts: 1, codes: [503]}"), workers=1)
    eq(statuses(gateway, 80), {200: 80}, "statuses")
    eq((bad.served, evicted(gateway)), (3, {bad.name}), "tries of the bad one, and who is evicted")


@test("without a duration an eviction lasts as long as Retry-After asks, or the backoff of the retry policy")
def retry_after():
    for headers, more, most in (({"Retry-After": "20"}, "", 20000), ({}, "", 3000),
                                ({}, "retry: {attempts: 1, backoff: 7s, codes: [501]}", 7000)):
        port, (bad, _) = moody(503, 200, headers=headers)
        gateway = Gateway(watched(TWO, port, "eviction: {}", more), workers=1)
        begin = first(gateway, 503)
        left = endpoints(gateway)[bad.name]["evicted_left_ms"]
        passed_ms = (time.monotonic() - begin) * 1000
        check(most - passed_ms - 2 <= left <= most,
              f"{left} ms are left with {headers} {more}, {passed_ms:.0f} ms after the begin at most")


@test("a reload keeps what is known of endpoints that stay, and forgets it with the policy")
def reload():
    port, (bad, _, third) = moody(500, 200, 200)
    config = watched(TWO, port, "eviction: {duration: 300s}")
    gateway = Gateway(config, workers=2)
    first(gateway, 500)
    config = watched((*TWO, third.name), port, "eviction: {duration: 600s}")
    eq(gateway.reload(config)["errors"], [], "errors")
    eq(evicted(gateway), {bad.name}, "evicted after the reload")
    eq(statuses(gateway, 30), {200: 30}, "statuses after the reload")
    check(third.served > 0, "the new endpoint served none of 30")
    gateway.reload(service(TWO, port))
    eq([(entry["health"], entry["evictions_total"]) for entry in endpoints(gateway).values()], [(1, 0)] * 2,
       "endpoints without a policy")
    first(gateway, 500)  # without the policy the bad one is used
    eq(gateway.metrics()("headgate_endpoints_evicted"), 0, "evicted now")


@test("levels: what stands on the route wins over the gateway's, the gateway's is for all services")
def levels():
    port, (bad, _) = moody(500, 200)
    on_gateway = (POLICY % "eviction: {duration: 300s}").replace(
        '{group: "", kind: Service, name: svc}',
        "{group: gateway.networking.k8s.io, kind: Gateway, name: gw}").replace("name: health,", "name: g,")
    on_route = (POLICY % "unhealthyCondition: response.code == 1, eviction: {duration: 300s}").replace(
        '{group: "", kind: Service, name: svc}',
        "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route}")
    gateway = Gateway(service(TWO, port) + on_gateway + on_route, workers=1)
    # The condition of the route is never true: who failed is asked again.
    first(gateway, 500)
    first(gateway, 500)
    eq(evicted(gateway), set(), "evicted")
    gateway.reload(service(TWO, port) + on_gateway)
    check(statuses(gateway, 40)[500] <= 1, "the default condition of the gateway's policy")
    eq(evicted(gateway), {bad.name}, "evicted")


@test("standalone: health of a named backend, and a policy attached to it")
def standalone():
    origin = Origin()
    config = """
backends: [{name: one, host: "%s"%s}]
policies: %s
binds: [{port: @port@, listeners: [{routes: [{backends: [{backend: one}]}]}]}]
"""
    inline = ", policies: {health: {eviction: {consecutiveFailures: 2, duration: 300s}}}"
    attached = ("[{name: {name: h, namespace: default}, target: {backend: {backend: {name: one}}}, "
                "policy: {health: {unhealthyExpression: response.code == 418, eviction: {}}}}]")
    gateway = Gateway(config % (origin.address, inline, "[]"), workers=1)
    for count, want in ((1, False), (1, True)):
        gateway.fetch("/status/500")
        eq([e["evicted"] for e in gateway.admin_json("/endpoints")], [want], "evicted")
    eq(gateway.fetch("/get").status, 200, "status of the only endpoint, evicted")
    gateway = Gateway(config % (origin.address, "", attached), workers=1)
    gateway.fetch("/status/500")
    eq([e["evicted"] for e in gateway.admin_json("/endpoints")], [False], "evicted by 500")
    gateway.fetch("/status/418")
    eq([e["evicted"] for e in gateway.admin_json("/endpoints")], [True], "evicted by 418")


@test("TCP routes: a connection that is refused counts, one that stands is well")
def tcp():
    port = free_port()
    good = Backend(TWO[0], port)
    config = service(TWO, port).replace("protocol: HTTP}]", "protocol: TCP}]").replace(
        "kind: HTTPRoute", "kind: TCPRoute").replace("gateway.networking.k8s.io/v1\nkind: TCPRoute",
                                                     "gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute")
    gateway = Gateway(config + POLICY % "eviction: {duration: 300s}", workers=1)

    def has_evicted():
        try:
            gateway.client().close()
        except ConnectionResetError:
            pass
        return evicted(gateway)
    eq(wait_until(has_evicted, 5, "an eviction"), {TWO[1]}, "evicted")
    eq(endpoints(gateway)[TWO[0]]["health"], 1.0, "health of the good one")
    good.close()
