# SPDX-License-Identifier: Apache-2.0
"""The policy proxyProtocol: connections to a backend begin with a header that announces their one client."""
import os
import select
import socket
import struct
import time

import bypass
import same_host
from crashes import kill
from hg import *
from hg.h2 import H2Client
from hg.pki import Authority
from hg.tls import Tls
from hg.tls_wire import Play
from proxyprotocol import CLIENT, PROXY, SERVER, SIGNATURE, TRUST, v1
from splice import settle

LOCAL_V2, LOCAL_V1 = SIGNATURE + b"\x20\0\0\0", b"PROXY UNKNOWN\r\n"
CONFIG = f"""
config: {{{TRUST}, splice: {{mode: @mode@}}}}
backends:
- {{name: one, host: "@http@", policies: {{proxyProtocol: {{version: v1}}}}}}
- {{name: two, host: "@http@", policies: {{proxyProtocol: {{}}}}}}
- {{name: plain, host: "@http@"}}
- {{name: copies, host: "@copies@", policies: {{proxyProtocol: {{}}}}}}
- {{name: bytes, host: "@bytes@", policies: {{proxyProtocol: {{version: v2}}}}}}
binds:
- port: @port@
  listeners:
  - routes:
    - {{name: one, matches: [{{path: {{pathPrefix: /one}}}}], backends: [{{backend: one}}]}}
    - {{name: two, matches: [{{path: {{pathPrefix: /two}}}}], backends: [{{backend: two}}]}}
    - {{name: plain, matches: [{{path: {{pathPrefix: /plain}}}}], backends: [{{backend: plain}}]}}
    - {{name: copy, matches: [{{path: {{pathPrefix: /copy}}}}],
       policies: {{requestMirror: {{backend: {{backend: copies}}}}}},
       backends: [{{backend: plain}}]}}
- port: @announced@
  tunnelProtocol: proxy
  listeners: [{{routes: [{{backends: [{{backend: two}}]}}]}}]
- port: @tcp@
  tunnelProtocol: @tunnel@
  listeners: [{{protocol: TCP, tcpRoutes: [{{backends: [{{backend: bytes}}]}}]}}]
- port: @tls@
  listeners:
  - {{protocol: TLS, hostname: p.example, tcpRoutes: [{{backends: [{{backend: bytes}}]}}]}}
  - {{protocol: HTTPS, hostname: a.example,
     tls: {{cert: @cert@, key: @key@, root: @root@, clientAuth: optional}},
     routes: [{{backends: [{{backend: two}}]}}]}}
"""


def make(tunnel="direct", mode="off", **options):
    options.setdefault("copies", "127.0.0.1:1")
    authority = Authority()
    certificate = authority.issue("a.example")
    gateway = Gateway(CONFIG, http=Backend(), bytes=Backend(), cert=certificate.cert, key=certificate.key,
                      root=authority.cert, tunnel=tunnel, mode=mode, workers=1, **options)
    gateway.authority = authority
    return gateway


def read_header(upstream):
    """A header of version 2: (command, source, destination, {type: value})."""
    fixed = upstream.read(16)
    eq(fixed[:12], SIGNATURE, "signature")
    rest = upstream.read(struct.unpack(">H", fixed[14:])[0])
    size, kind = {0: (0, None), 0x11: (4, socket.AF_INET), 0x21: (16, socket.AF_INET6)}[fixed[13]]
    hosts = [socket.inet_ntop(kind, rest[at:at + size]) for at in (0, size)] if kind else [None, None]
    ports = struct.unpack(">HH", rest[2 * size:2 * size + 4]) if kind else (0, 0)
    rest = rest[2 * size + 4 if kind else 0:]
    return (fixed[12], *(f"{host}:{port}" for host, port in zip(hosts, ports)), tlvs(rest))


def tlvs(rest):
    found = {}
    while rest:
        length = struct.unpack(">H", rest[1:3])[0]
        found[rest[0]] = rest[3:3 + length]
        rest = rest[3 + length:]
    return found


