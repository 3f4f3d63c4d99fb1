# SPDX-License-Identifier: Apache-2.0
"""A program in a pseudo-terminal, whose screen a test reads."""
import fcntl
import os
import select
import signal
import struct
import termios

from hg.framework import Failure, need, wait_until
from hg.process import Process


class Terminal(Process):
    """Runs argv in a terminal of this size. TERM is one whose sequences pyte understands."""

    def __init__(self, argv, columns=80, lines=24, env=None):
        need("module:pyte")
        import pyte  # pylint: disable=import-outside-toplevel
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._pty, tty = os.openpty()
        self._set_size(columns, lines)
        super().__init__(argv, env={"TERM": "linux", **(env or {})}, tty=tty)
        os.close(tty)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self._pty, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)
        self.signal(signal.SIGWINCH)

    def type(self, keys):
        os.write(self._pty, keys.encode())

    def lines(self):
        """The lines of the screen now, without blanks at their ends."""
        while select.select([self._pty], [], [], 0)[0]:
            try:
                output = os.read(self._pty, 65536)
            except OSError:  # EIO: the program has ended
                break
            self._stream.feed(output)
        return [line.rstrip() for line in self._screen.display]

    def see(self, predicate, timeout=5):
        """Waits until predicate(lines), or until a line has this text, and returns the lines."""
        def look():
            lines = self.lines()
            if predicate(lines) if callable(predicate) else any(predicate in line for line in lines):
                return lines
            return None
        try:
            return wait_until(look, timeout, repr(predicate))
        except Failure as error:
            raise Failure(f"{error}; the screen:\n" + "\n".join(self.lines())) from None

    def expect_exit(self, status=0):
        def ended():
            self.lines()
            return not self.is_running()
        wait_until(ended, 10, f"the end of {self.name}")
        if self.exit_status() != status:
            raise Failure(f"{self.name} ended with {self.exit_status()}:\n" + "\n".join(self.lines()))

    def cleanup(self):
        super().cleanup()
        os.close(self._pty)
