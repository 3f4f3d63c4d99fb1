# SPDX-License-Identifier: Apache-2.0
"""A program that is to take over from a gateway, and does it in a manner of its own: new_process.py MANNER
[COUNT [SECONDS]].

silent: says that it serves, as one of a version that takes over no connections; die: takes COUNT of them and
is gone after so many seconds."""
import os
import signal
import socket
import sys
import time

MOST_BYTES = 1 << 16


def main(manner, count=0, seconds=0):
    keeper = int(os.environ["HEADGATE_TAKE_OVER"].split()[1])
    channel = socket.socket(fileno=int(os.environ["HEADGATE_TAKE_OVER_STREAMS"].split()[1]))
    if manner == "die":
        channel.send(b"\0")
    os.kill(keeper, signal.SIGUSR1)
    if manner == "die":
        kept = [socket.recv_fds(channel, MOST_BYTES, 2) for _ in range(int(count))]
        time.sleep(float(seconds))
        os._exit(len(kept) == 0)
    while os.getppid() == keeper:
        time.sleep(0.01)


main(*sys.argv[1:])