def serve(client, upstream, path="/two"):
    client.request("GET", path, host="a.example")
    request = upstream.read_request()
    upstream.respond(body=request.target.encode())
    eq(client.response().body, path.encode(), "body")


def begin(client, backend, path):
    """Sends a request, for which the gateway must connect; returns that connection."""
    client.request("GET", path, host="a.example")
    return backend.accept()


def finish(client, upstream, path):
    eq(upstream.read_request().target, path, "target")
    upstream.respond(body=b"ok")
    eq(client.response().body, b"ok", "body")


@test("a header of version 1 or 2 begins each connection, which serves the requests of its own client only, "
      "also after the client has gone")
def each_client():
    gateway = make()
    backend = gateway.names["http"]
    one, other = gateway.client(), gateway.client(source="127.0.0.9")
    upstreams = []
    for client, host in ((one, "127.0.0.1"), (other, "127.0.0.9")):
        upstream = begin(client, backend, "/two")
        eq(read_header(upstream), (0x21, f"{host}:{client.local_port}", f"127.0.0.1:{gateway.port}", {}),
           "header")
        finish(client, upstream, "/two")
        upstreams.append(upstream)
    for client, upstream in ((one, upstreams[0]), (other, upstreams[1]), (one, upstreams[0])):
        serve(client, upstream)
    text = begin(one, backend, "/one")
    eq(text.read_line(), f"PROXY TCP4 127.0.0.1 127.0.0.1 {one.local_port} {gateway.port}\r\n".encode(),
       "header of version 1")
    finish(one, text, "/one")
    plain = begin(one, backend, "/plain")
    finish(one, plain, "/plain")
    one.close()
    for upstream in (upstreams[0], text):
        upstream.expect_fin()
    third = gateway.client()
    upstream = begin(third, backend, "/two")
    eq(read_header(upstream)[1], third.local, "the third client")
    finish(third, upstream, "/two")
    serve(third, plain, "/plain")
    serve(other, upstreams[1])


@test("the policy is in /config_dump, in the form in which it was written")
def dumped():
    dump = make().config_dump()
    values = [policy for backend in dump["backends"] for policy in backend.get("inlinePolicies", [])]
    eq(sorted(value["proxyProtocol"]["version"] for value in values), ["v1", "v2", "v2", "v2"], "versions")


@test("a client that a PROXY header announced is announced again, also to a tunnel")
def announced():
    gateway = make(tunnel="proxy")
    client = gateway.client("announced", source=PROXY)
    client.send(v1())
    upstream = begin(client, gateway.names["http"], "/")
    eq(read_header(upstream), (0x21, f"{CLIENT}:4711", f"{SERVER}:443", {}), "header")
    finish(client, upstream, "/")
    for header, want in ((v1(), (0x21, f"{CLIENT}:4711", f"{SERVER}:443", {})),
                         (v1("2001:db8::1", destination="2001:db8::2"),
                          (0x21, "2001:db8::1:4711", "2001:db8::2:443", {}))):
        client = gateway.client("tcp", source=PROXY)
        client.send(header + b"hello")
        upstream = gateway.names["bytes"].accept()
        eq(read_header(upstream), want, "header of a tunnel")
        eq(upstream.read(5), b"hello", "bytes behind it")
        upstream.send(b"answer")
        eq(client.read(6), b"answer", "the other way")
        client.close()
        upstream.expect_fin()


