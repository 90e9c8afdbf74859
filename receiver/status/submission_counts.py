"""Counts the submissions of the inbox."""

import redis

from receiver.inbox.entries import Entry
from receiver.inbox.foreign import read_or
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import SUBMISSIONS
from receiver.status.overview import SubmissionCounts, WaitingSubmission

MAX_READ = 1000  # of those under way, to find the oldest
MAX_SHOWN = 20  # of these


def count_submissions(client: "redis.Redis", now_ms: int) -> SubmissionCounts:
    """By state, and which is under way for longest. Raises InboxUnavailableError."""
    queries = InboxQueries(client, SUBMISSIONS)
    opened, leased = queries.listing("open", MAX_READ), queries.listing("leased", MAX_READ)
    under_way = [*opened.entries, *leased.entries]
    under_way.sort(key=lambda entry: entry.accepted_ms)
    shown = [_make_waiting(entry, now_ms) for entry in under_way[:MAX_SHOWN]]
    due = read_or(0, lambda: int(client.zcount(SUBMISSIONS.due, "-inf", now_ms)))
    return SubmissionCounts(
        open=opened.total,
        due=due,
        leased=leased.total,
        buried=len(queries.names("buried")),
        done=read_or(0, lambda: int(client.zcard(SUBMISSIONS.done))),
        oldest=shown[0] if shown else None,
        under_way=shown,
    )


def _make_waiting(entry: Entry, now_ms: int) -> WaitingSubmission:
    for_s = max(0, now_ms - entry.accepted_ms) // 1000
    return WaitingSubmission(entry.batch, for_s, entry.cause, entry.standing)
