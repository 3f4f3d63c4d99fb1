# SPDX-License-Identifier: Apache-2.0
"""Data from the Makefile: how files are compiled, which belong to the product, what is installed."""
import functools
import os
import re
import subprocess

COMPILER_ERROR = re.compile(r"([^:\s]+):(\d+):(?:\d+:)? (?:fatal )?error: (.*)")


class MakeError(Exception):
    """The first error of a compiler with its file and line, else the last line of make."""

    def __init__(self, output):
        lines = output.strip().split("\n")
        found = next((match for match in map(COMPILER_ERROR.match, lines) if match), None)
        super().__init__(found.group(3) if found else lines[-1])
        self.path = found.group(1) if found else "Makefile"
        self.line = int(found.group(2)) if found else 1


def make(*arguments):
    """The output of make, with the profile and compiler of the make that runs lint, but without its flags."""
    result = subprocess.run(["make", "-s", "--no-print-directory", *arguments],
                            capture_output=True, text=True, check=False,
                            env={k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))})
    if result.returncode:
        raise MakeError(result.stderr.strip() or result.stdout.strip() or "make failed")
    return result.stdout


@functools.lru_cache(maxsize=1)
def compile_commands():
    """C and BPF: the commands; OBJ: the directory of the objects; SOURCES: the sources of the product."""
    return dict(line.split(" ", 1) for line in make("compile-command").strip().split("\n"))
