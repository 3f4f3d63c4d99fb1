#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the tests; the last line is "N passed, N failed" (and ", N skipped" if there are any).

    tests/run.py check                         as `make check`: functional tests only, in minutes
    tests/run.py thorough                      all tests in both profiles, long tests, clang, fuzzers
    tests/run.py --profile asan check          everything of one profile
    tests/run.py --only idle scenario          scenario tests whose name contains "idle"
    tests/run.py unit | bpf | fuzz | soak | list
    tests/run.py interop                       interoperability with programs from npm
    tests/run.py package                       the Debian package in build/deb/
    tests/run.py conformance                   the suite of Gateway API, by the programs in build/conformance/

Logs stay under build/<profile>/logs/. A failure shows its name, the last 60 lines of its log and the
command to repeat it.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from hg import npm, process, report as reports, runner  # noqa: E402
from hg.report import SHOWN_LINES, Report, ended, repeat_command  # noqa: E402

C_TEST_S = 150  # for one unit or BPF test program, seconds
# BPF test programs that run alone, at the end: this one sets net.ipv4.tcp_mem, which affects every TCP
# socket.
ALONE = ("test_bypass_memory",)
# The longest programs run first, so that they do not run alone at the end.
LONGEST = ("test_rules", "test_sockmap_resume")
# The most failed tests that are repeated alone, because a busy machine may be the cause. A test that passes
# then is reported as unsteady. There is no second try if more tests fail, or if a program crashed or a
# sanitizer reported.
SECOND_TRIES = 4
GRAVE = re.compile(r"Sanitizer|runtime error:|check failed|left running|ended by itself|"
                   r"ended with -|wait status")
TAP = re.compile(r"^(not )?ok(?: \d+)?(?: -)? ?(.*)$")
# These unit tests inspect freed memory, which the sanitizer's heap keeps.
RELEASE_UNITS = ("test_mem", "test_tls_allocator")
# `make check` runs unit tests and scenarios in asan, and BPF tests in release. Scenarios whose subject
# differs in release (the kernel lanes, amounts of memory, load, restart) run there as well, heavy ones only
# there. `make thorough` runs all tests in both. So check builds only these targets:
CHECK_TARGETS = {
    "release": ["all", "bpf-tests", "failpoint", *(f"build/release/unit/{name}" for name in RELEASE_UNITS)],
    "asan": ["all", "unit-tests", "corpus", "failpoint"]}
# Tests of the test tools: the profile makes no difference.
TOOLS = ("benchmarks", "library", "lint")
RELEASE_FILES = ("resume", "bodies", "crashes", "ends", "failpoints", "sockmap", "handover", "held_memory",
                 "bypass", "keeper", "same_host", "splice", "tunnel_memory", "upgrade")
# These files are the same in both profiles: `make check` has them in asan, and what is heavy in release.
SAME_IN_BOTH = (
    "bypass", "ends", "failpoints", "handover", "keeper", "resume", "resume_requests", "resume_responses",
    "resume_same_host", "same_host", "same_host_life", "splice_body", "splice_integrity", "splice_life",
    "splice_paths", "splice_start", "splice_tunnel")