@test("version 2 announces the server name that is passed through, and the TLS that ends here")
def with_tls():
    gateway = make()
    passing = gateway.client("tls")
    hello = Play("p.example").hello
    passing.send(hello)
    upstream = gateway.names["bytes"].accept()
    eq(read_header(upstream)[3], {2: b"p.example"}, "what is known of TLS that is passed through")
    eq(upstream.read(len(hello)), hello, "the ClientHello")
    passing.close()
    identity = gateway.authority.issue("client.example", cn="Zoë, client", client=True)
    for shown, flags in ((None, b"\1\0\0\0\1"), (identity, b"\7\0\0\0\0")):
        client = Tls(gateway.ports["tls"], gateway.authority, "a.example", identity=shown,
                     alpn=("http/1.1",), version="1.3")
        upstream = begin(client, gateway.names["http"], "/")
        found = read_header(upstream)[3]
        eq((found[1], found[2], found[0x20][:5]), (b"http/1.1", b"a.example", flags), "TLVs")
        inner = tlvs(found[0x20][5:])
        eq((inner[0x21], inner[0x23]), (b"TLSv1.3", client.socket.cipher()[0].encode()), "version, cipher")
        eq(inner.get(0x22), "Zoë, client".encode() if shown else None, "common name")
        finish(client, upstream, "/")
        client.close()


@test("a copy of a request announces the client, too, and its connections end with the client")
def mirrored():
    gateway = make(copies=Backend())
    for number in range(2):
        client = gateway.client(source=f"127.0.0.{number + 8}")
        upstream = begin(client, gateway.names["http"], "/copy") if not number else upstream
        copy = gateway.names["copies"].accept() if not number else None
        if number:
            client.request("GET", "/copy", host="a.example")
            copy = gateway.names["copies"].accept()
        eq(read_header(copy)[1], client.local, "header")
        eq(copy.read_request().target, "/copy", "the copy")
        copy.respond()
        finish(client, upstream, "/copy")
        client.close()
        copy.expect_fin()


NGINX = """
daemon off;
master_process off;
pid @folder@/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path @folder@/1; proxy_temp_path @folder@/2; fastcgi_temp_path @folder@/3;
  uwsgi_temp_path @folder@/4; scgi_temp_path @folder@/5;
  server {
    listen 127.0.0.1:@plain@ proxy_protocol;
    listen 127.0.0.1:@tls@ ssl http2 proxy_protocol;
    ssl_certificate @cert@;
    ssl_certificate_key @key@;
    set $named "$proxy_protocol_addr:$proxy_protocol_port to $proxy_protocol_server_port";
    return 200 "$named, $server_protocol, $connection\n";
  }
}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend h2
    bind 127.0.0.1:@h2@ accept-proxy proto h2
    http-request return status 200 content-type text/plain lf-string "@haproxy_text@"
listen tcp
    mode tcp
    bind 127.0.0.1:@bytes@ accept-proxy
    server s 127.0.0.1:@plain@ send-proxy
"""
SERVERS = """
config: {@more@}
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /plain}}]
      backends: [{host: "127.0.0.1:@plain@", policies: {proxyProtocol: {version: @version@}}}]
    - matches: [{path: {pathPrefix: /tls}}]
      backends:
      - host: "127.0.0.1:@tls@"
        policies: {proxyProtocol: {version: @version@}, backendTLS: {insecure: true}}
    - matches: [{path: {pathPrefix: /h2}}]
      backends:
      - host: "127.0.0.1:@h2@"
        policies: {proxyProtocol: {version: @version@}, http: {version: HTTP/2.0}}
- port: @tcp@
  listeners:
  - protocol: TCP
    tcpRoutes: [{backends: [{host: "127.0.0.1:@bytes@", policies: {proxyProtocol: {version: @version@}}}]}]
"""


