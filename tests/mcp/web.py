# SPDX-License-Identifier: Apache-2.0
"""The server over HTTP: /mcp for each protocol version, and /sse for 2024-11-05."""
import base64
import json
import os
import signal

import http1
from core import META, PARSE, Session, encode, text

HEADER_MISMATCH = -32020
# The HTTP status that 2026-07-28 requires for an error.
STATUS = {-32020: 400, -32021: 400, -32022: 400, -32601: 404}
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Posted:
    """The channel of one request: an event stream, or a single JSON text with --json."""

    def __init__(self, session, connection, headers, single):
        self.session, self.connection, self.headers, self.single = session, connection, headers, single
        self.events, self.stream = None, None
        self.answered = False
        connection.on_close = self.gone

    def open(self):
        if self.events is None and not self.connection.closed:
            self.events = http1.Events(self.connection, self.headers, self.gone)
            self.stream = self.session.new_stream(self)

    def gone(self):
        """The client closed. Up to 2025-11-25 it may resume the stream; later versions cancel the request."""
        self.events = None
        self.session.on_gone(self)

    def send(self, message):
        plain = (self.single or (self.session.stateless and "error" in message)) and not self.events
        if plain and ("result" in message or "error" in message) and "method" not in message:
            status = STATUS.get(message.get("error", {}).get("code"), 200) if self.session.stateless else 200
            self.answered = True
            self.connection.respond(status, [("Content-Type", "application/json"), *self.headers],
                                    encode(message))
            return
        self.open()
        self.session.emit(self, encode(message))

    def raw(self, data):
        """Sends raw bytes that are no message, as part of the event stream."""
        self.open()
        if self.events:
            self.events.raw(data)

    def done(self, call):
        if self.answered:
            return
        if self.stream is None:
            self.open()  # a cancelled call: its stream ends without a response
        self.session.finished.add(self.stream)
        if self.events:
            self.events.end()


class General:
    """The channel for messages that belong to no request: the stream of the GET, or a queue before it."""

    def __init__(self, session):
        self.session, self.events, self.stream = session, None, "g"
        self.queue = []

    def send(self, message):
        data = encode(message)
        if self.events or self.session.server.options.resume:
            self.session.emit(self, data)
        else:
            self.queue.append(data)

    def attach(self, connection, headers):
        if self.events:
            self.events.end()
        self.events = http1.Events(connection, headers, self.gone)
        for data in self.queue:
            self.session.emit(self, data)
        self.queue = []

    def gone(self):
        self.events = None


class WebSession(Session):
    def __init__(self, server, number, stateless=False):
        super().__init__(server)
        self.number, self.stateless = number, stateless
        self.general = General(self)
        self.history, self.finished, self.open_streams = {}, set(), {}
        self._streams = 0

    def new_stream(self, channel):
        self._streams += 1
        name = f"s{self._streams}"
        self.open_streams[name] = channel
        self.history[name] = []
        if self.server.options.resume and not self.stateless:
            channel.events.event(b"", number=f"{name}-0", retry=200)
        return name

    def emit(self, channel, data):
        """Sends an event on a stream; if events have ids, it is stored for clients that resume."""
        number = None
        if self.server.options.resume and not self.stateless:
            past = self.history.setdefault(channel.stream, [])
            past.append(data)
            number = f"{channel.stream}-{len(past)}"
        if channel.events:
            channel.events.event(data, number=number)

    def on_gone(self, channel):
        if self.stateless:
            for call in [call for call in self.calls.values() if call.channel is channel]:
                call.cancel("the stream was closed")

    def resume(self, connection, last, headers):
        """GET with Last-Event-ID: sends the missed events, then new ones. False: unknown event."""
        name, _, number = last.rpartition("-")
        if name not in self.history or not number.isdigit():
            return False
        channel = self.general if name == "g" else self.open_streams[name]
        channel.events = http1.Events(connection, headers, channel.gone)
        for position, data in enumerate(self.history[name][int(number):], int(number) + 1):
            channel.events.event(data, number=f"{name}-{position}")
        if name in self.finished:
            channel.events.end()
        return True


