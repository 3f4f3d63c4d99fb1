# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of Gateway API against one headgate that follows a real API server."""
import os
import re
import shutil

import yaml
from cluster import PROGRAMS, Cluster, program
from hg import *
from hg.framework import binary

# Of the suite, for each profile: core tests, and extended tests on the standard and the experimental channel.
TESTS = {"GATEWAY-HTTP": (36, 57, 58), "GATEWAY-GRPC": (14, 11, 11), "GATEWAY-TLS": (19, 16, 16),
         "GATEWAY-TCP": (18, 11, 11)}
UNUSABLE = "192.0.2.1"
USABLE = "172.30.0.250"
SUITE_S = 600
# Further arguments of the suite, while somebody writes: a run of some tests proves no number of tests.
ARGUMENTS = os.environ.get("SUITE", "").split()


def version():
    return run([binary("headgate"), "--version"])[1].split()[1]


def features_of(cluster):
    """Complete once the gateway knows the definitions. The suite reads them once, at its start."""
    status = cluster.api.get("/apis/gateway.networking.k8s.io/v1/gatewayclasses/headgate").get("status", {})
    is_complete = any(one["type"] == "SupportedVersion" for one in status.get("conditions", ()))
    return is_complete and status.get("supportedFeatures")


def run_suite(cluster, channel):
    """Runs the suite with every feature of the GatewayClass: (exit status, output, path of the report). The
    output stays beside the report."""
    report = os.path.join(PROGRAMS, channel + ".yaml")
    if os.path.exists(report):
        os.remove(report)
    suite = Process([
        program("suite"), "-test.v", "-test.run=^TestConformance$", f"-test.timeout={SUITE_S}s",
        "-gateway-class=headgate", "-conformance-profiles=" + ",".join(TESTS), f"-usable-address={USABLE}",
        f"-unusable-address={UNUSABLE}", "-cleanup-base-resources=false", f"-report-output={report}",
        "-organization=headgate", "-project=headgate", "-url=https://headgate.dev", f"-version={version()}",
        "-contact=conformance@headgate.dev", *ARGUMENTS], "suite", env={"KUBECONFIG": cluster.kubeconfig},
        netns=cluster.namespace)
    status = suite.wait(SUITE_S + 60)
    shutil.copy(suite.stdout_path, os.path.join(PROGRAMS, channel + ".log"))
    return status, suite.stdout, report


def passes(channel):
    cluster = Cluster(channel)
    gateway = cluster.serve()
    wait_until(lambda: features_of(cluster), 30, "the features of the GatewayClass")
    seconds, (status, output, report) = timed(lambda: run_suite(cluster, channel))
    failed = re.findall(r"(?m)^ {4}--- FAIL: TestConformance/(\S+)", output)
    note(f"the suite took {seconds:.0f} s")
    gateway.stop()
    check(status == 0 and not failed, f"the suite ended with {status}, these tests failed: {failed}")
    if ARGUMENTS:
        return
    with open(report, encoding="utf-8") as file:
        profiles = {profile["name"]: profile for profile in yaml.safe_load(file)["profiles"]}
    for name, (core, *extended) in TESTS.items():
        wanted = core, extended[channel == "experimental"]
        passed = tuple(profiles[name][part]["statistics"].get("Passed") for part in ("core", "extended"))
        eq(passed, wanted, f"core and extended tests of {name} that passed")


@test("all tests of the conformance suite of Gateway API pass, with the standard channel",
      timeout=SUITE_S + 180, serial=True, needs=("root", "netns"))
def standard():
    passes("standard")


@test("all tests of the conformance suite of Gateway API pass, with the experimental channel",
      timeout=SUITE_S + 180, serial=True, needs=("root", "netns"))
def experimental():
    passes("experimental")
