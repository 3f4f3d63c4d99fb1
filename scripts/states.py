#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Generates pictures and tables in documents from the rows (*.def) that are compiled.

    scripts/states.py user/base/stream_states.def        prints the picture of a state table
    scripts/states.py --write user/stream/README.md      regenerates the tables of a document
    scripts/states.py --check user/stream/README.md      reports whether it is stale; exit 1

In a document they are between these lines, with another word than "states" for other rows (TABLES):

    <!-- states: user/base/stream_states.def -->
    <!-- end of states -->

`make lint` checks every document of the tree.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[(),]|[^"(),]+')
# A comment or a preprocessor line; not what only looks like one in a string, which is kept.
COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|/\*.*?\*/|^#.*?$', re.S | re.M)
NEXT = re.compile(r"(?:TO|STATE_BIT)\((\w+)\)")
PLACE = re.compile(r"(<!-- (\w+): (\S+) -->\n)(.*?)(<!-- end of \2 -->\n)", re.S)


def read_rows(path):
    """Reads a .def file: [(macro, [argument…])…] in the order of the file; strings without their quotes."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = COMMENT.sub(lambda match: match.group(1) or "", file.read())
    rows, depth = [], 0
    for token in TOKEN.findall(" ".join(text.split())):
        if depth == 0 and token == "(":
            rows.append((macro.strip(), [""]))
        elif depth == 0:
            macro = token
        elif depth == 1 and token == ",":
            rows[-1][1].append("")
        elif token != ")" or depth > 1:
            rows[-1][1][-1] += token[1:-1] if depth == 1 and token[0] == '"' else token
        depth += (token == "(") - (token == ")")
    return [(macro, [argument.strip() for argument in arguments]) for macro, arguments in rows]


def picture(path):
    """The picture of a state table, one line per state: its name, its action, and its next states in columns.
    """
    table = [(row[0], row[1], row[2], NEXT.findall(row[3])) for _, row in read_rows(path)]
    names = {state: name for state, name, _, _ in table}
    unknown = {n for _, _, _, following in table for n in following} - set(names)
    if unknown:
        sys.exit(f"{path}: no such state: {', '.join(sorted(unknown))}")
    name_width = max(len(name) for name in names.values())
    action_width = max(len(action) for _, _, action, _ in table)
    lines = []
    for _, name, action, following in table:
        columns = [names[s] if s in following else " " * len(names[s]) for s in names]
        arrow = "-->" if following else "   "
        lines.append(f"{name:<{name_width}}  {action:<{action_width}} {arrow} {' '.join(columns)}".rstrip())
    return "```\n" + "\n".join(lines) + "\n```\n"


def ticked(text):
    return f"`{text}`" if text else ""


def metric(macro, row):
    kind, name, labels, text = (macro, row[1], "", row[2]) if macro != "METRIC" else row[1:]
    return ticked(name), kind.lower().removesuffix("_ns"), labels.replace(",", ", "), text


def request(_, row):
    path = row[2].replace("*", "<id>")
    calls = ", ".join(f"`{method.strip()} {path}`" for method in row[1].split("|"))
    return row[0].lower(), calls, row[4].replace("|", "\\|")


def flood(macro, row):
    return (ticked(row[1]), "", "", row[2]) if macro == "H2_FLOOD_FIXED" else (
        ticked(row[1]), ticked(row[2]), row[3], row[5])


def trusted(_, row):
    return ticked(row[0]), "in both modes" if row[1] == "IDENTITY" else "`append`", row[2]


# The word after "<!--": the titles of the columns, and a function from (macro, arguments) to a row.
TABLES = {
    "reasons": (("reason", "", "explanation"),
                lambda _, row: (ticked(row[1]), "reset" if row[2] == "1" else "", row[3])),
    "metrics": (("metric", "type", "labels", "explanation"), metric),
    "fields": (("field", "explanation"), lambda _, row: (ticked(row[1]), row[2])),
    "ends": (("close_reason", "timer", "reason", "explanation"),
             lambda _, row: (ticked(row[1]), "yes" if row[2] == "1" else "", row[3], row[4])),
    "events": (("event", "a", "b"), lambda _, row: (ticked(row[1]), row[2], row[3])),
    "failpoints": (("point", "the stream", "where"), lambda _, row: (row[1], row[2], row[3])),
    "floods": (("kind", "key", "a second", "explanation"), flood),
    "trusted": (("field", "removed with `forwarded.mode`", "written by"), trusted),
    "limits": (("limit", "refuses"), lambda _, row: (ticked(row[1]), row[2])),
    "endpoints": (("port", "request", "answer"), request),
}


def table(kind, path):
    titles, cells_of = TABLES[kind]
    lines = [f"| {' | '.join(titles)} |".replace("|  |", "| |"), "|" + "---|" * len(titles)]
    lines += [f"| {' | '.join(cells_of(*row))} |" for row in read_rows(path)]
    return "\n".join(lines) + "\n"


def drawn(text):
    """Returns a document with all its tables generated from the rows."""
    def draw(match):
        kind, path = match.group(2), match.group(3)
        if kind == "rows":  # config/core/engine/schema.h needs a compiler: test_reference.c checks those
            return match.group(0)
        if (kind != "states" and kind not in TABLES) or not os.path.exists(os.path.join(ROOT, path)):
            sys.exit(f"<!-- {kind}: {path} -->: no such table, or no such file")
        return match.group(1) + (picture(path) if kind == "states" else table(kind, path)) + match.group(5)
    return PLACE.sub(draw, text)


def main(arguments):
    if len(arguments) == 1 and arguments[0].endswith(".def"):
        print(picture(arguments[0]), end="")
        return 0
    if len(arguments) != 2 or arguments[0] not in ("--write", "--check"):
        sys.exit(__doc__)
    path = os.path.join(ROOT, arguments[1])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if arguments[0] == "--write":
        with open(path, "w", encoding="utf-8") as file:
            file.write(drawn(text))
    elif drawn(text) != text:
        print(f"{arguments[1]}: differs from its rows: scripts/states.py --write {arguments[1]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