def log_path(profile, *parts):
    path = os.path.join(ROOT, "build", profile, "logs", *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def clean_env(extra=None):
    """The environment without the variables of an outer make, so that the inner one runs as if started by
    hand."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS")
    env = {k: v for k, v in os.environ.items() if k not in outer}
    return {**env, **(extra or {})}


def run_logged(argv, log, env=None, timeout=None):
    """Runs a command with its output in the log: (exit status, seconds). A negative status is a signal, None
    a timeout."""
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


def cores():
    return len(os.sched_getaffinity(0))


def in_parallel(report, steps):
    """Runs steps, {name: function}, at the same time: none of them keeps all cores busy."""
    with report.together(", ".join(steps)), concurrent.futures.ThreadPoolExecutor(len(steps)) as pool:
        for job in [pool.submit(step) for step in steps.values()]:
            job.result()


# ---- steps ---------------------------------------------------------------------------------------------


def build(report, options, profile, targets, cc=None):
    """Builds the targets; True on success."""
    argv = ["make", "-s", f"-j{cores()}", f"PROFILE={profile}", f"CC={cc or options.cc}", *targets]
    what = " ".join(targets) if len(targets) < 5 else f"{len(targets)} programs"
    name = f"build {what} with {cc or options.cc} ({profile})"
    log = log_path(profile, f"build-{cc or options.cc}-{os.path.basename(targets[0])}.log")
    status, seconds = run_logged(argv, log, timeout=1800)
    if status == 0:
        report.ok(name, seconds=seconds)
    else:
        report.fail(name, ended(status), log, seconds)
    return status == 0


def lint(report, options, profile):
    """Runs lint, which reads objects: with a profile that was built it compiles none."""
    report.section("lint")
    log = log_path(profile, "lint.log")
    status, _ = run_logged([sys.executable, "scripts/lint/lint.py", "--report"], log,
                           {"PROFILE": profile, "CC": options.cc}, timeout=300)
    findings = []
    lines = process.read_text(log).rstrip("\n").split("\n")
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "ok":
            report.ok(rest)
        elif word == "FAIL":
            report.fail(rest)
            for finding in findings[:SHOWN_LINES]:
                report.say(f"      | {finding}")
            if len(findings) > SHOWN_LINES:
                report.say(f"      | … {len(findings) - SHOWN_LINES} more in {os.path.relpath(log, ROOT)}")
        if word in ("ok", "FAIL"):
            findings = []
        else:
            findings.append(line)
    # A rule that crashes also ends the following ones: count them as failed, not as clean.
    if status not in (0, 1) or not lines[-1].startswith("lint: "):
        report.fail("lint", f"{ended(status)}, before the last rule", log)


def c_tests(folder):
    path = os.path.join(ROOT, "tests", folder)
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [name[:-2] for name in names if name.startswith("test_") and name.endswith(".c")]


# The result of a unit or BPF test program; results: [("ok" | "FAIL" | "skip", name of the test)].
CTest = collections.namedtuple("CTest", "name status seconds log results")


def run_c_test(profile, folder, name, timeout):
    """Runs a unit or BPF test program; returns its CTest."""
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
    return CTest(name, status, seconds, log, results)


def is_run(profile, folder, name, options):
    """True if this run includes this unit or BPF test program in this profile."""
    if options.command != "check" or options.profile:
        return True
    release = folder == "bpf" or name in RELEASE_UNITS
    return profile == ("release" if release else "asan")


def run_c_tests(report, options, profiles, folder):
    names = [n for n in c_tests(folder) if not options.only or options.only in n]
    if not names or not profiles:
        no_match(report, options, folder)
        return
    # The slow sanitizer profile comes first, so that it does not run alone at the end.
    work = [(profile, name) for profile in reversed(profiles) for name in names
            if is_run(profile, folder, name, options)]
    work.sort(key=lambda job: job[1] not in LONGEST)
    report.section(f"{folder} tests ({', '.join(sorted({p for p, _ in work}, reverse=True))})", len(work))
    alone = [(profile, name) for profile, name in work if folder == "bpf" and name in ALONE]
    failed = []

    def run_one(job):
        report.begins(c_title(folder, *job))
        result = run_c_test(*job[:1], folder, job[1], C_TEST_S)
        report.ends(c_title(folder, *job))
        return result
    for width, part in ((cores() + 1, [job for job in work if job not in alone]), (1, alone)):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            jobs = {pool.submit(run_one, job): job for job in part}
            for job in concurrent.futures.as_completed(jobs):
                if c_test_passed(job.result()):
                    count_c_test(report, jobs[job][0], folder, job.result())
                else:
                    failed.append((jobs[job][0], job.result()))
    for profile, first in failed:
        # Only BPF tests are repeated: unit tests use neither kernel nor clock, which could be late.
        again = folder == "bpf" and len(failed) <= SECOND_TRIES and 0 < (first.status or 0) < 20
        again = again and not is_grave(first.log)
        result = run_c_test(profile, folder, first.name, C_TEST_S) if again else first
        if c_test_passed(result):
            tests = [text for word, text in first.results if word == "FAIL"]
            count = sum(1 for word, _ in result.results if word == "ok")
            title = c_title(folder, profile, first.name)
            report.second(title, ", ".join(tests), count, result.seconds,
                          repeat_command(folder, profile, first.name))
        else:
            count_c_test(report, profile, folder, result)


def c_title(folder, profile, name):
    return f"{folder}/{profile} {name[len('test_'):]}"


def c_test_passed(result):
    return (result.status == 0 and bool(result.results)
            and all(word != "FAIL" for word, _ in result.results))


def is_grave(log, reason=""):
    return bool(GRAVE.search(reason) or GRAVE.search(process.read_text(log)))


def count_c_test(report, profile, folder, result):
    title = c_title(folder, profile, result.name)
    repeat = repeat_command(folder, profile, result.name)
    passed = sum(1 for word, _ in result.results if word == "ok")
    failed = [text for word, text in result.results if word == "FAIL"]
    for word, text in result.results:
        if word == "skip":
            report.skip(f"{title}: {text}", skip_reason(result.log))
    if c_test_passed(result):
        if passed:
            report.ok(title, passed, result.seconds)
        return
    report.passed += passed
    for text in failed[1:]:
        report.fail(f"{title}: {text}")
    if failed:
        report.fail(f"{title}: {failed[0]}", "", result.log, result.seconds, repeat)
    else:
        report.fail(title, "it ran no test" if result.status == 0 else ended(result.status), result.log,
                    result.seconds, repeat)


def skip_reason(log):
    """The reason that a C test printed before it skipped."""
    said = r"(?m)^(?:# )?(?:SKIPPED, NOTHING WAS TESTED|skipped): (.*)$"
    reasons = re.findall(said, process.read_text(log))
    return reasons[-1] if reasons else "skipped by the test"


def origin_selftests(report, profiles):
    if not profiles:
        return
    report.section(f"backend ({', '.join(profiles)})")
    with concurrent.futures.ThreadPoolExecutor(len(profiles)) as pool:
        for outcome in pool.map(run_origin_selftest, profiles):
            count_origin_selftest(report, *outcome)


def run_origin_selftest(profile):
    """Runs the self-test of httpbin: (profile, status, seconds, log)."""
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


def corpus(report, options, profiles):
    """Runs every committed input once through the functions of the fuzzers, without their compiler."""
    if "asan" not in profiles:
        return
    targets = [t for t in fuzz_targets() if not options.only or options.only in t]
    report.section("fuzz corpus (asan)", len(targets))
    for target in targets:
        name = target[len("fuzz_"):]
        log = log_path("asan", "corpus", name + ".log")
        status, seconds = run_logged([f"build/asan/corpus/{target}", f"tests/fuzz/corpus/{name}"], log,
                                     {"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}, C_TEST_S)
        inputs = re.search(r"(?m)^(\d+) inputs", process.read_text(log))
        if status == 0 and inputs and int(inputs.group(1)):
            report.ok(f"corpus/{name} ({inputs.group(1)} inputs)", seconds=seconds)
        else:
            report.fail(f"corpus/{name}", ended(status) if status else "it read no input", log, seconds)


def fuzz(report, options):
    targets = [t for t in fuzz_targets() if not options.only or options.only in t]
    if not targets:
        no_match(report, options, "fuzz")
        return
    report.section("fuzz", len(targets))
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
    if options.command == "thorough":
        env["HG_THOROUGH"] = "1"
    return env


def interop(report, options, profiles):
    """Runs the interoperability tests; those that need packages of npm are reported as skipped without
    them."""
    without = ()
    try:
        os.environ["HG_NPM"] = npm.packages(os.path.join(ROOT, "tests", "interop", "mcp"))
    except npm.Unavailable as why:
        report.skip("interop mcp", str(why))
        without = ("mcp",)
    scenarios(report, options, profiles, folder="interop", without=without)


def differs_in_release(test):
    """True if the test shows something in release that it does not show under a sanitizer."""
    if test.kind in ("heavy", "serial") or test.measures or test.soak:
        return True
    if test.file in SAME_IN_BOTH:
        return False
    return "bpf" in test.needs or test.file in TOOLS or test.file.startswith(RELEASE_FILES)


def is_played(test, profile, options):
    """True if this run includes this test in this profile."""
    if test.measures and profile in ("asan", "tsan"):
        return False
    if options.command != "check":
        return True
    if test.long or options.profile:
        return not test.long
    if profile == "release":
        return differs_in_release(test)
    return test.kind != "heavy" and test.file not in TOOLS


def scenarios(report, options, profiles, only_soak=False, folder="scenario", without=()):
    tests, broken = runner.discover(os.path.join(ROOT, "tests", folder))
    tests = [t for t in tests if t.file not in without]
    tests = [t for t in tests if (not options.only or t.matches(options.only)) and (t.soak or not only_soak)]
    if not tests and not broken:
        no_match(report, options, folder)
        return
    for test in tests:
        if only_soak and options.soak_seconds:
            test.timeout = max(test.timeout, options.soak_seconds * 1.5 + 60)
    work = [(test, p, os.path.dirname(log_path(p, folder, "x")), scenario_env(p, options))
            for p in profiles for test in tests if is_played(test, p, options)]
    report.section(f"{'scenarios' if folder == 'scenario' else folder} ({', '.join(profiles)})", len(work))
    for name, trace in broken:
        log = log_path(profiles[0], folder, name + ".log")
        with open(log, "w", encoding="utf-8") as file:
            file.write(trace)
        report.fail(f"{folder} {name}", "does not load", log)

    failed = []

    def title(test, profile):
        return f"{folder}/{profile} {test.name}"

    def begins(test, profile):
        report.begins(title(test, profile))

    def count(outcome, first=None):
        name = title(outcome.test, outcome.profile)
        repeat = repeat_command(folder, outcome.profile, outcome.test.name)
        if outcome.status == "ok" and first:
            report.second(name, first.text, seconds=outcome.seconds, repeat=repeat)
        elif outcome.status == "ok":
            report.ok(name, outcome.count, outcome.seconds)
        elif outcome.status == "skip":
            report.skip(name, outcome.text)
        else:
            report.fail(name, outcome.text, outcome.log, outcome.seconds, repeat)

    def sort(outcome):
        report.ends(title(outcome.test, outcome.profile))
        if outcome.status == "FAIL" and options.command in ("check", "thorough"):
            failed.append(outcome)
            report.say(f"again {title(outcome.test, outcome.profile)}: {outcome.text}"
                       f"{reports.took(outcome.seconds)}; it runs once more, alone, at the end")
        else:
            count(outcome)
    runner.run_all(work, options.jobs, sort, begins)
    for first in failed:
        # Many failures are not caused by a busy machine: no second try.
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
    if options.command == "package":
        return [f"build/{profile}/httpbin"]
    if options.command not in ("unit", "bpf"):
        return ["all"]
    names = [n for n in c_tests(options.command) if not options.only or options.only in n]
    return [f"build/{profile}/{options.command}/{name}" for name in names] or ["all"]


def check(report, options, profiles):
    report.section("build", len(profiles))
    targets = {} if options.profile else CHECK_TARGETS
    built = [p for p in profiles if build(report, options, p, targets.get(p, ["tests"]))]
    in_parallel(report, {"lint": lambda: lint(report, options, profiles[0]),
                         "bpf tests": lambda: run_c_tests(report, options, built, "bpf")})
    run_c_tests(report, options, built, "unit")
    # Not beside the BPF tests: one of them changes how much memory TCP has.
    in_parallel(report, {"fuzz corpus": lambda: corpus(report, options, built),
                         "backend": lambda: origin_selftests(report, built)})
    if built:
        scenarios(report, options, built)
    find_unknown_unsteady(report)


def thorough(report, options, profiles):
    """Runs everything in both profiles, including tests that `make check` omits."""
    report.section("build", len(profiles) + 1)
    built = [p for p in profiles if build(report, options, p, ["tests"])]
    build(report, options, "debug", ["objects"], "clang" if "clang" not in options.cc else "gcc")
    for folder in ("unit", "bpf"):
        run_c_tests(report, options, built, folder)
    if built:
        scenarios(report, options, built)
    fuzz(report, options)


def find_unknown_unsteady(report):
    """Checks that tests/unsteady.txt names existing tests, each with its cause."""
    names = {f"scenario {test.name}" for test in runner.discover(os.path.join(ROOT, "tests", "scenario"))[0]}
    names |= {f"{folder} {name[len('test_'):]}" for folder in ("unit", "bpf") for name in c_tests(folder)}
    for name, cause in reports.read_unsteady().items():
        if name not in names:
            report.fail("tests/unsteady.txt", f"no test is called: {name}")
        elif not cause:
            report.fail("tests/unsteady.txt", f"give the cause behind ' | ': {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "thorough", "unit", "bpf", "scenario", "fuzz", "soak",
                                            "interop", "package", "conformance", "list"])
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
    if options.command in ("check", "thorough"):
        options.require += " tools"  # the packages have just been installed
    os.chdir(ROOT)
    profiles = options.profile or (["release", "asan"] if options.command in ("check", "thorough") else
                                   ["release"])
    if options.command == "list":
        for test in runner.discover(os.path.join(ROOT, "tests", "scenario"))[0]:
            marks = (test.kind, "soak" if test.soak else "", "long" if test.long else "")
            print(" ".join([test.name, *(f"({mark})" for mark in marks if mark)]))
        return 0
    report = Report()
    try:
        if options.command in ("check", "thorough"):
            {"check": check, "thorough": thorough}[options.command](report, options, profiles)
        elif options.command == "fuzz":
            fuzz(report, options)
        elif options.no_build or all(build(report, options, p, what_to_build(options, p)) for p in profiles):
            if options.command in ("unit", "bpf"):
                run_c_tests(report, options, profiles, options.command)
            if options.command == "interop":
                interop(report, options, profiles)
            if options.command in ("package", "conformance"):
                scenarios(report, options, profiles, folder=options.command)
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
