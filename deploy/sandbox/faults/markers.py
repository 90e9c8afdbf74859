"""Markers in a request's text or a job's display name that ask for a special outcome."""

import re
from dataclasses import dataclass, replace
from typing import Any

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.ledger import State

REQUEST_MARKER = re.compile(r"\[sandbox:([a-z-]+)(?: (\d+))?(?: x(\d+))?\]")
JOB_MARKER = re.compile(r"\[([a-z-]+)(?: (\d+))?\]")
END_STATES = {"fail": State.FAILED, "expire": State.EXPIRED, "cancel-partial": State.CANCELLED}


@dataclass(frozen=True)
class Marker:
    """`[sandbox:error 8 x2]` is Marker("error", 8, 2)."""

    name: str
    number: int | None
    tries: int | None = None  # how often it counts for the same request; None: always


def find_marker(text: str) -> Marker | None:
    """
    The first marker of a request's text:

    * `blocked` (the prompt), `blocked-candidate`, `empty`
    * `truncated`, or `truncated <tokens>` unless `maxOutputTokens` is at least that
    * `invalid`: JSON that does not fit the request's schema
    * `error` or `error <code>`, `status` or `status <code>` (the same under the other name)
    * `missing`, `duplicate`, `nokey`, `metadata-key`: what becomes of the result line
    * `stuck`: its job stays RUNNING until it is cancelled, and then has all other rows
    * `image <side>`: a PNG of noise with this width and height in pixels

    ` x<tries>` at the end of any of them: only the first times that the request is seen.
    """
    match = REQUEST_MARKER.search(text)
    return None if match is None else Marker(match[1], _number(match[2]), _number(match[3]))


def marked_text(text: str) -> str:
    """The text up to the end of its first marker: what a client adds later does not count."""
    match = REQUEST_MARKER.search(text)
    return text if match is None else text[: match.end()]


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


@dataclass(frozen=True)
class Plan:
    """How a job runs, by the markers in its display name: `[fail]`, `[late-output 3]` and so on."""

    end: State = State.SUCCEEDED
    pending: bool = False  # PENDING until somebody cancels it
    stuck: bool = False  # RUNNING until somebody cancels it
    late_output: int = 0  # how many gets show SUCCEEDED without output
    all_errors: bool = False
    flaky: int = 0  # one in this many requests gets a temporary error, the same ones each time
    error_details: bool = False  # objects in `error.details`
    shuffle: bool = False  # rows out of order
    no_metadata: bool = False  # inline rows without their `metadata`
    inline_answer: bool = False  # a file job that answers inline

    @property
    def partial(self) -> bool:
        return self.end is State.CANCELLED


JOB_FAULTS: dict[str, dict[str, Any]] = {
    "fail_jobs": {"end": State.FAILED},
    "expire_jobs": {"end": State.EXPIRED},
    "cancel_jobs": {"end": State.CANCELLED},
    "pending_jobs": {"pending": True},
    "stuck_jobs": {"stuck": True},
    "error_jobs": {"all_errors": True},
    "error_details": {"error_details": True},
    "shuffle_rows": {"shuffle": True},
    "drop_metadata": {"no_metadata": True},
    "inline_answers": {"inline_answer": True},
}


def with_faults(plan: Plan, faults: Faults) -> Plan:
    """The plan of a new job with all faults that apply now; uses up one count of each."""
    for name, change in JOB_FAULTS.items():
        if faults.take(name):
            plan = replace(plan, **change)
    return plan


def plan_job(display_name: str | None) -> Plan:
    found = {name: int(number or 1) for name, number in JOB_MARKER.findall(display_name or "")}
    ends = [END_STATES[name] for name in found if name in END_STATES]
    return Plan(
        end=ends[0] if ends else State.SUCCEEDED,
        pending="pending" in found,
        stuck="stuck" in found,
        late_output=found.get("late-output", 0),
        all_errors="all-errors" in found,
        flaky=found.get("flaky", 0),
        error_details="error-details" in found,
        shuffle="shuffle" in found,
        no_metadata="no-metadata" in found,
        inline_answer="inline-answer" in found,
    )
