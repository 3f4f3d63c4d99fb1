# SPDX-License-Identifier: Apache-2.0
"""A scrape of /metrics, checked for correct exposition by promcheck.py beside this package."""
import promcheck

from hg.framework import Failure


class Metrics:
    """metrics("name_total", route="a"): the sum of the matching samples, 0.0 if none match."""

    def __init__(self, text):
        findings, self.families = promcheck.examine(text)
        if findings:
            raise Failure("metrics: " + "; ".join(findings[:5]))

    def __call__(self, name, **labels):
        family = self.families.get(promcheck.family_of(name, self.families))
        if family is None:
            raise Failure(f"metrics: there is no {name}")
        return sum(value for _, sample, have, value in family.samples
                   if sample == name and all(have.get(k) == v for k, v in labels.items()))

    def gauges(self):
        """{(name, labels): value} of every gauge."""
        return {(sample, tuple(sorted(labels.items()))): value for family in self.families.values()
                if family.type == "gauge" for _, sample, labels, value in family.samples}
