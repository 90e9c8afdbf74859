"""What a look says of the webhooks: the stand-in and the log are real."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from receiver.gemini.registered_webhooks import BATCH_EVENTS
from receiver.gemini.transport import Transport
from receiver.gemini.webhook_reports import Evidence
from receiver.gemini.webhook_setup import check_webhooks
from receiver.gemini.webhooks import Webhooks
from receiver.inbox.redis import connect
from receiver.recovery.scheduler import reconcile_project
from receiver.settings.settings import Settings, read_settings
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
            check_webhooks(settings, project, Evidence())
        assert all(record.levelno == logging.WARNING for record in self.caplog.records)
        return [(record.getMessage(), vars(record)["project"]) for record in self.caplog.records]


@pytest.fixture
def place(sandbox_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    CLIENT.delete(f"{sandbox_url}/sandbox/state").raise_for_status()
    with Transport(sandbox_url, "right-key", "v1beta") as transport:
        yield Place(sandbox_url, Webhooks(transport), caplog)


def test_right_webhook_is_no_news(place: Place) -> None:
    _, secret = place.webhooks.create(URL, BATCH_EVENTS, None)
    settings = place.settings(PUBLIC_URL=ORIGIN, GEMINI_WEBHOOK_SECRET=secret.show())
    assert place.warnings(settings) == []


def test_disabled_webhook_is_warned_of(place: Place) -> None:
    webhook, secret = place.webhooks.create(URL, BATCH_EVENTS, None)
    place.webhooks.update(webhook.id, {"state": "disabled", "subscribed_events": ["batch.failed"]})
    settings = place.settings(GEMINI_WEBHOOK_SECRET=secret.show())
    assert place.warnings(settings) == [
        ("webhook.disabled", "default"),
        ("webhook.events", "default"),
    ]
    record = vars(place.caplog.records[0])
    assert record["webhook"] == webhook.id
    assert f"gemini-batch-receiver webhooks update {webhook.id} --state enabled" in record["hint"]


def test_missing_webhook_is_warned_of_where_one_is_expected(place: Place) -> None:
    assert place.warnings(place.settings(GEMINI_WEBHOOK_SECRET=SECRET_TEXT)) == [
        ("webhook.missing", "default")
    ]
    assert place.warnings(place.settings(PUBLIC_URL=ORIGIN)) == []


def test_each_project_is_asked_with_its_key(place: Place) -> None:
    settings = place.settings(
        GEMINI_API_KEY__ACME="another-key", GEMINI_WEBHOOK_SECRET=SECRET_TEXT, PUBLIC_URL=ORIGIN
    )
    assert place.warnings(settings) == [
        ("webhook.missing", "default"),
        ("webhook.unchecked", "acme"),
    ]
    assert "--project default" in vars(place.caplog.records[0])["hint"]
    assert "another-key" not in str([vars(record) for record in place.caplog.records])


def test_reconcile_run_judges_no_webhook(place: Place, redis_url: str, storage_url: str) -> None:
    """Whoever makes it may know neither secret nor address."""
    listing = Listing()
    name = listing.add("one")
    with serving(listing) as url, connect(redis_url) as client:
        environ = {
            "GEMINI_WEBHOOK_SECRET": SECRET_TEXT,
            "REDIS_URL": redis_url,
            "STORAGE_URL": storage_url,
        }
        settings = place.settings(GEMINI_BASE_URL=url, **environ)
        report = reconcile_project(settings, settings.project(""), client, force=False)
        assert report is not None
        assert report.counts.queued == [name]
    assert [
        record.getMessage() for record in place.caplog.records if "webhook" in record.getMessage()
    ] == []


def test_what_gemini_does_not_show_is_unknown(place: Place) -> None:
    settings = place.settings(GEMINI_API_KEY="another-key", GEMINI_WEBHOOK_SECRET=SECRET_TEXT)
    served = check_webhooks(settings, settings.project(""), Evidence())
    assert (served.is_registered, served.faults, served.secrets) == (None, None, 1)
    assert "API key" in served.why_unknown


def test_registered_webhook_without_our_secret_is_no_fault_but_a_step(place: Place) -> None:
    """Just after `webhooks create`: nothing is wrong with the webhook."""
    place.webhooks.create(URL, BATCH_EVENTS, None)
    settings = place.settings(PUBLIC_URL=ORIGIN)
    served = check_webhooks(settings, settings.project(""), Evidence())
    assert (served.is_registered, served.faults, served.secrets) == (True, [], 0)
    assert place.warnings(settings) == []


def test_accepted_delivery_proves_the_secret(place: Place) -> None:
    place.webhooks.create(URL, BATCH_EVENTS, None)
    settings, now = place.settings(PUBLIC_URL=ORIGIN, GEMINI_WEBHOOK_SECRET=SECRET_TEXT), [0.0]
    evidence = Evidence(clock=lambda: now[0])

    def kinds() -> list[str]:
        return [
            fault.kind
            for fault in check_webhooks(settings, settings.project(""), evidence).faults or []
        ]

    assert kinds() == ["secret"]
    evidence.accepted()
    now[0] = 600.0
    assert kinds() == []
    evidence.refused()
    assert kinds() == ["secret"]
    now[0] = 610.0
    evidence.accepted()
    now[0] = 2000.0
    assert kinds() == ["secret"]  # that was long ago


def test_key_that_may_not_list_is_no_warning_without_need(place: Place) -> None:
    settings = place.settings(GEMINI_API_KEY="another-key")
    with place.caplog.at_level(logging.INFO):
        check_webhooks(settings, settings.project(""), Evidence())
    unchecked = [
        record.levelno
        for record in place.caplog.records
        if record.getMessage() == "webhook.unchecked"
    ]
    assert unchecked == [logging.INFO]
