import json
import traceback
from collections.abc import Iterator

import pytest

from receiver.errors import GeminiError, NotFoundError
from receiver.gemini.registered_webhooks import BATCH_EVENTS
from receiver.gemini.transport import Transport
from receiver.gemini.webhooks import Webhooks, is_unsure
from tests.answering import Answer, answering
from tests.forwarding import gate_before
from tests.receiver.forging import SECRET_TEXT
from tests.running import CLIENT

URL = "https://batches.example.com/webhooks/gemini"


@pytest.fixture
def webhooks(sandbox_url: str) -> Iterator[Webhooks]:
    CLIENT.delete(f"{sandbox_url}/sandbox/state").raise_for_status()
    with Transport(sandbox_url, "right-key", "v1beta") as transport:
        yield Webhooks(transport)


def test_webhook_lives_from_create_to_delete(webhooks: Webhooks) -> None:
    created, secret = webhooks.create(URL, BATCH_EVENTS, "mine")
    assert (created.name, created.uri, created.events, created.state) == (
        "mine",
        URL,
        BATCH_EVENTS,
        "enabled",
    )
    assert created.secrets[0].may_be(secret)
    assert webhooks.get(created.id) == created
    assert list(webhooks.list()) == [created]
    changed = webhooks.update(
        created.id, {"state": "disabled", "subscribed_events": ["batch.failed"]}
    )
    assert (changed.state, changed.events, changed.name) == ("disabled", ("batch.failed",), "mine")
    webhooks.ping(created.id)
    webhooks.delete(created.id)
    with pytest.raises(NotFoundError, match=f"no webhook {created.id}"):
        webhooks.get(created.id)
    assert list(webhooks.list()) == []


@pytest.mark.parametrize(("immediately", "live"), [(False, 2), (True, 1)])
def test_rotation_keeps_the_old_one_or_not(
    webhooks: Webhooks, live: int, *, immediately: bool
) -> None:
    created, old = webhooks.create(URL, BATCH_EVENTS, None)
    new = webhooks.rotate(created.id, immediately=immediately)
    shown = webhooks.get(created.id).secrets
    assert [one.may_be(new) for one in shown] == [True, False][:live]
    assert any(one.may_be(old) and one.expires for one in shown) is not immediately


def test_all_pages_are_listed(webhooks: Webhooks) -> None:
    made = {webhooks.create(f"{URL}/{number}", BATCH_EVENTS, None)[0].id for number in range(101)}
    assert {one.id for one in webhooks.list()} == made


def test_circular_list_ends() -> None:
    page = Answer(200, b'{"webhooks": [{"id": "a"}], "next_page_token": "same"}')
    with (
        answering(lambda _path, _headers: page) as url,
        Transport(url, "right-key", "v1") as transport,
        pytest.raises(GeminiError, match="goes in circles"),
    ):
        list(Webhooks(transport).list())


@pytest.mark.parametrize("webhook_id", ["", "../files/x", "a/b", "webhooks/a", "a?b", "a" * 129])
def test_other_ids_reach_no_path(webhooks: Webhooks, webhook_id: str) -> None:
    with pytest.raises(GeminiError, match="is no id of a webhook"):
        webhooks.delete(webhook_id)


def test_lost_answer_is_not_asked_for_twice(webhooks: Webhooks, sandbox_url: str) -> None:
    with gate_before(sandbox_url) as gate, Transport(gate.url, "right-key", "v1beta") as transport:
        gate.where, gate.what = "/webhooks", "lose"
        with pytest.raises(GeminiError) as told:
            Webhooks(transport).create(URL, BATCH_EVENTS, None)
    assert is_unsure(told.value)
    assert (gate.paths, len(list(webhooks.list()))) == (["/v1beta/webhooks"], 1)


@pytest.mark.parametrize("secret", [None, "", "whsec_hunter2", "hunter2\nOTHER=1"])
def test_secret_of_another_form_is_not_passed_on(secret: str | None) -> None:
    answer = Answer(
        200, json.dumps({"id": "abc", "new_signing_secret": secret, "secret": secret}).encode()
    )
    with (
        answering(lambda _path, _headers: answer) as url,
        Transport(url, "right-key", "v1") as transport,
    ):
        for call in (
            lambda: Webhooks(transport).create(URL, BATCH_EVENTS, None),
            lambda: Webhooks(transport).rotate("abc", immediately=False),
        ):
            with pytest.raises(GeminiError, match="webhooks rotate abc") as told:
                call()
            assert "hunter2" not in "".join(traceback.format_exception(told.value))
            assert not is_unsure(told.value)


@pytest.mark.parametrize(
    "form",
    ['{"id": 1, "new_signing_secret": "%s"}', '{"id": "a", "new_signing_secret": ["%s"]}', "%s"],
)
def test_spoilt_answer_repeats_no_secret(form: str) -> None:
    answer = Answer(200, (form % SECRET_TEXT).encode())
    with answering(lambda _path, _headers: answer) as url, Transport(url, "key", "v1") as transport:
        with pytest.raises(GeminiError) as told:
            Webhooks(transport).create(URL, BATCH_EVENTS, None)
        assert is_unsure(told.value)
        assert SECRET_TEXT not in "".join(traceback.format_exception(told.value))
