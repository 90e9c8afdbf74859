"""How a delivery looks, without what it holds."""

import json

from receiver.inbox.delivery_shapes import take_shape
from tests.receiver import forging


def fields(signature: str) -> dict[bytes, bytes]:
    headers = {"content-type": "application/json", **forging.headers(signature)}
    return {name.encode(): value.encode() for name, value in headers.items()}


def test_static_delivery_shows_form_and_scheme_alone() -> None:
    headers = fields(forging.STATIC_ENTRY)
    shape = take_shape("", "v1", "batch.succeeded", headers, forging.BODY)
    assert (shape.scheme, shape.event, shape.kid) == ("v1", "batch.succeeded", "")
    assert shape.headers == {
        "content-type": "application/json",
        "webhook-id": "<prefix_>uuid",
        "webhook-signature": "v1",
        "webhook-timestamp": "digits",
    }
    assert shape.body == {
        "data": {"id": "batches/<id>", "output_file_uri": "files/<id>"},
        "timestamp": "time",
        "type": "batch.succeeded",
        "version": "v1",
    }


def test_kid_of_a_token_is_told_if_it_looks_like_one() -> None:
    for kid, shown in (("key-1", "key-1"), ("https://attacker.example", "")):
        token = forging.rs256(forging.unsigned({"alg": "RS256", "kid": kid}, {}))
        shape = take_shape("acme", "jwt", "ping", fields(token), b"{}")
        assert (shape.kid, shape.headers["webhook-signature"]) == (shown, "jwt")


def test_body_that_is_no_strict_json_has_a_shape_too() -> None:
    body = b'{"type": "ping", "data": {"odd": NaN, "half": "\\ud800", "n": 1e999}}'
    shape = take_shape("", "v1", "ping", fields("v1,x"), body)
    assert json.loads(json.dumps(shape.body))["data"]["odd"] == "number"
