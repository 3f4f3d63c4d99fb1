# SPDX-License-Identifier: Apache-2.0
"""The server as a child process: one message per line, in on stdin, out on stdout."""
import json
import os
import signal

import faults
from core import PARSE, Session, encode


class Stdout:
    """The only channel of a child. Writes block, as in most servers."""

    def send(self, message):
        self.raw(encode(message) + b"\n")

    def raw(self, data):
        while data:
            data = data[os.write(1, data):]

    def done(self, call):
        pass


class Child:
    def __init__(self, server):
        self.server, self.buffer = server, bytearray()
        self.channel = Stdout()
        self.session = Session(server, self.channel)

    def readable(self):
        data = os.read(0, 1 << 16)
        if not data:
            self.server.journal("eof")
            if self.server.options.deaf:
                self.server.loop.watch(0)
            else:
                self.server.loop.stop()
            return
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            self.take(line)

    def take(self, line):
        if self.server.options.raw:
            self.server.journal("line", line=line.decode("utf-8", "backslashreplace"))
        try:
            message = json.loads(line)
        except ValueError as error:
            # Only a faulty client gets this line: the tests search for it.
            self.server.journal("not_json", line=line.decode("utf-8", "backslashreplace")[:200])
            self.channel.send({"jsonrpc": "2.0", "id": None, "error": {"code": PARSE, "message": str(error)}})
            return
        if isinstance(message, list):
            self.server.journal("batch", message=message)
        for one in message if isinstance(message, list) else [message]:
            self.session.on_message(one, self.channel)


def serve(server):
    def on_term(*_):
        server.journal("sigterm")
        os._exit(0)
    signal.signal(signal.SIGTERM, on_term)
    if server.options.deaf:
        faults.deaf(server)
    server.journal("started", ppid=os.getppid())
    faults.at_start(server)
    child = Child(server)
    server.loop.watch(0, child.readable)
    server.loop.run()
    server.journal("ended")
