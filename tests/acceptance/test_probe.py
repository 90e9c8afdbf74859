"""`doctor --probe` with every process real, and a sandbox that behaves as its report says."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.sandbox.processes import allocate_port, start
from tests.acceptance.test_main_job import run
from tests.running import (
    CLIENT,
    HEADERS,
    answers,
    register_webhook,
    running_program,
    running_sandbox,
    set_faults,
)
from tests.waiting import eventually

KEY = "AIzaSyCanaryKeyOfNobody-0123456789abcde"
# Polled every 0.25 s, so that no state passes unseen.
CALM = ("--pending", "1.5", "--running", "1.5", "--retry-base", "0.2")
ODD = (
    *("--event-id", "batch_", "--state-prefix", "JOB_STATE_", "--output-in", "response"),
    *("--user-metadata-in", "data", "--unknown-batch", "410", "--unknown-file", "404"),
    *("--ignore-range", "all", "--chunked-downloads", "all"),
)


@dataclass(frozen=True)
class Place:
    """A stand-in, a web process and what is set."""

    folder: Path
    gemini_url: str
    settings: dict[str, str]

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_bytes())
        return found

    def results(self) -> dict[str, str]:
        return {part["part"]: part["result"] for part in self.report["parts"]}

    def probe(self, *args: str) -> "subprocess.CompletedProcess[str]":
        report = ("--report", str(self.folder / "report.json"))
        return run(self.settings, "doctor", "--probe", *report, *args)

    def left(self) -> list[str]:
        """What exists at the stand-in beside webhooks."""
        return [
            one["name"]
            for kind, member in (("batches", "operations"), ("files", "files"))
            for one in CLIENT.get(f"{self.gemini_url}/v1beta/{kind}", headers=keyed())
            .json()
            .get(member, [])
        ]


def keyed() -> dict[str, str]:
    return HEADERS | {"x-goog-api-key": KEY}


@contextmanager
def running_place(folder: Path, redis_url: str, *options: str) -> Iterator[Place]:
    """A stand-in and a web process, whose webhook is registered and whose URL is public."""
    folder.mkdir(exist_ok=True)
    port = allocate_port()
    web_url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        url = stack.enter_context(running_sandbox(folder, *options))
        settings = {
            "GEMINI_API_KEY": KEY,
            "GEMINI_BASE_URL": url,
            "GEMINI_WEBHOOK_SECRET": register_webhook(url, f"{web_url}/webhooks/gemini"),
            "PUBLIC_URL": web_url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": (folder / "outputs").as_uri(),
            "PORT": str(port),
            "RECONCILE_INTERVAL_S": "0",
        }
        stack.enter_context(running_program(folder, settings, "serve"))
        eventually(lambda: answers(f"{web_url}/ready"), 20, "the web process")
        with redis.Redis.from_url(redis_url) as client:
            eventually(lambda: client.hlen("gbr:web") > 0, 20, "its presence")
        yield Place(folder, url, settings)
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()


def without_times(value: Any) -> Any:
    """All members but those that are times, by their names."""
    if isinstance(value, dict):
        return {
            name: without_times(inner) for name, inner in value.items() if not name.endswith("_s")
        }
    return [without_times(one) for one in value] if isinstance(value, list) else value


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """Without times, nor the order of the calls of batches that run beside each other."""
    found: dict[str, Any] = without_times(report)
    return found | {"calls": sorted(found["calls"], key=lambda one: str(one["call"]))}


def secrets_of(place: Place) -> list[str]:
    secret = place.settings["GEMINI_WEBHOOK_SECRET"]
    hosts = ["127.0.0.1", "localhost", place.settings["PORT"], place.gemini_url.rpartition(":")[2]]
    return [KEY, secret, secret.removeprefix("whsec_"), *hosts, "whsec_", "Say one", "stand-in"]


def test_sandbox_that_replays_a_report_gives_the_same_report(
    tmp_path: Path, redis_url: str
) -> None:
    with running_place(tmp_path / "first", redis_url, *CALM, *ODD) as place:
        said = place.probe("--yes")
        assert (said.returncode, place.left()) == (0, []), said
        first, results = place.report, place.results()
        text = (place.folder / "report.json").read_text()
        assert [secret for secret in secrets_of(place) if secret in text] == []
        ids = re.findall(r"batches/[a-z0-9]|files/[a-z0-9]|[a-z0-9]{36}\b(?<![0-9a-f]{36})", text)
        assert ids == []
    assert set(results.values()) == {"done"}
    assert results.keys() >= {"static webhook", "dynamic webhook", "ping", "cancel", "key set"}
    assert "5 requests to gemini-2.5-flash-lite, which cost at most $0.00" in said.stderr
    assert [(one["batch"], one["event"], one["scheme"]) for one in first["deliveries"]] == [
        ("", "ping", "v1"),
        ("cancelled", "batch.cancelled", "v1"),
        ("dynamic", "batch.succeeded", "v1a"),
        ("file", "batch.succeeded", "v1"),
    ]
    assert all(one["headers"] and one["body"] for one in first["deliveries"])
    assert [one["batch"] for one in first["batches"]] == ["file", "dynamic", "cancelled"]
    assert [one["source"] for one in first["batches"]] == ["static", "dynamic", "static"]

    replay = ("--replay", str(tmp_path / "first" / "report.json"))
    with running_place(tmp_path / "second", redis_url, *replay) as place:
        with running_program(place.folder, place.settings, "worker"):
            assert place.probe("--yes").returncode == 0
        second = place.report
        assert len(list((place.folder / "outputs").glob("*/_manifest.json"))) == 3
        listed = run(place.settings, "inbox", "list", "--json")
        assert json.loads(listed.stdout) == []
    assert comparable(second) == comparable(first)
    # What the sandbox would not do by itself.
    statuses = {one["call"]: one["status"] for one in second["calls"]}
    assert statuses["ask with an unknown batch"] == 410
    assert (statuses["ask with an unknown file"], statuses["download a range"]) == (404, 200)
    assert second["batches"][0]["states"][0]["state"] == "JOB_STATE_PENDING"
    bodies = {one["batch"]: one["body"] for one in second["deliveries"]}
    assert bodies["file"]["data"]["id"] == "batch_<id>"
    assert bodies["dynamic"]["data"]["user_metadata"] == "object"


def test_without_a_web_process_webhooks_are_not_tried(tmp_path: Path, redis_url: str) -> None:
    with running_sandbox(tmp_path, "--api-key", KEY) as url:
        settings = {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        place = Place(tmp_path, url, settings)
        assert (place.probe("--yes").returncode, place.left()) == (0, [])
        untried = {part["part"]: part for part in place.report["parts"]}
        for part in ("static webhook", "dynamic webhook", "ping"):
            assert untried[part]["result"] == "not tried"
            assert "start `gemini-batch-receiver serve`" in untried[part]["detail"]
        wrong = next(one for one in place.report["calls"] if one["call"] == "ask with a wrong key")
    assert wrong["status"] == 400
    assert wrong["body"]["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_nothing_is_sent_before_somebody_agrees(tmp_path: Path, redis_url: str) -> None:
    with running_sandbox(tmp_path) as url:
        settings = {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        place = Place(tmp_path, url, settings)
        said = place.probe()
        assert place.left() == []
    assert said.returncode == 2
    assert "cost at most $0.000" in said.stderr
    assert "add --yes to do it" in said.stderr
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_probe_deletes_what_it_made(
    tmp_path: Path, redis_url: str, stop: signal.Signals
) -> None:
    with running_sandbox(tmp_path, "--stuck-jobs", "all") as url:
        settings = {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        place = Place(tmp_path, url, settings)
        args = ["doctor", "--probe", "--yes", "--report", str(tmp_path / "report.json")]
        with (tmp_path / "probe.log").open("ab") as log:
            command = [sys.executable, "-m", "workers", *args]
            process = start(command, env={**os.environ, **settings}, stdout=log)
        eventually(lambda: len(place.left()) == 3, 20, "two batches and the file")
        process.send_signal(stop)
        assert process.wait(20) == 130
        assert place.left() == []
        assert place.results()["probe"] == "failed"
        calls = [one["call"] for one in place.report["calls"]]
        stopped, deleted = calls.index("stop batch: file"), calls.index("delete batch: file")
        assert stopped < deleted  # one that is only deleted may run on
        assert place.report["left"] == 0


def test_what_could_not_be_deleted_is_said(tmp_path: Path, redis_url: str) -> None:
    """And a refused call is reported with its status alone."""
    with running_sandbox(tmp_path) as url:
        set_faults(url, list_status={"status": 503, "times": "all"})
        settings = {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        place = Place(tmp_path, url, settings)
        set_faults(url, create_status={"status": 403, "times": "all"})
        said = place.probe("--yes")
        assert (said.returncode, place.results()["cancel"]) == (1, "failed")
        assert "left at Gemini: perhaps what is called 'gemini-batch-receiver probe" in said.stderr
        assert place.report["left"] == 1
