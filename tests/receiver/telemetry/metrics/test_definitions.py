"""All names follow Prometheus' conventions, and the page of metrics has them."""

import re

import pytest

from receiver.telemetry.metrics.definitions import METRICS, Metric
from tests.pages import section

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
def test_page_has_it(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |" in section(
        "## Metrics"
    )


def test_page_names_no_other() -> None:
    assert set(re.findall(r"^\| `(gbr_\w+)`", section("## Metrics"), re.MULTILINE)) == {
        metric.name for metric in METRICS
    }
