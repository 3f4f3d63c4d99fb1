#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stored results: a first line about machine and program, then a line for each value.

As a program it prints that first line, for sections whose results are stored as printed.
"""
import json
import os
import shutil
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def machine():
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    release = os.uname().release.split("-")[0]
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs ({models[0] if models else 'unknown'}), "
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
    print(f"{machine()}; commit {commit() or 'unknown'}")
