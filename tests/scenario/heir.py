# SPDX-License-Identifier: Apache-2.0
"""A program that is to take over from a gateway, and does it in a manner of its own: heir.py MANNER [COUNT].

silent: says that it serves, as one of a version that takes over no streams; other: one of another version of
them; refuse: takes none of them; die: takes COUNT, answers nothing and is gone."""
import os
import signal
import socket
import struct
import sys
import time

MAGIC, VERSION, ROW_BYTES, TEXT_BYTES = 0x68673031, 3, 248, 2048
MOST_BYTES = 1 << 16
ROWS = os.path.join(os.path.dirname(__file__), "../../user/restart/stream_fields.def")


def arguments_of(row):
    """Of a row of stream_fields.def: "STREAM_FIELD(a, f(b, c))" is a and f(b, c)."""
    found, depth = [""], 0
    for character in row[row.index("(") + 1:row.rindex(")")]:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [argument.strip() for argument in found]


def layout():
    """As estate_layout() has it: FNV-1a of the rows."""
    value = 0xcbf29ce484222325
    with open(ROWS, encoding="utf-8") as file:
        rows = [line for line in file if line.startswith(("STREAM_FIELD(", "BODY_FIELD("))]
    for byte in "".join(" ".join(arguments_of(row)) + "\n" for row in rows).encode():
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return value


def take(channel):
    """The number of an item; its descriptors are closed at once. None: there is nothing more."""
    data, fds, _, _ = socket.recv_fds(channel, MOST_BYTES, 2)
    for fd in fds:
        os.close(fd)
    return struct.unpack_from("=Q", data)[0] if data else None


def main(manner, count=0):
    keeper = int(os.environ["HEADGATE_TAKE_OVER"].split()[1])
    channel = socket.socket(fileno=int(os.environ["HEADGATE_TAKE_OVER_STREAMS"].split()[1]))
    if manner != "silent":
        other = manner == "other"
        channel.send(struct.pack("=IIIIQ", MAGIC, VERSION, ROW_BYTES, TEXT_BYTES, layout() + other))
    os.kill(keeper, signal.SIGUSR1)
    if manner == "refuse":
        while (number := take(channel)) is not None:
            channel.send(struct.pack("=QQ", number, 0))
    elif manner == "die":
        kept = [socket.recv_fds(channel, MOST_BYTES, 2) for _ in range(int(count))]
        os._exit(len(kept) == 0)
    while os.getppid() == keeper:
        time.sleep(0.01)


main(*sys.argv[1:])
