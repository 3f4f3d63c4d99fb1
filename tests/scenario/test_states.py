# SPDX-License-Identifier: Apache-2.0
"""What documents show of states is drawn from the tables that are compiled; lint says where it is not."""
import os
import sys

from hg import *
from hg.framework import repository_root

TOOL = os.path.join(repository_root(), "scripts", "states.py")


@test("a picture that differs from its table is found, and drawn anew")
def differs():
    path = os.path.join(tmpdir(), "README.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a\n<!-- states: user/client/client_states.def -->\nold\n<!-- end of states -->\nz\n")
    eq(run([sys.executable, TOOL, "--check", path])[0], 1, "exit status of --check")
    eq(run([sys.executable, TOOL, "--write", path])[0], 0, "exit status of --write")
    eq(run([sys.executable, TOOL, "--check", path])[0], 0, "exit status of --check afterwards")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    check(text.startswith("a\n") and text.endswith("z\n") and "linger" in text and "old" not in text, text)
