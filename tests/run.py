#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the tests; the last line is "N passed, N failed" (and ", N skipped" when there are any).

    tests/run.py check                         everything, release and asan
    tests/run.py --profile asan check          everything of one profile
    tests/run.py --only idle scenario          scenario tests whose name contains "idle"
    tests/run.py unit | bpf | fuzz | soak | list
    tests/run.py interop                       with programs of others, from npm

Logs stay under build/<profile>/logs/. A failure shows its name and the last 60 lines of its log.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from hg import npm, process, runner  # noqa: E402

SHOWN_LINES = 60
SLOW_S = 5.0
C_TEST_S = 150  # for one unit or BPF test program
# BPF test programs that run alone, at the end: one looks at the memory of the machine, one measures speed and
# keeps a kernel worker from its processor.
MEASURING = ("test_memory", "test_rules", "test_hop_memory")
# Tests that failed while others ran, on a machine that may be busy with more than they: each runs once more,
# alone. One that passes then is named as unsteady. When more than so many fail, or when a program died or a
# sanitizer spoke, there is no second try.
SECOND_TRIES = 4
GRAVE = re.compile(r"Sanitizer|runtime error:|check failed|left running|ended by itself|"
                   r"ended with -|wait status")
TAP = re.compile(r"^(not )?ok(?: \d+)?(?: -)? ?(.*)$")


class Report:
    """Counts and prints, for any thread. Every line begins with ok, FAIL or skip."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.unsteady = []
        self.start = time.monotonic()
        self._sections = []
        self._lock = threading.Lock()

    def section(self, name):
        self._sections.append((name, time.monotonic()))
        say(f"\n== {name}")

    def ok(self, name, count=1, seconds=0.0):
        many = f" ({count})" if count > 1 else ""
        with self._lock:
            self.passed += count
            say(f"ok    {name}{many}{took(seconds)}")

    def skip(self, name, reason, count=1):
        with self._lock:
            self.skipped += count
            say(f"skip  {name}: {reason}")

    def fail(self, name, reason="", log=None, seconds=0.0):
        with self._lock:
            self.failed += 1
            self.failures.append(name)
            say(f"FAIL  {name}" + (f": {reason}" if reason else "") + took(seconds))
            if log:
                lines = process.tail(log, SHOWN_LINES).rstrip("\n")
                if lines:
                    say("      | " + lines.replace("\n", "\n      | "))
                say(f"      full log: {os.path.relpath(log, ROOT)}")

    def second(self, name, reason, count=1, seconds=0.0):
        """Failed among others, passed alone: counts as passed, and is named at the end to be mended."""
        with self._lock:
            self.unsteady.append(f"{name}: {reason}" if reason else name)
        self.ok(name + " (at the second try)", count, seconds)

    def finish(self):
        end = time.monotonic()
        minutes, seconds = divmod(int(end - self.start), 60)
        ends = [start for _, start in self._sections[1:]] + [end]
        parts = [f"{name} {until - start:.0f} s" for (name, start), until in zip(self._sections, ends)]
        say("\n" + ", ".join(parts))
        say(f"{minutes} min {seconds} s" + (", failed:" if self.failures else ""))
        for name in self.failures:
            say(f"  {name}")
        if self.unsteady:
            say("unsteady, passed at the second try and alone:")
        for name in self.unsteady:
            say(f"  {name}")
        tail = f", {self.skipped} skipped" if self.skipped else ""
        sys.stderr.flush()
        say(f"{self.passed} passed, {self.failed} failed{tail}")
        return 1 if self.failed else 0


def took(seconds):
    return f" [{seconds:.1f} s]" if seconds >= SLOW_S else ""


def say(text):
    print(text, flush=True)


def log_path(profile, *parts):
    path = os.path.join(ROOT, "build", profile, "logs", *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def clean_env(extra=None):
    """Without what an outer make hands down: the inner one is started as if by hand."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS")
    env = {k: v for k, v in os.environ.items() if k not in outer}
    return {**env, **(extra or {})}


def run_logged(argv, log, env=None, timeout=None):
    """(exit status, seconds); output in the log. A negative status is a signal, None means too slow."""
    start = time.monotonic()
    with open(log, "wb") as file:
        try:
            result = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT, env=clean_env(env), timeout=timeout,
                                    check=False)
            status = result.returncode
        except subprocess.TimeoutExpired:
            status = None
        except OSError as error:
            file.write(f"{error}\n".encode())
            status = 127
    return status, time.monotonic() - start


def ended(status):
    if status is None:
        return "took too long"
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def cores():
    return len(os.sched_getaffinity(0))


# ---- steps ---------------------------------------------------------------------------------------------


