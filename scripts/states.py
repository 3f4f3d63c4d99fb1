#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the tables (*.def) of states and gate reasons, so that what is drawn is what is
compiled.

    scripts/states.py user/proxy/stream_states.def      prints the picture of a table
    scripts/states.py --write user/proxy/README.md      draws the pictures of a document anew
    scripts/states.py --check user/proxy/README.md      says which are not those of the tables; exit 1

In a document a picture stands between these lines:

    <!-- states: user/proxy/stream_states.def -->
    <!-- end of states -->

or, for a table of reasons, between the same with "reasons" instead of "states".
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROW = re.compile(r'^\w*STATE\((\w+),\s*"([^"]*)",\s*"([^"]*)",\s*([^;]*?)\)\s*$', re.M)
NEXT = re.compile(r"(?:TO|STATE_BIT)\((\w+)\)")
REASON = re.compile(r'^(?:GATE|NEAR)_REASON\(\w+,\s*"([^"]*)",\s*([01]),\s*"([^"]*)"\)$', re.M)
PLACE = re.compile(r"(<!-- (states|reasons): (\S+) -->\n)(.*?)(<!-- end of \2 -->\n)", re.S)


def read_table(path):
    """[(id, name, action, [next id…])…] in the order of the table."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    rows = re.split(r"\n(?=\w*STATE\()", text.strip())
    table = []
    for row in rows:
        match = ROW.match(" ".join(row.split()))
        if not match:
            sys.exit(f"{path}: not a row of states: {row[:80]}")
        table.append((match.group(1), match.group(2), match.group(3), NEXT.findall(match.group(4))))
    return table


def picture(path):
    """One line a state: its name, what happens in it, and where it may go; the states in columns."""
    table = read_table(path)
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


def reasons(path):
    """A row a reason: its name in counters and lists, what happens then, what it says."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        rows = REASON.findall(file.read())
    if not rows:
        sys.exit(f"{path}: no row of a reason")
    lines = ["| reason | | explanation |", "|---|---|---|"]
    lines += [f"| `{name}` | {'reset' if poison == '1' else ''} | {text} |" for name, poison, text in rows]
    return "\n".join(lines) + "\n"


def draw(kind, path):
    return picture(path) if kind == "states" else reasons(path)


def main(arguments):
    if len(arguments) == 1 and arguments[0].endswith(".def"):
        print(picture(arguments[0]), end="")
        return 0
    if len(arguments) != 2 or arguments[0] not in ("--write", "--check"):
        sys.exit(__doc__)
    path = os.path.join(ROOT, arguments[1])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    drawn = PLACE.sub(lambda m: m.group(1) + draw(m.group(2), m.group(3)) + m.group(5), text)
    if arguments[0] == "--write":
        with open(path, "w", encoding="utf-8") as file:
            file.write(drawn)
    elif drawn != text:
        print(f"{arguments[1]}: a picture differs from its table: scripts/states.py --write {arguments[1]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
