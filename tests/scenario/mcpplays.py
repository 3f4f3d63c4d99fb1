# SPDX-License-Identifier: Apache-2.0
"""What the MCP plays share: a gateway with a journal, patient clients, who still runs."""
import http.server
import json
import os
import threading

from hg import Failure, check, wait_until
from hg.mcp import Journal, Mcp, McpError, McpGateway, config, stdio
from hg.process import read_text


INITIALIZED = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
               "serverInfo": {"name": "told", "version": "1"}}
# The HTTPRoute tools leads to an AgentgatewayBackend, whose spec is to be filled in.
MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec: {gatewayClassName: headgate, listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: tools, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: b, namespace: ns}
spec:
  %s
"""
# The same below the HTTPRoute top, which delegates to it.
TOP = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: top}"
DELEGATED = MANIFESTS.replace("[{name: gw}]", f"[{TOP}]") + """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: top, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: tools, namespace: ns}]}]
"""
# A policy of one of these, whose policies are to be filled in.
ATTACHED = """
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [%s]
  %s
"""
TARGETS = {"Gateway": "{group: gateway.networking.k8s.io, kind: Gateway, name: gw}",
           "HTTPRoute": "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: tools}",
           "AgentgatewayBackend": "{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}"}


class Told:
    """A target over HTTP that answers what a test says: {method: (status, content type, text)}, $ is the id.

    seen: (headers with names in lower case, message) of what came
    """

    def __init__(self, **answers):
        told = self
        self.answers, self.seen = answers, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.respond(*told.answer(self, json.loads(body or b"{}")))

            def do_GET(self):
                told.seen.append((told.headers(self), {"method": self.command}))
                self.respond(405, "text/plain", b"")

            do_DELETE = do_GET

            def respond(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    @staticmethod
    def headers(handler):
        return {name.lower(): value for name, value in handler.headers.items()}

    def answer(self, handler, message):
        self.seen.append((self.headers(handler), message))
        if "id" not in message:
            return 202, "text/plain", b""
        method = message["method"].replace("/", "_")
        status, kind, text = self.answers.get(method, (200, "application/json", None))
        if text is None:
            result = INITIALIZED if message["method"] == "initialize" else {}
            text = json.dumps({"jsonrpc": "2.0", "id": "$", "result": result}).replace('"$"', "$")
        return status, kind, text.replace("$", str(message["id"])).encode()

    def target(self, name="one", **more):
        return {"name": name, "mcp": {"host": f"http://127.0.0.1:{self.port}/mcp"}, **more}

    def backend(self, more=""):
        """The spec of an AgentgatewayBackend with this target."""
        return "mcp: {targets: [{name: one, static: {host: 127.0.0.1, port: %d}}]}\n  %s" % (self.port, more)


def play(*targets, policies=None, more="", settings=None, workers=2, **options):
    """(gateway, journal) with an mcp block. targets: functions of the journal, or targets; else one child."""
    journal = Journal()
    made = [target(journal) if callable(target) else target for target in targets]
    made = made or [stdio(journal=journal)]
    return McpGateway(config(made, policies, more, **(settings or {})), workers=workers, **options), journal


def child(name="one", **options):
    """A child as a target of play()."""
    return lambda journal: stdio(name, journal=journal, **options)


def patient(gateway, tries=20, **options):
    """A client behind a short requestTimeout: a child needs longer than that to start on a busy machine."""
    for _ in range(tries):
        client = Mcp(gateway, start=False, **options)
        begun = client.start("initialize", client.introduction())
        if begun.status == 504:
            begun.close()
            continue
        client.settle(begun)
        return client
    raise Failure(f"initialize timed out {tries} times")


def fails(code, function, *args, **keywords):
    """The error of a request that has to fail; code: one number, several, or None for any."""
    try:
        result = function(*args, **keywords)
    except McpError as error:
        codes = (code,) if isinstance(code, int) else code
        check(codes is None or error.code in codes, f"code {error.code} ({error.text}), want {codes}")
        return error
    raise Failure(f"want an error, got {result}")


def runs(pid):
    """Whether a process is there and no zombie."""
    state = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1]
    return bool(state) and state[0] not in "ZX"


def zombies(gateway):
    """Children of the gateway that nobody has waited for."""
    found = []
    for task in os.listdir(f"/proc/{gateway.pid}/task"):
        for pid in read_text(f"/proc/{gateway.pid}/task/{task}/children").split():
            if read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["Z"]:
                found.append(int(pid))
    return found


def expect_gone(pid, timeout=15.0, what="a child"):
    wait_until(lambda: not runs(pid), timeout, f"{what} ({pid}) to end")


def expect_no_zombie(gateway):
    wait_until(lambda: not zombies(gateway), 5, f"zombies to be gone: {zombies(gateway)}")
