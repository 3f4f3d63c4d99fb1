# SPDX-License-Identifier: Apache-2.0
"""Which file uses symbols of which other file, read from the objects: calls through pointers are not seen."""
import collections
import os
import re
import subprocess
import sys

import tables
from code_rules import layer_of
from make import MakeError, compile_commands, make
from source import line_of, matches

TABLES = "scripts/lint/tables.py"
DEFINED = "TDBRCGS"  # letters of nm: weak and unique symbols are those of inline functions and templates
SYMBOL = re.compile(r"^(.*): *[0-9a-f]* (\w) (\S+)$")


class NoSymbols(Exception):
    """The reason why the symbols cannot be read."""


def built_objects():
    """Returns {object: source} of the product, after compiling missing and outdated objects."""
    commands = compile_commands()
    sources = commands["SOURCES"].split()
    objects = {f"{commands['OBJ']}/{os.path.splitext(source)[0]}.o": source for source in sources}
    missing = [name for name in objects if not os.path.exists(name)]
    if missing:
        print(f"lint: compiling {len(missing)} of {len(objects)} files first, for the rule on calls",
              file=sys.stderr, flush=True)
    make(f"-j{os.cpu_count() or 1}", "product-objects")
    return objects


def read_symbols(objects):
    """Returns (symbol -> the file that defines it, file -> the symbols it needs from others)."""
    defined, needed = {}, {source: set() for source in objects.values()}
    result = subprocess.run(["nm", "-A", "-g", *objects], capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoSymbols("nm: " + result.stderr.strip().split("\n")[-1])
    for line in result.stdout.split("\n"):
        found = SYMBOL.match(line)
        if found and found.group(2) == "U":
            needed[objects[found.group(1)]].add(found.group(3))
        elif found and found.group(2) in DEFINED:
            defined[found.group(3)] = objects[found.group(1)]
    if objects and not defined:
        raise NoSymbols("nm shows no symbol in the objects of the product")
    return defined, needed


def uses_between(objects):
    """Returns file -> {another file: sorted symbols of it that the first one uses}."""
    defined, needed = read_symbols(objects)
    uses = {}
    for path, symbols in needed.items():
        uses[path] = collections.defaultdict(list)
        for symbol in sorted(symbols):
            if defined.get(symbol, path) != path:
                uses[path][defined[symbol]].append(symbol)
    return uses


def line_naming(tree, path, symbol):
    found = re.search(rf"\b{re.escape(symbol)}\b", tree.code(path))
    return line_of(tree.code(path), found.start()) if found else 1


def line_in_tables(tree, table, path):
    """The line of a table that names the file, else the table's first line."""
    text = tree.text(TABLES)
    start = max(text.find(f"\n{table} = ") + 1, 0)
    return line_of(text, max(text.find(f'"{path}"', start), start))


def may_use(path, other):
    """Whether LAYERS allows to include the file; if it allows a header, it allows its .c file, too."""
    allowed = tables.LAYERS.get(layer_of(path), [])
    return (os.path.dirname(path) == os.path.dirname(other) or matches(other, allowed)
            or matches(os.path.splitext(other)[0] + ".h", allowed))


def upward_uses(tree, uses):
    unused = set(tables.CALL_EXCEPTIONS)
    for path in uses:
        if layer_of(path) not in tables.LAYERS:
            yield path, 1, f"say in LAYERS of {TABLES} what {os.path.dirname(path)} may use"
            continue
        for other, symbols in uses[path].items():
            if may_use(path, other):
                continue
            if (path, other) in tables.CALL_EXCEPTIONS:
                unused.discard((path, other))
                continue
            for symbol in symbols:
                yield path, line_naming(tree, path, symbol), (
                    f"{layer_of(path)} must not use {symbol} of {other}: return a value that says what to "
                    f"do, or take a callback")
    for path, other in unused:
        yield TABLES, line_in_tables(tree, "CALL_EXCEPTIONS", path), (
            f"{path} uses nothing of {other} that it may not: remove the exception")


def reached(start, uses):
    found, left = {start}, [start]
    while left:
        new = set(uses[left.pop()]) - found
        found |= new
        left += new
    return found


def circles(uses):
    """Yields sets of files in which each file uses every other one, directly or indirectly."""
    reach = {path: reached(path, uses) for path in uses}
    left = set(uses)
    while left:
        path = min(left)
        circle = {other for other in reach[path] if path in reach[other]}
        left -= circle
        yield circle


def joins_circle(tree, path, circle, uses):
    """The finding for a file that joins a circle: one use by the file, and one use of it."""
    below = min(set(uses[path]) & circle)
    above = min(other for other in circle if path in uses[other])
    symbol = uses[path][below][0]
    return path, line_naming(tree, path, symbol), (
        f"closes a circle of {len(circle)} files, {tables.CIRCLE_FILES} is the most: it uses {symbol} of "
        f"{below}, and {above} uses its {uses[above][path][0]}: return a value that says what to do, "
        f"or take a callback")


def large_circles(tree, all_uses):
    """Upward calls are findings of their own, so circles that only they close are not reported."""
    uses = {path: {other: symbols for other, symbols in used.items()
                   if may_use(path, other) or (path, other) in tables.CALL_EXCEPTIONS}
            for path, used in all_uses.items()}
    found = [circle for circle in circles(uses) if len(circle) > tables.CIRCLE_FILES]
    parts = collections.Counter()
    for circle in found:
        # The entry of a circle is the one that shares most files with it: of merged circles one has joined.
        known = max(tables.CIRCLES, key=lambda entry: len(circle & set(entry)), default=[])
        if circle & set(known):
            parts[tables.CIRCLES.index(known)] += 1
        for path in sorted(circle - set(known)):
            yield joins_circle(tree, path, circle, uses)
    for number, entry in enumerate(tables.CIRCLES):
        for path in set(entry).difference(*found):
            yield TABLES, line_in_tables(tree, "CIRCLES", path), (
                f"{path} is in no circle of more than {tables.CIRCLE_FILES} files: remove it from CIRCLES")
        if parts[number] > 1:
            yield TABLES, line_in_tables(tree, "CIRCLES", entry[0]), (
                f"this circle has become {parts[number]} circles: give each its own entry")


def check_calls(tree):
    """A file uses only symbols of its own layer and of lower ones, and no new file joins a large circle."""
    try:
        uses = uses_between(built_objects())
    except MakeError as error:
        yield error.path, error.line, f"no call was checked, for this does not compile: {error}"
        return
    except NoSymbols as error:
        yield "Makefile", 1, f"no call was checked: {error}"
        return
    yield from upward_uses(tree, uses)
    yield from large_circles(tree, uses)
