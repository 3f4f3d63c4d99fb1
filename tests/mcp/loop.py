# SPDX-License-Identifier: Apache-2.0
"""A loop for one thread with descriptors and timers: small, because the test server must start quickly."""
import heapq
import itertools
import select
import time


class Timer:
    """A call at a later time, unless it is cancelled."""

    def __init__(self, call):
        self.call = call

    def cancel(self):
        self.call = None


class Loop:
    def __init__(self):
        self._poll = select.poll()
        self._watched = {}
        self._timers = []
        self._order = itertools.count()
        self.stopped = False

    def watch(self, fd, on_read=None, on_write=None):
        """Calls on_read() and on_write() when the descriptor is ready; without both it is removed."""
        mask = (select.POLLIN if on_read else 0) | (select.POLLOUT if on_write else 0)
        if mask:
            self._watched[fd] = on_read, on_write
            self._poll.register(fd, mask)
        elif self._watched.pop(fd, None):
            self._poll.unregister(fd)

    def after(self, seconds, call):
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def stop(self):
        self.stopped = True

    def _pause_ms(self):
        if not self._timers:
            return None
        return max(0, int((self._timers[0][0] - time.monotonic()) * 1000) + 1)

    def run(self):
        while not self.stopped:
            for fd, _ in self._poll.poll(self._pause_ms()):
                for call in self._watched.get(fd, ()):
                    if call and fd in self._watched:
                        call()
            while self._timers and self._timers[0][0] <= time.monotonic():
                call = heapq.heappop(self._timers)[2].call
                if call:
                    call()
