# SPDX-License-Identifier: Apache-2.0
"""The configurations of the documentation, unchanged: they print what their page shows, and do it.

They name fixed ports, so each gateway runs in a network namespace of its own, with httpbin on port 8000.
"""
import json
import os

from hg import *
from hg.framework import binary
from timers import expect_fired, expect_reason, expect_timeout

DATA = os.path.join(os.path.dirname(__file__), "..", "data")

FRONTEND = "[.policies[] | select(.policy.frontend != null and .policy.frontend.%s != null and " \
           ".policy.frontend.%s != null)] | .[0]"
QUERIES = {
    "idle-timeout": FRONTEND % ("hTTP", "hTTP.http1IdleTimeout"),
    "tcp-keepalive": FRONTEND % ("tCP", "tCP.keepalives"),
    "http2-keepalive": FRONTEND % ("hTTP", "hTTP.http2KeepaliveInterval"),
    "per-try-timeout": '[.binds[].listeners | to_entries[] | select(.value.routes | to_entries | '
                       'any(.value.name == "retry")) | { key: .key, value: (.value | .routes = ((.routes | '
                       'to_entries | map(select(.value.name == "retry")) | from_entries))) } ] | .[0] | '
                       '.key as $k | .value as $v | {($k): $v}',
}


def manifest(name):
    return os.path.join(DATA, "manifests", name + ".yaml")


