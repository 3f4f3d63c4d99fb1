# SPDX-License-Identifier: Apache-2.0
"""GET /config_dump: the queries of the documentation, and its order."""
import json
import os

from hg import *

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: agentgateway-proxy, namespace: agentgateway-system}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: http, port: @port@, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: httpbin}
spec: {clusterIP: None, ports: [{name: http, port: 8000}]}
"""

ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %(name)s, namespace: httpbin}
spec:
  hostnames: [%(name)s.example]
  parentRefs: [{name: agentgateway-proxy, namespace: agentgateway-system}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    name: timeout
    backendRefs: [{name: httpbin, port: 8000}]
    %(more)s
"""

POLICY = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %(name)s, namespace: %(namespace)s}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %(kind)s, name: %(target)s%(section)s}]
  %(what)s
"""


def route(name, more=""):
    return ROUTE % {"name": name, "more": more}


def on_gateway(name, what, section=""):
    return POLICY % {"name": name, "namespace": "agentgateway-system", "kind": "Gateway",
                     "target": "agentgateway-proxy", "section": section, "what": what}


def on_route(name, what, target, section=""):
    return POLICY % {"name": name, "namespace": "httpbin", "kind": "HTTPRoute", "target": target,
                     "section": section, "what": what}


def ask(text, query):
    gateway = Gateway(GATEWAY + text)
    path = os.path.join(tmpdir(), "dump.json")
    with open(path, "wb") as file:
        file.write(gateway.admin("/config_dump").body)
    status, out, error = run(["jq", query, path])
    eq((status, error), (0, ""), "jq")
    gateway.stop()
    return json.loads(out)


FRONTEND = "[.policies[] | select(.policy.frontend != null and .policy.frontend.%s != null and " \
           ".policy.frontend.%s != null)] | .[0]"

HTTP_DEFAULT = {"maxBufferSize": 2097152, "http1MaxHeaders": None, "http1IdleTimeout": "10m0s",
                "http2WindowSize": None, "http2ConnectionWindowSize": None, "http2FrameSize": None,
                "http2KeepaliveInterval": None, "http2KeepaliveTimeout": None}


def frontend(name, kind, value):
    kind_word = {"hTTP": "http", "tCP": "tcp"}[kind]
    return {
        "key": f"frontend/agentgateway-system/{name}:frontend-{kind_word}:"
               "agentgateway-system/agentgateway-proxy",
        "name": {"kind": "AgentgatewayPolicy", "name": name, "namespace": "agentgateway-system"},
        "target": {"gateway": {"gatewayName": "agentgateway-proxy", "gatewayNamespace": "agentgateway-system",
                               "listenerName": None}},
        "policy": {"frontend": {kind: value}}}


@test("queries 1 to 4: frontend policies", needs=("jq",))
def frontend_queries():
    for written, member, changed in (
            ("http1IdleTimeout: 90s", "http1IdleTimeout", {"http1IdleTimeout": "1m30s"}),
            ("http1MaxHeaders: 50", "http1MaxHeaders", {"http1MaxHeaders": 50}),
            ("http2KeepaliveInterval: 5s", "http2KeepaliveInterval", {"http2KeepaliveInterval": "5s"}),
            ("maxBufferSize: 81920", "maxBufferSize", {"maxBufferSize": 81920}),
            ("http2WindowSize: 65536", "http2WindowSize", {"http2WindowSize": 65536})):
        eq(ask(on_gateway("p", f"frontend: {{http: {{{written}}}}}"), FRONTEND % ("hTTP", f"hTTP.{member}")),
           frontend("p", "hTTP", {**HTTP_DEFAULT, **changed}), f"the query for {member}")
    eq(ask(on_gateway("p", "frontend: {tcp: {keepalive: {retries: 3}}}"), FRONTEND % ("tCP",
                                                                                      "tCP.keepalives")),
       frontend("p", "tCP", {"keepalives": {"enabled": True, "time": "3m0s", "interval": "3m0s",
                                            "retries": 3}}),
       "the query for keepalives")


BACKENDS = [{"weight": 1, "service": {"name": "httpbin/httpbin.httpbin.svc.cluster.local", "port": 8000}}]


def dumped_route(name, inline):
    return {"key": f"httpbin/{name}.0.0.http", "name": name, "namespace": "httpbin", "ruleName": "timeout",
            "hostnames": [f"{name}.example"], "matches": [{"path": {"pathPrefix": "/"}}],
            "backends": BACKENDS,
            "inlinePolicies": inline}


@test("queries 5, 6 and 8: inline policies of routes", needs=("jq",))
def inline_queries():
    text = route("plain") + route("retry", "retry: {attempts: 3, backoff: 1s, codes: [517, 503]}\n"
                                           "    timeouts: {request: 20s, backendRequest: 5s}")
    inline = [{"timeout": {"requestTimeout": "20s", "backendRequestTimeout": "5s"}},
              {"retry": {"attempts": 3, "backoff": "1s",
                         "codes": ["517 <unknown status code>", "503 Service Unavailable"]}}]
    listeners = ask(text, '[.binds[].listeners | to_entries[] | select(.value.routes | to_entries | '
                          'any(.value.name == "retry")) | { key: .key, value: (.value | .routes = '
                          '((.routes | to_entries | map(select(.value.name == "retry")) | '
                          'from_entries))) } ] | '
                          '.[0] | .key as $k | .value as $v | {($k): $v}')
    key = "agentgateway-system/agentgateway-proxy.http"
    eq(listeners, {key: {"key": key, "gatewayName": "agentgateway-proxy",
                         "gatewayNamespace": "agentgateway-system",
                         "listenerName": "http", "hostname": "", "protocol": "HTTP",
                         "routes": {"httpbin/retry.0.0.http": dumped_route("retry", inline)},
                         "tcpRoutes": {}}},
       "query 5")
    eq(ask(text, '[.binds[].listeners | to_entries[] | .value.routes | to_entries[] | '
                 'select(.value.inlinePolicies[]? | has("timeout")) | .value] | .[0]'),
       dumped_route("retry", inline), "query 6")
    eq(ask(text, '[.binds[].listeners | to_entries[] | .value.routes | to_entries[] | '
                 'select(.value.name == "retry" and (.value.inlinePolicies[]? | has("retry"))) | '
                 '.value] | .[0]'),
       dumped_route("retry", inline), "query 8")


GRPC_ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: httpbin}
spec:
  hostnames: [grpc.example]
  parentRefs: [{name: agentgateway-proxy, namespace: agentgateway-system}]
  rules:
  - name: one
    matches:
    - method: {service: shop.v1.Cart, method: GetItem}
      headers: [{name: Who, value: me}]
    - method: {service: shop.v1.Cart}
    - method: {method: Check}
    backendRefs: [{name: httpbin, port: 8000}]
  - backendRefs: [{name: httpbin, port: 8000}]
"""


