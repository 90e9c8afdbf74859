"""What a worker records of a submission with its entry. Pure."""

import msgspec

from receiver.inbox.entry_fields import Standing
from receiver.submissions.state import SubmissionState
from receiver.submissions.view import view_submission


def encode_standing(state: SubmissionState) -> str:
    """How far it is, as JSON."""
    view = view_submission(state, None, None)
    phases = [part.state for part in view.parts]
    standing = Standing(
        display_name=view.display_name,
        model=view.model,
        state=view.state,
        requests=view.requests,
        answered=view.answered,
        parts=len(phases),
        at_gemini=phases.count("at Gemini"),
        stored=phases.count("stored"),
        lost=phases.count("lost"),
        buried=phases.count("buried"),
        overdue=sum(part.is_overdue for part in view.parts),
        rounds=view.rounds,
        max_rounds=view.policy.rounds,
        cost=view.cost,
        max_cost=view.policy.max_cost,
    )
    return msgspec.json.encode(standing).decode()
