"""Judges submissions by the storage and by the stand-in's own books, never by our Redis."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from receiver.batch_names import split_tag
from tests.chaos.batches import ledger
from tests.chaos.report import Report
from tests.chaos.submission_requests import Asked
from tests.chaos.system import System

Json = dict[str, Any]
LOST = "nobody knows whether Gemini answered this request"


@dataclass(frozen=True)
class Books:
    """What one submission must come to."""

    id: str
    asked: Asked
    is_capped: bool  # it may cost less than all of its parts

    def folder(self, system: System) -> Path:
        return system.outputs / "_submissions" / self.id

    def read(self, system: System, name: str) -> Json:
        path = self.folder(system) / name
        found: Json = json.loads(path.read_bytes()) if path.exists() else {}
        return found

    def has_ended(self, system: System) -> bool:
        at = self.read(system, "command.json").get("at", 0.0)
        return bool(self.read(system, "manifest.json").get("ordered_at") == at)

    def rows(self, system: System) -> list[Json]:
        data = (self.folder(system) / "answers.jsonl").read_bytes()
        return [json.loads(line) for line in data.splitlines()]

    def parts(self, system: System) -> list[Json]:
        """Every part that was planned, of all rounds."""
        found = list(self.read(system, "plan.json")["parts"])
        number = 1
        while planned := self.read(system, f"round.{number}.json"):
            found += planned["parts"]
            number += 1
        return found

    def created(self, system: System) -> dict[int, str]:
        """The name of the batch of each part that was sent."""
        records = {
            part["number"]: self.read(system, f"{part['number']}.created.json")
            for part in self.parts(system)
        }
        return {number: record["batch"] for number, record in records.items() if record}


def judge_submissions(
    report: Report, system: System, books: Sequence[Books], daily_cap: Decimal
) -> None:
    ended = [one for one in books if one.has_ended(system)]
    report.note(ended=len(ended), requests=sum(len(one.asked.texts) for one in ended))
    unended = [one.id for one in books if one not in ended]
    report.hold(f"every submission has ended, also {unended[:5]}", not unended)

    judge_outcomes(report, system, ended)
    judge_batches(report, system, books)
    judge_payments(report, system)
    judge_costs(report, system, ended, daily_cap)
    judge_proofs(report, system, ended)


def judge_outcomes(report: Report, system: System, ended: Iterable[Books]) -> None:
    """Every request has the end that it must have; lost answers are told as such."""
    wrong, lost, held = list[str](), 0, 0
    for one in ended:
        manifest, rows = one.read(system, "manifest.json"), one.rows(system)
        if [row["key"] for row in rows] != list(one.asked.texts):
            wrong.append(f"{one.id}: its answers are not its requests")
        for row in rows:
            if row["outcome"] == one.asked.outcome_of(row["key"]):
                continue
            if LOST in line_of(system, row):
                lost += 1
            elif one.is_capped and manifest["reason"] == "budget":
                held += 1
            else:
                wrong.append(f"{one.id}: {row['key']} is {row['outcome']}")
    report.note(answers_lost_by_kills=lost, held_back_by_caps=held)
    report.hold(f"every request is final, also {wrong[:5]}", not wrong)


def line_of(system: System, row: Json) -> str:
    if row["object"] is None:
        return ""
    offset, path = int(row["offset"]), system.outputs / str(row["object"])
    data = path.read_bytes()
    return data[offset : offset + int(row["length"])].decode()


def judge_batches(report: Report, system: System, books: Sequence[Books]) -> None:
    """Gemini has one batch for each part that was sent, and no other."""
    planned = {(one.id, part["number"]): part for one in books for part in one.parts(system)}
    made = Counter[tuple[str, int]]()
    for batch in ledger(system)["batches"]:
        submission, part, _ = (split_tag(batch["display_name"])[1] or "..").split(".")
        made[submission, int(part)] += 1
    sent = {
        (one.id, number)
        for one in books
        for number, batch in one.created(system).items()
        if not batch.startswith("batches/flex-")
    }
    again = [f"{name}.{part}" for (name, part), count in made.items() if count > 1]
    strangers = sorted(made.keys() - planned.keys())
    flex = sum(part["lane"] == "flex" for part in planned.values())
    report.note(parts=len(planned), of_flex=flex, batches=made.total())
    report.hold(f"no part has two batches, also {again[:5]}", not again)
    report.hold(f"every batch was planned, also {strangers[:5]}", not strangers)
    report.hold("every batch is recorded", sent == made.keys())


def judge_payments(report: Report, system: System) -> None:
    """Once a request is answered, nothing is charged for it any more."""
    answer = httpx.get(f"{system.gemini_url}/sandbox/payments", timeout=60, trust_env=False)
    by_text = defaultdict[str, list[Json]](list)
    for one in answer.json()["payments"]:
        by_text[one["text"]].append(one)
    twice = [text for text, payments in by_text.items() if is_paid_twice(payments)]
    report.note(payments=sum(map(len, by_text.values())), paid_twice=len(twice))
    report.hold(f"nothing is paid for twice, also {twice[:5]}", not twice)


def is_paid_twice(payments: Sequence[Json]) -> bool:
    """In the order in which they were charged, of one request."""
    batches = [one["by"] for one in payments if one["by"] != "flex"]
    is_asked_again = any(one["outcome"] == "ok" for one in payments[:-1])
    return is_asked_again or len(set(batches)) < len(batches)


def judge_costs(report: Report, system: System, ended: Iterable[Books], cap: Decimal) -> None:
    """What is spent, or may have been where nobody knows, is below each cap."""
    passed, whole = list[str](), Decimal(0)
    for one in ended:
        spent = sum((cost_of(one, system, part) for part in one.parts(system)), Decimal(0))
        whole += spent
        limit = one.read(system, "policy.json")["max_cost"]
        if limit is not None and spent > Decimal(limit):
            passed.append(f"{one.id}: {spent} of {limit}")
    report.note(cost=f"${whole:.5f}", of_daily_cap=f"${cap}")
    report.hold(f"no cap is passed, also {passed[:5]}", not passed)
    report.hold("the daily cap is not passed", whole <= cap)


def cost_of(one: Books, system: System, part: Json) -> Decimal:
    batch = one.created(system).get(part["number"])
    if batch is None:
        return Decimal(0)
    path = system.outputs / batch.removeprefix("batches/") / "_manifest.json"
    cost: Any = json.loads(path.read_bytes())["cost"] if path.exists() else "unknown"
    return Decimal(part["most_cost"] if cost == "unknown" else cost["amount"])


def judge_proofs(report: Report, system: System, ended: Sequence[Books]) -> None:
    names = [one.id for one in ended]
    done = system.command("submissions", "verify", *names) if names else None
    report.hold(
        f"all is proven: {done and done.stdout[-500:]}", done is None or not done.returncode
    )
