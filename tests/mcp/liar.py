# SPDX-License-Identifier: Apache-2.0
"""A server that corrupts its responses to tools/call: cut, late, twice, too large, redirected.

    liar.py stdio | http PORT | events PORT | sse PORT   [--seed N] [--large BYTES]

initialize and lists are answered well, so that a session lasts. A seed gives the same changes again.
"""
import json
import random
import socketserver
import sys
import threading
import time

TOOL = {"name": "lie", "inputSchema": {"type": "object"}}
FLAWS = ("none", "cut", "mutated", "twice", "late", "large", "deep", "bom", "lines", "version", "null_error",
         "unknown_id", "double_id", "empty", "array", "silent", "utf8", "both", "no_id")
HTTP_FLAWS = ("redirect", "elsewhere", "loop", "status", "type", "short", "long", "closed", "head", "chunk")


class Liar:
    def __init__(self, seed, large):
        self.random, self.large, self.lock = random.Random(seed), large, threading.Lock()

    def answer(self, message):
        """The correct response to a request; None for other messages."""
        if "id" not in message:
            return None
        results = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                  "serverInfo": {"name": "liar", "version": "1"}},
                   "tools/list": {"tools": [TOOL]},
                   "tools/call": {"content": [{"type": "text", "text": "the truth"}]}}
        return {"jsonrpc": "2.0", "id": message["id"], "result": results.get(message["method"], {})}

    def choose(self, message, more=()):
        """How the response to this message is corrupted."""
        if message.get("method") != "tools/call":
            return "none"
        with self.lock:
            return self.random.choice(FLAWS + more)

    def flawed(self, answer, flaw):
        """The texts to send instead of the response."""
        text = json.dumps(answer).encode()
        with self.lock:
            at, byte = self.random.randrange(1, len(text)), self.random.randrange(256)
        texts = {
            "cut": [text[:at]], "mutated": [text[:at] + bytes([byte]) + text[at + 1:]], "twice": [text, text],
            "large": [json.dumps({**answer, "result": {"x": "y" * self.large}}).encode()],
            "deep": [json.dumps(answer).encode()[:-1] + b',"more":' + b"[" * 100 + b"]" * 100 + b"}"],
            "bom": [b"\xef\xbb\xbf" + text], "lines": json.dumps(answer, indent=1).encode().split(b"\n"),
            "version": [json.dumps({k: v for k, v in answer.items() if k != "jsonrpc"}).encode()],
            "null_error": [json.dumps({**answer, "error": None}).encode()],
            "unknown_id": [json.dumps({**answer, "id": 4711}).encode()],
            "double_id": [text[:-1] + b',"id":1}'], "empty": [b""], "array": [b"[" + text + b",{}]"],
            "silent": [], "utf8": [text.replace(b"truth", b"tr\xffth")],
            "both": [json.dumps({**answer, "error": {"code": 1, "message": "no"}}).encode()],
            "no_id": [json.dumps({"jsonrpc": "2.0", "result": {}}).encode()],
        }
        return texts.get(flaw, [text])


def serve_stdio(liar):
    for line in sys.stdin.buffer:
        message = json.loads(line)
        answer = liar.answer(message)
        if not answer:
            continue
        flaw = liar.choose(message)
        if flaw == "late":
            time.sleep(0.3)
        for text in liar.flawed(answer, flaw):
            sys.stdout.buffer.write(text.replace(b"\n", b" ") + b"\n")
        sys.stdout.buffer.flush()


class Web(socketserver.StreamRequestHandler):
    """One connection: POSTs with their responses, or the stream of the older transport."""

    def handle(self):
        try:
            while self.one():
                pass
        except (OSError, ValueError):
            pass

    def one(self):
        line = self.rfile.readline().split()
        if len(line) < 3:
            return False
        length = 0
        while True:
            field = self.rfile.readline().strip()
            if not field:
                break
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self.rfile.read(length)
        if line[0] == b"GET":
            return self.get()
        return self.post(json.loads(body)) if line[0] == b"POST" else self.respond(200)

    def respond(self, status, body=b"", kind="application/json", more="", length=None):
        head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\n{more}"
        head += f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
        self.wfile.write(head.encode() + body)
        return True

    def get(self):
        if self.server.kind != "sse":
            return self.respond(405)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                         b"event: endpoint\ndata: /message\n\n")
        with self.server.liar.lock:
            self.server.streams.append(self.wfile)
        while self.rfile.read(1):
            pass
        return False

    def post(self, message):
        liar, kind = self.server.liar, self.server.kind
        answer = liar.answer(message)
        flaw = liar.choose(message, HTTP_FLAWS if kind != "sse" else ("status", "closed"))
        if not answer:
            return self.respond(202)
        if flaw == "late":
            time.sleep(0.3)
        if flaw in HTTP_FLAWS:
            return self.broken(answer, flaw)
        texts = liar.flawed(answer, flaw)
        if kind == "http":
            return self.respond(200, b"\n".join(texts))
        events = b"".join(b"data: " + text.replace(b"\n", b"\ndata: ") + b"\n\n" for text in texts)
        if kind == "events":
            return self.respond(200, events, "text/event-stream")
        self.respond(202)
        self.server.streams[-1].write(events)
        return True

    def broken(self, answer, flaw):
        """Sends responses with HTTP errors."""
        text = json.dumps(answer).encode()
        if flaw in ("redirect", "elsewhere", "loop"):
            place = {"redirect": "/other", "elsewhere": "http://127.0.0.1:1/mcp", "loop": "/mcp"}[flaw]
            return self.respond(307, more=f"Location: {place}\r\n")
        if flaw == "status":
            return self.respond(500, b"<html>no</html>", "text/html")
        if flaw == "type":
            return self.respond(200, text, "text/plain")
        if flaw == "short":
            self.respond(200, text, length=len(text) + 10)
        elif flaw == "long":
            self.respond(200, text, length=len(text) - 5)
        elif flaw == "head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        elif flaw == "chunk":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n")
        return False


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


def main():
    arguments = sys.argv[1:]
    options = dict(zip(arguments[-4::2], arguments[-3::2]))
    liar = Liar(int(options.get("--seed", 1)), int(options.get("--large", 1 << 20)))
    if arguments[0] == "stdio":
        serve_stdio(liar)
        return
    server = Server(("127.0.0.1", int(arguments[1])), Web)
    server.liar, server.kind, server.streams = liar, arguments[0], []
    print("listening on", arguments[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
