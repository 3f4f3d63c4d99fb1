#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests every endpoint and mode of httpbin: selftest.py PATH_TO_HTTPBIN [FILTER].

One line a check, "ok NAME" or "FAIL NAME: why"; the last line is "N passed, N failed"."""

import importlib
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
LIB = importlib.import_module("selftest_lib")
for module in ("selftest_request", "selftest_body", "selftest_fault"):
    importlib.import_module(module)


def run(wanted):
    passed, failed = 0, 0
    for function in LIB.CHECKS:
        if wanted not in function.__name__:
            continue
        try:
            function()
            print("ok %s" % function.__name__, flush=True)
            passed += 1
        except (AssertionError, OSError, EOFError, LookupError, ValueError,
                subprocess.TimeoutExpired) as error:
            print("FAIL %s: %s: %s" % (function.__name__, type(error).__name__, error), flush=True)
            failed += 1
    return passed, failed


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    LIB.PROGRAM.path = os.path.abspath(sys.argv[1])
    with open(LIB.PROGRAM.path, "rb") as program:
        LIB.PROGRAM.is_sanitized = b"__asan_" in program.read()
    LIB.PROGRAM.main = LIB.Server("--name", "main")
    passed, failed = run(sys.argv[2] if len(sys.argv) > 2 else "")
    try:
        LIB.PROGRAM.main.stop()
    except AssertionError as error:
        print("FAIL main server: %s" % error)
        failed += 1
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


main()
