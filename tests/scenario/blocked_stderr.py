# SPDX-License-Identifier: Apache-2.0
"""Runs a program whose standard error is a full pipe: blocked_stderr.py FIFO PROGRAM [ARGUMENT...]."""
import os
import sys


def main(path, *argv):
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(fd, b"." * 4095 + b"\n")
    except BlockingIOError:
        pass
    os.set_blocking(fd, True)
    os.dup2(fd, 2)
    os.close(fd)
    os.execv(argv[0], argv)


main(*sys.argv[1:])
