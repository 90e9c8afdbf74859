"""What anybody may see: shapes hold no contents, whatever stands where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.telemetry.shapes import header_shapes, shape_of

SECRET = "AIzaSyCanaryKeyOfNobody-0123456789abcde"
PLACES = ["name", "state", "type", "@type", "code", "status", "message", "uri", "version", "source"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "form", ["{}", "batches/{}", "files/{}", "https://x/{}", "type.googleapis.com/google.{}"]
)
def test_no_member_shows_a_secret(place: str, form: str) -> None:
    text = form.format(SECRET)
    assert SECRET not in str(shape_of({place: text, "rows": [[{place: [text]}]], text: 1}))


def test_enums_stay_only_where_enums_are() -> None:
    known = {"state": "BATCH_STATE_FAILED", "alg": "EdDSA", "mimeType": "application/jsonl"}
    assert shape_of(known) == known
    assert shape_of({"displayName": "ACME", "text": "succeeded"}) == {
        "displayName": "string",
        "text": "string",
    }
    assert shape_of({"type": "hooks.example.com"}) == {"type": "string"}


def test_numbers_are_hidden_but_for_codes_of_errors() -> None:
    assert shape_of({"code": 13, "projectNumber": 123, "error_code": 123456789012}) == {
        "code": 13,
        "projectNumber": "number",
        "error_code": "number",
    }


@pytest.mark.parametrize("member", ["user_metadata", "userMetadata", "labels"])
def test_members_that_users_name_are_hidden(member: str) -> None:
    assert shape_of({member: {"Ann": "secret"}}) == {member: "object"}


def test_members_with_odd_names_are_hidden() -> None:
    assert shape_of({"ann@example.com": 1, "sha256Hash": "x"}) == {
        "<name>": "number",
        "sha256Hash": "string",
    }


def test_lists_show_each_shape_once() -> None:
    assert shape_of([1, 2, "x", None, 3]) == ["number", "string", "null"]


def test_what_is_nested_too_deeply_ends() -> None:
    value: object = 1
    for _ in range(1000):
        value = [value]
    assert "deeper" in str(shape_of(value))


HIDDEN = {
    "x-goog-api-key": SECRET,
    "authorization": "Bearer abcdef",
    "server": "10.1.2.3",
    "accept-ranges": SECRET,
    "content-type": "application/json; x@y.example",
    "x-forwarded-for": "203.0.113.9",
    "user-agent": "hook.example.com",
    "cookie": "a=b",
    "vary": "https://user.example",
    "location": "https://user.example/files/abc",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_header_with_a_secret_shows_its_name_alone(name: str) -> None:
    assert header_shapes([(name.title(), HIDDEN[name])]) == {name: "…"}


def test_a_header_whose_name_is_odd_is_left_out() -> None:
    assert header_shapes([(f"x-{SECRET}", "1"), ("x_odd", "1")]) == {}


def test_forms_of_a_delivery_are_told() -> None:
    headers = {
        "webhook-id": "msg_0f8fad5b-d9cb-469f-a165-70867728950e",
        "webhook-timestamp": "1769083200",
        "webhook-signature": "v1,c2VjcmV0 v1a,c2VjcmV0 v9,x",
        "user-agent": "Google-Webhooks/1.2 (+https://x)",
    }
    assert header_shapes(headers.items()) == {
        "webhook-id": "<prefix_>uuid",
        "webhook-timestamp": "digits",
        "webhook-signature": "v1 v1a other",
        "user-agent": "Google-Webhooks",
    }


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_json_has_a_shape(value: object) -> None:
    shape_of(value)