@test("a GRPCRoute is dumped as a route of its kind, and so is a policy on it")
def grpc_route():
    policy = on_route("p", "traffic: {timeouts: {request: 2s}}", "calls", ", sectionName: one")
    gateway = Gateway(GATEWAY + route("plain") + GRPC_ROUTE + policy.replace("HTTPRoute", "GRPCRoute"))
    dump = gateway.config_dump()
    routes = dump["binds"][0]["listeners"]["agentgateway-system/agentgateway-proxy.http"]["routes"]
    common = {"name": "calls", "namespace": "httpbin", "kind": "GRPCRoute", "hostnames": ["grpc.example"],
              "backends": BACKENDS}
    eq(routes, {
        "httpbin/calls.0.0.grpc.http": {
            "key": "httpbin/calls.0.0.grpc.http", "ruleName": "one", **common, "matches": [
                {"headers": [{"name": "who", "value": {"exact": "me"}}],
                 "path": {"exact": "/shop.v1.Cart/GetItem"}},
                {"path": {"pathPrefix": "/shop.v1.Cart"}}, {"path": {"regex": "/[^/]+/Check"}}]},
        "httpbin/calls.1.0.grpc.http": {"key": "httpbin/calls.1.0.grpc.http", **common,
                                        "matches": [{"path": {"pathPrefix": "/"}}]},
        "httpbin/plain.0.0.http": {key: value for key, value in dumped_route("plain", None).items()
                                   if key != "inlinePolicies"}}, "routes")
    eq(dump["policies"], [traffic("p", "timeout", {"requestTimeout": "2s"}, {"route": {
        "name": "calls", "namespace": "httpbin", "ruleName": "one", "kind": "GRPCRoute"}},
        "httpbin/calls/one")], "policies")


