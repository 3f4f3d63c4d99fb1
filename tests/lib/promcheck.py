#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks text in the Prometheus exposition format 0.0.4, as strictly as a careful scraper and a bit more.

    promcheck.py [FILE]     standard input without FILE; one finding a line, exit 1 when there are any

As a module: check(text) returns the findings, parse(text) the samples as {(name, frozenset(labels)): value}.
"""
import functools
import math
import re
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*$")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*$")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: (-?\d+))?$")
LABEL = re.compile(r'([^=,{}"]+)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
# Only base units, and the unit at the end of the name (before _total).
WRONG_UNITS = re.compile(r"(_|^)(ms|millis|milliseconds|us|micros|microseconds|ns|nanos|nanoseconds|minutes|"
                         r"hours|kb|mb|gb|kib|mib|gib|kilobytes|megabytes|gigabytes|percent)(_|$)")
MISPLACED_UNIT = re.compile(r"_(seconds|bytes)_(?!total$|sum$|count$|bucket$)")


class Family:
    def __init__(self):
        self.help = None
        self.type = None
        self.samples = []  # (line number, name, labels, value)
        self.is_closed = False


@functools.lru_cache(maxsize=4096)  # the same label lists are in every scrape
def parse_labels(text):
    """{name: value}, which callers must not change, or None if the text is not a label list."""
    labels = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match or not LABEL_NAME.match(match.group(1)) or match.group(1) in labels:
            return None
        raw = match.group(2)
        labels[match.group(1)] = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), raw)
        at = match.end()
    return labels


def parse_value(text):
    try:
        return float(text)
    except ValueError:
        return None


def family_of(name, families):
    """The family that a sample belongs to: histograms have suffixes."""
    for suffix in ("_bucket", "_sum", "_count"):
        base = name[:-len(suffix)] if name.endswith(suffix) else None
        if base in families and families[base].type in ("histogram", "summary"):
            return base
    return name


def read_comment(number, line, families, findings):
    words = line.split(" ", 3)
    if len(words) < 3 or words[1] not in ("HELP", "TYPE"):
        return None
    name, rest = words[2], words[3] if len(words) > 3 else ""
    family = families.setdefault(name, Family())
    if not NAME.match(name):
        findings.append(f"{number}: {name} is not a metric name")
    if family.samples:
        findings.append(f"{number}: {words[1]} of {name} comes after its samples")
    if words[1] == "HELP":
        if family.help is not None:
            findings.append(f"{number}: second HELP of {name}")
        if not rest:
            findings.append(f"{number}: HELP of {name} is empty")
        family.help = rest
    else:
        if family.type is not None:
            findings.append(f"{number}: second TYPE of {name}")
        if rest not in TYPES:
            findings.append(f"{number}: TYPE of {name} is {rest!r}")
        family.type = rest
    return name


def read_sample(number, line, families, findings):
    match = SAMPLE.match(line)
    if not match:
        findings.append(f"{number}: not a sample: {line}")
        return None
    labels = parse_labels(match.group(2) or "")
    value = parse_value(match.group(3))
    if labels is None:
        findings.append(f"{number}: labels are malformed: {line}")
        return None
    if value is None:
        findings.append(f"{number}: {match.group(3)!r} is not a number")
        return None
    name = family_of(match.group(1), families)
    family = families.get(name)
    if family is None:
        findings.append(f"{number}: {name} has neither HELP nor TYPE")
        family = families.setdefault(name, Family())
    if family.is_closed:
        findings.append(f"{number}: the samples of {name} do not stand together")
    family.samples.append((number, match.group(1), labels, value))
    return name


def read(text, findings):
    families = {}
    current = None
    if text and not text.endswith("\n"):
        findings.append("the last line has no line feed")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if not line:
            continue
        if line.startswith("#"):
            name = read_comment(number, line, families, findings)
        else:
            name = read_sample(number, line, families, findings)
        if name is not None and name != current:
            if current is not None:
                families[current].is_closed = True
            current = name
    return families


def check_histogram(name, family, findings):
    rows = {}
    for number, sample, labels, value in family.samples:
        rest = frozenset((k, v) for k, v in labels.items() if k != "le")
        row = rows.setdefault(rest, {"buckets": [], "sum": None, "count": None, "line": number})
        if sample == name + "_bucket":
            if "le" not in labels or parse_value(labels["le"]) is None:
                findings.append(f"{number}: a bucket of {name} without a bound")
            else:
                row["buckets"].append((parse_value(labels["le"]), value))
        elif sample == name + "_sum":
            row["sum"] = value
        elif sample == name + "_count":
            row["count"] = value
        else:
            findings.append(f"{number}: {sample} in the histogram {name}")
    for row in rows.values():
        bounds = [bound for bound, _ in row["buckets"]]
        counts = [count for _, count in row["buckets"]]
        where = f"{row['line']}: {name}:"
        if not bounds or not math.isinf(bounds[-1]):
            findings.append(f"{where} the last bucket is not +Inf")
        if bounds != sorted(set(bounds)):
            findings.append(f"{where} bounds do not ascend")
        if counts != sorted(counts):
            findings.append(f"{where} buckets are not cumulative")
        if row["sum"] is None or row["count"] is None:
            findings.append(f"{where} _sum or _count is missing")
        elif counts and counts[-1] != row["count"]:
            findings.append(f"{where} _count {row['count']} is not the +Inf bucket {counts[-1]}")


def check_family(name, family, findings):
    if family.help is None or family.type is None:
        findings.append(f"{name}: HELP or TYPE is missing")
    if family.type == "counter" and not name.endswith("_total"):
        findings.append(f"{name}: a counter's name ends in _total")
    if family.type != "counter" and name.endswith("_total"):
        findings.append(f"{name}: only a counter's name ends in _total")
    if name.endswith(("_count", "_sum", "_bucket")):
        findings.append(f"{name}: the suffix belongs to histograms")
    if WRONG_UNITS.search(name):
        findings.append(f"{name}: use a base unit, seconds or bytes")
    if MISPLACED_UNIT.search(name):
        findings.append(f"{name}: the unit comes last")
    seen = set()
    for number, sample, labels, value in family.samples:
        key = (sample, frozenset(labels.items()))
        if key in seen:
            findings.append(f"{number}: the same sample twice: {sample} {labels}")
        seen.add(key)
        if "le" in labels and family.type != "histogram":
            findings.append(f"{number}: label le outside a histogram")
        if family.type in ("counter", "histogram") and not value >= 0:
            findings.append(f"{number}: {sample} is {value}")
        if family.type != "histogram" and sample != name:
            findings.append(f"{number}: {sample} in the family {name}")
    if family.type == "histogram":
        check_histogram(name, family, findings)


def examine(text):
    """(findings, {name: Family})."""
    findings = []
    families = read(text, findings)
    for name, family in families.items():
        check_family(name, family, findings)
    if not families:
        findings.append("there is nothing in it")
    return findings, families


def check(text):
    return examine(text)[0]


def parse(text):
    """Samples by (name, frozenset of label pairs)."""
    samples = {}
    for family in read(text, []).values():
        for _, name, labels, value in family.samples:
            samples[(name, frozenset(labels.items()))] = value
    return samples


def main():
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as file:
            text = file.read()
    else:
        text = sys.stdin.read()
    findings = check(text)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
