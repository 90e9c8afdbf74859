"""The dashboard and the alert rules name metrics, labels and values that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.telemetry.metrics.definitions import METRICS
from tests.programs import require

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SERIES = {metric.name for metric in METRICS if metric.kind != "histogram"} | {
    f"{metric.name}_{part}"
    for metric in METRICS
    if metric.kind == "histogram"
    for part in ("bucket", "sum", "count")
}
LABELS = {label for metric in METRICS for label in metric.labels} | {"job", "instance", "le"}


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


EXPRESSIONS = [rule["expr"] for rule in rules()] + [
    one["expr"] for panel in panels() for one in panel["targets"]
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_names_what_exists(expression: str) -> None:
    assert set(re.findall(r"gbr_\w+", expression)) <= SERIES
    assert re.search(r"gbr_\w+", expression)
    used = {
        name
        for group in re.findall(r"\b(?:by|on|without) \(([^)]*)\)", expression)
        for name in group.split(", ")
    }
    used |= set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", expression))
    assert used <= LABELS
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_asks_for_values_that_come(expression: str) -> None:
    for name, selector in re.findall(r"(gbr_\w+)\{([^}]*)\}", expression):
        meaning = next(
            metric.meaning for metric in METRICS if metric.name == name.removesuffix("_bucket")
        )
        values = "|".join(re.findall(r"(?:result|state|verdict)=~?\"([^\"]+)\"", selector))
        assert [
            value for value in values.split("|") if not re.search(rf"\b{value}\b", meaning)
        ] == []


def test_rules_say_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules()) >= 7
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "action"}


def test_dashboard_shows_every_metric() -> None:
    board = DASHBOARD.read_text()
    assert [metric.name for metric in METRICS if metric.name not in board] == []
    places = [tuple(panel["gridPos"].values()) for panel in panels()]
    assert len(set(places)) == len(places)


def test_prometheus_itself_reads_every_expression(tmp_path: Path) -> None:
    """The alert rules as they are, and the dashboard's expressions as rules of a file of ours."""
    require("promtool", "prometheus")
    records = [
        {"record": f"panel:{number}", "expr": text} for number, text in enumerate(EXPRESSIONS)
    ]
    shown = tmp_path / "dashboard.yml"
    every = "5m"  # what Grafana puts in
    text = json.dumps({"groups": [{"name": "dashboard", "rules": records}]}).replace(
        "$__rate_interval", every
    )
    shown.write_text(text)
    argv = ["promtool", "check", "rules", "--lint-fatal", str(ALERTS), str(shown)]
    checked = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_overdue_batch_raises_its_alert_and_no_other_does(tmp_path: Path) -> None:
    """Prometheus' own test of rules: a batch that gets older, and one of another project that ends in time."""
    require("promtool", "prometheus")
    series = {
        'gbr_running_oldest_age_seconds{job="web", project="default"}': "82800+1800x4",
        'gbr_running_oldest_age_seconds{job="web", project="acme"}': "84600 86399 0 0 0",
        'gbr_redis_writable{job="web"}': "1x4",
    }
    name = "GeminiBatchReceiverOverdueBatch"
    alert = next(rule for rule in rules() if rule["alert"] == name)
    raised = {
        "exp_labels": {"job": "web", "project": "default", "severity": "warning"},
        "exp_annotations": {
            "summary": "A batch of project default has not ended at Gemini for 1d 0h 0m 0s.",
            "action": alert["annotations"]["action"],
        },
    }
    checks = [
        {"alertname": name, "eval_time": "59m", "exp_alerts": []},
        {"alertname": name, "eval_time": "60m", "exp_alerts": [raised]},
        {
            "alertname": "GeminiBatchReceiverRedisTakesNoWrites",
            "eval_time": "60m",
            "exp_alerts": [],
        },
    ]
    inputs = [{"series": one, "values": values} for one, values in series.items()]
    case = {"interval": "30m", "input_series": inputs, "alert_rule_test": checks}
    file = tmp_path / "case.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "30m", "tests": [case]})
    )
    tested = subprocess.run(
        ["promtool", "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
