from deploy.sandbox.api.operations import operation_of, stats_of
from deploy.sandbox.ledger import Batch, State


def batch(state: State, requests: int = 3, successful: int = 0, failed: int = 0) -> Batch:
    made = Batch(1, "a" * 36, "embed", "models/m", None, requests, state=state, created_ns=1)
    made.successful, made.failed = successful, failed
    return made


def test_zero_counts_are_left_out() -> None:
    assert stats_of(batch(State.SUCCEEDED, 3, 3)) == {
        "requestCount": "3",
        "successfulRequestCount": "3",
    }
    assert stats_of(batch(State.RUNNING)) == {"requestCount": "3", "pendingRequestCount": "3"}


def test_embed_jobs_have_own_types() -> None:
    shown = operation_of(batch(State.SUCCEEDED), output={"responsesFile": "files/x"})
    assert shown["metadata"]["@type"].endswith(".v1main.EmbedContentBatch")
    assert shown["response"]["@type"].endswith(".v1main.EmbedContentBatchOutput")


def test_absent_members_are_left_out() -> None:
    metadata = operation_of(batch(State.PENDING), output=None)["metadata"]
    assert {"displayName", "inputConfig", "output", "endTime", "priority"}.isdisjoint(metadata)
