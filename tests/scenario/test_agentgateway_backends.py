# SPDX-License-Identifier: Apache-2.0
"""AgentgatewayBackend: what each kind serves, and that one without support leaves its neighbours alone."""
from hg import *
from hg.mcp import Mcp, McpGateway, McpServer
from manifests import GATEWAY, SERVICE

ROUTES = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: ns}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /service}}]
    backendRefs: [{name: svc, port: 80}]
  - matches: [{path: {value: /}}]
    backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]
---"""
BACKEND = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: b, namespace: ns%s}
spec:
%s
---"""


def backend(spec, annotation=""):
    meta = f', annotations: {{headgate/allowed-addresses: "{annotation}"}}' if annotation else ""
    return BACKEND % (meta, spec)


def play(spec, annotation="", more="", kind=Gateway, **names):
    origin = Origin()
    return kind(GATEWAY + SERVICE + ROUTES + backend(spec, annotation) + more, origin_port=origin.port,
                **names), origin


@test("AgentgatewayBackend: static serves a host by name, an address, and a Unix socket; the dump shows it")
def static():
    sock = Origin(unix=True)
    plain = Origin()
    for spec, host in ((f"  static: {{host: localhost, port: {plain.port}}}", f"localhost:{plain.port}"),
                       (f"  static: {{host: 127.0.0.1, port: {plain.port}}}", "asked.example"),
                       (f"  static: {{unixPath: {sock.address.removeprefix('unix:')}}}", "asked.example")):
        gateway, _ = play(spec)
        answer = gateway.fetch("/headers", host="asked.example")
        eq(answer.status, 200, f"status of {spec}")
        eq(answer.json()["headers"]["Host"], host, f"Host of {spec}")
        dump = gateway.config_dump()
        eq([one["backend"]["host"]["name"] for one in dump["backends"]], ["b"], "backends in the dump")
        routes = [route for bind in dump["binds"] for listener in bind["listeners"].values()
                  for route in listener["routes"].values()]
        check(any(ref.get("backend") == "ns/b" for route in routes for ref in route["backends"]),
              f"the reference in {routes}")
        gateway.stop()


@test("AgentgatewayBackend: its policies count, and are stronger than those of an AgentgatewayPolicy on it")
def policies():
    policy = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: slow, namespace: ns}
spec:
  targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]
  backend: {http: {requestTimeout: %s}}
---"""
    quiet = Backend()
    for own, attached in (("", "200ms"), ("  policies: {http: {requestTimeout: 200ms}}", "60s")):
        gateway, _ = play(f"  static: {{host: 127.0.0.1, port: {quiet.port}}}\n{own}", more=policy % attached)
        answer = gateway.fetch("/x")
        eq((answer.status, answer.text), (504, "upstream call timeout"), "answer")
        gateway.stop()


@test("hostRewrite decides about the Host of a named backend: Auto its own, None the client's")
def host_rewrite():
    policy = """
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: host, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route}]
  traffic: {hostRewrite: {mode: %s}}
