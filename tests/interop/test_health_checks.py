# SPDX-License-Identifier: Apache-2.0
"""Active checks of servers that others wrote: nginx, and the health service of grpcio-health-checking."""
import concurrent.futures
import os

from hg import *
from hg.framework import Context, context
from hg.pki import Authority
from test_neighbours import Nginx

try:
    import grpc
    from grpc_health.v1 import health as grpc_health
    from grpc_health.v1 import health_pb2, health_pb2_grpc
except ImportError:
    grpc_health = None

CHECK = "timeout: 10s, interval: 100ms, unhealthyThreshold: 1"
SERVERS = """
  server {
    listen %(plain)d;
    listen %(tls)d ssl http2;
    ssl_certificate %(cert)s;
    ssl_certificate_key %(key)s;
    keepalive_requests 3;
    access_log %(directory)s/access.log;
    location = /state { root %(directory)s; error_page 404 =503 /gone; }
    location = /gone { internal; return 503; }
  }
"""


def config(rows):
    """A standalone configuration with a backend for each (address, check, other policies)."""
    backends = "\n".join(
        f"      - host: {address}\n        policies: {{health: {{active: {{{active}, {CHECK}}}}}{more}}}"
        for address, active, more in rows)
    return ("binds:\n- port: @port@\n  listeners:\n  - routes:\n    - name: all\n      backends:\n"
            f"{backends}\n")


def checks(gateway):
    return [entry["checks"] for entry in gateway.admin_json("/endpoints")]


def await_healthy(gateway, *wanted):
    def is_so():
        found = checks(gateway)
        return (all(entry["total"] for entry in found) and
                [entry["healthy"] for entry in found] == list(wanted))
    wait_until(is_so, 30, f"endpoints to be healthy: {wanted}")


@test("nginx is checked over HTTP/1.1, TLS and HTTP/2, on connections that it closes; a file that goes makes "
      "it unhealthy, another authority from the beginning", timeout=120)
def nginx_checked():
    pki, other = Authority(), Authority("other authority")
    stem = pki.issue("backend.test")
    plain, tls = free_port(), free_port()
    nginx = Nginx(SERVERS, plain=plain, tls=tls, cert=stem.cert, key=stem.key)
    state = os.path.join(nginx.directory, "state")
    with open(state, "w", encoding="utf-8") as file:
        file.write("serving")
    http = 'type: HTTP, http: {path: /state, expectedResponse: {text: "serving"}}'
    trusted = f", backendTLS: {{root: {pki.cert}, hostname: backend.test}}"
    gateway = Gateway(config((
        (f"127.0.0.1:{plain}", http, ""),
        (f"127.0.0.1:{tls}", http, trusted),
        (f"127.0.0.1:{tls}", http, trusted + ", http: {version: HTTP/2.0}"),
        (f"127.0.0.1:{tls}", "type: TCP", trusted),
        (f"127.0.0.1:{tls}", http, f", backendTLS: {{root: {other.cert}, hostname: backend.test}}"))))
    await_healthy(gateway, True, True, True, True, False)
    # nginx has closed some of the kept connections by then.
    wait_until(lambda: all(entry["total"] >= 12 for entry in checks(gateway)), 60, "twelve checks of each")
    eq([entry["failed_total"] for entry in checks(gateway)[:4]], [0] * 4, "failed checks")
    check("no trusted authority" in checks(gateway)[4]["last_failure"], f"the reason: {checks(gateway)[4]}")
    os.rename(state, state + ".away")
    await_healthy(gateway, False, False, False, True, False)
    eq([entry["last_failure"] for entry in checks(gateway)[:3]], ["status 503"] * 3, "reasons")
    os.rename(state + ".away", state)
    await_healthy(gateway, True, True, True, True, False)
    with open(os.path.join(nginx.directory, "access.log"), encoding="utf-8") as file:
        log = file.read()
    for version in ("HTTP/1.1", "HTTP/2.0"):
        check(f'"GET /state {version}" 200' in log and f'"GET /state {version}" 503' in log,
              f"no checks by {version}: {log[-500:]}")
    gateway.stop()
    nginx.stop()


class HealthServer:
    """grpcio with the health service of grpcio-health-checking."""

    def __init__(self, stem):
        self.service = grpc_health.HealthServicer()
        self.port = free_port()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4),
                                   options=(("grpc.so_reuseport", 0),))
        health_pb2_grpc.add_HealthServicer_to_server(self.service, self._server)
        self._server.add_secure_port(f"127.0.0.1:{self.port}",
                                     grpc.ssl_server_credentials([(stem.key_pem, stem.pem)]))
        self._server.start()
        context().own(Context.ORIGIN, self)

    def cleanup(self):
        self._server.stop(0).wait()


@test("the health service of grpcio-health-checking is asked over TLS, for the server and for a service")
def grpc_checked():
    if not grpc_health:
        skip("needs the Python package grpcio-health-checking, in the version of grpcio")
    pki = Authority()
    server = HealthServer(pki.issue("backend.test"))
    status = health_pb2.HealthCheckResponse
    server.service.set("shop.Cart", status.NOT_SERVING)
    trusted = f", backendTLS: {{root: {pki.cert}, hostname: backend.test}}"
    address = f"127.0.0.1:{server.port}"
    gateway = Gateway(config(((address, "type: GRPC", trusted),
                              (address, "type: GRPC, grpc: {service: shop.Cart}", trusted),
                              (address, "type: GRPC, grpc: {service: shop.Other}", trusted))))
    await_healthy(gateway, True, False, False)
    eq([entry["last_failure"] for entry in checks(gateway)], ["", "NOT_SERVING", "grpc-status 5"], "reasons")
    server.service.set("shop.Cart", status.SERVING)
    server.service.set("shop.Other", status.SERVICE_UNKNOWN)
    await_healthy(gateway, True, True, False)
    wait_until(lambda: checks(gateway)[2]["last_failure"] == "SERVICE_UNKNOWN", 20, "the third reason")
    server.service.enter_graceful_shutdown()
    await_healthy(gateway, False, False, False)
    gateway.stop()