def traffic(name, kind, value, target, of="httpbin/", namespace="httpbin"):
    return {"key": f"traffic/{namespace}/{name}:{kind}:{of}",
            "name": {"kind": "AgentgatewayPolicy", "name": name, "namespace": namespace},
            "target": target, "policy": {"traffic": {"phase": "route", kind: value}}}


@test("query 7: a timeout policy on a rule and on a listener", needs=("jq",))
def timeout_policy():
    query = "[.policies[] | select(.policy.traffic.timeout?)] | .[0]"
    eq(ask(route("httpbin-timeout") + on_route("timeout", "traffic: {timeouts: {request: 2s}}",
                                               "httpbin-timeout",
                                               ", sectionName: timeout"), query),
       traffic("timeout", "timeout", {"requestTimeout": "2s"},
               {"route": {"name": "httpbin-timeout", "namespace": "httpbin", "ruleName": "timeout"}},
               "httpbin/httpbin-timeout/timeout"), "on a rule")
    eq(ask(on_gateway("timeout", "traffic: {timeouts: {request: 2s}}", ", sectionName: http"), query),
       traffic("timeout", "timeout", {"requestTimeout": "2s"},
               {"gateway": {"gatewayName": "agentgateway-proxy", "gatewayNamespace": "agentgateway-system",
                            "listenerName": "http"}},
               "agentgateway-system/agentgateway-proxy/http", "agentgateway-system"), "on a listener")


@test("queries 9 and 10: retry and timeout in one policy are two entries", needs=("jq",))
def retry_policy():
    text = route("retry") + on_route("retry", "traffic: {retry: {attempts: 3, backoff: 1s, codes: [517]}, "
                                              "timeouts: {request: 5s}}", "retry")
    target = {"route": {"name": "retry", "namespace": "httpbin"}}
    retry = traffic("retry", "retry", {"attempts": 3, "backoff": "1s",
                                       "codes": ["517 <unknown status code>"]},
                    target, "httpbin/retry")
    timeout = traffic("retry", "timeout", {"requestTimeout": "5s"}, target, "httpbin/retry")
    eq(ask(text, '[.. | objects | select(has("policy") and .policy.traffic.retry?.attempts == 3 and '
                 '.name.name? == "retry")] | .[0]'), retry, "query 9")
    eq(ask(text,
           '[.. | objects | select(has("policy") and .policy.traffic? and ((.policy.traffic.retry? != null) '
                 'or (.policy.traffic.timeout? != null)) and .name.name? == "retry")] | '
                 '{ retry: (map(select(.policy.traffic.retry?)) | .[0]), '
                 'timeout: (map(select(.policy.traffic.timeout?)) | .[0]) }'),
       {"retry": retry, "timeout": timeout}, "query 10")


@test("query 11: a delay on a route, as a duration and as an expression", needs=("jq",))
def delay_policy():
    query = "[.policies[] | select(.policy.traffic.delay?)] | .[0]"
    for written, dumped in (("2s", "2s"), ("1500ms", "1.5s"),
                            ('"random() < 0.1 ? 500 : 0"', "random() < 0.1 ? 500 : 0")):
        eq(ask(route("httpbin-delay") + on_route("httpbin-delay",
                                                 f"traffic: {{delay: {{duration: {written}}}}}",
                                                 "httpbin-delay"), query),
           traffic("httpbin-delay", "delay", {"duration": dumped},
                   {"route": {"name": "httpbin-delay", "namespace": "httpbin"}}, "httpbin/httpbin-delay"),
           f"duration: {written}")


HEALTH = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: httpbin-health, namespace: httpbin}
spec:
  targetRefs:
  - group: ""
    kind: Service
    name: httpbin
  backend:
    health:
      unhealthyCondition: 'response.code >= 500'
      eviction:
        consecutiveFailures: 3
        duration: 30s
        restoreHealth: 100
