# SPDX-License-Identifier: Apache-2.0
"""One small configuration for each construct, in both forms of a standalone file: both serve the same, and
have the same dump but for the names of listeners."""
from forms import Ask, same
from hg import *
from hg.framework import once

OK = "policies: {directResponse: {status: 200, body: %s}}"
TO_ORIGIN = "backends: [{host: @origin@}]"
# Routes of the listener on @port@, other sections of the file, requests with their answers.
CONSTRUCTS = {
    "path: exact, prefix, regex, in this order": ([
        "{matches: [{path: {regex: '/r.*'}}], " + OK % "regex" + "}",
        "{matches: [{path: {pathPrefix: /a}}], " + OK % "prefix" + "}",
        "{matches: [{path: {exact: /a/b}}], " + OK % "exact" + "}"], "",
        [Ask("/a/b", body="exact"), Ask("/a/c", body="prefix"), Ask("/ab", 404), Ask("/rx", body="regex")]),
    "header, query and method": ([
        "{matches: [{headers: [{name: x-a, value: {exact: '1'}}], path: {pathPrefix: /}}], "
        + OK % "h" + "}",
        "{matches: [{path: {pathPrefix: /}, query: [{name: q, value: {exact: '1'}}]}], " + OK % "q" + "}",
        "{matches: [{path: {pathPrefix: /}, method: PUT}], " + OK % "m" + "}"], "",
        [Ask("/", body="h", headers=[("x-a", "1")]), Ask("/?q=1", body="q"), Ask("/", body="m", method="PUT"),
         Ask("/", 404)]),
    "hostnames": ([
        "{hostnames: [a.example], " + OK % "a" + "}", "{hostnames: ['*.example'], " + OK % "any" + "}"], "",
        [Ask("/", body="a", host="a.example"), Ask("/", body="any", host="b.example"),
         Ask("/", 404, host="c.other")]),
    "requestRedirect": (["{policies: {requestRedirect: {path: {full: /new}, status: 307}}}"], "",
                        [Ask("/old", 307)]),
    "urlRewrite": (["{matches: [{path: {pathPrefix: /in}}], " + TO_ORIGIN
                    + ", policies: {urlRewrite: {path: {prefix: /status}}}}"], "", [Ask("/in/418", 418)]),
    "backends with a weight of 0": (["{backends: [{host: 'localhost:1', weight: 0}, {host: @origin@}]}"], "",
                                    [Ask("/status/207", 207)]),
    "no backends": (["{backends: []}"], "", [Ask("/", 500)]),
    "a named backend": (["{backends: [{backend: b}]}"], "backends: [{name: b, host: @origin@}]",
                        [Ask("/status/207", 207)]),
    "a service with its workloads": (
        ["{backends: [{service: {name: ns/s.example, port: 80}}]}"],
        "services: [{namespace: ns, hostname: s.example, ports: {80: 1}}]\n"
        "workloads:\n"
        "- {workloadIps: [127.0.0.1], services: {ns/s.example: {80: @origin_port@}}}\n"
        "- {workloadIps: [127.0.0.1], status: Unhealthy, services: {ns/s.example: {}}}",
        [Ask("/status/207", 207), Ask("/status/208", 208)]),
    "a service without a healthy workload": (
        ["{backends: [{service: {name: ns/s.example, port: 80}}]}"],
        "services: [{namespace: ns, hostname: s.example, ports: {80: 1}}]", [Ask("/", 503)]),
    "a dynamic backend": (
        ["{backends: [{dynamic: {allowedAddresses: [127.0.0.0/8]}}]}"], "",
        [Ask("/status/207", 207, host="127.0.0.1:@origin_port@"), Ask("/", 403, host="169.254.169.254")]),
    "a dynamic backend reaches this host only where it may": (
        ["{backends: [{dynamic: {}}]}"], "", [Ask("/", 403, host="127.0.0.1:@origin_port@")]),
    "timeout": (["{policies: {timeout: {requestTimeout: 100ms}}, " + TO_ORIGIN + "}"], "",
                [Ask("/delay/5", 504)]),
    "retry": (["{policies: {retry: {attempts: 1, codes: [503]}}, " + TO_ORIGIN + "}"], "",
              [Ask("/status/503", 503)]),
    "cors": (["{policies: {cors: {allowOrigins: ['https://a.example']}, directResponse: {status: 200}}}"], "",
             [Ask("/", 200, method="OPTIONS", headers=[("Origin", "https://a.example"),
                                                      ("Access-Control-Request-Method", "GET")])]),
    "basicAuth": (["{policies: {directResponse: {status: 200}, basicAuth: {mode: strict, htpasswd: "
                   "'ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M='}}}"], "",
                  [Ask("/", 401), Ask("/", 200, headers=[("Authorization", "Basic YW5uOnRlc3Q=")])]),
    "localRateLimit": (["{policies: {localRateLimit: [{maxTokens: 0, fillInterval: 1h}], "
                        "directResponse: {status: 200}}}"], "", [Ask("/", 429)]),
    "an attached policy": (
        ["{name: r, matches: [{path: {pathPrefix: /r}}], " + TO_ORIGIN + "}"],
        "policies: [{name: {name: p}, target: {route: {name: r}}, policy: {urlRewrite: {path: {full: "
        "/status/207}}}}]", [Ask("/r", 207)]),
    "a policy of the gateway": (
        ["{" + TO_ORIGIN + "}"], "policies: [{name: {name: p}, target: {gateway: {port: @port@}}, policy: "
        "{urlRewrite: {path: {full: /status/208}}}}]", [Ask("/", 208)]),
    "routeGroups": (
        ["{matches: [{path: {pathPrefix: /g}}], backends: [{routeGroup: g}]}"],
        "routeGroups: [{name: g, routes: [{matches: [{path: {exact: /g/x}}], " + OK % "in" + "}]}]",
        [Ask("/g/x", body="in"), Ask("/g/y", 404)]),
    "frontendPolicies": (["{" + OK % "x" + "}"], "frontendPolicies: {http: {escapedSlashes: keep}}",
                         [Ask("/a%2fb", body="x")]),
}


def both(routes, more):
    """The construct in the current form, and in that with binds."""
    gateways = "gateways: {default: {port: @port@}}\nroutes:\n" + "".join(f"- {route}\n" for route in routes)
    binds = "binds:\n- port: @port@\n  listeners:\n  - name: default\n    routes:\n" + \
        "".join(f"    - {route}\n" for route in routes)
    return gateways + more + "\n", binds + more + "\n"


def started():
    origin = Origin()
    return Gateway(both(["{backends: []}"], "")[0], origin=origin, origin_port=origin.port,
                   lanes=True), origin.port


cases = table("constructs")

for _name, _construct in CONSTRUCTS.items():
    @cases(f"{_name}: served alike in both forms, with one dump")
    def served(construct=_construct):
        routes, more, asks = construct
        gateway, port = once("constructs", started)
        dumps = []
        for text in both(routes, more):
            status = gateway.reload(text)
            check(status["lastReloadOk"], f"{status['errors']}")
            for ask in asks:
                Ask(ask.path, ask.status, ask.body, ask.port, ask.host.replace("@origin_port@", str(port)),
                    ask.method, ask.headers).check(gateway)
            dumps.append(gateway.config_dump())
        same(*dumps)
