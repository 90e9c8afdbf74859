from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.conftest import Json, Sandbox

if TYPE_CHECKING:
    from google import genai

URI = "https://my-api.com/gemini-callback"


def create(sandbox: Sandbox, **members: Any) -> Json:
    return sandbox.ask(
        "POST", "/v1/webhooks", {"uri": URI, "subscribed_events": ["batch.succeeded"], **members}
    )


def test_secret_shows_on_create_only(sandbox: Sandbox) -> None:
    created = create(sandbox, name="N")
    secret = created.pop("new_signing_secret")
    assert len(created["id"]) == 36
    assert created["signing_secrets"] == [{"truncated_secret": f"whsec_...{secret[-4:]}"}]
    assert sandbox.ask("GET", f"/v1/webhooks/{created['id']}") == created
    assert sandbox.ask("GET", "/v1/webhooks")["webhooks"] == [created]


def test_empty_list_is_empty_object(sandbox: Sandbox) -> None:
    assert sandbox.ask("GET", "/v1beta/webhooks") == {}


def test_list_has_snake_case_pages(sandbox: Sandbox) -> None:
    made = [create(sandbox)["id"] for _ in range(3)]
    first = sandbox.ask("GET", "/v1/webhooks?page_size=2")
    second = sandbox.ask("GET", f"/v1/webhooks?page_size=2&page_token={first['next_page_token']}")
    assert [webhook["id"] for webhook in first["webhooks"] + second["webhooks"]] == made[::-1]
    assert "next_page_token" not in second


def test_mask_limits_the_update(sandbox: Sandbox) -> None:
    path = f"/v1/webhooks/{create(sandbox, name='old')['id']}"
    changes = {"name": "new", "uri": "https://other.example/x"}
    masked = sandbox.ask("PATCH", f"{path}?update_mask=name", changes)
    assert (masked["name"], masked["uri"]) == ("new", URI)
    both = sandbox.ask("PATCH", f"{path}?update_mask=uri%2Cstate", {**changes, "state": "disabled"})
    assert (both["uri"], both["state"]) == ("https://other.example/x", "disabled")
    assert sandbox.ask("PATCH", path, {"subscribed_events": ["batch.failed"]})[
        "subscribed_events"
    ] == ["batch.failed"]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "disabled_due_to_failed_deliveries"},
        {"uri": "ftp://x"},
        {"subscribed_events": []},
        {"id": "x"},
    ],
    ids=str,
)
def test_wrong_update_changes_nothing(sandbox: Sandbox, changes: Json) -> None:
    created = create(sandbox)
    assert (
        sandbox.http.patch(
            f"/v1/webhooks/{created['id']}", json={"name": "new", **changes}
        ).status_code
        == 400
    )
    assert "name" not in sandbox.ask("GET", f"/v1/webhooks/{created['id']}")


@pytest.mark.parametrize(
    "body", [{}, {"uri": URI}, {"uri": 1, "subscribed_events": ["a"]}], ids=str
)
def test_incomplete_create_is_refused(sandbox: Sandbox, body: Json) -> None:
    assert sandbox.http.post("/v1/webhooks", json=body).status_code == 400


@pytest.mark.parametrize("path", [":rotateSigningSecret", "/rotate_secret"])
@pytest.mark.parametrize(
    ("behavior", "live"),
    [
        (None, 2),
        ("revoke_previous_secrets_after_h24", 2),
        ("REVOKE_PREVIOUS_SECRETS_AFTER_H24", 2),
        ("revoke_previous_secrets_immediately", 1),
        ("REVOKE_PREVIOUS_SECRETS_IMMEDIATELY", 1),
    ],
)
def test_rotation_keeps_or_revokes(
    sandbox: Sandbox, path: str, behavior: str | None, live: int
) -> None:
    created = create(sandbox)
    body = {"revocation_behavior": behavior} if behavior else {}
    secret = sandbox.ask("POST", f"/v1/webhooks/{created['id']}{path}", body)["secret"]
    assert secret != created["new_signing_secret"]
    shown = sandbox.ask("GET", f"/v1/webhooks/{created['id']}")["signing_secrets"]
    assert len(shown) == live
    assert shown[0] == {"truncated_secret": f"whsec_...{secret[-4:]}"}
    assert all("expire_time" in old for old in shown[1:])


def test_unknown_revocation_is_refused(sandbox: Sandbox) -> None:
    path = f"/v1/webhooks/{create(sandbox)['id']}:rotateSigningSecret"
    assert sandbox.http.post(path, json={"revocation_behavior": "never"}).status_code == 400


def test_sdk_walks_the_life(client: "genai.Client") -> None:
    created = client.webhooks.create(subscribed_events=["batch.succeeded"], uri=URI)
    assert created.id is not None
    assert client.webhooks.get(id=created.id).uri == URI
    assert client.webhooks.update(id=created.id, name="new", update_mask="name").name == "new"
    listed = client.webhooks.list(page_size=5).webhooks
    assert [webhook.id for webhook in listed or []] == [created.id]
    rotated = client.webhooks.rotate_signing_secret(
        id=created.id, revocation_behavior="revoke_previous_secrets_after_h24"
    )
    assert rotated.secret is not None
    assert rotated.secret.startswith("whsec_")
    client.webhooks.ping(id=created.id)
    client.webhooks.delete(id=created.id)
    with pytest.raises(Exception, match="was not found"):
        client.webhooks.get(id=created.id)
