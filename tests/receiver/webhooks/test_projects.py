"""What a look says of the webhooks: the stand-in and the log are real."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from receiver.gemini.transport import Transport
from receiver.gemini.webhooks import Webhooks
from receiver.inbox.ledger import connect
from receiver.reconciler import look_at
from receiver.settings import Settings, read_settings
from receiver.webhooks.projects import warn_of_webhooks
from receiver.webhooks.registered import BATCH_EVENTS, show_secret
from tests.receiver.forging import SECRET_TEXT
from tests.receiver.listing import Listing, serving
from tests.running import CLIENT

ORIGIN = "https://batches.example.com"
URL = f"{ORIGIN}/webhooks/gemini"


@dataclass(frozen=True)
class Place:
    gemini_url: str
    webhooks: Webhooks
    caplog: pytest.LogCaptureFixture

    def settings(self, **more: str) -> Settings:
        base = {"GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": self.gemini_url}
        return read_settings(base | more)

    def warnings(self, settings: Settings) -> list[tuple[str, str]]:
        """The events that are logged now, and whose they are."""
        self.caplog.clear()
        for project in settings.projects.values():
            warn_of_webhooks(settings, project)
        assert all(record.levelno == logging.WARNING for record in self.caplog.records)
        return [(record.getMessage(), vars(record)["project"]) for record in self.caplog.records]


@pytest.fixture
def place(sandbox_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    CLIENT.delete(f"{sandbox_url}/sandbox/state").raise_for_status()
    with Transport(sandbox_url, "right-key", "v1beta") as transport:
        yield Place(sandbox_url, Webhooks(transport), caplog)


def test_right_webhook_is_no_news(place: Place) -> None:
    _, secret = place.webhooks.create(URL, BATCH_EVENTS, None)
    settings = place.settings(PUBLIC_URL=ORIGIN, GEMINI_WEBHOOK_SECRET=show_secret(secret))
    assert place.warnings(settings) == []


def test_disabled_webhook_is_warned_of(place: Place) -> None:
    webhook, secret = place.webhooks.create(URL, BATCH_EVENTS, None)
    place.webhooks.update(webhook.id, {"state": "disabled", "subscribed_events": ["batch.failed"]})
    settings = place.settings(GEMINI_WEBHOOK_SECRET=show_secret(secret))
    assert place.warnings(settings) == [("webhook.disabled", "default"), ("webhook.events", "default")]
    record = vars(place.caplog.records[0])
    assert record["webhook"] == webhook.id
    assert f"gemini-batch-receiver webhooks update {webhook.id} --state enabled" in record["hint"]


def test_missing_webhook_is_warned_of_where_one_is_expected(place: Place) -> None:
    assert place.warnings(place.settings(GEMINI_WEBHOOK_SECRET=SECRET_TEXT)) == [("webhook.missing", "default")]
    assert place.warnings(place.settings(PUBLIC_URL=ORIGIN)) == []


def test_each_project_is_asked_with_its_key(place: Place) -> None:
    settings = place.settings(GEMINI_API_KEY__ACME="another-key", GEMINI_WEBHOOK_SECRET=SECRET_TEXT, PUBLIC_URL=ORIGIN)
    assert place.warnings(settings) == [("webhook.missing", "default"), ("webhook.unchecked", "acme")]
    assert "--project default" in vars(place.caplog.records[0])["hint"]
    assert "another-key" not in str([vars(record) for record in place.caplog.records])


def test_unlisted_webhooks_fail_no_look(place: Place, redis_url: str, storage_url: str) -> None:
    listing = Listing()
    name = listing.add("one")
    with serving(listing) as url, connect(redis_url) as client:
        environ = {"GEMINI_WEBHOOK_SECRET": SECRET_TEXT, "REDIS_URL": redis_url, "STORAGE_URL": storage_url}
        settings = place.settings(GEMINI_BASE_URL=url, **environ)
        report = look_at(settings, settings.project(""), client, even_early=False)
        assert report is not None
        assert report.tally.queued == [name]
        events = [record.getMessage() for record in place.caplog.records if record.levelno >= logging.WARNING]
        assert events == ["webhook.unchecked"]
        place.caplog.clear()
        assert look_at(settings, settings.project(""), client, even_early=False) is None
        assert place.caplog.records == []  # no look, no question


def test_key_that_may_not_list_is_no_warning_without_need(place: Place) -> None:
    settings = place.settings(GEMINI_API_KEY="another-key")
    with place.caplog.at_level(logging.INFO):
        warn_of_webhooks(settings, settings.project(""))
    unchecked = [record.levelno for record in place.caplog.records if record.getMessage() == "webhook.unchecked"]
    assert unchecked == [logging.INFO]
