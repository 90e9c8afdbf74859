"""What an overview means: problems, next steps, and what is not known."""

import pytest
from msgspec.structs import replace

from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.live_workers import LiveWorker
from receiver.inbox.outages import Outage
from receiver.notices.outbox import OutboxStatus
from receiver.status.overview import Overview, ProjectStatus, SubmissionCounts
from receiver.status.problems import (
    MAX_PAUSE_S,
    MIN_OUTAGE_S,
    STALE_S,
    describe_outage,
    judge_overview,
)

NOW_MS = 1_769_083_200_000
SERVED = ServedProject(project="", secrets=1, is_registered=True, faults=[])
WELL = Overview(
    now_ms=NOW_MS,
    open=0,
    due=0,
    oldest_due_s=None,
    leased=[],
    buried=0,
    last_buried=[],
    done=0,
    workers=[LiveWorker("w", "h", 1, "idle", heard_s=1, batch=None)],
    web=[WebProcess(host="h", pid=1, seen_ms=NOW_MS, projects=[SERVED])],
    deliveries=[],
    counters={},
    projects=[ProjectStatus("", began_s=5, complete_s=5, failed=False)],
    running=[],
    notices=OutboxStatus(0, 0, None),
    redis=[],
    dynamic=[],
    outages=[],
)


def judge(overview: Overview, obstacle: str | None = None) -> Overview:
    return judge_overview(overview, obstacle, [])


def test_nothing_wrong_and_nothing_unknown_is_well() -> None:
    found = judge(WELL)
    assert (found.headline, found.needs, found.unknown) == ("All is well", [], [])


def test_problems_are_counted_and_come_with_a_command() -> None:
    found = judge(replace(WELL, buried=1, notices=OutboxStatus(0, 2, None)))
    buried, dead = found.needs
    assert buried.startswith("1 batch is buried: `gemini-batch-receiver inbox list")
    assert dead.startswith("2 notices are dead: `gemini-batch-receiver notices list --dead`")
    assert found.headline == "2 problems need attention"
    assert judge(replace(WELL, buried=1)).headline == "1 problem needs attention"


def test_a_paused_project_is_a_note_and_after_a_day_a_problem() -> None:
    (note,) = judge(replace(WELL, paused={"acme": 3600})).notes
    assert note.startswith("the project acme has been paused for 1h: ")
    assert "`gemini-batch-receiver inbox resume --project acme` goes on" in note
    found = judge(replace(WELL, paused={"": MAX_PAUSE_S + 1, "acme": MAX_PAUSE_S}))
    (need,), (note,) = found.needs, found.notes
    assert need.startswith("the project default has been paused for 1d")
    assert "Gemini does not keep results for long; `gemini" in need
    assert note.startswith("the project acme ")


def test_buried_submissions_come_with_a_command() -> None:
    (need,) = judge(replace(WELL, submissions=SubmissionCounts(buried=2))).needs
    assert need.startswith("2 submissions are buried: `gemini-batch-receiver submissions list")
    assert "`submissions resume` tries again" in need


def test_redis_without_writes_hides_which_processes_run() -> None:
    found = judge(replace(WELL, workers=[]), "Redis is full")
    assert (found.needs, found.steps) == (["Redis is full"], [])
    assert found.unknown == ["which processes run: they can't report while Redis takes no writes"]
    assert judge(replace(WELL, workers=[])).needs == judge(replace(WELL, workers=[])).steps != []


@pytest.mark.parametrize(
    ("complete_s", "unknown"),
    [
        (None, "what there is at Gemini in the project acme: no reconcile run has seen its whole"),
        (STALE_S, ""),
        (STALE_S + 1, "what ended at Gemini in the project acme: no reconcile run has seen its"),
    ],
)
def test_list_that_was_not_seen_lately_is_unknown(complete_s: int | None, unknown: str) -> None:
    project = ProjectStatus("acme", 5, complete_s, failed=False)
    served = replace(SERVED, project="acme")
    web = [WebProcess(host="h", pid=1, seen_ms=NOW_MS, projects=[served])]
    found = judge(replace(WELL, projects=[project], web=web))
    assert len(found.unknown) == bool(unknown)
    assert all(text.startswith(unknown) for text in found.unknown)
    assert found.headline.startswith("No problem is known" if unknown else "All is well")


@pytest.mark.parametrize("kind", ["outage", "refusal"])
def test_outage_is_a_problem_once_it_lasts(kind: str) -> None:
    limit_ms = MIN_OUTAGE_S[kind] * 1000
    short, long = (
        Outage(kind, 2, NOW_MS - age_ms, "503\nbusy")  # type: ignore[arg-type] # a parameter
        for age_ms in (limit_ms - 1, limit_ms)
    )
    assert judge(replace(WELL, outages=[short])).needs == []
    (need,) = judge(replace(WELL, outages=[long])).needs
    assert need.startswith(describe_outage(long, NOW_MS))
    assert "now: 503 busy; nothing is lost" in need
