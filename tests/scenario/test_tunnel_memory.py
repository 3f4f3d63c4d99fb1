# SPDX-License-Identifier: Apache-2.0
"""What an idle tunnel costs the gateway's own memory. Sockets are the kernel's, and not counted."""
import re
import resource
import socket
import threading

from hg import *

WARM, COUNT = 200, 2000
BATCH = 50  # under way at a time
CONFIG = """
config: {splice: {mode: @mode@, adaptive: @adaptive@}, limits: {connectionsPerClient: 5000}}
binds:
- port: @port@
  listeners:
  - protocol: @protocol@
    @routes@:
    - backends:
      - host: @origin@
"""
ASK = b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
      b"Sec-WebSocket-Key: a2V5a2V5a2V5a2V5a2V5MQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
         b"Sec-WebSocket-Accept: x\r\n\r\n"


class Server:
    """A backend that accepts, and with `answers` sends a 101 for the head that comes."""

    def __init__(self, answers):
        self.answers = answers
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=BATCH * 2)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(accepted)
            if self.answers:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += accepted.recv(4096)
                accepted.sendall(SWITCH)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for opened in [self.listener, *self.sockets]:
            opened.close()


def pss_bytes(gateway):
    with open(f"/proc/{gateway.pid}/smaps_rollup") as file:
        return int(re.search(r"^Pss_Anon:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def open_tunnels(gateway, server, count, is_websocket):
    clients = []
    for _ in range(count // BATCH):
        wanted = len(server.sockets) + BATCH
        batch = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(BATCH)]
        for client in batch if is_websocket else ():
            client.sendall(ASK)
        for client in batch if is_websocket else ():
            check(client.recv(4096).startswith(b"HTTP/1.1 101 "), "101")
        wait_until(lambda: len(server.sockets) == wanted, 10, "connections to the backend")
        clients += batch
    return clients


def wake(clients, server, gateway):
    """A byte each way, which brings a tunnel into the kernel lane, and one that goes through it."""
    for one, other in zip(clients, server.sockets):
        for a, b in ((one, other), (other, one), (one, other)):
            a.sendall(b"x")
            eq(b.recv(2), b"x", "a byte")
    # Not the list of streams: its text would be in the way of what is measured.
    wait_until(lambda: gateway.metrics()("headgate_sockmap_open_now") == len(clients), 10, "the kernel lane")


def idle_tunnel_bytes(protocol, routes, is_websocket, mode="auto"):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        skip(f"the descriptor limit of {hard} is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server(is_websocket)
    gateway = Gateway(CONFIG, origin=f"127.0.0.1:{server.port}", protocol=protocol, routes=routes, workers=1,
                      mode=mode, adaptive=str(mode == "auto").lower())
    clients = open_tunnels(gateway, server, WARM, is_websocket)
    if mode == "require":
        wake(clients, server, gateway)
    before = pss_bytes(gateway)
    clients += open_tunnels(gateway, server, COUNT, is_websocket)
    if mode == "require":
        wake(clients, server, gateway)
    bytes_each = (pss_bytes(gateway) - before) / COUNT
    note(f"{protocol}, {mode}: {bytes_each:.0f} bytes each")
    eq([stream["state"] for stream in gateway.streams()], ["tunnel"] * (WARM + COUNT), "states")
    for client in clients:
        client.close()
    server.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return bytes_each


def check_cost(bytes_each, limit):
    check(bytes_each <= limit, f"{bytes_each:.0f} bytes each, at most {limit} wanted")


@test("an idle TCP tunnel costs at most 1.5 KiB of the gateway's memory",
      heavy=True, measures=True, timeout=60)
def tcp():
    check_cost(idle_tunnel_bytes("TCP", "tcpRoutes", False), 1536)


@test("an idle WebSocket tunnel costs at most 1.5 KiB of the gateway's memory",
      heavy=True, measures=True, timeout=60)
def websocket():
    check_cost(idle_tunnel_bytes("HTTP", "routes", True), 1536)


@test("an idle tunnel in the kernel lane costs at most 2.5 KiB of the gateway's memory",
      needs=("bpf",), heavy=True, measures=True, timeout=60)
def kernel():
    check_cost(idle_tunnel_bytes("TCP", "tcpRoutes", False, "require"), 2560)