def expected(name):
    with open(os.path.join(DATA, "dumps", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def jq(query, document):
    path = os.path.join(tmpdir(), "dump.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    status, out, error = run(["jq", query, path])
    eq((status, error), (0, ""), "jq")
    return json.loads(out)


def loaded(name, **options):
    """(gateway, net) with gateway.yaml and this manifest, in a namespace of their own."""
    net = Net()
    return Gateway(paths=[manifest("gateway"), manifest(name)], netns=net.server, **options), net


def prints_page(name):
    gateway, net = loaded(name)
    eq(jq(QUERIES[name], gateway.config_dump()), expected(name), f"the query of {name}")
    return gateway, net


NEEDS = ("netns", "jq")


@test("idle-timeout.yaml prints its page, and closes idle connections after 1 s", needs=NEEDS)
def idle_timeout():
    gateway, net = prints_page("idle-timeout")
    Origin(netns=net.server, port=8000)
    client = gateway.client(8080)
    with within(1.0, "the close of a connection that never sent a byte"):
        client.expect_fin()
    client = gateway.client(8080)
    eq(client.get("/headers", host="idle.example").status, 200, "status")
    with within(1.0, "the close"):
        client.expect_fin()
    eq(gateway.fetch("/headers", 8080, host="other.example").status, 404, "status of another host")
    eq(gateway.fetch("/get", 8080, host="idle.example").status, 404, "status of another path")
    expect_fired(gateway, "keepalive_idle", 2)
    record = gateway.wait_log(lambda r: r.status == 200)
    eq((record["gateway"], record["listener"], record["route"], record["route_rule"]),
       ("agentgateway-system/agentgateway-proxy", "http", "httpbin/idle-timeout", "timeout"),
       "names in the log")


@test("per-try-timeout.yaml prints its page, and repeats slow tries and 517",
      waits=True, needs=NEEDS, timeout=40)
def per_try_timeout():
    gateway, net = prints_page("per-try-timeout")
    origin = Origin(netns=net.server, port=8000)
    with within(6.0, "an attempt of 5 s, a pause of 1 s and a good try"):
        answer = gateway.fetch("/unstable?key=a&fail=1&mode=delay&delay=9", 8080, host="retry.example",
                               timeout=15)
    eq((answer.status, answer.json()["attempt"]), (200, 2), "status and attempt")
    with within(3.0, "four tries and three pauses"):
        eq(gateway.fetch("/status/517?count=b", 8080, host="retry.example").status, 517, "status")
    eq(origin.counter("b"), 4, "tries")
    eq(gateway.wait_log(lambda r: r.status == 517)["retry.attempt"], "3", "retry.attempt")


@test("tcp-keepalive.yaml prints its page, and its values are on the client connections", needs=NEEDS)
def tcp_keepalive():
    gateway, net = prints_page("tcp-keepalive")
    client = gateway.client(8080)
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") >= 1, 2, "the connection")
    out = net.server.ok("ss", "-Htnoi", "state", "established", "( sport = :8080 )")
    check("timer:(keepalive,2" in out, f"30 s until the first probe: {out!r}")
    client.close()
    check("applies to gateway agentgateway-system/agentgateway-proxy" in gateway.stderr
          or "agentgateway-system" in gateway.stderr, f"a warning about the namespace: {gateway.stderr!r}")


@test("http2-keepalive.yaml prints its page", needs=NEEDS)
def http2_keepalive():
    prints_page("http2-keepalive")


@test("the same keepalive in a standalone file prints the same policy", needs=("jq",))
def http2_keepalive_standalone():
    gateway = Gateway("frontendPolicies: {http: {http2KeepaliveInterval: 5s, http2KeepaliveTimeout: 30s}}\n"
                      "binds: [{port: @port@, listeners: [{routes: [{backends: [{host: 'localhost:1'}]}]}]}]")
    found = jq(QUERIES["http2-keepalive"], gateway.config_dump())
    eq(found, {"key": "frontend/http", "name": None, "target": {"gateway": {
        "gatewayName": "default", "gatewayNamespace": "default", "listenerName": None}},
        "policy": expected("http2-keepalive")["policy"]}, "the query of http2-keepalive")
    eq(list(found["policy"]["frontend"]["hTTP"]),
       list(expected("http2-keepalive")["policy"]["frontend"]["hTTP"]), "order of the members")


@test("all manifests together load, and a directory of them loads", needs=("netns",))
def together():
    net = Net()
    names = ("gateway", "idle-timeout", "per-try-timeout", "tcp-keepalive")
    texts = {}
    for name in names:
        with open(manifest(name), encoding="utf-8") as file:
            texts[name + ".yaml"] = file.read()
    Origin(netns=net.server, port=8000)
    for source in ({"paths": [manifest(name) for name in names]}, {"directory": texts}):
        gateway = Gateway(netns=net.server, **source)
        eq(gateway.fetch("/headers", 8080, host="idle.example").status, 200, "status of one route")
        eq(gateway.fetch("/get", 8080, host="retry.example").status, 200, "status of the other")
        eq(len(gateway.config_dump()["policies"]), 2, "policies")
        gateway.stop()


@test("two objects of one name are an error that names both places")
def twice():
    status, _, error = run([binary("headgate"), "-f", manifest("gateway"), "-f", manifest("tcp-keepalive"),
                            "-f", manifest("http2-keepalive"), "--validate-only"])
    check(status != 0, "the exit status")
    for part in ("tcp-keepalive.yaml line 1", "http2-keepalive.yaml:1:", "httpbin/httpbin-keepalive"):
        check(part in error, f"{part} in {error!r}")


@test("standalone-backend-timeouts.yaml prints what the page means, and its timeouts hold", needs=NEEDS)
def standalone():
    net = Net()
    gateway = Gateway(paths=[manifest("standalone-backend-timeouts")], netns=net.server)
    dump = gateway.config_dump()
    eq(jq(".binds", dump), [{"key": "bind/3000", "address": "[::]:3000", "protocol": "http",
                             "tunnelProtocol": "direct",
                             "listeners": expected("standalone-backend-timeouts")}], ".binds")
    eq(jq(".backends", dump), [{"backend": {"host": {
        "name": "default/default/bind/3000/listener0/default/route0/backend0", "namespace": "",
        "target": "localhost:8080"}}}], ".backends")
    Origin(netns=net.server, port=8080)
    answer = gateway.fetch("/anything", 3000)
    eq((answer.status, answer.json()["headers"]["Host"]), (200, "localhost:8080"),
       "status, and Host of a named host")
    out = net.server.ok("ss", "-Htno", "state", "established", "( dport = :8080 )")
    check("timer:(keepalive,2min5" in out or "timer:(keepalive,3min" in out,
          f"keepalive of 180 s towards the backend: {out!r}")
    with within(1.0, "http.requestTimeout"):
        expect_timeout(gateway.fetch("/delay/3", 3000), "upstream call timeout")
    expect_reason(gateway, "per_try_timeout", 504, 1.0)


@test("standalone-mcp-timeout.yaml is taken as it is")
def mcp():
    status, out, error = run(
        [binary("headgate"), "-f", manifest("standalone-mcp-timeout"), "--validate-only"])
    eq((status, out), (0, "Configuration is valid!\n"), f"the file of the page: {error}")


@test("the copies of the manifests load without any warning but the one of the foreign namespace")
def warnings():
    for name, count in (("idle-timeout", 0), ("per-try-timeout", 0), ("tcp-keepalive", 1), ("http2-keepalive",
                                                                                            1)):
        status, out, error = run([binary("headgate"), "-f", manifest("gateway"), "-f", manifest(name),
                                  "--validate-only"])
        eq(status, 0, f"exit status of {name}: {out}{error}")
        eq((out + error).count("\twarn\t"), count, f"warnings of {name}: {error!r}")
