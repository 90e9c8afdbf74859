import base64
import json
import time
from collections.abc import Callable

import httpx
import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from tests.sandbox.api.test_batches import inline
from tests.sandbox.callbacks import Callbacks, Received
from tests.sandbox.conftest import Json, Sandbox, wait_for

EVENTS = ["batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired"]


def register(sandbox: Sandbox, callbacks: Callbacks, events: list[str] | None = None) -> Json:
    return sandbox.ask(
        "POST", "/v1/webhooks", {"uri": callbacks.url, "subscribed_events": events or EVENTS}
    )


def dynamic(callbacks: Callbacks, *texts: str, name: str | None = None, **members: object) -> Json:
    return {
        **inline(*(texts or ("a",)), name=name),
        "webhookConfig": {"uris": [callbacks.url], **members},
    }


def settled(sandbox: Sandbox, batch: str, condition: Callable[[Json], bool]) -> Json:
    """The only delivery of a batch, once it meets the condition."""
    found: Json = wait_for(lambda: next(filter(condition, sandbox.deliveries(batch)), None))
    return found


def matches_v1a(sandbox: Sandbox, received: Received) -> bool:
    """Whether any published Ed25519 key signed this; the header names none."""
    version, _, signature = received.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    signed = ".".join(
        (received.headers["webhook-id"], received.headers["webhook-timestamp"], "")
    ).encode()
    for key in httpx.get(f"{sandbox.url}/.well-known/jwks.json").json()["keys"]:
        if key["kty"] == "OKP":
            public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
            try:
                public.verify(base64.b64decode(signature), signed + received.body)
            except InvalidSignature:
                continue
            return True
    return False


def test_static_delivery_verifies(sandbox: Sandbox, callbacks: Callbacks) -> None:
    secret = register(sandbox, callbacks)["new_signing_secret"]
    name = sandbox.create(inline("a"))["name"]
    received = callbacks.wait()[0]
    event = Webhook(secret).verify(received.body, received.headers)
    assert event == {
        "type": "batch.succeeded",
        "version": "v1",
        "timestamp": event["timestamp"],
        "data": {"id": name},
    }
    assert received.body == json.dumps(event, separators=(",", ":")).encode()
    assert received.headers["webhook-id"].startswith("msg_")
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("marker", "event_type"),
    [
        ("[fail]", "batch.failed"),
        ("[expire]", "batch.expired"),
        ("[cancel-partial]", "batch.cancelled"),
    ],
)
def test_every_end_has_its_event(
    sandbox: Sandbox, callbacks: Callbacks, marker: str, event_type: str
) -> None:
    register(sandbox, callbacks)
    sandbox.create(inline("a", name=marker))
    event = json.loads(callbacks.wait()[0].body)
    assert event["type"] == event_type
    assert (
        ("error_code" in event["data"])
        == ("error_message" in event["data"])
        == (event_type == "batch.failed")
    )


def test_unsubscribed_events_stay_away(sandbox: Sandbox, callbacks: Callbacks) -> None:
    register(sandbox, callbacks, ["batch.failed"])
    sandbox.run(inline("a"))
    sandbox.create(inline("a", name="[fail]"))
    assert [json.loads(got.body)["type"] for got in callbacks.wait()] == ["batch.failed"]


def test_disabled_webhook_hears_nothing(sandbox: Sandbox, callbacks: Callbacks) -> None:
    webhook = register(sandbox, callbacks)
    sandbox.ask("PATCH", f"/v1/webhooks/{webhook['id']}", {"state": "disabled"})
    ended = sandbox.run(inline("a"))
    assert sandbox.deliveries(ended["name"]) == []


def test_rotation_signs_with_both(sandbox: Sandbox, callbacks: Callbacks) -> None:
    webhook = register(sandbox, callbacks)
    new = sandbox.ask("POST", f"/v1/webhooks/{webhook['id']}:rotateSigningSecret", {})["secret"]
    sandbox.create(inline("a"))
    received = callbacks.wait()[0]
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (webhook["new_signing_secret"], new):
        Webhook(secret).verify(received.body, received.headers)


def test_rotated_secret_signs_until_its_end(
    start_sandbox: Callable[..., Sandbox], callbacks: Callbacks
) -> None:
    sandbox = start_sandbox("--secret-overlap", "0")
    webhook = register(sandbox, callbacks)
    sandbox.ask("POST", f"/v1/webhooks/{webhook['id']}:rotateSigningSecret", {})
    sandbox.create(inline("a"))
    assert len(callbacks.wait()[0].headers["webhook-signature"].split(" ")) == 1


def test_delivery_is_given_up(start_sandbox: Callable[..., Sandbox], callbacks: Callbacks) -> None:
    sandbox = start_sandbox("--retry-for", "0")
    callbacks.statuses = [500]
    name = sandbox.create(dynamic(callbacks))["name"]
    callbacks.wait()
    sandbox.create(dynamic(callbacks))  # takes longer than the wait before a second attempt
    callbacks.wait(2)
    assert [len(found["attempts"]) for found in sandbox.deliveries(name)] == [1]


