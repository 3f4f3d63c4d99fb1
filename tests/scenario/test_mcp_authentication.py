# SPDX-License-Identifier: Apache-2.0
"""mcpAuthentication: clients without a token learn where to get one, and only valid tokens get in."""
import json
import re

from credentials import Issuer, bearer, public_jwk, token, written
from cryptography.hazmat.primitives.asymmetric import ec
from hg import *
from hg.mcp import BOTH, Mcp, McpGateway
from mcpplays import ATTACHED, DELEGATED, MANIFESTS, TARGETS, TOP, Told

METADATA = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"
POLICY = """mcpAuthentication:
          issuer: https://issuer
          audiences: [gw]
          jwks: {file: %s}
          %s
          resourceMetadata: {scopesSupported: [tools], bearerMethodsSupported: [header]%s}
"""
ROUTE = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: tools
      policies:
        %s
      backends: [{mcp: {targets: [%s]}}]
"""
KEY = ec.generate_private_key(ec.SECP256R1())


def keys():
    return written("keys.json", json.dumps({"keys": [{**public_jwk(KEY), "kid": "k"}]}))


def play(target, more="", metadata="", other="", **options):
    policy = other + POLICY % (keys(), more, metadata)
    return McpGateway(ROUTE % (policy, json.dumps(target.target("one"))), **options)


def initialize(gateway, headers=(), path="/mcp"):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
    return fetch(gateway.port, path, "POST", headers=[("Content-Type", "application/json"), ("Accept", BOTH),
                                                     *headers], body=body.encode())


def refused(gateway, headers, word, path="/mcp"):
    answer = initialize(gateway, headers, path)
    eq(answer.status, 401, f"{headers}")
    eq(answer.header("Content-Type"), "application/json", "the type of the refusal")
    eq(answer.json()["error"], "unauthorized", "its body")
    challenge = answer.header("WWW-Authenticate")
    check(word in challenge, f"{word} in {challenge}")
    return challenge


@test("mcp authentication: a client finds the metadata by the challenge, and a token gets it in", timeout=60)
def discovery():
    target = Told()
    gateway = play(target)
    here = f"http://127.0.0.1:{gateway.port}"
    challenge = refused(gateway, [], f'Bearer resource_metadata="{here}{METADATA}/mcp"')
    url = re.search('resource_metadata="([^"]*)"', challenge).group(1)
    for path, resource in ((url.removeprefix(here), here + "/mcp"), (METADATA, here),
                           (METADATA + "/a/b", here + "/a/b")):
        answer = gateway.fetch(path)
        eq((answer.status, answer.header("Content-Type")), (200, "application/json"), path)
        eq(answer.header("Access-Control-Allow-Origin"), "*", "who may read it")
        eq(answer.json(), {"resource": resource, "authorization_servers": ["https://issuer"],
                           "scopes_supported": ["tools"], "bearer_methods_supported": ["header"],
                           "mcp_protocol_version": "2025-06-18", "resource_type": "mcp-server"}, path)
    eq(gateway.fetch(METADATA, method="OPTIONS").status, 204, "a preflight")
    eq(gateway.fetch(METADATA, method="HEAD").status, 200, "HEAD")
    eq(gateway.fetch(METADATA, method="POST", body=b"x").status, 405, "another method")
    moved = gateway.fetch(SERVER + "/mcp")
    eq((moved.status, moved.header("Location")), (307, "https://issuer" + SERVER), "the authorization server")
    eq(target.seen, [], "what reached the target without a token")
    client = Mcp(gateway, headers=bearer(token(KEY, "k")))
    client.call("x")
    check(target.seen and not any("authorization" in headers for headers, _ in target.seen),
          "the target gets no token")
    eq(gateway.wait_log(lambda line: line.get("mcp.tool") == "x" or line.get("jwt.sub"))["jwt.sub"], "alice",
       "the subject")


@test("mcp authentication: tokens of others, old and forged ones are refused, on every path", timeout=60)
def tokens():
    target = Told()
    gateway = play(target)
    stranger = ec.generate_private_key(ec.SECP256R1())
    good = token(KEY, "k")
    for text in (token(KEY, "k", aud="other"), token(KEY, "k", aud=None), token(KEY, "k", iss="https://x"),
                 token(KEY, "k", exp=1), token(KEY, "k", exp=None), token(stranger, "k"), "x", good + "x"):
        refused(gateway, bearer(text), 'Bearer error="invalid_token", resource_metadata="')
    for headers in ([("Authorization", good)], [("X-Authorization", "Bearer " + good)], bearer(good) * 2):
        refused(gateway, headers, "resource_metadata")
    refused(gateway, [], "resource_metadata", "/mcp?access_token=" + good)
    # What only looks like the metadata is no way in.
    for path in ("/.well-known/oauth-protected-resourceful", "/x" + METADATA, "/.well-known/x/../../mcp",
                 "/.well-known/oauth-protected-resource/../../mcp", "//mcp", "/mcp/", "/sse",
                 "/.well-known/oauth-protected-resource/%2e%2e/%2e%2e/mcp", "/mcp/client-registration"):
        answer = initialize(gateway, path=path)
        check(answer.status in (400, 401), f"{path}: {answer.status}")
    eq(target.seen, [], "what reached the target")
    line = gateway.wait_log(lambda one: "invalid or malformed" in one.get("error", ""))
    eq((line["close_reason"], line["reason"]), ("jwt_auth", "JwtAuth"), "the reason")
    check(gateway.metrics()("headgate_policy_refusals_total", policy="jwtAuth", rule="default/tools") > 10,
          "the metric")


@test("mcp authentication: what a client writes cannot leave the challenge or the document")
def quoting():
    gateway = play(Told())
    connection = gateway.client().request("POST", '/m"c<p>', headers=[("Content-Length", "0")])
    head = connection.response_head("POST")
    if head.status == 401:
        check(head.header("WWW-Authenticate").endswith('/m%22c%3Cp%3E"'), head.header("WWW-Authenticate"))
    else:
        eq(head.status, 400, "the status")
    answer = fetch(gateway.port, METADATA, headers=[("Host", "tools.example:80")])
    eq(answer.json()["resource"], "http://tools.example:80", "the resource")


@test("mcp authentication: a configured resource is the one that clients are told", timeout=60)
def resource():
    gateway = play(Told(), metadata=", resource: 'https://tools.example.com/mcp', resourceType: x, "
                                    "authorizationServers: [a, b], policyURI: y")
    refused(gateway, [], 'resource_metadata="https://tools.example.com' + METADATA + '/mcp"')
    told = gateway.fetch(METADATA).json()
    eq((told["resource"], told["authorization_servers"], told["resource_type"], told["policy_uri"]),
       ("https://tools.example.com/mcp", ["a", "b"], "x", "y"), "the document")
    dump = json.dumps(gateway.config_dump())
    check('"mcp": {"issuer": "https://issuer", "audiences": ["gw"], "provider": null' in dump, dump)


@test("mcp authentication: modes that let clients in without a token say so")
def modes():
    for mode, status in (("optional", 401), ("permissive", 200)):
        gateway = play(Told(), f"mode: {mode}")
        eq(initialize(gateway).status, 200, f"{mode} without a token")
        eq(initialize(gateway, bearer("x")).status, status, f"{mode} with a wrong one")
        gateway.stop()
        text = ROUTE.replace("@port@", "3000") % (POLICY % (keys(), f"mode: {mode}", ""),
                                                  json.dumps(Told().target("one")))
        code, _, stderr = validate(text)
        check(code == 0 and "protects nothing" in stderr, stderr)


@test("mcp authentication: the port of mcp serves the metadata, and cors of the route decides", timeout=60)
def port_of_mcp():
    target = Told()
    policy = POLICY % (keys(), "", "")
    gateway = McpGateway("mcp:\n  port: @port@\n  targets: [%s]\n  policies:\n"
                         "        cors: {allowOrigins: ['https://app.example']}\n        %s" %
                         (json.dumps(target.target("one")), policy))
    refused(gateway, [], METADATA + "/mcp")
    answer = gateway.fetch(METADATA + "/mcp", headers=[("Origin", "https://app.example")])
    seen = (answer.status, answer.header("Access-Control-Allow-Origin"))
    eq(seen, (200, "https://app.example"), "its page")
    answer = initialize(gateway, [("Origin", "https://app.example")])
    seen = (answer.status, answer.header("Access-Control-Allow-Origin"))
    eq(seen, (401, "https://app.example"), "a refusal")
    Mcp(gateway, headers=bearer(token(KEY, "k"))).request("ping")


ISSUER = """---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: issuer, namespace: ns}
spec: {static: {host: 127.0.0.1, port: %d}}
"""


@test("mcp authentication: manifests ask for tokens at every place and in both forms", timeout=120)
def manifests():
    issuer, other, target = Issuer(), Issuer(), Told()
    key = issuer.add("k")
    other.add("k")
    metadata = "provider: Keycloak, resourceMetadata: {scopesSupported: [tools]}"
    jwks = json.dumps({"keys": [{**public_jwk(key), "kid": "k"}]})
    new = ("traffic: {jwtAuthentication: {mcp: {%s}, providers: [{issuer: 'https://issuer', audiences: [gw], "
           "jwks: {inline: '%s'}}]}}" % (metadata, jwks))
    old = ("mcp: {authentication: {issuer: 'https://issuer', audiences: [gw], jwks: {url: '%s'}, %s}}" %
           (issuer.url, metadata))
    ref = ("backendRef: {group: agentgateway.dev, kind: AgentgatewayBackend, name: issuer}, jwksPath: keys")
    of_backend = old.replace(f"url: '{issuer.url}'", ref)
    texts = [(MANIFESTS % target.backend("policies: {%s}" % of_backend) + ISSUER % issuer.server.server_port,
              "in the backend, with keys of another")]
    for kind, ref in TARGETS.items():
        plain = MANIFESTS % target.backend()
        texts.append((plain + ATTACHED % (ref, "backend: {%s}" % old), f"old, {kind}"))
        if kind != "AgentgatewayBackend":
            texts.append((plain + ATTACHED % (ref, new), f"new, {kind}"))
    for text, what in texts:
        gateway = McpGateway(text)
        refused(gateway, [], METADATA + "/mcp")
        eq(gateway.fetch(METADATA).json()["scopes_supported"], ["tools"], what)
        wait_until(lambda: initialize(gateway, bearer(token(key, "k"))).status == 200, 15, f"keys: {what}")
        if text == texts[0][0]:
            moved = text.replace(ISSUER % issuer.server.server_port, ISSUER % other.server.server_port)
            gateway.write("config.yaml", moved)
            wait_until(lambda: initialize(gateway, bearer(token(key, "k"))).status == 401, 15,
                       "the end of the keys of a backend that is now another host")
        gateway.stop()


@test("mcp authentication: a configuration that cannot protect is refused")
def refusals():
    for old, new, words in (
            ("audiences: [gw]", "audiences: []", "audiences"),
            ("          audiences: [gw]\n", "", '"audiences" is missing'),
            ("          issuer: https://issuer\n", "", '"issuer" is missing'),
            ("          resourceMetadata: {scopesSupported: [tools], bearerMethodsSupported: [header]}\n", "",
             '"resourceMetadata" is missing'),
            ("scopesSupported: [tools]", "resource: nowhere", "is not a URL"),
            ("issuer: https://issuer", "issuer: https://issuer\n          clientId: x",
             "is not supported yet"),
            ("mcpAuthentication:", "jwtAuth: {issuer: x, jwks: 'x'}\n        mcpAuthentication:",
             "excludes mcpAuthentication")):
        text = ROUTE.replace("@port@", "3000") % (POLICY % (keys(), "", ""), json.dumps(Told().target("one")))
        check(old in text, old)
        status, _, stderr = validate(text.replace(old, new))
        check(status != 0 and words in stderr, f"{new}: {status} {stderr}")


@test("mcp authentication: at a route without an MCP backend it would guard nothing, which is an error")
def guards_nothing():
    policy = ("backend: {mcp: {authentication: {issuer: 'https://issuer', audiences: [gw], "
              "jwks: {url: 'https://issuer/keys'}}}}")
    static = "static: {host: 127.0.0.1, port: 1}"
    for text, ref, is_valid in ((MANIFESTS, TARGETS["HTTPRoute"], False),
                                (MANIFESTS, TARGETS["AgentgatewayBackend"], False),
                                (DELEGATED, TOP, False),
                                (MANIFESTS, TARGETS["Gateway"], True)):
        status, _, stderr = validate(text % static + ATTACHED % (ref, policy))
        eq(status == 0, is_valid, f"{ref}: {stderr}")
        check(is_valid or "guards nothing" in stderr, stderr)
