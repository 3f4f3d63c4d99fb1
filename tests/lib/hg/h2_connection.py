# SPDX-License-Identifier: Apache-2.0
"""One end of an HTTP/2 connection, controlled frame by frame by the test.

The test may send anything, also frames that RFC 9113 forbids. Received frames are checked strictly against
the rules for their sender (lengths, windows, stream states, field names, Content-Length against DATA); a
violation is a Failure here.
"""
import collections
import select
import ssl
import struct
import time

from hg import h2_frames as f
from hg import machine
from hg.framework import Failure, check, eq, factor, need, shorten
from hg.h2_fields import judge_fields, judge_request, judge_response

try:
    import hpack
except ImportError:  # need() reports it in the test
    hpack = None

HISTORY = 25  # frames shown in a Failure


# From a socket, and from TLS over a socket.
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Silence(Failure):
    """Nothing arrived in time."""


class Stream:
    """A stream as this end knows it. message: the final response, or the request; None before."""

    def __init__(self, number, method, receive_window, send_window):
        self.number = number
        self.method = method
        self.receive_window = receive_window  # bytes that the peer may still send
        self.send_window = send_window
        self.interim = []
        self.message = None
        self.body = bytearray()
        self.received = 0
        self.sink = None  # called with parts of the body, which is then not stored
        self.ended = False
        self.rst = None  # code
        self.is_ours_closed = False  # we have reset it: frames in flight are not checked


