# SPDX-License-Identifier: Apache-2.0
"""MCP with programs of others: the conformance suite, the SDK's client, two reference servers."""
import json
import os
import re
import shutil

from hg import *
from hg.mcp import McpGateway, McpServer, config
from oauth_server import AuthorizationServer

FILES = os.path.join(os.path.dirname(__file__), "mcp")
SCENARIOS = 32  # server scenarios of the suite
LONG = 240


def modules(*parts):
    return os.path.join(os.environ["HG_NPM"], "node_modules", *parts)


def node():
    return os.path.join(os.environ["HG_NPM"], "bin", "node")


def script(name):
    """One of our own files, where its imports find the packages."""
    link = os.path.join(tmpdir(), "node_modules")
    if not os.path.lexists(link):
        os.symlink(modules(), link)
        with open(os.path.join(tmpdir(), "package.json"), "w", encoding="ascii") as file:
            file.write('{"type": "module"}\n')
    return shutil.copy(os.path.join(FILES, name), tmpdir())


class SdkServer(McpServer):
    """server.mjs over HTTP."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.port = free_port()
        Process.__init__(self, [node(), script("server.mjs"), "--http", self.port], "sdk-server")
        self.await_listening()


def conformance(port, may_fail=(), version=None):
    """The suite against a port: every scenario passes but those that may fail. Returns their checks."""
    results = os.path.join(tmpdir(), f"results-{port}-{version}")
    argv = [node(), modules("@modelcontextprotocol", "conformance", "dist", "index.js"), "server",
            "--url", f"http://127.0.0.1:{port}/mcp", "--suite", "all", "-o", results]
    if version:
        argv += ["--spec-version", version]
    _, out, error = run(argv, timeout=LONG)
    summary = out[out.find("=== SUMMARY"):]
    rows = re.findall(r"^(?:\x1b\[\d+m)?([✓✗])(?:\x1b\[\d+m)? ([\w-]+): (\d+) passed, (\d+) failed", summary,
                      re.M)
    note(summary)
    check(rows, f"the suite said: {out[-2000:]}{error[-2000:]}")
    if not version:
        eq(len(rows), SCENARIOS, "scenarios")
    bad = []
    for name in sorted(os.listdir(results)):
        with open(os.path.join(results, name, "checks.json"), encoding="utf-8") as file:
            for one in json.load(file):
                if one["status"] == "FAILURE" and not any(word in name for word in may_fail):
                    bad.append(f"{name}: {one['name']}: {one.get('errorMessage')}")
    eq(bad, [], "checks that failed")
    for _, name, passed, failed in rows:
        check(int(failed) == 0 or name in may_fail, f"{name}: {failed} failed")
        check(int(passed) or name == "server-sse-polling" or name in may_fail, f"{name} proved nothing")
    return rows


def sdk_stdio(name="sdk"):
    return {"name": name, "stdio": {"cmd": node(), "args": [script("server.mjs")]}}


def of_package(name, package, *arguments):
    return {"name": name, "stdio": {"cmd": node(), "args": [modules("@modelcontextprotocol", package, "dist",
                                                                    "index.js"), *arguments]}}


# ---- the suite -------------------------------------------------------------------------------------------


@test("mcp interop: our server made with the SDK passes the suite without a gateway", timeout=LONG)
def direct():
    conformance(SdkServer().port, may_fail=("dns-rebinding-protection",))


@test("mcp interop: the suite passes through the gateway with the server as a child", timeout=LONG)
def through_stdio():
    conformance(McpGateway(config([sdk_stdio()], dnsRebindingProtection=True)).port)


@test("mcp interop: the suite passes through the gateway with the server behind HTTP", timeout=LONG)
def through_http():
    conformance(McpGateway(config([SdkServer().target("sdk")], dnsRebindingProtection=True)).port)


@test("mcp interop: the suite passes for each protocol version", timeout=LONG)
def each_version():
    gateway = McpGateway(config([sdk_stdio()], dnsRebindingProtection=True))
    for version in ("2025-06-18", "2025-11-25"):
        conformance(gateway.port, version=version)


@test("mcp interop: the suite passes with two targets that share a name space", timeout=LONG)
def through_two():
    targets = [sdk_stdio("sdk"), of_package("files", "server-filesystem", tmpdir())]
    conformance(McpGateway(config(targets, prefixMode="never", dnsRebindingProtection=True)).port)


# ---- client and servers ----------------------------------------------------------------------------------


def client(url, kind, one="everything_", two="files_"):
    status, out, error = run([node(), script("client.mjs"), url, kind, one, two, tmpdir()], timeout=LONG)
    note(out, error)
    bad = re.findall(r"^FAIL (.*)", out, re.M)
    eq(bad, [], "claims of the SDK's client")
    check(status == 0 and out.count("\nok ") >= 14, f"status {status}: {out}{error}")


def both():
    return [of_package("everything", "server-everything", "stdio"),
            of_package("files", "server-filesystem", tmpdir())]


@test("mcp interop: the SDK's client, server-everything and server-filesystem, as children", timeout=LONG)
def sdk_client():
    gateway = McpGateway(config(both()))
    client(f"http://127.0.0.1:{gateway.port}/mcp", "http")


@test("mcp interop: the SDK's client finds the authorization server, gets a token and uses what it may")
def sdk_oauth():
    issuer = AuthorizationServer()
    policies = """
        mcpAuthentication:
          issuer: %(url)s
          audiences: ["http://127.0.0.1:@port@/mcp"]
          jwks: {url: "%(url)s/jwks"}
          resourceMetadata: {scopesSupported: [tools]}
        mcpAuthorization:
          rules: ['jwt.role == "user" && mcp.tool.name == "echo"']""" % {"url": issuer.url}
    gateway = McpGateway("mcp:\n  port: @port@\n  policies:%s\n  targets: [%s]\n" %
                         (policies, json.dumps(of_package("everything", "server-everything", "stdio"))))
    wait_until(lambda: gateway.metrics()("headgate_jwks_fetched_timestamp_seconds") > 0, 20, "the keys")
    url = f"http://127.0.0.1:{gateway.port}/mcp"
    status, out, error = run([node(), script("oauth.mjs"), url], timeout=LONG)
    eq(status, 0, f"status: {out}{error}")
    told = json.loads(out.strip().split("\n")[-1])
    eq((told["wasRefused"], told["tools"], told["text"]), (True, ["echo"], "Echo: x"), f"seen: {told}")
    check("Unknown tool: get-env" in told["refusal"], told["refusal"])
    eq(set(issuer.asked), {"/jwks", "/.well-known/oauth-authorization-server", "/register", "/authorize",
                           "/token"}, "what the authorization server was asked for")


@test("mcp interop: the SDK's old client on /sse, with the same children", timeout=LONG)
def sdk_old_client():
    gateway = McpGateway(config(both()))
    client(f"http://127.0.0.1:{gateway.port}/sse", "sse")


@test("mcp interop: server-everything behind HTTP and behind HTTP+SSE", timeout=LONG)
def everything_over_http():
    for mode, kind in (("streamableHttp", "mcp"), ("sse", "sse")):
        port = free_port()
        program = modules("@modelcontextprotocol", "server-everything", "dist", "index.js")
        server = Process([node(), program, mode], "everything", env={"PORT": port})
        wait_until(lambda s=server: "on port" in s.stderr + s.stdout, 30, mode)
        target = {"name": "everything", kind: {"host": "127.0.0.1", "port": port,
                                               "path": "/mcp" if kind == "mcp" else "/sse"}}
        gateway = McpGateway(config([target, of_package("files", "server-filesystem", tmpdir())]))
        client(f"http://127.0.0.1:{gateway.port}/mcp", "http")
        gateway.stop()
        server.kill()


@test("mcp interop: the file of the documentation, with the real server-everything", timeout=LONG)
def documentation():
    folder = os.path.join(tmpdir(), "bin")
    os.mkdir(folder)
    with open(os.path.join(folder, "npx"), "w", encoding="ascii") as file:
        # npx without a network: the package is there, pinned.
        file.write(f'#!/bin/sh\nexec {node()} {modules()}/"$1"/dist/index.js stdio\n')
    os.chmod(os.path.join(folder, "npx"), 0o755)
    gateway = McpGateway("""
mcp:
  port: @port@
  policies:
    timeout:
      requestTimeout: 1s
  targets:
  - name: everything
    stdio:
      cmd: npx
      args: ["@modelcontextprotocol/server-everything"]
""", env={"PATH": folder + ":" + os.environ["PATH"]})
    from hg.mcp import Mcp

    def begun():
        one = Mcp(gateway, start=False, capabilities={})
        exchange = one.start("initialize", one.introduction())
        if exchange.status == 504:
            return None
        one.settle(exchange)
        return one
    found = wait_until(begun, 60, "a child that is up within a second")
    check("here" in found.text("echo", {"message": "here"}), "a tool that is quick")
    answer = found.begin("trigger-long-running-operation", {"duration": 3, "steps": 1}).body()
    eq((answer.status, answer.text), (504, "request timeout"), "a tool that takes longer")
