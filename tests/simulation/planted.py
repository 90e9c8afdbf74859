"""Faults that are put into the product on purpose, to see that the simulation finds each.

`python -m tests.simulation --planted` plants one after the other, each in a process of its own, and
says which seed found it. `--plant NAME` leaves one in, for any seeds.
"""

import hmac
from collections.abc import Callable, Sequence
from typing import Any

from receiver.errors import GeminiError
from receiver.inbox.ledger import Inbox
from receiver.recovery import reconcile
from receiver.retry import Next
from receiver.storage import Storage
from receiver.submissions.records import CreateAttempt, SubmissionRecords
from receiver.submissions.submission import Part
from receiver.submissions.submitter import Submitter
from receiver.web.accept_batcher import AcceptBatcher
from tests.simulation.redis_wire import Wire
from workers import process
from workers.job import readings, settlement
from workers.store import manifest

Plant = Callable[[Wire], None]
PLANTED: dict[str, Plant] = {}


def planted(plant: Plant) -> Plant:
    PLANTED[plant.__name__.replace("_", "-")] = plant
    return plant


def _replace(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AssertionError(f"{owner} has no {name} any more: plant this fault elsewhere")
    setattr(owner, name, value)


@planted
def delivery_is_acknowledged_before_it_is_recorded(_: Wire) -> None:
    """Redis is away, and the sender gets its 2xx all the same."""

    def refuse(batcher: Any, group: list[Any], _error: Exception) -> None:
        waiting = [*group, *batcher._waiting]  # noqa: SLF001 - it stands in for a method
        batcher._waiting = []  # noqa: SLF001 - likewise
        for one in waiting:
            one.answer.set_result(True)

    _replace(AcceptBatcher, "_refuse", refuse)


@planted
def signature_is_not_compared(_: Wire) -> None:
    """Whoever knows the header names may send events."""
    _replace(hmac, "compare_digest", lambda _one, _other: True)


@planted
def job_that_was_lost_is_not_enqueued_again(wire: Wire) -> None:
    """RQ loses a job when its worker dies at a bad moment; the grace of accept never ends."""
    wire.edit("accept", "now + ARGV[2]", "now + 1e12")


@planted
def postponed_batch_is_never_due(wire: Wire) -> None:
    wire.edit("postpone", "redis.call('ZADD', DUE, due, batch)", "redis.call('ZREM', DUE, batch)")


@planted
def outage_counts_attempts(_: Wire) -> None:
    """Five answers of a storage that is away bury the batch."""

    def plan_next(*_args: object, **_options: object) -> Next:
        return Next("postpone", "attempts", 5)

    _replace(settlement, "plan_next", plan_next)


@planted
def every_answer_is_believed(_: Wire) -> None:
    """A 200 with half of the results is committed."""
    _replace(readings, "find_doubt", lambda _: None)


@planted
def manifest_is_replaced(_: Wire) -> None:
    """Two workers that have one batch both commit."""
    create = manifest.commit_manifest

    def commit(storage: Storage, *others: Any) -> None:
        create(_Replacing(storage), *others)

    _replace(process, "commit_manifest", commit)


class _Replacing:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def create(self, name: str, data: bytes) -> None:
        self._storage.put_many([(name, data)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


@planted
def notice_has_a_step_of_its_own(_: Wire) -> None:
    """A worker that dies between the two tells nobody."""
    finish = Inbox.finish

    def finish_then_tell(
        inbox: Inbox, lease: Any, summary: Any, notice: tuple[str, str] | None = None
    ) -> bool:
        is_ours = finish(inbox, lease, summary)
        if is_ours and notice is not None:
            inbox._run("enqueue_notice", lease.batch, *notice)  # noqa: SLF001 - a method
        return is_ours

    _replace(Inbox, "finish", finish_then_tell)


@planted
def missed_webhook_is_left_to_the_webhook(_: Wire) -> None:
    """A reconcile run waits for a delivery that never comes."""
    judge = reconcile._Admission._judge  # noqa: SLF001 - it stands in for a method

    def leave(admission: Any, batch: Any, entry: Any) -> str:
        return "young" if entry is None else judge(admission, batch, entry)

    _replace(reconcile._Admission, "_judge", leave)  # noqa: SLF001 - likewise


@planted
def intent_is_recorded_after_the_call(_: Wire) -> None:
    """A submitter that dies in between pays twice."""
    record = SubmissionRecords.record_intent
    create = Submitter._create  # noqa: SLF001 - it stands in for a method
    waiting: list[Callable[[], None]] = []

    def postpone(records: SubmissionRecords, *intent: Any) -> None:
        waiting.append(lambda: record(records, *intent))

    def create_first(submitter: Submitter, *part: Any) -> str:
        waiting.clear()
        batch = create(submitter, *part)
        for step in waiting:
            step()
        return batch

    _replace(SubmissionRecords, "record_intent", postpone)
    _replace(Submitter, "_create", create_first)


@planted
def lost_batch_is_not_looked_for(_: Wire) -> None:
    """Where an answer to create was lost, another batch is made at once."""

    def give_up(submitter: Submitter, part: Part, attempts: Sequence[CreateAttempt]) -> None:
        for one in attempts:
            if one.is_unsure:
                submitter._records.record_absence(part, one.number)  # noqa: SLF001 - it stands in for a method

    _replace(Submitter, "_look", lambda *_: None)
    _replace(Submitter, "_give_up", give_up)


@planted
def unsure_call_counts_as_refused(_: Wire) -> None:
    """A 503 is taken to say that Gemini made nothing."""
    _replace(GeminiError, "is_certain", property(lambda error: error.status is not None))


@planted
def input_on_its_way_is_not_waited_for(_: Wire) -> None:
    _replace(process, "is_awaited", lambda *_: False)
