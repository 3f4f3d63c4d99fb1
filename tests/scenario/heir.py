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

MAGIC, VERSION, ROW_BYTES, TEXT_BYTES = 0x68673031, 2, 256, 2048
MOST_BYTES = 1 << 16


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
        channel.send(struct.pack("=IIII", MAGIC, VERSION + (manner == "other"), ROW_BYTES, TEXT_BYTES))
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
