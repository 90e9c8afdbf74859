import json
import subprocess
import sys
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from deploy.sandbox.__main__ import main
from deploy.sandbox.delivery.signing import new_secret
from deploy.sandbox.delivery.trigger import event_of
from deploy.sandbox.delivery.trigger import trigger as trigger_command
from deploy.sandbox.processes import allocate_port
from tests.pages import section
from tests.sandbox.callbacks import Callbacks
from tests.sandbox.conftest import Json, Sandbox
from tests.sandbox.delivery.test_deliveries import matches_v1a

SECRET = new_secret()


def trigger(*args: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["trigger", *args])


def test_static_delivery_verifies(callbacks: Callbacks) -> None:
    args = [
        "trigger",
        "batch.succeeded",
        "--url",
        callbacks.url,
        "--secret",
        SECRET,
        "--batch",
        "batches/x",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "deploy.sandbox", *args], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (received,) = callbacks.received
    event = Webhook(SECRET).verify(received.body, received.headers)
    assert event["data"] == {"id": "batches/x", "output_file_uri": "files/batch-x"}
    assert ran.stdout == f"{received.headers['webhook-id']} {received.body.decode()}\n200 OK\n"


def test_secret_may_come_from_the_environment(callbacks: Callbacks) -> None:
    assert trigger("ping", "--url", callbacks.url, GEMINI_WEBHOOK_SECRET=SECRET).exit_code == 0
    (received,) = callbacks.received
    assert Webhook(SECRET).verify(received.body, received.headers)["data"] == {}


def test_v1a_delivery_matches_the_sandboxs_keys(sandbox: Sandbox, callbacks: Callbacks) -> None:
    metadata = {"job": "nightly", "n": 1.5, "deep": [None, True, "é"]}
    args = ["--dynamic", "v1a", "--sandbox", sandbox.url, "--user-metadata", json.dumps(metadata)]
    ran = trigger("batch.failed", "--url", callbacks.url, *args)
    assert ran.exit_code == 0, ran.output
    assert f"{sandbox.url}/.well-known/jwks.json" in ran.output
    (received,) = callbacks.received
    assert matches_v1a(sandbox, received)
    assert json.loads(received.body)["user_metadata"] == metadata


@pytest.mark.parametrize("audience", [None, "my-service"])
def test_jwt_delivery_names_its_audience(
    sandbox: Sandbox, callbacks: Callbacks, audience: str | None
) -> None:
    args = [
        "--dynamic",
        "jwt",
        "--sandbox",
        f"{sandbox.url}/",
        *(["--audience", audience] if audience else []),
    ]
    assert trigger("batch.expired", "--url", callbacks.url, *args).exit_code == 0
    token = callbacks.received[0].headers["webhook-signature"]
    keys = jwt.PyJWKSet.from_dict(sandbox.ask("GET", "/.well-known/jwks.json"))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience or callbacks.url)
    assert claims["type"] == "batch.expired"


@pytest.mark.parametrize("status", [301, 401, 500])
def test_other_answers_are_a_failure(callbacks: Callbacks, status: int) -> None:
    callbacks.statuses = [status]
    ran = trigger("batch.cancelled", "--url", callbacks.url, "--secret", SECRET)
    assert (ran.exit_code, len(callbacks.received)) == (1, 1)
    assert f"\n{status} " in ran.output


def test_answers_cannot_steer_the_terminal(callbacks: Callbacks) -> None:
    callbacks.answer = b"\x1b[2Jfine"
    ran = trigger("ping", "--url", callbacks.url, "--secret", SECRET)
    assert "[2Jfine" in ran.output
    assert "\x1b" not in ran.output


def test_closed_port_is_said_so() -> None:
    url = f"http://127.0.0.1:{allocate_port()}/"
    ran = trigger("ping", "--url", url, "--secret", SECRET)
    assert ran.exit_code == 1
    assert f"the receiver did not answer at {url}" in ran.output
    ran = trigger("ping", "--url", url, "--dynamic", "v1a", "--sandbox", url)
    assert f"the sandbox did not answer at {url}" in ran.output


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "http://10.0.0.1/", "ftp://127.0.0.1/", "localhost:8000", ""]
)
def test_clear_text_stays_on_this_machine(url: str) -> None:
    ran = trigger("ping", "--url", url, "--secret", SECRET)
    assert ran.exit_code == 2
    assert "neither an https URL" in ran.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "give either --secret"),
        (["--secret", SECRET, "--dynamic", "v1a"], "give either --secret"),
        (["--secret", "whsec_"], "is not whsec_ and base64"),
        (["--secret", "whsec_no!base64"], "is not whsec_ and base64"),
        (["--secret", SECRET.removeprefix("whsec_")], "is not whsec_ and base64"),
        (["--dynamic", "v1a"], "/.well-known/jwks.json"),
        (["--secret", SECRET, "--user-metadata", "{"], "no JSON"),
        (["--secret", SECRET, "--user-metadata", "[]"], "object"),
    ],
)
def test_wrong_arguments_are_explained(callbacks: Callbacks, args: list[str], words: str) -> None:
    ran = trigger("ping", "--url", callbacks.url, *args)
    assert (ran.exit_code, callbacks.received) == (2, [])
    assert words in " ".join(ran.output.split())
    assert "no!base64" not in ran.output
    assert SECRET not in ran.output


@pytest.mark.parametrize(
    ("event_type", "members"),
    [
        ("batch.succeeded", {"id", "output_file_uri"}),
        ("batch.failed", {"id", "error_code", "error_message"}),
        ("batch.cancelled", {"id"}),
        ("batch.expired", {"id"}),
        ("interaction.failed", {"id", "error_code", "error_message"}),
        ("video.generated", {"id", "output_file_uri", "file_name"}),
        ("ping", set()),
        ("never.heard", {"id"}),
    ],
)
def test_events_hold_what_the_catalogue_says(event_type: str, members: set[str]) -> None:
    event = event_of(event_type, "batches/x")
    assert list(event) == ["type", "version", "timestamp", "data"]
    assert set(event["data"]) == members


@pytest.mark.parametrize(
    "body",
    [{}, {"scheme": "v1", "event": {}}, {"scheme": "v1a", "event": 1}, {"other": 1}],
    ids=str,
)
def test_wrong_request_is_not_signed(sandbox: Sandbox, body: Json) -> None:
    answer: Any = sandbox.http.post("/sandbox/keys:sign", json=body)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "option",
    [option for found in trigger_command.params for option in found.opts if option[:2] == "--"],
)
def test_option_is_in_the_pages(option: str) -> None:
    assert option in section("## Test your own receiver")
