import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.batch_names import BatchName
from receiver.errors import EventError, SignatureError
from receiver.verification.events import (
    BatchEvent,
    OtherEvent,
    check_claims,
    parse_event,
)

EVENT = BatchEvent("batch.succeeded", "batches/abc", {})


def body(**changes: Any) -> bytes:
    """The documented envelope with changes; a value of `...` leaves its field out."""
    envelope = {
        "type": "batch.succeeded",
        "version": "v1",
        "timestamp": "2026-01-22T12:00:00Z",
        "data": {"id": "abc"},
    }
    return json.dumps(
        {name: value for name, value in (envelope | changes).items() if value is not ...}
    ).encode()


def batch_event(document: bytes) -> BatchEvent:
    event = parse_event(document)
    assert isinstance(event, BatchEvent)
    return event


def test_documented_example_is_read() -> None:
    document = (
        b'{"type": "batch.succeeded", "version": "v1", "timestamp": "2026-01-22T12:00:00Z",\n'
        b' "data": {"id": "batch_123456", "output_file_uri": "gs://my-bucket/results.jsonl"}}'
    )
    assert parse_event(document) == BatchEvent("batch.succeeded", "batches/123456", {})


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("batch.succeeded", "batch.succeeded"),
        ("batch.completed", "batch.succeeded"),
        ("batch.failed", "batch.failed"),
        ("batch.cancelled", "batch.cancelled"),
        ("batch.expired", "batch.expired"),
    ],
)
def test_every_end_is_known(sent: str, read: str) -> None:
    assert batch_event(body(type=sent)).type == read


@pytest.mark.parametrize(
    "name", ["ping", "video.generated", "interaction.completed", "BATCH.SUCCEEDED", "é", "x" * 100]
)
def test_other_types_are_passed_on(name: str) -> None:
    assert parse_event(body(type=name)) == OtherEvent(name)
    assert parse_event(body(type=name, data=...)) == OtherEvent(name)


@pytest.mark.parametrize(
    "document", [b"{}", b'{"data": {}}', b'{"data": null}', b'{"message": "hello"}']
)
def test_body_about_nothing_is_ping(document: bytes) -> None:
    assert parse_event(document) == OtherEvent("ping")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not JSON"),
        (b"batch.succeeded", "not JSON"),
        (body()[:-1], "not JSON"),
        (body() + b"{}", "not JSON"),
        (b"\xef\xbb\xbf" + body(), "not JSON"),
        (b'{"type": "\xff"}', "not UTF-8"),
        (body().decode().encode("utf-16"), "not UTF-8"),
        (body().decode().encode("utf-16-le"), "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"batch.succeeded"', "not a JSON object"),
        (b"NaN", "not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (
            b'{"type":"batch.failed","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "nested too deeply",
        ),
        (body(type=...), "has no type"),
        (body(type=None), "has no type"),
        (body(type=""), "has no type"),
        (body(type=" \t"), "has no type"),
        (body(type=7), "has no type"),
        (body(type=["batch.succeeded"]), "has no type"),
        (body(type="x" * 101), "printable"),
        (body(type="a\nb"), "printable"),
        (body(type="a\u202eb"), "printable"),
        (body(type="a\ud800"), "printable"),
        (body(data=...), "no data.id"),
        (body(data=None), "no data.id"),
        (body(data="abc"), "no data.id"),
        (body(data=["abc"]), "no data.id"),
        (body(data={}), "no data.id"),
        (body(data={"id": 7}), "no data.id"),
        (body(data={"id": None}), "no data.id"),
        (body(data={"id": ""}), "batch's name"),
        (body(data={"id": "../x"}), "batch's name"),
    ],
)
def test_anything_else_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(EventError, match=f"^the .*{reason}"):
        parse_event(document)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("batches/x", "batches/x"),
        ("x", "batches/x"),
        ("batch_x", "batches/x"),
        ("batches/batch_x", "batches/batch_x"),
        ("batch-x", "batches/batch-x"),
        ("batches", "batches/batches"),
        ("batch", "batches/batch"),
        ("A_b-9", "batches/A_b-9"),
        ("batches/" + "x" * 128, "batches/" + "x" * 128),
    ],
)
def test_batch_name_takes_one_form(text: str, name: str) -> None:
    assert BatchName.parse_gemini(text).gemini == name
    assert BatchName.parse_gemini(name).gemini == name


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "batches/",
            "batch_",
            "batches/batches/x",
            "batches/../x",
            "../x",
            "x/y",
            "x.y",
            "x y",
            "x\n",
            "\nx",
            "é",
            "x:y",
        ),
        *(
            "files/x",
            "/batches/x",
            "Batches/x",
            "https://evil.example/batches/x",
            "x?alt=media",
            "x%2fy",
            "x\x00",
            "x" * 129,
        ),
    ],
)
def test_hostile_batch_name_is_refused(text: str) -> None:
    with pytest.raises(EventError, match="batch's name"):
        BatchName.parse_gemini(text)


