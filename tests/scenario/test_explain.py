# SPDX-License-Identifier: Apache-2.0
"""headgate explain KEY and headgate explain route NAME: what a key means, which policies a route has."""
import json
import os
import re

from hg import *
from hg.framework import binary, repository_root
from hg.gateway import SANITIZER_ENV


def explain(*args):
    return run([binary("headgate"), "explain", *args], env=SANITIZER_ENV)


def lines_of(key):
    status, out, error = explain(key)
    eq((status, error), (0, ""), key)
    first, *lines = out.rstrip("\n").split("\n")
    eq(first, key)
    return {line[2:11].strip(): line[11:] for line in lines}


@test("value, default, reload, meaning and the keys below, through lists, names, policies and sections")
def keys():
    eq(lines_of("config.workerThreads"), {"value": "1..256, 50%, or auto", "default": "one per processor",
                                          "reload": "next start", "meaning": "environment: WORKER_THREADS"})
    for key in ("routes.policies.timeout.requestTimeout", "routes[0].policies.timeout.requestTimeout",
                "binds[].listeners[3].routes[].policies.timeout.requestTimeout",
                "policies.policy.timeout.requestTimeout"):
        eq(lines_of(key), {"value": "duration", "default": "off",
                           "meaning": "until the head of the response, over all attempts"}, key)
    eq(lines_of("gateways.public.listeners.hostname")["value"], "a.example.com, *.example.com")
    eq(lines_of("gateways.port")["default"], "required")
    check("NAME, and below it port, bind" in lines_of("gateways")["keys"], "keys of gateways")
    eq(lines_of("backends.policies")["keys"].split(", ")[:2], ["http", "tcp"])
    eq(lines_of("routes.policies.urlRewrite.authority")["value"], "auto, none")
    eq(lines_of("routes.policies.urlRewrite.authority.host")["meaning"], "the port stays")
    check("not supported" in lines_of("llm")["refused"], "llm")
    check("origin" in lines_of("gateways.public.cors.allowOrigins")["value"], "a policy of a gateway")
    check("config, gateways, routes" in explain()[1], "the whole file")


