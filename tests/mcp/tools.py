# SPDX-License-Identifier: Apache-2.0
"""The tools of a correct server."""
import json
import os
import signal
import sys

from core import Ask, RpcError, Sleep, text

STATUS = ("SigBlk", "SigIgn", "SigCgt", "CapEff", "CapPrm", "CapAmb", "NoNewPrivs")
QUESTIONS = {
    "sampling": ("sampling/createMessage", lambda words: {
        "messages": [{"role": "user", "content": {"type": "text", "text": words}}], "maxTokens": 10}),
    "elicitation": ("elicitation/create", lambda words: {
        "message": words, "requestedSchema": {"type": "object", "properties": {"word": {"type": "string"}}}}),
    "roots": ("roots/list", lambda words: {}),
}


def install(server):
    server.tools.update(TOOLS)


def echo(call):
    """Returns its arguments unchanged."""
    return text(json.dumps(call.arguments, ensure_ascii=False))


def who(call):
    return text(f"{call.session.server.name} {os.getpid()}")


def sleep(call):
    yield Sleep(float(call.argument("seconds", 1)))
    return text("slept")


def progress(call):
    """Sends steps progress notifications, interval seconds apart."""
    steps, token = int(call.argument("steps", 3)), call.meta.get("progressToken")
    for step in range(steps):
        if token is not None:
            call.notify("notifications/progress", progressToken=token, progress=step + 1, total=steps)
        yield Sleep(float(call.argument("interval", 0.01)))
    return text(f"{steps} steps")


def later(call, function):
    """Sends a message after its response: with one call in progress, it seems to belong to that call."""
    call.session.server.loop.after(0, function)


def log(call):
    """Sends count log messages to the client, on the stream of the call, or on the general one."""
    for number in range(int(call.argument("count", 1))):
        message = {"level": call.argument("level", "info"), "logger": call.session.server.name,
                   "data": call.argument("data", f"line {number}")}
        if call.argument("general"):
            later(call, lambda message=message: call.session.notify("notifications/message", **message))
        else:
            call.notify("notifications/message", **message)
    return text("logged")


def big(call):
    return text("x" * int(call.argument("bytes", 1000)))


def error(call):
    return text("that went wrong", isError=True)


def protocol_error(call):
    raise RpcError(int(call.argument("code", -32000)), "an error of the protocol",
                   {"of": call.session.server.name})


def asking(kind):
    method, params_of = QUESTIONS[kind]

    def ask(call):
        words = call.argument("text", "what?")
        if call.modern:
            answers = call.params.get("inputResponses")
            if not answers or "q" not in answers:
                return {"resultType": "input_required", "requestState": "state of " + words,
                        "inputRequests": {"q": {"method": method, "params": params_of(words)}}}
            return text(json.dumps({"answer": answers["q"], "state": call.params.get("requestState")}))
        return ask_and_wait(call, method, params_of(words))
    return ask


def ask_and_wait(call, method, params):
    answer = yield Ask(method, params, bool(call.argument("general")))
    return text(json.dumps({"answer": answer, "text": call.argument("text")}))


def ask_ping(call):
    answer = yield Ask("ping", None, bool(call.argument("general")))
    return text(json.dumps(answer))


def touch(call):
    """Reports a changed resource."""
    later(call, lambda: call.session.changed("resources", call.argument("uri")))
    return text("touched")


def change(call):
    """Reports a changed list: tools, prompts or resources."""
    later(call, lambda: call.session.changed(call.argument("kind", "tools")))
    return text("changed")


def received(call):
    """Returns what the client has sent: version, capabilities, log level, subscriptions."""
    session = call.session
    return text(json.dumps({"version": session.version, "capabilities": session.capabilities,
                            "level": session.level, "subscribed": sorted(map(str, session.subscribed))}))


def environment(call):
    """Returns what this process inherited: descriptors, signals, environment …"""
    descriptors = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            descriptors[number] = os.readlink("/proc/self/fd/" + number)
        except OSError:
            pass
    status = {}
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            status[key] = value.strip()
    return text(json.dumps({
        "env": dict(os.environ), "fds": descriptors, "uid": os.getresuid(), "gid": os.getresgid(),
        "groups": os.getgroups(), "pid": os.getpid(), "pgid": os.getpgid(0), "sid": os.getsid(0),
        "ppid": os.getppid(), "cwd": os.getcwd(), "argv": sys.argv,
        "status": {key: status.get(key) for key in STATUS},
    }))


def fork(call):
    """Starts a grandchild with all descriptors that outlives this process unless it is killed."""
    pid = os.fork()
    if pid == 0:
        if call.argument("deaf", True):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pause()
        os._exit(0)
    call.session.server.journal("forked", grandchild=pid)
    return text(str(pid))


TOOLS = {
    "echo": echo, "who": who, "sleep": sleep, "progress": progress, "log": log, "big": big, "error": error,
    "protocol_error": protocol_error, "ask_sampling": asking("sampling"),
    "ask_elicitation": asking("elicitation"), "ask_roots": asking("roots"), "ask_ping": ask_ping,
    "touch": touch, "change": change, "received": received, "environment": environment, "fork": fork,
}