@given(st.text())
def test_any_name_is_safe_or_refused(text: str) -> None:
    try:
        name = BatchName.parse_gemini(text).gemini
    except EventError:
        return
    assert name.count("/") == 1
    assert name.startswith("batches/")
    assert BatchName.parse_gemini(name).gemini == name


@pytest.mark.parametrize(
    ("changes", "metadata"),
    [
        ({"user_metadata": {"team": "a"}}, {"team": "a"}),
        ({"data": {"id": "abc", "user_metadata": {"team": "b"}}}, {"team": "b"}),
        (
            {"user_metadata": {"team": "a"}, "data": {"id": "abc", "user_metadata": {"team": "b"}}},
            {"team": "a"},
        ),
        (
            {"user_metadata": {}, "data": {"id": "abc", "user_metadata": {"team": "b"}}},
            {"team": "b"},
        ),
        (
            {"user_metadata": "a", "data": {"id": "abc", "user_metadata": {"team": "b"}}},
            {"team": "b"},
        ),
        ({"user_metadata": {"big": 10**400}}, {"big": 10**400}),
        ({"user_metadata": ["a"]}, {}),
        ({"user_metadata": None}, {}),
        (
            {"user_metadata": {"fill": "x" * (8192 - len('{"fill":""}'))}},
            {"fill": "x" * (8192 - len('{"fill":""}'))},
        ),
    ],
)
def test_user_metadata_is_found(changes: dict[str, Any], metadata: dict[str, Any]) -> None:
    event = batch_event(body(**changes))
    assert (event.user_metadata, event.user_metadata_dropped) == (metadata, False)


@pytest.mark.parametrize(
    "metadata",
    [
        {"fill": "x" * (8193 - len('{"fill":""}'))},
        {"half a pair": "\ud800"},
        {"number": float("nan")},
    ],
    ids=["large", "surrogate", "nan"],
)
def test_unfit_metadata_costs_no_event(metadata: dict[str, Any]) -> None:
    event = batch_event(body(user_metadata=metadata))
    assert (event.batch, event.user_metadata, event.user_metadata_dropped) == (
        "batches/abc",
        {},
        True,
    )


def test_dirty_text_elsewhere_costs_no_event() -> None:
    event = batch_event(body(data={"id": "abc", "error_message": "\ud800"}))
    assert (event.batch, event.user_metadata_dropped) == ("batches/abc", False)


@pytest.mark.parametrize("timestamp", [..., None, 7, "x" * 65, "a\nb", {}])
def test_timestamp_does_not_matter(timestamp: object) -> None:
    assert batch_event(body(timestamp=timestamp)) == EVENT


@pytest.mark.parametrize(
    "claims",
    [
        None,
        {},
        {"aud": "x"},
        {"type": "batch.succeeded"},
        {"type": "batch.completed"},
        {"data": {"id": "abc"}},
        {"data": {"id": "batch_abc"}},
        {"type": "batch.succeeded", "data": {"id": "batches/abc"}},
        {"data": {}},
        {"data": "abc"},
    ],
)
def test_agreeing_claims_are_accepted(claims: dict[str, Any] | None) -> None:
    check_claims(claims, EVENT)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"type": "batch.failed"}, "^the token's type is not the body's$"),
        ({"type": "ping"}, "type"),
        ({"type": None}, "type"),
        ({"type": ["batch.succeeded"]}, "type"),
        ({"data": {"id": "other"}}, r"^the token's data\.id is not the body's$"),
        ({"data": {"id": "ABC"}}, "data.id"),
        ({"data": {"id": None}}, "data.id"),
        ({"data": {"id": "../abc"}}, "data.id"),
        ({"data": {"id": ["abc"]}}, "data.id"),
        ({"type": "batch.succeeded", "data": {"id": "other"}}, "data.id"),
    ],
)
def test_contradicting_claims_are_refused(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(SignatureError, match=reason):
        check_claims(claims, EVENT)


def test_claims_of_ignored_event_need_its_type() -> None:
    check_claims({"type": "ping", "data": {"id": "abc"}}, OtherEvent("ping"))
    with pytest.raises(SignatureError, match="type"):
        check_claims({"type": "batch.succeeded"}, OtherEvent("ping"))


def assert_judged(document: bytes) -> None:
    try:
        event = parse_event(document)
    except EventError:
        return
    assert 1 <= len(event.type) <= 100
    assert event.type.isprintable()
    if isinstance(event, BatchEvent):
        assert BatchName.parse_gemini(event.batch).gemini == event.batch
        assert (
            len(json.dumps(event.user_metadata, ensure_ascii=False, separators=(",", ":"))) <= 8192
        )


@given(st.binary())
def test_any_bytes_are_judged(document: bytes) -> None:
    assert_judged(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELD = st.sampled_from(["type", "data", "timestamp", "user_metadata", "version"])


@given(
    st.dictionaries(FIELD, JSON), st.dictionaries(st.sampled_from(["id", "user_metadata"]), JSON)
)
def test_any_envelope_is_judged(changes: dict[str, Any], data: dict[str, Any]) -> None:
    assert_judged(body(**changes))
    assert_judged(body(**{"data": {"id": "abc"} | data} | changes))