@test("keys of every table of the reference, by their paths, have the defaults that it shows")
def reference():
    with open(repository_root() + "/config/README.md", encoding="utf-8") as file:
        text = file.read()
    places = {"gateways": "gateways.", "binds": "binds.", "routes": "routes.", "tcpRoutes": "tcpRoutes.",
              "routeGroups": "routeGroups.",
              "refs": "routes.backends.", "backends": "backends.", "policies": "policies.", "mcp": "mcp.",
              "routePolicies": "routes.policies.", "backendPolicies": "backends.policies.",
              "frontendPolicies": "frontendPolicies.", "listenerTls": "gateways.tls.", "config": "config."}
    seen = 0
    for name, place in places.items():
        table = text[text.index(f"<!-- rows: {name} -->"):]
        table = table[:table.index("<!-- end of rows -->")]
        # Of long tables some rows: each starts a process.
        rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \|", table, re.M)
        for key, _, default in rows[::5 if is_thorough() else 20]:
            want = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", default.replace("`", ""))
            eq(lines_of(place + key)["default"], "none" if want == "–" else want, place + key)
            seen += 1
    check(seen > 30, f"only {seen} keys were compared")


@test("an unknown key: the one that was meant, or those that exist; status 2")
def unknown():
    for args, words in ((["routes.policis"], 'did you mean "policies"?'), (["config.zzz"], "write one of"),
                        (["routes.name.x"], "nothing is below"), (["routes..x"], "unknown key"),
                        (["routes", "binds"], "more than one key")):
        status, out, error = explain(*args)
        eq((status, out), (2, ""), args)
        check(words in error, f"{args}: {error}")


ROUTES = """
binds:
- port: 8080
  listeners:
  - routes:
    - name: api
      matches: [{path: {pathPrefix: /api}}]
      policies:
        timeout: {requestTimeout: 10s}
        apiKey: {keys: [{key: s3cr3t-key}], mode: strict}
        authorization: {rules: ['request.path != "/api/no"']}
      backends:
      - host: 127.0.0.1:8000
        policies: {http: {requestTimeout: 2s}}
    - name: web
      backends: [{host: 127.0.0.1:8001}]
- port: 8081
  listeners:
  - protocol: TCP
    tcpRoutes: [{name: bytes, backends: [{host: 127.0.0.1:8002}]}]
policies:
- name: {name: slow, namespace: default}
  target: {gateway: {gatewayName: default, gatewayNamespace: default}}
  policy: {timeout: {requestTimeout: 60s}}
- name: {name: try, namespace: default}
  target: {gateway: {gatewayName: default, gatewayNamespace: default}}
  policy: {timeout: {backendRequestTimeout: 5s, requestTimeout: 7s}}
- name: {name: again, namespace: default}
  target: {gateway: {gatewayName: default, gatewayNamespace: default}}
  policy: {retry: {attempts: 2, codes: []}}
- name: {name: at-once, namespace: default}
  target: {gateway: {gatewayName: default, gatewayNamespace: default}}
  policy: {retry: {attempts: 5, codes: []}}
- name: {name: rules, namespace: default}
  target: {gateway: {gatewayName: default, gatewayNamespace: default}}
  policy: {authorization: {rules: ['request.method == "GET"']}}
- name: {name: http, namespace: default}
  target: {gateway: {gatewayName: default, gatewayNamespace: default}}
  policy: {http: {requestTimeout: 3s}}
"""


def explain_route(name, *options, text=ROUTES):
    path = os.path.join(tmpdir(), "routes.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return explain("route", name, "-f", path, *options)


def policies_of(name):
    status, out, error = explain_route(name, "--json")
    eq((status, error), (0, ""), name)
    check("s3cr3t" not in out, "the key is shown")
    (route,) = json.loads(out)["routes"]
    known = [{key: entry for key, entry in policy.items() if key != "where"} for policy in route["policies"]]
    return route, {next(iter(policy)): policy for policy in known}


@test("explain route: what applies, where it is written, what lost against it and why; no secret")
def route():
    shown, policies = policies_of("api")
    check("routes.yaml:" in shown["where"], shown)
    timeout = policies["timeout"]
    eq((timeout["timeout"], timeout["from"]), ({"requestTimeout": "10s"}, "written in the rule"), "timeout")
    eq([(lost["from"], lost["because"]) for lost in timeout["lost"]],
       [(f"policy default/{name} on the gateway", "what is written in the rule is stronger")
        for name in ("try", "slow")], "what the rule replaces")
    check(all("routes.yaml:" in lost["where"] for lost in timeout["lost"]), timeout)
    retry = policies["retry"]
    eq((retry["retry"]["attempts"], retry["from"]), (2, "policy default/again on the gateway"), "retry")
    eq([lost["because"] for lost in retry["lost"]],
       ["policy default/again of the same level comes first by key"], "a tie")
    eq([part["from"] for part in policies["policy"]["parts"]],
       ["written in the rule", "policy default/rules on the gateway"], "rules add up")
    (backend,) = shown["backends"]
    (http,) = backend["policies"]
    eq((http["http"]["requestTimeout"], http["from"]), ("2s", "written where the rule names the backend"),
       "http")
    eq([(lost["http"]["requestTimeout"], lost["because"]) for lost in http["lost"]],
       [("3s", "what is written where the rule names the backend is stronger")], "of the gateway")


@test("explain route: policies of one level are merged, and it says which members are without effect")
def merged():
    shown, policies = policies_of("default/web")
    timeout = policies["timeout"]
    eq(timeout["timeout"], {"requestTimeout": "1m0s", "backendRequestTimeout": "5s"}, "merged")
    eq([(part["from"], part.get("withoutEffect")) for part in timeout["parts"]],
       [("policy default/try on the gateway", ["requestTimeout"]),
        ("policy default/slow on the gateway", None)], "parts")
    check("lost" not in timeout, timeout)
    eq(shown["backends"][0]["policies"][0]["from"], "policy default/http on the gateway", "http")
    shown = json.loads(explain_route("bytes", "--json")[1])["routes"][0]
    eq([(backend["backend"], backend["policies"]) for backend in shown["backends"]], [("127.0.0.1:8002", [])],
       "the backend of a TCP route: http does not apply")
    check("policies" not in shown, "a TCP route has no policies of requests")


@test("explain route: without --json it is YAML; no such route, no name, no file: what to write instead")
def route_words():
    status, out, error = explain_route("web")
    eq((status, error), (0, ""), "YAML")
    check("    from: 'policy default/again on the gateway'\n" in out, out)
    for args, words in ((("wbe",), "no route wbe; write one of default/api, default/web, default/bytes"),):
        status, out, error = explain_route(*args)
        eq((status, out), (2, ""), args)
        check(words in error, error)
    for args, words in ((("route",), "no configuration"), (("route", "web"), "no configuration"),
                        (("route", "-f", "/dev/null"), "no name of a route"),
                        (("routes", "-f", "/dev/null"), "a key needs no file")):
        status, out, error = explain(*args)
        eq((status, out), (2, ""), args)
        check(words in error and "write headgate explain" in error, error)
    status, out, error = explain_route("web", text=ROUTES.replace("60s", "60x"))
    eq((status, out), (1, ""), "a wrong file")
    check("60x" in error, error)