def start_server(name, text, names, arguments):
    folder = os.path.join(tmpdir(), name)
    os.makedirs(folder, exist_ok=True)
    for key, value in {**names, "folder": folder}.items():
        text = text.replace(f"@{key}@", str(value))
    path = os.path.join(folder, "conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    Process([*arguments, path])


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def servers():
    """The ports of nginx and HAProxy, which expect headers."""
    certificate = Authority().issue("a.example")
    ports = {name: free_port() for name in ("plain", "tls", "h2", "bytes")}
    names = {**ports, "cert": certificate.cert, "key": certificate.key,
             "haproxy_text": "%[src]:%[src_port] to %[dst_port], %[fc_http_major], all"}
    start_server("nginx", NGINX, names, ["/usr/sbin/nginx", "-e", "stderr", "-c"])
    start_server("haproxy", HAPROXY, names, ["/usr/sbin/haproxy", "-db", "-f"])
    for port in ports.values():
        wait_until(lambda port=port: is_open(port), 10, f"port {port}")
    return ports


def parts(answer):
    eq(answer.status, 200, "status")
    return answer.text.strip().split(", ")


@test("nginx and HAProxy read both versions: over HTTP/1, HTTP/2, TLS and TCP, and clients with many streams "
      "share no connection either", needs=("haproxy", "nginx"))
def real_servers():
    ports = servers()
    for version in ("v1", "v2"):
        gateway = Gateway(SERVERS, version=version, more="", workers=1, **ports)
        want = {path: set() for path in ("/plain", "/tls", "/h2")}
        clients = [H2Client(gateway.client(source=f"127.0.0.{number}")) for number in (8, 9)]
        for _ in range(2):
            for client in clients:
                for path, protocol in (("/plain", "HTTP/1.1"), ("/tls", "HTTP/2.0"), ("/h2", "2")):
                    streams = [client.request(path) for _ in range(3)]
                    for stream in streams:
                        named, spoken, connection = parts(client.response(stream))
                        eq((named, spoken), (f"{client.raw.local} to {gateway.port}", protocol),
                           f"{version}, {path}")
                        want[path].add((named, connection))
        for path in ("/plain", "/tls"):
            owners = {}
            for named, connection in want[path]:
                eq(owners.setdefault(connection, named), named, f"the client of connection {connection}")
        eq(len(want["/tls"]), 2, "connections with HTTP/2")
        client = gateway.client("tcp", source="127.0.0.7")
        named = parts(client.get("/"))[0]
        eq(named, f"{client.local} to {gateway.ports['tcp']}", f"{version}, TCP")
        client.close()
        for client in clients:
            client.close()
        wait_until(lambda: gateway.metrics()("headgate_upstream_connections_open") == 0, 10, "their end")


CHECKED = """
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {retry: {attempts: 2, codes: [503]}}
      backends:
      - endpoints: [{host: "@one@"}, {host: "@two@"}]
        policies: {proxyProtocol: {version: @version@}, health: {@health@}}
"""


@test("a check announces no client, and a retry announces it to the next endpoint")
def checks_and_retries():
    for kind, version, want in (("TCP", "v2", LOCAL_V2), ("HTTP", "v2", LOCAL_V2), ("HTTP", "v1", LOCAL_V1)):
        backend = Backend()
        Gateway(CHECKED, one=backend, two=Backend(), version=version, workers=1, checked=False,
                health=f"active: {{type: {kind}, timeout: 20s, interval: 30s, initialJitter: 1ms}}")
        upstream = backend.accept()
        eq(upstream.read(len(want)), want, f"{kind}, {version}")
        if kind == "TCP":
            upstream.expect_fin()
        else:
            eq(upstream.read_request().target, "/", "the check")
            upstream.respond()
    gateway = Gateway(CHECKED, one=Backend(), two=Backend(), version="v2", workers=1,
                      health="unhealthyExpression: 'false'")
    client = gateway.client()
    client.request("GET", "/", host="a.example")
    for status in (503, 200):
        ends = [gateway.names[name].socket for name in ("one", "two")]
        readable = machine_readable(ends)
        upstream = Raw(readable.accept()[0])
        eq(read_header(upstream)[1], client.local, f"header before {status}")
        upstream.read_request()
        upstream.respond(status)
    eq(client.response().status, 200, "status")


def machine_readable(sockets):
    """The one of these sockets to which somebody connects."""
    found = []

    def comes():
        found[:] = select.select(sockets, [], [], 0)[0]
        return found
    wait_until(comes, 10, "a connection")
    return found[0]


OWN = """
backends:
- {name: service, host: "@service@", policies: {proxyProtocol: {}}}
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /mcp}}]
      backends: [{mcp: {targets: [{name: one, mcp: {backend: service, path: /mcp}}]}, @more@}]
    - policies: {extAuthz: {backend: service, protocol: {http: {}}}, directResponse: {status: 200}}
"""


@test("connections to MCP targets and to services that are asked announce no client; the policy is refused "
      "where it has no effect")
def own_connections():
    gateway = Gateway(OWN, service=Backend(), more="weight: 1", workers=1, checked=False)
    client = gateway.client()
    client.request("GET", "/asked", host="a.example")
    upstream = gateway.names["service"].accept()
    eq(upstream.read(len(LOCAL_V2)), LOCAL_V2, "header to a service")
    eq(upstream.read_request().target, "/asked", "the question")
    upstream.respond()
    eq(client.response().status, 200, "status")
    client.request("POST", "/mcp", {"Content-Type": "application/json",
                                    "Accept": "application/json, text/event-stream"},
                   b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
                   b'"capabilities":{},"clientInfo":{"name":"a","version":"1"}}}', host="a.example")
    upstream = gateway.names["service"].accept()
    eq(upstream.read(len(LOCAL_V2)), LOCAL_V2, "header to a target")
    eq(upstream.request_head().target, "/mcp", "the request")
    status, _, said = validate(OWN, service="127.0.0.1:1", more="policies: {proxyProtocol: {}}")
    check(status != 0 and "proxyProtocol has no effect on an MCP backend" in said, f"{status}: {said}")


@test("after a crash no other client gets a connection that announced one", timeout=60)
def crash():
    gateway = make(keeper=True, args=["--restart-limit", "0"])
    backend = gateway.names["http"]
    client = gateway.client()
    upstream = begin(client, backend, "/two")
    read_header(upstream)
    upstream.read_request()
    time.sleep(0.4)  # only streams of a quarter of a second are recorded for the next process
    kill(gateway)
    wait_until(lambda: gateway.metrics()("headgate_resumed_total", kind="request") == 1, 10, "the request")
    upstream.respond(body=b"ok")
    eq(client.response().body, b"ok", "the answer")
    upstream.expect_fin()
    other = gateway.client(source="127.0.0.9")
    for asking in (other, client):
        fresh = begin(asking, backend, "/two")
        eq(read_header(fresh)[1], asking.local, "header")
        finish(asking, fresh, "/two")


@test("a tunnel whose backend gets a header enters the kernel lane, and no byte is lost",
      needs=("bpf", "root"))
def lane():
    gateway = make(mode="require")
    client = gateway.client("tcp")
    client.send(b"ab")
    upstream = gateway.names["bytes"].accept()
    read_header(upstream)
    eq(upstream.read(2), b"ab", "the first bytes")
    settle(gateway, client, upstream)
    client.send(b"cd")
    eq(upstream.read(2), b"cd", "bytes in the lane")
    upstream.send(b"ef")
    eq(client.read(2), b"ef", "the other way")


def announcing(config):
    return config.replace("splice: @backend@",
                          "splice: @backend@\n        policies: {proxyProtocol: {version: v2}}")


@test("the header comes before the first byte of a tunnel in lane direct, and of connections that bypass TCP",
      needs=("bpf", "root"), long=True)
def same_host_lanes():
    gateway, backend = same_host.acted("direct", config=announcing(same_host.CONFIG))
    client = gateway.client()
    upstream = backend.accept()
    eq(read_header(upstream)[1], client.local, "header of the tunnel")
    same_host.settle(gateway, client, upstream, "direct")
    same_host.both_ways(client, upstream, 300000)
    gateway, backend = bypass.acted(config=announcing(bypass.CONFIG))
    for _ in range(2):
        client = gateway.client()
        upstream = begin(client, backend, "/first")
        eq(read_header(upstream)[1], client.local, "header of the client")
        finish(client, upstream, "/first")
        client.request("POST", "/second", host="a", body=pattern(100001))
        eq(verify(upstream.read_request().body, 100001), crc32(100001), "body up")
        upstream.respond(body=pattern(200001))
        eq(verify(client.response().body, 200001), crc32(200001), "body down")
    eq({line["bypass"] for line in gateway.wait_log(count=4)}, {"client/backend"}, "sides that bypass")
