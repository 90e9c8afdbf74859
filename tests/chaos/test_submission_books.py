"""The judge of the submissions sees what it is there to see."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests.answering import Answer, answering
from tests.chaos.report import Report
from tests.chaos.submission_books import (
    LOST,
    Books,
    is_paid_twice,
    judge_batches,
    judge_costs,
    judge_outcomes,
    judge_payments,
)
from tests.chaos.submission_requests import Asked
from tests.chaos.system import System

ID = "5d41402abc4b2a76b971"
ASKED = Asked(0, {"a": "a: plain", "b": "b: [sandbox:blocked]", "c": "c: plain"}, 3)
PART = {"number": 1, "lane": "batch", "most_cost": "2"}


@pytest.fixture
def at_gemini() -> dict[str, list[dict[str, Any]]]:
    """What the stand-in of Gemini knows: `batches` and `payments`."""
    return {"batches": [batch(1)], "payments": []}


@pytest.fixture
def system(tmp_path: Path, at_gemini: dict[str, Any]) -> Iterator[System]:
    def answer(_path: str, _headers: Message) -> Answer:
        return Answer(200, json.dumps(at_gemini).encode())

    with answering(answer) as url:
        yield System(tmp_path, url, 1)


@pytest.fixture
def books(system: System) -> Books:
    """One submission of one part, all of whose requests have the end that they must have."""
    made = Books(ID, ASKED, is_capped=False)
    write(system, f"_submissions/{ID}/plan.json", {"parts": [PART]})
    write(system, f"_submissions/{ID}/1.created.json", {"batch": "batches/b1"})
    write(system, f"_submissions/{ID}/policy.json", {"max_cost": "1.5"})
    write(system, f"_submissions/{ID}/manifest.json", {"ordered_at": 0.0, "reason": None})
    write(system, "b1/_manifest.json", {"cost": {"amount": "1"}})
    write_rows(system, ["ok", "blocked", "ok"])
    return made


def write(system: System, name: str, content: object) -> None:
    path = system.outputs / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_rows(system: System, outcomes: Sequence[str], line: str = "{}") -> None:
    (system.outputs / "b1" / "line").write_text(line)
    rows = [
        {"key": key, "outcome": outcome, "object": "b1/line", "offset": 0, "length": len(line)}
        for key, outcome in zip(ASKED.texts, outcomes, strict=False)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (system.outputs / "_submissions" / ID / "answers.jsonl").write_text(text)


def batch(part: int, submission: str = ID) -> dict[str, str]:
    return {"display_name": f"evening [gbr:{submission}.{part}.0123456789ab]"}


def payment(by: str, outcome: str = "ok", text: str = "a: plain") -> dict[str, str]:
    return {"by": by, "outcome": outcome, "text": text}


def judged(*parts: Any) -> Report:
    """What all judges say of it."""
    report, (system, books) = Report("test", 1), parts
    judge_outcomes(report, system, [books])
    judge_batches(report, system, [books])
    judge_payments(report, system)
    judge_costs(report, system, [books], Decimal(10))
    return report


def test_what_is_right_misses_nothing(system: System, books: Books) -> None:
    assert judged(system, books).misses == []


@pytest.mark.parametrize(
    ("payments", "is_twice"),
    [
        ([payment("batches/1")], False),
        ([payment("batches/1", "empty"), payment("batches/2")], False),
        ([payment("batches/1", "empty"), payment("flex", "empty"), payment("flex")], False),
        ([payment("batches/1"), payment("batches/2")], True),
        ([payment("batches/1"), payment("flex", "empty")], True),
        ([payment("flex"), payment("flex")], True),
        ([payment("batches/1", "empty"), payment("batches/1")], True),
    ],
)
def test_second_payment_is_seen(payments: list[dict[str, str]], *, is_twice: bool) -> None:
    assert is_paid_twice(payments) is is_twice


def test_payments_of_gemini_are_judged(
    system: System, books: Books, at_gemini: dict[str, Any]
) -> None:
    at_gemini["payments"] += [payment("batches/1"), payment("batches/2")]
    (miss,) = judged(system, books).misses
    assert miss == "nothing is paid for twice, also ['a: plain']"


@pytest.mark.parametrize(
    ("found", "miss"),
    [
        ([batch(1), batch(1)], f"no part has two batches, also ['{ID}.1']"),
        ([batch(1), batch(2)], f"every batch was planned, also [('{ID}', 2)]"),
        ([], "every batch is recorded"),
    ],
)
def test_batches_are_as_planned(
    system: System, books: Books, at_gemini: dict[str, Any], found: list[Any], miss: str
) -> None:
    at_gemini["batches"] = found
    assert miss in judged(system, books).misses


def test_requests_without_their_end_are_seen(system: System, books: Books) -> None:
    write_rows(system, ["ok", "blocked", "error"])
    assert judged(system, books).misses == [f"every request is final, also ['{ID}: c is error']"]
    write_rows(system, ["ok", "blocked", "error"], LOST)
    assert judged(system, books).figures["answers_lost_by_kills"] == 1
    write_rows(system, ["ok", "blocked"])
    (miss,) = judged(system, books).misses
    assert "its answers are not its requests" in miss


def test_only_a_budget_holds_requests_back(system: System, books: Books) -> None:
    write_rows(system, ["missing", "blocked", "ok"])
    capped = Books(ID, ASKED, is_capped=True)
    assert judged(system, capped).misses
    write(system, f"_submissions/{ID}/manifest.json", {"ordered_at": 0.0, "reason": "budget"})
    assert judged(system, books).misses
    report = judged(system, capped)
    assert (report.misses, report.figures["held_back_by_caps"]) == ([], 1)


def test_cost_above_a_cap_is_seen(system: System, books: Books) -> None:
    write(system, "b1/_manifest.json", {"cost": "unknown"})  # then it may have cost the most
    (miss,) = judged(system, books).misses
    assert miss == f"no cap is passed, also ['{ID}: 2 of 1.5']"
    write(system, "b1/_manifest.json", {"cost": {"amount": "11"}})
    assert "the daily cap is not passed" in judged(system, books).misses
