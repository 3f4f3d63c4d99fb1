# SPDX-License-Identifier: Apache-2.0
"""The files of the tree, read once, and C text without comments and strings."""
import fnmatch
import os
import re

SKIPPED_DIRS = {".git", "build", "__pycache__", ".cache", "node_modules"}
C_ENDS = (".c", ".cc", ".h", ".def")
PAGE_ENDS = (".js", ".css", ".html")
TEXT_ENDS = C_ENDS + PAGE_ENDS + (".py", ".sh", ".md", ".yaml", ".yml", ".service", ".dict")
TEXT_NAMES = {"Makefile", ".gitignore", "run"}

COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def without_comments(text, strings=True):
    """Replaces comments (and the inside of strings) by blanks; offsets and line numbers stay the same."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0] if strings else found
        return re.sub(r"[^\n]", " ", found)
    return COMMENT_OR_STRING.sub(blank, text)


class Tree:
    """paths: every file, from the root. text(path): the content. code(path): C without comments, strings."""

    def __init__(self, root):
        self.root = root
        self.paths = []
        for folder, dirs, names in os.walk(root):
            dirs[:] = sorted(d for d in dirs if d not in SKIPPED_DIRS)
            for name in sorted(names):
                self.paths.append(os.path.relpath(os.path.join(folder, name), root))
        self._texts = {}
        self._codes = {}

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="surrogateescape") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def code(self, path):
        if path not in self._codes:
            self._codes[path] = without_comments(self.text(path))
        return self._codes[path]

    def c_files(self):
        return [p for p in self.paths if p.endswith(C_ENDS)]

    def text_files(self):
        return [p for p in self.paths if p.endswith(TEXT_ENDS) or os.path.basename(p) in TEXT_NAMES]

    def includes(self, path):
        """Returns (line, '<' or '"', name) of each include directive outside of comments."""
        text = without_comments(self.text(path), strings=False)
        return [(line_of(text, m.start(1)), m.group(1), m.group(2)) for m in INCLUDE.finditer(text)]
