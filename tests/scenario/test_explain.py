# SPDX-License-Identifier: Apache-2.0
"""headgate explain KEY: what the rows of the configuration say about a key."""
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


@test("each key of the reference, by its path, has the default that the reference shows")
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
        for key, _, default in rows[::5]:
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
