# SPDX-License-Identifier: Apache-2.0
"""Misbehaviour towards the client: tools, and faults at the start."""
import ctypes
import json
import os
import signal
import sys
import time

from core import Never, Sleep, encode, text

CHUNK = b"x" * 65536


def install(server):
    server.tools.update(TOOLS)


def raw(call, data):
    """Sends raw bytes that are no message on the message stream."""
    call.channel.raw(data)


def die(call):
    """Ends the process in the middle of the call: with a status, or by a signal."""
    if call.argument("partial"):
        raw(call, encode(call.answer(text("never whole")))[:-5])
    if call.argument("signal"):
        os.kill(os.getpid(), int(call.argument("signal")))
    os._exit(int(call.argument("status", 3)))


def never(call):
    yield Never()


def not_json(call):
    """Sends a line that is no message, then the response, which a strict client may no longer accept."""
    raw(call, call.argument("line", "Listening on port 3000...").encode() + b"\n")
    return text("after it")


def long_line(call):
    """Sends a line of so many bytes that is a valid message."""
    raw(call, b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"')
    for _ in range(int(call.argument("bytes", 8 << 20)) // len(CHUNK)):
        raw(call, CHUNK)
    raw(call, b'"}}\n')
    return text("after it")


def large(call):
    """Sends a response of so many bytes; its id is at the beginning or at the end."""
    answer = call.answer(text("x" * int(call.argument("bytes", 8 << 20))))
    if call.argument("id_last"):
        answer["id"] = answer.pop("id")
    call.end()
    call.channel.send(answer)
    call.channel.done(call)
    yield Never()


def peek(call):
    """Tries to read its parent's data: returns a JSON object of errors, or of the data."""
    parent = os.getppid()

    def tried(function):
        try:
            return repr(function())[:80]
        except OSError as error:
            return repr(error)

    def steal():
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(438, os.pidfd_open(parent), 0, 0)  # pidfd_getfd
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return fd

    return text(json.dumps({
        "memory": tried(lambda: open(f"/proc/{parent}/mem", "rb").fileno()),
        "environment": tried(lambda: open(f"/proc/{parent}/environ", "rb").read(10)),
        "descriptors": tried(lambda: os.listdir(f"/proc/{parent}/fd")), "descriptor": tried(steal)}))


def endless(call):
    """Writes a line without end, as fast as it is read."""
    raw(call, b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"')
    while True:
        raw(call, CHUNK)


def binary(call):
    raw(call, bytes(range(256)) * 16 + b"\n")
    return text("after it")


def deep(call):
    depth = int(call.argument("depth", 100000))
    raw(call, b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":' + b"[" * depth +
        b"]" * depth + b"}}\n")
    return text("after it")


def bad_message(call):
    """Sends a line of JSON that is not a valid message; `which` selects the fault."""
    lines = {
        "number": b"17\n", "string": b'"hello"\n', "null": b"null\n", "empty": b"\n\n\n", "object": b"{}\n",
        "batch": b'[{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}]\n',
        "version": b'{"jsonrpc":"1.0","method":"notifications/message","params":{}}\n',
        "utf8": b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\xff\xed\xa0\x80"}}\n',
        "nul": b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\x00"}}\n',
        "double": b'{"jsonrpc":"2.0","id":1,"id":2,"result":{}}\n',
        "both": b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}\n',
        "idtype": b'{"jsonrpc":"2.0","id":{"a":1},"result":{}}\n',
        "crlf": encode({"jsonrpc": "2.0", "method": "notifications/message",
                        "params": {"level": "info", "data": "crlf"}}) + b"\r\n",
        "params": b'{"jsonrpc":"2.0","method":"notifications/progress","params":[1,2]}\n',
        "method": b'{"jsonrpc":"2.0","method":7}\n',
    }
    raw(call, lines[call.argument("which", "number")])
    return text("after it")


def close_stdout(call):
    """Closes its output, but keeps running and reading."""
    os.close(1)
    yield Never()


def stop_reading(call):
    """Stops reading: from now on stdin fills up."""
    call.session.server.loop.watch(0)
    return text("not reading any more")


def twice(call):
    for _ in range(int(call.argument("times", 1))):
        call.channel.send(call.answer(text("twice")))
    return text("twice")


def unknown_ids(call):
    """Sends responses, a cancellation and progress without a request."""
    for number in (0, -1, 4711, 1 << 40, 1e300, 0.5, "x", "", None, "1" * 5000, call.id):
        message = {"jsonrpc": "2.0", "id": number, "result": {}}
        if number != call.id:
            call.channel.send(message)
    call.notify("notifications/cancelled", requestId=99999, reason="none of yours")
    call.notify("notifications/progress", progressToken="no token of yours", progress=1)
    return text("after it")


def flood(call):
    """Sends count notifications as fast as they are read; half of them general."""
    line = {"level": "info", "data": "f" * int(call.argument("bytes", 100))}
    for _ in range(int(call.argument("count", 10000))):
        call.session.notify("notifications/message", **line)
    return text("flooded")


def wait_for_file(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def busy(call):
    """Reads nothing until a file exists."""
    wait_for_file(call.argument("until"))
    return text("done")


def flood_progress(call):
    """Sends count progress notifications of the call in one write, once a file exists."""
    wait_for_file(call.argument("until"))
    line = encode({"jsonrpc": "2.0", "method": "notifications/progress",
                   "params": {"progressToken": call.meta["progressToken"], "progress": 1}}) + b"\n"
    raw(call, line * int(call.argument("count", 10000)))
    return text("flooded")


def flood_requests(call):
    """Sends requests to the client without waiting for responses."""
    for number in range(int(call.argument("count", 1000))):
        call.channel.send({"jsonrpc": "2.0", "id": f"flood-{number}", "method": "ping"})
    return text("flooded")


def flood_stderr(call):
    """Writes so many bytes to stderr, in lines or as one line."""
    total = int(call.argument("bytes", 1 << 20))
    line = b"e" * 99 + (b"\n" if call.argument("lines", True) else b"e")
    for _ in range(total // len(line)):
        os.write(2, line)
    os.write(2, b"\n\x1b[31mred\x00\x07\xff and a line that says last\n")
    return text("flooded")


def slow_line(call):
    """Sends the response in two parts, seconds apart."""
    line = encode(call.answer(text("slowly"))) + b"\n"
    raw(call, line[:len(line) // 2])
    yield Sleep(float(call.argument("seconds", 1)))
    raw(call, line[len(line) // 2:])
    yield Never()


def bytewise(call):
    for byte in encode(call.answer(text("a byte at a time, é ✓"))) + b"\n":
        raw(call, bytes([byte]))
    yield Never()


def reorder(call):
    """Sends the responses of two calls in one write, the later one first."""
    waiting = call.session.__dict__.setdefault("waiting", [])
    waiting.append(call)
    if len(waiting) == int(call.argument("calls", 2)):
        raw(call, b"".join(encode(one.answer(text(str(one.argument("n"))))) + b"\n"
                           for one in reversed(waiting)))
        waiting.clear()
    yield Never()


TOOLS = {
    "die": die, "never": never, "not_json": not_json, "long_line": long_line, "large": large, "peek": peek,
    "endless": endless,
    "binary": binary, "deep": deep, "bad_message": bad_message, "close_stdout": close_stdout,
    "stop_reading": stop_reading, "twice": twice, "unknown_ids": unknown_ids, "flood": flood,
    "flood_progress": flood_progress, "flood_requests": flood_requests, "flood_stderr": flood_stderr,
    "slow_line": slow_line,
    "bytewise": bytewise, "reorder": reorder, "busy": busy,
}


# ---- at the start ----------------------------------------------------------------------------------------


def at_start(server):
    """--start HOW: a fault before the first message is read."""
    how, _, amount = server.options.start.partition(":")
    if how == "die":
        os.write(2, b"cannot start: this is why\n")
        os._exit(int(amount or 1))
    if how == "slow":
        time.sleep(float(amount))
    if how == "hang":
        signal.pause()
    if how == "garbage":
        os.write(1, b"Welcome to my server!\n")
    if how == "close":
        os.close(1)
    if how == "die_second" and not claim_first(server):
        os._exit(1)
    if how == "wrong":
        server.methods["initialize"] = lambda call: {"protocolVersion": 7, "capabilities": []}


def claim_first(server):
    """True for the first process only: the journal has no earlier line."""
    return os.path.getsize(server.options.journal) == 0 if os.path.exists(server.options.journal) else True


def deaf(server):
    """--deaf: ignores SIGTERM and the end of stdin."""
    def on_term(*_):
        server.journal("sigterm")
    signal.signal(signal.SIGTERM, on_term)


def say(words):
    print(words, file=sys.stderr, flush=True)
