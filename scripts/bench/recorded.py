#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stored results: a first line about machine and program, then a line for each value. Results of different
processors are never compared, so each model has its own directory.

As a program it prints that first line, for sections whose results are stored as printed; with --directory the
name of the directory of this processor.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def model():
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return models[0] if models else "unknown"


def directory():
    """The model as a name: "intel-xeon" for Intel(R) Xeon(R) Processor."""
    words = re.sub(r"\((R|TM)\)|\b(Processor|CPU)\b", " ", model())
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def machine():
    release = os.uname().release.split("-")[0]
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs ({model()}), "
            f"Linux {release}, load average {os.getloadavg()[0]:.1f} at the beginning")


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"})


def commit():
    """The commit of this tree, "-dirty" if it has changes other than results; empty if unknown."""
    if not shutil.which("git"):
        return ""
    head = git("rev-parse", "--short", "HEAD")
    if head.returncode:
        return ""
    changed = git("status", "--porcelain", "--", ".", ":!scripts/bench/results", ":!PERFORMANCE.md").stdout
    return head.stdout.strip() + ("-dirty" if changed else "")


class Store:
    """The file of --json; without one nothing is stored."""

    def __init__(self, path, args, *how):
        """how: names of the arguments that set how long was measured."""
        self.file = open(path, "w", encoding="utf-8") if path else None
        if path:
            self.add(machine=machine(), commit=commit(), **{name: getattr(args, name) for name in how})

    def add(self, **line):
        if self.file:
            self.file.write(json.dumps({key: round(value, 3) if isinstance(value, float) else value
                                        for key, value in line.items()}) + "\n")
            self.file.flush()


if __name__ == "__main__":
    print(directory() if sys.argv[1:] == ["--directory"] else
          f"{machine()}; commit {commit() or 'unknown'}")
