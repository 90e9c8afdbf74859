"""How submissions are described to people."""

from decimal import ROUND_CEILING, Decimal

from receiver.cli.output import printable, show_moment
from receiver.outputs.wording import count_of
from receiver.submissions.estimates import describe_truth, format_dollars
from receiver.submissions.proof import RowsProof
from receiver.submissions.view import PartView, SubmissionView

UNKNOWN = "unknown"


def show_dollars(amount: Decimal | None) -> str:
    """An amount, rounded for people; `unknown` for None."""
    return UNKNOWN if amount is None else format_dollars(amount)


def show_most(amount: Decimal | None) -> str:
    """The same for what something may cost at most, rounded up."""
    return UNKNOWN if amount is None else format_dollars(amount, ROUND_CEILING)


def describe_state(view: SubmissionView) -> str:
    """The state, and what it waits for or why it stopped."""
    return printable(f"{view.state}: {view.why}" if view.why else view.state)


def describe_progress(view: SubmissionView) -> str:
    """What is answered so far, of all rounds."""
    requests = count_of(view.requests, "request", "requests")
    parts = count_of(len(view.parts), "part is", "parts are")
    rounds = f" in {count_of(view.rounds, 'round', 'rounds')} more" if view.rounds else ""
    return f"{view.answered:,} of {requests} answered; {view.sent:,} of {parts} sent{rounds}"


def describe_rows(rows: RowsProof) -> str:
    """How many requests the rows of a table ask, and what that saves."""
    counted = count_of(rows.rows, "row asks", "rows ask")
    words = [f"{counted} {count_of(rows.requests, 'request', 'requests')}"]
    if rows.copied:
        words.append(f"{rows.copied:,} share another row's")
    if rows.reused:
        words.append(f"{rows.reused:,} have the answer of an earlier submission")
    if rows.saved:
        words.append(f"{rows.saved / rows.rows:.0%} fewer to pay")
    return ", ".join(words)


def describe_cost(view: SubmissionView) -> str:
    """What it cost so far beside the limit, and in the end beside the estimate."""
    if view.is_ended:
        return describe_truth(view.estimate, view.cost)
    sent = f"at most {show_most(view.most_cost)} with what is sent"
    limit = view.policy.max_cost
    limited = "" if limit is None else f", limit {show_dollars(limit)}"
    return f"{show_dollars(view.cost)} so far, {sent}{limited}"


def describe_part(part: PartView) -> str:
    """State and counts of one part."""
    words = [_describe_part_state(part)]
    if part.is_overdue:
        words.append("overdue")
    if part.is_cancelled:
        words.append("cancelled")
    if part.cost is not None:
        words.append(show_dollars(part.cost))
    elif part.most_cost is not None:
        words.append(f"at most {show_most(part.most_cost)}")
    return printable(", ".join(words))


def _describe_part_state(part: PartView) -> str:
    requests = count_of(part.requests, "request", "requests")
    one_by_one = ", one by one" if part.lane == "flex" else ""
    if part.state == "stored":
        return f"stored, {part.answered or 0:,} of {requests} answered"
    said = f" ({part.gemini}, {part.done or 0:,} done)" if part.gemini else ""
    why = f": {part.why}" if part.why else ""
    return f"{part.state}{said}{why}, {requests}{one_by_one}"


def show_time(seconds: float) -> str:
    """A Unix time; `unknown` for 0."""
    return show_moment(int(seconds * 1000)) if seconds else UNKNOWN
