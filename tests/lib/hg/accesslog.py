# SPDX-License-Identifier: Apache-2.0
"""Access-log lines: <RFC 3339 with µs>Z TAB info TAB request k=v k="quoted value" ...; or one JSON object."""
import json
import re

from hg.framework import Failure, shorten

HEAD = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\t(\w+)\t(\w+) ")
PAIR = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")


def unquote(text):
    if not text.startswith('"'):
        return text

    def replace(match):
        code = match.group(1)
        if len(code) == 3:
            return chr(int(code[1:], 16))
        return {"n": "\n", "r": "\r", "t": "\t"}.get(code, code)
    return ESCAPE.sub(replace, text[1:-1])


class Record(dict):
    """The fields of a line, in order. .time, .line; status and duration_ms as numbers."""

    time = line = ""

    @property
    def status(self):
        return int(self["http.status"])

    @property
    def duration_ms(self):
        if not self["duration"].endswith("ms"):
            raise Failure(f"duration={self['duration']}, want …ms")
        return int(self["duration"][:-2])


def parse_line(line):
    """A Record; None for lines of another kind."""
    if line.startswith("{"):
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise Failure(f"not JSON ({error}): {shorten(line)}") from None
        if fields.get("scope") != "request":
            return None
        record = Record({k: str(v) for k, v in fields.items()})
        record.time, record.line = fields.get("time", ""), line
        return record
    head = HEAD.match(line)
    if not head:
        raise Failure(f"not an access-log line: {shorten(line)}")
    if head.group(3) != "request":
        return None
    record = Record()
    record.time, record.line = head.group(1), line
    position = head.end()
    while position < len(line):
        pair = PAIR.match(line, position)
        if not pair:
            raise Failure(f"unreadable at column {position}: {shorten(line)}")
        if pair.group(1) in record:
            raise Failure(f"{pair.group(1)} twice: {shorten(line)}")
        record[pair.group(1)] = unquote(pair.group(2))
        position = pair.end()
    return record
