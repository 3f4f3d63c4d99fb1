# SPDX-License-Identifier: Apache-2.0
"""Rules on one file at a time. Each takes the Tree and yields (path, line, message)."""
import io
import os
import re
import tokenize

import tables
from source import C_ENDS, PAGE_ENDS, line_of, matches

LINE_COLUMNS = 110
TABLE_COLUMNS = 132  # columns; one row, one line
FILE_LINES = 600

# Split, so that this file does not match itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
TYPEDEF = re.compile(r"^\s*typedef\s+(struct|union)\b", re.M)
MACHINE_PATH = re.compile(r"(?<![\w.])/(wo" r"rk/|tmp/h" r"g\b|ro" r"ot/)")

NAME = re.compile(r"[A-Za-z_]\w*")
# A file that matches none of these needs no check of each name.
FORBIDDEN = re.compile("|".join([*tables.FORBIDDEN, *(f"{w}_" for w in tables.FORBIDDEN_PREFIXES)]), re.I)

ONCE = re.compile(r"^(#pragma once$|#ifndef \w+_H\b)", re.M)
PRINT_CALL = re.compile(r"(?<![\w.>])(v?f?printf|v?dprintf|f?puts|putchar|f?putc|perror|psignal)\s*\(")
STANDARD_FD = re.compile(r"\b(write|writev|pwritev2?|send|sendmsg)\s*\("
                         r"\s*(STDOUT_FILENO|STDERR_FILENO|1|2)\s*,")
IMPURE_CALL = re.compile(
    r"(?<![\w.>])(time|clock_gettime|gettimeofday|clock_now_ns|clock_now_ms|clock_wall_us|localtime_r|gmtime|"
    r"socket|connect|bind|listen|accept4?|send|sendto|sendmsg|recv|recvfrom|recvmsg|setsockopt|getsockopt|"
    r"getaddrinfo|poll|ppoll|select|epoll_\w+|read|write|readv|writev|open|fopen|splice|"
    r"sleep|usleep|nanosleep|rand|rand_r|random|srand|srandom|drand48|getrandom|getentropy|getenv)\s*\(")
MUTABLE_GLOBAL = re.compile(
    r"^(?:static\s+)?(?!.*\bconst\b)(?:_Thread_local\s+|__thread\s+)?(?:static\s+)?"
    r"(?:unsigned\s+|struct\s+|enum\s+)*\w+\s+\*?\w+(?:\[[^\]]*\])*\s*(?:=[^=].*|;)$")
NOT_A_TYPE = ("return", "goto", "typedef", "extern", "else", "struct", "enum", "union", "case")


def check_text(tree):
    for path in tree.text_files():
        if matches(path, tables.UNMEASURED):
            continue
        text = tree.text(path)
        lines = text.split("\n")
        if text and not text.endswith("\n"):
            yield path, len(lines), "end the last line with a newline"
        elif len(lines) > 2 and lines[-2] == "":
            yield path, len(lines) - 1, "remove the empty lines at the end of the file"
        code = path.endswith((".c", ".cc", ".h", ".def", ".py", ".sh", *PAGE_ENDS))
        if code and len(lines) - 1 > FILE_LINES:
            yield path, FILE_LINES + 1, f"{len(lines) - 1} lines; split the file, {FILE_LINES} is the most"
        for number, line in enumerate(lines, 1):
            yield from check_line(path, number, line, code)


def check_line(path, number, line, code):
    if line.endswith("\r"):
        yield path, number, "use LF line ends, not CRLF"
    elif line != line.rstrip() and not path.endswith(".md"):
        yield path, number, "remove the blanks at the end of the line"
    columns = len(line.expandtabs(8))
    most = TABLE_COLUMNS if path.endswith(".def") else LINE_COLUMNS
    if code and columns > most:
        yield path, number, f"{columns} columns; break the line, {most} is the most (a tab is 8)"
    if path.endswith(PAGE_ENDS) and line.startswith("\t"):
        yield path, number, "indent with four blanks"
    if not path.endswith((".c", ".cc", ".h", ".def")):
        return
    if re.match(r" (?!\*)", line) or re.match(r"\t* {8}", line):
        yield path, number, "indent with tabs (blanks only for fewer than 8 columns of alignment after them)"


def check_licence(tree):
    for path in tree.paths:
        if matches(path, tables.UNMEASURED):
            continue
        if not path.endswith((".c", ".cc", ".h", ".def", ".py", ".sh", ".js")):
            continue
        first = tree.text(path).split("\n", 2)[:2]
        if path.endswith((".py", ".sh")):
            want = "# SPDX-License-Identifier: Apache-2.0"
            if first[0].startswith("#!"):
                first = first[1:]
        elif path.endswith(".js"):
            want = "// SPDX-License-Identifier: Apache-2.0"
        elif path.startswith("bpf/"):
            want = "/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */"
        else:
            want = "/* SPDX-License-Identifier: Apache-2.0 */"
        if not first or first[0] != want:
            yield path, 1, f"begin the file with: {want}"


