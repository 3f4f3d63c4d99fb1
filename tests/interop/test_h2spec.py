# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of others for HTTP/2: make h2spec."""
import os
import re
import shutil

from hg import *
from hg.framework import tmpdir

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - backends: [{host: @origin@}]
"""
# The port speaks HTTP/1.1 as well, and answers in it what is no preface.
KNOWN = {"3.5/2"}


def failed_cases(report):
    """Numbers as h2spec shows them, "5.1.1/2", of a report in the format of JUnit."""
    found = set()
    for section, cases in re.findall(r'<testsuite name="([^"]*)"(.*?)</testsuite>', report, re.S):
        number = section.split(" ")[0].rstrip(".")
        for at, case in enumerate(re.findall(r"<testcase.*?(?:/>|</testcase>)", cases, re.S), 1):
            if "<failure" in case or "<error" in case:
                found.add(f"{number}/{at}")
    return found


@test("h2spec: every case but those that are known passes", timeout=300)
def h2spec():
    program = shutil.which("h2spec")
    if not program:
        skip("h2spec is not installed")
    # Not an answer of the configuration, which is there before the rest of a bad request is sent.
    gateway = Gateway(CONFIG, origin=Origin(strict=False))
    path = os.path.join(tmpdir(), "report.xml")
    status, out, error = run([program, "-h", "127.0.0.1", "-p", str(gateway.port), "-P", "/anything",
                              "-o", "3", "-j", path], timeout=280)
    note(out[-3000:])
    check(os.path.exists(path), lambda: f"h2spec ended with {status}: {error}")
    with open(path, encoding="utf-8") as file:
        failed = failed_cases(file.read())
    eq(sorted(failed - KNOWN), [], "cases that failed")
