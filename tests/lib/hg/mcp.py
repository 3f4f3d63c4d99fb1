# SPDX-License-Identifier: Apache-2.0
"""An MCP client for tests: sessions over streamable HTTP, the old HTTP+SSE, 2026-07-28 without a session.

    client = Mcp(gateway)                      # initialize, notifications/initialized
    client.call("echo", {"a": 1})              # the result of a tool; McpError if it is an error
    with client.start("tools/call", {...}) as call:
        call.next()                            # messages as they arrive
        call.result()
    stream = client.listen()                   # GET; stream.next()

A request of the server calls client.handlers[method](params), whose result is the response.
"""
import base64
import json
import os
import select
import sys
import urllib.parse

from hg.framework import Context, Failure, check, context, eq, repository_root, shorten, tmpdir, wait_until
from hg.gateway import Gateway
from hg.ports import free_port
from hg.process import Process, read_text
from hg.raw import Raw

META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
VERSIONS = ["2025-03-26", "2025-06-18", "2025-11-25"]
ALL_CAPABILITIES = {"sampling": {}, "elicitation": {}, "roots": {}}
BOTH = "application/json, text/event-stream"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
PYTHON = sys.executable or "/usr/bin/python3"
SERVER = os.path.join(repository_root(), "tests", "mcp", "server.py")


class McpError(Exception):
    """The peer answered with a JSON-RPC error."""

    def __init__(self, error):
        super().__init__(str(error))
        self.code, self.text, self.data = error.get("code"), error.get("message"), error.get("data")


class Event:
    def __init__(self):
        self.name, self.id, self.retry, self.data = "message", None, None, None

    def json(self):
        try:
            return json.loads(self.data)
        except ValueError as error:
            raise Failure(f"an event is not JSON ({error}): {shorten(self.data)}") from None


class EventReader:
    """Events of a body as they arrive. comments: the number of comment lines."""

    def __init__(self, pieces):
        self._pieces, self._buffer = pieces, b""
        self.comments = 0

    @property
    def buffered(self):
        return self._buffer

    def next(self):
        """The next event, or None at the end of the stream."""
        event, lines = Event(), []
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                piece = next(self._pieces, None)
                if piece is None:
                    check(not self._buffer and not lines, f"the stream ended in an event: {self._buffer!r}")
                    return None
                self._buffer += piece
                continue
            line, self._buffer = self._buffer[:end].rstrip(b"\r").decode(), self._buffer[end + 1:]
            if not line:
                if lines or event.id is not None or event.retry is not None:
                    event.data = "\n".join(lines)
                    return event
                continue
            self._field(event, lines, line)

    def _field(self, event, lines, line):
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not name:
            self.comments += 1
        elif name == "data":
            lines.append(value)
        elif name == "event":
            event.name = value
        elif name == "id":
            event.id = value
        elif name == "retry":
            event.retry = int(value)
        else:
            raise Failure(f"an event stream has a line {line!r}")


