"""Counts the submissions of the inbox."""

import redis

from receiver.inbox.entries import Entry
from receiver.inbox.foreign import read_or
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import SUBMISSIONS
from receiver.status.overview import SubmissionCounts, WaitingSubmission

MAX_READ = 1000  # of those under way, to find the oldest


def count_submissions(client: "redis.Redis", now_ms: int) -> SubmissionCounts:
    """By state, and which is under way for longest. Raises InboxUnavailableError."""
    queries = InboxQueries(client, SUBMISSIONS)
    opened, leased = queries.listing("open", MAX_READ), queries.listing("leased", MAX_READ)
    under_way = [*opened.entries, *leased.entries]
    oldest = min(under_way, key=lambda entry: entry.accepted_ms, default=None)
    due = read_or(0, lambda: int(client.zcount(SUBMISSIONS.due, "-inf", now_ms)))
    return SubmissionCounts(
        open=opened.total,
        due=due,
        leased=leased.total,
        buried=len(queries.names("buried")),
        done=read_or(0, lambda: int(client.zcard(SUBMISSIONS.done))),
        oldest=None if oldest is None else _make_waiting(oldest, now_ms),
    )


def _make_waiting(entry: Entry, now_ms: int) -> WaitingSubmission:
    return WaitingSubmission(entry.batch, max(0, now_ms - entry.accepted_ms) // 1000, entry.cause)
