"""All names follow Prometheus' conventions, and the README has them."""

import re
from pathlib import Path

import pytest

from receiver.telemetry.metrics.definitions import METRICS, Metric

README = (Path(__file__).parents[4] / "README.md").read_text()
UNITS = ("_seconds", "_bytes", "_info")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_name_follows_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"gbr_[a-z]+(_[a-z]+)*", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    unit = metric.name.removesuffix("_total")
    said = re.search(r"bytes|duration|_age_|timestamp|_info", metric.name)
    assert (said is not None) == unit.endswith(UNITS)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert not {"batch", "key"} & set(metric.labels)
    assert not metric.values or len(metric.labels) == 1


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_readme_has_it(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |" in README


def test_readme_names_no_other() -> None:
    section = README.partition("## Metrics\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(gbr_\w+)`", section, re.MULTILINE)) == {
        metric.name for metric in METRICS
    }