class Exchange:
    """One request and its response on the connection: JSON, an event stream, or an HTTP error."""

    def __init__(self, client, connection, method, number):
        self.client, self.connection, self.id = client, connection, number
        self.http_method = method
        self._head = self._reader = None
        self.seen = []      # notifications
        self.events = []
        self.answer = None
        self.released = False

    @property
    def head(self):
        """Waits for the response head and returns it."""
        if self._head is None:
            self._head = self.connection.response_head(self.http_method)
            if self.is_stream:
                self._reader = EventReader(self.connection.body(self._head))
        return self._head

    @property
    def is_stream(self):
        return (self.head.header("Content-Type") or "").startswith("text/event-stream")

    @property
    def status(self):
        return self.head.status

    @property
    def comments(self):
        return self._reader.comments

    def body(self):
        """The whole body of a response that is no event stream."""
        message = self.head
        message.body = b"".join(self.connection.body(message))
        return message

    def next_event(self):
        """The next event; None at the end."""
        check(self.status == 200 and self.is_stream,
              lambda: f"no event stream: {self.head} {self.body().text}")
        event = self._reader.next()
        if event:
            self.events.append(event)
        return event

    def next(self):
        """The next message, None at the end; requests of the server are answered if there is a handler."""
        if not self.is_stream:
            if self.answer is not None or self.status == 202:
                return None
            message = self.body()
            check(message.status == 200 or message.body.startswith(b"{"),
                  lambda: f"HTTP status {message.status}: {message.text}")
            self.client.release(self)
            return self._note(message.json())
        while True:
            event = self.next_event()
            if event is None:
                self.client.release(self)
                return None
            if event.data:
                return self._note(event.json())

    def _note(self, message):
        if "method" not in message:
            if message.get("id") == self.id and type(message.get("id")) is type(self.id):
                check(self.answer is None, lambda: f"answered twice: {message}")
                self.answer = message
            else:
                self.client.strays.append(message)
        elif "id" in message:
            self.client.answer(message)
        else:
            self.seen.append(message)
        return message

    def result(self):
        """The result; McpError if it is an error. Other messages are in .seen. A stream must end after the
        result."""
        self.wait()
        self.end()
        return self.judged()

    def wait(self):
        while self.answer is None:
            if self.next() is None:
                raise Failure(f"no answer: HTTP {self.status}, the stream ended after {shorten(self.seen)}")

    def judged(self):
        if "error" in self.answer:
            raise McpError(self.answer["error"])
        return self.answer["result"]

    def until(self, method):
        """Reads until a message of this method arrives; returns its params."""
        while True:
            for message in self.seen:
                if message["method"] == method:
                    self.seen.remove(message)
                    return message.get("params")
            if self.next() is None:
                raise Failure(f"the stream ended before {method}; it had {shorten(self.seen)}")

    def end(self):
        """Reads to the end of the stream."""
        while self.next() is not None:
            pass
        return self

    def has_more(self):
        """True if a message, or the start of one, was already read from the socket."""
        taken = self.connection.buffered + (self._reader.buffered if self._reader else b"")
        return b"data:" in taken or b"{" in taken

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Mcp:
    """A client. target: a Gateway, a port or an address; path: of the endpoint.

    version   protocol version to request; MODERN: no session, _meta in each request
    handlers  {method: function of the params}: responses to requests of the server
    start     False: no initialize
    headers   on every request
    """

    def __init__(self, target, path="/mcp", version="2025-11-25", capabilities=None, handlers=None,
                 start=True, headers=(), timeout=20.0, name="tester"):
        self.target = getattr(target, "port", target)
        self.path, self.wanted, self.version = path, version, None
        self.modern = version == MODERN
        self.handlers = handlers or {}
        self.capabilities = ALL_CAPABILITIES if capabilities is None else capabilities
        self.headers, self.timeout = list(dict(headers).items()), timeout
        self.info = {"name": name, "version": "1"}
        self.session = None
        self.server = {}     # the result of initialize
        self.strays = []     # responses without a request
        self.asked = []      # requests of the server
        self._idle = []
        self._number = 0
        context().own(Context.CLIENT, self)
        if start and not self.modern:
            self.initialize()

    # ---- HTTP ----------------------------------------------------------------------------------------

    def base_headers(self, method=None, params=None):
        headers = [("Content-Type", "application/json"), ("Accept", BOTH), *self.headers]
        if self.session:
            headers.append(("Mcp-Session-Id", self.session))
        if self.modern:
            headers += [("MCP-Protocol-Version", self.wanted), ("Mcp-Method", method)]
            if method in NAMED:
                headers.append(("Mcp-Name", encoded((params or {}).get(NAMED[method]))))
        elif self.version:
            headers.append(("MCP-Protocol-Version", self.version))
        return headers

    def connection(self):
        while self._idle:
            connection = self._idle.pop()
            if connection.socket.fileno() < 0:
                continue  # closed by the test
            try:
                if not connection.pending() and not connection._ended:  # pylint: disable=protected-access
                    return connection
            except (Failure, OSError):
                pass
        return Raw(self.target, timeout=self.timeout)

    def release(self, exchange):
        """Makes the connection of a complete exchange available for the next one."""
        head = exchange.head
        if exchange.released:
            return
        exchange.released = True
        if "close" not in (head.header("Connection") or "").lower() and head.framing != "close":
            self._idle.append(exchange.connection)

    def send(self, body, headers=(), method="POST", number=None, drop=(), rpc=None, params=None, path=None):
        """Sends a request with this body (bytes, or an object for JSON); headers replace, drop removes."""
        if not isinstance(body, (bytes, type(None))):
            body = json.dumps(body, ensure_ascii=False).encode()
        given = {name.lower() for name, _ in dict(headers).items()} | {name.lower() for name in drop}
        all_headers = [(k, v) for k, v in self.base_headers(rpc, params) if k.lower() not in given and v]
        connection = self.connection()
        connection.request(method, path or self.path, [*all_headers, *dict(headers).items()], body)
        return Exchange(self, connection, method, number)

    def post(self, body, headers=(), **options):
        """Returns the complete response to a request that must not be answered by a stream."""
        exchange = self.send(body, headers, **options)
        check(not exchange.is_stream, lambda: f"an event stream for {shorten(body)}")
        answer = exchange.body()
        self.release(exchange)
        return answer

    # ---- JSON-RPC ------------------------------------------------------------------------------------

    def message(self, method, params=None, number=None):
        """A request as an object, with a new id unless given."""
        if number is None:
            self._number += 1
            number = self._number
        message = {"jsonrpc": "2.0", "id": number, "method": method}
        if self.modern:
            params = dict(params or {})
            params["_meta"] = {META + "protocolVersion": self.wanted, META + "clientInfo": self.info,
                               META + "clientCapabilities": self.capabilities, **params.get("_meta", {})}
        if params is not None:
            message["params"] = params
        return message

    def start(self, method, params=None, number=None, **options):
        """Sends a request; returns an Exchange that waits for the response."""
        message = self.message(method, params, number)
        return self.send(message, number=message["id"], rpc=method, params=params, **options)

    def request(self, method, params=None, number=None, **options):
        return self.start(method, params, number, **options).result()

    def begin(self, tool, arguments=None, meta=None, **options):
        """Starts a tool call; returns its Exchange."""
        params = {"name": tool, "arguments": arguments or {}}
        if meta:
            params["_meta"] = meta
        return self.start("tools/call", params, **options)

    def call(self, tool, arguments=None, meta=None, **options):
        return self.begin(tool, arguments, meta, **options).result()

    def text(self, tool, arguments=None, **options):
        """The text of a tool's result."""
        return text_of(self.call(tool, arguments, **options))

    def notify(self, method, params=None):
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        answer = self.post(message)
        eq((answer.status, answer.body), (202, b""), f"the answer to {method}")

    def introduction(self):
        return {"protocolVersion": self.wanted, "capabilities": self.capabilities, "clientInfo": self.info}

    def initialize(self, **more):
        return self.settle(self.start("initialize", {**self.introduction(), **more}))

    def settle(self, exchange):
        """Processes the response to an initialize that was sent."""
        self.server = exchange.result()
        self.session = exchange.head.header("Mcp-Session-Id")
        self.version = self.server["protocolVersion"]
        self.notify("notifications/initialized")
        return self.server

    def answer(self, message):
        """Answers a request of the server by its handler, or only records it."""
        self.asked.append(message)
        handler = self.handlers.get(message["method"])
        if handler:
            self.reply(message, handler(message.get("params")))

    def reply(self, message, result=None, error=None):
        body = {"jsonrpc": "2.0", "id": message["id"]}
        body.update({"error": error} if error else {"result": result})
        answer = self.post(body)
        eq((answer.status, answer.body), (202, b""), "the answer to an answer")

    def listen(self, last=None):
        """Opens the event stream by GET."""
        headers = {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        exchange = self.send(None, headers, "GET", drop=("Content-Type",))
        check(exchange.status == 200 and exchange.is_stream, lambda: f"GET: {exchange.head}")
        return exchange

    def delete(self):
        exchange = self.send(None, (), "DELETE", drop=("Content-Type",))
        self.session = None
        answer = exchange.body()
        self.release(exchange)
        return answer

    def leave(self):
        """Ends the session and closes its idle connections."""
        answer = self.delete()
        while self._idle:
            self._idle.pop().close()
        return answer

    def all(self, method, key, **params):
        """All entries of a list, page by page."""
        found, cursor = [], None
        for _ in range(1000):
            page = self.request(method, {**params, **({"cursor": cursor} if cursor is not None else {})})
            found += page[key]
            cursor = page.get("nextCursor")
            if cursor is None:
                return found
        raise Failure(f"{method} has no end")

    def tools(self):
        return [tool["name"] for tool in self.all("tools/list", "tools")]

    def cleanup(self):
        """Ends the session, so that the server becomes idle."""
        self._idle = []  # already closed, like all connections of the test
        try:
            if self.session:
                self.delete()
        except (Failure, OSError):
            pass
        for connection in self._idle:
            connection.cleanup()


class OldMcp(Mcp):
    """A client of HTTP+SSE: one stream for all responses, a POST for each message."""

    def __init__(self, target, path="/sse", version="2024-11-05", **options):
        self.stream = self.message_path = None
        super().__init__(target, path, version, **options)

    def initialize(self, **more):
        self.stream = self.send(None, {"Accept": "text/event-stream"}, "GET", drop=("Content-Type",))
        event = self.stream.next_event()
        eq(event.name, "endpoint", "the first event")
        self.message_path = urllib.parse.urljoin(self.path, event.data)
        check(self.message_path.startswith("/"), f"the endpoint is {event.data}")
        self.server = self.request("initialize", {**self.introduction(), **more})
        self.notify("notifications/initialized")
        return self.server

    def _post(self, message):
        answer = self.post(message, path=self.message_path)
        eq(answer.status, 202, "status of a message")

    def request(self, method, params=None, number=None, **options):
        message = self.message(method, params, number)
        self._post(message)
        return self.wait(message["id"])

    def wait(self, number):
        self.stream.id, self.stream.answer = number, None
        self.stream.wait()
        return self.stream.judged()

    def call(self, tool, arguments=None, meta=None, **options):
        return self.request("tools/call", {"name": tool, "arguments": arguments or {},
                                           **({"_meta": meta} if meta else {})})

    def notify(self, method, params=None):
        self._post({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})

    def reply(self, message, result=None, error=None):
        self._post({"jsonrpc": "2.0", "id": message["id"],
                    **({"error": error} if error else {"result": result})})


def gather(calls, besides=()):
    """Reads all calls at once until each has its response, because one may wait for a message on another, or
    on one of besides, which are also read but get no response."""
    while left := [call for call in calls if call.answer is None]:
        read = [*left, *besides]
        ready = [call for call in read if call.has_more()]
        if not ready:
            longest = max(call.connection.timeout for call in left)
            sockets = {call.connection.socket: call for call in read}
            found = select.select(list(sockets), [], [], longest)[0]
            check(found, f"silence for {longest:.1f} s on {len(left)} calls")
            ready = [sockets[one] for one in found]
        for call in ready:
            if call.answer is None and call.next() is None:
                raise Failure(f"no answer: HTTP {call.status}, its stream has ended")
    for call in calls:
        call.end()
    return calls


def text_of(result):
    return "".join(part.get("text", "") for part in result["content"])


def encoded(value):
    """A value as a field of 2026-07-28: unchanged, or in base64 if it is not plain text."""
    value = "" if value is None else str(value)
    plain = value.isascii() and value.isprintable() and value == value.strip()
    if plain and not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    return "=?base64?" + base64.b64encode(value.encode()).decode() + "?="


# ---- servers -----------------------------------------------------------------------------------------


class McpGateway(Gateway):
    """A gateway whose backends are MCP targets: its pool may keep connections to the gateway itself."""

    inner = True


class Journal:
    """The events that servers recorded: .events("cancelled", server="one"), .wait(...)."""

    def __init__(self, name="mcp"):
        self.path = os.path.join(tmpdir(), name + ".journal")
        with open(self.path, "wb"):
            pass
        os.chmod(self.path, 0o666)

    def events(self, event=None, **more):
        lines = read_text(self.path).split("\n")[:-1]
        found = [json.loads(line) for line in lines]
        return [one for one in found if event in (None, one["event"]) and
                all(one.get(key) == value for key, value in more.items())]

    def wait(self, event, count=1, timeout=10.0, **more):
        """Waits for this many such events; returns the last one."""
        return wait_until(lambda: self.events(event, **more)[count - 1:], timeout,
                          f"{count} x {event} {more} in the journal")[-1]

    def messages(self, method=None, **more):
        """Messages that servers received."""
        return [one["message"] for one in self.events("message", **more)
                if method is None or one["message"].get("method") == method]

    def pids(self, **more):
        return [one["pid"] for one in self.events("started", **more)]


def options_of(options):
    """Keywords as arguments of server.py."""
    argv = []
    for name, value in options.items():
        if value is not False and value is not None:
            argv.append("--" + name.replace("_", "-"))
            if value is not True:
                argv.append(str(getattr(value, "path", value)))
    return argv


def stdio(name="one", env=None, clear_env=None, **options):
    """A target for a configuration: the test server as a child process."""
    spec = {"cmd": PYTHON, "args": ["-S", "-E", SERVER, *options_of({"name": name, **options})]}
    if env:
        spec["env"] = env
    if clear_env is not None:
        spec["clearEnv"] = clear_env
    return {"name": name, "stdio": spec}


class McpServer(Process):
    """The test server over HTTP, on its own port."""

    def __init__(self, name="one", port=None, **options):
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        argv = options_of({"name": name, "http": self.port, **options})
        super().__init__([PYTHON, "-S", "-E", SERVER, *argv], "mcp-server")
        self.await_listening()

    def await_listening(self):
        def listens():
            check(self.is_running(), lambda: f"the MCP server ended: {self.stderr}")
            return "listening on " in self.stdout
        wait_until(listens, 10, "the MCP server to listen")

    def target(self, name="one", kind="mcp", path=None):
        """A target for a configuration that leads to this server."""
        return {"name": name, kind: {"host": "127.0.0.1", "port": self.port,
                                     "path": path or ("/sse" if kind == "sse" else "/mcp")}}


def config(targets, policies=None, more="", **settings):
    """A configuration text with an mcp block. settings: prefixMode=…, failureMode=…"""
    block = {"port": "@port@", **({"policies": policies} if policies else {}), **settings, "targets": targets}
    return f"mcp: {json.dumps(block)}\n{more}".replace('"@port@"', "@port@")