def test_revoked_secret_signs_no_more(sandbox: Sandbox, callbacks: Callbacks) -> None:
    webhook = register(sandbox, callbacks)
    body = {"revocation_behavior": "revoke_previous_secrets_immediately"}
    new = sandbox.ask("POST", f"/v1/webhooks/{webhook['id']}:rotateSigningSecret", body)["secret"]
    sandbox.create(inline("a"))
    received = callbacks.wait()[0]
    Webhook(new).verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook["new_signing_secret"]).verify(received.body, received.headers)


def test_dynamic_replaces_registered(sandbox: Sandbox, callbacks: Callbacks) -> None:
    register(sandbox, callbacks)
    name = sandbox.create(dynamic(callbacks))["name"]
    received = callbacks.wait()[0]
    assert matches_v1a(sandbox, received)
    assert [found["scheme"] for found in sandbox.deliveries(name)] == ["v1a"]


def test_dynamic_body_is_bound(sandbox: Sandbox, callbacks: Callbacks) -> None:
    sandbox.create(dynamic(callbacks))
    received = callbacks.wait()[0]
    assert not matches_v1a(sandbox, Received(received.path, received.headers, received.body + b" "))


@pytest.mark.parametrize("name", ["userMetadata", "user_metadata"])
@pytest.mark.parametrize("place", ["top", "data"])
def test_user_metadata_comes_along(
    sandbox: Sandbox, callbacks: Callbacks, name: str, place: str
) -> None:
    sandbox.fault(user_metadata_in=place)
    metadata: Json = {name: {"job_group": "n"}}
    sandbox.create(dynamic(callbacks, **metadata))
    event = json.loads(callbacks.wait()[0].body)
    assert (event if place == "top" else event["data"])["user_metadata"] == {"job_group": "n"}


def test_jwks_holds_both_kinds(sandbox: Sandbox) -> None:
    keys = httpx.get(f"{sandbox.url}/.well-known/jwks.json").json()["keys"]
    assert [key["kty"] for key in keys] == ["OKP", "OKP", "OKP", "RSA"]
    assert len({key["kid"] for key in keys}) == 4


def test_rotated_keys_replace_all(sandbox: Sandbox) -> None:
    before = httpx.get(f"{sandbox.url}/.well-known/jwks.json").json()
    sandbox.ask("POST", "/sandbox/keys:rotate")
    after = httpx.get(f"{sandbox.url}/.well-known/jwks.json").json()
    assert {key["kid"] for key in before["keys"]}.isdisjoint(key["kid"] for key in after["keys"])


def test_jwt_scheme_is_rs256(sandbox: Sandbox, callbacks: Callbacks) -> None:
    sandbox.fault(dynamic_scheme="jwt")
    name = sandbox.create(dynamic(callbacks))["name"]
    token = callbacks.wait()[0].headers["webhook-signature"]
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "RS256"
    keys = httpx.get(f"{sandbox.url}/.well-known/jwks.json").json()["keys"]
    key = next(key for key in keys if key["kid"] == header["kid"])
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], audience=callbacks.url)
    assert set(claims) == {"iss", "aud", "iat", "exp", "type", "data"}
    assert (claims["type"], claims["data"]["id"]) == ("batch.succeeded", name)
    sandbox.fault(wrong_signature=1)
    sandbox.create(dynamic(callbacks))
    forged = callbacks.wait(2)[1].headers["webhook-signature"]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(forged, jwt.PyJWK(key), algorithms=["RS256"], audience=callbacks.url)


def test_options_set_scheme_and_audience(
    start_sandbox: Callable[..., Sandbox], callbacks: Callbacks
) -> None:
    start_sandbox("--dynamic-scheme", "jwt", "--jwt-audience", "my-service").create(
        dynamic(callbacks)
    )
    claims = jwt.decode(
        callbacks.wait()[0].headers["webhook-signature"], options={"verify_signature": False}
    )
    assert claims["aud"] == "my-service"


def test_refused_delivery_comes_again(sandbox: Sandbox, callbacks: Callbacks) -> None:
    secret = register(sandbox, callbacks)["new_signing_secret"]
    callbacks.statuses = [500, 404, 301]
    name = sandbox.create(inline("a"))["name"]
    got = callbacks.wait(4)
    assert len({received.headers["webhook-id"] for received in got}) == 1
    assert len({received.body for received in got}) == 1
    Webhook(secret).verify(got[-1].body, got[-1].headers)
    delivery = settled(sandbox, name, lambda found: found["accepted"])
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 404, 301, 200]


