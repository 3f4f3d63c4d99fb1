# SPDX-License-Identifier: Apache-2.0
"""What the plays about checks of endpoints have in common: HTTP servers that can be ill, or gone."""
import collections
import http.server
import socket
import threading

from hg import *
from hg.framework import Context, context
from test_health import watched

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one segment

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_check = self.headers.get("User-Agent") == "headgate"
        own = self.server.own
        status = own.health if is_check else own.status
        with own.lock:
            if is_check:
                own.checks.append(Check(self.client_address, self.command, self.path,
                                        self.headers.get("Host"), body))
            else:
                own.requests += 1
        text = own.text if is_check else b"hello"
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("x-origin", own.address)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer  # noqa: the names are http.server's

    def log_message(self, *_):
        pass


Check = collections.namedtuple("Check", "peer method path host body")


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        self.connections = set()
        super().__init__(*arguments)

    def get_request(self):
        connection, peer = super().get_request()
        self.connections.add(connection)
        return connection, peer

    def finish_request(self, request, client_address):
        """In the connection's thread."""
        if self.own.tls:
            request = self.own.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_):
        pass


class Server:
    """An HTTP server. .health: the status of checks, .text: their body; .status: of all other requests.

    tls: a context of ssl for its connections
    """

    def __init__(self, address, port, health=200, status=200, text=b"OK", tls=None):
        self.address, self.port, self.tls = address, port, tls
        self.health, self.status, self.text = health, status, text
        self.lock, self.checks, self.requests = threading.Lock(), [], 0
        self._listener = None
        self.start()
        context().own(Context.ORIGIN, self)

    def start(self):
        self._listener = Listener((self.address, self.port), Handler)
        self._listener.own = self
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """As if it had died: its connections end, its port refuses."""
        listener, self._listener = self._listener, None
        if not listener:
            return
        listener.shutdown()
        listener.server_close()
        for connection in list(listener.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    cleanup = stop


def servers(count=3, **options):
    port = free_port()
    return port, [Server(address, port, **options) for address in ADDRESSES[:count]]


def gateway_of(port, health, count=3, more="", **options):
    return Gateway(watched(ADDRESSES[:count], port, health, more), **options)


def entries(gateway):
    return {entry["endpoint"].rsplit(":", 1)[0]: entry for entry in gateway.admin_json("/endpoints")}


def out(gateway):
    return {address for address, entry in entries(gateway).items() if entry["evicted"]}


def await_out(gateway, *addresses, timeout=20):
    wait_until(lambda: out(gateway) == set(addresses), timeout, f"exactly {addresses} to be out")


def statuses(gateway, count):
    return collections.Counter(gateway.fetch("/x").status for _ in range(count))


def history(gateway):
    return [(change["event"], change["endpoint"].rsplit(":", 1)[0])
            for change in gateway.admin_json("/endpoints?history=1")]