def build(report, options, profile, targets, cc=None):
    """True when it could be built."""
    argv = ["make", "-s", f"-j{cores()}", f"PROFILE={profile}", f"CC={cc or options.cc}", *targets]
    what = targets[0] if len(targets) == 1 else f"{len(targets)} programs"
    name = f"build {what} with {cc or options.cc} ({profile})"
    log = log_path(profile, f"build-{cc or options.cc}-{os.path.basename(targets[0])}.log")
    status, seconds = run_logged(argv, log, timeout=900)
    if status == 0:
        report.ok(name, seconds=seconds)
    else:
        report.fail(name, ended(status), log, seconds)
    return status == 0


def lint(report, options):
    report.section("lint")
    log = log_path("release", "lint.log")
    status, _ = run_logged([sys.executable, "scripts/lint/lint.py", "--report"], log, timeout=120)
    findings = []
    lines = process.read_text(log).rstrip("\n").split("\n")
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "ok":
            report.ok(rest)
        elif word == "FAIL":
            report.fail(rest)
            for finding in findings[:SHOWN_LINES]:
                say(f"      | {finding}")
            if len(findings) > SHOWN_LINES:
                say(f"      | … {len(findings) - SHOWN_LINES} more in {os.path.relpath(log, ROOT)}")
        if word in ("ok", "FAIL"):
            findings = []
        else:
            findings.append(line)
    # A rule that dies ends the others, too: they have said nothing, which is not the same as nothing to say.
    if status not in (0, 1) or not lines[-1].startswith("lint: "):
        report.fail("lint", f"{ended(status)}, before the last rule", log)


def c_tests(folder):
    path = os.path.join(ROOT, "tests", folder)
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [name[:-2] for name in names if name.startswith("test_") and name.endswith(".c")]


def run_c_test(profile, folder, name, timeout):
    """(name, status, seconds, log, [(word, test name, reason)])."""
    log = log_path(profile, folder, name + ".log")
    env = {"CMOCKA_MESSAGE_OUTPUT": "tap", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
           "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1"}
    status, seconds = run_logged([f"build/{profile}/{folder}/{name}"], log, env, timeout)
    results = []
    for line in process.read_text(log).split("\n"):
        match = TAP.match(line)
        if not match:
            continue
        text = match.group(2)
        if re.match(r"(?i)#? ?skip", text):
            results.append(("skip", re.sub(r"(?i)^#? ?skip:? ?", "", text)))
        else:
            results.append(("FAIL" if match.group(1) else "ok", text))
    return name, status, seconds, log, results


def run_c_tests(report, options, profiles, folder):
    names = [n for n in c_tests(folder) if not options.only or options.only in n]
    if not names or not profiles:
        no_match(report, options, folder)
        return
    report.section(f"{folder} tests ({', '.join(profiles)})")
    # Those of the sanitizer are slow: they come first, so that the end is not one of them on an idle machine.
    work = [(profile, name) for profile in reversed(profiles) for name in names]
    alone = [(profile, name) for profile, name in work if folder == "bpf" and name in MEASURING]
    failed = []
    for width, part in ((cores() + 1, [job for job in work if job not in alone]), (1, alone)):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            jobs = {pool.submit(run_c_test, profile, folder, name, C_TEST_S): profile
                    for profile, name in part}
            for job in concurrent.futures.as_completed(jobs):
                if c_test_passed(*job.result()):
                    count_c_test(report, jobs[job], folder, *job.result())
                else:
                    failed.append((jobs[job], job.result()))
    for profile, (name, *first) in failed:
        # Those of units have no kernel and no clock that could be late.
        again = folder == "bpf" and len(failed) <= SECOND_TRIES and 0 < (first[0] or 0) < 20
        again = again and not is_grave(first[2])
        result = run_c_test(profile, folder, name, C_TEST_S) if again else (name, *first)
        if c_test_passed(*result):
            tests = [text for word, text in first[3] if word == "FAIL"]
            count = sum(1 for word, _ in result[4] if word == "ok")
            report.second(f"{folder}/{profile} {name[len('test_'):]}", ", ".join(tests), count, result[2])
        else:
            count_c_test(report, profile, folder, *result)


def c_test_passed(_name, status, _seconds, _log, results):
    return status == 0 and bool(results) and all(word != "FAIL" for word, _ in results)


def is_grave(log, reason=""):
    return bool(GRAVE.search(reason) or GRAVE.search(process.read_text(log)))


def count_c_test(report, profile, folder, name, status, seconds, log, results):
    title = f"{folder}/{profile} {name[len('test_'):]}"
    passed = sum(1 for word, _ in results if word == "ok")
    failed = [text for word, text in results if word == "FAIL"]
    for word, text in results:
        if word == "skip":
            report.skip(f"{title}: {text}", "skipped by the test")
    if status == 0 and not failed and results:
        if passed:
            report.ok(title, passed, seconds)
        return
    report.passed += passed
    for text in failed[1:]:
        report.fail(f"{title}: {text}")
    if failed:
        report.fail(f"{title}: {failed[0]}", "", log, seconds)
    else:
        report.fail(title, "it ran no test" if status == 0 else ended(status), log, seconds)


