"""Whether a policy can be met at all, before anything is sent. Pure."""

from decimal import Decimal

from receiver.errors import SubmissionError
from receiver.submissions.policy import Policy
from receiver.submissions.submission import Submission


def require_possible(
    submission: Submission, policy: Policy, daily_cap: Decimal | None = None
) -> None:
    """Raise SubmissionError, which says what would be right, where not even part 1 may be sent.

    `daily_cap` is that of the project, in US dollars; None where there is none.
    """
    if policy.max_cost is None and daily_cap is None:
        return
    first, estimate = submission.parts[0], submission.estimate
    if first.most_cost is None:
        if not policy.allow_unknown_cost:
            raise SubmissionError(_explain_unknown(submission, policy))
        return

    low = estimate.low if estimate else None
    if policy.max_cost is not None and low is not None and low > policy.max_cost:
        raise SubmissionError(
            f"nothing was sent: it costs ${low:f} at least, and --max-cost is"
            f" ${policy.max_cost:f}: allow more, or send fewer requests"
        )
    limits = {"--max-cost": policy.max_cost, "the daily cap of the project": daily_cap}
    for name, limit in limits.items():
        if limit is not None and first.most_cost > limit:
            raise SubmissionError(
                f"nothing was sent: part 1 may cost ${first.most_cost:f}, and {name} is"
                f" ${limit:f}: allow more, give the requests a smaller maxOutputTokens, or cut"
                " smaller parts with --max-requests"
            )


def _explain_unknown(submission: Submission, policy: Policy) -> str:
    limit = "--max-cost" if policy.max_cost is not None else "the daily cap of the project"
    basis = f" ({submission.estimate.basis})" if submission.estimate else ""
    return (
        f"nothing was sent: nobody knows what part 1 may cost at most{basis}, so {limit} can't be"
        " held: add the model to PRICES_FILE, give every request a maxOutputTokens, or say"
        " --allow-unknown-cost"
    )