---"""
    plain = Origin()
    for mode, host in (("Auto", f"localhost:{plain.port}"), ("None", "asked.example")):
        gateway, _ = play(f"  static: {{host: localhost, port: {plain.port}}}", more=policy % f"'{mode}'")
        answer = gateway.fetch("/headers", host="asked.example")
        eq(answer.json()["headers"]["Host"], host, f"Host with {mode}")
        gateway.stop()


REFUSED = table("AgentgatewayBackend that is not supported")


def expect_refused(gateway, reason):
    answer = gateway.fetch("/anything")
    eq(answer.status, 500, "status of what needs it")
    check(reason in answer.text, f"{reason!r} in {answer.text!r}")
    eq(gateway.fetch("/service").status, 404, "the neighbour reaches its backend")


for _name, _spec, _reason in (
        ("ai", "  ai: {provider: {openai: {model: m}}}", '"ai" is not supported yet'),
        ("aws", "  aws: {agentCore: {agentRuntimeArn: a}}", '"aws" is not supported yet'),
        ("a2a", "  a2a: {host: h.example, port: 80}", '"a2a" is not supported yet'),
        ("a policy that protects",
         "  static: {host: 127.0.0.1, port: 9}\n  policies: {ai: {}}",
         "a policy that protects"),
        ("mcp without a target", "  mcp: {targets: [{name: t, selector: {services: {matchLabels: {a: b}}}}]}",
         "it has no target")):
    @REFUSED(f"{_name}: what needs it answers 500 and says why, its neighbours are served")
    def refused(spec=_spec, reason=_reason):
        gateway, _ = play(spec)
        expect_refused(gateway, reason)


@test("dynamicForwardProxy: each request goes to the host that it names, by name or address, with its port")
def dynamic():
    gateway, origin = play("  dynamicForwardProxy: {}", "127.0.0.0/8, ::1")
    other = Origin()
    for target in (origin, other):
        for host in (f"127.0.0.1:{target.port}", f"LocalHost:{target.port}"):
            answer = gateway.fetch("/headers", host=host)
            eq(answer.status, 200, f"status of {host}")
            eq(answer.json()["headers"]["Host"].lower(), host.lower(), "Host is kept")
            eq(gateway.wait_log(lambda r, h=host: r["http.host"].lower() == h.lower())["endpoint"],
               host.lower(), "endpoint in the log")
    eq(gateway.fetch("/x", host="no-such-name.invalid").status, 503, "a name without an address")


@test("dynamicForwardProxy: this host, link-local and metadata addresses are refused in each notation")
def dynamic_refused():
    gateway, _ = play("  dynamicForwardProxy: {}")
    victim = Backend()
    port = victim.port
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "0.0.0.0", "169.254.169.254", "[::1]", "[::]",
                 "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
                 "[::ffff:0:127.0.0.1]", "[2001:0:c000:201::80ff:fffe]",
                 "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "224.0.0.1",
                 "255.255.255.255", "[ff02::1]"):
        answer = gateway.fetch("/get", host=f"{host}:{port}")
        eq(answer.status, 403, f"status of {host}")
        eq(gateway.wait_log(lambda r, h=host: r["http.host"] == f"{h}:{port}")["close_reason"],
           "forward_forbidden", f"reason of {host}")
    for host in ("2130706433", "0x7f000001", "127.1", "017700000001"):
        answer = gateway.fetch("/get", host=f"{host}:{port}")
        check(answer.status in (403, 503), f"{host}: {answer.status}")
    victim.expect_no_connection(0.2)


@test("dynamicForwardProxy: an address of this host that is no loopback is refused", needs=("netns",))
def dynamic_own():
    net = Net()
    # The source address of a connection to a secondary address is the primary one.
    second = net.server.address.rsplit(".", 1)[0] + ".77"
    net.server.ok("ip", "address", "add", f"{second}/24", "dev", "veth0")
    net.server.ok("ip", "address", "add", "fd77::2/64", "dev", "veth0", "nodad")
    net.server.ok("ip", "route", "add", "local", "10.78.0.0/24", "dev", "lo")
    gateway = Gateway(GATEWAY + SERVICE + ROUTES + backend("  dynamicForwardProxy: {}"), netns=net.server,
                      origin_port=9)
    for address in (net.server.address, second, "[fd77::2]", "10.78.0.9", "10.77.0.255"):
        host = f"{address}:{gateway.port}"
        eq(gateway.fetch("/get", host=host).status, 403, f"status of {address}")
        eq(gateway.wait_log(lambda r, h=host: r["http.host"] == h)["close_reason"], "forward_forbidden",
           f"reason of {address}")
    away = Backend(host=net.client.address, netns=net.client)
    client = gateway.client().request("GET", "/x", host=f"{net.client.address}:{away.port}")
    away.accept().read_request()
    client.close()


@test("dynamicForwardProxy: no connection that another backend opened serves a host that is refused")
def dynamic_pool():
    gateway, origin = play("  dynamicForwardProxy: {}")
    eq(gateway.fetch("/service").status, 404, "the Service is reached")
    for host in (f"127.0.0.1:{origin.port}", f"localhost:{origin.port}"):
        eq(gateway.fetch("/get", host=host).status, 403, f"status of {host}")


@test("mcp of an AgentgatewayBackend: static targets by host and Service, selected Services, both protocols")
def mcp():
    one, two, three = McpServer("one"), McpServer("two"), McpServer("three")
    more = f"""
apiVersion: v1
kind: Service
metadata: {{name: chosen, namespace: ns, labels: {{tools: "yes"}}}}
spec:
  ports:
  - {{name: mcp, port: 81, appProtocol: agentgateway.dev/mcp}}
  - {{name: other, port: 82}}
---
apiVersion: v1
kind: Service
metadata: {{name: elsewhere, namespace: far, labels: {{tools: "yes"}}}}
spec: {{ports: [{{port: 81, appProtocol: agentgateway.dev/mcp}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: plain, namespace: ns}}
spec: {{ports: [{{port: 83}}]}}
---""" + "".join(f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: ns, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: "{port_name}", port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
---""" for name, port_name, port in (("chosen", "mcp", two.port), ("plain", "", three.port)))
    gateway, _ = play(f"""  mcp:
    targets:
    - {{name: direct, static: {{host: localhost, port: {one.port}, path: /mcp, protocol: StreamableHTTP}}}}
    - {{name: tools, selector: {{services: {{matchLabels: {{tools: "yes"}}}}}}}}
    - {{name: byname, static: {{backendRef: {{name: plain}}, port: 83}}}}""", more=more, kind=McpGateway)
    client = Mcp(gateway)
    names = {tool["name"] for tool in client.request("tools/list")["tools"]}
    for target in ("direct", "chosen-mcp", "byname"):
        check(f"{target}_echo" in names, f"a tool of {target} in {sorted(names)}")
        eq(client.text(f"{target}_echo", {"a": 1}), '{"a": 1}', f"echo of {target}")
    check(not any(name.startswith("elsewhere") for name in names), "a Service of another namespace")
    targets = gateway.config_dump()["backends"]
    found = [one["backend"]["mcp"] for one in targets if "mcp" in one["backend"]]
    eq((found[0]["name"], found[0]["namespace"], len(found[0]["target"]["targets"])), ("b", "ns", 3), "dump")