def test_retry_is_signed_anew(sandbox: Sandbox, callbacks: Callbacks) -> None:
    callbacks.statuses = [500] * 5  # waits of 0.05 to 0.8 s cross a full second
    sandbox.create(dynamic(callbacks))
    got = callbacks.wait(6)
    assert len({received.headers["webhook-timestamp"] for received in got}) > 1
    assert all(matches_v1a(sandbox, received) for received in got)


def test_unreachable_endpoint_is_recorded(sandbox: Sandbox) -> None:
    batch = {**inline("a"), "webhookConfig": {"uris": ["http://127.0.0.1:9/closed"]}}
    name = sandbox.create(batch)["name"]
    delivery = settled(sandbox, name, lambda found: len(found["attempts"]) > 1)
    assert delivery["attempts"][0]["status"] is None
    assert "ConnectError" in delivery["attempts"][0]["error"]


def test_failing_webhook_is_switched_off(
    start_sandbox: Callable[..., Sandbox], callbacks: Callbacks
) -> None:
    sandbox = start_sandbox("--disable-after", "3")
    webhook_id = register(sandbox, callbacks)["id"]
    callbacks.statuses = [500] * 10
    sandbox.create(inline("a"))

    def state() -> str:
        found: str = sandbox.ask("GET", f"/v1/webhooks/{webhook_id}")["state"]
        return found

    wait_for(lambda: state() == "disabled_due_to_failed_deliveries")
    assert len(callbacks.received) == 3
    assert (
        sandbox.ask("PATCH", f"/v1/webhooks/{webhook_id}", {"state": "enabled"})["state"]
        == "enabled"
    )


def test_dropped_delivery_never_comes(sandbox: Sandbox, callbacks: Callbacks) -> None:
    register(sandbox, callbacks)
    sandbox.fault(drop_deliveries=1)
    lost = sandbox.run(inline("a"))["name"]
    kept = sandbox.run(inline("a"))["name"]
    assert [json.loads(got.body)["data"]["id"] for got in callbacks.wait()] == [kept]
    assert [(found["dropped"], found["attempts"]) for found in sandbox.deliveries(lost)] == [
        (True, [])
    ]


def test_duplicate_has_same_id(sandbox: Sandbox, callbacks: Callbacks) -> None:
    register(sandbox, callbacks)
    sandbox.fault(duplicate_deliveries=1)
    sandbox.create(inline("a"))
    first, second = callbacks.wait(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_late_delivery_comes_late(sandbox: Sandbox, callbacks: Callbacks) -> None:
    sandbox.fault(delay_deliveries_s=0.5)
    began = time.monotonic()
    sandbox.create(dynamic(callbacks))
    callbacks.wait()
    assert time.monotonic() - began > 0.5


def test_reordered_deliveries_change_places(sandbox: Sandbox, callbacks: Callbacks) -> None:
    sandbox.fault(reorder_deliveries="all")
    names = [sandbox.run(dynamic(callbacks))["name"] for _ in range(4)]
    came = [json.loads(got.body)["data"]["id"] for got in callbacks.wait(4)]
    assert came == [names[1], names[0], names[3], names[2]]


def test_webhook_is_disabled_instead_of_told(sandbox: Sandbox, callbacks: Callbacks) -> None:
    path = f"/v1/webhooks/{register(sandbox, callbacks)['id']}"
    sandbox.fault(disable_webhooks=1)
    missed = sandbox.run(inline("a"))["name"]
    assert sandbox.ask("GET", path)["state"] == "disabled_due_to_failed_deliveries"
    sandbox.ask("PATCH", path, {"state": "enabled"})
    told = sandbox.run(inline("a"))["name"]
    assert json.loads(callbacks.wait()[0].body)["data"]["id"] == told
    assert sandbox.deliveries(missed) == []


def test_wrong_signature_fails_to_verify(sandbox: Sandbox, callbacks: Callbacks) -> None:
    secret = register(sandbox, callbacks)["new_signing_secret"]
    sandbox.fault(wrong_signature=2)
    sandbox.create(inline("a"))
    forged = callbacks.wait()[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(forged.body, forged.headers)
    sandbox.create(dynamic(callbacks))
    assert not matches_v1a(sandbox, callbacks.wait(2)[1])


def test_event_id_has_three_forms(sandbox: Sandbox, callbacks: Callbacks) -> None:
    for number, form in enumerate(("batches/", "batch_", "")):
        sandbox.fault(event_id=form)
        batch_id = sandbox.create(dynamic(callbacks))["name"].removeprefix("batches/")
        assert json.loads(callbacks.wait(number + 1)[-1].body)["data"]["id"] == form + batch_id


def test_ping_is_signed(sandbox: Sandbox, callbacks: Callbacks) -> None:
    webhook = register(sandbox, callbacks)
    assert sandbox.ask("POST", f"/v1/webhooks/{webhook['id']}:ping") == {}
    received = callbacks.wait()[0]
    assert (
        Webhook(webhook["new_signing_secret"]).verify(received.body, received.headers)["type"]
        == "ping"
    )
