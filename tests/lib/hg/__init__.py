# SPDX-License-Identifier: Apache-2.0
"""Scenario tests with a backend, a gateway and a client. See README.md beside this file."""
from hg.accesslog import parse_line
from hg.framework import (Failure, check, check_time, eq, factor, is_asan, is_thorough, need, note, profile,
                          skip, soak_seconds, table, test, timed, tmpdir, tolerance, wait_until, within)
from hg.gateway import Gateway, validate
from hg.http1 import Request, Response
from hg.lanes import need_lane, why_not
from hg.machine import withheld
from hg.metrics import Metrics
from hg.netns import Net
from hg.origin import Backend, Origin
from hg.pattern import PatternCheck, crc32, pattern, verify
from hg.ports import free_port
from hg.process import Process, run
from hg.raw import Raw, fetch
from hg.tools import wrk
from hg.websocket import WebSocket

__all__ = [
    "Backend", "Failure", "Gateway", "Metrics", "Net", "Origin", "PatternCheck", "Process", "Raw",
    "Request", "Response", "WebSocket", "check", "check_time", "crc32", "eq", "factor", "fetch", "free_port",
    "is_asan", "is_thorough", "need", "need_lane", "note", "parse_line", "pattern", "profile", "run", "skip",
    "soak_seconds", "table", "test", "timed", "tmpdir", "tolerance", "validate", "verify", "wait_until",
    "why_not", "withheld", "within", "wrk",
]
