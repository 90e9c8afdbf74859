"""What an installation that has seen no batch yet has, and what it lacks. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from receiver.outputs.wording import count_of
from receiver.status.next_steps import (
    COMMAND,
    find_process_steps,
    find_projects_without_webhook,
    find_unknown_webhooks,
    find_webhook_steps,
)
from receiver.status.overview import Overview, SubmissionCounts

TAKEN = ("accepted", "known")
FIRST_BATCH = (
    f"`{COMMAND} batches submit FILE --model MODEL` sends one; `{COMMAND} replay` queues those"
    " that ended before"
)


@dataclass(frozen=True)
class FirstStep:
    """One line of the list; commands in `detail` stand between backticks."""

    title: str
    state: Literal["done", "next", "optional", "unknown"]
    detail: str


def has_seen_nothing(overview: Overview) -> bool:
    """Whether neither the inbox nor the last reconcile run nor a delivery shows any batch.

    Anybody can send a delivery that is refused, so it shows nothing.
    """
    batches = (overview.open, len(overview.leased), overview.buried, overview.done)
    at_gemini = (one.count for one in overview.running)
    delivered = (one.verdict in TAKEN for one in overview.deliveries)
    is_submitted = overview.submissions != SubmissionCounts()
    return not (any(batches) or any(at_gemini) or any(delivered) or is_submitted)


def list_first_steps(overview: Overview) -> list[FirstStep]:
    """Everything on the way to the first batch, in order, what is done included."""
    return [*_processes(overview), *_webhooks(overview), FirstStep("Batch", "next", FIRST_BATCH)]


def _processes(overview: Overview) -> Iterator[FirstStep]:
    yield FirstStep("Web process", "done", "it runs, and Redis answers")
    workers = len(overview.workers)
    if workers:
        yield FirstStep("Worker", "done", count_of(workers, "runs", "run"))
    else:
        yield FirstStep("Worker", "next", find_process_steps(overview.web, workers, due=0)[-1])


def _webhooks(overview: Overview) -> Iterator[FirstStep]:
    for one in overview.projects:
        about = ([one.project], overview.web)
        title = f"Webhook of {one.project}" if one.project else "Webhook"
        if steps := find_webhook_steps(*about, overview.dynamic):
            yield FirstStep(title, "next", "; ".join(steps))
        elif notes := find_projects_without_webhook(*about, overview.dynamic):
            yield FirstStep(title, "optional", notes[0])
        elif unknown := find_unknown_webhooks(*about):
            yield FirstStep(title, "unknown", unknown[0])
        else:
            yield FirstStep(title, "done", "it is registered, and its secret is set")
