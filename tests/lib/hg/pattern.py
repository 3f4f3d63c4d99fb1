# SPDX-License-Identifier: Apache-2.0
"""The deterministic bytes of the backend: byte o is (r³ mod 65521) >> 8 with r = (o + 1000) mod 65521."""
import zlib

from hg.framework import Failure

PERIOD = 65521

_one = bytes(((r + 1000) % PERIOD) ** 3 % PERIOD >> 8 for r in range(PERIOD))
_block = _one * 32
_view = memoryview(_block)


def pattern(size, offset=0):
    """Returns size bytes of the pattern, starting at offset."""
    start = offset % PERIOD
    if start + size <= len(_block):
        return _block[start:start + size]
    return (_one * (2 + size // PERIOD))[start:start + size]


class PatternCheck:
    """Verifies a stream incrementally. received: bytes so far, crc: zlib.crc32 of them."""

    def __init__(self, offset=0):
        self.offset = offset
        self.received = 0
        self.crc = 0

    def feed(self, data):
        view = memoryview(data)
        position = 0
        while position < len(view):
            start = (self.offset + position) % PERIOD
            count = min(len(view) - position, len(_block) - start)
            if view[position:position + count] != _view[start:start + count]:
                self._complain(view[position:position + count], start, position)
            position += count
        self.crc = zlib.crc32(data, self.crc)
        self.offset += len(view)
        self.received += len(view)

    def _complain(self, got, start, position):
        wrong = next(i for i in range(len(got)) if got[i] != _block[start + i])
        place = self.received + position + wrong
        hint = _one.find(bytes(got[wrong:wrong + 16]))
        moved = f"; those bytes belong to offset {hint} modulo {PERIOD}"
        if hint < 0 or len(got) - wrong < 16:
            moved = ""
        raise Failure(f"byte {place} is {got[wrong]}, want {_block[start + wrong]}{moved}")


def verify(data, size=None, offset=0):
    """Asserts that data, bytes or a list of them, is the pattern from offset on, and size bytes long; returns
    its crc32."""
    checker = PatternCheck(offset)
    for piece in [data] if isinstance(data, (bytes, bytearray, memoryview)) else data:
        checker.feed(piece)
    if size is not None and checker.received != size:
        raise Failure(f"{checker.received} bytes of pattern, want {size}")
    return checker.crc


def crc32(size, offset=0):
    """zlib.crc32 of size bytes of the pattern, without storing them."""
    value, done = 0, 0
    while done < size:
        piece = pattern(min(size - done, PERIOD * 16), offset + done)
        value = zlib.crc32(piece, value)
        done += len(piece)
    return value