class Legacy(Session):
    """HTTP+SSE: one event stream for all responses."""

    def __init__(self, server, events):
        super().__init__(server, self)
        self.events = events

    def send(self, message):
        self.events.event(encode(message), event="message")

    def raw(self, data):
        self.events.raw(data)

    def done(self, call):
        pass


class Web:
    def __init__(self, server):
        self.server, self.sessions, self.legacy = server, {}, {}
        self.stateless = WebSession(server, "none", stateless=True)

    def handle(self, connection, request):
        self.server.journal("http", method=request.method, target=request.target, headers=request.headers)
        if request.path == "/sse" and self.server.options.sse and request.method == "GET":
            self.open_legacy(connection)
        elif request.path == "/message" and request.method == "POST":
            self.post_legacy(connection, request)
        elif request.path != "/mcp":
            self.refuse(connection, 404, "nothing here")
        else:
            {"POST": self.post, "GET": self.get, "DELETE": self.delete}.get(request.method, self.not_allowed)(
                connection, request)

    def refuse(self, connection, status, why, code=-32600, number=None):
        body = encode({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": why}})
        connection.respond(status, [("Content-Type", "application/json")], body)

    def not_allowed(self, connection, request):
        self.refuse(connection, 405, request.method + " is not allowed")

    def session_of(self, connection, request):
        """The session that a request names; without one the request is refused."""
        if self.server.options.no_sessions:
            return self.sessions.setdefault("only", WebSession(self.server, "only"))
        number = request.header("mcp-session-id")
        if not number:
            self.refuse(connection, 400, "Mcp-Session-Id is missing")
        elif number not in self.sessions:
            self.refuse(connection, 404, "no such session")
        else:
            return self.sessions[number]
        return None

    # ---- POST ----------------------------------------------------------------------------------------

    def post(self, connection, request):
        accept = request.header("accept")
        if "application/json" not in accept or "text/event-stream" not in accept:
            self.refuse(connection, 406, f"Accept is {accept!r}")
            return
        if request.header("content-type").split(";")[0].strip() != "application/json":
            self.refuse(connection, 415, "Content-Type is " + request.header("content-type"))
            return
        try:
            message = json.loads(request.body)
        except ValueError as error:
            self.refuse(connection, 400, str(error), PARSE)
            return
        messages = message if isinstance(message, list) else [message]
        first = messages[0] if messages and isinstance(messages[0], dict) else {}
        meta = (first.get("params") or {}).get("_meta") or {} if isinstance(first.get("params"), dict) else {}
        if meta.get(META + "protocolVersion"):
            self.post_modern(connection, request, first, meta)
        elif first.get("method") == "initialize":
            self.post_initialize(connection, first)
        else:
            session = self.session_of(connection, request)
            if session:
                self.post_messages(connection, session, messages)

    def post_initialize(self, connection, message):
        number = base64.urlsafe_b64encode(os.urandom(12)).decode()
        session = WebSession(self.server, number)
        headers = []
        if self.server.options.no_sessions:
            self.sessions["only"] = session
        else:
            self.sessions[number] = session
            headers = [("Mcp-Session-Id", number)]
        session.on_message(message, Posted(session, connection, headers, self.server.options.json))

    def post_messages(self, connection, session, messages):
        if not any("method" in one and "id" in one for one in messages if isinstance(one, dict)):
            for one in messages:
                session.on_message(one, None)
            connection.respond(202)
            return
        tool = (messages[0].get("params") or {}).get("name")
        if tool in FAULTS and messages[0].get("method") == "tools/call":
            session.server.journal("message", message=messages[0])
            FAULTS[tool](self, connection, session, messages[0])
            return
        channel = Posted(session, connection, [], self.server.options.json)
        for one in messages:
            session.on_message(one, channel)

    def post_modern(self, connection, request, message, meta):
        """2026-07-28: checks that header fields match the body."""
        wanted = {"mcp-protocol-version": meta[META + "protocolVersion"], "mcp-method": message.get("method")}
        if message.get("method") in NAMED:
            wanted["mcp-name"] = message["params"].get(NAMED[message["method"]])
        for name, value in wanted.items():
            got = decoded(request.header(name, None))
            if got != value:
                self.server.journal("header_mismatch", field=name, got=got, want=value)
                self.refuse(connection, 400, f"{name} is {got!r}, the body says {value!r}", HEADER_MISMATCH,
                            message.get("id"))
                return
        # JSON if nothing is sent before the response; a listener is a stream.
        single = message.get("method") != "subscriptions/listen" and self.server.options.json
        session = WebSession(self.server, "none", stateless=True)
        session.listening = self.stateless.listening
        session.on_message(message, Posted(session, connection, [], single))

    # ---- GET, DELETE ---------------------------------------------------------------------------------

    def get(self, connection, request):
        if self.server.options.no_get:
            self.not_allowed(connection, request)
            return
        if "text/event-stream" not in request.header("accept"):
            self.refuse(connection, 406, "Accept is " + request.header("accept"))
            return
        session = self.session_of(connection, request)
        if not session:
            return
        last = request.header("last-event-id")
        if not last:
            session.general.attach(connection, [])
        elif not session.resume(connection, last, []):
            self.refuse(connection, 400, "no such event: " + last)

    def delete(self, connection, request):
        session = self.session_of(connection, request)
        if session:
            self.server.journal("deleted", session=session.number)
            session.close("the session was deleted")
            self.sessions.pop(session.number, None)
            connection.respond(204)

    # ---- HTTP+SSE ------------------------------------------------------------------------------------

    def open_legacy(self, connection):
        number = base64.urlsafe_b64encode(os.urandom(12)).decode()

        def gone():
            self.legacy.pop(number).close("the stream was closed")
            self.server.journal("legacy_gone", session=number)
        events = http1.Events(connection, (), gone)
        self.legacy[number] = Legacy(self.server, events)
        events.event(f"/message?sessionId={number}".encode(), event="endpoint")

    def post_legacy(self, connection, request):
        session = self.legacy.get(request.query.partition("=")[2])
        if not session:
            self.refuse(connection, 404, "no such session")
            return
        connection.respond(202, (), b"Accepted")
        session.on_message(json.loads(request.body), session)


# ---- misbehaviour over HTTP: tools by name ---------------------------------------------------------------


def fault_status(web, connection, session, message):
    """Responds with another status, type and body than expected."""
    given = message["params"].get("arguments") or {}
    headers = [("Content-Type", given.get("type", "text/plain")), *given.get("headers", {}).items()]
    connection.respond(int(given.get("status", 500)), headers, given.get("body", "broken").encode())


def fault_cut(web, connection, session, message):
    """Closes the connection before, in or after the head, or in the middle of an event."""
    where = (message["params"].get("arguments") or {}).get("where", "before")
    if where == "head":
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    elif where == "body":
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 100\r\n\r\n{\"json")
    elif where == "event":
        http1.Events(connection).raw(b"data: {\"jsonrpc\":\"2.0\"")
    connection.close_when_sent()


def fault_lost(web, connection, session, message):
    """Forgets the session."""
    web.sessions.pop(session.number, None)
    web.refuse(connection, 404, "no such session")


def fault_silent(web, connection, session, message):
    """Never sends a head."""


def fault_polling(web, connection, session, message):
    """Cuts the stream after its first event; the response waits for a client that resumes the stream."""
    channel = Posted(session, connection, [], False)
    channel.open()
    channel.events.cut()
    channel.events = None

    def answer():
        session.emit(channel, encode({"jsonrpc": "2.0", "id": message["id"], "result": text("resumed")}))
        session.finished.add(channel.stream)
        if channel.events:
            channel.events.end()
    session.server.loop.after(0.1, answer)


FAULTS = {"http_status": fault_status, "http_cut": fault_cut, "http_lost": fault_lost,
          "http_silent": fault_silent, "http_polling": fault_polling}


def decoded(value):
    if value and value.startswith("=?base64?") and value.endswith("?="):
        return base64.b64decode(value[9:-2]).decode()
    return value


def serve(server):
    web = Web(server)
    if server.options.no_sessions:
        web.sessions["only"] = WebSession(server, "only")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listener = http1.listen(server, server.options.http, web.handle)
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.journal("started", ppid=os.getppid())
    server.loop.run()
