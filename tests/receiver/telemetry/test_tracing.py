from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.telemetry import tracing
from receiver.telemetry.tracing import log_fields

CARRIED = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Iterator[trace.Tracer]:
    """An SDK for this test alone: a process has one for good."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(tracing, "_tracer", tracer)
    yield tracer
    provider.shutdown()


@pytest.fixture
def inbox(redis_url: str) -> Iterator[Inbox]:
    with connect(redis_url) as client:
        yield Inbox(client)


def test_span_is_carried_on(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("delivery"):
        carried, delivery = tracing.carry_trace(), tracing.current_ids()
    assert tracing.CARRIED.fullmatch(carried)
    with tracing.job_span(carried):
        job = tracing.current_ids()
    assert job["trace_id"] == delivery["trace_id"]
    assert job["span_id"] != delivery["span_id"]


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize(
    "planted",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-{'cd' * 8}-01",
        CARRIED.upper(),
        f"{CARRIED}-more",
        f"{CARRIED}\n",
        "x" * 100_000,
    ],
)
def test_what_is_no_trace_is_left_alone(planted: str) -> None:
    """Somebody may write into Redis."""
    with tracing.job_span(planted):
        ids = tracing.current_ids()
    assert ids["trace_id"] not in {"ab" * 16, "0" * 32}


@pytest.mark.usefixtures("tracer")
def test_stage_says_what_its_lines_say() -> None:
    with (
        log_fields(batch="batches/x", attempt=2),
        tracing.job_span(""),
        tracing.stage("ask") as span,
    ):
        assert getattr(span, "attributes") == {"gbr.batch": "batches/x", "gbr.attempt": 2}  # noqa: B009 - only of an SDK's


def test_without_an_sdk_nothing_is_traced() -> None:
    with tracing.job_span(CARRIED), tracing.stage("ask"):
        tracing.flush_spans()
    assert (tracing.is_traced(), tracing.carry_trace(), tracing.current_ids()) == (False, "", {})


def test_first_delivery_gives_the_trace(inbox: Inbox) -> None:
    inbox.accept([Arrival("batches/x", "batch.succeeded", "static", "v1:1", trace=CARRIED)])
    inbox.accept(
        [
            Arrival(
                "batches/x", "batch.succeeded", "static", "v1:2", trace=CARRIED.replace("ab", "ef")
            )
        ]
    )
    lease = inbox.claim("batches/x")
    assert lease is not None
    assert lease.trace == CARRIED


def test_replay_begins_a_trace_of_its_own(inbox: Inbox) -> None:
    inbox.accept([Arrival("batches/x", "batch.succeeded", "static", "v1:1", trace=CARRIED)])
    lease = inbox.claim("batches/x")
    assert lease is not None
    inbox.finish(lease, Summary())
    inbox.accept([Arrival("batches/x", "batch.succeeded", "replay", reopen="all")])
    again = inbox.claim("batches/x")
    assert again is not None
    assert again.trace == ""