def origin_selftests(report, profiles):
    if not profiles:
        return
    report.section(f"backend ({', '.join(profiles)})")
    with concurrent.futures.ThreadPoolExecutor(len(profiles)) as pool:
        for outcome in pool.map(run_origin_selftest, profiles):
            count_origin_selftest(report, *outcome)


def run_origin_selftest(profile):
    """(profile, status, seconds, log)."""
    script = os.path.join(ROOT, "tests", "origin", "selftest.py")
    log = log_path(profile, "origin-selftest.log")
    env = {"HTTPBIN_BIN": os.path.join(ROOT, "build", profile, "httpbin"), "HG_PROFILE": profile}
    return profile, *run_logged([sys.executable, script, env["HTTPBIN_BIN"]], log, env, 240), log


def count_origin_selftest(report, profile, status, seconds, log):
    counts = re.findall(r"^(\d+) passed, (\d+) failed", process.read_text(log), re.M)
    passed = int(counts[-1][0]) if counts else 1
    if status == 0:
        report.ok(f"origin/{profile} selftest", passed, seconds)
    else:
        report.fail(f"origin/{profile} selftest", ended(status), log)


def fuzz_targets():
    path = os.path.join(ROOT, "tests", "fuzz")
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [n[:-2] for n in names if n.startswith("fuzz_") and n.endswith(".c")]


def run_fuzz_target(target, seconds):
    name = target[len("fuzz_"):]
    log = log_path("fuzz", target + ".log")
    found = os.path.join(ROOT, "build", "fuzz", "corpus", name)
    artifacts = os.path.join(ROOT, "build", "fuzz", "artifacts", name, "")
    seeds = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
    dictionary = os.path.join(ROOT, "tests", "fuzz", name + ".dict")
    for folder in (found, artifacts):
        os.makedirs(folder, exist_ok=True)
    argv = [f"build/fuzz/fuzz/{target}", f"-max_total_time={seconds}", f"-artifact_prefix={artifacts}",
            "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1", "-max_len=16384"]
    if os.path.exists(dictionary):
        argv.append(f"-dict={dictionary}")
    argv.append(found)
    if os.path.isdir(seeds):
        argv.append(seeds)
    status, lasted = run_logged(argv, log, {"UBSAN_OPTIONS": "print_stacktrace=1"}, seconds + 600)
    runs = re.search(r"stat::number_of_executed_units: (\d+)", process.read_text(log))
    return target, status, lasted, log, int(runs.group(1)) if runs else 0


def fuzz(report, options):
    targets = [t for t in fuzz_targets() if not options.only or options.only in t]
    if not targets:
        no_match(report, options, "fuzz")
        return
    if not build(report, options, "fuzz", ["fuzzers"], "clang"):
        return
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        jobs = [pool.submit(run_fuzz_target, target, options.fuzz_seconds) for target in targets]
        for job in concurrent.futures.as_completed(jobs):
            target, status, seconds, log, runs = job.result()
            if status == 0:
                report.ok(f"fuzz/{target[len('fuzz_'):]} ({runs} inputs)")
            else:
                report.fail(f"fuzz/{target[len('fuzz_'):]}", ended(status), log, seconds)


def scenario_env(profile, options):
    env = {"HG_PROFILE": profile}
    for name in ("headgate", "httpbin"):
        key = name.upper() + "_BIN"
        env[key] = os.environ.get(key) or os.path.join(ROOT, "build", profile, name)
    if options.require:
        env["HG_REQUIRE"] = options.require
    if options.soak_seconds:
        env["HG_SOAK_SECONDS"] = str(options.soak_seconds)
    return env


def interop(report, options, profiles):
    """Loudly skipped where the packages cannot be had: that is no fault of ours."""
    try:
        os.environ["HG_NPM"] = npm.packages(os.path.join(ROOT, "tests", "interop", "mcp"))
    except npm.Unavailable as why:
        say("*** NOT TESTED: the MCP gateway with clients and servers of others")
        report.skip("interop", str(why))
        return
    scenarios(report, options, profiles, folder="interop")