def check_words(tree):
    for path in tree.text_files():
        text = tree.text(path)
        for match in UNFINISHED.finditer(text):
            yield path, line_of(text, match.start()), f"finish it or drop it: no {match.group(1)} here"
        for match in MACHINE_PATH.finditer(text):
            yield path, line_of(text, match.start()), "name a path of the repository, not of one machine"
        for pattern, better in tables.WORDS.items() if path != "scripts/lint/tables.py" else ():
            for match in re.finditer(pattern, text, re.I):
                yield path, line_of(text, match.start()), f"for \"{match.group(0)}\" say {better}"
    for path in tree.c_files():
        for match in TYPEDEF.finditer(tree.code(path)):
            yield path, line_of(tree.code(path), match.start(1)), "write `struct name`, without a typedef"


def names_of(tree, path):
    """Returns (line, name) of the identifiers of a file, without comments and strings."""
    if path.endswith(".py"):
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(tree.text(path)).readline))
        except (tokenize.TokenError, SyntaxError):
            return []  # check_scripts reports the error
        return [(token.start[0], token.string) for token in tokens if token.type == tokenize.NAME]
    code = tree.code(path)
    return [(line_of(code, match.start()), match.group()) for match in NAME.finditer(code)]


def better_name(name):
    """The better word for a part of the name, or None."""
    name = name.lower().strip("_")
    parts = name.split("_")
    first = parts[0] if len(parts) > 1 else ""
    if first in tables.FORBIDDEN_PREFIXES and not matches(name, tables.FORBIDDEN_KEPT):
        return first, tables.FORBIDDEN_PREFIXES[first]
    return next(((part, tables.FORBIDDEN[part]) for part in parts if part in tables.FORBIDDEN), None)


def check_identifiers(tree):
    for path in tree.paths:
        if not path.endswith((".py", ".js", *C_ENDS)) or matches(path, tables.UNMEASURED):
            continue
        code = tree.text(path) if path.endswith(".py") else tree.code(path)
        if not FORBIDDEN.search(code):
            continue
        for line, name in names_of(tree, path):
            if found := better_name(name):
                yield path, line, f"in the name {name}, for \"{found[0]}\" say {found[1]}"


def layer_of(path):
    folder = os.path.dirname(path)
    while folder and folder not in tables.LAYERS:
        folder = os.path.dirname(folder)
    return folder


def check_layers(tree):
    known = set(tree.paths)
    for path in tree.c_files():
        layer = layer_of(path)
        for line, kind, name in tree.includes(path):
            if kind != '"':
                continue
            if "/" not in name or name.startswith("."):
                yield path, line, f'write the path from the root: #include "{os.path.dirname(path)}/{name}"'
                continue
            if not name.startswith("gen/") and name not in known:
                yield path, line, f'there is no {name}; a library header is included with < >'
                continue
            if os.path.dirname(name) == os.path.dirname(path) or (path, name) in tables.LAYER_EXCEPTIONS:
                continue
            allowed = tables.LAYERS.get(layer)
            if allowed is not None and not matches(name, allowed):
                yield path, line, (f"{layer} must not see {name}: hand it down as an argument or a callback "
                                   f"(it may include {', '.join(allowed) or 'only itself'})")
        if path.endswith(".h") and not ONCE.search(tree.text(path)) and not matches(path, tables.UNMEASURED):
            yield path, 2, "put `#pragma once` before the first include"


def check_homes(tree):
    for path in tree.c_files():
        for line, kind, name in tree.includes(path):
            for pattern, homes in tables.HOMES.items():
                if kind == "<" and matches(name, [pattern]) and not matches(path, homes):
                    yield path, line, f"<{name}> lives in {', '.join(homes)}: use that module's interface"


def check_printing(tree):
    for path in tree.c_files():
        if not path.startswith(("user/", "admin/", "policy/", "config/")):
            continue
        code = tree.code(path)
        for match in PRINT_CALL.finditer(code) if not matches(path, tables.PRINTING) else ():
            yield path, line_of(code, match.start()), (
                f"{match.group(1)}() waits for a reader: use log_error() and its like (log.h)")
        for match in STANDARD_FD.finditer(code) if not matches(path, tables.WRITERS) else ():
            yield path, line_of(code, match.start()), (
                "a write to standard output or error waits for a reader: use log.h, or sink.h")


def check_pure(tree):
    for path in tree.c_files():
        if not matches(path, tables.PURE) or matches(path, tables.IMPURE):
            continue
        code = tree.code(path)
        for match in IMPURE_CALL.finditer(code):
            yield path, line_of(code, match.start()), (
                f"{match.group(1)}() in pure code: take its result as an argument")
        for number, line in enumerate(code.split("\n"), 1):
            if not MUTABLE_GLOBAL.match(line) or "(" in line.split("=")[0]:
                continue
            if line.split()[0] not in NOT_A_TYPE:
                yield path, number, "mutable global in pure code: make it const or part of an object"
