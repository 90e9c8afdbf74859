"""Tells the day's budget what parts did cost, in place of what they might have."""

from decimal import Decimal

from receiver.submissions.daily_budget import day_of, part_reference
from receiver.submissions.state import SubmissionState
from workers.submissions.context import AdvanceContext


def settle_spending(
    context: AdvanceContext, state: SubmissionState, now: float, *, is_end: bool
) -> None:
    """Settle the parts that are stored; at the end also those that were never sent.

    `now` is Unix time in seconds. What was reserved on another day does not matter any more.
    """
    if context.project.limits.daily_cost_cap is None:
        return
    day = day_of(now)
    reserved = context.budget.spending(day).reserved
    for one in state.parts:
        reference = part_reference(state.submission.id, one.part)
        if reference not in reserved:
            continue
        if one.is_stored and one.cost is not None:
            context.budget.settle(day, reference, one.cost)
        elif is_end and not one.is_sent:
            context.budget.settle(day, reference, Decimal(0))
