"""What a person may have done on a page: only what would change something."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from shlex import quote

from receiver.batch_names import BatchName
from receiver.inbox.delivery_log import Delivery
from receiver.outputs.judgement import count_answers, find_again
from receiver.outputs.manifest import Cost, Manifest
from receiver.outputs.outcomes import Outcome
from receiver.outputs.wording import count_of
from receiver.status.next_steps import COMMAND
from receiver.status.view_models import BatchRow
from receiver.submissions.again import SentAgain, Wish
from receiver.submissions.estimates import format_dollars

# What is sent a second time gets the same answer again, or nobody knows what it was.
NEVER_AGAIN = (Outcome.BLOCKED, Outcome.UNKEYED, Outcome.DUPLICATE)


@dataclass(frozen=True)
class Offer:
    """A button that first says what it does."""

    name: str  # the last part of the address that it is sent to
    label: str
    text: str
    command: str  # that does the same
    fields: Mapping[str, str] = field(default_factory=dict)  # what the form sends along


def offer_for_batch(
    name: str, row: BatchRow | None, *, is_stored: bool | None, is_due: bool
) -> Iterator[Offer]:
    """For a batch by its name in the inbox; `is_stored` is None where nobody can say.

    `is_due`: a worker should take it now anyway.
    """
    short = BatchName.read(name).short
    state = row.entry.state if row else None
    if state == "open" and not is_due:
        text = "A worker takes the batch up again now, from the first attempt, and waits no longer."
        yield Offer("retry", "Try now", text, f"{COMMAND} inbox retry {short}")
    if state == "buried":
        text = "A worker takes the batch up again now, from the first attempt."
        yield Offer("retry", "Retry", text, f"{COMMAND} inbox retry {short}")
    if state in ("open", "leased"):
        text = (
            "Nobody works on the batch any more, until somebody retries it. A worker that has it"
            " stops within seconds."
        )
        yield Offer("bury", "Bury", text, f"{COMMAND} inbox bury {short}")
    if state is None and not is_stored:
        text = "Asks Gemini for the batch, and queues it if it has ended and is not stored."
        yield Offer("replay", "Replay", text, f"{COMMAND} replay --batch {short}")


def offer_again(
    name: str, manifest: Manifest, sent: SentAgain, wish: Wish | None, now_ms: int
) -> Offer | None:
    """To send the failed requests of a stored batch again; None where that would send nothing."""
    is_possible = manifest.input is not None and not sent.obstacle and not sent.is_settled
    is_asked = wish is not None and (wish.is_under_way(now_ms) or wish.state == "nothing")
    most = count_again(manifest)
    if not (is_possible and most) or is_asked:
        return None
    requests = count_of(most, "request", "requests")
    text = (
        f"A worker sends up to {requests} again, as a submission: those that may succeed now. What"
        f" is answered, or under way, is left out. {describe_cost(manifest, most)}"
    )
    command = f"{COMMAND} resubmit {BatchName.read(name).short}"
    return Offer("again", f"Send up to {most:,} failed again", text, command)


def count_again(manifest: Manifest) -> int:
    """How many requests may be sent again at most."""
    outcomes = manifest.outcomes
    if not find_again(manifest) and not outcomes.get(Outcome.TRUNCATED):
        return 0
    failed = sum(outcomes.values()) - count_answers(outcomes) + (manifest.missing or 0)
    return failed - sum(outcomes.get(one, 0) for one in NEVER_AGAIN)


def describe_cost(manifest: Manifest, requests: int) -> str:
    """What they may cost, by what the answers of the batch cost."""
    answers = count_answers(manifest.outcomes)
    if not isinstance(manifest.cost, Cost) or not answers:
        return "What it costs is not known, since the cost of this batch is not."
    amount = format_dollars(Decimal(manifest.cost.amount) / answers * requests)
    return (
        f"By what the answers of this batch cost, that is about {amount}; one that was cut gets"
        " more room, and may cost more. If DAILY_COST_CAP is set, it holds."
    )


def offer_to_accept(
    delivery: Delivery, row: BatchRow | None, *, is_stored: bool | None
) -> Offer | None:
    """To take a delivery in again; None where that would change nothing, or prove nothing."""
    if delivery.verdict not in ("accepted", "known") or is_stored:
        return None
    if row is not None and row.entry.state != "buried":
        return None
    text = (
        "The inbox takes it as if it came now, and a worker takes its batch up, from the first"
        " attempt."
    )
    command = f"{COMMAND} inbox delivery {quote(delivery.delivery_id)} --again"
    return Offer("again", "Take it in again", text, command)


def offer_for_projects(
    projects: Mapping[str, bool],
) -> Iterator[tuple[str, Offer]]:
    """For each Gemini project, by its label; the values say whether it is paused."""
    for label, is_paused in projects.items():
        order = "resume" if is_paused else "pause"
        text = (
            "Workers go on with it within a minute."
            if is_paused
            else "Workers take none of its batches and send nothing of its submissions until it is"
            " resumed. Its deliveries are accepted and wait; what a worker has now is finished."
        )
        command = f"{COMMAND} inbox {order} --project {label}"
        title = f"{order.capitalize()} {label}"
        yield label, Offer(order, title, text, command, {"project": label})


def offer_to_retry(count: int, project: str, cause: str, *, is_all: bool) -> Offer | None:
    """To retry all buried batches that match; `project` is a label or empty."""
    if not count:
        return None
    batches = count_of(count, "batch", "batches")
    text = f"Workers take up {batches} again, from the first attempt."
    options = [
        f" --project {project}" if project else "",
        f" --cause {quote(cause)}" if cause else "",
    ]
    if not is_all:
        text += " There are more; the command takes them all."
    command = f"{COMMAND} inbox retry --all-buried{''.join(options)}"
    fields = {"project": project, "cause": cause}
    return Offer("retry", f"Retry {batches}", text, command, fields)
