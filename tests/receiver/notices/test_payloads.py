import base64
import json
import re
import time

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from receiver.notices.payloads import (
    MAX_KEY,
    MAX_KEYS,
    describe_manifest,
    encode_data,
    encode_payload,
    sign,
)
from receiver.outputs.manifest import BatchError, FormsRecord, Record
from receiver.verification.keys import KeySet, Secret
from receiver.verification.signatures import verify
from tests.pages import section
from tests.receiver.forging import BODY, ID, NOW, SECRET, SECRET_TEXT, STATIC_ENTRY
from tests.receiver.outputs.test_manifest import MANIFEST

OTHER_TEXT = "whsec_" + base64.b64encode(bytes(range(40))).decode()
OTHER = Secret.parse(OTHER_TEXT)
WHOLE = msgspec.structs.replace(MANIFEST, requests=1, missing=0, missing_keys=[], input=None)


def test_complete_batch_is_said_to_be() -> None:
    message = describe_manifest(WHOLE)
    assert message.type == "results.stored"
    assert (message.data["complete"], message.data["problems"]) == (True, [])
    expected = {
        "state": "SUCCEEDED",
        "display_name": "nightly",
        "requests": 1,
        "outcomes": {"ok": 1},
        "missing": 0,
    }
    assert message.data | expected == message.data
    assert message.data["cost"] | {"amount": "1.5", "currency": "USD"} == message.data["cost"]


def test_missing_results_are_a_problem() -> None:
    data = describe_manifest(MANIFEST).data
    assert not data["complete"]
    assert data["problems"] == ["1 of 2 requests has no result"]
    assert data["missing_keys"] == ["ä"]


def test_books_that_do_not_balance_are_a_problem() -> None:
    data = describe_manifest(msgspec.structs.replace(WHOLE, balanced=False)).data
    assert not data["complete"]
    assert "the counts don't add up" in data["problems"][0]


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED", "CANCELLED"])
def test_unsuccessful_batch_is_a_failure(state: str) -> None:
    message = describe_manifest(
        msgspec.structs.replace(WHOLE, state=state, error=BatchError(13, "it broke"))
    )
    assert message.type == "results.failed"
    assert message.data["state"] == state
    assert message.data["error"] == {"code": 13, "message": "it broke"}


def test_objects_are_named() -> None:
    forms = FormsRecord(Record("b1/_forms.jsonl.gz", "aa"), {}, 0, {})
    oversize = [Record(f"b1/_oversize/{number}.jsonl", "bb") for number in range(1000)]
    objects = describe_manifest(
        msgspec.structs.replace(WHOLE, forms=forms, oversize=oversize)
    ).data["objects"]
    names = {
        "manifest": "b1/_manifest.json",
        "index": "b1/_index.jsonl.gz",
        "errors": "b1/_errors.jsonl",
    }
    assert (
        objects | names | {"forms": "b1/_forms.jsonl.gz", "retry": None, "count": 1, "bytes": 20}
        == objects
    )
    assert len(objects["oversize"]) == 20


def test_enormous_manifest_makes_a_small_message() -> None:
    keys = ["x" * (MAX_KEY + 1), *(f"key-{number}" for number in range(1_000_000))]
    enormous = msgspec.structs.replace(
        MANIFEST,
        missing_keys=keys,
        missing=len(keys),
        display_name="n" * 100_000,
        error=BatchError(1, "e" * 100_000),
    )
    message = describe_manifest(enormous)
    assert message.data["missing_keys"] == keys[1:MAX_KEYS]
    assert message.data["missing"] == 1_000_001
    assert len(encode_data(message.data)) < 8000


def test_surrogates_travel_as_escapes() -> None:
    message = describe_manifest(
        msgspec.structs.replace(MANIFEST, missing_keys=["\ud800"], display_name="\udfff\n")
    )
    data = encode_data(message.data)
    assert data.isascii()
    assert json.loads(data) == message.data


def test_page_shows_every_field() -> None:
    shown = section("## Notices").partition("```\n{")[2].partition("```")[0]
    data = describe_manifest(MANIFEST).data
    fields = {"type", "timestamp", "data", "batch", "project", *data, *data["objects"]}
    assert fields - {"code", "message"} <= set(re.findall(r'"(\w+)":', shown))


def test_payload_is_in_the_standard_form() -> None:
    body = encode_payload(
        "results.stored", "acme/batches/b1", 1_769_083_200_007, {"complete": True}
    )
    assert json.loads(body) == {
        "type": "results.stored",
        "timestamp": "2026-01-22T12:00:00.007Z",
        "data": {"batch": "batches/b1", "project": "acme", "complete": True},
    }
    assert (
        json.loads(encode_payload("results.stored", "batches/b1", 0, {}))["data"]["project"] is None
    )


def test_known_signature_is_made() -> None:
    assert sign([SECRET], ID, NOW + 0.9, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": str(NOW),
        "webhook-signature": STATIC_ENTRY,
    }


@pytest.mark.parametrize("text", [SECRET_TEXT, OTHER_TEXT])
def test_every_secret_of_a_rotation_verifies(text: str) -> None:
    headers = sign([SECRET, OTHER], ID, time.time(), BODY)
    assert Webhook(text).verify(BODY, headers)
    assert (
        verify(
            headers,
            BODY,
            now=time.time(),
            secrets=[Secret.parse(text)],
            keys=KeySet(),
            audience=None,
        ).delivery_id
        == ID
    )


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_any_change_is_noticed(change: str) -> None:
    headers, body = sign([OTHER if change == "secret" else SECRET], ID, time.time(), BODY), BODY
    if change == "body":
        body += b" "
    elif change == "id":
        headers["webhook-id"] += "x"
    elif change == "timestamp":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET_TEXT).verify(body, headers)


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("batches/b1", {"batch": "batches/b1", "project": None}),
        ("acme/batches/b1", {"batch": "batches/b1", "project": "acme"}),
        ("submissions/" + "0a" * 10, {"submission": "0a" * 10, "project": None}),
        ("acme/submissions/" + "0a" * 10, {"submission": "0a" * 10, "project": "acme"}),
        ("", {}),
    ],
)
def test_payload_names_what_it_is_about(name: str, about: dict[str, object]) -> None:
    assert json.loads(encode_payload("x", name, 0, {"a": 1}))["data"] == about | {"a": 1}
