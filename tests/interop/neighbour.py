# SPDX-License-Identifier: Apache-2.0
"""A server and a client with Python's standard library: `serve PORT`, `ask URL`."""
import hashlib
import http.client
import http.server
import sys
import urllib.parse

SIZE = 4 << 20
BIG = bytes((i * 31 + (i >> 8)) & 255 for i in range(1 << 16)) * (SIZE >> 16)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # pylint: disable=invalid-name
        if self.path == "/big":
            self.reply(BIG)
        elif self.path == "/cut":
            self.reply(BIG[:100000], length=1000000)
            self.close_connection = True
        else:
            self.reply(b"small\n")

    def do_PUT(self):  # pylint: disable=invalid-name
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 65536))
            digest.update(piece)
            left -= len(piece)
        self.reply((digest.hexdigest() + "\n").encode())

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def ask(url):
    host = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(host)

    def exchange(method, path, body=None):
        connection.request(method, path, body)
        return connection.getresponse().read()
    print("small", sum(exchange("GET", "/small") == b"small\n" for _ in range(20)))
    print("big", hashlib.sha256(exchange("GET", "/big")).hexdigest())
    print("sum", exchange("PUT", "/sum", BIG).decode().strip())
    try:
        print("cut", len(exchange("GET", "/cut")))
    except (http.client.IncompleteRead, ConnectionResetError):
        print("cut: seen")


if sys.argv[1] == "serve":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
else:
    ask(sys.argv[2])
