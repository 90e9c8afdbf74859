"""What the model says of the due batches to those who only look."""

from tests.model.batches import Batches


def list_due(batches: Batches, state: str, first: int, last: int) -> list[int | list[str]]:
    names = _ranks(batches, first, last)
    return [len(names), [name for name in names if batches.entries[name].state == state]]


def sum_outages(batches: Batches, first: int, last: int) -> list[int | list[int | str]]:
    """How many wait for an outage or a refusal, since when, and why the first of them."""
    names, told = _ranks(batches, first, last), list[int | list[int | str]]()
    entries = [batches.entries[name] for name in names]
    outages = [
        (one.outages_since_ms, one)
        for one in entries
        if one.refusals_since_ms is None and one.outages_since_ms is not None
    ]
    refusals = [
        (one.refusals_since_ms, one) for one in entries if one.refusals_since_ms is not None
    ]
    told.append(len(names))
    for found in (outages, refusals):
        since_ms, first_one = min(found, key=lambda row: row[0] or 0, default=(None, None))
        cause = first_one.cause if first_one else None
        since = "" if since_ms is None else str(since_ms)
        told.append([len(found), since, cause or ""])
    return told


def _ranks(batches: Batches, first: int, last: int) -> list[str]:
    return batches.due_set().in_order()[first : last + 1]
