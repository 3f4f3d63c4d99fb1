# SPDX-License-Identifier: Apache-2.0
"""A service of extAuthz over HTTP."""
import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hg.framework import Context, context


class Question:
    """What the service was asked."""

    def __init__(self, request):
        self.command, self.path, self.headers = request.command, request.path, request.headers
        self.body = request.rfile.read(int(request.headers["content-length"] or 0))


class Judge:
    """A service over HTTP. answer(request) gives (status, headers, body); None: no response at all."""

    def __init__(self, answer):
        self.asked, self.answer, self.release = [], answer, threading.Event()
        judge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                if self.connection not in judge.connections:
                    judge.connections.append(self.connection)
                judge.asked.append(Question(self))
                result = judge.answer(self)
                if result is None:
                    judge.release.wait(60)
                    self.close_connection = True
                    return
                status, headers, body = result
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = do_PUT = do_OPTIONS = serve

            def log_message(self, *_):
                pass

        self.connections = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()
        context().own(Context.ORIGIN, self)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.server.server_address[1]

    def cleanup(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
