"""How far a wish is to send the failed requests of a stored batch again, for who asked for it.

A worker carries it out, since the requests of a batch take it as long as their size asks. Redis may
forget all of this: what was sent is in the storage.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.batch_names import SUBMISSION_ID, BatchName
from receiver.inbox.foreign import read_or
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.redis import SENDING_AGAIN, now_ms, translate_redis_errors
from receiver.storage import Storage
from receiver.submissions.batch_links import read_links, read_origin
from receiver.submissions.records import SubmissionRecords

WISH_TTL_S = 3600
RESULT_TTL_S = 86400
# A worker that was killed says nothing: then a person may ask again, which sends nothing twice.
SILENT_S = 300
# `waiting`: all that may succeed is under way; `nothing`: none of it may.
WishState = Literal["asked", "running", "sent", "waiting", "nothing", "failed"]


class Wish(msgspec.Struct, frozen=True):
    """What became of it so far."""

    state: WishState
    at_ms: int  # Unix time by Redis' clock
    text: str = ""  # the submission's name in the inbox once it is sent; why it failed

    def is_under_way(self, now_ms: int) -> bool:
        """Whether somebody will still say what became of it."""
        is_young = now_ms - self.at_ms < SILENT_S * 1000
        return self.state in ("asked", "running") and is_young


def ask_to_send_again(client: "redis.Redis", batch: str) -> bool:
    """Have a worker send them; False while it is under way.

    `batch` is its name in the inbox. Raises InboxUnavailableError.
    """
    wish = read_wish(client, batch)
    with translate_redis_errors():
        if wish is not None and wish.is_under_way(now_ms(client)):
            return False
    tell_wish(client, batch, "asked")
    JobQueue(client).enqueue_again(batch)
    return True


@translate_redis_errors()
def tell_wish(client: "redis.Redis", batch: str, state: WishState, text: str = "") -> None:
    """Say how far it is. Raises InboxUnavailableError."""
    ttl_s = WISH_TTL_S if state in ("asked", "running") else RESULT_TTL_S
    data = msgspec.json.encode(Wish(state, now_ms(client), text))
    client.set(SENDING_AGAIN + batch, data, ex=ttl_s)


@translate_redis_errors()
def read_wish(client: "redis.Redis", batch: str) -> Wish | None:
    """None where nobody asked for a day. Raises InboxUnavailableError."""
    data: Any = read_or(None, lambda: client.get(SENDING_AGAIN + batch))
    try:
        return None if data is None else msgspec.json.decode(data, type=Wish)
    except (ValueError, RecursionError):  # another program wrote it
        return None


@dataclass(frozen=True)
class SentAgain:
    """What was sent again of a stored batch, as far as the storage says."""

    submissions: list[str]  # their names in the inbox, the oldest first
    obstacle: str = ""  # why nothing can be sent again by hand now
    is_settled: bool = False  # the last one is under way, or has brought every answer


def read_sent_again(storage: Storage, batch: str) -> SentAgain:
    """`batch` is its name in the inbox. Raises StorageError and SubmissionError."""
    name = BatchName.read(batch)
    ids = [link for link in read_links(storage, name.gemini) if SUBMISSION_ID.fullmatch(link)]
    prefix = f"{name.project}/" if name.project else ""
    found = [f"{prefix}submissions/{one}" for one in ids]
    obstacle = find_own_rounds(storage, name.gemini) or ""
    return SentAgain(found, obstacle, is_settled=bool(ids) and _is_settled(storage, ids[-1]))


def _is_settled(storage: Storage, submission_id: str) -> bool:
    records = SubmissionRecords(storage, submission_id)
    manifest = records.read_manifest()
    if manifest is None:
        return records.read_plan() is not None
    return manifest.answered == manifest.requests or manifest.ordered_at != records.read_order().at


def find_own_rounds(storage: Storage, batch: str) -> str | None:
    """Why the submission of a batch (`batches/<id>`) sends again by itself; None where it does not.

    Raises StorageError and SubmissionError.
    """
    origin = read_origin(storage, batch)
    if origin is None:
        return None
    records = SubmissionRecords(storage, origin.submission)
    policy, ended = records.read_policy(), records.read_manifest()
    sends_again = policy.rounds > 0 or policy.rescue_after_s is not None
    if sends_again and (ended is None or ended.ordered_at != records.read_order().at):
        short, program = BatchName.read(batch).short, "gemini-batch-receiver"
        return (
            f"{short} is of a submission that sends again by itself what may succeed, until it has"
            f" ended: `{program} submissions show {origin.submission}` says how far it is"
        )
    return None
