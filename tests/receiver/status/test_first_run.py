"""The list of what is left to do before the first batch."""

import dataclasses

import pytest
from msgspec.structs import replace

from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.delivery_log import Delivery
from receiver.notices.running_batches import RunningNow
from receiver.status.first_run import FirstStep, has_seen_nothing, list_first_steps
from receiver.status.overview import Overview, SubmissionCounts
from tests.receiver.status.test_problems import NOW_MS, SERVED, WELL

DELIVERY = Delivery(NOW_MS, "accepted", "", "v1", "msg_1", "batch.succeeded", "batches/b1", "")


def states(overview: Overview) -> list[tuple[str, str]]:
    return [(step.title, step.state) for step in list_first_steps(overview)]


def test_only_the_batch_is_missing_where_all_is_set_up() -> None:
    assert has_seen_nothing(WELL)
    *done, batch = list_first_steps(WELL)
    assert [(step.title, step.state) for step in done] == [
        ("Web process", "done"),
        ("Worker", "done"),
        ("Webhook", "done"),
    ]
    assert batch.state == "next"
    assert "`gemini-batch-receiver batches submit FILE --model MODEL`" in batch.detail


def test_missing_worker_comes_with_its_command() -> None:
    worker = list_first_steps(replace(WELL, workers=[]))[1]
    detail = "no worker is running: start `gemini-batch-receiver worker`"
    assert worker == FirstStep("Worker", "next", detail)


@pytest.mark.parametrize(
    ("served", "url", "state", "detail"),
    [
        (replace(SERVED, secrets=0), "https://a.example", "next", "has no GEMINI_WEBHOOK_SECRET"),
        (replace(SERVED, secrets=0, is_registered=False), None, "optional", "reconcile runs"),
        (
            replace(SERVED, is_registered=None, why_unknown="Gemini is away"),
            None,
            "unknown",
            "away",
        ),
    ],
)
def test_webhook_has_its_state(
    served: ServedProject, url: str | None, state: str, detail: str
) -> None:
    process = WebProcess(host="h", pid=1, url=url, seen_ms=NOW_MS, projects=[served])
    webhook = list_first_steps(replace(WELL, web=[process]))[2]
    assert (webhook.title, webhook.state) == ("Webhook", state)
    assert detail in webhook.detail


@pytest.mark.parametrize(
    "seen",
    [
        {"open": 1},
        {"buried": 1},
        {"done": 1},
        {"deliveries": [DELIVERY]},
        {"submissions": SubmissionCounts(open=1)},
        {"running": [RunningNow("", 5, 1, 0, [])]},
    ],
)
def test_whatever_was_seen_ends_the_first_run(seen: dict[str, object]) -> None:
    assert not has_seen_nothing(replace(WELL, **seen))


def test_what_shows_no_batch_does_not_end_it() -> None:
    refused = dataclasses.replace(DELIVERY, verdict="refused", batch="")
    assert has_seen_nothing(replace(WELL, deliveries=[refused]))
    assert has_seen_nothing(replace(WELL, running=[RunningNow("", 5, 0, 0, [])]))
