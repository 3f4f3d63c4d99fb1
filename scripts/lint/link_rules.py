# SPDX-License-Identifier: Apache-2.0
"""Rules on links and names in documents: in the source tree, and as installed."""
import collections
import os
import re
import tempfile
import urllib.parse

from make import MakeError, make
from source import Tree, line_of

FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.S | re.M)
TICKED = re.compile(r"`[^`\n]+`")
LINKS = [
    re.compile(r"\]\(\s*<?([^)\s>]+)"),  # [text](target), ![text](target)
    re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)", re.M),  # [name]: target
    re.compile(r"\b(?:href|src|srcset)=\"([^\"\s]+)"),
]
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.M)
NAMED_ANCHOR = re.compile(r"<\w+\s[^>]*\b(?:id|name)=\"([^\"]+)\"")

# In installed pages: paths from the root of the tree, file names, make goals.
TREE_PATH = re.compile(r"(?<![\w./@-])(?:user|policy|admin|config|bpf|tests|scripts|build|docs)/[\w./*-]*\w")
FILE_NAME = re.compile(r"(?<![\w./@-])[\w-]+\.(?:md|c|cc|h|def|py|sh|yaml)\b")
MAKE_GOAL = re.compile(r"\bmake ([a-z][a-z0-9-]*)")
GOAL = re.compile(r"^([a-z][a-z0-9-]*):", re.M)


def blanked(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def anchors(text):
    """The anchors of a document, as web pages of repositories generate them."""
    text = FENCE.sub(blanked, text)
    found, count = set(NAMED_ANCHOR.findall(text)), collections.Counter()
    for heading in HEADING.findall(text):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{anchor}-{count[anchor]}" if count[anchor] else anchor)
        count[anchor] += 1
    return found


def check_links(tree):
    """Relative links must lead to an existing file or directory, and to one of its headings."""
    known = set(tree.paths) | {"."}
    for path in tree.paths:
        while path := os.path.dirname(path):
            known.add(path)
    for path in tree.paths:
        if not path.endswith(".md"):
            continue
        text = TICKED.sub(blanked, FENCE.sub(blanked, tree.text(path)))
        for match in (match for pattern in LINKS for match in pattern.finditer(text)):
            target = match.group(1)
            if SCHEME.match(target):
                continue
            name, _, anchor = urllib.parse.unquote(target).partition("#")
            place = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            line = line_of(text, match.start(1))
            if place not in known:
                yield path, line, f"the link leads nowhere: {target}"
            elif anchor and place.endswith(".md") and anchor not in anchors(tree.text(place)):
                yield path, line, f"{place} has no heading for the link #{anchor}"


def place_in_tree(tree, page, line, text):
    """The source line of a line of an installed page; the page itself if make has changed the line."""
    for path in tree.paths:
        if path.startswith(("config/", "scripts/packaging/")) and f"\n{text}\n" in f"\n{tree.text(path)}\n":
            return path, line_of("\n" + tree.text(path), f"\n{tree.text(path)}\n".index(f"\n{text}\n"))
    return page, line


def stays_behind(text, names, goals):
    """Names in a line that exist only in the tree: paths, file names, make with one of its goals."""
    for match in TREE_PATH.finditer(text):
        yield match.group(0)
    for match in FILE_NAME.finditer(text):
        if match.group(0) in names:
            yield match.group(0)
    for match in MAKE_GOAL.finditer(text):
        if match.group(1) in goals:
            yield match.group(0)


def check_installed(tree):
    """Files that make installs must not name a link, path, file or goal that exists only in the tree."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            make("install-data", f"DESTDIR={folder}", "PREFIX=/usr", "SYSCONFDIR=/etc")
        except MakeError as error:
            yield error.path, error.line, f"what would be installed is not known: {error}"
            return
        pages = Tree(folder)
        if not pages.paths:
            yield "Makefile", 1, "install-data installs nothing"
        installed = {os.path.basename(path) for path in pages.paths}
        names = {os.path.basename(path) for path in tree.paths} - installed
        goals = set(GOAL.findall(tree.text("Makefile"))) - {"install"}
        found = list(check_links(pages))
        for page in pages.paths:
            for number, text in enumerate(pages.text(page).split("\n"), 1):
                found += [(page, number, f"{name} is not installed")
                          for name in stays_behind(text, names, goals)]
        for page, number, message in found:
            path, line = place_in_tree(tree, page, number, pages.text(page).split("\n")[number - 1])
            yield path, line, f"in /{page}, which make installs: {message}"
