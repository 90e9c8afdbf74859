"""What comes out of the queue: only our own functions, whatever somebody wrote into Redis.

RQ's own Job imports the function and the callbacks that its hash names, and repeats, retries and
calls webhooks as the hash says. Here nothing of a hash is used but the name of a batch or of a
submission, and a hash that asks for more is refused.
"""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from rq.job import Job

from receiver.batch_names import INBOX_NAME, SUBMISSION_NAME, SubmissionName
from receiver.errors import ForeignJobError
from receiver.inbox.job_queue import (
    ADVANCE_FUNCTION,
    AGAIN_FUNCTION,
    FAILURE_TTL_S,
    FUNCTION,
    JOB_TIMEOUT_S,
    QUEUE,
)
from workers.process import process_batch

MAX_DATA_BYTES = 4096  # ours take 120; checked before anything is decompressed or parsed
# What runs here, by the name in a job, with the names that it takes.
FUNCTIONS = {
    FUNCTION: INBOX_NAME,
    ADVANCE_FUNCTION: SUBMISSION_NAME,
    AGAIN_FUNCTION: INBOX_NAME,
}
READ_FIELDS = (
    "data",
    "status",
    "created_at",
    "enqueued_at",
    "started_at",
    "ended_at",
    "worker_name",
)
FOREIGN_FIELDS = (
    "success_callback_name",
    "failure_callback_name",
    "stopped_callback_name",
    "webhooks",
    "retries_left",
    "retry_intervals",
    "repeats_left",
    "repeat_intervals",
    "dependency_id",
    "dependency_ids",
    "group_id",
    "rate_limit_key",
)


def _load_function(name: str) -> Any:
    """In a job's own process: the jobs of batches need not carry the 5 MiB of submissions."""
    if name == ADVANCE_FUNCTION:
        from workers.advance import advance_submission  # noqa: PLC0415 - see above

        return advance_submission
    if name == AGAIN_FUNCTION:
        from workers.submissions.sending_again import send_failed_again  # noqa: PLC0415 - likewise

        return send_failed_again
    return process_batch


def _call_of(data: bytes) -> Any:
    """`[function, instance, args, kwargs]` as RQ's JSON serializer writes it. Raises ValueError."""
    if len(data) > MAX_DATA_BYTES:
        raise ValueError("too large")
    with suppress(zlib.error):  # RQ also reads what is not compressed
        data = zlib.decompressobj().decompress(data, MAX_DATA_BYTES)
    try:
        return msgspec.json.decode(data)
    except RecursionError as error:
        raise ValueError("too deep") from error


def field_of(name: str) -> str:
    """What log lines call that which a job is about."""
    return "batch" if SubmissionName.read(name) is None else "submission"


def find_refusal(fields: Mapping[bytes, bytes]) -> str:
    """Why a job's hash is none of ours; empty when it is."""
    foreign = [name for name in FOREIGN_FIELDS if fields.get(name.encode())]
    if foreign:
        return f"it carries {', '.join(foreign)}"
    try:
        call = _call_of(fields.get(b"data", b""))
    except ValueError:
        return "its call is not readable as JSON"
    match call:
        case [str(function), None, [str(name)], named] if (
            function in FUNCTIONS and not named and FUNCTIONS[function].fullmatch(name)
        ):
            return ""
        case [str(function), *_] if function not in FUNCTIONS:
            return f"it names {function[:200]!r}: only {' and '.join(FUNCTIONS)} run here"
    return "its arguments are not the one name that its function takes"


class OwnJob(Job):
    """A job that can only run our functions, with our time limits."""

    refusal = ""  # why it must not run

    def restore(self, raw_data: dict[bytes, bytes]) -> None:
        self.refusal = find_refusal(raw_data)
        kept = {
            name: raw_data[name]
            for name in (field.encode() for field in READ_FIELDS)
            if name in raw_data
        }
        try:
            super().restore(kept if not self.refusal else {b"data": b""})
        except (ValueError, TypeError, ArithmeticError) as error:
            self.refusal = f"its hash is not readable: {error}"
            super().restore({b"data": b""})
        self.origin = QUEUE
        self.timeout, self.result_ttl, self.failure_ttl = JOB_TIMEOUT_S, 0, FAILURE_TTL_S

    @property
    def func(self) -> Any:
        if self.refusal or self.func_name not in FUNCTIONS:
            raise ForeignJobError(f"refused: {self.refusal or 'another function'}")
        return _load_function(self.func_name)

    success_callback = failure_callback = stopped_callback = None
