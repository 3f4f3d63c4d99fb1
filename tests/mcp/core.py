# SPDX-License-Identifier: Apache-2.0
"""The core of an MCP server, for any transport: sessions, calls that take time, requests to clients."""
import json
import os
import time

LEGACY = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
PARSE, INVALID, NO_METHOD, PARAMS = -32700, -32600, -32601, -32602
HTTP_ERROR_VERSION, NO_CAPABILITY = -32022, -32021


class RpcError(Exception):
    """Sent as a JSON-RPC error."""

    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.body = {"code": code, "message": message}
        if data is not None:
            self.body["data"] = data


class Sleep:
    """Yielded by a tool: continue after so many seconds."""

    def __init__(self, seconds):
        self.seconds = seconds


class Ask:
    """Yielded by a tool: sends a request to the client; yield returns the response."""

    def __init__(self, method, params=None, general=False):
        self.method, self.params, self.general = method, params, general


class Never:
    """Yielded by a tool: never send a response."""


def text(content, **more):
    """The result of a tool."""
    return {"content": [{"type": "text", "text": content}], **more}


def encode(message):
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


class Call:
    """A request in progress. channel.send(message) sends to the stream of its response."""

    def __init__(self, session, message, channel):
        self.session, self.channel = session, channel
        self.id, self.method = message["id"], message["method"]
        self.params = message.get("params") or {}
        self.meta = self.params.get("_meta") or {}
        self.modern = self.meta.get(META + "protocolVersion")
        self.arguments = self.params.get("arguments") or {}
        self.generator = self.timer = None
        self.ended = False

    def notify(self, method, **params):
        self.channel.send({"jsonrpc": "2.0", "method": method, "params": params})

    def argument(self, name, default=None):
        return self.arguments.get(name, default)

    def go_on(self, value=None, error=None):
        """Runs the tool until its next pause."""
        if self.ended:
            return
        try:
            step = self.generator.throw(error) if error else self.generator.send(value)
        except StopIteration as end:
            self.finish(result=end.value)
        except RpcError as fault:
            self.finish(error=fault.body)
        else:
            self.pause(step)

    def pause(self, step):
        if isinstance(step, Sleep):
            self.timer = self.session.server.loop.after(step.seconds, self.go_on)
        elif isinstance(step, Ask):
            self.session.ask(self, step)

    def finish(self, result=None, error=None):
        if self.ended:
            return
        self.end()
        self.channel.send(self.answer(result, error))
        self.channel.done(self)

    def answer(self, result=None, error=None):
        if error:
            return {"jsonrpc": "2.0", "id": self.id, "error": error}
        if self.modern:
            result.setdefault("resultType", "complete")
            result.setdefault("_meta", {})[META + "serverInfo"] = self.session.server.info
        return {"jsonrpc": "2.0", "id": self.id, "result": result}

    def end(self):
        self.ended = True
        self.session.calls.pop(self.id, None)
        if self.timer:
            self.timer.cancel()

    def cancel(self, why):
        """The client no longer wants the response: it is not sent."""
        self.session.server.journal("cancelled", id=self.id, method=self.method, tool=self.params.get("name"),
                                    reason=why)
        self.end()
        if self.generator:
            self.generator.close()
        self.channel.done(self)


class Session:
    """One client. general is the channel for messages that belong to no request; None while there is none."""

    def __init__(self, server, general=None):
        self.server, self.general = server, general
        self.version = None
        self.capabilities = {}
        self.calls, self.asked, self.subscribed, self.listening = {}, {}, set(), {}
        self.level = "debug"
        self._next_id = 0

    # ---- from the client -----------------------------------------------------------------------------

    def on_message(self, message, channel):
        """Handles a request, a notification or a response; our responses go through the channel."""
        self.server.journal("message", message=message)
        if not isinstance(message, dict):
            channel.send({"jsonrpc": "2.0", "id": None, "error": {"code": INVALID, "message": "no object"}})
        elif "method" not in message:
            self.on_answer(message)
        elif "id" not in message:
            self.on_notification(message["method"], message.get("params") or {})
        else:
            self.on_request(Call(self, message, channel))

    def on_request(self, call):
        self.calls[call.id] = call
        handler = self.server.methods.get(call.method)
        try:
            if call.modern and call.modern != MODERN:
                raise RpcError(HTTP_ERROR_VERSION, "Unsupported protocol version",
                               {"supported": self.server.versions, "requested": call.modern})
            if not handler or (call.modern and MODERN not in self.server.versions):
                raise RpcError(NO_METHOD, f"Method not found: {call.method}")
            outcome = handler(call)
        except RpcError as fault:
            call.finish(error=fault.body)
            return
        if hasattr(outcome, "send"):
            call.generator = outcome
            call.go_on()
        elif outcome is not None:
            call.finish(result=outcome)

    def on_notification(self, method, params):
        if method == "notifications/cancelled":
            call = self.calls.get(params.get("requestId"))
            if call:
                call.cancel(params.get("reason"))

    def on_answer(self, message):
        call = self.asked.pop(message.get("id"), None)
        if call is None:
            self.server.journal("stray_answer", message=message)
        elif "error" in message:
            call.go_on({"refused": message["error"]})
        else:
            call.go_on(message.get("result"))

    # ---- to the client -------------------------------------------------------------------------------

    def ask(self, call, question):
        self._next_id += 1
        self.asked[self._next_id] = call
        message = {"jsonrpc": "2.0", "id": self._next_id, "method": question.method}
        if question.params is not None:
            message["params"] = question.params
        self.tell(message, None if question.general else call)

    def tell(self, message, call=None):
        """Sends a message of ours on the stream of a call, else on the general one."""
        channel = call.channel if call else self.general
        if channel:
            channel.send(message)

    def notify(self, method, **params):
        self.tell({"jsonrpc": "2.0", "method": method, "params": params})

    def changed(self, kind, uri=None):
        """Reports a changed list or resource to every subscriber, as its protocol version requires."""
        if uri is None:
            method, wish = f"notifications/{kind}/list_changed", kind + "ListChanged"
        else:
            method, wish = "notifications/resources/updated", "resourceSubscriptions"
        params = {} if uri is None else {"uri": uri}
        if self.version and (uri is None or uri in self.subscribed):
            self.notify(method, **params)
        for call in list(self.listening.values()):
            wanted = call.params.get("notifications", {}).get(wish)
            if wanted and (uri is None or uri in wanted):
                call.notify(method, _meta={META + "subscriptionId": call.id}, **params)

    def close(self, why):
        for call in list(self.calls.values()):
            call.cancel(why)


class Server:
    """Shared by all sessions. options: see server.py."""

    def __init__(self, options, loop):
        self.options, self.loop = options, loop
        self.name = options.name
        self.info = {"name": options.name, "version": "1.0"}
        self.versions = options.versions.split(",") if options.versions else [MODERN, *LEGACY]
        self.methods, self.tools = {}, {}
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._journal = os.open(options.journal, flags, 0o666) if options.journal else -1

    def journal(self, event, **more):
        """Writes a line for the test: a message that this process received, or an event."""
        if self._journal >= 0:
            line = {"event": event, "server": self.name, "pid": os.getpid(), "at": time.time(), **more}
            os.write(self._journal, encode(line) + b"\n")
