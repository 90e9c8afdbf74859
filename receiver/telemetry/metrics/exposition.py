"""Metrics in Prometheus' text format. Pure."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from receiver.telemetry.metrics.definitions import BEYOND, METRICS, SUM, Metric

Values = dict[tuple[str, ...], float]  # by what follows the name in the field


def expose(fields: Mapping[str, float]) -> bytes:
    """The metrics that have values.

    Fields of no metric are left out: another version may have written them.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fields(fields))
    return generate_latest(registry)


class _Fields(Collector):
    def __init__(self, fields: Mapping[str, float]) -> None:
        self._values: dict[str, Values] = {}
        for field, value in fields.items():
            name, *rest = field.split(":")
            self._values.setdefault(name, {})[tuple(rest)] = value

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            values = self._values.get(metric.name, {})
            family = (
                _histogram(metric, values) if metric.kind == "histogram" else _plain(metric, values)
            )
            if family.samples:
                yield family


def _plain(metric: Metric, values: Values) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in sorted(values.items()):
        if len(labels) == len(metric.labels):
            family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, values: Values) -> Family:
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    bounds = [*(str(bound) for bound in metric.buckets), BEYOND]
    for labels in sorted({key[:-1] for key in values if len(key) == len(metric.labels) + 1}):
        counts = accumulate(values.get((*labels, bound), 0.0) for bound in bounds)
        family.add_metric(
            labels, list(zip(bounds, counts, strict=True)), values.get((*labels, SUM), 0.0)
        )
    return family
