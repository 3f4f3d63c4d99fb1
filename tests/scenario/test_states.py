# SPDX-License-Identifier: Apache-2.0
"""The pictures of states and reasons in the documents are drawn from the tables that are compiled."""
import os
import re
import sys

from hg import *
from hg.framework import repository_root

TOOL = os.path.join(repository_root(), "scripts", "states.py")


def documents():
    """READMEs with such a picture."""
    for folder, folders, files in os.walk(repository_root()):
        folders[:] = [f for f in folders if not f.startswith(".") and f != "build"]
        for name in files:
            path = os.path.join(folder, name)
            if name.endswith(".md"):
                with open(path, encoding="utf-8") as file:
                    if re.search("<!-- (states|reasons): ", file.read()):
                        yield os.path.relpath(path, repository_root())


@test("every picture of states is that of its table")
def pictures():
    found = list(documents())
    check({"user/proxy/README.md", "user/gate/README.md"} <= set(found), f"documents with pictures: {found}")
    for path in found:
        status, out, error = run([sys.executable, TOOL, "--check", path])
        eq((status, out, error), (0, "", ""), path)


@test("a picture that differs from its table is found, and drawn anew")
def differs():
    path = os.path.join(tmpdir(), "README.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a\n<!-- states: user/proxy/client_states.def -->\nold\n<!-- end of states -->\nz\n")
    eq(run([sys.executable, TOOL, "--check", path])[0], 1, "exit status of --check")
    eq(run([sys.executable, TOOL, "--write", path])[0], 0, "exit status of --write")
    eq(run([sys.executable, TOOL, "--check", path])[0], 0, "exit status of --check afterwards")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    check(text.startswith("a\n") and text.endswith("z\n") and "linger" in text and "old" not in text, text)