class Connection:
    """.raw is the connection below. It answers SETTINGS and PING and sends WINDOW_UPDATE by itself; the
    attributes turn this off:

    acks      acknowledges SETTINGS        answers   answers PING
    windows   sends WINDOW_UPDATE for received bytes at once

    values    our SETTINGS, {identifier: value}

    sends_raw is for tests that open streams by send_some(): responses on unknown streams are decoded, but not
    checked.
    """

    def __init__(self, raw, is_client, values=None, acks=True, answers=True, windows=True):
        need("module:hpack")
        self.raw, self.is_client = raw, is_client
        self.acks, self.answers, self.windows = acks, answers, windows
        self.ours = dict(values or {})
        self.theirs = {}
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder(max_header_list_size=1 << 24)
        self.streams = {}
        self.next_stream = 1 if is_client else 2
        self.receive_window = self.send_window = f.DEFAULT_WINDOW
        self.history = collections.deque(maxlen=HISTORY)
        self.frames_seen = 0
        self.pings, self.ping_acks = [], []  # times of the peer's PINGs, payloads of its acks
        self.arrived = collections.deque()  # streams of requests not yet taken by the test
        self.owed = {}  # {stream, or 0: bytes without WINDOW_UPDATE so far}
        self.settings_seen = self.settings_acked = 0
        self.sends_raw = False
        self.goaways, self.end = [], None  # end: "fin" or "rst"
        self.highest_seen = 0
        self._block = None
        self._buffer = bytearray()

    # ---- sending -------------------------------------------------------------------------------------

    def send(self, *pieces):
        """Reads while sending (for later processing), so that two busy ends never wait for each other."""
        sent = self.send_some(b"".join(pieces))
        check(sent is None, lambda: f"the peer ended the connection ({self.end}) after {sent} bytes; "
              f"{self.shown()}")
        return self

    def send_some(self, payload, timeout=10.0):
        """Sends as much as the peer accepts: None if it was everything, otherwise the bytes until the peer
        closed."""
        view, taken = memoryview(payload), 0
        self.raw.socket.setblocking(False)
        deadline = time.monotonic() + timeout * factor()
        while taken < len(view):
            ours = [self.raw.socket]
            readable, writable, _ = select.select([] if self.end else ours, ours, [],
                                                  max(0, deadline - time.monotonic()))
            if not readable and not writable:
                raise Failure(f"the peer took {taken} of {len(view)} bytes in {timeout} s; {self.shown()}")
            if readable:
                self._receive()
            if writable:
                try:
                    taken += self.raw.socket.send(view[taken:taken + (1 << 18)])
                    deadline = time.monotonic() + timeout * factor()
                except WOULD_BLOCK:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    self._drain()
                    self.end = self.end or "rst"
                    return taken
        return None

    def encode(self, fields):
        """Encodes without Huffman coding, which costs more time in Python than it saves."""
        return self.encoder.encode(fields, huffman=sum(len(value) for _, value in fields) < 1000)

    def open_stream(self, method=None, number=None):
        """Opens a stream; returns its number."""
        number = number or self.next_stream
        self.next_stream = max(self.next_stream, number + 2)
        self.streams[number] = Stream(number, method, self.ours.get(f.INITIAL_WINDOW_SIZE, f.DEFAULT_WINDOW),
                                      self.theirs.get(f.INITIAL_WINDOW_SIZE, f.DEFAULT_WINDOW))
        return number

    def send_headers(self, number, fields, end=True):
        """Sends a header section in as many frames as it needs."""
        block, first = self.encode(fields), True
        most = self.theirs.get(f.MAX_FRAME_SIZE, f.DEFAULT_FRAME)
        out = []
        while first or block:
            piece, block = block[:most], block[most:]
            out.append(f.headers(number, piece, end, not block) if first else
                       f.continuation(number, piece, not block))
            first = False
        return self.send(*out)

    def send_data(self, number, payload=b"", end=False):
        """Sends within the windows and waits for them; stops if the peer has responded and resets with
        NO_ERROR."""
        stream, view = self.streams[number], memoryview(payload)
        while view:
            self.poll()
            if not self.window_of(number):
                self.wait(lambda: self.window_of(number) or stream.rst is not None,
                          what=f"a window for stream {number} ({stream.send_window}, {self.send_window})")
            if stream.ended and stream.rst == f.NO_ERROR:
                return self
            check(stream.rst is None, lambda: f"stream {number} was reset: {f.code_name(stream.rst)}")
            view = view[self.send_some_data(number, view, end):]
        if end and not len(payload):
            self.send(f.data(number, b"", True))
        return self

    def window_of(self, number):
        """Bytes that may be sent on a stream now."""
        return max(0, min(self.send_window, self.streams[number].send_window))

    def send_some_data(self, number, view, end=False, most=1 << 18):
        """Sends as much of a memoryview as the windows allow, without waiting; returns the number of bytes.
        """
        largest, out, sent = self.theirs.get(f.MAX_FRAME_SIZE, f.DEFAULT_FRAME), [], 0
        room = min(len(view), most, self.window_of(number))
        while sent < room:
            size = min(room - sent, largest)
            out.append(f.data(number, bytes(view[sent:sent + size]), end and sent + size == len(view)))
            sent += size
        self.send_window -= sent
        self.streams[number].send_window -= sent
        self.send(*out)
        return sent

    def reset(self, number, code=f.CANCEL):
        self.streams[number].is_ours_closed = True
        return self.send(f.rst_stream(number, code))

    # ---- receiving -----------------------------------------------------------------------------------

    def _receive(self):
        """Reads available bytes into the buffer; False at the end of the connection."""
        try:
            piece = self.raw.socket.recv(1 << 18)
        except WOULD_BLOCK:
            return True
        except ConnectionResetError:
            self.end = "rst"
            return False
        if not piece:
            self.end = "fin"
            return False
        self._buffer += piece
        return True

    def _drain(self):
        while not self.end and select.select([self.raw.socket], [], [], 0)[0]:
            self._receive()

    def _take_frame(self):
        """Takes the next complete frame from the buffer, or None."""
        buffer = self._buffer
        if len(buffer) < 9:
            return None
        size = buffer[0] << 16 | buffer[1] << 8 | buffer[2]
        most = max(self.ours.get(f.MAX_FRAME_SIZE, 0), f.DEFAULT_FRAME)
        if buffer[:5] == b"HTTP/":
            raise Failure(f"an HTTP/1 answer instead of a frame: {shorten(bytes(buffer[:200]))}")
        check(size <= most, f"a frame of {size} bytes, the largest allowed is {most}")
        if len(buffer) < 9 + size:
            return None
        taken = f.Frame(buffer[3], buffer[4], struct.unpack_from("!I", buffer, 5)[0] & f.LARGEST_WINDOW,
                        bytes(buffer[9:9 + size]))
        del buffer[:9 + size]
        return taken

    def next_frame(self, deadline=None):
        """Returns the next frame, after checking and answering it; None at the end of the connection.

        deadline: in time.monotonic(); a Failure when it expires.
        """
        while True:
            taken = self._take_frame()
            if taken:
                self._judge(taken)
                return taken
            if self.end:
                check(not self._buffer or self.end == "rst", f"the connection ended inside a frame: "
                      f"{shorten(bytes(self._buffer))}")
                return None
            left = None if deadline is None else deadline - time.monotonic()
            if not select.select([self.raw.socket], [], [], left if left is None else max(0, left))[0]:
                raise Silence(f"silence; {self.shown()}")
            self.raw.socket.setblocking(False)
            self._receive()

    def poll(self):
        """Processes the frames that have arrived, without waiting."""
        self._drain()
        taken = self._take_frame()
        while taken:
            self._judge(taken)
            taken = self._take_frame()
        return self

    def wait(self, predicate, timeout=None, what="it"):
        """Reads until predicate() is true; returns its value. Failure at the end of the connection or on
        timeout."""
        start, limit = time.monotonic(), timeout * factor() if timeout is not None else self.raw.timeout
        while True:
            value = predicate()
            if value:
                return value
            took = time.monotonic() - start
            if took > limit and took > limit + machine.withheld(took):
                raise Failure(f"waited {took:.1f} s in vain for {what}; {self.shown()}")
            try:
                taken = self.next_frame(max(start + limit, time.monotonic() + 0.1))
            except Silence:
                continue
            except Failure as error:
                raise Failure(f"waiting for {what}: {error}") from None
            if taken is None:
                value = predicate()
                check(value, f"the connection ended ({self.end}) before {what}; {self.shown()}")
                return value

    def shown(self):
        return "the last frames: " + (", ".join(map(repr, list(self.history)[-8:])) or "none")

    def close(self):
        self.raw.close()

    # ---- judging -------------------------------------------------------------------------------------

    def _judge(self, taken):
        self.history.append(taken)
        self.frames_seen += 1
        if self._block is not None:
            eq((taken.type, taken.stream), (f.CONTINUATION, self._block[0]), "frame inside a header block")
        elif taken.type == f.CONTINUATION:
            raise Failure("CONTINUATION without a header block")
        if not self.settings_seen:
            check(taken.type == f.SETTINGS and not taken.has(f.ACK), f"the first frame is {taken}")
        judge = (self._on_data, self._on_headers, None, self._on_rst, self._on_settings, None, self._on_ping,
                 self._on_goaway, self._on_window_update, self._on_continuation)
        check(taken.type < len(judge) and judge[taken.type], lambda: f"nobody asked for {taken}")
        judge[taken.type](taken)

    def _stream_of(self, taken):
        stream = self.streams.get(taken.stream)
        if stream is None and not self.is_client and taken.type == f.HEADERS:
            check(taken.stream % 2 == 1 and taken.stream > self.highest_seen, f"a new stream: {taken}")
            self.highest_seen = taken.stream
            self.open_stream(number=taken.stream)
            return self.streams[taken.stream]
        if stream is None and self.sends_raw:
            stream = self.streams[self.open_stream(number=taken.stream)]
            stream.is_ours_closed = True
        check(stream is not None, lambda: f"a frame on a stream that nobody opened: {taken}")
        return stream

    def _on_data(self, taken):
        stream, size = self._stream_of(taken), len(taken.payload)
        payload = strip_padding(taken)
        self.receive_window -= size
        check(self.receive_window >= 0, lambda: f"{taken} exceeds the window of the connection by "
              f"{-self.receive_window}")
        self._give_back(0, size, f.DEFAULT_WINDOW)
        if stream.is_ours_closed:
            return
        check(stream.message is not None and not stream.ended and stream.rst is None,
              lambda: f"DATA on stream {stream.number}, which has no head, has ended or was reset")
        stream.receive_window -= size
        check(stream.receive_window >= 0, lambda: f"{taken} exceeds the window of its stream by "
              f"{-stream.receive_window}")
        stream.received += len(payload)
        if stream.sink:
            stream.sink(payload)
        else:
            stream.body += payload
        if taken.has(f.END_STREAM):
            self._on_end(stream)
        else:
            self._give_back(stream.number, size, self.ours.get(f.INITIAL_WINDOW_SIZE, f.DEFAULT_WINDOW))

    def _give_back(self, number, size, window):
        """Sends WINDOW_UPDATE at half of the window, as usual clients do."""
        self.owed[number] = self.owed.get(number, 0) + size
        if self.windows and self.owed[number] * 2 >= window:
            self.grant(number, self.owed.pop(number))

    def grant(self, number, increment):
        """Enlarges the window of a stream, or of the connection (0)."""
        if number:
            self.streams[number].receive_window += increment
        else:
            self.receive_window += increment
        self.send_some(f.window_update(number, increment))

    def _on_headers(self, taken):
        stream, payload = self._stream_of(taken), strip_padding(taken)
        check(not taken.has(f.HAS_PRIORITY), f"priority fields, deprecated since RFC 9113: {taken}")
        self._block = (stream.number, taken.has(f.END_STREAM), bytearray(payload))
        self._continue_block(taken)

    def _on_continuation(self, taken):
        self._block[2].extend(taken.payload)
        self._continue_block(taken)

    def _continue_block(self, taken):
        if not taken.has(f.END_HEADERS):
            return
        number, end, block = self._block
        self._block = None
        try:
            fields = self.decoder.decode(bytes(block), raw=True)
        except hpack.HPACKError as error:
            raise Failure(f"header block of stream {number}: {error!r}") from None
        stream = self.streams[number]
        if stream.is_ours_closed:
            return
        check(not stream.ended and stream.rst is None, f"HEADERS on stream {number}, which has ended")
        self._on_section(stream, fields, end)

    def _on_section(self, stream, fields, end):
        pseudo, rest = judge_fields(fields)
        if stream.message is not None:
            check(not pseudo and end, f"trailers with {pseudo}, END_STREAM {end}")
            stream.message.trailers = rest
        elif self.is_client:
            message = judge_response(pseudo, rest)
            if message.status < 200:
                check(not end, "END_STREAM on an interim response")
                stream.interim.append(message)
                return
            message.interim = stream.interim
            stream.message = message
        else:
            stream.message = judge_request(pseudo, rest)
            stream.method = stream.message.method
            self.arrived.append(stream.number)
        if end:
            self._on_end(stream)

    def _on_end(self, stream):
        stream.ended = True
        message = stream.message
        message.body = bytes(stream.body)
        announced = message.headers["Content-Length"]
        bodiless = stream.method == "HEAD" or getattr(message, "status", 0) in (204, 304)
        if self.is_client and bodiless:
            eq(stream.received, 0, "bytes of body in a response that has none")
        elif announced is not None:
            eq(stream.received, int(announced), f"bytes on stream {stream.number}, by Content-Length")

    def _on_rst(self, taken):
        eq(len(taken.payload), 4, "bytes of RST_STREAM")
        stream = self._stream_of(taken)
        check(stream.rst is None or stream.is_ours_closed, f"a second {taken}")
        stream.rst = taken.code

    def _on_settings(self, taken):
        check(taken.stream == 0 and len(taken.payload) % 6 == 0, f"malformed {taken}")
        if taken.has(f.ACK):
            eq(len(taken.payload), 0, "bytes in the acknowledgement of SETTINGS")
            self.settings_acked += 1
            return
        self.settings_seen += 1
        for identifier, value in taken.settings:
            if identifier == f.INITIAL_WINDOW_SIZE:
                check(value <= f.LARGEST_WINDOW, f"INITIAL_WINDOW_SIZE {value}")
                for stream in self.streams.values():
                    stream.send_window += value - self.theirs.get(identifier, f.DEFAULT_WINDOW)
            if identifier == f.MAX_FRAME_SIZE:
                check(f.DEFAULT_FRAME <= value < 1 << 24, f"MAX_FRAME_SIZE {value}")
            if identifier == f.ENABLE_PUSH:
                check(value == 0 or value == 1 and not self.is_client, f"ENABLE_PUSH {value}")
            if identifier == f.HEADER_TABLE_SIZE:
                self.encoder.header_table_size = min(value, 4096)
            self.theirs[identifier] = value
        if self.acks:
            self.send_some(f.settings(ack=True))

    def _on_ping(self, taken):
        eq((taken.stream, len(taken.payload)), (0, 8), "stream and bytes of PING")
        if taken.has(f.ACK):
            self.ping_acks.append(taken.payload)
            return
        self.pings.append(time.monotonic())
        if self.answers:
            self.send_some(f.ping(taken.payload, ack=True))

    def _on_goaway(self, taken):
        check(taken.stream == 0 and len(taken.payload) >= 8, f"malformed {taken}")
        check(not self.goaways or taken.number <= self.goaways[-1].number, f"{taken} after {self.goaways}")
        self.goaways.append(taken)

    def _on_window_update(self, taken):
        eq(len(taken.payload), 4, "bytes of WINDOW_UPDATE")
        check(taken.number > 0, f"an increment of 0: {taken}")
        if taken.stream == 0:
            self.send_window += taken.number
            check(self.send_window <= f.LARGEST_WINDOW, f"{taken} makes a window of {self.send_window}")
            return
        stream = self._stream_of(taken)
        stream.send_window += taken.number
        check(stream.send_window <= f.LARGEST_WINDOW, f"{taken} makes a window of {stream.send_window}")

    # ---- expectations --------------------------------------------------------------------------------

    def expect_frame(self, kind, stream=None, flag=0, timeout=None):
        """Waits for the next frame of this type (and stream, with this flag); processes others meanwhile."""
        deadline = time.monotonic() + (timeout * factor() if timeout is not None else self.raw.timeout)
        while True:
            taken = self.next_frame(deadline)
            check(taken is not None, lambda: f"the connection ended ({self.end}), want {f.TYPES[kind]}; "
                  f"{self.shown()}")
            if taken.type == kind and (stream is None or taken.stream == stream) and \
                    (not flag or taken.has(flag)):
                return taken

    def expect_rst(self, number, *codes, timeout=None):
        """Expects RST_STREAM with one of these codes from the peer; the connection stays open."""
        stream = self.streams[number]
        self.wait(lambda: stream.rst is not None, timeout, f"RST_STREAM on stream {number}")
        check(stream.rst in codes, f"stream {number} was reset with {f.code_name(stream.rst)}, "
              f"want {' or '.join(map(f.code_name, codes))}")
        return stream.rst

    def expect_goaway(self, *codes, timeout=None):
        """Expects the first GOAWAY, with one of these codes."""
        self.wait(lambda: self.goaways, timeout, "GOAWAY")
        check(self.goaways[0].code in codes, f"{self.goaways[0]}, want "
              f"{' or '.join(map(f.code_name, codes))}")
        return self.goaways[0]

    def expect_end(self, timeout=None):
        """Reads any frames until the end of the connection: "fin" or "rst"."""
        self.wait(lambda: self.end, timeout, "the end of the connection")
        return self.end

    def expect_connection_error(self, *codes, timeout=None):
        """Expects GOAWAY with one of these codes, then the end (RFC 9113 5.4.1)."""
        last = self.expect_goaway(*codes, timeout=timeout)
        self.expect_end(timeout)
        return last

    def ping(self, payload=b"are-you?", timeout=None):
        """A round trip: afterwards the peer has processed everything sent before. Returns its seconds."""
        before, start = len(self.ping_acks), time.monotonic()
        self.send(f.ping(payload))
        self.wait(lambda: len(self.ping_acks) > before, timeout, "the answer to PING")
        eq(self.ping_acks[-1], payload, "payload of the answer to PING")
        return time.monotonic() - start

    def expect_silence(self, seconds):
        """Expects neither a frame nor the end for this time."""
        self.poll()
        count = self.frames_seen
        if select.select([self.raw.socket], [], [], seconds)[0]:
            self.poll()
        check(self.frames_seen == count and not self.end,
              lambda: f"want silence for {seconds} s; {self.shown()}")


def strip_padding(taken):
    if not taken.has(f.PADDED):
        return taken.payload
    check(taken.payload and taken.payload[0] < len(taken.payload), f"padding of {taken}")
    return taken.payload[1:len(taken.payload) - taken.payload[0]]