"""


@test("query 12: the health policy of a service", needs=("jq",))
def health_policy():
    eq(ask(route("r") + HEALTH, '[.policies[] | select(.name.name == "httpbin-health")] | .[0]'),
       {"key": "httpbin/httpbin-health:health:httpbin/httpbin.httpbin.svc.cluster.local",
        "name": {"kind": "AgentgatewayPolicy", "name": "httpbin-health", "namespace": "httpbin"},
        "target": {"backend": {"service": {"hostname": "httpbin.httpbin.svc.cluster.local",
                                           "namespace": "httpbin"}}},
        "policy": {"backend": {"health": {"unhealthyExpression": "response.code >= 500",
                                          "eviction": {"duration": "30s", "restoreHealth": 1,
                                                       "consecutiveFailures": 3}}}}}, "the policy")


@test("standalone: delay and health are inline policies, in their place among the others", needs=("jq",))
def inline_resiliency():
    origin = Origin()
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - routes:
    - policies:
        delay: {duration: 0s}
        timeout: {requestTimeout: 5s}
        retry: {codes: []}
      backends:
      - host: @origin@
        policies:
          health: {unhealthyExpression: response.code >= 500, eviction: {healthThreshold: 0.5}}
          http: {requestTimeout: 1s}
""", origin=origin)
    listeners = gateway.config_dump()["binds"][0]["listeners"].values()
    dumped = [one for listener in listeners for one in listener["routes"].values()][0]
    eq([list(policy) for policy in dumped["inlinePolicies"]], [["timeout"], ["retry"], ["delay"]], "order")
    eq(dumped["inlinePolicies"][2], {"delay": {"duration": "0s"}}, "the delay")
    eq(dumped["backends"][0]["inlinePolicies"],
       [{"http": {"version": None, "requestTimeout": "1s"}},
        {"health": {"unhealthyExpression": "response.code >= 500", "eviction": {"healthThreshold": 0.5}}}],
       "of the backend")


STANDALONE = """
config:
  backend: {connectTimeout: 3s, poolIdleTimeout: 60s, poolMaxSize: 7, keepalives: {time: 1m}}
frontendPolicies:
  http: {http1IdleTimeout: 30s}
binds:
- port: @port@
  listeners:
  - routes:
    - name: httpbin
      policies:
        timeout: {requestTimeout: 90s}
        retry: {attempts: 1, codes: []}
      backends:
      - host: @origin@
        policies: {http: {requestTimeout: 1s}, tcp: {connectTimeout: 1500ms, keepalives: {}}}
"""


@test("query 13: standalone routes and backends", needs=("jq",))
def standalone():
    origin = Origin()
    gateway = Gateway(STANDALONE, origin=origin)
    dump = gateway.config_dump()
    eq(list(dump), ["workloads", "services", "binds", "policies", "backends", "version", "config"],
       "order of sections")
    path = os.path.join(tmpdir(), "dump.json")
    with open(path, "wb") as file:
        file.write(gateway.admin("/config_dump").body)
    eq(run(["jq", "-c", ".binds[].listeners[].routes[].name", path])[1], '"httpbin"\n', "names of the routes")
    key = f"default/default/bind/{gateway.port}/listener0/default/httpbin/backend0"
    eq(dump["backends"], [{"backend": {"host": {"name": key, "namespace": "", "target": origin.address}}}],
       ".backends")
    route_dump = dump["binds"][0]["listeners"][f"default/default/bind/{gateway.port}/listener0"]["routes"]
    eq(list(route_dump.values())[0], {
        "key": f"default/default/bind/{gateway.port}/listener0/default/httpbin", "name": "httpbin",
        "namespace": "default", "matches": [{"path": {"pathPrefix": "/"}}],
        "backends": [{"weight": 1, "backend": "/" + key, "inlinePolicies": [
            {"http": {"version": None, "requestTimeout": "1s"}},
            {"tcp": {"keepalives": {"enabled": True, "time": "3m0s", "interval": "3m0s", "retries": 9},
                     "connectTimeout": "1.5s"}}]}],
        "inlinePolicies": [{"timeout": {"requestTimeout": "1m30s"}}, {"retry": {"attempts": 1,
                                                                                "codes": []}}]},
       "the route")
    eq(dump["policies"], [{"key": "frontend/http", "name": None, "target": {"gateway": {
        "gatewayName": "default", "gatewayNamespace": "default", "listenerName": None}},
        "policy": {"frontend": {"hTTP": {**HTTP_DEFAULT, "http1IdleTimeout": "30s"}}}}], ".policies")
    eq(dump["config"]["backend"], {"keepalives": {"enabled": True, "time": "1m0s", "interval": "3m0s",
                                                  "retries": 9},
                                   "connectTimeout": "3s", "poolIdleTimeout": "1m0s", "poolMaxSize": 7},
       "config.backend")