def scenarios(report, options, profiles, only_soak=False, folder="scenario"):
    tests, broken = runner.discover(os.path.join(ROOT, "tests", folder))
    tests = [t for t in tests if (not options.only or options.only in t.name) and (t.soak or not only_soak)]
    if not tests and not broken:
        no_match(report, options, folder)
        return
    report.section(f"{'scenarios' if folder == 'scenario' else folder} ({', '.join(profiles)})")
    for name, trace in broken:
        log = log_path(profiles[0], folder, name + ".log")
        with open(log, "w", encoding="utf-8") as file:
            file.write(trace)
        report.fail(f"{folder} {name}", "does not load", log)
    for test in tests:
        if only_soak and options.soak_seconds:
            test.timeout = max(test.timeout, options.soak_seconds * 1.5 + 60)
    work = [(test, p, os.path.dirname(log_path(p, folder, "x")), scenario_env(p, options))
            for p in profiles for test in tests
            if not test.measures or p not in ("asan", "tsan")]

    failed = []

    def title(outcome):
        return f"{folder}/{outcome.profile} {outcome.test.name}"

    def count(outcome, first=None):
        name = title(outcome)
        if outcome.status == "ok" and first:
            report.second(name, first.text, seconds=outcome.seconds)
        elif outcome.status == "ok":
            report.ok(name, seconds=outcome.seconds)
        elif outcome.status == "skip":
            report.skip(name, outcome.text)
        else:
            report.fail(name, outcome.text, outcome.log, outcome.seconds)

    def sort(outcome):
        if outcome.status == "FAIL" and options.command == "check":
            failed.append(outcome)
            say(f"again {title(outcome)}: {outcome.text}{took(outcome.seconds)}")
        else:
            count(outcome)
    runner.run_all(work, options.jobs, sort)
    for first in failed:
        # More than a few are no accident of a busy machine.
        job = [w for w in work if w[0] is first.test and w[1] == first.profile]
        if len(failed) <= SECOND_TRIES and not is_grave(first.log, first.text):
            shutil.copyfile(first.log, first.log + ".first")
            runner.run_all(job, 1, lambda outcome, first=first: count(outcome, first))
        else:
            count(first)


def no_match(report, options, kind):
    if options.only:
        report.fail(f"no {kind} test has '{options.only}' in its name")


def what_to_build(options, profile):
    if options.command not in ("unit", "bpf"):
        return ["all"]
    names = [n for n in c_tests(options.command) if not options.only or options.only in n]
    return [f"build/{profile}/{options.command}/{name}" for name in names] or ["all"]


def check(report, options, profiles):
    report.section("build")
    built = [p for p in profiles if build(report, options, p, ["tests"])]

    def other_compiler():
        build(report, options, "debug", ["objects"], "clang" if "clang" not in options.cc else "gcc")
        fuzz(report, options)
    # Beside tests that wait more than they compute, with what those leave of the cores.
    with concurrent.futures.ThreadPoolExecutor(1, initializer=os.nice, initargs=(19,)) as beside:
        others = [beside.submit(other_compiler)] if "release" in profiles else []
        lint(report, options)
        run_c_tests(report, options, built, "unit")
        origin_selftests(report, built)
        run_c_tests(report, options, built, "bpf")
        for job in others:
            job.result()
    if built:
        scenarios(report, options, built)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "unit", "bpf", "scenario", "fuzz", "soak", "interop",
                                            "list"])
    parser.add_argument("--profile", action="append", help="release, debug, asan or tsan; may be repeated")
    parser.add_argument("--only", default="", help="only tests whose file or claim contains this")
    parser.add_argument("--jobs", type=int, default=cores() * 4,
                        help="scenario tests at a time, and as many again of those that only wait")
    parser.add_argument("--no-build", action="store_true", help="take the programs as they are")
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--fuzz-seconds", type=int, default=5)
    parser.add_argument("--soak-seconds", type=float, default=0)
    parser.add_argument("--require", default=os.environ.get("HG_REQUIRE", ""),
                        help="abilities that may not be missing: bpf,netns,tools,… or all (check: tools)")
    options = parser.parse_args()
    if options.command == "check":
        options.require += " tools"  # the packages were installed a moment ago
    os.chdir(ROOT)
    profiles = options.profile or (["release", "asan"] if options.command == "check" else ["release"])
    if options.command == "list":
        for test in runner.discover(os.path.join(ROOT, "tests", "scenario"))[0]:
            marks = [mark for mark in (test.kind, "soak" if test.soak else "") if mark]
            say(" ".join([test.name, *(f"({mark})" for mark in marks)]))
        return 0
    report = Report()
    try:
        if options.command == "check":
            check(report, options, profiles)
        elif options.command == "fuzz":
            fuzz(report, options)
        elif options.no_build or all(build(report, options, p, what_to_build(options, p)) for p in profiles):
            if options.command in ("unit", "bpf"):
                run_c_tests(report, options, profiles, options.command)
            if options.command == "interop":
                interop(report, options, profiles)
            if options.command in ("scenario", "soak"):
                scenarios(report, options, profiles, only_soak=options.command == "soak")
    except KeyboardInterrupt:
        report.fail("interrupted")
    except Exception as error:  # pylint: disable=broad-except
        import traceback
        traceback.print_exc()
        report.fail("tests/run.py", repr(error))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