@test("HTTP/2 settings are dumped: versions of backends, limits, PINGs to backends only where written")
def http2_settings():
    text = ("config: {%s}\nbinds: [{port: @port@, listeners: [{routes: [{backends: ["
            "{host: 'localhost:1', policies: {http: {version: HTTP/2.0}}}, "
            "{host: 'localhost:2', policies: {http: {version: HTTP/1.1}}}]}]}]}]")
    gateway = Gateway(text % "")
    dump = gateway.config_dump()
    eq(dump["config"]["http2"], {"maxConcurrentStreams": 100, "headers": 128, "idleTimeout": "10m0s",
                                 "stallTimeout": "5m0s"}, "config.http2")
    check("http2KeepaliveInterval" not in dump["config"]["backend"], f"{dump['config']['backend']}")
    listener, = dump["binds"][0]["listeners"].values()
    backends = list(listener["routes"].values())[0]["backends"]
    eq([ref["inlinePolicies"] for ref in backends],
       [[{"http": {"version": "HTTP/2.0"}}], [{"http": {"version": "HTTP/1.1"}}]], "versions")
    check("warn" not in gateway.stderr, f"stderr: {gateway.stderr!r}")
    gateway.stop()
    dump = Gateway(text % "http2: {maxConcurrentStreams: 5, headers: 20, stallTimeout: 1m}, "
                          "limits: {http2Floods: {resets: 30, glitches: 40}}, "
                          "backend: {http2KeepaliveInterval: 90s, http2KeepaliveTimeout: 1s}").config_dump()
    floods = dump["config"]["limits"]["http2Floods"]
    eq((floods["resets"], floods["earlyResets"], floods["glitches"]), (30, 50, 40), "http2Floods")
    eq(list(dump["config"]["http2"].values()), [5, 20, "10m0s", "1m0s"], "config.http2")
    eq(list(dump["config"]["backend"].items())[-2:],
       [("http2KeepaliveInterval", "1m30s"), ("http2KeepaliveTimeout", "1s")], "config.backend")


@test("policies, backends and routes are sorted by key, and no member is doubled")
def sorted_dump():
    text = "".join(route(f"r{i}") for i in (10, 2, 1)) + "".join(
        on_gateway(f"p{i}", "traffic: {timeouts: {request: 2s}}") for i in (3, 1, 2))
    gateway = Gateway(GATEWAY + text)
    body = gateway.admin("/config_dump").body

    def pairs(members):
        names = [name for name, _ in members]
        eq(len(names), len(set(names)), f"members {names}")
        return dict(members)
    dump = json.loads(body, object_pairs_hook=pairs)
    keys = [policy["key"] for policy in dump["policies"]]
    eq(keys, sorted(keys), "keys of the policies")
    for listener in dump["binds"][0]["listeners"].values():
        eq(list(listener["routes"]), sorted(listener["routes"]), "keys of the routes")
        eq(listener["tcpRoutes"], {}, "tcpRoutes")


@test("a policy whose target does not exist stays in the dump, with a warning")
def missing_target():
    gateway = Gateway(GATEWAY + on_route("lost", "traffic: {timeouts: {request: 2s}}", "nowhere"))
    eq([policy["name"]["name"] for policy in gateway.config_dump()["policies"]], ["lost"], "policies")
    check("warn" in gateway.stderr and "nowhere" in gateway.stderr, f"stderr: {gateway.stderr!r}")
